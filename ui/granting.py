"""granting: does what the Menu wishes for: clipboard, notices, programs.

The loop of the screen, or of --plain, calls grant() after each turn, and tick() by the time that
due() tells.  A user who is elsewhere gets a notice once a second at most; what happens meanwhile is
counted and told with the next one, unless the user has come back.
"""
from __future__ import annotations

import argparse
import math
import os
from typing import Protocol

from terminal import osc
from terminal.display import display
from ui import hooks
from ui.failures import Failure
from ui.menu import Menu
from ui.notices import BELL, KINDS, OFF
from ui.wishes import Bare, Copy, Notify, Open

NOTICE_SECONDS = 1.0    # between two notices
FIELD_MAX = 1000        # characters of a text in the environment of a hook


class Face(Protocol):
    """What a terminal can do besides being painted."""

    def send(self, sequence: bytes) -> None:
        """Send a sequence that osc.py has made."""

    def bell(self) -> None:
        """Ring."""

    def bare(self, url: str) -> None:
        """Show a web address unbroken."""


class Granting:
    """The wishes of one Menu."""

    def __init__(self, menu: Menu, face: Face, chosen: argparse.Namespace) -> None:
        """Raises Failure: a command that is no command line."""
        self._menu, self._face = menu, face
        self._opener = hooks.Hook(_command("--open", chosen.open))
        self._notifier = hooks.Hook(_command("--notify-command", chosen.notify_command),
                                    hooks.SECONDS)
        if chosen.notify not in KINDS:
            raise Failure(os.EX_USAGE, f"--notify {chosen.notify!r}: one of {', '.join(KINDS)}")
        menu.talk.notices.kind = chosen.notify
        menu.talk.links.can_open = bool(self._opener.command)
        self._in_tmux = "TMUX" in os.environ or os.environ.get("TERM", "").startswith("tmux")
        self._notified_at = -math.inf
        self._waiting: Notify | None = None         # the notice that must wait
        self._told = False                          # the user knows that the command cannot be run

    def grant(self, monotonic: float) -> None:
        """Do what the Menu wishes for by now."""
        for wish in self._menu.take_wishes():
            if isinstance(wish, Copy):
                self._face.send(osc.copy(wish.url, self._in_tmux))
            elif isinstance(wish, Bare):
                self._face.bare(wish.url)
            elif isinstance(wish, Open):
                if not self._opener.run({"PARLEY_URL": wish.url}, monotonic):
                    self._menu.note("--open: no process could be started, or "
                                    f"{hooks.RUNNING_MAX} are still running", "alert")
            else:
                times = wish.times + (self._waiting.times if self._waiting else 0)
                self._waiting = wish._replace(times=times)
        self.tick(monotonic)

    def due(self) -> float:
        """When tick() has something to do; inf: never."""
        notice = self._notified_at + NOTICE_SECONDS if self._waiting else math.inf
        return min(notice, self._notifier.due(), self._opener.due())

    def tick(self, monotonic: float) -> None:
        """Do what the time has come for."""
        if fault := self._opener.tick(monotonic):
            self._menu.note(f"--open: {fault}", "alert")
        if (fault := self._notifier.tick(monotonic)) and not self._told:
            self._told = True
            self._menu.note(f"--notify-command: {fault}", "alert")
        if self._waiting and monotonic >= self._notified_at + NOTICE_SECONDS:
            wish, self._waiting = self._waiting, None
            if not self._menu.is_watched:
                self._notified_at = monotonic
                self._notify(wish, monotonic)

    def _notify(self, wish: Notify, monotonic: float) -> None:
        notices = self._menu.talk.notices
        if notices.kind == OFF:
            return
        if notices.kind == BELL:
            self._face.bell()
        else:
            head, text = notices.words(wish)
            self._face.send(osc.notify(notices.kind, head, text, self._in_tmux))
        link = self._menu.link
        self._notifier.run({
            "PARLEY_EVENT": wish.event, "PARLEY_FROM": display(wish.who),
            "PARLEY_TEXT": display(wish.text[:FIELD_MAX])[:FIELD_MAX],
            "PARLEY_COUNT": str(wish.times), "PARLEY_NAME": display(link.name),
            "PARLEY_HOUSE": display(link.house)}, monotonic)


def _command(option: str, given: str) -> list[str]:
    try:
        return hooks.words(given)
    except ValueError as fault:
        raise Failure(os.EX_USAGE, f"{option} {given!r}: {fault}") from None
