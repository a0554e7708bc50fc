"""The mailbox: names, queues, what is read, and what a full or failing disk does to them."""

import errno
import itertools
import os
import random
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from unittest import mock

from mailbox import (
    EVERYONE,
    CannotCreate,
    Damaged,
    Denied,
    Failed,
    Full,
    InUse,
    Mailbox,
    NoBackend,
    StoreError,
    User,
)
from net.bodies import ONE, body_of
from store import salvage
from store.disk import WAIT
from store.journal import RECORD
from store.mail import WHOLE, Mail
from store.records import (
    NAME,
    ORIGINS,
    Replay,
    missing_from,
    name_record,
    origins_record,
    setting_record,
    split,
)
from store.reserve import LAST, LOOK, Reserve
from store.room import USER_BYTES, need
from store.segment import ENTRY_MAX
from store.user import INSTANCES, RUNS_MAX, SETTING_MAX
from tests.harness.process import effort
from tests.harness.waiting import singles, texts
from tests.store.faulty_disk import FullDisk, RecordingDisk
from tests.store.lives import is_repeat

EVER = 1 << 63


class StoreCase(unittest.TestCase):
    def setUp(self) -> None:
        self.home = tempfile.TemporaryDirectory()
        self.addCleanup(self.home.cleanup)
        self.path = os.path.join(self.home.name, "store")
        self.disk = RecordingDisk()
        self.now = 0.0

    def open(self, **more: object) -> Mailbox:
        box = Mailbox(self.path, **({"disk": self.disk} | more))  # type: ignore[arg-type]
        self.addCleanup(self.let_go, box)
        return box

    @staticmethod
    def let_go(box: Mailbox) -> None:
        """What the kernel does for a killed process.  (An unfinished segment goes: dbm.dumb would
        write to it yet.)"""
        if box.__dict__.setdefault("gone", False):
            return
        box.__dict__["gone"] = True
        box.upkeep.abandon()
        box._shelf.close()
        for fd in (box._lock, box._journals.current.fd):
            with suppress(OSError):
                os.close(fd)

    def reopen(self, box: Mailbox, **more: object) -> Mailbox:
        self.let_go(box)
        return self.open(**more)

    def reopen_copy(self, box: Mailbox) -> Mailbox:
        """What a kill would leave now."""
        path = self.path + "-copy"
        shutil.copytree(self.path, path)
        os.chmod(path, 0o700)
        found = Mailbox(path, disk=RecordingDisk())
        self.addCleanup(self.let_go, found)
        return found

    def names(self, box: Mailbox, *names: str) -> list[User]:
        users = [box.register(name, 1000 + n) for n, name in enumerate(names)]
        self.keep(box)
        return users

    def keep(self, box: Mailbox) -> None:
        box.write()
        box.sync()

    def work(self, box: Mailbox) -> None:
        """All there is to do."""
        for _ in range(100000):
            if not box.work(0, lambda: self.now):
                return
        self.fail("the work never ends")

    def seal(self, box: Mailbox) -> None:
        box.upkeep.must_seal = True
        self.work(box)

    def texts(self, box: Mailbox, user: User) -> list[bytes]:
        return texts(box.unread(user, 0, EVER, 1 << 30, 1 << 40))


class TestNames(StoreCase):
    def test_a_name_is_found_however_it_is_spelled(self) -> None:
        box = self.open()
        ann, bob = self.names(box, "Ann", "bob")
        self.assertEqual((box.find("Ann"), box.find("ANN"), box.find("Bob"), box.find("carl")),
                         (ann, ann, bob, None))
        self.assertIs(box.register("aNN", 5), ann)
        box.seen(ann, 5000)
        box.seen(ann, 4000)
        self.names(box, "carl")
        box = self.reopen(box)
        self.assertEqual([(u.number, u.name, u.first_seen, u.last_seen) for u in box.users],
                         [(0, "Ann", 1000, 5000), (1, "bob", 1001, 1001), (2, "carl", 1000, 1000)])
        self.assertIs(box.find("ann"), box.users[0])

    def test_a_queue_persists_while_empty_and_through_a_seal(self) -> None:
        box = self.open()
        self.names(box, "ann")
        self.seal(box)
        box = self.reopen(box)
        self.assertEqual((box.users[0].name, box.users[0].waiting), ("ann", 0))

    def test_seen_alone_writes_nothing(self) -> None:
        box = self.open()
        ann, = self.names(box, "ann")
        before = len(self.disk.ops)
        box.seen(ann, 9999)
        self.keep(box)
        self.assertEqual(len(self.disk.ops), before)
        box.close()
        self.assertEqual(self.open().users[0].last_seen, 9999)

    def test_the_length_of_a_name(self) -> None:
        box = self.open()
        self.assertRaises(ValueError, box.register, "", 1)
        self.assertRaises(ValueError, box.register, "x" * 256, 1)
        box.register("x" * 255, 1)


