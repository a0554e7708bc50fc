"""talk: everything that passes between the user and the daemon.

A Talk has a room for each subject: the past, contact (the connection), requests, messages,
chatting, invitations, and the people they are about.  Each room has a table `hears`: the events of
the link that it needs, by type.  Talk hands every event to all rooms that hear it; an event that no
room hears is for the link alone.  Talk knows no keys and no modes.

What the user does through a room gives back a fault, one line for the user, or "" when it is done
or on its way.  Foreign names and reasons pass display() before they become part of a sentence;
texts pass it in the pane.  Callers give the time, in microseconds since 1970.  Pure.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from client.events import Offline
from client.link import Link
from ui.away import Away
from ui.chatting import Chatting
from ui.contact import Contact
from ui.conversations import Conversations
from ui.earlier import Earlier
from ui.feed import Feed, Hears
from ui.invitations import Invitations
from ui.links import Links
from ui.messages import Messages
from ui.notices import Notices
from ui.pane import Pane
from ui.past import Past
from ui.people import People
from ui.requests import Requests
from ui.rooms import Rooms


class Room(Protocol):
    """What Talk knows about each of its rooms."""
    hears: Hears


class Talk:
    """The rooms, and who hears what."""

    def __init__(self, link: Link, pane: Pane, again: int = 0) -> None:
        """`again`: entries of earlier sessions to begin with."""
        self.feed = Feed(pane)
        self.people = People(link)
        self.past = Past(link, self.people, self.feed, again)
        self.contact = Contact(link, self.people, self.feed)
        self.requests = Requests(link, self.people, self.feed)
        self.rooms = Rooms(link, self.people, self.feed, self.requests)
        self.messages = Messages(link, self.people, self.feed)
        self.chatting = Chatting(link, self.people, self.feed)
        self.invitations = Invitations(link, self.people, self.feed, self.requests,
                                       self.chatting)
        self.away = Away(link, self.people, self.feed, self.requests)
        self.notices = Notices(link, self.people, self.feed)
        self.links = Links(self.feed)
        self.conversations = Conversations(link, self.people, self.feed, self.notices)
        self.earlier = Earlier(link, self.people, self.feed, self.messages, self.conversations)
        self.conversations.left = self.past.leave_alone
        self._hears: dict[type, list[Callable[[Any], None]]] = {}
        rooms: tuple[Room, ...] = (self.people, self.past, self.contact, self.rooms,
                                   self.requests, self.away, self.messages, self.conversations,
                                   self.chatting, self.invitations, self.notices, self.earlier)
        for room in rooms:                  # they hear an event in this order
            for event, handler in room.hears.items():
                self._hears.setdefault(event, []).append(handler)

    @property
    def is_busy(self) -> bool:
        """Whether the daemon or a user has yet to answer, so that a script should wait."""
        return (self.requests.are_open or self.rooms.is_asking
                or self.invitations.awaited is not None or self.past.is_searching)

    def hear(self, event: Any) -> None:
        """Take in one event of the link."""
        if type(event) is not Offline:
            self.chatting.heard_at = self.feed.now
        for handler in self._hears.get(type(event), ()):
            handler(event)
