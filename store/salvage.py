"""salvage: --salvage copies what is valid of a damaged store into a new one.

Promises
    The damaged store stays as it is.  The report says what was damaged.  If anything may be missing
    because of that, the last line is an error, Incomplete.

How it works
    Of a journal it takes every valid batch, also those after a bad place (broken_journal.py); of a
    segment every value whose checksum is right (broken_segment.py).  Names come from wherever they
    can be read; a user without a name is called lost-N.  Mail that is known to be read is left out.
    A message that is found several times is copied once.  The new store is one segment and a
    manifest, with each message by itself.

Bad at
    Memory: it holds all waiting mail, and one file.  Where the record that a message was read is
    lost, the message comes back (a client that kept it drops it by its id).
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from operator import itemgetter

from store import manifest as manifests
from store.backends import choose
from store.broken_journal import BrokenJournal
from store.broken_segment import BrokenSegment
from store.disk import CannotCreate, Damaged, Disk, NoBackend, OtherVersion, StoreError
from store.findings import Findings
from store.journal import file_name, read_header
from store.mail import singles
from store.manifest import Manifest
from store.records import (
    ADDRESSED,
    EVERYONE,
    EXCEPT,
    NAME,
    NAME_HEAD,
    PUT,
    PUT_HEAD,
    Replay,
    user_records,
)
from store.recovery import lock_store
from store.segment import Listed, base_name
from store.user import User
from store.writer import Writer


class Incomplete(StoreError):
    """What could be read was copied, but not everything could be read."""

    code = os.EX_DATAERR


def salvage(directory: str, into: str, disk: Disk | None = None,
            backend: str | None = None) -> Iterator[str]:
    """Copy what is valid of one store into a new one; yields the lines of a report.

    Raises StoreError: Incomplete at the end if anything may be missing."""
    disk = disk or Disk()
    directory, into = os.path.abspath(directory), os.path.abspath(into)
    backend = choose(backend)
    locks = [lock_store(disk, directory, make=False)]
    try:
        locks.append(lock_store(disk, into))
        if set(disk.listdir(into)) != {"lock"}:
            raise CannotCreate(f"{into}: not empty; name a directory that does not exist yet")
        findings = Findings()
        manifest = _manifest(disk, directory, findings)
        _read_segments(disk, directory, manifest, findings)
        _read_journals(disk, directory, manifest, findings)
        users, last = _rebuild(findings)
        yield from findings.lines
        yield from _write(disk, into, backend, users, findings, max(last, manifest.seq))
    finally:
        for lock in locks:
            disk.close(lock)
    if findings.losses:
        raise Incomplete(f"{into}: not all of {directory} could be copied; what is missing is said "
                         "above")


# What there is

def _manifest(disk: Disk, directory: str, findings: Findings) -> Manifest:
    """The manifest or, where it is damaged, one that lists every file that is there."""
    try:
        manifest = manifests.load(disk, directory)
        if manifest is None:
            raise CannotCreate(f"{directory}: there is no store there; nothing was copied")
        return manifest
    except OtherVersion:
        raise
    except (Damaged, OSError) as error:
        what = error.what if isinstance(error, Damaged) else error.strerror
        findings.say(f"{directory}/{manifests.NAME}: {what}: taking every file that is there")
    names = disk.listdir(directory)
    journals = sorted(int(name[8:]) for name in names if re.fullmatch(r"journal\.\d{8,}", name))
    segments = sorted({int(name[8:16]) for name in names if re.match(r"segment\.\d{8}", name)})
    return Manifest(_store(disk, directory, journals), 0, 0,
                    tuple((number, None) for number in journals),
                    tuple(Listed(number, "", {}) for number in segments))


def _store(disk: Disk, directory: str, journals: list[int]) -> bytes:
    """The store's number, which most headers of journals have; empty if no header is whole."""
    found: list[bytes] = []
    for number in journals:
        with suppress(Damaged, OSError):
            data = disk.read(os.path.join(directory, file_name(number)))
            found.append(read_header(data, "").store)
    return max(found, key=found.count, default=b"")


