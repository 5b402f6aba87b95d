"""The suite notices a vchan that does not keep the contract: each of these breaks one sentence of it."""

import itertools
import os
from pathlib import Path
from typing import Any

import pytest

from backends.base import VchanState
from backends.conformance import VchanEnds, VchanMaker, check_vchan
from backends.local.vchan import LocalClient, LocalServer, _Stream


class NeverWakes(_Stream):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.dead = os.eventfd(0, os.EFD_CLOEXEC)

    def fileno(self) -> int:
        return self.dead

    def close(self) -> None:
        super().close()
        if self.dead >= 0:
            os.close(self.dead)
            self.dead = -1


class AlwaysWakes(NeverWakes):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        os.eventfd_write(self.dead, 1)


class DoesNotWakeForSpace(_Stream):
    def _want_space(self, wanted: bool) -> None:
        self._wants_space = wanted


class WakesForTheEndForEver(_Stream):
    def data_ready(self) -> int:
        return super().data_ready() + (self.state is VchanState.DISCONNECTED)


class LosesLastWords(_Stream):
    def read(self, size: int) -> bytes:
        return b"" if self.state is VchanState.DISCONNECTED else super().read(size)


class ReadsTooMuch(_Stream):
    def read(self, size: int) -> bytes:
        return super().read(size + 1)


class Corrupts(_Stream):
    def write(self, data: bytes | bytearray | memoryview) -> int:
        return super().write(bytes(data).replace(b"\x07", b"\x08"))


class TakesWhatItCannot(_Stream):
    def write(self, data: bytes | bytearray | memoryview) -> int:
        super().write(data)
        return len(data)


class TakesBytesBeforeThePeerIsThere(_Stream):
    def write(self, data: bytes | bytearray | memoryview) -> int:
        return len(data) if self.state is VchanState.WAITING else super().write(data)


class PromisesTooMuchSpace(_Stream):
    def buffer_space(self) -> int:
        return 3 * super().buffer_space()


class PromisesNoSpace(_Stream):
    def buffer_space(self) -> int:
        return 0


class PromisesBytes(_Stream):
    def data_ready(self) -> int:
        return 1


class ComesBack(_Stream):
    def update(self) -> VchanState:
        state = super().update()
        return VchanState.WAITING if state is VchanState.DISCONNECTED else state


class NeverNoticesTheEnd(_Stream):
    @property
    def state(self) -> VchanState:
        return VchanState.CONNECTED if super().state is VchanState.DISCONNECTED else super().state


class ClosesOnce(_Stream):
    def close(self) -> None:
        assert not self._epoll.closed, "closed twice"
        super().close()


class Leaks(_Stream):
    def close(self) -> None:
        LEAKED.append(os.eventfd(0))
        super().close()


LEAKED: list[int] = []
_PORTS = itertools.count(1)


def maker_of(flaw: type, directory: Path) -> VchanMaker:
    """Ends of the local backend with the flaw."""
    server_class: Any = type("Server", (flaw, LocalServer), {})
    client_class: Any = type("Client", (flaw, LocalClient), {})

    def make() -> VchanEnds:
        address = (directory, 1, 0, next(_PORTS))
        return VchanEnds(lambda: server_class(*address), lambda: client_class(*address))

    return make


@pytest.mark.parametrize(
    ("flaw", "complaint"),
    [
        (NeverWakes, "woke up"),
        (AlwaysWakes, "for ever"),
        (DoesNotWakeForSpace, "made space"),
        (WakesForTheEndForEver, "for ever|last bytes|there is data"),
        (LosesLastWords, "not all can be read"),
        (ReadsTooMuch, "first byte"),
        (Corrupts, "not what"),
        (TakesWhatItCannot, "takes bytes|not what|buffered"),
        (TakesBytesBeforeThePeerIsThere, "takes bytes"),
        (PromisesTooMuchSpace, "buffer_space"),
        (PromisesNoSpace, "buffer_space"),
        (PromisesBytes, "there is data"),
        (ComesBack, "become disconnected|became"),
        (NeverNoticesTheEnd, "closed end is connected"),
        (ClosesOnce, "closed twice"),
        (Leaks, "leaks descriptors"),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a check that fails closes nothing
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_flaw_is_noticed(flaw: type, complaint: str, socket_dir: Path) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_vchan(maker_of(flaw, socket_dir))
    while LEAKED:
        os.close(LEAKED.pop())
