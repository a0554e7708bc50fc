"""painter: rows of text on the operator's terminal, without waiting for it.

What the terminal does not take of a picture is written before the next one; no other picture is
kept, for the next one shows the latest state.
"""
from __future__ import annotations

from collections.abc import Sequence

from server.log import Outlet, terminal_size
from terminal.display import display, pad

OPEN = b"\x1b[?1049h\x1b[?25l\x1b[2J"
CLOSE = b"\x1b[?25h\x1b[?1049l"


class Painter:
    """What is on one terminal, and what is still on its way there."""

    def __init__(self, outlet: Outlet) -> None:
        self.outlet = outlet
        self.unsent = b""                       # what the terminal did not take yet
        self.size = (0, 0)                      # columns and rows
        self.open()

    def open(self) -> None:
        """Take the terminal, whose screen is empty then."""
        self._shown: Sequence[str] = ()         # the rows that are on the screen
        self.outlet.write(OPEN)

    def begin(self) -> bool:
        """Whether the next picture can be painted; `size` is the terminal's then."""
        if self.unsent:                         # the terminal is slow: finish the old picture
            self.unsent = self.unsent[self.outlet.write(self.unsent):]
            return False
        size = terminal_size(self.outlet.fd)
        if size != self.size:
            self.size, self._shown = size, ()
        return True

    def paint(self, rows: Sequence[str]) -> None:
        """Show these rows: the title, the heading, and others."""
        old = self._shown
        parts = [] if old else [b"\x1b[2J"]
        for number, row in enumerate(rows):
            if number >= len(old) or old[number] != row:
                style = b"\x1b[7m" if number == 0 else b"\x1b[1m" if number == 1 else b""
                shown = display(row)            # the last step
                body = (pad(shown, self.size[0]) if number == 0 else shown).encode(errors="replace")
                parts.append(b"\x1b[%d;1H\x1b[K%s%s\x1b[m" % (number + 1, style, body))
        self._shown = rows
        data = b"".join(parts)
        self.unsent = data[self.outlet.write(data):]

    def close(self) -> None:
        """Leave the terminal as it was found."""
        self.outlet.write(CLOSE)
