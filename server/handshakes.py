"""handshakes: connections that agree on TLS.

The daemon's part of a handshake is one operation with its private key, and nothing can be done in
the loop meanwhile: 0.4 ms with a key of P-256, 5 ms with RSA of 4096 bits.  Anybody who can connect
can ask for one with some hundred bytes.  So a handshake has the daemon's time only as follows.

  - One step of one handshake in a turn.
  - While clients ask for something, a quarter of the clock: after a step the others wait for three
    times as long as it took.
  - Of that, each host has BURST at once and a hundredth of the clock in the long run.  The host
    that used least of its time lately is first.
  - Of its handshakes, one that has begun is first: the rest of it is little work, and if all began
    before one ended, none of a crowd would end in time.  So it is also the last that has to go
    for a newcomer.

A connection whose time has not come is not read: it is out of the selector, and what its peer sent
waits in the peer's own socket.  It has LOGIN_SECONDS for all.  While nobody asks for anything, a
host that used up its time does not wait.

A client that says its HELLO without TLS is told so, without TLS: it would see no more than that the
connection was closed.

When the handshake is over, the daemon adopts the connection, and it is a stranger (strangers.py).
"""
from __future__ import annotations

import selectors
import time
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Protocol

import wire
from net.tls import NoTLS, Secured
from rules.buckets import Buckets
from rules.state import Caller, Now
from server.options import Limits
from server.pool import Pool

REST = 3                    # times as long as a step took, until the next
BURST = 100                 # milliseconds of steps of one host at once: a class that comes in at
                            # once, 20 at RSA-4096, 300 at P-256
REFILL = 0.1                # seconds for one millisecond more: what one host asks for in the long
                            # run shows in no 99th percentile

SPEAKS_TLS = "this address speaks TLS: write tls: before it, as in --connect tls:HOST:PORT"
TOO_MANY = "too many connections are logging in"


class Hall(Protocol):
    """The daemon, as the handshakes know it."""

    def is_quiet(self) -> bool:
        """Whether no client asks for anything."""

    def adopt(self, sock: Secured, place: str, caller: Caller) -> None:
        """Serve a connected socket that came in at this listener, from this caller."""


class Handshake:
    """One of the connections."""
    __slots__ = ("caller", "has_begun", "host", "mask", "opened", "place", "sock")

    def __init__(self, sock: Secured, place: str, caller: Caller, now: float) -> None:
        self.sock = sock
        self.place = place                  # the address of its listener
        self.caller = caller
        self.host = caller.host
        self.opened = now                   # monotonic
        self.mask = selectors.EVENT_READ    # what the selector waits for
        self.has_begun = False              # a step was done


class Handshakes:
    """The connections, and whose turn it is."""

    def __init__(self, selector: selectors.BaseSelector, hall: Hall, note: Callable[..., None],
                 limits: Limits, clock: Callable[[], Now]) -> None:
        self.selector = selector
        self.hall = hall
        self.note = note
        self.seconds = limits.login_seconds
        self.clock = clock
        self.processor = time.thread_time   # what a step took; that others had the processor
                                            # meanwhile is not its fault
        self.pool: Pool[Handshake] = Pool(limits.handshakes, limits.handshakes_each)
        self.is_busy = False                # tick() has something to do
        self.due_at = inf                   # when one of those that wait goes on, monotonic
        self._has_worked = False            # in this turn
        self._waiting: dict[Handshake, None] = {}       # out of the selector, in their order
        self._chosen: Handshake | None = None           # of these, in the selector again
        self._next_at = 0.0                 # the next step, while somebody asks
        self._look_at = 0.0                 # when a host of those that wait has time again
        self._time = Buckets(BURST, REFILL)             # milliseconds that each host may have

    def __len__(self) -> int:
        return len(self.pool)

    def begin(self, sock: Secured, place: str, caller: Caller) -> None:
        """A connection came in."""
        sock.setblocking(False)
        handshake = Handshake(sock, place, caller, self.clock().monotonic)
        self._watch(handshake)
        if other := self.pool.add(handshake):
            self._end(other, TOO_MANY)

    def tick(self) -> None:
        """A turn ends: choose the one that goes on in the next, if it is time for that."""
        self._has_worked, self.due_at = False, inf
        self.is_busy = bool(self._waiting)
        if not self._waiting or self._chosen:
            return
        now, is_quiet = self.clock().monotonic, self.hall.is_quiet()
        if is_quiet or now >= max(self._next_at, self._look_at):
            best = max(self._waiting, key=lambda each: (self._time.level(each.host, now),
                                                        each.has_begun))
            level = self._time.level(best.host, now)
            if is_quiet or level > 0:
                del self._waiting[best]
                self._chosen, self._look_at = best, 0.0
                self._watch(best)
                return
            self._look_at = now - level * REFILL + REFILL / 1000
        self.due_at = max(self._next_at, self._look_at)

    def look(self, monotonic: float) -> None:
        """Close those whose time is over."""
        for handshake in self.pool:
            if monotonic - handshake.opened >= self.seconds:
                self._end(handshake, "no TLS in time")

    def close(self) -> None:
        """Close all."""
        for handshake in self.pool:
            self._drop(handshake)
            handshake.sock.close()

    def _watch(self, handshake: Handshake) -> None:
        self.selector.register(handshake.sock, handshake.mask, partial(self._on_ready, handshake))

    def _on_ready(self, handshake: Handshake, _: object, mask: int) -> None:
        """Go on with it, or let it wait."""
        self.is_busy = True
        if handshake is self._chosen:
            self._chosen = None
        elif (self._has_worked or self._waiting or self._chosen
                or not self._may_go_on(handshake.host)):
            self.selector.unregister(handshake.sock)
            self._waiting[handshake], self._look_at = None, 0.0
            return
        self._has_worked = True
        self._step(handshake)

    def _may_go_on(self, host: str) -> bool:
        now = self.clock().monotonic
        return self.hall.is_quiet() or (now >= self._next_at and self._time.level(host, now) > 0)

    def _step(self, handshake: Handshake) -> None:
        sock, began, reason = handshake.sock, self.processor(), ""
        try:
            mask = sock.shake()
        except NoTLS as error:
            mask, reason = 0, str(error)
            if error.is_frame:
                sock.say_plainly(wire.encode(wire.Rejected(wire.Why.OTHER, SPEAKS_TLS)))
        except OSError as error:
            mask, reason = 0, error.strerror or str(error)
        took, now = self.processor() - began, self.clock().monotonic
        if not handshake.has_begun:
            handshake.has_begun = True
            self.pool.add(handshake)            # last again: it has cost time
        self._next_at = now + REST * took
        if self._time.level(handshake.host, now) > 0:       # while nobody asks there is no debt
            self._time.take(handshake.host, now, 1000 * took)
        if reason:
            self._end(handshake, reason)
        elif not mask:
            self._drop(handshake)
            self.hall.adopt(sock, handshake.place, handshake.caller)
        elif mask != handshake.mask:
            handshake.mask = mask
            self.selector.unregister(sock)
            self._watch(handshake)

    def _end(self, handshake: Handshake, reason: str) -> None:
        self._drop(handshake)
        handshake.sock.close()
        self.note("closed", address=handshake.caller.address, reason=reason)

    def _drop(self, handshake: Handshake) -> None:
        """It agrees on nothing any more."""
        self.pool.remove(handshake)
        if handshake in self._waiting:
            del self._waiting[handshake]
            return
        if handshake is self._chosen:
            self._chosen = None
        self.selector.unregister(handshake.sock)
