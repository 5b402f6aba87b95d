"""What is fuzzed: functions of any bytes that return, or fail where the code under test is wrong.

Each stands for a place where a peer's bytes come in, and knows the errors that are the right answer to nonsense.
"""

import atexit
import contextlib
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from guid.config.configuration import Configuration
from guid.config.labels import LABELS
from guid.core.commands import Command, ConfigureWindow, CreateWindow, DestroyWindow, Paint, SetTitle
from guid.core.config import Quotas
from guid.core.host_events import ScreenInfo
from guid.core.icons import Icons
from guid.core.session import Session, SessionConfig
from guid.core.trusted import Geometry, WindowId
from guiproto.connection import AgentConnection, AgentHello, DaemonConnection
from guiproto.errors import MachineCannot, PeerMisbehaved
from guiproto.icons import IconDecoder
from guiproto.messages import DamageBatch
from qubesdb.core import Core, Side
from qubesdb.link import AdminLink, Pending, VmLink
from qubesdb.namespace import Namespace
from shm.ring import WORDS, Consumer, Producer, reset

_SCREEN: Final = ScreenInfo(1920, 1080, 24, Geometry(0, 30, 1920, 1050))
_QUOTAS: Final = Quotas(windows=8, refused=16, pages=4096)
_HELLO: Final = b"\x08\x00\x01\x00"
_RING_BYTES: Final = 64


def session(data: bytes) -> None:
    """An agent's bytes: what reaches the display is in bounds, and about windows that exist."""
    connection, windows = DaemonConnection(), set[int]()
    core = Session(SessionConfig(LABELS["red"], quotas=_QUOTAS), _SCREEN)
    try:
        connection.feed(_HELLO)
        for event in connection.events():
            assert isinstance(event, AgentHello)
        connection.feed(data)
        for number, event in enumerate(connection.events()):
            assert not isinstance(event, AgentHello)
            for command in (*core.receive(event), *core.tick(float(number)), *core.take_damage()):
                _check(command, windows)
    except PeerMisbehaved:
        pass


def _check(command: Command | Paint, windows: set[int]) -> None:
    match command:
        case CreateWindow(window):
            assert window not in windows
            windows.add(window)
            assert len(windows) <= _QUOTAS.windows
        case DestroyWindow(window):
            windows.remove(window)
        case Paint(window, rects):
            rows = np.array(rects).reshape(-1, 4)
            assert window in windows
            assert (rows >= 0).all()
            assert (rows[:, 2:] > 0).all()
        case SetTitle(window, title):
            assert window in windows
            assert title.text.isascii()
            assert title.text.isprintable() or not title.text
    if isinstance(command, CreateWindow | ConfigureWindow):
        place = command.geometry
        assert 1 <= place.width <= 16384
        assert 1 <= place.height <= 6144
        assert max(abs(place.x), abs(place.y)) <= 16384


def whole_or_in_pieces(data: bytes) -> None:
    """An agent's bytes, in one go and in pieces of a length that they say: the same events, and the same error."""
    if not data:
        return
    step, data = 1 + data[0] % 40, data[1:]
    outcomes = []
    for pieces in ([data], [data[at : at + step] for at in range(0, len(data), step)]):
        connection = DaemonConnection()
        said: list[str] = []
        try:
            for piece in pieces:
                connection.feed(piece)
                for event in connection.events():
                    said += _rows(event)
        except PeerMisbehaved as error:
            said.append(error.rule)
        outcomes.append(said)
    assert outcomes[0] == outcomes[1]


def _rows(event: object) -> list[str]:
    """An event as text; a run of damage as its single messages."""
    return list(map(str, event.messages())) if isinstance(event, DamageBatch) else [str(event)]


def daemon(data: bytes) -> None:
    """A daemon's bytes, as an agent hears them."""
    connection = AgentConnection()
    try:
        connection.feed(data)
        for _ in connection.events():
            pass
    except PeerMisbehaved:
        pass


def icons(data: bytes) -> None:
    """An agent's icons, in one go and in pieces of a length that they say: the same ones and the same error, small."""
    if not data:
        return
    step, data = 1 + data[0] % 40, data[1:]
    outcomes = []
    for pieces in ([data], [data[at : at + step] for at in range(0, len(data), step)]):
        decoder, shelf = IconDecoder(), Icons()
        said: list[str] = []
        try:
            for piece in pieces:
                decoder.feed(piece)
                for icon in decoder.icons():
                    said.append(str(icon))
                    shelf.add(icon)
        except PeerMisbehaved as error:
            said.append(error.rule)
        for _, shown in shelf.take(0.0, frozenset(map(WindowId, range(100)))):
            assert max(shown.pixels.shape) <= 64
        outcomes.append(said)
    assert outcomes[0] == outcomes[1]


def ring(data: bytes) -> None:
    """A peer that writes into the control words of a ring whatever it likes, between what we do."""
    words, content = memoryview(bytearray(4 * WORDS)).cast("I"), memoryview(bytearray(_RING_BYTES))
    reset(words)
    producer, consumer = Producer(words, content), Consumer(words, content)
    for at in range(0, len(data) - 5, 6):
        step, place = data[at], data[at + 1]
        try:
            match step % 4:
                case 0:
                    words[place % WORDS] = int.from_bytes(data[at + 2 : at + 6], "little")
                case 1:
                    count, _ = producer.write(data[at + 2 : at + 6] * (1 + place))
                    assert count <= _RING_BYTES
                case 2:
                    taken, _ = consumer.read(place)
                    assert len(taken) <= min(place, _RING_BYTES)
                case 3:
                    assert 0 <= producer.want_space() <= _RING_BYTES
                    assert 0 <= consumer.want_data() <= _RING_BYTES
        except PeerMisbehaved:
            return


def database_of_vm(data: bytes) -> None:
    """What a VM's Qubes DB says to the admin side, and a local client of it as well."""
    core = Core(Side.ADMIN, Namespace())
    link = AdminLink(core, lambda _: None)
    core.repeater = link
    _database(core, link, data)


def database_of_admin(data: bytes) -> None:
    """The same the other way round."""
    core = Core(Side.VM, Namespace())
    link = VmLink(core, lambda _: None, Pending())
    core.repeater = link
    _database(core, link, data)


def _database(core: Core, link: AdminLink | VmLink, data: bytes) -> None:
    if not data:
        return
    middle = len(data) * data[0] // 255
    client = core.add(writable=True)
    try:
        link.receive(data[1:middle])
        core.receive(client, data[middle:])
        link.receive(data[middle:])
        link.check()
    except PeerMisbehaved:
        pass
    assert len(client.out) < 8 << 20


def settings(data: bytes) -> None:
    """A configuration, which its owner may have got wrong in any way."""
    _CONFIGURATION.write_bytes(data)
    with contextlib.suppress(MachineCannot):
        Configuration.read(_CONFIGURATION)


_CONFIGURATION: Final = Path(tempfile.mkdtemp(prefix="fuzz-")) / "guid.toml"
atexit.register(shutil.rmtree, _CONFIGURATION.parent, ignore_errors=True)

TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    target.__name__: target
    for target in (session, whole_or_in_pieces, daemon, icons, ring, database_of_vm, database_of_admin, settings)
}
