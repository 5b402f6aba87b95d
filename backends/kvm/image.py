"""A disk image of Debian for AppVMs, made by mmdebstrap from packages, once for each list of them.

An image is a directory of the cache, named by a hash of all that it is made from: `root.img` (ext4), `vmlinuz` and
`initrd.img`. It is made under another name and renamed when it is whole, so what is there is complete, and a run that
was interrupted costs nothing but its time; downloaded packages stay for the next one.
"""

import compileall
import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Final

from backends.kvm.machine import which
from backends.kvm.places import cache_dir
from guiproto.errors import MachineCannot

SUITE: Final = "bookworm"
USER: Final = "user"
GUEST_PYTHON: Final = (3, 11)
AGENT_PACKAGES: Final = ("guiproto", "shm", "backends", "guiagent")

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
_DISK_BYTES: Final = 20 << 30
"""The file system's size; the file is sparse."""
_NEEDED_BYTES: Final = 4 << 30
_MODULES: Final = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "ext4")

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
ExecStart=/usr/bin/python3 -s -m backends.kvm.guest
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
_BEFORE_KERNEL: Final = (
    'mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"; '
    'printf "MODULES=list\\nCOMPRESS=lz4\\n" > "$1/etc/initramfs-tools/conf.d/odyssey"; '
    f'printf "%s\\n" {" ".join(_MODULES)} > "$1/usr/share/initramfs-tools/modules.d/odyssey"'
)

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Image:
    """What a VM boots from. Never written to: disks of VMs lie over `disk`."""

    disk: Path
    kernel: Path
    initrd: Path

    @classmethod
    def at(cls, place: Path) -> "Image":
        """The image in that directory."""
        return cls(place / "root.img", place / "vmlinuz", place / "initrd.img")


def any_kernel() -> Path | None:
    """The kernel of some image, if there is one."""
    return next(iter(sorted(cache_dir().glob("images/*/vmlinuz"))), None)


def image(packages: Sequence[str], tell: Tell) -> Image:
    """The image with these packages on top of what every AppVM has; made if there is none. Raises MachineCannot."""
    for package in packages:
        if not _PACKAGE_NAME.fullmatch(package):
            raise MachineCannot(f"{package!r} is no name of a Debian package", "write a list such as firefox-esr,mpv")
    names = sorted({*_PACKAGES, *packages})
    recipe = json.dumps([SUITE, names, _CUSTOMIZE, _BEFORE_KERNEL, _DISK_BYTES])
    images = cache_dir() / "images"
    images.mkdir(mode=0o700, exist_ok=True)
    place = images / hashlib.sha256(recipe.encode()).hexdigest()[:16]
    with _lock(images):
        if not place.exists():
            _make(place, names, tell)
    return Image.at(place)


@contextlib.contextmanager
def _lock(images: Path) -> Iterator[None]:
    """Two commands that want the same image make it once."""
    with (images / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(place: Path, names: Sequence[str], tell: Tell) -> None:
    for program in ("mmdebstrap", "mke2fs"):
        if which(program) is None:
            raise MachineCannot(f"{program} is not installed", f"apt install {program.replace('mke2fs', 'e2fsprogs')}")
    free = shutil.disk_usage(place.parent).free
    if free < _NEEDED_BYTES:
        raise MachineCannot(
            f"an image needs {_NEEDED_BYTES >> 30} GiB, {place.parent} has {free >> 20} MiB free",
            "make room, or set XDG_CACHE_HOME",
        )
    for stale in place.parent.glob("*.part"):
        _remove(stale)
    part = place.with_suffix(".part")
    archives = place.parent / "archives"
    archives.mkdir(exist_ok=True)
    tell(f"making an image of Debian {SUITE} with {len(names)} packages and what they need (a few minutes, once)")
    part.mkdir(mode=0o755)
    try:
        _bootstrap(part, names, archives, tell)
        tell("making its file system")
        _run([*_as_root(), "sh", "-c", _FILE_SYSTEM, "sh", str(part)], "the file system")
        (part / "root.tar").unlink()
        part.rename(place)
    except BaseException:
        _remove(part)
        raise


_FILE_SYSTEM: Final = f"""
set -eu
mkdir "$1/root"
tar --extract --file "$1/root.tar" --directory "$1/root" --numeric-owner
PATH=$PATH:/usr/sbin:/sbin
mke2fs -q -t ext4 -L odyssey-root -O ^metadata_csum_seed -d "$1/root" "$1/root.img" {_DISK_BYTES >> 10}k
cat "$1"/root/boot/vmlinuz-* > "$1/vmlinuz"
cat "$1"/root/boot/initrd.img-* > "$1/initrd.img"
rm -rf "$1/root"
"""


def _bootstrap(part: Path, names: Sequence[str], archives: Path, tell: Tell) -> None:
    argv = [
        "mmdebstrap", "--variant=minbase", f"--include={','.join(names)}", "--format=tar",
        "--aptopt=Acquire::Retries \"3\"", "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
        # Packages of an earlier run, finished or not, are not fetched again.
        "--skip=download/empty,essential/unlink",
        '--setup-hook=mkdir -p "$1/var/cache/apt/archives"',
        f"--setup-hook=sync-in {archives} /var/cache/apt/archives",
        f"--essential-hook={_BEFORE_KERNEL}",
        f"--customize-hook=sync-out /var/cache/apt/archives {archives}",
        f"--customize-hook={_CUSTOMIZE}",
        "--customize-hook=rm -rf \"$1\"/var/cache/apt/archives/*.deb \"$1\"/var/lib/apt/lists/*",
        SUITE, str(part / "root.tar"),
    ]  # fmt: skip
    _run(argv, "mmdebstrap", tell, part.parent / "mmdebstrap.log")


def _as_root() -> Sequence[str]:
    """What makes a command root, of a user namespace where we are an ordinary user."""
    return () if os.geteuid() == 0 else ("mmdebstrap", "--unshare-helper")


_NO_NEWS: Final = ("I: automatically", "I: skipping", "I: running --")


def _run(argv: Sequence[str], what: str, tell: Tell | None = None, log: Path | None = None) -> None:
    """Run a command, and pass on its progress; `log` gets everything. Raises MachineCannot with the last it said."""
    environ = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environ,
            text=True, errors="replace",
        )  # fmt: skip
    except OSError as error:
        raise MachineCannot(f"{argv[0]} cannot be run: {error.strerror}", "is it installed?") from None
    last: list[str] = []
    assert process.stdout is not None
    with contextlib.ExitStack() as stack:
        stack.enter_context(process.stdout)
        stack.callback(process.wait)
        stack.callback(process.terminate)  # no harm after its end
        keep = stack.enter_context(log.open("w")) if log is not None else None
        for line in process.stdout:
            if keep is not None:
                keep.write(line)
            text = line.strip()
            if text:
                last = [*last[-199:], text]
            if tell is not None and text.startswith("I: ") and not text.startswith(_NO_NEWS):
                tell(text[3:])
        status = process.wait()
    if status != 0:
        more = f"; all it said is in {log}" if log is not None else ""
        raise MachineCannot(f"{what} failed: {_reason(last)}", _remedy(" ".join(last)) + more)


