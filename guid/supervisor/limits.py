"""What is told of a VM that has reached a limit, once, and how much of its limits each VM uses."""

from collections.abc import Mapping
from typing import Any, Final

from guid.config.settings import VmSettings
from guid.core.config import Limit
from guid.supervisor.vm import Vm

_TEXTS: Final[Mapping[Limit, str]] = {
    Limit.WINDOWS: "it has {} windows, and may have no more: further ones are not shown",
    Limit.WINDOW_MEMORY: "its windows take the {} MiB that they may take: some stay empty",
    Limit.TRAY_ICONS: "it has {} icons in the notification area, and may have no more",
    Limit.MESSAGE_RATE: "it sends more than {} messages a second, and is shown more slowly",
}


def limit_text(limit: Limit, settings: VmSettings) -> str:
    """For the user, about a VM with these settings."""
    return f"{_TEXTS[limit].format(getattr(settings, limit))} ({limit} in guid.toml)"


def usage_row(vm: Vm, used: Mapping[str, Any] | None) -> dict[str, Any]:
    """A row of `guid ps --limits`: of each limit what is `used` (None if nobody knows), the `most`, and `reached`."""
    return {
        "name": vm.spec.name,
        **{
            limit: {
                "used": None if used is None else used[limit],
                "most": getattr(vm.spec.settings, limit),
                "reached": limit in vm.reached,
            }
            for limit in Limit
        },
    }
