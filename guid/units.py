"""The systemd units of the supervisor, for the user's own service manager."""

import sys
from collections.abc import Mapping
from typing import Final

SERVICE: Final = "odyssey-gui.service"
SOCKET: Final = "odyssey-gui.socket"
_PASSED_ON: Final = ("GUID_CONFIG", "GUID_RUNTIME_DIR", "PYTHONPATH")
"""What of the environment of whoever installs them counts for the service too."""

_SOCKET_TEXT: Final = """\
[Unit]
Description=Windows of AppVMs: where guid commands connect

[Socket]
ListenStream={directory}/supervisor.sock
SocketMode=0600
DirectoryMode=0700

[Install]
WantedBy=sockets.target
"""

# Only the main process is ended: AppVMs that outlive a supervisor are the next one's, and it ends those that do not.
# A worker that needs too much memory is started again and is no reason to end all others.
_SERVICE_TEXT: Final = """\
[Unit]
Description=Windows of AppVMs on this desktop
After={socket}

[Service]
Type=notify
ExecStart={command}
ExecReload=kill -HUP $MAINPID
{environment}KillMode=process
OOMPolicy=continue
Restart=on-failure
RestartSec=1
TimeoutStopSec=120
UMask=0077
"""


def units(environ: Mapping[str, str]) -> dict[str, str]:
    """The text of each unit by its name, for this installation and the environment of whoever installs them."""
    command = " ".join(_quoted(word) for word in (sys.executable, "-m", "guid.supervisor.daemon"))
    passed_on = {name: environ[name] for name in _PASSED_ON if environ.get(name)}
    lines = "".join(f"Environment={_quoted(f'{name}={value}')}\n" for name, value in passed_on.items())
    directory = environ.get("GUID_RUNTIME_DIR", "").replace("%", "%%") or "%t/odyssey-gui"
    return {
        SOCKET: _SOCKET_TEXT.format(directory=directory),
        SERVICE: _SERVICE_TEXT.format(socket=SOCKET, command=command, environment=lines),
    }


def _quoted(word: str) -> str:
    """As one word of a unit file: no specifiers, no variables, no escapes."""
    special = {"\\": "\\\\", '"': '\\"', "%": "%%", "$": "$$"}
    return '"' + "".join(special.get(c, c) for c in word) + '"'
