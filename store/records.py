"""records: what a journal's records and a segment's records of users hold, and what they do.

    NAME      user u32 | time u64 | name
              a name is registered
    PUT       time u64 | sender u32 | origin u64 | flags u8 | named u32 |
              recipients u32 * named | body
              a run of messages (bodies.py), whose seqs are their ids; `origin` is that of the
              first; with the flag EVERYONE there is no list of recipients: they are all users
              numbered below `named` but the sender; with LISTED in its place there is one
    EXCEPT    time u64 | sender u32 | origin u64 | flags u8 | named u32 |
              omitted u32 | numbers u32 * omitted | body
              a PUT to all users numbered below `named` but the sender and these, such as rooms
    ADDRESSED a PUT of messages to a room; behind the body stands their heading (headings.py)
    READ      user u32 | watermark u64 | ranges u32 | ranges * (first u64 | last u64)
              what a user has read
    SEEN      user u32 | time u64
              a user was here last
    ORIGINS   user u32 | ranges * (first u64 | last u64)
              in segments only: the origins of many PUTs
    SETTING   user u32 | kind u8 | seq u64 | value
              in force from this seq on; an empty value removes the setting

Replaying a record twice changes nothing, and neither does replaying one whose later effects are
there already: a watermark only rises, ranges are united, and of two settings the one with the
higher seq holds.  That is why a SETTING carries its seq, in a journal too, and why one that was
removed stays in the segments, without a value.  The daemon writes a segment's records of users in
slices while it serves, so some of them hold effects of journals that are replayed after them.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence

from net.bodies import count_of, is_whole
from store.disk import Damaged
from store.headings import at_rest, from_rest, heading_of_names, is_room
from store.journal import RECORD
from store.mail import WHOLE, Mail, messages
from store.user import NO_MAIL, NUMBER, RUNS_MAX, SETTING_MAX, Range, User

NAME, PUT, READ, SEEN, ORIGINS, SETTING, ADDRESSED, EXCEPT = 1, 2, 3, 4, 5, 6, 7, 8
# A flag of a mail, as on the wire: it was written to every name but its sender's.  In a PUT: all of
# them got it.
EVERYONE = 2
LISTED = 8  # in a PUT, in place of EVERYONE: it went to some of them, who are listed
ALL_OR_SOME = EVERYONE | LISTED

NAME_HEAD = struct.Struct("!IQ")
EXCEPT_HEAD = struct.Struct("!I")
PUT_HEAD = struct.Struct("!QIQBI")
READ_HEAD = struct.Struct("!IQI")
RANGE = struct.Struct("!QQ")
SEEN_HEAD = struct.Struct("!IQ")
ORIGINS_HEAD = struct.Struct("!I")
SETTING_HEAD = struct.Struct("!IBQ")
assert (PUT_HEAD.size, SETTING_HEAD.size) == (25, 13)
assert NAME_HEAD.size == SEEN_HEAD.size == 12 and READ_HEAD.size == RANGE.size == 16
PUT_WHOLE = struct.Struct("!IBHQIQBI")  # a record's head and a PUT's, in one go: the hot path
PUT_ONE = struct.Struct("!QIQBII")  # a PUT's head and its only recipient
assert PUT_WHOLE.size == RECORD.size + PUT_HEAD.size and PUT_ONE.size == PUT_HEAD.size + 4
NEW = tuple.__new__  # half the time of Mail(...)
HEADINGS = 1024  # that a replay remembers: it makes each once
RANGES = 1024  # in one record of a segment, so that it fits a value; the next record goes on


def frame(type: int, payload: bytes) -> bytes:
    return RECORD.pack(len(payload), type, 1) + payload


def name_record(user: User) -> bytes:
    return frame(NAME, NAME_HEAD.pack(user.number, user.first_seen) + user.name.encode())


def put_record(time: int, sender: int, origin: int, flags: int, to: Sequence[User],
               everyone: int, body: bytes) -> tuple[bytes, bytes, bytes]:
    """The parts of a PUT.  `everyone` is the number of users that there are; EVERYONE needs it, and
    recipients in the order of their numbers."""
    if flags & EVERYONE and len(to) < everyone - 1:
        if 2 * len(to) > everyone:
            return _except_record(time, sender, origin, flags, to, everyone, body)
        flags ^= ALL_OR_SOME
    if flags & EVERYONE:
        named, numbers = everyone, b""
    else:
        named = len(to)
        numbers = struct.pack(f"!{named}I", *[user.number for user in to])
    size = PUT_HEAD.size + len(numbers) + len(body)
    head = PUT_WHOLE.pack(size, PUT, count_of(body), time, sender, origin, flags, named)
    return head, numbers, body


def _except_record(time: int, sender: int, origin: int, flags: int, to: Sequence[User],
                   everyone: int, body: bytes) -> tuple[bytes, bytes, bytes]:
    """The parts of an EXCEPT: a list of all but a few would have 400 KB for 100,000 names."""
    omitted = [number for number in missing_from(to, everyone) if number != sender]
    numbers = struct.pack(f"!{1 + len(omitted)}I", len(omitted), *omitted)
    size = PUT_HEAD.size + len(numbers) + len(body)
    head = PUT_WHOLE.pack(size, EXCEPT, count_of(body), time, sender, origin, flags, everyone)
    return head, numbers, body


def missing_from(users: Sequence[User], everyone: int) -> list[int]:
    """The numbers below `everyone` of whoever is not among these users, which are in order.  It
    looks at few of them, if few are missing."""
    found, at, number = list[int](), 0, 0
    while number < everyone:
        stop = users[at].number if at < len(users) else everyone
        found += range(number, stop)
        # from here on they follow each other, up to the next that is missing
        end = bisect_right(range(len(users)), stop - at, lo=at,
                           key=lambda place: users[place].number - place)
        at, number = end, stop + end - at
    return found


def addressed_record(mail: Mail, to: Sequence[User]) -> tuple[bytes, bytes, bytes]:
    """The parts of the record of messages with a heading.  Where it is the names of the recipients,
    their numbers tell it."""
    _, _, time, sender, origin, flags, named, body, _ = mail
    if not is_room(mail.heading):
        return put_record(time, sender, origin, flags, to, 0, body)
    numbers = struct.pack(f"!{named}I", *[user.number for user in to])
    rest = at_rest(body, mail.heading)
    size = PUT_HEAD.size + len(numbers) + len(rest)
    head = PUT_WHOLE.pack(size, ADDRESSED, count_of(body), time, sender, origin, flags, named)
    return head, numbers, rest


def read_record(user: User, ranges: list[Range]) -> bytes:
    above = [r for r in ranges if r[1] > user.watermark]
    if not above:
        return RECORD.pack(READ_HEAD.size, READ, 1) + READ_HEAD.pack(user.number, user.watermark, 0)
    return frame(READ, READ_HEAD.pack(user.number, user.watermark, len(above))
                 + b"".join([RANGE.pack(*r) for r in above]))


def seen_record(user: User) -> bytes:
    return frame(SEEN, SEEN_HEAD.pack(user.number, user.last_seen))


def origins_record(user: User) -> bytes:
    return frame(ORIGINS, ORIGINS_HEAD.pack(user.number)
                 + b"".join([RANGE.pack(instance << NUMBER | first, instance << NUMBER | last)
                             for instance, runs in user.origins.items() for first, last in runs]))


def setting_record(user: User, kind: int) -> bytes:
    head = SETTING_HEAD.pack(user.number, kind, user.set_at[kind])
    return frame(SETTING, head + user.settings.get(kind, b""))


def user_records(user: User) -> Iterator[bytes]:
    """All that is durable of a user, as records.

    The caller may take them one by one while the user goes on reading."""
    yield name_record(user)
    if user.last_seen != user.first_seen:
        yield seen_record(user)
    if user.watermark or user.ranges:
        ranges = user.ranges[:]
        for place in range(0, len(ranges) or 1, RANGES):
            yield read_record(user, ranges[place:place + RANGES])
    if user.origins:
        yield origins_record(user)
    for kind in list(user.set_at):
        yield setting_record(user, kind)


class Replay:
    """Builds the users and their waiting mail out of records: `apply` them all, then `finish`."""

    def __init__(self) -> None:
        self.users: list[User] = []
        self.last = 0
        # by number of the user: ranges read above the watermark, not united yet
        self._ranges: dict[int, list[Range]] = {}
        self._rows: dict[int, Callable[[int, bytes], None]] = {
            NAME: self._name, PUT: self._put_one, READ: self._read, SEEN: self._seen,
            ORIGINS: self._origins, SETTING: self._setting, ADDRESSED: self._addressed,
            EXCEPT: self._except}
        self._headings: dict[bytes, bytes] = {}  # by the recipients' numbers, as in a PUT

    def apply(self, entries: Iterable[tuple[int, int, bytes]], file: str) -> None:
        """Replay records.  A record that makes no sense is damage, though its checksum is right."""
        rows, seq = self._rows, 0
        try:
            for seq, type, payload in entries:
                rows[type](seq, payload)
        except (struct.error, IndexError, KeyError, ValueError) as error:
            raise Damaged(file, 0, f"record {seq} makes no sense ({error!r})") from error
        self.last = max(self.last, seq)

    def _name(self, seq: int, payload: bytes) -> None:
        number, time = NAME_HEAD.unpack_from(payload)
        name = payload[NAME_HEAD.size:].decode()
        if number == len(self.users):
            self.users.append(User(number, name, time))
        elif self.users[number].name != name:
            raise ValueError(f"user {number} is {self.users[number].name} and {name}")

    def _put(self, seq: int, payload: bytes) -> None:
        time, sender, origin, flags, named = PUT_HEAD.unpack_from(payload)
        users, start, heading = self.users, PUT_HEAD.size, b""
        if flags & EVERYONE:
            to = [user for user in users[:named] if user.number != sender]
        else:
            to = [users[number] for number in struct.unpack_from(f"!{named}I", payload, start)]
            start += 4 * named
            if flags & LISTED:
                flags ^= ALL_OR_SOME
            else:
                heading = self._heading(payload[PUT_HEAD.size:start], to)
        self._put_for(to, seq, (time, sender, origin, flags), payload[start:], heading)

    def _addressed(self, seq: int, payload: bytes) -> None:
        *head, named = PUT_HEAD.unpack_from(payload)
        numbers = struct.unpack_from(f"!{named}I", payload, PUT_HEAD.size)
        body = from_rest(payload[PUT_HEAD.size + 4 * named:])
        self._put_for([self.users[number] for number in numbers], seq, head, body, body.heading)

    def _except(self, seq: int, payload: bytes) -> None:
        time, sender, origin, flags, named = PUT_HEAD.unpack_from(payload)
        (count,) = EXCEPT_HEAD.unpack_from(payload, PUT_HEAD.size)
        start = PUT_HEAD.size + EXCEPT_HEAD.size
        omitted = {sender, *struct.unpack_from(f"!{count}I", payload, start)}
        to = [user for user in self.users[:named] if user.number not in omitted]
        self._put_for(to, seq, (time, sender, origin, flags), payload[start + 4 * count:], b"")

    def _put_for(self, to: Sequence[User], seq: int, head: Sequence[int], body: bytes,
                 heading: bytes) -> None:
        users, (time, sender, origin, flags) = self.users, head
        if not is_whole(body):
            raise ValueError("texts that are not as long as their head says")
        last = seq + count_of(body) - 1
        if origin:
            users[sender].mark(origin, origin + last - seq)
        elif sender >= len(users):
            raise IndexError(f"no user {sender}")
        mail: Mail = NEW(Mail, (seq, last, time, sender, origin, flags, len(to), body, WHOLE))
        if heading:
            mail = mail.headed(heading)
        for user in to:
            user.queue(mail)
        self.last = max(self.last, last)

    def _heading(self, numbers: bytes, to: Sequence[User]) -> bytes:
        """The heading of messages to these: all messages to the same share one."""
        heading = self._headings.get(numbers)
        if heading is None:
            if len(self._headings) == HEADINGS:
                self._headings.clear()
            heading = self._headings[numbers] = heading_of_names([user.name for user in to])
        return heading

    def _put_one(self, seq: int, payload: bytes) -> None:
        """One message to one recipient, as nearly all are: a start takes as long as these take."""
        if len(payload) <= PUT_ONE.size:
            return self._put(seq, payload)
        time, sender, origin, flags, named, number = PUT_ONE.unpack_from(payload)
        body = payload[PUT_ONE.size:]
        if (named != 1 or flags & ALL_OR_SOME or not origin or body[:2] != b"\0\1"
                or not is_whole(body)):
            return self._put(seq, payload)
        self.users[sender].mark(origin, origin)
        self.users[number].queue(NEW(Mail, (seq, seq, time, sender, origin, flags, 1, body, WHOLE)))
        return None

    def _read(self, seq: int, payload: bytes) -> None:
        number, watermark, some = READ_HEAD.unpack_from(payload)
        ranges = [RANGE.unpack_from(payload, READ_HEAD.size + RANGE.size * n) for n in range(some)]
        self.users[number].merge(watermark, [])
        if ranges:
            found = self._ranges.setdefault(number, [])
            for first, last in ranges:
                if found and found[-1][0] <= first <= found[-1][1] + 1:  # mostly, the range grows
                    found[-1] = found[-1][0], max(found[-1][1], last)
                else:
                    found.append((first, last))

    def _seen(self, seq: int, payload: bytes) -> None:
        number, time = SEEN_HEAD.unpack(payload)
        user = self.users[number]
        user.last_seen = max(user.last_seen, time)

    def _origins(self, seq: int, payload: bytes) -> None:
        (number,) = ORIGINS_HEAD.unpack_from(payload)
        lowest: dict[int, list[int]] = {}
        for first, last in RANGE.iter_unpack(payload[ORIGINS_HEAD.size:]):
            self.users[number].mark(first, last)
            lowest.setdefault(first >> NUMBER, []).append(last)
        for instance, lasts in lowest.items():
            # Before 0.2 no sign was left of the origins that were forgotten below these.
            if len(lasts) == RUNS_MAX:
                self.users[number].mark(instance << NUMBER, lasts[0])

    def _setting(self, seq: int, payload: bytes) -> None:
        number, kind, set_at = SETTING_HEAD.unpack_from(payload)
        value = payload[SETTING_HEAD.size:]
        if seq not in (0, set_at) or len(value) > SETTING_MAX:
            raise ValueError(f"setting {kind} of {len(value)} bytes, in force from {set_at}")
        self.users[number].set(kind, set_at, value)
        self.last = max(self.last, set_at)

    def finish(self) -> None:
        """Leave only unread mail in the tails.

        That is done once, at the end, so the order of the records does not matter.  Ranges are
        united here too: to do that for each record would take the square of their number."""
        for number, ranges in self._ranges.items():
            self.users[number].merge(0, ranges)
        self._ranges.clear()
        for user in self.users:
            tail = user.tail
            if not tail:
                continue
            if tail[-1].last <= user.watermark:
                user.tail = NO_MAIL
            elif tail[0].id <= user.watermark or user.ranges:
                user.tail = user.unread_of(tail)
            user.waiting = messages(user.tail)


def split(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The records of a segment's value, each as (0, type, payload)."""
    offset = 0
    while offset < len(data):
        length, type, _ = RECORD.unpack_from(data, offset)
        start = offset + RECORD.size
        offset = start + length
        yield 0, type, data[start:offset]
