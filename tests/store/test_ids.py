"""Ids only grow, and none is given twice: over refusals, rolls and manifests that fail, kills and
power cuts."""

from __future__ import annotations

import errno
import random
import shutil
import unittest
from unittest import mock

import wire
from mailbox import Failed, Full, Mailbox, StoreError
from net.bodies import body_of
from store.progress import ID_JUMP, UNSYNCED_MAX
from tests.harness.process import effort
from tests.harness.service import Service
from tests.store.test_mailbox import StoreCase
from tests.store.test_syncer import SlowDisk, slow

LIVES, STEPS = range(0, 60, effort(1, 3)), 120
FAULTS = ("create", "write", "sync", "rename", "truncate", "sync_directory", "unlink")


class TestGiven(StoreCase):
    """A store that lives badly.  `highest` is the highest id that was ever given, refused ones
    too."""

    def setUp(self) -> None:
        super().setUp()
        self.highest = self.synced = 0
        self.seen: set[str] = set()

    def test_over_random_lives(self) -> None:
        for life in LIVES:
            with self.subTest(life=life):
                self.path = f"{self.home.name}/{life}"
                self.live(random.Random(life))
        self.assertEqual(self.seen, {"refused", "rolled", "not rolled", "failed", "killed", "cut",
                                     "not started"})

    def live(self, dice: random.Random) -> None:
        self.disk.heal()
        self.highest, self.box = 0, self.open(small=0)
        steps = {self.put: 8, self.fault: 2, self.heal: 3, self.seal: 2, self.work: 8,
                 self.kill: 0.3, self.cut: 0.3}
        for step in dice.choices(list(steps), list(steps.values()), k=STEPS):
            before = self.box.last
            try:
                step(dice)
            except Failed:
                self.seen.add("failed")
                self.restart()
            self.assertGreaterEqual(self.box.last, before, step.__name__)
        self.let_go(self.box)

    def put(self, dice: random.Random) -> None:
        """Some messages; they may be shown when they are written, and are refused when that
        fails."""
        box = self.box
        try:
            user = box.register("ann", 1)
            for _ in range(dice.randint(1, 30)):
                mail = box.put(user, 0, 1, [user], 0, b"x")
                self.assertGreater(mail.id, self.highest)
                self.highest = mail.last
            box.write()
        except Full:
            self.seen.add("refused")
        if dice.random() < 0.5:
            offset = box._journals.current.offset
            box.sync()
            self.synced = offset

    def fault(self, dice: random.Random) -> None:
        self.disk.fail(dice.choice(FAULTS), dice.choice([errno.ENOSPC, errno.EIO]),
                       dice.randint(0, 4), dice.randint(1, 3))

    def heal(self, dice: random.Random) -> None:
        self.disk.heal()

    def seal(self, dice: random.Random) -> None:
        self.box.upkeep.must_seal = True

    def work(self, dice: random.Random) -> None:
        self.now += dice.choice([0, 1, 10])
        number, task = self.box._journals.current.number, self.box.upkeep.task
        for _ in range(dice.randint(1, 5)):
            self.box.work(0, lambda: self.now)
        if self.box._journals.current.number != number:
            self.synced = 0
            self.seen.add("rolled")
        elif task and not self.box.upkeep.task:
            self.seen.add("not rolled")

    def kill(self, dice: random.Random) -> None:
        self.seen.add("killed")
        self.restart()

    def cut(self, dice: random.Random) -> None:
        """Of what was written and not synced nothing is left."""
        self.seen.add("cut")
        with open(self.box._journals.current.path, "r+b") as file:
            size = file.seek(0, 2)
            start = max(self.synced, 54)
            file.seek(start)
            file.write(bytes(size - start))
        self.restart()

    def restart(self) -> None:
        if self.box.upkeep.writer:  # a manifest may list its files already
            self.box.upkeep.writer.close()
            self.box.upkeep.writer = None
        self.let_go(self.box)
        before = self.box.last
        for _ in range(20):
            try:
                self.box: Mailbox = self.open(small=0)
                break
            except StoreError:
                self.seen.add("not started")
                self.disk.heal()
        self.synced = 0
        self.assertGreater(self.box.last, before)


class TestShown(StoreCase):
    """Mail is shown before it is on the disk.  After a power cut the new ids begin above all that
    were shown."""

    def cut(self, box: Mailbox, synced: int) -> int:
        """How far it had counted when power is back: nothing above the offset that was synced is
        there."""
        path = self.path + "-cut"
        shutil.copytree(self.path, path)
        with open(path + "/" + box._journals.current.path.rpartition("/")[2], "r+b") as file:
            file.truncate(synced)
        again = Mailbox(path)
        self.addCleanup(self.let_go, again)
        return again.last

    def test_however_many_come_between_two_syncs(self) -> None:
        """Runs of the most messages, turn after turn, until no more are taken."""
        box = self.open(disk=SlowDisk())
        ann, = box.users or [box.register("ann", 1)]
        box.write()
        box.sync(wait=True)
        synced, body, shown = box._journals.current.offset, body_of([b"x"] * wire.COPIES_MAX), 0
        with self.assertRaises(Full):
            for _ in range(2 * ID_JUMP // wire.COPIES_MAX):
                shown = box.put_run(ann, 0, 1, [ann], 0, body).last
                if not shown % 3:
                    box.write()
                    box.sync()
        box.write()
        self.assertGreater(shown, UNSYNCED_MAX)
        self.assertGreater(self.cut(box, synced), shown)

    def test_behind_a_gap_of_refused_ones(self) -> None:
        """Refused again and again, they count as well: before one is shown beyond, the disk has
        heard how far it is."""
        box = self.open()
        ann, = self.names(box, "ann")
        body, refused = body_of([b"x"] * wire.COPIES_MAX), box.last
        while refused < 2 * ID_JUMP:
            self.now += 1
            box.work(0, lambda: self.now)
            self.disk.fail("write", errno.ENOSPC, times=1)
            self.assertFalse(box.refusing)
            try:
                refused = box.put_run(ann, 0, 1, [ann], 0, body).last
                self.assertRaises(Full, box.write)
            except Full:
                self.disk.heal()
                self.assertTrue(box.progress.is_behind)
                self.assertTrue(box.settle())
                self.assertFalse(box.progress.is_behind)
        self.disk.heal()
        self.now += 1
        box.work(0, lambda: self.now)
        synced = box._journals.current.offset
        mail = box.put(ann, 0, 1, [ann], 0, b"shown")
        box.write()
        self.assertGreater(self.cut(box, synced), mail.id)


class TestFlooders(unittest.TestCase):
    def test_all_in_one_turn(self) -> None:
        """What each of them may ask in one turn is together more than may be unsynced."""
        with mock.patch("store.progress.UNSYNCED_MAX", 1 << 10), Service() as service:
            clients = service.users(*(f"user{n}" for n in range(40)))
            slow(service)
            frame = wire.encode(wire.Sends(7 << 32 | 1, 0, ("user0",), ("x",) * 500))
            for client in clients:
                client.sock.send(frame)
            service.run()
            box = service.mailbox
            self.assertGreater(box.last, box.progress.synced + (1 << 10))
            self.assertLess(box.last, box.progress.synced + (1 << 10) + 500 + len(clients))


assert UNSYNCED_MAX + wire.COPIES_MAX < ID_JUMP
