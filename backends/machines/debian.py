"""A disk image of Debian, made by mmdebstrap from packages, once for each recipe.

An image is a directory of the cache, named by a hash of all that it is made from: `root.img` (ext4), `vmlinuz` and
`initrd.img`. It is made under another name and renamed when it is whole, so what is there is complete, and a run that
was interrupted costs nothing but its time; downloaded packages stay for the next one.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Final

from backends.machines.places import cache_dir, which
from guiproto.errors import MachineCannot

SUITE: Final = "bookworm"
DISK_BYTES: Final = 20 << 30
"""The file system's size; the file is sparse."""
_NEEDED_BYTES: Final = 4 << 30

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that an image depends on."""

    suite: str
    packages: Sequence[str]
    modules: Sequence[str]
    """Modules of the kernel that the initrd has."""
    customize: str
    """A shell script that runs as the new system's root, with its directory as $1, when all packages are there."""
    disk_bytes: int = DISK_BYTES
    boot: Sequence[str] = ()
    """Patterns of files in /boot that are put beside the image under their own names, as kernel and initrd are."""

    @property
    def before_kernel(self) -> str:
        """A shell script that says what the initrd is made of, before the kernel's package makes it."""
        modules = " ".join(self.modules)
        return (
            'mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"; '
            'printf "MODULES=list\\nCOMPRESS=lz4\\n" > "$1/etc/initramfs-tools/conf.d/odyssey"; '
            f'printf "%s\\n" {modules} > "$1/usr/share/initramfs-tools/modules.d/odyssey"'
        )


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


def build(recipe: Recipe, tell: Tell) -> Image:
    """The image of that recipe; made if there is none. Raises MachineCannot."""
    images = cache_dir() / "images"
    images.mkdir(mode=0o700, exist_ok=True)
    key = json.dumps([*astuple(recipe), recipe.before_kernel, _FILE_SYSTEM])
    place = images / hashlib.sha256(key.encode()).hexdigest()[:16]
    with _lock(images):
        if not place.exists():
            _make(place, recipe, tell)
    return Image.at(place)


@contextlib.contextmanager
def _lock(images: Path) -> Iterator[None]:
    """Two commands that want the same image make it once."""
    with (images / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(place: Path, recipe: Recipe, tell: Tell) -> None:
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
    what = f"Debian {recipe.suite} with {len(recipe.packages)} packages and what they need"
    tell(f"making an image of {what} (a few minutes, once)")
    part.mkdir(mode=0o755)
    try:
        _bootstrap(part, recipe, archives, tell)
        tell("making its file system")
        run(
            [
                *_as_root(),
                "sh",
                "-c",
                _FILE_SYSTEM,
                "sh",
                str(part),
                f"{recipe.disk_bytes >> 10}k",
                " ".join(recipe.boot),
            ],
            "the file system",
        )
        (part / "root.tar").unlink()
        part.rename(place)
    except BaseException:
        _remove(part)
        raise


_FILE_SYSTEM: Final = """
set -eu
mkdir "$1/root"
tar --extract --file "$1/root.tar" --directory "$1/root" --numeric-owner
PATH=$PATH:/usr/sbin:/sbin
mke2fs -q -t ext4 -L odyssey-root -O ^metadata_csum_seed -d "$1/root" "$1/root.img" $2
cat "$1"/root/boot/vmlinuz-* > "$1/vmlinuz"
cat "$1"/root/boot/initrd.img-* > "$1/initrd.img"
for pattern in $3; do
  cp "$1"/root/boot/$pattern "$1/"
done
rm -rf "$1/root"
"""


def _bootstrap(part: Path, recipe: Recipe, archives: Path, tell: Tell) -> None:
    argv = [
        "mmdebstrap", "--variant=minbase", f"--include={','.join(recipe.packages)}", "--format=tar",
        "--aptopt=Acquire::Retries \"3\"", "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
        # Packages of an earlier run, finished or not, are not fetched again.
        "--skip=download/empty,essential/unlink",
        '--setup-hook=mkdir -p "$1/var/cache/apt/archives"',
        f"--setup-hook=sync-in {archives} /var/cache/apt/archives",
        f"--essential-hook={recipe.before_kernel}",
        f"--customize-hook=sync-out /var/cache/apt/archives {archives}",
        f"--customize-hook={recipe.customize}",
        "--customize-hook=rm -rf \"$1\"/var/cache/apt/archives/*.deb \"$1\"/var/lib/apt/lists/*",
        recipe.suite, str(part / "root.tar"),
    ]  # fmt: skip
    run(argv, "mmdebstrap", tell, part.parent / "mmdebstrap.log")


def _as_root() -> Sequence[str]:
    """What makes a command root, of a user namespace where we are an ordinary user."""
    return () if os.geteuid() == 0 else ("mmdebstrap", "--unshare-helper")


_NO_NEWS: Final = ("I: automatically", "I: skipping", "I: running --")


def run(argv: Sequence[str], what: str, tell: Tell | None = None, log: Path | None = None) -> None:
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
            run([*_as_root(), "rm", "-rf", str(place)], "rm")
