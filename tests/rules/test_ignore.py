"""ignore: what an ignored user sends is kept away, across sessions; and he can't tell."""
import unittest

import wire
from rules.claims import Identity
from rules.ignore import IGNORED_MAX
from rules.state import Caller
from rules.store import Setting
from tests.harness.service import Service
from wire import SendFlag, Why


class Scene(unittest.TestCase):
    """Ann ignores bob, and does not ignore cat."""

    def setUp(self):
        self.service = Service()
        self.addCleanup(self.service.__exit__)
        self.ann, self.bob, self.cat = self.service.users("ann", "bob", "cat")
        self.ignore(self.ann, "bob")

    def ignore(self, client, name, on=1):
        client.say(wire.Ignore(5, on, name))
        client.hears(wire.Done, request=5)

    def answers(self, client, said):
        """Everything that a sender hears of a message, but for its number."""
        client.listen()
        client.heard.clear()
        client.say(said)
        self.service.forward(1)
        client.listen()
        heard, client.heard = [each for each in client.heard if not isinstance(each, wire.Mail)], []
        return [each._replace(**{name: 0 for name in ("id", "first",
                                                      "last") if name in each._fields})
                for each in heard]


class Messages(Scene):
    def test_live(self):
        self.bob.send("ann", "let me in")
        self.ann.hears_nothing()
        self.cat.send("ann", "good morning")
        self.ann.hears(wire.Mail, sender="cat", text="good morning")

    def test_the_sender_hears_what_others_hear(self):
        """Connected, holding, away, now or never, to several, to all: the same answers as cat's, in
        the same turn."""
        for state in ("live", "holding", "away"):
            if state == "holding":
                self.ann.say(wire.Hold(9, 1))
            if state == "away":
                self.ann.hang_up()
            for to, flags in ((("ann",), 0), (("ann", "dan"), 0), ((), SendFlag.EVERYONE),
                              (("ann",), SendFlag.NOW)):
                self.service.mailbox.register("dan", 1)
                with self.subTest(state=state, to=to, flags=flags):
                    bob = self.answers(self.bob, wire.Send(self.bob.id(), flags, to, "hello"))
                    cat = self.answers(self.cat, wire.Send(self.cat.id(), flags, to, "hello"))
                    self.assertEqual(bob, cat)
                    self.assertTrue(bob)

    def test_the_answer_waits_for_the_same_disk(self):
        """STORED is not said before the sync, and the record is as long."""
        box, sizes = self.service.mailbox, []
        for client in (self.bob, self.cat):
            client.sock.sendall(wire.encode(wire.Send(client.id(), 0, ("ann",), "hello")))
            before = box._journals.current.offset
            self.assertFalse(heard_before_sync(self.service, client))
            sizes.append(box._journals.current.offset - before)
            self.service.run()
            self.assertTrue(is_readable(client.sock))
        self.assertGreaterEqual(sizes[0], sizes[1])

    def test_nothing_waits(self):
        self.ann.hang_up()
        for _ in range(3):
            self.bob.send("ann", "psst")
        self.cat.send("ann", "hi")
        self.bob.send("ann", "psst")
        ann = self.service.user("ann")
        self.assertEqual(ann.welcome.waiting, 1)
        ann.say(wire.Check(1))
        ann.hears(wire.Mail, sender="cat")
        ann.hears(wire.Checked, total=1)

    def test_across_sessions_and_restarts(self):
        self.service.restart()
        bob, cat = self.service.users("bob", "cat")
        bob._ids = cat._ids = 99 << 32
        bob.send("ann", "psst")
        cat.send("ann", "hi")
        self.service.restart()
        ann = self.service.user("ann")
        ann.say(wire.Check(1))
        self.assertEqual([mail.sender for mail in ann.hears_all(wire.Mail)], ["cat"])

    def test_the_same_id_again(self):
        said = wire.Send(self.bob.id(), 0, ("ann",), "psst")
        self.assertEqual(self.answers(self.bob, said), self.answers(self.bob, said))
        self.ann.hears_nothing()

    def test_the_others_can_not_tell_either(self):
        """How many a message went to, and that it went to all, is as it would be."""
        self.bob.send("ann,cat", "two")
        self.assertEqual(self.cat.hears(wire.Mail).copies, 2)
        self.bob.send("", "all", SendFlag.EVERYONE)
        mail = self.cat.hears(wire.Mail)
        self.assertEqual((mail.copies, mail.flags), (2, SendFlag.EVERYONE))

    def test_what_waited_before_stays(self):
        self.bob.say(wire.Ignore(1, 1, "cat"))
        self.bob.hears(wire.Done)
        self.bob.say(wire.Ignore(2, 0, "cat"))
        self.bob.hears(wire.Done)
        self.bob.hang_up()
        self.cat.send("bob", "before")
        bob = self.service.user("bob")
        self.ignore(bob, "cat")
        bob.say(wire.Check(1))
        bob.hears(wire.Mail, text="before")

    def test_no_longer(self):
        self.bob.send("ann", "kept away")
        self.ignore(self.ann, "BOB", 0)
        self.bob.send("ann", "hello again")
        self.ann.hears(wire.Mail, text="hello again")
        self.ann.hears_nothing()

    def test_the_other_way_round(self):
        """Who ignores can still write."""
        self.ann.send("bob", "last word")
        self.bob.hears(wire.Mail, text="last word")

    def test_never_delivered(self):
        self.bob.send("ann", "psst")
        self.ann.say(wire.Confirm(1, 2**63))
        self.service.forward(10)
        self.assertEqual(self.bob.hears_all(wire.Delivered), [])

    def test_a_full_disk_takes_it_back(self):
        """What could not be kept is not in force, and said not to be."""
        from tests.rules.test_post import Roomless
        with Roomless() as service:
            ann, bob = service.users("ann", "bob")
            service.disk.full = True
            ann.say(wire.Ignore(5, 1, "bob"))
            ann.hears(wire.Failed, request=5, why=Why.FULL)
            self.assertEqual(service.daemon.board.ignores.by, {})
            ann.say(wire.Ignore(6, 1, "bob"))
            ann.hears(wire.Failed, request=6, why=Why.FULL)
            del bob

    def test_between_unread_mail(self):
        """Read in the midst of mail that waits: exactly the others are left."""
        self.ann.say(wire.Hold(9, 1))
        for number in range(50):
            (self.bob, self.cat)[number % 2].send("ann", str(number))
        self.service.restart()
        ann = self.service.user("ann")
        ann.say(wire.Check(1))
        self.assertEqual([int(mail.text) for mail in ann.hears_all(wire.Mail)],
                         list(range(1, 50, 2)))


