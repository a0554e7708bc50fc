"""The log that one login may cause, and the counts of what was refused to whom."""
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from math import inf
from pathlib import Path

import wire
from rules.state import Caller
from server.console import Console
from server.gathering import BURST_SECONDS, GATHER_SECONDS, Gathering
from server.refusals import LOGINS_MAX, OTHERS, REASONS_MAX, SHOWN_MAX, Refusals
from tests.harness.process import HERE, DaemonProcess
from tests.harness.service import Service

WALL = 1_800_000_000_000_000
RATE = 100              # bytes a second


class Rates(unittest.TestCase):
    def setUp(self) -> None:
        self.gathering = Gathering(RATE)

    def write(self, login: str, lines: int, size: int, now: float) -> int:
        """How many of these lines were admitted."""
        admitted = 0
        for _ in range(lines):
            if self.gathering.admits(login, "message", now):
                self.gathering.wrote(login, size, now)
                admitted += 1
        return admitted

    def test_a_burst_then_the_rate(self) -> None:
        burst = RATE * BURST_SECONDS // 50
        self.assertEqual(self.write("ann", burst + 500, 50, 0.0), burst)
        self.assertEqual(self.write("bob", 10, 50, 0.0), 10)
        self.assertEqual(self.gathering.due(GATHER_SECONDS - 0.1), [])
        self.assertEqual(self.gathering.due(GATHER_SECONDS), [("ann", "message", 500)])
        self.assertEqual(self.gathering.until(), inf)
        written = sum(self.write("ann", 100, 50, now) for now in range(10, 3610))
        self.assertAlmostEqual(written * 50, RATE * 3610, delta=RATE * 2)

    def test_who_can_not_be_told_is_written(self) -> None:
        self.assertEqual(self.write("", 10_000, 50, 0.0), 10_000)

    def test_no_limit(self) -> None:
        self.gathering = Gathering(0)
        self.assertEqual(self.write("ann", 10_000, 50, 0.0), 10_000)

    def test_at_the_end_all_counts_are_due(self) -> None:
        self.write("ann", 1000, 5000, 0.0)
        self.write("bob", 1000, 5000, 3.0)
        self.assertEqual([login for login, _, _ in self.gathering.due(inf)], ["ann", "bob"])
        self.assertEqual(self.gathering.due(inf), [])


class Counts(unittest.TestCase):
    def test_by_login_event_and_reason(self) -> None:
        refusals = Refusals()
        for seconds in range(7, 10):
            refusals.count("ann", "closed", {"reason": f"wait {seconds} s"})
        refusals.count("bob", "mailbox-full", {"to": "ann"})
        self.assertEqual(refusals.rows(), [("ann", "closed", "wait N s", 3),
                                           ("bob", "mailbox-full", "", 1)])
        self.assertEqual(refusals.total, 4)

    def test_bounds(self) -> None:
        refusals = Refusals()
        for number in range(1000):
            refusals.count("ann", "closed", {"reason": "x" + chr(0x4e00 + number)})
        self.assertEqual(len(refusals._counts["ann"]), REASONS_MAX + 1)
        self.assertEqual(refusals.rows()[0], ("ann", "closed", OTHERS, 1000 - REASONS_MAX))
        for number in range(2 * LOGINS_MAX):
            refusals.count(f"10.0.{number}.1", "closed", {"reason": "x"})
        self.assertEqual(len(refusals._counts), LOGINS_MAX)
        self.assertEqual(len(refusals.rows()), SHOWN_MAX)
        self.assertEqual(refusals.total, 1000 + 2 * LOGINS_MAX)


