"""Xen's libraries, called through their stable interfaces. They are found by name, whatever release is installed.

Needs the package python3-cffi, and on Debian libxengnttab1, libxenforeignmemory1, libxenstore4 and libxenmisc4.x.
"""

import ctypes.util
import functools
from typing import Any, Final

from guiproto.errors import MachineCannot

_DECLARATIONS: Final = """
typedef struct xengnttab xengnttab_handle;
xengnttab_handle *xengnttab_open(void *logger, unsigned open_flags);
int xengnttab_close(xengnttab_handle *xgt);
void *xengnttab_map_domain_grant_refs(xengnttab_handle *xgt, uint32_t count, uint32_t domid, uint32_t *refs, int prot);
int xengnttab_unmap(xengnttab_handle *xgt, void *start_address, uint32_t count);

typedef struct xengntshr xengntshr_handle;
xengntshr_handle *xengntshr_open(void *logger, unsigned open_flags);
int xengntshr_close(xengntshr_handle *xgs);
void *xengntshr_share_pages(xengntshr_handle *xgs, uint32_t domid, int count, uint32_t *refs, int writable);
int xengntshr_unshare(xengntshr_handle *xgs, void *start_address, uint32_t count);

typedef struct xenforeignmemory xenforeignmemory_handle;
xenforeignmemory_handle *xenforeignmemory_open(void *logger, unsigned open_flags);
int xenforeignmemory_close(xenforeignmemory_handle *fmem);
void *xenforeignmemory_map(xenforeignmemory_handle *fmem, uint32_t dom, int prot, size_t pages,
                           const uint64_t arr[], int err[]);
int xenforeignmemory_unmap(xenforeignmemory_handle *fmem, void *addr, size_t pages);

typedef struct libxenvchan libxenvchan;
libxenvchan *libxenvchan_server_init(void *logger, int domain, const char *xs_path, size_t read_min, size_t write_min);
libxenvchan *libxenvchan_client_init(void *logger, int domain, const char *xs_path);
void libxenvchan_close(libxenvchan *ctrl);
int libxenvchan_read(libxenvchan *ctrl, void *data, size_t size);
int libxenvchan_write(libxenvchan *ctrl, const void *data, size_t size);
int libxenvchan_wait(libxenvchan *ctrl);
int libxenvchan_fd_for_select(libxenvchan *ctrl);
int libxenvchan_is_open(libxenvchan *ctrl);
int libxenvchan_data_ready(libxenvchan *ctrl);
int libxenvchan_buffer_space(libxenvchan *ctrl);

typedef struct xs_handle xs_handle;
xs_handle *xs_open(unsigned long flags);
void xs_close(xs_handle *h);
void *xs_read(xs_handle *h, uint32_t transaction, const char *path, unsigned *len);
bool xs_write(xs_handle *h, uint32_t transaction, const char *path, const void *data, unsigned len);
struct xs_permissions { unsigned id; int perms; };
bool xs_set_permissions(xs_handle *h, uint32_t transaction, const char *path, struct xs_permissions *perms,
                        unsigned count);
bool xs_watch(xs_handle *h, const char *path, const char *token);
int xs_fileno(xs_handle *h);
char **xs_check_watch(xs_handle *h);
bool xs_is_domain_introduced(xs_handle *h, unsigned domid);
void free(void *);
"""
_LIBRARIES: Final = {
    "gnttab": ("xengnttab", "libxengnttab1"),
    "foreignmemory": ("xenforeignmemory", "libxenforeignmemory1"),
    "store": ("xenstore", "libxenstore4"),
    "vchan": ("xenvchan", "libxenmisc4.17 (or that of your Xen)"),
}


@functools.cache
def ffi() -> Any:
    """cffi's interface with all declarations. Raises MachineCannot where cffi is not installed."""
    try:
        import cffi
    except ImportError:
        raise MachineCannot("the Python module cffi is not installed", "apt install python3-cffi") from None
    made = cffi.FFI()
    made.cdef(_DECLARATIONS)
    return made


@functools.cache
def library(name: str) -> Any:
    """One of Xen's libraries: gnttab (with gntshr), foreignmemory, store, vchan. Raises MachineCannot."""
    short, package = _LIBRARIES[name]
    path = ctypes.util.find_library(short)
    if path is None:
        raise MachineCannot(f"lib{short} is not installed", f"apt install {package}")
    try:
        return ffi().dlopen(path)
    except OSError as error:
        raise MachineCannot(f"{path} cannot be loaded: {error}", f"apt install {package}") from None


@functools.cache
def libc() -> Any:
    """For `free`."""
    return ffi().dlopen(None)


def missing() -> list[str]:
    """What is lacking, a sentence each with the remedy."""
    found = []
    for name in _LIBRARIES:
        try:
            library(name)
        except MachineCannot as error:
            found.append(f"{error}.")
    return sorted(set(found))


def trouble() -> str:
    """C's errno, as text."""
    import os

    return os.strerror(ffi().errno)