class TestMail(StoreCase):
    def test_what_is_put_is_read(self) -> None:
        box = self.open()
        ann, bob, cy = self.names(box, "ann", "bob", "cy")
        one = box.put(ann, 7 << 32 | 1, 123, [bob], 1, b"one")
        two = box.put(bob, 0, 124, [ann, bob, cy], 0, b"two")
        self.assertEqual(one, (one.id, one.id, 123, ann.number, 7 << 32 | 1, 1, 1, b"\0\1\0\3one",
                               WHOLE))
        self.assertEqual((two.id, two.recipients, box.last), (one.id + 1, 3, two.id))
        for _ in range(2):
            self.assertEqual([u.waiting for u in box.users], [1, 2, 1])
            self.assertEqual(box.unread(box.users[1], 0, EVER, 9, 999), [one, two])
            self.keep(box)
            box = self.reopen(box)
        self.assertEqual(box.read(box.users[1], one.id, one.id), [one])
        self.assertEqual(box.read(box.users[1], 0, EVER), [two])
        self.assertEqual(box.read(box.users[1], 0, EVER), [])
        self.keep(box)
        self.assertEqual([u.waiting for u in self.reopen(box).users], [1, 0, 1])

    def test_the_windows_of_unread(self) -> None:
        box = self.open(small=0)
        ann, bob = self.names(box, "ann", "bob")
        ids = []
        for n in range(30):
            ids.append(box.put(ann, 0, n, [bob], 0, bytes(100)).id)
            if n in (9, 19):
                self.keep(box)
                self.seal(box)
        self.keep(box)
        self.assertEqual((len(bob.pages), len(bob.tail)), (2, 10))

        def got(*limits: int) -> list[int]:
            return [ids.index(mail.id) for mail in box.unread(bob, *limits)]
        for after in range(-1, 30):
            low = ids[after] if after >= 0 else 0
            self.assertEqual(got(low, EVER, 99, 1 << 20), list(range(after + 1, 30)))
            self.assertEqual(got(low, ids[15], 99, 1 << 20), list(range(after + 1, 16)))
            for count in (0, 1, 7, 20):
                self.assertEqual(got(low, EVER, count, 1 << 20), list(range(after + 1, 30))[:count])
            for size, many in ((1, 1), (99, 1), (100, 1), (101, 1), (200, 2), (1500, 15)):
                self.assertEqual(got(low, EVER, 99, size), list(range(after + 1, 30))[:many])

    def test_reading_out_of_order(self) -> None:
        """Every range of ten waiting messages, then every other one, wherever they lie."""
        for first in range(10):
            for last in range(first, 10):
                for sealed in effort((0, 4, 10), ((0, 4, 10)[(first + 2 * last) % 3],)):
                    for length in self.lengths(first, last):
                        with self.subTest(sealed=sealed, first=first, last=last, length=length):
                            self.path = os.path.join(self.home.name,
                                                     f"s{sealed}-{first}-{last}-{length}")
                            self.out_of_order(sealed, first, last, length)

    def lengths(self, first: int, last: int) -> tuple[int, ...]:
        """How long the runs are: 1, or each of three; in a sample one of the three."""
        each = (1, 2, 5)
        return effort(each if first % 3 == 0 else each[:1], (each[(first + last) % 3],))

    def out_of_order(self, sealed: int, first: int, last: int, length: int) -> None:
        """They were put in runs of this length; between the runs another's mail."""
        box = self.open(backend="dbm.dumb")
        ann, bob, cy = self.names(box, "ann", "bob", "cy")
        mails = []
        for n in range(0, 10, length):
            run = box.put_run(ann, 7 << 32 | n + 1, n, [bob], 0,
                              body_of([b"%d" % k for k in range(n, n + length)]))
            mails += singles([run])
            self.assertEqual([mail.texts for mail in mails[n:]],
                             [[b"%d" % k] for k in range(n, n + length)])
            box.put(ann, 0, n, [cy], 0, b"between")
            if n < sealed <= n + length:
                self.keep(box)
                self.seal(box)
        self.keep(box)
        self.assertEqual(singles(box.read(bob, mails[first].id, mails[last].id)),
                         mails[first:last + 1])
        left = mails[:first] + mails[last + 1:]
        self.keep(box)
        for _ in range(2):
            self.assertEqual((singles(box.unread(bob, 0, EVER, 99, 999)), bob.waiting),
                             (left, len(left)))
            self.assertLessEqual(len(bob.ranges), 1)
            box = self.reopen(box, backend="dbm.dumb")
            bob = box.users[1]
        for mail in left[::-2]:
            self.assertEqual(singles(box.read(bob, mail.id, mail.id)), [mail])
            self.assertEqual(box.read(bob, mail.id, mail.id), [])
        left = [mail for mail in left if mail not in left[::-2]]
        self.keep(box)
        self.assertEqual((singles(box.unread(bob, 0, EVER, 99, 999)), bob.waiting),
                         (left, len(left)))
        box = self.reopen(box, backend="dbm.dumb")
        bob = box.users[1]
        self.assertEqual(singles(box.read(bob, 0, EVER)), left)
        self.assertEqual((bob.ranges, bob.waiting, bob.pages), ([], 0, []))
        self.keep(box)
        self.assertEqual(self.reopen(box, backend="dbm.dumb").users[1].waiting, 0)

    def test_a_run_is_cut_at_every_limit(self) -> None:
        """By count, by bytes, by the ids asked for, from the journal and from a segment."""
        box = self.open()
        ann, bob = self.names(box, "ann", "bob")
        run = box.put_run(ann, 7 << 32 | 1, 1, [bob], 0, body_of([b"x" * n for n in range(1, 9)]))
        self.keep(box)
        for sealed in (False, True):
            if sealed:
                self.seal(box)
                self.assertEqual((bob.tail, len(bob.pages)), ([], 1))
            for after in range(8):
                for upto in range(after + 1, 9):
                    for count in (1, 3, 9):
                        for size in (1, 7, 15, 99):
                            sizes = list(range(after + 1, upto + 1))[:count]
                            fit = max([k for k in range(1, len(sizes) + 1)
                                       if sum(sizes[:k]) <= size], default=1)
                            found = box.unread(bob, run.id - 1 + after, run.id - 1 + upto, count,
                                               size)
                            self.assertEqual([(mail.id, mail.last, mail.origin, mail.amount[1])
                                              for mail in found],
                                             [(run.id + after, run.id + after + fit - 1,
                                               run.origin + after, sum(sizes[:fit]))])
                            self.assertEqual(texts(found), [b"x" * n for n in sizes[:fit]])
                            self.assertEqual(found[0].body,
                                             body_of([b"x" * n for n in sizes[:fit]]))

    def test_a_journal_that_could_not_be_rolled_has_no_gap(self) -> None:
        """Else of two batches after it, of which a power cut takes the first, the second says that
        more is lost."""
        box = self.open()
        ann, bob = self.names(box, "ann", "bob")
        first = box.put(ann, 0, 1, [bob], 0, b"first")
        self.keep(box)
        with mock.patch("store.manifest.saving", side_effect=OSError(errno.ENOSPC, "full")):
            self.seal(box)
        self.assertIn("cannot seal", box.notes[-1])
        journal = box._journals.current
        lost = box.put(ann, 0, 1, [bob], 0, b"lost")
        begin = journal.offset
        box.write()
        end = journal.offset
        last = box.put(ann, 0, 1, [bob], 0, b"last")
        box.write()
        self.assertEqual([mail.id - first.id for mail in (lost, last)], [1, 2])
        with open(journal.path, "r+b") as file:
            file.seek(begin)
            file.write(bytes(end - begin))
        again = self.reopen_copy(box)
        self.assertEqual(self.texts(again, again.users[1]), [b"first"])
        self.assertEqual(len(again.notes), 1, again.notes)      # what was torn is said

    def test_a_sealed_run_that_is_read_one_by_one_leaves_no_ranges(self) -> None:
        """Each is beside the one before, so nothing lies between them."""
        box = self.open()
        ann, bob = self.names(box, "ann", "bob")
        old = box.put(ann, 0, 1, [bob], 0, b"old")
        run = box.put_run(ann, 7 << 32 | 1, 1, [bob], 0, body_of([b"x"] * 9))
        self.keep(box)
        self.seal(box)
        # who sealed it knows that the disk has it
        with mock.patch.object(box.disk, "forget") as forget:
            for id in range(run.id + 2, run.last):
                box.read(bob, id, id)
        self.assertEqual((bob.ranges, forget.call_count), ([(run.id + 2, run.last - 1)], 0))
        for id in range(old.id, run.id + 2):
            box.read(bob, id, id)
        self.assertEqual((bob.ranges, bob.watermark, bob.waiting), ([], run.last - 1, 1))

    def test_of_a_run_read_here_and_there_only_what_is_asked_for_is_made(self) -> None:
        box = self.open()
        ann, bob = self.names(box, "ann", "bob")
        run = box.put_run(ann, 7 << 32 | 1, 1, [bob], 0, body_of([b"x"] * 99))
        self.keep(box)
        self.seal(box)
        for id in range(run.id, run.last, 2):
            box.read(bob, id, id)
        with mock.patch.object(Mail, "part", autospec=True, side_effect=Mail.part) as made:
            self.assertEqual(len(box.unread(bob, 0, EVER, 1, 99)), 1)
        self.assertLess(made.call_count, 4)

    def test_a_part_is_no_copy(self) -> None:
        """Each of many readers may hold another part of a run: the texts are in memory once."""
        box = self.open()
        ann, bob = self.names(box, "ann", "bob")
        run = box.put_run(ann, 7 << 32 | 1, 1, [bob], 0, body_of([b"%d" % n for n in range(9)]))
        box.read(bob, run.id, run.id)
        box.read(bob, run.id + 4, run.id + 4)
        box.read(bob, run.last, run.last)
        self.assertEqual([mail.texts for mail in bob.tail],
                         [[b"1", b"2", b"3"], [b"5", b"6", b"7"]])
        self.assertTrue(all(mail.source is run.source for mail in bob.tail))
        self.assertEqual(bob.tail[1].part(run.id + 6, run.id + 7).texts, [b"6", b"7"])

    def test_live_reading_above_old_mail_makes_one_range(self) -> None:
        box = self.open()
        ann, bob = self.names(box, "ann", "bob")
        box.put(ann, 0, 1, [bob], 0, b"old")
        for n in range(50):
            mail = box.put(ann, 0, n, [bob], 0, b"live")
            box.put(bob, 0, n, [ann], 0, b"other")
            box.read(bob, mail.id, mail.id)
            self.keep(box)
        self.assertEqual((len(bob.ranges), self.texts(box, bob)), (1, [b"old"]))
        box.read(bob, 0, EVER)
        self.assertEqual((bob.ranges, bob.watermark), ([], mail.id))

    def test_a_read_beyond_the_end_touches_nothing_to_come(self) -> None:
        box = self.open()
        ann, bob = self.names(box, "ann", "bob")
        box.put(ann, 0, 1, [bob], 0, b"a")
        box.read(bob, 0, (1 << 64) - 1)
        box.put(ann, 0, 1, [bob], 0, b"b")
        self.keep(box)
        self.assertEqual(self.texts(self.reopen(box), box.users[1]), [b"b"])

    def test_everyone(self) -> None:
        box = self.open()
        ann, bob, cy = self.names(box, "ann", "bob", "cy")
        mail = box.put(bob, 0, 1, [ann, cy], EVERYONE, b"all")
        self.names(box, "late")
        some = box.put(bob, 0, 1, [ann], EVERYONE, b"all who are here")
        self.keep(box)
        self.assertEqual((mail.recipients, some.recipients), (2, 1))
        for again in (self.reopen(box), None):
            box = again or self.reopen(box)
            self.assertEqual([u.waiting for u in box.users], [2, 0, 1, 0])
            self.assertEqual(box.unread(box.users[0], 0, EVER, 9, 999), [mail, some])
            self.seal(box)

    def test_everyone_but_a_few(self) -> None:
        """Rooms get nothing: the record has them, and not all others."""
        box = self.open()
        users = self.names(box, *[f"u{n}" for n in range(50)], "#ops", *"abc", "#dev")
        to = [user for user in users if user.number not in (0, 7, 8, 50, 54)]
        self.keep(box)
        at = box._journals.current.offset
        mail = box.put(users[7], 9, 1, to, EVERYONE, b"all")
        self.keep(box)
        self.assertLess(box._journals.current.offset - at, 120)
        for again in (self.reopen(box), None):
            box = again or self.reopen(box)
            self.assertEqual([user.number for user in box.users if user.waiting],
                             [user.number for user in to])
            self.assertEqual(box.unread(box.users[1], 0, EVER, 9, 999), [mail])
            self.seal(box)

    def test_who_is_missing(self) -> None:
        dice = random.Random(3)
        for _ in range(100):
            number = dice.randrange(40)
            users = [User(n, f"u{n}", 1) for n in range(number) if dice.random() < 0.8]
            here = {user.number for user in users}
            self.assertEqual(missing_from(users, number),
                             [n for n in range(number) if n not in here])

    def test_everyone_alone(self) -> None:
        box = self.open()
        ann, = self.names(box, "ann")
        self.assertEqual(box.put(ann, 0, 1, [], EVERYONE, b"nobody").recipients, 0)
        self.keep(box)
        self.assertEqual(self.reopen(box).users[0].waiting, 0)

    def test_a_text_to_many_is_stored_once_in_a_segment(self) -> None:
        box = self.open()
        users = self.names(box, *[f"u{n}" for n in range(200)])
        text = os.urandom(16384)
        mail = box.put(users[0], 0, 1, users, 0, text)
        self.keep(box)
        self.seal(box)
        sizes = [os.path.getsize(os.path.join(self.path, n))
                 for n in os.listdir(self.path) if n.startswith("segment")]
        self.assertLess(sum(sizes), 200_000)
        box = self.reopen(box)
        self.assertTrue(all(box.unread(u, 0, EVER, 9, 99) == [mail] for u in box.users))

    def test_the_length_of_a_text(self) -> None:
        box = self.open()
        ann, = self.names(box, "ann")
        self.assertRaises(ValueError, box.put, ann, 0, 1, [ann], 0, bytes(ENTRY_MAX - ONE.size + 1))
        box.put(ann, 0, 1, [ann], 0, bytes(ENTRY_MAX - ONE.size))
        self.keep(box)
        self.seal(box)
        self.assertEqual(self.texts(box, ann), [bytes(ENTRY_MAX - ONE.size)])

    def test_origins_make_resending_harmless_also_after_a_restart(self) -> None:
        box = self.open()
        ann, bob = self.names(box, "ann", "bob")
        for instance in range(1, INSTANCES + 1):
            box.put(ann, instance << 32 | 10, 1, [bob], 0, b"x")
        box.put(ann, 1 << 32 | 11, 1, [bob], 0, b"x")
        box.put(ann, 0, 1, [bob], 0, b"x")
        self.keep(box)
        for step in range(3):
            ann, bob = box.users
            self.assertTrue(all(is_repeat(box, ann, k << 32 | 10) for k in range(1, INSTANCES + 1)))
            self.assertFalse(is_repeat(box, ann, 1 << 32 | 12))
            self.assertTrue(is_repeat(box, ann, 1 << 32 | 11))
            self.assertFalse(is_repeat(box, bob, 1 << 32 | 11))
            self.assertFalse(is_repeat(box, ann, 0))
            if step == 1:
                self.seal(box)
            box = self.reopen(box)
        ann, bob = box.users
        # one too many: the least recently used goes, which is 2
        box.put(ann, 99 << 32 | 1, 1, [bob], 0, b"x")
        self.keep(box)
        box = self.reopen(box)
        self.assertFalse(is_repeat(box, box.users[0], 99 << 32 | 10))
        self.assertEqual([is_repeat(box, box.users[0], k << 32 | 10) for k in (1, 2, 3)],
                         [True, False, True])

    def test_the_last_origin_of_an_instance_and_the_first_of_the_next(self) -> None:
        """In one batch, though one number follows the other: each is known in its own instance."""
        box = self.open()
        ann, bob = self.names(box, "ann", "bob")
        for origin in (8 << 32) - 1, 8 << 32:
            box.put(ann, origin, 1, [bob], 0, b"x")
        for _ in range(2):
            self.assertEqual([is_repeat(box, box.users[0], (8 << 32) + n) for n in range(-2, 2)],
                             [False, True, True, False])
            self.keep(box)
        self.assertEqual(ann.origins, {7: ((0xFFFFFFFF, 0xFFFFFFFF),), 8: ((0, 0),)})

    def test_origins_of_one_batch_in_any_order(self) -> None:
        box = self.open()
        ann, bob = self.names(box, "ann", "bob")
        put = [5, 9, 2, 3, 1, 8, 12]
        for counter in put:
            box.put(ann, 3 << 32 | counter, 1, [bob], 0, b"x")
        for _ in range(2):
            known = [counter for counter in range(15) if is_repeat(box, ann, 3 << 32 | counter)]
            self.assertEqual(known, sorted(put))
            self.assertEqual(box.known(ann, 3 << 32 | 4)[0], 3 << 32 | 5)
            self.keep(box)

    def test_what_was_never_put_is_no_repetition_whatever_came_after_it(self) -> None:
        box = self.open()
        ann, bob = self.names(box, "ann", "bob")
        stored = [1, 2, 5, 6, 7, 9]
        for counter in stored:
            box.put(ann, 3 << 32 | counter, 1, [bob], 0, b"x")
        box.put(ann, 3 << 32 | 3, 1, [bob], 0, b"late")
        self.keep(box)
        for step in range(3):
            ann = box.users[0]
            known = [counter for counter in range(12) if is_repeat(box, ann, 3 << 32 | counter)]
            self.assertEqual(known, sorted([*stored, 3]))
            if step == 1:
                self.seal(box)
            box = self.reopen(box)

    def test_more_ranges_than_are_remembered(self) -> None:
        """Whatever was put counts as put, for ever; of what is too low it is not known, and that is
        known."""
        box = self.open()
        ann, bob = self.names(box, "ann", "bob")
        put = range(10, 10 + 2 * (RUNS_MAX + 5), 2)
        for counter in put:
            box.put(ann, 3 << 32 | counter, 1, [bob], 0, b"x")
        self.keep(box)
        floor = put[-RUNS_MAX]
        for step in range(4):
            ann = box.users[0]
            self.assertEqual([counter for counter in put
                              if not is_repeat(box, ann, 3 << 32 | counter)], [])
            self.assertEqual([counter for counter in range(200) if ann.is_vague(3 << 32 | counter)],
                             list(range(floor + 1)))
            self.assertFalse(is_repeat(box, ann, 3 << 32 | floor + 1))
            self.assertFalse(ann.is_vague(4 << 32 | 1) or box.users[1].is_vague(3 << 32 | 1))
            if step == 1:
                self.seal(box)
            box = self.reopen(box)
        ann, bob = box.users
        # two ranges become one: no sign is lost by that
        box.put(ann, 3 << 32 | floor + 1, 1, [bob], 0, b"late")
        self.keep(box)
        ann = self.reopen(box).users[0]
        self.assertTrue(ann.is_vague(3 << 32 | 1))

    def test_a_store_of_parley_0_1_with_as_many_ranges_as_it_remembered(self) -> None:
        """It forgot the lower ones without a sign."""
        users = [User(0, "ann", 1), User(1, "bob", 1)]
        for user, count in zip(users, (RUNS_MAX, RUNS_MAX - 1), strict=True):
            user.origins = {5: tuple((counter, counter)
                                     for counter in range(100, 100 + 2 * count, 2))}
        replay = Replay()
        for user in users:
            replay.apply([(0, NAME, name_record(user)[RECORD.size:])], "a file")
            replay.apply([(0, ORIGINS, origins_record(user)[RECORD.size:])], "a file")
        ann, bob = replay.users
        self.assertTrue(ann.is_vague(5 << 32 | 1) and ann.is_vague(5 << 32 | 100))
        self.assertFalse(ann.is_vague(5 << 32 | 101) or bob.is_vague(5 << 32 | 1))


