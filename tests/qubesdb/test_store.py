"""The file of the admin side: what was written is read, anything else is noticed and kept."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guiproto.errors import MachineCannot
from qubesdb.namespace import Namespace
from qubesdb.store import Damaged, Store
from tests.qubesdb.test_wire import PATHS, VALUES


@given(st.dictionaries(PATHS, VALUES, max_size=5))
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, entries: dict[str, bytes]) -> None:
    store = Store(tmp_path_factory.mktemp("store") / "f", "life")
    store.write(Namespace(entries.items()))
    read = store.read()
    assert read is not None
    assert dict(read) == entries
    assert [path.name for path in store.path.parent.iterdir()] == ["f"]
    assert store.path.stat().st_mode & 0o777 == 0o600


def test_nothing_and_another_life_are_nothing(tmp_path: Path) -> None:
    assert Store(tmp_path / "f", "one").read() is None
    Store(tmp_path / "f", "one").write(Namespace([("/a", b"1")]))
    assert Store(tmp_path / "f", "another").read() is None
    assert Store(tmp_path / "f", "one").read() is not None


@given(st.data())
def test_a_file_with_any_byte_changed_or_cut_off_is_damaged_and_kept(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    store = Store(tmp_path_factory.mktemp("store") / "f", "life")
    store.write(Namespace([("/a", b"1"), ("/b", b"2")]))
    whole = store.path.read_bytes()
    at = data.draw(st.integers(whole.index(b"\n") + 1, len(whole) - 1))
    bad = data.draw(st.sampled_from([whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]]))
    store.path.write_bytes(bad)
    with pytest.raises(Damaged, match=str(store.path)):
        store.read()
    assert not store.path.exists()
    assert store.path.with_name("f.damaged").read_bytes() == bad


def test_no_room_is_said_and_the_old_one_stays(tmp_path: Path) -> None:
    store = Store(tmp_path / "f", "life")
    store.write(Namespace([("/a", b"1")]))
    (tmp_path / "f.new").mkdir()
    with pytest.raises(MachineCannot, match="cannot write"):
        store.write(Namespace())
    assert dict(store.read() or ()) == {"/a": b"1"}
