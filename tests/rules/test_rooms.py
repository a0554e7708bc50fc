"""rooms: who is in one, who may, what is kept, and what is told of it."""
import struct
import unittest
from typing import ClassVar
from unittest import mock

import wire
from rules import rooms
from rules.claims import TRUSTING, Identity
from rules.groups import REVIEW_SECONDS, Groups
from rules.lines import SLACK
from rules.room import Room
from rules.rooms import MEMBERS_MAX, ROOMS_OF_ONE
from rules.state import Caller
from server.options import Limits
from store.user import User
from tests.harness.service import Service
from wire import Admission, Feature, Part, SendFlag, Why

OPEN, NAMES, GROUP, ADD, DROP = Admission
KNOWING = Feature.ROSTER | Feature.RECEIPTS | Feature.ADDRESSED | Feature.ROOMS
LIMITS = Limits(1000, strangers=1000, strangers_each=1000, everyone_seconds=0, new_names=0)
STAFF = 50                      # a group
UIDS = {"ann": 1001, "bob": 1002, "cat": 1003}


class Scene(unittest.TestCase):
    """Ann, bob and cat know of rooms; dan's program is of 0.1."""
    identity = TRUSTING

    def setUp(self):
        self.service = Service(limits=LIMITS, identity=self.identity)
        self.addCleanup(self.service.__exit__)
        self.enter_all()

    def enter_all(self):
        self.ann, self.bob, self.cat = (self.enter(name) for name in ("ann", "bob", "cat"))
        self.dan = self.service.user("dan")

    def enter(self, name, **more):
        return self.service.user(name, features=KNOWING, **more)

    def ask(self, client, said, why=None):
        """A request; it is done, or refused for this reason."""
        client.say(said)
        client.listen()
        answers = [each for each in client.heard if getattr(each, "request", 0) == 7]
        client.heard = [each for each in client.heard if each not in answers]
        self.assertEqual([type(each) for each in answers[-1:]],
                         [wire.Done if why is None else wire.Failed], f"{said} {answers}")
        if why is not None:
            self.assertEqual(answers[-1].why, why, answers)
            return answers[-1].reason
        return answers[:-1]

    def join(self, *clients, room="#ops"):
        for client in clients:
            self.ask(client, wire.Join(7, room))

    def forget(self, *clients):
        for client in clients:
            client.listen()
            client.heard.clear()

    def say(self, client, text, room="#ops"):
        number = client.send(room, text)
        self.assertEqual(client.hears_all(wire.Stored), [wire.Stored(number, number)])

    def texts(self, client):
        return [(mail.sender, mail.text) for mail in client.hears_all(wire.Mail)]

    def past(self, client, room="#ops"):
        return [(said.sender, text) for said in self.ask(client, wire.Recall(7, room))
                for text in said.texts]

    def rooms(self, client):
        client.say(wire.ListRooms(8))
        return {room.name: room for said in client.hears_all(wire.Rooms) if said.request
                for room in said.rooms}

    def members(self, client, room="#ops"):
        client.say(wire.ListMembers(8, room))
        return self.one(client, wire.Admitted), self.one(client, wire.Members).members

    def one(self, client, kind, **fields):
        """The one message of this kind that came."""
        (said,) = client.hears_all(kind)
        self.assertEqual({name: getattr(said, name) for name in fields}, fields)
        return said

    @property
    def room(self):
        return self.service.daemon.board.rooms.find("#ops")

    def restart(self):
        self.service.restart()
        self.enter_all()


