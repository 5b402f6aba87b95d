"""Which GUI domain each VM was given last: a property of the VM that survives restarts of everything."""

import os
from collections.abc import Mapping
from pathlib import Path

from guid.config.configuration import Configuration
from guid.config.gui_domains import GuiDomain
from guiproto.errors import MachineCannot


def state_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """odyssey-gui in $XDG_STATE_HOME (default: ~/.local/state). Not made here."""
    base = environ.get("XDG_STATE_HOME") or Path(environ.get("HOME", "/")) / ".local/state"
    return Path(base) / "odyssey-gui"


class Assigned:
    """One small file for each VM that was moved, in `directory`."""

    def __init__(self, directory: Path | None = None) -> None:
        """By default the user's own."""
        self._directory = directory or state_dir() / "gui-domain"

    def name(self, vm: str) -> str | None:
        """The name of its GUI domain; None if it was given none."""
        try:
            return self._path(vm).read_text().strip() or None
        except OSError:
            return None

    def domain(self, vm: str, configuration: Configuration) -> GuiDomain | None:
        """Its GUI domain. Raises MachineCannot if that is not configured any more."""
        name = self.name(vm)
        if name is None:
            return None
        try:
            return configuration.gui_domain(name, os.environ.get("DISPLAY"))
        except MachineCannot as error:
            raise MachineCannot(
                f"{vm} was given to GUI domain {name!r}: {error.what}", f"`guid swap {vm} --to dom0` gives it to dom0"
            ) from None

    def set(self, vm: str, gui_domain: str) -> None:
        """Remember it. Raises MachineCannot."""
        path = self._path(vm)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = path.with_name(f".{path.name}.new")
            fresh.write_text(gui_domain + "\n")
            fresh.rename(path)
        except OSError as error:
            raise MachineCannot(f"cannot write {path}: {error.strerror}", "check the directory") from None

    def _path(self, vm: str) -> Path:
        if not vm or "/" in vm or vm.startswith("."):
            raise MachineCannot(f"{vm!r} is no name for a VM", "use letters, digits, dashes and underscores")
        return self._directory / vm
