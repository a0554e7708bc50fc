"""parleyd upgrade, with real programs: another release takes the place of a daemon under load."""
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

import wire
from server.handover import FORMAT
from terminal.usage import RELEASE
from tests.harness.process import FULL, HERE, DaemonProcess, effort, say_figures
from tests.harness.terminals import until

IDLE = effort(1000, 60)         # clients that wait for what comes
SENDERS = 4
UPGRADES, UPGRADES_MAX = effort(5, 2), 20
GAP = 0.25                      # seconds, at most: the shortest of the upgrades
NEXT = "9.9"                    # another release


class Tree:
    """The programs, in a place where they can be changed."""

    def __init__(self) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="parley-tree-"))
        for path in Path(HERE).iterdir():
            is_room = (path / "__init__.py").exists() and path.name != "terminal"
            if is_room or path.suffix == ".py":
                (self.place / path.name).symlink_to(path)
        shutil.copytree(Path(HERE) / "terminal", self.place / "terminal", symlinks=True)
        self.program = self.place / "daemon.py"

    def install(self, release: str) -> None:
        """Another release, over the one that runs; atomically, as packages do."""
        usage = self.place / "terminal/usage.py"
        text = usage.read_text().replace(f'RELEASE = "{self.release()}"', f'RELEASE = "{release}"')
        (self.place / "new").write_text(text)
        later = os.stat(usage).st_mtime + 10    # its compiled file goes by seconds and size
        os.utime(self.place / "new", (later, later))
        os.rename(self.place / "new", usage)

    def release(self) -> str:
        text = (self.place / "terminal/usage.py").read_text()
        return text.partition('RELEASE = "')[2].partition('"')[0]

    def become(self, text: str) -> None:
        """The program is this text."""
        self.program.unlink()
        self.program.write_text(text)

    def restore(self) -> None:
        self.program.unlink()
        self.program.symlink_to(Path(HERE) / "daemon.py")

    def close(self) -> None:
        shutil.rmtree(self.place)


