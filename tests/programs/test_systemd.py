"""The host's daemon under a real systemd: what `make install` puts there, started, watched,
reloaded and started anew."""
import os
import re
import shutil
import socket
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

from server.supervisor import Supervisor, address_of, handed_over
from tests.harness.process import FULL, say_figures
from tests.harness.systemd import Machine, missing

WHY_NOT = missing() if FULL else "a whole systemd takes its time: `make test-all`"
SOCKET = "unix:/run/parley/parley.sock"


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Service(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.host = cls.enterClassContext(Machine())
        cls.host.run("make", "-s", "-C", "/tmp/tree", "install", "PREFIX=/usr",
                     "PYTHON=/usr/bin/python3")
        cls.host.run("systemd-sysusers")
        cls.host.run("systemd-tmpfiles", "--create", "parley.conf")
        cls.host.run("systemctl", "daemon-reload")

    def tearDown(self) -> None:
        self.host.run("systemctl", "stop", "parleyd.socket", "parleyd.service", check=False)
        self.host.run("systemctl", "reset-failed", check=False)

    def send(self, text: str) -> str:
        return self.host.run("parley", "--name", "cron", "--send", "cron", text)

    def check(self) -> str:
        return self.host.run("parley", "--name", "cron", "--check")

    def test_units(self) -> None:
        """They are as systemd wants them, and shut what the daemon does not need."""
        self.host.run("systemd-analyze", "verify", "parleyd.service", "parleyd.socket")
        self.host.run("env", "XDG_RUNTIME_DIR=/tmp", "systemd-analyze", "verify", "--user",
                      "/usr/lib/systemd/user/parleyd.service")
        self.host.run("systemctl", "start", "parleyd")
        told = self.host.run("systemd-analyze", "security", "--no-pager", "parleyd")
        exposure = float(re.search(r"exposure level for parleyd.service: ([\d.]+)", told)[1])
        say_figures(f"systemd-analyze security: {exposure}")
        self.assertLess(exposure, 2.0)

    def test_it_is_started_when_it_serves(self) -> None:
        """Type=notify: behind `systemctl start` stands a daemon that answers, with a status."""
        self.host.run("systemctl", "start", "parleyd")
        self.send("one")
        self.host.until("parleyd", "StatusText", self.host.shows("parleyd", "StatusText") or "x")
        self.assertIn("one", self.check())
        self.assertIn("1 names in the log", self.status_of("1 names"))
        self.assertIn("parley OK", self.host.run("parleyd", "check", "--connect", SOCKET))
        owner = self.host.run("stat", "-c", "%U %a", "/run/parley", "/var/lib/parley")
        self.assertEqual(owner, "parley 755\nparley 700\n")
        self.send("two")
        self.host.run("systemctl", "stop", "parleyd")
        self.assertEqual(self.host.shows("parleyd", "Result"), "success")
        self.host.run("systemctl", "start", "parleyd")
        self.assertIn("two", self.check())

    def status_of(self, wanted: str) -> str:
        deadline = time.monotonic() + 30
        while wanted not in (found := self.host.shows("parleyd", "StatusText")):
            self.assertLess(time.monotonic(), deadline, found)
            time.sleep(0.2)
        return found

    def test_reload(self) -> None:
        """It is an upgrade: another release, and a changed configuration, in the same process."""
        self.host.run("systemctl", "start", "parleyd")
        before = self.host.shows("parleyd", "MainPID")
        usage = "/usr/lib/parley/terminal/usage.py"
        self.host.run("sed", "-i", 's/^RELEASE = .*/RELEASE = "0.9"/', usage)
        self.addCleanup(self.host.run, "rm", "-rf", "/etc/parley")
        self.configure("patience = 61")
        self.host.run("systemctl", "reload", "parleyd")
        self.assertEqual(self.host.shows("parleyd", "ActiveState"), "active")
        self.assertEqual(self.host.shows("parleyd", "MainPID"), before)
        told = self.host.run("journalctl", "-u", "parleyd", "-o", "cat")
        self.assertRegex(told, "upgraded before=.* release=0.9 clients=0 told=0")
        self.assertIn("parley 0.9", self.host.run("parleyd", "status", "--connect", SOCKET))
        self.send("after it")
        self.assertIn("after it", self.check())
        self.configure("patience = soon")
        done = self.host.run("systemctl", "reload", "parleyd", check=False)
        self.assertIn("failed", done)
        told = self.host.run("journalctl", "-u", "parleyd", "-o", "cat")
        self.assertRegex(told, "not-upgraded reason=.*patience")
        self.assertEqual(self.host.shows("parleyd", "MainPID"), before)
        self.assertIn("parley OK", self.host.run("parleyd", "check", "--connect", SOCKET))
        self.host.run("systemctl", "kill", "--signal=HUP", "parleyd")
        self.host.until_logged("parleyd", "reloaded")

    def configure(self, line: str) -> None:
        self.host.run("sh", "-c", "umask 022 && mkdir -p /etc/parley && "
                                  f"printf '[limits]\\n{line}\\n' >/etc/parley/parleyd.conf")

    def test_the_journal(self) -> None:
        """It has the levels, and the time only once."""
        self.host.run("systemctl", "start", "parleyd")
        self.host.run("parleyd", "announce", "--connect", SOCKET, "hello")
        told = self.host.run("journalctl", "-u", "parleyd", "-o", "cat", "-p", "5")
        self.assertIn("operation address=unix:root order=announce", told)
        self.assertNotIn("listening", told)
        everything = self.host.run("journalctl", "-u", "parleyd", "-o", "cat")
        self.assertRegex(everything, "(?m)^listening address=unix:/run/parley/parley.sock$")

    def test_killed(self) -> None:
        """It comes back, with all that was acknowledged."""
        self.host.run("systemctl", "start", "parleyd")
        self.send("before")
        before = self.host.shows("parleyd", "MainPID")
        self.host.run("kill", "-9", before)
        self.host.until("parleyd", "NRestarts", "1")
        self.host.until("parleyd", "ActiveState", "active")
        self.assertIn("before", self.check())

    def test_a_loop_that_turns_no_more(self) -> None:
        """The watchdog ends it, and it comes back."""
        directory = "/etc/systemd/system/parleyd.service.d"
        self.host.run("mkdir", "-p", directory)
        self.host.run("sh", "-c", f"printf '[Service]\\nWatchdogSec=6\\n' >{directory}/test.conf")
        self.addCleanup(self.host.run, "systemctl", "daemon-reload")
        self.addCleanup(self.host.run, "rm", f"{directory}/test.conf")
        self.host.run("systemctl", "daemon-reload")
        self.host.run("systemctl", "start", "parleyd")
        before = self.host.shows("parleyd", "MainPID")
        time.sleep(8)                           # a daemon that turns is left alone
        self.assertEqual(self.host.shows("parleyd", "MainPID"), before)
        self.host.run("kill", "-STOP", before)
        self.host.until("parleyd", "NRestarts", "1")
        self.host.until("parleyd", "ActiveState", "active")
        self.assertNotEqual(self.host.shows("parleyd", "MainPID"), before)

    def test_socket_activation(self) -> None:
        """The first caller starts it; while it is started anew, callers wait."""
        self.host.run("systemctl", "start", "parleyd.socket")
        self.assertEqual(self.host.shows("parleyd", "ActiveState"), "inactive")
        self.send("wake up")
        self.assertEqual(self.host.shows("parleyd", "ActiveState"), "active")
        for number in range(3):
            self.host.run("systemctl", "restart", "--no-block", "parleyd")
            self.send(f"while it is started anew, {number}")
        found = self.check()
        for number in range(3):
            self.assertIn(f"while it is started anew, {number}", found)

    def test_as_another_login(self) -> None:
        self.host.run("systemctl", "start", "parleyd")
        told = self.host.run("setpriv", "--reuid", "2", "--regid", "2", "--clear-groups", "env",
                             "HOME=/tmp", "parley", "--name", "bin", "--no-archive", "--who")
        self.assertIn("No other client.", told)

    def test_uninstalled(self) -> None:
        kept = self.host.run("find", "/usr/lib/systemd", "/usr/lib/sysusers.d", "-name", "*parley*")
        self.assertEqual(len(kept.split()), 4)

    def test_rc_script(self) -> None:
        """For a host without systemd: start, status, reload, restart, stop."""
        rc = "/usr/share/parley/rc/parleyd"
        self.assertIn("parleyd started", self.host.run(rc, "start"))
        self.assertIn("runs already", self.host.run(rc, "start"))
        self.send("by rc")
        self.assertIn("runs, pid", self.host.run(rc, "status"))
        self.host.run(rc, "reload")
        self.assertIn("parleyd started", self.host.run(rc, "restart"))
        self.assertIn("by rc", self.check())
        self.assertIn("parleyd stopped", self.host.run(rc, "stop"))
        self.assertIn("does not run", self.host.run(rc, "status", check=False))
        self.host.run("rm", "-rf", "/run/parley")


@unittest.skipIf(WHY_NOT, WHY_NOT)
@unittest.skipUnless(shutil.which("dpkg-deb"), "needs dpkg")
class Package(unittest.TestCase):
    def test_a_newer_one_drops_nobody(self) -> None:
        """dpkg installs it over the one whose daemon runs, which becomes the new one."""
        with Machine() as host:
            host.run("cp", "-r", "/tmp/tree", "/tmp/copy")

            def install(release: str) -> None:
                host.run("sed", "-i", f's/^RELEASE = .*/RELEASE = "{release}"/',
                         "/tmp/copy/terminal/usage.py")
                host.run("make", "-s", "-C", "/tmp/copy", "deb")
                host.run("dpkg", "-i", "--force-depends",
                         f"/tmp/copy/dist/parley_{release}_all.deb")

            install("0.8")
            host.run("systemctl", "start", "parleyd")
            before = host.shows("parleyd", "MainPID")
            host.run("parley", "--name", "cron", "--send", "cron", "before")
            install("0.9")
            self.assertEqual(host.shows("parleyd", "MainPID"), before)
            self.assertIn("parley 0.9", host.run("parleyd", "status", "--connect", SOCKET))
            host.until_logged("parleyd", "upgraded before=0.8 release=0.9")
            self.assertIn("before", host.run("parley", "--name", "cron", "--check"))
            host.run("dpkg", "-r", "parley")
            self.assertEqual(host.shows("parleyd", "ActiveState"), "inactive")


class Told(unittest.TestCase):
    """The protocols, without systemd."""

    def setUp(self) -> None:
        self.home = self.enterContext(tempfile.TemporaryDirectory())
        self.manager = self.enterContext(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.manager.bind(self.home + "/notify")
        self.manager.settimeout(5)

    def hears(self) -> str:
        return self.manager.recv(4096).decode()

    def test_what_it_hears(self) -> None:
        environ = {"NOTIFY_SOCKET": self.home + "/notify", "WATCHDOG_USEC": "20000000",
                   "WATCHDOG_PID": str(os.getpid()), "HOME": "/"}
        supervisor = Supervisor.take(environ)
        self.assertEqual(environ, {"HOME": "/"})        # no child speaks in our name
        supervisor.ready()
        self.assertEqual(self.hears(), "READY=1")
        supervisor.reloading()
        self.assertRegex(self.hears(), r"^RELOADING=1\nMONOTONIC_USEC=\d+$")
        heard = []
        self.manager.settimeout(0.01)
        for second in range(100):
            supervisor.look(second, f"{second} connected")
            with self.subTest(second=second):
                try:
                    while True:
                        heard.append((second, self.hears()))
                except TimeoutError:
                    pass
        alive = [second for second, said in heard if said == "WATCHDOG=1"]
        self.assertEqual(alive, list(range(0, 100, 8)))         # each half of 20 s, and 2 s before
        said = [second for second, said in heard if said.startswith("STATUS=")]
        self.assertEqual(said, list(range(0, 100, 10)))

    def test_of_another_process(self) -> None:
        """A child of the one that is watched does not speak for it."""
        self.assertEqual(Supervisor.take({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "9",
                                          "WATCHDOG_PID": "1"}).watchdog, 0.0)
        self.assertEqual(handed_over({"LISTEN_FDS": "1", "LISTEN_PID": "1"}), [])

    def test_a_manager_that_does_not_read(self) -> None:
        """The daemon never waits for it."""
        supervisor = Supervisor(self.home + "/notify")
        for _ in range(1000):
            supervisor.ready()
        Supervisor(self.home + "/nobody").ready()
        Supervisor("@parley-nobody").ready()

    def handed(self, sock: socket.socket) -> list[socket.socket]:
        environ = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": "a"}
        with mock.patch("server.supervisor.FIRST", sock.fileno()):
            found = handed_over(environ)
        self.assertEqual(environ, {})
        return found

    def test_sockets(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            found, = self.handed(listener)
            self.assertEqual(address_of(found), f"127.0.0.1:{listener.getsockname()[1]}")
            found.detach()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.home + "/sock")
            listener.listen()
            found, = self.handed(listener)
            self.assertEqual(address_of(found), f"unix:{self.home}/sock")
            found.detach()

    def test_what_can_not_be_listened_at(self) -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            with self.assertRaisesRegex(ValueError, "does not listen"):
                self.handed(sock)
            sock.detach()
        with open(Path(self.home, "file"), "w") as file, \
                mock.patch("server.supervisor.FIRST", file.fileno()), \
                self.assertRaisesRegex(ValueError, "is no socket"):
            handed_over({"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())})


if __name__ == "__main__":
    unittest.main()
