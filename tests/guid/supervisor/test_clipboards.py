"""What workers may do with the clipboards, and what the rules and the user say to it."""

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from guid import parcel
from guid.config.clipboard_rules import ClipboardRule
from guid.config.settings import VmSettings
from guid.control import LineSocket
from guid.spec import ViewSpec, VmSpec
from guid.supervisor.clipboards import Clipboards
from guid.supervisor.vm import Vm
from guid.worker.child import Child
from guiproto.errors import MachineCannot

CHOSEN = ViewSpec(display=":1")


class Worker(Child):
    """The supervisor's end of a line on which the test speaks."""

    def disown(self, fault: str) -> None:  # noqa: ARG002 - it is no process
        self.line.close()


class Machine:
    """VMs with lines, and a user who answers."""

    def __init__(self) -> None:
        self.rules: list[ClipboardRule] = []
        self.broken = False
        self.told: list[str] = []
        self.questions: dict[str, tuple[str, Callable[[bool, str], None]]] = {}
        self.can_ask = True
        self.now = 100.0
        self.lines: dict[str, LineSocket] = {}
        self.vms: list[Vm] = []
        self.clipboards = Clipboards(self._rules, self, lambda vm, text: self.told.append(f"{vm.spec.name}: {text}"),
                                     lambda: self.now)  # fmt: skip

    def _rules(self) -> list[ClipboardRule]:
        if self.broken:
            raise MachineCannot("the file is broken", "mend it")
        return self.rules

    def ask(self, spec: VmSpec, source: str, source_label: str, done: Callable[[bool, str], None]) -> None:
        if not self.can_ask:
            raise MachineCannot("nobody can be asked", "")
        self.questions[spec.name] = (f"{source} ({source_label}) to {spec.name}", done)

    def withdraw(self, target: str) -> None:
        self.questions.pop(target, None)

    def vm(self, name: str, **fields: Any) -> Vm:
        ours, theirs = socket.socketpair()
        fields.setdefault("view", CHOSEN)
        spec = VmSpec(name, len(self.lines) + 1, "red", settings=VmSettings(max_clipboard_size=1000), **fields)
        made = Vm(spec, child=Worker(0, -1, LineSocket(ours, descriptors=True)))
        self.lines[name] = LineSocket(theirs, descriptors=True)
        self.vms.append(made)
        return made

    def say(self, vm: Vm, event: str, **fields: Any) -> None:
        self.clipboards.said(vm, {"event": event, **fields})

    def send(self, vm: Vm, text: bytes, fd: int | None = None, size: int | None = None) -> None:
        """The worker says that it has copied that."""
        self.lines[vm.spec.name].send({}, parcel.pack(text) if fd is None else fd)
        assert vm.child is not None
        vm.child.line.receive()
        self.say(vm, "copied", size=len(text) if size is None else size)

    def copy(self, vm: Vm, text: bytes) -> None:
        self.say(vm, "copying")
        self.send(vm, text)

    def got(self, vm: Vm) -> bytes | None:
        """What the VM's worker was told to paste."""
        line = self.lines[vm.spec.name]
        for message in line.receive():
            assert message["op"] == "paste"
            fd = line.take_descriptor()
            assert fd is not None
            text = parcel.unpack(fd)
            assert len(text) == message["size"]
            os.close(fd)
            return text
        return None

    def paste(self, vm: Vm) -> bytes | None:
        self.say(vm, "pasting")
        return self.got(vm)

    def close(self) -> None:
        self.clipboards.clear()
        for line in self.lines.values():
            line.close()
        for vm in self.vms:
            if vm.child is not None:
                vm.child.line.close()


@pytest.fixture
def machine() -> Iterator[Machine]:
    before = len(os.listdir("/proc/self/fd"))
    made = Machine()
    yield made
    made.close()
    assert len(os.listdir("/proc/self/fd")) == before, "no descriptor is left"


# --- copying and pasting ---


def test_a_text_is_given_once_and_shown_without_what_it_says(machine: Machine) -> None:
    work, mail = machine.vm("work"), machine.vm("mail")
    machine.copy(work, b"text")
    machine.now += 7
    assert machine.clipboards.rows() == [
        {"gui_domain": "dom0", "display": ":1", "source": "work", "size": 4, "age_seconds": 7.0}
    ]
    assert machine.paste(mail) == b"text"
    assert machine.clipboards.rows() == []
    assert machine.paste(mail) is None
    assert machine.told == [
        "work: 4 bytes are copied; Ctrl-Shift-v in another VM pastes them, once",
        "mail: nothing was pasted: nothing is copied",
    ]


