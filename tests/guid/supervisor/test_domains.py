"""What a supervisor does about domains that start, stop and reboot, and about a hypervisor that goes away."""

import os
import select
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from backends.base import Domain, DomainDriver, DomainSpec, DomainState, MachineCannot
from guid.config.configuration import Configuration
from guid.spec import ViewSpec, VmSpec
from guid.supervisor.domains import Domains, Shown
from guid.supervisor.drivers import Drivers
from guid.supervisor.saved import SavedVms
from guid.supervisor.vm import Vm

VIEW = VmSpec(name="template", domid=0, label="gray", backend="machines", view=ViewSpec(display=":7"))
WORK = Domain("work", 3, DomainState.STOPPED, label="blue", gui_domid=2, lasting=True)
SECRET = Domain("secret", 4, DomainState.STOPPED, label="red", lasting=True, private=True)


def running(domain: Domain, reason: str = "") -> Domain:
    return replace(domain, state=DomainState.RUNNING, reason=reason)


class Machines(DomainDriver):
    """Domains that last, in a hypervisor that can go away."""

    def __init__(self) -> None:
        self.domains = {domain.name: domain for domain in (WORK, SECRET)}
        self.told: list[Domain] = []
        self.is_gone = False
        self.fd = os.eventfd(0, os.EFD_CLOEXEC)

    def resume(self, name: str) -> Domain:
        self.domains[name] = running(self.domains[name])
        return self.domains[name]

    def start(self, spec: DomainSpec) -> Domain:
        raise MachineCannot(f"no {spec.name}")

    def stop(self, name: str, timeout: float = 5.0) -> None:  # noqa: ARG002 - it takes no time
        self.domains[name] = replace(self.domains[name], state=DomainState.STOPPED)

    def list(self) -> Sequence[Domain]:
        if self.is_gone:
            raise MachineCannot("the hypervisor is gone")
        return list(self.domains.values())

    def fileno(self) -> int:
        return self.fd

    def events(self) -> Sequence[Domain]:
        if self.is_gone:
            raise MachineCannot("the hypervisor is gone")
        told, self.told = self.told, []
        self.domains |= {domain.name: domain for domain in told}
        return told

    def runtime(self, name: str) -> Mapping[str, str]:
        return {"WHERE": name}

    def close(self) -> None:
        """It is used again."""


class House:
    """Stands for a supervisor; `done` is what it was told to do."""

    def __init__(self, directory: Path) -> None:
        self.machines = Machines()
        self.vms: dict[str, Vm] = {}
        self.done: list[str] = []
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.poll = select.epoll()
        self.saved = SavedVms(directory)
        self.domains = Domains(Drivers(lambda _: self.machines, self.poll), self.saved, self)

    def configuration(self) -> Configuration:
        return Configuration()

    def vm(self, name: str) -> Vm | None:
        return self.vms.get(name)

    def of_backend(self, backend: str) -> list[Vm]:
        return [vm for vm in self.vms.values() if vm.spec.backend == backend]

    def serve(self, vm: Vm) -> None:
        self.vms[vm.spec.name] = vm
        self.done.append(f"serve {vm.spec.name}")

    def serve_anew(self, vm: Vm) -> None:
        self.done.append(f"anew {vm.spec.name}")

    def forget(self, vm: Vm, state: str, reason: str, status: int | None) -> None:
        del self.vms[vm.spec.name]
        self.saved.remove(vm.spec.name)
        self.done.append(f"forget {vm.spec.name}: {state}, {reason}, {status}")

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        self.later.append((seconds, action))

    def hear(self, *domains: Domain) -> list[str]:
        """What is done about what the driver tells."""
        self.done.clear()
        self.machines.told += domains
        self.domains.changed("machines")
        return self.done


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_resumed_vm_is_shown_as_its_domain_is_and_as_the_view_says(house: House) -> None:
    house.domains.resume(replace(VIEW, name="work"))
    assert house.vms["work"].spec == replace(
        VIEW, name="work", domid=3, gui_domid=2, label="blue", environ={"WHERE": "work"}
    )


def test_one_that_runs_already_is_not_started_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.machines.domains["work"] = running(WORK)
    monkeypatch.setattr(house.machines, "resume", lambda _name: pytest.fail("started again"))
    house.domains.resume(replace(VIEW, name="work"))
    assert house.done == ["serve work"]


