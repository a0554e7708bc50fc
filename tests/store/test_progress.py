"""Progress and Batch: where the seqs stand at each step, and what a refused batch takes back."""

import unittest

from net.bodies import body_of
from store.batch import Batch
from store.census import Census
from store.mail import WHOLE, Mail
from store.progress import ID_JUMP, NOTHING, UNSYNCED_BYTES, UNSYNCED_MAX, Progress
from store.shelf import Shelf
from store.user import User


class TestProgress(unittest.TestCase):
    def setUp(self) -> None:
        self.progress = Progress(10)
        self.progress.begin_batch(0)

    def give(self, seqs: int = 1) -> int:
        self.progress.last += seqs
        return self.progress.last

    def write(self, size: int = 1) -> None:
        self.progress.wrote(size)
        self.progress.begin_batch(0)

    def test_settled_is_what_is_on_the_disk(self) -> None:
        progress = self.progress
        self.assertEqual(progress.settled, 10)
        one = self.give()
        self.assertEqual(progress.settled, 10)
        self.write()
        self.assertEqual(progress.settled, 10)
        progress.sync_began()
        self.give()
        self.write()
        self.assertEqual(progress.settled, 10)
        progress.sync_ended()
        self.assertEqual((progress.settled, progress.is_dirty), (one, True))
        progress.synced_all()
        self.assertEqual((progress.settled, progress.is_dirty), (one + 1, False))

    def test_what_was_refused_is_settled_and_its_seqs_are_not_given_again(self) -> None:
        refused = self.give(5)
        self.progress.begin_batch(0)
        self.assertEqual((self.progress.settled, self.progress.base), (refused, refused + 1))

    def test_reads_of_a_refused_batch_are_due(self) -> None:
        progress = self.progress
        due = self.give()
        self.give()
        progress.begin_batch(1)                             # of which one was a READ
        self.assertEqual(progress.settled, due - 1)
        self.write()
        self.assertEqual(progress.settled, due - 1)
        progress.synced_all()
        self.assertEqual(progress.settled, progress.last)

    def test_reads_before_a_roll_are_due_when_the_new_journal_is_synced(self) -> None:
        progress = self.progress
        due = self.give()
        progress.end_journal()
        self.assertEqual((progress.most, progress.is_behind), (NOTHING, True))
        progress.begin_journal(progress.base + ID_JUMP)
        progress.begin_batch(1)
        progress.go_on()
        self.assertEqual(progress.settled, due - 1)
        self.write()
        progress.sync_began()
        self.assertEqual(progress.settled, due - 1)
        progress.sync_ended()
        self.assertEqual(progress.settled, progress.last)
        self.assertEqual(progress.last, due + ID_JUMP)

    def test_how_far_the_disk_may_be_behind(self) -> None:
        progress = self.progress
        self.assertEqual(progress.most, 10 + UNSYNCED_MAX)
        self.give()
        self.write(UNSYNCED_BYTES + 1)
        self.assertTrue(progress.is_behind)
        progress.sync_began()
        self.assertTrue(progress.is_behind)
        progress.sync_ended()
        self.assertEqual(progress.most, progress.synced + UNSYNCED_MAX)

    def test_what_was_kept(self) -> None:
        progress = Progress(100, [(20, 29), (30, 39), (60, 69)])
        self.assertEqual(progress.lost, ((20, 39), (60, 69)))
        self.assertEqual(list(progress.kept(1, 100)), [(1, 19), (40, 59), (70, 100)])
        self.assertEqual(list(progress.kept(25, 65)), [(40, 59)])
        self.assertEqual(list(progress.kept(20, 39)), [])
        self.assertEqual(list(progress.kept(9, 8)), [(9, 8)])


class TestBatch(unittest.TestCase):
    def setUp(self) -> None:
        self.users = [User(number, name, 1) for number, name in enumerate(["ann", "bob"])]
        self.progress = Progress(0)
        self.batch = Batch(self.progress)

    def put(self, text: bytes) -> Mail:
        ann, bob = self.users
        self.progress.last += 1
        mail = Mail(self.progress.last, self.progress.last, 1, ann.number, 0, 0, 1,
                    body_of([text]), WHOLE)
        bob.queue(mail)
        bob.waiting += 1
        self.batch.puts.append((mail, [bob]))
        self.batch.parts.append(b"a put")
        return mail

    def test_what_was_put_is_taken_back_and_what_was_read_stays(self) -> None:
        ann, bob = self.users
        first = self.put(b"first")
        self.batch.records(self.users)
        self.batch.written(self.users)
        self.assertFalse(self.batch.is_due)
        self.batch.reserve_read(ann)
        second = self.put(b"second")
        self.assertTrue(self.batch.is_open)
        self.batch.records(self.users)
        refused = self.batch.undo(Census(self.users, Shelf()))
        self.assertEqual(refused, ([second], [], []))
        self.assertEqual((bob.tail, bob.waiting), ([first], 1))
        self.assertEqual((self.batch.is_open, self.batch.is_due), (False, True))
        self.assertEqual(list(self.batch.reads), [ann.number])
        # the READ has a seq of its own again
        self.assertEqual(self.progress.last, second.id + 1)
        self.assertEqual(len(self.batch.records(self.users)), 2)

    def test_settings_are_what_they_were(self) -> None:
        ann = self.users[0]
        ann.set(1, 1, b"old")
        for seq, value in (2, b"new"), (3, b"newer"):
            self.batch.replaced.append((ann, 1, ann.settings, ann.set_at))
            ann.set(1, seq, value)
        refused = self.batch.undo(Census(self.users, Shelf()))
        self.assertEqual(refused.settings, [(ann, 1), (ann, 1)])
        self.assertEqual((ann.settings, ann.set_at), ({1: b"old"}, {1: 1}))

    def test_a_name_that_is_refused_takes_its_reads_along(self) -> None:
        bob = self.users[1]
        self.batch.registered.append(bob)
        self.batch.reserve_read(bob)
        self.batch.seen[bob.number] = bob
        self.assertEqual(self.batch.undo(Census(self.users, Shelf())).users, [bob])
        self.assertFalse(self.batch.is_due)


if __name__ == "__main__":
    unittest.main()
