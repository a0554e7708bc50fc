"""wheel: tells the mouse's wheel from the arrow keys.

With alternate scroll (mode 1007) a terminal sends arrow keys for the wheel, several for a notch or
one for each row that a touchpad moves.  Reports of the mouse would be clearer, but a terminal that
sends them no longer selects text with the mouse, and people copy from a chat more than they scroll.

So the rule goes by time, as nobody presses a key twice within FIRST seconds, and a key that is held
down repeats only after a quarter of a second:

  - An arrow after RESTS seconds without one is held back for FIRST seconds.  If the same arrow
    follows meanwhile, both are the wheel, and so are all that follow within TURNS seconds.
  - If not, it is a key, and so are all arrows until none has come for RESTS seconds.

Wheel has the interface of keys.Reads, which it reads.  It reads no clock either.
Bad at: a terminal that sends one arrow for a notch: that is the key; and a connection that stands
still between two presses of a key and delivers both at once: they scroll.
"""
from __future__ import annotations

from enum import Enum

from terminal.keys import Key, Reads

FIRST = 0.025           # seconds: a touchpad sends every 8 to 17 ms, a person at most every 80
TURNS = 0.1             # seconds: the wheel goes on turning
RESTS = 0.6             # seconds: longer than a key is held down before it repeats
TURNED: dict[Key, Key] = {"<Up>": "<WheelUp>", "<Down>": "<WheelDown>"}


class Is(Enum):
    """What the next arrow is."""
    OPEN = None         # nobody knows
    DOUBTED = FIRST     # one is held back
    WHEEL = TURNS
    KEY = RESTS


class Wheel:
    """From the reads of a terminal to keys, with the wheel among them."""

    def __init__(self) -> None:
        self._reads = Reads()
        self._next = Is.OPEN
        self._held: list[Key] = []      # the arrow that is held back

    def feed(self, data: bytes) -> list[Key]:
        """The keys that are decided now, after one read."""
        return self._sorted(self._reads.feed(data))

    def timeout(self) -> float | None:
        """Seconds of silence after which expire() is due; None when nothing is undecided."""
        waits = [wait for wait in (self._next.value, self._reads.timeout()) if wait is not None]
        return min(waits, default=None)

    def expire(self) -> list[Key]:
        """Decide what waited for the time that timeout() told."""
        if self._next.value != self.timeout() or self._next is Is.OPEN:
            return self._sorted(self._reads.expire())
        self._next = Is.KEY if self._held else Is.OPEN
        return self._release()

    def _release(self) -> list[Key]:
        held, self._held = self._held, []
        return held

    def _sorted(self, keys: list[Key]) -> list[Key]:
        done: list[Key] = []
        for key in keys:
            if key not in TURNED:
                done += [*self._release(), key]
                self._next = Is.OPEN
            elif self._next is Is.OPEN:
                self._held, self._next = [key], Is.DOUBTED
            elif self._next is Is.WHEEL:
                done.append(TURNED[key])
            else:
                self._next = Is.WHEEL if self._held == [key] else Is.KEY
                both = [*self._release(), key]
                done += [TURNED[each] for each in both] if self._next is Is.WHEEL else both
        return done
