"""library: the libraries behind dbm, in a process of their own.

Promises
    If the disk does not give a file back, or gives it back wrong, a dbm library may do anything: a
    SIGBUS, a crash, an endless loop.  It does that to a process that holds nothing else.  The
    caller gets an OSError that says so, and the next call gets a new process.  If somebody else
    ended the process of a reader (by SIGKILL), a new one answers the reader.
How it works
    `open` returns a mapping of bytes to bytes, as dbm.open does.  Each access is a request to the
    worker, the process that holds the open files, and its answer, over a socketpair.  The caller
    waits for the answer, as it would for the library.

     request  0    1        5            9              13
             +----+--------+------------+--------------+------+-------+
             | op | handle | key length | value length | key  | value |
             +----+--------+------------+--------------+------+-------+
             An OPEN has backend and flag for its key, and the path for its value.
     answer   0        1        5
             +--------+--------+-------------------------+
             | status | length | data, or errno and text |
             +--------+--------+-------------------------+

    The spawner forks the workers.  It is a process that was forked from the caller while that was
    young and small, and does nothing else: it gets the worker's end of a new socketpair, forks,
    waits for the worker, and tells the caller how the worker ended.  A mapping that was opened for
    reading is opened again in the next worker; one that was being written is lost.
    GNU dbm maps its file into memory, and dbm.gnu.open has no flag against that (in all of 3.11 to
    3.13): a sector that cannot be read is a SIGBUS there, not an error.  The process costs one
    round trip for each value, some 50 us for 64 KiB.
How it fails
    OSError: what the library raised, or EIO when the worker ended.  An access that takes longer
    than PATIENCE ends the worker.
Bad at
    A disk that neither answers nor fails: nothing can end the worker then, and the caller waits.
"""

from __future__ import annotations

import errno
import gc
import os
import resource
import signal
import socket
import struct
import sys
from contextlib import suppress
from typing import Any

from store.disk import SystemCalls

PR_SET_NAME = 15  # <sys/prctl.h> of Linux; 15 bytes at most

REQUEST = struct.Struct("!cIII")
ANSWER = struct.Struct("!cI")
ERROR = struct.Struct("!H")
STATUS = struct.Struct("!i")  # of a worker that has ended, from the spawner
WORD = struct.Struct("!I")  # the handle that OPEN gives; the length before each key of KEYS
OPEN, GET, PUT, KEYS, CLOSE = b"o", b"g", b"p", b"k", b"c"
DONE, FAILED = b"+", b"-"
# seconds for an access: a disk that is only slow takes less; closing a written file also syncs it
PATIENCE = {"r": 10, "n": 60}
CHUNK = 1 << 18  # bytes asked of the line at once
# ends that a request can bring upon its worker; any other end was somebody's doing
FAULTS = ("its deadline", "SIGBUS", "SIGSEGV", "SIGABRT")


class Ended(OSError):
    """The worker ended in the middle of a request.

    `its_fault`: the request brought that about, so it is not made again."""

    def __init__(self, number: int, reason: str, its_fault: bool) -> None:
        super().__init__(number, reason)
        self.its_fault = its_fault


class Library:
    """The spawner and the worker.  Make it before any descriptor is open.

    It forks the spawner at once, and a worker when one is needed."""

    def __init__(self) -> None:
        self.worker = 0  # the number of the worker: how many there have been
        self._line: socket.socket | None = None
        self._spawn()

    def _spawn(self) -> None:
        self._spawner, theirs = socket.socketpair()
        self.pid = os.fork()
        if not self.pid:
            _spawner(theirs)
        theirs.close()

    def open(self, backend: str, path: str, flag: str) -> Database:
        """Open a dbm file; `flag` is "r", or "n" for a new one."""
        return Database(self, backend, path, flag)

    def ask(self, op: bytes, handle: int, key: bytes, value: bytes) -> bytes:
        """The worker's answer; starts a worker if there is none.  Raises OSError."""
        line = self._line or self._start_worker()
        try:
            line.sendall(REQUEST.pack(op, handle, len(key), len(value)) + key + value)
            status, length = ANSWER.unpack(_take(line, ANSWER.size))
            data = _take(line, length)
        except (EOFError, ConnectionError):
            why = self._ending()
            raise Ended(errno.EIO, f"the dbm library was ended by {why}", why in FAULTS) from None
        if status == FAILED:
            raise OSError(ERROR.unpack_from(data)[0], data[ERROR.size:].decode())
        return data

    def has(self, worker: int) -> bool:
        """Whether the worker of this number still runs, as far as is known."""
        return self.worker == worker and self._line is not None

    def _start_worker(self) -> socket.socket:
        self._line, theirs = socket.socketpair()
        try:
            socket.send_fds(self._spawner, [OPEN], [theirs.fileno()])
        except ConnectionError:  # somebody ended the spawner
            self._reap()
            self._spawn()
            socket.send_fds(self._spawner, [OPEN], [theirs.fileno()])
        finally:
            theirs.close()
        self.worker += 1
        return self._line

    def _ending(self) -> str:
        """What ended the worker."""
        if self._line:
            self._line.close()
            self._line = None
        try:
            code = STATUS.unpack(_take(self._spawner, STATUS.size))[0]
        except (EOFError, ConnectionError):
            return "somebody"
        if code == -signal.SIGALRM:
            return "its deadline"
        return signal.Signals(-code).name if code < 0 else f"exit {code}"

    def _reap(self) -> None:
        self._spawner.close()
        os.waitpid(self.pid, 0)

    def end(self) -> None:
        if self._line:
            self._line.close()
        self._reap()


