"""What waits of each sender's messages: always the sum over all queues, whatever happens to
them."""

import errno
import random
import tempfile
import unittest
from unittest import mock

from mailbox import Full, Mailbox
from net.bodies import body_of
from store.census import CHUNK, EARLY, LAST, LITTLE, NO_LIMIT, PART, TIGHT, Census
from store.headings import heading_of_names
from store.mail import EACH, Mail, weight
from store.shelf import Shelf
from store.user import User
from tests.harness.process import effort

USERS = 12
EVER = 1 << 60


class Life:
    """A store to which things happen."""

    def __init__(self, directory: str, seed: int) -> None:
        self.directory, self.chance = directory, random.Random(seed)
        self.origin = 1 << 32
        self.open()
        for number in range(USERS):
            self.mailbox.register(f"user{number}", 1)
        self.mailbox.write()

    def open(self) -> None:
        self.mailbox = Mailbox(self.directory, seal_at=20_000, small=4000)

    def put(self) -> None:
        """To one, to some, or to nearly all: a body to many is stored once."""
        users, chance = self.mailbox.users, self.chance
        texts = [b"x" * chance.randint(1, 700) for _ in range(chance.choice((1, 1, 3)))]
        self.origin += 10
        to = chance.sample(users, chance.choice((1, 2, 9)))
        self.mailbox.put_run(chance.choice(users), self.origin, 1, to, 0, body_of(texts), False,
                             heading_of_names([user.name for user in to]))

    def read(self) -> None:
        """A part of what waits, anywhere."""
        user = self.chance.choice(self.mailbox.users)
        ids = [id for mail in self.mailbox.unread(user, 0, EVER, EVER, EVER)
               for id in range(mail.id, mail.last + 1)]
        if ids:
            first = self.chance.choice(ids)
            self.mailbox.read(user, first, first + self.chance.choice((0, 5, 10_000)))

    def refuse(self) -> None:
        """The disk refuses what is put."""
        self.put()
        self.read()
        with mock.patch.object(self.mailbox._journals, "append",
                               side_effect=OSError(errno.EFBIG, "too much")):
            try:
                self.mailbox.write()
            except Full:
                self.mailbox._shortage.reason = None
        self.mailbox.write()

    def work(self) -> None:
        self.mailbox.write()
        for _ in range(self.chance.choice((1, 5, 500))):
            self.mailbox.sync(wait=True)
            self.mailbox.work(0)

    def come_again(self) -> None:
        self.mailbox.close()
        self.open()

    def waiting(self) -> list[float]:
        """By number of the sender, as all queues say."""
        found = [0.0] * len(self.mailbox.users)
        for user in self.mailbox.users:
            for mail in self.mailbox.unread(user, 0, EVER, EVER, EVER):
                found[mail.sender] += weight(mail)
        return found

    def sent(self) -> list[float]:
        return [user.sent for user in self.mailbox.users]


