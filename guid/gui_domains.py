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
import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from guid.hosts.registry import NAMES as HOSTS
from guid.spec import VmSpec
from guiproto.errors import MachineCannot

DEFAULT: Final = "dom0"
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,30}")
_TABLE: Final = "gui-domain"
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


def config_path(environ: Mapping[str, str] = os.environ) -> Path:
    """$GUID_CONFIG, or guid.toml in $XDG_CONFIG_HOME/odyssey-gui (default: ~/.config/odyssey-gui)."""
    if chosen := environ.get("GUID_CONFIG"):
        return Path(chosen)
    base = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "/")) / ".config"
    return Path(base) / "odyssey-gui" / "guid.toml"


def gui_domains(path: Path, display: str | None) -> dict[str, GuiDomain]:
    """Every GUI domain by name. `display`: that of whoever asks. Raises MachineCannot with file, line and remedy."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise MachineCannot(f"cannot read {path}: {error}", "mend it, or set GUID_CONFIG to another file") from None
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MachineCannot(f"{path} is not TOML: {error}", "mend it") from None
    found: dict[str, GuiDomain] = {}
    table = tables.pop(_TABLE, {})
    tables.pop("clipboard", None)  # rules: see `clipboard_config`
    for key in tables:
        raise _wrong(path, text, key, f"unknown table {key!r}", _nearest(key, [_TABLE]))
    if not isinstance(table, dict):
        raise _wrong(path, text, _TABLE, f"{_TABLE!r} is not a table", f"write [{_TABLE}.NAME]")
    for name, values in table.items():
        domain = found[name] = _domain(path, text, name, values)
        for other in found.values():
            if other is not domain and dataclasses.replace(other, name=name) == domain:
                raise _wrong(path, text, name, f"{name} and {other.name} are the same", "remove one of them")
    found.setdefault(DEFAULT, GuiDomain(DEFAULT, 0, "x11", display))
    return found


def gui_domain(name: str, environ: Mapping[str, str] = os.environ) -> GuiDomain:
    """The GUI domain of that name. Raises MachineCannot."""
    domains = gui_domains(config_path(environ), environ.get("DISPLAY"))
    if name not in domains:
        hint = _nearest(name, list(domains)) or f"there are: {', '.join(domains)}"
        raise MachineCannot(f"there is no GUI domain {name!r}", f"{hint}; see `guid domains`")
    return domains[name]


def _domain(path: Path, text: str, name: str, values: Any) -> GuiDomain:
    section = f"{_TABLE}.{name}"
    if not _NAME.fullmatch(name):
        raise _wrong(path, text, name, f"{name!r} is no name for a GUI domain", "use letters, digits, _ . -")
    if not isinstance(values, dict):
        raise _wrong(path, text, name, f"{section} is not a table", f"write [{section}]")
    for key, value in values.items():
        if key not in _KEYS:
            raise _wrong(path, text, key, f"unknown key {key!r} in {section}", _nearest(key, list(_KEYS)))
        if type(value) is not _KEYS[key]:
            kind = "a number" if _KEYS[key] is int else "text in quotes"
            raise _wrong(path, text, key, f"{key} in {section} is {value!r}", f"it must be {kind}")
    if vm := values.get("vm", ""):
        for key in ("id", "host", "display"):
            if key in values:
                raise _wrong(path, text, key, f"{section} has a vm and its own {key}", "the AppVM decides: remove it")
        return GuiDomain(name, None, vm=vm)
    if not 0 <= values.get("id", -1) <= 0xFFFF:
        raise _wrong(path, text, name, f"{section} has no id from 0 to 65535", "write id = N")
    if values.get("host", "x11") not in HOSTS:
        raise _wrong(path, text, "host", f"host in {section} is {values['host']!r}", f"choose {' or '.join(HOSTS)}")
    return GuiDomain(name, values["id"], values.get("host", "x11"), values.get("display"))


def _wrong(path: Path, text: str, word: str, problem: str, remedy: str) -> MachineCannot:
    lines = [number for number, line in enumerate(text.splitlines(), 1) if word in line.partition("#")[0]]
    where = f"{path}:{lines[0]}" if lines else str(path)
    return MachineCannot(f"{where}: {problem}", remedy or "see `guid domains --help`")


def _nearest(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(known)}"
