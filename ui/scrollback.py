"""scrollback: the entries that were said and told, as far as they are kept.

An entry has a serial number, which does not change when older entries are dropped, or put above the
others.  There are no gaps.  The oldest go first, when there are too many or they are too long.
Nothing here raises.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ui.entries import DAY, Entry, clock

ENTRIES_MAX = 10_000    # a busy week of a small house; with short messages some 5 MB
BYTES_MAX = 8 << 20     # for the entries: 10,000 of the longest messages would take 640 MB
FIRST = 1 << 32         # the serial number of the first: there is room below for what was before


def day_of(entry: Entry) -> str:
    """The day of an entry, as a rule says it."""
    return clock(entry.time, DAY)


class Scrollback:
    """The entries, by serial number."""

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}    # the oldest first
        self._next = FIRST                      # the serial number of the next entry
        self._total = 0                         # bytes of all entries
        self._day = ""                          # of the last entry
        self._session = ""                      # stands behind the day on the next rule
        self.is_whole = True                    # no entry was dropped
        self.shown: Callable[[Entry], bool] | None = None   # whether an entry is; None: all are

    @property
    def entries(self) -> list[Entry]:
        """All of them, the oldest first."""
        return list(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def first(self) -> int:
        """The serial number of the oldest entry."""
        return next(iter(self._entries), self._next)

    @property
    def is_full(self) -> bool:
        """Whether nothing may be put above the others."""
        return len(self._entries) >= ENTRIES_MAX or self._total > BYTES_MAX

    def keep(self, entry: Entry) -> Iterator[int]:
        """Append an entry.  Returns the serial numbers of those that were dropped for it."""
        if (day := day_of(entry)) != self._day:
            self._day, entry.day, self._session = day, day + self._session, ""
        self._entries[self._next] = entry
        self._next += 1
        self._count(entry)
        while (len(self._entries) > ENTRIES_MAX
               or (self._total > BYTES_MAX and len(self._entries) > 1)):
            yield self._drop(next(iter(self._entries)))
            self.is_whole = False

    def _count(self, entry: Entry) -> None:
        entry.size = entry.measure()
        self._total += entry.size

    def _drop(self, serial: int) -> int:
        self._total -= self._entries.pop(serial).size
        return serial

    def begin_session(self) -> None:
        """What stands here so far was said in earlier sessions: the next entry has a rule."""
        self._day, self._session = "", ", now"

    def put_above(self, entries: Sequence[Entry]) -> int:
        """Put older entries above all others.  Returns how many: the last of them that fit."""
        first = self.first
        above: dict[int, Entry] = {}
        for entry in reversed(entries):
            if len(self._entries) + len(above) >= ENTRIES_MAX or self._total > BYTES_MAX:
                break
            first -= 1
            above[first] = entry
            self._count(entry)
        before = ""
        for serial in sorted(above):
            entry = above[serial]
            if (day := day_of(entry)) != before:
                before = entry.day = day
        top = next(iter(self._entries.values()), None)
        if top is not None and top.day == before:
            top.day = ""
        self._entries = {**dict(sorted(above.items())), **self._entries}
        return len(above)

    def newest(self, wanted: Callable[[Entry], bool]) -> Entry | None:
        """The last entry that is shown and of which this is true."""
        shown = self.shown or (lambda entry: True)
        return next((entry for entry in reversed(self._entries.values())
                     if shown(entry) and wanted(entry)), None)

    def after(self, serial: int) -> tuple[list[Entry], int]:
        """The entries from a serial number on, and the number to ask for next time; 0: from the
        first on."""
        start = max(serial, self._next - len(self._entries))
        return [self._entries[number] for number in range(start, self._next)], self._next
