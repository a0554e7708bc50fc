"""Real text: a message in every script, up to the longest that may be sent, arrives byte for
byte."""
import contextlib
import sys
import time
import unittest

import wire
from terminal.display import display, width, wrap
from tests.harness.process import HERE, DaemonProcess, Speaker
from tests.harness.terminals import Terminal, environment
from tests.programs.corpus import by_script, sendable, texts

BATCH = 50
SECONDS = 30.0


class Corpus(unittest.TestCase):
    def test_all_scripts_arrive_byte_for_byte(self) -> None:
        corpus = [text for text in texts() if sendable(text)]
        self.assertGreater(len(by_script()), 150)
        self.assertGreater(max(len(text.encode()) for text in corpus), wire.TEXT_MAX - 4)
        with DaemonProcess() as daemon, daemon.client("bob") as bob, daemon.client("ann") as ann:
            for at in range(0, len(corpus), BATCH):
                batch = corpus[at:at + BATCH]
                ann.say(*(wire.Send(3 << 32 | at + n + 1, 0, ("bob",), text)
                          for n, text in enumerate(batch)))
                for text in batch:
                    mail = bob.hear(wire.Mail)
                    bob.say(wire.Confirm(mail.id, mail.id))
                    self.assertEqual(mail.text.encode(), text.encode())
            while ann.hear(wire.Delivered).last < 3 << 32 | len(corpus):
                pass

    def test_all_scripts_are_shown_by_the_client_and_disturb_nothing(self) -> None:
        """The screen reader raises on any sequence that is no painting; bar, menu and prompt stay
        where they are."""
        corpus = [text for text in texts() if sendable(text)]
        with DaemonProcess() as daemon, daemon.client("ann") as ann:
            command = [sys.executable, HERE + "/curses_client.py", "--connect",
                       "unix:" + daemon.path, "--name", "bob"]
            with Terminal(command, environment(XDG_STATE_HOME=daemon.directory), rows=24,
                          cols=80) as bob:
                bob.until("menu>", SECONDS)
                for at in range(0, len(corpus), BATCH):
                    batch = corpus[at:at + BATCH]
                    ann.say(*(wire.Send(3 << 32 | at + n + 1, 0, ("bob",), text)
                              for n, text in enumerate(batch)))
                    self.delivered(ann, bob, 3 << 32 | at + len(batch))
                ann.say(wire.Send(4 << 32 | 1, 0, ("bob",), "that was all"))
                bob.until("that was all", SECONDS)
                rows = bob.screen.text().split("\n")
                self.assertTrue(rows[20].startswith("= bob@"), rows[20])
                self.assertTrue(rows[21].startswith("1. List users 2. Send"), rows[21])
                self.assertEqual(rows[23], "menu>")
                self.assertIn("ann > you", bob.screen.text())

    def delivered(self, ann: Speaker, bob: Terminal, number: int) -> None:
        """Wait until bob has confirmed it, reading his terminal all the while: else his client
        would wait for us."""
        ann.sock.settimeout(0.02)
        shown, deadline = 0, time.monotonic() + SECONDS
        while shown < number:
            self.assertLess(time.monotonic(), deadline)
            bob.drain()
            with contextlib.suppress(TimeoutError):
                shown = ann.hear(wire.Delivered).last
        ann.sock.settimeout(SECONDS)

    def test_all_scripts_are_shown_within_their_columns(self) -> None:
        for text in texts():
            for row in wrap(display(text, multiline=True), 40, 60):
                self.assertLessEqual(width(row), 60)
                self.assertTrue(row.isprintable() or not row, ascii(row))


if __name__ == "__main__":
    unittest.main()
