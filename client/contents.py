"""contents: which messages an archive file holds.

A Contents answers has() for one open archive.  It knows the file up to some point by its index
(index.py), which is a file of its own beside the archive, and reads on from there: what this client
appends, and what others have appended since the last look.  The index covers the lines of the
user's own as well, though it has no rows for them: a start need not read them.

Failure: an index that is missing, damaged or of another file is made anew from the archive: some
seconds for a million messages.  An index that can't be written costs memory, and the next start
some time.  If the archive can't be read, a message counts as not held: it is better shown again
than never.
"""
from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from zlib import crc32

from client.history import Gone, parse_kept
from client.index import FOLD, Index, Sign, Unusable
from client.letters import heads, line_at, pieces
from client.private import check_private, private_directory
from wire import Mail

FOLD_BYTES = 1 << 23        # of the archive that the index does not cover, mostly what the user
                            # said: a start reads them in 40 ms
FOLD_AT_CLOSE = 1000        # messages that are not in the index: a start reads them in milliseconds
SIGN_BYTES = 4096           # of which a checksum tells one archive from another
INDEX_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Contents:
    """What stands in one archive."""

    def __init__(self, fd: int, directory: str, name: str) -> None:
        """`fd`: the archive, open, or -1 for none; `name`: of the index, in the same directory."""
        self._fd, self._directory, self._name = fd, directory, name
        self._index = Index()
        self._known = 0         # the index has all lines up to this offset
        self._size = 0          # of the archive, when we last looked
        self._fold_at = FOLD    # messages in memory that make us write the index anew
        self._fold_beyond = FOLD_BYTES      # or an offset that is known and not covered

    def load(self, directory: int) -> None:
        """Take the index from its file, if it belongs to this archive, and read on from there."""
        with contextlib.suppress(OSError, Unusable):
            fd = os.open(self._name, INDEX_FLAGS, dir_fd=directory)
            try:
                check_private(fd)
                found = Index.load(fd)
                if found.sign != _sign(self._fd, found.upto):
                    raise Unusable("it is of another archive")
            except BaseException:
                os.close(fd)
                raise
            self._index, self._known = found, found.upto
            self._fold_beyond = found.upto + FOLD_BYTES
        self.read_on()

    def close(self, useful: bool = True) -> None:
        """Write the index if that is worth it, and let go of it.  `useful`: the archive still has
        its name."""
        if useful and self._index.recent >= FOLD_AT_CLOSE:
            self._fold()
        self._forget()

    # ---- asking ----

    def has(self, mail: Mail) -> bool:
        """Whether the archive holds this message, or a copy of it."""
        try:
            is_new = self._index.is_new(mail.sender, mail.origin)
            return not is_new and self._holds(mail)
        except (OSError, Unusable):
            return self._holds_after_all(mail)

    def _holds_after_all(self, mail: Mail) -> bool:
        """The same with an index that is made anew."""
        with contextlib.suppress(OSError, Unusable):
            self._forget()
            self.read_on()
            return self._holds(mail)
        return False

    def _holds(self, mail: Mail) -> bool:
        wanted = mail.sender, mail.origin, mail.text
        for place in self._index.places(mail.sender, mail.origin):
            found = parse_kept(line_at(self._fd, place))
            if isinstance(found, Gone):
                if found.is_of(mail):
                    return True
            elif found and (found.sender, found.origin, found.text) == wanted:
                return True
        return False

    # ---- learning ----

    def read_on(self) -> None:
        """Take in what stands in the archive beyond what is known.  Raises OSError."""
        size = os.fstat(self._fd).st_size
        if size == self._size:
            return
        if size < self._known:
            self._forget()
        self._size = size
        for place, data in pieces(self._fd, self._known):
            for sender, origin, start in heads(data):
                self._index.add(sender, origin, place + start)
            self._known = place + len(data)
            self.fold_if_due()

    def add(self, mails: Sequence[Mail], written: Sequence[bytes], begin: int) -> None:
        """These messages were appended, as these lines, from this offset on.  Raises OSError."""
        place = begin
        for mail, data in zip(mails, written, strict=True):
            self._index.add(mail.sender, mail.origin, place)
            place += len(data)
        is_next = begin in (self._size, self._size + 1)     # a newline may come between
        if is_next and os.fstat(self._fd).st_size == place:
            self._known = self._size = place    # else a writer without lock came between: read it

    def fold_if_due(self) -> None:
        """Write the index anew, if too much is in memory alone."""
        if self._index.recent >= self._fold_at or self._known >= self._fold_beyond:
            self._fold()

    def _forget(self) -> None:
        """Nothing is known of the archive."""
        self._index.close()
        self._index, self._known, self._size = Index(), 0, 0
        self._fold_at, self._fold_beyond = FOLD, FOLD_BYTES

    # ---- writing the index ----

    def _fold(self) -> None:
        self._fold_at = self._index.recent + FOLD       # if it can't be written, try again then
        self._fold_beyond = self._known + FOLD_BYTES
        with contextlib.suppress(OSError, Unusable):
            directory = private_directory(self._directory)
            try:
                self._write(directory)
            finally:
                os.close(directory)

    def _write(self, directory: int) -> None:
        new = f"{self._name}.{os.getpid()}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new, dir_fd=directory)
        fd = os.open(new, INDEX_FLAGS | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=directory)
        try:
            with open(fd, "wb", closefd=False) as file:
                file.writelines(self._index.folded(self._known, _sign(self._fd, self._known)))
            index = Index.load(fd)
            os.rename(new, self._name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            os.close(fd)
            with contextlib.suppress(OSError):
                os.unlink(new, dir_fd=directory)
            raise
        self._index.close()
        self._index, self._fold_at = index, FOLD


def _sign(fd: int, upto: int) -> Sign:
    """Two checksums that tell this archive, up to an offset, from another."""
    size = min(upto, SIGN_BYTES)
    last = os.pread(fd, size, upto - size)
    if len(last) < size or not last.endswith(b"\n"):
        raise Unusable("the archive is shorter")
    return crc32(os.pread(fd, size, 0)), crc32(last)
