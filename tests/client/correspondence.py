"""Senders and readers on the real client's Link and Archive; a daemon; a disk that is robbed.

A `House` is the daemon on a disk that syncs when a test says so; what a cut takes from it,
platter.py draws.  A `Person` is a client program under one name: it can be killed, its line can be
cut before or after it has read what was said to it, and another program can take its place.  The
oracle is kept outside of them all:

    person.stored       ids of the messages of which a sender was told STORED
    person.kept()       the texts in a reader's archive; each may stand there once, ever
    person.screen       how often each text was painted

Texts are never the same twice, so that two messages cannot be taken for one.
"""
from __future__ import annotations

import os
import random
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import wire
from client import archive as archives
from client.archive import Archive
from client.link import Link
from daemon import Daemon
from mailbox import Mailbox
from net.address import Address
from rules.state import Caller
from server.fairness import TICK
from tests.harness.service import Notes, Service
from tests.store.lives import MortalDisk
from tests.store.platter import Platter

FOR_EVER = 1 << 30              # turns that a sync takes until it is let through
ROUNDS = 10_000                 # of daemon and clients, until all have come to rest
LINES_MAX = 50                  # lines that one may need to come in
HERE = Address("/nowhere/parley.sock", "", 0)


class House(Service):
    """A daemon whose disk can be slow, and be robbed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.disk: Any = None
        self.platter, self.followed = Platter(), 0
        self.people: list[Person] = []
        super().__init__()

    def start(self) -> None:
        self.notes = Notes()
        if self.disk is None:
            self.disk = MortalDisk(self.store)
        self.mailbox = Mailbox(self.store, self.disk, "dbm.dumb")
        self.daemon = Daemon(self.mailbox, self.notes, self.limits, house="test", clock=self.clock)

    def run(self) -> None:
        """As ever; but somebody who rests and has hung up is ready all the time, and yet time must
        pass."""
        for _ in range(ROUNDS):
            self.daemon.turn(0)
            if self.daemon.unfinished.resting:
                self.clock.forward(TICK)
            elif not self.daemon.selector.select(0) and self.daemon._timeout(None):
                return
        raise AssertionError("the loop does not come to rest")

    def slow(self) -> None:
        """From now on what is written is not synced."""
        self.disk.slow = FOR_EVER

    def quick(self) -> None:
        """What was written is synced."""
        self.disk.slow = self.disk.lag = 0
        self.run()

    def is_slow(self) -> bool:
        return bool(self.disk.slow)

    def _end(self) -> None:
        self.crash()
        self.disk.slow, self.disk.begun, self.disk.lag = 0, "", 0

    def kill(self) -> None:
        """SIGKILL: what was written is still there."""
        self._end()
        self.start()

    def cut_power(self, robbed: bool = False) -> None:
        """What was not synced may be gone, and is if the disk is `robbed`."""
        self._follow()
        states = [state for state in self.platter.states(self.chance, 6) if state]
        safe = {name: file.safe for name, file in self.platter.safe.items()}
        state = safe if robbed or self.chance.random() < 0.6 else self.chance.choice(states)
        self._end()
        for name in os.listdir(self.store):
            os.unlink(os.path.join(self.store, name))
        for name, found in state.items():
            Path(self.store, name).write_bytes(found.whole())
        self.platter.put(state)
        self.followed = len(self.disk.ops)
        self.start()

    def _follow(self) -> None:
        for op in self.disk.ops[self.followed:]:
            self.platter.apply(op)
        self.followed = len(self.disk.ops)

    def settle(self) -> None:
        """Daemon and clients, until nobody has anything to say."""
        for _ in range(ROUNDS):
            self.run()
            # all of them, not until the first
            heard = [person.pump() for person in self.people]
            if not any(heard):
                return
        raise AssertionError("they never come to rest")


class Person:
    """A client program; `archive` is a directory, None for --no-archive."""

    def __init__(self, house: House, name: str, archive: Path | None = None,
                 shows: bool = True) -> None:
        self.house, self.name, self.archive, self.shows = house, name, archive, shows
        self.stored: dict[int, None] = {}           # ids
        self.refused: dict[int, str] = {}
        self.screen: Counter[str] = Counter()       # texts that were painted
        self.unkept: list[wire.Mail] = []           # painted, and not kept yet
        house.people.append(self)
        self.begin()

    def begin(self) -> None:
        """Another process."""
        house, chance = self.house, self.house.chance
        self.link = Link([HERE], self.name, self.archive and Archive(self.archive),
                         features=wire.Feature.RECEIPTS, monotonic=lambda: house.clock.monotonic,
                         instance=chance.getrandbits(32), jitter=lambda: 0.5, dial=self._dial)
        self.unkept.clear()

    def _dial(self, address: Address) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.house.daemon.adopt(theirs, "test", Caller("test:1"))
        return ours

    def end(self) -> None:
        """It has ended in good order, and nobody begins it again."""
        self.link.close()
        self.house.people.remove(self)
        self.house.run()

    # ---- the line ----

    def come(self) -> None:
        """Log in; WELCOME waits for the disk, as every promise does."""
        for _ in range(LINES_MAX):
            if self.link.online:
                return
            self.link.connect()
            self._quiet()
            if not self.link.online:
                self.house.quick()
                self._quiet()
        raise AssertionError(f"{self.name} can't come in")

    def _quiet(self) -> None:
        for _ in range(ROUNDS):
            self.house.run()
            if not self.pump():
                return

    def deaf(self) -> None:
        """The line is lost, with all that was said on it and not read."""
        if self.link.sock is not None:
            self.link._lost("cut by the test")
        self.house.run()

    def die(self) -> None:
        """SIGKILL, and another process."""
        if self.link.sock is not None:
            self.link.sock.close()
        if isinstance(self.link._inbox._archive, Archive) and self.link._inbox._archive._fd >= 0:
            os.close(self.link._inbox._archive._fd)
            self.link._inbox._archive._fd = -1
        self.house.run()
        self.begin()

    def pump(self) -> bool:
        """Read what there is; whether there was anything."""
        link, found = self.link, 0
        events = []
        for _ in range(ROUNDS):
            sock = link.sock
            if sock is None or not (link.mask & 2 or _readable(sock)):
                break
            events += link.ready((1 if _readable(sock) else 0) | (link.mask & 2))
            found += 1
        if link.timeout() == 0.0:
            events += link.tick()
        for event in events:
            self._hear(event)
        if self.shows:
            self.keep()
        return bool(found)

    def _hear(self, event: Any) -> None:
        if isinstance(event, wire.Mail):
            self.screen[event.text] += 1
            self.unkept.append(event)
        elif isinstance(event, wire.Stored):
            self.stored.update(dict.fromkeys(range(event.first, event.last + 1)))
        elif isinstance(event, wire.Refused):
            self.refused[event.id] = event.reason

    def keep(self) -> None:
        mails, self.unkept = self.unkept, []
        if mails:
            self.link.shown(mails)

    def send(self, to: str, text: str) -> int:
        (number,) = self.link.send([to], text)
        return number

    def check(self) -> None:
        self.link.ask.check()
        self.house.settle()

    def kept(self) -> list[str]:
        """The texts in the archive, in order."""
        assert self.archive is not None
        return [record.text for path in sorted(self.archive.glob("*.txt"))
                for record in archives.read(path)]


def _readable(sock: socket.socket) -> bool:
    try:
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True
