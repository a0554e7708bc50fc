"""The input line: text, cursor, kill buffer and history, moved by keys; no terminal and no clock.

The line promises that its text never exceeds its limit in UTF-8 bytes, holds no control character but newline and
tab, and can be encoded; that the cursor stands between clusters (a base and what joins it), so that no half of one
is ever deleted; and that nothing typed is lost by moving through the history.  What does not fit is refused whole:
insert() says False.  press() is False when nothing changed, so that the caller may give the key another meaning
(Left on an empty line).  view() gives one row that shows the cursor, newlines as ^J.
Bad at: undo, and showing several rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import takewhile

from terminal.display import UNICODE, Ruler, clusters, display, escape, is_joined
from terminal.keys import Key, Paste

TEXT_MAX = 16 * 1024  # bytes of UTF-8, unless the caller says otherwise
HISTORY_MAX = 100  # entries: with the longest texts 1.6 MB

# The daemon refuses these in a message; shown by name they may go, and nothing pasted is lost unseen.
_REFUSED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_painted = lru_cache(1024)(display)  # per cluster: view() of the longest text in 12 ms instead of 24


def _clean(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _REFUSED.sub(lambda found: escape(found[0]), text)


def _is_solid(char: str) -> bool:
    return not char.isspace()


def _is_between(char: str) -> bool:
    return not char.isalnum()


def _common(candidates: Sequence[str]) -> str:
    """The longest beginning that all candidates share."""
    columns = zip(*candidates, strict=False)
    return "".join(column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns))


class InputLine:
    """One line being edited; text and cursor (an index into text) are for reading, the methods change them."""

    def __init__(self, limit: int = TEXT_MAX, history: Iterable[str] = ()) -> None:
        self.text = ""
        self.cursor = 0
        self.limit = limit
        self._history: list[str] = []
        self._place = 0  # in the history; its length is the line not yet sent
        self._edited: dict[int, str] = {}  # by place: what was typed there and left
        self._killed = ""
        self._killing = False  # whether the last key killed: then the next kill adds to it
        self._tab: tuple[int, list[str]] | None = None  # where the word begins, the candidates still to offer
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
        """Add to the history, unless empty, too long or the same as the last; recalled entries lose their edits."""
        text = _clean(text)
        if text and self._fits(text) and self._history[-1:] != [text]:
            self._history = [*self._history, text][-HISTORY_MAX:]
        self._edited.clear()
        self._place = len(self._history)

    def view(self, cells: int, ruler: Ruler = UNICODE) -> tuple[str, int]:
        """What to paint in a row of cells, and the column of the cursor: always less than cells, unless that is 0."""
        if cells <= 0:
            return "", 0
        before = [_painted(cluster) for cluster in clusters(self.text[: self.cursor])]
        column = sum(map(ruler.width, before))
        # By half rows: what is around the cursor stays in sight, and most keys move only the cursor.
        half = max(1, cells // 2)
        start = 0 if column < cells else ((column - cells) // half + 1) * half
        skipped = index = 0
        while skipped < start:
            skipped += ruler.width(before[index])
            index += 1
        after = map(_painted, clusters(self.text[self.cursor :]))
        return ruler.clip("".join(before[index:]) + "".join(after), cells), column - skipped

    # Keys

    def press(self, key: Key) -> bool:
        """Do what key asks; False if it asks nothing of a line, did nothing, or its text does not fit."""
        if isinstance(key, Paste):
            return self.insert(key.text)
        if len(key) == 1:
            return self.insert(key)
        action = _ACTIONS.get(key)
        if action is None:
            return False
        before = self.text, self.cursor, self._place
        self._tab = None
        self._killing = self._killing and key in _KILLS
        action(self)
        return before != (self.text, self.cursor, self._place)

    def insert(self, text: str) -> bool:
        """Put text at the cursor; False, and nothing changed, if it is empty or the line would be too long."""
        return text != "" and self._replace(self.cursor, self.cursor, _clean(text))

    def word(self) -> str:
        """What stands between the last white space and the cursor: what complete() will replace."""
        return self.text[self._word_start() : self.cursor]

    def complete(self, candidates: Sequence[str]) -> bool:
        """Replace word() by what all candidates begin with; then, each time, by the next of them.

        While nothing else is done to the line the candidates of the first call are kept and later ones ignored.
        False if nothing changed: no candidates, no room, or the only candidate stands there already.
        """
        start, offers = self._tab or (self._word_start(), [_clean(text) for text in dict.fromkeys(candidates)])
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
        """Put clean text in place of text[start:end], the cursor after it: the only way in which the text changes."""
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
        """The beginning of the run of clusters before index whose base is wanted."""
        while index > 0 and wanted(self.text[self._left(index)]):
            index = self._left(index)
        return index

    def _on(self, index: int, wanted: Callable[[str], bool]) -> int:
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
        if 0 <= place <= len(self._history):
            self._edited[self._place] = self.text
            self._place = place
            draft = self._history[place] if place < len(self._history) else ""
            self._replace(0, len(self.text), self._edited.get(place, draft))

    def _move(self, index: int) -> None:
        self.cursor = index


_KILLS: dict[str, Callable[[InputLine], object]] = {
    "<C-k>": lambda line: line._kill(line.cursor, len(line.text)),
    "<C-u>": lambda line: line._kill(0, line.cursor),
    "<C-w>": lambda line: line._kill(line._back(line._back(line.cursor, str.isspace), _is_solid), line.cursor),
    "<M-d>": lambda line: line._kill(line.cursor, line._word_on()),
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
    "<Up>": lambda line: line._recall(line._place - 1),
    "<Down>": lambda line: line._recall(line._place + 1),
}
_ACTIONS |= {
    "<Left>": _ACTIONS["<C-b>"],
    "<Right>": _ACTIONS["<C-f>"],
    "<Home>": _ACTIONS["<C-a>"],
    "<End>": _ACTIONS["<C-e>"],
    "<Delete>": _ACTIONS["<C-d>"],
}
