"""The hypervisor abstraction: four small contracts. Whatever fulfils them can carry AppVM windows.

A backend is N + M's N: a vchan, page sharing in the guest, page mapping in the GUI domain, and a domain driver. Nothing
outside a backend's own folder knows its name. `backends.conformance` is the executable form of this text.
"""

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from collections.abc import Mapping as Environment
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from guiproto.errors import MachineCannot, PeerMisbehaved
from shm.region import Region

__all__ = [
    "AppVmSpec",
    "Backend",
    "Domain",
    "DomainDriver",
    "DomainSpec",
    "DomainState",
    "MachineCannot",
    "MappedPages",
    "PageMapper",
    "PageSharer",
    "PeerMisbehaved",
    "Refs",
    "SharedPages",
    "Vchan",
    "VchanState",
]

Refs = NDArray[np.uint32]
"""Page references: u32 [n], one for each 4096-byte page. What a number means is the backend's own business."""


class VchanState(Enum):
    """libvchan's three states."""

    WAITING = "waiting"
    """The peer is not there yet. It may come at any time; no polling is needed, `fileno()` wakes up."""
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    """The peer was there and is gone. Bytes that it had written can still be read. Final: open a new vchan."""


class Vchan(ABC):
    """One end of a byte stream between two domains; never blocks.

    `fileno()` is one descriptor for the whole life of the object that polls readable whenever it is worth to look
    again: bytes or space arrived, the peer came or went. It is level-triggered with one exception that every caller
    has to know: after a short `write` it wakes up when there is space again. Looking means: call `update()`, `read`
    until it returns nothing, then `write` what is still queued.
    """

    @abstractmethod
    def fileno(self) -> int:
        """The descriptor to poll for reading. Its number does not change until `close`."""

    @abstractmethod
    def update(self) -> VchanState:
        """Take notice of what happened to the connection and return its state."""

    @property
    @abstractmethod
    def state(self) -> VchanState:
        """The state as of the last `update`, `read` or `write`."""

    @abstractmethod
    def data_ready(self) -> int:
        """Bytes that `read` would return now, at least; 0 means none."""

    @abstractmethod
    def buffer_space(self) -> int:
        """Bytes that `write` would take now, at least, while connected. May be a lower bound, but 0 means full."""

    @abstractmethod
    def read(self, size: int) -> bytes:
        """Up to `size` bytes; b"" when there are none now. Still returns what is buffered after the peer is gone.

        A result shorter than `size` may be taken for "nothing more now": the next `read` before an `update` or
        `data_ready` may then return b"" without looking. Nothing is lost by it, since `fileno()` polls readable.
        """

    @abstractmethod
    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Take as many bytes as fit and say how many, 0 when full, not connected, or disconnected."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything; the peer sees a disconnect. May be called twice."""


@dataclass(frozen=True, slots=True)
class SharedPages:
    """Pages of this domain that the GUI domain can map: bytes [offset, offset + length) of `region`, page-aligned.

    `refs` names them in order. `region` is what the guest's own display server attaches to write pixels.
    """

    region: Region
    offset: int
    length: int
    refs: Refs


class PageSharer(ABC):
    """Guest side: memory that one GUI domain, fixed when the sharer is made, can map read-only."""

    @abstractmethod
    def allocate(self, length: int) -> SharedPages:
        """`length` bytes rounded up to pages, contiguous in one region; contents are undefined but never another VM's.

        Raises MachineCannot when memory or the backend's limit of shared pages is exhausted.
        """

    @abstractmethod
    def release(self, pages: SharedPages) -> None:
        """Take the pages back. Call it only when the GUI domain is done with them (acknowledged or disconnected)."""

    def adopt(self, fd: int, offset: int, length: int) -> SharedPages:  # noqa: ARG002 - for those who can
        """Share memory that somebody else allocated: the page-aligned range of `fd`, which stays the caller's.

        Raises MachineCannot where a backend cannot do that (the default).
        """
        raise MachineCannot(f"{type(self).__name__} cannot share memory that it did not allocate")

    def written(  # noqa: B027 - optional: most share what the display server draws into
        self, pages: SharedPages, width: int, rects: Sequence[tuple[int, int, int, int]]
    ) -> None:
        """The display server has drawn into these pages; the peer must see it when this returns.

        `width`: of a row. `rects`: x, y, width and height, inside the pages. All in pixels of 4 bytes.
        """

    def publish(self) -> None:  # noqa: B027 - optional: most backends need no step before references are valid
        """Make every page shared so far reachable for the peer. Called before references are put on the wire.

        Raises MachineCannot when the peer leaves no room for it. A peer that is gone is no error.
        """

    @abstractmethod
    def close(self) -> None:
        """Free everything."""


