"""overview: the live table, for an operator who is not at the daemon's own terminal (top.py).

The order `table` brings a page of it: an order of the names and what is in them (views.py), the
first row and how many.  With the number of a name it brings all that is known of that one.
"""
from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

from rules.table import Table
from server.console import Console
from server.views import ORDERS, Page, Wanted, about, find, first_page, found_page

ROWS_MAX = 1000         # of one page: more than any terminal shows
EVENTS_MAX = 50         # of each kind, below the table

Order = Generator[None, None, object]


class Unable(Exception):
    """An order that is not carried out: an exit code of sysexits(3), and a line that says why."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Overview:
    """What the table shows now."""

    def __init__(self, table: Table, console: Console) -> None:
        self.table, self.console = table, console

    def page(self, order: str = "", part: str = "", first: str = "0", most: str = "20",
             number: str = "") -> Order:
        """A page, the title above it, and what went wrong."""
        console, users = self.console, self.table.users
        told: dict[str, Any] = {
            "title": self.table.title(), "refused": console.refusals.total,
            "cut": console.cuts.total, "events": events(console)}
        if number:
            at = number_of(number)
            return told | {"about": about(self.table, users[at]) if at < len(users) else []}
        wanted, at, rows = Wanted(order, part.lower()), number_of(first), number_of(most)
        if order not in ORDERS:
            raise Unable(os.EX_USAGE, f"wrong arguments: {order!r} is no order of the table")
        yield
        page = yield from self._page(wanted, at, min(rows, ROWS_MAX))
        return told | page._asdict()

    def _page(self, wanted: Wanted, first: int, most: int) -> Generator[None, None, Page]:
        if wanted.is_first:
            return first_page(self.table, first, most)
        found = yield from find(self.table.users, wanted)
        return found_page(self.table, found, first, most)


def events(console: Console) -> list[tuple[int, str]]:
    """Who was put out, and why; the last is the last."""
    return [(cut.time, f"{cut.name} ({cut.login}) was put out: {cut.reason}")
            for cut in list(console.cuts.last)[-EVENTS_MAX:]]


def number_of(text: str) -> int:
    """A number among the arguments of an order.  Raises Unable."""
    if not (text.isascii() and text.isdigit()):
        raise Unable(os.EX_USAGE, f"wrong arguments: {text!r} is no number")
    return int(text)
