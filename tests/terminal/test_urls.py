"""Web addresses in a text, and the sequences that carry what a stranger wrote."""
import base64
import re
import time
import unittest

from terminal import osc, urls
from tests.programs.test_hostile import texts

# a text, the addresses in it
FOUND = [
    ("", []), ("https://", []), ("no address: http:/x", []), ("xhttps://a.b", []),
    ("javascript://a.b file:///etc/passwd", []),
    ("see https://a.b/c?d=e&f=%20#g, ok", ["https://a.b/c?d=e&f=%20#g"]),
    ("HTTPS://A.b; http://c.", ["HTTPS://A.b", "http://c"]),
    ("https://en.wikipedia.org/wiki/Python_(language)).",
     ["https://en.wikipedia.org/wiki/Python_(language)"]),
    ("(http://a.b/c) [http://d] <http://e> \"http://f\" 'http://g'",
     ["http://a.b/c", "http://d", "http://e", "http://f", "http://g"]),
    ("https://a.b/c;d=e;", ["https://a.b/c;d=e"]),
    ("http://[::1]:80/", ["http://[::1]:80/"]),
    ("https://k\u00f6ln.de/\u6f22", ["https://k%C3%B6ln.de/%E6%BC%A2"]),
    ("http://\u0939\u093f.x", ["http://%E0%A4%B9%E0%A4%BF.x"]),
    # what a terminal would obey, or a reader not see
    ("https://a.b/\x1b]0;owned\x07", ["https://a.b/"]), ("https://a.b\x1b\\c", ["https://a.b"]),
    ("https://a.b/\u202egnp.exe", ["https://a.b/"]), ("https://a\u200b.b", ["https://a"]),
    ("https://a.b/\u00adc", ["https://a.b/"]), ("https://a.b/\x9b31m", ["https://a.b/"]),
    ("https://a.b/\ue000\U000e0041", ["https://a.b/"]), ("https://a.b/\ud800", ["https://a.b/"]),
    ("http://a\u3000b", ["http://a"]), ("http://a\nb", ["http://a"]),
    # a part of a long one would be another one
    ("http://a/" + "x" * urls.URL_MAX + " http://b", ["http://b"]),
    ("http://a/" + "\u6f22" * 1000, []),
]
NASTY = ["\x1b]52;c;eA==\x07", "\x1b\\", "\x07", "\x9c", "a;b", "\u202e", "\n", "\ud800",
         "x" * 5000, "\x1bPtmux;\x1b\x1b]0;x\x07", "4;3;50", "\u6f22\u00e9"]


class Urls(unittest.TestCase):
    def test_table(self) -> None:
        for text, found in FOUND:
            self.assertEqual(urls.find(text), found, ascii(text[:60]))

    def test_any_text(self) -> None:
        for text in texts(500):
            for url in urls.find(f"http://{text} https://x/{text}"):
                self.assertTrue(url.isascii() and url.isprintable(), ascii(url))
                self.assertIsNone(re.search("[ \"<>\\\\`{}|^]", url), ascii(url))

    def test_no_text_takes_long(self) -> None:
        for part in (")", "http://a", "http://)", "(", "\u6f22", "https:/", "a.", "http://(((("):
            began = time.process_time()
            urls.find(f"http://a{part * (16384 // len(part))}")
            self.assertLess(time.process_time() - began, 0.1, part)


class Sequences(unittest.TestCase):
    """Only one string can be in them: the one that was begun."""

    def test_a_title_and_notifications(self) -> None:
        for text in [*NASTY, *texts(300)]:
            self.assertRegex(osc.title(text), rb"\A\x1b\]2;[ -:<-~]{0,200}\x1b\\\Z")
            self.assertRegex(osc.notify("osc9", text, text, False),
                             rb"\A\x1b\]9;[ -:<-~]{0,402}\x1b\\\Z")
            self.assertRegex(osc.notify("osc777", text, text, False),
                             rb"\A\x1b\]777;notify;[ -:<-~]{0,200};[ -:<-~]{0,200}\x1b\\\Z")
            self.assertRegex(osc.notify("osc9", text, text, True),
                             rb"\A\x1bPtmux;\x1b\x1b\]9;[ -:<-~]{0,402}\x1b\x1b\\\x1b\\\Z")

    def test_the_clipboard(self) -> None:
        for text in ("https://a.b/;c", "x" * 200_000):
            plain = osc.copy(text, in_tmux=False)
            data = plain.removeprefix(b"\x1b]52;c;").removesuffix(b"\x1b\\")
            self.assertEqual(base64.b64decode(data, validate=True), text.encode()[:osc.COPY_MAX])
            self.assertEqual(osc.copy(text, in_tmux=True),
                             plain + b"\x1bPtmux;\x1b" + plain.replace(b"\x1b\\", b"\x1b\x1b\\")
                             + b"\x1b\\")


if __name__ == "__main__":
    unittest.main()
