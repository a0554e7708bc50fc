"""display: what is shown of a stranger's text, and its width."""

import random
import re
import unicodedata
import unittest
from itertools import accumulate

from terminal.display import (
    MARKS_MAX,
    UNSEEN,
    Ruler,
    clip,
    clusters,
    display,
    escape,
    is_mark,
    is_unseen,
    pad,
    shorten,
    unicode_cells,
    width,
    wrap,
)
from tests.harness.process import effort

ACUTE, BELOW = "\u0301", "\u0316"

# text, as one line, as several
SHOWN = [
    ("", "", ""),
    ("plain ~ text", "plain ~ text", "plain ~ text"),
    ("a\nb", "a^Jb", "a\nb"),
    ("a\tb", "a b", "a       b"),
    ("a\r\n", "a^M^J", "a^M\n"),
    ("\x00\x1b[31m\x7f", "^@^[[31m^?", "^@^[[31m^?"),
    ("caf\u00e9\n\t\x1b", "caf\u00e9^J ^[", "caf\u00e9\n        ^["),
    ("\x80\x9b\x85", "<U+0080><U+009B><U+0085>", "<U+0080><U+009B><U+0085>"),
    ("\ud800", "<U+D800>", "<U+D800>"),
    ("\u0378\U0010ffff", "<U+0378><U+10FFFF>", "<U+0378><U+10FFFF>"),
    ("\ue0b0", "<U+E0B0>", "<U+E0B0>"),
    ("bob\u202ecod", "bob<U+202E>cod", "bob<U+202E>cod"),
    ("\u200bbob\u2060\ufeff", "<U+200B>bob<U+2060><U+FEFF>", "<U+200B>bob<U+2060><U+FEFF>"),
    # in a text unseen where they belong, and named elsewhere and in one line
    ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc<U+200C>\u062e", "\u0645\u06cc\u062e"),
    ("\u0645\u200c\u200c\u062e", "\u0645<U+200C><U+200C>\u062e", "\u0645<U+200C>\u062e"),
    ("\u0915\u094d\u200c\u0937", "\u0915\u094d<U+200C>\u0937", "\u0915\u094d\u0937"),
    ("a\u200cb \u0430\u200c \u200c\u0645", "a<U+200C>b \u0430<U+200C> <U+200C>\u0645", None),
    ("Donau\u00addampf", "Donau<U+00AD>dampf", "Donaudampf"),
    ("x\u00ad\u00ady 1\u00ad2 \u00adz", "x<U+00AD><U+00AD>y 1<U+00AD>2 <U+00AD>z",
     "x<U+00AD>y 1<U+00AD>2 <U+00AD>z"),
    ("\u05d0 C++\u200e, \u200f1", "\u05d0 C++<U+200E>, <U+200F>1", "\u05d0 C++, 1"),
    ("C++\u200e, \u200f1", "C++<U+200E>, <U+200F>1", None),
    ("\u05d0\u200e\u200f\u202e", "\u05d0<U+200E><U+200F><U+202E>", None),
    ("\u00ad\u3164\u115f", "<U+00AD><U+3164><U+115F>", "<U+00AD><U+3164><U+115F>"),
    ("\u2028\u2029", "<U+2028><U+2029>", "<U+2028><U+2029>"),
    ("a\u00a0b\u3000c\u2003d", "a b c d", "a b c d"),
    ("\u6f22\u5b57", "\u6f22\u5b57", "\u6f22\u5b57"),
    # dropped, then composed
    ("\u2764\ufe0f 1\ufe0f\u20e3", "\u2764 1", "\u2764 1"),
    ("\U0001f469\U0001f3fd\u200d\U0001f680", "\U0001f469\U0001f680", "\U0001f469\U0001f680"),
    ("\U0001f3f4\U000e0067\U000e007f", "\U0001f3f4", "\U0001f3f4"),
    ("e\u0301", "\u00e9", "\u00e9"),
    ("e\u200d\u0301", "\u00e9", "\u00e9"),
    ("\u1112\u1161\u11ab", "\ud55c", "\ud55c"),
    # marks: four to a base, and never without one
    ("q" + ACUTE * 9 + "r", "q" + ACUTE * 4 + "r", "q" + ACUTE * 4 + "r"),
    (ACUTE + "a", "<U+0301>a", "<U+0301>a"),
    ("a " + ACUTE, "a <U+0301>", "a <U+0301>"),
    ("a\n" + ACUTE, "a^J<U+0301>", "a\n<U+0301>"),
    ("\u202e\u0338", "<U+202E><U+0338>", "<U+202E><U+0338>"),
    (ACUTE * 9, "<U+0301>" * 4, "<U+0301>" * 4),
    # leaving out a mark must not leave neighbours that would compose the next time
    ("\u0c95" + "\u0cc6" * 4 + ACUTE + "\u0cc2", "\u0c95" + "\u0cc6" * 3 + "\u0cca", None),
]

