"""A conversation is a place: where lines go, what is shown there, what is new elsewhere."""
import unittest
from unittest import mock

import wire
from terminal.keys import Paste
from tests.client.fake_link import AWAY, BUSY, FREE, Offline, Play
from ui.desk import Mode
from ui.menu import Menu
from ui.screen import frame


def seen(play: Play) -> list[str]:
    """The rows of the pane that are shown, without times and rules."""
    return [row.split(" ", 1)[1] for row in ("".join(text for text, _ in row).rstrip()
            for row in play.menu.pane.view(60, 40)) if not row.startswith("--")]


def bar(play: Play, cols: int = 80) -> str:
    return next(row for row in ("".join(text for text, _ in row)
                                for row in frame(play.menu, 24, cols).rows)
                if row.startswith("= "))


class Conversing(unittest.TestCase):
    def setUp(self) -> None:
        self.play = Play().online("bob", "carol", "dave")
        self.asked()

    def asked(self) -> list[tuple[object, ...]]:
        return self.play.asked

    def mail(self, number: int, sender: str, text: str, *to: str) -> None:
        self.play.hear(wire.Mail(number, self.play.now, number, 0, len(to) or 1, sender, text, to))


class Staying(Conversing):
    def test_the_prompt_stays_after_a_message_to_one(self) -> None:
        play = self.play
        play.enter("@bob hi")
        self.assertEqual((play.mode, play.prompt, play.menu.where),
                         (Mode.TALK, "to bob>", "with bob"))
        play.enter("are you there?")
        self.assertEqual(self.asked(), [("send", ("bob",), "hi", 0),
                                        ("send", ("bob",), "are you there?", 0)])
        play.press("<Esc>")
        self.assertEqual((play.mode, play.prompt), (Mode.MENU, "menu>"))

    def test_not_after_one_to_several_or_all_or_oneself(self) -> None:
        for line in ("@bob,carol hi", "/all hi", "@alice a note"):
            self.play.enter(line)
            self.assertEqual(self.play.prompt, "menu>", line)

    def test_a_line_may_go_elsewhere(self) -> None:
        """`@carol hi` goes to carol, says so while it is typed, and the prompt stays with bob."""
        play = self.play
        play.enter("@bob hi")
        play.type("@carol hi")
        self.assertEqual(play.prompt, "to carol>")
        play.press("<Enter>")
        self.assertEqual((play.prompt, self.asked()[-1]),
                         ("to bob>", ("send", ("carol",), "hi", 0)))
        play.enter("2")
        play.enter("1")
        play.enter("dave")
        play.enter("you too")
        self.assertEqual((play.prompt, self.asked()[-1]),
                         ("to dave>", ("send", ("dave",), "you too", 0)))

    def test_a_digit_in_an_empty_line_is_an_item(self) -> None:
        play = self.play
        play.enter("@bob hi")
        play.press("3")
        self.assertEqual((play.prompt, play.text), ("menu>", "3. Check for messages"))
        play.press("<Enter>")
        self.assertEqual((self.asked()[-1], play.prompt, play.text), (("check",), "to bob>", ""))
        play.press("3", "<Esc>")
        self.assertEqual((play.prompt, play.text), ("to bob>", ""))
        play.press("3", "<Backspace>")
        self.assertEqual((play.prompt, play.text), ("to bob>", ""))
        play.press("2", "<Enter>", "<Esc>")
        self.assertEqual(play.prompt, "to bob>", "back from an item")

    def test_a_digit_and_more_is_a_text(self) -> None:
        play = self.play
        play.enter("@bob hi")
        play.type("2 more, and 4x", "<Enter>")
        self.assertEqual(self.asked()[-1], ("send", ("bob",), "2 more, and 4x", 0))
        play.type("24", "<Enter>")
        self.assertEqual(self.asked()[-1], ("send", ("bob",), "24", 0))
        play.enter("Exit")
        self.assertEqual(self.asked()[-1], ("send", ("bob",), "Exit", 0), "words are no items")
        play.press("9")
        self.assertEqual((play.text, play.prompt), ("9", "to bob>"), "there is no such item")

    def test_lines_of_a_paste_and_with_signs(self) -> None:
        play = self.play
        play.enter("@bob hi")
        play.press(Paste("one\ntwo"), "<Enter>")
        play.enter("//etc")
        play.enter("@@home")
        self.assertEqual([asked[2] for asked in self.asked()[1:]], ["one\ntwo", "/etc", "@home"])

    def test_enter_with_nothing(self) -> None:
        play = self.play
        play.enter("@bob hi")
        self.asked()
        play.press("<Enter>")
        self.assertEqual((self.asked(), play.error), ([], ""))
        play.link.online = False
        play.hear(Offline("cut", 1.0))
        play.press("<Enter>")
        self.assertEqual(self.asked(), [("connect",)])

    def test_each_keeps_its_own_text(self) -> None:
        play = self.play
        play.enter("/with bob")
        play.type("half")
        play.press("<Esc>")
        self.assertIn("is kept", play.error)
        play.enter("/with carol")
        self.assertEqual(play.text, "")
        play.type("other")
        self.mail(1, "bob", "news")
        play.press("<M-a>")
        self.assertEqual((play.prompt, play.text), ("to bob>", "half"))
        play.press("<C-u>")
        play.enter("/with carol")
        self.assertEqual(play.text, "other")

    def test_in_a_chat_the_chat_stays(self) -> None:
        play = self.play
        play.hear(wire.Started(1, 1, ("alice", "dave")))
        play.enter("@bob hi")
        self.assertEqual(play.mode, Mode.CHAT)
        play.enter("/with bob")
        play.enter("hm")
        self.assertEqual((play.mode, self.asked()[-1]), (Mode.TALK, ("send", ("bob",), "hm", 0)))
        play.press("<Esc>")
        self.assertEqual(play.mode, Mode.CHAT)

    def test_a_chat_that_begins(self) -> None:
        play = self.play
        play.enter("/with bob")
        play.type("half")
        play.hear(wire.Started(1, 1, ("alice", "dave")))
        self.assertEqual((play.mode, play.text), (Mode.TALK, "half"))
        self.assertIn("Esc from bob goes there", play.error)
        play.press("<Esc>")
        self.assertEqual(play.mode, Mode.CHAT)
        play.hear(wire.Ended(1, 0, "dave"))
        play.enter("/with bob")
        play.press("<C-u>")
        play.hear(wire.Started(2, 1, ("alice", "dave")))
        self.assertEqual((play.mode, play.menu.talk.conversations.open), (Mode.CHAT, ""))

    def test_a_script_goes_back_to_the_menu(self) -> None:
        """Its next line is meant for the menu, as it always was."""
        play = self.play
        play.menu = Menu(play.link, name="alice", strict=True, stays=False)  # type: ignore[arg-type]
        play.online("bob")
        play.enter("@bob hi")
        self.assertEqual(play.mode, Mode.MENU)
        play.enter("/with bob")
        play.enter("more")
        self.assertEqual(self.asked()[-1], ("send", ("bob",), "more", 0))
        play.enter("3")
        self.assertEqual(self.asked()[-1], ("check",))

    def test_with_whom(self) -> None:
        play = self.play
        play.enter("/with bob,carol")
        self.assertIn("with one", play.error)
        play.enter("/with nobody")
        self.assertIn("nobody named nobody has ever been here", play.error)
        play.enter("/with")
        self.assertEqual((play.mode, play.prompt), (Mode.PICK, "with>"))
        play.enter("car")
        self.assertEqual((play.prompt, play.menu.where), ("to carol>", "with carol"))


