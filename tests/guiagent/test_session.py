"""An AppVM's first process on a real display server: what it keeps alive, and when and how it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from guiagent.processes import below
from tests.xserver import wait_until

# The session with an agent of a few lines: it says who it is, in one line of a file, and waits for its end.
_PROGRAM: Final = """
import os, signal, sys
from pathlib import Path
from guiagent.processes import adopt_orphans
from guiagent.session import Session

def agent(arguments):
    with open("agents", "a") as file:
        print(os.getpid(), *arguments, file=file)
    os.close(int(arguments[arguments.index("--ready") + 1]))
    signal.pause()

adopt_orphans()
options = {"authority": Path("auth"), "delays": (0.0,) * 9}
sys.exit(Session(sys.argv[1:], (320, 200), lambda: agent, ("--domid", "7"), **options).run())
"""


# The first two children are told to end while they are still copies of the session.
_HASTY: Final = """
import os, signal
fork, forks = os.fork, []

def fork_and_kill():
    forks.append(None)
    pid = fork()
    if pid == 0 and len(forks) <= 2:
        os.kill(os.getpid(), signal.SIGTERM)
    return pid

os.fork = fork_and_kill
"""


# It takes the agent a while to set itself up.
_SLOW: Final = """
import os, time
close = os.close

def slow(fd):
    if os.path.exists("agents"):  # it is the agent who says that it is ready
        time.sleep(0.3)
        open("there", "w")
        os.close = close
    close(fd)

os.close = slow
"""


class Running:
    """A session in a directory of its own."""

    def __init__(self, home: Path, command: tuple[str, ...], path: str | None = None, first: str = "") -> None:
        self.home = home
        self.log = home / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", first + _PROGRAM, *command],
                env={
                    "PATH": path or os.environ["PATH"],
                    "PYTHONPATH": os.pathsep.join((str(Path(__file__).resolve().parents[2]), *sys.path)),
                    "HOME": str(home),
                    "VCHAN_SOCKET_DIR": "/nonexistent",
                },
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait(self) -> int:
        return self.process.wait(30)

    def lines(self, name: str) -> list[str]:
        path = self.home / name
        return path.read_text().splitlines() if path.exists() else []

    def wait_for_lines(self, name: str, count: int) -> list[str]:
        wait_until(lambda: len(self.lines(name)) >= count, f"{count} lines in {name}; log: {self.lines('log')}")
        return self.lines(name)

    def pid_of(self, name: str) -> int:
        return next(pid for pid, found in below(self.process.pid).items() if found == name)

    def agents(self) -> list[int]:
        return [int(line.split()[0]) for line in self.lines("agents")]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Where the session runs; nothing may be left of it."""
    yield tmp_path
    mine = f"HOME={tmp_path}".encode()
    left = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mine in (entry / "environ").read_bytes().split(b"\0"):
                left.append((entry / "cmdline").read_bytes())
                os.kill(int(entry.name), signal.SIGKILL)
        except OSError:
            continue
    assert not left


def test_ends_with_the_commands_status(home: Path) -> None:
    session = Running(home, ("sh", "-c", "exit 7"))
    assert session.wait() == 7
    assert len(session.agents()) <= 1


def test_the_command_finds_what_the_agent_is_to_programs(home: Path) -> None:
    session = Running(home, ("sh", "-c", "test -e there"), first=_SLOW)
    assert session.wait() == 0, session.lines("log")


def test_a_signal_is_a_status_as_in_a_shell(home: Path) -> None:
    assert Running(home, ("sh", "-c", "kill -9 $$")).wait() == 137


def test_command_reaches_the_display_and_sees_no_variable_of_ours(home: Path) -> None:
    session = Running(home, ("sh", "-c", "env >seen; xdpyinfo >info"))
    assert session.wait() == 0, session.lines("log")
    assert any("320x200 pixels" in line for line in session.lines("info"))
    names = {line.partition("=")[0] for line in session.lines("seen")}
    assert "DISPLAY" in names
    assert not names & {"VCHAN_SOCKET_DIR", "PYTHONPATH", "OPENBLAS_NUM_THREADS"}


