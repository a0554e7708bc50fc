"""Keys that do more than edit the line: Ctrl-C, M-Enter, help, typing over what was refused."""
import unittest

import wire
from terminal.keys import Paste
from tests.client.fake_link import Offline, Play
from ui.commands import COMMANDS
from ui.desk import Mode
from ui.help import KEYS, MARKS


class WithPeople(unittest.TestCase):
    def setUp(self) -> None:
        self.play = Play().online("bob", "carol")
        self.play.asked.clear()

    def shown(self) -> str:
        return "\n".join(line for entry in self.play.menu.pane.entries for line in entry.lines())


class ControlC(WithPeople):
    def left(self) -> tuple[bool, bool]:
        return self.play.menu.desk.leaving, self.play.menu.desk.interrupted

    def test_clears_a_text_which_up_brings_back(self) -> None:
        for line in ("half a", "@bob half", "/nonsense"):
            self.play.type(line, "<C-c>")
            self.assertEqual((self.play.text, self.play.error, self.left()),
                             ("", "", (False, False)))
            self.play.press("<Up>")
            self.assertEqual(self.play.text, line)
            self.play.press("<C-u>")

    def test_clears_the_echo_of_an_item_and_a_filter(self) -> None:
        self.play.press("6", "<C-c>")
        self.assertEqual((self.play.menu.desk.selected, self.play.text), (0, ""))
        self.play.press("<Enter>")
        self.assertEqual(self.left(), (False, False))
        self.play.enter("2")
        self.play.enter("2")
        self.play.type("bo", "<C-c>")
        self.assertEqual((self.play.mode, self.play.text), (Mode.PICK, ""))

    def test_asks_and_leaves_the_second_time(self) -> None:
        self.play.press("<C-c>")
        self.assertEqual(self.play.error, "Ctrl-C again leaves parley")
        self.assertEqual(self.left(), (False, False))
        self.play.press("<FocusOut>", "<FocusIn>", "<C-c>")
        self.assertEqual(self.left(), (True, True))

    def test_another_key_in_between_and_it_asks_again(self) -> None:
        self.play.press("<C-c>", "<Esc>", "<C-c>")
        self.assertEqual(self.left(), (False, False))
        self.play.press("x", "<C-c>", "<C-c>")
        self.assertEqual(self.left(), (False, False))

    def test_says_what_would_be_lost(self) -> None:
        self.play.hear(Offline("gone", 0.0, False))
        self.play.link.online = False
        self.play.enter("@bob hi")
        self.play.press("<C-c>")
        self.assertIn("1 message not stored yet (.) would be lost", self.play.error)

    def test_drops_a_long_paste_and_keeps_the_line(self) -> None:
        self.play.type("@bob ")
        self.play.press(Paste("x\n" * 9), "<C-c>")
        self.assertEqual((self.play.mode, self.play.text), (Mode.MENU, "@bob "))

    def test_a_passphrase_is_in_no_history(self) -> None:
        self.play.enter("/claim")
        self.play.type("secret", "<C-c>")
        self.assertEqual(self.play.text, "")
        self.play.press("<Esc>", "<Up>")
        self.assertEqual(self.play.text, "/claim")

    def test_leaves_the_login_at_once(self) -> None:
        play = Play("", offered="ann")
        play.press("<C-c>")
        self.assertTrue(play.menu.desk.interrupted)


class Rows(WithPeople):
    def test_m_enter_is_a_newline_in_a_text(self) -> None:
        self.play.type("@bob one", "<M-Enter>", *"  two", "<Enter>")
        self.assertEqual(self.play.asked, [("send", ("bob",), "one\n  two", 0)])

    def test_and_nothing_elsewhere(self) -> None:
        self.play.press("2", "<M-Enter>")
        self.assertEqual(self.play.menu.desk.selected, 2)
        self.play.press("<Enter>", "2", "<Enter>", "<M-Enter>")
        self.assertEqual((self.play.mode, self.play.text), (Mode.PICK, ""))
        self.play.press("<Esc>", "<Esc>")
        self.play.enter("/claim")
        self.play.press("<M-Enter>")
        self.assertEqual(self.play.text, "")

    def test_a_paste_keeps_its_indent(self) -> None:
        code = "    def f():\n\treturn 1\n\n    f()"
        for line in ("@bob ", "/send bob ", "/now bob "):
            self.play.type(line)
            self.play.press(Paste(code + "\n"), "<Enter>")
            self.assertEqual(self.play.asked.pop()[2], code, line)
        self.play.enter("/send bob")
        self.play.press(Paste(code), "<Enter>")
        self.assertEqual(self.play.asked.pop()[2], code)

    def test_blanks_typed_before_one_line_do_not_count(self) -> None:
        self.play.enter("@bob   hi")
        self.assertEqual(self.play.asked.pop()[2], "hi")
        self.play.enter("/chat bob  ")
        self.assertEqual(self.play.asked.pop(), ("invite", ("bob",)))


