"""audience: who gets a message.

A client that writes to the same names again has the same audience: who they are, which of them read
now, and for how many messages their mailboxes surely have room.  So audiences are remembered, as
long as nobody comes, goes, holds or stops holding.
"""
from __future__ import annotations

from collections.abc import Callable

import wire
from rules.errands import Errands
from rules.promises import OutcomePages
from rules.quota import Accounts
from rules.retirement import is_retired
from rules.rooms import Rooms
from rules.roster import Roster
from rules.state import Client
from rules.statuses import Statuses
from rules.store import Store, is_room
from store.headings import heading_of, heading_of_names
from store.user import User
from wire import Outcome, SendFlag, Why

AUDIENCES_MAX = 500_000     # names and users in the audiences that are remembered: some megabytes


class Unfit(Exception):
    """A message is refused."""

    def __init__(self, why: Why, reason: str) -> None:
        super().__init__(reason)
        self.why = why
        self.reason = reason


def check_reader(user: User) -> None:
    """Raise Unfit if no message can name this user, or not beside others."""
    if is_retired(user):
        raise Unfit(Why.UNKNOWN, f"{user.name} was retired: nobody reads it any more")
    if is_room(user):
        raise Unfit(Why.OTHER, "a message to a room has no other recipient")


class Audience:
    """The recipients of a client's messages to some names."""
    __slots__ = ("flags", "heading", "holding", "is_plain", "outcomes", "reading", "room", "until",
                 "users")

    def __init__(self, users: list[User], flags: int, reading: dict[Client, None],
                 holding: dict[Client, None], outcomes: OutcomePages, until: int,
                 heading: bytes = b"", room: User | None = None) -> None:
        self.users = users              # a message is put for them; none: nothing is stored
        self.flags = flags              # of what is put
        self.reading = reading          # those that are pushed it
        self.holding = holding          # those that are told how many messages wait
        self.outcomes = outcomes        # those that do not read now
        self.heading = heading          # what its messages say to whom they went (headings.py)
        self.is_plain = not heading and not flags & SendFlag.EVERYONE
        self.until = until              # no mailbox of theirs is full before Audiences.puts is this
        self.room = room                # whose members they are; it is the last of the users

    @property
    def members(self) -> list[User]:
        """The users, without the room."""
        return self.users[:-1] if self.room else self.users


