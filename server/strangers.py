"""strangers: the connections that have not said who they are.

A connection is a stranger until the rules let its client in: it says HELLO, and if the name is kept
for an owner, it gets a CHALLENGE and says PROOF.  It has LOGIN_SECONDS for both (options.py).

Strangers stand in two pools (pool.py): the silent, and those that have said HELLO, which are at
their proof or wait for the daemon.  A connection moves to the end of the second when it says HELLO,
and again when it gets its CHALLENGE: what it waited for the daemon does not count against it.  A
real client sends HELLO with its first packet and has its key ready, so the time in which it could
be pushed out is that of a packet and its answer.
"""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import wire
from rules.claims import Question
from rules.door import Door
from rules.state import Client, Doubtful, Now, Refusal
from server.connection import Connection
from server.operations import Operations
from server.options import Limits
from server.pool import Pool

GREETINGS = (wire.Hello, wire.Resume)
TOO_MANY = "too many connections are logging in: try again"


class Strangers:
    """The connections without a name, their number, and how one of them becomes a client."""

    def __init__(self, door: Door, limits: Limits, operations: Operations) -> None:
        self.door = door                    # who may come in, by the rules
        self.operations = operations        # what an operator asks for, in place of HELLO
        self.limits = limits
        self.silent: Pool[Connection] = Pool(limits.strangers, limits.strangers_each)
        self.known: Pool[Connection] = Pool(limits.handshakes, limits.handshakes_each)

    def __len__(self) -> int:
        return len(self.silent) + len(self.known)

    def __iter__(self) -> Iterator[Connection]:
        yield from self.silent
        yield from self.known

    # ---- their number ----

    def keep_waiting(self, connection: Connection) -> None:
        """Count a newcomer that has no name yet; if it is one too many, another has to go."""
        has_spoken = connection.paused or connection.question or connection.frames
        self._put(connection, self.known if has_spoken else self.silent)

    def remove(self, connection: Connection) -> None:
        """It has a name, or is closed.  Harmless when it is no stranger."""
        self.silent.remove(connection)
        self.known.remove(connection)

    def _put(self, connection: Connection, pool: Pool[Connection]) -> None:
        self.remove(connection)
        other = pool.add(connection)
        if other is None:
            return
        if other.paused and pool is self.silent:
            self._put(other, self.known)        # its HELLO came, and waits for the disk
            return
        if not other.closing:
            self.refuse(other, wire.Why.FULL, TOO_MANY)
        other.close(TOO_MANY)                   # whether it could be told or not

    # ---- how one becomes a client ----

    def enter(self, connection: Connection, said: Any, now: Now) -> Client | None:
        """The first message of a connection, or the second of one that got a CHALLENGE.  Returns
        the client that was let in; None: it is a stranger still, or refused, or gone.

        Raises ProtocolError; Doubtful: show it the same message again in a moment."""
        question, kind = connection.question, type(said)
        if kind is wire.Operate and not question:
            self.operations.take(connection, said)
            return None
        if kind not in ((wire.Proof,) if question else GREETINGS) or (question and question.at):
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
        except Doubtful:
            if connection not in self.known:
                self._put(connection, self.known)
            raise
        if isinstance(entered, Question):
            connection.question = entered
            self._put(connection, self.known)
            self._challenge(connection, entered, now, waited=False)
            return None
        self.remove(connection)
        return entered

    def _challenge(self, connection: Connection, question: Question, now: Now, *, waited: bool
                   ) -> None:
        """Send the CHALLENGE, as soon as that host may get one again."""
        if self.door.may_ask(question, waited, now):
            connection.question = question._replace(at=0.0)
            if waited:
                self._put(connection, self.known)
            connection.send(b"".join(map(wire.encode, question.messages)))

    @staticmethod
    def refuse(connection: Connection, why: wire.Why, reason: str) -> None:
        """Tell a stranger why it can't come in, and close."""
        connection.finish(reason, wire.encode(wire.Rejected(why, reason)))

    def turn_out(self, connection: Connection, why: wire.Why, reason: str) -> None:
        """It had a name that it can't keep: it is a stranger again, and refused."""
        self.known.add(connection)
        self.refuse(connection, why, reason)

    # ---- time ----

    def look(self, now: Now) -> None:
        """Close those whose time is over, ask those that had to wait for their CHALLENGE, and tell
        operators what they wait for."""
        self.operations.look(now)
        for connection in self:
            question = connection.question
            if now.monotonic - connection.opened >= self.limits.login_seconds:
                connection.close("no PROOF in time" if question else "no HELLO in time")
            elif question and question.at:
                self._challenge(connection, question, now, waited=True)

