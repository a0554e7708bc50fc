"""unsent: what a session has not brought to the daemon, in a file beside the archive.

A terminal may be closed, an ssh be cut, a client be killed, before the daemon has said STORED; and
a session that moves to another terminal leaves the text that was being typed.  So each session has
a file of its own, `NAME.INSTANCE.unsent`, mode 0600, locked while the session lives: every send is
written there before it leaves, and its answer; at the end of the session, the unfinished texts too.
A file without anything is removed, so mostly there is none.

The next session under the name takes over the files of those that have ended (adopt()), and offers
what is in them (leftovers.py).  A send keeps its id, so the daemon stores none twice.

Lines, the first of them a version, each of the others a send as the archive writes it (history.py),
an answer, the store that all this is for, or a draft:

    2026-11-21T14:02:03.000017Z sent=9001 to=bob flags=0 became=unanswered reason="" text="bay 3"
    answered=9001
    store=6f0c...
    draft to=bob text="and the wr"

Promises: what was given to sent() survives the death of the program.  It is synced only when
another session takes it over, so a power cut may take what is younger than half a minute.

Failure: ArchiveError, one line, once; then nothing is kept, and `keeps` says so.  A file of another
session that can't be read is told of, and stays; a damaged line is passed over.
"""
from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from client import history
from client.archive import ArchiveError
from client.history import Sent
from client.letters import escape, unescape
from client.private import check_private, lock, private_directory, sync

VERSION = b"-- parley unsent 1\n"
FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
SIZE_MAX = 1 << 26          # bytes that are read of a file: four times what may wait for an answer
REWRITE = 1 << 22           # bytes in a file that is written anew, or twice what it holds
TRIES = 100                 # to make a file while another session takes it for one that was left
ANSWERED = r"answered=(\d{1,20})"
STORE = r"store=([0-9a-f]{32})"
DRAFT = r'draft(?: to=([#A-Za-z0-9._,-]+))? text="((?:[^"\\]|\\.)*)"'


class Draft(NamedTuple):
    """A text that the user had begun."""
    to: str             # the names it was for, with commas; "": it stood at the menu
    text: str


class Adopted(NamedTuple):
    """What sessions that have ended left for this name and store."""
    sends: list[Sent]
    drafts: list[Draft]
    is_busy: bool       # a session that has not ended yet may leave more
    fault: str          # why a file could not be read, or ""


