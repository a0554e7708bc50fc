"""A store whose directory is moved, removed or replaced while a daemon uses it.

The daemon writes nothing to what is there then.
"""

import os
import shutil
import unittest

from mailbox import Mailbox
from store.disk import Failed
from tests.harness.process import DaemonProcess
from tests.store.faulty_disk import RecordingDisk
from tests.store.test_mailbox import StoreCase
from tests.store.test_segment import BACKENDS

SECONDS = 20


def content(directory: str) -> dict[str, bytes]:
    """All files of a directory, with their bytes."""
    found = {}
    for name in sorted(os.listdir(directory)):
        with open(os.path.join(directory, name), "rb") as file:
            found[name] = file.read()
    return found


def replaced(path: str) -> None:
    """Replace the store by a copy, such as the last backup."""
    os.rename(path, path + "-moved")
    shutil.copytree(path + "-moved", path)
    os.chmod(path, 0o700)


def moved(path: str) -> None:
    os.rename(path, path + "-moved")


def emptied(path: str) -> None:
    os.rename(path, path + "-moved")
    os.mkdir(path, 0o700)


def another_lock(path: str) -> None:
    """Replace the lock, so that a second daemon could use the store."""
    os.unlink(path + "/lock")
    with open(path + "/lock", "wb"):
        pass


SWAPS = (replaced, moved, emptied, another_lock)


class InTheMidst(StoreCase):
    def live(self, backend: str) -> Mailbox:
        self.disk = RecordingDisk()
        box = self.open(backend=backend, small=0)
        ann, bob = self.names(box, "ann", "bob")
        for text in b"one", b"two":
            box.put(ann, 0, 1, [bob], 0, text)
            self.keep(box)
            self.seal(box)
        return box

    def test_at_each_step_of_a_seal(self) -> None:
        for backend in BACKENDS:
            for swap in SWAPS:
                steps, ended = 0, False
                while not ended:
                    self.path = os.path.join(self.home.name, f"{backend}-{swap.__name__}-{steps}")
                    with self.subTest(backend=backend, swap=swap.__name__, steps=steps):
                        ended = self.swap_after(backend, swap, steps)
                    steps += 1
                self.assertGreater(steps, 10)

    def swap_after(self, backend: str, swap: object, steps: int) -> bool:
        """Whether the seal had ended before."""
        box = self.live(backend)
        box.put(box.users[0], 0, 1, [box.users[1]], 0, b"three")
        self.keep(box)
        box.upkeep.must_seal, box.upkeep.look_at = True, 1e9      # it does not look by the clock
        more = True
        for _ in range(steps):
            more = more and box.work(0, lambda: 0.0)
        swap(self.path)  # type: ignore[operator]
        before = content(self.path) if os.path.exists(self.path) else None
        if more:
            with self.assertRaisesRegex(Failed, "was moved, removed or replaced"):
                while box.work(0, lambda: 0.0):
                    pass
                # it was at its end, and touched no name any more
                box.disk.look(self.path)
        if box.upkeep.writer:
            box.upkeep.writer.close()
            box.upkeep.writer = None
        self.let_go(box)
        if swap is not another_lock:
            self.assertEqual(content(self.path) if os.path.exists(self.path) else None, before)
        return not more

    def test_it_is_found_out_soon(self) -> None:
        for swap in SWAPS:
            with self.subTest(swap.__name__):
                self.path = os.path.join(self.home.name, swap.__name__)
                self.disk = RecordingDisk()
                box = self.open()
                self.names(box, "ann")
                box.work(0, lambda: 100.0)
                swap(self.path)
                box.work(0, lambda: 100.5)
                for _ in range(2):
                    self.assertRaises(Failed, box.work, 0, lambda: 101.0)
                self.assertRaises(Failed, box.write)


class TheDaemon(unittest.TestCase):
    def test_it_ends_with_one_line(self) -> None:
        for swap in SWAPS:
            with self.subTest(swap.__name__), DaemonProcess(bare=True) as daemon:
                assert daemon.process
                daemon.client("ann").close()
                swap(daemon.store)
                self.assertEqual(daemon.process.wait(SECONDS), os.EX_SOFTWARE)
                line, = daemon.output().splitlines()
                self.assertIn(f"{daemon.store} was moved, removed or replaced", line)


if __name__ == "__main__":
    unittest.main()