class Lines(Scene):
    def test_to_the_members_and_nobody_else(self):
        self.join(self.ann, self.bob)
        self.say(self.ann, "bay 3")
        self.assertEqual(self.texts(self.bob), [("ann", "bay 3")])
        for other in (self.ann, self.cat, self.dan):
            self.assertEqual(self.texts(other), [])

    def test_who_is_away_finds_it_by_check(self):
        self.join(self.ann, self.bob)
        self.bob.hang_up()
        self.say(self.ann, "bay 3")
        self.service.restart()
        bob = self.enter("bob")
        self.assertEqual(bob.welcome.waiting, 1)
        bob.say(wire.Check(9))
        (mail,) = bob.hears_all(wire.Mail)
        bob.say(wire.Confirm(mail.id, mail.id))
        self.assertEqual(bob.hears_all(wire.Confirmed), [wire.Confirmed(mail.id, mail.id)])

    def test_it_says_where_it_was_said(self):
        """Live, by CHECK, and after a restart; to a program of 0.1 in the text."""
        self.join(self.ann, self.bob, self.dan)
        self.say(self.ann, "hi")
        long = "x" * wire.TEXT_MAX
        self.say(self.ann, long)
        for turn in range(3):
            self.assertEqual([mail.to for mail in self.bob.hears_all(wire.Mail)], [("#ops",)] * 2)
            texts = [mail.text for mail in self.dan.hears_all(wire.Mail)]
            self.assertEqual(texts, ["[#ops] hi", long])
            if turn == 1:
                self.service.daemon.mailbox.rest()
                self.service.forward(5)
            self.restart()
            self.bob.say(wire.Check(9))
            self.dan.say(wire.Check(9))

    def test_many_at_once_to_a_program_of_0_1(self):
        """The names of the room make no frame too long."""
        self.join(self.ann, self.dan)
        self.ann.say(wire.Sends(self.ann.id(), 0, ("#ops",), ("x" * 42,) * 1390))
        self.assertEqual({mail.text for mail in self.dan.hears_all(wire.Mail)},
                         {"[#ops] " + "x" * 42})

    def test_nobody_says_delivered(self):
        self.join(self.ann, self.bob)
        self.say(self.ann, "hi")
        for mail in self.bob.hears_all(wire.Mail):
            self.bob.say(wire.Confirm(mail.id, mail.id))
        self.ann.hears_all(wire.Rooms)
        self.ann.hears_nothing()
        self.ann.send("bob", "hi")
        for mail in self.bob.hears_all(wire.Mail):
            self.bob.say(wire.Confirm(mail.id, mail.id))
        self.assertEqual(len(self.ann.hears_all(wire.Delivered)), 1)

    def test_a_retired_member(self):
        self.join(self.ann, self.bob)
        board = self.service.daemon.board
        self.bob.hang_up()
        board.retirement.set(self.service.mailbox.find("bob"), True, self.service.clock())
        self.say(self.ann, "hi")
        self.assertEqual(self.service.mailbox.find("bob").waiting, 0)

    def test_one_answer_however_many_are_away(self):
        """Nobody is told for each line who of a thousand does not read now."""
        self.join(self.ann, self.bob, self.cat)
        self.bob.hang_up()
        self.cat.say(wire.Hold(9, 1))
        number = self.ann.send("#OPS", "hi")
        self.forget(self.cat)
        self.assertEqual(self.ann.hears_all(wire.Outcomes), [])
        self.assertEqual(self.ann.hears_all(wire.Stored), [wire.Stored(number, number)])

    def test_sent_again(self):
        self.join(self.ann, self.bob)
        number = self.ann.send("#ops", "hi")
        self.ann.say(wire.Send(number, 0, ("#ops",), "hi"))
        self.assertEqual(len(self.texts(self.bob)), 1)
        self.assertEqual(self.past(self.bob), [("ann", "hi")])

    def test_who_is_not_in_it_may_not(self):
        self.join(self.ann)
        for client, room in ((self.bob, "#ops"), (self.ann, "#no"), (self.dan, "#ops")):
            client.send(room, "hi")
            refused = self.one(client, wire.Refused, why=Why.UNKNOWN)
            self.assertIn(f"/join {room}", refused.reason)

    def test_what_it_can_not_be(self):
        self.join(self.ann, self.bob)
        for to, flags in ((("#ops",), SendFlag.NOW), (("#ops", "bob"), 0), (("bob", "#ops"), 0)):
            self.ann.say(wire.Send(self.ann.id(), flags, to, "hi"))
            self.one(self.ann, wire.Refused, why=Why.OTHER)
        self.assertEqual(self.texts(self.bob), [])

    def test_alone_in_it(self):
        self.join(self.ann)
        self.say(self.ann, "a note")
        self.assertEqual(self.past(self.ann), [("ann", "a note")])

    def test_a_message_to_all_is_not_for_rooms(self):
        self.join(self.ann, self.bob)
        self.ann.say(wire.Send(self.ann.id(), SendFlag.EVERYONE, (), "to all"))
        self.assertEqual(self.texts(self.cat), [("ann", "to all")])
        self.assertEqual(self.past(self.bob), [])
        self.assertEqual(self.room.user.waiting, 0)
        self.service.restart()
        self.assertEqual(self.service.mailbox.find("#ops").waiting, 0)
        self.assertEqual(self.service.mailbox.find("cat").waiting, 1)

    def test_an_ignored_member(self):
        self.join(self.ann, self.bob, self.cat)
        self.bob.say(wire.Ignore(5, 1, "ann"))
        self.say(self.ann, "hi")
        self.assertEqual((self.texts(self.bob), self.texts(self.cat)), ([], [("ann", "hi")]))

    def test_a_full_mailbox(self):
        """Who has no room does not get it, and the sender is told; the room's own queue is never
        full."""
        limits = LIMITS._replace(quotas=LIMITS.quotas._replace(messages=2))
        with Service(limits=limits) as service:
            self.service = service
            self.enter_all()
            self.join(self.ann, self.bob, self.cat)
            self.bob.hang_up()
            for text in "one", "two", "three", "four":
                self.say(self.ann, text)
                for mail in self.cat.hears_all(wire.Mail):
                    self.cat.say(wire.Confirm(mail.id, mail.id))
            full = self.ann.hears_all(wire.Outcomes)
            self.assertEqual([(said.outcome, said.to) for said in full],
                             [(wire.Outcome.FULL, ("bob",))] * 2)
            self.assertEqual(len(self.past(self.cat)), 4)

    def test_after_a_message_to_the_same_room_the_audience_changes(self):
        self.join(self.ann, self.bob)
        self.say(self.ann, "one")
        self.join(self.cat)
        self.say(self.ann, "two")
        self.ask(self.bob, wire.Leave(7, "#ops"))
        self.say(self.ann, "three")
        self.assertEqual(self.texts(self.bob), [("ann", "one"), ("ann", "two")])
        self.assertEqual(self.texts(self.cat), [("ann", "two"), ("ann", "three")])


