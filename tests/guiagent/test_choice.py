"""What copies least is chosen, of what can work; and a wish that cannot be fulfilled is refused with a remedy."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.base import Backend
from backends.local import LocalBackend
from guiagent.choice import for_display, for_session
from guiproto.errors import MachineCannot
from tests.xserver import XServer, XwaylandServer


class NoSharing(LocalBackend):
    name = "frugal"
    adopts = False


@pytest.fixture
def local(tmp_path: Path) -> Backend:
    return LocalBackend(tmp_path)


@pytest.fixture
def frugal(tmp_path: Path) -> Backend:
    return NoSharing(tmp_path)


@pytest.fixture(scope="module")
def xvfb() -> Iterator[XServer]:
    with XServer(100, 100) as made:
        yield made


@pytest.fixture(scope="module")
def xwayland() -> Iterator[XServer]:
    with XwaylandServer(100, 100) as made:
        yield made


@pytest.fixture
def without_xwayland(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def test_a_session_copies_nothing_where_it_can(local: Backend) -> None:
    assert for_session("auto", local) == ("xwayland", "nothing is copied so")
    assert for_session("xwayland", local).source == "xwayland"
    assert for_session("x11", local).source == "x11"


@pytest.mark.usefixtures("without_xwayland")
def test_a_session_without_xwayland_copies(local: Backend) -> None:
    assert for_session("auto", local) == ("x11", "Xwayland is not installed")
    with pytest.raises(MachineCannot, match=r"xwayland: Xwayland is not installed \(choose the source x11\)"):
        for_session("xwayland", local)


def test_a_backend_that_cannot_share_what_programs_allocate_copies(frugal: Backend, xwayland: XServer) -> None:
    why = "backend frugal shares no memory that programs allocate"
    assert for_session("auto", frugal) == ("x11", why)
    assert for_display("auto", frugal, xwayland.display) == ("x11", why)
    with pytest.raises(MachineCannot, match=why):
        for_session("xwayland", frugal)
    with pytest.raises(MachineCannot, match=why):
        for_display("xwayland", frugal, xwayland.display)


def test_a_display_that_runs_already(local: Backend, xvfb: XServer, xwayland: XServer) -> None:
    assert for_display("auto", local, xwayland.display).source == "xwayland"
    assert for_display("auto", local, xvfb.display) == ("x11", "the X server is no Xwayland of ours")
    assert for_display("x11", local, ":54321").source == "x11"
    with pytest.raises(MachineCannot, match=":54321"):
        for_display("auto", local, ":54321")
