"""salvage: look at a store without serving it.

`check` reads everything (every batch, every value, every page) and yields lines of a report; it changes nothing and
raises Damaged at the first thing that is not what was written.  `salvage` copies every valid batch and page into a new
store and says what was left out; the old one stays as it is.

How salvage works: names come from wherever they can be read, a user without one is called lost-N.  Of a journal all
valid batches are taken, also those after a bad place; of a segment every value whose checksum is right.  What is known
to be read is left out.  A message is one, however often it is found, and each is by itself in the new store, which
is one segment and a manifest.

Bad at: it holds all waiting mail in memory.  Where the record that something was read is lost, that mail comes back
(a client that kept it drops it by its id).  A segment that its backend can't open any more is left out as a whole.
Without a manifest and without one good journal header it can tell nothing.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import manifest as manifests
from bodies import count_of, is_whole
from disk import CannotCreate, Damaged, Disk, NoBackend, OtherVersion
from journal import HEADER_SIZE, MAGIC, Header, Record, file_name, later_batches, read_header, records
from mail import Mail, messages, singles
from manifest import Manifest
from records import NAME, NAME_HEAD, Replay, split, user_records
from recovery import Recovery, lock_store
from segment import BEST_FIRST, ENTRY, PAGE, Listed, Segment, Shelf, Writer, base_name, choose
from user import User


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


class Found(NamedTuple):
    """What can be read of a store."""

    entries: list[Record]  # of users in segments (seq 0), then of the journals
    mails: dict[int, dict[int, Mail]]  # of segments: by user, by id


def salvage(directory: str, into: str, disk: Disk | None = None, backend: str | None = None) -> Iterator[str]:
    """Copy what is valid of one store into a new one; lines of a report.  Raises StoreError."""
    disk, directory, into = disk or Disk(), os.path.abspath(directory), os.path.abspath(into)
    backend = choose(backend)
    locks = [lock_store(disk, directory, make=False)]
    try:
        locks.append(lock_store(disk, into))
        if set(disk.listdir(into)) != {"lock"}:
            raise CannotCreate(f"{into}: not empty; name a directory that does not exist yet")
        lines: list[str] = []
        manifest = _manifest(disk, directory, lines.append)
        found = _find(disk, directory, manifest, lines.append)
        users, last = _rebuild(found, lines.append)
        yield from lines
        yield from _write(disk, into, backend, users, found, max(last, manifest.seq))
    finally:
        for lock in locks:
            disk.close(lock)


def _manifest(disk: Disk, directory: str, say: Callable[[str], None]) -> Manifest:
    """The manifest, or what the names of the files tell."""
    try:
        manifest = manifests.load(disk, directory)
        if manifest is not None:
            return manifest
        say(f"{directory}: no store")
        return Manifest(bytes(16), 0, 0, (), ())
    except Damaged as error:
        say(f"{error.file}: {error.what}: taking every file that is there")
    names = disk.listdir(directory)
    journals = [int(name[8:]) for name in names if re.fullmatch(r"journal\.\d+", name)]
    segments = {int(name[8:16]) for name in names if re.match(r"segment\.\d{8}", name)}
    store = _store(disk, directory, journals)
    listed = tuple(Listed(number, backend, {}) for number in sorted(segments)
                   for backend in [_backend(disk, directory, store, number)] if backend)
    return Manifest(store, 0, 0, tuple((number, None) for number in sorted(journals)), listed)


def _store(disk: Disk, directory: str, journals: list[int]) -> bytes:
    """The store's uuid, from a manifest or from a journal's header."""
    try:
        line = disk.read(os.path.join(directory, manifests.NAME)).partition(b"\n")[0]
        return bytes.fromhex(json.loads(line)["store"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    for number in journals:
        try:
            return read_header(disk.read(os.path.join(directory, file_name(number))), "").store
        except Damaged:
            continue
    return bytes(16)


def _backend(disk: Disk, directory: str, store: bytes, number: int) -> str | None:
    """Which backend reads this segment?"""
    for backend in (*BEST_FIRST, "dbm.ndbm"):
        segment = Segment(disk, directory, store, Listed(number, backend, {}))
        try:
            segment.open()
            return backend
        except (Damaged, NoBackend, OSError):
            continue
        finally:
            segment.close()
    return None


def _find(disk: Disk, directory: str, manifest: Manifest, say: Callable[[str], None]) -> Found:
    found = Found([], {})
    for listed in manifest.segments:
        segment = Segment(disk, directory, manifest.store, listed._replace(files={}))
        try:
            segment.attach()
            try:
                segment.read_head()
            except OtherVersion:
                raise
            except Damaged as error:
                say(f"{segment.name}: {error.what}: taking every value that is there")
            _take_segment(segment, found, say)
        except (Damaged, NoBackend, OSError) as error:
            say(f"{segment.name}: left out: {error}")
        finally:
            segment.close()
    for number, _ in manifest.journals:
        path = os.path.join(directory, file_name(number))
        try:
            found.entries.extend(_journal(disk.read(path), path, say))
        except (Damaged, OSError) as error:
            say(f"{path}: left out: {error}")
    return found


def _values(segment: Segment, kind: str, say: Callable[[str], None]) -> Iterator[tuple[int, bytes]]:
    for number in segment.numbers(kind):
        try:
            yield number, segment.value(kind, number)
        except Damaged as error:
            say(f"{segment.name}: left out: {error.what}")


def _take_segment(segment: Segment, found: Found, say: Callable[[str], None]) -> None:
    for _, body in _values(segment, "users", say):
        found.entries.extend(split(body))
    shared = dict(_values(segment, "shared", say))
    for number, body in _values(segment, "mail", say):
        offset, lost = 0, 0
        while offset < len(body):
            offset, missing = _take_page(body, offset, shared, found)
            lost += missing
        if lost:
            say(f"{segment.name}: mail {number}: {lost} messages, or runs of them, left out: shared texts are damaged")


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


def _journal(data: bytes, path: str, say: Callable[[str], None]) -> Iterator[Record]:
    """The records of every valid batch, wherever it stands."""
    try:
        header = read_header(data, path)
    except OtherVersion:
        raise
    except Damaged as error:
        say(f"{path}: {error.what}: looking for batches all the same")
        header = Header(bytes(16), 0, 0, data[HEADER_SIZE:HEADER_SIZE + len(MAGIC)])
    end = HEADER_SIZE
    for batch in later_batches(data, header, HEADER_SIZE):
        if batch.offset != end:
            say(f"{path}: left out: {batch.offset - end} bytes at offset {end}")
        end = batch.end
        yield from records(data, batch, path)


def _rebuild(found: Found, say: Callable[[str], None]) -> tuple[list[User], int]:
    """The users, each with its read state, and with what of the journals' mail is unread; the highest id."""
    replay, names = Replay(), {}
    for _, type, payload in found.entries:
        if type == NAME:
            number, time = NAME_HEAD.unpack_from(payload)
            names[number] = payload[NAME_HEAD.size:].decode(), time
    for number in range(_highest_user(found, names) + 1):
        name, time = names.get(number) or (f"lost-{number}", 0)
        if number not in names:
            say(f"user {number}: the name is lost, it is {name} now")
        replay.users.append(User(number, name, time))
    for entry in found.entries:
        if entry[1] == NAME:
            continue
        try:
            replay.apply([entry], "")
        except Damaged as error:
            say(f"record {entry[0]}: left out: {error.what}")
    replay.finish()
    highest = max([id for mails in found.mails.values() for id in mails], default=0)
    return replay.users, max(replay.last, highest)


def _highest_user(found: Found, names: Iterable[int]) -> int:
    """The highest user number that anything refers to."""
    senders = [mail.sender for mails in found.mails.values() for mail in mails.values()]
    return max([*names, *found.mails, *senders], default=-1)


def _write(disk: Disk, into: str, backend: str, users: list[User], found: Found, last: int) -> Iterator[str]:
    store, messages = os.urandom(16), 0
    writer = Writer(disk, into, store, 1, backend)
    for user in users:
        mails = {id: mail for id, mail in found.mails.get(user.number, {}).items() if not user.is_read(id)}
        mails.update((mail.id, mail) for run in user.tail for mail in singles(run))
        messages += len(mails)
        for _ in writer.add(user.number, [mails[id] for id in sorted(mails)]):
            pass
    for user in users:
        for part in user_records(user):
            for _ in writer.record(part):
                pass
    for _ in writer.finish():
        pass
    manifests.save(disk, into, Manifest(store, 1, last, (), (writer.listed,)))
    yield f"{into}: {len(users)} names and {messages} waiting messages copied, in {base_name(1)} ({backend})"
