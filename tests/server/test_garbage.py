"""The daemon runs without the collector of cycles (daemon.main): so nothing that happens may leave
cycles behind."""
import gc
import unittest
from random import Random

import wire
from store.disk import Disk
from store.library import Library
from tests.harness.service import Service
from tests.store.test_segment import BACKENDS
from wire import SendFlag


class Apart(Disk):
    """As in the daemon, the libraries are in a process of their own: dbm.dumb leaves cycles
    behind."""

    def __init__(self) -> None:
        super().__init__()
        self.library = Library()
        self.database = self.library.open
        self.end = self.library.end


class NoCycles(unittest.TestCase):
    def left_behind(self, happen, times=3) -> int:
        """Objects in cycles that each further time leaves behind."""
        happen()
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        for _ in range(times):
            happen()
        found = gc.collect()
        gc.enable()
        return found // times

    def test_a_day(self) -> None:
        """People come, send, check, chat, break the protocol and go; segments are written, read and
        dropped."""
        for backend in BACKENDS:
            disk = Apart()
            self.addCleanup(disk.end)
            with self.subTest(backend=backend), Service(backend=backend, disk=disk) as service:
                service.mailbox.upkeep.budget.seal_at = 4000
                self.assertEqual(self.left_behind(lambda: self.day(service, Random(3))), 0)
                self.assertGreater(max(service.mailbox._shelf.segments), 3)

    def day(self, service: Service, chance: Random) -> None:
        ann, bob, cat = service.users("ann", "bob", "cat")
        for n in range(60):
            sender = chance.choice((ann, bob, cat))
            to = chance.choice(("ann", "bob", "cat", "bob,cat", "nobody", "dan"))
            sender.send(to, "x" * (n * 10))
            service.forward(0.05)
        ann.send("", "to all", SendFlag.EVERYONE)
        bob.say(wire.Check(1), wire.Hold(2, 1), wire.List(3), wire.Ignore(4, 1, "cat"),
                wire.ListIgnored(5))
        ann.say(wire.Invite(6, ("bob",)))
        service.forward(100)
        ann.say(wire.Invite(7, ("bob", "cat")))
        service.forward(1)
        dan = service.user("dan")
        dan.say(wire.Check(1))
        for client in (ann, bob, cat, dan):
            client.listen()
            for said in client.heard:
                if isinstance(said, wire.Mail) and chance.random() < 0.9:
                    client.say(wire.Confirm(said.id, said.id))
            client.heard.clear()
        bob.say_bytes(b"\xff" * 20)
        cat.say(wire.Exit())
        ann.hang_up()
        dan.hang_up()
        service.connect().say_bytes(b"\0\0\0\1\xee")
        service.client("no name").hang_up()
        service.run()
        for client in service.clients:
            client.sock.close()
        service.clients.clear()


if __name__ == "__main__":
    unittest.main()
