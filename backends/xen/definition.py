"""The libvirt definition of an AppVM on Xen: made from a template, and read back from whatever libvirt says."""

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final, Self
from xml.sax.saxutils import escape

from backends.base import AppVmSpec
from backends.machines.debian import Image
from backends.machines.domains import NAMESPACE

TYPES: Final = ("pv", "pvh")


@dataclass(frozen=True, slots=True)
class AppVm:
    """An AppVM as its definition describes it."""

    name: str
    domid: int
    """0 while it does not run: Xen gives a new one at each start."""
    gui_domid: int
    label: str
    private: bool

    @classmethod
    def read(cls, xml: str) -> Self | None:
        """From libvirt's description; None if it is no AppVM of ours, or says what makes no sense."""
        root = ET.fromstring(xml)  # noqa: S314 - libvirt's own words, not a guest's
        vm = root.find(f"metadata/{{{NAMESPACE}}}vm")
        name = root.findtext("name")
        if vm is None or name is None:
            return None
        try:
            return cls(
                name, int(root.get("id", "0")), int(vm.get("gui-domid", "0")), vm.get("label", ""),
                vm.get("private") == "yes",
            )  # fmt: skip
        except ValueError:
            return None


def definition(spec: AppVmSpec, kind: str, image: Image, disk: str, agent_disk: str) -> str:
    """The XML that libvirt takes for an AppVM of `kind`. Disks are block devices or files."""
    values = {
        "name": spec.name,
        "namespace": NAMESPACE,
        "gui_domid": spec.gui_domid,
        "label": spec.label,
        "private": "yes" if spec.private else "no",
        "memory_mib": spec.memory_mib,
        "kernel": image.kernel,
        "initrd": image.initrd,
        "grant_frames": _grant_frames(spec.videoram_mib),
    }
    text = {key: escape(str(value), {"'": "&apos;"}) for key, value in values.items()}
    text["disks"] = _disk("xvda", disk) + _disk("xvdb", agent_disk, "<readonly/>")
    return Template(Path(__file__).with_name(f"{kind}.xml").read_text()).substitute(text)


def _disk(target: str, path: str, more: str = "") -> str:
    kind, key = ("block", "dev") if Path(path).is_block_device() else ("file", "file")
    return (
        f"<disk type='{kind}' device='disk'><driver name='phy' type='raw'/>"
        f"<source {key}='{escape(path, {chr(39): '&apos;'})}'/><target dev='{target}' bus='xen'/>{more}</disk>"
    )


def _grant_frames(videoram_mib: int) -> int:
    """Pages of Xen's grant table for that much window memory: 512 grants of a page each, and some for devices."""
    return videoram_mib * 256 // 512 + 32
