"""upkeep: the mailbox's own work, done when nobody waits: it seals, and drops what is read.

Promises: a step takes about a millisecond, and none waits for the disk; a crash between any two steps loses nothing.
When nothing was written for a minute, and at a stop in good order, what waits and the log of names come to rest in dbm
too, whatever little it is.  That changes no promise, and nothing of the next start.
Works by one task at a time, a generator whose steps `Mailbox.work` takes between batches.  Sealing rolls the journal,
copies what waits into a new segment (seal.py), lists that, and drops the journals and segments it came from.
Fails by leaving everything as it was, with a line in the mailbox's notes, and tries again later; Failed goes up.  A
segment of which something cannot be read stays where it is, and is not carried.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from store.disk import WAIT, Damaged
from store.journal import HEADER_SIZE, ROOM, SPARE, Journal, file_name
from store.reserve import SEAL, Reserve
from store.room import BASE, GAIN, PART, SLACK, USER_BYTES, Disposal, Plan, need, plan, plans, size_of_tails, survivors
from store.seal import Seal
from store.segment import Listed, Segment, remove
from store.writer import Writer

if TYPE_CHECKING:
    from mailbox import Mailbox

SEAL_AT = 8 << 20  # bytes in journals: below, a start reads them in a tenth of a second; above, memory
JOURNALS_MAX = 16  # each start adds one; their number alone must not grow
SMALL = 1 << 20  # a segment with fewer bytes is carried into the next, so that there is one of this size at most
ID_JUMP = 1 << 20  # more than the ids that may be shown between two syncs: UNSYNCED_MAX, and one run of messages
END = object()  # there are no more steps
QUIET_SECONDS = 60.0  # without a write, before what waits comes to rest in dbm
REST_RATE = 4 << 10  # bytes a second that seals for the sake of quiet may write, over all: 350 MB a day at most
RETRY_TASK = 5.0  # seconds after a task found no room
RETRY_FULL = 0.5  # the same while mail is refused for it


class Upkeep:
    """Part of a mailbox, whose fields it reads and writes.  `seal` is under way; `writer` writes a segment that no
    manifest lists yet."""

    def __init__(self, box: Mailbox, seal_at: int, journals_max: int, small: int) -> None:
        self.box = box
        self.seal_at = min(seal_at, box.disk.capacity(box.directory) // PART)
        self.extension = min(ROOM, self.seal_at)  # bytes that a journal grows by
        self.journals_max, self.small = journals_max, min(small, self.seal_at)
        self.reserve = Reserve(box.disk, box.directory, SEAL)
        self.records = self.recorded = 0  # bytes of the records of users as they were last written, and of how many
        self.task: Iterator[object] | None = None
        self.seal: Seal | None = None
        self.writer: Writer | None = None
        self.after = self.drop_after = 0.0  # nothing is sealed before, nothing dropped
        self.must_seal = False
        self.resting = False  # whatever the journals hold is to be sealed, as at a stop in good order
        self.written, self.changed = -1, 0.0  # the last seq that was written, and when it was first seen here
        self.rested = float("-inf")  # when the last seal for the sake of quiet was begun
        self.short = False  # the disk was full: all that can be won back from what was read is, not only enough

    def next_task(self) -> Iterator[object] | None:
        """What is to be done now: what needs the least room first."""
        box = self.box
        idle = self._idle_segments() if box._now >= self.drop_after else []
        if idle:
            return self._dropping(idle)
        if box._now < self.after:
            self.resting = False
            return None
        self.short = self.short or box.refusing is not None
        if self.short or self._is_due() or self._is_quiet():
            return self._sealing()
        self.resting = False
        return None

    def _is_quiet(self) -> bool:
        """Do the journals hold anything, and may it come to rest now?"""
        now, held = self.box._now, self._held()
        if self.box._written != self.written:
            self.written, self.changed = self.box._written, now
        if self.resting or not held or now - self.changed < QUIET_SECONDS:
            return self.resting and bool(held)
        carried = sum([self.box._shelf.segments[number].bytes for number in self._carried()])
        if now - self.rested < (BASE // 2 + held + carried + self._records()) / REST_RATE:
            return False
        self.rested = now
        return True

    def _is_due(self) -> bool:
        held = self._held()
        return bool(held) and (held > self.seal_at or len(self.box._old) >= self.journals_max or self.must_seal)

    def has_room(self, again: bool = False) -> bool:
        """Can all that the journals hold, and will before they are sealed, be sealed?  `again`: and with some to
        spare."""
        segments = self._whole().values()
        carried = sum([survivors(segment) for segment in segments if segment.bytes < self.small])
        room = need(max(self._held(), self.seal_at) + carried, self._records(), self.box.backend) + self.extension
        return self.box.disk.free(self.box.directory) >= room * (SLACK if again else 1)

    def _records(self) -> int:
        """Bytes that the records of all users take in a segment."""
        return self.records + (len(self.box.users) - self.recorded) * USER_BYTES

    def make_way(self) -> None:
        """Give up what is kept for a full disk, and what is only there to be quick."""
        box = self.box
        if SPARE in box.disk.listdir(box.directory):
            box.disk.unlink(box._path(SPARE))
        self.reserve.give_up()

    def _held(self) -> int:
        """What the journals hold, in bytes; 0 when there is nothing to seal."""
        return sum([size for _, size in self.box._old]) + self.box._journal.offset - HEADER_SIZE

    def _idle_segments(self) -> list[int]:
        """Segments that nobody waits for; the newest stays, for its records of users."""
        segments = self.box._shelf.segments
        newest = max(segments, default=0)
        return [number for number, segment in segments.items() if not segment.unread and number != newest]

    def _dropping(self, numbers: list[int]) -> Iterator[object]:
        box = self.box
        yield from box._durable()
        try:
            if box.refusing is not None:
                self.make_way()
            yield from box._saving(box._manifest.journals, self._listed_without(numbers))
            for number in numbers:
                self._forget(number)
        except OSError as error:
            self.drop_after = self._postponed(f"cannot drop a segment: {error}")

    def _listed_without(self, numbers: Sequence[int] | frozenset[int]) -> tuple[Listed, ...]:
        return tuple(listed for listed in self.box._manifest.segments if listed.number not in numbers)

    def _forget(self, number: int) -> None:
        """Unlink a segment that the manifest lists no more."""
        self.box._shelf.remove(number)
        remove(self.box.disk, self.box.directory, number)

    def _postponed(self, why: str) -> float:
        """When it is tried again."""
        if self.box.refusing is not None:  # then it is known that the disk is full
            return self.box._now + RETRY_FULL
        self.box.notes.append(f"{self.box.directory}: {why}; trying again later")
        return self.box._now + RETRY_TASK

    def _carried(self) -> frozenset[int]:
        """Segments whose survivors go into the next one: three quarters read, or small."""
        return frozenset(number for number, segment in self._whole().items()
                         if segment.unread * 4 < segment.messages or segment.bytes < self.small)

    def _whole(self) -> dict[int, Segment]:
        """Segments of which all that was asked for could be read."""
        shelf = self.box._shelf
        return {number: segment for number, segment in shelf.segments.items() if number not in shelf.damaged}

    def _plan(self) -> Generator[object, None, Plan | None]:
        """What to seal; None: nothing that would win room.  Raises OSError when there is none to seal what is due."""
        box, segments, records, carried = self.box, self._whole(), self._records(), self._carried()
        free, old = box.disk.free(box.directory), box._old
        if box.refusing is None:
            free -= self.extension  # which mail that comes meanwhile may take
        most = self._held() + sum([segments[number].bytes for number in carried])
        if not self.short and need(most, records, box.backend) <= free:
            return Plan(len(old) + 1, carried, 0)
        held = [*[size for _, size in old], box._journal.offset - HEADER_SIZE]
        waiting = yield from size_of_tails(box.users, [*[box.ends[number] for number, _ in old], box.last])
        found = Disposal(free, records, held, waiting, segments, self.small, box.backend)
        whole = plan(found, len(held))
        if whole and self._is_due():
            return whole
        best = next(iter(plans(found)), None)
        if best and best.gain >= (GAIN if box.refusing is not None else self.seal_at // 2):
            return best
        self.short = False
        if self._is_due():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return None

    def _sealing(self) -> Iterator[object]:
        box = self.box
        try:
            if box.refusing is not None:
                self.make_way()
            plan = yield from self._plan()
            if plan is None:
                self.resting = False
                self.after = box._now + (RETRY_FULL if box.refusing is not None else 0.0)
                return
            if plan.journals > len(box._old) and box._journal.offset > HEADER_SIZE:
                yield from self._rolled()
            sealed, left = box._old[:plan.journals], box._old[plan.journals:]
            upto = max([box.ends[number] for number, _ in sealed], default=0)  # what is put from now on stays
            box._rolling = False
            yield None
            number = max(box._shelf.segments, default=0) + 1
            writer = self.writer = Writer(box.disk, box.directory, box.store, number, box.backend)
            seal = self.seal = Seal(writer, box._shelf, box.users, upto, plan.carried)
            yield from seal.write()
            yield from box._durable()
            yield from box._saving((*left, (box._journal.number, None)),
                                   (*self._listed_without(plan.carried), writer.listed))
        except OSError as error:
            self.abandon()
            self.after = self._postponed(f"cannot seal: {error.strerror or error}")
            return
        except Damaged as error:
            self.abandon()
            self.after = self._postponed(f"cannot seal: {error}")
            return
        self.writer, box._old, self.resting = None, left, False
        yield None
        yield from seal.switch(box.disk, box.directory, box.store)
        self.seal, self.must_seal, self.records, self.recorded = None, False, seal.records, seal.count
        yield from self._retire(sealed, plan.carried)

    def _rolled(self) -> Iterator[object]:
        """Go on in a new journal.  It is made ready while the old one is written, so its first seq is one that is not
        reached till then; ids jump to it."""
        box = self.box
        first, number = box._base + ID_JUMP, box._journal.number + 1
        room = () if box.refusing is None else (0,)  # a full disk has blocks for its header
        journal = yield from Journal.creating(box.disk, box.directory, box.store, number, first, *room)
        yield from box._durable()
        box._rolling = True
        while box._syncing is not None:
            yield WAIT
        if box.last >= first:
            journal.close()
            box.disk.unlink(journal.path)
            raise OSError(errno.EAGAIN, "the disk is too slow")
        box._ending, box.most = True, -1
        try:
            yield from self._roll(journal)
        finally:
            box._ending = False
            box._reached(box._synced)

    def _roll(self, journal: Journal) -> Iterator[object]:
        """The old journal is cut to its size and listed with the new one.  Nothing is written meanwhile, and nothing
        but READs may be batched: they go into the one that is written then."""
        box, old = self.box, self.box._journal
        size = yield from old.finishing()
        box._dirty, box._offset = False, size
        box._reached(box._written)
        box.ends[old.number] = box._written
        yield from box._using(journal, [*box._old, (old.number, size)])
        old.close()

    def end_roll(self) -> None:
        """Wait for the end of a roll: only then it is known which journal is written."""
        while self.box._ending and self.task and (step := next(self.task, END)) is not END:
            if step is WAIT:
                self.box.disk.wait()

    def abandon(self) -> None:
        """Give up the segment that is being written."""
        writer, self.seal, self.writer = self.writer, None, None
        self.box._rolling = False
        if writer is not None:
            with suppress(OSError):  # what stays is removed when its number is taken again, or at the next start
                writer.abandon()

    def leave(self) -> None:
        """What is being written is left as it is."""
        if self.writer is not None:
            self.writer.leave()

    def _retire(self, gone: list[tuple[int, int]], carried: frozenset[int]) -> Iterator[object]:
        """Unlink what the manifest lists no more; one journal becomes the next one's file."""
        box = self.box
        try:
            for number, size in gone:
                del box.ends[number]
                path, spare = box._path(file_name(number)), SPARE not in box.disk.listdir(box.directory)
                if spare and size <= 2 * self.seal_at and box.refusing is None:
                    box.disk.rename(path, box._path(SPARE))
                else:
                    box.disk.unlink(path)
                yield None
            for number in carried:
                self._forget(number)
                yield None
            yield from box.disk.syncing_directory(box.directory)
        except OSError as error:
            self._postponed(f"cannot remove what is sealed: {error}")
