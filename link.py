"""link: the client's end of the wire.

A Link keeps one user connected: it dials, logs in, keeps the log of names, remembers every send until it is answered,
comes back after a lost line and sends again what has no answer, keeps what was shown in the archive and confirms it.
Who is who, passphrases and certificates, is decided in proofs.py.
It has no screen, no clock and no loop of its own: the curses client, the plain one and one-shot commands drive it.

The loop registers `sock` with `mask` (both may change in any call), calls ready() when it is ready, and tick() when
timeout() seconds have passed.  Both return events: wire messages as they arrive, and those declared here.  What happens
inside another call (a send finds the line cut) is told by the next tick(), for which timeout() is then 0.

Promises.  Every send stays in `pending` until the daemon has said STORED, REFUSED or "absent, all of them"; after a cut
it goes out again with the same id.  Every request gets one answer with its number: when the line is cut or not open,
FAILED (GONE).  A message becomes a Mail event once: a copy of one that the archive holds is Repeated, a copy of one
that waits to be shown is no event at all.  No message is confirmed that was not given to shown() and kept.

Confirming is the one thing here that can destroy mail: what may stand under one range is decided in arrivals.py.  What
was confirmed without CONFIRMED before the line was cut, or the program ended, is confirmed again at the next WELCOME,
id by id; ids are never used again, not even after a crash (mailbox.py).

Failure.  The daemon is not trusted: what breaks the protocol, or can't be, ends the line with Offline and a reason; no
call raises on its account, and what it can make us hold is bounded.  send() and the requests raise ValueError for what
no daemon would take, and Busy when too much waits already.  shown() raises ArchiveError, one line: those messages are
not confirmed, stay in the mailbox, and are tried again by the next shown().

Bad at: names of hosts.  They are looked up before dialling, and that waits; addresses in numbers do not.
"""
from __future__ import annotations

import contextlib
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from operator import itemgetter
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any, NamedTuple, TypeAlias

import wire
from address import Address
from archive import Archive, ArchiveError, Key, Memory
from arrivals import CHECK, LIVE, Arrival, Arrivals
from dial import dial, numeric
from keyring import Keyring
from outbox import Busy, Outbox, Pending, check_names, check_text
from proofs import Impostor, Proofs, RingError
from secure import Secured
from wire import Outcome, ProtocolError, SendFlag, Why

__all__ = ["ArchiveError", "Busy", "Event", "Link", "Locked", "NameRefused", "Offline", "Online", "Over", "Pending",
           "Remark", "Repeated"]

RETRIES = (1, 2, 4, 8, 15, 30)      # seconds; the last one again and again
JITTER = 0.5                        # of the delay, in all: a thousand clients must not come back in the same moment
LOGIN_SECONDS = 10                  # from dialling one address to its WELCOME
SILENCE_SECONDS = 60                # without a word, before we ask
PING_SECONDS = 20                   # for its answer
GOODBYE_SECONDS = 10                # for what is not sent yet to leave before EXIT
EXIT_SECONDS = 2                    # for the daemon to hang up after it
UNSHOWN_MAX = 10_000                # messages given to the client and not shown: ten windows of the daemon's
ROSTER_MAX = 250_000                # names: some 60 MB, the bound on what a daemon can make us hold
OUT_LOW = 64 * 1024                 # bytes ready to leave; further sends are encoded when there is room
OUT_MAX = 1024 * 1024               # more than this unread by the daemon: it is not reading
READ_SIZE = 64 * 1024
READS = 4                           # in one call of ready(), so that keys are not kept waiting by a flood
CONFIRMS_MAX = 10_000               # ranges at login, 210 KB; what is left over is confirmed when it comes again
NO_TOKEN = bytes(16)
SEND_FLAGS = SendFlag.NOW | SendFlag.EVERYONE
BAD_NAME = f"a username has 1 to {wire.NAME_MAX} of A-Z a-z 0-9 . _ - and begins with a letter or digit"

Event: TypeAlias = Any              # a wire message, or one of the seven below
Events: TypeAlias = list[Event]
Ids: TypeAlias = list[int]


class Online(NamedTuple):
    """Logged in."""
    welcome: wire.Welcome
    again: bool             # after a lost line


class Offline(NamedTuple):
    """The line was lost, or could not be opened; it is retried by itself."""
    reason: str
    retry_in: float         # seconds


