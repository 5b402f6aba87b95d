"""The user's two keys for the clipboard of all VMs, and what this VM's agent has to do with them.

A VM is asked for its clipboard by the user's key alone, and one answer counts: the first one, if it comes in time. The
keys are the daemon's: the VM sees no press and no release of them, whatever becomes of the modifiers meanwhile.
"""

from dataclasses import dataclass
from typing import Final

from guid.core import validate
from guid.core.commands import BeginCopy, Command, Copied, NotCopied, Notify, SendToAgent, WantPaste
from guid.core.config import SessionConfig
from guid.core.host_events import KeyEvent
from guid.core.timer import Timer
from guid.core.trusted import WindowId
from guiproto import limits
from guiproto.messages import ClipboardData, ClipboardReq

ANSWER_SECONDS: Final = 10.0
"""How long the agent may take to answer."""
REPEAT_SECONDS: Final = 0.05
"""A press this short after the release of the same key is a held key that repeats, and means nothing new."""


@dataclass(frozen=True, slots=True)
class ClipboardKeys:
    """Keycodes of the desktop that make the two keys; none for a key that is switched off, or on no keyboard."""

    copy: frozenset[int] = frozenset()
    paste: frozenset[int] = frozenset()


class Clipboard:
    """One session's part. `minor`: the version that its agent speaks."""

    def __init__(self, config: SessionConfig, keys: ClipboardKeys, minor: int) -> None:
        self._config = config
        self.keys = keys
        self._minor = minor
        self._swallowed: set[int] = set()
        """Keys of ours that are down."""
        self._released: int | None = None
        self._repeat = Timer()
        self._asked = Timer()
        """Runs while an answer of the agent counts."""
        self._pasting: WindowId | None = None

    # --- the user ---

    def reconfigure(self, config: SessionConfig) -> None:
        """The user has changed the settings; new keys follow with `keys`."""
        self._config = config

    def key(self, event: KeyEvent) -> list[Command] | None:
        """What to do about a key; None if it is none of ours and goes to the VM."""
        keycode = event.keycode
        if not event.pressed:
            if keycode not in self._swallowed:
                return None
            self._swallowed.remove(keycode)
            self._released = keycode
            self._repeat.start(REPEAT_SECONDS)
            return []
        repeats = self._repeat.running and self._released == keycode
        self._repeat.stop()
        for sequence, keycodes, act in (
            (self._config.copy_keys, self.keys.copy, self._copy),
            (self._config.paste_keys, self.keys.paste, self._paste),
        ):
            if sequence is not None and keycode in keycodes and sequence.held(event.state):
                self._swallowed.add(keycode)
                return [] if repeats else act(event.window)
        self._swallowed.discard(keycode)
        return None

    def _copy(self, window: WindowId) -> list[Command]:
        waiting = self._asked.running
        self._asked.start(ANSWER_SECONDS)
        # An agent that still owes an answer owes no second one: it would be taken for that of a later request.
        return [BeginCopy()] if waiting else [BeginCopy(), SendToAgent(ClipboardReq(window))]

    def _paste(self, window: WindowId) -> list[Command]:
        self._pasting = window
        return [WantPaste()]

    # --- the agent ---

    def answer(self, message: ClipboardData) -> list[Command]:
        """CLIPBOARD_DATA, for whatever window. Raises PeerMisbehaved if it is longer than any may be."""
        text = validate.clipboard(message)
        if not self._asked.running:
            return []
        self._asked.stop()
        most = self._config.max_clipboard_size
        if text is None or len(text) > most:
            return [NotCopied(), Notify(f"nothing was copied: it is more than the {most} bytes that this VM may give")]
        if not text:
            return [NotCopied(), Notify("nothing was copied: this VM's clipboard has no text")]
        return [Copied(text)]

    # --- the clipboard of all VMs ---

    def paste(self, text: bytes) -> list[Command]:
        """What was copied is this VM's now, if it still waits for it."""
        window, self._pasting = self._pasting, None
        if window is None:
            return [Notify("nothing was pasted: this VM's agent has begun anew")]
        longest = limits.CLIPBOARD_MAX if self._minor >= limits.SINCE_LARGE_CLIPBOARD else limits.CLIPBOARD_MAX_1_7
        if len(text) > longest:
            return [Notify(f"nothing was pasted: it is more than the {longest} bytes that this VM's agent can take")]
        return [SendToAgent(ClipboardData(window, text))]

    # --- time ---

    def tick(self, now: float) -> list[Command]:
        """Time passed."""
        self._repeat.rings(now)
        if not self._asked.rings(now):
            return []
        return [NotCopied(), Notify(f"nothing was copied: this VM did not answer within {ANSWER_SECONDS:g} s")]

    def deadline(self) -> float | None:
        """When `tick` has something to do."""
        moments = [due for due in (self._asked.deadline(), self._repeat.deadline()) if due is not None]
        return min(moments) if moments else None
