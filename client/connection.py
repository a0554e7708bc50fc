"""connection: one line to a daemon, from dialling to its loss, and then the next one.

A Connection tries the addresses in their order, agrees on TLS where one asks for it, and
carries messages both ways: say()
takes what must be said now, `more` is asked for what may follow when there is room, hear() gives what the daemon says.
Who answers there, and what is said, is not its business: link.py greets when open() is true, and calls let_in() when
the daemon has agreed.

Promises.  A line that is open is alive: no address has more than LOGIN_SECONDS, a silent daemon is asked with PING, and
one that does not answer, or reads nothing of what it is sent, raises Lost.  After lost() the next address is dialled,
and after the last one the first again, after a delay that grows.  But no other daemon gets what was meant for one: a
default place where a daemon listens is the last that is tried, whatever is wrong with that daemon; and once a daemon
has let the client in, its address alone is dialled.  Nothing is said to a listener that is not believed (dial.py).
What is held for a daemon that does not read is bounded (OUT_MAX), and a flood from it is read a few blocks at a time.

Failure.  Nothing here ends the program: Lost has the reason in words, ProtocolError what a peer must not say; whoever
catches them calls lost(), close(), or later().  A line that can't be written to is read until its end, which may bring
the reason.

Bad at: names of hosts.  They are looked up before dialling, and that waits; addresses in numbers do not.
"""
from __future__ import annotations

import errno
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any, NamedTuple

import wire
from client.dial import Socket, Stranger, believe, numeric
from client.events import Offline
from net import places
from net.address import Address
from net.tls import Secured

RETRIES = (1, 2, 4, 8, 15, 30)      # seconds; the last one again and again
JITTER = 0.5                        # of the delay, in all: a thousand clients must not come back in the same moment
LOGIN_SECONDS = 10                  # from dialling one address to its WELCOME
SILENCE_SECONDS = 60                # without a word, before we ask
PING_SECONDS = 20                   # for its answer
OUT_LOW = 64 * 1024                 # bytes ready to leave; `more` is asked when there are fewer
OUT_MAX = 1024 * 1024               # more than this unread by the daemon: it is not reading
READ_SIZE = 64 * 1024
ABSENT = (FileNotFoundError, ConnectionRefusedError, NotADirectoryError)
ABSENT_WORDS = {os.strerror(number) for number in (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH,
                                                   errno.ETIMEDOUT)}
READS = 4                           # in one call of hear(), so that keys are not kept waiting by a flood


class Lost(Exception):
    """The line is of no more use: why, in words."""


class Trouble(NamedTuple):
    """What became of an address."""
    address: Address
    reason: str
    is_absent: bool = False     # nobody listens there
    is_strange: bool = False    # somebody is there who is not believed

    @property
    def is_looked_for(self) -> bool:
        """Nobody listens at a place that the user did not name."""
        return self.is_absent and self.address.default


