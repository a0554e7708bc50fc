"""post: windows, holding, checking, repeats, receipts, outcomes, what is refused, and a disk
without room."""
import errno
import itertools
import os
import socket
import unittest
from contextlib import contextmanager
from unittest import mock

import wire
from daemon import Daemon
from mailbox import Mailbox
from rules.promises import OUTCOME_NAMES
from rules.window import EVER, WINDOW, WINDOW_BYTES
from server.fairness import CALM
from store import reserve
from store.disk import Disk
from tests.harness.service import Notes, Service
from wire import Feature, Outcome, SendFlag, Why

BOTH = Feature.ROSTER | Feature.RECEIPTS
HOLD = BOTH | Feature.HOLD


@contextmanager
def house(*names, **more):
    """A daemon and users."""
    with Service(**more) as service:
        yield (service, *service.users(*names))


class Ids(unittest.TestCase):
    def test_the_id_0_is_refused(self):
        """It could not be told from its own copies."""
        with house("ann", "bob") as (_, ann, bob):
            ann.say(wire.Send(0, 0, ("bob",), "hi"))
            ann.hears(wire.Refused, id=0)
            bob.hears_nothing()


def send_many(client, to, count, text="hi"):
    """So many messages in one write."""
    ids = [client.id() for _ in range(count)]
    client.say(*(wire.Send(number, 0, (to,), text) for number in ids))
    return ids


def check(client, request=1):
    """The mail that a check brings, confirmed message by message as it comes."""
    client.say(wire.Check(request))
    found = []
    while True:
        client.listen()
        said = client.heard.pop(0)
        if isinstance(said, wire.Checked):
            assert (said.request, said.total) == (request, len(found)), said
            return found
        found.append(said)
        client.confirm(said)
        client.hears_all(wire.Confirmed)


def texts(mails):
    return [mail.text for mail in mails]


class Windows(unittest.TestCase):
    """"Each reader has at most WINDOW messages (and WINDOW_BYTES) pushed and not yet confirmed"."""

    def test_messages(self):
        for count in (WINDOW - 1, WINDOW, WINDOW + 1, WINDOW + 500):
            with self.subTest(count), house("ann", "bob") as (_, ann, bob):
                send_many(ann, "bob", count)
                self.assertEqual(len(bob.hears_all(wire.Mail)), min(count, WINDOW))

    def test_bytes(self):
        """No more than the one message that crosses the limit."""
        for size in (5000, 16000, wire.TEXT_MAX):
            with self.subTest(size), house("ann", "bob") as (_, ann, bob):
                send_many(ann, "bob", 60, "x" * size)
                pushed = size * len(bob.hears_all(wire.Mail))
                self.assertGreaterEqual(pushed, WINDOW_BYTES)
                self.assertLess(pushed, WINDOW_BYTES + size)

    def test_the_rest_follows_as_it_confirms(self):
        with house("ann", "bob") as (_, ann, bob):
            send_many(ann, "bob", WINDOW + 30)
            mails = bob.hears_all(wire.Mail)
            bob.say(wire.Confirm(mails[0].id, mails[9].id))
            more = bob.hears_all(wire.Mail)
            self.assertEqual(len(more), 10)
            bob.say(wire.Confirm(mails[10].id, more[-1].id))
            more += bob.hears_all(wire.Mail)
            self.assertEqual(len(more), 30)
            self.assertEqual([mail.id for mail in mails + more],
                             sorted({mail.id for mail in mails + more}))

    def test_bytes_follow_too(self):
        with house("ann", "bob") as (_, ann, bob):
            ids = send_many(ann, "bob", 60, "x" * 16000)
            got = []
            while mails := bob.hears_all(wire.Mail):
                got += mails
                bob.confirm(*mails)
            self.assertEqual([mail.origin for mail in got], ids)

    def test_nobody_else_notices(self):
        """A reader who has stopped reading, and one who does not confirm, beside one who does."""
        with house("ann", "bob", "eve") as (service, ann, bob, eve):
            for number in range(40):
                ann.say(*(wire.Send(ann.id(), 0, ("bob", "eve"), f"{number} {n}" + "x" * 500)
                          for n in range(50)))
                mails = eve.hears_all(wire.Mail)
                self.assertEqual(len(mails), 50)
                eve.say(wire.Confirm(mails[0].id, mails[-1].id))
            self.assertEqual(sum(said.last - said.first + 1 for said in ann.hears_all(wire.Stored)),
                             2000)
            self.assertFalse(ann.hears_all(wire.Refused) or ann.hears_all(wire.Outcomes))
            inside = service.daemon.board.roster.clients[bob_number(service)]
            self.assertLessEqual(inside.backlog + sum(map(len, inside.out)), 256 * 1024)
            bob.sock.setblocking(False)

    def test_a_new_connection_has_a_new_window(self):
        """What was pushed and not confirmed is there for CHECK."""
        with house("ann", "bob") as (service, ann, bob):
            send_many(ann, "bob", WINDOW + 5)
            bob.hang_up()
            again = service.user("bob")
            self.assertEqual(again.welcome.waiting, WINDOW + 5)
            again.hears_nothing()
            self.assertEqual(len(check(again)), WINDOW + 5)

    def test_a_check_keeps_to_the_window(self):
        with house("ann") as (service, ann):
            service.user("bob").hang_up()
            send_many(ann, "bob", WINDOW + 1)
            bob = service.user("bob")
            bob.say(wire.Check(4))
            mails = bob.hears_all(wire.Mail)
            self.assertEqual(len(mails), WINDOW)
            bob.hears_nothing()
            bob.confirm(mails[0])
            self.assertEqual(len(bob.hears_all(wire.Mail)), 1)
            bob.hears_all(wire.Confirmed)
            bob.hears(wire.Checked, request=4, total=WINDOW + 1)

    def test_a_check_that_is_asked_again_and_again(self):
        """A reader who checks many times before confirming is not pushed more for it, nor less for
        ever after."""
        with house("ann") as (service, ann):
            service.user("bob").hang_up()
            send_many(ann, "bob", 2, "x" * 16000)
            bob = service.user("bob")
            mails = []
            for number in range(10):
                bob.say(wire.Check(number))
                mails = bob.hears_all(wire.Mail) or mails
            bob.confirm(*mails)
            bob.hears_all(wire.Checked)
            inside = service.daemon.board.roster.clients[bob_number(service)]
            self.assertEqual((inside.window.messages, inside.window.size), (0, 0))
            send_many(ann, "bob", 1)
            self.assertEqual(len(bob.hears_all(wire.Mail)), 1)

    def test_live_mail_that_is_checked_before_it_was_confirmed(self):
        with house("ann", "bob") as (service, ann, bob):
            send_many(ann, "bob", 3, "x" * 100)
            bob.say(wire.Hold(1, 1), wire.Check(2))
            mails = bob.hears_all(wire.Mail)
            bob.confirm(*mails)
            inside = service.daemon.board.roster.clients[bob_number(service)]
            self.assertEqual((inside.window.messages, inside.window.size), (0, 0))


