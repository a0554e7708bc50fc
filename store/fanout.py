"""fanout: a message on its way into very many queues.

Promises: whoever looks at a queue by way of the mailbox finds the message there, as if it had been
put into all queues at once.
Works by a cursor over the recipients, who are in the order of their numbers, and a set of those
that it reached before their turn.  The record of the message is in the batch already; only memory
lags.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter

from store.mail import Mail
from store.user import User

BY_NUMBER = attrgetter("number")
CHUNK = 2048  # queues in a step: half a millisecond


class Fanout:
    """The message that is on its way: `mail`; None: there is none."""

    def __init__(self) -> None:
        self.mail: Mail | None = None
        self._users: Sequence[User] = ()
        self._at = 0  # all before this place have it
        self._reached: set[int] = set()  # numbers of others that have it

    def put(self, mail: Mail, users: Sequence[User], spread: bool) -> None:
        """Put a message into the queues of these: with `spread` by and by, and the one before must
        be in its queues then; else now, behind the one that is on its way."""
        if spread:
            assert self.mail is None
            self.mail, self._users, self._at = mail, users, 0
            return
        for user in users:
            self.reach(user)
            user.queue(mail)
            user.waiting += mail.messages

    def reach(self, user: User) -> bool:
        """Put it into this queue now.  Returns whether it was still to come there."""
        mail = self.mail
        if mail is None or user.number in self._reached:
            return False
        place = bisect_left(self._users, user.number, lo=self._at, key=BY_NUMBER)
        if place == len(self._users) or self._users[place] is not user:
            return False
        self._reached.add(user.number)
        user.queue(mail)
        user.waiting += mail.messages
        return True

    def step(self) -> bool:
        """Put it into some more queues.  Returns whether there are more."""
        mail = self.mail
        if mail is None:
            return False
        messages, reached = mail.messages, self._reached
        for user in self._users[self._at:self._at + CHUNK]:
            if user.number not in reached:
                user.queue(mail)
                user.waiting += messages
        self._at += CHUNK
        if self._at >= len(self._users):
            self.mail, self._users = None, ()
            reached.clear()
        return self.mail is not None

    def finish(self) -> None:
        """Put it into all queues now."""
        while self.step():
            pass
