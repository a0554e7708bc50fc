"""index: which messages an archive may hold, and where in it each stands.

An index says "perhaps, look at these places".  Whether the message stands there, the archive itself
says (contents.py), so an index that is wrong never hides a message.  It is made from the archive,
and made again if it does not fit.

How: messages that were kept since the index was last written to its file are in a dictionary.  The
rest is in that file, sorted, so that with a million messages a start reads 100 KB, and a look-up
one block.  A sender's origins ascend, so most new messages are above all that is known of their
instance, and cost two look-ups in dictionaries.

The file: a head; blocks of ROWS rows, each with its checksum; the first row of each block; their
checksum.  A row is (crc32 of the sender's name, origin, place in the archive).  The index covers
the archive up to the offset `upto`.  Two checksums say which archive that is: one of its first
bytes, one of the bytes before `upto`.

Failure: Unusable, for a file that is not as it was written; OSError.

Bad at: large archives.  A file of a million rows is written anew, 20 MB and a fifth of a second,
whenever FOLD more messages were kept.
"""
from __future__ import annotations

import os
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeAlias
from zlib import crc32

FOLD = 1 << 14              # messages in memory, 5 MB; after a kill a start reads so many, 50 ms
PLACES_MAX = 4              # of one sender and origin, where a look-up looks: two instances may
                            # have the same number, three never
MAGIC, VERSION = b"parleyix", 1
HEAD = struct.Struct("!8sHQQII")        # magic, version, rows, upto, the archive's two checksums
ROW = struct.Struct("!IQQ")
CRC = struct.Struct("!I")
SIZE, ROWS = ROW.size, 204
BLOCK = CRC.size + ROWS * SIZE          # 4084 bytes
START = HEAD.size + CRC.size
TOP = 2**64 - 1
LOW = 0xFFFFFFFF                        # the counter in an origin; above it is the instance

Key: TypeAlias = tuple[str, int]        # sender and origin: the same for every copy of a message
Sign: TypeAlias = tuple[int, int]       # which archive it is


class Unusable(Exception):
    """The file is no index, or not as it was written."""


