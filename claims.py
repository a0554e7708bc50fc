"""claims: who may be whom.

A name is kept for somebody in three ways, and here is asked before anybody comes in under it:

  - It is a login of this host: then it belongs to that login, at the Unix socket, where the kernel says who calls.
  - It was first used at the Unix socket: then it belongs to the uid that did (the setting OWNER).
  - Its owner has claimed it with a passphrase (the setting CLAIM, a verifier: scram.py).

      the caller is                   nobody's name    kept for another            kept, and claimed
      at the Unix socket, its owner   -                comes in                    comes in
      an operator there               takes it         comes in, which is noted    comes in, which is noted
      another login there             takes it         refused                     CHALLENGE
      elsewhere                       comes in         CHALLENGE, never passed     CHALLENGE

"Takes it": from now on it is that uid's.  So the first login that uses a name which was only known over TCP takes it
with what waits in it; over TCP anybody could have.  A name that was claimed over TCP is taken by nobody without the
passphrase.  A login always wins over an owner of former times.  Operators are root and the daemon's own uid: they could
read the store anyway, and somebody must be able to help who has forgotten his passphrase.

Elsewhere there is no telling a name that is kept from one that is claimed: both get a CHALLENGE, for the former with a
salt and a verifier made of the daemon's secret, and both are refused with the same words after the same work.

Guessing.  A connection has one try.  After a wrong one the next CHALLENGE to the same host waits for WRONG_SECONDS;
hanging up does not help.  The right passphrase needs no patience but that.  Nothing here waits: a Question says when.

With `trusting` there are no owners and no claims: every name is free for everybody, as in the specifications.
"""
from __future__ import annotations

import hmac
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import scram
import wire
from answers import Promises
from presence import Caller, Client, Now, Refusal, Roster, Setting
from scram import ITERATIONS_MAX, ITERATIONS_MIN, Verifier
from wire import Why

if TYPE_CHECKING:
    from mailbox import Mailbox, User

WRONG_SECONDS = 2.0         # until the next CHALLENGE to a host: 8 strangers allowed from it make 4 guesses a second
HOSTS_MAX = 10_000          # hosts that are remembered for it: a megabyte
UID = struct.Struct("!I")


class Identity(NamedTuple):
    """What the daemon knows about who may be whom."""
    trusting: bool = False                              # --trust-names
    secret: bytes = b""                                 # that nobody else knows
    logins: Callable[[str], int | None] = lambda name: None         # the uid of a login of this host
    operators: frozenset[int] = frozenset()


TRUSTING = Identity(trusting=True)


class Question(NamedTuple):
    """A caller that was asked for a proof."""
    hello: wire.Hello
    kept: Verifier
    is_real: bool           # or a verifier of nothing, for a name that is kept but not claimed
    nonce: bytes
    at: float               # when it may be told, on the monotonic clock

    @property
    def challenge(self) -> wire.Challenge:
        return wire.Challenge(self.kept.iterations, self.kept.salt, self.nonce)


