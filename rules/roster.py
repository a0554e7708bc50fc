"""roster: who is here, and what is said to them.

The `Roster` knows all clients by user number, and queues what is said to them.  To say something
never blocks and never touches a socket: the frame goes to the client's `out` list, the client to
`speaking`, and the daemon takes both at the end of the turn.  What is said to more than MANY at
once leaves in slices (slices.py): the frames are queued at once, but a client comes to `speaking`
when its turn has come, or when it is told something of its own.  How clients learn who else is here
is in publication.py.
"""
from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence

import wire
from rules.slices import MANY, Crowd, Slices
from rules.state import Client
from rules.store import is_room
from store.user import User

RECENT_MAX = 500    # names kept in the order in which they left: more than any terminal has rows


class Roster:
    """All connected clients."""

    def __init__(self, users: Sequence[User], slices: Slices) -> None:
        self.users = users                      # the whole log, by number; the mailbox's own list
        self.clients: dict[int, Client] = {}    # connected, by user number
        self.speaking: list[Client] = []        # those with frames to be sent
        self.slices = slices
        self.crowd = Crowd(slices, self._speak)     # the same, but in slices
        self.changes: dict[int, None] = {}      # user numbers: not published yet (publication.py)
        self.version = 0                        # grows when somebody comes, goes, or changes state
        # users that are away, by number; the last to leave is the last
        self.recent: dict[int, None] = {}
        names = [user for user in reversed(users) if not is_room(user)]
        newest = heapq.nlargest(RECENT_MAX, names, key=lambda user: user.last_seen)
        for user in reversed(newest):
            self.recent[user.number] = None

    # ---- saying ----

    def hand(self, client: Client, frame: bytes) -> None:
        """Queue an encoded frame.  It waits behind WELCOME, until that was said."""
        if client.out:
            client.out.append(frame)
            if self.crowd.waiting and self.crowd.drop(client):
                self.speaking.append(client)
            return
        client.out = [frame]
        if client.welcomed:
            self.speaking.append(client)

    def tell(self, client: Client, said: wire.Message) -> None:
        """Queue a message."""
        self.hand(client, wire.encode(said))

    def tell_all(self, clients: Collection[Client], said: wire.Message) -> None:
        """Queue a message, encoded once, for each of these."""
        self.hand_all(clients, wire.encode(said))

    def hand_all(self, clients: Collection[Client], frame: bytes) -> None:
        """Queue an encoded frame for each of these; to many it leaves in slices."""
        hand = self.hand if len(clients) <= MANY else self.defer
        for client in clients:
            hand(client, frame)

    def defer(self, client: Client, frame: bytes) -> None:
        """Queue an encoded frame, one of many, that leaves in slices."""
        if client.out:
            client.out.append(frame)
            return
        client.out = [frame]
        if client.welcomed:
            self.crowd.put(client)

    def _speak(self, client: Client) -> int:
        self.speaking.append(client)
        return 1

    def welcome(self, client: Client, welcome: wire.Welcome) -> None:
        """Say WELCOME, and from here on everything else."""
        client.out = [client.greeting + wire.encode(welcome), *client.out]
        client.welcomed = True
        self.speaking.append(client)

    # ---- coming and going ----

    def enter(self, client: Client) -> None:
        self.clients[client.user.number] = client
        self.recent.pop(client.user.number, None)
        self.changed(client)

    def leave(self, client: Client) -> None:
        if self.crowd.drop(client):
            self.speaking.append(client)        # it is told all before its connection is closed
        if self.clients.get(client.user.number) is client:
            del self.clients[client.user.number]
            self.add_absent(client.user)

    def changed(self, client: Client) -> None:
        """This client's row in the log of names is not what it was."""
        self.version += 1
        self.changes[client.user.number] = None

    def add_absent(self, user: User) -> None:
        """This user is away: since now, or since ever."""
        self.version += 1
        self.changes[user.number] = None
        self.recent[user.number] = None
        if len(self.recent) > RECENT_MAX:
            del self.recent[next(iter(self.recent))]
