"""archive: what was shown to a user, and what the user said, kept in a file of the user's own.

One text file for each name and store, `NAME.STORE.txt`, mode 0600 in a directory of mode 0700
(private.py).  A received message is one line (letters.py), and so is everything else (history.py).

Promises: when keep() returns, the messages are in the file and fsynced.  Only then may they be
confirmed, so that the daemon forgets nothing that is not here.  No message is in the file twice,
whatever comes: has() knows all that the file holds (contents.py).  note() promises nothing: what
the user said is in the file, and synced with the next message that comes.

When can no further copy of a message come?  A copy is made when a sender sends again what has no
answer, and no daemon can know all that it ever stored: a power cut takes what it had pushed and not
synced, and it remembers only the last instances of each sender.  Nor can a reader know which
senders still live.  So there is no such time, and no message is ever forgotten here: the file
itself is the memory, for as long as the user keeps it, and forget.py leaves of each message what a
copy is known by.  A message is a copy if the file has one with the same sender, the same origin and
the same text.  The text is compared because instances are random: of 100,000 programs that send one
message each, two have the same.

How: the file is only appended to, under a lock.  `unconfirmed` holds (sender, origin) of what was
kept and not settled: what is worth confirming again after the next login, and no more.  Now and
then, when it is empty, a mark line says that nothing above it has to be confirmed.  A start finds
the last mark backwards and reads what stands below.  A mark is not fsynced: without it some old
messages are confirmed once more.  What other clients have appended is read at each login and before
each keep().

Failure: no directory at all, a full disk, a missing permission, a file that is a link or another
user's give ArchiveError, one line.  What was not kept is not in `unconfirmed`, and the next keep()
tries again from the start.  A last line torn by a crash is ignored, and a newline is put before the
next record; a line that lacks only its newline is given it.  A damaged line is skipped in reading.
If the file can't be read, a message may be shown again; none is ever taken for shown that is not in
the file.

Bad at: growing.  Nothing is deleted but by `parley forget`, or by the user, while no client runs or
while one does.
"""
from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from client import history
from client.contents import Contents
from client.history import Own, Record, parse_kept
from client.index import Key
from client.letters import below, line, lines, lines_backwards, parse
from client.past import (
    Found,
    Steps,
    T,
    between,
    find,
    finding,
    sent_lately,
    tail,
    tailing,
)
from client.private import check_private, locked, private_directory, sync, sync_name
from wire import Mail

MARK = b"-- all above confirmed\n"
MARK_EVERY = 100            # records at least between two marks: so few are confirmed in vain after
                            # a crash
UNCONFIRMED_BYTES = 1 << 20 # at the end of the file, where a start looks for them; CHECK brings the
                            # others
UNCONFIRMED_MAX = 10_000    # messages that are worth confirming again, 3 MB: as many as there are
                            # in UNCONFIRMED_BYTES.  Of more, the oldest come again, as copies
SHOWN_MAX = 100_000         # messages that are remembered without an archive: 10 MB
FLAGS = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # no FIFO stalls us

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")    # no slash, no dot in front: it names a file


class ArchiveError(Exception):
    """Messages could not be kept, and why, in one line; they stay in the mailbox."""