class Shown(Conversing):
    def setUp(self) -> None:
        super().setUp()
        self.mail(1, "bob", "the wrench?")
        self.mail(2, "carol", "minutes")
        self.play.enter("@bob bay 3")
        self.play.press("<Esc>")
        self.mail(3, "bob", "to both", "alice", "carol")
        self.mail(4, "dave", "drill", "#ops")

    def test_with_shows_one_alone(self) -> None:
        play = self.play
        play.enter("/with bob")
        self.assertEqual(seen(play), ["bob > you the wrench?", "you > bob . bay 3",
                                      "bob > you, carol to both"])
        play.enter("/who")
        self.asked()
        play.hear(wire.Roster(2, 1, ()))
        self.assertIn("users", seen(play)[-5], "what the client answers is seen where it is asked")
        play.press("<Esc>")
        self.assertIn("carol > you minutes", seen(play))
        play.enter("/with carol")
        self.assertEqual(seen(play), ["carol > you minutes", "bob > you, carol to both"])

    def test_what_one_sends_elsewhere_is_seen_where_it_was_typed(self) -> None:
        play = self.play
        play.enter("/with bob")
        play.enter("@carol wait")
        self.assertEqual(seen(play)[-1], "you > carol . wait")
        play.enter("/with carol")
        self.assertEqual(seen(play)[-1], "you > carol . wait")

    def test_a_send_alone_hides_nothing(self) -> None:
        self.play.enter("@bob hm")
        self.assertIn("carol > you minutes", seen(self.play))

    def test_a_day_has_its_rule_above_its_first_row(self) -> None:
        play = self.play
        play.now += 86_400_000_000
        self.mail(5, "carol", "tomorrow")
        self.mail(6, "bob", "tomorrow, too")
        self.mail(7, "bob", "and more")
        play.enter("/with bob")
        rows = ["".join(text for text, _ in row) for row in play.menu.pane.view(60, 40)]
        self.assertEqual([row[:9] for row in rows if row.startswith("--")],
                         ["-- Sat 21", "-- Sun 22"])
        self.assertIn("Sun 22", rows[-3])

    def test_what_is_new_elsewhere(self) -> None:
        play = self.play
        self.assertIn("= menu = 4 online ==", bar(play))
        play.enter("/with bob")
        for number, sender in enumerate(("carol", "carol", "dave", "bob"), 10):
            self.mail(number, sender, "hm")
        self.assertEqual(bar(play).split(" = ")[1:3], ["with bob", "carol 2, dave 1"])
        self.assertEqual(bar(play, 40).rstrip("= "), "= alice = with bob = carol 2, dave 1")
        play.press("<M-a>")
        self.assertEqual((play.prompt, seen(play)[-1]), ("to carol>", "carol > you hm"))
        self.assertEqual(bar(play).split(" = ")[1:3], ["with carol", "dave 1"])
        play.press("<M-a>", "<M-a>")
        self.assertIn("nothing is new", play.error)
        self.assertEqual(play.prompt, "to dave>")
        self.mail(20, "dave", "a room", "#ops")
        self.assertEqual(play.menu.talk.conversations.news, {"#ops": 1})

    def test_what_came_while_nobody_looked(self) -> None:
        play = self.play
        play.press("<FocusOut>")
        self.mail(10, "dave", "hm")
        self.assertIn("dave 1", bar(play))
        play.press("<FocusIn>")
        self.assertNotIn("dave 1", bar(play))
        play.enter("/with bob")
        self.mail(11, "dave", "hm")
        play.enter("/with")
        choices = play.menu.desk.picker.all                     # type: ignore[union-attr]
        self.assertEqual((choices[0].name, choices[0].note), ("dave", "1 new; available"))

    def test_how_many_are_counted_has_a_bound(self) -> None:
        play = self.play
        play.enter("/with bob")
        for number in range(9):
            self.mail(100 + number, f"user{number}", "hm")
        self.assertIn("user0 1, user1 1, user2 1 +6", bar(play))
        with mock.patch("ui.conversations.NEWS_MAX", 9):
            self.mail(200, "eve", "hm")
            self.mail(201, "user0", "hm")
        self.assertEqual((len(play.menu.talk.conversations.news),
                          play.menu.talk.conversations.news["user0"]), (9, 2))


