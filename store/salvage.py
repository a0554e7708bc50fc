"""salvage: look at a store without serving it.

`check` reads everything (every batch, every value, every page) and yields lines of a report; it changes nothing and
raises Damaged at the first thing that is not what was written.  `salvage` copies every valid batch and page into a new
store and says what was left out; the old one stays as it is.

How salvage works: names come from wherever they can be read, a user without one is called lost-N.  Of a journal all
valid batches are taken, also those after a bad place; of a segment every value whose checksum is right, as its library
gives it or as it stands in the file's bytes (carve.py).  What is known to be read is left out.  A message is one,
however often it is found, and each is by itself in the new store, which is one segment and a manifest.  What was
damaged is said; what may be missing because of it makes the last line an error, Incomplete.

Bad at: it holds all waiting mail, and a file, in memory.  Where the record that something was read is lost, that mail
comes back (a client that kept it drops it by its id).  The last batches of the last journal, zeroed whole, look like
ones that were never written.
"""

from __future__ import annotations

import os
import re
import struct
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from operator import itemgetter
from typing import NamedTuple
from zlib import crc32

from net.bodies import count_of, is_whole
from store import manifest as manifests
from store.carve import carve
from store.carve import start_of as start_by
from store.disk import CannotCreate, Damaged, Disk, NoBackend, OtherVersion, StoreError
from store.journal import (
    BATCH,
    HEADER_SIZE,
    MAGIC,
    Batch,
    Header,
    Record,
    batch_at,
    file_name,
    later_batches,
    read_header,
    records,
)
from store.mail import Mail, messages, singles
from store.manifest import Manifest
from store.records import EVERYONE, NAME, NAME_HEAD, PUT, PUT_HEAD, Replay, split, user_records
from store.recovery import Recovery, lock_store
from store.segment import (
    CRC,
    ENTRY,
    INDEX,
    KINDS,
    PAGE,
    Listed,
    Segment,
    Shelf,
    Writer,
    base_name,
    choose,
    files_of,
    head_of,
    module,
    seed_of,
    start_of,
    words,
)
from store.user import User

MARK_AT, SEQ_AT = 42, 16  # in a journal's header; in a batch
GNU = tuple(number.to_bytes(4, sys.byteorder) for number in (0x13579ACD, 0x13579ACE, 0x13579ACF, 0x13579AD0))


def check(directory: str, disk: Disk | None = None) -> Iterator[str]:
    """Verify a store; lines of a report.  Raises StoreError."""
    disk, directory = disk or Disk(), os.path.abspath(directory)
    lock = lock_store(disk, directory, make=False)
    try:
        manifest = manifests.load(disk, directory)
        if manifest is None:
            yield f"{directory}: no store yet"
            return
        yield from _check(disk, directory, manifest)
    finally:
        disk.close(lock)


def _check(disk: Disk, directory: str, manifest: Manifest) -> Iterator[str]:
    yield f"manifest: generation {manifest.generation}, store {manifest.store.hex()}"
    recovery = Recovery(disk, directory, manifest, repair=False)
    try:
        for number, size in recovery.journals:
            yield f"{file_name(number)}: {size} bytes, valid"
        for segment in recovery.shelf.segments.values():
            pages = sum(_check_segment(segment, recovery.shelf))
            yield (f"{segment.name} ({segment.listed.backend}): {segment.messages} messages in {pages} pages, "
                   f"{segment.left} waiting")
        yield from recovery.notes
        waiting = sum([user.waiting for user in recovery.users])
        yield f"{len(recovery.users)} names, {waiting} messages waiting, ids up to {recovery.last}"
    finally:
        recovery.shelf.close()


def _check_segment(segment: Segment, shelf: Shelf) -> Iterator[int]:
    """Read every value; compare every page with the index.  1 for each page."""
    for kind in segment.counts:
        for _ in segment.values(kind):
            pass
    path, found = os.path.join(segment.directory, segment.name), 0
    for _, page in segment.index():
        mails = shelf.mails(page)
        ids = [id for mail in mails for id in (mail.id, mail.last + 1)]
        if (ids[0] != page.first or ids[-1] != page.last + 1 or ids != sorted(ids) or messages(mails) != page.count
                or not all(is_whole(mail.body) for mail in mails)):
            raise Damaged(path, 0, f"a page in mail {page.block} is not what the index says")
        found += page.count
        yield 1
    if found != segment.messages:
        raise Damaged(path, 0, f"{found} messages, not {segment.messages}")