class Memory:
    """What was shown, for the life of the process: all that --no-archive remembers."""

    def __init__(self) -> None:
        self.unconfirmed: dict[Key, int] = {}       # kept messages that the daemon may still send,
                                                    # with the daemon's id
        self._shown: dict[int, None] = {}           # the last SHOWN_MAX, by _hash()
        self._of: tuple[bytes, str] | None = None   # the store and the name

    def open(self, store: bytes, name: str) -> None:
        """From here on remember for this name in this store.  Raises ArchiveError."""
        if self._of != (store, name):
            self.close()
            self._of = store, name
            self.unconfirmed.clear()
            self._shown.clear()

    def has(self, mail: Mail) -> bool:
        """Whether this message, or a copy of it, was kept."""
        return _hash(mail) in self._shown

    def keep(self, mails: Sequence[Mail]) -> None:
        """Remember that these were shown.  Raises ArchiveError, and then keeps none of them."""
        self._await(mails)
        self._remember(mails)

    def _remember(self, mails: Sequence[Mail]) -> None:
        for mail in mails:
            self._shown[_hash(mail)] = None
        while len(self._shown) > SHOWN_MAX:
            del self._shown[next(iter(self._shown))]

    def recall(self, mails: Sequence[Mail]) -> None:
        """The user saw these lines of a room, which are no messages: the daemon forgets nothing.
        Raises ArchiveError."""
        self._remember(mails)

    def has_sent(self, number: int) -> bool:
        """Whether the archive has this message of the user's own, as far as it is not long ago."""
        return False

    def _await(self, mails: Sequence[Mail]) -> None:
        """They are kept, and the daemon is to forget them."""
        self.unconfirmed.update({(mail.sender, mail.origin): mail.id for mail in mails})
        while len(self.unconfirmed) > UNCONFIRMED_MAX:
            del self.unconfirmed[next(iter(self.unconfirmed))]

    def settle(self, keys: Iterable[Key]) -> None:
        """The daemon does not hold these any more: they need not be confirmed again."""
        for key in keys:
            self.unconfirmed.pop(key, None)

    def note(self, records: Sequence[Own]) -> None:
        """Write down what the user sent and what was said in chats.  Raises ArchiveError."""

    def tail(self, n: int, name: str = "") -> tuple[int, list[Record]]:
        """The last n messages and lines of chats, with this user or with anybody, oldest first, and
        the place of the first in the file; none without a file.  Raises ArchiveError."""
        return 0, []

    def last(self, n: int, name: str = "") -> list[Record]:
        """The same without the place."""
        return self.tail(n, name)[1]

    def between(self, begin: int, end: int, n: int, name: str = "") -> Steps[list[Record]]:
        """The last n of those said from `begin` on and before `end`, as steps of a task.  Raises
        ArchiveError."""
        yield from ()
        return []

    def find(self, text: str, above: int | None = None) -> Found | None:
        """The last message that holds this text, in any case; `above`: above that place in the
        file.  Raises ArchiveError."""
        return None

    def finding(self, text: str, above: int | None = None) -> Steps[Found | None]:
        """The same as steps of a task."""
        yield from ()
        return None

    def tailing(self, n: int, name: str, end: int | None = None
                ) -> Steps[tuple[int, list[Record]]]:
        """tail(), as steps of a task; `end`: of those above that place in the file."""
        yield from ()
        return end or 0, []

    def close(self) -> None:
        """Let go of what is open; harmless at any time."""


def _hash(mail: Mail) -> int:
    """The same for every copy of a message, and for no other."""
    return hash((mail.sender, mail.origin, mail.text))


