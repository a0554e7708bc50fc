"""An upgrade in one process: a daemon falls quiet, and another one goes on with its descriptors and
what it says of them.  tests/programs/test_upgrade.py has the same with exec(2)."""
import contextlib
import json
import os
import random
import socket
import ssl
import sys
import time
import unittest
from unittest import mock

import wire
from rules import pages, promises
from rules.claims import Identity
from rules.door import BRIEF
from rules.errands import CHECK_SECONDS
from rules.invitations import PATIENCE
from rules.looking import Answer
from rules.receipts import Tracing
from rules.state import Caller, ChatState, Client, Errand, Invitation, LogCopy, Session
from rules.window import WINDOW, Stream, Window
from server.connection import Connection
from server.handover import (
    FORMAT,
    TRIED,
    VARIABLE,
    BadHandover,
    Handover,
    named,
    take,
    written,
)
from server.heartbeat import ANSWER_SECONDS
from server.options import LOGIN_SECONDS, SILENCE_SECONDS, Limits
from server.upgrade import QUIET_SECONDS, READY, TRY_SECONDS
from tests.harness.process import FULL, effort
from tests.harness.service import Service
from tests.rules.test_identity import ITERATIONS, House, tcp, unix
from tests.server.test_daemon import StalledDisk
from tests.server.test_handshakes import House as TlsHouse
from tests.specifications import (
    test_spec_asynchronous_server,
    test_spec_chat_app,
    test_spec_message_service,
    test_spec_p2p_chat,
    test_spec_persistent_messaging,
)
from wire import Feature, SendFlag, Why

OPERATOR, BILL = Caller("unix:root", 0), Caller("unix:bill", 1007)
# Fields of what a peer would miss: those that are handed over, in whatever form, and those that the
# next program makes anew, or that are empty when all is quiet.
HANDED = {
    Client: "address caller chats checkable features has_left holding host is_operator log_copy "
            "presented_token since token told_waiting uid usage user welcomed window",
    Errand: "session_of", Window: "checking flags live messages past size",
    Stream: "at flags request start total upto",
    Session: "is_group members number",
    Invitation: "accepted expires invited inviter number",
    ChatState: "invitations inviting pledged session withheld",
    LogCopy: "list_request listed_upto point sent_upto",
    Answer: "at request room upto", Tracing: "asked",
    Connection: "caller client decoder due ended frames heard next opened pinged place question "
                "sock unsent"}
ANEW = {
    Client: "backlog greeting out work", Session: "lines spans", Tracing: "at names place waiting",
    Connection: "_is_watched _owner _selector closing mask paused share"}


class Fields(unittest.TestCase):
    def test_each_is_handed_over_or_made_anew(self):
        """Who adds one says here what becomes of it."""
        for kind, handed in HANDED.items():
            known = [*handed.split(), *ANEW.get(kind, "").split()]
            self.assertEqual(sorted(known), sorted(kind.__slots__), kind.__name__)


