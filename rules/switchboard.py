"""switchboard: the rules of the house.

Every message that a client may send ends here, in one row of a table, and is passed to the module
whose rules it falls under: door (who comes in, and goes), publication (the log of names), post
(messages sent), delivery (messages received), invitations and sessions (chats), ignore (whom a user
does not want to hear), statuses (who says that they are away), claims (whose name is whose), bans
and retirement (whom the operator keeps out).

The rules know no socket, no clock and no disk.  Time comes in with each call; what is said to a
client is put into its `out` list; messages are given to the mailbox (store.py), and what was
promised on its account is said when the mailbox has settled.  So all five specifications can be
read here, and tested by calling functions.

The turn, as the daemon calls it (the order is the promise):

    receive ...     each message of each client; answers are only queued
    [mailbox.write]     one write; if the disk refuses: refuse(), nobody has seen the batch
    written()       the answers of this turn wait for the disk
    push()          live messages leave for their readers
    settle(seq)     STORED, DELIVERED, CONFIRMED, WELCOME leave, of this turn or an earlier one
    tick()          lines of chats, and what time brings
    slices.step()   a step of what is too much for one turn
    [mailbox.sync]      an fdatasync is begun, unless one is under way
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import wire
from rules.allowances import Allowances
from rules.bans import Bans
from rules.claims import TRUSTING, Claims, Identity
from rules.delivery import Delivery
from rules.door import Door
from rules.errands import Errands
from rules.hosts import Hosts
from rules.ignore import Ignores
from rules.invitations import Invitations
from rules.joining import Joining
from rules.looking import Looking
from rules.newcomers import Newcomers
from rules.owners import Owners
from rules.post import Post
from rules.promises import Promises
from rules.publication import Publication
from rules.quota import Accounts, Broadcasts
from rules.receipts import Receipts
from rules.retirement import Retirement
from rules.rooms import ROOM_LINES, Rooms
from rules.roster import Roster
from rules.runs import Run
from rules.sessions import Sessions
from rules.slices import Slices
from rules.state import Client, Errand, Now
from rules.statuses import Statuses
from rules.store import RefusedBatch, Setting, Store
from rules.table import Table
from rules.usage import Usages
from wire import Why

NOTED = frozenset({     # requests that are noted as they arrive; the others have notes of their own
    wire.Check, wire.Hold, wire.List, wire.Invite, wire.Answer, wire.Withdraw, wire.ListIgnored,
    wire.Claim, wire.Unclaim, wire.Exit, wire.Join, wire.Leave, wire.Admit, wire.Close,
    wire.ListRooms, wire.ListMembers, wire.Recall, wire.Trace})
NO_ERRAND = "an errand does not do this: log in as a session"


class Switchboard:
    """The service, without its sockets."""

    def __init__(self, mailbox: Store, note: Callable[..., None], *, house: str,
                 token: Callable[[], bytes], patience: int, accounts: Accounts,
                 broadcasts: Broadcasts, hosts: Hosts, identity: Identity = TRUSTING,
                 is_alive: Callable[[Client], bool] = lambda client: True,
                 room_lines: int = ROOM_LINES, is_silent: bool = False) -> None:
        self.mailbox = mailbox
        self.note = note
        self.slices = Slices()          # what is too much for one turn: go on with it at its end
        self.roster = Roster(mailbox.users, self.slices)
        self.publication = Publication(mailbox.users, self.roster)
        self.promises = Promises(self.roster)
        self.usages = Usages(mailbox, self.roster, accounts.quotas.login_size, identity.login_of)
        owners = Owners(mailbox, hosts.names_each, identity.login_of, identity.trusting)
        self.ignores = Ignores(mailbox, self.roster, self.promises, note, owners)
        self.rooms = Rooms(mailbox, self.roster, identity.groups, room_lines)
        self.errands = Errands(mailbox, self.roster)
        self.receipts = Receipts(mailbox, self.roster, self.promises, self.errands, self.ignores)
        self.delivery = Delivery(mailbox, self.roster, note, self.promises, accounts, self.errands,
                                 self.receipts, is_silent)
        self.statuses = Statuses(mailbox, self.roster, self.promises, note)
        newcomers = Newcomers(mailbox, self.roster, note, hosts, owners, identity)
        self.post = Post(mailbox, self.roster, note, self.promises, self.delivery, accounts,
                         broadcasts, self.ignores, self.usages, self.rooms, self.statuses,
                         newcomers, is_silent)
        self.allowances = Allowances(mailbox, accounts, self.usages, self.post.audiences)
        self.sessions = Sessions(self.roster, note, self.ignores)
        self.invitations = Invitations(mailbox, self.roster, note, self.ignores, self.sessions,
                                       patience)
        self.claims = Claims(mailbox, self.roster, self.promises, note, token, identity,
                             owners)
        self.bans = Bans(identity.operators)
        self.retirement = Retirement(mailbox, self.roster, accounts)
        self.looking = Looking(self.rooms, mailbox, self.roster)
        self.joining = Joining(self.rooms, mailbox, self.roster, self.promises, note,
                               self.looking, self.claims, hosts, newcomers)
        self.door = Door(mailbox, note, roster=self.roster, publication=self.publication,
                         hosts=hosts, claims=self.claims, promises=self.promises,
                         delivery=self.delivery, sessions=self.sessions,
                         invitations=self.invitations, house=house, token=token,
                         is_alive=is_alive, usages=self.usages, bans=self.bans,
                         joining=self.joining, errands=self.errands)
        self.table = Table(mailbox.users, self.roster, self.sessions, self.rooms, house)
        self.owes_much = self.promises.is_owed_much     # asked for each request: no call more
        self._handlers = self._rows()

    def _rows(self) -> dict[type, Callable[[Client, Any, Now], None]]:
        """The table: what a client may say, and whose rule that is."""
        return {
            wire.Sends: self.post.on_send,
            wire.Confirm: self.delivery.on_confirm,
            wire.Check: self.delivery.on_check,
            wire.Trace: self.receipts.on_trace,
            wire.Hold: self._of_sessions(self.delivery.on_hold),
            wire.List: self.publication.on_list,
            wire.Invite: self._of_sessions(self.invitations.on_invite),
            wire.Answer: self.invitations.on_answer,
            wire.Withdraw: self.invitations.on_withdraw,
            wire.Say: self.sessions.on_say,
            wire.Ignore: self.on_ignore,
            wire.ListIgnored: self.ignores.on_ignored,
            wire.SetStatus: self.statuses.on_status,
            wire.Claim: self.claims.on_claim,
            wire.Unclaim: self.claims.on_unclaim,
            wire.Join: self.joining.on_join,
            wire.Leave: self.joining.on_leave,
            wire.Topic: self.joining.on_topic,
            wire.Admit: self.joining.on_admit,
            wire.Close: self.joining.on_close,
            wire.ListRooms: self.looking.on_list_rooms,
            wire.ListMembers: self.looking.on_list_members,
            wire.Recall: self.looking.on_recall,
            wire.Ping: self.on_ping,
            wire.Pong: self.on_pong,
            wire.Exit: self.door.on_exit,
            wire.Hello: self.door.on_hello,
            wire.Resume: self.door.on_hello,
            wire.Operate: self.door.on_operate,
            wire.Proof: self.door.on_proof,
        }

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

    def address_of(self, name: str) -> str:
        """Where the user of this name is connected from; "" if there is none."""
        user = self.mailbox.find(name)
        clients = self.errands.clients(user) if user else []
        return clients[0].address if clients else ""

    def _of_sessions(self, handler: Callable[[Client, Any, Now], None]
                     ) -> Callable[[Client, Any, Now], None]:
        """This rule, for sessions alone."""
        def handle(client: Client, said: Any, now: Now) -> None:
            if isinstance(client, Errand):
                self.roster.tell(client, wire.Failed(said.request, Why.OTHER, NO_ERRAND))
            else:
                handler(client, said, now)
        return handle

    def on_ignore(self, client: Client, said: wire.Ignore, now: Now) -> None:
        self.ignores.on_ignore(client, said, now)
        self.invitations.withhold(self.errands.session_of(client.user) or client)

    def on_ping(self, client: Client, said: wire.Ping, now: Now) -> None:
        self.roster.tell(client, wire.Pong(said.stamp))

    def on_pong(self, client: Client, said: wire.Pong, now: Now) -> None:
        """The client is alive: the daemon knows that since the bytes arrived."""

    # ---- the turn ----

    def refuse(self, batch: RefusedBatch, now: Now) -> list[Client]:
        """The disk refused the batch of this turn: take its promises back.  Returns the newcomers
        that can't stay, because their names could not be stored."""
        for user, kind in batch.settings:
            self.ignores.load(user)
            if kind == Setting.STATUS:
                self.statuses.publish(user)
        if batch.settings:
            self.claims.owners.count()
            self.rooms.refused(dict.fromkeys(user for user, _ in batch.settings))
            self.looking.refused()
        self.post.refuse(batch)
        self.delivery.recount(batch.mails)
        return self.promises.refuse(batch)

    def written(self) -> None:
        """The batch of this turn is written."""
        self.promises.written(self.mailbox.last)

    def push(self) -> None:
        """Send live messages to their readers."""
        self.delivery.push()

    def settle(self, seq: int) -> None:
        """Everything up to this seq is on disk: send the answers that promise it."""
        for client in self.promises.settle(seq):
            if not client.has_left:
                self.publication.welcomed(client)
                self.looking.welcomed(client)
                self.statuses.welcomed(client)
                self.delivery.welcomed(client)

    def tick(self, now: Now) -> None:
        """At the end of a turn: pass on what was said in chats, call off invitations that expired,
        and publish what changed in the log of names."""
        if self.sessions.spoken:
            self.sessions.pass_on(now)
        if self.errands.checks:
            self.delivery.tick(now)
        if self.invitations.pending:
            self.invitations.expire(now.monotonic)
        if (self.rooms.lines.long or self.looking.told
                or now.monotonic >= self.rooms.groups.review_at):
            self.joining.look(now)
        self.publication.publish(now.monotonic)
        if self.slices.deaf:
            self.slices.wake()

    def speaking(self) -> list[Client]:
        """The clients that were told something since the last call: it is in their `out`."""
        speaking, self.roster.speaking = self.roster.speaking, []
        return speaking

    def tell_everybody(self, said: wire.Message) -> None:
        """Queue a message for each connected client."""
        self.roster.tell_all(self.errands.everybody(), said)

    def is_answering(self, client: Client) -> bool:
        """Whether a CHECK or a LIST of this client, or the OUTCOMES of a message, go on without a
        further word from it."""
        is_checking = client.window.checking is not None and (
            not client.welcomed or client in self.delivery.stirred or client in self.errands.checks
            or client in self.delivery.clogged)
        return (is_checking or client.log_copy.list_request > 0
                or self.promises.is_sending(client) or self.looking.is_answering(client)
                or self.receipts.is_answering(client))

    @property
    def owes(self) -> bool:
        """Whether an answer waits for the disk."""
        return self.promises.owes

    def next_timer(self) -> float:
        """When the rules have something to do that no client asked for, on the monotonic clock; 0:
        at once; inf: never."""
        delivery, slices, until = self.delivery, self.slices, self.rooms.groups.review_at
        if (delivery.stirred or self.roster.speaking or slices.works
                or (delivery.clogged and delivery.is_due) or (slices.deaf and slices.is_due())):
            return 0.0
        if self.errands.checks:
            until = min(until, self.errands.until())
        return min(until, self.invitations.next_expiry(), self.publication.next_publish())