def test_a_worker_that_was_not_asked_changes_nothing(machine: Machine) -> None:
    work, mail, bad = machine.vm("work"), machine.vm("mail"), machine.vm("bad")
    machine.copy(work, b"text")
    machine.send(bad, b"mine")
    machine.send(work, b"again")
    machine.say(bad, "not copied")
    assert machine.paste(mail) == b"text"


def test_a_slow_answer_does_not_replace_a_newer_copy(machine: Machine) -> None:
    slow, quick = machine.vm("slow"), machine.vm("quick")
    machine.say(slow, "copying")
    machine.copy(quick, b"new")
    machine.send(slow, b"old")
    assert machine.paste(slow) == b"new"


def test_pasting_before_the_text_is_here_says_so(machine: Machine) -> None:
    work, mail = machine.vm("work"), machine.vm("mail")
    machine.say(work, "copying")
    assert machine.paste(mail) is None
    assert machine.told == ["mail: nothing was pasted: what was copied from work is not here yet"]


@pytest.mark.parametrize("lost", ["not copied", "disconnected"])
def test_an_answer_that_failed_leaves_nothing(machine: Machine, lost: str) -> None:
    work, mail = machine.vm("work"), machine.vm("mail")
    machine.copy(mail, b"old")
    machine.say(work, "copying")
    machine.say(work, lost)
    machine.send(work, b"late")
    assert machine.paste(mail) is None


def test_a_worker_that_has_ended_is_not_waited_for(machine: Machine) -> None:
    work = machine.vm("work")
    machine.say(work, "copying")
    machine.clipboards.gone(work)
    machine.send(work, b"late")
    assert machine.clipboards.rows() == []


def test_a_vm_that_gives_more_than_it_may_by_now(machine: Machine) -> None:
    work = machine.vm("work")
    machine.copy(work, bytes(1001))
    assert machine.clipboards.rows() == []
    assert "more than this VM may give" in machine.told[0]


# --- hostile workers ---


@pytest.mark.parametrize(
    ("make", "size"),
    [
        (lambda: parcel.pack(b"text"), 5),
        (lambda: parcel.pack(b"text"), -4),
        (lambda: parcel.pack(b""), 0),
        (lambda: parcel.pack(bytes(256001)), 256001),
        (lambda: os.memfd_create("can change"), 0),
        (lambda: os.open("/dev/zero", os.O_RDONLY), 4),
    ],
    ids=["longer", "negative", "empty", "too much", "can change", "device"],
)
def test_what_is_no_text_ends_the_worker(machine: Machine, make: Callable[[], int], size: int) -> None:
    bad = machine.vm("bad")
    machine.say(bad, "copying")
    machine.send(bad, b"", make(), size)
    assert bad.child is not None
    assert bad.child.line.closed
    assert machine.clipboards.rows() == []


def test_no_descriptor_ends_the_worker(machine: Machine) -> None:
    bad = machine.vm("bad")
    machine.say(bad, "copying")
    machine.say(bad, "copied", size=4)
    assert bad.child is not None
    assert bad.child.line.closed


# --- rules ---


def test_a_rule_denies_and_the_text_stays(machine: Machine) -> None:
    vault, web, mail = machine.vm("vault"), machine.vm("web"), machine.vm("mail")
    machine.rules = [ClipboardRule("vault", "web", "deny")]
    machine.copy(vault, b"secret")
    assert machine.paste(web) is None
    assert machine.told[-1] == "web: nothing was pasted: a rule denies it to what was copied from vault"
    assert machine.paste(mail) == b"secret"


def test_within_a_vm_no_rule_is_asked(machine: Machine) -> None:
    vault = machine.vm("vault")
    machine.rules = [ClipboardRule("*", "*", "deny")]
    machine.copy(vault, b"secret")
    assert machine.paste(vault) == b"secret"


def test_rules_that_cannot_be_read_let_nothing_pass(machine: Machine) -> None:
    work, mail = machine.vm("work"), machine.vm("mail")
    machine.broken = True
    machine.copy(work, b"text")
    assert machine.paste(mail) is None
    assert machine.told[-1] == "mail: nothing was pasted: the file is broken (mend it)"


