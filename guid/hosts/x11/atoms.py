"""Every atom that the host uses has its number before the first window is made, at the cost of one round trip."""

from typing import Any, Final

from Xlib.protocol import request

from shm.xconn import XConnection

NAMES: Final = (
    "MANAGER",
    "UTF8_STRING",
    "WM_CHANGE_STATE",
    "WM_DELETE_WINDOW",
    "WM_PROTOCOLS",
    "_NET_CURRENT_DESKTOP",
    "_NET_SUPPORTING_WM_CHECK",
    "_NET_SYSTEM_TRAY_OPCODE",
    "_NET_SYSTEM_TRAY_S0",
    "_NET_WM_ICON",
    "_NET_WM_ICON_NAME",
    "_NET_WM_NAME",
    "_NET_WM_PID",
    "_NET_WM_PING",
    "_NET_WM_STATE",
    "_NET_WM_STATE_DEMANDS_ATTENTION",
    "_NET_WM_STATE_FULLSCREEN",
    "_NET_WM_STATE_HIDDEN",
    "_NET_WM_STATE_MAXIMIZED_HORZ",
    "_NET_WM_STATE_MAXIMIZED_VERT",
    "_NET_WM_USER_TIME",
    "_NET_WM_WINDOW_TYPE",
    "_NET_WM_WINDOW_TYPE_DIALOG",
    "_NET_WM_WINDOW_TYPE_NORMAL",
    "_NET_WM_WINDOW_TYPE_POPUP_MENU",
    "_NET_WORKAREA",
    "_QUBES_LABEL",
    "_QUBES_LABEL_COLOR",
    "_QUBES_VMNAME",
    "_QUBES_VMWINDOWID",
    "_XEMBED_INFO",
    "_XKB_RULES_NAMES",
)


class Atoms:
    """Atom numbers by name; KeyError for a name that is not in NAMES."""

    def __init__(self, connection: XConnection) -> None:
        wire: Any = connection.display.display
        questions = [request.InternAtom(display=wire, defer=True, name=name, only_if_exists=0) for name in NAMES]
        connection.sync()
        self._numbers = {name: int(question.atom) for name, question in zip(NAMES, questions, strict=True)}

    def __getitem__(self, name: str) -> int:
        return self._numbers[name]
