"""reserve: files of zeros that the store gives up when the disk is full, to win room back.

Recording that mail was read is what frees room, so it must not fail for want of room: that is what
`reserve` is for.  Sealing the mail that is still unread must not fail either: that is what
`reserve.seal` is for (shortage.py).  The store unlinks each when it needs the room.  It makes each
again, whole and synced, before it takes mail again: room that the reserves do not fit into is not
room.
Fails with OSError, and leaves no half of a reserve.
"""

from __future__ import annotations

import errno
import os

from store.disk import Disk

NAME = "reserve"
SEAL = "reserve.seal"
# bytes: the READs of some 10,000 users; or a segment with the records of 700, and a manifest
SIZE = 256 << 10
# bytes that READs leave free: a start needs some blocks, for a journal's header and a manifest
LAST = 32 << 10
LOOK = 3 * SIZE  # bytes that must be free before the store tries to make a reserve


class Reserve:
    def __init__(self, disk: Disk, directory: str, name: str = NAME) -> None:
        self.disk, self.directory, self.name = disk, directory, name
        self.path = os.path.join(directory, name)

    def is_there(self) -> bool:
        return self.name in self.disk.listdir(self.directory)

    def give_up(self) -> None:
        if self.is_there():
            self.disk.unlink(self.path)

    def regain(self) -> None:
        """Make the reserve whole.  Raises OSError, which says why that failed."""
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