def bob_number(service):
    return service.mailbox.find("bob").number


class Holding(unittest.TestCase):
    def test_hold_and_check(self):
        with house("ann", "bob") as (_, ann, bob):
            bob.say(wire.Hold(9, 1))
            bob.hears(wire.Done, request=9)
            ann.send("bob", "one")
            ann.hears(wire.Stored)
            ann.hears(wire.Outcomes, outcome=Outcome.HOLDING, to=("bob",))
            bob.hears_nothing()
            self.assertEqual(bob.waiting, 1)
            self.assertEqual(texts(check(bob)), ["one"])
            self.assertEqual(bob.waiting, 0)
            self.assertEqual(ann.hears(wire.Delivered).by, "bob")

    def test_off(self):
        """From then on messages are pushed; what came meanwhile stays for CHECK."""
        with house("ann", "bob") as (_, ann, bob):
            bob.say(wire.Hold(1, 1))
            ann.send("bob", "held")
            bob.say(wire.Hold(2, 0))
            ann.send("bob", "live")
            bob.hears(wire.Done)
            bob.hears(wire.Done)
            live = bob.hears(wire.Mail, text="live", flags=0)
            bob.hears_nothing()
            self.assertEqual(bob.waiting, 1)
            bob.confirm(live)
            bob.hears(wire.Confirmed)
            self.assertEqual(texts(check(bob)), ["held"])

    def test_from_the_start(self):
        with Service() as service:
            ann, bob = service.user("ann"), service.user("bob", features=HOLD)
            ann.send("bob", "hi")
            bob.hears_nothing()
            self.assertEqual(bob.waiting, 1)
            self.assertEqual(bob.welcome.features, HOLD)

    def test_everybody_sees_it(self):
        with house("ann", "bob") as (service, ann, bob):
            for on in (1, 0):
                bob.say(wire.Hold(1, on))
                service.forward(1)
                ann.listen()
                self.assertEqual(ann.roster["bob"].holding, on)

    def test_twice_is_once(self):
        with house("ann", "bob") as (_, ann, bob):
            bob.say(wire.Hold(1, 1), wire.Hold(2, 1))
            ann.send("bob", "a")
            bob.say(wire.Hold(3, 0), wire.Hold(4, 0))
            self.assertEqual(len(bob.hears_all(wire.Done)), 4)
            ann.send("bob", "b")
            self.assertEqual(texts(bob.hears_all(wire.Mail)), ["b"])
            self.assertEqual(bob.waiting, 1)

    def test_what_was_pushed_before_and_not_confirmed(self):
        """It can be confirmed while holding, and is counted until then."""
        with house("ann", "bob") as (_, ann, bob):
            ann.send("bob", "live")
            mail = bob.hears(wire.Mail)
            bob.say(wire.Hold(1, 1))
            self.assertEqual((bob.listen(), bob.waiting), (None, 1))
            bob.confirm(mail)
            self.assertEqual((bob.listen(), bob.waiting), (None, 0))

    def test_now_or_never_waits_for_one_who_holds(self):
        """Connected is connected: it waits for the check."""
        with house("ann", "bob") as (_, ann, bob):
            bob.say(wire.Hold(1, 1))
            ann.send("bob", "now", SendFlag.NOW)
            ann.hears(wire.Stored)
            ann.hears(wire.Outcomes, outcome=Outcome.HOLDING)
            bob.hears(wire.Done)
            self.assertEqual(texts(check(bob)), ["now"])


class Checking(unittest.TestCase):
    def test_nothing(self):
        with house("ann") as (_, ann):
            ann.say(wire.Check(7))
            ann.hears(wire.Checked, request=7, total=0)

    def test_oldest_first(self):
        with house("ann", "eve") as (service, ann, eve):
            service.user("bob").hang_up()
            for number in range(6):
                (ann, eve)[number % 2].send("bob", str(number))
            mails = check(service.user("bob"))
            self.assertEqual([(mail.sender, mail.text, mail.flags) for mail in mails],
                             [(("ann", "eve")[n % 2], str(n), SendFlag.CHECK) for n in range(6)])
            self.assertEqual([mail.time for mail in mails], sorted(mail.time for mail in mails))

    def test_nothing_is_deleted_before_it_was_confirmed(self):
        with house("ann") as (service, ann):
            service.user("bob").hang_up()
            send_many(ann, "bob", 3)
            for _ in range(2):
                bob = service.user("bob")
                bob.say(wire.Check(1))
                mails = bob.hears_all(wire.Mail)
                self.assertEqual(len(mails), 3)
                bob.hang_up()
            bob = service.user("bob")
            bob.confirm(mails[1])
            bob.hears(wire.Confirmed)
            self.assertEqual([mail.id for mail in check(bob)], [mails[0].id, mails[2].id])

    def test_while_live_mail_comes(self):
        """Two streams: each message in one of them, each in the order of its ids."""
        with house("ann") as (service, ann):
            service.user("bob").hang_up()
            send_many(ann, "bob", 900, "old")
            bob = service.user("bob")
            bob.say(wire.Check(1))
            for _ in range(20):
                send_many(ann, "bob", 10, "new")
                self.confirm_some(bob, 60)
            while self.confirm_some(bob, 1000):
                pass
            for flag, text, count in ((SendFlag.CHECK, "old", 900), (0, "new", 200)):
                ids = [mail.id for mail in self.seen if mail.flags == flag]
                self.assertEqual(len(ids), count)
                self.assertEqual(ids, sorted(set(ids)))
                self.assertEqual({mail.text for mail in self.seen if mail.flags == flag}, {text})
            self.assertEqual([said.total for said in bob.hears_all(wire.Checked)], [900])

    def setUp(self):
        self.seen = []
        self.unconfirmed = []

    def confirm_some(self, client, count):
        mails = client.hears_all(wire.Mail)
        self.seen += mails
        self.unconfirmed += mails
        now, self.unconfirmed = self.unconfirmed[:count], self.unconfirmed[count:]
        client.confirm(*now)
        return now

    def test_again_with_hardly_any_room_in_the_window(self):
        """What is in flight already is sent again in one go, and not one by one because one more
        has room."""
        with house("ann") as (service, ann):
            service.user("bob").hang_up()
            ids = send_many(ann, "bob", WINDOW - 1)
            bob = service.user("bob")
            for number in range(3):
                with mock.patch.object(service.mailbox, "unread",
                                       wraps=service.mailbox.unread) as unread:
                    bob.say(wire.Check(number + 1))
                    self.assertEqual([mail.origin for mail in bob.hears_all(wire.Mail)], ids)
                bob.hears(wire.Checked, total=WINDOW - 1)
                self.assertLess(unread.call_count, 10)
            send_many(ann, "bob", 3)
            self.assertEqual(len(bob.hears_all(wire.Mail)), 1)

    def test_live_mail_is_not_checked(self):
        """It is on its way already; CHECK is for what waited."""
        with house("ann", "bob") as (_, ann, bob):
            ann.send("bob", "live")
            bob.say(wire.Check(1))
            bob.hears(wire.Mail, text="live", flags=0)
            bob.hears(wire.Checked, total=0)

    def test_two_at_once(self):
        with house("ann") as (service, ann):
            service.user("bob").hang_up()
            send_many(ann, "bob", 2)
            bob = service.user("bob")
            bob.say(wire.Check(1), wire.Check(2))
            bob.hears(wire.Failed, request=2, why=Why.BUSY)
            self.assertEqual(len(bob.hears_all(wire.Mail)), 2)
            bob.hears(wire.Checked, request=1, total=2)
            bob.say(wire.Check(3))
            self.assertEqual(len(bob.hears_all(wire.Mail)), 2)
            bob.hears(wire.Checked, request=3, total=2)

    def test_waiting_at_the_door(self):
        with house("ann") as (service, ann):
            service.user("bob").hang_up()
            for count in (1, 2):
                ann.send("bob", "hi")
                bob = service.user("bob")
                self.assertEqual(bob.welcome.waiting, count)
                bob.hang_up()

    def test_waiting_counts_down(self):
        with house("ann") as (service, ann):
            service.user("bob").hang_up()
            send_many(ann, "bob", 3)
            bob = service.user("bob")
            bob.say(wire.Check(1))
            for left, mail in zip((2, 1, 0), bob.hears_all(wire.Mail), strict=True):
                bob.confirm(mail)
                bob.listen()
                self.assertEqual(bob.waiting, left)

    def test_live_mail_is_not_counted_as_waiting(self):
        with house("ann", "bob") as (_, ann, bob):
            send_many(ann, "bob", 3)
            bob.listen()
            self.assertIsNone(bob.waiting)


