"""rooms: the messages about rooms (Feature.ROOMS).

A line in a room is a message like any other: a SENDS to the room alone, and MAILS to its members.
"""
from typing import NamedTuple

from net.codec import CLIENT, DAEMON, message
from net.fields import U8, U32, U64, RoomEntries, Text, Texts, Word, Words

__all__ = ["Admit", "Admitted", "Close", "Join", "Leave", "ListMembers", "ListRooms", "Members",
           "Past", "Recall", "Rooms", "Topic"]


@message(64, CLIENT, "DONE")
class Join(NamedTuple):
    """Make me a member of this room; if there is none of this name, make it, and me its keeper."""
    request: U32
    room: Word


@message(65, CLIENT, "DONE")
class Leave(NamedTuple):
    """I am no longer a member of this room."""
    request: U32
    room: Word


@message(66, CLIENT, "DONE")
class Topic(NamedTuple):
    """Set the topic of this room; an empty text removes it."""
    request: U32
    room: Word
    text: Text


@message(67, CLIENT, "DONE")
class Admit(NamedTuple):
    """Who may join this room, which is mine: everybody, these users, or this Unix group.  Members
    who may not are members no longer."""
    request: U32
    admission: U8       # Admission
    room: Word
    to: Words           # OPEN: nobody; NAMES: users; GROUP: the name of one group


@message(68, CLIENT, "DONE")
class Close(NamedTuple):
    """There is no room of this name any more; it was mine."""
    request: U32
    room: Word


@message(69, CLIENT, "ROOMS")
class ListRooms(NamedTuple):
    """Tell me the rooms that I may join."""
    request: U32


@message(70, CLIENT, "MEMBERS")
class ListMembers(NamedTuple):
    """Tell me who is in this room, and who may join it."""
    request: U32
    room: Word


@message(71, CLIENT, "DONE")
class Recall(NamedTuple):
    """Send me what was said last in this room, of which I am a member, oldest first: PAST."""
    request: U32
    room: Word


@message(72, DAEMON)
class Rooms(NamedTuple):
    """Rooms, as they are now."""
    request: U32        # 0: nobody asked: my own rooms, at login and when they change
    last: U8            # 0: more follow
    rooms: RoomEntries


@message(73, DAEMON)
class Members(NamedTuple):
    """Who is in a room."""
    request: U32
    room: Word
    members: Words


@message(74, DAEMON)
class Past(NamedTuple):
    """What was said in a room by one user: no message for me, and not to be confirmed."""
    request: U32
    time: U64
    origin: U64         # the sender's id of the first, as in MAILS
    sender: Word
    texts: Texts


@message(75, DAEMON)
class Admitted(NamedTuple):
    """Before MEMBERS: who may join the room, and who may change that."""
    admission: U8       # Admission
    room: Word
    keeper: Word
    to: Words           # as in ADMIT
