"""Where running instances of guid keep their sockets and state: a directory that only its user can enter."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from guiproto.errors import MachineCannot


def runtime_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """$GUID_RUNTIME_DIR, or odyssey-gui under $XDG_RUNTIME_DIR, or /tmp/odyssey-gui-UID; made 0700 if missing.

    Raises MachineCannot if it belongs to somebody else or others may enter it.
    """
    if chosen := environ.get("GUID_RUNTIME_DIR"):
        path = Path(chosen)
    elif base := environ.get("XDG_RUNTIME_DIR"):
        path = Path(base) / "odyssey-gui"
    else:
        path = Path("/tmp") / f"odyssey-gui-{os.getuid()}"  # noqa: S108 - checked below for owner and mode
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise MachineCannot(
            f"cannot make {path}: {error.strerror}", "set GUID_RUNTIME_DIR to a private directory"
        ) from None
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise MachineCannot(
            f"{path} is not a private directory of this user", "remove it, or set GUID_RUNTIME_DIR to another place"
        )
    return path


def qubesdb_dir(runtime: Path) -> Path:
    """Where the admin side's Qubes DB daemons have their sockets and files."""
    return runtime / "qubesdb"
