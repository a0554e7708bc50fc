"""browser: what the operator looks at in the live table, and what the keys change about it.

    arrows, PageUp, PageDown, Home, End     choose a name
    Enter                                   all about this name; again or Esc: back
    s                                       another order: as they come, by name, by messages that
                                            wait, by time
    /                                       only names with this in them; Esc: all
    ?                                       these keys

A View has the names: the daemon's own (views.py), or one over its socket (top.py).
"""
from __future__ import annotations

from collections.abc import Callable

from rules.table import Row
from server.frames import status_lines, table_rows
from server.views import ORDERS, View, Wanted
from terminal.display import clip
from terminal.keys import Key, Paste

PART_MAX = 32           # characters to look for: a name has no more
LOOKS = 3               # at pages for one picture: End goes to where the last row may be
HELP = "arrows choose, Enter tells all, s sorts, / finds, Esc goes back, "


class Browser:
    """The operator's place in the table.  `stop`: what Ctrl-C does here, in words."""

    def __init__(self, view: View, stop: str = "Ctrl-C stops the daemon") -> None:
        self.view = view
        self.stop = stop
        self.wanted = Wanted()
        self.is_typing = False                  # what to look for
        self.is_used = False                    # a key was pressed: there is a mark
        self.told: Row | None = None            # all about this one is shown
        self._is_asked = False                  # all about the chosen one, at the next picture
        self.help = ""
        self.top = self.at = 0                  # the first row, and the chosen one, of all
        self._page = self._end = 1              # rows on the screen, and in all
        self._shown: list[Row] = []

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
            self.told, self._is_asked = None, self.told is None
        elif key == "<Esc>":
            self._back()
        elif key == "s":
            orders = list(ORDERS)
            following = orders[(orders.index(self.wanted.order) + 1) % len(orders)]
            self._want(self.wanted._replace(order=following))
        elif key == "/":
            self.is_typing, self.told = True, None
        elif key == "?":
            self.help = HELP + self.stop

    def _type(self, key: str) -> None:
        part = self.wanted.part
        if key == "<Enter>":
            self.is_typing = False
        elif key == "<Esc>":
            self.is_typing = False
            self._want(self.wanted._replace(part=""))
        elif key in ("<Backspace>", "<C-h>"):
            self._want(self.wanted._replace(part=part[:-1]))
        elif len(key) == 1 and key.isprintable() and len(part) < PART_MAX:
            self._want(self.wanted._replace(part=part + key.lower()))

    def _back(self) -> None:
        if self.told:
            self.told = None
        elif self.wanted.part:
            self._want(self.wanted._replace(part=""))
        else:
            self.is_used = False
            self._want(Wanted())

    def _chosen(self) -> Row | None:
        return self._shown[self.at - self.top] if self._shown else None

    def _want(self, wanted: Wanted) -> None:
        self.wanted, self.top, self.at = wanted, 0, 0

    # ---- the picture ----

    @property
    def is_news(self) -> bool:
        """Whether the picture may be another one now."""
        return self.view.is_news

    def look(self) -> None:
        """Before a picture."""
        self.view.look(self.wanted)

    def title(self) -> str:
        """The line above the table."""
        order, part = self.wanted
        looks = [f"by {order}"] * bool(order) + [f"/{part}"] * bool(part or self.is_typing)
        return ", ".join([self.view.title(), *looks]) + "_" * self.is_typing

    def lines(self, size: tuple[int, int], now: int) -> list[str]:
        """The table, or all about one name; `size`: columns and rows of the screen."""
        columns, self._page = size[0], table_rows(size[1])
        if self.help:
            return [clip(line, columns) for line in self.help.split(", ")][:self._page + 1]
        if not self.told:
            self._shown, more = self._rows()
            self.told = self._chosen() if self._is_asked else None
            self._is_asked = False
        if self.told:
            about = self.view.about(self.told.number)
            return [clip(f"{what:10} {said}", columns) for what, said in about][:self._page + 2]
        chosen = self.at - self.top if self.is_used else -1
        return status_lines(self._shown, more, columns, now, chosen)

    def _rows(self) -> tuple[list[Row], int]:
        """The rows that fit, with the chosen one among them; and how many more there are below."""
        at, end = self.at, max(self._end, self._page)
        for _ in range(LOOKS):                  # the end is known when the page is
            self.at = at
            self._settle(end)
            page = self.view.page(self.wanted, self.top, self._page)
            if page.end == end:
                break
            end = page.end
        self._end = end
        return page.rows, page.more

    def _settle(self, total: int) -> None:
        """Move the chosen row to one that there is, and the screen to where it can be seen."""
        self.at = max(0, min(self.at, total - 1))
        last_page = max(0, total - self._page)
        self.top = max(self.at - self._page + 1, min(self.top, self.at, last_page))


MOVES: dict[str, Callable[[int], int]] = {
    "<Up>": lambda page: -1, "<Down>": lambda page: 1, "<PageUp>": lambda page: -page,
    "<PageDown>": lambda page: page, "<Home>": lambda page: -1 << 40,
    "<End>": lambda page: 1 << 40}
