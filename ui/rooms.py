"""rooms: the rooms that the user is in, joins, leaves and looks at.

A line in a room is a message like any other (messages.py).  Whoever has joined sees what was said
last, in a table of its own: it is past, nothing new.  The topic is told to who joins, and when it
changes.  Names of rooms, topics and texts are foreign.  Pure; nothing raises.

The daemon answers one RECALL or LIST_ROOMS of a client at a time, and both are also asked without a
word of the user's: they wait for each other, and a script for them (is_asking).
"""
from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import wire
from client.archive import ArchiveError
from client.events import Offline, Online
from client.link import Link
from terminal.display import display
from ui.entries import clock
from ui.feed import Feed, Hears
from ui.names import about, counted, listed
from ui.people import People
from ui.requests import REFUSALS, Requests
from ui.words import Asked, Request
from wire import Admission, Part

PAST_MAX = 1000         # lines of the past of a room that are shown: as many as /history shows
PAST_BYTES = 1 << 20    # of their texts


class Recalled:
    """What was said in a room, as it comes."""

    def __init__(self, room: str) -> None:
        self.room = room
        self.rows: list[tuple[str, str]] = []
        self.mails: list[wire.Mail] = []        # the same for the archive: they have no id
        self.size = 0
        self.is_rest = False                    # the archive has others

    def take(self, said: wire.Past, sender: str) -> None:
        self.is_rest |= not said.texts
        for number, text in enumerate(said.texts, said.origin):
            self.rows.append((f"{clock(said.time, '%-d %b %H:%M')} {sender}", text))
            self.mails.append(wire.Mail(0, said.time, number, 0, 1, said.sender, text,
                                        (self.room,)))
            self.size += len(text)
        while len(self.rows) > PAST_MAX or self.size > PAST_BYTES:
            self.size -= len(self.rows.pop(0)[1])
            del self.mails[0]


