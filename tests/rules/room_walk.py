"""What a client of a walk (delivery_walk.py) does about rooms, and about being away, by chance."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import wire
from tests.rules.room_model import Rooms
from wire import Admission

if TYPE_CHECKING:
    from tests.rules.delivery_model import Session
    from tests.rules.delivery_walk import Actor

ROOM_NAMES = ("#a", "#b", "#C")
STAFF = 50                  # the number of the group staff


def model_hears(rooms: Rooms, session: Session, said: Any, refusal: bool) -> None:
    """A request of this session, as the daemon has read it."""
    match said:
        case wire.Join():
            rooms.joins(session, said, refusal)
        case wire.Leave():
            rooms.leaves(session, said, refusal)
        case wire.Topic():
            rooms.sets_topic(session, said, refusal)
        case wire.Admit():
            rooms.admits(session, said, refusal)
        case wire.Close():
            rooms.closes(session, said, refusal)
        case wire.SetStatus():
            rooms.sets_status(session, said, refusal)
        case wire.Recall():
            rooms.recalls(session, said)
        case wire.ListRooms():
            rooms.lists_rooms(session, said)
        case wire.ListMembers():
            rooms.lists_members(session, said)


def _room(actor: Actor) -> str:
    """The name of a room, in some spelling."""
    name = actor.chance.choice(ROOM_NAMES)
    return name.swapcase() if actor.chance.random() < 0.1 else name


def join(actor: Actor) -> None:
    name = "#not a room" if actor.chance.random() < 0.02 else _room(actor)
    actor.say(wire.Join(actor.request(), name))


def leave(actor: Actor) -> None:
    actor.say(wire.Leave(actor.request(), _room(actor)))


def topic(actor: Actor) -> None:
    text = actor.chance.choice(("", "bay 3", "bay 4", "x" * (wire.TOPIC_MAX + 1)))
    actor.say(wire.Topic(actor.request(), _room(actor), text))


def admit(actor: Actor) -> None:
    admission = actor.chance.choice(list(Admission))
    names = [other.name for other in actor.walk.actors]
    to = tuple(actor.chance.sample(names, actor.chance.choice((1, 2, 4, 6))))
    if admission == Admission.GROUP:
        to = (actor.chance.choice(("staff", "staff", "staff", "nobody")),)
    elif admission == Admission.OPEN:
        to = ()
    if actor.chance.random() < 0.1:
        to = (*to, "nobody")
    actor.say(wire.Admit(actor.request(), admission, _room(actor), to))


def close(actor: Actor) -> None:
    """And mostly make it again at once."""
    name = _room(actor)
    actor.say(wire.Close(actor.request(), name))
    if actor.chance.random() < 0.7:
        actor.say(wire.Join(actor.request(), name))


def recall(actor: Actor) -> None:
    actor.say(wire.Recall(actor.request(), _room(actor)))


def list_rooms(actor: Actor) -> None:
    actor.say(wire.ListRooms(actor.request()))


def list_members(actor: Actor) -> None:
    actor.say(wire.ListMembers(actor.request(), _room(actor)))


def away(actor: Actor) -> None:
    text = actor.chance.choice(("", "at lunch", "on a train", "x" * (wire.STATUS_MAX + 1)))
    actor.say(wire.SetStatus(actor.request(), text))


ACTS = (join, leave, topic, admit, close, recall, list_rooms, list_members, away)
WEIGHTS = (6, 1, 1, 1, 0.4, 3, 1, 1, 1)
