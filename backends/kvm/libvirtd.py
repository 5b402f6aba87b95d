"""Which libvirt is spoken to, and as whom."""

import os
import pwd
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from guiproto.errors import MachineCannot

DEFAULT_URI: Final = "qemu:///session"


def checked_uri(environ: Mapping[str, str]) -> str:
    """$LIBVIRT_DEFAULT_URI, or libvirt of this user. Raises MachineCannot for one on another machine."""
    uri = environ.get("LIBVIRT_DEFAULT_URI") or DEFAULT_URI
    parts = urlsplit(uri)
    if parts.netloc or "+" in parts.scheme:
        raise MachineCannot(
            f"{uri} is another machine's libvirt: the memory of its VMs cannot be mapped here",
            "run guid on that machine, with DISPLAY set to a display server there (for example Xvnc)",
        )
    if parts.scheme != "qemu" or parts.path not in ("/session", "/system"):
        raise MachineCannot(f"{uri} is no libvirt for QEMU", "use qemu:///session or qemu:///system")
    return uri


def unprivileged(uri: str) -> Sequence[str]:
    """What makes libvirt of this user work for root too.

    libvirt takes whoever has the user id 0 for the administrator, whose VMs belong to the whole machine. In a user
    namespace where the same user has another number, root's libvirt and QEMUs are like anybody's: they own root's files
    and have none of his privileges. The number must be one that the system has a name for, and always the same one.
    """
    if os.geteuid() != 0 or not uri.endswith("/session"):
        return ()
    user = min((entry for entry in pwd.getpwall() if entry.pw_uid != 0), key=lambda entry: entry.pw_uid)
    return "unshare", "--user", f"--map-user={user.pw_uid}", f"--map-group={user.pw_gid}", "--"
