"""asking: what the user asks of the daemon, and the answers that have not come yet.

Each request has a number, and gets one answer with that number, which is an event like every
message of the daemon.  If the connection is lost before the answer comes, or there is none, the
answer is FAILED (GONE).  What the client itself has to do when a request is done, such as to keep
the key of a claim, waits here for the answer.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import wire
from client.connection import Connection
from client.events import Events, Remark
from client.inbox import CHECK, Inbox
from client.keyring import RingError
from client.outbox import Busy, check_names, check_text
from client.proofs import Proofs
from client.rooms import AskingRooms
from net.logins import is_person
from wire import Why

NUMBERS = 0xffffffff                # request numbers go from 1 to this, and then around


def _nothing() -> None:
    """What the client itself does when most requests are done."""


class Asking:
    """The requests of one user.  `is_open`: the daemon hears them, from WELCOME until EXIT.

    Each method returns the number of its request.  It raises ValueError for what no daemon would
    take, and Busy while the daemon does not read."""

    def __init__(self, connection: Connection, inbox: Inbox, proofs: Proofs, events: Events,
                 holding: bool, said: Callable[[int, str], None]) -> None:
        """`said`: hears each line of the user's in a chat."""
        self.is_open = False
        self.granted = 0                            # the features of this daemon
        self.holding = holding                      # new messages wait for CHECK
        self._connection, self._inbox, self._proofs = connection, inbox, proofs
        self._events, self._said = events, said
        self._counter = count()
        self._unanswered: dict[int, Callable[[], None]] = {}    # what to do when each is done
        self.rooms = AskingRooms(self._ask, self._check_grant)

    # ---- about mail ----

    def check(self) -> int:
        """Ask for the messages that wait; CHECKED follows the last of them."""
        self._inbox.cut(CHECK)
        return self._ask(wire.Check)

    def hold(self, on: bool) -> int:
        """Let new messages wait, or show them as they come; DONE answers.

        Without a connection it is done at once, and the next HELLO says so."""
        self._inbox.end_live()
        if self._connection.online:
            return self._ask(wire.Hold, int(on), done=lambda: self._held(on))
        self._held(on)
        request = self._number()
        self._events.append(wire.Done(request))
        return request

    def _held(self, on: bool) -> None:
        """Live mail ends or begins here; messages that came in between may wait for CHECK."""
        self.holding = on
        self._inbox.end_live()

    def trace(self, first: int, last: int, to: Sequence[str]) -> int:
        """Ask for whom of these the user's own messages with these ids wait; TRACED answers an
        errand."""
        self._check_grant(wire.Feature.ERRAND)
        return self._ask(wire.Trace, first, last, tuple(to))

    # ---- about users ----

    def list(self) -> int:
        """Ask for the log of names; pages of ROSTER answer."""
        return self._ask(wire.List)

    def ignore(self, name: str, on: bool) -> int:
        """Keep away what this user sends, or no longer; DONE answers."""
        check_names([name])
        return self._ask(wire.Ignore, int(on), name)

    def list_ignored(self) -> int:
        """Ask whom the user ignores; IGNORED answers."""
        return self._ask(wire.ListIgnored)

    def away(self, text: str) -> int:
        """Have the daemon tell this to who writes to the user; "": nothing.  DONE answers."""
        self._check_grant(wire.Feature.STATUS)
        return self._ask(wire.SetStatus, text)

    # ---- about chats ----

    def invite(self, to: Sequence[str]) -> int:
        """Invite these users to a chat; INVITING answers."""
        check_names(to)
        return self._ask(wire.Invite, tuple(to))

    def answer(self, invitation: int, accept: bool) -> None:
        """Accept or deny an invitation; it has no number of its own."""
        self._tell(wire.Answer(invitation, int(accept)))

    def withdraw(self, invitation: int) -> None:
        """Take an invitation back, or its acceptance; it has no number of its own."""
        self._tell(wire.Withdraw(invitation))

    def say(self, chat: int, text: str) -> int:
        """Send a line to the others in a chat; no answer comes but FAILED."""
        check_text(text)
        request = self._ask(wire.Say, chat, text)
        if self._unanswered.pop(request, None):
            self._said(chat, text)
        return request

    # ---- about the user's own name ----

    def claim(self, passphrase: str) -> int:
        """Have the name take this passphrase from now on; DONE answers.

        Deriving the key takes a third of a second."""
        self._check_grant(wire.Feature.PROVE)
        verifier, done = self._proofs.claim(passphrase)
        return self._ask(wire.Claim, *verifier, done=lambda: self._remember(done))

    def unclaim(self) -> int:
        """Have the name take no passphrase any more; DONE answers."""
        self._check_grant(wire.Feature.PROVE)
        return self._ask(wire.Unclaim, done=lambda: self._remember(self._proofs.unclaim))

    def _check_grant(self, feature: int) -> None:
        if self._connection.online and not self.granted & feature:
            raise ValueError("this daemon can't do that")

    def _remember(self, act: Callable[[], None]) -> None:
        try:
            act()
        except RingError as fault:
            self._events.append(Remark(f"{fault}; the passphrase will be asked for again"))

    # ---- from WELCOME to EXIT ----

    @property
    def is_waiting(self) -> bool:
        """Whether a request has no answer yet."""
        return bool(self._unanswered)

    def knows(self, name: str) -> bool:
        """Whether this name is a login of the host, and the daemon takes mail for those."""
        return bool(self.granted & wire.Feature.LOGINS) and is_person(name)

    def begin(self, granted: int) -> None:
        """Logged in, with these features."""
        self.is_open, self.granted = True, granted
        self.holding = bool(granted & wire.Feature.HOLD)

    def answered(self, request: int, is_done: bool = True) -> None:
        """The daemon has done what was asked; or it said FAILED."""
        done = self._unanswered.pop(request, _nothing)
        if is_done:
            done()

    def lost(self) -> None:
        """The connection is gone: the requests that have no answer get none."""
        self.is_open = False
        self._events += [wire.Failed(request, Why.GONE, "the connection was lost")
                         for request in self._unanswered]
        self._unanswered.clear()

    # ---- sending ----

    def _ask(self, cls: Callable[..., wire.Message], *fields: Any,
             done: Callable[[], None] = _nothing) -> int:
        request = self._number()
        if self.is_open:
            self._tell(cls(request, *fields))
            self._unanswered[request] = done
        else:
            self._events.append(wire.Failed(request, Why.GONE, "not connected"))
        return request

    def _tell(self, said: wire.Message) -> None:
        if self.is_open:
            if self._connection.is_full:
                raise Busy("the daemon does not read at the moment: try again")
            self._connection.silence.asked()
            self._connection.say(said)

    def _number(self) -> int:
        return next(self._counter) % NUMBERS + 1
