"""The archive: what was kept is read back exactly; whatever happens to a file costs its last line
at most."""
import errno
import os
import random
import stat
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from client import archive, contents, history, letters
from client.archive import Archive, ArchiveError, Memory
from client.private import locked
from wire import Mail

STORE = bytes(range(16))
OTHER = bytes(16)


def record(number: int, text: str = "hello", sender: str = "bob") -> Mail:
    return Mail(number, 1_795_269_723_000_017 + number, 1 << 32 | number, 0, 1, sender, text)


def hostile(seed: int) -> str:
    """A text of what gives terminals and parsers trouble."""
    pick = random.Random(seed)
    pieces = ["a", " ", '"', "\\", "\\n", "\n", "\t", "\r", "\x1b[2J", "\x9b", "\x00", "é", "水",
              "\u202e", "\u2028",
              "\ud800", "\U000e0041", "\U0010ffff", "id=7", 'text="', "-- all above confirmed",
              "\\x", "\\u12", "\x85"]
    return "".join(pick.choice(pieces) for _ in range(pick.randrange(40)))


class Base(unittest.TestCase):
    def setUp(self) -> None:
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.directory = Path(place.name, "state", "archive")

    def opened(self, store: bytes = STORE, name: str = "alice") -> Archive:
        found = Archive(self.directory)
        self.addCleanup(found.close)
        found.open(store, name)
        return found

    def path(self) -> Path:
        return self.directory / f"alice.{STORE.hex()}.txt"

    def kept(self) -> list[Mail]:
        return list(archive.read(self.path()))


class TestLine(unittest.TestCase):
    def test_looks_as_the_manual_says(self) -> None:
        kept = Mail(17, 1_795_269_723_000_017, 4294967301, 0, 1, "bob", 'the "long" one\n')
        self.assertEqual(letters.line(kept),
                         "2026-11-21T14:02:03.000017Z id=17 origin=4294967301 from=bob flags=0 "
                         'copies=1 text="the \\"long\\" one\\n"')

    def test_to_whom_it_was_addressed(self) -> None:
        for to, said in ((("alice", "Carol.2"), "to=alice,Carol.2"), (("#ops",), "to=#ops")):
            kept = Mail(17, 1_795_269_723_000_017, 4294967301, 0, 2, "bob", "x to=y", to)
            self.assertEqual(letters.line(kept),
                             "2026-11-21T14:02:03.000017Z id=17 origin=4294967301 from=bob flags=0 "
                             f'copies=2 {said} text="x to=y"')
            self.assertEqual(letters.parse(letters.line(kept).encode()), kept)

    def test_every_letter_comes_back(self) -> None:
        every = [*map(chr, range(0x3000)), *map(chr, range(0xd7f0, 0xe010)),
                 *map(chr, range(0xfe00, 0x10100)),
                 "\U0001f600", "\U000e0001", "\U0010ffff"]
        for text in [*every, "".join(every)]:
            raw = letters.line(record(1, text)).encode()
            self.assertNotIn(b"\n", raw)
            self.assertEqual(letters.parse(raw), record(1, text))

    def test_hostile_texts_come_back_and_are_safe_to_print(self) -> None:
        for seed in range(2000):
            kept = record(seed, hostile(seed))
            line = letters.line(kept)
            self.assertTrue(line.isprintable(), line)
            self.assertEqual(letters.parse(line.encode()), kept)

    def test_numbers_to_their_ends(self) -> None:
        top = 2**64 - 1
        for time in (0, 1, letters.LAST_TIME, letters.LAST_TIME + 1, top):
            kept = Mail(top, time, top, 255, 2**32 - 1, "Z.-_9", "")
            self.assertEqual(letters.parse(letters.line(kept).encode()), kept)

    def test_a_sender_that_is_no_name(self) -> None:
        for sender in ("", "a b", 'x" text="', "\x1b"):
            kept = record(1, sender=sender)
            self.assertEqual(letters.parse(letters.line(kept).encode()), kept)

    def test_what_is_no_line(self) -> None:
        whole = letters.line(record(1)).encode()
        for raw in (b"", archive.MARK.rstrip(), b"\xff" + whole, whole + b" ", whole[:-1],
                    b"x" + whole,
                    whole.replace(b"hello", b"\\q"), whole.replace(b"hello", b"\\U00110000"),
                    whole.replace(b"hello", b"\\Uffffffff"),
                    whole.replace(b"-11-", b"-13-"),
                    whole.replace(b"id=1 ", b"id=99999999999999999999 ")):
            self.assertIsNone(letters.parse(raw), raw)

    def test_no_piece_of_a_line_is_a_line(self) -> None:
        whole = letters.line(record(1, 'a\\"b"')).encode()
        for cut in range(len(whole)):
            self.assertIsNone(letters.parse(whole[:cut]))


