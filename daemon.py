#!/usr/bin/env python3
"""daemon: sockets, time and order.

One thread, one loop.  A turn of it is Daemon.turn(), and that nothing acknowledged is ever lost is a property of the
order of its lines:

    read        every ready connection: bytes -> messages -> the switchboard decides; answers are only queued
    write       one write of everything that this turn accepted; what the disk refuses is taken back
    push        live messages are for their readers
    settle      what the last fdatasync that has ended made true is said: STORED, DELIVERED, CONFIRMED, WELCOME
    flush       everything leaves, one send a connection
    sync        an fdatasync is begun, unless one is under way (syncer.py: nobody waits for it)

then timers, the console, and a slice of the mailbox's own work.

Fairness.  A connection is read once a turn, 64 KiB at most, and gets as many units of work as fairness.py allows; what
is left of its frames waits: for the next turn when nobody else asks, else it rests, and is not read, until the time
that fairness.py says.  A connection that does not read what it is sent is not read either, once BACKLOG_MAX bytes wait
for it, so that its requests can't make us hold more; above UNSENT_MAX, whatever they are, it is closed.  What a reader
must get waits in its queue on disk, not here (post.py).

Limits stand below, and in options.py, each with its reason.  Strangers, connections that have not said HELLO, have
LOGIN_SECONDS, and are counted at the doors (doors.py).  Where they are too many, the one who has kept us waiting
longest makes room for the newcomer.

Signals set a flag and wake the loop.  TERM and INT: stop accepting, put on disk what was accepted, tell the clients,
exit 0; a second one ends at once.  HUP: open the log again, look whether the sockets' files are there (doors.py);
clients stay.  But when the terminal that the console is shown on is gone, HUP is as TERM: nobody would see the daemon,
or know that it still runs.  The table ends with its terminal even if no HUP comes.  A parent may have blocked these
signals: they are let through.  One that has ignored INT runs the daemon in the background of a script, whose Ctrl-C is
not for the daemon: INT stays ignored.

Errors by blame.  The peer's: ProtocolError, told once, disconnected.  The disk's: refused (post.py), or the process
ends with one line, code 70, as soon as an fdatasync fails.  Ours: a traceback, for it is a bug.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # `mailbox` is ours, however Python was started

import gc
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from math import inf
from typing import Any

import wire
from mailbox import Full, Mailbox, StoreError
from net.logins import Logins
from net.tls import Secured
from rules import runs
from rules.claims import TRUSTING, Identity, Question
from rules.hosts import Hosts
from rules.quota import Accounts, Everyone
from rules.state import Caller, Client, Doubtful, Now, Refusal
from rules.switchboard import Switchboard
from server import startup
from server.console import Console
from server.doors import Doors, is_gone
from server.fairness import BUDGET, FREE, Fairness, Share
from server.options import PROGRAM, Limits, limits, parse
from server.signals import Signals, end_at_next
from server.timers import NEVER, Timers
from store.check import check
from store.disk import Disk
from store.salvage import salvage
from terminal.usage import die, die_of_lack, open_standard, say

# Limits, each with its reason.
READ_SIZE = 65536           # bytes read from a connection in a turn; more costs time in allocation and gains nothing
BACKLOG_MAX = 256 * 1024    # bytes unsent above which a connection is not read: a window of messages, and then some
UNSENT_MAX = 2 * 1024 * 1024    # above which it is closed: more than windows, lists and chats can leave unread by their
                                # own limits; a message is in its queue all the same
ANSWER_SECONDS = 20         # for the PONG
GHOST_SECONDS = 5           # for the PONG, while its own owner waits for the name: less than a client's patience (10 s)
ALIVE_SECONDS = 1           # whoever was heard so lately is not asked
DOUBT_SECONDS = 0.1         # between two looks whether it has answered
PROOF_SECONDS = 2.0         # for the PROOF, while others wait for the place: a client has its key ready
LEAVE_SECONDS = 10          # for one who left, or was put out, to take what it was still told
GOODBYE_SECONDS = 1.0       # to tell the clients at the end
REST_SECONDS = 3.0          # to bring to rest what waits at the end: what takes longer is as well off in the journals
SWEEP_SECONDS = 1.0         # between two looks at who was silent
RETRY_SECONDS = 0.25        # between two looks whether a full disk has room again
SLICE = 0.002               # seconds of the mailbox's own work in a turn, if the rest took as long: it is then twice as
                            # long at most, or longer by one step of that work
QUIET_SECONDS = 0.1         # without a batch, before the journal says that all is on the disk: one small write more for
                            # a burst of messages, and none for each of a stream
HOLD_SECONDS = 5.0          # that a request waits for a disk that is too far behind, before it is refused; a client
                            # waits 20 s for its PONG
WORK_SECONDS = 0.01         # between two looks whether there is any: a journal grows by some megabytes meanwhile

KEPT = frozenset(wire.CODECS[cls].kind for cls in (     # requests that may need the disk, and can be refused
    wire.Sends, wire.Hello, wire.Proof, wire.Ignore, wire.Claim, wire.Unclaim))

OF_ONE_HOST = "too many connections from your address are logging in: try again"
OF_ONE_DOOR = "too many connections are logging in: try again"


def clock() -> Now:
    """The time: the one place where the daemon reads it."""
    return Now(time.time_ns() // 1000, time.monotonic())


class Connection:
    """A socket, whoever is at its other end: any stream socket will do, one of a socketpair too."""
    __slots__ = ("address", "asked", "binding", "client", "closing", "decoder", "due", "ended", "frames", "heard",
                 "mask", "next", "opened", "pinged", "place", "question", "share", "sock", "uid", "unsent")

    def __init__(self, sock: socket.socket | Secured, place: str, caller: Caller, now: float, rate: int) -> None:
        self.sock = sock
        self.share = Share(now, rate)           # of the turns
        self.place = place                      # its listener: strangers are counted for each apart
        self.address, self.uid, self.binding = caller
        self.question: Question | None = None   # what a stranger has to prove
        self.asked = 0.0                        # when it was told so, monotonic
        self.decoder = wire.Decoder()
        self.frames: Sequence[bytes] = ()       # that arrived; from `next` on they wait for their turn
        self.next = 0
        self.client: Client | None = None       # None: a stranger
        self.unsent = b""                      # what the socket did not take yet
        self.mask = selectors.EVENT_READ
        self.opened = self.heard = now          # monotonic
        self.due = NEVER                        # the list of those who are looked at in one second
        self.pinged = 0.0                       # when, 0: not since it was last heard
        self.ended = False                      # it has said all that it will say, and listens
        self.closing = ""                       # why it is closed as soon as everything was sent

    @property
    def caller(self) -> Caller:
        """Who it is, as far as is known."""
        return Caller(self.address, self.uid, self.binding)

    @property
    def is_open(self) -> bool:
        """Its socket was not closed."""
        return self.sock.fileno() >= 0


class Daemon:
    """The service with its sockets."""

    def __init__(self, mailbox: Mailbox, console: Console, limits: Limits, *, house: str,
                 clock: Callable[[], Now] = clock, identity: Identity = TRUSTING) -> None:
        self.mailbox = mailbox
        self.console = console
        self.limits = limits
        self.clock = clock
        self.now = clock()
        self.board = Switchboard(mailbox, console.note, house=house, token=lambda: os.urandom(16),
                                 patience=limits.patience, accounts=Accounts(limits.quotas),
                                 everyone=Everyone(limits.everyone, limits.everyone_seconds),
                                 hosts=Hosts(limits.clients_each, limits.new_names, limits.names),
                                 identity=identity, is_alive=self._is_alive, is_silent=console.is_silent)
        self.selector = selectors.DefaultSelector()
        self._count = 0                                         # of connections
        self.connection_of: dict[Client, Connection] = {}
        self._strangers: dict[Connection, None] = {}            # those without a name, as they came
        self.doors = Doors(self.selector, self.adopt, self._is_full, self._idle, console.note, limits.strangers,
                           limits.strangers_each, lambda: self.fairness.accepts(self.now.monotonic))
        self.signal = 0                                         # the one that ends it
        self.signals = Signals()
        self.fairness = Fairness(limits.rate)
        self._unfinished: dict[Connection, None] = {}           # those with frames left over from their last read
        self._resting: dict[Connection, float] = {}             # had their share: not read until then
        self._held: dict[Connection, None] = {}                 # wait for the disk, and are not read
        self._owed: dict[Connection, None] = {}                 # are owed much that waits for the disk: not read either
        self._behind_at = 0.0                                   # since when some were; 0: it is not too far behind
        self._silences: Timers[Connection] = Timers()  # when clients may have been silent for long
        self._sweep_at = 0.0                                    # the next look at who was silent
        self._working = False                                   # the mailbox has more of its own work to do
        self._work_at = 0.0                                     # the next look whether it has
        self._looked = -1                                       # what it had counted to at the last look
        self._quiet_at = inf                                    # if nothing is written till then, the journal says so
        self._noticed = mailbox.last                              # what it had counted to when that was found out
        self._refusing: str | None = None                       # why it refused, when last noted
        for descriptor, take in mailbox.disk.ready:             # when a sync has ended
            self.selector.register(descriptor, selectors.EVENT_READ, lambda *_, take=take: take())

    # ---- the turn ----

    def turn(self, wait: float | None = None) -> None:
        """One turn of the loop, waiting for at most so many seconds (None: until there is something to do)."""
        ready = self.selector.select(self._timeout(wait))
        self.now = self.clock()
        if self.signals.came:
            self._on_signals()
        self._rested()
        for connection in list(self._unfinished):
            self._process(connection)
        for key, mask in ready:
            if type(key.data) is Connection:
                self._on_ready(key.data, mask)
            else:
                key.data(key.fileobj, mask)
        self._write()
        self.board.push()
        settled = self.mailbox.settled()
        self.board.settle(settled)
        self.board.tick(self.now)
        self._flush()
        if self.mailbox.sync() != settled:      # a disk that does not work in the background
            self.board.settle(self.mailbox.settled())
            self._flush()
        self._goodbye()
        self._timers()
        self.console.draw(self.now.monotonic, self.board.table.title, self.board.table.rows)

    def _write(self) -> None:
        """What this turn accepted goes into the journal, or is refused."""
        for _ in range(2):                  # what was read is tried again: for that a full disk has a reserve
            try:
                self.mailbox.write()
            except Full as full:
                if not self._refusing:
                    self.console.note("disk-full", reason=full.reason)
                    self._refusing = full.reason
                for client in self.board.refuse(full, self.now):
                    self._reject(client, f"no new names now: {full.reason}")
            else:
                break
        self.board.written()

    def _timeout(self, wait: float | None) -> float | None:
        """How long select may wait."""
        if self._unfinished or self._working:
            return 0.0
        monotonic = self.now.monotonic          # of the turn's beginning: nothing is due to the millisecond
        until = min(self._sweep_at, self._quiet_at, self.board.next_timer(), self.doors.open_at,
                    self.console.next_draw(), *self._resting.values())
        if self._held:
            until = min(until, self._behind_at + HOLD_SECONDS)
        if self.mailbox.last != self._looked:
            until = min(until, self._work_at)
        if self.mailbox.refusing:
            until = min(until, monotonic + RETRY_SECONDS)
        timeout = min(SWEEP_SECONDS, until - monotonic)
        return max(0.0, timeout if wait is None else min(timeout, wait))

    def _timers(self) -> None:
        """What time brings: silent connections, the listeners' pause, the mailbox's own work."""
        monotonic = self.now.monotonic
        if monotonic >= self._sweep_at:
            self._sweep_at = monotonic + SWEEP_SECONDS
            if self.console.mode == "table" and self.console.hung_up():
                self.signal = signal.SIGHUP     # it went without a word: to make or a shell, which do not pass it on
            for connection in list(self._strangers):
                self._check_stranger(connection)
            for connection in self._silences.take(monotonic):
                self._check_silence(connection)
            self.doors.look(monotonic)
        self.doors.tick(monotonic)
        if self._working or self.mailbox.working or monotonic >= self._work_at:
            self._work_at, self._looked = monotonic + WORK_SECONDS, self.mailbox.last
            taken = self.clock().monotonic - monotonic
            self._working = self.mailbox.work(min(SLICE, taken))
        if self.mailbox.last != self._noticed:
            self._noticed, self._quiet_at = self.mailbox.last, monotonic + QUIET_SECONDS
        elif monotonic >= self._quiet_at:
            self._quiet_at = inf if self.mailbox.settle() else monotonic + RETRY_SECONDS
        if self._behind_at:
            self._let_go()
        if self._owed:
            self._paid()
        for line in self.mailbox.notes:
            self.console.note("store", says=line)
        self.mailbox.notes.clear()
        if self._refusing != self.mailbox.refusing:
            if not self.mailbox.refusing:
                self.console.note("disk-free")
            elif not self._refusing:
                self.console.note("disk-full", reason=self.mailbox.refusing)
            self._refusing = self.mailbox.refusing

    # ---- coming in ----

    def adopt(self, sock: socket.socket | Secured, place: str, caller: Caller) -> None:
        """Serve a connected stream socket that came in at this listener, from this caller."""
        sock.setblocking(False)
        connection = Connection(sock, place, caller, self.now.monotonic, self.limits.rate)
        self.selector.register(sock, connection.mask, connection)
        self._count += 1
        self._read(connection)                  # its HELLO is mostly there already: then it is no stranger
        if connection.client is None and connection.is_open:
            self._keep_waiting(connection)

    def _keep_waiting(self, connection: Connection) -> None:
        """A stranger, for now; one more than may be makes room, or has it made."""
        place, host = connection.place, connection.caller.host
        self._strangers[connection] = None
        self.doors.stranger(place, host, 1)
        if not connection.closing:
            if self.doors.is_over(place, host):
                self._make_room(connection, self._idle(place, host), OF_ONE_HOST)
            elif self.doors.is_over(place):
                self._make_room(connection, self._idle(place), OF_ONE_DOOR)

    def _make_room(self, newcomer: Connection, idle: Connection | None, reason: str) -> None:
        """Close this stranger, or if there is none who is idle the newcomer."""
        other = idle or newcomer
        if not other.closing:
            self._refuse(other, wire.Why.FULL, reason)
        if idle:
            self._close(idle, reason)           # whether it could be told or not

    def _idle(self, place: str, host: str = "") -> Connection | None:
        """The oldest stranger of this listener, and host, who was told to go, has not said HELLO, or was asked for its
        proof some time ago and does not give it.  Not one who waits for its own ghost's end."""
        long_ago = self.now.monotonic - PROOF_SECONDS
        for other in self._strangers:
            if other.place == place and host in ("", other.caller.host) and self._is_idle(other, long_ago):
                return other
        return None

    def _is_idle(self, stranger: Connection, long_ago: float) -> bool:
        question = stranger.question
        if stranger.closing or question is None:
            return bool(stranger.closing) or stranger not in self._resting
        return not question.at and stranger.asked <= long_ago

    def _is_full(self) -> bool:
        return self._count >= self.limits.clients

    @property
    def connections(self) -> dict[int, Connection]:
        """All of them, by descriptor."""
        return {key.fd: key.data for key in self.selector.get_map().values() if type(key.data) is Connection}

    # ---- reading ----

    def _on_ready(self, connection: Connection, mask: int) -> None:
        if mask & selectors.EVENT_WRITE and connection.unsent:
            self._transmit(connection, connection.unsent)
        if mask & selectors.EVENT_READ and not connection.frames and not connection.closing:
            self._read(connection)
        elif not mask and connection.client is None:
            self._close(connection, "the line was closed")      # nothing is waited for but a hang-up, or an error

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._close(connection, error.strerror or str(error))
            return
        if not data:
            self._on_end(connection)
            return
        connection.heard, connection.pinged = self.now.monotonic, 0.0
        connection.frames, connection.next = connection.decoder.split(data), 0
        self._process(connection)

    def _on_end(self, connection: Connection) -> None:
        """The peer will say no more.  One that said EXIT, and only shut down that direction, hears what it is owed."""
        client = connection.client
        if client is None or not client.has_left or is_gone(connection.sock, said_all=False):
            self._close(connection, "the line was closed")
        else:
            connection.ended = True
            self._watch(connection)

    def _process(self, connection: Connection) -> None:
        """The frames that arrived, as many as its share of the turn allows, and while what they answer is read."""
        self._unfinished.pop(connection, None)
        if len(connection.unsent) >= BACKLOG_MAX:
            return                              # _watch goes on with them when the peer has read
        fairness, share, now, frames = self.fairness, connection.share, self.now.monotonic, connection.frames
        mailbox, owes_much = self.mailbox, self.board.owes_much
        allowed, spent = fairness.allowance(share, len(self._unfinished) + len(self._resting), now), 0
        tokens = fairness.tokens(share, now) if fairness.rate else BUDGET
        try:
            while connection.next < len(frames) and spent < allowed and tokens >= 1 and not connection.closing:
                kind = frames[connection.next][0]
                if kind in KEPT and mailbox.last > mailbox.most and self._hold(connection):
                    break
                if owes_much(connection.client):
                    self._owed[connection] = None
                    self._watch(connection)
                    break
                asked, work = self._frames(connection, int(min(allowed - spent, tokens)))
                spent += work
                frames = connection.frames      # who entered may send longer ones; who was put out has none
                if fairness.rate and kind not in FREE:
                    share.tokens = tokens = tokens - asked
        except wire.ProtocolError as error:
            self._violation(connection, str(error))
        except Doubtful:
            connection.next -= 1                # its HELLO, or PROOF, is looked at again in a moment
            self._resting[connection] = now + DOUBT_SECONDS
            self._watch(connection)
            return
        fairness.had(share, spent)
        if connection in self._held or connection in self._owed:
            return                              # it is not read until the disk has come nearer
        if connection.next < len(frames) and not connection.closing:
            if tokens >= 1:
                fairness.floods(share, now)
            if tokens >= 1 and fairness.is_alone(share, now):
                self._unfinished[connection] = None
            else:
                self._rest(connection)
            return
        if frames and spent < allowed:
            fairness.had_all(share, frames[-1][0], now)
        connection.frames = ()
        if connection.decoder.fault and not connection.closing:
            self._violation(connection, connection.decoder.fault)

    def _frames(self, connection: Connection, most: int) -> tuple[int, int]:
        """The next message, or the next run of SENDS, `most` at most; returns how many, and the work that was made."""
        client, frames, at = connection.client, connection.frames, connection.next
        connection.next += 1
        if client is None:
            self._enter(connection, wire.decode(frames[at], wire.CLIENT))
            return 1, 1
        if frames[at][0] != runs.SEND_KIND or client.has_left:
            return 1, self.board.receive(client, wire.decode(frames[at], wire.CLIENT), self.now)
        found = runs.run_of_sends(frames, at, most, len(self.mailbox.users))
        if found is None:
            said = wire.decode(frames[at], wire.CLIENT)
            return len(said.texts), self.board.receive(client, said, self.now)
        connection.next = at + found[1]
        return found[0].messages, self.board.receive_run(client, found[0], self.now)

    def _rest(self, connection: Connection) -> None:
        """It had its share, or is over its rate: it is not read for a while, nor asked whether it is there."""
        share = connection.share
        self._resting[connection] = self.fairness.rest(share, len(self._resting), self.now.monotonic)
        self._watch(connection)

    def _hold(self, connection: Connection) -> bool:
        """The disk is too far behind for what this one asks: it is not read, till the disk has come nearer.  False: it
        has waited long enough, and is refused."""
        now = self.now.monotonic
        self._behind_at = self._behind_at or now
        if now - self._behind_at >= HOLD_SECONDS:
            return False
        self._held[connection] = None
        self._watch(connection)
        return True

    def _let_go(self) -> None:
        """Go on with those who are held: the disk is not far behind any more, or they have waited long enough."""
        now = self.now.monotonic
        if not self.mailbox.is_behind:
            self._behind_at = 0.0
        elif now - self._behind_at < HOLD_SECONDS:
            return
        held, self._held = self._held, {}
        for connection in held:
            connection.heard = now
            self._watch(connection)

    def _paid(self) -> None:
        """Read those again who were owed much, and are no more."""
        for connection in [each for each in self._owed if not self.board.owes_much(each.client)]:
            del self._owed[connection]
            connection.heard = self.now.monotonic
            self._watch(connection)

    def _rested(self) -> None:
        """Read those again that have rested."""
        for connection in [each for each, until in self._resting.items() if self.now.monotonic >= until]:
            del self._resting[connection]
            connection.heard = self.now.monotonic
            self._watch(connection)

    def _enter(self, connection: Connection, said: Any) -> None:
        """The first message of a connection, or the second of one that was asked for a proof."""
        question, kind = connection.question, type(said)
        if kind is not (wire.Proof if question else wire.Hello) or (question and question.at):
            raise wire.ProtocolError(f"a {wire.name_of(said)} before {'CHALLENGE' if question else 'HELLO'}")
        decoder, frames = connection.decoder, connection.frames
        if is_gone(connection.sock, connection.next == len(frames) and not decoder.held):
            self._close(connection, "the line was closed before it was let in")
            return
        try:
            entered: Client | Question
            if question:
                entered = self.board.door.prove(question, said, connection.caller, self.now)
            else:
                entered = self.board.door.enter(said, connection.caller, self.now)
        except Refusal as refusal:
            self._refuse(connection, wire.Why(refusal.message.why), refusal.message.reason)
            return
        if isinstance(entered, Question):
            connection.question = entered
            self._challenge(connection, entered, waited=False)
            return
        self._no_stranger(connection)
        connection.client, self.connection_of[entered] = entered, connection
        self._silences.put(connection, connection.heard + self.limits.silence_seconds)
        decoder.widen(wire.FRAME_MAX)
        if more := decoder.split(b""):                  # what came behind HELLO may be longer than a stranger's
            connection.frames = [*frames, *more]

    def _is_alive(self, client: Client) -> bool:
        """Whether a session answers that is in the way of its owner; if not, it is over.  Raises Doubtful meanwhile."""
        connection, now = self.connection_of.get(client), self.now.monotonic
        if connection is None:
            return False
        if now - connection.heard < ALIVE_SECONDS or connection.frames or connection in self._resting:
            return True
        if not connection.pinged:
            connection.pinged = now
            self._send(connection, wire.encode(wire.Ping(self.now.wall)))
        if connection.is_open and now - connection.pinged < GHOST_SECONDS:
            raise Doubtful
        self._close(connection, "no answer to PING")
        return False

    def _no_stranger(self, connection: Connection) -> None:
        """It is counted no more among those who have no name."""
        if connection in self._strangers:
            del self._strangers[connection]
            self.doors.stranger(connection.place, connection.caller.host, -1)

    def _challenge(self, connection: Connection, question: Question, *, waited: bool) -> None:
        """Ask for the proof, as soon as that host may be asked again."""
        if self.board.door.may_ask(question, waited, self.now):
            connection.question, connection.asked = question._replace(at=0.0), self.now.monotonic
            self._send(connection, wire.encode(question.challenge))

    # ---- writing ----

    def _flush(self) -> None:
        """Everything that was said leaves: one send a connection."""
        for client in self.board.speaking():
            frames, client.out = client.out, ()
            connection = self.connection_of.get(client)
            if frames and connection is not None:
                self._send(connection, b"".join(frames) if len(frames) > 1 else frames[0])

    def _send(self, connection: Connection, data: bytes) -> None:
        """Send now what the socket takes, and the rest when it takes more."""
        if not connection.unsent:
            self._transmit(connection, data)
        elif len(connection.unsent) + len(data) > UNSENT_MAX:
            self._close(connection, "it does not read what it is sent")
        else:
            connection.unsent += data
            self._watch(connection)

    def _transmit(self, connection: Connection, data: bytes) -> None:
        taken = 0
        if data:
            try:
                taken = connection.sock.send(data)
            except BlockingIOError:
                pass
            except OSError as error:
                self._close(connection, error.strerror or str(error))
                return
        if taken < len(data) or connection.unsent or connection.closing:
            connection.unsent = data[taken:]
            self._watch(connection)

    def _watch(self, connection: Connection) -> None:
        """Tell the selector what this connection is waited for; close it when that was the last of it."""
        backlog = len(connection.unsent)
        if connection.client:
            connection.client.backlog = backlog
        if connection.closing and not backlog:
            self._close(connection, connection.closing)
            return
        mask = selectors.EVENT_WRITE if backlog else 0
        if backlog < BACKLOG_MAX and not (connection.closing or connection.ended or connection in self._resting
                                          or connection in self._held or connection in self._owed):
            mask |= selectors.EVENT_READ
            if connection.frames:
                self._unfinished[connection] = None
        if mask != connection.mask:
            connection.mask = mask
            self.selector.modify(connection.sock, mask, connection)

    # ---- ending ----

    def _goodbye(self) -> None:
        """Those who left, or were put out, and were told everything, what waited for the disk too: close when that has
        gone."""
        for client in self.board.door.gone():
            connection = self.connection_of.get(client)
            if connection is not None:
                connection.closing = connection.closing or "left"
                self._silences.put(connection, connection.heard + LEAVE_SECONDS)
                self._send(connection, b"")

    def _refuse(self, connection: Connection, why: wire.Why, reason: str) -> None:
        """A stranger is told why it can't come in."""
        connection.closing = reason
        self._send(connection, wire.encode(wire.Rejected(why, reason)))

    def _reject(self, client: Client, reason: str) -> None:
        """A newcomer whose name could not be kept is a stranger again, and told so."""
        connection = self.connection_of.pop(client)
        self.board.door.leave(client, reason, self.now)
        connection.client = None
        self._silences.drop(connection)
        self._strangers[connection] = None
        self.doors.stranger(connection.place, connection.caller.host, 1)
        self._refuse(connection, wire.Why.FULL, reason)

    def _violation(self, connection: Connection, reason: str) -> None:
        """The peer broke the protocol: told once, then closed."""
        client = connection.client
        name = client.name if client else ""
        self.console.note("violation", address=connection.address, name=name, reason=reason)
        if client:
            self.board.door.put_out(client, reason, self.now)
        else:
            self._refuse(connection, wire.Why.OTHER, reason)

    def _close(self, connection: Connection, reason: str) -> None:
        if not connection.is_open:
            return
        self._count -= 1
        self._silences.drop(connection)
        self.selector.unregister(connection.sock)
        connection.sock.close()
        connection.frames, connection.closing = (), connection.closing or reason
        self._unfinished.pop(connection, None)
        self._resting.pop(connection, None)
        self._held.pop(connection, None)
        self._owed.pop(connection, None)
        if connection.client is None:
            self._no_stranger(connection)
            self.console.note("closed", address=connection.address, reason=reason)
        else:
            del self.connection_of[connection.client]
            self.board.door.leave(connection.client, reason, self.now)

    def _check_stranger(self, connection: Connection) -> None:
        """Strangers have little time."""
        if self.now.monotonic - connection.opened >= self.limits.login_seconds:
            self._close(connection, "no PROOF in time" if connection.question else "no HELLO in time")
        elif connection.question and connection.question.at:
            self._challenge(connection, connection.question, waited=True)

    def _check_silence(self, connection: Connection) -> None:
        """Clients are asked whether they are there, once, and then gone."""
        now, client = self.now.monotonic, connection.client
        if client is not None and client.has_left:
            reason, until = connection.closing, connection.heard + LEAVE_SECONDS
        elif connection in self._resting or connection in self._owed:
            reason, until = "", now + SWEEP_SECONDS
        elif connection.pinged:
            reason, until = "no answer to PING", connection.pinged + ANSWER_SECONDS
        else:
            reason, until = "", connection.heard + self.limits.silence_seconds
            if now >= until:
                connection.pinged, until = now, now + ANSWER_SECONDS
                self._send(connection, wire.encode(wire.Ping(self.now.wall)))
        if now >= until:
            self._close(connection, reason)
        elif connection.is_open:
            self._silences.put(connection, until)

    # ---- the process ----

    def catch_signals(self) -> None:
        """From now on signals wake the loop; should that fail, it sees them within a second."""
        self.selector.register(self.signals.catch(), selectors.EVENT_READ,
                               lambda end, _: end.recv(64))

    def _on_signals(self) -> None:
        for number in self.signals.take():
            if number == signal.SIGHUP and self.console.hung_up():
                self.signal = number            # the terminal it was shown on is gone
            elif number == signal.SIGHUP:
                self._reload()
            elif number == signal.SIGWINCH:
                self.console.changed = True
            elif number in (signal.SIGTERM, signal.SIGINT):
                self.signal = number
                end_at_next(number)

    def _reload(self) -> None:
        try:
            self.console.reopen()
        except OSError as error:
            self.console.note("store", says=f"the log could not be opened again: {error}")
        self.doors.look(self.now.monotonic, now=True)
        self.console.note("reloaded")

    def run(self) -> None:
        """Serve until a signal says to stop."""
        while not self.signal:
            self.turn()
        self.stop()

    def stop(self) -> None:
        """What was accepted is on disk; the clients are told; nobody is waited for longer than a moment."""
        self.console.note("stopping", signal=signal.Signals(self.signal).name if self.signal else "none")
        self.doors.close()
        self.board.tell_everybody(wire.Notice("the daemon is stopping"))
        deadline = self.clock().monotonic + GOODBYE_SECONDS
        self.turn(0)
        while self._owes() and self.clock().monotonic < deadline:
            self.turn(0.05)
        for connection in list(self.connections.values()):
            self.selector.unregister(connection.sock)
            connection.sock.close()
        self._seal()
        self.mailbox.close()
        self.signals.close()

    def _seal(self) -> None:
        """What waits, and the log of names, come to rest in dbm, if that does not take long."""
        deadline = self.clock().monotonic + REST_SECONDS
        with suppress(Full):
            self.mailbox.rest()
            while self.mailbox.resting and self.clock().monotonic < deadline:
                if not self.mailbox.work(SLICE):
                    self.turn(SLICE)            # only the disk can help it

    def _owes(self) -> bool:
        """Does anybody wait for an answer that is on its way to the disk, or into a socket?"""
        return self.board.owes or any(c.unsent for c in self.connections.values())


