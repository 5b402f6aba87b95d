"""The first process of an AppVM: keeps its display server and agent alive, and ends when its command has ended.

To be exact: when no other application is left either, with the command's exit status, or when told to (SIGTERM, SIGINT,
SIGHUP). When the agent dies, nothing else notices. When the display server dies, all applications lose their
connection, so everything is started anew. What dies too often too fast ends the AppVM, with the reason as the last line
of the log.

As process 1 of a pid namespace it reaps what others leave behind; elsewhere it makes itself the reaper of its
descendants. It sleeps until something happens: signals arrive through a pipe, processes that are not its children
through pidfds.
"""

import argparse
import contextlib
import logging
import os
import re
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: its threads do not survive a fork

from backends.base import VARIABLES
from guiagent.database import DatabasePart, Run
from guiagent.display_server import display_server
from guiagent.forking import ENDING, fork
from guiagent.kept import RESTART_DELAYS, Part
from guiagent.orders import Orders, Pipe
from guiagent.processes import Watch, adopt_orphans, below, send, set_name, signal_pipe
from guiproto.errors import MachineCannot
from qubesdb.sockets import vm_dir

_GRACE_SECONDS: Final = 2.0
"""Between SIGTERM and SIGKILL."""
_AGENT_SECONDS: Final = 5.0
"""How long a command waits for the agent: windows of one that comes without it are shown late, or not well."""
_SERVER_STAGE: Final = 2
_LAST_STAGE: Final = 3
_OWN_VARIABLES: Final = ("GUIAGENT_LOG", "OPENBLAS_NUM_THREADS", "PYTHONPATH")
"""What is no application's business, nor is what a backend is told, `backends.base.VARIABLES`."""
_HELPERS: Final = ("at-spi", "dbus-", "dconf-", "gconfd", "gvfs")
"""Names of what toolkits start on their own and leave running: not what anybody waits for."""

Agent = Callable[[Sequence[str]], int]

log = logging.getLogger("session")


@dataclass(slots=True)
class _Clearing:
    """Processes are being ended, in this order: 0, the applications; 1, the agent; 2, the display server; 3, Qubes DB.

    After the second, everything may be started anew; Qubes DB has gone on then.
    """

    stage: int
    deadline: float
    forced: bool = False


