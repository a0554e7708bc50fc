"""The dbm libraries in a process of their own: what they do, and what is left when it ends."""
import errno
import os
import signal
import tempfile
import unittest
from unittest import mock

from store import library
from store.library import Database, Library
from tests.harness.terminals import until
from tests.store.test_segment import BACKENDS

VALUES = {b"head": b"", b"mail 1": os.urandom(1 << 16), b"mail 2": b"x" * 70_000}


class LibraryCase(unittest.TestCase):
    def setUp(self) -> None:
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.path = home.name + "/file"
        self.library = Library()
        self.ended = False
        self.addCleanup(self.end)

    def end(self) -> None:
        if not self.ended:
            self.ended = True
            self.library.end()

    def written(self, backend: str) -> Database:
        made = self.library.open(backend, self.path, "n")
        for key, value in VALUES.items():
            made[key] = value
        made.close()
        return self.library.open(backend, self.path, "r")

    def worker(self) -> int:
        """The process id of the worker."""
        with open(f"/proc/{self.library.pid}/task/{self.library.pid}/children") as children:
            return int(children.read())


class Mappings(LibraryCase):
    def test_each_backend(self) -> None:
        for backend in BACKENDS:
            with self.subTest(backend=backend):
                found = self.written(backend)
                read = {key: found[key] for key in found.keys()}        # noqa: SIM118
                self.assertEqual(read, VALUES)
                self.assertRaises(OSError, found.__getitem__, b"mail 3")
                found.close()

    def test_an_error_keeps_its_number(self) -> None:
        for backend in BACKENDS:
            with self.assertRaises(OSError) as caught:
                self.library.open(backend, os.path.dirname(self.path) + "/none/file", "n")
            if backend != "dbm.sqlite3":            # it has an error of its own
                self.assertEqual(caught.exception.errno, errno.ENOENT)

    def test_a_module_that_is_missing(self) -> None:
        self.assertRaises(OSError, self.library.open, "dbm.none", self.path, "r")


@unittest.skipUnless(os.path.isdir("/proc/self/task"), "needs /proc")
class Endings(LibraryCase):
    @unittest.skipUnless("dbm.gnu" in BACKENDS, "needs dbm.gnu")
    def test_a_page_that_the_disk_does_not_give_back(self) -> None:
        """The nearest that a file system comes to a bad disk: a file cut short under its map."""
        found = self.written("dbm.gnu")
        self.assertEqual(found[b"head"], b"")
        size = os.path.getsize(self.path)
        os.truncate(self.path, 4096)
        with self.assertRaisesRegex(OSError, "SIGBUS|SIGSEGV"):
            found[b"mail 1"]
        # the file is whole for whoever opens it; zeros are no value
        os.truncate(self.path, size)
        again = self.library.open("dbm.gnu", self.path, "r")
        self.assertRaises(OSError, again.__getitem__, b"mail 1")
        again.close()

    def test_what_was_read_is_opened_again_and_what_was_written_is_lost(self) -> None:
        found = self.written("dbm.dumb")
        made = self.library.open("dbm.dumb", self.path + "2", "n")
        made[b"key"] = b"value"
        os.kill(self.worker(), signal.SIGKILL)
        # it is not the request's fault: asked once more
        self.assertEqual(found[b"mail 1"], VALUES[b"mail 1"])
        for act in lambda: made.__setitem__(b"key 2", b""), made.close:
            self.assertRaises(OSError, act)
        found.close()

    def test_it_goes_on_when_the_spawner_was_killed_too(self) -> None:
        found = self.written("dbm.dumb")
        worker, spawner = self.worker(), self.library.pid
        os.kill(spawner, signal.SIGKILL)
        self.assertEqual(found[b"mail 1"], VALUES[b"mail 1"])       # the worker needs nobody
        os.kill(worker, signal.SIGKILL)
        until(lambda: not os.path.exists(f"/proc/{worker}"), what="the worker has ended")
        self.assertEqual(found[b"mail 1"], VALUES[b"mail 1"])
        self.assertNotEqual(self.library.pid, spawner)

    def test_a_library_that_does_not_come_back(self) -> None:
        with mock.patch.object(library, "PATIENCE", {"r": 1, "n": 1}):
            self.end()
            self.library, self.ended = Library(), False
        os.mkfifo(self.path + ".dat")               # opening it waits for somebody who writes
        with self.assertRaisesRegex(OSError, "deadline"):
            self.library.open("dbm.dumb", self.path, "r")
        os.unlink(self.path + ".dat")
        self.assertEqual(self.written("dbm.dumb")[b"head"], b"")

    def test_signals_that_mean_the_daemon_are_not_for_it_and_it_holds_nothing(self) -> None:
        found = self.written("dbm.gnu" if "dbm.gnu" in BACKENDS else "dbm.dumb")
        found.close()
        for pid in self.worker(), self.library.pid:
            for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1:
                os.kill(pid, number)
        found = self.written("dbm.dumb")
        self.assertEqual(found[b"head"], b"")
        # 0, 1, 2: the null device
        self.assertEqual(len(os.listdir(f"/proc/{self.worker()}/fd")), 4)
        self.assertEqual(len(os.listdir(f"/proc/{self.library.pid}/fd")), 4)

    def test_it_goes_when_the_daemon_goes(self) -> None:
        self.written("dbm.dumb")
        worker = self.worker()
        self.end()
        until(lambda: not os.path.exists(f"/proc/{worker}"), what="the worker has ended")


if __name__ == "__main__":
    unittest.main()
