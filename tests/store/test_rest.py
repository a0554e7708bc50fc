"""Queues come to rest in dbm, at a stop in good order and after a minute of quiet; dbm.open alone
finds them there."""
from __future__ import annotations

import dbm
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import wire
from store import manifest, upkeep
from store.disk import Disk
from tests.harness.process import HERE, DaemonProcess, Speaker
from tests.store.oracle import recover
from tests.store.test_mailbox import StoreCase
from tests.store.test_segment import BACKENDS

ORIGIN = 9 << 32
MANUAL = HERE + "/man/parley-store.5"
SECONDS = 20
QUIET = 0.3                 # seconds
NAMES = ("ann", "bob", "carol", "dave", "erin", "fred", "gwen", "hugh", "ida", "nobody")


def example() -> str:
    """The program in the manual."""
    with open(MANUAL, encoding="utf-8") as text:
        found = re.search(r"\.Ss Reading one by other means\n.*?\.Bd -literal\n(.*?)\.Ed\n",
                          text.read(), re.DOTALL)
    assert found
    return found[1]


def queues(store: str) -> dict[str, list[str]]:
    """What dbm.open alone finds in the only segment."""
    listed = manifest.load(Disk(), store)
    assert listed
    segment, = listed.segments
    path = f"{store}/segment.{segment.number:08}"
    assert dbm.whichdb(path) == segment.backend, (dbm.whichdb(path), segment.backend)
    run = subprocess.run([sys.executable, "-I", "-c", example(), path], capture_output=True,
                         text=True, check=True)
    found = {}
    for line in run.stdout.splitlines():
        name, _, texts = line.partition(" ")
        found[name] = eval(texts)
    return found


class Daemon(unittest.TestCase):
    def start(self, backend: str, quiet: str = "") -> DaemonProcess:
        """A bare house, of which the test knows all."""
        daemon = DaemonProcess("--backend", backend, bare=True,
                               program=(HERE + "/tests/torture/small_store.py",
                                        f"{8 << 20}{quiet}"))
        self.addCleanup(daemon.close)
        for name in NAMES:
            daemon.client(name).close()
        return daemon

    def send(self, ann: Speaker, number: int, text: str, *to: str) -> None:
        ann.say(wire.Send(ORIGIN + number, 0, to, text))
        ann.hear(wire.Stored)

    def write(self, daemon: DaemonProcess) -> dict[str, list[str]]:
        """Some mail, of which some is read; what waits."""
        with daemon.client("ann") as ann:
            self.send(ann, 1, "one", "bob")
            self.send(ann, 2, "to many", *NAMES[1:9])
            self.send(ann, 3, "gr\u00fc\u00dfe", "bob", "carol")
        with daemon.client("dave", wire.Feature.HOLD) as dave:
            dave.say(wire.Check(1))
            mail = dave.hear(wire.Mail)
            dave.say(wire.Confirm(mail.id, mail.id))
            dave.hear(wire.Confirmed)
        return {name: [] for name in NAMES} | {name: ["to many"] for name in NAMES[4:9]} | {
            "bob": ["one", "to many", "gr\u00fc\u00dfe"], "carol": ["to many", "gr\u00fc\u00dfe"]}

    def test_a_stop_in_good_order(self) -> None:
        for backend in BACKENDS:
            with self.subTest(backend=backend):
                daemon = self.start(backend)
                waiting = self.write(daemon)
                self.assertEqual(daemon.end(signal.SIGTERM), 0)
                self.assertEqual(queues(daemon.store), waiting)
                before = {name: os.stat(f"{daemon.store}/{name}").st_mtime_ns
                          for name in os.listdir(daemon.store)
                          if name.startswith("segment") and not name.endswith(("-wal", "-shm"))}
                # nothing changed: nothing is written again
                for number in (signal.SIGTERM, signal.SIGINT):
                    daemon.start()
                    self.assertEqual(daemon.end(number), 0)
                    after = {name: os.stat(f"{daemon.store}/{name}").st_mtime_ns
                             for name in os.listdir(daemon.store)
                             if name.startswith("segment") and not name.endswith(("-wal", "-shm"))}
                    self.assertEqual(after, before)
                daemon.start()
                with daemon.client("bob") as bob:
                    self.assertEqual(bob.welcome.waiting, 3)

    def test_where_people_live(self) -> None:
        with DaemonProcess() as daemon:
            self.assertEqual(daemon.end(signal.SIGTERM), 0)
            found = queues(daemon.store)
            wanted = {name: [mail.text for mail in mails]
                      for name, mails in recover(daemon.store).items()}
            self.assertEqual({name: texts for name, texts in found.items() if texts},
                             {name: texts for name, texts in wanted.items() if texts})
            self.assertGreater(len(found), 4000)
            self.assertTrue(any(wanted.values()))

    def test_a_while_of_quiet(self) -> None:
        """Without a stop; what is read afterwards is on its way to rest too."""
        for backend in BACKENDS:
            with self.subTest(backend=backend):
                daemon = self.start(backend, f":{QUIET}")
                waiting = self.write(daemon)
                self.until(lambda daemon=daemon, waiting=waiting: self.rests(daemon.store, waiting))
                self.assertEqual(daemon.end(), -signal.SIGKILL)
                self.assertEqual(queues(daemon.store), waiting)
                daemon.start()
                with daemon.client("bob") as bob:
                    self.assertEqual(bob.welcome.waiting, 3)

    def rests(self, store: str, waiting: dict[str, list[str]]) -> bool:
        listed = manifest.load(Disk(), store)
        return bool(listed and listed.segments) and queues(store) == waiting

    def until(self, condition: object) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():      # type: ignore[operator]
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)


