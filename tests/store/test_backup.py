"""A copy of a store that is in use: whole, with all that was acknowledged, and with ids of its
own."""

from __future__ import annotations

import errno
import os
import shutil
import unittest
from unittest import mock

from mailbox import CannotCreate, Damaged, Mailbox
from store import backup as backups
from store.backup import RESTORED_JUMP, backup
from store.check import check
from store.disk import Disk
from tests.harness.waiting import texts
from tests.store.test_mailbox import StoreCase


class Backup(StoreCase):
    def setUp(self) -> None:
        super().setUp()
        self.box = self.open(seal_at=1 << 14)
        self.ann, self.bob = (self.box.register(name, 1) for name in ("ann", "bob"))
        self.copy = self.path + "-backup"
        self.put(200)

    def put(self, number: int) -> None:
        """Messages to bob; some are sealed by and by."""
        for _ in range(number):
            self.box.put(self.ann, self.box.last + (7 << 32), 1, [self.bob], 0, b"x" * 200)
            self.box.write()
            self.box.sync()
            self.box.work(0.001)

    def back_up(self) -> list[str]:
        return list(backup(self.path, self.copy, Disk()))

    @staticmethod
    def mail(box: Mailbox) -> list[bytes]:
        return texts(box.unread(box.find("bob"), 0, box.last, 10_000, 1 << 30))

    def restored(self) -> Mailbox:
        box = Mailbox(self.copy, Disk())
        self.addCleanup(self.let_go, box)
        return box

    def test_all_is_there(self) -> None:
        report = self.back_up()
        self.assertIn("the copy is whole", report[-1])
        self.assertTrue(any("segment." in line for line in report), report)
        self.assertTrue(any("journal." in line for line in report), report)
        restored = self.restored()
        self.assertEqual(self.mail(restored), self.mail(self.box))
        self.assertEqual(len(self.mail(self.box)), 200)
        self.assertEqual(restored.store, self.box.store)

    def test_ids_of_its_own(self) -> None:
        """None that the original gives after the copy; and none of those was on this disk."""
        self.back_up()
        last = self.box.last
        self.put(50)
        restored = self.restored()
        self.assertGreater(restored.last, last + RESTORED_JUMP)
        self.assertEqual(list(restored.kept(last + 1, self.box.last)), [])
        self.assertEqual(list(restored.kept(1, last)), [(1, last)])
        again = self.path + "-again"
        list(backup(self.copy, again, Disk()))
        box = Mailbox(again, Disk())
        self.addCleanup(self.let_go, box)
        self.assertGreater(box.last, restored.last)

    def test_while_it_changes(self) -> None:
        """What was opened is a store, whatever happens to the directory meanwhile."""
        rounds, manifests, opened = [0], [], backups._opened

        def opened_slowly(directory, manifest):
            manifests.append(manifest)
            found = opened(directory, manifest)
            if rounds[0] < 3:
                rounds[0] += 1
                before = self.box._journals.current.number
                while self.box._journals.current.number == before:
                    self.put(1)                 # until a journal is rolled, or sealed
            return found

        with mock.patch("store.backup._opened", opened_slowly):
            self.back_up()
        self.assertEqual(len(manifests), 4)
        restored = self.restored()
        found = self.mail(restored)
        self.assertEqual(found, self.mail(self.box))

    def test_while_files_go(self) -> None:
        """They are removed after they were opened, and before they are copied."""
        copy_file, gone = backups._copy_file, []

        def slowly(disk, fd, path):
            if not gone:
                for name in os.listdir(self.path):
                    if name.startswith(("segment.", "journal.")):
                        shutil.copy2(f"{self.path}/{name}", f"{self.path}/{name}~")
                        os.unlink(f"{self.path}/{name}")
                        gone.append(name)
            return copy_file(disk, fd, path)

        with mock.patch("store.backup._copy_file", slowly):
            self.assertIn("the copy is whole", self.back_up()[-1])
        self.assertTrue(gone)

    def test_no_room(self) -> None:
        """Then nothing of it stays."""
        calls = iter([100, OSError(errno.ENOSPC, "No space left on device")])
        with mock.patch.object(Disk, "write", side_effect=calls), \
                self.assertRaisesRegex(CannotCreate, "No space left"):
            self.back_up()
        self.assertFalse(os.path.exists(self.copy))

    def test_a_damaged_original(self) -> None:
        """It is found out when it is copied, not when it is needed."""
        name = next(name for name in sorted(os.listdir(self.path)) if name.startswith("segment."))
        path = f"{self.path}/{name}"
        with open(path, "r+b") as file:
            data = file.read()
            at = data.rindex(b"x" * 100)
            file.seek(at)
            file.write(b"y")
        with self.assertRaises(Damaged):
            self.back_up()
        self.assertFalse(os.path.exists(self.copy))

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_by_root(self) -> None:
        """Of a daemon's store that belongs to another login; the copy is that login's too."""
        self.let_go(self.box)
        for name in ("", *os.listdir(self.path)):
            os.chown(os.path.join(self.path, name), 4711, 4711)
        self.assertIn("the copy is whole", self.back_up()[-1])
        owners = {os.stat(f"{self.copy}/{name}").st_uid for name in ("", *os.listdir(self.copy))}
        self.assertEqual(owners, {4711})

    def test_what_is_there_stays(self) -> None:
        os.mkdir(self.copy)
        with self.assertRaises(CannotCreate):
            self.back_up()
        self.assertEqual(os.listdir(self.copy), [])

    def test_it_changes_nothing(self) -> None:
        before = self.times()
        self.back_up()
        self.assertEqual(self.times(), before)

    def times(self) -> dict[str, int]:
        return {each.name: each.stat().st_mtime_ns for each in os.scandir(self.path)}

    def test_the_copy_can_be_checked(self) -> None:
        self.back_up()
        self.assertIn("2 names", list(check(self.copy))[-1])


if __name__ == "__main__":
    unittest.main()
