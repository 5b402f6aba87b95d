"""AppVMs that stay, whatever their backend: found by name, started, and given commands."""

import argparse
import contextlib
import dataclasses
import os
import sys
from typing import Any

from backends import registry
from backends.base import DomainDriver, DomainState
from guid.cli import options
from guid.cli.names import served
from guid.runtime import runtime_dir
from guid.spec import ViewSpec
from guid.supervisor import daemon
from guiproto.errors import MachineCannot


def backend_of(name: str) -> str | None:
    """The backend that keeps an AppVM of that name."""
    for backend in registry.names():
        try:
            if registry.load(backend, os.environ).keeps(name):
                return backend
        except MachineCannot:
            continue  # one that cannot even be loaded keeps nothing that could be used
    return None


def default_backend() -> str:
    """What makes AppVMs that stay, if nobody says: the first backend that can here, or could. Raises MachineCannot."""
    could = backends()
    if not could:
        raise MachineCannot("no backend here makes AppVMs that stay", "see `guid doctor`")
    return could[0]


def backends() -> list[str]:
    """The backends that make AppVMs that stay: those that can here; if none can, those that could."""
    could, can = [], []
    for name in registry.names():
        with contextlib.suppress(MachineCannot):  # it cannot even be loaded
            backend = registry.load(name, os.environ)
            if backend.makes_lasting:
                could.append(name)
                if not backend.missing(domains=True):
                    can.append(name)
    return can or could


def need_backend_of(name: str) -> str:
    """The same; raises MachineCannot if there is no such AppVM."""
    backend = backend_of(name)
    if backend is None:
        raise MachineCannot(f"there is no AppVM {name!r}", f"`guid vm create {name}` makes one; see `guid vm list`")
    return backend


def find(name: str) -> str:
    """The backend that knows such an AppVM, whoever made it. Raises MachineCannot if there is none."""
    problems = []
    for backend in backends():
        try:
            driver = driver_of(backend)
        except MachineCannot as error:
            problems.append(f"{backend}: {error}")
            continue
        try:
            if any(domain.name == name and domain.lasting for domain in driver.list()):
                return backend
        finally:
            driver.close()
    raise MachineCannot(f"no AppVM {name!r} is defined", "; ".join(problems) or "see `guid vm list`")


def driver_of(backend: str) -> DomainDriver:
    """A driver of this process's own. Raises MachineCannot."""
    return registry.load(backend, os.environ).domains(runtime_dir() / "vms")


def view_of(args: argparse.Namespace) -> ViewSpec:
    """As `options.view_of`. Raises MachineCannot for a GUI domain, which an AppVM that stays is given."""
    if args.gui_domain is not None:
        raise MachineCannot(
            f"{args.name} stays, and so does its GUI domain", f"guid swap {args.name} --to {args.gui_domain}"
        )
    return options.view_of(args)


def resume(name: str, view: ViewSpec) -> dict[str, Any]:
    """Have the shared supervisor start and show an AppVM that stays; its row of `guid ps`. Raises MachineCannot."""
    spec = options.vm_with(view, label="gray", name=name, domid=0, backend=need_backend_of(name))
    with daemon.connect(runtime_dir()) as client:
        started = client.request("resume", vm=dataclasses.asdict(spec))
    options.tell_stale(started)
    return started


def run(args: argparse.Namespace, backend: str) -> int:
    """`guid run` for such an AppVM: start the command and return."""
    name = args.name
    if not any(row["name"] == name for row in served(runtime_dir())):
        print(f"guid: starting {name}", file=sys.stderr, flush=True)
        resume(name, view_of(args))
    with contextlib.suppress(MachineCannot), daemon.connect(runtime_dir()) as client:
        client.request("used", name=name)
    driver = driver_of(backend)
    try:
        return driver.run(name, args.command, pass_io=args.pass_io)
    finally:
        driver.close()


def is_running(driver: DomainDriver, name: str) -> bool:
    """Whether the AppVM runs."""
    return any(domain.name == name and domain.state is DomainState.RUNNING for domain in driver.list())
