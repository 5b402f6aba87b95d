"""The properties of a window say truthfully which VM it belongs to; what the VM says itself comes behind its name.

Names and formats of the _QUBES_* properties are those that window managers patched for Qubes read. Functions return
the requests; nothing is sent here.
"""

import os
import socket
from struct import Struct
from typing import Final

from Xlib import Xatom

from guid.core.trusted import HintFlags, Icon, SizeHints, Title, WindowClass
from guid.hosts.base import HostConfig
from guid.hosts.x11.atoms import Atoms
from guid.hosts.x11.frame import Frame
from guid.hosts.x11.icon import label_icon, tinted_icon
from guid.hosts.x11.requests import change_property, delete_property

_CARDINAL: Final = Struct("=I")
_CARDINALS: Final = Struct("=II")
_WM_HINTS: Final = Struct("=9I")
_WM_NORMAL_HINTS: Final = Struct("=18I")

_INPUT_HINT: Final = 1
_STATE_HINT: Final = 2
_GROUP_HINT: Final = 64
_URGENCY_HINT: Final = 256
_NORMAL_STATE: Final = 1
_ICONIC_STATE: Final = 3
_WIN_GRAVITY: Final = 512
_STATIC: Final = 10
"""Coordinates of a configure request are the window's own, and not those of a window manager's frame around it."""
_XEMBED_MAPPED: Final = 1


