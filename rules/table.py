"""table: what the daemon's live table shows (server/console.py paints it)."""
from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import NamedTuple

import wire
from rules.retirement import is_retired
from rules.roster import Roster
from rules.sessions import Sessions
from rules.state import Client
from store.user import User


class Row(NamedTuple):
    """One user in the table."""
    name: str
    state: str          # available, chatting with NAME..., not connected
    since: int          # microseconds since 1970
    waiting: int        # messages that a CHECK would bring
    address: str


class Table:
    """The log of names, as the operator sees it."""

    def __init__(self, users: Sequence[User], roster: Roster, sessions: Sessions,
                 house: str) -> None:
        self.users = users                      # the whole log, by number; the mailbox's own list
        self.roster = roster
        self.sessions = sessions
        self.house = house                      # what the daemon calls itself

    def title(self) -> str:
        """How many are here, in one line."""
        connected, chats = len(self.roster.clients), len(self.sessions.active)
        return (f"parleyd {self.house}: {connected} connected, {chats} chat{'s' * (chats != 1)}, "
                f"{len(self.users)} names in the log")

    def rows(self, limit: int) -> tuple[list[Row], int]:
        """The first rows of the log of names, the connected first, then the most recently seen;
        and how many more there are."""
        users, clients = self.users, self.roster.clients.values()
        here = heapq.nsmallest(limit, clients, key=lambda client: client.name.lower())
        recent = [users[n] for n in reversed(self.roster.recent) if n < len(users)]
        rows = [self.row(client.user) for client in here]
        rows += [self.row(user) for user in recent[:limit - len(rows)]]
        return rows, len(users) - len(rows)

    def row(self, user: User) -> Row:
        """One of them."""
        client = self.roster.clients.get(user.number)
        if client is None:
            state = "retired" if is_retired(user) else "not connected"
            return Row(user.name, state, user.last_seen, user.waiting, "")
        return Row(client.name, _state(client), client.since, client.waiting, client.address)


def _state(client: Client) -> str:
    session = client.chats.session
    if session is None:
        return "available, holding" if client.holding else "available"
    partners = [member.name for member in session.members if member is not client]
    return "chatting with " + wire.some(partners, ", ")
