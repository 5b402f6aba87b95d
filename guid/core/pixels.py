"""Buffers and what changes in them: nothing is painted of a window that has no buffer or cannot be seen.

Damage is taken as it comes and painted once per wake-up, from whatever buffer is attached by then.
"""

from itertools import pairwise
from typing import Final, TypeGuard

import numpy as np
from numpy.typing import NDArray

from guid.core import validate
from guid.core.commands import AttachBuffer, Command, DetachBuffer, Paint, SendToAgent
from guid.core.config import Limit, SessionConfig
from guid.core.damage import Damage
from guid.core.notices import Notices
from guid.core.windows import Window, WindowTable
from guiproto.errors import PeerMisbehaved
from guiproto.messages import DamageBatch, MfnDump, ShmImage, WindowDump, WindowDumpAck

_I32_MAX: Final = 2**31 - 1


class Pixels:
    """Handles the messages about buffers and damage."""

    def __init__(self, config: SessionConfig, windows: WindowTable, notices: Notices) -> None:
        self._config = config
        self._windows = windows
        self._notices = notices
        self._damage = Damage(config.paint_limit)

    def reconfigure(self, config: SessionConfig) -> None:
        """The user has changed the settings."""
        self._config = config

    def window_dump(self, message: WindowDump) -> list[Command]:
        """WINDOW_DUMP."""
        window = self._windows.get(message.window)
        return self._attach(message.window, window, validate.dump(message), frames=False)

    def mfn_dump(self, message: MfnDump) -> list[Command]:
        """MFNDUMP."""
        window = self._windows.get(message.window)
        if not self._config.allow_frames:
            raise PeerMisbehaved("MFNDUMP", "frame numbers are not allowed here")
        return self._attach(message.window, window, validate.frames(message), frames=True)

    def shm_image(self, message: ShmImage) -> list[Command]:
        """SHMIMAGE, alone."""
        number, x, y, width, height = message
        window = self._windows.get(number)
        if _is_seen(window) and x >= 0 and y >= 0 and width <= _I32_MAX and height <= _I32_MAX:
            self._damage.add(window.id, (x, y, width, height))
        return []

    def damage_batch(self, batch: DamageBatch) -> list[Command]:
        """Many SHMIMAGE in a row, without a step of Python for each."""
        windows, rects = batch
        if not len(windows):
            return []
        if (windows == windows[0]).all():
            self._run(int(windows[0]), rects)
            return []
        unknown = [number for number in np.unique(windows).tolist() if not self._windows.knows(number)]
        if unknown:
            # What came before the first message about an unknown window still counts.
            first = int(np.isin(windows, unknown).argmax())
            self.damage_batch(DamageBatch(windows[:first], rects[:first]))
            self._windows.get(int(windows[first]))
        order = np.argsort(windows, kind="stable")
        windows, rects = windows[order], rects[order]
        bounds = [0, *(np.flatnonzero(np.diff(windows)) + 1).tolist(), len(windows)]
        for start, end in pairwise(bounds):
            self._run(int(windows[start]), rects[start:end])
        return []

    def take_damage(self) -> list[Paint]:
        """What to paint for all damage since the last call, clipped to the buffers as they are now.

        Not clipped to the content: the host does that, and it alone knows how large the content is at this moment.
        """
        paints = []
        for number in self._damage.windows():
            window = self._windows.find(number)
            assert window is not None
            assert window.buffer is not None
            rects = self._damage.take(number, *window.buffer)
            if len(rects):
                window.damage_rects += len(rects)
                paints.append(Paint(number, rects))
        return paints

    def hidden(self, window: Window) -> None:
        """The window cannot be seen any more."""
        self._damage.forget(window.id)

    def detach(self, window: Window) -> list[Command]:
        """The window has no buffer any more."""
        self._damage.forget(window.id)
        if window.buffer is None:
            return []
        self._windows.attach(window, None, 0)
        return [DetachBuffer(window.id)]

    def _attach(self, number: int, window: Window | None, buffer: validate.Buffer, *, frames: bool) -> list[Command]:
        """Every dump is acknowledged, whatever becomes of it: until then the agent keeps the buffer before it."""
        acknowledge = SendToAgent(WindowDumpAck(number))
        if window is None:
            return [acknowledge]
        if window.docked and max(buffer.width, buffer.height) > self._config.quotas.icon:
            said = self._notices.once("an icon in the notification area grew too large and is not shown")
            return [*said, *self.detach(window), acknowledge]
        if not self._windows.has_pages(window, len(buffer.refs)):
            # The old buffer is given up as well: the agent frees it when it reads the acknowledgement.
            said = self._notices.reached(Limit.WINDOW_MEMORY)
            return [*said, *self.detach(window), acknowledge]
        self._windows.attach(window, (buffer.width, buffer.height), len(buffer.refs))
        attach = AttachBuffer(window.id, buffer.width, buffer.height, buffer.refs, frames, buffer.offset)
        return [attach, acknowledge]

    def _run(self, number: int, rects: NDArray[np.int32]) -> None:
        window = self._windows.get(number)
        if _is_seen(window):
            self._damage.add_many(window.id, rects)


def _is_seen(window: Window | None) -> TypeGuard[Window]:
    return window is not None and window.buffer is not None and (window.mapped or window.docked)
