"""Rooms, as the user joins them, writes in them and looks at them."""
import unittest
from typing import Any
from unittest import mock

import wire
from client.events import Offline
from client.history import Sent
from tests.client.fake_link import AWAY, FREE, Play
from ui.desk import Mode
from ui.rooms import PAST_MAX
from ui.wishes import Notify
from wire import Admission, Part, RoomEntry, Why

OPS = RoomEntry("#ops", Admission.OPEN, Part.MEMBER, 5, 3, "bay 3")


class Rooms(unittest.TestCase):
    def setUp(self) -> None:
        self.play = Play().online("bob", "carol")
        self.play.asked.clear()

    def enter(self, text: str) -> None:
        self.play.enter(text)
        self.assertEqual(self.play.error, "")

    def refused(self, text: str, *words: str) -> None:
        self.play.asked.clear()
        self.play.enter(text)
        for word in words:
            self.assertIn(word, self.play.error)
        self.assertEqual(self.play.asked, [])
        self.play.press("<C-u>")

    def line(self, number: int, sender: str, text: str, room: str = "#ops") -> None:
        self.play.hear(wire.Mail(number, self.play.now, number, 0, 6, sender, text, (room,)))


class Joining(Rooms):
    def test_what_was_said_before_is_a_table(self) -> None:
        play = self.play
        self.enter("/join #ops")
        self.assertEqual(play.asked, [(wire.Join, "#ops")])
        play.own_rooms(OPS)
        play.hear(wire.Done(1))
        self.assertIn("you are in #ops", play.last)
        self.assertEqual(play.asked, [(wire.Recall, "#ops")])
        unseen = play.menu.pane.unseen
        play.hear(wire.Past(2, play.now, 5, "bob", ("which drawer?", "hello")),
                  wire.Past(2, play.now, 9, "alice", ("the second",)), wire.Done(2))
        rows = play.menu.pane.entries[-1].lines()
        self.assertIn("said in #ops before", rows[0])
        self.assertEqual([row.split()[3:] for row in rows[1:]],
                         [["bob", "which", "drawer?"], ["bob", "hello"], ["you", "the", "second"]])
        self.assertEqual(play.menu.pane.unseen, unseen)
        self.assertEqual(play.menu.take_unshown(), [])
        self.assertEqual([(mail.id, mail.origin, mail.sender, mail.to, mail.text)
                          for mail in play.link.recalled],
                         [(0, 5, "bob", ("#ops",), "which drawer?"),
                          (0, 6, "bob", ("#ops",), "hello"),
                          (0, 9, "alice", ("#ops",), "the second")])

    def test_what_the_user_is_told_of_the_room(self) -> None:
        """A room that a mistyped name has made is told from one that was there."""
        made = RoomEntry("#opps", Admission.OPEN, Part.MEMBER | Part.KEEPER, 1, 1, "")
        new = ("* you are in #opps, which is new, or was empty: you keep it; @#opps TEXT says "
               "something there, /room #opps close removes it")
        old = "* you are in #opps; @#opps TEXT says something there, /leave #opps leaves it"
        play, request = self.play, 1
        for room, said in ((made, new), (made, old), (made._replace(members=2), old),
                           (made._replace(part=Part.MEMBER), old),
                           (made._replace(part=0), ""), (made._replace(part=Part.MEMBER), old),
                           (made._replace(topic="bay \x1b3"), old + "; the topic: bay ^[3")):
            if not said:
                play.own_rooms(room)
                continue
            self.enter("/join #OPPS" if said == old else "/join #opps")
            play.own_rooms(room)
            play.hear(wire.Done(request))
            self.assertEqual([line for line in play.lines if "you are in" in line][-1], said)
            play.hear(wire.Done(request + 1))
            request += 2

    def test_a_script_waits_for_what_was_said_before(self) -> None:
        """The daemon answers one of these at a time."""
        play, talk = self.play, self.play.menu.talk
        for request, end in ((1, wire.Done(2)), (3, wire.Failed(4, Why.BUSY, "try again")),
                             (5, Offline("lost", 1.0))):
            self.enter("/join #ops")
            play.hear(wire.Done(request))
            self.assertTrue(talk.is_busy)
            play.hear(end)
            self.assertFalse(talk.is_busy)
        play.online("bob")
        play.own_rooms(OPS)
        self.enter("/with")
        self.assertEqual(play.asked[-1], (wire.ListRooms,))
        self.assertTrue(talk.is_busy)
        play.own_rooms(OPS, request=7)
        self.assertFalse(talk.is_busy)

    def test_one_past_is_asked_for_at_a_time(self) -> None:
        """The daemon refuses a second: the lines of that room would not be shown."""
        play = self.play
        for room in "#a", "#b", "#c":
            self.enter(f"/join {room}")
        play.hear(wire.Done(1), wire.Done(2), wire.Done(3))
        self.assertEqual(play.asked[3:], [(wire.Recall, "#a")])
        play.hear(wire.Past(4, play.now, 5, "bob", ("one",)), wire.Done(4))
        self.assertEqual(play.asked, [(wire.Recall, "#b")])
        play.hear(wire.Failed(5, Why.UNKNOWN, "you are not in #b"))
        self.assertEqual(play.asked, [(wire.Recall, "#c")])
        play.hear(wire.Past(6, play.now, 5, "bob", ("two",)), wire.Done(6))
        self.assertEqual(play.asked, [])
        self.assertIn("said in #c before", play.menu.pane.entries[-1].lines()[0])

    def test_nothing_was_said(self) -> None:
        self.enter("/join #ops")
        self.play.hear(wire.Done(1))
        before = len(self.play.lines)
        self.play.hear(wire.Done(2))
        self.assertEqual(len(self.play.lines), before)

    def test_what_the_archive_has_is_named_and_not_shown(self) -> None:
        play = self.play
        self.enter("/join #ops")
        play.hear(wire.Done(1), wire.Past(2, play.now, 5, "bob", ()))
        play.hear(wire.Past(2, play.now, 9, "alice", ("the second",)), wire.Done(2))
        self.assertIn("you the second", play.lines[-2])
        self.assertEqual(play.last, "* /history #ops shows what else your archive has of it")
        self.enter("/join #ops")
        play.hear(wire.Done(3), wire.Past(4, play.now, 5, "bob", ()), wire.Done(4))
        self.assertIn("/history #ops", play.last)

    def test_refused(self) -> None:
        self.enter("/join #ops")
        self.play.hear(wire.Failed(1, Why.DENIED, "you may not"))
        self.assertEqual(self.play.last, "* you did not join #ops: you may not")
        self.assertEqual(self.play.asked, [(wire.Join, "#ops")])

    def test_no_room(self) -> None:
        for text in "/join", "/join ops", "/join #", "/join #a b", "/leave ops", "/topic ops x":
            self.refused(text, "#ops")

    def test_an_old_daemon(self) -> None:
        self.play.link.granted = 0
        self.refused("/join #ops", "no rooms")
        self.refused("/rooms", "no rooms")

    def test_leave(self) -> None:
        self.refused("/leave", "/leave #ops")
        self.play.own_rooms(OPS)
        self.enter("/leave")
        self.play.own_rooms(OPS._replace(part=0))
        self.play.hear(wire.Done(1))
        self.assertEqual(self.play.asked, [(wire.Leave, "#ops")])
        self.refused("@#ops hi", "/join #ops")

    def test_a_past_without_end(self) -> None:
        self.enter("/join #ops")
        self.play.hear(wire.Done(1))
        for number in range(20):
            self.play.hear(wire.Past(2, 1, number * 100, "bob", tuple(map(str, range(100)))))
        self.play.hear(wire.Past(99, 1, 1, "bob", ("nobody asked",)), wire.Done(2))
        rows = [entry.lines() for entry in self.play.menu.pane.entries[-10:]]
        self.assertEqual(sum(map(len, rows)), PAST_MAX + 1)
        self.assertEqual(len(self.play.link.recalled), PAST_MAX)


