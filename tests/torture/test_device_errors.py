"""A sample of device_errors.py: a block device that fails under the real daemon, on each backend
that is here."""
import tempfile
import unittest
from collections.abc import Callable
from typing import Any
from unittest import mock

from store.disk import Failed
from store.writer import Writer
from tests.harness.process import say_figures
from tests.server.test_garbage import Apart
from tests.store.test_segment import BACKENDS, STORE, mail
from tests.torture.device_errors import fail_reads, fail_writes
from tests.torture.failing_device import FailingDevice, missing

# when the device is well again: before our own sync, where the library syncs too
HEALED = {"dbm.gnu": "hold"}
# From this write on so many fail; each of them, on all backends: `make torture`.
WRITES = ((5, 1), (12, 1 << 40))
# A sector that cannot be read kills a process that maps it, as dbm.gnu does.
READERS = BACKENDS[:1]


@unittest.skipIf(missing(), missing())
class Segments(unittest.TestCase):
    """What the device does while a segment is closed and synced: it is never listed unless the
    device has it."""

    def setUp(self) -> None:
        directory = self.enterContext(tempfile.TemporaryDirectory(prefix="parley-device-",
                                                                  dir="/var/tmp"))
        self.device = self.enterContext(FailingDevice(directory))

    def writer(self, backend: str) -> Writer:
        # what a library leaves open when it fails goes with its process
        disk = Apart()
        writer = Writer(disk, self.device.root, STORE, 1, backend)
        for _ in writer.add(1, [mail(number, b"text" * 500) for number in range(1, 100)]):
            pass
        return writer

    def give_up(self, writer: Writer) -> None:
        writer.abandon()
        writer.disk.end()
        self.device.again()

    def run_on(self, writer: Writer, wrong: Callable[[], None], until: str) -> None:
        """Finish it; from the closing up to a step of the disk all goes wrong."""
        close, last = writer._database.close, getattr(writer.disk, until)

        def closing() -> None:
            wrong()
            close()
            if until == "hold":
                self.device.heal()

        def healing(*arguments: Any) -> Any:
            self.device.heal()
            return last(*arguments)

        with mock.patch.object(writer, "_database", Mapping(writer._database, closing)), \
                mock.patch.object(writer.disk, until, healing):
            for _ in writer.finish():
                pass

    def test_a_write_that_fails_while_the_library_syncs(self) -> None:
        """dbm.gnu passes over the error; what dbm.dumb and dbm.sqlite3 leave, the sync finds."""
        for backend in BACKENDS:
            with self.subTest(backend=backend):
                writer = self.writer(backend)
                # dbm.sqlite3 may say it itself
                kinds = (Failed, OSError) if backend == "dbm.sqlite3" else (Failed,)
                try:
                    with self.assertRaises(kinds):
                        self.run_on(writer, self.device.fail_writes,
                                    HEALED.get(backend, "sync_directory"))
                finally:
                    self.give_up(writer)

    def test_writes_that_are_lost_without_a_word(self) -> None:
        for backend in BACKENDS:
            with self.subTest(backend=backend):
                writer = self.writer(backend)
                try:
                    with self.assertRaises((Failed, OSError)):
                        self.run_on(writer, self.device.lose_writes, "sync_directory")
                finally:
                    self.give_up(writer)


class Mapping:
    """A database that is closed otherwise."""

    def __init__(self, database: Any, close: Callable[[], None]) -> None:
        self.database, self.close = database, close

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.database[key] = value


@unittest.skipIf(missing(), missing())
class DeviceErrors(unittest.TestCase):
    def setUp(self) -> None:
        directory = self.enterContext(tempfile.TemporaryDirectory(prefix="parley-device-",
                                                                  dir="/var/tmp"))
        self.device = self.enterContext(FailingDevice(directory))

    def test_writes_that_fail_lose_nothing_that_was_acknowledged(self) -> None:
        for backend in BACKENDS:
            for number, count in WRITES:
                end, faults = fail_writes(self.device, backend, number, count)
                say_figures(f"{backend}, {count} writes from {number}: {end}")
                self.assertEqual(faults, [])

    def test_a_sector_that_cannot_be_read_is_one_users_loss(self) -> None:
        for backend in READERS:
            line, faults = fail_reads(self.device, backend)
            say_figures(line)
            self.assertEqual(faults, [])


if __name__ == "__main__":
    unittest.main()