class Archive(Memory):
    """The archive files in one directory; one of them at a time is open."""

    def __init__(self, directory: str | os.PathLike[str] | OSError, *,
                 fsync: Callable[[int], None] | None = None) -> None:
        """`directory`: an OSError says why there is none; then nothing can be kept."""
        super().__init__()
        self._lack = directory if isinstance(directory, OSError) else None
        self.directory = "" if isinstance(directory, OSError) else os.fspath(directory)
        self._fsync = fsync or sync
        self._fd = -1
        self._contents = Contents(-1, self.directory, "")
        self._is_doubtful = False       # a failed write could not be undone: nothing more is kept
        self._unmarked = 0              # received messages below the last mark
        self._noted = 0                 # and other lines below it, since the file was opened
        self._sent: set[int] = set()    # ids of the user's own messages, in the last of it
        self._sent_upto = 0             # the size that it had then

    @property
    def path(self) -> str | None:
        """The open file's, or the one that could not be opened; None before the first open()."""
        if self._of is None or self._lack:
            return None
        return os.path.join(self.directory, _file_name(*self._of))

    def open(self, store: bytes, name: str) -> None:
        if not NAME.fullmatch(name):
            raise ArchiveError(f"{name!r} is no username: nothing is kept under it")
        super().open(store, name)
        with self._one_line("can't keep messages", "; they stay in the mailbox"):
            self._attach()
            self._contents.read_on()

    def has(self, mail: Mail) -> bool:
        return self._contents.has(mail)

    def keep(self, mails: Sequence[Mail]) -> None:
        with self._one_line("can't keep messages", "; they stay in the mailbox"), self._writing():
            self._unmarked += self._add(mails)
        self._await(mails)
        self._contents.fold_if_due()

    def recall(self, mails: Sequence[Mail]) -> None:
        """Not synced, like note()."""
        if self._lack:
            return
        with self._one_line("can't keep what was said before"), self._writing():
            self._noted += self._add(mails, durable=False)
        self._contents.fold_if_due()

    def _add(self, mails: Sequence[Mail], durable: bool = True) -> int:
        """Append those that are not here; how many they are."""
        self._contents.read_on()
        fresh = [mail for mail in mails if not self.has(mail)]
        if fresh:
            written = [line(mail).encode() + b"\n" for mail in fresh]
            self._contents.add(fresh, written, self._append(b"".join(written), durable))
        return len(fresh)

    def has_sent(self, number: int) -> bool:
        with contextlib.suppress(OSError):
            self._attach()
            size = os.fstat(self._fd).st_size
            if size != self._sent_upto:
                self._sent, self._sent_upto = sent_lately(self._fd), size
        return number in self._sent

    def note(self, records: Sequence[Own]) -> None:
        """Not synced: the next keep() does that, or the system, within a minute.  Without a place
        nothing is noted; keep() says why there is none."""
        if self._lack:
            return
        data = b"".join([history.line(record).encode() + b"\n" for record in records])
        with self._one_line("can't note what you say"), self._writing():
            self._append(data, durable=False)
        self._noted += len(records)
        if not self.unconfirmed and self._noted >= MARK_EVERY:
            self._mark()

    def settle(self, keys: Iterable[Key]) -> None:
        super().settle(keys)
        if not self.unconfirmed and self._unmarked >= MARK_EVERY:
            self._mark()

    def tail(self, n: int, name: str = "") -> tuple[int, list[Record]]:
        with self._one_line("can't read the archive"):
            self._attach()
            return tail(self._fd, n, name)

    def between(self, begin: int, end: int, n: int, name: str = "") -> Steps[list[Record]]:
        return (yield from self._held(lambda fd: between(fd, begin, end, n, name)))

    def find(self, text: str, above: int | None = None) -> Found | None:
        with self._one_line("can't read the archive"):
            self._attach()
            return find(self._fd, text, above)

    def finding(self, text: str, above: int | None = None) -> Steps[Found | None]:
        return (yield from self._held(lambda fd: finding(fd, text, above)))

    def tailing(self, n: int, name: str, end: int | None = None
                ) -> Steps[tuple[int, list[Record]]]:
        return (yield from self._held(lambda fd: tailing(fd, n, name, end)))

    def _held(self, task: Callable[[int], Steps[T]]) -> Steps[T]:
        """A task with a descriptor of its own: the archive may get another file meanwhile."""
        with self._one_line("can't read the archive"):
            self._attach()
            fd = os.dup(self._fd)
            try:
                return (yield from task(fd))
            finally:
                os.close(fd)

    def close(self) -> None:
        if self._fd >= 0:
            is_named = os.fstat(self._fd).st_nlink > 0
            if is_named and not self.unconfirmed and (self._unmarked or self._noted >= MARK_EVERY):
                self._mark()
            self._contents.close(is_named)
            os.close(self._fd)
            self._fd = -1

    # ---- opening the file ----

    @contextlib.contextmanager
    def _one_line(self, what: str, so: str = "") -> Iterator[None]:
        """Turn what the system says into one line that says what it means."""
        try:
            yield
        except OSError as error:
            where = "" if self._lack else f" in {self.path or self.directory}"
            raise ArchiveError(f"{what}{where}: {error.strerror or error}{so}") from error

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """The file is open and locked, and has its name: forget.py may have put another in its
        place while we waited for the lock."""
        if self._is_doubtful:
            raise ArchiveError(f"{self.path}: a write that failed could not be undone: look at the "
                               "disk, and start parley again")
        while True:
            self._attach()
            with locked(self._fd):
                if os.fstat(self._fd).st_nlink:
                    yield
                    return

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
                with locked(fd):
                    self._load(fd)
                sync_name(self._fsync, directory)
            except BaseException:
                os.close(fd)
                raise
            self._fd = fd
            self._contents = Contents(fd, self.directory, index_of(_file_name(*self._of)))
            self._contents.load(directory)
        finally:
            os.close(directory)

    def _load(self, fd: int) -> None:
        """What may be confirmed again.  A killed process may have written it without syncing it."""
        self._unmarked = self._noted = 0
        _begin(fd)
        end_line(fd)
        below_mark = lines(fd, below(fd, MARK, UNCONFIRMED_BYTES))
        for record in [found for found in map(parse_kept, below_mark) if found and found.id]:
            self.unconfirmed.setdefault((record.sender, record.origin), record.id)
            self._unmarked += 1
        if self._unmarked:
            self._fsync(fd)

    # ---- writing ----

    def _append(self, data: bytes, durable: bool = True) -> int:
        """Append these lines and fsync them, or leave the file as it was.

        Returns the offset at which they begin.  Raises OSError."""
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
            self._undo(size, size + written, durable)
            raise
        return size + torn

    def _undo(self, size: int, end: int, durable: bool) -> None:
        """Cut off what may not be on the disk.  If that fails, nobody knows whether it is there,
        which matters if it was promised."""
        try:
            if os.fstat(self._fd).st_size == end:       # else another client has appended: leave it
                os.ftruncate(self._fd, size)
        except OSError:
            self._is_doubtful |= durable

    def _mark(self) -> None:
        """A mark that can't be written is not missed: the next one will do."""
        with contextlib.suppress(OSError):
            self._append(MARK, durable=False)
            self._unmarked = self._noted = 0