class GoesOn(unittest.TestCase):
    """What clients were in the midst of."""

    def setUp(self):
        self.service = self.enterContext(Service(identity=Identity(secret=bytes(32))))
        self.ann, self.bob, self.eve = self.service.users("ann", "bob", "eve")
        self.service.forward(1)                 # the last to come is told to all
        for each in (self.ann, self.bob, self.eve):
            each.listen()

    def upgrade(self):
        self.service.upgrade()
        self.assertEqual(self.service.notes.events("upgraded")[-1]["clients"],
                         len(self.service.daemon.board.errands.everybody()))

    def test_nobody_hears_of_it(self):
        for _ in range(3):
            self.upgrade()
        for each in (self.ann, self.bob, self.eve):
            with self.assertRaises(BlockingIOError):
                each.sock.recv(1)
            self.assertEqual(each.state("bob"), "available")
            each.hears_nothing()
        self.bob.hang_up()
        self.assertEqual(self.ann.state("bob"), "not connected")

    def test_it_says_the_same_of_itself(self):
        self.ann.say(wire.Invite(1, ("bob", "eve")))
        number = self.bob.hears(wire.Invitation).invitation
        self.eve.say(wire.Answer(number, 1), wire.SetStatus(1, "lunch"), wire.Join(2, "#ops"))
        self.ann.send("bob", "hi")
        said = []
        for _ in range(3):
            upgraded = self.service.daemon.operations.upgrade
            with mock.patch.object(upgraded, "become", said.append):
                upgraded.go()
            self.upgrade()
        for document in said:
            del document["began"], document["children"]
            for each in document["connections"]:
                del each["fd"]
        self.assertEqual(said[1], said[2])
        self.assertEqual(len(said[1]["connections"]), 3)

    def test_when_somebody_was_here_last(self):
        """That waits for the next batch, which is written before."""
        self.bob.hang_up()
        seen = self.service.mailbox.find("bob").last_seen
        self.upgrade()
        self.assertEqual(self.service.mailbox.find("bob").last_seen, seen)

    def test_half_a_frame(self):
        frame = wire.encode(wire.Ping(7))
        for cut in range(1, len(frame)):
            self.ann.say_bytes(frame[:cut])
            self.upgrade()
            self.ann.say_bytes(frame[cut:])
            self.ann.hears(wire.Pong, stamp=7)

    def test_frames_that_wait(self):
        """Of one that had its share."""
        with Service(Limits(1000, rate=5, new_names=0)) as slow:
            ann = slow.user("ann")
            ann.sock.sendall(b"".join(wire.encode(wire.Ping(n)) for n in range(8)))
            slow.daemon.turn(0)
            slow.upgrade()
            slow.forward(10)
            self.assertEqual([said.stamp for said in ann.hears_all(wire.Pong)], list(range(8)))

    def test_what_a_client_does_not_take(self):
        connection = next(each for each in self.service.daemon.connections.values()
                          if each.client.name == "bob")
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        texts = [f"{n} ".ljust(9000, "x") for n in range(40)]
        with mock.patch.object(self.bob, "closed", True):       # it does not read
            for text in texts:
                self.ann.send("bob", text)
                if len(text) % 3:
                    continue
            self.assertTrue(connection.unsent)
            self.upgrade()
            self.upgrade()
        found = []
        while mails := self.bob.hears_all(wire.Mail):
            found += [said.text for said in mails]
            self.bob.confirm(*mails)
        self.assertEqual(found, texts)

    def test_a_window_that_is_full(self):
        for n in range(3):
            self.ann.say(*(wire.Send(self.ann.id(), 0, ("bob",), f"{n} {m}") for m in range(500)))
        mails = self.bob.hears_all(wire.Mail)
        self.assertEqual(len(mails), WINDOW)
        self.upgrade()
        self.bob.hears_nothing()
        self.bob.say(wire.Confirm(mails[0].id, mails[-1].id))
        self.assertEqual(len(self.bob.hears_all(wire.Mail)), 500)

    def test_a_check(self):
        self.bob.hang_up()
        self.ann.say(*(wire.Send(self.ann.id(), 0, ("bob",), f"{n}") for n in range(1500)))
        bob = self.service.user("bob")
        bob.say(wire.Check(3))
        mails = bob.hears_all(wire.Mail)
        self.assertEqual(len(mails), WINDOW)
        self.upgrade()
        self.ann.send("bob", "live")
        bob.say(wire.Confirm(mails[0].id, mails[-1].id))
        rest = bob.hears_all(wire.Mail)
        self.assertEqual(sum(bool(said.flags & SendFlag.CHECK) for said in rest), 500)
        self.assertEqual([said.text for said in rest if not said.flags & SendFlag.CHECK], ["live"])
        bob.hears(wire.Checked, request=3, total=1500)

    def test_a_check_that_waits_for_another(self):
        bob = self.service.user("bill", caller=BILL)
        bob.say(wire.Hold(1, 1))
        self.ann.send("bill", "hi")
        bob.say(wire.Check(1))
        errand = self.service.user("bill", features=BRIEF, caller=BILL)
        errand.say(wire.Check(2))
        self.upgrade()
        self.assertEqual(errand.hears_all(wire.Mail), [])
        self.service.forward(CHECK_SECONDS)
        self.assertEqual([said.text for said in errand.hears_all(wire.Mail)], ["hi"])

    def test_who_holds(self):
        self.bob.say(wire.Hold(1, 1))
        self.bob.hears_all(wire.Done)
        self.upgrade()
        self.ann.send("bob", "hi")
        self.assertEqual(self.bob.hears_all(wire.Mail), [])
        self.assertEqual(self.bob.waiting, 1)

    def test_a_chat_and_its_group(self):
        self.ann.say(wire.Invite(1, ("bob", "eve")))
        number = self.bob.hears(wire.Invitation).invitation
        self.eve.hears(wire.Invitation)
        self.bob.say(wire.Answer(number, 1))
        self.upgrade()
        self.eve.say(wire.Answer(number, 1))
        chat = self.ann.hears_all(wire.Started)[0].chat
        self.upgrade()
        self.assertEqual(self.ann.state("bob"), "chatting with ann, eve")
        self.ann.say(wire.Say(2, chat, "hello"))
        for each in (self.bob, self.eve):
            self.assertEqual([said.text for said in each.hears_all(wire.Line)], ["hello"])
        self.bob.hang_up()
        self.assertEqual(self.ann.hears_all(wire.Left)[0].by, "bob")
        self.eve.say(wire.Say(3, chat, "Quit"))
        self.assertEqual(self.ann.hears_all(wire.Ended)[0].by, "eve")
        self.ann.say(wire.Invite(4, ("eve",)))
        self.assertGreater(self.ann.hears_all(wire.Inviting)[-1].invitation, chat)

    def test_an_invitation_ends_in_its_time(self):
        self.ann.say(wire.Invite(1, ("bob",)))
        self.service.forward(PATIENCE - 1)
        self.upgrade()
        self.assertEqual(self.bob.hears_all(wire.CalledOff), [])
        self.service.forward(1)
        self.assertEqual(self.bob.hears_all(wire.CalledOff)[0].why, Why.EXPIRED)

    def test_an_invitation_that_is_withheld(self):
        self.bob.say(wire.Ignore(1, 1, "ann"))
        self.ann.say(wire.Invite(1, ("bob",)))
        self.upgrade()
        self.assertEqual(self.bob.hears_all(wire.Invitation), [])
        self.ann.hang_up()
        self.assertEqual(self.bob.hears_all(wire.CalledOff), [])
        self.assertEqual(self.service.daemon.board.invitations.pending, {})

    def test_rooms_and_statuses(self):
        self.ann.say(wire.Join(1, "#ops"))
        self.bob.say(wire.Join(1, "#ops"), wire.SetStatus(2, "lunch"))
        self.upgrade()
        self.assertEqual(self.service.daemon.board.rooms.find("#ops").here, 2)
        told = self.service.user("sam", features=Feature.STATUS).hears(wire.Status)
        self.assertEqual(told, wire.Status("bob", "lunch"))
        self.ann.hang_up()
        self.assertEqual(self.service.daemon.board.rooms.find("#ops").here, 1)

    def test_pages_for_one_that_does_not_read(self):
        """A LIST, OUTCOMES of many names and the lines of a room go on when it reads."""
        for n in range(5):
            self.service.mailbox.register(f"n{n}", 1)
        self.ann.say(wire.Join(1, "#ops"))
        self.ann.send("#ops", "line")
        self.ann.listen()
        self.ann.heard.clear()
        sends = wire.Send(self.ann.id(), SendFlag.EVERYONE, (), "hi")
        with mock.patch.object(promises, "OUTCOME_NAMES", 1), \
                mock.patch.object(promises, "PAGES_AT_ONCE", 1), \
                mock.patch.object(pages, "PAUSE_AT", 0):
            self.ann.sock.sendall(b"".join(map(wire.encode, (
                wire.List(4), wire.Recall(5, "#ops"), sends))))
            self.service.daemon.turn(0)
            self.service.upgrade()
            self.service.run()
        self.service.run()
        self.assertEqual(len(self.ann.hears_all(wire.Outcomes)), 5)
        self.assertEqual([said.texts for said in self.ann.hears_all(wire.Past)], [("line",)])
        self.assertTrue(any(said.request == 4 and said.last
                            for said in self.ann.hears_all(wire.Roster)))

    def test_who_has_said_all_is_still_answered(self):
        self.ann.sock.sendall(wire.encode(wire.Ping(1)))
        self.ann.sock.shutdown(socket.SHUT_WR)
        self.service.daemon.turn(0)
        self.upgrade()
        self.ann.hears(wire.Pong, stamp=1)
        self.assertTrue(self.ann.is_disconnected())

    def test_the_same_program_comes_back(self):
        self.upgrade()
        again = self.service.client("ann", token=self.ann.welcome.token)
        again.hears(wire.Welcome)
        self.assertTrue(self.ann.is_disconnected())

    def test_deadlines_go_on(self):
        stranger = self.service.connect()
        self.service.forward(LOGIN_SECONDS - 1)
        self.upgrade()
        self.assertFalse(stranger.is_disconnected())
        self.service.forward(2)
        self.assertTrue(stranger.is_disconnected())
        for _ in range(SILENCE_SECONDS):
            self.service.forward(1)
        self.ann.hears_all(wire.Ping)
        self.upgrade()
        for _ in range(ANSWER_SECONDS + 1):
            self.service.forward(1)
        self.assertTrue(self.ann.is_disconnected())

    def test_a_drain(self):
        self.service.daemon.board.door.draining = "soon"
        self.service.daemon.operations.drained_at = self.service.clock.monotonic + 5
        self.upgrade()
        self.assertEqual(self.service.client("sam").hears(wire.Rejected).reason, "soon")
        self.service.forward(6)
        self.assertEqual(self.service.daemon.signal, 15)


