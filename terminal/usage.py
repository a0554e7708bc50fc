"""usage: how the programs say what went wrong.

A program that is used wrongly, or cannot do its work, prints one line on stderr that says what to
do, and exits with a code of sysexits(3).  It never prints a traceback: that is for our own faults.
"""
import argparse
import errno
import os
import sys
from contextlib import suppress
from typing import Any, NoReturn

from terminal import printer

# The system has no descriptor or memory left: nobody's fault, and a traceback would not explain it.
LACKS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})

PIPE_CLOSED = 128 + 13  # the exit code of a program whose reader has enough (SIGPIPE), as `| head`

RELEASE = "0.2.dev0"    # of parley: both programs print it; packaging/release.sh has the rest


class Help(argparse.HelpFormatter):
    """The text of --help.  argparse makes one for each option at each start, and without a width it
    would import shutil, 2 ms."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    """$COLUMNS, or else the width of the terminal."""
    with suppress(ValueError):
        if (given := int(os.environ.get("COLUMNS", ""))) > 0:
            return given
    return printer.columns(1) or 80


class Parser(argparse.ArgumentParser):
    """An argument parser that complains in one line, with exit code 64."""

    def error(self, message: str) -> NoReturn:
        die(self.prog, os.EX_USAGE, f"{message}; see {self.prog} --help")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print what --help and --version say."""
        for row in message.splitlines():
            say(self.prog, row)


def open_standard(program: str, needs_output: bool) -> None:
    """Open each of stdin, stdout and stderr that is closed, so that no socket takes its place.

    Such a one leads nowhere."""
    printer.catch_faults()
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)          # gives the lowest free descriptor: this one
            if number == 1 and needs_output:
                die(program, os.EX_IOERR, "standard output is closed: nothing could be shown")
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


def die(program: str, code: int, message: str) -> NoReturn:
    """Print one line on stderr and exit."""
    printer.complain(program, message)
    raise SystemExit(code)


def say(program: str, text: str, fresh: bool = False) -> None:
    """Print a line of a report on stdout, a `fresh` one on an empty terminal; exit if nobody can
    read it, or wants more of it."""
    try:
        if fresh:
            printer.clear()
        printer.line(text)
    except BrokenPipeError:
        raise SystemExit(PIPE_CLOSED) from None
    except OSError as error:
        die(program, os.EX_IOERR, f"standard output can't be written: {error.strerror}")


def die_of_lack(program: str, fault: OSError) -> NoReturn:
    """Exit with one line because the system has no more of what the program needs.

    Any other OSError is a bug, and gets its traceback."""
    if fault.errno not in LACKS:
        raise fault
    die(program, os.EX_OSERR,
        f"{fault.strerror}: the limits of this session are too low, see ulimit -a")


def positive(text: str) -> int:
    """An argument that is a whole number from 1 to 65535."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 65535")
    return int(text)
