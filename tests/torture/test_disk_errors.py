"""A disk that fails, is full, lies, or is slow, under the real daemon.

The first three by strace, at one call after the other (disk_errors.py; the whole of it is `make
torture`).  The full disk once more in earnest: a tmpfs without a byte left, and a person at a
terminal.  And the slow one: nothing that is promised leaves before the sync that makes it true has
returned.
"""
import os
import subprocess
import sys
import tempfile
import time
import unittest
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import wire
from tests.harness.process import HERE, DaemonProcess, Speaker, say_figures
from tests.harness.terminals import Terminal, environment, needs
from tests.torture.disk_errors import (
    AGAIN_SECONDS,
    REFUSAL_SECONDS,
    SYNCS,
    Result,
    fail_sync,
    fill,
    lie,
    writes,
)
from tests.torture.strace import Call, calls, inject, under

# Every so many of the writes, and of the syncs; all of them: `make torture`.
SAMPLE, EVERY = 32, 8
SIZE = 10_000               # bytes of a message that fills it
TMPFS = 2 << 20             # bytes
ORIGIN = 3 << 32
SLOW = 0.5                  # seconds an fdatasync
MEANWHILE = 0.1             # for the answer to a PING while one is under way
SCREEN_SECONDS = 20
PROMISED = {wire.Hello: wire.Welcome, wire.Send: wire.Stored, wire.Confirm: wire.Confirmed}


def all_of(one: Any, *arguments: Any) -> list[Result]:
    with ProcessPoolExecutor(2) as pool:
        return list(pool.map(one, *arguments))


@needs("strace")
class NoDirectories(unittest.TestCase):
    """A file system that can't sync a directory, as CIFS."""

    def test_the_daemon_does_not_start_there(self) -> None:
        with tempfile.TemporaryDirectory() as home:
            log = home + "/log"
            daemon = DaemonProcess(store=home + "/store", wait=False,
                                   under=("strace", "-f", "-o", log, "-P", home, "-P",
                                          home + "/store", "-e", "inject=fsync:error=EINVAL"))
            self.addCleanup(daemon.close)
            assert daemon.process
            self.assertEqual(daemon.process.wait(SCREEN_SECONDS), os.EX_CANTCREAT)
            line, = daemon.output().splitlines()
            self.assertIn("can't sync a directory", line)
            self.assertIn("--state", line)
            self.assertNotIn("manifest", os.listdir(home + "/store"))