class Lists(Scene):
    def test_listing(self):
        self.service.users("dan", "eve")
        for name in ("eve", "dan", "Bob"):
            self.ignore(self.ann, name)
        self.ann.say(wire.ListIgnored(7))
        self.ann.hears(wire.Ignored, request=7, to=("bob", "eve", "dan"))
        self.cat.say(wire.ListIgnored(8))
        self.cat.hears(wire.Ignored, request=8, to=())

    def test_refused(self):
        for name, why in (("nobody", Why.UNKNOWN), ("ann", Why.OTHER), ("", Why.UNKNOWN),
                          ("\x1b[2J", Why.UNKNOWN)):
            self.ann.say(wire.Ignore(6, 1, name))
            self.ann.hears(wire.Failed, request=6, why=why)

    def test_how_many(self):
        """n - 1, n, n + 1; and the list of n fits its frame."""
        for number in range(IGNORED_MAX + 1):
            self.service.mailbox.register(f"n{number}".ljust(32, "x"), 1)
        numbers = [user.number for user in self.service.mailbox.users[3:]]
        board = self.service.daemon.board
        board.ignores.by[0] = dict.fromkeys(numbers[:IGNORED_MAX - 2])
        for number, answer in ((numbers[IGNORED_MAX - 2], wire.Done),
                               (numbers[IGNORED_MAX - 1], wire.Done),
                               (numbers[IGNORED_MAX], wire.Failed)):
            self.ann.say(wire.Ignore(5, 1, self.service.mailbox.users[number].name))
            self.ann.hears(answer)
        self.ann.say(wire.ListIgnored(7))
        self.assertEqual(len(self.ann.hears(wire.Ignored).to), IGNORED_MAX)
        self.assertEqual(len(self.service.mailbox.users[0].settings[Setting.IGNORED]),
                         4 * IGNORED_MAX)

    def test_done_is_said_after_the_sync(self):
        self.ann.sock.sendall(wire.encode(wire.Ignore(5, 1, "cat")))
        self.assertFalse(heard_before_sync(self.service, self.ann))
        self.service.run()
        self.assertTrue(is_readable(self.ann.sock))


