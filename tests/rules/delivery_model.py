"""What parley-wire(7) says of messages on their way, made of dictionaries.

The model is written from the manual and knows nothing of the daemon's code.  It is told what
happens, in the order in which the daemon does it:

    enters, resumes, leaves, sends, holds, checks, confirms, ignores
                            requests, as the daemon reads them
    refused                 the disk refused everything that this turn has brought
    says                    the daemon says this to a session
    shown                   a client has shown these messages
    is_quiet                nothing is under way: what must be true now
    restarts                the daemon was killed, and this is what it found

and raises Disagreement where the daemon does something else.

A queue is a dictionary: message -> its place in the order of all messages; a message is named by
its sender and the sender's id.  Messages of a session's queue either wait for CHECK or are live:

    while it holds          all wait for CHECK
    else                    those that were stored since it came, or stopped holding, are live;
                            if it resumed, all behind the message that it named

An errand is a session beside the one of its user or without one; what is live there is not its.  If
it does not hold, it is sent what comes, too, as a copy while its user has a session.  A check
begins while no other client of the user has messages of one that it has not confirmed, or after
`patience` seconds.

What concerns rooms, and being away, is in room_model.py.
"""
from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import wire
from net.values import ERRANDS
from tests.rules.room_model import Disagreement, Key, Recall, Room, Rooms
from wire import Feature, Outcome, SendFlag, Why

ALL_FLAGS = SendFlag.NOW | SendFlag.EVERYONE
__all__ = ["Disagreement", "Key", "Model", "Session"]


class Message(NamedTuple):
    """A message that was stored; `copies`: its number of recipients; `to`: what MAILS_TO says."""
    text: str
    flags: int
    copies: int
    place: int
    to: tuple[str, ...]

    @property
    def is_line(self) -> bool:
        """Whether it was said in a room."""
        return self.to[:1] != () and wire.is_room(self.to[0])

    def said_to(self, features: int) -> tuple[str, tuple[str, ...]]:
        """Text and `to`, as a client with these features is sent them."""
        if features & Feature.ADDRESSED:
            return self.text, self.to
        labelled = f"[{self.to[0]}] {self.text}" if self.is_line else self.text
        return labelled if len(labelled.encode()) <= wire.TEXT_MAX else self.text, ()


class Answer:
    """What the sender of one message must still be told."""

    def __init__(self, stored: bool, outcomes: dict[int, set[str]], why: Why | None = None,
                 texts: dict[str, str] | None = None) -> None:
        self.stored = stored        # STORED, before the outcomes
        self.outcomes = outcomes
        self.why = why              # REFUSED, and nothing else
        self.texts = texts or {}    # what those say who are away: STATUS, before the outcomes

    def is_complete(self) -> bool:
        return not self.stored and not any(self.outcomes.values()) and self.why is None


class Check:
    """A CHECK under way.  `left`: what it has to bring yet, from the time when it begins."""

    def __init__(self, request: int, at: float) -> None:
        self.request = request
        self.at = at                # when the daemon read it, monotonic
        self.left: dict[Key, None] | None = None
        self.came = self.gone = self.last = 0