class Session:
    """One AppVM's life. `load_agent` is called once, while the display server starts, and returns the agent.

    The agent is called in a forked child with its command line; what it returns is its exit status.
    """

    def __init__(
        self,
        command: list[str],
        screen: tuple[int, int],
        load_agent: Callable[[], Agent],
        agent_arguments: Sequence[str] = (),
        *,
        environ: Mapping[str, str] = os.environ,
        authority: Path | None = None,
        leash: int | None = None,
        orders: Path | None = None,
        pipe: Path | None = None,
        run_database: Run | None = None,
        delays: Sequence[float] = RESTART_DELAYS,
        source: str = "x11",
        drawing_place: Path | None = None,
    ) -> None:
        """`authority`: the file that shall hold the display's cookie, where others than the AppVM could connect.

        `leash`: a pipe's end for reading; when nobody holds its other end any more, that counts as SIGTERM.
        `orders`, `pipe`: where commands come from, see `Orders` and `Pipe`. Without a `command` of its own the AppVM
        then has no end. `run_database`: the Qubes DB daemon, called in a child of its own. `source`: where the agent
        is to have windows from, which decides about the display server. `drawing_place`: the directory of the files
        that it has windows drawn into, where memfds do not do.
        """
        self._command = command
        self._load_agent = load_agent
        self._run_agent: Agent | None = None
        self._agent_arguments = agent_arguments
        self._delays = delays
        self._leash = leash
        self._orders_path = orders
        self._orders: Orders | None = None
        self._pipe = None if pipe is None else Pipe(pipe)
        self._environ = {
            key: value for key, value in environ.items() if key not in _OWN_VARIABLES and not key.startswith(VARIABLES)
        }
        if authority is not None:
            self._environ["XAUTHORITY"] = str(authority)
        self._agent = Part("the GUI agent", delays)
        self._ready: int | None = None
        """Where the agent says that it is ready, if it has not yet."""
        self._command_pid = 0
        self._status: int | None = None
        """The command's exit status, once it has ended."""
        self._clearing: _Clearing | None = None
        self._told_to_end = False
        self._failure = ""
        self._poll = select.poll()
        self._server = display_server(source)(screen, self._environ, authority, self._poll, delays, drawing_place)
        self._watch = Watch(self._poll)
        self._database = (
            None if run_database is None else DatabasePart(run_database, _fork_database, self._poll, delays)
        )

    def run(self) -> int:
        """Live; return the command's exit status, 1 if the AppVM could not go on."""
        with signal_pipe((*ENDING, signal.SIGCHLD)) as signals:
            # Blocked when an AppVM is started, so that none is lost before there is a handler.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
            self._poll.register(signals, select.POLLIN)
            if self._leash is not None:
                self._poll.register(self._leash, 0)  # POLLHUP is always reported
            while True:
                self._start_what_is_due()
                ready = {fd for fd, _ in self._poll.poll(self._sleep_ms())}
                if self._leash in ready:
                    self._poll.unregister(self._leash)
                    self._leash = None
                    self._told_to_end = True
                with contextlib.suppress(BlockingIOError):
                    if ENDING.intersection(os.read(signals, 4096)):
                        self._told_to_end = True
                if self._database is not None:
                    self._database.spoke(ready)
                self._server.read(ready)
                if self._ready in ready:
                    self._forget_readiness()
                if self._orders is not None and self._orders.fileno() in ready:
                    self._orders.serve(self._spawn)
                if self._pipe is not None and self._pipe.fileno() in ready:
                    self._pipe.serve(self._environ)
                self._reap()
                if self._settle():
                    break
        if self._failure:
            log.error("%s", self._failure)
        return 128 + signal.SIGTERM if self._status is None else self._status

    # --- starting ---

    def _start_what_is_due(self) -> None:
        if self._clearing is not None:
            return
        if self._database is not None:
            self._database.start_if_due()
        if self._server.is_ours and self._run_agent is None:
            self._run_agent = self._load_agent()  # what it imports is what those who keep that server need
        if self._server.due() and (self._database is None or self._database.awaited() is None):
            self._start_server()
        if self._run_agent is None:
            self._run_agent = self._load_agent()
            log.debug("agent loaded %.0f ms after the display server's start", self._server.age * 1000)
        if self._server.display and self._agent.due():
            self._start_agent()
        awaited = self._agent_awaited()
        if awaited is not None and awaited <= time.monotonic():
            self._forget_readiness()
            awaited = None
        if self._server.display and not self._command_pid and self._command and awaited is None:
            self._start_command()
        if self._server.display and self._orders is None and self._orders_path is not None:
            self._orders = Orders(self._orders_path)
            self._poll.register(self._orders, select.POLLIN)
            if self._pipe is not None:
                self._poll.register(self._pipe, select.POLLIN)
        self._server.save_memory()

    def _start_server(self) -> None:
        try:
            self._server.start(configured=self._database is not None)
        except OSError as error:
            self._fail(f"{self._server.program} cannot be started: {error.strerror}")

    def _start_agent(self) -> None:
        self._forget_readiness()
        self._ready, tell = os.pipe()
        self._agent.started(fork("guiagent", lambda: self._be_agent(tell), tell))
        os.close(tell)
        self._poll.register(self._ready, select.POLLIN)

    def _be_agent(self, tell: int) -> int:
        self._server.enter()
        assert self._run_agent is not None
        return self._run_agent([*self._agent_arguments, "--display", self._server.display, "--ready", str(tell)])

    def _agent_awaited(self) -> float | None:
        """Until when the command waits for the agent, its window manager and notification area; None: not at all."""
        return self._agent.started_at + _AGENT_SECONDS if self._ready is not None and self._agent.pid else None

    def _forget_readiness(self) -> None:
        if self._ready is not None:
            self._poll.unregister(self._ready)
            os.close(self._ready)
            self._ready = None

    def _start_command(self) -> None:
        program = self._command[0]
        try:
            self._command_pid = self._spawn(self._command)
        except FileNotFoundError:
            self._fail(f"{program}: command not found", 127)
        except OSError as error:
            self._fail(f"{program}: {error.strerror}", 126)

    def _spawn(self, command: list[str]) -> int:
        return os.posix_spawnp(
            command[0], command, self._environ,
            setsid=True, setsigmask=[], setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )  # fmt: skip

    # --- ending ---

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG):
                status = ended.si_status if ended.si_code == os.CLD_EXITED else 128 + ended.si_status
                if ended.si_pid == self._server.pid:
                    self._server_died(status)
                elif ended.si_pid == self._server.fit_pid:
                    self._server.is_fit()
                elif ended.si_pid == self._agent.pid:
                    self._agent_died(status)
                elif self._database is not None and ended.si_pid == self._database.pid:
                    self._database.died()
                elif ended.si_pid == self._command_pid and not self._failure:
                    self._status = status
                elif self._pipe is not None:
                    self._pipe.ended(ended.si_pid, self._environ)

    def _server_died(self, status: int) -> None:
        self._server.gone()
        ending = self._told_to_end or self._failure
        # Its clients may have noticed and ended before us. Then we began to end because no application was left, and
        # asked it to end too; but that makes it end with status 0.
        if ending or (self._clearing is not None and (self._clearing.forced or status == 0)):
            self._server.pid = 0
            return
        try:
            self._server.died()
        except MachineCannot as error:
            self._fail(str(error))
            return
        log.warning("the display server died with status %d; starting everything anew", status)
        self._clear(_SERVER_STAGE)

    def _agent_died(self, status: int) -> None:
        if self._clearing is not None:
            self._agent.pid = 0
            return
        log.warning("the agent ended with status %d; starting it again", status)
        try:
            self._agent.died()
        except MachineCannot as error:
            self._fail(str(error))

    def _fail(self, reason: str, status: int = 1) -> None:
        self._failure, self._status = reason, status

    def _clear(self, stage: int) -> None:
        self._clearing = _Clearing(stage, time.monotonic() + _GRACE_SECONDS)
        send(self._below(stage), signal.SIGTERM)

    def _below(self, stage: int) -> dict[int, str]:
        """Everything that has to be gone when that stage of clearing is done."""
        database = 0 if self._database is None else self._database.pid
        return below(os.getpid(), (self._agent.pid, self._server.pid, database)[stage:])

    def _settle(self) -> bool:
        """Whether all is over. Go on with clearing, or begin it, as far as that is possible without waiting."""
        while True:
            if self._clearing is None:
                if self._told_to_end or self._failure:
                    self._clear(0)
                elif self._status is None:
                    return False
                else:
                    left = {pid for pid, name in self._below(0).items() if not name.startswith(_HELPERS)}
                    if not left:
                        self._clear(1)
                    elif self._watch.only(left):
                        return False
                continue
            remaining = self._below(self._clearing.stage)
            if remaining and time.monotonic() >= self._clearing.deadline:
                self._clearing.forced = True
                send(remaining, signal.SIGKILL)
            if remaining:
                if self._watch.only(remaining):
                    return False
            elif self._clearing.stage < _SERVER_STAGE:
                self._clear(self._clearing.stage + 1)
            else:
                self._watch.only(())
                self._reap()
                if self._server.pid:
                    return False  # its last threads are ending, and free its memory: how it died is not known before
                if self._is_over():
                    if self._clearing.stage == _LAST_STAGE:
                        return True
                    self._clear(_LAST_STAGE)
                    continue
                self._clearing = None
                self._agent = Part(self._agent.name, self._delays)
                self._command_pid, self._status = 0, None
                return False

    def _is_over(self) -> bool:
        """Whether what is being ended is not to be started anew."""
        return bool(self._told_to_end or self._failure or self._server.start_at is None)

    def _sleep_ms(self) -> float | None:
        """How long nothing is to be done unless something happens; None means for ever."""
        moments: list[float | None] = []
        if self._clearing is None:
            awaited = None
            if self._database is not None:
                awaited = self._database.awaited()
                moments.append(self._database.start_at())
            server = self._server.start_at
            moments += [
                server if server is None or awaited is None else max(server, awaited),
                self._agent.start_at if self._server.display else None,
            ]
        elif not self._clearing.forced:
            moments.append(self._clearing.deadline)
        now = time.monotonic()
        moments += [self._server.deadline(), self._agent_awaited() if self._clearing is None else None]
        known = [moment for moment in moments if moment is not None]
        return max(0.0, min(known) - now) * 1000 if known else None


