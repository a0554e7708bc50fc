"""archive: what was shown to a user, kept in a file of the user's own.

One text file for each name and store, `NAME.STORE.txt`, mode 0600 in a directory of mode 0700.  A message is one line:

    2026-11-21T14:02:03.000017Z id=17 origin=4294967301 from=bob flags=0 copies=1 text="the \\"long\\" one\\n"

The time is the daemon's, UTC, to the microsecond; what a terminal might take for a command, a newline, a quote or a
backslash in the text is escaped as in Python, all other letters stand as they are: grep finds them, cat is safe in a
UTF-8 terminal, and `parse` gives back exactly what was kept.

Promises: when keep() returns, the messages are in the file and fsynced.  Only then may they be confirmed, so that the
daemon forgets nothing that is not here.  It knows which of the messages that it holds the daemon may still send again.

How: the file is only appended to.  `unconfirmed` holds (sender, origin) of what was kept and not settled; now and then,
when it is empty, a mark line says that nothing above it comes again, and at start only what stands below the last
mark is read, found backwards.  A mark is not fsynced: without it some old messages are confirmed once more.

Failure: a full disk, a missing permission, a file that is a link or another user's give ArchiveError, one line, and
what was not kept is not in `unconfirmed`; the next keep() tries again from the start.  A last line torn by a crash is
ignored, and a newline is put before the next record.  A damaged line is skipped in reading.

Bad at: growing.  Nothing is ever deleted; the user may, while no client runs or while one does.
"""
from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias

BLOCK = 64 * 1024           # bytes in one read
MARK = b"-- all above confirmed\n"
MARK_EVERY = 100            # records at least between two marks: so few are confirmed in vain after a crash
U64_MAX = 2**64 - 1
FLAGS = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK     # NONBLOCK: a FIFO must not stall us

EPOCH = datetime(1970, 1, 1)    # UTC, like every time here
MICROSECOND = timedelta(microseconds=1)
LAST_TIME = (datetime.max - EPOCH) // MICROSECOND

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")     # no slash, no dot in front: it becomes a file's name
QUOTED = r'"((?:[^"\\]|\\.)*)"'
NUMBER = r"(\d{1,20})"
LINE = re.compile(rf"(?:(\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{6}})Z|@{NUMBER}) id={NUMBER} origin={NUMBER} "
                  rf"from=(?:([A-Za-z0-9._-]+)|{QUOTED}) flags={NUMBER} copies={NUMBER} text={QUOTED}", re.ASCII)
ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))")
SHORT = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
LONG = {escape[1]: letter for letter, escape in SHORT.items()}

Key: TypeAlias = tuple[str, int]    # sender and origin: the same for every copy of a message


class ArchiveError(Exception):
    """Messages could not be kept, and why, in one line; they stay in the mailbox."""


class Letter(Protocol):
    """What is kept: a wire.Mail, or a Record."""
    @property
    def id(self) -> int: ...
    @property
    def time(self) -> int: ...
    @property
    def origin(self) -> int: ...
    @property
    def flags(self) -> int: ...
    @property
    def copies(self) -> int: ...
    @property
    def sender(self) -> str: ...
    @property
    def text(self) -> str: ...


class Record(NamedTuple):
    """One message as it stands in the file; the fields of wire.Mail."""
    id: int
    time: int           # microseconds since 1970
    origin: int
    flags: int
    copies: int
    sender: str
    text: str


class Memory:
    """What was shown, for the life of the process: all that --no-archive remembers."""

    def __init__(self) -> None:
        self.unconfirmed: dict[Key, int] = {}       # kept, and the daemon may still send it: with the daemon's id
        self._of: tuple[bytes, str] | None = None   # store and name

    def open(self, store: bytes, name: str) -> None:
        """From here on it is about this name in this store.  Raises ArchiveError."""
        if self._of != (store, name):
            self.close()
            self._of = store, name
            self.unconfirmed.clear()

    def keep(self, letters: Sequence[Letter]) -> None:
        """Remember that these were shown.  Raises ArchiveError, and then none of them is kept."""
        self.unconfirmed.update({(letter.sender, letter.origin): letter.id for letter in letters})

    def settle(self, keys: Iterable[Key]) -> None:
        """The daemon has forgotten these: they never come again."""
        for key in keys:
            self.unconfirmed.pop(key, None)

    def last(self, n: int) -> list[Record]:
        """The last n messages, oldest first; none that were not written down.  Raises ArchiveError."""
        return []

    def close(self) -> None:
        """Let go of what is open; harmless at any time."""


