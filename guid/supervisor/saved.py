"""Descriptions of the VMs that outlive a supervisor, one file each, so that the next one can show them again."""

import contextlib
import json
from pathlib import Path

from guid.spec import VmSpec
from guiproto.errors import MachineCannot


class SavedVms:
    """The files under `directory`. A file that cannot be read is as good as none."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, spec: VmSpec, *, kept: bool) -> None:
        """Remember a VM. `kept`: it goes on without anybody who follows it."""
        path = self._path(spec.name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps({"kept": kept, "vm": json.loads(spec.to_json())}))
        fresh.rename(path)

    def knows(self, name: str) -> bool:
        """Whether the VM is remembered."""
        return self._path(name).exists()

    def read(self) -> list[tuple[VmSpec, bool]]:
        """Every VM that is remembered, and whether it is kept."""
        found = []
        for path in sorted(self._directory.glob("*.view.json")):
            with contextlib.suppress(ValueError, KeyError, TypeError, MachineCannot):
                data = json.loads(path.read_text())
                found.append((VmSpec.from_json(data["vm"]), bool(data["kept"])))
        return found

    def remove(self, name: str) -> None:
        """Forget a VM; no error if it was not known."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.view.json"