@pytest.mark.parametrize("yes", [True, False])
def test_the_user_is_asked(machine: Machine, yes: bool) -> None:
    vault, web = machine.vm("vault"), machine.vm("web")
    machine.rules = [ClipboardRule("vault", "*", "ask")]
    machine.copy(vault, b"secret")
    assert machine.paste(web) is None
    question, done = machine.questions["web"]
    assert question == "vault (red) to web"
    done(yes, "you did not allow it")
    assert machine.got(web) == (b"secret" if yes else None)
    assert len(machine.clipboards.rows()) == (0 if yes else 1)


def test_where_nobody_can_be_asked_nothing_is_pasted(machine: Machine) -> None:
    vault, web = machine.vm("vault"), machine.vm("web")
    machine.rules = [ClipboardRule("vault", "*", "ask")]
    machine.can_ask = False
    machine.copy(vault, b"secret")
    assert machine.paste(web) is None
    assert machine.told[-1] == "web: nothing was pasted: nobody can be asked"


def test_a_yes_is_for_what_was_asked_about_and_not_for_what_came_after(machine: Machine) -> None:
    vault, web = machine.vm("vault"), machine.vm("web")
    machine.rules = [ClipboardRule("vault", "*", "ask")]
    machine.copy(vault, b"one")
    machine.say(web, "pasting")
    machine.copy(vault, b"another")
    machine.questions["web"][1](True, "")
    assert machine.got(web) is None
    assert machine.told[-1] == "web: nothing was pasted: something else was copied meanwhile"


def test_a_worker_that_ends_takes_its_question_with_it(machine: Machine) -> None:
    vault, web = machine.vm("vault"), machine.vm("web")
    machine.rules = [ClipboardRule("vault", "*", "ask")]
    machine.copy(vault, b"one")
    machine.say(web, "pasting")
    machine.clipboards.gone(web)
    assert machine.questions == {}


# --- GUI domains ---


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"gui_domid": 32, "gui_domain": "wall"},
        {"view": ViewSpec(display=":2")},
        {"view": ViewSpec(host="headless", display=":1")},
        {"gui_domid": 99, "gui_domain": "sys-gui", "gui_vm": "sys-gui"},
    ],
    ids=["another", "another display", "no display", "an AppVM"],
)
def test_each_gui_domain_has_its_own(machine: Machine, elsewhere: dict[str, Any]) -> None:
    here, there, also_there = machine.vm("here"), machine.vm("there", **elsewhere), machine.vm("also", **elsewhere)
    machine.copy(here, b"here")
    assert machine.paste(there) is None
    machine.copy(there, b"there")
    assert machine.paste(here) == b"here"
    assert machine.paste(also_there) == b"there"


def test_a_vm_that_moves_leaves_nothing_behind(machine: Machine) -> None:
    work, mail = machine.vm("work"), machine.vm("mail")
    machine.copy(work, b"text")
    before, work.spec = work.spec, replace(work.spec, gui_domid=32, gui_domain="wall")
    machine.clipboards.moved(work, before)
    assert machine.paste(mail) is None
    assert machine.paste(work) is None


def test_a_vm_that_moves_while_it_is_asked(machine: Machine) -> None:
    work = machine.vm("work")
    machine.say(work, "copying")
    before, work.spec = work.spec, replace(work.spec, gui_domid=32, gui_domain="wall")
    machine.clipboards.moved(work, before)
    machine.send(work, b"text")
    assert machine.clipboards.rows() == []


def test_what_another_vm_copied_stays_when_a_vm_moves(machine: Machine) -> None:
    work, mail = machine.vm("work"), machine.vm("mail")
    machine.copy(mail, b"text")
    before, work.spec = work.spec, replace(work.spec, gui_domid=32, gui_domain="wall")
    machine.clipboards.moved(work, before)
    assert machine.paste(mail) == b"text"


def test_what_was_copied_outlives_its_vm_but_not_its_gui_domain(machine: Machine) -> None:
    work, mail = machine.vm("work"), machine.vm("mail")
    inner = machine.vm("inner", gui_vm="sys-gui", gui_domain="sys-gui", gui_domid=99)
    machine.copy(work, b"text")
    machine.clipboards.ended(work)
    machine.copy(inner, b"inside")
    machine.clipboards.ended(machine.vm("sys-gui"))
    assert machine.paste(inner) is None
    assert machine.paste(mail) == b"text"
