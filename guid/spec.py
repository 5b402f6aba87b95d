"""What a worker must know about its VM, as plain data that survives a trip through JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from guid.config.settings import VmSettings
from guiproto.errors import MachineCannot


def check_name(name: str) -> None:
    """Raises MachineCannot if it is no name for a VM."""
    if not name or len(name) > 31 or not name.isascii() or not name.isprintable():
        raise MachineCannot(f"{name!r} is no name for a VM", "use 1 to 31 printable ASCII characters")


@dataclass(frozen=True, slots=True)
class ViewSpec:
    """Where a VM's windows are shown, and what of its settings whoever started it has chosen for this time.

    Raises MachineCannot for choices that are none.
    """

    host: str = "x11"
    display: str | None = None
    chosen: Mapping[str, Any] = field(default_factory=dict)
    """By the names of `VmSettings`. They count more than what is configured."""

    def __post_init__(self) -> None:
        VmSettings().but(self.chosen)


@dataclass(frozen=True, slots=True)
class VmSpec:
    """One VM as the daemon sees it: who it is, over which backend it is reached, and its view.

    `environ` is what the backend and the display need from the caller's environment (VCHAN_SOCKET_DIR, XAUTHORITY);
    `python_path` lets a third party's backend be imported where the caller could import it.
    """

    name: str
    domid: int
    label: str
    gui_domid: int = 0
    gui_domain: str = ""
    """The name of the GUI domain, where it is one of those that are configured."""
    gui_vm: str = ""
    """The AppVM that is the GUI domain; "" for one here."""
    backend: str = "local"
    view: ViewSpec = field(default_factory=ViewSpec)
    settings: VmSettings = field(default_factory=VmSettings)
    """What its worker goes by: what is configured for it, and what was chosen. Only the supervisor fills it in."""
    environ: Mapping[str, str] = field(default_factory=dict)
    python_path: tuple[str, ...] = ()
    qubesdb: bool = True
    """Whether we are the admin side of its Qubes DB: not where somebody else made the VM, who then has one."""
    entries: Mapping[str, str] = field(default_factory=dict)
    """What that begins with besides what every VM's does, by path."""

    def __post_init__(self) -> None:
        for what, number in (("domain id", self.domid), ("GUI domain id", self.gui_domid)):
            if not 0 <= number <= 0xFFFF:
                raise MachineCannot(f"{what} {number} is not a u16", "choose 0 to 65535")
        if self.domid == self.gui_domid and self.domid:
            raise MachineCannot(f"domain {self.domid} cannot show itself", "choose another GUI domain")
        check_name(self.name)

    def shown_by(self) -> str:
        """The name of its GUI domain."""
        return self.gui_domain or ("dom0" if self.gui_domid == 0 else f"domain-{self.gui_domid}")

    def to_json(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """From what `to_json` wrote. Raises MachineCannot if it was something else."""
        try:
            fields = dict(data)
            fields["view"] = ViewSpec(**fields.get("view", {}))
            fields["settings"] = VmSettings(**fields.get("settings", {}))
            fields["python_path"] = tuple(fields.get("python_path", ()))
            return cls(**fields)
        except TypeError as error:
            raise MachineCannot(f"this is no VM description: {error}", "are both ends of the same version?") from None
