"""What was said before is there again: at the first login, by /history, by /find."""
import unittest
from unittest import mock

import wire
from client.archive import ArchiveError
from client.history import Chat, Sent
from tests.client.fake_link import NOON, Offline, Play
from ui.entries import Listing
from ui.feed import PART
from ui.menu import Menu
from ui.past import AT_ONCE
from ui.screen import frame
from wire import SendFlag

DAY = 86_400_000_000
BEFORE = [
    wire.Mail(1, NOON - DAY, 1, 0, 1, "Bob", "anyone has the wrench?"),
    Sent(NOON - DAY + 1, 2, 0, ("bob",), "delivered", "", "bay 3"),
    wire.Mail(3, NOON - DAY + 2, 3, int(SendFlag.EVERYONE), 9, "carol", "drill"),
    wire.Mail(4, NOON - DAY + 3, 4, 0, 3, "carol", "to three"),
    Sent(NOON - DAY + 4, 5, int(SendFlag.EVERYONE), (), "stored", "", "to all"),
    Sent(NOON - DAY + 5, 6, 0, ("dave", "erin"), "refused", "no room", "lost"),
    Sent(NOON - DAY + 6, 7, 0, ("dave",), "unanswered", "", "who knows"),
    Chat(NOON - DAY + 7, ("bob",), "bob", "which drawer?"),
    Chat(NOON - DAY + 8, ("bob", "dave"), "alice", "second"),
    Chat(NOON - DAY + 9, ("bob", "dave"), "dave", "mm"),
]
SHOWN = ["Bob > you: anyone has the wrench?", "you > bob +: bay 3", "carol > all: drill",
         "carol > you +2: to three", "you > all =: to all", "you > dave, erin ! no room: lost",
         "you > dave .: who knows", "bob > you (chat): which drawer?",
         "you > bob, dave (chat): second", "dave > you, bob (chat): mm"]


class Again(unittest.TestCase):
    def play(self, again: int) -> Play:
        play = Play()
        play.menu = Menu(play.link, name="alice", again=again)      # type: ignore[arg-type]
        play.link.read = BEFORE
        return play

    def test_the_end_of_the_archive_stands_above_a_rule(self) -> None:
        play = self.play(100).online("bob")
        self.assertEqual(play.lines[:-1], SHOWN)
        entries = play.menu.pane.entries
        self.assertEqual([entry.day for entry in entries],
                         ["Fri 20 Nov 2026", *[""] * 9, "Sat 21 Nov 2026, now"])
        self.assertNotIn("new", str(play.menu.pane.view(60, 30)))
        self.assertEqual(play.menu.take_unshown(), [], "nothing of it is confirmed")
        self.assertEqual(list(play.menu.talk.people.heard)[-1], "dave")
        play.press("@", "<Tab>")
        self.assertEqual(play.text, "@bob ")

    def test_on_the_same_day_there_is_a_rule_too(self) -> None:
        play = self.play(100)
        play.link.read = [wire.Mail(1, NOON, 1, 0, 1, "bob", "hi")]
        play.online()
        self.assertEqual([entry.day for entry in play.menu.pane.entries],
                         ["Sat 21 Nov 2026", "Sat 21 Nov 2026, now"])

    def test_no_more_than_was_asked_for_and_once(self) -> None:
        play = self.play(3).online()
        self.assertEqual(play.lines[:-1], SHOWN[-3:])
        play.hear(Offline("gone", 1.0))
        play.online(again=True)
        self.assertEqual(sum("mm" in line for line in play.lines), 1)

    def test_nothing_where_nobody_asks(self) -> None:
        """In --plain, and where the archive can't be read."""
        self.assertEqual(len(self.play(0).online().lines), 1)
        play = self.play(10)
        play.link.read = None
        self.assertEqual(len(play.online().lines), 1)