class Confirming(unittest.TestCase):
    def test_any_range(self):
        """What is not mine, not there, or the wrong way round does no harm."""
        with house("ann", "bob", "eve") as (service, ann, bob, eve):
            ann.send("bob,eve", "both")
            mail = eve.hears(wire.Mail)
            for first, last in ((0, 0), (2**64 - 1, 2**64 - 1), (mail.id + 1, 2**64 - 1),
                                (mail.id, mail.id - 1)):
                eve.say(wire.Confirm(first, last))
                eve.hears(wire.Confirmed, first=first, last=last)
            self.assertEqual([user.waiting for user in service.mailbox.users], [0, 1, 1])
            eve.say(wire.Confirm(0, 2**64 - 1))
            self.assertEqual([user.waiting for user in service.mailbox.users], [0, 1, 0])
            bob.hears(wire.Mail)

    def test_the_wrong_way_round_within_a_run(self):
        with house("ann", "bob") as (service, ann, bob):
            ann.say(wire.Sends(99, 0, ("bob",), tuple("abcdef")))
            first = bob.hears_all(wire.Mail)[0].id
            ranges = sorted(itertools.combinations(range(first - 1, first + 7), 2),
                            key=lambda ids: ids[0] - ids[1])
            for _ in range(2):
                for low, high in ranges:
                    bob.say(wire.Confirm(high, low))
                    bob.hears(wire.Confirmed, first=high, last=low)
                self.assertEqual((service.mailbox.find("bob").waiting,
                                  service.mailbox.find("bob").ranges), (6, []))
                service.mailbox.upkeep.must_seal = True
                while service.mailbox.work(1):
                    pass
                self.assertEqual(service.mailbox.find("bob").tail, [])

    def test_twice(self):
        with house("ann", "bob") as (_, ann, bob):
            ann.send("bob", "hi")
            mail = bob.hears(wire.Mail)
            bob.confirm(mail)
            bob.confirm(mail)
            self.assertEqual(len(bob.hears_all(wire.Confirmed)), 2)
            self.assertEqual(len(ann.hears_all(wire.Delivered)), 1)

    def test_after_a_restart(self):
        """On another connection, to another process: the ids still mean the same."""
        with house("ann", "bob") as (service, ann, bob):
            ann.send("bob", "hi")
            mail = bob.hears(wire.Mail)
            service.restart()
            bob = service.user("bob")
            self.assertEqual(bob.welcome.waiting, 1)
            bob.confirm(mail)
            bob.hears(wire.Confirmed)
            self.assertEqual(check(bob), [])


