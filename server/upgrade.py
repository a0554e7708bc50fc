"""upgrade: another program, mostly a newer one, takes the daemon's place, and nobody notices.

`parleyd upgrade`, or SIGUSR2.  The program is whatever the command line of this process starts now:
a new release that was installed over the old one, with the configuration file as it is now.

    1  try it       the same command line with --check-config is started beside the daemon, and told
                    what it will be told (handover.py).  It has to answer READY.  If it fails, or
                    takes longer than TRY_SECONDS, the daemon says why and serves on
    2  fall quiet   no client is read any more; the turns go on until nothing is under way: no sync,
                    no seal, no answer that waits for the disk, and no work in slices but long
                    answers, which the program goes on with.  If that takes longer than
                    QUIET_SECONDS, the daemon serves on
    3  hand over    what a start would have lost is written into memory, and this process becomes
                    the program, by exec(2): it has the same pid, and its listeners and connections
                    stay open.  Callers wait in the kernel meanwhile
    4  go on        the program recovers the store, as any start does, and takes up the listeners
                    and connections (takeover.py)

Nothing acknowledged depends on it: before 3 everything is on the disk, and a program that dies
after 3 is started anew like one that was killed.  Clients over TLS are told that the daemon stops,
and come again by themselves (handover.py says why); so do handshakes under way.
"""
from __future__ import annotations

import json
import os
import selectors
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

import wire
from mailbox import Full, Mailbox
from net.tls import Secured
from rules.handover import chats_saved, is_quiet
from rules.state import Now
from rules.switchboard import Switchboard
from server.answers import answer
from server.connection import Connection
from server.console import Console
from server.doors import Doors
from server.handover import ASKED, TRIED, VARIABLE, Handover, connection_saved, named, written
from server.signals import KNOWN, Signals
from server.supervisor import Supervisor
from terminal.display import clip, display
from terminal.usage import RELEASE

READY = "ready to take over"    # what the program has to say
TRY_SECONDS = 10.0              # to say it: a start takes a tenth of a second
SEAL_SECONDS = 30.0             # for a seal under way to end, while clients are served
QUIET_SECONDS = 2.0             # to fall quiet; clients wait, and their patience is 10 s
LOOK_SECONDS = 0.01             # between two looks whether all is quiet
TOLD_MAX = 4096                 # bytes that are read of what the program says
SAMPLE = 20                     # connections that it is told of when it is tried
REASON_MAX = 300                # columns


class NotUpgraded(Exception):
    """The daemon serves on: one line that says why."""


class House(Protocol):
    """The daemon, as an upgrade knows it."""
    board: Switchboard
    mailbox: Mailbox
    console: Console
    doors: Doors
    selector: selectors.BaseSelector
    signals: Signals
    clock: Callable[[], Now]
    now: Now
    signal: int         # set to end the daemon

    @property
    def connections(self) -> Mapping[int, Connection]: ...

    def turn(self, wait: float | None = None, *, reads: bool = True) -> None: ...


class Orders(Protocol):
    """What the operator asked for before (operations.py)."""
    supervisor: Supervisor
    drained_at: float   # by when the daemon ends, monotonic; 0: it does not

    def look(self, now: Now) -> None: ...