def test_the_screen_can_become_twice_as_large_and_costs_what_is_drawn_on_it(home: Path) -> None:
    session = Running(home, ("sh", "-c", "xrandr >sizes; sleep 1000"))
    assert any("current 320 x 200, maximum 640 x 400" in line for line in session.wait_for_lines("sizes", 2))
    server = session.pid_of("Xvfb")

    def kib() -> int:
        return int(Path(f"/proc/{server}/status").read_text().partition("RssShmem:")[2].split()[0])

    wait_until(lambda: kib() < 640 * 400 * 4 // 1024 // 2, f"less memory than {kib()} KiB")
    (line,) = [line for line in Path(f"/proc/{server}/maps").read_text().splitlines() if "/Xvfb_screen0" in line]
    there = Path(line.split(maxsplit=5)[5].removesuffix(" (deleted)"))
    assert there.stat().st_size == 0, "what is used has no name, so it cannot stay behind"
    os.kill(server, signal.SIGKILL)
    wait_until(lambda: not there.parent.exists(), "what it leaves to go")
    session.process.terminate()
    session.wait()


def test_nobody_connects_without_the_cookie(home: Path) -> None:
    session = Running(home, ("sh", "-c", "XAUTHORITY=/dev/null xdpyinfo >info 2>&1; echo $? >status"))
    assert session.wait() == 0
    assert session.lines("status") == ["1"]


def test_missing_command_is_named_in_the_last_line(home: Path) -> None:
    session = Running(home, ("no-such-program",))
    assert session.wait() == 127
    assert session.lines("log")[-1] == "no-such-program: command not found"


def test_lives_as_long_as_an_application_that_the_command_left(home: Path) -> None:
    os.mkfifo(home / "gate")
    session = Running(home, ("sh", "-c", "(setsid sh -c 'echo in >up; read x <gate; echo out >down' &); exit 3"))
    session.wait_for_lines("up", 1)
    with pytest.raises(subprocess.TimeoutExpired):
        session.process.wait(0.3)
    (home / "gate").write_text("go\n")
    assert session.wait() == 3
    assert session.lines("down") == ["out"]


def test_does_not_wait_for_what_toolkits_leave_behind(home: Path) -> None:
    (home / "dbus-daemon").symlink_to("/bin/sleep")
    named = 'until [ "$(cat /proc/$!/comm)" = dbus-daemon ]; do :; done'
    assert Running(home, ("sh", "-c", f"./dbus-daemon 1000 & {named}; exit 5")).wait() == 5


def test_a_child_that_is_told_to_end_early_does_not_pass_it_on(home: Path) -> None:
    session = Running(home, ("sh", "-c", "echo >up; sleep 1000"), first=_HASTY)
    session.wait_for_lines("up", 1)
    session.wait_for_lines("agents", 1)
    assert session.process.poll() is None
    session.process.terminate()
    session.wait()
    assert any("the agent ended with status 143" in line for line in session.lines("log"))


def test_told_to_end_it_ends_everything(home: Path) -> None:
    session = Running(home, ("sh", "-c", "trap 'echo asked >asked; exit 0' TERM; echo >up; while :; do sleep 1; done"))
    session.wait_for_lines("up", 1)
    session.process.send_signal(signal.SIGTERM)
    assert session.wait() == 0
    assert session.lines("asked") == ["asked"]


def test_what_ignores_being_asked_is_killed(home: Path) -> None:
    session = Running(
        home, ("sh", "-c", "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo >up; while :; do sleep 1; done'")
    )
    session.wait_for_lines("up", 1)
    session.process.send_signal(signal.SIGTERM)
    assert session.wait() == 137


def test_agent_comes_back_and_nobody_notices(home: Path) -> None:
    session = Running(home, ("sh", "-c", "echo $$ >>commands; read x <&-; exec sleep 1000"))
    session.wait_for_lines("commands", 1)
    for round_ in range(3):
        session.wait_for_lines("agents", round_ + 1)
        os.kill(session.agents()[-1], signal.SIGKILL)
    arguments = session.wait_for_lines("agents", 4)[3].split()[1:]
    assert arguments[:3] == ["--domid", "7", "--display"]
    assert len(session.lines("commands")) == 1
    session.process.terminate()
    assert session.wait() == 143


def test_display_server_comes_back_with_agent_and_command(home: Path) -> None:
    session = Running(home, ("sh", "-c", "xdpyinfo >info.$$; echo $$ >>commands; exec sleep 1000"))
    for round_ in range(2):
        session.wait_for_lines("commands", round_ + 1)
        session.wait_for_lines("agents", round_ + 1)
        os.kill(session.pid_of("Xvfb"), signal.SIGKILL)
    last = session.wait_for_lines("commands", 3)[-1]
    assert any("320x200 pixels" in line for line in session.lines(f"info.{last}"))
    wait_until(lambda: sorted(below(session.process.pid).values()) == ["Xvfb", "guiagent", "sleep"])
    session.process.terminate()
    assert session.wait() == 143


def test_client_that_notices_first_does_not_end_the_session(home: Path) -> None:
    """It ends because the server dies, maybe before we know that; its end is then not what was waited for."""
    session = Running(home, ("sh", "-c", "echo $$ >>commands; exec xclock"))
    for round_ in range(4):
        session.wait_for_lines("commands", round_ + 1)
        wait_until(lambda: "xclock" in below(session.process.pid).values())
        os.kill(session.pid_of("Xvfb"), signal.SIGKILL)
    session.wait_for_lines("commands", 5)
    session.process.terminate()
    session.wait()


def test_gives_up_on_a_display_server_that_never_lives(home: Path) -> None:
    (home / "bin").mkdir()
    broken = home / "bin" / "Xvfb"
    broken.write_text("#!/bin/sh\necho start >>starts\nexit 1\n")
    broken.chmod(0o755)
    session = Running(home, ("true",), path=f"{home}/bin:{os.environ['PATH']}")
    assert session.wait() == 1
    assert len(session.lines("starts")) == 10
    assert session.lines("log")[-1] == "the display server died 10 times in a row, soon after each start"


def test_gives_up_on_an_agent_that_never_lives(home: Path) -> None:
    session = Running(home, ("sleep", "1000"))
    for round_ in range(10):
        session.wait_for_lines("agents", round_ + 1)
        os.kill(session.agents()[-1], signal.SIGKILL)
    assert session.wait() == 1
    assert session.lines("log")[-1] == "the GUI agent died 10 times in a row, soon after each start"


def test_sleeps_while_nothing_happens(home: Path) -> None:
    session = Running(home, ("sh", "-c", "echo >up; exec sleep 1000"))
    session.wait_for_lines("up", 1)
    session.wait_for_lines("agents", 1)
    status = Path(f"/proc/{session.process.pid}/status")
    wait_until(lambda: "State:\tS" in status.read_text())

    def switches() -> int:
        return sum(int(line.split()[1]) for line in status.read_text().splitlines() if "ctxt_switches" in line)

    before = switches()
    with pytest.raises(subprocess.TimeoutExpired):
        session.process.wait(1.0)
    assert switches() - before <= 1  # the last step into sleep may come after the first look
    session.process.terminate()
    session.wait()
