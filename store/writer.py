"""writer: writes one segment (segment.py), in small steps, while the service goes on.

Promises: when `finish` has come to its end without an error, every file of the segment was synced,
read back from the disk and found equal; `listed` is then what the manifest is to say of it.
Works by filling one value of each kind at a time, and putting it into the dbm when it is full.  A
step is one value written.  The writer holds a descriptor of each file from before the first write
to it, for the kernel reports a failed write once to each open file.
Fails with OSError when the backend does; the caller then abandons the segment, and nothing is lost,
for the journals still hold it.  With Failed when an fsync fails.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from contextlib import closing, suppress
from typing import Any
from zlib import crc32

from store.backends import words
from store.disk import Disk, Failed
from store.headings import at_rest
from store.mail import SHARED_AT, Mail, amount
from store.segment import (
    CRC,
    ENTRY,
    HEAD,
    HEADING,
    INDEX,
    KINDS,
    PAGE,
    ROOM,
    VERSION,
    Listed,
    base_name,
    files_of,
    key_of,
    remove,
    seed_of,
    start_of,
)
from store.user import Page

SYNC_EVERY = 1 << 20  # bytes written between two syncs of a growing segment: the last sync is short


class Writer:
    """One segment being written: `add` and `record` what it shall hold, then run `finish` to its
    end.  All three are tasks; a step of one writes one value."""

    def __init__(self, disk: Disk, directory: str, store: bytes, number: int, backend: str) -> None:
        self.disk, self.directory, self.number, self.backend = disk, directory, number, backend
        self.seed = seed_of(store)
        self.pages: dict[int, list[Page]] = {}  # by user
        self.messages = self.bytes = self.own = self.shared = 0
        self._sums: dict[bytes, int] = {}  # key: crc of its value, to compare when it is read back
        self._counts = dict.fromkeys(KINDS, 0)  # how many values of each kind were written
        self._filling: dict[str, bytearray] = {kind: bytearray() for kind in KINDS}
        # Shared bodies, by first and last id: value, start in it.
        self._bodies: dict[tuple[int, int], tuple[int, int]] = {}
        self._unsynced = 0  # bytes written since the last sync
        # By file: its inode, and a descriptor from before it was written to.
        self._held: dict[str, tuple[int, int]] = {}
        remove(disk, directory, number)
        self._database = disk.database(backend, os.path.join(directory, base_name(number)), "n")
        try:
            self._hold()
        except OSError:
            self.abandon()
            raise

    def add(self, user: int, mails: Iterable[Mail]) -> Generator[object, None, None]:
        """A user's mail, by id, from where this user's last `add` ended."""
        page: list[tuple[Mail, bytes]] = []
        filled = PAGE.size
        for mail in mails:
            body, need = mail.body, ENTRY.size
            if heading := mail.heading:
                body = at_rest(body, heading)
            if mail.recipients < SHARED_AT:
                need += len(body)
            else:
                yield from self._share(mail, body)
            if filled + need > ROOM:
                yield from self._page(user, page)
                page, filled = [], PAGE.size
            page.append((mail, body))
            filled += need
        if page:
            yield from self._page(user, page)

    def _share(self, mail: Mail, body: bytes) -> Generator[object, None, None]:
        if (mail.id, mail.last) in self._bodies:
            return
        yield from self._make_room("shared", len(body))
        filling = self._filling["shared"]
        self._bodies[mail.id, mail.last] = self._counts["shared"] + 1, len(filling)
        filling += body

    def _page(self, user: int, mails: list[tuple[Mail, bytes]]) -> Generator[object, None, None]:
        """These runs, each with its body, are the user's next page."""
        entries, bodies, start, shared, pack = [PAGE.pack(user, len(mails))], [], 0, 0, ENTRY.pack
        for mail, body in mails:
            id, last, time, sender, origin, flags, recipients, *_ = mail
            flags |= HEADING if mail.heading else 0
            place = 0, start
            if recipients < SHARED_AT:
                bodies.append(body)
                start += len(body)
            else:
                place = self._bodies[id, last]
                shared += len(body)
            entries.append(pack(id, time, sender, origin, flags, recipients, *place, len(body)))
        data = b"".join(entries + bodies)
        yield from self._make_room("mail", len(data))
        block = self._filling["mail"]
        messages, size = amount([mail for mail, _ in mails])
        page = Page(self.number, self._counts["mail"] + 1, len(block), len(mails), messages,
                    mails[0][0].id, mails[-1][0].last, size)
        page.own, page.shared = len(data), shared
        block += data
        self.pages.setdefault(user, []).append(page)
        self.messages += page.messages
        self.own += page.own
        self.shared += page.shared
        yield from self._make_room("index", INDEX.size)
        self._filling["index"] += INDEX.pack(user, page.block, page.offset, page.entries,
                                             page.messages, page.first, page.last)

    def record(self, data: bytes) -> Generator[object, None, None]:
        """The records of one user."""
        yield from self._make_room("users", len(data))
        self._filling["users"] += data

    def _make_room(self, kind: str, need: int) -> Generator[object, None, None]:
        if len(self._filling[kind]) + need > ROOM and self._filling[kind]:
            yield from self._flush(kind)

    def _flush(self, kind: str) -> Generator[object, None, None]:
        body, self._filling[kind] = self._filling[kind], bytearray()
        self._counts[kind] += 1
        self._put(key_of(kind, self._counts[kind]), bytes(body))
        if kind in ("mail", "shared"):
            self.bytes += len(body)
        if self._unsynced >= SYNC_EVERY:
            yield from self._sync()
        yield None

    def _put(self, key: bytes, body: bytes) -> None:
        self.disk.look(self.directory)  # the backends open by name
        self._sums[key] = crc32(body, start_of(self.seed, self.number, key))
        value = CRC.pack(self._sums[key]) + body
        self._database[key] = value
        self._unsynced += len(value)

    def _sync(self) -> Generator[object, None, None]:
        """Sync what the backend has written so far."""
        self._unsynced = 0
        for name in self._hold():
            yield from self._sync_file(name)

    def _hold(self) -> list[str]:
        """Hold a descriptor of each file there is: dbm.dumb replaces one, dbm.sqlite3 adds one."""
        names = [name for name in files_of(self.disk, self.directory, self.number)
                 if not name.endswith("-shm")]  # shared memory of dbm.sqlite3, gone when it closes
        for name in names:
            path = os.path.join(self.directory, name)
            number, fd = self._held.get(name, (0, -1))
            if self.disk.file_number(path) != number:
                self._held[name] = self.disk.file_number(path), self.disk.hold(path)
                if fd >= 0:
                    self.disk.close(fd)
        return names

    def _let_go(self) -> None:
        while self._held:
            self.disk.close(self._held.popitem()[1][1])

    def _sync_file(self, name: str) -> Generator[object, None, None]:
        """A failure is final: the kernel may not report it a second time."""
        try:
            yield from self.disk.syncing(self._held[name][1])
        except OSError as error:
            raise Failed(f"{os.path.join(self.directory, name)}: fsync failed ({error})") from error

    def finish(self) -> Generator[object, None, None]:
        """Write the rest, close, sync every file and the directory, read everything back.  Then
        `listed` is right."""
        for kind in ("shared", "mail", "users", "index"):
            if self._filling[kind]:
                yield from self._flush(kind)
        counts = [self._counts[kind] for kind in KINDS]
        self._put(b"head", HEAD.pack(VERSION, *counts, self.messages, self.bytes))
        self.disk.look(self.directory)
        self._database.close()
        for name in files_of(self.disk, self.directory, self.number):
            if name.endswith(".bak"):  # dbm.dumb's older directory: of no use, the file is final
                self.disk.unlink(os.path.join(self.directory, name))
        yield None
        for name in self._hold():
            yield from self._sync_file(name)
            yield None
        self._let_go()
        yield from self.disk.syncing_directory(self.directory)
        self.listed = Listed(self.number, self.backend, self._sizes())
        yield None
        yield from self._verify()

    def _sizes(self) -> dict[str, int]:
        names = files_of(self.disk, self.directory, self.number)
        if any(name.endswith("-wal") for name in names):
            raise self._error("dbm.sqlite3 could not put its log into the file")
        return {name: self.disk.size(os.path.join(self.directory, name)) for name in names}

    def _verify(self) -> Generator[object, None, None]:
        """Compare with what the disk holds, not with what the page cache remembers of it."""
        for name in self.listed.files:
            self.disk.forget(os.path.join(self.directory, name))
        path = os.path.join(self.directory, base_name(self.number))
        try:
            with closing(self.disk.database(self.backend, path, "r")) as database:
                yield from self._compare(database)
        except OSError:
            raise
        except Exception as error:  # backends raise whatever they like over a foreign file
            raise self._error(f"{self.backend} cannot read it: {words(error)}") from error

    def _compare(self, database: Any) -> Generator[object, None, None]:
        if len(database.keys()) != len(self._sums):
            raise self._error(f"{self.backend} lost a key")
        for key, wanted in self._sums.items():
            value, start = database[key], start_of(self.seed, self.number, key)
            if (value[:CRC.size] != CRC.pack(wanted)
                    or crc32(memoryview(value)[CRC.size:], start) != wanted):
                raise self._error(f"{self.backend} changed the value of {key.decode()}")
            yield None

    def _error(self, what: str) -> OSError:
        return OSError(f"{base_name(self.number)}: {what}")

    def abandon(self) -> None:
        """Give up, and leave no file.  If the disk refuses even that, the next start removes what
        no manifest lists."""
        self.close()
        with suppress(OSError):
            remove(self.disk, self.directory, self.number)

    def leave(self) -> None:
        """Touch no name any more, for it may be another store's by now.  dbm.dumb would write its
        index even when it is garbage-collected."""
        if hasattr(self._database, "_modified"):
            self._database._modified = False

    def close(self) -> None:
        """Let go.  The next start removes the files, unless a manifest lists them."""
        self._let_go()
        with suppress(Exception):  # it may have failed before
            self._database.close()