class Incomplete(StoreError):
    """What could be read was copied, but not all could be."""

    code = os.EX_DATAERR


class Report:
    """What is told: `say` for what is damaged and cost nothing, `lost` for what may be missing now."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.losses = 0

    def say(self, line: str) -> None:
        self.lines.append(line)

    def lost(self, line: str) -> None:
        self.lines.append(line)
        self.losses += 1


class Found(NamedTuple):
    """What can be read of a store."""

    entries: list[Record]  # of users in segments (seq 0), then of the journals
    mails: dict[int, dict[int, Mail]]  # of segments: by user, by id


def salvage(directory: str, into: str, disk: Disk | None = None, backend: str | None = None) -> Iterator[str]:
    """Copy what is valid of one store into a new one; lines of a report.  Raises StoreError: Incomplete at the end if
    anything may be missing."""
    disk, directory, into = disk or Disk(), os.path.abspath(directory), os.path.abspath(into)
    backend = choose(backend)
    locks = [lock_store(disk, directory, make=False)]
    try:
        locks.append(lock_store(disk, into))
        if set(disk.listdir(into)) != {"lock"}:
            raise CannotCreate(f"{into}: not empty; name a directory that does not exist yet")
        report = Report()
        manifest = _manifest(disk, directory, report)
        found = _find(disk, directory, manifest, report)
        users, last = _rebuild(found, report)
        yield from report.lines
        yield from _write(disk, into, backend, users, found, max(last, manifest.seq))
    finally:
        for lock in locks:
            disk.close(lock)
    if report.losses:
        raise Incomplete(f"{into}: not all of {directory} could be copied; what is missing is said above")


def _manifest(disk: Disk, directory: str, report: Report) -> Manifest:
    """The manifest, or what the files tell."""
    try:
        manifest = manifests.load(disk, directory)
        if manifest is None:
            raise CannotCreate(f"{directory}: there is no store there; nothing was copied")
        return manifest
    except OtherVersion:
        raise
    except (Damaged, OSError) as error:
        what = error.what if isinstance(error, Damaged) else error.strerror
        report.say(f"{directory}/{manifests.NAME}: {what}: taking every file that is there")
    names = disk.listdir(directory)
    numbers = sorted(int(name[8:]) for name in names if re.fullmatch(r"journal\.\d{8,}", name))
    segments = sorted({int(name[8:16]) for name in names if re.match(r"segment\.\d{8}", name)})
    return Manifest(_store(disk, directory, numbers), 0, 0, tuple((number, None) for number in numbers),
                    tuple(Listed(number, "", {}) for number in segments))


def _store(disk: Disk, directory: str, journals: list[int]) -> bytes:
    """The store's number, which most of the journals' headers have; none if no header is whole."""
    found: list[bytes] = []
    for number in journals:
        with suppress(Damaged, OSError):
            found.append(read_header(disk.read(os.path.join(directory, file_name(number))), "").store)
    return max(found, key=found.count, default=b"")


def _find(disk: Disk, directory: str, manifest: Manifest, report: Report) -> Found:
    found = Found([], {})
    for listed in manifest.segments:
        rest = Remains(disk, directory, manifest, listed, report)
        try:
            rest.read()
            _take_segment(rest, found, report)
        except OtherVersion as error:
            report.lost(f"{rest.name}: left out: {error.what}")
        except (NoBackend, OSError) as error:
            report.lost(f"{rest.name}: left out: {error}")
    journals: set[int] = set()
    for number, size in manifest.journals:
        path = os.path.join(directory, file_name(number))
        try:
            data, bad = disk.read_around(path)
            if bad:
                report.say(f"{path}: {bad} bytes cannot be read")
            journals.add(_take_journal(data, path, number, size, manifest.store, found.entries, report))
        except OtherVersion as error:
            journals.add(number)
            report.lost(f"{path}: left out: {error.what}")
        except OSError as error:
            report.lost(f"{path}: left out: {error.strerror or error}")
    for number in {number for number, _ in manifest.journals} - journals:
        report.lost(f"{directory}: what was in {file_name(number)} is missing")
    found.entries.sort(key=itemgetter(0))  # files may have changed places
    return found


class Remains:
    """What is left of one segment: `values` without their checksums, by key, from its backend and from its bytes."""

    def __init__(self, disk: Disk, directory: str, manifest: Manifest, listed: Listed, report: Report) -> None:
        self.disk, self.directory, self.manifest, self.listed, self.report = disk, directory, manifest, listed, report
        self.name, self.number = base_name(listed.number), listed.number
        self.values: dict[bytes, bytes] = {}
        self.backend, self.files = listed.backend, dict[str, bytes]()

    def read(self) -> None:
        files = self.files = self._files()
        self.backend = self.listed.backend or _backend(files)
        raw = self._by_library()
        seed = self._seed(raw)
        for key, value in raw.items():
            if value[:CRC.size] == CRC.pack(crc32(value[CRC.size:], start_of(seed, self.number, key))):
                self.values[key] = value[CRC.size:]
        carved = carve(self.backend, files, lambda key: start_of(seed, self.number, key))
        self.values = carved | self.values
        self._look_at_head()

    def _files(self) -> dict[str, bytes]:
        found = {}
        for name in sorted({*files_of(self.disk, self.directory, self.number), *self.listed.files}):
            path = os.path.join(self.directory, name)
            size = self.listed.files.get(name)
            try:
                found[name], bad = self.disk.read_around(path)
                if bad:
                    self.report.say(f"{path}: {bad} bytes cannot be read")
                if size is not None and len(found[name]) != size:
                    self.report.say(f"{path}: {len(found[name])} bytes, not the {size} that it had")
            except OSError as error:
                self.report.say(f"{path}: {error.strerror or error}")
        return found

    def _by_library(self) -> dict[bytes, bytes]:
        """What its backend says of it, right or wrong."""
        found: dict[bytes, bytes] = {}
        try:
            module(self.backend)
            database = self.disk.database(self.backend, os.path.join(self.directory, self.name), "r")
        except Exception as error:  # backends raise whatever they like over a file that is not theirs
            what = str(error) if isinstance(error, NoBackend) else words(error)
            self.report.say(f"{self.name}: {self.backend} cannot open it: {what}")
            return found
        try:
            keys = [bytes(key) for key in database.keys()]  # noqa: SIM118 dbm iterates by keys() only
        except Exception as error:
            self.report.say(f"{self.name}: {self.backend} cannot list it: {words(error)}")
            keys = []
        for key in keys:
            try:
                found[key] = bytes(database[key])
            except Exception as error:
                shown = key.decode("utf-8", "replace")
                self.report.say(f"{self.name}: {self.backend} cannot read the value {shown!r}: {words(error)}")
        with suppress(Exception):
            database.close()
        return found

    def _seed(self, raw: dict[bytes, bytes]) -> int:
        """What its checksums start from: as the store's number says, or, if that is lost, as two values agree.  A file
        that has changed its place with another one is known by the other's number."""
        values = [(key, value) for key, value in raw.items() if len(value) >= CRC.size]
        seed = seed_of(self.manifest.store)
        for number in [self.number, *(listed.number for listed in self.manifest.segments)]:
            if self.manifest.store and any(
                    CRC.unpack_from(value)[0] == crc32(value[CRC.size:], start_of(seed, number, key))
                    for key, value in values):
                if number != self.number:
                    self.report.say(f"{self.name}: it is {base_name(number)}, in another's place")
                self.number = number
                return seed
        if not self.manifest.store or self.manifest.generation == 0:
            values.sort(key=lambda row: len(row[1]))
            found = start_by(((b" %d %s" % (self.number, key), value) for key, value in values))
            return seed if found is None else found
        return seed

    def _look_at_head(self) -> None:
        """Which values are missing?"""
        if not self.files:
            self.report.lost(f"{self.name}: left out: it is missing")
            return
        if b"head" in self.values:
            counts, _, _ = head_of(self.values[b"head"], self.name)
        else:
            self.report.say(f"{self.name}: the value 'head' is lost: taking every value that is there")
            counts = {kind: max(self.numbers(kind), default=0) for kind in KINDS}
            blocks = [block for number in self.numbers("index")
                      for _, block, *_ in INDEX.iter_unpack(self.values[b"index %d" % number])]
            counts["mail"] = max([counts["mail"], *blocks])
            if not self.values or (not blocks and self.numbers("mail")):
                self.report.lost(f"{self.name}: nothing says how much there was in it")
        for kind, count in counts.items():
            for number in set(range(1, count + 1)) - set(self.numbers(kind)):
                tell = self.report.say if kind == "index" else self.report.lost
                tell(f"{self.name}: left out: value '{kind} {number}' ({self.backend}) is damaged")

    def numbers(self, kind: str) -> list[int]:
        return sorted(int(key.split()[1]) for key in self.values
                      if re.fullmatch(rb"%s [1-9]\d*" % kind.encode(), key))

    def each(self, kind: str) -> Iterator[tuple[int, bytes]]:
        for number in self.numbers(kind):
            yield number, self.values[b"%s %d" % (kind.encode(), number)]


