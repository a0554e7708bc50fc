"""The journal: what was synced is read again, a tear is told from damage, nothing is invented."""

import errno
import os
import tempfile
import unittest

from store.disk import Damaged, Failed
from store.journal import (
    BATCH,
    BLANK,
    FIRST_ROOM,
    HEADER_SIZE,
    RECORD,
    SPARE,
    Journal,
    Scan,
    batch_at,
    file_name,
    read_header,
)
from store.records import frame
from tests.store.faulty_disk import RecordingDisk

STORE = bytes(range(16))


class JournalCase(unittest.TestCase):
    def setUp(self) -> None:
        self.home = tempfile.TemporaryDirectory()
        self.addCleanup(self.home.cleanup)
        self.disk = RecordingDisk()
        self.seq = self.settled = 0

    def journal(self, number: int = 1, first: int = 1) -> Journal:
        journal = Journal.create(self.disk, self.home.name, STORE, number, first)
        self.addCleanup(os.close, journal.fd)
        self.path = journal.path
        return journal

    def batch(self, journal: Journal, *payloads: bytes, sync: bool = True) -> None:
        journal.append([BLANK, *(frame(2, payload) for payload in payloads)], self.seq + 1,
                       self.settled, len(payloads))
        self.seq += len(payloads)
        if sync:
            journal.begin_sync()
            self.settled = self.seq

    def data(self) -> bytes:
        return self.disk.read(self.path)

    def scan(self, data: bytes | None = None, size: int | None = None, number: int = 1) -> Scan:
        return Scan(self.data() if data is None else data, "journal", STORE, number, size)

    def rows(self, data: bytes | None = None,
             size: int | None = None) -> list[tuple[int, int, bytes]]:
        return list(self.scan(data, size))

    def five(self) -> tuple[Journal, list[int]]:
        """A journal of five batches, each synced; and where each of them ends."""
        journal, ends = self.journal(), []
        for n in range(5):
            self.batch(journal, *[b"%d/%d" % (n, k) for k in range(n + 1)])
            ends.append(journal.offset)
        return journal, ends


class TestCodec(JournalCase):
    def test_records_of_every_size_come_back(self) -> None:
        journal = self.journal()
        sizes = [0, 1, 4, 5, 255, 256, 65535, 65536, FIRST_ROOM - 1, FIRST_ROOM, FIRST_ROOM + 1,
                 (1 << 20) + 3]
        payloads = [os.urandom(size) for size in sizes]
        for payload in payloads:
            self.batch(journal, payload)
        self.batch(journal, *payloads)
        self.assertEqual(self.rows(),
                         [(n + 1, 2, payload) for n, payload in enumerate(payloads * 2)])
        size = self.disk.at_once(journal.finishing())
        self.assertEqual(os.path.getsize(self.path), size)
        self.assertEqual(len(self.rows(size=size)), 2 * len(sizes))

    def test_the_file_is_extended_ahead_of_the_writing(self) -> None:
        journal = self.journal()
        self.assertEqual(os.path.getsize(self.path), FIRST_ROOM)
        self.batch(journal, bytes(100))
        self.assertEqual(os.path.getsize(self.path), FIRST_ROOM)
        self.batch(journal, bytes(FIRST_ROOM))
        self.assertEqual(os.path.getsize(self.path), journal.offset + (1 << 20))

    def test_a_gap_in_the_seqs_is_kept_and_a_step_back_is_no_batch(self) -> None:
        journal = self.journal()
        self.batch(journal, b"a")
        self.seq = 100
        self.batch(journal, b"b")
        self.seq = 50
        self.batch(journal, b"c", sync=False)
        # it is whole, and says that 101 was settled: written by nobody
        with self.assertRaises(Damaged):
            self.rows()

    def test_a_recycled_file_shows_nothing_of_its_former_life(self) -> None:
        journal, _ = self.five()
        self.disk.at_once(journal.finishing())
        os.rename(self.path, os.path.join(self.home.name, SPARE))
        size = os.path.getsize(os.path.join(self.home.name, SPARE))
        again = self.journal(2, self.seq + 1)
        self.assertEqual(os.listdir(self.home.name), [file_name(2)])
        self.assertEqual(os.path.getsize(self.path), size)
        self.assertEqual(list(self.scan(number=2)), [])
        self.batch(again, b"new")
        self.assertEqual(list(self.scan(number=2)), [(16, 2, b"new")])

    def test_a_text_cannot_pretend_to_be_a_batch(self) -> None:
        journal, ends = self.five()
        whole = self.data()[HEADER_SIZE:ends[-1]]
        other = Journal.create(self.disk, self.home.name, STORE, 2, 1)
        self.addCleanup(os.close, other.fd)
        self.path, self.seq, self.settled = other.path, 0, 0
        self.batch(other, whole, sync=False)
        damaged = bytearray(self.data())
        damaged[HEADER_SIZE + 20] ^= 1
        self.assertEqual(list(self.scan(bytes(damaged), number=2)), [])
        self.assertNotEqual(other.mark, journal.mark)

    def test_a_batch_with_the_mark_of_another_file_is_none(self) -> None:
        journal, _ = self.five()
        data, other = self.data(), bytes(8)
        self.assertIsNotNone(batch_at(data, HEADER_SIZE, journal.mark))
        data = data[:HEADER_SIZE] + other + data[HEADER_SIZE + 8:]
        self.assertIsNone(batch_at(data, HEADER_SIZE, other))

    def test_records_that_do_not_fill_their_batch(self) -> None:
        for count in (0, 1, 3):
            journal = self.journal(count + 1)
            journal.append([BLANK, frame(2, b"a"), frame(2, b"b")], 1, 0, count)
            with self.assertRaises(Damaged):
                list(self.scan(number=count + 1))

    def test_zeros_are_no_batch(self) -> None:
        journal = self.journal()
        self.assertEqual(self.rows(), [])
        self.assertIsNone(batch_at(bytes(100), 0, bytes(8)))
        self.assertEqual(self.scan().header, read_header(self.data(), ""))
        self.assertEqual(journal.offset, HEADER_SIZE)

    def test_another_store_or_number_is_refused(self) -> None:
        self.five()
        with self.assertRaises(Damaged):
            Scan(self.data(), "journal", bytes(16), 1, None)
        with self.assertRaises(Damaged):
            Scan(self.data(), "journal", STORE, 2, None)


