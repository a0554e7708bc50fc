"""refusals: how often each limit was met, and by which login.

Every refusal is an event of the log (log.NOTES).  The counts stay when the log does not: the
operator's USR1 writes them as events.
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

LOGINS_MAX = 1000       # logins and hosts with counts: of more, the one counted first is forgotten
REASONS_MAX = 32        # reasons for each: some name what the user typed; the rest counts as OTHERS
SHOWN_MAX = 100         # rows that one USR1 brings
OTHERS = "others"

# Events that say that something was refused, and to whom.  A client that is not let in is rejected,
# and its connection is closed for the same reason: that counts once.
REFUSALS = frozenset({"closed", "mailbox-full", "not-invited", "refused", "violation"})


class Refusals:
    """The counts since the daemon's start."""

    def __init__(self) -> None:
        self.total = 0
        self._counts: dict[str, Counter[tuple[str, str]]] = {}  # by login; event and reason

    def count(self, login: str, event: str, fields: Mapping[str, object]) -> None:
        """One of REFUSALS happened to this login."""
        counts = self._counts.get(login)
        if counts is None:
            counts = self._counts[login] = Counter()
            if len(self._counts) > LOGINS_MAX:
                del self._counts[next(iter(self._counts))]
        # "wait 7 s" and "wait 8 s" are one reason
        row = event, re.sub(r"\b[0-9]+\b", "N", str(fields.get("reason", "")))
        if row not in counts and len(counts) >= REASONS_MAX:
            row = event, OTHERS
        counts[row] += 1
        self.total += 1

    def rows(self) -> list[tuple[str, str, str, int]]:
        """Login, event, reason and times, the most frequent first; SHOWN_MAX of them."""
        rows = [(login, event, reason, times) for login, counts in self._counts.items()
                for (event, reason), times in counts.items()]
        return sorted(rows, key=lambda row: -row[3])[:SHOWN_MAX]