def _backend(files: dict[str, bytes]) -> str:
    """Which wrote these, by their names, or by how they begin."""
    if any(name.endswith((".dat", ".dir")) for name in files) and not any(name.endswith(".pag") for name in files):
        return "dbm.dumb"
    if any(name.endswith((".db", ".pag")) for name in files):
        return "dbm.ndbm"
    return "dbm.gnu" if any(data[:4] in GNU for data in files.values()) else _by_pages(files)


def _by_pages(files: dict[str, bytes]) -> str:
    """The beginning is damaged: one of the two that have a single file.  SQLite's has the text of its table in it."""
    return "dbm.sqlite3" if any(b"CREATE TABLE" in data for data in files.values()) else "dbm.gnu"


def _take_segment(rest: Remains, found: Found, report: Report) -> None:
    for _, body in rest.each("users"):
        found.entries.extend(split(body))
    shared = dict(rest.each("shared"))
    for number, body in rest.each("mail"):
        offset, lost = 0, 0
        while offset < len(body):
            offset, missing = _take_page(body, offset, shared, found)
            lost += missing
        if lost:
            report.lost(f"{rest.name}: mail {number}: {lost} messages, or runs of them, left out: shared texts are "
                        "damaged")


def _take_page(body: bytes, offset: int, shared: dict[int, bytes], found: Found) -> tuple[int, int]:
    """Where the next page is, and how many entries of this one have no text any more."""
    number, entries = PAGE.unpack_from(body, offset)
    end = offset + PAGE.size + entries * ENTRY.size
    mails, lost, size = found.mails.setdefault(number, {}), 0, 0
    for id, time, sender, origin, flags, recipients, value, start, length in ENTRY.iter_unpack(
            body[offset + PAGE.size:end]):
        if value and value not in shared:
            lost += 1       # a run of them: how many were in it stood in the body
            continue
        texts = shared[value][start:start + length] if value else body[end + start:end + start + length]
        size += 0 if value else length
        for mail in singles(Mail(id, id + count_of(texts) - 1, time, sender, origin, flags, recipients, texts)):
            mails[mail.id] = mail
    return end + size, lost


