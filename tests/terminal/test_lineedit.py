"""lineedit: keys in, text, cursor and view out."""

import random
import unittest

from terminal.display import Ruler, clusters, unicode_cells, width
from terminal.keys import Paste
from terminal.lineedit import HISTORY_MAX, InputLine

ACUTE = "\u0301"
JOINER = "\u200d"
FAMILY = "\U0001f469\U0001f3fd\u200d\U0001f680"


def line_at(marked, **options):
    """A line with this text, without its |, which says where the cursor is."""
    line = InputLine(**options)
    before, after = marked.split("|")
    line.insert(before + after)
    while line.text[line.cursor :] != after:
        line.press("<Left>")
    return line


def marked(line):
    return line.text[: line.cursor] + "|" + line.text[line.cursor :]


# where, the keys pressed, where then
PRESSED = [
    ("|", "a b", "a b|"),
    ("ac|", ["<Left>", "b"], "ab|c"),
    ("one| two", ["<C-a>"], "|one two"),
    ("one| two", ["<C-e>"], "one two|"),
    ("one| two", ["<Home>", "<Right>"], "o|ne two"),
    ("one| two", ["<End>", "<C-b>"], "one tw|o"),
    ("one| two", ["<C-f>", "<C-d>"], "one |wo"),
    ("one| two", ["<Backspace>", "<Delete>"], "on|two"),
    ("one| two", ["<C-k>"], "one|"),
    ("one| two", ["<C-u>"], "| two"),
    ("one two  |three", ["<C-w>"], "one |three"),
    ("one, two|", ["<M-b>", "<M-b>"], "|one, two"),
    ("|one, two", ["<M-f>"], "one|, two"),
    ("|one, two", ["<M-f>", "<M-f>"], "one, two|"),
    ("one| two x", ["<M-d>"], "one| x"),
    # kill and yank: kills in a row add up, in the order of the text
    ("one| two", ["<C-u>", "<C-e>", "<C-y>"], " twoone|"),
    ("a b c|", ["<C-w>", "<C-w>", "<C-y>", "<C-y>"], "a b cb c|"),
    ("|a b c", ["<M-d>", "<M-d>", "<C-y>"], "a b| c"),
    ("a b| c", ["<C-w>", "<C-k>", "<C-y>"], "a b c|"),
    ("a b|", ["<C-w>", "x", "<C-w>", "<C-y>"], "a x|"),
    ("a b|", ["<C-w>", "<Left>", "<C-k>", "<C-y>"], "a |"),
    ("|", ["<C-y>"], "|"),
    # transpose
    ("ab|", ["<C-t>"], "ba|"),
    ("a|bc", ["<C-t>"], "ba|c"),
    ("|ab", ["<C-t>"], "|ab"),
    ("a|", ["<C-t>"], "a|"),
    # clusters
    ("q" + ACUTE + "|", ["<Backspace>"], "|"),
    ("|q" + ACUTE + "r", ["<C-d>"], "|r"),
    ("a" + FAMILY + "|", ["<Left>"], "a|" + FAMILY),
    (FAMILY + "|", ["<Backspace>"], "|"),
    ("q" + ACUTE + "r|", ["<C-t>"], "rq" + ACUTE + "|"),
    ("|" + ACUTE, ["e"], "e" + ACUTE + "|"),
    ("a|b", [ACUTE], "a" + ACUTE + "|b"),
    ("a |bc", list(FAMILY), "a " + FAMILY + "|bc"),
    ("a |\u0441", ["\U0001f469", JOINER], "a \U0001f469" + JOINER + "|\u0441"),
    # what is pasted or typed
    ("a|b", [Paste("1\n2\t3")], "a1\n2\t3|b"),
    ("|", [Paste("\r\nx\ry\x1b[31m\x9b\ud800")], "\nx\ny^[[31m<U+009B><U+D800>|"),
]