class Load:
    """Senders that send as fast as they are answered, and readers that confirm: each message is
    counted."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self.people = [daemon.client(f"loud{n}") for n in range(SENDERS)]
        self.readers = [daemon.client(f"reads{n}", 0) for n in range(SENDERS)]
        self.sent, self.stored = [0] * SENDERS, [0] * SENDERS
        self.found: list[list[str]] = [[] for _ in range(SENDERS)]
        self.waits: list[float] = []
        self.ends = False
        self.faults: list[str] = []
        self.threads = [threading.Thread(target=self._guarded, args=(each, n))
                        for n in range(SENDERS) for each in (self._send, self._read)]
        for thread in self.threads:
            thread.start()

    def _guarded(self, work, number):
        try:
            work(number)
        except Exception as error:
            self.faults.append(f"{work.__name__} {number}: {error!r}")

    def _send(self, number):
        speaker, asked = self.people[number], 7 << 32
        text = ""
        while text != "end":
            self.sent[number] += 1
            began, text = time.monotonic(), "end" if self.ends else f"{self.sent[number]}"
            speaker.say(wire.Send(asked + self.sent[number], 0, (f"reads{number}",), text))
            stored = speaker.hear(wire.Stored)
            self.waits.append(time.monotonic() - began)
            self.stored[number] = stored.last - asked

    def _read(self, number):
        reader = self.readers[number]
        while self.found[number][-1:] != ["end"]:
            mail = reader.hear(wire.Mail)
            self.found[number].append(mail.text)
            reader.say(wire.Confirm(mail.id, mail.id))

    def end(self) -> None:
        self.ends = True
        for thread in self.threads:
            thread.join(60)
        for each in (*self.people, *self.readers):
            each.close()


class Upgrades(unittest.TestCase):
    def setUp(self) -> None:
        self.tree = Tree()
        self.addCleanup(self.tree.close)
        self.daemon = self.enterContext(DaemonProcess(
            program=(str(self.tree.program),), console="log", bare=True))
        self.pid = self.daemon.process.pid

    def upgrade(self) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, HERE + "/daemon.py", "upgrade", "--connect",
                               "unix:" + self.daemon.path], capture_output=True, text=True,
                              check=False)

    def milliseconds(self) -> list[int]:
        return [int(line.rpartition("milliseconds=")[2])
                for line in self.daemon.output().splitlines() if " upgraded " in line]

    def test_under_load(self) -> None:
        """0 disconnects, 0 lost, 0 twice, and nobody waits for long."""
        idle = [self.daemon.client(f"idle{n}", wire.Feature.ROSTER) for n in range(IDLE)]
        for each in idle:
            self.addCleanup(each.close)
        load = Load(self.daemon)
        self.addCleanup(load.end)
        release = RELEASE
        for number in range(UPGRADES_MAX):
            if number >= UPGRADES and (not FULL or min(self.milliseconds()) < GAP * 1000):
                break                           # other tests may take the processors for a while
            until(lambda number=number: min(map(len, load.found)) > 20 * (number + 1), 60,
                  "messages to come")
            following = f"{NEXT}.{number}"
            self.tree.install(following)
            done = self.upgrade()
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertRegex(done.stdout, f"^parley {release} is now {following}: "
                                          f"{IDLE + 2 * SENDERS:,} clients went on; nobody was ")
            release = following
            self.assertEqual(self.pid, int(self.daemon.process.pid))
        load.end()
        self.assertEqual(load.faults, [])
        for found, sent, stored in zip(load.found, load.sent, load.stored, strict=True):
            self.assertEqual(found, [*(str(n + 1) for n in range(sent - 1)), "end"])
            self.assertEqual(stored, sent)
        poll = select.poll()
        for each in idle:
            poll.register(each.sock, select.POLLRDHUP | select.POLLHUP)
        self.assertEqual(poll.poll(0), [])
        for each in idle:
            each.say(wire.Ping(5))
        for each in idle:
            self.assertEqual(each.hear(wire.Pong).stamp, 5)
        gaps = self.milliseconds()
        self.assertGreaterEqual(len(gaps), UPGRADES)
        say_figures(f"{IDLE} idle clients, {SENDERS} senders, {sum(load.sent)} messages, "
                    f"{len(gaps)} upgrades: nobody was served for {min(gaps)} to {max(gaps)} ms, "
                    f"the longest wait for a STORED {max(load.waits) * 1000:.0f} ms")
        if FULL:                                # a sample runs beside other tests
            self.assertLess(min(gaps) / 1000, GAP)

    def test_a_program_that_does_not_start(self) -> None:
        """The old one serves on, and says why in one line."""
        ann, bob = self.daemon.client("ann"), self.daemon.client("bob")
        hangs = "import time\nprint('here', flush=True)\ntime.sleep(99)\n"
        rows = [("def main(:\n", "SyntaxError"), ("import nothing_like_it\n", "nothing_like_it"),
                ("raise SystemExit(64)\n", "said nothing"),
                (f"import os, sys\nsys.path.insert(0, {HERE!r})\nimport server.handover\n"
                 f"server.handover.FORMAT = {FORMAT + 1}\nimport daemon\nsys.exit(daemon.main())\n",
                 f"format {FORMAT}, and this one takes {FORMAT + 1}")]
        for number, (text, reason) in enumerate([*rows, *effort([(hangs, "in time")], [])]):
            with self.subTest(text):
                self.tree.become(text)
                done = self.upgrade()
                self.assertEqual((done.returncode, done.stdout), (os.EX_UNAVAILABLE, ""))
                self.assertRegex(done.stderr, f"^parleyd: not upgraded: .*{reason}.*\n$")
                ann.say(wire.Send(7 << 32 | number + 1, 0, ("bob",), text[:9]))
                self.assertEqual(bob.hear(wire.Mail).text, text[:9])
        self.tree.restore()
        with open(self.daemon.store + "/bans", "w") as file:
            file.write("what is this\n")
        self.assertIn("not a ban", self.upgrade().stderr)
        os.unlink(self.daemon.store + "/bans")
        self.assertEqual(self.upgrade().returncode, 0)
        ann.say(wire.Ping(1))
        self.assertEqual(ann.hear(wire.Pong).stamp, 1)
        for each in (ann, bob):
            each.close()

    def test_signals_processes_and_places(self) -> None:
        """USR2 does it, too; what came meanwhile is not lost; nothing is left behind."""
        ann = self.daemon.client("ann")
        listing = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for number in (1, 2):
            os.kill(self.pid, signal.SIGUSR2)
            until(lambda number=number: len(self.milliseconds()) == number, 60, "an upgrade")
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        states = [Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
                  for child in children]
        self.assertEqual((len(states), "Z" in states), (3, False), states)
        environment = Path(f"/proc/{self.pid}/environ").read_bytes()
        self.assertIn(b"PARLEY_HANDOVER", environment)
        descriptors = {os.readlink(f"/proc/{self.pid}/fd/{fd}")
                       for fd in os.listdir(f"/proc/{self.pid}/fd")}
        self.assertFalse([each for each in descriptors if "memfd" in each or "pipe" in each])
        for sock in listing:
            sock.connect(self.daemon.path)
            sock.close()
        ann.say(wire.Ping(2))
        ann.hear(wire.Pong)
        before = os.stat(self.daemon.path).st_ino
        os.kill(self.pid, signal.SIGUSR2)
        until(lambda: len(self.milliseconds()) == 3, 60, "an upgrade")
        self.assertEqual(os.stat(self.daemon.path).st_ino, before)
        os.kill(self.pid, signal.SIGTERM)
        self.assertEqual(self.daemon.process.wait(60), 0)
        self.assertFalse(os.path.exists(self.daemon.path))
        ann.close()

    def test_killed_at_once_after_it(self) -> None:
        """What was acknowledged before is there."""
        ann = self.daemon.client("ann")
        ann.say(wire.Send(7 << 32 | 1, 0, ("ann",), "kept"), wire.Hold(1, 1),
                wire.Send(7 << 32 | 2, 0, ("ann",), "kept too"))
        ann.hear(wire.Stored)
        self.assertEqual(self.upgrade().returncode, 0)
        self.daemon.end()
        self.daemon.start()
        again = self.daemon.client("ann")
        self.assertEqual(again.welcome.waiting, 2)
        for each in (ann, again):
            each.close()


class Report(unittest.TestCase):
    def test_a_daemon_that_does_not_know_it(self) -> None:
        """One of a release before says so in one line."""
        with DaemonProcess(bare=True) as daemon:
            asking = socket.socket(socket.AF_UNIX)
            asking.connect(daemon.path)
            asking.sendall(wire.encode(wire.Operate(("upgraded",))))
            decoder, found = wire.Decoder(wire.FRAME_MAX), []
            while not found:
                found += decoder.feed(asking.recv(4096))
            self.assertIn("does not know the order", wire.decode(found[0], wire.DAEMON).text)
            asking.close()