def _begin(fd: int) -> None:
    """The first line of a new file; nobody misses it in a file that has none."""
    with contextlib.suppress(OSError):
        if not os.fstat(fd).st_size:
            os.write(fd, history.VERSION)


def end_line(fd: int) -> None:
    """Give a last record that lacks only its newline the newline: it counts."""
    size = os.fstat(fd).st_size
    if (size and os.pread(fd, 1, size - 1) != b"\n"
            and history.parse(next(lines_backwards(fd, torn=False)))):
        os.write(fd, b"\n")


def _file_name(store: bytes, name: str) -> str:
    """Case does not tell two names apart, and some file systems agree."""
    return f"{name.lower()}.{store.hex()}.txt"


def index_of(file: str) -> str:
    """The name of the index of an archive."""
    return f"{file.removesuffix('.txt')}.index"


def files(directory: str, name: str) -> list[str]:
    """The archives of a user in a directory, one for each store, the one used last at the end.

    Raises OSError."""
    form = re.compile(rf"{re.escape(name.lower())}\.[0-9a-f]{{32}}\.txt")
    found = [entry for entry in os.scandir(directory) if form.fullmatch(entry.name)]
    return [entry.name for entry in sorted(found, key=lambda entry: entry.stat().st_mtime)]


# ---- reading ----

def read(path: str | os.PathLike[str]) -> Iterator[Mail]:
    """The messages of a file, oldest first.  Raises OSError when it can't be read."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield from filter(None, map(parse, lines(fd, 0)))
    finally:
        os.close(fd)
