"""Atoms by name, asked for once each."""

from typing import Any


class Atoms:
    """`atoms["_NET_WM_NAME"]` is its number."""

    def __init__(self, display: Any) -> None:
        self._display = display
        self._numbers: dict[str, int] = {}

    def __getitem__(self, name: str) -> int:
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = int(self._display.intern_atom(name))
        return number
