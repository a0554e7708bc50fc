"""interrupts: Ctrl-C of a user who types lines.

The terminal itself drops the half-typed line, and sends SIGINT.  Here it is something to wait for,
beside the lines; a second one that nobody has taken yet ends the program at once, in the way that
Python has, so that a program which hangs can be left.
"""
from __future__ import annotations

import contextlib
import os
import signal
from types import FrameType


class Interrupts:
    """`fd` can be read when there was one."""

    def __init__(self) -> None:
        self.fd, self._to = os.pipe()
        os.set_blocking(self.fd, False)
        self._waits = False
        self._before = signal.signal(signal.SIGINT, self._caught)

    def _caught(self, number: int, frame: FrameType | None) -> None:
        """Raises KeyboardInterrupt."""
        if self._waits:
            raise KeyboardInterrupt
        self._waits = True
        os.write(self._to, b"!")

    def take(self) -> bool:
        """Whether there was one."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 16)
        waited, self._waits = self._waits, False
        return waited

    def close(self) -> None:
        """From here on SIGINT is what it was."""
        signal.signal(signal.SIGINT, self._before)
        for fd in (self.fd, self._to):
            os.close(fd)
