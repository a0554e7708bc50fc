"""Whole lives of a full disk: room must come back by reading alone, again and again, with nothing
lost on the way.

In the model (FullDisk), where a second takes no time, with every backend.  The real daemon on a
real small disk: full_disk.py, test_full_disk.py.
"""
from __future__ import annotations

import os
import tempfile
import unittest
from collections.abc import Generator
from random import Random
from unittest import mock

from mailbox import Full, Mailbox
from store import room
from store.mail import Mail
from store.records import EVERYONE
from store.room import need, size_of_tails
from tests.harness.process import effort, say_figures
from tests.harness.waiting import texts
from tests.store.faulty_disk import FullDisk, Op
from tests.store.test_segment import BACKENDS
from tests.torture import full_disk

EVER = 1 << 63
SPACE = 6 << 20             # bytes of the model's disk
SIZE = 12_000               # of a text
USERS = 8
ROUNDS = effort(20, 8)
PART = ROUNDS // 8 * 4      # rounds that are compared: a pattern repeats itself every four rounds
LOOK = 0.25                 # seconds between two looks for room, as the daemon has it
AGAIN = 1.0                 # until mail is taken again
STEPS = 2000                # of upkeep between two looks: more than there are
CREEP = 0.8                 # of what the first rounds took, the last ones must take


class Unrecorded(FullDisk):
    def _note(self, op: Op) -> None:
        pass


class Life:
    """A store on a full disk, and what must wait in it."""

    def __init__(self, directory: str, backend: str, space: int = SPACE,
                 users: int = USERS) -> None:
        self.path = os.path.join(directory, "store")
        self.backend, self.dice = backend, Random(backend)
        self.disk, self.now, self.count = Unrecorded(self.path), 0.0, 0
        self.disk.space = space
        self.box = self.open()
        for n in range(users):
            self.box.register(f"u{n}", 1)
            if not n % 10_000:
                self.box.write()
                self.box.sync()
        self.box.write()
        self.box.sync()
        self.waiting: dict[str, list[bytes]] = {f"u{n}": [] for n in range(USERS)}

    def open(self) -> Mailbox:
        return Mailbox(self.path, self.disk, self.backend)

    def kill(self) -> None:
        """And start it again."""
        self.leave()
        self.box = self.open()

    def leave(self) -> None:
        self.box.upkeep.abandon()
        self.box._shelf.close()
        self.disk.close(self.box._journals.current.fd)
        self.disk.close(self.box._lock)

    def work(self, steps: int = STEPS) -> None:
        for _ in range(steps):
            more = self.box.work(0, lambda: self.now)
            assert self.disk.used() <= self.disk.space, "a segment took more than the disk has"
            if not more:
                return

    def send(self, to: str) -> bool:
        """Is it taken?"""
        self.count += 1
        text, box = (b"%d " % self.count).ljust(SIZE, b"."), self.box
        user = box.find(to)
        assert user
        try:
            box.put(box.users[0], 7 << 32 | self.count, self.count, [user], 0, text)
            box.write()
        except Full:
            box.write()
            return False
        box.sync()
        self.waiting[to].append(text)
        return True

    def fill(self) -> int:
        """Send until it stays refused; how many were taken."""
        taken = refused = 0
        while refused * LOOK < AGAIN:
            if self.send(self.dice.choice(list(self.waiting))):
                taken, refused = taken + 1, 0
                self.work(4)
            else:
                refused += 1
                self.now += LOOK
                self.work()
        return taken

    def read(self, name: str, share: float, step: int = 1) -> None:
        """Confirm the oldest part, or of that every so many."""
        expected, box = self.waiting[name], self.box
        user = box.find(name)
        assert user
        mails: list[Mail] = box.unread(user, 0, EVER, 1 << 30, 1 << 40)
        assert texts(mails) == expected, f"{name}: {len(texts(mails))} wait, not {len(expected)}"
        count = int(share * len(expected))
        for mail in mails[:count:step]:
            box.read(user, mail.id, mail.id)
            box.write()
            box.sync()
        self.work(20)
        del expected[:count:step]

    def again(self) -> None:
        """Within a second it is taken."""
        for _ in range(int(AGAIN / LOOK)):
            self.now += LOOK
            self.work()
            if self.send(next(iter(self.waiting))):
                return
        raise AssertionError(f"still refused after {AGAIN:g} s: {self.describe()}")

    def describe(self) -> str:
        segments = [(segment.number, segment.bytes, segment.messages, segment.unread)
                    for segment in self.box._shelf.segments.values()]
        return (f"{self.disk.free('')} bytes free, segments {segments}, "
                f"{self.box._journals.held} in journals")


