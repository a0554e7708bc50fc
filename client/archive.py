"""archive: what was shown to a user, kept in a file of the user's own.

One text file for each name and store, `NAME.STORE.txt`, mode 0600 in a directory of mode 0700.  A
message is one line (letters.py).

Promises: when keep() returns, the messages are in the file and fsynced.  Only then may they be
confirmed, so that the daemon forgets nothing that is not here.  No message is in the file twice,
whatever comes: has() knows all that it holds.

When can no further copy of a message come?  A copy is made where a sender sends again what has no
answer, and no daemon can know all that it ever stored: a power cut takes what it had pushed and not
synced, and it remembers the last instances of each sender.  Nor can a reader know which senders
still live.  So there is no such time, and nothing is ever forgotten here: the file itself is the
memory, for as long as the user keeps it.  What has the same sender, the same origin and the same
text as a message in it is a copy.  The text is compared because instances are random: of 100,000
programs that send one message each, two have the same.  An index (index.py) says where to look.

How: the file is only appended to, under a lock.  `unconfirmed` holds (sender, origin) of what was
kept and not settled: what is worth confirming again after the next login, and no more.  Now and
then, when it is empty, a mark line says that nothing above it has to be; at start what stands below
the last mark is read, found backwards.  A mark is not fsynced: without it some old messages are
confirmed once more.  The index, `NAME.STORE.index`, covers the beginning of the file; the rest is
read at start, and what other clients have appended is read at each login and before each keep().

Failure: no directory at all, a full disk, a missing permission, a file that is a link or another
user's give ArchiveError, one line, and what was not kept is not in `unconfirmed`; the next keep() tries again
from the start.  A last line torn by a crash is ignored, and a newline is put before the next
record; one that misses its newline only is given it.  A damaged line is skipped in reading.  An
index that is missing, damaged or of another file is made anew: some seconds for a million messages.
If it can't be read, a message may be shown again; none is ever taken for shown that is not in the
file.

Bad at: growing.  Nothing is ever deleted; the user may, while no client runs or while one does.
"""
from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from zlib import crc32

from client.index import FOLD, Index, Key, Sign, Unusable
from client.letters import Letter, Record, below, heads, line, line_at, lines, lines_backwards, parse, pieces

CANNOT = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF)    # a file system that does not sync directories
MARK = b"-- all above confirmed\n"
MARK_EVERY = 100            # records at least between two marks: so few are confirmed in vain after a crash
UNCONFIRMED_BYTES = 1 << 20 # at the end of the file, where a start looks for them; what is above comes with a CHECK
FOLD_AT_CLOSE = 1000        # messages that are not in the index: a start reads them in some milliseconds
SHOWN_MAX = 100_000         # messages that are remembered without an archive: 20 MB
LOCK_SECONDS = 1.0          # for another client of the same user to write what it is writing
LOCK_STEP = 0.01
SIGN_BYTES = 4096           # of which a checksum tells one archive from another
INDEX_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
FLAGS = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK     # NONBLOCK: a FIFO must not stall us

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")     # no slash, no dot in front: it becomes a file's name


class ArchiveError(Exception):
    """Messages could not be kept, and why, in one line; they stay in the mailbox."""


