"""How a VM is told whose its windows are: by entries of its Qubes DB, which its agent follows.

The entries say what is to be; what the VM makes of it is seen by its agent's connections, never read from it.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from guid.runtime import qubesdb_dir
from guid.supervisor.vm import Vm
from guiproto.errors import MachineCannot
from qubesdb.client import Database, NoEntry
from qubesdb.keys import GUI_DOMAIN, GUI_NEXT
from qubesdb.sockets import socket_path

_SECONDS: Final = 1.0


class DatabaseOrders:
    """Writes the entries on the admin side. `runtime`: where this supervisor keeps its sockets."""

    def __init__(self, runtime: Path) -> None:
        self._directory = qubesdb_dir(runtime)

    def prepare(self, vm: Vm, gui_domid: int) -> None:
        """Let that GUI domain connect as well. Raises MachineCannot if the VM has no Qubes DB here."""
        self._tell(vm, lambda database: database.write(GUI_NEXT.path, str(gui_domid).encode()))

    def commit(self, vm: Vm, gui_domid: int) -> None:
        """It alone has the windows from now on. Raises MachineCannot."""

        def write(database: Database) -> None:
            database.write(GUI_DOMAIN.path, str(gui_domid).encode())
            with contextlib.suppress(NoEntry, MachineCannot):  # of no effect any more
                database.remove(GUI_NEXT.path)

        self._tell(vm, write)

    def withdraw(self, vm: Vm) -> None:
        """Nobody else will have them. Raises MachineCannot."""

        def write(database: Database) -> None:
            with contextlib.suppress(NoEntry):
                database.remove(GUI_NEXT.path)
            # In case that a commit got through and its answer did not.
            database.write(GUI_DOMAIN.path, str(vm.spec.gui_domid).encode())

        self._tell(vm, write)

    def _tell(self, vm: Vm, what: Callable[[Database], None]) -> None:
        name = vm.spec.name
        if not vm.spec.qubesdb:
            raise MachineCannot(
                f"{name} cannot be told, for its Qubes DB is not ours",
                "move it within one domain id, or where it was made",
            )
        path = socket_path(self._directory, name)
        # A VM can keep its own daemon busy, and must not thereby keep us from the others.
        with Database(path, "it is started again by itself; try again", seconds=_SECONDS) as database:
            what(database)
