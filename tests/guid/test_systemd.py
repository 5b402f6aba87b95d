"""The supervisor as systemd starts it: with a socket that listens, and a place to say that it is ready.

No service manager runs in tests; they do what it does, as its documentation has it.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from guid import systemd
from guid.cli.main import main
from guid.control import Client, Listener
from guid.units import SERVICE, SOCKET, units
from guiproto.errors import MachineCannot

_ACTIVATE = """
import os, sys
given = int(sys.argv[1])
os.dup2(given, 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=sys.argv[2], LISTEN_FDNAMES="x")
os.execv(sys.executable, [sys.executable, "-m", "guid.supervisor.daemon"])
"""
"""Between fork and exec, as systemd has it: the pid is that of the service."""


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "run"
    path.mkdir(mode=0o700)
    monkeypatch.setenv("GUID_RUNTIME_DIR", str(path))
    monkeypatch.setenv("GUID_CONFIG", str(tmp_path / "guid.toml"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    return path


@pytest.fixture
def manager(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Where services say that they are ready."""
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.bind(str(runtime / "notify"))
    heard.settimeout(60)
    monkeypatch.setenv("NOTIFY_SOCKET", str(runtime / "notify"))
    yield heard
    heard.close()


def activate(listening: socket.socket, count: str = "1") -> subprocess.Popen[str]:
    """Start the supervisor as the service of that socket."""
    os.set_inheritable(listening.fileno(), True)
    return subprocess.Popen(
        [sys.executable, "-c", _ACTIVATE, str(listening.fileno()), count],
        close_fds=False, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> str:
    """What it said in all."""
    _, said = process.communicate(timeout=60)
    return said


def test_a_supervisor_serves_the_socket_that_it_is_given(runtime: Path, manager: socket.socket) -> None:
    path = runtime / "supervisor.sock"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()
    with Client(path, 60) as early:  # before there is anybody: the first command starts the service
        process = activate(listening)
        assert manager.recv(100) == b"READY=1"
        assert early.request("ps") == {"ok": True, "vms": []}
        process.send_signal(signal.SIGHUP)
        with Client(path) as client:
            assert client.request("ps")["vms"] == [], "that was a request to read the configuration again"
        process.terminate()
        said = ended(process)
    assert process.returncode == 0, said
    assert "again" in said
    assert path.exists(), "it is systemd's"
    assert not (runtime / "supervisor.lock").exists()
    Client(path).close()  # and still listens, for the next one
    listening.close()


def test_a_supervisor_without_a_socket_makes_its_own_and_says_that_it_is_ready(
    runtime: Path, manager: socket.socket
) -> None:
    process = subprocess.Popen([sys.executable, "-m", "guid.supervisor.daemon"], stderr=subprocess.PIPE, text=True)
    assert manager.recv(100) == b"READY=1"
    Client(runtime / "supervisor.sock").close()
    process.terminate()
    said = ended(process)
    assert process.returncode == 0, said
    assert not (runtime / "supervisor.sock").exists()


@pytest.mark.parametrize("kind", ["two", "datagrams", "deaf"])
def test_what_does_not_fit_is_refused_with_a_reason(runtime: Path, kind: str) -> None:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM if kind == "datagrams" else socket.SOCK_STREAM)
    sock.bind(str(runtime / "supervisor.sock"))
    if kind == "two":
        sock.listen()
    process = activate(sock, "2" if kind == "two" else "1")
    said = ended(process)
    assert process.returncode == 1
    assert "`guid service install` writes units that fit" in said
    assert "Traceback" not in said
    sock.close()


def test_a_configuration_that_is_wrong_is_told_line_by_line(runtime: Path) -> None:
    (runtime.parent / "guid.toml").write_text("[globl]\n[lable]\n")
    process = subprocess.Popen([sys.executable, "-m", "guid.supervisor.daemon"], stderr=subprocess.PIPE, text=True)
    said = ended(process)
    assert process.returncode == 1
    assert "guid.toml:1: unknown table 'globl'" in said
    assert "guid.toml:2: unknown table 'lable'" in said
    assert "Traceback" not in said


