"""connection: one connection to a daemon, from dialling to its loss, and then the next one.

A Connection dials the addresses of its route (route.py), agrees on TLS where an address asks for
it, and carries messages both ways: say() takes what must be said now, `more` is asked for what may
follow when there is room, hear() returns what the daemon says.  It does not know who answers, nor
what the messages mean: link.py greets when open() is true, and calls let_in() when the daemon has
agreed.

A name server is waited for like a socket: while there is a `lookup` (lookup.py) there is no `sock`;
found() dials what it has found.

Promises.  An open connection is alive: no address has more than LOGIN_SECONDS; a silent daemon is
asked with PING; a daemon that does not answer, or reads nothing of what it is sent, raises Lost.
After lost() the next address is dialled, unless the operator has put this user out.  What is held
for a daemon that does not read is bounded (OUT_MAX).  A flood from it is heard a slice at a time
(READS, HEAR_SECONDS): what has arrived and is not heard yet waits, and nothing is read before it is
heard.

Failure.  Nothing here ends the program: Lost has the reason in words, ProtocolError what a peer
must not say.  Whoever catches them calls lost(), close(), or later().  A connection that can't be
written to is read to its end, which may bring the reason.
"""
from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

import wire
from client.dial import Socket
from client.events import Event, Offline, Silent
from client.lookup import Lookup
from client.route import Route, reason_of
from client.silence import Silence
from net import scram
from net.address import Address
from net.logins import peer_uid
from net.scram import Binding
from net.tls import Secured
from wire import ProtocolError

LOGIN_SECONDS = 10                  # from dialling one address to its WELCOME
LOOKUP_SECONDS = 15                 # for a host's name: after two silent name servers, the third
OUT_LOW = 64 * 1024                 # bytes ready to leave; `more` is asked when there are fewer
OUT_MAX = 1024 * 1024               # more than this unread by the daemon: it is not reading
READ_SIZE = 64 * 1024
READS = 4                           # in one call of hear(): what is made of so many bytes is held
HEAR_SECONDS = 0.01                 # in one call of hear(), so that a flood does not delay keys


MAYBE_TLS = ": if it speaks TLS there, write tls: before the address"


class Lost(Exception):
    """The connection is of no more use: why, in words."""


