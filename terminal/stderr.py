"""stderr: what is printed on stderr while a program paints the terminal.

A library, or a fault of ours, may print at any time, and would spoil the picture.  So fd 2 leads
into a pipe meanwhile, which unlike a file needs no disk; afterwards the caught text is shown.  What
the pipe cannot hold is lost.
"""
from __future__ import annotations

import os

from terminal import printer

STDERR_MAX = 65536          # bytes of the caught text that are shown: as much as a pipe holds


class Stderr:
    """Descriptor 2, and the pipe that takes its place for a while."""

    def __init__(self) -> None:
        self._real = self._pipe = -1

    def catch(self) -> None:
        """Let fd 2 lead into the pipe."""
        self._real = os.dup(2)
        self._pipe, end = os.pipe()
        for fd in (self._pipe, end):
            os.set_blocking(fd, False)
        os.dup2(end, 2)
        os.close(end)

    def release(self) -> None:
        """Give fd 2 back, and show what was caught.

        No other process holds the pipe, so everything that was written is in it, and the end of
        it comes at once.  Raises OSError."""
        os.dup2(self._real, 2)
        os.close(self._real)
        caught = os.read(self._pipe, STDERR_MAX).decode(errors="replace").rstrip("\n")
        os.close(self._pipe)
        if caught:
            printer.line(caught, 2)