class TestFile(Base):
    def test_round_trip(self) -> None:
        letters = [record(n, hostile(n)) for n in range(1, 301)]
        self.opened().keep(letters)
        self.assertEqual(self.kept(), letters)
        self.assertEqual(self.opened().unconfirmed, {("bob", r.origin): r.id for r in letters})

    def test_private_whatever_the_umask(self) -> None:
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        self.opened().keep([record(1)])
        self.assertEqual(stat.S_IMODE(self.path().stat().st_mode), 0o600)
        for directory in (self.directory, self.directory.parent):
            self.assertEqual(stat.S_IMODE(directory.stat().st_mode), 0o700)

    def test_what_was_open_to_others_is_closed_to_them(self) -> None:
        self.opened().close()
        self.directory.chmod(0o755)
        self.path().chmod(0o644)
        self.opened()
        self.assertEqual(stat.S_IMODE(self.path().stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.directory.stat().st_mode), 0o700)

    def test_one_file_for_each_name_and_store(self) -> None:
        for store, name in ((STORE, "Alice"), (STORE, "alice"), (OTHER, "alice"), (STORE, "bob")):
            self.opened(store, name).close()
        self.assertEqual(len(list(self.directory.iterdir())), 3)

    def test_fsync_comes_before_keep_returns(self) -> None:
        done: list[int] = []
        found = Archive(self.directory, fsync=done.append)
        self.addCleanup(found.close)
        found.open(STORE, "alice")
        self.assertEqual(len(done), 1)      # the directory, for the new name
        done.clear()
        found.keep([record(n) for n in range(100)])
        self.assertEqual(len(done), 1)

    def test_a_file_system_that_cannot_sync_a_directory(self) -> None:
        """As CIFS: messages are kept there, for the file itself is synced.  Another error of the
        directory counts."""
        def fsync(fd: int) -> None:
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                raise OSError(error, os.strerror(error))
            done.append(fd)

        for error in errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF:
            done: list[int] = []
            found = Archive(self.directory / str(error), fsync=fsync)
            self.addCleanup(found.close)
            found.open(STORE, "alice")
            found.keep([record(1)])
            self.assertEqual(([r.id for r in found.last(9)], len(done)), ([1], 1))
        error = errno.EIO
        self.assertRaises(ArchiveError, Archive(self.directory / "bad", fsync=fsync).open, STORE,
                          "alice")

    def test_a_failed_fsync_keeps_nothing(self) -> None:
        found = self.opened()
        found.keep([record(1)])
        with mock.patch.object(found, "_fsync",
                               side_effect=OSError(errno.EIO, "Input/output error")), \
                self.assertRaises(ArchiveError) as raised:
            found.keep([record(2), record(3)])
        self.assertNotIn("\n", str(raised.exception))
        self.assertEqual([r.id for r in self.kept()], [1])
        self.assertEqual(list(found.unconfirmed.values()), [1])
        found.keep([record(2), record(3)])
        self.assertEqual([r.id for r in self.kept()], [1, 2, 3])

    def test_a_full_disk_at_every_byte(self) -> None:
        found = self.opened()
        found.keep([record(1)])
        before = self.path().read_bytes()
        write, size = os.write, len(letters.line(record(2))) + 1
        for room in range(size):
            left = [room]

            def short(fd: int, data: bytes, left: list[int] = left) -> int:
                part, left[0] = data[:left[0]], 0
                if not part:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return write(fd, part)

            with mock.patch("os.write",
                            short), self.assertRaisesRegex(ArchiveError, "No space left"):
                found.keep([record(2)])
            self.assertEqual(self.path().read_bytes(), before)
        found.keep([record(2)])
        self.assertEqual([r.id for r in self.kept()], [1, 2])

    def test_torn_at_every_byte(self) -> None:
        self.opened().keep([record(1), record(2, "two\nlines")])
        whole = self.path().read_bytes()
        first = whole.index(b"\n", len(history.VERSION)) + 1
        for cut in range(len(whole) + 1):
            self.path().write_bytes(whole[:cut])
            found = self.opened()
            # a record of which only the newline was lost gets it back, and counts
            expected = [n for n, end in ((1, first), (2, len(whole))) if cut >= end - 1]
            self.assertEqual(sorted(found.unconfirmed.values()), expected)
            self.assertEqual([r.id for r in found.last(5)], expected)
            self.assertEqual([n for n in (1, 2)
                              if found.has(record(n, ("", "hello", "two\nlines")[n]))], expected)
            found.keep([record(3)])
            self.assertEqual([r.id for r in self.kept()], [*expected, 3])
            found.close()

    def test_deleted_while_open(self) -> None:
        found = self.opened()
        found.keep([record(1)])
        self.path().unlink()
        found.keep([record(2)])
        self.assertEqual([r.id for r in self.kept()], [2])
        self.assertEqual(sorted(found.unconfirmed.values()), [1, 2])

    def test_two_clients_append(self) -> None:
        one, two = self.opened(), self.opened()
        for n in range(10):
            (one, two)[n % 2].keep([record(n)])
        self.assertEqual([r.id for r in self.kept()], list(range(10)))


