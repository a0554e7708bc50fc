"""bans: whom the operator keeps out.

A ban is of a name, of a login of this host, by its uid, or of a host or network, over TCP.  The
operator sets one by `parleyd ban` (server/banned.py has the file).  An operator is never kept out.
Whoever is banned keeps names and mail: `parleyd retire` is for those.
"""
from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import wire
from rules.slices import STEP
from rules.state import Caller, Client, Refusal

NAME, LOGIN, HOST = KINDS = "name", "login", "host"
BANS_MAX = 1000         # lines of the file

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Ban(NamedTuple):
    """One of them, as it stands in the file."""
    kind: str
    whom: str           # a name; a uid; an address or a network
    shown: str          # what the operator typed
    since: str          # ISO 8601, UTC
    reason: str         # what those who are kept out are told; "": nothing


def network_of(where: str) -> Network:
    """The addresses that are meant.  Raises ValueError."""
    found = ipaddress.ip_network(where, strict=False)
    mapped = getattr(found.network_address, "ipv4_mapped", None)
    if mapped and found.prefixlen >= 96:
        return ipaddress.ip_network(f"{mapped}/{found.prefixlen - 96}", strict=False)
    return found


class Bans:
    """All of them."""

    def __init__(self, operators: frozenset[int] = frozenset()) -> None:
        self.operators = operators
        self.all: list[Ban] = []
        self._who: dict[str, Ban] = {}          # by name in small letters, and by login: "uid 1001"
        # by version and length of the prefix, and then by the prefix
        self._networks: dict[tuple[int, int], dict[int, Ban]] = {}

    def load(self, bans: Iterable[Ban]) -> None:
        """These are in force, and no others.  Raises ValueError."""
        for _ in self.loading(bans):
            pass

    def loading(self, bans: Iterable[Ban]) -> Iterator[None]:
        """The same in steps (slices.py); they are in force after the last one."""
        found: list[Ban] = []
        networks: dict[tuple[int, int], dict[int, Ban]] = {}
        for ban in islice(bans, BANS_MAX):
            found.append(ban)
            if ban.kind == HOST:
                network = network_of(ban.whom)
                length = network.prefixlen
                prefix = int(network.network_address) >> (network.max_prefixlen - length)
                networks.setdefault((network.version, length), {}).setdefault(prefix, ban)
            if len(found) % STEP == 0:
                yield
        self._networks = networks
        self._who = {f"uid {ban.whom}" if ban.kind == LOGIN else ban.whom.lower(): ban
                     for ban in found if ban.kind != HOST}
        self.all = found

    def check(self, name: str, caller: Caller) -> None:
        """Raise Refusal if a ban keeps this caller from coming in under this name."""
        if self.all and caller.uid not in self.operators and (
                ban := self._of(name, caller.host, caller.address)):
            raise Refusal(wire.Why.DENIED, words(ban))

    def of(self, client: Client) -> Ban | None:
        """The ban that would have kept this client out."""
        return None if client.is_operator else self._of(client.name, client.host, client.address)

    def _of(self, name: str, host: str, address: str) -> Ban | None:
        ban = self._who.get(name.lower())
        if ban is None and host.startswith("uid "):     # an address may be somebody's name, too
            ban = self._who.get(host)
        if ban or not self._networks:
            return ban
        try:
            found = ipaddress.ip_address(address.rpartition(":")[0].strip("[]").partition("%")[0])
        except ValueError:                      # at a Unix socket
            return None
        where = getattr(found, "ipv4_mapped", None) or found
        number, longest = int(where), where.max_prefixlen
        return next((ban for (version, length), bans in self._networks.items()
                     if version == where.version
                     and (ban := bans.get(number >> (longest - length)))), None)


def words(ban: Ban) -> str:
    """What somebody who is kept out is told."""
    whom = {NAME: f"the name {ban.shown} is", LOGIN: "your login is"}.get(ban.kind,
                                                                           "your address is")
    return f"{whom} banned by the operator of this daemon" + f": {ban.reason}" * bool(ban.reason)
