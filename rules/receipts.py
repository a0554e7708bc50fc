"""receipts: who was shown what, told to who sent it.

A recipient's CONFIRM is the receipt.  It goes, as DELIVERED, to the sender's session, and, of what
errands have sent, to the errands that asked for receipts.  Receipts are not kept: one that was on
its way when the sender's connection ended is lost.  So an errand that comes back asks (TRACE) for
whom its messages still wait; whoever was put in none of the OUTCOMES ABSENT or FULL, and for whom
nothing waits any more, was shown them.

Where the daemon can't tell, it says that the message waits: of a name that is none, of a retired
one, whose mail is purged, and of a mailbox that the disk does not give back whole.  So it does of a
user that ignores the sender, who must not learn that (ignore.py).

Bad at: a message for which a long queue is read through to its end.  That is done in slices, one
TRACE of a client at a time.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import wire
from net.values import ERRANDS
from rules.errands import Errands
from rules.ignore import Ignores
from rules.pages import Pages
from rules.promises import Promises, Ranges, add_range
from rules.retirement import is_retired
from rules.roster import Roster
from rules.slices import STEP
from rules.state import Client, Now
from rules.store import Store
from store.headings import is_room
from store.mail import WHOLE, Mail
from store.user import NUMBER, User
from wire import Feature, Why

LOOK_MOST, LOOK_BYTES = 256, 256 << 10      # messages of a queue in a step, and bytes of their text


class Tracing:
    """A TRACE that is being answered."""
    __slots__ = ("asked", "at", "names", "place", "waiting")

    def __init__(self, asked: wire.Trace) -> None:
        self.asked = asked
        self.names = tuple(dict.fromkeys(asked.to))
        self.place = 0                      # among the names
        self.at = 0                         # the id that the queue of that one was read up to
        self.waiting: list[str] = []        # those for whom a message waits


class Receipts:
    """Says DELIVERED, and answers TRACE."""

    def __init__(self, mailbox: Store, roster: Roster, promises: Promises, errands: Errands,
                 ignores: Ignores) -> None:
        self.mailbox = mailbox
        self.roster = roster
        self.promises = promises
        self.errands = errands
        self.ignores = ignores
        self._tracing: dict[Client, Tracing] = {}
        self._pages = Pages(roster.slices, self._look)

    def confirmed(self, reader: Client, mails: Sequence[Mail]) -> None:
        """Queue DELIVERED for the connected senders of these messages, until the disk has the turn.
        A line in a room has none: each of a thousand members would send one."""
        shown: dict[Client, Ranges] = {}
        for mail in mails:
            sender = self.roster.clients.get(mail.sender)
            if (sender and sender.features & Feature.RECEIPTS
                    and (mail.skip == WHOLE or not is_room(mail.heading))):
                ranges = shown.setdefault(sender, [])
                add_range(ranges, mail.origin, mail.origin + mail.messages - 1)
        if self.errands.of:
            self._add_errands(shown, mails)
        for sender, ranges in shown.items():
            self.promises.turn.replies += [(sender, wire.Delivered(first, last, reader.name))
                                           for first, last in ranges]

    def _add_errands(self, shown: dict[Client, Ranges], mails: Sequence[Mail]) -> None:
        for mail in mails:
            if mail.origin >> NUMBER < ERRANDS or is_room(mail.heading):
                continue
            for errand in self.errands.of.get(mail.sender, ()):
                if errand.features & Feature.RECEIPTS:
                    add_range(shown.setdefault(errand, []), mail.origin,
                              mail.origin + mail.messages - 1)

    # ---- TRACE ----

    def on_trace(self, client: Client, said: wire.Trace, now: Now) -> None:
        if client in self._tracing:
            self.roster.tell(client, wire.Failed(said.request, Why.BUSY,
                                                 "another answer is under way: try again"))
            return
        self._tracing[client] = Tracing(said)
        self._pages.put(client)

    def leave(self, client: Client) -> None:
        """Its connection is gone, or ends."""
        self._tracing.pop(client, None)
        self._pages.drop(client)

    def is_answering(self, client: Client) -> bool:
        """Whether a TRACE of this client goes on."""
        return client in self._tracing

    def saved(self, client: Client) -> list[Any] | None:
        """The TRACE that is being answered, for resume()."""
        tracing = self._tracing.get(client)
        return None if tracing is None else [*tracing.asked[:-1], list(tracing.asked.to)]

    def resume(self, client: Client, saved: Sequence[Any]) -> None:
        """Answer this TRACE, from the beginning (handover.py)."""
        request, first, last, to = saved
        self._tracing[client] = Tracing(wire.Trace(request, first, last, tuple(to)))
        self._pages.put(client)

    def _look(self, client: Client) -> int:
        """Read on in one queue."""
        tracing = self._tracing[client]
        if tracing.place < len(tracing.names):
            name = tracing.names[tracing.place]
            found = self._waits(client.user, tracing, self.mailbox.find(name))
            if found is not None:
                tracing.waiting += [name] * found
                tracing.place, tracing.at = tracing.place + 1, 0
            self._pages.put(client)
            return STEP
        del self._tracing[client]
        self.promises.after_all(client, wire.Traced(tracing.asked.request, tuple(tracing.waiting)),
                                self.mailbox.last)
        return 1

    def _waits(self, sender: User, tracing: Tracing, user: User | None) -> bool | None:
        """Whether one of the messages waits for this user; None: look on behind `at`."""
        if (user is None or is_retired(user) or self.mailbox.unreadable(user)
                or self.ignores.holds(user, sender)):
            return True
        first, last = tracing.asked.first, tracing.asked.last
        mails = self.mailbox.unread(user, tracing.at, self.mailbox.last, LOOK_MOST, LOOK_BYTES)
        if any(mail.sender == sender.number and mail.origin <= last
               and mail.origin + mail.messages > first for mail in mails):
            return True
        if not mails:
            return False
        tracing.at = mails[-1].last
        return None
