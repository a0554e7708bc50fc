"""The line to the daemon, with real programs: a name server that is silent, and a daemon that is
away for a while."""
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import wire
from tests.harness.process import HERE
from tests.harness.shared_house import WithDaemon
from tests.harness.terminals import Terminal, environment, until
from wire import Outcome

SECONDS = 30.0
# What python3 imports at its start: a name server that never answers.
SILENT = """
import socket, time
of_numbers = socket.getaddrinfo
def getaddrinfo(*place, flags=0, **more):
    if flags & socket.AI_NUMERICHOST:
        return of_numbers(*place, flags=flags, **more)
    time.sleep(3600)
socket.getaddrinfo = getaddrinfo
"""


class SilentNameServer(unittest.TestCase):
    def setUp(self) -> None:
        place = tempfile.TemporaryDirectory(prefix="parley-line-")
        self.addCleanup(place.cleanup)
        with open(place.name + "/sitecustomize.py", "w") as site:
            site.write(SILENT)
        self.env = environment(XDG_STATE_HOME=place.name + "/state", PYTHONPATH=place.name)
        self.command = [sys.executable, HERE + "/curses_client.py", "--connect",
                        "lab.example:6464", "--name", "ann"]

    def children(self, pid: int) -> list[str]:
        with open(f"/proc/{pid}/task/{pid}/children") as children:
            return children.read().split()

    def test_keys_and_painting_go_on(self) -> None:
        with Terminal(self.command, self.env) as ann:
            ann.until("connecting", SECONDS)
            (child,) = self.children(ann.pid)
            ann.type("/help marks\r")
            ann.until("shown to all", SECONDS)
            ann.type("half")
            ann.until("half", SECONDS)
            self.assertEqual(self.children(ann.pid), [child])       # the same is being asked
            ann.press(b"\x03\x03\x03")
            self.assertEqual(ann.wait(SECONDS), 130)
            self.assertFalse(os.path.exists(f"/proc/{child}"))

    def test_lines_are_done_meanwhile(self) -> None:
        with Terminal([*self.command, "--plain"], self.env) as ann:
            until(lambda: self.children(ann.pid), SECONDS)
            ann.type("/help marks\r")
            ann.until("shown to all", SECONDS)
            ann.press(b"\x03")
            ann.until("Ctrl-C again leaves", SECONDS)
            ann.press(b"\x03")
            self.assertEqual(ann.wait(SECONDS), 130)

    def test_who_waits_for_the_output_waits_for_the_client_alone(self) -> None:
        """The child, which outlives a client that is killed, holds no pipe."""
        script = subprocess.Popen([*self.command, "--who"], env=self.env, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)
        with script:
            until(lambda: self.children(script.pid), SECONDS)
            (child,) = self.children(script.pid)
            until(lambda: len(os.listdir(f"/proc/{child}/fd")) == 4, SECONDS)
            script.kill()
            began = time.monotonic()
            self.assertEqual(script.communicate()[0], b"")
            self.assertLess(time.monotonic() - began, SECONDS)
            os.kill(int(child), 9)


class BackAgain(WithDaemon):
    """Somebody who was there all the time, while the daemon was not."""

    def setUp(self) -> None:
        super().setUp()
        self.env = environment(XDG_STATE_HOME=self.daemon.directory + "/state")
        self.command = [sys.executable, HERE + "/curses_client.py", "--name", "ann", "--connect",
                        "unix:" + self.daemon.path]
        self.send("old", Outcome.AWAY)

    def send(self, text: str, outcome: int) -> None:
        """Bob comes, writes this to ann, and goes."""
        with self.daemon.client("bob") as bob:
            self.ids += 1
            bob.say(wire.Send(self.ids, 0, ("ann",), text))
            bob.hear(wire.Stored)
            self.assertEqual(bob.hear(wire.Outcomes).outcome, outcome)

    def cut(self, ann: Terminal) -> None:
        """The daemon restarts and takes a message, before ann's client can know of it."""
        ann.signal(signal.SIGSTOP)
        try:
            self.daemon.end()
            self.daemon.start()
            self.send("meanwhile", Outcome.AWAY)
        finally:
            ann.signal(signal.SIGCONT)

    def test_on_the_screen(self) -> None:
        with Terminal(self.command, self.env) as ann:
            ann.until("1 waiting", SECONDS)
            self.cut(ann)
            for text in "connected again", "1 message waiting", "meanwhile", "= 1 waiting":
                ann.until(text, SECONDS)
            ann.type("/check\r")
            ann.until("1 message: no more are waiting", SECONDS)
            self.assertEqual(ann.screen.text().count("meanwhile"), 1)
            ann.type("/hold on\r")
            ann.until("new messages wait", SECONDS)
            self.cut(ann)
            ann.until("holding, 1 waiting", SECONDS)
            ann.type("/check\r")
            ann.until(lambda screen: screen.text().count("meanwhile") == 2, SECONDS)

    def test_in_lines(self) -> None:
        with Terminal([*self.command, "--plain"], self.env) as ann:
            ann.until("1 message waiting", SECONDS)
            self.cut(ann)
            for text in "connected again", "bob > you: meanwhile":
                ann.until(text, SECONDS)
            ann.type("/check\r")
            ann.until("1 message: no more are waiting", SECONDS)
            self.assertIn("bob > you: old", ann.screen.text())


class Offline(unittest.TestCase):
    def test_the_seconds_count_down(self) -> None:
        command = [sys.executable, HERE + "/curses_client.py", "--connect", "unix:/nowhere/sock",
                   "--name", "ann", "--no-archive"]
        with Terminal(command) as ann:
            for seconds in 3, 2, 1:
                ann.until(f"retry in {seconds} s", SECONDS)


if __name__ == "__main__":
    unittest.main()
