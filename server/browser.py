"""browser: what the operator looks at in the live table, and what the keys change about it.

    arrows, PageUp, PageDown, Home, End     choose a name
    Enter                                   all about this name; again or Esc: back
    s                                       another order: as they come, by name, by messages that
                                            wait, by time
    /                                       only names with this in them; Esc: all
    ?                                       these keys

The first order is the table's own (rules/table.py): it costs nothing however long the log is.  For
the others the whole log is looked through, in slices, at most every SEARCH_SECONDS, and FOUND_MAX
names are kept.
"""
from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from rules.owners import Owners
from rules.slices import Slices
from rules.table import Row, Table
from server.frames import status_lines, table_rows
from server.reports import counted
from store.user import User
from terminal.display import clip, display
from terminal.keys import Key, Paste

STEP = 5000             # names in a step of a search: a millisecond
SEARCH_SECONDS = 2.0    # from the end of a search to the next
FOUND_MAX = 5000        # names that a search keeps
FIRST_MAX = 2000        # names of the first order that one can scroll through: 3 ms for a picture
PART_MAX = 32           # characters to look for: a name has no more
ORDERS: dict[str, Callable[[User], Any]] = {
    "": lambda user: 0,
    "name": lambda user: user.name.lower(),
    "waiting": lambda user: (-user.waiting, user.name.lower()),
    "last seen": lambda user: (-user.last_seen, user.name.lower())}
HELP = "arrows choose, Enter tells all, s sorts, / finds, Esc goes back, Ctrl-C stops the daemon"


class Browser:
    """The operator's place in the table."""

    def __init__(self, table: Table, slices: Slices, clock: Callable[[], float]) -> None:
        self.table = table
        self.slices = slices
        self.clock = clock                      # monotonic
        self.order = self.part = ""
        self.is_typing = False                  # what to look for
        self.is_used = False                    # a key was pressed: there is a mark
        self.told: User | None = None           # all about this one is shown
        self.help = ""
        self.top = self.at = 0                  # the first row, and the chosen one, of all
        self._page = 1                          # rows on the screen
        self._shown: list[Row] = []
        self._found: list[User] = []
        self._searched_at = float("-inf")
        self._is_searching = False
        self.is_news = False                    # a search has ended since the last picture

    # ---- keys ----

    def press(self, key: Key) -> None:
        """What this key changes."""
        if isinstance(key, Paste):
            return
        self.is_used, self.help = True, ""
        if self.is_typing:
            self._type(key)
        elif key in MOVES:
            self.at = max(0, self.at + MOVES[key](self._page))
        elif key == "<Enter>":
            self.told = None if self.told else self._chosen()
        elif key == "<Esc>":
            self._back()
        elif key == "s":
            orders = list(ORDERS)
            self._look_for(orders[(orders.index(self.order) + 1) % len(orders)], self.part)
        elif key == "/":
            self.is_typing, self.told = True, None
        elif key == "?":
            self.help = HELP

    def _type(self, key: str) -> None:
        if key == "<Enter>":
            self.is_typing = False
        elif key == "<Esc>":
            self.is_typing = False
            self._look_for(self.order, "")
        elif key in ("<Backspace>", "<C-h>"):
            self._look_for(self.order, self.part[:-1])
        elif len(key) == 1 and key.isprintable() and len(self.part) < PART_MAX:
            self._look_for(self.order, self.part + key.lower())

    def _back(self) -> None:
        if self.told:
            self.told = None
        elif self.part:
            self._look_for(self.order, "")
        else:
            self.top = self.at = 0
            self.is_used = False
            self._look_for("", "")

    def _chosen(self) -> User | None:
        at = self.at - self.top
        return self.table.users[self._shown[at].number] if at < len(self._shown) else None

    # ---- the search ----

    def _look_for(self, order: str, part: str) -> None:
        self.order, self.part = order, part
        self.top = self.at = 0
        self._searched_at = float("-inf")

    def _search(self) -> Iterator[None]:
        """Find the names, in their order."""
        wanted, key = (self.order, self.part), ORDERS[self.order]
        found: list[User] = []
        users, at = self.table.users, 0
        while at < len(users) and wanted == (self.order, self.part):
            some = [user for user in islice(users, at, at + STEP) if self.part in user.name.lower()]
            found = heapq.nsmallest(FOUND_MAX, [*found, *some], key=key)
            at += STEP
            yield
        self._is_searching = False
        if wanted == (self.order, self.part):
            self._found, self._searched_at, self.is_news = found, self.clock(), True

    def look(self) -> None:
        """Before a picture: begin a search that is due."""
        is_due = self.clock() - self._searched_at >= SEARCH_SECONDS
        if (self.order or self.part) and is_due and not self._is_searching:
            self._is_searching = True
            self.slices.begin(self._search())

    # ---- the picture ----

    def title(self) -> str:
        """The line above the table."""
        looks = [f"by {self.order}"] * bool(self.order) + [f"/{self.part}"] * bool(
            self.part or self.is_typing)
        return ", ".join([self.table.title(), *looks]) + "_" * self.is_typing

    def lines(self, size: tuple[int, int], now: int) -> list[str]:
        """The table, or all about one name; `size`: columns and rows of the screen."""
        columns, self._page, self.is_news = size[0], table_rows(size[1]), False
        if self.help:
            return [clip(line, columns) for line in self.help.split(", ")][:self._page + 1]
        if self.told:
            about = self._about(self.told)
            return [clip(f"{what:10} {said}", columns) for what, said in about][:self._page + 2]
        self._shown, more = self._rows()
        chosen = self.at - self.top if self.is_used else -1
        return status_lines(self._shown, more, columns, now, chosen)

    def _rows(self) -> tuple[list[Row], int]:
        """The rows that fit, with the chosen one among them; and how many more there are below."""
        if self.order or self.part:
            total, every = len(self._found), self._found
            self._settle(total)
            rows = [self.table.row(user) for user in every[self.top:self.top + self._page]]
            return rows, total - self.top - len(rows)
        self.at = min(self.at, FIRST_MAX - 1)
        self._settle(self.at + 1)
        rows, more = self.table.rows(self.top + self._page)
        if self.at >= len(rows) and rows:
            self._settle(len(rows))
        return rows[self.top:], more

    def _settle(self, total: int) -> None:
        """Move the chosen row to one that there is, and the screen to where it can be seen."""
        self.at = max(0, min(self.at, total - 1))
        last_page = max(0, total - self._page)
        self.top = max(self.at - self._page + 1, min(self.top, self.at, last_page))

    def _about(self, user: User) -> list[tuple[str, str]]:
        """All that is known of a name, for the operator."""
        row, owner = self.table.row(user), Owners.of(user)
        return [("name", display(row.name)), ("state", display(row.state)),
                ("address", display(row.address) or "-"), ("since", _time(row.since)),
                ("first seen", _time(user.first_seen)), ("last seen", _time(user.last_seen)),
                ("waiting", counted(user.waiting, "message")),
                ("sent", f"{user.sent:.0f} bytes that others have not read"),
                ("owner", "nobody" if owner is None else f"uid {owner}")]


def _time(micros: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(micros / 1e6)) if micros else "never"


MOVES: dict[str, Callable[[int], int]] = {
    "<Up>": lambda page: -1, "<Down>": lambda page: 1, "<PageUp>": lambda page: -page,
    "<PageDown>": lambda page: page, "<Home>": lambda page: -1 << 40,
    "<End>": lambda page: 1 << 40}
