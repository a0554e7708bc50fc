"""disk: every touch of the disk, in one small object that is passed in.

Promises
    The store creates a file new (O_EXCL), with mode 0600, never through a link, and closed on exec;
    a directory has mode 0700.
How it works
    It is thin: one method is one system call, or the few that belong together.  A test passes in an
    object of its own that records the calls, fails them or reorders them.  Nothing else calls
    fsync, fdatasync, rename or unlink.  `SystemCalls` has the calls themselves, each of which
    returns when it is done.  `Disk` adds the syncs that the store begins, and hears of later:
    `Disk` itself waits for them, BackgroundDisk (syncer.py) does not.  On macOS fsync leaves the
    data in the drive's cache, so F_FULLFSYNC is used there.
How it fails
    OSError: the callers (journal.py, mailbox.py) decide what an error means.  CannotCreate: the
    file system, such as CIFS, can't sync a directory at all.  Failed: a directory whose lock we
    hold was moved or replaced, or its lock file was.  Every name in it then belongs to somebody
    else, and the store touches none of them.
Bad at
    dbm.  The libraries open and write their files themselves, so a recorder does not see their
    writes, only the syncs: the store syncs segments through descriptors that it opened before the
    library wrote (`hold`).

The errors of the store are declared here too, since every module above needs them.  Each is one
line of text that says what to do, and has a code of sysexits(3) for the daemon to exit with.
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
SECTOR = 4096  # bytes: the least that a disk reads or loses at once
CANNOT = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF)  # fsync is not supported
GUARDED = os.O_CLOEXEC | os.O_NOFOLLOW
WAIT = object()  # a task yields this step when only the disk can help it on
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
    """The file is whole, but another version of this program wrote it; this one cannot read it."""

    def __init__(self, file: str, version: int) -> None:
        what = f"version {version} is not one that this program reads"
        StoreError.__init__(self, f"{file}: {what}")
        self.file, self.offset, self.what = file, 0, what


class Failed(StoreError):
    """The disk broke its promise, and only the next start can find out what it holds.

    Nothing is tried again after it."""

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
    """A directory whose lock we hold."""

    fd: int
    directory: Identity
    lock: str  # its path
    file: Identity


def identity(path: str) -> Identity:
    """What a file keeps under whatever name: device and inode."""
    found = os.stat(path, follow_symlinks=False)
    return found.st_dev, found.st_ino


class Locks:
    """The directories whose locks we hold."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}  # by directory

    def add(self, fd: int, path: str) -> None:
        """`fd` holds the lock file at `path`, and so the directory of it."""
        directory = os.path.dirname(path)
        self._held[directory] = Held(fd, identity(directory), path, identity(path))

    def drop(self, fd: int) -> None:
        """`fd` is closed: its lock, if it was one, is free."""
        for directory, held in list(self._held.items()):
            if held.fd == fd:
                del self._held[directory]

    def look(self, directory: str) -> None:
        """Raise Failed if we hold this directory's lock, and the directory is another by now."""
        held = self._held.get(directory)
        if held:
            try:
                found = identity(directory), identity(held.lock)
            except OSError:
                found = None
            if found != (held.directory, held.file):
                raise Failed(f"{directory} was moved, removed or replaced, or its lock was, while "
                             "it was in use; what is there now is left as it is")


