"""What a daemon still owes when it falls quiet for an upgrade, and what it is told meanwhile."""
import contextlib
import os
import signal
import socket
import sys
import unittest
from unittest import mock

import wire
from rules import pages, publication
from rules.claims import Identity
from rules.state import Caller
from server.signals import KNOWN, Signals
from server.upgrade import QUIET_SECONDS, NotUpgraded
from tests.harness.service import Service
from tests.server.test_daemon import StalledDisk
from wire import Feature

ROOT = Caller("unix:root", 0)


class Impatient(StalledDisk):
    """Nobody may wait for it."""

    def datasync_ended(self, wait=False):
        assert not wait
        return super().datasync_ended()


class Owed(unittest.TestCase):
    """What is on its way to a peer comes from the next program."""

    def setUp(self):
        self.service = self.enterContext(Service(disk=Impatient(), identity=Identity(
            secret=bytes(32), operators=frozenset({0}))))
        self.ann, self.bob = self.service.users("ann", "bob")

    def connection(self, name):
        return next(each for each in self.service.daemon.connections.values()
                    if each.client and each.client.name == name)

    def test_who_is_put_out_is_told_all(self):
        self.connection("bob").sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        with mock.patch.object(self.bob, "closed", True):       # it does not read
            for n in range(5):
                self.ann.send("bob", f"{n} ".ljust(9000, "x"))
            asking = self.service.connect(ROOT)
            asking.say(wire.Operate(("kick", "bob")))
            self.assertTrue(self.connection("bob").closing)
            self.service.upgrade()
            self.service.upgrade()
        self.assertTrue(self.bob.is_disconnected())
        self.assertEqual(len(self.bob.hears_all(wire.Mail)), 5)
        self.assertIn("by the operator", self.bob.hears_all(wire.Notice)[-1].text)
        self.assertEqual(self.service.notes.events("closed"), [])
        self.assertEqual(self.ann.state("bob"), "not connected")

    def test_who_is_put_out_and_does_not_read(self):
        self.connection("bob").sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        with mock.patch.object(self.bob, "closed", True):
            for n in range(5):
                self.ann.send("bob", f"{n} ".ljust(9000, "x"))
            self.service.connect(ROOT).say(wire.Operate(("kick", "bob")))
            self.service.upgrade()
            self.assertEqual(len(self.service.daemon.strangers), 1)
            self.service.forward(self.service.limits.login_seconds)
        self.assertEqual(len(self.service.daemon.strangers), 0)

    def test_a_report_that_waits_for_the_disk(self):
        asking = self.service.connect(ROOT)
        asking.say(wire.Operate(("retire", "eve")))
        self.assertEqual(asking.hears(wire.Report).code, os.EX_NOUSER)
        asking = self.service.connect(ROOT)
        asking.say(wire.Operate(("retire", "bob")))
        self.service.upgrade()
        self.assertEqual(asking.hears(wire.Report).code, os.EX_OK)
        self.assertTrue(asking.is_disconnected())

    def test_a_sync_that_nobody_waits_for(self):
        disk = self.service.mailbox.disk
        self.ann.send("bob", "hi")
        disk.is_stalled = True
        self.bob.confirm(self.bob.hears(wire.Mail))
        turn, turns = self.service.daemon.turn, iter(range(9))

        def slow(wait=None, **how):
            disk.is_stalled = next(turns) < 3
            turn(0, **how)
        with mock.patch.object(self.service.daemon, "turn", slow):
            self.service.upgrade()
        self.assertEqual(next(turns), 4 + 1)

    def test_a_status_that_was_cleared(self):
        """One that is behind is not told by who is away now."""
        knowing = self.service.user("eve", features=Feature.STATUS)
        self.bob.say(wire.SetStatus(1, "lunch"))
        knowing.hears(wire.Status, text="lunch")
        with mock.patch.object(pages, "PAUSE_AT", 0):
            self.bob.say(wire.SetStatus(2, ""))
            self.service.upgrade()
            self.service.upgrade()
        knowing.hears(wire.Status, text="")
        knowing.hears_nothing()

    def test_hellos_that_wait_are_none_that_are_silent(self):
        """They were not let in yet, for the daemon read nobody."""
        with Service(self.service.limits._replace(strangers=2, strangers_each=2)) as service:
            with mock.patch("daemon.Daemon._process"):
                waiting = [service.client(f"late{number}") for number in range(2)]
                for connection in service.daemon.strangers:
                    connection.paused = True
                    service.daemon.strangers.keep_waiting(connection)
                new = service.connect()
                service.upgrade()
            self.assertFalse(new.is_disconnected())
            for each in waiting:
                each.hears(wire.Welcome)