class TestRefusals(Base):
    def refused(self, pattern: str) -> None:
        found = Archive(self.directory)
        self.addCleanup(found.close)
        with self.assertRaisesRegex(ArchiveError, pattern):
            found.open(STORE, "alice")
        with self.assertRaisesRegex(ArchiveError, pattern):
            found.keep([record(1)])
        self.assertEqual(found.unconfirmed, {})

    def test_a_link_in_the_files_place(self) -> None:
        self.directory.mkdir(parents=True)
        self.path().symlink_to("/dev/null")
        self.refused("symbolic links|symlink")

    def test_a_second_name_of_the_file(self) -> None:
        self.opened().close()
        os.link(self.path(), self.directory / "other")
        self.refused("no file of this user alone")

    def test_a_pipe_in_the_files_place(self) -> None:
        self.directory.mkdir(parents=True)
        os.mkfifo(self.path())
        self.refused("no file of this user alone")

    def test_a_link_in_the_directorys_place(self) -> None:
        self.directory.parent.mkdir(parents=True)
        self.directory.symlink_to("/tmp")
        self.refused("directory")

    def test_a_file_in_the_directorys_place(self) -> None:
        self.directory.parent.mkdir(parents=True)
        self.directory.write_text("")
        self.refused("directory")

    def test_another_users_directory(self) -> None:
        self.directory.mkdir(parents=True)
        with mock.patch("os.geteuid", return_value=os.geteuid() + 1):
            self.refused("another user's")

    def test_a_name_that_is_a_path(self) -> None:
        for name in ("../x", "a/b", "", ".hidden", "a\n"):
            with self.assertRaises(ArchiveError):
                Archive(self.directory).open(STORE, name)

    def test_before_it_is_open(self) -> None:
        with self.assertRaises(ArchiveError):
            Archive(self.directory).keep([record(1)])

    def test_tried_again_by_the_next_keep(self) -> None:
        self.directory.parent.mkdir(parents=True)
        self.directory.write_text("")
        found = Archive(self.directory)
        self.addCleanup(found.close)
        with self.assertRaises(ArchiveError):
            found.open(STORE, "alice")
        self.directory.unlink()
        found.keep([record(1)])
        self.assertEqual([r.id for r in self.kept()], [1])


