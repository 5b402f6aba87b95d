"""Two AppVMs of this Xen, started through libvirt: everything below runs in dom0."""

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from backends.base import AppVmSpec, DomainState
from backends.conformance import FarDomain, far_domain
from backends.machines.debian import Image
from backends.xen.definition import definition
from backends.xen.domains import XenDomains

RESULTS = Path(os.environ.get("XEN_RESULTS", "/results"))
IMAGE = Image(Path("/dev/vdb"), RESULTS / "boot/vmlinuz", RESULTS / "boot/initrd.img")
LINE_PORT = 7999
# The AppVM's own init takes minutes where a Xen is emulated. This does what of it the session needs, and starts that.
INIT = (
    "export PATH=/usr/sbin:/usr/bin:/sbin:/bin; mkdir -p /dev/pts /dev/shm; mount -t devpts p /dev/pts; "
    "mount -t tmpfs s /dev/shm; mount -t tmpfs r /run; mount -t tmpfs -o mode=1777 t /tmp; "
    "mount -o ro /dev/xvdb /opt/odyssey-gui; PYTHONPATH=/opt/odyssey-gui exec python3 -s -m backends.machines.guest"
)
BOOT_SECONDS = 240.0


class Guests:
    """The AppVMs: kind, label, disk and agent's disk by name."""

    kinds: ClassVar = {"one": ("pv", "blue", "/dev/vdb", "/dev/vdc"), "two": ("pv", "red", "/dev/vdd", "/dev/vde")}

    def __init__(self) -> None:
        self.driver = XenDomains()
        for name, (kind, label, disk, agent) in self.kinds.items():
            spec = AppVmSpec(name, label, memory_mib=512, videoram_mib=256)
            xml = definition(spec, kind, IMAGE, disk, agent)
            xml = re.sub("panic=-1[^<]*", f"panic=-1 init=/bin/sh -- -c &quot;{INIT}&quot;", xml)
            self.driver._hypervisor.request("define", xml=xml)

    def start(self, name: str) -> int:
        """Its domain id, when it has been started."""
        return self.driver.resume(name).domid

    def domid(self, name: str) -> int:
        """0 if it does not run."""
        return next(domain.domid for domain in self.driver.list() if domain.name == name)

    def running(self, name: str) -> bool:
        """Whether it runs."""
        return any(d.name == name and d.state is DomainState.RUNNING for d in self.driver.list())

    @contextlib.contextmanager
    def far(self, name: str) -> Iterator[FarDomain]:
        """Ends of vchans and sharers of pages in it."""
        line = ["-m", "backends.conformance.bridge", "client", "xen", "0", str(self.domid(name)), str(LINE_PORT)]
        with far_domain([sys.executable, *line]) as domain:
            yield domain

    def console(self, name: str) -> str:
        """What its kernel and services said."""
        log = Path(f"/var/log/xen/console/guest-{name}.log")
        return log.read_text(errors="replace") if log.exists() else ""


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
