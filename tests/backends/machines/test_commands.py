"""Commands in a guest, with a guest that is told what to say: some do not tell the truth, or nothing."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backends.frames import DATA, NUMBER, ORDER, PROBLEM, READY, STATUS, Frames, frame
from backends.machines import commands
from guiproto.errors import MachineCannot

Guest = Callable[[socket.socket], None]
ATTACH = """
import sys
from backends.machines import commands
from guiproto.errors import MachineCannot
try:
    sys.exit(commands.attach("work", sys.argv[1], sys.argv[2:], 10.0))
except MachineCannot as error:
    sys.exit(f"cannot: {error}")
"""


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Guest], str]]:
    """Gives the path of a port that the guest serves once."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    threads = []
    listener = socket.socket(socket.AF_UNIX)
    path = str(tmp_path / "port")

    def serve(guest: Guest) -> str:
        listener.bind(path)
        listener.listen()

        def once() -> None:
            line, _ = listener.accept()
            with line:
                guest(line)

        threads.append(threading.Thread(target=once))
        threads[-1].start()
        return path

    yield serve
    for thread in threads:
        thread.join(20.0)
    listener.close()


def wait_for_the_end(line: socket.socket) -> None:
    while line.recv(4096):
        pass


def answering(answer: bytes) -> Guest:
    def guest(line: socket.socket) -> None:
        line.recv(4096)
        line.sendall(answer)

    return guest


def test_a_command_is_sent_and_started(port: Callable[[Guest], str]) -> None:
    heard: list[bytes] = []

    def guest(line: socket.socket) -> None:
        heard.append(line.recv(4096))
        line.sendall(b'{"star')
        line.sendall(b'ted": 12}\n')

    commands.start("work", port(guest), ["xterm", "-T", 'a "b"'])
    assert json.loads(heard[0]) == {"run": ["xterm", "-T", 'a "b"']}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b'{"error": "nonesuch: No such file"}\n', "work: nonesuch: No such file"),
        (b'{"error": "\\u001b]0;owned\\u0007"}\n', r"work: \?\]0;owned\?$"),
        (b'{"error": ["a list"]}\n', "a list"),
        (b"garbage\n", "nothing that makes sense"),
        (b'["started"]\n', "nothing that makes sense"),
        (b"\xff\xfe\n", "nothing that makes sense"),
        (b"[" * 5000 + b"\n", "nothing that makes sense"),
        (b"", "nothing that makes sense"),
        (b"x" * 200_000, "nothing that makes sense"),
    ],
)
def test_a_guest_that_refuses_or_says_nonsense(port: Callable[[Guest], str], answer: bytes, said: str) -> None:
    with pytest.raises(MachineCannot, match=said):
        commands.start("work", port(answering(answer)), ["x"])


def test_a_guest_that_says_nothing(port: Callable[[Guest], str]) -> None:
    with pytest.raises(MachineCannot, match=r"does not answer"):
        commands.start("work", port(wait_for_the_end), ["x"], 0.3)


def test_a_vm_that_does_not_run(tmp_path: Path) -> None:
    for path in ("", str(tmp_path / "nowhere"), str(tmp_path)):
        with pytest.raises(MachineCannot, match=r"does not run.*guid vm start work"):
            commands.start("work", path, ["x"])


def attached(path: str, given: bytes, *command: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-c", ATTACH, path, *command], input=given, capture_output=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip


def test_input_goes_in_and_output_comes_out(port: Callable[[Guest], str]) -> None:
    def guest(line: socket.socket) -> None:
        line.sendall(frame(READY, b""))
        frames, taken = Frames(), bytearray()
        while True:
            for kind, content in frames.feed(line.recv(1 << 16)):
                if kind == ORDER:
                    assert json.loads(content) == {"run": ["rev", "-x"]}
                elif content:
                    taken += content
                else:
                    line.sendall(frame(DATA, bytes(reversed(taken))) + frame(STATUS, NUMBER.pack(7)))
                    return

    data = os.urandom(200_000)
    done = attached(port(guest), data, "rev", "-x")
    assert done.returncode == 7
    assert done.stdout == bytes(reversed(data))
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (frame(PROBLEM, b"nonesuch: \x1b[2J"), b"work: nonesuch: ?[2J"),
        (b"\xff" * 50, b"work: command line: "),
        (frame(READY, b"") + b"\xff" * 50, b"work"),
        (frame(READY, b""), b"hung up"),
        (b"", b"hung up in the middle"),
    ],
)
def test_a_guest_that_breaks_off(port: Callable[[Guest], str], answer: bytes, said: bytes) -> None:
    done = attached(port(lambda line: line.sendall(answer)), b"", "x")
    assert done.returncode == 1
    assert said in done.stderr
    assert b"Traceback" not in done.stderr