class Writing(Rooms):
    def setUp(self) -> None:
        super().setUp()
        self.play.own_rooms(OPS)

    def test_a_line(self) -> None:
        play = self.play
        for text in "@#ops hi", "/send #OPS hi":
            self.enter(text)
            self.assertEqual(play.asked, [("send", ("#ops",), "hi", 0)])
        self.assertEqual(play.last, "you > #ops .: hi")
        self.assertEqual(play.prompt, "to #ops>")
        play.enter("and again")
        self.assertEqual(play.asked, [("send", ("#ops",), "and again", 0)])

    def test_what_it_can_not_be(self) -> None:
        self.refused("@#ops,bob hi", "no other recipient")
        self.refused("@#lab hi", "you are not in #lab", "/join #lab")

    def test_of_others(self) -> None:
        self.line(7, "bob", "hello")
        self.assertEqual(self.play.last, "bob > #ops: hello")
        self.assertEqual(len(self.play.menu.take_unshown()), 1)

    def test_a_notice_only_for_ones_name(self) -> None:
        play = self.play
        play.press("<FocusOut>")
        for number, (text, times) in enumerate((
                ("hello", 0), ("malice", 0), ("alices", 0), ("alice-2 too", 0), ("Alice: look", 1),
                ("thanks, alice.", 1), ("@alice", 1)), 1):
            self.line(number, "bob", text)
            told = [wish for wish in play.menu.take_wishes() if isinstance(wish, Notify)]
            self.assertEqual(len(told), times, text)

    def test_a_conversation(self) -> None:
        play = self.play
        self.enter("/with #ops")
        self.assertEqual(play.mode, Mode.TALK)
        self.line(7, "bob", "in it")
        play.mail(8, "bob", "not in it")
        rows = ["".join(text for text, _ in row) for row in play.menu.pane.view(80, 20)]
        self.assertTrue(any("in it" in row for row in rows))
        self.assertFalse(any("not in it" in row for row in rows))


    def test_what_is_new_in_a_room(self) -> None:
        """However it is spelled: it is counted by room, and gone when the user has been there."""
        play = self.play
        play.own_rooms(OPS, OPS._replace(name="#Lab"))
        self.enter("/with bob")
        self.line(7, "carol", "one", "#Lab")
        self.line(8, "bob", "two", "#Lab")
        self.assertEqual(play.menu.talk.conversations.summary, "#Lab 2")
        play.press("<M-a>")
        self.assertEqual(play.prompt, "to #Lab>")
        self.assertEqual(play.menu.talk.conversations.summary, "")


