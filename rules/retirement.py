"""retirement: names that the operator has retired.

Nobody comes in under such a name, and nobody can write to it.  It stays in the log, for the number
of a name is the sender in other users' mailboxes; so its mail goes, and its place stays taken.  The
mail that waited is exported, or purged.  The operator may reinstate it.
"""
from __future__ import annotations

import struct
from collections.abc import Iterator

from rules.quota import Accounts
from rules.roster import Roster
from rules.state import Now
from rules.store import Setting, Store
from store.mail import Mail
from store.user import User

WHEN = struct.Struct("!Q")          # microseconds since 1970
STEP_MESSAGES, STEP_BYTES = 500, 1 << 18    # read and purged in a step: some milliseconds


def is_retired(user: User | None) -> bool:
    return user is not None and Setting.RETIRED in user.settings


class Retirement:
    """Retires names, and reinstates them."""

    def __init__(self, mailbox: Store, roster: Roster, accounts: Accounts) -> None:
        self.mailbox = mailbox
        self.roster = roster
        self.accounts = accounts

    def set(self, user: User, retired: bool, now: Now) -> None:
        """Retire a name, or reinstate it.  Raises mailbox.Full."""
        self.mailbox.set(user, Setting.RETIRED, WHEN.pack(now.wall) if retired else b"")
        self.roster.version += 1                # audiences are others now

    def waiting(self, user: User, after: int) -> list[Mail]:
        """The next of its messages with ids above this one, a step's worth."""
        return self.mailbox.unread(user, after, self.mailbox.last, STEP_MESSAGES, STEP_BYTES)

    def purge(self, user: User) -> Iterator[None]:
        """Take all that waits out of the queue, a step at a time."""
        while is_retired(user) and (mails := self.waiting(user, 0)):    # it may be reinstated
            mails = self.mailbox.read(user, mails[0].id, mails[-1].last)
            if not self.accounts.is_empty:
                self.accounts.read(user, mails)
            yield
