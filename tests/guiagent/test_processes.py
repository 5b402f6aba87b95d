"""What runs below a process, and being woken when some of it ends."""

import os
import select
import signal
import subprocess

from guiagent.processes import Watch, below, send, signal_pipe
from tests.xserver import wait_until


def test_finds_the_whole_tree_but_not_what_is_spared() -> None:
    with subprocess.Popen(["sh", "-c", "sh -c 'sleep 1000; :' & sleep 1000; :"]) as shell:
        wait_until(lambda: sorted(below(shell.pid).values()) == ["sh", "sleep", "sleep"])
        inner = next(pid for pid, name in below(shell.pid).items() if name == "sh")
        assert list(below(shell.pid, (inner,)).values()) == ["sleep"]
        assert shell.pid in below(os.getpid())
        for pid in below(shell.pid):
            os.kill(pid, 9)
        shell.kill()


def test_the_dead_do_not_count() -> None:
    with subprocess.Popen(["true"]) as child:
        wait_until(lambda: child.pid not in below(os.getpid()))


def test_a_name_may_have_parentheses_and_spaces(tmp_path: os.PathLike[str]) -> None:
    program = os.path.join(tmp_path, "a ) R 1 (b")
    os.symlink("/bin/sleep", program)
    with subprocess.Popen([program, "1000"]) as child:
        wait_until(lambda: below(os.getpid()).get(child.pid) == "a ) R 1 (b")
        child.kill()


def test_wakes_when_one_of_them_ends() -> None:
    poll = select.poll()
    watch = Watch(poll)
    children = [subprocess.Popen(["sleep", "1000"]) for _ in range(2)]
    first, second = children
    assert watch.only([first.pid, second.pid])
    assert not poll.poll(0)
    first.kill()
    assert len(poll.poll(20_000)) == 1
    assert watch.only([second.pid])
    assert not poll.poll(0)
    for child in children:
        child.kill()
        child.wait()
    assert not watch.only([first.pid, second.pid])
    assert watch.only([])
    assert not poll.poll(0)


def test_signals_arrive_as_bytes_and_only_meanwhile() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with signal_pipe((signal.SIGUSR1, signal.SIGUSR2)) as fd:
        os.kill(os.getpid(), signal.SIGUSR2)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert sorted(os.read(fd, 64)) == [signal.SIGUSR1, signal.SIGUSR2]
    assert signal.getsignal(signal.SIGUSR1) == before


def test_a_signal_for_the_gone_is_no_error() -> None:
    with subprocess.Popen(["true"]) as gone, subprocess.Popen(["sleep", "1000"]) as there:
        gone.wait()
        send((gone.pid, there.pid), signal.SIGKILL)
        assert there.wait(20) == -signal.SIGKILL
