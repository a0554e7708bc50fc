"""allowances: the quotas that the operator has set for single logins and names (`parleyd quota`).

    login WHOM SIZE     bytes of this login's messages that may wait in all mailboxes (usage.py)
    name WHOM SIZE      bytes of text that may wait in this mailbox (quota.py)

ALL in place of WHOM stands for each of them that has no quota of its own: it takes the place of
--login-bytes and --mailbox-bytes.  What waits already stays.  server/allowed.py has the file.
"""
from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from rules.audience import Audiences
from rules.quota import Accounts
from rules.store import Store
from rules.usage import Usages

LOGIN, NAME = KINDS = "login", "name"
ALL = "all"             # a reserved word, so nobody's name
ALLOWANCES_MAX = 1000   # lines of the file


class Allowance(NamedTuple):
    """One of them, as it stands in the file."""
    kind: str
    whom: str           # a uid, a name, or ALL
    shown: str          # what the operator typed
    since: str          # ISO 8601, UTC
    size: str           # bytes; 0: no limit


class Allowances:
    """All of them."""

    def __init__(self, mailbox: Store, accounts: Accounts, usages: Usages, audiences: Audiences
                 ) -> None:
        self.mailbox, self.accounts = mailbox, accounts
        self.usages, self.audiences = usages, audiences
        self.all: list[Allowance] = []
        self._options = {LOGIN: accounts.quotas.login_size, NAME: accounts.quotas.size}

    def load(self, allowances: Iterable[Allowance]) -> None:
        """These are in force, and no others.  Raises ValueError."""
        found = list(allowances)[:ALLOWANCES_MAX]
        sizes = {each[:2]: int(each.size) for each in found}
        every = {kind: sizes.pop((kind, ALL), size) for kind, size in self._options.items()}
        self.usages.allow(every[LOGIN], {f"uid {whom}": size for (kind, whom), size in sizes.items()
                                         if kind == LOGIN})
        users = [(self.mailbox.find(whom), size) for (kind, whom), size in sizes.items()
                 if kind == NAME]
        self.accounts.allow(every[NAME], {user.number: size for user, size in users if user})
        self.audiences.forget()
        self.all = found

    def default(self, kind: str) -> tuple[int, bool]:
        """What those may have that have no quota of their own, in bytes, 0: no limit; and whether
        that is the options' word."""
        own = next((each for each in self.all if each[:2] == (kind, ALL)), None)
        return (int(own.size), False) if own else (self._options[kind], True)
