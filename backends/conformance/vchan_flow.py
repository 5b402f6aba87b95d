"""A vchan under pressure: full buffers, wake-ups for space, and peers that do not read."""

import random
import select
import time

from backends.base import Vchan, VchanState
from backends.conformance import waiting
from backends.conformance.vchan_ends import VchanMaker, connected, read_all
from backends.conformance.waiting import prompt, seeded, settle, wakes

_TRANSFER_BYTES = 2 * 1024 * 1024
_SANE_BUFFER_BYTES = 64 * 1024 * 1024


def check_buffer_space(maker: VchanMaker) -> None:
    """`buffer_space` bytes fit, at any fill level; something fits unless it is 0."""
    choose = seeded(5)
    with connected(maker()) as (server, client):
        for writer, reader in ((server, client), (client, server)):
            for _ in range(200):
                writer.update()
                space = writer.buffer_space()
                size = max(1, choose.choice((1, space, choose.randint(0, space))))
                written = writer.write(bytes(size))
                if space:
                    assert written == size, f"buffer_space() was {space}, but write took {written} of {size}"
                else:
                    assert written == 0, f"buffer_space() was 0, but write took {written}"
                    reader.update()
                    read_all(reader)


def check_transfer(maker: VchanMaker) -> None:
    """Megabytes go both ways at once through whatever buffers there are; each end acts only when it wakes up."""
    choose = seeded(4)
    with connected(maker()) as (server, client):
        pumps = [_Pump(server, choose), _Pump(client, choose)]
        poll = select.poll()
        for pump in pumps:
            poll.register(pump.end.fileno(), select.POLLIN)
            pump.turn()
        end = time.monotonic() + waiting.DEADLINE
        while any(pump.busy for pump in pumps) and time.monotonic() < end:
            ready = {fd for fd, _ in poll.poll(max(0.0, end - time.monotonic()) * 1000)}
            progress = [f"{len(pump.queue)} to send, {len(pump.received)} received" for pump in pumps]
            assert ready, f"no end woke up, but the transfer is not done: {progress}"
            for pump in pumps:
                if pump.end.fileno() in ready:
                    pump.turn()
        assert not any(pump.busy for pump in pumps), f"the transfer is not done in {waiting.DEADLINE:g} s: {progress}"
        assert bytes(pumps[0].received) == pumps[1].payload, "what the client wrote is not what the server read"
        assert bytes(pumps[1].received) == pumps[0].payload, "what the server wrote is not what the client read"


class _Pump:
    """One end that sends its payload and gathers the other's."""

    def __init__(self, end: Vchan, choose: random.Random) -> None:
        self.end = end
        self.payload = choose.randbytes(_TRANSFER_BYTES)
        self.queue = memoryview(self.payload)
        self.received = bytearray()
        self._choose = choose

    @property
    def busy(self) -> bool:
        return bool(self.queue) or len(self.received) < _TRANSFER_BYTES

    def turn(self) -> None:
        state = self.end.update()
        assert state is VchanState.CONNECTED, f"the vchan is {state.value} in the middle of a transfer"
        self.received += read_all(self.end, self._choose.choice((100, 4096, 1 << 18)))
        while self.queue:
            chunk = self.queue[: self._choose.choice((1, 1000, 100_000))]
            written = self.end.write(chunk)
            self.queue = self.queue[written:]
            if written < len(chunk):
                break


def check_clogged(maker: VchanMaker) -> None:
    """A peer that never reads costs a bounded buffer: `write` takes less and then nothing, and never waits."""
    with connected(maker()) as (server, client):
        for writer, reader in ((server, client), (client, server)):
            total = 0
            with prompt("writing to a peer that does not read"):
                while written := writer.write(bytes(100_000)):
                    total += written
                    assert total < _SANE_BUFFER_BYTES, f"{total} bytes are buffered for a peer that does not read"
            assert writer.write(b"more") == 0, "write took nothing, and then something, though nobody read"
            settle(writer, "an end that waits for space")
            reader.update()
            taken = len(read_all(reader))
            assert wakes(writer), "the peer made space after a short write, and fileno() does not wake up"
            settle(writer, "an end that found space and has nothing more to write")
            assert writer.write(b"more") == 4, f"the peer took {taken} bytes of {total}, and there is no space"
            settle(writer, "an end that has written everything")
        with prompt("closing a clogged vchan"):
            client.close()
