"""What systemd and a service say to each other: a socket that listens already, and that the service is ready.

The protocols are those of sd_listen_fds(3) and sd_notify(3). Without systemd nothing of it happens.
"""

import contextlib
import os
import socket
from collections.abc import MutableMapping
from typing import Final

from guiproto.errors import MachineCannot

_FIRST_FD: Final = 3


def listening_socket(environ: MutableMapping[str, str] = os.environ) -> socket.socket | None:
    """The listening socket that this process was started with; None if it was not. Only the first call gets it.

    Raises MachineCannot if it was given something else.
    """
    given = {name: environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")}
    if given["LISTEN_PID"] != str(os.getpid()):
        return None
    remedy = "`guid service install` writes units that fit"
    if given["LISTEN_FDS"] != "1":
        raise MachineCannot(f"systemd passed {given['LISTEN_FDS'] or 'no'} sockets and not 1", remedy)
    try:
        sock = socket.socket(fileno=_FIRST_FD)
    except OSError as error:
        raise MachineCannot(f"descriptor {_FIRST_FD} is no socket: {error.strerror}", remedy) from None
    if sock.family != socket.AF_UNIX or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.close()
        raise MachineCannot("what systemd passed does not listen for local connections", remedy)
    sock.set_inheritable(False)
    return sock


def notify(state: str, environ: MutableMapping[str, str] = os.environ) -> None:
    """Tell the service manager, if there is one: "READY=1", "STOPPING=1"."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # in the abstract namespace
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.connect(address)
        sock.sendall(state.encode())
