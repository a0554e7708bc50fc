"""Errands beside a session, and a session that its user moves: one person is one person."""
import itertools
import os
import socket
import unittest
from unittest import mock

import wire
from net.values import ERRANDS
from rules import errands
from rules.claims import Identity
from rules.state import Caller
from server.seats import seat_of, terminal
from tests.rules.test_identity import ANN, BOB, EVE, IDENTITY, ROOT, House, tcp, unix
from wire import Feature, Outcome, Part, Why

PERSON = Feature.PROVE | Feature.PERSON
ERRAND = PERSON | Feature.ROSTER | Feature.HOLD | Feature.ERRAND
TAKE = PERSON | Feature.TAKE
SESSION = PERSON | Feature.ROSTER | Feature.RECEIPTS
OLD = Feature.PROVE | Feature.ROSTER | Feature.RECEIPTS
ON_PTS = IDENTITY._replace(seat_of=lambda caller: f"pts/{caller.pid}" if caller.pid else "")


def setUpModule() -> None:
    unittest.enterModuleContext(mock.patch("net.scram.ITERATIONS", 4096))


class OfErrands(unittest.TestCase):
    """A house in which ann and bob have sessions and errands."""

    def setUp(self) -> None:
        self.house = House(ON_PTS)
        self.enterContext(self.house)
        self.instances = itertools.count(1)

    def session(self, name="ann", uid=ANN, features=SESSION):
        client = self.house.enters(name, unix(uid), features=features)
        client._ids = next(self.instances) << 32
        return client

    def errand(self, name="ann", uid=ANN, features=ERRAND):
        client = self.house.enters(name, unix(uid), features=features)
        self.assertTrue(client.welcome.features & Feature.ERRAND)
        client._ids = (ERRANDS | next(self.instances)) << 32
        return client

    def send(self, client, to, *texts):
        """Send these, and wait until all are stored."""
        for text in texts:
            client.say(wire.Send(client.id(), 0, (to,), text))
        client.hears_all(wire.Stored)


