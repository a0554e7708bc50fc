"""parley chat and parley join, once the log of names is there."""
import unittest

import wire
from tests.client.fake_link import BUSY, FREE, Play
from ui.desk import Mode
from ui.failures import Failure
from ui.menu import Menu
from ui.opening import Opening, chat, join


class Openings(unittest.TestCase):
    def opened(self, act, name: str, is_script: bool = False, typed: str = "", **states: int
               ) -> Play:
        play = Play()
        play.menu = Menu(play.link, name="alice", strict=is_script, stays=not is_script,
                         opening=Opening(act, name, is_script))
        play.type(typed)
        play.online("alice", "bob", "carol")
        if states:
            play.roster(**states)
        return play

    def test_with_a_user_who_is_free(self) -> None:
        play = self.opened(chat, "BOB")
        self.assertEqual((play.prompt, play.asked), ("to bob>", [("invite", ("bob",))]))
        play.enter("are you there?")
        self.assertEqual(play.asked[-1], ("send", ("bob",), "are you there?", 0))
        play.hear(wire.Started(7, 1, ("alice", "bob")))
        self.assertEqual(play.mode, Mode.CHAT)

    def test_once(self) -> None:
        play = self.opened(chat, "bob")
        play.press("<Esc>")
        play.roster(bob=FREE)
        self.assertEqual((play.mode, len(play.asked)), (Mode.MENU, 1))

    def test_what_was_typed_meanwhile_stays(self) -> None:
        self.assertEqual(self.opened(chat, "bob", typed="half a").text, "half a")

    def test_who_can_not_be_invited(self) -> None:
        play = Play()
        play.menu = Menu(play.link, name="alice", opening=Opening(chat, "dave", False))
        play.online("alice", away=("dave",))
        self.assertEqual((play.prompt, play.asked), ("to dave>", []))
        self.assertIn("dave: not connected since", play.last)
        play.menu = Menu(play.link, name="alice", opening=Opening(chat, "bob", False))
        play.link.roster.forget()
        play.online("alice")
        self.assertEqual(play.mode, Mode.MENU)
        self.assertIn("nobody named bob has ever been here", play.error)

    def test_who_is_busy(self) -> None:
        play = Play()
        play.menu = Menu(play.link, name="alice", opening=Opening(chat, "bob", False))
        play.link.roster.hear(wire.Roster(0, 0, (wire.Entry("bob", BUSY, 0, 1, 4),)))
        play.online("alice")
        self.assertEqual((play.prompt, play.asked), ("to bob>", []))
        self.assertIn("each line you write is a message", play.last)

    def test_oneself(self) -> None:
        self.assertIn("your own name", self.opened(chat, "alice").error)

    def test_a_script_ends_there(self) -> None:
        """The lines below are no commands for the menu."""
        with self.assertRaisesRegex(Failure, "nobody named zed has ever been here"):
            self.opened(chat, "zed", is_script=True)

    def test_every_line_of_a_script_is_a_message(self) -> None:
        play = self.opened(chat, "bob", is_script=True)
        for line in "3", "Exit", "hi":
            play.menu.enter(line, play.now)
            self.assertEqual(play.asked[-1], ("send", ("bob",), line, 0))

    def test_a_room(self) -> None:
        play = self.opened(join, "#ops")
        self.assertEqual((play.prompt, play.asked), ("to #ops>", [(wire.Join, "#ops")]))
        play.own_rooms(wire.RoomEntry("#ops", 0, 1, 1, 1, ""))
        play.enter("hi")
        self.assertEqual(play.asked[-1], ("send", ("#ops",), "hi", 0))


if __name__ == "__main__":
    unittest.main()