class Connection:
    """The line there is, and the way to the next."""

    def __init__(self, addresses: Sequence[Address], *, monotonic: Callable[[], float], jitter: Callable[[], float],
                 dial: Callable[[Address], Socket], more: Callable[[], Iterable[bytes]]) -> None:
        """`jitter`: a random number from 0 to 1; `dial`: gives a socket on its way; `more`: frames that may leave."""
        self.sock: Socket | None = None
        self.mask = 0                                   # what the loop waits for
        self.address: Address | None = None             # connected to, or being tried
        self.opening = False                            # dialled, not known to be connected
        self.online = False                             # let in
        self.retry_at: float | None = None
        self._addresses = list(addresses)               # once a daemon has let us in: its own alone
        self._is_known = False                          # that is so
        self._now, self._jitter, self._dial, self._more = monotonic, jitter, dial, more
        self._places: deque[Address] = deque()          # not yet tried
        self._troubles: list[Trouble] = []              # what became of those tried
        self._is_met = False                            # a daemon was at a default place, and did not let us in
        self._told: set[str] = set()                    # strangers that the user has heard of
        self._listener: int | None = None               # the uid that listens where we are connected
        self._before: int | None = None                 # and that which let us in there
        self._failures = 0                              # in a row: the place in RETRIES
        self._broken = False                            # it can't be written to; what it still says is read
        self._deadline: float | None = None             # when it has to have come to something
        self._heard = 0.0                               # when the daemon last spoke
        self._pinged: float | None = None               # when it was asked whether it is there
        self._decoder = wire.Decoder()
        self._out = bytearray()

    # ---- from one line to the next ----

    def connect(self) -> list[Offline]:
        """Dial now, each address in order.  Offline, if none could be."""
        self.retry_at = None
        self._troubles.clear()
        self._is_met = False
        self._places = deque(place for address in self._addresses for place in numeric(address))
        return self._dial_next()

    def _dial_next(self) -> list[Offline]:
        while self._places:
            self.address = address = self._places.popleft()
            try:
                self.sock = self._dial(address)
                self._listener = believe(address, self.sock, self._before)
            except Stranger as stranger:
                self.close()
                self._troubles.append(Trouble(address, str(stranger), is_strange=True))
            except (OSError, ValueError) as error:
                self._troubles.append(Trouble(address, _reason(error), isinstance(error, ABSENT)))
                if isinstance(error, BlockingIOError):      # its queue of callers is full
                    self._stay_at(address)
            else:
                self.opening, self.mask = True, EVENT_WRITE
                self.allow(LOGIN_SECONDS)
                return []
        return self.later(self._in_words())

    def _in_words(self) -> str:
        """Why there is no line: where was looked, and what was found there."""
        nowhere = [each.address for each in self._troubles if each.is_looked_for and not self._is_known]
        others = [each for each in self._troubles if each.address not in nowhere]
        words = [each.reason if each.is_strange else f"{each.address}: {each.reason}" for each in others]
        if nowhere and not self._is_met:
            words.append(places.nobody(nowhere))
        asks = ": is the daemon running?" * any(each.is_absent for each in others)
        return ("; ".join(words) or "no address to connect to") + asks

    def passed_over(self) -> list[str]:
        """What is to be said of places that were passed over before this one was found; each once."""
        strange = [trouble.reason for trouble in self._troubles if trouble.is_strange]
        new = [reason for reason in dict.fromkeys(strange) if reason not in self._told]
        self._told.update(new)
        return new

    @property
    def run_by(self) -> str:
        """The login that runs the daemon, if it is neither the user, nor root, nor the host's."""
        is_other = self._listener is not None and self._listener not in places.believed()
        return places.login(self._listener) if is_other and self._listener is not None else ""

    def open(self) -> bool:
        """The socket is ready: go on opening; whether the line can carry messages now.  Raises Lost."""
        assert self.sock is not None
        error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise Lost(os.strerror(error))
        if isinstance(self.sock, Secured):
            try:
                self.mask = self.sock.shake()
            except OSError as fault:
                raise Lost(_reason(fault)) from None
            if self.mask:
                return False
        self.opening, self.mask = False, EVENT_READ
        return True

    @property
    def binding(self) -> bytes:
        """Of an open line: what the daemon's certificate is known by (tls.py); b"" without TLS."""
        return self.sock.binding if isinstance(self.sock, Secured) else b""

    def let_in(self) -> None:
        """The daemon has said WELCOME: from now on silence calls for a PING, and a loss is a loss."""
        self.online, self._deadline, self._failures = True, None, 0
        if self.address:
            self._addresses, self._is_known = [self.address], True
            self._before = None if self.address.default else self._listener
        self._decoder.widen(wire.FRAME_MAX)

    def lost(self, reason: str) -> list[Offline]:
        """This line is over: another address, or another time."""
        was_online, address = self.online, self.address
        self.close()
        if was_online:
            return self.later(reason)
        if address:
            self._troubles.append(Trouble(address, reason, reason in ABSENT_WORDS))
            self._stay_at(address)
        return self._dial_next()

    def _stay_at(self, address: Address) -> None:
        """A daemon is at a default place, whatever is wrong with it: the user meant this one and no other."""
        if address.default:
            self._is_met = True
            self._places.clear()

    def later(self, reason: str, *, answered: bool = False) -> list[Offline]:
        """No line for now; `answered`: by the daemon's own word."""
        self.close()
        delay = RETRIES[min(self._failures, len(RETRIES) - 1)] * (1 + JITTER * (self._jitter() - 0.5))
        self._failures += 1
        self.retry_at = self._now() + delay
        return [Offline(reason, delay, answered)]

    def close(self) -> None:
        """Let go of the line, and of trying; harmless at any time."""
        if self.sock is not None:
            self.sock.close()
        self.sock, self.mask, self.address = None, 0, None
        self.online = self.opening = self._broken = False
        self.retry_at = self._deadline = self._pinged = None
        self._decoder, self._out = wire.Decoder(), bytearray()

    # ---- time ----

    def allow(self, seconds: float) -> None:
        """The line has so much time to come to something."""
        self._deadline = self._now() + seconds

    def tick(self) -> list[Offline]:
        """Whatever is due by now: dial again, ask, or give up.  Raises Lost."""
        now = self._now()
        if self.retry_at is not None and now >= self.retry_at:
            return self.connect()
        if self._deadline is not None and now >= self._deadline:
            raise Lost("the daemon did not answer in time")
        if self.online and now >= self._next_doubt():
            if self._pinged is not None:
                raise Lost("the daemon has fallen silent")
            self._pinged = now
            self.say(wire.Ping(int(now * 1e6)))
        return []

    def timeout(self) -> float | None:
        """Seconds until tick() has something to do; None for never."""
        due = self.retry_at if self._deadline is None else self._deadline
        if due is None and self.online:
            due = self._next_doubt()
        return None if due is None else max(0.0, due - self._now())

    def _next_doubt(self) -> float:
        """When the daemon's silence calls for something."""
        return self._heard + SILENCE_SECONDS if self._pinged is None else self._pinged + PING_SECONDS

    # ---- what the daemon says ----

    def hear(self, mask: int) -> Iterator[Any]:
        """The socket is ready for this: send, and read.  The daemon's messages, until the line is closed.

        Raises Lost, ProtocolError."""
        if mask & EVENT_WRITE:
            self.flush()
        sock, size = self.sock, READ_SIZE if mask & EVENT_READ else 0
        for _ in range(READS):
            if self.sock is not sock or sock is None or size < READ_SIZE:
                return
            try:
                data = sock.recv(READ_SIZE)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                raise Lost(_reason(error)) from None
            if not data:
                raise Lost("the daemon closed the line")
            size = len(data)
            yield from self._decode(data)

    def _decode(self, data: bytes) -> Iterator[Any]:
        """What stands in these bytes.  Whether we are here is answered at once; that an answer came has said so."""
        decoder = self._decoder
        self._heard, self._pinged = self._now(), None
        for frame in decoder.feed(data):
            said = wire.decode(frame, wire.Direction.DAEMON)
            if isinstance(said, wire.Ping):
                self.say(wire.Pong(said.stamp))
            elif not isinstance(said, wire.Pong):
                yield said
                if self._decoder is not decoder:        # closed meanwhile
                    return

    # ---- what is said ----

    @property
    def is_full(self) -> bool:
        """Whether the daemon does not read what it is sent."""
        return len(self._out) > OUT_MAX

    def say(self, said: wire.Message) -> None:
        """Say this; without a line nobody hears it.  Raises Lost, ValueError."""
        if self.is_full:
            raise Lost("the daemon does not read what it is sent")
        if self.sock is not None:
            self._out += wire.encode(said)
            self.flush()

    def flush(self) -> None:
        """Send what the socket takes.  A broken line is found out about by reading, which may bring the reason."""
        if self.sock is None or self.opening:
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
        """Ask for more when there is room; whether there is anything to send."""
        if self._broken:
            return False
        if len(self._out) < OUT_LOW:
            for frame in self._more():
                self._out += frame
                if len(self._out) >= OUT_LOW:
                    break
        return bool(self._out)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
