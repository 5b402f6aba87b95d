"""Qubes DB with running AppVMs: both sides see the same, what the GUI's entries say happens, no VM sees another's."""

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from qubesdb.namespace import VM_LIMITS
from tests.e2e.desk import Desk
from tests.e2e.rig import wait_for
from tests.xserver import XServer

# A shell of the VM for the test: runs what it finds in a file of its home, and leaves the output beside it.
SHELL = "xclock -name clock & while sleep 0.05; do [ -e do ] && mv do doing && (sh doing >out 2>&1; mv out done); done"
# In a VM, with the VM's own socket for writing.
WRITE = "python3 -c 'from guiagent.settings import *; from qubesdb.client import *; import sys; \
Database(socket_path(Path(\"/run/qubes\"))).write(sys.argv[1], sys.argv[2].encode())' "
LIST = 'python3 -c \'from guiagent.settings import *; from qubesdb.client import *; \
print(*Database(socket_path(Path("/run/qubes"), writable=False)).list(""))\''


class Vm:
    """A running AppVM."""

    def __init__(self, desk: Desk, name: str) -> None:
        self.desk = desk
        self.name = name
        self.home = desk.runtime / "vms" / name / "home"
        desk.guid("run", name, "--label", "blue", "--detach", "--", "sh", "-c", SHELL)
        wait_for("its window", self.is_shown)

    def is_shown(self) -> bool:
        return any(row["vm"] == self.name and row["damage_rects"] > 0 for row in self.desk.windows())

    def run(self, script: str) -> str:
        """What a command in it printed."""
        path = ":".join(p for p in (str(Path(__file__).parents[2]), *_packages()))
        (self.home / "next").write_text(f"PYTHONPATH={path}\nexport PYTHONPATH\n{script}\n")
        (self.home / "next").chmod(0o644)
        (self.home / "next").rename(self.home / "do")
        wait_for("the command's end", (self.home / "done").exists)
        output = (self.home / "done").read_text()
        (self.home / "done").unlink()
        return output

    def row(self) -> dict[str, object]:
        """Of `guid ps`."""
        return next(row for row in self.desk.vms() if row["name"] == self.name)


def _packages() -> list[str]:
    from backends.local.sandbox import dependency_dirs

    return dependency_dirs()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with XServer(1600, 1000) as server:
        made = Desk(tmp_path, server)
        yield made
        made.close()


@pytest.fixture
def work(desk: Desk) -> Vm:
    return Vm(desk, "work")


def test_both_sides_see_what_either_writes(desk: Desk, work: Vm) -> None:
    listed = desk.guid("db", "list", "work", "/").splitlines()
    assert {"/name = work", "/qubes-vm-type = AppVM", "/qubes-gui-domain-xid = 0", "/qubes-gui-enabled = True"} <= set(
        listed
    )
    assert work.run(WRITE + "/from/vm \"$(printf 'a\\033[31m\\\\')\"") == ""
    wait_for("the VM's value", lambda: "/from/vm = a\\x1b[31m\\\\\n" in desk.guid("db", "list", "work"))
    desk.guid("db", "write", "work", "/from/admin", "2")
    wait_for("the admin side's value", lambda: "/from/admin" in work.run(LIST).split())
    desk.guid("db", "rm", "work", "/from/")
    wait_for("the removal", lambda: "/from/vm" not in work.run(LIST).split())
    assert "work has no entry /from/vm" in desk.guid("db", "read", "work", "/from/vm", status=1)


def test_a_watch_tells_what_the_vm_changes(desk: Desk, work: Vm) -> None:
    watch = desk.start("db", "watch", "work", "/from/", "--count", "1")
    log = desk.directory / "guid.log"

    def is_told() -> bool:
        work.run(WRITE + "/from/vm 1")
        return "/from/vm = 1\n" in log.read_text()

    wait_for("the change", is_told)
    assert watch.wait(10) == 0


def test_the_keyboard_layout_changes_while_the_vm_runs(desk: Desk, work: Vm) -> None:
    assert "layout:     us" in work.run("setxkbmap -query")
    desk.guid("db", "write", "work", "/keyboard-layout", "de+nodeadkeys+ctrl:nocaps")
    wait_for("the layout", lambda: "layout:     de" in work.run("setxkbmap -query"))
    found = work.run("setxkbmap -query; xmodmap -pke 2>/dev/null | grep '^keycode  29'")
    assert "variant:    nodeadkeys" in found
    assert "options:    ctrl:nocaps" in found
    assert "keycode  29 = z" in found
    desk.guid("db", "write", "work", "/keyboard-layout", "us")
    wait_for("the layout", lambda: "layout:     us" in work.run("setxkbmap -query"))
    assert "options" not in work.run("setxkbmap -query")