class Press(unittest.TestCase):
    def test_table(self):
        for before, keys, after in PRESSED:
            with self.subTest(before, keys=keys):
                line = line_at(before)
                for key in keys:
                    line.press(key)
                self.assertEqual(marked(line), after)

    def test_says_whether_it_was_used(self):
        for before, key, used in (
            ("a|", "b", True), ("a|", "<Left>", True), ("|", "<Left>", False),
            ("a|", "<C-e>", False),
            ("|", "<Backspace>", False), ("|", "<C-d>", False), ("a|", "<C-k>", False),
            ("a|", "<Up>", False),
            ("a|", "<Enter>", False), ("a|", "<Tab>", False), ("a|", "<PageUp>", False),
            ("a|", Paste(""), False), ("a|", "<C-y>", False), ("ab|", "<C-t>", True),
        ):  # fmt: skip
            self.assertEqual(line_at(before).press(key), used, (before, key))

    def test_limit_is_in_bytes_and_refuses_whole(self):
        line = InputLine(limit=5)
        self.assertTrue(line.insert("caf"))
        self.assertTrue(line.press("\u00e9"))
        for refused in ("x", "\u00e9", Paste("xy")):
            self.assertFalse(line.press(refused))
            self.assertEqual(marked(line), "caf\u00e9|")
        self.assertFalse(line.set("123456"))
        self.assertTrue(line.set("12345"))
        line.press("<C-u>")
        line.press("<C-y>")
        self.assertFalse(line.press("<C-y>"))
        self.assertEqual(line.text, "12345")


class History(unittest.TestCase):
    def test_up_and_down_keep_the_draft(self):
        line = InputLine(history=["one", "two"])
        line.insert("draft")
        seen = [(line.press(key), marked(line)) for key in ["<Up>"] * 3 + ["<Down>"] * 3]
        self.assertEqual(seen, [
            (True, "two|"), (True, "one|"), (False, "one|"), (True, "two|"), (True, "draft|"),
            (False, "draft|"),
        ])  # fmt: skip

    def test_an_edited_entry_keeps_its_edit_until_something_is_taken(self):
        line = InputLine(history=["one", "two"])
        for key in ("<Up>", "!", "<Up>", "<Down>"):
            line.press(key)
        self.assertEqual(line.take(), "two!")
        self.assertEqual(marked(line), "|")
        seen = []
        while line.press("<Up>"):
            seen.append(line.text)
        self.assertEqual(seen, ["two!", "two", "one"])

    def test_what_is_remembered(self):
        line = InputLine(limit=10)
        for text in ("", "a", "a", "b", "x" * 11, "a"):
            line.remember(text)
        seen = []
        while line.press("<Up>"):
            seen.append(line.text)
        self.assertEqual(seen, ["a", "b", "a"])

    def test_bounded(self):
        line = InputLine()
        for number in range(HISTORY_MAX + 20):
            line.insert(str(number))
            line.take()
        seen = []
        while line.press("<Up>"):
            seen.append(line.text)
        self.assertEqual((len(seen), seen[-1]), (HISTORY_MAX, "20"))


class Complete(unittest.TestCase):
    def tabs(self, before, *offers):
        line = line_at(before)
        return [(line.complete(candidates), marked(line)) for candidates in offers]

    def test_common_prefix_then_each_in_turn(self):
        offers = ["erin", "eric"]
        self.assertEqual(
            self.tabs("hi e|!", offers, [], [], []),
            [(True, "hi eri|!"), (True, "hi erin|!"), (True, "hi eric|!"), (True, "hi erin|!")],
        )

    def test_one_candidate(self):
        self.assertEqual(self.tabs("@b|", ["@bob "], ["@bob "]),
                         [(True, "@bob |"), (False, "@bob |")])

    def test_one_begins_the_other(self):
        self.assertEqual(self.tabs("bob|", ["bob", "bobby"], []),
                         [(True, "bobby|"), (True, "bob|")])

    def test_no_common_prefix(self):
        self.assertEqual(self.tabs("|", ["bob", "erin"], []), [(True, "bob|"), (True, "erin|")])

    def test_none(self):
        self.assertEqual(self.tabs("x|", []), [(False, "x|")])

    def test_another_key_ends_the_turn(self):
        line = line_at("|")
        line.complete(["bob", "erin"])
        line.press(" ")
        self.assertEqual(line.word(), "")
        line.complete(["carol"])
        self.assertEqual(marked(line), "bob carol|")
        line.press("<Left>")
        self.assertEqual(line.word(), "caro")

    def test_no_room(self):
        line = line_at("b|", limit=2)
        self.assertFalse(line.complete(["bob"]))
        self.assertEqual(marked(line), "b|")


