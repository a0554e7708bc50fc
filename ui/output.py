"""output: the lines that --plain and the one-shot commands print.

All of them go through printer.py, which makes them safe.
"""
from __future__ import annotations

import os

from terminal import printer
from terminal.display import width
from terminal.usage import PIPE_CLOSED
from ui.failures import PROGRAM, Failure


def complain(what: str) -> None:
    """Print one line on stderr."""
    printer.complain(PROGRAM, what)


def print_line(text: str, end: str = "\n", used: int = 0) -> None:
    """Print a line on stdout, at once; `used` cells of its row are taken.  Raises Failure."""
    try:
        printer.line(text, 1, end, used)
    except BrokenPipeError:
        raise Failure(PIPE_CLOSED, "") from None
    except OSError as fault:
        raise Failure(os.EX_IOERR, f"stdout can't be written: {fault.strerror}") from None


class Output:
    """Lines on stdout, also while the user types behind a prompt."""

    def __init__(self) -> None:
        self._prompted = False              # the cursor stands behind a prompt
        self._used = 0                      # cells of the prompt, if the next line stands behind it

    def prompt(self, text: str) -> None:
        """Print a prompt, and stay behind it."""
        print_line(text, "")
        self._prompted, self._used = True, width(text)

    def entered(self, echoed: bool) -> None:
        """The user pressed Enter; if the terminal showed it, that ended the row of the prompt."""
        if not echoed:
            self.end_row()
        self._prompted = False

    def end_row(self) -> None:
        """Leave the row of a prompt."""
        if self._prompted:
            print_line("")
            self._prompted, self._used = False, 0

    def bare(self, url: str) -> None:
        """Print a web address unbroken, in a row of its own.  Raises Failure."""
        self.end_row()
        if self._used:
            print_line("")
        self._used = 0
        try:
            printer.bare(url)
        except BrokenPipeError:
            raise Failure(PIPE_CLOSED, "") from None
        except OSError as fault:
            raise Failure(os.EX_IOERR, f"stdout can't be written: {fault.strerror}") from None

    def line(self, text: str) -> None:
        """Print a line in rows of its own."""
        self.end_row()
        print_line(text, used=self._used)
        self._used = 0
