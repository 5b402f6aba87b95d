"""Whether this kernel makes a dma-buf of granted pages, found out by having it do so.

With one, a display server could read a guest's pages without our copy. Linux has it since 4.19 where it was built with
CONFIG_XEN_GNTDEV_DMABUF, and never in a paravirtualized dom0, whose grants are mapped in another way (gntdev's
`use_ptemod`). Nothing here uses dma-bufs yet: there is no kernel among those we can try that has them.
"""

import contextlib
import fcntl
import os
import struct
from pathlib import Path
from typing import Final

from backends.xen.libxen import ffi, library, trouble
from guiproto.errors import MachineCannot

_DEVICE: Final = Path("/dev/xen/gntdev")
_EXPORT: Final = struct.Struct("=5I")
"""struct ioctl_gntdev_dmabuf_exp_from_refs: flags, count, fd, domid, one reference."""
_EXPORT_IOCTL: Final = _EXPORT.size << 16 | ord("G") << 8 | 9
"""IOCTL_GNTDEV_DMABUF_EXP_FROM_REFS of include/uapi/xen/gntdev.h: _IOC(_IOC_NONE, 'G', 9, 20)."""


def why_not(domid: int) -> str:
    """What the kernel said when it was to export a page that domain `domid`, this one, grants itself; "" if it did.

    Raises MachineCannot when that could not be tried.
    """
    gntshr = library("gnttab").xengntshr_open(ffi().NULL, 0)
    if gntshr == ffi().NULL:
        raise MachineCannot(f"cannot grant pages: {trouble()}", "modprobe xen-gntalloc")
    try:
        refs = ffi().new("uint32_t[]", 1)
        page = library("gnttab").xengntshr_share_pages(gntshr, domid, 1, refs, 0)
        if page == ffi().NULL:
            raise MachineCannot(f"cannot grant a page: {trouble()}")
        try:
            return _export(domid, refs[0])
        finally:
            library("gnttab").xengntshr_unshare(gntshr, page, 1)
    finally:
        library("gnttab").xengntshr_close(gntshr)


def _export(domid: int, ref: int) -> str:
    wish = bytearray(_EXPORT.pack(0, 1, 0, domid, ref))
    try:
        with contextlib.closing(os.fdopen(os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC), "r+b", buffering=0)) as gntdev:
            fcntl.ioctl(gntdev, _EXPORT_IOCTL, wish)
    except OSError as error:
        return os.strerror(error.errno or 0)
    os.close(_EXPORT.unpack(wish)[2])
    return ""
