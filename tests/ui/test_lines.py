"""What --plain adds to the Menu: names made whole, and words for what a screen has in its bar."""
import unittest

import wire
from client.events import Offline, Online, Silent
from tests.client.fake_link import FakeLink, Play
from ui.completed import completed
from ui.menu import Menu
from ui.telling import Telling


class Lines(Play):
    """A user who types whole lines."""

    def __init__(self) -> None:
        super().__init__()
        self.link = FakeLink()
        self.menu = Menu(self.link, name="alice", strict=True)      # type: ignore[arg-type]


class Completed(unittest.TestCase):
    def setUp(self) -> None:
        self.play = Lines().online("bob", "Carol", "carl", "v-1", "v-10", away=("dave",))

    def offered(self, line: str) -> str:
        return completed(self.play.menu.desk, line)

    def test_of_a_message(self) -> None:
        for line, whole in (("@bo hi", "@bob hi"), ("@BO,dav two  words", "@bob,dave two  words"),
                            ("@bob,caro hi", "@bob,Carol hi"), ("@v-1,bo x", "@v-1,bob x"),
                            ("@bo a\nb", "@bob a\nb")):
            self.assertEqual(self.offered(line), whole)

    def test_nothing_where_it_could_be_another_or_nobody(self) -> None:
        for line in ("@car hi", "@v hi", "@zoe hi", "@bo,zoe hi", "@bo", "bo hi", "@all hi", "",
                     "/send bo hi", "@,, hi", "@ali hi", "@#op hi"):
            self.assertEqual(self.offered(line), "", line)

    def test_in_a_list_the_names_of_that_list_count(self) -> None:
        self.play.menu.enter("/chat", self.play.now)
        self.assertEqual([self.offered(line) for line in ("bo", "dav", "car", "v-1", "")],
                         ["bob", "", "", "v-1", ""])
        self.play.menu.enter("caro", self.play.now)
        self.assertIn("caro is not available", self.play.menu.take_error())
        self.play.menu.enter(self.offered("caro"), self.play.now)
        self.assertIn(("invite", ("Carol",)), self.play.asked)


class Told(unittest.TestCase):
    def setUp(self) -> None:
        self.play = Lines().online("bob")
        self.telling = Telling(self.play.menu)

    def told(self, event: object) -> list[str]:
        before = len(self.play.lines)
        self.telling.hear(event)
        return self.play.lines[before:]

    def test_a_silent_daemon_and_that_it_answers(self) -> None:
        self.assertEqual(self.told(Silent(5)), ["* no answer from the daemon for 5 s; what you "
                                                "send is kept, and goes out when it answers"])
        self.assertEqual(self.told(wire.Stored(1, 1)), ["* the daemon answers again"])
        self.assertEqual(self.told(wire.Stored(1, 1)), [])

    def test_one_that_is_lost_then_did_not_answer(self) -> None:
        self.told(Silent(5))
        self.assertIn("an empty line at the menu tries", self.told(Offline("silent", 1.0))[0])
        self.assertEqual(self.told(Offline("silent", 1.0)), [])
        welcome = wire.Welcome(1, 0, bytes(16), bytes(16), 0, 0, "alice", "lab")
        self.assertEqual(self.told(Online(welcome, True)), [])

    def test_more_that_waits_once_for_each_line(self) -> None:
        self.assertEqual(self.told(wire.Waiting(2)), ["* 2 messages waiting: /check shows what "
                                                      "waits"])
        self.assertEqual(self.told(wire.Waiting(3)), [])
        self.telling.typed()
        self.assertEqual(len(self.told(wire.Waiting(4))), 1)
        self.telling.typed()
        self.assertEqual(self.told(wire.Waiting(1)), [])


if __name__ == "__main__":
    unittest.main()
