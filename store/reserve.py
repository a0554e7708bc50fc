"""reserve: files of zeros that are given up when the disk is full, so that room can still be won back.

Recording that mail was read is what frees room, so it must not fail for want of some: that is what `reserve` is for.
And so must sealing what is left not (`reserve.seal`, upkeep.py).  Each is unlinked when it is needed, and made again,
whole and synced, before mail is taken again: a room that the reserves do not fit into is not room.  Fails with OSError,
and leaves no half of one.
"""

from __future__ import annotations

import errno
import os

from store.disk import Disk

NAME = "reserve"
SEAL = "reserve.seal"
SIZE = 256 << 10  # bytes: the READs of some 10,000 users; or a segment with the records of some 700 and a manifest
LAST = 32 << 10  # bytes that READs leave free: a start needs some blocks, for a journal's header and a manifest
LOOK = 3 * SIZE  # bytes free below which it is not tried


class Reserve:
    def __init__(self, disk: Disk, directory: str, name: str = NAME) -> None:
        self.disk, self.directory, self.name, self.path = disk, directory, name, os.path.join(directory, name)

    def is_there(self) -> bool:
        return self.name in self.disk.listdir(self.directory)

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
