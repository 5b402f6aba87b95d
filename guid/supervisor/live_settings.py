"""The configuration as a supervisor knows it, and the settings of VMs that run when it changes."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from guid.config.configuration import Configuration
from guid.config.settings import ABOUT, LIVE
from guid.spec import VmSpec
from guid.supervisor.vm import Vm


class LiveSettings:
    """What counts, for as long as a supervisor runs: `configuration`, until `reload` has read another."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration

    def resolve(self, spec: VmSpec) -> VmSpec:
        """The VM with the settings that count for it now."""
        return self.configuration.resolve(spec)

    def reload(self, vms: Iterable[Vm]) -> list[dict[str, Any]]:
        """Read the file again and apply it to `vms`; a row for each: name, settings changed `now`, and `later`.

        Raises MachineCannot if anything in the file is wrong; everything is as it was then.
        """
        self.configuration = Configuration.read(self.configuration.path)
        return [{"name": vm.spec.name, **self.apply(vm)} for vm in vms]

    def apply(self, vm: Vm) -> dict[str, list[str]]:
        """Have the VM's worker go by what counts: the names of what has changed `now`, and of what changes `later`.

        Later is when its worker is started again, which finds out by itself.
        """
        running, wanted = vm.spec.settings, self.resolve(vm.spec).settings
        changed = {name: getattr(wanted, name) for name in ABOUT if getattr(wanted, name) != getattr(running, name)}
        now = {name: value for name, value in changed.items() if name in LIVE}
        vm.reached -= now.keys()
        if now and vm.child is not None:
            vm.spec = dataclasses.replace(vm.spec, settings=running.but(now))
            vm.child.line.send({"op": "settings", "settings": dataclasses.asdict(vm.spec.settings)})
        return {"now": list(now), "later": [name for name in changed if name not in now]}

    def rows(self, vm: Vm) -> list[dict[str, Any]]:
        """Every setting of a VM: `name`, `value`, `origin` (see `Configuration.origins`), and what is `running`."""
        spec = vm.spec
        origins = self.configuration.origins(spec.name, spec.label, spec.view.chosen)
        return [
            {"name": name, "value": value, "origin": origin, "running": getattr(spec.settings, name)}
            for name, (value, origin) in origins.items()
        ]
