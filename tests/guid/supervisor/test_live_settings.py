"""What a changed configuration does to VMs that run: at once what can be, the rest when their workers start again."""

import dataclasses
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guid.config.configuration import Configuration
from guid.config.settings import VmSettings
from guid.control import LineSocket, Message
from guid.spec import ViewSpec, VmSpec
from guid.supervisor import live_settings
from guid.supervisor.live_settings import LiveSettings
from guid.supervisor.vm import Vm
from guid.worker.child import Child
from guiproto.errors import MachineCannot


class Served:
    """A VM whose worker is this test."""

    def __init__(self, directory: Path, text: str, chosen: dict[str, Any]) -> None:
        self.path = directory / "guid.toml"
        self.path.write_text(text)
        self.live = LiveSettings(Configuration.read(self.path))
        ours, theirs = socket.socketpair()
        self.worker = LineSocket(theirs)
        self.vm = Vm(self.live.resolve(VmSpec("work", 7, "red", view=ViewSpec(chosen=chosen))))
        self.vm.child = Child(os.getpid(), -1, LineSocket(ours))

    def reload(self, text: str) -> dict[str, Any]:
        self.path.write_text(text)
        (row,) = self.live.reload([self.vm])
        return row

    def told(self) -> list[Message]:
        return self.worker.receive()

    def close(self) -> None:
        self.worker.close()
        if self.vm.child is not None:
            self.vm.child.line.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path, "[global]\nborder_width = 4\n", {"title_prefix": False})
    yield made
    made.close()


def test_a_worker_is_told_what_counts_now(served: Served) -> None:
    row = served.reload("[vm.work]\nborder_width = 9\ntitle_prefix = true\n")
    assert row == {"name": "work", "now": ["border_width"], "later": []}, "what was chosen still counts most"
    now = VmSettings(border_width=9, title_prefix=False)
    assert served.told() == [{"op": "settings", "settings": dataclasses.asdict(now)}]
    assert served.vm.spec.settings == now


def test_nothing_is_told_that_is_known(served: Served) -> None:
    assert served.reload("[label.red]\nborder_width = 4\n") == {"name": "work", "now": [], "later": []}
    assert served.told() == []


def test_what_cannot_change_at_once_waits_for_the_next_worker(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_settings, "LIVE", frozenset({"border"}))
    row = served.reload('[global]\nborder_width = 9\nborder = "override-redirect"\n')
    assert row == {"name": "work", "now": ["border"], "later": ["border_width"]}
    (message,) = served.told()
    assert (message["settings"]["border_width"], message["settings"]["border"]) == (4, "override-redirect")
    rows = {row["name"]: row for row in served.live.rows(served.vm)}
    assert rows["border_width"] == {"name": "border_width", "value": 9, "origin": "global", "running": 4}
    assert served.live.resolve(served.vm.spec).settings.border_width == 9


def test_a_vm_without_a_worker_gets_it_all_with_the_next_one(served: Served) -> None:
    served.close()
    served.vm.child = None
    assert served.reload("[global]\nborder_width = 9\n")["now"] == ["border_width"]
    assert served.live.resolve(served.vm.spec).settings.border_width == 9


def test_a_mistake_leaves_everything_as_it_was(served: Served) -> None:
    with pytest.raises(MachineCannot, match=r"guid.toml:4: there is no setting 'nonsense'"):
        served.reload("[global]\nborder_width = 9\n[vm.work]\nnonsense = 9\n")
    assert served.told() == []
    assert served.live.resolve(served.vm.spec).settings.border_width == 4