@needs("strace")
class ByStrace(unittest.TestCase):
    def agrees(self, what: str, results: list[Result], least: int) -> None:
        reached = sum(bool(result.reached) for result in results)
        say_figures(f"{what}: {reached} times")
        self.assertEqual([fault for result in results for fault in result.faults], [])
        self.assertGreaterEqual(reached, least)

    def test_a_sync_that_fails(self) -> None:
        self.agrees("a failed fdatasync", all_of(fail_sync, range(1, SYNCS + 1, EVERY)),
                    SYNCS // EVERY)

    def test_a_write_that_finds_no_room_or_lies(self) -> None:
        some = writes()[::SAMPLE]
        self.agrees("no room", all_of(fill, *zip(*some, strict=True)), len(some) * 3 // 4)
        lies = [number for name, number in some if name == "pwrite64"]
        self.agrees("a lying write", all_of(lie, lies), len(lies) * 3 // 4)


class Full(unittest.TestCase):
    """A tmpfs; a ballast takes and gives the room."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory(prefix="parley-full-")
        self.addCleanup(directory.cleanup)
        self.root = directory.name
        mount = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS},mode=700", "parley", self.root]
        if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
            self.skipTest("needs root, and leave to mount a tmpfs")
        self.addCleanup(subprocess.run, ["umount", self.root], check=True)
        self.daemon = DaemonProcess("--login-bytes", "none", store=self.root + "/store")
        self.addCleanup(self.daemon.close)
        self.origin = ORIGIN

    def take_all_room(self) -> None:
        with open(self.root + "/ballast", "ab", buffering=0) as ballast, self.assertRaises(OSError):
            while True:
                ballast.write(bytes(4096))

    def give_room_back(self) -> None:
        os.unlink(self.root + "/ballast")

    def send(self, ann: Speaker, text: str) -> Any:
        """The answer: STORED or REFUSED."""
        self.origin += 1
        ann.say(wire.Send(self.origin, 0, ("bob",), text))
        return next(said for said in ann.messages() if isinstance(said, wire.Stored | wire.Refused))

    def person(self, name: str) -> Terminal:
        terminal = Terminal([sys.executable, HERE + "/curses_client.py", "--connect",
                             "unix:" + self.daemon.path, "--name", name],
                            environment(XDG_STATE_HOME=self.daemon.directory + "/state"))
        self.addCleanup(terminal.close)
        terminal.until("menu>", SCREEN_SECONDS)
        return terminal

    def test_a_full_disk(self) -> None:
        assert self.daemon.process is not None
        self.daemon.client("bob").close()
        carol = self.person("carol")
        with self.daemon.client("ann") as ann:
            kept = self.fill_up(ann)
            carol.type("@bob is there room?\r")
            carol.until("No space left on device", SCREEN_SECONDS)
            self.reads_and_deletes_everything(kept)
            self.assertIsInstance(self.send(ann, "still no room"), wire.Refused)
            self.give_room_back()
            freed = time.monotonic()
            while not isinstance(self.send(ann, "again"), wire.Stored):
                self.assertLess(time.monotonic() - freed, AGAIN_SECONDS)
                time.sleep(0.01)
            say_figures(f"a full tmpfs: taken again {time.monotonic() - freed:.3f} s after there "
                        "was room")
            self.assertLess(time.monotonic() - freed, AGAIN_SECONDS)
        carol.type("@bob now?\r")
        carol.until(lambda screen: any("=" in row and "now?" in row
                                       for row in screen.text().split("\n")),
                    SCREEN_SECONDS)
        self.assertIsNone(self.daemon.process.poll())
        self.daemon.end()
        self.daemon.start()
        with self.daemon.client("bob") as bob:
            bob.say(wire.Check(1))
            self.assertEqual([bob.hear(wire.Mail).text for _ in range(2)], ["again", "now?"])
            self.assertEqual(bob.hear(wire.Checked).total, 2)

    def fill_up(self, ann: Speaker) -> int:
        """Send until it is refused, at once and with a reason; how many were taken."""
        self.take_all_room()
        kept, refused = 0, None
        while refused is None:
            started = time.monotonic()
            answer = self.send(ann, f"{kept}".ljust(SIZE))
            if isinstance(answer, wire.Refused):
                refused = time.monotonic() - started
                self.assertEqual((answer.why, answer.reason),
                                 (wire.Why.FULL, "No space left on device"))
            kept += refused is None
        say_figures(f"a full tmpfs: {kept} messages taken, the next refused after "
                    f"{refused * 1000:.1f} ms")
        self.assertLess(refused, REFUSAL_SECONDS)
        self.assertGreater(kept, 1)
        return kept

    def reads_and_deletes_everything(self, kept: int) -> None:
        with self.daemon.client("bob") as bob:
            bob.say(wire.Check(1))
            mails = []
            for said in bob.messages():
                if isinstance(said, wire.Checked):
                    break
                if isinstance(said, wire.Mail):
                    mails.append(said)
                    # the window is smaller than what waits
                    bob.say(wire.Confirm(said.id, said.id))
            self.assertEqual([mail.text for mail in mails],
                             [f"{number}".ljust(SIZE) for number in range(kept)])
            bob.say(wire.Check(2))
            while bob.hear(wire.Checked).request != 2:
                pass
        with self.daemon.client("bob") as bob:
            self.assertEqual(bob.welcome.waiting, 0)


@needs("strace")
class Slow(unittest.TestCase):
    """Each fdatasync takes half a second."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory(prefix="parley-slow-")
        self.addCleanup(directory.cleanup)
        self.log = directory.name + "/calls"
        slow = inject("fdatasync", "1+", f"delay_enter={int(SLOW * 1e6)}")
        trace = "pwrite64", "fdatasync", "recvfrom", "sendto"
        self.daemon = DaemonProcess(under=under(self.log, slow, trace=trace),
                                    bare=True)      # each call is counted
        self.addCleanup(self.daemon.close)

    def test_no_promise_leaves_before_its_sync(self) -> None:
        texts = [f"message {number}" for number in range(4)]
        with self.daemon.client("bob") as bob, self.daemon.client("ann") as ann:
            for number, text in enumerate(texts):
                ann.say(wire.Send(ORIGIN + number, 0, ("bob",), text))
                mail = bob.hear(wire.Mail)
                bob.say(wire.Confirm(mail.id, mail.id))
                ann.hear(wire.Stored)
                bob.hear(wire.Confirmed)
        self.daemon.end()
        log = calls(self.log)
        self.assertGreaterEqual(sum(call.name == "fdatasync" for call in log), 2 + len(texts))
        for request, answer in PROMISED.items():
            asked, answered = places(log, "recvfrom", request), places(log, "sendto", answer)
            self.assertEqual(len(asked), len(answered))
            for heard, said in zip(asked, answered, strict=True):
                self.kept(log[heard + 1:said], f"{answer.__name__} after a {request.__name__}")

    def kept(self, between: list[Call], what: str) -> None:
        """Between a request and its answer: a write to the journal, and then a sync, begun after
        it, that is back."""
        journal = [call for call in between if "/journal." in call.text]
        wrote = next((call.begun for call in journal if call.name == "pwrite64"), None)
        self.assertIsNotNone(wrote, f"{what}: nothing was written")
        synced = [call for call in journal if call.name == "fdatasync" and call.begun > wrote]
        self.assertTrue(synced, f"{what}: it left before a sync was back")

    def test_the_loop_serves_on_meanwhile(self) -> None:
        with self.daemon.client("bob") as bob, self.daemon.client("ann") as ann:
            ann.say(wire.Send(ORIGIN, 0, ("bob",), "slow"))
            # it was written: its sync is under way, or about to be
            bob.hear(wire.Mail)
            bob.sock.settimeout(SLOW)
            started = time.monotonic()
            bob.say(wire.Ping(1))
            bob.hear(wire.Pong)
            took = time.monotonic() - started
            ann.hear(wire.Stored)
        say_figures(f"PONG after {took * 1000:.1f} ms "
                    f"while an fdatasync takes {SLOW * 1000:.0f} ms")
        self.assertLess(took, MEANWHILE)


def places(log: list[Call], name: str, kind: type) -> list[int]:
    """Where in the log messages of this kind were sent or taken."""
    return [at for at, call in enumerate(log) if call.name == name
            for said in call.said() if isinstance(said, kind)]


if __name__ == "__main__":
    unittest.main()
