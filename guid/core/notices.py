"""A VM can make the daemon say each thing once: no message, however often it comes, floods the log."""

from guid.core.commands import Command, LimitReached, Log, Notify
from guid.core.config import Limit


class Notices:
    """The lines that a session has logged."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def once(self, text: str) -> list[Command]:
        """The command to log `text`, the first time. It must hold no text of the AppVM's choice."""
        return [Log(text)] if self._is_new(text) else []

    def tell_once(self, text: str) -> list[Command]:
        """The same, and on the desktop: for what the user would otherwise take for a fault of the VM."""
        return [Notify(text)] if self._is_new(text) else []

    def reached(self, limit: Limit) -> list[Command]:
        """The command to say that the VM has reached that limit, the first time."""
        return [LimitReached(limit)] if self._is_new(limit) else []

    def forget_limits(self) -> None:
        """They have changed: reaching them is news again."""
        self._said -= set(Limit)

    def _is_new(self, text: str) -> bool:
        if text in self._said:
            return False
        self._said.add(text)
        return True