class Looking(Rooms):
    def test_the_list(self) -> None:
        self.enter("/rooms")
        self.play.own_rooms(OPS, RoomEntry("#lab", Admission.GROUP, 0, 2, 0, ""), request=1)
        self.assertEqual(self.play.menu.pane.entries[-1].lines()[1:],
                         ["  #lab     not for everybody; 0 of 2 here",
                          "  #ops     you are in it; 3 of 5 here: bay 3"])
        self.enter("/rooms")
        self.play.own_rooms(request=2)
        self.assertIn("/join #ops makes one", self.play.last)

    def test_the_members(self) -> None:
        self.enter("/who #ops")
        self.play.hear(wire.Admitted(Admission.NAMES, "#ops", "bob", ("bob", "alice")),
                       wire.Members(1, "#ops", ("zed", "alice", "bob")))
        rows = self.play.menu.pane.entries[-1].lines()
        self.assertIn("#ops: 3 members, kept by bob, for bob, alice", rows[0])
        self.assertEqual([row.split()[0] for row in rows[1:]], ["alice", "bob", "zed"])
        self.enter("/who #ops")
        self.play.hear(wire.Admitted(Admission.NAMES, "#ops", "bob", ()),
                       wire.Members(2, "#ops", ("bob",)))
        self.assertIn("#ops: 1 member, kept by bob, for nobody else:",
                      self.play.menu.pane.entries[-1].lines()[0])

    def test_the_topic(self) -> None:
        play = self.play
        play.own_rooms(OPS)
        lines = len(play.lines)
        play.own_rooms(OPS._replace(here=4))
        self.assertEqual(len(play.lines), lines)
        play.own_rooms(OPS._replace(topic="bay 4"))
        self.assertEqual(play.last, "* #ops: the topic is now bay 4")
        self.enter("/topic #ops")
        self.assertEqual(play.last, "* #ops: bay 4")
        self.enter("/topic #ops second drawer")
        self.enter("/topic #ops -")
        self.assertEqual(play.asked, [(wire.Topic, "#ops", "second drawer"),
                                      (wire.Topic, "#ops", "")])

    def test_who_may_join(self) -> None:
        self.play.own_rooms(OPS)
        for text, asked in (
                ("/room #ops open", (wire.Admit, 0, "#ops", ())),
                ("/room #ops names bob,carol", (wire.Admit, 1, "#ops", ("bob", "carol"))),
                ("/room #ops group staff", (wire.Admit, 2, "#ops", ("staff",))),
                ("/room #ops add dee", (wire.Admit, 3, "#ops", ("dee",))),
                ("/room #ops drop bob,dee", (wire.Admit, 4, "#ops", ("bob", "dee"))),
                ("/room #ops close", (wire.Close, "#ops"))):
            self.enter(text)
            self.assertEqual(self.play.asked, [asked])
        for text in ("/room", "/room #ops", "/room #ops names", "/room #ops open bob",
                     "/room #ops add", "/room ops open", "/room #ops secret"):
            self.refused(text, "/room #ops open")

    def test_in_the_list_of_names(self) -> None:
        """With counts as new as the answer that the list asked for."""
        play = self.play
        play.own_rooms(OPS)
        play.asked.clear()
        play.press("2", "<Enter>", "1", "<Enter>")
        picker: Any = play.menu.desk.picker
        first = picker.shown[0]
        self.assertEqual((first.name, first.note), ("#ops", "3 of 5 here: bay 3"))
        self.assertEqual(play.asked, [(wire.ListRooms,)])
        play.own_rooms(OPS._replace(here=4), request=1)
        self.assertEqual(picker.shown[0].note, "4 of 5 here: bay 3")
        play.type("#ops", "<Enter>")
        play.enter("hi")
        self.assertEqual(play.asked, [("send", ("#ops",), "hi", 0)])

    def test_the_list_begins_where_something_is_new_and_then_where_was_something_last(self) -> None:
        play = self.play
        play.own_rooms(OPS, OPS._replace(name="#lab"), OPS._replace(name="#zoo"))
        play.enter("@#lab hi")
        play.enter("/with carol")
        play.mail(3, "carol", "seen")
        for number in (4, 5):
            play.hear(wire.Mail(number, play.now, number, 0, 3, "bob", "x", ("#zoo",)))
        play.enter("/with")
        picker: Any = play.menu.desk.picker
        self.assertEqual([choice.name for choice in picker.shown],
                         ["#zoo", "bob", "carol", "#lab", "#ops", "alice"])
        self.assertEqual(picker.shown[0].note, "2 new; 3 of 5 here: bay 3")
        play.type("#zoo", "<Enter>")
        play.enter("/with")
        self.assertEqual(play.menu.desk.picker.shown[0].note,          # type: ignore[union-attr]
                         "3 of 5 here: bay 3")

    def test_tab(self) -> None:
        self.play.own_rooms(OPS)
        self.play.type("@#o", "<Tab>")
        self.assertEqual(self.play.text, "@#ops ")
        self.play.press("<C-u>")
        self.play.type("/leave #", "<Tab>")
        self.assertEqual(self.play.text, "/leave #ops")

    def test_hostile_texts(self) -> None:
        evil = "\x1b[2J\n14:02 bob > you: x"
        self.enter("/rooms")
        self.play.own_rooms(OPS._replace(topic=evil), request=1)
        self.play.own_rooms(OPS._replace(topic=evil + "2"))
        self.play.hear(wire.Admitted(2, "#ops", "bob", (evil,)))
        for entry in self.play.menu.pane.entries:
            for row in ["".join(text for text, _ in row) for row in entry.rows(80, self.ruler)]:
                self.assertTrue(row.isprintable(), row)
                self.assertFalse(row.startswith("14:02 bob"), row)

    @property
    def ruler(self) -> Any:
        return self.play.menu.pane.ruler


