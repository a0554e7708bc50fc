"""diary: what the user sends and what is said in chats, on its way into the archive.

The archive's first duty is to what was received (archive.py).  The user's own side is a record, and
no promise: a message is written down once its fate is known, STORED or REFUSED, or at the end of
the session, and nothing here is synced for its sake, so that no send waits for a disk.  What the
last half minute before a power cut put in may be lost; the next received message syncs the rest.
Until then it is in the file of what was not sent (unsent.py), and stays there for the next session.

Delivered is said once for a message, when all its recipients have seen it; for that the diary
remembers who has not, for the last UNSEEN_MAX messages that name their recipients.

Failure: a file that can't be written is told once, as Unnoted, and then not again before it can be
written.  Nothing raises.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import wire
from client.archive import ArchiveError, Memory
from client.events import Events, Unnoted
from client.history import DELIVERED, REFUSED, STORED, UNANSWERED, Chat, Own, Sent, Shown
from client.outbox import Outbox, Pending
from client.unsent import Unsent
from wire import Outcome

UNSEEN_MAX = 10_000     # messages whose delivery is waited for: as many as may wait for an answer
LOST = {Outcome.ABSENT: "not connected", Outcome.FULL: "the mailbox is full"}


class Unseen(NamedTuple):
    """A message that some recipients have not seen."""
    to: tuple[str, ...]
    names: set[str]         # those who have not, in lower case


class Diary:
    """The user's own side of the archive."""

    def __init__(self, archive: Memory, pending: Outbox, events: Events,
                 now: Callable[[], int], unsent: Unsent) -> None:
        """`now`: microseconds since 1970."""
        self._archive, self._pending, self._events, self._now = archive, pending, events, now
        self._unsent = unsent
        self._name = ""                             # until the first login
        self._unseen: dict[int, Unseen] = {}        # by id; no message to all
        self._chat = 0                              # the number of the chat
        self._others: tuple[str, ...] = ()          # and who is in it, besides the user
        self._is_failing = False

    def begin(self, name: str) -> None:
        """Logged in under this name; the archive is open."""
        self._name, self._others = name, ()

    def end(self) -> None:
        """No answer will come any more: what is kept for the next session is not told yet."""
        if not self._unsent.keeps:
            self._answered(list(self._pending.items()), UNANSWERED)
        self._unseen.clear()

    # ---- messages ----

    def sent(self, ids: Iterable[int], receipts: bool) -> None:
        """These have been added to the pending ones.  `receipts`: the daemon says DELIVERED."""
        self.unanswered(ids, receipts)
        sends = [(number, self._pending[number]) for number in ids]
        self._keep(lambda: self._unsent.sent(_records(sends, UNANSWERED)))

    def dropped(self, sends: Sequence[Sent]) -> None:
        """These had no answer in a session before, and are not sent again."""
        self._write(sends)
        self._keep(lambda: self._unsent.answered([send.id for send in sends]))

    def unanswered(self, ids: Iterable[int], receipts: bool) -> None:
        """An answer is to come for these."""
        for number in ids if receipts else ():
            if (to := self._pending[number].to) and not wire.is_room(to[0]):
                self._unseen[number] = Unseen(to, {name.lower() for name in to})
        while len(self._unseen) > UNSEEN_MAX:
            del self._unseen[next(iter(self._unseen))]

    def stored(self, said: wire.Stored) -> None:
        """The daemon has stored these."""
        sends = self._pending.answered(said.first, said.last)
        seen = {number for number, _ in sends if self._has_been_seen(number)}
        self._answered([pair for pair in sends if pair[0] in seen], DELIVERED)
        self._answered([pair for pair in sends if pair[0] not in seen], STORED)

    def refused(self, said: wire.Refused) -> None:
        """The daemon has not stored this one."""
        self._answered(self._pending.answered(said.id, said.id), REFUSED, said.reason)

    def outcomes(self, said: wire.Outcomes) -> None:
        """These recipients do not get it; if they were all, that is the answer."""
        if said.outcome in LOST:
            lost = self._pending.absent(said.first, said.last, said.to)
            self._answered(lost, REFUSED, LOST[Outcome(said.outcome)])
            self._see(said.first, said.last, said.to)

    def delivered(self, said: wire.Delivered) -> None:
        """This recipient has seen these."""
        self._see(said.first, said.last, [said.by])

    def _answered(self, sends: Sequence[tuple[int, Pending]], became: str,
                  reason: str = "") -> None:
        self._write(_records(sends, became, reason))
        self._keep(lambda: self._unsent.answered([number for number, _ in sends]))
        if became != STORED:
            for number, _ in sends:
                self._unseen.pop(number, None)

    def _see(self, first: int, last: int, names: Iterable[str]) -> None:
        """These recipients are waited for no longer."""
        few = (range(first, last + 1) if last - first < len(self._unseen)
               else [number for number in self._unseen if first <= number <= last])
        gone, runs = {name.lower() for name in names}, list[Shown]()
        for number in few:
            unseen = self._unseen.get(number)
            if unseen is None:
                continue
            unseen.names.difference_update(gone)
            if not unseen.names and number not in self._pending:
                del self._unseen[number]
                if runs and (runs[-1].last + 1, runs[-1].to) == (number, unseen.to):
                    runs[-1] = runs[-1]._replace(last=number)
                else:
                    runs.append(Shown(self._now(), number, number, unseen.to))
        self._write(runs)

    def _has_been_seen(self, number: int) -> bool:
        unseen = self._unseen.get(number)
        return unseen is not None and not unseen.names

    # ---- chats ----

    def started(self, said: wire.Started) -> None:
        self._chat = said.chat
        self._others = tuple(name for name in said.members if name.lower() != self._name.lower())

    def left(self, said: wire.Left) -> None:
        if said.chat == self._chat:
            self._others = tuple(name for name in self._others if name.lower() != said.by.lower())

    def ended(self, said: wire.Ended) -> None:
        if said.chat == self._chat:
            self._others = ()

    def said(self, chat: int, text: str) -> None:
        """The user said a line; Quit is none."""
        if text.strip().casefold() != "quit":
            self._line(chat, self._now(), self._name, text)

    def heard(self, said: wire.Line) -> None:
        """Another member said a line."""
        self._line(said.chat, said.time, said.sender, said.text)

    def _line(self, chat: int, time: int, sender: str, text: str) -> None:
        if chat == self._chat and self._others:
            self._write([Chat(time, self._others, sender, text)])

    # ---- writing ----

    def _write(self, records: Sequence[Own]) -> None:
        if not records or not self._name:
            return
        try:
            self._archive.note(records)
            self._is_failing = False
        except ArchiveError as fault:
            if not self._is_failing:
                self._is_failing = True
                self._events.append(Unnoted(f"{fault}; this is not said again"))

    def _keep(self, act: Callable[[], None]) -> None:
        """After a fault nothing more is kept for the next session."""
        try:
            act()
        except ArchiveError as fault:
            self._events.append(Unnoted(str(fault)))


def _records(sends: Sequence[tuple[int, Pending]], became: str, reason: str = "") -> list[Sent]:
    return [Sent(send.time, number, send.flags, send.to, became, reason, send.text)
            for number, send in sends]
