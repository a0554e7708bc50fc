"""printer: the one way of lines to standard output and standard error.

Everything that the programs print goes through line() or complain(): reports, messages, complaints,
the traceback of a fault of ours, the text of --help.  Both functions give the whole line to
display().  So nothing that a stranger wrote (a text, the name of a file, an argument, the text of
an exception) reaches a terminal raw, even if a caller forgot to clean it.  The painters do the same
as their last step: Terminal.paint() in curses_client.py, LogStream in log.py, Console._paint() in
console.py.  tests/terminal/test_printer.py holds that there is no other way out.

On a terminal line() cuts a long line into rows, and every row except the first begins with a gutter
(display.fold).  The terminal itself would begin a row with whatever the text has there.  In a pipe
or a file a line is a line, and only a newline in it is followed by the gutter.

Failure: line() raises OSError as os.write does.  complain() ignores an error of stderr.
Bad at: a terminal that the user makes narrower later, for the terminal then folds the rows again; a
terminal that disagrees with Unicode about the width of a character; a pager or `tee` in front of
the terminal, for the programs then do not know its width.
"""
from __future__ import annotations

import os
import select
import sys
from contextlib import suppress
from types import TracebackType
from typing import Any

from terminal.display import display, fold

CLEAR = b"\x1b[H\x1b[2J"        # the cursor to the corner, and all of the screen is blank


def line(text: str, fd: int = 1, end: str = "\n", used: int = 0) -> None:
    """Print a line, made safe, at once.  A prompt may have taken `used` cells of the first row.

    The line bypasses Python's buffer, which would report a failure a second time at exit.  Raises
    OSError."""
    _put(fd, ("\n".join(fold(text, columns(fd), used)) + end).encode(_encoding(fd), "replace"))


def bare(url: str, fd: int = 1) -> None:
    """Print a web address that urls.find() has made, unbroken and at the beginning of a row.

    The terminal itself breaks it, and so can copy it whole.  Without a blank it looks like nothing
    else.  Raises OSError; ValueError for any other text."""
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("a web address has no such character")
    _put(fd, f"{url}\n".encode("ascii"))


def clear(fd: int = 1) -> None:
    """Empty the terminal, for a report that is shown again and again; nothing in a pipe or a file.

    Raises OSError."""
    if os.isatty(fd):
        _put(fd, CLEAR)


def _put(fd: int, data: bytes) -> None:
    """Write all of it, and wait for room if need be.

    A descriptor may not wait by itself: O_NONBLOCK belongs to the open file, and another program
    may have set it."""
    while data:
        try:
            data = data[os.write(fd, data):]
        except BlockingIOError:
            room = select.poll()
            room.register(fd, select.POLLOUT)
            room.poll()


def complain(program: str, message: str) -> None:
    """Print one line on stderr that says what went wrong."""
    with suppress(OSError):
        line(f"{program}: {display(message)}", 2)


def fault(kind: type[BaseException], value: BaseException, at: TracebackType | None) -> None:
    """Print the traceback of a fault of ours, which may quote a stranger's text: sys.excepthook."""
    try:
        import traceback  # not at the start, of which it would be 2 ms
        said = "".join(traceback.format_exception(kind, value, at)).rstrip("\n")
    except ImportError:     # an upgrade took this Python away while the program ran
        said = f"{kind.__name__}: {value}"
    with suppress(OSError):
        line(said, 2)


def unraisable(what: Any) -> None:
    """The same for an exception in a finaliser, which no caller sees: sys.unraisablehook."""
    fault(what.exc_type, what.exc_value, what.exc_traceback)


def catch_faults() -> None:
    """Make Python's own reports go through line() from now on."""
    sys.excepthook, sys.unraisablehook = fault, unraisable


def columns(fd: int) -> int | None:
    """The width of the terminal; None if there is no terminal, or if it does not say."""
    with suppress(OSError):
        return os.get_terminal_size(fd).columns or None
    return None


def _encoding(fd: int) -> str:
    return getattr(sys.stdout if fd == 1 else sys.stderr, "encoding", None) or "utf-8"
