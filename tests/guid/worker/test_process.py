"""What a worker says is taken for no more than what a worker can say: it has read bytes of a VM."""

import json
import os
import select
from collections.abc import Callable

import pytest

from guid.config.settings import VmSettings
from guid.control import LineSocket
from guid.core.config import Limit, Quotas
from guid.spec import VmSpec
from guid.worker.child import Child
from guid.worker.process import fork, host_config, session_config

WINDOW: dict[str, object] = {
    "remote_id": 1, "local_id": 2, "title": "", "x": -5, "y": 5, "width": 9, "height": 9, "mapped": True,
    "override_redirect": False, "transient_for": None, "docked": False, "buffer_width": None, "buffer_height": 9,
    "damage_rects": 0, "vm": "x", "domid": 3, "label_color": "0x000000", "copies_per_frame": 0,
}  # fmt: skip


def _child(words: bytes) -> Child:
    def live(line: LineSocket) -> dict[str, str]:
        os.write(line.fileno(), words)
        while not line.closed:
            select.select([line.fileno()], [], [])
            line.receive()
        return {}

    return fork("test", live)


def _hear(child: Child, enough: Callable[[list[dict[str, object]]], bool]) -> list[dict[str, object]]:
    heard: list[dict[str, object]] = []
    for _ in range(100):
        select.select([child.line.fileno(), child.pidfd], [], [], 0.1)
        heard += child.hear()
        if enough(heard) or child.line.closed:
            break
    return heard


def test_what_workers_say_is_heard() -> None:
    words = [
        {"event": "ready"}, {"event": "connected", "version": "1.8"}, {"event": "log", "level": 20, "text": "hello"},
        {"event": "shown", "windows": [1, 2]}, {"event": "complete", "windows": []}, {"event": "released"},
        {"event": "desktop", "layout": "us", "monitors": ""},
        {"event": "windows", "id": 3, "rows": [WINDOW, WINDOW]}, {"event": "windows", "id": 4, "rows": []},
        {"event": "usage", "id": 5, "rows": [dict.fromkeys(Limit, 0)]}, {"event": "limit", "limit": "max_windows"},
        {"event": "notify", "text": "x"}, {"event": "disconnected"},
        {"event": "copying"}, {"event": "copied", "size": 5}, {"event": "not copied"}, {"event": "pasting"},
    ]  # fmt: skip
    child = _child(b"".join(json.dumps(word).encode() + b"\n" for word in words))
    poll = select.epoll()
    poll.register(child.pidfd)
    assert _hear(child, lambda heard: len(heard) == len(words)) == words
    child.end(poll)
    poll.close()


@pytest.mark.parametrize(
    "words",
    [
        {"event": "shown"},
        {"event": "shown", "windows": [1, "2"]},
        {"event": "complete", "windows": 7},
        {"event": "desktop", "layout": "us"},
        {"event": "desktop", "layout": "us", "monitors": [1]},
        {"event": "windows", "id": "x", "rows": []},
        {"event": "windows", "id": 1, "rows": [3]},
        {"event": "windows", "id": 1, "rows": [{**WINDOW, "more": 1}]},
        {"event": "windows", "id": 1, "rows": [{**WINDOW, "title": []}]},
        {"event": "windows", "id": 1, "rows": [{**WINDOW, "x": "1"}]},
        {"event": "windows", "id": 1, "rows": [{**WINDOW, "mapped": 1}]},
        {"event": "usage", "id": 1, "rows": [{}]},
        {"event": "limit", "limit": "max_wishes"},
        {"event": "limit", "limit": ["max_windows"]},
        {"event": "connected"},
        {"event": "log", "level": 20, "text": [[["x"]]]},
        {"event": "log", "level": 51, "text": "x"},
        {"event": "log", "level": "high", "text": "x"},
        {"event": "log", "level": True, "text": "x"},
        {"event": "notify"},
        {"event": "notify", "text": 3},
        {"event": "copied"},
        {"event": "copied", "size": "5"},
        {"event": "copied", "size": True},
        {"event": "paste"},
        {"event": ["ready"]},
        {"event": "surprise"},
        {},
    ],
)
def test_a_worker_that_says_something_else_is_ended(words: dict[str, object]) -> None:
    child = _child(b'{"event": "ready"}\n' + json.dumps(words).encode() + b'\n{"event": "ready"}\n')
    assert _hear(child, lambda heard: len(heard) > 1) == [{"event": "ready"}]
    assert select.select([child.pidfd], [], [], 10)[0], "it was killed"
    poll = select.epoll()
    poll.register(child.pidfd)
    assert child.end(poll)
    poll.close()


def _spec(**chosen: object) -> VmSpec:
    return VmSpec("work", 7, "blue", settings=VmSettings().but(chosen))


@pytest.mark.parametrize(
    ("mode", "border", "tint"),
    [
        ("tint", 0, True), ("tint+border1", 1, True), ("tint+border2", 2, True), ("border1", 1, False),
        ("border2", 2, False),
    ],
)  # fmt: skip
def test_an_icon_is_always_marked(mode: str, border: int, tint: bool) -> None:
    config = host_config(_spec(trayicon_mode=mode))
    assert (config.tray_border, config.tray_tint) == (border, tint)


def test_screen_lockers_are_names_with_commas_between() -> None:
    assert host_config(_spec(screensaver_names=" slock,, my locker ,")).screen_lockers == ("slock", "my locker")
    assert "xscreensaver" in host_config(_spec()).screen_lockers


def test_override_redirect_windows_are_bounded_unless_the_user_says_no() -> None:
    assert session_config(_spec()).override_redirect_protection
    assert not session_config(_spec(override_redirect_protection=False)).override_redirect_protection


def test_limits_are_the_users() -> None:
    chosen = {"max_windows": 10, "max_window_memory": 16, "max_tray_icons": 0, "max_message_rate": 1000}
    quotas = session_config(_spec(**chosen)).quotas
    assert (quotas.windows, quotas.pages, quotas.tray_icons, quotas.messages) == (10, 4096, 0, 1000)
    assert session_config(_spec()).quotas == Quotas()


def test_a_vm_whose_windows_are_magnified_has_a_smaller_quota() -> None:
    plain, large = (VmSpec("work", 7, "blue", settings=VmSettings(scale=scale)) for scale in (1, 2))
    assert (session_config(plain).quotas.page_weight, session_config(large).quotas.page_weight) == (1, 4)