class NameRefused(NamedTuple):
    """Rejected for its name; nothing is retried: rename(), then connect()."""
    why: int                # a wire.Why
    reason: str


class Locked(NamedTuple):
    """The name takes a passphrase; nothing is retried: unlock(), or rename(), then connect()."""
    reason: str
    again: bool             # the one that was given is wrong


class Remark(NamedTuple):
    """A word about the line that the user should read."""
    text: str


class Over(NamedTuple):
    """Ended for good: after exit(), or rejected for what retrying can't mend."""
    reason: str


class Repeated(NamedTuple):
    """A copy of a message that was shown before: not to be shown again; it is confirmed already."""
    mail: wire.Mail


def _nothing() -> None:
    """What there is to be done when most requests are answered."""


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _key(mail: wire.Mail) -> Key:
    return mail.sender, mail.origin


def _check_range(said: wire.Stored | wire.Outcomes | wire.Delivered | wire.Confirmed) -> None:
    if said.first > said.last:
        raise ProtocolError(f"a {wire.name_of(said)} that ends before it begins")


class Link:
    """One user's connection, as long as the program runs."""

    def __init__(self, addresses: Sequence[Address], name: str, archive: Archive | None, *, features: int,
                 monotonic: Callable[[], float], instance: int, jitter: Callable[[], float],
                 dial: Callable[[Address], socket.socket | Secured] = dial, ring: Keyring | None = None) -> None:
        """`instance`: 32 random bits; `jitter`: a random number from 0 to 1; `dial`: gives a socket on its way."""
        self.addresses = list(addresses)
        self.name = name
        self.house = ""
        self.granted = 0                                # the features of this daemon
        self.address: Address | None = None             # connected to, or being tried
        self.online = False
        self.roster: dict[str, wire.Entry] = {}         # the log of names, by name as first registered
        self.roster_whole = False
        self.waiting = 0                                # messages that a CHECK would bring
        self.holding = bool(features & wire.Feature.HOLD)
        self.pending = Outbox(instance)
        self.retry_at: float | None = None
        self.sock: socket.socket | Secured | None = None
        self.mask = 0
        self.proofs = Proofs(ring or Keyring(None))
        self._features = features & ~wire.Feature.HOLD | wire.Feature.IGNORE
        self._now, self._jitter, self._dial = monotonic, jitter, dial
        # the line
        self._places: deque[Address] = deque()          # not yet tried
        self._troubles: list[str] = []                  # what became of those tried
        self._opening = False                           # dialled, not known to be connected
        self._broken = False                            # it can't be written to; what it still says is read
        self._failures = 0                              # in a row: the place in RETRIES
        self._deadline: float | None = None             # of the login, or of leaving
        self._heard = 0.0                               # when the daemon last spoke
        self._pinged: float | None = None               # when it was asked whether it is there
        self._decoder = wire.Decoder()
        self._out = bytearray()
        self._leaving = self._exited = self._over = False
        # the session
        self._token = NO_TOKEN
        self._store: tuple[bytes, str] | None = None    # and whose: what ids mean
        self._request = count(1)
        self._asked: dict[int, Callable[[], None]] = {}     # requests without an answer; what to do when it is DONE
        self._events: list[Event] = []
        # what was shown
        self._kept = Memory() if archive is None else archive
        self._arrivals = Arrivals()
        self._unkept: dict[Key, wire.Mail] = {}         # shown, but the archive did not take it
        self._again: list[tuple[Key, Arrival]] = []     # repeated in this turn
        self._confirming: dict[tuple[int, int], list[Key]] = {}     # ranges without CONFIRMED

    # ---- the loop's side ----

    def connect(self) -> None:
        """Open the line now, unless it is open or being opened.  Each address is tried in order."""
        if self.sock is None and not self._over:
            self.retry_at = None
            if not wire.is_name(self.name):
                self._events.append(NameRefused(Why.BAD_NAME, BAD_NAME))
                return
            self._troubles.clear()
            self._places = deque(place for address in self.addresses for place in numeric(address))
            self._next_place()

    def ready(self, mask: int) -> Events:
        """The socket is ready for this."""
        if self._opening:
            self._opened()
        elif self.sock is not None:
            if mask & EVENT_WRITE:
                self._flush()
            if mask & EVENT_READ:
                self._read()
        return self._take()

    def tick(self) -> Events:
        """Whatever is due by now."""
        now = self._now()
        if self.retry_at is not None and now >= self.retry_at:
            self.connect()
        elif self._deadline is not None and now >= self._deadline:
            self._lost("the daemon did not answer in time")
        elif self.online and now >= self._next_doubt():
            self._doubt(now)
        return self._take()

    def timeout(self) -> float | None:
        """Seconds until tick() has something to do; None for never."""
        if self._events:
            return 0.0
        due = self.retry_at if self._deadline is None else self._deadline
        if due is None and self.online:
            due = self._next_doubt()
        return None if due is None else max(0.0, due - self._now())

    def close(self) -> None:
        """Let go of everything, without a word; harmless at any time."""
        self._drop()
        self._over, self.retry_at = True, None
        self._events.clear()
        self._kept.close()

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
        self._flush()
        return ids

    def shown(self, mails: Sequence[wire.Mail]) -> None:
        """The user saw these: keep them, and then let the daemon forget them.

        Raises ArchiveError when they can't be kept; they need not be given again, the next call tries them too.
        One that did not come as a Mail event from this store, or was shown before, is passed over."""
        self._unkept.update({_key(mail): mail for mail in mails if _key(mail) in self._arrivals})
        if self._unkept:
            self._kept.keep(list(self._unkept.values()))
            keys, self._unkept = list(self._unkept), {}
            self._confirm([(key, self._arrivals.pop(key)) for key in keys])

    def check(self) -> int:
        """Ask for what waits; CHECKED ends it."""
        self._arrivals.cut(CHECK)
        return self._ask(wire.Check)

    def hold(self, on: bool) -> int:
        """Let new messages wait, or not; DONE confirms it.  Offline it is done at once, and told at the next login."""
        self._arrivals.cut(LIVE)
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

    def unlock(self, passphrase: str) -> None:
        """The passphrase that Locked asked for; connect() then.  Takes its time.  Raises ValueError."""
        self.proofs.unlock(passphrase)

    def claim(self, passphrase: str) -> int:
        """From now on the name takes this passphrase; DONE answers.  Takes its time.  Raises ValueError."""
        self._check_grant(wire.Feature.PROVE)
        verifier, done = self.proofs.claim(self.name, passphrase)
        return self._ask(wire.Claim, *verifier, done=lambda: self._remembering(done))

    def unclaim(self) -> int:
        """No more; DONE answers.  Raises ValueError."""
        self._check_grant(wire.Feature.PROVE)
        return self._ask(wire.Unclaim, done=lambda: self._remembering(lambda: self.proofs.unclaim(self.name)))

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
        self._leaving, self.retry_at = True, None
        if self.online:
            self._deadline = self._now() + GOODBYE_SECONDS
            self._flush()
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
        self.name, self._token = name, NO_TOKEN

    # ---- the line ----

    def _next_place(self) -> None:
        """Dial the next address; after the last one, wait."""
        while self._places:
            self.address = self._places.popleft()
            try:
                self.sock = self._dial(self.address)
            except (OSError, ValueError) as error:
                self._troubles.append(f"{self.address}: {_reason(error)}")
                continue
            self._opening, self.mask = True, EVENT_WRITE
            self._deadline = self._now() + LOGIN_SECONDS
            self._decoder = wire.Decoder()
            return
        self.address = None
        self._retry("; ".join(self._troubles) or "no address to connect to")

    def _opened(self) -> None:
        assert self.sock is not None
        error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self._lost(os.strerror(error))
            return
        if isinstance(self.sock, Secured):
            if not self._is_shaken(self.sock):
                return
        else:
            self.proofs.begin(self.address or self.addresses[0])
        self._opening, self.mask = False, EVENT_READ
        features = self._features | (wire.Feature.HOLD if self.holding else 0)
        self._say(wire.Hello(wire.VERSION, features, self._token, self.name))

    def _is_shaken(self, sock: Secured) -> bool:
        """Go on with the handshake of TLS; True when it is over, and the daemon is the one that it was."""
        assert self.address is not None
        try:
            self.mask = sock.shake()
            if self.mask:
                return False
            remark = self.proofs.check_certificate(self.address, sock.binding)
        except OSError as error:
            self._lost(_reason(error))
            return False
        except (Impostor, RingError) as fault:
            self._drop()
            self._end(str(fault))
            return False
        if remark:
            self._events.append(Remark(remark))
        return True

    def _read(self) -> None:
        """Take what has arrived, but not more than a few blocks."""
        sock, size = self.sock, READ_SIZE
        for _ in range(READS):
            if self.sock is not sock or sock is None or size < READ_SIZE:
                break
            try:
                data = sock.recv(READ_SIZE)
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                self._lost(_reason(error))
                break
            size = len(data)
            if data:
                self._feed(data)
            else:
                self._lost("the daemon closed the line")
        if self._again and self.online:
            again, self._again = self._again, []
            self._confirm(again)

    def _feed(self, data: bytes) -> None:
        decoder = self._decoder
        self._heard, self._pinged = self._now(), None
        try:
            for frame in decoder.feed(data):
                self._receive(wire.decode(frame, wire.Direction.DAEMON))
                if self._decoder is not decoder:        # the line was dropped
                    return
        except ProtocolError as error:
            self._lost(f"the daemon broke the protocol: {error}")

    def _next_doubt(self) -> float:
        """When the daemon's silence calls for something."""
        return self._heard + SILENCE_SECONDS if self._pinged is None else self._pinged + PING_SECONDS

    def _doubt(self, now: float) -> None:
        """Too long a silence: ask; too long for an answer: give up."""
        if self._pinged is None:
            self._pinged = now
            self._say(wire.Ping(int(now * 1e6)))
        else:
            self._lost("the daemon has fallen silent")

    def _flush(self) -> None:
        """Send what the socket takes.  A broken line is found out about by reading, which may bring the reason."""
        if self.sock is None or self._opening:
            return
        try:
            while self._fill():
                del self._out[:self.sock.send(self._out)]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._broken = True
            self._out.clear()
        self.mask = EVENT_READ | (EVENT_WRITE if self._out else 0)

    def _fill(self) -> bool:
        """Encode more to send when there is room; False when there is nothing to send."""
        if self._broken:
            return False
        if self.online and len(self._out) < OUT_LOW:
            for frame in self.pending.frames():
                self._out += frame
                if len(self._out) >= OUT_LOW:
                    break
            else:
                self._say_goodbye()
        return bool(self._out)

    def _say_goodbye(self) -> None:
        if self._leaving and not self._exited:
            self._exited, self._deadline = True, self._now() + EXIT_SECONDS
            self._out += wire.encode(wire.Exit())

    def _say(self, said: wire.Message) -> None:
        """Say what has to be said; a daemon that does not read is lost."""
        if len(self._out) > OUT_MAX:
            self._lost("the daemon does not read what it is sent")
        elif self.sock is not None:
            self._out += wire.encode(said)
            self._flush()

    def _tell(self, said: wire.Message) -> None:
        """Say what the user asked for, if there is anybody to hear it.  Raises Busy, ValueError."""
        if self.online and not self._exited:
            if len(self._out) > OUT_MAX:
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
        """Close the line and forget what belonged to it."""
        if self.sock is not None:
            self.sock.close()
        self.sock, self.mask, self._deadline = None, 0, None
        self._decoder, self._out = wire.Decoder(), bytearray()
        self.online = self._opening = self._broken = False
        self._pinged = None
        self._again.clear()
        self._confirming.clear()
        self._events += [wire.Failed(request, Why.GONE, "the line was lost") for request in self._asked]
        self._asked.clear()

    def _lost(self, reason: str) -> None:
        """The line is of no more use: another address, another time, or never."""
        was_online = self.online
        self._drop()
        if self._leaving:
            unanswered = f"; {len(self.pending)} messages had no answer" if self.pending else ""
            self._end("goodbye" + unanswered)
        elif was_online:
            self.address = None
            self._retry(reason)
        else:
            self._troubles.append(f"{self.address}: {reason}")
            self._next_place()

    def _retry(self, reason: str) -> None:
        delay = RETRIES[min(self._failures, len(RETRIES) - 1)] * (1 + JITTER * (self._jitter() - 0.5))
        self._failures += 1
        self.retry_at = self._now() + delay
        self._events.append(Offline(reason, delay))

    def _end(self, reason: str) -> None:
        self._over, self.retry_at, self.address = True, None, None
        self._kept.close()
        self._events.append(Over(reason))

    def _take(self) -> Events:
        events, self._events = self._events, []
        return events

    # ---- what the daemon says ----

    def _receive(self, said: Any) -> None:
        """One message: what it means here, and to the client as an event."""
        if not self.online and type(said) not in BEFORE_WELCOME:
            raise ProtocolError(f"a {wire.name_of(said)} before WELCOME")
        for name in NAMED[type(said)](said) if type(said) in NAMED else ():
            if not wire.is_name(name):
                raise ProtocolError(f"a {wire.name_of(said)} with a name that is none")
        handler = HANDLERS.get(type(said))
        if handler is None or handler(self, said):
            self._events.append(said)

    def _on_welcome(self, said: wire.Welcome) -> bool:
        if self.online:
            raise ProtocolError("a second WELCOME")
        if said.version != wire.VERSION:
            self._drop()
            self._end(f"the daemon speaks version {said.version} of the protocol, this client {wire.VERSION}")
            return False
        if said.name.lower() != self.name.lower():
            raise ProtocolError("a WELCOME for somebody else")
        try:
            self.proofs.welcome(said.name)
        except Impostor as fault:
            self._drop()
            self._end(str(fault))
            return False
        except RingError as fault:
            self._events.append(Remark(f"{fault}; the passphrase will be asked for again"))
        self.name, self.house, self.waiting = said.name, said.house, said.waiting
        self.holding, self.granted = bool(said.features & wire.Feature.HOLD), said.features
        self._event_of_login(said)
        self._begin()
        return False

    def _event_of_login(self, said: wire.Welcome) -> None:
        again, store = self._store is not None, (said.store, said.name.lower())
        self._events.append(Online(said, again))
        if store != self._store:
            self._store = store
            self._arrivals.clear()
            self._unkept.clear()
            self.roster.clear()
            self.roster_whole = False
        self._token = said.token
        with contextlib.suppress(ArchiveError):         # shown() will say so, when there is something to be kept
            self._kept.open(said.store, said.name)

    def _begin(self) -> None:
        """Logged in: what was left from the line before goes first, in its order."""
        self.pending.again()            # before anything is said: whatever is said takes sends along
        self.online, self._deadline, self._failures = True, None, 0
        self._decoder.limit = wire.FRAME_MAX
        self._arrivals.cut(LIVE)
        self._arrivals.cut(CHECK)
        self._confirm_left()
        self._flush()

    def _on_rejected(self, said: wire.Rejected) -> bool:
        if self.online:
            raise ProtocolError("REJECTED after WELCOME")
        self._drop()
        self.address = None
        if said.why == Why.DENIED and self.proofs.answered:
            self.proofs.wrong()
            self._events.append(Locked(said.reason, True))
        elif said.why in NAME_WHYS:
            self._events.append(NameRefused(said.why, said.reason))
        elif said.why == Why.FULL:
            self._retry(said.reason)
        else:
            self._end(said.reason)
        return False

    def _on_challenge(self, said: wire.Challenge) -> bool:
        if self.online:
            raise ProtocolError("a CHALLENGE after WELCOME")
        try:
            proof = self.proofs.answer(self.name, said)
        except RingError as fault:
            self._drop()
            self._end(str(fault))
            return False
        if proof:
            self._say(proof)
        else:
            self._drop()
            self.address = None
            self._events.append(Locked(f"{self.name} takes a passphrase here", False))
        return False

    def _on_verified(self, said: wire.Verified) -> bool:
        self.proofs.verify(said)
        return False

    def _on_ping(self, said: wire.Ping) -> bool:
        self._say(wire.Pong(said.stamp))
        return False

    def _on_pong(self, said: wire.Pong) -> bool:
        """That it came has said so already."""
        return False

    def _on_stored(self, said: wire.Stored) -> bool:
        _check_range(said)
        self.pending.answered(said.first, said.last)
        return True

    def _on_refused(self, said: wire.Refused) -> bool:
        self.pending.answered(said.id, said.id)
        return True

    def _on_outcomes(self, said: wire.Outcomes) -> bool:
        _check_range(said)
        if said.outcome in (Outcome.ABSENT, Outcome.FULL):
            self.pending.absent(said.first, said.last, said.to)
        return True

    def _on_delivered(self, said: wire.Delivered) -> bool:
        _check_range(said)
        return True

    def _on_roster(self, said: wire.Roster) -> bool:
        self.roster.update({entry.name: entry for entry in said.entries})
        if len(self.roster) > ROSTER_MAX:
            raise ProtocolError(f"a log of more than {ROSTER_MAX} names")
        if said.last and not said.request:
            self.roster_whole = True
        if said.last:
            self._asked.pop(said.request, None)
        return True

    def _on_waiting(self, said: wire.Waiting) -> bool:
        self.waiting = said.total
        return True

    def _on_checked(self, said: wire.Checked) -> bool:
        self._arrivals.cut(CHECK)
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
        self._arrivals.cut(LIVE)

    # ---- mail: kept, then confirmed ----

    def _on_mail(self, said: wire.Mail) -> bool:
        key, arrival = _key(said), self._arrivals.place(said)
        if key in self._kept.unconfirmed:
            self._kept.unconfirmed[key] = said.id
            self._again.append((key, arrival))
            self._events.append(Repeated(said))
            return False
        is_new = key not in self._arrivals
        self._arrivals[key] = arrival
        if len(self._arrivals) > UNSHOWN_MAX:
            raise ProtocolError(f"more than {UNSHOWN_MAX} messages that were not shown yet")
        return is_new

    def _confirm(self, shown: Sequence[tuple[Key, Arrival]]) -> None:
        """Offline nothing is said: the next WELCOME finds them unconfirmed."""
        if self.online and not self._exited:
            for first, last, keys in self._arrivals.runs(shown):
                self._confirming[first, last] = keys
                self._say(wire.Confirm(first, last))

    def _confirm_left(self) -> None:
        """What was shown and is not known to be forgotten; a range here is ids without a gap, each one shown."""
        runs: list[tuple[int, int, list[Key]]] = []
        for key, number in sorted(self._kept.unconfirmed.items(), key=itemgetter(1)):
            if runs and runs[-1][1] + 1 == number:
                runs[-1] = runs[-1][0], number, [*runs[-1][2], key]
            else:
                runs.append((number, number, [key]))
        for first, last, keys in runs[:CONFIRMS_MAX]:
            self._confirming[first, last] = keys
            self._say(wire.Confirm(first, last))

    def _on_confirmed(self, said: wire.Confirmed) -> bool:
        _check_range(said)
        exact = (said.first, said.last)
        covered = [exact] if exact in self._confirming else [
            run for run in self._confirming if said.first <= run[0] and run[1] <= said.last]
        for run in covered:
            self._kept.settle(self._confirming.pop(run))
        return True


