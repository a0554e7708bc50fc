"""rooms: places of conversation with a name, as the store has them.

A room is kept like a name: it is a `User` whose name begins with #, so nobody can log in as it.
Its own queue holds the last lines that were said in it, for those who join later; older ones are
read out of it.  What it is stands in its settings: who may join, who keeps it, the topic.  Who is
in a room stands in the settings of the members, so that a room of a thousand does not write four
kilobytes for each who joins.

A line is a message to the room's members and into the room's own queue: one record, one id, one
promise (audience.py).  An absent member finds it by CHECK, like every message.

A closed room leaves its name behind, as a user does.  A room that is made again under that name is
another one: `generation` says which of them a user was a member of.

With admission GROUP the kernel says who calls, and the host which groups that login is in.  Over
TCP nobody is in a group.  A member that has left the group is put out within REVIEW_SECONDS, by
the login that owns its name, and at its next login.
"""
from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import NamedTuple

from rules.owners import Owners
from rules.roster import Roster
from rules.state import Client
from rules.store import Setting, Store, is_room
from store.user import User
from wire import Admission, Why

ROOM_LINES = 100        # kept for those who join: two screens
LINES_MAX = 10_000      # that an operator may ask for: 160 MB of a room, of the longest texts
MEMBERS_MAX = 1000      # of a room: one line is put, and pushed to all of them, in 2 ms
ROOMS_OF_ONE = 250      # that one user is in: 2 KB of a setting, 20 KB at login
ADMITTED_MAX = 500      # names that a room is for: they fit a frame, and a setting
REVIEW_SECONDS = 300.0  # between two looks at who is still in a group: as long as logins.py
                        # remembers an answer
SLACK = 4               # a room's queue is cut when it is longer than that by a part of so many:
                        # to read the oldest lines out of a segment for each new one costs 0.1 ms
HEAD = struct.Struct("!BIIIB")      # admission, generation, keeper, gid, bytes of the group's name
MEMBERSHIP = struct.Struct("!II")   # the room's number, and its generation
NUMBER = struct.Struct("!I")
EVERYTHING = 1 << 40


def closed(name: str) -> tuple[Why, str]:
    """What a client hears of a room that it may not join, whatever it asks."""
    return Why.DENIED, f"{name} is not for everybody, and its keeper has not let you in"


class Room:
    """A room that is open now."""
    __slots__ = ("admission", "admitted", "generation", "gid", "group", "here", "keeper", "members",
                 "topic", "user")

    def __init__(self, user: User) -> None:
        self.user = user
        self.members: dict[int, None] = {}      # by number of the user, who joined first is first
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

    @property
    def name(self) -> str:
        return self.user.name


class Groups(NamedTuple):
    """The host's groups.  Both raise OSError if that can't be told."""
    gid: Callable[[str], int | None] = lambda group: None   # the number of a group
    gids: Callable[[int], Sequence[int]] = lambda uid: ()   # the groups of a login, by its uid


NO_GROUPS = Groups()


