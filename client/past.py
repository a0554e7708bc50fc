"""past: an archive read again: the last entries, a search upwards, and all of them in order.

Nothing is held in memory but what is asked for.  Reading upwards takes the file block by block; a
search looks at the bytes first, and takes apart only the lines that may hold the text: to search a
million entries in vain takes 0.7 s, and 0.1 s where all is ASCII; so it is a task that pauses after
each block.  The line that says that a
message was delivered stands below the message, so upwards it is met in time; from the top down,
ranges of ids are read before (delivered()), which are few, because ids ascend.

Failure: OSError.  Damaged lines are passed over.
"""
from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from typing import NamedTuple, TypeAlias, TypeVar, cast

from client import history
from client.history import DELIVERED, STORED, Record, Sent, Shown
from client.letters import U64_MAX, escape, lines_above, pieces, stamp, unescape
from wire import Mail

AROUND = 2                  # entries shown on each side of one that was found
SENT_BYTES = 1 << 20        # where own lines of a room are looked for: 10,000 lines, 3 ms
AROUND_BYTES = 64 * 1024    # where they are looked for, and whether the message was delivered

T = TypeVar("T")
Steps: TypeAlias = Generator[None, None, T]     # a task with pauses, some milliseconds apart
Ranges: TypeAlias = list[tuple[int, int]]


class Found(NamedTuple):
    """What a search found."""
    place: int              # of the line, for the next search
    record: Record
    around: list[Record]    # its neighbours, and it among them


def at_once(steps: Steps[T]) -> T:
    """What a task comes to, without pauses."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return cast(T, done.value)


def tail(fd: int, n: int, name: str = "") -> tuple[int, list[Record]]:
    """The last n messages and lines of chats, with this user or with anybody, oldest first; and the
    offset of the first."""
    return at_once(tailing(fd, n, name))


def tailing(fd: int, n: int, name: str = "", end: int | None = None
            ) -> Steps[tuple[int, list[Record]]]:
    """The same as steps of a task; `end`: of those above that offset."""
    found: list[Record] = []
    shown: list[Shown] = []
    size = os.fstat(fd).st_size
    above = size if end is None else min(end, size)
    for place, raw in lines_above(fd, above, name, pauses=True):
        if len(found) == n:
            break
        if not raw:
            yield None
            continue
        record = history.parse(raw)
        if isinstance(record, Shown):
            shown.append(record)
        elif isinstance(record, Record) and (not name or is_with(record, name)):
            found.append(_with_fate(record, shown))
            above = place
    return above, found[::-1]


def find(fd: int, text: str, above: int | None = None) -> Found | None:
    """The last entry that holds this text, in any case; `above`: above that offset."""
    return at_once(finding(fd, text, above))


def finding(fd: int, text: str, above: int | None = None) -> Steps[Found | None]:
    """The same as steps of a task."""
    size = os.fstat(fd).st_size
    wanted, needle = text.casefold(), escape(text).casefold()
    for place, raw in lines_above(fd, size if above is None else min(above, size), text,
                                  pauses=True):
        if not raw:
            yield None
        if not raw or needle not in _text(raw).casefold():         # but beside the text: `flags=`
            continue
        record = history.parse(raw)
        if isinstance(record, Record) and wanted in record.text.casefold():
            return Found(place, record, _around(fd, place, len(raw)))
    return None


def _text(raw: bytes) -> str:
    """The text of a line, as it stands there."""
    return raw[raw.find(b' text="') + 7:-1].decode(errors="replace")


def _around(fd: int, place: int, length: int) -> list[Record]:
    """The entry at this offset and those beside it, oldest first."""
    above = [record for record in map(history.parse, _few_above(fd, place))
             if isinstance(record, Record)][:AROUND][::-1]
    raw = os.pread(fd, length + AROUND_BYTES, place).split(b"\n")[:-1]
    parsed = [found for found in map(history.parse, raw) if found]
    below = [found for found in parsed if isinstance(found, Record)][:AROUND + 1]
    shown = [found for found in parsed if isinstance(found, Shown)]
    return [_with_fate(record, shown) for record in above + below]


def _few_above(fd: int, place: int) -> Iterator[bytes]:
    """The lines above an offset, as far as neighbours are looked for."""
    for at, raw in lines_above(fd, place):
        if place - at > AROUND_BYTES:
            return
        yield raw


def sent_lately(fd: int) -> set[int]:
    """The ids of the user's own messages in the last SENT_BYTES."""
    size = os.fstat(fd).st_size
    begin = max(0, size - SENT_BYTES)
    return set(map(int, re.findall(rb"Z sent=(\d{1,20}) ", os.pread(fd, size - begin, begin))))