class Archive(Memory):
    """The archive files in one directory; one of them at a time is open."""

    def __init__(self, directory: str | os.PathLike[str], *, fsync: Callable[[int], None] | None = None) -> None:
        super().__init__()
        self.directory = Path(directory)
        self._fsync = fsync or sync
        self._fd = -1
        self._unmarked = 0      # records below the last mark

    @property
    def path(self) -> Path | None:
        """The open file's, or the one that could not be opened; None before the first open()."""
        return self.directory / _file_name(*self._of) if self._of else None

    def open(self, store: bytes, name: str) -> None:
        if not NAME.fullmatch(name):
            raise ArchiveError(f"{name!r} is no username: nothing is kept under it")
        super().open(store, name)
        with self._one_line():
            self._attach()

    def keep(self, letters: Sequence[Letter]) -> None:
        with self._one_line():
            self._attach()
            self._append(b"".join([line(letter).encode() + b"\n" for letter in letters]))
        super().keep(letters)
        self._unmarked += len(letters)

    def settle(self, keys: Iterable[Key]) -> None:
        super().settle(keys)
        if not self.unconfirmed and self._unmarked >= MARK_EVERY:
            self._mark()

    def last(self, n: int) -> list[Record]:
        found: list[Record] = []
        with self._one_line():
            self._attach()
            for raw in _lines_backwards(self._fd):
                if len(found) == n:
                    break
                if record := parse(raw):
                    found.append(record)
        return found[::-1]

    def close(self) -> None:
        if self._fd >= 0:
            if not self.unconfirmed and self._unmarked:
                self._mark()
            os.close(self._fd)
            self._fd = -1

    # ---- the file ----

    @contextlib.contextmanager
    def _one_line(self) -> Iterator[None]:
        """Turn what the system says into one line that says what it means."""
        try:
            yield
        except OSError as error:
            raise ArchiveError(f"can't keep messages in {self.path or self.directory}: {error.strerror or error}; "
                               "they stay in the mailbox") from error

    def _attach(self) -> None:
        """Open the file, unless it is open and still has its name; read what may come again."""
        if self._of is None:
            raise OSError("no name and store yet")
        if self._fd >= 0:
            if os.fstat(self._fd).st_nlink:
                return
            self.close()
        directory = private_directory(self.directory)
        try:
            fd = os.open(_file_name(*self._of), FLAGS | os.O_CREAT, 0o600, dir_fd=directory)
            try:
                check_private(fd)
                self._load(fd)
                self._fsync(directory)      # a new file's name
            except BaseException:
                os.close(fd)
                raise
        finally:
            os.close(directory)
        self._fd = fd

    def _load(self, fd: int) -> None:
        self._unmarked = 0
        for record in filter(None, map(parse, _lines(fd, _after_mark(fd)))):
            self.unconfirmed.setdefault((record.sender, record.origin), record.id)
            self._unmarked += 1

    def _append(self, data: bytes, durable: bool = True) -> None:
        """Append these lines and fsync them, or leave the file as it was."""
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
            with contextlib.suppress(OSError):
                if os.fstat(self._fd).st_size == size + written:    # else another client has appended: leave it
                    os.ftruncate(self._fd, size)
            raise

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


def _file_name(store: bytes, name: str) -> str:
    """Case does not tell two names apart, and some file systems agree."""
    return f"{name.lower()}.{store.hex()}.txt"


# ---- reading ----

def read(path: str | os.PathLike[str]) -> Iterator[Record]:
    """The messages of a file, oldest first.  Raises OSError when it can't be read."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield from filter(None, map(parse, _lines(fd, 0)))
    finally:
        os.close(fd)


def _lines(fd: int, at: int) -> Iterator[bytes]:
    """The whole lines from an offset on."""
    rest = b""
    while block := os.pread(fd, BLOCK, at):
        at += len(block)
        *whole, rest = (rest + block).split(b"\n")
        yield from whole


def _lines_backwards(fd: int) -> Iterator[bytes]:
    """The whole lines, the last one first."""
    at, rest = os.fstat(fd).st_size, b""
    torn = True                         # what stands behind the last newline is no line
    while at:
        begin = max(0, at - BLOCK)
        rest, *whole = (os.pread(fd, at - begin, begin) + rest).split(b"\n")
        at = begin
        if whole and torn:
            whole.pop()
            torn = False
        yield from reversed(whole)
    if not torn:
        yield rest


def _after_mark(fd: int) -> int:
    """The offset below the last mark; 0 without one."""
    at, rest = os.fstat(fd).st_size, b""
    while at:
        begin = max(0, at - BLOCK)
        block = os.pread(fd, at - begin, begin) + rest
        place = block.rfind(b"\n" + MARK)
        if place >= 0:
            return begin + place + 1 + len(MARK)
        at, rest = begin, block[:len(MARK)]
    return 0


# ---- one line ----

def line(letter: Letter) -> str:
    """A message as its line, without the newline."""
    return (f"{_stamp(letter.time)} id={letter.id} origin={letter.origin} from={_name(letter.sender)} "
            f'flags={letter.flags} copies={letter.copies} text="{escape(letter.text)}"')


def parse(raw: bytes) -> Record | None:
    """The message of a line; None for a mark, and for anything that line() does not write."""
    try:
        found = LINE.fullmatch(raw.decode())
        if found is None:
            return None
        iso, number, ident, origin, plain, quoted, flags, copies, text = found.groups()
        time = (datetime.fromisoformat(iso) - EPOCH) // MICROSECOND if iso else int(number)
        sender = plain if plain is not None else unescape(quoted)
        record = Record(int(ident), time, int(origin), int(flags), int(copies), sender, unescape(text))
    except (ValueError, OverflowError):
        return None
    return record if max(record[:5]) <= U64_MAX and time >= 0 else None


def escape(text: str) -> str:
    """A text on one line, without anything that a terminal obeys."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return "".join([SHORT.get(letter) or (letter if letter.isprintable() else _code(letter)) for letter in text])


def unescape(text: str) -> str:
    """The reverse.  Raises ValueError for what escape() does not write."""
    def letter(found: re.Match[str]) -> str:
        short = found[4]
        if short is None:
            return chr(int(found[1] or found[2] or found[3], 16))
        if short not in LONG:
            raise ValueError(f"no escape: {found[0]!r}")
        return LONG[short]
    return ESCAPE.sub(letter, text) if "\\" in text else text


def _code(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _stamp(time: int) -> str:
    """A time that no calendar has is a bare number of microseconds."""
    if time > LAST_TIME:
        return f"@{time}"
    return (EPOCH + time * MICROSECOND).isoformat(timespec="microseconds") + "Z"


def _name(sender: str) -> str:
    return sender if re.fullmatch(r"[A-Za-z0-9._-]+", sender) else f'"{escape(sender)}"'
