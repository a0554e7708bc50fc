"""What one login takes of the store: bytes in the journals, and what the others notice of it."""
import unittest
from types import SimpleNamespace

import wire
from rules.state import Caller
from rules.usage import GONE_MAX, PART
from server.options import Limits
from tests.harness.service import Service

HOG, OTHER = Caller("unix:1", 61_001), Caller("unix:2", 61_002)
LONG = 20 * 16_384


class LongJournals(unittest.TestCase):
    """The journals are not sealed before the test says so."""

    def setUp(self) -> None:
        self.service = self.enterContext(Service(Limits(1000, strangers=1000, strangers_each=1000,
                                                        new_names=0)))
        self.hogs = [self.service.user(f"hog{n}", caller=HOG) for n in range(3)]
        self.other = self.service.user("other", caller=OTHER)
        self.progress = self.service.mailbox.progress
        self.budget = self.service.mailbox.upkeep.budget
        self.progress.long_at, self.progress.full_at = LONG, 2 * LONG
        self.sent = [[hog.send(hog.name, "x" * 16_000) for _ in range(9)] for hog in self.hogs]

    def stored(self) -> list[list[int]]:
        return [[origin for said in hog.hears_all(wire.Stored)
                 for origin in range(said.first, said.last + 1)] for hog in self.hogs]

    def seal(self) -> None:
        self.budget.seal_at = 1000
        for _ in range(5):
            self.service.forward(0.1)
        self.budget.seal_at = 1 << 30

    def test_those_that_fill_them_wait_until_they_are_sealed(self) -> None:
        before = self.stored()
        self.assertEqual(sum(map(len, before)), 21)     # one more than there is room for
        self.assertEqual(len(self.service.daemon.unfinished.filling), 1)
        for hog in self.hogs:                           # its other clients may say all else
            hog.say(wire.Confirm(1, 2))
        self.assertEqual(len(self.hogs[0].hears_all(wire.Confirmed)), 1)
        for _ in range(60):                             # a minute; nobody is refused
            self.service.forward(1.0)
            self.other.hears(wire.Stored, first=self.other.send("hog0", "hi"))
        self.seal()
        self.assertEqual([one + two for one, two in zip(before, self.stored(), strict=True)],
                         self.sent)
        self.assertEqual([hog.hears_all(wire.Refused) for hog in self.hogs], [[], [], []])
        self.assertLess(self.progress.held, LONG)

    def test_a_login_that_goes_and_comes_again_still_fills_them(self) -> None:
        for hog in self.hogs:
            hog.hang_up()
        again = self.service.user("hog9", caller=HOG)
        self.other.send("other", "x" * 16_000)
        again.send("hog9", "hi")
        again.hears_nothing()
        self.seal()
        self.assertEqual(len(again.hears_all(wire.Stored)), 1)

    def test_all_wait_when_they_are_much_too_long(self) -> None:
        self.progress.full_at = self.progress.held
        self.other.send("other", "this much is still taken")
        number = self.other.send("other", "hi")
        self.other.listen()
        self.assertEqual([said.text for said in self.other.hears_all(wire.Mail)],
                         ["this much is still taken"])
        self.assertEqual(len(self.service.daemon.unfinished.held), 1)
        self.seal()
        self.assertEqual(self.other.hears_all(wire.Stored)[-1].last, number)

    def test_settings_fill_them_too(self) -> None:
        for n in range(100):
            self.service.mailbox.register(f"name{n}", 1)
        for n in range(100):
            self.other.say(wire.Ignore(n + 1, 1, f"name{n}"))
        self.assertEqual(self.service.daemon.board.roster.clients[3].usage.put,
                         sum(range(4, 404, 4)))


class Fills(unittest.TestCase):
    """Whether a login fills the journals: by what it has put since the last seal but one."""

    def test_after_seals(self) -> None:
        with Service() as service:
            service.user("ann", caller=HOG)
            usages = service.daemon.board.usages
            client = service.daemon.board.roster.clients[0]
            for put, seals, fills in ((10, 0, False), (11, 0, True), (0, 1, True), (0, 2, False),
                                      (6, 2, False), (5, 3, True), (0, 5, False)):
                client.usage.put += put
                self.assertEqual(usages.fills(client, seals, 10 * PART), fills, (put, seals))

    def test_who_is_gone_is_forgotten_when_it_is_sealed(self) -> None:
        with Service() as service:
            ann = service.user("ann", caller=HOG)
            usages, client = service.daemon.board.usages, service.daemon.board.roster.clients[0]
            client.usage.put = 1000
            ann.hang_up()
            back = service.user("ann", caller=HOG)
            self.assertTrue(usages.fills(client, 1, PART))
            self.assertIs(service.daemon.board.roster.clients[0].usage, client.usage)
            back.hang_up()
            self.assertEqual((usages._usages, len(usages._gone)), ({}, 1))
            usages.fills(client, 3, PART)
            self.assertEqual((usages._usages, usages._gone), ({}, {}))

    def test_hosts_that_come_and_go_take_no_memory(self) -> None:
        """Though nothing is ever sealed."""
        with Service() as service:
            service.user("ann")
            usages = service.daemon.board.usages
            client = service.daemon.board.roster.clients[0]
            for put, kept in (0, 0), (1, GONE_MAX):
                for n in range(GONE_MAX + 5):
                    guest = SimpleNamespace(host=f"192.0.2.{n}")
                    guest.usage = usages.enter(guest)
                    guest.usage.put += put
                    usages.leave(guest)
                self.assertEqual((len(usages._usages), len(usages._gone)), (1, kept), put)
            self.assertIs(usages._usages[client.host], client.usage)


class Work(unittest.TestCase):
    def test_long_texts_are_more_work(self) -> None:
        with Service() as service:
            ann = service.user("ann")
            client = service.daemon.board.roster.clients[0]
            for size, work in (1, 2), (500, 2), (520, 3), (16_384, 65):
                ann.send("ann", "x" * size)
                self.assertEqual(client.work, work)


if __name__ == "__main__":
    unittest.main()
