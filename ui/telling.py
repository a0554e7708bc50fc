"""telling: what --plain says in lines, where the screen has it in its bar.

More messages wait; the connection is lost, and how to connect; the daemon does not answer, and then
answers again.  Each is said once, until the user has typed a line or it has changed.
"""
from __future__ import annotations

from typing import Any

import wire
from client.events import Offline, Online, Silent
from ui.menu import Menu
from ui.names import counted


class Telling:
    """What the user knows."""

    def __init__(self, menu: Menu) -> None:
        self._menu = menu
        self._waiting = 0               # messages that wait
        self._is_told = False           # of more of them, since the last line
        self._is_offline = False        # and the user knows how to connect
        self._is_silent = False         # the daemon

    def typed(self) -> None:
        """The user has typed a line."""
        self._is_told = False

    def hear(self, event: Any) -> None:
        """An event of the link, after the Menu has heard it."""
        if self._is_silent and not isinstance(event, Offline | Silent):
            self._is_silent = False
            self._menu.note("the daemon answers again")
        if isinstance(event, Silent):
            self._is_silent = True
            self._menu.note(f"no answer from the daemon for {event.seconds} s; what you send is "
                            "kept, and goes out when it answers", "alert")
        elif isinstance(event, Online):
            self._waiting, self._is_offline = event.welcome.waiting, False
        elif isinstance(event, Offline):
            self._is_silent = False
            if not (self._is_offline or self._menu.desk.is_at_login):
                self._is_offline = True
                known = len(self._menu.talk.people.here)    # without names nobody can be written to
                self._menu.note("an empty line at the menu tries to connect now; "
                                f"{'messages go out' if known else 'you can write'} once you are "
                                "connected")
        elif isinstance(event, wire.Waiting):
            more, self._waiting = event.total > self._waiting, event.total
            if more and not self._is_told:
                self._is_told = True
                self._menu.note(f"{counted(event.total, 'message')} waiting: /check shows what "
                                "waits")
