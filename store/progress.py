"""progress: which seqs were given, which were written, and which are on the disk.

Every record has a seq; a message's seq is its id.  Seqs only grow, and none is given twice, not
even after a batch was refused.  They stand like this:

    synced <= written < base <= last + 1

    last      the highest that was given
    base      the first of the batch that is being gathered
    written   the highest that was written to a journal
    synced    the highest that is on the disk
    said      the highest of which the journal itself says that it is on the disk
    due       the first whose answers may not leave yet: `base`, or an earlier one as long as READs
              of a batch that failed wait to be written again
    most      new mail, names and settings are taken until `last` is above this
    ask_above   not all clients go on until `last` is above this, but some may: `most`, or NOTHING
                while the journals are long

Works by being told: Journals (journals.py) calls a method here at each step of a write, a sync or a
roll, and says how long the journals are.  Nothing here touches the disk, and nothing fails.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from store.user import BY_END, Range, united

LOST_MAX = 256  # ranges of ids that starts passed over: 6 KB in the manifest
UNSYNCED_MAX = 1 << 16  # seqs given and not on the disk; above, no mail, name or setting is taken
UNSYNCED_BYTES = 32 << 20  # the same in bytes of the journal: they are memory
# Above the ids that may be shown between two syncs, which are UNSYNCED_MAX and one run of messages.
ID_JUMP = 1 << 20
NOTHING = -1  # in `most`: nothing is taken, whatever `last` is
NO_LIMIT = 1 << 62


class Progress:
    """Where the seqs of a store stand; see the head of this file.  `held`: bytes in all journals.
    `lost`: ids that starts passed
    over, as ranges; whatever had one of them is not on the disk."""

    __slots__ = ("_bytes", "_late", "_late_at", "ask_above", "base", "due", "full_at", "held",
                 "is_dirty", "is_ending", "last", "long_at", "lost", "most", "said", "synced",
                 "syncing", "written")

    def __init__(self, last: int, lost: Sequence[Range] = ()) -> None:
        self.lost = tuple(united(list(lost)))[-LOST_MAX:]
        self.last = self.written = self.synced = self.said = last
        self.base = self.due = last + 1
        self.syncing: int | None = None  # what the sync under way will have put on the disk
        self.is_dirty = False  # something was written since the last sync began
        self.is_ending = False  # the journal is being finished, and nothing is written meanwhile
        self._bytes = 0  # written since the last sync began
        self.held = 0  # bytes in all journals
        # Above `long_at` bytes the clients that fill the journals have to wait until they are
        # sealed, above `full_at` all clients (budget.py).
        self.long_at = self.full_at = NO_LIMIT
        # READs that were promised before a roll: all up to `_late` is settled until the disk has
        # `_late_at`.
        self._late = self._late_at = 0
        self.reached(last)

    @property
    def is_behind(self) -> bool:
        """Whether the disk is too far behind for anything new: only the disk can help."""
        return self.last > self.most

    @property
    def is_long(self) -> bool:
        """Whether those that fill the journals have to wait until they are sealed."""
        return self.held > self.long_at

    @property
    def settled(self) -> int:
        """The seq up to which all is settled: on the disk, or refused."""
        if self.synced < self._late_at:
            return min(self.synced, self._late)
        return self.due - 1 if self.synced == self.written else min(self.synced, self.due - 1)

    def kept(self, first: int, last: int) -> list[Range]:
        """See Mailbox.kept."""
        if not self.lost or first > last:
            return [(first, last)]
        parts = []
        for place in range(bisect_left(self.lost, first, key=BY_END), len(self.lost)):
            begin, end = self.lost[place]
            if begin > last:
                break
            if begin > first:
                parts.append((first, begin - 1))
            first = end + 1
        if first <= last:
            parts.append((first, last))
        return parts

    # A batch

    def begin_batch(self, reads: int) -> None:
        """Begin a batch, empty but for so many READs of one that failed, which are still due."""
        self.base = self.last + 1
        if not reads:
            self.due = self.base
        self.last += reads

    def wrote(self, size: int) -> None:
        """The batch is in the journal, in so many bytes."""
        if self.due < self.base:  # READs promised with lower seqs, in the batch of another journal
            self._late = self._late if self.synced < self._late_at else self.due - 1
            self._late_at = self.last
        self.written, self.said, self.is_dirty = self.last, self.synced, True
        self._bytes += size
        self.held += size
        if self._bytes > UNSYNCED_BYTES or self.held > self.long_at:
            self._limit()

    def wrote_word(self, size: int) -> None:
        """The journal says in so many bytes that all so far is on the disk."""
        self.written = self.said = self.last
        self.is_dirty = True
        self._bytes += size

    # A sync

    def sync_began(self) -> None:
        """A sync of all that was written is under way."""
        self.syncing, self.is_dirty, self._bytes = self.written, False, 0

    def sync_ended(self) -> None:
        """The sync that was under way has ended."""
        assert self.syncing is not None
        done, self.syncing = self.syncing, None
        self.reached(done)

    def synced_all(self) -> None:
        """All that was written is on the disk."""
        self.is_dirty, self._bytes = False, 0
        self.reached(self.written)

    def reached(self, seq: int) -> None:
        """All up to this seq is on the disk."""
        self.synced = seq
        if self.is_ending or self._bytes > UNSYNCED_BYTES or self.held > self.long_at:
            self._limit()
        else:
            self.most = self.ask_above = seq + UNSYNCED_MAX

    def hold(self, size: int) -> None:
        """The journals hold so many bytes now."""
        self.held = size
        self._limit()

    def _limit(self) -> None:
        is_late = self.is_ending or self._bytes > UNSYNCED_BYTES or self.held > self.full_at
        self.most = NOTHING if is_late else self.synced + UNSYNCED_MAX
        self.ask_above = NOTHING if self.is_long else self.most

    # A roll

    def end_journal(self) -> None:
        """From now on nothing is written, until `begin_journal` or `go_on`."""
        self.is_ending = True
        self._limit()

    def begin_journal(self, first: int) -> None:
        """All that was written is on the disk, in other journals.  The next batch has the seq
        `first` or a higher one, for refused batches have had theirs."""
        self.written = self.said = first - 1
        self.is_dirty, self._bytes = False, 0
        self.last = max(self.last, first - 1)
        self.reached(first - 1)

    def go_on(self) -> None:
        """The roll is over, whether a new journal was begun or not."""
        self.is_ending = False
        self.reached(self.synced)
