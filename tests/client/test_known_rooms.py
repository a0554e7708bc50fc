"""Rooms at the client's end of the wire: which there are, what was said there, and the bounds."""
import unittest

import wire
from client import history, letters
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
        self.assertEqual(events, [wire.Past(1, 1, 76, had.sender, ("before", "after"))])

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
