"""A disk that records what is done to it, and fails on demand.

`RecordingDisk` notes every operation as an `Op`.  `fail("datasync", errno.EIO, after=2)` lets two
calls pass and fails from then on (or `times` times).  The libraries of dbm write past this seam.
After `watch(directory)` the disk looks at the files of segments whenever something else is done,
and notes what changed as if it had been written just then.  Nothing is really synced, so that tests
are quick.  platter.py says what a power cut may leave of all that.
"""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

from store.disk import Disk

ZEROS = bytes(4096)


class Op(NamedTuple):
    name: str  # create write truncate sync rename unlink sync_directory sync_parent note
    file: str  # a base name
    offset: int = 0
    data: bytes = b""  # without the zeros at its end
    size: int = 0  # how many bytes were written, with them
    to: str = ""
    event: object = None  # of a note: a mark of the test's own


def trimmed(data: bytes) -> bytes:
    """Without the zeros at its end."""
    end = len(data)
    while end > len(ZEROS) and data[end - len(ZEROS):end] == ZEROS:
        end -= len(ZEROS)
    return data[:end].rstrip(b"\0")


class RecordingDisk(Disk):
    def __init__(self) -> None:
        super().__init__()
        self.ops: list[Op] = []
        self.files: dict[int, str] = {}
        self.held: set[int] = set()  # of the files of segments
        self.faults: dict[str, list[int]] = {}  # name: how many still pass, error, how many fail
        self.short = 0  # the next write takes so many bytes only
        self.room = 1 << 40
        self.watched = ""
        self.segments: dict[str, bytes] = {}

    def watch(self, directory: str) -> None:
        """This is the store: note what dbm does in it, and tell it from its parent."""
        self.watched = directory

    def observe(self) -> None:
        """Note what changed in the files of segments."""
        if not self.watched or not os.path.isdir(self.watched):
            return
        names = [name for name in os.listdir(self.watched) if name.startswith("segment.")]
        for name in set(self.segments) - set(names):
            del self.segments[name]
            self.ops.append(Op("unlink", name))
        for name in names:
            with open(os.path.join(self.watched, name), "rb") as file:
                data = file.read()
            if name not in self.segments:
                self.ops.append(Op("create", name))
            if data != self.segments.get(name):
                if len(data) < len(self.segments.get(name, b"")):
                    self.ops.append(Op("truncate", name, len(data)))
                self.ops.append(Op("write", name, 0, trimmed(data), len(data)))
            self.segments[name] = data

    def _note(self, op: Op) -> None:
        self.observe()
        self.ops.append(op)

    def fail(self, name: str, error: int, after: int = 0, times: int = 1 << 30) -> None:
        self.faults[name] = [after, error, times]

    def heal(self) -> None:
        self.faults.clear()

    def _try(self, name: str) -> None:
        fault = self.faults.get(name)
        if not fault:
            return
        if fault[0]:
            fault[0] -= 1
        elif fault[2]:
            fault[2] -= 1
            raise OSError(fault[1], os.strerror(fault[1]))

    def create(self, path: str) -> int:
        self._try("create")
        fd = super().create(path)
        self.files[fd] = os.path.basename(path)
        self._note(Op("create", self.files[fd]))
        return fd

    def open(self, path: str) -> int:
        fd = super().open(path)
        self.files[fd] = os.path.basename(path)
        return fd

    def write(self, fd: int, data: bytes | bytearray | memoryview, offset: int) -> int:
        self._try("write")
        if self.short:
            data, self.short = bytes(data[:self.short]), 0
        wrote = super().write(fd, data, offset)
        if fd in self.files:
            self._note(Op("write", self.files[fd], offset, trimmed(bytes(data[:wrote])), wrote))
        return wrote

    def truncate(self, fd: int, size: int) -> None:
        self._try("truncate")
        super().truncate(fd, size)
        if fd in self.files:
            self._note(Op("truncate", self.files[fd], size))

    def datasync(self, fd: int) -> None:
        self._try("datasync")
        self._note(Op("sync", self.files[fd]))

    def sync(self, fd: int) -> None:
        self._try("sync_held" if fd in self.held else "sync")
        if fd in self.files:
            self._note(Op("sync", self.files[fd]))

    def hold(self, path: str) -> int:
        fd = super().hold(path)
        self.files[fd] = os.path.basename(path)
        self.held.add(fd)
        return fd

    def sync_directory(self, path: str) -> None:
        self._try("sync_directory")
        is_parent = self.watched and path != self.watched
        self._note(Op("sync_parent" if is_parent else "sync_directory", ""))

    def rename(self, old: str, new: str) -> None:
        self._try("rename")
        super().rename(old, new)
        self._note(Op("rename", os.path.basename(old), to=os.path.basename(new)))
        for fd, name in self.files.items():
            if name == os.path.basename(old):
                self.files[fd] = os.path.basename(new)

    def unlink(self, path: str) -> None:
        self._try("unlink")
        self.observe()
        super().unlink(path)
        self.segments.pop(os.path.basename(path), None)
        self._note(Op("unlink", os.path.basename(path)))

    def close(self, fd: int) -> None:
        super().close(fd)
        self.files.pop(fd, None)
        self.held.discard(fd)

    def read(self, path: str) -> bytes:
        with open(path, "rb") as file:
            return file.read()

    def forget(self, path: str) -> None:
        pass

    def free(self, path: str) -> int:
        return self.room

    def capacity(self, path: str) -> int:
        return 1 << 40

    def note(self, event: object) -> None:
        """Put a mark of the test's own among the ops."""
        self._note(Op("note", "", event=event))


class FullDisk(RecordingDisk):
    """A disk of `space` bytes: a write that does not fit is cut short, then refused."""

    def __init__(self, directory: str) -> None:
        super().__init__()
        self.directory = directory
        self.space = 1 << 40

    def used(self) -> int:
        with os.scandir(self.directory) as files:
            return sum([file.stat().st_size for file in files])

    def free(self, path: str) -> int:
        return max(0, self.space - self.used())

    def capacity(self, path: str) -> int:
        return self.space

    def write(self, fd: int, data: bytes | bytearray | memoryview, offset: int) -> int:
        grows = max(0, offset + len(data) - os.fstat(fd).st_size)
        if grows and grows > (free := self.free("")):
            keep = len(data) - grows + free
            if keep <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            data = data[:keep]
        return super().write(fd, data, offset)
