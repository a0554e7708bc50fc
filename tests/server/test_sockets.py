"""The files of Unix sockets: made, looked at, made again, removed, and never another's."""
import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import wire
from net.address import parse
from server import sockets
from server.doors import LOOK_SECONDS
from server.sockets import file_at, open_listener, remove, shut_directory
from tests.harness.process import HERE
from tests.harness.service import Client, Service

# Binds when it is told to, and says what came of it.
STARTER = """
import sys; sys.path.insert(0, sys.argv[1])
from net import address
from server import sockets
sys.stdin.readline()
try:
    listener = sockets.open_listener(address.parse(sys.argv[2]))
except OSError as error:
    print("in use" if error.errno == 98 else error, flush=True)
else:
    print("listens", flush=True)
    sys.stdin.readline()
"""


class Files(unittest.TestCase):
    def setUp(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="parley-test-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.where = parse(f"unix:{self.directory}/s")

    def test_private(self) -> None:
        where = parse(f"unix:{self.directory}/new/s")
        with open_listener(where):
            self.assertEqual(os.stat(where.path).st_mode & 0o777, 0o600)
            self.assertEqual(os.stat(f"{self.directory}/new").st_mode & 0o777, 0o700)

    def test_a_directory_that_shuts_others_out_is_told(self) -> None:
        """It is left as it is: whoever made it may have meant it."""
        for mode, rights, told in ((0o666, 0o700, True), (0o660, 0o700, True), (0o666, 0o710, True),
                                   (0o660, 0o710, False), (0o666, 0o711, False),
                                   (0o600, 0o700, False)):
            os.chmod(self.directory, rights)
            with open_listener(self.where, mode):
                self.assertEqual(shut_directory(self.where, mode), self.directory if told else "",
                                 (mode, rights))
            self.assertEqual(os.stat(self.directory).st_mode & 0o777, rights)
        os.chmod(self.directory, 0o755)
        inner = parse(f"unix:{self.directory}/open/s")
        with open_listener(inner, 0o666):
            os.chmod(self.directory, 0o700)
            self.assertEqual(shut_directory(inner, 0o666), self.directory,
                             "a directory above shuts them out as well")
        self.assertEqual(shut_directory(parse("127.0.0.1:0"), 0o666), "")
        self.assertEqual(shut_directory(parse("unix:s")._replace(path="s"), 0o600), "")

    def test_a_stale_one_is_removed(self) -> None:
        open_listener(self.where).close()
        self.assertTrue(os.path.exists(self.where.path))
        with open_listener(self.where), socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self.where.path)

    def test_a_live_one_is_not(self) -> None:
        with open_listener(self.where):
            with self.assertRaises(OSError):
                open_listener(self.where)
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(self.where.path)

    def test_another_file_is_not(self) -> None:
        Path(self.where.path).write_text("precious")
        with self.assertRaises(OSError):
            open_listener(self.where).close()
        self.assertEqual(Path(self.where.path).read_text(), "precious")

    def test_a_daemon_between_bind_and_listen_is_not_taken_for_dead(self) -> None:
        """Until it listens the kernel refuses callers, as it does where nobody is left."""
        with sockets._locked(Path(self.directory), 0), socket.socket(socket.AF_UNIX) as other:
            other.bind(self.where.path)
            with self.assertRaises(OSError) as raised:
                open_listener(self.where, patience=0)
            self.assertEqual(raised.exception.errno, errno.EAGAIN)
            self.assertTrue(os.path.exists(self.where.path))

    def test_of_many_that_start_at_once_one_listens(self) -> None:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(self.where.path)
        for _ in range(3):          # each time a dead one's file is there
            starters = [subprocess.Popen([sys.executable, "-c", STARTER, HERE, str(self.where)],
                                         text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                        for _ in range(8)]
            for starter in starters:
                assert starter.stdin is not None
                starter.stdin.write("go\n")
                starter.stdin.flush()
            said = [starter.stdout.readline() for starter in starters if starter.stdout]
            self.assertEqual(sorted(said), ["in use\n"] * 7 + ["listens\n"])
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(self.where.path)
            for starter in starters:
                starter.communicate()

    def test_only_ones_own_file_is_removed(self) -> None:
        with open_listener(self.where):
            mine = file_at(self.where.path)
            os.unlink(self.where.path)
            with open_listener(self.where), socket.socket(socket.AF_UNIX) as sock:
                remove(self.where.path, mine)
                sock.connect(self.where.path)
                remove(self.where.path, file_at(self.where.path))
                self.assertFalse(os.path.exists(self.where.path))
        remove(self.where.path, None)


class Looks(unittest.TestCase):
    """A daemon whose socket file is taken away under it."""

    def setUp(self) -> None:
        self.service = self.enterContext(Service())
        self.place = Path(self.service.directory, "place")
        self.where = parse(f"unix:{self.place}/s")
        self.service.daemon.doors.open([self.where], 0o600)

    def call(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        self.addCleanup(sock.close)
        sock.connect(self.where.path)
        return sock

    def pass_time(self) -> None:
        self.service.clock.forward(LOOK_SECONDS)
        self.service.run()

    def test_a_file_that_was_removed_is_made_again(self) -> None:
        ann = self.service.user("ann")
        for clean in (lambda: os.unlink(self.where.path), lambda: shutil.rmtree(self.place)):
            clean()
            self.pass_time()
            self.call()
            self.service.run()
        self.assertEqual(self.service.notes.events("socket-gone"),
                         [{"address": str(self.where)}] * 2)
        self.assertEqual(os.stat(self.where.path).st_mode & 0o777, 0o600)
        self.assertFalse(ann.is_disconnected())
        self.assertEqual(len(self.service.daemon.doors.listeners), 1)

    def test_at_a_hangup_at_once(self) -> None:
        self.service.run()
        os.unlink(self.where.path)
        self.service.run()
        self.assertFalse(os.path.exists(self.where.path))
        self.service.daemon.operations.reload()
        self.call()

    def test_who_had_called_at_the_old_file_comes_in(self) -> None:
        sock = self.call()
        os.unlink(self.where.path)
        self.service.daemon.doors.look(0, now=True)
        client = Client(self.service, sock)
        client.say(wire.Hello(wire.VERSION, 0, bytes(16), "bob"))
        client.hears(wire.Welcome)

    def test_who_calls_there_in_the_turn_of_a_hangup_comes_in(self) -> None:
        sock, signals = self.call(), self.service.daemon.signals
        os.unlink(self.where.path)
        with mock.patch.object(signals, "came", True), \
                mock.patch.object(signals, "take", return_value=[signal.SIGHUP]):
            self.service.daemon.turn(0)
        client = Client(self.service, sock)
        client.say(wire.Hello(wire.VERSION, 0, bytes(16), "bob"))
        client.hears(wire.Welcome)

    def test_the_file_of_another_stays_and_is_told_once(self) -> None:
        os.unlink(self.where.path)
        with open_listener(self.where):
            theirs = file_at(self.where.path)
            self.pass_time()
            self.pass_time()
            lost, = self.service.notes.events("socket-lost")
            self.assertIn("another file", str(lost["reason"]))
            self.service.daemon.doors.close()
            self.assertEqual(file_at(self.where.path), theirs)
        os.unlink(self.where.path)

    def test_what_can_not_be_bound_again_is_told_once_and_tried_again(self) -> None:
        shutil.rmtree(self.place)
        self.place.write_text("in the way")
        self.pass_time()
        self.pass_time()
        lost, = self.service.notes.events("socket-lost")
        self.assertIn("its file is gone", str(lost["reason"]))
        self.place.unlink()
        self.pass_time()
        self.call()


if __name__ == "__main__":
    unittest.main()
