"""door: who may come in under which name, and what happens when a client goes.

A name is 1 to 32 of A-Z a-z 0-9 . _ -, and begins with a letter or digit; two names that differ
only in case are the same.  Some words are reserved.  Whether a name is kept for its owner is asked
first (claims.py).

Two connected clients never share a name.  The second is refused, with two exceptions:

  - The first is the second's own ghost, and is put out: both brought the same token in HELLO, or
    the second brings the token that the first was given in WELCOME.  (Both are needed, for that
    WELCOME may never have arrived.)
  - The first may be dead without the daemon's knowledge.  If the second comes from the same host or
    login, or proved who it is, the daemon first asks the first client whether it is alive
    (`is_alive`), and refuses the second only if it is.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Callable
from hmac import compare_digest

import wire
from rules.bans import Bans
from rules.claims import Claims, Question
from rules.delivery import Delivery
from rules.hosts import Hosts
from rules.invitations import Invitations
from rules.joining import Joining
from rules.promises import Promises
from rules.publication import Publication
from rules.retirement import is_retired
from rules.roster import Roster
from rules.sessions import Sessions
from rules.state import Caller, Client, Greeting, Now, Refusal
from rules.store import Store
from rules.usage import Usages
from store.user import User
from wire import Why

# Some were reserved after the first release: who has such a name keeps it.
RESERVED = frozenset({
    "all", "you", "everyone", "server", "system", "parley", "root", "admin", "quit",
    "operator", "daemon", "exit", "me"})
FEATURES = (wire.Feature.ROSTER | wire.Feature.RECEIPTS | wire.Feature.HOLD | wire.Feature.PROVE
            | wire.Feature.IGNORE | wire.Feature.BIND | wire.Feature.ADDRESSED
            | wire.Feature.ROOMS | wire.Feature.RESUME)
NO_TOKEN = bytes(16)


class Door:
    """Lets clients in and out."""

    def __init__(self, mailbox: Store, note: Callable[..., None], *, roster: Roster,
                 publication: Publication, hosts: Hosts, claims: Claims, promises: Promises,
                 delivery: Delivery, sessions: Sessions, invitations: Invitations, house: str,
                 token: Callable[[], bytes], is_alive: Callable[[Client], bool], usages: Usages,
                 bans: Bans, joining: Joining) -> None:
        self.mailbox = mailbox
        self.note = note
        self.roster = roster
        self.publication = publication
        self.hosts = hosts
        self.claims = claims
        self.promises = promises
        self.delivery = delivery
        self.sessions = sessions
        self.invitations = invitations
        self.house = house                      # what the daemon calls itself
        self.token = token                      # makes 16 unguessable bytes
        self.is_alive = is_alive                # raises Doubtful while it asks
        self.usages = usages
        self.bans = bans
        self.joining = joining
        self.draining = ""                      # why nobody comes in any more
        self._leavers: list[Client] = []        # clients that left in this turn
        # clients that left earlier, with the last id that was given when they did
        self._leaving: deque[tuple[int, Client]] = deque()

    # ---- coming ----

    def enter(self, hello: Greeting, caller: Caller, now: Now) -> Client | Question:
        """Let a client in under its name, or ask who it is.  Raises Refusal, and Doubtful: ask
        again in a moment."""
        try:
            _check_hello(hello)
            self._check_reserved(hello.name)
            self._check_operator(hello, caller)
            question = self.claims.question(hello, caller, now)
            return question or self._admit(hello, caller, now, proven=False)
        except Refusal as refusal:
            self._turned_away(hello, caller, refusal)
            raise

    def may_ask(self, question: Question, waited: bool, now: Now) -> bool:
        """Whether the CHALLENGE of a question may be sent now; if so it is counted."""
        return self.claims.may_ask(question, waited, now)

    def prove(self, question: Question, said: wire.Proof, caller: Caller, now: Now) -> Client:
        """Let a client in that was asked who it is.  Raises Refusal, and Doubtful."""
        try:
            verified = self.claims.verified(question, said, caller, now)
            client = self._admit(question.hello, caller, now, proven=True)
        except Refusal as refusal:
            self._turned_away(question.hello, caller, refusal)
            raise
        client.greeting = wire.encode(verified)
        return client

    def _check_reserved(self, name: str) -> None:
        """Raise Refusal if nobody may take this name."""
        if name.lower() in RESERVED and self.mailbox.find(name) is None:
            others = ", ".join(sorted(RESERVED - {name.lower()}))
            raise Refusal(Why.BAD_NAME, f"{name} is reserved: it would read as the system, as "
                                        f"everybody or as a command; so would {others}")

    def _check_operator(self, hello: Greeting, caller: Caller) -> None:
        """Raise Refusal if the operator keeps this caller out."""
        self.bans.check(hello.name, caller)
        if self.draining:
            raise Refusal(Why.FULL, self.draining)
        if is_retired(self.mailbox.find(hello.name)):
            raise Refusal(Why.DENIED, f"{hello.name} was retired by the operator of this daemon: "
                                      "choose another name")

    def _turned_away(self, hello: Greeting, caller: Caller, refusal: Refusal) -> None:
        self.note("rejected", name=hello.name, address=caller.address, reason=str(refusal))

    def _admit(self, hello: Greeting, caller: Caller, now: Now, *, proven: bool) -> Client:
        host = caller.host
        self.claims.check_room(hello.name, caller)
        user = self._user(hello, caller, now, proven)
        self.mailbox.fanout.reach(user)         # what is on its way to it waits for it
        client = Client(user, caller, host, hello.features & FEATURES, self.token(), hello.token,
                        now.wall)
        self.hosts.enter(host)
        self.mailbox.seen(user, now.wall)
        self.claims.entered(client, caller, proven)
        self.usages.enter(client, caller)
        self.roster.enter(client)
        self.delivery.enter(client, hello)
        self.joining.enter(client)
        self.promises.turn.welcomes.append((client, wire.Welcome(
            wire.VERSION, client.features, client.token, self.mailbox.store, now.wall,
            user.waiting, user.name, self.house)))
        self.note("connected", name=user.name, address=caller.address, waiting=user.waiting)
        return client

    def _user(self, hello: Greeting, caller: Caller, now: Now, proven: bool) -> User:
        """The user of this name, new or known, for this caller.  Raises Refusal if the name is in
        use, or the caller's host has too many clients or new names."""
        host = caller.host
        user = self.mailbox.find(hello.name)
        other = self.roster.clients.get(user.number) if user else None
        if self.hosts.is_full(host) and not (other and other.host == host):
            raise Refusal(Why.FULL, f"{self.hosts.clients} clients are connected from your "
                                    "address, and no more may be")
        if user is None:
            return self._new_user(hello.name, caller, now)
        if other is not None:
            if _is_own(hello.token, other):
                self.put_out(other, "taken over by its owner", now)
            elif not (proven or other.host == host) or self.is_alive(other):
                raise Refusal(Why.TAKEN, f"{user.name} is already in use: choose another name")
        return user

    def _new_user(self, name: str, caller: Caller, now: Now) -> User:
        if self.mailbox.refusal:
            raise Refusal(Why.FULL, f"no new names now: {self.mailbox.refusal}")
        known = len(self.mailbox.users)
        if refusal := self.hosts.admit_name(caller.host, known, now.monotonic):
            raise Refusal(*refusal)
        self.note("new-name", name=name, address=caller.address)
        return self.mailbox.register(name, now.wall)

    # ---- going ----

    def put_out(self, client: Client, reason: str, now: Now) -> None:
        """Disconnect a client, and tell it why."""
        self.roster.tell(client, wire.Notice(f"you were disconnected: {reason}"))
        self.leave(client, reason, now)

    def leave(self, client: Client, reason: str, now: Now) -> None:
        """A client goes, for whatever reason.  Harmless if it has left already."""
        if client.has_left:
            return
        client.has_left = True
        self._leavers.append(client)
        self.hosts.leave(client.host)
        self.usages.leave(client)
        self.sessions.leave(client, Why.GONE, now)
        self.invitations.leave(client)
        self.delivery.leave(client)
        self.promises.leave(client)
        self.note("disconnected", name=client.name, reason=reason)      # while its address is known
        self.joining.leave(client)
        self.roster.leave(client)
        self.publication.leave(client)
        if self.mailbox.find(client.name) is client.user:   # not if the disk refused the name
            self.mailbox.seen(client.user, now.wall)

    def gone(self) -> list[Client]:
        """At the end of a turn: the clients that left and have been told everything, also what
        waited for the disk.  Each is named once."""
        if self._leavers:
            self._leaving += [(self.mailbox.last, client) for client in self._leavers]
            self._leavers = []
        gone: list[Client] = []
        while self._leaving and not self.promises.owes_up_to(self._leaving[0][0]):
            gone.append(self._leaving.popleft()[1])
        return gone

    # ---- requests that concern the door ----

    def on_exit(self, client: Client, said: wire.Exit, now: Now) -> None:
        self.leave(client, "exit", now)

    def on_hello(self, client: Client, said: Greeting, now: Now) -> None:
        raise wire.ProtocolError("a second HELLO on one connection")

    def on_proof(self, client: Client, said: wire.Proof, now: Now) -> None:
        raise wire.ProtocolError("a PROOF that nobody asked for")


def _check_hello(hello: Greeting) -> None:
    """Raise Refusal if no client may come in with this HELLO."""
    if hello.version != wire.VERSION:
        raise Refusal(Why.VERSION, "this daemon speaks only version "
                                   f"{wire.VERSION} of the protocol")
    if not wire.is_name(hello.name):
        raise Refusal(Why.BAD_NAME, "a username has 1 to 32 of A-Z a-z 0-9 . _ - and begins with "
                                    "a letter or digit")


def _is_own(token: bytes, other: Client) -> bool:
    """Whether a client that brings this token is the program whose session `other` is."""
    return token != NO_TOKEN and (compare_digest(token, other.token)
                                  or compare_digest(token, other.presented_token))
