"""claims: who may use which name.

A name is kept for its owner in three ways, and before a client comes in under it the daemon asks
here:

  - It is a login of this host: then it belongs to that login, at the Unix socket, where the kernel
    says who calls.
  - It was first used at the Unix socket: then it belongs to the uid that did (setting OWNER).
  - Its owner has claimed it with a passphrase (setting CLAIM, a verifier: net/scram.py).

      the caller is                   nobody's name  kept for another         kept, and claimed
      at the Unix socket, its owner   -              comes in                 comes in
      an operator there               takes it       comes in; it is noted    comes in; it is noted
      another login there             takes it       refused                  CHALLENGE
      elsewhere                       comes in       CHALLENGE, never passed  CHALLENGE

The host's list of users may be unavailable, and most lists then look like lists without that login.
So a login that came in once is kept as the OWNER too, and the list is needed only for those that
never did.  If the list reports an error, the OWNER counts; a name that has none then belongs to
nobody, and not to anybody: it needs its passphrase, or has to wait.

"Takes it": from now on it belongs to that uid.  So the first login that uses a name which was only
known over TCP takes it, with what waits in it; over TCP anybody could have.  Nobody takes a name
that was claimed over TCP without the passphrase.  A login always wins over a former owner.
Operators are root and the daemon's own uid: they could read the store anyway, and somebody must be
able to help an owner that has forgotten the passphrase.

Elsewhere, a name that is kept cannot be told from one that is claimed: both get a CHALLENGE, the
former with a salt and a verifier made of the daemon's secret.  That verifier is made for both, and
both are refused with the same words after the same calls: tests/torture/proof_times.py takes the
times.  How often one may try is in guesses.py.

With `tcp_claimed` nobody comes in elsewhere under a name that is nobody's.  So nobody can claim a
name there for the first time: that is done at the Unix socket, also by ssh.

With `trusting` there are no owners and no claims: every name is free for everybody, as in the
specifications.
"""
from __future__ import annotations

import hashlib  # noqa: F401    net/scram.py imports it when it needs it: at a start, not in a turn
import hmac
from collections.abc import Callable
from typing import NamedTuple

import wire
from net import scram
from net.scram import Verifier
from rules.groups import NO_GROUPS, Groups
from rules.guesses import Guesses
from rules.hosts import whose
from rules.owners import Owners
from rules.promises import Promises
from rules.roster import Roster
from rules.state import Caller, Client, Greeting, Now, Refusal
from rules.store import Setting, Store
from store.user import User
from wire import Why


class Identity(NamedTuple):
    """What the daemon knows about the owners of names."""
    trusting: bool = False                              # --trust-names
    secret: bytes = b""                                 # that nobody else knows
    # the uid of a login; OSError: the list of users is unavailable
    logins: Callable[[str], int | None] = lambda name: None
    operators: frozenset[int] = frozenset()
    untold: int | None = None                           # a uid that may be anybody's (net/uids.py)
    login_of: Callable[[int], int] = lambda uid: uid    # the login that limits count a uid for
    groups: Groups = NO_GROUPS                          # of the host
    tcp_claimed: bool = False                           # --tcp-names claimed
    # the login of a person, as it is spelled, and its uid; None: nobody's, or the list is not whole
    person_of: Callable[[str], tuple[str, int] | None] = lambda name: None
    lists_people: Callable[[], bool] = lambda: False
    # where a caller sits, in words: a terminal, or a host; "": not known
    seat_of: Callable[[Caller], str] = lambda caller: ""


TRUSTING = Identity(trusting=True)
CLAIMED_ONLY = ("over TCP this daemon lets in claimed names only: log in as {name} on its host "
                "(ssh -t HOST parley --name {name}), type /claim there, and come again with that "
                "passphrase")


def is_at_socket(caller: Caller) -> bool:
    """Whether the caller is at a Unix socket, also where the kernel does not say who it is."""
    return caller.uid is not None or caller.address == "unix"


class Question(NamedTuple):
    """A caller that was asked for a proof."""
    hello: Greeting
    kept: Verifier          # of nothing, for a name that is kept but not claimed
    nonce: bytes
    binding: scram.Binding  # what the proof has to be bound to
    at: float               # when it may be told, at the earliest, on the monotonic clock; 0: now

    @property
    def binds(self) -> bool:
        """Whether this client binds its proof to more than a certificate."""
        return bool(self.hello.features & wire.Feature.BIND)

    @property
    def messages(self) -> list[wire.Message]:
        """The question, as the client is told it."""
        challenge = wire.Challenge(self.kept.iterations, self.kept.salt, self.nonce)
        binding = wire.Binding(self.binding.name, self.binding.data.hex())
        return [binding, challenge] if self.binds else [challenge]


