"""joining: what users may change about rooms.

Who makes a room is its keeper.  The keeper, and operators, may say who joins it, and close it; the
topic of an open room is set by any member, that of another by its keeper alone.  Nobody is told
that somebody joined or left: LIST_MEMBERS says who is in a room, and one of a thousand members
would say little else.

A room is a name in the log, and is counted as one: by the rate of new names (hosts.py), the names
that a login may own (owners.py), and the names that the log may hold.
"""
from __future__ import annotations

from collections.abc import Callable, Container

import wire
from rules.audience import Unfit
from rules.claims import Claims
from rules.hosts import Hosts
from rules.looking import Looking
from rules.newcomers import Newcomers
from rules.promises import Promises
from rules.room import Room, closed
from rules.rooms import ADMITTED_MAX, MEMBERS_MAX, ROOMS_OF_ONE, Rooms
from rules.roster import Roster
from rules.state import Client, Doubtful, Now, Refusal
from rules.store import Store
from store.user import User
from wire import Admission, Feature, Why

Refused = tuple[Why, str] | None


class Joining:
    """The requests about rooms."""

    def __init__(self, rooms: Rooms, mailbox: Store, roster: Roster, promises: Promises,
                 note: Callable[..., None], looking: Looking, claims: Claims, hosts: Hosts,
                 newcomers: Newcomers) -> None:
        self.rooms = rooms
        self.mailbox = mailbox
        self.roster = roster
        self.promises = promises
        self.note = note
        self.looking = looking
        self.claims = claims
        self.hosts = hosts
        self.newcomers = newcomers

    # ---- coming and going ----

    def enter(self, client: Client) -> None:
        """A client came in: its rooms have one more that is here."""
        self.rooms.count(client, 1)
        if not self.mailbox.refusal:
            for room in self.rooms.outsiders(client):
                self.put_out(client.user, room)

    def leave(self, client: Client) -> None:
        """A client goes."""
        self.rooms.count(client, -1)

    def look(self, now: Now) -> None:
        """At the end of a turn: old lines go, and those that are in a group no more."""
        self.rooms.end_turn()
        self.rooms.groups.review(now.monotonic, self.put_out)
        self.looking.end_turn()

    def put_out(self, user: User, room: Room) -> None:
        """This user is not admitted any more."""
        self.rooms.leave(user, room)
        self.note("left-room", name=user.name, room=room.name)
        self.looking.tell_out([user], room)

    # ---- requests that change something ----

    def on_join(self, client: Client, said: wire.Join, now: Now) -> None:
        """Join a room, or make it.  Raises Doubtful."""
        room = self.rooms.find(said.room)
        if room and client.user.number in room.members:
            self._done(client, said.request, None)
            return
        refusal = self._full(client) or (
            self._not_admitted(client, room) if room else self._not_made(client, said.room, now))
        if not refusal:
            if room is None:
                room = self._make(client, said.room, now)
            client.usage.put += self.rooms.join(client.user, room)
            client.work += len(self.rooms.rooms_of(client.user))
            self.note("joined", name=client.name, room=room.name)
            self.looking.tell(room, self._clients(client))
        self._done(client, said.request, refusal)

    def _full(self, client: Client) -> Refused:
        if self.mailbox.refusal:
            return Why.FULL, self.mailbox.refusal
        if len(self.rooms.rooms_of(client.user)) >= ROOMS_OF_ONE:
            return Why.FULL, f"you are in {ROOMS_OF_ONE} rooms: /leave one first"
        return None

    def _not_admitted(self, client: Client, room: Room) -> Refused:
        """Why this client may not join this room."""
        if not self.rooms.may_join(room, client):
            return closed(room.name)
        if len(room.members) >= MEMBERS_MAX:
            return Why.FULL, f"{room.name} has {MEMBERS_MAX} members, and takes no more"
        return None

    def _not_made(self, client: Client, name: str, now: Now) -> Refused:
        """Why this client may not make a room of this name."""
        if not wire.is_room(name):
            return Why.BAD_NAME, "a room is # and what may be a username: /join #ops"
        if before := self.mailbox.find(name):   # of one that was closed
            if self.rooms.lines.is_emptied(before):
                raise Doubtful
            return None
        try:
            self.claims.check_more(client.uid)
        except Refusal as refusal:
            return Why(refusal.message.why), refusal.message.reason
        return self.hosts.admit_name(client.host, len(self.mailbox.users), now.monotonic)

    def _make(self, client: Client, name: str, now: Now) -> Room:
        is_new = self.mailbox.find(name) is None
        room = self.rooms.make(name, client.user, now.wall)
        if is_new:
            self.claims.own(room.user, client.uid)
        self.note("room-made", name=client.name, room=room.name)
        return room

    def on_leave(self, client: Client, said: wire.Leave, now: Now) -> None:
        """Leave a room."""
        room, refusal = self._mine(client, said.room)
        if room:
            client.usage.put += self.rooms.leave(client.user, room)
            self.note("left-room", name=client.name, room=room.name)
            self.looking.tell(room, self._clients(client))
        self._done(client, said.request, refusal)

    def on_topic(self, client: Client, said: wire.Topic, now: Now) -> None:
        """Set the topic."""
        room, refusal = self._mine(client, said.room)
        if room and room.admission != Admission.OPEN and not self.rooms.may_change(room, client):
            refusal = Why.DENIED, f"only the keeper of {room.name} may set its topic"
        elif room and (len(said.text.encode()) > wire.TOPIC_MAX or not said.text.isprintable()):
            refusal = Why.BAD_TEXT, f"a topic is a line of at most {wire.TOPIC_MAX} bytes"
        elif room:
            room.topic = said.text
            self._change(client, room)
            self.note("topic", name=client.name, room=room.name, text=room.topic)
        self._done(client, said.request, refusal)

    def on_admit(self, client: Client, said: wire.Admit, now: Now) -> None:
        """Say who may join.  Members who may not leave."""
        room, refusal = self._kept(client, said.room)
        before = room.admitted if room else {}
        if room:
            client.work += len(said.to)
            refusal = self._register(client, room, said, now) or self._admit(room, said)
        if room and not refusal:
            if room.admission == Admission.NAMES:
                client.work += len(room.members)
                self._put_out_others(client, room)
                self._tell_let_in(client, room, before)
            self._change(client, room)
            self.note("room-for", name=client.name, room=room.name,
                      who=wire.some(said.to) or "everybody")
        self._done(client, said.request, refusal)

    def _put_out_others(self, client: Client, room: Room) -> None:
        """Members who are not admitted any more leave; this client is told who they are."""
        others = [self.mailbox.users[number] for number in room.members
                  if number not in room.admitted and number != room.keeper]
        for user in others:
            self.rooms.leave(user, room)
            self.note("left-room", name=user.name, room=room.name)
        self.looking.tell_out(others, room)
        if others:
            whom = [self.mailbox.users[number].name for number in room.admitted]
            names = wire.some([user.name for user in others], ", ")
            self.roster.tell(client, wire.Notice(
                f"{room.name} is for {wire.some(whom, ', ') or 'nobody else'} now; {names} "
                f"{'is' if len(others) == 1 else 'are'} out"))

    def _tell_let_in(self, client: Client, room: Room, before: Container[int]) -> None:
        """Who may join now, and could not `before`, is told."""
        clients = self.roster.clients
        new = [clients[number] for number in room.admitted
               if number in clients and number not in before and number not in room.members]
        self.roster.tell_all(
            [each for each in new if each is not client and each.features & Feature.ROOMS],
            wire.Notice(f"{client.name} has let you into {room.name}: /join {room.name}"))

    def _amend(self, room: Room, said: wire.Admit) -> Refused:
        """Let the room be for these too, or for these no longer; or say why that can't be."""
        if room.admission != Admission.NAMES:
            return Why.OTHER, (f"{room.name} is not for some names: /room {room.name} names "
                               "bob,erin makes it so")
        found = [self.mailbox.find(name) for name in said.to]
        drops = said.admission == Admission.DROP
        for name, user in zip(said.to, found, strict=True):
            if user is None or not wire.is_name(user.name):
                return Why.UNKNOWN, f"no user named {name[:64]} is in the log"
            if drops and user.number not in room.admitted:
                return Why.UNKNOWN, f"{room.name} is not for {user.name} as it is"
        named = {user.number: None for user in found if user is not None}
        admitted = ({number: None for number in room.admitted if number not in named} if drops
                    else {**room.admitted, **named})
        if len(admitted) > ADMITTED_MAX:
            return Why.FULL, f"a room is for {ADMITTED_MAX} names at most"
        room.admitted = admitted
        return None

    def _register(self, client: Client, room: Room, said: wire.Admit, now: Now) -> Refused:
        """A room may be for logins that never came: they are registered, as for a message.  Nobody
        is for what _admit refuses."""
        adds = said.admission == Admission.ADD and room.admission == Admission.NAMES
        most = ADMITTED_MAX - len(room.admitted) * adds
        if (not adds and said.admission != Admission.NAMES) or len(said.to) > most:
            return None
        found = [(name, self.mailbox.find(name)) for name in said.to]
        if not all(wire.is_name(user.name if user else name) for name, user in found):
            return None
        try:
            self.newcomers.register(client, 0, [name for name, user in found if not user], now)
        except Unfit as unfit:
            return unfit.why, unfit.reason
        return None

    def _admit(self, room: Room, said: wire.Admit) -> Refused:
        """Let the room be for these; or say why that can't be."""
        if said.admission in (Admission.ADD, Admission.DROP):
            return self._amend(room, said)
        gid, found = 0, [self.mailbox.find(name) for name in said.to]
        if said.admission == Admission.NAMES:
            missing = [name for name, user in zip(said.to, found, strict=True)
                       if user is None or not wire.is_name(user.name)]
            if missing or not found:
                return Why.UNKNOWN, f"no user named {(*missing, '?')[0][:64]} is in the log"
            if len(found) > ADMITTED_MAX:
                return Why.FULL, f"a room is for {ADMITTED_MAX} names at most"
        elif said.admission == Admission.GROUP and len(said.to) == 1:
            try:
                known = self.rooms.groups.host.gid(said.to[0])
            except OSError:
                return Why.FULL, "the host's list of groups does not answer: try again"
            if known is None or len(said.to[0].encode()) > 255:
                return Why.UNKNOWN, f"this host has no group {said.to[0][:64]}"
            gid = known
        elif said.admission != Admission.OPEN or said.to:
            return Why.OTHER, "a room is open, for some names, or for one group"
        room.admission, room.gid = said.admission, gid
        room.group = said.to[0] if said.admission == Admission.GROUP else ""
        room.admitted = {user.number: None for user in found if user is not None
                         and said.admission == Admission.NAMES}
        return None

    def on_close(self, client: Client, said: wire.Close, now: Now) -> None:
        """Close a room."""
        room, refusal = self._kept(client, said.room)
        if room:
            members = [self.roster.clients[number] for number in room.members
                       if number in self.roster.clients]
            client.work += len(room.members)
            self.rooms.close(room)
            self.note("room-closed", name=client.name, room=room.name)
            self.looking.tell(room, members)
            self.roster.tell_all([each for each in members if each is not client],
                                 wire.Notice(f"{room.name} was closed by {client.name}"))
        self._done(client, said.request, refusal)

    def _change(self, client: Client, room: Room) -> None:
        """Store what a room is now, and tell the members that are here."""
        client.work += room.here
        client.usage.put += self.rooms.change(room)
        clients = self.roster.clients
        self.looking.tell(room, [clients[number] for number in room.members if number in clients])

    def _clients(self, client: Client) -> list[Client]:
        """This client, and the session beside which it is an errand."""
        session = self.roster.clients.get(client.user.number, client)
        return [client] if session is client else [client, session]

    def _done(self, client: Client, request: int, refusal: Refused) -> None:
        if refusal:
            self.roster.tell(client, wire.Failed(request, *refusal))
        else:
            self.promises.turn.settings.append((client, request))

    def _mine(self, client: Client, name: str) -> tuple[Room | None, Refused]:
        """A room of the client's; or why it is none, or nothing can be changed."""
        room = self.rooms.find(name)
        if room is None or client.user.number not in room.members:
            return None, (Why.UNKNOWN, f"you are not in {name[:64]}")
        return self._changeable(room)

    def _kept(self, client: Client, name: str) -> tuple[Room | None, Refused]:
        """A room that the client may change; or why not."""
        room = self.rooms.find(name)
        if room is None:
            return None, (Why.UNKNOWN, f"there is no room {name[:64]}")
        if not self.rooms.may_join(room, client):
            return None, closed(room.name)
        if not self.rooms.may_change(room, client):
            keeper = self.mailbox.users[room.keeper].name
            return None, (Why.DENIED, f"only {keeper}, the keeper of {room.name}, may do that")
        return self._changeable(room)

    def _changeable(self, room: Room) -> tuple[Room | None, Refused]:
        return (None, (Why.FULL, self.mailbox.refusal)) if self.mailbox.refusal else (room, None)