def _take_journal(data: bytes, path: str, number: int, size: int | None, store: bytes, entries: list[Record],
                  report: Report) -> int:
    """The records of every valid batch, wherever it stands; the number of the journal that they are of."""
    header = None
    try:
        header = read_header(data, path)
    except OtherVersion:
        raise
    except Damaged as error:
        report.say(f"{path}: {error.what}: looking for batches all the same")
    if header and store and header.store != store:
        report.lost(f"{path}: left out: it is of another store")
        return number
    if header and header.number != number:
        report.say(f"{path}: it is {file_name(header.number)}, in another's place")
        size = None
    end = HEADER_SIZE
    for batch in _batches(data, header or _likely(data), report, path):
        if batch.offset != end:
            report.lost(f"{path}: left out: {batch.offset - end} bytes at offset {end}")
        end = batch.end
        try:
            entries.extend(records(data, batch, path))
        except Damaged as error:
            report.lost(f"{path}: left out: the batch at offset {batch.offset}: {error.what}")
    _look_at_end(data, end, size, header or _likely(data), path, report)
    return header.number if header else number


def _likely(data: bytes) -> Header:
    """In place of a header that is damaged: the mark that most batches have."""
    marks = [data[MARK_AT:MARK_AT + len(MAGIC)], data[HEADER_SIZE:HEADER_SIZE + len(MAGIC)]]
    found = {mark: sum(1 for _ in later_batches(data, Header(b"", 0, 0, mark), HEADER_SIZE))
             for mark in marks if len(mark) == len(MAGIC)}
    if not any(found.values()):
        found = _marks(data)
    return Header(b"", 0, 0, max(found, key=found.__getitem__, default=bytes(len(MAGIC))))


def _marks(data: bytes) -> dict[bytes, int]:
    """How many batches there are of each mark that may be one.  Where a batch begins is known by its seq, which has
    zeros in front.  A text can be made to look like a batch, but what lies in a batch is passed over."""
    found: dict[bytes, int] = {}
    at = data.find(b"\0\0", SEQ_AT)
    while at >= 0:
        mark = data[at - SEQ_AT:at - SEQ_AT + len(MAGIC)]
        batch = batch_at(data, at - SEQ_AT, mark) if any(mark) else None
        if batch:
            found[mark] = found.get(mark, 0) + 1
        at = data.find(b"\0\0", batch.end + SEQ_AT if batch else at + 1)
    return found


