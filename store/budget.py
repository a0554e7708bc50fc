"""budget: what sealing will take of the disk, and what is to be sealed with the room there is.

Mail is taken only while there is room to seal all that the journals hold, and will hold before they
are sealed (room.py).  On a disk that is full, or was, the plan is the one that wins most room.
Bad at: exactness, as room.py is.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

from store.census import Census
from store.journal import HEADER_SIZE, ROOM
from store.journals import Journals
from store.room import (
    BASE,
    GAIN,
    PART,
    SLACK,
    USER_BYTES,
    Disposal,
    Plan,
    need,
    plan,
    plans,
    size_of_tails,
    to_carry,
    waste,
)
from store.segment import Segment
from store.shelf import Shelf
from store.user import User

# Bytes in journals.  Fewer, and a start reads them in a tenth of a second; more are memory.
SEAL_AT = 8 << 20
# How many times SEAL_AT the journals may hold: above LONG the clients that fill them have to wait,
# above FULL all.  Sealing keeps up with short texts at any speed, but not with long ones; and what
# is not sealed is memory.
LONG, FULL = 4, 8
LONG_PART = 8  # LONG is no more than this part of the file system
LEAST = 1 << 20  # bytes; a smaller SEAL_AT counts as this, for some turns bring as much
JOURNALS_MAX = 16  # each start adds a journal; their number alone must not grow
# A segment of fewer bytes is carried into the next, so that there is one such segment at most.
SMALL = 1 << 20
# In times of SEAL_AT.  A seal carries segments until no more than SPARE of their bytes are read
# besides as many as wait; it copies no more than CARRIED, so that the journals do not grow long
# meanwhile.  More than WASTE, and the bytes of the records of users, is a reason to seal.
SPARE, WASTE, CARRIED = 2, 4, 4


class Sizes(NamedTuple):
    """When to seal, and what to carry; see the constants."""

    seal_at: int = SEAL_AT
    journals_max: int = JOURNALS_MAX
    small: int = SMALL


class Budget:
    """The room for sealing.  `records`: bytes of the records of users as they were last written,
    `recorded`: of how many users; `is_wasteful`: the segments hold so much that is read that
    they must be written again."""

    def __init__(self, users: list[User], shelf: Shelf, journals: Journals, backend: str,
                 sizes: Sizes, census: Census) -> None:
        self.users, self.shelf, self.journals, self.backend = users, shelf, journals, backend
        self.census = census
        self.disk, self.directory = journals.disk, journals.directory
        self.seal_at = min(sizes.seal_at, self.disk.capacity(self.directory) // PART)
        most = self.disk.capacity(self.directory) // LONG_PART
        journals.progress.long_at = min(LONG * max(self.seal_at, LEAST), most)
        journals.progress.full_at = journals.progress.long_at * FULL // LONG
        self.extension = min(ROOM, self.seal_at)  # bytes that a journal grows by
        self.journals_max, self.small = sizes.journals_max, min(sizes.small, self.seal_at)
        self.records = self.recorded = 0
        self.is_wasteful = False

    def _needed(self) -> int:
        """Bytes to seal all that the journals hold, and will hold before they are sealed."""
        small = sum([segment.waiting for segment in self._whole().values()
                     if segment.bytes < self.small])
        held = max(self.journals.held, self.seal_at)
        return need(held + small, self._size_of_records(), self.backend) + self.extension

    def look(self) -> None:
        """Tell the census how much there is, and see how much of it is read."""
        journals = self.journals
        held = (sum([sum(listed.files.values()) for listed in journals.manifest.segments])
                + sum([size for _, size in journals.old]) + journals.current.size)
        self.census.look(self.disk.free(self.directory), held, self._needed())
        wasted = waste(self._whole().values())
        self.is_wasteful = wasted > WASTE * self.seal_at + self._size_of_records()

    def has_room(self) -> bool:
        """Can all that the journals hold, and will hold before they are sealed, be sealed?"""
        return self.disk.free(self.directory) >= self._needed()

    def needed_again(self) -> float:
        """Bytes that must be free before mail is taken again."""
        return self._needed() * SLACK

    def size_of_rest(self) -> int:
        """Bytes that a seal for the sake of quiet may write."""
        again = sum([self.shelf.segments[number].bytes for number in self._carried()])
        return BASE // 2 + self.journals.held + again + self._size_of_records()

    def _size_of_records(self) -> int:
        """Bytes that the records of all users take in a segment."""
        return self.records + (len(self.users) - self.recorded) * USER_BYTES

    def _carried(self) -> frozenset[int]:
        """Segments whose waiting mail goes into the next one."""
        return to_carry(list(self._whole().values()), self.small, SPARE * self.seal_at,
                        CARRIED * self.seal_at)

    def _whole(self) -> dict[int, Segment]:
        """Segments of which all that was asked for could be read."""
        return {number: segment for number, segment in self.shelf.segments.items()
                if number not in self.shelf.damaged}

    def plan(self, is_due: bool, is_full: bool, is_short: bool
             ) -> Generator[object, None, Plan | None]:
        """As steps of a task: what to seal; None if there is no room, or it would win none.

        `is_due`: all must be sealed, if that is possible.  `is_full`: mail is refused.
        `is_short`: it was, and all that was read is to be won back."""
        segments, records, chosen = self._whole(), self._size_of_records(), self._carried()
        journals, free = self.journals, self.disk.free(self.directory)
        if not is_full:
            free -= self.extension  # which mail that comes meanwhile may take
        most = journals.held + sum([segments[number].bytes for number in chosen])
        if not is_short and need(most, records, self.backend) <= free:
            return Plan(len(journals.old) + 1, chosen, 0)
        held = [*[size for _, size in journals.old], journals.current.offset - HEADER_SIZE]
        ends = [*[journals.ends[number] for number, _ in journals.old], journals.progress.last]
        waiting = yield from size_of_tails(self.users, ends)
        found = Disposal(free, records, held, waiting, segments, self.small, self.backend)
        whole = plan(found, len(held))
        if whole and is_due:
            return whole
        best = next(iter(plans(found)), None)
        return best if best and best.gain >= (GAIN if is_full else self.seal_at // 2) else None