class TestMarks(Base):
    def settle(self, found: Archive, *numbers: int) -> None:
        found.settle([("bob", 1 << 32 | n) for n in numbers])

    def marks(self) -> int:
        return self.path().read_bytes().count(archive.MARK)

    def test_written_when_all_is_confirmed_but_not_always(self) -> None:
        found = self.opened()
        for n in range(archive.MARK_EVERY):
            self.assertEqual(self.marks(), 0)
            found.keep([record(n)])
            self.settle(found, n)
        self.assertEqual(self.marks(), 1)
        self.assertEqual(self.opened().unconfirmed, {})

    def test_not_while_something_is_unconfirmed(self) -> None:
        found = self.opened()
        found.keep([record(n) for n in range(500)])
        self.settle(found, *range(499))
        self.assertEqual(self.marks(), 0)
        found.close()
        self.assertEqual(self.marks(), 0)

    def test_closing_marks(self) -> None:
        found = self.opened()
        found.keep([record(1)])
        self.settle(found, 1)
        found.close()
        self.assertEqual(self.marks(), 1)
        again = self.opened()
        self.assertEqual(again.unconfirmed, {})
        again.close()
        self.assertEqual(self.marks(), 1)

    def test_what_stands_below_is_read(self) -> None:
        found = self.opened()
        found.keep([record(1)])
        self.settle(found, 1)
        found.close()
        self.opened().keep([record(2, archive.MARK.decode() * 3)])
        self.assertEqual(list(self.opened().unconfirmed.values()), [2])

    def test_found_wherever_it_stands_in_a_block(self) -> None:
        self.directory.mkdir(parents=True)
        head, tail = (letters.line(record(n)).encode() + b"\n" for n in (1, 2))
        for block in (1, 7, 16, 64, 100):
            for filler in range(2 * block + 3):
                self.path().write_bytes(head + archive.MARK + b"#" * filler + b"\n" + tail)
                with mock.patch("client.letters.BLOCK", block):
                    found = self.opened()
                self.assertEqual(list(found.unconfirmed.values()), [2], (block, filler))
                found.close()

    def test_only_the_end_of_a_big_file_is_read(self) -> None:
        found = self.opened()
        with mock.patch.object(found, "_fsync"):
            for at in range(0, 20_000, 1000):
                found.keep([record(n, "x" * 100) for n in range(at, at + 1000)])
                self.settle(found, *range(at, at + 1000))
            found.close()
            again = self.opened()
            again.keep([record(20_000)])
        read: list[int] = []
        pread = os.pread

        def counted(fd: int, size: int, at: int) -> bytes:
            read.append(len(data := pread(fd, size, at)))
            return data

        with mock.patch("os.pread", counted):
            again = self.opened()
        self.assertEqual(list(again.unconfirmed.values()), [20_000])
        self.assertLess(sum(read), 4 * letters.BLOCK)

    def test_a_mark_that_cant_be_written_is_no_error(self) -> None:
        found = self.opened()
        found.keep([record(n) for n in range(200)])
        with mock.patch("os.write", side_effect=OSError(errno.ENOSPC, "No space left on device")):
            self.settle(found, *range(200))
        self.assertEqual(self.marks(), 0)
        found.close()
        self.assertEqual(self.marks(), 1)

    def test_another_store_begins_with_nothing(self) -> None:
        found = self.opened()
        found.keep([record(1)])
        found.open(OTHER, "alice")
        self.assertEqual(found.unconfirmed, {})
        found.open(STORE, "alice")
        self.assertEqual(list(found.unconfirmed.values()), [1])


class TestUndone(Base):
    def test_a_write_that_cannot_be_undone_is_the_last(self) -> None:
        """fsync fails, and so does cutting off: the record stands in the file, and may not be on
        the disk."""
        def fails(_: int) -> None:
            raise OSError(errno.EIO, "Input/output error")
        found = Archive(self.directory)
        found.open(STORE, "alice")
        found._fsync = fails
        with mock.patch("os.ftruncate", side_effect=OSError(errno.EROFS, "Read-only file system")):
            self.assertRaises(ArchiveError, found.keep, [record(1, "one")])
        found._fsync = lambda _: None
        with self.assertRaisesRegex(ArchiveError, "could not be undone"):
            found.keep([record(1, "one")])
        self.assertEqual(found.unconfirmed, {})
        found.close()