class Proofs(unittest.TestCase):
    def setUp(self):
        self.enterContext(mock.patch("net.scram.ITERATIONS", ITERATIONS))

    def test_one_that_is_under_way(self):
        with House() as house:
            sam = house.enters("sam", tcp())
            house.claims(sam, "right")
            house.away(sam)
            for passphrase, heard in (("wrong", wire.Rejected), ("right", wire.Verified)):
                client, challenge = house.challenged("sam", tcp())
                house.upgrade()
                house.answers(client, challenge, passphrase)
                client.hears(heard)
                house.forward(1000)

    def test_operators_are_operators(self):
        with House() as house:
            house.enters("boss", unix(0))
            house.upgrade()
            self.assertTrue(house.daemon.board.roster.clients[0].is_operator)


class OverTls(unittest.TestCase):
    def test_they_are_told_and_come_again(self):
        with TlsHouse() as house:
            bob = house.user("bob")
            ann = house.dials("192.0.2.1")
            while not ann.go_on(wire.encode(wire.Hello(wire.VERSION, 0, bytes(16), "ann"))):
                house.run()
                self.assertTrue(ann.is_answered)
            house.run()
            self.assertIn("ann", [each.name for each in house.daemon.connection_of])
            house.upgrade()
            while ann.is_answered:
                pass
            heard = b""
            with contextlib.suppress(ssl.SSLError):
                while part := ann.tls.read(65536):
                    heard += part
            self.assertTrue(heard.endswith(wire.encode(wire.Notice(wire.STOPPING))), heard)
            self.assertEqual([each.name for each in house.daemon.connection_of], ["bob"])
            self.assertEqual(house.notes.events("upgraded")[0]["told"], 1)
            self.assertEqual(bob.state("ann"), "not connected")


