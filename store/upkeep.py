"""upkeep: the mailbox's background work: it seals journals, and drops segments that are read.

Promises: a step takes about a millisecond, and none waits for the disk; a crash between any two
steps loses nothing.  When nothing was written for a minute, and at a stop in good order, upkeep
also seals waiting mail and the log of names into dbm, however little it is.  That changes no
promise, and nothing of the next start.
Works by one task at a time, a generator whose steps `work` takes between batches.  Sealing rolls
the journal (journals.py), copies waiting mail into a new segment (seal.py), lists the segment, and
drops the journals and segments that the mail came from.
Fails: a task that fails leaves everything as it was, with a line in the notes, and upkeep tries
again later.  Failed goes up to the caller.  A segment of which something cannot be read stays where
it is; its mail is not carried into another segment.
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
END = object()  # in place of a step: the task has no more
QUIET_SECONDS = 60.0  # without a write, before upkeep seals what little the journals hold
# Bytes a second that such seals may write, on average: 350 MB a day at most.
REST_RATE = 4 << 10
LOOK_SECONDS = 1.0  # between two looks whether the directory is the one that it was
ROOM_SECONDS = 0.25  # between two looks for room, while mail is refused
RETRY_SECONDS = 5.0  # before the next try, after a task failed
RETRY_FULL_SECONDS = 0.5  # the same while mail is refused for want of room


class Upkeep:
    """The work on a store's files.  `task`, `seal`: those under way; `writer`: that of a segment
    which no manifest lists yet; `now`: the time of the last `work`, monotonic, in seconds."""

    def __init__(self, users: list[User], shelf: Shelf, journals: Journals, shortage: Shortage,
                 budget: Budget) -> None:
        self.users, self.shelf, self.journals = users, shelf, journals
        self.shortage, self.budget = shortage, budget
        self.disk, self.directory = journals.disk, journals.directory
        self.task: Iterator[object] | None = None
        self.seal: Seal | None = None
        self.writer: Writer | None = None
        self.now = 0.0
        self.seals = 0  # how many there were
        self.after = self.drop_after = 0.0  # no seal begins before `after`; `drop_after`: no drop
        self.look_at = self.regain_at = 0.0  # when to look at the directory, and for room
        self.must_seal = False  # a seal is due, however little the journals hold
        # The same as at a stop in good order, until the journals are sealed or that has failed.
        self.resting = False
        # The last seq that was written, and when upkeep saw it first.
        self.written_seq, self.written_at = -1, 0.0
        self.rested_at = float("-inf")  # when the last seal after QUIET_SECONDS began
        # The disk was full: win back the room of all read mail, not only enough.
        self.short = False

    def begin(self, known: list[int]) -> None:
        """Begin the journal of this start, behind those with the numbers `known`; on a full disk a
        short one, in the room of the reserves.  Unlink the known ones that held nothing."""
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
        """Is a task under way, even one that waits for the disk?"""
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
        """Look from time to time whether the directory is still ours and, while mail is refused,
        whether there is room again."""
        if self.now >= self.look_at:
            self.look_at = self.now + LOOK_SECONDS
            self.disk.look(self.directory)
            self.budget.look()
        if self.shortage.reason is not None and self.now >= self.regain_at:
            self.regain_at = self.now + ROOM_SECONDS
            self.shortage.is_stuck = False
            self.regain_room()

    def _next_task(self) -> Iterator[object] | None:
        """The next task, the one that needs the least room first; None if there is none now."""
        idle = self._idle_segments() if self.now >= self.drop_after else []
        if idle:
            return self._dropping(idle)
        if self.now < self.after:
            self.resting = False
            return None
        self.short = self.short or self.shortage.reason is not None
        if self.short or self._is_due() or self._is_quiet() or self.budget.is_wasteful:
            self.budget.is_wasteful = False  # until the next look
            return self._sealing()
        self.resting = False
        return self.budget.census.counting() if self.budget.census.is_due else None

    def _is_due(self) -> bool:
        held = self.journals.held
        return bool(held) and (held > self.budget.seal_at or self.must_seal
                               or len(self.journals.old) >= self.budget.journals_max)

    def _is_quiet(self) -> bool:
        """Do the journals hold anything, and may it be sealed because it is quiet, or `resting`?"""
        now, held, progress = self.now, self.journals.held, self.journals.progress
        if progress.written != self.written_seq:
            self.written_seq, self.written_at = progress.written, now
        if self.resting or not held or now - self.written_at < QUIET_SECONDS:
            return self.resting and bool(held)
        if now - self.rested_at < self.budget.size_of_rest() / REST_RATE:
            return False
        self.rested_at = now
        return True

    def _postponed(self, why: str) -> float:
        """Note why a task failed.  Returns when to try again."""
        if self.shortage.reason is not None:  # the log says already that the disk is full
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
        """Take no more mail if sealing the journals will need the room that is left."""
        self.budget.look()
        if self.shortage.reason is None and not self.budget.has_room():
            self.shortage.foresee()
            self.after = 0.0

    def regain_room(self) -> None:
        """Take mail again once the reserves are whole, and there is room to seal what comes."""
        if self.shortage.end(self.budget.needed_again()):
            self.after = 0.0

    # Dropping

    def _idle_segments(self) -> list[int]:
        """Segments without unread mail, but not the newest, which has the records of users."""
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
            seal, sealed = yield from self._write_segment(plan)
        except OSError as error:
            self._give_up(error.strerror or str(error))
            return
        except Damaged as error:
            self._give_up(str(error))
            return
        yield None
        yield from seal.switch(self.disk, self.directory, self.journals.store)
        self.seal, self.must_seal = None, False
        self.seals += 1
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

    def _write_segment(self, plan: Plan) -> Generator[object, None, tuple[Seal, Old]]:
        """Write the new segment, and list it in place of what it holds.  Returns the seal, and the
        journals that are sealed."""
        journals, shelf = self.journals, self.shelf
        if plan.journals > len(journals.old) and journals.current.offset > HEADER_SIZE:
            # Of a full disk the new journal takes no more than the blocks of its header.
            room = () if self.shortage.reason is None else (0,)
            yield from journals.roll(*room)
        sealed, later = journals.old[:plan.journals], journals.old[plan.journals:]
        # Mail that is put from now on stays in the journals.
        upto = max([journals.ends[number] for number, _ in sealed], default=0)
        yield None
        number = max(shelf.segments, default=0) + 1
        writer = self.writer = Writer(self.disk, self.directory, journals.store, number,
                                      self.budget.backend)
        seal = self.seal = Seal(writer, shelf, self.users, upto, plan.carried,
                                self.budget.census)
        yield from seal.write()
        yield from journals.durable()
        yield from journals.listing(later, [*self._listed_without(plan.carried), writer.listed])
        self.writer, self.resting = None, False
        return seal, sealed

    def _retire(self, gone: Old, carried: frozenset[int]) -> Iterator[object]:
        """Unlink the journals and segments that the manifest lists no more."""
        try:
            for old, size in gone:
                # Asked each time: the disk may have become full since the last step.
                spare_max = 2 * self.budget.seal_at if self.shortage.reason is None else 0
                self.journals.retire(old, size, spare_max)
                yield None
            for number in carried:
                self._forget(number)
                yield None
            yield from self.disk.syncing_directory(self.directory)
        except OSError as error:
            self._postponed(f"cannot remove what is sealed: {error}")

    # The end

    def end_roll(self) -> None:
        """Wait for the end of a roll: only then the store knows which journal it writes."""
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
        """Touch the files of an unfinished segment no more: they may be another store's by now."""
        if self.writer is not None:
            self.writer.leave()

    def close(self) -> None:
        """Let go.  The files of a segment stay: a manifest that is being saved may list them."""
        if self.writer is not None:
            self.writer.close()
