"""Every touch of the disk, in one small object that is passed in.

Promises: files are created new (O_EXCL), 0600, never through a link, closed on exec; directories are 0700.
Works by being thin: one method is one system call or the few that belong together, so that a test can put an object
of its own in this place that records, fails or reorders them.  Nothing else calls fsync, fdatasync, rename or unlink.
Fails with OSError; what an error means is decided above (journal.py, mailbox.py).  With CannotCreate
when a file system can't sync a directory at all, as CIFS.  And with Failed when a directory whose lock is held was
moved or replaced, or its lock was: every name in it is then another's, and none is touched.
Is bad at: dbm.  The backends of the standard library open and write their files themselves; the segments are synced
here, through descriptors that were held before the writing (`hold`), but their writes do not pass this door, so a
recorder sees them only when they are synced.

On macOS fsync leaves the data in the drive's cache: F_FULLFSYNC is used there.

The errors of the store are declared here too, since everything above needs them.  Each is one line of text that says
what to do, and a code of sysexits(3) for the daemon to exit with.
"""

from __future__ import annotations

import errno
import fcntl
import importlib
import os
import stat
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

READ_SIZE = 1 << 20  # bytes asked for in one read
SECTOR = 4096  # bytes, the least that is read or lost at once
CANNOT = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF)  # a file system that doesn't do that
WAIT = object()  # a step of a task: only the disk can help
T = TypeVar("T")


class StoreError(Exception):
    """What the store cannot do; `code` is the daemon's exit status."""

    code = os.EX_IOERR


class Damaged(StoreError):
    """What is on the disk is not what was written."""

    code = os.EX_DATAERR

    def __init__(self, file: str, offset: int, what: str = "damaged") -> None:
        super().__init__(f"{file}, offset {offset}: {what}; copy what is valid with --salvage DIR")
        self.file, self.offset, self.what = file, offset, what


class OtherVersion(Damaged):
    """Whole, but written by another version of this program: nothing in it is what it would be taken for."""

    def __init__(self, file: str, version: int) -> None:
        what = f"version {version} is not one that this program reads"
        StoreError.__init__(self, f"{file}: {what}")
        self.file, self.offset, self.what = file, 0, what


class Failed(StoreError):
    """The disk did not keep its word; what it holds is known only after a restart.  Never retried."""

    code = os.EX_SOFTWARE


class InUse(StoreError):
    code = os.EX_TEMPFAIL


class Denied(StoreError):
    code = os.EX_NOPERM


class CannotCreate(StoreError):
    code = os.EX_CANTCREAT


class NoBackend(StoreError):
    code = os.EX_UNAVAILABLE


Identity = tuple[int, int]


class Held(NamedTuple):
    """A directory whose lock we have."""

    fd: int
    directory: Identity
    lock: str  # its path
    file: Identity


def identity(path: str) -> Identity:
    """What stays the same as long as it is the same file, whatever its name."""
    found = os.stat(path, follow_symlinks=False)
    return found.st_dev, found.st_ino