class Invitations(Scene):
    def invited(self, client, *names):
        client.say(wire.Invite(3, names))
        return client.hears(wire.Inviting).invitation

    def test_it_is_not_shown_and_expires(self):
        number = self.invited(self.bob, "ann")
        self.ann.hears_nothing()
        self.service.forward(61)
        self.bob.hears(wire.CalledOff, invitation=number, why=Why.EXPIRED, by="ann")
        self.ann.hears_nothing()

    def test_the_inviter_hears_what_others_hear(self):
        """Gone, busy: what ends an invitation to one who does not answer ends this one."""
        number = self.invited(self.bob, "ann")
        other = self.invited(self.cat, "ann")
        self.ann.say(wire.Answer(other, 1))
        self.bob.hears(wire.CalledOff, invitation=number, why=Why.BUSY, by="ann")
        self.ann.hears(wire.Invitation, invitation=other)
        self.ann.hears(wire.Started)
        self.ann.hears_nothing()
        self.ann.say(wire.Say(1, self.service.daemon.board.sessions._numbers, "Quit"))
        self.ann.heard.clear()
        number = self.invited(self.bob, "ann")
        self.ann.hang_up()
        self.bob.hears(wire.CalledOff, invitation=number, why=Why.GONE, by="ann")

    def test_withdrawn(self):
        number = self.invited(self.bob, "ann")
        self.bob.say(wire.Withdraw(number))
        self.bob.hears(wire.CalledOff, why=Why.WITHDRAWN)
        self.ann.hears_nothing()
        self.assertEqual(self.service.daemon.board.roster.clients[0].chats.withheld, {})

    def test_its_number_can_not_be_answered(self):
        number = self.invited(self.bob, "ann")
        self.ann.say(wire.Answer(number, 1))
        self.ann.hears(wire.CalledOff, why=Why.UNKNOWN)
        self.bob.hears_nothing()

    def test_they_take_no_place(self):
        """Withheld invitations do not fill the three that one may have."""
        spam = [self.service.user(f"spam{n}") for n in range(3)]
        for client in spam:
            self.ignore(self.ann, client.name)
            self.invited(client, "ann")
        self.invited(self.cat, "ann")
        self.ann.hears(wire.Invitation, sender="cat")

    def test_one_that_is_open(self):
        number = self.invited(self.cat, "ann")
        self.ann.hears(wire.Invitation)
        self.ann.say(wire.Ignore(5, 1, "cat"))
        self.ann.hears(wire.CalledOff, invitation=number, why=Why.OTHER, by="cat")
        self.ann.hears(wire.Done)
        self.cat.hears_nothing()
        self.service.forward(61)
        self.cat.hears(wire.CalledOff, why=Why.EXPIRED)

    def test_a_group_of_an_ignored_inviter(self):
        number = self.invited(self.bob, "ann", "cat")
        self.cat.hears(wire.Invitation)
        self.cat.say(wire.Answer(number, 1))
        self.bob.hears(wire.Answered, by="cat")
        self.service.forward(61)
        self.bob.hears(wire.CalledOff, why=Why.EXPIRED, by="ann")
        self.ann.hears_nothing()

    def test_a_group_with_an_ignored_member(self):
        """Ann is asked, and told what she will not see; bob's lines reach cat alone; Quit does what
        it does."""
        number = self.invited(self.cat, "ann", "bob")
        self.assertIn("bob", self.ann.hears(wire.Invitation).members)
        for client in (self.ann, self.bob):
            client.say(wire.Answer(number, 1))
        self.cat.hears_all(wire.Answered)
        self.ann.hears_all(wire.Answered)
        chat = self.ann.hears(wire.Started).chat
        self.assertIn("lines of bob", self.ann.hears(wire.Notice).text)
        self.bob.say(wire.Say(1, chat, "hello"))
        self.cat.hears(wire.Started)
        self.cat.hears(wire.Line, text="hello")
        self.ann.hears_nothing()
        self.ann.say(wire.Say(1, chat, "hi"))
        self.cat.hears(wire.Line, sender="ann")
        self.assertEqual([line.text for line in self.bob.hears_all(wire.Line)], ["hi"])
        self.cat.say(wire.Say(2, chat, "Quit"))
        self.ann.hears(wire.Left, by="cat")
        self.bob.say(wire.Say(3, chat, "and now?"))         # it stays a group
        self.ann.hears_nothing()

    def test_a_chat_of_two(self):
        """Ann invites whom she ignores: then she hears him."""
        number = self.invited(self.ann, "bob")
        self.bob.hears(wire.Invitation)
        self.bob.say(wire.Answer(number, 1))
        chat = self.ann.hears(wire.Started).chat
        self.bob.say(wire.Say(1, chat, "what is it?"))
        self.ann.hears(wire.Line, text="what is it?")


