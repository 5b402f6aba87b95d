"""The domain driver, with a libvirt that is told what to say: what it keeps, and what it does not touch."""

import os
import select
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backends.base import AppVmSpec, DomainSpec, DomainState
from backends.kvm import domains as module
from backends.kvm import machine
from backends.kvm.definition import AppVm
from backends.kvm.domains import KvmDomains
from backends.machines import disks
from backends.machines.debian import Image
from guiproto.errors import MachineCannot

SPEC = AppVmSpec("work", "blue", videoram_mib=64)


class Libvirt:
    """What libvirt knows; drivers connect to it."""

    def __init__(self) -> None:
        self.defined: dict[str, str] = {}
        self.running: set[str] = set()
        self.refuses: set[str] = set()
        self.told: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.bell = os.eventfd(0, os.EFD_CLOEXEC)

    def __call__(self, _uri: str, _prefix: object) -> "Libvirt":
        return self

    def fileno(self) -> int:
        return self.bell

    def pending(self) -> bool:
        return bool(self.told)

    def close(self) -> None:
        """Others are connected."""

    def events(self) -> list[dict[str, Any]]:
        told, self.told = self.told, []
        return told

    def tell(self, event: str, name: str, why: str = "") -> None:
        self.told.append({"event": event, "name": name, "xml": self.defined.get(name), "why": why})

    def request(self, op: str, **fields: str) -> dict[str, Any]:
        self.asked.append(op)
        if op in self.refuses:
            raise MachineCannot(f"libvirt: cannot {op}")
        name = fields.get("name", "")
        if op == "define":
            vm = AppVm.read(fields["xml"])
            assert vm is not None
            self.defined[vm.name] = fields["xml"]
        elif op == "list":
            return {"domains": [{"xml": xml, "running": name in self.running} for name, xml in self.defined.items()]}
        elif op == "start":
            self.running.add(name)
            return {"xml": self.defined[name]}
        elif op in ("shutdown", "destroy"):
            self.running.discard(name)
        elif op == "undefine":
            del self.defined[name]
        return {}


