"""validity: what a daemon can't have said, though its bytes are in order.

wire.py knows the form of each message.  This is what a form can't say: names that are none, ranges
that end before they begin, and which messages come before WELCOME and after.  link.py asks check()
before it believes anything.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

import wire
from wire import ProtocolError


def check(said: Any, online: bool) -> None:
    """One message, before WELCOME or after.  Raises ProtocolError."""
    kind = type(said)
    if online and kind in LOGIN:
        raise ProtocolError(f"a {wire.name_of(said)} after WELCOME")
    if not online and kind not in LOGIN and kind not in ANY_TIME:
        raise ProtocolError(f"a {wire.name_of(said)} before WELCOME")
    for name in NAMES[kind](said) if kind in NAMES else ():
        if not wire.is_name(name):
            raise ProtocolError(f"a {wire.name_of(said)} with a name that is none")
    if kind in MAILS and max(said.first, said.origin) + len(said.texts) > LAST + 1:
        raise ProtocolError(f"a {wire.name_of(said)} whose ids are too high")
    if kind in (*MAILS, wire.Past) and not all(0 < len(text.encode()) <= wire.TEXT_MAX
                                      for text in said.texts):
        raise ProtocolError(f"a {wire.name_of(said)} with a text that is empty or too long")
    if kind is wire.MailsTo and not 0 < len(said.to) <= wire.ADDRESSED_MAX:
        raise ProtocolError(f"a MAILS_TO that went to {len(said.to)} names")
    if kind in ROOMS and not all(map(wire.is_room, ROOMS[kind](said))):
        raise ProtocolError(f"a {wire.name_of(said)} with a room that is none")
    if kind in TEXTS and len(TEXTS[kind](said).encode()) > wire.TEXT_MAX:
        raise ProtocolError(f"a {wire.name_of(said)} with a text that is too long")
    if kind in RANGES and said.first > said.last:
        raise ProtocolError(f"a {wire.name_of(said)} that ends before it begins")


LAST = (1 << 64) - 1            # id
LOGIN = {wire.Binding, wire.Challenge, wire.Welcome, wire.Rejected}
ANY_TIME = {wire.Verified, wire.Notice}     # proofs.py knows a VERIFIED that nobody waits for
MAILS = {wire.Mails, wire.MailsTo}      # PAST has no id
RANGES = {wire.Stored, wire.Outcomes, wire.Delivered, wire.Confirmed}

# Which field of a message is a text, or a line of words.
TEXTS: dict[type, Callable[[Any], str]] = {
    wire.Line: attrgetter("text"), wire.Status: attrgetter("text"), wire.Notice: attrgetter("text"),
    wire.Rejected: attrgetter("reason"), wire.Refused: attrgetter("reason"),
    wire.Failed: attrgetter("reason"),
}
# Which fields have to be names of rooms.
ROOMS: dict[type, Callable[[Any], Iterable[str]]] = {
    wire.Rooms: lambda said: [room.name for room in said.rooms],
    wire.Members: lambda said: (said.room,),
    wire.Admitted: lambda said: (said.room,),
}
# Which fields of a message have to be names.
NAMES: dict[type, Callable[[Any], Iterable[str]]] = {
    wire.Mails: lambda said: (said.sender,),
    wire.MailsTo: lambda said: (said.sender, *[word.removeprefix("#") for word in said.to]),
    wire.Line: lambda said: (said.sender,),
    wire.Status: lambda said: (said.name,),
    wire.Roster: lambda said: [entry.name for entry in said.entries],
    wire.Outcomes: lambda said: said.to,
    wire.Delivered: lambda said: (said.by,),
    wire.Traced: lambda said: said.to,
    wire.Invitation: lambda said: (said.sender, *said.members),
    wire.Inviting: lambda said: said.members,
    wire.Answered: lambda said: (said.by,),
    wire.CalledOff: lambda said: (said.by,) if said.by else (),
    wire.Started: lambda said: said.members,
    wire.Left: lambda said: (said.by,),
    wire.Ignored: lambda said: said.to,
    wire.Rooms: lambda said: [room.name.removeprefix("#") for room in said.rooms],
    wire.Members: lambda said: said.members,
    wire.Admitted: lambda said: (said.keeper,),
    wire.Past: lambda said: (said.sender,),
    wire.Ended: lambda said: (said.by,) if said.by else (),
}