class Database:
    """A dbm file in the worker."""

    def __init__(self, library: Library, backend: str, path: str, flag: str) -> None:
        self.library, self.flag = library, flag
        self._key, self._path = f"{backend} {flag}".encode(), os.fsencode(path)
        self._worker = self._handle = 0  # the worker that has the file open, and its handle there
        try:
            self._open()
        except Ended as ended:
            if flag != "r" or ended.its_fault:
                raise
            self._open()

    def _open(self) -> None:
        self._handle = WORD.unpack(self.library.ask(OPEN, 0, self._key, self._path))[0]
        self._worker = self.library.worker

    def _ask(self, op: bytes, key: bytes = b"", value: bytes = b"") -> bytes:
        """The answer; a reader whose worker somebody killed meanwhile asks a new one, once."""
        try:
            return self._ask_once(op, key, value)
        except Ended as ended:
            if self.flag != "r" or ended.its_fault:
                raise
            return self._ask_once(op, key, value)

    def _ask_once(self, op: bytes, key: bytes, value: bytes) -> bytes:
        if not self.library.has(self._worker):
            if self.flag != "r":
                raise OSError(errno.EIO, "the library ended while it wrote this")
            self._open()
        return self.library.ask(op, self._handle, key, value)

    def __getitem__(self, key: bytes) -> bytes:
        return self._ask(GET, key)

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._ask(PUT, key, value)

    def keys(self) -> list[bytes]:
        data, found, at = self._ask(KEYS), [], 0
        while at < len(data):
            (length,) = WORD.unpack_from(data, at)
            found.append(data[at + WORD.size:at + WORD.size + length])
            at += WORD.size + length
        return found

    def close(self) -> None:
        if self.flag != "r" or self.library.has(self._worker):
            self._ask(CLOSE)


class Worker:
    """What a worker does: the requests of one line."""

    def __init__(self, line: socket.socket) -> None:
        self.line, self.disk = line, SystemCalls()
        self.files: dict[int, tuple[Any, int]] = {}  # by handle: the open file, and its PATIENCE
        self.last = 0  # the last handle given
        self.rows = {OPEN: self.open, GET: self.get, PUT: self.put, KEYS: self.keys,
                     CLOSE: self.close}

    def serve(self) -> None:
        while True:
            op, handle, key, value = REQUEST.unpack(_take(self.line, REQUEST.size))
            words = _take(self.line, key + value)
            signal.alarm(self.files[handle][1] if handle in self.files else max(PATIENCE.values()))
            try:
                status, data = DONE, self.rows[op](handle, words[:key], words[key:])
            except Exception as error:  # a library raises anything over a file that is not its own
                status, data = FAILED, _in_bytes(error)
            signal.alarm(0)
            self.line.sendall(ANSWER.pack(status, len(data)) + data)

    def open(self, handle: int, key: bytes, path: bytes) -> bytes:
        backend, flag = key.decode().split()
        signal.alarm(PATIENCE[flag])
        self.last += 1
        database = self.disk.database(backend, os.fsdecode(path), flag)
        self.files[self.last] = database, PATIENCE[flag]
        return WORD.pack(self.last)

    def get(self, handle: int, key: bytes, value: bytes) -> bytes:
        return bytes(self.files[handle][0][key])

    def put(self, handle: int, key: bytes, value: bytes) -> bytes:
        self.files[handle][0][key] = value
        return b""

    def keys(self, handle: int, key: bytes, value: bytes) -> bytes:
        # dbm iterates by keys() only
        keys = [bytes(key) for key in self.files[handle][0].keys()]  # noqa: SIM118
        return b"".join([WORD.pack(len(key)) + key for key in keys])

    def close(self, handle: int, key: bytes, value: bytes) -> bytes:
        self.files.pop(handle)[0].close()
        return b""


def _in_bytes(error: Exception) -> bytes:
    """The errno and the text of an exception, as an answer has them."""
    number, text = errno.EIO, repr(error)
    if isinstance(error, OSError):
        number = error.errno if isinstance(error.errno, int) else errno.EIO
        text = str(error.strerror or error)
    return ERROR.pack(number & 0xFFFF) + text.encode("utf-8", "replace")


def _take(line: socket.socket, size: int) -> bytes:
    """Exactly `size` bytes of the line.  Raises EOFError."""
    parts: list[bytes] = []
    while size:
        part = line.recv(min(size, CHUNK))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _spawner(line: socket.socket) -> None:
    """The spawner's process; never returns."""
    try:
        alone(line.fileno(), b"parleyd-dbm")
        while True:
            _, descriptors, _, _ = socket.recv_fds(line, 1, 1)
            if not descriptors:
                break
            pid = os.fork()
            if not pid:
                _worker(descriptors[0])
            os.close(descriptors[0])
            line.sendall(STATUS.pack(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
    finally:
        os._exit(0)


def _worker(fd: int) -> None:
    """A worker's process; never returns."""
    try:
        alone(fd, b"parleyd-dbm")
        gc.enable()  # dbm.dumb leaves cycles behind for each key that it reads
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with suppress(EOFError):
            Worker(socket.socket(fileno=fd)).serve()
    finally:
        os._exit(0)


def alone(kept: int, name: bytes) -> None:
    """Make this process a child that works for the daemon alone, and is called this in ps(1).

    It keeps one descriptor and so holds nobody's terminal or pipe open.  Nothing that a library
    prints can reach a file that was passed.  Signals that mean the daemon do not end it."""
    if ctypes := sys.modules.get("ctypes"):     # of the daemon, who hides its memory
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_NAME, name, 0, 0, 0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.closerange(3, kept)
    os.closerange(kept + 1, soft if 0 < soft < 1 << 20 else 1 << 20)