class Memory:
    """What was shown, for the life of the process: all that --no-archive remembers."""

    def __init__(self) -> None:
        self.unconfirmed: dict[Key, int] = {}       # kept, and the daemon may still send it: with the daemon's id
        self._shown: dict[Key, int] = {}            # the hash of its text: the last SHOWN_MAX
        self._of: tuple[bytes, str] | None = None   # store and name

    def open(self, store: bytes, name: str) -> None:
        """From here on it is about this name in this store.  Raises ArchiveError."""
        if self._of != (store, name):
            self.close()
            self._of = store, name
            self.unconfirmed.clear()
            self._shown.clear()

    def has(self, letter: Letter) -> bool:
        """Whether this was shown before: a copy of it was kept."""
        return self._shown.get((letter.sender, letter.origin)) == hash(letter.text)

    def keep(self, letters: Sequence[Letter]) -> None:
        """Remember that these were shown.  Raises ArchiveError, and then none of them is kept."""
        self._await(letters)
        for letter in letters:
            self._shown[letter.sender, letter.origin] = hash(letter.text)
        while len(self._shown) > SHOWN_MAX:
            del self._shown[next(iter(self._shown))]

    def _await(self, letters: Sequence[Letter]) -> None:
        """They are kept, and the daemon is to forget them."""
        self.unconfirmed.update({(letter.sender, letter.origin): letter.id for letter in letters})

    def settle(self, keys: Iterable[Key]) -> None:
        """The daemon does not hold these any more: they need not be confirmed again."""
        for key in keys:
            self.unconfirmed.pop(key, None)

    def last(self, n: int) -> list[Record]:
        """The last n messages, oldest first; none that were not written down.  Raises ArchiveError."""
        return []

    def close(self) -> None:
        """Let go of what is open; harmless at any time."""


