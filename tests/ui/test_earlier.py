"""What earlier sessions left, as the user sees it; and what this one leaves."""
import unittest
from typing import Any

from client.events import Left
from client.history import UNANSWERED, Sent
from client.unsent import Draft
from terminal.keys import Paste
from tests.client.fake_link import NOON, Play
from ui.desk import Mode
from ui.drafts import drafts
from ui.earlier import SHOWN
from wire import Refused, Stored, Why


def send(number: int, text: str, *to: str) -> Sent:
    return Sent(NOON - 60_000_000, number, 0, to, UNANSWERED, "", text)


def after(*events: Any, sends: tuple[Sent, ...] = ()) -> Play:
    """Who has logged in; `sends`: what was left."""
    play = Play()
    play.link.sends = list(sends)
    if sends:
        play.hear(Left(list(sends), []))
    play.hear(*events)
    return play.online("bob", "carol")


class Offered(unittest.TestCase):
    def test_one_message_below_the_greeting(self) -> None:
        play = after(sends=(send(77, "bay 3", "bob"),))
        self.assertRegex(play.last, r"1 message of yours was not acknowledged, of 21 Nov \d\d:\d\d "
                                    r"to bob: bay 3; /send-again sends it, /drop does not")

    def test_it_is_sent_with_its_number_and_its_mark_follows(self) -> None:
        play = after(sends=(send(77, "bay 3", "bob"),))
        play.enter("/send-again")
        self.assertEqual((play.error, play.last), ("", "you > bob .: bay 3"))
        self.assertIn(77, play.link.pending)
        play.hear(Stored(77, 77))
        self.assertEqual(play.last, "you > bob =: bay 3")
        play.enter("/send-again")
        self.assertIn("no message of an earlier session", play.error)

    def test_one_that_the_daemon_refuses_then(self) -> None:
        play = after(sends=(send(77, "drill"),))
        play.enter("/send-again")
        play.hear(Refused(77, Why.FULL, "the mailbox is full"))
        self.assertEqual(play.last, "you > all ! the mailbox is full: drill")

    def test_dropped(self) -> None:
        play = after(sends=(send(77, "bay 3", "bob"), send(78, "bay 4", "carol")))
        play.enter("/drop")
        self.assertEqual(play.last,
                         "* 2 messages dropped; /history has what was not sent, with a .")
        play.enter("/drop")
        self.assertIn("no message of an earlier session", play.error)
        self.assertEqual(play.link.pending, {})

    def test_many_are_counted_and_hostile_texts_are_shown_as_what_they_are(self) -> None:
        play = after(sends=tuple(send(number, f"{number}\x1b[2J\nx", "bob")
                                 for number in range(1, SHOWN + 10)))
        lines = play.menu.pane.entries[-1].lines()
        self.assertIn(f"{SHOWN + 9} messages of yours were not acknowledged, of which these are "
                      f"the first {SHOWN}", lines[0])
        self.assertEqual(len(lines), 1 + SHOWN)
        self.assertFalse(any("\x1b" in line or "\n" in line for line in lines))

    def test_what_comes_later_is_told_at_once(self) -> None:
        play = Play().online("bob")
        play.link.sends = [send(77, "bay 3", "bob")]
        play.hear(Left(play.link.sends, []))
        self.assertIn("1 message of yours", play.last)


class Begun(unittest.TestCase):
    def test_it_is_there_again_in_its_conversation_or_in_the_history(self) -> None:
        play = after(Left([], [Draft("bob", "half"), Draft("", "@carol and"), Draft("a,b", "c d")]))
        self.assertEqual(play.last, "* what you had begun to type is here again: to bob "
                                    "(/with bob) and 2 texts (Up)")
        self.assertEqual((play.mode, play.text), (Mode.MENU, ""))
        play.press("<Up>")
        self.assertEqual(play.text, "@carol and")
        play.press("<Up>")
        self.assertEqual(play.text, "c d")
        play.press("<Down>", "<Down>")
        play.enter("/with bob")
        self.assertEqual((play.mode, play.text), (Mode.TALK, "half"))

    def test_the_one_is_named_to_whom_it_goes(self) -> None:
        play = after(Left([], [Draft("#ops", "@carol half"), Draft("#ops", "@@ all"),
                               Draft("bob", "@bob hi")]))
        self.assertEqual(play.last, "* what you had begun to type is here again: to carol, #ops, "
                                    "bob (/with #ops)")

    def test_a_text_that_the_user_has_begun_meanwhile_stays(self) -> None:
        play = Play().online("bob")
        play.type("@bob new")
        play.hear(Left([], [Draft("", "@bob old")]))
        self.assertEqual(play.text, "@bob new")

    def test_what_a_session_leaves(self) -> None:
        play = Play().online("bob", "carol")
        self.assertEqual(drafts(play.menu.desk), [])
        play.type("@bob half")
        self.assertEqual(drafts(play.menu.desk), [Draft("", "@bob half")])
        play.press("<C-c>")
        play.enter("/with bob")
        play.type("half")
        play.press("<Esc>")
        play.enter("/send bob,carol")
        play.type("to both")
        self.assertEqual(drafts(play.menu.desk),
                         [Draft("bob,carol", "to both"), Draft("bob", "half")])
        play.press("<Esc>")
        self.assertEqual(drafts(play.menu.desk),
                         [Draft("bob,carol", "to both"), Draft("bob", "half")])

    def test_a_long_paste(self) -> None:
        play = Play().online("bob")
        play.press(Paste("x\n" * 9))
        self.assertEqual([draft.text for draft in drafts(play.menu.desk)], ["x\n" * 8 + "x"])

    def test_no_command_item_name_or_passphrase(self) -> None:
        play = Play().online("bob")
        for line in ("/who bo", "2"):
            play.type(line)
            self.assertEqual(drafts(play.menu.desk), [])
            play.press("<C-c>")
        play.enter("/claim")
        play.type("secret words")
        self.assertEqual(drafts(play.menu.desk), [])
        play = Play("", offered="ann")
        play.type("an")
        self.assertEqual(drafts(play.menu.desk), [])
