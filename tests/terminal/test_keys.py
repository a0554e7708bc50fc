"""keys: terminal bytes to keys, the same for any chunking."""

import random
import unittest

from terminal.keys import (
    BURST,
    ESC_WAIT,
    GAP,
    PASTE_GAP,
    PASTE_MAX,
    PASTE_WAIT,
    SEQUENCE_MAX,
    SEQUENCE_WAIT,
    STRING_MAX,
    Keys,
    Paste,
    Reads,
)

# bytes, the keys they are
SEQUENCES = [
    (b"a", ["a"]),
    (b"a b", ["a", " ", "b"]),
    (b"<", ["<"]),
    (b"\r", ["<Enter>"]),
    (b"\n", ["<Enter>"]),
    (b"\t", ["<Tab>"]),
    (b"\x1b[Z", ["<BackTab>"]),
    (b"\x7f\x08", ["<Backspace>", "<Backspace>"]),
    (b"\x01\x05\x17\x19\x1a\x00\x1c",
     ["<C-a>", "<C-e>", "<C-w>", "<C-y>", "<C-z>", "<C-@>", "<C-\\>"]),
    (b"\x1bb\x1bf\x1bd\x1bB", ["<M-b>", "<M-f>", "<M-d>", "<M-B>"]),
    (b"\x1b\x7f\x1b\r\x1b<", ["<M-Backspace>", "<M-Enter>", "<M-<>"]),
    (b"\x1b\x1b[A", ["<Esc>", "<Up>"]),
    (b"\x1b\xc3\xa9", ["<Esc>", "\u00e9"]),
    # cursor keys: normal, application, modified
    (b"\x1b[A\x1b[B\x1b[C\x1b[D", ["<Up>", "<Down>", "<Right>", "<Left>"]),
    (b"\x1bOA\x1bOB\x1bOC\x1bOD", ["<Up>", "<Down>", "<Right>", "<Left>"]),
    (b"\x1b[1;5C\x1b[1;5D", ["<M-f>", "<M-b>"]),
    (b"\x1b[1;3C\x1b[5D\x1bO5C\x1bOc\x1bOd", ["<M-f>", "<M-b>", "<M-f>", "<M-f>", "<M-b>"]),
    (b"\x1b[1;2C\x1b[1;5A\x1b[1C", ["<Right>", "<Up>", "<Right>"]),
    # Home End PageUp PageDown Delete: xterm, linux and tmux, rxvt, application
    (b"\x1b[H\x1b[F", ["<Home>", "<End>"]),
    (b"\x1b[1~\x1b[4~", ["<Home>", "<End>"]),
    (b"\x1b[7~\x1b[8~", ["<Home>", "<End>"]),
    (b"\x1bOH\x1bOF\x1bOM", ["<Home>", "<End>", "<Enter>"]),
    (b"\x1b[1;5H\x1b[7$\x1b[8^", ["<Home>", "<Home>", "<End>"]),
    (b"\x1b[5~\x1b[6~\x1b[3~", ["<PageUp>", "<PageDown>", "<Delete>"]),
    (b"\x1b[5;5~\x1b[3;5~\x1b[3^\x1b[3;2~\x1b[3$",
     ["<PageUp>", "<M-d>", "<M-d>", "<Delete>", "<Delete>"]),
    (b"\x1b[I\x1b[O", ["<FocusIn>", "<FocusOut>"]),
    # unknown ones are swallowed whole
    (b"\x1b[2~x\x1b[15~x\x1bOQx\x1b[~x\x1b[@x", ["x"] * 5),
    (b"\x1bOPx\x1b[11~x\x1b[Px\x1b[[Ax\x1b[[Ex", ["<F1>", "x"] * 4 + ["x"]),
    # the keypad in its application mode; Num Lock off; PuTTY
    (b"\x1bOp\x1bOy\x1bOk\x1bOm\x1bOn\x1bOo\x1bOM\x1bOX", [*"09+-./", "<Enter>", "="]),
    (b"\x1b[Ex\x1bOEx\x1b[2~x", ["x"] * 3),
    # CSI u (kitty, fixterms) and modifyOtherKeys: what the old way would have sent
    (b"\x1b[97u\x1b[97;2u\x1b[97:65;2u\x1b[49:33;2u\x1b[50;2;34u", ["a", "A", "A", "!", '"']),
    (b"\x1b[233u\x1b[233;2u\x1b[27;2;33~\x1b[27;1;228~", ["\u00e9", "\u00c9", "!", "\u00e4"]),
    (b"\x1b[97;5u\x1b[65;6u\x1b[27;5;99~\x1b[105;5u\x1b[109;5u\x1b[32;5u\x1b[91;5u",
     ["<C-a>", "<C-a>", "<C-c>", "<Tab>", "<Enter>", "<C-@>", "<Esc>"]),
    (b"\x1b[98;3u\x1b[27;3;98~\x1b[55;3u\x1b[60;4u", ["<M-b>", "<M-b>", "<M-7>", "<M-<>"]),
    (b"\x1b[13u\x1b[13;3u\x1b[13;2u\x1b[27;2;13~\x1b[13;5u\x1b[9;2u\x1b[27u\x1b[27;5u",
     ["<Enter>", "<M-Enter>", "<M-Enter>", "<M-Enter>", "<Enter>", "<BackTab>", "<Esc>", "<Esc>"]),
    (b"\x1b[127u\x1b[127;5u\x1b[127;3u\x1b[27;2;127~",
     ["<Backspace>", "<C-w>", "<M-Backspace>", "<Backspace>"]),
    (b"\x1b[57399u\x1b[57408;129u\x1b[57414u\x1b[57419u\x1b[57421u\x1b[57426u",
     ["0", "9", "<Enter>", "<Up>", "<PageUp>", "<Delete>"]),
    (b"\x1b[97;65u\x1b[97;129u\x1b[65;66u", ["a", "a", "A"]),         # Caps Lock, Num Lock
    # of another kind: released, with Super, a modifier alone, F13, no character at all
    (b"\x1b[97;1:3u\x1b[1;1:3A\x1b[97;9u\x1b[57441;2u\x1b[57376ux\x1b[99999999u\x1b[55296ux",
     ["x", "x"]),
    (b"\x1b[ux\x1b[0ux\x1b[;;ux\x1b[27;5~x\x1b[155ux\x1b[:ux\x1b[49;5ux", ["x"] * 7),
    (b"\x1b[97;1:1u\x1b[97;1:2u\x1b[1;1:2A", ["a", "a", "<Up>"]),
    (b"\x1b[?62;4c\x1b[24;80R\x1b[>0;276;0c\x1b[?1;2$yx", ["x"]),
    (b"\x1b[<0;10;20Mx\x1b[<0;10;20mx\x1b[M !!x", ["x", "x", "x"]),
    (b"\x1b[1:2;3Ax\x1b[ Ax\x1b[999999999999999999999Bx", ["<Up>", "x", "x", "<Down>", "x"]),
    (b"\x1b]11;rgb:0000/0000/0000\x07x\x1b]0;t\xc3\xa9\x1b\\x", ["x", "x"]),
    (b"\x1bP>|XTerm(390)\x1b\\x\x1b_Gok\x1b\\x\x1b^p\x1b\\x\x1bXs\x1b\\x", ["x"] * 4),
    # what cannot go on a sequence is read afresh
    (b"\x1b[1\rx", ["<Enter>", "x"]),
    (b"\x1bO\x03", ["<C-c>"]),
    (b"\x1b[1\x1b[A", ["<Up>"]),
    (b"\x1b]0;t\x03", ["<C-c>"]),
    (b"\x1bPq\x1b[A", ["<Up>"]),
    (b"\x1b[\xc3\xa9", ["\u00e9"]),
    # UTF-8, good and bad: one U+FFFD per maximal part
    ("caf\u00e9 \u6f22 \U0001f680".encode(), list("caf\u00e9 \u6f22 \U0001f680")),
    (b"q\xcc\x81", ["q", "\u0301"]),
    (b"\xffx", ["\ufffd", "x"]),
    (b"\xe2\x82x", ["\ufffd", "x"]),
    (b"\xf0\x9f\x9a\x1b[A", ["\ufffd", "<Up>"]),
    (b"\xc0\xafx", ["\ufffd", "\ufffd", "x"]),
    (b"\xed\xa0\x80x", ["\ufffd"] * 3 + ["x"]),
    (b"\xc2\x9b1x", ["1", "x"]),
    # pastes
    (b"\x1b[200~hi\x1b[201~x", [Paste("hi"), "x"]),
    (b"\x1b[200~\x1b[201~", [Paste("")]),
    (b"\x1b[200~a\r\nb\rc\nd\te\x1b[201~", [Paste("a\nb\nc\nd\te")]),
    (b"\x1b[200~\x1b[A\x03\x1b[201\x1b[200~\x1b[201~", [Paste("\x1b[A\x03\x1b[201\x1b[200~")]),
    (b"\x1b[200~\xc3\xa9\xff\xe2\x82\x1b[201~", [Paste("\u00e9\ufffd\ufffd")]),
    (b"\x1b[201~x", ["x"]),
]