class Rule(StoreCase):
    """When it rests, and what that may cost."""

    def setUp(self) -> None:
        super().setUp()
        self.now = 1000.0

    def segments(self) -> set[str]:
        return {name for name in os.listdir(self.path) if name.startswith("segment")}

    def test_after_a_minute_without_a_write(self) -> None:
        box = self.open()
        ann, = self.names(box, "ann")
        self.work(box)
        for _ in range(3):
            self.now += 0.9 * upkeep.QUIET_SECONDS
            box.put(ann, 0, 1, [ann], 0, b"x")
            self.keep(box)
            self.work(box)
            self.assertEqual(self.segments(), set())
        self.now += 0.9 * upkeep.QUIET_SECONDS
        self.work(box)
        self.assertEqual(self.segments(), set())
        self.now += 0.2 * upkeep.QUIET_SECONDS
        self.work(box)
        self.assertEqual((len(ann.pages), ann.tail), (1, []))

    def test_nothing_changed_and_nothing_is_written(self) -> None:
        box = self.open()
        ann, = self.names(box, "ann")
        self.rest(box)
        before = self.disk.ops[:]
        for _ in range(5):
            self.now += 1e6
            self.work(box)
            box.rest()
            self.work(box)
            self.assertFalse(box.upkeep.resting)
        self.assertEqual(self.disk.ops, before)
        box.seen(ann, 10**9)        # that alone is in no journal yet
        box.rest()
        self.work(box)
        self.assertNotEqual(self.disk.ops, before)
        self.assertEqual(self.reopen(box).users[0].last_seen, 10**9)

    def rest(self, box: object) -> None:
        self.now += 1e6
        self.work(box)              # type: ignore[arg-type]
        self.now += 1e6
        self.work(box)              # type: ignore[arg-type]

    def test_what_it_writes_is_little_over_a_day(self) -> None:
        """A write every 70 seconds, in houses of several sizes: each byte of a segment is
        counted."""
        for names in (10, 20_000):
            with self.subTest(names=names):
                self.path = os.path.join(self.home.name, str(names))
                box = self.open()
                users = self.names(box, *(f"u{n}" for n in range(names)))
                written, number, began = 0, 0, self.now
                for turn in range(60):
                    box.put(users[0], 0, turn, [users[-1]], 0, b"x" * 200)
                    self.keep(box)
                    for _ in range(14):
                        self.now += 5
                        self.work(box)
                    for segment in box._shelf.segments.values():
                        if segment.number > number:
                            number = segment.number
                            written += sum(segment.listed.files.values())
                self.assertGreater(number, 3)
                self.assertLess(written, (self.now - began) * upkeep.REST_RATE + (2 << 20))

    def test_a_stop_that_has_no_time(self) -> None:
        """What is half done is as good as not begun."""
        for steps in (0, 1, 5, 12):
            with self.subTest(steps=steps):
                self.path = os.path.join(self.home.name, str(steps))
                box = self.open()
                ann, bob = self.names(box, "ann", "bob")
                box.put(ann, 0, 1, [bob], 0, b"x")
                self.keep(box)
                box.rest()
                for _ in range(steps):
                    box.work(0, lambda: self.now)
                box.close()
                box.__dict__["gone"] = True
                box = self.open()
                self.assertEqual(([user.name for user in box.users], self.texts(box, box.users[1])),
                                 (["ann", "bob"], [b"x"]))


class Second(unittest.TestCase):
    def test_a_second_signal_ends_at_once(self) -> None:
        with tempfile.TemporaryDirectory() as home, DaemonProcess(store=home + "/store") as daemon:
            daemon.client("ann").close()
            assert daemon.process
            daemon.process.send_signal(signal.SIGTERM)
            daemon.process.send_signal(signal.SIGTERM)
            self.assertIn(daemon.process.wait(SECONDS), (0, -signal.SIGTERM))
            daemon.start()
            daemon.client("ann").close()


if __name__ == "__main__":
    unittest.main()
