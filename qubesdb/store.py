"""The file in which the admin side keeps a VM's namespace while the VM runs.

    line 1   JSON: {"format": 1, "life": TEXT, "sha256": HEX of all that follows}
    then     the entries as `wire` has them, as in the answer to MULTIREAD

`life` names one life of the VM, from its start to its end: another one begins with other entries.
"""

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from guiproto.errors import MachineCannot, PeerMisbehaved
from qubesdb.core import encode_entries
from qubesdb.namespace import Namespace
from qubesdb.wire import Decoder, Kind

_FORMAT: Final = 1


class Damaged(MachineCannot):
    """The file is not what was written. It has been moved aside, nothing of it is lost."""


@dataclass(frozen=True, slots=True)
class Store:
    """The file `path`, for that life of the VM."""

    path: Path
    life: str

    def read(self) -> Namespace | None:
        """What was kept; None if nothing was, or that of another life. Raises Damaged, and the file is gone then."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise MachineCannot(f"cannot read {self.path}: {error.strerror}", "check the directory") from None
        try:
            life, namespace = _decoded(content)
        except (ValueError, KeyError, TypeError, PeerMisbehaved) as error:
            aside = self.path.with_name(f"{self.path.name}.damaged")
            self.path.replace(aside)
            raise Damaged(
                f"{self.path} is damaged: {error}", f"it is kept as {aside}; this VM begins with no values of its own"
            ) from None
        return namespace if life == self.life else None

    def write(self, namespace: Namespace) -> None:
        """Replace it at once and for good. Raises MachineCannot; the old one is there then."""
        records = encode_entries(namespace)
        head = {"format": _FORMAT, "life": self.life, "sha256": hashlib.sha256(records).hexdigest()}
        fresh = self.path.with_name(f"{self.path.name}.new")
        try:
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with open(fd, "wb") as file:
                file.write(json.dumps(head).encode() + b"\n" + records)
                file.flush()
                os.fsync(fd)
            fresh.replace(self.path)
            directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise MachineCannot(f"cannot write {self.path}: {error.strerror}", "is the disk full?") from None


def _decoded(content: bytes) -> tuple[str, Namespace]:
    """Raises one of several errors whose text says what is wrong."""
    line, _, records = content.partition(b"\n")
    head = json.loads(line)
    if head["format"] != _FORMAT:
        raise ValueError(f"format {head['format']!r} is unknown")
    if hashlib.sha256(records).hexdigest() != head["sha256"]:
        raise ValueError("its checksum is wrong")
    decoder = Decoder()
    decoder.feed(records)
    entries = []
    while (message := decoder.next()) is not None and message.path:
        if message.kind is not Kind.ENTRY:
            raise ValueError(f"a record of kind {message.kind:d}")
        entries.append((message.path, message.data))
    return str(head["life"]), Namespace(entries)
