"""room: how much of the disk a seal takes, and what a full disk can win back.

Mail is taken only while the disk has room to seal all that the journals hold: so a disk that this store has filled is
one on which sealing is always possible, and what was read can be had back, one segment at a time, whatever share of it
was read.  Where another program has taken that room too, there is the reserve, and then nothing is possible until
somebody frees some.

What a seal writes is what *waits*, not what the journals hold, and the records of all users.  Bad at: exactness.
A seal that finds less room than was thought fails, leaves nothing behind, and is tried again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import NamedTuple

from net.bodies import COUNT, LENGTH
from store.segment import ENTRY, INDEX, PAGE, SHARED_AT, Segment
from store.user import User

BASE = 128 << 10  # bytes that a seal takes whatever it holds: a journal's header, two manifests, a backend's files
FACTOR = {"dbm.sqlite3": 2.25}  # bytes on the disk for one of a segment, while it is written: there is a log beside it
OTHERS = 1.25  # measured: 1.02 to 1.1; dbm.dumb pads values, dbm.gnu has buckets
USER_BYTES = 128  # what a user's records take in a segment, mostly; a seal measures it
PART = 16  # journals are sealed when they hold this part of the file system, if that comes before the usual amount
SLACK = 1.25  # what must be free before mail is taken again, of what must be free while it is: not to flutter
GAIN = 64 << 10  # bytes that sealing must win on a full disk: less, and it would only wear the disk
STEP = 4000  # entries looked at in one step: below a millisecond
MOST_WAITS = 0.9  # a segment of which a greater part waits is left alone: writing it again would win too little


class Plan(NamedTuple):
    """How many journals, from the oldest on, and which segments go into the next segment; how many bytes that wins."""

    journals: int
    carried: frozenset[int]
    gain: int


class Disposal(NamedTuple):
    """What there is: bytes free; of records of users; of each journal, and of what waits in it, oldest first."""

    free: int
    records: int
    held: list[int]
    waiting: list[int]
    segments: Mapping[int, Segment]
    small: int
    backend: str


def need(size: int, records: int, backend: str) -> int:
    """Bytes of the disk that a segment takes while it is written, with so many of mail and of records."""
    return int(BASE + FACTOR.get(backend, OTHERS) * (size + records))


def size_of_tails(users: Iterable[User], ends: Sequence[int]) -> Generator[object, None, list[int]]:
    """Bytes that what waits in each journal will take in a segment, in steps.  `ends`: the highest id of each."""
    sizes, steps, shared = [0] * len(ends), 0, set()
    for user in users:
        steps += 1 + len(user.tail)
        before = -1
        for mail in user.tail:
            at, number = bisect_left(ends, mail.id), mail.messages
            sizes[at] += ENTRY.size + (PAGE.size + INDEX.size) * (at != before)
            before = at
            if mail.recipients < SHARED_AT or mail.id not in shared:
                sizes[at] += mail.amount[1] + COUNT.size + LENGTH * number
            if mail.recipients >= SHARED_AT:
                shared.add(mail.id)
        if steps > STEP:
            steps = 0
            yield None
    return sizes


def survivors(segment: Segment) -> int:
    """About how many bytes of a segment wait."""
    return segment.bytes * segment.unread // max(1, segment.messages)


def plan(found: Disposal, journals: int) -> Plan | None:
    """With so many journals, and as much as there is room for of what is read most.  None: there is no room."""
    size = sum(found.waiting[:journals])
    if need(size, found.records, found.backend) > found.free:
        return None
    carried, gain = [], sum(found.held[:journals]) - size - found.records
    for segment in sorted(found.segments.values(), key=lambda segment: survivors(segment) / max(1, segment.bytes)):
        left = survivors(segment)
        if left > MOST_WAITS * segment.bytes and segment.bytes >= found.small:
            continue
        if need(size + left, found.records, found.backend) <= found.free:
            carried.append(segment.number)
            size += left
            gain += segment.bytes - left
    if carried and max(carried) == max(found.segments):
        gain += found.records  # the old ones go
    return Plan(journals, frozenset(carried), gain)


def plans(found: Disposal) -> list[Plan]:
    """All that there is room for, the best first; the last resort is to leave the journals alone."""
    each = [plan(found, journals) for journals in range(len(found.held) + 1)]
    return sorted([each for each in each if each], key=lambda plan: (plan.gain, plan.journals), reverse=True)
