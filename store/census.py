"""census: whose messages wait in all mailboxes, by sender, and how much one login may have waiting.

Promises: `User.sent` is the weight (mail.py) of what a user has sent and nobody has read yet; it is
derived from the queues alone, and no record holds it.  `share` bytes may wait of one login: a
quarter of what there is, which is what the store holds and what is free; so three others must help
it to fill the disk.  In the last tenth of that, or when sealing will need what is left, it is a
sixteenth of the tenth: the tenth is for those that have not filled the rest.
Works by adding what the mailbox puts, and subtracting what it reads.  A start finds pages in
segments, whose senders only their mail tells: to read all of it would be a long start.  They count
as soon as the mailbox reads them for whatever reason, and all of them after `begin`, as a task of
upkeep (upkeep.py).  The rules begin that when a login's messages become many; until then, or until
the share is reached, they need not know more: see `ask_above`.
Fails: a page that cannot be read counts for nobody.
Bad at: `sent` of messages to SHARED_AT names or more is a float; its error is far below a byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from store.mail import NO_TEXT, OWN, SHARED_AT, WHOLE, Mail, weight
from store.shelf import Shelf
from store.user import Page, User

NO_LIMIT = 1 << 62
PART = 4  # of what there is, for one login
LAST = 10  # the last part of it, for those that have little
LITTLE = 16  # the part of that for one of them
# So many times the room that sealing needs must be free: the others can still send then.
TIGHT = 1.5
EARLY = 16  # the part of its share that a login may put after a start before all is counted
CHUNK = 64  # pages counted in one task: a seal may be waiting


class Census:
    """What waits of each sender.  `is_whole`: no page is left to be counted; `is_news`: that came
    to be since the rules added up; `most`: bytes of one login that the operator allows;
    `is_tight`: little of the disk is free."""

    def __init__(self, users: list[User], shelf: Shelf) -> None:
        self.users, self.shelf = users, shelf
        self.most = self.share = self.ask_above = NO_LIMIT
        self.is_whole = not any(
            segment.unread for segment in shelf.segments.values())
        self.is_news = self.is_due = self.is_tight = False
        self._room = NO_LIMIT  # the share by the disk alone
        self._least = NO_LIMIT  # the smallest share of a single login by the operator's word
        self._at = 0  # the user whose pages are counted next
        for user in users:
            self.put(user.tail)

    # What waits

    def put(self, mails: Sequence[Mail]) -> None:
        """These runs wait, in one mailbox."""
        for mail in mails:
            self.users[mail.sender].sent += weight(mail)

    def take(self, mails: Sequence[Mail]) -> int:
        """They do not any more.  Returns how many messages they are."""
        users, taken = self.users, 0
        for mail in mails:
            id, last, _, sender, _, _, recipients, source, skip = mail
            messages = last - id + 1
            if skip == WHOLE and recipients < SHARED_AT:  # weight(), without a call: nearly all
                users[sender].sent -= OWN * messages + len(source) - NO_TEXT
            else:
                users[sender].sent -= weight(mail)
            taken += messages
        return taken

    def count(self, user: User, pages: Sequence[Page]) -> None:
        """Count the pages of a user that were not counted yet, before anything is read of them."""
        for page in pages if not self.is_whole else ():
            if not page.is_counted:
                page.is_counted = True
                self.put(user.unread_of(self.shelf.mails_for(user, page)))

    def begin(self) -> None:
        """Count all pages, in the background."""
        if not (self.is_whole or self.is_due):
            self.is_due = True
            self._limit()

    def counting(self) -> Iterator[object]:
        """As steps of a task: count some of them."""
        done = 0
        while self._at < len(self.users) and done < CHUNK:
            user = self.users[self._at]
            page = next((page for page in user.pages if not page.is_counted), None)
            if page is not None:
                self.count(user, [page])
                done += 1
                yield None
            else:
                self._at += 1
                if not self._at % CHUNK:
                    yield None
        if self._at >= len(self.users):
            self.is_due, self.is_whole, self.is_news = False, True, True
            self._limit()

    # How much may wait

    def added_up(self) -> None:
        """The rules have added up what waits of each login."""
        self.is_news = False
        self._limit()

    def allow(self, most: int, least: int = NO_LIMIT) -> None:
        """So many bytes of a login may wait, by the operator's word; 0: no limit.  `least`: the
        smallest number for a single login."""
        self.most, self._least = most or NO_LIMIT, least
        self._limit()

    def share_of(self, own: int | None) -> int:
        """What may wait of a login for which the operator has set this many bytes."""
        if own is None or own == NO_LIMIT:
            return self.share if own is None else NO_LIMIT
        return min(own, self._room)

    def look(self, free: int, held: int, needed: int) -> None:
        """So many bytes of the disk are free, the store holds so many, and sealing needs so
        many."""
        room = free + held
        self.is_tight = free < max(room // LAST, TIGHT * needed)
        self._room = room // LAST // LITTLE if self.is_tight else room // PART
        self._limit()

    def _limit(self) -> None:
        """`ask_above`: the rules ask whether a login is over its share when it may have this much
        waiting."""
        self.share = min(self.most, self._room) if self.most < NO_LIMIT else NO_LIMIT
        if self.share == NO_LIMIT or (self.is_whole and not self.is_news) or self.is_due:
            self.ask_above = self.share
        else:
            self.ask_above = 0 if self.is_news else self.share // EARLY
        self.ask_above = min(self.ask_above, self._least)
