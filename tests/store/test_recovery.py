"""Recovery: a kill at every step, what a start holds to, every byte flipped, random lives against a
dictionary."""

import errno
import os
import random
import shutil
import sys
import tracemalloc
import unittest
from contextlib import suppress
from unittest import mock

from mailbox import EVERYONE, Mail, Mailbox, User
from store import manifest as manifests
from store.budget import JOURNALS_MAX
from store.disk import Damaged, NoBackend, StoreError
from store.journal import SPARE
from store.progress import ID_JUMP
from tests.harness.waiting import singles
from tests.store.faulty_disk import RecordingDisk
from tests.store.lives import is_repeat
from tests.store.test_mailbox import EVER, StoreCase
from tests.store.test_segment import BACKENDS

Queues = dict[str, list[Mail]]


def queues(users: list[User], shelf: object) -> Queues:
    """What waits for each name, read from memory and segments."""
    found: Queues = {}
    for user in users:
        sealed = [mail for page in user.pages
                  for mail in shelf.mails(page)]        # type: ignore[attr-defined]
        found[user.name] = singles(user.unread_of(sealed) + user.tail)
    return found


class RecoveryCase(StoreCase):
    def copy(self, name: str = "copy") -> str:
        """The store as a kill would leave it now."""
        target = os.path.join(self.home.name, name)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.path, target)
        os.chmod(target, 0o700)
        return target

    def recovered(self, path: str) -> Queues:
        """What a start finds there; started twice, since recovery may be interrupted too."""
        found = None
        for _ in range(2):
            box = Mailbox(path, disk=RecordingDisk())
            again = self.queues(box)
            self.assertEqual({user.name: user.waiting for user in box.users},
                             {n: len(q) for n, q in again.items()})
            self.assertEqual(box.notes, [])
            self.let_go(box)
            self.assertIn(found, (None, again))
            found = again
        return again

    @staticmethod
    def queues(box: Mailbox) -> Queues:
        return {user.name: box.unread(user, 0, EVER, 1 << 30, 1 << 40) for user in box.users}

    def lively(self, backend: str) -> Mailbox:
        """A store with two segments, and mail in the journal."""
        box = self.open(backend=backend, small=0)
        ann, bob, cy = self.names(box, "ann", "bob", "cy")
        for n in range(3):
            for k in range(6):
                box.put(ann, 5 << 32 | n * 10 + k, k, [bob], 0, b"%d/%d" % (n, k))
            box.put(bob, 0, 1, [ann, cy], EVERYONE, b"to all %d" % n)
            box.put(bob, 0, 1, [ann, bob, cy] * 1, 0, b"to three %d" % n)
            self.keep(box)
            if n < 2:
                self.seal(box)
        mails = box.unread(bob, 0, EVER, 99, 9999)
        box.read(bob, mails[0].id, mails[4].id)
        box.read(bob, mails[9].id, mails[10].id)
        self.keep(box)
        return box


class TestKill(RecoveryCase):
    def test_at_every_step_of_a_seal(self) -> None:
        for backend in BACKENDS:
            for busy in (False, True):
                with self.subTest(backend=backend, busy=busy):
                    self.path = os.path.join(self.home.name, f"{backend}-{busy}")
                    self.kill_while_sealing(self.lively(backend), busy)

    def kill_while_sealing(self, box: Mailbox, busy: bool) -> None:
        ann, bob, cy = box.users
        box.upkeep.must_seal = True
        steps, more = 0, True
        while more:
            wanted = self.queues(box)
            self.assertEqual(self.recovered(self.copy()), wanted)
            if busy:
                box.put(cy, 0, steps, [ann, bob], 0, b"step %d" % steps)
                waiting = box.unread(bob, 0, EVER, 99, 9999)
                box.read(bob, waiting[steps % len(waiting)].id, waiting[steps % len(waiting)].id)
                box.work(0, lambda: 0.0)
                self.assertEqual({u.name: u.waiting for u in box.users},
                                 {n: len(q) for n, q in self.queues(box).items()})
                self.keep(box)
            more = box.work(0, lambda: 0.0)
            steps += 1
        self.assertGreater(steps, 12)
        self.assertEqual(self.recovered(self.copy()), self.queues(box))
        self.assertEqual(box.notes, [])
        self.assertGreaterEqual(max(box._shelf.segments), 3)

    def test_nothing_unfinished_is_left_after_the_next_start(self) -> None:
        box = self.lively(BACKENDS[0])
        box.upkeep.must_seal = True
        while box.work(0, lambda: 0.0):
            path = self.copy()
            for name in ("manifest.tmp", "segment.00000099", "segment.00000099.dat",
                         "journal.00000099"):
                with open(os.path.join(path, name), "w") as file:
                    file.write("unfinished")
            again = Mailbox(path, disk=RecordingDisk())
            left = again._journals.manifest
            wanted = {"lock", "manifest", "reserve", "reserve.seal",
                      *(f"journal.{n:08}" for n, _ in left.journals),
                      *(name for listed in left.segments for name in listed.files)}
            found = {name for name in os.listdir(path)
                     if not name.endswith(("-wal", "-shm"))} - {SPARE}
            self.assertEqual(found, wanted)
            self.let_go(again)


