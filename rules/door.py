"""door: who may come in under which name, and what happens when a client goes.

A name is 1 to 32 of A-Z a-z 0-9 . _ -, and begins with a letter or digit; two names that differ
only in case are the same.  Some words are reserved.  Whether a name is kept for its owner is asked
first (claims.py).

A name has one session.  A second one is refused, with three exceptions:

  - The first is the second's own ghost, and is put out: both brought the same token in HELLO, or
    the second brings the token that the first was given in WELCOME.  (Both are needed, for that
    WELCOME may never have arrived.)
  - The first may be dead without the daemon's knowledge.  If the second comes from the same host or
    login, or proved who it is, the daemon first asks the first client whether it is alive
    (`is_alive`), and refuses the second only if it is.
  - The second is the same user, who asks for the session (TAKE): it moves here.

The same user is a caller with the uid of the session, or of the owner of the name, or one that
proved who it is.  Such a user may also come in beside the session, on an errand (errands.py).
"""
from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from hmac import compare_digest
from sys import intern

import wire
from net.texts import PUT_OUT, RESERVED, is_reserved
from rules.bans import Bans
from rules.claims import Claims, Question
from rules.delivery import Delivery
from rules.errands import Errands
from rules.hosts import Hosts, whose
from rules.invitations import Invitations
from rules.joining import Joining
from rules.promises import Promises
from rules.publication import Publication
from rules.retirement import is_retired
from rules.roster import Roster
from rules.sessions import Sessions
from rules.state import Caller, Client, Errand, Greeting, Now, Refusal
from rules.store import Store
from rules.usage import Usages
from store.user import User
from wire import Feature, Why

FEATURES = (Feature.ROSTER | Feature.RECEIPTS | Feature.HOLD | Feature.PROVE | Feature.IGNORE
            | Feature.BIND | Feature.PERSON | Feature.ADDRESSED | Feature.ROOMS
            | Feature.STATUS | Feature.RESUME)
BRIEF = Feature.ERRAND | Feature.HOLD      # an errand that does not listen
NO_TOKEN = bytes(16)
DAY = 86_400_000_000    # microseconds


