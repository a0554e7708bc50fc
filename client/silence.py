"""silence: how long the daemon has said nothing, and what that calls for.

A daemon may be stopped, its host frozen or the network cut, and the connection shows nothing.  An
idle client asks with PING after SILENCE_SECONDS, and gives the connection up PING_SECONDS later.
A user who has just sent something must not wait for that: while an answer is due, the client asks
after DOUBT_SECONDS, and after TELL_SECONDS the user is told.  A daemon that only waits for its disk
answers the PING.  So the thousands that are idle cause no traffic, and one that waits a PING in
DOUBT_SECONDS at most.  Any byte of the daemon ends the silence.  No socket, no clock of its own.
"""
from __future__ import annotations

from collections.abc import Callable

SILENCE_SECONDS = 60                # without a word from the daemon, before we ask
PING_SECONDS = 20                   # for its answer
DOUBT_SECONDS = 2                   # the same while an answer is due
TELL_SECONDS = 5                    # and before the user is told


class Silence:
    """The daemon's silence on one connection, and then on the next."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.awaits: Callable[[], bool] = lambda: False     # whether an answer is due
        self._now = monotonic
        self._heard = 0.0                       # when the daemon last spoke
        self._pinged: float | None = None       # when we gave it its last chance
        self._asked: float | None = None        # when the user first asked something since then
        self._doubted: float | None = None      # when we asked whether the daemon is there
        self._told = False                      # and the user was told

    def heard(self) -> None:
        """The daemon said something, or there is another connection."""
        self._heard, self._told = self._now(), False
        self._pinged = self._asked = self._doubted = None

    def asked(self) -> None:
        """The user said something that a daemon answers, or reads at once."""
        if self._asked is None:
            self._asked = self._now()

    @property
    def _since(self) -> float | None:
        """When the user began to wait for a word of the daemon; None: the user does not wait."""
        return self._heard if self._asked is None and self.awaits() else self._asked

    @property
    def seconds(self) -> int:
        """For how long the user has waited, once the user was told of it; else 0."""
        since = self._since
        return int(self._now() - since) if self._told and since is not None else 0

    def due(self) -> float:
        """When it calls for something."""
        when = (self._heard + SILENCE_SECONDS if self._pinged is None
                else self._pinged + PING_SECONDS)
        since = self._since
        if since is None or self._told:
            return when
        return min(when, since + DOUBT_SECONDS if self._doubted is None else self._tell_at())

    def _tell_at(self) -> float:
        """The daemon gets its time to answer, also if this host has slept, or the PING of an idle
        connection was out before the user asked."""
        return max((self._doubted or 0.0) - DOUBT_SECONDS, self._since or 0.0) + TELL_SECONDS

    @property
    def is_over(self) -> bool:
        """Whether the daemon had its last chance."""
        return self._pinged is not None and self._now() >= self._pinged + PING_SECONDS

    def asks(self) -> bool:
        """Whether to ask now if the daemon is there."""
        now, since = self._now(), self._since
        if self._pinged is None and now >= self._heard + SILENCE_SECONDS:
            self._pinged = self._doubted = now
            return True
        if self._doubted is None and since is not None and now >= since + DOUBT_SECONDS:
            self._doubted = now
            return True
        return False

    def tells(self) -> bool:
        """Whether to tell the user now."""
        is_due = (self._doubted is not None and not self._told and self._since is not None
                  and self._now() >= self._tell_at())
        self._told |= is_due
        return is_due
