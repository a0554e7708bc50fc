"""What a person types and pastes on a real terminal, in rows, in other encodings, over what was
refused; and the help."""
import unittest

import wire
from tests.programs.test_client import SECONDS, OnScreen


class Typing(OnScreen):
    def test_rows_and_a_paste_with_its_indent(self) -> None:
        with self.daemon.client("bob") as bob:
            ann = self.person("ann")
            ann.press(b"@bob one\x1b\rtwo\r")
            self.sees(ann, "you > bob         = one", "| two")
            self.assertEqual(bob.hear(wire.Mail).text, "one\ntwo")
            ann.press(b"@bob \x1b[200~    if x:\r\ty()\r    else:\r\x1b[201~")
            self.sees(ann, "to bob> @bob     if x:^J y()^J    else:")
            ann.press(b"\r")
            self.assertEqual(bob.hear(wire.Mail).text, "    if x:\n\ty()\n    else:")
            self.sees(ann, "you > bob         =     if x:", "|         y()", "|     else:")

    def test_keys_written_in_other_ways(self) -> None:
        """CSI u with M-Enter and C-a, modifyOtherKeys with C-e, a keypad in application mode."""
        with self.daemon.client("bob") as bob:
            ann = self.person("ann")
            ann.press(b"\x1b[98;1u\x1b[111u\x1b[98u hi\x1b[97;5u\x1b[64;2u\x1b[27;5;101~"
                      b"\x1b[13;3u\x1bOq\x1b[57401u\x1b[27;2;33~")
            self.sees(ann, "to bob> @bob hi^J12!")
            ann.press(b"\x1bOM")
            self.assertEqual(bob.hear(wire.Mail).text, "hi\n12!")

    def test_typing_replaces_what_was_refused(self) -> None:
        ann = self.person("ann")
        ann.press(b"/hlep\r")
        self.sees(ann, "/hlep is not a command", "menu> /hlep")
        ann.press(b"/help keys")
        ann.until(lambda screen: screen.row(23) == "menu> /help keys", SECONDS)

    def test_the_wheel_scrolls_and_arrows_recall(self) -> None:
        ann = self.person("ann")
        ann.type("/help commands\r")
        self.sees(ann, "more rows below")
        ann.press(b"\x1b>")
        ann.until(lambda screen: "more rows below" not in screen.text(), SECONDS)
        ann.press(b"half\x1b[A\x1b[A\x1b[A")
        self.sees(ann, "-- 4 more rows below", "menu> half")
        ann.press(b"\x1bOB\x1bOB\x1bOB")
        ann.until(lambda screen: "more rows below" not in screen.text(), SECONDS)
        ann.press(b"x\x1b[A")
        self.sees(ann, "menu> /help commands")
        ann.press(b"\x03/exit\r")
        self.assertEqual(ann.wait(SECONDS), 0)
        self.assertNotIn(1007, ann.screen.modes)

    def test_what_is_unseen_in_its_own_script(self) -> None:
        """Persian with a non-joiner, German with a soft hyphen, Hebrew with marks of direction; no
        such character reaches the terminal, and the text arrives as it was typed."""
        text = "\u0645\u06cc\u200c\u062e Donau\u00addampf \u05d0 C++\u200e, a\u200cb"
        with self.daemon.client("bob") as bob:
            ann = self.person("ann")
            ann.press(f"@bob {text}".encode())
            shown = "\u0645\u06cc\u062e Donaudampf \u05d0 C++, a<U+200C>b"
            self.sees(ann, f"to bob> @bob {shown}")
            ann.press(b"\r")
            self.sees(ann, f"you > bob         = {shown}")
            self.assertEqual(bob.hear(wire.Mail).text, text)

    def test_help(self) -> None:
        for rows, cols, begin, end in ((24, 80, "commands, wherever", "refused: the reason"),
                                       (10, 40, "commands: /help", "help marks")):
            ann = self.person(f"ann{rows}", rows=rows, cols=cols)
            for key in (b"?", b"\x1bOP", b"\x1b[[A"):
                ann.press(key)
                self.sees(ann, begin, "more rows below")
                ann.press(b"\x1b>")
                self.sees(ann, end)


if __name__ == "__main__":
    unittest.main()