class TestSettings(StoreCase):
    @staticmethod
    def of(box: Mailbox) -> list[dict[int, bytes]]:
        return [dict(user.settings) for user in box.users]

    def test_the_last_one_holds_and_an_empty_one_removes(self) -> None:
        box = self.open()
        ann, bob = self.names(box, "ann", "bob")
        box.set(ann, 1, b"one")
        box.set(ann, 1, b"two")
        box.set(ann, 2, b"other")
        box.set(bob, 2, b"bob's")
        box.set(bob, 2, b"")
        self.keep(box)
        box.set(ann, 2, b"")
        box.set(bob, 3, b"three")
        self.keep(box)
        for step in range(4):
            self.assertEqual(self.of(box), [{1: b"two"}, {3: b"three"}])
            if step == 1:
                self.seal(box)
            box = self.reopen(box)
        box.set(box.users[0], 2, b"again")
        self.keep(box)
        self.assertEqual(self.of(self.reopen(box)), [{1: b"two", 2: b"again"}, {3: b"three"}])

    def test_the_length_of_a_value_and_one_that_is_set_already(self) -> None:
        box = self.open()
        ann, = self.names(box, "ann")
        self.assertRaises(ValueError, box.set, ann, 1, bytes(SETTING_MAX + 1))
        box.set(ann, 1, bytes(SETTING_MAX))
        self.keep(box)
        before = len(self.disk.ops)
        box.set(ann, 1, bytes(SETTING_MAX))
        box.set(ann, 2, b"")
        self.keep(box)
        self.assertEqual(len(self.disk.ops), before)
        self.seal(box)
        self.assertEqual(self.of(self.reopen(box)), [{1: bytes(SETTING_MAX)}])

    def test_a_setting_without_a_sync_is_promised_to_nobody(self) -> None:
        box = self.open()
        ann, = self.names(box, "ann")
        box.set(ann, 1, b"batched")
        self.assertLess(box.sync(), box.last)
        self.assertEqual(self.of(self.reopen_copy(box)), [{}])
        self.keep(box)
        self.assertEqual(box.sync(), box.last)

    def test_a_refused_batch_takes_its_settings_back(self) -> None:
        box = self.open()
        ann, = self.names(box, "ann")
        box.set(ann, 1, b"kept")
        box.set(ann, 2, b"kept too")
        self.keep(box)
        box.set(ann, 1, b"refused")
        box.set(ann, 1, b"refused twice")
        box.set(ann, 2, b"")
        new = box.register("new", 1)
        box.set(new, 1, b"new")
        self.disk.fail("write", errno.ENOSPC, times=1)
        with self.assertRaises(Full) as caught:
            box.write()
        self.assertEqual(caught.exception.settings, [(ann, 1), (ann, 1), (ann, 2), (new, 1)])
        self.assertEqual(self.of(box), [{1: b"kept", 2: b"kept too"}])
        self.assertRaises(Full, box.set, ann, 1, b"while refusing")
        self.work(box)
        box.set(ann, 1, b"later")
        self.keep(box)
        self.assertEqual(self.of(self.reopen(box)), [{1: b"later", 2: b"kept too"}])

    def test_what_is_not_settled_is_not_sealed(self) -> None:
        """A segment must not hold what the disk may refuse yet."""
        box = self.open()
        ann, = self.names(box, "ann")
        box.upkeep.must_seal = True
        box.set(ann, 1, b"refused")
        self.assertTrue(box.work(0, lambda: self.now))
        self.assertIsNone(box.upkeep.seal)
        self.disk.fail("write", errno.ENOSPC, times=1)
        self.assertRaises(Full, box.write)
        self.work(box)
        self.assertEqual(self.of(self.reopen(box)), [{}])

    def test_a_kill_at_every_step_of_a_seal(self) -> None:
        """Settings come and go between its steps: the segment's are older than some of the
        journal's, newer than others."""
        box = self.open()
        users = self.names(box, *[f"u{n}" for n in range(4)])
        for user in users:
            box.set(user, 1, b"old")
        self.keep(box)
        box.upkeep.must_seal = True
        step = 0
        while box.work(0, lambda: self.now):
            step += 1
            for user in users:
                box.set(user, 1, b"%d" % step if (user.number + step) % 3 else b"")
            self.keep(box)
            found = self.reopen_copy(box)
            self.assertEqual(self.of(found), self.of(box), step)
            self.let_go(found)
            shutil.rmtree(found.directory)
        self.assertGreater(step, 5)
        self.assertEqual(self.of(self.reopen(box)), self.of(box))

    def test_the_order_of_replay_does_not_matter(self) -> None:
        """Not of a segment's records and a journal's, nor of two segments' (salvage reads them
        all), nor how often."""
        user = User(0, "ann", 1)
        told = [(0, name_record(user))]
        for seq, value in ((5, b"five"), (7, b""), (9, b"nine"), (11, b"")):
            user.set(1, seq, value)
            told.append((seq, setting_record(user, 1)))
            if value:
                user.set(2, seq, value)
                told += [(0, setting_record(user, 2))]
        for order in itertools.permutations(told[1:]):
            replay = Replay()
            for seq, record in (told[0], *order, *order[:2]):
                replay.apply([(seq, type, payload) for _, type, payload in split(record)], "")
            self.assertEqual((replay.users[0].settings, replay.last), ({2: b"nine"}, 11))

    def test_a_setting_that_makes_no_sense_is_damage(self) -> None:
        user = User(0, "ann", 1)
        user.set(1, 5, b"value")
        (_, type, payload), = split(setting_record(user, 1))
        replay = Replay()
        replay.users.append(User(0, "ann", 1))
        wrong = ((6, payload), (5, payload[:12]), (5, payload + bytes(SETTING_MAX)),
                 (5, b"\0\0\0\1" + payload[4:]))
        for seq, bad in wrong:
            self.assertRaises(Damaged, replay.apply, [(seq, type, bad)], "journal")

    def test_salvage_keeps_them(self) -> None:
        box = self.open()
        ann, bob = self.names(box, "ann", "bob")
        box.set(ann, 1, b"sealed")
        box.set(bob, 1, b"sealed")
        self.keep(box)
        self.seal(box)
        box.set(bob, 1, b"")
        box.set(bob, 2, b"in the journal")
        self.keep(box)
        self.let_go(box)
        into = self.path + "-new"
        list(salvage.salvage(self.path, into))
        self.path = into
        self.assertEqual(self.of(self.open()), [{1: b"sealed"}, {2: b"in the journal"}])


