"""chores: what the loop does for the store, besides writing.

The mailbox has work of its own, such as sealing journals: it gets a slice of each turn, no longer
than the rest of the turn took.  A moment after the last batch the journal says that all is on the
disk.  What the mailbox reports goes into the log, and so does a full disk, once.
"""
from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from math import inf

from mailbox import Full, Mailbox
from rules.state import Now

SLICE = 0.002               # seconds of the mailbox's own work in a turn, if the rest took as long:
                            # the turn is then twice as long at most, or longer by one step
WORK_SECONDS = 0.01         # between two looks whether there is work: a journal grows by some
                            # megabytes meanwhile
QUIET_SECONDS = 0.1         # without a batch, before the journal says that all is on the disk: one
                            # small write more after a burst, none while messages keep coming
RETRY_SECONDS = 0.25        # between two looks whether a full disk has room again
REST_SECONDS = 3.0          # for a seal at a stop: what takes longer stays in the journals, where
                            # it is safe too


class Chores:
    """Looks after the mailbox at the end of each turn."""

    def __init__(self, mailbox: Mailbox, note: Callable[..., None], clock: Callable[[], Now]
                 ) -> None:
        self.mailbox = mailbox
        self.note = note
        self.clock = clock
        self.working = False                # the mailbox has more of its own work to do
        self._work_at = 0.0                 # the next look whether it has
        self._looked = -1                   # the mailbox's last id at the last look
        self._quiet_at = inf                # if nothing is written until then, the journal says so
        self._noticed = mailbox.last        # the mailbox's last id when that was set
        self._refusing: str | None = None   # why the disk refuses, when it was last noted

    def until(self, monotonic: float) -> float:
        """When there is something to do, on the monotonic clock."""
        until = self._quiet_at
        if self.mailbox.last != self._looked:
            until = min(until, self._work_at)
        if self.mailbox.refusing:
            until = min(until, monotonic + RETRY_SECONDS)
        return until

    def do(self, began: float) -> None:
        """A turn that began at this time ends: do what is due."""
        mailbox = self.mailbox
        if self.working or mailbox.upkeep.is_working or began >= self._work_at:
            self._work_at, self._looked = began + WORK_SECONDS, mailbox.last
            took = self.clock().monotonic - began
            self.working = mailbox.work(min(SLICE, took))
        if mailbox.last != self._noticed:
            self._noticed, self._quiet_at = mailbox.last, began + QUIET_SECONDS
        elif began >= self._quiet_at:
            self._quiet_at = inf if self.mailbox.settle() else began + RETRY_SECONDS
        for line in mailbox.notes:
            self.note("store", says=line)
        mailbox.notes.clear()
        if self._refusing != mailbox.refusing:
            if not mailbox.refusing:
                self.note("disk-free")
                self._refusing = None
            else:
                self.full(mailbox.refusing)

    def full(self, reason: str) -> None:
        """The disk refuses, for this reason; note it once."""
        if not self._refusing:
            self.note("disk-full", reason=reason)
        self._refusing = reason

    def rest(self, turn: Callable[[float], None]) -> None:
        """At a stop: what waits, and the log of names, come to rest in dbm, if that is quick.
        `turn` runs the loop for at most so many seconds."""
        deadline = self.clock().monotonic + REST_SECONDS
        with suppress(Full):
            self.mailbox.rest()
            while self.mailbox.upkeep.resting and self.clock().monotonic < deadline:
                if not self.mailbox.work(SLICE):
                    turn(SLICE)             # only the disk can help it
