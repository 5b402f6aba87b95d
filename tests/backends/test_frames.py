"""Frames come out as they went in, however the bytes arrive; anything else is the peer's misbehaviour."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.frames import DATA, HEAD, MAX_BYTES, PROBLEM, Frames, frame, write_all
from guiproto.errors import PeerMisbehaved

CONTENTS = st.lists(st.tuples(st.integers(0, PROBLEM), st.binary(max_size=300)), max_size=8)


@given(CONTENTS, st.integers(1, 400))
def test_frames_arrive_in_pieces(contents: list[tuple[int, bytes]], step: int) -> None:
    stream = b"".join(frame(kind, data) for kind, data in contents)
    frames = Frames()
    pieces = [stream[at : at + step] for at in range(0, len(stream), step)]
    assert [found for piece in pieces for found in frames.feed(piece)] == contents


@given(st.binary(max_size=200))
def test_any_bytes_are_frames_or_misbehaviour_whole_and_byte_by_byte_alike(stream: bytes) -> None:
    def outcome(pieces: list[bytes]) -> list[object]:
        frames, found = Frames(), list[object]()
        try:
            for piece in pieces:
                found.extend(frames.feed(piece))
        except PeerMisbehaved as error:
            found.append(str(error))
        return found

    assert outcome([stream]) == outcome([stream[at : at + 1] for at in range(len(stream))])


@pytest.mark.parametrize(("kind", "length"), [(PROBLEM + 1, 0), (255, 1), (DATA, MAX_BYTES + 1), (DATA, 0xFFFFFFFF)])
def test_what_cannot_be_a_frame_is_refused_before_it_is_waited_for(kind: int, length: int) -> None:
    with pytest.raises(PeerMisbehaved, match="command line"):
        list(Frames().feed(HEAD.pack(kind, length)))


def test_a_full_pipe_is_waited_for() -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    data = os.urandom(1 << 20)
    child = os.fork()
    if child == 0:
        os.close(write_end)
        found = bytearray()
        while piece := os.read(read_end, 1 << 16):
            found += piece
        os._exit(0 if found == data else 1)
    os.close(read_end)
    write_all(write_end, data)
    os.close(write_end)
    assert os.waitpid(child, 0)[1] == 0
