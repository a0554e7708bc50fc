"""Where the daemons of a host are, which of them a client believes, and what it says of others."""
import os
import socket
import stat
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from client import dial
from client.dial import Stranger, believe
from net import places
from net.address import SOCKET_PATH_MAX, Address

SOMEBODY = 61003            # a uid that has no login
AS_ROOT = unittest.skipUnless(os.geteuid() == 0, "needs root: files of several users")


class Placed(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory(prefix="parley-places-")
        self.addCleanup(directory.cleanup)
        self.top = Path(directory.name)
        self.path = str(self.top / "s")
        self.default = Address(self.path, "", 0, default=True)

    def listener(self, mode: int = 0o600) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(self.path)
        os.chmod(self.path, mode)
        listener.listen()
        return listener


class Own(Placed):
    def test_a_runtime_directory_counts_if_it_is_ones_own(self) -> None:
        tmp = f"/tmp/parley-{os.geteuid()}/parley.sock"
        long = self.top / ("x" * (SOCKET_PATH_MAX - len(self.path)))
        for directory in (long, self.top / "file"):
            directory.mkdir() if directory is long else directory.touch()
        for runtime, counts in ((str(self.top), True), (f"{self.top}/", True), ("", False),
                                (".", False),
                                (str(self.top / "none"), False), (str(self.top / "file"), False),
                                (str(long), False), ("/a\0b", False)):
            found = [where.path for where in places._own(runtime)]
            self.assertEqual(found, [f"{self.top}/parley/parley.sock"] * counts + [tmp], runtime)
        self.assertEqual({where.default for where in places.for_client()}, {True})
        self.assertEqual(places.for_client()[-1].path, places.SYSTEM_SOCKET)

    @AS_ROOT
    def test_that_of_another_user_does_not(self) -> None:
        os.chown(self.top, SOMEBODY, SOMEBODY)
        self.assertEqual(len(places._own(str(self.top))), 1)


@AS_ROOT
class Belief(Placed):
    def host(self) -> Path:
        """Where the host's daemon has its socket in this test."""
        above = self.top / "run"
        directory = above / "parley"
        directory.mkdir(parents=True)
        above.chmod(0o755)
        os.chown(directory, SOMEBODY, SOMEBODY)
        patch = mock.patch("net.places.SYSTEM_SOCKET", str(directory / "parley.sock"))
        patch.start()
        self.addCleanup(patch.stop)
        return directory

    def test_the_owner_of_the_host_s_directory(self) -> None:
        self.assertNotIn(SOMEBODY, places.believed())
        for untold in 0, os.geteuid():
            with mock.patch.object(places, "untold_uid", lambda uid=untold: uid):
                self.assertNotIn(untold, places.believed(), "it may be anybody's")
        directory = self.host()
        self.assertEqual(places.believed(), {0, SOMEBODY})
        above = directory.parent
        for spoil, mend in ((lambda: os.chmod(above, 0o777), lambda: os.chmod(above, 0o755)),
                            (lambda: os.chown(above, SOMEBODY, 0), lambda: os.chown(above, 0, 0))):
            spoil()
            self.assertEqual(places.believed(), {0}, "somebody else could have made it")
            mend()
            self.assertEqual(places.believed(), {0, SOMEBODY})
        directory.rename(self.top / "elsewhere")
        directory.symlink_to(self.top / "elsewhere")
        self.assertEqual(places.believed(), {0})

    def test_a_kernel_that_can_not_tell(self) -> None:
        """Then the owner of the file and of its directory counts as the listener."""
        self.listener(0o666)
        with mock.patch("client.dial.peer_uid", lambda sock: None), dial.dial(self.default) as sock:
            self.assertEqual(believe(self.default, sock, None), 0)
            os.chown(self.path, SOMEBODY, SOMEBODY)
            with self.assertRaisesRegex(
                Stranger, f"the user uid {SOMEBODY} listens at unix:{self.path}, and is"):
                believe(self.default, sock, None)
            self.assertEqual(believe(self.default._replace(default=False), sock, None), SOMEBODY)
            os.chown(self.path, 0, 0)
            os.chmod(self.top, 0o777)
            with self.assertRaisesRegex(Stranger, "whom the kernel does not name"):
                believe(self.default, sock, None)
            os.unlink(self.path)
            with self.assertRaises(Stranger):
                believe(self.default, sock, None)

    def test_the_kernel_is_asked_first(self) -> None:
        self.listener()
        os.chown(self.path, SOMEBODY, SOMEBODY)
        with dial.dial(self.default) as sock:
            self.assertEqual(believe(self.default, sock, None), 0)
            with self.assertRaisesRegex(Stranger, f"before it was uid {SOMEBODY}"):
                believe(self.default, sock, SOMEBODY)


class Words(Placed):
    def test_what_starts_the_daemon_of_the_host(self) -> None:
        """systemctl only where systemd runs; else the rc script, if it is there."""
        unit, systemd, script = (self.top / each for each in ("parleyd.service", "systemd", "rc"))
        with mock.patch.multiple(places, UNITS=(str(self.top),), SYSTEMD=str(systemd),
                                 SCRIPT=str(script)):
            unit.touch()
            self.assertEqual(places._start_of_host(), "see parleyd(8)")
            script.touch()
            self.assertEqual(places._start_of_host(), f"{script} start")
            systemd.mkdir()
            self.assertEqual(places._start_of_host(), "systemctl start parleyd")

    def test_only_who_listens_is_in_the_list(self) -> None:
        self.listener()
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(self.path + "2")
            listed = {path for path in places._listening() if path.startswith(self.path)}
        self.assertEqual(listed, {self.path} if os.path.exists(places.SOCKETS) else set())
        with mock.patch("net.places.SOCKETS", self.path + "3"):
            self.assertEqual(places._listening(), set())

    @AS_ROOT
    def test_whom_a_closed_socket_serves(self) -> None:
        self.listener(0o660)
        os.chown(self.path, SOMEBODY, 0)
        self.assertRegex(places.closed(self.path),
                         f"^this daemon serves uid {SOMEBODY} and the group root only: ")
        os.chmod(self.path, 0o600 | stat.S_IFSOCK)
        self.assertRegex(places.closed(self.path),
                         f"^this daemon serves uid {SOMEBODY} only: uid {SOMEBODY} can open")
        os.chown(self.top, SOMEBODY, 0)
        self.assertEqual(places.closed(str(self.top / "deep/er/s")),
                         f"only uid {SOMEBODY} can get there")


if __name__ == "__main__":
    unittest.main()
