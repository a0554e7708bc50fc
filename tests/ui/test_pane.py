"""The scrollback: what a row holds, and what stays where it is while all around it changes."""
import os
import time
import unittest

from terminal.display import UNICODE, fold, width
from ui import scrollback
from ui.entries import (
    DELIVERED,
    REFUSED,
    SENT,
    STORED,
    Entry,
    Listing,
    Note,
    Row,
    Said,
    Spoken,
    clock,
    name_style,
)
from ui.pane import Pane

NOON = 1_795_262_400_000_000        # 21 November 2026 12:00 UTC, a Saturday
DAY = 86_400_000_000


def texts(rows: list[Row]) -> list[str]:
    return ["".join(text for text, _ in row).rstrip() for row in rows]


class InUtc(unittest.TestCase):
    def setUp(self) -> None:
        before = os.environ.get("TZ")
        os.environ["TZ"] = "UTC"
        time.tzset()
        self.addCleanup(self.restore, before)

    def restore(self, before: str | None) -> None:
        os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
        time.tzset()


class Rows(InUtc):
    def shown(self, entry: Entry, cols: int) -> list[str]:
        return texts(entry.rows(cols, UNICODE))

    def test_columns(self) -> None:
        for entry, rows in (
            (Said(NOON, "anyone has the torque wrench?", "bob", "you"),
             ["12:00 bob > you           anyone has the torque wrench?"]),
            (Said(NOON, "bay 3, second drawer", "you", "bob", DELIVERED),
             ["12:00 you > bob         + bay 3, second drawer"]),
            (Said(NOON, "minutes are in /srv/minutes", "you", "carol", STORED),
             ["12:00 you > carol       = minutes are in /srv/minutes"]),
            (Note(NOON, "carol is not connected: kept in the mailbox"),
             ["12:00 * carol is not connected: kept in the mailbox"]),
            (Said(NOON, "drill at 15:00, use the north stairs; take your badge and leave the "
                        "doors open", "dave", "all"),
             ["12:00 dave > all          drill at 15:00, use the north stairs; take your badge",
              "                        | and leave the doors open"]),
            (Said(NOON, "no", "you", "a-long-name, another", REFUSED, "no room"),
             ["12:00 you > a-long-name, another ! no", "                          ! no room"]),
            (Spoken(NOON, "which drawer was it?", "bob"), ["12:00 bob: which drawer was it?"]),
            (Said(NOON, "one\ntwo", "bob", "you"),
             ["12:00 bob > you           one", "                        | two"]),
        ):
            with self.subTest(rows[0]):
                self.assertEqual(self.shown(entry, 80), rows)

    def test_narrow(self) -> None:
        said = Said(NOON, "drill at 15:00, use the north stairs", "dave", "all")
        self.assertEqual(self.shown(said, 40),
                         ["12:00 dave > all drill at 15:00, use the", "    | north stairs"])
        self.assertEqual(self.shown(Said(NOON, "bay 3", "you", "bob", SENT), 40),
                         ["12:00 you > bob . bay 3"])
        self.assertEqual(self.shown(Said(NOON, "words enough", "a-long-name", "you"), 20),
                         ["12:00 a-long-name >", " | you", " | words enough"])

    def test_a_table_uses_the_width(self) -> None:
        table = Listing(NOON, "12 users:",
                        items=[(f"user{number}", "Available") for number in range(12)])
        self.assertEqual(len(table.rows(80, UNICODE)), 1 + 4)
        self.assertEqual(len(table.rows(40, UNICODE)), 1 + 12)

    def test_no_row_is_wider_than_asked(self) -> None:
        text = "wide 你好 words\nand \x1b[31mescapes\u202e e\u0301\u0301 " + "x" * 50
        entries = [Said(NOON, text, "bob\n", "you\x1b", DELIVERED, text), Note(NOON, text),
                   Spoken(NOON, text, "eve", text), Listing(NOON, text, items=[(text, text)] * 12)]
        for cols in range(1, 100):
            shown = Pane()
            for entry in entries:
                shown.add(entry, seen=False)
            for row in shown.view(cols, 1000):
                self.assertLessEqual(width("".join(run for run, _ in row)), cols)
                self.assertTrue("".join(run for run, _ in row).isprintable(), row)

    def test_lines_cannot_be_forged(self) -> None:
        for entry in (Said(NOON, "hi\n12:00 eve > you: pay me", "bob", "you"),
                      Note(NOON, "hi\n12:00 eve"), Spoken(NOON, "hi\n12:00 eve: x", "bob")):
            self.assertEqual(fold(entry.lines()[0])[1:],
                             ["    | 12:00 eve" + str(entry.text).partition("eve")[2]])

    def test_any_time(self) -> None:
        self.assertEqual(clock(2**64 - 1), "??:??")
        Pane().add(Note(2**64 - 1, "hi"))

    def test_colours_are_the_same_in_every_run(self) -> None:
        self.assertEqual([name_style(name) for name in ("bob", "BOB", "carol", "dave")],
                         ["name2", "name2", "name5", "name2"])


