"""display: what a terminal or a log may show of a stranger's text, and how wide that is.

Promises
    display() is the one sanitiser.  Its result holds printable characters only (and newlines, when
    asked for), at most MARKS_MAX marks on a base, and no mark that could land on whatever was
    painted before it.  It works for every string, and display(display(x)) == display(x).
    A text of several rows cannot pass for the rows of others.  Every row of a text except its first
    begins with gutter(): GUTTER is the first cell in it that is not blank, at every width.  The
    programs begin no row of their own with GUTTER.  So a stranger writes the beginning of no row of
    a screen or of a pipe.  fold() does this for the rows of one string, entries.hang() for rows of
    runs.
    Nothing here raises, for any string or size.
How it works
    A Ruler measures, cuts and wraps text that display() has made.  The functions width, clip,
    shorten, pad and wrap are those of UNICODE, the Ruler for when there is no terminal to ask.
    In a text, what is unseen and belongs there is not named: see _BELONGS.  It is left out, so what
    stands on the screen is what anybody would read, and no cell moves.  In one line (a name, a
    reason, the log) it is named, for two names that look alike must not differ.
Bad at
    Arabic and Persian (letters around a left-out joiner may be joined), emoji sequences (their
    parts stand side by side), and Korean and Indic syllables that only a font can compose.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from unicodedata import category, combining, east_asian_width, normalize

MARKS_MAX = 4  # per base: the longest honest stacks (Vietnamese, Hebrew, Thai) need three
# marks let into normalize(), whose sort is quadratic: 65 ms for 8,192 marks, 4.1 s for 65,536
RUN_MAX = 32
GUTTER = "|"  # ASCII, and no name, time, rule, bar or prompt begins with it
INDENT = 6  # cells of a gutter in lines: as wide as `14:05 `; less where there is little room
# characters in each table: all that the longest text can have; a hostile daemon has a million
CACHE_MAX = 8192

# Most starts meet no such text: a form is compiled when it is first met, and a start saves 1 ms.
_form: Callable[[str], re.Pattern[str]] = cache(re.compile)

# Joiners, variation selectors, keycaps, tags and skin tones: terminals disagree on the width of the
# characters that these join.
_DROPPED = "[\u200d\ufe00-\ufe0f\u20e3\U000e0000-\U000e007f\U0001f3fb-\U0001f3ff]"
# In a text these are no trick but spelling, one at a time: a non-joiner behind a letter of a script
# whose letters join (Arabic, Syriac, Thaana, N'Ko, Mandaic, the scripts of India, Khmer,
# Mongolian), a soft hyphen behind a letter ...
_BELONGS = (r"(?<=[\u0620-\u08ff\u0900-\u0dff\u1780-\u18aa\ufb50-\ufdff\ufe70-\ufefc])"
            r"\u200c|(?<=[^\W\d_])\u00ad")
# ... and the marks of direction, if there are letters that run from right to left.
_DIRECTION = "(?<![\u061c\u200e\u200f])[\u061c\u200e\u200f](?![\u061c\u200e\u200f])"
_TO_LEFT = ("[\u05d0-\u05f2\u0620-\u064a\u066e-\u06d5\u0700-\u085f\u08a0-\u08c9"
            "\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]")
# Blank or ignorable although their category says letter, mark or symbol: with these a stranger
# could forge empty or equal names.
_INVISIBLE = (
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufffc\U0001d159"
    "\U00013441\U00013442\U000e0100-\U000e01ef]")
UNSEEN = frozenset("\u00ad\u061c\u200c\u200e\u200f")
# Vowels and finals that terminals stack on the syllable before them.
_JAMO = "[\u1160-\u11ff\ud7b0-\ud7ff]"
# Private use is escaped with the rest: each font decides what such a character looks like, and how
# wide it is.
_UNSAFE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))

_ASCII = {code: "^" + chr(code ^ 64) for code in (*range(32), 127)} | {ord("\t"): " "}
_ASCII_LINES = _ASCII | {ord("\n"): "\n"}


def display(text: str, multiline: bool = False) -> str:
    """Text as it may be painted: ^[ for C0 and DEL, <U+202E> for others that are unsafe or unseen.

    A tab and every other space become one space, for the column is not known here.  If multiline, a
    newline stays, a tab goes to the next column of eight, counted from where the text begins, and
    what belongs into a text unseen is left out.
    """
    if multiline and "\t" in text:
        text = text.expandtabs()
    if text.isascii():
        return text if text.isprintable() else text.translate(_ASCII_LINES if multiline else _ASCII)
    if multiline:
        text = _form(_BELONGS).sub("", text)
        if _form(_TO_LEFT).search(text):
            text = _form(_DIRECTION).sub("", text)
    text = normalize("NFC", _capped(_form(_DROPPED).sub("", text), RUN_MAX))
    # Once more, because the neighbours of a mark that was left out may compose now.
    return normalize("NFC", _visible(_capped(text, MARKS_MAX), multiline))


def escape(char: str) -> str:
    """Name one character in ASCII: ^[ or <U+202E>."""
    return "^" + chr(ord(char) ^ 64) if char < " " or char == "\x7f" else f"<U+{ord(char):04X}>"


def is_unseen(text: str, index: int) -> bool:
    """Whether display() leaves text[index] out of a text because it belongs there unseen."""
    if text[index] not in UNSEEN:
        return False
    if _form(_BELONGS).match(text, index):
        return True
    return bool(_form(_DIRECTION).match(text, index) and _form(_TO_LEFT).search(text))


@lru_cache(CACHE_MAX)
def is_mark(char: str) -> bool:
    """Whether char is painted onto the character before it."""
    kind = category(char)
    if kind in _UNSAFE or _form(_INVISIBLE).match(char):
        return False
    return kind in ("Mn", "Me") or combining(char) != 0 or _form(_JAMO).match(char) is not None


def is_joined(text: str, index: int) -> bool:
    """Whether text[index] belongs to the cluster of text[index - 1].  The text may be raw."""
    if index == 0 or text[index - 1].isspace():
        return False
    char = text[index]
    if char < "\x80":
        return False
    if text[index - 1] == "\u200d" and _is_like(text, index):
        return True
    return is_mark(char) or _form(_DROPPED).match(char) is not None


def _is_like(text: str, index: int) -> bool:
    """Whether the joiner before this character joins it to a character of the same kind.

    It may join picture and picture, or letter and letter; a picture does not take the text that
    follows it."""
    at = index - 2
    while at > 0 and is_mark(text[at]):
        at -= 1
    return at >= 0 and text[at] >= "\x80" and category(text[at])[0] == category(text[index])[0]


def clusters(text: str) -> list[str]:
    """Split text before every base.  A cursor moves over a cluster, and nothing ever cuts one."""
    if text.isascii():
        return list(text)
    starts = [index for index in range(len(text)) if not is_joined(text, index)]
    return [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]


def _capped(text: str, most: int) -> str:
    kept, run = [], 0
    for char in text:
        run = run + 1 if is_mark(char) else 0
        if run <= most:
            kept.append(char)
    return "".join(kept)


def _visible(text: str, multiline: bool) -> str:
    shown, based = [], False
    for char in text:
        if is_mark(char):
            shown.append(char if based else escape(char))
        elif char == "\n" and multiline:
            shown.append(char)
            based = False
        else:
            shown.append(_alone(char))
            based = shown[-1] == char != " "
    return "".join(shown)


@lru_cache(CACHE_MAX)
def _alone(char: str) -> str:
    kind = category(char)
    if kind == "Zs" or char in "\t\u2800":  # Braille without a dot is as blank
        return " "
    return escape(char) if kind in _UNSAFE or _form(_INVISIBLE).match(char) else char


@lru_cache(CACHE_MAX)
def unicode_cells(char: str) -> int:
    """The terminal cells of one character: 0, 1 or 2, by the Unicode tables of this Python."""
    if category(char) in ("Mn", "Me", "Cf") or _form(_JAMO).match(char):
        return 0
    return 2 if east_asian_width(char) in "WF" else 1


class Ruler:
    """Measures displayed text in terminal cells.

    `measure` says how many cells one non-ASCII character takes."""

    def __init__(self, measure: Callable[[str], int] = unicode_cells) -> None:
        self._measure = measure

    def width(self, text: str) -> int:
        return len(text) if text.isascii() else sum(map(self._measure, text))

    def clip(self, text: str, cells: int) -> str:
        """The longest beginning of text that fits and splits no cluster."""
        if cells <= 0:
            return ""
        if text.isascii():
            return text[:cells]
        end = used = 0
        for cluster in clusters(text):
            used += self.width(cluster)
            if used > cells:
                return text[:end]
            end += len(cluster)
        return text

    def shorten(self, text: str, cells: int) -> str:
        """The text if it fits, else its beginning and a ~ that says that there was more."""
        if self.width(text) <= cells:
            return text
        return self.clip(text, cells - 1) + "~" if cells > 0 else ""

    def pad(self, text: str, cells: int) -> str:
        """The text, cut or filled with spaces to exactly `cells`."""
        text = self.clip(text, cells)
        return text + " " * (cells - self.width(text))

    def wrap(self, text: str, first: int, rest: int) -> list[str]:
        """The rows of a text: the first has at most `first` cells, the others `rest`.

        A number below 1 counts as 1.  Rows break at spaces, which are left out there and kept
        elsewhere.  A word longer than a row is cut, and a cluster wider than a row becomes '?'.
        Every newline starts a row, so there is always at least one.
        """
        rows: list[str] = []
        for line in text.split("\n"):
            rows += self._fold(line, max(1, rest if rows else first), max(1, rest))
        return rows

    def _fold(self, line: str, room: int, rest: int) -> Iterator[str]:
        if self.width(line) <= room:
            yield line
            return
        row, used = "", 0
        for piece in self._pieces(line, rest):
            size = self.width(piece)
            if used + size > room:
                yield row.rstrip(" ")
                row, used, room = "", 0, rest
                if piece[0] == " ":
                    continue
            row, used = row + piece, used + size
        if row:
            yield row

    def _pieces(self, line: str, rest: int) -> Iterator[str]:
        for piece in re.findall(" +|[^ ]+", line):
            if piece[0] == " " or self.width(piece) <= rest:
                yield piece[:rest] if piece[0] == " " else piece
            else:
                yield from (part if self.width(part) <= rest else "?" for part in clusters(piece))


def gutter(indent: int) -> str:
    """What every row of a text except its first begins with: `indent` cells, at least one."""
    return " " * (indent - 2) + GUTTER + " " if indent > 1 else GUTTER


UNICODE = Ruler()


def fold(line: str, cells: int | None = None, used: int = 0, ruler: Ruler = UNICODE) -> list[str]:
    """The rows of a line on a terminal that is `cells` wide.

    A stranger may have written parts of the line.  Without a width only newlines end a row.  `used`
    cells of the first row may be taken already.
    """
    shown = display(line, multiline=True)
    if cells is None:
        first, *rest = shown.split("\n")
        return [first, *(gutter(INDENT) + row for row in rest)]
    under = gutter(min(INDENT, cells // 6))
    first, *rest = ruler.wrap(shown, cells - used, cells - len(under))
    return [first, *(ruler.clip(under + row, cells) for row in rest)]


width, clip, shorten = UNICODE.width, UNICODE.clip, UNICODE.shorten
pad, wrap = UNICODE.pad, UNICODE.wrap
