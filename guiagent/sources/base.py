"""What a source of windows must do. The core decides; a source reports windows and carries operations out.

A source owns the pixels: it shares buffers with the GUI domain through a `PageSharer`, fills them (or lets programs
fill them: one that copies nothing shares the programs' own memory), and says when a part is complete. It never blocks
for long, and no window that vanishes in the middle of anything may end it.

An audience is a GUI domain that sees the windows, with buffers of its own. A source is made with one, number 0; there
are two while the windows move from one GUI domain to another.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from backends.base import PageSharer
from guiagent.core.buffers import Buffer
from guiagent.core.operations import Capture, Forget, Operation, ReleaseAll
from guiagent.core.source_events import (
    Classified,
    Configured,
    Created,
    CursorShown,
    Destroyed,
    Docked,
    FrameReady,
    Hinted,
    Mapped,
    Rect,
    SizeHints,
    SourceEvent,
    StateWished,
    Titled,
    TransientFor,
    Unmapped,
)
from guiproto.icons import WindowIcon
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
from qubesdb.keys import Layout, Monitor

__all__ = [
    "Buffer",
    "Capture",
    "Classified",
    "Clipboard",
    "Configured",
    "Created",
    "CursorShown",
    "Destroyed",
    "Docked",
    "Forget",
    "FrameReady",
    "Hinted",
    "Icons",
    "LayoutChanger",
    "Mapped",
    "Operation",
    "Rect",
    "ReleaseAll",
    "SizeHints",
    "Source",
    "SourceEvent",
    "StateWished",
    "Titled",
    "TransientFor",
    "Unmapped",
]


class LayoutChanger(ABC):
    """Changes the layout of the VM's keyboard while the loop goes on: `fileno` polls readable for `proceed`."""

    @abstractmethod
    def fileno(self) -> int:
        """Its number does not change until `close`."""

    @abstractmethod
    def set(self, layout: Layout) -> None:
        """Have the display server use it soon. What does not work is logged, and the layout stays."""

    @abstractmethod
    def proceed(self) -> None:
        """Go on with what `set` has begun."""

    @abstractmethod
    def close(self) -> None:
        """Give up what is under way."""


class Clipboard(ABC):
    """The clipboard of the VM's programs, while the loop goes on: `fileno` polls readable for `proceed`.

    Text is UTF-8 on this side. No program can keep it from answering, or make it wait.
    """

    @abstractmethod
    def fileno(self) -> int:
        """Its number does not change until `close`."""

    @abstractmethod
    def fetch(self, most: int, answer: Callable[[bytes], None]) -> None:
        """Find out what programs have in the clipboard. `answer` is called once, maybe at once, within some seconds.

        It gets no bytes if there is no text or no answer, and `most` + 1 bytes of anything if there are more than
        `most` bytes. What is asked for again meanwhile gets an answer as well.
        """

    @abstractmethod
    def offer(self, text: bytes) -> None:
        """Have programs find this when they paste, until another one copies something or it has not been wanted for
        some time. Of bytes that are no UTF-8, and of control characters but tab and newline, they find U+FFFD.
        """

    @abstractmethod
    def proceed(self) -> None:
        """Go on with what was begun, as far as possible without waiting."""

    @abstractmethod
    def patience(self) -> float | None:
        """Seconds after which `proceed` has something to do even if `fileno` is not readable."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything; what was fetched is not answered any more."""


class Icons(ABC):
    """The icons of windows, while the loop goes on: `fileno` polls readable for `proceed`.

    Programs can neither make anybody wait for an icon nor have more of one read than an icon may have.
    """

    @abstractmethod
    def fileno(self) -> int:
        """Its number does not change until `close`."""

    @abstractmethod
    def watch(self, window: int) -> None:
        """There is this window. `proceed` says when its icon changes."""

    @abstractmethod
    def unwatch(self, window: int) -> None:
        """It is gone."""

    @abstractmethod
    def fetch(self, window: int, answer: Callable[[WindowIcon | None], None]) -> None:
        """Find out what icon the window has. `answer` is called once, later: with None if it has none or is gone."""

    @abstractmethod
    def proceed(self) -> Sequence[int]:
        """Go on with what was begun, as far as possible without waiting; windows whose icon may have changed."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything; what was fetched is not answered any more."""