BEFORE_WELCOME = {wire.Challenge, wire.Verified, wire.Welcome, wire.Rejected, wire.Notice, wire.Ping, wire.Pong}
NAME_WHYS = {Why.TAKEN, Why.BAD_NAME, Why.DENIED, Why.UNKNOWN, Why.EMPTY}

# What of a message has to be a name.
NAMED: dict[type, Callable[[Any], Iterable[str]]] = {
    wire.Mail: lambda said: (said.sender,),
    wire.Line: lambda said: (said.sender,),
    wire.Roster: lambda said: [entry.name for entry in said.entries],
    wire.Outcomes: lambda said: said.to,
    wire.Delivered: lambda said: (said.by,),
    wire.Invitation: lambda said: (said.sender, *said.members),
    wire.Inviting: lambda said: said.members,
    wire.Answered: lambda said: (said.by,),
    wire.CalledOff: lambda said: (said.by,) if said.by else (),
    wire.Started: lambda said: said.members,
    wire.Left: lambda said: (said.by,),
    wire.Ignored: lambda said: said.to,
    wire.Ended: lambda said: (said.by,) if said.by else (),
}

# What a message means here; True: it is an event as well.  All others are events and no more.
HANDLERS: dict[type, Callable[[Link, Any], bool]] = {
    wire.Welcome: Link._on_welcome,
    wire.Rejected: Link._on_rejected,
    wire.Challenge: Link._on_challenge,
    wire.Verified: Link._on_verified,
    wire.Ping: Link._on_ping,
    wire.Pong: Link._on_pong,
    wire.Stored: Link._on_stored,
    wire.Refused: Link._on_refused,
    wire.Outcomes: Link._on_outcomes,
    wire.Delivered: Link._on_delivered,
    wire.Mail: Link._on_mail,
    wire.Confirmed: Link._on_confirmed,
    wire.Checked: Link._on_checked,
    wire.Waiting: Link._on_waiting,
    wire.Roster: Link._on_roster,
    wire.Inviting: Link._on_answer,
    wire.Done: Link._on_answer,
    wire.Ignored: Link._on_answer,
    wire.Failed: Link._on_failed,
}