class Answering(Conversing):
    def test_all(self) -> None:
        play = self.play
        play.press("<M-r>")
        self.assertIn("no message", play.error)
        self.mail(1, "bob", "lunch?", "alice", "carol", "dave")
        play.enter("@carol mine")
        play.press("<M-r>")
        self.assertEqual(play.prompt, "to bob, carol, dave>")
        play.enter("yes")
        self.assertEqual(self.asked()[-1], ("send", ("bob", "carol", "dave"), "yes", 0))

    def test_one_or_nobody_knows(self) -> None:
        play = self.play
        self.mail(1, "bob", "hi")
        play.enter("/reply")
        self.assertEqual(play.prompt, "to bob>")
        play.hear(wire.Mail(2, play.now, 2, 0, 9, "dave", "hm"))
        play.press("<M-r>")
        self.assertIn("does not say who else", play.error)

    def test_in_a_conversation_it_is_about_that(self) -> None:
        play = self.play
        self.mail(1, "bob", "lunch?", "alice", "carol")
        self.mail(2, "dave", "hm", "alice", "carol")
        play.enter("/with bob")
        play.press("<M-r>")
        self.assertEqual(play.prompt, "to bob, carol>")
        play.press("<Esc>")
        self.assertEqual(play.prompt, "to bob>")
        self.mail(3, "bob", "you alone", "alice")
        play.press("<M-r>")
        self.assertEqual(play.prompt, "to bob, carol>")

    def test_that_one_user_alone_is_answered_is_said(self) -> None:
        play = self.play
        self.mail(1, "bob", "lunch?", "alice", "carol")
        self.mail(2, "dave", "hm", "alice")
        for begin in "", "/with dave":
            play.enter(begin)
            play.press("<M-r>")
            self.assertEqual(play.prompt, "to dave>")
            self.assertIn("answers dave alone", play.last)


class Presence(Conversing):
    def test_of_people_one_talks_to(self) -> None:
        play = self.play
        play.roster(dave=AWAY)
        self.mail(1, "bob", "hi")
        play.roster(bob=BUSY)
        play.roster(bob=AWAY, carol=AWAY)
        play.roster(bob=AWAY)
        self.assertEqual(play.last, "* bob has gone")
        self.assertEqual(sum("has gone" in line for line in play.lines), 1)
        play.enter("/with carol")
        play.roster(bob=FREE)
        self.assertNotIn("bob is here", " ".join(seen(play)))
        play.press("<Esc>")
        self.assertEqual(seen(play)[-1], "* bob is here")
        self.assertEqual([wish.event for wish in play.menu.take_wishes()],  # type: ignore[union-attr]
                         ["message"], "quietly")

    def test_not_what_a_new_connection_brings(self) -> None:
        play = self.play
        self.mail(1, "bob", "hi")
        play.hear(Offline("cut", 1.0))
        play.link.roster.present.clear()
        play.online("carol", away=("bob",), again=True)
        self.assertNotIn("has gone", " ".join(play.lines))

    def test_who_is_waited_for_is_told_once(self) -> None:
        play = self.play
        self.mail(1, "bob", "hi")
        play.roster(bob=AWAY)
        play.enter("/tell-me bob")
        play.roster(bob=FREE)
        self.assertEqual(sum("bob is here" in line for line in play.lines), 1)


if __name__ == "__main__":
    unittest.main()
