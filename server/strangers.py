"""strangers: the connections that have not said who they are.

A connection is a stranger until the rules let its client in: it says HELLO, and if the name is kept
for an owner, it gets a CHALLENGE and says PROOF.  It has LOGIN_SECONDS for both (options.py).

Strangers are counted for each listener and, there, for each host (rules/hosts.py).  So a flood at
one listener does not shut the others, and one host can't keep the rest out.  Idle connections can't
shut a listener either: if there is one stranger too many, the oldest that has said nothing is
closed.  A real client sends HELLO with its first packet.  If none is idle, the newcomer is refused
where its own host has the places; else the listener rests (doors.py).
"""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import wire
from rules.claims import Question
from rules.door import Door
from rules.state import Client, Now, Refusal
from server.connection import Connection
from server.options import Limits

PROOF_SECONDS = 2.0         # for the PROOF, while others wait for the place: a client has its key
                            # ready

OF_ONE_HOST = "too many connections from your address are logging in: try again"
OF_ONE_DOOR = "too many connections are logging in: try again"


class Strangers:
    """The connections without a name, their number, and how one of them becomes a client."""

    def __init__(self, door: Door, limits: Limits) -> None:
        self.door = door                    # who may come in, by the rules
        self.limits = limits
        self._waiting: dict[Connection, None] = {}          # in the order in which they came
        self._counts: dict[tuple[str, str], int] = {}       # by listener and host; "": all hosts

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._waiting))

    # ---- their number ----

    def has_room(self, place: str, now: Now) -> bool:
        """Whether one more may come in at this listener, or can have a place made."""
        return (self._counts.get((place, ""), 0) < self.limits.strangers
                or self._idle(place, "", now) is not None)

    def add(self, connection: Connection) -> None:
        """Count it."""
        self._waiting[connection] = None
        self._count(connection, 1)

    def remove(self, connection: Connection) -> None:
        """It has a name, or is closed.  Harmless when it is no stranger."""
        if connection in self._waiting:
            del self._waiting[connection]
            self._count(connection, -1)

    def _count(self, connection: Connection, step: int) -> None:
        for key in (connection.place, ""), (connection.place, connection.caller.host):
            self._counts[key] = self._counts.get(key, 0) + step
            if not self._counts[key]:
                del self._counts[key]

    def keep_waiting(self, connection: Connection, now: Now) -> None:
        """Count a newcomer that has no name yet; if it is one too many, an idle one has to go."""
        self.add(connection)
        if connection.closing:
            return
        place, host = connection.place, connection.caller.host
        if self._counts[place, host] > self.limits.strangers_each:
            self._make_room(connection, self._idle(place, host, now), OF_ONE_HOST)
        elif self._counts[place, ""] > self.limits.strangers:
            self._make_room(connection, self._idle(place, "", now), OF_ONE_DOOR)

    def _make_room(self, newcomer: Connection, idle: Connection | None, reason: str) -> None:
        """Close the idle stranger, or the newcomer if there is none."""
        other = idle or newcomer
        if not other.closing:
            self.refuse(other, wire.Why.FULL, reason)
        if idle:
            idle.close(reason)                  # whether it could be told or not

    def _idle(self, place: str, host: str, now: Now) -> Connection | None:
        """The oldest stranger of this listener, and of this host if one is given, that can go."""
        long_ago = now.monotonic - PROOF_SECONDS
        for other in self._waiting:
            if (other.place == place and host in ("", other.caller.host)
                    and _is_idle(other, long_ago)):
                return other
        return None

    # ---- how one becomes a client ----

    def enter(self, connection: Connection, said: Any, now: Now) -> Client | None:
        """The first message of a connection, or the second of one that got a CHALLENGE.  Returns
        the client that was let in; None: it is a stranger still, or refused, or gone.

        Raises ProtocolError; Doubtful: show it the same message again in a moment."""
        question, kind = connection.question, type(said)
        if kind is not (wire.Proof if question else wire.Hello) or (question and question.at):
            before = "CHALLENGE" if question else "HELLO"
            raise wire.ProtocolError(f"a {wire.name_of(said)} before {before}")
        said_all = connection.next == len(connection.frames) and not connection.decoder.held
        if connection.is_gone(said_all):
            connection.close("the line was closed before it was let in")
            return None
        try:
            entered: Client | Question
            if question:
                entered = self.door.prove(question, said, connection.caller, now)
            else:
                entered = self.door.enter(said, connection.caller, now)
        except Refusal as refusal:
            self.refuse(connection, wire.Why(refusal.message.why), refusal.message.reason)
            return None
        if isinstance(entered, Question):
            connection.question = entered
            self._challenge(connection, entered, now, waited=False)
            return None
        self.remove(connection)
        return entered

    def _challenge(self, connection: Connection, question: Question, now: Now, *, waited: bool
                   ) -> None:
        """Send the CHALLENGE, as soon as that host may get one again."""
        if self.door.may_ask(question, waited, now):
            connection.question, connection.asked = question._replace(at=0.0), now.monotonic
            connection.send(b"".join(map(wire.encode, question.messages)))

    @staticmethod
    def refuse(connection: Connection, why: wire.Why, reason: str) -> None:
        """Tell a stranger why it can't come in, and close."""
        connection.finish(reason, wire.encode(wire.Rejected(why, reason)))

    def turn_out(self, connection: Connection, why: wire.Why, reason: str) -> None:
        """It had a name that it can't keep: it is a stranger again, and refused."""
        self.add(connection)
        self.refuse(connection, why, reason)

    # ---- time ----

    def look(self, now: Now) -> None:
        """Close those whose time is over, and ask those that had to wait for their CHALLENGE."""
        for connection in self:
            question = connection.question
            if now.monotonic - connection.opened >= self.limits.login_seconds:
                connection.close("no PROOF in time" if question else "no HELLO in time")
            elif question and question.at:
                self._challenge(connection, question, now, waited=True)


def _is_idle(stranger: Connection, long_ago: float) -> bool:
    """Whether a stranger can go: it is closing, has not said HELLO, or got its CHALLENGE long ago
    and does not answer.  One whose HELLO waits, for its own ghost's end or for the disk, stays."""
    question = stranger.question
    if stranger.closing or question is None:
        return bool(stranger.closing) or not stranger.paused
    return not question.at and stranger.asked <= long_ago
