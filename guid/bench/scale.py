"""What N AppVMs cost: memory, wake-ups while nothing happens, start-up time, and whether they share the display fairly.

The AppVMs are real ones, started through a supervisor of their own as `guid run` does, with one idle program each.
"""

import contextlib
import dataclasses
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from guid.bench.accounting import children, memory_mib, wake_ups
from guid.bench.bed import DESK, Bed
from guid.bench.shares import shares
from guid.control import Client
from guid.spec import ViewSpec, VmSpec
from guid.supervisor import daemon
from guiproto.errors import MachineCannot

_SETTLE_SECONDS: Final = 2.0
_TIMEOUT: Final = 120.0
_PROGRAM: Final = ("xmessage", "-timeout", "0", "an idle window")
_MIB_PER_VM: Final = 90
"""What one AppVM was seen to need at most, with its X server and its program."""


def scale(vms: int, idle_seconds: float, share_seconds: float, tell: Callable[[str], None]) -> dict[str, Any]:
    """Figures of `vms` AppVMs at a time; they are gone afterwards. Raises MachineCannot where memory is too short."""
    _check_memory(vms)
    with Bed() as bed, _supervisor(bed) as runtime:
        found = _lives(bed, runtime, vms, idle_seconds, tell)
    tell(f"{vms} at once")
    with Bed() as bed:
        return {"vms": vms, **found, **shares(bed, vms, share_seconds)}


def _check_memory(vms: int) -> None:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) // 1024
            if vms * _MIB_PER_VM > free:
                raise MachineCannot(
                    f"{vms} AppVMs need about {vms * _MIB_PER_VM} MiB, {free} MiB are free", "give a smaller --vms"
                )


@contextmanager
def _supervisor(bed: Bed) -> Iterator[Path]:
    """A runtime directory in which commands find a supervisor that nobody else uses."""
    runtime = bed.directory / "runtime"
    runtime.mkdir(mode=0o700)
    before = os.environ.get("GUID_RUNTIME_DIR")
    os.environ["GUID_RUNTIME_DIR"] = str(runtime)
    try:
        yield runtime
    finally:
        with contextlib.suppress(MachineCannot), daemon.connect(runtime) as client:
            client.request("stop", all=True)
        if before is None:
            del os.environ["GUID_RUNTIME_DIR"]
        else:
            os.environ["GUID_RUNTIME_DIR"] = before


def _lives(bed: Bed, runtime: Path, vms: int, idle_seconds: float, tell: Callable[[str], None]) -> dict[str, Any]:
    first_window: list[float] = []
    clients: list[Client] = []
    try:
        for number in range(1, vms + 1):
            if number in (1, vms) or number % 10 == 0:
                tell(f"AppVM {number} of {vms}")
            start = time.perf_counter()
            clients.append(_start(bed, runtime, number))
            first_window.append(_until_painted(runtime, number) - start)
        time.sleep(_SETTLE_SECONDS)
        with daemon.connect(runtime) as client:
            rows = client.request("ps")["vms"]
        parts: dict[str, list[int]] = {"worker": [row["worker_pid"] for row in rows]}
        parts["qubesdb"] = [row["qubesdb_pid"] for row in rows if row["qubesdb_pid"] is not None]
        for row in rows:
            for pid in children(row["vm_pid"]):
                parts.setdefault(_role(pid), []).append(pid)
        watched = parts["worker"] + parts.get("agent", [])
        tell(f"nothing happens for {idle_seconds:g} s")
        before = {pid: wake_ups(pid) for pid in watched}
        time.sleep(idle_seconds)
        woken = {pid: wake_ups(pid) - before[pid] for pid in watched}
        memory = {role: [memory_mib(pid) for pid in pids] for role, pids in parts.items()}
    finally:
        for client in clients:
            client.close()
    return {
        "start_cold_ms": first_window[0] * 1000,
        "start_warm_ms": statistics.median(first_window[1:]) * 1000 if vms > 1 else None,
        "start_slowest_ms": max(first_window) * 1000,
        "worker_pss_mib": statistics.median(pss for pss, _ in memory["worker"]),
        "worker_private_mib": statistics.median(private for _, private in memory["worker"]),
        "agent_pss_mib": statistics.median(pss for pss, _ in memory["agent"]),
        "pss_per_vm_mib": sum(pss for pids in memory.values() for pss, _ in pids) / vms,
        "pss_by_role_mib": {role: sum(pss for pss, _ in pids) / vms for role, pids in memory.items()},
        "idle_seconds": idle_seconds,
        "worker_wake_ups": sum(woken[pid] for pid in parts["worker"]),
        "agent_wake_ups": sum(woken[pid] for pid in parts.get("agent", [])),
    }


def _start(bed: Bed, runtime: Path, number: int) -> Client:
    spec = VmSpec(
        name=f"idle{number}", domid=number, label="green", view=ViewSpec(display=bed.desk.display), environ={}
    )
    domain = {
        "name": spec.name, "domid": number, "gui_domid": 0, "command": list(_PROGRAM), "screen": DESK,
        "outlive_parent": True,
    }  # fmt: skip
    client = daemon.connect(runtime)
    client.request("run", vm=dataclasses.asdict(spec), domain=domain, kept=False)
    return client


def _until_painted(runtime: Path, domid: int) -> float:
    end = time.monotonic() + _TIMEOUT
    with daemon.connect(runtime) as client:
        while time.monotonic() < end:
            for row in client.request("windows")["windows"]:
                if row["domid"] == domid and row["mapped"] and row["damage_rects"]:
                    return time.perf_counter()
            time.sleep(0.01)
    raise MachineCannot(f"no window of AppVM {domid} in {_TIMEOUT:g} s", "see supervisor.log")


def _role(pid: int) -> str:
    name = Path(f"/proc/{pid}/comm").read_text().strip()
    roles = {
        "guiagent": "agent",
        "Xvfb": "x_server",
        "Xwayland": "x_server",
        "xwayland-keeper": "keeper",
        "xmessage": "program",
        "qubesdb-daemon": "qubesdb",
    }
    return roles.get(name, "session")