class Rooms:
    """All rooms, and who is in them."""

    def __init__(self, mailbox: Store, roster: Roster, groups: Groups, lines: int) -> None:
        self.mailbox = mailbox
        self.roster = roster
        self.groups = groups
        self.lines = lines                      # that a room keeps
        self.all: dict[int, Room] = {}          # by number
        self.of: dict[int, dict[int, Room]] = {}    # by number of a member: its rooms
        self.numbers: list[int] = []            # of those that were ever made, in this order
        self.long: dict[User, None] = {}       # in which something was said in this turn
        self.review_at = inf                    # when members are looked at, on the monotonic clock
        self._is_reviewing = False
        self.load()

    def load(self) -> None:
        """Take all as the store has it: at the start, and when the disk refused something."""
        users = self.mailbox.users
        self.all = {user.number: Room(user) for user in users
                    if is_room(user) and Setting.ROOM in user.settings}
        self.numbers = [user.number for user in users if is_room(user)]
        self.of.clear()
        self.long.clear()
        for user in users:
            if Setting.ROOMS in user.settings:
                for room in self._stored(user):
                    self._add(user, room)
        self.review_at = 0.0 if self._groups() else inf

    def _stored(self, user: User) -> Iterator[Room]:
        """The rooms of which this user is a member, without those that were closed since."""
        for number, generation in MEMBERSHIP.iter_unpack(user.settings[Setting.ROOMS]):
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
                or self._is_in_group(room, client.uid))

    @staticmethod
    def may_change(room: Room, client: Client) -> bool:
        """Whether this client may say who joins a room, and close it."""
        return client.user.number == room.keeper or client.is_operator

    @staticmethod
    def _is_admitted(room: Room, user: User) -> bool:
        return room.admission == Admission.NAMES and user.number in room.admitted

    def _is_in_group(self, room: Room, uid: int | None) -> bool:
        if room.admission != Admission.GROUP or uid is None:
            return False
        try:
            return room.gid in self.groups.gids(uid)
        except OSError:
            return False

    # ---- what changes ----

    def make(self, name: str, keeper: User, now: int) -> Room:
        """A new room, open to everybody; the name may be that of one which was closed."""
        user = self.mailbox.find(name)
        if user is None:
            user = self.mailbox.register(name, now)
            self.numbers.append(user.number)
        elif user.waiting:      # trim() comes later than this, and not at all after a kill -9
            self.mailbox.read(user, 0, self.mailbox.last)
        # no seq is given twice, so neither is a generation: 4 * 10**9 messages lie between
        setting = HEAD.pack(Admission.OPEN, self.mailbox.last & 0xFFFFFFFF, keeper.number, 0, 0)
        self.mailbox.set(user, Setting.ROOM, setting)
        self.mailbox.set(user, Setting.ADMITTED, b"")
        room = self.all[user.number] = Room(user)
        return room

    def join(self, user: User, room: Room) -> int:
        """This user is a member.  Returns the bytes that this writes; so do the next two."""
        self._add(user, room)
        return self._store_rooms(user)

    def leave(self, user: User, room: Room) -> int:
        """This user is a member no longer."""
        self._remove(user, room)
        return self._store_rooms(user)

    def change(self, room: Room) -> int:
        """Store what the fields of a room say.  Members that are not in its group are put out."""
        if room.admission == Admission.GROUP:
            self.review_at = 0.0
        setting, admitted = room.packed(), b"".join(map(NUMBER.pack, room.admitted))
        self.mailbox.set(room.user, Setting.ROOM, setting)
        self.mailbox.set(room.user, Setting.ADMITTED, admitted)
        return len(setting) + len(admitted)

    def close(self, room: Room) -> None:
        """There is no such room any more.  What was said in it and waits for a member stays."""
        for number in list(room.members):
            self._remove(self.mailbox.users[number], room)
        del self.all[room.user.number]
        self.long[room.user] = None
        self.mailbox.set(room.user, Setting.ROOM, b"")
        self.mailbox.set(room.user, Setting.ADMITTED, b"")

    def _store_rooms(self, user: User) -> int:
        setting = b"".join([MEMBERSHIP.pack(number, room.generation)
                            for number, room in self.rooms_of(user).items()])
        self.mailbox.set(user, Setting.ROOMS, setting)
        return len(setting)

    def _add(self, user: User, room: Room) -> None:
        self.of.setdefault(user.number, {})[room.user.number] = room
        room.members[user.number] = None
        room.here += user.number in self.roster.clients
        self.roster.version += 1                # audiences are not what they were

    def _remove(self, user: User, room: Room) -> None:
        del self.of[user.number][room.user.number], room.members[user.number]
        if not self.of[user.number]:
            del self.of[user.number]
        room.here -= user.number in self.roster.clients
        self.roster.version += 1

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
                if not self.may_change(room, client) and self._is_out(room, client.uid)]

    def _is_out(self, room: Room, uid: int) -> bool:
        """Whether the host says that this login is not in the group of a room."""
        if room.admission != Admission.GROUP:
            return False
        try:
            return room.gid not in self.groups.gids(uid)
        except OSError:
            return False

    # ---- the turn ----

    def said(self, user: User) -> None:
        """A line was put into the queue of this room."""
        self.long[user] = None

    def trim(self) -> None:
        """Let go of lines that are too old, after the write: should the disk refuse the new ones,
        the old ones are still there."""
        for user in self.long:
            lines = self.lines if user.number in self.all else 0
            excess = user.waiting - lines
            if excess > lines // SLACK:
                old = self.mailbox.unread(user, 0, self.mailbox.last, excess, EVERYTHING)
                if old:
                    self.mailbox.read(user, 0, old[-1].last)
        self.long.clear()

    def review(self, now: float, put_out: Callable[[User, Room], None]) -> None:
        """From time to time look who is not in a group any more; a look-up in a step, for the
        host's list may be slow.  `now`: the monotonic clock."""
        if now >= self.review_at and not self._is_reviewing:
            self.review_at = now + REVIEW_SECONDS if self._groups() else inf
            self._is_reviewing = True
            self.roster.slices.begin(self._review(put_out))

    def _groups(self) -> list[Room]:
        return [room for room in self.all.values() if room.admission == Admission.GROUP]

    def _review(self, put_out: Callable[[User, Room], None]) -> Iterator[None]:
        for room in self._groups():
            for number in list(room.members):
                uid = Owners.of(self.mailbox.users[number])
                is_member = number in room.members and self.all.get(room.user.number) is room
                if (is_member and number != room.keeper and uid is not None
                        and not self.mailbox.refusal and self._is_out(room, uid)):
                    put_out(self.mailbox.users[number], room)
                yield
        self._is_reviewing = False
