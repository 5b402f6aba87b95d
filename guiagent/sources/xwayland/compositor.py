"""Just enough of a Wayland compositor that Xwayland runs, and which memory each of its windows is drawn into. Pure.

Xwayland draws a window into a pixmap that is a wl_buffer from its beginning, and copies what was damaged into another
one for each frame that it commits. It commits once, and never again as long as it is not told that the frame has been
shown. So nobody tells it: it goes on to draw into the first pixmap, the live one, which others can read.

Which one that is nothing says. It was made just before the window's wl_surface was; and when a window gets another
size, the next one was made just before the last is destroyed. Where a program has kept hold of the last one, that is
late; `want` then finds the first one of the right size that was made after it. When the window goes, its pixmap does
without another one; its surface follows up to a second later.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from struct import Struct
from typing import Any, Final

from guiagent.sources.xwayland.wire import Inbox, Request, event
from guiproto.errors import PeerMisbehaved

_DISPLAY: Final = 1
_BIND: Final = Struct("=II")
_SERVER_IDS: Final = 0xFF000000
_RECENT: Final = 64
"""Pixmaps that are not known to be a window's and whose memory is kept open, because they may turn out to be."""
_GLOBALS: Final = {"wl_compositor": 4, "wl_shm": 1, "wl_seat": 5, "wl_output": 2}
_FIRST_OUTPUT: Final = 100
_FORMATS: Final = (0, 1)
"""ARGB8888 and XRGB8888."""
_CURRENT_PREFERRED: Final = 3
_RATE_MHZ: Final = 60_000


@dataclass(eq=False, slots=True)
class Memory:
    """Where a pixmap is: rows of `stride` bytes from byte `offset` of what `fd` is, which is -1 once it is closed."""

    fd: int
    offset: int
    width: int
    height: int
    stride: int
    number: int
    """Later ones have larger numbers."""
    surface: "Surface | None" = None
    """Whose window is drawn there."""


@dataclass(eq=False, slots=True)
class Surface:
    """A wl_surface: of a window that is mapped."""

    id: int
    live: Memory | None = None
    attached: int = 0
    callbacks: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Object:
    kind: str
    data: Any = None