class Beside(OfErrands):
    def test_a_name_that_only_ever_came_on_errands_has_a_row_in_the_table(self) -> None:
        self.errand("cron", EVE).hang_up()
        rows, more = self.house.daemon.board.table.rows(9)
        self.assertEqual(([row.name for row in rows], more), (["cron"], 0))

    def test_ten_at_once_beside_a_session_and_without_one(self) -> None:
        bob = self.session("bob", BOB)
        for beside in (False, True):
            if beside:
                ann = self.session()
                bob.hears_all(wire.Roster)
            ten = [self.errand() for _ in range(10)]
            for number, each in enumerate(ten):
                self.send(each, "bob", f"from {number}")
            self.assertEqual(len(bob.hears_all(wire.Mail)), 10)
            for each in ten:
                each.say(wire.Exit())
                self.assertTrue(each.is_disconnected())
        self.assertFalse(ann.is_disconnected())
        self.assertEqual(bob.hears_all(wire.Roster), [])        # nobody came or went

    def test_it_has_no_place_in_the_log(self) -> None:
        """A name that only goes on errands is in the log, and away; a message to it waits."""
        bob, errand = self.session("bob", BOB), self.errand()
        self.assertEqual(bob.state("ann"), "not connected")
        bob.say(wire.Send(bob.id(), 0, ("ann",), "hi"))
        (told,) = bob.hears_all(wire.Outcomes)
        self.assertEqual(told.outcome, Outcome.AWAY)
        self.assertEqual(self.house.owner("ann"), ANN.to_bytes(4, "big"))
        self.assertEqual(errand.hears_all(wire.Mail), [])

    def test_live_mail_is_the_session_s_and_so_are_receipts(self) -> None:
        ann, errand, bob = self.session(), self.errand(), self.session("bob", BOB)
        self.send(errand, "bob", "from the errand")
        self.send(bob, "ann", "live")
        mail = ann.hears(wire.Mail, text="live")
        errand.say(wire.Check(1))
        errand.hears(wire.Checked, total=0)
        theirs = bob.hears(wire.Mail)
        bob.say(wire.Confirm(theirs.id, theirs.id))
        ann.hears(wire.Delivered, by="bob")
        self.assertEqual(errand.hears_all(wire.Delivered), [])
        ann.say(wire.Exit())                    # without a CONFIRM: now it waits
        ann.is_disconnected()
        errand.say(wire.Check(2))
        self.assertEqual(errand.hears(wire.Mail).id, mail.id)

    def test_what_waits_is_brought_once_and_the_session_hears_that_it_is_gone(self) -> None:
        bob = self.session("bob", BOB)
        self.house.away(self.session())
        self.send(bob, "ann", "one", "two")
        ann, errand = self.session(), self.errand()
        self.assertEqual((ann.welcome.waiting, errand.welcome.waiting), (2, 2))
        errand.say(wire.Check(1))
        first, second = errand.hears_all(wire.Mail)
        errand.hears(wire.Checked, total=2)
        ann.say(wire.Check(2))
        self.assertEqual(ann.hears_all(wire.Mail), [])        # it waits for the errand
        errand.say(wire.Confirm(first.id, first.id))
        self.assertEqual(ann.hears_all(wire.Mail), [])
        errand.say(wire.Confirm(second.id, second.id))
        ann.hears(wire.Checked, total=0)
        self.assertEqual(ann.waiting, 0)

    def test_a_check_without_room_in_its_window_has_not_begun(self) -> None:
        """Another begins before it; and it waits for that one when it has room."""
        bob = self.session("bob", BOB)
        self.house.away(self.session())
        self.send(bob, "ann", "waits")
        with mock.patch("rules.delivery.WINDOW", 2):
            ann, errand = self.session(), self.errand()
            self.send(bob, "ann", "live", "live")
            live = ann.hears_all(wire.Mail)
            ann.say(wire.Check(1))              # no room
            errand.say(wire.Check(2))
            mail = errand.hears(wire.Mail, text="waits")
            errand.hears(wire.Checked, total=1)
            ann.say(wire.Confirm(live[0].id, live[-1].id))
            self.assertEqual(ann.hears_all(wire.Mail), [])
            errand.say(wire.Confirm(mail.id, mail.id))
            ann.hears(wire.Confirmed)
            ann.hears(wire.Checked, total=0)

    def test_who_stands_still_keeps_no_mail_from_its_user(self) -> None:
        self.house.away(self.session())
        for ends in (False, True):
            with self.subTest(ends=ends):
                bob = self.session("bob", BOB)
                self.send(bob, "ann", "one")
                still, errand = self.errand(), self.errand()
                still.say(wire.Check(1))
                still.hears(wire.Mail)
                errand.say(wire.Check(1))
                self.assertEqual(errand.hears_all(wire.Mail), [])
                if ends:
                    still.hang_up()
                else:
                    self.house.forward(errands.CHECK_SECONDS)
                mail = errand.hears(wire.Mail, text="one")
                errand.say(wire.Confirm(mail.id, mail.id))
                self.assertTrue(errand.hears_all(wire.Confirmed))
                self.house.away(bob, errand, *([] if ends else [still]))

    def test_what_another_has_confirmed_makes_room_in_the_window(self) -> None:
        self.house.away(self.session())
        bob = self.session("bob", BOB)
        self.send(bob, "ann", "one")
        still, errand = self.errand(), self.errand()
        for each in still, errand:
            each.say(wire.Check(1))
            self.house.forward(errands.CHECK_SECONDS)
        mail = errand.hears(wire.Mail)
        errand.say(wire.Confirm(mail.id, mail.id))
        self.assertTrue(errand.hears_all(wire.Confirmed))
        windows = [client.window.messages
                   for each in self.house.daemon.board.errands.of.values() for client in each]
        self.assertEqual(windows, [0, 0])

    def test_a_half_closed_one_gets_its_check_behind_another(self) -> None:
        self.house.away(self.session())
        bob = self.session("bob", BOB)
        self.send(bob, "ann", "one")
        still, errand = self.errand(), self.errand()
        still.say(wire.Check(1))
        errand.say(wire.Check(1))
        errand.sock.shutdown(socket.SHUT_WR)
        self.house.forward(errands.CHECK_SECONDS)
        errand.hears(wire.Mail, text="one")
        errand.hears(wire.Checked, total=1)

    def test_it_joins_for_its_user(self) -> None:
        """The session hears of it."""
        ann, errand = self.session(features=SESSION | Feature.ROOMS), self.errand()
        for said, part in ((wire.Join(1, "#ops"), Part.MEMBER | Part.KEEPER),
                           (wire.Leave(2, "#ops"), Part.KEEPER)):
            errand.say(said)
            errand.hears(wire.Done, request=said.request)
            self.assertEqual([room.part for room in ann.hears(wire.Rooms).rooms], [part])

    def test_a_confirmation_is_work_for_all_of_them(self) -> None:
        bob = self.session("bob", BOB)
        ten = [self.errand() for _ in range(10)]
        self.send(bob, "ann", "hi")
        board, ann = self.house.daemon.board, self.house.mailbox.find("ann")
        said = wire.Confirm(ann.newest, ann.newest)
        work = board.receive(next(iter(board.errands.of[ann.number])), said, self.house.clock())
        self.assertGreaterEqual(work, len(ten))

    def test_it_does_nothing_that_takes_a_session(self) -> None:
        errand = self.errand()
        self.session("bob", BOB)
        for request, said in ((1, wire.Hold(1, 0)), (2, wire.Invite(2, ("bob",)))):
            errand.say(said)
            self.assertIn("session", errand.hears(wire.Failed, request=request).reason)
        errand.say(wire.Say(3, 1, "hi"))
        errand.hears(wire.Failed, request=3)

    def test_a_hundred_do_not_push_out_the_instance_of_the_session(self) -> None:
        """What the session sends again was stored, also after a restart."""
        self.session("bob", BOB)
        ann, ids = self.session(), [5 << 32 | counter for counter in (1, 2)]
        for id in ids:
            ann.say(wire.Send(id, 0, ("bob",), "hi"))
        ann.hears_all(wire.Stored)
        for number in range(100):
            errand = self.errand()
            errand.say(wire.Send((ERRANDS | number) << 32 | 77, 0, ("bob",), "done"))
            errand.hears(wire.Stored)
            self.house.away(errand)
        self.assertEqual(len(self.house.mailbox.find("ann").origins), 1 + 8)
        self.house.away(ann)
        for _ in range(2):
            before = self.house.mailbox.find("bob").waiting
            ann = self.session()
            for id in ids:
                ann.say(wire.Send(id, 0, ("bob",), "hi"))
            ann.hears_all(wire.Stored)
            self.assertEqual(self.house.mailbox.find("bob").waiting, before)
            self.house.restart()

    def test_who_may(self) -> None:
        """The login of the name or of the session, and whoever proves it; nobody else is let in
        beside anybody."""
        ann = self.session()
        self.house.refused("ann", unix(EVE), features=ERRAND)
        self.house.refused("ann", unix(ROOT), why=Why.TAKEN, features=ERRAND)   # may be anybody
        self.session("robot", EVE)
        self.house.refused("robot", unix(BOB), features=ERRAND)
        self.errand("robot", EVE)
        self.house.enters("free", tcp())
        self.house.refused("free", tcp(), why=Why.TAKEN, features=ERRAND)
        self.house.refused("free", unix(EVE), why=Why.TAKEN, features=ERRAND)
        lonely = self.house.enters("alone", tcp(), features=ERRAND)     # a session as any other
        self.assertFalse(lonely.welcome.features & Feature.ERRAND)
        self.house.claims(ann, "pass word")
        client, challenge = self.house.challenged("ann", tcp(), features=ERRAND)
        self.house.answers(client, challenge, "pass word")
        client.hears(wire.Verified)
        self.assertTrue(client.hears(wire.Welcome).features & Feature.ERRAND)

    def test_where_names_are_on_trust_it_is_the_login_of_the_session(self) -> None:
        with House(Identity(trusting=True)) as house:
            first = house.enters("ann", unix(ANN), features=ERRAND)
            self.assertFalse(first.welcome.features & Feature.ERRAND)
            second = house.enters("ann", unix(ANN), features=ERRAND)
            self.assertTrue(second.welcome.features & Feature.ERRAND)
            house.refused("ann", unix(BOB), why=Why.TAKEN, features=ERRAND)

    def test_notes(self) -> None:
        self.house.away(self.errand())
        self.assertEqual(self.house.notes.events("errand"),
                         [{"name": "ann", "address": "unix:1001"}])
        self.assertEqual(len(self.house.notes.events("errand-over")), 1)
        self.assertEqual(self.house.notes.events("connected"), [])


