"""What parley-wire(7) says of rooms, and of being away, made of dictionaries: a part of the model
in delivery_model.py, and written as that is.

    joins, leaves, sets_topic, admits, closes, recalls, lists_rooms, lists_members, sets_status
                            requests, as the daemon reads them
    puts_out                the daemon says that the host has a member in the room's group no more
    on_...                  the daemon says this to a session
    restarts                the daemon was killed; what is in the rooms' own queues now
    is_quiet                every client knows the rooms of its user, and who is away

A line of a room is a message of the model; the room has its key.  A room that is closed and made
again is another one.
"""
from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import wire
from wire import Admission, Feature, Part, Why

if TYPE_CHECKING:
    from tests.rules.delivery_model import Model, Session

Key = tuple[str, int]               # of a message: sender, and the sender's id
SLACK = 4                           # the queue of a room has a part of so many more lines at most


class Disagreement(AssertionError):
    """The daemon did what the model does not know."""


class Room:
    """A room that is open."""

    def __init__(self, name: str, keeper: str, number: int) -> None:
        self.name, self.keeper, self.number = name, keeper, number
        self.admission, self.admitted, self.topic = Admission.OPEN, tuple[str, ...](), ""
        self.members: dict[str, None] = {}
        self.lines: list[Key] = []

    def copy(self) -> Room:
        other = copy.copy(self)
        other.members, other.lines = dict(self.members), list(self.lines)
        return other


class Recall:
    """A RECALL that is answered.  `asked_of`: the lines that there were; `left`: those that may
    come yet; `came`: those that came."""

    def __init__(self, request: int, room: Room) -> None:
        self.request, self.name, self.number = request, room.name.lower(), room.number
        self.asked_of, self.left, self.came = set(room.lines), list(room.lines), set[Key]()
        self.is_cut = False         # the user was no member for a moment: it may end early


