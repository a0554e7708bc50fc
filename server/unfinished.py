"""unfinished: connections whose last read brought more than the daemon has worked off.

Their other frames wait, and what for tells them apart:

    next_turn   nothing: the turn ended first
    resting     a time: the connection had its share (fairness.py), or its HELLO can't be judged yet
    held        the disk, which is too far behind for what the connection asks (mailbox.progress);
                or a seal, because its login fills the journals, and they are long (rules/usage.py)
    owed        answers for it that wait for the disk, of which there are too many (promises.py)

All but the first are paused: the daemon does not read them, and does not ask whether they are still
there.  A connection is in one of the last three at most.

A connection that is held for the disk waits for HOLD_SECONDS; if the disk is then still too far
behind, the rules refuse what it asks.  One that is held for a seal waits as long as that takes.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from math import inf

from mailbox import Mailbox
from rules.state import Client
from rules.usage import Usages
from server.connection import Connection

DOUBT_SECONDS = 0.1         # between two looks whether a session that is in the way has answered
HOLD_SECONDS = 5.0          # that a request waits for a disk that is too far behind, before it is
                            # refused; a client waits 20 s for its PONG
RESUMED = 16                # connections held for a seal that go on in one turn: each has a long
                            # text, and the journals may be long again after a few


class Unfinished:
    """The connections, and what they wait for."""

    def __init__(self, mailbox: Mailbox, owes_much: Callable[[Client | None], bool],
                 usages: Usages) -> None:
        self.mailbox = mailbox
        self.usages = usages
        self.owes_much = owes_much          # whether a client is owed too much (promises.py)
        self.next_turn: dict[Connection, None] = {}
        self.resting: dict[Connection, float] = {}      # until when, on the monotonic clock
        self.held: dict[Connection, None] = {}
        self.filling: dict[Connection, None] = {}       # held, for a seal
        self.owed: dict[Connection, None] = {}
        self._behind_since = 0.0            # when the first was held; 0: none is, the disk is near

    # ---- to wait ----

    def rest(self, connection: Connection, until: float) -> None:
        """Do not read it until then."""
        self.resting[connection] = until
        self._pause(connection)

    def hold(self, connection: Connection, now: float) -> bool:
        """Do not read it until the disk has come nearer, or the journals are sealed.  False: it
        need not wait, or all have waited long enough."""
        if not self.mailbox.progress.is_behind:
            return self._hold_back(connection)
        self._behind_since = self._behind_since or now
        if now - self._behind_since >= HOLD_SECONDS:
            return False
        self.held[connection] = None
        self._pause(connection)
        return True

    def _hold_back(self, connection: Connection) -> bool:
        """Do not read it until the journals are sealed, if its login fills them."""
        client = connection.client
        if client is None or not self._waits_for_a_seal() or not self.usages.fills(
                client, self.mailbox.upkeep.seals, self.mailbox.progress.long_at):
            return False
        self.filling[connection] = None
        self._pause(connection)
        return True

    def _waits_for_a_seal(self) -> bool:
        """Whether the journals are long, and about to be sealed; not after a seal has failed."""
        upkeep = self.mailbox.upkeep
        return self.mailbox.progress.is_long and upkeep.after <= upkeep.now

    def owe(self, connection: Connection) -> None:
        """Do not read it until it has got answers that wait for the disk."""
        self.owed[connection] = None
        self._pause(connection)

    def doubt(self, connection: Connection, now: float) -> None:
        """Look at its last message again in a moment, or when its client awaits nothing."""
        connection.next -= 1
        if self.owes_much(connection.client):
            self.owe(connection)
        else:
            self.rest(connection, now + DOUBT_SECONDS)

    @staticmethod
    def _pause(connection: Connection) -> None:
        connection.paused = True
        connection.watch()

    # ---- to go on ----

    def due(self, now: float) -> list[Connection]:
        """Those that go on in this turn; they stay in `next_turn` until they are worked off."""
        if self.resting:
            rested = [each for each, until in self.resting.items() if now >= until]
            for connection in rested:
                del self.resting[connection]
            self._resume(rested, now)
        return list(self.next_turn)

    def release(self, now: float) -> None:
        """A turn ends: go on with those for which the disk is near enough, or that waited long."""
        if self._behind_since:
            is_behind = self.mailbox.progress.is_behind
            if not is_behind:
                self._behind_since = 0.0
            if not is_behind or now - self._behind_since >= HOLD_SECONDS:
                held, self.held = self.held, {}
                self._resume(held, now)
        if self.filling and not self._waits_for_a_seal():
            filling = list(islice(self.filling, RESUMED))
            for connection in filling:
                del self.filling[connection]
            self._resume(filling, now)
        if self.owed:
            paid = [each for each in self.owed if not self.owes_much(each.client)]
            for connection in paid:
                del self.owed[connection]
            self._resume(paid, now)

    def _resume(self, connections: Iterable[Connection], now: float) -> None:
        for connection in connections:
            connection.paused, connection.heard = False, now
            connection.watch()
            self.go_on(connection)

    def go_on(self, connection: Connection) -> None:
        """Work it off in the next turn, if nothing keeps the daemon from that."""
        if connection.may_go_on:
            self.next_turn[connection] = None

    def until(self) -> float:
        """When one of those that wait for a time goes on, on the monotonic clock; inf: none."""
        if self.filling and not self._waits_for_a_seal():
            return 0.0
        held = self._behind_since + HOLD_SECONDS if self.held else inf
        return min((held, *self.resting.values()))

    def drop(self, connection: Connection) -> None:
        """It is closed."""
        for table in (self.next_turn, self.resting, self.held, self.filling, self.owed):
            table.pop(connection, None)