class Index:
    """The index of one archive.  `upto`: the offset up to which its file covers the archive."""

    def __init__(self) -> None:
        self.upto, self.sign = 0, (0, 0)
        self._fd, self._filed_rows, self._fence = -1, 0, b""
        self._recent: dict[Key, tuple[int, ...]] = {}       # the places of what is not in the file
        # The highest origin of each instance: in memory; and in the file, as far as looked up.
        self._tops: dict[tuple[str, int], int] = {}
        self._filed: dict[tuple[str, int], int] = {}

    @classmethod
    def load(cls, fd: int) -> Index:
        """From its file, which the index closes when it is closed.  Raises Unusable, OSError."""
        found = cls()
        head = os.pread(fd, START, 0)
        if len(head) < START or head[HEAD.size:] != CRC.pack(crc32(head[:HEAD.size])):
            raise Unusable("its head")
        magic, version, rows, upto, first, last = HEAD.unpack_from(head)
        if (magic, version) != (MAGIC, VERSION):
            raise Unusable("another version")
        blocks = -(-rows // ROWS)
        fence = os.pread(fd, blocks * SIZE + CRC.size, START + blocks * BLOCK)
        if fence[blocks * SIZE:] != CRC.pack(crc32(fence[:blocks * SIZE])):
            raise Unusable("its first rows")
        found.upto, found.sign = upto, (first, last)
        found._fd, found._filed_rows, found._fence = fd, rows, fence[:blocks * SIZE]
        return found

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @property
    def recent(self) -> int:
        """How many are in memory alone, and their instances."""
        return len(self._recent) + len(self._tops)

    def add(self, sender: str, origin: int, place: int) -> None:
        """The archive holds this message, at this place."""
        key, group = (sender, origin), (sender, origin >> 32)
        places = self._recent.get(key)
        if places is None:
            self._recent[key] = (place,)
        elif place not in places and len(places) < PLACES_MAX:
            self._recent[key] = (*places, place)
        if origin > self._tops.get(group, -1):
            self._tops[group] = origin

    def is_new(self, sender: str, origin: int) -> bool:
        """Whether it is above all that is known of its instance: nearly every message is.

        Raises Unusable, OSError."""
        group = sender, origin >> 32
        return (origin > self._tops.get(group, -1)
                and (not self._filed_rows or origin > self._top(group)))

    def places(self, sender: str, origin: int) -> Sequence[int]:
        """Where to look for it.  Raises Unusable, OSError."""
        filed = islice(self._filed_places(sender, origin), PLACES_MAX)
        return *self._recent.get((sender, origin), ()), *filed

    # ---- the file ----

    def _block(self, number: int) -> bytes:
        """The rows of a block."""
        size = SIZE * min(ROWS, self._filed_rows - number * ROWS)
        data = os.pread(self._fd, CRC.size + size, START + number * BLOCK)
        if len(data) != CRC.size + size or CRC.unpack_from(data)[0] != crc32(data[CRC.size:]):
            raise Unusable(f"block {number}")
        return data[CRC.size:]

    def _top(self, group: tuple[str, int]) -> int:
        """The highest origin of an instance in the file; -1 for none."""
        found = self._filed.get(group)
        if found is None:
            if len(self._filed) >= FOLD:
                self._filed.clear()
            found = self._filed[group] = self._look_up_top(*group)
        return found

    def _look_up_top(self, sender: str, instance: int) -> int:
        beyond = ROW.pack(_crc(sender), instance << 32 | LOW, TOP)
        number = bisect_right(_rows(self._fence), beyond) - 1
        if number < 0:
            return -1
        rows = _rows(self._block(number))
        row = ROW.unpack(rows[bisect_right(rows, beyond) - 1])
        return row[1] if (row[0], row[1] >> 32) == (_crc(sender), instance) else -1

    def _filed_places(self, sender: str, origin: int) -> Iterator[int]:
        low, high = ROW.pack(_crc(sender), origin, 0), ROW.pack(_crc(sender), origin, TOP)
        fence = _rows(self._fence)
        for number in range(max(0, bisect_left(fence, low) - 1), bisect_right(fence, high)):
            rows = _rows(self._block(number))
            for at in range(bisect_left(rows, low), bisect_right(rows, high)):
                yield ROW.unpack(rows[at])[2]

    def folded(self, upto: int, sign: Sign) -> Iterator[bytes]:
        """The bytes of a new file, with all that is in memory too.  Raises Unusable, OSError."""
        rows = sorted([ROW.pack(_crc(sender), origin, place)
                       for (sender, origin), places in self._recent.items() for place in places])
        head = HEAD.pack(MAGIC, VERSION, self._filed_rows + len(rows), upto, *sign)
        yield head + CRC.pack(crc32(head))
        fence = []
        for block in _blocks(self._merged(rows)):           # as they come: there may be millions
            yield CRC.pack(crc32(block)) + block + bytes(ROWS * SIZE - len(block))
            fence.append(block[:SIZE])
        firsts = b"".join(fence)
        yield firsts + CRC.pack(crc32(firsts))

    def _merged(self, rows: list[bytes]) -> Iterator[bytes]:
        """The sorted rows of the file with these among them.  A block stays as it is unless some
        rows belong into it."""
        at = 0
        for number in range(blocks := -(-self._filed_rows // ROWS)):
            old, begin = self._block(number), at
            after = self._fence[(number + 1) * SIZE:(number + 2) * SIZE]
            at = bisect_left(rows, after, lo=at) if number + 1 < blocks else len(rows)
            if at > begin:
                filed = [old[n:n + SIZE] for n in range(0, len(old), SIZE)]
                yield from sorted(filed + rows[begin:at])
            else:
                yield old
        yield from rows[at:]


def _blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, in pieces of ROWS rows; the last one may be shorter."""
    data = bytearray()
    for piece in pieces:
        data += piece
        if len(data) >= ROWS * SIZE:
            yield bytes(data[:ROWS * SIZE])
            del data[:ROWS * SIZE]
    if data:
        yield bytes(data)


class _rows(Sequence[bytes]):
    """Rows in one string of bytes, as a sequence for bisect."""
    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data) // SIZE

    def __getitem__(self, at: int) -> bytes:    # type: ignore[override]  # nobody needs slices
        return self.data[at * SIZE:at * SIZE + SIZE]


def _crc(sender: str) -> int:
    return crc32(sender.encode(errors="surrogatepass"))
