"""The daemon on a small ext4 of its own that is full; a sample of full_disk.py, which is part of `make torture`."""
import os
import tempfile
import unittest

from tests.harness.process import DaemonProcess
from tests.harness.terminals import find_program
from tests.store.test_segment import BACKENDS
from tests.torture import full_disk
from tests.torture.power_cuts import Image


@unittest.skipIf(os.geteuid() or not find_program("mkfs.ext4"), "needs root and mkfs.ext4")
class Real(unittest.TestCase):
    def live(self, backend: str, pattern: str, kill: bool) -> None:
        taken = full_disk.run(pattern, 3, kill, "--backend", backend)
        self.assertGreater(min(taken) * full_disk.SIZE, full_disk.IMAGE // 8)

    def test_an_ext4(self) -> None:
        for backend in BACKENDS:
            for pattern, kill in (("all", False), ("most of each", True), ("all but a few users", False)):
                with self.subTest(backend=backend, pattern=pattern):
                    self.live(backend, pattern, kill)

    def test_another_program(self) -> None:
        with tempfile.TemporaryDirectory(prefix="parley-room-") as directory:
            image = Image(directory, full_disk.IMAGE)
            try:
                with DaemonProcess(*full_disk.OPEN_QUOTAS, store=image.root + "/store") as daemon:
                    house, ballast = full_disk.House(daemon), image.root + "/ballast"
                    for _ in range(3):
                        house.fill(300)
                        with open(ballast, "wb", buffering=0) as file, self.assertRaises(OSError):
                            while True:
                                file.write(bytes(1 << 12))
                        house.fill_up()
                        for name in full_disk.READERS:
                            house.read(name, 0.9)
                        daemon.end()
                        daemon.start()
                        os.unlink(ballast)
                        house.sends_again()
                        for name in full_disk.READERS:
                            house.read(name)
            finally:
                image.unmount()


if __name__ == "__main__":
    unittest.main()
