"""publication: the log of names, as clients see it.

Every subscriber (Feature.ROSTER) has a copy of the log of names, which is kept current.

Changes collapse into the latest state.  The changes of a turn are encoded once, and the same bytes
go to every subscriber; with many subscribers they are published less often, so that a thousand
logins at once cost each subscriber a few frames and not a thousand.  A subscriber that does not
read is sent nothing: the numbers of the rows that it has missed are remembered (a set no larger
than the log), and their latest state is sent when it reads again.

The log at login goes out page by page in the same way, a page whenever the one before has left.
Clients that are sent pages, at login or because they asked for a LIST, take turns: all of them
together get ROWS_MAX rows in one turn of the daemon, so that the others need not wait for them.
"""
from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from math import inf

import wire
from rules.roster import Roster
from rules.state import Client, Now
from store.user import User

PAGE = 1000         # rows in a frame: 1,000 of the longest names are 47 KB, under the frame limit
PAUSE_AT = 65536    # bytes that a client may have unsent before it is sent no more pages
ROWS_MAX = PAGE     # rows for all that are behind, in a turn, up to the end of a page: 1.5 ms
PAGE_LEAST = 20     # rows that a page counts for, at least: to encode and send it has its price
# Seconds between two publications, for each subscriber: they take some 6 % of the time at most.
PUBLISH_COST = 50e-6


class Publication:
    """The copies of the log of names that clients have."""

    def __init__(self, users: Sequence[User], roster: Roster) -> None:
        self.users = users                              # the whole log, by number
        self.roster = roster
        self._subscribers: dict[Client, None] = {}      # welcomed, with Feature.ROSTER
        # Clients that are to be sent pages: the log, rows that are stale, or a LIST.
        self._behind: dict[Client, None] = {}
        self._publish_at = 0.0                          # on the monotonic clock

    def welcomed(self, client: Client) -> None:
        """The client may be sent the log from now on."""
        if client.features & wire.Feature.ROSTER:
            self._subscribers[client] = self._behind[client] = None

    def leave(self, client: Client) -> None:
        self._subscribers.pop(client, None)
        self._behind.pop(client, None)

    def on_list(self, client: Client, said: wire.List, now: Now) -> None:
        """Answer a LIST: the whole log, page by page as the client reads them."""
        copy = client.log_copy
        if copy.list_request or not said.request:
            reason = "a list is already under way"
            self.roster.tell(client, wire.Failed(said.request, wire.Why.BUSY, reason))
            return
        copy.list_request, copy.listed_upto = said.request, 0
        self._behind[client] = None

    def row(self, user: User) -> wire.Entry:
        """One name, as it is now."""
        client = self.roster.clients.get(user.number)
        if client is None:
            return wire.Entry(user.name, wire.Presence.AWAY, 0, user.last_seen, 0)
        session = client.chats.session
        if session is None:
            return wire.Entry(user.name, wire.Presence.AVAILABLE, client.holding, client.since, 0)
        return wire.Entry(user.name, wire.Presence.BUSY, client.holding, client.since,
                          session.number)

    # ---- the turn ----

    def publish(self, monotonic: float) -> None:
        """Send what changed to subscribers that read, and pages to the first of those behind."""
        changes = self.roster.changes
        if changes and monotonic >= self._publish_at:
            self._publish_at = monotonic + PUBLISH_COST * len(self._subscribers)
            if self._subscribers:       # a name that the disk refused is in the log no more
                self._spread(sorted(n for n in changes if n < len(self.users)))
            changes.clear()
        rows = 0
        for client in list(self._behind):
            if rows >= ROWS_MAX:
                break
            if client.backlog < PAUSE_AT:
                rows += max(PAGE_LEAST, self._send_page(client))

    def next_publish(self) -> float:
        """When publish() has something to do, on the monotonic clock; 0: at once; inf: never."""
        if self._behind and any(client.backlog < PAUSE_AT for client in self._behind):
            return 0.0
        return self._publish_at if self.roster.changes else inf

    def _spread(self, numbers: list[int]) -> None:
        """Send these rows to all subscribers."""
        if not numbers:
            return
        frames = [wire.encode(wire.Roster(0, 1, self._rows(numbers[at:at + PAGE])))
                  for at in range(0, len(numbers), PAGE)]
        for client in self._subscribers:
            copy = client.log_copy
            if client in self._behind or client.backlog >= PAUSE_AT:
                copy.stale = copy.stale or {}
                copy.stale.update((n, None) for n in numbers if n < copy.sent_upto)
                self._behind[client] = None
                continue
            copy.sent_upto = max(copy.sent_upto, numbers[-1] + 1)
            for frame in frames:
                self.roster.hand(client, frame)

    def _send_page(self, client: Client) -> int:
        """Send one page: of a LIST, else of stale rows, else of the log from where it stopped.
        Returns the number of its rows.  Then it is the turn of the others."""
        numbers: Sequence[int]
        copy = client.log_copy
        request, copy.list_request = copy.list_request, 0
        if request:
            numbers = range(copy.listed_upto, min(copy.listed_upto + PAGE, len(self.users)))
            copy.listed_upto = numbers.stop
            more = copy.listed_upto < len(self.users)
            copy.list_request = request if more else 0
        elif copy.stale:
            numbers = list(islice(copy.stale, PAGE))
            for number in numbers:
                del copy.stale[number]
            more = self._lacks_rows(client)
        else:
            numbers = range(copy.sent_upto, min(copy.sent_upto + PAGE, len(self.users)))
            copy.sent_upto = numbers.stop
            more = self._lacks_rows(client)
        self.roster.tell(client, wire.Roster(request, not more, self._rows(numbers)))
        del self._behind[client]
        if copy.list_request or self._lacks_rows(client):
            self._behind[client] = None
        return len(numbers)

    def _rows(self, numbers: Sequence[int]) -> tuple[wire.Entry, ...]:
        return tuple(self.row(self.users[number]) for number in numbers)

    def _lacks_rows(self, client: Client) -> bool:
        """Whether this client is a subscriber whose copy is not whole, or not current."""
        copy = client.log_copy
        return client in self._subscribers and (bool(copy.stale)
                                                or copy.sent_upto < len(self.users))
