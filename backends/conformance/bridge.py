"""Carries standard input and output over a vchan, for checks in two domains that have no other line between them.

python3 -m backends.conformance.bridge server BACKEND DOMID PEER PORT COMMAND ...   there: runs the command
python3 -m backends.conformance.bridge client BACKEND DOMID PEER PORT               here: with this process's own
"""

import os
import select
import subprocess
import sys
from typing import Final

from backends import registry
from backends.base import Vchan, VchanState

_READ_BYTES: Final = 64 * 1024


def carry(vchan: Vchan, source: int, sink: int) -> None:
    """Until the source ends, or the vchan."""
    poll = select.poll()
    poll.register(vchan.fileno(), select.POLLIN)
    waiting = b""
    reads = False
    while True:
        state = vchan.update()
        while data := vchan.read(_READ_BYTES):
            left = memoryview(data)
            while left:
                left = left[os.write(sink, left) :]
        if state is VchanState.DISCONNECTED:
            return
        waiting = waiting[vchan.write(waiting) :] if waiting else b""
        wants = state is VchanState.CONNECTED and not waiting
        if wants and not reads:
            poll.register(source, select.POLLIN)
        elif reads and not wants:
            poll.unregister(source)
        reads = wants
        for fd, _ in poll.poll():
            if fd == source:
                waiting = os.read(source, _READ_BYTES)
                if not waiting:
                    return


def main() -> None:
    """See the module's text."""
    role, backend, *numbers = sys.argv[1:6]
    domid, peer, port = map(int, numbers)
    found = registry.load(backend, os.environ)
    if role == "client":
        carry(found.client(domid, peer, port), 0, 1)
        return
    while True:
        vchan = found.server(domid, peer, port)
        with subprocess.Popen(sys.argv[6:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            carry(vchan, process.stdout.fileno(), process.stdin.fileno())
            process.stdin.close()
            process.terminate()
        vchan.close()


if __name__ == "__main__":
    main()
