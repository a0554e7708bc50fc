"""A disk that records what is done to it, fails on demand, and can say what a power cut may leave of it.

`RecordingDisk` notes every operation as an `Op`.  `fail("datasync", errno.EIO, after=2)` lets two pass and fails from
then on (or `times` times).  `Model` replays ops on a model of a disk in which a file's bytes and a directory's names
reach the platter only by their own syncs; `states()` of a prefix of the ops are directories a power cut may leave.
The backends of dbm write past this seam: the content of their files is noted when it is synced, and in a state where
their name is durable and their bytes are not, they are empty.  Nothing is really synced, so that tests are quick.
"""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

from disk import Disk


class Op(NamedTuple):
    name: str  # create write truncate sync rename unlink sync_directory
    file: str  # a base name
    offset: int = 0
    data: bytes = b""
    to: str = ""


class RecordingDisk(Disk):
    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.files: dict[int, str] = {}
        self.faults: dict[str, list[int]] = {}  # name: how many still pass, error, how many fail
        self.short = 0  # the next write takes so many bytes only
        self.room = 1 << 40

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
        self.ops.append(Op("create", self.files[fd]))
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
            self.ops.append(Op("write", self.files[fd], offset, bytes(data[:wrote])))
        return wrote

    def truncate(self, fd: int, size: int) -> None:
        self._try("truncate")
        super().truncate(fd, size)
        if fd in self.files:
            self.ops.append(Op("truncate", self.files[fd], size))

    def datasync(self, fd: int) -> None:
        self._try("datasync")
        self.ops.append(Op("sync", self.files[fd]))

    def sync(self, fd: int) -> None:
        self._try("sync")
        if fd in self.files:
            self.ops.append(Op("sync", self.files[fd]))

    def sync_path(self, path: str) -> None:
        self._try("sync_path")
        with open(path, "rb") as file:
            self.ops.append(Op("sync", os.path.basename(path), 0, file.read(), "whole"))

    def sync_directory(self, path: str) -> None:
        self._try("sync_directory")
        self.ops.append(Op("sync_directory", ""))

    def rename(self, old: str, new: str) -> None:
        self._try("rename")
        super().rename(old, new)
        self.ops.append(Op("rename", os.path.basename(old), to=os.path.basename(new)))
        for fd, name in self.files.items():
            if name == os.path.basename(old):
                self.files[fd] = os.path.basename(new)

    def unlink(self, path: str) -> None:
        self._try("unlink")
        super().unlink(path)
        self.ops.append(Op("unlink", os.path.basename(path)))

    def close(self, fd: int) -> None:
        super().close(fd)
        self.files.pop(fd, None)

    def read(self, path: str) -> bytes:
        with open(path, "rb") as file:
            return file.read()

    def forget(self, path: str) -> None:
        pass

    def free(self, path: str) -> int:
        return self.room

    def note(self, text: str) -> None:
        """A mark of the test's own among the ops."""
        self.ops.append(Op("note", text))


class FullDisk(RecordingDisk):
    """A disk of `space` bytes: a write that does not fit is cut short, then refused."""

    def __init__(self, directory: str) -> None:
        super().__init__()
        self.directory = directory
        self.space = 1 << 40

    def used(self) -> int:
        return sum(os.path.getsize(os.path.join(self.directory, name)) for name in os.listdir(self.directory))

    def free(self, path: str) -> int:
        return max(0, self.space - self.used())

    def write(self, fd: int, data: bytes | bytearray | memoryview, offset: int) -> int:
        grows = max(0, offset + len(data) - os.fstat(fd).st_size)
        if grows > self.free(""):
            keep = len(data) - grows + self.free("")
            if keep <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            data = data[:keep]
        return super().write(fd, data, offset)


class _File:
    def __init__(self) -> None:
        self.now = bytearray()
        self.safe = b""  # what the last sync put on the platter

    def apply(self, op: Op) -> None:
        if op.name == "write":
            if len(self.now) < op.offset:
                self.now += bytes(op.offset - len(self.now))
            self.now[op.offset:op.offset + len(op.data)] = op.data
        elif op.name == "truncate":
            del self.now[op.offset:]
        else:
            if op.to:
                self.now = bytearray(op.data)
            self.safe = bytes(self.now)


    def unsynced(self) -> tuple[int, int]:
        """Where what was not synced starts, and the middle of it; the zeros at the end do not count."""
        if self.safe == self.now:
            return len(self.now), len(self.now)
        pairs = zip(self.safe, self.now, strict=False)
        start = next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(self.safe), len(self.now)))
        return start, (start + max(start, len(self.now.rstrip(b"\0")))) // 2


class Model:
    """One directory on a disk, after some ops.  Start it with the files that were safely there."""

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.now: dict[str, _File] = {}
        for name, data in (files or {}).items():
            self.now[name] = _File()
            self.now[name].now, self.now[name].safe = bytearray(data), data
        self.safe = dict(self.now)  # the names on the platter

    def apply(self, op: Op) -> None:
        if op.name == "create":
            self.now[op.file] = _File()
        elif op.name == "rename":
            self.now[op.to] = self.now.pop(op.file)
        elif op.name == "unlink":
            self.now.pop(op.file, None)
        elif op.name == "sync_directory":
            self.safe = dict(self.now)
        elif op.name != "note":
            self.now.setdefault(op.file, _File()).apply(op)

    def states(self) -> dict[str, dict[str, bytes]]:
        """What a cut at this moment may leave: by a word for it, the files."""
        def torn(file: _File) -> bytes:  # of what was not synced the later half got there, the earlier is zeros
            at, middle = file.unsynced()
            return bytes(file.now[:at]) + bytes(middle - at) + bytes(file.now[middle:])

        def cut(file: _File) -> bytes:  # the earlier half got there
            middle = file.unsynced()[1]
            return bytes(file.now[:middle]) + file.safe[middle:]

        return {
            "all": {name: bytes(file.now) for name, file in self.now.items()},
            "only what was synced": {name: file.safe for name, file in self.safe.items()},
            "names, not bytes": {name: file.safe for name, file in self.now.items()},
            "bytes, not names": {name: bytes(file.now) for name, file in self.safe.items()},
            "torn": {name: torn(file) for name, file in self.now.items()},
            "cut": {name: cut(file) for name, file in self.now.items()},
        }
