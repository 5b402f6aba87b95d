"""What an AppVM can see of this machine: its programs, read-only, and one directory of its own. Nothing else.

bubblewrap makes the sandbox: own user, pid, mount, ipc, net, uts and (where there are any) cgroup namespaces, no
capabilities, no new privileges. Two things need care that bubblewrap alone does not take:

- Started by root, `--uid 1000` alone would only rename root: towards the kernel the AppVM would still be the user who
  may write /proc/sys, core_pattern included, without any capability. So root's AppVMs get a user namespace, made here,
  in which uid 1000 is an otherwise unused uid of the host, a different one for each domain. Root is mapped as well, as
  nobody, because only then bubblewrap may look into root's directories for what it binds; no process ever is that uid.
- A network shared with the host would share its abstract sockets, and with them the user's X server. So an AppVM with
  network has its own network namespace all the same, and slirp4netns connects it to the outside.
"""

import contextlib
import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from backends.base import DomainSpec
from guiproto.errors import MachineCannot

USER_ID: Final = 1000
"""Every AppVM's user, as the AppVM sees it."""
HOME: Final = "/home/user"
VCHAN_DIR: Final = "/run/vchan"
SHELL: Final = "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh"

PROJECT: Final = Path(__file__).resolve().parents[2]
"""The directory that holds this project's packages."""
PACKAGES: Final = ("guiproto", "shm", "backends", "qubesdb", "guiagent", "guid")
"""Those that an AppVM needs; the daemon in case that it shows the windows of others."""

_NAMESPACES: Final = (
    "--unshare-pid", "--unshare-ipc", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try",
)  # fmt: skip
_DEPENDENCIES: Final = ("numpy", "Xlib", "cffi")
_FIRST_HOST_UID: Final = 0x7000_0000
"""Domain N of root is host uid this + N: 1879048192 and up, which systemd's table of uids calls unused."""
_PROBE_SECONDS: Final = 10.0
_PROGRAM_DIRS: Final = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC: Final = (
    "X11", "alternatives", "bash.bashrc", "default/locale", "fonts", "gtk-2.0", "gtk-3.0", "inputrc", "ld.so.cache",
    "ld.so.conf", "ld.so.conf.d", "locale.alias", "localtime", "mime.types", "os-release", "pango", "papersize",
    "profile", "profile.d", "shells", "terminfo", "timezone", "vdpau_wrapper.cfg", "vulkan", "xdg",
)  # fmt: skip
_ETC_NETWORK: Final = ("ca-certificates", "gai.conf", "protocols", "services", "ssl/certs", "ssl/openssl.cnf")
_SLIRP_NAMESERVER: Final = "10.0.2.3"
_NS_GET_USERNS: Final = 0xB701
_NETWORK_LOG_BLOCKS: Final = 512
"""Of 512 bytes."""
_LINE_BYTES: Final = 4096
_LINE_SHOWN: Final = 200


def host_ids(domid: int, uid_map: str | None = None) -> tuple[int, int]:
    """The uid and gid that domain `domid`'s processes have on the host: the caller's own unless that is really root.

    `uid_map` is the text of /proc/self/uid_map; root of a user namespace is no root and keeps its id.
    """
    if os.geteuid() != 0 or not _has_all_ids(uid_map or Path("/proc/self/uid_map").read_text()):
        return os.geteuid(), os.getegid()
    return _FIRST_HOST_UID + domid, _FIRST_HOST_UID + domid


def _has_all_ids(uid_map: str) -> bool:
    return [int(field) for field in uid_map.split()] == [0, 0, 0xFFFF_FFFF]


