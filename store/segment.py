"""segment: mail at rest, in dbm files that are written once and never modified.

Promises
    What `Writer` finished without an error was synced, read back and found equal.  What `Shelf` hands out is what was
    written: every value of the dbm carries a checksum seeded with its store, segment and key, and one that fails it is
    `Damaged`, never served.  Reading never writes.

How it works
    The backends of dbm differ in everything but the mapping of bytes to bytes, and that is all that is used.  Few keys
    and large values (up to 64 KiB), because a store of small ones costs dbm.sqlite3 a sync each, and dbm.dumb a line to
    parse at every open.  The keys are words, so that any dbm tool shows what is there:

        head            version u16 | index u32 | users u32 | mail u32 | shared u32 | messages u64 | bytes u64
                        (how many values of each kind there are; messages; bytes of pages and shared texts)
        index N         pages: user u32 | block u32 | offset u32 | entries u32 | messages u32 | first id u64
                        | last id u64, and so on
        users N         records of users, as in the journal (records.py)
        mail N          a block: pages of users, one after the other
        shared N        bodies of messages that went to many, one after the other

    Each value begins with a crc32.  A page is a part of one user's mail, in the order of ids; an entry is a run of
    messages (bodies.py), `id` and `origin` are of the first:

         0      4         8
        +------+---------+-----------------+--------+
        | user | entries | entries * entry | bodies |
        +------+---------+-----------------+--------+
        entry: id u64 | time u64 | sender u32 | origin u64 | flags u8 | recipients u32
               | shared u32 | start u32 | length u32

    `shared` is 0 for a body of the page itself, else the number of the value that holds it: one that went to eight
    or more is stored once.  The index is all that a start reads; a page is read when its mail is.

    Backends, best first: dbm.sqlite3, dbm.gnu, dbm.dumb.  The manifest records which one wrote a segment.  dbm.ndbm is
    taken only when asked for, after a probe (Berkeley DB does well, others lose values above 1 KiB), never on macOS.

How it fails
    A backend that is missing: NoBackend, saying what to install.  A backend that fails while writing: OSError; the
    caller abandons the segment, and nothing is lost since the journals still hold it.  An fsync that fails: Failed.

Bad at
    Files that a process killed in mid-write left behind: they are not looked at, but removed at the next start.
    dbm.sqlite3 leaves an empty `-wal` and a `-shm` beside what it reads; they too go at the next start.
"""

from __future__ import annotations

import importlib
import os
import struct
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, suppress
from typing import Any, NamedTuple
from zlib import crc32

from net.bodies import LENGTH, count_of
from store.disk import Damaged, Disk, Failed, NoBackend, OtherVersion
from store.mail import WHOLE, Mail, amount, messages
from store.user import Page, User

VERSION = 2
BEST_FIRST = ("dbm.sqlite3", "dbm.gnu", "dbm.dumb")
PACKAGES = {"dbm.gnu": "install python3-gdbm", "dbm.ndbm": "install a Python that has it",
            "dbm.sqlite3": "use Python 3.13 or newer"}

BLOCK = 64 << 10  # bytes of one value at most: what every backend was measured to keep
SHARED_AT = 8  # recipients from which a body is stored once
SYNC_EVERY = 1 << 20  # bytes written between two syncs of a growing segment, so that the last sync is short
OPEN_SEGMENTS = 8  # dbm files held open for reading
CACHED_VALUES = 32  # values held in memory, 64 KiB each
CACHED_PAGES = 64  # pages held in memory as mail

CRC = struct.Struct("!I")
HEAD = struct.Struct("!HIIIIQQ")
INDEX = struct.Struct("!IIIIIQQ")
PAGE = struct.Struct("!II")
ENTRY = struct.Struct("!QQIQBIIII")
assert (HEAD.size, INDEX.size, PAGE.size, ENTRY.size) == (34, 36, 8, 45)
KINDS = ("index", "users", "mail", "shared")  # of values, as the head counts them
ROOM = BLOCK - CRC.size
ENTRY_MAX = ROOM - PAGE.size - ENTRY.size  # the longest body that a page can hold