class Find(unittest.TestCase):
    def test_it_goes_on_in_the_archive(self) -> None:
        """Above what the pane holds; and then from the newest again."""
        play = Play().online()
        play.link.read = BEFORE
        play.mail(9, "bob", "the new wrench")
        for _ in range(2):
            play.enter("/find WRENCH")
            self.assertEqual((play.error, play.last), ("", "bob > you: the new wrench"))
            play.enter("/find")
            self.assertRegex(play.last, "^\\* found, Fri 20 Nov 2026:\n *> 20 Nov .*Bob > you")
            play.enter("/find")
            self.assertIn("nothing above contains 'WRENCH'", play.error)
            play.press("<C-u>")
            play.menu.pane = play.menu.talk.feed.pane = play.menu.desk.pane = type(play.menu.pane)()
            play.mail(9, "bob", "the new wrench")

    def test_not_again_what_stands_in_the_pane(self) -> None:
        play = Play()
        play.menu = Menu(play.link, name="alice", again=2)      # type: ignore[arg-type]
        play.link.read = BEFORE
        play.link.top = 8               # the place of the first of the two
        play.online()
        play.enter("/find second")
        self.assertEqual(play.error, "")
        play.enter("/find")
        self.assertIn("nothing above contains", play.error)
        play.press("<C-u>")
        play.enter("/find drawer")
        self.assertIn("which drawer?", play.last)

    def test_in_plain_lines_it_is_printed(self) -> None:
        play = Play()
        play.menu = Menu(play.link, name="alice", strict=True)      # type: ignore[arg-type]
        play.online()
        play.link.read = BEFORE
        play.enter("/find bay")
        self.assertRegex(play.last, "found.*\n.*you > bob \\+.*bay 3")


    def test_neighbours_are_cut_and_what_was_found_is_whole(self) -> None:
        play = Play().online("bob")
        play.link.read = [Chat(NOON, ("bob",), "bob", "x\n" * 50), Chat(NOON + 1, ("bob",), "bob",
                                                                      "wrench " + "y" * 300)]
        found = play.link.find("wrench")
        assert found
        with mock.patch.object(play.link, "find",
                               return_value=found._replace(around=play.link.read)):
            play.enter("/find wrench")
        rows = play.menu.pane.entries[-1].lines()
        self.assertEqual(len(rows), 3)
        self.assertLess(len(rows[1]), 110)
        self.assertIn("y" * 300, rows[2])


class Slices(unittest.TestCase):
    """A search of a large archive."""

    def setUp(self) -> None:
        self.play = Play().online("bob")
        self.play.link.read, self.play.link.pauses = BEFORE, AT_ONCE + 5

    def work(self) -> None:
        while self.play.menu.work():
            pass

    def test_keys_go_on_meanwhile(self) -> None:
        play = self.play
        play.enter("/find wrench")
        self.assertEqual((play.error, play.menu.hint), ("", "searching the archive; Esc stops"))
        self.assertTrue(play.menu.talk.is_busy, "a script waits")
        play.type("@bob hi")
        self.work()
        self.assertEqual((play.text, play.menu.talk.is_busy), ("@bob hi", False))
        self.assertIn("found, ", play.last)
        play.press("<C-u>")
        play.enter("/find")
        self.work()
        self.assertIn("nothing above contains 'wrench'", play.error)
        play.enter("/find")
        self.work()
        self.assertIn("> 20 Nov", play.last, "from the newest again")

    def test_esc_stops_it(self) -> None:
        play = self.play
        play.enter("/find wrench")
        play.type("half")
        play.press("<Esc>")
        self.assertEqual((play.error, play.text), ("the search was stopped", "half"))
        self.assertFalse(self.play.menu.work())
        self.assertNotIn("found", play.last)

    def test_another_takes_its_place(self) -> None:
        play = self.play
        play.enter("/find wrench")
        play.enter("/find drill")
        self.work()
        self.assertIn("> 20 Nov", play.last)
        self.assertIn("drill", play.last)

    def test_history_goes_on_between_keys_too(self) -> None:
        for asked in ("/history bob 5", "/history 2026-11-20", "/history bob 2026-11-20"):
            self.play = Play().online("bob")
            self.play.link.read, self.play.link.pauses = BEFORE, AT_ONCE + 5
            self.play.enter(asked)
            self.assertTrue(self.play.menu.talk.past.is_searching, asked)
            self.play.type("half")
            self.work()
            self.assertIn("the last ", self.play.last)
            self.assertEqual(self.play.text, "half")

    def test_of_a_long_table_only_what_is_in_view_is_wrapped(self) -> None:
        play = Play().online("bob")
        play.link.read = [Chat(NOON + n, ("bob",), "bob", f"{n}") for n in range(1000)]
        frame(play.menu, 24, 80)
        with mock.patch.object(Listing, "rows", autospec=True, side_effect=Listing.rows) as wrapped:
            play.enter("/history bob 1000")
            frame(play.menu, 24, 80)
            self.assertLessEqual(wrapped.call_count, 3)
        parts = [entry.lines() for entry in play.menu.pane.entries if isinstance(entry, Listing)]
        self.assertEqual((sum(map(len, parts)), max(map(len, parts))), (1001, PART + 1))
        for _ in range(80):
            play.press("<PageDown>")
            rows = frame(play.menu, 24, 80).rows
        self.assertTrue(any("999" in text for row in rows for text, _ in row))

    def test_a_small_archive_answers_at_once(self) -> None:
        self.play.link.pauses = 3
        self.play.enter("/find nowhere")
        self.assertIn("nothing above contains", self.play.error)


