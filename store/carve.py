"""carve: the values of a segment from the bytes of its files, without the library that wrote them.

Promises
    Every value that it returns has the right checksum, for its key, in this segment of this store.
How it works
    A value is four bytes of crc32 and then items that tell their own length (segment.py draws
    them).  So a value ends where the crc32 of all bytes so far equals the crc32 in front.  Where
    values may begin depends on the backend.  In dbm.gnu a value follows its key; in dbm.sqlite3
    too, once the pages of a cell are put together.  In dbm.dumb values begin at multiples of 512,
    and each line of the index that can be read says where one does.
How it fails
    It finds less.
Bad at
    dbm.ndbm, of which it knows nothing, and a value whose items are damaged.  A text that is made
    to look like a value is taken for one if it lies in a damaged value and has the checksum of a
    value that is missing.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from zlib import crc32

from net.bodies import COUNT, LENGTH, count_of, lengths_of
from store.journal import RECORD
from store.segment import CRC, ENTRY, HEAD, INDEX, PAGE, ROOM

KEY = re.compile(rb"head|(?:index|users|mail|shared) [1-9][0-9]{0,8}")
# a line of the index of dbm.dumb
LINE = re.compile(rb"'(%s)', \(([0-9]{1,12}), [0-9]+\)" % KEY.pattern)
DUMB_BLOCK = 512  # where dbm.dumb lets a value begin
PAGE_SIZES = range(9, 17)  # of dbm.sqlite3, as powers of two
LEAF = 13  # the type of a page of SQLite that holds rows; see its "Database File Format"
FULL = 0xFFFFFFFF

Start = Callable[[bytes], int]  # from a key to what the crc32 of its value starts from


def carve(backend: str, files: dict[str, bytes], start: Start) -> dict[bytes, bytes]:
    """By key, the values that can be found, without their checksums."""
    found: dict[bytes, bytes] = {}
    if backend == "dbm.dumb":
        _dumb(files, start, found)
    elif backend in ("dbm.gnu", "dbm.sqlite3"):
        for data in files.values():
            for piece in _rows(data) if backend == "dbm.sqlite3" else [data]:
                _behind_keys(piece, start, found)
    return found


def _behind_keys(data: bytes, start: Start, found: dict[bytes, bytes]) -> None:
    at = 0
    while match := KEY.search(data, at):
        at = match.end()
        # The checksum may begin with a digit, which then is no part of the key.
        for end in range(match.end(), match.start() + 3, -1):
            key = data[match.start():end]
            body = _value(data, end, key, start) if KEY.fullmatch(key) else None
            if body is not None:
                found.setdefault(key, body)
                at = end + CRC.size + len(body)  # nothing inside a value is a value
                break


def _value(data: bytes, at: int, key: bytes, start: Start) -> bytes | None:
    """The value of this key, if it begins here."""
    if at + CRC.size > len(data):
        return None
    wanted, crc, before = CRC.unpack_from(data, at)[0], start(key), at + CRC.size
    if wanted == crc:
        return b""
    for end in _ends(key.split()[0].decode(), data, before):
        if end > len(data) or end - at > ROOM + CRC.size:
            return None
        crc, before = crc32(data[before:end], crc), end
        if crc == wanted:
            return data[at + CRC.size:end]
    return None


def _ends(kind: str, data: bytes, at: int) -> Iterator[int]:
    """Where each of the items ends that begin here, one after the other."""
    try:
        while True:
            at = _ENDS[kind](data, at)
            yield at
    except (struct.error, IndexError):
        return


def _end_of_page(data: bytes, at: int) -> int:
    _, entries = PAGE.unpack_from(data, at)
    end = at + PAGE.size + entries * ENTRY.size
    if end > len(data):
        raise IndexError
    rows = ENTRY.iter_unpack(data[at + PAGE.size:end])
    return int(end + sum([length for *_, shared, _, length in rows if not shared]))


def _end_of_body(data: bytes, at: int) -> int:
    texts = count_of(data[at:at + COUNT.size])
    end = at + COUNT.size + LENGTH * texts
    return end + sum(lengths_of(data[at:end]))


_ENDS: dict[str, Callable[[bytes, int], int]] = {
    "head": lambda data, at: at + HEAD.size,
    "index": lambda data, at: at + INDEX.size,
    "users": lambda data, at: at + RECORD.size + int(RECORD.unpack_from(data, at)[0]),
    "mail": _end_of_page,
    "shared": _end_of_body,
}


def _dumb(files: dict[str, bytes], start: Start, found: dict[bytes, bytes]) -> None:
    """First the values that lines of the index name, then the others wherever one may begin."""
    index = b"".join(data for name, data in files.items() if name.endswith(".dir"))
    data = b"".join(data for name, data in files.items() if name.endswith(".dat"))
    taken: set[int] = set()
    for key, place in LINE.findall(index):
        body = _value(data, int(place), key, start)
        if body is not None:
            found[key] = body
            taken.update(range(int(place), int(place) + CRC.size + len(body), DUMB_BLOCK))
    places = [at for at in range(0, len(data), DUMB_BLOCK) if at not in taken]
    for key in _missing(found, len(places)):
        for at in places:
            body = _value(data, at, key, start)
            if body is not None:
                found[key] = body
                break


def _missing(found: dict[bytes, bytes], more: int) -> Iterator[bytes]:
    """Keys that may exist beside these; of each kind until one is not found."""
    if b"head" not in found:
        yield b"head"
    for kind in (b"index", b"users", b"mail", b"shared"):
        numbers = {int(key.split()[1]) for key in found if key.startswith(kind)}
        for number in range(1, max(numbers, default=0) + more + 1):
            key = b"%s %d" % (kind, number)
            if number in numbers:
                continue
            yield key
            if number > max(numbers, default=0) and key not in found:
                break


def _rows(data: bytes) -> Iterator[bytes]:
    """The rows of an SQLite database, each in one piece.

    The first page, which tells the size of a page, may be damaged: then it tries every size."""
    told = int.from_bytes(data[16:18], "big")
    likely = [told if told > 1 else 1 << 16, 4096, *(1 << power for power in PAGE_SIZES)]
    sizes = [size for size in likely if size >= 512 and len(data) % size == 0]
    for size in sizes[:1] if told in sizes and told == 4096 else dict.fromkeys(sizes):
        for page in range(0, len(data), size):
            yield from _cells(data, page, size)


def _cells(data: bytes, page: int, size: int) -> Iterator[bytes]:
    head = page if page else 100  # the file's own head stands before the first page's
    if data[head] != LEAF:
        return
    for number in range(min(int.from_bytes(data[head + 3:head + 5], "big"), size // 4)):
        at = int.from_bytes(data[head + 8 + 2 * number:head + 10 + 2 * number], "big")
        if 0 < at < size:
            length, at = _varint(data, page + at)
            _, at = _varint(data, at)
            yield _payload(data, at, length, size)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(9):
        byte = data[at + index] if at + index < len(data) else 0
        if index == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return value, at + index + 1


def _payload(data: bytes, at: int, length: int, size: int) -> bytes:
    """What a cell holds: its beginning stands in its page, the rest in a chain of other pages."""
    least = (size - 12) * 32 // 255 - 23
    local = least + (length - least) % (size - 4)
    if length <= size - 35:
        return data[at:at + length]
    local = local if local <= size - 35 else least
    parts, remaining = [data[at:at + local]], length - local
    next_page = int.from_bytes(data[at + local:at + local + 4], "big")
    while remaining > 0 and 0 < next_page <= len(data) // size and len(parts) * size < 4 * ROOM:
        place = (next_page - 1) * size
        parts.append(data[place + 4:place + 4 + min(remaining, size - 4)])
        remaining -= size - 4
        next_page = int.from_bytes(data[place:place + 4], "big")
    return b"".join(parts)


def agreed_start(values: Iterator[tuple[bytes, bytes]]) -> int | None:
    """What the checksums start from, before the key: the first on which two of these values agree.

    The values have their checksums in front."""
    counts: dict[int, int] = {}
    for key, value in values:
        crc = _before(_before(CRC.unpack_from(value)[0], value[CRC.size:]), key)
        counts[crc] = counts.get(crc, 0) + 1
        if counts[crc] > 1:
            return crc
    return None


def _table() -> list[int]:
    return [crc32(bytes([number]), FULL) ^ FULL for number in range(256)]


_TABLE = _table()
_BY_TOP = {entry >> 24: number for number, entry in enumerate(_TABLE)}


def _before(crc: int, data: bytes) -> int:
    """The crc32 that became this one over these bytes."""
    state = crc ^ FULL
    for byte in reversed(data):
        number = _BY_TOP[state >> 24]
        state = (state ^ _TABLE[number]) << 8 & FULL | number ^ byte
    return state ^ FULL
