"""VMs are told, in entries of their Qubes DB, what of the desktop they are to resemble: keyboard layout and monitors.

Workers say what their desktop is like. A VM is told of that when its worker says something else than before, so an
entry that somebody else has written since (`guid db write`) stands until the desktop changes. What the VM's settings
say comes first.
"""

from collections.abc import Callable
from typing import Any, Final

from guid.control import Message
from guid.supervisor.vm import Vm
from qubesdb.keys import KEYBOARD_LAYOUT, MONITORS, Key

FOLLOW: Final = "desktop"
"""The setting `keyboard_layout` of a VM that is to have the desktop's."""


class Desktops:
    """`tell` writes an entry of a VM's Qubes DB: the VM's name, the path, the value."""

    def __init__(self, tell: Callable[[str, str, str], None]) -> None:
        self._tell = tell
        self._told: dict[tuple[str, str], str] = {}

    def said(self, vm: Vm, message: Message) -> None:
        """Its worker told how its desktop is."""
        chosen = vm.spec.settings.keyboard_layout
        self._say(vm.spec.name, KEYBOARD_LAYOUT, message["layout"] if chosen == FOLLOW else chosen)
        if vm.spec.settings.follow_screen:
            self._say(vm.spec.name, MONITORS, message["monitors"])

    def forget(self, name: str) -> None:
        """Its Qubes DB is no more, or another: what it was told before counts no longer."""
        for told in [told for told in self._told if told[0] == name]:
            del self._told[told]

    def _say(self, name: str, key: Key[Any], text: str) -> None:
        if not text or self._told.get((name, key.path)) == text:
            return
        try:
            key.parse(text.encode())
        except ValueError:
            return  # the worker of a VM's own making: no worker of ours says such a thing
        self._told[name, key.path] = text
        self._tell(name, key.path, text)
