"""looking: what clients are told of rooms: which there are, who is in one, what was said there.

A client with Feature.ROOMS is told its own rooms after WELCOME, and again when one of them changes.
How many members are here changes all the time; that is only as new as the answer to LIST_ROOMS.
That does not list a room that the client may not join; whatever else a client asks about such a
room, it hears the same sentence (rooms.closed): its name is taken, which JOIN cannot hide.

What was said last in a room is in its own queue.  A member asks for it (RECALL), and is sent it a
page at a time (pages.py); nothing of it waits, or is confirmed.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import wire
from rules.pages import Pages
from rules.room import Room, closed
from rules.rooms import Rooms
from rules.roster import Roster
from rules.slices import STEP
from rules.state import Client, Now
from rules.store import Store
from store.user import User
from wire import Admission, Feature, Part, Why

PAGE = 150              # rooms in a frame: the longest names and topics take 45 KB
ROWS_MAX = 500          # rooms looked at for a page: 0.5 ms, if most may not be joined
PAST_MOST, PAST_BYTES = 64, 32 << 10    # lines of the past in a step, and bytes of their text


class Answer:
    """An answer to RECALL or LIST_ROOMS that is under way."""
    __slots__ = ("at", "request", "room", "upto")

    def __init__(self, request: int, room: Room | None = None, upto: int = 0) -> None:
        self.request, self.room, self.upto = request, room, upto
        self.at = 0             # the id, or the place among the rooms, that it has come to


class Looking:
    """What is told of rooms."""

    def __init__(self, rooms: Rooms, mailbox: Store, roster: Roster) -> None:
        self.rooms = rooms
        self.mailbox = mailbox
        self.roster = roster
        self.told: dict[tuple[Client, str], None] = {}     # in this turn, of which rooms
        self._answers: dict[Client, Answer] = {}
        self._pages = Pages(roster.slices, self._send_page)

    # ---- without being asked ----

    def welcomed(self, client: Client) -> None:
        """WELCOME was said: tell the client its rooms."""
        rooms = list(self.rooms.rooms_of(client.user).values())
        if client.features & Feature.ROOMS and rooms:
            for at in range(0, len(rooms), PAGE):
                self.roster.tell(client, self._page(client, 0, rooms[at:at + PAGE],
                                                    at + PAGE >= len(rooms)))

    def leave(self, client: Client) -> None:
        """A client goes."""
        self._answers.pop(client, None)
        self._pages.drop(client)

    def tell(self, room: Room, clients: Sequence[Client]) -> None:
        """Tell these clients what a room of theirs is now.  Only its keeper gets other bytes.  If
        the disk refuses this turn, they are told again."""
        knowing = [client for client in clients if client.features & Feature.ROOMS]
        self.told.update(((client, room.name), None) for client in knowing)
        for keeper in [each for each in knowing if each.user.number == room.keeper]:
            knowing.remove(keeper)
            self.roster.tell(keeper, self._page(keeper, 0, [room], True))
        if knowing:
            self.roster.tell_all(knowing, self._page(knowing[0], 0, [room], True))

    def tell_out(self, users: Sequence[User], room: Room) -> None:
        """Tell those of these that are here that they were put out of a room."""
        clients = self.roster.clients
        here = [clients[user.number] for user in users if user.number in clients]
        if here:
            whom = f"the group {room.group}" if room.admission == Admission.GROUP else "others"
            self.roster.tell_all(here, wire.Notice(f"you are not in {room.name} any more: it is "
                                                   f"for {whom}"))
            self.tell(room, here)

    def refused(self) -> None:
        """The disk refused what was told in this turn: tell what is true."""
        for client, name in self.told if self.told else ():
            room = self.rooms.find(name)
            rows = ((self._entry(client, room),) if room
                    else (wire.RoomEntry(name, 0, 0, 0, 0, ""),))
            if not client.has_left:
                self.roster.tell(client, wire.Rooms(0, 1, rows))

    def _entry(self, client: Client, room: Room) -> wire.RoomEntry:
        number = client.user.number
        part = Part.MEMBER * (number in room.members) | Part.KEEPER * (number == room.keeper)
        return wire.RoomEntry(room.name, room.admission, part, len(room.members), room.here,
                              room.topic)

    def _page(self, client: Client, request: int, rooms: Sequence[Room], is_last: bool
              ) -> wire.Rooms:
        return wire.Rooms(request, is_last, tuple([self._entry(client, room) for room in rooms]))

    # ---- requests ----

    def on_list_rooms(self, client: Client, said: wire.ListRooms, now: Now) -> None:
        """Tell the rooms that the client may join."""
        self._begin(client, Answer(said.request))

    def on_list_members(self, client: Client, said: wire.ListMembers, now: Now) -> None:
        """Tell who is in a room."""
        room = self.rooms.find(said.room)
        if room is None or not self.rooms.may_join(room, client):
            self._fail(client, said.request, *(closed(room.name) if room else (
                Why.UNKNOWN, f"there is no room {said.room[:64]}")))
            return
        client.work += len(room.members) + len(room.admitted)
        users = self.mailbox.users
        to = (room.group,) if room.group else tuple([users[each].name for each in room.admitted])
        self.roster.tell(client, wire.Admitted(room.admission, room.name, users[room.keeper].name,
                                               to))
        members = tuple([users[each].name for each in room.members])
        self.roster.tell(client, wire.Members(said.request, room.name, members))

    def on_recall(self, client: Client, said: wire.Recall, now: Now) -> None:
        """Tell what was said last in a room."""
        room = self.rooms.find(said.room)
        if room is None or client.user.number not in room.members:
            self._fail(client, said.request, Why.UNKNOWN, f"you are not in {said.room[:64]}")
            return
        self._begin(client, Answer(said.request, room, self.mailbox.last))

    def _fail(self, client: Client, request: int, why: Why, reason: str) -> None:
        self.roster.tell(client, wire.Failed(request, why, reason))

    def _begin(self, client: Client, answer: Answer) -> None:
        if client in self._answers:
            self._fail(client, answer.request, Why.BUSY, "another answer is under way: try again")
            return
        self._answers[client] = answer
        self._pages.put(client)

    def _send_page(self, client: Client) -> int:
        answer = self._answers[client]
        is_over = (self._send_past(client, answer, answer.room) if answer.room
                   else self._send_rooms(client, answer))
        if is_over:
            del self._answers[client]
        else:
            self._pages.put(client)
        return STEP

    def _send_past(self, client: Client, answer: Answer, room: Room) -> bool:
        """Send some lines; returns whether they were the last."""
        users = self.mailbox.users
        mails = self.mailbox.unread(room.user, answer.at, answer.upto, PAST_MOST, PAST_BYTES)
        if not mails or client.user.number not in room.members:
            self.roster.tell(client, wire.Done(answer.request))
            return True
        for mail in mails:
            self.roster.tell(client, wire.Past(answer.request, mail.time, mail.origin,
                                               users[mail.sender].name,
                                               tuple([text.decode() for text in mail.texts])))
        answer.at = mails[-1].last
        return False

    def _send_rooms(self, client: Client, answer: Answer) -> bool:
        """Send a page of rooms; returns whether it was the last."""
        users, found = self.mailbox.users, list[Room]()
        numbers = self.rooms.numbers
        at, stop = answer.at, min(answer.at + ROWS_MAX, len(numbers))
        while at < stop and len(found) < PAGE:
            room = self.rooms.all.get(numbers[at])
            at += 1
            if room and numbers[at - 1] < len(users) and self.rooms.may_join(room, client):
                found.append(room)
        answer.at, is_over = at, at >= len(numbers)
        self.roster.tell(client, self._page(client, answer.request, found, is_over))
        return is_over

    def is_answering(self, client: Client) -> bool:
        """Whether a RECALL or LIST_ROOMS of this client goes on."""
        return client in self._answers

    def saved(self, client: Client) -> list[Any] | None:
        """The answer that a client is being told, for resume()."""
        answer = self._answers.get(client)
        return None if answer is None else [
            answer.request, answer.room.name if answer.room else "", answer.upto, answer.at]

    def resume(self, client: Client, saved: Sequence[Any]) -> None:
        """Go on with this answer (handover.py)."""
        request, name, upto, at = saved
        room = self.rooms.find(name) if name else None
        if name and room is None:               # it was closed meanwhile
            self.roster.tell(client, wire.Done(request))
            return
        self._begin(client, Answer(request, room, upto))
        self._answers[client].at = at

    def end_turn(self) -> None:
        """What was told in this turn is written: it stands."""
        self.told.clear()
