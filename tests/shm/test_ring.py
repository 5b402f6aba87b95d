"""A ring carries bytes in order whatever the sizes of pieces, rings when somebody sleeps, and believes nothing."""

import multiprocessing
from array import array
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guiproto.errors import PeerMisbehaved
from shm.region import Region
from shm.ring import WORDS, Consumer, Producer, reset

SIZE = 64


def ring(size: int = SIZE) -> tuple[memoryview, Producer, Consumer]:
    words = memoryview(bytearray(WORDS * 4)).cast("I")
    data = memoryview(bytearray(size))
    reset(words)
    return words, Producer(words, data), Consumer(words, data)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 100)), max_size=200))
def test_bytes_come_out_as_they_went_in(steps: list[tuple[bool, int]]) -> None:
    _, producer, consumer = ring()
    sent, received, number = bytearray(), bytearray(), 0
    for writes, size in steps:
        if writes:
            piece = bytes((number + i) % 256 for i in range(size))
            count, _ = producer.write(piece)
            assert count == min(size, SIZE - (len(sent) - len(received)))
            sent += piece[:count]
            number += count
        else:
            received += consumer.read(size)[0]
        assert consumer.available() == len(sent) - len(received)
    assert sent.startswith(received)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 100)), max_size=100))
def test_whoever_sleeps_is_rung_for(steps: list[tuple[bool, int]]) -> None:
    _, producer, consumer = ring()
    reader_sleeps = writer_sleeps = False
    for writes, size in steps:
        if writes:
            count, rung = producer.write(bytes(size))
            assert rung or not (reader_sleeps and count)
            reader_sleeps = reader_sleeps and not count
            writer_sleeps = count < size and producer.want_space() == 0
        else:
            data, rung = consumer.read(size)
            assert rung or not (writer_sleeps and data)
            writer_sleeps = writer_sleeps and not data
            reader_sleeps = len(data) < size and consumer.want_data() == 0


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(0, WORDS - 1), st.integers(0, 0xFFFFFFFF)), max_size=8), st.integers(0, 200),
    st.integers(0, 200),
)  # fmt: skip
def test_any_words_are_an_error_or_wrong_bytes(pokes: list[tuple[int, int]], first: int, second: int) -> None:
    words, producer, consumer = ring()
    producer.write(bytes(first))
    consumer.read(second)
    for at, value in pokes:
        words[at] = value
    calls: list[Callable[[], int]] = [
        consumer.available, lambda: len(consumer.read(1000)[0]), consumer.want_data, producer.space,
        lambda: producer.write(bytes(1000))[0], producer.want_space,
    ]  # fmt: skip
    for call in calls:
        try:
            assert 0 <= call() <= SIZE
        except PeerMisbehaved:
            continue  # the one error there is


@pytest.mark.parametrize("start", [0, 0xFFFFFF00])
def test_indices_wrap_around(start: int) -> None:
    words, producer, consumer = ring()
    words[0] = words[16] = start
    producer._prod = consumer._cons = start
    for number in range(100):
        piece = bytes([number]) * (number % SIZE + 1)
        assert producer.write(piece)[0] == len(piece)
        assert consumer.read(SIZE)[0] == piece


def _produce(region: Region, sizes: list[int], payload: bytes) -> None:
    words, data = _parts(region)
    producer = Producer(words, data)
    sent = 0
    for size in sizes:
        piece = payload[sent : sent + size]
        while piece:
            count, _ = producer.write(piece)
            sent += count
            piece = piece[count:]


def _parts(region: Region) -> tuple[memoryview, memoryview]:
    view = region.view(writable=True)
    return view[: WORDS * 4].cast("I"), view[4096 : 4096 + 1024]


def test_two_processes() -> None:
    """Busy on both sides, pieces of random sizes: what is lost or out of order shows."""
    random = np.random.default_rng(7)
    sizes = array("I", random.integers(1, 3000, 2000).tolist()).tolist()
    payload = random.bytes(sum(sizes))
    region = Region.create(8192)
    words, data = _parts(region)
    reset(words)
    other = multiprocessing.get_context("fork").Process(target=_produce, args=(region, sizes, payload))
    other.start()
    consumer = Consumer(words, data)
    received = bytearray()
    while len(received) < len(payload):
        received += consumer.read(int(random.integers(1, 1500)))[0]
        assert other.is_alive() or consumer.available() or len(received) == len(payload)
    other.join()
    assert received == payload
    region.close()
