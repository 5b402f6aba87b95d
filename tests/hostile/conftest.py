"""The field on which a module's attacks take place."""

from collections.abc import Iterator

import pytest

from tests.hostile.field import Field


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    with Field(tmp_path_factory.mktemp("field")) as made:
        yield made