@contextlib.contextmanager
def identity(ids: tuple[int, int]) -> Iterator[tuple[list[str], list[int]]]:
    """bubblewrap's options that make `ids` of the host the AppVM's user, and the descriptors that they speak of."""
    options = ["--uid", str(USER_ID), "--gid", str(USER_ID)]
    if ids == (os.geteuid(), os.getegid()):
        yield ["--unshare-user", *options], []
        return
    with subprocess.Popen(
        ["unshare", "--user", "sh", "-c", "echo; read -r _"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        if holder.stdout.readline() != b"\n":
            raise MachineCannot("root cannot make a user namespace here", namespace_remedy())
        for name, number in zip(("uid_map", "gid_map"), ids, strict=True):
            # In one write: the kernel takes no second one.
            Path(f"/proc/{holder.pid}/{name}").write_bytes(b"65534 0 1\n%d %d 1\n" % (USER_ID, number))
        namespace = os.open(f"/proc/{holder.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield ["--userns", str(namespace), *options], [namespace]
    finally:
        os.close(namespace)


def require(spec: DomainSpec) -> None:
    """Raise MachineCannot if a program is missing that `spec` needs."""
    programs = [("Xvfb", "an AppVM's display server", "xvfb")]
    if spec.sandbox:
        programs.insert(0, ("bwrap", "which isolates AppVMs", "bubblewrap"))
        if spec.network:
            programs.append(("slirp4netns", "an AppVM's way to the network", "slirp4netns"))
    for program, purpose, package in programs:
        if shutil.which(program) is None:
            raise MachineCannot(f"there is no {program}, {purpose}", f"apt install {package}")


def probe(ids: tuple[int, int]) -> None:
    """Raise MachineCannot if this machine does not let us make a sandbox, found out by making one."""
    with identity(ids) as (options, fds):
        try:
            tried = subprocess.run(
                ["bwrap", *options, *_NAMESPACES, "--as-pid-1", "--ro-bind", "/", "/", "--proc", "/proc", "true"],
                pass_fds=fds,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PROBE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise MachineCannot("bwrap hangs", "try: bwrap --unshare-user --ro-bind / / true") from None
    if tried.returncode != 0:
        said = tried.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {tried.returncode}"]
        raise MachineCannot(f"this machine lets nobody make a sandbox: {said[-1]}", namespace_remedy())


def namespace_remedy(sysctls: Path = Path("/proc/sys")) -> str:
    """What the user can do where user namespaces are not allowed, from the switches that this kernel has."""
    switches = (
        ("user/max_user_namespaces", "0", "10000"),
        ("kernel/unprivileged_userns_clone", "0", "1"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
    )
    for path, closed, opened in switches:
        try:
            if (sysctls / path).read_text().strip() == closed:
                return f"as root: sysctl -w {path.replace('/', '.')}={opened}"
        except OSError:
            continue
    return "a container may forbid it; --no-sandbox runs the applications with NO isolation"


def require_readable(ids: tuple[int, int]) -> None:
    """Raise MachineCannot if host uid `ids` could not read the Python that runs us: root's umask may forbid it."""
    if ids[0] == os.geteuid():
        return
    for path in (*(PROJECT / name for name in PACKAGES), *_python_dirs(), Path(sys.executable).resolve()):
        if path.exists() and path.stat().st_mode & 0o005 != 0o005:
            raise MachineCannot(f"{path} can be read by root alone, but AppVMs are not root", f"chmod -R o+rX {path}")


def _python_dirs() -> list[Path]:
    """The Python environment that runs us, as far as it is not part of /usr."""
    found = [Path("/usr")]
    for prefix in (sys.base_prefix, sys.prefix, *dependency_dirs()):
        if not any(Path(prefix).is_relative_to(known) for known in found):
            found.append(Path(prefix))
    return found[1:]


def dependency_dirs() -> list[str]:
    """Where the modules lie that an AppVM needs from others: mostly in the prefix, but PYTHONPATH may say otherwise."""
    specs = [importlib.util.find_spec(name) for name in _DEPENDENCIES]
    return list(dict.fromkeys(str(Path(spec.origin).parents[1]) for spec in specs if spec and spec.origin))


def arguments(spec: DomainSpec, place: Path, environ: Mapping[str, str]) -> list[str]:
    """bubblewrap's options for `spec`, whose own files are under `place`, apart from those that `identity` gives."""
    options = [*_NAMESPACES, "--as-pid-1", "--new-session", "--hostname", spec.name]
    if not spec.outlive_parent:
        options.append("--die-with-parent")
    options += ["--ro-bind", "/usr", "/usr"]
    for name in _PROGRAM_DIRS:
        path = Path("/", name)
        if path.is_symlink():
            options += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            options += ["--ro-bind", str(path), str(path)]
    for name in _ETC + (_ETC_NETWORK if spec.network else ()):
        options += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for made in sorted((place / "etc").iterdir()):
        options += ["--ro-bind", str(made), f"/etc/{made.name}"]
    options += ["--ro-bind-try", "/var/cache/fontconfig", "/var/cache/fontconfig"]
    options += ["--proc", "/proc", "--dev", "/dev"]
    for directory in ("/tmp", "/var/tmp"):  # noqa: S108 - the sandbox's own
        options += ["--perms", "1777", "--tmpfs", directory]
    options += ["--perms", "1777", "--dir", "/tmp/.X11-unix", "--perms", "0755", "--tmpfs", "/run"]  # noqa: S108 - same
    options += ["--perms", "0700", "--dir", f"/run/user/{USER_ID}", "--symlink", "/run", "/var/run"]
    options += ["--perms", "0755", "--dir", "/run/qubes"]  # of its Qubes DB daemon, which runs in it
    options += ["--bind", str(place / "vchan"), VCHAN_DIR, "--bind", str(place / "home"), HOME]
    for path in (*_python_dirs(), *(PROJECT / name for name in PACKAGES)):
        options += ["--ro-bind-try", str(path), str(path)]
    options += ["--remount-ro", "/", "--clearenv", "--chdir", HOME]
    for key, value in environ.items():
        options += ["--setenv", key, value]
    return options


def made_up_etc(name: str, *, network: bool) -> dict[str, str]:
    """File names and contents of the AppVM's own /etc: who it is, and that there is nobody else."""
    files = {
        "passwd": f"root:x:0:0:root:/root:/usr/sbin/nologin\nuser:x:{USER_ID}:{USER_ID}:{name}:{HOME}:{SHELL}\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        "group": f"root:x:0:\ntty:x:5:\nuser:x:{USER_ID}:\nnogroup:x:65534:\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
        "hostname": f"{name}\n",
        "hosts": f"127.0.0.1 localhost {name}\n::1 localhost\n",
        "machine-id": os.urandom(16).hex() + "\n",
    }
    if network:
        files["resolv.conf"] = f"nameserver {_SLIRP_NAMESERVER}\n"
    return files


def connect_network(pid: int, ended: int, log: Path) -> None:
    """Give the sandbox whose first process is `pid` a way out, until the last copy of the other end of `ended` closes.

    The host's loopback stays out of reach. Raises MachineCannot with slirp4netns's own words if it fails; `log` gets
    them all.
    """
    ready, say_ready = os.pipe()
    network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    # Not that of `pid`: bubblewrap may put its first process into a second one, inside that which owns the network.
    owner = fcntl.ioctl(network, _NS_GET_USERNS)
    command = (
        "slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback", "--enable-sandbox", "--enable-seccomp",
        f"--ready-fd={say_ready}", f"--exit-fd={ended}", "--netns-type=path", f"--userns-path=/proc/self/fd/{owner}",
        f"/proc/self/fd/{network}", "tap0",
    )  # fmt: skip
    with open(ready, "rb") as pipe:
        try:
            with log.open("ab") as output:
                # In the background of a shell that ends at once: init reaps it, whichever of us lives longer. What it
                # has to say about an AppVM's packets fills no disk.
                subprocess.run(
                    ["sh", "-c", f'trap "" XFSZ; ulimit -f {_NETWORK_LOG_BLOCKS}; "$@" &', "sh", *command],
                    pass_fds=(say_ready, ended, network, owner),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    check=True,
                )
        finally:
            for fd in (say_ready, network, owner):
                os.close(fd)
        if pipe.read(1) != b"1":
            said = [line for line in log.read_text(errors="replace").splitlines() if not line.startswith("WARNING")]
            reason = said[0] if said else "it does not say why"
            raise MachineCannot(f"slirp4netns gives no network: {reason}", "run the AppVM without --network")


def last_line(log: Path) -> str:
    """The last line of a log that the AppVM wrote, printable and short; "" if there is none."""
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _LINE_BYTES))
        lines = file.read(_LINE_BYTES).decode(errors="replace").split("\n")
        for line in reversed(lines):
            if shown := "".join(c if " " <= c <= "~" else "?" for c in line.strip()):
                return shown[:_LINE_SHOWN]
    return ""
