"""The system that an AppVM boots, if it is a machine: Debian with an X server and Python; the agent comes on a disk."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from backends.machines.debian import SUITE, Image, Recipe, Tell, build
from guiproto.errors import MachineCannot

USER: Final = "user"
_PACKAGES: Final = (
    # The system.
    "linux-image-cloud-amd64", "initramfs-tools", "systemd-sysv", "udev", "dbus", "kmod", "e2fsprogs", "procps",
    "iproute2", "sudo", "ca-certificates",
    # The agent.
    "python3", "python3-numpy", "python3-xlib", "libatomic1", "xvfb",
    # Something to look at.
    "xterm", "x11-apps", "fontconfig", "fonts-dejavu-core",
)  # fmt: skip
_PACKAGE_NAME: Final = re.compile(r"[a-z0-9][a-z0-9+.-]+")

# Runs as root of the new system; $1 is its directory. Nothing here may depend on the machine it runs on.
_CUSTOMIZE: Final = f"""
set -eu
chroot "$1" useradd --create-home --shell /bin/bash {USER}
echo '{USER} ALL=(ALL) NOPASSWD: ALL' > "$1/etc/sudoers.d/{USER}"
chmod 0440 "$1/etc/sudoers.d/{USER}"
mkdir -p "$1/opt/odyssey-gui"
cat > "$1/etc/fstab" <<'END'
LABEL=odyssey-root  /                 ext4   noatime  0  1
LABEL=odyssey-agent /opt/odyssey-gui  ext4   ro                        0  0
END
cat > "$1/etc/systemd/system/odyssey-session.service" <<'END'
[Unit]
Description=Applications, their display server and the GUI agent
RequiresMountsFor=/opt/odyssey-gui
After=local-fs.target systemd-udevd.service

[Service]
Environment=PYTHONPATH=/opt/odyssey-gui
RuntimeDirectory=odyssey-session
ExecStart=/usr/bin/python3 -s -m backends.machines.guest
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
END
cat > "$1/etc/systemd/network/80-virtio.network" <<'END'
[Match]
Driver=virtio_net

[Network]
DHCP=ipv4
END
echo 'nameserver 10.0.2.3' > "$1/etc/resolv.conf"
rm -f "$1/etc/hostname" "$1/etc/machine-id"
touch "$1/etc/machine-id"
chroot "$1" systemctl enable --quiet odyssey-session.service systemd-networkd.service
chroot "$1" systemctl mask --quiet systemd-networkd-wait-online.service apt-daily.timer apt-daily-upgrade.timer \\
  e2scrub_all.timer e2scrub_reap.service fstrim.timer dpkg-db-backup.timer getty@tty1.service \\
  systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-pstore.service \\
  systemd-network-generator.service systemd-random-seed.service proc-sys-fs-binfmt_misc.automount \\
  systemd-binfmt.service modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service \\
  modprobe@efi_pstore.service modprobe@fuse.service modprobe@loop.service sys-fs-fuse-connections.mount \\
  sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount dev-mqueue.mount \\
  man-db.timer getty-static.service
chroot "$1" fc-cache -s
"""


@dataclass(frozen=True, slots=True)
class Guest:
    """What a backend's guests need besides: packages, and modules of the kernel without which they do not boot."""

    packages: Sequence[str] = ()
    modules: Sequence[str] = ()


def image(guest: Guest, packages: Sequence[str], tell: Tell) -> Image:
    """The image with these packages on top of what every AppVM has; made if there is none. Raises MachineCannot."""
    for package in packages:
        if not _PACKAGE_NAME.fullmatch(package):
            raise MachineCannot(f"{package!r} is no name of a Debian package", "write a list such as firefox-esr,mpv")
    names = sorted({*_PACKAGES, *guest.packages, *packages})
    return build(Recipe(SUITE, names, ("ext4", *guest.modules), _CUSTOMIZE), tell)
