"""A worker that a VM has taken over speaks to the supervisor: real processes, on the line that workers have."""

import json
import logging
import os
import select
import time
from collections.abc import Callable, Iterator

import pytest

from backends.base import DomainDriver
from guid.control import LineSocket, Message
from guid.spec import VmSpec
from guid.supervisor import workers
from guid.supervisor.drivers import Drivers
from guid.supervisor.vm import Vm
from guid.supervisor.workers import Workers
from guid.worker.child import Child
from guid.worker.process import fork

Live = Callable[[LineSocket], object]


def say(line: LineSocket, *words: Message) -> None:
    os.set_blocking(line.fileno(), True)
    os.write(line.fileno(), b"".join(json.dumps(word).encode() + b"\n" for word in words))


def flood(line: LineSocket) -> None:
    """As one that is connected."""
    say(line, {"event": "connected", "version": "1.8"})
    while True:
        say(line, *[{"event": "log", "level": 20, "text": "look here"}] * 100)


def talk_nonsense(line: LineSocket) -> None:
    say(line, {"event": "connected", "version": "1.8"}, {"event": "obey"})
    time.sleep(1000)


def hang_up(line: LineSocket) -> None:
    say(line, {"event": "connected", "version": "1.8"})
    line.close()
    time.sleep(1000)


class House:
    """Stands for a supervisor, with a VM whose worker does as told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, live: Live) -> None:
        def hostile(line: LineSocket) -> dict[str, str]:
            live(line)
            return {}

        monkeypatch.setattr(workers, "fork_worker", lambda spec: fork(f"guid:{spec.name}", hostile))
        self.vm = Vm(VmSpec("bad", 7, "red"))
        self.poll = select.epoll()
        self.now = 0.0
        """Seconds that are skipped: pauses take no time here."""
        self.heard = 0
        self.told: list[str] = []
        self.workers = Workers(
            self, {"bad": self.vm}, Drivers(_no_driver, self.poll), self.poll, lambda: time.monotonic() + self.now
        )

    def worker_said(self, vm: Vm, message: Message) -> None:  # noqa: ARG002 - as the protocol has it
        self.heard += 1

    def worker_gone(self, vm: Vm) -> bool:  # noqa: ARG002
        return False

    def tell_user(self, vm: Vm, text: str) -> None:
        self.told.append(f"{vm.spec.name}: {text}")

    def cannot_show(self, vm: Vm, reason: str) -> None:
        raise AssertionError(f"{vm.spec.name}: {reason}")

    def resolve(self, spec: VmSpec) -> VmSpec:
        return spec

    def state_changed(self, vm: Vm) -> None: ...

    def until(self, true: Callable[[], bool]) -> None:
        """The supervisor's loop."""
        end = time.monotonic() + 60
        while not true():
            assert time.monotonic() < end
            for fd, _ in self.poll.poll(0.1):
                self.workers.ready(fd)
            self.workers.due(time.monotonic() + self.now)

    def restart(self) -> None:
        """Have its time come."""
        assert self.vm.restart_at is not None
        self.now += self.vm.backoff
        self.workers.due(time.monotonic() + self.now)

    def close(self) -> None:
        self.workers.drop(self.vm)
        self.poll.close()


def _no_driver(backend: str) -> DomainDriver:
    raise AssertionError(backend)


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[House]:
    made = House(monkeypatch, request.param)
    yield made
    made.close()


def child_of(house: House) -> Child:
    assert house.vm.child is not None
    return house.vm.child


@pytest.mark.parametrize(
    ("house", "fault"),
    [(flood, "its worker said too much"), (talk_nonsense, "its worker said what none says")],
    indirect=["house"],
)
def test_one_that_says_what_it_must_not_is_ended_and_begins_again_ever_later(
    house: House, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    house.workers.start(house.vm)
    pauses = []
    for turn in range(1, 9):
        heard = house.heard
        house.until(lambda turn=turn: house.vm.restarts == turn)  # type: ignore[misc] # mypy knows no bool of a default
        assert house.vm.child is None
        assert house.heard - heard < 4000
        pauses.append(house.vm.backoff)
        house.restart()
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    lines = [record.getMessage() for record in caplog.records if fault in record.getMessage()]
    assert lines == [f"bad: {fault}, and was ended; again in {pause:g} s" for pause in pauses], "a line each"
    assert house.told == [f"bad: {fault}, and was ended"] * 8
    assert len(caplog.records) < 300, "what it had logged was left out"


@pytest.mark.parametrize("house", [hang_up], indirect=True)
def test_one_that_hangs_up_and_goes_on_is_ended(house: House) -> None:
    house.workers.start(house.vm)
    house.until(lambda: child_of(house).overdue_at is not None)
    (due,) = house.workers.deadlines()
    assert due > time.monotonic()
    house.now += 10
    house.until(lambda: house.vm.restarts == 1)
    assert house.vm.reason == "its worker hung up and went on, and was ended"


@pytest.mark.parametrize("house", [lambda line: say(line, {"event": "connected", "version": "1"})], indirect=True)
def test_one_that_ends_is_waited_for(house: House) -> None:
    house.workers.start(house.vm)
    house.until(lambda: house.vm.restarts == 1)
    assert "and was ended" not in house.vm.reason
