"""link: the client's end of the wire.

A Link keeps one user logged in.  It greets the daemon on each new connection, keeps the log of
names, remembers every send until it is answered, sends again after a lost connection what has no
answer, and makes events of what the daemon says.  Its parts: connection.py and route.py have the
connection and the way to the next one; login.py and proofs.py say who is who; asking.py has what
the user asks; outbox.py the sends; inbox.py messages until they are shown, kept and confirmed;
known.py the log of names; validity.py what a daemon can't have said.  None of them has a screen, a
clock or a loop: the curses client, the plain one and one-shot commands drive a Link.

The loop registers `sock` with `mask` (both may change in any call), calls ready() when it is ready,
and tick() when timeout() seconds have passed.  Both return events: wire messages as they arrive,
and those of events.py.  What happens inside another call (a send finds the connection lost) is
returned by the next tick(), for which timeout() is then 0; so is what arrived in a flood and did
not fit into the time of one call.

Promises.  Every send stays in `pending` until the daemon has said STORED, REFUSED or "absent, all
of them"; after a lost connection it goes out again with the same id.  Every request gets one answer
with its number.  A message becomes a Mail event once: a copy of one that the archive holds is
Repeated, a copy of one that waits to be shown is no event at all.  No message is confirmed that was
not given to shown() and kept.

Which daemon.  After a lost connection the link talks to the same daemon or to none: connection.py
dials the same address, and login.py does not enter another store: OtherStore.  The user decides:
accept(), then connect().

Failure.  The daemon is not trusted: what breaks the protocol, or can't be, ends the connection with
Offline and a reason; no call raises on its account, and what it can make us hold is bounded.
send() and the requests raise ValueError for what no daemon would take, and Busy when too much waits
already.  shown() raises ArchiveError, one line: those messages are not confirmed, stay in the
mailbox, and are tried again by the next shown().
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import wire
from client import validity
from client.archive import Archive, Memory
from client.asking import Asking
from client.connection import Connection, Lost
from client.dial import Socket, dial
from client.diary import Diary
from client.events import Event, Events, Found, NameRefused, Over
from client.inbox import CHECK, Inbox, Kept
from client.keyring import Keyring
from client.known import Known
from client.leftovers import Leftovers
from client.login import NO_TOKEN, Login, TryLater, TurnedAway
from client.lookup import Lookup
from client.outbox import Busy, Outbox, Pending, check_recipients, check_text
from client.proofs import Proofs
from client.rooms import Rooms
from client.unsent import Unsent
from net.address import Address
from net.texts import BY_OPERATOR, PUT_OUT
from wire import Feature, ProtocolError, SendFlag, Why

GOODBYE_SECONDS = 10                # for what is not sent yet to leave before EXIT
EXIT_SECONDS = 2                    # for the daemon to hang up after it
# every link asks for these
ALWAYS = (Feature.IGNORE | Feature.BIND | Feature.PERSON | Feature.LOGINS | Feature.ADDRESSED
          | Feature.ROOMS | Feature.RESUME)
SEND_FLAGS = SendFlag.NOW | SendFlag.EVERYONE
BAD_NAME = (f"a username has 1 to {wire.NAME_MAX} of A-Z a-z 0-9 . _ - and begins with a letter "
            "or digit")


class Link:
    """One user's way to the daemon, as long as the program runs."""

    def __init__(self, addresses: Sequence[Address], name: str, archive: Archive | None, *,
                 features: int, monotonic: Callable[[], float], instance: int,
                 jitter: Callable[[], float], dial: Callable[[Address], Socket] = dial,
                 ring: Keyring | None = None, token: bytes = NO_TOKEN,
                 now: Callable[[], int] = lambda: 0, counter: int = 0,
                 unsent: Unsent | None = None) -> None:
        """`instance`: a random number below ERRANDS, of an errand one from there on; `jitter`:
        a random number from 0 to 1; `dial`: returns a socket on its way; `token`: 16 random bytes
        (login.py); `now`: microseconds since 1970; `counter`: of an errand, 31 random bits;
        `unsent`: keeps for the next session what this one does not bring to the daemon."""
        self.name = name
        self.house = ""                             # what the daemon calls itself
        self.roster = Known()
        self.rooms = Rooms()
        self.waiting = 0                            # messages that a CHECK would bring
        self.pending = Outbox(instance, counter)
        self._features = features & ~(Feature.HOLD | Feature.TAKE) | ALWAYS
        self._taking = features & Feature.TAKE      # until the user is let in
        self._events = Events()
        self._connection = Connection(addresses, monotonic=monotonic, jitter=jitter, dial=dial,
                                      more=self._more)
        self._now = now
        self.archive = Memory() if archive is None else archive
        self._inbox = Inbox(self.archive)
        self.unsent = unsent or Unsent("", 0)
        self._diary = Diary(self.archive, self.pending, self._events, now, self.unsent)
        self.left = Leftovers(self.unsent, self.pending, self._diary, self._connection,
                              self._events)
        self._proofs = Proofs(ring or Keyring(None))
        self._login = Login(self._connection, self._proofs, self._events, token)
        self.ask = Asking(self._connection, self._inbox, self._proofs, self._events,
                          bool(features & Feature.HOLD), self._diary.said)
        self.silence = self._connection.silence
        self.silence.awaits = lambda: bool(self.pending) or self.ask.is_waiting
        self.unsent.begin(name)
        self._looking = False                       # look() was called, and connect() not since
        self._leaving = False                       # exit() was called
        self._over = False                          # and has come to its end, or no login can

    @property
    def online(self) -> bool:
        """Logged in."""
        return self._connection.online

    @property
    def address(self) -> Address | None:
        """Connected to, or being tried."""
        return self._connection.route.address

    @property
    def hides_host(self) -> bool:
        """Whether this is the user's own daemon, and the user may mean that of the host."""
        return self._connection.route.hides_host

    @property
    def retry_at(self) -> float | None:
        """When the next connection is tried, by the monotonic clock."""
        return self._connection.retry_at

    # ---- the loop's side ----

    @property
    def sock(self) -> Socket | Lookup | None:
        return self._connection.sock or self._connection.lookup

    @property
    def mask(self) -> int:
        """What to wait for."""
        return self._connection.mask

    def look(self) -> None:
        """Is a daemon there?  Found or Offline follows; nothing is said to it.  For a user who has
        yet to type a name."""
        if self.sock is None and not self._over:
            self._looking = True
            self._events += self._connection.connect()

    def connect(self, take: bool = False) -> None:
        """Dial now, unless there is a connection.  Each address is tried in order.  `take`: the
        next login moves the user's session here, wherever it is."""
        self._taking |= Feature.TAKE * take
        self._looking = False
        if self.sock is not None or self._over:
            return
        if wire.is_name(self.name):
            self._events += self._connection.connect()
        else:
            self._events.append(NameRefused(Why.BAD_NAME, BAD_NAME))

    def ready(self, mask: int) -> list[Event]:
        """The socket is ready for this.  What has happened."""
        try:
            if self._connection.lookup:
                self._events += self._connection.found()
            elif self._connection.opening:
                if self._connection.open() and self._looking:
                    self._connection.close()
                    self._events.append(Found())
                elif not self._connection.opening:
                    holding = Feature.HOLD if self.ask.holding else 0
                    self._login.greet(self.name, self._features | holding | self._taking,
                                      self._inbox.above)
            else:
                for said in self._connection.hear(mask):
                    self._hear(said)
                self._confirm(self._inbox.repeated())
        except Lost as lost:
            self._lost(str(lost))
        except ProtocolError as error:
            self._lost(f"the daemon broke the protocol: {error}")
        except TurnedAway as turned_away:
            self._stop(turned_away.event)
        except TryLater as later:
            self._events += self._connection.later(str(later), answered=True)
        return self._events.take()

    def tick(self) -> list[Event]:
        """Do whatever is due by now.  What has happened."""
        self.left.tick()
        try:
            self._events += self._connection.tick()
        except Lost as lost:
            self._lost(str(lost))
        return self.ready(0) if self._connection.is_behind else self._events.take()

    def timeout(self) -> float | None:
        """Seconds until tick() has something to do; None for never."""
        is_due = self._events or self._connection.is_behind
        return 0.0 if is_due else _sooner(self._connection.timeout(), self.left.timeout())

    def close(self) -> None:
        """Let go of everything, without a word; harmless at any time."""
        self._stop(Over(""))
        self.unsent.close()
        self._events.clear()

    # ---- what the user does ----

    def send(self, to: Sequence[str], text: str, flags: int = 0) -> list[int]:
        """Send a text to these users, or with SendFlag.EVERYONE to all.

        Returns the ids by which it goes, several for many recipients.  Without a connection it is
        kept and goes out after the next login.  Raises ValueError, Busy."""
        check_text(text)
        check_recipients(to, everyone=bool(flags & SendFlag.EVERYONE))
        if self._leaving or self._over:
            raise Busy("the session has ended")
        size, kept = len(text.encode()), int(flags & SEND_FLAGS)
        parts = [tuple(to[at:at + wire.NAMES_MAX]) for at in range(0, len(to) or 1, wire.NAMES_MAX)]
        ids = self.pending.add([Pending(part, text, kept, size + sum(map(len, part)), self._now())
                                for part in parts])
        self._diary.sent(ids, bool(self._features & Feature.RECEIPTS))
        self.silence.asked()
        self._connection.flush()
        return ids

    def shown(self, mails: Sequence[wire.Mail]) -> None:
        """The user saw these messages: keep them, and then let the daemon forget them.

        Raises ArchiveError if they can't be kept.  They need not be given again: the next call
        tries them too.  A message is passed over if it did not come as a Mail event from this
        store, or was shown before."""
        kept = self._inbox.shown(mails)
        try:
            self._confirm(kept)
        except Lost as lost:
            self._lost(str(lost))

    def accept(self) -> None:
        """The other store that OtherStore told of is right; connect() then."""
        self._inbox.end_live()
        self._login.accept()

    def unlock(self, passphrase: str) -> None:
        """The passphrase that Locked asked for; connect() then.

        Deriving the key takes a third of a second.  Raises ValueError."""
        self._proofs.unlock(passphrase)

    def rename(self, name: str) -> None:
        """Log in under this name from now on.  Raises ValueError for no name, or while online.

        A login under the old name that is under way ends: connect().  Sends without an answer are
        given back as refused.  Nobody knows whether they are stored, and under another name they
        would be other messages."""
        if self.online:
            raise ValueError("the name can be changed only while not connected")
        if not wire.is_name(name):
            raise ValueError(BAD_NAME)
        if name.lower() != self.name.lower():
            if self.sock is not None:
                self._connection.close()
            reason = f"not known to be stored: {self.name} is taken"
            refused = [wire.Refused(number, Why.GONE, reason) for number in self.pending]
            for said in refused:
                self._diary.refused(said)
            self._events += refused
        self.name = name
        self.unsent.begin(name)
        self._login.forget_token()
        self._inbox.end_live()

    def exit(self) -> None:
        """Say goodbye after everything else; Over follows when the daemon has hung up."""
        if self._leaving or self._over:
            return
        self._leaving = True
        if self.online:
            self._connection.allow(GOODBYE_SECONDS)
            self._connection.flush()
        else:
            self._lost("")

    # ---- what is said ----

    def _more(self) -> Iterator[bytes]:
        """What may leave when there is room: the sends, and behind the last of them the goodbye."""
        if self.online:
            yield from self.pending.frames()
            if self._leaving and self.ask.is_open:
                self.ask.is_open = False
                self._connection.allow(EXIT_SECONDS)
                yield wire.encode(wire.Exit())

    def _confirm(self, kept: Kept) -> None:
        """Confirm what is kept.  Offline nothing is said: the next login finds it unconfirmed."""
        if kept and self.ask.is_open:
            for first, last in self._inbox.confirm(kept):
                self._connection.say(wire.Confirm(first, last))

    # ---- the end of a connection ----

    def _lost(self, reason: str) -> None:
        """The connection is of no more use: another one, or never."""
        if self._leaving:
            pending = f"; {len(self.pending)} messages had no answer" if self.pending else ""
            self._stop(Over("goodbye" + pending))
        else:
            self.ask.lost()
            self._events += self._connection.lost(reason)

    def _stop(self, event: Event) -> None:
        """No connection until the user does something, and none any more when it is Over."""
        self._connection.close()
        self.ask.lost()
        if isinstance(event, Over):
            if not self._over:
                self._diary.end()
            self._over = True
            self._inbox.close()
        self._events.append(event)

    # ---- what the daemon says ----

    def _hear(self, said: Any) -> None:
        """One message: what it means here, and to the client as an event.  Raises ProtocolError."""
        validity.check(said, self.online)
        if handler := HANDLERS.get(type(said)):
            handler(self, said)
        if type(said) not in SILENT:
            self._events.append(said)

    def _on_welcome(self, said: wire.Welcome) -> None:
        """Logged in: what was left from the connection before goes first, in its order."""
        if self._login.welcomed(said):
            self._inbox.forget()
            self.roster.forget()
        self.rooms.forget()
        self.name, self.house, self.waiting = said.name, said.house, said.waiting
        self._taking = 0            # not at another login: two clients would take turns for ever
        self.pending.again()        # before anything is said: whatever is said takes sends along
        self._connection.let_in()
        self.ask.begin(said.features)
        self._inbox.open(said.store, said.name)
        self._diary.begin(said.name)
        self.left.begin(said.name, said.store)
        for first, last in self._inbox.confirm_again():
            self._connection.say(wire.Confirm(first, last))
        self._connection.flush()


