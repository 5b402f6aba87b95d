"""The server moves pixels between regions and windows; pixels never pass through this process's connection."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from numpy.typing import NDArray
from Xlib import X

from guiproto.errors import MachineCannot
from shm.region import Region
from shm.xconn import XConnection
from shm.xshm import ShmPath
from tests.xserver import XServer

WIDTH, HEIGHT = 300, 200
BYTES = WIDTH * HEIGHT * 4
OFFSET = 8192


@pytest.fixture(scope="module")
def server() -> Iterator[XServer]:
    with XServer(400, 300) as server:
        yield server


@pytest.fixture(scope="module")
def connection(server: XServer) -> Iterator[XConnection]:
    connection = XConnection(server.display)
    yield connection
    connection.close()


class Canvas:
    """A window, and a region with random pixels at OFFSET."""

    def __init__(self, connection: XConnection) -> None:
        self.connection = connection
        screen: Any = connection.display.screen()
        self.window = screen.root.create_window(
            0, 0, WIDTH, HEIGHT, 0, 24, override_redirect=1, background_pixel=0x102030
        )
        self.window.map()
        self.gc = self.window.create_gc(graphics_exposures=0)
        self.region = Region.create(OFFSET + -(-BYTES // 4096) * 4096)
        memory = self.region.view(writable=True)
        self.pixels: NDArray[np.uint32] = np.frombuffer(memory, np.uint32, WIDTH * HEIGHT, OFFSET).reshape(
            HEIGHT, WIDTH
        )
        self.pixels[:] = np.random.default_rng(7).integers(0, 1 << 24, self.pixels.shape, np.uint32)

    def shown(self) -> NDArray[np.uint32]:
        image = self.window.get_image(0, 0, WIDTH, HEIGHT, X.ZPixmap, 0xFFFFFFFF)
        shown: NDArray[np.uint32] = np.frombuffer(image.data, np.uint32).reshape(HEIGHT, WIDTH) & np.uint32(0xFFFFFF)
        return shown

    def clear(self) -> None:
        self.window.clear_area()

    def put(self, path: ShmPath, rects: NDArray[np.int32], shift: tuple[int, int] = (0, 0)) -> None:
        segment = path.attach(self.region)
        path.put(self.window.id, self.gc.id, 24, segment, OFFSET, (WIDTH, HEIGHT), rects, shift)


@pytest.fixture(scope="module")
def canvas(connection: XConnection) -> Iterator[Canvas]:
    canvas = Canvas(connection)
    yield canvas
    canvas.window.destroy()
    canvas.region.close()


@pytest.fixture
def path(connection: XConnection, canvas: Canvas) -> Iterator[ShmPath]:
    before = connection.errors
    path = ShmPath(connection, read_only=True)
    yield path
    path.detach(canvas.region)
    connection.sync()
    assert connection.errors == before


def whole() -> NDArray[np.int32]:
    return np.array([[0, 0, WIDTH, HEIGHT]], np.int32)


def test_a_whole_image(canvas: Canvas, path: ShmPath) -> None:
    canvas.clear()
    canvas.put(path, whole())
    assert np.array_equal(canvas.shown(), canvas.pixels)


def test_the_memory_itself_is_shown_not_a_copy_of_it(canvas: Canvas, path: ShmPath) -> None:
    canvas.put(path, whole())
    canvas.pixels[3, 4] ^= 0xFFFFFF
    canvas.put(path, np.array([[4, 3, 1, 1]], np.int32))
    assert canvas.shown()[3, 4] == canvas.pixels[3, 4]


RECT = some.tuples(
    some.integers(0, WIDTH - 1), some.integers(0, HEIGHT - 1), some.integers(1, 60), some.integers(1, 60)
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some.lists(RECT, min_size=0, max_size=60), some.integers(-20, 20), some.integers(-20, 20))
def test_each_rectangle_goes_to_its_place(
    canvas: Canvas, path: ShmPath, parts: list[tuple[int, int, int, int]], right: int, down: int
) -> None:
    canvas.clear()
    margin = 20  # room for what is shifted out of the window
    plane = np.full((HEIGHT + 2 * margin, WIDTH + 2 * margin), 0x102030, np.uint32)
    rects = np.array([(x, y, min(w, WIDTH - x), min(h, HEIGHT - y)) for x, y, w, h in parts], np.int32).reshape(-1, 4)
    for x, y, w, h in rects.tolist():
        left, top = margin + x + right, margin + y + down
        plane[top : top + h, left : left + w] = canvas.pixels[y : y + h, x : x + w]
    canvas.put(path, rects, (right, down))
    assert np.array_equal(canvas.shown(), plane[margin:-margin, margin:-margin])


def test_few_and_many_puts_are_the_same_requests(
    canvas: Canvas, path: ShmPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[bytes, int]] = []
    segment = path.attach(canvas.region)
    monkeypatch.setattr(path._connection, "send_raw", lambda data, count: sent.append((bytes(data), count)))
    rects = np.array([[x, 2 * x, 3 + x, 5] for x in range(40)], np.int32)
    path.put(1, 2, 24, segment, OFFSET, (WIDTH, HEIGHT), rects, (-3, 4))
    for at in range(0, 40, 10):
        path.put(1, 2, 24, segment, OFFSET, (WIDTH, HEIGHT), rects[at : at + 10], (-3, 4))
    assert sent[0][0] == b"".join(data for data, _ in sent[1:])
    assert [count for _, count in sent] == [40, 10, 10, 10, 10]


def test_a_region_is_attached_once(canvas: Canvas, path: ShmPath, connection: XConnection) -> None:
    segment = path.attach(canvas.region)
    serial = connection.serial
    assert path.attach(canvas.region) == segment
    assert connection.serial == serial
    path.detach(canvas.region)
    path.detach(canvas.region)
    canvas.put(path, whole())
    assert np.array_equal(canvas.shown(), canvas.pixels)


def test_the_server_cannot_write_what_is_attached_read_only(connection: XConnection, canvas: Canvas) -> None:
    reader = ShmPath(connection, read_only=True)
    before = connection.errors
    pixmap = reader.create_pixmap(canvas.window.id, WIDTH, HEIGHT, 24, canvas.region, OFFSET)
    connection.sync()
    assert connection.errors == before + 1
    connection.free_id(pixmap)
    reader.detach(canvas.region)


def test_a_pixmap_in_a_region_takes_what_the_server_draws(server: XServer) -> None:
    connection = XConnection(server.display)
    canvas = Canvas(connection)
    writer = ShmPath(connection, read_only=False)
    target = Region.create(OFFSET + BYTES + 4096)
    pixmap = writer.create_pixmap(canvas.window.id, WIDTH, HEIGHT, 24, target, OFFSET)
    canvas.put(writer, whole())
    drawable = connection.display.create_resource_object("pixmap", pixmap)
    drawable.copy_area(canvas.gc, canvas.window, 10, 20, 100, 50, 30, 40)
    connection.sync()
    assert connection.errors == 0
    got = np.frombuffer(target.view(), np.uint32, WIDTH * HEIGHT, OFFSET).reshape(HEIGHT, WIDTH)
    expected = np.zeros((HEIGHT, WIDTH), np.uint32)
    expected[40:90, 30:130] = canvas.pixels[20:70, 10:110]
    assert np.array_equal(got & 0xFFFFFF, expected)
    connection.close()


def test_what_the_server_refuses_is_said(connection: XConnection) -> None:
    path = ShmPath(connection, read_only=True)
    region = Region(os.open("/dev/zero", os.O_RDWR | os.O_CLOEXEC), 4096)
    held = len(connection.display.display.resource_ids)
    with pytest.raises(MachineCannot, match="refused"):
        path.attach(region)
    assert len(connection.display.display.resource_ids) == held
    region.close()


def test_a_file_that_shrinks_does_not_end_the_server(connection: XConnection, canvas: Canvas, tmp_path: Path) -> None:
    file = tmp_path / "pages"
    file.write_bytes(b"\x55" * (OFFSET + BYTES + 4096))
    region = Region(os.open(file, os.O_RDWR | os.O_CLOEXEC), OFFSET + BYTES)
    path = ShmPath(connection, read_only=True)
    segment = path.attach(region)
    os.truncate(file, 4096)
    path.put(canvas.window.id, canvas.gc.id, 24, segment, OFFSET, (WIDTH, HEIGHT), whole())
    connection.sync()
    path.detach(region)
    canvas.put(path, whole())
    assert np.array_equal(canvas.shown(), canvas.pixels)
    path.detach(canvas.region)
    region.close()


def test_an_image_past_the_end_is_an_error_and_nothing_else(connection: XConnection, canvas: Canvas) -> None:
    path = ShmPath(connection, read_only=True)
    before = connection.errors
    segment = path.attach(canvas.region)
    path.put(canvas.window.id, canvas.gc.id, 24, segment, OFFSET + 8192, (WIDTH, HEIGHT), whole())
    connection.sync()
    assert connection.errors == before + 1
    path.detach(canvas.region)
    connection.sync()


def test_a_server_without_mit_shm() -> None:
    with XServer(80, 60, arguments=("-extension", "MIT-SHM")) as server:
        connection = XConnection(server.display)
        with pytest.raises(MachineCannot, match="MIT-SHM"):
            ShmPath(connection, read_only=True)
        connection.close()
