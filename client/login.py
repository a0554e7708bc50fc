"""login: from HELLO to WELCOME or REJECTED: who comes in, and whether this is the daemon it was.

A Login greets the daemon on each new connection, answers CHALLENGE, and decides what a WELCOME or
REJECTED means.  It holds what one login leaves for the next: the token of the last session, and the
store of the last daemon.

Which daemon.  If WELCOME names another store than before, the client hangs up: ids mean something
else there, and it may be another daemon.  The user decides, by accept().

Failure.  TurnedAway: the client does not come in, and its event says why.  TryLater: not now, but
perhaps in a while.  ProtocolError.
"""
from __future__ import annotations

import wire
from client.connection import Connection
from client.events import Event, Events, Locked, NameRefused, Online, OtherStore, Over, Remark
from client.keyring import RingError
from client.proofs import Impostor, Proofs
from net.address import Address
from wire import ProtocolError, Why

NO_TOKEN = bytes(16)
NAME_WHYS = {Why.TAKEN, Why.YOURS, Why.BAD_NAME, Why.DENIED, Why.UNKNOWN, Why.EMPTY}
TAKE = "/take moves it here"
# A stranger must not learn which of the two it is (rules/claims.py).
KEPT = ("At the Unix socket of the daemon's host a login of that host needs no passphrase for its "
        "names.  /claim, typed there, sets the one that is asked for here")


def _place(address: Address | None) -> str:
    """An address as a user writes it; "" for a default place."""
    return "" if not address or address.default else address.known_as or str(address)


class TurnedAway(Exception):
    """The client does not come in, and does not try again before the user has done something.

    `event`: what the user hears of it; Over if the user can do nothing."""

    def __init__(self, event: Event) -> None:
        super().__init__(event.reason)
        self.event = event


class TryLater(Exception):
    """The daemon has no room for this client now: why, in words."""


class Login:
    """The logins of one user, one connection after the other."""

    def __init__(self, connection: Connection, proofs: Proofs, events: Events,
                 token: bytes) -> None:
        """`token`: 16 random bytes, by which a daemon recognises two HELLOs of one program."""
        self._connection, self._proofs, self._events = connection, proofs, events
        self._name = ""                                 # as in the last HELLO
        self._resumes = False                           # it was a RESUME
        self._token = self._own_token = token
        self._home: tuple[bytes, str] | None = None     # the store and the name that ids belong to
        self._other = b"", NO_TOKEN                     # another store that answered, and its token
        self._accepted = b""                            # another store that the user has accepted

    def greet(self, name: str, features: int, above: int | None) -> None:
        """The connection is open: say HELLO, if the daemon's certificate is the one that it was.

        Or RESUME, if mail was live before: `above` that id."""
        route, self._name, self._resumes = self._connection.route, name, above is not None
        assert route.address is not None
        try:
            remark = self._proofs.begin(name, route.address, self._connection.binding)
        except (Impostor, RingError) as fault:
            raise TurnedAway(Over(str(fault))) from None
        self._events += [Remark(text) for text in (*route.passed_over(), remark) if text]
        head = wire.VERSION, features, self._token
        self._connection.say(wire.Hello(*head, name) if above is None else
                             wire.Resume(*head, above, name))

    def bound(self, said: wire.Binding) -> None:
        """What the daemon knows of this connection.  Raises TurnedAway if it is something else."""
        try:
            self._proofs.bind(said)
        except Impostor as fault:
            raise TurnedAway(Over(str(fault))) from None

    def challenged(self, said: wire.Challenge) -> None:
        """The name is kept for somebody: prove who we are, or ask the user for the passphrase."""
        try:
            proof = self._proofs.answer(said)
        except (Impostor, RingError) as fault:
            raise TurnedAway(Over(str(fault))) from None
        if proof is None:
            address = self._connection.route.address
            advice = "" if address and address.path else KEPT
            raise TurnedAway(Locked(f"{self._name} is kept for its owner there", False, advice,
                                    _place(address)))
        self._connection.say(proof)

    def rejected(self, said: wire.Rejected) -> None:
        """Raises TurnedAway or TryLater."""
        is_mine = self._home is not None and self._home[1] == self._name.lower()
        if said.why == Why.DENIED and self._proofs.answered:
            self._proofs.wrong()
            raise TurnedAway(Locked(said.reason, True, "", _place(self._connection.route.address)))
        if said.why == Why.FULL or (said.why in (Why.TAKEN, Why.YOURS) and is_mine):
            take = f": {TAKE}" if said.why == Why.YOURS else ""
            raise TryLater(said.reason + take)  # taken by a ghost, or by this user elsewhere
        if said.why == Why.OTHER and self._resumes:
            raise TryLater("the daemon is older than before")       # it knows no RESUME
        if said.why in NAME_WHYS:
            raise TurnedAway(NameRefused(said.why, said.reason))
        raise TurnedAway(Over(said.reason))

    def welcomed(self, said: wire.Welcome) -> bool:
        """The daemon lets us in: check that it is the right one.

        Returns whether ids mean something else from now on: another store, or another name."""
        self._check(said)
        again, home = self._home is not None, (said.store, said.name.lower())
        route = self._connection.route
        is_tcp = bool(route.address and route.address.host)
        self._events.append(Online(said, again, route.run_by,
                                   is_tcp and not self._proofs.answered))
        is_new, self._home = home != self._home, home
        self._token = said.token
        return is_new

    def _check(self, said: wire.Welcome) -> None:
        if said.version != wire.VERSION:
            raise TurnedAway(Over(f"the daemon speaks version {said.version} of the protocol, "
                               f"this client {wire.VERSION}"))
        if said.name.lower() != self._name.lower():
            raise ProtocolError("a WELCOME for somebody else")
        if self._home and said.store not in (self._home[0], self._accepted):
            self._other = said.store, said.token
            address = self._connection.route.address
            raise TurnedAway(OtherStore(f"the daemon at {address} is not the one before: it has "
                                     "another store"))
        try:
            self._proofs.welcome()
        except Impostor as fault:
            raise TurnedAway(Over(str(fault))) from None
        except RingError as fault:
            self._events.append(Remark(f"{fault}; the passphrase will be asked for again"))

    def accept(self) -> None:
        """The user says that the other store is right."""
        self._accepted, self._token = self._other

    def forget_token(self) -> None:
        """Another name: the last session is none of its own."""
        self._token = self._own_token
