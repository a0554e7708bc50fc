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
from typing import TYPE_CHECKING, NamedTuple

import wire
from rules.hosts import host_of

if TYPE_CHECKING:
    from mailbox import User
    from rules.chats import Chat, Invitation
    from rules.delivery import Stream

PAGE = 1000                 # rows in a frame: 1,000 of the longest names are 47 KB, under the frame limit
BACKLOG_MAX = 65536         # bytes a client may have unsent before it gets no more roster pages
ROWS_MAX = PAGE             # rows for all who are behind, in a turn, and then the page is finished: 1.5 ms
PAGE_LEAST = 20             # rows that a page counts for, at least: to encode and send it has a price of its own
RECENT_MAX = 500            # names kept in the order in which they left: more than any terminal has rows
PUBLISH_COST = 50e-6        # seconds between two publications for each subscriber: bounds them to some 6 % of the time


NONE: dict[int, Invitation] = {}           # nobody adds to it (chats.py)


class Setting:
    """What the house keeps about a user, by kind (Mailbox.set).  Numbers are never used again; parley-store(5) has the
    layouts."""
    OWNER = 1           # the uid that first used the name at a Unix socket, or the login's of that name
    CLAIM = 2           # what a passphrase is verified with
    IGNORED = 3         # the users that this one does not want to hear


class Now(NamedTuple):
    """Both clocks, read once a turn."""
    wall: int           # microseconds since 1970: what people are shown
    monotonic: float    # seconds: what timers go by


class Caller(NamedTuple):
    """Who is at the other end, as far as that is known before a word is said."""
    address: str                # what people are shown
    uid: int | None = None      # by the kernel's word; None: not known
    binding: bytes = b""        # the certificate that the line is bound to

    @property
    def host(self) -> str:
        """What it is counted by: its host; at a Unix socket its login."""
        return host_of(self.address) if self.uid is None else f"uid {self.uid}"


class Refusal(Exception):
    """A client is not let in."""

    def __init__(self, why: wire.Why, reason: str) -> None:
        super().__init__(reason)
        self.message = wire.Rejected(why, reason)


class Doubtful(Exception):
    """Whether a client can be let in takes a moment to find out: its HELLO or PROOF is to be looked at again."""


class Client:
    """A connected user.  Everything here is volatile.

    There are thousands who say nothing: what most of them never have is made when it is needed, and () or NONE till
    then."""
    __slots__ = ("address", "backlog", "chat", "checking", "features", "greeting", "holding", "host",
                 "in_flight", "invitations", "inviting", "left", "listed_at", "listing", "live", "mail", "operator",
                 "out", "passed", "peer", "pledged", "presented", "roster_at", "since", "size", "spent", "stale",
                 "token", "told", "user", "welcomed", "withheld")

    def __init__(self, user: User, address: str, features: int, token: bytes, now: int) -> None:
        # the connection
        self.user = user
        self.address = address
        self.host = ""                                      # what it is counted by (Caller.host)
        self.operator = False                               # root's login, or the daemon's own (claims.py)
        self.features = features
        self.token = token                                  # given in WELCOME
        self.presented = b""                                # brought in HELLO, if it was one
        self.since = now                                    # microseconds since 1970: of the present state
        self.left = False                                   # no longer among the users; its connection is closing
        self.welcomed = False                               # WELCOME was said; nothing else is said before it
        self.greeting = b""                                 # a frame that goes before WELCOME
        self.out: list[bytes] | tuple[()] = ()              # frames for the connection to send
        self.backlog = 0                                    # bytes taken from `out` that the socket did not take yet
        self.peer: object = None                            # the daemon's connection
        self.spent = 0                                      # work done for it in this turn: requests, recipients
        # the roster
        self.roster_at = 0                                  # the log was sent to this client up to this user number
        self.stale: dict[int, None] | tuple[()] = ()        # rows that changed while it did not read, by number
        self.listing = 0                                    # the number of a LIST under way, 0 for none
        self.listed_at = 0                                  # and the user number it has come to
        # messages (delivery.py)
        self.holding = bool(features & wire.Feature.HOLD)
        self.live: Stream
        self.checking: Stream | None = None
        self.passed: Sequence[Stream] = ()                  # streams that are over, whose messages may be in flight
        self.in_flight = 0                                  # messages pushed and not confirmed
        self.size = 0                                       # and the bytes of their texts
        self.mail = 0                                       # waiting for a CHECK while not holding
        self.told = -1                                      # the number last said in WAITING
        # chats (chats.py)
        self.invitations = NONE                             # received, to be answered
        self.withheld = NONE                                # received, and not shown: by those whom this one ignores
        self.inviting: Invitation | None = None             # its own, pending
        self.pledged: Invitation | None = None              # accepted, waiting for the others
        self.chat: Chat | None = None

    @property
    def name(self) -> str:
        """As first registered."""
        return self.user.name

    @property
    def waiting(self) -> int:
        """How many messages a CHECK would bring."""
        return self.user.waiting if self.holding else self.mail


