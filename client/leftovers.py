"""leftovers: what sessions that have ended left for this one: messages without an answer, drafts.

Leftovers looks after each login, and again a little later while a session that moved here has not
ended yet.  What it finds is an event, Left; the messages in it wait for the user's word: again()
sends them, with their ids, so that the daemon stores none twice; drop() sends none, and the archive
says that they had no answer.  Without a word they are offered to the next session.
"""
from __future__ import annotations

from client.archive import ArchiveError
from client.connection import Connection
from client.diary import Diary
from client.events import Events, Left, Unnoted
from client.history import Sent
from client.outbox import Outbox, Pending
from client.unsent import Unsent

LOOKS = (0.3, 0.6, 1.2, 2.4, 4.8)   # seconds until another look, while a session is still ending


class Leftovers:
    """What waits for the user's word.  `sends`: messages, the oldest first."""

    def __init__(self, unsent: Unsent, pending: Outbox, diary: Diary, connection: Connection,
                 events: Events) -> None:
        self.sends: list[Sent] = []
        self._unsent, self._pending, self._diary = unsent, pending, diary
        self._connection, self._events = connection, events
        self._due: float | None = None      # when to look again
        self._looks = 0                     # so many since the login

    def begin(self, name: str, store: bytes) -> None:
        """Logged in under this name at this store."""
        self._looks = 0
        try:
            self._unsent.begin(name, store)
        except ArchiveError as fault:
            self._events.append(Unnoted(str(fault)))
        self.look()

    def look(self) -> None:
        """See what is there now."""
        self._due = None
        try:
            found = self._unsent.adopt()
        except ArchiveError as fault:
            self._events.append(Unnoted(str(fault)))
            return
        self.sends += found.sends
        if found.fault:
            self._events.append(Unnoted(found.fault))
        if found.sends or found.drafts:
            self._events.append(Left(found.sends, found.drafts))
        if found.is_busy and self._looks < len(LOOKS):
            self._due = self._connection.now() + LOOKS[self._looks]
            self._looks += 1

    def tick(self) -> None:
        """Do what is due."""
        if self._due is not None and self._connection.now() >= self._due:
            self.look()

    def timeout(self) -> float | None:
        """Seconds until tick() has something to do; None for never."""
        return None if self._due is None else max(0.0, self._due - self._connection.now())

    def again(self) -> list[Sent]:
        """Send the messages.  Returns them.  Raises Busy."""
        self._pending.restore([(send.id, _pending(send)) for send in self.sends])
        self._diary.unanswered([send.id for send in self.sends], receipts=True)
        taken, self.sends = self.sends, []
        self._connection.silence.asked()
        self._connection.flush()
        return taken

    def drop(self) -> list[Sent]:
        """They are not to be sent.  Returns them."""
        taken, self.sends = self.sends, []
        self._diary.dropped(taken)
        return taken


def _pending(send: Sent) -> Pending:
    size = len(send.text.encode()) + sum(map(len, send.to))
    return Pending(send.to, send.text, send.flags, size, send.time)
