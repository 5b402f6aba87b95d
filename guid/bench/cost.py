"""What an AppVM costs when nothing happens: memory, wake-ups, and the time until its first window.

Every AppVM is a real one, started through a supervisor of its own as `guid run` does, with one idle program in it. The
first start is cold (it starts the supervisor too); the others are warm.
"""

import dataclasses
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from guid import daemon
from guid.bench.accounting import children, memory_mib, wake_ups
from guid.bench.bed import DESK, Bed
from guid.control import Client
from guid.spec import ViewSpec, VmSpec
from guiproto.errors import MachineCannot

_IDLE_SECONDS: Final = 5.0
_SETTLE_SECONDS: Final = 2.0
_TIMEOUT: Final = 60.0
_PROGRAM: Final = ("xmessage", "-timeout", "0", "an idle window")


def cost(vms: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Start `vms` AppVMs one after the other and measure each; they are gone afterwards."""
    with Bed() as bed:
        runtime = bed.directory / "runtime"
        runtime.mkdir(mode=0o700)
        os.environ["GUID_RUNTIME_DIR"] = str(runtime)
        try:
            return _measure(bed, runtime, vms, tell)
        finally:
            with daemon.connect(runtime) as client:
                client.request("stop", all=True)
            del os.environ["GUID_RUNTIME_DIR"]


def _measure(bed: Bed, runtime: Path, vms: int, tell: Callable[[str], None]) -> dict[str, Any]:
    first_window: list[float] = []
    clients: list[Client] = []
    for number in range(1, vms + 1):
        tell(f"AppVM {number} of {vms}")
        start = time.perf_counter()
        clients.append(_start(bed, runtime, number))
        first_window.append(_until_painted(runtime, number) - start)
    time.sleep(_SETTLE_SECONDS)
    with daemon.connect(runtime) as client:
        rows = client.request("ps")["vms"]
    workers = [row["worker_pid"] for row in rows]
    agents = [pid for row in rows for pid in children(row["vm_pid"]) if _name(pid) == "guiagent"]
    tell(f"nothing happens for {_IDLE_SECONDS:g} s")
    before = {pid: wake_ups(pid) for pid in workers + agents}
    time.sleep(_IDLE_SECONDS)
    woken = {pid: wake_ups(pid) - before[pid] for pid in before}
    memory = [memory_mib(pid) for pid in workers]
    agent_memory = [memory_mib(pid) for pid in agents]
    for client in clients:
        client.close()
    return {
        "vms": vms,
        "first_window_cold_ms": first_window[0] * 1000,
        "first_window_warm_ms": statistics.median(first_window[1:]) * 1000 if vms > 1 else None,
        "worker_pss_mib": statistics.median(pss for pss, _ in memory),
        "worker_private_mib": statistics.median(private for _, private in memory),
        "agent_pss_mib": statistics.median(pss for pss, _ in agent_memory),
        "idle_seconds": _IDLE_SECONDS,
        "worker_wake_ups": [woken[pid] for pid in workers],
        "agent_wake_ups": [woken[pid] for pid in agents],
    }


def _start(bed: Bed, runtime: Path, number: int) -> Client:
    name = f"idle{number}"
    spec = VmSpec(name=name, domid=number, label="green", view=ViewSpec(display=bed.desk.display), environ={})
    domain = {
        "name": name, "domid": number, "gui_domid": 0, "command": list(_PROGRAM), "screen": DESK,
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


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()