# ---- the program ----

def _inspect(look: Callable[[Disk], Iterator[str]]) -> int:
    """Print a report as it comes; damage is its last line and exit code 65."""
    disk = startup.open_disk()[0]
    try:
        for line in look(disk):
            say(PROGRAM, line)
    except StoreError as error:
        die(PROGRAM, error.code, str(error))
    finally:
        disk.end()
    return os.EX_OK


def main(arguments: Sequence[str] | None = None) -> int:
    """The program.  Returns or raises the exit code of sysexits(3)."""
    try:
        return _main(arguments)
    except OSError as fault:
        die_of_lack(PROGRAM, fault)


def _main(arguments: Sequence[str] | None) -> int:
    open_standard(PROGRAM, needs_output=False)
    options = parse(arguments)
    os.umask(0o077)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)       # a parent may ignore it, and then no child can be waited for
    if options.check_store:
        return _inspect(lambda disk: check(options.state, disk))
    if options.salvage:
        return _inspect(lambda disk: salvage(options.state, options.salvage, disk, options.backend))
    room = startup.file_limit()
    server = startup.certificate(options)
    started = time.monotonic()
    disk, slow = startup.open_disk()
    store = startup.open_store(options, disk)
    console = startup.open_console(options)
    if slow:
        console.note("store", says=slow)
    logins = Logins(lambda login, seconds: console.note("slow-login", login=login, seconds=f"{seconds:.1f}"))
    daemon = Daemon(store, console, limits(options, room), house=options.house,
                    identity=startup.identity(options, console, logins))
    daemon.doors.logins = logins
    gc.disable()    # nothing leaves cycles behind (tests/server/test_garbage.py), and to look for them among a
                    # million names takes a third of a second
    waiting = sum(user.waiting for user in store.users)
    console.note("recovered", names=len(store.users), waiting=waiting, seconds=f"{time.monotonic() - started:.3f}")
    daemon.catch_signals()
    mode = int(options.socket_mode, 8) if options.socket_mode else None
    startup.listen(daemon.doors, console, options.places, mode, server)
    if server:
        console.note("certificate", fingerprint=server.fingerprint)
    return _serve(daemon)


def _serve(daemon: Daemon) -> int:
    """Run; the terminal is left as it was found, whatever happens."""
    try:
        daemon.run()
    except StoreError as error:
        daemon.console.close()
        die(PROGRAM, error.code, f"{error}")
    finally:
        daemon.console.close()
        daemon.doors.close()
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
