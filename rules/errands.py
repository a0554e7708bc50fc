"""errands: clients beside the session of the same user.

A user has one session: the client that stands in the log of names, is pushed live messages, chats
and gets receipts.  An errand is a client that does one thing for the same user and goes: it sends,
checks, lists.  It has no place in the log, takes no part in chats, and is never in the way, so that
ten of them at once are as good as one.  Who may come in on one is the business of the door
(door.py).

An errand that does not hold listens.  While its user has no session it is pushed what comes, as a
session is, and confirms it.  Beside a session it is pushed copies (SendFlag.COPY): the session's
user sees them, and the errand confirms none.

What waits for CHECK belongs to whoever checks first.  A CHECK begins when no other client of the
user has messages of a check that it has not confirmed; then each message is brought once.  It
waits for CHECK_SECONDS at most: a client that stands still must not keep the mail from its user,
who gets it twice then.  Live messages are the session's: an errand that checks is not brought them
until the session has gone.
"""
from __future__ import annotations

from rules.roster import Roster
from rules.state import Client, Errand
from rules.store import Store
from rules.window import EVER
from store.user import User
from wire import SendFlag

CHECK_SECONDS = 2.0     # that a CHECK waits for another client of the user; clients wait 10 s


class Errands:
    """The clients beside sessions, and the CHECKs that wait for another client of their user."""

    def __init__(self, mailbox: Store, roster: Roster) -> None:
        self.mailbox = mailbox
        self.roster = roster
        self.of: dict[int, dict[Errand, None]] = {}     # by user number
        self.checks: dict[Client, float] = {}           # until when each waits, monotonic

    def session_of(self, user: User) -> Client | None:
        """The session of this user."""
        return self.roster.clients.get(user.number)

    def enter(self, errand: Errand) -> None:
        errand.session_of = self.session_of
        self.of.setdefault(errand.user.number, {})[errand] = None
        self.roster.version += not errand.holding   # it belongs to audiences

    def meet(self, user: User) -> None:
        """A client of this user came: beside a session, what errands are pushed are copies."""
        if user.number in self.of and self.session_of(user):
            for errand in self.of[user.number]:
                errand.window.live.flags |= SendFlag.COPY

    def listeners(self, user: User) -> list[Client]:
        """The errands of this user that are pushed what comes."""
        return [errand for errand in self.of.get(user.number, ()) if not errand.holding]

    def leave(self, client: Client) -> list[Client]:
        """A client goes, an errand or a session.  Returns the others of its user."""
        self.checks.pop(client, None)
        others = self.beside(client)
        if isinstance(client, Errand):
            errands = self.of[client.user.number]
            del errands[client]
            if not errands:
                del self.of[client.user.number]
            self.roster.version += 1            # its audiences are of no more use
        else:
            for errand in others:               # which are the readers now
                errand.window.live.flags &= ~SendFlag.COPY
        return others

    def beside(self, client: Client) -> list[Client]:
        """The other clients of this client's user."""
        if client.user.number not in self.of:
            return []
        return [each for each in self.clients(client.user) if each is not client]

    def clients(self, user: User) -> list[Client]:
        """All clients of this user."""
        session = self.session_of(user)
        return [*([session] if session else []), *self.of.get(user.number, ())]

    def everybody(self) -> list[Client]:
        """All clients of all users."""
        return [*self.roster.clients.values(),
                *(errand for errands in self.of.values() for errand in errands)]

    # ---- checks that wait ----

    def check(self, client: Client, now: float) -> None:
        """A client checks: it may have to wait.  `now`: monotonic."""
        self.checks[client] = now + CHECK_SECONDS

    def has_to_wait(self, client: Client) -> bool:
        """Whether another client of the user was brought messages by a check, and has not confirmed
        them yet; if not, the check of this client may begin."""
        for other in self.beside(client):
            check, user = other.window.checking, client.user
            if (check is not None and check.upto != EVER) or any(
                    self.mailbox.unread(user, old.start, old.at, 1, 1)
                    for old in other.window.past):
                return True
        return False

    def begins(self, client: Client) -> None:
        """The check of this client begins, or had nothing to bring.  Until its window has room it
        does not, and another may begin before it."""
        self.checks.pop(client, None)

    def end_of_check(self, client: Client) -> int:
        """The last id that a check which begins now brings: what is live is the session's."""
        session = self.session_of(client.user)
        starts = [each.window.live.start for each in (session, client) if each and not each.holding]
        return min(starts, default=self.mailbox.last)

    def due(self, now: float) -> list[Client]:
        """The clients whose CHECK has waited long enough."""
        found = [client for client, until in self.checks.items() if now >= until]
        for client in found:
            del self.checks[client]
        return found

    def until(self) -> float:
        """When the next of them has; inf: none waits."""
        return min(self.checks.values(), default=float("inf"))
