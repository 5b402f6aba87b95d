"""A TOML file that somebody wrote by hand: its tables, and each mistake in them with the line where it is."""

import bisect
import contextlib
import difflib
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from guiproto.errors import MachineCannot

Key = tuple[str | int, ...]
"""The way to a value: names of tables and keys, and numbers where there is an array of tables."""

_MOST: Final = 20
"""Mistakes that are told at a time."""


class TomlFile:
    """The `tables` of the file at `path`; none if there is no such file. Mistakes are collected, and raised by `check`.

    Raises MachineCannot if it cannot be read or is not TOML.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stamp = stamp(path)
        try:
            self._text = path.read_text()
        except FileNotFoundError:
            self._text = ""
        except (OSError, UnicodeDecodeError) as error:
            raise MachineCannot(f"cannot read {path}: {error}", "mend it, or set GUID_CONFIG to another file") from None
        try:
            self.tables: dict[str, Any] = tomllib.loads(self._text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise MachineCannot(f"{path} is not TOML: {error}", "mend it") from None
        self._mistakes: list[tuple[int, str]] = []

    def table(self, name: str) -> dict[str, Any]:
        """The table at the top of that name, empty if there is none or it is something else, which is a mistake."""
        table = self.tables.get(name, {})
        if isinstance(table, dict):
            return table
        self.wrong((name,), f"{name!r} is not a table", f"write [{name}]")
        return {}

    def sections(self, name: str) -> dict[str, dict[str, Any]]:
        """The tables [name.SECTION] by their sections."""
        found = {}
        for section, values in self.table(name).items():
            if isinstance(values, dict):
                found[section] = values
            else:
                self.wrong((name, section), f"{name}.{section} is not a table", f"write [{name}.{section}]")
        return found

    def array(self, name: str) -> list[dict[str, Any]]:
        """The tables [[name]]."""
        array = self.tables.get(name, [])
        if isinstance(array, list) and all(isinstance(table, dict) for table in array):
            return array
        self.wrong((name,), f"{name!r} is not an array of tables", f"write [[{name}]]")
        return []

    def wrong(self, key: Key, problem: str, remedy: str = "") -> None:
        """Note a mistake at `key`."""
        line = self.line(key)
        where = f"{self.path}:{line}" if line else str(self.path)
        text = str(MachineCannot(f"{where}: {problem}", remedy or "see docs/configuration.md"))
        self._mistakes.append((line, "".join(c if c.isprintable() else "?" for c in text)))

    def check(self) -> None:
        """Raises MachineCannot with a line of text for each mistake, in the order of the file, if there are any."""
        if not self._mistakes:
            return
        told = [text for _, text in sorted(self._mistakes)]
        if len(told) > _MOST:
            told[_MOST:] = [f"{self.path}: and {len(told) - _MOST} more"]
        raise MachineCannot("\n".join(told))

    def line(self, key: Key) -> int:
        """The line, from 1 on, where the value at `key` ends, or begins if it is a table; 0 if there is no such value.

        tomllib keeps no places. But the shortest beginning of the file that is TOML and has the key ends there.
        """
        if not _has(self.tables, key):
            return 0
        lines = self._text.split("\n")

        def begins(count: int) -> bool:
            # Not every beginning is TOML: it may end within a value of several lines. Then the one before it counts.
            for end in range(count, 0, -1):
                with contextlib.suppress(tomllib.TOMLDecodeError, RecursionError):
                    return _has(tomllib.loads("\n".join(lines[:end])), key)
            return False

        return bisect.bisect_left(range(1, len(lines) + 1), True, key=begins) + 1


def stamp(path: Path) -> tuple[int, int, int] | None:
    """Something that is another when the file has been written again; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _has(tables: Any, key: Key) -> bool:
    for part in key:
        try:
            tables = tables[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def nearest(word: str, known: Iterable[str]) -> str:
    """The suggestion for a word that is none of the known ones."""
    known = list(known)
    near = difflib.get_close_matches(word, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(known)}"
