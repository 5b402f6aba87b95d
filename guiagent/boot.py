"""From root to the VM's user: who that is, its Qubes DB says (/default-user), if it can be heard.

A VM's first process of ours starts as root, gives the user what is his, and goes on as `guiagent.session` in his name.
"""

import argparse
import logging
import os
import pwd
import select
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from backends import registry
from backends.base import Backend, VchanState
from guiagent import session
from guiproto.errors import MachineCannot, PeerMisbehaved
from guiproto.ports import ADMIN_DOMID, QUBESDB_PORT
from qubesdb.core import Core, Side
from qubesdb.keys import DEFAULT_USER
from qubesdb.link import Pending, VmLink
from qubesdb.namespace import Namespace

_SECONDS: Final = 5.0
"""How long the admin side may take: it is there when it started the VM, and not when somebody else did."""
_READ_BYTES: Final = 4096

log = logging.getLogger("session")


def first_look(backend: Backend, domid: int, seconds: float) -> Namespace | None:
    """What the admin side has now, asked for as the VM's daemon does, which is not there yet; None if it is not heard.

    Raises MachineCannot and PeerMisbehaved.
    """
    core = Core(Side.VM, Namespace())
    link = VmLink(core, log.warning, Pending())
    vchan = backend.client(domid, ADMIN_DOMID, QUBESDB_PORT)
    end = time.monotonic() + seconds
    try:
        while not link.synced and vchan.update() is not VchanState.DISCONNECTED:
            del link.out[: vchan.write(link.out)]
            if data := vchan.read(_READ_BYTES):
                link.receive(data)
            elif not select.select([vchan], [], [], max(0.0, end - time.monotonic()))[0]:
                return None
    finally:
        vchan.close()
    return core.namespace if link.synced else None


def user_of(namespace: Namespace | None, fallback: str) -> pwd.struct_passwd:
    """The user that it names, if there is such a one and it is not root; otherwise `fallback`, which there is."""
    raw = None if namespace is None else namespace.read(DEFAULT_USER.path)
    if raw is not None:
        try:
            found = pwd.getpwnam(DEFAULT_USER.parse(raw))
            if found.pw_uid != 0:
                return found
            log.warning("Qubes DB: %s is ignored: it is root", DEFAULT_USER.path)
        except ValueError as error:
            log.warning("Qubes DB: %s is ignored: %s", DEFAULT_USER.path, error)
        except KeyError:
            log.warning("Qubes DB: %s is ignored: there is no such user here", DEFAULT_USER.path)
    return pwd.getpwnam(fallback)


def main(argv: Sequence[str] | None = None) -> int:
    """Become the user and run the session, whose command line follows `--`. Returns its exit status."""
    parser = argparse.ArgumentParser(prog="guiagent.boot", description=__doc__)
    parser.add_argument("--user", required=True, help="who it is if Qubes DB does not say")
    parser.add_argument("--own", type=Path, action="append", default=[], metavar="PATH", help="made the user's")
    parser.add_argument("--backend", required=True)
    parser.add_argument("--domid", type=int, required=True)
    given = list(sys.argv[1:] if argv is None else argv)
    at = given.index("--")
    args = parser.parse_args(given[:at])
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    namespace = None
    try:
        namespace = first_look(registry.load(args.backend, os.environ), args.domid, _SECONDS)
    except (MachineCannot, PeerMisbehaved) as error:
        log.warning("Qubes DB: %s", error)
    user = user_of(namespace, args.user)
    for path in args.own:
        os.chown(path, user.pw_uid, user.pw_gid)
    os.initgroups(user.pw_name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    os.environ |= {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name, "SHELL": user.pw_shell}
    return session.main(given[at + 1 :])


if __name__ == "__main__":
    sys.exit(main())
