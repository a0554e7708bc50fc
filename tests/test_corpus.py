"""Real text: a message in every script, up to the longest that may be sent, arrives byte for byte."""
import unittest

import wire
from display import display, width, wrap
from tests.corpus import by_script, sendable, texts
from tests.process import DaemonProcess

BATCH = 50


class Corpus(unittest.TestCase):
    def test_all_scripts_arrive_byte_for_byte(self) -> None:
        corpus = [text for text in texts() if sendable(text)]
        self.assertGreater(len(by_script()), 150)
        self.assertGreater(max(len(text.encode()) for text in corpus), wire.TEXT_MAX - 4)
        with DaemonProcess() as daemon, daemon.client("bob") as bob, daemon.client("ann") as ann:
            for at in range(0, len(corpus), BATCH):
                batch = corpus[at:at + BATCH]
                ann.say(*(wire.Send(3 << 32 | at + n + 1, 0, ("bob",), text) for n, text in enumerate(batch)))
                for text in batch:
                    mail = bob.hear(wire.Mail)
                    bob.say(wire.Confirm(mail.id, mail.id))
                    self.assertEqual(mail.text.encode(), text.encode())
            while ann.hear(wire.Delivered).last < 3 << 32 | len(corpus):
                pass

    def test_all_scripts_are_shown_within_their_columns(self) -> None:
        for text in texts():
            for row in wrap(display(text, multiline=True), 40, 60):
                self.assertLessEqual(width(row), 60)
                self.assertTrue(row.isprintable() or not row, ascii(row))


if __name__ == "__main__":
    unittest.main()
