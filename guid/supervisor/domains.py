"""What becomes of domains, as their drivers tell it: which are shown, and what a start, stop or reboot means.

AppVMs that `guid run` starts end with their supervisor's wish. Those that stay, `lasting` ones, are shown whenever they
run, whoever starts them, from the moment on that somebody asked for one of them.
"""

import contextlib
import dataclasses
import logging
from collections.abc import Callable
from typing import Final, Protocol

from backends.base import Domain, DomainSpec, DomainState
from guid.config.configuration import Configuration
from guid.spec import VmSpec
from guid.supervisor.assigned import Assigned
from guid.supervisor.drivers import Drivers
from guid.supervisor.saved import SavedVms
from guid.supervisor.vm import Vm
from guiproto.errors import MachineCannot

_AGAIN_FIRST: Final = 0.25
_AGAIN_MAX: Final = 30.0

log = logging.getLogger("guid")


@dataclasses.dataclass(frozen=True, slots=True)
class Shown:
    """Lasting AppVMs of a backend are shown like `template` says, all of them or the `only` one."""

    template: VmSpec
    only: str | None = None


class Workers(Protocol):
    """Who shows VMs."""

    def vm(self, name: str) -> Vm | None:
        """The VM of that name, if it is shown."""

    def of_backend(self, backend: str) -> list[Vm]:
        """The VMs of that backend whose domains a driver knows."""

    def serve(self, vm: Vm) -> None:
        """Show a VM."""

    def serve_anew(self, vm: Vm) -> None:
        """End what was shown of it, and show it."""

    def forget(self, vm: Vm, state: str, reason: str, status: int | None) -> None:
        """Its domain is no more."""

    def configuration(self) -> Configuration:
        """What is configured now."""

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Call `action` then."""


class Domains:
    """The domains that a supervisor starts, takes over, and watches."""

    def __init__(self, drivers: Drivers, saved: SavedVms, workers: Workers) -> None:
        self._drivers = drivers
        self._saved = saved
        self._workers = workers
        self._shown: dict[str, Shown] = {}

    def __bool__(self) -> bool:
        """Whether AppVMs are to be shown that may start at any time."""
        return bool(self._shown)

    def start(self, spec: VmSpec, domain: DomainSpec, *, kept: bool) -> None:
        """Start an AppVM and show its windows. Raises MachineCannot if something is missing."""
        vm = Vm(spec, kept=kept)
        vm.domain = self._drivers.get(spec.backend).start(domain)
        vm.spec = self._with_runtime(spec)
        if domain.outlive_parent:
            self._saved.write(vm.spec, kept=kept)
        self._workers.serve(vm)

    def adopt(self) -> None:
        """Take over the AppVMs that an earlier supervisor left running."""
        for spec, kept in self._saved.read():
            try:
                domains = self._drivers.get(spec.backend).list()
            except MachineCannot as error:
                log.warning("%s: cannot be taken over: %s", spec.name, error)
                continue
            running = [domain for domain in domains if domain.name == spec.name and domain.state is DomainState.RUNNING]
            if not running:
                self._saved.remove(spec.name)
            elif self._workers.vm(spec.name) is None:
                if running[0].lasting and not running[0].private:
                    self._shown.setdefault(spec.backend, Shown(spec))
                log.info("%s: taken over from an earlier supervisor", spec.name)
                self._workers.serve(Vm(spec, domain=running[0], kept=kept))

    def show(self, backend: str, shown: Shown) -> None:
        """Show lasting AppVMs of that backend whenever they run, whoever starts them. Raises MachineCannot."""
        self._shown[backend] = shown
        for domain in self._drivers.get(backend).list():
            if domain.state is DomainState.RUNNING:
                self._appeared(backend, domain)

    def resume(self, spec: VmSpec) -> None:
        """Start a lasting AppVM and show it, and from now on all others of its backend. Raises MachineCannot.

        Of `spec`, name, backend and everything about the view count; what the domain is, its driver knows.
        """
        driver = self._drivers.get(spec.backend)
        states = {domain.name: domain for domain in driver.list()}
        known = states.get(spec.name)
        running = known if known is not None and known.state is DomainState.RUNNING else driver.resume(spec.name)
        if not running.private:
            self._shown[spec.backend] = Shown(spec)
        self._serve(spec, running)

    def moved(self, vm: Vm) -> None:
        """Another GUI domain shows it from now on: the next supervisor is to know."""
        if self._saved.knows(vm.spec.name):
            self._saved.write(vm.spec, kept=vm.kept)

    def changed(self, backend: str) -> None:
        """The backend's driver has something to say."""
        try:
            changes = self._drivers.get(backend).events()
        except MachineCannot as error:
            log.warning("%s: %s", backend, error)
            self._drivers.drop(backend)
            self._reconnect(backend, _AGAIN_FIRST)
            return
        for domain in changes:
            vm = self._workers.vm(domain.name)
            if vm is None:
                if domain.state is DomainState.RUNNING:
                    self._appeared(backend, domain)
                continue
            if vm.domain is None or vm.spec.backend != backend:
                continue
            vm.domain = domain
            if domain.state is DomainState.STOPPED:
                if vm.state == "stopping":
                    self._workers.forget(vm, "stopped", vm.reason, None)
                else:
                    self._workers.forget(vm, "ended", domain.reason or "the VM ended", domain.exit_status)
            elif domain.reason and vm.state != "stopping":
                vm.say(domain.reason)
                # A hypervisor may have given it another id, and its memory may be elsewhere.
                with contextlib.suppress(MachineCannot):
                    vm.spec = self._with_runtime(dataclasses.replace(vm.spec, domid=domain.domid))
                self._workers.serve_anew(vm)

    def _reconnect(self, backend: str, delay: float) -> None:
        """Get a driver again for a backend whose driver was lost, and catch up with what has happened meanwhile."""
        try:
            domains = self._drivers.get(backend).list()
        except MachineCannot as error:
            log.warning("%s: %s; again in %g s", backend, error, delay)
            self._workers.after(delay, lambda: self._reconnect(backend, min(2 * delay, _AGAIN_MAX)))
            return
        running = {domain.name: domain for domain in domains if domain.state is DomainState.RUNNING}
        for vm in self._workers.of_backend(backend):
            if vm.spec.name not in running:
                self._workers.forget(vm, "ended", "the VM ended", None)
        for domain in running.values():
            self._appeared(backend, domain)

    def _appeared(self, backend: str, domain: Domain) -> None:
        """A domain runs that nobody asked for: show it, if it is to be shown and is not."""
        shown = self._shown.get(backend)
        if shown is None or not domain.lasting or self._workers.vm(domain.name) is not None:
            return
        if domain.private if shown.only is None else shown.only != domain.name:
            return
        try:
            self._serve(shown.template, domain)
        except MachineCannot as error:
            log.warning("%s: cannot be shown: %s", domain.name, error)

    def _serve(self, template: VmSpec, domain: Domain) -> None:
        spec = self._with_runtime(
            dataclasses.replace(
                template,
                name=domain.name,
                domid=domain.domid,
                gui_domid=template.gui_domid if template.gui_domain else domain.gui_domid,
                label=domain.label,
            )
        )
        spec = self._assigned(spec)
        self._saved.write(spec, kept=True)
        self._workers.serve(Vm(spec, domain=domain, kept=True))

    def _assigned(self, spec: VmSpec) -> VmSpec:
        """The VM in the GUI domain that it was given, unless the caller has named one."""
        if spec.gui_domain:
            return spec
        try:
            domain = Assigned().domain(spec.name, self._workers.configuration())
            return spec if domain is None else domain.shows(spec, {})
        except MachineCannot as error:
            log.warning("%s: %s; dom0 shows it", spec.name, error)
            return spec

    def _with_runtime(self, spec: VmSpec) -> VmSpec:
        driver = self._drivers.get(spec.backend)
        return dataclasses.replace(spec, environ={**spec.environ, **driver.runtime(spec.name)})
