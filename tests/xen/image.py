"""The system of dom0: Debian with Xen, libvirt, Python and two X servers' worth of programs, from packages alone."""

import gzip
import lzma
from pathlib import Path
from typing import Final

from backends.machines.debian import SUITE, Recipe, Tell, build

_PACKAGES: Final = (
    "linux-image-amd64", "initramfs-tools", "systemd-sysv", "udev", "kmod", "e2fsprogs", "procps", "iproute2",
    "xen-hypervisor-4.17-amd64", "xen-utils-4.17", "xenstore-utils", "libvirt-daemon", "libvirt-daemon-driver-xen",
    "libvirt-clients", "python3", "python3-numpy", "python3-xlib", "python3-cffi", "python3-libvirt", "python3-pytest",
    "python3-pil", "libatomic1", "xvfb", "xterm", "x11-apps", "fontconfig", "fonts-dejavu-core",
)  # fmt: skip
_MODULES: Final = ("virtio_pci", "virtio_blk", "ext4")
_CUSTOMIZE: Final = """
set -eu
chroot "$1" fc-cache -s
mkdir -p "$1/project" "$1/results"
cat > "$1/sbin/dom0-init" <<'END'
#!/bin/sh
modprobe 9pnet_virtio
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro project /project
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 results /results
exec sh /project/tests/xen/dom0-init
END
chmod 755 "$1/sbin/dom0-init"
"""
_XZ: Final = b"\xfd7zXZ\x00"


class Dom0:
    """What is booted: files of this machine."""

    def __init__(self, tell: Tell) -> None:
        """Made if there is none. Raises MachineCannot."""
        recipe = Recipe(SUITE, _PACKAGES, _MODULES, _CUSTOMIZE, boot=("xen-4*.gz",))
        image = build(recipe, tell)
        place = image.disk.parent
        self.disk, self.initrd = image.disk, image.initrd
        self.xen, self.kernel = place / "xen", place / "vmlinux"
        if not self.xen.exists():
            (packed,) = place.glob("xen-4*.gz")
            self.xen.write_bytes(gzip.decompress(packed.read_bytes()))
        if not self.kernel.exists():
            # Xen would unpack it itself, which takes an emulated processor a quarter of a minute.
            self.kernel.write_bytes(_unpacked(image.kernel))


def _unpacked(kernel: Path) -> bytes:
    packed = kernel.read_bytes()
    return lzma.LZMADecompressor().decompress(packed[packed.index(_XZ) :])
