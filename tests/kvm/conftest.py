"""The guests, which all tests share: booting them takes longer than most tests."""

from collections.abc import Iterator

import pytest

from tests.kvm.rig import NAMES, Guests, guests


@pytest.fixture(scope="package")
def rig() -> Iterator[Guests]:
    """Two VMs that run, each with a vchan for the checks besides the GUI's."""
    with guests() as made:
        for name, label in zip(NAMES, ("blue", "red"), strict=True):
            more = ["--map-ram"] if name == "two" else []
            made.guid("vm", "create", name, "--label", label, "--memory", "640M", "--videoram", "256M", *more)
            made.add_vchan(name)
        for name in NAMES:
            made.guid("vm", "start", name)
        for name in NAMES:
            made.wait_connected(name)
        yield made
