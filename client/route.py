"""route: where a daemon may be found, what became of each place, and when to try again.

The addresses are tried in their order.  After the last one comes the first again, after a delay
that grows.  But no other daemon gets what was meant for one: a default place where a daemon listens
is the last that is tried, whatever is wrong with that daemon; and once a daemon has let the client
in, its address alone is dialled.  A listener that is not believed (dial.py) is passed over, and the
user is told of it.

The name of a host is looked up when its turn comes (lookup.py); its addresses take its place among
those that are tried.
"""
from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from client.dial import Socket, Stranger, believe
from client.lookup import Lookup, is_named, resolve
from net import places
from net.address import Address

RETRIES = (1, 2, 4, 8, 15, 30)      # seconds; the last one again and again
JITTER = 0.5                        # of the delay, in all: a thousand clients must not come back in
                                    # the same moment
ABSENT = (FileNotFoundError, ConnectionRefusedError, NotADirectoryError)
ABSENT_REASONS = {os.strerror(number) for number in (
    errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT)}


class Trouble(NamedTuple):
    """What became of an address."""
    address: Address
    reason: str
    is_absent: bool = False     # nobody listens there
    is_strange: bool = False    # somebody listens there who is not believed

    @property
    def is_looked_for(self) -> bool:
        """Nobody listens at a place that the user did not name."""
        return self.is_absent and self.address.default


class Route:
    """The way to one daemon."""

    def __init__(self, addresses: Sequence[Address], *, jitter: Callable[[], float],
                 dial: Callable[[Address], Socket]) -> None:
        """`jitter`: a random number from 0 to 1; `dial`: returns a socket on its way."""
        self.address: Address | None = None             # connected to, or being tried
        self._addresses = list(addresses)               # once a daemon has let us in: its own alone
        self._is_known = False                          # a daemon has let us in
        # the user named no place, and at one of the user's own a daemon hides the host's
        self._is_open = len({each.path == places.SYSTEM_SOCKET for each in addresses}) > 1
        self.hides_host = False
        self._jitter, self._dial = jitter, dial
        self._untried: deque[Address] = deque()
        self._troubles: list[Trouble] = []              # what became of the addresses tried
        self._is_met = False                            # a daemon at a default place is no use
        self._told: set[str] = set()                    # strangers that the user has been told of
        self._listener: int | None = None               # the uid that listens at this address
        self._before: int | None = None                 # the uid that let us in before
        self._failures = 0                              # in a row: the place in RETRIES

    def begin(self) -> None:
        """All addresses are to be tried again."""
        self._troubles.clear()
        self._is_met = False
        self._untried = deque(self._addresses)

    def dial(self) -> Socket | Lookup | None:
        """A socket on its way to the next address that can be dialled, or the lookup of its host:
        found() is to hear of its end.  None after the last."""
        while self._untried:
            self.address = address = self._untried.popleft()
            try:
                if not is_named(address):
                    return self._dialled(address)
                if lookup := _looked_up(address):
                    return lookup
                self.found(resolve(address))
            except Stranger as stranger:
                self._troubles.append(Trouble(address, str(stranger), is_strange=True))
            except (OSError, ValueError) as error:
                is_absent = isinstance(error, ABSENT)
                self._troubles.append(Trouble(address, reason_of(error), is_absent))
                if isinstance(error, BlockingIOError):      # its queue of callers is full
                    self._stay_at(address)
        return None

    def _dialled(self, address: Address) -> Socket:
        sock = self._dial(address)
        try:
            self._listener = believe(address, sock, self._before)
        except BaseException:
            sock.close()
            raise
        return sock

    def found(self, addresses: Sequence[Address]) -> None:
        """A host was looked up: these are to be tried next."""
        self._untried.extendleft(reversed(addresses))

    def _stay_at(self, address: Address) -> None:
        """A daemon is at this default place, whatever is wrong with it: the user meant this one and
        no other."""
        if address.default:
            self._is_met = True
            self._untried.clear()

    def failed(self, reason: str) -> None:
        """The connection that was tried is lost, and nobody was let in."""
        if self.address:
            self._troubles.append(Trouble(self.address, reason, reason in ABSENT_REASONS))
            self._stay_at(self.address)

    def let_in(self) -> None:
        """The daemon at this address is the one."""
        self._failures = 0
        if self.address:
            own = self._is_open and self.address.path != places.SYSTEM_SOCKET
            self.hides_host = own and places.host_listens()
            self._addresses, self._is_known = [self.address], True
            self._before = None if self.address.default else self._listener

    def delay(self) -> float:
        """Seconds until all addresses should be tried again."""
        seconds = RETRIES[min(self._failures, len(RETRIES) - 1)]
        self._failures += 1
        return seconds * (1 + JITTER * (self._jitter() - 0.5))

    # ---- in words ----

    def reason(self) -> str:
        """Why there is no connection: where we looked, and what we found there."""
        nowhere = [each.address for each in self._troubles
                   if each.is_looked_for and not self._is_known]
        others = [each for each in self._troubles if each.address not in nowhere]
        parts = [each.reason if each.is_strange else f"{each.address}: {each.reason}"
                 for each in others]
        if nowhere and not self._is_met:
            parts.append(places.nobody(nowhere))
        asks = ": is the daemon running?" * any(each.is_absent for each in others)
        return ("; ".join(parts) or "no address to connect to") + asks

    def passed_over(self) -> list[str]:
        """What to tell the user of listeners that were passed over; each is told once."""
        strange = [trouble.reason for trouble in self._troubles if trouble.is_strange]
        new = [reason for reason in dict.fromkeys(strange) if reason not in self._told]
        self._told.update(new)
        return new

    @property
    def is_absent(self) -> bool:
        """Whether nobody listens at any place that was tried."""
        return bool(self._troubles) and all(each.is_absent for each in self._troubles)

    @property
    def run_by(self) -> str:
        """The login that runs the daemon, unless it is the user, root, or the host's own."""
        is_other = self._listener is not None and self._listener not in places.believed()
        return places.login(self._listener) if is_other and self._listener is not None else ""


def _looked_up(address: Address) -> Lookup | None:
    """None: there can be no process for it."""
    try:
        return Lookup(address)
    except OSError:
        return None


def reason_of(error: Exception) -> str:
    """An error in words."""
    return getattr(error, "strerror", None) or str(error)
