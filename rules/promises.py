"""promises: answers that wait until the disk has what they promise.

STORED, OUTCOMES, DELIVERED, CONFIRMED, DONE for a setting, and a newcomer's WELCOME promise that
something is durable.  Promises gathers these answers turn by turn, and sends the answers of a turn
when the mailbox has settled the last seq of that turn: in the same turn, or some turns later if the
disk is slow.  Answers of different turns never overtake each other.

Promises gathers ids as ranges: a client that sends messages with consecutive ids gets one STORED a
turn.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import wire
from rules.pages import Pages
from rules.roster import Roster
from rules.slices import STEP
from rules.state import Client
from rules.store import RefusedBatch
from wire import Why

# If the answers of more turns than this wait for the disk, Promises counts the answers of each
# client.  With a disk that works some tens of turns wait.
LATE = 256
# The daemon stops reading from a client that waits for more answers: four windows, 1 MB.
OWED_MAX = 4096
PAGES_AT_ONCE = 8           # pages of OUTCOMES that are sent together; of more, one at a time
OUTCOME_NAMES = 1000        # names in one OUTCOMES: 33 KB of the longest, under the frame limit

Ranges = list[list[int]]    # [first, last] of each range


def add_range(ranges: Ranges, first: int, last: int) -> None:
    """Append a range; join it with the last one if no id lies between them."""
    if ranges and ranges[-1][1] + 1 == first:
        ranges[-1][1] = last
    else:
        ranges.append([first, last])


class OutcomePages:
    """The OUTCOMES of a message: the recipients that are not reading now, in pages of names with
    the same outcome.  Two are equal only if they are the same object."""
    __slots__ = ("pages",)

    def __init__(self, pages: Sequence[tuple[wire.Outcome, tuple[str, ...]]] = ()) -> None:
        self.pages = pages

    def with_names(self, outcome: wire.Outcome, names: Sequence[str]) -> OutcomePages:
        """A copy of these pages, with more names."""
        more = [(outcome, tuple(names[at:at + OUTCOME_NAMES]))
                for at in range(0, len(names), OUTCOME_NAMES)]
        return OutcomePages([*self.pages, *more])


class Answers:
    """The answers of one turn that wait for the disk."""

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
        """Take back the STORED and OUTCOMES of refused messages, each given as the user number of
        its sender and its origin.  Returns (sender, origin) of each STORED that was taken back."""
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
        # earlier turns: the last seq of each, and its answers
        self._unsettled: deque[tuple[int, Answers]] = deque()
        # clients with a request under way that takes several turns
        self.awaiting: dict[Client, None] = {}
        self._long: dict[Client, deque[wire.Outcomes]] = {}  # OUTCOMES of many names, being sent
        self._pages = Pages(roster.slices, self._send_page)
        self._settled = 0                       # the seq up to which all is on disk
        self._owed: dict[Client, int] = {}      # answers that wait, of each client; only above LATE

    # ---- what waits ----

    @property
    def owes(self) -> bool:
        """Whether an answer waits for the disk."""
        return bool(self._unsettled)

    def owes_up_to(self, seq: int) -> bool:
        """Whether an answer waits for the disk to have this seq, or a lower one."""
        return bool(self._unsettled) and self._unsettled[0][0] <= seq

    def is_owed_much(self, client: Client | None) -> bool:
        """Whether more than OWED_MAX answers to this client wait for the disk, or a request of it
        is under way: then its next one is not looked at.  The limit on seqs
        that are not on disk does not bound them: some requests use no seq, such as a CONFIRM of
        messages that are not in the queue."""
        if not (self._owed or self.awaiting or self._long) or client is None:
            return False
        return (client in self.awaiting or client in self._long
                or self._owed.get(client, 0) > OWED_MAX)

    def _count(self, answers: Answers) -> None:
        owed = self._owed
        for client, _ in (*answers.replies, *answers.settings):
            owed[client] = owed.get(client, 0) + 1
        for client, ranges in answers.stored.items():
            owed[client] = owed.get(client, 0) + len(ranges)
        for (client, _), ranges in answers.outcomes.items():
            owed[client] = owed.get(client, 0) + len(ranges)

    def is_sending(self, client: Client) -> bool:
        """Whether it takes OUTCOMES of many names now."""
        return client in self._long

    def leave(self, client: Client) -> None:
        """Its connection is gone, or ends: what it did not take yet is not sent any more."""
        self._long.pop(client, None)
        self._pages.drop(client)

    def saved(self, client: Client) -> list[list[Any]]:
        """The OUTCOMES of many names that a client is to be sent yet, for resume()."""
        return [[*page[:-1], list(page.to)] for page in self._long.get(client, ())]

    def resume(self, client: Client, saved: Sequence[Sequence[Any]]) -> None:
        """Go on with these (handover.py)."""
        self._long[client] = deque([wire.Outcomes(first, last, outcome, tuple(to))
                                     for first, last, outcome, to in saved])
        self._pages.put(client)

    def _send_page(self, client: Client) -> int:
        pages = self._long[client]
        self.roster.tell(client, pages.popleft())
        if pages:
            self._pages.put(client)
        else:
            del self._long[client]
        return STEP

    # ---- the turn ----

    def refuse(self, batch: RefusedBatch) -> list[Client]:
        """The disk refused the settings and names of this turn: say FAILED for the settings, and
        take back the WELCOMEs.  Returns the newcomers whose names the disk refused."""
        for client, request in self.turn.settings:
            self.roster.tell(client, wire.Failed(request, Why.FULL, batch.reason))
        self.turn.settings = []
        refused = {user.number for user in batch.users}
        welcomes = self.turn.welcomes
        self.turn.welcomes = [each for each in welcomes if each[0].user.number not in refused]
        return [client for client, _ in welcomes if client.user.number in refused]

    def written(self, seq: int) -> None:
        """The batch of this turn is written, and `seq` is its last: its answers wait for the disk
        from now on."""
        if not self.turn.is_empty:
            self._unsettled.append((seq, self.turn))
            if len(self._unsettled) > LATE:
                self._count(self.turn)
            self.turn = Answers()

    def after_all(self, client: Client, said: wire.Message, seq: int) -> None:
        """Say this when all that is written is on disk, up to this seq."""
        answers = Answers()
        answers.replies.append((client, said))
        if seq <= self._settled:
            self._say(answers)
        else:
            self._unsettled.append((seq, answers))

    def settle(self, seq: int) -> list[Client]:
        """Everything up to this seq is on disk: send the answers that waited for it.  Returns the
        newcomers that were sent their WELCOME."""
        self._settled = seq
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
            # more may have come while it waited for the disk, to a client that holds
            client.told_waiting = client.waiting
            self.roster.welcome(client, welcome._replace(waiting=client.waiting))
        for client, ranges in answers.stored.items():
            for first, last in ranges:
                tell(client, wire.Stored(first, last))
        for (client, outcomes), ranges in answers.outcomes.items():
            pages = [wire.Outcomes(first, last, outcome, names)
                     for outcome, names in outcomes.pages for first, last in ranges]
            if len(outcomes.pages) <= PAGES_AT_ONCE or client.has_left:
                for page in pages:
                    tell(client, page)
            else:
                self._long.setdefault(client, deque()).extend(pages)
                self._pages.put(client)
        for client, said in answers.replies:
            tell(client, said)
        for client, request in answers.settings:
            tell(client, wire.Done(request))


def _each(ranges: Ranges) -> list[int]:
    """All numbers in these ranges."""
    return [number for first, last in ranges for number in range(first, last + 1)]
