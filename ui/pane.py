"""pane: the scrollback, everything that was said and told, above the bar.

A Pane holds entries: mail, chat lines and notices, oldest first.  It gives the rows that fit a width and a height,
each row a tuple of (text, style) runs no wider than asked.  Foreign text may be given as it came: it is made safe
here, when its rows are made.  Rows are wrapped only when they are about to be seen, and remembered for one width.

The place of reading is an anchor (entry, row of it) or the end, so that neither new entries nor another width move
what is being read.  Two kinds of rows belong to no entry of their own but stand above one: the rule of a new day, and
`-- 2 new --` above the first message that came while nobody looked.

No text can forge a row, at any width.  The rows of an entry are: the head, which begins with the time;
the items of a table; the `! reason` of a message of one's own.  Every other row begins with a gutter
(display.py), and so do the further rows of a head that is too wide for one.  The text that stands on
the row of a head stands behind the head.

Nothing here raises for any text, time or size.  Bad at: one message of 16,384 lines, wrapped whole before it is seen.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias
from zlib import crc32

from terminal.display import UNICODE, Ruler, display, gutter

Run: TypeAlias = tuple[str, str]        # text and the name of its style
Row: TypeAlias = tuple[Run, ...]

ENTRIES_MAX = 10_000    # a busy week of a small house; with short messages some 5 MB
TEXT_TOTAL_MAX = 4 * 1024 * 1024    # characters: 10,000 messages of the longest would take 160 MB
WRAPPED_MAX = 2_000     # entries whose rows are remembered: many screens of scrolling back and forth
NAME_COLOURS = 6        # what every terminal with colours has, without black and white
HEAD = 18               # cells for `bob > you`, where there is room for columns
COLUMNS_FROM = 72       # narrower than this, the text follows the names at once
TABLE_LONG = 10         # rows of a table from which on it is set in several columns
BODY_MIN = 12           # cells that a text needs beside its names; with less it starts a row of its own

SENT, STORED, DELIVERED, REFUSED = ".=+!"


def clock(time: int, form: str = "%H:%M") -> str:
    """Microseconds since 1970 as local time; a time out of all bounds gives question marks."""
    try:
        return datetime.fromtimestamp(time // 1_000_000).strftime(form)
    except (ValueError, OverflowError, OSError):
        return "??:??"


def name_style(name: str) -> str:
    """The style of a name: the same in every client, in every run."""
    return f"name{crc32(name.lower().encode(errors='replace')) % NAME_COLOURS}"


@dataclass(slots=True, eq=False)
class Entry:
    """What all entries have."""
    time: int                       # microseconds since 1970
    text: str
    day: str = field(default="", init=False)        # the rule above it, when it begins a day
    counts = False                  # whether it is a message, for `-- 2 new --`

    def rows(self, width: int, ruler: Ruler) -> list[Row]:
        """Its rows, each at most width cells wide."""
        raise NotImplementedError

    def lines(self) -> list[str]:
        """The same for --plain, raw: printer.line() makes each of them safe."""
        raise NotImplementedError

    def holds(self, wanted: str) -> bool:
        """Whether this stands in it, in small letters."""
        return wanted in self.text.casefold()

    def stamp(self) -> Run:
        return clock(self.time) + " ", "time"


@dataclass(slots=True, eq=False)
class Notice(Entry):
    """A word from the client or the daemon: `14:05 * carol is not connected: kept in the mailbox`."""
    style: str = "notice"

    def rows(self, width: int, ruler: Ruler) -> list[Row]:
        return hang((self.stamp(), ("* ", self.style)), self.text, self.style, min(8, width // 5), width, ruler)

    def lines(self) -> list[str]:
        return [f"{clock(self.time)} * {self.text}"]


@dataclass(slots=True, eq=False)
class Said(Entry):
    """A message: `14:02 you > bob         + bay 3, second drawer`."""
    sender: str
    to: str
    mark: str = ""                  # of one's own: SENT, STORED, DELIVERED or REFUSED
    reason: str = ""                # why it was refused
    style: str = ""                 # of the names
    counts = True

    def rows(self, width: int, ruler: Ruler) -> list[Row]:
        style, mark = self.style, (self.mark, "alert" if self.mark == REFUSED else "mark")
        names = f"{display(self.sender)} > {display(self.to)}"
        if width >= COLUMNS_FROM:
            head: Row = (self.stamp(), (ruler.pad(names, max(HEAD, ruler.width(names) + 1)), style), mark,
                         (" " if self.mark else "  ", ""))
            indent = 6 + HEAD + 2
        else:
            head = (self.stamp(), (names + " ", style), mark, (" " if self.mark else "", ""))
            indent = min(6, width // 6)
        rows = hang(head, self.text, "", indent, width, ruler)
        if self.reason:
            rows += hang(((" " * indent, ""),), "! " + self.reason, "alert", indent, width, ruler)
        return rows

    def lines(self) -> list[str]:
        mark, reason = (f" {part}" if part else "" for part in (self.mark, display(self.reason)))
        return [f"{clock(self.time)} {display(self.sender)} > {display(self.to)}{mark}{reason}: {self.text}"]


@dataclass(slots=True, eq=False)
class Spoken(Entry):
    """A line of a chat: `14:09 bob: which drawer was it?`"""
    sender: str
    reason: str = ""                # why it did not reach the others
    counts = True

    def rows(self, width: int, ruler: Ruler) -> list[Row]:
        indent = min(6, width // 6)
        head = (self.stamp(), (display(self.sender) + ":", name_style(self.sender)), (" ", ""))
        rows = hang(head, self.text, "", indent, width, ruler)
        if self.reason:
            rows += hang(((" " * indent, ""),), "! " + self.reason, "alert", indent, width, ruler)
        return rows

    def lines(self) -> list[str]:
        reason = f" ! {display(self.reason)}" if self.reason else ""
        return [f"{clock(self.time)} {display(self.sender)}: {self.text}{reason}"]


@dataclass(slots=True, eq=False)
class Table(Notice):
    """A notice with rows of two columns below it, side by side where they are many and there is room."""
    items: list[tuple[str, str]] = field(default_factory=list)
    beside: bool = True             # rows may stand beside each other

    def rows(self, width: int, ruler: Ruler) -> list[Row]:
        rows = Notice.rows(self, width, ruler)
        indent = min(8, width // 5)
        first = max(8, max((ruler.width(item) for item, _ in self.items), default=0)) + 1
        if first > width // 3:          # no room for columns
            return rows + [row for item, word in self.items
                           for row in hang((("  ", ""),), f"{item}  {word}", "", indent, width, ruler)]
        cell = first + max((ruler.width(word) for _, word in self.items), default=0) + 3
        across = max(1, (width - indent) // cell) if self.beside and len(self.items) > TABLE_LONG else 1
        for at in range(0, len(self.items), across):
            row: list[Run] = [(" " * indent, "")]
            for item, word in self.items[at:at + across]:
                row += [(ruler.pad(item, first), self.style), (ruler.pad(word, cell - first), "")]
            rows += _rows_of(row, first + indent, width, ruler) if across == 1 else [tuple(row)]
        return rows

    def holds(self, wanted: str) -> bool:
        return Notice.holds(self, wanted) or any(wanted in f"{item} {word}".casefold() for item, word in self.items)

    def lines(self) -> list[str]:
        return [*Notice.lines(self), *(f"  {item:8} {word}" for item, word in self.items)]


def _rows_of(row: list[Run], indent: int, width: int, ruler: Ruler) -> list[Row]:
    """A row of a table whose last run may need more rows."""
    text, style = row[-1]
    return hang(tuple(row[:-1]), text.rstrip(), style, indent, width, ruler)


def hang(head: Row, text: str, style: str, indent: int, width: int, ruler: Ruler) -> list[Row]:
    """The rows of a head and a text: the text begins beside the head and goes on below it, behind a
    gutter.  A head that leaves too little room has rows of its own."""
    text, under = display(text, multiline=True), gutter(indent)
    room, rest = width - sum(ruler.width(run) for run, _ in head), width - len(under)
    rows: list[Row] = []
    alone = "".join(run for run, _ in head).rstrip()
    if alone and room < min(BODY_MIN, ruler.width(text)):
        rows = [((row, head[-1][1]),) for row in ruler.wrap(alone, width, rest)]
        head, room = (), rest
    rows += [((row, style),) for row in ruler.wrap(text, room, rest)]
    return [(*head, *rows[0]), *(((under, "gutter"), *row) for row in rows[1:])]


def rule(text: str, width: int, style: str, ruler: Ruler, fill: str = "-") -> Row:
    """A row ruled across: `-- 2 new -----`."""
    text = ruler.clip(f"{fill * 2} {text} ", width)
    return ((text + fill * (width - ruler.width(text)), style),)


class Pane:
    """The scrollback and the place where it is read."""

    def __init__(self, ruler: Ruler = UNICODE) -> None:
        self.ruler = ruler
        self._entries: dict[int, Entry] = {}    # by serial number, without gaps
        self._next = 0
        self._total = 0                         # characters held
        self._day = ""
        self._wrapped: dict[int, list[Row]] = {}
        self._width = self._height = 1          # of the last view
        self._anchor: tuple[int, int] | None = None     # serial and row at the top of the view; None: at the end
        self._new = (-1, 0)                     # `-- 2 new --`: above which serial, how many
        self._absent = False                    # whether the next unseen message still belongs to it
        self._found = -1                        # `-- found --`: above which serial

    # What is in it

    @property
    def entries(self) -> list[Entry]:
        return list(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry, seen: bool = True) -> None:
        """Append an entry; `seen` says whether somebody looks at the end of the pane now."""
        day = clock(entry.time, "%a %-d %b %Y")
        if day != self._day:
            self._day = entry.day = day
        if entry.counts and not seen:
            self._unseen()
        self._entries[self._next] = entry
        self._next += 1
        self._total += len(entry.text)
        while len(self._entries) > ENTRIES_MAX or (self._total > TEXT_TOTAL_MAX and len(self._entries) > 1):
            self._forget()

    def after(self, serial: int) -> tuple[list[Entry], int]:
        """The entries from a serial number on, and the number to ask for next time."""
        start = max(serial, self._next - len(self._entries))
        return [self._entries[number] for number in range(start, self._next)], self._next

    def changed(self, entry: Entry) -> None:
        """An entry's mark or reason is another now."""
        for serial in [serial for serial in self._wrapped if self._entries[serial] is entry]:
            del self._wrapped[serial]

    def looked(self) -> None:
        """Somebody looks: what comes unseen after this is a new absence."""
        self._absent = False

    def _unseen(self) -> None:
        above, count = self._new
        if not self._absent:
            self._wrapped.pop(above, None)
            above, count = self._next, 0
        self._wrapped.pop(above, None)
        self._new, self._absent = (above, count + 1), True

    def _forget(self) -> None:
        serial = next(iter(self._entries))
        self._total -= len(self._entries.pop(serial).text)
        self._wrapped.pop(serial, None)
        if self._anchor and self._anchor[0] <= serial:
            self._anchor = serial + 1, 0

    # What is seen of it

    @property
    def at_end(self) -> bool:
        return self._anchor is None

    def view(self, width: int, height: int) -> list[Row]:
        """The rows to show, at most height."""
        self._resize(width, height)
        if height < 1 or not self._entries:
            return []
        rows = self._from(self._anchor or self._end(), height)
        if self._anchor and len(rows) < height:
            self._anchor = None
            rows = self._from(self._end(), height)
        return rows

    def below(self) -> int:
        """How many entries are not, or not wholly, in view below the last view."""
        if self._anchor is None:
            return 0
        serial, row = self._anchor
        left = self._height + row
        while serial < self._next and left >= (size := len(self._rows(serial))):
            left -= size
            serial += 1
        return self._next - serial

    def scroll(self, rows: int) -> None:
        """Move the view down, or up for a negative number."""
        if self._entries:
            self._move(self._anchor or self._end(), rows)

    def page(self, pages: int) -> None:
        """Move by what is in view, less a row to hold on to."""
        self.scroll(pages * max(1, self._height - 2))

    def to_end(self) -> None:
        self._anchor = None
        self._rule_above(-1)

    def to_start(self) -> None:
        if self._entries:
            self._move((next(iter(self._entries)), 0), 0)

    def to_last(self) -> None:
        """Show the last entry from its first row on, if it does not fit a view."""
        if self._entries:
            self._move((self._next - 1, 0), 0)

    def find(self, text: str, above: int | None = None) -> int | None:
        """Go to the last entry that holds this text, whatever its case, above the one with that serial if it is given;
        its serial."""
        wanted, first = text.casefold(), self._next - len(self._entries)
        for serial in range((self._next if above is None else above) - 1, first - 1, -1):
            if self._entries[serial].holds(wanted):
                self._rule_above(serial)
                self._move((serial, 0), 0)
                return serial
        return None

    def _rule_above(self, found: int) -> None:
        """This entry was found, and no other."""
        for changed in self._found, found:
            self._wrapped.pop(changed, None)
        self._found = found

    def to_new(self) -> None:
        """Show what is new from its first row on, if that does not fit a view."""
        if self._new[0] in self._entries:
            self._move((self._new[0], 0), 0)

    def _resize(self, width: int, height: int) -> None:
        if width != self._width:
            self._wrapped.clear()
        self._width, self._height = max(1, width), max(0, height)

    def _move(self, top: tuple[int, int], rows: int) -> None:
        serial, row = top
        row += rows
        while row < 0 and serial - 1 in self._entries:
            serial -= 1
            row += len(self._rows(serial))
        while serial + 1 in self._entries and row >= (size := len(self._rows(serial))):
            row -= size
            serial += 1
        self._anchor = serial, max(0, row)
        if self._anchor >= self._end():
            self._anchor = None

    def _end(self) -> tuple[int, int]:
        """The top of the view that ends with the last row."""
        serial, left = self._next, self._height
        while left > 0 and serial - 1 in self._entries:
            serial -= 1
            left -= len(self._rows(serial))
        return serial, max(0, -left)

    def _from(self, top: tuple[int, int], height: int) -> list[Row]:
        serial, row = top
        rows = self._rows(serial)
        rows = rows[min(row, len(rows) - 1):]
        while len(rows) < height and serial + 1 in self._entries:
            serial += 1
            rows = rows + self._rows(serial)
        return rows[:height]

    def _rows(self, serial: int) -> list[Row]:
        rows = self._wrapped.get(serial)
        if rows is None:
            if len(self._wrapped) >= WRAPPED_MAX:
                self._wrapped.clear()
            rows = self._wrapped[serial] = self._wrap(serial)
        return rows

    def _wrap(self, serial: int) -> list[Row]:
        entry, width = self._entries[serial], self._width
        above, count = self._new
        rows = [rule(f"{count} new", width, "new", self.ruler)] if serial == above else []
        if serial == self._found:
            rows.append(rule("found", width, "new", self.ruler))
        if entry.day:
            rows.insert(0, rule(entry.day, width, "rule", self.ruler))
        return rows + [fitted(row, width, self.ruler) for row in entry.rows(width, self.ruler)]


def fitted(row: Row, width: int, ruler: Ruler) -> Row:
    """A row without empty runs, cut at width."""
    kept, used = [], 0
    for text, style in row:
        if text := ruler.clip(text, width - used):
            kept.append((text, style))
            used += ruler.width(text)
    return tuple(kept)
