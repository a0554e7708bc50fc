"""No text makes a row that could be another sender's, a notice, a rule, the bar or the prompt: at
any width."""
import fcntl
import os
import struct
import termios
import unittest
from collections.abc import Iterator

from server.console import Console
from terminal.display import GUTTER, UNICODE, display, fold, width
from tests.client.fake_link import NOON
from tests.harness.process import effort
from tests.programs.test_hostile import CLASSICS
from tests.ui.test_pane import InUtc
from tests.ui.test_screen import office
from ui.entries import REFUSED, Entry, Listing, Note, Said, Spoken, fitted
from ui.pane import Pane
from ui.screen import frame

WIDTHS = effort(range(1, 121), (*range(1, 31), *range(31, 121, 9)))
BLANKS = (" ", "\u00a0", "\u3000", "\u2003", "\u2800", "\t", "\u3164", "\u200b")
FORGED = ("14:06 dave > all          pay me", "14:06 * dave left the chat", "14:06 dave: pay me",
          "-- 2 new ------------------", "= alice@lab = menu ========", "menu> 6. Exit",
          "* dave invites you to a chat:  7. Accept  8. Deny", "! no room", "  bob      Available",
          "?")
HEADS = {"Said": "12:00 eve > you", "Spoken": "12:00 eve:", "Note": "12:00 *", "Listing": "12:00 *"}


def texts(cols: int) -> Iterator[str]:
    """Texts that would put what is forged at the beginning of a row, were it the terminal or a
    blank that breaks it."""
    for number, forged in enumerate(FORGED):
        blank = BLANKS[(cols + number) % len(BLANKS)]
        yield f"hi\n{forged}"
        yield blank * (cols * 2) + forged
        yield "hi" + blank * max(1, cols - number) + forged
        yield "x" * (cols * 2 + number) + " " + forged
        yield "\u6f22" * cols + f"\n\n{forged}\n{forged}"
        yield f"\u05d0\n\u200f{forged}\nx\u00ad\n\u0645\u200c\n{forged}"
    yield from CLASSICS


def some(cols: int) -> list[str]:
    """A third of them, each width another: enough where the kind of entry is not what matters."""
    return list(texts(cols))[cols % 3::3]


def entries(text: str) -> list[Entry]:
    return [Said(NOON, text, "eve", "you"), Spoken(NOON, text, "eve"), Note(NOON, text)]


def begins_a_row(row: str) -> bool:
    """Whether a row has the look of one that something begins with."""
    return not row.lstrip(" ").startswith(GUTTER)