class Moving(unittest.TestCase):
    def setUp(self) -> None:
        self.house = House(ON_PTS)
        self.enterContext(self.house)

    def enters(self, pid, features=SESSION, uid=ANN):
        return self.house.enters("ann", Caller(f"unix:{uid}", uid, pid=pid), features=features)

    def test_in_use_by_oneself_says_where_and_since_when(self) -> None:
        self.enters(3)
        reason = self.house.refused("ann", unix(ANN), why=Why.YOURS, features=SESSION)
        self.assertRegex(reason, r"^ann is in use, by you, since \d\d:\d\d on pts/3$")
        self.house.mailbox.find("ann").last_seen -= 86_400_000_000
        self.assertRegex(self.house.refused("ann", unix(ANN), why=Why.YOURS, features=SESSION),
                         r"^ann is in use, by you, since \d+ \w+ \d\d:\d\d on pts/3$")

    def test_a_client_of_0_1_is_told_what_it_knows(self) -> None:
        self.enters(3)
        self.assertEqual(self.house.refused("ann", unix(ANN), why=Why.TAKEN, features=OLD),
                         "ann is already in use: choose another name")

    def test_it_moves(self) -> None:
        bob = self.house.enters("bob", unix(BOB), features=SESSION)
        old = self.enters(3)
        bob.say(wire.Send(bob.id(), 0, ("ann",), "not confirmed"))
        old.hears(wire.Mail)
        new = self.enters(5, SESSION | Feature.TAKE)
        self.assertFalse(new.welcome.features & Feature.TAKE)
        self.assertEqual(old.hears(wire.Moved).place, "pts/5")
        self.assertTrue(old.is_disconnected())
        self.assertEqual(new.welcome.waiting, 1)
        new.say(wire.Check(1))
        new.hears(wire.Mail, text="not confirmed")
        self.assertEqual(self.house.notes.events("moved"), [{"name": "ann",
                                                             "address": "unix:1001"}])

    def test_from_a_client_of_0_1(self) -> None:
        old = self.enters(3, OLD)
        self.enters(5, TAKE)
        self.assertIn("moved to pts/5", old.hears(wire.Notice).text)
        self.assertTrue(old.is_disconnected())

    def test_nobody_else_moves_it(self) -> None:
        ann = self.enters(3)
        for uid, why in ((EVE, Why.DENIED), (ROOT, Why.TAKEN)):
            self.house.refused("ann", unix(uid), why=why, features=TAKE)
        self.house.enters("free", tcp())
        for caller in tcp(), unix(EVE):
            self.house.refused("free", caller, why=Why.TAKEN, features=TAKE)
        self.assertFalse(ann.is_disconnected())

    def test_by_a_proof(self) -> None:
        ann = self.enters(3)
        self.house.claims(ann, "pass word")
        for features, said in (SESSION, wire.Rejected), (TAKE, wire.Verified):
            client, challenge = self.house.challenged("ann", tcp(), features=features)
            self.house.answers(client, challenge, "pass word")
            client.hears(said)
        ann.hears(wire.Moved)

    def test_errands_go_on_beside_the_next_session(self) -> None:
        self.enters(3)
        errand = self.enters(4, ERRAND)
        self.enters(5, TAKE)
        errand.say(wire.Check(1))
        errand.hears(wire.Checked, total=0)


