"""Real guests under QEMU and libvirt, made, started and used through the commands that users type.

Nothing is shared with the user's own libvirt: HOME and the runtime directory are the rig's, so libvirt starts a daemon
for it alone, unprivileged. The image is what takes time: it stays in the cache that the user's commands use as well.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from backends import registry
from backends.base import Backend
from backends.conformance import FarDomain, far_domain
from backends.kvm.libvirtd import unprivileged
from backends.kvm.machine import missing_for_domains
from tests.e2e.rig import Screen, wait_for
from tests.xserver import XServer

CHECKS_PORT = 7000
NAMES = ("one", "two")
BOOT_SECONDS = 240.0
"""An emulated guest takes 20 to 40 s on a quiet machine with two processors."""
_LOOK_SECONDS = 0.5
"""Looking costs a process; the guest needs the processors more."""
_PYTHON = "import hashlib\nfrom Xlib import X, display\nd = display.Display()\nroot = d.screen().root\n"


def why_not() -> str:
    """Why guests cannot be run here; empty if they can."""
    return " ".join(missing_for_domains())


class Guests:
    """A desktop's X server, a supervisor, and VMs."""

    def __init__(self) -> None:
        # Sockets lie deep below it, and their paths are short.
        self.directory = Path(tempfile.mkdtemp(prefix="kvm-"))
        run = self.directory / "run"
        run.mkdir(mode=0o700)
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        self.environ = {
            **os.environ,
            "HOME": str(self.directory),
            "XDG_CACHE_HOME": cache,
            "XDG_RUNTIME_DIR": str(run),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        for name in (
            "XDG_CONFIG_HOME",
            "XDG_DATA_HOME",
            "XDG_STATE_HOME",
            "GUID_CONFIG",
            "GUID_RUNTIME_DIR",
            "LIBVIRT_DEFAULT_URI",
        ):
            self.environ.pop(name, None)
        self.server = XServer(1600, 1000)
        self.desk: Screen
        self.wall_server = XServer(1600, 1000)
        self.wall: Screen
        """Another display, that of GUI domain `wall`."""

    def __enter__(self) -> Self:
        self.server.__enter__()
        self.environ["DISPLAY"] = self.server.display
        self.desk = Screen(self.server.display)
        self.wall_server.__enter__()
        self.wall = Screen(self.wall_server.display)
        config = self.directory / ".config/odyssey-gui"
        config.mkdir(parents=True)
        (config / "guid.toml").write_text(f'[gui-domain.wall]\nid = 32\ndisplay = "{self.wall.name}"\n')
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(subprocess.SubprocessError):
            for vm in json.loads(self.guid("vm", "list", "--json")):
                self.guid("vm", "remove", vm["name"])
        with contextlib.suppress(subprocess.SubprocessError):
            self.guid("stop", "--all")
        for screen, server in ((self.desk, self.server), (self.wall, self.wall_server)):
            screen.close()
            server.__exit__(None, None, None)
        self._end_libvirt()
        shutil.rmtree(self.directory, ignore_errors=True)

    # --- commands ---

    def guid(self, *arguments: str, timeout: float = 900.0) -> str:
        """Run a guid command; its output. CalledProcessError with its stderr as a note."""
        done = subprocess.run(
            [sys.executable, "-m", "guid.cli.main", *arguments],
            env=self.environ, cwd=self.directory, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=timeout, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            error = subprocess.CalledProcessError(done.returncode, ["guid", *arguments], done.stdout, done.stderr)
            error.add_note(done.stderr)
            raise error
        return done.stdout

    def piped(self, vm: str, data: bytes, *command: str) -> tuple[int, bytes]:
        """Run a command in a guest with that input; its exit status and output."""
        done = subprocess.run(
            [sys.executable, "-m", "guid.cli.main", "run", vm, "--pass-io", "--", *command],
            env=self.environ, cwd=self.directory, input=data, stdout=subprocess.PIPE, timeout=300, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    @contextlib.contextmanager
    def conversation(self, vm: str, *command: str) -> Iterator[tuple[Callable[[str], object], Callable[[], str]]]:
        """Run a command in a guest: functions that give it a piece of input, and take a line of its output."""
        with subprocess.Popen(
            [sys.executable, "-m", "guid.cli.main", "run", vm, "--pass-io", "--", *command],
            env=self.environ, cwd=self.directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        ) as process:  # fmt: skip
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                yield process.stdin.write, process.stdout.readline
            finally:
                process.kill()

    def virsh(self, *arguments: str) -> str:
        """Run virsh on the rig's libvirt, as root in the namespace that makes him a user."""
        done = subprocess.run(
            [*unprivileged("qemu:///session"), "virsh", "-q", "-c", "qemu:///session", *arguments],
            env=self.environ, capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        return done.stdout

    # --- the backend's own parts, between here and a guest ---

    def add_vchan(self, name: str) -> None:
        """Give a VM that does not run a second vchan, which no agent uses."""
        xml = self.virsh("dumpxml", "--inactive", name)
        config = self.directory / ".local/share/odyssey-gui/vms" / name / "vm.json"
        old = json.loads(config.read_text())
        config.write_text(json.dumps({**old, "vchans": f"{old['vchans']},{CHECKS_PORT}:0"}))
        xml = xml.replace(f'vchans="{old["vchans"]}"', f'vchans="{old["vchans"]},{CHECKS_PORT}:0"')
        number = old["vchans"].count(",") + 1
        channel = f'<channel type="unix"><target type="virtio" name="odyssey.doorbell.{number}"/></channel>'
        changed = self.directory / "changed.xml"
        changed.write_text(xml.replace("<memballoon", f"{channel}<memballoon"))
        self.virsh("define", str(changed))

    def backend_for(self, name: str) -> Backend:
        """The backend as a worker for that VM has it."""
        with self._as_user():
            driver = registry.load("kvm", os.environ).domains(self.directory)
            try:
                driver.list()
                return registry.load("kvm", driver.runtime(name))
            finally:
                driver.close()

    @contextlib.contextmanager
    def far(self, name: str) -> Iterator[FarDomain]:
        """Ends of vchans and sharers of pages in the guest."""
        config = self.directory / ".local/share/odyssey-gui/vms" / name / "vm.json"
        vchans = json.loads(config.read_text())["vchans"]
        there = (
            "exec env VCHAN_REGION=$(ls -d /sys/bus/pci/devices/*/resource2_wc) "
            f"VCHAN_DOORBELLS=$XDG_RUNTIME_DIR/doorbell. VCHAN_SLOTS={vchans} "
            "PYTHONPATH=/opt/odyssey-gui python3 -m backends.conformance.far_end kvm"
        )
        command = [sys.executable, "-m", "guid.cli.main", "run", name, "--pass-io", "--", "sh", "-c", there]
        with self._as_user(), far_domain(command) as domain:
            yield domain

    @contextlib.contextmanager
    def _as_user(self) -> Iterator[None]:
        """With the environment of the rig's user in this process."""
        before = dict(os.environ)
        os.environ.clear()
        os.environ.update(self.environ)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    # --- what is seen ---

    def ps(self) -> dict[str, dict[str, Any]]:
        """Rows of `guid ps` by name."""
        return {row["name"]: row for row in json.loads(self.guid("ps", "--json"))}

    def state(self, name: str) -> str:
        """The VM's state, "" if nobody serves it."""
        return str(self.ps().get(name, {}).get("state", ""))

    def wait_connected(self, name: str, timeout: float = BOOT_SECONDS) -> None:
        """Until its agent is there."""
        wait_for(f"the agent in {name}", lambda: self._slowly(name) == "connected", timeout)

    def windows(self, vm: str) -> list[dict[str, Any]]:
        """Its mapped windows."""
        rows = json.loads(self.guid("windows", "--json"))
        return [row for row in rows if row["vm"] == vm and row["mapped"]]

    def window(self, vm: str, title: str, timeout: float = 60.0) -> dict[str, Any]:
        """The window whose title contains that, once it is there and was painted."""

        def look() -> dict[str, Any] | None:
            found = [row for row in self.windows(vm) if title in str(row["title"]) and row["damage_rects"]]
            if not found:
                time.sleep(_LOOK_SECONDS)
                return None
            return found[0]

        return wait_for(f"a window {title!r} of {vm}", look, timeout)

    def in_guest(self, vm: str, code: str) -> None:
        """Run Python there; `d` is the display, `root` its root window."""
        self.guid("run", vm, "--", "python3", "-c", _PYTHON + code)

    def _slowly(self, name: str) -> str:
        time.sleep(_LOOK_SECONDS)
        return self.state(name)

    def qemu_pids(self) -> dict[str, int]:
        """QEMU's process of each running VM, by name."""
        pids = self.directory / "run/libvirt/qemu/run"
        return {path.stem: int(path.read_text()) for path in pids.glob("*.pid") if path.stem in self.ps()}

    def _end_libvirt(self) -> None:
        """The daemons that libvirt started for us, which would end by themselves after a while."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with contextlib.suppress(OSError):
                    command = (entry / "cmdline").read_bytes()
                    environ = (entry / "environ").read_bytes()
                    if (b"libvirtd" in command or b"virtlogd" in command) and str(self.directory).encode() in environ:
                        os.kill(int(entry.name), signal.SIGTERM)


@contextlib.contextmanager
def guests() -> Iterator[Guests]:
    """A rig, cleaned up afterwards."""
    with Guests() as made:
        yield made
