"""pool: connections at one stage of their way in, so many for each listener and each host.

There are three stages: to agree on TLS (handshakes.py); to say HELLO; and then to prove who one is,
or to wait until the daemon can judge the HELLO (both: strangers.py).  A connection that lingers at
one of them does not keep others out: if there is one too many, the one that has been at this stage
for longest has to go.  If its host has its share, that is one of the newcomer's own host; else one
of the host that has most of the places.  So an attacker that holds all places loses them one by
one, and one that renews them puts itself at the end.  To push somebody out it must dial as many
times as there are places while the other answers once.
"""
from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from rules.state import Caller


class Member(Protocol):
    """A connection that came in at this listener."""
    place: str

    @property
    def caller(self) -> Caller:
        """Its other end."""


M = TypeVar("M", bound=Member)


class Pool(Generic[M]):
    """The connections at one stage."""

    def __init__(self, most: int, each: int) -> None:
        self.most = most            # at one listener
        self.each = each            # of one host, there
        self._hosts: dict[M, str] = {}                      # in the order in which they came
        self._places: dict[str, dict[str, dict[M, None]]] = {}      # by listener, and by host

    def __len__(self) -> int:
        return len(self._hosts)

    def __contains__(self, member: M) -> bool:
        return member in self._hosts

    def __iter__(self) -> Iterator[M]:
        return iter(list(self._hosts))

    def add(self, member: M) -> M | None:
        """Put it last.  Returns the one that has to go for it, which is still in the pool."""
        self.remove(member)
        host = self._hosts[member] = member.caller.host
        hosts = self._places.setdefault(member.place, {})
        of_host = hosts.setdefault(host, {})
        of_host[member] = None
        if len(of_host) > self.each:
            return next(iter(of_host))
        if sum(map(len, hosts.values())) > self.most:
            crowd = max(hosts.values(), key=len)
            return next(iter(crowd))
        return None

    def remove(self, member: M) -> None:
        """It is not at this stage any more.  Harmless if it was not."""
        host = self._hosts.pop(member, None)
        if host is None:
            return
        hosts = self._places[member.place]
        del hosts[host][member]
        if not hosts[host]:
            del hosts[host]
        if not hosts:
            del self._places[member.place]
