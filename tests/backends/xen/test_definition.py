"""Definitions for Xen say what was wished for, and are read back; where there is no Xen, that is what is said."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from backends.base import AppVmSpec, MachineCannot
from backends.machines.debian import Image
from backends.machines.domains import NAMESPACE
from backends.xen import factory
from backends.xen.definition import TYPES, AppVm, definition
from backends.xen.domains import XenDomains

SPEC = AppVmSpec("work", 'it\'s "blue" <&>', gui_domid=5, memory_mib=512, videoram_mib=256, private=True)
IMAGE = Image.at(Path("/images/x & y"))


@pytest.mark.parametrize("kind", TYPES)
def test_it_is_read_back(kind: str) -> None:
    xml = definition(SPEC, kind, IMAGE, "/vms/it's/disk.img", "/vms/mail/agent.img")
    assert AppVm.read(xml) == AppVm("work", 0, 5, SPEC.label, private=True)
    root = ET.fromstring(xml)  # noqa: S314 - our own
    assert root.findtext("os/kernel") == str(IMAGE.kernel)
    disks = [(disk.find("source"), disk.find("readonly")) for disk in root.iterfind("devices/disk")]
    assert [source.get("file") for source, _ in disks if source is not None] == [
        "/vms/it's/disk.img",
        "/vms/mail/agent.img",
    ]
    assert [readonly is not None for _, readonly in disks] == [False, True]
    machine = root.find("os/type")
    assert machine is not None
    assert machine.get("machine") == f"xen{kind}"


def test_there_are_grants_for_all_of_its_window_memory() -> None:
    root = ET.fromstring(definition(SPEC, "pv", IMAGE, "/a", "/b"))  # noqa: S314 - our own
    controller = root.find("devices/controller[@type='xenbus']")
    assert controller is not None
    assert int(controller.get("maxGrantFrames", "0")) * 512 >= SPEC.videoram_mib * 256


def test_a_running_ones_id_is_the_one_that_xen_gave_it() -> None:
    xml = definition(SPEC, "pv", IMAGE, "/a", "/b").replace("<domain type='xen'>", "<domain type='xen' id='17'>")
    vm = AppVm.read(xml)
    assert vm is not None
    assert vm.domid == 17


@pytest.mark.parametrize(
    "xml",
    [
        "<domain type='xen'><name>other</name></domain>",
        f"<domain id='x'><name>n</name><metadata><vm xmlns='{NAMESPACE}' label='red'/></metadata></domain>",
        f"<domain><name>n</name><metadata><vm xmlns='{NAMESPACE}' gui-domid='none'/></metadata></domain>",
        f"<domain><metadata><vm xmlns='{NAMESPACE}'/></metadata></domain>",
    ],
)
def test_what_is_none_of_ours_or_makes_no_sense_is_no_appvm(xml: str) -> None:
    assert AppVm.read(xml) is None


@pytest.mark.skipif(Path("/dev/xen").is_dir(), reason="this is a Xen domain")
def test_where_there_is_no_xen_that_is_said() -> None:
    said = factory({}).missing(domains=True)
    assert said[0] == "This is no Xen domain: there is no /dev/xen."
    assert any("dom0" in sentence for sentence in said)
    assert factory({}).notes() == []


def test_another_machines_libvirt_and_unknown_kinds_are_refused() -> None:
    with pytest.raises(MachineCannot, match="xen:///system"):
        XenDomains({"LIBVIRT_DEFAULT_URI": "xen+ssh://far/system"})
    with pytest.raises(MachineCannot, match="pv or pvh"):
        XenDomains({"XEN_DOMAIN_TYPE": "hvm"})
