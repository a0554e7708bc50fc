"""Each target of fuzz.py for a moment, with seeded chance; that the targets bite; and what was
found once."""
import socket
import time
import unittest
from unittest import mock

import wire
from tests.harness.process import effort
from tests.torture import fuzz

SEED = 20261121
# A fault that was put in is found after so many.
BITE = {"decoder": 800, "daemon": 16, "journal": 100, "keys": 240, "display": 600, "link": 120}
LEAST = {name: times // effort(4, 16) for name, times in BITE.items()}


class Targets(unittest.TestCase):
    def test_each_for_a_moment(self):
        self.assertEqual(set(LEAST), set(fuzz.TARGETS))
        for name, target in fuzz.TARGETS.items():
            with self.subTest(name):
                began = time.thread_time()
                self.assertGreaterEqual(fuzz.by_chance(target, 0.0, SEED, LEAST[name]), LEAST[name])
                self.assertLess(time.thread_time() - began, 60)

    def test_the_same_bytes_the_same_choices(self):
        for side in (wire.CLIENT, wire.DAEMON):
            frames = [fuzz.a_frame(fuzz.Source(bytes(range(7, 250))), side) for _ in range(2)]
            self.assertEqual(*frames)


class TheyBite(unittest.TestCase):
    """With a fault put in, each target finds it."""

    def found(self, name, *patches):
        with self.assertRaises(fuzz.Finding):
            for patch in patches:
                self.enterContext(patch)
            fuzz.by_chance(fuzz.TARGETS[name], 0.0, SEED, BITE[name])

    def test_decoder(self):
        self.found("decoder", mock.patch.object(wire.Decoder, "feed",
                                                lambda self, data: iter([data] if data else [])))

    def test_daemon(self):
        def fails(self, client, said, now):
            raise KeyError(said)
        self.found("daemon", mock.patch("rules.invitations.Invitations.on_answer", fails))

    def test_journal(self):
        self.found("journal", mock.patch("store.journal.crc32", lambda *_: 0))

    def test_keys(self):
        self.found("keys", mock.patch("terminal.keys.Keys.feed",
                                      lambda self, data: [data.decode("latin-1")]))

    def test_display(self):
        self.found("display", mock.patch("tests.torture.fuzz.display",
                                         lambda text, multiline=False: text))

    def test_link(self):
        def slow(self, said):
            until = time.thread_time() + 0.06
            while time.thread_time() < until:
                pass
            return True
        self.found("link", mock.patch.dict("client.link.HANDLERS", {wire.Waiting: slow}))


class Sockets(unittest.TestCase):
    def test_none_is_left_open(self):
        """A run of the link's target closes what it opened."""
        before = socket.socketpair()
        number = before[0].fileno()
        for sock in before:
            sock.close()
        fuzz.link(bytes(range(200)))
        after = socket.socketpair()
        self.assertEqual(after[0].fileno(), number)
        for sock in after:
            sock.close()


if __name__ == "__main__":
    unittest.main()