class Sums(unittest.TestCase):
    def test_a_life(self) -> None:
        for seed in range(effort(20, 2)):
            with tempfile.TemporaryDirectory(prefix="parley-census-") as directory:
                self.life(Life(directory + "/store", seed))

    def life(self, life: Life) -> None:
        acts = [life.put] * 8 + [life.read] * 6 + [life.work] * 2 + [life.refuse, life.come_again]
        for _ in range(effort(600, 200)):
            act = life.chance.choice(acts)
            act()
            life.mailbox.write()
            sent, waiting = life.sent(), life.waiting()
            if life.mailbox.census.is_whole:
                self.same(sent, waiting)
                continue
            for one, other in zip(sent, waiting, strict=True):
                self.assertLess(one, other + 1, act)
            if life.chance.random() < 0.1:
                life.mailbox.census.begin()
        life.come_again()
        self.count(life)
        self.same(life.sent(), life.waiting())
        life.mailbox.close()

    def same(self, sent: list[float], waiting: list[float]) -> None:
        for one, other in zip(sent, waiting, strict=True):
            self.assertAlmostEqual(one, other, places=4)

    def test_what_is_read_after_a_start_is_counted_first(self) -> None:
        with tempfile.TemporaryDirectory(prefix="parley-census-") as directory:
            life = Life(directory + "/store", 2)
            for _ in range(40):
                life.put()
            self.rest(life)
            life.come_again()
            for _ in range(10):
                life.read()
            life.mailbox.write()
            self.assertFalse(life.mailbox.census.is_whole)
            self.count(life)
            self.same(life.sent(), life.waiting())
            life.mailbox.close()

    def rest(self, life: Life) -> None:
        life.mailbox.rest()
        while life.mailbox.upkeep.resting:
            life.mailbox.sync(wait=True)
            life.mailbox.work(0)

    def count(self, life: Life) -> None:
        life.mailbox.census.begin()
        while life.mailbox.census.is_due:
            life.mailbox.sync(wait=True)
            life.mailbox.work(0)

    def test_what_is_carried_is_counted(self) -> None:
        """It lay in a segment at the start, and goes into the next one."""
        with tempfile.TemporaryDirectory(prefix="parley-census-") as directory:
            life = Life(directory + "/store", 1)
            life.mailbox.upkeep.budget.small = 1 << 20
            for _ in range(2):
                for _ in range(5):
                    life.put()
                self.rest(life)
                self.same(life.sent(), life.waiting())
                life.come_again()
                life.mailbox.upkeep.budget.small = 1 << 20
                self.assertEqual(sum(life.sent()), 0)
            self.assertEqual(len(life.mailbox._shelf.segments), 1)
            life.mailbox.close()

    def test_a_weight_is_the_same_however_it_is_split(self) -> None:
        for recipients in 1, 7, 8, 100:
            run = Mail(5, 7, 1, 0, 9, 0, recipients, body_of([b"a", b"bb", b"c" * 100]))
            parts = [run.part(5, 5), run.part(6, 7)]
            self.assertAlmostEqual(weight(run), sum(map(weight, parts)))
            self.assertAlmostEqual(weight(run),
                                   3 * EACH + 103 / (recipients if recipients >= 8 else 1))


class HowMuch(unittest.TestCase):
    """The share of one login, of what there is."""

    def setUp(self) -> None:
        self.users = [User(0, "ann", 1)]
        self.census = Census(self.users, Shelf())

    def test_of_the_disk(self) -> None:
        census = self.census
        census.look(600, 1000, 1)
        self.assertEqual(census.share, NO_LIMIT)            # the operator wants none
        census.allow(10_000)
        census.look(60_000, 100_000 - 60_000, 1)
        self.assertEqual(census.share, 10_000)
        census.look(6000, 10_000 - 6000, 1)
        self.assertEqual(census.share, 10_000 // PART)
        for free, needed, is_tight in ((1000, 1, False), (999, 1, True), (1500, 1000, False),
                                       (1499, 1000, True)):
            census.look(free, 10_000 - free, needed)
            self.assertEqual(census.is_tight, is_tight)
            self.assertEqual(census.share, 10_000 // LAST // LITTLE if is_tight else 10_000 // PART)
        self.assertEqual(TIGHT, 1.5)

    def test_when_to_ask(self) -> None:
        """Soon after a start that found pages; then at the share; and once when all is counted."""
        census = self.census
        census.allow(1600)
        self.assertEqual(census.ask_above, 1600)
        census.is_whole = False
        census.allow(1600)
        self.assertEqual(census.ask_above, 1600 // EARLY)
        census.begin()
        self.assertEqual(census.ask_above, 1600)
        list(census.counting())
        self.assertEqual((census.ask_above, census.is_news), (0, True))
        census.added_up()
        self.assertEqual((census.ask_above, census.is_whole, census.is_due), (1600, True, False))

    def test_a_task_is_short(self) -> None:
        self.users += [User(number, f"u{number}", 1) for number in range(1, 3 * CHUNK)]
        self.census.is_whole = False
        self.census.begin()
        self.assertEqual(len(list(self.census.counting())), 3)


if __name__ == "__main__":
    unittest.main()
