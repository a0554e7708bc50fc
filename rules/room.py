"""room: one room, as its settings in the store say (rooms.py)."""
from __future__ import annotations

import struct

from rules.store import Setting
from store.user import User
from wire import Why

HEAD = struct.Struct("!BIIIB")      # admission, generation, keeper, gid, bytes of the group's name
MEMBERSHIP = struct.Struct("!II")   # the room's number, and its generation
NUMBER = struct.Struct("!I")


def closed(name: str) -> tuple[Why, str]:
    """What a client hears of a room that it may not join, whatever it asks."""
    return Why.DENIED, f"{name} is not for everybody, and its keeper has not let you in"


class Room:
    """A room that is open now."""
    __slots__ = ("admission", "admitted", "generation", "gid", "group", "here", "keeper", "members",
                 "topic", "user")

    def __init__(self, user: User) -> None:
        self.user = user
        self.members: dict[int, None] = {}      # by number of the user
        self.here = 0                           # of them, connected
        self.read()

    def read(self) -> None:
        """Take the settings as the store has them."""
        setting = self.user.settings[Setting.ROOM]
        self.admission, self.generation, self.keeper, self.gid, size = HEAD.unpack_from(setting)
        words = setting[HEAD.size:]
        self.group, self.topic = words[:size].decode(), words[size:].decode()
        admitted = self.user.settings.get(Setting.ADMITTED, b"")
        self.admitted = {number: None for (number,) in NUMBER.iter_unpack(admitted)}

    def packed(self) -> bytes:
        """The setting ROOM."""
        group = self.group.encode()
        head = HEAD.pack(self.admission, self.generation, self.keeper, self.gid, len(group))
        return head + group + self.topic.encode()

    def without(self, rooms: bytes) -> bytes:
        """The setting ROOMS of a member that leaves.  Made anew of 250 rooms, it would take as long
        as all else that a leave does, and a thousand may be put out at once."""
        row, at = MEMBERSHIP.pack(self.user.number, self.generation), -1
        while (at := rooms.find(row, at + 1)) >= 0:
            if at % MEMBERSHIP.size == 0:
                return rooms[:at] + rooms[at + MEMBERSHIP.size:]
        return rooms

    @property
    def name(self) -> str:
        return self.user.name
