"""Uids that are one user, and uids that nobody can tell apart."""
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import wire
from net import uids
from net.logins import Logins
from net.uids import LOOK_SECONDS, Subuids, other_source, untold_uid
from rules.claims import Identity
from rules.state import Caller
from server.console import Console
from server.options import Limits
from tests.harness.process import DaemonProcess
from tests.harness.service import Service
from wire import Why

ANN, BOB = 1001, 1002
ROWS = "ann:100000:65536\n1002:165536:65536\ngone:300000:10\n# a comment\nbad:row\nann:x:1\n"


class Files(unittest.TestCase):
    def setUp(self):
        self.home = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def file(self, constant, text):
        path = self.home / constant
        path.write_text(text)
        self.enterContext(mock.patch.object(uids, constant, str(path)))
        return path


class Subordinate(Files):
    def test_ranges(self):
        self.file("SUBUID", ROWS)
        found = Subuids({"ann": ANN}.get)
        for uid, login in ((99_999, 99_999), (100_000, ANN), (165_535, ANN), (165_536, BOB),
                           (231_071, BOB), (231_072, 231_072), (300_004, 300_000),
                           (300_010, 300_010), (ANN, ANN), (0, 0)):
            self.assertEqual(found.login(uid), login, uid)

    def test_a_list_of_logins_that_is_away(self):
        """Then all of a range is one login at least."""
        def fails(name):
            raise OSError
        self.file("SUBUID", ROWS)
        self.assertEqual({Subuids(fails).login(uid) for uid in (100_000, 150_000)}, {100_000})

    def test_a_file_that_changes_or_is_not_there(self):
        now = [100.0]
        path = self.file("SUBUID", "")
        found = Subuids({"ann": ANN}.get, lambda: now[0])
        self.assertEqual(found.login(100_000), 100_000)
        path.write_text(ROWS)
        self.assertEqual(found.login(100_000), 100_000)
        now[0] += LOOK_SECONDS
        self.assertEqual(found.login(100_000), ANN)
        path.unlink()
        now[0] += LOOK_SECONDS
        self.assertEqual(found.login(100_000), 100_000)

    def test_other_sources(self):
        for text, source in (("subid: sss\n", "sss"), ("passwd: files sss\n", ""),
                             ("subid:  files # sss\n", ""), ("subid: files sss\n", "sss")):
            self.file("SOURCES", text)
            self.assertEqual(other_source(), source)
        with mock.patch.object(uids, "SOURCES", "/nonexistent"):
            self.assertEqual(other_source(), "")

    def test_they_are_one_host(self):
        """At a door: the share of one login in clients and names, and its names for itself."""
        self.file("SUBUID", "1001:100000:65536\n")
        limits = Limits(1000, clients_each=3, new_names=2)
        identity = Identity(False, b"secret" * 6, {"ann": ANN}.get)
        with Service(limits, identity=identity) as service:
            logins = Logins()

            def caller(uid):
                return Caller(f"unix:{logins.shown(uid)}", uid, login=logins.counts_for(uid))
            own, *subordinate = (caller(uid) for uid in (ANN, 100_000, 100_001, 165_535))
            self.assertTrue(subordinate[0].address.endswith("/100000"), subordinate[0].address)
            service.user("one", caller=own).hang_up()
            service.user("two", caller=subordinate[0]).hang_up()
            service.client("three", caller=subordinate[1]).hears(wire.Rejected, why=Why.FULL)
            service.user("other", caller=caller(2000))
            for name in "one", "ann":               # not by a container
                said = service.client(name, caller=subordinate[0]).hears(wire.Rejected)
                self.assertEqual(said.why, Why.DENIED)
            service.mailbox.register("free", 1)
            service.mailbox.register("free2", 1)
            for name, who in (("one", own), ("two", subordinate[0]), ("free", subordinate[1])):
                service.user(name, caller=who)
            over = service.client("free2", caller=subordinate[2])
            self.assertIn("clients are connected", over.hears(wire.Rejected, why=Why.FULL).reason)

    def test_a_login_in_such_a_range(self):
        """As a directory may give it: it is itself.  What is remembered of others is bounded."""
        self.file("SUBUID", "1001:100000:65536\n")
        names = {ANN: "ann", 100_007: "dora"}

        def entry(uid):
            return SimpleNamespace(pw_name=names[uid])
        with mock.patch("pwd.getpwuid", entry), mock.patch("net.logins.REMEMBER_MAX", 5):
            logins = Logins()
            self.assertEqual([logins.counts_for(uid) for uid in (100_006, 100_007)], [ANN, 100_007])
            self.assertEqual([logins.shown(uid) for uid in (100_006, 100_007, ANN, 7)],
                             ["ann/100006", "dora", "ann", "7"])
            for uid in range(100_010, 100_030):
                self.assertEqual(logins.shown(uid), f"ann/{uid}")
            self.assertLessEqual(len(logins._names), 5)

    def test_their_lines_are_one_login_s(self):
        console = Console("none", -1, lambda: 0)
        self.assertEqual(console._login({"address": "unix:ann/100005"}), "unix:ann")
        self.assertEqual(console._login({"address": "unix:ann"}), "unix:ann")


class Namespaces(Files):
    def test_what_a_map_leaves_untold(self):
        self.file("OVERFLOW", "65534\n")
        for text, untold in (("         0          0 4294967295\n", None),
                             ("", 65534), ("0 1000 1\n", 65534),
                             ("0 1000 1\n1 100000 65536\n", 65534),
                             ("0 0 1\n1 1 4294967294\n", None)):
            self.file("UID_MAP", text)
            self.assertEqual(untold_uid(), untold, text)
        with mock.patch.object(uids, "UID_MAP", "/nonexistent"):
            self.assertIsNone(untold_uid())

    def test_nobody_comes_in_as_everybody(self):
        """Whatever the name; and over TCP as ever."""
        identity = Identity(False, b"secret" * 6, {"ann": ANN}.get, frozenset({0}), untold=65534)
        with Service(identity=identity) as service:
            for name in "ann", "free":
                said = service.client(name, caller=Caller("unix:nobody", 65534)).hears(
                    wire.Rejected, why=Why.DENIED)
                self.assertIn("user namespace", said.reason)
            service.user("free", caller=Caller("192.0.2.1:1"))
            service.user("root2", caller=Caller("unix:root", 0))

    @unittest.skipUnless(shutil.which("unshare"), "unshare is not installed")
    def test_a_daemon_that_knows_nobody(self):
        """unshare -U: all uids are alike, its own too."""
        works = subprocess.run(["unshare", "-U", "true"], capture_output=True)
        if works.returncode:
            self.skipTest("this host has no user namespaces")
        with DaemonProcess(under=("unshare", "-U"), console="log", bare=True) as daemon:
            with self.assertRaisesRegex(AssertionError, "user namespace"):
                daemon.client("ann")
            self.assertEqual(daemon.end(signal.SIGTERM), 0)
            self.assertRegex(daemon.output(), r"(?s)untold .*rejected name=ann .* user namespace")


if __name__ == "__main__":
    unittest.main()
