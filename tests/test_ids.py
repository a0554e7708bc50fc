"""Ids only grow, and none is given twice: over refusals, rolls and manifests that fail, kills and power cuts."""

from __future__ import annotations

import errno
import random

from mailbox import Failed, Full, Mailbox, StoreError
from tests.test_mailbox import StoreCase

LIVES, STEPS = 60, 120
FAULTS = ("create", "write", "sync", "rename", "truncate", "sync_directory", "unlink")


class TestGiven(StoreCase):
    """A store that lives badly.  `highest` is the highest id that was ever given, refused ones too."""

    def setUp(self) -> None:
        super().setUp()
        self.highest = self.synced = 0
        self.seen: set[str] = set()

    def test_over_random_lives(self) -> None:
        for life in range(LIVES):
            with self.subTest(life=life):
                self.path = f"{self.home.name}/{life}"
                self.live(random.Random(life))
        self.assertEqual(self.seen, {"refused", "rolled", "not rolled", "failed", "killed", "cut", "not started"})

    def live(self, dice: random.Random) -> None:
        self.disk.heal()
        self.highest, self.box = 0, self.open(small=0)
        steps = {self.put: 8, self.fault: 2, self.heal: 3, self.seal: 2, self.work: 8, self.kill: 0.3, self.cut: 0.3}
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
        """Some messages; they may be shown when they are written, and are refused when that fails."""
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
            offset = box._journal.offset
            box.sync()
            self.synced = offset

    def fault(self, dice: random.Random) -> None:
        self.disk.fail(dice.choice(FAULTS), dice.choice([errno.ENOSPC, errno.EIO]), dice.randint(0, 4),
                       dice.randint(1, 3))

    def heal(self, dice: random.Random) -> None:
        self.disk.heal()

    def seal(self, dice: random.Random) -> None:
        self.box.upkeep.must_seal = True

    def work(self, dice: random.Random) -> None:
        self.now += dice.choice([0, 1, 10])
        number, task = self.box._journal.number, self.box.upkeep.task
        for _ in range(dice.randint(1, 5)):
            self.box.work(0, lambda: self.now)
        if self.box._journal.number != number:
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
        with open(self.box._journal.path, "r+b") as file:
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
