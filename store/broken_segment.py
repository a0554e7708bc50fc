"""broken_segment: what can be read of a segment that may be damaged, for --salvage.

A value counts if its checksum is right, whether the dbm library gives it or it stands in the bytes
of the files (carve.py).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from zlib import crc32

from net.bodies import count_of
from store.backends import module, words
from store.carve import agreed_start, carve
from store.disk import Disk, NoBackend
from store.findings import Findings
from store.headings import from_rest
from store.mail import HEADED, WHOLE, Mail, singles
from store.manifest import Manifest
from store.records import split
from store.segment import (
    CRC,
    ENTRY,
    HEADING,
    INDEX,
    KINDS,
    PAGE,
    Listed,
    base_name,
    files_of,
    head_of,
    seed_of,
    start_of,
)

# how a file of GNU dbm may begin
GNU = tuple(number.to_bytes(4, sys.byteorder)
            for number in (0x13579ACD, 0x13579ACE, 0x13579ACF, 0x13579AD0))


class BrokenSegment:
    """One segment: `values` has its valid values, by key, without their checksums."""

    def __init__(self, disk: Disk, directory: str, manifest: Manifest, listed: Listed,
                 findings: Findings) -> None:
        self.disk, self.directory, self.manifest = disk, directory, manifest
        self.listed, self.findings = listed, findings
        self.name, self.number = base_name(listed.number), listed.number
        self.backend = listed.backend
        self.values: dict[bytes, bytes] = {}

    def take(self) -> None:
        """Add its records of users and its mail to the findings."""
        self._read()
        for _, body in self._each("users"):
            self.findings.entries.extend(split(body))
        shared = dict(self._each("shared"))
        for number, body in self._each("mail"):
            lost = take_pages(body, shared, self.findings.mails)
            if lost:
                self.findings.lost(f"{self.name}: mail {number}: {lost} messages, or runs of them, "
                                   "left out: shared texts are damaged")

    def _read(self) -> None:
        files = self._files()
        self.backend = self.listed.backend or backend_of(files)
        raw = self._by_library()
        seed = self._seed(raw)
        for key, value in raw.items():
            if value[:CRC.size] == checksum(key, value[CRC.size:], seed, self.number):
                self.values[key] = value[CRC.size:]
        carved = carve(self.backend, files, lambda key: start_of(seed, self.number, key))
        self.values = carved | self.values
        if files:
            self._report_missing()
        else:
            self.findings.lost(f"{self.name}: left out: it is missing")

    def _files(self) -> dict[str, bytes]:
        """The bytes of its files, by name."""
        found = {}
        for name in sorted({*files_of(self.disk, self.directory, self.number), *self.listed.files}):
            path = os.path.join(self.directory, name)
            size = self.listed.files.get(name)
            try:
                found[name], bad = self.disk.read_around(path)
            except OSError as error:
                self.findings.say(f"{path}: {error.strerror or error}")
                continue
            if bad:
                self.findings.say(f"{path}: {bad} bytes cannot be read")
            if size is not None and len(found[name]) != size:
                self.findings.say(f"{path}: {len(found[name])} bytes, not the {size} that it had")
        return found

    def _by_library(self) -> dict[bytes, bytes]:
        """The values with their checksums as the dbm library gives them, right or wrong."""
        found: dict[bytes, bytes] = {}
        try:
            module(self.backend)
            path = os.path.join(self.directory, self.name)
            database = self.disk.database(self.backend, path, "r")
        except Exception as error:  # the libraries raise anything over a file that is not theirs
            self._complain("open it", str(error) if isinstance(error, NoBackend) else words(error))
            return found
        try:
            # dbm iterates by keys() only
            keys = [bytes(key) for key in database.keys()]  # noqa: SIM118
        except Exception as error:
            self._complain("list it", words(error))
            keys = []
        for key in keys:
            try:
                found[key] = bytes(database[key])
            except Exception as error:
                shown = key.decode("utf-8", "replace")
                self._complain(f"read the value {shown!r}", words(error))
        with suppress(Exception):
            database.close()
        return found

    def _complain(self, what: str, why: str) -> None:
        self.findings.say(f"{self.name}: {self.backend} cannot {what}: {why}")

    def _seed(self, raw: dict[bytes, bytes]) -> int:
        """What the checksums start from: the store's number or, if that is lost, what two values
        agree upon.

        A file that has changed places with another segment's is known by that segment's number."""
        values = [(key, value) for key, value in raw.items() if len(value) >= CRC.size]
        seed = seed_of(self.manifest.store)
        for number in [self.number, *(listed.number for listed in self.manifest.segments)]:
            if self.manifest.store and any(
                    value[:CRC.size] == checksum(key, value[CRC.size:], seed, number)
                    for key, value in values):
                if number != self.number:
                    self.findings.say(f"{self.name}: it is {base_name(number)}, in another's place")
                self.number = number
                return seed
        if not self.manifest.store or self.manifest.generation == 0:
            values.sort(key=lambda row: len(row[1]))
            found = agreed_start((b" %d %s" % (self.number, key), value) for key, value in values)
            return seed if found is None else found
        return seed

    def _report_missing(self) -> None:
        """Report each value that should be there and is not."""
        for kind, last in self._wanted().items():
            for number in set(range(1, last + 1)) - set(self._numbers(kind)):
                tell = self.findings.say if kind == "index" else self.findings.lost
                tell(f"{self.name}: left out: value '{kind} {number}' ({self.backend}) is damaged")

    def _wanted(self) -> dict[str, int]:
        """Of each kind of value, how many there were: from the head, or from the values found."""
        if b"head" in self.values:
            return head_of(self.values[b"head"], self.name)[0]
        self.findings.say(
            f"{self.name}: the value 'head' is lost: taking every value that is there")
        wanted = {kind: max(self._numbers(kind), default=0) for kind in KINDS}
        blocks = [block for _, body in self._each("index")
                  for _, block, *_ in INDEX.iter_unpack(body)]
        wanted["mail"] = max([wanted["mail"], *blocks])
        if not self.values or (not blocks and self._numbers("mail")):
            self.findings.lost(f"{self.name}: nothing says how much there was in it")
        return wanted

    def _numbers(self, kind: str) -> list[int]:
        return sorted(int(key.split()[1]) for key in self.values
                      if re.fullmatch(rb"%s [1-9]\d*" % kind.encode(), key))

    def _each(self, kind: str) -> Iterator[tuple[int, bytes]]:
        """The values of a kind, with their numbers."""
        for number in self._numbers(kind):
            yield number, self.values[b"%s %d" % (kind.encode(), number)]


def checksum(key: bytes, body: bytes, seed: int, segment: int) -> bytes:
    """The four bytes that stand in front of a value."""
    return CRC.pack(crc32(body, start_of(seed, segment, key)))


def backend_of(files: dict[str, bytes]) -> str:
    """Which library wrote these files: by their names, or by how they begin."""
    def some(*endings: str) -> bool:
        return any(name.endswith(endings) for name in files)
    if some(".dat", ".dir") and not some(".pag"):
        return "dbm.dumb"
    if some(".db", ".pag"):
        return "dbm.ndbm"
    if any(data[:4] in GNU for data in files.values()):
        return "dbm.gnu"
    return _by_pages(files.values())


def _by_pages(files: Iterable[bytes]) -> str:
    """The beginning is damaged: one of the two libraries that write a single file.

    SQLite's has the text of its table in it."""
    return "dbm.sqlite3" if any(b"CREATE TABLE" in data for data in files) else "dbm.gnu"


