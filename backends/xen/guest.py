"""What a Xen guest finds in itself: its id, and the devices by which it grants pages and opens event channels."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from backends.machines.guest import Found
from backends.xen.store import Store

_MODULES: Final = ("xen-evtchn", "xen-gntdev", "xen-gntalloc")
_DEVICES: Final = ("evtchn", "gntalloc", "gntdev", "xenbus")
_LIMIT: Final = Path("/sys/module/xen_gntalloc/parameters/limit")
_GRANTS: Final = 1 << 17
"""Half a gigabyte of window buffers. The kernel's own limit of 1,024 pages is not even one window of full size; Xen's,
which the domain's definition sets, comes on top."""


def find(config: Mapping[str, Any], runtime: Path) -> Found:  # noqa: ARG001 - as every backend's
    """As `backends.machines.guest` wants it. Raises SystemExit with a sentence for the VM's console."""
    for module in _MODULES:
        subprocess.run(["modprobe", module], check=True)
    _LIMIT.write_text(str(_GRANTS))
    store = Store()
    try:
        domid = store.own_domid()
    finally:
        store.close()
    return Found(devices=[Path("/dev/xen") / name for name in _DEVICES], environ={}, domid=domid)