class Repeats(unittest.TestCase):
    """"Sending the same id again is harmless"."""

    def assert_once(self, service, bob, heard=0):
        self.assertEqual(service.mailbox.find("bob").waiting, 1)
        self.assertEqual(len(bob.hears_all(wire.Mail)), heard)

    def test_on_the_same_connection(self):
        with house("ann", "bob") as (service, ann, bob):
            number = ann.send("bob", "hi")
            ann.say(wire.Send(number, 0, ("bob",), "hi"))
            self.assertEqual(ann.hears_all(wire.Stored), [wire.Stored(number, number)] * 2)
            self.assert_once(service, bob, heard=1)

    def test_in_the_same_turn(self):
        with house("ann", "bob") as (service, ann, bob):
            ann.say(*[wire.Send(99, 0, ("bob",), "hi")] * 3)
            self.assertEqual({said[:2] for said in ann.hears_all(wire.Stored)}, {(99, 99)})
            self.assert_once(service, bob, heard=1)

    def test_on_another_connection(self):
        with house("ann", "bob") as (service, ann, bob):
            number = ann.send("bob", "hi")
            ann.hang_up()
            ann = service.user("ann")
            ann.say(wire.Send(number, 0, ("bob",), "hi"))
            ann.hears(wire.Stored, first=number, last=number)
            self.assert_once(service, bob, heard=1)

    def test_after_a_restart(self):
        with house("ann", "bob") as (service, ann, bob):
            number = ann.send("bob", "hi")
            bob.hears(wire.Mail)
            service.restart()
            ann, bob = service.users("ann", "bob")
            ann.say(wire.Send(number, 0, ("bob",), "hi"))
            ann.hears(wire.Stored, first=number, last=number)
            self.assert_once(service, bob)

    def test_after_it_was_confirmed(self):
        with house("ann", "bob") as (service, ann, bob):
            number = ann.send("bob", "hi")
            bob.confirm(bob.hears(wire.Mail))
            ann.say(wire.Send(number, 0, ("bob",), "hi"))
            self.assertEqual(len(ann.hears_all(wire.Stored)), 2)
            self.assertEqual(service.mailbox.find("bob").waiting, 0)
            self.assertEqual(bob.hears_all(wire.Mail), [])

    def test_with_a_text_that_may_not_be_sent(self):
        """The daemon looks at the id before the text: what was stored is stored."""
        with house("ann", "bob") as (service, ann, bob):
            number = ann.send("bob", "hi")
            ann.hears(wire.Stored, first=number, last=number)
            for text, why in (("", Why.EMPTY), ("a\x07", Why.BAD_TEXT)):
                ann.say(wire.Sends(number, 0, ("bob",), (text, text)))
                ann.hears(wire.Refused, id=number + 1, why=why)
                ann.hears(wire.Stored, first=number, last=number)
            self.assert_once(service, bob, heard=1)

    def test_of_another_user_is_none(self):
        with house("ann", "eve", "bob") as (_, ann, eve, bob):
            for client in (ann, eve):
                client.say(wire.Send(5 << 32 | 1, 0, ("bob",), client.name))
            self.assertEqual(texts(bob.hears_all(wire.Mail)), ["ann", "eve"])

    def test_what_was_refused_may_be_tried_again(self):
        with house("ann") as (service, ann):
            ann.say(wire.Send(99, 0, ("bob",), "hi"))
            ann.hears(wire.Refused, id=99)
            bob = service.user("bob")
            ann.say(wire.Send(99, 0, ("bob",), "hi"))
            ann.hears(wire.Stored, first=99, last=99)
            bob.hears(wire.Mail)

    def test_what_was_not_delivered_is_never_said_to_be_stored(self):
        """Now or never, to one who was not there; the line is cut before the answer is read, and
        all is sent again."""
        with house("ann", "eve", "bob") as (service, ann, eve, bob):
            bob.hang_up()
            both = wire.Send(7 << 32 | 1, SendFlag.NOW, ("bob",),
                             "never"), wire.Send(7 << 32 | 2, 0, ("eve",), "hi")
            ann.say(*both)
            ann.hang_up()
            ann = service.user("ann")
            ann.say(*both)
            for said in ann.hears_all(wire.Stored):
                self.assertFalse(said.first <= both[0].id <= said.last,
                                 "nothing was stored for bob")
            eve.hears(wire.Mail, text="hi")


class Receipts(unittest.TestCase):
    def test_coalesced(self):
        """One CONFIRM of a range, one DELIVERED for each sender."""
        with house("ann", "eve", "bob") as (_, ann, eve, bob):
            ids = send_many(ann, "bob", 50)
            others = send_many(eve, "bob", 50)
            mails = bob.hears_all(wire.Mail)
            bob.say(wire.Confirm(mails[0].id, mails[-1].id))
            self.assertEqual(ann.hears_all(wire.Delivered),
                             [wire.Delivered(ids[0], ids[-1], "bob")])
            self.assertEqual(eve.hears_all(wire.Delivered),
                             [wire.Delivered(others[0], others[-1], "bob")])

    def test_of_each_reader(self):
        with house("ann", "bob", "eve") as (_, ann, bob, eve):
            number = ann.send("bob,eve", "hi")
            eve.confirm(eve.hears(wire.Mail))
            self.assertEqual(ann.hears_all(wire.Delivered), [wire.Delivered(number, number, "eve")])
            bob.confirm(bob.hears(wire.Mail))
            self.assertEqual(ann.hears_all(wire.Delivered), [wire.Delivered(number, number, "bob")])

    def test_declined(self):
        with Service() as service:
            ann, bob = service.user("ann", features=Feature.ROSTER), service.user("bob")
            ann.send("bob", "hi")
            bob.confirm(bob.hears(wire.Mail))
            ann.hears(wire.Stored)
            ann.hears_nothing()

    def test_to_the_sender_who_was_away_in_between(self):
        """"The receipt goes to a sender who is connected at that moment": the same program on a new
        connection."""
        with house("ann", "bob") as (service, ann, bob):
            number = ann.send("bob", "hi")
            ann.hang_up()
            ann = service.user("ann")
            bob.confirm(bob.hears(wire.Mail))
            self.assertEqual(ann.hears_all(wire.Delivered), [wire.Delivered(number, number, "bob")])

    def test_none_of_a_message_that_came_late(self):
        """Refused at first and sent again: its id lies between two that were shown, and it was
        not."""
        with house("ann", "bob") as (service, ann, bob):
            ids = [ann.id() for _ in range(3)]
            ann.say(wire.Send(ids[0], 0, ("bob",), "first"))
            ann.say(wire.Send(ids[1], 0, ("bob", "eve"), "second"))
            ann.hears_all(wire.Refused)
            ann.say(wire.Send(ids[2], 0, ("bob",), "third"))
            service.user("eve")
            ann.say(wire.Send(ids[1], 0, ("bob", "eve"), "second"))
            mails = bob.hears_all(wire.Mail)
            self.assertEqual(texts(mails), ["first", "third", "second"])
            bob.say(wire.Confirm(mails[0].id, mails[1].id))
            for said in ann.hears_all(wire.Delivered):
                self.assertFalse(said.first <= ids[1] <= said.last,
                                 f"{said}, and {ids[1]} was not shown")

    def test_to_oneself(self):
        with house("ann") as (_, ann):
            number = ann.send("ann", "a note")
            ann.confirm(ann.hears_all(wire.Mail)[0])
            self.assertEqual(ann.hears_all(wire.Delivered), [wire.Delivered(number, number, "ann")])


