#!/usr/bin/env python3
"""daemon: sockets, time and order.

One thread, one loop.  A turn of it is Daemon.turn(), and that nothing acknowledged is ever lost is
a property of the order of its lines:

    read        every ready connection: bytes -> messages -> the switchboard decides; answers are
                only queued
    write       one write of everything that this turn accepted; what the disk refuses is taken back
    push        live messages are for their readers
    settle      the switchboard says what the last fdatasync that has ended made true: STORED,
                DELIVERED, CONFIRMED, WELCOME
    flush       everything leaves, one send a connection
    sync        an fdatasync is begun, unless one is under way (store/syncer.py: nobody waits for
                it)

then timers, the console, and a slice of the mailbox's own work.

Fairness.  A connection is read once a turn (server/connection.py), and gets as many units of work
as server/fairness.py allows.  Its other frames wait: for the next turn when nobody else asks, else
for the time that fairness.py says (server/unfinished.py).

Limits stand in the modules of server/, each with its reason; those that the operator may change are
in server/options.py.  Connections that have not said HELLO have a bound and a deadline of their own
(server/strangers.py).

Signals set a flag and wake the loop (server/signals.py).  TERM and INT: accept nobody, sync what
was accepted, tell the clients, exit 0; a second one ends the process at once.  HUP: open the log
again, look whether the sockets' files are there, read the bans; clients stay.  If the console's
terminal has gone away, HUP means TERM; otherwise an invisible daemon would keep running.  The table
ends with its terminal even if no HUP comes.  USR1: write what was refused to whom.

Errors by blame.  The peer's: ProtocolError, told once, disconnected.  The disk's: refused
(rules/post.py), or the process ends with one line, code 70, as soon as an fdatasync fails.  Ours: a
traceback, for it is a bug.
"""
import gc
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # our `mailbox`, whatever the start

# The imports leave no garbage, and looking for it would be a fifth of a start and an exit.
gc.disable()

import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import wire
from mailbox import Full, Mailbox, StoreError
from net.logins import Logins
from net.tls import Secured
from rules import runs
from rules.claims import TRUSTING, Identity
from rules.state import Caller, Client, Doubtful, Now
from server import startup
from server.answers import TOLD
from server.chores import Chores
from server.connection import Connection, read_size
from server.console import Console
from server.doors import Doors
from server.fairness import BUDGET, FREE, Fairness
from server.heartbeat import Heartbeat
from server.operations import Operations
from server.options import PROGRAM, Limits, limits, parse, subcommand
from server.pace import Pace
from server.partings import Partings
from server.signals import Signals, end_at_next
from server.strangers import Strangers
from server.supervisor import Supervisor
from server.takeover import take_over
from server.unfinished import Unfinished
from store.check import check
from store.disk import Disk
from store.salvage import salvage
from terminal.usage import die, die_of_lack, open_standard, say

gc.freeze()
gc.enable()

GOODBYE_SECONDS = 1.0       # to tell the clients at the end
SWEEP_SECONDS = 1.0         # between two looks at strangers, silent clients and the terminal

# Requests that may need the disk, and can be refused.
KEPT = frozenset(wire.CODECS[cls].kind for cls in (
    wire.Sends, wire.Hello, wire.Resume, wire.Proof, wire.Ignore, wire.Claim, wire.Unclaim,
    wire.SetStatus, wire.Join, wire.Leave, wire.Topic, wire.Admit, wire.Close))