class TestOnce(Base):
    """What it holds, it holds once, and knows."""

    def index(self) -> Path:
        return self.path().with_suffix(".index")

    def many(self) -> list[Mail]:
        return [record(n, hostile(n), f"u{n % 7}") for n in range(contents.FOLD_AT_CLOSE + 500)]

    def knows(self, found: Archive, messages: list[Mail]) -> None:
        """These, and nothing that is like one of them in all but one thing."""
        self.assertEqual([letter for letter in messages if not found.has(letter)], [])
        for other in ({"text": "else"}, {"sender": "z"}, {"origin": 2**63}):
            self.assertEqual([letter for letter in messages if found.has(letter._replace(**other))],
                             [])

    def test_kept_once(self) -> None:
        found = self.opened()
        found.keep([record(1), record(2)])
        found.settle([("bob", 1 << 32 | 1), ("bob", 1 << 32 | 2)])
        copy = record(1)._replace(id=99, time=5, flags=4)
        self.assertTrue(found.has(copy))
        found.keep([copy, record(3)])
        self.assertEqual([r.id for r in self.kept()], [1, 2, 3])
        self.assertEqual(sorted(found.unconfirmed.values()), [3, 99])

    def test_another_text_is_another_message(self) -> None:
        """Of 100,000 robots two have the same instance."""
        found = self.opened()
        found.keep([record(1, "one")])
        self.assertFalse(found.has(record(1, "two")))
        found.keep([record(1, "two")])
        self.assertEqual([r.text for r in self.kept()], ["one", "two"])
        self.assertTrue(found.has(record(1, "one")) and found.has(record(1, "two")))

    def test_by_another_process(self) -> None:
        messages = self.many()
        found = self.opened()
        for letter in messages[:3]:
            found.keep([letter])
        found.keep(messages[3:])
        self.assertFalse(self.index().exists())
        self.knows(self.opened(), messages)              # after SIGKILL
        found.close()
        self.assertTrue(self.index().exists())
        self.assertEqual(stat.S_IMODE(self.index().stat().st_mode), 0o600)
        again = self.opened()
        self.assertEqual(again._contents._index.recent, 0)
        self.knows(again, messages)
        again.keep(messages)
        self.assertEqual(self.kept(), messages)

    def test_what_another_client_has_kept(self) -> None:
        one, two = self.opened(), self.opened()
        two.keep([record(1)])
        self.assertFalse(one.has(record(1)))            # it was shown by both, or nearly; but
        one.keep([record(1), record(2)])
        self.assertEqual([r.id for r in self.kept()], [1, 2])
        two.open(STORE, "alice")                        # at the next login
        self.assertTrue(two.has(record(2)))
        self.assertNotIn(("bob", 1 << 32 | 2), two.unconfirmed)

    def test_one_that_writes_without_a_lock(self) -> None:
        """As parley 0.1 did."""
        found = self.opened()
        whole = letters.line(record(1)).encode() + b"\n"
        write = os.write

        def late(fd: int, data: bytes) -> int:
            with self.path().open("ab") as file:
                file.write(whole)
            return write(fd, data)

        with mock.patch("os.write", late):
            found.keep([record(2)])
        found.keep([record(3)])
        self.knows(found, [record(1), record(2), record(3)])

    def test_locked_out(self) -> None:
        one, two = self.opened(), self.opened()
        with mock.patch("client.private.LOCK_SECONDS", 0), locked(one._fd), \
                self.assertRaisesRegex(ArchiveError, "another client is writing"):
            two.keep([record(1)])
        self.assertEqual(two.unconfirmed, {})
        two.keep([record(1)])
        self.assertEqual([r.id for r in self.kept()], [1])

    def test_an_index_that_is_damaged_missing_or_of_another_file(self) -> None:
        messages = self.many()
        found = self.opened()
        found.keep(messages)
        found.close()
        data = self.index().read_bytes()
        for broken in (b"", data[:50], data[:-1], data[:5000] + b"?" + data[5001:],
                       b"x" * len(data)):
            self.index().write_bytes(broken)
            self.knows(self.opened(), messages)
        self.index().unlink()
        self.knows(self.opened(), messages)
        self.index().write_bytes(data)
        self.path().write_bytes(b"".join([letters.line(letter).encode() + b"\n"
                                          for letter in messages[100:]]))
        again = self.opened()
        self.knows(again, messages[100:])
        self.assertFalse(any(map(again.has, messages[:100])))
        others = [*(record(n) for n in range(9000, 9500)), *messages]       # a longer one
        self.path().write_bytes(b"".join([letters.line(other).encode() + b"\n"
                                          for other in others]))
        self.knows(self.opened(), others)

    def test_an_index_that_breaks_while_it_is_open(self) -> None:
        messages = self.many()
        found = self.opened()
        found.keep(messages)
        found.close()
        again = self.opened()
        with self.index().open("r+b") as file:
            file.truncate(200)
        self.knows(again, messages)

    def test_an_index_never_hides_what_the_file_has_not(self) -> None:
        """However wrong it is: what it says is looked at."""
        found = self.opened()
        found.keep([record(1)])
        for place in (0, 3, 10**6):
            found._contents._index.add("bob", 1 << 32 | 2, place)
        self.assertFalse(found.has(record(2)))

    def test_an_index_that_cant_be_written(self) -> None:
        messages = self.many()
        with mock.patch("client.contents.FOLD", 10):
            found = self.opened()
            with mock.patch("os.rename",
                            side_effect=OSError(errno.ENOSPC, "No space left on device")):
                for letter in messages[:50]:
                    found.keep([letter])
            self.knows(found, messages[:50])
            found.keep(messages[50:])
        self.assertTrue(self.index().exists())
        self.assertEqual(sorted(path.name for path in self.directory.iterdir()),
                         [self.index().name, self.path().name])
        self.knows(found, messages)

    def test_folded_while_it_is_open(self) -> None:
        messages = self.many()
        with mock.patch("client.contents.FOLD", 100):
            found = self.opened()
            for at in range(0, len(messages), 30):
                found.keep(messages[at:at + 30])
                self.assertLess(found._contents._index.recent, 130)
        self.knows(found, messages)

    def test_cut_short_while_it_is_open(self) -> None:
        found = self.opened()
        found.keep([record(1), record(2)])
        os.truncate(self.path(), len(history.VERSION) + len(letters.line(record(1))) + 1)
        found.keep([record(3)])
        self.assertEqual([r.id for r in self.kept()], [1, 3])
        self.assertEqual([found.has(record(n)) for n in (1, 2, 3)], [True, False, True])

    def test_what_was_written_by_a_killed_process_is_synced_before_it_counts(self) -> None:
        self.directory.mkdir(parents=True)
        self.path().write_bytes(letters.line(record(1)).encode())       # without its newline
        done: list[int] = []
        found = Archive(self.directory, fsync=done.append)
        self.addCleanup(found.close)
        found.open(STORE, "alice")
        self.assertEqual(len(done), 2)                                  # the file and the directory
        self.assertEqual(list(found.unconfirmed.values()), [1])
        self.assertTrue(self.path().read_bytes().endswith(b"\n"))

    def test_no_more_than_the_end_is_confirmed_again(self) -> None:
        found = self.opened()
        found.keep([record(n, "x" * 100) for n in range(100)])
        with mock.patch("client.archive.UNCONFIRMED_BYTES", 1000):
            again = self.opened()
        self.assertLess(len(again.unconfirmed), 10)
        self.assertIn(99, again.unconfirmed.values())
        self.assertTrue(again.has(record(0, "x" * 100)))

    def test_long_lines(self) -> None:
        messages = [record(1, "\x1b" * 16384), record(2, "\U000e0041" * 4096), record(3)]
        found = self.opened()
        found.keep(messages)
        self.knows(found, messages)
        with mock.patch("client.letters.PIECE", 100):
            self.knows(self.opened(), messages)