class TestFullDisk(StoreCase):
    def test_it_becomes_full_while_journals_are_retired(self) -> None:
        """From then on no journal is kept for the next one: what is read needs that room."""
        for is_full in (False, True):
            with self.subTest(is_full=is_full):
                self.path = os.path.join(self.home.name, str(is_full))
                box = self.open(seal_at=2000)
                ann, = self.names(box, "ann")
                box.put(ann, 0, 1, [ann], 0, b"x" * 5000)   # a journal that is too large to be kept
                self.keep(box)
                box = self.reopen(box, seal_at=2000)
                box.put(box.users[0], 0, 1, box.users, 0, b"x")
                self.keep(box)
                while len(box._journals.ends) != 1 or not box._journals.manifest.segments:
                    box.work(0, lambda: self.now)
                if is_full:
                    self.disk.room = 0
                    box.upkeep.refuse(OSError(errno.ENOSPC, "full"))
                box.work(0, lambda: self.now)
                self.assertEqual("journal.spare" in os.listdir(self.path), not is_full)

    def test_the_batch_is_undone_and_the_reads_are_kept(self) -> None:
        box = self.open()
        ann, bob = self.names(box, "ann", "bob")
        kept = box.put(ann, 1 << 32 | 1, 1, [ann, bob], 0, b"kept")
        self.keep(box)
        box.read(bob, kept.id, kept.id)
        marks = box.last
        refused = box.put(ann, 1 << 32 | 2, 1, [ann, bob], 0, b"refused")
        new = box.register("new", 5)
        lost = box.put(new, 0, 1, [bob, new], 0, b"lost")
        box.seen(new, 50)
        self.disk.fail("write", errno.ENOSPC, times=1)
        with self.assertRaises(Full) as caught:
            box.write()
        full = caught.exception
        self.assertEqual((full.reason, full.mails, full.users),
                         ("No space left on device", [refused, lost], [new]))
        self.assertEqual((len(box.users), box.find("new")), (2, None))
        self.assertEqual((self.texts(box, ann), self.texts(box, bob)), ([b"kept"], []))
        self.assertEqual((is_repeat(box, ann, 1 << 32 | 2), is_repeat(box, ann, 1 << 32 | 1)),
                         (False, True))
        self.assertRaises(Full, box.put, ann, 0, 1, [bob], 0, b"x")
        self.assertRaises(Full, box.register, "other", 1)
        self.assertNotIn("reserve", os.listdir(self.path))
        self.assertLess(box.sync(), box.last)  # the read is not settled yet
        box.write()
        self.assertGreaterEqual(box.sync(), marks)
        self.assertEqual(box.sync(), box.last)
        again = self.reopen(box)
        self.assertEqual([u.waiting for u in again.users], [1, 0])
        self.assertIsNone(again.refusing)

    def test_a_read_that_cannot_be_written_is_not_settled(self) -> None:
        """However often it is tried, which is once each time that room was looked for."""
        box = self.open()
        ann, = self.names(box, "ann")
        mail = box.put(ann, 0, 1, [ann], 0, b"x")
        self.keep(box)
        self.disk.fail("write", errno.ENOSPC)
        self.disk.room = 0
        box.read(ann, mail.id, mail.id)
        promised, failures = box.last, 0
        for turn in range(100):
            try:
                box.write()
            except Full:
                failures += 1
            self.assertLess(box.sync(), promised)
            self.now = turn * 0.05
            self.work(box)
        self.assertTrue(15 < failures < 25, failures)
        self.assertEqual(self.reopen_copy(box).users[0].waiting, 1)
        self.disk.heal()
        self.disk.room = 1 << 40
        self.now += 1
        self.work(box)
        box.write()
        self.assertEqual(box.sync(), box.last)
        self.assertEqual(self.reopen(box).users[0].waiting, 0)

    def test_a_read_that_is_replayed_late_changes_nothing(self) -> None:
        user = User(0, "ann", 1)
        for watermark, ranges in ((10, [(15, 16)]), (5, [(8, 9)]), (7, [])):
            user.merge(watermark, ranges)
            self.assertEqual((user.watermark, user.ranges), (10, [(15, 16)]))

    def test_no_id_is_given_twice(self) -> None:
        box = self.open()
        ann, = self.names(box, "ann")
        refused = box.put(ann, 0, 1, [ann], 0, b"refused")
        self.disk.fail("write", errno.EDQUOT, times=1)
        self.assertRaises(Full, box.write)
        self.assertEqual(box.sync(), box.last)  # refused is settled too
        self.work(box)
        self.assertIsNone(box.refusing)
        self.assertGreater(box.put(ann, 0, 1, [ann], 0, b"next").id, refused.id)

    def test_the_reserve_is_on_the_disk_before_mail_is_taken(self) -> None:
        """Its blocks are really there, not only promised by a file system that allocates late."""
        self.assertIsNone(self.open().refusing)
        names = [op.name for op in self.disk.ops if op.file == "reserve"]
        self.assertEqual((names[0], names[-1], set(names[1:-1])), ("create", "sync", {"write"}))

    def test_a_reserve_is_tried_only_with_room_beside_it(self) -> None:
        """Each try would fill the disk, for others too."""
        self.open()
        reserve = Reserve(self.disk, self.path, "reserve.more")
        self.disk.room = LOOK - 1
        with self.assertRaises(OSError) as caught:
            reserve.regain()
        self.assertEqual(caught.exception.errno, errno.ENOSPC)
        self.assertNotIn("reserve.more", [op.file for op in self.disk.ops])
        self.disk.room = LOOK
        reserve.regain()
        self.assertTrue(reserve.is_there())

    def test_half_a_reserve_is_made_whole(self) -> None:
        """A power cut may leave its name without its bytes."""
        box = self.open()
        for size in (0, 100, (256 << 10) - 1):
            os.truncate(os.path.join(self.path, "reserve"), size)
            box = self.reopen(box)
            self.assertEqual((os.path.getsize(os.path.join(self.path, "reserve")), box.refusing),
                             (256 << 10, None))

    def test_mail_is_taken_again_when_there_is_room_and_looked_for_at_times_only(self) -> None:
        box = self.open()
        ann, = self.names(box, "ann")
        box.put(ann, 0, 1, [ann], 0, b"x")
        self.disk.fail("write", errno.ENOSPC)
        self.assertRaises(Full, box.write)
        self.assertRaises(Full, self.hopeless, box, ann)
        self.work(box)
        self.assertEqual(box.refusing, "No space left on device")
        self.assertNotIn("reserve", os.listdir(self.path))
        self.disk.heal()
        self.disk.room = 1000
        for now, room, refusing in ((0.26, 1000, True), (0.4, 1 << 30, True),
                                    (0.52, 1 << 30, False)):
            self.now, self.disk.room = now, room
            self.work(box)
            self.assertEqual(box.refusing is not None, refusing, now)
        self.assertEqual(os.path.getsize(os.path.join(self.path, "reserve")), 256 << 10)
        box.put(ann, 0, 1, [ann], 0, b"y")
        self.keep(box)
        self.assertEqual(self.texts(box, ann), [b"y"])

    @staticmethod
    def hopeless(box: Mailbox, user: User) -> None:
        box.put(user, 0, 1, [user], 0, b"while refusing")

    def test_a_disk_of_few_bytes(self) -> None:
        """Fill it; everything acknowledged is there; reading works; with room again, sending
        does."""
        full = self.disk = FullDisk(self.home.name)
        box = self.open(seal_at=100_000)
        full.directory = self.path
        ann, bob = self.names(box, "ann", "bob")
        full.space = full.used() + 200_000
        taken = []
        for n in range(1000):
            text = b"%d " % n * 300
            try:
                box.put(ann, 0, n, [bob], 0, text)
                box.write()
                box.sync()
                taken.append(text)
            except Full:
                break
            self.work(box)
        self.assertGreater(len(taken), 100)
        self.assertEqual(self.texts(box, bob), taken)
        for mail in box.unread(bob, 0, EVER, 50, 1 << 30):
            box.read(bob, mail.id, mail.id)
            self.keep(box)
        full.directory = self.path
        box = self.reopen(box, seal_at=100_000)
        ann, bob = box.users
        self.assertEqual(self.texts(box, bob), taken[50:])
        full.space += 10_000_000
        self.now = 1.0
        self.work(box)
        box.put(ann, 0, 1, [bob], 0, b"again")
        self.keep(box)
        self.assertEqual(self.texts(box, bob), [*taken[50:], b"again"])

    def test_a_start_on_a_full_disk_serves_what_is_there(self) -> None:
        box = self.open()
        ann, = self.names(box, "ann")
        box.put(ann, 0, 1, [ann], 0, b"x")
        self.keep(box)
        self.let_go(box)
        self.disk.room = 100_000  # too little for the reserve
        self.disk.fail("create", errno.ENOSPC, times=1)
        box = self.open()
        self.assertEqual((box.refusing, self.texts(box, box.users[0])),
                         ("No space left on device", [b"x"]))
        box.read(box.users[0], 0, EVER)
        self.keep(box)
        self.disk.room = 1 << 40
        self.work(box)
        self.assertEqual((self.reopen(box).users[0].waiting, box.refusing), (0, None))

    def test_reads_leave_the_blocks_that_a_start_needs(self) -> None:
        """Another program takes all that is given up: reads are refused before the last blocks
        go."""
        disk = FullDisk(self.path)
        box = self.open(disk=disk, backend="dbm.dumb")
        ann, bob = self.names(box, "ann", "bob")
        mails = [box.put(ann, 0, 1, [bob], 0, b"x") for _ in range(2000)]
        self.keep(box)
        box.put(ann, 0, 1, [bob], 0, b"x")
        disk.fail("write", errno.ENOSPC, times=1)
        self.assertRaises(Full, box.write)
        box._shortage.make_way()                # as the upkeep does for a seal on a full disk
        disk.space = disk.used() + LAST + 8192
        read = 0
        with self.assertRaises(Full):
            for mail in mails[1::2]:            # a range for each
                box.read(bob, mail.id, mail.id)
                box.write()
                read += 1
        box.sync()
        self.assertGreater(read, 10)
        self.assertGreaterEqual(disk.free(""), LAST)
        again = self.reopen(box, disk=disk, backend="dbm.dumb")
        self.assertEqual(again.users[1].waiting, 2000 - read)

    def test_a_file_too_large_is_sealed(self) -> None:
        box = self.open()
        ann, = self.names(box, "ann")
        box.put(ann, 0, 1, [ann], 0, b"x")
        self.keep(box)
        box.put(ann, 0, 1, [ann], 0, b"y")
        self.disk.fail("write", errno.EFBIG, times=1)
        self.assertRaises(Full, box.write)
        self.work(box)
        self.assertEqual((len(ann.pages), box.refusing), (1, None))