class Seats(unittest.TestCase):
    def test_names_of_terminals(self) -> None:
        for major, minor, name in ((136, 3, "pts/3"), (137, 1, "pts/257"), (4, 1, "tty1"),
                                   (4, 64, "ttyS0"), (8, 1, ""), (0, 0, "")):
            self.assertEqual(terminal(os.makedev(major, minor)), name)

    def test_of_this_process(self) -> None:
        found = seat_of(Caller("unix:me", os.geteuid(), pid=os.getpid()))
        try:
            own = os.ttyname(os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            own = ""                            # no terminal, as under CI
        self.assertIn(found, (own.removeprefix("/dev/"), "") if own == "/dev/tty" or own else ("",))

    def test_what_another_login_runs_is_not_looked_at(self) -> None:
        self.assertEqual(seat_of(Caller("unix:other", os.geteuid() + 1, pid=os.getpid())), "")
        self.assertEqual(seat_of(Caller("unix:gone", os.geteuid(), pid=2**22 + 1)), "")

    def test_over_tcp_it_is_the_host(self) -> None:
        self.assertEqual(seat_of(tcp()), "192.0.2.1")
        self.assertEqual(seat_of(Caller("[2001:db8::1]:99")), "[2001:db8::1]")
        self.assertEqual(seat_of(Caller("unix")), "")


if __name__ == "__main__":
    unittest.main()