class Session:
    """One client, from its HELLO to its end."""

    def __init__(self, name: str, features: int, last: int, is_errand: bool, uid: int,
                 is_operator: bool) -> None:
        self.name = name
        self.features = features
        self.is_errand = is_errand
        self.uid, self.is_operator = uid, is_operator
        self.checked: set[Key] = set()              # of those in flight: sent by a check
        self.holding = bool(features & Feature.HOLD)
        self.since = last                           # messages behind this place are live
        self.live: dict[Key, None] = {}             # live, and not sent yet
        self.live_id = 0                            # of the last that was sent live
        self.in_flight: dict[Key, int] = {}         # sent and not confirmed: bytes of text
        self.check: Check | None = None
        self.began = -1.0                           # when the last check began, monotonic
        self.let_at = -1.0                          # and the last that had waited long enough
        self.told: int | None = None                # by WELCOME and WAITING; None: not welcomed yet
        self.begins: list[int] = []                 # LIVE is due: the places behind which mail is
        self.answers: dict[int, list[Answer]] = {}  # due, by the sender's id
        # DONE, or FAILED with this reason, or another answer is due
        self.requests: dict[int, tuple[type, Why | None]] = {}
        self.confirming: set[int] = set()           # ids of which CONFIRMED is due
        self.receipts: set[tuple[str, int]] = set()  # reader and id of which DELIVERED is due
        self.is_moved = False                       # MOVED is due
        # what it was told of the rooms of its user, and of others; and what it waits for
        self.rooms: dict[str, wire.RoomEntry] = {}
        self.listed: dict[str, wire.RoomEntry] = {}
        self.listing = 0
        self.recall: Recall | None = None
        self.members: list[tuple[wire.Admitted, set[str]]] = []
        self.statuses: dict[str, str] = {}          # who says what of being away, as last told
        self.texts: set[tuple[str, str]] = set()    # and ever

    def expects(self, request: int, kind: type, why: Why | None = None) -> None:
        """This answer is due."""
        self.requests[request] = kind, why


