"""roster: who is here.

A `Client` is a connected user for as long as the connection lasts; nothing in it survives a restart.  (The name itself,
its queue and when it was last seen live in the mailbox, as a `User`.)  The `Roster` knows all clients by user number,
queues what is said to them, and keeps every subscriber's copy of the log of names current.

Saying something never blocks and never touches a socket: the frame goes to the client's `out` list, the client to
`speaking`, and the daemon takes both at the end of the turn.

Roster changes collapse into the latest state.  A turn's changes are encoded once and the same bytes go to every
subscriber; with many subscribers they are published less often, so that a thousand logins at once cost each
subscriber a few frames and not a thousand.  A subscriber that does not read gets nothing: the numbers of the rows it
has missed are remembered (a set no larger than the log), and it is sent their latest state when it reads again.  The
log at login goes out page by page in the same way, a page whenever the one before has left.  Those who are sent pages,
at login or because they asked for a LIST, take turns: all of them together get ROWS_MAX rows in one turn of the daemon,
so that the others need not wait for them.
"""
from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from itertools import islice
from math import inf

import wire
from rules.state import Client, Now
from store.user import User

PAGE = 1000                 # rows in a frame: 1,000 of the longest names are 47 KB, under the frame limit
ROSTER_PAUSE_AT = 65536         # bytes a client may have unsent before it gets no more roster pages
ROWS_MAX = PAGE             # rows for all who are behind, in a turn, and then the page is finished: 1.5 ms
PAGE_LEAST = 20             # rows that a page counts for, at least: to encode and send it has a price of its own
RECENT_MAX = 500            # names kept in the order in which they left: more than any terminal has rows
PUBLISH_COST = 50e-6        # seconds between two publications for each subscriber: bounds them to some 6 % of the time