class TestTears(JournalCase):
    def test_cut_at_every_byte(self) -> None:
        _, ends = self.five()
        data = self.data()
        whole = self.rows()
        for cut in range(ends[-1] + 1):
            kept = sum(n + 1 for n, end in enumerate(ends) if end <= cut)
            for rest in (b"", bytes(300)):
                with self.subTest(cut=cut, zeros=len(rest)):
                    if cut < HEADER_SIZE:
                        if any(data[cut:HEADER_SIZE]):
                            self.assertRaises(Damaged, self.scan, data[:cut] + rest)
                        continue
                    scan = self.scan(data[:cut] + rest)
                    found = list(scan)
                    lucky = bool(rest) and len(found) > kept  # what was cut off was zeros
                    self.assertEqual(found, whole[:len(found)])
                    self.assertTrue(len(found) == kept or lucky)
                    whole_ones = sum(end <= cut for end in ends) + lucky
                    self.assertEqual(scan.tail.end, [HEADER_SIZE, *ends][whole_ones])

    def test_every_byte_flipped(self) -> None:
        _, ends = self.five()
        data, whole = self.data()[:ends[-1] + 64], self.rows()
        for place in range(len(data)):
            for bits in (1, 0xFF):
                flipped = bytearray(data)
                flipped[place] ^= bits
                with self.subTest(place=place, bits=bits):
                    if place < ends[-2]:
                        with self.assertRaises(Damaged) as caught:
                            self.rows(bytes(flipped))
                        at = max([0] + [end for end in [HEADER_SIZE, *ends] if end <= place])
                        self.assertIn(caught.exception.offset, (0, 8, 10, at))
                    else:
                        found = self.rows(bytes(flipped))
                        self.assertEqual(found, whole if place >= ends[-1] else whole[:10])

    def test_settled_the_last_batch_is_safe_from_flips_too(self) -> None:
        journal, ends = self.five()
        journal.settle(self.seq + 1, self.settled)
        data = self.data()[:journal.offset]
        for place in range(HEADER_SIZE, ends[-1]):
            flipped = bytearray(data)
            flipped[place] ^= 4
            self.assertRaises(Damaged, self.rows, bytes(flipped))
        for place in range(ends[-1], len(data)):
            flipped = bytearray(data)
            flipped[place] ^= 4
            self.assertEqual(len(self.rows(bytes(flipped))), 15)

    def test_a_listed_size_is_exact(self) -> None:
        journal, ends = self.five()
        size = self.disk.at_once(journal.finishing())
        data = self.data()
        self.assertEqual(len(self.rows(size=size)), 15)
        for wrong in (data[:ends[-2]], data[:-1], data + b"\0"):
            self.assertRaises(Damaged, self.rows, wrong, size)
        for place in range(ends[-2], len(data)):
            flipped = bytearray(data)
            flipped[place] ^= 1
            self.assertRaises(Damaged, self.rows, bytes(flipped), size)

    def test_the_later_of_two_unsynced_batches_is_there_and_the_earlier_is_not(self) -> None:
        journal = self.journal()
        self.batch(journal, b"safe")
        start = journal.offset
        self.batch(journal, b"one", sync=False)
        middle = journal.offset
        self.batch(journal, b"two", sync=False)
        for lost in (range(start, middle), range(start + BATCH.size, middle),
                     range(start, start + 4)):
            data = bytearray(self.data())
            for place in lost:
                data[place] = 0
            scan = self.scan(bytes(data))
            self.assertEqual(list(scan), [(1, 2, b"safe")])
            self.assertEqual((scan.tail.end, scan.tail.torn), (start, True))
        journal.begin_sync()
        self.settled = self.seq
        self.batch(journal, b"three")
        data = bytearray(self.data())
        data[start + 20] ^= 1
        with self.assertRaises(Damaged) as caught:
            self.rows(bytes(data))
        self.assertEqual(caught.exception.offset, start)

    def test_the_first_batch_after_a_gap_may_be_torn(self) -> None:
        journal = self.journal(first=1000)
        self.seq = self.settled = 999
        self.batch(journal, b"one", sync=False)
        self.batch(journal, b"two", sync=False)
        data = bytearray(self.data())
        data[HEADER_SIZE + 30] ^= 1
        self.assertEqual(self.rows(bytes(data)), [])


