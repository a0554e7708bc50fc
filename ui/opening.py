"""opening: parley chat and parley join: what a session begins with.

    parley chat NAME    the conversation with a user, and an invitation to a chat if they are free
    parley join ROOM    a room, joined if the user is not in it

They are the client as it always is, on a screen or in lines; only the first step is done already,
once the log of names is there.  In a script a step that can't be done ends the program, because the
lines below it were meant for what it would have begun.
"""
from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

import wire
from terminal.display import display
from ui.desk import Desk
from ui.failures import Failure
from ui.options import Subcommand, own_name


class Opening(NamedTuple):
    """The first step."""
    act: Callable[[Desk, str], str]     # does it; a fault, or ""
    name: str                           # of a user, or of a room
    is_script: bool

    def __call__(self, desk: Desk) -> str:
        """Do it.  A fault, or "".  Raises Failure."""
        text = desk.text
        fault = self.act(desk, self.name)
        if fault and self.is_script:
            raise Failure(os.EX_NOUSER, fault)
        if text and not desk.line.text:         # typed while the log was on its way
            desk.line.set(text)
        return fault


def chat(desk: Desk, name: str) -> str:
    """Open the conversation with a user, and invite them if they are free."""
    talk = desk.talk
    to, fault = talk.people.resolve([name])
    if fault:
        return fault
    if talk.people.is_me(to[0]):
        return "a chat is with somebody else: that is your own name"
    desk.converse(to[0], alone=True)
    if wire.is_room(to[0]):
        return ""
    if to[0] in talk.people.here.available:
        return talk.invitations.invite(to)
    known = to[0] in desk.link.roster
    status = talk.people.here.status(talk.people.here.entry(to[0])) if known else "not here yet"
    talk.feed.note(f"{display(to[0])}: {status}; each line you write is a message")
    return ""


def join(desk: Desk, room: str) -> str:
    """Join a room, and open it."""
    return desk.talk.rooms.join(room) or desk.converse(room, alone=True)


def _begin(options: argparse.Namespace, act: Callable[[Desk, str], str], name: str) -> None:
    """Have the client begin with this.  Raises Failure."""
    options.name = own_name(options)
    options.opening = Opening(act, name, is_script=not os.isatty(0))


def _chat(options: argparse.Namespace) -> None:
    _begin(options, chat, options.user)


def _join(options: argparse.Namespace) -> None:
    room = options.room if wire.is_room(options.room) else "#" + options.room
    if not wire.is_room(room):
        raise Failure(os.EX_USAGE, f"{display(options.room)} is no room: a room is # and what may "
                                   "be a username; quote it: '#ops'")
    _begin(options, join, room)


def _add_chat(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plain", action="store_true", help="line in, line out")
    parser.add_argument("user", metavar="NAME", help="with whom")


def _add_join(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plain", action="store_true", help="line in, line out")
    parser.add_argument("room", metavar="ROOM", help="'#ops', or ops")


SUBCOMMANDS: Mapping[str, Subcommand] = {
    "chat": Subcommand("open the conversation with a user, and invite them", _add_chat, _chat),
    "join": Subcommand("open a room, and join it", _add_join, _join),
}
