"""Starts a worker inside an AppVM that is a GUI domain, and what connects it to the one VM that it shows."""

import dataclasses
import gc
import logging
import os
import socket
import sys
from typing import Any

from backends import registry
from backends.base import DOOR, DomainDriver
from guid.control import LineSocket
from guid.spec import VmSpec
from guid.worker.child import Child
from guid.worker.process import leave_parent
from guid.worker.worker import PORTS


def start_worker_within(spec: VmSpec, driver: DomainDriver) -> Child:
    """As `fork_worker`, in the AppVM `spec.gui_vm`, which `driver` knows. Raises MachineCannot."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    outer, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, outer, inner:
        fds = (theirs.fileno(), inner.fileno())
        argv = [sys.executable, "-sP", "-m", "guid.worker.inside", str(theirs.fileno())]
        try:
            pid = driver.enter(spec.gui_vm, argv, {DOOR: str(inner.fileno())}, fds)
        except BaseException:
            ours.close()
            raise
        inner.close()
        _fork_doorkeeper(spec, outer)
    line = LineSocket(ours, descriptors=True)
    line.send({"vm": dataclasses.asdict(spec)})
    return Child(pid, os.pidfd_open(pid), line)


def _fork_doorkeeper(spec: VmSpec, outer: socket.socket) -> None:
    """Nobody's child, so that nobody has to wait for it: it ends when the worker does."""
    gc.freeze()
    first = os.fork()
    if first:
        os.waitpid(first, 0)
        return
    try:
        if os.fork() == 0:
            leave_parent(outer.fileno(), f"door:{spec.name}", end_with_parent=False)
            backend = registry.load(spec.backend, _environ(spec))
            backend.keep_door(outer, spec.gui_domid, spec.domid, PORTS)
    except BaseException:
        logging.getLogger("guid").exception("this is a bug in what connects %s", spec.name)
    finally:
        os._exit(0)


def _environ(spec: VmSpec) -> dict[str, Any]:
    sys.path.extend(entry for entry in spec.python_path if entry not in sys.path)
    return {**os.environ, **spec.environ}
