"""Sources by name; nothing is imported before it is asked for."""

import importlib
from typing import Final, Protocol, cast

from backends.base import PageSharer
from guiagent.sources.base import Source
from guiproto.errors import MachineCannot

SOURCES: Final = {
    "x11": "guiagent.sources.x11.source:X11Source",
    "xwayland": "guiagent.sources.xwayland.source:XwaylandSource",
}
"""Name -> `module:factory`; the factory is a `SourceFactory`."""


class SourceFactory(Protocol):
    """Makes a source of the windows on `display`, whose buffers `sharer` shares."""

    def __call__(self, display: str | None, sharer: PageSharer, *, keep_screen: bool) -> Source:
        """`keep_screen`: the VM's own screen shows the windows too, for screenshots inside the VM.

        Raises MachineCannot with what is missing.
        """
        ...


def load(name: str) -> SourceFactory:
    """The source called `name`. Raises MachineCannot for an unknown name."""
    spec = SOURCES.get(name)
    if spec is None:
        raise MachineCannot(f"there is no source of windows called {name!r}", f"choose one of: {', '.join(SOURCES)}")
    module, _, attribute = spec.partition(":")
    return cast(SourceFactory, getattr(importlib.import_module(module), attribute))