class HeldDisk(RecordingDisk):
    """An fdatasync that is begun while it is `held` ends when it is not; fsyncs take a step."""

    held = False

    def begin_datasync(self, key: int, fd: int) -> bool:
        return super().begin_datasync(key, fd) and not self.held

    def datasync_ended(self, wait: bool = False) -> bool:
        return not self.held

    def syncing(self, fd: int) -> Iterator[object]:
        yield WAIT
        yield from super().syncing(fd)


class TestRoll(StoreCase):
    def test_a_read_during_the_end_of_a_roll_is_settled_when_it_is_on_disk(self) -> None:
        """It is promised with a seq of before the roll, and written with one of after it."""
        self.disk = disk = HeldDisk()
        box = self.open()
        ann, = self.names(box, "ann")
        mail = box.put(ann, 0, 1, [ann], 0, b"x")
        self.keep(box)
        box.upkeep.must_seal = True
        for _ in range(100):
            box.work(0, lambda: self.now)
            if box.progress.is_ending:
                break
        box.read(ann, mail.id, mail.id)
        promised = box.last
        for _ in range(100):
            box.work(0, lambda: self.now)
            if not box.progress.is_ending:
                break
        disk.held = True
        box.write()
        self.assertLess(box.sync(), promised)
        self.assertLess(box.settled(), promised)
        disk.held = False
        self.assertGreaterEqual(box.settled(), promised)


