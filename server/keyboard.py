"""keyboard: the keys of the operator at the live table, without an echo.

The terminal is opened anew for reading, so that O_NONBLOCK stays with this process.  Ctrl-C and
Ctrl-Z keep their meaning.  A daemon that was put into the background does not read: the kernel
would stop it (SIGTTIN).  Whatever fails here costs the keys and nothing else.
"""
from __future__ import annotations

import contextlib
import os
import selectors
import signal
import termios
from collections.abc import Callable

from terminal.keys import Key, Keys

READ = 1024


class Keyboard:
    """The keys of one terminal, handed to `press` as they come."""

    def __init__(self, fd: int, selector: selectors.BaseSelector, press: Callable[[Key], None]
                 ) -> None:
        """Raises OSError or termios.error if this is no terminal that this process may read."""
        self._selector, self._press = selector, press
        self._keys = Keys()
        self._before = termios.tcgetattr(fd)
        self._fd = os.open(os.ttyname(fd), os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._is_watched = False
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)   # a read in the background is an error then
        self.look()

    def look(self) -> None:
        """Once in a while: is this still the foreground?  And an Esc alone is a key by now."""
        for key in self._keys.expire() if self.is_undecided else ():
            self._press(key)
        try:
            is_ours = os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:
            is_ours = False
        if is_ours and not self._is_watched:
            self._watch()
        elif not is_ours:
            self._rest()

    @property
    def is_undecided(self) -> bool:
        """Whether a key may be an Esc, or the beginning of another."""
        return self._keys.timeout() is not None

    def _watch(self) -> None:
        mode = termios.tcgetattr(self._fd)
        mode[3] &= ~(termios.ECHO | termios.ICANON)
        termios.tcsetattr(self._fd, termios.TCSANOW, mode)
        self._selector.register(self._fd, selectors.EVENT_READ, lambda *_: self._read())
        self._is_watched = True

    def _rest(self) -> None:
        if self._is_watched:
            self._selector.unregister(self._fd)
            self._is_watched = False

    def _read(self) -> None:
        try:
            data = os.read(self._fd, READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:                            # in the background, or the terminal is gone
            self._rest()
        for key in self._keys.feed(data):
            self._press(key)

    def leave(self) -> None:
        """Leave the terminal as it was found, until the next look."""
        if self._is_watched:
            with contextlib.suppress(OSError, termios.error):
                termios.tcsetattr(self._fd, termios.TCSANOW, self._before)
        self._rest()

    def close(self) -> None:
        """Leave it for good."""
        self.leave()
        os.close(self._fd)
