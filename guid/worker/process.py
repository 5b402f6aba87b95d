"""Processes of a VM are forked from a parent that has everything imported, so that another VM costs little memory and
time: its worker, and its Qubes DB daemon.
"""

import contextlib
import ctypes
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Final, NoReturn

from backends import registry
from backends.base import DOOR, Backend
from guid.config.labels import label
from guid.control import LineSocket
from guid.core.config import MIB, Quotas, SessionConfig
from guid.core.key_sequence import KeySequence
from guid.hosts import registry as hosts
from guid.hosts.base import HostConfig
from guid.sandbox.confinement import confine
from guid.spec import VmSpec
from guid.worker.child import Child
from guid.worker.worker import PORTS, Worker
from guiproto.errors import MachineCannot, PeerMisbehaved
from guiproto.limits import PAGE_SIZE
from shm import descriptors

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_MAGNIFIED_WEIGHT: Final = 4
"""As how many pages one counts of a window that is magnified."""


def warm_up() -> None:
    """Import what every worker needs, so that forked ones share it."""
    import guid.hosts.headless.host
    import guid.hosts.x11.host  # noqa: F401 - imported for its memory to be shared


def fork_worker(spec: VmSpec) -> Child:
    """Start a worker for `spec`. What becomes of it is told on its line; its last message is {"event": "ended"}."""
    return fork(f"guid:{spec.name}", lambda line: serve(spec, line))


def fork(title: str, live: Callable[[LineSocket], dict[str, str]], *, end_with_parent: bool = True) -> Child:
    """Start a process called `title` that calls `live` with the line to us, and tells in the end what that returned.

    `end_with_parent`: be killed when the parent is. Without it, `live` has to end when its line is closed.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    gc.freeze()  # so that the child's garbage collector does not touch, and thereby copy, the parent's pages
    pid = os.fork()
    if pid == 0:
        _child(title, live, theirs, end_with_parent)
    theirs.close()
    return Child(pid, os.pidfd_open(pid), LineSocket(ours, descriptors=True))


def _child(
    title: str, live: Callable[[LineSocket], dict[str, str]], sock: socket.socket, end_with_parent: bool
) -> NoReturn:
    """Never returns, so that the parent's objects on the stack stay referenced and close none of our descriptors."""
    status = 1
    try:
        leave_parent(sock.fileno(), title, end_with_parent=end_with_parent)
        line = LineSocket(sock, descriptors=True)
        log_to(line)
        ended = live(line)
        line.send({"event": "ended", **ended})
        status = 0
    except BaseException:
        logging.getLogger("guid").exception("this is a bug in %s", title)
    finally:
        os._exit(status)


def enter(spec: VmSpec) -> Backend:
    """Make the environment of this process that of the VM's description, and its backend. Raises MachineCannot."""
    os.environ.update(spec.environ)
    sys.path.extend(entry for entry in spec.python_path if entry not in sys.path)
    return registry.load(spec.backend, os.environ)


def behind_door(spec: VmSpec, backend: Backend) -> Backend:
    """The same backend for a worker that is about to give up connecting by itself, if the backend has a door for it."""
    if not backend.has_door or DOOR in os.environ:
        return backend
    outer, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    gc.freeze()
    if os.fork() == 0:
        status = 1
        try:
            leave_parent(outer.fileno(), f"door:{spec.name}", end_with_parent=True)
            backend.keep_door(outer, spec.gui_domid, spec.domid, PORTS)
            status = 0
        finally:
            os._exit(status)
    outer.close()
    return registry.load(spec.backend, {**os.environ, DOOR: str(inner.detach())})


def host_config(spec: VmSpec) -> HostConfig:
    """What a display host has to know of the VM's settings. Raises MachineCannot."""
    settings = spec.settings
    return HostConfig(
        vm_name=spec.name,
        label=label(spec.label),
        border_width=settings.border_width,
        border_managed=settings.border == "all",
        title_prefix=settings.title_prefix,
        screen_lockers=tuple(name for part in settings.screensaver_names.split(",") if (name := part.strip())),
        tray_border=next((width for width in (1, 2) if settings.trayicon_mode.endswith(f"border{width}")), 0),
        tray_tint=settings.trayicon_mode.startswith("tint"),
        background=settings.background_rgb,
        scale=settings.scale,
    )


def session_config(spec: VmSpec) -> SessionConfig:
    """What the core has to know of them. Raises MachineCannot."""
    settings = spec.settings
    quotas = Quotas(
        windows=settings.max_windows,
        pages=settings.max_window_memory * MIB // PAGE_SIZE,
        # The display server keeps a copy of every buffer that it magnifies.
        page_weight=_MAGNIFIED_WEIGHT if settings.scale > 1 else 1,
        tray_icons=settings.max_tray_icons,
        messages=settings.max_message_rate,
    )
    return SessionConfig(
        quotas=quotas,
        label=label(spec.label),
        border_width=-(-settings.border_width // settings.scale),  # the VM's pixels
        border_managed=settings.border == "all",
        override_redirect=settings.override_redirect == "allow",
        override_redirect_protection=settings.override_redirect_protection,
        allow_fullscreen=settings.allow_fullscreen,
        utf8_titles=settings.allow_utf8_titles,
        copy_keys=KeySequence.parse(settings.secure_copy_sequence),
        paste_keys=KeySequence.parse(settings.secure_paste_sequence),
        max_clipboard_size=settings.max_clipboard_size,
        allow_frames=True,  # a backend's mapper that cannot map them refuses by itself
    )


def configs(spec: VmSpec) -> tuple[HostConfig, SessionConfig]:
    """Both."""
    return host_config(spec), session_config(spec)


def serve(spec: VmSpec, line: LineSocket) -> dict[str, str]:
    """Be the worker of `spec` until its line is closed or it cannot go on; what became of it."""
    try:
        backend = behind_door(spec, enter(spec))
        host_cfg, session_cfg = configs(spec)
        host = hosts.load(spec.view.host, host_cfg, spec.view.display)
        worker = Worker(spec, backend, host, session_cfg, line, configs)
        backend.prepare()
        descriptors.allow()
        confine(backend.files(), connects=not backend.has_door)
        line.send({"event": "ready"})
        try:
            worker.run()
        finally:
            worker.close()
    except PeerMisbehaved as error:
        return {"kind": "violation", "reason": str(error)}
    except MachineCannot as error:
        return {"kind": "machine", "reason": str(error)}
    return {"kind": "asked", "reason": "the supervisor ended it"}


def leave_parent(keep: int, title: str, *, end_with_parent: bool) -> None:
    """Make a forked process one of its own, called `title`, which keeps only the standard descriptors and `keep`."""
    libc = ctypes.CDLL(None, use_errno=True)
    if end_with_parent:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    libc.prctl(_PR_SET_NAME, title.encode()[:15])
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the supervisor
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.closerange(3, keep)
    os.closerange(keep + 1, os.sysconf("SC_OPEN_MAX"))


class _LineHandler(logging.Handler):
    def __init__(self, line: LineSocket) -> None:
        super().__init__()
        self._line = line

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):
            self._line.send({"event": "log", "level": record.levelno, "text": self.format(record)})


def log_to(line: LineSocket) -> None:
    """Have everything that is logged said on the line."""
    root = logging.getLogger()
    root.handlers[:] = [_LineHandler(line)]
