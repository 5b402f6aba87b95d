"""Names and ids of VMs across all instances of this user."""

import contextlib
from pathlib import Path
from typing import Any

from guid.control import HungUp, instances
from guiproto.errors import MachineCannot


def served(runtime: Path) -> list[dict[str, Any]]:
    """A row of `guid ps` for every VM of every instance."""
    rows: list[dict[str, Any]] = []
    for client in instances(runtime):
        with client, contextlib.suppress(HungUp):
            rows += client.request("ps")["vms"]
    return rows


def limits(runtime: Path) -> list[dict[str, Any]]:
    """A row of `guid ps --limits` for each."""
    rows: list[dict[str, Any]] = []
    for client in instances(runtime):
        with client, contextlib.suppress(HungUp):
            rows += client.request("usage")["usage"]
    return rows


def refuse_taken_name(runtime: Path, name: str) -> None:
    """Raises MachineCannot if a VM of that name is served already."""
    for row in served(runtime):
        if row["name"] == name:
            raise MachineCannot(
                f"the name {name!r} is taken by domain {row['domid']}", f"choose another, or `guid stop {name}` first"
            )


def free_domid(runtime: Path) -> int:
    """The lowest domain id above 0 that no VM has."""
    taken = {row["domid"] for row in served(runtime)}
    return next(number for number in range(1, 0xFFF0) if number not in taken)
