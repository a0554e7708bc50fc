"""Two logins of the host, each in a process of its own: one sends all the bytes that it can, the
other a short message now and then.  Part of hog.py; needs root.

Each runs until its process ends.  Asked for a report by its pipe, it says what it has counted since
the last one.
"""
from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import struct
import time
from collections import Counter
from typing import Any, NamedTuple

import wire
from rules import runs
from tests.torture.overload import FORK
from tests.torture.torture_overload import behind

HOG, VICTIM = 61_001, 61_002    # uids; the next hogs have 61_003 and so on
TEXT = "x" * wire.TEXT_MAX
PAUSE = 0.05                    # seconds between two messages of the victim
ASK = b"?"


class Way(NamedTuple):
    """How a hog goes about it."""
    connections: int = 18
    reads: bool = True
    confirms: bool = False
    to_next: bool = False       # each connection to the name of the next, else to itself
    logins: int = 1             # that do so together


def become(uid: int) -> None:
    """This process is another login's from now on."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


class Beside:
    """Something that runs in a process of its own until it is closed."""

    def __init__(self, target: Any, *arguments: Any) -> None:
        self.pipe, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = FORK.Process(target=self._run, args=(target, theirs, *arguments),
                                    daemon=True)
        self.process.start()
        theirs.close()

    def _run(self, target: Any, pipe: socket.socket, *arguments: Any) -> None:
        self.pipe.close()
        with contextlib.suppress(KeyboardInterrupt, ConnectionError):
            target(pipe, *arguments)

    def report(self) -> Any:

        self.pipe.send(ASK)
        return json.loads(self.pipe.recv(1 << 20))

    def close(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def answer(pipe: socket.socket, said: Any) -> None:

    pipe.recv(1)
    pipe.send(json.dumps(said).encode())


def entered(path: str, name: str) -> socket.socket:
    """A connection that has said HELLO."""
    while True:
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(path)
            break
        except BlockingIOError:
            sock.close()
            time.sleep(0.01)
    sock.sendall(wire.encode(wire.Hello(wire.VERSION, 0, bytes(16), name)))
    sock.setblocking(False)
    return sock


class Talker:
    """One connection of a hog."""

    def __init__(self, path: str, name: str, to: str) -> None:
        self.sock, self.decoder = entered(path, name), wire.Decoder(wire.FRAME_MAX)
        self.origin = int(time.time()) << 32
        frame = wire.encode(wire.Send(0, 0, (to,), TEXT))
        self.head, self.tail = frame[:5], frame[13:]        # before and behind the id
        self.unsent = b""

    def talk(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                if not self.unsent:
                    self.origin += 1
                    self.unsent = self.head + struct.pack("!Q", self.origin) + self.tail
                self.unsent = self.unsent[self.sock.send(self.unsent):]

    def hear(self, confirms: bool, counts: Counter[str]) -> None:
        last, data = 0, self.sock.recv(1 << 18)
        if not data:
            raise ConnectionResetError("the hog was disconnected")
        for frame in self.decoder.split(data):
            if frame[0] == runs.MAIL_KIND:
                last = wire.each(wire.decode(frame, wire.DAEMON))[-1].id if confirms else 0
                continue
            said = wire.decode(frame, wire.DAEMON)
            if isinstance(said, wire.Stored):
                counts["stored"] += said.last + 1 - said.first
            elif isinstance(said, wire.Refused):
                counts[said.reason] += 1
        if last:
            self.unsent += wire.encode(wire.Confirm(1, last))


def hog(pipe: socket.socket, path: str, way: Way, uid: int) -> None:
    """Send for ever."""
    behind()
    become(uid)
    names = [f"hog{uid - HOG}.{number}" for number in range(way.connections)]
    talkers = [Talker(path, name, names[(at + way.to_next) % len(names)])
               for at, name in enumerate(names)]
    selector, counts = selectors.DefaultSelector(), Counter[str]()
    selector.register(pipe, selectors.EVENT_READ)
    reading = selectors.EVENT_READ if way.reads else 0
    for talker in talkers:
        selector.register(talker.sock, reading | selectors.EVENT_WRITE, talker)
    while True:
        for key, mask in selector.select():
            if not key.data:
                answer(pipe, counts)
                counts.clear()
                continue
            if mask & selectors.EVENT_READ:
                key.data.hear(way.confirms, counts)
            if mask & selectors.EVENT_WRITE:
                key.data.talk()


class Victim:
    """A user that sends itself a short message at each PAUSE, and confirms it."""

    def __init__(self, path: str) -> None:
        self.sock, self.decoder = entered(path, "victim"), wire.Decoder(wire.FRAME_MAX)
        self.origin = int(time.time()) << 32
        self.sent: dict[int, float] = {}
        self.forget()

    def forget(self) -> None:
        self.times: list[float] = []
        self.refused: list[str] = []

    @property
    def report(self) -> tuple[list[float], list[str], float]:
        """Seconds to each STORED, reasons of REFUSED, and the longest that one waits now."""
        oldest = min(self.sent.values(), default=time.monotonic())
        return self.times, self.refused, time.monotonic() - oldest

    def send(self) -> None:
        self.origin += 1
        self.sent[self.origin] = time.monotonic()
        self.sock.send(wire.encode(wire.Send(self.origin, 0, ("victim",), "hi")))

    def hear(self) -> None:
        data, now = self.sock.recv(1 << 18), time.monotonic()
        if not data:
            raise ConnectionResetError("the victim was disconnected")
        for said in [said for frame in self.decoder.split(data)
                     for said in wire.each(wire.decode(frame, wire.DAEMON))]:
            if isinstance(said, wire.Stored):
                self.times += [now - self.sent.pop(n) for n in range(said.first, said.last + 1)]
            elif isinstance(said, wire.Refused):
                del self.sent[said.id]
                self.refused.append(said.reason)
            elif isinstance(said, wire.Mail):
                self.sock.send(wire.encode(wire.Confirm(said.id, said.id)))
            elif isinstance(said, wire.Ping):
                self.sock.send(wire.encode(wire.Pong(said.stamp)))


def victim(pipe: socket.socket, path: str) -> None:
    """Send for ever."""
    become(VICTIM)
    user, selector = Victim(path), selectors.DefaultSelector()
    selector.register(pipe, selectors.EVENT_READ)
    selector.register(user.sock, selectors.EVENT_READ, user)
    due = time.monotonic()
    while True:
        for key, _ in selector.select(max(0.0, due - time.monotonic())):
            if key.data:
                user.hear()
            else:
                answer(pipe, user.report)
                user.forget()
        if time.monotonic() >= due:
            due = max(due + PAUSE, time.monotonic())
            user.send()
