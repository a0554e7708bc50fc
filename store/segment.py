"""segment: mail at rest, in dbm files that are written once and never modified.

Promises
    What `Writer` (writer.py) finished without an error was synced, read back and found equal.
    What `Shelf` (shelf.py) hands out is what was written: every value of the dbm carries a checksum
    seeded with its store, segment and key.  A value that fails it is `Damaged`, and never served.
    Reading never writes.

How it works
    The backends of dbm (backends.py) differ in everything but the mapping of bytes to bytes, and
    that is all that is used.  There are few keys and large values (up to 64 KiB), because small
    ones cost dbm.sqlite3 a sync each, and dbm.dumb a line to parse at every open.  The keys are
    words, so that any dbm tool shows what is there:

        head            version u16 | index u32 | users u32 | mail u32 | shared u32 | messages u64
                        | bytes u64
                        (how many values of each kind; messages; bytes of pages and shared texts)
        index N         pages: user u32 | block u32 | offset u32 | entries u32 | messages u32
                        | first id u64 | last id u64, and so on
        users N         records of users, as in the journal (records.py)
        mail N          a block: pages of users, one after the other
        shared N        bodies of messages that went to many, one after the other

    Each value begins with a crc32.  A page is a part of one user's mail, in the order of ids; an
    entry is a run of messages (bodies.py), `id` and `origin` are of its first:

         0      4         8
        +------+---------+-----------------+--------+
        | user | entries | entries * entry | bodies |
        +------+---------+-----------------+--------+
        entry: id u64 | time u64 | sender u32 | origin u64 | flags u8 | recipients u32
               | shared u32 | start u32 | length u32

    `shared` is 0 for a body of the page itself, else the number of the value that holds it: a body
    that went to eight or more recipients is stored once.  With HEADING in its flags an entry's
    `length` bytes are a body and the heading of the messages (headings.py).  A start reads the
    index alone; a page is read when its mail is.

How it fails
    With Damaged where the files are not what the manifest lists, or a value is not what was
    written; with NoBackend where this Python cannot read them.

Bad at
    Files that a process killed in mid-write left behind: nothing looks at them; the next start
    removes them.  dbm.sqlite3 leaves an empty `-wal` and a `-shm` beside what it reads; the next
    start removes them too.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple
from zlib import crc32

from net.bodies import LENGTH
from store.backends import LARGEST, module, words
from store.disk import Damaged, Disk, OtherVersion
from store.mail import ENTRY_SIZE, SHARED_AT, Mail, measure
from store.user import Page

VERSION = 3
VERSIONS = (2, VERSION)  # that it reads; 2 has no headings
HEADING = 16  # a flag of an entry, which no message has

CRC = struct.Struct("!I")
HEAD = struct.Struct("!HIIIIQQ")
INDEX = struct.Struct("!IIIIIQQ")
PAGE = struct.Struct("!II")
ENTRY = struct.Struct("!QQIQBIIII")
assert (HEAD.size, INDEX.size, PAGE.size, ENTRY.size) == (34, 36, 8, ENTRY_SIZE)
KINDS = ("index", "users", "mail", "shared")  # of values, as the head counts them
ROOM = LARGEST - CRC.size  # bytes of a value behind its checksum
ENTRY_MAX = ROOM - PAGE.size - ENTRY.size  # the longest body that a page can hold


class Listed(NamedTuple):
    """A segment as the manifest lists it: its files and their sizes."""

    number: int
    backend: str
    files: dict[str, int]


def base_name(number: int) -> str:
    return f"segment.{number:08}"


def files_of(disk: Disk, directory: str, number: int) -> list[str]:
    """The names of a segment's files; how many there are depends on the backend."""
    base = base_name(number)
    return [name for name in disk.listdir(directory)
            if name == base or name.startswith((base + ".", base + "-"))]


def remove(disk: Disk, directory: str, number: int) -> None:
    for name in files_of(disk, directory, number):
        disk.unlink(os.path.join(directory, name))


def key_of(kind: str, number: int) -> bytes:
    return f"{kind} {number}".encode() if number else kind.encode()


