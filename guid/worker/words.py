"""What a process of a VM may say to the supervisor. It has read a VM's bytes, so nothing else is believed of it.

Values are plain and flat: nothing that nests gets to the supervisor's callers.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from guid.control import Message
from guid.core.config import Limit

Fits = Callable[[Any], bool]
Shape = Mapping[str, Fits]


def is_word(message: Message) -> bool:
    """Whether it is one of those below."""
    event = message.get("event")
    shape = WORDS.get(event) if isinstance(event, str) else None
    return shape is not None and _has(shape, message)


def _has(shape: Shape, message: Mapping[str, Any]) -> bool:
    return all(fits(message.get(key)) for key, fits in shape.items())


def _number(value: Any) -> bool:
    return type(value) is int


def _text(value: Any) -> bool:
    return type(value) is str


def _truth(value: Any) -> bool:
    return type(value) is bool


def _or_none(fits: Fits) -> Fits:
    return lambda value: value is None or fits(value)


def _list_of(fits: Fits) -> Fits:
    return lambda value: isinstance(value, list) and all(map(fits, value))


def _rows(shape: Shape) -> Fits:
    def fits(row: Any) -> bool:
        return isinstance(row, dict) and row.keys() == shape.keys() and _has(shape, row)

    return _list_of(fits)


WINDOW: Final[Shape] = {
    **dict.fromkeys(("remote_id", "local_id", "x", "y", "width", "height", "domid", "damage_rects"), _number),
    **dict.fromkeys(("transient_for", "buffer_width", "buffer_height", "copies_per_frame"), _or_none(_number)),
    **dict.fromkeys(("mapped", "override_redirect", "docked"), _truth),
    **dict.fromkeys(("vm", "label_color", "title"), _text),
}
"""A row of `guid windows --json`."""

USAGE: Final[Shape] = dict.fromkeys(Limit, _number)
"""How much of its limits a VM uses, by the names of the settings."""

WORDS: Final[Mapping[str, Shape]] = {
    "ready": {},
    "connected": {"version": _text},
    "disconnected": {},
    "released": {},
    "ended": {"kind": _or_none(_text), "reason": _or_none(_text)},
    "log": {"level": lambda value: _number(value) and 0 <= value <= 50, "text": _text},
    "notify": {"text": _text},
    "limit": {"limit": lambda value: value in list(Limit)},
    "copying": {},
    "copied": {"size": _number},
    "not copied": {},
    "pasting": {},
    "desktop": {"layout": _text, "monitors": _text},
    "windows": {"id": _number, "rows": _rows(WINDOW)},
    "usage": {"id": _number, "rows": _rows(USAGE)},
    "shown": {"windows": _list_of(_number)},
    "complete": {"windows": _list_of(_number)},
}
"""By event: the fields of which more is used than that they are there."""

COSTS: Final[Mapping[str, float]] = {
    "copying": 20.0, "copied": 20.0, "not copied": 20.0, "pasting": 20.0,  # a user's keys
    "desktop": 4.0,
}  # fmt: skip
"""What a word costs the supervisor that counts as more than one, in words."""
