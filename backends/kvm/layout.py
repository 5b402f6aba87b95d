"""What lies where in a VM's shared memory, the ivshmem region: vchans at its beginning, window buffers behind them.

    page 0                      nothing; a pointer of 0 is nobody's
    SLOT_BYTES each             a vchan: one page of control words, then the ring to the client, then the one from it
    from BUFFERS_AT on          window buffers; a page reference is the number of a page counted from the region's start

Host and guest also agree on the names of the VM's virtio-serial ports.

A slot belongs to a port and a client's domain id. Which one is the domain's configuration, `Slots`, the same on both
sides; slot n has doorbell n.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from guiproto.errors import MachineCannot
from guiproto.limits import PAGE_SIZE

RING_BYTES: Final = 64 * 1024
SLOT_BYTES: Final = PAGE_SIZE + 2 * RING_BYTES
MAX_SLOTS: Final = 8
BUFFERS_AT: Final = PAGE_SIZE + MAX_SLOTS * SLOT_BYTES
ORDERS: Final = "odyssey.orders"
"""The virtio-serial port over which commands are started in the guest."""
PIPE: Final = "odyssey.pipe"
"""The one for a command's standard input and output."""
DOORBELL: Final = "odyssey.doorbell."
"""What the names of the other ports begin with; the vchan's slot follows."""
MIN_REGION_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Slots:
    """The vchans of a domain in the order of their slots: (port, client's domain id)."""

    vchans: Sequence[tuple[int, int]]

    @classmethod
    def parse(cls, text: str) -> Self:
        """From "PORT:DOMID,PORT:DOMID". Raises MachineCannot."""
        try:
            pairs = [entry.split(":") for entry in text.split(",")]
            vchans = [(int(port), int(domid)) for port, domid in pairs]
        except ValueError:
            raise MachineCannot(f"{text!r} is no list of vchans", "write PORT:DOMID,PORT:DOMID") from None
        if len(vchans) > MAX_SLOTS or len(set(vchans)) != len(vchans):
            raise MachineCannot(f"{len(vchans)} vchans", f"at most {MAX_SLOTS} are possible, all different")
        return cls(vchans)

    def __str__(self) -> str:
        return ",".join(f"{port}:{domid}" for port, domid in self.vchans)

    def number(self, port: int, client: int) -> int:
        """The slot of that vchan. Raises MachineCannot if the domain's configuration has none."""
        try:
            return self.vchans.index((port, client))
        except ValueError:
            raise MachineCannot(
                f"the domain has no vchan for port {port} of domain {client}",
                f"it has {self}, from when it was made: make it anew, or change its definition",
            ) from None


def slot_offset(number: int) -> int:
    """Where in the region the slot begins."""
    return PAGE_SIZE + number * SLOT_BYTES


def open_region(path: Path, flags: int) -> tuple[int, int]:
    """Open a VM's region: descriptor and bytes. Raises MachineCannot."""
    try:
        fd = os.open(path, flags | os.O_CLOEXEC)
    except OSError as error:
        raise MachineCannot(
            f"cannot open the VM's shared memory {path}: {error.strerror}",
            "is this a VM that guid made, does it run, and is it yours?",
        ) from None
    size = os.fstat(fd).st_size
    if size < MIN_REGION_BYTES or size & (size - 1):
        os.close(fd)
        raise MachineCannot(
            f"shared memory {path} has {size} bytes", f"a power of 2 from {MIN_REGION_BYTES} on is possible"
        )
    return fd, size
