"""switchboard: the rules of the house.

Every message that a client may say ends here, in one row of a table, and is passed to the room whose rules it falls
under: `presence` (who is here), `post` (messages), `chats` (invitations and sessions), `ignore` (whom not to hear).
What is the switchboard's own is the door: who may come in under which name, and what happens when somebody goes.

There is no socket, no clock and no disk in these rooms.  Time comes in with each call; what is said to a client
is put into its `out` list; messages are given to the mailbox, and what was promised on its account is said when the
mailbox has settled.  So all five specifications can be read here, and tested by calling functions.

The turn, as the daemon calls it (the order is the promise):

    receive ...     each message of each client; answers are only queued
    [mailbox.write]     one write; when the disk refuses: refuse(), nobody has seen anything of the batch
    push()          live messages leave for their readers
    settle(seq)     STORED, DELIVERED, CONFIRMED, WELCOME leave, of this turn or of an earlier one
    tick()          lines of chats, and what time brings
    [mailbox.sync]      an fdatasync is begun, unless one is under way

The door: a name is 1 to 32 of A-Z a-z 0-9 . _ -, beginning with a letter or digit; case does not tell two names apart.
Some words are nobody's name.  Whether a name is kept for somebody else is asked first, in claims.py.  Two connected
clients never share one: the second is refused, unless the first is its own ghost, and is put out.  It is if both
brought the same token, or the second brings the one that the first was given (the WELCOME that told it may never have
come).  And the first may be dead without the daemon's knowing: where the second comes from the same host or login, or
proved who it is, the first is asked whether it is alive before the second is refused (is_alive).
"""
from __future__ import annotations

from collections import deque
from collections.abc import Callable
from hmac import compare_digest
from typing import Any

import wire
from rules.chats import Chats
from rules.claims import TRUSTING, Claims, Identity, Question
from rules.delivery import Delivery
from rules.hosts import Hosts
from rules.ignore import Ignores
from rules.post import Post
from rules.promises import Promises
from rules.quota import Accounts, Everyone
from rules.roster import Roster
from rules.runs import Run
from rules.state import Caller, Client, Now, Refusal
from rules.store import RefusedBatch, Store
from rules.table import Table
from store.user import User
from wire import Why

RESERVED = frozenset({"all", "you", "everyone", "server", "system", "parley", "root", "admin", "quit"})
FEATURES = (wire.Feature.ROSTER | wire.Feature.RECEIPTS | wire.Feature.HOLD | wire.Feature.PROVE
            | wire.Feature.IGNORE)
NO_TOKEN = bytes(16)
NOTED = frozenset({      # requests that are noted as they arrive; the others have a note of their own, or none
    wire.Check, wire.Hold, wire.List, wire.Invite, wire.Answer, wire.Withdraw, wire.ListIgnored, wire.Claim,
    wire.Unclaim, wire.Exit})


