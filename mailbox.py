"""mailbox: the names, and the mail that waits for each; what was acknowledged is never lost.

Promises
    When `write` and then `sync` returned, every mail that was put and every name that was registered before survives
    kill -9 and a power cut, and every `read` is durable: that mail never comes back.  Before that nothing is promised.
    A full or failing disk refuses, it never lies.  Ids only grow, and no id is ever given twice, also not after a
    crash.  `waiting` is exact, but that a page that cannot be read counts whole.

How it works
    A turn of the daemon calls `put`, `read`, `register`, `set`, `seen` as often as it likes: they change memory and
    batch one record each.  Then `write` (one pwrite of one batch to the journal), `sync` (one fdatasync), and only then
    may the answers leave.  `work` is called after that, with the time that the turn can spare.

    When the journals have grown, `work` seals (upkeep.py), in steps of about a millisecond: it rolls the journal,
    copies what still waits in the old ones into a new dbm file that is never modified again (segment.py), checks it,
    lists it in the manifest and drops the old journals.  Reading touches no segment: a watermark for each user, and a
    few ranges above it, say what is read.  A segment that everybody has read is unlinked whole; one that is nearly
    read, or small, is carried into the next one.

        mailbox -> upkeep, recovery -> seal -> segment -> disk      manifest: which files count
                -> records  -> journal                 -> disk      user: one name and its queue

    Start: lock; manifest; newest segment's users; journals; indexes (recovery.py).  Then a new journal is begun: one
    from before a crash is never appended to.  New ids start 2**20 above the highest found, because mail may be pushed
    to its readers before it is synced: an id that was shown must not come back with another text after a power cut.

    Five seqs say where it stands: `_synced` <= `_written` < `_base` <= `last` + 1.  `last` is the highest that was
    given; `_base` is the first of the batch being gathered; `_written` and `_synced` are the last that was written and
    that is on the disk.  `_due` is the first whose answers may not leave yet: `_base`, or an earlier one as long as
    READs of a batch that failed wait to be written again.  `_stuck`: not even the reserve was enough, `write` waits
    for `work`.

How it fails
    `Full` from `write`: the batch is undone, on disk and in memory; `mails`, `users`, `settings` say what was refused.
    What was read stays batched: call `write` and `sync` again, for which a file of zeros, `reserve`, was given up.
    If that fails too, `write` does nothing until `work` has looked for room, and `sync` does not count it as settled.
    `refusing` holds the reason, and `put`, `register` and `set` raise Full, until `work` has won room (upkeep.py) and
    has the reserve back: call it at least every quarter of a second while `refusing` is set.  It is also set, and
    nothing else happens, when a batch was written and left too little room to seal what the journals hold (room.py).
    `Failed` from anything: the disk did not keep its word.  Nothing is retried; the daemon must exit (70).
    `Damaged` from the start: a file is not what was written; it is named, with offset.  Later a page that cannot be
    read is passed over: its messages are not shown, not read and not dropped; a note names it; `unreadable` counts.
    `notes` collects lines for the daemon's log; take them and clear the list.

Bad at
    Mail of journals is in memory, whole: up to SEAL_AT bytes, and more while the disk has no room to seal.
    Confirming the oldest of a very long tail one by one moves the tail each time (60,000 messages: 20 us).
    Every seal writes the records of all users again: about 100 bytes a name.
    dbm.dumb and the others write through the page cache in their own way; their writes are not seen by `disk`.
"""

from __future__ import annotations

import errno
import os
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress

from net.bodies import body_of, count_of
from store import manifest as manifests
from store.backends import choose
from store.disk import WAIT, CannotCreate, Damaged, Denied, Disk, Failed, InUse, NoBackend, StoreError
from store.journal import BLANK, FIRST_ROOM, HEADER_SIZE, Journal, file_name
from store.mail import BY_ID, WHOLE, Mail, between, limited, messages, place_of
from store.manifest import Manifest
from store.records import (
    EVERYONE,
    name_record,
    put_record,
    read_record,
    seen_record,
    setting_record,
)
from store.recovery import Recovery, lock_store
from store.reserve import LAST, Reserve
from store.segment import ENTRY_MAX, Listed
from store.upkeep import END, ID_JUMP, JOURNALS_MAX, SEAL_AT, SMALL, Upkeep
from store.user import BY_END, BY_FIRST, BY_LAST, LOW, NO_MAIL, SETTING_MAX, Page, Range, User, united

