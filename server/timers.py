"""timers: which connections to look at, and when.

Thousands of connections each have a time at which the daemon must look whether they still say
something.  To look at all of them every second takes milliseconds, in which nobody is served.  Here
each stands in the list of the second at which it is due, and the daemon looks only at those whose
second has come.  Then it puts each in again, for when it may be due next.  So nothing need be done
when a peer is heard, and the daemon looks only once at a peer that talks all the time.
"""
from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar


class Visited(Protocol):
    """A thing to look at: it knows the list that it stands in."""
    due: dict[Any, None]


T = TypeVar("T", bound=Visited)

NEVER: dict[Any, None] = {}         # the list of those that stand in none


class Timers(Generic[T]):
    """The things to look at, a list for each second."""

    def __init__(self) -> None:
        self._seconds: dict[int, dict[T, None]] = {}

    def put(self, one: T, at: float) -> None:
        """Look at it in this second, and not when it was due before."""
        self.drop(one)
        one.due = self._seconds.setdefault(int(at), {})
        one.due[one] = None

    def drop(self, one: T) -> None:
        """Do not look at it."""
        one.due.pop(one, None)
        one.due = NEVER

    def take(self, now: float) -> list[T]:
        """Those whose time has come; they stand in no list any more."""
        taken: list[T] = []
        past = [second for second, due in self._seconds.items() if second <= now or not due]
        for second in past:
            taken += self._seconds.pop(second)
        for one in taken:
            one.due = NEVER
        return taken
