"""The KVM backend's vchan and pages do what every backend's must. Both ends are here, there is no guest."""

import itertools
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from backends.base import MachineCannot, PeerMisbehaved, VchanState
from backends.conformance import (
    PageEnds,
    PageMaker,
    VchanEnds,
    VchanMaker,
    check_pages,
    check_scattered_pages,
    check_vchan,
)
from backends.conformance.waiting import settle, wait_for_state
from backends.kvm.layout import BUFFERS_AT, Slots
from guiproto.limits import PAGE_SIZE
from tests.backends.kvm.line import backend

PORT = 6000


def new_vm(directory: Path) -> Callable[[], Path]:
    """Gives a new VM's directory each time."""
    numbers = itertools.count()

    def make() -> Path:
        vm = directory / f"vm{next(numbers)}"
        vm.mkdir()
        return vm

    return make


@pytest.fixture(params=["server in the guest", "server on the host"])
def vchans(socket_dir: Path, request: pytest.FixtureRequest) -> VchanMaker:
    vms = new_vm(socket_dir)

    def make() -> VchanEnds:
        place = vms()
        if request.param == "server in the guest":
            vm = backend(place, f"111:9,{PORT}:0")
            return VchanEnds(lambda: vm.server(9, 0, PORT), lambda: vm.client(0, 9, PORT))
        host, guest = (backend(place, f"{PORT}:0,111:9", side=side) for side in ("host", "guest"))
        return VchanEnds(lambda: host.server(0, 9, 111), lambda: guest.client(9, 0, 111))

    return make


@pytest.fixture
def pages(socket_dir: Path) -> PageMaker:
    vms = new_vm(socket_dir)

    def make() -> PageEnds:
        vm = backend(vms(), f"{PORT}:0", 512 << 20)
        return PageEnds(lambda: vm.sharer(9, 0), lambda: vm.mapper(0, 9))

    return make


def test_vchan(vchans: VchanMaker) -> None:
    check_vchan(vchans)


def test_pages(pages: PageMaker) -> None:
    check_pages(pages)
    check_scattered_pages(pages)


def test_two_vchans_of_one_vm_do_not_meet(socket_dir: Path) -> None:
    vm = backend(socket_dir, "6000:0,6000:7")
    ends = [vm.server(9, peer, PORT) for peer in (0, 7)] + [vm.client(peer, 9, PORT) for peer in (0, 7)]
    for _ in range(5):
        for end in ends:
            end.update()
    ends[0].write(b"to domain 0")
    ends[1].write(b"to domain 7")
    assert [ends[2].read(99), ends[3].read(99)] == [b"to domain 0", b"to domain 7"]
    for end in ends:
        end.close()


def test_a_line_that_ends_while_nobody_has_accepted_yet(socket_dir: Path) -> None:
    vm = backend(socket_dir, "6000:0")
    first, client = vm.server(9, 0, PORT), vm.client(0, 9, PORT)
    assert client.update() is VchanState.WAITING, "the server has not looked"
    first.close()
    settle(client, "a client whose line has ended")
    second = vm.server(9, 0, PORT)
    wait_for_state(VchanState.CONNECTED, second, client)
    client.close()
    second.close()


def test_a_vchan_that_the_domain_does_not_have(socket_dir: Path) -> None:
    with pytest.raises(MachineCannot, match=r"no vchan for port 6001 of domain 0.*6000:0"):
        backend(socket_dir, "6000:0").server(9, 0, 6001)


@pytest.mark.parametrize("text", ["", "6000", "6000:x", "1:0,1:0", ",".join(f"{n}:0" for n in range(9))])
def test_bad_lists_of_vchans(text: str) -> None:
    with pytest.raises(MachineCannot):
        Slots.parse(text)


@pytest.mark.parametrize("size", [0, 4095, 1 << 20, (64 << 20) + 4096])
def test_a_region_of_the_wrong_size(socket_dir: Path, size: int) -> None:
    vm = backend(socket_dir, "6000:0", size)
    for make in (lambda: vm.sharer(9, 0), lambda: vm.mapper(0, 9), lambda: vm.client(0, 9, PORT)):
        with pytest.raises(MachineCannot, match="a power of 2"):
            make()


def test_no_region(socket_dir: Path) -> None:
    vm = backend(socket_dir, "6000:0")
    os.unlink(socket_dir / "region")
    for make in (lambda: vm.sharer(9, 0), lambda: vm.mapper(0, 9), lambda: vm.client(0, 9, PORT)):
        with pytest.raises(MachineCannot, match="cannot open"):
            make()


def test_memory_that_is_used_up(socket_dir: Path) -> None:
    sharer = backend(socket_dir, "6000:0").sharer(9, 0)
    most = sharer.allocate((64 << 20) - BUFFERS_AT)
    with pytest.raises(MachineCannot, match="64 MiB of video memory"):
        sharer.allocate(PAGE_SIZE)
    sharer.release(most)
    sharer.allocate(PAGE_SIZE)
    sharer.close()


def test_memory_is_one_whoever_it_is_shared_with(socket_dir: Path) -> None:
    vm = backend(socket_dir, "6000:0,6000:32")
    first, second = vm.sharer(9, 0), vm.sharer(9, 32)
    pages = [sharer.allocate(3 * PAGE_SIZE) for sharer in (first, second, first, second)]
    assert len({ref for some in pages for ref in some.refs.tolist()}) == 12
    first.close()
    again = second.allocate(3 * PAGE_SIZE)
    assert not set(again.refs.tolist()) & set(pages[1].refs.tolist())
    assert set(again.refs.tolist()) <= set(pages[0].refs.tolist()) | set(pages[2].refs.tolist())
    second.close()
    third = vm.sharer(9, 0)
    third.release(third.allocate(PAGE_SIZE))
    third.close()


@pytest.mark.parametrize("first", [0, 1, BUFFERS_AT // PAGE_SIZE - 1, (64 << 20) // PAGE_SIZE, 0xFFFFFFFF])
def test_references_that_are_no_buffers(socket_dir: Path, first: int) -> None:
    mapper = backend(socket_dir, "6000:0").mapper(0, 9)
    for refs in ([first], [first, first + 1 & 0xFFFFFFFF], [first, 500, first]):
        with pytest.raises(PeerMisbehaved, match="page reference"):
            mapper.map(np.array(refs, np.uint32))
    mapper.close()


def test_a_hostile_page_of_control_words(socket_dir: Path) -> None:
    """Random words at random moments: an error of ours, or wrong bytes; no crash, no endless loop."""
    random = np.random.default_rng(3)
    outcomes: set[object] = set()
    for _ in range(300):
        vm = backend(socket_dir, "6000:0")
        server, client = vm.server(9, 0, PORT), vm.client(0, 9, PORT)
        for _ in range(3):
            server.update()
            client.update()
        with (socket_dir / "region").open("r+b") as file:
            for _ in range(int(random.integers(1, 4))):
                file.seek(PAGE_SIZE + 4 * int(random.integers(0, 3 * 64)))
                file.write(struct.pack("=I", int(random.choice([0, 1, 5, 65536, 65537, 1 << 31, 0xFFFFFFFF]))))
            file.flush()
            try:
                for end in (client, server):
                    end.update()
                    end.data_ready()
                    end.buffer_space()
                    end.read(1 << 20)
                    end.write(bytes(100))
                outcomes.add(client.state)
            except PeerMisbehaved as error:
                outcomes.add(str(error)[:11])
        client.close()
        server.close()
    assert len(outcomes) >= 3, f"the attack does something: {outcomes}"
