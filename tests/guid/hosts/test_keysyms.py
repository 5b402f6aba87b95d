"""Keys are called what X calls them."""

import pytest

from guid.hosts.keysyms import keysym


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("c", 0x63),
        ("C", 0x43),
        ("Insert", 0xFF63),
        ("XF86Copy", 0x1008FF57),
        ("Cyrillic_es", 0x6D3),
        ("", 0),
        ("nonsense", 0),
    ],
)
def test_names(name: str, number: int) -> None:
    assert keysym(name) == number