class Scrolling(InUtc):
    def filled(self, count: int, cols: int = 20, rows: int = 5) -> Pane:
        shown = Pane()
        for number in range(count):
            shown.add(Spoken(NOON, f"line {number} is so long that it wraps", "bob"))
        shown.view(cols, rows)
        return shown

    def test_rules_of_days(self) -> None:
        shown = Pane()
        for time_ in (NOON, NOON, NOON + DAY):
            shown.add(Note(time_, "hi"))
        self.assertEqual(texts(shown.view(30, 10)), [
            "-- Sat 21 Nov 2026 -----------", "12:00 * hi", "12:00 * hi",
            "-- Sun 22 Nov 2026 -----------", "12:00 * hi"])

    def test_what_is_read_stays_in_place(self) -> None:
        shown = self.filled(50)
        shown.page(-3)
        before = texts(shown.view(20, 5))
        below = shown.below(1000)
        for number in range(10):
            shown.add(Spoken(NOON, f"later {number}", "eve"))
        self.assertEqual(texts(shown.view(20, 5)), before)
        self.assertEqual(shown.below(1000), below + 10)
        top = texts(shown.view(40, 5))[0]
        self.assertEqual(top.split()[:4],
                         before[0].split()[:4] if before[0].startswith("12:") else top.split()[:4])

    def test_to_the_start_and_back_to_the_end(self) -> None:
        shown = self.filled(50)
        end = texts(shown.view(20, 5))
        shown.scroll(-100000)
        self.assertEqual(texts(shown.view(20, 5))[0], "-- Sat 21 Nov 2026 -")
        self.assertFalse(shown.at_end)
        shown.scroll(100000)
        self.assertTrue(shown.at_end)
        self.assertEqual(texts(shown.view(20, 5)), end)

    def test_row_by_row_through_everything(self) -> None:
        shown = self.filled(10)
        every = texts(shown.view(20, 1000))
        shown.view(20, 5)
        shown.to_start()
        seen = [texts(shown.view(20, 5))[0]]
        while not shown.at_end:
            shown.scroll(1)
            seen.append(texts(shown.view(20, 5))[0])
        self.assertEqual(seen, every[:len(seen)])
        self.assertEqual(len(seen), len(every) - 4)

    def test_below_counts_rows(self) -> None:
        shown = Pane()
        for number in range(10):
            shown.add(Note(NOON, f"{number}"))
        shown.view(20, 4)
        shown.to_start()
        self.assertEqual((texts(shown.view(20, 4))[-1], shown.below(1000)), ("12:00 * 2", 7))
        self.assertEqual(shown.below(5), 5)
        shown.add(Note(NOON, "one entry of many rows " * 5))
        every = shown.view(20, 1000)
        shown.view(20, 4)
        shown.to_start()
        shown.view(20, 4)
        self.assertEqual(shown.below(1000), len(every) - 4)
        shown.scroll(2)
        shown.view(20, 4)
        self.assertEqual(shown.below(1000), len(every) - 6)

    def test_what_is_new_is_ruled_off_once(self) -> None:
        shown = Pane()
        shown.add(Spoken(NOON, "seen", "bob"))
        for seen in (False, False):
            shown.add(Spoken(NOON, "new", "bob"), seen)
        self.assertEqual(texts(shown.view(20, 10))[2:4], ["-- 2 new -----------", "12:00 bob: new"])
        shown.looked()
        shown.add(Spoken(NOON, "newer", "bob"), False)
        self.assertEqual(texts(shown.view(20, 10))[-2:],
                         ["-- 1 new -----------", "12:00 bob: newer"])
        self.assertEqual(sum("new ---" in row for row in texts(shown.view(20, 10))), 1)

    def test_to_what_is_new(self) -> None:
        shown = Pane()
        shown.view(20, 4)
        for number in range(20):
            shown.add(Spoken(NOON, f"{number}", "bob"), seen=False)
        shown.to_new()
        self.assertEqual(texts(shown.view(20, 4))[1:3], ["-- 20 new ----------", "12:00 bob: 0"])

    def test_a_mark_that_changes(self) -> None:
        shown, said = Pane(), Said(NOON, "hi", "you", "bob", SENT)
        shown.add(said)
        self.assertEqual(texts(shown.view(40, 5))[1], "12:00 you > bob . hi")
        said.mark, said.reason = REFUSED, "no room"
        shown.changed(said)
        self.assertEqual(texts(shown.view(40, 5))[1:], ["12:00 you > bob ! hi", "      ! no room"])

    def test_any_size(self) -> None:
        shown = self.filled(5)
        for cols in range(-1, 30):
            for rows in range(-1, 10):
                self.assertLessEqual(len(shown.view(cols, rows)), max(0, rows))
                shown.page(-1)
                shown.below(1000)
                shown.page(1)
        for empty in (Pane(),):
            empty.page(-1)
            empty.to_start()
            empty.to_new()
            empty.to_last()
            self.assertEqual((empty.view(80, 24), empty.below(1000)), ([], 0))


class Bounds(InUtc):
    def test_entries(self) -> None:
        shown = Pane()
        for number in range(scrollback.ENTRIES_MAX + 10):
            shown.add(Note(NOON, str(number)))
        self.assertEqual((len(shown), shown.entries[0].text), (scrollback.ENTRIES_MAX, "10"))

    def test_what_is_read_is_forgotten(self) -> None:
        shown = Pane()
        for number in range(100):
            shown.add(Note(NOON, str(number)))
        shown.view(20, 5)
        shown.to_start()
        for number in range(scrollback.ENTRIES_MAX):
            shown.add(Note(NOON, str(number)))
        self.assertEqual(texts(shown.view(20, 5))[0], "12:00 * 0")

    def test_wrapping_is_lazy(self) -> None:
        shown = Pane()
        for number in range(scrollback.ENTRIES_MAX):
            shown.add(Note(NOON, str(number)))
        wrapped: list[int] = []
        original = shown._rows._make
        def counting(serial: int) -> list[Row]:
            wrapped.append(serial)
            return original(serial)
        shown._rows._make = counting      # type: ignore[method-assign]
        shown.view(80, 24)
        shown.view(80, 24)
        self.assertEqual(len(wrapped), 24)
        shown.view(79, 24)
        self.assertEqual(len(wrapped), 48)


if __name__ == "__main__":
    unittest.main()