class Outcomes(unittest.TestCase):
    def absent(self, service, count):
        for number in range(count):
            service.mailbox.register(f"n{number}", 1)
        service.run()

    def test_pages(self):
        """2,500 who are away, in three messages; each name once."""
        for flags, outcome in ((0, Outcome.AWAY), (SendFlag.NOW, Outcome.ABSENT)):
            with house("ann") as (service, ann):
                self.absent(service, 2500)
                number = ann.send("", "hi", flags | SendFlag.EVERYONE)
                said = ann.hears_all(wire.Outcomes)
                self.assertEqual([len(page.to) for page in said],
                                 [OUTCOME_NAMES, OUTCOME_NAMES, 500])
                self.assertEqual([name for page in said for name in page.to],
                                 [f"n{n}" for n in range(2500)])
                self.assertEqual({(page.first, page.outcome) for page in said}, {(number, outcome)})
                self.assertEqual(len(ann.hears_all(wire.Stored)), 0 if flags else 1)

    def test_at_the_limit_of_a_page(self):
        for count, pages in ((OUTCOME_NAMES - 1, 1), (OUTCOME_NAMES, 1), (OUTCOME_NAMES + 1, 2)):
            with house("ann") as (service, ann):
                self.absent(service, count)
                ann.send("", "hi", SendFlag.EVERYONE)
                self.assertEqual(len(ann.hears_all(wire.Outcomes)), pages)

    def test_one_for_each_recipient(self):
        """Reading, holding, away, and now or never: STORED comes first, then who is not reading."""
        with house("ann", "bob", "eve", "dan") as (_, ann, bob, eve, dan):
            eve.say(wire.Hold(1, 1))
            dan.hang_up()
            number = ann.send("bob,eve,dan", "hi")
            ann.hears(wire.Stored, first=number, last=number)
            ann.hears(wire.Outcomes, first=number, outcome=Outcome.AWAY, to=("dan",))
            ann.hears(wire.Outcomes, first=number, outcome=Outcome.HOLDING, to=("eve",))
            number = ann.send("bob,eve,dan", "hi", SendFlag.NOW)
            ann.hears(wire.Stored, first=number, last=number)
            ann.hears(wire.Outcomes, first=number, outcome=Outcome.ABSENT, to=("dan",))
            ann.hears(wire.Outcomes, first=number, outcome=Outcome.HOLDING, to=("eve",))
            self.assertEqual(len(bob.hears_all(wire.Mail)), 2)

    def test_now_or_never_to_nobody_who_is_there(self):
        with house("ann", "bob") as (service, ann, bob):
            bob.hang_up()
            number = ann.send("bob", "hi", SendFlag.NOW)
            ann.hears(wire.Outcomes, first=number, outcome=Outcome.ABSENT, to=("bob",))
            ann.hears_nothing()
            self.assertEqual(service.user("bob").welcome.waiting, 0)

    def test_stored_is_one_range_a_turn(self):
        with house("ann", "bob") as (service, ann, _):
            service.clock.forward(CALM)             # ann is alone again: the turn is hers
            ids = send_many(ann, "bob", 500)
            ann.hears(wire.Stored, first=ids[0], last=ids[-1])
            ann.hears_nothing()


class Recipients(unittest.TestCase):
    def test_everyone_but_oneself(self):
        with house("ann", "bob", "eve") as (_, ann, bob, eve):
            ann.send("", "all of you", SendFlag.EVERYONE)
            for client in (bob, eve):
                client.hears(wire.Mail, sender="ann", copies=2, flags=SendFlag.EVERYONE)
            ann.hears(wire.Stored)
            ann.hears_nothing()

    def test_to_whom_a_message_went(self):
        """Those who asked are told, in the order of the sender's words; a check and a restart do
        not change that."""
        named = wire.Feature.ADDRESSED
        with house("ann", "bob", "eve") as (service, ann, bob, eve):
            kim, lee = service.user("kim", features=named), service.user("lee", features=named)
            ann.send("lee,EVE,kim", "hi")
            for client, to in ((lee, ("lee", "eve", "kim")), (kim, ("lee", "eve", "kim")),
                               (eve, ())):
                client.hears(wire.Mail, text="hi", copies=3, to=to)
            ann.send("kim", "you")
            kim.hears(wire.Mail, text="you", to=())
            ann.send("", "all", SendFlag.EVERYONE)
            kim.hears(wire.Mail, text="all", to=())
            bob.hang_up()
            ann.send("kim,bob", "now", SendFlag.NOW)
            kim.hears(wire.Mail, text="now", copies=1, to=())
            ann.send("kim,bob", "later")
            kim.hears(wire.Mail, text="later", to=("kim", "bob"))
            service.restart()
            kim = service.user("kim", features=named)
            kim.say(wire.Check(1))
            self.assertEqual([(mail.text, mail.to) for mail in kim.hears_all(wire.Mail)],
                             [("hi", ("lee", "eve", "kim")), ("you", ()), ("all", ()),
                              ("now", ()), ("later", ("kim", "bob"))])

    def test_to_so_many_that_nobody_reads_their_names(self):
        most = wire.ADDRESSED_MAX
        with house("ann", *(f"user{n}" for n in range(most))) as (service, ann, *_):
            kim = service.user("kim", features=wire.Feature.ADDRESSED)
            for count in (most, most + 1):
                ann.send(",".join(["kim", *(f"user{n}" for n in range(count - 1))]), "hi")
                self.assertEqual(len(kim.hears(wire.Mail, copies=count).to),
                                 most if count == most else 0)

    def test_everyone_who_is_here(self):
        """Now or never: those who are away get nothing.  The others see that it was written to all,
        also after a restart."""
        flags = SendFlag.EVERYONE | SendFlag.NOW
        with house("ann", "bob", "eve") as (service, ann, bob, eve):
            eve.hang_up()
            ann.send("", "quick", flags)
            bob.hears(wire.Mail, copies=1, flags=flags)
            service.restart()
            self.assertEqual(service.user("eve").welcome.waiting, 0)
            bob = service.user("bob")
            bob.say(wire.Check(1))
            bob.hears(wire.Mail, copies=1, flags=flags | SendFlag.CHECK)

    def test_everyone_when_alone(self):
        with house("ann") as (_, ann):
            number = ann.send("", "hello?", SendFlag.EVERYONE)
            ann.hears(wire.Refused, id=number, why=Why.EMPTY)

    def test_oneself(self):
        with house("ann") as (_, ann):
            ann.send("ann", "a note")
            self.assertEqual(texts(ann.hears_all(wire.Mail)), ["a note"])

    def test_one_name_twice(self):
        with house("ann", "bob") as (_, ann, bob):
            ann.send("bob,BOB,bob", "once")
            bob.hears(wire.Mail, text="once", copies=1)
            bob.hears_nothing()

    def test_unknown(self):
        """One name that is not in the log, and nobody gets anything."""
        with house("ann", "bob") as (_, ann, bob):
            number = ann.send("bob,nobody", "hi")
            said = ann.hears(wire.Refused, id=number, why=Why.UNKNOWN)
            self.assertIn("nobody", said.reason)
            bob.hears_nothing()

    def test_none(self):
        with house("ann") as (_, ann):
            ann.hears_nothing()
            number = ann.send("", "hi")
            ann.hears(wire.Refused, id=number, why=Why.EMPTY)

    def test_unknown_flags_are_not_passed_on(self):
        with house("ann", "bob") as (_, ann, bob):
            ann.send("bob", "hi", 0xFC)
            bob.hears(wire.Mail, flags=0)


