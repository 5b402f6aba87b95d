"""What an agent takes from its VM's Qubes DB: at the start, live, and while there is none."""

import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from guiagent.settings import Settings
from guiagent.xserver import with_room
from qubesdb.keys import GUI_DOMAIN, GUI_ENABLED, KEYBOARD_LAYOUT, Layout
from tests.qubesdb.rig import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "vm")
    yield made
    made.close()


@pytest.fixture
def settings(house: House) -> Iterator[Settings]:
    made = Settings(house.directory / "vm")
    yield made
    made.close()


class Hooks:
    """A loop around the settings; `called` is what the hooks were called with."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.called: list[object] = []
        settings.on(GUI_DOMAIN, self.called.append)
        settings.on(KEYBOARD_LAYOUT, self.called.append)

    def wait_for(self, *values: object) -> None:
        while len(self.called) < len(values):
            assert select.select([self.settings], [], [], 10)[0], self.called
            self.settings.proceed()
        assert self.called == list(values)
        self.called.clear()


def is_silent(settings: Settings) -> bool:
    """Whether it is worth nothing to look again."""
    settings.proceed()
    return not select.select([settings], [], [], 0.2)[0]


def test_where_there_is_none_nothing_is_said_and_nobody_is_woken_up(settings: Settings) -> None:
    assert settings.read() == {}
    assert settings.get(GUI_DOMAIN) is None
    assert is_silent(settings)


def test_what_is_there_is_read_at_the_start(house: House) -> None:
    house.start("admin", "vm")
    with house.connect("vm") as database:
        database.write("/qubes-gui-domain-xid", b"5")
        database.write("/qubes-gui-enabled", b"False")
        database.write("/other", b"x")
        settings = Settings(house.directory / "vm")
        assert settings.read() == {"/qubes-gui-domain-xid": 5, "/qubes-gui-enabled": False}
        assert settings.get(GUI_ENABLED) is False
        database.write("/other", b"y")
        assert is_silent(settings)
        settings.close()


def test_hooks_hear_of_changes_on_either_side(house: House, settings: Settings) -> None:
    hooks = Hooks(settings)
    house.start("admin", "vm")
    with house.connect("admin") as admin, house.connect("vm") as vm:
        admin.write("/qubes-gui-domain-xid", b"5")
        hooks.wait_for(5)
        vm.write("/keyboard-layout", b"de+nodeadkeys")
        hooks.wait_for(Layout("de", "nodeadkeys"))
        admin.remove("/qubes-gui-domain-xid")
        hooks.wait_for(None)
        admin.write("/keyboard-layout", b"de+nodeadkeys")
        admin.write("/qubes-gui-domain-xid", b"7")
        hooks.wait_for(7)  # and not of a value that is written again


def test_what_an_entry_must_not_hold_is_ignored_and_said_harmlessly(
    house: House, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    hooks = Hooks(settings)
    house.start("admin", "vm")
    with house.connect("vm") as vm:
        vm.write("/qubes-gui-domain-xid", b"5")
        hooks.wait_for(5)
        vm.write("/qubes-gui-domain-xid", b"\x1b[31m66666")
        vm.write("/keyboard-layout", b"fr")
        hooks.wait_for(Layout("fr"))
    assert settings.get(GUI_DOMAIN) == 5
    assert "/qubes-gui-domain-xid is ignored: it is no number" in caplog.text
    assert "\x1b" not in caplog.text


def test_what_was_said_stands_while_the_daemon_is_gone_and_its_successor_is_heard(
    house: House, settings: Settings
) -> None:
    hooks = Hooks(settings)
    house.start("admin", "vm")
    with house.connect("admin") as admin:
        admin.write("/qubes-gui-domain-xid", b"5")
        hooks.wait_for(5)
        house.kill("vm")
        assert select.select([settings], [], [], 10)[0]
        settings.proceed()
        assert settings.get(GUI_DOMAIN) == 5
        admin.write("/qubes-gui-domain-xid", b"6")
        house.start("vm")
        hooks.wait_for(6)


@pytest.mark.parametrize(
    ("least", "overhead", "screen"),
    [
        (None, None, (1000, 500)),
        (0, 0, (1000, 500)),
        (1953, None, (1000, 500)),
        (1954, None, (1000, 501)),
        (None, 4, (1000, 502)),
        (3 << 20, None, (16384, 6144)),
    ],
)
def test_a_screen_has_room_for_what_is_asked(least: int | None, overhead: int | None, screen: tuple[int, int]) -> None:
    width, height = with_room((1000, 500), least, overhead)
    assert (width, height) == screen
