"""What a user may choose about a VM's windows, by the names of guid.toml; each value is checked where it enters.

Names that Qubes' guid.conf has too mean the same there.
"""

import dataclasses
import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from guiproto.errors import MachineCannot
from qubesdb.keys import KEYBOARD_LAYOUT

_COLOR: Final = re.compile(r"(#|0x)[0-9A-Fa-f]{6}")

Check = Callable[[Any], str]
"""What is wrong with a value of the right type: "" if nothing, else how to put it right."""


def _between(low: int, high: int) -> Check:
    return lambda value: "" if low <= value <= high else f"choose {low} to {high}"


def _one_of(*choices: str) -> Check:
    return lambda value: "" if value in choices else f"choose {', '.join(choices[:-1])} or {choices[-1]}"


def _is_color(value: str) -> str:
    return "" if _COLOR.fullmatch(value) else "write six hexadecimal digits as in #808080 or 0x808080"


def _is_layout(value: str) -> str:
    try:
        KEYBOARD_LAYOUT.parse(value.encode())
    except ValueError as error:
        return f"{error}; choose desktop, nothing, or LAYOUT+VARIANT+OPTIONS as in de+nodeadkeys"
    return ""


def _setting(default: Any, about: str, check: Check = lambda _: "") -> Any:
    return dataclasses.field(default=default, metadata={"about": about, "check": check})


@dataclass(frozen=True, slots=True)
class VmSettings:
    """One VM's. The defaults are those of a VM about which nothing is said anywhere."""

    border_width: int = _setting(3, "width of the coloured border, in pixels", _between(1, 64))
    border: str = _setting(
        "all", "which windows get our border; the window manager frames the others", _one_of("all", "override-redirect")
    )
    title_prefix: bool = _setting(True, "[NAME] in front of titles")
    allow_utf8_titles: bool = _setting(False, "titles in other scripts than ASCII")
    allow_fullscreen: bool = _setting(False, "windows may hide their border by going fullscreen")
    override_redirect: str = _setting(
        "allow", "windows that no window manager minds, as menus", _one_of("allow", "disabled")
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
