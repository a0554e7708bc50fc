"""room: how much of the disk a seal takes, and what a full disk can win back.

The store takes mail only while the disk has room to seal all that the journals hold.  So on a disk
that this store has filled, sealing is always possible, and the room of what was read can be won
back, one segment at a time, whatever share of it was read.  If another program has taken that room
too, there is the reserve; after that nothing is possible until somebody frees some.

A seal writes what *waits*, not all that the journals hold, and the records of all users.
Bad at: exactness.  A seal that finds less room than was estimated fails, leaves nothing behind, and
is tried again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import NamedTuple

from net.bodies import COUNT, LENGTH, ONE
from store.mail import SHARED_AT
from store.segment import ENTRY, INDEX, PAGE, Segment
from store.user import User

# Bytes that a seal takes whatever it holds: a journal's header, two manifests, a backend's files.
BASE = 128 << 10
# Bytes on the disk for one byte of a segment, while it is written: there is a log beside it.
FACTOR = {"dbm.sqlite3": 2.25}
OTHERS = 1.25  # measured: 1.02 to 1.1; dbm.dumb pads values, dbm.gnu has buckets
USER_BYTES = 128  # what a user's records take in a segment, mostly; a seal measures it
# Journals are sealed when they hold this part of the file system, if that comes before SEAL_AT.
PART = 16
# What must be free before mail is taken again is so many times what must be free while it is:
# otherwise the store would flutter.
SLACK = 1.25
GAIN = 64 << 10  # bytes that sealing must win on a full disk: to win less would only wear the disk
STEP = 4000  # entries looked at in one step: below a millisecond
# On a full disk a segment of which a greater part waits is left alone: writing it again would win
# too little.
MOST_WAITS = 0.9
LITTLE_WAITS = 0.25  # a segment of which a smaller part waits is carried into the next


class Plan(NamedTuple):
    """How many journals, from the oldest on, and which segments go into the next segment; how many
    bytes that wins."""

    journals: int
    carried: frozenset[int]
    gain: int


class Disposal(NamedTuple):
    """What there is: bytes free; bytes of records of users; of each journal, oldest first, the
    bytes that it holds, and the bytes that wait in it; the segments."""

    free: int
    records: int
    held: list[int]
    waiting: list[int]
    segments: Mapping[int, Segment]
    small: int
    backend: str


def need(size: int, records: int, backend: str) -> int:
    """Bytes of the disk that a segment takes while it is written, with `size` bytes of mail and
    `records` bytes of records."""
    return int(BASE + FACTOR.get(backend, OTHERS) * (size + records))


def size_of_tails(users: Iterable[User], ends: Sequence[int]
                  ) -> Generator[object, None, list[int]]:
    """As steps of a task: the bytes that what waits in each journal will take in a segment.
    `ends`: the highest id of each."""
    sizes, steps, shared = [0] * len(ends), 0, set()
    for user in users:
        steps += 1 + len(user.tail)
        before = -1
        for mail in user.tail:
            at = bisect_left(ends, mail.id)
            if at == len(ends):
                break  # it, and what follows, was put since the first step
            sizes[at] += ENTRY.size + (PAGE.size + INDEX.size) * (at != before)
            before = at
            if mail.recipients < SHARED_AT or mail.id not in shared:
                sizes[at] += mail.amount[1] + COUNT.size + LENGTH * mail.messages
                if heading := mail.heading:
                    sizes[at] += ONE.size + len(heading)
            if mail.recipients >= SHARED_AT:
                shared.add(mail.id)
        if steps > STEP:
            steps = 0
            yield None
    return sizes


def share_that_waits(segment: Segment) -> float:
    return segment.waiting / max(1, segment.bytes)


def waste(segments: Iterable[Segment]) -> int:
    """How many more bytes of these segments are read than wait."""
    return sum([segment.bytes - 2 * segment.waiting for segment in segments])


def to_carry(segments: Sequence[Segment], small: int, spare: int, most: int) -> frozenset[int]:
    """The segments whose waiting mail goes into the next one: those that are small or nearly read,
    and those that are read most, until no more than `spare` bytes more are read than wait.  But
    for the first, no more than `most` bytes are copied."""
    found: list[int] = []
    copied, wasted = 0, waste(segments)
    for segment in sorted(segments, key=share_that_waits):
        is_small = segment.bytes < small
        if not is_small and wasted <= spare and share_that_waits(segment) >= LITTLE_WAITS:
            continue
        if found and copied + segment.waiting > most:
            continue
        found.append(segment.number)
        copied += segment.waiting
        wasted -= segment.bytes - segment.waiting
    return frozenset(found)


def plan(found: Disposal, journals: int) -> Plan | None:
    """The plan with so many journals, and with those segments that are read most, as far as there
    is room.  None: there is no room for the journals."""
    size = sum(found.waiting[:journals])
    if need(size, found.records, found.backend) > found.free:
        return None
    carried, gain = [], sum(found.held[:journals]) - size - found.records
    for segment in sorted(found.segments.values(), key=share_that_waits):
        waiting = segment.waiting
        if waiting > MOST_WAITS * segment.bytes and segment.bytes >= found.small:
            continue
        if need(size + waiting, found.records, found.backend) <= found.free:
            carried.append(segment.number)
            size += waiting
            gain += segment.bytes - waiting
    if carried and max(carried) == max(found.segments):
        gain += found.records  # the old ones go
    return Plan(journals, frozenset(carried), gain)


def plans(found: Disposal) -> list[Plan]:
    """All that there is room for, the best first; the last resort leaves the journals alone."""
    each = [plan(found, journals) for journals in range(len(found.held) + 1)]
    return sorted([plan for plan in each if plan],
                  key=lambda plan: (plan.gain, plan.journals), reverse=True)
