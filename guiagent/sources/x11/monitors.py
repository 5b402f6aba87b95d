"""The VM's screen and its monitors are like the desktop's, as far as the X server has room.

Programs look at the screen's size, at outputs with modes, or at monitors (RandR 1.5), as old as they are. So the screen
gets its size, the first output a mode of that size, and each monitor of the desktop one here; RandR's monitors need no
output each.
"""

import logging
import sys
from collections.abc import Sequence
from struct import Struct
from typing import Any, Final

from Xlib import X
from Xlib.error import XError
from Xlib.ext import randr

from qubesdb.keys import Monitor
from shm.xconn import XConnection

_VERSION: Final = (1, 5)
_MM_PER_PIXEL: Final = 25.4 / 96
"""What programs take pixels for that they are told nothing about."""
_NAMES: Final = tuple(f"monitor-{number}" for number in range(1, 17))
_LEAST: Final = 64
_RATE_HZ: Final = 60
_NO_MODE: Final = 0

_SET_MONITOR: Final = Struct("=BBHIIBBHhhHHII")
_DELETE_MONITOR: Final = Struct("=BBHII")

log = logging.getLogger(__name__)


class Screen:
    """The screen of one X server."""

    def __init__(self, connection: XConnection) -> None:
        self._connection = connection
        self._display: Any = connection.display
        self._wire: Any = connection.display.display
        self._root = int(connection.display.screen().root.id)
        self._major = self._find()

    def arrange(self, monitors: Sequence[Monitor]) -> None:
        """Have these monitors, the main one first. What there is no room for is left out, with a line in the log."""
        if not self._major:
            log.warning("the X server lacks RandR %d.%d; its screen stays as it is", *_VERSION)
            return
        try:
            limits = self._ask(randr.GetScreenSizeRange, window=self._root)
            fitting = within(monitors, int(limits.max_width), int(limits.max_height))
            if fitting != tuple(monitors):
                log.warning("the X server has room for a screen of %d x %d only", limits.max_width, limits.max_height)
            self._change(fitting)
        except XError as error:
            log.warning("the screen could not be made like the desktop's: %s", error)

    def _find(self) -> int:
        """RandR's major opcode, 0 if there is none of the needed version."""
        found = self._display.query_extension("RANDR")
        if found is None or not found.present:
            return 0
        version = randr.QueryVersion(
            display=self._wire, opcode=int(found.major_opcode), major_version=_VERSION[0], minor_version=_VERSION[1]
        )
        return int(found.major_opcode) if (version.major_version, version.minor_version) >= _VERSION else 0

    def _ask(self, kind: Any, **fields: Any) -> Any:
        return kind(display=self._wire, opcode=self._major, **fields)

    def _change(self, monitors: Sequence[Monitor]) -> None:
        """Raises XError."""
        width, height = extent(monitors)
        found = self._ask(randr.GetScreenResourcesCurrent, window=self._root)
        outputs = [int(output) for output in found.outputs]
        # No grab: a program that has one would keep us from everything. In one piece, others rarely come in between.
        answers: list[Any] = []
        mode = _NO_MODE
        if not self._has_size(width, height, found):
            if outputs:
                mode = self._mode(outputs[0], width, height, found)
            answers += [self._crtc(int(crtc), found, _NO_MODE, ()) for crtc in found.crtcs]
            self._ask(
                randr.SetScreenSize, window=self._root, width=width, height=height,
                width_in_millimeters=_mm(width), height_in_millimeters=_mm(height),
            )  # fmt: skip
            answers += [self._crtc(int(crtc), found, mode, outputs[:1]) for crtc in found.crtcs[:1] if mode]
        self._show(monitors, outputs[:1])
        for answer in answers:
            answer.reply()
        if mode:
            self._forget_modes(outputs[0], mode, found)
        self._connection.sync()

    def _has_size(self, width: int, height: int, found: Any) -> bool:
        root = self._display.screen().root.get_geometry()
        crtcs = [
            self._ask(randr.GetCrtcInfo, crtc=crtc, config_timestamp=found.config_timestamp) for crtc in found.crtcs
        ]
        shown = [(int(crtc.width), int(crtc.height)) for crtc in crtcs if crtc.mode]
        return (int(root.width), int(root.height)) == (width, height) and shown in ([], [(width, height)])

    def _crtc(self, crtc: int, found: Any, mode: int, outputs: Sequence[int]) -> Any:
        """Queued; `reply` waits for it, and raises XError."""
        return self._ask(
            randr.SetCrtcConfig, defer=True, crtc=crtc, timestamp=X.CurrentTime, outputs=list(outputs),
            config_timestamp=found.config_timestamp, x=0, y=0, mode=mode, rotation=randr.Rotate_0,
        )  # fmt: skip

    def _mode(self, output: int, width: int, height: int, found: Any) -> int:
        for mode in found.modes:
            if (mode.width, mode.height) == (width, height):
                return int(mode.id)
        name = _mode_name(width, height)
        shape = dict.fromkeys(
            ("id", "h_sync_start", "h_sync_end", "h_skew", "v_sync_start", "v_sync_end", "flags"), 0
        ) | {
            "width": width, "height": height, "dot_clock": width * height * _RATE_HZ,
            "h_total": width, "v_total": height, "name_length": len(name),
        }  # fmt: skip
        made = int(self._ask(randr.CreateMode, window=self._root, mode=shape, name=name).mode)
        self._ask(randr.AddOutputMode, output=output, mode=made)
        return made

    def _forget_modes(self, output: int, kept: int, found: Any) -> None:
        """Those that were made here for earlier sizes: a window with a desktop in it has many."""
        names, at = str(found.names), 0
        for mode in found.modes:
            name = names[at : at + mode.name_length]
            at += mode.name_length
            if mode.id != kept and name == _mode_name(mode.width, mode.height):
                self._ask(randr.DeleteOutputMode, output=output, mode=int(mode.id))
                self._ask(randr.DestroyMode, mode=int(mode.id))

    def _show(self, monitors: Sequence[Monitor], outputs: Sequence[int]) -> None:
        """In place of those before. The first one owns the outputs, which else were monitors by themselves."""
        there = {int(known.name) for known in self._ask(randr.GetMonitors, window=self._root, is_active=0).monitors}
        names = [int(self._display.get_atom(name)) for name in _NAMES]
        for atom in there.intersection(names):  # X does not replace one
            self._connection.send_raw(_DELETE_MONITOR.pack(self._major, 44, 3, self._root, atom), 1)
        for number, (atom, monitor) in enumerate(zip(names, monitors, strict=False)):
            owned = outputs if number == 0 else ()
            width, height = monitor.width, monitor.height
            mm = monitor.mm_width or _mm(width), monitor.mm_height or _mm(height)
            self._connection.send_raw(
                _SET_MONITOR.pack(
                    self._major, 43, 8 + len(owned), self._root, atom, number == 0, False, len(owned),
                    monitor.x, monitor.y, width, height, *mm,
                ) + b"".join(int(output).to_bytes(4, sys.byteorder) for output in owned),
                1,
            )  # fmt: skip


