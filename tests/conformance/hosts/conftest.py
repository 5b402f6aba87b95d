"""Every test that takes `desktop` runs once for each display host."""

from collections.abc import Iterator

import pytest

from guid.core.trusted import Label
from guid.hosts.base import HostConfig
from tests.conformance.hosts.desktop import Desktop, HeadlessDesktop, x11_desktop
from tests.xserver import XServer

LABEL = Label("blue", 0x2040E0, 4)


@pytest.fixture(scope="session")
def x_server() -> Iterator[XServer]:
    with XServer(800, 600) as server:
        yield server


@pytest.fixture
def config() -> HostConfig:
    """What the hosts of a test are made with; a test may override it."""
    return HostConfig("work", LABEL)


@pytest.fixture(scope="session")
def fine_x_server() -> Iterator[XServer]:
    """Of twice as many pixels."""
    with XServer(1600, 1200) as server:
        yield server


@pytest.fixture(params=["x11", "headless", "x11 twice as large", "headless twice as large"])
def desktop(request: pytest.FixtureRequest, config: HostConfig) -> Iterator[Desktop]:
    name, _, larger = request.param.partition(" ")
    scale = 2 if larger else 1
    if name == "headless":
        yield HeadlessDesktop(config, scale)
    else:
        with x11_desktop(request.getfixturevalue("fine_x_server" if larger else "x_server"), config, scale) as desktop:
            yield desktop
