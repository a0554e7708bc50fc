"""quota: what one sender may put into other users' mailboxes, and send to all.

Quotas bound what waits in one mailbox, in messages and in bytes of text, and how much of it comes
from one sender, so that nobody can fill the disk, nor one mailbox against everybody else.  A
message that does not fit is refused, "mailbox full", before anything is stored; nothing that was
stored is ever dropped.

What it costs.  For each sender and its recipients, Accounts is asked how many more messages, of
whatever length, their mailboxes surely have room for (audience.py).  Until that many were put, by
anybody to anybody, it is not asked again.  A mailbox in which fewer than `free` messages wait can't
be over any of the limits.  Only a fuller one has an `Account`: how many bytes wait, and how much of
it is whose, kept by adding and subtracting.  To open an account is to look through the mail of the
journals, which is in memory.  It is closed when half has been read: so an account is opened at most
once for each `low` messages.

What it does not know.  Messages that lay in segments when the account was opened, after a restart
or because they were moved there while the mailbox was short, count for the mailbox but for no
sender: to know their senders would be to read them.  So one sender can have up to twice its share,
and more after a restart; never more than the mailbox may hold.  The bytes of such messages come
from the index of their segment: exact, but for the last page of a block, which is taken as full.

Messages to all names have a rate of their own, because they are what one user does to all: a bucket
of ALL_BURST for each sender, by name, so that coming back does not fill it again; and one for each
host or login, so that coming back under other names does not either.  Invitations have a rate too
(invitations.py).
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import wire
from rules.buckets import Buckets
from store.mail import Mail
from store.user import User

MAILBOX_MESSAGES = 1_000_000    # more than anybody reads; a start with them takes a second
MAILBOX_BYTES = 512 << 20       # of text: what one name may take of a disk that others need
SENDER_MESSAGES = 100_000       # a tenth: one script gone wrong leaves room for the others
SENDER_BYTES = 64 << 20         # an eighth
LOGIN_BYTES = 1 << 30           # two mailboxes full: what one login may take of a disk
ALL_SECONDS = 10                # between two messages to all by one user, in the long run
ALL_BURST = 10                  # messages to all at once: a correction, and a correction of that
NO_LIMIT = 1 << 62


class Quotas(NamedTuple):
    """The limits of a mailbox, and of one sender in it; sizes are bytes of text; 0: no limit."""
    messages: int = MAILBOX_MESSAGES
    size: int = MAILBOX_BYTES
    sender_messages: int = SENDER_MESSAGES
    sender_size: int = SENDER_BYTES
    login_size: int = LOGIN_BYTES       # of all senders of a login, in all mailboxes (usage.py)

    @property
    def low(self) -> int:
        """An account is closed below this many messages: half of what is free."""
        return self.free // 2 + self.free % 2

    @property
    def free(self) -> int:
        """A mailbox with fewer messages than this is below all limits, however long they are."""
        sizes = [size // wire.TEXT_MAX for size in (self.size, self.sender_size) if size]
        return min([self.messages or NO_LIMIT, self.sender_messages or NO_LIMIT, *sizes])


class Account:
    """What waits in one mailbox, and whose it is."""
    __slots__ = ("shares", "size", "start")

    def __init__(self, user: User) -> None:
        self.start, self.size = user.sealed     # what has an id above `start` counts for its sender
        self.shares: dict[int, list[int]] = {}  # by number of the sender: messages, bytes
        for mail in user.tail:
            self.add(mail)

    def add(self, mail: Mail) -> None:
        share = self.shares.setdefault(mail.sender, [0, 0])
        messages, size = mail.amount
        self.size += size
        share[0] += messages
        share[1] += size

    def remove(self, mails: Sequence[Mail]) -> None:
        gone = 0
        for mail in mails:
            share, (messages, size) = self.shares.get(mail.sender), mail.amount
            gone += size
            if share and mail.id > self.start:
                share[0] -= messages
                share[1] -= size
        self.size = max(0, self.size - gone)


class Accounts:
    """The mailboxes that hold so much that they have to be watched."""

    def __init__(self, quotas: Quotas) -> None:
        self.quotas = quotas
        self.free, self.low = quotas.free, quotas.low
        self._own: dict[int, Quotas] = {}               # by number of the user (allowances.py)
        self._open: dict[int, Account] = {}             # by number of the user

    def allow(self, size: int, own: Mapping[int, int]) -> None:
        """So many bytes may wait in a mailbox from now on; `own`: in those of these users, by
        number.  0: no limit."""
        self.quotas = quotas = self.quotas._replace(size=size)
        self.free, self.low = quotas.free, quotas.low
        self._own = {number: self.quotas._replace(size=size) for number, size in own.items()}
        self.forget()

    def _quotas(self, user: User) -> Quotas:
        return self._own.get(user.number, self.quotas) if self._own else self.quotas

    def full(self, recipients: Sequence[User], sender: User, size: int) -> list[User]:
        """The recipients whose mailboxes have no room for a text of this size by this sender."""
        return [user for user in recipients if self._is_full(user, sender.number, size)]

    def _is_full(self, user: User, sender: int, size: int) -> bool:
        account, quotas = self._open.get(user.number), self._quotas(user)
        if account is None:
            if user.waiting < quotas.free:
                return False
            account = self._open[user.number] = Account(user)
        messages, bytes_ = account.shares.get(sender, (0, 0))
        return (0 < quotas.messages <= user.waiting or 0 < quotas.size < account.size + size
                or 0 < quotas.sender_messages <= messages
                or 0 < quotas.sender_size < bytes_ + size)

    def room(self, users: Sequence[User], sender: User) -> int:
        """How many messages of this sender, of any length, each of these mailboxes surely has room
        for."""
        room, quotas, free = NO_LIMIT, self.quotas, self.free
        for user in users:
            account, waiting = self._open.get(user.number), user.waiting
            if self._own:
                quotas = self._quotas(user)
                free = quotas.free
            if account is None:
                room = min(room, free - waiting)
                continue
            messages, size = account.shares.get(sender.number, (0, 0))
            room = min(room, (quotas.messages or NO_LIMIT) - waiting,
                       (quotas.sender_messages or NO_LIMIT) - messages,
                       ((quotas.size or NO_LIMIT) - account.size) // wire.TEXT_MAX,
                       ((quotas.sender_size or NO_LIMIT) - size) // wire.TEXT_MAX)
        return max(0, room)

    def put(self, mail: Mail, users: Sequence[User]) -> None:
        """These messages were put for each of the users."""
        for user in users:
            if account := self._open.get(user.number):
                account.add(mail)

    def read(self, user: User, mails: Sequence[Mail]) -> None:
        """These messages have left a mailbox."""
        if account := self._open.get(user.number):
            account.remove(mails)
            if user.waiting < (self._quotas(user).low if self._own else self.low):
                del self._open[user.number]

    def forget(self) -> None:
        """Messages were taken back: count anew, from what is there, when it is asked next."""
        self._open.clear()

    @property
    def is_empty(self) -> bool:
        return not self._open


class Broadcasts:
    """Who may send to all names, and how often."""

    def __init__(self, who: str, seconds: int) -> None:
        self.who = who                                  # everyone, operators or nobody
        self.seconds = seconds                          # for one message more; 0: no limit
        self._buckets = Buckets(ALL_BURST, seconds)     # by number of the sender, and by host

    def admit(self, sender: int, is_operator: bool, now: float, wanted: int, host: str = ""
              ) -> tuple[int, tuple[wire.Why, str] | None]:
        """How many messages to all, `wanted` at most, this sender may send now from this host: they
        are counted.  If none, why.  `now`: the monotonic clock."""
        if self.who == "nobody" or (self.who == "operators" and not is_operator):
            whom = "nobody" if self.who == "nobody" else "only operators"
            return 0, (wire.Why.OTHER, f"{whom} may send to all here: choose the names")
        if not self.seconds:
            return wanted, None
        counted = (sender, host) if host else (sender,)
        least = min(counted, key=lambda key: self._buckets.level(key, now))
        level = self._buckets.level(least, now)
        if level < 1:
            seconds = self._buckets.wait(least, now)
            return 0, (wire.Why.BUSY, f"too many messages to all: wait {seconds} s")
        wanted = min(wanted, int(level))
        for key in counted:
            self._buckets.take(key, now, wanted)
        return wanted, None