class Quiet(unittest.TestCase):
    def setUp(self):
        self.service = self.enterContext(Service(disk=StalledDisk()))
        self.ann, self.bob = self.service.users("ann", "bob")
        self.upgrade = self.service.daemon.operations.upgrade
        self.became = []
        self.enterContext(mock.patch.object(self.upgrade, "become", self.became.append))

    @contextlib.contextmanager
    def turns(self, *before):
        """Each of these is called before a turn; each turn takes a while."""
        turn, calls = self.service.daemon.turn, iter(before)

        def slow(wait=None, **how):
            next(calls, lambda: None)()
            self.service.clock.forward(QUIET_SECONDS / 9)
            turn(0, **how)
        with mock.patch.object(self.service.daemon, "turn", slow):
            yield

    def test_a_daemon_that_is_told_to_end_ends(self):
        came = self.service.daemon.signals.came
        with mock.patch("daemon.end_at_next") as end_at_next, \
                self.turns(lambda: None, lambda: came.append(signal.SIGTERM)):
            self.upgrade.go()
        end_at_next.assert_called_once()
        self.assertEqual((self.service.daemon.signal, self.became), (signal.SIGTERM, []))
        self.assertIn("told to end", self.service.notes.events("not-upgraded")[0]["reason"])

    def test_a_signal_that_the_loop_did_not_see_waits_for_the_next_program(self):
        signals = Signals()
        signals.came.append(signal.SIGUSR1)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            signals.leave()
            self.assertEqual(signal.sigtimedwait(KNOWN, 0).si_signo, signal.SIGUSR1)
            self.assertEqual(signals.came, [])
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def test_who_goes_meanwhile_is_published_at_once(self):
        """With thousands of subscribers that takes longer than all may wait."""
        daemon = self.service.daemon
        (client,) = [each for each in daemon.connection_of if each.name == "bob"]
        with mock.patch.object(publication, "PUBLISH_COST", 10.0), self.turns(
                lambda: None, lambda: daemon.board.door.leave(client, "gone", daemon.now)):
            daemon.board.roster.changed(client)
            self.upgrade.go()
        self.assertEqual(len(self.became), 1)

    def test_work_in_slices_is_done_before(self):
        steps = iter(range(500))

        def work():
            for _ in steps:
                yield
        self.service.daemon.board.slices.begin(work())
        with mock.patch("server.pace.SLICE_MAX", 0), mock.patch("server.pace.SLICE", 0):
            self.upgrade.go()
        self.assertEqual((list(steps), len(self.became)), ([], 1))

    def test_nobody_goes_for_an_upgrade_that_can_not_be(self):
        with mock.patch.object(self.upgrade, "_fall_quiet", side_effect=NotUpgraded("slow")), \
                mock.patch.object(self.upgrade, "_tell_tls") as tell:
            self.upgrade.go()
        tell.assert_not_called()


class Tried(unittest.TestCase):
    def setUp(self):
        self.service = self.enterContext(Service())
        self.upgrade = self.service.daemon.operations.upgrade

    def test_one_that_says_more_than_anybody_reads(self):
        with mock.patch.object(sys, "orig_argv", [sys.executable, "-c", "import time\n"
                                                  "print('x' * 9999, flush=True)\ntime.sleep(60)"]):
            self.upgrade.begin()
        while not self.upgrade._told:
            with mock.patch("server.upgrade.os.read", wraps=os.read) as read:
                self.service.daemon.turn(0.01)
            self.assertLessEqual(read.call_count, 1)
        with mock.patch("server.upgrade.os.waitpid", return_value=(0, 0)) as waitpid:
            self.service.forward(60)            # it does not go, whatever is done to it
            self.service.forward(60)
            self.assertEqual({call.args[1] for call in waitpid.call_args_list}, {os.WNOHANG})
        self.assertEqual(len(self.service.notes.events("not-upgraded")), 1)
        (pid,) = self.upgrade._ending
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        self.service.forward(1)
        self.assertEqual(self.upgrade._ending, [])
        self.assertRaises(ChildProcessError, os.waitpid, pid, 0)


if __name__ == "__main__":
    unittest.main()
