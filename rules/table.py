"""table: what the daemon's live table shows (server/console.py paints it)."""
from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import NamedTuple

import wire
from rules.retirement import is_retired
from rules.rooms import Rooms
from rules.roster import Roster
from rules.sessions import Sessions
from rules.state import Client
from rules.statuses import status_of
from rules.store import is_room
from store.user import User

ROOMS_PART = 4          # rooms have this part of the rows, at most


class Row(NamedTuple):
    """One user in the table, or one room."""
    name: str
    state: str          # available, chatting with NAME..., not connected; 3 of 5 here
    since: int          # microseconds since 1970; of a room: when it was made
    waiting: int        # messages that a CHECK would bring; of a room: the lines that it keeps
    address: str        # of a room: the topic
    number: int = -1    # in the log of names; -1: unknown


class Table:
    """The log of names, as the operator sees it."""

    def __init__(self, users: Sequence[User], roster: Roster, sessions: Sessions, rooms: Rooms,
                 house: str) -> None:
        self.users = users                      # the whole log, by number; the mailbox's own list
        self.roster = roster
        self.sessions = sessions
        self.rooms = rooms
        self.house = house                      # what the daemon calls itself

    def title(self) -> str:
        """How many are here, in one line."""
        connected, chats = len(self.roster.clients), len(self.sessions.active)
        names, rooms = len(self.users) - len(self.rooms.numbers), len(self.rooms.all)
        in_rooms = f"{rooms} room{'s' * (rooms != 1)}, " if rooms else ""
        return (f"parleyd {self.house}: {connected} connected, {chats} chat{'s' * (chats != 1)}, "
                f"{in_rooms}{names} names in the log")

    def rows(self, limit: int) -> tuple[list[Row], int]:
        """The first rows: connected users, then the most recently seen, then rooms; and how many
        more there are of all of them."""
        rooms = self._rooms(limit)
        rows = self._users(limit - len(rooms)) + rooms
        total = len(self.users) - len(self.rooms.numbers) + len(self.rooms.all)
        return rows, total - len(rows)

    def most(self, limit: int) -> int:
        """How many rows there are for this limit."""
        rooms = min(len(self.rooms.all), limit // ROOMS_PART)
        return min(limit, rooms + len(self.roster.clients) + len(self.roster.recent))

    def _users(self, limit: int) -> list[Row]:
        users, clients = self.users, self.roster.clients.values()
        here = heapq.nsmallest(limit, clients, key=lambda client: client.name.lower())
        recent = [users[n] for n in reversed(self.roster.recent) if n < len(users)]
        rows = [self.row(client.user) for client in here]
        return rows + [self.row(user) for user in recent[:limit - len(rows)]]

    def _rooms(self, limit: int) -> list[Row]:
        """The rooms with most members here, in a part of the rows."""
        found = heapq.nlargest(limit // ROOMS_PART, self.rooms.all.values(),
                               key=lambda room: (room.here, len(room.members)))
        return [self.row(room.user) for room in found]

    def row(self, user: User) -> Row:
        """One of them."""
        if is_room(user):
            room = self.rooms.all.get(user.number)
            state = f"{room.here} of {len(room.members)} here" if room else "closed"
            return Row(user.name, state, user.first_seen, user.waiting, room.topic if room else "",
                       user.number)
        client = self.roster.clients.get(user.number)
        if client is None:
            state = "retired" if is_retired(user) else "not connected"
            return Row(user.name, state + _away(user), user.last_seen, user.waiting, "",
                       user.number)
        return Row(client.name, _state(client) + _away(user), client.since, client.waiting,
                   client.address, user.number)


def _away(user: User) -> str:
    """What a user says of being away."""
    text = status_of(user)
    return f", away: {text}" if text else ""


def _state(client: Client) -> str:
    session = client.chats.session
    if session is None:
        return "available, holding" if client.holding else "available"
    partners = [member.name for member in session.members if member is not client]
    return "chatting with " + wire.some(partners, ", ")
