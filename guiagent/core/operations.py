"""What the core wants done to a window. A daemon's message that concerns a known window is its own operation."""

from typing import NamedTuple

from guiagent.core.buffers import Buffer
from guiproto.messages import (
    Button,
    Close,
    Configure,
    Crossing,
    Focus,
    KeymapNotify,
    KeyPress,
    Map,
    Motion,
    WindowFlags,
)


class Capture(NamedTuple):
    """Keep the pixels of this mapped window in a new buffer of its present size, in place of the one it had."""

    window: int
    audience: int = 0
    """Whose buffer it is to be."""


class Forget(NamedTuple):
    """Nobody reads this buffer any more: stop writing to it and take its pages back."""

    buffer: Buffer


class ReleaseAll(NamedTuple):
    """The desktop is gone: no key and no button is held any more."""


Operation = (
    Capture | Forget | ReleaseAll | KeyPress | Button | Motion | Crossing | Focus | KeymapNotify | Close | Configure
    | Map | WindowFlags
)  # fmt: skip