class TestFailingDisk(StoreCase):
    def test_a_failed_fdatasync_is_never_retried(self) -> None:
        box = self.open()
        ann, = self.names(box, "ann")
        settled = box.sync()
        box.put(ann, 0, 1, [ann], 0, b"x")
        box.write()
        self.disk.fail("datasync", errno.EIO, times=1)
        self.assertRaises(Failed, box.sync)
        for call in (box.sync, box.write, lambda: box.work(0)):
            with self.assertRaises(Failed) as caught:
                call()
            self.assertEqual(caught.exception.code, 70)
        self.assertEqual(settled, box.progress.synced)
        box.close()

    def test_a_write_that_cannot_be_undone_is_final(self) -> None:
        box = self.open()
        ann, = self.names(box, "ann")
        box.put(ann, 0, 1, [ann], 0, b"x")
        self.disk.fail("write", errno.EIO)
        self.disk.fail("truncate", errno.EIO)
        self.assertRaises(Failed, box.write)
        self.disk.heal()
        self.assertRaises(Failed, box.write)

    def test_a_seal_without_room_is_put_off(self) -> None:
        for name in ("create", "sync_directory", "write"):
            with self.subTest(name=name):
                self.path = os.path.join(self.home.name, name)
                box = self.open()
                ann, = self.names(box, "ann")
                box.put(ann, 0, 1, [ann], 0, b"x")
                self.keep(box)
                self.disk.fail(name, errno.ENOSPC)
                self.seal(box)
                self.disk.heal()
                self.assertEqual(len(box.notes), 1)
                self.assertIn("cannot seal", box.notes.pop())
                self.assertEqual(self.texts(box, ann), [b"x"])
                box.put(ann, 0, 1, [ann], 0, b"y")
                self.keep(box)
                self.now += 10
                self.work(box)
                self.assertEqual((len(ann.pages), ann.tail, box.notes), (1, [], []))
                self.assertEqual(self.texts(self.reopen(box), box.users[0]), [b"x", b"y"])

    def test_a_seal_asks_for_the_room_of_what_waits(self) -> None:
        """What is read needs none."""
        for read, room in ((0, 10_000), (9, 1_000)):
            self.path, self.disk.room = os.path.join(self.home.name, str(read)), 1 << 40
            box = self.open()
            ann, = self.names(box, "ann")
            mails = [box.put(ann, 0, 1, [ann], 0, bytes(1000)) for _ in range(10)]
            self.keep(box)
            if read:
                box.read(ann, 0, mails[read - 1].id)
                self.keep(box)
            # 60: an entry's head, at least.
            least = need(room + 60, USER_BYTES, box.backend) + box.upkeep.budget.extension
            self.disk.room = least - need(0, 0, box.backend) // 2
            self.seal(box)
            self.assertEqual(ann.pages, [])
            self.disk.room, self.now = least + 3000, self.now + 10
            self.work(box)
            self.assertEqual(len(ann.pages), 1)

    def test_a_seal_of_some_journals(self) -> None:
        """Of three there is room for what waits in the first."""
        sent, box = [], self.open()
        for n in range(3):
            box = self.reopen(box) if n else box
            ann, = self.names(box, "ann")
            for k in range(10):
                sent.append(b"%d %d".ljust(15_000, b".") % (n, k))
                box.put(ann, 0, 1, [ann], 0, sent[-1])
                self.keep(box)
        first = box.unread(ann, 0, EVER, 9, 1 << 30)
        box.read(ann, 0, first[-1].id)
        self.keep(box)
        box.upkeep.short, box._shortage.reason = True, "full"
        self.disk.room = need(2 * 15_000, USER_BYTES, box.backend)
        self.work(box)
        self.assertEqual([number for number, _ in box._journals.manifest.journals], [2, 3])
        self.assertEqual((sum(page.messages for page in ann.pages), len(ann.tail)), (1, 20))
        self.assertEqual(self.texts(box, ann), sent[9:])
        box = self.reopen(box)
        self.assertEqual(self.texts(box, box.users[0]), sent[9:])

    def test_a_failed_fsync_of_a_segment_or_the_manifest_is_final(self) -> None:
        box = self.open()
        self.names(box, "ann")
        self.disk.fail("sync_held", errno.EIO, times=1)
        self.assertRaises(Failed, self.seal, box)
        self.assertRaises(Failed, box.write)


