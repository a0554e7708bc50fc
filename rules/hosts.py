"""hosts: what counts as one host, and what one host may have.

Whoever limits callers by their address asks here what that is, for an address is cheap: 127.0.0.0/8 has sixteen million
for every login of this machine, and a customer of an IPv6 network gets 2**64 at least.  So all loopback addresses are
one host, an IPv6 address counts as its /64, and an IPv4 address is the same when it is written as IPv6.  At a Unix
socket a login is a host, by its uid (state.Caller).

Buckets are a rate with a burst, for each of many.  Hosts knows how many clients each host has, and lets new names in:
by host, at a rate, and in all, for a name is for ever in the log, in memory, and in every client's list.
"""
from __future__ import annotations

import ipaddress
import math
from collections.abc import Hashable

import wire

LOOPBACK = "127.0.0.1"
NETWORK = 64                # bits of an IPv6 address that say whose it is: the rest anybody makes up for himself
NEW_NAMES = 20              # by one host at once: a class that comes in through one tunnel, or most of it
NEW_NAME_SECONDS = 10       # between two of them, in the long run: 8640 a day
BUCKETS_MAX = 10_000        # of one kind, remembered: a megabyte; the oldest is then taken for full
CLIENTS_PART = 4            # a host has a quarter of all connections: three others must help it to take them all
CLIENTS_LEAST = 8           # where that is very few


def host_of(where: str) -> str:
    """The host of an address with a port; what is no address is its own."""
    host = (where.rpartition(":")[0] or where).removeprefix("[").removesuffix("]").partition("%")[0]
    if ":" not in host:
        return LOOPBACK if host.startswith("127.") else host
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        return host
    if address.ipv4_mapped:
        return host_of(f"{address.ipv4_mapped}:0")
    return LOOPBACK if address.is_loopback else str(ipaddress.IPv6Network((address, NETWORK), strict=False))


class Buckets:
    """So much at once, and one more every so many seconds, for each of many; 0 seconds: no limit."""

    def __init__(self, burst: int, seconds: float) -> None:
        self.burst = burst
        self.seconds = seconds
        self._left: dict[Hashable, tuple[float, float]] = {}        # how much, and when that was
        self._purge_at = 1000

    def __len__(self) -> int:
        return len(self._left)

    def left(self, who: Hashable, now: float) -> float:
        """How much this one has left, on the monotonic clock."""
        if not self.seconds:
            return self.burst
        left, since = self._left.get(who, (self.burst, now))
        return min(self.burst, left + (now - since) / self.seconds)

    def wait(self, who: Hashable, now: float) -> int:
        """The seconds, rounded up, until it has one again."""
        return max(1, math.ceil((1 - self.left(who, now)) * self.seconds))

    def take(self, who: Hashable, now: float, wanted: float = 1) -> None:
        """It has so much less."""
        if not self.seconds:
            return
        left = self.left(who, now) - wanted
        self._left.pop(who, None)                   # the last that took stands last
        self._left[who] = left, now
        if len(self._left) > self._purge_at:        # those that are full again are as if they had never taken
            self._left = {who: (left, since) for who, (left, since) in self._left.items()
                          if left + (now - since) / self.seconds < self.burst}
            for oldest in list(self._left)[:-BUCKETS_MAX]:
                del self._left[oldest]
            self._purge_at = max(1000, 2 * len(self._left))


class Hosts:
    """How many clients each host has, and the names that it may still bring."""

    def __init__(self, clients: int, new_names: int, names: int) -> None:
        self.clients = clients              # of one host at once, 0: no limit
        self.new_names = new_names          # by one host at once, 0: no limit
        self.names = names                  # of all
        self._clients: dict[str, int] = {}
        self._new = Buckets(new_names, NEW_NAME_SECONDS)

    def enter(self, host: str) -> None:
        self._clients[host] = self._clients.get(host, 0) + 1

    def leave(self, host: str) -> None:
        self._clients[host] -= 1
        if not self._clients[host]:
            del self._clients[host]

    def is_full(self, host: str) -> bool:
        """Whether it has all the clients that it may have."""
        return 0 < self.clients <= self._clients.get(host, 0)

    def admit_name(self, host: str, known: int, now: float) -> tuple[wire.Why, str] | None:
        """One name more than the `known` ones, by this host; or why not.  `now`: the monotonic clock."""
        if known >= self.names:
            return wire.Why.FULL, f"no new names: the log holds {known}, as many as it may; use one that is known"
        if not self.new_names:
            return None
        if self._new.left(host, now) < 1:
            return wire.Why.FULL, (f"too many new names from your address: wait {self._new.wait(host, now)} s, or use "
                                   "one that is known")
        self._new.take(host, now)
        return None