class TestRules(RecoveryCase):
    def test_a_missing_manifest_is_never_a_fresh_store(self) -> None:
        box = self.lively(BACKENDS[0])
        box.close()
        for keep in ("journal.", "segment."):
            path = self.copy()
            for name in os.listdir(path):
                if not name.startswith(keep):
                    os.unlink(os.path.join(path, name))
            with self.assertRaises(Damaged) as caught:
                Mailbox(path, disk=self.disk)
            self.assertIn("missing", str(caught.exception))

    def test_every_listed_file_is_there_with_its_size(self) -> None:
        for backend in BACKENDS:
            self.path = os.path.join(self.home.name, backend)
            box = self.lively(backend)
            box = self.reopen(box, backend=backend, small=0)
            listed = [*(f"journal.{n:08}" for n, _ in box._journals.manifest.journals),
                      *(name for row in box._journals.manifest.segments for name in row.files)]
            last = listed[len(box._journals.manifest.journals) - 1]
            self.assertEqual(len(box._journals.manifest.journals), 2)
            for name in listed:
                for change in ("gone", "longer", "shorter"):
                    if name == last and change != "gone":
                        continue  # the one being written has no listed size
                    path = os.path.join(self.copy(), name)
                    with open(path, "r+b") as file:
                        file.truncate(os.path.getsize(path)
                                      + {"gone": 0, "longer": 1, "shorter": -1}[change])
                    if change == "gone":
                        os.unlink(path)
                    with (self.subTest(name=name, change=change),
                          self.assertRaises(Damaged) as caught):
                        Mailbox(os.path.dirname(path), disk=RecordingDisk())
                    self.assertEqual(os.path.basename(caught.exception.file), name)

    def test_a_torn_tail_is_cut_off_and_said(self) -> None:
        box = self.open()
        ann, = self.names(box, "ann")
        box.put(ann, 0, 1, [ann], 0, b"kept")
        self.keep(box)
        end = box._journals.current.offset
        box.put(ann, 0, 1, [ann], 0, b"torn" * 100)
        box.write()
        with open(box._journals.current.path, "r+b") as file:
            file.seek(end + 200)
            file.write(bytes(300))
        box = self.reopen(box)
        self.assertEqual(self.texts(box, box.users[0]), [b"kept"])
        self.assertEqual(len(box.notes), 1)
        self.assertIn(f"offset {end}", box.notes[0])
        self.assertEqual(os.path.getsize(os.path.join(self.path, "journal.00000001")), end)
        self.assertEqual(self.reopen(box).notes, [])

    def test_of_two_batches_never_synced_the_first_may_be_lost(self) -> None:
        box = self.open()
        ann, = self.names(box, "ann")
        ends = []
        for n in range(3):
            box.put(ann, 0, n, [ann], 0, b"text %d" % n)
            box.write()
            ends.append(box._journals.current.offset)
        with open(box._journals.current.path, "r+b") as file:
            file.seek(ends[0])
            file.write(bytes(ends[1] - ends[0]))
        box = self.reopen(box)
        self.assertEqual((self.texts(box, box.users[0]), len(box.notes)), ([b"text 0"], 1))

    def test_a_start_syncs_what_a_killed_process_only_wrote(self) -> None:
        """Else a message sent again is answered as stored, and a power cut takes it."""
        box = self.open()
        ann, = self.names(box, "ann")
        box.put(ann, 7 << 32 | 1, 1, [ann], 0, b"written, not synced")
        box.write()
        # as on a full disk, where nothing is extended ahead
        with open(box._journals.current.path, "r+b") as file:
            file.truncate(box._journals.current.offset)
        del self.disk.ops[:]
        box = self.reopen(box)
        self.assertTrue(is_repeat(box, box.users[0], 7 << 32 | 1))
        names = [op.name for op in self.disk.ops]
        self.assertEqual([(op.name, op.file) for op in self.disk.ops[:2]],
                         [("sync_directory", ""), ("sync", "journal.00000001")])
        self.assertNotIn("truncate", names)

    def test_who_holds_the_lock_need_not_be_written(self) -> None:
        box = self.open()
        self.names(box, "ann")
        self.disk.fail("write", errno.ENOSPC, times=1)
        self.assertEqual(len(self.reopen(box).users), 1)
        self.assertEqual(self.disk.faults["write"], [0, errno.ENOSPC, 0])

    def test_ids_jump_at_every_start(self) -> None:
        box = self.open()
        self.names(box, "ann")
        last = box.last
        for n in range(1, 4):
            box = self.reopen(box)
            self.assertEqual(box.last, last + n * ID_JUMP)
        mail = box.put(box.users[0], 0, 1, box.users, 0, b"x")
        self.assertEqual(mail.id, last + 3 * ID_JUMP + 1)

    def test_the_seq_outlives_the_journals_and_the_segments(self) -> None:
        box = self.open(small=0)
        ann, = self.names(box, "ann")
        for n in range(4):
            mail = box.put(ann, 0, n, [ann], 0, b"x")
            self.keep(box)
            box.read(ann, 0, EVER)
            self.keep(box)
            self.seal(box)
            self.work(box)
            box = self.reopen(box, small=0)
            ann = box.users[0]
            self.assertGreater(box.last, mail.id + ID_JUMP - 1)
            self.assertEqual(len(box._shelf.segments), 1)
            box.put(ann, 0, n, [ann], 0, b"new")
            self.keep(box)
            box = self.reopen(box, small=0)
            ann = box.users[0]
            self.assertEqual(self.texts(box, ann), [b"new"])
            box.read(ann, 0, EVER)

    def test_each_segment_is_opened_once(self) -> None:
        """Also when there are more than are held open: to open one takes as long as to read its
        index."""
        box = self.open(small=0)
        ann, = self.names(box, "ann")
        for n in range(4):
            box.put(ann, 0, n, [ann], 0, b"x")
            self.keep(box)
            self.seal(box)
        with (mock.patch("store.shelf.OPEN_SEGMENTS", 1),
              mock.patch.object(self.disk, "database", wraps=self.disk.database) as opened):
            box = self.reopen(box, small=0)
        self.assertEqual(box.users[0].waiting, 4)
        self.assertEqual(opened.call_count, 4)

    def test_a_journal_of_before_a_crash_is_never_appended_to(self) -> None:
        box = self.open()
        self.names(box, "ann")
        with open(box._journals.current.path, "rb") as file:
            before = file.read(box._journals.current.offset)
        number = box._journals.current.number
        box = self.reopen(box)
        self.names(box, "bob")
        self.assertEqual(box._journals.current.number, number + 1)
        with open(os.path.join(self.path, f"journal.{number:08}"), "rb") as file:
            self.assertEqual(file.read(), before)

    def test_starts_do_not_pile_up_journals(self) -> None:
        box = self.open()
        for _ in range(5):
            box = self.reopen(box)
        self.assertEqual(len(box._journals.manifest.journals), 1)
        for n in range(JOURNALS_MAX + 3):
            self.names(box, f"u{n}")
            box = self.reopen(box)
            self.work(box)
        self.assertLess(len(box._journals.manifest.journals), JOURNALS_MAX)
        self.assertEqual(len(box.users), JOURNALS_MAX + 3)

    def test_a_rolled_journal_is_recycled(self) -> None:
        box = self.open()
        ann, = self.names(box, "ann")
        self.seal(box)
        self.assertIn(SPARE, os.listdir(self.path))
        box.put(ann, 0, 1, [ann], 0, b"x" * 500)
        self.keep(box)
        self.seal(box)
        box.put(ann, 0, 1, [ann], 0, b"y")
        self.keep(box)
        self.assertEqual(self.texts(self.reopen(box), box.users[0]), [b"x" * 500, b"y"])

    def test_a_store_of_a_backend_that_is_missing(self) -> None:
        box = self.lively("dbm.dumb")
        box.close()
        found = manifests.load(self.disk, self.path)
        assert found
        manifests.save(self.disk, self.path, found._replace(
            segments=tuple(listed._replace(backend="dbm.gnu") for listed in found.segments)))
        with (mock.patch.dict(sys.modules, {"dbm.gnu": None}),
              self.assertRaises(NoBackend) as caught):
            self.open()
        self.assertIn("this store needs Python's dbm.gnu", str(caught.exception))

    def test_a_store_of_several_backends(self) -> None:
        box = self.open(small=0)
        for n, backend in enumerate(BACKENDS):
            box = self.reopen(box, backend=backend, small=0)
            ann = box.register("ann", 1)
            box.put(ann, 0, n, [ann], 0, backend.encode())
            self.keep(box)
            self.seal(box)
        box = self.reopen(box, small=0)
        self.assertEqual(self.texts(box, box.users[0]), [name.encode() for name in BACKENDS])

    def test_files_of_a_later_version_are_refused(self) -> None:
        box = self.open()
        box.close()
        with mock.patch.object(manifests, "VERSION", 2):
            self.assertRaises(Damaged, self.open)


