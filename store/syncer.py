"""syncer: fsync and fdatasync in child processes, so that the loop never waits for the disk.

Promises
    From the beginning of a sync to the call that says that it has ended nothing blocks, however
    slow the disk is.  "Ended" means what fsync means.  An error of the disk is raised as the
    OSError that it was, once.

How it works
    Two children are forked before anything else is open: one makes the journal's fdatasyncs, for
    which users wait, and one the fsyncs of sealing.  Each holds one end of a socketpair.  One byte
    asks for one sync of the descriptor that came last; the answer is its errno, 0 for done.  A
    descriptor comes by itself, after a byte that announces it (SCM_RIGHTS passes the same open
    file, so whichever process syncs sees its errors).  Each child makes one sync at a time; what is
    written meanwhile waits for the next one.
    A thread would do too, but it takes turns with the loop for the interpreter: 40 to 90 us more
    for each sync, measured.
    dbm files are opened in a process of their own too, for another reason: library.py.

How it fails
    Failed, when a child is gone, even if it had nothing to do.  A child that was killed may have
    taken an error with it; the kernel reports that once for each open file, so no other child could
    find out.  The daemon ends, as for any failed sync.
    A child that is stopped looks like a slow disk.  The children end when the daemon does, however
    that ends; signals that mean the daemon do not end them.
    OSError at the beginning, where the host refuses a process.  The daemon then syncs in its loop
    (startup.py).

Bad at
    Anything that is not a sync.  dbm.sqlite3 and dbm.gnu sync by themselves what they write, in the
    loop.  A write may wait where the system has no memory for it.  The reserve is synced in the
    loop when a full disk has room again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterator

from store.disk import WAIT, Disk, Failed, SystemCalls
from store.library import Database, Library, alone

ANSWER = struct.Struct("!i")
ALL, DATA = b"\0", b"\1"  # the requests: fsync, fdatasync
HOLD = b"\2"  # a descriptor follows


class Child:
    """A process that syncs.  Make it before any descriptor is open."""

    def __init__(self) -> None:
        self.line, theirs = socket.socketpair()
        self._answer = b""  # taken from the line, and not yet asked for
        try:
            self.pid = os.fork()
        except OSError:
            self.line.close()
            theirs.close()
            raise
        if not self.pid:
            _serve(theirs)
        theirs.close()

    def ask(self, what: bytes, fd: int | None) -> None:
        """Begin a sync, of the same file as the last time if no descriptor is given."""
        try:
            if fd is not None:
                self.line.send(HOLD)
                socket.send_fds(self.line, [HOLD], [fd])
            self.line.send(what)
        except ConnectionError as error:
            raise self._gone() from error

    def take(self) -> None:
        """Wait for the answer, and take it.  Raises Failed when there will be none."""
        try:
            self._answer = self.line.recv(ANSWER.size)
        except ConnectionError as error:
            raise self._gone() from error
        if not self._answer:
            raise self._gone()

    def _gone(self) -> Failed:
        return Failed(f"the process that syncs (pid {self.pid}) is gone, and with it what it was "
                      "last told; what the disk holds shows at the next start")

    def has_ended(self) -> bool:
        """Whether the sync has ended.  Raises the OSError that the answer tells of."""
        if not self._answer:
            return False
        answer, self._answer = self._answer, b""
        (error,) = ANSWER.unpack(answer)
        if error:
            raise OSError(error, os.strerror(error))
        return True

    def end(self) -> None:
        self.line.close()
        os.waitpid(self.pid, 0)


class BackgroundDisk(Disk):
    """A disk whose syncs are made by child processes."""

    def __init__(self) -> None:
        super().__init__()
        # If the host refuses one process, those that were made before it end.
        with contextlib.ExitStack() as made:
            self._journal = Child()
            made.callback(self._journal.end)
            self._tasks = Child()
            made.callback(self._tasks.end)
            self._library = Library()
            made.pop_all()
        self._key = -1  # of the journal whose descriptor the child has
        self.children = self._journal.pid, self._tasks.pid, self._library.pid
        self.ready = [(child.line.fileno(), child.take) for child in (self._journal, self._tasks)]

    def begin_datasync(self, key: int, fd: int) -> bool:
        self._journal.ask(DATA, None if key == self._key else fd)
        self._key = key
        return False

    def datasync_ended(self, wait: bool = False) -> bool:
        if self._journal.has_ended():
            return True
        if wait:
            self._journal.take()
        return wait and self._journal.has_ended()

    def syncing(self, fd: int) -> Iterator[object]:
        self._tasks.ask(ALL, fd)
        while not self._tasks.has_ended():
            yield WAIT

    def syncing_directory(self, path: str) -> Iterator[object]:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            yield from self.syncing(fd)
        finally:
            os.close(fd)

    def database(self, backend: str, path: str, flag: str) -> Database:
        self.look(os.path.dirname(path))
        return self._library.open(backend, path, flag)

    def wait(self) -> None:
        self._tasks.take()

    def end(self) -> None:
        self._journal.end()
        self._tasks.end()
        self._library.end()


def _serve(line: socket.socket) -> None:
    """The child's process; never returns."""
    try:
        alone(line.fileno(), b"parleyd-sync")
        disk, held = SystemCalls(), -1
        while True:
            asked, error = line.recv(1), 0
            if not asked:
                break
            if asked == HOLD:  # passing a descriptor takes longer than the rest, and is rare
                if held >= 0:
                    os.close(held)
                held = _descriptor(line)
                continue
            try:
                if asked == DATA:
                    disk.datasync(held)
                else:
                    disk.sync(held)
                    os.close(held)  # the file may be unlinked: then its room is free
                    held = -1
            except OSError as failed:
                error = failed.errno or errno.EIO
            line.send(ANSWER.pack(error))
    finally:
        os._exit(0)


def _descriptor(line: socket.socket) -> int:
    """The descriptor that was announced.  Raises EOFError.

    The daemon announces it again for each time that it could not send it."""
    while True:
        announced, descriptors, _, _ = socket.recv_fds(line, 1, 1)
        if descriptors:
            return descriptors[0]
        if not announced:
            raise EOFError("the daemon is gone")