def test_an_agent_serves_only_while_it_is_enabled(desk: Desk, work: Vm) -> None:
    desk.guid("db", "write", "work", "/qubes-gui-enabled", "False")
    wait_for("no window", lambda: not desk.windows())
    assert work.row()["state"] == "waiting"
    desk.guid("db", "write", "work", "/qubes-gui-enabled", "True")
    wait_for("the window", work.is_shown)


def test_two_vms_cannot_see_each_other(desk: Desk, work: Vm) -> None:
    other = Vm(desk, "other")
    work.run(WRITE + "/secret 1")
    wait_for("the value", lambda: "/secret = 1" in desk.guid("db", "list", "work"))
    assert "/secret" not in other.run(LIST)
    assert "/secret" not in desk.guid("db", "list", "other")
    # Of vchans of port 111 a VM sees its own at most, and no socket of the admin side.
    seen = other.run("find / -name '*.111.*' -o -name 'qubesdb*.sock' 2>/dev/null").split()
    own = other.row()["domid"]
    assert all(path.startswith(("/run/qubes/qubesdb.", f"/run/vchan/vchan.0.{own}.111.")) for path in seen), seen


def test_a_vm_that_fills_it_up_meets_a_limit(desk: Desk, work: Vm) -> None:
    fill = (
        "python3 -c 'from guiagent.settings import *; from qubesdb.client import *\n"
        'database = Database(socket_path(Path("/run/qubes")))\n'
        'for number in range(9999): database.write(f"/fill/{number}", b"")\''
    )
    assert "is the namespace full" in work.run(fill)
    wait_for("all of it", lambda: len(desk.guid("db", "list", "work").splitlines()) == VM_LIMITS.entries)
    desk.guid("db", "write", "work", "/keyboard-layout", "de")
    wait_for("the layout", lambda: "layout:     de" in work.run("setxkbmap -query"))


def test_killed_daemons_come_back_with_the_values_and_the_gui_goes_on(desk: Desk, work: Vm) -> None:
    desk.guid("db", "write", "work", "/mine", "1")
    before = work.row()
    for _ in range(3):
        pid = work.row()["qubesdb_pid"]
        assert isinstance(pid, int)
        os.kill(pid, signal.SIGKILL)
        wait_for("another daemon", partial(_is_another, work, pid))
        wait_for("the value", lambda: desk.guid("db", "list", "work", "/mine") == "/mine = 1\n")
    work.run("pkill -9 qubesdb-daemon; sleep 0.2")
    wait_for("the value in the VM", lambda: "/mine" in work.run(LIST).split())
    desk.guid("db", "write", "work", "/keyboard-layout", "fr")
    wait_for("the layout", lambda: "layout:     fr" in work.run("setxkbmap -query"))
    after = work.row()
    assert (after["worker_pid"], after["vm_pid"], after["restarts"]) == (before["worker_pid"], before["vm_pid"], 0)
    assert work.is_shown()


def test_one_that_is_killed_just_before_its_vm_ends_leaves_nothing(desk: Desk, work: Vm) -> None:
    pid = work.row()["qubesdb_pid"]
    assert isinstance(pid, int)
    for _ in range(3):  # so that the next start is to come later
        os.kill(pid, signal.SIGKILL)
        wait_for("its end", lambda: not Path(f"/proc/{pid}").exists())  # noqa: B023 - called at once
        pid = wait_for("another daemon", lambda: work.row()["qubesdb_pid"])
        assert isinstance(pid, int)
    os.kill(pid, signal.SIGKILL)
    desk.guid("stop", "work")
    assert [path for path in desk.runtime.rglob("*") if path.is_socket() and "qubesdb" in path.name] == []


def test_values_survive_the_supervisor_and_end_with_the_vm(desk: Desk, work: Vm) -> None:
    desk.guid("db", "write", "work", "/mine", "1")
    pid = work.row()["supervisor_pid"]
    assert isinstance(pid, int)
    os.kill(pid, signal.SIGKILL)
    Vm(desk, "other")  # starts another supervisor, which takes work over
    wait_for("the value", lambda: "/mine = 1" in desk.guid("db", "list", "work"))
    desk.guid("stop", "work")
    assert "there is no Qubes DB daemon" in desk.guid("db", "list", "work", status=1)
    Vm(desk, "work")
    assert "/mine" not in desk.guid("db", "list", "work")


def _is_another(vm: Vm, pid: int) -> bool:
    return vm.row()["qubesdb_pid"] not in (None, pid)
