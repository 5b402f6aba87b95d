"""Tests that take `source` run once for each source of windows."""

import pytest

from tests.xserver import SERVERS


@pytest.fixture(params=SERVERS)
def source(request: pytest.FixtureRequest) -> str:
    return str(request.param)
