"""What errands hear of what they sent, and what they are pushed: receipts, traces, and copies."""
import unittest
from unittest import mock

import wire
from rules import receipts
from rules.errands import CHECK_SECONDS
from tests.rules import test_errands
from tests.rules.test_errands import ANN, BOB, EVE, SESSION
from wire import Feature, Outcome, SendFlag, Why

REQUIRING = test_errands.ERRAND | Feature.RECEIPTS
LISTENING = Feature.PROVE | Feature.ERRAND | Feature.RESUME


class Receipts(test_errands.OfErrands):
    def setUp(self) -> None:
        super().setUp()
        self.house.away(self.session("bob", BOB))

    def sends(self, client, to="bob", text="hi"):
        number = client.send(to, text)
        client.hears(wire.Stored, first=number)
        client.hears_all(wire.Outcomes)
        return number

    def confirms(self, client):
        """Check, and confirm what that brings."""
        client.say(wire.Check(9))
        mails = client.hears_all(wire.Mail)
        client.say(wire.Confirm(mails[0].id, mails[-1].id))
        client.hears_all(wire.Confirmed)

    def traced(self, client, first, last, *to):
        client.say(wire.Trace(5, first, last, to))
        return client.hears(wire.Traced, request=5).to

    def test_an_errand_hears_it_if_it_asked(self) -> None:
        """And the session does; no errand hears what was sent otherwise."""
        asking, other, ann = self.errand(features=REQUIRING), self.errand(), self.session()
        mine, theirs = self.sends(asking), self.sends(other)
        self.sends(ann)
        self.confirms(self.session("bob", BOB))
        self.assertEqual(asking.hears_all(wire.Delivered),
                         [wire.Delivered(mine, mine, "bob"), wire.Delivered(theirs, theirs, "bob")])
        self.assertEqual(other.hears_all(wire.Delivered), [])
        self.assertEqual(sum(said.last - said.first + 1
                             for said in ann.hears_all(wire.Delivered)), 3)

    def test_a_line_in_a_room_has_none(self) -> None:
        bob, asking = self.session("bob", BOB, SESSION | Feature.ROOMS), self.errand(
            features=REQUIRING | Feature.ROOMS)
        for client in asking, bob:
            client.say(wire.Join(1, "#ops"))
            client.hears_all(wire.Done)
        self.send(asking, "#ops", "hi")
        mail = bob.hears_all(wire.Mail)[0]
        bob.say(wire.Confirm(mail.id, mail.id))
        self.assertEqual(asking.hears_all(wire.Delivered), [])

    def test_what_is_asked_after_a_lost_connection(self) -> None:
        """Whether it waits, also after a restart, behind many messages and within a run."""
        asking = self.errand(features=REQUIRING)
        with mock.patch.multiple(receipts, LOOK_MOST=2):
            others = [self.sends(asking, text=str(number)) for number in range(7)]
            number = self.sends(asking)
            asking.hang_up()
            asking = self.errand(features=REQUIRING)
            for first, last in ((number, number), (others[0], number), (others[3], others[3])):
                self.assertEqual(self.traced(asking, first, last, "bob", "ann"), ("bob",))
            self.assertEqual(self.traced(asking, number + 1, number + 9, "bob"), ())
            self.house.restart()
            asking = self.errand(features=REQUIRING)
            self.assertEqual(self.traced(asking, number, number, "bob"), ("bob",))
            self.confirms(self.session("bob", BOB))
            asking.hears(wire.Delivered, first=others[0], last=number)
            self.assertEqual(self.traced(asking, others[0], number, "bob"), ())

    def test_what_is_another_s_is_not_told(self) -> None:
        """Nor does a name that has the same ids get in the way."""
        asking, eve = self.errand(features=REQUIRING), self.session("eve", EVE)
        number = self.sends(asking)
        self.assertEqual(self.traced(eve, number, number, "bob"), ())
        self.assertEqual(self.traced(asking, number, number, "bob", "bob"), ("bob",))

    def test_it_can_not_be_told(self) -> None:
        """A name that is none, a retired one, one that ignores the sender, a damaged mailbox."""
        asking, bob = self.errand(features=REQUIRING), self.session("bob", BOB)
        self.session("eve", EVE)
        bob.say(wire.Ignore(1, 1, "ann"))
        bob.hears_all(wire.Done)
        number = self.sends(asking)
        self.assertEqual(self.traced(asking, number, number, "nobody", "bob", "eve"),
                         ("nobody", "bob"))
        self.house.daemon.board.retirement.set(self.house.mailbox.find("eve"), True,
                                               self.house.clock())
        self.assertEqual(self.traced(asking, number, number, "eve"), ("eve",))
        with mock.patch.object(self.house.mailbox, "unreadable", return_value=1):
            self.assertEqual(self.traced(asking, number, number, "ann"), ("ann",))

    def test_the_answer_waits_for_the_disk(self) -> None:
        """That somebody was shown a message stands in the store before its sender hears it."""
        asking, board = self.errand(features=REQUIRING), self.house.daemon.board
        with mock.patch.object(board.promises, "settle", return_value=[]) as settle:
            board.promises._settled = self.house.mailbox.last - 1
            asking.say(wire.Trace(5, 1, 1, ("bob",)))
            asking.hears_nothing()
            self.assertTrue(settle.called and board.owes)
        asking.hears(wire.Traced, request=5)

    def test_one_at_a_time_and_none_after_it_has_gone(self) -> None:
        asking = self.errand(features=REQUIRING)
        asking.say(wire.Trace(1, 1, 2, ("bob",)), wire.Trace(2, 1, 2, ("bob",)))
        asking.hears(wire.Failed, request=2, why=Why.BUSY)
        asking.hears(wire.Traced, request=1)
        asking.say_bytes(wire.encode(wire.Trace(3, 1, 2, ("bob",))))
        self.house.away(asking)
        board = self.house.daemon.board
        self.assertFalse(board.receipts._tracing or board.receipts._pages.waiting)


