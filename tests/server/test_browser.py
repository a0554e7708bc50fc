"""The operator's keys at the live table: scrolling, orders, finding, all about one name; and the
terminal of a real daemon."""
import signal
import sys
import termios
import unittest

from rules.claims import Identity
from server.browser import Browser
from server.frames import table_rows
from server.views import FOUND_MAX, Here
from store.user import User
from terminal.display import width
from tests.harness.process import HERE, DaemonProcess
from tests.harness.service import Service
from tests.harness.terminals import Terminal, environment

SIZE = (80, 24)
PAGE = table_rows(24)
WALL = 1_800_000_000_000_000


class Keys(unittest.TestCase):
    def setUp(self) -> None:
        self.service = self.enterContext(Service(identity=Identity(secret=bytes(32))))
        for number in range(50):
            self.service.mailbox.register(f"n{number:02}", WALL - number)
        self.service.run()
        self.service.restart()
        self.ann, self.bob = self.service.users("ann", "bob")
        self.board = self.service.daemon.board
        self.seconds = 1000.0
        self.view = Here(self.board.table, self.board.slices, lambda: self.seconds)
        self.browser = Browser(self.view)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.browser.press(key)

    def lines(self, size: tuple[int, int] = SIZE) -> list[str]:
        self.browser.look()
        self.service.run()
        return self.browser.lines(size, WALL)

    def names(self) -> list[str]:
        return [line.removeprefix("> ").split()[0] for line in self.lines()[1:]
                if not line.startswith("and ")]

    def chosen(self) -> list[str]:
        return [line.split()[1] for line in self.lines() if line.startswith("> ")]

    def test_before_a_key(self) -> None:
        """As the table is without a keyboard: no mark, the connected first."""
        self.assertEqual(self.names()[:3], ["ann", "bob", "n00"])
        self.assertEqual(self.chosen(), [])
        self.assertEqual(self.browser.title(), self.board.table.title())

    def test_choosing(self) -> None:
        self.press("<Down>")
        self.assertEqual(self.chosen(), ["bob"])
        self.press("<Up>", "<Up>")
        self.assertEqual(self.chosen(), ["ann"])
        self.press("<End>")
        self.assertEqual(self.chosen(), ["n49"])
        self.assertEqual(len(self.names()), PAGE)
        self.press("<Home>", *["<Down>"] * (PAGE + 3))
        self.assertEqual(self.chosen(), [f"n{PAGE + 1:02}"])
        self.press("<PageUp>")
        self.assertEqual(self.chosen(), ["n01"])
        self.assertIn("more", self.lines()[-1])
        self.press("<Esc>")
        self.assertEqual((self.chosen(), self.names()[0]), ([], "ann"))

    def test_orders(self) -> None:
        self.ann.send("n17", "hi")
        self.ann.send("n17", "hi")
        self.ann.send("n30", "hi")
        self.press("s")
        self.assertEqual(self.names()[:3], ["ann", "bob", "n00"])
        self.assertIn(", by name", self.browser.title())
        self.press("s")
        self.assertEqual(self.names()[:3], ["n17", "n30", "ann"])
        self.press("s")
        self.assertIn("by last seen", self.browser.title())
        self.press("s")
        self.assertEqual(self.browser.title(), self.board.table.title())

    def test_finding(self) -> None:
        self.press("/", "4", "N")
        self.assertTrue(self.browser.title().endswith(", /4n_"), self.browser.title())
        self.press("<Backspace>")
        named = ["n04", "n14", "n24", "n34", *[f"n{number}" for number in range(40, 50)]]
        self.assertEqual(self.names(), named[:PAGE])
        self.press("<Enter>", "s")
        self.assertIn("by name, /4", self.browser.title())
        self.press("<Esc>")
        self.assertEqual(self.names()[0], "ann")

    def test_what_is_found_follows(self) -> None:
        """A search is made again, but not at each picture."""
        self.press("/", "z")
        self.assertEqual(self.names(), [])
        self.service.user("zoe")
        self.assertEqual(self.names(), [])
        self.seconds += 3
        self.assertEqual(self.names(), ["zoe"])

    def test_all_about_one(self) -> None:
        self.ann.send("n17", "hi")
        self.press("/", *"n17", "<Enter>", "<Enter>")     # before the picture that shows it
        told = "\n".join(self.lines())
        self.assertIn("name       n17", told)
        self.assertIn("waiting    1 message\n", told)
        self.press("<Esc>")
        self.assertEqual(self.names(), ["n17"])

    def test_nothing_to_tell(self) -> None:
        self.press("/", "z", "z", "<Enter>")
        self.assertEqual(self.names(), [])
        self.press("<Enter>", "<Down>", "<End>")
        self.assertEqual(self.names(), [])

    def test_every_size(self) -> None:
        for keys in ((), ("<End>",), ("?",), ("/", "n"), ("<Esc>", "<Esc>", "<Down>", "<Enter>")):
            self.press(*keys)
            for columns in (1, 10, 79, 200):
                for rows in (1, 2, 5, 24, 100):
                    for line in self.lines((columns, rows)):
                        self.assertLessEqual(width(line), columns)

    def test_any_key(self) -> None:
        """Nothing raises."""
        for key in ("<F1>", "<C-a>", "x", "é", "", "<Left>", "/", "<F1>", "<C-a>", "\U0001f527",
                    "<Esc>"):
            self.press(key)
            self.lines()

    def test_in_slices(self) -> None:
        """A hundred thousand names are looked through in many turns, and so many are kept."""
        self.service.mailbox.users += [User(number, f"user-{number}", 1)
                                       for number in range(100, 100_100)]
        self.press("/", *"user", "<Enter>")
        self.browser.look()
        steps = 0
        while self.board.slices.step():
            steps += 1
        self.assertGreater(steps, 15)
        self.assertEqual(len(self.view._found), FOUND_MAX)


class OnATerminal(unittest.TestCase):
    def test_of_a_real_daemon(self) -> None:
        """At its own terminal, and at that of `parleyd top`, which outlives it."""
        command = [sys.executable, HERE + "/daemon.py"]
        with DaemonProcess() as other:
            with Terminal([*command, "top", "--connect", "unix:" + other.path], rows=24, cols=80,
                          env=environment()) as terminal:
                self.look_around(terminal)
                other.end(signal.SIGTERM)
                terminal.until("no daemon listens at")
                terminal.press(b"q")
                self.is_left(terminal)
            with Terminal([*command, "--console", "table", "--state", other.store, "--listen",
                           "unix:" + other.path], rows=24, cols=80, env=environment()) as terminal:
                self.look_around(terminal)
                terminal.signal(signal.SIGTERM)
                self.is_left(terminal)

    def look_around(self, terminal: Terminal) -> None:
        """Nothing that is typed is echoed, and a name is found."""
        terminal.until("names in the log")
        terminal.until("username")
        for key in "/walt22":
            terminal.press(key.encode())
        terminal.until("/walt22_")
        terminal.until(lambda screen: "walt224" in screen.text())
        terminal.press(b"\r")
        terminal.press(b"\x1b[B")
        terminal.until(lambda screen: "\n> walt22" in screen.text())
        terminal.press(b"\r")
        terminal.until("first seen")
        terminal.press(b"\x1b")
        terminal.until(lambda screen: "first seen" not in screen.text())
        self.assertFalse(terminal.termios()[3] & termios.ECHO)

    def is_left(self, terminal: Terminal) -> None:
        """As it was."""
        self.assertEqual(terminal.wait(), 0)
        self.assertEqual(terminal.termios(), terminal.initial_termios)


if __name__ == "__main__":
    unittest.main()
