"""A definition says what was wished for, whatever the words, and is read back from what libvirt makes of it."""

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.kvm.definition import AppVm, Wish, definition, region_name
from backends.kvm.layout import Slots
from backends.machines.debian import Image
from backends.machines.domains import NAMESPACE

WISH = Wish(
    "work", 3, 2, "blue", Slots([(6000, 2), (111, 0)]), 640, 128, network=False, kvm=False, emulator="/usr/bin/qemu",
    image=Image.at(Path("/images/x")), disk=Path("/vms/mail/disk.qcow2"), agent_disk=Path("/vms/mail/agent.img"),
    console=Path("/vms/mail/console.log"), private=False,
)  # fmt: skip
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"))


def read(xml: str) -> AppVm:
    vm = AppVm.read(xml)
    assert vm is not None
    return vm


def test_it_is_read_back() -> None:
    vm = read(definition(WISH))
    assert (vm.name, vm.domid, vm.gui_domid, vm.label, vm.private) == ("work", 3, 2, "blue", False)
    assert str(vm.vchans) == "6000:2,111:0"
    assert vm.region == Path("/dev/shm", region_name("work"))
    assert vm.region_bytes == 128 << 20
    assert set(vm.channels) == {"odyssey.orders", "odyssey.pipe", "odyssey.doorbell.0", "odyssey.doorbell.1"}
    assert vm.agent_disk == WISH.agent_disk
    assert read(definition(replace(WISH, private=True))).private
    assert vm.files == {vm.region: 128 << 20}


def test_memory_that_programs_draw_into() -> None:
    xml = definition(replace(WISH, drawing_mib=96))
    vm = read(xml)
    drawing = Path("/dev/shm", f"{region_name('work')}-drawing")
    assert vm.files == {vm.region: 128 << 20, drawing: 96 << 20}
    assert vm.environ()["VCHAN_DRAWING"] == str(drawing)
    root = ET.fromstring(xml)  # noqa: S314 - our own
    words = [arg.get("value", "") for arg in root.iter("{http://libvirt.org/schemas/domain/qemu/1.0}arg")]
    assert f"mem-path={drawing},size=96M,share=on" in words[1]
    assert root.findtext("maxMemory") == str(640 + 96)
    cell = root.find("cpu/numa/cell")
    assert cell is not None
    assert cell.get("memory") == "640"
    plain = ET.fromstring(definition(WISH))  # noqa: S314 - our own
    assert [plain.find(name) for name in ("maxMemory", "cpu/numa")] == [None, None]


@given(WORDS, WORDS)
def test_no_word_can_be_more_than_a_word(label: str, name: str) -> None:
    xml = definition(replace(WISH, label=label, disk=Path("/vms") / f"x{name.replace('/', '')}"))
    root = ET.fromstring(xml)  # noqa: S314 - our own
    assert len(root.findall("devices/disk")) == 2
    assert len(root.findall("devices/shmem")) == 1
    vm = root.find(f"metadata/{{{NAMESPACE}}}vm")
    assert vm is not None
    assert " ".join(vm.get("label", "").split()) == " ".join(label.split())


@pytest.mark.parametrize("kvm", [True, False])
@pytest.mark.parametrize("network", [True, False])
def test_accelerator_and_network(*, kvm: bool, network: bool) -> None:
    root = ET.fromstring(definition(replace(WISH, kvm=kvm, network=network)))  # noqa: S314 - our own
    assert root.get("type") == ("kvm" if kvm else "qemu")
    assert len(root.findall("devices/interface")) == network, "no network unless it is asked for"
    assert (root.find("cpu[@mode='host-passthrough']") is not None) is kvm


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"xmlns='{NAMESPACE}'", "xmlns='urn:somebody-else'"),
        ("domid='3'", "domid='three'"),
        ("vchans='6000:2,111:0'", "vchans='many'"),
        ("<size unit='M'>128</size>", "<size unit='parsec'>128</size>"),
        ("<size unit='M'>128</size>", ""),
        ("<name>work</name>", ""),
    ],
)
def test_what_is_none_of_ours_or_makes_no_sense_is_no_appvm(old: str, new: str) -> None:
    xml = definition(WISH)
    assert old in xml
    assert AppVm.read(xml.replace(old, new)) is None


def test_the_doorbells_are_where_libvirt_put_them() -> None:
    xml = definition(WISH).replace(
        "<target type='virtio' name='odyssey.doorbell.0'/>",
        "<source mode='bind' path='/run/x/odyssey.doorbell.0'/><target type='virtio' name='odyssey.doorbell.0'/>",
    )
    assert read(xml).environ() == {
        "VCHAN_REGION": f"/dev/shm/{region_name('work')}",
        "VCHAN_DOORBELLS": "/run/x/odyssey.doorbell.",
        "VCHAN_SLOTS": "6000:2,111:0",
        "VCHAN_SIDE": "host",
    }