class Older(unittest.TestCase):
    """The archive goes on where the pane ends."""

    def setUp(self) -> None:
        self.play = Play()
        self.play.menu = Menu(self.play.link, name="alice", again=10)   # type: ignore[arg-type]
        self.play.link.read, self.play.link.top = BEFORE, 250
        self.play.link.above = [wire.Mail(n, NOON - 2 * DAY + n, n, 0, 1, ("carol", "bob")[n % 2],
                                          f"old {n}") for n in range(250)]
        self.play.online("bob", "carol")

    def rows(self, height: int = 20) -> list[str]:
        return ["".join(text for text, _ in row) for row in self.play.menu.pane.view(80, height)]

    def test_page_up_goes_on_into_it(self) -> None:
        play, seen = self.play, dict[str, None]()
        for _ in range(60):
            seen |= dict.fromkeys(row for row in self.rows() if " old " in row)
            play.press("<PageUp>")
        self.assertEqual(len(seen), 250)
        self.assertIn("the beginning of your archive", play.error)
        self.assertEqual(self.rows()[0][:16], "-- Thu 19 Nov 20")
        days = [entry.day for entry in play.menu.pane.entries if entry.day]
        self.assertEqual(days, ["Thu 19 Nov 2026", "Fri 20 Nov 2026", "Sat 21 Nov 2026, now"])
        play.press("<M->>")
        self.mail("and now")
        self.assertIn("and now", self.rows()[-1])

    def mail(self, text: str) -> None:
        self.play.hear(wire.Mail(999, self.play.now, 999, 0, 1, "bob", text))

    def test_the_view_stays_where_it_was(self) -> None:
        play = self.play
        self.rows(6)
        play.press("<M-<>")
        before = self.rows(6)
        play.menu.talk.past.older()
        self.assertEqual(self.rows(6), before)

    def test_of_one_alone(self) -> None:
        play = self.play
        play.enter("/with bob")
        for _ in range(40):
            self.rows()
            play.press("<PageUp>")
        play.press("<M-<>")
        self.assertIn("bob > you", self.rows()[1])
        self.assertEqual(len(play.menu.pane), 11 + 125)
        play.press("<Esc>", "<Esc>")
        self.assertEqual(len(play.menu.pane), 11, "the others would be missing between them")
        play.press("<M-<>")
        self.assertEqual(self.rows()[0][:9], "-- Fri 20")
        self.rows()
        play.press("<PageUp>")
        self.assertEqual(len(play.menu.pane), 111)

    def test_the_bound(self) -> None:
        play = self.play
        with mock.patch("ui.scrollback.ENTRIES_MAX", 60):
            for _ in range(30):
                self.rows()
                play.press("<PageUp>")
            self.assertEqual(len(play.menu.pane), 60)
            self.assertIn("keeps no more", play.error)
            self.mail("new")
            self.assertEqual((len(play.menu.pane), play.lines[-1]), (60, "bob > you: new"))

    def test_an_archive_that_cannot_be_read(self) -> None:
        play = self.play
        with mock.patch.object(play.link, "tailing", side_effect=ArchiveError("can't read")):
            for _ in range(3):
                self.rows()
                play.press("<PageUp>")
        self.assertEqual(play.error, "can't read")


if __name__ == "__main__":
    unittest.main()
