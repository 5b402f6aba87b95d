"""An agent of the old kind, for tests: it names the frames of its window's memory (MFNDUMP) and knows no references.

    python3 old_agent.py BACKEND DOMID PEER     as root of a guest; a machine's own memory, as its kernel places it

For each line on standard input, a JSON array of frame numbers or null for its own, it listens anew, shows a window of
that memory to the daemon that comes, and prints {"frames": [...], "sum": SHA-256 of the pixels}. It needs nothing of
the tests, so that its text alone can be carried into a guest.
"""

import ctypes
import hashlib
import json
import mmap
import os
import re
import select
import struct
import sys
from collections.abc import Callable, Iterator, Sequence

from backends import registry
from backends.base import Vchan, VchanState, as_refs
from guiproto.encoder import encode
from guiproto.limits import GUI_PORT, PAGE_SIZE
from guiproto.messages import Create, Direction, Map, Message, MfnDump, ShmImage, WmName

WINDOW = 17
WIDTH, HEIGHT = 200, 150
OFFSET = 256
"""Of the first pixel in the first page: frames need not begin where pixels do."""
PAGES = -(-(OFFSET + WIDTH * HEIGHT * 4) // PAGE_SIZE)
_MINOR = 3
"""Version 1.3: from before the daemon's answer said its own."""
_PRESENT = 1 << 63
_FRAME_BITS = (1 << 55) - 1


def noise() -> bytes:
    """Pixels that no other memory contains."""
    pixels = bytearray(os.urandom(WIDTH * HEIGHT * 4))
    pixels[3::4] = bytes(WIDTH * HEIGHT)
    return bytes(pixels)


def messages(title: str, frames: Sequence[int]) -> Iterator[Message]:
    """A window at (300, 60) with that memory."""
    yield Create(WINDOW, 300, 60, WIDTH, HEIGHT, 0, 0)
    yield WmName(WINDOW, title.encode())
    yield Map(WINDOW, 0, 0)
    yield MfnDump(WINDOW, 0, WIDTH, HEIGHT, 24, OFFSET, len(frames), 0, as_refs(frames))
    yield ShmImage(WINDOW, 0, 0, WIDTH, HEIGHT)


def show(listen: Callable[[], Vchan], title: str, frames: Sequence[int]) -> None:
    """Serve one daemon until it goes."""
    vchan = listen()
    queue = struct.pack("<I", 1 << 16 | _MINOR)
    queue += b"".join(encode(message, Direction.TO_DAEMON, _MINOR) for message in messages(title, frames))
    poll = select.poll()
    poll.register(vchan.fileno(), select.POLLIN)
    while vchan.update() is not VchanState.DISCONNECTED:
        while vchan.read(4096):
            pass  # nothing that it says matters here
        queue = queue[vchan.write(queue) :]
        poll.poll()
    vchan.close()


def own_memory(pixels: bytes) -> tuple[object, list[int]]:
    """Locked memory that holds `pixels`, and its frames as the hypervisor knows them. The first keeps it there."""
    memory = mmap.mmap(-1, PAGES * PAGE_SIZE)
    memory[OFFSET : OFFSET + len(pixels)] = pixels
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    if ctypes.CDLL(None, use_errno=True).mlock(ctypes.c_void_p(address), ctypes.c_size_t(len(memory))):
        raise OSError(ctypes.get_errno(), "mlock")
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        words = struct.unpack(f"{PAGES}Q", os.pread(pagemap.fileno(), 8 * PAGES, address // PAGE_SIZE * 8))
    if not all(word & _PRESENT and word & _FRAME_BITS for word in words):
        raise PermissionError("pagemap shows no frame numbers: this must be root")
    return memory, _machine_frames([word & _FRAME_BITS for word in words])


def _machine_frames(frames: list[int]) -> list[int]:
    """A paravirtualized kernel keeps a table of where its frames really are; elsewhere they are what they seem."""
    try:
        with open("/sys/hypervisor/guest_type") as file:
            paravirtualized = file.read().strip() == "PV"
    except FileNotFoundError:
        paravirtualized = False
    if not paravirtualized:
        return frames
    with open("/proc/kallsyms") as symbols:
        found = re.search(r"^([0-9a-f]+) \w xen_p2m_addr$", symbols.read(), re.MULTILINE)
    assert found is not None, "this kernel has no such table"
    with open("/proc/kcore", "rb", buffering=0) as core:
        table = _kernel_word(core.fileno(), int(found[1], 16))
        return [_kernel_word(core.fileno(), table + 8 * frame) & _FRAME_BITS for frame in frames]


def _kernel_word(core: int, address: int) -> int:
    """Eight bytes of the kernel's memory."""
    start, _, _, _, size, count, _ = struct.unpack_from("<QQIHHHH", os.pread(core, 64, 0), 32)
    for number in range(count):
        kind, _, offset, virtual, _, length = struct.unpack_from("<IIQQQQ", os.pread(core, size, start + number * size))
        if kind == 1 and virtual <= address < virtual + length:
            return int(struct.unpack("<Q", os.pread(core, 8, offset + address - virtual))[0])
    raise LookupError(f"{address:#x} is nowhere in /proc/kcore")


def main() -> None:
    """See the module's text."""
    name, domid, peer = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    backend = registry.load(name, os.environ)
    pixels = noise()
    keep, own = own_memory(pixels)
    for line in sys.stdin:
        frames = json.loads(line)
        digest = hashlib.sha256(pixels).hexdigest()
        sys.stdout.write(json.dumps({"frames": own, "sum": digest}) + "\n")
        sys.stdout.flush()
        show(lambda: backend.server(domid, peer, GUI_PORT), "old", own if frames is None else frames)
    del keep


if __name__ == "__main__":
    main()
