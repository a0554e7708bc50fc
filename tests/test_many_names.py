"""A log of many names, and the real client: it comes in, and sees them."""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from mailbox import Mailbox
from tests.process import HERE, DaemonProcess
from tests.terminals import environment

SECONDS = 30.0


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
                done = subprocess.run([sys.executable, HERE + "/curses_client.py", "--connect", "unix:" + daemon.path,
                                       "--name", "ann", "--who"], env=environment(XDG_STATE_HOME=directory),
                                      capture_output=True, timeout=SECONDS, encoding="utf-8")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_who(self) -> None:
        """From a few, through as many as fill the first frame, to a log of many frames."""
        for names in (0, 40, 41, 60, 1000, 5000):
            with self.subTest(names=names):
                self.assertRegex(self.who(names), r"(?m)^bob +Available$")