class Claims:
    """The rules."""

    def __init__(self, mailbox: Store, roster: Roster, promises: Promises,
                 note: Callable[..., None], nonce: Callable[[], bytes], identity: Identity,
                 owners: Owners) -> None:
        self.mailbox = mailbox
        self.roster = roster
        self.promises = promises
        self.note = note
        self.nonce = nonce                      # makes 16 unguessable bytes
        self.identity = identity
        self.guesses = Guesses()
        self.owners = owners

    # ---- at the door ----

    def question(self, hello: Greeting, caller: Caller, now: Now) -> Question | None:
        """What the caller has to prove, or None.  Raises Refusal."""
        if caller.uid is not None and caller.uid == self.identity.untold:
            raise Refusal(Why.DENIED, "this daemon runs in a user namespace and can't tell which "
                                      "login you are: its operator may open a TCP address")
        user = self.mailbox.find(hello.name)
        if not self._has_to_prove(hello.name, user, caller):
            if self.identity.tcp_claimed and not is_at_socket(caller):
                raise Refusal(Why.DENIED, CLAIMED_ONLY.format(name=hello.name))
            return None
        if not hello.features & wire.Feature.PROVE:
            raise Refusal(Why.DENIED, f"{hello.name} needs a passphrase here, and this program "
                                      "can't give one")
        fake, claim = self._fake(hello.name), self._claim(user)
        earliest = self.guesses.earliest(caller.host, now.monotonic)
        return Question(hello, Verifier.unpack(claim or fake), self.nonce(), caller.binding,
                        earliest)

    def may_ask(self, question: Question, waited: bool, now: Now) -> bool:
        """Whether the CHALLENGE may be told now; if so it is counted."""
        return self.guesses.may_ask(question.hello.name, question.at, waited, now.monotonic)

    def verified(self, question: Question, said: wire.Proof, caller: Caller, now: Now
                 ) -> wire.Verified:
        """The answer to a right proof.  Raises Refusal."""
        if seconds := self.guesses.wait(caller.host, now.monotonic):
            raise Refusal(Why.FULL, f"too many wrong passphrases from {whose(caller.host)}: "
                                    f"wait {seconds} s")
        kept, name = question.kept, question.hello.name
        binding = question.binding if question.binds else question.binding.before
        talk = scram.conversation(name, said.nonce.hex(), question.nonce.hex(), kept.salt,
                                  kept.iterations, binding)
        was_stripped = not question.binds and said.nonce.startswith(scram.STRIPPED)
        is_right = scram.accepts(kept, talk, said.proof) and not was_stripped
        signature = scram.sign(kept, talk)
        claim = self._claim(self.mailbox.find(name))
        if not (is_right and claim == kept.pack()):     # else not claimed, or not so any more
            self.guesses.was_wrong(caller.host, now.monotonic)
            self.note("wrong-proof", name=name, address=caller.address)
            if was_stripped:
                self.note("relayed-proof", name=name, address=caller.address)
            raise Refusal(Why.DENIED, f"that is not the passphrase of {name}; its owner sets one "
                                      "with /claim, if need be at the daemon's Unix socket")
        self.guesses.was_right(name, now.monotonic)
        return wire.Verified(signature)

    def check_room(self, name: str, caller: Caller) -> None:
        """Raise Refusal if the caller would become the owner of one name more than a login may
        have.  A login's own name is always its, and an operator may have any."""
        if self.identity.trusting or caller.uid is None or not self._is_full(caller.uid):
            return
        user = self.mailbox.find(name)
        try:
            if self._owners(name, user) or (user and self._claim(user)):
                return
        except OSError:
            return                              # nobody's, until the list answers
        self.check_more(caller.uid)

    def check_more(self, uid: int | None) -> None:
        """Raise Refusal if the login of this uid may own no further name."""
        if self.identity.trusting or uid is None or not self._is_full(uid):
            return
        owned = self.owners.names_of(uid)
        raise Refusal(Why.DENIED, f"your login owns {owned} names here, and may own no more: use "
                                  "one of them")

    def own(self, user: User, uid: int | None) -> None:
        """This uid has made a new name that is no user's, and owns it."""
        if not self.identity.trusting and uid is not None:
            self.owners.give(user, uid)

    def _is_full(self, uid: int) -> bool:
        """Whether this uid may own no further name.  Operators could fill the log in any case, and
        the house of a daemon's own user may have any number from before there was a limit."""
        return uid not in self.identity.operators and self.owners.is_full(uid)

    def is_owner(self, name: str, user: User | None, uid: int, takes: bool) -> bool:
        """Whether a name belongs to this uid; or, with `takes`, to nobody, so that the uid takes it
        when it comes in."""
        if self.identity.trusting:
            return False
        try:
            owners = self._owners(name, user)
        except OSError:
            return False
        return uid in owners or (takes and not owners and not self._claim(user))

    def entered(self, client: Client, caller: Caller, proven: bool) -> None:
        """The caller is in.  A name that nobody owns now belongs to the caller's uid; so does a
        login's own name, for the day on which the list of users is unavailable."""
        client.is_operator = caller.uid in self.identity.operators
        if self.identity.trusting or caller.uid is None:
            return
        try:
            owners = self._owners(client.name, client.user)
        except OSError:
            return                              # nobody's, until the list answers
        claim, owner = self._claim(client.user), self.owners.of(client.user)
        if caller.uid in owners or (not owners and (proven or not claim)):
            is_owner = owner in (owners or {caller.uid})
            may_own = bool(owners) or not self._is_full(caller.uid)
            if not is_owner and may_own and not self.mailbox.refusal:   # else the next time
                self.owners.give(client.user, caller.uid)
        elif not proven:
            self.note("operator", name=client.name, address=caller.address)

    # ---- whose a name is ----

    def _has_to_prove(self, name: str, user: User | None, caller: Caller) -> bool:
        """Whether this caller needs the passphrase of that name, if it has one.  Raises Refusal."""
        if self.identity.trusting:
            return False
        is_claimed = bool(self._claim(user))
        if caller.uid is not None and caller.uid in self.identity.operators:
            return False
        try:
            owners = self._owners(name, user)
        except OSError as error:
            if is_claimed:
                return True
            raise Refusal(Why.FULL, f"the owner of {name} can't be told now, because this host's "
                                    "list of users does not answer: try again") from error
        if caller.uid is not None:
            if caller.uid in owners:
                return False
            if owners and not is_claimed:
                raise Refusal(Why.DENIED, f"{name} belongs to another login of this host: choose "
                                          "another name")
            return is_claimed
        return is_claimed or bool(owners)

    def _owners(self, name: str, user: User | None) -> set[int]:
        """The uids that own a name; mostly one or none.  Raises OSError if that is unknown."""
        owner = self.owners.of(user)
        try:
            spellings = {name, name.lower(), user.name if user else name}
            logins = {uid for uid in map(self.identity.logins, spellings) if uid is not None}
        except OSError:
            if owner is None:
                raise
            logins = set()
        return logins or ({owner} if owner is not None else set())

    @staticmethod
    def _claim(user: User | None) -> bytes:
        """The verifier of a name, packed; b"" if it is not claimed."""
        return (user.settings.get(Setting.CLAIM) if user else None) or b""

    def _fake(self, name: str) -> bytes:
        """What a claim of this name could look like: always the same, and of no passphrase."""
        salt, stored, server = (
            hmac.digest(self.identity.secret, f"{what} {name.lower()}".encode(), "sha256")
            for what in ("salt", "stored", "server"))
        return Verifier(scram.ITERATIONS, salt[:16], stored, server).pack()

    # ---- requests ----

    def on_claim(self, client: Client, said: wire.Claim, now: Now) -> None:
        """Set or change the passphrase."""
        if not scram.ITERATIONS <= said.iterations <= scram.ITERATIONS_MAX:
            self._fail(client, said.request, f"a claim takes {scram.ITERATIONS} to "
                                             f"{scram.ITERATIONS_MAX} iterations")
        elif self._set(client, said.request, Verifier(*said[1:]).pack()):
            self.note("claimed", name=client.name)

    def on_unclaim(self, client: Client, said: wire.Unclaim, now: Now) -> None:
        """Remove the passphrase."""
        if not self._claim(client.user):
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
            client.usage.put += len(value)
            self.promises.turn.settings.append((client, request))
            return True
        return False

    def _fail(self, client: Client, request: int, reason: str, why: Why = Why.OTHER) -> None:
        self.roster.tell(client, wire.Failed(request, why, reason))