def clock() -> Now:
    """The time: the one place where the daemon reads it."""
    return Now(time.time_ns() // 1000, time.monotonic())


class Daemon:
    """The service with its sockets."""

    def __init__(self, mailbox: Mailbox, console: Console, limits: Limits, *, house: str,
                 clock: Callable[[], Now] = clock, identity: Identity = TRUSTING,
                 logins: Logins | None = None) -> None:
        self.mailbox = mailbox
        self.console = console
        self.limits = limits
        self.clock = clock
        self.now = clock()
        self.board = startup.switchboard(mailbox, console, limits, house, identity, self._is_alive)
        self.selector: selectors.BaseSelector = selectors.DefaultSelector()
        self.connection_of: dict[Client, Connection] = {}
        self.operations = Operations(self)
        self.strangers = Strangers(self.board.door, limits, self.operations)
        self.doors = Doors(self.selector, self, console.note, logins or Logins(), limits, clock)
        self.fairness, self.pace = Fairness(limits.rate), Pace(clock)
        self.unfinished = Unfinished(mailbox, self.board.owes_much, self.board.usages)
        self.heartbeat = Heartbeat(limits.silence_seconds, self.board.slices)
        self.partings = Partings(self.board, self.heartbeat, self.connection_of)
        self.lost = self.partings.lost
        self.chores = Chores(mailbox, console.note, clock)
        self.signals, self.signal = Signals(), 0            # all, and the one that ends it
        self._sweep_at = 0.0
        for descriptor, take in mailbox.disk.ready:         # when a sync has ended
            self.selector.register(descriptor, selectors.EVENT_READ, lambda *_, take=take: take())

    # ---- the turn ----

    def turn(self, wait: float | None = None, *, reads: bool = True) -> None:
        """One turn of the loop.  `wait`: seconds at most; None: until there is something to do.
        Without `reads` nobody is read or comes in."""
        ready = self.selector.select(self._timeout(wait))
        self.now = now = self.clock()
        if not reads:
            ready = _unread(ready)
        board, size = self.board, read_size(len(ready) + len(self.unfinished.resting))
        if self.signals.came:
            self._on_signals()
        for connection in self.unfinished.due(now.monotonic) if reads else ():
            self._process(connection)
        for some in self.pace.ready(ready, now.monotonic):
            for key, mask in some:
                if type(key.data) is Connection:
                    self._on_ready(key.data, mask, size)
                elif (type(key.fileobj) is int          # the disk's; nothing has closed it since
                        or self.selector.get_map().get(key.fd) == key):
                    key.data(key.fileobj, mask)
        self._write()
        board.push()
        settled = self.mailbox.settled()
        board.settle(settled)
        self.partings.leave(now)
        board.tick(now)
        self._flush()
        if self.mailbox.sync() != settled:      # a disk that does not work in the background
            board.settle(self.mailbox.settled())
            self._flush()
        if board.slices.works:
            for _ in self.pace.steps(board.slices, now.monotonic):
                self._flush()
        self.partings.part(now)
        self._timers()
        self.console.draw(now.monotonic, board.table.title, board.table.rows)

    def _write(self) -> None:
        """Write what this turn accepted into the journal, or refuse it."""
        for _ in range(2):          # what was read is tried again: a full disk has a reserve for it
            try:
                self.mailbox.write()
            except Full as full:
                self.chores.full(full.reason)
                for client in self.board.refuse(full, self.now):
                    self._reject(client, f"no new names now: {full.reason}")
            else:
                break
        self.board.written()

    def _timeout(self, wait: float | None) -> float | None:
        """How long select may wait."""
        if self.unfinished.next_turn or self.chores.working:
            return 0.0
        began = self.now.monotonic              # the turn did: nothing is due to the millisecond
        until = min(self._sweep_at, self.board.next_timer(), self.doors.open_at,
                    self.console.next_draw(), self.unfinished.until(), self.chores.until(began))
        timeout = min(SWEEP_SECONDS, until - began)
        return max(0.0, timeout if wait is None else min(timeout, wait))

    def _timers(self) -> None:
        """What time brings: silent connections, the listeners' pause, the mailbox's own work."""
        now, began = self.now, self.now.monotonic
        if began >= self._sweep_at:
            self._sweep_at = began + SWEEP_SECONDS
            if self.console.mode == "table" and self.console.hung_up():
                self.signal = signal.SIGHUP     # a shell or make does not always pass it on
            self.strangers.look(now)
            self.heartbeat.look(now)
            self.doors.look(began)
        self.doors.tick(began)
        self.chores.do(began)
        self.unfinished.release(began)

    # ---- connections come in (doors.Hall) ----

    def is_quiet(self) -> bool:
        """Whether no client asks for anything."""
        return self.fairness.is_quiet(self.now.monotonic)

    def has_room(self) -> bool:
        """Whether one more may come in."""
        here = len(self.strangers) + len(self.connection_of) + len(self.doors.handshakes)
        return here < self.limits.clients

    def adopt(self, sock: socket.socket | Secured, place: str, caller: Caller) -> None:
        """Serve a connected stream socket that came in at this listener, from this caller."""
        connection = Connection(sock, place, caller, self.now.monotonic, self.limits.rate,
                                self.selector, self)
        if connection.receive(self.now.monotonic):      # its HELLO is mostly there already: then it
            self._process(connection)                   # is no stranger
        if connection.client is None and connection.is_open:
            self.strangers.keep_waiting(connection)

    @property
    def connections(self) -> dict[int, Connection]:
        """All of them, by descriptor."""
        return {one.sock.fileno(): one for one in (*self.strangers, *self.connection_of.values())}

    # ---- they are read ----

    def _on_ready(self, connection: Connection, mask: int, size: int) -> None:
        if mask & selectors.EVENT_WRITE and connection.unsent:
            connection.transmit(connection.unsent)
            self.unfinished.go_on(connection)   # it may have waited for the peer to read
        if mask & selectors.EVENT_READ and not connection.frames and not connection.closing:
            if connection.receive(self.now.monotonic, size):
                self._process(connection)
            elif connection.ended:
                self.partings.ended(connection, self.now)
        elif not mask:                          # a hang-up, or an error
            connection.hung_up()

    def _process(self, connection: Connection) -> None:
        """Work off the frames that arrived: as many as its share of the turn allows, and while the
        peer reads what they are answered."""
        self.unfinished.next_turn.pop(connection, None)
        if connection.unsent and connection.is_clogged:
            return                              # _on_ready goes on when the peer has read
        fairness, share, unfinished = self.fairness, connection.share, self.unfinished
        now, frames = self.now.monotonic, connection.frames
        progress, owes_much = self.mailbox.progress, self.board.owes_much
        floods = len(unfinished.next_turn) + len(unfinished.resting)
        allowed, spent = fairness.allowance(share, floods, now), 0
        tokens = fairness.tokens(share, now) if fairness.rate else BUDGET
        try:
            while (connection.next < len(frames) and spent < allowed and tokens >= 1
                    and not connection.closing):
                kind = frames[connection.next][0]
                if (kind in KEPT and progress.last > progress.ask_above
                        and unfinished.hold(connection, now)):
                    break
                if owes_much(connection.client):
                    unfinished.owe(connection)
                    break
                asked, work = self._frames(connection, int(min(allowed - spent, tokens)))
                spent += work
                frames = connection.frames      # a client's may be longer; one put out has none
                if fairness.rate and kind not in FREE:
                    share.tokens = tokens = tokens - asked
        except wire.ProtocolError as error:
            self._violation(connection, str(error))
        except Doubtful:
            unfinished.doubt(connection, now)
            fairness.interrupted(share, spent)
            return
        if connection.paused:
            fairness.interrupted(share, spent)
        elif connection.next < len(frames) and not connection.closing:
            if until := fairness.wants_more(share, spent, len(unfinished.resting), now):
                unfinished.rest(connection, until)
            else:
                unfinished.next_turn[connection] = None
        else:
            if frames and spent < allowed:
                fairness.finished(share, spent, frames[-1][0], now)
            else:
                fairness.interrupted(share, spent)
            connection.frames = ()
            if connection.decoder.fault and not connection.closing:
                self._violation(connection, connection.decoder.fault)

    def _frames(self, connection: Connection, most: int) -> tuple[int, int]:
        """Work off the next message, or the next run of SENDS, `most` messages at most.  Returns
        how many messages, and how many units of work."""
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

    def _enter(self, connection: Connection, said: Any) -> None:
        """A stranger says HELLO or PROOF; it may be a client then."""
        client = self.strangers.enter(connection, said, self.now)
        if client is not None:
            connection.client, self.connection_of[client] = client, connection
            self.heartbeat.begin(connection)
            connection.widen()

    def _is_alive(self, client: Client) -> bool:
        """Whether a session that is in its owner's way answers.  Raises Doubtful meanwhile."""
        connection = self.connection_of.get(client)
        return connection is not None and self.heartbeat.is_alive(connection, self.now)

    # ---- they are answered, and end ----

    def _flush(self) -> None:
        """Everything that was said leaves: one send a connection."""
        for client in self.board.speaking():
            frames, client.out = client.out, ()
            connection = self.connection_of.get(client)
            if frames and connection is not None:
                connection.send(b"".join(frames) if len(frames) > 1 else frames[0])

    def _reject(self, client: Client, reason: str) -> None:
        """The disk refused a newcomer's name: tell it, a stranger again."""
        connection = self.connection_of.pop(client, None)
        self.board.door.leave(client, reason, self.now)
        if connection is not None:
            connection.client = None
            self.heartbeat.end(connection)
            self.strangers.turn_out(connection, wire.Why.FULL, reason)

    def _violation(self, connection: Connection, reason: str) -> None:
        """The peer broke the protocol: tell it once, then close."""
        client = connection.client
        name = client.name if client else ""
        self.console.note("violation", address=connection.caller.address, name=name, reason=reason)
        if client:
            self.board.door.put_out(client, reason, self.now)
        else:
            self.strangers.refuse(connection, wire.Why.OTHER, reason)

    def closed(self, connection: Connection, reason: str) -> None:
        """A connection was closed, from whichever end."""
        self.heartbeat.end(connection)
        self.unfinished.drop(connection)
        client = connection.client
        if client is None:
            self.strangers.remove(connection)
            if connection.closing != TOLD and not connection.was_look(reason):
                self.console.note("closed", address=connection.caller.address, reason=reason)
        else:
            del self.connection_of[client]
            self.board.door.leave(client, reason, self.now)

    # ---- the process ----

    def _on_signals(self) -> None:
        for number in self.signals.take():
            if number == signal.SIGHUP and self.console.hung_up():
                self.signal = number            # the console's terminal has gone away
            elif number in (signal.SIGTERM, signal.SIGINT):
                self.signal = number
                end_at_next(number)
            else:
                self.operations.on_signal(number)

    def run(self) -> None:
        """Serve until a signal says to stop."""
        while not self.signal:
            self.turn()
            if self.operations.upgrade.is_due:
                self.operations.upgrade.go()
        self.stop()

    def stop(self) -> None:
        """Sync what was accepted and tell the clients; wait for nobody longer than a moment."""
        self.operations.stopping(signal.Signals(self.signal).name if self.signal else "none")
        self.doors.close()
        self.board.tell_everybody(wire.Notice(wire.STOPPING))
        deadline = self.clock().monotonic + GOODBYE_SECONDS
        self.turn(0)
        while ((self.board.owes or self.board.slices
                or any(each.unsent for each in self.connections.values()))
               and self.clock().monotonic < deadline):
            self.turn(0.05)
        for connection in list(self.connections.values()):
            connection.drop()
            self.unfinished.drop(connection)        # chores.rest() turns the loop
        self.chores.rest(self.turn)
        self.mailbox.close()
        self.signals.close()


def _unread(ready: Sequence[tuple[selectors.SelectorKey, int]]
            ) -> list[tuple[selectors.SelectorKey, int]]:
    """Of what is ready the disk's, and the peers that take what they were told."""
    return [(key, selectors.EVENT_WRITE if type(key.data) is Connection else mask)
            for key, mask in ready if type(key.fileobj) is int
            or (type(key.data) is Connection and mask & selectors.EVENT_WRITE)]


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
    words = sys.argv[1:] if arguments is None else arguments
    if asked := subcommand(words):
        from server import control  # 3 ms, for a program that ends at once
        return control.run(asked)
    options, supervisor = parse(words), Supervisor.take(os.environ)
    gc.disable()    # nothing leaves cycles behind (tests/server/test_garbage.py), and to look for
                    # them among a million names takes a third of a second
    inherited, handed = startup.inherited(options), startup.handover(options)
    os.umask(0o077)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)       # ignored, as by some parents, no child can
                                                        # be waited for
    if options.check_config:
        startup.check_config(options, handed)
        return os.EX_OK
    if options.check_store:
        return _inspect(lambda disk: check(options.state, disk))
    if options.salvage:
        return _inspect(lambda disk: salvage(options.state, options.salvage, disk, options.backend))
    startup.hide_memory()
    room = startup.file_limit()
    server = startup.first_certificate(options)
    started = time.monotonic()
    disk, slow = startup.open_disk()
    store = startup.open_store(options, disk)
    console = startup.open_console(options)
    if slow:
        console.note("store", says=slow)
    logins = Logins(lambda login, seconds: console.note("slow-login", login=login,
                                                        seconds=f"{seconds:.1f}"))
    daemon = Daemon(store, console, limits(options, room), house=options.house,
                    identity=startup.identity(options, console, logins), logins=logins)
    waiting = sum(user.waiting for user in store.users)
    console.note("recovered", names=len(store.users), waiting=waiting,
                 seconds=f"{time.monotonic() - started:.3f}")
    startup.load_kept(daemon.operations)
    startup.browse(console, daemon.board, daemon.selector)
    daemon.signals.catch(daemon.selector)
    mode = int(options.socket_mode, 8) if options.socket_mode else None
    startup.listen(daemon.doors, console, options.places, mode, server, inherited,
                   handed.listeners() if handed else ())
    if server:
        daemon.operations.certificate = lambda: startup.certificate(options)
        daemon.operations.use(server)
        startup.judge_key(server, console)
    daemon.operations.supervisor = supervisor
    if handed:
        daemon.operations.upgrade.ended(handed, take_over(daemon, handed))
        daemon.board.slices.begin(daemon.operations.banned.put_out(lambda: daemon.now))
        handed.bury()
    supervisor.ready()
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
