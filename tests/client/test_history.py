"""Both sides in one file: what a line says comes back, what the daemon answers is written down, and
the whole is read upwards and downwards, whatever stands among it."""
import errno
import os
import random
import re
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import wire
from client import archive, history, letters, past
from client.archive import Archive, Memory
from client.events import Unnoted
from client.history import Chat, Gone, Sent, Shown
from client.past import Wanted
from tests.client.linked import FIRST, STORE, Linked, mail
from tests.client.test_archive import hostile, record
from wire import Outcome, SendFlag, Why

TIME = 1_795_269_723_000_017
# What release 0.1 takes for a message; it passes over every other line.
OF_RELEASE_1 = re.compile(
    r"(?:(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6})Z|@(\d{1,20})) id=(\d{1,20}) origin=(\d{1,20}) "
    r'from=(?:([A-Za-z0-9._-]+)|"((?:[^"\\]|\\.)*)") flags=(\d{1,20}) copies=(\d{1,20}) '
    r'text="((?:[^"\\]|\\.)*)"', re.ASCII)


def own(seed: int) -> history.Own:
    """One of each kind, by turns."""
    pick = random.Random(seed)
    to = tuple(pick.sample(("bob", "Carol.2", "d-e_f"), pick.randrange(1, 4)))
    became = pick.choice(("stored", "refused", "unanswered", "delivered"))
    time = pick.choice((TIME, 0, letters.LAST_TIME, 2**64 - 1))
    return pick.choice((
        Sent(time, seed, 0, to, became, hostile(seed + 1), hostile(seed)),
        Sent(time, seed, int(SendFlag.EVERYONE), (), became, "", hostile(seed)),
        Chat(time, to, "alice", hostile(seed)), Shown(time, seed, seed + 3, to)))


class Lines(unittest.TestCase):
    def test_they_look_as_the_manual_says(self) -> None:
        self.assertEqual(
            [history.line(each) for each in (
                Sent(TIME, 9001, 0, ("bob", "carol"), "stored", "", "bay 3"),
                Shown(TIME, 9001, 9004, ("bob", "carol")),
                Chat(TIME, ("bob",), "alice", "which?"), Gone(17, 4294967301, "bob", 0x1f2a))],
            ['2026-11-21T14:02:03.000017Z sent=9001 to=bob,carol flags=0 became=stored reason="" '
             'text="bay 3"',
             "2026-11-21T14:02:03.000017Z delivered=9001-9004 to=bob,carol",
             '2026-11-21T14:02:03.000017Z chat=bob from=alice text="which?"',
             "forgotten id=17 origin=4294967301 from=bob check=1f2a"])

    def test_every_line_comes_back_is_safe_and_no_message_to_an_older_client(self) -> None:
        for seed in range(300):
            for each in own(seed), history.gone(record(seed, hostile(seed), hostile(seed + 7))):
                line = history.line(each)
                self.assertTrue(line.isprintable(), line)
                self.assertEqual(history.parse(line.encode()), each)
                self.assertIsNone(OF_RELEASE_1.fullmatch(line))
                self.assertIsNone(letters.parse(line.encode()))

    def test_no_piece_of_a_line_is_a_line(self) -> None:
        for each in (Sent(TIME, 1, 0, ("bob",), "refused", 'a"', 'b\\"'),
                     Chat(TIME, ("b",), "a", ""), history.gone(record(1))):
            line = history.line(each).encode()
            for cut in range(len(line)):
                self.assertIsNone(history.parse(line[:cut]), line[:cut])
        for line in (b"", history.VERSION.strip(), archive.MARK.strip(), b"\xff sent=1",
                     b"forgotten id=99999999999999999999 origin=1 from=bob check=1f2a",
                     b'1969-01-01T00:00:00.000000Z chat=bob from=bob text=""'):
            self.assertIsNone(history.parse(line))


