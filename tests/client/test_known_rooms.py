"""Rooms at the client's end of the wire: which there are, what was said there, and the bounds."""
import tempfile
import unittest
from typing import Any

import wire
from client import history, letters
from client.archive import Archive
from client.events import Repeated
from client.history import Sent
from client.past import is_with
from client.rooms import LISTED_MAX, OWN_MAX, Rooms
from tests.client.linked import ALL, ALWAYS, Linked, mail, welcome
from wire import Part, RoomEntry


def room(name: str, part: int = Part.MEMBER, topic: str = "") -> RoomEntry:
    return RoomEntry(name, 0, part, 5, 3, topic)


class OfALink(Linked):
    def setUp(self) -> None:
        super().setUp()
        self.login(welcome(features=ALL | ALWAYS))

    def test_own(self) -> None:
        self.given(wire.Rooms(0, 1, (room("#ops"), room("#Lab"))))
        self.given(wire.Rooms(0, 1, (room("#ops", 0),)))
        self.assertEqual(list(self.link.rooms.own), ["#lab"])
        self.assertEqual(self.link.rooms.spelled("#LAB"), "#Lab")
        self.cut()
        self.back(welcome(features=ALL | ALWAYS))
        self.assertEqual(self.link.rooms.own, {})

    def test_sent_to_a_room(self) -> None:
        (number,) = self.link.send(["#ops"], "hi")
        self.assertEqual(self.house.hear()[-1], wire.Send(number, 0, ("#ops",), "hi"))
        for to in (["#ops", "bob"], ["#"], ["#a b"]):
            with self.assertRaises(ValueError):
                self.link.send(to, "hi")

    def test_what_is_known_is_no_past(self) -> None:
        """A line that the user has had is not shown again; one with another text is."""
        (had,) = self.given(mail(5, origin=77)._replace(text="had"))
        self.link.shown([had])
        events = self.given(wire.Past(1, 1, 76, had.sender, ("before", "had", "after")),
                            wire.Past(1, 1, 77, had.sender, ("had",)))
        self.assertEqual(events, [wire.Past(1, 1, 76, had.sender, ("before",)),
                                  wire.Past(1, 1, 78, had.sender, ("after",)),
                                  wire.Past(1, 1, 76, had.sender, ()),
                                  wire.Past(1, 1, 77, had.sender, ())])

    def test_what_cant_be(self) -> None:
        for said in (wire.Rooms(0, 1, (room("ops"),)), wire.Rooms(0, 1, (room("##"),)),
                     wire.Members(1, "ops", ()), wire.Members(1, "#ops", ("#ops",)),
                     wire.Admitted(0, "#a b", "bob", ()), wire.Admitted(0, "#ops", "", ()),
                     wire.Past(1, 1, 1, "#ops", ("x",)), wire.Past(1, 1, 1, "bob", ("",))):
            with self.subTest(said):
                self.link = self.make()
                self.login(welcome(features=ALL | ALWAYS))
                self.given(said)
                self.assertFalse(self.link.online)


class InAnArchive(unittest.TestCase):
    def test_the_lines_of_a_file(self) -> None:
        """Both sides of what is said in a room are found by its name, and by the sender's."""
        sent = Sent(5, 9, 0, ("#ops",), "stored", "", "hi")
        had = wire.Mail(5, 7, 77, 0, 6, "bob", "hello", ("#ops",))
        self.assertEqual(history.parse(history.line(sent).encode()), sent)
        self.assertEqual(history.parse(letters.line(had).encode()), had)
        self.assertEqual([is_with(record, name) for record in (sent, had)
                          for name in ("#OPS", "bob", "#o", "ops")],
                         [True, False, False, False, True, True, False, False])


class Recalled(Linked):
    """What /join shows is in the archive afterwards, once."""

    def setUp(self) -> None:
        self.directory = self.enterContext(tempfile.TemporaryDirectory())
        super().setUp()
        self.follow()

    def follow(self) -> None:
        self.link.close()
        self.link = self.make(Archive(self.directory, fsync=lambda fd: None))
        self.login(welcome(features=ALL | ALWAYS))

    def joined(self) -> list[Any]:
        """What comes of it, when the room is joined and what came was shown."""
        events = self.given(wire.Past(1, 5, 76, "bob", ("which drawer?", "the\nsecond")),
                            wire.Past(1, 6, 90, "alice", ("thanks", "bye")))
        self.link.archive.recall([
            wire.Mail(0, said.time, number, 0, 1, said.sender, text, ("#ops",))
            for said in events for number, text in enumerate(said.texts, said.origin)])
        return events

    def test_kept_once_and_confirmed_never(self) -> None:
        self.assertEqual(len(self.joined()), 2)
        self.assertEqual([event.texts for event in self.joined()], [(), ()])
        self.follow()
        self.assertEqual(self.house.hear(), [])
        self.assertEqual([event.texts for event in self.joined()], [(), ()])
        self.assertEqual([(mail.sender, mail.text) for mail in self.link.archive.last(9, "#ops")],
                         [("bob", "which drawer?"), ("bob", "the\nsecond"), ("alice", "thanks"),
                          ("alice", "bye")])

    def test_what_the_user_said_there_is_in_the_archive_already(self) -> None:
        (number,) = self.link.send(["#ops"], "mine")
        self.given(wire.Stored(number, number))
        self.assertEqual(self.given(wire.Past(1, 6, number, "alice", ("mine", "of elsewhere"))),
                         [wire.Past(1, 6, number + 1, "alice", ("of elsewhere",)),
                          wire.Past(1, 6, number, "alice", ())])

    def test_a_line_that_also_comes_as_a_message_is_confirmed_and_not_shown(self) -> None:
        self.joined()
        self.house.hear()
        (event,) = self.given(mail(8, origin=76, text="which drawer?"))
        self.assertIsInstance(event, Repeated)
        self.assertEqual(self.house.hear(), [wire.Confirm(8, 8)])


class Bounds(unittest.TestCase):
    def test_a_million_rooms(self) -> None:
        for request, most in ((0, OWN_MAX), (7, LISTED_MAX)):
            rooms = Rooms()
            for page in range(1000):
                rooms.hear(wire.Rooms(request, 0, tuple(
                    room(f"#r{page}-{number}", topic="t" * 255) for number in range(20))))
            self.assertTrue(rooms.is_cut)
            self.assertLessEqual(len(rooms.own), OWN_MAX)
            self.assertEqual(len(rooms.listed if request else rooms.own), most)
            rooms.hear(wire.Rooms(request, 0, (room("#r0-0", topic="new"),)))
            self.assertEqual((rooms.listed if request else rooms.own)["#r0-0"].topic, "new")


if __name__ == "__main__":
    unittest.main()
