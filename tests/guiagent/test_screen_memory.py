"""Memory that a display server has painted and nobody drew on is given back."""

import mmap
from pathlib import Path

from guiagent import screen_memory

PIXELS = 400 * 300


def test_what_was_painted_is_given_back_and_reads_as_black() -> None:
    directory = screen_memory.make((400, 300))
    assert directory is not None, "there is room for 480 KB"
    path = directory / "Xvfb_screen0"
    path.write_bytes(b"\1" * (4 * PIXELS))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        screen_memory.give_back(directory)
        assert memory[4 * 4096 : 4 * PIXELS // 4096 * 4096].count(0) == 4 * PIXELS // 4096 * 4096 - 4 * 4096
        assert memory[: 4 * 4096] == b"\1" * 4 * 4096, "what the server keeps in front of the pixels"
        assert path.stat().st_size == 0
        memory[-4097:] = b"\2" * 4097
        assert memory[-4097:] == b"\2" * 4097
    screen_memory.remove(directory)
    assert not directory.exists()


def test_a_screen_that_there_is_no_room_for_has_none() -> None:
    assert screen_memory.make((1 << 20, 1 << 20)) is None


def test_a_server_that_never_was_leaves_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "screen"
    directory.mkdir()
    screen_memory.give_back(directory)
    screen_memory.remove(directory)
    screen_memory.remove(directory)
    assert not directory.exists()