class View(unittest.TestCase):
    def test_table(self):
        for before, cells, shown in (
            ("|", 5, ("", 0)),
            ("ab|c", 5, ("abc", 2)),
            ("abcd|", 5, ("abcd", 4)),
            ("abcde|", 5, ("cde", 3)),
            ("abcdefg|", 4, ("efg", 3)),
            ("ab|cdefg", 4, ("abcd", 2)),
            ("abc|", 1, ("", 0)),
            ("ab|c", 1, ("c", 0)),
            ("ab|c", 0, ("", 0)),
            ("a\nb|", 9, ("a^Jb", 4)),
            ("a\tb|", 9, ("a b", 3)),
            ("\u6f22\u5b57|x", 9, ("\u6f22\u5b57x", 4)),
            ("a\u202eb|", 20, ("a<U+202E>b", 10)),
            ("q" + ACUTE + "|r", 9, ("q" + ACUTE + "r", 1)),
        ):
            with self.subTest(before, cells=cells):
                self.assertEqual(line_at(before).view(cells), shown)

    def test_a_ruler_of_ones_own(self):
        ruler = Ruler(lambda char: 1 if char == "\u6f22" else unicode_cells(char))
        self.assertEqual(line_at("\u6f22\u6f22|").view(9, ruler), ("\u6f22\u6f22", 2))


class Unseen(unittest.TestCase):
    def test_what_belongs_into_a_text_takes_no_cell(self) -> None:
        line = InputLine()
        line.set("\u0645\u06cc\u200c\u062e")
        self.assertEqual(line.view(20), ("\u0645\u06cc\u062e", 3))
        line.press("<Left>")
        self.assertEqual(line.view(20)[1], 2)
        line.press("<Backspace>")                   # the joiner, and no letter with it
        self.assertEqual(line.text, "\u0645\u06cc\u062e")
        line.set("a\u200cb \u05d0\u200f! x\u00ady \u200f")
        self.assertEqual(line.view(40)[0], "a<U+200C>b \u05d0! xy ")


class Fuzz(unittest.TestCase):
    KEYS = (
        *"ab ,1", "\u00e9", ACUTE, "\u6f22", "\u200d", "\ufe0f", "\U0001f469", "\U0001f3fd",
        "\u202e", "\u1100", "\u1161",
        "<C-a>", "<C-e>", "<C-k>", "<C-u>", "<C-w>", "<C-y>", "<C-y>", "<C-t>", "<M-b>", "<M-f>",
        "<M-d>", "<C-b>",
        "<C-f>", "<C-d>", "<Backspace>", "<Delete>", "<Left>", "<Right>", "<Home>", "<End>", "<Up>",
        "<Down>", "<Esc>", Paste("x\ny\x1b\u0301"), Paste("word \u6f22\u5b57 word"),
    )  # fmt: skip

    def assert_holds(self, line):
        self.assertLessEqual(len(line.text.encode()), line.limit)
        ends = {0}
        for cluster in clusters(line.text):
            ends.add(max(ends) + len(cluster))
        self.assertIn(line.cursor, ends)
        for cells in (1, 2, 7, 30):
            shown, column = line.view(cells)
            self.assertLessEqual(width(shown), cells)
            self.assertTrue(0 <= column < cells)
            self.assertTrue(shown.isprintable(), ascii(shown))

    def test_any_keys(self):
        source = random.Random(4)
        for _ in range(60):
            line = InputLine(limit=100, history=["one", "zw\u00f6lf \u6f22"])
            for _ in range(60):
                before = line.text, line.cursor
                what = source.random()
                if what < 0.03:
                    line.take()
                elif what < 0.08:
                    line.complete(["alpha", "alpine", "b\u0301"])
                elif not line.press(source.choice(self.KEYS)):
                    self.assertEqual((line.text, line.cursor), before)
                self.assert_holds(line)


if __name__ == "__main__":
    unittest.main()