class Disk:
    """The system calls of the store.  Every path is whole; every error is an OSError."""

    _locks: dict[str, Held] = {}  # by directory: whose lock we have  # noqa: RUF012 replaced, never changed

    def look(self, directory: str) -> None:
        """Is this directory, if we have its lock, still the one that it was?  Raises Failed."""
        held = self._locks.get(directory)
        if held:
            try:
                found = identity(directory), identity(held.lock)
            except OSError:
                found = None
            if found != (held.directory, held.file):
                raise Failed(f"{directory} was moved, removed or replaced, or its lock was, while it was in use; what "
                             "is there now is left as it is")

    def create(self, path: str) -> int:
        self.look(os.path.dirname(path))
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def open(self, path: str) -> int:
        self.look(os.path.dirname(path))
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)

    def close(self, fd: int) -> None:
        self._locks = {name: held for name, held in self._locks.items() if held.fd != fd}
        os.close(fd)

    def read(self, path: str) -> bytes:
        """The whole file, from the disk itself where the system can be told to forget its copy."""
        self.look(os.path.dirname(path))
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            _forget(fd)
            parts = []
            while part := os.read(fd, READ_SIZE):
                parts.append(part)
            return b"".join(parts)
        finally:
            os.close(fd)

    def read_around(self, path: str) -> tuple[bytes, int]:
        """The whole file as far as it can be read, zeros in place of the rest; how many bytes that is."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            _forget(fd)
            parts, bad = [], 0
            for at in range(0, os.fstat(fd).st_size, SECTOR):
                try:
                    parts.append(os.pread(fd, SECTOR, at))
                except OSError:
                    parts.append(bytes(min(SECTOR, os.fstat(fd).st_size - at)))
                    bad += len(parts[-1])
            return b"".join(parts), bad
        finally:
            os.close(fd)

    def forget(self, path: str) -> None:
        """Ask that the next reader of this file reads the disk: a page that never reached it must not be believed."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            _forget(fd)
        finally:
            os.close(fd)

    def write(self, fd: int, data: bytes | bytearray | memoryview, offset: int) -> int:
        """One pwrite; how many bytes it took, which may be fewer than asked."""
        return os.pwrite(fd, data, offset)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def datasync(self, fd: int) -> None:
        """The file's bytes, and its size, are on the disk."""
        if sys.platform == "darwin":
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        else:
            os.fdatasync(fd)

    ready: Sequence[tuple[int, Callable[[], None]]] = ()
    """Descriptors that are readable when a sync has ended, and what is to be called then."""

    def begin_datasync(self, key: int, fd: int) -> bool:
        """Begin a datasync; has it ended?  Here it has; in syncer.py not yet.  `key` tells one file from the next."""
        self.datasync(fd)
        return True

    def datasync_ended(self, wait: bool = False) -> bool:
        """Has the one that was begun ended?  Its OSError comes out here, or at its beginning."""
        return True

    def syncing(self, fd: int) -> Iterator[object]:
        """`sync` as steps of a task: between a step WAIT and the next the disk has the word, and nobody need wait."""
        self.sync(fd)
        return iter(())

    def syncing_directory(self, path: str) -> Iterator[object]:
        """The same for `sync_directory`."""
        self.sync_directory(path)
        return iter(())

    def at_once(self, task: Generator[object, None, T]) -> T:
        """Do all steps of a task, waiting for the disk; what it returns."""
        try:
            while True:
                if next(task) is WAIT:
                    self.wait()
        except StopIteration as end:
            value: T = end.value
            return value

    def wait(self) -> None:
        """Behind a step WAIT of a task: until the next can be taken."""

    def end(self) -> None:
        """Nothing more is asked."""

    def sync(self, fd: int) -> None:
        if sys.platform == "darwin":
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        else:
            os.fsync(fd)

    def hold(self, path: str) -> int:
        """A descriptor whose fsync tells of each write to this file that fails from now on, whoever wrote it.  The
        kernel tells of a failed write once to each descriptor that was open when it failed: a library that syncs and
        passes over the error takes it away from descriptors that are opened later."""
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def file_number(self, path: str) -> int:
        """The inode: the same name may be another file by now."""
        return os.stat(path, follow_symlinks=False).st_ino

    def database(self, backend: str, path: str, flag: str) -> Any:
        """A dbm file, as dbm.open gives it; `flag` is "r", or "n" for a new one."""
        self.look(os.path.dirname(path))
        return importlib.import_module(backend).open(path, flag, 0o600)

    def sync_directory(self, path: str) -> None:
        """The names in a directory are on the disk: after a create, a rename, an unlink."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        except OSError as error:
            if error.errno in CANNOT:
                raise CannotCreate(f"{path}: its file system can't sync a directory, so what is acknowledged would not "
                                   "survive a power cut: choose another place with --state") from error
            raise
        finally:
            os.close(fd)

    def rename(self, old: str, new: str) -> None:
        self.look(os.path.dirname(new))
        os.rename(old, new)

    def unlink(self, path: str) -> None:
        self.look(os.path.dirname(path))
        os.unlink(path)

    def listdir(self, path: str) -> list[str]:
        self.look(path)
        return sorted(os.listdir(path))

    def size(self, path: str) -> int:
        self.look(os.path.dirname(path))
        return os.stat(path, follow_symlinks=False).st_size

    def free(self, path: str) -> int:
        """Bytes that this user may still write on the file system of `path`; some are for root alone."""
        room = os.statvfs(path)
        return (room.f_bavail if os.geteuid() else room.f_bfree) * room.f_frsize

    def capacity(self, path: str) -> int:
        """How many bytes that file system has in all."""
        room = os.statvfs(path)
        return room.f_blocks * room.f_frsize

    def make_directory(self, path: str) -> None:
        os.mkdir(path, 0o700)

    def is_private(self, path: str) -> bool:
        """A real directory, ours, closed to everybody else."""
        found = os.stat(path, follow_symlinks=False)
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077

    def lock(self, path: str) -> int:
        """A descriptor that holds the lock until it is closed; BlockingIOError when another holds it."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            directory = os.path.dirname(path)
            held = Held(fd, identity(directory), path, identity(path))
        except OSError:
            os.close(fd)
            raise
        self._locks = {**self._locks, directory: held}
        return fd


def _forget(fd: int) -> None:
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