class Claims:
    """The rules."""

    def __init__(self, mailbox: Mailbox, roster: Roster, promises: Promises, note: Callable[..., None],
                 nonce: Callable[[], bytes], identity: Identity) -> None:
        self.mailbox = mailbox
        self.roster = roster
        self.promises = promises
        self.note = note
        self.nonce = nonce                                      # makes 16 unguessable bytes
        self.identity = identity
        self._wrong: dict[str, float] = {}                      # hosts: when the next CHALLENGE may go there

    # ---- at the door ----

    def question(self, hello: wire.Hello, caller: Caller, now: Now) -> Question | None:
        """What the caller has to prove, or None.  Raises Refusal."""
        user = self.mailbox.find(hello.name)
        kept = self._kept(hello.name, user, caller)
        if kept is None:
            return None
        if not hello.features & wire.Feature.PROVE:
            raise Refusal(Why.DENIED, f"{hello.name} needs a passphrase here, and this program can't give one")
        return Question(hello, kept, self._claim(user) == kept, self.nonce(), self._wrong.get(caller.host, 0.0))

    def _kept(self, name: str, user: User | None, caller: Caller) -> Verifier | None:
        if self.identity.trusting:
            return None
        owners, claim = self._owners(name, user), self._claim(user)
        if caller.uid is not None:
            if caller.uid in owners or caller.uid in self.identity.operators:
                return None
            if owners and not claim:
                raise Refusal(Why.DENIED, f"{name} belongs to another login of this host: choose another name")
            return claim
        return claim or (self._fake(name) if owners else None)

    def _owners(self, name: str, user: User | None) -> set[int]:
        """Whose name it is; mostly one uid or none."""
        spellings = {name, name.lower(), user.name if user else name}
        logins = {uid for uid in map(self.identity.logins, spellings) if uid is not None}
        owner = user.settings.get(Setting.OWNER) if user else None
        return logins or (set(UID.unpack(owner)) if owner else set())

    @staticmethod
    def _claim(user: User | None) -> Verifier | None:
        claim = user.settings.get(Setting.CLAIM) if user else None
        return Verifier.unpack(claim) if claim else None

    def _fake(self, name: str) -> Verifier:
        """What a claim of this name could look like: always the same, and nobody's."""
        salt, stored, server = (hmac.digest(self.identity.secret, f"{what} {name.lower()}".encode(), "sha256")
                                for what in ("salt", "stored", "server"))
        return Verifier(scram.ITERATIONS, salt[:16], stored, server)

    def verified(self, question: Question, said: wire.Proof, caller: Caller, now: Now) -> wire.Verified:
        """The answer to a right proof.  Raises Refusal."""
        kept, name = question.kept, question.hello.name
        talk = scram.conversation(name, said.nonce.hex(), question.nonce.hex(), kept.salt, kept.iterations,
                                  caller.binding)
        is_right = scram.accepts(kept, talk, said.proof)
        signature = scram.sign(kept, talk)
        if not (is_right and question.is_real and self._claim(self.mailbox.find(name)) == kept):
            self._remember(caller.host, now)
            self.note("wrong-proof", name=name, address=caller.address)
            raise Refusal(Why.DENIED, f"that is not the passphrase of {name}; its owner sets one with /claim, if need "
                                      "be at the daemon's Unix socket")
        return wire.Verified(signature)

    def _remember(self, host: str, now: Now) -> None:
        if len(self._wrong) >= HOSTS_MAX:
            self._wrong = {host: at for host, at in self._wrong.items() if at > now.monotonic}
        if len(self._wrong) < HOSTS_MAX or host in self._wrong:
            self._wrong[host] = now.monotonic + WRONG_SECONDS

    def entered(self, client: Client, caller: Caller, proven: bool) -> None:
        """The caller is in: a name that nobody owns becomes its uid's."""
        client.operator = caller.uid in self.identity.operators
        if self.identity.trusting or caller.uid is None:
            return
        owners, claim = self._owners(client.name, client.user), self._claim(client.user)
        if not owners and (proven or not claim):
            if not self.mailbox.refusing:               # on a full disk it is done the next time
                self.mailbox.set(client.user, Setting.OWNER, UID.pack(caller.uid))
        elif caller.uid not in owners and not proven:
            self.note("operator", name=client.name, address=caller.address)

    # ---- requests ----

    def on_claim(self, client: Client, said: wire.Claim, now: Now) -> None:
        """Set the passphrase, or another one."""
        if not ITERATIONS_MIN <= said.iterations <= ITERATIONS_MAX:
            self._fail(client, said.request, f"a claim takes {ITERATIONS_MIN} to {ITERATIONS_MAX} iterations")
        elif self._set(client, said.request, Verifier(*said[1:]).pack()):
            self.note("claimed", name=client.name)

    def on_unclaim(self, client: Client, said: wire.Unclaim, now: Now) -> None:
        """Take the passphrase away."""
        if self._claim(client.user) is None:
            self._fail(client, said.request, f"{client.name} is not claimed")
        elif self._set(client, said.request, b""):
            self.note("unclaimed", name=client.name)

    def _set(self, client: Client, request: int, value: bytes) -> bool:
        if self.identity.trusting:
            self._fail(client, request, "this daemon takes every name on trust")
        elif self.mailbox.refusing:
            self._fail(client, request, self.mailbox.refusing, Why.FULL)
        else:
            self.mailbox.set(client.user, Setting.CLAIM, value)
            self.promises.turn.settings.append((client, request))
            return True
        return False

    def _fail(self, client: Client, request: int, reason: str, why: Why = Why.OTHER) -> None:
        self.roster.tell(client, wire.Failed(request, why, reason))