# an unfinished beginning, how long to wait for more, what it is then
UNFINISHED = [
    (b"", None, []),
    (b"a\xe2\x82", None, []),
    (b"\x1b", ESC_WAIT, ["<Esc>"]),
    (b"\x1b\x1b", ESC_WAIT, ["<Esc>"]),
    (b"\x1b[", SEQUENCE_WAIT, []),
    (b"\x1b[1;5", SEQUENCE_WAIT, []),
    (b"\x1b[[", SEQUENCE_WAIT, []),
    (b"\x1b[M!", SEQUENCE_WAIT, []),
    (b"\x1bO", SEQUENCE_WAIT, []),
    (b"\x1b]11;rgb", SEQUENCE_WAIT, []),
    (b"\x1b]11;rgb\x1b", SEQUENCE_WAIT, []),
    (b"\x1b[200~half\xe2\x82", PASTE_WAIT, [Paste("half", cut=True)]),
]


def fed(*chunks):
    keys = Keys()
    return [key for chunk in chunks for key in keys.feed(chunk)]


def held(keys):
    return len(keys._held) + len(keys._text.getstate()[0])


class Sequences(unittest.TestCase):
    def test_whole_and_byte_by_byte_and_every_split(self):
        for data, expected in SEQUENCES:
            with self.subTest(data):
                self.assertEqual(fed(data), expected)
                self.assertEqual(fed(*(bytes((byte,)) for byte in data)), expected)
                for at in range(len(data) + 1):
                    self.assertEqual(fed(data[:at], data[at:]), expected)

    def test_nothing_is_left_undecided(self):
        for data, _ in SEQUENCES:
            keys = Keys()
            keys.feed(data)
            self.assertIsNone(keys.timeout(), data)

    def test_unfinished(self):
        for data, wait, expected in UNFINISHED:
            with self.subTest(data):
                keys = Keys()
                keys.feed(data)
                self.assertEqual(keys.timeout(), wait)
                self.assertEqual(keys.expire(), expected)
                self.assertIsNone(keys.timeout())
                self.assertEqual(keys.expire(), [])
                self.assertEqual(keys.feed(b"x")[-1:], ["x"])

    def test_a_split_character_outlives_expire(self):
        keys = Keys()
        keys.feed(b"\xe2\x82")
        keys.expire()
        self.assertEqual(keys.feed(b"\xac"), ["\u20ac"])