class Switchboard:
    """The service, without its sockets."""

    def __init__(self, mailbox: Store, note: Callable[..., None], *, house: str, token: Callable[[], bytes],
                 patience: int, accounts: Accounts, everyone: Everyone, hosts: Hosts,
                 identity: Identity = TRUSTING, is_alive: Callable[[Client], bool] = lambda client: True,
                 is_silent: bool = False) -> None:
        self.mailbox = mailbox
        self.note = note
        self.house = house                      # what the daemon calls itself
        self.hosts = hosts
        self.token = token                      # makes 16 unguessable bytes
        self.is_alive = is_alive                # raises Doubtful while it asks
        self.roster = Roster(mailbox.users)
        self.ignores = Ignores(mailbox, self.roster, note)
        self.promises = Promises(self.roster)
        self.delivery = Delivery(mailbox, self.roster, note, self.promises, accounts)
        self.post = Post(mailbox, self.roster, note, self.promises, self.delivery, accounts, everyone, self.ignores,
                         is_silent)
        self.chats = Chats(mailbox, self.roster, note, self.ignores, patience)
        self.claims = Claims(mailbox, self.roster, self.promises, note, token, identity)
        self.table = Table(mailbox.users, self.roster, self.chats, house)
        self.owes_much = self.promises.is_owed_much             # asked for each request: no call more
        self._leavers: list[Client] = []                        # those who left in this turn
        self._leaving: deque[tuple[int, Client]] = deque()      # earlier, and the last id when they did
        self._handlers: dict[type, Callable[[Client, Any, Now], None]] = {
            wire.Sends: self.post.on_send,
            wire.Confirm: self.delivery.on_confirm,
            wire.Check: self.delivery.on_check,
            wire.Hold: self.delivery.on_hold,
            wire.List: self.on_list,
            wire.Invite: self.chats.on_invite,
            wire.Answer: self.chats.on_answer,
            wire.Withdraw: self.chats.on_withdraw,
            wire.Say: self.chats.on_say,
            wire.Ignore: self.on_ignore,
            wire.ListIgnored: self.ignores.on_ignored,
            wire.Exit: self.on_exit,
            wire.Ping: self.on_ping,
            wire.Pong: self.on_pong,
            wire.Claim: self.claims.on_claim,
            wire.Unclaim: self.claims.on_unclaim,
            wire.Proof: self.on_proof,
            wire.Hello: self.on_hello,
        }

    # ---- the door ----

    def enter(self, hello: wire.Hello, caller: Caller, now: Now) -> Client | Question:
        """Let a client in under its name, or ask who it is.  Raises Refusal."""
        try:
            self._check_name(hello)
            return self.claims.question(hello, caller, now) or self._admit(hello, caller, now, proven=False)
        except Refusal as refusal:
            self._turned_away(hello, caller, refusal)
            raise

    def may_ask(self, question: Question, waited: bool, now: Now) -> bool:
        """Whether the CHALLENGE of a question may be sent now; if so it is counted."""
        return self.claims.may_ask(question, waited, now)

    def prove(self, question: Question, said: wire.Proof, caller: Caller, now: Now) -> Client:
        """Let a client in that was asked who it is.  Raises Refusal."""
        try:
            verified = self.claims.verified(question, said, caller, now)
            client = self._admit(question.hello, caller, now, proven=True)
        except Refusal as refusal:
            self._turned_away(question.hello, caller, refusal)
            raise
        client.greeting = wire.encode(verified)
        return client

    def _turned_away(self, hello: wire.Hello, caller: Caller, refusal: Refusal) -> None:
        self.note("rejected", name=hello.name, address=caller.address, reason=str(refusal))

    def _admit(self, hello: wire.Hello, caller: Caller, now: Now, *, proven: bool) -> Client:
        host = caller.host
        user = self._user(hello, host, now, proven)
        client = Client(user, caller, host, hello.features & FEATURES, self.token(), hello.token, now.wall)
        self.hosts.enter(host)
        self.mailbox.seen(user, now.wall)
        self.claims.entered(client, caller, proven)
        self.roster.enter(client)
        self.delivery.enter(client, wire.Welcome(wire.VERSION, client.features, client.token, self.mailbox.store,
                                                 now.wall, user.waiting, user.name, self.house))
        self.note("connected", name=user.name, address=caller.address, waiting=user.waiting)
        return client

    def _check_name(self, hello: wire.Hello) -> None:
        """Whether the name may be anybody's."""
        if hello.version != wire.VERSION:
            raise Refusal(Why.VERSION, f"this daemon speaks version {wire.VERSION} of the protocol alone")
        if not wire.is_name(hello.name):
            raise Refusal(Why.BAD_NAME, "a username has 1 to 32 of A-Z a-z 0-9 . _ - and begins with a letter or digit")
        if hello.name.lower() in RESERVED:
            raise Refusal(Why.BAD_NAME, f"{hello.name} is a reserved word: choose another name")

    def _user(self, hello: wire.Hello, host: str, now: Now, proven: bool) -> User:
        """The user of that name, new or known, whose place is free, if this host may have one client more."""
        user = self.mailbox.find(hello.name)
        other = self.roster.clients.get(user.number) if user else None
        if self.hosts.is_full(host) and not (other and other.host == host):
            raise Refusal(Why.FULL, f"from your address {self.hosts.clients} clients are connected, and no more may be")
        if user is None:
            if self.mailbox.refusal:
                raise Refusal(Why.FULL, f"no new names now: {self.mailbox.refusal}")
            if refusal := self.hosts.admit_name(host, len(self.mailbox.users), now.monotonic):
                raise Refusal(*refusal)
            self.note("new-name", name=hello.name)
            return self.mailbox.register(hello.name, now.wall)
        if other is not None:
            if _is_own(hello.token, other):
                self.put_out(other, "taken over by its owner", now)
            elif not (proven or other.host == host) or self.is_alive(other):
                raise Refusal(Why.TAKEN, f"{user.name} is already in use: choose another name")
        return user

    def put_out(self, client: Client, reason: str, now: Now) -> None:
        """End a client's stay from our side, and say why."""
        self.roster.tell(client, wire.Notice(f"you were disconnected: {reason}"))
        self.leave(client, reason, now)

    def leave(self, client: Client, reason: str, now: Now) -> None:
        """A client is gone, for whatever reason.  Harmless when it has left already."""
        if client.has_left:
            return
        client.has_left = True
        self._leavers.append(client)
        self.hosts.leave(client.host)
        self.chats.leave(client, now)
        self.delivery.leave(client)
        self.roster.leave(client)
        if self.mailbox.find(client.name) is client.user:       # not when the disk refused to keep the name
            self.mailbox.seen(client.user, now.wall)
        self.note("disconnected", name=client.name, reason=reason)

    # ---- requests ----

    def receive(self, client: Client, said: Any, now: Now) -> int:
        """One message of a client that has entered.  Returns how many units of work it was
        (server/fairness.py).  Raises ProtocolError."""
        if client.has_left:
            return 1
        client.work = 1
        if type(said) in NOTED:
            self.note("request", name=client.name, request=wire.describe(said))
        self._handlers[type(said)](client, said, now)
        return client.work

    def receive_run(self, client: Client, run: Run, now: Now) -> int:
        """The same for a run of messages, of a client that has not left."""
        client.work = 0
        self.post.on_run(client, run, now)
        return client.work

    def on_list(self, client: Client, said: wire.List, now: Now) -> None:
        self.roster.on_list(client, said.request)

    def on_ignore(self, client: Client, said: wire.Ignore, now: Now) -> None:
        self.post.on_ignore(client, said, now)
        self.chats.withhold(client)

    def on_exit(self, client: Client, said: wire.Exit, now: Now) -> None:
        self.leave(client, "exit", now)

    def on_ping(self, client: Client, said: wire.Ping, now: Now) -> None:
        self.roster.tell(client, wire.Pong(said.stamp))

    def on_pong(self, client: Client, said: wire.Pong, now: Now) -> None:
        """It is alive: that its bytes arrived has said so already."""

    def on_proof(self, client: Client, said: wire.Proof, now: Now) -> None:
        raise wire.ProtocolError("a PROOF that nobody asked for")

    def on_hello(self, client: Client, said: wire.Hello, now: Now) -> None:
        raise wire.ProtocolError("a second HELLO on one connection")

    # ---- the turn ----

    def written(self) -> None:
        """The batch of this turn is written."""
        self.promises.written(self.mailbox.last)

    def refuse(self, batch: RefusedBatch, now: Now) -> list[Client]:
        """The disk refused the batch of this turn.  Returns those who can't stay: their names could not be kept."""
        for user, _ in batch.settings:
            self.ignores.load(user)
        return self.post.refuse(batch)

    def push(self) -> None:
        """Live messages to their readers."""
        self.delivery.push()

    def settle(self, seq: int) -> None:
        """On disk up to this seq: what was promised on its account is said."""
        for client in self.promises.settle(seq):
            self.delivery.stirred[client] = None
        self.delivery.tell_waiting()

    def tick(self, now: Now) -> None:
        """A turn ends, time passes: what was said in chats is passed on, invitations expire, and what changed in the
        log of names is told."""
        self.chats.pass_on(now)
        self.chats.expire(now.monotonic)
        self.roster.publish(now.monotonic)

    def speaking(self) -> list[Client]:
        """The clients that were told something since the last call: it is in their `out`."""
        speaking, self.roster.speaking = self.roster.speaking, []
        return speaking

    def gone(self) -> list[Client]:
        """At the end of a turn: clients that left and have been told everything, what waited for
        the disk too.  Each is named once."""
        if self._leavers:
            self._leaving += [(self.mailbox.last, client) for client in self._leavers]
            self._leavers = []
        gone: list[Client] = []
        while self._leaving and not self.promises.owes_of(self._leaving[0][0]):
            gone.append(self._leaving.popleft()[1])
        return gone

    def tell_everybody(self, said: wire.Message) -> None:
        """Queue a message for each connected client."""
        self.roster.tell_all(list(self.roster.clients.values()), said)

    @property
    def owes(self) -> bool:
        """Whether an answer waits for the disk."""
        return self.promises.owes

    def next_timer(self) -> float:
        """When there is something to do that no client asked for, on the monotonic clock; 0 for at once, inf: never."""
        if self.delivery.stirred or self.delivery.crowd:
            return 0.0
        return min(self.chats.next_expiry(), self.roster.next_publish())


def _is_own(token: bytes, other: Client) -> bool:
    """Whether who brings this token is the program whose session that is."""
    return token != NO_TOKEN and (compare_digest(token, other.token) or compare_digest(token, other.presented_token))
