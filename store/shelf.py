"""shelf: the segments that count, and the reading of them.

Promises: what it hands out is what was written; a page that the disk does not give back is passed
over, noted and counted as waiting, and never taken for read.
Works by keeping some dbm files open, and the values and pages that were read last in memory.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator

from net.bodies import count_of
from store.disk import Damaged
from store.headings import from_rest
from store.mail import HEADED, WHOLE, Mail, between, messages
from store.segment import ENTRY, HEADING, PAGE, Segment
from store.user import BY_FIRST, BY_LAST, Page, User

OPEN_SEGMENTS = 8  # dbm files held open for reading
CACHED_VALUES = 32  # values held in memory, 64 KiB each
CACHED_PAGES = 64  # pages held in memory as mail


class Shelf:
    """All segments that count, by number, with what was lately read of them.  `damaged`: those of
    which something could not be read; `notes`: lines for the operator about it."""

    def __init__(self, notes: list[str] | None = None) -> None:
        self.segments: dict[int, Segment] = {}
        self.damaged: set[int] = set()
        self.notes = [] if notes is None else notes
        self._open: OrderedDict[int, Segment] = OrderedDict()
        self._values: OrderedDict[tuple[int, str, int], bytes] = OrderedDict()
        self._pages: OrderedDict[tuple[int, int, int], list[Mail]] = OrderedDict()

    def add(self, segment: Segment) -> None:
        self.segments[segment.number] = segment

    def remove(self, number: int) -> None:
        self._open.pop(number, None)
        self.segments.pop(number).close()
        self._values = OrderedDict([row for row in self._values.items() if row[0][0] != number])
        self._pages = OrderedDict([row for row in self._pages.items() if row[0][0] != number])

    def close(self) -> None:
        for segment in self.segments.values():
            segment.close()
        self._open.clear()

    def touch(self, segment: Segment) -> None:
        """This one was used.  Of those open, close the one that was used longest ago."""
        self._open[segment.number] = segment
        self._open.move_to_end(segment.number)
        if len(self._open) > OPEN_SEGMENTS:
            self._open.popitem(last=False)[1].close()

    def value(self, number: int, kind: str, block: int) -> bytes:
        key = number, kind, block
        body = self._values.get(key)
        if body is None:
            segment = self.segments[number]
            body = segment.value(kind, block)
            self.touch(segment)
            self._values[key] = body
            if len(self._values) > CACHED_VALUES:
                self._values.popitem(last=False)
        else:
            self._values.move_to_end(key)
        return body

    def mails(self, page: Page) -> list[Mail]:
        """The mail of a page, read or not.  The list is the cache's own: do not change it."""
        key = page.segment, page.block, page.offset
        mails = self._pages.get(key)
        if mails is None:
            try:
                mails = self._pages[key] = self._read(page)
            except Damaged:
                self.damaged.add(page.segment)
                raise
            if len(self._pages) > CACHED_PAGES:
                self._pages.popitem(last=False)
        else:
            self._pages.move_to_end(key)
        return mails

    def mails_for(self, user: User, page: Page) -> list[Mail]:
        """The same; none if the disk does not give it back.  It is not tried again before the next
        start: a message that a reader did not see must not count as one that it saw."""
        if page.damaged:
            return []
        try:
            return self.mails(page)
        except Damaged as error:
            page.damaged = True
            self.notes.append(f"{self.segments[page.segment].path}: {page.unread} messages for "
                              f"{user.name}, ids {page.first} to {page.last}, cannot be read: "
                              f"{error.what}; they stay there, and are tried again at the next "
                              "start; --check-store, --salvage DIR")
            return []

    def each_unread(self, user: User, after: int, last: int) -> Iterator[Mail]:
        """All unread mail with after < id <= last, oldest first; a page is read when its turn
        comes."""
        for page in user.pages[bisect_right(user.pages, after, key=BY_LAST):]:
            yield from user.each_unread(between(self.mails_for(user, page), after + 1, page.last))
        yield from between(user.tail, after + 1, last)

    def take(self, user: User, first: int, last: int) -> list[list[Mail]]:
        """Remove all unread mail with first <= id <= last from a user's pages and tail.  It is not
        marked as read yet.

        A page that cannot be read was not shown, whatever stands before and behind it, and stays
        unread: the lists are what stands between such pages."""
        parts: list[list[Mail]] = [[]]
        low = bisect_left(user.pages, first, key=BY_LAST)
        high = bisect_right(user.pages, last, lo=low, key=BY_FIRST)
        for page in user.pages[low:high]:
            mails = user.unread_of(between(self.mails_for(user, page), first, last))
            self.segments[page.segment].read(page, mails)
            parts[-1] += mails
            if page.damaged:
                parts.append([])
        user.pages[low:high] = [page for page in user.pages[low:high] if page.unread]
        parts[-1] += user.take(first, last)
        return parts

    def _read(self, page: Page) -> list[Mail]:
        data, number = self.value(page.segment, "mail", page.block), page.segment
        end = page.offset + PAGE.size + page.entries * ENTRY.size
        if end > len(data) or PAGE.unpack_from(data, page.offset)[1] != page.entries:
            raise Damaged(self.segments[number].path, 0,
                          f"mail {page.block} does not hold the page of the index")
        mails: list[Mail] = []
        new = tuple.__new__
        with memoryview(data)[page.offset + PAGE.size:end] as entries:
            for (id, time, sender, origin, flags, recipients, shared, start, length
                 ) in ENTRY.iter_unpack(entries):
                body = self.value(number, "shared", shared)[start:start + length] if shared \
                    else data[end + start:end + start + length]
                skip = WHOLE
                if flags & HEADING:
                    body, skip, flags = from_rest(body), HEADED, flags ^ HEADING
                mails.append(new(Mail, (id, id + count_of(body) - 1, time, sender, origin, flags,
                                        recipients, body, skip)))
        if messages(mails) != page.messages:
            raise Damaged(self.segments[number].path, 0,
                          f"mail {page.block} has not as many messages as its index")
        return mails