class Model:
    """All sessions and all queues.  `window`: messages, and bytes, sent ahead of CONFIRM; `quota`:
    messages in one mailbox; 0: no limit; `kept`: lines that a room keeps; `people`: logins of the
    host."""

    def __init__(self, window: int, window_bytes: int, quota: int, patience: float, kept: int,
                 people: Iterable[str]) -> None:
        self.rooms, self.people = Rooms(self, kept), frozenset(people)
        self.never: set[str] = set()                        # got mail, and did not come yet
        self.window, self.window_bytes, self.quota = window, window_bytes, quota
        self.patience = patience
        self.now = 0.0                                      # monotonic
        self.last = 0                                       # the place of the last message
        self.messages: dict[Key, Message] = {}              # stored, ever
        self.queues: dict[str, dict[Key, int]] = {}         # of each name in the log
        self.ids: dict[int, Key] = {}                       # what each of the daemon's ids is
        self.id_of: dict[Key, int] = {}
        self.places: dict[int, int] = {}                    # by the id that LIVE told
        self.sent: dict[str, list[int]] = {}                # ids sent to each user, ever, in order
        self.seen: dict[str, set[Key]] = {}                 # shown to each user, ever
        self.delivered: dict[str, set[Key]] = {}            # confirmed by each user
        self.asked: dict[str, dict[Key, int]] = {}          # confirmed, without CONFIRMED so far
        self.ignoring: dict[str, set[str]] = {}
        self.here: dict[str, Session] = {}
        self.errands: dict[str, list[Session]] = {}
        # how to undo what this turn brought, if the disk refuses it; and the last place before it
        self._written = 0
        self._undo: list[Callable[[], None]] = []
        self.counts: dict[str, int] = {}                    # of what was seen, for a report

    def count(self, what: str, number: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + number

    # ---- coming and going ----

    def may_undo(self, undo: Callable[[], None]) -> None:
        """Do this if the disk refuses what this turn has brought."""
        self._undo.append(undo)

    def _register(self, name: str) -> None:
        self.queues[name], self.seen[name], self.asked[name] = {}, set(), {}
        self.sent[name] = []
        self.delivered[name], self.ignoring[name] = set(), set()
        self._undo.append(lambda: self._unregister(name))

    def is_new(self, name: str) -> None:
        """A login that never came has the name from now on."""
        self._register(name)
        self.never.add(name)

    def enters(self, name: str, features: int, uid: int, is_errand: bool = False,
               is_operator: bool = False) -> Session:
        if name not in self.queues:
            self._register(name)
        self.never.discard(name)
        session = Session(name, features, self.last, is_errand, uid, is_operator)
        if is_errand:
            self.count("errands")
            self.errands.setdefault(name, []).append(session)
        else:
            self.here[name] = session
        return session

    def resumes(self, name: str, features: int, uid: int, above: int, is_operator: bool = False
                ) -> Session:
        """The same by RESUME: what stands behind this place is live."""
        session = self.enters(name, features, uid, is_operator=is_operator)
        if not session.holding:
            session.since = self.places[above]
            session.live = {key: None for key, place in self.queues[name].items()
                            if place > session.since}
            self.count("resumed", len(session.live))
        return session

    def clients(self, name: str) -> list[Session]:
        """The session of a user and its errands."""
        here = self.here.get(name)
        return [*([here] if here else []), *self.errands.get(name, [])]

    def _unregister(self, name: str) -> None:
        for table in (self.queues, self.seen, self.sent, self.asked, self.delivered,
                      self.ignoring, self.here, self.errands):
            table.pop(name, None)
        self.never.discard(name)

    def leaves(self, session: Session) -> None:
        """It is not among the users any more; answers may still come."""
        session.recall, session.listing = None, 0
        if self.here.get(session.name) is session:
            del self.here[session.name]
        if session in self.errands.get(session.name, ()):
            self.errands[session.name].remove(session)

    # ---- requests ----

    def sends(self, session: Session, said: wire.Sends, refusal: bool) -> None:
        """`refusal`: the daemon takes nothing new, for the disk is full or too far behind."""
        for origin, text in enumerate(said.texts, said.first):
            self._send(session, origin, said.flags & ALL_FLAGS, said.to, text, refusal)

    def _send(self, session: Session, origin: int, flags: int, to: Sequence[str], text: str,
              refusal: bool) -> None:
        key, due = (session.name, origin), session.answers.setdefault(origin, [])
        if key in self.messages:
            due.append(Answer(True, {}))
            if self.messages[key].place > self._written:
                self._undo.append(lambda: self._refuse(session, origin))
            return
        why = next((why for why, is_so in (
            (Why.EMPTY, not text.strip()), (Why.FULL, refusal)) if is_so), None)
        everyone = [name for name in self.queues if name != session.name]
        names = everyone if flags & SendFlag.EVERYONE else list(dict.fromkeys(to))
        room = self.rooms.find(to[0]) if len(to) == 1 and not flags & SendFlag.EVERYONE else None
        why = self._unfit(session, flags, to, names, room) if why is None else why
        if why is not None:
            due.append(Answer(False, {}, why))
            return
        if room:
            names = [name for name in room.members if name != session.name]
        for name in names:
            if name not in self.queues:
                self.is_new(name)
        put = [name for name in names if name in self.here] if flags & SendFlag.NOW else names
        absent = set(names) - set(put)
        full = {name for name in put if 0 < self.quota <= len(self.queues[name])}
        put = [name for name in put if name not in full]
        if not put and not absent and not room:
            due.append(Answer(False, {}, Why.FULL))
            return
        self.count("full mailboxes", len(full))
        due.append(Answer(True, {Outcome.FULL: full}) if room
                   else self._answer_for(session, flags, put, absent, full))
        if put or room:
            self._put(key, put, flags, text, room)
            self._undo.append(lambda: self._take_back(session, key, put, room and room.name))

    def _answer_for(self, session: Session, flags: int, put: Sequence[str], absent: set[str],
                    full: set[str]) -> Answer:
        away = {name for name in put if name not in self.here}
        new = away & self.never if session.features & Feature.LOGINS else set()
        self.count("new", len(new))
        texts = {} if flags & SendFlag.EVERYONE or not session.features & Feature.STATUS else {
            name: text for name in away if (text := self.rooms.status.get(name))}
        return Answer(bool(put), {
            Outcome.ABSENT: absent, Outcome.FULL: full, Outcome.NEW: new, Outcome.AWAY: away - new,
            Outcome.HOLDING: {name for name in put
                              if name in self.here and self.here[name].holding}}, None, texts)

    def _unfit(self, session: Session, flags: int, to: Sequence[str], names: Sequence[str],
               room: Room | None) -> Why | None:
        """Why a message to these is refused, whatever their mailboxes hold."""
        if not names:
            return Why.EMPTY
        if flags & SendFlag.EVERYONE:
            return None
        if len(to) == 1 and wire.is_room(to[0]):
            return (Why.UNKNOWN if room is None or session.name not in room.members else
                    Why.OTHER if flags & SendFlag.NOW else None)
        may_be_new = self.people if (session.features & Feature.LOGINS
                                     and not flags & SendFlag.NOW) else frozenset()
        reasons = [Why.OTHER if name.lower() in self.rooms.names else
                   None if name in self.queues or name in may_be_new else Why.UNKNOWN
                   for name in names]
        return next((why for why in reasons if why is not None), None)

    def _put(self, key: Key, names: Sequence[str], flags: int, text: str, room: Room | None
             ) -> None:
        self.last += 1
        to = (room.name,) if room else tuple(names) if (
            1 < len(names) <= wire.ADDRESSED_MAX and not flags & SendFlag.EVERYONE) else ()
        self.messages[key] = Message(text, flags, len(names) + bool(room), self.last, to)
        if room:
            room.lines.append(key)
            self.count("lines")
        for name in names:
            if key[0] in self.ignoring[name]:
                continue
            self.queues[name][key] = self.last
            for client in self.clients(name):
                if not client.holding:
                    client.live[key] = None

    def _refuse(self, session: Session, origin: int) -> None:
        """A message that this session was to be told STORED for is refused instead."""
        answer = next(each for each in session.answers[origin] if each.stored)
        answer.stored, answer.outcomes, answer.why = False, {}, Why.FULL

    def _take_back(self, session: Session, key: Key, names: Sequence[str], room: str | None
                   ) -> None:
        self._refuse(session, key[1])
        del self.messages[key]
        if room:
            self.rooms.open[room.lower()].lines.remove(key)
        for name in names:
            self.queues.get(name, {}).pop(key, None)
            for client in self.clients(name):
                client.live.pop(key, None)

    def holds(self, session: Session, said: wire.Hold) -> None:
        if session.is_errand:
            session.expects(said.request, wire.Failed)
            return
        session.expects(said.request, wire.Done)
        if said.on:
            session.live.clear()
        elif session.holding:
            session.since = self.last
        session.holding = bool(said.on)
        self._begins(session)

    @staticmethod
    def _begins(session: Session) -> None:
        """It is told where its live mail begins."""
        if session.features & Feature.RESUME and not session.holding:
            session.begins.append(session.since)

    def checks(self, session: Session, said: wire.Check) -> None:
        if session.check:
            session.expects(said.request, wire.Failed, Why.BUSY)
        else:
            session.check = Check(said.request, self.now)

    def confirms(self, session: Session, said: wire.Confirm) -> None:
        name, queue = session.name, self.queues[session.name]
        known = self.sent[name]
        for id in known[bisect_left(known, said.first):bisect_right(known, said.last)]:
            key = self.ids[id]
            if key not in self.seen[name]:
                raise Disagreement(f"{name} said {said}, and was not shown {key}")
            session.confirming.add(id)
            if key in queue:
                self._confirm(session, key)

    def _confirm(self, session: Session, key: Key) -> None:
        name = session.name
        self.asked[name][key] = self.queues[name].pop(key)
        self.delivered[name].add(key)
        for client in self.clients(name) if session in self.clients(name) else [session]:
            client.in_flight.pop(key, None)
            client.checked.discard(key)
            client.live.pop(key, None)
            check = client.check
            if check and check.left is not None and check.left.pop(key, self) is None:
                check.gone += 1
        if self.messages[key].is_line:
            return
        for sender in self.clients(key[0]):
            if sender.features & Feature.RECEIPTS and (not sender.is_errand
                                                       or key[1] >> 32 >= ERRANDS):
                sender.receipts.add((name, key[1]))

    def ignores(self, session: Session, said: wire.Ignore, refusal: bool) -> None:
        name, ignoring = session.name, self.ignoring[session.name]
        if said.name not in self.queues or said.name == name or refusal:
            session.expects(said.request, wire.Failed)
            return
        session.expects(said.request, wire.Done)
        before = set(ignoring)
        (ignoring.add if said.on else ignoring.discard)(said.name)

        def undo() -> None:
            self.ignoring[name] = before
            session.expects(said.request, wire.Failed, Why.FULL)
        self._undo.append(undo)

    # ---- the disk ----

    def written(self) -> None:
        """What this turn brought is in the journal."""
        self._undo.clear()
        self._written = self.last

    def refused(self) -> None:
        """The disk took nothing of it."""
        self.count("refused batches")
        self._undo_all()

    def _undo_all(self) -> None:
        for undo in reversed(self._undo):
            undo()
        self._undo.clear()

    def restarts(self, found: dict[str, list[tuple[int, Key]]], never: Iterable[str],
                 is_killed: bool) -> None:
        """The daemon was killed, or has stopped.  `found`: what waits for each user and each room,
        as the next one finds it; `never`: who has not been here, as far as it knows: a coming is
        not worth a write."""
        self.count("kills")
        if is_killed:
            self._undo_all()
        self._undo.clear()
        self.here.clear()
        self.errands.clear()
        self.never |= set(never)
        rooms = {name: found.pop(name) for name in list(found) if name[0] == "#"}
        self.rooms.restarts({name: [key for _, key in mails] for name, mails in rooms.items()})
        if set(found) != set(self.queues):
            raise Disagreement(f"names: {sorted(found)}, not {sorted(self.queues)}")
        for name, mails in found.items():
            queue = self.queues[name]
            back = {**queue, **self.asked[name]}
            missing = queue.keys() - {key for _, key in mails}
            more = [key for _, key in mails if key not in back]
            if missing or more or len(set(mails)) != len(mails):
                raise Disagreement(f"{name}: lost {missing}, came back {more}")
            self.delivered[name] -= {key for _, key in mails}
            self.queues[name] = {key: back[key] for _, key in mails}
            if list(self.queues[name].values()) != sorted(self.queues[name].values()):
                raise Disagreement(f"{name}: another order than before")
            self.asked[name].clear()

    # ---- what the daemon says ----

    def says(self, session: Session, said: Any) -> None:
        SAID.get(type(said), lambda *_: None)(self, session, said)

    def on_welcome(self, session: Session, said: wire.Welcome) -> None:
        session.told = said.waiting
        self._begins(session)

    def on_live(self, session: Session, said: wire.Live) -> None:
        if not session.begins:
            raise Disagreement(f"{session.name} was told {said}, and holds")
        place = session.begins.pop(0)
        wrong = [key for key, at in self.queues[session.name].items()
                 if key in self.id_of and (self.id_of[key] > said.above) != (at > place)]
        if wrong:
            raise Disagreement(f"{session.name} was told {said}; {wrong} is on the wrong side")
        self.places[said.above] = place

    def on_waiting(self, session: Session, said: wire.Waiting) -> None:
        session.told = said.total

    def on_mails(self, session: Session, said: wire.Mails) -> None:
        for mail in wire.each(said):
            self._mail(session, mail)

    def _mail(self, session: Session, mail: wire.Mail) -> None:
        key, name = (mail.sender, mail.origin), session.name
        if session not in self.clients(name):
            raise Disagreement(f"{name} was sent {mail} on a connection that has left")
        message = self.messages.get(key)
        if message is None or key not in self.queues[name]:
            raise Disagreement(f"{name} was sent {mail}, which does not wait")
        flags = message.flags | mail.flags & SendFlag.CHECK
        if session.is_errand and name in self.here and not mail.flags & SendFlag.CHECK:
            self.count("copies")
            flags |= SendFlag.COPY
        if (mail.text, mail.to, mail.flags, mail.copies) != (
                *message.said_to(session.features), flags, message.copies):
            raise Disagreement(f"{name} was sent {mail}, and it was {message}")
        if (self.ids.setdefault(mail.id, key) != key
                or self.id_of.setdefault(key, mail.id) != mail.id):
            raise Disagreement(f"{mail.id} is {self.ids[mail.id]} and {key}")
        place = bisect_left(self.sent[name], mail.id)
        if self.sent[name][place:place + 1] != [mail.id]:
            self.sent[name].insert(place, mail.id)
        if key not in session.in_flight:
            if (len(session.in_flight) >= self.window
                    or sum(session.in_flight.values()) >= self.window_bytes):
                raise Disagreement(f"{name} was sent {mail} beyond its window")
            session.in_flight[key] = len(message.text.encode())
        (self._checked_mail if mail.flags & SendFlag.CHECK else self._live_mail)(session, key, mail)

    def _live_mail(self, session: Session, key: Key, mail: wire.Mail) -> None:
        self.count("live")
        if session.holding or next(iter(session.live), None) != key or mail.id <= session.live_id:
            raise Disagreement(f"{session.name} was sent {mail} live; live are "
                               f"{list(session.live)[:5]}, holding: {session.holding}")
        del session.live[key]
        session.live_id = mail.id

    def _checked_mail(self, session: Session, key: Key, mail: wire.Mail) -> None:
        self.count("checked")
        check = self._begun(session)
        session.checked.add(key)
        assert check.left is not None
        if next(iter(check.left), None) != key or mail.id <= check.last:
            raise Disagreement(f"{session.name} was sent {mail} by a check of "
                               f"{list(check.left)[:5]}")
        del check.left[key]
        check.came, check.last = check.came + 1, mail.id

    def _begun(self, session: Session) -> Check:
        """The check under way; it brings what waits when its first MAILS leaves, and that is the
        number that the client was told last."""
        check = session.check
        if check is None:
            raise Disagreement(f"{session.name} did not check")
        if check.left is None:
            busy = [other for other in self.clients(session.name) if other is not session
                    and (other.checked or (other.check and other.check.left))
                    and other.let_at != self.now    # it may have begun before that one
                    and not self._was_before(session, other)]
            if busy and self.now - check.at < self.patience:
                raise Disagreement(f"{session.name} checks while {busy[0].checked} are on their way"
                                   " by another check")
            self.count("checks beside another", len(busy))
            check.left = dict.fromkeys(self.waits(session))
            session.began = self.now
            if self.now - check.at >= self.patience:
                session.let_at = self.now
            if session.told != len(check.left):
                raise Disagreement(f"{session.name} was told {session.told}, and a check brings "
                                   f"{len(check.left)}")
        return check

    def _was_before(self, session: Session, other: Session) -> bool:
        """Whether a check of this session, which brings nothing, may have ended before that of the
        other began: in the same turn.  An errand that listens has less to check than others."""
        return other.began == self.now and not self.waits(session)

    def waits(self, session: Session) -> list[Key]:
        """What waits for a CHECK of this session."""
        reader = self.here.get(session.name)
        return [key for key, place in self.queues[session.name].items()
                if all(client.holding or place <= client.since for client in (reader, session)
                       if client)]

    def on_checked(self, session: Session, said: wire.Checked) -> None:
        check = self._begun(session)
        if check.left or (said.request, said.total) != (check.request, check.came):
            raise Disagreement(f"{session.name} was told {said}; {check.came} came, and "
                               f"{len(check.left or ())} did not")
        self.count("checks")
        session.check = None

    def on_stored(self, session: Session, said: wire.Stored) -> None:
        for origin in range(said.first, said.last + 1):
            answer = self._answer(session, origin, lambda answer: answer.stored, said)
            answer.stored = False
            self._answered(session, origin)

    def on_outcomes(self, session: Session, said: wire.Outcomes) -> None:
        for origin in range(said.first, said.last + 1):
            answer = self._answer(
                session, origin, lambda answer: not answer.stored and
                set(said.to) <= answer.outcomes.get(Outcome(said.outcome), set()), said)
            answer.outcomes[said.outcome] -= set(said.to)
            untold = [name for name in said.to if name in answer.texts
                      and (name, answer.texts[name]) not in session.texts]
            if untold:
                raise Disagreement(f"{session.name} was told {said} before STATUS of {untold}")
            self._answered(session, origin)

    def on_refused(self, session: Session, said: wire.Refused) -> None:
        answer = self._answer(session, said.id, lambda answer: answer.why is not None, said)
        if answer.why != said.why:
            raise Disagreement(f"{session.name} was told {said}, not {answer.why}")
        answer.why = None
        self._answered(session, said.id)

    @staticmethod
    def _answer(session: Session, origin: int, fits: Callable[[Answer], bool], said: Any) -> Answer:
        for answer in session.answers.get(origin, ()):
            if fits(answer):
                return answer
        due = [vars(answer) for answer in session.answers.get(origin, ())]
        raise Disagreement(f"{session.name} was told {said}; due for {origin} is {due}")

    @staticmethod
    def _answered(session: Session, origin: int) -> None:
        rest = [each for each in session.answers[origin] if not each.is_complete()]
        session.answers[origin] = rest
        if not rest:
            del session.answers[origin]

    def on_confirmed(self, session: Session, said: wire.Confirmed) -> None:
        asked = self.asked[session.name]
        for id in [id for id in session.confirming if said.first <= id <= said.last]:
            session.confirming.discard(id)
            asked.pop(self.ids[id], None)

    def on_delivered(self, session: Session, said: wire.Delivered) -> None:
        for origin in range(said.first, said.last + 1):
            if (session.name, origin) not in self.delivered[said.by]:
                raise Disagreement(f"{session.name} was told {said}: {origin} was not confirmed")
            if (said.by, origin) not in session.receipts:
                raise Disagreement(f"{session.name} was told {said} of {origin} again")
            session.receipts.discard((said.by, origin))

    def on_request(self, session: Session, said: Any) -> None:
        if type(said) is wire.Done and self.rooms.on_done(session, said):
            return
        kind, why = session.requests.pop(said.request, (None, None))
        if kind is not type(said) or (why is not None and said.why != why):
            raise Disagreement(f"{session.name} was told {said}, not {kind} {why}")

    def on_moved(self, session: Session, said: wire.Moved) -> None:
        if not session.is_moved:
            raise Disagreement(f"{session.name} was told {said}")
        session.is_moved = False

    # ---- a client ----

    def shown(self, name: str, mails: Iterable[wire.Mail]) -> None:
        self.seen[name].update((mail.sender, mail.origin) for mail in mails)

    # ---- at any time, and when nothing is under way ----

    def compare(self, waiting: dict[str, int], is_quiet: bool = False) -> None:
        """`waiting`: how many messages wait for each user and each room, by the store."""
        for name, queue in self.queues.items():
            if waiting[name] != len(queue):
                raise Disagreement(f"{waiting[name]} wait for {name}, not {len(queue)}")
        self.rooms.compare({name: number for name, number in waiting.items() if name[0] == "#"},
                           is_quiet)

    def is_quiet(self) -> None:
        """All requests were read, all answers sent, and the disk has everything."""
        self.count("quiet moments")
        sessions = [each for name in self.queues for each in self.clients(name)]
        self.rooms.is_quiet(sessions)
        for session in sessions:
            due = (session.answers, session.requests, session.confirming, session.receipts,
                   session.begins)
            if any(due):
                raise Disagreement(f"{session.name} is owed {due}")
            waits = len(self.waits(session))
            if session.told != waits and not session.is_errand:
                raise Disagreement(f"{session.name} was told {session.told}, and {waits} wait")
            is_full = (len(session.in_flight) >= self.window
                       or sum(session.in_flight.values()) >= self.window_bytes)
            if (session.live or session.check) and not is_full:
                raise Disagreement(f"{session.name} is not sent {list(session.live)[:5]}, "
                                   f"{session.check and vars(session.check)}")


SAID: dict[type, Callable[[Model, Session, Any], None]] = {
    wire.Welcome: Model.on_welcome, wire.Waiting: Model.on_waiting, wire.Mails: Model.on_mails,
    wire.Checked: Model.on_checked, wire.Stored: Model.on_stored,
    wire.Outcomes: Model.on_outcomes, wire.Refused: Model.on_refused,
    wire.Confirmed: Model.on_confirmed, wire.Delivered: Model.on_delivered,
    wire.Live: Model.on_live, wire.Done: Model.on_request, wire.Failed: Model.on_request,
    wire.MailsTo: Model.on_mails, wire.Moved: Model.on_moved,
    **{kind: lambda model, session, said, hears=hears: hears(model.rooms, session, said)
       for kind, hears in ((wire.Past, Rooms.on_past), (wire.Rooms, Rooms.on_rooms),
                           (wire.Admitted, Rooms.on_admitted), (wire.Members, Rooms.on_members),
                           (wire.Status, Rooms.on_status))}}