class Written(Rooms):
    """The lists of names, after the user has written to what the log of names does not have."""

    def lists(self) -> None:
        """Every list opens, and can be narrowed, on the screen and in --plain; Tab offers names."""
        play, desk = self.play, self.play.menu.desk
        for strict in (False, True):
            desk.strict = strict
            for keys in (["/with", "<Enter>"], ["2", "<Enter>", "1", "<Enter>"],
                         ["2", "<Enter>", "2", "<Enter>"], ["/chat", "<Enter>"],
                         ["/group", "<Enter>"]):
                play.press("<Esc>", "<Esc>", "<C-u>")
                play.press(*[key for word in keys for key in ([word] if word[0] == "<" else word)])
                self.assertEqual((play.mode, play.error), (Mode.PICK, ""), keys)
                play.press("#", "<Backspace>", "b", "<Tab>")
                play.roster(carol=FREE)
                self.assertIn("bob", [name for row in desk.picker.all for name in row.gives])
        play.press("<Esc>", "<Esc>")
        play.type("@", "<Tab>", "<Tab>", "<C-u>")
        play.type("/who", "<Enter>")
        play.listed(play.link._numbers)

    def test_a_room_that_is_there_or_gone_or_was_left(self) -> None:
        self.play.own_rooms(OPS)
        self.enter("@#ops hi")
        self.lists()
        self.play.own_rooms(OPS._replace(part=0), request=1)
        self.lists()                            # left, and it is still there
        self.play.own_rooms(request=2)
        self.lists()                            # closed

    def test_in_an_earlier_session(self) -> None:
        self.play = play = Play()
        play.menu.talk.past.again = 9
        play.link.read = [Sent(play.now, number, 0, (room,), "stored", "", "hi")
                          for number, room in enumerate(("#ops", "#gone"), 1)]
        play.online("bob", "carol")
        play.own_rooms(OPS)
        self.assertEqual([*play.menu.talk.people.heard], ["#ops", "#gone"])
        self.lists()

    def test_a_login_that_never_came(self) -> None:
        self.play.link.logins = {"dee"}
        self.enter("@dee hi")
        self.lists()

    def test_a_name_that_the_cut_log_passed_over(self) -> None:
        with mock.patch("client.known.NAMES_BYTES", 1):
            self.play.roster(erin=FREE)
            self.enter("@erin hi")
            self.lists()
            self.play.roster(erin=AWAY)
            self.enter("@erin hi")
            self.lists()
        self.assertTrue(self.play.link.roster.is_cut)


if __name__ == "__main__":
    unittest.main()
