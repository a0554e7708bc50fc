"""The recipients of a line: their names are one word, the first blank ends it, and the text
follows."""
import unittest

import wire
from tests.client.fake_link import BUSY, Play
from tests.programs.test_plain import Lines
from ui.commands import WHOM
from ui.names import ONE_WORD, addressees

EVERYONE, NOW = int(wire.SendFlag.EVERYONE), int(wire.SendFlag.NOW)


class TheRule(unittest.TestCase):
    def test_table(self) -> None:
        for text, names, rest in (
                ("bob hi", ["bob"], "hi"), ("bob,carol hi", ["bob", "carol"], "hi"),
                ("bob, carol is leaving us", ["bob"], "carol is leaving us"),
                ("bob,carol, hi", ["bob", "carol"], "hi"),
                ("bob,,carol hi", ["bob", "carol"], "hi"),
                ("bob ,carol hi", ["bob"], ",carol hi"), (",bob hi", ["bob"], "hi"),
                ("bob\tcarol", ["bob"], "carol"), ("bob,\ncarol hi", ["bob"], "carol hi"),
                ("bob,\u00a0carol hi", ["bob"], "carol hi"), ("bob", ["bob"], None),
                ("bob,", ["bob"], None), ("bob, ", ["bob"], ""), ("", [], None),
                (", hi", [], "hi"), ("  bob  hi ", ["bob"], "hi ")):
            self.assertEqual(addressees(text), (names, rest), ascii(text))


class Typed(unittest.TestCase):
    def play(self) -> Play:
        return Play().online("bob", "carol", "dave")

    def asked(self, *lines: str) -> list[tuple[object, ...]]:
        play = self.play()
        for line in lines:
            play.enter(line)
        return play.asked

    def test_a_blank_after_the_comma_ends_the_names(self) -> None:
        text = "carol is leaving us"
        self.assertEqual(self.asked("@bob, " + text), [("send", ("bob",), text, 0)])
        self.assertEqual(self.asked("/now bob " + text), [("send", ("bob",), text, NOW)])

    def test_where_no_prompt_says_it_a_blank_after_the_comma_is_a_slip(self) -> None:
        play = self.play()
        for line in ("/send bob, carol hi", "/now bob, carol hi", "/send bob,carol, hi"):
            play.enter(line)
            self.assertEqual((play.asked, play.error, play.text), ([], ONE_WORD, line))
            play.menu.desk.line.set("")
        play.enter("/send bob, ")
        self.assertEqual((play.asked, play.prompt), ([], "to bob>"))

    def test_what_follows_looks_like_a_name(self) -> None:
        """Nothing is asked: it is the text."""
        for text in ("carol", "carol, dave", "@carol hi", "all", "/exit"):
            self.assertEqual(self.asked("@bob, " + text), [("send", ("bob",), text, 0)])

    def test_the_prompt_says_it_while_it_is_typed(self) -> None:
        play = self.play()
        for typed, prompt in (("@bob,carol hi", "to bob, carol>"), ("@bob, carol hi", "to bob>"),
                              ("@bob, ", "to bob>"), ("@bob,", "menu>"),
                              ("@bob,,carol ", "to bob, carol>")):
            play.menu.desk.line.set(typed)
            self.assertEqual(play.prompt, prompt, typed)

    def test_a_text_that_begins_with_a_comma_is_a_slip(self) -> None:
        play = self.play()
        for line in ("@bob ,carol hi", "/send bob , carol hi", "/now bob ,carol hi"):
            play.enter(line)
            self.assertEqual((play.asked, play.error, play.text), ([], ONE_WORD, line))
            play.menu.desk.line.set("")

    def test_a_comma_at_the_end_asks_for_the_text(self) -> None:
        play = self.play()
        play.enter("@bob,")
        self.assertEqual((play.asked, play.prompt), ([], "to bob>"))

    def test_commands_without_a_text(self) -> None:
        """Only names can follow, and they are one word too; more is a fault, and invites nobody."""
        for line, fault in (("/group bob, carol", ONE_WORD), ("/group bob carol", ONE_WORD),
                            ("/group bob,carol dave", ONE_WORD), ("/chat bob carol", ONE_WORD),
                            ("/chat bob,carol", "with one user"),
                            ("/ignore bob carol", "takes one name"),
                            ("/unignore bob carol", "needs one name")):
            play = self.play()
            play.enter(line)
            self.assertEqual(play.asked, [], line)
            self.assertIn(fault, play.error, line)
        self.assertEqual(self.asked("/group bob,carol"), [("invite", ("bob", "carol"))])
        self.assertEqual(self.asked("/chat  bob "), [("invite", ("bob",))])


