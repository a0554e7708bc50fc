"""journal: an append-only file of checksummed batches, in which a torn end differs from damage.

Promises
    What `append` wrote and a sync covered, both without an error, `Scan` reads again after a kill
    and after a power cut, in order and byte for byte.  If a crash tore the end of a journal, the
    start cuts the tear off and says so.  If bytes that were once on the disk have changed, the
    start neither skips nor serves them: `Damaged` names the file and the offset.

How it works
    The unit on disk is the batch: all records of one turn of the daemon's loop.  One pwrite writes
    it.  A crash tears batches, not records, and one checksum for each batch is cheaper than one for
    each record.

     header   0       8     10               26       34       42       50      54
             +-------+-----+----------------+--------+--------+--------+-------+
             | magic | ver | store          | number | first  | mark   | crc32 |
             +-------+-----+----------------+--------+--------+--------+-------+
     batch    0       8        12      16       24        32     36
             +-------+--------+-------+--------+---------+------+--------------------------+
             | mark  | length | crc32 | seq    | settled | seqs | `length` bytes: records  |
             +-------+--------+-------+--------+---------+------+--------------------------+
     record   0        4      5      7
             +--------+------+------+-------------------+
             | length | type | seqs | `length` bytes    |
             +--------+------+------+-------------------+

    A record's seq is its batch's seq plus the `seqs` of the records before it.  Most records have
    one seq; a PUT has one for each message.  A batch's `seqs` is the sum of them.  Seqs only grow;
    a batch that the disk refused leaves a gap.
    `mark` is 8 random bytes, new for each file and never shown to anybody.  So no text that a
    client sends can pretend to be a batch, and a recycled file's old blocks are not taken for
    batches of the new one.  The CRC covers length and everything after the CRC itself.  It starts
    from a seed made of the mark: crc32(b"") is 0, and from a seed of zero a tail of zeros would be
    a valid empty batch.

    Torn or damaged?  `settled` is the highest seq that was known to be on disk when the batch was
    written.  Reading stops at the first offset where no valid batch stands.  If a valid batch
    further on says that the seqs of this place had been settled, the disk has lost bytes that it
    held: damage.  Otherwise only bytes that were never synced are missing: a torn tail.  A journal
    that another one follows must be valid up to exactly the size that the manifest lists.

    The journal extends its file with zeros ahead of the writing, by 256 KiB at first and by 1 MiB
    at a time later.  Nearly every fdatasync then changes no metadata and costs a third less.  A
    journal whose mail was sealed into a segment may be renamed to `journal.spare`.  The next
    journal is made of that file, and has its blocks already.

How it fails
    The journal continues a short write.  If a write fails, the journal cuts the file back to the
    last good offset and raises the OSError; the caller may try the next batch.  If that cut fails,
    or a sync does, the journal raises `Failed`: the state of the file is unknown, the daemon tries
    nothing again and stops, and the next start finds out what the disk holds.

Bad at
    Damage to a batch that no later batch calls settled: to the very last one, or to one of those
    written while one sync was under way.  If no other batch was written afterwards, such damage
    looks like a tear: the start cuts the batch off, with everything behind it, and says so.
    `settle` closes this window a moment after the last batch.
    Reading takes a whole file into memory.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Generator, Iterator
from typing import NamedTuple
from zlib import crc32

from store.disk import Damaged, Disk, Failed, OtherVersion

MAGIC = b"parleyJ\n"
VERSION = 2
FIRST_ROOM = 256 << 10  # bytes of zeros in a new journal: a start waits for them
ROOM = 1 << 20  # bytes of zeros added when those run out: rarely, and in a few milliseconds
SPARE = "journal.spare"

HEADER = struct.Struct("!8sH16sQQ8s")  # a CRC follows it
CRC = struct.Struct("!I")
BATCH = struct.Struct("!8sIIQQI")
RECORD = struct.Struct("!IBH")
HEADER_SIZE = HEADER.size + CRC.size
assert (HEADER_SIZE, BATCH.size, RECORD.size) == (54, 36, 7)
BLANK = bytes(BATCH.size)  # in place of a batch's head, the first of its parts, until it is known
LENGTH_AT, CRC_AT, BODY_AT = 8, 12, 16  # in a batch: offsets of length, crc, what the crc covers

Record = tuple[int, int, bytes]  # seq, type, payload


def file_name(number: int) -> str:
    return f"journal.{number:08}"


def _seed(mark: bytes) -> int:
    return crc32(mark) | 1


def _header(store: bytes, number: int, first: int, mark: bytes) -> bytes:
    head = HEADER.pack(MAGIC, VERSION, store, number, first, mark)
    return head + CRC.pack(crc32(head, 1))


class Journal:
    """The journal being written.

    The next batch goes to `offset`; the file has been extended to `size` bytes."""

    def __init__(self, disk: Disk, path: str, fd: int, number: int, first: int, mark: bytes,
                 size: int) -> None:
        self.disk, self.path, self.fd = disk, path, fd
        self.number, self.first, self.mark, self.seed = number, first, mark, _seed(mark)
        self.offset, self.size = HEADER_SIZE, size

    @classmethod
    def create(cls, disk: Disk, directory: str, store: bytes, number: int, first: int,
               room: int = FIRST_ROOM) -> Journal:
        """A new journal, made of the spare file if there is one.  The file and its name are on the
        disk; the journal counts once the manifest lists it."""
        return disk.at_once(cls.creating(disk, directory, store, number, first, room))

    @classmethod
    def creating(cls, disk: Disk, directory: str, store: bytes, number: int, first: int,
                 room: int = FIRST_ROOM) -> Generator[object, None, Journal]:
        """`create` as the steps of a task."""
        path, spare = os.path.join(directory, file_name(number)), os.path.join(directory, SPARE)
        mark = os.urandom(8)
        head = _header(store, number, first, mark)
        names = disk.listdir(directory)
        recycled = SPARE in names
        # An earlier try may have made this file, and failed to remove it; no manifest lists it.
        if file_name(number) in names:
            disk.unlink(path)
        fd = disk.open(spare) if recycled else disk.create(path)
        try:
            data = head if recycled else head + bytes(max(0, room - len(head)))
            done = _write(disk, fd, data, 0, len(head))  # on a full disk the header is enough
            size = disk.size(spare) if recycled else done
            yield from disk.syncing(fd)
            if recycled:
                disk.rename(spare, path)
            yield from disk.syncing_directory(directory)
        except OSError:
            disk.close(fd)
            is_renamed = file_name(number) in disk.listdir(directory)
            disk.unlink(spare if recycled and not is_renamed else path)
            raise
        return cls(disk, path, fd, number, first, mark, size)

    def append(self, parts: list[bytes], seq: int, settled: int, seqs: int,
               room: int = ROOM) -> None:
        """Write one batch: parts[0] is BLANK, the others are whole records.

        Raises OSError; then nothing of the batch is left in the file."""
        data = bytearray().join(parts)
        length = len(data) - BATCH.size
        BATCH.pack_into(data, 0, self.mark, length, 0, seq, settled, seqs)
        with memoryview(data) as view:
            crc = crc32(view[LENGTH_AT:CRC_AT], self.seed)
            CRC.pack_into(data, CRC_AT, crc32(view[BODY_AT:], crc))
        need, end = len(data), self.offset + len(data)
        if end > self.size and room:
            data += bytes(room)
        try:
            done = _write(self.disk, self.fd, data, self.offset, need)
        except OSError as error:
            self._cut_back(error)
            raise
        self.size = max(self.size, self.offset + done)
        self.offset = end

    def _cut_back(self, error: OSError) -> None:
        try:
            self.disk.truncate(self.fd, self.offset)
        except OSError as worse:
            raise Failed(f"{self.path}: write failed ({error}), and cutting it back failed "
                         f"({worse})") from worse
        self.size = self.offset

    def begin_sync(self) -> bool:
        """Begin a sync of all that was appended.  Returns whether the disk has it already.

        If this raises Failed, no method of the journal may be called again."""
        try:
            return self.disk.begin_datasync(self.number, self.fd)
        except OSError as error:
            raise self._not_synced(error) from error

    def sync_ended(self, wait: bool = False) -> bool:
        """Whether the disk has what had been appended when the sync began."""
        try:
            return self.disk.datasync_ended(wait)
        except OSError as error:
            raise self._not_synced(error) from error

    def _not_synced(self, error: OSError) -> Failed:
        return Failed(f"{self.path}: fdatasync failed ({error}); what the disk holds shows at the "
                      "next start")

    def settle(self, seq: int, settled: int) -> None:
        """Write an empty batch that says how far the disk is: damage to the batches up to there can
        no longer pass for a tear."""
        self.append([BLANK], seq, settled, 0, room=0)

    def finishing(self) -> Generator[object, None, int]:
        """Cut off the zeros that nothing was written over, and sync the file; returns its size.

        The steps of a task, during which nothing may be appended."""
        try:
            self.disk.truncate(self.fd, self.offset)
            yield from self.disk.syncing(self.fd)
        except OSError as error:
            raise Failed(f"{self.path}: {error}") from error
        self.size = self.offset
        return self.offset

    def close(self) -> None:
        self.disk.close(self.fd)


def _write(disk: Disk, fd: int, data: bytes | bytearray, offset: int, need: int = 0) -> int:
    """Write until the disk has taken at least `need` bytes (0: all); returns how many it took."""
    need, done = need or len(data), 0
    with memoryview(data) as view:
        while done < need:
            wrote = disk.write(fd, view[done:], offset + done)
            if wrote <= 0:
                raise OSError(f"a write of {len(data) - done} bytes took none")
            done += wrote
    return done


class Header(NamedTuple):
    store: bytes
    number: int
    first: int
    mark: bytes


class Batch(NamedTuple):
    """A valid batch: it starts at `offset`, and its records lie in data[start:end]."""

    offset: int
    start: int
    end: int
    seq: int
    settled: int
    seqs: int  # of its records together


def read_header(data: bytes, name: str) -> Header:
    if len(data) < HEADER_SIZE:
        raise Damaged(name, len(data), "too short for a journal")
    magic, version, store, number, first, mark = HEADER.unpack_from(data)
    if crc32(data[:HEADER.size], 1) != CRC.unpack_from(data, HEADER.size)[0] or magic != MAGIC:
        raise Damaged(name, 0, "not a journal's header")
    if version != VERSION:
        raise OtherVersion(name, version)
    return Header(store, number, first, mark)


def batch_at(data: bytes, offset: int, mark: bytes) -> Batch | None:
    """The valid batch that starts at this offset, if there is one."""
    if data[offset:offset + len(mark)] != mark or len(data) - offset < BATCH.size:
        return None
    _, length, crc, seq, settled, seqs = BATCH.unpack_from(data, offset)
    start = offset + BATCH.size
    if length > len(data) - start:
        return None
    with memoryview(data) as view:
        found = crc32(view[offset + LENGTH_AT:offset + CRC_AT], _seed(mark))
        found = crc32(view[offset + BODY_AT:start + length], found)
    return Batch(offset, start, start + length, seq, settled, seqs) if found == crc else None


def batches(data: bytes, header: Header) -> Iterator[Batch]:
    """The valid batches from the start on; ends at the first place where none stands."""
    offset, after = HEADER_SIZE, header.first - 1
    while (batch := batch_at(data, offset, header.mark)) and batch.seq > after:
        yield batch
        offset, after = batch.end, max(after, batch.seq + batch.seqs - 1)


def later_batches(data: bytes, header: Header, offset: int) -> Iterator[Batch]:
    """The valid batches after a place where none stands."""
    while (offset := data.find(header.mark, offset)) >= 0:
        batch = batch_at(data, offset, header.mark)
        if batch:
            yield batch
        offset = batch.end if batch else offset + 1


def records(data: bytes, batch: Batch, name: str) -> Iterator[Record]:
    """The records of a batch."""
    offset, seq, end = batch.start, batch.seq, batch.end
    unpack, head = RECORD.unpack_from, RECORD.size
    last = seq + batch.seqs
    while offset + head <= end and seq < last:
        length, type, seqs = unpack(data, offset)
        start = offset + head
        offset = start + length
        yield seq, type, data[start:offset]
        seq += seqs
    if offset != end or seq != last:
        raise Damaged(name, batch.offset, "the records do not fill their batch")


class Tail(NamedTuple):
    """Where a journal ends.

    `torn`: at `end`, or behind it, are parts of batches that were never synced as a whole.  `last`:
    the highest seq in the journal, 0 if it has none."""

    end: int
    last: int
    torn: bool


class Scan:
    """Reads one journal: iterate over its records; after that, `tail` says where it ends.

    `size` is the size that the manifest lists, None for the last journal.  Raises Damaged for
    whatever can't be a torn tail."""

    def __init__(self, data: bytes, name: str, store: bytes, number: int,
                 size: int | None) -> None:
        self.data, self.name, self.size = data, name, size
        self.header = read_header(data, name)
        if (self.header.store, self.header.number) != (store, number):
            raise Damaged(name, 10, "the journal of another store or number")
        if size is not None and len(data) != size:
            raise Damaged(name, min(len(data), size),
                          f"{len(data)} bytes, not the {size} that it had")
        self.tail = Tail(HEADER_SIZE, 0, False)

    def batches(self) -> Iterator[Batch]:
        end, last = HEADER_SIZE, 0
        for batch in batches(self.data, self.header):
            yield batch
            end, last = batch.end, max(last, batch.seq + batch.seqs - 1)
        self.tail = self._judge(end, last or self.header.first - 1)
        if not last:
            self.tail = self.tail._replace(last=0)

    def __iter__(self) -> Iterator[Record]:
        for batch in self.batches():
            yield from records(self.data, batch, self.name)

    def _judge(self, end: int, last: int) -> Tail:
        """No valid batch stands at `end`: decide whether the journal ends there, is torn or is
        damaged."""
        if self.size is not None and end != self.size:
            raise Damaged(self.name, end)
        torn = self.data.startswith(self.header.mark, end)
        for batch in later_batches(self.data, self.header, end):
            # At `end` a valid batch can stand only if its seq goes back.
            if batch.settled > last or batch.offset == end:
                raise Damaged(self.name, end)
            torn = True
        return Tail(end, last, torn)
