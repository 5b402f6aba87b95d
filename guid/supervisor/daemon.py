"""The shared supervisor as a background process, started by the first `guid run` and gone soon after the last VM.

Or as a service of systemd: then that listens for the first `guid run`, and starts it.
"""

import contextlib
import fcntl
import logging
import os
import sys
from pathlib import Path
from typing import Final

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: its threads do not survive a fork

from guid import systemd
from guid.config.configuration import Configuration
from guid.control import Client, Listener
from guid.logs import VmLogs, is_general, log_dir
from guid.runtime import runtime_dir
from guid.supervisor.drivers import driver_maker
from guid.supervisor.supervisor import Supervisor
from guid.worker.process import warm_up
from guiproto.errors import MachineCannot

_LINGER_SECONDS: Final = 20.0
"""How long it waits for another `guid run` when it has nothing to do: the next one is warm then."""
_LOG_BYTES: Final = 1_000_000
_ANSWER_SECONDS: Final = 120.0
"""The longest that it may take for an answer: to start a machine, a hypervisor may need many seconds."""

SOCKET_NAME: Final = "supervisor.sock"


def connect(runtime: Path) -> Client:
    """A client of the shared supervisor, which is started if it does not run. Raises MachineCannot if it cannot."""
    path = runtime / SOCKET_NAME
    with contextlib.suppress(MachineCannot):
        return Client(path, _ANSWER_SECONDS)
    with (runtime / "starting.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two commands at once start one supervisor
        with contextlib.suppress(MachineCannot):
            return Client(path, _ANSWER_SECONDS)
        _spawn(runtime)
    return Client(path, _ANSWER_SECONDS)


def _spawn(runtime: Path) -> None:
    Configuration.read()  # what is wrong in it is told here, and not in a log
    log_path = runtime / "supervisor.log"
    if log_path.exists() and log_path.stat().st_size > _LOG_BYTES:
        log_path.replace(log_path.with_suffix(".log.old"))
    listening, ready = os.pipe()
    with log_path.open("ab") as log, open(os.devnull, "rb") as nothing:
        # Not through subprocess, which would want to be asked how it ended: it outlives us, and nobody waits for it.
        os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "guid.supervisor.daemon", str(ready)],
            {**os.environ, "PYTHONPATH": os.pathsep.join(os.path.abspath(entry) for entry in sys.path)},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, nothing.fileno(), 0),
                (os.POSIX_SPAWN_DUP2, log.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, log.fileno(), 2),
                (os.POSIX_SPAWN_DUP2, ready, ready),  # onto itself: clears close-on-exec
            ],
            setsid=True,
        )
    os.close(ready)
    with open(listening, "rb") as pipe:
        if pipe.read(1) != b"+":
            last = log_path.read_text(errors="replace").strip().splitlines()[-1:]
            raise MachineCannot(f"the supervisor did not start: {''.join(last)}", f"see {log_path}")


def main() -> int:
    """Serve until idle. Writes "+" to the descriptor given as the first argument, if any, when it listens."""
    has_times = "JOURNAL_STREAM" in os.environ  # the journal adds its own
    form = "%(message)s" if has_times else "%(asctime)s %(message)s"
    general = logging.StreamHandler(sys.stderr)
    general.setFormatter(logging.Formatter(form))
    general.addFilter(is_general)
    logging.basicConfig(handlers=[general, VmLogs(log_dir())], level=logging.INFO)
    os.chdir("/")  # no directory is kept from being unmounted
    try:
        _serve()
    except MachineCannot as error:
        for line in str(error).splitlines():
            logging.getLogger("guid").error("%s", line)
        return 1
    return 0


def _serve() -> None:
    runtime = runtime_dir()
    configuration = Configuration.read()
    listener = Listener(runtime / SOCKET_NAME, systemd.listening_socket())
    state = runtime / "vms"
    state.mkdir(mode=0o700, exist_ok=True)
    warm_up()
    supervisor = Supervisor(listener, driver_maker(state), state, configuration, linger=_LINGER_SECONDS)
    supervisor.adopt()
    if sys.argv[1:]:
        ready = int(sys.argv[1])
        os.write(ready, b"+")
        os.close(ready)
    systemd.notify("READY=1")
    supervisor.run()


if __name__ == "__main__":
    sys.exit(main())
