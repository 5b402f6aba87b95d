"""What a worker has for as long as one vchan connection lives: the wire, the session, and the pages that are mapped."""

import dataclasses

from backends.base import Backend, MappedPages, PageMapper
from guid.core import commands as do
from guid.core.session import Session
from guid.core.trusted import WindowId
from guid.hosts.base import DisplayHost
from guid.spec import VmSpec
from guiproto.connection import DaemonConnection
from guiproto.messages import Message


class Link:
    """What lives as long as one vchan connection."""

    def __init__(self, spec: VmSpec, backend: Backend) -> None:
        self.connection = DaemonConnection()
        self.mapper: PageMapper = backend.mapper(spec.gui_domid, spec.domid)
        self.session: Session | None = None
        self.out = bytearray()
        self.pages: dict[WindowId, MappedPages] = {}
        self.local_ids: dict[WindowId, int] = {}

    def send(self, message: Message) -> None:
        self.out += self.connection.encode(message)

    def map(self, command: do.AttachBuffer) -> MappedPages:
        pages = self.mapper.map_frames(command.refs) if command.frames else self.mapper.map(command.refs)
        if command.offset:
            view = pages.view[command.offset :] if pages.view is not None else None
            pages = dataclasses.replace(
                pages, offset=pages.offset + command.offset, length=pages.length - command.offset, view=view
            )
        return pages

    def release(self, window: WindowId) -> None:
        pages = self.pages.pop(window, None)
        if pages is not None:
            pages.release()

    def close(self, host: DisplayHost) -> None:
        for window in list(self.local_ids):
            host.destroy(window)
            self.release(window)
        self.local_ids.clear()
        self.mapper.close()