class Bounds(unittest.TestCase):
    def test_paste_up_to_the_limit(self):
        for excess, cut in ((0, False), (1, True), (6, True), (7, True), (100_000, True)):
            with self.subTest(excess):
                data = b"x" * (PASTE_MAX + excess)
                self.assertEqual(fed(b"\x1b[200~" + data + b"\x1b[201~y"),
                                 [Paste("x" * PASTE_MAX, cut), "y"])

    def test_a_cut_paste_ends_with_a_whole_character(self):
        text = "x" * (PASTE_MAX - 1)
        self.assertEqual(fed(b"\x1b[200~" + text.encode() + b"\xc3\xa9\x1b[201~"),
                         [Paste(text, cut=True)])

    def test_a_paste_without_end(self):
        keys = Keys()
        keys.feed(b"\x1b[200~" + b"x" * PASTE_MAX)
        for _ in range(20):
            self.assertEqual(keys.feed(b"x" * 4096), [])
            self.assertLessEqual(held(keys), PASTE_MAX + 6)
        self.assertEqual(keys.expire(), [Paste("x" * PASTE_MAX, cut=True)])
        self.assertEqual(keys.feed(b"y"), ["y"])

    def test_sequences_without_end(self):
        for start, most in ((b"\x1b[", SEQUENCE_MAX), (b"\x1bO", SEQUENCE_MAX),
                            (b"\x1b]", STRING_MAX)):
            keys = Keys()
            self.assertEqual(keys.feed(start + b"1" * most), [])
            self.assertEqual(keys.feed(b"11"), ["1", "1"])
            self.assertIsNone(keys.timeout())


