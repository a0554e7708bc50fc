"""fairness: each connection's share of the daemon's work.

Speed is not limited for its own sake.  A connection that is alone gets BUDGET units of work in a
turn (a request is one unit, and so is each recipient of a message; so are 256 bytes of a long text,
but for the first megabytes of a login).  Fifty connections at full rate, as in a benchmark, are not
limited either: each asks for a little, and a long turn serves all of them.  But a connection that
asks for a little must not wait for those that ask for much.

Time, not turns, decides what is a little.  Each connection has a bucket of units: it holds BURST,
and FLOOD more flow in with each TICK of the clock.  A connection that asks while its bucket is
empty floods, and counts as flooding until it has stayed within its bucket for CALM seconds.  The
buckets matter only while another connection, one that does not flood, has asked within CALM
seconds.  Then no connection gets more than its bucket holds, and all flooding connections together
share FLOOD units a tick.  A connection that has used its share rests until the next tick: the
daemon takes it out of the selector, and what its peer sends meanwhile waits in the peer's own
socket.  One request, such as a message to all, may cost more than a bucket holds; then its
connection rests for as many ticks as the request was worth.  The daemon drops nothing and
disconnects nobody.

So the daemon sleeps for most of each tick, however much the flooding connections send.  This sleep
keeps the others quick; a small share of each turn would not.  A daemon that never sleeps makes a
turn of whatever one of many has sent; each turn has a price of its own and syncs the disk, and the
process that syncs waits for the same processor.

A client that only confirms what it reads asks for nothing.  At the listeners the same holds: while
somebody asks for a little, each turn accepts only a few connections of a storm (doors.py), and TLS
handshakes have a part of the time (handshakes.py).

Besides, an operator may set a rate (--rate).  Then each client has a bucket of tokens that holds a
second's worth, and each request takes one.  A client without a token rests for REST seconds or
more.  CONFIRM and PONG take no token.

The daemon calls allowance() before it works on the frames of a connection, and then exactly one of
finished(), wants_more() and interrupted(), which say how that ended.
"""
from __future__ import annotations

import wire

BUDGET = 10_000             # units for a connection in a turn, when nobody else asks: some 10 ms
TICK = 1 / 1024             # seconds: as finely as select can wait; floats hold whole ones exactly
FLOOD = 64                  # units a tick for all flooding connections together, while others ask:
                            # 32,000 messages a second, and a quarter of the processor with what
                            # their readers, the turns and the disk take
BURST = 128                 # units at once for a connection that does not flood: 32 messages on the
                            # way, with their confirmations
LEAST = 8                   # units at once for each flooding connection, however many there are: a
                            # read has a price of its own
CALM = 1.0                  # seconds after which a request, or a flood, counts no more
NEVER = -CALM               # a time so long ago that it counts no more
REST = 0.05                 # seconds for which a connection over its rate is not read, at least: 20
                            # looks a second

# The kinds of messages that ask for nothing, and take no token.
FREE = frozenset(wire.CODECS[cls].kind for cls in (wire.Hello, wire.Resume, wire.Confirm,
                                                      wire.Pong))


class Share:
    """The account of one connection: what it may still have."""
    __slots__ = ("flooded", "tokens", "tokens_at", "units", "units_tick")

    def __init__(self, now: float, rate: int) -> None:
        self.flooded = NEVER            # when it last asked for more than it had
        self.units = BURST              # in its bucket; below 0: one message was more work
        self.units_tick = int(now / TICK)   # when the units were counted
        self.tokens: float = rate       # requests that the rate allows it now
        self.tokens_at = now            # when the tokens were counted


class Askers:
    """For each connection, when some other one last asked for a little.

    It keeps only the last asker, and two times.  For the last asker, the other is the asker before;
    for every other connection, it is the last asker."""
    __slots__ = ("before_at", "last", "last_at")

    def __init__(self) -> None:
        self.last: Share | None = None
        self.last_at = NEVER
        self.before_at = NEVER          # when another than the last asker asked last

    def asked(self, share: Share, now: float) -> None:
        """This connection asked for a little."""
        if share is not self.last:
            self.last, self.before_at = share, self.last_at
        self.last_at = now

    def retract(self, share: Share) -> None:
        """This connection floods: it did not ask for a little."""
        if share is self.last:
            self.last, self.last_at = None, self.before_at

    def is_alone(self, share: Share, now: float) -> bool:
        """Whether no other connection has asked for a little within CALM seconds."""
        return now - (self.before_at if share is self.last else self.last_at) >= CALM


class Fairness:
    """Gives each connection its allowance, by what the others have asked for lately."""

    def __init__(self, rate: int = 0) -> None:
        self.rate = rate                # requests a second for one client; 0: no limit
        self.askers = Askers()

    # ---- before ----

    def allowance(self, share: Share, flooding: int, now: float) -> int:
        """The units of work that this connection may use now, while `flooding` others flood."""
        tick = int(now / TICK)
        if tick != share.units_tick:
            if share.units < BURST:
                more, most = FLOOD, BURST
                if now - share.flooded < CALM:
                    more = most = _part(flooding)
                share.units = min(most, share.units + more * (tick - share.units_tick))
            share.units_tick = tick
        if share.units <= 0:
            self._mark_flooding(share, now)
        return BUDGET if self.askers.is_alone(share, now) else max(0, share.units)

    def tokens(self, share: Share, now: float) -> float:
        """The requests that the rate allows this connection now."""
        share.tokens = min(float(self.rate), share.tokens + (now - share.tokens_at) * self.rate)
        share.tokens_at = now
        return share.tokens

    # ---- after ----

    def finished(self, share: Share, units: int, kind: int, now: float) -> None:
        """The connection used these units, and asks for no more; its last message was of this
        kind."""
        share.units -= units
        if share.units < -BUDGET:
            _forgive(share, units)
        if kind not in FREE and now - share.flooded >= CALM:
            self.askers.asked(share, now)

    def wants_more(self, share: Share, units: int, resting: int, now: float) -> float:
        """The connection used these units and asks for more, while `resting` others rest.

        Returns the time until which the daemon must not read it; 0.0: it goes on in the next turn.
        In each tick no more resting connections go on than can get LEAST units each.  What a
        connection had beyond its units, as for a long text, it waits off at its part of FLOOD."""
        self.interrupted(share, units)
        if self.rate and share.tokens < 1:
            return now + max(REST, (1 - share.tokens) / self.rate)
        self._mark_flooding(share, now)
        if self.askers.is_alone(share, now):
            return 0.0
        ticks = 1 + max(resting * LEAST, -share.units * (resting + 1)) // FLOOD
        return min(now + CALM, (share.units_tick + ticks) * TICK)

    def interrupted(self, share: Share, units: int) -> None:
        """The connection used these units, and then something else stopped it."""
        share.units -= units
        if share.units < -BUDGET:
            _forgive(share, units)

    def _mark_flooding(self, share: Share, now: float) -> None:
        """The connection asks for more than it has: from now on it floods."""
        share.flooded = now
        self.askers.retract(share)

    # ---- at the listeners ----

    def is_quiet(self, now: float) -> bool:
        """Whether nobody has asked for a little within CALM seconds."""
        return now - self.askers.last_at >= CALM


def _forgive(share: Share, units: int) -> None:
    """Cut a debt to a turn's worth of units, or to these units if they are more."""
    share.units = max(share.units, -max(BUDGET, units))


def _part(flooding: int) -> int:
    """The units that a tick brings to a flooding connection, while so many others flood."""
    return max(LEAST, FLOOD // (flooding + 1))
