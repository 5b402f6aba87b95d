"""Starts the processes of an AppVM: a sandbox around its session, or the session as ordinary processes of this user."""

import compileall
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.base import DomainSpec
from backends.local import output, processes, sandbox
from backends.local.processes import Process
from guiproto.errors import MachineCannot

_PASSED_ON = ("GUIAGENT_LOG", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "LC_TIME", "TZ")
"""What an AppVM learns from the environment of whoever starts it: the language, and how much to log."""


@dataclass(frozen=True, slots=True)
class Launched:
    """The session, and the process that ends last: bubblewrap, or the session itself. Both by pid of this machine.

    As long as this process holds `leash` the AppVM goes on. It is None for one that does not depend on us.
    """

    session: int
    keeper: int
    leash: int | None
    output: Process
    """What keeps what the AppVM prints, see `output`."""


class _SandboxError(Exception):
    """The sandbox did not start; it has printed why."""


def furnish(place: Path, spec: DomainSpec) -> None:
    """Make the AppVM's directory: what only it can write (home, run, vchan), and what it can read (etc)."""
    place.mkdir(mode=0o700)
    ids = sandbox.host_ids(spec.domid) if spec.sandbox else (os.geteuid(), os.getegid())
    for name in ("home", "run", "vchan"):
        (place / name).mkdir(mode=0o700)
        os.chown(place / name, *ids)
    (place / "etc").mkdir()
    for name, content in sandbox.made_up_etc(spec.name, network=spec.network).items():
        made = place / "etc" / name
        made.write_text(content)
        made.chmod(0o444)
    # The AppVM cannot write bytecode, and on this side nobody imports its half.
    for package in sandbox.PACKAGES:
        compileall.compile_dir(str(sandbox.PROJECT / package), quiet=2)


def launch(spec: DomainSpec, place: Path, mark: str) -> Launched:
    """Start it. Raises MachineCannot with what bubblewrap or slirp4netns said, and nothing is left then."""
    with contextlib.ExitStack() as stack:
        if spec.outlive_parent:
            collar, leash = None, None
        else:
            collar, leash = os.pipe()
            stack.callback(os.close, collar)
        printed, keeping = output.keep(place / "log")
        try:
            try:
                if spec.sandbox:
                    session, keeper = _launch_sandbox(spec, place, collar, printed)
                else:
                    session = keeper = _launch_plainly(spec, place, mark, collar, printed)
            finally:
                os.close(printed)
        except BaseException as error:
            output.finish(keeping)
            if leash is not None:
                os.close(leash)
            if isinstance(error, _SandboxError):
                raise MachineCannot(f"the sandbox did not start: {sandbox.last_line(place / 'log')}") from None
            raise
    return Launched(session, keeper, leash, keeping)


def _launch_plainly(spec: DomainSpec, place: Path, mark: str, collar: int | None, printed: int) -> int:
    environ = _environment(str(place / "home"), str(place / "vchan"))
    # Without a sandbox the usual place of Qubes DB's sockets is the host's.
    environ |= {
        "XDG_RUNTIME_DIR": str(place / "run"),
        "QUBESDB_SOCKET_DIR": str(place / "run" / "qubes"),
        processes.MARK: mark,
    }
    return _spawn(_session(spec, collar), environ, printed, [] if collar is None else [collar])


def _launch_sandbox(spec: DomainSpec, place: Path, collar: int | None, printed: int) -> tuple[int, int]:
    environ = sandbox_environment()
    info, tell_info = os.pipe()
    # As standard input, because bubblewrap keeps that open until the sandbox has ended, and hardly anything else.
    ended, alive = os.pipe()
    status = os.open(place / "status", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    options = ["--info-fd", str(tell_info), "--json-status-fd", str(status)]
    try:
        try:
            with sandbox.identity(sandbox.host_ids(spec.domid)) as (who, namespace):
                keeper = _spawn(
                    ["bwrap", *who, *sandbox.arguments(spec, place, environ), *options, "--", *_session(spec, collar)],
                    {"PATH": os.environ.get("PATH", os.defpath)},
                    printed,
                    [tell_info, status, *namespace, *([] if collar is None else [collar])],
                    standard_input=alive,
                )
        finally:
            for fd in (tell_info, status, alive):
                os.close(fd)
        with open(info, "rb", closefd=False) as pipe:
            told = pipe.read()
        try:
            session = int(json.loads(told)["child-pid"])
        except ValueError:
            _give_up(keeper)
            raise _SandboxError from None
        if spec.network:
            try:
                sandbox.connect_network(session, ended, place / "network.log")
            except BaseException:
                _give_up(keeper, session)
                raise
    finally:
        os.close(info)
        os.close(ended)
    return session, keeper


def _give_up(keeper: int, session: int | None = None) -> None:
    """End what was started and reap it. Both pids are our unreaped child's or its child's, so they are no others'."""
    os.kill(keeper if session is None else session, signal.SIGKILL)
    os.waitpid(keeper, 0)


def sandbox_environment() -> dict[str, str]:
    """What every process of ours in a sandbox starts with."""
    return _environment(sandbox.HOME, sandbox.VCHAN_DIR) | {"XDG_RUNTIME_DIR": f"/run/user/{sandbox.USER_ID}"}


def _session(spec: DomainSpec, collar: int | None) -> list[str]:
    """The command line of the AppVM's first process."""
    width, height = spec.screen
    options = [] if collar is None else ["--leash", str(collar)]
    return [
        sys.executable, "-sP", "-m", "guiagent.session",
        "--domid", str(spec.domid), "--gui-domid", str(spec.gui_domid), "--screen", f"{width}x{height}",
        "--source", spec.source, *options,
        "--", *spec.command,
    ]  # fmt: skip


def _environment(home: str, vchan: str) -> dict[str, str]:
    environ = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
    return (
        {"LANG": "C.UTF-8"}
        | environ
        | {
            "HOME": home,
            "LOGNAME": "user",
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games",
            "PYTHONPATH": os.pathsep.join((str(sandbox.PROJECT), *sandbox.dependency_dirs())),
            "SHELL": sandbox.SHELL,
            "TERM": "xterm-256color",
            "USER": "user",
            "VCHAN_SOCKET_DIR": vchan,
        }
    )


def _spawn(
    argv: list[str],
    environ: Mapping[str, str],
    printed: int,
    fds: Sequence[int] = (),
    *,
    standard_input: int | None = None,
) -> int:
    """Start a process in a session of its own that prints to `printed` and inherits `fds`; return its pid.

    It starts with SIGTERM blocked: for the first process of a pid namespace, a signal without a handler is not merely
    deadly, it is lost. So it waits until the session has a handler and unblocks it.
    """
    actions: list[tuple[Any, ...]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
        if standard_input is None
        else (os.POSIX_SPAWN_DUP2, standard_input, 0),
        (os.POSIX_SPAWN_DUP2, printed, 1),
        (os.POSIX_SPAWN_DUP2, printed, 2),
        *((os.POSIX_SPAWN_DUP2, fd, fd) for fd in fds),  # onto itself: clears close-on-exec, in the child alone
    ]
    return os.posix_spawnp(
        argv[0],
        argv,
        environ,
        file_actions=actions,
        setsid=True,
        setsigmask=[signal.SIGTERM],
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
    )
