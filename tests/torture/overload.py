"""Users with a watch, in a process of their own: they send to each other, confirm what comes, and
say how long it took.

    with Crowd(path, "u", 50, pause=0.1) as crowd:
        crowd.watch(5.0)  ->  Watched: the median and the 99th percentile of the time from SEND to
                              STORED, and to the reader's screen

With a pause each user sends one message in so many seconds, whatever comes (an open loop); without
one, the next as soon as STORED has come (a closed loop).  The text of a message is its time of
sending.
"""
import contextlib
import multiprocessing
import os
import random
import selectors
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import wire

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
FORK = multiprocessing.get_context("fork")


def pin(which: int, pid: int = 0) -> None:
    """The daemon on the first core, all others on the last: then nobody waits for another's turn on
    it.  And, for who may ask for that, before whatever else the machine has to do."""
    if len(CORES) > 1:
        os.sched_setaffinity(pid, {CORES[which]})
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, pid, -20)


class Watched(NamedTuple):
    """Microseconds, and how many were sent and seen in all since the beginning."""
    stored: float           # the 99th percentile from SEND to STORED
    shown: float            # and to MAIL
    sent: int
    seen: int
    received: dict[str, int]        # by sender, of everybody
    stored_median: float
    shown_median: float


def percentile(values: list[float], part: float = 0.99) -> float:
    values.sort()
    return values[min(len(values) - 1, int(len(values) * part))] * 1e6 if values else float("nan")


class User:
    """One user of the crowd."""

    def __init__(self, path: str, name: str) -> None:
        self.name, self.decoder, self.number = name, wire.Decoder(wire.FRAME_MAX), 3 << 32
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.sock.sendall(wire.encode(wire.Hello(wire.VERSION, 0, bytes(16), name)))
        assert list(self.decoder.feed(self.sock.recv(1 << 18))), f"{name} was not welcomed"
        self.sock.setblocking(False)
        self.sent: dict[int, float] = {}
        self.next = 0.0

    def say(self, data: bytes) -> None:
        """All of it; the daemon reads these users, who are not fast."""
        while data:
            try:
                data = data[self.sock.send(data):]
            except BlockingIOError:
                time.sleep(0.0005)


class Loop:
    """The crowd's own loop, inside its process."""

    def __init__(self, pipe: Any, path: str, prefix: str, count: int, pause: float, to: list[str],
                 start: int) -> None:
        self.pipe, self.pause = pipe, pause
        self.chance = random.Random(prefix)
        self.selector = selectors.DefaultSelector()
        self.selector.register(pipe, selectors.EVENT_READ)
        self.users = [User(path, f"{prefix}{number}") for number in range(start, start + count)]
        self.to = to or [user.name for user in self.users]
        self.received: dict[str, int] = {}
        self.total_sent = self.total_seen = 0
        self.sending, self.until = False, 0.0
        self.stored: list[float] = []
        self.shown: list[float] = []
        for user in self.users:
            self.selector.register(user.sock, selectors.EVENT_READ, user)

    def run(self) -> None:
        while True:
            for key, _ in self.selector.select(self._wait()):
                if key.data:
                    self._hear(key.data)
                elif not self._order():
                    return
            now = time.monotonic()
            if self.sending and self.pause:
                for user in self.users:
                    if now >= user.next:
                        user.next = max(user.next + self.pause, now)
                        self._send(user)
            if self.until and now >= self.until:
                self.until = 0.0
                self.pipe.send(Watched(percentile(self.stored), percentile(self.shown),
                                       self.total_sent, self.total_seen, self.received,
                                       percentile(self.stored, 0.5), percentile(self.shown, 0.5)))

    def _wait(self) -> float | None:
        if not self.sending:
            return 0.5
        return max(0.0, min(user.next for user in self.users)
                   - time.monotonic()) if self.pause else 0.1

    def _order(self) -> bool:
        try:
            what, seconds = self.pipe.recv()
        except EOFError:
            return False
        now = time.monotonic()
        if what == "send":
            self.sending = bool(seconds)
            for user in self.users if self.sending else ():
                user.next = now + self.chance.random() * self.pause
                if not self.pause:
                    self._send(user)
        elif what == "watch":
            self.stored, self.shown, self.until = [], [], now + seconds
        return True

    def _send(self, user: User) -> None:
        user.number += 1
        user.sent[user.number] = now = time.monotonic()
        user.say(wire.encode(wire.Send(user.number, 0, (self.chance.choice(self.to),),
                                       f"{now:.6f} {user.number}")))
        self.total_sent += 1

    def _hear(self, user: User) -> None:
        try:
            data = user.sock.recv(1 << 18)
        except BlockingIOError:
            return
        if not data:
            raise SystemExit(f"{user.name} was disconnected")
        now, confirm = time.monotonic(), []
        frames = user.decoder.feed(data)
        for said in [said for frame in frames
                     for said in wire.each(wire.decode(frame, wire.DAEMON))]:
            if isinstance(said, wire.Mail):
                self.shown.append(now - float(said.text.split()[0]))
                confirm.append(wire.encode(wire.Confirm(said.id, said.id)))
                self.total_seen += 1
                self.received[said.sender] = self.received.get(said.sender, 0) + 1
            elif isinstance(said, wire.Stored):
                for number in range(said.first, said.last + 1):
                    self.stored.append(now - user.sent.pop(number))
                if self.sending and not self.pause:
                    self._send(user)
            elif isinstance(said, wire.Refused | wire.Rejected):
                raise SystemExit(f"{user.name}: {said}")
            elif isinstance(said, wire.Ping):
                user.say(wire.encode(wire.Pong(said.stamp)))
        if confirm:
            user.say(b"".join(confirm))


class Process:
    """Something that runs beside, on the generators' core, until it is closed."""

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        self.pipe, theirs = FORK.Pipe()
        self.process = FORK.Process(target=_begin, args=(self.pipe, target, theirs, *arguments),
                                    daemon=True)
        self.process.start()
        theirs.close()

    def order(self, what: str, seconds: float = 0.0) -> None:
        self.pipe.send((what, seconds))

    def stop(self) -> None:
        os.kill(self.process.pid or 0, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.process.pid or 0, signal.SIGCONT)

    def close(self) -> None:
        self.pipe.close()
        self.go_on()
        self.process.join(2)
        self.process.kill()
        self.process.join()

    def __enter__(self) -> "Any":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _begin(ours: Any, target: Callable[..., None], *arguments: Any) -> None:
    ours.close()
    pin(-1)
    target(*arguments)


class Crowd(Process):
    """So many users."""

    def __init__(self, path: str, prefix: str, count: int, pause: float = 0.0,
                 to: list[str] | None = None, start: int = 0) -> None:
        super().__init__(lambda pipe: Loop(pipe, path, prefix, count, pause, to or [], start).run())

    def send(self, on: bool) -> None:
        self.order("send", float(on))

    def watch(self, seconds: float) -> Watched:
        """The next so many seconds."""
        self.order("watch", seconds)
        watched: Watched = self.pipe.recv()
        return watched
