"""parley send, check, recv and who, by real programs in a house where people live."""
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest

import wire
from tests.harness.process import HERE, DaemonProcess


class Shell(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.daemon = cls.enterClassContext(DaemonProcess())
        cls.home = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="parley-shell-"))
        for name in ("ann", "bob"):
            cls.daemon.client(name).close()

    def command(self, *words: str, name: str = "ann") -> list[str]:
        return [sys.executable, HERE + "/curses_client.py", "--connect", "unix:" + self.daemon.path,
                "--name", name, *words]

    def run_(self, *words: str, name: str = "ann", given: bytes = b"", code: int = 0) -> str:
        """What it prints on standard output; standard error is in `said`."""
        done = subprocess.run(self.command(*words, name=name), input=given, capture_output=True,
                              timeout=60, env={**os.environ, "XDG_STATE_HOME": self.home,
                                               "LC_ALL": "C.UTF-8", "TZ": "UTC"})
        self.said = done.stderr.decode()
        self.assertEqual(done.returncode, code, (words, done.stdout, self.said))
        return done.stdout.decode()

    def texts(self, name: str = "ann") -> list[str]:
        """What waits, taken out of the mailbox."""
        found = [json.loads(line) for line in self.run_("check", "--json", name=name).splitlines()]
        return [each["text"] for each in found]

    def tearDown(self) -> None:
        for name in ("ann", "bob"):
            with self.daemon.client(name, wire.Feature.HOLD) as client:
                client.say(wire.Check(1))
                client.hear(wire.Checked)
                client.say(wire.Confirm(1, (1 << 63) - 1))
                client.hear(wire.Confirmed)

    def test_words(self) -> None:
        self.assertEqual(self.run_("send", "ann", "hello", "you"),
                         "kept in your own mailbox until checked\n")
        self.assertEqual(self.run_("send", "-q", "ann", "quiet"), "")
        self.assertEqual(self.texts(), ["hello you", "quiet"])

    def test_what_is_wrong_is_said_of_the_word_that_was_typed(self) -> None:
        self.run_("send", "bob,", "erin", "hi", code=os.EX_USAGE)
        self.assertIn('parley: send: "bob," ends with a comma', self.said)

    def test_a_pipe(self) -> None:
        """Colours go, Latin-1 is read, and nothing of a long text is lost."""
        self.run_("send", "-q", "ann", given=b"\x1b[31merror\x1b[m\r\n 1%\r99%\n")
        self.run_("send", "-q", "ann", "-", given=b"caf\xe9\n")
        self.assertIn("read as Latin-1", self.said)
        lines = [f"line {number} " + "x" * 50 for number in range(900)]
        self.run_("send", "-q", "ann", given="\n".join(lines).encode())
        error, cafe, *parts = self.texts()
        self.assertEqual((error, cafe), ("error\n99%", "café"))
        self.assertEqual("\n".join(parts).split("\n"), lines)
        self.assertGreater(len(parts), 2)

    def test_the_beginning(self) -> None:
        self.run_("send", "-q", "--truncate", "ann", given=b"y" * (3 << 20))
        text, = self.texts()
        self.assertRegex(text, r"^y+\n\[cut here: \d+ bytes more\]$")
        self.run_("send", "ann", given=b"y" * (3 << 20), code=os.EX_DATAERR)
        self.assertIn("nothing was sent", self.said)
        self.run_("send", "ann", given=b"\x1b[m\n", code=os.EX_DATAERR)
        self.assertIn("no text", self.said)

    def test_now_or_never(self) -> None:
        self.run_("send", "--now", "bob", "are you there?", code=os.EX_TEMPFAIL)
        self.assertIn("bob", self.said)
        with self.daemon.client("bob") as bob:
            self.run_("send", "--now", "bob", "and now?")
            self.assertEqual(bob.hear(wire.Mail).text, "and now?")

    def test_exit_codes_of_check(self) -> None:
        self.assertEqual(self.run_("check", code=1), "No messages available\n")
        self.assertEqual(self.run_("check", "-q", code=1), "")
        self.assertEqual(self.run_("check", "-c", code=1), "0\n")
        self.run_("send", "-q", "ann", "one")
        self.assertEqual(self.run_("check", "-c"), "1\n")
        self.assertIn("one", self.run_("check", "--peek"))
        self.assertIn("one", self.run_("check"))
        self.run_("check", "-q", code=1)

    def test_format(self) -> None:
        self.run_("send", "-q", "ann", "one\ntwo")
        self.assertRegex(self.run_("check", "-p", "--format", r"{time:%Y} {from}>{to}: {text}\n--"),
                         r"^20\d\d ann>ann: one\ntwo\n--\n$")
        for bad in ("{sender}", "{from", "x}", "{text.__class__}"):
            self.run_("check", "--format", bad, code=os.EX_USAGE)
            self.assertIn("is no field: id, time, from, to, text", self.said)

    def test_nothing_foreign_reaches_the_terminal(self) -> None:
        with self.daemon.client("bob") as bob:
            bob.say(wire.Send(9 << 32 | 1, 0, ("ann",), "a\u202eb"))
            bob.hear(wire.Stored)
        for words in ((), ("--json",), ("--format", "{text}")):
            self.assertNotIn("\u202e", self.run_("check", "-p", *words))

    def test_waiting_for_one(self) -> None:
        """It ends when a message came, or when its time is over."""
        waiting = subprocess.Popen(self.command("recv", "-W", "60", "--format", "{text}"),
                                   stdout=subprocess.PIPE,
                                   env={**os.environ, "XDG_STATE_HOME": self.home})
        self.addCleanup(waiting.kill)
        self.run_("send", "-q", "ann", "at last")
        self.assertEqual(waiting.communicate(timeout=60)[0], b"at last\n")
        self.assertEqual(waiting.returncode, 0)
        began = time.monotonic()
        self.assertEqual(self.run_("recv", "-W", "1", code=1), "")
        self.assertGreater(time.monotonic() - began, 1)

    def test_beside_the_open_window(self) -> None:
        with self.daemon.client("ann") as window:
            self.run_("send", "-q", "bob", "from a script")
            self.run_("check", "-q", code=1)
            self.assertIn("ann", self.run_("who", name="bob"))
            window.say(wire.Ping(1))
            window.hear(wire.Pong)

    def test_who_is_away(self) -> None:
        """Who writes hears it, and who asks who is here."""
        with self.daemon.client("bob", wire.Feature.STATUS) as bob:
            bob.say(wire.SetStatus(1, "at lunch"))
            bob.hear(wire.Done)
            self.assertIn("bob is away: at lunch\n", self.run_("send", "bob", "hi"))
            self.assertEqual(self.run_("send", "-q", "bob", "hi"), "")
            self.assertRegex(self.run_("who"), "(?m)^bob .*; away: at lunch$")
            bob.say(wire.SetStatus(2, ""))
            bob.hear(wire.Done)

    def test_who(self) -> None:
        told = [json.loads(line) for line in self.run_("who", "--json").splitlines()]
        self.assertGreaterEqual(len(told), 200)
        self.assertEqual(set(told[0]), {"name", "status", "since", "me"})


if __name__ == "__main__":
    unittest.main()