class Refused(WithPeople):
    def test_typing_replaces_it_and_up_brings_it_back(self) -> None:
        for line in ("/nonsense", "@zed a long text", "neither item nor command"):
            self.play.enter(line)
            self.assertNotEqual(self.play.error, "")
            self.play.press("/")
            self.assertEqual((self.play.text, self.play.error), ("/", ""))
            self.play.press("<C-u>", "<Up>")
            self.assertEqual(self.play.text, line)
            self.play.press("<C-u>")

    def test_a_paste_and_a_digit_replace_it_too(self) -> None:
        self.play.enter("/nonsense")
        self.play.press(Paste("@bob hi"))
        self.assertEqual(self.play.text, "@bob hi")
        self.play.press("<C-u>")
        self.play.enter("/nonsense")
        self.play.press("3")
        self.assertEqual(self.play.text, "3. Check for messages")

    def test_keys_that_edit_and_a_blank_go_on_with_it(self) -> None:
        self.play.enter("@zed hi")
        self.play.press("<Home>", "<Delete>", "/")
        self.assertEqual(self.play.text, "/zed hi")
        self.play.press("<C-c>")
        self.play.enter("/unignore")
        self.play.enter(" bob")
        self.assertEqual(self.play.asked, [("ignore", "bob", False)])

    def test_what_comes_meanwhile_changes_nothing(self) -> None:
        self.play.enter("/nonsense")
        self.play.hear(wire.Mail(1, self.play.now, 1, 0, 1, "bob", "hi"))
        self.play.press("<FocusOut>", "<FocusIn>", "x")
        self.assertEqual(self.play.text, "x")

    def test_a_text_is_never_replaced(self) -> None:
        self.play.enter("/send bob")
        self.play.press(" ", "<Enter>")
        self.assertNotEqual(self.play.error, "")            # a text of blanks is refused
        self.play.press("x")
        self.assertEqual(self.play.text, " x")


class Help(WithPeople):
    def test_f1_and_the_question_mark_open_it(self) -> None:
        for keys in (("<F1>",), ("?",), ("2", "?"), ("?",), (*"/help", "<Enter>")):
            before = len(self.play.menu.pane)
            self.play.press(*keys)
            self.assertEqual(len(self.play.menu.pane), before + 3, keys)
            self.assertEqual((self.play.text, self.play.error), ("", ""))
        for word in (*(command.usage for command in COMMANDS.values()),
                     *(what for what, _ in (*KEYS, *MARKS))):
            self.assertIn(word, self.shown())

    def test_in_a_text_the_question_mark_is_one(self) -> None:
        self.play.type("/send bob", "<Enter>", "?")
        self.assertEqual(self.play.text, "?")
        before = len(self.play.menu.pane)
        self.play.press("<F1>")
        self.assertEqual((len(self.play.menu.pane), self.play.text), (before + 3, "?"))

    def test_it_begins_with_the_commands(self) -> None:
        self.play.press("?")
        rows = ["".join(text for text, _ in row) for row in self.play.menu.pane.view(80, 19)]
        self.assertIn("commands, wherever you type", rows[0])

    def test_a_part_of_it(self) -> None:
        for line, head in (("/help keys", "keys:"), ("/help marks", "marks before"),
                           ("/help find", "the command:"), ("/help /find", "the command:")):
            self.play.enter(line)
            self.assertIn(head, self.play.last)
        for word in ("chat", "/group"):
            self.play.enter(f"/help {word}")
            self.assertIn("nobody can be added to a chat", self.play.last)
            self.assertIn("/quit, then /group bob,erin,dan invites all of them", self.play.last)
        for typed, meant in (("/help tell", "/send or /tell-me"), ("/hist", "/history"),
                             ("/hlep", "/help")):
            self.play.enter(typed)
            self.assertIn(f" (did you mean {meant}?); /help", self.play.error)
        self.play.enter("/help grep")
        self.assertIn("did you mean /find?", self.play.error)


if __name__ == "__main__":
    unittest.main()
