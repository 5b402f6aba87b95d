"""One VM's entries: paths and values, in order, within limits; and which watches a change concerns."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a namespace may hold. `size`: bytes of all paths and values."""

    entries: int
    size: int


VM_LIMITS: Final = Limits(4096, 1 << 20)
"""What writes from the VM's side may fill."""
ALL_LIMITS: Final = Limits(VM_LIMITS.entries + 256, VM_LIMITS.size + (256 << 10))
"""What writes from the admin side may fill: a VM that fills its share up leaves it room."""


class Namespace:
    """Entries by path."""

    def __init__(self, entries: Iterable[tuple[str, bytes]] = ()) -> None:
        self._entries = dict(entries)
        self._size = sum(len(path) + len(value) for path, value in self._entries.items())

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, path: str) -> bool:
        return path in self._entries

    def read(self, path: str) -> bytes | None:
        """The value, None if there is no such entry."""
        return self._entries.get(path)

    def write(self, path: str, value: bytes, limits: Limits) -> bool:
        """Set a value; False, and nothing changes, if that would exceed `limits`.

        What makes an entry smaller is never refused.
        """
        old = self._entries.get(path)
        growth = len(value) - len(old) if old is not None else len(path) + len(value)
        if growth > 0 and self._size + growth > limits.size:
            return False
        if old is None and len(self._entries) >= limits.entries:
            return False
        self._entries[path] = value
        self._size += growth
        return True

    def remove(self, path: str) -> Sequence[str]:
        """Remove one entry or, if `path` ends with a slash, all below; the paths that are gone, in order."""
        gone = [name for name, _ in self.below(path)] if path.endswith("/") else [path] if path in self._entries else []
        for name in gone:
            self._size -= len(name) + len(self._entries.pop(name))
        return gone

    def below(self, prefix: str) -> Sequence[tuple[str, bytes]]:
        """The entries whose paths start with `prefix`, in order of their paths."""
        return sorted(entry for entry in self._entries.items() if entry[0].startswith(prefix))

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        return iter(self.below(""))


def concerns(watched: str, changed: str) -> bool:
    """Whether whoever watches that path, or all below if it ends with a slash, wants to hear of that entry."""
    return changed.startswith(watched) if watched.endswith("/") else changed == watched
