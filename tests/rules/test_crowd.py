"""A crowd of clients at one real daemon: each sends to one and to all, and every outcome is
accounted for.

For each message and recipient: it was delivered (the reader got it, once, and confirmed it) or it
waits in the mailbox; and what the sender was told agrees.  A tenth of the clients hold, so that
there is something to wait.
"""
import resource
import selectors
import socket
import time
import unittest
from typing import Any

import wire
from tests.harness.process import DaemonProcess, effort

CROWD = effort(1000, 120)
HOLDING = 10                # each tenth
SECONDS = 120               # for everything: much more than it takes


class Member:
    """One of the crowd: what it sent, what it was told, what it got."""

    def __init__(self, number: int, path: str, features: int) -> None:
        self.number, self.name = number, f"m{number}"
        self.holds = bool(features & wire.Feature.HOLD)
        self.decoder = wire.Decoder(wire.FRAME_MAX)
        self.ids = 5 << 32
        self.welcome: Any = None
        self.stored: set[int] = set()
        self.waits: dict[int, set[str]] = {}            # by id of the SEND: those who hold
        self.delivered: dict[int, set[str]] = {}        # by id of the SEND: those who confirmed
        self.sent: dict[int, bool] = {}                 # id: to all
        self.got: dict[tuple[str, int], int] = {}       # (sender, origin): how often
        self.unconfirmed: list[Any] = []
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.sock.sendall(wire.encode(wire.Hello(wire.VERSION, features, bytes(16), self.name)))
        self.sock.setblocking(False)

    def say(self, said: wire.Message) -> None:
        self.sock.setblocking(True)
        self.sock.sendall(wire.encode(said))
        self.sock.setblocking(False)

    def send(self, to: tuple[str, ...], flags: int = 0) -> None:
        self.ids += 1
        self.sent[self.ids] = bool(flags)
        self.say(wire.Send(self.ids, flags, to, f"from {self.name}"))

    def hear(self) -> None:
        for frame in self.decoder.feed(self.sock.recv(1 << 18)):
            for said in wire.each(wire.decode(frame, wire.DAEMON)):
                HEARD.get(type(said), Member.ignore)(self, said)
        if self.unconfirmed:
            self.say(wire.Confirm(self.unconfirmed[0].id, self.unconfirmed[-1].id))
            self.unconfirmed.clear()

    def ignore(self, said: Any) -> None:
        pass

    def on_welcome(self, said: Any) -> None:
        self.welcome = said

    def on_stored(self, said: Any) -> None:
        self.stored.update(range(said.first, said.last + 1))

    def on_outcomes(self, said: Any) -> None:
        assert said.outcome == wire.Outcome.HOLDING
        for number in range(said.first, said.last + 1):
            self.waits.setdefault(number, set()).update(said.to)

    def on_delivered(self, said: Any) -> None:
        for number in range(said.first, said.last + 1):
            if self.sent[number] or said.by == f"m{(self.number + 1) % CROWD}":
                self.delivered.setdefault(number, set()).add(said.by)

    def on_mail(self, said: Any) -> None:
        key = said.sender, said.origin
        self.got[key] = self.got.get(key, 0) + 1
        self.unconfirmed.append(said)


HEARD = {wire.Welcome: Member.on_welcome, wire.Stored: Member.on_stored,
         wire.Outcomes: Member.on_outcomes,
         wire.Delivered: Member.on_delivered, wire.Mail: Member.on_mail}


class Crowd(unittest.TestCase):
    def setUp(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < CROWD + 100:
            self.skipTest(f"the limit of open files, {hard}, is too low for {CROWD} clients")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        daemon = DaemonProcess(bare=True)       # every copy of a message to all is counted
        self.addCleanup(daemon.close)
        self.path = daemon.path
        self.selector = selectors.DefaultSelector()
        self.addCleanup(self.selector.close)

    def hear_until(self, done: Any, what: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not done():
            self.assertLess(time.monotonic(), deadline, what)
            for key, _ in self.selector.select(1):
                key.data.hear()

    def come(self, number: int, features: int) -> Member:
        member = Member(number, self.path, features)
        self.addCleanup(member.sock.close)
        self.selector.register(member.sock, selectors.EVENT_READ, member)
        return member

    def test_every_outcome_is_accounted_for(self) -> None:
        receipts, hold = wire.Feature.RECEIPTS, wire.Feature.HOLD
        crowd = [self.come(n, receipts | (hold if n % HOLDING == 0 else 0)) for n in range(CROWD)]
        self.hear_until(lambda: all(m.welcome for m in crowd), "all are welcomed")
        for member in crowd:
            member.send((f"m{(member.number + 1) % CROWD}",))
            member.send((), wire.SendFlag.EVERYONE)
        live = sum(not m.holds for m in crowd)
        # One from its neighbour, and one to all from each of the others.
        expected = {m.name: CROWD if not m.holds else 0 for m in crowd}
        self.hear_until(lambda: all(len(m.got) == expected[m.name] for m in crowd),
                        "all who receive have everything")
        self.hear_until(lambda: all(len(m.stored) == 2 for m in crowd),
                        "all were told that it is stored")
        self.hear_until(lambda: all(self.is_settled(m, crowd) for m in crowd),
                        "all were told who has it")
        self.assertTrue(all(times == 1 for m in crowd for times in m.got.values()), "once each")
        for member in crowd:
            if member.holds:
                member.say(wire.Check(1))
        self.hear_until(lambda: all(len(m.got) == CROWD for m in crowd),
                        "what waited comes by a check")
        self.assertEqual(sum(len(m.got) for m in crowd), CROWD * CROWD)
        self.assertGreater(live, 0)

    def is_settled(self, member: Member, crowd: list[Member]) -> bool:
        """For each message: delivered to those who receive and waiting for those who hold, nobody
        twice or missing."""
        for number, to_all in member.sent.items():
            neighbour = f"m{(member.number + 1) % CROWD}"
            names = {m.name for m in crowd if m is not member} if to_all else {neighbour}
            delivered, waits = member.delivered.get(number, set()), member.waits.get(number, set())
            if delivered & waits or delivered | waits != names:
                return False
        return True


if __name__ == "__main__":
    unittest.main()