def take_pages(body: bytes, shared: dict[int, bytes], mails: dict[int, dict[int, Mail]]) -> int:
    """Add the messages of a mail value; returns how many of its entries have lost their texts."""
    offset, lost = 0, 0
    while offset < len(body):
        offset, missing = _take_page(body, offset, shared, mails)
        lost += missing
    return lost


def _take_page(body: bytes, offset: int, shared: dict[int, bytes],
               found: dict[int, dict[int, Mail]]) -> tuple[int, int]:
    """Where the next page begins, and how many entries of this one have lost their texts."""
    number, entries = PAGE.unpack_from(body, offset)
    end = offset + PAGE.size + entries * ENTRY.size
    mails, lost, size = found.setdefault(number, {}), 0, 0
    for id, time, sender, origin, flags, recipients, value, start, length in ENTRY.iter_unpack(
            body[offset + PAGE.size:end]):
        if value and value not in shared:
            lost += 1  # a run of messages, perhaps: how many they were stood in the body
            continue
        at = start if value else end + start
        texts = (shared[value] if value else body)[at:at + length]
        size += 0 if value else length
        last, skip = id + count_of(texts) - 1, WHOLE
        if flags & HEADING:
            texts, skip, flags = from_rest(texts), HEADED, flags ^ HEADING
        for mail in singles(Mail(id, last, time, sender, origin, flags, recipients, texts, skip)):
            mails[mail.id] = mail
    return end + size, lost
