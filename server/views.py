"""views: what the live table shows, page by page: in the daemon, or over its socket (top.py).

The first order is the table's own (rules/table.py): it costs nothing however long the log is.  For
the others the whole log is looked through, in slices, at most every SEARCH_SECONDS, and FOUND_MAX
names are kept.
"""
from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, Protocol

from rules.owners import Owners
from rules.slices import Slices
from rules.table import Row, Table
from server.reports import counted
from store.user import User
from terminal.display import display

STEP = 5000             # names in a step of a search: a millisecond
SEARCH_SECONDS = 2.0    # from the end of a search to the next
FOUND_MAX = 5000        # names that a search keeps
FIRST_MAX = 2000        # names of the first order that one can scroll through: 3 ms for a picture
ORDERS: dict[str, Callable[[User], Any]] = {
    "": lambda user: 0,
    "name": lambda user: user.name.lower(),
    "waiting": lambda user: (-user.waiting, user.name.lower()),
    "last seen": lambda user: (-user.last_seen, user.name.lower())}


class Wanted(NamedTuple):
    """What the operator wants to see: an order, and what is in the names."""
    order: str = ""
    part: str = ""

    @property
    def is_first(self) -> bool:
        """The table's own order, all names."""
        return not (self.order or self.part)


class Page(NamedTuple):
    """Some rows of it."""
    rows: list[Row]
    more: int           # names below these rows
    end: int            # rows that one can scroll through


class View(Protocol):
    """Where the pages come from."""
    is_news: bool       # the next page may show something else

    def title(self) -> str:
        """How many are here, in one line."""

    def look(self, wanted: Wanted) -> None:
        """Before a picture: begin a search that is due."""

    def page(self, wanted: Wanted, first: int, most: int) -> Page:
        """So many rows, from this one on."""

    def about(self, number: int) -> list[tuple[str, str]]:
        """All that is known of a name, for the operator."""


def find(users: Sequence[User], wanted: Wanted, is_wanted: Callable[[], bool] = lambda: True
         ) -> Generator[None, None, list[User]]:
    """The names, in their order; ends early if they are not wanted any more."""
    found: list[User] = []
    at, key = 0, ORDERS[wanted.order]
    while at < len(users) and is_wanted():
        some = [user for user in islice(users, at, at + STEP) if wanted.part in user.name.lower()]
        found = heapq.nsmallest(FOUND_MAX, [*found, *some], key=key)
        at += STEP
        yield
    return found


def first_page(table: Table, first: int, most: int) -> Page:
    """A page of the table's own order."""
    rows, more = table.rows(min(first + most, FIRST_MAX))
    return Page(rows[first:], more, table.most(FIRST_MAX))


def found_page(table: Table, found: Sequence[User], first: int, most: int) -> Page:
    """A page of what a search has found."""
    rows = [table.row(user) for user in found[first:first + most]]
    return Page(rows, max(0, len(found) - first - len(rows)), len(found))


class Here:
    """The pages of the daemon's own terminal."""

    def __init__(self, table: Table, slices: Slices, clock: Callable[[], float]) -> None:
        self.table = table
        self.slices = slices
        self.clock = clock                      # monotonic
        self.is_news = False                    # a search has ended since the last page
        self.title = table.title
        self._wanted = Wanted()
        self._found: list[User] = []
        self._searched_at = float("-inf")
        self._is_searching = False

    def look(self, wanted: Wanted) -> None:
        if wanted != self._wanted:
            self._wanted, self._searched_at = wanted, float("-inf")
        is_due = self.clock() - self._searched_at >= SEARCH_SECONDS
        if not wanted.is_first and is_due and not self._is_searching:
            self._is_searching = True
            self.slices.begin(self._search(wanted))

    def _search(self, wanted: Wanted) -> Iterator[None]:
        found = yield from find(self.table.users, wanted, lambda: wanted == self._wanted)
        self._is_searching = False
        if wanted == self._wanted:
            self._found, self._searched_at, self.is_news = found, self.clock(), True

    def page(self, wanted: Wanted, first: int, most: int) -> Page:
        self.is_news = False
        if wanted.is_first:
            return first_page(self.table, first, most)
        return found_page(self.table, self._found, first, most)

    def about(self, number: int) -> list[tuple[str, str]]:
        return about(self.table, self.table.users[number])


def about(table: Table, user: User) -> list[tuple[str, str]]:
    """All that is known of a name, for the operator."""
    row, owner = table.row(user), Owners.of(user)
    return [("name", display(row.name)), ("state", display(row.state)),
            ("address", display(row.address) or "-"), ("since", _time(row.since)),
            ("first seen", _time(user.first_seen)), ("last seen", _time(user.last_seen)),
            ("waiting", counted(user.waiting, "message")),
            ("sent", f"{user.sent:.0f} bytes that others have not read"),
            ("owner", "nobody" if owner is None else f"uid {owner}")]


def _time(micros: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(micros / 1e6)) if micros else "never"
