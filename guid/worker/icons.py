"""The second vchan of a VM, over which its agent sends icons of its windows. Windows do not depend on it.

Old agents have none: then nobody ever answers, and the windows keep their label's icon. One that breaks the stream's
rules is cut off until the agent comes again; one that hangs up may be there again a second later.
"""

import logging
import select
import time
from collections.abc import Callable, Container
from typing import Final

from backends.base import Backend, Vchan, VchanState
from guid.core.icons import Icons
from guid.core.trusted import Icon, WindowId
from guid.spec import VmSpec
from guiproto.errors import MachineCannot, PeerMisbehaved
from guiproto.icons import IconDecoder
from guiproto.ports import ICON_PORT

RETRY_SECONDS: Final = 1.0
_READ_BYTES: Final = 64 * 1024
"""In one turn of the loop: about as long as the windows may have to wait for it."""

log = logging.getLogger("guid")


class IconLine:
    """Reads icons and has them shown, never more than `Icons` lets through."""

    def __init__(
        self,
        spec: VmSpec,
        backend: Backend,
        poll: select.epoll,
        wakers: dict[int, Callable[[], None]],
        show: Callable[[WindowId, Icon], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`poll`, `wakers`: the loop's, in which the vchan's descriptor is while it is open."""
        self._spec = spec
        self._backend = backend
        self._poll = poll
        self._wakers = wakers
        self._show = show
        self._clock = clock
        self._vchan: Vchan | None = None
        self._listening = False
        self._decoder = IconDecoder()
        self._icons = Icons()
        self._open_at: float | None = None

    def open(self) -> None:
        """The VM's agent is there: look for its icons from now on."""
        self.close()
        try:
            self._vchan = self._backend.client(self._spec.gui_domid, self._spec.domid, ICON_PORT)
        except MachineCannot as error:
            log.debug("%s: no icons of its own: %s", self._spec.name, error)
            return
        fd = self._vchan.fileno()
        self._poll.register(fd, select.EPOLLIN)
        self._wakers[fd] = self._proceed
        self._listening = True

    def close(self) -> None:
        """Look no more. What was shown stays. May be called twice."""
        self._open_at = None
        vchan, self._vchan = self._vchan, None
        if vchan is not None:
            self._poll.unregister(vchan.fileno())
            del self._wakers[vchan.fileno()]
            vchan.close()
        self._decoder, self._icons = IconDecoder(), Icons()

    def settle(self, shown: Container[WindowId]) -> float | None:
        """Show what is due of the windows `shown`; seconds until there may be more to do, None for never."""
        if self._open_at is None and self._icons.empty:
            return None
        now = self._clock()
        if self._open_at is not None and self._open_at <= now:
            self.open()
        for window, icon in self._icons.take(now, shown):
            self._show(window, icon)
        self._listen(not self._icons.full)
        moments = [at for at in (self._open_at, self._icons.deadline()) if at is not None]
        return max(0.0, min(moments) - now) if moments else None

    def _listen(self, listening: bool) -> None:
        if self._vchan is not None and listening is not self._listening:
            self._listening = listening
            self._poll.modify(self._vchan.fileno(), select.EPOLLIN if listening else 0)

    def _proceed(self) -> None:
        try:
            self._read()
        except PeerMisbehaved as error:
            log.warning("%s: no more icons of its own: %s", self._spec.name, error)
            self.close()
        except MachineCannot as error:
            log.debug("%s: no icons of its own: %s", self._spec.name, error)
            self.close()

    def _read(self) -> None:
        vchan = self._vchan
        assert vchan is not None
        if vchan.update() is VchanState.WAITING:
            return
        data = vchan.read(_READ_BYTES)
        if data:
            self._decoder.feed(data)
            for icon in self._decoder.icons():
                self._icons.add(icon)
        elif vchan.update() is VchanState.DISCONNECTED and not vchan.data_ready():
            self.close()
            self._open_at = self._clock() + RETRY_SECONDS
