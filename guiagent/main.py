"""The `guiagent` command: the agent half alone, for an X server that already runs."""

import argparse
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence

# Before numpy is imported: its linear algebra library would start threads that are of no use here.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from backends import registry as backends
from guiagent import choice
from guiagent.agent import Agent
from guiagent.link import Meeting
from guiagent.settings import Settings
from guiagent.sources import registry as sources
from guiagent.sources.base import Source
from guiproto.errors import MachineCannot
from guiproto.limits import GUI_PORT
from guiproto.ports import ICON_PORT
from qubesdb.keys import GUI_DOMAIN, GUI_ENABLED, GUI_NEXT, KEYBOARD_LAYOUT, MONITORS, SOURCE
from qubesdb.sockets import vm_dir

_DESCRIPTION = """\
Runs inside an AppVM: tells the GUI daemon of another domain about the windows of an X server that already runs here,
shares their pixels with it, and plays the user's input to them. The daemon may come, go and come back at any time."""

_EPILOG = """\
examples:
  Xvfb :7 -screen 0 1920x1080x24 & DISPLAY=:7 xterm &
  guiagent --domid 7 --gui-domid 0 --display :7

environment:
  DISPLAY            the X server (or --display)
  VCHAN_SOCKET_DIR   where the local backend has its sockets (default /var/run/vchan)
  QUBESDB_SOCKET_DIR where this VM's Qubes DB daemon has its sockets, if there is one (default /var/run/qubes)
"""

_MAX_DOMID = 0xFFFF


def parser() -> argparse.ArgumentParser:
    """The command line, for use and for tests of its help."""
    top = argparse.ArgumentParser(
        prog="guiagent", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--domid", type=_domid, required=True, metavar="N", help="this domain's id")
    top.add_argument(
        "--gui-domid",
        type=_domid,
        required=True,
        metavar="M",
        help="the id of the domain that shows the windows, unless Qubes DB names another",
    )
    top.add_argument("--display", metavar=":N", help="the X server to follow (default: $DISPLAY)")
    top.add_argument(
        "--backend",
        default="local",
        metavar="B",
        help="the hypervisor: a backend's name, or MODULE:FACTORY for one of your own (default: %(default)s)",
    )
    top.add_argument(
        "--source",
        default=choice.AUTO,
        choices=choice.CHOICES,
        help="where windows come from (default: %(default)s, what copies least)",
    )
    top.add_argument(
        "--keep-screen",
        action="store_true",
        help="draw the windows on this VM's own screen too, so that programs in it can take pictures of it; "
        "costs one more copy of everything drawn",
    )
    top.add_argument("--ready", type=int, metavar="FD", help="close this descriptor when programs may be started")
    top.add_argument("-v", "--verbose", action="store_true", help="say who comes and goes")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT. Exit status: 0 told to stop, 1 could not go on (the reason is printed), 2 usage."""
    args = parser().parse_args(argv)
    level = logging.INFO if args.verbose else logging.WARNING
    logging.basicConfig(level=level, format="guiagent: %(message)s", stream=sys.stderr)
    try:
        with _signals() as stop_fd:
            _serve(args, stop_fd)
    except MachineCannot as error:
        logging.getLogger(__name__).error("%s", error)
        return 1
    return 0


def _serve(args: argparse.Namespace, stop_fd: int) -> None:
    backend = backends.load(args.backend, os.environ)
    if missing := backend.missing():
        raise MachineCannot(" ".join(missing))
    if args.keep_screen and args.source == choice.AUTO:
        args.source = "x11"  # of the sources, the one whose display server has a screen
    source_name, why = choice.for_display(args.source, backend, args.display)
    logging.getLogger(__name__).debug("windows come from %s: %s", source_name, why)
    make_source = sources.load(source_name)

    def meet(gui_domid: int) -> Meeting:
        sharer = backend.sharer(args.domid, gui_domid)
        return Meeting(
            gui_domid,
            sharer,
            lambda: backend.server(args.domid, gui_domid, GUI_PORT),
            lambda: backend.server(args.domid, gui_domid, ICON_PORT),
        )

    with contextlib.ExitStack() as stack:
        settings = Settings(vm_dir())
        settings.tell(SOURCE, source_name)
        stack.callback(settings.close)
        settings.read()
        said = settings.get(GUI_DOMAIN)
        with contextlib.ExitStack() as unfinished:
            first = meet(args.gui_domid if said is None else said)
            unfinished.callback(first.sharer.close)
            source = make_source(args.display, first.sharer, keep_screen=args.keep_screen)
            unfinished.callback(source.close)
            agent = Agent(meet, first, source, serving=settings.get(GUI_ENABLED) is not False)
            unfinished.pop_all()
        stack.callback(agent.close)
        if args.ready is not None:
            os.close(args.ready)
        _follow(settings, agent, source, stack)
        # What start-up made lives as long as we do: collections that look at it again would delay frames.
        gc.collect()
        gc.freeze()
        agent.run(stop_fd)


def _follow(settings: Settings, agent: Agent, source: Source, stack: contextlib.ExitStack) -> None:
    """Have the agent's loop do what the VM's Qubes DB says while we run."""
    log = logging.getLogger(__name__)
    agent.watch(settings.fileno(), settings.proceed)

    def enable(enabled: bool | None) -> None:
        log.info("Qubes DB: GUI daemons are %sserved", "not " if enabled is False else "")
        agent.serve(enabled is not False)

    settings.on(GUI_ENABLED, enable)
    settings.on(GUI_DOMAIN, lambda domid: None if domid is None else _try(lambda: agent.move(domid)))
    settings.on(GUI_NEXT, lambda domid: agent.withdraw() if domid is None else _try(lambda: agent.prepare(domid)))
    if (following := settings.get(GUI_NEXT)) is not None:
        _try(lambda: agent.prepare(following))
    settings.on(MONITORS, lambda monitors: None if monitors is None else source.arrange(monitors))
    if (monitors := settings.get(MONITORS)) is not None:
        source.arrange(monitors)
    changer = source.layout_changer()
    if changer is not None:
        stack.callback(changer.close)
        agent.watch(changer.fileno(), changer.proceed)
        settings.on(KEYBOARD_LAYOUT, lambda layout: None if layout is None else changer.set(layout))
        if (layout := settings.get(KEYBOARD_LAYOUT)) is not None:
            changer.set(layout)


def _try(action: Callable[[], None]) -> None:
    """Nothing changes if it cannot be done; whoever asked for it will notice."""
    try:
        action()
    except MachineCannot as error:
        logging.getLogger(__name__).warning("the windows stay where they are: %s", error)


@contextlib.contextmanager
def _signals() -> Iterator[int]:
    """A descriptor that becomes readable when we are told to stop."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def _domid(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > _MAX_DOMID:
        raise argparse.ArgumentTypeError(f"{text!r} is no domain id, which is a number from 0 to {_MAX_DOMID}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
