"""A real Xen with a real dom0 and domUs, emulated: the tests in `inside` pass there."""

import os
import shutil
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.machines.places import which
from backends.xen.definition import TYPES
from backends.xen.domains import TYPE
from tests.xen.guests import cache_disk, disks
from tests.xen.image import Dom0
from tests.xen.machine import run

PROGRAMS = ("qemu-system-x86_64", "mmdebstrap", "mke2fs")
MISSING = [program for program in PROGRAMS if which(program) is None]
SECONDS = 1500.0

pytestmark = [
    pytest.mark.skipif(
        "XEN_TESTS" not in os.environ,
        reason="takes ten minutes and two images, so it has a command of its own: make test-xen",
    ),
    pytest.mark.skipif(bool(MISSING), reason=f"no Xen here, for want of {', '.join(MISSING)}: make setup-kvm"),
    pytest.mark.timeout(2400),
]


@pytest.fixture(scope="module")
def results() -> Iterator[Path]:
    """What dom0 wrote. It is left when it says that something failed."""
    directory = Path(tempfile.mkdtemp(prefix="xen-"))
    (directory / "second").write_text(os.environ.get(TYPE) or TYPES[0])
    run(Dom0(print), directory, [*disks(directory, print), cache_disk(directory, print)], SECONDS)
    for path in directory.glob("*.img"):
        path.unlink()  # large, and made from what is in the cache
    yield directory
    status = directory / "status"
    if status.exists() and status.read_text().strip().endswith(" 0"):
        shutil.rmtree(directory)


def test_everything_inside_passes(results: Path) -> None:
    junit = results / "junit.xml"
    assert junit.exists(), f"dom0 did not come that far: {results}/console.log"
    cases = list(ET.parse(junit).iter("testcase"))  # noqa: S314 - our own
    assert len(cases) >= 8, "tests are missing"
    for case in cases:
        sys.stdout.write(f"{case.get('classname')}.{case.get('name')}: {float(case.get('time', 0)):.1f} s\n")
    failed = [
        f"{case.get('name')}: {part.get('message')}\n{part.text}"
        for case in cases
        for part in case
        if part.tag in ("failure", "error")
    ]
    skipped = [str(case.get("name")) for case in cases for part in case if part.tag == "skipped"]
    assert not failed, "\n\n".join(failed) + f"\nall logs are in {results}"
    assert not skipped