class TestRandomLives(RecoveryCase):
    def test_against_a_dictionary(self) -> None:
        for backend in BACKENDS:
            for seed in range(6):
                with self.subTest(backend=backend, seed=seed):
                    self.path = os.path.join(self.home.name, f"{backend}-{seed}")
                    Life(self, backend, random.Random(seed)).live(250)


class Life:
    """Random operations on a mailbox and on a dictionary of lists."""

    def __init__(self, case: RecoveryCase, backend: str, dice: random.Random) -> None:
        self.case, self.dice = case, dice
        self.limits = {"backend": backend, "seal_at": dice.choice([300, 2000, 20000]),
                       "small": dice.choice([0, 500, 1 << 20])}
        self.box = case.open(**self.limits)
        self.model: Queues = {}
        self.batch: list[tuple[str, Mail]] = []
        self.counter = 0

    def live(self, steps: int) -> None:
        moves = [self.register, self.put, self.put, self.put, self.put_many, self.everyone,
                 self.read, self.read,
                 self.keep, self.keep, self.work, self.work, self.kill, self.refuse]
        self.register()
        self.keep()
        for _ in range(steps):
            self.dice.choice(moves)()
            self.compare()
        self.keep()
        self.case.work(self.box)
        self.kill()
        self.compare()

    def compare(self) -> None:
        self.case.assertEqual(self.case.queues(self.box), self.model)
        self.case.assertEqual({u.name: u.waiting for u in self.box.users},
                              {n: len(q) for n, q in self.model.items()})

    def user(self) -> User:
        return self.dice.choice(self.box.users)

    def register(self) -> None:
        name = f"u{len(self.model)}"
        self.box.register(name, len(self.model))
        self.model[name] = []

    def _put(self, recipients: list[User], flags: int = 0) -> None:
        text = self.dice.randbytes(self.dice.choice([1, 30, 300, 3000]))
        self.counter += 1
        sender = self.user() if not flags else next(u for u in self.box.users
                                                    if u not in recipients)
        mail = self.box.put(sender, 1 << 32 | self.counter, self.counter, recipients, flags, text)
        for user in recipients:
            self.model[user.name].append(mail)

    def put(self) -> None:
        self._put([self.user()])

    def put_many(self) -> None:
        self._put(self.dice.sample(self.box.users, self.dice.randint(1, len(self.box.users))))

    def everyone(self) -> None:
        sender = self.user()
        omitted = {sender.number, sender.number // 2}
        self._put([user for user in self.box.users if user.number not in omitted], EVERYONE)

    def read(self) -> None:
        user = self.user()
        queue = self.model[user.name]
        if not queue:
            self.case.assertEqual(self.box.read(user, 0, EVER), [])
            return
        first, last = sorted(self.dice.choices([mail.id for mail in queue], k=2))
        if self.dice.random() < 0.4:
            first = 0
        newly = self.box.read(user, first, last)
        self.case.assertEqual(newly, [mail for mail in queue if first <= mail.id <= last])
        self.model[user.name] = [mail for mail in queue if mail not in newly]
        if self.dice.random() < 0.3:
            self.keep()

    def keep(self) -> None:
        self.case.keep(self.box)

    def work(self) -> None:
        self.box.work(0, lambda: 0.0)

    def kill(self) -> None:
        self.keep()
        self.box = self.case.reopen(self.box, **self.limits)

    def refuse(self) -> None:
        """A write that finds no room: the batch's mail and names go, its reads stay."""
        self.case.disk.fail("write", 28, times=1)
        before = self.box.sync()
        with suppress(StoreError):
            self.box.write()
        self.case.disk.heal()
        if self.box.refusing:
            self.model = {user.name: [mail for mail in self.model[user.name] if mail.id <= before]
                          for user in self.box.users}
            self.box.upkeep.regain_at = 0.0
            self.box.work(0, lambda: 1.0)
            self.case.assertIsNone(self.box.refusing)
        self.box.upkeep.regain_at = self.box.upkeep.after = 0.0


class TestSize(RecoveryCase):
    def test_many_waiting_messages_are_not_many_objects(self) -> None:
        box = self.open(backend="dbm.dumb")
        users = self.names(box, *[f"u{n}" for n in range(20)])
        for n in range(20000):
            box.put(users[0], 0, n, [users[n % 20]], 0, bytes(100))
        self.keep(box)
        self.seal(box)
        self.let_go(box)
        del box, users
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        again = self.open(backend="dbm.dumb")
        size, _ = tracemalloc.get_traced_memory()
        self.assertEqual(sum(user.waiting for user in again.users), 20000)
        self.assertLess(size, 200_000)


if __name__ == "__main__":
    unittest.main()
