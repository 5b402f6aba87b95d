"""The X server has every extension that the source needs, or the user reads which ones it lacks."""

from dataclasses import dataclass
from typing import Any, Final

from guiproto.errors import MachineCannot
from shm.xconn import XConnection

_NEEDED: Final = {
    "composite": "Composite",
    "damage": "DAMAGE",
    "shape": "SHAPE",
    "xfixes": "XFIXES",
    "xtest": "XTEST",
    "xkb": "XKEYBOARD",
}


@dataclass(frozen=True, slots=True)
class Extension:
    """Where an extension's requests and events are."""

    major: int
    first_event: int


@dataclass(frozen=True, slots=True)
class Extensions:
    """All of them."""

    composite: Extension
    damage: Extension
    shape: Extension
    xfixes: Extension
    xtest: Extension
    xkb: Extension


def require(connection: XConnection) -> Extensions:
    """Look them up and agree on versions, without which servers refuse requests. Raises MachineCannot."""
    display: Any = connection.display
    found = {}
    missing = []
    for field, name in _NEEDED.items():
        answer = display.query_extension(name)
        if answer is None or not answer.present:
            missing.append(name)
        else:
            found[field] = Extension(int(answer.major_opcode), int(answer.first_event))
    if missing:
        lacks = f"the X server lacks {', '.join(missing)}"
        raise MachineCannot(lacks, "start it with these extensions: Xvfb and Xorg have them unless disabled")
    display.composite_query_version()
    display.damage_query_version()
    display.xfixes_query_version()
    return Extensions(**found)