class Unsent:
    """The file of one session.  `sends`: those in it without an answer, by id."""

    def __init__(self, directory: str | OSError, instance: int) -> None:
        """`directory`: of the archive; "" or an OSError: nothing is kept."""
        self.sends: dict[int, Sent] = {}
        self._directory = directory if isinstance(directory, str) else ""
        self._instance = instance
        self._name = ""
        self._store = b""
        self._fd = -1
        self._size = 0                  # of the file
        self._renew_at = REWRITE        # the size at which it is written anew
        self._drafts: tuple[Draft, ...] = ()        # of sessions before, or of this one's end
        self.keeps = bool(self._directory)

    # ---- this session ----

    def begin(self, name: str, store: bytes = b"") -> None:
        """From here on for this name, and at this store, if it is known."""
        if name.lower() != self._name:
            self._remove()
            self._name = name.lower()
        if store and store != self._store:
            self._store = store
            if self._fd >= 0:
                self._write([f"store={store.hex()}"])

    def sent(self, sends: Iterable[Sent]) -> None:
        """These are about to leave.  Raises ArchiveError."""
        if self.keeps:
            new = {send.id: send for send in sends}
            self.sends.update(new)
            self._write(map(history.line, new.values()))

    def answered(self, ids: Sequence[int]) -> None:
        """These need not be kept any more.  Raises ArchiveError."""
        gone = [number for number in ids if self.sends.pop(number, None)]
        if gone and self.keeps and self._fd >= 0:
            if self.sends or self._drafts:
                self._write([f"answered={number}" for number in gone])
            else:
                self._empty()

    def draft(self, drafts: Sequence[Draft]) -> None:
        """The session ends with these unfinished texts.  Raises ArchiveError."""
        had, self._drafts = self._drafts, tuple(drafts)
        if self.keeps and self._name and self._drafts != had:
            with self._one_line():
                self._renew()

    def close(self) -> None:
        """Let go of the file, and remove it if it holds nothing; harmless at any time."""
        if self.sends or self._drafts:
            self._let_go()
        else:
            self._remove()

    # ---- the file ----

    @property
    def _file(self) -> str:
        return f"{self._name}.{self._instance:08x}.unsent"

    def _write(self, lines: Iterable[str]) -> None:
        data = _bytes(lines)
        with self._one_line():
            if self._fd < 0:
                self._fd = self._make(self._file)
                self._size = _write_all(self._fd, self._head() + data)
            elif self._size + len(data) <= self._renew_at:
                self._size += _write_all(self._fd, data)
            else:
                self._renew()

    def _head(self) -> bytes:
        return VERSION + (f"store={self._store.hex()}\n".encode() if self._store else b"")

    def _make(self, file: str) -> int:
        """A file that is locked from its beginning, or at least before another session took it for
        one that was left."""
        directory = private_directory(self._directory)
        try:
            for _ in range(TRIES):
                fd = os.open(file, FLAGS | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600,
                             dir_fd=directory)
                if lock(fd) and os.fstat(fd).st_nlink:
                    return fd
                os.close(fd)
            raise OSError(errno.EAGAIN, f"another session has {file}")
        finally:
            os.close(directory)

    def _renew(self) -> None:
        """Write all that counts into a new file, which takes the place of this one."""
        new = f"{self._file}.new"
        fd = self._make(new)
        self._size = _write_all(fd, self._head() + _bytes(map(history.line, self.sends.values()))
                                + _bytes(map(_line, self._drafts)))
        sync(fd)
        os.rename(os.path.join(self._directory, new), os.path.join(self._directory, self._file))
        self._let_go()
        self._fd, self._renew_at = fd, max(REWRITE, 2 * self._size)

    def _empty(self) -> None:
        """All has its answer."""
        with self._one_line():
            os.ftruncate(self._fd, 0)
            self._size = _write_all(self._fd, self._head())

    def _remove(self) -> None:
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self._directory, self._file))
        self._let_go()
        self.sends.clear()
        self._drafts = ()

    def _let_go(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @contextlib.contextmanager
    def _one_line(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.keeps = False
            raise ArchiveError(f"can't keep in {self._directory} what has no answer yet: "
                               f"{error.strerror or error}") from error

    # ---- sessions that have ended ----

    def adopt(self) -> Adopted:
        """Take over what other sessions left for this name at this store.  Raises ArchiveError."""
        found, names = Adopted([], [], False, ""), list[str]()
        form = re.compile(rf"{re.escape(self._name)}\.[0-9a-f]{{8}}\.unsent(?:\.new)?")
        if self.keeps and self._name:
            with contextlib.suppress(OSError):          # there is no such directory yet
                names = sorted(filter(form.fullmatch, os.listdir(self._directory)))
        for name in names:
            if name != self._file:
                try:
                    found = self._take(os.path.join(self._directory, name), found)
                except OSError as error:
                    found = found._replace(fault=f"{name} can't be read: {error.strerror}; what an "
                                                 "earlier session left there is not offered")
        return found

    def _take(self, path: str, found: Adopted) -> Adopted:
        """The same of one file, which is removed when this session's own has what was in it."""
        try:
            fd = os.open(path, FLAGS)
        except FileNotFoundError:
            return found
        try:
            check_private(fd)
            is_free = lock(fd)
            store, sends, drafts = _read(fd)
            if store and store != self._store:
                return found
            if not is_free:
                return found._replace(is_busy=True)
            new = [send for send in sends if send.id not in self.sends]
            if new or drafts:
                self._drafts += tuple(drafts)
                self.sends.update((send.id, send) for send in new)
                self._write([*map(history.line, new), *map(_line, drafts)])
                sync(self._fd)
            os.unlink(path)
            return found._replace(sends=found.sends + new, drafts=found.drafts + drafts)
        finally:
            os.close(fd)


def _read(fd: int) -> tuple[bytes, list[Sent], list[Draft]]:
    """The store, the sends without an answer, and the drafts of a file."""
    store, sends, drafts = b"", dict[int, Sent](), list[Draft]()
    for raw in os.pread(fd, SIZE_MAX, 0).split(b"\n")[1:-1]:
        line = raw.decode(errors="replace")
        if answered := re.fullmatch(ANSWERED, line):
            sends.pop(int(answered[1]), None)
        elif named := re.fullmatch(STORE, line):
            store = bytes.fromhex(named[1])
        elif begun := re.fullmatch(DRAFT, line):
            with contextlib.suppress(ValueError):
                drafts.append(Draft(begun[1] or "", unescape(begun[2])))
        elif isinstance(record := history.parse(raw), Sent):
            sends[record.id] = record
    return store, [*sends.values()], drafts


def _bytes(lines: Iterable[str]) -> bytes:
    return b"".join([line.encode() + b"\n" for line in lines])


def _line(draft: Draft) -> str:
    to = f" to={draft.to}" if draft.to else ""
    return f'draft{to} text="{escape(draft.text)}"'


def _write_all(fd: int, data: bytes) -> int:
    """Write all of it, or raise OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest):]
    return len(data)
