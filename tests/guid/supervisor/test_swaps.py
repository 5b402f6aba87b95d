"""What the worker of a GUI domain says whose turn it is not yet."""

import dataclasses
import os
import select
import socket

from guid import parcel
from guid.control import LineSocket
from guid.spec import VmSpec
from guid.supervisor.swaps import Swaps
from guid.supervisor.vm import Vm
from guid.worker.child import Child


class Side:
    """The supervisor's part in a swap, with a target on whose line the test speaks."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.line = LineSocket(theirs, descriptors=True)
        self._end = os.eventfd(0)
        self.child = Child(0, self._end, LineSocket(ours, descriptors=True))

    def start_process(self, spec: VmSpec) -> Child:  # noqa: ARG002 - as the protocol has it
        return self.child

    def drop_worker(self, vm: Vm) -> None: ...

    def restart_worker(self, vm: Vm) -> None: ...

    def adopt_worker(self, vm: Vm, spec: VmSpec, child: Child | None) -> None: ...

    def prepare(self, vm: Vm, gui_domid: int) -> None: ...

    def commit(self, vm: Vm, gui_domid: int) -> None: ...

    def withdraw(self, vm: Vm) -> None: ...

    def close(self) -> None:
        self.line.close()
        self.child.line.close()
        os.close(self._end)


def test_what_it_copies_is_not_taken_for_what_it_copies_later() -> None:
    before = len(os.listdir("/proc/self/fd"))
    side, poll = Side(), select.epoll()
    swaps = Swaps(side, side, poll, lambda: 0.0)
    spec = VmSpec("work", 7, "blue")
    swaps.begin(Vm(spec), dataclasses.replace(spec, gui_domid=32, gui_domain="wall"), lambda *_: None)
    side.line.send({"event": "ready"})
    side.line.send({"event": "copying"})
    side.line.send({"event": "copied", "size": 5}, parcel.pack(b"early"))
    assert swaps.ready(side.child.line.fileno())
    assert side.child.line.take_descriptor() is None
    poll.close()
    side.close()
    assert len(os.listdir("/proc/self/fd")) == before
