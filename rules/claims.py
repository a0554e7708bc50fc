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

The host's list of users can be away, and most lists that are away look like lists without that login.  So a login that
came in once is kept as the OWNER too, and the list is needed for those alone who never did.  When it says that it
failed, the OWNER counts; a name that has none is nobody's then, not anybody's: it takes its passphrase, or has to wait.

"Takes it": from now on it is that uid's.  So the first login that uses a name which was only known over TCP takes it
with what waits in it; over TCP anybody could have.  A name that was claimed over TCP is taken by nobody without the
passphrase.  A login always wins over an owner of former times.  Operators are root and the daemon's own uid: they could
read the store anyway, and somebody must be able to help who has forgotten his passphrase.

Elsewhere there is no telling a name that is kept from one that is claimed: both get a CHALLENGE, for the former with a
salt and a verifier made of the daemon's secret, and both are refused with the same words after the same work.

Guessing.  A connection has one try.  After a wrong one the next CHALLENGE to the same host (hosts.py says what one host
is) waits for WRONG_SECONDS; hanging up does not help.  For WRONG_MEMORY that host is one that erred, and all those that
erred share NAME_TRIES tries a second at each name, however many they are.  A host that did not err waits for nobody:
nobody can lock an owner out by guessing at his name.  What is left to who has many hosts is a try or eight from each of
them, an hour; when HOSTS_MAX have erred, all others count as if they had.  Nothing here waits: a Question says when it
may be told at the earliest, and may_ask() whether that is now.

