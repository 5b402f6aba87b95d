"""The clipboards of the GUI domains, one each, and who may paste what: the supervisor's part of the clipboard.

A text stays in the descriptor that a worker has sent, and is never read here. Workers are believed when they say that
the user pressed a key, for they have the display; in everything else they are checked.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from guid import parcel
from guid.config.clipboard_rules import ClipboardRule, decide
from guid.control import Message
from guid.core.exchange import Content, Exchange
from guid.spec import VmSpec
from guid.supervisor.vm import Vm
from guiproto.errors import MachineCannot
from guiproto.limits import CLIPBOARD_MAX


class Asker(Protocol):
    """Puts questions to the user of a GUI domain."""

    def ask(self, spec: VmSpec, source: str, source_label: str, done: Callable[[bool, str], None]) -> None:
        """Whether what was copied from `source` may be given to the VM of `spec`; `done` gets that, and why if not.

        Raises MachineCannot where there is no way to ask.
        """

    def withdraw(self, target: str) -> None:
        """The question about that VM is no longer of interest, if there is one: `done` is not called."""


@dataclass(frozen=True, slots=True)
class Place:
    """A GUI domain as the user has it before him: VMs on one display share a clipboard."""

    name: str
    vm: str
    host: str
    display: str | None

    @classmethod
    def of(cls, spec: VmSpec) -> "Place":
        """Where the VM's windows are."""
        display = None if spec.gui_vm else spec.view.display or os.environ.get("DISPLAY")
        return cls(spec.shown_by(), spec.gui_vm, spec.view.host, display)


class Clipboards:
    """`rules` is asked at every paste. `notify` tells the user something about a VM."""

    def __init__(
        self,
        rules: Callable[[], Sequence[ClipboardRule]],
        asker: Asker,
        notify: Callable[[Vm, str], None],
        clock: Callable[[], float],
    ) -> None:
        self._rules = rules
        self._asker = asker
        self._notify = notify
        self._clock = clock
        self._exchanges: dict[Place, Exchange[int]] = {}

    # --- workers ---

    def said(self, vm: Vm, message: Message) -> None:
        """The worker of that VM said something."""
        match message.get("event"):
            case "copying":
                self._of(vm).begin(vm.spec.name)
            case "copied":
                self._copied(vm, message["size"])
            case "not copied" | "disconnected":
                self._of(vm).give_up(vm.spec.name)
            case "pasting":
                self._paste(vm)

    def gone(self, vm: Vm) -> None:
        """That VM's worker has ended: whatever was asked of it, and whatever it asked, comes to nothing."""
        self._of(vm).give_up(vm.spec.name)
        self._asker.withdraw(vm.spec.name)

    def moved(self, vm: Vm, before: VmSpec) -> None:
        """Another GUI domain has the VM's windows than that of `before`."""
        place = Place.of(before)
        if place != Place.of(vm.spec):
            self._asker.withdraw(vm.spec.name)
            if place in self._exchanges:
                self._exchanges[place].leaves(vm.spec.name)

    def ended(self, vm: Vm) -> None:
        """The VM is no more. What was copied from it can still be pasted; what was copied inside of it cannot."""
        self.gone(vm)
        for place in [place for place in self._exchanges if place.vm == vm.spec.name]:
            self._exchanges.pop(place).clear()

    # --- the user ---

    def rows(self) -> list[dict[str, Any]]:
        """What `guid clipboard status` shows: never what the text is."""
        now = self._clock()
        return [
            {
                "gui_domain": place.name,
                "display": place.display,
                "source": content.source,
                "size": content.size,
                "age_seconds": round(now - content.since, 1),
            }
            for place, exchange in self._exchanges.items()
            if (content := exchange.content) is not None
        ]

    def clear(self) -> None:
        """Empty all of them."""
        for exchange in self._exchanges.values():
            exchange.clear()
        self._exchanges.clear()

    # --- inside ---

    def _of(self, vm: Vm) -> Exchange[int]:
        return self._exchanges.setdefault(Place.of(vm.spec), Exchange(os.close))

    def _copied(self, vm: Vm, size: int) -> None:
        child, spec = vm.child, vm.spec
        assert child is not None, "only a child says something"
        fd = child.line.take_descriptor()
        if fd is None or not parcel.is_sound(fd, size, CLIPBOARD_MAX):
            if fd is not None:
                os.close(fd)
            self._of(vm).give_up(spec.name)
            child.disown("its worker sent no clipboard, but something else")
            return
        if size > spec.settings.max_clipboard_size:
            os.close(fd)
            self._of(vm).give_up(spec.name)
            self._notify(vm, "nothing was copied: it is more than this VM may give by now")
            return
        if self._of(vm).put(Content(fd, size, spec.name, spec.label, self._clock())):
            keys = spec.settings.secure_paste_sequence
            self._notify(vm, f"{size} bytes are copied; {keys} in another VM pastes them, once")
        else:
            vm.say("what it copied comes too late: something else was copied after it")

    def _paste(self, vm: Vm) -> None:
        exchange, target = self._of(vm), vm.spec
        content = exchange.content
        if content is None:
            awaited = exchange.awaited
            why = f"what was copied from {awaited} is not here yet" if awaited else "nothing is copied"
            self._notify(vm, f"nothing was pasted: {why}")
            return
        try:
            action = self._decide(content, target)
            if action == "ask":
                self._ask(vm, exchange, content)
                return
        except MachineCannot as error:
            self._notify(vm, f"nothing was pasted: {error}")
            return
        if action == "allow":
            self._give(vm, exchange, content)
        else:
            self._notify(vm, f"nothing was pasted: a rule denies it to what was copied from {content.source}")

    def _decide(self, content: Content[int], target: VmSpec) -> str:
        """Raises MachineCannot where the rules cannot be read."""
        if content.source == target.name:
            return "allow"
        return decide(self._rules(), content.source, content.label, target.name, target.label)

    def _ask(self, vm: Vm, exchange: Exchange[int], content: Content[int]) -> None:
        """Raises MachineCannot where there is no way to ask."""

        def done(yes: bool, why: str) -> None:
            if yes:
                self._give(vm, exchange, content)
            else:
                self._notify(vm, f"nothing was pasted of what was copied from {content.source}: {why}")

        self._asker.ask(vm.spec, content.source, content.label, done)

    def _give(self, vm: Vm, exchange: Exchange[int], content: Content[int]) -> None:
        if vm.child is None:
            return
        fd = exchange.take(content)
        if fd is None:
            self._notify(vm, "nothing was pasted: something else was copied meanwhile")
            return
        vm.child.line.send({"op": "paste", "size": content.size}, fd)
        vm.say(f"{content.size} bytes copied from {content.source} are pasted")
