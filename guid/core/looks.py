"""What a window calls itself and how the pointer looks over it: cleaned, and passed on where it changes something."""

from guid.core import validate
from guid.core.commands import Command, SetClass, SetCursor, SetHints, SetTitle
from guid.core.config import SessionConfig
from guid.core.notices import Notices
from guid.core.windows import WindowTable
from guiproto.messages import Cursor, WindowHints, WmClass, WmName


class Looks:
    """Handles the messages about appearance."""

    def __init__(self, config: SessionConfig, windows: WindowTable, notices: Notices) -> None:
        self._config = config
        self._windows = windows
        self._notices = notices

    def reconfigure(self, config: SessionConfig) -> None:
        """The user has changed the settings. Titles that were cleaned stay so until they change."""
        self._config = config

    def title(self, message: WmName) -> list[Command]:
        """WMNAME."""
        window = self._windows.get(message.window)
        if window is None:
            return []
        title = validate.title(message, utf8=self._config.utf8_titles)
        if title == window.title:
            return []
        window.title = title
        return [SetTitle(window.id, title)]

    def window_class(self, message: WmClass) -> list[Command]:
        """WMCLASS; ICCCM 4.1.2.5: it may not change while the window is mapped."""
        window = self._windows.get(message.window)
        if window is None or window.mapped:
            return []
        return [SetClass(window.id, validate.window_class(message))]

    def hints(self, message: WindowHints) -> list[Command]:
        """WINDOW_HINTS."""
        window = self._windows.get(message.window)
        if window is None:
            return []
        hints = validate.hints(message)
        commands: list[Command] = []
        for flag in validate.dropped_hints(message, hints):
            commands += self._notices.once(f"a size hint out of bounds was left out ({flag.name})")
        return [*commands, SetHints(window.id, hints)]

    def cursor(self, message: Cursor) -> list[Command]:
        """CURSOR."""
        window = self._windows.get(message.window)
        cursor = validate.cursor(message)
        return [] if window is None else [SetCursor(window.id, cursor)]
