"""What the clients of random_clients.py do about rooms, and what they know of them.

Who gets a line depends on what the daemon read first, the line or the JOIN of somebody else; so a
line knows who must get it, and who may.  A user is in a room, or not, or that is open: from its
JOIN or LEAVE to the answer, and of all users while somebody closes the room or says who may join.
When all rest, the daemon has told everybody what is so.
"""
from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import wire
from wire import Admission, Part

if TYPE_CHECKING:
    from tests.torture.random_clients import User, World

Key = tuple[str, int]
ROOMS = tuple(f"#r{number}" for number in range(4))
KEPT = 60                   # lines that a room keeps, --room-lines
SLACK = 4                   # and a part of so many more
AWAY = 10                   # so many users say sometimes that they are away: each text goes to all


class Sent:
    """A message.  `to`: who must get it; `may`: who may; `room`: where it was said, if in one."""

    def __init__(self, text: str, to: list[str], room: str = "") -> None:
        self.text, self.to, self.room = text, set(to), room
        self.may: set[str] = set()
        self.is_sure = not room         # the sender is a member, so it may not be refused


class Room:
    """What the world knows of a room."""

    def __init__(self) -> None:
        self.is_open = False                    # who is in it, while somebody changes that for all
        self.flying: dict[Key, Sent] = {}       # lines without an answer
        self.lines: set[Key] = set()            # stored since it was made
        self.perhaps: set[Key] = set()          # or before