class OnTheLog(unittest.TestCase):
    """What a flood of one login leaves in the log, for each kind of line that it can cause."""

    def setUp(self) -> None:
        self.directory = tempfile.TemporaryDirectory(prefix="parley-test-")
        self.addCleanup(self.directory.cleanup)
        self.path = Path(self.directory.name, "log")
        self.service = Service()
        self.addCleanup(self.service.__exit__)
        self.console = Console("none", -1, lambda: WALL, log=str(self.path), rate=RATE)
        self.addCleanup(lambda: os.close(self.console._file.outlet.fd))
        self.console.address_of = self.service.daemon.board.address_of
        self.service.notes.note = self.console.note     # type: ignore[method-assign]
        self.service.daemon.board.note = self.console.note
        for part in vars(self.service.daemon.board).values():
            if hasattr(part, "note"):
                part.note = self.console.note

    def lines(self) -> list[str]:
        self.console.draw(0.0, str, lambda _: ([], 0))
        return self.path.read_text().splitlines()

    def test_every_line_of_a_user_counts_for_its_login(self) -> None:
        """Two clients of one login do all that makes lines; another login's line is written."""
        ann, eve = (self.service.client(name, caller=Caller("unix:ann", 1001))
                    for name in ("ann", "eve"))
        bob = self.service.client("bob", caller=Caller("192.0.2.7:5"))
        flood = RATE * BURST_SECONDS // 30
        for number in range(flood):
            ann.say(wire.Invite(number, ("nobody",)))
        before = self.lines()
        self.assertLess(len(before), flood)
        self.service.forward(40)
        for number in range(8):
            ann.say(wire.Invite(number, ("eve",)))
            invitation = eve.hears_all(wire.Invitation)[-1].invitation
            eve.say(wire.Answer(invitation, 1))
            chat = eve.hears_all(wire.Started)[-1].chat
            ann.say(wire.Say(number, chat, "hello"), wire.Say(number, chat, "Quit"))
            eve.say(wire.Invite(number, ("bob",)))
            self.service.client("gus", caller=Caller("unix:ann", 1001)).sock.close()
            self.service.forward(6)
            ann.send("eve", "hi")
        ann.sock.close()
        eve.sock.close()
        self.service.run()
        self.assertEqual(self.lines()[len(before):], [])
        bob.say(wire.Invite(1, ("nobody",)))
        self.assertIn("not-invited name=bob", self.lines()[-1])
        so_far = len(self.lines())
        self.console._tell_gathered(inf)
        gathered = self.lines()[so_far:]
        self.assertIn("gathered login=unix:ann what=not-invited lines=", " ".join(gathered))
        self.assertEqual([line for line in gathered if " gathered login=unix:ann " not in line], [])


class Real(unittest.TestCase):
    def test_usr1_writes_what_was_refused(self) -> None:
        with DaemonProcess("--log-each", "1K", console="log", bare=True) as process:
            with process.client("ann") as ann:
                for number in range(1, 2001):
                    ann.say(wire.Invite(number, ("nobody",)))
                for _ in range(2000):
                    ann.hear(wire.Failed)
                process.process.send_signal(signal.SIGUSR1)
                row = "what=not-invited reason=\"no user named nobody is connected\" times=2000"
                end = time.monotonic() + 30
                while row not in process.output() and time.monotonic() < end:
                    time.sleep(0.01)
            process.end(signal.SIGTERM)
            lines = process.output().splitlines()
        self.assertTrue(any(row in line for line in lines), lines[-3:])
        gathered = [int(line.rpartition("=")[2]) for line in lines
                    if " gathered " in line and "what=not-invited" in line]
        written = sum(" not-invited " in line for line in lines)
        self.assertEqual(sum(gathered) + written, 2000)
        self.assertLess(written, 1000)

    @unittest.skipUnless(sys.platform == "linux", "needs prctl(2)")
    def test_the_memory_is_nobody_elses(self) -> None:
        """Mail of all users is in it: no core dump, and no look by the same login."""
        look = ("import ctypes; from server import startup; startup.hide_memory(); "
                "print(ctypes.CDLL(None).prctl(3))")            # PR_GET_DUMPABLE
        said = subprocess.run([sys.executable, "-c", look], cwd=HERE, capture_output=True)
        self.assertEqual((said.stdout, said.stderr), (b"0\n", b""))
        with DaemonProcess(bare=True) as process:
            limits = Path(f"/proc/{process.process.pid}/limits").read_text()
        self.assertRegex(limits, r"Max core file size +0 +0 ")


if __name__ == "__main__":
    unittest.main()