class Listed(NamedTuple):
    """A segment as the manifest lists it: its files and their sizes."""

    number: int
    backend: str
    files: dict[str, int]


def base_name(number: int) -> str:
    return f"segment.{number:08}"


def files_of(disk: Disk, directory: str, number: int) -> list[str]:
    """The names that belong to a segment; which there are depends on the backend."""
    base = base_name(number)
    return [name for name in disk.listdir(directory) if name == base or name.startswith((base + ".", base + "-"))]


def remove(disk: Disk, directory: str, number: int) -> None:
    for name in files_of(disk, directory, number):
        disk.unlink(os.path.join(directory, name))


def module(backend: str) -> Any:
    try:
        return importlib.import_module(backend)
    except ImportError:
        raise NoBackend(f"this store needs Python's {backend}: {PACKAGES.get(backend, 'it is missing')}, "
                        "or run the Python that wrote it") from None


def choose(backend: str | None = None) -> str:
    """The backend for new segments: the one asked for, else the best that this Python has."""
    if backend is None:
        return next(name for name in BEST_FIRST if is_there(name))
    if backend not in (*BEST_FIRST, "dbm.ndbm"):
        raise NoBackend(f"{backend} is no module for segments: take one of {', '.join(BEST_FIRST)}, dbm.ndbm")
    module(backend)
    if backend == "dbm.ndbm" and not _keeps_large_values(backend):
        raise NoBackend("this Python's dbm.ndbm does not keep empty and large values; leave the choice to the program")
    return backend


def is_there(backend: str) -> bool:
    try:
        importlib.import_module(backend)
    except ImportError:
        return False
    return True


def _keeps_large_values(backend: str) -> bool:
    """The probe.  Berkeley DB 5.3, which is Debian's dbm.ndbm, loses the empty value when the large one follows it."""
    if sys.platform == "darwin":
        return False
    values = {b"empty": b"", b"large": os.urandom(BLOCK)}
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "probe")
        try:
            with closing(module(backend).open(path, "n", 0o600)) as database:
                for key, value in values.items():
                    database[key] = value
            with closing(module(backend).open(path, "r")) as database:
                return all(database[key] == value for key, value in values.items())
        except Exception:  # whatever it raises, it is not for us
            return False


