"""A guest whose programs draw into memory that the host sees: nothing is copied in it, whatever windows do."""

import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.e2e.rig import wait_for
from tests.kvm.rig import NAMES, Guests, why_not

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=f"no virtual machines here: {why_not()}"),
    pytest.mark.timeout(1200),
]

VM = "three"
# Cuts every file that is drawn into, and says how many.
ATTACK = """
import ctypes, glob, os
libc = ctypes.CDLL(None)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
cut = 0
for link in glob.glob("/proc/[0-9]*/fd/*"):
    try:
        if "xwayland-shared" in os.readlink(link):
            fd = os.open(link, os.O_RDWR)
            assert libc.fallocate(fd, 3, 0, max(1, os.fstat(fd).st_size)) == 0  # PUNCH_HOLE | KEEP_SIZE
            os.ftruncate(fd, 0)
            cut += 1
    except FileNotFoundError:
        pass
print(cut)
"""
# A program with one window of noise, which it draws anew, at another size, or with a title that says what it shows.
PROGRAM = (
    f"ATTACK = {ATTACK!r}\n"
    + """
import hashlib, subprocess, sys
import numpy as np
from Xlib import X, display
d = display.Display()
screen = d.screen()
window = screen.root.create_window(300, 200, 301, 203, 0, screen.root_depth, background_pixel=0x102030)
window.set_wm_name("noise")
window.map()
gc = window.create_gc()
random = np.random.default_rng()
for word in sys.stdin:
    order, *numbers = word.split()
    if order == "size":
        width, height = map(int, numbers)
        window.configure(width=width, height=height)
        while (window.get_geometry().width, window.get_geometry().height) != (width, height):
            pass  # the window manager grants it
    if order == "attack":
        print(subprocess.run(["sudo", sys.executable, "-c", ATTACK], capture_output=True, text=True).stdout, flush=True)
        continue
    size = window.get_geometry()
    if order == "draw":
        for y in range(0, size.height, 32):
            rows = min(32, size.height - y)
            noise = random.integers(0, 1 << 24, (rows, size.width), np.uint32)
            window.put_image(gc, 0, y, size.width, rows, X.ZPixmap, 24, 0, noise.tobytes())
    if order == "fills":
        for _ in range(int(numbers[0])):
            x, y, width, height = random.integers(0, 200, 4).tolist()
            gc.change(foreground=int(random.integers(1 << 24)))
            window.fill_rectangle(gc, x, y, width, height)
    data = window.get_image(0, 0, size.width, size.height, X.ZPixmap, 0xFFFFFFFF).data
    pixels = np.frombuffer(data, np.uint32).reshape(size.height, size.width) & 0xFFFFFF
    window.set_wm_name(f"sum {size.width} {size.height} {hashlib.sha256(pixels.tobytes()).hexdigest()}")
    d.sync()
    print(pixels[100, :100].tobytes().hex(), flush=True)
"""
)


def memory(name: str) -> Path:
    return Path(f"/dev/shm/odyssey-{os.geteuid()}-{name}")


@pytest.fixture(scope="module")
def drawing(rig: Guests) -> Iterator[Path]:
    """The file that programs of a VM draw into, while it runs."""
    size = ["--memory", "640M", "--videoram", "64M", "--drawing", "128M"]
    rig.guid("vm", "create", VM, "--label", "green", *size)
    rig.guid("vm", "start", VM)
    rig.wait_connected(VM)
    path = memory(f"{VM}-drawing")
    yield path
    rig.guid("vm", "remove", VM)
    assert not path.exists(), "it goes with its VM"


def shown(rig: Guests) -> tuple[dict[str, Any], bool]:
    """Its window, and whether the desktop shows what the guest says it contains."""
    window = rig.window(VM, "sum ")
    said = re.search(r"sum (\d+) (\d+) ([0-9a-f]{64})", window["title"])
    if said is None or (window["width"], window["height"]) != (int(said[1]), int(said[2])):
        return window, False
    pixels = rig.desk.pixels(window["x"], window["y"], window["width"], window["height"]).astype("<u4")
    return window, hashlib.sha256(pixels.tobytes()).hexdigest() == said[3]


def test_programs_draw_into_what_the_desktop_reads(rig: Guests, drawing: Path) -> None:
    assert stat.S_IMODE(drawing.stat().st_mode) == 0o600
    with rig.conversation(VM, "python3", "-uc", PROGRAM) as (say, hear):
        for order in ("draw", "fills 300", "size 500 402", "draw", "size 120 130", "draw", "fills 300"):
            say(f"{order}\n")
            row = bytes.fromhex(hear())

            def look() -> bool:
                time.sleep(0.2)
                return shown(rig)[1]

            wait_for(f"equal pixels after {order!r}", look, 60)
            if order == "draw":
                # The unused byte of a pixel is not ours to know.
                assert contains(drawing, row), "the program's own drawing is in the file"
                assert not contains(memory(VM), row), "and nobody copied it to where the agent's buffers are"

        assert nothing_is_copied(rig, "sum ")


def nothing_is_copied(rig: Guests, title: str) -> bool:
    """Neither here nor in the guest, which says so once its Qubes DB is there."""

    def look() -> bool:
        time.sleep(0.5)
        return rig.window(VM, title)["guest_copies"] is not None

    wait_for("the guest to say how it copies", look, 120)
    window = rig.window(VM, title)
    return (window["copies_per_frame"], window["guest_copies"]) == (0, 0)


def contains(path: Path, row: bytes) -> bool:
    """Whether these pixels lie somewhere in a file of memory."""
    words = np.memmap(path, "<u4", "r") & 0xFFFFFF
    wanted = np.frombuffer(row, "<u4")
    at = np.flatnonzero(words[: len(words) - len(wanted)] == wanted[0])
    return any(bool((words[first : first + len(wanted)] == wanted).all()) for first in at.tolist())


def test_it_is_another_machines_memory_for_nobody_else(rig: Guests, drawing: Path) -> None:
    maps = {name: Path(f"/proc/{pid}/maps").read_text() for name, pid in rig.qemu_pids().items()}
    assert {name for name, text in maps.items() if str(drawing) in text} == {VM}
    assert set(maps) == {*NAMES, VM}


def test_files_that_change_under_the_desktop_harm_nobody(rig: Guests, drawing: Path) -> None:
    """What a hostile guest can do to files that are shown: punch holes into them, and cut them to nothing."""
    with rig.conversation(VM, "python3", "-uc", PROGRAM) as (say, hear):
        say("draw\n")
        hear()
        wait_for("equal pixels", lambda: shown(rig)[1], 60)
        window, _ = shown(rig)
        before = rig.ps()[VM]["worker_pid"]
        say("attack\n")
        assert int(hear()) > 0, "files were cut"
        for _ in range(20):  # the desktop's X server goes on to read where they were
            rig.desk.pixels(window["x"], window["y"], window["width"], window["height"])
        assert rig.ps()[VM]["worker_pid"] == before
    assert drawing.stat().st_size == 128 << 20
    # The guest's display server dies of it as soon as it draws there; then everything in the guest begins again.
    wait_for("the agent", lambda: rig.state(VM) == "connected", 120)

    def look() -> bool:
        rig.guid("run", VM, "--", "xeyes", "-geometry", "150x150+900+600", "-title", "after")
        time.sleep(2)
        return any("after" in row["title"] and row["damage_rects"] for row in rig.windows(VM))

    wait_for("a window of what came after", look, 120)
    assert nothing_is_copied(rig, "after")
