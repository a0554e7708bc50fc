"""guesses: how often a passphrase may be tried.

A connection has one try.  After a wrong one the next CHALLENGE to the same host (hosts.py says what
one host is) waits for WRONG_SECONDS; to hang up does not help.  For WRONG_MEMORY seconds that host
is one that erred, and all hosts that erred share NAME_TRIES tries a second at each name, however
many they are.  A host that did not err waits for nobody: so nobody can lock an owner out by
guessing.  An attacker with many hosts is left with a try or eight from each of them, an hour; and
when HOSTS_MAX hosts have erred, all others count as if they had.

A host may have many connections at their proof at once (server/pool.py).  However many it has, it
may be wrong HOST_TRIES times at once, and NAME_TRIES times a second then; of more proofs the daemon
does not say whether they are right.

Nothing here waits: `earliest` says when a host may be sent a CHALLENGE, `may_ask` whether that is
now, and `wait` when the daemon may look at a proof from it.
"""
from __future__ import annotations

from rules.buckets import Buckets

WRONG_SECONDS = 2.0     # until the next CHALLENGE to a host
HOST_TRIES = 8          # wrong proofs of one host at once, at whatever names
WRONG_MEMORY = 3600.0   # seconds for which a host is one that erred
# Such hosts that are remembered: a megabyte; 3 new ones a second, for all names together.
HOSTS_MAX = 10_000
NAME_TRIES = 4          # a second, at one name, by hosts that erred: as many as one host has alone,
                        # at all names


class Guesses:
    """The hosts that gave a wrong proof, and their tries at each name.  `now` is always the
    monotonic clock."""

    def __init__(self) -> None:
        self._wrong: dict[str, float] = {}                      # hosts: when that is forgotten
        self._tries = Buckets(NAME_TRIES, 1 / NAME_TRIES)       # by name, in lower case
        self._hosts = Buckets(HOST_TRIES, 1 / NAME_TRIES)

    def earliest(self, host: str, now: float) -> float:
        """When this host may be sent a CHALLENGE; 0: at once, for it did not err."""
        until = self._wrong.get(host, now if len(self._wrong) >= HOSTS_MAX else 0.0)
        return max(now, until - WRONG_MEMORY + WRONG_SECONDS) if until >= now else 0.0

    def may_ask(self, name: str, earliest: float, waited: bool, now: float) -> bool:
        """Whether a CHALLENGE for this name may be sent now; if so it is counted.  While others
        wait, a newcomer gets no try before them."""
        if not earliest:
            return True
        name = name.lower()
        least = 1 if waited else NAME_TRIES
        if now < earliest or self._tries.level(name, now) < least:
            return False
        self._tries.take(name, now)
        return True

    def wait(self, host: str, now: float) -> int:
        """Seconds until the daemon may look at a proof of this host; 0: now."""
        return 0 if self._hosts.level(host, now) >= 1 else self._hosts.wait(host, now)

    def was_wrong(self, host: str, now: float) -> None:
        self._hosts.take(host, now)
        if len(self._wrong) >= HOSTS_MAX:
            self._wrong = {host: until for host, until in self._wrong.items() if until > now}
        if len(self._wrong) < HOSTS_MAX or host in self._wrong:
            self._wrong[host] = now + WRONG_MEMORY

    def was_right(self, name: str, now: float) -> None:
        """It was no guess: give the try back."""
        self._tries.take(name.lower(), now, -1)