class Archive(Memory):
    """The archive files in one directory; one of them at a time is open."""

    def __init__(self, directory: str | os.PathLike[str] | OSError, *,
                 fsync: Callable[[int], None] | None = None) -> None:
        """`directory`: an OSError says why there is none; then nothing can be kept."""
        super().__init__()
        self._lack = directory if isinstance(directory, OSError) else None
        self.directory = Path() if isinstance(directory, OSError) else Path(directory)
        self._fsync = fsync or sync
        self._fd = -1
        self._is_doubtful = False       # a write that failed could not be undone: nothing more is kept
        self._unmarked = 0      # records below the last mark
        self._index = Index()
        self._known = 0         # the index has what stands above this, in whole lines
        self._size = 0          # of the file, when that was found out
        self._fold_at = FOLD    # so many in memory go to its file

    @property
    def path(self) -> Path | None:
        """The open file's, or the one that could not be opened; None before the first open()."""
        return self.directory / _file_name(*self._of) if self._of and not self._lack else None

    def open(self, store: bytes, name: str) -> None:
        if not NAME.fullmatch(name):
            raise ArchiveError(f"{name!r} is no username: nothing is kept under it")
        super().open(store, name)
        with self._one_line():
            self._attach()
            self._read_on()

    def has(self, letter: Letter) -> bool:
        """Whether the file holds it.  Where that can't be found out it is better shown again than never."""
        try:
            return not self._index.is_new(letter.sender, letter.origin) and self._holds(letter)
        except (OSError, Unusable):
            return self._holds_after_all(letter)

    def _holds_after_all(self, letter: Letter) -> bool:
        """The same with an index that is made anew."""
        with contextlib.suppress(OSError, Unusable):
            self._begin_index()
            self._read_on()
            return self._holds(letter)
        return False

    def _holds(self, letter: Letter) -> bool:
        for place in self._index.places(letter.sender, letter.origin):
            found = parse(line_at(self._fd, place))
            if found and (found.sender, found.origin, found.text) == (letter.sender, letter.origin, letter.text):
                return True
        return False

    def keep(self, letters: Sequence[Letter]) -> None:
        if self._is_doubtful:
            raise ArchiveError(f"{self.path}: a write that failed could not be undone: look at the disk, "
                               "and start parley again")
        with self._one_line():
            self._attach()
            with _locked(self._fd):
                self._read_on()
                fresh = [letter for letter in letters if not self.has(letter)]
                if fresh:
                    self._write(fresh)
        self._await(letters)
        self._unmarked += len(fresh)
        if self._index.recent >= self._fold_at:
            self._fold()

    def _write(self, letters: Sequence[Letter]) -> None:
        """Append them, and know where they stand."""
        written = [line(letter).encode() + b"\n" for letter in letters]
        place = begin = self._append(b"".join(written))
        for letter, data in zip(letters, written, strict=True):
            self._index.add(letter.sender, letter.origin, place)
            place += len(data)
        if begin in (self._size, self._size + 1) and os.fstat(self._fd).st_size == place:
            self._known = self._size = place        # else others, that know of no lock, wrote too: it will be read

    def settle(self, keys: Iterable[Key]) -> None:
        super().settle(keys)
        if not self.unconfirmed and self._unmarked >= MARK_EVERY:
            self._mark()

    def last(self, n: int) -> list[Record]:
        found: list[Record] = []
        with self._one_line():
            self._attach()
            for raw in lines_backwards(self._fd):
                if len(found) == n:
                    break
                if record := parse(raw):
                    found.append(record)
        return found[::-1]

    def close(self) -> None:
        if self._fd >= 0:
            if not self.unconfirmed and self._unmarked:
                self._mark()
            if self._index.recent >= FOLD_AT_CLOSE:
                self._fold()
            self._begin_index()
            os.close(self._fd)
            self._fd = -1

    # ---- the file ----

    @contextlib.contextmanager
    def _one_line(self) -> Iterator[None]:
        """Turn what the system says into one line that says what it means."""
        try:
            yield
        except OSError as error:
            where = "" if self._lack else f" in {self.path or self.directory}"
            raise ArchiveError(f"can't keep messages{where}: {error.strerror or error}; "
                               "they stay in the mailbox") from error

    def _attach(self) -> None:
        """Open the file, unless it is open and still has its name; read what may come again."""
        if self._of is None or self._lack:
            raise self._lack or OSError("no name and store yet")
        if self._fd >= 0:
            if os.fstat(self._fd).st_nlink:
                return
            self.close()
        directory = private_directory(self.directory)
        try:
            fd = os.open(_file_name(*self._of), FLAGS | os.O_CREAT, 0o600, dir_fd=directory)
            try:
                check_private(fd)
                with _locked(fd):
                    self._load(fd)
                self._sync_name(directory)
            except BaseException:
                os.close(fd)
                raise
            self._fd = fd
            self._open_index(directory)
            self._read_on()
        finally:
            os.close(directory)

    def _sync_name(self, directory: int) -> None:
        """Of a new file.  Some file systems, as CIFS, can't: there the server keeps a name when it is made."""
        try:
            self._fsync(directory)
        except OSError as error:
            if error.errno not in CANNOT:
                raise

    def _load(self, fd: int) -> None:
        """What may be confirmed again.  A killed process may have written it and not come to sync it."""
        self._unmarked = 0
        _end_line(fd)
        for record in filter(None, map(parse, lines(fd, below(fd, MARK, UNCONFIRMED_BYTES)))):
            self.unconfirmed.setdefault((record.sender, record.origin), record.id)
            self._unmarked += 1
        if self._unmarked:
            self._fsync(fd)

    # ---- the index ----

    def _open_index(self, directory: int) -> None:
        """Of this file, or an empty one."""
        self._begin_index()
        with contextlib.suppress(OSError, Unusable):
            fd = os.open(_index_name(*self._named), INDEX_FLAGS, dir_fd=directory)
            try:
                check_private(fd)
                found = Index.load(fd)
                if found.sign != _sign(self._fd, found.upto):
                    raise Unusable("it is of another archive")
            except BaseException:
                os.close(fd)
                raise
            self._index, self._known = found, found.upto

    def _begin_index(self) -> None:
        """Nothing is known of the file."""
        self._index.close()
        self._index, self._known, self._size, self._fold_at = Index(), 0, 0, FOLD

    def _read_on(self) -> None:
        """Take in what stands in the file beyond what is known."""
        size = os.fstat(self._fd).st_size
        if size == self._size:
            return
        if size < self._known:
            self._begin_index()
        self._size = size
        for place, data in pieces(self._fd, self._known):
            for sender, origin, start in heads(data):
                self._index.add(sender, origin, place + start)
            self._known = place + len(data)
            if self._index.recent >= self._fold_at:
                self._fold()

    def _fold(self) -> None:
        """Write the index anew.  That it can't be written costs memory, and the next start some time."""
        self._fold_at = self._index.recent + FOLD
        with contextlib.suppress(OSError, Unusable):
            directory = private_directory(self.directory)
            try:
                self._write_index(directory)
            finally:
                os.close(directory)

    def _write_index(self, directory: int) -> None:
        name = _index_name(*self._named)
        new = f"{name}.{os.getpid()}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new, dir_fd=directory)
        fd = os.open(new, INDEX_FLAGS | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=directory)
        try:
            with open(fd, "wb", closefd=False) as file:
                file.writelines(self._index.folded(self._known, _sign(self._fd, self._known)))
            index = Index.load(fd)
            os.rename(new, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            os.close(fd)
            with contextlib.suppress(OSError):
                os.unlink(new, dir_fd=directory)
            raise
        self._index.close()
        self._index, self._fold_at = index, FOLD

    @property
    def _named(self) -> tuple[bytes, str]:
        assert self._of is not None
        return self._of

    def _append(self, data: bytes, durable: bool = True) -> int:
        """Append these lines and fsync them, or leave the file as it was.  Where they begin."""
        size = os.fstat(self._fd).st_size
        torn = size > 0 and os.pread(self._fd, 1, size - 1) != b"\n"
        rest = memoryview(b"\n" + data if torn else data)
        written = 0
        try:
            while written < len(rest):
                written += os.write(self._fd, rest[written:])
            if durable:
                self._fsync(self._fd)
        except OSError:
            self._undo(size, size + written)
            raise
        return size + torn

    def _undo(self, size: int, end: int) -> None:
        """Cut off what may not be on the disk.  If that fails, nobody can tell what of the file is."""
        try:
            if os.fstat(self._fd).st_size == end:       # else another client has appended: leave it
                os.ftruncate(self._fd, size)
        except OSError:
            self._is_doubtful = True

    def _mark(self) -> None:
        """A mark that can't be written is not missed: the next one will do."""
        with contextlib.suppress(OSError):
            self._append(MARK, durable=False)
            self._unmarked = 0


def sync(fd: int) -> None:
    """fsync(2); on macOS also out of the drive's cache."""
    full: int | None = getattr(fcntl, "F_FULLFSYNC", None)
    if full is None:
        os.fsync(fd)
    else:
        fcntl.fcntl(fd, full)


def private_directory(path: Path) -> int:
    """Make a directory, its missing parents too, for this user alone, and open it.  Raises OSError."""
    if not path.parent.exists():
        os.close(private_directory(path.parent))
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
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_nlink > 1:
        raise PermissionError(1, "it is no file of this user alone")
    if stat.S_IMODE(found.st_mode) & 0o077:
        os.fchmod(fd, 0o600)


@contextlib.contextmanager
def _locked(fd: int) -> Iterator[None]:
    """No other client of the same user writes meanwhile.  Raises OSError when one does not come to an end."""
    until = time.monotonic() + LOCK_SECONDS
    while not _lock(fd):
        if time.monotonic() > until:
            raise OSError(errno.EAGAIN, "another client is writing there")
        time.sleep(LOCK_STEP)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)