NASTY = (
    *map(chr, range(0x20)), "\x7f", "\x80", "\x9b", "\xad", "\u061c", "\u200b", "\u200c", "\u200d",
    "\u200e", "\u202a",
    "\u202e", "\u2066", "\u2069", "\u2028", "\ufeff", "\ufe0f", "\u20e3", "\u034f", "\u115f",
    "\u1160", "\u3164",
    "\ud800", "\udfff", "\ue000", "\U000e0001", "\U000e0041", "\U000e0100", "\U0001f3fb",
    "\U0001f469", "\U0001f1e6",
    ACUTE, BELOW, "\u0338", "\u0344", "\u20dd", "\u0cc6", "\u0cc2", "\u0cd5", "\u09c7", "\u09be",
    "\u0958", "\u1b44",
    "\U0001d157", "\U0001d165", "\u1100", "\u1161", "\u11a8", "\uac00", "\u6f22", "\uff21",
    "\uffa0", "\u3000", "\xa0",
    "<", ">", "[", "a", "e", "1", " ", "\xe9", "\u05d0", "\u0627", "\U0010ffff", "\ufffd", "\ufffe",
    "word", "  ",
)  # fmt: skip


def hostile(count):
    source = random.Random(20260000)
    for number in range(count):
        length = source.randrange(40)
        if number % 3 == 0:
            yield "".join(chr(source.randrange(0x110000)) for _ in range(length))
        else:
            yield "".join(source.choice(NASTY) for _ in range(length))


class Display(unittest.TestCase):
    def test_a_joiner_joins_what_is_alike(self):
        """A picture that is typed before a word does not take the word's first letter."""
        for text, alone in (("\U0001f469\u200d\U0001f680", 1),
                            ("\U0001f469\U0001f3fd\u200d\U0001f680", 1),
                            ("\u2764\ufe0f\u200d\U0001f525", 1), ("\u0915\u094d\u200d\u0937", 1),
                            ("\U0001f469\u200dhi", 3), ("\U0001f469\u200d\u0441", 2),
                            ("a\u200d\u0441", 2), ("\u200d\u200d\U0001f469", 2)):
            self.assertEqual(len(clusters(text)), alone, ascii(text))

    def test_table(self):
        for text, one, several in SHOWN:
            with self.subTest(ascii(text)):
                self.assertEqual(display(text), one)
                self.assertEqual(display(text, multiline=True), one if several is None else several)

    def assert_safe(self, shown, multiline):
        lines = shown.split("\n") if multiline else [shown]
        for line in lines:
            self.assertTrue(line.isprintable(), ascii(line))
            self.assertIsNone(re.search("[\u200b-\u200f\u202a-\u202e\u2060-\u206f"
                                        "\ufe00-\ufe0f\ufeff\ue000]", line))
            self.assertFalse(line and is_mark(line[0]), ascii(line))
            self.assertIsNone(re.search(f" [{ACUTE}{BELOW}]", line))
            for cluster in clusters(line):
                self.assertLessEqual(len(cluster), 1 + MARKS_MAX, ascii(line))
        for char in shown:
            self.assertTrue(char == "\n" or not unicodedata.category(char).startswith("C"),
                            ascii(char))

    def test_unseen_is_what_is_left_out(self):
        for text in [*hostile(1000), *(one for one, *_ in SHOWN)]:
            shown = display(text, multiline=True)
            self.assertEqual([shown.count(escape(char)) for char in sorted(UNSEEN)],
                             [sum(text[at] == char and not is_unseen(text, at)
                                  for at in range(len(text))) for char in sorted(UNSEEN)],
                             ascii(text))

    def test_hostile(self):
        for text in hostile(effort(2000, 700)):
            for multiline in (False, True):
                shown = display(text, multiline)
                self.assert_safe(shown, multiline)
                self.assertEqual(display(shown, multiline), shown, ascii(text))
                self.assertEqual(unicodedata.normalize("NFC", shown), shown)
                shown.encode()

    def test_every_assigned_character(self):
        for start in range(0, 0x30000, 0x800):
            chars = map(chr, range(start, start + 0x800))
            text = "".join("a" + char for char in chars
                           if unicodedata.category(char) not in ("Cn", "Co", "Cs"))
            shown = display(text)
            self.assertEqual(display(shown), shown)
            for char in set(shown):
                self.assertTrue(char.isprintable(), ascii(char))

    def test_a_long_run_of_marks_does_not_reach_the_sort(self):
        self.assertEqual(len(display("a" + (ACUTE + BELOW) * 100_000 + "b")), 6)