def read(*reads):
    """The keys of reads that follow each other at once, and of the silence after them."""
    keys = Reads()
    got = [key for data in reads for key in keys.feed(data)]
    while keys.timeout() is not None:
        got += keys.expire()
    return got


class Unmarked(unittest.TestCase):
    """Pastes that the terminal does not mark."""

    def test_what_is_typed(self):
        """A newline that nothing follows is Enter, alone or after what a slow line brings with
        it."""
        for data, keys in ((b"\r", ["<Enter>"]), (b"y\r", ["y", "<Enter>"]),
                           (b"text\r", [*"text", "<Enter>"]), (b"\r\r", ["<Enter>", "<Enter>"]),
                           (b"y\r\n", ["y", "<Enter>", "<Enter>"]),
                           (b"x" * 60 + b"\r", ["x"] * 60 + ["<Enter>"]),
                           (b"\r\x1b[A", ["<Enter>", "<Up>"]),
                           (b"hi\r\x1b[O", ["h", "i", "<Enter>", "<FocusOut>"]),
                           (b"\r\x1b", ["<Enter>", "<Esc>"]),
                           (b"1\x7f2\r", ["1", "<Backspace>", "2", "<Enter>"]),
                           (b"\x1bOM", ["<Enter>"])):
            self.assertEqual(read(data), keys, data)
            self.assertEqual(read(*(bytes((byte,)) for byte in data)), keys, data)

    def test_what_is_pasted(self):
        for data, text in ((b"one\rtwo\r", "one\ntwo\n"), (b"one\rtwo", "one\ntwo"),
                           (b"one\ntwo\n", "one\ntwo\n"),
                           (b"\rtwo", "\ntwo"), (b"/exit\r@bob hi\r6\r", "/exit\n@bob hi\n6\n"),
                           (b"if x:\r\treturn\r\r", "if x:\n\treturn\n\n"),
                           ("é\r漢".encode(), "é\n漢"),
                           (b"a\r\x01\x1b[Ab\x1bOM", "a\nb\n"), (b"a\r" * 9000, "a\n" * 9000)):
            self.assertEqual(read(data), [Paste(text)], data[:80])

    def test_in_any_pieces(self):
        """Pieces that follow each other at once are one paste, also if a piece ends in a
        newline."""
        data = "one line of it, longer than a burst is\r/exit\ré漢\r\rlast\r".encode()
        whole = read(data)
        self.assertEqual(len(whole), 1)
        for at in range(1, len(data)):
            got = read(data[:at], data[at:])
            self.assertNotIn("<Enter>", got, data[:at])
            if at >= BURST:
                self.assertEqual(got, whole, data[:at])
        self.assertNotIn("<Enter>", read(*(bytes((byte,)) for byte in data)))

    def test_the_wait(self):
        keys = Reads()
        self.assertEqual((keys.feed(b"abc"), keys.timeout()), (["a", "b", "c"], None))
        self.assertEqual((keys.feed(b"\r"), keys.timeout()), ([], GAP))
        self.assertEqual((keys.feed(b"x"), keys.timeout()), ([], PASTE_GAP))
        self.assertEqual((keys.feed(b"\r"), keys.timeout()), ([], PASTE_GAP))
        self.assertEqual((keys.expire(), keys.timeout()), ([Paste("\nx\n")], None))
        self.assertEqual((keys.feed(b"\r"), keys.expire(), keys.feed(b"y")),
                         ([], ["<Enter>"], ["y"]))
        for size, gap in ((BURST - 1, GAP), (BURST, PASTE_GAP)):
            keys.feed(b"x" * (size - 1) + b"\r")
            self.assertEqual((keys.timeout(), len(keys.expire())), (gap, size))

    def test_marked_ones_are_as_they_were(self):
        marked = b"\x1b[200~one\rtwo\x1b[201~"
        self.assertEqual(read(marked), [Paste("one\ntwo")])
        self.assertEqual(read(marked + b"\r"), [Paste("one\ntwo"), "<Enter>"])

    def test_focus_is_not_lost(self):
        self.assertEqual(read(b"a\rb\x1b[O"), [Paste("a\nb"), "<FocusOut>"])

    def test_a_bound(self):
        keys = Reads()
        for _ in range(200):
            self.assertEqual(keys.feed(b"x\r" * 2048), [])
        self.assertLessEqual(len(keys._held), PASTE_MAX)
        (paste,) = keys.expire()
        self.assertEqual((len(paste.text), paste.cut), (PASTE_MAX, True))

    def test_any_bytes_in_any_reads(self):
        """A newline with a character behind it is never Enter; otherwise the decoder decides."""
        source = random.Random(4)
        for _ in range(3000):
            data = Fuzz().stream(source)
            decoder = Keys()
            keys = decoder.feed(data) + decoder.expire()
            got = read(data)
            chars = [at for at, key in enumerate(keys) if len(key) == 1]
            enters = [at for at, key in enumerate(keys) if key == "<Enter>"]
            if enters and chars and enters[0] < chars[-1]:
                self.assertNotIn("<Enter>", got, data)
            else:
                self.assertEqual(got, keys, data)