class Listening(test_errands.OfErrands):
    def setUp(self) -> None:
        super().setUp()
        self.house.away(self.session())
        self.bob = self.session("bob", BOB)

    def listener(self):
        client = self.errand(features=LISTENING)
        self.assertFalse(client.welcome.features & Feature.HOLD)
        client.hears(wire.Live)
        return client

    def test_without_a_session_it_reads(self) -> None:
        self.send(self.bob, "ann", "waits")
        recv = self.listener()
        self.assertEqual(recv.welcome.waiting, 1)
        self.send(self.bob, "ann", "comes")
        mail = recv.hears(wire.Mail, text="comes", flags=0)
        recv.say(wire.Check(1))
        first = recv.hears(wire.Mail, text="waits", flags=SendFlag.CHECK)
        recv.hears(wire.Checked, total=1)
        for each in first, mail:
            recv.say(wire.Confirm(each.id, each.id))
        self.assertEqual(len(recv.hears_all(wire.Confirmed)), 2)
        self.assertEqual(self.house.mailbox.find("ann").waiting, 0)
        self.assertEqual(self.bob.hears_all(wire.Outcomes)[-1].outcome, Outcome.AWAY)

    def test_beside_a_session_it_has_copies(self) -> None:
        """Both are pushed what comes, and neither takes it from the other."""
        ann, recv = self.session(), self.listener()
        self.send(self.bob, "ann", "one")
        mail = ann.hears_all(wire.Mail)[0]
        copy = recv.hears(wire.Mail, text="one", flags=SendFlag.COPY)
        self.assertEqual((mail.flags, copy.id), (0, mail.id))
        self.assertEqual(self.house.mailbox.find("ann").waiting, 1)
        ann.say(wire.Confirm(mail.id, mail.id))
        window, = self.house.daemon.board.errands.of.values()
        self.assertEqual([each.window.messages for each in window], [0])

    def test_two_of_them(self) -> None:
        """Both are pushed it, and either may confirm it."""
        both = [self.listener() for _ in range(2)]
        self.send(self.bob, "ann", "one")
        mails = [each.hears(wire.Mail, text="one", flags=0) for each in both]
        for each, mail in zip(both, mails, strict=True):
            each.say(wire.Confirm(mail.id, mail.id))
            self.assertEqual(len(each.hears_all(wire.Confirmed)), 1)
        self.assertEqual(self.house.mailbox.find("ann").waiting, 0)

    def test_what_it_is_pushed_changes_with_the_session(self) -> None:
        recv = self.listener()
        for comes, flags in ((False, 0), (True, SendFlag.COPY), (False, 0), (True, SendFlag.COPY)):
            ann = self.session() if comes else None
            self.send(self.bob, "ann", "hi")
            mail = recv.hears(wire.Mail, flags=flags)
            for client in (ann or recv,):
                client.say(wire.Confirm(mail.id, mail.id))
                client.hears_all(wire.Confirmed)
            if ann:
                self.house.away(ann)

    def test_of_a_session_that_holds_it_is_told_too(self) -> None:
        ann, recv = self.session(features=SESSION | Feature.HOLD), self.listener()
        self.send(self.bob, "ann", "one")
        recv.hears(wire.Mail, flags=SendFlag.COPY)
        ann.say(wire.Check(1))
        self.assertEqual(len(ann.hears_all(wire.Mail)), 1)

    def test_what_waits_for_it_is_what_a_check_brings(self) -> None:
        """Whoever of the two came first."""
        for first in "session", "errand":
            with self.subTest(first=first):
                self.send(self.bob, "ann", "waits")
                ann = self.session() if first == "session" else None
                recv = self.listener()
                told = recv.welcome.waiting
                self.send(self.bob, "ann", "between")
                ann = ann or self.session()
                self.send(self.bob, "ann", "later")
                recv.say(wire.Check(1))
                mails = [each for each in recv.hears_all(wire.Mail) if each.flags & SendFlag.CHECK]
                self.assertEqual([each.text for each in mails], ["waits"])
                self.assertEqual(told, 1)
                recv.say(wire.Confirm(mails[0].id, mails[0].id))
                ann.say(wire.Check(2))
                self.house.forward(CHECK_SECONDS)
                ann.say(wire.Confirm(1, self.house.mailbox.last))
                ann.hears_all(wire.Confirmed)
                self.house.away(ann, recv)

    def test_to_all_and_in_rooms(self) -> None:
        self.house.away(self.session("eve", EVE))
        recv = self.listener()
        self.bob.say(wire.Send(self.bob.id(), SendFlag.EVERYONE, (), "drill"))
        recv.hears(wire.Mail, flags=SendFlag.EVERYONE)
        with mock.patch("rules.everyone.SPREAD", 1):
            self.bob.say(wire.Send(self.bob.id(), SendFlag.EVERYONE, (), "again"))
            recv.hears(wire.Mail, text="again")

    def test_after_a_lost_connection(self) -> None:
        """What came meanwhile is pushed; what waited before still waits."""
        self.send(self.bob, "ann", "waits")
        recv = self.errand(features=LISTENING)
        above = recv.hears(wire.Live).above
        recv.hang_up()
        self.send(self.bob, "ann", "meanwhile")
        self.house.restart()
        recv = self.house.connect(test_errands.unix(ANN))
        recv.name = "ann"
        recv.say(wire.Resume(wire.VERSION, LISTENING, bytes(16), above, "ann"))
        self.assertEqual(recv.hears(wire.Welcome).waiting, 1)
        recv.hears(wire.Live, above=above)
        recv.hears(wire.Mail, text="meanwhile", flags=0)

    def test_it_is_no_way_around_a_drain(self) -> None:
        self.house.daemon.board.door.draining = "it drains"
        self.house.refused("ann", test_errands.unix(ANN), why=Why.FULL, features=LISTENING)
        self.errand()

    def test_the_disk_refuses_what_came_with_it(self) -> None:
        """It is told no message that is not there."""
        recv = self.listener()
        inside = self.house.daemon.board.errands.listeners(self.house.mailbox.find("ann"))[0]
        inside.checkable = 5
        mail = mock.Mock(id=inside.window.live.start)
        self.house.daemon.board.delivery.recount([mail])
        self.assertEqual(inside.waiting, 0)
        self.house.run()
        recv.hears_nothing()


if __name__ == "__main__":
    unittest.main()
