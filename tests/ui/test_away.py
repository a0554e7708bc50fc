"""/away: said, kept in the bar, and heard by who writes."""
import unittest
from unittest import mock

import wire
from tests.client.fake_link import Play
from tests.ui.test_conversations import bar


class Away(unittest.TestCase):
    def setUp(self) -> None:
        self.play = Play().online("bob", "carol", away=("dave",))
        self.play.link.ask.granted = wire.Feature.STATUS
        self.play.asked                         # noqa: B018     what was asked so far

    def test_said_and_taken_back(self) -> None:
        play = self.play
        play.enter("/away on a train")
        ((_, text),) = play.asked
        self.assertEqual(text, "on a train")
        play.hear(wire.Status("alice", "on a train"), wire.Done(1))
        self.assertIn("you are away: on a train", play.lines[-2])
        self.assertIn("= away ==", bar(play))
        play.enter("/away")
        self.assertEqual(play.asked, [("away", "")])
        play.hear(wire.Status("alice", ""))
        self.assertNotIn("away", bar(play))

    def test_what_is_refused(self) -> None:
        self.play.enter("/away " + "x" * 201)
        self.assertIn("at most 200", self.play.error)
        self.play.link.ask.granted = 0
        self.play.enter("/away hm")
        self.assertIn("does not support", self.play.error)
        self.assertEqual(self.play.asked, [])

    def test_who_writes_hears_it_once_for_each_text(self) -> None:
        play = self.play
        play.hear(wire.Status("bob", "on a \x1btrain"))
        self.assertNotIn("train", play.last, "nobody has asked")
        play.enter("@bob hi")
        self.assertEqual(play.last, "* bob is away: on a ^[train")
        play.enter("more")
        self.assertEqual(sum("is away" in line for line in play.lines), 1)
        play.hear(wire.Status("bob", ""))
        play.hear(wire.Status("bob", "back at 6"))
        self.assertEqual(play.last, "* bob is away: back at 6", "they talk")
        play.press("<Esc>")
        play.enter("@dave hi")
        play.hear(wire.Status("dave", "until Monday"))          # who is not connected, only now
        self.assertEqual(play.last, "* dave is away: until Monday")

    def test_in_lists(self) -> None:
        play = self.play
        play.hear(wire.Status("bob", "on a train"))
        here = play.menu.talk.people.here
        self.assertEqual(here.status(here.entry("bob")), "Available; away: on a train")
        play.enter("/with")
        notes = {choice.name: choice.note
                 for choice in play.menu.desk.picker.all}       # type: ignore[union-attr]
        self.assertEqual(notes["bob"], "available; away: on a train")

    def test_how_many_are_kept_has_a_bound(self) -> None:
        with mock.patch("ui.away.TEXTS_MAX", 3):
            for number in range(9):
                self.play.hear(wire.Status(f"user{number}", "hm"))
        self.play.hear(wire.Status("eve", "x" * 5000))
        self.assertEqual(len(self.play.menu.talk.people.away), 3)


if __name__ == "__main__":
    unittest.main()