def seed_of(store: bytes) -> int:
    """All that the checksums of values know of a store."""
    return crc32(store, 1)


def start_of(seed: int, segment: int, key: bytes) -> int:
    """What the checksum of a value starts from."""
    return crc32(b" %d %s" % (segment, key), seed)


def head_of(body: bytes, path: str) -> tuple[dict[str, int], int, int]:
    """What the head says: how many values of each kind, messages, bytes.  Raises Damaged."""
    version = int.from_bytes(body[:2], "big")
    if version not in VERSIONS:
        raise OtherVersion(path, version)
    if len(body) != HEAD.size:
        raise Damaged(path, 0, f"a head of {len(body)} bytes")
    _, *counts, messages, size = HEAD.unpack(body)
    return dict(zip(KINDS, counts, strict=True)), messages, size


class Segment:
    """A finished segment of `bytes` bytes with `messages` messages, of which `unread` are unread.
    `own`: bytes of its pages, `shared`: bytes of shared texts, each as often as a page refers to
    it; and what is unread of both.  `is_on_disk`: this process has synced it, or read it from the
    disk.  Without that
    what the page cache holds may never have reached the disk, and is not believed."""

    def __init__(self, disk: Disk, directory: str, store: bytes, listed: Listed, *,
                 is_on_disk: bool = False) -> None:
        self.disk, self.directory, self.seed, self.listed = disk, directory, seed_of(store), listed
        self.number, self.name = listed.number, base_name(listed.number)
        self.path = os.path.join(directory, self.name)
        self.messages = self.bytes = self.own = self.shared = 0
        self.unread = self.unread_own = self.unread_shared = 0
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
        except Exception as error:  # backends raise whatever they like over a foreign file
            raise self._damaged(b"head", words(error)) from error

    def _read_head(self) -> None:
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
        """A value, without its checksum.  Raises Damaged if that is wrong."""
        key = key_of(kind, number)
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

    def keep(self, page: Page) -> None:
        """What is unread of this page waits."""
        self.unread += page.unread
        self.unread_own += page.own
        self.unread_shared += page.shared

    def read(self, page: Page, mails: Sequence[Mail]) -> None:
        """These runs of a page, which were unread, are read."""
        number, own, shared = measure(mails)
        page.unread -= number
        self.unread -= number
        if not page.unread or own > page.own:
            own = page.own
        if not page.unread or shared > page.shared:
            shared = page.shared
        page.own -= own
        page.shared -= shared
        self.unread_own -= own
        self.unread_shared -= shared

    @property
    def waiting(self) -> int:
        """About how many of its bytes wait."""
        rest = max(0, self.bytes - self.own)  # shared values
        waiting = self.unread_own + rest * self.unread_shared // max(1, self.shared)
        return waiting * self.bytes // max(1, self.own + rest)

    def weigh(self, pages: Sequence[Page]) -> None:
        """These are all its pages, found in the index.  That does not tell which of their messages
        are shared: all count alike, as if these went to no more names than they must."""
        self.own = sum([page.own for page in pages])
        each = SHARED_AT * max(0, self.bytes - self.own) / max(1, self.messages)
        for page in pages:
            page.shared = int(each * page.messages)
            self.shared += page.shared

    def index(self) -> Iterator[tuple[int, Page]]:
        """Every page with its user's number.  They stand in the order of their places, so the next
        page's place tells the size of one."""
        before: tuple[int, Page] | None = None
        for body in self.values("index"):
            for user, block, offset, entries, number, first, last in INDEX.iter_unpack(body):
                if before:
                    yield before[0], _sized(before[1], offset if block == before[1].block else ROOM)
                before = user, Page(self.number, block, offset, entries, number, first, last)
        if before:
            yield before[0], _sized(before[1], ROOM)


def _sized(page: Page, end: int) -> Page:
    heads = PAGE.size + page.entries * (ENTRY.size + LENGTH) + page.messages * LENGTH
    page.own = end - page.offset
    page.size = max(0, page.own - heads)
    page.is_counted = False
    return page