def fit(display: str, size: tuple[int, int]) -> None:
    """Give the X server a screen of that size with one monitor. Raises MachineCannot if there is no X server."""
    connection = XConnection(display)
    try:
        Screen(connection).arrange([Monitor(*size, 0, 0)])
    finally:
        connection.close()


def within(monitors: Sequence[Monitor], width: int, height: int) -> tuple[Monitor, ...]:
    """The parts of them inside a screen of that size: never none."""
    parts = tuple(
        Monitor(
            min(monitor.width, width - monitor.x), min(monitor.height, height - monitor.y), monitor.x, monitor.y,
            monitor.mm_width, monitor.mm_height,
        )
        for monitor in monitors
        if monitor.x < width and monitor.y < height
    )  # fmt: skip
    return parts or (Monitor(width, height, 0, 0),)


def extent(monitors: Sequence[Monitor]) -> tuple[int, int]:
    """The size of the smallest screen that they fit on."""
    right = max(monitor.x + monitor.width for monitor in monitors)
    bottom = max(monitor.y + monitor.height for monitor in monitors)
    return max(_LEAST, right), max(_LEAST, bottom)


def _mode_name(width: int, height: int) -> str:
    return f"vm-{width}x{height}"


def _mm(pixels: int) -> int:
    return round(pixels * _MM_PER_PIXEL)