class Past(Scene):
    def test_who_joins_late(self):
        self.join(self.ann, self.bob)
        self.say(self.ann, "one")
        self.say(self.bob, "two")
        self.join(self.cat)
        self.assertEqual(self.past(self.cat), [("ann", "one"), ("bob", "two")])
        self.assertEqual(self.texts(self.cat), [])
        self.assertIsNone(self.cat.waiting)
        self.service.daemon.mailbox.rest()
        self.service.forward(5)
        self.restart()
        self.assertEqual(self.past(self.cat), [("ann", "one"), ("bob", "two")])

    def test_of_members_alone(self):
        self.join(self.ann)
        self.say(self.ann, "one")
        self.ask(self.bob, wire.Recall(7, "#ops"), Why.UNKNOWN)
        self.ask(self.bob, wire.Recall(7, "#no"), Why.UNKNOWN)

    def test_the_last_lines(self):
        limits = LIMITS._replace(room_lines=8)
        with Service(limits=limits) as service:
            self.service = service
            self.enter_all()
            self.join(self.ann, self.bob)
            for number in range(30):
                self.say(self.ann, str(number))
                self.assertLessEqual(self.room.user.waiting, 8 + 8 // SLACK)
            kept = [text for _, text in self.past(self.bob)]
            self.assertEqual(kept, [str(number) for number in range(30 - len(kept), 30)])
            self.assertGreaterEqual(len(kept), 8)
            # a run of more than it keeps, in one frame
            self.ann.say(wire.Sends(self.ann.id(), 0, ("#ops",), tuple(map(str, range(20)))))
            self.assertEqual([text for _, text in self.past(self.bob)],
                             [str(number) for number in range(12, 20)])

    def test_at_a_start_it_keeps_what_the_operator_asks_for_then(self):
        """Of a room that was closed before a kill -9, nothing."""
        self.join(self.ann, self.bob)
        self.join(self.ann, room="#dev")
        for number in range(30):
            self.say(self.ann, str(number))
            self.say(self.ann, str(number), room="#dev")
        self.forget(self.ann)
        self.ann.sock.send(wire.encode(wire.Close(7, "#dev")))
        self.service.daemon.turn(0)
        self.service.limits = LIMITS._replace(room_lines=8)
        self.restart()
        self.service.forward(1)
        self.assertEqual([text for _, text in self.past(self.bob)],
                         [str(number) for number in range(22, 30)])
        self.assertEqual(self.service.mailbox.find("#dev").waiting, 0)

    def test_long_lines_come_in_pages(self):
        self.join(self.ann, self.bob)
        for number in range(20):
            self.say(self.ann, f"{number} " + "x" * 16000)
        self.assertEqual([text.split()[0] for _, text in self.past(self.bob)],
                         [str(number) for number in range(20)])

    def test_two_at_once(self):
        self.join(self.ann)
        for _ in range(20):
            self.say(self.ann, "x" * 16000)
        self.ann.say_bytes(wire.encode(wire.Recall(5, "#ops")) + wire.encode(
            wire.Recall(6, "#ops")))
        self.one(self.ann, wire.Failed, request=6, why=Why.BUSY)

    def test_a_refused_line_takes_no_older_one_with_it(self):
        """The queue is cut after the write."""
        limits = LIMITS._replace(room_lines=8)
        with Service(limits=limits) as service:
            self.service = service
            self.enter_all()
            self.join(self.ann, self.bob)
            for number in range(8):
                self.say(self.ann, str(number))
            box = service.mailbox
            write, box._journals.append = box._journals.append, refuse
            self.ann.say(wire.Sends(self.ann.id(), 0, ("#ops",), tuple("abcdefgh")))
            box._journals.append = write
            self.assertEqual(len(self.ann.hears_all(wire.Refused)), 8)
            self.assertEqual([text for _, text in self.past(self.bob)], list("01234567"))
            box.upkeep.regain_at = 0.0
            service.forward(1)
            service.restart()
            self.enter_all()
            self.assertEqual([text for _, text in self.past(self.bob)], list("01234567"))


def refuse(*_):
    raise OSError(28, "No space left on device")


class Membership(Scene):
    def test_who_is_in_it(self):
        self.join(self.ann, self.bob)
        self.bob.hang_up()
        admitted, members = self.members(self.cat)
        self.assertEqual((admitted.admission, admitted.keeper, admitted.to), (OPEN, "ann", ()))
        self.assertEqual(members, ("ann", "bob"))
        room = self.rooms(self.cat)["#ops"]
        self.assertEqual(room, ("#ops", OPEN, 0, 2, 1, ""))
        self.assertEqual(self.rooms(self.ann)["#ops"].part, Part.MEMBER | Part.KEEPER)

    def test_it_survives(self):
        self.join(self.ann, self.bob)
        self.ask(self.ann, wire.Topic(7, "#ops", "bay 3"))
        for turn in range(3):
            if turn == 2:
                self.service.daemon.mailbox.rest()
                self.service.forward(5)
            self.restart()
            (told,) = self.bob.hears_all(wire.Rooms)
            self.assertEqual(told, (0, 1, (("#ops", OPEN, Part.MEMBER, 2, 2, "bay 3"),)))
            self.assertEqual(self.members(self.cat)[1], ("ann", "bob"))
            self.ann._ids += 100 * turn
            self.say(self.ann, "hi")
            self.assertEqual(len(self.texts(self.bob)), 1)
            self.forget(self.ann, self.bob, self.cat)

    def test_leave_and_join_again(self):
        self.join(self.ann, self.bob)
        self.ask(self.bob, wire.Leave(7, "#ops"))
        self.assertEqual(self.bob.hears_all(wire.Rooms)[-1].rooms[0].part, 0)
        self.ask(self.bob, wire.Leave(7, "#ops"), Why.UNKNOWN)
        self.say(self.ann, "hi")
        self.assertEqual(self.texts(self.bob), [])
        self.join(self.bob)
        self.assertEqual(self.past(self.bob), [("ann", "hi")])

    def test_joining_twice_changes_nothing(self):
        self.join(self.ann)
        last = self.service.mailbox.last
        self.join(self.ann, room="#OPS")
        self.assertEqual(self.service.mailbox.last, last)
        self.assertEqual([room.name for room in self.rooms(self.ann).values()], ["#ops"])

    def test_names_of_rooms(self):
        for name in "ops", "#", "##ops", "#" + "x" * 33, "#-x", "#a b", "#\x1b", "":
            self.ask(self.ann, wire.Join(7, name), Why.UNKNOWN if name == "ann" else Why.BAD_NAME)
        self.assertFalse(self.service.daemon.board.rooms.all)

    def test_a_room_is_no_user(self):
        self.join(self.ann, self.dan)
        self.service.client("#ops").hears(wire.Rejected, why=Why.BAD_NAME)
        self.ask(self.ann, wire.Ignore(7, 1, "#ops"), Why.OTHER)
        self.ann.say(wire.Invite(7, ("#ops",)))
        self.ann.hears_all(wire.Rooms)
        self.assertIsInstance(self.ann.heard.pop(), wire.Failed)
        self.ask(self.ann, wire.Admit(7, NAMES, "#ops", ("#ops",)), Why.UNKNOWN)
        self.service.forward(1)
        for client in (self.ann, self.dan):
            client.listen()
            self.assertEqual(sorted(client.roster), ["ann", "bob", "cat", "dan"])
        self.restart()
        self.dan.say(wire.List(7))
        self.dan.listen()
        self.assertEqual(sorted(self.dan.roster), ["ann", "bob", "cat", "dan"])

    def test_an_old_program_is_told_nothing_of_rooms(self):
        self.join(self.ann, self.dan)
        self.ask(self.ann, wire.Topic(7, "#ops", "bay 3"))
        self.dan.hears_nothing()
        dan = self.service.client("dan", token=b"x" * 16)
        dan.listen()
        self.assertFalse([said for said in dan.heard if isinstance(said, wire.Rooms)])

    def test_the_operator_s_table(self):
        self.join(self.ann, self.bob)
        self.ask(self.ann, wire.Topic(7, "#ops", "bay 3"))
        self.bob.hang_up()
        table = self.service.daemon.board.table
        rows, more = table.rows(20)
        self.assertEqual(([row.name for row in rows], more), (["ann", "cat", "dan", "bob", "#ops"],
                                                              0))
        self.assertEqual((rows[-1].state, rows[-1].address), ("1 of 2 here", "bay 3"))
        self.assertIn("1 room, 4 names in the log", table.title())
        self.assertEqual(table.rows(4)[1], 1)
        user = self.room.user
        self.assertEqual(table.row(user), rows[-1])
        self.ask(self.ann, wire.Close(7, "#ops"))
        self.assertEqual((table.row(user).state, len(table.rows(20)[0])), ("closed", 4))


class Settings(unittest.TestCase):
    def test_one_membership_less(self) -> None:
        """Its row goes, and no bytes that look like it between two others."""
        rows = [(1, 0), (0, 1 << 24), (256, 7), (1 << 24, 0)]
        packed = b"".join(struct.pack("!II", *row) for row in rows)
        for row in rows:
            room = Room.__new__(Room)
            room.user, room.generation = User(row[0], "#r", 0), row[1]
            left = b"".join(struct.pack("!II", *each) for each in rows if each != row)
            self.assertEqual(room.without(packed), left)
        room.user, room.generation = User(0, "#r", 0), 0
        self.assertEqual(room.without(packed), packed)


class Keeping(Scene):
    def test_a_topic(self):
        self.join(self.ann, self.bob)
        self.ask(self.bob, wire.Topic(7, "#ops", "bay 3"))
        self.assertEqual(self.ann.hears_all(wire.Rooms)[-1].rooms[0].topic, "bay 3")
        self.ask(self.cat, wire.Topic(7, "#ops", "mine"), Why.UNKNOWN)
        for text in "x" * 256, "a\nb", "\x1b[2J":
            self.ask(self.ann, wire.Topic(7, "#ops", text), Why.BAD_TEXT)
        self.ask(self.ann, wire.Topic(7, "#ops", ""))
        self.assertEqual(self.rooms(self.cat)["#ops"].topic, "")

    def test_for_some_names(self):
        self.join(self.ann, self.bob, self.cat)
        self.ask(self.bob, wire.Admit(7, NAMES, "#ops", ("bob",)), Why.DENIED)
        self.ask(self.ann, wire.Admit(7, NAMES, "#ops", ("bob", "nobody")), Why.UNKNOWN)
        self.ask(self.ann, wire.Admit(7, NAMES, "#ops", ()), Why.UNKNOWN)
        self.ask(self.ann, wire.Admit(7, NAMES, "#ops", ("bob", "dan")))
        self.assertIn("#ops", self.cat.hears_all(wire.Notice)[0].text)
        self.say(self.ann, "hi")
        self.assertEqual((self.texts(self.bob), self.texts(self.cat)), ([("ann", "hi")], []))
        for turn in range(2):
            self.assertEqual(self.rooms(self.cat), {})
            said = {self.ask(self.cat, ask, Why.DENIED)
                    for ask in (wire.Join(7, "#ops"), wire.ListMembers(7, "#ops"),
                                wire.Close(7, "#ops"), wire.Admit(7, OPEN, "#ops", ()))}
            self.assertEqual(len(said), 1, "one sentence, whatever is asked")
            self.ask(self.bob, wire.Topic(7, "#ops", "bob's"), Why.DENIED)
            self.assertEqual(self.members(self.bob)[0].to, ("bob", "dan"))
            if turn == 0:
                self.forget(self.ann, self.bob, self.cat)
                self.restart()
        self.ask(self.ann, wire.Admit(7, OPEN, "#ops", ()))
        self.join(self.cat)

    def told(self, *clients):
        return [[said.text.partition(":")[0] for said in client.hears_all(wire.Notice)]
                for client in clients]

    def test_some_more_and_some_less(self):
        """Who is let in or put out is told, and so is the keeper."""
        ask = self.ask
        self.join(self.ann, self.bob)
        ask(self.ann, wire.Admit(7, ADD, "#ops", ("cat",)), Why.OTHER)
        ask(self.ann, wire.Admit(7, NAMES, "#ops", ("dan",)))
        self.assertEqual(self.told(self.ann, self.bob),
                         [["#ops is for dan now; bob is out"], ["you are not in #ops any more"]])
        ask(self.ann, wire.Admit(7, ADD, "#ops", ("cat", "bob", "dan")))
        self.assertEqual(self.told(self.ann, self.bob, self.cat, self.dan),
                         [[], *[["ann has let you into #ops"]] * 2, []])
        self.join(self.cat)
        for to in ("nobody",), ("cat", "ann"), ("#ops",):
            ask(self.ann, wire.Admit(7, DROP, "#ops", to), Why.UNKNOWN)
        ask(self.ann, wire.Admit(7, ADD, "#ops", ("cat", "nobody")), Why.UNKNOWN)
        self.assertEqual(self.told(self.ann, self.cat), [[], []])
        ask(self.ann, wire.Admit(7, DROP, "#ops", ("CAT", "dan")))
        self.assertEqual(self.told(self.ann, self.cat, self.dan),
                         [["#ops is for bob now; cat is out"], ["you are not in #ops any more"],
                          []])
        for _ in range(2):
            self.assertEqual(self.members(self.ann)[0].to, ("bob",))
            self.assertEqual(self.rooms(self.cat), {})
            self.forget(self.ann, self.bob, self.cat)
            self.restart()
        ask(self.ann, wire.Admit(7, DROP, "#ops", ("bob",)))
        admitted, members = self.members(self.ann)
        self.assertEqual((admitted.to, members), ((), ("ann",)))
        with mock.patch("rules.joining.ADMITTED_MAX", 1):
            ask(self.ann, wire.Admit(7, ADD, "#ops", ("cat", "bob")), Why.FULL)

    def test_an_operator_may(self):
        self.join(self.ann, self.bob)
        self.service.daemon.board.roster.clients[1].is_operator = True      # bob
        self.ask(self.bob, wire.Admit(7, NAMES, "#ops", ("bob",)))
        self.ask(self.bob, wire.Topic(7, "#ops", "closed soon"))
        self.ask(self.bob, wire.Close(7, "#ops"))

    def test_close_and_make_again(self):
        """Nobody is a member of another room of the same name, nor reads what was said in the
        first."""
        self.join(self.ann, self.bob)
        self.bob.hang_up()
        self.say(self.ann, "before")
        self.ask(self.cat, wire.Close(7, "#ops"), Why.DENIED)
        self.ask(self.ann, wire.Close(7, "#ops"))
        self.assertEqual(self.rooms(self.ann), {})
        self.ann.send("#ops", "hi")
        self.assertEqual(len(self.ann.hears_all(wire.Refused)), 1)
        for _ in range(2):
            self.join(self.cat)
            self.assertEqual(self.members(self.cat)[0].keeper, "cat")
            self.assertEqual(self.members(self.cat)[1], ("cat",))
            self.assertEqual(self.past(self.cat), [])
            self.forget(self.cat)
            self.service.restart()
            self.cat, self.bob = self.enter("cat"), self.enter("bob")
        self.assertEqual(self.bob.welcome.waiting, 1)

    def test_close_and_make_again_in_one_turn_or_over_a_crash(self):
        """Before the lines of the first were let go."""
        for crashes in (False, True):
            self.join(self.ann)
            self.ask(self.ann, wire.Admit(7, NAMES, "#ops", ("ann",)))
            self.say(self.ann, "for nobody else")
            self.forget(self.ann)
            self.ann.sock.send(wire.encode(wire.Close(7, "#ops")))
            if crashes:
                self.service.daemon.turn(0)
                self.assertIn(wire.Done(7), self.hears_now(self.ann))
                self.service.restart()
                self.enter_all()
            else:
                self.cat.sock.send(wire.encode(wire.Join(7, "#ops")))
                self.service.run()
            self.join(self.cat)
            self.forget(self.cat)
            self.assertEqual(self.past(self.cat), [])
            self.ask(self.cat, wire.Close(7, "#ops"))

    def hears_now(self, client):
        """What has come without a further turn."""
        return [wire.decode(frame, wire.DAEMON)
                for frame in client._decoder.feed(client.sock.recv(1 << 16))]


class InAGroup(Scene):
    """Ann and bob are in the group staff."""
    identity = Identity(secret=b"x" * 32, logins=UIDS.get, groups=Groups(
        {"staff": STAFF}.get, lambda uid: InAGroup.gids.get(uid, ())))
    gids: ClassVar[dict[int, list[int]]] = {}

    def enter(self, name, **more):
        return super().enter(name, caller=Caller("test:1", UIDS[name]), **more)

    def setUp(self):
        InAGroup.gids = {UIDS["ann"]: [STAFF], UIDS["bob"]: [20, STAFF], UIDS["cat"]: [20]}
        super().setUp()
        self.join(self.ann)
        self.ask(self.ann, wire.Admit(7, GROUP, "#ops", ("nobody",)), Why.UNKNOWN)
        self.ask(self.ann, wire.Admit(7, GROUP, "#ops", ("staff", "staff")), Why.OTHER)
        self.ask(self.ann, wire.Admit(7, GROUP, "#ops", ("staff",)))

    def test_its_logins_may_join(self):
        self.join(self.bob)
        self.ask(self.cat, wire.Join(7, "#ops"), Why.DENIED)
        self.ask(self.dan, wire.Join(7, "#ops"), Why.DENIED)     # over TCP
        self.assertEqual((self.rooms(self.cat), self.rooms(self.dan)), ({}, {}))
        self.assertEqual(self.members(self.bob)[0].to, ("staff",))
        self.assertEqual(self.service.daemon.board.claims.owners.of(self.room.user), UIDS["ann"])

    def test_who_is_in_it_no_more(self):
        """While away, and at the next login."""
        for is_away in (True, False):
            self.join(self.bob)
            self.bob.hang_up()
            del InAGroup.gids[UIDS["bob"]]
            if is_away:
                self.service.forward(REVIEW_SECONDS + 1)
                self.assertEqual(self.members(self.ann)[1], ("ann",))
            self.bob = self.enter("bob")
            self.assertEqual(self.members(self.ann)[1], ("ann",))
            self.forget(self.ann, self.bob)
            InAGroup.gids[UIDS["bob"]] = [STAFF]

    def test_who_stays_in_it_at_login(self):
        """The keeper, as in a review; and who has a member's name only for a while."""
        self.join(self.bob)
        InAGroup.gids = {UIDS["bob"]: [STAFF]}
        self.ann.hang_up()
        self.ann = self.enter("ann")
        self.bob.hang_up()
        board = self.service.daemon.board
        board.claims.identity = self.identity._replace(operators=frozenset({0}))
        self.service.user("bob", caller=Caller("unix:root", 0)).hang_up()
        self.assertEqual(self.members(self.ann)[1], ("ann", "bob"))

    def test_members_of_before(self):
        self.ask(self.ann, wire.Admit(7, OPEN, "#ops", ()))
        self.join(self.bob, self.cat)
        self.forget(self.cat)
        self.ask(self.ann, wire.Admit(7, GROUP, "#ops", ("staff",)))
        self.assertEqual(self.members(self.ann)[1], ("ann", "bob"))
        self.assertIn("the group staff", self.cat.hears_all(wire.Notice)[0].text)

    def test_a_host_that_does_not_answer(self):
        """Nobody new comes in, and nobody is put out."""
        self.join(self.bob)

        def fail(uid):
            raise OSError("no answer")
        board = self.service.daemon.board
        board.rooms.groups.host = Groups(fail, fail)
        self.ask(self.cat, wire.Join(7, "#ops"), Why.DENIED)
        self.service.forward(REVIEW_SECONDS + 1)
        self.bob.hang_up()
        self.bob = self.enter("bob")
        self.assertEqual(self.members(self.ann)[1], ("ann", "bob"))
        self.ask(self.ann, wire.Admit(7, GROUP, "#ops", ("staff",)), Why.FULL)


class Bounds(Scene):
    def test_rooms_of_one(self):
        for number in range(ROOMS_OF_ONE):
            self.join(self.ann, room=f"#r{number}")
        reason = self.ask(self.ann, wire.Join(7, "#one-more"), Why.FULL)
        self.assertIn("/leave one", reason)
        self.forget(self.ann)
        self.restart()
        told = self.ann.hears_all(wire.Rooms)
        self.assertEqual([said.last for said in told], [0, 1])
        self.assertEqual(sum(len(said.rooms) for said in told), ROOMS_OF_ONE)
        self.assertEqual(len(self.rooms(self.bob)), ROOMS_OF_ONE)

    def test_members(self):
        self.join(self.ann)
        box, board = self.service.mailbox, self.service.daemon.board
        for number in range(MEMBERS_MAX - 1):
            board.rooms.join(box.register(f"u{number}", 1), self.room)
        self.ask(self.bob, wire.Join(7, "#ops"), Why.FULL)
        self.assertEqual(len(self.members(self.ann)[1]), MEMBERS_MAX)

    def test_rooms_are_new_names(self):
        """A rate of them, a number in the log, and a number of each login."""
        limits = LIMITS._replace(new_names=6, names=12)
        with Service(limits=limits) as service:
            self.service = service
            self.enter_all()
            self.join(self.ann, room="#a")
            self.join(self.ann, room="#b")
            self.assertIn("wait", self.ask(self.ann, wire.Join(7, "#c"), Why.FULL))
            service.forward(600)
            for number in range(12 - len(service.mailbox.users)):
                self.join(self.ann, room=f"#r{number}")
            service.forward(600)
            self.assertIn("log", self.ask(self.ann, wire.Join(7, "#d"), Why.FULL))

    def test_a_disk_that_refuses(self):
        """Nothing of it is true: no room, no member, no topic; and the same can be asked again."""
        self.join(self.ann)
        box = self.service.mailbox
        append = box._journals.append
        for said in (wire.Join(7, "#new"), wire.Topic(7, "#ops", "no"), wire.Leave(7, "#ops"),
                     wire.Admit(7, NAMES, "#ops", ("bob",)), wire.Close(7, "#ops")):
            box._journals.append = refuse
            self.ask(self.ann, said, Why.FULL)
            box._journals.append = append
            *_, told = self.ann.hears_all(wire.Rooms)
            self.assertEqual([room.part for room in told.rooms],
                             [0 if said.room == "#new" else Part.MEMBER | Part.KEEPER], said)
            self.forget(self.ann)
            box.upkeep.regain_at = 0.0
            self.service.forward(1)
            self.assertEqual(self.rooms(self.ann),
                             {"#ops": ("#ops", OPEN, Part.MEMBER | Part.KEEPER, 1, 1, "")}, said)
        self.join(self.ann, room="#new")

    def test_a_disk_that_refuses_a_close_and_the_room_after_it(self):
        """In one turn: who was in it is in it, and what was said there is there."""
        self.join(self.ann, self.bob)
        self.say(self.ann, "one")
        box = self.service.mailbox
        append, box._journals.append = box._journals.append, refuse
        self.forget(self.ann)
        self.ann.sock.send(b"".join(map(wire.encode, (wire.Close(7, "#ops"),
                                                      wire.Join(8, "#ops")))))
        self.service.daemon.turn(0)
        box._journals.append = append
        box.upkeep.regain_at = 0.0
        self.service.forward(1)
        self.assertIn(wire.Failed, map(type, self.ann.heard + self.ann.hears_all(wire.Failed)))
        self.assertEqual(self.past(self.bob), [("ann", "one")])
        self.assertEqual(self.members(self.bob)[1], ("ann", "bob"))
        self.assertEqual((self.room.here, self.room.keeper), (2, 0))

    def test_over_full(self):
        """While the disk is full."""
        self.join(self.ann)
        self.service.mailbox._shortage.reason = "the disk is full"
        for said in (wire.Join(7, "#new"), wire.Topic(7, "#ops", "no"), wire.Leave(7, "#ops"),
                     wire.Close(7, "#ops")):
            self.ask(self.ann, said, Why.FULL)

    def test_a_flood_of_joins(self):
        """Each takes as much of the daemon as it writes."""
        for number in range(50):
            self.join(self.ann, room=f"#r{number}")
        client = self.service.daemon.board.roster.clients[0]
        self.ask(self.ann, wire.Leave(7, "#r1"))
        self.join(self.ann, room="#r1")
        self.assertGreaterEqual(client.work, 50)

    def test_no_number_is_used_twice(self):
        kinds = [value for name, value in vars(rooms.Setting).items() if name.isupper()]
        self.assertEqual(len(kinds), len(set(kinds)))


if __name__ == "__main__":
    unittest.main()
