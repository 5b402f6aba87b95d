"""Which source of windows is the right one here: the one that copies least of those that can work."""

import shutil
from typing import Final, NamedTuple

from backends.base import Backend
from guiagent.sources.registry import SOURCES
from guiproto.errors import MachineCannot

AUTO: Final = "auto"
CHOICES: Final = (AUTO, *SOURCES)
_COPYING: Final = "x11"
_SHARING: Final = "xwayland"
_PROGRAM: Final = "Xwayland"


class Choice(NamedTuple):
    """A source by its name, and why."""

    source: str
    why: str


def for_session(wished: str, backend: Backend) -> Choice:
    """For an AppVM whose display server is to be started. Raises MachineCannot when the wish cannot be fulfilled."""
    if wished == _COPYING:
        return Choice(_COPYING, "as wished")
    lack = (
        f"backend {backend.name} shares no memory that programs allocate" if not backend.adopts
        else f"{_PROGRAM} is not installed" if shutil.which(_PROGRAM) is None
        else ""
    )  # fmt: skip
    if wished == _SHARING and lack:
        raise MachineCannot(f"windows cannot come from {_SHARING}: {lack}", f"choose the source {_COPYING}")
    if lack:
        return Choice(_COPYING, lack)
    return Choice(_SHARING, "as wished" if wished == _SHARING else "nothing is copied so")


def for_display(wished: str, backend: Backend, display: str | None) -> Choice:
    """For an X server that runs already. Raises MachineCannot where there is none, or the wish cannot be fulfilled."""
    if wished == _COPYING:
        return Choice(_COPYING, "as wished")
    if not backend.adopts:
        return for_session(wished, backend)
    from guiagent.sources.xwayland.source import keeper_of
    from shm.xconn import XConnection

    connection = XConnection(display)
    try:
        kept = keeper_of(connection.display) is not None
    finally:
        connection.close()
    if kept or wished == _SHARING:  # which says what is wrong with this display
        return Choice(_SHARING, "as wished" if wished == _SHARING else "nothing is copied so")
    return Choice(_COPYING, "the X server is no Xwayland of ours")
