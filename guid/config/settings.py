"""What a user may choose about a VM's windows, by the names of guid.toml; each value is checked where it enters.

Names that Qubes' guid.conf has too mean the same there.
"""

import dataclasses
import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from guid.core.key_sequence import KeySequence
from guid.hosts.keysyms import keysym
from guiproto.errors import MachineCannot
from guiproto.limits import CLIPBOARD_DEFAULT, CLIPBOARD_MAX, CLIPBOARD_MIN
from qubesdb.keys import KEYBOARD_LAYOUT

_COLOR: Final = re.compile(r"(#|0x)[0-9A-Fa-f]{6}")

Check = Callable[[Any], str]
"""What is wrong with a value of the right type: "" if nothing, else how to put it right."""


def _between(low: int, high: int) -> Check:
    return lambda value: "" if low <= value <= high else f"choose {low} to {high}"


def _one_of(*choices: str) -> Check:
    return lambda value: "" if value in choices else f"choose {', '.join(choices[:-1])} or {choices[-1]}"


def _is_key_sequence(value: str) -> str:
    try:
        sequence = KeySequence.parse(value)
    except ValueError as error:
        return str(error)
    if sequence is not None and not keysym(sequence.key):
        return f"there is no key called {sequence.key!r}; xev shows what keys are called"
    return ""


def _is_color(value: str) -> str:
    return "" if _COLOR.fullmatch(value) else "write six hexadecimal digits as in #808080 or 0x808080"


def _is_layout(value: str) -> str:
    try:
        KEYBOARD_LAYOUT.parse(value.encode())
    except ValueError as error:
        return f"{error}; choose desktop, nothing, or LAYOUT+VARIANT+OPTIONS as in de+nodeadkeys"
    return ""


def _setting(default: Any, about: str, check: Check = lambda _: "", *, live: bool = False) -> Any:
    """`live`: a change counts at once for a VM that is shown, see `Worker`; if not, when its worker starts again."""
    return dataclasses.field(default=default, metadata={"about": about, "check": check, "live": live})


@dataclass(frozen=True, slots=True)
class VmSettings:
    """One VM's. The defaults are those of a VM about which nothing is said anywhere."""

    border_width: int = _setting(3, "width of the coloured border, in pixels", _between(1, 64), live=True)
    border: str = _setting(
        "all", "which windows get our border; the window manager frames the others",
        _one_of("all", "override-redirect"), live=True,
    )  # fmt: skip
    title_prefix: bool = _setting(True, "[NAME] in front of titles", live=True)
    allow_utf8_titles: bool = _setting(False, "titles in other scripts than ASCII", live=True)
    allow_fullscreen: bool = _setting(False, "windows may hide their border by going fullscreen", live=True)
    override_redirect: str = _setting(
        "allow", "windows that no window manager minds, as menus", _one_of("allow", "disabled"), live=True
    )
    notifications: bool = _setting(True, "what guid refuses the VM is told on the desktop, not only logged", live=True)
    override_redirect_protection: bool = _setting(True, "these may not cover nearly all of the screen together")
    screensaver_names: str = _setting(
        "xscreensaver, xscreensaver-gfx, xscreensaver-auth, xsecurelock, i3lock, slock, xlock, xfce4-screensaver, "
        "light-locker, mate-screensaver, cinnamon-screensaver, gnome-screensaver, kscreenlocker_greet",
        "screen lockers that no menu may appear above, by the first name in their WM_CLASS, with commas between",
    )
    window_icons: str = _setting(
        "vm", "what task bars show for its windows: their own icons in the label's colours, or the label's padlock",
        _one_of("vm", "label"), live=True,
    )  # fmt: skip
    trayicon_mode: str = _setting(
        "tint+border1",
        "how icons in the notification area show whose they are: in their VM's colours, by a border, or both",
        _one_of("tint", "tint+border1", "tint+border2", "border1", "border2"),
    )
    secure_copy_sequence: str = _setting(
        "Ctrl-Shift-c",
        "keys that copy a VM's clipboard for another VM; none for no such keys",
        _is_key_sequence,
        live=True,
    )
    secure_paste_sequence: str = _setting(
        "Ctrl-Shift-v",
        "keys that give a VM what was copied; none for no such keys",
        _is_key_sequence,
        live=True,
    )
    max_clipboard_size: int = _setting(
        CLIPBOARD_DEFAULT,
        "most bytes that are copied from it at once",
        _between(CLIPBOARD_MIN, CLIPBOARD_MAX),
        live=True,
    )

    max_windows: int = _setting(
        2000,
        "most windows at a time, with those that are hidden; further ones are not shown",
        _between(10, 20_000),
        live=True,
    )
    max_window_memory: int = _setting(
        2048,
        "most MiB of all its windows' pixels, which count four times with a `scale`; windows beyond that stay empty",
        _between(16, 65_536),
        live=True,
    )
    max_tray_icons: int = _setting(
        32, "most icons in the notification area; further ones are not shown", _between(0, 256), live=True
    )
    max_message_rate: int = _setting(
        50_000,
        "most messages a second, of which one that makes or changes a window counts as ten; more are read later",
        _between(1000, 10_000_000),
        live=True,
    )

    keyboard_layout: str = _setting(
        "desktop", 'the keyboard: "desktop" follows the desktop\'s, "" leaves it alone', _is_layout
    )

    follow_screen: bool = _setting(True, "the VM's screen and monitors are like the desktop's, also when those change")

    window_background_color: str = _setting(
        "#808080", "what a window shows where its VM has not drawn yet, as #RRGGBB or 0xRRGGBB", _is_color
    )

    scale: int = _setting(1, "windows are shown so many times as large, for displays of small pixels", _between(1, 4))

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if type(value) is not type(field.default):
                raise MachineCannot(f"{field.name} is {value!r}", f"it must be {_KINDS[type(field.default)]}")
            if remedy := field.metadata["check"](value):
                raise MachineCannot(f"{field.name} is {value!r}", remedy)

    @property
    def background_rgb(self) -> int:
        """`window_background_color` as 0xRRGGBB."""
        return int(self.window_background_color.lstrip("#"), 16)

    def but(self, changes: Mapping[str, Any]) -> Self:
        """With other values. Raises MachineCannot for a name that there is none of, and for a bad value."""
        for name in changes:
            if name not in ABOUT:
                near = difflib.get_close_matches(name, ABOUT, 1)
                remedy = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(ABOUT)}"
                raise MachineCannot(f"there is no setting {name!r}", remedy)
        return dataclasses.replace(self, **changes)


_KINDS: Final = {bool: "true or false", int: "a number", str: "text in quotes"}

ABOUT: Final[Mapping[str, str]] = {field.name: field.metadata["about"] for field in dataclasses.fields(VmSettings)}
"""Every setting and what it is."""

LIVE: Final = frozenset(field.name for field in dataclasses.fields(VmSettings) if field.metadata["live"])
"""Those of which a change counts at once."""
