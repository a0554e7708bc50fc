"""buckets: a rate with a burst, for each of many users, names or hosts."""
from __future__ import annotations

import math
from collections.abc import Hashable

BUCKETS_MAX = 10_000    # of one kind, remembered: a megabyte; of more, the oldest count as full
PURGE_AT = 1000         # buckets, at least, before those that are full again are forgotten


class Buckets:
    """Each bucket holds `burst` at first, and gains one every so many seconds; 0 seconds: no
    limit.  `now` is always the monotonic clock."""

    def __init__(self, burst: int, seconds: float) -> None:
        self.burst = burst
        self.seconds = seconds
        # how much each bucket held, and when that was; a bucket that is not here is full
        self._levels: dict[Hashable, tuple[float, float]] = {}
        self._purge_at = PURGE_AT

    def __len__(self) -> int:
        return len(self._levels)

    def level(self, key: Hashable, now: float) -> float:
        """How much a bucket holds."""
        if not self.seconds:
            return self.burst
        level, since = self._levels.get(key, (self.burst, now))
        return min(self.burst, level + (now - since) / self.seconds)

    def wait(self, key: Hashable, now: float) -> int:
        """The seconds, rounded up, until a bucket holds one again."""
        return max(1, math.ceil((1 - self.level(key, now)) * self.seconds))

    def take(self, key: Hashable, now: float, wanted: float = 1) -> None:
        """Take so much out of a bucket, even if it holds less."""
        if not self.seconds:
            return
        level = self.level(key, now) - wanted
        self._levels.pop(key, None)                 # the last that was used is the last
        self._levels[key] = level, now
        if len(self._levels) > self._purge_at:
            self._purge(now)

    def _purge(self, now: float) -> None:
        """Forget the buckets that are full again, and the oldest if there are too many."""
        self._levels = {key: (level, since) for key, (level, since) in self._levels.items()
                        if level + (now - since) / self.seconds < self.burst}
        for oldest in list(self._levels)[:-BUCKETS_MAX]:
            del self._levels[oldest]
        self._purge_at = max(PURGE_AT, 2 * len(self._levels))
