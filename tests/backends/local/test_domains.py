"""AppVMs as their driver and they themselves see them: what they can reach, how they end, what is left."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from backends.base import Domain, DomainSpec, DomainState
from backends.local.domains import LocalDomains
from backends.local.output import MOST_BYTES
from guiproto.errors import MachineCannot
from tests.xserver import wait_until

_SECONDS: Final = 30.0
_PROJECT: Final = Path(__file__).resolve().parents[3]


@pytest.fixture
def state() -> Iterator[Path]:
    """A state directory with a short path; no process may have anything of it open afterwards."""
    with tempfile.TemporaryDirectory(prefix="vms-") as name:
        yield Path(name)
        with closing(LocalDomains(Path(name))) as driver:
            for domain in driver.list():
                driver.stop(domain.name, 0.1)
        wait_until(lambda: not _users_of(name), f"the end of {_users_of(name)}")
        assert not list(Path(name).glob("*"))


def _users_of(directory: str) -> list[str]:
    """Processes that have a file open below `directory`, by /proc; the dead ones have none."""
    found = []
    for fds in Path("/proc").glob("[0-9]*/fd"):
        try:
            if any(os.readlink(fd).startswith(directory) for fd in fds.iterdir()):
                found.append(f"{fds.parent.name} {(fds.parent / 'cmdline').read_bytes()!r}")
        except OSError:
            continue
    return found


@pytest.fixture
def driver(state: Path) -> Iterator[LocalDomains]:
    """A driver whose AppVMs are stopped afterwards."""
    driver = LocalDomains(state)
    yield driver
    for domain in driver.list():
        driver.stop(domain.name, 0.1)
    driver.close()


def spec(
    script: str,
    name: str = "work",
    domid: int = 1,
    *,
    network: bool = False,
    sandbox: bool = True,
    outlive_parent: bool = False,
) -> DomainSpec:
    return DomainSpec(name, domid, 0, ("sh", "-c", script), (320, 200), network, sandbox, outlive_parent)


def next_event(driver: LocalDomains) -> Domain:
    """The next change, waited for through the descriptor that the contract promises."""
    poll = select.poll()
    poll.register(driver.fileno(), select.POLLIN)
    assert poll.poll(_SECONDS * 1000), "no event"
    (event,) = driver.events()
    assert not poll.poll(0)
    return event


class Inside:
    """An AppVM that runs a script and then stays until its home is read."""

    def __init__(
        self, driver: LocalDomains, state: Path, script: str, *, sandbox: bool = True, network: bool = False
    ) -> None:
        self.home = state / "work" / "home"
        whole = f"({script}) >out 2>&1; mv out done; exec sleep 1000"
        self.domain = driver.start(spec(whole, sandbox=sandbox, network=network))
        log = state / "work" / "log"
        wait_until(lambda: (self.home / "done").exists(), f"the script; log: {log.read_text()}", _SECONDS)
        self.output = (self.home / "done").read_text()


def keeper_of(state: Path) -> int:
    """Our child: the process of the AppVM that ends last."""
    return int(json.loads((state / "work" / "vm.json").read_text())["keeper"]["pid"])


# --- life ---


@pytest.mark.parametrize("sandbox", [True, False])
def test_ends_with_the_commands_status_and_leaves_nothing(driver: LocalDomains, state: Path, sandbox: bool) -> None:
    started = driver.start(spec("echo so long >&2; exit 5", sandbox=sandbox))
    keeper = keeper_of(state)
    assert (started.name, started.domid, started.state) == ("work", 1, DomainState.RUNNING)
    ended = next_event(driver)
    assert (ended.name, ended.domid, ended.state) == ("work", 1, DomainState.STOPPED)
    assert (ended.exit_status, ended.reason) == (5, "so long")
    assert not driver.list()
    assert not list(state.glob("*"))
    assert not Path(f"/proc/{keeper}").exists()


def test_the_reason_of_a_failure_is_its_last_word_and_printable(driver: LocalDomains) -> None:
    driver.start(spec(r"printf 'first\n\033[31mred \377%0300d\n\n' 0 >&2; exit 1"))
    reason = next_event(driver).reason
    assert reason.startswith("?[31mred ?000")
    assert len(reason) == 200


def test_a_missing_command_is_the_reason(driver: LocalDomains) -> None:
    driver.start(DomainSpec("work", 1, 0, ("no-such-program",), (320, 200)))
    ended = next_event(driver)
    assert (ended.exit_status, ended.reason) == (127, "no-such-program: command not found")


@pytest.mark.parametrize("sandbox", [True, False])
def test_stop_ends_it_in_order(driver: LocalDomains, state: Path, sandbox: bool) -> None:
    script = "trap 'echo >asked; exit 0' TERM; echo >up; while :; do sleep 0.1; done"
    driver.start(spec(script, sandbox=sandbox))
    wait_until((state / "work" / "home" / "up").exists)
    begun = time.monotonic()
    driver.stop("work", timeout=20)
    assert time.monotonic() - begun < 20
    ended = next_event(driver)
    assert (ended.state, ended.exit_status, ended.reason) == (DomainState.STOPPED, 0, "stopped on request")
    assert not list(state.glob("*"))


@pytest.mark.parametrize("sandbox", [True, False])
def test_stop_at_once_is_not_lost(driver: LocalDomains, sandbox: bool) -> None:
    """The session may not even have a handler for the signal yet."""
    driver.start(spec("exec sleep 1000", sandbox=sandbox))
    driver.stop("work", timeout=20)
    assert next_event(driver).reason == "stopped on request"


@pytest.mark.parametrize("sandbox", [True, False])
def test_what_does_not_stop_is_killed(driver: LocalDomains, state: Path, sandbox: bool) -> None:
    domain = driver.start(spec("setsid sleep 1000 & echo >up; exec sleep 1000", sandbox=sandbox))
    wait_until((state / "work" / "home" / "up").exists)
    keeper = keeper_of(state)
    assert domain.pid is not None
    os.kill(domain.pid, signal.SIGSTOP)
    driver.stop("work", timeout=0.1)
    ended = next_event(driver)
    assert (ended.exit_status, ended.reason) == (137, "killed, because it did not end within 0.1 s")
    assert not list(state.glob("*"))
    assert not Path(f"/proc/{keeper}").exists()


def test_unknown_names_stop_without_an_error(driver: LocalDomains) -> None:
    driver.stop("nobody")
    driver.stop("../elsewhere")
    assert not driver.events()


def test_names_are_taken_while_they_run_and_free_again(driver: LocalDomains, state: Path) -> None:
    driver.start(spec("exec sleep 1000"))
    other = LocalDomains(state)
    for somebody in (driver, other):
        with pytest.raises(MachineCannot, match=r"runs already.*guid stop work"):
            somebody.start(spec("true"))
    other.close()
    driver.stop("work")
    driver.start(spec("exit 3"))
    assert [event.exit_status for event in (next_event(driver),)] != []
    assert not list(state.glob("*")) or next_event(driver).exit_status == 3


@pytest.mark.parametrize("name", ["", "1st", "a" * 32, "a/b", "..", "a b", "ä", "-x", "a\n"])
def test_refuses_names_that_are_none(driver: LocalDomains, name: str) -> None:
    with pytest.raises(MachineCannot, match="no name for an AppVM"):
        driver.start(spec("true", name))


# --- drivers that come later ---


def test_a_later_driver_finds_watches_and_stops(driver: LocalDomains, state: Path) -> None:
    first = driver.start(spec("exec sleep 1000", outlive_parent=True))
    later = LocalDomains(state)
    (found,) = later.list()
    assert found == first
    later.stop("work", timeout=20)
    ended = next_event(later)
    assert (ended.state, ended.exit_status) == (DomainState.STOPPED, 143)
    assert next_event(driver).state is DomainState.STOPPED
    assert not later.list()
    later.close()


def test_a_later_driver_learns_the_exit_status(driver: LocalDomains, state: Path) -> None:
    driver.start(spec("until [ -e go ]; do sleep 0.02; done; exit 9", outlive_parent=True))
    later = LocalDomains(state)
    (state / "work" / "home" / "go").touch()
    assert next_event(later).exit_status == 9
    later.close()


def _start_elsewhere(state: Path, script: str, **more: bool) -> Domain:
    """Start an AppVM from a process that is killed then; return it as that process saw it."""
    program = (
        "import signal\nfrom pathlib import Path\n"
        "from backends.base import DomainSpec\nfrom backends.local.domains import LocalDomains\n"
        f"driver = LocalDomains(Path({str(state)!r}))\n"
        f"spec = DomainSpec('work', 1, 0, ('sh', '-c', {script!r}), (320, 200), **{more!r})\n"
        "print(driver.start(spec).pid, flush=True)\nsignal.pause()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(_PROJECT), *sys.path))},
    ) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        wait_until((state / "work" / "home" / "up").exists)
        starter.kill()
    return Domain("work", 1, DomainState.RUNNING, pid)


@pytest.mark.parametrize("sandbox", [True, False])
def test_it_dies_with_its_starter(state: Path, sandbox: bool) -> None:
    domain = _start_elsewhere(state, "echo >up; exec sleep 1000", sandbox=sandbox)
    wait_until(lambda: not Path(f"/proc/{domain.pid}").exists() or "Z" in _state(domain.pid))
    driver = LocalDomains(state)
    assert not driver.list()
    driver.close()


@pytest.mark.parametrize("sandbox", [True, False])
def test_it_outlives_its_starter_if_told_to(state: Path, sandbox: bool) -> None:
    domain = _start_elsewhere(state, "echo >up; exec sleep 1000", sandbox=sandbox, outlive_parent=True)
    driver = LocalDomains(state)
    assert list(driver.list()) == [domain]
    driver.stop("work", timeout=20)
    assert next_event(driver).reason == "stopped on request"
    driver.close()


def _state(pid: int | None) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_a_killed_keeper_takes_everything_along(driver: LocalDomains, state: Path) -> None:
    domain = driver.start(spec("echo >up; exec sleep 1000", outlive_parent=True))
    wait_until((state / "work" / "home" / "up").exists)
    os.kill(keeper_of(state), signal.SIGKILL)
    assert next_event(driver).exit_status == 137
    assert not Path(f"/proc/{domain.pid}").exists() or _state(domain.pid) == "Z"


def test_a_record_of_processes_that_are_no_more_is_removed(driver: LocalDomains, state: Path) -> None:
    driver.start(spec("exec sleep 1000"))
    record = json.loads((state / "work" / "vm.json").read_text())
    driver.stop("work")
    for name, pid in (("gone", record["keeper"]["pid"]), ("reused", os.getpid())):
        (state / name / "home").mkdir(parents=True)
        process = {"pid": pid, "born": record["keeper"]["born"]}
        (state / name / "vm.json").write_text(
            json.dumps({**record, "name": name, "session": process, "keeper": process})
        )
    (state / "nonsense").mkdir()
    (state / "nonsense" / "vm.json").write_text("{}")
    assert not driver.list()
    assert not list(state.glob("*"))


# --- what it can see ---


def test_it_is_nobody_and_alone(driver: LocalDomains, state: Path) -> None:
    inside = Inside(
        driver, state, "id -u; hostname; ls /proc | grep -c '^[0-9]'; ls -A /tmp /home; grep ^Cap /proc/self/status"
    )
    lines = inside.output.splitlines()
    assert lines[:2] == ["1000", "work"]
    assert int(lines[2]) < 12
    assert {".X11-unix", "user"} < set(lines)
    capabilities = {line.split(":")[0]: int(line.split()[1], 16) for line in lines if line.startswith("Cap")}
    assert all(capabilities[name] == 0 for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"))


def test_every_namespace_is_its_own(driver: LocalDomains, state: Path) -> None:
    inside = Inside(driver, state, "cd /proc/self/ns; for n in user pid mnt ipc net uts cgroup; do readlink $n; done")
    theirs = inside.output.split()
    assert len(theirs) == 7
    for link in theirs:
        assert os.readlink(f"/proc/self/ns/{link.partition(':')[0]}") != link


def test_it_sees_no_file_of_ours(driver: LocalDomains, state: Path) -> None:
    secrets = [
        state / "secret",
        Path.home() / f".secret-{os.getpid()}",
        Path(tempfile.gettempdir()) / f"s{os.getpid()}",
    ]
    try:
        for path in secrets:
            path.touch()
        tests = "; ".join(f"cat {path}" for path in (*secrets, state / "work" / "vm.json", "/etc/shadow"))
        inside = Inside(driver, state, f"{tests}; ls {_PROJECT}; ls -a /run /var")
    finally:
        for path in secrets:
            path.unlink()
    assert inside.output.count("No such file") == 5
    assert "tests\n" not in inside.output
    assert "guiagent\n" in inside.output


def test_it_writes_nothing_but_its_own(driver: LocalDomains, state: Path) -> None:
    ours = f"/ /usr /etc/passwd {_PROJECT}/guiagent {sys.prefix} /proc/sys/kernel/core_pattern"
    inside = Inside(
        driver,
        state,
        f"for p in {ours}; do [ -w $p ] && echo $p; done; echo 1 >/proc/sys/vm/swappiness;"
        "for p in ~ /tmp /run/vchan $XDG_RUNTIME_DIR; do echo >$p/mine || echo not $p; done",
    )
    assert "Permission denied" in inside.output
    assert len(inside.output.splitlines()) == 1


def test_root_on_this_machine_is_not_its_user(driver: LocalDomains, state: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("an ordinary user's AppVM has that user's id: there is no other")
    inside = Inside(driver, state, "true")
    assert inside.domain.pid is not None
    for line in Path(f"/proc/{inside.domain.pid}/status").read_text().splitlines():
        if line.startswith(("Uid:", "Gid:")):
            assert 0 not in map(int, line.split()[1:])


def test_no_network_and_no_display_of_ours(driver: LocalDomains, state: Path) -> None:
    abstract = socket.socket(socket.AF_UNIX)
    name = f"appvm-test-{os.getpid()}"
    with abstract, socket.create_server(("127.0.0.1", 0)) as tcp:
        abstract.bind("\0" + name)
        abstract.listen()
        probe = (
            "import socket\n"
            f"for family, address in ((socket.AF_UNIX, chr(0) + {name!r}), (socket.AF_INET, {tcp.getsockname()!r}), "
            "(socket.AF_INET, ('192.0.2.1', 9))):\n"
            "    try: socket.socket(family).connect(address)\n"
            "    except OSError as error: print(error.strerror)\n"
            "    else: print('connected')\n"
        )
        inside = Inside(
            driver, state, f'{sys.executable} -c "{probe}"; ls /tmp/.X11-unix; ls /sys/class/net /proc/net/dev'
        )
    lines = inside.output.splitlines()
    assert lines[:3] == ["Connection refused", "Connection refused", "Network is unreachable"]
    assert lines[3] == "X0"


def test_with_network_it_reaches_out_but_not_us(driver: LocalDomains, state: Path) -> None:
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("this machine lets this user make no network interface")
    abstract = socket.socket(socket.AF_UNIX)
    name = f"appvm-test-{os.getpid()}"
    with abstract, socket.create_server(("127.0.0.1", 0)) as tcp:
        abstract.bind("\0" + name)
        abstract.listen()
        port = tcp.getsockname()[1]
        probe = (
            "import socket\n"
            f"for family, address in ((socket.AF_UNIX, chr(0) + {name!r}), (socket.AF_INET, ('127.0.0.1', {port})), "
            f"(socket.AF_INET, ('10.0.2.2', {port}))):\n"
            "    try: socket.socket(family).connect(address)\n"
            "    except OSError: print('cannot')\n"
            "    else: print('connected')\n"
        )
        script = f'{sys.executable} -c "{probe}"; cat /etc/resolv.conf; grep -c tap0 /proc/net/dev'
        inside = Inside(driver, state, script, network=True)
    assert inside.output.splitlines() == ["cannot", "cannot", "cannot", "nameserver 10.0.2.3", "1"]


def test_two_of_them_share_nothing(driver: LocalDomains, state: Path) -> None:
    driver.start(spec("echo $$ >up; exec sleep 4321", "first", 1))
    driver.start(spec("echo $$ >up; exec sleep 1234", "second", 2))
    homes = [state / name / "home" for name in ("first", "second")]
    wait_until(lambda: all((home / "up").exists() and (home / "up").read_text() for home in homes))
    driver.start(
        spec(
            "(cat /proc/[0-9]*/cmdline | tr '\\0' ' '; ls -a ~ /run/vchan /tmp) >out 2>&1; mv out done; sleep 1000",
            "third",
            3,
        )
    )
    done = state / "third" / "home" / "done"
    wait_until(done.exists)
    seen = done.read_text()
    assert "sleep" not in seen.replace("sleep 1000", "")
    assert "up" not in seen.split()
    ids = {Path(f"/proc/{domain.pid}").stat().st_uid for domain in driver.list()}
    assert len(ids) == (3 if os.geteuid() == 0 else 1)
    assert len({driver.runtime(name)["VCHAN_SOCKET_DIR"] for name in ("first", "second", "third")}) == 3


def test_its_vchan_is_reached_from_here(driver: LocalDomains) -> None:
    driver.start(spec("exec sleep 1000", domid=5))
    rendezvous = Path(driver.runtime("work")["VCHAN_SOCKET_DIR"])
    assert rendezvous.stat().st_mode & 0o777 == 0o700
    wait_until((rendezvous / "vchan.5.0.6000.sock").is_socket)


def test_environment_is_clean(driver: LocalDomains, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "value")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    environ = dict(line.split("=", 1) for line in Inside(driver, state, "env").output.splitlines())
    expected = {"DISPLAY": ":0", "HOME": "/home/user", "LANG": "de_DE.UTF-8", "USER": "user", "TERM": "xterm-256color"}
    assert expected.items() <= environ.items()
    assert not environ.keys() & {"SECRET", "PYTHONPATH", "VCHAN_SOCKET_DIR", "XAUTHORITY", "GUIAGENT_LOG"}


def test_without_a_sandbox_it_has_its_own_home_and_display(driver: LocalDomains, state: Path) -> None:
    inside = Inside(driver, state, "echo $HOME $XDG_RUNTIME_DIR; pwd; xdpyinfo | grep dimensions", sandbox=False)
    lines = inside.output.splitlines()
    assert lines[0] == f"{inside.home} {state / 'work' / 'run'}"
    assert lines[1] == str(inside.home)
    assert "320x200" in lines[2]


# --- what this machine may lack ---


@pytest.fixture
def bare_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Sets PATH to a directory with just those programs, which are scripts."""

    def make(**programs: str) -> Path:
        for name, script in programs.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        return tmp_path

    return make


