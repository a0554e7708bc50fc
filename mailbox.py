"""mailbox: the names, and the mail that waits for each; what was acknowledged is never lost.

Promises
    A change (`put`, `read`, `register`, `set`) that `write` did not refuse is durable once
    `settled` has reached the value that `last` had after the change: the mail, the name or the
    setting survives kill -9 and a power cut, and mail that was read never comes back.  Before that
    nothing is promised.  A full or failing disk makes the mailbox refuse, never lie.  Ids only
    grow, and no id is ever given twice, not even after a crash.  `waiting` is exact, except that
    all messages of a page that cannot be read count.

How it works
    A turn of the daemon calls `put`, `read`, `register`, `set` and `seen` as often as it likes:
    they change memory and add records to a batch (batch.py).  Then `write` appends the batch to the
    journal with one pwrite, `sync` begins one fdatasync, and the answers may leave once `settled`
    has reached them.  After that the daemon calls `work` with the time that the turn can spare.

    When the journals have grown, `work` seals (upkeep.py), in steps of about a millisecond: it
    rolls the journal, copies the mail that still waits in the old ones into a new dbm file that is
    never modified again (segment.py), checks it, lists it in the manifest and drops the old
    journals.  Reading writes to no segment: a watermark for each user, and a few ranges above it,
    say what is read.  `work` unlinks a segment that everybody has read; if a segment is nearly
    read, or small, `work` carries its mail into the next one.

        mailbox -> upkeep -> seal -> writer, shelf -> segment      what waits, at rest
                -> journals -> journal, manifest                   which files count
                -> batch -> records, progress                      what a turn gathers
                -> user -> mail                                    one name and its queue

    A start takes the lock, and reads the manifest, the records of users in the newest segment, the
    journals and the indexes of the segments (recovery.py).  Then it begins a new journal, and never
    appends to an earlier one.  New ids start 2**20 above the highest found, because the daemon may
    push mail to its readers before it is synced: an id that was shown must not come back with
    another text after a power cut.

How it fails
    `Full` from `write`: the disk has refused the batch, and the mailbox has undone it, on disk and
    in memory; the error lists its `mails`, `users` and `settings`.  Its READs stay for the next
    batch: call `write` and `sync` again.  For this the mailbox has given up `reserve`, a file of
    zeros.  If `write` fails again, it does nothing more until `work` has looked for room, and
    `settled` does not count the READs.  Meanwhile `refusing` holds the reason, and `put`,
    `register` and `set` raise Full, until `work` has won room and made the reserve again: call
    `work` at least every quarter of a second while `refusing` is set.  `refusing` is also set, and
    nothing else happens, when a batch was written and left too little room to seal all that the
    journals hold (room.py).
    `Failed` from any method: the disk did not keep its word.  The mailbox tries nothing again; the
    daemon must exit (70).
    `Damaged` from the start: a file is not what was written; the error names it, with the offset.
    Later, the mailbox skips a page that it cannot read: the messages of that page are not shown,
    not read and not dropped; a note names the page, and `unreadable` counts the messages.
    `notes` collects lines for the daemon's log; take them and clear the list.

Bad at
    All mail of the journals is in memory: up to SEAL_AT bytes mostly.  Sealing is slower than long
    texts can come: from LONG times SEAL_AT on (budget.py) the daemon does not read from those that
    send most, and from FULL times on `refusal` is set.
    If a user confirms the oldest messages of a very long queue in the journals one by one, each
    confirmation moves all others in memory (60,000 messages: 20 us).
    Every seal writes the records of all users again: about 100 bytes a name.
    dbm.dumb and the others write through the page cache in their own way; `disk` does not see their
    writes.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence

from net.bodies import body_of, count_of
from store import manifest as manifests
from store.backends import choose
from store.batch import Batch
from store.budget import JOURNALS_MAX, SEAL_AT, SMALL, Budget, Sizes
from store.census import Census
from store.disk import (
    CannotCreate,
    Damaged,
    Denied,
    Disk,
    Failed,
    InUse,
    NoBackend,
    StoreError,
)
from store.headings import heading_of_names
from store.journal import HEADER_SIZE
from store.journals import Journals
from store.mail import (
    EACH,
    NO_TEXT,
    OWN,
    SHARED_AT,
    WHOLE,
    Mail,
    limited,
    place_of,
    weight,
)
from store.records import (
    EVERYONE,
    addressed_record,
    name_record,
    put_record,
    setting_record,
)
from store.recovery import Recovery, lock_store, manifest_of
from store.segment import ENTRY_MAX
from store.shortage import Shortage
from store.upkeep import Upkeep
from store.user import BY_END, LOW, SETTING_MAX, Range, User

__all__ = ["EVERYONE", "CannotCreate", "Damaged", "Denied", "Failed", "Full", "InUse", "Mail",
           "Mailbox", "NoBackend", "StoreError", "User"]

TOO_SLOW = "the disk is too slow now: try again"
NAME_MAX = 255  # bytes
NEW = tuple.__new__  # half the time of Mail(...)


class Full(StoreError):
    """The disk took nothing of the batch.  What this error lists is undone; the READs stay for the
    next write."""

    code = os.EX_IOERR

    def __init__(self, reason: str, mails: Sequence[Mail] = (), users: Sequence[User] = (),
                 settings: Sequence[tuple[User, int]] = ()) -> None:
        super().__init__(reason)
        self.reason, self.mails, self.users, self.settings = reason, mails, users, settings


class Mailbox:
    """The store of one directory.  Opening recovers it; raises StoreError, one line and a code.

    `users`: by number; `progress`: which seqs were given, and which are on the disk; `census`:
    whose mail waits; `upkeep`: the work that `work` does; `store`: the store's number, 16 bytes."""

    def __init__(self, directory: str, disk: Disk | None = None, backend: str | None = None,
                 seal_at: int = SEAL_AT, journals_max: int = JOURNALS_MAX, small: int = SMALL
                 ) -> None:
        self.directory, self.disk = os.path.abspath(directory), disk or Disk()
        self._lock = lock_store(self.disk, self.directory)
        try:
            self.backend = choose(backend)
            self._open(Sizes(seal_at, journals_max, small))
        except (OSError, StoreError) as error:
            self.disk.close(self._lock)
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"{directory}: {error.strerror or error}") from error

    def _open(self, sizes: Sizes) -> None:
        """Recover what the files hold, and begin a journal."""
        found = manifest_of(self.disk, self.directory)
        recovery = Recovery(self.disk, self.directory, found)
        self.store, self.notes = found.store, recovery.notes
        self.users, self._shelf = recovery.users, recovery.shelf
        self._names: dict[str, User] = {}  # as registered, and in lower case
        for user in self.users:
            self._names[user.name] = self._names[user.name.lower()] = user
        self.progress = recovery.progress()
        self._batch, self.census = Batch(self.progress), Census(self.users, self._shelf)
        self.fanout = self._batch.fanout
        self._journals = Journals(self.disk, self.directory, found, self._batch,
                                  recovery.with_mail(), recovery.ends)
        self._shortage = Shortage(self.disk, self.directory)
        budget = Budget(self.users, self._shelf, self._journals, self.backend, sizes, self.census)
        budget.records, budget.recorded = recovery.records, recovery.recorded
        self.upkeep = Upkeep(self.users, self._shelf, self._journals, self._shortage, budget)
        for name in manifests.unlisted(self.disk, self.directory, found):
            self.disk.unlink(os.path.join(self.directory, name))
        self.upkeep.begin([number for number, _ in recovery.journals])
        self.upkeep.regain_room()

    # Whether it takes anything

    @property
    def last(self) -> int:
        """The highest seq, and so the highest id, that was given."""
        return self.progress.last

    @property
    def refusing(self) -> str | None:
        """Why no mail, name or setting is taken, for want of room; None while there is room."""
        return self._shortage.reason

    @property
    def refusal(self) -> str | None:
        """Why no mail, name or setting is taken now: the disk is full, or too far behind."""
        progress = self.progress
        return self._shortage.reason or (TOO_SLOW if progress.last > progress.most else None)

    # Names

    def find(self, name: str) -> User | None:
        """The user of this name, however it is spelled."""
        return self._names.get(name) or self._names.get(name.lower())

    def register(self, name: str, now: int) -> User:
        """The user of this name, a new one if need be.  Durable once settled."""
        user = self.find(name)
        if user is not None:
            return user
        if self.refusal:
            raise Full(self.refusal)
        if not 0 < len(name.encode()) <= NAME_MAX:
            raise ValueError(f"a name of {len(name.encode())} bytes")
        user = User(len(self.users), name, now)
        self.users.append(user)
        self._names[name] = self._names[name.lower()] = user
        self._batch.registered.append(user)
        self._batch.parts.append(name_record(user))
        self.progress.last += 1
        return user

    def seen(self, user: User, now: int) -> None:
        """This user was here.  The next batch, whenever it comes, takes that to the disk."""
        if now > user.last_seen:
            user.last_seen = now
            self._batch.seen[user.number] = user

    def set(self, user: User, kind: int, value: bytes) -> None:
        """Set a user's setting; an empty value removes it.  Durable once settled."""
        if self.refusal:
            raise Full(self.refusal)
        if len(value) > SETTING_MAX:
            raise ValueError(f"a setting of {len(value)} bytes")
        if user.settings.get(kind, b"") == value:
            return
        self._batch.replaced.append((user, kind, user.settings, user.set_at))
        self.progress.last += 1
        user.set(kind, self.progress.last, value)
        self._batch.parts.append(setting_record(user, kind))

    # Mail

    def known(self, sender: User, origin: int) -> Range:
        """The first range of a sender's origins, from this one on, that were put already.  If none
        of this instance were, the range begins beyond the instance.  0 was never put."""
        first, last = sender.next_marked(origin) if origin else (1, 1)
        ranges = self._batch.origins.get(sender.number, ())
        place = bisect_left(ranges, origin, key=BY_END)
        if place < len(ranges) and ranges[place][0] < first:
            return max(ranges[place][0], origin), ranges[place][1]
        return first, last

    def put(self, sender: User, origin: int, now: int, recipients: Sequence[User], flags: int,
            text: bytes) -> Mail:
        """Queue one message for each recipient, no one twice; they must not change before `write`.
        With EVERYONE, to all but the sender, they are in order.  Durable once settled."""
        heading = b"" if flags & EVERYONE else heading_of_names([user.name for user in recipients])
        return self.put_run(sender, origin, now, recipients, flags, body_of([text]), False, heading)

    def put_run(self, sender: User, first: int, now: int, recipients: Sequence[User], flags: int,
                body: bytes, spread: bool = False, heading: bytes = b"") -> Mail:
        """Queue a run: messages to the same recipients, with consecutive origins from `first`.
        A `heading` of names (headings.py) has the recipients', in their order.  With `spread` call
        `fanout.step` until all queues have it (fanout.py)."""
        progress, batch = self.progress, self._batch
        if self._shortage.reason is not None or progress.last > progress.most:
            raise Full(self.refusal or "")
        copies, number = len(recipients), sender.number
        if len(body) > ENTRY_MAX:
            raise ValueError(f"texts of {len(body)} bytes")
        id, messages = progress.last + 1, count_of(body)
        last = progress.last + messages
        mail: Mail = NEW(Mail, (id, last, now, number, first, flags, copies, body, WHOLE))
        if heading:
            mail = mail.headed(heading)
            batch.parts += addressed_record(mail, recipients)
            sender.sent += weight(mail) * copies
        else:
            batch.parts += put_record(now, number, first, flags, recipients, len(self.users), body)
            size = OWN * messages + len(body) - NO_TEXT  # as weight(), times copies
            sender.sent += size + (size if copies < SHARED_AT else EACH * messages) * (copies - 1)
        progress.last = last
        if spread or self.fanout.mail is not None:
            self.fanout.put(mail, recipients, spread)
        else:
            for user in recipients:
                user.queue(mail)
                user.waiting += messages
        batch.puts.append((mail, recipients))
        if first:
            origins = batch.origins.setdefault(number, [])
            place = bisect_left(origins, (first, first))
            # A range is not extended into the next instance.
            if place and origins[place - 1][1] == first - 1 and first & LOW:
                origins[place - 1] = origins[place - 1][0], first + messages - 1
            else:
                origins.insert(place, (first, first + messages - 1))
        return mail

    def unread(self, user: User, after: int, upto: int, most: int, size: int) -> list[Mail]:
        """The next unread mail with after < id <= upto: `most` messages and `size` bytes of text at
        most, but one message if there is any."""
        if self.fanout.mail is not None:
            self.fanout.reach(user)
        if user.pages:
            unread = self._shelf.each_unread(user, after, self.progress.last)
            return limited(unread, upto, most, size)
        tail = user.tail
        if tail and after >= tail[0].id:
            start = place_of(tail, after + 1)
            tail = tail[start:start + most]
            if tail and tail[0].id <= after:
                tail[0] = tail[0].part(after + 1, tail[0].last)
        return limited(tail, upto, most, size)

    def unreadable(self, user: User) -> int:  # messages that wait, and can't be read from the disk
        return user.unreadable

    def read(self, user: User, first: int, last: int) -> list[Mail]:
        """Mark all mail of this user's with first <= id <= last as read.  Returns the mail of it
        that was unread, in order."""
        if self.fanout.mail is not None:
            self.fanout.reach(user)
        if user.pages:
            self.census.count(user, user.overlapping(first, last))
            parts = self._shelf.take(user, first, last)
            newly = [mail for part in parts for mail in part]
        else:
            parts = [newly := user.take(first, last)]
        if not newly:
            return newly
        if user.number not in self._batch.reads:
            self._batch.reserve_read(user)
        user.waiting -= self.census.take(newly)
        for part in parts:
            if part and (above := user.mark_read(part[0].id, part[-1].last, self._shelf.mails_for)):
                self._batch.reads[user.number][1].append(above)
        if self.upkeep.seal is not None:
            self.upkeep.seal.read(user, newly[0].id, newly[-1].last)
        return newly

    def kept(self, first: int, last: int) -> Sequence[Range]:
        """The parts of this range of ids that no power cut has taken: a message with such an id was
        on the disk and, once read, never comes back.  One with another id may have been shown, and
        come again from its sender.  A range with last < first is returned as it is."""
        return self.progress.kept(first, last)

    # The disk

    def write(self) -> None:
        """Write the batch, with one pwrite.  Raises Full, with the batch undone, or Failed."""
        if self._journals.failed is not None:
            raise self._journals.failed
        progress = self.progress
        if (progress.last >= progress.base and not self._shortage.is_stuck
                and not progress.is_ending):
            self._write()

    def _write(self) -> None:
        journals, shortage = self._journals, self._shortage
        parts, size = self._batch.records(self.users), journals.current.size
        room = self.upkeep.budget.extension if shortage.reason is None else 0
        try:
            if shortage.has_given_up:
                shortage.leave_room_to_start(journals.growth(parts))
            journals.append(parts, self.users, room)
        except OSError as error:
            refused = self._batch.undo(self.census)
            for user in refused.users:
                self.users.pop()
                del self._names[user.name]
                self._names.pop(user.name.lower(), None)
            self.upkeep.refuse(error)
            raise Full(error.strerror or str(error), *refused) from error
        if journals.current.size != size:
            self.upkeep.foresee_shortage()

    def settled(self, wait: bool = False) -> int:
        """The seq up to which all is settled: on the disk, or refused.  What was done while `last`
        was n is settled when this is n or more.  Raises Failed."""
        return self._journals.settled(wait)

    def sync(self, wait: bool = False) -> int:
        """Begin a sync of what was written, unless one is under way.  Returns what is settled then.
        A disk that works in the background: call again after `disk.take`.  Raises Failed."""
        return self._journals.sync(wait)

    def settle(self) -> bool:
        """Write into the journal, in a quiet moment, that all before is on the disk: then damage to
        that can't pass for a tear.  False: it is not on the disk yet."""
        return self._journals.settle()

    def work(self, seconds: float, now_fn: Callable[[], float] = time.monotonic) -> bool:
        """Do background work for about this long, one step at least.  Returns whether there is more
        to do now.  While a batch is open, this returns at once.  Raises Failed."""
        self._journals.check()
        try:
            return self.upkeep.work(seconds, now_fn)
        except Failed as error:
            self._journals.failed = error
            self.upkeep.leave()
            raise

    def rest(self) -> None:
        """Begin to seal all that the journals hold.  Call `work` while `upkeep.resting`, but no
        longer than you have time: what was acknowledged is safe before the seal and during it."""
        self.fanout.finish()
        # In the end of a roll the batch waits for `close`: the journal may be listed already.
        if self._batch.is_due and not self.progress.is_ending:
            self._write()
        self.upkeep.resting = True

    def finish(self, wait: bool = True) -> bool:
        """Write the batch, and say in the journal that all is on the disk.  Is it?"""
        if self._journals.failed is None:
            self.upkeep.end_roll()
            self._journals.is_rolling = False
            if self._batch.is_due:
                self._write()
            self.sync(wait)
            if self._journals.current.offset > HEADER_SIZE:
                self.settle()
                self.sync(wait)
        return self.progress.syncing is None and not self.progress.is_dirty

    def close(self) -> None:
        """Finish, and let go of the store."""
        try:
            self.finish()
        except OSError as error:
            raise StoreError(f"{self.directory}: {error}") from error
        finally:
            self.upkeep.close()
            self._shelf.close()
            self._journals.current.close()
            self.disk.close(self._lock)
            self.disk.end()
