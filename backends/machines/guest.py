"""The first of our processes in a VM: as root it has its devices found, then goes on to the user's session.

`vm.json` beside the packages is the VM's configuration, written by the domain driver. What a hypervisor's guests need
is the function `find` of the module that "guest" in it names.
"""

import importlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from backends.machines.image import USER

_PROJECT: Final = Path(__file__).resolve().parents[2]
_RUNTIME: Final = Path("/run/odyssey-session")
_QUBESDB: Final = Path("/run/qubes")
"""Where programs in a VM look for its Qubes DB."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the session is to be told and given."""

    devices: Sequence[Path]
    """Made the user's own, and nobody else's."""
    environ: Mapping[str, str]
    """For the backend."""
    arguments: Sequence[str] = ()
    """Of `guiagent.session`, on top of those that every guest has."""
    domid: int | None = None
    """If the configuration does not know it."""
    directories: Sequence[Path] = ()
    """The user's own as well."""


def main() -> NoReturn:
    """Have the devices found, and go on as what gives them to the user and becomes his session."""
    config: dict[str, Any] = json.loads((_PROJECT / "vm.json").read_text())
    Path("/proc/sys/kernel/hostname").write_text(config["name"])
    for directory, mode in ((_RUNTIME, 0o700), (_QUBESDB, 0o755)):
        directory.mkdir(mode=mode, exist_ok=True)
    found: Found = importlib.import_module(config["guest"]).find(config, _RUNTIME)
    for path in found.devices:
        path.chmod(0o600)
    for path in found.directories:
        path.chmod(0o700)
    environ = {
        "HOME": "/root", "LANG": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games", "TERM": "xterm-256color",
        "PYTHONPATH": str(_PROJECT), "XDG_RUNTIME_DIR": str(_RUNTIME), **found.environ,
    }  # fmt: skip
    width, height = config["screen"]
    domid = str(config["domid"] if found.domid is None else found.domid)
    command = ["--", *config["command"]] if config.get("command") else []
    own = [word for path in (_RUNTIME, _QUBESDB, *found.directories, *found.devices) for word in ("--own", str(path))]
    argv = [
        sys.executable, "-sP", "-m", "guiagent.boot", "--user", USER, "--backend", config["backend"],
        "--domid", domid, *own, "--", "--domid", domid,
        "--gui-domid", str(config["gui_domid"]), "--screen", f"{width}x{height}", "--backend", config["backend"],
        *found.arguments, *command,
    ]  # fmt: skip
    os.execve(sys.executable, argv, environ)  # noqa: S606 - no shell is the purpose


if __name__ == "__main__":
    main()
