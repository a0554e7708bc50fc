"""rooms: places of conversation with a name, as the store has them.

A room is kept like a name: it is a `User` whose name begins with #, so nobody can log in as it.
Its own queue holds the last lines that were said in it, for those who join later (lines.py).  What
it is stands in its settings: who may join, who keeps it, the topic (room.py).  Who is in a room
stands in the settings of the members, so that a room of a thousand does not write four kilobytes
for each who joins.

A line is a message to the room's members and into the room's own queue: one record, one id, one
promise (audience.py).  An absent member finds it by CHECK, like every message.

A closed room leaves its name behind, as a user does.  A room that is made again under that name is
another one: `generation` says which of them a user was a member of.

Which logins are in the group of a room, groups.py knows.
"""
from __future__ import annotations

from collections.abc import Collection, Iterator

from rules.groups import Groups, InGroups
from rules.lines import Lines
from rules.room import HEAD, MEMBERSHIP, NUMBER, Room
from rules.roster import Roster
from rules.state import Client
from rules.store import Setting, Store, is_room
from store.user import User
from wire import Admission

ROOM_LINES = 100        # kept for those who join: two screens
LINES_MAX = 10_000      # that an operator may ask for: 160 MB of a room, of the longest texts
MEMBERS_MAX = 1000      # of a room: one line is put, and pushed to all of them, in 2 ms
ROOMS_OF_ONE = 250      # that one user is in: 2 KB of a setting, 20 KB at login
ADMITTED_MAX = 500      # names that a room is for: they fit a frame, and a setting


