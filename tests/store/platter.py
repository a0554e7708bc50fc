"""A model of a disk that can lose what was not synced, and a disk in memory that holds what it
left.

A file's bytes and a directory's names reach the platter each by its own sync and by nothing else.
`Platter` follows the ops of a RecordingDisk.  At any moment `states` draws what a power cut may
leave:

  - of the names that were made, moved or removed since the directory was synced: all, none, each
    alone, each missing, or any subset;
  - of the writes to a file since it was synced: all, none, a prefix of them, one alone, one
    missing, or any subset; and of one of those writes the bytes up to some place, those from it,
    zeros, garbage, or some sectors;
  - the directory itself, before its parent was synced: nothing at all.

What was synced stays as it was.  A disk that lies, or loses what it once held, is not modelled here
but in test_damage.py.  An fsync of a file says nothing about its name.  A rename is one step, as on
every journaled file system.  The model sees the files of dbm by their content, whenever anything
else is done: all of it counts as unsynced until the store's own fsync, though some backends sync by
themselves.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from store.disk import Disk
from tests.store.faulty_disk import Op, trimmed

PLACES = (1, 8, 12, 16, 32, 36, 54, 512)  # where the formats have their seams


class Content(NamedTuple):
    """The bytes of a file.

    From len(data) to size they are zeros, as in a journal extended ahead of the writing."""

    data: bytes = b""
    size: int = 0

    def written(self, offset: int, data: bytes, length: int) -> Content:
        """With `data`, then zeros up to `length`, at `offset`."""
        old = self.data
        if offset > len(old):
            old += bytes(offset - len(old))
        zeros = min(length, max(0, len(old) - offset)) - len(data)
        new = old[:offset] + data + bytes(max(0, zeros)) + old[offset + max(len(data), length):]
        return Content(trimmed(new), max(self.size, offset + length))

    def cut(self, size: int) -> Content:
        return Content(trimmed(self.data[:size]), size)

    def whole(self) -> bytes:
        return self.data + bytes(self.size - len(self.data))


State = dict[str, Content]
EMPTY = Content()


def content(data: bytes) -> Content:
    return Content(trimmed(data), len(data))


class File:
    """One file: what is on the platter, and what was done to it since."""

    def __init__(self, safe: Content = EMPTY) -> None:
        self.safe = self.now = safe
        self.pending: list[Op] = []
        self.begun = 0  # how many of them the sync under way covers

    def apply(self, op: Op) -> None:
        if op.name == "sync":
            self.begun = len(self.pending)
            self._synced()
        elif op.name == "sync_begins":
            self.begun = len(self.pending)
        elif op.name == "sync_ends":
            self._synced()
        else:
            self.pending.append(op)
            self.now = _applied(self.now, [op])

    def _synced(self) -> None:
        self.safe = _applied(self.safe, self.pending[:self.begun])
        self.pending, self.begun = self.pending[self.begun:], 0

    def seams(self) -> list[Content]:
        """A short list of what a cut may leave."""
        ops, last = self.pending, self.pending[-1:]
        found = [self.now, self.safe]
        found += [_applied(self.safe, ops[:n]) for n in range(1, len(ops))]
        found += [_applied(self.safe, [op]) for op in ops[1:]]
        found += [_applied(self.safe, ops[:n] + ops[n + 1:]) for n in range(1, len(ops) - 1)]
        if last and last[0].name == "write":
            before, length = _applied(self.safe, ops[:-1]), len(last[0].data)
            for place in sorted({n for n in (*PLACES, length // 2, length - 1) if n < length}):
                found.append(_applied(before, _first(last[0], place)))
                found.append(_applied(before, _from(last[0], place)))
            found.append(_applied(before, _zeroed(last[0], 0, length)))
            found.append(_applied(before, _zeroed(last[0], 0, length // 2)))
        return found

    def draw(self, dice: Random) -> Content:
        """Any one thing that a cut may leave."""
        ops, how = self.pending, dice.random()
        if how < 0.3:
            chosen = ops[:dice.randint(0, len(ops))]
        elif how < 0.6:
            chosen = [op for op in ops if dice.random() < 0.5]
        else:
            chosen = list(ops)
        writes = [n for n, op in enumerate(chosen) if op.name == "write" and op.data]
        if not writes or dice.random() < 0.1:
            return _applied(self.safe, chosen)
        place = dice.choice(writes[-2:])
        return _applied(self.safe, [*chosen[:place], *_harmed(chosen[place], dice),
                                    *chosen[place + 1:]])


def _applied(before: Content, ops: list[Op]) -> Content:
    for op in ops:
        before = (before.cut(op.offset) if op.name == "truncate"
                  else before.written(op.offset, op.data, op.size))
    return before


def _first(op: Op, end: int) -> list[Op]:
    """The bytes up to `end`."""
    return [op._replace(data=op.data[:end], size=min(end, op.size))]


def _from(op: Op, start: int) -> list[Op]:
    return [op._replace(offset=op.offset + start, data=op.data[start:], size=op.size - start)]


def _zeroed(op: Op, start: int, end: int) -> list[Op]:
    return [op, op._replace(offset=op.offset + start, data=b"", size=end - start)]


def _harmed(op: Op, dice: Random) -> list[Op]:
    """A write of which only a part arrived."""
    length = len(op.data)
    start, end = sorted((dice.randrange(length + 1), dice.randrange(length + 1)))
    how = dice.randrange(6)
    if how == 0:
        return _first(op, start)
    if how == 1:
        return _from(op, start)
    if how == 2:
        return _zeroed(op, start, end)
    if how == 3:
        return [op, op._replace(offset=op.offset + start, data=dice.randbytes(end - start),
                                size=end - start)]
    if how == 4:  # the file is longer, nothing else
        return [op._replace(data=dice.randbytes(start))]
    seams = range(512 - op.offset % 512, length, 512)
    pieces = [op._replace(offset=op.offset + a, data=op.data[a:b], size=b - a)
              for a, b in zip([0, *seams], [*seams, length], strict=True)]
    return [piece for piece in pieces if dice.random() < 0.5]


class Platter:
    """One directory on a disk, after some ops."""

    def __init__(self) -> None:
        self.now: dict[str, File] = {}
        self.safe: dict[str, File] = {}  # the names on the platter
        self.pending: list[tuple[str, str, File | None]] = []  # name, the name that goes, the file
        self.is_there = False  # the directory's own name

    def put(self, state: State) -> None:
        """Power is back, and this is on the disk."""
        self.now = {name: File(found) for name, found in state.items()}
        self.safe, self.pending = dict(self.now), []

    def apply(self, op: Op) -> None:
        if op.name == "create":
            self._rename(op.file, "", File())
        elif op.name == "rename":
            self._rename(op.to, op.file, self.now[op.file])
        elif op.name == "unlink":
            self._rename("", op.file, None)
        elif op.name == "sync_directory":
            self.safe, self.pending = dict(self.now), []
        elif op.name == "sync_parent":
            self.is_there = True
        elif op.file in self.now:
            self.now[op.file].apply(op)

    def _rename(self, name: str, gone: str, file: File | None) -> None:
        self.pending.append((name, gone, file))
        self.now = _named(self.now, self.pending[-1:])

    def states(self, dice: Random, count: int) -> Iterator[State]:
        """At most about `count` states that are short to describe, then as many drawn by chance.

        Some may be the same."""
        if not self.is_there:
            yield {}
        pending = self.pending
        subsets = [pending, [], *([entry] for entry in pending),
                   *(pending[:n] + pending[n + 1:] for n in range(len(pending)))]
        seams = []
        for subset in subsets:
            names = _named(self.safe, subset)
            yield {name: file.now for name, file in names.items()}
            yield {name: file.safe for name, file in names.items()}
            if len(subset) in (0, len(pending)):
                seams += self._seams(names)
        yield from seams if len(seams) <= count else dice.sample(seams, count)
        dirty = [file for file in self.now.values() if file.pending]
        if not pending and not dirty:
            return
        for _ in range(count):
            names = _named(self.safe, dice.choice(subsets) if dice.random() < 0.5 else
                           [entry for entry in pending if dice.random() < 0.5])
            yield {name: file.draw(dice) if file.pending else file.safe
                   for name, file in names.items()}

    @staticmethod
    def _seams(names: dict[str, File]) -> list[State]:
        """States with one file as each of its short list, and the others as now or as synced."""
        found = []
        for name, file in names.items():
            if file.pending:
                now = {other: file.now for other, file in names.items()}
                safe = {other: file.safe for other, file in names.items()}
                for one in file.seams():
                    found += [now | {name: one}, safe | {name: one}]
        return found


def _named(names: dict[str, File], entries: list[tuple[str, str, File | None]]) -> dict[str, File]:
    found = dict(names)
    for name, gone, file in entries:
        found.pop(gone, None)
        if file is not None:
            found[name] = file
    return found


class MemoryDisk(Disk):
    """A disk that holds a state in memory.

    The files of segments, which dbm opens by itself, are in a real directory."""

    def __init__(self, directory: str) -> None:
        super().__init__()
        self.directory = directory
        self.files: State = {}
        self.real: State = {}  # what was laid into the directory
        self.opened: dict[int, str] = {}
        self.is_new = False
        self.next_fd = 1 << 30

    def lay(self, state: State) -> None:
        """Start from this; {} is no directory at all."""
        self.opened.clear()
        self.is_new = not state
        self.files = {name: found
                      for name, found in state.items() if not name.startswith("segment.")}
        real = {name: found for name, found in state.items() if name.startswith("segment.")}
        for name in os.listdir(self.directory):
            if real.get(name) != self.real.get(name) or name not in real:
                os.unlink(os.path.join(self.directory, name))
                self.real.pop(name, None)
        for name, found in real.items():
            if name not in self.real:
                with open(os.path.join(self.directory, name), "wb") as file:
                    file.write(found.whole())
                self.real[name] = found

    def whole(self) -> frozenset[tuple[str, Content | None]]:
        """The whole state, to tell whether two are the same.  (Old segments are never modified.)"""
        return frozenset([*self.files.items(),
                          *((name, None) for name in os.listdir(self.directory))])

    def is_real(self, path: str) -> bool:
        return os.path.basename(path).startswith("segment.")

    def _fd(self, path: str) -> int:
        self.next_fd += 1
        self.opened[self.next_fd] = os.path.basename(path)
        return self.next_fd

    def create(self, path: str) -> int:
        name = os.path.basename(path)
        if name in self.files:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        self.files[name] = Content()
        return self._fd(path)

    def open(self, path: str) -> int:
        if os.path.basename(path) not in self.files:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return self._fd(path)

    def hold(self, path: str) -> int:
        return self._fd(path)

    def close(self, fd: int) -> None:
        del self.opened[fd]

    def read(self, path: str) -> bytes:
        found = self.files.get(os.path.basename(path))
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return found.whole()

    def forget(self, path: str) -> None:
        pass

    def write(self, fd: int, data: bytes | bytearray | memoryview, offset: int) -> int:
        name = self.opened[fd]
        self.files[name] = self.files[name].written(offset, trimmed(bytes(data)), len(data))
        return len(data)

    def truncate(self, fd: int, size: int) -> None:
        self.files[self.opened[fd]] = self.files[self.opened[fd]].cut(size)

    def datasync(self, fd: int) -> None:
        assert fd in self.opened

    sync = datasync

    def sync_directory(self, path: str) -> None:
        pass

    def rename(self, old: str, new: str) -> None:
        self.files[os.path.basename(new)] = self.files.pop(os.path.basename(old))
        for fd, name in self.opened.items():
            if name == os.path.basename(old):
                self.opened[fd] = os.path.basename(new)

    def unlink(self, path: str) -> None:
        if self.is_real(path):
            super().unlink(path)
            self.real.pop(os.path.basename(path), None)
        elif self.files.pop(os.path.basename(path), None) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    def listdir(self, path: str) -> list[str]:
        return sorted([*self.files, *os.listdir(self.directory)])

    def size(self, path: str) -> int:
        if self.is_real(path):
            return super().size(path)
        return self.files[os.path.basename(path)].size

    def free(self, path: str) -> int:
        return 1 << 40

    capacity = free

    def make_directory(self, path: str) -> None:
        if not self.is_new:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        self.is_new = False

    def is_private(self, path: str) -> bool:
        return True

    def lock(self, path: str) -> int:
        self.files.setdefault(os.path.basename(path), Content())
        return self._fd(path)
