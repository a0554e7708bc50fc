"""hooks: programs of the user's own, started for a web address or an event.

A hook is one command line, split into words as a shell splits it, and run without a shell.  What it
is about stands in its environment, never in its arguments: PARLEY_URL, or PARLEY_EVENT and the
other fields of an event.  Texts of others have passed display() and are short.

A hook cannot keep the client from its keys: it is a process in a session of its own, with /dev/null
for its descriptors, and nobody waits for it.  At most RUNNING_MAX of one kind run at a time; a
notification that runs for longer than SECONDS is killed.  A program that opens an address may be
the browser itself, and stays.
"""
from __future__ import annotations

import math
import os
import shlex
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress

RUNNING_MAX = 4
SECONDS = 10.0
LOOK = 0.3              # seconds: by then a program that is not there has ended
NOT_THERE = 127         # the exit status, of a shell too


def words(command: str) -> list[str]:
    """The words of a command line.  Raises ValueError."""
    return shlex.split(command)


class Hook:
    """One command, and its processes."""

    def __init__(self, command: Sequence[str], seconds: float = math.inf) -> None:
        """`seconds`: how long one may run."""
        self.command = command
        self.seconds = seconds
        self._running: dict[int, float] = {}        # by pid: when it is killed
        self._look_at = math.inf        # when to see whether the last one could be run

    def run(self, fields: Mapping[str, str], monotonic: float) -> bool:
        """Start it with these fields in its environment; False if it cannot start now."""
        self.tick(monotonic)
        if not self.command or len(self._running) >= RUNNING_MAX:
            return False
        environment = os.environ | fields
        try:
            pid = os.fork()
        except OSError:
            return False
        if pid == 0:
            _become(self.command, environment)
        self._running[pid] = monotonic + self.seconds
        self._look_at = monotonic + LOOK
        return True

    def due(self) -> float:
        """When tick() has something to do; inf: never."""
        return min([self._look_at, *self._running.values()])

    def tick(self, monotonic: float) -> str:
        """Bury the processes that have ended, and kill those that run for too long; why one could
        not be run, or ""."""
        fault = ""
        if monotonic >= self._look_at:
            self._look_at = math.inf
        for pid, until in list(self._running.items()):
            if monotonic >= until:
                for kill in (os.killpg, os.kill):           # it may not have its session yet
                    with suppress(OSError):
                        kill(pid, signal.SIGKILL)
                self._running[pid] = monotonic + 1.0        # and look again
            with suppress(ChildProcessError):
                gone, status = os.waitpid(pid, os.WNOHANG)
                if not gone:
                    continue
                if os.waitstatus_to_exitcode(status) == NOT_THERE:
                    fault = f"{self.command[0]} cannot be run, or not what it runs (status 127)"
            del self._running[pid]
        return fault


def _become(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """In the child: never returns."""
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):     # Python ignores them
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.execvpe(command[0], [*command], environment)
    finally:
        os._exit(127)
