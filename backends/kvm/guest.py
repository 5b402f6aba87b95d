"""The first of our processes in a KVM guest: as root it finds the VM's devices, then becomes the user's session.

`vm.json` beside the packages is the VM's configuration, written by the domain driver on the host.
"""

import json
import os
import pwd
import sys
from pathlib import Path
from typing import Final, NoReturn

from backends.kvm.layout import DOORBELL, ORDERS, PIPE, Slots

_IVSHMEM: Final = ("0x1af4", "0x1110")
_PROJECT: Final = Path(__file__).resolve().parents[2]
_RUNTIME: Final = Path("/run/odyssey-session")
_USER: Final = "user"


def bar_of_ivshmem(devices: Path = Path("/sys/bus/pci/devices")) -> Path:
    """The memory of the first ivshmem device, write-combining where the kernel offers it.

    Raises SystemExit with a sentence for the VM's console.
    """
    for device in sorted(devices.iterdir()):
        found = tuple((device / name).read_text().strip() for name in ("vendor", "device"))
        if found == _IVSHMEM:
            (device / "enable").write_text("1")
            combining = device / "resource2_wc"
            return combining if combining.exists() else device / "resource2"
    raise SystemExit("this VM has no ivshmem device: it was not defined by guid")


def ports(classes: Path = Path("/sys/class/virtio-ports")) -> dict[str, Path]:
    """The device nodes of virtio-serial ports by name."""
    return {
        (port / "name").read_text().strip(): Path("/dev") / port.name
        for port in classes.iterdir()
        if (port / "name").exists()
    }


def main() -> NoReturn:
    """Give the user what is his, and become the session."""
    config = json.loads((_PROJECT / "vm.json").read_text())
    Path("/proc/sys/kernel/hostname").write_text(config["name"])
    user = pwd.getpwnam(_USER)
    bar, found = bar_of_ivshmem(), ports()
    for path in (bar, *(path for name, path in found.items() if name.startswith("odyssey."))):
        os.chown(path, user.pw_uid, user.pw_gid)
        path.chmod(0o600)
    _RUNTIME.mkdir(mode=0o700, exist_ok=True)
    os.chown(_RUNTIME, user.pw_uid, user.pw_gid)
    for number in range(len(Slots.parse(config["vchans"]).vchans)):
        link = _RUNTIME / f"doorbell.{number}"
        link.unlink(missing_ok=True)
        link.symlink_to(found[f"{DOORBELL}{number}"])
    os.initgroups(_USER, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    environ = {
        "HOME": user.pw_dir, "USER": _USER, "LOGNAME": _USER, "SHELL": user.pw_shell, "LANG": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games", "TERM": "xterm-256color",
        "PYTHONPATH": str(_PROJECT), "XDG_RUNTIME_DIR": str(_RUNTIME),
        "VCHAN_REGION": str(bar), "VCHAN_DOORBELLS": str(_RUNTIME / "doorbell."), "VCHAN_SLOTS": config["vchans"],
    }  # fmt: skip
    width, height = config["screen"]
    argv = [
        sys.executable, "-sP", "-m", "guiagent.session", "--domid", str(config["domid"]),
        "--gui-domid", str(config["gui_domid"]), "--screen", f"{width}x{height}", "--backend", "kvm",
        "--orders", str(found[ORDERS]), "--pipe", str(found[PIPE]),
    ]  # fmt: skip
    os.execve(sys.executable, argv, environ)  # noqa: S606 - no shell is the purpose


if __name__ == "__main__":
    main()