class Door:
    """Lets clients in and out."""

    def __init__(self, mailbox: Store, note: Callable[..., None], *, roster: Roster,
                 publication: Publication, hosts: Hosts, claims: Claims, promises: Promises,
                 delivery: Delivery, sessions: Sessions, invitations: Invitations, house: str,
                 token: Callable[[], bytes], is_alive: Callable[[Client], bool], usages: Usages,
                 bans: Bans, joining: Joining, errands: Errands) -> None:
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
        self.errands = errands
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
            self._check_operator(question.hello, caller)    # a ban may be newer than the question
            verified = self.claims.verified(question, said, caller, now)
            client = self._admit(question.hello, caller, now, proven=True)
        except Refusal as refusal:
            self._turned_away(question.hello, caller, refusal)
            raise
        client.greeting = wire.encode(verified)
        return client

    def _check_reserved(self, name: str) -> None:
        """Raise Refusal if nobody may take this name."""
        if is_reserved(name) and self.mailbox.find(name) is None:
            others = ", ".join(sorted(RESERVED - {name.lower()}))
            raise Refusal(Why.BAD_NAME, f"{name} is reserved: it would read as the system, as "
                                        f"everybody or as a command; so would {others}")

    def _check_operator(self, hello: Greeting, caller: Caller) -> None:
        """Raise Refusal if the operator keeps this caller out."""
        self.bans.check(hello.name, caller)
        if self.draining and hello.features & BRIEF != BRIEF:       # those do not stay
            raise Refusal(Why.FULL, self.draining)
        if is_retired(self.mailbox.find(hello.name)):
            raise Refusal(Why.DENIED, f"{hello.name} was retired by the operator of this daemon: "
                                      "choose another name")

    def _turned_away(self, hello: Greeting, caller: Caller, refusal: Refusal) -> None:
        self.note("rejected", name=hello.name, address=caller.address, reason=str(refusal))

    def _admit(self, hello: Greeting, caller: Caller, now: Now, *, proven: bool) -> Client:
        host = intern(caller.host)              # thousands of clients may have one
        self.claims.check_room(hello.name, caller)
        is_errand = bool(hello.features & Feature.ERRAND) and self._is_same(hello.name, caller,
                                                                            proven)
        user = self._user(hello, caller, now, proven, is_errand)
        self.mailbox.fanout.reach(user)         # what is on its way to it waits for it
        features = hello.features & self._granted(caller)
        if is_errand:
            features |= Feature.ERRAND
        client = (Errand if is_errand else Client)(user, caller, host, features, self.token(),
                                                   hello.token, now.wall)
        self.hosts.enter(host)
        self.claims.entered(client, caller, proven)
        self.usages.enter(client, caller)
        if isinstance(client, Errand):
            self.errands.enter(client)
            if not user.last_seen:              # until now there was only mail for it
                self.mailbox.seen(user, now.wall)
        else:
            self.mailbox.seen(user, now.wall)
            self.roster.enter(client)
        self.delivery.enter(client, hello)
        if not is_errand:
            self.joining.enter(client)          # its rooms have one more that is here
        self.promises.turn.welcomes.append((client, wire.Welcome(
            wire.VERSION, client.features, client.token, self.mailbox.store, now.wall,
            user.waiting, user.name, self.house)))
        if is_errand:
            self.note("errand", name=user.name, address=caller.address)
        else:
            self.note("connected", name=user.name, address=caller.address, waiting=user.waiting)
        return client

    def _granted(self, caller: Caller) -> int:
        """The features that this caller may have."""
        may_list = caller.uid is not None and self.claims.identity.lists_people()
        return FEATURES | Feature.LOGINS * may_list

    def _is_same(self, name: str, caller: Caller, proven: bool) -> bool:
        """Whether this caller is surely the user who has this name, and its session if there is
        one."""
        if proven or caller.uid is None:
            return proven
        user = self.mailbox.find(name)
        other = self.errands.session_of(user) if user else None
        if other is not None and other.caller.uid == caller.uid:
            return True
        return self.claims.is_owner(name, user, caller.uid, takes=other is None)

    def _user(self, hello: Greeting, caller: Caller, now: Now, proven: bool, is_errand: bool
              ) -> User:
        """The user of this name, new or known, for this caller.  Raises Refusal if the name is in
        use, or the caller's host has too many clients or new names."""
        host = caller.host
        user = self.mailbox.find(hello.name)
        other = self.errands.session_of(user) if user and not is_errand else None
        if self.hosts.is_full(host) and not (other and other.host == host):
            raise Refusal(Why.FULL, f"{self.hosts.clients} clients are connected from "
                                    f"{whose(host)}, and no more may be")
        if user is None:
            return self._new_user(hello.name, caller, now)
        if other is not None:
            if _is_own(hello.token, other):
                self.put_out(other, "taken over by its owner", now)
            elif hello.features & Feature.TAKE and self._is_same(hello.name, caller, proven):
                self._move(other, caller, now)
            elif not (proven or other.host == host) or self.is_alive(other):
                raise self._in_use(hello, other, caller, now, proven)
        return user

    def _move(self, other: Client, caller: Caller, now: Now) -> None:
        """The session of a user goes to another client of the same user."""
        seat = self.claims.identity.seat_of(caller)
        self.note("moved", name=other.name, address=caller.address)
        if other.features & Feature.PERSON:
            self.roster.tell(other, wire.Moved(now.wall, seat))
            self.leave(other, "moved by its owner", now)
        else:
            self.put_out(other, f"moved to {seat or 'another client of yours'}", now)

    def _in_use(self, hello: Greeting, other: Client, caller: Caller, now: Now, proven: bool
                ) -> Refusal:
        """Why a name can't be had whose session is alive."""
        if not (hello.features & Feature.PERSON and self._is_same(hello.name, caller, proven)):
            return Refusal(Why.TAKEN, f"{other.name} is already in use: choose another name")
        came, seat = other.user.last_seen, self.claims.identity.seat_of(other.caller)
        form = "%H:%M" if now.wall - came < DAY else "%-d %b %H:%M"
        since = time.strftime(form, time.localtime(came / 1e6))
        return Refusal(Why.YOURS, f"{other.name} is in use, by you, since {since}"
                                  f"{' on ' if seat else ''}{seat}")

    def _new_user(self, name: str, caller: Caller, now: Now) -> User:
        if self.mailbox.refusal:
            raise Refusal(Why.FULL, f"no new names now: {self.mailbox.refusal}")
        known = len(self.mailbox.users)
        if refusal := self.hosts.admit_name(caller.host, known, now.monotonic):
            raise Refusal(*refusal)
        self.note("new-name", name=name, address=caller.address)
        user = self.mailbox.register(name, now.wall)
        self.roster.add_absent(user)          # an errand has no row, but the name has
        return user

    # ---- going ----

    def put_out(self, client: Client, reason: str, now: Now) -> None:
        """Disconnect a client, and tell it why."""
        self.roster.tell(client, wire.Notice(f"{PUT_OUT}{reason}"))
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
        is_errand = isinstance(client, Errand)
        self.note("errand-over" if is_errand else "disconnected", name=client.name,
                  reason=reason)                # while its address is known
        self.delivery.leave(client)
        self.promises.leave(client)
        self.joining.looking.leave(client)
        if not is_errand:
            self.joining.leave(client)
        self.roster.leave(client)
        self.publication.leave(client)
        # not if the disk refused the name
        if self.mailbox.find(client.name) is client.user and not is_errand:
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

    def on_operate(self, client: Client, said: wire.Operate, now: Now) -> None:
        raise wire.ProtocolError("an OPERATE on the connection of a client")

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