class Rooms:
    """All rooms, and who is in them."""

    def __init__(self, mailbox: Store, roster: Roster, groups: Groups, lines: int) -> None:
        self.mailbox = mailbox
        self.roster = roster
        self.all: dict[int, Room] = {}          # by number
        self.of: dict[int, dict[int, Room]] = {}    # by number of a member: its rooms
        self.numbers: list[int] = []            # of those that were ever made, in this order
        # closed in this turn, which the disk may refuse; and who were in them
        self.closed: dict[int, tuple[Room, dict[int, None]]] = {}
        self.lines = Lines(mailbox, roster.slices, lines, self.all)
        self.groups = InGroups(groups, mailbox, roster, self.all)
        self.load()

    def load(self) -> None:
        """Take all as the store has it, at the start."""
        users = self.mailbox.users
        rooms = [user for user in users if is_room(user)]
        self.all.update((user.number, Room(user)) for user in rooms
                        if Setting.ROOM in user.settings)
        self.numbers += [user.number for user in rooms]
        for user in users:
            if Setting.ROOMS in user.settings:
                for room in self._stored(user):
                    self._add(user.number, room)
        self.lines.load(rooms)
        self.groups.begin()

    def refused(self, users: Collection[User]) -> None:
        """The disk refused settings of these: take what they are now, rooms first."""
        known = len(self.mailbox.users)
        while self.numbers and self.numbers[-1] >= known:
            self.numbers.pop()
        for user in users:
            if is_room(user):
                self._take_back(user)
        for user in users:
            if Setting.ROOMS in user.settings or user.number in self.of:
                self._take_rooms(user)
        self.closed.clear()

    def _take_back(self, user: User) -> None:
        """A room is what it was before this turn."""
        if Setting.ROOM not in user.settings:       # it was made in this turn
            if room := self.all.pop(user.number, None):
                self._empty(room)
            return
        if user.number in self.closed:
            room, members = self.closed.pop(user.number)
            self.all[user.number] = room
            for number in members:
                self._add(number, room)
        room = self.all[user.number]
        room.read()
        if room.admission == Admission.GROUP:
            self.groups.review_at = 0.0

    def _take_rooms(self, user: User) -> None:
        """A user is in the rooms in which it was before this turn."""
        stored = {room.user.number: room for room in self._stored(user)}
        for number, room in list(self.rooms_of(user).items()):
            if number not in stored:
                self._remove(user.number, room)
        for number, room in stored.items():
            if number not in self.rooms_of(user):
                self._add(user.number, room)

    def _stored(self, user: User) -> Iterator[Room]:
        """The rooms of which this user is a member, without those that were closed since."""
        for number, generation in MEMBERSHIP.iter_unpack(user.settings.get(Setting.ROOMS, b"")):
            room = self.all.get(number)
            if room and room.generation == generation:
                yield room

    def find(self, name: str) -> Room | None:
        """The room of this name."""
        user = self.mailbox.find(name)
        return self.all.get(user.number) if user else None

    def rooms_of(self, user: User) -> dict[int, Room]:
        """The rooms of a user, by number."""
        return self.of.get(user.number, {})

    # ---- who may ----

    def may_join(self, room: Room, client: Client) -> bool:
        """Whether this client may join, and so see, a room."""
        return (room.admission == Admission.OPEN or client.user.number in room.members
                or self.may_change(room, client) or self._is_admitted(room, client.user)
                or self.groups.is_in(room, client.uid))

    @staticmethod
    def may_change(room: Room, client: Client) -> bool:
        """Whether this client may say who joins a room, and close it."""
        return client.user.number == room.keeper or client.is_operator

    @staticmethod
    def _is_admitted(room: Room, user: User) -> bool:
        return room.admission == Admission.NAMES and user.number in room.admitted

    # ---- what changes ----

    def make(self, name: str, keeper: User, now: int) -> Room:
        """A new room, open to everybody; the name may be that of one which was closed, if nothing
        of that is left (Lines.is_emptied)."""
        user = self.mailbox.find(name)
        if user is None:
            user = self.mailbox.register(name, now)
            self.numbers.append(user.number)
        # no seq is given twice, so neither is a generation: 4 * 10**9 messages lie between
        setting = HEAD.pack(Admission.OPEN, self.mailbox.last & 0xFFFFFFFF, keeper.number, 0, 0)
        self.mailbox.set(user, Setting.ROOM, setting)
        self.mailbox.set(user, Setting.ADMITTED, b"")
        room = self.all[user.number] = Room(user)
        return room

    def join(self, user: User, room: Room) -> int:
        """This user is a member.  Returns the bytes that this writes; so do the next two."""
        self._add(user.number, room)
        return self._store_rooms(user)

    def leave(self, user: User, room: Room) -> int:
        """This user is a member no longer."""
        self._remove(user.number, room)
        setting = room.without(user.settings.get(Setting.ROOMS, b""))
        self.mailbox.set(user, Setting.ROOMS, setting)
        return len(setting)

    def change(self, room: Room) -> int:
        """Store what the fields of a room say.  Members that are not in its group are put out."""
        if room.admission == Admission.GROUP:
            self.groups.review_at = 0.0
        setting, admitted = room.packed(), b"".join(map(NUMBER.pack, room.admitted))
        self.mailbox.set(room.user, Setting.ROOM, setting)
        self.mailbox.set(room.user, Setting.ADMITTED, admitted)
        return len(setting) + len(admitted)

    def close(self, room: Room) -> None:
        """There is no such room any more.  What was said in it and waits for a member stays."""
        self.closed[room.user.number] = room, self._empty(room)
        del self.all[room.user.number]
        self.lines.said(room.user)
        self.mailbox.set(room.user, Setting.ROOM, b"")
        self.mailbox.set(room.user, Setting.ADMITTED, b"")

    def _store_rooms(self, user: User) -> int:
        setting = b"".join([MEMBERSHIP.pack(number, room.generation)
                            for number, room in self.rooms_of(user).items()])
        self.mailbox.set(user, Setting.ROOMS, setting)
        return len(setting)

    def _add(self, number: int, room: Room) -> None:
        self.of.setdefault(number, {})[room.user.number] = room
        room.members[number] = None
        room.here += number in self.roster.clients
        self.roster.version += 1                # audiences are not what they were

    def _remove(self, number: int, room: Room) -> None:
        del self.of[number][room.user.number], room.members[number]
        if not self.of[number]:
            del self.of[number]
        room.here -= number in self.roster.clients
        self.roster.version += 1

    def _empty(self, room: Room) -> dict[int, None]:
        """Nobody is in this room any more.  Returns who was."""
        members = dict(room.members)
        for number in members:
            self._remove(number, room)
        return members

    # ---- clients come and go ----

    def count(self, client: Client, change: int) -> None:
        """A client came (1), or went (-1)."""
        for room in self.rooms_of(client.user).values():
            room.here += change

    def outsiders(self, client: Client) -> list[Room]:
        """The rooms of a client whose group its login is not in, as far as the host can tell; not
        those that it keeps.  An operator who uses the name says nothing about its user."""
        if client.uid is None or client.is_operator:
            return []
        return [room for room in self.rooms_of(client.user).values()
                if not self.may_change(room, client) and self.groups.is_out(room, client.uid)]

    # ---- the turn ----

    def end_turn(self) -> None:
        """What was changed in this turn is written."""
        self.closed.clear()
        self.lines.trim()

