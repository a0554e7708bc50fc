"""A Link and the daemon's end of its line: no clock, no waiting; a test says what the daemon
says."""
import select
import socket
import unittest
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

import wire
from client.archive import Archive
from client.events import Offline, Online, OtherStore
from client.link import Link
from net.address import Address
from wire import Direction, Feature, Presence

STORE, OTHER = b"s" * 16, b"o" * 16
HERE = Address("/nowhere/parley.sock", "", 0)
THERE = Address("", "127.0.0.1", 6464)
INSTANCE = 7
FIRST = INSTANCE << 32 | 1
ALL = Feature.ROSTER | Feature.RECEIPTS
# what every link asks for
ALWAYS = (Feature.IGNORE | Feature.BIND | Feature.PERSON | Feature.LOGINS | Feature.ADDRESSED
          | Feature.ROOMS | Feature.RESUME)


def welcome(name: str = "alice", store: bytes = STORE, features: int = ALL, waiting: int = 0,
            version: int = wire.VERSION, token: bytes = b"t" * 16) -> wire.Welcome:
    return wire.Welcome(version, features, token, store, 0, waiting, name, "lab")


def mail(number: int, origin: int = 0, flags: int = 0, sender: str = "bob",
         text: str = "hi") -> wire.Mail:
    return wire.Mail(number, 1000 + number, origin or 1000 + number, flags, 1, sender, text)


def entry(name: str, state: int = Presence.AWAY) -> wire.Entry:
    return wire.Entry(name, state, 0, 0, 0)


class House:
    """A daemon's end of whatever is dialled."""

    def __init__(self) -> None:
        self.dialled: list[Address] = []
        self.closed: dict[Address, str] = {}        # addresses that refuse, and why
        self.end, other = socket.socketpair()
        other.close()
        self.decoder = wire.Decoder(wire.FRAME_MAX)

    def dial(self, address: Address) -> socket.socket:
        self.dialled.append(address)
        if address in self.closed:
            raise OSError(111, self.closed[address])
        self.close()
        ours, self.end = socket.socketpair()
        self.decoder = wire.Decoder(wire.FRAME_MAX)
        for sock in (ours, self.end):
            sock.setblocking(False)
        return ours

    def close(self) -> None:
        self.end.close()

    def hear(self, most: int = 1 << 30) -> list[Any]:
        """What the client said; no more than so many bytes of it are read."""
        heard = []
        while most:
            try:
                data = self.end.recv(min(most, 65536))
            except (BlockingIOError, ConnectionResetError):
                break
            if not data:
                break
            most -= len(data)
            for frame in self.decoder.feed(data):
                heard += wire.each(wire.decode(frame, Direction.CLIENT))
        return heard

    def say(self, *said: Any) -> None:
        self.end.sendall(b"".join(map(wire.encode, said)))


class Linked(unittest.TestCase):
    features = ALL
    addresses: tuple[Address, ...] = (HERE,)

    def setUp(self) -> None:
        self.now, self.jitter = 50.0, 0.5
        self.house = House()
        self.link = self.make()

    def make(self, archive: Archive | None = None, name: str = "alice", instance: int = INSTANCE,
             features: int | None = None) -> Link:
        made = Link(self.addresses, name, archive,
                    features=self.features if features is None else features,
                    monotonic=lambda: self.now, instance=instance, jitter=lambda: self.jitter,
                    dial=self.house.dial)
        self.addCleanup(made.close)
        self.addCleanup(self.house.close)
        return made

    def pump(self) -> list[Any]:
        """Let the link do what it can without waiting."""
        events = self.link.tick() if self.link.timeout() == 0.0 else []
        while (sock := self.link.sock) is not None:
            writing = [sock] if self.link.mask & EVENT_WRITE else []
            readable, writable, _ = select.select([sock] if self.link.mask & EVENT_READ else [],
                                                  writing, [], 0)
            if not readable and not writable:
                break
            events += self.link.ready((EVENT_READ if readable else 0)
                                      | (EVENT_WRITE if writable else 0))
        return events

    def login(self, said: wire.Welcome | None = None, *more: Any) -> list[Any]:
        """Connect and be let in; what came of it after Online.  HELLO is heard."""
        self.link.connect()
        self.pump()
        (self.hello,) = self.house.hear()
        self.house.say(said or welcome(), *more)
        events = self.pump()
        self.assertIsInstance(events[0], Online)
        return events[1:]

    def given(self, *said: Any) -> list[Any]:
        self.house.say(*said)
        return self.pump()

    def cut(self) -> list[Any]:
        self.house.end.close()
        return self.pump()

    def wait(self, seconds: float) -> list[Any]:
        self.now += seconds
        return self.link.tick() + self.pump()

    def back(self, said: wire.Welcome | None = None) -> list[Any]:
        """Offline: wait for the retry, and be let in; what is said after HELLO."""
        assert self.link.retry_at is not None
        self.now = self.link.retry_at
        self.pump()
        (self.hello,) = self.house.hear()
        self.assertIsInstance(self.given(said or welcome())[0], Online)
        return self.house.hear()

    def back_elsewhere(self, said: wire.Welcome) -> list[Any]:
        """The same where another store answers, and the user says that it is right."""
        assert self.link.retry_at is not None
        self.now = self.link.retry_at
        self.pump()
        self.house.hear()
        self.assertIsInstance(self.given(said)[-1], OtherStore)
        self.assertEqual((self.house.hear(), self.link.sock, self.link.retry_at), ([], None, None))
        self.link.accept()
        self.link.connect()
        self.pump()
        (self.hello,) = self.house.hear()
        self.assertEqual(self.hello.token, said.token,
                         "the session that was hung up may still be there")
        self.assertIsInstance(self.given(said)[0], Online)
        return self.house.hear()

    def offline(self, events: list[Any], reason: str) -> None:
        """The line was ended for this reason, and nothing else is amiss."""
        self.assertIsInstance(events[-1], Offline)
        self.assertRegex(events[-1].reason, reason)
        self.assertFalse(self.link.online)
        self.assertIsNone(self.link.sock)
