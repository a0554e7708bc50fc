"""joining: the commands about rooms.

Every function gives back a fault, one line for the user, or "".  Pure.
"""
from __future__ import annotations

from collections.abc import Callable

from ui.desk import Desk
from ui.names import only_names
from wire import Admission, is_room

ADMISSIONS = {"open": Admission.OPEN, "names": Admission.NAMES, "group": Admission.GROUP,
              "add": Admission.ADD, "drop": Admission.DROP}


def join(desk: Desk, rest: str) -> str:
    """Join a room; if there is none of that name, make it."""
    return _in_room(rest, "/join", desk.talk.rooms.join)


def leave(desk: Desk, rest: str) -> str:
    """Leave a room; without a name the one that is open, or the only one."""
    own = desk.link.rooms.own
    opened = own.get(desk.talk.conversations.open.lower())
    if not rest.strip() and (opened or len(own) == 1):
        rest = (opened or next(iter(own.values()))).name
    return _in_room(rest, "/leave", desk.talk.rooms.leave)


def _in_room(rest: str, word: str, do: Callable[[str], str]) -> str:
    room = rest.strip()
    return do(room) if is_room(room) else f"{word} needs the name of a room: {word} #ops"


def topic(desk: Desk, rest: str) -> str:
    """Show or set the topic of a room; `-` removes it."""
    room, _, text = rest.strip().partition(" ")
    if not is_room(room):
        return "/topic needs the name of a room: /topic #ops bay 3, second drawer"
    if text.strip() == "-":
        return desk.talk.rooms.remove_topic(room)
    return desk.talk.rooms.topic(room, text.strip())


def room(desk: Desk, rest: str) -> str:
    """Say who may join a room, or close it."""
    name, _, what = rest.strip().partition(" ")
    kind, _, whom = what.strip().partition(" ")
    to, fault = only_names(whom)
    usage = ("/room #ops open, /room #ops names bob,erin, add bob, drop bob, group staff, or "
             "close")
    if not is_room(name) or kind not in (*ADMISSIONS, "close"):
        return usage
    if fault or bool(to) != (kind not in ("open", "close")):
        return fault or usage
    if kind == "close":
        return desk.talk.rooms.close(name)
    return desk.talk.rooms.admit(name, ADMISSIONS[kind], to)


def rooms(desk: Desk, _: str = "") -> str:
    return desk.talk.rooms.list()