def test_says_that_bubblewrap_is_missing(driver: LocalDomains, bare_path: Callable[..., Path]) -> None:
    bare_path(Xvfb="exit 0")
    with pytest.raises(MachineCannot, match=r"no bwrap.*apt install bubblewrap"):
        driver.start(spec("true"))


def test_says_that_the_display_server_is_missing(driver: LocalDomains, bare_path: Callable[..., Path]) -> None:
    bare_path(bwrap="exit 0")
    for sandbox in (True, False):
        with pytest.raises(MachineCannot, match=r"no Xvfb.*apt install xvfb"):
            driver.start(spec("true", sandbox=sandbox))


def test_says_that_the_way_to_the_network_is_missing(driver: LocalDomains, bare_path: Callable[..., Path]) -> None:
    bare_path(bwrap="exit 0", Xvfb="exit 0")
    with pytest.raises(MachineCannot, match=r"no slirp4netns.*apt install slirp4netns"):
        driver.start(spec("true", network=True))


def test_says_that_namespaces_are_not_allowed(
    driver: LocalDomains, state: Path, bare_path: Callable[..., Path]
) -> None:
    tools = bare_path(Xvfb="exit 0", bwrap='echo "bwrap: No permissions to create a new namespace" >&2; exit 1')
    for name in ("sh", "unshare"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    with pytest.raises(MachineCannot, match="No permissions to create a new namespace"):
        driver.start(spec("true"))
    assert not list(state.glob("*"))


def test_a_sandbox_that_cannot_start_leaves_nothing(
    driver: LocalDomains, state: Path, bare_path: Callable[..., Path]
) -> None:
    script = 'echo $$ >"${0%/*}/pid"; case "$*" in *guiagent.session*) echo "bwrap: no luck" >&2; exit 1;; esac'
    tools = bare_path(Xvfb="exit 0", bwrap=script)
    for name in ("sh", "unshare", "dd", "mv", "sleep"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    with pytest.raises(MachineCannot, match="did not start: bwrap: no luck"):
        driver.start(spec("true"))
    assert not list(state.glob("*"))
    assert not Path("/proc", (tools / "pid").read_text().strip()).exists()


def test_says_what_slirp_says(driver: LocalDomains, state: Path, bare_path: Callable[..., Path]) -> None:
    tools = bare_path(
        slirp4netns='echo "WARNING: experimental"; echo "open(tun): no luck"; echo "child failed(1)"; exit 1'
    )
    for name in ("sh", "unshare", "bwrap", "true", "Xvfb"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    with pytest.raises(MachineCannot, match=r"no network: open\(tun\): no luck"):
        driver.start(spec("true", network=True))
    assert not list(state.glob("*"))


def _start_and_wait(driver: LocalDomains, state: Path) -> None:
    driver.start(DomainSpec("work", 7, 0, ["sh", "-c", "touch up; exec sleep 600"], (640, 480)))
    wait_until((state / "work" / "home" / "up").exists)


def test_a_process_of_ours_that_enters_it_is_no_more_than_its_user(driver: LocalDomains, state: Path) -> None:
    """Not even in what it may do with files of groups that whoever started it is in."""
    _start_and_wait(driver, state)
    reader, writer = os.pipe()
    code = (
        "import ctypes, json, os, sys\n"
        "said = [os.getresuid(), os.getresgid(), os.getgroups(), ctypes.CDLL(None).prctl(39, 0, 0, 0, 0),\n"
        "        sorted(os.listdir('/home')), os.path.exists(sys.argv[2])]\n"
        "os.write(int(sys.argv[1]), json.dumps(said).encode())\n"
    )
    argv = [sys.executable, "-sP", "-c", code, str(writer), str(state)]
    before = os.getgroups()
    if os.geteuid() == 0:
        os.setgroups([0, 4])
    try:
        pid = driver.enter("work", argv, {}, [writer])
    finally:
        if os.geteuid() == 0:
            os.setgroups(before)
    os.close(writer)
    with open(reader, "rb") as pipe:
        uids, gids, groups, no_new_privileges, homes, sees_us = json.loads(pipe.read())
    os.waitpid(pid, 0)
    assert uids == gids == [1000, 1000, 1000]
    assert set(groups) <= {1000, 65534}
    assert os.geteuid() != 0 or groups == []
    assert no_new_privileges == 1
    assert homes == ["user"]
    assert not sees_us


def test_what_cannot_be_entered(driver: LocalDomains, state: Path) -> None:
    with pytest.raises(MachineCannot, match="there is no sandbox 'nobody'"):
        driver.enter("nobody", ["/bin/true"], {}, [])
    _start_and_wait(driver, state)
    with pytest.raises(MachineCannot, match=r"cannot enter the AppVM: start /nonexistent in it"):
        driver.enter("work", ["/nonexistent"], {}, [])


@pytest.mark.parametrize("sandbox", [True, False])
def test_an_appvm_that_prints_without_end_fills_no_disk(driver: LocalDomains, state: Path, sandbox: bool) -> None:
    driver.start(spec("head -c 20000000 /dev/zero | tr '\\0' x; echo >&2; echo the end >&2; exit 3", sandbox=sandbox))
    poll = select.poll()
    poll.register(driver.fileno(), select.POLLIN)
    most = 0
    while not poll.poll(20):
        with contextlib.suppress(FileNotFoundError):  # the one that is older now
            most = max(most, sum(path.stat().st_size for path in (state / "work").glob("log*")))
    (event,) = driver.events()
    assert (event.exit_status, event.reason) == (3, "the end")
    assert 0 < most <= MOST_BYTES