def _sooner(one: float | None, other: float | None) -> float | None:
    """The shorter time; None is for ever."""
    return min((each for each in (one, other) if each is not None), default=None)


# ---- what the messages of the daemon mean here ----

def _on_mails(link: Link, said: wire.Mails | wire.MailsTo) -> None:
    link._connection.hear_next(wire.each(said))


def _on_mail(link: Link, said: wire.Mail) -> None:
    is_copy = said.flags & SendFlag.COPY and link.ask.granted & Feature.ERRAND
    link._events += [said] if is_copy else link._inbox.take(said)


def _on_rejected(link: Link, said: wire.Rejected) -> None:
    if said.why == Why.OTHER:
        link._inbox.end_live()          # an older daemon knows no RESUME: the next is a HELLO
    link._login.rejected(said)


def _on_live(link: Link, said: wire.Live) -> None:
    link._inbox.above = said.above


def _on_checked(link: Link, said: wire.Checked) -> None:
    link._inbox.cut(CHECK)
    link.ask.answered(said.request)


def _on_roster(link: Link, said: wire.Roster) -> None:
    link.roster.hear(said)
    if said.last:
        link.ask.answered(said.request)


def _on_rooms(link: Link, said: wire.Rooms) -> None:
    link.rooms.hear(said)
    if said.last:
        link.ask.answered(said.request)