def _lock(fd: int) -> bool:
    """Lock it, unless another has.  On file systems that know no locks there are none."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _end_line(fd: int) -> None:
    """Give a last record of which only the newline was lost its newline: it counts."""
    size = os.fstat(fd).st_size
    if size and os.pread(fd, 1, size - 1) != b"\n" and parse(next(lines_backwards(fd, torn=False))):
        os.write(fd, b"\n")


def _index_name(store: bytes, name: str) -> str:
    return f"{name.lower()}.{store.hex()}.index"


def _sign(fd: int, upto: int) -> Sign:
    """Two checksums that tell this archive, up to there, from another."""
    size = min(upto, SIGN_BYTES)
    last = os.pread(fd, size, upto - size)
    if len(last) < size or not last.endswith(b"\n"):
        raise Unusable("the archive is shorter")
    return crc32(os.pread(fd, size, 0)), crc32(last)


def _file_name(store: bytes, name: str) -> str:
    """Case does not tell two names apart, and some file systems agree."""
    return f"{name.lower()}.{store.hex()}.txt"


# ---- reading ----

def read(path: str | os.PathLike[str]) -> Iterator[Record]:
    """The messages of a file, oldest first.  Raises OSError when it can't be read."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield from filter(None, map(parse, lines(fd, 0)))
    finally:
        os.close(fd)