class Rooms:
    """All rooms."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.all = {name: Room() for name in ROOMS}
        self.counts = {"lines": 0, "recalls": 0}

    def says(self, user: User, sent: Sent, key: Key) -> None:
        """A line of this user in a room."""
        room = self.all[sent.room]
        for name, other in self.world.users.items():
            if other is not user and other.about.is_in[sent.room] is not False:
                sent.may.add(name)
                if other.about.is_in[sent.room] and not room.is_open:
                    sent.to.add(name)
        sent.is_sure = bool(user.about.is_in[sent.room]) and not room.is_open
        room.flying[key] = sent

    def is_stored(self, key: Key, sent: Sent) -> None:
        room = self.all[sent.room]
        room.flying.pop(key, None)
        (room.perhaps if room.is_open else room.lines).add(key)
        self.counts["lines"] += 1

    def opens(self, name: str) -> None:
        """Somebody closes the room, or says who may join it."""
        room = self.all[name]
        room.is_open = True
        room.perhaps |= room.lines
        room.lines.clear()
        for sent in room.flying.values():
            sent.to.clear()
            sent.is_sure = False
        for user in self.world.users.values():
            user.about.is_in[name] = None

    def changes(self, user: User, name: str) -> None:
        """A user says that it joins, or leaves."""
        user.about.is_in[name] = None
        for (sender, _), sent in self.all[name].flying.items():
            sent.to.discard(user.name)
            sent.may.add(user.name)
            if sender == user.name:
                sent.is_sure = False

    def rest(self) -> None:
        """All rest: what was told is so."""
        for name, room in self.all.items():
            for user in self.world.users.values():
                is_in, about = name in user.about.told, user.about
                if not user.online:
                    continue
                if about.is_in[name] not in (None, is_in) and not room.is_open:
                    user.fault(f"was told that it is {'' if is_in else 'not '}in {name}")
                about.is_in[name] = is_in
            room.is_open = False

    def recall(self) -> None:
        """A member of each room asks for what was said in it."""
        for name in self.all:
            members = [user for user in self.world.users.values()
                       if user.online and user.about.is_in[name]]
            if members:
                self.world.chance.choice(members).about.recall(name)

    def recalled(self, user: User, name: str, past: list[Key]) -> None:
        """This is what the daemon has told."""
        room, ids = self.all[name], self.world.numbers
        self.counts["recalls"] += 1
        order = [ids[key] for key in past if key in ids]
        first = order[0] if order and len(past) >= KEPT else 0  # else it has all
        missing = {key for key in room.lines if ids.get(key, first) > first} - set(past)
        if missing or order != sorted(order) or len(set(past)) < len(past):
            user.fault(f"recalled {name}: {len(past)} lines, without {sorted(missing)[:5]}")
        if not set(past) <= room.lines | room.perhaps or len(past) > KEPT + KEPT // SLACK:
            user.fault(f"recalled {name}: {len(past)} lines, and some that were not said there")


class About:
    """What one user asks about rooms and says of being away; what it was told."""

    def __init__(self, user: User) -> None:
        self.user, self.chance = user, user.chance
        self.is_in: dict[str, bool | None] = dict.fromkeys(ROOMS, False)
        self.status: str | None = ""            # None: that is open
        self.reset()

    def reset(self) -> None:
        """There is no connection: what was asked may be done, or not."""
        self.numbers = itertools.count(10)
        self.said = 0                           # SET_STATUS without an answer
        self.moves = dict.fromkeys(ROOMS, 0)    # JOINs and LEAVEs without an answer
        self.asked: dict[int, Callable[[bool], None]] = {}
        self.told: set[str] = set()             # rooms that it is in, by ROOMS
        self.statuses: dict[str, str] = {}
        self.past: list[Key] = []

    def _ask(self, said: Callable[[int], wire.Message], then: Callable[[bool], None]) -> None:
        number = next(self.numbers)
        self.asked[number] = then
        self.user.say(said(number))

    def answered(self, said: Any) -> None:
        self.asked.pop(said.request)(isinstance(said, wire.Done))

    # ---- what it asks ----

    def join_or_leave(self) -> None:
        rooms, name = self.user.world.rooms, self.chance.choice(ROOMS)
        joins = self.chance.random() < (0.3 if any(self.is_in.values()) else 0.9)

        def then(is_done: bool) -> None:
            self.moves[name] -= 1
            if not rooms.all[name].is_open and not self.moves[name]:
                self.is_in[name] = joins and is_done
        rooms.changes(self.user, name)
        self.moves[name] += 1
        self._ask(lambda number: (wire.Join if joins else wire.Leave)(number, name), then)

    def change(self) -> None:
        """Close one of its rooms, and mostly make it again; or say who may join, or the topic."""
        rooms, mine = self.user.world.rooms, [room for room in ROOMS if self.is_in[room]]
        if not mine:
            return
        name, what = self.chance.choice(mine), self.chance.random()
        if what < 0.5:
            self._ask(lambda number: wire.Topic(number, name, str(number)), lambda is_done: None)
            return
        rooms.opens(name)
        if what < 0.8:
            self._ask(lambda number: wire.Close(number, name), lambda is_done: None)
            if self.chance.random() < 0.8:
                self._ask(lambda number: wire.Join(number, name), lambda is_done: None)
        else:
            to = tuple(self.chance.sample(self.user.world.here(), 5))
            self._ask(lambda number: wire.Admit(number, Admission.NAMES, name, to),
                      lambda is_done: None)
            self._ask(lambda number: wire.Admit(number, Admission.OPEN, name, ()),
                      lambda is_done: None)

    def away(self) -> None:
        text = self.chance.choice(("", "at lunch", "on a train"))

        def then(is_done: bool) -> None:
            self.said -= 1
            if not self.said:
                self.status = text
        self.status = None
        self.said += 1
        self._ask(lambda number: wire.SetStatus(number, text), then)

    def recall(self, name: str) -> None:
        def then(is_done: bool) -> None:
            self.user.world.rooms.recalled(self.user, name, self.past)
            self.past = []
        if not self.past and not self.asked:
            self._ask(lambda number: wire.Recall(number, name), then)

    # ---- what it is told ----

    def on_rooms(self, said: wire.Rooms) -> None:
        for entry in said.rooms:
            (self.told.add if entry.part & Part.MEMBER else self.told.discard)(entry.name)

    def on_past(self, said: wire.Past) -> None:
        for origin, text in enumerate(said.texts, said.origin):
            key = said.sender, origin
            if self.user.world.sent[key].text != text:
                self.user.fault(f"recalled {said}, which nobody said")
            self.past.append(key)

    def on_status(self, said: wire.Status) -> None:
        self.statuses[said.name] = said.text

    def rest(self) -> None:
        """All rest: it knows what everybody says of being away."""
        wrong = {name: self.statuses.get(name) for name, other in self.user.world.users.items()
                 if other.online and other.about.status is not None
                 and self.statuses.get(name, "") != other.about.status}
        if wrong:
            self.user.fault(f"was told that they are away: {wrong}")