def _on_past(link: Link, said: wire.Past) -> None:
    """What was said in a room: what the archive has is not shown again, and has no text.  The rest
    as it came, in runs of consecutive ids."""
    run: list[str] = []
    had = False
    is_own = said.sender.lower() == link.name.lower()
    for number, text in enumerate((*said.texts, ""), said.origin):
        mail = wire.Mail(0, said.time, number, 0, 0, said.sender, text)
        if text and not link.archive.has(mail) and not (is_own and link.archive.has_sent(number)):
            run.append(text)
            continue
        had |= bool(text)
        if run:
            link._events.append(said._replace(origin=number - len(run), texts=tuple(run)))
            run = []
    if had:
        link._events.append(said._replace(texts=()))


def _on_notice(link: Link, said: wire.Notice) -> None:
    if said.text.startswith(PUT_OUT + BY_OPERATOR):
        link._connection.put_out = said.text


def _on_waiting(link: Link, said: wire.Waiting) -> None:
    link.waiting = said.total


def _on_moved(link: Link, said: wire.Moved) -> None:
    """Raises TurnedAway."""
    raise TurnedAway(Over(f"moved to {said.place or 'another client of yours'}", said.time))


def _on_answer(link: Link, said: Any) -> None:
    link.ask.answered(said.request)


