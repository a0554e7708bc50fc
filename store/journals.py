"""journals: the journals of a store, and the manifest that lists them with the segments.

Promises
    What `append` took is in the journal that is being written, and on the disk when `settled` says
    so.  One sync is under way at a time, for all that was written before it began.
    A failed sync, or anything else that the disk did not keep its word in, is final: it is
    remembered in `failed`, every later call raises it again, and nothing is retried.

How it works
    One journal is written, `current`; `old` are those before it, listed with their sizes, which are
    never appended to.  `progress` says where the seqs stand.
    A roll goes on in a new journal.  It is made ready while the old one is still written, so its
    first seq is one that is not reached till then, and ids jump to it.  Then the old one is cut to
    its size and listed with the new one.  Nothing is written meanwhile, and nothing but READs may
    be gathered: they go into the new one.
    The tasks here are generators (disk.py): a step WAIT means that only the disk can help.
"""

from __future__ import annotations

import errno
from collections.abc import Generator, Iterator, Sequence
from os.path import join

from store import manifest as manifests
from store.batch import Batch
from store.disk import WAIT, Disk, Failed
from store.journal import FIRST_ROOM, HEADER_SIZE, SPARE, Journal, file_name
from store.manifest import Manifest
from store.progress import ID_JUMP
from store.segment import Listed
from store.user import User

Old = list[tuple[int, int]]  # journals before the one that is written, oldest first: number, size


class Journals:
    """The journals of a store.  `ends`: by number of an old one, its highest seq."""

    current: Journal

    def __init__(self, disk: Disk, directory: str, manifest: Manifest, batch: Batch,
                 old: Old, ends: dict[int, int]) -> None:
        self.disk, self.directory, self.manifest = disk, directory, manifest
        self.batch, self.progress = batch, batch.progress
        self.old, self.ends = old, ends
        self.is_rolling = False  # no further sync is begun: the journal is about to be finished
        self.failed: Failed | None = None

    @property
    def store(self) -> bytes:
        """The number of the store, 16 bytes."""
        return self.manifest.store

    @property
    def held(self) -> int:
        """Bytes of records in all journals; 0 when there is nothing to seal."""
        return sum([size for _, size in self.old]) + self.current.offset - HEADER_SIZE

    def growth(self, parts: list[bytes]) -> int:
        """How many bytes these records need beyond the end of the current journal's file."""
        return self.current.offset + sum(map(len, parts)) - self.current.size

    def check(self) -> None:
        """Raise what failed before."""
        if self.failed is not None:
            raise self.failed

    # Which there are

    def begin(self, number: int, room: int = FIRST_ROOM) -> None:
        """Begin the first journal after a start."""
        journal = Journal.create(self.disk, self.directory, self.store, number,
                                 self.progress.base, room)
        self.disk.at_once(self._using(journal, self.old))

    def _using(self, journal: Journal, old: Old) -> Generator[object, None, None]:
        """From now on this one is written, behind the old ones, and ids begin where it does."""
        try:
            yield from self._listing(old, journal, self.manifest.segments, journal.first - 1)
        except OSError:
            journal.close()
            self.disk.unlink(journal.path)
            raise
        self.current, self.old = journal, old
        self.progress.begin_journal(journal.first)
        self.progress.hold(self.held)
        self.batch.begin()

    def _listing(self, old: Old, journal: Journal, segments: Sequence[Listed], seq: int = 0
                 ) -> Generator[object, None, None]:
        """Replace the manifest.  `seq`: a floor for new ids, if it is above all that were given."""
        listed = (*old, (journal.number, None))
        new = Manifest(self.store, self.manifest.generation + 1, max(self.progress.last, seq),
                       listed, tuple(segments), self.progress.lost)
        yield from manifests.saving(self.disk, self.directory, new)
        self.manifest = new

    def listing(self, old: Old, segments: Sequence[Listed]) -> Generator[object, None, None]:
        """As steps of a task: these old journals and these segments count, and no others."""
        yield from self._listing(old, self.current, segments)
        self.old = old
        self.progress.hold(self.held)

    def retire(self, number: int, size: int, spare_max: int) -> None:
        """Unlink a journal that the manifest lists no more.  One of `spare_max` bytes at most
        becomes the next journal's file, unless there is one for that already."""
        del self.ends[number]
        path = join(self.directory, file_name(number))
        if size <= spare_max and SPARE not in self.disk.listdir(self.directory):
            self.disk.rename(path, join(self.directory, SPARE))
        else:
            self.disk.unlink(path)

    # Writing

    def append(self, parts: list[bytes], users: Sequence[User], room: int) -> None:
        """Write the batch, whose records these are, at once.  OSError: nothing of it stays.  Raises
        Failed."""
        progress, before = self.progress, self.current.offset
        try:
            self.current.append(parts, progress.base, progress.synced,
                                progress.last - progress.base + 1, room)
        except Failed as error:
            self.failed = error
            raise
        progress.wrote(self.current.offset - before)
        self.batch.written(users)

    def settled(self, wait: bool = False) -> int:
        """See Mailbox.settled."""
        if self.failed is not None:
            raise self.failed
        progress = self.progress
        if progress.syncing is not None:
            try:
                ended = self.current.sync_ended(wait)
            except Failed as error:
                self.failed = error
                raise
            if ended:
                progress.sync_ended()
        return progress.settled

    def sync(self, wait: bool = False) -> int:
        """See Mailbox.sync."""
        settled, progress = self.settled(wait), self.progress
        if progress.syncing is not None or not progress.is_dirty or self.is_rolling:
            return settled
        try:
            ended = self.current.begin_sync()
        except Failed as error:
            self.failed = error
            raise
        if not ended:
            progress.sync_began()
            return self.settled(wait) if wait else settled
        progress.synced_all()
        return self.settled()

    def settle(self) -> bool:
        """See Mailbox.settle."""
        self.check()
        progress = self.progress
        if (progress.syncing is not None or progress.is_dirty or self.is_rolling
                or progress.last >= progress.base):
            return False
        if progress.said >= progress.last:
            return True
        before = self.current.offset
        try:
            self.current.settle(progress.last + 1, progress.synced)
        except OSError:  # no room for so little
            return False
        except Failed as error:
            self.failed = error
            raise
        progress.wrote_word(self.current.offset - before)
        self.sync()
        return True

    def durable(self) -> Iterator[object]:
        """As steps of a task: wait until all that is written now is on the disk.  Then a segment or
        a manifest may tell of it."""
        written = self.progress.written
        while self.progress.synced < written:
            yield WAIT

    # A roll

    def roll(self, *room: int) -> Iterator[object]:
        """As steps of a task: go on in a new journal.  `room`: bytes of zeros in it, if not the
        usual number."""
        progress = self.progress
        first, number = progress.base + ID_JUMP, self.current.number + 1
        journal = yield from Journal.creating(self.disk, self.directory, self.store, number,
                                              first, *room)
        yield from self.durable()
        self.is_rolling = True
        try:
            while progress.syncing is not None:
                yield WAIT
            if progress.last >= first:
                journal.close()
                self.disk.unlink(journal.path)
                raise OSError(errno.EAGAIN, "the disk is too slow")
            progress.end_journal()
            yield from self._continue_in(journal)
        finally:
            self.is_rolling = False
            if progress.is_ending:
                progress.go_on()

    def _continue_in(self, journal: Journal) -> Iterator[object]:
        """Finish the current one, and list it with this one."""
        old = self.current
        size = yield from old.finishing()
        self.progress.synced_all()
        self.ends[old.number] = self.progress.written
        yield from self._using(journal, [*self.old, (old.number, size)])
        old.close()
