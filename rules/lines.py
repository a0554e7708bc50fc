"""lines: what was said last in each room, and how older lines go.

A room's own queue has the lines that it keeps for those who join later.  It is cut after the write
of the turn in which it grew: should the disk refuse the new lines, the old ones are still there.
The oldest may have to be read from a segment, and a room that is closed may have kept ten thousand:
so they go in slices (slices.py).  A room is made again when nothing is left of the one before.
"""
from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

from rules.slices import Slices
from rules.store import Store
from store.user import User

SLACK = 4               # a queue is cut when it is too long by a part of so many: to read the
                        # oldest lines out of a segment for each new one costs 0.1 ms
MOST, BYTES = 64, 64 << 10      # lines that go in a step, and bytes of their text


class Lines:
    """The queues of all rooms.  `kept`: how many lines a room keeps; `open`: the numbers of the
    rooms that are open."""

    def __init__(self, mailbox: Store, slices: Slices, kept: int, open: Container[int]) -> None:
        self.mailbox = mailbox
        self.slices = slices
        self.kept = kept
        self.open = open
        self.long: dict[User, None] = {}        # grew in this turn, or have to be empty
        self._shortened: set[User] = set()      # from which lines go, in slices

    def load(self, rooms: Iterable[User]) -> None:
        """At a start: what a kill kept, or another number of lines."""
        self.long.update((room, None) for room in rooms if room.waiting > self._most(room))

    def said(self, room: User) -> None:
        """A line was put into the queue of this room, or it is closed."""
        self.long[room] = None

    def _most(self, room: User) -> int:
        return self.kept if room.number in self.open else 0

    def is_emptied(self, room: User) -> bool:
        """Whether lines of a room that was closed are still there, or may be."""
        return room in self.long or room in self._shortened

    def trim(self) -> None:
        """After the write: let go of lines that are too old."""
        for room in self.long:
            most = self._most(room)
            if room.waiting - most > most // SLACK and room not in self._shortened:
                self._shortened.add(room)
                self.slices.begin(self._shorten(room))
        self.long.clear()

    def _shorten(self, room: User) -> Iterator[None]:
        """What is said meanwhile goes, too, if there is more of it than goes."""
        mailbox = self.mailbox
        while (excess := room.waiting - self._most(room)) > 0:
            old = mailbox.unread(room, 0, mailbox.last, min(excess, MOST), BYTES)
            if not old:                         # the disk does not give them back
                break
            mailbox.read(room, 0, old[-1].last)
            yield
        self._shortened.discard(room)
