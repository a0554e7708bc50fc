"""upkeep: the mailbox's own work, done when nobody waits: it seals, and drops what is read.

Promises: a step takes about a millisecond, and none waits for the disk; a crash between any two
steps loses nothing.  When nothing was written for a minute, and at a stop in good order, what waits
and the log of names come to rest in dbm too, however little it is.  That changes no promise, and
nothing of the next start.
Works by one task at a time, a generator whose steps `work` takes between batches.  Sealing rolls
the journal (journals.py), copies what waits into a new segment (seal.py), lists that, and drops the
journals and segments it came from.
Fails by leaving everything as it was, with a line in the notes, and tries again later.  Failed goes
up.  A segment of which something cannot be read stays where it is, and is not carried.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import suppress

from store.budget import Budget
from store.disk import WAIT, Damaged
from store.journal import HEADER_SIZE, file_name
from store.journals import Journals, Old
from store.room import Plan
from store.seal import Seal
from store.segment import Listed, remove
from store.shelf import Shelf
from store.shortage import FULL, Shortage
from store.user import User
from store.writer import Writer

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
END = object()  # in place of a step: there are no more
QUIET_SECONDS = 60.0  # without a write, before what waits comes to rest in dbm
# Bytes a second that seals for the sake of quiet may write, on average: 350 MB a day at most.
REST_RATE = 4 << 10
LOOK_SECONDS = 1.0  # between two looks whether the directory is the one that it was
ROOM_SECONDS = 0.25  # between two looks for room, while mail is refused
RETRY_SECONDS = 5.0  # after a task found no room
RETRY_FULL_SECONDS = 0.5  # the same while mail is refused for it


class Upkeep:
    """The work on a store's files.  `seal` is under way; `writer` writes a segment that no manifest
    lists yet.  `now`: the time of the last `work`, monotonic, in seconds."""

    def __init__(self, users: list[User], shelf: Shelf, journals: Journals, shortage: Shortage,
                 budget: Budget) -> None:
        self.users, self.shelf, self.journals = users, shelf, journals
        self.shortage, self.budget = shortage, budget
        self.disk, self.directory = journals.disk, journals.directory
        self.task: Iterator[object] | None = None
        self.seal: Seal | None = None
        self.writer: Writer | None = None
        self.now = 0.0
        self.after = self.drop_after = 0.0  # nothing is sealed before, nothing dropped
        self.look_at = self.regain_at = 0.0  # when to look at the directory, and for room
        self.must_seal = False
        # Whatever the journals hold is to be sealed, as at a stop in good order.
        self.resting = False
        # The last seq that was written, and when it was first seen here.
        self.written, self.changed = -1, 0.0
        self.rested = float("-inf")  # when the last seal for the sake of quiet was begun
        # The disk was full: win back all that was read, not only enough.
        self.short = False

    def begin(self, known: list[int]) -> None:
        """Begin a journal after those with these numbers; on a full disk a short one, in the room
        of the reserves.  Unlink those that held nothing."""
        journals, number = self.journals, max(known, default=0) + 1
        try:
            journals.begin(number)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            self.refuse(error)
            self.shortage.make_way()
            journals.begin(number, 0)
        for gone in set(known) - {number for number, _ in journals.old}:
            self.disk.unlink(os.path.join(self.directory, file_name(gone)))

    # Steps

    @property
    def is_working(self) -> bool:
        """Is a task under way, even if only the disk can help it now?"""
        return self.task is not None

    def work(self, seconds: float, now_fn: Callable[[], float]) -> bool:
        """See Mailbox.work.  Raises Failed."""
        start = self.now = now_fn()
        self._look()
        while True:
            task = self.task = self.task or self._next_task()
            if task is None or self.journals.batch.is_open:
                return task is not None
            step = next(task, END)
            if step is END:
                self.task = None
            elif step is WAIT:
                return False
            if now_fn() - start >= seconds:
                return True

    def _look(self) -> None:
        """Is the directory still ours?  And while mail is refused: is there room again?"""
        if self.now >= self.look_at:
            self.look_at = self.now + LOOK_SECONDS
            self.disk.look(self.directory)
        if self.shortage.reason is not None and self.now >= self.regain_at:
            self.regain_at = self.now + ROOM_SECONDS
            self.shortage.is_stuck = False
            self.regain_room()

    def _next_task(self) -> Iterator[object] | None:
        """What is to be done now: what needs the least room first."""
        idle = self._idle_segments() if self.now >= self.drop_after else []
        if idle:
            return self._dropping(idle)
        if self.now < self.after:
            self.resting = False
            return None
        self.short = self.short or self.shortage.reason is not None
        if self.short or self._is_due() or self._is_quiet():
            return self._sealing()
        self.resting = False
        return None

    def _is_due(self) -> bool:
        held = self.journals.held
        return bool(held) and (held > self.budget.seal_at or self.must_seal
                               or len(self.journals.old) >= self.budget.journals_max)

    def _is_quiet(self) -> bool:
        """Do the journals hold anything, and may it come to rest now?"""
        now, held, progress = self.now, self.journals.held, self.journals.progress
        if progress.written != self.written:
            self.written, self.changed = progress.written, now
        if self.resting or not held or now - self.changed < QUIET_SECONDS:
            return self.resting and bool(held)
        if now - self.rested < self.budget.size_of_rest() / REST_RATE:
            return False
        self.rested = now
        return True

    def _postponed(self, why: str) -> float:
        """When it is tried again."""
        if self.shortage.reason is not None:  # then it is known that the disk is full
            return self.now + RETRY_FULL_SECONDS
        self.shelf.notes.append(f"{self.directory}: {why}; trying again later")
        return self.now + RETRY_SECONDS

    # A full disk

    def refuse(self, error: OSError) -> None:
        """The disk refused a batch, or the first journal.  Take no mail until there is room."""
        self.shortage.begin(error)
        self.must_seal = self.must_seal or error.errno == errno.EFBIG
        self.after = 0.0

    def foresee_shortage(self) -> None:
        """Take no more mail if what room there is will be needed to seal what the journals hold."""
        if self.shortage.reason is None and not self.budget.has_room():
            self.shortage.foresee()
            self.after = 0.0

    def regain_room(self) -> None:
        """Take mail again once the reserves are whole, and there is room to seal what comes."""
        if self.shortage.end(self.budget.needed_again()):
            self.after = 0.0

    # Dropping

    def _idle_segments(self) -> list[int]:
        """Segments with nothing unread; the newest stays, for its records of users."""
        segments = self.shelf.segments
        newest = max(segments, default=0)
        return [number for number, segment in segments.items()
                if not segment.unread and number != newest]

    def _dropping(self, numbers: list[int]) -> Iterator[object]:
        journals = self.journals
        yield from journals.durable()
        try:
            if self.shortage.reason is not None:
                self.shortage.make_way()
            yield from journals.listing(journals.old, self._listed_without(numbers))
            for number in numbers:
                self._forget(number)
        except OSError as error:
            self.drop_after = self._postponed(f"cannot drop a segment: {error}")

    def _listed_without(self, numbers: Collection[int]) -> list[Listed]:
        listed = self.journals.manifest.segments
        return [segment for segment in listed if segment.number not in numbers]

    def _forget(self, number: int) -> None:
        """Unlink a segment that the manifest lists no more."""
        self.shelf.remove(number)
        remove(self.disk, self.directory, number)

    # Sealing

    def _sealing(self) -> Iterator[object]:
        try:
            plan = yield from self._plan()
            if plan is None:
                return
            seal, sealed = yield from self._written(plan)
        except OSError as error:
            self._give_up(error.strerror or str(error))
            return
        except Damaged as error:
            self._give_up(str(error))
            return
        yield None
        yield from seal.switch(self.disk, self.directory, self.journals.store)
        self.seal, self.must_seal = None, False
        self.budget.records, self.budget.recorded = seal.records, seal.names
        yield from self._retire(sealed, plan.carried)

    def _give_up(self, why: str) -> None:
        self.abandon()
        self.after = self._postponed(f"cannot seal: {why}")

    def _plan(self) -> Generator[object, None, Plan | None]:
        """Decide what to seal; None if it would win no room.  Raises OSError when there is no room
        to seal what is due."""
        is_due, is_full = self._is_due(), self.shortage.reason is not None
        if is_full:
            self.shortage.make_way()
        plan = yield from self.budget.plan(is_due, is_full, self.short)
        if plan is None:
            self.short = False
            if is_due:
                raise OSError(*FULL)
            self.resting = False
            self.after = self.now + (RETRY_FULL_SECONDS if is_full else 0.0)
        return plan

    def _written(self, plan: Plan) -> Generator[object, None, tuple[Seal, Old]]:
        """Write the new segment, and list it in place of what it holds.  Returns the seal, and the
        journals that are sealed."""
        journals, shelf = self.journals, self.shelf
        if plan.journals > len(journals.old) and journals.current.offset > HEADER_SIZE:
            # A full disk has blocks for a header.
            room = () if self.shortage.reason is None else (0,)
            yield from journals.roll(*room)
        sealed, later = journals.old[:plan.journals], journals.old[plan.journals:]
        # What is put from now on stays in the journals.
        upto = max([journals.ends[number] for number, _ in sealed], default=0)
        yield None
        number = max(shelf.segments, default=0) + 1
        writer = self.writer = Writer(self.disk, self.directory, journals.store, number,
                                      self.budget.backend)
        seal = self.seal = Seal(writer, shelf, self.users, upto, plan.carried)
        yield from seal.write()
        yield from journals.durable()
        yield from journals.listing(later, [*self._listed_without(plan.carried), writer.listed])
        self.writer, self.resting = None, False
        return seal, sealed

    def _retire(self, gone: Old, carried: frozenset[int]) -> Iterator[object]:
        """Unlink what the manifest lists no more."""
        try:
            spare_max = 2 * self.budget.seal_at if self.shortage.reason is None else 0
            yield from self.journals.retiring(gone, spare_max)
            for number in carried:
                self._forget(number)
                yield None
            yield from self.disk.syncing_directory(self.directory)
        except OSError as error:
            self._postponed(f"cannot remove what is sealed: {error}")

    # The end

    def end_roll(self) -> None:
        """Wait for the end of a roll: only then it is known which journal is written."""
        progress = self.journals.progress
        while progress.is_ending and self.task and (step := next(self.task, END)) is not END:
            if step is WAIT:
                self.disk.wait()

    def abandon(self) -> None:
        """Give up the segment that is being written."""
        writer, self.seal, self.writer = self.writer, None, None
        if writer is not None:
            with suppress(OSError):  # the next start, or writer of this number, removes what stays
                writer.abandon()

    def leave(self) -> None:
        """Leave what is being written as it is."""
        if self.writer is not None:
            self.writer.leave()

    def close(self) -> None:
        """Let go.  The files of a segment stay: a manifest that is being saved may list them."""
        if self.writer is not None:
            self.writer.close()