class TestPlace(StoreCase):
    def test_a_file_system_that_cannot_sync_a_directory(self) -> None:
        """As CIFS: what is promised can't be kept there, and is not promised.  An old store there
        is left as it is."""
        for old in False, True:
            if old:
                self.open().close()
                self.disk = RecordingDisk()
            for error in errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF:
                with self.subTest(old=old, error=error), \
                        mock.patch.object(os, "fsync",
                                          side_effect=OSError(error, os.strerror(error))), \
                        self.assertRaisesRegex(CannotCreate, "can't sync a directory.* --state"):
                    Mailbox(self.path)
            self.assertEqual(os.path.exists(self.path) and "manifest" in os.listdir(self.path), old)
        with mock.patch.object(os, "fsync", side_effect=OSError(errno.EIO, "Input/output error")), \
                self.assertRaisesRegex(StoreError, "Input/output error"):
            Mailbox(self.path)

    def test_it_is_private(self) -> None:
        os.umask(os.umask(0o022))
        box = self.open()
        self.names(box, "ann")
        self.seal(box)
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o700)
        for name in os.listdir(self.path):
            self.assertEqual(stat.S_IMODE(os.stat(os.path.join(self.path, name)).st_mode), 0o600,
                             name)

    def test_a_place_that_is_not_private_is_refused(self) -> None:
        os.mkdir(self.path, 0o700)
        os.chmod(self.path, 0o750)
        with self.assertRaises(Denied) as caught:
            self.open()
        self.assertEqual(caught.exception.code, 77)
        self.assertIn("chmod 700", str(caught.exception))
        os.symlink(self.home.name, os.path.join(self.home.name, "link"))
        self.path = os.path.join(self.home.name, "link")
        self.assertRaises(Denied, self.open)

    def test_a_place_that_cannot_be_made(self) -> None:
        self.path = os.path.join(self.home.name, "no", "store")
        with self.assertRaises(CannotCreate) as caught:
            self.open()
        self.assertEqual(caught.exception.code, 73)

    def test_a_link_planted_for_a_file_is_not_followed(self) -> None:
        os.mkdir(self.path, 0o700)
        target = os.path.join(self.home.name, "target")
        with open(target, "w") as file:
            file.write("precious")
        os.symlink(target, os.path.join(self.path, "lock"))
        self.assertRaises(StoreError, self.open)
        with open(target) as file:
            self.assertEqual(file.read(), "precious")

    def test_one_daemon_only(self) -> None:
        box = self.open()
        with self.assertRaises(InUse) as caught:
            self.open()
        self.assertEqual((caught.exception.code, str(caught.exception)),
                         (75, f"{self.path} is in use by another daemon (pid {os.getpid()})"))
        box.close()
        code = "import sys, mailbox; mailbox.Mailbox(sys.argv[1])"
        here = str(Path(__file__).resolve().parents[2])
        subprocess.run([sys.executable, "-c", code, self.path], check=True, cwd=here)
        self.open()

    def test_one_line_and_a_code_for_every_error(self) -> None:
        codes: dict[type[StoreError], int] = {
            Damaged: 65, NoBackend: 69, Failed: 70, CannotCreate: 73, Full: 74, InUse: 75,
            Denied: 77}
        self.assertEqual({error: error.code for error in codes}, codes)
        self.assertTrue(all(issubclass(error, StoreError) for error in codes))

    def test_an_error_while_opening_leaves_it_free(self) -> None:
        box = self.open()
        self.let_go(box)
        self.disk.fail("create", errno.EIO, times=1)
        with self.assertRaises(StoreError) as caught:
            self.open()
        self.assertEqual(caught.exception.code, 74)
        self.open()

    def test_it_is_ours_and_not_the_standard_librarys(self) -> None:
        import mailbox
        self.assertFalse(hasattr(mailbox, "Maildir"))


