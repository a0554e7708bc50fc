"""shortage: what a full disk changes: mail is refused, reserves are given up, and regained.

While `reason` is set, no mail, name or setting is taken.  Confirming frees room, so READs are still
written: in the room of a reserve (reserve.py), given up for that.  If even that is not enough,
the store `is_stuck`: nothing is written until upkeep has looked for room again.  Sealing has a
reserve of its own.  The shortage ends when both are whole again, and there is room to seal besides.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from store.disk import Disk
from store.journal import SPARE
from store.reserve import LAST, SEAL, Reserve

FULL = errno.ENOSPC, os.strerror(errno.ENOSPC)


class Shortage:
    """Whether the disk of a store is full.  `reason`: what its error says; None while it is not."""

    def __init__(self, disk: Disk, directory: str) -> None:
        self.disk, self.directory = disk, directory
        self.reserve = Reserve(disk, directory)
        self.seal_reserve = Reserve(disk, directory, SEAL)
        self.reason: str | None = None
        self.is_stuck = False  # not even the reserve was enough
        self.has_given_up = False  # the reserve, since mail is refused

    def begin(self, error: OSError) -> None:
        """The disk refused a batch, or the first journal."""
        self.is_stuck = self.has_given_up
        self.reason, self.has_given_up = error.strerror or str(error), True
        with suppress(OSError):  # as on a disk that has become read-only
            self.reserve.give_up()

    def foresee(self) -> None:
        """A batch was written, but what room is left will be needed to seal it."""
        self.reason = FULL[1]

    def make_way(self) -> None:
        """Give up what is kept for sealing on a full disk, and what is only there to be quick."""
        if SPARE in self.disk.listdir(self.directory):
            self.disk.unlink(os.path.join(self.directory, SPARE))
        self.seal_reserve.give_up()

    def leave_room_to_start(self, grows: int) -> None:
        """Raise ENOSPC if a journal that grows by so many bytes would take the last blocks."""
        if grows > 0 and self.disk.free(self.directory) < LAST + grows:
            raise OSError(*FULL)

    def end(self, needed: float) -> bool:
        """Regain the reserves, if so many bytes are free; is the shortage over?"""
        try:
            if self.disk.free(self.directory) < needed:
                raise OSError(*FULL)
            self.reserve.regain()
            self.seal_reserve.regain()
        except OSError as error:
            self.reason = error.strerror or str(error)
            return False
        self.reason, self.has_given_up = None, False
        return True