class Fuzz(unittest.TestCase):
    PIECES = (
        b"\x1b", b"[", b"O", b"]", b"P", b"\\", b"\x07", b"~", b"1", b";", b"5", b"$", b"?", b"<",
        b"M", b"A", b"\r",
        b"\x00", b"\x9b", b"\xc3", b"\xa9", b"\xe2", b"\x82", b"\xf0", b"\xed", b"\xff", b"x",
        b"\x1b[", b"\x1b[200~", b"\x1b[201~", b"\x1b]0;",
    )  # fmt: skip

    def stream(self, source):
        if source.random() < 0.5:
            return source.randbytes(source.randrange(60))
        return b"".join(source.choice(self.PIECES) for _ in range(source.randrange(40)))

    def test_any_bytes_in_any_chunks(self):
        source = random.Random(1)
        for _ in range(4000):
            data = self.stream(source)
            whole, parts = Keys(), Keys()
            expected = whole.feed(data)
            cuts = sorted(source.randrange(len(data) + 1) for _ in range(source.randrange(6)))
            got = [key for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)
                   for key in parts.feed(data[a:b])]
            self.assertEqual(got, expected, data)
            self.assertEqual(parts.timeout(), whole.timeout())
            self.assertEqual(parts.expire(), whole.expire())
            for key in expected:
                if isinstance(key, str):
                    self.assertTrue(key >= " " if len(key) == 1 else key[0] + key[-1] == "<>", key)

    def test_state_is_bounded(self):
        source = random.Random(2)
        keys = Keys()
        for _ in range(2000):
            keys.feed(self.stream(source).replace(b"\x1b[200~", b""))
            self.assertLessEqual(held(keys), SEQUENCE_MAX + 3)
            self.assertEqual(keys._keys, [])

    def test_bad_utf8_is_replaced_as_python_does(self):
        source = random.Random(3)
        for _ in range(2000):
            data = bytes(source.choices(b"x\x80\xa0\xbf\xc0\xc3\xe0\xe2\xed\xef\xf0\xf4\xf5\xff",
                                        k=12)) + b"x"
            text = "".join(char for char in data.decode("utf-8", "replace")
                           if not "\x80" <= char < "\xa0")
            self.assertEqual("".join(fed(data)), text)


if __name__ == "__main__":
    unittest.main()