@pytest.fixture
def libvirt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Libvirt:
    found = Libvirt()
    made = Image.at(tmp_path / "image")
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setattr(module, "Hypervisor", found)
    monkeypatch.setattr(module, "missing_for_domains", list)
    monkeypatch.setattr(module, "kvm_trouble", lambda _kernel: "it is a test")
    monkeypatch.setattr(module, "which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr(module, "image", lambda _guest, _packages, _tell: made)
    monkeypatch.setattr(module, "overlay", lambda disk, _base: disk.touch())
    monkeypatch.setattr(disks, "agent_disk", lambda path, _project, config: path.write_text(config))
    monkeypatch.setattr("backends.kvm.definition._SHM", tmp_path)
    return found


@pytest.fixture
def make(libvirt: Libvirt) -> Iterator[Callable[[], KvmDomains]]:
    made: list[KvmDomains] = []

    def connect() -> KvmDomains:
        made.append(KvmDomains({}))
        return made[-1]

    yield connect
    for driver in made:
        driver.close()
    os.close(libvirt.bell)


@pytest.fixture
def driver(make: Callable[[], KvmDomains]) -> KvmDomains:
    return make()


def region(tmp_path: Path, name: str = "work") -> Path:
    return tmp_path / f"odyssey-{os.geteuid()}-{name}"


def test_a_made_vm_is_there_and_does_not_run(driver: KvmDomains, tmp_path: Path) -> None:
    told: list[str] = []
    made = driver.create(SPEC, told.append)
    assert (made.name, made.domid, made.state, made.label, made.lasting) == (
        "work",
        1,
        DomainState.STOPPED,
        "blue",
        True,
    )
    assert "KVM cannot be used here (it is a test)" in told[0]
    assert list(driver.list()) == [made]
    memory = region(tmp_path).stat()
    assert stat.S_IMODE(memory.st_mode) == 0o600
    assert memory.st_size == 64 << 20
    assert driver.create(AppVmSpec("next", "red"), print).domid == 2


def test_memory_that_programs_draw_into_is_the_vms_own_as_well(
    driver: KvmDomains, libvirt: Libvirt, tmp_path: Path
) -> None:
    driver.create(replace(SPEC, drawing_mib=96), print)
    drawing = region(tmp_path, "work-drawing")
    memory = drawing.stat()
    assert (stat.S_IMODE(memory.st_mode), memory.st_size) == (0o600, 96 << 20)
    with drawing.open("r+b") as file:
        file.write(b"from the last time")
        driver.resume("work")
        assert drawing.stat().st_ino != memory.st_ino
    assert drawing.read_bytes()[:18] == bytes(18)
    drawing.chmod(0o644)  # as QEMU makes it where there is none
    libvirt.tell("started", "work")
    assert driver.events()
    assert stat.S_IMODE(drawing.stat().st_mode) == 0o600
    driver.remove("work")
    assert not drawing.exists()


@pytest.mark.parametrize(
    ("others", "vchans"),
    [
        ([], "6000:0,111:1,6001:0"),
        ([4], "6000:0,6000:4,111:1,6001:0,6001:4"),
        ([4, 5, 6], "6000:0,6000:4,6000:5,6000:6,111:1,6001:0,6001:4,6001:5"),
        ([4, 5, 6, 7, 8, 9], "6000:0,6000:4,6000:5,6000:6,6000:7,6000:8,6000:9,111:1"),
    ],
)
def test_windows_come_before_icons_where_room_is_scarce(
    driver: KvmDomains, libvirt: Libvirt, others: list[int], vchans: str
) -> None:
    driver.create(replace(SPEC, other_gui_domids=others), print)
    assert f'vchans="{vchans}"' in libvirt.defined["work"].replace("'", '"')


def test_more_gui_domains_than_there_is_room_for(driver: KvmDomains) -> None:
    with pytest.raises(MachineCannot, match="8 GUI domains"):
        driver.create(replace(SPEC, other_gui_domids=range(4, 11)), print)


@pytest.mark.parametrize("spec", [SPEC, AppVmSpec("other", "red", domid=1)])
def test_a_taken_name_or_id_changes_nothing(driver: KvmDomains, libvirt: Libvirt, spec: AppVmSpec) -> None:
    driver.create(SPEC, print)
    before = dict(libvirt.defined)
    with pytest.raises(MachineCannot, match="work"):
        driver.create(spec, print)
    assert libvirt.defined == before


def test_a_definition_that_libvirt_refuses_leaves_nothing(driver: KvmDomains, libvirt: Libvirt, tmp_path: Path) -> None:
    libvirt.refuses.add("define")
    with pytest.raises(MachineCannot, match="cannot define"):
        driver.create(SPEC, print)
    assert not region(tmp_path).exists()
    assert not (tmp_path / "XDG_DATA_HOME/odyssey-gui/vms/work").exists()
    assert driver.list() == []


def test_only_whoever_starts_a_vm_gives_it_new_memory(
    driver: KvmDomains, make: Callable[[], KvmDomains], libvirt: Libvirt, tmp_path: Path
) -> None:
    driver.create(SPEC, print)
    old = region(tmp_path).stat().st_ino
    keep = region(tmp_path).open("rb")  # or its number could be given to the next file
    make()
    assert region(tmp_path).stat().st_ino == old, "another driver looked"
    assert driver.resume("work").state is DomainState.RUNNING
    new = region(tmp_path).stat().st_ino
    assert new != old
    make()
    libvirt.tell("started", "work")
    libvirt.tell("rebooted", "work")
    assert [domain.reason for domain in driver.events()] == ["", "it was rebooted"]
    assert region(tmp_path).stat().st_ino == new
    keep.close()


def test_a_vm_that_others_define_and_start_is_noticed(driver: KvmDomains, libvirt: Libvirt) -> None:
    driver.create(SPEC, print)
    xml = libvirt.defined.pop("work").replace("work", "theirs")
    libvirt.defined["theirs"] = xml
    libvirt.running.add("theirs")
    libvirt.tell("started", "theirs")
    libvirt.defined["other"] = "<domain><name>other</name></domain>"
    libvirt.tell("started", "other")
    assert [(domain.name, domain.state) for domain in driver.events()] == [("theirs", DomainState.RUNNING)]
    assert "VCHAN_REGION" in driver.runtime("theirs")
    with pytest.raises(MachineCannot, match="no AppVM 'other'"):
        driver.runtime("other")


def test_memory_that_others_made_readable_is_not_left_so(driver: KvmDomains, libvirt: Libvirt, tmp_path: Path) -> None:
    driver.create(SPEC, print)
    region(tmp_path).chmod(0o644)
    libvirt.tell("started", "work")
    driver.events()
    assert stat.S_IMODE(region(tmp_path).stat().st_mode) == 0o600


def test_a_stopped_vm_has_memory_for_whoever_starts_it_next(
    driver: KvmDomains, libvirt: Libvirt, tmp_path: Path
) -> None:
    driver.create(SPEC, print)
    region(tmp_path).unlink()
    libvirt.tell("stopped", "work", "it crashed")
    (stopped,) = driver.events()
    assert (stopped.state, stopped.reason) == (DomainState.STOPPED, "it crashed")
    assert stat.S_IMODE(region(tmp_path).stat().st_mode) == 0o600


def test_removing_stops_and_deletes(driver: KvmDomains, libvirt: Libvirt, tmp_path: Path) -> None:
    driver.create(SPEC, print)
    driver.resume("work")
    driver.remove("work")
    assert libvirt.asked[-2:] == ["undefine", "destroy"]
    assert not region(tmp_path).exists()
    assert not (tmp_path / "XDG_DATA_HOME/odyssey-gui/vms/work").exists()
    libvirt.tell("stopped", "work")
    driver.events()
    with pytest.raises(MachineCannot, match="no AppVM"):
        driver.remove("work")


def test_stopping_asks_first(driver: KvmDomains, libvirt: Libvirt) -> None:
    driver.create(SPEC, print)
    driver.resume("work")
    driver.stop("work", 1.0)
    assert "destroy" not in libvirt.asked
    driver.resume("work")
    libvirt.refuses.add("shutdown")
    driver.stop("work", 0.1)
    assert libvirt.asked[-1] == "destroy"
    driver.stop("work")
    driver.stop("nobody")


def test_what_is_not_there_is_said(driver: KvmDomains) -> None:
    for ask in (driver.resume, driver.remove, driver.runtime):
        with pytest.raises(MachineCannot, match=r"no AppVM 'nobody'.*guid vm list"):
            ask("nobody")
    with pytest.raises(MachineCannot, match="guid vm create work"):
        driver.start(DomainSpec("work", 1, 0, ("xterm",), (800, 600)))


def test_events_that_came_during_a_request_are_not_forgotten(driver: KvmDomains, libvirt: Libvirt) -> None:
    driver.create(SPEC, print)
    libvirt.tell("started", "work")
    driver.list()
    poll = select.poll()
    poll.register(driver.fileno(), select.POLLIN)
    assert poll.poll(0)
    assert [domain.name for domain in driver.events()] == ["work"]
    assert not poll.poll(0)


def test_an_overlay_needs_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "which", lambda _program: None)
    with pytest.raises(MachineCannot, match=r"qemu-img is not installed.*apt install qemu-utils"):
        machine.overlay(tmp_path / "disk", tmp_path / "base")