@dataclass(frozen=True, slots=True)
class MappedPages:
    """Pages of another domain, seen from here, read-only and contiguous: one of two forms.

    - `region` is a Region whose descriptor a display server can attach: the pixels are bytes [offset, offset + length)
      of it. The same Region object is returned for the same memory, so that it is attached once.
    - `region` is None and `view` holds the bytes: the display host copies what it shows.

    `copies` is how many times a CPU copies each pixel between the guest's page and the display server's own read: 0
    for the first form, and at least 1 for the second. `release` gives the mapping up.
    """

    region: Region | None
    offset: int
    length: int
    view: memoryview | None
    copies: int
    release: Callable[[], None] = field(repr=False)


class PageMapper(ABC):
    """GUI domain side: page references of one domain to mapped memory. The domain is fixed when the mapper is made.

    A mapper lives as long as one vchan session with that domain.
    """

    @abstractmethod
    def map(self, refs: Refs) -> MappedPages:
        """Map the referenced pages, in order, as one range.

        Raises PeerMisbehaved("page reference", ...) for references that the domain does not share with us.
        """

    def map_frames(self, refs: Refs) -> MappedPages:  # noqa: ARG002 - for those who can
        """The same for the deprecated frame numbers of MFNDUMP. Backends that have no such thing refuse (default)."""
        raise PeerMisbehaved("MFNDUMP", "this backend maps no frame numbers")

    @abstractmethod
    def close(self) -> None:
        """Release what the mapper itself holds. Mappings that are still in use stay valid until their release."""


@dataclass(frozen=True, slots=True)
class DomainSpec:
    """An AppVM to be: `command` runs inside it on a screen of `screen` pixels, shown by domain `gui_domid`."""

    name: str
    domid: int
    gui_domid: int
    command: Sequence[str]
    screen: tuple[int, int]
    network: bool = False
    sandbox: bool = True
    outlive_parent: bool = False
    """Whether the domain goes on when the process that started it dies."""
    source: str = "auto"
    """Where its windows come from, as its agent calls it, or "auto": what copies least."""