# A message without a row is an event and no more.
HANDLERS: dict[type, Callable[[Link, Any], None]] = {
    wire.Binding: lambda link, said: link._login.bound(said),
    wire.Challenge: lambda link, said: link._login.challenged(said),
    wire.Verified: lambda link, said: link._proofs.verify(said),
    wire.Welcome: Link._on_welcome,
    wire.Rejected: _on_rejected,
    wire.Moved: _on_moved,
    wire.Stored: lambda link, said: link._diary.stored(said),
    wire.Refused: lambda link, said: link._diary.refused(said),
    wire.Outcomes: lambda link, said: link._diary.outcomes(said),
    wire.Delivered: lambda link, said: link._diary.delivered(said),
    wire.Started: lambda link, said: link._diary.started(said),
    wire.Line: lambda link, said: link._diary.heard(said),
    wire.Left: lambda link, said: link._diary.left(said),
    wire.Ended: lambda link, said: link._diary.ended(said),
    wire.Mails: _on_mails,
    wire.MailsTo: _on_mails,
    wire.Mail: _on_mail,
    wire.Live: _on_live,
    wire.Confirmed: lambda link, said: link._inbox.confirmed(said.first, said.last),
    wire.Checked: _on_checked,
    wire.Waiting: _on_waiting,
    wire.Notice: _on_notice,
    wire.Roster: _on_roster,
    wire.Inviting: _on_answer,
    wire.Done: _on_answer,
    wire.Ignored: _on_answer,
    wire.Rooms: _on_rooms,
    wire.Members: _on_answer,
    wire.Traced: _on_answer,
    wire.Past: _on_past,
    wire.Failed: lambda link, said: link.ask.answered(said.request, is_done=False),
}
# For the link alone: Online and the like tell the client of a login; the inbox, of mail.
SILENT = {wire.Binding, wire.Challenge, wire.Verified, wire.Welcome, wire.Rejected, wire.Mails,
          wire.MailsTo, wire.Mail, wire.Live, wire.Past}
