"""What one login takes of the store: bytes in the journals, and what the others notice of it."""
import socket
import unittest
from types import SimpleNamespace
from unittest import mock

import wire
from rules.claims import Identity
from rules.quota import Quotas
from rules.state import FREE, Caller
from rules.usage import FREE_RATE, GONE_MAX, OVER, PART, TIGHT, Usages
from server.connection import LEAST_READ, READ_PAUSE_AT, READ_SIZE, read_size
from server.options import Limits
from store.user import User
from tests.harness.service import Client, Service

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

    def test_who_is_gone_and_comes_again(self) -> None:
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
            self.assertFalse(usages.fills(client, 3, PART))

    def test_hosts_that_come_and_go_take_no_memory(self) -> None:
        """Though nothing is ever sealed."""
        with Service() as service:
            service.user("ann")
            usages = service.daemon.board.usages
            client = service.daemon.board.roster.clients[0]
            for put in 0, 1:
                for n in range(1, GONE_MAX + 5):
                    guest = SimpleNamespace(user=User(n, f"guest{n}", 1))
                    usages.enter(guest, SimpleNamespace(host=f"192.0.2.{n}"))
                    guest.usage.put += put
                    usages.leave(guest)
                self.assertEqual(len(usages._usages), 1)
                self.assertEqual(len(usages._gone), put and GONE_MAX // 2 + 4)
            self.assertEqual(usages._hosts, {})
            self.assertIs(usages._usages[client.host], client.usage)


class WithoutOwner(unittest.TestCase):
    def test_what_a_name_has_sent_counts_for_the_host_that_used_it(self) -> None:
        with Service() as service:
            reader, ann = service.user("reader"), service.user("ann", caller=Caller("192.0.2.1:1"))
            usages = service.daemon.board.usages
            ann.send("reader", "x" * 100)
            self.assertEqual(self.waiting(usages), {"192.0.2.1": 164})
            ann.hang_up()
            self.assertEqual(self.waiting(usages), {"192.0.2.1": 164})
            ann = service.user("ann", caller=Caller("192.0.2.2:1"))
            self.assertEqual(self.waiting(usages), {"192.0.2.2": 164})
            ann.hang_up()
            self.assertEqual(self.waiting(usages), {"192.0.2.2": 164})
            reader.confirm(*reader.hears_all(wire.Mail))
            service.user("ann").hang_up()
            self.assertEqual((usages._hosts, self.waiting(usages)), ({}, {}))

    def waiting(self, usages: Usages) -> dict[str, int]:
        usages._add_up()
        return usages._waiting


class Work(unittest.TestCase):
    def test_long_texts_are_more_work(self) -> None:
        with Service() as service:
            ann = service.user("ann")
            client = service.daemon.board.roster.clients[0]
            client.usage.free, client.usage.free_at = 0, service.clock.monotonic
            for size, work in (1, 2), (500, 2), (520, 3), (16_384, 65):
                ann.send("ann", "x" * size)
                self.assertEqual(client.work, work)

    def test_some_of_a_login_are_not(self) -> None:
        """As many bytes as somebody pastes, and a few more in each second."""
        with Service() as service:
            ann, bob = (service.user(name, caller=HOG) for name in ("ann", "bob"))
            clients = service.daemon.board.roster.clients
            usage = clients[0].usage
            ann.send("ann", "x" * 1000)
            self.assertEqual((clients[0].work, usage.free), (2, FREE - 1004))
            usage.free = 1003
            ann.send("ann", "x" * 1000)
            bob.send("ann", "x" * 999)
            bob.send("ann", "x" * 1000)
            self.assertEqual((clients[0].work, clients[1].work), (4, 4))
            service.clock.forward(0.5)
            ann.send("ann", "x" * 1000)
            self.assertEqual((clients[0].work, usage.free), (2, FREE_RATE // 2 - 1004))
            service.clock.forward(60)
            ann.send("ann", "x" * 1000)
            self.assertEqual(usage.free, FREE - 1004)


class Waiting(unittest.TestCase):
    """What waits of one login, in all mailboxes and under all its names."""

    MOST = 100_000

    def setUp(self) -> None:
        self.service = self.enterContext(Service(Limits(
            1000, strangers=1000, strangers_each=1000, new_names=0,
            quotas=Quotas(0, 0, 0, 0, self.MOST)), identity=Identity(False, b"secret")))
        for n in range(9):
            self.service.mailbox.register(f"away{n}", 1)
        self.other = self.service.user("other", caller=OTHER)
        self.hog = self.service.user("hog0", caller=HOG)
        self.census = self.service.mailbox.census

    def sent(self, client: Client, to: str, size: int = 10_000) -> bool:
        """Send one; whether it was stored."""
        self.service.clock.forward(1)           # what waits is added up once a second
        client.send(to, "x" * size)
        client.listen()
        stored, refused = client.hears_all(wire.Stored), client.hears_all(wire.Refused)
        self.assertEqual(len(stored) + len(refused), 1)
        reason = TIGHT if self.census.is_tight else OVER
        self.assertEqual({said.reason for said in refused} or {reason}, {reason})
        return bool(stored)

    def fill(self, client: Client) -> int:
        """Send to one after the other until it is refused; how many were stored."""
        stored = 0
        while self.sent(client, f"away{stored % 9}"):
            stored += 1
        return stored

    def test_all_names_and_all_mailboxes_together(self) -> None:
        """Ten fit, and one more that was asked for while there was room."""
        self.assertEqual(self.fill(self.hog), 10)
        again = self.service.user("hog1", caller=HOG)
        self.assertFalse(self.sent(again, "other"))
        self.assertTrue(self.sent(self.other, "away0"))
        reader = self.service.user("away3")
        reader.say(wire.Check(1))
        reader.confirm(*reader.hears_all(wire.Mail))
        self.assertTrue(self.sent(again, "hog0"))
        self.assertFalse(self.sent(self.hog, "hog0"))
        self.assertEqual(self.fill(self.other), 9)

    def test_to_many(self) -> None:
        """The text and their names are divided by them, as a segment does it; bytes for each are
        not."""
        names = ",".join(f"away{n}" for n in range(9))
        self.assertEqual([self.sent(self.hog, names, 16_000) for _ in range(7)], [True] * 7)
        self.assertEqual(self.fill(self.hog), 0)
        self.assertAlmostEqual(self.service.mailbox.find("hog0").sent,
                               7 * (16_000 + 2 + 9 * len("_away0") + 9 * 64))

    def test_after_a_restart(self) -> None:
        """What lies in a segment counts again for the owner of the name, under whatever name."""
        self.assertEqual(self.fill(self.hog), 10)
        self.service.mailbox.rest()
        while self.service.mailbox.work(0) or self.service.mailbox.upkeep.resting:
            self.service.mailbox.sync(wait=True)
        self.service.restart()
        self.assertEqual(self.service.mailbox.find("hog0").sent, 0)
        again = self.service.user("hog1", caller=HOG)
        stored = self.fill(again)
        self.assertLess(stored, 3)
        self.assertTrue(self.service.mailbox.census.is_whole)
        self.assertAlmostEqual(self.service.mailbox.find("hog0").sent, 10 * (10_000 + 64))

    def test_the_last_tenth_is_for_others(self) -> None:
        for _ in range(3):
            self.assertTrue(self.sent(self.hog, "away0"))
        self.census.look(100_000, 2_000_000, 1)
        self.assertEqual(self.census.share, 2_100_000 // 160)
        self.assertTrue(self.census.is_tight)
        self.assertFalse(self.sent(self.hog, "away0"))
        self.assertTrue(self.sent(self.other, "away0"))
        self.census.look(1_000_000, 2_000_000, 1)
        self.assertTrue(self.sent(self.hog, "away0"))

    def test_it_is_added_up_at_times_only(self) -> None:
        self.fill(self.hog)
        usages = self.service.daemon.board.usages
        with mock.patch.object(usages, "_add_up", wraps=usages._add_up) as added:
            for _ in range(20):
                self.hog.send("away0", "x")
            self.assertEqual(len(self.hog.hears_all(wire.Refused)), 20)
            self.assertEqual(added.call_count, 0)
            self.sent(self.hog, "away0")
            self.assertEqual(added.call_count, 1)


class Unsent(unittest.TestCase):
    """Clients that do not read, and what all of a login together may leave unread."""

    MOST = 100_000

    def setUp(self) -> None:
        for module in "rules.delivery", "server.connection":
            self.enterContext(mock.patch(f"{module}.LOGIN_UNSENT", self.MOST))
        self.service = self.enterContext(Service(Limits(1000, strangers=1000, strangers_each=1000,
                                                        new_names=0)))
        self.deaf = [self.service.user(f"deaf{n}", caller=HOG) for n in range(8)]
        self.other = self.service.user("other", caller=OTHER)
        for connection in self.service.daemon.connections.values():
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.usage = self.service.daemon.board.roster.clients[0].usage
        self.texts = {client: [f"{n} ".ljust(10_000, "x") for n in range(10)]
                      for client in self.deaf}
        for client, texts in self.texts.items():
            for text in texts:
                self.service.mailbox.put(
                    self.service.mailbox.find("other"), 0, 1,
                    [self.service.mailbox.find(client.name)], 0, text.encode())
            self.service.daemon.board.delivery.stirred[
                self.service.daemon.board.roster.clients[self.deaf.index(client)]] = None
            self.service.run()

    def unsent(self) -> int:
        return sum(len(connection.unsent) for connection in
                   self.service.daemon.connections.values())

    def test_it_has_a_bound_and_nothing_is_lost(self) -> None:
        self.assertEqual(self.usage.unsent, self.unsent())
        self.assertTrue(self.MOST <= self.usage.unsent < 3 * self.MOST, self.usage.unsent)
        number = self.other.send("other", "hi")
        self.assertEqual([said.last for said in self.other.hears_all(wire.Stored)], [number])
        for client in self.deaf:
            self.assertEqual([said.text for said in client.hears_all(wire.Mail)],
                             self.texts[client])
        self.assertEqual((self.usage.unsent, self.unsent()), (0, 0))
        self.assertEqual(self.service.daemon.board.delivery.clogged, {})

    def test_one_that_shuts_down_its_direction_gets_its_check(self) -> None:
        mailbox = self.service.mailbox
        user = mailbox.register("hog", 1)
        for _ in range(3):
            mailbox.put(mailbox.find("other"), 0, 1, [user], 0, b"hi")
        hog = self.service.user("hog", caller=HOG)
        hog.sock.sendall(wire.encode(wire.Check(1)))
        hog.sock.shutdown(socket.SHUT_WR)
        self.assertEqual(len(hog.hears_all(wire.Mail)), 3)
        hog.hears(wire.Checked)

    def test_they_are_not_read(self) -> None:
        """The last of them has less than a window unsent."""
        last = list(self.service.daemon.connection_of.values())[7]
        before = len(last.unsent)
        self.assertTrue(0 < before < READ_PAUSE_AT // 2)
        self.deaf[7].say(wire.Ping(1))
        self.assertEqual((last.is_clogged, last.unsent[:before] == last.unsent), (True, True))
        for client in self.deaf:
            client.listen()
        self.assertEqual([said.stamp for said in self.deaf[7].hears_all(wire.Pong)], [1])

    def test_who_goes_leaves_nothing(self) -> None:
        for client in self.deaf:
            client.hang_up()
        self.assertEqual((self.usage.unsent, self.unsent()), (0, 0))
        self.assertEqual(self.service.daemon.board.delivery.clogged, {})


class Reads(unittest.TestCase):
    def test_very_many_that_are_ready_are_read_less_of_each(self) -> None:
        for ready, size in ((0, READ_SIZE), (1, READ_SIZE), (64, READ_SIZE), (65, 64_527),
                            (1024, LEAST_READ), (100_000, LEAST_READ)):
            self.assertEqual(read_size(ready), size)


if __name__ == "__main__":
    unittest.main()
