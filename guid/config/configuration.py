"""What the user has configured in guid.toml, as a whole: read at once, or not at all if anything in it is wrong.

[global]                     # every VM's settings, see guid/config/settings.py
border_width = 3

[label.red]                  # those of VMs with that label count more
border_width = 6

[vm.work]                    # those of one VM count more still; what a command line chose counts most
title_prefix = false

[[clipboard]]                # see guid/config/clipboard_rules.py
from = "*"
to = "label:red"
action = "ask"

[gui-domain.wall]            # see guid/config/gui_domains.py
id = 32
"""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from guid.config import gui_domains
from guid.config.clipboard_rules import ClipboardRule
from guid.config.gui_domains import GuiDomain
from guid.config.labels import label
from guid.config.settings import ABOUT, VmSettings
from guid.config.toml_file import TomlFile, nearest, stamp
from guid.spec import VmSpec, check_name
from guiproto.errors import MachineCannot

_GLOBAL: Final = "global"
_LABEL: Final = "label"
_VM: Final = "vm"
_CLIPBOARD: Final = "clipboard"
_TABLES: Final = (_GLOBAL, _LABEL, _VM, _CLIPBOARD, gui_domains.TABLE)
_RULE: Final = {"from": "source", "to": "target", "action": "action"}

Values = Mapping[str, Any]


def config_path(environ: Mapping[str, str] = os.environ) -> Path:
    """$GUID_CONFIG, or guid.toml in $XDG_CONFIG_HOME/odyssey-gui (default: ~/.config/odyssey-gui)."""
    if chosen := environ.get("GUID_CONFIG"):
        return Path(chosen)
    base = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "/")) / ".config"
    return Path(base) / "odyssey-gui" / "guid.toml"


@dataclass(frozen=True, slots=True)
class Configuration:
    """One guid.toml. Without a file everything is as it is by default."""

    path: Path = field(default_factory=config_path)
    everywhere: Values = field(default_factory=dict)
    labels: Mapping[int, tuple[str, Values]] = field(default_factory=dict)
    """By colour: what the label is called in the file, and its settings."""
    vms: Mapping[str, Values] = field(default_factory=dict)
    clipboard: tuple[ClipboardRule, ...] = ()
    configured_gui_domains: Mapping[str, GuiDomain] = field(default_factory=dict)
    stamp: tuple[int, int, int] | None = None
    """Of the file when it was read."""

    @classmethod
    def read(cls, path: Path | None = None) -> Self:
        """That of the file, `config_path()` by default. Raises MachineCannot: one line of text for each mistake."""
        file = TomlFile(config_path() if path is None else path)
        for name in file.tables:
            if name not in _TABLES:
                file.wrong((name,), f"unknown table {name!r}", nearest(name, _TABLES))
        everywhere = file.table(_GLOBAL)
        _check_settings(file, (_GLOBAL,), everywhere)
        labels = _labels(file)
        vms = file.sections(_VM)
        for name, values in vms.items():
            try:
                check_name(name)
            except MachineCannot as error:
                file.wrong((_VM, name), error.what, error.remedy)
            _check_settings(file, (_VM, name), values)
        rules = _rules(file)
        found = gui_domains.configured(file)
        file.check()
        return cls(file.path, everywhere, labels, vms, rules, found, file.stamp)

    def is_current(self) -> bool:
        """Whether the file is as it was when it was read."""
        return stamp(self.path) == self.stamp

    def settings(self, name: str, colour: str, chosen: Values) -> VmSettings:
        """Those of the VM of that name and label, for which `chosen` was chosen when it was started."""
        return VmSettings().but({key: value for key, (value, _) in self.origins(name, colour, chosen).items()})

    def resolve(self, spec: VmSpec) -> VmSpec:
        """The VM with the settings that count for it."""
        return dataclasses.replace(spec, settings=self.settings(spec.name, spec.label, spec.view.chosen))

    def origins(self, name: str, colour: str, chosen: Values) -> dict[str, tuple[Any, str]]:
        """Every setting's value, and where it comes from: "default", "global", "label NAME", "vm NAME" or "chosen".

        `colour` "" is a label that is not known. Raises MachineCannot for one that is none.
        """
        called, by_label = self.labels.get(label(colour).color, ("", {})) if colour else ("", {})
        origins = {key: (getattr(VmSettings(), key), "default") for key in ABOUT}
        for values, origin in (
            (self.everywhere, _GLOBAL),
            (by_label, f"{_LABEL} {called}"),
            (self.vms.get(name, {}), f"{_VM} {name}"),
            (chosen, "chosen"),
        ):
            origins |= {key: (value, origin) for key, value in values.items()}
        return origins

    def gui_domains(self, display: str | None) -> dict[str, GuiDomain]:
        """Every GUI domain by name. `display`: that of whoever asks."""
        dom0 = GuiDomain(gui_domains.DEFAULT, 0, "x11", display)
        return {**self.configured_gui_domains, dom0.name: self.configured_gui_domains.get(dom0.name, dom0)}

    def gui_domain(self, name: str, display: str | None) -> GuiDomain:
        """The GUI domain of that name. Raises MachineCannot."""
        domains = self.gui_domains(display)
        if name not in domains:
            raise MachineCannot(f"there is no GUI domain {name!r}", f"{nearest(name, domains)}; see `guid domains`")
        return domains[name]


def _labels(file: TomlFile) -> dict[int, tuple[str, Values]]:
    found: dict[int, tuple[str, Values]] = {}
    for name, values in file.sections(_LABEL).items():
        _check_settings(file, (_LABEL, name), values)
        try:
            colour = label(name).color
        except MachineCannot as error:
            file.wrong((_LABEL, name), error.what, error.remedy)
            continue
        if colour in found:
            file.wrong((_LABEL, name), f"{name} and {found[colour][0]} are the same label", "remove one of them")
        found[colour] = name, values
    return found


def _check_settings(file: TomlFile, table: tuple[str, ...], values: Values) -> None:
    for name, value in values.items():
        try:
            VmSettings().but({name: value})
        except MachineCannot as error:
            file.wrong((*table, name), f"{error.what} in {'.'.join(table)}", error.remedy)


def _rules(file: TomlFile) -> tuple[ClipboardRule, ...]:
    rules = []
    for number, table in enumerate(file.array(_CLIPBOARD)):
        good = True
        for key, value in table.items():
            if key not in _RULE:
                file.wrong((_CLIPBOARD, number, key), f"unknown key {key!r} in clipboard", nearest(key, _RULE))
                good = False
            elif type(value) is not str:
                file.wrong((_CLIPBOARD, number, key), f"{key} is {value!r}", "it must be text in quotes")
                good = False
        if missing := [key for key in _RULE if key not in table]:
            file.wrong((_CLIPBOARD, number), f"this rule has no {' and no '.join(missing)}", "write all three")
            good = False
        if good:
            try:
                rules.append(ClipboardRule(**{_RULE[key]: value for key, value in table.items()}))
            except MachineCannot as error:
                file.wrong((_CLIPBOARD, number), error.what, error.remedy)
    return tuple(rules)