class Roster:
    """Everybody who is here, and what is said to them."""

    def __init__(self, users: list[User]) -> None:
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
        if client.features & wire.Feature.ROSTER and not client.left:
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
        if client.chat is None:
            return wire.Entry(user.name, wire.Presence.AVAILABLE, client.holding, client.since, 0)
        return wire.Entry(user.name, wire.Presence.BUSY, client.holding, client.since, client.chat.number)

    def on_list(self, client: Client, request: int) -> None:
        """Answer a LIST: the whole log, page by page as the client reads them."""
        if client.listing or not request:
            self.tell(client, wire.Failed(request, wire.Why.BUSY, "a list is already under way"))
            return
        client.listing, client.listed_at = request, 0
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
            if client.backlog < BACKLOG_MAX:
                rows += max(PAGE_LEAST, self._catch_up(client))

    def next_publish(self) -> float:
        """When publish() has something to do, on the monotonic clock; 0 for at once, inf for never."""
        if self._behind and any(client.backlog < BACKLOG_MAX for client in self._behind):
            return 0.0
        return self._publish_at if self._changed else inf

    def _spread(self, numbers: list[int]) -> None:
        if not numbers:
            return
        frames = [wire.encode(wire.Roster(0, 1, tuple(self.row(self.users[n]) for n in numbers[at:at + PAGE])))
                  for at in range(0, len(numbers), PAGE)]
        for client in self._subscribers:
            if client in self._behind or client.backlog >= BACKLOG_MAX:
                client.stale = client.stale or {}
                client.stale.update((n, None) for n in numbers if n < client.roster_at)
                self._behind[client] = None
                continue
            client.roster_at = max(client.roster_at, numbers[-1] + 1)
            for frame in frames:
                self.hand(client, frame)

    def _catch_up(self, client: Client) -> int:
        """One page: of a LIST, else of the rows missed, else of the log from where it was left; of how many rows.  Then
        it is the others' turn."""
        numbers: Sequence[int]
        request, client.listing = client.listing, 0
        if request:
            numbers = range(client.listed_at, min(client.listed_at + PAGE, len(self.users)))
            client.listed_at = numbers.stop
            more = client.listed_at < len(self.users)
            client.listing = request if more else 0
        elif client.stale:
            numbers = list(islice(client.stale, PAGE))
            for number in numbers:
                del client.stale[number]
            more = self._is_behind(client)
        else:
            numbers = range(client.roster_at, min(client.roster_at + PAGE, len(self.users)))
            client.roster_at = numbers.stop
            more = self._is_behind(client)
        self.tell(client, wire.Roster(request, not more, tuple(self.row(self.users[n]) for n in numbers)))
        del self._behind[client]
        if client.listing or self._is_behind(client):
            self._behind[client] = None
        return len(numbers)

    def _is_behind(self, client: Client) -> bool:
        return client in self._subscribers and (bool(client.stale) or client.roster_at < len(self.users))