class DomainState(Enum):
    """As far as anyone outside needs to know."""

    RUNNING = "running"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain that a driver knows. `pid` is its first process on this machine, where it has one."""

    name: str
    domid: int
    state: DomainState
    pid: int | None = None
    exit_status: int | None = None
    reason: str = ""
    """Why it stopped or could not start, one line, when known."""
    label: str = ""
    """Its colour, where the driver keeps it."""
    gui_domid: int = 0
    lasting: bool = False
    """Whether it is there when it does not run; `create` makes such, and others may start and stop them."""
    private: bool = False
    """Whether whoever made it shows it, and nobody else unasked."""


@dataclass(frozen=True, slots=True)
class AppVmSpec:
    """An AppVM to be kept: a machine of its own with its disk. `packages`: of the distribution, on top of the usual."""

    name: str
    label: str
    domid: int = 0
    """0: the lowest free one."""
    gui_domid: int = 0
    other_gui_domids: Sequence[int] = ()
    """GUI domains that its windows may move to."""
    screen: tuple[int, int] = (1920, 1080)
    packages: Sequence[str] = ()
    memory_mib: int = 1024
    videoram_mib: int = 256
    network: bool = False
    map_ram: bool = False
    """Whether its GUI domain can map any of its memory: for agents that know frame numbers only (MFNDUMP)."""
    drawing_mib: int = 0
    """Memory that programs draw into and the GUI domain reads in place; 0: none, and what they draw is copied."""
    private: bool = False
    """As in `Domain`: for those who make one for a while, a demonstration or a measurement."""


class DomainDriver(ABC):
    """Lists, starts, stops and watches domains."""

    def create(self, spec: AppVmSpec, tell: Callable[[str], None]) -> Domain:  # noqa: ARG002 - for those who can
        """Make an AppVM that stays, and leave it stopped; `tell` is told of progress, a line at a time.

        Raises MachineCannot with what is missing, taken or full; nothing is left then.
        """
        raise MachineCannot("AppVMs of this backend do not stay", f"`guid run {spec.name} -- COMMAND` starts one")

    def resume(self, name: str) -> Domain:
        """Start an AppVM that `create` made, or one like it. Raises MachineCannot."""
        raise MachineCannot(f"there is no AppVM {name!r} to start")

    def remove(self, name: str) -> None:
        """Stop it at once and delete it with its disk. Raises MachineCannot for unknown ones."""
        raise MachineCannot(f"there is no AppVM {name!r} to remove")

    def run(self, name: str, command: Sequence[str], *, pass_io: bool = False) -> int:  # noqa: ARG002 - for those who can
        """Start a command in a running AppVM; returns 0 when it has been started. Raises MachineCannot.

        `pass_io`: with this process's standard input and output; returns its exit status when it has ended.
        """
        raise MachineCannot(f"no command can be started in {name!r} any more", "give it to `guid run` at the start")

    @abstractmethod
    def start(self, spec: DomainSpec) -> Domain:
        """Start it and return at once. Raises MachineCannot with what is missing or taken."""

    @abstractmethod
    def stop(self, name: str, timeout: float = 5.0) -> None:
        """Ask it to end, and end it by force after `timeout` seconds. Unknown or stopped names are no error."""

    def terminate(self, name: str) -> None:  # noqa: B027 - optional: `stop` asks as well
        """Ask it to end, and return at once; `events()` says when it has. A later `stop` waits and then forces."""

    @abstractmethod
    def list(self) -> Sequence[Domain]:
        """Every domain it knows, those included that an earlier instance of the driver started and that still run."""

    @abstractmethod
    def fileno(self) -> int:
        """Polls readable when `events()` has something to say."""

    @abstractmethod
    def events(self) -> Sequence[Domain]:
        """Domains whose state changed since the last call. Never blocks."""

    def runtime(self, name: str) -> Environment[str, str]:  # noqa: ARG002 - for those who need it
        """Environment variables with which `Backend.client` for that domain must be called; empty for most."""
        return {}

    def enter(self, name: str, argv: Sequence[str], environ: Environment[str, str], fds: Sequence[int]) -> int:  # noqa: ARG002 - for those who can
        """Start a process of this machine's inside a domain, confined like the domain; returns its pid.

        It is a child of the caller's and inherits `fds`. Raises MachineCannot where a backend cannot do that (default).
        """
        raise MachineCannot(f"nothing of this machine can run inside {name!r}", "GUI domains are local AppVMs, or here")

    @abstractmethod
    def close(self) -> None:
        """Stop watching. Running domains go on."""


class Backend(ABC):
    """One hypervisor: makes the four parts. Domain ids are u16."""

    name: str
    makes_lasting = False
    """Whether its domains are machines that stay: whether its driver has `create`."""
    adopts = False
    """Whether its sharers' `adopt` works: whether programs can draw into what the GUI domain maps."""
    drawing_place: Path | None = None
    """The directory whose files those then have to be; None: they are memfds."""

    @abstractmethod
    def missing(self, *, domains: bool = False) -> Sequence[str]:
        """What this machine lacks, one sentence each with the remedy; empty when the backend can be used here.

        Vchans and pages, which is all that `guid attach` and `guiagent` need; `domains`: also for starting domains.
        """

    def notes(self) -> Sequence[str]:
        """What else is worth to know about this backend on this machine, a sentence each."""
        return []

    @abstractmethod
    def server(self, domid: int, peer: int, port: int) -> Vchan:
        """The server end in domain `domid` (this one) for clients of domain `peer`."""

    @abstractmethod
    def client(self, domid: int, peer: int, port: int) -> Vchan:
        """The client end in domain `domid` (this one) to the server in domain `peer`. Returns at once, WAITING."""

    @abstractmethod
    def sharer(self, domid: int, gui_domid: int) -> PageSharer:
        """Shares pages of `domid` (this domain) with `gui_domid`.

        Made before the vchan server: a GUI domain that is connected may look for it. It may serve several sessions.
        """

    @abstractmethod
    def mapper(self, domid: int, peer: int) -> PageMapper:
        """Maps pages that `peer` shares with `domid` (this domain). Made when a vchan to it has just connected."""

    def prepare(self) -> None:  # noqa: B027 - for those who need it
        """Load what clients and mappers made later need: whoever makes them may be about to give that up."""

    has_door = False
    """Whether `keep_door` does what it says."""

    def files(self) -> Sequence[Path] | None:
        """Files, and directories with all below, that clients and mappers made here open, besides sockets.

        Whoever serves an AppVM gives up all others, and loads no more code, before it does. None, the default: they may
        need anything.
        """
        return None

    def keep_door(self, outer: socket.socket, domid: int, peer: int, ports: Sequence[int]) -> None:  # noqa: ARG002 - as above
        """Connect to the servers in `peer` as `domid`, for a process that sees nothing of this machine but its door.

        That process has its end's number in the environment variable `DOOR`. Returns when the end is closed. Raises
        MachineCannot where a backend cannot do that (default).
        """
        raise MachineCannot(f"backend {self.name} cannot connect for a process inside another domain")

    def domains(self, state_dir: Path) -> DomainDriver:  # noqa: ARG002 - for those who can
        """The domain driver, keeping what it must remember under `state_dir`. Raises MachineCannot if it has none."""
        raise MachineCannot(f"backend {self.name} starts no domains", "start the AppVM yourself and use `guid attach`")

    def keeps(self, name: str) -> bool:  # noqa: ARG002 - for those who can
        """Whether `create` made an AppVM of that name for this user; a quick look, which needs no driver."""
        return False


VARIABLES: Final = "VCHAN_"
"""What the names of environment variables begin with that tell a backend where it is; applications do not get them."""

DOOR: Final = VARIABLES + "DOOR"
"""The variable that says which descriptor leads to whoever does `Backend.keep_door`."""

BackendFactory = Callable[[Environment[str, str]], Backend]
"""What a third party registers: called with the environment variables to respect (usually `os.environ`)."""


def as_refs(pages: Any) -> Refs:
    """`pages`, any sequence of integers, as the u32 array that the contracts speak of."""
    return np.ascontiguousarray(pages, dtype=np.uint32)
