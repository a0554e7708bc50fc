"""parley send --require and parley recv, by real programs, while daemons and windows come and
go."""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import wire
from tests.harness.process import HERE, DaemonProcess
from tests.harness.terminals import until


class Programs(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.daemon = cls.enterClassContext(     # bare: it is restarted
            DaemonProcess(bare=True, console="log"))
        cls.home = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="parley-required-"))
        for name in ("ann", "bob", "erin"):
            cls.daemon.client(name).close()

    def setUp(self) -> None:
        self.running: list[subprocess.Popen[bytes]] = []
        self.addCleanup(self.end_all)

    def end_all(self) -> None:
        for each in self.running:
            if each.poll() is None:
                each.kill()
            each.communicate()

    def begin(self, *words: str, name: str = "ann") -> subprocess.Popen[bytes]:
        program = subprocess.Popen(
            [sys.executable, HERE + "/curses_client.py", "--connect", "unix:" + self.daemon.path,
             "--name", name, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env={**os.environ, "XDG_STATE_HOME": self.home,
                                         "LC_ALL": "C.UTF-8", "TZ": "UTC"})
        self.running.append(program)
        return program

    def ends(self, program: subprocess.Popen[bytes], code: int = 0) -> str:
        """What it printed; what it complained of is in `said`."""
        out, err = program.communicate(timeout=60)
        self.said = err.decode()
        self.assertEqual(program.returncode, code, (out, self.said))
        return out.decode()

    def run_(self, *words: str, name: str = "ann", code: int = 0) -> str:
        return self.ends(self.begin(*words, name=name), code)

    def reads(self, name: str) -> list[wire.Mail]:
        """A user checks, confirms what waits, and leaves."""
        with self.daemon.client(name, wire.Feature.HOLD) as client:
            return client.check()

    def waits_for(self, name: str, number: int = 1) -> None:
        """Until so many messages wait for a user."""
        def waiting() -> int:
            with self.daemon.client(name, wire.Feature.HOLD) as client:
                return client.welcome.waiting
        until(lambda: waiting() == number)

    def tearDown(self) -> None:
        for name in ("ann", "bob", "erin"):
            self.reads(name)


class Require(Programs):
    def test_shown_at_once_and_later(self) -> None:
        with self.daemon.client("bob") as bob:
            sender = self.begin("send", "--require", "delivered", "bob,erin", "hi")
            mail = bob.hear(wire.Mail)
            bob.say(wire.Confirm(mail.id, mail.id))
            bob.hear(wire.Confirmed)
        self.reads("erin")
        self.assertIn("delivered to bob, erin", self.ends(sender))

    def test_not_shown(self) -> None:
        self.run_("send", "--require", "delivered", "-W", "1", "bob,erin", "hi", code=75)
        self.assertEqual(self.said, "parley: stored, but not known to be delivered to bob, erin "
                                    "within 1 s\n")
        began = time.monotonic()
        self.run_("send", "-q", "--require", "delivered", "--now", "-W", "60", "bob", "hi", code=75)
        self.assertLess(time.monotonic() - began, 30)
        self.assertIn("bob is not connected", self.said)
        self.run_("send", "--require", "delivered", "#ops", "hi", code=64)

    def test_the_daemon_was_away_when_it_was_read(self) -> None:
        """The receipt found nobody: the sender asks when it is back."""
        sender = self.begin("send", "-q", "--require", "delivered", "-W", "60", "bob", "hi")
        self.waits_for("bob")
        sender.send_signal(signal.SIGSTOP)
        self.daemon.end()
        self.daemon.start()
        self.reads("bob")
        sender.send_signal(signal.SIGCONT)
        self.assertEqual(self.ends(sender), "")

    def test_no_daemon_yet(self) -> None:
        self.daemon.end(signal.SIGTERM)
        try:
            self.run_("send", "--require", "stored", "--wait", "1", "bob", "hi", code=69)
            self.assertEqual(len(self.said.splitlines()), 1, self.said)
            senders = [self.begin("send", "-q", "-W", "60", "bob", "hi"),
                       self.begin("send", "-q", "--require", "stored", "-W", "60", "bob", "hi")]
        finally:
            self.daemon.start()
        for sender in senders:
            self.ends(sender)
        self.waits_for("bob", 2)


class Receive(Programs):
    def begins(self, *words: str) -> subprocess.Popen[bytes]:
        """A recv that has come in."""
        before = self.errands()
        program = self.begin("recv", *words)
        until(lambda: self.errands() > before)
        return program

    def errands(self) -> int:
        """How many have come in."""
        return len(re.findall(r"\berrand name=ann", self.daemon.output()))

    def test_without_a_window(self) -> None:
        """What waits, then what comes; it is confirmed."""
        self.run_("send", "-q", "ann", "waits", name="bob")
        receiver = self.begins("-n", "2", "-W", "60", "--format", "{text}")
        self.run_("send", "-q", "ann", "comes", name="bob")
        self.assertEqual(self.ends(receiver), "waits\ncomes\n")
        self.run_("check", "-q", code=1)

    def test_beside_a_window(self) -> None:
        """Both have it, and the window confirms it."""
        with self.daemon.client("ann") as window:
            receiver = self.begins("-W", "60", "--format", "{text}")
            self.run_("send", "-q", "ann", "for both", name="bob")
            self.assertEqual(window.hear(wire.Mail).text, "for both")
            self.assertEqual(self.ends(receiver), "for both\n")
        self.assertEqual([mail.text for mail in self.reads("ann")], ["for both"])

    def test_it_does_not_look_again_and_again(self) -> None:
        """While nothing comes it sleeps, and the daemon does nothing for it."""
        receiver = self.begins("-W", "60")

        def woken() -> str:
            with open(f"/proc/{receiver.pid}/status") as status:
                return re.findall("\nvoluntary_ctxt_switches:.*", status.read())[0]

        def sleeps() -> bool:
            before = woken()
            time.sleep(1.2)
            return woken() == before
        until(sleeps)

    def test_over_a_restart(self) -> None:
        receiver = self.begins("-n", "2", "-W", "60", "--format", "{text}")
        self.run_("send", "-q", "ann", "one", name="bob")
        self.daemon.end()
        self.daemon.start()
        self.run_("send", "-q", "ann", "two", name="bob")
        self.assertEqual(self.ends(receiver), "one\ntwo\n")

    def test_the_time_is_over(self) -> None:
        self.assertEqual(self.run_("recv", "-W", "1", code=1), "")


if __name__ == "__main__":
    unittest.main()