def _fork_database(be: Callable[[], int], keep: int) -> int:
    return fork("qubesdb-daemon", be, keep)


def _load_agent(backend: str, source: str) -> Agent:
    from backends import registry as backends
    from guiagent import main
    from guiagent.sources import registry as sources

    # Imported by name, when the agent asks for them: now, so that its children find them here.
    backends.load(backend, os.environ)
    sources.load(source)
    return main.main


def _choose(wished: str, backend: str) -> tuple[str, Path | None]:
    from backends import registry as backends
    from guiagent import choice

    loaded = backends.load(backend, os.environ)
    source, why = choice.for_session(wished, loaded)
    log.debug("windows come from %s: %s", source, why)
    return source, loaded.drawing_place


def _run_database(backend: str, domid: int, ready: Callable[[], None]) -> None:
    from backends import registry as backends
    from qubesdb.daemon import vm_daemon

    daemon = vm_daemon(backends.load(backend, os.environ), domid, vm_dir())
    daemon.on_ready = ready
    never, _ = os.pipe()
    daemon.run(never)


def _screen(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no screen size; write WIDTHxHEIGHT")
    return int(match[1]), int(match[2])


def main(argv: Sequence[str] | None = None) -> int:
    """Run an AppVM's session; the local backend starts it. Returns the command's exit status."""
    parser = argparse.ArgumentParser(prog="guiagent.session", description=__doc__)
    parser.add_argument("--domid", required=True)
    parser.add_argument("--gui-domid", required=True)
    parser.add_argument("--screen", type=_screen, required=True, metavar="WxH")
    parser.add_argument("--leash", type=int, metavar="FD", help="end when nobody holds the other end of this pipe")
    parser.add_argument("--backend", default="local")
    parser.add_argument("--source", default="auto", help="where windows come from, see guiagent --help")
    parser.add_argument("--orders", type=Path, metavar="PATH", help="take commands from this port, and go on for ever")
    parser.add_argument("--pipe", type=Path, metavar="PATH", help="the same, with their input and output")
    parser.add_argument("command", nargs="*", metavar="COMMAND")
    args = parser.parse_args(argv)
    if not args.command and args.orders is None:
        parser.error("no command")
    debug = os.environ.get("GUIAGENT_LOG", "").lower() == "debug"
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if debug else logging.INFO,
        format="%(asctime)s.%(msecs)03d %(message)s" if debug else "%(message)s",
        datefmt="%H:%M:%S",
    )
    # What bubblewrap was given and let through, its standard input included, is no application's.
    leash = args.leash if args.leash is not None else 3
    os.closerange(3, leash)
    os.closerange(leash + (args.leash is not None), os.sysconf("SC_OPEN_MAX"))
    set_name("appvm-session")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    home = Path(os.environ["HOME"])
    os.chdir(home)
    authority = None
    if os.getpid() != 1:
        authority = home / ".Xauthority"
        adopt_orphans()
    try:
        source, drawing_place = _choose(args.source, args.backend)
    except MachineCannot as error:
        log.error("%s", error)
        return 1
    session = Session(
        args.command,
        args.screen,
        lambda: _load_agent(args.backend, source),
        ("--domid", args.domid, "--gui-domid", args.gui_domid, "--backend", args.backend, "--source", source),
        authority=authority,
        leash=args.leash,
        orders=args.orders,
        pipe=args.pipe,
        run_database=lambda ready: _run_database(args.backend, int(args.domid), ready),
        source=source,
        drawing_place=drawing_place,
    )
    return session.run()


if __name__ == "__main__":
    sys.exit(main())
