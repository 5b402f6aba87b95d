"""A VM can make the daemon say each thing once: no message, however often it comes, floods the log."""

from guid.core.commands import Command, Log


class Notices:
    """The lines that a session has logged."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def once(self, text: str) -> list[Command]:
        """The command to log `text`, the first time. It must hold no text of the AppVM's choice."""
        if text in self._said:
            return []
        self._said.add(text)
        return [Log(text)]