class Audiences:
    """The audiences of all clients."""

    def __init__(self, mailbox: Store, roster: Roster, note: Callable[..., None],
                 accounts: Accounts, rooms: Rooms, statuses: Statuses, errands: Errands) -> None:
        self.mailbox = mailbox
        self.roster = roster
        self.note = note
        self.accounts = accounts
        self.rooms = rooms
        self.statuses = statuses
        self.errands = errands
        self.puts = 0                                           # messages put so far, by anybody
        self.version = 0                                        # of the roster that they are for
        # those that are remembered, by the sender, the flags and the names
        self.known: dict[tuple[Client, int, tuple[str, ...]], Audience] = {}
        self._remembered = 0                                    # names and users in them

    def forget(self) -> None:
        """Audiences have changed: somebody came, went or holds, or the disk refused something."""
        self.known.clear()
        self._remembered = 0
        self.version = self.roster.version

    def find(self, client: Client, flags: int, to: tuple[str, ...]) -> Audience:
        """Find out who they are, whether their mailboxes have room or not.  Raises Unfit."""
        if self._remembered > AUDIENCES_MAX:
            self.forget()
        if len(to) == 1 and wire.is_room(to[0]):
            audience = self.known[client, flags, to] = self._in_room(client, flags, to[0])
            self._remembered += len(audience.users)
            return audience
        users, outcomes = self._recipients(client, flags, to), OutcomePages()
        self._remembered += len(users) + len(to)
        if flags & SendFlag.NOW:
            away = [user.name for user in users if user.number not in self.roster.clients]
            if away:
                outcomes = outcomes.with_names(Outcome.ABSENT, away)
                users = [user for user in users if user.number in self.roster.clients]
        audience = self.known[client, flags, to] = self._of(client, flags, users, outcomes)
        if not flags & SendFlag.EVERYONE:
            self.statuses.tell(client, users)
        return audience

    def _in_room(self, client: Client, flags: int, name: str) -> Audience:
        """The other members of a room, and the room itself.  Raises Unfit."""
        room = self.rooms.find(name)
        if room is None or client.user.number not in room.members:
            raise Unfit(Why.UNKNOWN, f"you are not in {name[:64]}: /join {name[:64]} first")
        if flags & SendFlag.NOW:
            raise Unfit(Why.OTHER, "what is said in a room is kept: it can't be now or never")
        members = [self.mailbox.users[number] for number in room.members]
        users = [user for user in members if user is not client.user and not is_retired(user)]
        return self._of(client, flags, users, OutcomePages(), room.user)

    def remember(self, key: tuple[Client, int, tuple[str, ...]], audience: Audience) -> None:
        """Take this one, found in another way (everyone.py), for the next message."""
        if self.version != self.roster.version:
            self.forget()
        self.known[key] = audience

    def _recipients(self, client: Client, flags: int, to: tuple[str, ...]) -> list[User]:
        """The users that a message names.  Raises Unfit."""
        if flags & SendFlag.EVERYONE:
            everyone = [user for user in self.mailbox.users
                        if user is not client.user and not is_retired(user)
                        and not is_room(user)]
            if not everyone:
                raise Unfit(Why.EMPTY, "there is no other name in the log yet")
            return everyone
        found: dict[int, User] = {}
        for name in to:
            user = self.mailbox.find(name)
            if user is None:
                raise Unfit(Why.UNKNOWN, f"no user named {name[:64]} is in the log")
            check_reader(user)
            found[user.number] = user
        if not found:
            raise Unfit(Why.EMPTY, "a message needs a recipient")
        return list(found.values())

    def _of(self, client: Client, flags: int, users: list[User], outcomes: OutcomePages,
            room: User | None = None) -> Audience:
        """The audience of messages that are put for these users, and for the room whose members
        they are.  Who of them reads now is not told about a room: it may have a thousand."""
        readers = self.roster.clients
        away: list[str] = []
        new: list[str] = []
        tells_new = client.features & wire.Feature.LOGINS
        reading = self.listening(users)
        holding: dict[Client, None] = {}
        for user in users:
            reader = readers.get(user.number)
            if reader is None:
                (new if tells_new and not user.last_seen else away).append(user.name)
            elif reader.holding:
                holding[reader] = None
            else:
                reading[reader] = None
        if room:
            return Audience([*users, room], flags, reading, holding, outcomes,
                            self._until(client, users), heading_of((room.name,)), room)
        held = [reader.name for reader in holding]
        for outcome, names in (Outcome.AWAY, away), (Outcome.NEW, new), (Outcome.HOLDING, held):
            if names:
                outcomes = outcomes.with_names(outcome, names)
        heading = b"" if flags & SendFlag.EVERYONE else heading_of_names(
            [user.name for user in users])
        return Audience(users, flags, reading, holding, outcomes, self._until(client, users),
                        heading)

    def listening(self, users: list[User]) -> dict[Client, None]:
        """The errands that are pushed the messages of these: before the session, which confirms
        them."""
        if not self.errands.of:
            return {}
        return dict.fromkeys([each for user in users for each in self.errands.listeners(user)])

    def _until(self, client: Client, users: list[User]) -> int:
        return self.puts + self.accounts.room(users, client.user)

    def look(self, client: Client, audience: Audience) -> int:
        """For how many messages the mailboxes of an audience surely have room now."""
        audience.until = self._until(client, audience.members)
        return audience.until - self.puts

    def with_room(self, client: Client, origin: int, flags: int, audience: Audience, size: int
                  ) -> Audience:
        """Those of an audience whose mailboxes have room for one message of this size; the others
        are an outcome.  Raises Unfit if no mailbox has room."""
        members, room = audience.members, audience.room
        full = self.accounts.full(members, client.user, size)
        if not full:
            return audience
        names = [user.name for user in full]
        self.note("mailbox-full", sender=client.name, to=wire.some(names), origin=origin)
        numbers = {user.number for user in full}
        users = [user for user in members if user.number not in numbers]
        absent = [page for page in audience.outcomes.pages if page[0] is Outcome.ABSENT]
        if not users and not absent and not room:
            whose = f"the mailbox of {names[0]} is" if len(full) == 1 else "their mailboxes are"
            raise Unfit(Why.FULL, f"{whose} full: not delivered")
        outcomes = OutcomePages(absent).with_names(Outcome.FULL, names)
        return self._of(client, flags, users, outcomes, room)
