"""console: what the operator sees.

Two things come out of here: a live table of all names above the event log, when the output is a terminal; or the event
log alone, a line an event, when it is a pipe, a file or a journal.  Every line is one row of NOTES: an event's name
and its fields, printed as

    2026-11-21 14:02:05 message sender=ann to=bob id=17 text="anyone has the torque wrench?"

A stopped terminal or a full pipe never stalls the service: nothing here waits.  What the reader does not take is kept
up to PENDING_MAX bytes, then dropped, and the next line that gets through says how many were lost.  Frames of the
table are not kept at all: the next one shows the latest state.

All foreign text passes display(), and each whole line passes it once more as the last step.  In a pipe
or a file an event is one line.  On a terminal a long line takes several rows, and every row except the
first begins with a gutter (display.fold).  With `--no-text` the bodies of messages and lines are left
out; a log file (`--log`) never has them.
"""
import contextlib
import errno
import os
import re
import select
import socket
import stat
import time
from collections import deque
from collections.abc import Callable, Sequence
from math import inf

from rules.switchboard import Row
from terminal.display import clip, display, fold, pad, width

FRAME_SECONDS = 0.2         # at most 5 frames a second
PENDING_MAX = 256 * 1024    # bytes of log that a slow reader may leave to us
STATE_MAX = 46              # columns that the state may keep from the address: "chatting with" and the longest name
LINES_KEPT = 200            # of the event log, for the terminal: more rows than any terminal shows
LINE_MAX = 4096             # bytes of a line of the log, its end included: whoever is named in it, it is cut there
PIPE_WRITE = 4096           # a pipe that polls writable takes PIPE_BUF bytes without blocking (pipe(7))

# Every line that the console or the log can print: the event, its fields, and when it happens.
NOTES: dict[str, tuple[str, str]] = {
    "listening": ("address", "the daemon takes connections at this address"),
    "shut-directory": ("address directory", "who may use this socket can't enter its directory: chmod it"),
    "passed-over": ("address reason", "the daemon can't listen at this default place, and goes on to the next"),
    "socket-gone": ("address", "the file of this socket was removed: it is bound again"),
    "socket-lost": ("address reason", "clients can't find this socket, and why; connected clients stay"),
    "certificate": ("fingerprint", "TLS is spoken with this certificate"),
    "unprotected": ("reason", "names are not kept for their owners, and why"),
    "slow-login": ("login seconds", "the host's list of users was slow to answer, and everybody waited"),
    "recovered": ("names waiting seconds", "the store was opened"),
    "store": ("says", "the store has something to say about its recovery"),
    "stopping": ("signal", "TERM or INT: clients are told, what was accepted is on disk"),
    "reloaded": ("", "HUP: the log file was opened again"),
    "no-descriptors": ("reason", "connections are not accepted for a moment: no file descriptor is left"),
    "closed": ("address reason", "a connection ended before it had a name"),
    "violation": ("address name reason", "the peer broke the protocol and was disconnected"),
    "connected": ("name address waiting", "a client registered its username"),
    "new-name": ("name", "a username that was never used before got its queue"),
    "operator": ("name address", "root, or the daemon's own login, uses a name that is another's"),
    "claimed": ("name", "a user set a passphrase for the name"),
    "unclaimed": ("name", "and took it away"),
    "wrong-proof": ("name address", "somebody who did not know the passphrase was not let in"),
    "rejected": ("name address reason", "a client was not let in"),
    "disconnected": ("name reason", "a client is gone"),
    "request": ("name request", "a request arrived"),
    "message": ("sender to id text", "a message was put into the queues of its recipients"),
    "repeated": ("name first last", "messages came again; nothing was stored twice"),
    "refused": ("name origin reason", "a message was not stored, and its sender told why"),
    "mailbox-full": ("sender to origin", "a message was not stored for these: their mailboxes are full"),
    "not-delivered": ("sender to origin", "a message that was now or never found nobody"),
    "delivered": ("name messages first last", "a reader confirmed messages; they left the queue"),
    "checked": ("name messages", "a check for messages was answered"),
    "holding": ("name", "new messages wait until this user checks"),
    "receiving": ("name", "new messages are pushed to this user again"),
    "ignoring": ("name who", "a user does not want to hear another any more"),
    "not-ignoring": ("name who", "a user wants to hear another again"),
    "kept-away": ("sender to first last", "messages were not shown to this user, who ignores their sender"),
    "invited": ("name to invitation", "users were invited to a chat"),
    "not-invited": ("name to reason", "an invitation was not possible"),
    "accepted": ("name invitation", "an invited user accepted"),
    "called-off": ("invitation why by", "an invitation is over without a chat"),
    "chat-started": ("chat members", "a chat session is established"),
    "status": ("name status", "a user became busy or available"),
    "line": ("chat sender text", "a line of a chat"),
    "chat-left": ("chat name why", "a user left a chat"),
    "chat-ended": ("chat", "a chat session ended"),
    "disk-full": ("reason", "the disk refused what was to be stored; so did we"),
    "disk-free": ("", "there is room again"),
    "log-lost": ("lines", "lines were dropped: the reader of this log is too slow"),
}
BODIES = frozenset({"text"})


