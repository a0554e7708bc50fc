"""What a daemon still owes when it falls quiet for an upgrade, and what it is told meanwhile."""
import contextlib
import itertools
import json
import os
import signal
import socket
import sys
import tempfile
import unittest
from unittest import mock

import wire
from net.address import parse
from rules import pages, publication, slices
from rules.bans import Ban
from rules.claims import Identity
from rules.state import Caller
from server import startup
from server.handover import Handover, Inherited, read_connection
from server.options import parse as parse_options
from server.signals import KNOWN, Signals
from server.sockets import file_at, open_listener
from server.upgrade import QUIET_SECONDS, READY, NotUpgraded
from store.backends import NoBackend
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

    def test_an_order_that_takes_long(self):
        """As that for an upgrade does, while a seal is under way."""
        asking = self.service.connect(ROOT)
        with mock.patch.object(self.service.daemon.operations.upgrade, "_try"):
            asking.say(wire.Operate(("upgrade",)))
            self.service.forward(self.service.limits.login_seconds * 3)
        self.assertFalse(asking.is_disconnected())
        self.service.upgrade()
        self.assertEqual(asking.hears(wire.Report).code, os.EX_OK)

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

    def test_work_that_does_not_end(self):
        self.service.daemon.board.slices.begin(itertools.count())
        with self.turns(), mock.patch("server.pace.SLICE_MAX", 0), \
                mock.patch("server.pace.SLICE", 0):
            self.upgrade.go()
        self.assertEqual(self.became, [])
        self.assertIn("too much", self.service.notes.events("not-upgraded")[0]["reason"])

    def test_long_answers_are_not_waited_for(self):
        """A thousand clients that list ten thousand names could hold an upgrade up for ever."""
        for n in range(8):
            self.service.mailbox.register(f"n{n}", 1)
        self.ann.listen()
        for number in range(3):
            self.ann.sock.sendall(wire.encode(wire.List(number + 1)))
        with mock.patch.object(publication, "PAGE", 1), mock.patch.object(slices, "STEP", 1), \
                mock.patch("server.pace.SLICE_MAX", 0), mock.patch("server.pace.SLICE", 0):
            self.service.daemon.turn(0)
            self.upgrade.go()
            (document,) = json.loads(json.dumps(self.became))
            (listing,) = [each["client"]["log"] for each in document["connections"]
                          if each["client"]["name"] == "ann"]
            self.assertEqual(listing[1], 1)
            self.assertLess(listing[2], 9)
            self.service.upgrade()
            self.service.run()
        self.assertEqual([said.request for said in self.ann.hears_all(wire.Roster) if said.last
                          and said.request], [1])

    def test_nobody_goes_for_an_upgrade_that_can_not_be(self):
        with mock.patch.object(self.upgrade, "_fall_quiet", side_effect=NotUpgraded("slow")), \
                mock.patch.object(self.upgrade, "_tell_tls") as tell:
            self.upgrade.go()
        tell.assert_not_called()


class Files(unittest.TestCase):
    """The files of Unix sockets in the next program."""

    def setUp(self):
        self.directory = self.enterContext(tempfile.TemporaryDirectory())
        self.where = parse(f"unix:{self.directory}/s")
        self.service = self.enterContext(Service())
        self.doors = self.service.daemon.doors
        listener = open_listener(self.where)
        self.kept = Inherited(listener, str(self.where), True, file_at(self.where.path))
        self.doors.kept = [self.kept]

    def test_the_mode_is_for_the_file_that_the_daemon_made(self):
        self.doors.open([self.where], 0o666)
        self.assertEqual(os.stat(self.where.path).st_mode & 0o777, 0o666)

    def test_no_link_in_its_place_is_followed(self):
        os.unlink(self.where.path)
        with open(self.directory + "/secret", "w") as file:
            os.chmod(file.fileno(), 0o600)
        os.symlink(self.directory + "/secret", self.where.path)
        self.doors.open([self.where], 0o666)
        self.assertEqual(os.stat(self.directory + "/secret").st_mode & 0o777, 0o600)

    def test_the_file_of_another_daemon_in_its_place_stays(self):
        os.unlink(self.where.path)
        with open_listener(self.where):
            self.doors.open([self.where], 0o600)
            self.doors.look(self.service.clock.monotonic, now=True)
            self.assertIn("another file", self.service.notes.events("socket-lost")[0]["reason"])
            self.doors.close()
            self.assertIsNotNone(file_at(self.where.path))

    def test_nor_is_it_removed_with_a_place_that_is_given_up(self):
        os.unlink(self.where.path)
        with open_listener(self.where):
            self.doors.give_up()
            self.assertIsNotNone(file_at(self.where.path))


