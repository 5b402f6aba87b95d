"""An X11 host on a bare X server (`desktop`) and on one with a window manager (`managed`)."""

from collections.abc import Iterator

import pytest

from guid.core.trusted import Label
from guid.hosts.base import HostConfig
from tests.conformance.hosts.desktop import X11Desktop, x11_desktop
from tests.guid.hosts.x11.managed import ManagedDesktop, start_openbox
from tests.xserver import XServer


@pytest.fixture
def x11_config() -> HostConfig:
    return HostConfig("work", Label("blue", 0x2040E0, 4))


@pytest.fixture(scope="session")
def x_server() -> Iterator[XServer]:
    with XServer(800, 600) as server:
        yield server


@pytest.fixture(scope="session")
def managed_server() -> Iterator[XServer]:
    with XServer(800, 600) as server:
        start_openbox(server)
        yield server


@pytest.fixture
def desktop(x_server: XServer, x11_config: HostConfig) -> Iterator[X11Desktop]:
    with x11_desktop(x_server, x11_config) as desktop:
        yield desktop


@pytest.fixture
def managed(managed_server: XServer, x11_config: HostConfig) -> Iterator[ManagedDesktop]:
    desktop = ManagedDesktop(managed_server, x11_config)
    try:
        yield desktop
    finally:
        desktop.close()