class Rooms:
    """All rooms.  `kept`: lines that a room keeps at least."""

    def __init__(self, model: Model, kept: int) -> None:
        self.model, self.kept = model, kept
        self.open: dict[str, Room] = {}             # by the name in small letters
        self.names: dict[str, str] = {}             # of all that ever were, as it was first spelled
        self.groups: dict[int, set[str]] = {}       # of the host, by uid
        self.changes = 0
        self.status: dict[str, str] = {}            # what users say of being away
        self._numbers = itertools.count(1)

    def _remember(self) -> None:
        """The disk may refuse what comes now."""
        self.changes += 1
        rooms, names, status = ({name: room.copy() for name, room in self.open.items()},
                                dict(self.names), dict(self.status))

        def undo() -> None:
            self.open, self.names, self.status = rooms, names, status
        self.model.may_undo(undo)

    # ---- who may ----

    def find(self, name: str) -> Room | None:
        return self.open.get(name.lower())

    def _is_in_group(self, room: Room, uid: int) -> bool:
        return room.admission == Admission.GROUP and room.admitted[0] in self.groups.get(uid, ())

    def may_change(self, room: Room, session: Session) -> bool:
        return room.keeper == session.name or session.is_operator

    def may_join(self, room: Room, session: Session) -> bool:
        return (room.admission == Admission.OPEN or session.name in room.members
                or self.may_change(room, session) or self._is_in_group(room, session.uid)
                or (room.admission == Admission.NAMES and session.name in room.admitted))

    # ---- requests ----

    def _answers(self, session: Session, request: int, why: Why | None) -> bool:
        """DONE waits for the disk, FAILED does not.  Returns whether it is done."""
        if why is None:
            session.expects(request, wire.Done)
            self.model.may_undo(lambda: session.expects(request, wire.Failed, Why.FULL))
        else:
            session.expects(request, wire.Failed, why)
        return why is None

    @staticmethod
    def _first(*reasons: tuple[bool, Why]) -> Why | None:
        return next((why for is_so, why in reasons if is_so), None)

    def joins(self, session: Session, said: wire.Join, refusal: bool) -> None:
        room = self.find(said.room)
        if room and session.name in room.members:
            self._answers(session, said.request, None)
            return
        if not self._answers(session, said.request, self._first(
                (refusal, Why.FULL), (room is not None and not self.may_join(room, session),
                                      Why.DENIED),
                (room is None and not wire.is_room(said.room), Why.BAD_NAME))):
            return
        self._remember()
        if room is None:
            key = said.room.lower()
            name = self.names.setdefault(key, said.room)
            room = self.open[key] = Room(name, session.name, next(self._numbers))
            self.model.count("rooms made")
        self.open[said.room.lower()].members[session.name] = None
        self.model.count("joined")

    def _mine(self, session: Session, name: str, refusal: bool) -> Why | None:
        room = self.find(name)
        return self._first((room is None or session.name not in room.members, Why.UNKNOWN),
                           (refusal, Why.FULL))

    def _kept_by(self, session: Session, name: str, refusal: bool) -> Why | None:
        room = self.find(name)
        if room is None:
            return Why.UNKNOWN
        return self._first((not self.may_join(room, session), Why.DENIED),
                           (not self.may_change(room, session), Why.DENIED), (refusal, Why.FULL))

    def leaves(self, session: Session, said: wire.Leave, refusal: bool) -> None:
        if self._answers(session, said.request, self._mine(session, said.room, refusal)):
            self._remember()
            self._out(self.open[said.room.lower()], session.name)
            self.model.count("left")

    def sets_topic(self, session: Session, said: wire.Topic, refusal: bool) -> None:
        why, room = self._mine(session, said.room, refusal), self.find(said.room)
        if why is None and room and room.admission != Admission.OPEN and not self.may_change(
                room, session):
            why = Why.DENIED
        elif why is None and len(said.text.encode()) > wire.TOPIC_MAX:
            why = Why.BAD_TEXT
        if self._answers(session, said.request, why):
            self._remember()
            self.open[said.room.lower()].topic = said.text

    def admits(self, session: Session, said: wire.Admit, refusal: bool) -> None:
        why, room = self._kept_by(session, said.room, refusal), self.find(said.room)
        if why is None and room is not None:
            why = self._unfit(session, room, said)
        if not self._answers(session, said.request, why):
            return
        for name in said.to if self._is_for_names(room, said) else ():
            if name not in self.model.queues:
                self.model.is_new(name)
        self._remember()
        room, to = self.open[said.room.lower()], dict.fromkeys(said.to)
        if said.admission == Admission.ADD:
            room.admitted = tuple({**dict.fromkeys(room.admitted), **to})
        elif said.admission == Admission.DROP:
            room.admitted = tuple([name for name in room.admitted if name not in to])
        else:
            room.admission, room.admitted = Admission(said.admission), tuple(to)
        if room.admission == Admission.NAMES:
            for name in room.members.keys() - {*room.admitted, room.keeper}:
                self._out(room, name)
                self.model.count("not admitted any more")

    @staticmethod
    def _is_for_names(room: Room | None, said: wire.Admit) -> bool:
        return said.admission == Admission.NAMES or (
            said.admission == Admission.ADD and room is not None
            and room.admission == Admission.NAMES)

    def _unfit(self, session: Session, room: Room, said: wire.Admit) -> Why | None:
        may_be_new = self.model.people if (session.features & wire.Feature.LOGINS
                                           and self._is_for_names(room, said)) else frozenset()
        unknown = any(name not in self.model.queues and name not in may_be_new
                      for name in said.to)
        match said.admission:
            case Admission.ADD | Admission.DROP:
                drops = said.admission == Admission.DROP
                return self._first((room.admission != Admission.NAMES, Why.OTHER),
                                   (unknown, Why.UNKNOWN),
                                   (drops and not set(said.to) <= {*room.admitted}, Why.UNKNOWN))
            case Admission.NAMES:
                return self._first((unknown or not said.to, Why.UNKNOWN))
            case Admission.GROUP:
                return self._first((len(said.to) != 1, Why.OTHER),
                                   (said.to[:1] != ("staff",), Why.UNKNOWN))
        return self._first((bool(said.to), Why.OTHER))

    def closes(self, session: Session, said: wire.Close, refusal: bool) -> None:
        if self._answers(session, said.request, self._kept_by(session, said.room, refusal)):
            self._remember()
            room = self.open.pop(said.room.lower())
            for name in list(room.members):
                self._out(room, name)
            self.model.count("rooms closed")

    def _out(self, room: Room, name: str) -> None:
        del room.members[name]
        for client in self.model.clients(name):
            if client.recall and client.recall.name == room.name.lower():
                client.recall.is_cut = True

    def puts_out(self, name: str, room_name: str, uid: int) -> None:
        room = self.find(room_name)
        if room is None or name not in room.members:
            return                                          # it was asked for: the model knows
        if room.admission != Admission.GROUP or self._is_in_group(room, uid) or name == room.keeper:
            raise Disagreement(f"{name} was put out of {vars(room)}")
        self._remember()
        self._out(room, name)
        self.model.count("in the group no more")

    def sets_status(self, session: Session, said: wire.SetStatus, refusal: bool) -> None:
        if self._answers(session, said.request, self._first(
                (len(said.text) > wire.STATUS_MAX, Why.BAD_TEXT), (refusal, Why.FULL))):
            self._remember()
            self.status[session.name] = said.text
            self.model.count("statuses")

    # ---- questions ----

    def recalls(self, session: Session, said: wire.Recall) -> None:
        room = self.find(said.room)
        if room is None or session.name not in room.members:
            session.expects(said.request, wire.Failed, Why.UNKNOWN)
        elif session.recall or session.listing:
            session.expects(said.request, wire.Failed, Why.BUSY)
        else:
            session.recall = Recall(said.request, room)

    def lists_rooms(self, session: Session, said: wire.ListRooms) -> None:
        if session.recall or session.listing:
            session.expects(said.request, wire.Failed, Why.BUSY)
        else:
            session.listing, session.listed = said.request, {}

    def lists_members(self, session: Session, said: wire.ListMembers) -> None:
        room = self.find(said.room)
        if room is None or not self.may_join(room, session):
            session.expects(said.request, wire.Failed, Why.DENIED if room else Why.UNKNOWN)
        else:
            session.expects(said.request, wire.Members)
            session.members.append((
                wire.Admitted(room.admission, room.name, room.keeper, room.admitted),
                room.members.keys() - set()))

    # ---- what the daemon says ----

    def on_past(self, session: Session, said: wire.Past) -> None:
        recall = session.recall
        if recall is None or said.request != recall.request:
            raise Disagreement(f"{session.name} was told {said}, and asked nothing")
        for origin, text in enumerate(said.texts, said.origin):
            key = said.sender, origin
            while recall.left and recall.left[0] != key:
                del recall.left[0]
            message = self.model.messages.get(key)
            if not recall.left or message is None or message.text != text:
                raise Disagreement(f"{session.name} was told {key} of {recall.name}: no line of "
                                   "it, or not in order")
            recall.came.add(recall.left.pop(0))
            self.model.count("past")

    def on_done(self, session: Session, said: wire.Done) -> bool:
        """Whether this ends a RECALL."""
        recall = session.recall
        if recall is None or said.request != recall.request:
            return False
        session.recall, room = None, self.open.get(recall.name)
        if recall.is_cut or room is None or room.number != recall.number:
            return True
        missing = [key for key in room.lines[-self.kept:]
                   if key in recall.asked_of and key not in recall.came]
        if missing:
            raise Disagreement(f"{session.name} was not told {missing[:5]} of {recall.name}")
        self.model.count("recalls")
        return True

    def on_rooms(self, session: Session, said: wire.Rooms) -> None:
        if said.request:
            if said.request != session.listing:
                raise Disagreement(f"{session.name} was told {said}, and asked nothing")
            session.listed.update({entry.name: entry for entry in said.rooms})
            if said.last:
                session.listing = 0
            return
        for entry in said.rooms:
            if entry.part & Part.MEMBER:
                session.rooms[entry.name] = entry
            else:
                session.rooms.pop(entry.name, None)

    def on_admitted(self, session: Session, said: wire.Admitted) -> None:
        if not session.members or session.members[0][0] != said:
            raise Disagreement(f"{session.name} was told {said}, not {session.members[:1]}")

    def on_members(self, session: Session, said: wire.Members) -> None:
        _, members = session.members.pop(0)
        if sorted(said.members) != sorted(members):
            raise Disagreement(f"{session.name} was told {said}, not {members}")
        self.model.on_request(session, said)

    def on_status(self, session: Session, said: wire.Status) -> None:
        session.statuses[said.name] = said.text
        session.texts.add((said.name, said.text))

    # ---- a start, and quiet moments ----

    def restarts(self, found: dict[str, list[Key]]) -> None:
        if {name.lower() for name in found} != set(self.names):
            raise Disagreement(f"rooms: {sorted(found)}, not {sorted(self.names)}")
        for name, keys in found.items():
            room = self.find(name)
            if room and (room.lines[-len(keys):] != keys
                         if keys else room.lines and self.kept):
                raise Disagreement(f"{name}: {keys} is not the end of {room.lines}")
            if room and len(keys) < min(self.kept, len(room.lines)):
                raise Disagreement(f"{name}: kept {len(keys)} of {len(room.lines)}")

    def compare(self, waiting: dict[str, int], is_quiet: bool) -> None:
        """`waiting`: how many lines are in the queue of each room."""
        for name, number in waiting.items():
            room = self.find(name)
            least = min(self.kept, len(room.lines)) if room else 0
            most = self.kept + self.kept // SLACK if room else 0
            if not least <= number or (is_quiet and number > most):
                raise Disagreement(f"{name} keeps {number} lines, of at least {least}")

    def is_quiet(self, sessions: Iterable[Session]) -> None:
        for session in sessions:
            if session.features & Feature.ROOMS and not session.is_errand:
                self._knows_its_rooms(session)
            if session.features & Feature.STATUS:
                wrong = [name for name in self.model.here
                         if session.statuses.get(name, "") != self.status.get(name, "")]
                if wrong:
                    raise Disagreement(f"{session.name} knows {session.statuses} of {wrong}, and "
                                       f"{self.status} is so")
            if session.recall or session.listing or session.members:
                raise Disagreement(f"{session.name} is owed {vars(session)}")

    def is_reviewed(self, uids: dict[str, int]) -> None:
        """The daemon has had the time to look at who is in a group."""
        for room in self.open.values():
            out = [name for name in room.members if room.admission == Admission.GROUP
                   and name != room.keeper and not self._is_in_group(room, uids[name])]
            if out:
                raise Disagreement(f"{out} are in {room.name}, and not in the group")

    def _knows_its_rooms(self, session: Session) -> None:
        mine = {room.name: self.entry(room, session)[:3] for room in self.open.values()
                if session.name in room.members}
        told = {name: (entry.admission, entry.part, entry.topic)
                for name, entry in session.rooms.items()}
        if mine != told:
            raise Disagreement(f"{session.name} knows the rooms {told}, and is in {mine}")

    def entry(self, room: Room, session: Session) -> tuple[Any, ...]:
        part = (Part.MEMBER * (session.name in room.members)
                | Part.KEEPER * (session.name == room.keeper))
        here = sum([name in self.model.here for name in room.members])
        return room.admission, part, room.topic, len(room.members), here

    def is_listed(self, session: Session) -> None:
        """The session asked for a list, and nothing happened since."""
        due = {room.name: self.entry(room, session) for room in self.open.values()
               if self.may_join(room, session)}
        told = {name: (entry.admission, entry.part, entry.topic, entry.members, entry.here)
                for name, entry in session.listed.items()}
        if due != told:
            raise Disagreement(f"{session.name} was listed {told}, not {due}")
        self.model.count("lists of rooms")
