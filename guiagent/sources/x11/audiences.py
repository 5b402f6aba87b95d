"""Windows are followed once for each GUI domain that they are shared with: one, or two while the user moves to another.

Each has its own buffers, so that what one was given is worth nothing when it no longer is the one, and none has to wait
for the other.
"""

from collections.abc import Callable, Iterator
from typing import Any

from backends.base import PageSharer
from guiagent.core.buffers import Buffer
from guiagent.sources.x11.following import Following


class Audiences:
    """The captures of one source, by audience. There is always one."""

    def __init__(self, make: Callable[[PageSharer, int], Following[Any]], sharer: PageSharer) -> None:
        """Raises MachineCannot when `make` does."""
        self._make = make
        self._captures = {0: make(sharer, 0)}
        self._held = {0}

    def admit(self, audience: int, sharer: PageSharer) -> None:
        """Follow all windows for another audience as well, held. Raises MachineCannot when `make` does."""
        watched = next(iter(self._captures.values())).watched()
        capture = self._captures[audience] = self._make(sharer, audience)
        self._held.add(audience)
        for window, depth, shapes in watched:
            capture.watch(window, depth, shapes)

    def dismiss(self, audience: int) -> None:
        """Free everything of this audience, which is not the last one."""
        assert len(self._captures) > 1
        self._captures.pop(audience).close()
        self._held.discard(audience)

    def hold(self, audience: int, *, held: bool) -> None:
        """While held, nothing is captured for this audience."""
        if held:
            self._held.add(audience)
        else:
            self._held.discard(audience)

    def close(self) -> None:
        """Free everything."""
        for capture in self._captures.values():
            capture.close()

    def __iter__(self) -> Iterator[Following[Any]]:
        return iter(self._captures.values())

    # --- one of them ---

    def start(self, audience: int, window: int, width: int, height: int) -> None:
        """As `Following.start`."""
        if (capture := self._captures.get(audience)) is not None:
            capture.start(window, width, height)

    def forget(self, buffer: Buffer) -> None:
        """As `Following.forget`."""
        if (capture := self._captures.get(buffer.audience)) is not None:
            capture.forget(buffer)

    # --- all of them ---

    def watch(self, window: int, depth: int, shapes: int) -> None:
        """As `Following.watch`."""
        for capture in self._captures.values():
            capture.watch(window, depth, shapes)

    def unwatch(self, window: int, *, destroyed: bool) -> None:
        """As `Following.unwatch`."""
        for capture in self._captures.values():
            capture.unwatch(window, destroyed=destroyed)

    def stop(self, window: int) -> None:
        """As `Following.stop`."""
        for capture in self._captures.values():
            capture.stop(window)

    def reshaped(self, events: bytes) -> None:
        """As `Following.reshaped`."""
        for capture in self._captures.values():
            capture.reshaped(events)

    def damaged(self, events: bytes) -> None:
        """As `Following.damaged`."""
        for capture in self._captures.values():
            capture.damaged(events)

    def report(self) -> None:
        """As `Following.report`, for those that are not held."""
        for audience, capture in self._captures.items():
            if audience not in self._held:
                capture.report()

    def capture(self) -> None:
        """As `Following.capture`, for those that are not held."""
        for audience, capture in self._captures.items():
            if audience not in self._held:
                capture.capture()
