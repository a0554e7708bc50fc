"""reserve: a file of zeros that is given up when the disk is full, so that what was read can still be recorded.

Recording that mail was read is what frees room, so it must not fail for want of some.  The file is unlinked when a
write finds none, and made again, whole and synced, before mail is taken again: a room that the reserve does not fit
into is not room.  Fails with OSError, and leaves no half of it.
"""

from __future__ import annotations

import errno
import os

from disk import Disk

NAME = "reserve"
SIZE = 256 << 10  # bytes: the READs of some 10,000 users
LOOK = 3 * SIZE  # bytes free below which it is not tried


class Reserve:
    def __init__(self, disk: Disk, directory: str) -> None:
        self.disk, self.directory, self.path = disk, directory, os.path.join(directory, NAME)

    def is_there(self) -> bool:
        return NAME in self.disk.listdir(self.directory)

    def give_up(self) -> None:
        if self.is_there():
            self.disk.unlink(self.path)

    def regain(self) -> None:
        """It is whole after this, or OSError says why not."""
        if self.is_there():
            if self.disk.size(self.path) == SIZE:
                return
            self.disk.unlink(self.path)
        if self.disk.free(self.directory) < LOOK:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._make()

    def _make(self) -> None:
        fd = self.disk.create(self.path)
        try:
            done = 0
            while done < SIZE:
                done += self.disk.write(fd, bytes(SIZE - done), done)
            self.disk.sync(fd)
        except OSError:
            self.disk.unlink(self.path)
            raise
        finally:
            self.disk.close(fd)