def test_a_socket_for_another_process_is_none_of_ours() -> None:
    environ = {"LISTEN_PID": "1", "LISTEN_FDS": "1", "OTHER": "x"}
    assert systemd.listening_socket(environ) is None
    assert environ == {"OTHER": "x"}, "nor of those that we start"


def test_an_abstract_address_is_one_too() -> None:
    name = f"guid-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind("\0" + name)
        systemd.notify("READY=1", {"NOTIFY_SOCKET": "@" + name})
        assert heard.recv(100) == b"READY=1"
    systemd.notify("READY=1", {"NOTIFY_SOCKET": "@" + name})
    systemd.notify("READY=1", {})


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    environ = {"GUID_CONFIG": str(tmp_path / 'a "b" $c %d\\e.toml'), "PYTHONPATH": "/x:/y"}
    for name, text in units(environ).items():
        (tmp_path / name).write_text(text)
    docs = (Path(__file__).parents[2] / "docs" / "service.md").read_text()
    agent = docs.split("guiagent.service`:\n\n")[1].split("\n\nThe ")[0]
    (tmp_path / "guiagent.service").write_text(
        "\n".join(line.removeprefix("    ") for line in agent.splitlines()).replace("/opt/", f"{tmp_path}/") + "\n"
    )
    program = tmp_path / "odyssey-gui" / ".venv" / "bin" / "guiagent"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", *(tmp_path / name for name in (SERVICE, SOCKET, "guiagent.service"))],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
    )  # fmt: skip
    complaints = [line for line in done.stdout.splitlines() if str(tmp_path) in line or "odyssey" in line]
    assert not complaints
    assert done.returncode == 0, done.stdout


def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """A systemctl that writes down what it was told; the file."""
    written = tmp_path / "told"
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {written}\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return written


@pytest.mark.usefixtures("runtime")
def test_install_and_uninstall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = systemctl(tmp_path, monkeypatch, "")
    where = tmp_path / "config" / "systemd" / "user"
    assert main(["service", "status"]) == 1
    assert "not installed" in capsys.readouterr().out
    assert main(["service", "install"]) == 0
    assert {path.name: path.read_text() for path in where.iterdir()} == units(os.environ)
    assert told.read_text() == f"--user daemon-reload\n--user enable --now {SOCKET}\n"
    assert main(["service", "status"]) == 0
    (where / SERVICE).write_text("[Service]\n")
    capsys.readouterr()
    assert main(["service", "status"]) == 0
    assert f"{SERVICE}: {where / SERVICE}, not as `guid service show` has it" in capsys.readouterr().out
    assert main(["service", "uninstall"]) == 0
    assert not list(where.iterdir())
    assert f"--user disable --now {SOCKET}\n" in told.read_text()
    assert main(["service", "uninstall"]) == 1
    assert "there are no units" in capsys.readouterr().err


@pytest.mark.usefixtures("runtime")
def test_install_where_systemd_cannot_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    systemctl(tmp_path, monkeypatch, "echo 'Failed to connect to bus' >&2; exit 1")
    assert main(["service", "install"]) == 1
    assert "the units are there, but systemd could not be told (log in and run: systemctl" in capsys.readouterr().err


def test_install_beside_a_supervisor_that_runs_already_is_refused(
    runtime: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listener = Listener(runtime / "supervisor.sock")
    assert main(["service", "install"]) == 1
    assert "guid stop --all" in capsys.readouterr().err
    listener.close()


def test_only_one_process_serves_a_socket_that_both_were_given(tmp_path: Path) -> None:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(tmp_path / "supervisor.sock"))
    sock.listen()
    first = Listener(tmp_path / "supervisor.sock", sock.dup())
    with pytest.raises(MachineCannot, match="runs already"):
        Listener(tmp_path / "supervisor.sock", sock)
    first.close()
    sock.close()
