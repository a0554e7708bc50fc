"""entries: what the scrollback holds, and the rows that show it.

An entry is a message, a line of a chat, or a note.  It gives the rows that it needs at a width;
each row is a tuple of (text, style) runs and no wider than asked.  Foreign text may be given as it
came: it is made safe here, when the rows are made.

No text can forge a row, at any width.  The rows of an entry are: the head, which begins with the
time; the items of a table; the `! reason` of the user's own message.  Every other row begins with a
gutter (display.py), and so do the further rows of a head that is too wide for one.  Text that
stands on the row of a head stands behind the head.

Nothing here raises for any text, time or size.
"""
from __future__ import annotations

import re
from datetime import datetime
from sys import getsizeof
from typing import NamedTuple, TypeAlias
from zlib import crc32

from terminal.display import Ruler, display, gutter

Run: TypeAlias = tuple[str, str]        # a text and the name of its style
Row: TypeAlias = tuple[Run, ...]

NAME_COLOURS = 6        # what every terminal with colours has, besides black and white
HEAD = 18               # cells for `bob > you`, where there is room for columns
COLUMNS_FROM = 72       # cells; on a narrower screen the text follows the names at once
TABLE_LONG = 10         # a table with more rows is set in several columns
BODY_MIN = 12           # cells that a text needs beside its names, or it starts a row of its own
LINES_MAX = 4096        # lines of one text that are shown: no page has more
ENTRY_SIZE = 400        # bytes of an entry besides its text
ITEM_SIZE = 220         # bytes of a row of a table; a text in it counts for itself

DAY = "%a %-d %b %Y"
SENT, STORED, DELIVERED, REFUSED = ".=+!"
# names, how many more, and where
_COUNTED = re.compile(r"(.*?)(?: \+(\d{1,9}))?( \(chat\))?", re.DOTALL)


