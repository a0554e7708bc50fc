"""arrivals: which messages may be confirmed together.

Confirming is the one thing in a client that can destroy mail: a range says that everything of this
user's between two ids was shown.  Two messages come under one range only if both arrived in one
stream, one directly behind the other, with a higher id, and no message lies between that arrived
and was not shown.  A stream is the live mail from one WELCOME or HOLD to the next, or the answer to
one CHECK.  In each stream ids ascend and no message of this user's is left out
(rules/delivery.py), so that nothing unread lies between two neighbours.
"""
from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import count
from typing import NamedTuple

import wire
from client.index import Key

LIVE, CHECK = 0, 1                  # the two kinds of streams of mail


class Arrival(NamedTuple):
    """Where a message stood when it arrived."""
    stream: int
    place: int              # in its stream
    id: int


class Arrivals(dict[Key, Arrival]):
    """The messages that arrived and were not yet shown, and in which order they came."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = count()
        self._streams = [0, 0]          # the number of the current stream of each kind
        self._places = [0, 0]           # how many messages have arrived in it
        self.cut(LIVE)
        self.cut(CHECK)

    def cut(self, kind: int) -> None:
        """Another stream begins: messages may lie between the last one and the next."""
        self._streams[kind], self._places[kind] = next(self._numbers), 0

    def place(self, mail: wire.Mail) -> Arrival:
        """The place of a message that arrives now."""
        kind = CHECK if mail.flags & wire.SendFlag.CHECK else LIVE
        self._places[kind] += 1
        return Arrival(self._streams[kind], self._places[kind], mail.id)

    def runs(self, shown: Iterable[tuple[Key, Arrival]]) -> Iterable[tuple[int, int, list[Key]]]:
        """Ranges of ids that cover these and no message that was not shown; the keys of each."""
        unshown = sorted(arrival.id for arrival in self.values())
        first, before, keys = 0, Arrival(-1, 0, 0), list[Key]()
        for key, arrival in sorted(shown, key=lambda pair: pair[1]):
            unread = bisect_left(unshown, arrival.id) > bisect_right(unshown, before.id)
            if unread or not _follows(before, arrival):
                if keys:
                    yield first, before.id, keys
                first, keys = arrival.id, []
            keys.append(key)
            before = arrival
        if keys:
            yield first, before.id, keys


def _follows(before: Arrival, arrival: Arrival) -> bool:
    """Whether it came directly behind, in the same stream, in order."""
    return (before.stream == arrival.stream and before.place + 1 == arrival.place
            and before.id < arrival.id)
