"""One daemon for the tests of a class, in the house where people live: to start one and to let 200
come in takes more of a processor than most tests do.

Each test finds it as the first one did: it runs, PEOPLE are in the log and not connected, no mail
waits for them, and their archives are those of a year.  What a test did with other names stays.
"""
import itertools
import shutil
import unittest

import wire
from tests.harness.lived_in import PEOPLE, keep_a_year
from tests.harness.process import DaemonProcess

INSTANCES = itertools.count(1)


class WithDaemon(unittest.TestCase):
    """`self.daemon`, and `self.ids`, above which no id was ever sent there.

    With `bare`, each test has an empty house of its own."""
    bare = False
    daemon: DaemonProcess

    @classmethod
    def setUpClass(cls) -> None:
        if not cls.bare:
            cls.daemon = DaemonProcess()
            cls.addClassCleanup(cls.daemon.close)

    def setUp(self) -> None:
        self.ids = next(INSTANCES) << 32
        if self.bare:
            self.daemon = DaemonProcess(bare=True)
            self.addCleanup(self.daemon.close)
            return
        assert self.daemon.process
        if self.daemon.process.poll() is not None:
            self.daemon.start()
        for name in PEOPLE:
            self._read_all(name)
        state = self.daemon.directory + "/state"
        shutil.rmtree(state)
        keep_a_year(state, self.daemon.store, *PEOPLE)

    def _read_all(self, name: str) -> None:
        with self.daemon.client(name) as reader:
            if not reader.welcome.waiting:
                return
            reader.say(wire.Check(1))
            last = 0
            for said in reader.messages():
                if isinstance(said, wire.Mail):
                    last = said.id
                    reader.say(wire.Confirm(last, last))
                if isinstance(said, wire.Checked):
                    break
            while reader.hear(wire.Confirmed).last < last:
                pass
