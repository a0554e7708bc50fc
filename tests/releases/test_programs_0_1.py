"""The whole programs of release 0.1 beside those of today, over real sockets: its client with
today's daemon, today's client with its daemon, and its daemon on a store that today's has
written."""
import contextlib
import json
import lzma
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from tests.harness.process import FULL, HERE, START_SECONDS, DaemonProcess, reserved_port
from tests.harness.terminals import Terminal, environment
from tests.releases import make_0_1
from tests.releases.make_0_1 import HERE as FIXTURES
from tests.releases.make_0_1 import NAMES, PASSPHRASE, unpack

SECONDS = 20
TODAY = Path(HERE)


class OldDaemon(DaemonProcess):
    """The daemon of 0.1."""

    def __init__(self, *options, **more):
        self.options = options
        super().__init__(*options, **more)

    def launch(self):
        assert Programs.old is not None
        self.command = [sys.executable, str(Programs.old / "daemon.py"), "--state", self.store,
                        "--console", "none", "--all-seconds", "none", "--new-names", "none",
                        *self.options, "--listen", "unix:" + self.path]
        super().launch()


class Lines:
    """A client that reads lines, and prints them: --plain, its standard input a pipe."""

    def __init__(self, command, env):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, env=env)
        self.text = ""

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def hears(self, pattern):
        """Wait for this; what comes before it is passed over."""
        end = time.monotonic() + SECONDS
        while not (found := re.search(pattern, self.text)):
            if not select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"not heard: {pattern}; but {self.text}")
            data = os.read(self.process.stdout.fileno(), 1 << 16)
            if not data:
                raise AssertionError(f"ended before {pattern}: {self.text}")
            self.text += data.decode()
        self.text = self.text[found.end():]

    def close(self):
        """The end of its input; the exit status."""
        with self.process:
            self.process.stdin.close()
            return self.process.wait(SECONDS)

    def kill(self):
        self.process.kill()
        with self.process:
            pass


