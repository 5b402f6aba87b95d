"""GUI domains by name: where windows can be shown. Configured in guid.toml, in tables like

    [gui-domain.wall]
    id = 32               # u16, the domain id under which VMs share their windows with it
    host = "headless"     # "x11" (the default) or "headless"
    display = ":1"        # for x11

    [gui-domain.sys-gui]
    vm = "sys-gui"        # a local AppVM, on whose own display the windows appear; its domain id is the id

There always is dom0: domain 0, on the display of whoever asks, unless the file says otherwise.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Final

from guid.config.toml_file import TomlFile, nearest
from guid.hosts.registry import NAMES as HOSTS
from guid.spec import VmSpec
from guiproto.errors import MachineCannot

DEFAULT: Final = "dom0"
TABLE: Final = "gui-domain"
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,30}")
_KEYS: Final = {"id": int, "host": str, "display": str, "vm": str}


@dataclasses.dataclass(frozen=True, slots=True)
class GuiDomain:
    """Where windows can be shown."""

    name: str
    id: int | None
    """None: that of `vm`, which only those know who serve it."""
    host: str = "x11"
    display: str | None = None
    vm: str = ""

    def shows(self, spec: VmSpec, vms: Mapping[str, int]) -> VmSpec:
        """The same VM, shown here. `vms`: the domain ids of the AppVMs that run. Raises MachineCannot."""
        domid = vms.get(self.vm) if self.vm else self.id
        if domid is None:
            raise MachineCannot(
                f"GUI domain {self.name} is in AppVM {self.vm}, which does not run",
                f"start it: guid run {self.vm} --label gray -- COMMAND",
            )
        view = dataclasses.replace(spec.view, host=self.host, display=self.display)
        return dataclasses.replace(spec, gui_domid=domid, gui_domain=self.name, gui_vm=self.vm, view=view)


def configured(file: TomlFile) -> dict[str, GuiDomain]:
    """Those in the file, by name. Mistakes are noted in it."""
    found: dict[str, GuiDomain] = {}
    for name, values in file.sections(TABLE).items():
        domain = _domain(file, name, values)
        if domain is None:
            continue
        for other in found.values():
            if dataclasses.replace(other, name=name) == domain:
                file.wrong((TABLE, name), f"{name} and {other.name} are the same", "remove one of them")
        found[name] = domain
    return found


def _domain(file: TomlFile, name: str, values: Mapping[str, Any]) -> GuiDomain | None:
    """None if there is a mistake in it."""
    section = f"{TABLE}.{name}"
    good = True

    def wrong(key: str | None, problem: str, remedy: str) -> None:
        nonlocal good
        good = False
        file.wrong((TABLE, name) if key is None else (TABLE, name, key), problem, remedy)

    if not _NAME.fullmatch(name):
        wrong(None, f"{name!r} is no name for a GUI domain", "use letters, digits, _ . -")
    for key, value in values.items():
        if key not in _KEYS:
            wrong(key, f"unknown key {key!r} in {section}", nearest(key, _KEYS))
        elif type(value) is not _KEYS[key]:
            kind = "a number" if _KEYS[key] is int else "text in quotes"
            wrong(key, f"{key} in {section} is {value!r}", f"it must be {kind}")
    if not good:
        return None
    if vm := values.get("vm", ""):
        for key in ("id", "host", "display"):
            if key in values:
                wrong(key, f"{section} has a vm and its own {key}", "the AppVM decides: remove it")
        return GuiDomain(name, None, vm=vm)
    if not 0 <= values.get("id", -1) <= 0xFFFF:
        wrong(None, f"{section} has no id from 0 to 65535", "write id = N")
    if values.get("host", "x11") not in HOSTS:
        wrong("host", f"host in {section} is {values['host']!r}", f"choose {' or '.join(HOSTS)}")
    return GuiDomain(name, values.get("id", 0), values.get("host", "x11"), values.get("display")) if good else None
