"""Both sides of one window end at the same geometry, with one CONFIGURE to the agent on its way at most, and at rest.

The window exists twice: in the AppVM, where programs move it, and on the desktop, where the user and the window manager
do. Each side tells the other, the channels are queues, and tellings cross. The rules:

- What the host reports is so. The agent is told; while it has not answered, only the newest counts, and goes out at the
  answer. An answer is a CONFIGURE of the geometry that was sent.
- What the agent says while nothing is on its way to it is a wish. The desktop's window follows as far as policy lets it
  (`allow`); where that is elsewhere, the agent is told.
- Another geometry while ours is on its way is, mostly, a wish that crossed with it, which the agent is about to give up
  for ours. It may also be an agent that cannot do what we asked, such as a terminal that only has whole rows. Both
  look the same, so ours is sent once more: the first kind answers it, the second repeats itself, and then its wish
  counts, unless the host has moved on meanwhile. What only one side changed, the place or the size, is kept of either:
  a window manager places a window just when its program finds its size.
- Existing agents do not answer a geometry that they have already. So one that the agent is known to have is not sent,
  and an answer that is a second late is not waited for: without a word from the agent, it did as told.
- An agent that insists on what policy or the window manager refuses is corrected three times in a row, then once more
  after 2, 4, 8, ... 64 seconds. After that the two sides differ, quietly, until either moves. Without such an end they
  would argue for ever; without the later tries, a program that tried four times would be left out of step.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from guid.core.timer import Timer
from guid.core.trusted import Geometry

ANSWER_SECONDS: Final = 1.0
DISPUTE_SECONDS: Final = 2.0
DISPUTE_PATIENCE: Final = 64.0
DISPUTE_LIMIT: Final = 3

Allow = Callable[[Geometry], Geometry]
"""Policy: where a window goes whose agent wants it there."""


class Step(NamedTuple):
    """What is to be done: configure the host's window, send the agent a CONFIGURE, both, or nothing."""

    host: Geometry | None = None
    agent: Geometry | None = None


NOTHING: Final = Step()


class Placement:
    """The two geometries of a window: `agent` is where its agent last said it is, `shown` where the desktop has it."""

    __slots__ = (
        "_answer",
        "_base",
        "_contradiction",
        "_dispute",
        "_disputed",
        "_patience",
        "_resent",
        "_rounds",
        "_wish",
        "agent",
        "asked",
        "shown",
    )

    def __init__(self, agent: Geometry, shown: Geometry) -> None:
        self.agent = agent
        self.shown = shown
        self.asked: Geometry | None = None
        """What was sent to the agent and is not answered."""
        self._base = agent
        """What the agent had when that was sent."""
        self._answer = Timer()
        self._resent = False
        self._contradiction: Geometry | None = None
        self._wish: Geometry | None = None
        """The agent's wish that the host has been asked to follow and may yet refuse."""
        self._dispute: tuple[Geometry, Geometry] | None = None
        self._rounds = 0
        self._patience = DISPUTE_SECONDS
        self._disputed = Timer()

    def agent_says(self, geometry: Geometry, allow: Allow) -> Step:
        """The agent's window is, or wants to be, there."""
        self.agent = geometry
        if self.asked is None:
            return self._follow(geometry, allow)
        if geometry == self.asked:
            self._settle()
            return self._inform()
        repeated = geometry == self._contradiction
        self._contradiction = geometry
        moved_on = self.shown != self.asked
        if moved_on and geometry == self.shown:
            return NOTHING  # the answer to what is on its way, or the end of waiting for it, will show
        if moved_on or not self._resent:
            target = self._reconciled(geometry, allow)
            host = None if target == self.shown else target
            if host is not None:
                self._wish = geometry
                self.shown = target
            resent = host is not None or not moved_on
            step = self._ask(target)
            self._resent, self._contradiction = resent, geometry
            return Step(host, step.agent)
        if not repeated:
            return NOTHING
        self._settle()
        return self._follow(geometry, allow)

    def host_says(self, geometry: Geometry) -> Step:
        """The desktop's window is there, by somebody else's wish than ours."""
        if self._wish is not None:
            self._note(self._wish, geometry)
            self._wish = None
        self.shown = geometry
        return self._inform()

    def place(self, geometry: Geometry) -> Step:
        """The daemon itself decides: the desktop's window goes there, and the agent is told."""
        host = None if geometry == self.shown else geometry
        self.shown = geometry
        self._wish = None
        return Step(host, self._inform().agent)

    def tick(self, now: float, allow: Allow) -> Step:
        """Time passed."""
        if self._disputed.rings(now):
            return self._reopen()
        if not self._answer.rings(now) or self.asked is None:
            return NOTHING
        if self._contradiction is None:
            self.agent = self.asked
        moved_on = self.shown != self.asked
        self._settle()
        if moved_on or self.agent == self.shown:
            return self._inform()
        return self._follow(self.agent, allow)

    def deadline(self) -> float | None:
        """When `tick` has something to do."""
        times = [t for t in (self._answer.deadline(), self._disputed.deadline()) if t is not None]
        return min(times, default=None)

    def _follow(self, wish: Geometry, allow: Allow) -> Step:
        if self._is_settled_dispute():
            return NOTHING
        target = allow(wish)
        host = None if target == self.shown else target
        self.shown = target
        if host is not None:
            self._wish = wish
        if target == wish:
            return Step(host)
        self._note(wish, target)
        return Step(host, self._inform().agent)

    def _reconciled(self, wish: Geometry, allow: Allow) -> Geometry:
        """The desktop's geometry, except for what only the agent changed since it was last told: its place or size."""
        base, shown = self._base, self.shown
        place, size = shown, shown
        if (shown.x, shown.y) == (base.x, base.y):
            place = wish
        if (shown.width, shown.height) == (base.width, base.height):
            size = wish
        return allow(Geometry(place.x, place.y, size.width, size.height))

    def _inform(self) -> Step:
        if self.asked is not None or self.agent == self.shown or self._is_settled_dispute():
            return NOTHING
        return self._ask(self.shown)

    def _ask(self, geometry: Geometry) -> Step:
        self._base = self.agent
        self.asked = geometry
        self._resent = False
        self._contradiction = None
        self._answer.start(ANSWER_SECONDS)
        return Step(agent=geometry)

    def _settle(self) -> None:
        self.asked = None
        self._answer.stop()

    def _note(self, wish: Geometry, refusal: Geometry) -> None:
        """The agent wished for something and did not get it."""
        if wish == refusal:
            return
        if self._dispute != (wish, refusal):
            self._forget()
        self._dispute = (wish, refusal)
        self._rounds += 1
        self._disputed.start(self._patience)

    def _is_settled_dispute(self) -> bool:
        return self._rounds > DISPUTE_LIMIT and self._dispute == (self.agent, self.shown)

    def _reopen(self) -> Step:
        """A dispute rested for a while: correct the agent again, or forget it where they agree by now."""
        if not self._is_settled_dispute():
            self._forget()
            return NOTHING
        if self._patience > DISPUTE_PATIENCE:
            return NOTHING
        self._rounds = DISPUTE_LIMIT
        self._patience *= 2
        # Also where this is the last time: to forget it all if the agent obeys.
        self._disputed.start(self._patience)
        return self._inform()

    def _forget(self) -> None:
        self._dispute = None
        self._rounds = 0
        self._patience = DISPUTE_SECONDS
        self._disputed.stop()
