"""pane: the scrollback, everything that was said and told, above the bar.

A Pane holds entries (scrollback.py), the oldest first, and gives the rows that fit a width and a
height.  While a conversation is open, the other entries have no rows.  Rows are made only when they
are about to be seen, and remembered for one width.

The place of reading is an anchor (an entry and one of its rows) or the end, so neither new entries
nor another width move the text that the user reads.  Some rows belong to no entry but stand above
one: the rule of a new day, `-- 2 new --` above the first message that came while nobody looked, and
`-- found, Sat 21 Nov 2026 --`.

Nothing here raises for any text, time or size.  Bad at: one message of 16,384 lines, which is
wrapped whole before it is seen.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

from terminal.display import UNICODE, Ruler
from ui.entries import Entry, Row, fitted, rule
from ui.scrollback import Scrollback, day_of

SMALL = 60              # cells of a row: with fewer, most rows of a table need two or three
ROWS_MAX = 5_000        # rows that are remembered, 2 MB: many screens back and forth


class Rows:
    """The rows of the entries at one width, with the rules above them."""

    def __init__(self, entries: dict[int, Entry], ruler: Ruler) -> None:
        """`entries`: those of the pane, by serial number."""
        self.ruler = ruler
        self.width = 1
        self.new = -1, 0                        # `-- 2 new --`: above which serial, how many
        self.found = -1                         # `-- found --`: above which serial
        self._entries = entries
        self._wanted: Callable[[Entry], bool] | None = None         # what has rows; None: all
        self._made: dict[int, list[Row]] = {}   # by serial number
        self._count = 0                         # of rows made since the last time all were dropped

    def hold(self, entries: dict[int, Entry]) -> None:
        """The entries of the pane, some of which are new above the others."""
        self._entries = entries

    def show_only(self, wanted: Callable[[Entry], bool] | None) -> None:
        """From now on, other entries have no rows."""
        self._wanted = wanted
        self._made.clear()
        self._count = 0

    def fit(self, width: int) -> None:
        """From now on, rows are this wide."""
        if width != self.width:
            self._made.clear()
        self.width = max(1, width)

    def of(self, serial: int) -> list[Row]:
        """The rows of an entry."""
        rows = self._made.get(serial)
        if rows is None:
            if self._count >= ROWS_MAX:
                self._made.clear()
                self._count = 0
            rows = self._made[serial] = self._make(serial)
            self._count += len(rows)
        return rows

    def drop(self, serial: int) -> None:
        """The rows of this entry have changed, or the entry is gone."""
        self._made.pop(serial, None)

    def changed(self, entry: Entry) -> None:
        """The mark or the reason of an entry has changed."""
        for serial in [serial for serial in self._made if self._entries[serial] is entry]:
            del self._made[serial]

    def rule_new(self, above: int, messages: int) -> None:
        """Say above this entry how many messages are new, and nowhere else."""
        self.drop(self.new[0])
        self.drop(above)
        self.new = above, messages

    def rule_found(self, above: int) -> None:
        """Say above this entry, and no other, that it was found."""
        self.drop(self.found)
        self.drop(above)
        self.found = above

    def _make(self, serial: int) -> list[Row]:
        entry, width = self._entries[serial], self.width
        if self._wanted and not self._wanted(entry):
            return []
        above, messages = self.new
        rows = [rule(f"{messages} new", width, "new", self.ruler)] if serial == above else []
        if serial == self.found:
            rows.append(rule(f"found, {day_of(entry)}", width, "new", self.ruler))
        if day := self._day(serial):
            rows.insert(0, rule(day, width, "rule", self.ruler))
        return rows + [fitted(row, width, self.ruler) for row in entry.rows(width, self.ruler)]

    def _day(self, serial: int) -> str:
        """The rule above an entry: the first one of a day that has rows has it."""
        entry = self._entries[serial]
        if self._wanted is None or entry.day:
            return entry.day
        while serial - 1 in self._entries:
            serial -= 1
            if self._wanted(self._entries[serial]):
                return ""
            if self._entries[serial].day:
                return self._entries[serial].day
        return ""


class Pane(Scrollback):
    """The scrollback and the place where it is read."""

    def __init__(self, ruler: Ruler = UNICODE) -> None:
        super().__init__()
        self._rows = Rows(self._entries, ruler)
        self._height = 1                        # of the last view
        # The serial number and the row at the top of the view; None: at the end.
        self._anchor: tuple[int, int] | None = None
        self.unseen = 0     # messages that came since the user looked; the next joins `-- 2 new --`

    # ---- the entries ----

    def add(self, entry: Entry, seen: bool = True) -> None:
        """Append an entry; `seen`: the user looks at the end of the pane now."""
        if entry.counts and not seen:
            above, messages = self._rows.new if self.unseen else (self._next, 0)
            self._rows.rule_new(above, messages + 1)
            self.unseen += 1
        for serial in self.keep(entry):
            self._rows.drop(serial)
            if self._anchor and self._anchor[0] <= serial:
                self._anchor = serial + 1, 0

    def add_above(self, entries: Sequence[Entry]) -> int:
        """Put older entries above all others; the view stays where it is.  Returns how many."""
        top = self.first
        if self._entries and self.at_start:
            self._anchor = top, 0
        done = self.put_above(entries)
        self._rows.hold(self._entries)
        self._rows.drop(top)                    # its day may stand above another entry now
        return done

    def drop_above(self, serial: int) -> None:
        """Take away what stands above the entry with this serial number."""
        for above in [each for each in self._entries if each < serial]:
            self._rows.drop(self._drop(above))
        if top := self._entries.get(self.first):
            top.day = top.day or day_of(top)
            self._rows.drop(self.first)

    def only(self, wanted: Callable[[Entry], bool] | None) -> None:
        """Show only the entries of which this is true, from their end; None: all."""
        self.shown = wanted
        self._rows.show_only(wanted)
        self.to_end()

    def changed(self, entry: Entry) -> None:
        """The mark or the reason of an entry has changed."""
        self._rows.changed(entry)

    def looked(self) -> None:
        """The user looks: what comes unseen after this is counted anew."""
        self.unseen = 0

    # ---- the view ----

    @property
    def ruler(self) -> Ruler:
        """The widths of characters."""
        return self._rows.ruler

    def measure(self, ruler: Ruler) -> None:
        """To be called before the first view: characters are as wide as this ruler says."""
        self._rows.ruler = ruler

    @property
    def at_end(self) -> bool:
        """Whether the view ends with the newest row, and moves on with new ones."""
        return self._anchor is None

    @property
    def at_start(self) -> bool:
        """Whether the view begins with the oldest row."""
        return (self._anchor or self._end()) <= (self.first, 0)

    def view(self, width: int, height: int) -> list[Row]:
        """The rows to show, at most `height`."""
        self._rows.fit(width)
        self._height = max(0, height)
        if height < 1 or not self._entries:
            return []
        rows = self._from(self._anchor or self._end(), height)
        if self._anchor and len(rows) < height:
            self._anchor = None
            rows = self._from(self._end(), height)
        return rows

    def below(self, most: int) -> int:
        """How many rows lie below the last view; `most`, if they are more."""
        if self._anchor is None:
            return 0
        serial, row = self._anchor
        rows = -self._height - row
        while serial < self._next and rows < most:
            rows += len(self._rows.of(serial))
            serial += 1
        return max(0, min(rows, most))

    # ---- moving the view ----

    def scroll(self, rows: int) -> None:
        """Move down by so many rows, or up for a negative number."""
        if self._entries:
            self._move(self._anchor or self._end(), rows)

    def page(self, pages: int) -> None:
        """Move by so many views; two rows stay in sight."""
        self.scroll(pages * max(1, self._height - 2))

    @property
    def is_small(self) -> bool:
        """Whether the last view is too small for long tables; --plain has no view."""
        return 1 < self._rows.width < SMALL

    def to_start(self) -> None:
        """Show the oldest entry."""
        if self._entries:
            self._move((next(iter(self._entries)), 0), 0)

    def to_end(self) -> None:
        """Show the newest row; nothing counts as found any more."""
        self._anchor = None
        self._rows.rule_found(-1)

    def to_last(self, entries: int = 1) -> None:
        """Show the last entries; if they are higher than the view, from the first row on."""
        if self._entries:
            self._move((max(self._next - entries, next(iter(self._entries))), 0), 0)

    def to_new(self) -> None:
        """Show what is new; if it is higher than the view, from its first row on."""
        if self._rows.new[0] in self._entries:
            self._move((self._rows.new[0], 0), 0)

    def find(self, text: str, above: int | None = None) -> int | None:
        """Go to the last entry that holds this text, in any case; `above`: to the last one before
        the entry with that serial number.  Returns the serial number of the entry."""
        wanted, first = text.casefold(), self._next - len(self._entries)
        for serial in range((self._next if above is None else above) - 1, first - 1, -1):
            if self._entries[serial].holds(wanted) and self._rows.of(serial):
                self._rows.rule_found(serial)
                self._move((serial, 0), 0)
                return serial
        return None

    def _move(self, top: tuple[int, int], rows: int) -> None:
        """Let the view begin so many rows below `top`."""
        serial, row = top
        row += rows
        while row < 0 and serial - 1 in self._entries:
            serial -= 1
            row += len(self._rows.of(serial))
        while serial + 1 in self._entries and row >= (size := len(self._rows.of(serial))):
            row -= size
            serial += 1
        self._anchor = serial, max(0, row)
        if self._anchor >= self._end():
            self._anchor = None

    def _end(self) -> tuple[int, int]:
        """The top of the view that ends with the last row."""
        serial, room = self._next, self._height
        while room > 0 and serial - 1 in self._entries:
            serial -= 1
            room -= len(self._rows.of(serial))
        return serial, max(0, -room)

    def _from(self, top: tuple[int, int], height: int) -> list[Row]:
        """The rows of a view with this top."""
        serial, row = top
        rows = self._rows.of(serial)
        rows = rows[min(row, len(rows) - 1):]
        while len(rows) < height and serial + 1 in self._entries:
            serial += 1
            rows = rows + self._rows.of(serial)
        return rows[:height]
