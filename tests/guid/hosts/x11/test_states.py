"""What the guest wants goes through the window manager, and what became of it comes back once."""

from Xlib import Xatom

from guid.core.host_events import ConfiguredEvent, FocusEvent, MappedEvent, MaximizedEvent, StateEvent
from guid.core.trusted import Geometry, StateFlags, WindowId
from tests.conformance.hosts.desktop import X11Desktop
from tests.conformance.hosts.pictures import noise
from tests.guid.hosts.x11.managed import ManagedDesktop
from tests.guid.hosts.x11.test_placement import ONE, PLACE, TITLE_BAR, check_pixels, show

NONE, FULLSCREEN, ATTENTION, MINIMIZE = StateFlags(0), StateFlags(1), StateFlags(2), StateFlags(4)
MAXIMIZED = Geometry(3, TITLE_BAR + 2, 794, 575)
WHOLE = Geometry(3, 3, 794, 594)


def states(managed: ManagedDesktop, window: WindowId = ONE) -> set[str]:
    outer = managed.display.create_resource_object("window", managed.local[window])
    found = outer.get_full_property(managed.display.get_atom("_NET_WM_STATE"), 0)
    return (
        {managed.display.get_atom_name(atom).removeprefix("_NET_WM_STATE_") for atom in found.value} if found else set()
    )


def test_maximised_and_back(managed: ManagedDesktop) -> None:
    show(managed)
    managed.until_quiet()
    managed.host.maximize(ONE, True)
    managed.until_seen(MaximizedEvent(ONE, True), ConfiguredEvent(ONE, MAXIMIZED))
    managed.until_quiet()
    assert states(managed) >= {"MAXIMIZED_VERT", "MAXIMIZED_HORZ"}
    assert managed.geometry(ONE) == MAXIMIZED
    managed.host.maximize(ONE, False)
    managed.until_seen(MaximizedEvent(ONE, False), ConfiguredEvent(ONE, PLACE))
    managed.until_quiet()
    check_pixels(managed, PLACE)


def test_a_wish_from_before_the_mapping_is_kept(managed: ManagedDesktop) -> None:
    managed.local[ONE] = managed.host.create(ONE, PLACE, override_redirect=False)
    managed.host.maximize(ONE, True)
    managed.host.map(ONE, override_redirect=False, transient_for=None)
    managed.until_seen(MaximizedEvent(ONE, True), ConfiguredEvent(ONE, MAXIMIZED))


def test_the_user_maximises(managed: ManagedDesktop) -> None:
    show(managed)
    managed.until_quiet()
    both = [managed.display.get_atom(f"_NET_WM_STATE_MAXIMIZED_{side}") for side in ("VERT", "HORZ")]
    managed.tell_manager(ONE, "_NET_WM_STATE", 1, *both)
    managed.until_seen(ConfiguredEvent(ONE, MAXIMIZED), MaximizedEvent(ONE, True))
    managed.until_quiet()
    assert not [event for event in managed.seen if isinstance(event, StateEvent)]


def test_the_user_makes_it_fullscreen_and_the_border_stays(managed: ManagedDesktop) -> None:
    show(managed)
    managed.until_quiet()
    fullscreen = managed.display.get_atom("_NET_WM_STATE_FULLSCREEN")
    managed.tell_manager(ONE, "_NET_WM_STATE", 1, fullscreen)
    managed.until_seen(ConfiguredEvent(ONE, WHOLE), StateEvent(ONE, FULLSCREEN, NONE))
    managed.until_quiet()
    screen = managed.screenshot()
    for side in (screen[:3], screen[-3:], screen[:, :3], screen[:, -3:]):
        assert (side == managed.config.label.color).all()
    managed.host.set_state(ONE, NONE, FULLSCREEN)
    managed.until_seen(ConfiguredEvent(ONE, PLACE), StateEvent(ONE, NONE, FULLSCREEN))


