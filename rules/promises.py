"""promises: what is promised on account of the disk, until the disk has it.

Everything that promises durability (STORED, OUTCOMES, DELIVERED, CONFIRMED, DONE for a setting, a newcomer's WELCOME)
is gathered here for each turn, and leaves when the mailbox has settled the turn's last seq: in that turn, or some turns
later when the disk is slow.  Answers of different turns never overtake each other.

Ids are gathered as ranges: a client whose messages follow one upon the other hears one STORED a turn.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import wire
from rules.roster import Roster
from rules.state import Client

LATE = 256                  # turns whose answers wait for the disk, above which those of each client are counted: with
                            # a disk that works they are some tens
OWED_MAX = 4096             # answers that one client may then wait for before it is read no more: four windows, 1 MB
OUTCOME_NAMES = 1000        # names in one OUTCOMES: 33 KB of the longest, under the frame limit

Ranges = list[list[int]]    # first and last


def add(ranges: Ranges, first: int, last: int) -> None:
    """Add a range behind the others."""
    if ranges and ranges[-1][1] + 1 == first:
        ranges[-1][1] = last
    else:
        ranges.append([first, last])


class Others:
    """Those of a message's recipients who are not reading now: what becomes of it for them, as OUTCOMES says it."""
    __slots__ = ("pages",)

    def __init__(self, pages: Sequence[tuple[wire.Outcome, tuple[str, ...]]] = ()) -> None:
        self.pages = pages

    def with_names(self, outcome: wire.Outcome, names: Sequence[str]) -> Others:
        """These and more of them."""
        more = [(outcome, tuple(names[at:at + OUTCOME_NAMES])) for at in range(0, len(names), OUTCOME_NAMES)]
        return Others([*self.pages, *more])


class Answers:
    """What one turn's requests are answered once they are on disk."""

    def __init__(self) -> None:
        self.welcomes: list[tuple[Client, wire.Welcome]] = []
        self.stored: dict[Client, Ranges] = {}
        self.outcomes: dict[tuple[Client, Others], Ranges] = {}
        self.others: list[tuple[Client, wire.Message]] = []
        self.settings: list[tuple[Client, int]] = []            # requests that changed a setting: DONE, or FAILED

    @property
    def is_empty(self) -> bool:
        return not (self.stored or self.outcomes or self.others or self.settings or self.welcomes)

    def add_stored(self, client: Client, first: int, last: int) -> None:
        ranges = self.stored.get(client)
        if ranges is None:
            self.stored[client] = [[first, last]]
        else:
            add(ranges, first, last)

    def add_outcomes(self, client: Client, first: int, last: int, others: Others) -> None:
        ranges = self.outcomes.get((client, others))
        if ranges is None:
            self.outcomes[client, others] = [[first, last]]
        else:
            add(ranges, first, last)


class Promises:
    """The answers of the turn that is, and of those whose sync is not known to have ended."""

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.turn = Answers()
        self._unsettled: deque[tuple[int, Answers]] = deque()
        self._owed: dict[Client, int] = {}      # answers of each, while the disk is late

    @property
    def owes(self) -> bool:
        """Whether an answer waits for the disk."""
        return bool(self._unsettled)

    def owes_of(self, seq: int) -> bool:
        """Whether an answer waits for the disk that was promised up to this seq."""
        return bool(self._unsettled) and self._unsettled[0][0] <= seq

    def written(self, seq: int) -> None:
        """The batch of the turn is written, up to this seq: its answers wait for the disk."""
        if not self.turn.is_empty:
            self._unsettled.append((seq, self.turn))
            if len(self._unsettled) > LATE:
                self._count(self.turn)
            self.turn = Answers()

    def _count(self, answers: Answers) -> None:
        owed = self._owed
        for client, _ in (*answers.others, *answers.settings):
            owed[client] = owed.get(client, 0) + 1
        for client, ranges in answers.stored.items():
            owed[client] = owed.get(client, 0) + len(ranges)
        for (client, _), ranges in answers.outcomes.items():
            owed[client] = owed.get(client, 0) + len(ranges)

    def is_owed_much(self, client: Client | None) -> bool:
        """Whether this client has asked so much that no more may wait for the disk.  Some requests have no seq, such as
        to confirm what is not there."""
        return bool(self._owed) and client is not None and self._owed.get(client, 0) > OWED_MAX

    def settle(self, seq: int) -> list[Client]:
        """Everything up to this seq is on disk: say what promised it.  Returns the newcomers who were welcomed."""
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
        for (client, others), ranges in answers.outcomes.items():
            for outcome, names in others.pages:
                for first, last in ranges:
                    tell(client, wire.Outcomes(first, last, outcome, names))
        for client, said in answers.others:
            tell(client, said)
        for client, request in answers.settings:
            tell(client, wire.Done(request))
