"""timers: whom to look at, and when.

Thousands of connections each have a time at which somebody must look whether they still say something.  To look at all
of them every second takes milliseconds, in which nobody is served.  Here each stands in the list of the second at which
it is due, and only those whose second has come are looked at.  Whoever looks puts it in again, for when it may be due
next: so nothing need be done when one is heard, and who talks all the time is looked at once in its silence.
"""
from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar


class Visited(Protocol):
    """What can be looked at: it knows the list that it stands in."""
    due: dict[Any, None]


T = TypeVar("T", bound=Visited)

NEVER: dict[Any, None] = {}         # the list of those who stand in none


class Timers(Generic[T]):
    """When each is looked at next, to the second."""

    def __init__(self) -> None:
        self._seconds: dict[int, dict[T, None]] = {}

    def put(self, one: T, at: float) -> None:
        """Look at it in this second, and not when it was to be before."""
        self.drop(one)
        one.due = self._seconds.setdefault(int(at), {})
        one.due[one] = None

    def drop(self, one: T) -> None:
        """It need not be looked at."""
        one.due.pop(one, None)
        one.due = NEVER

    def take(self, now: float) -> list[T]:
        """Those whose time has come; they stand in no list any more."""
        taken: list[T] = []
        for second in [second for second, all_ in self._seconds.items() if second <= now or not all_]:
            taken += self._seconds.pop(second)
        for one in taken:
            one.due = NEVER
        return taken