def test_a_vm_that_others_start_is_shown_once_somebody_asked_for_such(house: House) -> None:
    assert house.hear(running(WORK)) == []
    assert not house.domains
    house.machines.domains["other"] = replace(WORK, name="other", domid=9)
    house.domains.resume(replace(VIEW, name="other"))
    assert house.domains
    assert house.hear(running(WORK)) == ["serve work"]
    assert house.hear(running(WORK)) == []


def test_a_private_vm_is_left_to_whoever_made_it(house: House) -> None:
    house.domains.show("machines", Shown(VIEW))
    assert house.hear(running(SECRET), running(WORK)) == ["serve work"]


def test_showing_a_private_vm_shows_no_others(house: House) -> None:
    house.domains.resume(replace(VIEW, name="secret"))
    assert house.hear(running(WORK)) == []


def test_only_the_one_that_was_asked_for_is_shown(house: House) -> None:
    house.domains.show("machines", Shown(VIEW, only="secret"))
    assert house.hear(running(WORK), running(SECRET)) == ["serve secret"]


def test_what_runs_already_is_shown_at_once(house: House) -> None:
    house.machines.domains["work"] = running(WORK)
    house.domains.show("machines", Shown(VIEW))
    assert house.done == ["serve work"]


def test_a_reboot_begins_anew_and_a_stop_ends(house: House) -> None:
    house.domains.resume(replace(VIEW, name="work"))
    assert house.hear(running(WORK)) == []
    assert house.hear(running(WORK, "it was rebooted")) == ["anew work"]
    assert house.hear(replace(WORK, reason="it crashed")) == ["forget work: ended, it crashed, None"]


def test_a_rebooted_vm_is_looked_for_under_its_new_id(house: House) -> None:
    house.domains.resume(replace(VIEW, name="work"))
    house.hear(replace(running(WORK, "it was rebooted"), domid=77))
    assert house.vms["work"].spec.domid == 77


def test_a_stop_that_was_asked_for_keeps_the_reason_of_whoever_asked(house: House) -> None:
    house.domains.resume(replace(VIEW, name="work"))
    house.vms["work"].state, house.vms["work"].reason = "stopping", "stopped on request"
    assert house.hear(running(WORK, "it was rebooted")) == []
    assert house.hear(WORK) == ["forget work: stopped, stopped on request, None"]


def test_a_namesake_of_another_backend_is_not_touched(house: House) -> None:
    house.domains.resume(replace(VIEW, name="work"))
    house.vms["work"].spec = replace(house.vms["work"].spec, backend="other")
    assert house.hear(WORK) == []


def test_a_hypervisor_that_went_away_is_tried_again_ever_more_slowly(house: House) -> None:
    house.domains.resume(replace(VIEW, name="work"))
    house.machines.is_gone = True
    assert house.hear() == []
    delays = []
    for _ in range(10):
        ((delay, again),) = house.later
        delays.append(delay)
        house.later.clear()
        again()
    assert delays == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert list(house.vms) == ["work"]


def test_what_happened_while_the_hypervisor_was_away_is_caught_up_with(house: House) -> None:
    house.domains.resume(replace(VIEW, name="work"))
    house.machines.domains["new"] = running(replace(WORK, name="new", domid=8))
    house.machines.is_gone = True
    house.hear()
    house.machines.is_gone = False
    house.machines.domains["work"] = WORK
    house.later.pop()[1]()
    assert house.done == ["forget work: ended, the VM ended, None", "serve new"]


def test_the_next_supervisor_takes_over_what_runs_and_forgets_the_rest(house: House, tmp_path: Path) -> None:
    house.domains.resume(replace(VIEW, name="work"))
    house.saved.write(replace(VIEW, name="gone"), kept=True)
    house.saved.write(replace(VIEW, name="secret"), kept=True)
    house.machines.resume("secret")
    following = House(tmp_path)
    following.machines.domains = house.machines.domains
    following.domains.adopt()
    assert following.done == ["serve secret", "serve work"]
    assert following.vms["work"].spec == house.vms["work"].spec
    assert [spec.name for spec, _ in following.saved.read()] == ["secret", "work"]
    # And from then on it shows those that start, as the earlier one did.
    assert following.hear(running(replace(WORK, name="third"))) == ["serve third"]


def test_what_cannot_be_asked_about_stays_remembered(house: House) -> None:
    house.saved.write(replace(VIEW, name="work"), kept=True)
    house.machines.is_gone = True
    house.domains.adopt()
    assert house.done == []
    assert [spec.name for spec, _ in house.saved.read()] == ["work"]
