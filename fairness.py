"""fairness: how much of a turn one connection may have.

Nobody's speed is limited for its own sake.  A client that is alone gets BUDGET units of work in a turn (a request is
one, and so is each recipient of a message), and a benchmark of fifty at full rate is left alone too: all of them are
busy, and a long turn serves all of them.  What must not happen is that one who asks for a little waits for those who
ask for much.  So as long as somebody else has asked for something within CALM seconds and got all of it, whoever asks
for more shares FLOOD units of each turn with the others who do: a turn is then not much longer than without them,
however much they send, and what they sent beyond waits in their own sockets.  One request can be more than that, such
as a message to all; then its sender waits as many turns as it was worth.  That is deficit round robin with the quantum
made small when it matters; nothing is dropped and nobody is disconnected.

Who has used up what he was given is a flooder until CALM seconds have passed without it, and does not count as one who
asks for a little; nor do those who only confirm what they read.  The same holds at the doors: a storm of connections
gets few of them in a turn while somebody asks for something.

Besides, an operator may set a rate (--rate): a bucket of tokens for each client, a request a token, a second's worth at
most.  Who has none left is not read until he has: his connection is taken out of the selector for REST seconds or more.
To confirm, and to answer PING, is free.
"""
from __future__ import annotations

import wire

BUDGET = 10_000             # units of work for a connection in a turn, when nobody else asks: some 10 ms
FLOOD = 128                 # for all together that ask for more than that, while others ask: 0.2 ms, as their own turns
LEAST = 8                   # for each of them, however many they are: a turn has a price of its own
CALM = 1.0                  # seconds
ACCEPTS = 64                # connections accepted in a turn and listener, when nobody asks
ACCEPTS_CALLED = 4          # while somebody asks: to turn one away takes 150 us
REST = 0.05                 # seconds not read, at least: 20 looks a second at one who is too fast
FREE = frozenset(wire.CODECS[cls].kind for cls in (wire.Hello, wire.Confirm, wire.Pong))    # these ask for nothing


class Share:
    """What one connection has had."""
    __slots__ = ("at", "debt", "flooded", "tokens")

    def __init__(self, now: float, rate: int) -> None:
        self.flooded = -CALM            # when it last asked for more than it was given
        self.tokens = float(rate)
        self.at = now                   # when they were counted
        self.debt = 0                   # units that it had beyond what it was given: one message can be much work


class Fairness:
    """Who has asked lately, and what that leaves to the others."""

    def __init__(self, rate: int = 0) -> None:
        self.rate = rate                # requests a second for one client; 0: no limit
        self._last: Share | None = None         # who asked last for a little
        self._last_at = self._other_at = -CALM  # when, and when somebody else did

    def allowance(self, share: Share, floods: int, now: float) -> int:
        """The units of work that this connection may have in this turn; so many others have used up theirs."""
        asked = self._other_at if share is self._last else self._last_at
        allowed = BUDGET if now - asked >= CALM else max(LEAST, FLOOD // (floods + 1))
        paid = min(share.debt, allowed)
        share.debt -= paid
        return allowed - paid

    def had_all(self, share: Share, kind: int, now: float) -> None:
        """It got all that it asked for; the last was of this kind."""
        if kind not in FREE and now - share.flooded >= CALM:
            if share is not self._last:
                self._last, self._other_at = share, self._last_at
            self._last_at = now

    def accepts(self, now: float) -> int:
        """How many connections may come in at each listener in this turn."""
        return ACCEPTS if now - self._last_at >= CALM else ACCEPTS_CALLED

    def tokens(self, share: Share, now: float) -> float:
        """The requests that the rate leaves to it."""
        share.tokens = min(float(self.rate), share.tokens + (now - share.at) * self.rate)
        share.at = now
        return share.tokens

    def rest(self, share: Share) -> float:
        """How long it is not read now that its tokens are gone."""
        return max(REST, (1 - share.tokens) / self.rate)
