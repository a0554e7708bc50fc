"""rooms: the rooms that the daemon has told of, and what the user may ask about them.

The user's own are told after WELCOME and when one changes; all others when the user asks.  A daemon
may be hostile: beyond OWN_MAX and LISTED_MAX, rooms are passed over, `is_cut`.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import wire
from wire import Feature, Part

OWN_MAX = 1000          # rooms of the user: four times what an honest daemon allows; 0.6 MB
LISTED_MAX = 5000       # rooms in a list: more than anybody reads; 3 MB


class Rooms:
    """Rooms by name in lower case."""

    def __init__(self) -> None:
        self.own: dict[str, wire.RoomEntry] = {}        # of which the user is a member
        self.listed: dict[str, wire.RoomEntry] = {}     # as LIST_ROOMS last told, or is telling
        self._listing = 0                               # the request that is being answered
        self.is_cut = False                             # rooms of the list were passed over

    def forget(self) -> None:
        """Another login: the daemon tells the user's rooms anew, if there are any."""
        self.own.clear()
        self.listed.clear()
        self._listing = 0

    def hear(self, said: wire.Rooms) -> None:
        """Rooms of the user's own that changed; or a page of a list."""
        if said.request and said.request != self._listing:
            self._listing, self.is_cut = said.request, False
            self.listed.clear()
        for room in said.rooms:
            key = room.name.lower()
            if said.request:
                self._put(self.listed, key, room, LISTED_MAX)
            if room.part & Part.MEMBER:
                self._put(self.own, key, room, OWN_MAX)
            else:
                self.own.pop(key, None)

    def _put(self, rooms: dict[str, wire.RoomEntry], key: str, room: wire.RoomEntry, most: int
             ) -> None:
        if key in rooms or len(rooms) < most:
            rooms[key] = room
        else:
            self.is_cut = True

    def spelled(self, name: str) -> str:
        """The room as it was first written; "" if nothing is known of it."""
        room = self.own.get(name.lower()) or self.listed.get(name.lower())
        return room.name if room else ""


class AskingRooms:
    """The requests about rooms, a part of asking.Asking.  Each method returns the number of its
    request, and raises what is raised there."""

    def __init__(self, ask: Callable[..., int], check_grant: Callable[[int], None]) -> None:
        self._ask, self._check_grant = ask, check_grant

    def join(self, room: str) -> int:
        """Be a member of a room; DONE answers."""
        return self._about(wire.Join, room)

    def leave(self, room: str) -> int:
        """Be a member no longer; DONE answers."""
        return self._about(wire.Leave, room)

    def topic(self, room: str, text: str) -> int:
        """Set the topic; DONE answers."""
        return self._about(wire.Topic, room, text)

    def admit(self, room: str, admission: int, to: Sequence[str]) -> int:
        """Say who may join; DONE answers."""
        self._check(room)
        return self._ask(wire.Admit, admission, room, tuple(to))

    def close(self, room: str) -> int:
        """Close a room; DONE answers."""
        return self._about(wire.Close, room)

    def recall(self, room: str) -> int:
        """Ask what was said last; PAST comes, and DONE."""
        return self._about(wire.Recall, room)

    def members(self, room: str) -> int:
        """Ask who is in a room; ADMITTED and MEMBERS answer."""
        return self._about(wire.ListMembers, room)

    def list(self) -> int:
        """Ask for the rooms that the user may join; pages of ROOMS answer."""
        self._check_grant(Feature.ROOMS)
        return self._ask(wire.ListRooms)

    def _about(self, cls: Callable[..., wire.Message], room: str, *fields: Any) -> int:
        self._check(room)
        return self._ask(cls, room, *fields)

    def _check(self, room: str) -> None:
        self._check_grant(Feature.ROOMS)
        if not wire.is_room(room):
            raise ValueError(f"{room[:64]!r} is no room: a room is # and what may be a username")
