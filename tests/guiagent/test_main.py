"""The `guiagent` command on a real X server, with real programs, and daemons that come, go and misbehave."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backends.local import LocalBackend
from guiagent.core.tracker import MAX_UNACKNOWLEDGED
from guiproto.messages import (
    HEADER,
    Button,
    Close,
    Configure,
    Create,
    Crossing,
    Destroy,
    Focus,
    KeyPress,
    MessageType,
    ShmImage,
    WindowDump,
)
from tests.conformance.sources.guest import Program
from tests.guiagent.daemon import DEADLINE, RawDaemon
from tests.xserver import XServer, wait_until

DOMID = 7
SHIFT = 1


class Agent:
    """A guiagent process."""

    def __init__(self, directory: Path, display: str, *more: str, domid: int = DOMID) -> None:
        self.log = directory / f"agent-{time.monotonic_ns()}.log"
        environ = {**os.environ, "VCHAN_SOCKET_DIR": str(directory), "PYTHONPATH": str(Path(__file__).parents[2])}
        arguments = ["--domid", str(domid), "--gui-domid", "0", "--display", display, *more]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "guiagent.main", *arguments], env=environ, stdout=log, stderr=log
            )

    def said(self) -> str:
        return self.log.read_text()

    def wait(self) -> int:
        return self.process.wait(DEADLINE)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def sleeps_for(self, seconds: float) -> bool:
        """Whether it does nothing at all in that time: not a single switch to or from it."""
        before = self._switches()
        time.sleep(seconds)
        return self._switches() == before

    def _switches(self) -> list[str]:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return re.findall(r"ctxt_switches:\s*(\d+)", status)

    def memory(self) -> int:
        """Unshared KiB."""
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return sum(int(kib) for kib in re.findall(r"Private_\w+:\s*(\d+)", rollup))


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="agent") as name:
        yield Path(name)


@pytest.fixture
def server() -> Iterator[XServer]:
    with XServer(800, 600) as server:
        yield server


@pytest.fixture
def agent(directory: Path, server: XServer) -> Iterator[Agent]:
    agent = Agent(directory, server.display, "-v")
    yield agent
    agent.end()


@pytest.fixture
def connect(directory: Path, agent: Agent) -> Iterator[Callable[[], RawDaemon]]:
    made = []
    assert agent.process.poll() is None

    def connect() -> RawDaemon:
        made.append(RawDaemon(directory, DOMID))
        return made[-1]

    yield connect
    for daemon in made:
        daemon.close()


@pytest.fixture
def daemon(connect: Callable[[], RawDaemon]) -> RawDaemon:
    return connect()


@pytest.fixture
def program(server: XServer) -> Iterator[Program]:
    made = Program(server.display)
    yield made
    made.close()


# --- applications ---


def test_text_typed_on_the_desktop_reaches_the_shell(server: XServer, daemon: RawDaemon, directory: Path) -> None:
    typed = directory / "typed"
    server.start(
        "xterm", "-T", "shell", "-e", "sh", "-c", f'read line; echo "$line" > {typed}.new; mv {typed}.new {typed}'
    )
    window = daemon.wait_window("shell")
    daemon.say(Focus(window, 9, 0, 0))
    for character in "Hi There\n":
        keycode = {"H": 43, "i": 31, " ": 65, "T": 28, "h": 43, "e": 26, "r": 27, "\n": 36}[character]
        state = SHIFT if character.isupper() else 0
        daemon.say(KeyPress(window, 2, 0, 0, state, keycode), KeyPress(window, 3, 0, 0, state, keycode))
    daemon.until(typed.exists, "the shell to have read a line")
    assert typed.read_text() == "Hi There\n"
    daemon.until(lambda: daemon.of(Destroy, window), "the window to go with its shell")


def test_the_wheel_scrolls(server: XServer, daemon: RawDaemon) -> None:
    server.start("xterm", "-T", "scroller", "-sl", "500", "-e", "sh", "-c", "seq 400; sleep 600")
    window = daemon.wait_window("scroller")
    settled: list[bytes] = []

    def still() -> bool:
        settled.append(daemon.pixels(window).tobytes())
        return len(settled) > 5 and len(set(settled[-5:])) == 1

    daemon.until(still, "the output to end")
    daemon.say(Crossing(window, 7, 50, 50, 0, 0, 0, 0), *_click(window, 4), *_click(window, 4))
    daemon.until(lambda: daemon.pixels(window).tobytes() != settled[-1], "the terminal to scroll")


def test_a_menu_opens_at_its_place(server: XServer, daemon: RawDaemon) -> None:
    server.start("xterm", "-T", "with menu", "-geometry", "40x10+100+120", "-e", "sleep", "600")
    window = daemon.wait_window("with menu")
    x, y, _, _ = daemon.geometry(window)
    daemon.say(Crossing(window, 7, 30, 40, 0, 0, 0, 0), KeyPress(window, 2, 30, 40, 0, 37))
    daemon.say(_button(window, 4, 30, 40, 4, 1))

    def menus() -> list[int]:
        return [m.window for m in daemon.of(Create) if m.override_redirect and daemon.of(ShmImage, m.window)]

    daemon.until(menus, "a menu")
    menu_x, menu_y, width, height = daemon.geometry(menus()[0])
    assert abs(menu_x - (x + 30)) <= width
    assert abs(menu_y - (y + 40)) <= height
    daemon.say(_button(window, 5, 30, 40, 0x104, 1), KeyPress(window, 3, 30, 40, 4, 37))
    daemon.until(lambda: not daemon.shown(menus()[0]), "the menu to close")


def test_moves_and_sizes_from_the_desktop(server: XServer, daemon: RawDaemon, program: Program) -> None:
    server.start("xeyes", "-geometry", "150x100+10+10")
    window = daemon.wait_window("xeyes")
    daemon.say(Configure(window, 33, 44, 260, 180, 0))
    daemon.wait_geometry(window, (33, 44, 260, 180))
    daemon.until(lambda: daemon.of(WindowDump, window)[-1].width == 260, "a buffer of the new size")
    _wait_same(daemon, program, window)
    daemon.say(Close(window))
    daemon.until(lambda: daemon.of(Destroy, window), "xeyes to close")


def _wait_same(daemon: RawDaemon, program: Program, window: int) -> None:
    theirs = program.display.create_resource_object("window", window)

    def same() -> bool:
        ours, real = daemon.pixels(window), program.pixels(theirs)
        return ours.shape == real.shape and bool((ours == real).all())

    daemon.until(same, "the same pixels on both sides")


def _button(window: int, kind: int, x: int, y: int, state: int, button: int) -> Button:
    return Button(window, kind, x, y, state, button)


def _click(window: int, button: int) -> list[Button]:
    return [_button(window, kind, 50, 50, 0, button) for kind in (4, 5)]


# --- daemons that come and go ---


def test_the_next_daemon_hears_everything_again(
    server: XServer, connect: Callable[[], RawDaemon], agent: Agent, program: Program
) -> None:
    server.start("xterm", "-T", "kept", "-e", "sh", "-c", "echo kept; sleep 600")
    first = connect()
    window = first.wait_window("kept")
    first.close()
    for _ in range(3):
        daemon = connect()
        assert daemon.wait_window("kept") == window
        _wait_same(daemon, program, window)
        # Gone in the middle of a message.
        daemon.write(HEADER.pack(MessageType.KEYPRESS, window, 20) + bytes(7))
        daemon.close()
    assert agent.process.poll() is None


@pytest.mark.usefixtures("agent")
def test_a_daemon_that_does_not_acknowledge_costs_few_buffers(directory: Path, program: Program) -> None:
    with contextlib.closing(RawDaemon(directory, DOMID, acknowledge=False)) as daemon:
        window = program.window(0, 0, 100, 100, background_pixel=5)
        window.map()
        program.sync()
        daemon.until(lambda: daemon.of(WindowDump), "a buffer")
        for width in range(101, 120):
            window.configure(width=width)
            program.sync()
            daemon.wait_geometry(window.id, (0, 0, width, 100))
        assert len(daemon.of(WindowDump)) <= MAX_UNACKNOWLEDGED + 1


def test_a_daemon_that_misbehaves_is_cut_off_and_another_one_served(
    server: XServer, agent: Agent, connect: Callable[[], RawDaemon]
) -> None:
    for pause in ("0.5", "1.0"):
        daemon = connect()
        daemon.write(HEADER.pack(MessageType.CONFIGURE, 1, 3))
        daemon.until(daemon.gone, "the agent to hang up")
        assert f"misbehaved: message length: type 134 has 3 bytes, not 20; listening again in {pause} s" in agent.said()
    server.start("xterm", "-T", "after all")
    connect().wait_window("after all")


def test_what_no_daemon_of_ours_would_say_is_skipped(server: XServer, daemon: RawDaemon) -> None:
    daemon.write(HEADER.pack(77, 1, 12) + b"whatever it.")
    server.start("xterm", "-T", "goes on")
    daemon.wait_window("goes on")


def test_a_daemon_of_another_major_version_is_cut_off(directory: Path, agent: Agent) -> None:
    with contextlib.closing(LocalBackend(directory).client(0, DOMID, 6000)) as vchan:
        wait_until(lambda: vchan.update() and vchan.read(4), "the agent's version")
        vchan.write(b"\0\0\x02\0" + bytes(16))
        wait_until(lambda: "protocol version" in agent.said(), "the agent to complain")


def test_a_killed_agent_is_replaced(
    server: XServer, agent: Agent, connect: Callable[[], RawDaemon], directory: Path, program: Program
) -> None:
    server.start("xterm", "-T", "survivor", "-e", "sh", "-c", "echo survivor; sleep 600")
    connect().wait_window("survivor")
    for _ in range(3):
        agent.end()
        agent = Agent(directory, server.display)
        try:
            daemon = connect()
            _wait_same(daemon, program, daemon.wait_window("survivor"))
        finally:
            agent.end()


def test_a_daemon_that_never_reads_costs_neither_memory_nor_time(
    agent: Agent, daemon: RawDaemon, program: Program
) -> None:
    window = program.window(0, 0, 400, 400, background_pixel=0)
    window.map()
    program.sync()
    daemon.until(lambda: daemon.of(ShmImage, window.id), "a first frame")

    def draw(rounds: int) -> None:
        for number in range(rounds):
            for place in range(0, 400, 40):
                program.fill(window, number * 99 & 0xFFFFFF, place, place, 10, 10)
            window.set_wm_name(f"title {number}")
            window.configure(x=number % 50)
            program.sync()

    # Nobody reads from here on. The vchan fills up, and then the agent has nothing to do but note titles.
    draw(3000)
    before = agent.memory()
    draw(1500)
    assert agent.memory() - before < 2048
    wait_until(lambda: agent.sleeps_for(0.3), "the agent to rest")
    _wait_same(daemon, program, window.id)
    program.fill(window, 0x123456, 0, 0, 400, 400)
    program.sync()
    daemon.until(lambda: (daemon.pixels(window.id) == 0x123456).all(), "the agent to go on")


def test_an_idle_agent_sleeps(agent: Agent, server: XServer, connect: Callable[[], RawDaemon]) -> None:
    wait_until(lambda: agent.sleeps_for(1.0), "an agent that waits for a daemon to sleep")
    server.start("xterm", "-T", "idle", "+bc", "-e", "sleep", "600")
    connect().wait_window("idle")
    wait_until(lambda: agent.sleeps_for(1.0), "an agent with a window to sleep")


# --- ends ---


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop(agent: Agent, connect: Callable[[], RawDaemon], directory: Path, how: signal.Signals) -> None:
    connect()
    agent.process.send_signal(how)
    assert agent.wait() == 0
    assert not list(directory.glob("*.sock"))
    assert "Traceback" not in agent.said()


def test_the_end_of_the_x_server_is_told_in_one_line(agent: Agent, daemon: RawDaemon, server: XServer) -> None:
    server.kill()
    assert agent.wait() == 1
    assert agent.said().splitlines()[-1].startswith("guiagent: the X server is gone")
    assert "Traceback" not in agent.said()
    daemon.until(daemon.gone, "the agent to hang up")


def _refusal(directory: Path, *arguments: str, **environ: str) -> tuple[int, str]:
    clean = {key: value for key, value in os.environ.items() if key != "DISPLAY"}
    done = subprocess.run(
        [sys.executable, "-m", "guiagent.main", *arguments],
        env={**clean, "VCHAN_SOCKET_DIR": str(directory), "PYTHONPATH": str(Path(__file__).parents[2]), **environ},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr + done.stdout


IDS = ("--domid", "7", "--gui-domid", "0")


def test_help(directory: Path) -> None:
    status, text = _refusal(directory, "--help")
    assert status == 0
    for word in ("--domid", "--gui-domid", "--display", "--backend", "--source", "examples:", "DISPLAY"):
        assert word in text


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ((), 2, "--domid"),
        (("--domid", "x", "--gui-domid", "0"), 2, "'x' is no domain id"),
        (("--domid", "65536", "--gui-domid", "0"), 2, "0 to 65535"),
        ((*IDS, "--source", "beos"), 2, "x11"),
        (IDS, 1, "DISPLAY is not set"),
        ((*IDS, "--display", ":54321"), 1, "is the X server running?"),
        ((*IDS, "--display", ":54321", "--backend", "vax"), 1, "there is no backend 'vax'"),
    ],
)
def test_refusals(directory: Path, arguments: tuple[str, ...], status: int, text: str) -> None:
    found, said = _refusal(directory, *arguments)
    assert found == status
    assert text in said


def test_a_second_agent_for_the_same_domains(directory: Path, agent: Agent, connect: Callable[[], RawDaemon]) -> None:
    connect()
    with XServer(64, 64) as other:
        status, text = _refusal(directory, *IDS, "--display", other.display)
    assert status == 1
    assert "domain 7" in text
    assert agent.process.poll() is None


def test_a_second_agent_on_the_same_display(directory: Path, server: XServer, connect: Callable[[], RawDaemon]) -> None:
    connect()
    status, text = _refusal(directory, "--domid", "8", "--gui-domid", "0", "--display", server.display)
    assert status == 1
    assert "other guiagent" in text
