"""Pastes that no terminal marks, into the real clients: one text, no command, no Enter."""
import unittest

import wire
from terminal.display import GUTTER
from terminal.keys import BURST
from tests.harness.process import HERE, Speaker
from tests.harness.terminals import Terminal
from tests.programs.test_plain import SECONDS, Lines

# The pieces of one paste may come as late as a busy machine types them.
PATIENT = "import sys; from terminal import keys; keys.PASTE_GAP = 1.0; import curses_client; " \
          "sys.exit(curses_client.main())"
NASTY = "@bob first\r/exit\r6\r@carol fourth\r"


class WithPeople(Lines):
    def person(self, *options: str, patient: bool = False) -> Terminal:
        command = self.command("--name", "ann", *options)
        if patient:
            command[1:2] = ["-c", PATIENT]
        terminal = Terminal(command, self.env, cwd=HERE)
        self.addCleanup(terminal.close)
        terminal.until("online", SECONDS)          # the log of names is here
        terminal.until("menu>", SECONDS)
        return terminal

    def friend(self, name: str) -> Speaker:
        """Another user, who hears live what is sent."""
        friend = self.daemon.client(name)
        self.addCleanup(friend.close)
        return friend


class OnTheScreen(WithPeople):
    def test_lines_are_one_text_and_nothing_is_done(self) -> None:
        bob, carol = self.friend("bob"), self.friend("carol")
        ann = self.person()
        ann.type(NASTY)
        ann.until("@bob first^J/exit^J6^J@carol fourth", SECONDS)
        self.assertIn("to bob>", ann.screen.text())
        ann.type("\r")
        self.assertEqual(bob.hear(wire.Mail).text, "first\n/exit\n6\n@carol fourth")
        ann.type("@carol fence\r")
        self.assertEqual(carol.hear(wire.Mail).text, "fence")

    def test_more_than_a_read_takes(self) -> None:
        """Cut by the program's reads, by the terminal's buffer, and so that a piece ends in a
        newline."""
        bob = self.friend("bob")
        ann = self.person(patient=True)
        for size in (BURST, 100, 4095, 4096):
            line = "x" * (size - 1) + "\r"
            text = "@bob " + (line * (12_000 // size + 1))
            ann.type(text)
            if text.count("\r") > 5:
                ann.until("lines?>", SECONDS)
                ann.type("\r")
            ann.until("to bob>", SECONDS)
            self.assertNotIn("you > bob", ann.screen.text())
            ann.type("\r")
            self.assertEqual(bob.hear(wire.Mail).text, text.replace("\r", "\n")[5:].rstrip("\n"))
            ann.press(b"\x1b")                      # leaves the conversation
            ann.until("menu>", SECONDS)
            ann.type("/help\r")
            ann.until("commands, wherever", SECONDS)

    def test_what_is_typed_is_typed(self) -> None:
        """A line and its Enter in one read, as on a slow line; then keys in one read."""
        bob = self.friend("bob")
        ann = self.person()
        ann.type("@bob all at once, and longer than a burst of keys is\r")
        self.assertEqual(bob.hear(wire.Mail).text,
                         "all at once, and longer than a burst of keys is")
        ann.type("2")
        ann.until("menu> 2. Send", SECONDS)
        ann.type("\r")
        ann.until("send>", SECONDS)
        ann.type("1\r")
        ann.until("to>", SECONDS)


class AtATerminalWithoutAScreen(WithPeople):
    def test_a_paste_is_asked_about(self) -> None:
        bob, carol = self.friend("bob"), self.friend("carol")
        ann = self.person("--plain")
        ann.type(NASTY)
        ann.until("4 lines came at once", SECONDS)
        ann.until("y or n>", SECONDS)
        self.assertIn("one text to `to bob>`",
                      " ".join(ann.screen.text().replace(GUTTER, "").split()))
        ann.type("y\r")
        self.assertEqual(bob.hear(wire.Mail).text, "first\n/exit\n6\n@carol fourth")
        ann.type("@carol fence\r")
        self.assertEqual(carol.hear(wire.Mail).text, "fence")

    def test_its_last_line_comes_later(self) -> None:
        bob = self.friend("bob")
        ann = self.person("--plain")
        ann.type("@bob first\rsecond\rthird")
        ann.until("2 lines came at once", SECONDS)
        ann.type("\r")
        ann.until("3 lines came at once", SECONDS)
        ann.type("y\r")
        self.assertEqual(bob.hear(wire.Mail).text, "first\nsecond\nthird")

    def test_what_can_not_be_done_is_kept(self) -> None:
        ann = self.person("--plain")
        ann.type("@nobody-here first\rsecond\r")
        ann.until("y or n>", SECONDS)
        for times in (1, 2):
            ann.type("y\r")
            ann.until(lambda screen, times=times:
                      screen.text().count("nobody named nobody-here") == times
                      and screen.text().rstrip().endswith("y or n>"), SECONDS)
        ann.type("n\r")
        ann.until("? the paste was dropped", SECONDS)

    def test_left_out(self) -> None:
        bob = self.friend("bob")
        ann = self.person("--plain")
        for times, answer in enumerate(("n", ""), 1):
            ann.type("@bob first\r@bob second\r")
            ann.until(lambda screen, times=times: screen.text().count("lines came at once") == times
                      and screen.text().rstrip().endswith("y or n>"), SECONDS)
            ann.type(answer + "\r")
            ann.until(lambda screen: screen.text().rstrip().endswith("menu>"), SECONDS)
        ann.type("@bob fence\r")
        self.assertEqual(bob.hear(wire.Mail).text, "fence")

    def test_a_pipe_has_lines(self) -> None:
        self.known("bob")
        self.assertEqual(self.parley("--plain", "--name", "ann", stdin="@bob one\n@bob two\n")[0],
                         0)
        self.assertEqual(self.parley("--name", "bob", "--check")[1].count("ann > you"), 2)


if __name__ == "__main__":
    unittest.main()
