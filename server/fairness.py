"""fairness: how much work one connection may make.

Nobody's speed is limited for its own sake.  A client that is alone gets BUDGET units of work in a turn (a request is
one, and so is each recipient of a message), and a benchmark of fifty at full rate is left alone too: each of them asks
for a little, and a long turn serves all of them.  What must not happen is that one who asks for a little waits for
those who ask for much.

What is little is a matter of time, not of turns.  Each connection has a bucket of units: BURST at once, FLOOD more with
each TICK of the clock.  Who asks when his is empty floods, and does so until CALM seconds have passed without it.  As
long as somebody else, who does not flood, has asked for something within CALM seconds, nobody gets more than his bucket
holds, and those who flood share FLOOD units a tick.  Who has had his part rests until the next tick: his connection is
taken out of the selector, and what he sent beyond waits in his own socket.  One request can be more than a bucket
holds, such as a message to all; then its sender rests as many ticks as it was worth.  Nothing is dropped and nobody is
disconnected.

So the daemon sleeps for most of each tick, however much they send.  That is what keeps the others quick, and not the
shortness of their part of a turn: a daemon that never sleeps makes a turn of whatever one of many has sent, each has a
price of its own, each syncs the disk, and the process that syncs waits for the same processor.

Those who only confirm what they read do not ask for anything.  The same holds at the doors: a storm of connections gets
few of them in a turn while somebody asks.

Besides, an operator may set a rate (--rate): a bucket of tokens for each client, a request a token, a second's worth at
most.  Who has none left rests for REST seconds or more.  To confirm, and to answer PING, is free.
"""
from __future__ import annotations

import wire

BUDGET = 10_000             # units of work for a connection in a turn, when nobody else asks: some 10 ms
TICK = 1 / 1024             # seconds: as finely as select can wait; a float holds whole ones exactly
FLOOD = 64                  # units a tick for all who flood, while others ask: 32,000 messages a second, and a quarter
                            # of the processor with what their readers, the turns and the disk take
BURST = 128                 # units at once for who does not flood: 32 messages on the way, with their confirmations
LEAST = 8                   # units at once for each who floods, however many they are: a read has a price of its own
CALM = 1.0                  # seconds
NEVER = -CALM               # long enough ago; one number for all
ACCEPTS = 64                # connections accepted in a turn and listener, when nobody asks
ACCEPTS_CALLED = 4          # while somebody asks: to turn one away takes 150 us
REST = 0.05                 # seconds not read, at least: 20 looks a second at one who is over his rate
FREE = frozenset(wire.CODECS[cls].kind for cls in (wire.Hello, wire.Confirm, wire.Pong))    # these ask for nothing


class Share:
    """What one connection has had."""
    __slots__ = ("at", "flooded", "left", "tick", "tokens")

    def __init__(self, now: float, rate: int) -> None:
        self.flooded = NEVER            # when it last asked for more than it had
        self.left = BURST               # units; below 0: it had more, for one message can be much work
        self.tick = int(now / TICK)     # when they were counted
        self.tokens: float = rate
        self.at = now                   # when those were


class Fairness:
    """Who has asked lately, and what that leaves to the others."""

    def __init__(self, rate: int = 0) -> None:
        self.rate = rate                # requests a second for one client; 0: no limit
        self._last: Share | None = None         # who asked last for a little
        self._last_at = self._other_at = -CALM  # when, and when somebody else did

    def allowance(self, share: Share, floods: int, now: float) -> int:
        """The units of work that this connection may have now; so many others have used up theirs."""
        tick = int(now / TICK)
        if tick != share.tick:
            if share.left < BURST:
                more, most = FLOOD, BURST
                if now - share.flooded < CALM:
                    more = most = _part(floods)
                share.left = min(most, share.left + more * (tick - share.tick))
            share.tick = tick
        if share.left <= 0:
            self.floods(share, now)
        return BUDGET if self.is_alone(share, now) else max(0, share.left)

    def is_alone(self, share: Share, now: float) -> bool:
        """Nobody else asks for a little."""
        return now - (self._other_at if share is self._last else self._last_at) >= CALM

    def had(self, share: Share, units: int) -> None:
        """It had so many.  It owes no more than a turn's worth, or its one request's."""
        share.left -= units
        if share.left < -BUDGET:
            share.left = max(share.left, -max(BUDGET, units))

    def had_all(self, share: Share, kind: int, now: float) -> None:
        """It got all that it asked for; the last was of this kind."""
        if kind not in FREE and now - share.flooded >= CALM:
            if share is not self._last:
                self._last, self._other_at = share, self._last_at
            self._last_at = now

    def floods(self, share: Share, now: float) -> None:
        """It asks for more than it has, so it is not one who asks for a little."""
        share.flooded = now
        if share is self._last:
            self._last, self._last_at = None, self._other_at

    def rest(self, share: Share, resting: int, now: float) -> float:
        """Until when it is not read, while so many others rest: in no tick more of them go on than can get LEAST."""
        if self.rate and share.tokens < 1:
            return now + max(REST, (1 - share.tokens) / self.rate)
        ticks = 1 + max(resting * LEAST // FLOOD, -share.left // _part(resting))
        return min(now + CALM, (share.tick + ticks) * TICK)

    def accepts(self, now: float) -> int:
        """How many connections may come in at each listener in this turn."""
        return ACCEPTS if now - self._last_at >= CALM else ACCEPTS_CALLED

    def tokens(self, share: Share, now: float) -> float:
        """The requests that the rate leaves to it."""
        share.tokens = min(float(self.rate), share.tokens + (now - share.at) * self.rate)
        share.at = now
        return share.tokens


def _part(floods: int) -> int:
    """The units that a tick brings to one who floods, with so many others."""
    return max(LEAST, FLOOD // (floods + 1))
