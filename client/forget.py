"""forget: what was said before some day leaves an archive.

Texts, recipients and times go.  Of a received message one short line stays (history.Gone), by which
a copy of it is known: a copy may come at any time (archive.py), and must not be shown again.  What
the user sent and lines of chats go whole, for no copy of them can come.

How: a new file is written beside the archive, synced, and takes its name.  Clients may run
meanwhile.  Most of the file is copied without a lock, for it only grows at its end; then, under the
lock, what was appended since.  A client that has the old file open sees under the same lock that
its file has no name any more, and opens the new one (Archive._writing).

A kill or a power cut at any moment leaves the old archive or the new one, whole, and perhaps a
beginning of the new one beside it, which the next call removes.  The bytes of the old file stay on
the disk until the file system uses their place again.

Failure: OSError.  Bad at: a client of release 0.1 that waits for the lock just then; it goes on in
the old file until its next login, and a copy of what it kept there may be shown again.
"""
from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

from client import history, letters
from client.archive import FLAGS, MARK, end_line, index_of
from client.contents import Contents
from client.letters import pieces, stamp
from client.private import check_private, locked, private_directory, sync, sync_name
from wire import Mail


class Forgotten(NamedTuple):
    """What a call removed: entries."""
    received: int = 0
    sent: int = 0
    lines: int = 0          # of chats


class Copy:
    """The lines of an archive, without what is too old."""

    def __init__(self, before: int) -> None:
        """`before`: microseconds since 1970; older entries go."""
        self.received = self.sent = self.lines = 0
        self._before = stamp(before).encode()
        self._is_old = False            # the last line that has a time was too old
        self._marked = True             # no received message stands below the last mark

    def of(self, data: bytes) -> bytes:
        """What stays of some whole lines."""
        kept = [self._line(raw) for raw in data.split(b"\n")[:-1]]
        return b"".join([raw + b"\n" for raw in kept if raw])

    def _line(self, raw: bytes) -> bytes:
        """What stays of a line.  A damaged one goes with its neighbour above."""
        if raw + b"\n" == MARK:
            raw, self._marked = b"" if self._marked else raw, True
            return raw
        if raw.startswith((b"forgotten ", history.VERSION.rstrip())):
            self._marked &= not raw.startswith(b"f")
            return raw
        if raw[:1].isdigit():
            self._is_old = raw < self._before
        if self._is_old:
            return self._rest(raw)
        self._marked &= letters.parse(raw) is None
        return raw

    def _rest(self, raw: bytes) -> bytes:
        """What stays of a line that is too old."""
        record = history.parse(raw)
        if isinstance(record, Mail):
            self.received += 1
            self._marked = False
            return history.line(history.gone(record)).encode()
        self.sent += isinstance(record, history.Sent)
        self.lines += isinstance(record, history.Chat)
        return b""


def forget(directory: str, name: str, before: int) -> Forgotten:
    """Let go of what is older in the archive of this name in a directory.  Raises OSError."""
    place = private_directory(directory)
    try:
        _sweep(place, name)
        while True:
            fd = os.open(name, FLAGS, dir_fd=place)
            try:
                check_private(fd)
                done = _replace(place, name, fd, before)
            finally:
                os.close(fd)
            if done:
                break
        if any(done):
            _index(directory, place, name)
        return done
    finally:
        os.close(place)


def _sweep(place: int, name: str) -> None:
    """Remove what killed calls have left."""
    for other in os.listdir(place):
        number = other.removeprefix(f"{name}.")
        if number != other and number.isdigit() and not _runs(int(number)):
            os.unlink(other, dir_fd=place)


def _runs(process: int) -> bool:
    """Whether there is a process with this number: perhaps another call of ours."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _replace(place: int, name: str, fd: int, before: int) -> Forgotten | None:
    """Put a file without what is older in the place of this one; None if another call was first."""
    new, copy = f"{name}.{os.getpid()}", Copy(before)
    out = os.open(new, FLAGS | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=place)
    try:
        upto = _copy(fd, 0, out, copy)
        sync(out)                       # the most of it, while nobody waits
        with locked(fd):
            if not os.fstat(fd).st_nlink:
                return None
            end_line(fd)
            _copy(fd, upto, out, copy)
            done = Forgotten(copy.received, copy.sent, copy.lines)
            if any(done):
                sync(out)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(index_of(name), dir_fd=place)
                os.rename(new, name, src_dir_fd=place, dst_dir_fd=place)
                sync_name(sync, place)
        return done
    finally:
        os.close(out)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new, dir_fd=place)


def _copy(fd: int, at: int, out: int, copy: Copy) -> int:
    """Copy the whole lines from an offset on; where they end."""
    for place, data in pieces(fd, at):
        at = place + len(data)
        rest = memoryview(copy.of(data))
        while rest:
            rest = rest[os.write(out, rest):]
    return at


def _index(directory: str, place: int, name: str) -> None:
    """Make the index anew, so that the next start need not; it may fail."""
    with contextlib.suppress(OSError):
        fd = os.open(name, FLAGS, dir_fd=place)
        try:
            contents = Contents(fd, directory, index_of(name))
            contents.load(place)
            contents.close()
        finally:
            os.close(fd)