# ---- pure: lines and frames ----

def note_line(event: str, fields: dict[str, object], with_text: bool) -> str:
    """One event as one line, without its time.  Foreign text is made harmless."""
    shown = [f"{key}={_value(value)}" for key, value in fields.items() if with_text or key not in BODIES]
    return " ".join([event, *shown])


def _value(value: object) -> str:
    text = display(str(value)[:LINE_MAX])       # more can't be seen
    if re.fullmatch(r"[^\s\"=]+", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def cut(line: str) -> str:
    """A line that is too long, up to what one may have."""
    if len(line) < LINE_MAX // 4:               # as bytes it fits, whatever the characters
        return line
    data = line.encode(errors="backslashreplace")
    if len(data) < LINE_MAX:
        return line
    text = data[:LINE_MAX - 5].decode(errors="ignore")
    plain = re.sub(r"\\.", "", text)            # what is quoted stays quoted: nothing in it may pass for a field
    return text[:len(text) - plain.endswith("\\")] + ('..."' if plain.count('"') % 2 else "...")


def clock_of(micros: int, now: int) -> str:
    """A time as a person at the console reads it: the hour today, else the day."""
    then, today = time.localtime(micros / 1e6), time.localtime(now / 1e6)
    if then[:3] == today[:3]:
        return time.strftime("%H:%M:%S", then)
    return time.strftime("%d %b" if then[0] == today[0] else "%b %Y", then)


def status_lines(rows: Sequence[Row], more: int, columns: int, now: int) -> list[str]:
    """The live table: a heading, a row a name, and how many more there are; each clipped to the columns."""
    names = max([8, *(width(row.name) for row in rows)])
    states = min(STATE_MAX, max([20, *(width(row.state) for row in rows)]))
    lines = [f"{pad('username', names)}  {'since':8}  {'waiting':>7}  {pad('state', states)}  address"]
    for row in rows:
        state, since = display(row.state), clock_of(row.since, now) if row.since else "never"
        state += " " * (states - width(state))          # a longer one is whole, and the address pays for it
        lines.append(f"{pad(display(row.name), names)}  {since:8}  {row.waiting:7}  {state}  {display(row.address)}")
    if more:
        lines.append(f"and {more} more")
    return [clip(line.rstrip(), columns) for line in lines]


def frame(title: str, table: list[str], log: Sequence[str], size: tuple[int, int]) -> list[str]:
    """A whole screen: the title, the table, a rule, and the newest lines of the log below it."""
    columns, rows = size
    top = [title, *table][:rows]
    room = rows - len(top) - 1
    lines = [clip(line, columns) for line in list(log)[-room:]] if room > 0 else []
    rule = ["-" * columns] if room >= 0 else []
    return [clip(line, columns) for line in top] + rule + lines + [""] * (room - len(lines))


def table_rows(rows: int) -> int:
    """How many names fit: half of the screen, less heading, title and the count of the rest."""
    return max(1, rows // 2 - 3)


# ---- output that never waits ----

class NoTerminal(OSError):
    """Standard output is a terminal that this user may not open."""


def open_terminal(fd: int) -> int:
    """A terminal, opened anew and without waiting.  Raises NoTerminal.

    By its name; if it has none in this /dev, as in a container, by the descriptor; and if it is another login's, as
    after su, as one's own controlling terminal."""
    for name in (os.ttyname, "/dev/fd/{}".format, _controlling):
        with contextlib.suppress(OSError):
            return os.open(name(fd), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    raise NoTerminal("standard output is a terminal that this user may not open")


def _controlling(fd: int) -> str:
    """The name of one's controlling terminal, if this is it.  Raises OSError."""
    os.tcgetpgrp(fd)
    return "/dev/tty"


class Outlet:
    """A descriptor that is written without waiting, and without making it non-blocking for others.

    O_NONBLOCK belongs to the open file and would reach the parent shell, so a terminal is opened anew; a pipe is
    polled and given no more than it surely takes; a socket is asked not to wait."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.is_terminal = os.isatty(fd)
        self._send: Callable[[bytes], int] = self._kind(fd)

    def _kind(self, fd: int) -> Callable[[bytes], int]:
        mode = os.fstat(fd).st_mode
        if stat.S_ISSOCK(mode):
            sock = socket.socket(fileno=os.dup(fd))
            return lambda data: sock.send(data, socket.MSG_DONTWAIT)
        if os.isatty(fd):
            self.fd = own = open_terminal(fd)
            return lambda data: os.write(own, data)
        if stat.S_ISFIFO(mode):
            return self._to_pipe
        return lambda data: os.write(fd, data)

    def _to_pipe(self, data: bytes) -> int:
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        return os.write(self.fd, data[:PIPE_WRITE]) if poll.poll(0) else 0

    def write(self, data: bytes) -> int:
        """How many bytes were taken; 0 when there is no room now.  A reader that is gone takes everything."""
        done = 0
        try:
            while done < len(data):
                taken = self._send(data[done:])
                if not taken:
                    break
                done += taken
        except BlockingIOError:
            pass
        except OSError as error:
            return done if error.errno in (errno.ENOSPC, errno.EDQUOT) else len(data)
        return done


class LogStream:
    """Lines on their way out: kept while the reader is slow, dropped and counted when it is too slow."""

    def __init__(self, outlet: Outlet) -> None:
        self.outlet = outlet
        self.lost = 0
        self._pending = bytearray()

    def add(self, line: str) -> None:
        if len(self._pending) > PENDING_MAX:
            self.lost += 1
            return
        shown = "\n".join(fold(line, _size(self.outlet.fd)[0])) if self.outlet.is_terminal else display(line)
        self._pending += shown.encode(errors="backslashreplace") + b"\n"

    def flush(self) -> None:
        if self._pending:
            del self._pending[:self.outlet.write(bytes(self._pending))]

    @property
    def waits(self) -> bool:
        return bool(self._pending)


def check_log(fd: int) -> None:
    """A log that others can write, or that is another's, tells nothing.  Raises PermissionError."""
    found = os.fstat(fd)
    if found.st_uid not in (0, os.geteuid()):
        raise PermissionError(errno.EPERM, "it belongs to another user")
    if found.st_mode & stat.S_IWOTH and not stat.S_ISCHR(found.st_mode):        # /dev/null is everybody's
        raise PermissionError(errno.EPERM, "everybody can write to it: chmod o-w")


class Console:
    """The operator's view: `mode` is table, log or none; a log file may stand beside any of them."""

    def __init__(self, mode: str, fd: int, wall: Callable[[], int], *, with_text: bool = True, log: str = "") -> None:
        self.mode = mode
        self.with_text = with_text
        self.wall = wall
        self.log_path = log
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._outlet = Outlet(fd) if mode != "none" else None
        self._stream = LogStream(self._outlet) if self._outlet and mode == "log" else None
        self._file: LogStream | None = None
        self._shown: list[str] = []             # the rows that are on the screen
        self._frame = b""                       # what the terminal did not take of the last frame
        self._size = (0, 0)
        self._draw_at = 0.0
        self.changed = True
        self._times: tuple[int, str] = (0, "")
        self.reopen()
        if mode == "table" and self._outlet:
            self._outlet.write(b"\x1b[?1049h\x1b[?25l\x1b[2J")

    def reopen(self) -> None:
        """Open the log file (again): after it was moved aside.  Raises OSError."""
        if self.log_path:
            fd = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
                         | os.O_NONBLOCK, 0o600)        # a FIFO that nobody reads is an error, not a wait
            try:
                check_log(fd)
            except OSError:
                os.close(fd)
                raise
            if self._file:
                self._file.flush()
                os.close(self._file.outlet.fd)
            self._file = LogStream(Outlet(fd))

    def hung_up(self) -> bool:
        """Whether this was shown on a terminal, and the terminal is gone."""
        if self._outlet is None or not self._outlet.is_terminal:
            return False
        poll = select.poll()
        poll.register(self._outlet.fd, select.POLLOUT)
        return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))

    @property
    def is_silent(self) -> bool:
        """Nobody is told anything: neither a reader nor a file."""
        return self.mode == "none" and not self._file

    def note(self, event: str, **fields: object) -> None:
        """Something happened: one of NOTES."""
        self.changed = True
        if self.is_silent:
            return
        stamp = self._stamp()
        if self.mode != "none":
            self._to_reader(cut(f"{stamp} {note_line(event, fields, self.with_text)}"))
        if self._file:
            self._file.add(cut(f"{stamp} {note_line(event, fields, False)}"))

    def _to_reader(self, line: str) -> None:
        stream = self._stream
        if stream is None:
            self._lines.append(line[11:])
            return
        if stream.lost and len(stream._pending) < PENDING_MAX // 2:
            stream.add(f"{self._stamp()} {note_line('log-lost', {'lines': stream.lost}, True)}")
            stream.lost = 0
        stream.add(line)

    def _stamp(self) -> str:
        second = self.wall() // 1_000_000
        if second != self._times[0]:
            self._times = second, time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
        return self._times[1]

    # ---- the end of a turn ----

    def draw(self, monotonic: float, title: Callable[[], str], rows: Callable[[int], tuple[list[Row], int]]) -> None:
        """Write what is due: log lines at once, a frame at most five times a second."""
        if self._file:
            self._file.flush()
        if self._stream:
            self._stream.flush()
            self._draw_at = monotonic + FRAME_SECONDS
        if self.mode == "table" and (self.changed or self._frame) and monotonic >= self._draw_at:
            self._draw_at = monotonic + FRAME_SECONDS
            self._paint(title, rows)

    def next_draw(self) -> float:
        """When draw() has something to do, on the monotonic clock; inf: never."""
        if self._stream and self._stream.waits:
            return self._draw_at
        return self._draw_at if self.mode == "table" and (self.changed or self._frame) else inf

    def _paint(self, title: Callable[[], str], rows: Callable[[int], tuple[list[Row], int]]) -> None:
        assert self._outlet is not None
        if self._frame:                         # the terminal is slow: finish the old frame first, skip this one
            self._frame = self._frame[self._outlet.write(self._frame):]
            return
        self.changed = False
        size = _size(self._outlet.fd)
        fresh = size != self._size
        self._size = size
        table = status_lines(*rows(table_rows(size[1])), size[0], self.wall())
        screen = frame(title(), table, self._lines, size)
        old = [] if fresh else self._shown
        parts = [b"\x1b[2J"] if fresh else []
        for number, line in enumerate(screen):
            if number >= len(old) or old[number] != line:
                style = b"\x1b[7m" if number == 0 else b"\x1b[1m" if number == 1 else b""
                shown = display(line)           # the last step
                body = (pad(shown, size[0]) if number == 0 else shown).encode(errors="replace")
                parts.append(b"\x1b[%d;1H\x1b[K%s%s\x1b[m" % (number + 1, style, body))
        self._shown = screen
        data = b"".join(parts)
        self._frame = data[self._outlet.write(data):]

    def close(self) -> None:
        """Leave the terminal as it was found."""
        if self.mode == "table" and self._outlet:
            self._outlet.write(b"\x1b[?25h\x1b[?1049l")
        for stream in (self._stream, self._file):
            if stream:
                stream.flush()


def _size(fd: int) -> tuple[int, int]:
    try:
        columns, rows = os.get_terminal_size(fd)
    except OSError:
        columns, rows = 80, 24
    return columns or 80, rows or 24
