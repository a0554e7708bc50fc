"""private: files that belong to one user alone, on whatever file system the home directory is.

Mode 0600 in a directory of mode 0700, owned by this user, no link to elsewhere.  Several clients of
one user may write to one file: each locks it while it does.
"""
from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator

LOCK_SECONDS = 1.0          # for another client of the same user to write what it is writing
LOCK_STEP = 0.01            # seconds between two tries
# How a file system says that it can't sync directories.
CANNOT = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF)


def private_directory(path: str) -> int:
    """Make a directory for this user alone, with missing parents, and open it.  Raises OSError."""
    parent = os.path.dirname(path)
    if parent and not os.path.exists(parent):
        os.close(private_directory(parent))
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if found.st_uid != os.geteuid():
            raise PermissionError(1, "its directory is another user's")
        if stat.S_IMODE(found.st_mode) & 0o077:
            os.fchmod(fd, 0o700)
    except BaseException:
        os.close(fd)
        raise
    return fd


def check_private(fd: int) -> None:
    """Raises PermissionError for a file that others can reach; takes away their rights to it."""
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_nlink > 1:
        raise PermissionError(1, "it is no file of this user alone")
    if stat.S_IMODE(found.st_mode) & 0o077:
        os.fchmod(fd, 0o600)


def sync(fd: int) -> None:
    """fsync(2); on macOS also out of the drive's cache."""
    full: int | None = getattr(fcntl, "F_FULLFSYNC", None)
    if full is None:
        os.fsync(fd)
    else:
        fcntl.fcntl(fd, full)


def sync_name(fsync: Callable[[int], None], directory: int) -> None:
    """Sync the name of a new file.

    Some file systems, such as CIFS, can't: there the server keeps a name as soon as it is made."""
    try:
        fsync(directory)
    except OSError as error:
        if error.errno not in CANNOT:
            raise


@contextlib.contextmanager
def locked(fd: int) -> Iterator[None]:
    """While this lasts no other client of the same user writes.

    Raises OSError if another client does not finish within LOCK_SECONDS."""
    until = time.monotonic() + LOCK_SECONDS
    while not lock(fd):
        if time.monotonic() > until:
            raise OSError(errno.EAGAIN, "another client is writing there")
        time.sleep(LOCK_STEP)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)


def lock(fd: int) -> bool:
    """Lock it until it is closed, unless another client has; whether it is.  A file system without
    locks counts as locked."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True
