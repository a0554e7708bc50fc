"""upkeep: the mailbox's own work, done when nobody waits: it seals, and drops what is read.

Promises: a step takes about a millisecond, and none waits for the disk; a crash between any two steps loses nothing.
Works by one task at a time, a generator whose steps `Mailbox.work` takes between batches.  Sealing rolls the journal,
copies what waits into a new segment (seal.py), lists that, and drops the journals and segments it came from.
Fails by leaving everything as it was, with a line in the mailbox's notes, and tries again later; Failed goes up.  A
segment of which something cannot be read stays where it is, and is not carried.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from disk import WAIT, Damaged
from journal import HEADER_SIZE, SPARE, Journal, file_name
from seal import Seal
from segment import Listed, Writer, remove

if TYPE_CHECKING:
    from mailbox import Mailbox

SEAL_AT = 8 << 20  # bytes in journals: below, a start reads them in a tenth of a second; above, memory
JOURNALS_MAX = 16  # each start adds one; their number alone must not grow
SMALL = 1 << 20  # a segment with fewer bytes is carried into the next, so that there is one of this size at most
RETRY_TASK = 5.0  # seconds after a seal found no room
ID_JUMP = 1 << 20  # more than the ids that may be shown between two syncs: UNSYNCED_MAX, and one run of messages
END = object()  # there are no more steps
USER_BYTES = 128  # what a user's records take in a segment


class Upkeep:
    """Part of a mailbox, whose fields it reads and writes.  `seal` is under way; `writer` writes a segment that no
    manifest lists yet."""

    def __init__(self, box: Mailbox, seal_at: int, journals_max: int, small: int) -> None:
        self.box = box
        self.seal_at, self.journals_max, self.small = seal_at, journals_max, small
        self.task: Iterator[object] | None = None
        self.seal: Seal | None = None
        self.writer: Writer | None = None
        self.after = 0.0  # no task is begun before
        self.must_seal = False

    def next_task(self) -> Iterator[object] | None:
        if self.box._now < self.after:
            return None
        held = self._held()
        if held and (held > self.seal_at or len(self.box._old) >= self.journals_max or self.must_seal):
            return self._sealing()
        idle = self._idle_segments()
        return self._dropping(idle) if idle else None

    def _held(self) -> int:
        """What the journals hold, in bytes; 0 when there is nothing to seal."""
        return sum([size for _, size in self.box._old]) + self.box._journal.offset - HEADER_SIZE

    def _idle_segments(self) -> list[int]:
        """Segments that nobody waits for; the newest stays, for its records of users."""
        segments = self.box._shelf.segments
        newest = max(segments, default=0)
        return [number for number, segment in segments.items() if not segment.left and number != newest]

    def _dropping(self, numbers: list[int]) -> Iterator[object]:
        box = self.box
        yield from box._durable()
        try:
            yield from box._saving(box._manifest.journals, self._listed_without(numbers))
            for number in numbers:
                self._forget(number)
        except OSError as error:
            self._postpone(f"cannot drop a segment: {error}")

    def _listed_without(self, numbers: Sequence[int] | frozenset[int]) -> tuple[Listed, ...]:
        return tuple(listed for listed in self.box._manifest.segments if listed.number not in numbers)

    def _forget(self, number: int) -> None:
        """Unlink a segment that the manifest lists no more."""
        self.box._shelf.remove(number)
        remove(self.box.disk, self.box.directory, number)

    def _postpone(self, why: str) -> None:
        self.after = self.box._now + RETRY_TASK
        self.box.notes.append(f"{self.box.directory}: {why}; trying again later")

    def _carried(self) -> frozenset[int]:
        """Segments whose survivors go into the next one: three quarters read, or small."""
        shelf = self.box._shelf
        return frozenset(number for number, segment in shelf.segments.items() if number not in shelf.damaged
                         and (segment.left * 4 < segment.messages or segment.bytes < self.small))

    def _sealing(self) -> Iterator[object]:
        box, carried = self.box, self._carried()
        need = self._held() + sum([box._shelf.segments[number].bytes for number in carried])
        writer = None
        try:
            if box.disk.free(box.directory) < 3 * (need + len(box.users) * USER_BYTES):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if box._journal.offset > HEADER_SIZE:
                yield from self._rolled()
            upto = box._synced  # what is put from now on is in the journal that stays
            box._rolling = False
            yield None
            number = max(box._shelf.segments, default=0) + 1
            writer = self.writer = Writer(box.disk, box.directory, box.store, number, box.backend)
            seal = self.seal = Seal(writer, box._shelf, box.users, upto, carried)
            yield from seal.write()
            yield from box._durable()
            yield from box._saving(((box._journal.number, None),), (*self._listed_without(carried), writer.listed))
        except OSError as error:
            self.abandon()
            self._postpone(f"cannot seal: {error.strerror or error}")
            return
        except Damaged as error:
            self.abandon()
            self._postpone(f"cannot seal: {error}")
            return
        self.writer = None
        yield None
        yield from seal.switch(box.disk, box.directory, box.store)
        self.seal, self.must_seal = None, False
        yield from self._retire(carried)

    def _rolled(self) -> Iterator[object]:
        """Go on in a new journal.  It is made ready while the old one is written, so its first seq is one that is not
        reached till then; ids jump to it."""
        box = self.box
        first, number = box._base + ID_JUMP, box._journal.number + 1
        journal = yield from Journal.creating(box.disk, box.directory, box.store, number, first)
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

    def _retire(self, carried: frozenset[int]) -> Iterator[object]:
        """Unlink what the manifest lists no more; one journal becomes the next one's file."""
        box = self.box
        gone, box._old = box._old, []
        try:
            for number, size in gone:
                path, spare = box._path(file_name(number)), SPARE not in box.disk.listdir(box.directory)
                if spare and size <= 2 * SEAL_AT:
                    box.disk.rename(path, box._path(SPARE))
                else:
                    box.disk.unlink(path)
                yield None
            for number in carried:
                self._forget(number)
                yield None
            yield from box.disk.syncing_directory(box.directory)
        except OSError as error:
            self._postpone(f"cannot remove what is sealed: {error}")
