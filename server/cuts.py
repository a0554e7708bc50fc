"""cuts: the clients that the daemon put out, and why.

A client that leaves, moves to another terminal, or whose socket ends, is none of them.
"""
from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from server.connection import LEFT

GOING = frozenset({"disconnected", "errand-over"})      # events of the log
CUTS_MAX = 100          # of which the operator is told
MOVED = "moved to "     # the user has taken the session along (rules/door.py)
# The reasons of clients that went by themselves.
OWN = frozenset({"exit", "left", LEFT} | {os.strerror(number) for number in (
    errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT, errno.EHOSTUNREACH)})


class Cut(NamedTuple):
    """One client that was put out."""
    time: int           # microseconds since 1970
    name: str
    login: str          # or host, as the log names it
    reason: str


class Cuts:
    """Those since the daemon's start."""

    def __init__(self) -> None:
        self.total = 0
        self.last: deque[Cut] = deque(maxlen=CUTS_MAX)

    def gone(self, time: int, login: str, fields: Mapping[str, object]) -> None:
        """One of GOING happened."""
        reason = str(fields.get("reason", ""))
        if reason not in OWN and not reason.startswith(MOVED):
            self.total += 1
            self.last.append(Cut(time, str(fields.get("name", "")), login, reason))