class ServesOn(unittest.TestCase):
    """An upgrade that can't be."""

    def setUp(self):
        self.disk = StalledDisk()
        self.service = self.enterContext(Service(disk=self.disk))
        self.ann, self.bob = self.service.users("ann", "bob")
        self.upgrade = self.service.daemon.operations.upgrade
        self.enterContext(mock.patch("os.execve", side_effect=AssertionError))

    def serves(self, reason):
        self.assertRegex(self.service.notes.events("not-upgraded")[-1]["reason"], reason)
        self.assertFalse(self.upgrade.is_under_way)
        self.ann.send("bob", "hi")
        self.bob.hears(wire.Mail, text="hi")
        self.assertEqual([os.get_inheritable(fd) for fd in self.service.daemon.connections],
                         [False, False])

    def test_a_disk_that_stands_still(self):
        self.disk.is_stalled = True
        self.ann.send("bob", "before")
        self.bob.hears(wire.Mail)
        turn = self.service.daemon.turn

        turns = iter(range(9))

        def slow(wait=None, **how):
            next(turns)
            self.service.clock.forward(QUIET_SECONDS / 3)
            turn(0, **how)
        with mock.patch.object(self.service.daemon, "turn", slow):
            self.upgrade.go()
        self.disk.is_stalled = False
        self.service.run()
        self.assertEqual(len(self.ann.hears_all(wire.Stored)), 1)
        self.serves("too slow")

    def test_a_program_that_can_not_be_executed(self):
        with mock.patch("os.execve", side_effect=OSError(2, "No such file")) as execve, \
                mock.patch("signal.pthread_sigmask") as mask:
            self.upgrade.go()
        self.assertEqual(execve.call_args.args[2][VARIABLE].split(":")[::2],
                         [str(FORMAT), str(os.getpid())])
        self.assertEqual(mask.call_count, 2)
        self.serves("No such file")

    def tried(self, code):
        """The trial of a program that is this Python, with this code."""
        with mock.patch.object(sys, "orig_argv", [sys.executable, "-c", code]):
            self.upgrade.begin()
        return self.upgrade

    def until_tried(self):
        deadline = time.monotonic() + 20
        while self.upgrade._tried:
            self.service.daemon.turn(0.01)
            self.assertLess(time.monotonic(), deadline)

    def test_what_the_program_has_to_say(self):
        for code, is_due, reason in (
                (f"print('well'); print('{READY}')", True, ""),
                ("import sys; sys.exit('no room')", False, "no room"),
                ("raise SystemExit", False, "said nothing"),
                ("print('\\x1b[2J' + 'x' * 9999)", False, r"^[^\x1b]{0,310}$"),
                ("import sys; assert '--check-config' in sys.argv; sys.exit('was asked')", False,
                 "was asked")):
            with self.subTest(code):
                self.tried(code)
                self.until_tried()
                self.assertEqual(self.upgrade.is_due, is_due)
                self.upgrade.is_due = False
                if reason:
                    self.serves(reason)

    def test_one_at_a_time_and_not_for_ever(self):
        self.tried("import time; print('wait', flush=True); time.sleep(60)")
        asking = self.service.connect(OPERATOR)
        asker = next(iter(self.service.daemon.strangers))
        self.upgrade.begin(asker)
        self.assertIn("under way", asking.hears(wire.Report).text)
        self.service.forward(TRY_SECONDS)
        self.until_tried()
        self.serves("did not answer in time")


