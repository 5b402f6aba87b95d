"""The clipboard of all VMs of one GUI domain: what is in it, whose answer may come into it, and who gets it.

It holds what was copied last or nothing: the user's key to copy empties it before anybody answers, so that no paste
ever brings what he copied before that. Nothing but that key opens it for a text, for one and of one VM; a later key, in
whatever VM, closes it for the earlier one. A text is given once. No text is ever looked at here: it is a parcel.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Parcel = TypeVar("Parcel")


@dataclass(frozen=True, slots=True, eq=False)
class Content(Generic[Parcel]):
    """What was copied: `size` bytes from a VM, with the label that it had then, at that time of some clock."""

    parcel: Parcel
    size: int
    source: str
    label: str
    since: float


class Exchange(Generic[Parcel]):
    """`discard` gets every parcel that nobody will get any more."""

    def __init__(self, discard: Callable[[Parcel], None]) -> None:
        self._discard = discard
        self.content: Content[Parcel] | None = None
        self.awaited: str | None = None
        """The VM whose text may come."""

    def begin(self, vm: str) -> None:
        """The user pressed the key to copy in that VM."""
        self.clear()
        self.awaited = vm

    def put(self, content: Content[Parcel]) -> bool:
        """A VM gives that. Whether it was asked, and last of all; otherwise its parcel is discarded."""
        if self.awaited != content.source:
            self._discard(content.parcel)
            return False
        self.awaited = None
        self.content = content
        return True

    def give_up(self, vm: str) -> None:
        """That VM will give nothing."""
        if self.awaited == vm:
            self.awaited = None

    def take(self, content: Content[Parcel]) -> Parcel | None:
        """What is in it, the caller's from now on, if that still is `content`: then it is empty."""
        if self.content is not content:
            return None
        self.content = None
        return content.parcel

    def leaves(self, vm: str) -> None:
        """That VM is this GUI domain's no more: nothing of it stays, nothing of it comes."""
        self.give_up(vm)
        if self.content is not None and self.content.source == vm:
            self._empty()

    def clear(self) -> None:
        """Empty it, and let nothing come that was asked for."""
        self.awaited = None
        self._empty()

    def _empty(self) -> None:
        content, self.content = self.content, None
        if content is not None:
            self._discard(content.parcel)
