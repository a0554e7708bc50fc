"""batch: what a turn of the daemon gathers for one write, and how it is undone.

A batch is records, and beside them what is needed to take them back when the disk refuses them: the
mail that was put into queues, the names, the settings that were replaced.  What was read is never
taken back: a client that confirmed a message has kept it.  The READs of a refused batch stay, and
go into the next one; so do the times at which users were seen.

A READ is one record for each user and batch, however often the user confirms: its place among the
records is kept, and it is made when the batch is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from store.census import Census
from store.fanout import Fanout
from store.journal import BLANK
from store.mail import Mail
from store.progress import Progress
from store.records import read_record, seen_record
from store.user import Range, User


class Refused(NamedTuple):
    """What was in a batch that the disk refused: its mail, its new names, and its settings by user
    and kind."""

    mails: list[Mail]
    users: list[User]
    settings: list[tuple[User, int]]


class Batch:
    """What is being gathered, from `progress.base` on.  The mailbox adds to the fields."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        # By user: the place of a READ among the parts, and what ranges changed.
        self.reads: dict[int, tuple[int, list[Range]]] = {}
        self.seen: dict[int, User] = {}  # by number: users whose SEEN is to be written
        self.fanout = Fanout()  # of a message in this batch, or in one before
        self.begin()

    def begin(self) -> None:
        """Begin anew.  READs that were not written keep their place, at the front."""
        self.progress.begin_batch(len(self.reads))
        self.parts: list[bytes] = [BLANK]  # records, and empty places of READs
        self.puts: list[tuple[Mail, Sequence[User]]] = []  # mail, and its recipients
        self.registered: list[User] = []
        # What settings were: user, kind, the user's `settings` and `set_at` before.
        self.replaced: list[tuple[User, int, Mapping[int, bytes], Mapping[int, int]]] = []
        # The origins of senders, by number, in order: users mark them once they are written.
        self.origins: dict[int, list[Range]] = {}
        for number, (_, ranges) in self.reads.items():
            self.reads[number] = len(self.parts), ranges
            self.parts.append(b"")

    @property
    def is_open(self) -> bool:
        """Whether it holds anything that the disk may refuse, and that would have to be undone; or
        a message is not in all of its queues yet."""
        return bool(self.puts or self.registered or self.replaced or self.fanout.mail)

    @property
    def is_due(self) -> bool:
        """Whether it holds anything at all."""
        return self.progress.last >= self.progress.base or bool(self.seen)

    def reserve_read(self, user: User) -> None:
        """Make a place for the READ of a user that has none yet."""
        self.reads[user.number] = len(self.parts), []
        self.parts.append(b"")
        self.progress.last += 1

    def records(self, users: Sequence[User]) -> list[bytes]:
        """Everything to be written.  Then call `written`, or `undo`."""
        for number, (place, ranges) in self.reads.items():
            self.parts[place] = read_record(users[number], ranges)
        self.parts += [seen_record(user) for user in self.seen.values()]
        self.progress.last += len(self.seen)
        return self.parts

    def written(self, users: Sequence[User]) -> None:
        """The batch is in the journal."""
        for number, ranges in self.origins.items():
            for first, last in ranges:
                users[number].mark(first, last)
        self.reads.clear()
        self.seen.clear()
        self.begin()

    def undo(self, census: Census) -> Refused:
        """Take mail out of the queues, and settings back.  Their seqs are not given again, for the
        messages may have been shown.  The caller removes the names."""
        self.fanout.finish()
        for _, recipients in self.puts:
            for user in recipients:
                while user.tail and user.tail[-1].id >= self.progress.base:
                    user.waiting -= census.take([user.tail.pop()])
        for user, _, settings, set_at in reversed(self.replaced):
            user.settings, user.set_at = settings, set_at
        for user in self.registered:
            self.reads.pop(user.number, None)
            self.seen.pop(user.number, None)
        refused = Refused([mail for mail, _ in self.puts], self.registered,
                          [(user, kind) for user, kind, _, _ in self.replaced])
        self.begin()
        return refused