class Documents(unittest.TestCase):
    def refused(self, value, reason):
        with self.assertRaisesRegex(BadHandover, reason):
            take({VARIABLE: value}, "7")

    def test_for_another_process(self):
        self.assertIsNone(take({}, "7"))
        for value in ("", "x", "1:x:7", "1:5:8", "1:5", "1:5:0"):
            self.assertIsNone(take({VARIABLE: value}, "7"), value)

    def test_of_another_time(self):
        self.refused(f"{FORMAT + 1}:5:7", "format 2, and this one takes 1")
        for document, reason in (({}, "KeyError 'release'"), ([], "TypeError")):
            self.refused(named(written(document), "7"), reason)
        fd = written({})
        os.ftruncate(fd, 1)
        self.refused(named(fd, "7"), "can't be read")
        self.refused(named(987654, "7"), "can't be read")

    def test_a_connection_that_is_not_whole(self):
        with Service() as service:
            service.user("ann")
            document = json.loads(json.dumps(service.daemon.operations.upgrade._document()))
            for number in range(len(document["connections"][0]["client"])):
                broken = json.loads(json.dumps(document))
                client = broken["connections"][0]["client"]
                del client[list(client)[number]]
                with self.assertRaisesRegex(BadHandover, "KeyError"):
                    take({VARIABLE: named(written(broken), TRIED)}, TRIED)
            for whose in (TRIED, "7"):
                self.assertIsInstance(take({VARIABLE: named(written(document), whose)}, whose),
                                      Handover)


class Everything(unittest.TestCase):
    """The scenarios of the specifications, with an upgrade at any moment."""
    SPECIFICATIONS = (test_spec_asynchronous_server, test_spec_chat_app, test_spec_message_service,
                      test_spec_p2p_chat, test_spec_persistent_messaging)

    def test_under_upgrades(self):
        chance, upgrades = random.Random(14), 0
        run, is_upgrading = Service.run, False

        def upgraded(service):
            nonlocal upgrades, is_upgrading
            run(service)
            if is_upgrading or service.daemon.signal or chance.random() > effort(0.5, 0.1):
                return
            is_upgrading, upgrades = True, upgrades + 1
            service.upgrade()
            is_upgrading = False
            run(service)
        result = unittest.TestResult()
        suite = unittest.TestSuite(map(unittest.defaultTestLoader.loadTestsFromModule,
                                       self.SPECIFICATIONS if FULL else self.SPECIFICATIONS[3:]))
        with mock.patch.object(Service, "run", upgraded), \
                mock.patch.object(Service, "stop", lambda service: self.skipTest("it ends")):
            suite.run(result)
        found = [trace for _, trace in (*result.errors, *result.failures)]
        self.assertEqual(found, [])
        self.assertGreater(upgrades, effort(300, 20))