class Kept(unittest.TestCase):
    """An archive with both sides."""

    def setUp(self) -> None:
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.directory = Path(place.name)
        self.syncs: list[int] = []

    def opened(self) -> Archive:
        found = Archive(self.directory, fsync=self.syncs.append)
        self.addCleanup(found.close)
        found.open(STORE, "alice")
        return found

    def path(self) -> Path:
        return self.directory / f"alice.{STORE.hex()}.txt"

    def test_both_sides_in_the_order_in_which_they_came(self) -> None:
        found = self.opened()
        self.syncs.clear()
        sent = Sent(TIME, 1, 0, ("bob",), "stored", "", "mine")
        for n in range(5):
            found.keep([record(n)])
            found.note([sent._replace(id=n), Chat(TIME, ("bob",), "bob", f"line {n}")])
        self.assertEqual(len(self.syncs), 5, "what is one's own is not synced")
        found.note([Shown(TIME, 2, 4, ("bob",))])
        told = found.last(9)
        self.assertEqual(len(told), 9)
        self.assertEqual(told[-3:], [record(4), sent._replace(id=4, became="delivered"),
                                     Chat(TIME, ("bob",), "bob", "line 4")])
        self.assertEqual([r.became for r in found.last(99) if isinstance(r, Sent)],
                         ["stored", "stored", *["delivered"] * 3])
        self.assertTrue(self.path().read_bytes().startswith(history.VERSION))
        self.assertEqual([r.id for r in archive.read(self.path())], list(range(5)))
        self.assertTrue(all(self.opened().has(record(n)) for n in range(5)))
        self.assertEqual(sorted(self.opened().unconfirmed.values()), list(range(1, 5)),
                         "0 is no message of a daemon")

    def test_with_one_user(self) -> None:
        found = self.opened()
        found.keep([record(1), record(2, sender="Carol", text="about bob")])
        found.note([Sent(TIME, 1, 0, ("Bob", "dave"), "stored", "", "x"),
                    Sent(TIME, 2, 0, ("dave",), "stored", "", "bob"), Shown(TIME, 1, 1, ("Bob",)),
                    Chat(TIME, ("bob", "carol"), "alice", "y")])
        for name, count in (("BOB", 3), ("carol", 2), ("dave", 2), ("do", 0)):
            self.assertEqual(len(found.last(9, name)), count, name)
        self.assertEqual(len(found.last(2, "bob")), 2)
        self.assertEqual(found.last(9, "bob")[1].became, "delivered")

    def test_a_search_is_that_of_the_plain_text(self) -> None:
        """Beside one that takes every line apart; with small blocks, and lines longer than them."""
        found = self.opened()
        every = [record(n, hostile(n) or "x") for n in range(60)]
        every += [record(200, "Stra\u00dfe \u212aelvin"), record(201, "x" * 300)]
        for each in every:
            found.keep([each])
            found.note([Chat(TIME, ("bob",), "bob", "filler")])
        for wanted in ("a", '"', "\\", "\u6c34", "STRASSE", "kelvin", "XXX", "id=7", "from", "\x1b",
                       "nowhere", "\u00e9", "\n"):
            for block in (64, 1000):
                with mock.patch("client.letters.BLOCK", block):
                    above, told = None, []
                    while hit := found.find(wanted, above):
                        above = hit.place
                        told.append(hit.record)
                        self.assertIn(hit.record, hit.around)
                plain = [each for each in every if wanted.casefold() in each.text.casefold()]
                self.assertEqual([r for r in told if isinstance(r, wire.Mail)], plain[::-1], wanted)

    def test_downwards(self) -> None:
        found = self.opened()
        found.keep([record(n, f"word {n} \"q\"") for n in range(100)])
        found.note([Sent(TIME + n, n, 0, ("bob",), "stored", "", f"own {n}") for n in range(10)])
        found.note([Shown(TIME, 3, 4, ("bob",)), Shown(TIME, 5, 5, ("bob",))])
        fd = os.open(self.path(), os.O_RDONLY)
        self.addCleanup(os.close, fd)
        every = list(past.select(fd, Wanted()))
        self.assertEqual(len(every), 110)
        self.assertEqual([r.id for r in every if isinstance(r, Sent) and r.became == "delivered"],
                         [3, 4, 5])
        for pattern, count in ((r'7 "q"$', 10), ("(?i)OWN", 10), ("text|id", 0), ("^word 1", 11)):
            self.assertEqual(len(list(past.select(fd, Wanted(pattern=re.compile(pattern))))), count)
        since = letters.stamp(TIME + 90).encode()
        self.assertEqual([r.id for r in past.select(fd, Wanted(since=since))], list(range(90, 100)))
        for begin, end, n, ids in ((90, 95, 9, [90, 91, 92, 93, 94]), (90, 95, 2, [93, 94]),
                                   (0, 2, 9, [0, 1, 0, 1]), (95, 90, 9, [])):
            told = past.at_once(found.between(TIME + begin, TIME + end, n, "bob"))
            self.assertEqual([r.id for r in told if isinstance(r, (wire.Mail, Sent))], ids)
        with mock.patch.object(past, "PAUSE", 10):
            steps = sum(1 for _ in found.between(TIME, TIME + 10_000, 9))
        self.assertGreater(steps, 11, "nobody waits for all of it")
        self.assertEqual(len(list(past.select(fd, Wanted(name="Bob")))), 110)
        self.assertEqual(len(list(past.select(fd, Wanted(name="ob")))), 0)

    def test_two_clients_of_which_one_speaks(self) -> None:
        """Each message is kept once, and both know it, whatever stands between."""
        one, two = self.opened(), self.opened()
        for n in range(20):
            (one, two)[n % 2].note([Chat(TIME, ("bob",), "alice", f"line {n}")])
            two.keep([record(n), record(n + 1)])
            one.keep([record(n)])
        self.assertEqual([r.id for r in archive.read(self.path())], list(range(21)))
        self.assertEqual(len(two.last(99)), 41)

    def test_what_only_sends_starts_quickly(self) -> None:
        """The index covers own lines too, so that a start need not read them."""
        found = self.opened()
        found.keep([record(1)])
        with mock.patch("client.contents.FOLD_BYTES", 5000):
            for _ in range(10):
                found.note([Chat(TIME, ("bob",), "alice", "x" * 900)])
                found.close()
                found = self.opened()
            uncovered = self.path().stat().st_size - found._contents._index.upto
        self.assertLess(uncovered, 7000)
        self.assertTrue(found.has(record(1)))

    def test_a_full_disk_and_a_torn_line_cost_nothing_that_was_received(self) -> None:
        found = self.opened()
        found.keep([record(1)])
        line = Chat(TIME, ("bob",), "bob", "torn")
        with mock.patch("os.write", side_effect=OSError(errno.ENOSPC, "No space left on device")), \
                self.assertRaisesRegex(archive.ArchiveError, "can't note what you say.*No space"):
            found.note([line])
        whole = self.path().read_bytes()
        raw = history.line(line).encode() + b"\n"
        for cut in range(len(raw) + 1):
            self.path().write_bytes(whole + raw[:cut])
            again = self.opened()
            again.keep([record(2)])
            self.assertEqual([r.id for r in archive.read(self.path())], [1, 2], cut)
            self.assertTrue(again.has(record(1)) and again.has(record(2)))
            again.close()

    def test_a_torn_line_that_cant_be_cut_off_is_in_nobodys_way(self) -> None:
        """Mail is kept all the same: nothing was promised of that line."""
        found = self.opened()
        write = os.write
        with mock.patch("os.write", side_effect=[5, OSError(errno.ENOSPC, "No space left")]), \
                mock.patch("os.ftruncate", side_effect=OSError(errno.EIO, "I/O error")):
            write(found._fd, b"2026-")          # what the first call wrote
            self.assertRaises(archive.ArchiveError, found.note,
                              [Chat(TIME, ("bob",), "bob", "torn")])
        found.keep([record(1)])
        self.assertEqual([r.id for r in archive.read(self.path())], [1])

    def test_marks_bound_what_a_start_reads(self) -> None:
        found = self.opened()
        for _ in range(2 * archive.MARK_EVERY):
            found.note([Chat(TIME, ("bob",), "bob", "x")])
        self.assertEqual(self.path().read_bytes().count(archive.MARK), 2)
        found.keep([record(1)])
        for _ in range(2 * archive.MARK_EVERY):
            found.note([Chat(TIME, ("bob",), "bob", "x")])
        found.close()
        self.assertEqual(self.path().read_bytes().count(archive.MARK), 2, "one is unconfirmed")
        self.assertEqual(list(self.opened().unconfirmed.values()), [1])