class Started(unittest.TestCase):
    """What a program looks at before it takes over: later it would drop everybody."""

    def setUp(self):
        self.directory = self.enterContext(tempfile.TemporaryDirectory())
        self.service = self.enterContext(Service())

    def check(self, *words):
        """What it says, with these options, in place of this daemon."""
        document = self.service.daemon.operations.upgrade._document() | {"is_terminal": False}
        with mock.patch("server.startup.say") as say, \
                mock.patch("server.startup.die", side_effect=SystemExit) as die, \
                contextlib.suppress(SystemExit):
            startup.check_config(parse_options(["--state", self.service.store, *words]),
                                 Handover(document, read_connection))
        return str((die if die.called else say).call_args.args[-1])

    def test_it_can(self):
        self.assertEqual(self.check("--log", self.directory + "/log"), READY)
        os.symlink(self.service.store, self.directory + "/link")
        self.assertEqual(self.check("--state", self.directory + "/link"), READY)

    def test_another_store(self):
        self.assertIn(f"the daemon serves {os.path.realpath(self.service.store)}, and",
                      self.check("--state", self.directory))

    def test_a_log_that_can_not_be_opened(self):
        self.assertIn("could not be opened: No such file",
                      self.check("--log", self.directory + "/not/there"))

    def test_a_table_without_a_terminal(self):
        self.assertIn("needs a terminal", self.check("--console", "table"))

    def test_a_library_that_is_missing(self):
        with mock.patch("server.startup.choose", side_effect=NoBackend("it is missing")):
            self.assertIn("it is missing", self.check())

    def test_bans_that_changed_meanwhile(self):
        ann, bob = self.service.users("ann", "bob")
        board = self.service.daemon.board
        board.bans.load([Ban("name", "bob", "bob", "", "")])
        board.slices.begin(self.service.daemon.operations.banned.put_out(self.service.clock))
        self.assertTrue(bob.is_disconnected())
        self.assertFalse(ann.is_disconnected())


class Tried(unittest.TestCase):
    def setUp(self):
        self.service = self.enterContext(Service())
        self.upgrade = self.service.daemon.operations.upgrade

    def test_one_that_says_more_than_anybody_reads(self):
        with mock.patch.object(sys, "orig_argv", [sys.executable, "-c", "import time\n"
                                                  f"print('x' * 9999 + '\\n{READY}', flush=True)\n"
                                                  "time.sleep(60)"]):
            self.upgrade.begin()
        while not self.upgrade._told:
            with mock.patch("server.upgrade.os.read", wraps=os.read) as read:
                self.service.daemon.turn(0.01)
            self.assertLessEqual(read.call_count, 1)
        with mock.patch("server.upgrade.os.waitpid", return_value=(0, 0)) as waitpid:
            self.service.forward(60)            # it does not go, whatever is done to it
            self.service.forward(60)
            self.assertEqual({call.args[1] for call in waitpid.call_args_list}, {os.WNOHANG})
        self.assertIn("in time", self.service.notes.events("not-upgraded")[0]["reason"])
        (pid,) = self.upgrade._ending
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        self.service.forward(1)
        self.assertEqual(self.upgrade._ending, [])
        self.assertRaises(ChildProcessError, os.waitpid, pid, 0)


if __name__ == "__main__":
    unittest.main()
