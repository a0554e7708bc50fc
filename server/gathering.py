"""gathering: how many lines of the log one login may cause, and what becomes of the others.

Each host or login (rules/hosts.py) has a rate of bytes, with a burst.  While it is over its rate,
its lines are counted by their event, and GATHER_SECONDS after the first of them the log gets one
line for each event: how many more there were.  So a login that floods costs the disk little, and
pushes nobody else's lines out of the operator's sight.  Lines that no login caused are all written.
"""
from __future__ import annotations

from collections import Counter
from math import inf

from rules.buckets import Buckets

BURST_SECONDS = 64      # of its rate a login may use at once: some 2,600 lines by default
GATHER_SECONDS = 10.0   # in which the lines of one event become one


class Gathering:
    """The lines that each login may still cause, and the counts of those that it may not.

    `rate`: bytes a second for each login; 0: no limit.  `now`: the monotonic clock."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._room = Buckets(rate * BURST_SECONDS, 1 / rate if rate else 0)
        # by login, the oldest first: since when, and how many lines of each event
        self.held: dict[str, tuple[float, Counter[str]]] = {}

    def admits(self, login: str, event: str, now: float) -> bool:
        """Whether this line may be written; else it is counted."""
        if not login or not self.rate or self._room.level(login, now) > 0:
            return True
        self.held.setdefault(login, (now, Counter()))[1][event] += 1
        return False

    def wrote(self, login: str, size: int, now: float) -> None:
        """A line of so many bytes was written."""
        if login:
            self._room.take(login, now, size)

    def until(self) -> float:
        """When the next counts are due; inf: there are none."""
        if not self.held:
            return inf
        return next(iter(self.held.values()))[0] + GATHER_SECONDS

    def due(self, now: float) -> list[tuple[str, str, int]]:
        """The counts that are due: login, event, lines.  inf for `now`: all of them."""
        found = []
        while self.held and now >= self.until():
            login = next(iter(self.held))
            _, counts = self.held.pop(login)
            found += [(login, event, lines) for event, lines in counts.items()]
        return found
