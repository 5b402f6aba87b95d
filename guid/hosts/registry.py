"""Display hosts by name."""

from guid.hosts.base import DisplayHost, HostConfig
from guiproto.errors import MachineCannot

NAMES = ("x11", "headless")


def load(name: str, config: HostConfig, display: str | None) -> DisplayHost:
    """The host `name` on `display` (None: what the environment says). Raises MachineCannot if it cannot be had."""
    if config.scale > 1 and name in NAMES:
        from guid.hosts import scaled

        return scaled.ScaledX11Host(config, display) if name == "x11" else scaled.ScaledHeadlessHost(config)
    if name == "x11":
        from guid.hosts.x11.host import X11Host

        return X11Host(config, display)
    if name == "headless":
        from guid.hosts.headless.host import HeadlessHost

        return HeadlessHost(config)
    raise MachineCannot(f"unknown display host {name!r}", f"choose one of {', '.join(NAMES)}")
