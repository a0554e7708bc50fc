"""hosts: what counts as one host, and what one host may have.

An address is cheap: 127.0.0.0/8 has sixteen million for every login of this machine, and a customer
of an IPv6 network gets 2**64 at least.  So limits count hosts.  All loopback addresses are one
host, an IPv6 address counts as its /64, and an IPv4 address is the same when it is written as IPv6.
At a Unix socket a login is a host, by its uid (state.Caller).

A host may have so many clients, and bring new names at a rate.  The names are limited in all, too:
a name is in the log, in memory and in every client's list for ever.
"""
from __future__ import annotations

import ipaddress

import wire
from rules.buckets import Buckets

LOOPBACK = "127.0.0.1"
NETWORK = 64            # bits of an IPv6 address that say whose it is: its owner chooses the others
NEW_NAMES = 20          # by one host at once: most of a class that comes in through one tunnel
NEW_NAME_SECONDS = 10   # between two of them, in the long run: 8640 a day
CLIENTS_PART = 4        # a host has a quarter of all connections: it needs three others to take all
CLIENTS_LEAST = 8       # if a quarter is very few


def host_of(where: str) -> str:
    """The host of an address with a port; a text that is no address is its own host."""
    host = (where.rpartition(":")[0] or where).removeprefix("[").removesuffix("]").partition("%")[0]
    if ":" not in host:
        return LOOPBACK if host.startswith("127.") else host
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        return host
    if address.ipv4_mapped:
        return host_of(f"{address.ipv4_mapped}:0")
    if address.is_loopback:
        return LOOPBACK
    return str(ipaddress.IPv6Network((address, NETWORK), strict=False))


def whose(host: str) -> str:
    """What the users of a host are told that a limit is for."""
    return "your login" if host.startswith("uid ") else "your address"


class Hosts:
    """How many clients each host has, and the names that it may still bring."""

    def __init__(self, clients: int, new_names: int, names: int, names_each: int = 0) -> None:
        self.clients = clients              # of one host at once; 0: no limit
        self.new_names = new_names          # by one host at once; 0: no limit
        self.names = names                  # in the log
        self.names_each = names_each        # owned by one login (owners.py); 0: no limit
        self._clients: dict[str, int] = {}
        self._new = Buckets(new_names, NEW_NAME_SECONDS)

    def enter(self, host: str) -> None:
        self._clients[host] = self._clients.get(host, 0) + 1

    def leave(self, host: str) -> None:
        self._clients[host] -= 1
        if not self._clients[host]:
            del self._clients[host]

    def is_full(self, host: str) -> bool:
        """Whether this host has all the clients that it may have."""
        return 0 < self.clients <= self._clients.get(host, 0)

    def admit_name(self, host: str, known: int, now: float) -> tuple[wire.Why, str] | None:
        """Count a new name of this host, beside the `known` ones in the log; or say why it may not
        have one.  `now`: the monotonic clock."""
        if known >= self.names:
            return wire.Why.FULL, (f"no new names: the log holds {known}, its limit; "
                                   "use a known name")
        if not self.new_names:
            return None
        if self._new.level(host, now) < 1:
            seconds = self._new.wait(host, now)
            return wire.Why.FULL, (f"too many new names from {whose(host)}: wait {seconds} "
                                   "s, or use a known name")
        self._new.take(host, now)
        return None
