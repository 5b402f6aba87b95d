"""Two AppVMs of this Xen, started through libvirt: everything below runs in dom0."""

import contextlib
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from backends.base import AppVmSpec, DomainState
from backends.conformance import FarDomain, far_domain
from backends.machines.debian import Image
from backends.xen.definition import definition
from backends.xen.domains import XenDomains
from backends.xen.store import Store, vchan_path
from tests.e2e.rig import wait_for
from tests.xen.inside.desk import Desk
from tests.xserver import XServer

RESULTS = Path(os.environ.get("XEN_RESULTS", "/results"))
IMAGE = Image(Path("/dev/vdb"), RESULTS / "boot/vmlinuz", RESULTS / "boot/initrd.img")
# A PVH domain takes minutes to boot where its nested paging is emulated, so the second is one only if asked for.
SECOND = (RESULTS / "second").read_text().strip() if (RESULTS / "second").exists() else "pv"
LINE_PORT, SHELL_PORT = 7999, 7998
BOOT_SECONDS = 600.0
# An emulated processor's time stamp counter is not invariant, so that Xen would emulate it once more, at each look.
CLOCK = "<clock offset='utc'><timer name='tsc' mode='native'/></clock>"
# With its processor pinned beside dom0's, a PVH domain boots in QEMU's emulation of SVM; it did not without.
PINNED = "<cputune><vcpupin vcpu='0' cpuset='1'/></cputune>"


class Guests:
    """The AppVMs: kind, label, disk and agent's disk by name."""

    kinds: ClassVar = {"one": ("pv", "blue", "/dev/vdb", "/dev/vdc"), "two": (SECOND, "red", "/dev/vdd", "/dev/vde")}

    def __init__(self) -> None:
        self.driver = XenDomains()
        for name, (kind, label, disk, agent) in self.kinds.items():
            # So little video memory that all grants it stands for fit into the domain.
            spec = AppVmSpec(name, label, memory_mib=512, videoram_mib=96)
            xml = definition(spec, kind, IMAGE, disk, agent)
            xml = re.sub("panic=-1[^<]*", "panic=-1 mitigations=off rdinit=/quick-init", xml)
            xml = xml.replace("</os>", f"</os>{CLOCK}")
            if kind == "pvh":
                xml = xml.replace("<vcpu>1</vcpu>", f"<vcpu>1</vcpu>{PINNED}")
            self.driver._hypervisor.request("define", xml=xml)

    def start(self, name: str) -> int:
        """Its domain id, when it has been started."""
        return self.driver.resume(name).domid

    def wait(self, name: str) -> None:
        """Until `far` and `conversation` are answered there: one domain may be of use while another boots."""
        store = Store()
        places = [vchan_path(0, port, self.domid(name)) + "/event-channel" for port in (LINE_PORT, SHELL_PORT)]
        wait_for(f"the lines to {name}", lambda: all(map(store.read, places)), BOOT_SECONDS)
        store.close()

    def domid(self, name: str) -> int:
        """0 if it does not run."""
        return next(domain.domid for domain in self.driver.list() if domain.name == name)

    def running(self, name: str) -> bool:
        """Whether it runs."""
        return any(d.name == name and d.state is DomainState.RUNNING for d in self.driver.list())

    @contextlib.contextmanager
    def far(self, name: str) -> Iterator[FarDomain]:
        """Ends of vchans and sharers of pages in it."""
        self.wait(name)
        line = ["-m", "backends.conformance.bridge", "client", "xen", "0", str(self.domid(name)), str(LINE_PORT)]
        with far_domain([sys.executable, *line]) as domain:
            yield domain

    @contextlib.contextmanager
    def conversation(self, name: str, *command: str) -> Iterator[tuple[Callable[[str], object], Callable[[], str]]]:
        """Run a command there as root: functions that give it a piece of input, and take a line of its output."""
        self.wait(name)
        line = ["-m", "backends.conformance.bridge", "client", "xen", "0", str(self.domid(name)), str(SHELL_PORT)]
        process = subprocess.Popen(
            [sys.executable, *line], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        with _talk(process) as (say, hear):
            # Its shell reads ahead: what it were sent before it has become the command would be lost in its buffer.
            say(f"echo begun; exec {shlex.join(command)}\n")
            assert hear() == "begun\n"
            yield say, hear

    def root(self, name: str, script: str) -> str:
        """The first line that a shell script of root's says there."""
        with self.conversation(name, "sh", "-c", f"exec 2>&1; {script}") as (_, hear):
            return hear().rstrip()

    def console(self, name: str) -> str:
        """What its kernel and services said."""
        log = RESULTS / f"console/guest-{name}.log"
        return log.read_text(errors="replace") if log.exists() else ""


@contextlib.contextmanager
def _talk(process: subprocess.Popen[str]) -> Iterator[tuple[Callable[[str], object], Callable[[], str]]]:
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdin.write, process.stdout.readline
        finally:
            process.kill()


@pytest.fixture(scope="session")
def libvirt() -> Iterator[None]:
    """libvirt's daemon, as dom0 has it."""
    Path("/run/libvirt").mkdir(exist_ok=True)
    config = Path("/tmp/libvirtd.conf")
    config.write_text(f'auth_unix_rw = "none"\nunix_sock_group = "root"\nlog_outputs="2:file:{RESULTS}/libvirtd.log"\n')
    process = subprocess.Popen(["libvirtd", "-f", str(config)], stdin=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not Path("/run/libvirt/libvirt-sock").exists() and time.monotonic() < end:
        time.sleep(0.2)
    yield
    process.terminate()
    process.wait()


@pytest.fixture(scope="session")
def guests(libvirt: None) -> Iterator[Guests]:  # noqa: ARG001 - it has to be there
    made = Guests()
    for name in made.kinds:
        made.start(name)
    yield made
    made.driver.close()


@pytest.fixture(scope="module")
def desk(guests: Guests, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """With both AppVMs on it."""
    with XServer(1600, 1000) as server:
        made = Desk(server.display, tmp_path_factory.mktemp("desk"), guests.kinds)
        for name in guests.kinds:
            wait_for(f"the agent in {name}", lambda name=name: made.state(name) == "connected", BOOT_SECONDS)  # type: ignore[misc]
        yield made
        made.close()
