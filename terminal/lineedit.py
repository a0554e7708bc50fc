"""lineedit: the input line, with text, cursor, kill buffer and history, moved by keys.

Promises
    The text never exceeds its limit in UTF-8 bytes, holds no control character but newline and tab,
    and can be encoded.  The cursor stands between clusters (a base and the marks joined to it), so
    no half of a cluster is ever deleted.  A user loses nothing that they typed by moving through
    the history.
How it works
    No terminal and no clock.  press() returns False when nothing changed, so that the caller may
    give the key another meaning (Left in an empty line).  view() gives one row that shows the
    cursor, and newlines as ^J.
How it fails
    It refuses a text that does not fit as a whole: insert() returns False.
Bad at
    Undo, and showing several rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import takewhile

from terminal.display import UNICODE, Ruler, clusters, display, escape, is_joined, is_unseen
from terminal.keys import Key, Paste

TEXT_MAX = 16 * 1024  # bytes of UTF-8, unless the caller says otherwise
HISTORY_MAX = 100  # entries: with the longest texts 1.6 MB

# The daemon refuses these in a message.  Their names may go, and so nothing pasted is lost unseen.
_REFUSED = "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]"
# per cluster: view() of the longest text in 12 ms instead of 24
_painted = lru_cache(1024)(display)


def _clean(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(_REFUSED, lambda found: escape(found[0]), text)


def _is_solid(char: str) -> bool:
    return not char.isspace()


def _is_between(char: str) -> bool:
    return not char.isalnum()


def _common(candidates: Sequence[str]) -> str:
    """The longest beginning that all candidates share."""
    columns = zip(*candidates, strict=False)
    return "".join(column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns))


class History:
    """The lines that were sent, and what the user typed into recalled ones and left there."""

    def __init__(self) -> None:
        self.place = 0  # of the line shown; after the last sent one comes the line not yet sent
        self._sent: list[str] = []
        self._edited: dict[int, str] = {}  # by place

    def add(self, text: str) -> None:
        """Add a line, unless empty or the same as the last; recalled lines lose their edits."""
        if text and self._sent[-1:] != [text]:
            self._sent = [*self._sent, text][-HISTORY_MAX:]
        self._edited.clear()
        self.place = len(self._sent)

    def go(self, place: int, text: str) -> str | None:
        """Leave `text` here and go to another place.  The text there; None if there is no such."""
        if not 0 <= place <= len(self._sent):
            return None
        self._edited[self.place] = text
        self.place = place
        return self._edited.get(place, self._sent[place] if place < len(self._sent) else "")


class InputLine:
    """The line that a user edits.

    Others may read `text` and `cursor`, an index into it; only the methods change them."""

    def __init__(self, limit: int = TEXT_MAX, history: Iterable[str] = ()) -> None:
        self.text = ""
        self.cursor = 0
        self.limit = limit
        self._history = History()
        self._killed = ""
        self._killing = False  # whether the last key killed: then the next kill adds to it
        # where the word begins that Tab completes, and the candidates still to offer
        self._tab: tuple[int, list[str]] | None = None
        for text in history:
            self.remember(text)

    # The whole line

    def set(self, text: str) -> bool:
        """Replace the text, the cursor at its end; False if it does not fit."""
        return self._replace(0, len(self.text), _clean(text))

    def take(self) -> str:
        """Return the text, remember it and leave the line empty."""
        text = self.text
        self.remember(text)
        self._replace(0, len(text), "")
        return text

    def remember(self, text: str) -> None:
        """Add a text to the history, unless it is empty, too long or the same as the last."""
        text = _clean(text)
        self._history.add(text if self._fits(text) else "")

    def view(self, cells: int, ruler: Ruler = UNICODE) -> tuple[str, int]:
        """What to paint in a row of cells, and the column of the cursor, always less than cells.

        Without any cells both are empty."""
        if cells <= 0:
            return "", 0
        before = self._shown(0, self.cursor)
        column = sum(map(ruler.width, before))
        # Scrolling by half rows keeps the text around the cursor in sight, and most keys move
        # only the cursor.
        half = max(1, cells // 2)
        start = 0 if column < cells else ((column - cells) // half + 1) * half
        skipped = index = 0
        while skipped < start:
            skipped += ruler.width(before[index])
            index += 1
        after = self._shown(self.cursor, len(self.text))
        return ruler.clip("".join(before[index:]) + "".join(after), cells), column - skipped

    def _shown(self, start: int, end: int) -> list[str]:
        """What is painted of each cluster."""
        shown, at = [], start
        for cluster in clusters(self.text[start:end]):
            unseen = len(cluster) == 1 and is_unseen(self.text, at)
            shown.append("" if unseen else _painted(cluster))
            at += len(cluster)
        return shown

    # Keys

    def press(self, key: Key) -> bool:
        """Do what a key asks.

        False if it asks nothing of a line, if nothing changed, or if its text does not fit."""
        if isinstance(key, Paste):
            return self.insert(key.text)
        if len(key) == 1:
            return self.insert(key)
        action = _ACTIONS.get(key)
        if action is None:
            return False
        before = self.text, self.cursor, self._history.place
        self._tab = None
        self._killing = self._killing and key in _KILLS
        action(self)
        return before != (self.text, self.cursor, self._history.place)

    def insert(self, text: str) -> bool:
        """Put text at the cursor.  False, and nothing changes, if it is empty or does not fit."""
        return text != "" and self._replace(self.cursor, self.cursor, _clean(text))

    def word(self) -> str:
        """The text between the last white space and the cursor, which complete() will replace."""
        return self.text[self._word_start() : self.cursor]

    def complete(self, candidates: Sequence[str]) -> bool:
        """Replace word() by what all candidates begin with; then, each time, by the next of them.

        Until the user does something else to the line, the candidates of the first call count and
        later ones are ignored.  False if nothing changed: there are no candidates, there is no
        room, or the only candidate stands there already.
        """
        start, offers = self._tab or (
            self._word_start(), [_clean(text) for text in dict.fromkeys(candidates)])
        if not offers:
            return False
        word = self.text[start : self.cursor]
        new = "" if self._tab else _common(offers)
        if len(new) <= len(word):
            if offers[0] == word:
                offers = [*offers[1:], word]
            new = offers[0]
        changed = new != word and self._replace(start, self.cursor, new)
        self._tab = start, offers
        return changed

    # Steps

    def _fits(self, text: str) -> bool:
        return len(text) <= self.limit and len(text.encode()) <= self.limit

    def _replace(self, start: int, end: int, new: str) -> bool:
        """Replace text[start:end] by clean text, the cursor after it.

        The text changes in no other way."""
        text = self.text[:start] + new + self.text[end:]
        if not self._fits(text):
            return False
        self.text, self.cursor = text, start + len(new)
        while self.cursor < len(text) and is_joined(text, self.cursor):
            self.cursor += 1
        self._killing, self._tab = False, None
        return True

    def _left(self, index: int) -> int:
        index = max(0, index - 1)
        while index > 0 and is_joined(self.text, index):
            index -= 1
        return index

    def _right(self, index: int) -> int:
        index = min(len(self.text), index + 1)
        while index < len(self.text) and is_joined(self.text, index):
            index += 1
        return index

    def _back(self, index: int, wanted: Callable[[str], bool]) -> int:
        """Where the run of clusters with a wanted base begins that ends at index."""
        while index > 0 and wanted(self.text[self._left(index)]):
            index = self._left(index)
        return index

    def _on(self, index: int, wanted: Callable[[str], bool]) -> int:
        """Where the run of clusters with a wanted base ends that begins at index."""
        while index < len(self.text) and wanted(self.text[index]):
            index = self._right(index)
        return index

    def _word_start(self) -> int:
        return self._back(self.cursor, _is_solid)

    def _word_back(self) -> int:
        return self._back(self._back(self.cursor, _is_between), str.isalnum)

    def _word_on(self) -> int:
        return self._on(self._on(self.cursor, _is_between), str.isalnum)

    def _kill(self, start: int, end: int) -> None:
        forward, gone = start == self.cursor, self.text[start:end]
        if not gone:
            return
        earlier = self._killed if self._killing else ""
        self._killed = earlier + gone if forward else gone + earlier
        self._replace(start, end, "")
        self._killing = True

    def _transpose(self) -> None:
        middle = self.cursor if self.cursor < len(self.text) else self._left(self.cursor)
        start, end = self._left(middle), self._right(middle)
        if start < middle:
            self._replace(start, end, self.text[middle:end] + self.text[start:middle])

    def _recall(self, place: int) -> None:
        text = self._history.go(place, self.text)
        if text is not None:
            self._replace(0, len(self.text), text)

    def _move(self, index: int) -> None:
        self.cursor = index


_KILLS: dict[str, Callable[[InputLine], object]] = {
    "<C-k>": lambda line: line._kill(line.cursor, len(line.text)),
    "<C-u>": lambda line: line._kill(0, line.cursor),
    "<C-w>": lambda line: line._kill(
        line._back(line._back(line.cursor, str.isspace), _is_solid), line.cursor),
    "<M-d>": lambda line: line._kill(line.cursor, line._word_on()),
    "<M-Backspace>": lambda line: line._kill(line._word_back(), line.cursor),
}
_ACTIONS: dict[str, Callable[[InputLine], object]] = {
    **_KILLS,
    "<C-y>": lambda line: line._replace(line.cursor, line.cursor, line._killed),
    "<C-t>": lambda line: line._transpose(),
    "<C-a>": lambda line: line._move(0),
    "<C-e>": lambda line: line._move(len(line.text)),
    "<C-b>": lambda line: line._move(line._left(line.cursor)),
    "<C-f>": lambda line: line._move(line._right(line.cursor)),
    "<M-b>": lambda line: line._move(line._word_back()),
    "<M-f>": lambda line: line._move(line._word_on()),
    "<C-d>": lambda line: line._replace(line.cursor, line._right(line.cursor), ""),
    "<Backspace>": lambda line: line._replace(line._left(line.cursor), line.cursor, ""),
    "<Up>": lambda line: line._recall(line._history.place - 1),
    "<Down>": lambda line: line._recall(line._history.place + 1),
}
_ACTIONS |= {
    "<Left>": _ACTIONS["<C-b>"],
    "<Right>": _ACTIONS["<C-f>"],
    "<Home>": _ACTIONS["<C-a>"],
    "<End>": _ACTIONS["<C-e>"],
    "<Delete>": _ACTIONS["<C-d>"],
}