class SystemCalls:
    """The system calls of the store.  Every path is absolute; every error is an OSError."""

    def __init__(self) -> None:
        self._locks = Locks()

    # Files, by descriptor

    def create(self, path: str) -> int:
        """A descriptor of a new file.  Raises FileExistsError."""
        self.look(os.path.dirname(path))
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | GUARDED, 0o600)

    def open(self, path: str) -> int:
        """A descriptor of an existing file, to read and write it."""
        self.look(os.path.dirname(path))
        return os.open(path, os.O_RDWR | GUARDED)

    def hold(self, path: str) -> int:
        """Open a descriptor whose fsync tells of every write to this file that fails from now on.

        It does so whichever process wrote.  The kernel tells of a failed write once to each
        descriptor that was open when it failed.  A library that syncs and ignores the error takes
        it away from descriptors that are opened later."""
        return os.open(path, os.O_RDONLY | GUARDED)

    def close(self, fd: int) -> None:
        self._locks.drop(fd)
        os.close(fd)

    def write(self, fd: int, data: bytes | bytearray | memoryview, offset: int) -> int:
        """One pwrite; returns how many bytes it took, which may be fewer than asked."""
        return os.pwrite(fd, data, offset)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def datasync(self, fd: int) -> None:
        """Put the file's bytes, and its size, on the disk."""
        if sys.platform == "darwin":
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        else:
            os.fdatasync(fd)

    def sync(self, fd: int) -> None:
        """Put the file's bytes and all its metadata on the disk."""
        if sys.platform == "darwin":
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        else:
            os.fsync(fd)

    # Whole files, by path

    def read(self, path: str) -> bytes:
        """The whole file, from the disk itself where the system can be told to forget its copy."""
        self.look(os.path.dirname(path))
        fd = os.open(path, os.O_RDONLY | GUARDED)
        try:
            _forget(fd)
            parts = []
            while part := os.read(fd, READ_SIZE):
                parts.append(part)
            return b"".join(parts)
        finally:
            os.close(fd)

    def read_around(self, path: str) -> tuple[bytes, int]:
        """The whole file, zeros in place of unreadable sectors; and how many bytes those have."""
        fd = os.open(path, os.O_RDONLY | GUARDED)
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
        """Ask the system to forget its copy of this file: a page that never reached the disk must
        not be believed."""
        fd = os.open(path, os.O_RDONLY | GUARDED)
        try:
            _forget(fd)
        finally:
            os.close(fd)

    def file_number(self, path: str) -> int:
        """The inode: by now the name may belong to another file."""
        return os.stat(path, follow_symlinks=False).st_ino

    def size(self, path: str) -> int:
        """The size of a file in bytes."""
        self.look(os.path.dirname(path))
        return os.stat(path, follow_symlinks=False).st_size

    def database(self, backend: str, path: str, flag: str) -> Any:
        """Open a dbm file, as dbm.open does; `flag` is "r", or "n" for a new one."""
        self.look(os.path.dirname(path))
        return importlib.import_module(backend).open(path, flag, 0o600)

    # Directories

    def rename(self, old: str, new: str) -> None:
        self.look(os.path.dirname(new))
        os.rename(old, new)

    def unlink(self, path: str) -> None:
        self.look(os.path.dirname(path))
        os.unlink(path)

    def listdir(self, path: str) -> list[str]:
        """The names in a directory, sorted."""
        self.look(path)
        return sorted(os.listdir(path))

    def sync_directory(self, path: str) -> None:
        """Put the names in a directory on the disk, after a create, a rename or an unlink."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        except OSError as error:
            if error.errno in CANNOT:
                raise CannotCreate(
                    f"{path}: its file system can't sync a directory, so what is acknowledged "
                    "would not survive a power cut: choose another place with --state") from error
            raise
        finally:
            os.close(fd)

    def make_directory(self, path: str) -> None:
        os.mkdir(path, 0o700)

    def is_private(self, path: str) -> bool:
        """Whether this is a real directory, ours, closed to everybody else."""
        found = os.stat(path, follow_symlinks=False)
        is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
        return is_ours and not found.st_mode & 0o077

    def lock(self, path: str) -> int:
        """A descriptor that holds the lock until it is closed.

        Raises BlockingIOError when another process holds it."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | GUARDED, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._locks.add(fd, path)
        except OSError:
            os.close(fd)
            raise
        return fd

    def look(self, directory: str) -> None:
        """Raise Failed if we hold this directory's lock, and the directory is another by now."""
        self._locks.look(directory)

    # The file system

    def free(self, path: str) -> int:
        """Bytes that this user may still write on this file system; some are for root alone."""
        room = os.statvfs(path)
        return (room.f_bavail if os.geteuid() else room.f_bfree) * room.f_frsize

    def capacity(self, path: str) -> int:
        """The size of that file system in bytes."""
        room = os.statvfs(path)
        return room.f_blocks * room.f_frsize


class Disk(SystemCalls):
    """The system calls, and the syncs that the store begins and hears of later.

    This class waits for each sync at its beginning; BackgroundDisk (syncer.py) does not."""

    ready: Sequence[tuple[int, Callable[[], None]]] = ()
    """Descriptors that are readable when a sync has ended, and what the loop must call then."""

    children: Sequence[int] = ()
    """The pids of the processes that work for this disk, and end with this one."""

    def begin_datasync(self, key: int, fd: int) -> bool:
        """Begin a datasync; whether it has ended already.  `key` tells one file from the next."""
        self.datasync(fd)
        return True

    def datasync_ended(self, wait: bool = False) -> bool:
        """Whether that datasync has ended.  Its OSError is raised here, or at its beginning."""
        return True

    # A task is a generator.  When it yields WAIT, the disk works on; the loop need not wait for
    # that.

    def syncing(self, fd: int) -> Iterator[object]:
        """`sync` as the steps of a task."""
        self.sync(fd)
        return iter(())

    def syncing_directory(self, path: str) -> Iterator[object]:
        """`sync_directory` as the steps of a task."""
        self.sync_directory(path)
        return iter(())

    def wait(self) -> None:
        """After a step WAIT of a task: return when the task can take the next one."""

    def at_once(self, task: Generator[object, None, T]) -> T:
        """Take all steps of a task, waiting for the disk; returns what the task returns."""
        try:
            while True:
                if next(task) is WAIT:
                    self.wait()
        except StopIteration as end:
            value: T = end.value
            return value

    def end(self) -> None:
        """Nothing more will be asked of this disk."""


def _forget(fd: int) -> None:
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