class Connection:
    """The connection that there is, or the next one."""

    def __init__(self, addresses: Sequence[Address], *, monotonic: Callable[[], float],
                 jitter: Callable[[], float], dial: Callable[[Address], Socket],
                 more: Callable[[], Iterable[bytes]]) -> None:
        """`jitter`, `dial`: see Route; `more`: frames that may leave."""
        self.route = Route(addresses, jitter=jitter, dial=dial)
        self.sock: Socket | None = None
        self.lookup: Lookup | None = None               # in the place of `sock`: a host's name
        self.mask = 0                                   # what the loop waits for
        self.opening = False                            # dialled, not known to be connected
        self.online = False                             # let in
        self.retry_at: float | None = None
        self.now, self._more = monotonic, more
        self._deadline: float | None = None             # when it has to have come to something
        self.silence = Silence(monotonic)
        self.put_out = ""               # by the operator: the daemon's word; nobody dials again
        self._has_heard = False                         # anything, on this connection
        self._broken = False                            # can't be written to; is read to its end
        self._decoder = wire.Decoder()
        self._unheard: deque[Any] = deque()             # what has arrived: frames, and messages
        self._out = bytearray()

    # ---- from one connection to the next ----

    def connect(self) -> list[Offline]:
        """Dial now, each address in order.  Returns Offline if none could be dialled."""
        self.retry_at = None
        self.route.begin()
        return self._dial()

    def _dial(self) -> list[Offline]:
        dialled = self.route.dial()
        if dialled is None:
            return self.later(self.route.reason(), is_absent=self.route.is_absent)
        if isinstance(dialled, Lookup):
            self.lookup, self.mask = dialled, EVENT_READ
            self.allow(LOOKUP_SECONDS)
        else:
            self.sock, self.mask, self.opening = dialled, EVENT_WRITE, True
            self.allow(LOGIN_SECONDS)
        return []

    def found(self) -> list[Offline]:
        """The lookup can be read: dial what it has found.  Raises Lost."""
        assert self.lookup is not None
        try:
            addresses = self.lookup.result()
        except OSError as fault:
            raise Lost(reason_of(fault)) from None
        if addresses is None:
            return []
        self.close()
        self.route.found(addresses)
        return self._dial()

    def open(self) -> bool:
        """The socket is ready: go on opening; whether it can carry messages now.  Raises Lost."""
        assert self.sock is not None
        error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise Lost(os.strerror(error))
        if isinstance(self.sock, Secured):
            try:
                self.mask = self.sock.shake()
            except OSError as fault:
                raise Lost(reason_of(fault)) from None
            if self.mask:
                return False
        self.opening, self.mask = False, EVENT_READ
        return True

    @property
    def binding(self) -> Binding:
        """What this end knows of the connection, once it is open."""
        if isinstance(self.sock, Secured):
            return Binding(scram.TLS, self.sock.binding)
        is_local = self.route.address and self.route.address.path
        return scram.unix(peer_uid(self.sock)) if self.sock and is_local else scram.TCP

    def let_in(self) -> None:
        """The daemon has said WELCOME: from now on silence calls for a PING."""
        self.online, self._deadline = True, None
        self.route.let_in()
        self._decoder.widen(wire.FRAME_MAX)
        self._unheard += self._decoder.split(b"")

    def lost(self, reason: str) -> list[Offline]:
        """This connection is over: try another address, or another time."""
        if self.put_out:
            reason = self.put_out
            self.close()
            return [Offline(reason, inf, answered=True)]
        if self.online:
            return self.later(reason)
        self.route.failed(reason)
        self.close()
        return self._dial()

    def later(self, reason: str, *, answered: bool = False, is_absent: bool = False
              ) -> list[Offline]:
        """No connection for now; `answered`: by the daemon's own word."""
        self.close()
        delay = self.route.delay()
        self.retry_at = self.now() + delay
        return [Offline(reason, delay, answered, is_absent)]

    def close(self) -> None:
        """Let go of the connection, and of trying; harmless at any time."""
        for end in (self.sock, self.lookup):
            if end is not None:
                end.close()
        self.sock, self.lookup, self.mask, self.route.address = None, None, 0, None
        self.online = self.opening = self._broken = self._has_heard = False
        self.retry_at, self._deadline, self.put_out = None, None, ""
        self._decoder, self._unheard, self._out = wire.Decoder(), deque(), bytearray()

    # ---- time ----

    def allow(self, seconds: float) -> None:
        """The connection has so much time to come to something."""
        self._deadline = self.now() + seconds

    def tick(self) -> Sequence[Event]:
        """Do whatever is due by now: dial again, ask, tell the user, or give up.  Raises Lost."""
        now = self.now()
        if self.retry_at is not None and now >= self.retry_at:
            return self.connect()
        if self._deadline is not None and now >= self._deadline:
            who = "name server" if self.lookup else "daemon"
            raise Lost(f"the {who} did not answer in time")
        if self.online and now >= self.silence.due():
            if self.silence.is_over:
                raise Lost("the daemon has fallen silent")
            if self.silence.asks():
                self.say(wire.Ping(int(now * 1e6)))
            return [Silent(self.silence.seconds)] if self.silence.tells() else []
        return []

    def timeout(self) -> float | None:
        """Seconds until tick() has something to do; None for never."""
        due = self.retry_at if self._deadline is None else self._deadline
        if due is None and self.online:
            due = self.silence.due()
        return None if due is None else max(0.0, due - self.now())

    # ---- what the daemon says ----

    @property
    def is_behind(self) -> bool:
        """Whether messages have arrived that were not heard yet; hear(0) goes on."""
        return bool(self._unheard)

    def hear(self, mask: int) -> Iterator[Any]:
        """The socket is ready for this: send, and read.

        Returns the daemon's messages, for HEAR_SECONDS, or until the connection is closed.  Raises
        Lost, ProtocolError."""
        if mask & EVENT_WRITE:
            self.flush()
        decoder, until = self._decoder, self.now() + HEAR_SECONDS
        reads = READS if mask & EVENT_READ else 0
        while self._decoder is decoder:                 # else closed meanwhile
            if self._unheard:
                if said := self._said(self._unheard.popleft()):
                    yield said
            elif decoder.fault:
                raise ProtocolError(decoder.fault)
            elif reads:
                reads = reads - 1 if self._read() else 0
            else:
                return
            if self.now() >= until:
                return

    def _read(self) -> bool:
        """Read a block; whether more may have arrived.  Any byte counts as a PONG."""
        try:
            data = self.sock.recv(READ_SIZE) if self.sock else b""
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            raise Lost(reason_of(error)) from None
        if not data:
            raise Lost("the daemon closed the connection" + self._may_be_tls * MAYBE_TLS)
        self._has_heard = True
        self.silence.heard()
        self._unheard += self._decoder.split(data)
        return len(data) >= READ_SIZE

    @property
    def _may_be_tls(self) -> bool:
        """Whether a daemon that says nothing may have waited for TLS."""
        where = self.route.address
        is_plain_tcp = bool(where and where.host and not where.tls)
        return is_plain_tcp and not self.online and not self._has_heard

    def _said(self, arrived: Any) -> Any:
        """The message of a frame; None for PING, which is answered here, and for PONG."""
        if type(arrived) is not bytes:
            return arrived
        said = wire.decode(arrived, wire.Direction.DAEMON)
        if isinstance(said, wire.Ping):
            self.say(wire.Pong(said.stamp))
        return None if isinstance(said, wire.Ping | wire.Pong) else said

    def hear_next(self, parts: Sequence[Any]) -> None:
        """The message that hear() gave has these parts: it gives them next, one by one."""
        self._unheard.extendleft(reversed(parts))

    # ---- what is said ----

    @property
    def is_full(self) -> bool:
        """Whether the daemon does not read what it is sent."""
        return len(self._out) > OUT_MAX

    def say(self, said: wire.Message) -> None:
        """Say this; without a connection nobody hears it.  Raises Lost, ValueError."""
        if self.is_full:
            raise Lost("the daemon does not read what it is sent")
        if self.sock is not None:
            self._out += wire.encode(said)
            self.flush()

    def flush(self) -> None:
        """Send what the socket takes.

        If that fails, hear() goes on reading, which may bring the reason."""
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