class Compositor:
    """One client, Xwayland. `out` is to be sent to it; `changed` are surfaces whose live memory changed or that went.

    `close` is called with descriptors that are not needed any more.
    """

    def __init__(self, size: tuple[int, int], close: Callable[[int], None]) -> None:
        """`size` of the only output, in pixels."""
        self.out = bytearray()
        self.surfaces: dict[int, Surface] = {}
        self.changed: dict[int, None] = {}
        self._close = close
        self._size = size
        self._inbox = Inbox()
        self._objects: dict[int, _Object] = {_DISPLAY: _Object("wl_display")}
        self._registries: list[int] = []
        self._outputs: list[int] = []
        self._output_name = _FIRST_OUTPUT
        self._globals = {number: name for number, name in enumerate(_GLOBALS, 1) if name != "wl_output"}
        self._globals[self._output_name] = "wl_output"
        self._made = 0
        self._wanting: dict[Surface, tuple[int, int]] = {}
        """What `want` has told of surfaces whose memory is of another size."""
        self._recent: deque[Memory] = deque()
        self._fresh: Memory | None = None
        """The latest pixmap, as long as nothing was done since but to end others."""
        self._serial = 0
        self._handlers: dict[str, dict[int, Callable[[Request], None]]] = {
            "wl_display": {0: self._sync, 1: self._get_registry},
            "wl_registry": {0: self._bind},
            "wl_compositor": {0: self._create_surface, 1: lambda request: self._make(request.words(1)[0], "wl_region")},
            "wl_shm": {0: self._create_pool},
            "wl_shm_pool": {0: self._create_buffer, 1: self._destroy_pool},
            "wl_buffer": {0: self._destroy_buffer},
            "wl_surface": {0: self._destroy_surface, 1: self._attach, 3: self._frame, 6: self._commit},
            "wl_region": {0: self._delete},
            "wl_seat": {0: self._get_device, 1: self._get_device, 2: self._get_device, 3: self._delete},
            "wl_output": {0: self._delete},
            "device": {1: self._delete},
        }  # fmt: skip
        self._after_making = (self._create_buffer, self._destroy_pool, self._destroy_buffer)

    def receive(self, data: bytes, fds: list[int]) -> None:
        """What the client sent. Raises PeerMisbehaved for what no Wayland client says."""
        for request in self._inbox.feed(data, fds):
            known = self._objects.get(request.object)
            if known is None:
                raise PeerMisbehaved("wayland", f"a request to object {request.object}, which there is none of")
            handler = self._handlers[known.kind].get(request.opcode)
            if handler is not None:  # the others say how a frame is to be shown, which it never is
                handler(request)
            if handler not in self._after_making:
                self._fresh = None

    def resize(self, width: int, height: int) -> None:
        """The only output has another size from now on."""
        if (width, height) != self._size:
            self._size = width, height
            for output in self._outputs:
                self._describe(output)

    def want(self, surface_id: int, width: int, height: int) -> None:
        """The window is known to have that size."""
        surface = self.surfaces.get(surface_id)
        if surface is not None:
            self._wanting[surface] = width, height
            self._reconsider(surface)

    def close(self) -> None:
        """Let go of all memory."""
        for surface in self.surfaces.values():
            if surface.live is not None:
                self._let_go(surface.live)
        for memory in self._recent:
            self._let_go(memory)
        for known in self._objects.values():
            if known.kind == "wl_shm_pool" and known.data >= 0:
                self._close(known.data)
        while self._inbox.fds:
            self._close(self._inbox.fds.popleft())

    # --- objects ---

    def _make(self, new: int, kind: str, data: Any = None) -> None:
        if not 0 < new < _SERVER_IDS or new in self._objects:
            raise PeerMisbehaved("wayland", f"object {new} cannot be made")
        self._objects[new] = _Object(kind, data)

    def _delete(self, request: Request) -> None:
        known = self._objects.pop(request.object)
        if known.kind == "wl_output":
            self._outputs.remove(request.object)
        self._free(request.object)

    def _free(self, number: int) -> None:
        """The client may use that id again."""
        self.out += event(_DISPLAY, 1, number)

    def _data(self, number: int, kind: str) -> Any:
        known = self._objects.get(number)
        if known is None or known.kind != kind:
            raise PeerMisbehaved("wayland", f"object {number} is no {kind}")
        return known.data

    # --- wl_display, wl_registry ---

    def _sync(self, request: Request) -> None:
        (callback,) = request.words(1)
        self._serial += 1
        self.out += event(callback, 0, self._serial)
        self._free(callback)

    def _get_registry(self, request: Request) -> None:
        (registry,) = request.words(1)
        self._make(registry, "wl_registry")
        for name, interface in self._globals.items():
            self.out += event(registry, 0, name, interface, _GLOBALS[interface])

    def _bind(self, request: Request) -> None:
        (name,) = request.words(1)
        interface, at = request.text(4)
        if self._globals.get(name) != interface or len(request.body) < at + _BIND.size:
            raise PeerMisbehaved("wayland", f"there is no {interface} {name}")
        _, new = _BIND.unpack_from(request.body, at)
        self._make(new, interface)
        if interface == "wl_shm":
            for form in _FORMATS:
                self.out += event(new, 0, form)
        elif interface == "wl_seat":
            # It has neither pointer nor keyboard; but without a seat, a program that moves the pointer ends Xwayland.
            self.out += event(new, 0, 0)
        elif interface == "wl_output":
            self._outputs.append(new)
            self._describe(new)

    def _describe(self, output: int) -> None:
        width, height = self._size
        self.out += event(output, 0, 0, 0, round(width * 25.4 / 96), round(height * 25.4 / 96), 0, "odyssey", "vm", 0)
        self.out += event(output, 1, _CURRENT_PREFERRED, width, height, _RATE_MHZ)
        self.out += event(output, 3, 1)
        self.out += event(output, 2)

    def _get_device(self, request: Request) -> None:
        self._make(request.words(1)[0], "device")

    # --- memory ---

    def _create_pool(self, request: Request) -> None:
        (new,) = request.words(1)
        fd = self._inbox.take_fd()
        try:
            self._make(new, "wl_shm_pool", fd)
        except PeerMisbehaved:
            self._close(fd)
            raise

    def _create_buffer(self, request: Request) -> None:
        new, offset, width, height, stride, _ = request.words(6)
        pool = self._objects[request.object]
        # Xwayland makes a pool for each buffer, whose descriptor it then is.
        fd, pool.data = pool.data, -1
        self._made += 1
        memory = Memory(fd, offset, width, height, stride, self._made)
        try:
            self._make(new, "wl_buffer", memory)
        except PeerMisbehaved:
            self._let_go(memory)
            raise
        self._recent.append(memory)
        self._fresh = memory
        if len(self._recent) > _RECENT:
            self._let_go(self._recent.popleft())
        for surface in list(self._wanting):
            self._reconsider(surface)

    def _destroy_pool(self, request: Request) -> None:
        fd = self._objects[request.object].data
        if fd >= 0:
            self._close(fd)
        self._delete(request)

    def _destroy_buffer(self, request: Request) -> None:
        memory = self._data(request.object, "wl_buffer")
        self._delete(request)
        if memory is self._fresh:
            self._fresh = None
        if memory in self._recent:
            self._recent.remove(memory)
        if memory.surface is None:
            self._let_go(memory)
        else:
            fresh, self._fresh = self._fresh, None
            self._show(memory.surface, fresh)

    def _let_go(self, memory: Memory) -> None:
        if memory.fd >= 0:
            self._close(memory.fd)
            memory.fd = -1

    def _show(self, surface: Surface, memory: Memory | None) -> None:
        """That is where the window is drawn now."""
        if memory is not None:
            self._recent.remove(memory)
            memory.surface = surface
        before, surface.live = surface.live, memory
        self.changed[surface.id] = None
        if before is not None:
            before.surface = None
            self._let_go(before)
        self._reconsider(surface)

    def _reconsider(self, surface: Surface) -> None:
        """Whether it is drawn into what it is known to be, and if not, into which else."""
        live, wanted = surface.live, self._wanting.get(surface)
        if wanted is None:
            return
        if live is None or (live.width, live.height) == wanted:
            del self._wanting[surface]
            return
        for memory in self._recent:
            if memory.number > live.number and (memory.width, memory.height) == wanted:
                self._show(surface, memory)
                return

    # --- wl_surface ---

    def _create_surface(self, request: Request) -> None:
        (new,) = request.words(1)
        surface = Surface(new)
        self._make(new, "wl_surface", surface)
        self.surfaces[new] = surface
        self._show(surface, self._fresh)

    def _destroy_surface(self, request: Request) -> None:
        surface: Surface = self._data(request.object, "wl_surface")
        del self.surfaces[surface.id]
        self.changed[surface.id] = None
        self._wanting.pop(surface, None)
        if surface.live is not None:
            surface.live.surface = None
            self._let_go(surface.live)
        for callback in surface.callbacks:  # nobody waits for them any more, but their ids are in use until they come
            self.out += event(callback, 0, 0)
            self._free(callback)
        self._delete(request)

    def _attach(self, request: Request) -> None:
        (buffer,) = request.words(1)
        self._data(request.object, "wl_surface").attached = buffer

    def _frame(self, request: Request) -> None:
        (callback,) = request.words(1)
        self._data(request.object, "wl_surface").callbacks.append(callback)

    def _commit(self, request: Request) -> None:
        surface: Surface = self._data(request.object, "wl_surface")
        if surface.attached:
            self.out += event(surface.attached, 0)  # it holds a copy: Xwayland frees what is not used for a second
            surface.attached = 0