def words(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else repr(error)


def _key(kind: str, number: int) -> bytes:
    return f"{kind} {number}".encode() if number else kind.encode()


def seed_of(store: bytes) -> int:
    """All that the checksums of values know of a store."""
    return crc32(store, 1)


def start_of(seed: int, segment: int, key: bytes) -> int:
    """What the checksum of a value starts from."""
    return crc32(b" %d %s" % (segment, key), seed)


def head_of(body: bytes, path: str) -> tuple[dict[str, int], int, int]:
    """What the head says: how many values of each kind there are, messages, bytes.  Raises Damaged."""
    version = int.from_bytes(body[:2], "big")
    if version != VERSION:
        raise OtherVersion(path, version)
    if len(body) != HEAD.size:
        raise Damaged(path, 0, f"a head of {len(body)} bytes")
    _, *counts, messages, size = HEAD.unpack(body)
    return dict(zip(KINDS, counts, strict=True)), messages, size


class Writer:
    """Writes one segment, in small steps: `add` and `record` what it shall hold, then run `finish` to its end."""

    def __init__(self, disk: Disk, directory: str, store: bytes, number: int, backend: str) -> None:
        self.disk, self.directory, self.number, self.backend = disk, directory, number, backend
        self.seed = seed_of(store)
        self.pages: dict[int, list[Page]] = {}  # by user
        self.messages = self.bytes = 0
        self._sums: dict[bytes, int] = {}  # key: crc of its value, to compare when it is read back
        self._counts = {"index": 0, "users": 0, "mail": 0, "shared": 0}
        self._filling: dict[str, bytearray] = {kind: bytearray() for kind in self._counts}
        self._bodies: dict[tuple[int, int], tuple[int, int]] = {}  # shared ones by first and last id: value, start
        self._unsynced = 0
        self._held: dict[str, tuple[int, int]] = {}  # file: its number, and a descriptor from before it was written
        remove(disk, directory, number)
        self._database = disk.database(backend, os.path.join(directory, base_name(number)), "n")
        try:
            self._hold()
        except OSError:
            self.abandon()
            raise

    def add(self, user: int, mails: Iterable[Mail]) -> Generator[object, None, None]:
        """A user's mail, by id, from where this user's last `add` ended.  A step is one value written."""
        page: list[tuple[Mail, bytes]] = []
        filled = PAGE.size
        for mail in mails:
            body, need = mail.body, ENTRY.size
            if mail.count < SHARED_AT:
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
        """Mail and its texts, the user's next page."""
        entries, bodies, start, pack = [PAGE.pack(user, len(mails))], [], 0, ENTRY.pack
        for (id, last, time, sender, origin, flags, count, *_), body in mails:
            if count < SHARED_AT:
                entries.append(pack(id, time, sender, origin, flags, count, 0, start, len(body)))
                bodies.append(body)
                start += len(body)
            else:
                entries.append(pack(id, time, sender, origin, flags, count, *self._bodies[id, last], len(body)))
        data = b"".join(entries + bodies)
        yield from self._make_room("mail", len(data))
        block = self._filling["mail"]
        count, size = amount([mail for mail, _ in mails])
        page = Page(self.number, self._counts["mail"] + 1, len(block), len(mails), count, mails[0][0].id,
                    mails[-1][0].last, size)
        block += data
        self.pages.setdefault(user, []).append(page)
        self.messages += page.count
        yield from self._make_room("index", INDEX.size)
        self._filling["index"] += INDEX.pack(user, page.block, page.offset, page.entries, page.count, page.first,
                                             page.last)

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
        self._put(_key(kind, self._counts[kind]), bytes(body))
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
        """Hold a descriptor of each file that there is now; dbm.dumb replaces one, dbm.sqlite3 makes another."""
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
        """A failure is final: it may not be told twice."""
        try:
            yield from self.disk.syncing(self._held[name][1])
        except OSError as error:
            raise Failed(f"{os.path.join(self.directory, name)}: fsync failed ({error})") from error

    def finish(self) -> Generator[object, None, None]:
        """Write the rest, close, sync every file and the directory, read everything back.  Then `listed` is right."""
        for kind in ("shared", "mail", "users", "index"):
            if self._filling[kind]:
                yield from self._flush(kind)
        counts = [self._counts[kind] for kind in ("index", "users", "mail", "shared")]
        self._put(b"head", HEAD.pack(VERSION, *counts, self.messages, self.bytes))
        self.disk.look(self.directory)
        self._database.close()
        for name in files_of(self.disk, self.directory, self.number):
            if name.endswith(".bak"):  # dbm.dumb's copy of an older directory, of no use to a file written once
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
            raise OSError(f"{base_name(self.number)}: dbm.sqlite3 could not put its log into the file")
        return {name: self.disk.size(os.path.join(self.directory, name)) for name in names}

    def _verify(self) -> Generator[object, None, None]:
        """Compare with what the disk holds, not with what the page cache remembers of the writing."""
        for name in self.listed.files:
            self.disk.forget(os.path.join(self.directory, name))
        try:
            database = self.disk.database(self.backend, os.path.join(self.directory, base_name(self.number)), "r")
            with closing(database):
                yield from self._compare(database)
        except OSError:
            raise
        except Exception as error:  # backends raise whatever they like over a file that is not theirs
            raise OSError(f"{base_name(self.number)}: {self.backend} cannot read it: {words(error)}") from error

    def _compare(self, database: Any) -> Generator[object, None, None]:
        if len(database.keys()) != len(self._sums):
            raise OSError(f"{base_name(self.number)}: {self.backend} lost a key")
        for key, wanted in self._sums.items():
            value = database[key]
            if (value[:CRC.size] != CRC.pack(wanted)
                    or crc32(memoryview(value)[CRC.size:], start_of(self.seed, self.number, key)) != wanted):
                raise OSError(f"{base_name(self.number)}: {self.backend} changed the value of {key.decode()}")
            yield None

    def abandon(self) -> None:
        """Give up; leave no file, unless the disk refuses that too: what no manifest lists goes at the next start."""
        self.close()
        with suppress(OSError):
            remove(self.disk, self.directory, self.number)

    def leave(self) -> None:
        """Touch no name any more: they may be another's.  dbm.dumb would write its index even as it is forgotten."""
        if hasattr(self._database, "_modified"):
            self._database._modified = False

    def close(self) -> None:
        """Let go.  Unless a manifest lists them, the next start removes the files."""
        self._let_go()
        with suppress(Exception):  # it may have failed before
            self._database.close()


class Segment:
    """A finished segment.  `left` of its `messages` are unread.  `is_on_disk`: this process has synced it, or read it
    from the disk; else what the page cache holds may never have reached the disk, and is not believed."""

    def __init__(self, disk: Disk, directory: str, store: bytes, listed: Listed, *, is_on_disk: bool = False) -> None:
        self.disk, self.directory, self.seed, self.listed = disk, directory, seed_of(store), listed
        self.number, self.name = listed.number, base_name(listed.number)
        self.path = os.path.join(directory, self.name)
        self.messages = self.bytes = self.left = 0
        self.is_on_disk = is_on_disk
        self.counts = {"index": 0, "users": 0, "mail": 0, "shared": 0}
        self._database: Any = None

    def open(self) -> None:
        """Check the files' sizes; read the head."""
        self._attach()
        self._read_head()

    def _attach(self) -> None:
        module(self.listed.backend)
        for name, size in self.listed.files.items():
            path = os.path.join(self.directory, name)
            try:
                found = self.disk.size(path)
                if not self.is_on_disk:
                    self.disk.forget(path)
            except FileNotFoundError:
                raise Damaged(path, 0, "listed in the manifest, but missing") from None
            except OSError as error:
                raise Damaged(path, 0, error.strerror or str(error)) from error
            if found != size:
                raise Damaged(path, min(found, size), f"{found} bytes, not the {size} that it had")
        self.is_on_disk = True
        try:
            self._database = self.disk.database(self.listed.backend, self.path, "r")
        except Exception as error:  # backends raise whatever they like over a file that is not theirs
            raise self._damaged(b"head", words(error)) from error

    def _read_head(self) -> None:
        """How many values of each kind there are."""
        self.counts, self.messages, self.bytes = head_of(self.value("head", 0), self.path)

    def is_open(self) -> bool:
        return self._database is not None

    def close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            with suppress(OSError):  # nothing was written
                database.close()

    def _damaged(self, key: bytes, what: str) -> Damaged:
        return Damaged(self.path, 0, f"value {key.decode()!r} ({self.listed.backend}): {what}")

    def value(self, kind: str, number: int) -> bytes:
        """A value without its checksum, which was right."""
        key = _key(kind, number)
        if self._database is None:
            self.open()
        try:
            data = bytes(self._database[key])
        except Exception as error:  # see _attach
            raise self._damaged(key, words(error)) from error
        body = data[CRC.size:]
        if data[:CRC.size] != CRC.pack(crc32(body, start_of(self.seed, self.number, key))):
            raise self._damaged(key, "wrong checksum")
        return body

    def values(self, kind: str) -> Iterator[bytes]:
        for number in range(1, self.counts[kind] + 1):
            yield self.value(kind, number)

    def index(self) -> Iterator[tuple[int, Page]]:
        """Every page with its user.  They stand in the order of their places, so the next one's tells the size."""
        before: tuple[int, Page] | None = None
        for body in self.values("index"):
            for user, block, offset, entries, count, first, last in INDEX.iter_unpack(body):
                if before:
                    yield before[0], _sized(before[1], offset if block == before[1].block else ROOM)
                before = user, Page(self.number, block, offset, entries, count, first, last)
        if before:
            yield before[0], _sized(before[1], ROOM)


def _sized(page: Page, end: int) -> Page:
    page.size = max(0, end - page.offset - PAGE.size - page.entries * (ENTRY.size + LENGTH) - page.count * LENGTH)
    return page


class Shelf:
    """All segments that count, by number, with what was lately read of them.  `damaged`: those of which something
    could not be read; `notes`: lines for the operator about it."""

    def __init__(self, notes: list[str] | None = None) -> None:
        self.segments: dict[int, Segment] = {}
        self.damaged: set[int] = set()
        self.notes = [] if notes is None else notes
        self._open: OrderedDict[int, Segment] = OrderedDict()
        self._values: OrderedDict[tuple[int, str, int], bytes] = OrderedDict()
        self._pages: OrderedDict[tuple[int, int, int], list[Mail]] = OrderedDict()

    def add(self, segment: Segment) -> None:
        self.segments[segment.number] = segment

    def remove(self, number: int) -> None:
        self._open.pop(number, None)
        self.segments.pop(number).close()
        self._values = OrderedDict([row for row in self._values.items() if row[0][0] != number])
        self._pages = OrderedDict([row for row in self._pages.items() if row[0][0] != number])

    def close(self) -> None:
        for segment in self.segments.values():
            segment.close()
        self._open.clear()

    def touch(self, segment: Segment) -> None:
        """This one was used: of those open, close the one that was used longest ago."""
        self._open[segment.number] = segment
        self._open.move_to_end(segment.number)
        if len(self._open) > OPEN_SEGMENTS:
            self._open.popitem(last=False)[1].close()

    def value(self, number: int, kind: str, block: int) -> bytes:
        key = number, kind, block
        body = self._values.get(key)
        if body is None:
            segment = self.segments[number]
            body = segment.value(kind, block)
            self.touch(segment)
            self._values[key] = body
            if len(self._values) > CACHED_VALUES:
                self._values.popitem(last=False)
        else:
            self._values.move_to_end(key)
        return body

    def mails(self, page: Page) -> list[Mail]:
        """The mail of a page, read or not.  The list is the cache's own: do not change it."""
        key = page.segment, page.block, page.offset
        mails = self._pages.get(key)
        if mails is None:
            try:
                mails = self._pages[key] = self._read(page)
            except Damaged:
                self.damaged.add(page.segment)
                raise
            if len(self._pages) > CACHED_PAGES:
                self._pages.popitem(last=False)
        else:
            self._pages.move_to_end(key)
        return mails

    def mails_for(self, user: User, page: Page) -> list[Mail]:
        """The same; none if the disk does not give it back.  It is not tried again before the next start: what a reader
        did not see may not be taken for what it saw."""
        if page.damaged:
            return []
        try:
            return self.mails(page)
        except Damaged as error:
            page.damaged = True
            self.notes.append(f"{self.segments[page.segment].path}: {page.left} messages for {user.name}, ids "
                              f"{page.first} to {page.last}, cannot be read: {error.what}; they stay there, and are "
                              "tried again at the next start; --check-store, --salvage DIR")
            return []

    def _read(self, page: Page) -> list[Mail]:
        data, number = self.value(page.segment, "mail", page.block), page.segment
        end = page.offset + PAGE.size + page.entries * ENTRY.size
        if end > len(data) or PAGE.unpack_from(data, page.offset)[1] != page.entries:
            raise Damaged(self.segments[number].path, 0, f"mail {page.block} does not hold the page of the index")
        mails: list[Mail] = []
        new = tuple.__new__
        with memoryview(data)[page.offset + PAGE.size:end] as entries:
            for id, time, sender, origin, flags, count, shared, start, length in ENTRY.iter_unpack(entries):
                body = self.value(number, "shared", shared)[start:start + length] if shared \
                    else data[end + start:end + start + length]
                mails.append(new(Mail, (id, id + count_of(body) - 1, time, sender, origin, flags, count, body, WHOLE)))
        if messages(mails) != page.count:
            raise Damaged(self.segments[number].path, 0, f"mail {page.block} has not as many messages as its index")
        return mails