class AllInAChat(unittest.TestCase):
    def chatting(self, *others: str) -> Play:
        play = Play().online("bob", "carol", "dave")
        play.hear(wire.Started(7, 1, ("alice", *others)))
        play.roster(**dict.fromkeys(("alice", *others), (BUSY, 7)))
        return play

    def test_it_is_asked_about_and_goes_to_nobody(self) -> None:
        for others in (("bob", "carol"), ("bob",)):
            for line in ("@all lunch?", "@ALL lunch?", "@all, lunch?", "@all"):
                play = self.chatting(*others)
                play.enter(line)
                self.assertEqual((play.asked, play.error, play.text), ([], WHOM, line))

    def test_the_prompt_asks_before_enter(self) -> None:
        play = self.chatting("bob", "carol")
        play.type("@all lunch?")
        self.assertEqual((play.prompt, play.menu.hint), ("@all?>", WHOM))

    def test_at_the_menu_of_one_who_chats(self) -> None:
        play = self.chatting("bob", "carol")
        play.press("<Esc>")
        play.enter("@all lunch?")
        self.assertEqual((play.asked, play.error), ([], WHOM))

    def test_who_says_so_reaches_everybody(self) -> None:
        for line in ("/all lunch?", "/send all lunch?"):
            play = self.chatting("bob", "carol")
            play.enter(line)
            self.assertEqual(play.asked, [("send", (), "lunch?", EVERYONE)])

    def test_without_a_chat(self) -> None:
        play = Play().online("bob")
        play.type("@all lunch?")
        self.assertEqual(play.prompt, "to all>")
        play.press("<Enter>")
        self.assertEqual(play.asked, [("send", (), "lunch?", EVERYONE)])


class RealClients(Lines):
    def test_plain(self) -> None:
        self.known("bob", "carol")
        code, out, err = self.parley("--plain", "--name", "ann",
                                     stdin="@bob, carol is leaving us\n@bob ,carol hi\n")
        self.assertEqual(code, 65)
        self.assertIn("you > bob .: carol is leaving us", out)
        self.assertIn("parley: " + ONE_WORD, err)
        self.assertIn("No messages available", self.parley("--name", "carol", "--check")[1])
        self.assertIn("ann > you: carol is leaving us", self.parley("--name", "bob", "--check")[1])

    def test_one_shot(self) -> None:
        self.known("bob", "carol")
        self.fails(64, '--send: "bob," ends with a comma; ' + ONE_WORD,
                   "--name", "ann", "--send", "bob,", "carol", "is", "leaving", "us")
        self.fails(64, '--send: "all," ends with a comma', "--name", "ann", "--send", "all,")
        self.fails(64, "--send: the text begins with a comma; " + ONE_WORD,
                   "--name", "ann", "--send", "bob", ",carol", "hi")
        self.assertEqual(self.parley("--name", "ann", "--send", "carol", "--", ",hi")[0], 0)
        self.assertIn("ann > you: ,hi", self.parley("--name", "carol", "--check")[1])
        self.assertIn("No messages available", self.parley("--name", "bob", "--check")[1])
        self.fails(64, ONE_WORD, "--name", "ann", "--send", "bob, carol", "hi")
        self.assertIn("No messages available", self.parley("--name", "carol", "--check")[1])


if __name__ == "__main__":
    unittest.main()
