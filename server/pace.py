"""pace: how much of its work the daemon does in one turn.

A turn serves everybody, so nobody may make it long.  What came in has READ_SECONDS; what is left
then comes first in the next turn.  Work in slices (rules/slices.py) has SLICE seconds, or as long
as the rest of the turn took, up to SLICE_MAX: so more of it can't come in than goes out.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rules.slices import Slices
from rules.state import Now

READ_SECONDS = 0.010        # for what came in: a thousand connections may end at once, and what
                            # they leave behind is told in the same turn, which has 20 ms in all
LOOK_EACH = 4               # connections between two looks at the clock, which take 0.4 us
SLICE = 0.001               # seconds for what is too much for one turn: all others wait so much
                            # longer, and one step
SLICE_MAX = 0.003           # the same at most, where the rest of the turn took as long

Ready = tuple[Any, int]     # the selector's key, and what it is ready for


class Pace:
    """The bounds of a turn."""

    def __init__(self, clock: Callable[[], Now]) -> None:
        self.clock = clock
        # what was ready, and not looked at in this turn: descriptors, and their order
        self._late: dict[int, int] = {}

    def ready(self, ready: list[Ready], began: float) -> Iterable[list[Ready]]:
        """What to look at in this turn, which began at this time: some, and then some more."""
        return (ready,) if len(ready) <= LOOK_EACH and not self._late else self._paced(ready, began)

    def _paced(self, ready: list[Ready], began: float) -> Iterator[list[Ready]]:
        if late := self._late:
            ready.sort(key=lambda each: late.get(each[0].fd, len(late)))
            self._late = {}
        for place in range(LOOK_EACH, len(ready) + LOOK_EACH, LOOK_EACH):
            yield ready[place - LOOK_EACH:place]
            if self.clock().monotonic - began >= READ_SECONDS:
                self._late = {key.fd: n for n, (key, _) in enumerate(ready[place:])}
                break

    def steps(self, slices: Slices, began: float) -> Iterator[None]:
        """Go on with the slices, in a turn that began at this time; after each step send what it
        has queued."""
        now = self.clock().monotonic
        until = now + max(SLICE, min(SLICE_MAX, now - began))
        while slices.step():
            yield
            if self.clock().monotonic >= until:
                break