def is_with(record: Record, name: str) -> bool:
    """Whether this user is its sender, one of its recipients, or in the chat; or whether it was
    written in this room."""
    if isinstance(record, Mail):
        names: tuple[str, ...] = (record.sender, *record.to)
    else:
        names = record.to if isinstance(record, Sent) else record.others
    return any(name.lower() == other.lower() for other in names)


def _with_fate(record: Record, shown: Iterable[Shown]) -> Record:
    """A message of the user's own, delivered if one of these lines says so."""
    if isinstance(record, Sent) and any(each.first <= record.id <= each.last for each in shown):
        return _delivered(record)
    return record


def _delivered(record: Sent) -> Sent:
    return record._replace(became=DELIVERED) if record.became == STORED else record


# ---- from the top down ----

PAUSE = 100                 # lines between two pauses: a millisecond, if all are taken apart
NEVER = b"@"                # above all times that a calendar has


class Wanted(NamedTuple):
    """Which entries are asked for."""
    name: str = ""                              # with this user
    pattern: re.Pattern[str] | None = None      # whose text has this
    since: bytes = b""                          # of this time or later, as letters.stamp() says it
    until: bytes = NEVER                        # and before this one


def select(fd: int, wanted: Wanted) -> Iterator[Record]:
    """These entries, the oldest first."""
    return filter(None, _selected(fd, wanted, delivered(fd)))


def between(fd: int, begin: int, end: int, n: int, name: str = "") -> Steps[list[Record]]:
    """The last n entries from `begin` on and before `end`, with this user or with anybody, as steps
    of a task."""
    wanted = Wanted(name, None, stamp(begin).encode(), stamp(end).encode())
    ranges = yield from _delivering(fd)
    kept = deque[Record](maxlen=n)
    for record in _selected(fd, wanted, ranges):
        if record is None:
            yield None
        else:
            kept.append(record)
    return [*kept]


def _selected(fd: int, wanted: Wanted, ranges: Ranges) -> Iterator[Record | None]:
    """The entries, and None for a pause after each PAUSE lines."""
    name = wanted.name.lower().encode()
    for _, data in pieces(fd, 0):
        for number, raw in enumerate(data.split(b"\n")):
            if number % PAUSE == 0:
                yield None
            if raw[:1].isdigit() and not wanted.since <= raw < wanted.until:
                continue
            if name and name not in raw.lower():
                continue
            if wanted.pattern and not _matches(raw, wanted.pattern):
                continue
            record = history.parse(raw)
            if isinstance(record, Record) and (not name or is_with(record, wanted.name)):
                if isinstance(record, Sent) and _is_shown(ranges, record.id):
                    record = _delivered(record)
                yield record


def _matches(raw: bytes, pattern: re.Pattern[str]) -> bool:
    """Whether the text of a line has this; most lines are not taken apart for it."""
    try:
        return pattern.search(unescape(_text(raw))) is not None
    except ValueError:
        return False                            # a damaged line


def delivered(fd: int) -> Ranges:
    """The ids of all messages that were shown to all their recipients: ranges in order."""
    return at_once(_delivering(fd))


def _delivering(fd: int) -> Steps[Ranges]:
    """The same as steps of a task."""
    ranges: Ranges = [(-2, -2)]
    for _, data in pieces(fd, 0):
        for number, line in enumerate(_holding_delivered(data)):
            if number % PAUSE == 0:
                yield None
            record = history.parse(line)
            if isinstance(record, Shown):
                first, last = ranges[-1]
                if record.first == last + 1:
                    ranges[-1] = first, record.last
                else:
                    ranges.append((record.first, record.last))
    return sorted(ranges)


def _holding_delivered(data: bytes) -> Iterator[bytes]:
    """The lines that may tell of a delivery, and an empty one before them."""
    yield b""
    at = 0
    while (at := data.find(b" delivered=", at)) >= 0:
        line, at = data.rfind(b"\n", 0, at) + 1, data.index(b"\n", at)
        yield data[line:at]


def _is_shown(ranges: Ranges, number: int) -> bool:
    first, last = ranges[bisect_right(ranges, (number, U64_MAX)) - 1]
    return first <= number <= last
