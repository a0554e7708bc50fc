"""What programs print, as texts that can be sent."""
import random
import time
import unittest

import wire
from ui.cleaned import NOT_UTF_8, cleaned, decoded, pieces, truncated


class Cleaned(unittest.TestCase):
    def test_what_only_a_terminal_understands(self) -> None:
        for raw, text in (
                ("\x1b[1;31merror:\x1b[0m no\x1b[K", "error: no"),
                ("\x1b]0;title\x07a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "alink"),
                ("\x1bPq#0\x1b\\x\x1b(B\x1b=y", "xy"),
                (" 10%\r 20%\r100%\nnext", "100%\nnext"),
                ("dos\r\nlines\r\n", "dos\nlines"),
                ("half\r", "half"),
                ("N\bNA\bAM\bME\bE _\bx", "NAME x"),
                ("a\bb\b\bc", "c"),
                ("bell\x07 null\x00 del\x7f c1\x9b", "bell null del c1"),
                ("tab\tstays", "tab\tstays"),
                ("ends\n\n\n", "ends")):
            with self.subTest(raw):
                found = cleaned(raw)
                self.assertEqual(found, text)
                self.assertIsNone(wire.flaw(found))

    def test_anything_can_be_sent(self) -> None:
        """Random bytes: whatever is left has no flaw, and nothing is left that is not sent."""
        chance = random.Random(7)
        for _ in range(300):
            raw = bytes(chance.choice((27, 91, 8, 13, 10, 65, 109, 0x9b, chance.randrange(256)))
                        for _ in range(chance.randrange(60)))
            text, remark = decoded(raw)
            self.assertIn(remark, ("", NOT_UTF_8))
            for piece in pieces(cleaned(text)):
                self.assertIsNone(wire.flaw(piece), (raw, piece))

    def test_long_lines_are_cut_between_characters(self) -> None:
        for letter in "x", "é", "漢", "\U0001f527":
            text = letter * 20_000
            found = list(pieces(text))
            self.assertEqual("".join(found), text)
            self.assertTrue(all(len(each.encode()) <= wire.TEXT_MAX for each in found))

    def test_lines_are_not_cut(self) -> None:
        lines = [f"line {number} " + "x" * (number % 300) for number in range(1000)]
        found = list(pieces("\n".join(lines)))
        self.assertGreater(len(found), 5)
        self.assertEqual([line for each in found for line in each.split("\n")], lines)

    def test_nothing(self) -> None:
        for text in "", "\n\n", " \n ":
            self.assertEqual(list(pieces(text)), [])

    def test_truncated(self) -> None:
        self.assertEqual(truncated("short"), "short")
        text = truncated("é" * 100_000)
        self.assertIsNone(wire.flaw(text))
        self.assertRegex(text, r"é\n\[cut here: 18\d{4} bytes more\]$")

    def test_it_takes_no_time(self) -> None:
        """Nothing here is worse than linear: a megabyte of the worst."""
        for worst in ("\x1b]" * 500_000, "\b" * 1_000_000, "a\b" * 500_000, "\r" * 1_000_000,
                      "x\r" * 500_000, "a" * 500_000 + "\b" * 500_000, "\x1b[" + "0" * 1_000_000,
                      "\x1b[0;" * 200_000):
            began = time.process_time()
            cleaned(worst)
            self.assertLess(time.process_time() - began, 5)


if __name__ == "__main__":
    unittest.main()
