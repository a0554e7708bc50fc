"""The lived-in house is what lived_in.py says: a world in which nothing was forgotten that a real
one has."""
import tempfile
import unittest
from pathlib import Path

import wire
from client import archive
from mailbox import Mailbox
from rules.store import Setting
from store import manifest
from store.check import check
from tests.harness import lived_in
from tests.harness.process import DaemonProcess
from tests.store.test_segment import backends


class OnDisk(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory(prefix="parley-lived-in-")
        self.addCleanup(directory.cleanup)
        self.directory, self.store = directory.name, directory.name + "/store"

    def test_a_store_of_each_backend(self) -> None:
        for backend in backends():
            with (self.subTest(backend),
                  tempfile.TemporaryDirectory(prefix="parley-lived-in-") as directory):
                lived_in.furnish(directory + "/store", backend=backend)
                self.is_lived_in(directory + "/store", backend)

    def is_lived_in(self, store: str, backend: str) -> None:
        listed = manifest.decode(Path(store, manifest.NAME).read_bytes(), store)
        self.assertGreaterEqual(min(len(listed.segments), len(listed.journals)), 2)
        self.assertEqual({each.backend for each in listed.segments}, {backend})
        self.assertTrue(list(check(store)))                 # nothing is damaged
        box = Mailbox(store, backend=backend)
        try:
            users = box.users
            self.assertEqual(len({user.name.lower() for user in users}), lived_in.NAMES)
            self.assertTrue(all(wire.is_name(user.name) for user in users))
            self.assertEqual(max(len(user.name) for user in users), wire.NAME_MAX)
            self.assertFalse([name for name in lived_in.PEOPLE if box.find(name)])
            self.assertGreater(box.last, 1 << 22)
            for what, least in (("pages", 1000), ("tail", 1000), ("ranges", 100), ("origins", 500)):
                self.assertGreater(sum(bool(getattr(user, what)) for user in users), least, what)
            for kind in (Setting.OWNER, Setting.CLAIM, Setting.IGNORED):
                self.assertGreater(sum(kind in user.settings for user in users), 50, kind)
        finally:
            box.close()

    def test_two_houses_are_not_one(self) -> None:
        for number in (0, 1):
            lived_in.furnish(f"{self.store}{number}", house=number)
        self.assertNotEqual(lived_in.number_of(self.store + "0"),
                            lived_in.number_of(self.store + "1"))

    def test_an_archive_of_a_year(self) -> None:
        lived_in.furnish(self.store)
        lived_in.keep_a_year(self.directory, self.store, "ann")
        kept = archive.Archive(Path(self.directory, "parley"))
        kept.open(lived_in.number_of(self.store), "ann")
        records = kept.last(10_000)
        kept.close()
        self.assertEqual((len(records), kept.unconfirmed), (lived_in.KEPT, {}))
        self.assertGreater(records[-1].time - records[0].time, 0.9 * lived_in.YEAR)


class AtRunTime(unittest.TestCase):
    def test_who_is_here(self) -> None:
        with DaemonProcess() as daemon, daemon.client("ann", wire.Feature.ROSTER) as ann:
            names: dict[str, wire.Entry] = {}
            last = False
            while not last:
                page = ann.hear(wire.Roster)
                names.update((entry.name, entry) for entry in page.entries)
                last = page.last
        states = [entry.state for entry in names.values()]
        self.assertEqual(len(names), lived_in.NAMES + 1)
        self.assertEqual(states.count(wire.Presence.BUSY), lived_in.CHATTING)
        self.assertEqual(states.count(wire.Presence.AVAILABLE),
                         lived_in.CONNECTED - lived_in.CHATTING + 1)

    def test_they_come_back_after_a_restart(self) -> None:
        with DaemonProcess() as daemon:
            daemon.end()
            daemon.start()
            assert daemon.residents
            self.assertTrue(all(each.is_here for each in daemon.residents.all))

    def test_a_bare_house(self) -> None:
        with DaemonProcess(bare=True) as daemon, daemon.client("ann", wire.Feature.ROSTER) as ann:
            self.assertEqual([entry.name for entry in ann.hear(wire.Roster).entries], ["ann"])


if __name__ == "__main__":
    unittest.main()