class Model(unittest.TestCase):
    def each(self, **more: int) -> list[Life]:
        lives = []
        for backend in BACKENDS:
            home = tempfile.TemporaryDirectory()
            self.addCleanup(home.cleanup)
            lives.append(Life(home.name, backend, **more))
            self.addCleanup(lives[-1].leave)
        return lives

    def live(self, pattern: str, kill: bool = False) -> None:
        """With each backend, or, in a sample, with one of them: another for the next pattern."""
        share, lives = full_disk.PATTERNS[pattern], self.each()
        turn = 2 * list(full_disk.PATTERNS).index(pattern) + kill
        for life in effort(lives, lives[turn % len(lives):][:1]):
            with self.subTest(backend=life.backend):
                taken = []
                for round in range(ROUNDS):
                    taken.append(life.fill())
                    for number, name in enumerate(life.waiting):
                        life.read(name, share(round, full_disk.READERS[number]))
                    if kill:
                        life.kill()
                    life.again()
                    for name in life.waiting:
                        if round % 4 == 3:
                            life.read(name, 1.0)
                    self.assertGreater(taken[-1], 0)
                say_figures(f"{life.backend}, {pattern} read: {taken}")
                self.assertGreater(sum(taken[-PART:]), CREEP * sum(taken[:PART]))
                self.assertGreater(max(taken) * SIZE, SPACE // 2)

    def test_all_is_read(self) -> None:
        self.live("all")

    def test_all_is_read_and_it_was_killed(self) -> None:
        self.live("all", kill=True)

    def test_most_is_read(self) -> None:
        self.live("most of each")

    def test_half_is_read_and_it_was_killed(self) -> None:
        self.live("half of each", kill=True)

    def test_every_other_message_is_read(self) -> None:
        """No segment is read whole, so that each must be written again, in the room that was kept
        for that: the reserve is too small for it, for these segments have megabytes.

        In a sample with one backend."""
        lives = self.each(space=effort(8, 4) * SPACE)
        for life in effort(lives, lives[:1]):
            with self.subTest(backend=life.backend):
                taken = []
                for _ in range(2):
                    taken.append(life.fill())
                    self.assertGreater(life.disk.free(""),
                                       need(life.box.upkeep.budget.seal_at, 0, life.backend))
                    for name in life.waiting:
                        life.read(name, 1.0, 2)
                    life.again()
                self.assertGreater(min(taken) * SIZE, SPACE)

    def test_a_few_users_are_away(self) -> None:
        self.live("all but a few users")

    def test_another_program_fills_it_and_frees_it(self) -> None:
        """While it does, nothing is taken and nothing is lost; what is read is dropped as far as it
        can be."""
        for life in self.each():
            for kill in (False, True, False, True):
                with self.subTest(backend=life.backend, kill=kill):
                    for _ in range(100):
                        self.assertTrue(life.send("u1"))
                        life.work(8)
                    life.disk.space = life.disk.used()
                    life.fill()
                    self.assertIsNotNone(life.box.refusing)
                    for name in life.waiting:
                        life.read(name, 0.9)
                    if kill:
                        life.kill()
                    life.disk.space = SPACE
                    life.again()
                    for name in life.waiting:
                        life.read(name, 1.0)

    def test_nothing_but_the_reserve(self) -> None:
        """Another program has taken all, and keeps it; all is read: what the journals held comes
        back, and is not enough for it that nobody else takes it."""
        for life in self.each():
            with self.subTest(backend=life.backend):
                for _ in range(25):
                    self.assertTrue(life.send("u1"))
                life.disk.space = life.disk.used()
                life.fill()
                held = life.box._journals.held
                life.read("u1", 1.0)
                # its files need more than the reserve while they are written
                if life.backend == "dbm.sqlite3":
                    life.disk.space += 1 << 20
                life.now += AGAIN
                life.work()
                self.assertGreater(life.disk.free(""), held // 2)
                self.assertLess(life.box._journals.held, 1000)

    def test_names_that_take_more_room_than_the_mail(self) -> None:
        """Mail is refused while there is still room to write their records again."""
        names, space = effort((100_000, 64 << 20), (15_000, 10 << 20))
        life, = self.each(space=space, users=names)[:1]
        taken = []
        for _ in range(2):
            taken.append(life.fill())
            for name in life.waiting:
                life.read(name, 1.0)
            life.again()
        life.kill()
        self.assertEqual(len(life.box.users), names)
        self.assertEqual(life.box.users[-1].name, f"u{names - 1}")
        self.assertGreater(min(taken) * SIZE, space * 5 // 16)

    def test_what_waits_to_many_is_counted_for_each(self) -> None:
        """One text to all is little in a journal, and an entry for each in a segment."""
        for life in self.each(users=5000):
            with self.subTest(backend=life.backend):
                box = life.box
                for n in range(4):
                    box.put(box.users[0], 7 << 32 | n + 1, 1, box.users[1:], EVERYONE, b"to all")
                    box.write()
                    box.sync()
                sizes = list(self.result(size_of_tails(box.users, [box.last])))
                box.upkeep.must_seal = True
                life.work()
                written = sum(segment.bytes for segment in box._shelf.segments.values())
                self.assertTrue(written <= sizes[0] <= written + 4 * 5000 * 45 + 10_000,
                                (sizes, written))
                self.assertGreater(written, 4 * 5000 * 45)

    def test_what_is_put_while_it_is_counted(self) -> None:
        """That is in no journal of which the end was known."""
        life = self.each(users=4)[0]
        box = life.box
        ann = box.users[0]
        for _ in range(2):
            box.put(ann, 0, 1, [ann], 0, b"x")
        wanted = self.result(size_of_tails(box.users, [box.last]))
        with mock.patch.object(room, "STEP", 0):
            task = size_of_tails(box.users, [box.last])
            next(task)
            box.put(ann, 0, 1, box.users[1:], 0, b"meanwhile")
            self.assertEqual(self.result(task), wanted)

    @staticmethod
    def result(task: Generator[object, None, list[int]]) -> list[int]:
        try:
            while True:
                next(task)
        except StopIteration as end:
            found: list[int] = end.value
            return found


if __name__ == "__main__":
    unittest.main()
