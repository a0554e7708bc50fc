"""What is kept in memory for one name: who it is, what waits for it, what it has read.

Read state is a watermark (every id up to it is read) and a short sorted list of ranges read above it.  Ranges arise
when live mail is confirmed while older mail still waits.  A gap between two of them that holds no unread mail of this
user is closed at once, so in practice there is one, or none.

`origins` says which of a sender's own messages were put, for each instance of his client, as ranges of its counter;
again there is mostly one.  What was refused is not in them, so that sending it again is no repetition, also when later
ones were put.  Of more than RUNS_MAX ranges the lowest become one, from counter 0 on, of which it is not known any more
what was put and what was refused: nothing in it is ever put again.  (0 is no client's counter, parley-wire(7).)

`settings` is what the house keeps about a user, by kind: bytes, which the store does not look into.
`set_at` says which seq set each, also those that were removed: of two the higher seq wins, whatever the order in which
they are heard of.  Both are replaced and never changed, so that a million users without any share two empty ones.

Waiting mail is `pages` (in segments, known by place and count) and then `tail` (held by the journals, whole, in
memory), both in the order of ids; no id of the tail is below one of the pages, and no two pages overlap.

Bad at: a client that confirms every other message of a long queue makes as many ranges as it has messages left, and no
more than may wait for one name (quota.py).  Nothing looks at all of them in one go but a start, once, and what copies
the list.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter, itemgetter

from store.mail import Mail, between, place_of

Range = tuple[int, int]

INSTANCES = 8  # client instances remembered per sender: more than anybody runs at once, and 128 bytes on disk
RUNS_MAX = 64  # ranges remembered per instance: 1 KB on disk, and more refusals among sends than anybody has on the way
SETTING_MAX = 4096  # bytes of one setting: room for a thousand user numbers; kinds times this is what a user costs
NONE: Mapping[int, int] = {}
NOTHING: Mapping[int, bytes] = {}
NUMBER, LOW = 32, 0xFFFFFFFF  # an origin is the client's instance << 32 | its own counter


class Page:
    """Where a part of a user's sealed mail lies.  `left` of its `count` messages are unread, in `entries` runs.
    `size`: about how many bytes of text.  `damaged`: the disk did not give it back since the start."""

    __slots__ = ("block", "count", "damaged", "entries", "first", "last", "left", "offset", "segment", "size")

    def __init__(self, segment: int, block: int, offset: int, entries: int, count: int, first: int, last: int,
                 size: int = 0) -> None:
        self.segment, self.block, self.offset, self.entries = segment, block, offset, entries
        self.count, self.first, self.last = count, first, last
        self.left = count
        self.size = size
        self.damaged = False


# What a user begins with; these are everybody's, and who has anything is given his own.
NO_MAIL: list[Mail] = []
NO_PAGES: list[Page] = []
NO_RANGES: list[Range] = []
NO_ORIGINS: dict[int, tuple[Range, ...]] = {}
BY_FIRST = attrgetter("first")
BY_LAST = attrgetter("last")
BY_END = itemgetter(1)  # of a range
Load = Callable[[Page], list[Mail]]


class User:
    """A name and its queue: `waiting` unread messages, the older ones in `pages`, the others in `tail`.  These are
    found again at start; all else is durable by itself."""

    __slots__ = ("first_seen", "last_seen", "name", "number", "origins", "pages", "ranges", "set_at", "settings",
                 "tail", "waiting", "watermark")

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

    def __repr__(self) -> str:
        return f"<User {self.number} {self.name}: {self.waiting} waiting>"

    def queue(self, mail: Mail) -> None:
        """Behind all that waits."""
        if self.tail:
            self.tail.append(mail)
        else:
            self.tail = [mail]

    def file(self, page: Page) -> None:
        """One more page, in any order."""
        if self.pages:
            self.pages.append(page)
        else:
            self.pages = [page]

    @property
    def newest(self) -> int:
        """No id above this one waits; 0 when nothing does."""
        if self.tail:
            return self.tail[-1].last
        return self.pages[-1].last if self.pages else 0

    def is_read(self, id: int) -> bool:
        if id <= self.watermark:
            return True
        if not self.ranges:
            return False
        place = bisect_right(self.ranges, (id, 1 << 64)) - 1
        return place >= 0 and self.ranges[place][1] >= id

    def is_covered(self, first: int, last: int) -> bool | None:
        """True: everything from first to last is read.  False: nothing is.  None: some of it."""
        if last <= self.watermark:
            return True
        place = bisect_left(self.ranges, first, key=BY_END)
        if place == len(self.ranges) or self.ranges[place][0] > last:
            return False if first > self.watermark else None
        return True if self.ranges[place][0] <= first and self.ranges[place][1] >= last else None

    def mark(self, first: int, last: int) -> None:
        """Remember that these of a sender's own messages, of one instance, were put."""
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
        if len(origins) > INSTANCES:
            del origins[next(iter(origins))]

    def next_marked(self, origin: int) -> Range:
        """The first range of an instance's origins, from this one on, that were put; beyond the instance if none."""
        counter = origin & LOW
        for first, last in self.origins.get(origin >> NUMBER, ()):
            if last >= counter:
                return origin - counter + max(first, counter), origin - counter + last
        return (origin | LOW) + 1, (origin | LOW) + 1

    def is_vague(self, origin: int) -> bool:
        """Whether it is one of those of which it is not known any more if they were put."""
        first, last = self.origins.get(origin >> NUMBER, ((1, 0),))[0]
        return not first and origin & LOW <= last

    def set(self, kind: int, seq: int, value: bytes) -> None:
        """Take in a setting, unless a later one is known; an empty value removes it."""
        if seq < self.set_at.get(kind, 0):
            return
        self.set_at = {**self.set_at, kind: seq}
        self.settings = {k: v for k, v in {**self.settings, kind: value}.items() if v}

    def merge(self, watermark: int, ranges: list[Range]) -> None:
        """Take in what records say is read: the higher watermark, the union of the ranges.  It unites all there are,
        so it is for the ranges of many records at once."""
        self.watermark = max(watermark, self.watermark)
        if not ranges and not self.ranges:
            return
        both, low = united(self.ranges + ranges), 0
        while low < len(both) and both[low][0] <= self.watermark + 1:
            self.watermark = max(self.watermark, both[low][1])
            low += 1
        self.ranges = both[low:]

    def waits_between(self, first: int, last: int, load: Load) -> bool:
        """Is there unread mail with first <= id <= last?"""
        if first > last:
            return False
        at = place_of(self.tail, first)
        if at < len(self.tail) and self.tail[at].id <= last:
            return True
        for page in self.overlapping(first, last):
            if first <= page.first and page.last <= last:
                return True
            if self.unread_of(between(load(page), first, last)) or page.damaged:
                return True
        return False

    def unread_of(self, mails: Sequence[Mail]) -> list[Mail]:
        """What of these is unread."""
        return list(self.each_unread(mails))

    def each_unread(self, mails: Sequence[Mail]) -> Iterator[Mail]:
        """The same one by one: of a run that was read here and there each part is made only when it is asked for."""
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

    def close_gaps(self, first: int, last: int, load: Load) -> Range:
        """Add a range just read; close what gaps beside it hold nothing unread.  The range as it then stands."""
        ranges = self.ranges
        low = bisect_left(ranges, (first, 0))
        while low and not self.waits_between(ranges[low - 1][1] + 1, first - 1, load):
            low -= 1
            first, last = ranges[low][0], max(last, ranges[low][1])
        high = low
        while high < len(ranges) and (ranges[high][1] <= last
                                      or not self.waits_between(last + 1, ranges[high][0] - 1, load)):
            first, last = min(first, ranges[high][0]), max(last, ranges[high][1])
            high += 1
        if not low and (first <= self.watermark or not self.waits_between(self.watermark + 1, first - 1, load)):
            self.watermark = max(last, self.watermark)
            del ranges[:high]
            return 0, self.watermark
        if ranges:
            ranges[low:high] = [(first, last)]
        else:
            self.ranges = [(first, last)]
        return first, last


def _bounded(runs: tuple[Range, ...]) -> tuple[Range, ...]:
    """No more than RUNS_MAX ranges; the lowest become one."""
    if len(runs) <= RUNS_MAX:
        return runs
    return (0, runs[-RUNS_MAX][1]), *runs[1 - RUNS_MAX:]


def united(ranges: list[Range]) -> list[Range]:
    """The same numbers as ranges that neither overlap nor touch, in order."""
    whole: list[Range] = []
    for first, last in sorted(ranges):
        if whole and first <= whole[-1][1] + 1:
            whole[-1] = whole[-1][0], max(last, whole[-1][1])
        else:
            whole.append((first, last))
    return whole