def _read_segments(disk: Disk, directory: str, manifest: Manifest, findings: Findings) -> None:
    for listed in manifest.segments:
        segment = BrokenSegment(disk, directory, manifest, listed, findings)
        try:
            segment.take()
        except OtherVersion as error:
            findings.lost(f"{segment.name}: left out: {error.what}")
        except (NoBackend, OSError) as error:
            findings.lost(f"{segment.name}: left out: {error}")


def _read_journals(disk: Disk, directory: str, manifest: Manifest, findings: Findings) -> None:
    seen: set[int] = set()
    for number, size in manifest.journals:
        path = os.path.join(directory, file_name(number))
        try:
            data, bad = disk.read_around(path)
            if bad:
                findings.say(f"{path}: {bad} bytes cannot be read")
            journal = BrokenJournal(path, data, number, size, findings)
            journal.take(manifest.store)
            seen.add(journal.number)
        except OtherVersion as error:
            seen.add(number)
            findings.lost(f"{path}: left out: {error.what}")
        except OSError as error:
            findings.lost(f"{path}: left out: {error.strerror or error}")
    for number in {number for number, _ in manifest.journals} - seen:
        findings.lost(f"{directory}: what was in {file_name(number)} is missing")
    findings.entries.sort(key=itemgetter(0))  # two files may have changed places


# What it means

def _rebuild(findings: Findings) -> tuple[list[User], int]:
    """The users, each with the read state and the unread mail of the journals; the highest id."""
    replay, names = Replay(), {}
    for _, type, payload in findings.entries:
        if type == NAME:
            number, time = NAME_HEAD.unpack_from(payload)
            names[number] = payload[NAME_HEAD.size:].decode(), time
    for number in range(_highest_user(findings, names) + 1):
        name, time = names.get(number) or (f"lost-{number}", 0)
        if number not in names:
            findings.lost(f"user {number}: the name is lost, it is {name} now")
        replay.users.append(User(number, name, time))
    for entry in findings.entries:
        if entry[1] == NAME:
            continue
        try:
            replay.apply([entry], "")
        except Damaged as error:
            findings.lost(f"record {entry[0]}: left out: {error.what}")
    replay.finish()
    highest = max([id for mails in findings.mails.values() for id in mails], default=0)
    return replay.users, max(replay.last, highest)


def _highest_user(findings: Findings, names: Iterable[int]) -> int:
    """The highest user number that anything refers to."""
    senders = [mail.sender for mails in findings.mails.values() for mail in mails.values()]
    named = [_highest_in(type, payload) for _, type, payload in findings.entries]
    return max([*names, *findings.mails, *senders, *named], default=-1)


def _highest_in(type: int, payload: bytes) -> int:
    """The highest user number in a record."""
    try:
        if type not in (PUT, ADDRESSED, EXCEPT):
            return int.from_bytes(payload[:4], "big")
        _, sender, _, flags, recipients = PUT_HEAD.unpack_from(payload)
        if flags & EVERYONE:
            return int(max(sender, recipients - 1))
        return int(max(sender, *struct.unpack_from(f"!{recipients}I", payload, PUT_HEAD.size)))
    except struct.error:
        return -1


def _write(disk: Disk, into: str, backend: str, users: list[User], findings: Findings,
           last: int) -> Iterator[str]:
    store, messages = os.urandom(16), 0
    writer = Writer(disk, into, store, 1, backend)
    for user in users:
        found = findings.mails.get(user.number, {})
        mails = {id: mail for id, mail in found.items() if not user.is_read(id)}
        mails.update((mail.id, mail) for run in user.tail for mail in singles(run))
        messages += len(mails)
        disk.at_once(writer.add(user.number, [mails[id] for id in sorted(mails)]))
    for user in users:
        for part in user_records(user):
            disk.at_once(writer.record(part))
    disk.at_once(writer.finish())
    manifests.save(disk, into, Manifest(store, 1, last, (), (writer.listed,)))
    yield (f"{into}: {len(users)} names and {messages} waiting messages copied, "
           f"in {base_name(1)} ({backend})")
