"""promises: answers that wait until the disk has what they promise.

STORED, OUTCOMES, DELIVERED, CONFIRMED, DONE for a setting, and a newcomer's WELCOME promise that
something is durable.  They are gathered here, turn by turn, and leave when the mailbox has settled
the last seq of their turn: in the same turn, or some turns later if the disk is slow.  Answers of
different turns never overtake each other.

Ids are gathered as ranges: a client that sends messages with consecutive ids is sent one STORED a
turn.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import wire
from rules.roster import Roster
from rules.state import Client
from rules.store import RefusedBatch
from wire import Why

# Turns whose answers wait for the disk: with a disk that works they are some tens.  Above this, the
# answers of each client are counted;
LATE = 256
# and a client that waits for more answers than this is not read any more: four windows, 1 MB.
OWED_MAX = 4096
OUTCOME_NAMES = 1000        # names in one OUTCOMES: 33 KB of the longest, under the frame limit

Ranges = list[list[int]]    # first and last


def add_range(ranges: Ranges, first: int, last: int) -> None:
    """Add a range behind the others."""
    if ranges and ranges[-1][1] + 1 == first:
        ranges[-1][1] = last
    else:
        ranges.append([first, last])


class OutcomePages:
    """What becomes of a message for those of its recipients that are not reading now, as OUTCOMES
    says it: names, page by page.  Two are equal only if they are the same object."""
    __slots__ = ("pages",)

    def __init__(self, pages: Sequence[tuple[wire.Outcome, tuple[str, ...]]] = ()) -> None:
        self.pages = pages

    def with_names(self, outcome: wire.Outcome, names: Sequence[str]) -> OutcomePages:
        """These pages, and more names."""
        more = [(outcome, tuple(names[at:at + OUTCOME_NAMES]))
                for at in range(0, len(names), OUTCOME_NAMES)]
        return OutcomePages([*self.pages, *more])


class Answers:
    """The answers to the requests of one turn, for when the disk has it."""

    def __init__(self) -> None:
        self.welcomes: list[tuple[Client, wire.Welcome]] = []
        self.stored: dict[Client, Ranges] = {}
        self.outcomes: dict[tuple[Client, OutcomePages], Ranges] = {}
        self.replies: list[tuple[Client, wire.Message]] = []    # CONFIRMED and DELIVERED
        self.settings: list[tuple[Client, int]] = []    # requests that changed a setting: DONE

    @property
    def is_empty(self) -> bool:
        return not (self.stored or self.outcomes or self.replies or self.settings or self.welcomes)

    def add_stored(self, client: Client, first: int, last: int) -> None:
        ranges = self.stored.get(client)
        if ranges is None:
            self.stored[client] = [[first, last]]
        else:
            add_range(ranges, first, last)

    def add_outcomes(self, client: Client, first: int, last: int, outcomes: OutcomePages) -> None:
        ranges = self.outcomes.get((client, outcomes))
        if ranges is None:
            self.outcomes[client, outcomes] = [[first, last]]
        else:
            add_range(ranges, first, last)

    def without(self, refused: AbstractSet[tuple[int, int]]) -> list[tuple[Client, int]]:
        """Take back the STORED and OUTCOMES of these messages, given by the number of the sender
        and the origin.  Returns those that were to be STORED, by sender and origin."""
        taken: list[tuple[Client, int]] = []
        stored, self.stored = self.stored, {}
        for client, ranges in stored.items():
            for origin in _each(ranges):
                if (client.user.number, origin) in refused:
                    taken.append((client, origin))
                else:
                    self.add_stored(client, origin, origin)
        outcomes, self.outcomes = self.outcomes, {}
        for (client, pages), ranges in outcomes.items():
            for origin in _each(ranges):
                if (client.user.number, origin) not in refused:
                    self.add_outcomes(client, origin, origin, pages)
        return taken


class Promises:
    """The answers of this turn, and of earlier turns that the disk may not have yet."""

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.turn = Answers()
        self._unsettled: deque[tuple[int, Answers]] = deque()
        self._owed: dict[Client, int] = {}      # how many answers each client waits for, if LATE

    # ---- what waits ----

    @property
    def owes(self) -> bool:
        """Whether an answer waits for the disk."""
        return bool(self._unsettled)

    def owes_up_to(self, seq: int) -> bool:
        """Whether an answer that was promised up to this seq waits for the disk."""
        return bool(self._unsettled) and self._unsettled[0][0] <= seq

    def is_owed_much(self, client: Client | None) -> bool:
        """Whether more answers to this client wait for the disk than OWED_MAX.  The limit on seqs
        that are not on disk does not bound them, for some requests use no seq, such as CONFIRM of
        what is not there."""
        return bool(self._owed) and client is not None and self._owed.get(client, 0) > OWED_MAX

    def _count(self, answers: Answers) -> None:
        owed = self._owed
        for client, _ in (*answers.replies, *answers.settings):
            owed[client] = owed.get(client, 0) + 1
        for client, ranges in answers.stored.items():
            owed[client] = owed.get(client, 0) + len(ranges)
        for (client, _), ranges in answers.outcomes.items():
            owed[client] = owed.get(client, 0) + len(ranges)

    # ---- the turn ----

    def refuse(self, batch: RefusedBatch) -> list[Client]:
        """The disk refused the settings and names of this turn: take their answers back.  Returns
        the newcomers whose names it refused."""
        for client, request in self.turn.settings:
            self.roster.tell(client, wire.Failed(request, Why.FULL, batch.reason))
        self.turn.settings = []
        refused = {user.number for user in batch.users}
        welcomes = self.turn.welcomes
        self.turn.welcomes = [(client, welcome._replace(waiting=client.user.waiting))
                              for client, welcome in welcomes if client.user.number not in refused]
        return [client for client, _ in welcomes if client.user.number in refused]

    def written(self, seq: int) -> None:
        """The batch of this turn is written, up to this seq: its answers wait for the disk."""
        if not self.turn.is_empty:
            self._unsettled.append((seq, self.turn))
            if len(self._unsettled) > LATE:
                self._count(self.turn)
            self.turn = Answers()

    def settle(self, seq: int) -> list[Client]:
        """Everything up to this seq is on disk: send the answers that promise it.  Returns the
        newcomers that were welcomed."""
        welcomed: list[Client] = []
        while self._unsettled and self._unsettled[0][0] <= seq:
            _, answers = self._unsettled.popleft()
            self._say(answers)
            welcomed += [client for client, _ in answers.welcomes]
        if self._owed and len(self._unsettled) <= LATE:
            self._owed.clear()
        return welcomed

    def _say(self, answers: Answers) -> None:
        tell = self.roster.tell
        for client, welcome in answers.welcomes:
            self.roster.welcome(client, welcome)
        for client, ranges in answers.stored.items():
            for first, last in ranges:
                tell(client, wire.Stored(first, last))
        for (client, outcomes), ranges in answers.outcomes.items():
            for outcome, names in outcomes.pages:
                for first, last in ranges:
                    tell(client, wire.Outcomes(first, last, outcome, names))
        for client, said in answers.replies:
            tell(client, said)
        for client, request in answers.settings:
            tell(client, wire.Done(request))


def _each(ranges: Ranges) -> list[int]:
    """The numbers of some ranges."""
    return [number for first, last in ranges for number in range(first, last + 1)]