class TestLast(Base):
    def test_last(self) -> None:
        found = self.opened()
        self.assertEqual(found.last(3), [])
        letters = [record(n, hostile(n)) for n in range(50)]
        for letter in letters:
            found.keep([letter])
            found._mark()
        for block in (1, 13, 64, 5000, 1 << 20):
            with mock.patch("client.letters.BLOCK", block):
                for n in (0, 1, 2, 49, 50, 51):
                    self.assertEqual(found.last(n), letters[50 - min(n, 50):], (block, n))

    def test_memory_keeps_the_same_promises(self) -> None:
        memory = Memory()
        memory.open(STORE, "alice")
        memory.keep([record(1), record(2)])
        memory.settle([("bob", 1 << 32 | 1)])
        memory.open(STORE, "alice")
        self.assertEqual(list(memory.unconfirmed.values()), [2])
        self.assertEqual([memory.has(record(n)) for n in (1, 2, 3)], [True, True, False])
        self.assertFalse(memory.has(record(1, "else")))
        with mock.patch("client.archive.SHOWN_MAX", 2):
            memory.keep([record(3)])
        self.assertEqual([memory.has(record(n)) for n in (1, 2, 3)], [False, True, True])
        memory.open(OTHER, "alice")
        self.assertEqual(memory.unconfirmed, {})
        self.assertFalse(memory.has(record(3)))
        memory.close()


if __name__ == "__main__":
    unittest.main()