class Texts(unittest.TestCase):
    def test_refused(self):
        for text, why in (("", Why.EMPTY), (" \n\t", Why.EMPTY),
                          ("x" * (wire.TEXT_MAX + 1), Why.BAD_TEXT),
                          ("a\x1b[2Jb", Why.BAD_TEXT), ("a\rb", Why.BAD_TEXT),
                          ("\x00", Why.BAD_TEXT), ("\x9b1m", Why.BAD_TEXT), ("\x7f", Why.BAD_TEXT)):
            with self.subTest(ascii(text[:9])), house("ann", "bob") as (service, ann, bob):
                number = ann.send("bob", text)
                ann.hears(wire.Refused, id=number, why=why)
                bob.hears_nothing()
                self.assertEqual(service.mailbox.find("bob").waiting, 0)

    def test_as_it_was_sent(self):
        for text in ("x" * wire.TEXT_MAX, "é" * (wire.TEXT_MAX // 2), "two\nlines\tand a tab",
                     " spaces ", "漢字 \U0001f527", "\u202eevil", "Quit"):
            with house("ann", "bob") as (_, ann, bob):
                ann.send("bob", text)
                bob.hears(wire.Mail, text=text)


class Runs(unittest.TestCase):
    """Several messages in one frame: each has its own answer, and they stay together."""

    def runs(self, service, name):
        return [mail.messages for mail in service.mailbox.find(name).tail]

    def held(self, service, name):
        """How many wait, and how many of these, and bytes, were pushed."""
        user = service.mailbox.find(name)
        client = service.daemon.board.roster.clients[user.number]
        return user.waiting, client.window.messages, client.window.size

    def test_from_frame_to_frame(self):
        with house("ann", "bob", "cy") as (service, ann, bob, cy):
            with mock.patch("wire.each", lambda said: [said]):
                ann.say(wire.Sends(99, 0, ("bob", "cy"), ("one", "два", "three")))
                ann.hears(wire.Stored, first=99, last=101)
                first = bob.hears(wire.Mails, origin=99, texts=("one", "два", "three"),
                                  copies=2).first
                cy.hears(wire.Mails, first=first, texts=("one", "два", "three"))
            self.assertEqual(self.runs(service, "bob"), [3])
            bob.say(wire.Confirm(first + 1, first + 1))
            ann.hears(wire.Delivered, first=100, last=100, by="bob")
            self.assertEqual(self.runs(service, "bob"), [1, 1])
            cy.say(wire.Confirm(first, first + 2))
            ann.hears(wire.Delivered, first=99, last=101, by="cy")
            bob.say(wire.Confirm(0, first + 2))
            self.assertEqual(ann.hears_all(wire.Delivered),
                             [wire.Delivered(n, n, "bob") for n in (99, 101)])
            self.assertEqual(service.mailbox.find("bob").waiting, 0)

    def test_frames_in_one_turn_are_put_together(self):
        with house("ann", "bob") as (service, ann, bob):
            ann.say(wire.Send(99, 0, ("bob",), "one"),
                    wire.Sends(100, 0, ("bob",), ("two", "three")),
                    wire.Send(103, 0, ("bob",), "after a gap"),
                    wire.Send(104, 0, ("bob", "ann"), "to both"))
            self.assertEqual(ann.hears_all(wire.Stored),
                             [wire.Stored(99, 101), wire.Stored(103, 104)])
            self.assertEqual(self.runs(service, "bob"), [3, 1, 1])
            self.assertEqual([said.text for said in bob.hears_all(wire.Mail)],
                             ["one", "two", "three", "after a gap", "to both"])

    def test_a_text_that_may_not_be_sent_is_refused_alone(self):
        for texts, refused in ((("a", "b\x1b", "c\nd", " ", "e"),
                                {100: Why.BAD_TEXT, 102: Why.EMPTY}),
                               (("x" * 16385, "a"), {99: Why.BAD_TEXT}),
                               (("", ""), {99: Why.EMPTY, 100: Why.EMPTY})):
            with self.subTest(texts), house("ann", "bob") as (_, ann, bob):
                ann.say(wire.Sends(99, 0, ("bob",), texts))
                self.assertEqual({said.id: said.why for said in ann.hears_all(wire.Refused)},
                                 refused)
                stored = [n for said in ann.hears_all(wire.Stored)
                          for n in range(said.first, said.last + 1)]
                self.assertEqual(stored, [n for n in range(99, 99 + len(texts))
                                          if n not in refused])
                self.assertEqual([(said.origin, said.text) for said in bob.hears_all(wire.Mail)],
                                 [(n, texts[n - 99]) for n in stored])

    def test_some_of_it_again(self):
        with house("ann", "bob") as (service, ann, bob):
            ann.say(wire.Sends(99, 0, ("bob",), ("a", "b")), wire.Send(103, 0, ("bob",), "e"))
            bob.hears_all(wire.Mail)
            ann.hears_all(wire.Stored)
            ann.say(wire.Sends(98, 0, ("bob",), tuple("0abcdef")))
            self.assertEqual([said.text for said in bob.hears_all(wire.Mail)], ["0", "c", "d", "f"])
            stored = sorted(n for said in ann.hears_all(wire.Stored)
                            for n in range(said.first, said.last + 1))
            self.assertEqual(stored, list(range(98, 105)))
            self.assertEqual(service.mailbox.find("bob").waiting, 7)

    def test_a_window_ends_within_it(self):
        with house("ann", "bob") as (service, ann, bob):
            ann.say(wire.Sends(99, 0, ("bob",), tuple(f"{n}" for n in range(wire.COPIES_MAX))))
            mails = bob.hears_all(wire.Mail)
            self.assertEqual(len(mails), WINDOW)
            bob.say(wire.Confirm(mails[10].id, mails[-11].id))
            mails += bob.hears_all(wire.Mail)
            self.assertEqual([said.text for said in mails],
                             [f"{n}" for n in range(wire.COPIES_MAX)])
            bob.say(wire.Confirm(0, mails[-1].id))
            self.assertEqual(self.held(service, "bob"), (0, 0, 0))
            delivered = [n for said in ann.hears_all(wire.Delivered)
                         for n in range(said.first, said.last + 1)]
            self.assertEqual(sorted(delivered), list(range(99, 99 + wire.COPIES_MAX)))

    def test_a_confirmation_of_what_was_not_pushed_yet(self):
        """It is theirs, and gone; what is in flight is counted all the same."""
        with house("ann", "bob") as (service, ann, bob):
            ann.say(wire.Sends(99, 0, ("bob",), tuple(f"{n}" for n in range(wire.COPIES_MAX))))
            first = bob.hears_all(wire.Mail)[0].id
            bob.say(wire.Confirm(first + WINDOW - 5, first + WINDOW + 5))
            # five left it, and as many were pushed
            self.assertEqual(self.held(service, "bob")[1], WINDOW)
            bob.say(wire.Confirm(0, first + wire.COPIES_MAX))
            self.assertEqual(self.held(service, "bob"), (0, 0, 0))

    def test_on_a_full_disk_each_is_refused(self):
        with Roomless() as service:
            ann, bob = service.users("ann", "bob")
            service.fill()
            ann.say(wire.Sends(99, 0, ("bob",), ("a", "b", "c")))
            self.assertEqual([(said.id, said.why) for said in ann.hears_all(wire.Refused)],
                             [(n, Why.FULL) for n in (99, 100, 101)])
            bob.hears_nothing()
            self.assertEqual((service.mailbox.find("bob").waiting,
                              service.mailbox.find("bob").tail), (0, []))

    def test_refusals_are_work(self):
        """A run that is refused text by text is more of a turn than one that is stored."""
        with house("ann", "bob") as (service, ann, _):
            client = service.daemon.board.roster.clients[service.mailbox.find("ann").number]
            spent = []
            for first, name in (99, "bob"), (199, "nobody"):
                ann.say(wire.Sends(first, 0, (name,), ("x",) * 50))
                service.run()
                spent.append(client.work)
            self.assertGreater(spent[1], 3 * spent[0])

    def test_what_breaks_the_protocol(self):
        names = tuple(f"n{n}" for n in range(wire.COPIES_MAX // 2 + 1))
        for said, reason in ((wire.Sends(99, SendFlag.EVERYONE, (), ("a", "b")), "to everyone"),
                             (wire.Sends(99, 0, names, ("a", "b")), "more than"),
                             (wire.Sends(99, 0, ("bob",), ("x" * 16000,) * 4), "more than"),
                             (wire.Sends(99, 0, ("bob",), ("x",) * (wire.COPIES_MAX + 1)),
                              "1401 texts"),
                             (wire.Sends(99, 0, (), ("x",) * (wire.COPIES_MAX + 1)), "1401 texts"),
                             (wire.Sends((8 << 32) - 1, 0, ("bob",), ("a", "b")), "instances"),
                             (wire.Sends(2**64 - 1, 0, ("bob",), ("a", "b")), "instances")):
            with self.subTest(reason), house("ann", "bob") as (service, ann, bob):
                ann.say(said)
                self.assertIn(reason, ann.hears(wire.Notice).text)
                self.assertTrue(ann.is_disconnected())
                bob.hears_nothing()
                self.assertEqual(service.mailbox.find("bob").waiting, 0)

    def test_at_the_limits(self):
        names = ("bob", *(f"n{n}" for n in range(wire.COPIES_MAX // 2 - 1)))
        for said, why in ((wire.Sends(99, SendFlag.EVERYONE, (), ("a",)), None),
                          (wire.Sends(99, 0, names, ("a", "b")), Why.UNKNOWN),
                          (wire.Sends(99, 0, ("bob",), ("x" * 15000,) * 4), None),
                          (wire.Sends((8 << 32) - 2, 0, ("bob",), ("a", "b")), None)):
            with house("ann", "bob") as (_, ann, bob):
                ann.say(said)
                if why:
                    self.assertEqual([said.why for said in ann.hears_all(wire.Refused)],
                                     [why] * len(said.texts))
                else:
                    ann.hears(wire.Stored, first=said.first, last=said.first + len(said.texts) - 1)
                    self.assertEqual([mail.text for mail in bob.hears_all(wire.Mail)],
                                     list(said.texts))


class FailingDisk(Disk):
    """A disk that has no room when the test says so."""
    full = False
    takes = 0           # bytes of the write that fails

    def write(self, fd, data, offset):
        if not self.full:
            return super().write(fd, data, offset)
        if self.takes:
            taken, self.takes = self.takes, 0
            return super().write(fd, data[:taken], offset)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def free(self, path):
        return 0 if self.full else super().free(path)


class Roomless(Service):
    """A daemon on such a disk; with the reserve that is given up, reads can be written."""

    def __init__(self):
        super().__init__(disk=FailingDisk())

    def start(self):
        self.notes = Notes()
        self.mailbox = Mailbox(self.store, self.disk)
        self.daemon = Daemon(self.mailbox, self.notes, self.limits, house="test", clock=self.clock)

    def fill(self):
        self.disk.full = True

    def free(self):
        """Room returns, and so much time passes that the mailbox looks."""
        self.disk.full = False
        self.mailbox.upkeep.regain_at = 0.0
        self.forward(1)

    def reserve(self):
        """From now on there is what the reserve held: small writes succeed, but there is no
        room."""
        self.disk.full = False
        self.disk.free = lambda path: reserve.SIZE

    def together(self, *pairs):
        """Several clients' words in one turn of the loop."""
        for client, said in pairs:
            client.sock.sendall(wire.encode(said))
        self.run()


class FullDisk(unittest.TestCase):
    def test_refused_with_a_reason(self):
        with Roomless() as service:
            ann, bob = service.users("ann", "bob")
            service.fill()
            number = ann.send("bob", "hi")
            ann.hears(wire.Refused, id=number, why=Why.FULL, reason=os.strerror(errno.ENOSPC))
            ann.hears_nothing()
            bob.hears_nothing()
            self.assertEqual(service.notes.events("disk-full")[0],
                             {"reason": os.strerror(errno.ENOSPC)})

    def test_and_the_next_ones_too(self):
        with Roomless() as service:
            ann, bob = service.users("ann", "bob")
            service.fill()
            for flags in (0, SendFlag.NOW, SendFlag.EVERYONE):
                number = ann.send("bob", "hi", flags)
                ann.hears(wire.Refused, id=number, why=Why.FULL)
            bob.hears_nothing()

    def test_all_or_nothing_of_a_turn(self):
        """Half of the batch was written before the disk was full: none of it is stored."""
        with Roomless() as service:
            ann, eve, bob = service.users("ann", "eve", "bob")
            service.fill()
            service.disk.takes = 60
            service.together((ann, wire.Send(1, 0, ("bob",), "a")),
                             (eve, wire.Send(1, 0, ("bob",), "e")))
            for client in (ann, eve):
                client.hears(wire.Refused, id=1, why=Why.FULL)
                client.hears_nothing()
            bob.hears_nothing()
            service.free()
            service.restart()
            self.assertEqual([user.waiting for user in service.mailbox.users], [0, 0, 0])

    def test_no_outcome_of_what_was_refused(self):
        with Roomless() as service:
            ann, bob = service.users("ann", "bob")
            bob.hang_up()
            service.fill()
            ann.send("bob", "hi")
            ann.hears(wire.Refused)
            ann.hears_nothing()

    def test_names(self):
        with Roomless() as service:
            (ann,) = service.users("ann")
            service.fill()
            bob = service.client("bob")
            self.assertIn("no new names now", bob.hears(wire.Rejected, why=Why.FULL).reason)
            self.assertTrue(bob.is_disconnected())
            self.assertTrue(service.client("eve").hears(wire.Rejected, why=Why.FULL))
            self.assertEqual([user.name for user in service.mailbox.users], ["ann"])
            service.free()
            service.user("bob")
            self.assertEqual(ann.state("bob"), "available")
            self.assertNotIn("eve", ann.roster)

    def test_a_name_and_its_messages_in_one_turn(self):
        """HELLO and SEND of a newcomer, and a message to him: all of it refused, and nobody is left
        of him."""
        with Roomless() as service:
            ann, bob = service.user("ann"), service.connect()
            service.fill()
            service.together((bob, wire.Hello(1, 0, bytes(16), "bob")),
                             (bob, wire.Send(1, 0, ("ann",), "hi")),
                             (ann, wire.Send(1, 0, ("bob",), "hi")))
            bob.hears(wire.Rejected, why=Why.FULL)
            self.assertTrue(bob.is_disconnected())
            ann.hears(wire.Refused, id=1)
            ann.hears_nothing()
            self.assertEqual(set(service.daemon.board.roster.clients), {0})

    def test_those_who_are_known_come_in(self):
        with Roomless() as service:
            service.user("ann").hang_up()
            service.fill()
            service.client("bob").hears(wire.Rejected)
            service.user("ann")

    def test_reads_are_still_confirmed(self):
        with Roomless() as service:
            ann, bob = service.users("ann", "bob")
            ann.send("bob", "before")
            mail = bob.hears(wire.Mail)
            service.fill()
            ann.send("bob", "refused")
            service.reserve()
            bob.confirm(mail)
            bob.hears(wire.Confirmed, first=mail.id, last=mail.id)
            self.assertEqual(len(ann.hears_all(wire.Delivered)), 1)
            self.assertIsNotNone(service.mailbox.refusing)
            service.restart()
            self.assertEqual(service.user("bob").welcome.waiting, 0)

    def test_confirmed_only_once_it_was_written(self):
        """Not even the reserve helps: CONFIRMED comes when there is room again, not before."""
        with Roomless() as service:
            ann, bob = service.users("ann", "bob")
            ann.send("bob", "before")
            mail = bob.hears(wire.Mail)
            ann.hears(wire.Stored)
            service.fill()
            bob.confirm(mail)
            bob.hears_nothing()
            ann.hears_nothing()
            service.free()
            bob.hears(wire.Confirmed, first=mail.id, last=mail.id)
            ann.hears(wire.Delivered)

    def test_a_read_and_a_message_in_one_turn(self):
        """The message is refused; the read is written with the room of the reserve, in the same
        turn."""
        with Roomless() as service:
            ann, bob = service.users("ann", "bob")
            ann.send("bob", "before")
            mail = bob.hears(wire.Mail)
            ann.hears(wire.Stored)
            service.fill()
            give_up = service.mailbox._shortage.reserve.give_up
            service.mailbox._shortage.reserve.give_up = lambda: (give_up(), service.reserve())
            number = ann.id()
            service.together((ann, wire.Send(number, 0, ("bob",), "no room")),
                             (bob, wire.Confirm(mail.id, mail.id)))
            ann.hears(wire.Refused, id=number)
            bob.hears(wire.Confirmed)
            ann.hears(wire.Delivered)
            self.assertEqual(service.mailbox.find("bob").waiting, 0)

    def test_sending_works_again(self):
        with Roomless() as service:
            ann, bob = service.users("ann", "bob")
            service.fill()
            number = ann.send("bob", "hi")
            ann.hears(wire.Refused)
            service.free()
            self.assertEqual(service.notes.events("disk-free"), [{}])
            ann.say(wire.Send(number, 0, ("bob",), "hi"))
            ann.hears(wire.Stored, first=number, last=number)
            bob.hears(wire.Mail, text="hi")
            service.restart()
            self.assertEqual(service.user("bob").welcome.waiting, 1)

    def test_counts_are_as_if_it_had_not_been_sent(self):
        """A message that waits for one who comes in the same turn, refused: nothing waits for
        him."""
        with Roomless() as service:
            ann = service.user("ann")
            service.user("bob").hang_up()
            bob = service.connect()
            service.fill()
            service.together((ann, wire.Send(1, 0, ("bob",), "hi")),
                             (bob, wire.Hello(1, 1, bytes(16), "bob")))
            ann.hears(wire.Refused)
            said = bob.hears(wire.Welcome)
            self.assertEqual(said.waiting if bob.waiting is None else bob.waiting, 0)
            self.assertEqual(service.daemon.board.table.rows(9)[0][1].waiting, 0)

    def test_the_holding_are_not_told_of_what_was_refused(self):
        with Roomless() as service:
            ann, bob = service.user("ann"), service.user("bob", features=HOLD)
            service.fill()
            ann.send("bob", "hi")
            bob.hears_nothing()
            self.assertIn(bob.waiting, (None, 0))

    def test_a_repeat_of_what_is_stored(self):
        """It was stored before the disk was full, and is not refused now."""
        with Roomless() as service:
            ann, _ = service.users("ann", "bob")
            number = ann.send("bob", "hi")
            service.fill()
            ann.send("bob", "refused")
            ann.say(wire.Send(number, 0, ("bob",), "hi"))
            self.assertEqual([said.first for said in ann.hears_all(wire.Stored)], [number, number])

    def test_the_log_is_not_flooded(self):
        """While nothing can be written, one line says so, not one a turn."""
        with Roomless() as service:
            ann, bob = service.users("ann", "bob")
            ann.send("bob", "before")
            service.fill()
            bob.confirm(bob.hears(wire.Mail))
            for _ in range(50):
                ann.say(wire.Ping(1))
            self.assertLess(len(service.notes.events("disk-full")), 10)


class Order(unittest.TestCase):
    def test_a_push_waits_for_the_write(self):
        """Nothing of a batch is seen before it is written.  (STORED not before it is synced:
        test_syncer.py.)"""
        with house("ann", "bob") as (service, ann, bob):
            seen = []
            ann.listen()
            sock = bob.sock
            write, sync = service.mailbox.write, service.mailbox.sync
            service.mailbox.write = lambda: (seen.append(("write", peek(sock), peek(ann.sock))),
                                             write())[1]
            service.mailbox.sync = lambda: (seen.append(("sync", peek(sock), peek(ann.sock))),
                                            sync())[1]
            ann.sock.sendall(wire.encode(wire.Send(1, 0, ("bob",), "hi")))
            service.daemon.turn(0)
            self.assertEqual(seen, [("write", False, False), ("sync", True, False)])
            self.assertTrue(peek(bob.sock) and peek(ann.sock))

    def test_constants_fit_the_frame(self):
        names = ("n" * wire.NAME_MAX,) * OUTCOME_NAMES
        self.assertLess(len(wire.encode(wire.Outcomes(1, 1, 1, names))), wire.FRAME_MAX)
        self.assertEqual(EVER, 2**64 - 1)


def peek(sock):
    """Whether something has come that was not read."""
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False


if __name__ == "__main__":
    unittest.main()