def _reason(lines: Sequence[str]) -> str:
    # What mmdebstrap adds to a hook's failure is the whole hook.
    ours = next((at for at, line in enumerate(lines) if line.startswith("E: setup failed")), len(lines))
    said = [line for line in lines[:ours] if not line.startswith(("I: ", "E: mmdebstrap failed", "done"))]
    return (said or ["it said nothing"])[-1]


def _remedy(text: str) -> str:
    if "Unable to locate package" in text or "has no installation candidate" in text:
        return f"is every package in Debian {SUITE}?"
    if "Temporary failure resolving" in text or "Could not connect" in text or "Failed to fetch" in text:
        return "is the network there, and Debian's mirror reachable? What was fetched is kept for the next try"
    if "No space left" in text:
        return "make room, or set XDG_CACHE_HOME and TMPDIR to a larger file system"
    if "newuidmap" in text or "subuid" in text or "unshare" in text:
        return "apt install uidmap, and give this user entries in /etc/subuid and /etc/subgid"
    return "try again"


def _remove(place: Path) -> None:
    """Remove what a run in a user namespace may have made with ids that are not ours."""
    shutil.rmtree(place, ignore_errors=True)
    if place.exists():
        with contextlib.suppress(MachineCannot):
            _run([*_as_root(), "rm", "-rf", str(place)], "rm")


def overlay(path: Path, base: Path) -> None:
    """A disk that is like `base` until it is written to; replaces `path`."""
    qemu_img = which("qemu-img")
    if qemu_img is None:
        raise MachineCannot("qemu-img is not installed", "apt install qemu-utils")
    path.unlink(missing_ok=True)
    _run([qemu_img, "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(base), str(path)], "qemu-img")


def agent_disk(path: Path, project: Path, config: str) -> None:
    """A small file system with the agent of this very version and the VM's configuration; replaces `path`."""
    with tempfile.TemporaryDirectory(dir=path.parent) as name:
        root = Path(name) / "root"
        for package in AGENT_PACKAGES:
            shutil.copytree(project / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
        (root / "vm.json").write_text(config)
        if sys.version_info[:2] == GUEST_PYTHON:
            # The file system cannot be written to, and compiling takes an emulated processor longer than booting.
            for package in AGENT_PACKAGES:
                compileall.compile_dir(
                    root / package, quiet=2, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
                    stripdir=str(root), prependdir="/opt/odyssey-gui",
                )  # fmt: skip
        fresh = Path(name) / "agent.img"
        mke2fs = which("mke2fs")
        if mke2fs is None:
            raise MachineCannot("mke2fs is not installed", "apt install e2fsprogs")
        _run([mke2fs, "-q", "-t", "ext2", "-L", "odyssey-agent", "-d", str(root), str(fresh), "8M"], "mke2fs")
        fresh.replace(path)
