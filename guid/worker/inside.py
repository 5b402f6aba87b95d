"""A worker inside an AppVM that is a GUI domain: confined like its programs, on its display, a line to the supervisor.

It sees no other VM. Connections to the one that it shows come through a door that the supervisor has kept for it, see
`Backend.keep_door`. Its description is the first message on its line.
"""

import dataclasses
import os
import select
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: its threads are of no use here

from guid.config.settings import VmSettings
from guid.control import LineSocket, Message
from guid.spec import VmSpec
from guid.worker.process import log_to, serve
from guiproto.errors import MachineCannot

_DISPLAYS: Final = Path("/tmp/.X11-unix")  # noqa: S108 - X's own place


def display_here() -> str:
    """The display of the AppVM that this process is in. Raises MachineCannot if it has none."""
    numbers = sorted(int(path.name[1:]) for path in _DISPLAYS.glob("X*") if path.name[1:].isdecimal())
    if not numbers:
        raise MachineCannot("the AppVM has no display yet", "wait until its display server runs")
    return f":{numbers[0]}"


def described(messages: Sequence[Message]) -> VmSpec:
    """The VM of the first message, with its settings as they have become since that was sent. Raises MachineCannot."""
    spec = VmSpec.from_json(messages[0]["vm"])
    for message in messages[1:]:
        if message.get("op") == "settings":
            spec = dataclasses.replace(spec, settings=VmSettings(**message["settings"]))
    return spec


def main() -> int:
    """Serve on the line whose descriptor is the first argument."""
    line = LineSocket(socket.socket(fileno=int(sys.argv[1])), descriptors=True)
    messages: list[Message] = []
    while not messages and not line.closed:
        select.select([line.fileno()], [], [])
        messages = line.receive()
    if not messages:
        return 1

    log_to(line)
    try:
        spec = described(messages)
        view = dataclasses.replace(spec.view, host="x11", display=display_here())
        ended = serve(dataclasses.replace(spec, view=view, environ={}, python_path=()), line)
    except MachineCannot as error:
        ended = {"kind": "machine", "reason": str(error)}
    line.send({"event": "ended", **ended})
    return 0


if __name__ == "__main__":
    sys.exit(main())
