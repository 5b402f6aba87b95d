"""A backend is found by its name, or as MODULE:FACTORY; nothing else needs to know which backends there are."""

import importlib
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, Final

from backends.base import Backend, MachineCannot

GROUP: Final = "odyssey_gui.backends"
"""The entry points' group. Each names a `backends.base.BackendFactory`."""

# What this project brings, for a source tree whose entry points are not installed.
_BUILT_IN: Final[Mapping[str, str]] = {
    "kvm": "backends.kvm:factory",
    "local": "backends.local:factory",
    "xen": "backends.xen:factory",
}


def _known() -> dict[str, str]:
    return {**_BUILT_IN, **{point.name: point.value for point in entry_points(group=GROUP)}}


def names() -> Sequence[str]:
    """The backends that `load` knows by name, sorted."""
    return sorted(_known())


def load(spec: str, environ: Mapping[str, str]) -> Backend:
    """The backend called `spec`, or made by the factory `spec` = "module:name", found on sys.path.

    `environ` is what the backend may take settings from. Raises MachineCannot for what cannot be found or imported.
    """
    target = spec if ":" in spec else _known().get(spec)
    if target is None:
        raise MachineCannot(f"there is no backend {spec!r}", f"known are {', '.join(names())}, or give MODULE:FACTORY")
    module_name, _, attributes = target.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for attribute in attributes.split("."):
            found = getattr(found, attribute)
    except Exception as error:  # importing runs a third party's code, which may fail in any way
        raise MachineCannot(
            f"backend {spec!r} cannot be imported: {type(error).__name__}: {error}",
            "is it installed, or its directory in PYTHONPATH?",
        ) from error
    if not callable(found):
        raise MachineCannot(f"backend {spec!r} is not a factory", "it must be called with environ and return a Backend")
    backend = found(environ)
    if not isinstance(backend, Backend):
        raise MachineCannot(f"backend {spec!r} made {type(backend).__name__}, not a Backend", "see backends/base.py")
    return backend