class Rooms:
    """The rooms, from the seat of one user."""

    def __init__(self, link: Link, people: People, feed: Feed, requests: Requests) -> None:
        self.link, self.people, self.feed, self.requests = link, people, feed, requests
        self._joining: dict[int, tuple[str, bool]] = {}     # by the request: the room, and whether
                                                            # the user was in it
        self._refreshing: set[int] = set()      # requests for the list that nobody sees
        self._joined: list[str] = []            # rooms whose past is asked for next
        self._recalls: dict[int, Recalled] = {}     # by the request
        self._topics: dict[str, str] = {}       # of the user's rooms, as last seen
        self._admitted: wire.Admitted | None = None     # the first half of an answer
        self.hears: Hears = {
            Online: self.on_online, Offline: self.on_online, wire.Rooms: self.on_rooms,
            wire.Admitted: self.on_admitted, wire.Members: self.on_members, wire.Past: self.on_past,
            wire.Done: self.on_done, wire.Failed: self.on_failed}

    # ---- to ask ----

    def join(self, room: str) -> str:
        """Be a member; a fault, or ""."""
        def ask() -> int:
            number = self.link.ask.rooms.join(room)
            self._joining[number] = room, room.lower() in self.link.rooms.own
            return number
        return self._ask(Request.JOIN, room, ask)

    def leave(self, room: str) -> str:
        """Be a member no longer."""
        return self._ask(Request.LEAVE, room, lambda: self.link.ask.rooms.leave(room))

    def topic(self, room: str, text: str) -> str:
        """Set the topic; without a text, show it."""
        if not text:
            known = self.link.rooms.own.get(room.lower())
            if known is None:
                return f"you are not in {display(room)}: /join {display(room)}"
            self.feed.note(f"{display(known.name)}: {display(known.topic) or 'there is no topic'}")
            return ""
        return self._ask(Request.TOPIC, room, lambda: self.link.ask.rooms.topic(room, text))

    def remove_topic(self, room: str) -> str:
        """There is to be no topic."""
        return self._ask(Request.TOPIC, room, lambda: self.link.ask.rooms.topic(room, ""))

    def admit(self, room: str, admission: int, to: Sequence[str]) -> str:
        """Say who may join."""
        return self._ask(Request.ROOM, room, lambda: self.link.ask.rooms.admit(room, admission, to))

    def close(self, room: str) -> str:
        """Close a room."""
        return self._ask(Request.CLOSE, room, lambda: self.link.ask.rooms.close(room))

    def list(self) -> str:
        """Ask for the rooms that there are."""
        return self._ask(Request.ROOMS, "", self.link.ask.rooms.list)

    def members(self, room: str) -> str:
        """Ask who is in a room."""
        return self._ask(Request.MEMBERS, room, lambda: self.link.ask.rooms.members(room))

    def refresh(self) -> None:
        """Ask for the rooms that there are, without a word to the user."""
        if self.link.online and self.link.ask.granted & wire.Feature.ROOMS:
            try:
                self._refreshing.add(self.link.ask.rooms.list())
            except REFUSALS:
                return

    @property
    def is_asking(self) -> bool:
        """Whether something is asked without a word of the user's that has no answer yet."""
        return bool(self._recalls or self._refreshing or self._joined)

    def _ask(self, request: Request, room: str, ask: Callable[[], int]) -> str:
        if self.link.online and not self.link.ask.granted & wire.Feature.ROOMS:
            return "this daemon has no rooms"
        return self.requests.ask(Asked(request, room), ask)

    # ---- what comes ----

    def on_online(self, _: Online | Offline) -> None:
        """Another connection: nothing is under way, and the rooms are told anew."""
        self._joining.clear()
        self._joined.clear()
        self._recalls.clear()
        self._refreshing.clear()
        self._topics.clear()

    def on_rooms(self, event: wire.Rooms) -> None:
        for room in event.rooms if not event.request else ():
            key, before = room.name.lower(), self._topics.get(room.name.lower())
            if key not in self.link.rooms.own:
                self._topics.pop(key, None)
                continue
            self._topics[key] = room.topic
            if before is not None and before != room.topic:
                self.feed.note(f"{display(room.name)}: the topic is now {display(room.topic)}"
                               if room.topic else f"{display(room.name)} has no topic any more")
        if event.last:
            self._refreshing.discard(event.request)
            if self.requests.take(event.request):
                self._show_rooms()
            self._recall()

    def _show_rooms(self) -> None:
        rooms = self.link.rooms.listed
        if not rooms:
            self.feed.note("there is no room that you may join: /join #ops makes one")
            return
        head = f"{counted(len(rooms), 'room')}{'+' * self.link.rooms.is_cut} that you may join:"
        self.feed.show(head, [(display(rooms[key].name), status(rooms[key]))
                              for key in sorted(rooms)], beside=False)

    def on_admitted(self, event: wire.Admitted) -> None:
        self._admitted = event

    def on_members(self, event: wire.Members) -> None:
        admitted, self._admitted = self._admitted, None
        if not self.requests.take(event.request):
            return
        here, present = self.people.here, self.link.roster.present
        head = f"{display(event.room)}: {counted(len(event.members), 'member')}"
        if admitted:
            head += f", kept by {self.people.called(admitted.keeper)}{_whom(admitted)}"
        rows = sorted(event.members, key=lambda name: (name.lower() not in present, name.lower()))
        self.feed.show(head + ":", [
            (display(name), here.status(here.entry(name)) if name in self.link.roster else "")
            for name in rows])

    def on_past(self, event: wire.Past) -> None:
        if recalled := self._recalls.get(event.request):
            recalled.take(event, self.people.called(event.sender))

    def on_done(self, event: wire.Done) -> None:
        """The user has joined a room, or has seen what was said there."""
        if joining := self._joining.pop(event.request, None):
            room, was_in = joining
            self.feed.note(joined(room, self.link.rooms.own.get(room.lower()), was_in))
            self._joined.append(room)
        elif recalled := self._recalls.pop(event.request, None):
            self._show_past(recalled)
        self._recall()

    def _recall(self) -> None:
        """Ask what was said in the next room, unless an answer is under way."""
        while self._joined and not (self._recalls or self._refreshing):
            room = self._joined.pop(0)
            with contextlib.suppress(*REFUSALS):
                self._recalls[self.link.ask.rooms.recall(room)] = Recalled(room)

    def _show_past(self, recalled: Recalled) -> None:
        room = display(recalled.room)
        if recalled.rows:
            self.feed.show(f"said in {room} before:", recalled.rows, beside=False)
            try:
                self.link.archive.recall(recalled.mails)
            except ArchiveError as fault:
                self.feed.note(str(fault), "alert")
        if recalled.is_rest:
            self.feed.note(f"/history {room} shows what else your archive has of it", "hint")

    def on_failed(self, event: wire.Failed) -> None:
        self._joining.pop(event.request, None)
        self._recalls.pop(event.request, None)
        self._refreshing.discard(event.request)
        self._recall()


def status(room: wire.RoomEntry) -> str:
    """`3 of 5 here: bay 3`, and what the user is there."""
    you = "you are in it; " if room.part & Part.MEMBER else ""
    some = "" if room.admission == Admission.OPEN else "not for everybody; "
    return f"{you}{some}{about(room)}"


def joined(name: str, room: wire.RoomEntry | None, was_in: bool) -> str:
    """What the user hears who is in a room now.  A mistyped name makes a room: nobody else is in
    it, and the user is its keeper.  So it is also when a keeper comes back to an empty room."""
    shown = display(room.name if room else name)
    is_made = room and not was_in and room.part & Part.KEEPER and room.members == 1
    made = ", which is new, or was empty: you keep it" if is_made else ""
    ends = f"/room {shown} close removes it" if is_made else f"/leave {shown} leaves it"
    topic = f"; the topic: {display(room.topic)}" if room and room.topic else ""
    return f"you are in {shown}{made}; @{shown} TEXT says something there, {ends}{topic}"


def _whom(admitted: wire.Admitted) -> str:
    """Whom a room is for."""
    if admitted.admission == Admission.GROUP:
        return f", for the group {listed(admitted.to)}"
    if admitted.admission == Admission.NAMES:
        return f", for {listed(admitted.to) if admitted.to else 'nobody else'}"
    return ""