class OfOneLogin(unittest.TestCase):
    """Whoever ignores a name ignores all names of its login; nothing says which these are."""
    EVE, ANN = 1003, 1001

    def setUp(self):
        self.service = Service(identity=Identity(
            False, b"secret" * 6, {"eve": self.EVE, "ann": self.ANN}.get,
            login_of=lambda uid: self.EVE if uid >= 100_000 else uid))
        self.addCleanup(self.service.__exit__)
        self.ann = self.come("ann", self.ANN)
        self.eve = self.come("eve", self.EVE)

    def come(self, name, uid):
        return self.service.user(name, caller=Caller(f"unix:{uid}", uid))

    def ignore(self, name, on=1):
        self.ann.say(wire.Ignore(5, on, name))
        self.ann.hears(wire.Done, request=5)

    def is_heard(self, client):
        client.send("ann", "psst")
        self.ann.listen()
        found = any(isinstance(each, wire.Mail) for each in self.ann.heard)
        self.ann.heard.clear()
        return found

    def test_a_name_that_comes_later_and_one_of_a_subordinate_uid(self):
        self.ignore("eve")
        self.assertFalse(self.is_heard(self.eve))
        self.assertFalse(self.is_heard(self.come("eve2", self.EVE)))
        self.assertFalse(self.is_heard(self.come("eve3", 100_007)))
        self.assertTrue(self.is_heard(self.come("bob", 1002)))
        self.ann.say(wire.ListIgnored(6))
        self.assertEqual(self.ann.hears(wire.Ignored).to, ("eve",))
        self.ignore("eve", 0)
        self.assertTrue(self.is_heard(self.eve))

    def test_across_a_restart(self):
        self.come("eve2", self.EVE)
        self.ignore("eve2")
        self.service.restart()
        self.ann = self.come("ann", self.ANN)
        self.assertFalse(self.is_heard(self.come("eve", self.EVE)))

    def test_another_that_is_ignored_still(self):
        two = self.come("eve2", self.EVE)
        self.ignore("eve2")
        self.ignore("eve")
        self.ignore("eve2", 0)
        self.assertFalse(self.is_heard(two))

    def test_to_all_and_invitations(self):
        self.ignore("eve")
        two = self.come("eve2", self.EVE)
        two.send("", "all of you", SendFlag.EVERYONE)
        two.say(wire.Invite(7, ("ann",)))
        two.hears_all(wire.Inviting)
        self.ann.listen()
        self.assertEqual([each for each in self.ann.heard
                          if isinstance(each, (wire.Mail, wire.Invitation))], [])

    def test_lines_of_a_group(self):
        self.ignore("eve")
        cat, two = self.come("cat", 1002), self.come("eve2", self.EVE)
        cat.say(wire.Invite(7, ("ann", "eve2")))
        number = cat.hears(wire.Inviting).invitation
        for client in (self.ann, two):
            client.say(wire.Answer(number, 1))
        self.ann.hears(wire.Invitation)
        self.ann.hears_all(wire.Answered)
        chat = self.ann.hears(wire.Started).chat
        self.assertEqual(self.ann.hears(wire.Notice).text,
                         "lines of some members are not shown to you: /ignored")
        for speaker in (two, cat):
            speaker.say(wire.Say(1, chat, f"hello from {speaker.name}"))
        self.assertEqual(self.ann.hears(wire.Line).sender, "cat")

    def test_a_name_that_nobody_owns_until_somebody_does(self):
        """Over TCP it counts alone; when a login takes it, its other names count."""
        net = self.service.user("net", caller=Caller("192.0.2.1:5"))
        self.ignore("net")
        other = self.service.user("other", caller=Caller("192.0.2.1:5"))
        self.assertEqual((self.is_heard(net), self.is_heard(other), self.is_heard(self.eve)),
                         (False, True, True))
        net.hang_up()
        self.come("net", self.EVE)
        self.assertFalse(self.is_heard(self.eve))

    def test_another_name_of_ones_own(self):
        """It counts alone: a user does not ignore themselves."""
        mine, third = self.come("ann2", self.ANN), self.come("ann3", self.ANN)
        self.ignore("ann2")
        self.assertEqual((self.is_heard(mine), self.is_heard(third)), (False, True))
        self.ann.send("ann", "a note")
        self.ann.hears(wire.Mail, text="a note")


def heard_before_sync(service, client):
    """Whether a turn has told a client anything by the time at which the sync is asked for."""
    heard, sync = [], service.mailbox.sync

    def watch(*arguments, **more):
        heard.append(is_readable(client.sock))
        return sync(*arguments, **more)
    service.mailbox.sync = watch
    service.daemon.turn(0)
    del service.mailbox.sync
    return heard[0]


def is_readable(sock):
    import select
    return bool(select.select([sock], [], [], 0)[0])


if __name__ == "__main__":
    unittest.main()