With `trusting` there are no owners and no claims: every name is free for everybody, as in the specifications.
"""
from __future__ import annotations

import hmac
import struct
from collections.abc import Callable
from typing import NamedTuple

import wire
from net import scram
from net.scram import ITERATIONS_MAX, ITERATIONS_MIN, Verifier
from rules.hosts import Buckets
from rules.promises import Promises
from rules.roster import Roster
from rules.state import Caller, Client, Now, Refusal
from rules.store import Setting, Store
from store.user import User
from wire import Why

WRONG_SECONDS = 2.0         # until the next CHALLENGE to a host: 8 strangers allowed from it make 4 guesses a second
WRONG_MEMORY = 3600.0       # that a host is one that erred
HOSTS_MAX = 10_000          # such hosts that are remembered: a megabyte, and for all names together 3 new ones a second
NAME_TRIES = 4              # a second at one name by hosts that erred: as many as one host has alone
UID = struct.Struct("!I")


class Identity(NamedTuple):
    """What the daemon knows about who may be whom."""
    trusting: bool = False                              # --trust-names
    secret: bytes = b""                                 # that nobody else knows
    logins: Callable[[str], int | None] = lambda name: None     # the uid of a login; OSError: its list is away
    operators: frozenset[int] = frozenset()


TRUSTING = Identity(trusting=True)


class Question(NamedTuple):
    """A caller that was asked for a proof."""
    hello: wire.Hello
    kept: Verifier
    is_real: bool           # or a verifier of nothing, for a name that is kept but not claimed
    nonce: bytes
    at: float               # when it may be told at the earliest, on the monotonic clock; 0 for at once

    @property
    def challenge(self) -> wire.Challenge:
        return wire.Challenge(self.kept.iterations, self.kept.salt, self.nonce)


class Claims:
    """The rules."""

    def __init__(self, mailbox: Store, roster: Roster, promises: Promises, note: Callable[..., None],
                 nonce: Callable[[], bytes], identity: Identity) -> None:
        self.mailbox = mailbox
        self.roster = roster
        self.promises = promises
        self.note = note
        self.nonce = nonce                                      # makes 16 unguessable bytes
        self.identity = identity
        self._wrong: dict[str, float] = {}                      # hosts that erred: when that is forgotten
        self._tries = Buckets(NAME_TRIES, 1 / NAME_TRIES)       # that they have at each name

    # ---- at the door ----

    def question(self, hello: wire.Hello, caller: Caller, now: Now) -> Question | None:
        """What the caller has to prove, or None.  Raises Refusal."""
        user = self.mailbox.find(hello.name)
        kept = self._kept(hello.name, user, caller)
        if kept is None:
            return None
        if not hello.features & wire.Feature.PROVE:
            raise Refusal(Why.DENIED, f"{hello.name} needs a passphrase here, and this program can't give one")
        return Question(hello, kept, self._claim(user) == kept, self.nonce(), self._at(caller.host, now.monotonic))

    def _at(self, host: str, now: float) -> float:
        """When this host may be asked at the earliest; 0: at once, for it did not err."""
        until = self._wrong.get(host, now if len(self._wrong) >= HOSTS_MAX else 0.0)
        return max(now, until - WRONG_MEMORY + WRONG_SECONDS) if until >= now else 0.0

    def may_ask(self, question: Question, waited: bool, now: Now) -> bool:
        """Whether the CHALLENGE may be told now; if so it is counted.  While others wait nobody gets past them."""
        if not question.at:
            return True
        name = question.hello.name.lower()
        if now.monotonic < question.at or self._tries.left(name, now.monotonic) < (1 if waited else NAME_TRIES):
            return False
        self._tries.take(name, now.monotonic)
        return True

    def _kept(self, name: str, user: User | None, caller: Caller) -> Verifier | None:
        if self.identity.trusting:
            return None
        claim = self._claim(user)
        if caller.uid is not None and caller.uid in self.identity.operators:
            return None
        try:
            owners = self._owners(name, user)
        except OSError as error:
            if claim:
                return claim
            raise Refusal(Why.FULL, f"whose name {name} is can't be told now, for this host's list of users does not "
                                    "answer: try again") from error
        if caller.uid is not None:
            if caller.uid in owners:
                return None
            if owners and not claim:
                raise Refusal(Why.DENIED, f"{name} belongs to another login of this host: choose another name")
            return claim
        return claim or (self._fake(name) if owners else None)

    def _owners(self, name: str, user: User | None) -> set[int]:
        """Whose name it is; mostly one uid or none.  Raises OSError when that can't be told."""
        owner = self._owner(user)
        try:
            spellings = {name, name.lower(), user.name if user else name}
            logins = {uid for uid in map(self.identity.logins, spellings) if uid is not None}
        except OSError:
            if owner is None:
                raise
            logins = set()
        return logins or ({owner} if owner is not None else set())

    @staticmethod
    def _owner(user: User | None) -> int | None:
        """The uid that the store has for a name."""
        owner = user.settings.get(Setting.OWNER) if user else None
        return UID.unpack(owner)[0] if owner else None

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
        self._tries.take(name.lower(), now.monotonic, -1)       # it was none of those that are counted
        return wire.Verified(signature)

    def _remember(self, host: str, now: Now) -> None:
        if len(self._wrong) >= HOSTS_MAX:
            self._wrong = {host: until for host, until in self._wrong.items() if until > now.monotonic}
        if len(self._wrong) < HOSTS_MAX or host in self._wrong:
            self._wrong[host] = now.monotonic + WRONG_MEMORY

    def entered(self, client: Client, caller: Caller, proven: bool) -> None:
        """The caller is in: a name that nobody owns becomes its uid's, and so does a login's own, for the day on which
        the host's list of users is away."""
        client.is_operator = caller.uid in self.identity.operators
        if self.identity.trusting or caller.uid is None:
            return
        try:
            owners = self._owners(client.name, client.user)
        except OSError:
            return                                      # nobody's, until the list answers
        claim, owner = self._claim(client.user), self._owner(client.user)
        if caller.uid in owners or (not owners and (proven or not claim)):
            if owner not in (owners or {caller.uid}) and not self.mailbox.refusal:     # it is done the next time
                self.mailbox.set(client.user, Setting.OWNER, UID.pack(caller.uid))
        elif not proven:
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
        elif self.mailbox.refusal:
            self._fail(client, request, self.mailbox.refusal, Why.FULL)
        else:
            self.mailbox.set(client.user, Setting.CLAIM, value)
            self.promises.turn.settings.append((client, request))
            return True
        return False

    def _fail(self, client: Client, request: int, reason: str, why: Why = Why.OTHER) -> None:
        self.roster.tell(client, wire.Failed(request, why, reason))
