"""Entries, their limits, and which watches a change concerns."""

from hypothesis import given
from hypothesis import strategies as st

from qubesdb.namespace import ALL_LIMITS, VM_LIMITS, Limits, Namespace, concerns

SMALL = Limits(entries=3, size=20)


def test_reading_what_is_and_what_is_not() -> None:
    namespace = Namespace([("/b", b"2"), ("/a", b"1")])
    assert namespace.read("/a") == b"1"
    assert namespace.read("/c") is None
    assert list(namespace) == [("/a", b"1"), ("/b", b"2")]


def test_a_prefix_is_one_of_text() -> None:
    namespace = Namespace((path, b"") for path in ("/a", "/a/b", "/ab", "/b"))
    assert [path for path, _ in namespace.below("/a")] == ["/a", "/a/b", "/ab"]
    assert [path for path, _ in namespace.below("/a/")] == ["/a/b"]


def test_removal_of_one_and_of_all_below() -> None:
    namespace = Namespace((path, b"") for path in ("/a", "/a/b", "/a/c", "/ab"))
    assert namespace.remove("/a") == ["/a"]
    assert namespace.remove("/a") == []
    assert namespace.remove("/a/") == ["/a/b", "/a/c"]
    assert [path for path, _ in namespace] == ["/ab"]


def test_entries_are_limited_and_a_refused_one_changes_nothing() -> None:
    namespace = Namespace((path, b"") for path in ("/a", "/b", "/c"))
    assert not namespace.write("/d", b"", SMALL)
    assert len(namespace) == 3
    assert namespace.write("/a", b"x", SMALL)
    assert namespace.remove("/a")
    assert namespace.write("/d", b"", SMALL)


def test_bytes_are_limited_and_what_gets_smaller_is_never_refused() -> None:
    namespace = Namespace([("/a", b"x" * 30)])
    assert not namespace.write("/a", b"x" * 31, SMALL)
    assert namespace.write("/a", b"x" * 29, SMALL)
    assert not namespace.write("/b", b"", SMALL)
    assert namespace.write("/a", b"", SMALL)
    assert namespace.write("/b", b"x" * 16, SMALL)
    assert not namespace.write("/b", b"x" * 17, SMALL)


@given(st.lists(st.tuples(st.sampled_from(["/a", "/b", "/a/c", "/a/d"]), st.binary(max_size=9) | st.none())))
def test_the_count_of_bytes_is_always_that_of_a_fresh_namespace(changes: list[tuple[str, bytes | None]]) -> None:
    namespace = Namespace()
    for path, value in changes:
        if value is None:
            namespace.remove(path)
        else:
            namespace.write(path, value, SMALL)
    fresh = Namespace(namespace)
    for room in range(40):
        limits = Limits(10, room)
        assert Namespace(namespace).write("/new", b"123", limits) == Namespace(fresh).write("/new", b"123", limits)
        assert namespace.write("/new", b"123", limits) == fresh.write("/new", b"123", limits)
        namespace.remove("/new")
        fresh.remove("/new")


def test_a_vm_that_fills_its_share_up_leaves_room_to_the_admin_side() -> None:
    namespace = Namespace((f"/{number}", b"") for number in range(VM_LIMITS.entries))
    assert not namespace.write("/more", b"", VM_LIMITS)
    assert namespace.write("/keyboard-layout", b"de", ALL_LIMITS)


def test_what_a_watch_is_about() -> None:
    assert concerns("/a", "/a")
    assert not concerns("/a", "/a/b")
    assert concerns("/a/", "/a/b")
    assert concerns("/a/", "/a/b/c")
    assert not concerns("/a/", "/a")
