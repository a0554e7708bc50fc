"""The daemon on a small ext4 of its own that is full; a sample of full_disk.py, which is part of
`make torture`."""
import os
import tempfile
import unittest

from tests.harness.process import DaemonProcess, effort
from tests.harness.terminals import find_program
from tests.store.test_segment import BACKENDS
from tests.torture import full_disk
from tests.torture.power_cuts import Image

ROUNDS = effort(3, 2)


@unittest.skipIf(os.geteuid() or not find_program("mkfs.ext4"), "needs root and mkfs.ext4")
class Real(unittest.TestCase):
    def live(self, number: int, pattern: str, kill: bool = False) -> None:
        """On each backend, or, in a sample, on one of them."""
        for backend in effort(BACKENDS, BACKENDS[number % len(BACKENDS):][:1]):
            with self.subTest(backend=backend):
                taken = full_disk.run(pattern, ROUNDS, kill, "--backend", backend)
                self.assertGreater(min(taken) * full_disk.SIZE, full_disk.IMAGE // 8)

    def test_all_is_read(self) -> None:
        self.live(0, "all")

    def test_most_is_read_and_it_was_killed(self) -> None:
        self.live(1, "most of each", kill=True)

    def test_a_few_users_are_away(self) -> None:
        self.live(2, "all but a few users")

    def test_another_program(self) -> None:
        with tempfile.TemporaryDirectory(prefix="parley-room-") as directory:
            image = Image(directory, full_disk.IMAGE)
            try:
                with DaemonProcess(*full_disk.OPEN_QUOTAS, store=image.root + "/store") as daemon:
                    house, ballast = full_disk.House(daemon), image.root + "/ballast"
                    for _ in range(ROUNDS):
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