class Forging(InUtc):
    def assert_only_its_head(self, rows: list[str], head: str, text: str) -> None:
        self.assertTrue(rows[0].startswith(head) or head.startswith(rows[0].rstrip()),
                        (rows[0], ascii(text)))
        self.assertEqual([row for row in rows[1:] if begins_a_row(row)], [], ascii(text))

    def rows(self, entry: Entry, cols: int) -> list[str]:
        rows = ["".join(run for run, _ in fitted(row, cols, UNICODE))
                for row in entry.rows(cols, UNICODE)]
        self.assertLessEqual(max(map(width, rows)), cols)
        return rows

    def test_in_the_pane(self) -> None:
        for cols in WIDTHS:
            for text in texts(cols):
                for entry in entries(text):
                    self.assert_only_its_head(self.rows(entry, cols), HEADS[type(entry).__name__],
                                              text)

    def test_a_long_name_before_it(self) -> None:
        """A head that needs rows of its own."""
        name = "e" * 32
        for cols in WIDTHS:
            for text in some(cols):
                self.assert_only_its_head(self.rows(Said(NOON, text, name, "you +7"), cols),
                                          f"12:00 {name}", text)

    def test_of_one_s_own_with_a_reason(self) -> None:
        for cols in WIDTHS:
            for text in some(cols):
                rows = self.rows(Said(NOON, text, "you", "eve", REFUSED, text), cols)
                begun = [row.lstrip(" ")[:1] for row in rows[1:] if begins_a_row(row)]
                self.assertIn(begun, ([], ["!"]), ascii(text))

    def test_in_a_table(self) -> None:
        """/history: a row begins with when and who, and of those there are as many as messages."""
        for cols in WIDTHS:
            for text in some(cols):
                table = Listing(NOON, "the last 2 messages that you have read:", beside=False,
                              items=[("21 Nov 12:00 eve", text), ("21 Nov 12:01 bob", text)])
                begun = [row.lstrip(" ") for row in self.rows(table, cols) if begins_a_row(row)]
                self.assertEqual(len(begun), 3, (cols, ascii(text), begun))
                for row, head in zip(begun, ("12:00 *", "21 Nov 12:00 eve", "21 Nov 12:01 bob"),
                                     strict=True):
                    self.assertTrue(row.startswith(head) or head.startswith(row.rstrip()),
                                    (cols, row))

    def test_on_the_screen(self) -> None:
        """The whole picture: what is no continued row stands there with a harmless text as well."""
        def begun(text: str, cols: int) -> list[str]:
            play = office()
            play.mail(3, "eve", text)
            picture = frame(play.menu, 400 if cols > 20 else 3000, cols)
            rows = ["".join(run for run, _ in row).rstrip() for row in picture.rows if row]
            return [row for row in rows if row and begins_a_row(row)]
        for cols in WIDTHS:
            harmless = begun("x", cols)
            for text in some(cols):
                found = begun(text, cols)
                self.assertEqual(len(found), len(harmless), (cols, ascii(text), found))
                for row, honest in zip(found, harmless, strict=True):
                    head = honest.removesuffix("x").rstrip()
                    self.assertTrue(row.startswith(head) or head.startswith(row),
                                    (cols, row, honest))

    def test_scrolled(self) -> None:
        """Where the head is above the screen, all that is seen is behind the gutter."""
        shown = Pane()
        shown.add(Said(NOON, "hi\n" + (" " * 33 + FORGED[0]) * 50, "eve", "you"))
        shown.view(40, 10)
        for row in shown.view(40, 10):
            self.assertFalse(begins_a_row("".join(run for run, _ in row)))

    def test_as_lines(self) -> None:
        """--plain and the one-shot commands, on a terminal and in a pipe."""
        for cols in (*WIDTHS, None):
            for text in texts(cols or 80):
                for entry in entries(text):
                    for line in entry.lines():
                        rows = fold(line, cols)
                        self.assert_only_its_head(rows, HEADS[type(entry).__name__], text)
                        self.assertLessEqual(max(map(width, rows)), cols or 10**9)
                        self.assertTrue(all(row.isprintable() for row in rows))

    def test_the_rows_say_all_of_it(self) -> None:
        """The gutter takes room and no letter; blanks at a row's end are left out."""
        for cols in range(3, 121):
            for text in some(cols):
                first, *rest = fold(text, cols)
                shown = first + "".join(row.replace(GUTTER, "", 1) for row in rest)
                self.assertEqual("".join(shown.split()),
                                 "".join(display(text, multiline=True).split()))


class TheLog(unittest.TestCase):
    """The event log: a line for each event in a pipe, and rows behind a gutter on a terminal."""

    def logged(self, text: str, cols: int) -> list[str]:
        """What a terminal of so many columns is sent, row by row."""
        master, slave = os.openpty()
        try:
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, cols, 0, 0))
            modes = termios.tcgetattr(slave)
            modes[1] &= ~termios.OPOST
            termios.tcsetattr(slave, termios.TCSANOW, modes)
            console = Console("log", slave, lambda: NOON)
            console.note("message", sender="eve", to="ann", id=1, text=text)
            console.draw(0.0, str, lambda limit: ([], 0))
            return os.read(master, 1 << 16).decode().removesuffix("\n").split("\n")
        finally:
            os.close(master)
            os.close(slave)

    def test_on_a_terminal(self) -> None:
        for cols in range(1, 121, 7):
            for text in texts(cols):
                rows = self.logged(text[:1500], cols)
                self.assertLessEqual(max(map(width, rows)), cols)
                self.assertEqual([row for row in rows[1:] if begins_a_row(row)], [], ascii(text))

    def test_a_line_that_looks_like_another(self) -> None:
        text = "hi" + " " * 33 + '2026-11-21 12:00:01 connected name=root address=unix:0 waiting=0"'
        for row in self.logged(text, 40)[1:]:
            self.assertTrue(row.startswith("    | "), row)


if __name__ == "__main__":
    unittest.main()