@unittest.skipUnless(FULL, "whole programs of 0.1 take seconds: `make test-all`")
class Programs(unittest.TestCase):
    """`self.old`: the tree of 0.1."""
    old: Path | None = None

    @classmethod
    def setUpClass(cls):
        place = tempfile.TemporaryDirectory(prefix="parley-0.1-")
        cls.addClassCleanup(place.cleanup)
        Programs.old = Path(place.name)
        unpack(lzma.decompress((FIXTURES / "program.tar.xz").read_bytes()), Programs.old)

    def house(self, kind):
        """A daemon, and the names that the scenes need."""
        self.daemon = kind(bare=True)
        self.addCleanup(self.daemon.close)
        self.env = environment(XDG_STATE_HOME=self.daemon.directory + "/state", TZ="UTC")
        for name in ("ann", "bob", "cyd"):
            self.daemon.client(name, 0).close()

    def command(self, tree, *options):
        return [sys.executable, str(tree / "curses_client.py"), "--connect",
                "unix:" + self.daemon.path, *options]

    def parley(self, tree, *options):
        """Exit code and output of a command."""
        done = subprocess.run(self.command(tree, *options), capture_output=True, env=self.env,
                              text=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout + done.stderr

    def person(self, tree, name):
        client = Lines(self.command(tree, "--plain", "--name", name), self.env)
        self.addCleanup(client.kill)
        client.hears(f"connected to .* as {name}")
        return client


class InTheShell(Programs):
    """What a shell asks of a daemon of 0.1: it is done, or one line says why not."""

    def setUp(self):
        self.house(OldDaemon)

    def reads_in_the_end(self, name):
        """A user who checks until there is something."""
        end = time.monotonic() + SECONDS
        while "No messages" in self.parley(self.old, "--name", name, "--check")[1]:
            self.assertLess(time.monotonic(), end)

    def test_send_that_requires(self):
        self.assertEqual(self.parley(TODAY, "--name", "ann", "send", "-q", "--require", "stored",
                                     "bob", "hi"), (0, ""))
        self.reads_in_the_end("bob")
        code, told = self.parley(TODAY, "--name", "ann", "send", "-q", "--require", "delivered",
                                 "-W", "1", "bob", "hi")
        self.assertEqual((code, told.count("\n")), (75, 1), told)
        self.assertIn("not known to be delivered to bob", told)
        self.reads_in_the_end("bob")
        sender = subprocess.Popen(self.command(TODAY, "--name", "ann", "send", "-q", "--require",
                                               "delivered", "-W", "60", "bob", "and now?"),
                                  env=self.env)
        self.reads_in_the_end("bob")
        self.assertEqual(sender.wait(SECONDS), 0)

    def test_recv(self):
        """It is the session there, and says so."""
        self.parley(self.old, "--name", "bob", "--send", "ann", "hello")
        code, told = self.parley(TODAY, "--name", "ann", "recv", "-W", "60", "--format", "{text}")
        self.assertEqual((code, told.count("\n")), (0, 2), told)
        self.assertIn("takes recv for your session", told)
        self.assertIn("hello", told)

    def test_rooms_and_names(self):
        for words, code, told in ((("join", "ops"), 67, "this daemon has no rooms"),
                                  (("who", "ops"), 64, "this daemon can't do that"),
                                  (("names", "-q", "#"), 0, ""), (("names", "bo"), 0, "bob")):
            with self.subTest(words):
                found, said = self.parley(TODAY, "--name", "ann", "--plain", *words)
                self.assertEqual((found, said), (code, said))
                self.assertIn(told, said)
                self.assertLessEqual(said.count("\n"), 1)


class Clients(Programs):
    """Each scene with a client of 0.1 at a daemon of today, and the reverse."""

    def mixed(self, scene):
        """The scene, with the trees of two clients."""
        for kind, tree, other in ((DaemonProcess, self.old, TODAY), (OldDaemon, TODAY, self.old)):
            with self.subTest(kind.__name__):
                self.house(kind)
                scene(tree, other)
                self.daemon.close()

    def test_send_and_check(self):
        self.mixed(self.send_and_check)

    def send_and_check(self, tree, other):
        code, told = self.parley(tree, "--name", "ann", "--send", "bob", "from", "afar")
        self.assertEqual(code, 0, told)
        code, told = self.parley(other, "--name", "bob", "--send", "ann", "and back")
        self.assertEqual(code, 0, told)
        for name, reader, text in (("bob", other, "from afar"), ("ann", tree, "and back")):
            code, told = self.parley(reader, "--name", name, "--check")
            self.assertEqual((code, told.count(text)), (0, 1), told)
            code, told = self.parley(reader, "--name", name, "--check")
            self.assertEqual((code, told.count(text)), (0, 0), told)
        code, told = self.parley(tree, "--name", "ann", "--send", "nobody.here", "x")
        self.assertEqual((code, told.count("\n")), (67, 1), told)

    def test_who(self):
        self.mixed(self.who)

    def who(self, tree, other):
        self.person(other, "bob")
        code, told = self.parley(tree, "--name", "ann", "--who")
        self.assertEqual(code, 0, told)
        self.assertIn("bob", told)

    def test_messages_a_chat_and_a_group(self):
        self.mixed(self.messages_a_chat_and_a_group)

    def messages_a_chat_and_a_group(self, tree, other):
        ann, bob, cyd = (self.person(which, name) for which, name in (
            (tree, "ann"), (other, "bob"), (tree, "cyd")))
        ann.say("@bob hello there")
        bob.hears("ann > you: hello there")
        bob.say("@ann,cyd to both")
        ann.hears("bob > you.*to both")
        cyd.hears("bob > you.*to both")
        ann.say("/chat bob")
        bob.hears("ann invites you")
        bob.say("/accept")
        ann.hears("(?i)chat.*bob|bob.*chat")
        ann.say("a line of the chat")
        bob.hears("a line of the chat")
        bob.say("one back")
        ann.hears("one back")
        bob.say("Quit")
        ann.hears("(?i)ended|over|left")
        ann.say("/group bob,cyd")
        bob.hears("ann invites you")
        bob.say("/accept")
        cyd.hears("ann invites you")
        cyd.say("/accept")
        cyd.hears("(?i)chat")
        ann.hears("(?i)chat.*cyd")
        ann.say("a line for the group")
        bob.hears("a line for the group")
        cyd.hears("a line for the group")
        ann.say("Quit")
        for client in (ann, bob, cyd):
            self.assertEqual(client.close(), 0)

    def test_each_request_of_0_1(self):
        """By its own link.py, with a proof over TCP; it asserts what it is answered."""
        with tempfile.TemporaryDirectory() as place:
            done = subprocess.run(
                [sys.executable, make_0_1.__file__, "record", "conversation", str(self.old), place,
                 "", HERE + "/daemon.py"], capture_output=True, text=True, timeout=4 * SECONDS,
                env=environment(HOME=place, PYTHONPATH=str(self.old)))
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertGreater(len(json.loads(Path(place, "conversation.json").read_text())), 150)

    def test_a_name_that_was_claimed_then(self):
        """Its owner proves that over TCP, and gets the mail of then."""
        for kind, tree in ((DaemonProcess, self.old), (OldDaemon, TODAY)):
            with self.subTest(kind.__name__), tempfile.TemporaryDirectory() as place:
                unpack(lzma.decompress((FIXTURES / "store-dumb.tar.xz").read_bytes()), Path(place))
                texts = [row[-1] for row in json.loads(
                    Path(place, "expected.json").read_text())["waiting"]["eve"]]
                where = f"127.0.0.1:{reserved_port()}"
                command = [sys.executable, str(tree / "curses_client.py"), "--connect", where,
                           "--plain", "--name", "eve"]
                env = environment(XDG_STATE_HOME=place + "/state")
                with kind("--listen", where, store=place + "/store"), \
                        Terminal(command, env=env, rows=40) as terminal:
                    terminal.until("passphrase of eve>")
                    terminal.press(b"not it\r")
                    terminal.until("not the passphrase")
                    terminal.press(PASSPHRASE.encode() + b"\r")
                    terminal.until("connected to")
                    terminal.press(b"/check\r")
                    for text in texts:
                        terminal.until(text)
                    self.assertNotIn("horse", terminal.screen.text())
                    terminal.press(b"/exit\r")
                    self.assertEqual(terminal.wait(), 0)

    def test_a_room(self):
        """A client of 0.1 gets a line as a message; a daemon of 0.1 has none, in one clear line."""
        self.house(OldDaemon)
        ann = self.person(TODAY, "ann")
        ann.say("/join #ops")
        ann.hears("daemon.*rooms|rooms.*daemon")
        ann.say("@bob all the same")
        ann.hears("bob is not connected: kept")
        self.daemon.close()
        self.house(DaemonProcess)
        ann, bob = self.person(TODAY, "ann"), self.person(TODAY, "bob")
        for client in (ann, bob):
            client.say("/join #ops")
            client.hears("#ops")
        self.assertEqual(bob.close(), 0)
        bob = self.person(self.old, "bob")
        bob.say("/check")
        bob.hears("(?i)no messages")
        ann.say("@#ops who is here")
        bob.hears(r"ann > .*\[#ops\] who is here")


class Stores(Programs):
    def test_0_1_refuses_what_today_has_written(self):
        """With one line that says what it does not know; and it changes nothing."""
        self.house(DaemonProcess)
        self.parley(TODAY, "--name", "ann", "--send", "bob", "kept")
        self.assertEqual(self.daemon.end(signal.SIGTERM), 0)
        names = {path.name: path.read_bytes() for path in Path(self.daemon.store).iterdir()
                 if path.name != "lock"}
        done = subprocess.run([sys.executable, str(self.old / "daemon.py"), "--state",
                               self.daemon.store, "--listen", "unix:" + self.daemon.path],
                              capture_output=True, text=True, timeout=START_SECONDS)
        self.assertEqual((done.returncode, done.stderr.count("\n")), (os.EX_DATAERR, 1),
                         done.stderr)
        self.assertRegex(done.stderr, "segment.*version 3")
        self.assertEqual(names, {path.name: path.read_bytes()
                                 for path in Path(self.daemon.store).iterdir()
                                 if path.name != "lock"})
        self.daemon.start()
        self.assertIn("kept", self.parley(TODAY, "--name", "bob", "--check")[1])

    def test_backup_and_check_of_a_store_of_0_1(self):
        with tempfile.TemporaryDirectory() as place:
            unpack(lzma.decompress((FIXTURES / "store-dumb.tar.xz").read_bytes()), Path(place))
            expected = json.loads(Path(place, "expected.json").read_text())
            with contextlib.closing(DaemonProcess(store=place + "/store")) as self.daemon:
                self.env = environment(XDG_STATE_HOME=place + "/state", TZ="UTC")
                control = [sys.executable, HERE + "/daemon.py"]
                there = ["--connect", "unix:" + self.daemon.path]
                told = subprocess.run([*control, "backup", *there, place + "/copy"],
                                      capture_output=True, text=True, timeout=SECONDS)
                self.assertIn("the copy is whole", told.stdout, told.stderr)
                for name in NAMES:
                    code, told = self.parley(TODAY, "check", "--name", name)
                    texts = [row[-1] for row in expected["waiting"][name]]
                    self.assertEqual(code, 0 if texts else 1, told)
                    for text in texts:
                        self.assertIn(text.split("\n")[0], told)
                self.assertNotIn(PASSPHRASE, told)
            done = subprocess.run([sys.executable, HERE + "/daemon.py", "--check-store", "--state",
                                   place + "/copy"], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            waiting = sum(map(len, expected["waiting"].values()))
            self.assertIn(f"{waiting} messages waiting", done.stdout)


if __name__ == "__main__":
    unittest.main()
