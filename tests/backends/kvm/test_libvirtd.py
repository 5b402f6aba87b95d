"""Which libvirt is spoken to."""

import pytest

from backends.kvm.libvirtd import checked_uri
from backends.machines.libvirtd import Hypervisor
from guiproto.errors import MachineCannot


def test_it_is_the_users_own_unless_said_otherwise() -> None:
    assert checked_uri({}) == checked_uri({"LIBVIRT_DEFAULT_URI": ""}) == "qemu:///session"
    assert checked_uri({"LIBVIRT_DEFAULT_URI": "qemu:///system"}) == "qemu:///system"


@pytest.mark.parametrize(
    "uri", ["qemu+ssh://me@far/system", "qemu://far/system", "qemu+tls:///system", "qemu+libssh2://x/session"]
)
def test_another_machines_libvirt_is_refused_with_what_to_do_instead(uri: str) -> None:
    with pytest.raises(MachineCannot, match=r"another machine's libvirt.*run guid on that machine"):
        checked_uri({"LIBVIRT_DEFAULT_URI": uri})


@pytest.mark.parametrize("uri", ["xen:///system", "lxc:///", "qemu:///", "test:///default", "nonsense"])
def test_other_drivers_are_refused(uri: str) -> None:
    with pytest.raises(MachineCannot, match=r"no libvirt for QEMU.*qemu:///session"):
        checked_uri({"LIBVIRT_DEFAULT_URI": uri})


def test_a_libvirt_that_cannot_be_reached_says_why() -> None:
    pytest.importorskip("libvirt", reason="the Python module libvirt is not installed")
    with pytest.raises(MachineCannot, match=r"cannot connect to libvirt at qemu:///nowhere: "):
        Hypervisor("qemu:///nowhere")