def test_minimise_and_map_again(managed: ManagedDesktop) -> None:
    show(managed)
    managed.until_quiet()
    managed.host.set_state(ONE, MINIMIZE, NONE)
    managed.until_seen(StateEvent(ONE, MINIMIZE, NONE), MappedEvent(ONE, False))
    managed.host.map(ONE, override_redirect=False, transient_for=None)
    managed.until_seen(StateEvent(ONE, NONE, MINIMIZE))
    managed.until_quiet()
    check_pixels(managed, managed.geometry(ONE))


def test_minimised_from_the_start_only(managed: ManagedDesktop) -> None:
    picture = noise(600, 400)
    managed.local[ONE] = managed.host.create(ONE, PLACE, override_redirect=False)
    managed.host.attach(ONE, picture.pages, 600, 400)
    managed.host.set_state(ONE, MINIMIZE, NONE)
    managed.host.map(ONE, override_redirect=False, transient_for=None)
    managed.until_seen(StateEvent(ONE, MINIMIZE, NONE))
    managed.host.unmap(ONE)
    managed.until_quiet()
    managed.host.map(ONE, override_redirect=False, transient_for=None)
    managed.until_seen(StateEvent(ONE, NONE, MINIMIZE))
    managed.until_quiet()
    assert "HIDDEN" not in states(managed)
    check_pixels(managed, managed.geometry(ONE))


def test_attention(managed: ManagedDesktop) -> None:
    show(managed)
    managed.until_quiet()
    managed.show(WindowId(2), Geometry(20, 40, 50, 50))
    managed.until(lambda: [e for e in managed.seen if isinstance(e, FocusEvent) and e.window == 2], "focus elsewhere")
    managed.host.set_state(ONE, ATTENTION, NONE)
    managed.until_seen(StateEvent(ONE, ATTENTION, NONE))
    assert "urgency" in managed.server.run("xprop", "-id", str(managed.local[ONE]), "WM_HINTS").lower()
    managed.host.set_state(ONE, NONE, ATTENTION)
    managed.until_seen(StateEvent(ONE, NONE, ATTENTION))


def test_override_redirect_windows_are_no_window_managers_business(managed: ManagedDesktop) -> None:
    managed.show(ONE, PLACE, override_redirect=True)
    for flag in (FULLSCREEN, MINIMIZE, ATTENTION):
        managed.host.set_state(ONE, flag, NONE)
    managed.until_quiet()
    assert managed.geometry(ONE) == PLACE
    assert managed.windows()[0].mapped
    assert managed.host.x_errors == 0


def test_no_change_is_missed_while_the_last_one_is_looked_up(desktop: X11Desktop) -> None:
    desktop.show(ONE, PLACE)
    desktop.settle()
    outer = desktop.display.create_resource_object("window", desktop.local[ONE])
    name, attention, fullscreen = (
        desktop.display.get_atom(f"_NET_WM_STATE{suffix}") for suffix in ("", "_DEMANDS_ATTENTION", "_FULLSCREEN")
    )
    outer.change_property(name, Xatom.ATOM, 32, [attention])
    desktop.received()
    desktop.host.sync()
    assert list(desktop.host.events()) == []  # it asks
    desktop.host.sync()  # the answer is there, unseen
    outer.change_property(name, Xatom.ATOM, 32, [fullscreen])
    desktop.received()
    assert desktop.settle() == [StateEvent(ONE, ATTENTION, NONE), StateEvent(ONE, FULLSCREEN, ATTENTION)]


def test_fullscreen_and_back(managed: ManagedDesktop) -> None:
    show(managed)
    managed.until_quiet()
    managed.host.set_state(ONE, FULLSCREEN, NONE)
    managed.until_seen(ConfiguredEvent(ONE, WHOLE), StateEvent(ONE, FULLSCREEN, NONE))
    managed.host.set_state(ONE, NONE, FULLSCREEN)
    managed.until_seen(ConfiguredEvent(ONE, PLACE), StateEvent(ONE, NONE, FULLSCREEN))
