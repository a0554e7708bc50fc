"""fairness: how much work one connection may make.

Nobody's speed is limited for its own sake.  A connection that is alone gets BUDGET units of work in
a turn (a request is one unit, and so is each recipient of a message).  Fifty at full rate, as in a
benchmark, are left alone too: each of them asks for a little, and a long turn serves all of them.
What must not happen is that a connection that asks for a little waits for those that ask for much.

What is little is a matter of time, not of turns.  Each connection has a bucket of units: BURST at
once, and FLOOD more with each TICK of the clock.  A connection that asks while its bucket is empty
is flooding, and counts as flooding until it has stayed within its bucket for CALM seconds.  As long
as some other connection that does not flood has asked for something within CALM seconds, nobody
gets more than its bucket holds, and all that flood share FLOOD units a tick.  A connection that has
had its part rests until the next tick: it is out of the selector, and what its peer sent beyond
waits in the peer's own socket.  One request can be more than a bucket holds, such as a message to
all; then its sender rests as many ticks as it was worth.  Nothing is dropped and nobody is
disconnected.

So the daemon sleeps for most of each tick, however much they send.  That keeps the others quick,
and not the shortness of the flooders' part of a turn.  A daemon that never sleeps makes a turn of
whatever one of many has sent; each turn has a price of its own and syncs the disk, and the process
that syncs waits for the same processor.

A client that only confirms what it reads does not ask for anything.  The same holds at the
listeners: a storm of connections gets few of them in a turn while somebody asks.

Besides, an operator may set a rate (--rate): a bucket of tokens for each client, a token a request,
a second's worth at most.  A client that has none left rests for REST seconds or more.  To confirm,
and to answer PING, is free.

The daemon calls allowance() before it works a connection off, and then exactly one of the three
that say how it ended: finished(), wants_more(), interrupted().
"""
from __future__ import annotations

import wire

BUDGET = 10_000             # units for a connection in a turn, when nobody else asks: some 10 ms
TICK = 1 / 1024             # seconds: as finely as select can wait; floats hold whole ones exactly
FLOOD = 64                  # units a tick for all that flood, while others ask: 32,000 messages a
                            # second, and a quarter of the processor with what their readers, the
                            # turns and the disk take
BURST = 128                 # units at once for a connection that does not flood: 32 messages on the
                            # way, with their confirmations
LEAST = 8                   # units at once for each that floods, however many they are: a read has
                            # a price of its own
CALM = 1.0                  # seconds
NEVER = -CALM               # long enough ago; one number for all
ACCEPTS = 64                # connections accepted in a turn and listener, when nobody asks
ACCEPTS_CALLED = 4          # while somebody asks: to turn one away takes 150 us
REST = 0.05                 # seconds not read, at least: 20 looks a second at one over its rate

# The kinds of messages that ask for nothing.
FREE = frozenset(wire.CODECS[cls].kind for cls in (wire.Hello, wire.Confirm, wire.Pong))


class Share:
    """The account of one connection: what it may still have."""
    __slots__ = ("at", "flooded", "tick", "tokens", "units")

    def __init__(self, now: float, rate: int) -> None:
        self.flooded = NEVER            # when it last asked for more than it had
        self.units = BURST              # in its bucket; below 0: one message was more work
        self.tick = int(now / TICK)     # when the units were counted
        self.tokens: float = rate       # requests that its rate leaves to it
        self.at = now                   # when the tokens were counted


class Askers:
    """For each connection, when some other one last asked for a little.

    Only the last asker is known by name.  For it, the other is the asker before; for every other
    connection, it is the last asker."""
    __slots__ = ("before_at", "last", "last_at")

    def __init__(self) -> None:
        self.last: Share | None = None
        self.last_at = NEVER
        self.before_at = NEVER          # when another than the last asker asked last

    def asked(self, share: Share, now: float) -> None:
        """It asked for a little."""
        if share is not self.last:
            self.last, self.before_at = share, self.last_at
        self.last_at = now

    def retract(self, share: Share) -> None:
        """It floods: it did not ask for a little."""
        if share is self.last:
            self.last, self.last_at = None, self.before_at

    def is_alone(self, share: Share, now: float) -> bool:
        """No other connection asks for a little."""
        return now - (self.before_at if share is self.last else self.last_at) >= CALM


class Fairness:
    """Gives each connection its allowance, by what the others have asked for lately."""

    def __init__(self, rate: int = 0) -> None:
        self.rate = rate                # requests a second for one client; 0: no limit
        self.askers = Askers()

    # ---- before ----

    def allowance(self, share: Share, floods: int, now: float) -> int:
        """The units of work that this connection may have now, while so many others flood."""
        tick = int(now / TICK)
        if tick != share.tick:
            if share.units < BURST:
                more, most = FLOOD, BURST
                if now - share.flooded < CALM:
                    more = most = _part(floods)
                share.units = min(most, share.units + more * (tick - share.tick))
            share.tick = tick
        if share.units <= 0:
            self._floods(share, now)
        return BUDGET if self.askers.is_alone(share, now) else max(0, share.units)

    def tokens(self, share: Share, now: float) -> float:
        """The requests that the rate leaves to it."""
        share.tokens = min(float(self.rate), share.tokens + (now - share.at) * self.rate)
        share.at = now
        return share.tokens

    # ---- after ----

    def finished(self, share: Share, units: int, kind: int, now: float) -> None:
        """It had so many units, and that was all that it asked for; the last was of this kind."""
        share.units -= units
        if share.units < -BUDGET:
            _forgive(share, units)
        if kind not in FREE and now - share.flooded >= CALM:
            self.askers.asked(share, now)

    def wants_more(self, share: Share, units: int, resting: int, now: float) -> float:
        """It had so many units and asks for more, while so many others rest.

        Returns until when it is not read; 0.0: it goes on in the next turn.  In no tick more of
        those that rest go on than can get LEAST."""
        self.interrupted(share, units)
        if self.rate and share.tokens < 1:
            return now + max(REST, (1 - share.tokens) / self.rate)
        self._floods(share, now)
        if self.askers.is_alone(share, now):
            return 0.0
        ticks = 1 + max(resting * LEAST // FLOOD, -share.units // _part(resting))
        return min(now + CALM, (share.tick + ticks) * TICK)

    def interrupted(self, share: Share, units: int) -> None:
        """It had so many units, and then something else stopped it."""
        share.units -= units
        if share.units < -BUDGET:
            _forgive(share, units)

    def _floods(self, share: Share, now: float) -> None:
        """It asks for more than it has, so it is not one that asks for a little."""
        share.flooded = now
        self.askers.retract(share)

    # ---- at the listeners ----

    def accepts(self, now: float) -> int:
        """How many connections may come in at each listener in this turn."""
        return ACCEPTS if now - self.askers.last_at >= CALM else ACCEPTS_CALLED


def _forgive(share: Share, units: int) -> None:
    """It never owes more than a turn's worth, or its last request's."""
    share.units = max(share.units, -max(BUDGET, units))


def _part(floods: int) -> int:
    """The units that a tick brings to one that floods, with so many others."""
    return max(LEAST, FLOOD // (floods + 1))