__all__ = ["EVERYONE", "CannotCreate", "Damaged", "Denied", "Failed", "Full", "InUse", "Mail", "Mailbox", "NoBackend",
           "StoreError", "User"]

RETRY_ROOM = 0.25  # seconds between two looks for room
LOOK = 1.0  # seconds between two looks whether the directory is the one that it was
LOST_MAX = 256  # ranges of ids that starts passed over, remembered for who asks late: 6 KB in the manifest
UNSYNCED_MAX = 1 << 16  # seqs given and not on disk: above, no mail, name or setting is taken
UNSYNCED_BYTES = 32 << 20  # the same in bytes of the journal: they are memory, the system's and ours
TOO_SLOW = "the disk is too slow now: try again"
NAME_MAX = 255  # bytes
NEW = tuple.__new__  # half the time of Mail(...)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Full(StoreError):
    """The disk took nothing of the batch: what it lists is undone; the reads stay for the next write."""

    code = os.EX_IOERR

    def __init__(self, reason: str, mails: list[Mail], users: list[User], settings: Sequence[tuple[User, int]] = ()
                 ) -> None:
        super().__init__(reason)
        self.reason, self.mails, self.users, self.settings = reason, mails, users, settings


class Mailbox:
    """The store of one directory.  Opening it recovers it; raises StoreError, one line and an exit code."""

    def __init__(self, directory: str, disk: Disk | None = None, backend: str | None = None,
                 seal_at: int = SEAL_AT, journals_max: int = JOURNALS_MAX, small: int = SMALL) -> None:
        self.directory, self.disk = os.path.abspath(directory), disk or Disk()
        self._reserve = Reserve(self.disk, self.directory)
        self.notes: list[str] = []
        self.refusing: str | None = None
        self._failed: Failed | None = None
        self._now = self._look_after = self._look_at = 0.0
        self._syncing: int | None = None  # what the sync under way will have put on disk
        self._dirty = False  # something was written since the last sync began
        self._rolling = False  # no further sync is begun: the journal is about to be finished
        self._ending = False  # nothing is written: the journal is being finished, and the next one listed
        self._gave_up = False  # the reserve, since mail is refused
        self._late = self._late_at = 0  # what is settled till the second is on the disk: READs promised before a roll
        self._stuck = False  # not even the reserve was enough: no write until `work` has looked for room again
        self._lock = lock_store(self.disk, self.directory)
        try:
            self.backend = choose(backend)
            self.upkeep = Upkeep(self, seal_at, journals_max, small)
            self._recover()
        except OSError as error:
            self.disk.close(self._lock)
            raise StoreError(f"{directory}: {error.strerror or error}") from error
        except StoreError:
            self.disk.close(self._lock)
            raise

    # Opening

    def _recover(self) -> None:
        found = manifests.load(self.disk, self.directory)
        if found is None:
            self.disk.sync_directory(self.directory)  # not every file system can: better now than never
            found = Manifest(os.urandom(16), 0, 0, (), ())
            manifests.save(self.disk, self.directory, found)
        self._manifest, self.store = found, found.store
        recovery = Recovery(self.disk, self.directory, found)
        self.users, self._shelf, self.notes = recovery.users, recovery.shelf, recovery.notes
        self._names: dict[str, User] = {}  # as registered, and in lower case
        for user in self.users:
            self._names[user.name] = self._names[user.name.lower()] = user
        self.last = recovery.last + (ID_JUMP if found.journals or found.segments else 0)
        passed = [(recovery.kept + 1, self.last)] if found.journals else []
        self._lost = tuple(united([*found.lost, *passed]))[-LOST_MAX:]
        self._synced = self._written = self.last  # the highest seq that is on disk; that was written
        self._old = recovery.with_mail()  # journals before the one being written: number, size
        self.upkeep.records, self.upkeep.recorded = recovery.records, recovery.recorded
        self.ends = recovery.ends  # by number of such a journal: the highest seq in it
        self._readers: dict[int, tuple[int, list[Range]]] = {}  # whose READ is due: its place, what ranges changed
        self._clear()
        self._seers: dict[int, User] = {}
        for name in manifests.strangers(self.disk, self.directory, found):
            self.disk.unlink(self._path(name))
        self._begin_with_room([number for number, _ in recovery.journals])
        self._regain_reserve()

    def _begin_with_room(self, known: list[int]) -> None:
        """Begin a journal; on a full disk a short one, in the room of the reserves."""
        number = max(known, default=0) + 1
        try:
            self._begin(number)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            self._refuse(error)
            self.upkeep.make_way()
            self._begin(number, 0)
        for gone in set(known) - {number for number, _ in self._old}:
            self.disk.unlink(self._path(file_name(gone)))

    def _begin(self, number: int, room: int = FIRST_ROOM) -> None:
        journal = Journal.create(self.disk, self.directory, self.store, number, self._base, room)
        self.disk.at_once(self._using(journal, self._old))

    def _using(self, journal: Journal, old: list[tuple[int, int]]) -> Generator[object, None, None]:
        """From now on this one is written, behind the old ones, and ids begin where it does."""
        try:
            yield from self._saving((*old, (journal.number, None)), self._manifest.segments, journal.first - 1)
        except OSError:
            journal.close()
            self.disk.unlink(journal.path)
            raise
        self._journal, self._old = journal, old
        self._begin_at(journal.first)

    def _path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def _saving(self, journals: Sequence[tuple[int, int | None]], segments: tuple[Listed, ...], seq: int = 0
                ) -> Generator[object, None, None]:
        """List these.  `seq`: a floor for new ids, if it is above all that were given."""
        generation = self._manifest.generation + 1
        new = Manifest(self.store, generation, max(self.last, seq), tuple(journals), segments, self._lost)
        yield from manifests.saving(self.disk, self.directory, new)
        self._manifest = new

    # Whether it takes anything

    @property
    def refusal(self) -> str | None:
        """Why no mail, name or setting is taken now: the disk is full, or too far behind."""
        return self.refusing or (TOO_SLOW if self.last > self.most else None)

    @property
    def is_behind(self) -> bool:
        """Whether only the disk can help: it has not what was written, or the journal's end is being made."""
        return self.last > self.most

    def _reached(self, seq: int) -> None:
        """All up to here is on the disk.  `most`: the last id after which others may be given."""
        self._synced = seq
        self.most = -1 if self._ending or self._is_long() else seq + UNSYNCED_MAX

    def _is_long(self) -> bool:
        """Whether more bytes than may be are not on the disk."""
        return self._journal.offset - self._offset > UNSYNCED_BYTES

    # Names

    def find(self, name: str) -> User | None:
        """The user of this name, however it is spelled."""
        return self._names.get(name) or self._names.get(name.lower())

    def register(self, name: str, now: int) -> User:
        """The user of this name, new if need be: from now on there is a queue.  Durable after write and sync."""
        user = self.find(name)
        if user is not None:
            return user
        if self.refusing is not None or self.last > self.most:
            raise Full(self.refusal or "", [], [])
        if not 0 < len(name.encode()) <= NAME_MAX:
            raise ValueError(f"a name of {len(name.encode())} bytes")
        user = User(len(self.users), name, now)
        self.users.append(user)
        self._names[name] = self._names[name.lower()] = user
        self._registered.append(user)
        self._parts.append(name_record(user))
        self.last += 1
        return user

    def seen(self, user: User, now: int) -> None:
        """This user was here.  It goes to the disk with the next batch, whenever that is."""
        if now > user.last_seen:
            user.last_seen = now
            self._seers[user.number] = user

    def set(self, user: User, kind: int, value: bytes) -> None:
        """Set one of a user's settings, or with an empty value remove it.  Durable after write and sync."""
        if self.refusing is not None or self.last > self.most:
            raise Full(self.refusal or "", [], [])
        if len(value) > SETTING_MAX:
            raise ValueError(f"a setting of {len(value)} bytes")
        if user.settings.get(kind, b"") == value:
            return
        self._before.append((user, kind, user.settings, user.set_at))
        self.last += 1
        user.set(kind, self.last, value)
        self._parts.append(setting_record(user, kind))

    # Mail

    def known(self, sender: User, origin: int) -> Range:
        """The first of a sender's origins, from this one on, that were put already: first and last.

        If there are none of this instance, they begin beyond it.  0 is no origin, and never put already."""
        first, last = sender.next_marked(origin) if origin else (1, 1)
        ranges = self._origins.get(sender.number, ())
        place = bisect_left(ranges, origin, key=BY_END)
        if place < len(ranges) and ranges[place][0] < first:
            return max(ranges[place][0], origin), ranges[place][1]
        return first, last

    def put(self, sender: User, origin: int, now: int, recipients: Sequence[User], flags: int, text: bytes) -> Mail:
        """Queue one message for each recipient (no one twice).  With the flag EVERYONE they are all but the sender.

        `recipients` may not change before `write`.  Durable after write and sync."""
        return self.put_run(sender, origin, now, recipients, flags, body_of([text]))

    def put_run(self, sender: User, first: int, now: int, recipients: Sequence[User], flags: int,
                body: bytes) -> Mail:
        """The same for messages to the same recipients whose origins follow one upon the other, in one instance."""
        if self.refusing is not None or self.last > self.most:
            raise Full(self.refusal or "", [], [])
        copies, number, everyone = len(recipients), sender.number, len(self.users) - 1
        if len(body) > ENTRY_MAX:
            raise ValueError(f"texts of {len(body)} bytes")
        if flags & EVERYONE and copies != everyone:
            raise ValueError("EVERYONE is all users but the sender")
        id, messages = self.last + 1, count_of(body)
        self.last += messages
        mail: Mail = NEW(Mail, (id, self.last, now, number, first, flags, copies, body, WHOLE))
        self._parts += put_record(now, number, first, flags, recipients, everyone + 1, body)
        for user in recipients:
            user.queue(mail)
            user.waiting += messages
        self._puts.append((mail, recipients))
        if first:
            origins = self._origins.setdefault(number, [])
            place = bisect_left(origins, (first, first))
            if place and origins[place - 1][1] == first - 1 and first & LOW:     # not into the next instance
                origins[place - 1] = origins[place - 1][0], first + messages - 1
            else:
                origins.insert(place, (first, first + messages - 1))
        return mail

    def unread(self, user: User, after: int, upto: int, count: int, size: int) -> list[Mail]:
        """The next unread mail with after < id <= upto: `count` messages and `size` bytes at most, but one if any."""
        if user.pages:
            return limited(self._unread(user, after), upto, count, size)
        tail = user.tail
        if tail and after >= tail[0].id:
            start = place_of(tail, after + 1)
            tail = tail[start:start + count]
            if tail and tail[0].id <= after:
                tail[0] = tail[0].part(after + 1, tail[0].last)
        return limited(tail, upto, count, size)

    def _unread(self, user: User, after: int) -> Iterator[Mail]:
        """All unread mail above an id, oldest first; a page is read when its turn comes."""
        for page in user.pages[bisect_right(user.pages, after, key=BY_LAST):]:
            yield from user.each_unread(between(self._shelf.mails_for(user, page), after + 1, page.last))
        yield from between(user.tail, after + 1, self.last)

    def unreadable(self, user: User) -> int:
        """How many of the waiting messages the disk did not give back."""
        return user.unreadable

    def read(self, user: User, first: int, last: int) -> list[Mail]:
        """Everything of this user's with first <= id <= last is read; the newly read, in order."""
        tail = user.tail
        if not tail and not user.pages:
            return []
        if user.pages or user.ranges or first > tail[0].id:
            newly, touched = self._read_anywhere(user, first, last)
        else:
            if tail[-1].last <= last:
                newly, user.tail = tail, NO_MAIL
            else:
                newly = between(tail, first, last)
                end = place_of(tail, last + 1)
                if tail[end].id <= last:
                    tail[end] = tail[end].part(last + 1, tail[end].last)
                del tail[:end]
            if newly:
                user.watermark = newly[-1].last
                user.waiting -= messages(newly)
            touched = []
        if newly:
            if user.number not in self._readers:
                self._readers[user.number] = len(self._parts), []
                self._parts.append(b"")
                self.last += 1
            self._readers[user.number][1].extend(touched)
            if self.upkeep.seal is not None:
                self.upkeep.seal.read(user, newly[0].id, newly[-1].last)
        return newly

    def _read_anywhere(self, user: User, first: int, last: int) -> tuple[list[Mail], list[Range]]:
        """A page that cannot be read was not shown, whatever stood before and behind it: it stays unread."""
        parts: list[list[Mail]] = [[]]  # of what is newly read, between pages that cannot be read
        low = bisect_left(user.pages, first, key=BY_LAST)
        high = bisect_right(user.pages, last, lo=low, key=BY_FIRST)
        for page in user.pages[low:high]:
            parts[-1] += self._read_page(user, page, first, last)
            if page.damaged:
                parts.append([])
        user.pages[low:high] = [page for page in user.pages[low:high] if page.unread]
        parts[-1] += self._read_tail(user.tail, first, last)
        newly = [mail for part in parts for mail in part]
        user.waiting -= messages(newly)
        touched = [user.close_gaps(part[0].id, part[-1].last, lambda page: self._shelf.mails_for(user, page))
                   for part in parts if part]
        return newly, [span for span in touched if span[0]]

    def _read_tail(self, tail: list[Mail], first: int, last: int) -> list[Mail]:
        newly = between(tail, first, last)
        if newly:
            low, high = place_of(tail, first), bisect_right(tail, last, key=BY_ID)
            rest = [tail[low].part(tail[low].id, first - 1)] if tail[low].id < first else []
            rest += [tail[high - 1].part(last + 1, tail[high - 1].last)] if tail[high - 1].last > last else []
            tail[low:high] = rest
        return newly

    def _read_page(self, user: User, page: Page, first: int, last: int) -> list[Mail]:
        mails = user.unread_of(between(self._shelf.mails_for(user, page), first, last))
        number = messages(mails)
        page.unread -= number
        self._shelf.segments[page.segment].unread -= number
        return mails

    def kept(self, first: int, last: int) -> Iterator[Range]:
        """The parts of this range of ids in which whatever had an id was on the disk.

        What was read there never comes back.  What had the other ids may have been shown, and was lost
        by a power cut: its sender may send it again.  A range the wrong way round holds no id, and is kept."""
        if first > last:
            yield first, last
        for place in range(bisect_left(self._lost, first, key=BY_END), len(self._lost)):
            begin, end = self._lost[place]
            if begin > last:
                break
            if begin > first:
                yield first, begin - 1
            first = end + 1
        if first <= last:
            yield first, last

    # The disk

    def _clear(self) -> None:
        """An empty batch.  What was read and not written keeps its place, at the front."""
        self._base = self.last + 1  # the seq of its first record
        if not self._readers:  # else what was promised for the batch that failed is still due
            self._due = self._base
        self._parts: list[bytes] = [BLANK]  # records; a READ is filled in when the batch is written
        self._puts: list[tuple[Mail, Sequence[User]]] = []  # and their recipients
        self._registered: list[User] = []
        self._before: list[tuple[User, int, Mapping[int, bytes], Mapping[int, int]]] = []  # what `set` replaced
        self._origins: dict[int, list[Range]] = {}  # of senders, by number, in order: marked once they are written
        for number, (_, ranges) in self._readers.items():
            self._readers[number] = len(self._parts), ranges
            self._parts.append(b"")
        self.last += len(self._readers)

    def write(self) -> None:
        """Write what was batched, at once.  Raises Full, with the mail and the names undone, or Failed."""
        if self._failed is not None:
            raise self._failed
        if self.last >= self._base and not self._stuck and not self._ending:
            self._append()

    def _append(self) -> None:
        parts, users = self._parts, self.users
        for number, (place, ranges) in self._readers.items():
            parts[place] = read_record(users[number], ranges)
        parts += [seen_record(user) for user in self._seers.values()]
        self.last += len(self._seers)
        size = self._journal.size
        try:
            if self._gave_up:
                self._leave_room_to_start(parts)
            self._journal.append(parts, self._base, self._synced, self.last - self._base + 1,
                                 self.upkeep.extension if self.refusing is None else 0)
        except OSError as error:
            raise self._undo(error) from error
        except Failed as error:
            self._failed = error
            raise
        if self._due < self._base:  # READs that were promised with lower seqs, in the batch of another journal
            self._late = self._late if self._synced < self._late_at else self._due - 1
            self._late_at = self.last
        self._written, self._said, self._dirty = self.last, self._synced, True
        if self._is_long():
            self.most = -1
        for number, ranges in self._origins.items():
            for first, last in ranges:
                users[number].mark(first, last)
        self._readers.clear()
        self._seers.clear()
        self._clear()
        if self._journal.size != size and self.refusing is None and not self.upkeep.has_room():
            self.refusing, self.upkeep.after = os.strerror(errno.ENOSPC), 0.0  # what there is will be needed to seal

    def _leave_room_to_start(self, parts: list[bytes]) -> None:
        """Raise ENOSPC for a batch that would take the last blocks of the disk."""
        grows = self._journal.offset + sum(map(len, parts)) - self._journal.size
        if grows > 0 and self.disk.free(self.directory) < LAST + grows:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _undo(self, error: OSError) -> Full:
        """Take the batch's mail and names back.  Their ids are not given again: they may have been shown."""
        for _, recipients in self._puts:
            for user in recipients:
                while user.tail and user.tail[-1].id >= self._base:
                    user.waiting -= messages([user.tail.pop()])
        for user, _, settings, set_at in reversed(self._before):
            user.settings, user.set_at = settings, set_at
        for user in self._registered:
            self.users.pop()
            del self._names[user.name]
            self._names.pop(user.name.lower(), None)
            self._readers.pop(user.number, None)
            self._seers.pop(user.number, None)
        mails, names = [mail for mail, _ in self._puts], self._registered
        replaced = [(user, kind) for user, kind, _, _ in self._before]
        self._stuck = self._gave_up
        self._clear()
        self._refuse(error)
        return Full(error.strerror or str(error), mails, names, replaced)

    def _refuse(self, error: OSError) -> None:
        """Take no mail until there is room; give up the reserve, so that what was read can still be written."""
        self.refusing, self._gave_up = error.strerror or str(error), True
        self.upkeep.must_seal = self.upkeep.must_seal or error.errno == errno.EFBIG
        self.upkeep.after = 0.0
        with suppress(OSError):  # as on a disk that can only be read any more
            self._reserve.give_up()

    def settled(self, wait: bool = False) -> int:
        """The seq up to which all is settled: on the disk, or refused.  Raises Failed.

        What was done while `last` was n is settled when this is n or more."""
        if self._failed is not None:
            raise self._failed
        if self._syncing is not None:
            try:
                ended = self._journal.sync_ended(wait)
            except Failed as error:
                self._failed = error
                raise
            if ended:
                done, self._syncing = self._syncing, None
                self._reached(done)
        if self._synced < self._late_at:
            return min(self._synced, self._late)
        return self._due - 1 if self._synced == self._written else min(self._synced, self._due - 1)

    def sync(self, wait: bool = False) -> int:
        """Begin to put on the disk what was written, unless that is under way; what is settled then.  Raises Failed.

        A disk that works in the background is not waited for: call again when `disk.ready` was readable and `disk.take`
        was called."""
        settled = self.settled(wait)
        if self._syncing is not None or not self._dirty or self._rolling:
            return settled
        try:
            ended = self._journal.begin_sync()
        except Failed as error:
            self._failed = error
            raise
        self._dirty, self._offset = False, self._journal.offset
        if not ended:
            self._syncing = self._written
            return self.settled(wait) if wait else settled
        self._reached(self._written)
        return self.settled()

    def settle(self) -> bool:
        """Say on the disk that all so far is on it, so that damage to it can't pass for a tear.  False: not yet.

        It is for a quiet moment: any other batch says the same of those before it."""
        if self._failed is not None:
            raise self._failed
        if self._syncing is not None or self._dirty or self._rolling or self.last >= self._base:
            return False
        if self._said >= self.last:
            return True
        try:
            self._journal.settle(self.last + 1, self._synced)
        except OSError:  # no room for so little
            return False
        except Failed as error:
            self._failed = error
            raise
        self._written = self._said = self.last
        self._dirty = True
        self.sync()
        return True

    # Background work

    def work(self, seconds: float, now_fn: Callable[[], float] = time.monotonic) -> bool:
        """Do background work for about this long, one step at least; is there more that can be done now?

        Steps are taken only between batches; while one is open, this returns at once.
        """
        if self._failed is not None:
            raise self._failed
        start = self._now = now_fn()
        if start >= self._look_at:
            self._look_at = start + LOOK
            self._look()
        if self.refusing is not None and start >= self._look_after:
            self._look_after = start + RETRY_ROOM
            self._stuck = False
            self._regain_reserve()
        upkeep = self.upkeep
        while True:
            task = upkeep.task = upkeep.task or upkeep.next_task()
            if task is None or self._puts or self._registered or self._before:
                return task is not None
            try:
                step = next(task, END)
            except Failed as error:
                self._failed = error
                upkeep.leave()
                raise
            if step is END:
                upkeep.task = None
            elif step is WAIT:
                return False
            if now_fn() - start >= seconds:
                return True

    def _look(self) -> None:
        try:
            self.disk.look(self.directory)
        except Failed as error:
            self._failed = error
            self.upkeep.leave()
            raise

    def _durable(self) -> Iterator[object]:
        """Until all that is written now, and that a segment or a manifest may tell of, is on the disk."""
        written = self._written
        while self._synced < written:
            yield WAIT

    def rest(self) -> None:
        """Seal all that the journals hold, at once: `work` while this is `resting`, but no longer than there is time.

        Nothing depends on it: what was acknowledged is safe before, and while it is done."""
        if self.last >= self._base or self._seers:
            self._append()
        self.upkeep.resting = True

    @property
    def resting(self) -> bool:
        return self.upkeep.resting

    @property
    def working(self) -> bool:
        """Is there background work under way, even if only the disk can help it now?"""
        return self.upkeep.task is not None

    def _regain_reserve(self) -> None:
        """Take mail again once the reserves are whole, and there is room to seal what comes."""
        try:
            if not self.upkeep.has_room(again=True):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._reserve.regain()
            self.upkeep.reserve.regain()
        except OSError as error:
            self.refusing = error.strerror or str(error)
        else:
            self.refusing, self._gave_up, self.upkeep.after = None, False, 0.0

    def _begin_at(self, seq: int) -> None:
        """All that was written is on the disk, in other journals; the next batch has this seq or a higher one."""
        self._written = self._said = seq - 1  # the highest seq that was written; that the journal calls settled
        self._dirty, self._offset = False, HEADER_SIZE  # of the journal, when the last sync began
        self.last = max(self.last, seq - 1)  # what was refused has had its seqs, and they are not given again
        self._reached(seq - 1)
        self._clear()

    def close(self) -> None:
        """Write what is batched, say on disk that it is all there, let go.  A crash instead costs only the batch."""
        try:
            if self._failed is None:
                self.upkeep.end_roll()
                self._rolling = False
                if self.last >= self._base or self._seers:
                    self._append()
                self.sync(wait=True)
                if self._journal.offset > HEADER_SIZE:
                    self.settle()
                    self.sync(wait=True)
        except OSError as error:
            raise StoreError(f"{self.directory}: {error}") from error
        finally:
            if self.upkeep.writer is not None:  # its files stay: a manifest that is being saved may list them
                self.upkeep.writer.close()
            self._shelf.close()
            self._journal.close()
            self.disk.close(self._lock)
            self.disk.end()