class Source(ABC):
    """Windows of this VM. Operations are queued until `flush`; those on windows that are gone do nothing.

    A new source reports the windows that exist already with its first `events`.
    """

    def __init__(self) -> None:
        self._operations: dict[type[Operation], Callable[[Any], None]] = {
            Capture: self.capture,
            Forget: self.forget,
            ReleaseAll: lambda _: self.release_all(),
            Configure: self.configure,
            Map: self.map,
            Close: self.close_window,
            Focus: self.focus,
            KeyPress: self.key,
            Button: self.button,
            Motion: self.motion,
            Crossing: self.crossing,
            KeymapNotify: self.release_keys,
            WindowFlags: self.set_state,
        }

    def perform(self, operation: Operation) -> None:
        """Carry one operation out."""
        self._operations[type(operation)](operation)

    # --- reports ---

    @abstractmethod
    def fileno(self) -> int:
        """Polls readable whenever `events()` has something."""

    @abstractmethod
    def events(self) -> Sequence[SourceEvent]:
        """What happened since the last call, in order; never waits for programs.

        Raises MachineCannot when the display server is gone.
        """

    @abstractmethod
    def flush(self) -> None:
        """Hand what is queued to the display server, and start capturing what was damaged unless held."""

    @abstractmethod
    def hold(self, held: bool, audience: int = 0) -> None:
        """While held the audience takes no frames: capture nothing, remember what was damaged, in bounded memory.

        It is held from the start.
        """

    @abstractmethod
    def admit(self, audience: int, sharer: PageSharer) -> None:
        """Share pixels with another audience as well. Raises MachineCannot where that is impossible now."""

    @abstractmethod
    def dismiss(self, audience: int) -> None:
        """Free every buffer of this audience, which is not the last. Operations that still name it do nothing."""

    @abstractmethod
    def stacking(self) -> Sequence[int]:
        """Window ids from bottom to top."""

    def arrange(self, monitors: Sequence[Monitor]) -> None:  # noqa: B027 - optional: not every screen can change
        """Have the VM's screen and its monitors be like these, the main one first, as far as that is possible."""

    def layout_changer(self) -> LayoutChanger | None:
        """What changes the keyboard's layout; None where that cannot be changed (the default). The caller closes it."""
        return None

    def clipboard(self) -> Clipboard | None:
        """The clipboard of these programs; None where they have none (the default). The caller closes it.

        Raises MachineCannot when the display server is gone.
        """
        return None

    def icons(self) -> Icons | None:
        """The icons of these windows; None where they have none (the default). The caller closes it.

        Raises MachineCannot when the display server is gone.
        """
        return None

    @abstractmethod
    def close(self) -> None:
        """Let go of the display server and of every buffer."""

    # --- pixels ---

    @abstractmethod
    def capture(self, operation: Capture) -> None:
        """Show the window in a new buffer of its present size from now on; `FrameReady` of all of it follows.

        A buffer that no `FrameReady` has named yet is the source's to free; any other is freed by `forget`. Where no
        memory can be had the window stays without pixels, with a log line.
        """

    @abstractmethod
    def forget(self, operation: Forget) -> None:
        """Free the buffer. A window still shown in it has no pixels until the next `capture`."""

    # --- windows ---

    @abstractmethod
    def configure(self, operation: Configure) -> None:
        """Move and resize the window. A `Configured` follows in any case, with what came of it."""

    @abstractmethod
    def map(self, operation: Map) -> None:
        """The desktop shows the window again: it is no longer minimised, and mapped if it was not."""

    @abstractmethod
    def close_window(self, operation: Close) -> None:
        """Ask the program to close the window, or end the program where it cannot be asked."""

    @abstractmethod
    def set_state(self, operation: WindowFlags) -> None:
        """The desktop put the window in and out of these states: tell the program."""

    # --- input ---

    @abstractmethod
    def focus(self, operation: Focus) -> None:
        """Give the window the keyboard (kind 9) or take it away (kind 10)."""

    @abstractmethod
    def key(self, operation: KeyPress) -> None:
        """A key goes down (kind 2) or up (kind 3), with modifiers and locks as in `state` at that moment."""

    @abstractmethod
    def button(self, operation: Button) -> None:
        """A pointer button goes down (kind 4) or up (kind 5) at x, y of the window, whatever programs put above it."""

    @abstractmethod
    def motion(self, operation: Motion) -> None:
        """The pointer is at x, y of the window, which is on top from now on unless a button is held."""

    @abstractmethod
    def crossing(self, operation: Crossing) -> None:
        """The pointer entered the window (kind 7), which is on top from now on, or left it (kind 8)."""

    @abstractmethod
    def release_keys(self, operation: KeymapNotify) -> None:
        """Release every key that is down here and up there."""

    @abstractmethod
    def release_all(self) -> None:
        """Release every key and button."""