class TestWork(StoreCase):
    def test_it_waits_until_the_batch_is_written(self) -> None:
        box = self.open()
        ann, = self.names(box, "ann")
        box.put(ann, 0, 1, [ann], 0, b"x")
        self.keep(box)
        box.upkeep.must_seal = True
        box.put(ann, 0, 1, [ann], 0, b"y")
        for _ in range(3):
            self.assertTrue(box.work(9, lambda: 0.0))
            self.assertEqual(os.listdir(self.path).count("journal.00000002"), 0)
        self.keep(box)
        self.work(box)
        self.assertEqual(len(ann.pages), 1)

    def test_it_stops_when_its_time_is_over(self) -> None:
        box = self.open()
        ann, = self.names(box, "ann")
        box.put(ann, 0, 1, [ann], 0, b"x")
        self.keep(box)
        box.upkeep.must_seal = True
        times = iter([0.0, 0.001, 0.002, 0.003])
        self.assertTrue(box.work(0.0025, lambda: next(times)))
        self.assertEqual(list(times), [])

    def test_nothing_to_do(self) -> None:
        box = self.open()
        self.assertFalse(box.work(1))

    def test_segments_that_all_have_read_go_and_nearly_read_ones_are_carried(self) -> None:
        box = self.open(small=0)
        ann, bob = self.names(box, "ann", "bob")
        for _ in range(3):
            for n in range(20):
                box.put(ann, 0, n, [bob], 0, b"%d" % n)
            self.keep(box)
            self.seal(box)
        self.assertEqual(sorted(box._shelf.segments), [1, 2, 3])
        mails = box.unread(bob, 0, EVER, 99, 9999)
        box.read(bob, mails[20].id, mails[39].id)
        self.keep(box)
        self.work(box)
        self.assertEqual(sorted(box._shelf.segments), [1, 3])
        box.read(bob, mails[0].id, mails[15].id)
        box.put(ann, 0, 1, [bob], 0, b"new")
        self.keep(box)
        self.seal(box)
        self.assertEqual(sorted(box._shelf.segments), [3, 4])
        self.assertEqual([mail.id for mail in box.unread(bob, 0, EVER, 99, 9999)][:-1],
                         [mail.id for mail in mails[16:20] + mails[40:]])
        self.assertEqual([page.segment for page in bob.pages], [4, 3, 4])
        self.assertEqual(box._shelf.segments[4].messages, 5)    # what was read of it stays behind
        box.read(bob, 0, EVER)
        self.keep(box)
        self.work(box)
        self.assertEqual(sorted(box._shelf.segments), [4])
        self.assertEqual(len([name for name in os.listdir(self.path)
                              if name.startswith("segment.00000003")]), 0)

    def test_small_segments_do_not_pile_up(self) -> None:
        box = self.open()
        ann, bob = self.names(box, "ann", "bob")
        for n in range(6):
            box.put(ann, 0, n, [bob], 0, b"%d" % n)
            self.keep(box)
            self.seal(box)
            self.assertEqual(len(box._shelf.segments), 1)
        self.assertEqual(self.texts(box, bob), [b"%d" % n for n in range(6)])
        self.assertEqual(len(bob.pages), 1)


if __name__ == "__main__":
    unittest.main()