class Roster:
    """Everybody who is here, and what is said to them."""

    def __init__(self, users: Sequence[User]) -> None:
        self.users = users                                  # the whole log, by number; the mailbox's own list
        self.clients: dict[int, Client] = {}                # connected, by user number
        self.speaking: list[Client] = []                    # those with frames to be sent
        self.recent: dict[int, None] = {}                   # away, by number, the last to leave at the end
        for user in heapq.nlargest(RECENT_MAX, reversed(users), key=lambda user: user.last_seen)[::-1]:
            self.recent[user.number] = None
        self._subscribers: dict[Client, None] = {}          # welcomed, with Feature.ROSTER
        self._behind: dict[Client, None] = {}               # of those: the log is not all sent, or rows are stale
        self._changed: dict[int, None] = {}                 # rows to be published
        self._publish_at = 0.0
        self.version = 0                                    # grows whenever somebody comes, goes, or changes state

    # ---- saying ----

    def hand(self, client: Client, frame: bytes) -> None:
        """Queue an encoded frame; until WELCOME was said it waits behind it."""
        if client.out:
            client.out.append(frame)
            return
        client.out = [frame]
        if client.welcomed:
            self.speaking.append(client)

    def tell(self, client: Client, said: wire.Message) -> None:
        """Queue a message."""
        self.hand(client, wire.encode(said))

    def tell_all(self, clients: Iterable[Client], said: wire.Message) -> None:
        """Queue a message, encoded once, for each of these."""
        frame = wire.encode(said)
        for client in clients:
            self.hand(client, frame)

    # ---- coming and going ----

    def enter(self, client: Client) -> None:
        self.clients[client.user.number] = client
        self.recent.pop(client.user.number, None)
        self.changed(client)

    def welcome(self, client: Client, welcome: wire.Welcome) -> None:
        """Say WELCOME; from here on the client hears everything else."""
        client.out = [client.greeting + wire.encode(welcome), *client.out]
        client.welcomed = True
        self.speaking.append(client)
        if client.features & wire.Feature.ROSTER and not client.has_left:
            self._subscribers[client] = self._behind[client] = None

    def leave(self, client: Client) -> None:
        if self.clients.get(client.user.number) is client:
            del self.clients[client.user.number]
            self.recent[client.user.number] = None
            if len(self.recent) > RECENT_MAX:
                del self.recent[next(iter(self.recent))]
        self._subscribers.pop(client, None)
        self._behind.pop(client, None)
        self.changed(client)

    # ---- the log of names, as clients see it ----

    def changed(self, client: Client) -> None:
        """This client's row is not what it was."""
        self.version += 1
        self._changed[client.user.number] = None

    def row(self, user: User) -> wire.Entry:
        """One name, as it is now."""
        client = self.clients.get(user.number)
        if client is None:
            return wire.Entry(user.name, wire.Presence.AWAY, 0, user.last_seen, 0)
        session = client.chats.session
        if session is None:
            return wire.Entry(user.name, wire.Presence.AVAILABLE, client.holding, client.since, 0)
        return wire.Entry(user.name, wire.Presence.BUSY, client.holding, client.since, session.number)

    def on_list(self, client: Client, said: wire.List, now: Now) -> None:
        """Answer a LIST: the whole log, page by page as the client reads them."""
        if client.log_copy.list_request or not said.request:
            self.tell(client, wire.Failed(said.request, wire.Why.BUSY, "a list is already under way"))
            return
        client.log_copy.list_request, client.log_copy.listed_upto = said.request, 0
        self._behind[client] = None

    def publish(self, monotonic: float) -> None:
        """Send what changed to those who read, and the next page to the first of those who are behind."""
        if self._changed and monotonic >= self._publish_at:
            self._publish_at = monotonic + PUBLISH_COST * len(self._subscribers)
            if self._subscribers:
                self._spread(sorted(n for n in self._changed if n < len(self.users)))   # a refused name is gone again
            self._changed.clear()
        rows = 0
        for client in list(self._behind):
            if rows >= ROWS_MAX:
                break
            if client.backlog < ROSTER_PAUSE_AT:
                rows += max(PAGE_LEAST, self._catch_up(client))

    def next_publish(self) -> float:
        """When publish() has something to do, on the monotonic clock; 0 for at once, inf for never."""
        if self._behind and any(client.backlog < ROSTER_PAUSE_AT for client in self._behind):
            return 0.0
        return self._publish_at if self._changed else inf

    def _spread(self, numbers: list[int]) -> None:
        if not numbers:
            return
        frames = [wire.encode(wire.Roster(0, 1, tuple(self.row(self.users[n]) for n in numbers[at:at + PAGE])))
                  for at in range(0, len(numbers), PAGE)]
        for client in self._subscribers:
            if client in self._behind or client.backlog >= ROSTER_PAUSE_AT:
                copy = client.log_copy
                copy.stale = copy.stale or {}
                copy.stale.update((n, None) for n in numbers if n < copy.sent_upto)
                self._behind[client] = None
                continue
            client.log_copy.sent_upto = max(client.log_copy.sent_upto, numbers[-1] + 1)
            for frame in frames:
                self.hand(client, frame)

    def _catch_up(self, client: Client) -> int:
        """One page: of a LIST, else of the rows missed, else of the log from where it was left; of how many rows.  Then
        it is the others' turn."""
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
            more = self._is_behind(client)
        else:
            numbers = range(copy.sent_upto, min(copy.sent_upto + PAGE, len(self.users)))
            copy.sent_upto = numbers.stop
            more = self._is_behind(client)
        self.tell(client, wire.Roster(request, not more, tuple(self.row(self.users[n]) for n in numbers)))
        del self._behind[client]
        if copy.list_request or self._is_behind(client):
            self._behind[client] = None
        return len(numbers)

    def _is_behind(self, client: Client) -> bool:
        copy = client.log_copy
        return client in self._subscribers and (bool(copy.stale) or copy.sent_upto < len(self.users))