class TestFaults(JournalCase):
    def test_a_short_write_is_continued(self) -> None:
        journal = self.journal()
        for short in (1, 35, 36, 37, 45):
            self.disk.short = short
            self.batch(journal, b"x" * 10)
        self.assertEqual(len(self.rows()), 5)

    def test_a_failed_write_is_cut_back_and_the_next_batch_follows(self) -> None:
        journal = self.journal()
        self.batch(journal, b"kept")
        end = journal.offset
        for short in (0, 1, 36, 40):
            self.disk.short = short
            self.disk.fail("write", errno.ENOSPC, after=1 if short else 0, times=1)
            with self.assertRaises(OSError):
                journal.append([BLANK, frame(2, b"refused" * 9)], self.seq + 1, self.settled, 1)
            self.assertEqual((journal.offset, os.path.getsize(self.path)), (end, end))
        self.batch(journal, b"next")
        self.assertEqual([row[2] for row in self.rows()], [b"kept", b"next"])

    def test_a_batch_that_fits_is_taken_though_the_room_ahead_does_not(self) -> None:
        journal = self.journal()
        self.disk.short = FIRST_ROOM + BATCH.size + RECORD.size
        self.disk.fail("write", errno.ENOSPC, after=1)
        self.batch(journal, bytes(FIRST_ROOM))
        self.assertEqual(len(self.rows()), 1)

    def test_what_cannot_be_cut_back_or_synced_is_final(self) -> None:
        journal = self.journal()
        self.disk.fail("write", errno.EIO)
        self.disk.fail("truncate", errno.EIO)
        with self.assertRaises(Failed):
            self.batch(journal, b"a")
        self.disk.heal()
        self.batch(journal, b"b", sync=False)
        self.disk.fail("datasync", errno.EIO)
        with self.assertRaises(Failed):
            journal.begin_sync()

    def test_a_creation_that_fails_leaves_nothing(self) -> None:
        for name in ("write", "sync", "sync_directory", "rename"):
            for recycled in (False, True) if name != "rename" else (True,):
                with self.subTest(name=name, recycled=recycled):
                    if recycled:
                        with open(os.path.join(self.home.name, SPARE), "wb") as file:
                            file.write(bytes(1000))
                    self.disk.fail(name, errno.ENOSPC)
                    with self.assertRaises(OSError):
                        Journal.create(self.disk, self.home.name, STORE, 9, 1)
                    self.disk.heal()
                    self.assertEqual(os.listdir(self.home.name), [])

    def test_a_new_journal_is_synced_with_its_name_before_its_first_batch(self) -> None:
        self.batch(self.journal(), b"a")
        self.assertEqual([op.name for op in self.disk.ops],
                         ["create", "write", "sync", "sync_directory", "write", "sync"])


if __name__ == "__main__":
    unittest.main()
