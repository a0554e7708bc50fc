"""slices: work that is too much for one turn of the daemon.

One request may concern thousands: a chat of a thousand members that starts, a message to all names,
a change in the log of names that every subscriber is told.  Such work is done in steps.  A work is
a generator, its local variables are the cursor, and it yields after each step.  Works take turns,
so a short one does not wait for a long one.

The rules know no clock.  The daemon takes steps at the end of each turn, for as long as it can
spare (server/pace.py), and sends what each step has queued.  So a step is STEP units, or one thing
that can't be divided.  A unit is a frame for one client, queued and sent: some 10 us.

What others may see of a work that is half done:

  - The state of the rules changes at once, in one turn; only the telling of it is sliced.  A client
    that was not told yet has its frames queued, in order, and whatever it is told besides goes
    behind them.  So each client hears the same, in the same order, as if all were told at once.
  - A request that changes the store in slices is one that its client waits for: its next request is
    not looked at before (Slices.waiting).
"""
from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Generic, Protocol, TypeVar

MANY = 256          # clients that are served at once, without slices: 2 ms of work
STEP = 32           # units in a step: a third of a millisecond
END = object()      # in place of a step: the work is done

T = TypeVar("T")


class Waker(Protocol):
    """What waits for clients that do not read (pages.py)."""

    def is_due(self) -> bool:
        """Whether one of them reads again."""

    def wake(self) -> None:
        """Go on with those that do."""


class Slices:
    """The works under way, and those that wait for clients that do not read."""

    def __init__(self) -> None:
        self.works: deque[Iterator[object]] = deque()
        self.deaf: dict[Waker, None] = {}       # what waits for clients that do not read
        self.paging = 0                         # works of pages.py, which are handed over as well

    def __bool__(self) -> bool:
        return bool(self.works)

    def begin(self, work: Iterator[object]) -> None:
        """Do this work, from the end of this turn on."""
        self.works.append(work)

    def is_due(self) -> bool:
        """Whether wake() has something to do."""
        return any(each.is_due() for each in self.deaf)

    def wake(self) -> None:
        """Go on with clients that read again."""
        for each in list(self.deaf):
            each.wake()

    def step(self) -> bool:
        """Do a step of the work that has waited longest.  False: there is none."""
        if not self.works:
            return False
        work = self.works.popleft()
        if next(work, END) is not END:
            self.works.append(work)
        return True


class Crowd(Generic[T]):
    """Those to be served in slices, each once, in the order in which they came.

    `serve` serves one of them, and returns how many units of work that was."""

    def __init__(self, slices: Slices, serve: Callable[[T], int]) -> None:
        self.slices = slices
        self.serve = serve
        self.waiting: dict[T, None] = {}
        self._is_served = False                 # a work is under way

    def put(self, one: T) -> None:
        """Serve this one too.  If it waits already, it is served once, at its place."""
        self.add((one,))

    def add(self, some: Iterable[T]) -> None:
        """Serve these too."""
        self.waiting.update(dict.fromkeys(some))
        if self.waiting and not self._is_served:
            self._is_served = True
            self.slices.begin(self._work())

    def drop(self, one: T) -> bool:
        """Do not serve it.  Returns whether it was to be served."""
        return self.waiting.pop(one, one) is None

    def _work(self) -> Iterator[None]:
        spent = 0
        while self.waiting:
            for one in list(islice(self.waiting, STEP)):
                if one in self.waiting:         # and did not go when another was served
                    del self.waiting[one]
                    spent += self.serve(one)
                    if spent >= STEP:
                        break
            if spent >= STEP:
                spent = 0
                yield
        self._is_served = False