class Upgrade:
    """The upgrade that is under way, if one is."""

    def __init__(self, house: House, orders: Orders) -> None:
        self.house = house
        self.orders = orders
        self.is_due = False                     # the program was tried: go()
        self._asker: Connection | None = None
        self._tried = 0                         # the pid of the program that is tried
        self._ending: list[int] = []            # those that were tried, and are to be waited for
        self._told = b""                        # what it says
        self._line = -1                         # on which it says it
        self._until = 0.0                       # monotonic

    @property
    def is_under_way(self) -> bool:
        return self._tried > 0 or self.is_due

    def begin(self, asker: Connection | None = None) -> None:
        """Try the program.  `asker`: a connection that is told how it ended."""
        if self.is_under_way:
            if asker:
                answer(asker, os.EX_TEMPFAIL, "an upgrade is under way already")
            return
        self._asker = asker
        try:
            if not sys.executable or not hasattr(os, "memfd_create"):
                raise NotUpgraded("this system has no memfd_create(2)")
            if self.house.mailbox.refusing:
                raise NotUpgraded(f"{self.house.mailbox.refusing}: make room first")
            self._try()
        except NotUpgraded as error:
            self._failed(str(error))

    def _try(self) -> None:
        """Raises NotUpgraded."""
        self._told, self._until = b"", self.house.clock().monotonic + TRY_SECONDS
        line, theirs = os.pipe()
        document = written(self._document(SAMPLE))
        try:
            self._tried = _tried(document, theirs)
        except OSError as error:
            os.close(line)
            raise NotUpgraded(f"{sys.executable}: {error.strerror}") from None
        finally:
            os.close(theirs)
            os.close(document)
        os.set_blocking(line, False)
        self._line = line
        self.house.selector.register(line, selectors.EVENT_READ, lambda *_: self._listen())

    def _listen(self) -> None:
        """It says something: a part of it in each turn, for it may say more than anybody reads."""
        with suppress(BlockingIOError):
            data = os.read(self._line, TOLD_MAX)
            self._told = (self._told + data)[-TOLD_MAX:]
            if not data:
                self._end_trial()

    def look(self, monotonic: float) -> None:
        """Once a second: whether the program takes too long to answer."""
        self._ending = [pid for pid in self._ending if not _is_buried(pid)]
        if self._tried and monotonic >= self._until:
            self._told = b"the new program did not answer in time"   # READY or not: it hangs
            self._end_trial()

    def _end_trial(self) -> None:
        """It has said all, or its time is over: it is ended, whatever it does."""
        self.house.selector.unregister(self._line)
        os.close(self._line)
        with suppress(OSError):
            os.kill(self._tried, signal.SIGKILL)
        self._ending.append(self._tried)        # a disk that stands still may keep it for long
        self._tried = 0
        lines = [line for line in self._told.decode(errors="replace").splitlines() if line.strip()]
        if READY in lines:
            self.is_due = True
            self._until = self.house.clock().monotonic + SEAL_SECONDS
        else:
            said = display(lines[-1]) if lines else "the new program said nothing"
            self._failed(clip(said, REASON_MAX))

    def _failed(self, reason: str) -> None:
        self.is_due = False
        self.house.console.note("not-upgraded", reason=reason)
        if self._asker:
            answer(self._asker, os.EX_UNAVAILABLE, f"not upgraded: {reason}")

    def go(self) -> None:
        """Hand over.  Returns if that can't be done, or not yet."""
        house = self.house
        if house.mailbox.upkeep.is_working and house.clock().monotonic < self._until:
            return                              # a seal: all are served meanwhile
        began = house.clock().monotonic
        try:
            self._fall_quiet(began)             # if that can't be, nobody over TLS has to go
            told = self._tell_tls()
            self._fall_quiet(began)
            self.become(self._document() | {"began": began, "told": told})
        except (NotUpgraded, Full) as error:
            self._failed(str(error))

    def _tell_tls(self) -> int:
        """The clients over TLS have to come again.  How many those are."""
        house, told = self.house, 0
        for connection in list(house.connections.values()):
            if isinstance(connection.sock, Secured):
                if client := connection.client:
                    house.board.roster.tell(client, wire.Notice(wire.STOPPING))
                    house.board.door.leave(client, "the daemon is upgraded", house.clock())
                    told += 1
                connection.closing = connection.closing or "the daemon is upgraded"
        return told

    def _fall_quiet(self, began: float) -> None:
        """Raises NotUpgraded."""
        house, board = self.house, self.house.board
        wait = 0.0
        while True:
            board.publication.hurry()
            house.turn(wait, reads=False)
            wait = LOOK_SECONDS
            is_at_rest = (is_quiet(board) and not house.mailbox.upkeep.is_working
                          and house.mailbox.finish(wait=False))
            if is_at_rest:
                self.orders.look(house.now)     # answers that waited for the disk
            if house.signal:
                raise NotUpgraded("the daemon was told to end")
            if is_at_rest:
                return
            if house.clock().monotonic - began >= QUIET_SECONDS:
                raise NotUpgraded(house.mailbox.refusing or (
                    "too much is under way now: try again" if board.slices.works else
                    "the disk is too slow now: try again"))

    def _document(self, most: int | None = None) -> dict[str, Any]:
        """What the next program has to know; of so many connections."""
        house, board = self.house, self.house.board
        kept = [each for each in list(house.connections.values())[:most]
                if not isinstance(each.sock, Secured)]
        return {
            "release": RELEASE, "began": 0.0, "told": 0,
            "state": os.path.realpath(house.mailbox.directory), "is_terminal": os.isatty(1),
            "children": [*house.mailbox.disk.children, *self._ending],
            "draining": board.door.draining, "drained_at": self.orders.drained_at,
            "listeners": house.doors.saved(),
            "connections": [connection_saved(each, board) | {ASKED: each is self._asker}
                            for each in kept],
            "chats": chats_saved(board)}

    def become(self, document: dict[str, Any]) -> None:
        """Be the program.  Raises NotUpgraded."""
        house = self.house
        inherited = [each["fd"] for each in (*document["connections"], *document["listeners"])]
        fd = written(document)
        environment = {**os.environ, **self.orders.supervisor.environment(),
                       VARIABLE: named(fd, str(os.getpid()))}
        self.orders.supervisor.reloading()
        house.console.suspend()
        house.signals.leave()                   # they wait for the program
        for each in inherited:
            os.set_inheritable(each, True)
        try:
            os.execve(sys.executable, sys.orig_argv, environment)
        except OSError as error:
            for each in inherited:
                os.set_inheritable(each, False)
            os.close(fd)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, KNOWN)
            house.console.resume()
            self.orders.supervisor.ready()
            raise NotUpgraded(f"{sys.executable}: {error.strerror}") from None

    # ---- in the program that has taken over ----

    def ended(self, handed: Handover, asker: Connection | None) -> None:
        """Say that this program serves in place of the one before."""
        house, clients = self.house, len(self.house.board.errands.everybody())
        milliseconds = round((house.clock().monotonic - handed.began) * 1000)
        self.orders.drained_at = handed.drained_at
        house.console.note("upgraded", before=handed.release, release=RELEASE, clients=clients,
                           told=handed.told, milliseconds=milliseconds)
        if asker:
            answer(asker, os.EX_OK, json.dumps({
                "before": handed.release, "release": RELEASE, "clients": clients,
                "told": handed.told, "milliseconds": milliseconds}))


def _is_buried(pid: int) -> bool:
    """Whether this child has ended, or is none."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except OSError:
        return True


def _tried(document: int, output: int) -> int:
    """Start the program, to be told what it would say.  Its pid.  Raises OSError."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        low, actions = 3, []                    # descriptors below are the standard ones
        for theirs, ours in ((0, null), (1, output), (2, output), (low, document)):
            actions.append((os.POSIX_SPAWN_DUP2, ours, theirs))
        return os.posix_spawn(
            sys.executable, [*sys.orig_argv, "--check-config"],
            {**os.environ, VARIABLE: named(low, TRIED)}, file_actions=actions)
    finally:
        os.close(null)
