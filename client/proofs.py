"""proofs: the client's side of who is who: the answer to CHALLENGE, claims, and the certificate.

A Proofs holds, for one link, what the daemon asked on this connection, and the keys of the
passphrases that the user typed.  What is to outlast the program goes into the keyring.  A daemon
that asks for nothing may still be another one than before, so:

  - The certificate of a tls: address is remembered at the first contact, and must stay the same.
  - A daemon must show that it holds the verifier of our passphrase, or we say nothing to it.
  - A TCP address that asked for a key once must not let us in without one.
  - A proof is bound to what we know of the connection (net/scram.py).  If the daemon knows
    something else of it, somebody is between, and gets no proof.
  - No key is made of a passphrase with fewer iterations than usual, unless this address had such a
    key before, nor with so many that it takes minutes.

Deriving a key takes a third of a second, on purpose, and the client waits for it.
"""
from __future__ import annotations

import os
from collections.abc import Callable

import wire
from client.keyring import KEYS, KNOWN, Keyring, RingError
from net import scram, tls
from net.address import Address
from net.scram import Binding
from wire import ProtocolError

Claim = tuple[str, bytes, int]          # the name, its salt and iterations


class Impostor(Exception):
    """The daemon is not the one that it was, or not believed: one line that says what to do."""


class Proofs:
    """What the daemon asked on this connection, and what we answered."""

    def __init__(self, ring: Keyring, random: Callable[[int], bytes] = os.urandom) -> None:
        self.ring = ring
        self._random = random
        self._keys: dict[Claim, bytes] = {}             # of passphrases typed in this program
        self._new: set[Claim] = set()                   # those of them that are not kept yet
        self.begin("", Address("", "", 0))

    def begin(self, name: str, address: Address, binding: Binding = scram.TCP) -> str:
        """A new connection for this name, of which we know this.

        Returns a line about a first contact, or "".  Raises Impostor, RingError."""
        self._name, self._address, self._binding = name, address, binding
        self._is_bound = False                          # the daemon knows the same
        self._asked: Claim | None = None
        self._answered: tuple[bytes, bytes] | None = None       # the key and the conversation
        self._verified = False
        return self._check_certificate() if binding.name == scram.TLS else ""

    @property
    def _place(self) -> str:
        return self._address.known_as or str(self._address)

    @property
    def answered(self) -> bool:
        """Whether we gave a proof on this connection."""
        return self._answered is not None

    def _check_certificate(self) -> str:
        shown = tls.shown(self._binding.data)
        known = self.ring.fingerprint(self._place)
        if known is None:
            self.ring.pin(self._place, shown)
            return (f"first contact with {self._place}: its certificate has the SHA-256 {shown}; "
                    f"compare it with the operator's; it is kept in {self.ring.path(KNOWN)}")
        if known != shown:
            raise Impostor(f"{self._place} has another certificate than before, SHA-256 {shown}: "
                           "somebody may be listening; if its operator says that it is right, "
                           f"delete the line of {self._place} in {self.ring.path(KNOWN)}")
        return ""

    def bind(self, said: wire.Binding) -> None:
        """What the daemon knows of this connection.  Raises ProtocolError, Impostor."""
        if self._asked or self._is_bound:
            raise ProtocolError("a BINDING that comes too late")
        known = self._binding.name, self._binding.data.hex()
        if known != said:
            raise Impostor(
                f"the connection to {self._place} is passed on: it leads to {_words(*known)}, and "
                f"reaches the daemon at {_words(*said)}; no proof of your passphrase was sent; if "
                "you forward it yourself, forward a TCP port to a TCP port, best one with tls:; "
                "otherwise ask the operator who listens there")
        self._is_bound = True

    def answer(self, said: wire.Challenge) -> wire.Proof | None:
        """The proof, or None if the user has to type the passphrase.

        Raises ProtocolError, Impostor, RingError."""
        if self._asked:
            raise ProtocolError("a second CHALLENGE")
        self._asked = (self._name.lower(), said.salt, said.iterations)
        key = self._keys.get(self._asked) or self.ring.key(*self._asked)
        if key is None:
            self._check_iterations(said.iterations)
            return None
        binding, mark = self._binding, b""
        if not self._is_bound:                          # a daemon of 0.1, or one that is passed on
            binding, mark = binding.before, scram.STRIPPED
        nonce = mark + self._random(16 - len(mark))
        talk = scram.conversation(self._name, nonce.hex(), said.nonce.hex(), said.salt,
                                  said.iterations, binding)
        self._answered = key, talk
        return wire.Proof(nonce, scram.prove(key, talk))

    def _check_iterations(self, asked: int) -> None:
        """Whether to make a key of so many; fewer than usual only where that was so before."""
        known = self.ring.iterations(self._place, self._name)
        least = scram.ITERATIONS if known is None else min(known, scram.ITERATIONS)
        if not least <= asked <= scram.ITERATIONS_MAX:
            why = (f"fewer than {least}, which makes guessing cheap" if asked < least
                   else f"more than the {scram.ITERATIONS_MAX} that this client computes")
            raise Impostor(
                f"{self._place} asks for a key of {self._name} with {asked} iterations, {why}; no "
                f"passphrase was used; if {self._name} was claimed so, claim it again with /claim "
                "at the daemon's Unix socket; otherwise another daemon answers there")

    def unlock(self, passphrase: str) -> None:
        """The passphrase that was asked for; the next connection uses it.  Raises ValueError."""
        if self._asked is None:
            raise ValueError("nobody asked for a passphrase")
        self._keys[self._asked] = scram.derive(passphrase, *self._asked[1:])
        self._new.add(self._asked)

    def wrong(self) -> None:
        """The daemon refused the proof."""
        if self._asked:
            self._keys.pop(self._asked, None)
            self._new.discard(self._asked)

    def verify(self, said: wire.Verified) -> None:
        """The daemon's own proof.  Raises ProtocolError."""
        known = self._answered is not None and scram.is_signed(*self._answered, said.signature)
        if not known or self._verified:
            raise ProtocolError(
                "it does not know the passphrase either: another daemon answers there")
        self._verified = True

    def welcome(self) -> None:
        """The daemon lets us in.  Raises ProtocolError, Impostor, RingError."""
        if self._answered and not self._verified:
            raise ProtocolError("a WELCOME before VERIFIED")
        is_expected = not self._address.path and self.ring.expected(self._place, self._name)
        if not self._answered and is_expected:
            raise Impostor(f"{self._place} let {self._name} in without the passphrase: another "
                           "daemon answers there, or the claim was taken away; if that is right, "
                           f"delete the lines of {self._name} in {self.ring.path(KEYS)}")
        if self._asked in self._new and self._asked:
            self._new.discard(self._asked)
            self.ring.keep(self._place, *self._asked, self._keys[self._asked])

    def claim(self, passphrase: str) -> tuple[scram.Verifier, Callable[[], None]]:
        """What to claim the name with, and what to do when that is done (it raises RingError).

        Raises ValueError."""
        claim = (self._name.lower(), self._random(16), scram.ITERATIONS)
        key = scram.derive(passphrase, *claim[1:])

        def done() -> None:
            self._keys[claim] = key
            self.ring.keep(self._place, *claim, key)
        return scram.verifier(key, *claim[1:]), done

    def unclaim(self) -> None:
        """The claim is taken away.  Raises RingError."""
        self.ring.drop(self._place, self._name)


def _words(name: str, data: str) -> str:
    """The end of a connection, by its wire.Binding."""
    try:
        if name == scram.TLS:
            return f"a certificate with the SHA-256 {tls.shown(bytes.fromhex(data))}"
        if name == scram.UNIX:
            return f"a Unix socket of the uid {int(data, 16)}" if data else "a Unix socket"
    except ValueError:
        pass
    return "a plain TCP port" if name == scram.TCP.name else "something unknown"


__all__ = ["Impostor", "Proofs", "RingError"]
