"""sockets: the file of a Unix socket: made, looked at, removed.

Promises.  The daemon makes a socket's file with mode 0600 in a directory of mode 0700, or open to a
group or to everybody, as the operator asked.  The directory belongs to the daemon's user or to
root, and nobody else can replace a file in it.  The daemon removes a file in two cases only: nobody
listens at it, or it is the very file that this daemon made (the same device and inode).

How it works.  bind(2) fails where a file is, so two daemons never share one.  The daemon recognises
a file that a killed daemon left by connecting to it: the kernel refuses.  The kernel also refuses
between bind(2) and listen(2), so a starting daemon could take another starting one for dead.  Hence
it locks the directory, flock(2), from the look to listen(2).  The kernel gives the inode of a
socket's file to no other file while the socket is open, so comparing inodes is enough.

Bad at: a program that makes a socket at the same path without the lock, such as parleyd 0.1.
"""
from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterator

from net.address import Address, parents
from net.places import foreign

BACKLOG = 4096              # callers in the kernel's queue; the kernel has a limit too (somaxconn)
LOCK_SECONDS = 5.0          # for the lock of a directory: it is held for less than a millisecond
LOCK_PAUSE = 0.01           # between two tries

File = tuple[int, int]      # its device and inode


def open_listener(where: Address, mode: int = 0o600,
                  patience: float = LOCK_SECONDS) -> socket.socket:
    """A listening socket; a Unix socket with this mode.  `patience`: seconds to wait for the lock.

    Raises OSError."""
    if not where.path:
        family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
        return socket.create_server((where.host, where.port), family=family, backlog=BACKLOG)
    directory = os.path.dirname(where.path) or "."
    if whose := foreign(where):
        raise PermissionError(errno.EPERM, f"{whose}: root can remove it")
    _own_directory(directory, 0o700 | _entering(mode), with_parents=not where.default)
    with _locked(directory, patience):
        _remove_stale(where.path)
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(where.path)
            os.chmod(where.path, mode)
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
    return listener


def file_at(path: str) -> File | None:
    """The file that is at this path; None if there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def remove(path: str, file: File | None) -> None:
    """Remove the socket's file if it is still this one.  The socket must still be open."""
    if file is not None and file_at(path) == file:
        with contextlib.suppress(OSError):
            os.unlink(path)


def set_mode(path: str, file: File | None, mode: int) -> None:
    """Give the socket's file this mode if it is still this one, and no link to another."""
    with contextlib.suppress(OSError):
        fd = os.open(path, getattr(os, "O_PATH", 0) | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = os.fstat(fd)
            if (found.st_dev, found.st_ino) == file:
                os.chmod(f"/proc/self/fd/{fd}", mode)
        finally:
            os.close(fd)


def _entering(mode: int) -> int:
    """The bits of its directory that the users of a socket of this mode need."""
    return (mode & 0o066) >> 1 & 0o011


def shut_directory(where: Address, mode: int) -> str:
    """The first directory on the way that shuts out users of this socket; "" if none does."""
    for directory in reversed(parents(where.path)) if where.path else ():
        if _entering(mode) & ~os.stat(directory).st_mode:
            return directory
    return ""


def _own_directory(directory: str, mode: int, with_parents: bool) -> None:
    """Make the directory, or check it: it must not be another user's, nor writable by others."""
    with contextlib.suppress(FileExistsError):
        (os.makedirs if with_parents else os.mkdir)(directory, 0o700)
        os.chmod(directory, mode)
    for status in (os.lstat(directory), os.stat(directory)):
        if status.st_uid not in (os.geteuid(), 0):
            raise PermissionError(errno.EPERM, f"{directory} belongs to another user")
    if status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX:
        raise PermissionError(errno.EPERM, f"others may write in {directory}: chmod go-w it")


@contextlib.contextmanager
def _locked(directory: str, patience: float) -> Iterator[None]:
    """Hold the lock of a directory, where the file system has locks.  Raises OSError."""
    until, held = time.monotonic() + patience, -1
    try:
        while held < 0:
            held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(held)
                held = -1
                if time.monotonic() >= until:
                    reason = f"another process holds the lock of {directory}"
                    raise OSError(errno.EAGAIN, reason) from None
                time.sleep(LOCK_PAUSE)
            except OSError:
                break
        yield
    finally:
        if held >= 0:
            os.close(held)


def _remove_stale(path: str) -> None:
    """Unlink a socket that nobody listens at any more, and no other file.  Raises OSError."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise FileExistsError(errno.EEXIST, "a file that is no socket is there")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except FileNotFoundError:
            return
        except BlockingIOError:
            pass                        # somebody listens, and has too many callers
    raise OSError(errno.EADDRINUSE, "Address already in use")
