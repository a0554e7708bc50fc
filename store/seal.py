"""seal: moves what waits in the journals into a new segment, in small steps, during service.

It makes two passes over the users.  `write` copies: each user's unread mail up to `upto` (all of it
already durable in the journals that were rolled), the survivors of segments that are nearly read
(`carried`), and the records of all users.  The copy of a user is as old as the moment its slice was
written; the journals that stay hold what was read since.  When the manifest lists the new segment,
`switch` lets each user's memory point into it.  Between the two, and in either, a crash is
harmless: the store on disk is wholly the old one or wholly the new one.

Order: a page never spans one that stays where it is, so the pages of a user never overlap, whatever
their segments.

If a user reads part of a copied page before the switch, the unread messages of that page are
counted again, which means to read it.  That is done page by page, and pages that users read from
meanwhile are counted once more, until little is left for the switch.

Bad at: nothing is written for users without waiting mail, but both passes visit every name.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from store.census import Census
from store.disk import Disk
from store.mail import BY_ID, Mail, measure
from store.records import user_records
from store.segment import Segment
from store.shelf import Shelf
from store.user import BY_FIRST, BY_LAST, Page, Range, User
from store.writer import Writer

SLICE = 500  # users visited in one step: below a millisecond
MOVED = 4000  # runs let go in one step: the same
# Spans of what one user has read meanwhile.  With more the last one grows: then more pages are
# counted than need be.
SPANS = 64
# Times that a user's pages are counted, a page a step, before the switch: each is shorter than the
# last.
COUNTS = 8


class Seal:
    """One sealing, of the users there are when it begins.  `touched`: by number of the user, what
    was read while it runs, since the user's pages were counted."""

    def __init__(self, writer: Writer, shelf: Shelf, users: list[User], upto: int,
                 carried: frozenset[int], census: Census) -> None:
        self.census = census
        self.writer, self.shelf, self.users = writer, shelf, users
        self.upto, self.carried = upto, carried
        self.touched: dict[int, list[Range]] = {}
        self.names = len(users)
        self.records = 0  # bytes

    def read(self, user: User, first: int, last: int) -> None:
        """This user has read something with first <= id <= last."""
        spans = self.touched.setdefault(user.number, [])
        if len(spans) < SPANS:
            spans.append((first, last))
        else:
            spans[-1] = min(first, spans[-1][0]), max(last, spans[-1][1])

    def write(self) -> Iterator[object]:
        """The first pass, as steps of a task."""
        for number in range(self.names):
            user = self.users[number]
            if user.tail or user.pages:
                yield from self._mail(user)
            if not number % SLICE:
                yield None
        for number in range(self.names):
            for part in user_records(self.users[number]):
                self.records += len(part)
                yield from self.writer.record(part)
            if not number % SLICE:
                yield None
        yield from self.writer.finish()

    def _mail(self, user: User) -> Iterator[object]:
        """The user's mail that moves, in runs between the pages that stay."""
        tail = user.tail[:bisect_right(user.tail, self.upto, key=BY_ID)]
        run: list[Page] = []
        for page in list(user.pages):
            if page.segment in self.carried:
                run.append(page)
            elif run:
                yield from self.writer.add(user.number, self._survivors(user, run))
                run = []
        if run or tail:
            yield from self.writer.add(user.number, self._survivors(user, run, tail))

    def _survivors(self, user: User, pages: list[Page], tail: list[Mail] | None = None
                   ) -> Iterator[Mail]:
        for page in pages:
            mails = self.shelf.mails(page)
            self.census.count(user, [page])
            yield from user.unread_of(mails)
        yield from tail or ()

    def switch(self, disk: Disk, directory: str, store: bytes) -> Iterator[object]:
        """The second pass: let memory follow the manifest, which lists the new segment now."""
        segment = Segment(disk, directory, store, self.writer.listed, is_on_disk=True)
        segment.messages, segment.bytes = self.writer.messages, self.writer.bytes
        segment.own, segment.shared = self.writer.own, self.writer.shared
        self.shelf.add(segment)
        moved = 0
        for number in range(self.names):
            user = self.users[number]
            if number in self.writer.pages or (self.carried and user.pages):
                moved += len(user.tail)
                yield from self._counting(user)
                self._switch_user(user, segment)
            if not number % SLICE or moved > MOVED:
                moved = 0
                yield None

    def _touched(self, user: User) -> list[Page]:
        """The new pages in which something may have been read since they were counted."""
        spans = self.touched.pop(user.number, ())
        new = self.writer.pages.get(user.number, [])
        found: dict[int, Page] = {}
        for first, last in spans:
            low = bisect_left(new, first, key=BY_LAST)
            for place in range(low, bisect_right(new, last, lo=low, key=BY_FIRST)):
                found[place] = new[place]
        return list(found.values())

    def _counting(self, user: User) -> Iterator[object]:
        """Count what is unread in them; the user may read on meanwhile."""
        for _ in range(COUNTS):
            touched = self._touched(user)
            for page in touched:
                count_unread(user, page, self.shelf)
                yield None
            if not touched:
                break

    def _switch_user(self, user: User, segment: Segment) -> None:
        for page in self._touched(user):
            count_unread(user, page, self.shelf)
        new = [page for page in self.writer.pages.get(user.number, []) if page.unread]
        pages = [page for page in user.pages if page.segment not in self.carried] + new
        pages.sort(key=lambda page: page.first)
        user.pages = pages
        user.tail = user.tail[bisect_right(user.tail, self.upto, key=BY_ID):]
        for page in new:
            segment.keep(page)


def count_unread(user: User, page: Page, shelf: Shelf) -> int:
    """Set and return how many messages of a page are unread; the page is read only if that is
    needed.  If it cannot be read, all count, so that it stays where it is."""
    covered = user.is_covered(page.first, page.last)
    if covered is None:
        mails = shelf.mails_for(user, page)
        if page.damaged:
            page.unread = page.messages
        else:
            page.unread, page.own, page.shared = measure(user.unread_of(mails))
    else:
        page.unread = 0 if covered else page.messages
        if covered:
            page.own = page.shared = 0
    return page.unread