class Width(unittest.TestCase):
    def test_table(self):
        for text, cells in (
            ("", 0), ("abc", 3), ("caf\u00e9", 4), ("q" + ACUTE, 1), ("\u6f22\u5b57", 4),
            ("\uff21", 2),
            ("\U0001f680", 2), ("\u05d0", 1), ("\u200d", 0), ("\u1100\u1161\u11a8", 2),
        ):  # fmt: skip
            self.assertEqual(width(text), cells, ascii(text))

    def test_a_measure_of_ones_own(self):
        ruler = Ruler(lambda char: 3 if char == "\u6f22" else unicode_cells(char))
        self.assertEqual(ruler.width("a\u6f22"), 4)
        self.assertEqual(ruler.clip("a\u6f22b", 3), "a")
        self.assertEqual(ruler.pad("\u6f22", 5), "\u6f22  ")

    def test_clusters(self):
        for text, parts in (
            ("", []),
            ("ab", ["a", "b"]),
            ("q" + ACUTE + "b", ["q" + ACUTE, "b"]),
            (ACUTE + "b", [ACUTE, "b"]),
            (" " + ACUTE + BELOW, [" ", ACUTE + BELOW]),
            ("\U0001f469\U0001f3fd\u200d\U0001f680!",
             ["\U0001f469\U0001f3fd\u200d\U0001f680", "!"]),
        ):
            self.assertEqual(clusters(text), parts)

    def test_clip_pad_shorten(self):
        wide, marked = "\u6f22\u5b57", "q" + ACUTE + "r"
        for text, cells, clipped, padded, shortened in (
            ("abc", 5, "abc", "abc  ", "abc"),
            ("abc", 3, "abc", "abc", "abc"),
            ("abc", 2, "ab", "ab", "a~"),
            ("abc", 1, "a", "a", "~"),
            ("abc", 0, "", "", ""),
            ("abc", -1, "", "", ""),
            (wide, 3, "\u6f22", "\u6f22 ", "\u6f22~"),
            (wide, 1, "", " ", "~"),
            (marked, 1, "q" + ACUTE, "q" + ACUTE, "~"),
            (marked, 2, marked, marked, marked),
        ):
            with self.subTest(text=text, cells=cells):
                self.assertEqual(clip(text, cells), clipped)
                self.assertEqual(pad(text, cells), padded)
                self.assertEqual(shorten(text, cells), shortened)

    def test_hostile(self):
        for number, text in enumerate(hostile(effort(2000, 700))):
            text = display(text[:8]) if number % 2 else text  # clip keeps its word for any text
            ends = [0, *accumulate(map(len, clusters(text)))]
            for cells in range(-1, width(text) + 2):
                cut = clip(text, cells)
                self.assertLessEqual(width(cut), max(0, cells))
                self.assertTrue(text.startswith(cut))
                self.assertIn(len(cut), ends)
            self.assertEqual(width(pad(text, 30)), 30)
            self.assertLessEqual(width(shorten(text, 9)), 9)


class Wrap(unittest.TestCase):
    def test_table(self):
        for text, first, rest, rows in (
            ("", 5, 5, [""]),
            ("one two", 7, 7, ["one two"]),
            ("one two", 6, 6, ["one", "two"]),
            ("one two three", 3, 9, ["one", "two three"]),
            ("hello", 2, 9, ["", "hello"]),
            ("hello", 9, 2, ["hello"]),
            ("one  two   three", 8, 8, ["one  two", "three"]),
            ("  in dent", 6, 6, ["  in", "dent"]),
            ("abcdefgh", 3, 3, ["abc", "def", "gh"]),
            ("go abcdefgh", 5, 5, ["go ab", "cdefg", "h"]),
            ("a\n\nb\n", 9, 9, ["a", "", "b", ""]),
            ("ab cd\nef", 2, 5, ["ab", "cd", "ef"]),
            (" " * 9, 3, 3, ["   "]),
            ("a" + " " * 9 + "b", 3, 3, ["a", "b"]),
            ("\u6f22\u5b57 a", 3, 3, ["\u6f22", "\u5b57", "a"]),
            ("\u6f22a", 1, 1, ["?", "a"]),
            ("a b", 0, -7, ["a", "b"]),
            ("q" + ACUTE + "r", 1, 1, ["q" + ACUTE, "r"]),
        ):
            with self.subTest(text=text, first=first, rest=rest):
                self.assertEqual(wrap(text, first, rest), rows)

    def test_hostile(self):
        source = random.Random(7)
        for text in hostile(effort(2000, 700)):
            shown = display(text, multiline=True)
            for first, rest in ((1, 1), (2, 1), (1, 40),
                                (source.randint(1, 30), source.randint(8, 30))):
                rows = wrap(shown, first, rest)
                self.assertLessEqual(width(rows[0]), first)
                self.assertLessEqual(max(map(width, rows[1:]), default=0), rest)
                self.assertGreater(len(rows), shown.count("\n"))
                if rest >= 8:
                    self.assertEqual("".join("".join(rows).split()), "".join(shown.split()))


if __name__ == "__main__":
    unittest.main()
