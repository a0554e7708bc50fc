"""A log of many names, and the real client: it comes in, and sees them."""
import re
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import wire
from mailbox import Mailbox
from tests.harness import lived_in
from tests.harness.process import FULL, HERE, DaemonProcess, say_figures
from tests.harness.terminals import Terminal, environment

SECONDS = 30.0
PATIENCE = 300.0            # for a million names, on a machine that does other things
MEMORY = 80 << 20           # bytes of a client where a million names are; 47 MB are measured
# seconds until a key is on the screen; 0.01 are measured where nothing else runs
ANSWERS = 5.0


def make_log(directory: Path, names: int) -> None:
    """A store with so many names that were here once."""
    mailbox = Mailbox(str(directory))
    for number in range(names):
        mailbox.register(f"person-{number}", 1_700_000_000_000_000 + number)
    mailbox.write()
    mailbox.close()


class ManyNames(unittest.TestCase):
    def who(self, names: int) -> str:
        """What `parley --who` prints where so many names are in the log."""
        with tempfile.TemporaryDirectory(prefix="parley-names-") as directory:
            store = Path(directory, "store")
            make_log(store, names)
            with DaemonProcess(store=str(store)) as daemon, daemon.client("bob"):
                done = subprocess.run([sys.executable, HERE + "/curses_client.py", "--connect",
                                       "unix:" + daemon.path, "--name", "ann", "--who"],
                                      env=environment(XDG_STATE_HOME=directory),
                                      capture_output=True, timeout=SECONDS, encoding="utf-8")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_who(self) -> None:
        """From a few, through as many as fill the first frame, to a log of many frames."""
        for names in (0, 40, 41, 60, 1000, 5000):
            with self.subTest(names=names):
                self.assertRegex(self.who(names), r"(?m)^bob +Available$")


@unittest.skipUnless(FULL, "a million names take a minute: `make test-all`")
class AMillion(unittest.TestCase):
    """As many names as there may be: a client comes in, in bounded time and memory, keeps the first
    ones, and stays quick."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory(prefix="parley-names-")
        self.addCleanup(directory.cleanup)
        lived_in.furnish(directory.name + "/store", wire.LOG_MAX - 2)
        self.daemon = DaemonProcess("--login-seconds", "60", store=directory.name + "/store")
        self.addCleanup(self.daemon.close)
        self.env = environment(XDG_STATE_HOME=directory.name)
        self.command = [sys.executable, HERE + "/curses_client.py", "--connect",
                        "unix:" + self.daemon.path, "--name"]

    def test_who_and_a_screen(self) -> None:
        with self.daemon.client("bob"):
            self.who()
            self.on_a_screen()

    def who(self) -> None:
        started = time.monotonic()
        done = subprocess.run([*self.command, "ann", "--who"], env=self.env, capture_output=True,
                              encoding="utf-8", timeout=PATIENCE)
        say_figures(f"--who among {wire.LOG_MAX} names: {time.monotonic() - started:.1f} s")
        self.assertEqual((done.returncode, done.stdout), (0, "bob      Available\n"), done.stderr)

    def on_a_screen(self) -> None:
        """A change of the log is no work that anybody feels; nor is a list of names, or a name that
        is completed."""
        with Terminal([*self.command, "ann"], self.env) as ann:
            ann.until("2 online", PATIENCE)
            # Each Enter waits for its answer: two lines in one read would be a paste
            # (terminal/keys.py).
            for text, shown in (("h", "menu> h"), ("\x15@v-10001", "@v-10001"),
                                ("\t", "to v-100014>"),
                                ("\x15", "\nmenu>"),
                                # one beyond those that are kept
                                ("@v-999990 hello?\r", "= hello?"),
                                ("2\r", "send>"), ("1\r", "to>"), ("walt99999", "no such name"),
                                ("\x15walt99998", "walt99998 ")):
                started = time.monotonic()
                ann.type(text)
                ann.until(shown, PATIENCE)
                with self.daemon.client("v-0"):
                    ann.until("= 3 online", PATIENCE)
                ann.until("= 2 online", PATIENCE)
                say_figures(f"{text!r} and two changes of the log: "
                            f"{time.monotonic() - started:.2f} s")
                self.assertLess(time.monotonic() - started, 2 * ANSWERS)
            status = Path(f"/proc/{ann.pid}/status").read_text()
            (peak,) = re.findall(r"VmHWM:\s*(\d+) kB", status)
        say_figures(f"the client had {int(peak) >> 10} MiB at most")
        self.assertLess(int(peak) << 10, MEMORY)


if __name__ == "__main__":
    unittest.main()
