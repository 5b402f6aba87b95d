"""A daemon's local sockets, one for reading and writing and one for reading, and the connections to them."""

import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from backends.rendezvous import Listener
from guiproto.errors import MachineCannot

_BACKLOG: Final = 64
_READ_BYTES: Final = 64 * 1024
DEFAULT_DIR: Final = "/var/run/qubes"
"""Where programs in a Qubes VM look for its daemon; $QUBESDB_SOCKET_DIR overrides it here."""
SOCKET_DIR: Final = "QUBESDB_SOCKET_DIR"


def socket_path(directory: Path, vm: str | None = None, *, writable: bool = True) -> Path:
    """A socket's place as Qubes names it: the admin side's for that VM, or, if None, that in a VM for its programs.

    Raises MachineCannot for a name that would make it another VM's socket, or none in that directory.
    """
    if vm is not None and (not vm or "/" in vm or vm.startswith(".") or vm.endswith(".ro")):
        raise MachineCannot(f"there is no Qubes DB for a VM called {vm!r}", "leave out slashes and a .ro at the end")
    return directory / f"qubesdb{'' if vm is None else f'.{vm}'}{'' if writable else '.ro'}.sock"


def listen(path: Path, *, writable: bool) -> Listener:
    """Raises MachineCannot. Whoever can reach the directory may read; writing is for its owner."""
    return Listener(
        path,
        socket.SOCK_STREAM,
        f"the Qubes DB socket {path.name}",
        backlog=_BACKLOG,
        mode=0o600 if writable else 0o666,
    )


def vm_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the sockets are in a VM."""
    return Path(environ.get(SOCKET_DIR) or DEFAULT_DIR)


def receive(connection: socket.socket, take: Callable[[bytes], None]) -> bool:
    """Hand over what has arrived; False when the connection has ended."""
    try:
        data = connection.recv(_READ_BYTES)
    except BlockingIOError:
        return True
    except OSError:
        return False
    if data:
        take(data)
    return bool(data)


def send(connection: socket.socket, out: bytearray) -> bool:
    """Send what fits and take it out of `out`; False when the connection has ended."""
    try:
        while out:
            del out[: connection.send(out, socket.MSG_NOSIGNAL)]
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True