class Noted(Linked):
    """What the user does, and what the daemon answers, as the archive has it."""

    def setUp(self) -> None:
        super().setUp()
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.file = Archive(place.name)
        self.link = self.make(self.file)
        self.login()

    def fates(self) -> list[tuple[str, str]]:
        return [(r.text, r.became) for r in self.file.last(99) if isinstance(r, Sent)]

    def test_stored_delivered_refused_and_lost(self) -> None:
        self.link.send(["bob"], "one")
        self.link.send(["bob", "carol"], "two")
        self.link.send(["bob"], "three")
        self.link.send(["bob"], "now", SendFlag.NOW)
        self.link.send([], "all", SendFlag.EVERYONE)
        self.assertEqual(self.fates(), [])
        self.given(wire.Delivered(FIRST, FIRST, "bob"),         # faster than STORED
                   wire.Stored(FIRST, FIRST + 1), wire.Refused(FIRST + 2, Why.FULL, "no room"),
                   wire.Outcomes(FIRST + 3, FIRST + 3, Outcome.ABSENT, ("bob",)),
                   wire.Stored(FIRST + 4, FIRST + 4), wire.Delivered(FIRST + 1, FIRST + 4, "Bob"))
        self.assertEqual(self.fates(), [("one", "delivered"), ("two", "stored"),
                                        ("three", "refused"), ("now", "refused"),
                                        ("all", "stored")])
        self.given(wire.Delivered(FIRST + 1, FIRST + 1, "carol"))
        self.assertIn(("two", "delivered"), self.fates())
        reasons = [r.reason for r in self.file.last(99) if isinstance(r, Sent)]
        self.assertEqual(reasons, ["", "", "no room", "not connected", ""])

    def test_a_recipient_without_room_is_not_waited_for(self) -> None:
        self.link.send(["bob", "carol"], "x")
        self.given(wire.Stored(FIRST, FIRST), wire.Outcomes(FIRST, FIRST, Outcome.FULL, ("carol",)),
                   wire.Delivered(FIRST, FIRST, "bob"))
        self.assertEqual(self.fates(), [("x", "delivered")])

    def test_what_has_no_answer_at_the_end(self) -> None:
        self.link.send(["bob"], "one")
        self.link.send(["bob"], "two")
        self.given(wire.Stored(FIRST, FIRST))
        self.link.close()
        self.link.close()
        self.file.open(STORE, "alice")
        self.assertEqual(self.fates(), [("one", "stored"), ("two", "unanswered")])
        self.file.close()

    def test_a_chat(self) -> None:
        self.link.ask.say(5, "to nobody")
        self.given(wire.Started(5, 1, ("bob", "Alice", "carol")))
        self.link.ask.say(5, "hello")
        self.given(wire.Line(5, TIME, "bob", "hi"), wire.Line(6, TIME, "bob", "elsewhere"),
                   wire.Left(5, Why.QUIT, "carol"), wire.Line(5, TIME, "bob", "alone"))
        self.link.ask.say(5, " Quit ")
        self.given(wire.Ended(5, Why.QUIT, "alice"), wire.Line(5, TIME, "bob", "late"))
        self.assertEqual(self.file.last(9), [
            Chat(0, ("bob", "carol"), "alice", "hello"), Chat(TIME, ("bob", "carol"), "bob", "hi"),
            Chat(TIME, ("bob",), "bob", "alone")])

    def test_a_file_that_cant_be_written_is_told_once(self) -> None:
        told = []
        for n in range(3):
            self.link.send(["bob"], "x")
            with mock.patch("os.write", side_effect=OSError(errno.ENOSPC, "No space left")):
                told += self.given(wire.Stored(FIRST + n, FIRST + n))
        remarks = [each.text for each in told if isinstance(each, Unnoted)]
        self.assertEqual(len(remarks), 1)
        self.assertRegex(remarks[0], "can't note what you say in .*No space left")

    def test_where_there_is_no_place_for_it(self) -> None:
        """keep() says so; what was sent is sent."""
        self.link.close()
        self.link = self.make(Archive(OSError(errno.ENOENT, "no home directory")))
        self.login()
        self.link.send(["bob"], "x")
        self.assertEqual(self.given(wire.Stored(FIRST, FIRST)), [wire.Stored(FIRST, FIRST)])

    def test_before_the_first_login(self) -> None:
        self.link.close()
        self.link = self.make(self.file)
        self.link.send(["bob"], "x")
        self.link.exit()
        self.assertEqual([type(each).__name__ for each in self.link.tick()], ["Over"])

    def test_without_an_archive(self) -> None:
        self.link.close()
        self.link = self.make()
        self.login()
        self.link.send(["bob"], "x")
        self.assertEqual(self.given(wire.Stored(FIRST, FIRST)), [wire.Stored(FIRST, FIRST)])
        self.assertEqual((self.link.archive.last(9), self.link.archive.find("x")), ([], None))
        self.assertIsInstance(self.link.archive, Memory)

    def test_mail_among_it_is_confirmed_as_ever(self) -> None:
        self.link.send(["bob"], "x")
        heard = self.given(mail(1), wire.Stored(FIRST, FIRST))
        self.house.hear()
        self.link.shown([heard[0]])
        self.assertEqual(self.house.hear(), [wire.Confirm(1, 1)])
        self.assertTrue(self.file.has(mail(1)))


if __name__ == "__main__":
    unittest.main()
