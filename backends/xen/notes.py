"""What is worth to know about the Xen domain that this is: for `guid doctor`."""

from backends.xen import dmabuf
from backends.xen.sharing import LIMIT, grant_limit
from backends.xen.store import Store
from guiproto.errors import MachineCannot


def notes(*, privileged: bool) -> list[str]:
    """A sentence each."""
    role = "dom0: frames of old agents (MFNDUMP) can be mapped" if privileged else "an ordinary domain"
    limit = grant_limit()
    return [
        f"This is {role}. X servers cannot attach grants: pixels are copied once.",
        _dmabuf(),
        f"It may grant {limit:,} pages of 4 KiB to others ({LIMIT})."
        if limit is not None
        else "It grants no pages to others: xen-gntalloc is not loaded, which only AppVMs need.",
    ]


def _dmabuf() -> str:
    try:
        store = Store()
        try:
            trouble = dmabuf.why_not(store.own_domid())
        finally:
            store.close()
    except MachineCannot as error:
        return f"Whether grants can be exported as dma-bufs could not be tried: {error}."
    if trouble:
        return f"Grants cannot be exported as dma-bufs here: {trouble}."
    return "Grants can be exported as dma-bufs here, which nothing makes use of yet."
