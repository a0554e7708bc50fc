"""user: what is kept in memory for one name: who it is, what waits for it, what it has read.

Read state is a watermark (every id up to it is read) and a short sorted list of ranges read above
it.  Ranges arise when a client confirms live mail while older mail still waits.  A gap between two
ranges that holds no unread mail of this user is closed at once, so in practice there is one range,
or none.

`origins` says which of a sender's own messages were put, for each instance of the sender's client,
as ranges of its counter; again there is mostly one.  Refused messages are not in these ranges, so
sending one again is no repetition, even after later ones were put.  Above RUNS_MAX ranges the
lowest become one, from counter 0 on, for which the store no longer knows what was put and what was
refused: nothing in it is ever put again.  (0 is no client's counter, parley-wire(7).)

`settings` is what the house keeps about a user, by kind: bytes, which the store does not look into.
`set_at` says which seq set each one, removed ones included: of two the higher seq wins, whatever
the order in which they are heard of.  Both are replaced and never changed, so that a million users
without settings share two empty ones.

Waiting mail is `pages` (in segments, known by place and number of messages) and then `tail` (held
by the journals, whole, in memory), both in the order of ids; no id of the tail is below one of the
pages, and no two pages overlap.

Bad at: a client that confirms every other message of a long queue makes as many ranges as it leaves
messages, and no more than may wait for one name (quota.py).  Only a start, once, and whatever
copies the list look at all of them in one go.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter, itemgetter

from net.values import ERRANDS
from store.mail import BY_ID, Mail, between, messages, place_of

Range = tuple[int, int]

# Client instances remembered per sender: more than anybody runs at once, and 128 bytes on disk; and
# as many of errands, which are many and must not push the instance of a session out.
INSTANCES = 8
# Ranges remembered per instance: 1 KB on disk, and more refusals than one client has in flight.
RUNS_MAX = 64
# Bytes of one setting: room for a thousand user numbers; a user costs this for each kind.
SETTING_MAX = 4096
NONE: Mapping[int, int] = {}
NOTHING: Mapping[int, bytes] = {}
EVERY_BYTE = 1 << 62
NUMBER, LOW = 32, 0xFFFFFFFF  # an origin is the client's instance << 32 | its own counter


class Page:
    """Where a part of a user's sealed mail lies: `messages` messages, `unread` of them unread, in
    `entries` runs.  `size`: about how many bytes of text.  What waits of it: about `own` bytes of
    the page, and `shared` bytes of text in bodies that it shares with others.  `damaged`: since the
    start the disk has failed to give it back.  `is_counted`: its messages count for their senders
    (census.py)."""

    __slots__ = ("block", "damaged", "entries", "first", "is_counted", "last", "messages",
                 "offset", "own", "segment", "shared", "size", "unread")

    def __init__(self, segment: int, block: int, offset: int, entries: int, messages: int,
                 first: int, last: int, size: int = 0) -> None:
        self.segment, self.block, self.offset, self.entries = segment, block, offset, entries
        self.messages, self.first, self.last = messages, first, last
        self.unread = messages
        self.size = self.own = size
        self.shared = 0
        self.damaged = False
        self.is_counted = True


# What a user begins with.  All users share these; a user that has anything gets their own.
NO_MAIL: list[Mail] = []
NO_PAGES: list[Page] = []
NO_RANGES: list[Range] = []
NO_ORIGINS: dict[int, tuple[Range, ...]] = {}
BY_FIRST = attrgetter("first")
BY_LAST = attrgetter("last")
BY_END = itemgetter(1)  # of a range
Load = Callable[["User", Page], list[Mail]]


class User:
    """A name and its queue: `waiting` unread messages, the older ones in `pages`, the others in
    `tail`; `sent`: the weight of what this user has sent and others have not read (census.py).  A
    start finds these four again; all else is durable by itself."""

    __slots__ = ("first_seen", "last_seen", "name", "number", "origins", "pages", "ranges",
                 "sent", "set_at", "settings", "tail", "waiting", "watermark")

    def __init__(self, number: int, name: str, first_seen: int) -> None:
        self.number, self.name = number, name
        self.first_seen = self.last_seen = first_seen
        self.watermark = 0
        self.ranges = NO_RANGES
        self.origins = NO_ORIGINS  # instance: counters put; least recently used first
        self.settings = NOTHING  # kind: value, never empty
        self.set_at = NONE  # kind: the seq that set or removed it
        self.tail = NO_MAIL
        self.pages = NO_PAGES
        self.waiting = 0
        self.sent: float = 0

    def __repr__(self) -> str:
        return f"<User {self.number} {self.name}: {self.waiting} waiting>"

    def queue(self, mail: Mail) -> None:
        """Put mail behind all that waits."""
        if self.tail:
            self.tail.append(mail)
        else:
            self.tail = [mail]

    def take(self, first: int, last: int) -> list[Mail]:
        """Remove what has first <= id <= last from the tail; it is not marked as read yet."""
        tail = self.tail
        if not tail:
            return []
        if first <= tail[0].id and tail[-1].last <= last:
            self.tail = NO_MAIL
            return tail
        if first > last:
            return []
        low = place_of(tail, first)
        high = bisect_right(tail, last, lo=low, key=BY_ID)
        taken, rest = tail[low:high], []
        if taken:
            before, after = taken[0], taken[-1]
            if before.id < first:
                rest.append(before.part(before.id, first - 1))
            if after.last > last:
                rest.append(after.part(last + 1, after.last))
            tail[low:high] = rest
        return between(taken, first, last) if rest else taken

    def file(self, page: Page) -> None:
        """Add a page, in any order."""
        if self.pages:
            self.pages.append(page)
        else:
            self.pages = [page]

    @property
    def newest(self) -> int:
        """No message above this id waits; 0 if none waits at all."""
        if self.tail:
            return self.tail[-1].last
        return self.pages[-1].last if self.pages else 0

    @property
    def sealed(self) -> tuple[int, int]:
        """The highest id in the pages, 0 without any, and about how many unread bytes of text they
        hold: exact but for the last page of a block, which is taken as full."""
        return (self.pages[-1].last if self.pages else 0,
                sum([page.size * page.unread // page.messages for page in self.pages]))

    @property
    def unreadable(self) -> int:
        """How many of the waiting messages the disk did not give back."""
        return sum([page.unread for page in self.pages if page.damaged])

    def is_read(self, id: int) -> bool:
        if id <= self.watermark:
            return True
        if not self.ranges:
            return False
        place = bisect_right(self.ranges, (id, 1 << 64)) - 1
        return place >= 0 and self.ranges[place][1] >= id

    def is_covered(self, first: int, last: int) -> bool | None:
        """True: everything from first to last is read.  False: nothing is.  None: some of it is."""
        if last <= self.watermark:
            return True
        place = bisect_left(self.ranges, first, key=BY_END)
        if place == len(self.ranges) or self.ranges[place][0] > last:
            return False if first > self.watermark else None
        return True if self.ranges[place][0] <= first and self.ranges[place][1] >= last else None

    def mark(self, first: int, last: int) -> None:
        """Remember that these origins of the user, all of one instance, were put."""
        instance, low, high = first >> NUMBER, first & LOW, last & LOW
        origins = self.origins = self.origins or {}
        runs = origins.get(instance, ())
        if runs and len(origins) > 1:  # it becomes the most recent
            del origins[instance]
        if runs and runs[-1][1] == low - 1:
            origins[instance] = (*runs[:-1], (runs[-1][0], high))
        elif not runs or runs[-1][1] < low:
            origins[instance] = _bounded((*runs, (low, high)))
        else:
            origins[instance] = _bounded(tuple(united([*runs, (low, high)])))
        if not runs and len(origins) > INSTANCES:
            kind = [each for each in origins if (each >= ERRANDS) == (instance >= ERRANDS)]
            if len(kind) > INSTANCES:
                del origins[kind[0]]

    def next_marked(self, origin: int) -> Range:
        """The first range of origins, from this one on and in its instance, that were put; if none
        were, it begins beyond the instance."""
        counter = origin & LOW
        for first, last in self.origins.get(origin >> NUMBER, ()):
            if last >= counter:
                return origin - counter + max(first, counter), origin - counter + last
        return (origin | LOW) + 1, (origin | LOW) + 1

    def is_vague(self, origin: int) -> bool:
        """Whether the store no longer knows if this origin was put."""
        first, last = self.origins.get(origin >> NUMBER, ((1, 0),))[0]
        return not first and origin & LOW <= last

    def set(self, kind: int, seq: int, value: bytes) -> None:
        """Take in a setting, unless a later one is known.  An empty value removes it."""
        if seq < self.set_at.get(kind, 0):
            return
        self.set_at = {**self.set_at, kind: seq}
        self.settings = {k: v for k, v in {**self.settings, kind: value}.items() if v}

    def merge(self, watermark: int, ranges: list[Range]) -> None:
        """Take in what records say is read: the higher watermark, the union of the ranges.  Each
        call unites all ranges there are, so give it those of many records at once."""
        self.watermark = max(watermark, self.watermark)
        if not ranges and not self.ranges:
            return
        both, low = united(self.ranges + ranges), 0
        while low < len(both) and both[low][0] <= self.watermark + 1:
            self.watermark = max(self.watermark, both[low][1])
            low += 1
        self.ranges = both[low:]

    def waits_between(self, first: int, last: int, load: Load) -> bool:
        """Whether there is unread mail with first <= id <= last."""
        if first > last:
            return False
        at = place_of(self.tail, first)
        if at < len(self.tail) and self.tail[at].id <= last:
            return True
        for page in self.overlapping(first, last):
            if first <= page.first and page.last <= last:
                return True
            if self.unread_of(between(load(self, page), first, last)) or page.damaged:
                return True
        return False

    def waiting_above(self, id: int, unread: Callable[[User, int, int, int, int], list[Mail]]
                      ) -> int:
        """How many messages above this id wait.  `unread` is Store.unread: it looks into a page
        that lies on both sides of the id."""
        number = messages(between(self.tail, id + 1, self.newest))
        for page in self.pages:
            if page.first > id:
                number += page.unread
            elif page.last > id:
                number += messages(unread(self, id, page.last, page.unread, EVERY_BYTE))
        return number

    def unread_of(self, mails: Sequence[Mail]) -> list[Mail]:
        """The unread part of these."""
        return list(self.each_unread(mails))

    def each_unread(self, mails: Sequence[Mail]) -> Iterator[Mail]:
        """The same one by one: the parts of a run that was read here and there are made as they are
        asked for."""
        if mails and mails[0].id > self.watermark and not self.ranges:
            yield from mails
            return
        for mail in mails:
            start = max(mail.id, self.watermark + 1)
            for at in range(bisect_left(self.ranges, start, key=BY_END), len(self.ranges)):
                low, high = self.ranges[at]
                if low > mail.last:
                    break
                if low > start:
                    yield mail.part(start, low - 1)
                start = high + 1
            if start <= mail.last:
                yield mail.part(start, mail.last)

    def overlapping(self, first: int, last: int) -> list[Page]:
        """The pages that may hold mail with first <= id <= last."""
        low = bisect_left(self.pages, first, key=BY_LAST)
        return self.pages[low:bisect_right(self.pages, last, lo=low, key=BY_FIRST)]

    def mark_read(self, first: int, last: int, load: Load) -> Range | None:
        """Mark a range of ids as read, and close the gaps beside it that hold nothing unread.
        Returns the range as it then stands, None if the watermark covers it."""
        ranges = self.ranges
        if not ranges and not self.pages and (not self.tail or last < self.tail[0].id):
            if last > self.watermark:  # as nearly always: nothing waits before it
                self.watermark = last
            return None
        low = bisect_left(ranges, (first, 0))
        while low and not self.waits_between(ranges[low - 1][1] + 1, first - 1, load):
            low -= 1
            first, last = ranges[low][0], max(last, ranges[low][1])
        high = low
        while high < len(ranges) and (
                ranges[high][1] <= last
                or not self.waits_between(last + 1, ranges[high][0] - 1, load)):
            first, last = min(first, ranges[high][0]), max(last, ranges[high][1])
            high += 1
        if not low and (first <= self.watermark
                        or not self.waits_between(self.watermark + 1, first - 1, load)):
            self.watermark = max(last, self.watermark)
            del ranges[:high]
            return None
        if ranges:
            ranges[low:high] = [(first, last)]
        else:
            self.ranges = [(first, last)]
        return first, last


def _bounded(runs: tuple[Range, ...]) -> tuple[Range, ...]:
    """RUNS_MAX ranges at most; the lowest become one."""
    if len(runs) <= RUNS_MAX:
        return runs
    return (0, runs[-RUNS_MAX][1]), *runs[1 - RUNS_MAX:]


def united(ranges: list[Range]) -> list[Range]:
    """The same numbers, as ranges in order that neither overlap nor touch."""
    whole: list[Range] = []
    for first, last in sorted(ranges):
        if whole and first <= whole[-1][1] + 1:
            whole[-1] = whole[-1][0], max(last, whole[-1][1])
        else:
            whole.append((first, last))
    return whole
