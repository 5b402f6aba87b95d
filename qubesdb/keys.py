"""The entries that the GUI knows, by the names that Qubes gives them, each with what its value may be.

Values are text of whoever could write them. Nothing uses one that has not been through `Key.parse`, whose errors never
repeat it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

_LAYOUTS: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_(),-]{0,127}")
_VARIANTS: Final = re.compile(r"[A-Za-z0-9_,][A-Za-z0-9_(),.-]{0,127}|")
_OPTIONS: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_:(),.-]{0,255}|")
_USER: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,9}")
_MAX_VIDEORAM_KIB: Final = 4 << 20
_MAX_MONITORS: Final = 16
_MAX_SIDE: Final = 32767


@dataclass(frozen=True, slots=True)
class Key(Generic[T]):
    """An entry: its path, and what turns its text into a value or raises ValueError."""

    path: str
    read: Callable[[str], T]

    def parse(self, raw: bytes) -> T:
        """Raises ValueError for what the entry must not hold."""
        try:
            return self.read(raw.decode("ascii"))
        except UnicodeDecodeError:
            raise ValueError("it is not ASCII") from None


@dataclass(frozen=True, slots=True)
class Layout:
    """A keyboard's, in the words of XKB; each may be a list with commas, variant and options may be empty."""

    layout: str
    variant: str = ""
    options: str = ""

    def __str__(self) -> str:
        """As the entry has it."""
        return f"{self.layout}+{self.variant}+{self.options}".rstrip("+")


@dataclass(frozen=True, slots=True)
class Monitor:
    """A part of the screen, in pixels, and its size in millimetres, 0 where nothing is said of that."""

    width: int
    height: int
    x: int
    y: int
    mm_width: int = 0
    mm_height: int = 0

    def __str__(self) -> str:
        """As a line of the entry."""
        return f"{self.width} {self.height} {self.x} {self.y} {self.mm_width} {self.mm_height}"


def _number(limit: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not _NUMBER.fullmatch(text) or int(text) > limit:
            raise ValueError(f"it is no number from 0 to {limit}")
        return int(text)

    return read


def _flag(text: str) -> bool:
    """Qubes writes the words; programs of ours and of others also the digits."""
    if text not in ("True", "1", "False", "0"):
        raise ValueError("it is neither True nor False")
    return text in ("True", "1")


def _layout(text: str) -> Layout:
    """LAYOUT+VARIANT+OPTIONS, the last two optional; nothing at all is `us`, as in Qubes."""
    parts = (text or "us").split("+")
    if len(parts) > 3:
        raise ValueError("it has more than LAYOUT+VARIANT+OPTIONS")
    layout, variant, options = (*parts, "", "")[:3]
    for part, form, what in (
        (layout, _LAYOUTS, "layout"),
        (variant, _VARIANTS, "variant"),
        (options, _OPTIONS, "options"),
    ):
        if not form.fullmatch(part):
            raise ValueError(f"its {what} cannot be one of XKB's names")
    return Layout(layout, variant, options)


def _monitors(text: str) -> tuple[Monitor, ...]:
    """Lines of WIDTH HEIGHT X Y, each with or without WIDTH and HEIGHT in millimetres; as qubes.SetMonitorLayout's."""
    lines = text.rstrip("\n").split("\n")
    if not 1 <= len(lines) <= _MAX_MONITORS:
        raise ValueError(f"it has not 1 to {_MAX_MONITORS} lines")
    return tuple(_monitor(line) for line in lines)


def _monitor(line: str) -> Monitor:
    words = line.split(" ")
    if len(words) not in (4, 6) or not all(_NUMBER.fullmatch(word) and int(word) <= _MAX_SIDE for word in words):
        raise ValueError(f"its lines are not WIDTH HEIGHT X Y or six numbers, from 0 to {_MAX_SIDE}")
    monitor = Monitor(*map(int, words))
    if not monitor.width or not monitor.height:
        raise ValueError("its monitors are not all larger than nothing")
    return monitor


def _source(text: str) -> str:
    if text not in GUEST_COPIES:
        raise ValueError(f"it is none of {', '.join(GUEST_COPIES)}")
    return text


def _user(text: str) -> str:
    if not _USER.fullmatch(text):
        raise ValueError("it is no user's name")
    return text


GUI_DOMAIN: Final = Key("/qubes-gui-domain-xid", _number(0xFFFF))
"""The id of the domain that shows the VM's windows. Written by the admin side."""
GUI_NEXT: Final = Key("/odyssey-gui-domain-next", _number(0xFFFF))
"""The id of the domain that is about to have them: an agent lets it connect as well, and tells it of every window. When
GUI_DOMAIN becomes the same, that one alone has them. Not one of Qubes' entries. Written by the admin side."""
GUI_ENABLED: Final = Key("/qubes-gui-enabled", _flag)
"""Whether an agent is to serve; where there is no such entry it is. Written by the admin side."""
KEYBOARD_LAYOUT: Final = Key("/keyboard-layout", _layout)
"""Followed live. Written by the admin side."""
MONITORS: Final = Key("/odyssey-monitors", _monitors)
"""The monitors that the VM's programs are to see, the first of which is the main one. Followed live. Not one of Qubes'
entries, whose VMs are told by a service of their own. Written by the admin side."""
VIDEORAM_MIN: Final = Key("/qubes-gui-videoram-min", _number(_MAX_VIDEORAM_KIB))
"""KiB that the VM's screen has to have room for at least. Written by the admin side."""
VIDEORAM_OVERHEAD: Final = Key("/qubes-gui-videoram-overhead", _number(_MAX_VIDEORAM_KIB))
"""KiB on top of what the screen needs. Written by the admin side."""
DEFAULT_USER: Final = Key("/default-user", _user)
"""Whose applications they are. Written by the admin side."""
SOURCE: Final = Key("/odyssey-source", _source)
"""Where the agent has its windows from, which says how often a frame is copied inside the VM. Not one of Qubes'
entries. Written by the VM."""
GUEST_COPIES: Final[Mapping[str, int]] = {"x11": 1, "xwayland": 0}
KNOWN: Final[Mapping[str, Key[Any]]] = {
    key.path: key
    for key in (
        GUI_DOMAIN, GUI_ENABLED, KEYBOARD_LAYOUT, MONITORS, VIDEORAM_MIN, VIDEORAM_OVERHEAD, DEFAULT_USER, SOURCE
    )
}  # fmt: skip
"""All of them by path."""
NAME: Final = "/name"
VM_TYPE: Final = "/qubes-vm-type"
