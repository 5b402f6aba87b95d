"""One VM as its supervisor sees it."""

import logging
import os
import time
from dataclasses import dataclass, field
from typing import Any

from backends.base import Domain
from guid.control import LineSocket, Message
from guid.logs import Allowance, about, cleaned
from guid.spec import VmSpec
from guid.worker.child import Child

log = logging.getLogger("guid")


@dataclass(slots=True)
class Vm:
    """Its description, its worker, its domain if it is one of ours, and the clients that follow it."""

    spec: VmSpec
    domain: Domain | None = None
    child: Child | None = None
    state: str = "starting"
    reason: str = ""
    started: float = 0.0
    backoff: float = 0.0
    restart_at: float | None = None
    restarts: int = 0
    last_words: Message = field(default_factory=dict)
    """What the worker said of its end."""
    followers: list[LineSocket] = field(default_factory=list)
    database_pid: int | None = None
    """Of its Qubes DB daemon."""
    kept: bool = False
    """Goes on without followers."""
    reached: set[str] = field(default_factory=set)
    """The limits that it has reached, and of which the user has been told."""
    allowance: Allowance = field(default_factory=Allowance)
    """For what is said about it: a VM can make its worker say much."""

    def row(self) -> dict[str, Any]:
        """What `guid ps` shows of it."""
        return {
            "name": self.spec.name,
            "domid": self.spec.domid,
            "label": self.spec.label,
            "backend": self.spec.backend,
            "gui_domid": self.spec.gui_domid,
            "gui_domain": self.spec.shown_by(),
            "display": None if self.spec.gui_vm else self.spec.view.display or os.environ.get("DISPLAY"),
            "state": self.state,
            "reason": self.reason,
            "restarts": self.restarts,
            "reached": sorted(self.reached),
            "worker_pid": self.child.pid if self.child is not None else None,
            "qubesdb_pid": self.database_pid,
            "vm_pid": self.domain.pid if self.domain is not None else None,
            "supervisor_pid": os.getpid(),
        }

    def tell(self, message: Message) -> None:
        """Send a message to everybody who follows it."""
        for follower in self.followers:
            follower.send(message)

    def say(self, text: str, level: int = logging.INFO) -> None:
        """Log a line about it, and show it to its followers, unless there have been too many."""
        left_out = self.allowance.ask(time.monotonic())
        if left_out is None:
            return
        if left_out:
            self.report(f"{left_out} messages were left out, because there were too many", logging.WARNING)
        self.report(text, level)

    def report(self, text: str, level: int) -> None:
        """The same for what no VM can cause often."""
        name = self.spec.name
        line = cleaned(text if text.startswith(f"{name}: ") else f"{name}: {text}")
        log.log(level, "%s", line, extra=about(name))
        self.tell({"event": "log", "vm": name, "text": line})
