"""What is read does not fill the disk: segments hold at most twice what waits, and a constant.

And it does not cost much: what is sealed is written once more, on average, at most.
"""
from __future__ import annotations

import random
import tempfile
import unittest
from collections.abc import Callable
from unittest import mock

from mailbox import Mailbox
from net.bodies import body_of
from store import budget
from store.disk import Disk
from store.mail import SHARED_AT, Mail
from store.room import to_carry
from store.segment import Listed, Segment
from store.user import User
from tests.harness.process import effort, say_figures

SEAL_AT = 100_000
LONG, SHORT = b"x" * 4000, b"y"
EVER = 1 << 60
TURNS = effort(150, 60)

Chosen = Callable[[Mail, random.Random], bool]
# Which of the messages a user confirms as soon as they come.
PATTERNS: dict[str, Chosen] = {
    "all": lambda mail, chance: True,
    "all but the short ones": lambda mail, chance: len(mail.source) > 100,
    "those to one": lambda mail, chance: mail.recipients < SHARED_AT,
    "those to many": lambda mail, chance: mail.recipients >= SHARED_AT,
    "two of three": lambda mail, chance: bool(mail.id % 3),
    "half, each": lambda mail, chance: chance.random() < 0.5,
}


class Life:
    """A store; long texts and short ones come to its users, and they confirm some of them."""

    def __init__(self, directory: str) -> None:
        self.directory, self.chance, self.now = directory, random.Random(1), 0.0
        self.written = self.sealed = 0
        self.open()
        for number in range(SHARED_AT + 1):
            self.box.register(f"u{number}", 1)

    def open(self) -> None:
        self.box = Mailbox(self.directory, seal_at=SEAL_AT, small=SEAL_AT // 8)

    @property
    def segments(self) -> list[Segment]:
        return list(self.box._shelf.segments.values())

    def put(self) -> None:
        box, chance = self.box, self.chance
        one, many = [chance.choice(box.users)], box.users[:SHARED_AT]
        box.put_run(box.users[0], 0, 1, one, 0, body_of([LONG]))
        for _ in range(2):
            box.put_run(box.users[0], 0, 1, one, 0, body_of([SHORT]))
        box.put_run(box.users[0], 0, 1, many, 0, body_of([LONG[:chance.randrange(2000)]]))

    def read(self, user: User, chosen: Chosen) -> None:
        for mail in self.box.unread(user, 0, EVER, EVER, EVER):
            if chosen(mail, self.chance):
                self.box.read(user, mail.id, mail.last)

    def work(self) -> None:
        """A second goes by, and all that is due is done."""
        box = self.box
        box.write()
        box.sync(wait=True)
        self.now += 1.0
        held, known = box._journals.held, max(box._shelf.segments, default=0)
        for _ in range(100_000):
            if not box.work(0, lambda: self.now):
                break
        new = [segment for number, segment in box._shelf.segments.items() if number > known]
        self.written += sum([segment.bytes for segment in new])
        self.sealed += held if new else 0

    def size(self) -> int:
        return sum([segment.bytes for segment in self.segments])

    def waiting(self) -> int:
        """Bytes of the store that really wait, as a new segment would hold them."""
        mails = [mail for user in self.box.users
                 for page in user.pages for mail in user.unread_of(self.box._shelf.mails(page))]
        own = sum([len(mail.body) for mail in mails if mail.recipients < SHARED_AT])
        shared = {mail.id: len(mail.body) for mail in mails if mail.recipients >= SHARED_AT}
        return own + sum(shared.values()) + 45 * len(mails)


class Waste(unittest.TestCase):
    def setUp(self) -> None:
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.life = Life(home.name + "/store")
        self.addCleanup(lambda: self.life.box.close())

    def live(self, chosen: Chosen) -> None:
        """Mail comes and is sealed; everybody confirms what is chosen, now or a little later."""
        life = self.life
        for _ in range(TURNS):
            for _ in range(5):
                life.put()
            for user in life.box.users:
                if life.chance.random() < 0.3:
                    life.read(user, chosen)
            life.work()
        for user in life.box.users:
            life.read(user, chosen)
        for _ in range(20):
            life.work()

    def judge(self) -> None:
        life = self.life
        self.assertLess(life.size(), 2 * life.waiting() + (budget.WASTE + 1) * SEAL_AT)

    def test_whatever_is_read(self) -> None:
        """Each pattern in one store: what the last one left is still there."""
        life, figures = self.life, []
        for pattern, chosen in PATTERNS.items():
            life.written = life.sealed = 0
            self.live(chosen)
            with self.subTest(pattern):
                self.judge()
                self.assertLess(life.written, 2 * life.sealed)
            figures.append(f"{pattern}: {life.size():,} bytes, {life.waiting():,} wait, "
                           f"{life.written / life.sealed:.2f} written for each sealed")
        say_figures("\n".join(figures))

    def test_it_is_read_and_nothing_comes(self) -> None:
        """Reading alone is a reason to seal, in as many seals as are needed."""
        self.live(lambda mail, chance: False)
        life = self.life
        for user in life.box.users:
            life.read(user, PATTERNS["two of three"])
        with (mock.patch.object(budget, "SPARE", 0), mock.patch.object(budget, "WASTE", 0),
              mock.patch.object(budget, "CARRIED", 1)):
            for _ in range(20):
                life.work()
        self.assertLess(life.size(), 2 * life.waiting() + life.box.upkeep.budget.records)

    def test_after_a_start(self) -> None:
        """What is read of a page that nobody looks at is known by its index alone."""
        life = self.life
        self.live(PATTERNS["two of three"])
        life.box.close()
        life.open()
        before = {segment.number: (segment.bytes, segment.waiting) for segment in life.segments}
        for number, (size, waiting) in before.items():
            self.assertLessEqual(waiting, size, number)
        for _ in range(20):
            life.work()
        self.judge()
        for user in life.box.users:
            life.read(user, lambda mail, chance: True)
        self.assertEqual({segment.waiting for segment in life.segments}, {0})


class Choice(unittest.TestCase):
    def test_table(self) -> None:
        for sizes, small, spare, most, wanted in (
                ([(100, 10)], 0, 0, 99, {1}),                   # nearly read
                ([(100, 30)], 0, 40, 99, set()),                # 40 more are read than wait
                ([(100, 30)], 0, 39, 99, {1}),
                ([(100, 60), (100, 40), (100, 30)], 0, 0, 99, {3}),     # that is enough
                ([(100, 10), (100, 10), (100, 10)], 0, 0, 29, {1, 2}),  # the third is too much
                ([(100, 40)], 0, 0, 10, {1}),                   # one at least
                ([(10, 9), (100, 90)], 20, 0, 99, {1})):        # small
            segments = [self.segment(number + 1, *size) for number, size in enumerate(sizes)]
            with self.subTest(sizes=sizes, spare=spare):
                self.assertEqual(to_carry(segments, small, spare, most), wanted)

    @staticmethod
    def segment(number: int, size: int, waiting: int) -> Segment:
        segment = Segment(Disk(), "", bytes(16), Listed(number, "", {}))
        segment.bytes = segment.own = size
        segment.unread_own = waiting
        return segment


if __name__ == "__main__":
    unittest.main()
