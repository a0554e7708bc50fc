"""link: the client's end of the wire.

A Link keeps one user logged in: it says HELLO on each new line, keeps the log of names, remembers every send until it
is answered, sends again after a lost line what has no answer, numbers requests, and makes events of what is heard.
Its rooms: connection.py has the line itself, and the way to the next one; outbox.py the sends;
inbox.py what arrived, until
it is shown, kept and confirmed; proofs.py who is who, passphrases and certificates; validity.py what can't have been
said.  There is no screen, no clock and no loop in any of them: the curses client, the plain one and one-shot commands
drive a Link.

The loop registers `sock` with `mask` (both may change in any call), calls ready() when it is ready, and tick() when
timeout() seconds have passed.  Both return events: wire messages as they arrive, and those of events.py.  What happens
inside another call (a send finds the line cut) is told by the next tick(), for which timeout() is then 0.

Promises.  Every send stays in `pending` until the daemon has said STORED, REFUSED or "absent, all of them"; after a cut
it goes out again with the same id.  Every request gets one answer with its number: when the line is cut or not open,
FAILED (GONE).  A message becomes a Mail event once: a copy of one that the archive holds is Repeated, a copy of one
that waits to be shown is no event at all.  No message is confirmed that was not given to shown() and kept.

Which daemon.  After a lost line the link says what it has to say to the same daemon or to none:
connection.py dials the same
address, and a WELCOME from another store ends the line with OtherStore.  The user decides: accept(), then connect().

Failure.  The daemon is not trusted: what breaks the protocol, or can't be, ends the line with Offline and a reason; no
call raises on its account, and what it can make us hold is bounded.  send() and the requests raise ValueError for what
no daemon would take, and Busy when too much waits already.  shown() raises ArchiveError, one line: those messages are
not confirmed, stay in the mailbox, and are tried again by the next shown().
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, TypeAlias

import wire
from client import validity
from client.archive import Archive, ArchiveError
from client.connection import Connection, Lost
from client.dial import Socket, dial
from client.events import Event, Locked, NameRefused, Offline, Online, OtherStore, Over, Remark, Repeated
from client.inbox import CHECK, LIVE, Inbox, Kept
from client.keyring import Keyring
from client.letters import Record
from client.outbox import Busy, Outbox, Pending, check_names, check_text
from client.proofs import Impostor, Proofs, RingError
from net.address import Address
from wire import Outcome, ProtocolError, SendFlag, Why

__all__ = ["ArchiveError", "Busy", "Event", "Link", "Locked", "NameRefused", "Offline", "Online", "OtherStore",
           "Over", "Pending", "Remark", "Repeated"]

GOODBYE_SECONDS = 10                # for what is not sent yet to leave before EXIT
EXIT_SECONDS = 2                    # for the daemon to hang up after it
NO_TOKEN = bytes(16)
SEND_FLAGS = SendFlag.NOW | SendFlag.EVERYONE
# A stranger must not learn which of the two it is (claims.py).
KEPT = ("if {name} has no passphrase yet, it belongs to a login of that host: there, at the daemon's Unix socket, its "
        "owner needs none, and sets one with /claim")
BAD_NAME = f"a username has 1 to {wire.NAME_MAX} of A-Z a-z 0-9 . _ - and begins with a letter or digit"

Events: TypeAlias = list[Event]
Ids: TypeAlias = list[int]


def _nothing() -> None:
    """What there is to be done when most requests are answered."""


class Link:
    """One user's connection, as long as the program runs."""

    def __init__(self, addresses: Sequence[Address], name: str, archive: Archive | None, *, features: int,
                 monotonic: Callable[[], float], instance: int, jitter: Callable[[], float],
                 dial: Callable[[Address], Socket] = dial, ring: Keyring | None = None,
                 token: bytes = NO_TOKEN) -> None:
        """`instance`: 32 random bits; `jitter`: a random number from 0 to 1; `dial`: gives a socket on its way;
        `token`: 16 random bytes, by which a daemon knows two tries to come in for the same program's."""
        self.name = name
        self.house = ""
        self.granted = 0                                # the features of this daemon
        self.roster: dict[str, wire.Entry] = {}         # the log of names, by name as first registered
        self.roster_whole = False
        self.waiting = 0                                # messages that a CHECK would bring
        self.holding = bool(features & wire.Feature.HOLD)
        self.pending = Outbox(instance)
        self._inbox = Inbox(archive)
        self._proofs = Proofs(ring or Keyring(None))
        self._line = Connection(addresses, monotonic=monotonic, jitter=jitter, dial=dial, more=self._more)
        self._features = features & ~wire.Feature.HOLD | wire.Feature.IGNORE
        self._leaving = self._exited = self._over = False
        self._token = self._own_token = token
        self._store: tuple[bytes, str] | None = None    # and whose: what ids mean
        self._other = b"", NO_TOKEN                     # another store that answered, and our session there
        self._accepted = b""                            # and may be talked to
        self._request = count(1)
        self._asked: dict[int, Callable[[], None]] = {}     # requests without an answer; what to do when it is DONE
        self._events: list[Event] = []

    @property
    def online(self) -> bool:
        """Logged in."""
        return self._line.online

    @property
    def address(self) -> Address | None:
        """Connected to, or being tried."""
        return self._line.address

    @property
    def retry_at(self) -> float | None:
        """When a lost line is tried again."""
        return self._line.retry_at

    def last(self, n: int) -> list[Record]:
        """The last n messages that were shown, also before this run, oldest first.  Raises ValueError."""
        try:
            return self._inbox.last(n)
        except ArchiveError as fault:
            raise ValueError(str(fault)) from None

    # ---- the loop's side ----

    @property
    def sock(self) -> Socket | None:
        return self._line.sock

    @property
    def mask(self) -> int:
        """What to wait for."""
        return self._line.mask

    def connect(self) -> None:
        """Open the line now, unless it is open or being opened.  Each address is tried in order."""
        if self.sock is not None or self._over:
            return
        if wire.is_name(self.name):
            self._events += self._line.connect()
        else:
            self._events.append(NameRefused(Why.BAD_NAME, BAD_NAME))

    def ready(self, mask: int) -> Events:
        """The socket is ready for this."""
        try:
            if self._line.opening:
                if self._line.open():
                    self._greet()
            else:
                for said in self._line.hear(mask):
                    self._receive(said)
                self._confirm(self._inbox.repeated())
        except Lost as lost:
            self._lost(str(lost))
        except ProtocolError as error:
            self._lost(f"the daemon broke the protocol: {error}")
        return self._take()

    def tick(self) -> Events:
        """Whatever is due by now."""
        try:
            self._events += self._line.tick()
        except Lost as lost:
            self._lost(str(lost))
        return self._take()

    def timeout(self) -> float | None:
        """Seconds until tick() has something to do; None for never."""
        return 0.0 if self._events else self._line.timeout()

    def close(self) -> None:
        """Let go of everything, without a word; harmless at any time."""
        self._drop()
        self._over = True
        self._events.clear()
        self._inbox.close()

    def _take(self) -> Events:
        events, self._events = self._events, []
        return events

    # ---- what the user does ----

    def send(self, to: Sequence[str], text: str, flags: int = 0) -> Ids:
        """Send a text to these, or with SendFlag.EVERYONE to all; the ids it goes by, several for many recipients.

        Offline it is kept and goes out after the next login.  Raises ValueError, Busy."""
        check_text(text)
        check_names(to, everyone=bool(flags & SendFlag.EVERYONE))
        if self._leaving or self._over:
            raise Busy("the session has ended")
        size, kept = len(text.encode()), int(flags & SEND_FLAGS)
        parts = [tuple(to[at:at + wire.NAMES_MAX]) for at in range(0, len(to) or 1, wire.NAMES_MAX)]
        ids = self.pending.add([Pending(part, text, kept, size + sum(map(len, part))) for part in parts])
        self._line.flush()
        return ids

    def shown(self, mails: Sequence[wire.Mail]) -> None:
        """The user saw these: keep them, and then let the daemon forget them.

        Raises ArchiveError when they can't be kept; they need not be given again, the next call tries them too.
        One that did not come as a Mail event from this store, or was shown before, is passed over."""
        self._confirm(self._inbox.shown(mails))

    def check(self) -> int:
        """Ask for what waits; CHECKED ends it."""
        self._inbox.cut(CHECK)
        return self._ask(wire.Check)

    def hold(self, on: bool) -> int:
        """Let new messages wait, or not; DONE confirms it.  Offline it is done at once, and told at the next login."""
        self._inbox.cut(LIVE)
        if self.online:
            return self._ask(wire.Hold, int(on), done=lambda: self._held(on))
        self._held(on)
        request = self._number()
        self._events.append(wire.Done(request))
        return request

    def list(self) -> int:
        """Ask for the log of names; ROSTER pages answer, the last with `last`."""
        return self._ask(wire.List)

    def ignore(self, name: str, on: bool) -> int:
        """Keep away what this user sends, or no longer; DONE answers.  Raises ValueError."""
        check_names([name])
        return self._ask(wire.Ignore, int(on), name)

    def list_ignored(self) -> int:
        """Ask whom one ignores; IGNORED answers."""
        return self._ask(wire.ListIgnored)

    def invite(self, to: Sequence[str]) -> int:
        """Invite to a chat; INVITING answers.  Raises ValueError."""
        check_names(to)
        return self._ask(wire.Invite, tuple(to))

    def say(self, chat: int, text: str) -> int:
        """A line to the others in the chat; only FAILED answers.  Raises ValueError."""
        check_text(text)
        request = self._ask(wire.Say, chat, text)
        self._asked.pop(request, None)
        return request

    def answer(self, invitation: int, accept: bool) -> None:
        self._tell(wire.Answer(invitation, int(accept)))

    def withdraw(self, invitation: int) -> None:
        self._tell(wire.Withdraw(invitation))

    def accept(self) -> None:
        """The other store that OtherStore told of is right; connect() then."""
        self._accepted, self._token = self._other

    def unlock(self, passphrase: str) -> None:
        """The passphrase that Locked asked for; connect() then.  Takes its time.  Raises ValueError."""
        self._proofs.unlock(passphrase)

    def claim(self, passphrase: str) -> int:
        """From now on the name takes this passphrase; DONE answers.  Takes its time.  Raises ValueError."""
        self._check_grant(wire.Feature.PROVE)
        verifier, done = self._proofs.claim(self.name, passphrase)
        return self._ask(wire.Claim, *verifier, done=lambda: self._remembering(done))

    def unclaim(self) -> int:
        """No more; DONE answers.  Raises ValueError."""
        self._check_grant(wire.Feature.PROVE)
        return self._ask(wire.Unclaim, done=lambda: self._remembering(lambda: self._proofs.unclaim(self.name)))

    def _check_grant(self, feature: int) -> None:
        if self.online and not self.granted & feature:
            raise ValueError("this daemon can't do that")

    def _remembering(self, act: Callable[[], None]) -> None:
        try:
            act()
        except RingError as fault:
            self._events.append(Remark(f"{fault}; the passphrase will be asked for again"))

    def exit(self) -> None:
        """Say goodbye after everything else; Over follows when the daemon has hung up."""
        if self._leaving or self._over:
            return
        self._leaving = True
        if self.online:
            self._line.allow(GOODBYE_SECONDS)
            self._line.flush()
        else:
            self._lost("")

    def rename(self, name: str) -> None:
        """Log in under this name from now on.  Raises ValueError when it is none, or while online.

        Sends without an answer are given back as refused: whether they are stored is not known, and under another name
        they would be other messages."""
        if self.online:
            raise ValueError("the name can be changed only while not connected")
        if not wire.is_name(name):
            raise ValueError(BAD_NAME)
        if name.lower() != self.name.lower():
            self._events += [wire.Refused(number, Why.GONE, f"not known to be stored: {self.name} is taken")
                             for number in self.pending]
            self.pending.answered(0, max(self.pending, default=0))
        self.name, self._token = name, self._own_token

    # ---- what is said ----

    def _more(self) -> Iterator[bytes]:
        """What may leave when there is room: the sends, and behind the last of them the goodbye."""
        if self.online:
            yield from self.pending.frames()
            if self._leaving and not self._exited:
                self._exited = True
                self._line.allow(EXIT_SECONDS)
                yield wire.encode(wire.Exit())

    def _say(self, said: wire.Message) -> None:
        """Say what has to be said; a daemon that does not read is lost."""
        try:
            self._line.say(said)
        except Lost as lost:
            self._lost(str(lost))

    def _tell(self, said: wire.Message) -> None:
        """Say what the user asked for, if there is anybody to hear it.  Raises Busy, ValueError."""
        if self.online and not self._exited:
            if self._line.is_full:
                raise Busy("the daemon does not read at the moment: try again")
            self._say(said)

    def _ask(self, cls: Callable[..., wire.Message], *fields: Any, done: Callable[[], None] = _nothing) -> int:
        """Make a request.  Its number; the answer to it is an event, and FAILED when there is no line."""
        request = self._number()
        if self.online and not self._exited:
            self._tell(cls(request, *fields))
            self._asked[request] = done
        else:
            self._events.append(wire.Failed(request, Why.GONE, "not connected"))
        return request

    def _number(self) -> int:
        return (next(self._request) - 1) % 0xffffffff + 1

    # ---- ending ----

    def _drop(self) -> None:
        """Close the line; nobody is left to answer."""
        self._line.close()
        self._fail()

    def _fail(self) -> None:
        """What was asked on this line gets no answer."""
        self._events += [wire.Failed(request, Why.GONE, "the line was lost") for request in self._asked]
        self._asked.clear()

    def _lost(self, reason: str) -> None:
        """The line is of no more use: another one, or never."""
        if self._leaving:
            unanswered = f"; {len(self.pending)} messages had no answer" if self.pending else ""
            self._end("goodbye" + unanswered)
        else:
            self._fail()
            self._events += self._line.lost(reason)

    def _end(self, reason: str) -> None:
        self._drop()
        self._over = True
        self._inbox.close()
        self._events.append(Over(reason))

    # ---- login ----

    def _greet(self) -> None:
        """The line is open: if the daemon is the one that it was, say who wants to come in."""
        address, binding = self._line.address, self._line.binding
        assert address is not None
        try:
            remark = self._proofs.begin(address, binding)
        except (Impostor, RingError) as fault:
            self._end(str(fault))
            return
        self._events += [Remark(word) for word in (*self._line.passed_over(), remark) if word]
        features = self._features | (wire.Feature.HOLD if self.holding else 0)
        self._say(wire.Hello(wire.VERSION, features, self._token, self.name))

    def _on_welcome(self, said: wire.Welcome) -> bool:
        if said.version != wire.VERSION:
            self._end(f"the daemon speaks version {said.version} of the protocol, this client {wire.VERSION}")
            return False
        if said.name.lower() != self.name.lower():
            raise ProtocolError("a WELCOME for somebody else")
        if self._store and said.store not in (self._store[0], self._accepted):
            self._other, address = (said.store, said.token), self._line.address
            self._drop()
            self._events.append(OtherStore(f"the daemon at {address} is not the one before: it has another store"))
            return False
        try:
            self._proofs.welcome(said.name)
        except Impostor as fault:
            self._end(str(fault))
            return False
        except RingError as fault:
            self._events.append(Remark(f"{fault}; the passphrase will be asked for again"))
        self.name, self.house, self.waiting = said.name, said.house, said.waiting
        self.holding, self.granted = bool(said.features & wire.Feature.HOLD), said.features
        self._event_of_login(said)
        self._begin(said)
        return False

    def _event_of_login(self, said: wire.Welcome) -> None:
        again, store = self._store is not None, (said.store, said.name.lower())
        self._events.append(Online(said, again, self._line.run_by))
        if store != self._store:
            self._store = store
            self._inbox.forget()
            self.roster.clear()
            self.roster_whole = False
        self._token = said.token

    def _begin(self, said: wire.Welcome) -> None:
        """Logged in: what was left from the line before goes first, in its order."""
        self.pending.again()            # before anything is said: whatever is said takes sends along
        self._line.let_in()
        self._inbox.open(said.store, said.name)
        for first, last in self._inbox.confirm_again():
            self._say(wire.Confirm(first, last))
        self._line.flush()

    def _on_rejected(self, said: wire.Rejected) -> bool:
        self._drop()
        if said.why == Why.DENIED and self._proofs.answered:
            self._proofs.wrong()
            self._events.append(Locked(said.reason, True))
        elif said.why == Why.TAKEN and self._store is not None and self._store[1] == self.name.lower():
            self._events += self._line.later(said.reason, answered=True)    # by a ghost, or by oneself elsewhere
        elif said.why in NAME_WHYS:
            self._events.append(NameRefused(said.why, said.reason))
        elif said.why == Why.FULL:
            self._events += self._line.later(said.reason, answered=True)
        else:
            self._end(said.reason)
        return False

    def _on_challenge(self, said: wire.Challenge) -> bool:
        try:
            proof = self._proofs.answer(self.name, said)
        except RingError as fault:
            self._end(str(fault))
            return False
        if proof:
            self._say(proof)
        else:
            advice = "" if self._line.address and self._line.address.path else KEPT.format(name=self.name)
            self._drop()
            self._events.append(Locked(f"{self.name} is kept for its owner there", False, advice))
        return False

    def _on_verified(self, said: wire.Verified) -> bool:
        self._proofs.verify(said)
        return False

    # ---- what the daemon says ----

    def _receive(self, said: Any) -> None:
        """One message: what it means here, and to the client as an event.  Raises ProtocolError."""
        validity.check(said, self.online)
        handler = HANDLERS.get(type(said))
        if handler is None or handler(self, said):
            self._events.append(said)

    def _on_stored(self, said: wire.Stored) -> bool:
        self.pending.answered(said.first, said.last)
        return True

    def _on_refused(self, said: wire.Refused) -> bool:
        self.pending.answered(said.id, said.id)
        return True

    def _on_outcomes(self, said: wire.Outcomes) -> bool:
        if said.outcome in (Outcome.ABSENT, Outcome.FULL):
            self.pending.absent(said.first, said.last, said.to)
        return True

    def _on_roster(self, said: wire.Roster) -> bool:
        self.roster.update({entry.name: entry for entry in said.entries})
        if len(self.roster) > wire.LOG_MAX:
            raise ProtocolError(f"a log of more than {wire.LOG_MAX} names")
        if said.last and not said.request:
            self.roster_whole = True
        if said.last:
            self._asked.pop(said.request, None)
        return True

    def _on_waiting(self, said: wire.Waiting) -> bool:
        self.waiting = said.total
        return True

    def _on_checked(self, said: wire.Checked) -> bool:
        self._inbox.cut(CHECK)
        return self._on_answer(said)

    def _on_failed(self, said: wire.Failed) -> bool:
        self._asked.pop(said.request, None)
        return True

    def _on_answer(self, said: Any) -> bool:
        self._asked.pop(said.request, _nothing)()
        return True

    def _held(self, on: bool) -> None:
        """From here on live mail comes, or not: between what came before and what will, some may wait for CHECK."""
        self.holding = on
        self._inbox.cut(LIVE)

    # ---- mail ----

    def _on_mails(self, said: wire.Mails) -> bool:
        for mail in wire.each(said):
            self._events += self._inbox.take(mail)
        return False

    def _confirm(self, kept: Kept) -> None:
        """Offline nothing is said: the next WELCOME finds them unconfirmed."""
        if kept and self.online and not self._exited:
            for first, last in self._inbox.confirm(kept):
                self._say(wire.Confirm(first, last))

    def _on_confirmed(self, said: wire.Confirmed) -> bool:
        self._inbox.confirmed(said.first, said.last)
        return True


NAME_WHYS = {Why.TAKEN, Why.BAD_NAME, Why.DENIED, Why.UNKNOWN, Why.EMPTY}

# What a message means here; True: it is an event as well.  All others are events and no more.
HANDLERS: dict[type, Callable[[Link, Any], bool]] = {
    wire.Welcome: Link._on_welcome,
    wire.Rejected: Link._on_rejected,
    wire.Challenge: Link._on_challenge,
    wire.Verified: Link._on_verified,
    wire.Stored: Link._on_stored,
    wire.Refused: Link._on_refused,
    wire.Outcomes: Link._on_outcomes,
    wire.Mails: Link._on_mails,
    wire.Confirmed: Link._on_confirmed,
    wire.Checked: Link._on_checked,
    wire.Waiting: Link._on_waiting,
    wire.Roster: Link._on_roster,
    wire.Inviting: Link._on_answer,
    wire.Done: Link._on_answer,
    wire.Ignored: Link._on_answer,
    wire.Failed: Link._on_failed,
}
