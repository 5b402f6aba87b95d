"""VMs are told of the desktop when it changes, and what somebody else told them stands until then."""

from guid.config.settings import VmSettings
from guid.spec import VmSpec
from guid.supervisor.desktops import Desktops
from guid.supervisor.vm import Vm

MONITORS = "1600 1000 0 0 0 0"


class Told:
    """A VM with these settings, and what was written for it."""

    def __init__(self, **settings: str) -> None:
        self.vm = Vm(VmSpec("work", 5, "blue", settings=VmSettings().but(settings)))
        self.written: list[tuple[str, str, str]] = []
        self.desktops = Desktops(lambda name, path, value: self.written.append((name, path, value)))

    def says(self, layout: str, monitors: str = "") -> list[tuple[str, str, str]]:
        """What is written when the VM's worker says that."""
        self.written.clear()
        self.desktops.said(self.vm, {"event": "desktop", "layout": layout, "monitors": monitors})
        return self.written


def test_a_desktop_is_told_once() -> None:
    told = Told()
    assert told.says("de", MONITORS) == [("work", "/keyboard-layout", "de"), ("work", "/odyssey-monitors", MONITORS)]
    assert told.says("de", MONITORS) == []
    assert told.says("fr", MONITORS) == [("work", "/keyboard-layout", "fr")]


def test_a_desktop_of_which_nothing_is_known_changes_nothing() -> None:
    told = Told()
    assert told.says("de") == [("work", "/keyboard-layout", "de")]
    assert told.says("") == []
    assert told.says("de") == []


def test_a_vm_that_begins_anew_is_told_again() -> None:
    told = Told()
    told.says("de")
    told.desktops.forget("work")
    assert told.says("de") == [("work", "/keyboard-layout", "de")]


def test_a_vm_whose_layout_is_left_alone() -> None:
    assert Told(keyboard_layout="").says("de", MONITORS) == [("work", "/odyssey-monitors", MONITORS)]


def test_a_vm_that_has_a_layout_of_its_own() -> None:
    told = Told(keyboard_layout="cz++compose:menu")
    assert told.says("de") == [("work", "/keyboard-layout", "cz++compose:menu")]
    assert told.says("fr") == []


def test_nonsense_is_not_written() -> None:
    assert Told().says("-display", "0 0 0 0") == []
    assert Told().says("\ud800", "\ud800") == []