def _batches(data: bytes, header: Header, report: Report, path: str) -> Iterator[Batch]:
    """All valid ones; one whose mark alone is damaged is valid."""
    at = HEADER_SIZE
    while True:
        batch = batch_at(data, at, header.mark)
        if batch is None and (batch := _unmarked(data, at, header.mark)):
            report.say(f"{path}: the mark at offset {at} is damaged, the batch is whole")
        batch = batch or next(later_batches(data, header, at), None)
        if batch is None:
            return
        yield batch
        at = batch.end


def _unmarked(data: bytes, at: int, mark: bytes) -> Batch | None:
    end = at + BATCH.size + int.from_bytes(data[at + len(mark):at + len(mark) + 4], "big")
    if not any(data[at:at + BATCH.size]) or end > len(data):
        return None
    found = batch_at(mark + data[at + len(mark):end], 0, mark)
    return found and found._replace(offset=at, start=at + found.start, end=at + found.end)


def _look_at_end(data: bytes, end: int, size: int | None, header: Header, path: str, report: Report) -> None:
    """No valid batch stands behind this."""
    if size is not None and end < size:
        report.lost(f"{path}: left out: {size - end} bytes at offset {end}")
    elif size is None and data.startswith(header.mark, end):
        report.lost(f"{path}: left out: a batch at offset {end} that is torn, or damaged")
    elif size is None and end == HEADER_SIZE and any(data[end:]):
        report.lost(f"{path}: left out: {len(data) - end} bytes at offset {end}, in which nothing is valid")


def _rebuild(found: Found, report: Report) -> tuple[list[User], int]:
    """The users, each with its read state, and with what of the journals' mail is unread; the highest id."""
    replay, names = Replay(), {}
    for _, type, payload in found.entries:
        if type == NAME:
            number, time = NAME_HEAD.unpack_from(payload)
            names[number] = payload[NAME_HEAD.size:].decode(), time
    for number in range(_highest_user(found, names) + 1):
        name, time = names.get(number) or (f"lost-{number}", 0)
        if number not in names:
            report.lost(f"user {number}: the name is lost, it is {name} now")
        replay.users.append(User(number, name, time))
    for entry in found.entries:
        if entry[1] == NAME:
            continue
        try:
            replay.apply([entry], "")
        except Damaged as error:
            report.lost(f"record {entry[0]}: left out: {error.what}")
    replay.finish()
    highest = max([id for mails in found.mails.values() for id in mails], default=0)
    return replay.users, max(replay.last, highest)


def _highest_user(found: Found, names: Iterable[int]) -> int:
    """The highest user number that anything refers to."""
    senders = [mail.sender for mails in found.mails.values() for mail in mails.values()]
    named = [_highest_in(type, payload) for _, type, payload in found.entries]
    return max([*names, *found.mails, *senders, *named], default=-1)


def _highest_in(type: int, payload: bytes) -> int:
    """The highest user number in a record."""
    try:
        if type != PUT:
            return int.from_bytes(payload[:4], "big")
        _, sender, _, flags, count = PUT_HEAD.unpack_from(payload)
        if flags & EVERYONE:
            return int(max(sender, count - 1))
        return int(max(sender, *struct.unpack_from(f"!{count}I", payload, PUT_HEAD.size)))
    except struct.error:
        return -1


def _write(disk: Disk, into: str, backend: str, users: list[User], found: Found, last: int) -> Iterator[str]:
    store, messages = os.urandom(16), 0
    writer = Writer(disk, into, store, 1, backend)
    for user in users:
        mails = {id: mail for id, mail in found.mails.get(user.number, {}).items() if not user.is_read(id)}
        mails.update((mail.id, mail) for run in user.tail for mail in singles(run))
        messages += len(mails)
        disk.at_once(writer.add(user.number, [mails[id] for id in sorted(mails)]))
    for user in users:
        for part in user_records(user):
            disk.at_once(writer.record(part))
    disk.at_once(writer.finish())
    manifests.save(disk, into, Manifest(store, 1, last, (), (writer.listed,)))
    yield f"{into}: {len(users)} names and {messages} waiting messages copied, in {base_name(1)} ({backend})"