def clock(time: int, form: str = "%H:%M") -> str:
    """Microseconds since 1970 as local time; question marks for a time that no clock has."""
    try:
        return datetime.fromtimestamp(time // 1_000_000).strftime(form)
    except (ValueError, OverflowError, OSError):
        return "??:??"


def name_style(name: str) -> str:
    """The style of a name: the same in every client, in every run."""
    return f"name{crc32(name.lower().encode(errors='replace')) % NAME_COLOURS}"


# ---- the kinds of entries ----

class Entry:
    """What all entries have."""
    __slots__ = ("day", "place", "size", "text", "time")
    counts = False                  # whether `-- 2 new --` counts it

    def __init__(self, time: int, text: str) -> None:
        self.time = time            # microseconds since 1970
        self.text = text
        self.day = ""               # the rule above it, if it begins a day
        self.size = 0               # bytes that the pane counts for it
        self.place: str | None = None       # the conversation where it is shown; None: everywhere

    def measure(self) -> int:
        """Bytes that it takes in memory."""
        return ENTRY_SIZE + getsizeof(self.text)

    def rows(self, width: int, ruler: Ruler) -> list[Row]:
        """Its rows, each at most `width` cells wide."""
        raise NotImplementedError

    def lines(self) -> list[str]:
        """Its lines for --plain, not yet safe: printer.line() makes them so."""
        raise NotImplementedError

    def holds(self, wanted: str) -> bool:
        """Whether the entry has this text, which is given in small letters."""
        return wanted in self.text.casefold()

    def stamp(self) -> Run:
        """The time at the beginning of its first row."""
        return clock(self.time) + " ", "time"


class Note(Entry):
    """A word of the client or the daemon:
    `14:05 * carol is not connected: kept in the mailbox`."""
    __slots__ = ("style",)

    def __init__(self, time: int, text: str, style: str = "notice") -> None:
        super().__init__(time, text)
        self.style = style

    def rows(self, width: int, ruler: Ruler) -> list[Row]:
        return hang((self.stamp(), ("* ", self.style)), self.text, self.style, min(8, width // 5),
                    width, ruler)

    def lines(self) -> list[str]:
        return [f"{clock(self.time)} * {self.text}"]


class Said(Entry):
    """A message: `14:02 you > bob         + bay 3, second drawer`."""
    __slots__ = ("mark", "others", "reason", "sender", "style", "to")
    counts = True

    def __init__(self, time: int, text: str, sender: str, to: str, mark: str = "",
                 reason: str = "", style: str = "", others: tuple[str, ...] = ()) -> None:
        super().__init__(time, text)
        self.sender, self.to = sender, to
        self.others = others        # the other users in it, the sender first, or the room
        self.mark = mark            # of the user's own: SENT, STORED, DELIVERED or REFUSED
        self.reason = reason        # why it was refused
        self.style = style          # of the names

    def measure(self) -> int:
        return super().measure() + getsizeof(self.to) + sum(map(getsizeof, self.others))

    @property
    def is_vague(self) -> bool:
        """Whether it went to others who are not named."""
        found = _COUNTED.fullmatch(self.to)
        return bool(found and found[2])

    def rows(self, width: int, ruler: Ruler) -> list[Row]:
        mark = self.mark, "alert" if self.mark == REFUSED else "mark"
        names = self._names(width // 2, ruler)
        if width >= COLUMNS_FROM:
            padded = ruler.pad(names, max(HEAD, ruler.width(names) + 1))
            head: Row = (self.stamp(), (padded, self.style), mark, (" " if self.mark else "  ", ""))
            indent = 6 + HEAD + 2
        else:
            head = (self.stamp(), (names + " ", self.style), mark, (" " if self.mark else "", ""))
            indent = min(6, width // 6)
        return (hang(head, self.text, "", indent, width, ruler)
                + _reason(self.reason, indent, width, ruler))

    def _names(self, room: int, ruler: Ruler) -> str:
        """`dave > you, carol +3`: as many names as there is room for, and how many more."""
        sender, to = f"{display(self.sender)} > ", display(self.to)
        found = _COUNTED.fullmatch(to)
        assert found is not None            # the pattern matches every string
        names, others = found[1].split(", "), int(found[2] or 0)
        while len(names) > 1 and ruler.width(sender + to) > room:
            names.pop()
            others += 1
            to = f"{', '.join(names)} +{others}{found[3] or ''}"
        return sender + to

    def lines(self) -> list[str]:
        mark, reason = (f" {part}" if part else "" for part in (self.mark, display(self.reason)))
        return [f"{clock(self.time)} {display(self.sender)} > {display(self.to)}{mark}{reason}: "
                f"{self.text}"]


class Spoken(Entry):
    """A line of a chat: `14:09 bob: which drawer was it?`"""
    __slots__ = ("reason", "sender")
    counts = True

    def __init__(self, time: int, text: str, sender: str, reason: str = "") -> None:
        super().__init__(time, text)
        self.sender = sender
        self.reason = reason        # why it did not reach the others

    def rows(self, width: int, ruler: Ruler) -> list[Row]:
        indent = min(6, width // 6)
        head = (self.stamp(), (display(self.sender) + ":", name_style(self.sender)), (" ", ""))
        return (hang(head, self.text, "", indent, width, ruler)
                + _reason(self.reason, indent, width, ruler))

    def lines(self) -> list[str]:
        reason = f" ! {display(self.reason)}" if self.reason else ""
        return [f"{clock(self.time)} {display(self.sender)}: {self.text}{reason}"]


class Settled(NamedTuple):
    """What became of something that the user said, or what a line says now.  The entry may have
    changed again since."""
    entry: Said | Spoken | Note
    mark: str
    reason: str = ""                # why it was refused; of a line its text


class Listing(Note):
    """A note with rows of two columns below it; if the rows are many and there is room, several
    of them stand beside each other.  A further part of a table has no note."""
    __slots__ = ("beside", "items", "widest")

    def __init__(self, time: int, text: str, items: list[tuple[str, str]],
                 beside: bool = True, whole: list[tuple[str, str]] | None = None) -> None:
        """`whole`: the table that these rows are a part of."""
        super().__init__(time, text)
        self.items = items
        self.widest = whole or items        # whose columns it has
        self.beside = beside        # rows may stand beside each other

    def measure(self) -> int:
        return super().measure() + sum(ITEM_SIZE + getsizeof(word) for _, word in self.items)

    def rows(self, width: int, ruler: Ruler) -> list[Row]:
        rows = super().rows(width, ruler) if self.text else []
        indent = min(8, width // 5)
        first = max(8, max((ruler.width(item) for item, _ in self.widest), default=0)) + 1
        if first > width // 3:          # no room for columns
            return rows + [row for item, word in self.items
                           for row in hang((("  ", ""),), f"{item}  {word}", "", indent, width,
                                           ruler)]
        cell = first + max((ruler.width(word) for _, word in self.widest), default=0) + 3
        several = self.beside and len(self.widest) > TABLE_LONG
        across = max(1, (width - indent) // cell) if several else 1
        for at in range(0, len(self.items), across):
            row: list[Run] = [(" " * indent, "")]
            for item, word in self.items[at:at + across]:
                row += [(ruler.pad(item, first), self.style), (ruler.pad(word, cell - first), "")]
            rows += _wrapped(row, first + indent, width, ruler) if across == 1 else [tuple(row)]
        return rows

    def holds(self, wanted: str) -> bool:
        return super().holds(wanted) or any(wanted in f"{item} {word}".casefold()
                                            for item, word in self.items)

    def lines(self) -> list[str]:
        head = super().lines() if self.text else []
        return head + [f"  {item:8} {word}" for item, word in self.items]


# ---- rows ----

def hang(head: Row, text: str, style: str, indent: int, width: int, ruler: Ruler) -> list[Row]:
    """The rows of a head and a text: the text begins beside the head and goes on below it, behind a
    gutter.  If the head leaves too little room, it has rows of its own."""
    text, under = display(_few_lines(text), multiline=True), gutter(indent)
    room, rest = width - sum(ruler.width(run) for run, _ in head), width - len(under)
    rows: list[Row] = []
    alone = "".join(run for run, _ in head).rstrip()
    if alone and room < min(BODY_MIN, ruler.width(text)):
        rows = [((row, head[-1][1]),) for row in ruler.wrap(alone, width, rest)]
        head, room = (), rest
    rows += [((row, style),) for row in ruler.wrap(text, room, rest)]
    return [(*head, *rows[0]), *(((under, "gutter"), *row) for row in rows[1:])]


def _few_lines(text: str) -> str:
    """The text, or its first LINES_MAX lines and how many more there are."""
    if (more := text.count("\n") - LINES_MAX) <= 0:
        return text
    return "\n".join([*text.split("\n", LINES_MAX)[:-1], f"({more + 1} more lines)"])


def _reason(reason: str, indent: int, width: int, ruler: Ruler) -> list[Row]:
    """The rows of `! reason` below a text."""
    if not reason:
        return []
    return hang(((" " * indent, ""),), "! " + reason, "alert", indent, width, ruler)


def _wrapped(row: list[Run], indent: int, width: int, ruler: Ruler) -> list[Row]:
    """A row of a table whose last run may need more rows."""
    text, style = row[-1]
    return hang(tuple(row[:-1]), text.rstrip(), style, indent, width, ruler)


def rule(text: str, width: int, style: str, ruler: Ruler, fill: str = "-") -> Row:
    """A row ruled across: `-- 2 new -----`."""
    text = ruler.clip(f"{fill * 2} {text} ", width)
    return ((text + fill * (width - ruler.width(text)), style),)


def fitted(row: Row, width: int, ruler: Ruler) -> Row:
    """A row without empty runs, cut at `width` cells."""
    kept, used = [], 0
    for text, style in row:
        if text := ruler.clip(text, width - used):
            kept.append((text, style))
            used += ruler.width(text)
    return tuple(kept)
