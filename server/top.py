"""top: `parleyd top`, the live table of a daemon that has no terminal.

The same table as at the daemon's own (browser.py, frames.py), with the same keys.  Each picture
asks the daemon for one page (overview.py), once a second or after a key.  Ctrl-C ends this program
and not the daemon; a daemon that is started anew comes back by itself.
"""
from __future__ import annotations

import argparse
import os
import selectors
import signal
import termios
import time
from contextlib import suppress
from typing import Any

from rules.table import Row
from server.browser import Browser
from server.frames import clock_of, counts_of, frame
from server.keyboard import Keyboard
from server.log import Outlet
from server.orders import Refused, ask
from server.painter import Painter
from server.views import Page, Wanted
from terminal.display import display
from terminal.keys import Key

LOOK_SECONDS = 1.0      # from picture to picture; another order makes the daemon look through all
                        # names for it
KEY_SECONDS = 0.05      # for the keys that follow the first: one picture for all


NOTHING: dict[str, Any] = {"title": "parleyd", "refused": 0, "cut": 0, "events": [], "rows": [],
                           "more": 0, "end": 0, "about": []}


class There:
    """The pages of a daemon elsewhere."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.is_news = False
        self.told: dict[str, Any] = NOTHING
        self.lost = ""                          # why there is no answer now

    def title(self) -> str:
        return self.lost or (display(self.told["title"])
                             + counts_of(self.told["refused"], self.told["cut"]))

    def look(self, wanted: Wanted) -> None:
        """There is no search before the page is asked for."""

    def page(self, wanted: Wanted, first: int, most: int) -> Page:
        self._ask(wanted.order, wanted.part, str(first), str(most))
        rows = [Row(*row) for row in self.told["rows"]]
        return Page(rows, self.told["more"], self.told["end"])

    def about(self, number: int) -> list[tuple[str, str]]:
        self._ask("", "", "0", "0", str(number))
        return [(what, said) for what, said in self.told["about"]]

    def _ask(self, *words: str) -> None:
        """A daemon that is started anew is away for a moment.  Raises Refused."""
        try:
            self.told, self.lost = NOTHING | ask(self.options, "table", *words, quiet=True), ""
        except Refused as refused:
            if refused.code != os.EX_UNAVAILABLE:
                raise
            self.told, self.lost = NOTHING, display(str(refused))

    def log(self, now: int) -> list[str]:
        """What went wrong, one a line."""
        return [f"{clock_of(at, now)} {said}" for at, said in self.told["events"]]


class Top:
    """The program, while it has the terminal."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.there = There(options)
        self.browser = Browser(self.there, "Ctrl-C ends this view")
        self.is_over = False

    def picture(self, size: tuple[int, int]) -> list[str]:
        """A whole screen.  Raises Refused."""
        now = time.time_ns() // 1000
        lines = self.browser.lines(size, now)
        return frame(self.browser.title(), lines, self.there.log(now), size)

    def press(self, key: Key) -> None:
        if key in ("q", "<C-c>") and not self.browser.is_typing:
            self.is_over = True
        self.browser.press(key)

    def run(self) -> None:
        """Until q or Ctrl-C.  Raises Refused, OSError and termios.error."""
        with selectors.DefaultSelector() as selector:
            keyboard = Keyboard(0, selector, self.press)
            painter = Painter(Outlet(1))
            try:
                while not self.is_over:
                    if painter.begin():
                        painter.paint(self.picture(painter.size))
                    self._wait(selector, keyboard)
            finally:
                painter.close()
                keyboard.close()

    def _wait(self, selector: selectors.BaseSelector, keyboard: Keyboard) -> None:
        """For a key, or until the next picture."""
        wait = KEY_SECONDS if keyboard.is_undecided else LOOK_SECONDS
        while ready := selector.select(wait):
            for key, _ in ready:
                key.data(key.fileobj, 0)
            wait = KEY_SECONDS
        keyboard.look()


def run(options: argparse.Namespace) -> int:
    """Show the table until the operator has seen enough."""
    if not (os.isatty(0) and os.isatty(1)):
        raise Refused(os.EX_USAGE, "top needs a terminal: parleyd status --watch, or parleyd "
                                   "names, print lines")
    ask(options, "status")                      # refused before the screen is taken
    with suppress(KeyboardInterrupt):
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.default_int_handler)
        try:
            Top(options).run()
        except (OSError, termios.error) as error:
            raise Refused(os.EX_IOERR, f"the terminal: {error}") from None
    return os.EX_OK
