"""syncer: fdatasync in a child process, so that the loop never waits for the disk.

Promises
    Between `begin_datasync` and the `datasync_ended` that answers True nothing blocks, however slow the disk is.  True
    means what fdatasync means.  An error of the disk comes out as the OSError that it was, once.
Works by
    a child, forked before anything else is open, that holds one end of a socketpair.  A byte asks for one fdatasync of
    the descriptor that came along last (SCM_RIGHTS: the same open file, so that errors are seen by whoever syncs); the
    answer is its errno, 0 for done.  One is under way at a time; what is written meanwhile is for the next.  A thread
    would do too, but takes turns with the loop for the interpreter: 40 to 90 us more for each, measured.
Fails with
    OSError EIO when the child is gone: then nobody knows what was synced, and the daemon ends as for any failed sync.
    The child ends when the daemon does, however that ends; signals that mean the daemon are not for it.
Is bad at
    nothing else is moved: fsyncs of sealing are still made in the loop.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
import struct

from disk import Disk

ANSWER = struct.Struct("!i")
GONE = b"-"  # in place of an answer


class BackgroundDisk(Disk):
    """The disk, with the journal's fdatasyncs made by a child process.  Make it before any descriptor is open."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair()
        self._key = -1  # of the file whose descriptor the child has
        self._answer = b""  # that was taken from the line before it was asked for
        self._child = os.fork()
        if not self._child:
            _serve(theirs)
        theirs.close()
        self.ready = self._line.fileno()

    def begin_datasync(self, key: int, fd: int) -> bool:
        if key == self._key:
            self._line.send(b"\0")
        else:
            socket.send_fds(self._line, [b"\0"], [fd])
            self._key = key
        return False

    def take(self) -> None:
        self._answer = self._line.recv(ANSWER.size) or GONE

    def datasync_ended(self, wait: bool = False) -> bool:
        if not self._answer:
            if not wait:
                return False
            self.take()
        answer, self._answer = self._answer, b""
        if answer == GONE:
            raise OSError(errno.EIO, "the process that syncs is gone")
        (error,) = ANSWER.unpack(answer)
        if error:
            raise OSError(error, os.strerror(error))
        return True

    def end(self) -> None:
        self._line.close()
        os.waitpid(self._child, 0)


def _serve(line: socket.socket) -> None:
    """The child: never returns."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        _close_all_but(line.fileno())
        disk, held = Disk(), -1
        while True:
            asked, descriptors, _, _ = socket.recv_fds(line, 1, 1)
            if not asked:
                break
            if descriptors:
                if held >= 0:
                    os.close(held)
                (held,) = descriptors
            error = 0
            try:
                disk.datasync(held)
            except OSError as failed:
                error = failed.errno or errno.EIO
            line.send(ANSWER.pack(error))
    finally:
        os._exit(0)


def _close_all_but(kept: int) -> None:
    """Hold nobody's terminal or pipe open, and let nothing that is printed reach a file that was passed."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.closerange(3, kept)
    os.closerange(kept + 1, soft if 0 < soft < 1 << 20 else 1 << 20)