class Properties:
    """Writes the properties of one VM's windows."""

    def __init__(self, atoms: Atoms, config: HostConfig, leader: int) -> None:
        """`leader`: a window that stands for all of them. Window managers know by it what belongs together."""
        self._atoms = atoms
        self._leader = leader
        self.config = config
        self._machine = socket.gethostname().encode()
        self._pid = os.getpid()
        self._icon = label_icon(config.label.color)

    def identity(self, frame: Frame, window: int) -> list[bytes]:
        """What is fixed for the window's life."""
        atoms, config, outer = self._atoms, self.config, frame.outer
        protocols = _CARDINALS.pack(atoms["WM_DELETE_WINDOW"], atoms["_NET_WM_PING"])
        name = config.vm_name
        return [
            change_property(outer, atoms["_QUBES_VMNAME"], Xatom.STRING, 8, name.encode()),
            change_property(outer, atoms["_QUBES_LABEL"], Xatom.CARDINAL, 8, bytes((config.label.index & 0xFF,))),
            self._number(outer, "_QUBES_LABEL_COLOR", Xatom.CARDINAL, config.label.color),
            self._number(outer, "_QUBES_VMWINDOWID", Xatom.WINDOW, window),
            self._number(outer, "_NET_WM_PID", Xatom.CARDINAL, self._pid),
            change_property(outer, Xatom.WM_CLIENT_MACHINE, Xatom.STRING, 8, self._machine),
            change_property(outer, atoms["WM_PROTOCOLS"], Xatom.ATOM, 32, protocols),
            *self.window_class(frame, WindowClass(name, name)),
            *self.title(frame, Title("")),
        ]

    def title(self, frame: Frame, title: Title) -> list[bytes]:
        """The title in the old and in the new properties, for the window and for its icon."""
        text = f"[{self.config.vm_name}] {title.text}" if self.config.title_prefix else title.text
        latin, utf8 = text.encode("latin-1", "replace"), text.encode()
        atoms, outer = self._atoms, frame.outer
        return [
            change_property(outer, Xatom.WM_NAME, Xatom.STRING, 8, latin),
            change_property(outer, atoms["_NET_WM_NAME"], atoms["UTF8_STRING"], 8, utf8),
            change_property(outer, Xatom.WM_ICON_NAME, Xatom.STRING, 8, latin),
            change_property(outer, atoms["_NET_WM_ICON_NAME"], atoms["UTF8_STRING"], 8, utf8),
        ]

    def window_class(self, frame: Frame, name: WindowClass) -> list[bytes]:
        """WM_CLASS. The VM's name comes first, so that no VM can pass for a screen locker or a panel."""
        vm = self.config.vm_name
        data = b"".join(f"{vm}:{part}".encode("latin-1", "replace") + b"\0" for part in (name.name, name.class_))
        return [change_property(frame.outer, Xatom.WM_CLASS, Xatom.STRING, 8, data)]

    def size_hints(self, frame: Frame, hints: SizeHints | None) -> list[bytes]:
        """WM_NORMAL_HINTS of the outer window: the content's, grown by the border."""
        around = 2 * frame.border
        hints = hints or SizeHints(HintFlags(0))
        flags = hints.flags
        base = (hints.base_width, hints.base_height)
        if HintFlags.P_RESIZE_INC in flags and not flags & (HintFlags.P_BASE_SIZE | HintFlags.P_MIN_SIZE):
            # Without a base, increments would count from an outer size of 0.
            flags |= HintFlags.P_BASE_SIZE

        def grown(flag: HintFlags, width: int, height: int) -> tuple[int, int]:
            return (width + around, height + around) if flag in flags else (0, 0)

        data = _WM_NORMAL_HINTS.pack(
            flags | _WIN_GRAVITY, 0, 0, 0, 0,
            *grown(HintFlags.P_MIN_SIZE, hints.min_width, hints.min_height),
            *grown(HintFlags.P_MAX_SIZE, hints.max_width, hints.max_height),
            hints.width_inc, hints.height_inc, 0, 0, 0, 0,
            *grown(HintFlags.P_BASE_SIZE, *base),
            _STATIC,
        )  # fmt: skip
        return [change_property(frame.outer, Xatom.WM_NORMAL_HINTS, Xatom.WM_SIZE_HINTS, 32, data)]

    def wm_hints(self, frame: Frame, *, urgent: bool, iconic: bool) -> list[bytes]:
        """WM_HINTS: it takes the keyboard, is one of this VM's, and may want attention or start as an icon."""
        flags = _INPUT_HINT | _STATE_HINT | _GROUP_HINT | (_URGENCY_HINT if urgent else 0)
        state = _ICONIC_STATE if iconic else _NORMAL_STATE
        data = _WM_HINTS.pack(flags, 1, state, 0, 0, 0, 0, 0, self._leader)
        return [change_property(frame.outer, Xatom.WM_HINTS, Xatom.WM_HINTS, 32, data)]

    def states(self, frame: Frame, states: set[int]) -> list[bytes]:
        """_NET_WM_STATE, for a window that no window manager minds yet."""
        data = b"".join(map(_CARDINAL.pack, sorted(states)))
        return [change_property(frame.outer, self._atoms["_NET_WM_STATE"], Xatom.ATOM, 32, data)]

    def transient_for(self, frame: Frame, other: Frame | None) -> list[bytes]:
        """WM_TRANSIENT_FOR: `other`, or nothing."""
        if other is None:
            return [delete_property(frame.outer, Xatom.WM_TRANSIENT_FOR)]
        return [self._number_of(frame.outer, Xatom.WM_TRANSIENT_FOR, Xatom.WINDOW, other.outer)]

    def icon(self, frame: Frame, icon: Icon | None) -> list[bytes]:
        """_NET_WM_ICON, for windows that task bars list: the VM's in the label's colours, the label's own if None."""
        data = self._icon if icon is None else tinted_icon(icon, self.config.label.color)
        return [change_property(frame.outer, self._atoms["_NET_WM_ICON"], Xatom.CARDINAL, 32, data)]

    def window_type(self, frame: Frame, kind: str) -> list[bytes]:
        """_NET_WM_WINDOW_TYPE: NORMAL, DIALOG or POPUP_MENU."""
        value = self._atoms[f"_NET_WM_WINDOW_TYPE_{kind}"]
        return [self._number(frame.outer, "_NET_WM_WINDOW_TYPE", Xatom.ATOM, value)]

    def embedding(self, frame: Frame) -> list[bytes]:
        """_XEMBED_INFO: version 0, wants to be mapped."""
        kind = self._atoms["_XEMBED_INFO"]
        return [change_property(frame.outer, kind, kind, 32, _CARDINALS.pack(0, _XEMBED_MAPPED))]

    def _number(self, outer: int, name: str, kind: int, value: int) -> bytes:
        return self._number_of(outer, self._atoms[name], kind, value)

    def _number_of(self, outer: int, name: int, kind: int, value: int) -> bytes:
        return change_property(outer, name, kind, 32, _CARDINAL.pack(value))
