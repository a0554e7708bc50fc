"""owners: the uids that own names, as the store has them, and how many names each login owns.

A name is in the log for ever, in memory and in the list of every client; at a rate alone a login
would fill the log in some months.  So a login owns no more than --names-each; its subordinate uids
(net/uids.py) own them for it.  Nothing frees a name: messages in other users' mailboxes and
archives have its number as their sender, and the next owner would get the answers to them.
"""
from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable

from rules.store import Setting, Store
from store.user import User

NAMES_EACH = 10_000     # owned by one login: a hundredth of the log, and 3 MB; more than any
                        # gateway or set of robots is known to use
UID = struct.Struct("!I")


class Owners:
    """Who owns what."""

    def __init__(self, mailbox: Store, each: int, login_of: Callable[[int], int],
                 trusting: bool = False) -> None:
        """`trusting`: every name is everybody's, whatever the store says."""
        self.mailbox = mailbox
        self.each = each                        # names of one login; 0: no limit
        self.login_of = login_of                # the login that a uid counts for
        self.trusting = trusting
        self.changes = 0                        # grows when a name gets another owner
        self._names: Counter[int] = Counter()   # of each login
        self.count()

    def count(self) -> None:
        """Count anew: at the start, and after a batch that the disk refused; 0.1 s for a million
        names."""
        self.changes += 1
        found = Counter(user.settings.get(Setting.OWNER) for user in self.mailbox.users)
        self._names.clear()
        for owner, names in found.items():
            if owner:
                self._names[self.login_of(UID.unpack(owner)[0])] += names

    @staticmethod
    def of(user: User | None) -> int | None:
        """The uid that owns this name; None: nobody, as far as the store knows."""
        owner = user.settings.get(Setting.OWNER) if user else None
        return UID.unpack(owner)[0] if owner else None

    def login(self, user: User) -> int | None:
        """The login that owns this name; None: nobody knows one, as of a name used over TCP."""
        owner = None if self.trusting else self.of(user)
        return None if owner is None else self.login_of(owner)

    def is_full(self, uid: int) -> bool:
        """Whether the login of this uid has all the names that it may have."""
        return 0 < self.each <= self.names_of(uid)

    def names_of(self, uid: int) -> int:
        """How many names the login of this uid owns."""
        return self._names[self.login_of(uid)]

    def give(self, user: User, uid: int) -> None:
        """The name is this uid's from now on, if the disk takes that."""
        if (before := self.of(user)) is not None:
            self._names[self.login_of(before)] -= 1
        self._names[self.login_of(uid)] += 1
        self.changes += 1
        self.mailbox.set(user, Setting.OWNER, UID.pack(uid))
