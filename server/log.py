"""log: the events that the daemon notes, and lines on their way out.

Every line is one row of NOTES, an event's name and its fields, and is printed as

    2026-11-21 14:02:05+01:00 message sender=ann to=bob id=17 text="anyone has the wrench?"

or as JSON (--log-format), or for the journal of systemd: without the time, which that adds, and
with its level in front, <4> for what an operator should look at.

All foreign text passes display(), and each whole line passes it once more as the last step.  In a
pipe or a file an event is one line.  On a terminal a long line takes several rows, and every row
except the first begins with a gutter (display.fold).

A stopped terminal or a full pipe never stalls the service: an `Outlet` is written without waiting.
A `LogStream` keeps up to PENDING_MAX bytes for a slow reader, then drops lines and counts them; the
next line that gets through says how many were lost.
"""
import contextlib
import errno
import json
import os
import re
import select
import socket
import stat
from collections.abc import Callable

from terminal.display import display, fold

PENDING_MAX = 256 * 1024    # bytes of log that the daemon keeps for a slow reader
ESCAPED = 7             # bytes that a character takes in JSON at the most, and something besides
LINE_MAX = 4096             # bytes of a line of the log, its newline included
PIPE_WRITE = 4096           # a pipe that polls writable takes PIPE_BUF bytes at once (pipe(7))

# Every line that the console or the log can print: the event, its fields, and when it happens.
NOTES: dict[str, tuple[str, str]] = {
    "listening": ("address", "the daemon takes connections at this address"),
    "shut-directory": ("address directory",
                       "those who may use this socket can't enter its directory: chmod it"),
    "passed-over": ("address reason",
                    "the daemon can't listen at this default place, and goes on to the next"),
    "socket-gone": ("address", "the file of this socket was removed: the daemon binds it again"),
    "socket-lost": ("address reason", "clients can't find this socket; connected clients stay"),
    "certificate": ("fingerprint", "the daemon speaks TLS with this certificate"),
    "slow-key": ("milliseconds advice", "everybody waits for so long when somebody dials over TLS"),
    "untold": ("reason", "the kernel or the host does not tell some users apart"),
    "unprotected": ("reason", "the daemon does not keep names for their owners"),
    "slow-login": ("login seconds",
                   "the host's list of users was slow to answer, and everybody waited"),
    "recovered": ("names waiting seconds", "the store was opened"),
    "store": ("says", "the store reports something about its recovery or its work"),
    "stopping": ("signal",
                 "TERM or INT came: the daemon syncs what it accepted and tells its clients"),
    "reloaded": ("", "HUP came: the daemon opened its log file again, and read the bans, quotas "
                     "and certificate"),
    "not-upgraded": ("reason", "USR2 came, or an operator asked for it, and no other program could "
                               "take over: this one serves on"),
    "upgraded": ("before release clients told milliseconds",
                 "this program took the place of the one before, with its clients; those that "
                 "were told come again; so long nobody was served"),
    "operation": ("address order arguments",
                  "an operator asked for something (parleyd status, kick, ban and others)"),
    "no-operator": ("address order", "a login that is none asked for what only operators may"),
    "not-reloaded": ("reason", "HUP came, and this could not be read again: what was read before "
                               "stays in force"),
    "certificate-expires": ("days", "the certificate ends in so many days, or has ended: put a new "
                                    "one in its place, and send HUP"),
    "no-descriptors": ("reason",
                       "no file descriptor is left: the daemon accepts nobody for a moment"),
    "closed": ("address reason", "a connection ended before it had a name"),
    "violation": ("address name reason", "a peer broke the protocol and was disconnected"),
    "connected": ("name address waiting", "a client registered its username"),
    "errand": ("name address", "a client came in beside the session of its user"),
    "errand-over": ("name reason", "such a client is gone"),
    "moved": ("name address", "a user moved the session to another client, at this address"),
    "new-name": ("name address", "a username that was never used before got its queue"),
    "operator": ("name address", "root, or the daemon's own login, uses another user's name"),
    "claimed": ("name", "a user set a passphrase for the name"),
    "unclaimed": ("name", "a user removed the passphrase of the name"),
    "wrong-proof": ("name address", "a client that did not know the passphrase was not let in"),
    "relayed-proof": ("name address", "a program passed on another client's proof: not let in"),
    "rejected": ("name address reason", "a client was not let in"),
    "disconnected": ("name reason", "a client is gone"),
    "request": ("name request", "a request arrived"),
    "message": ("sender to id text", "a message was put into the queues of its recipients"),
    "repeated": ("name first last", "a client sent messages again; nothing was stored twice"),
    "refused": ("name origin reason", "a message was refused, and its sender was told why"),
    "mailbox-full": ("sender to origin",
                     "a message was not stored for these users: their mailboxes are full"),
    "not-delivered": ("sender to origin", "a now-or-never message found none of its recipients"),
    "delivered": ("name messages first last",
                  "a reader confirmed messages, and they left the queue"),
    "checked": ("name messages", "the daemon answered a check for messages"),
    "holding": ("name", "new messages wait until this user checks"),
    "receiving": ("name", "this user is pushed new messages again"),
    "away": ("name text", "a user says that they are away, or no longer: an empty text"),
    "ignoring": ("name who", "a user ignores another from now on"),
    "not-ignoring": ("name who", "a user no longer ignores another"),
    "kept-away": ("sender to first last",
                  "messages were not shown to this user, who ignores their sender"),
    "invited": ("name to invitation", "a user invited others to a chat"),
    "not-invited": ("name to reason", "an invitation was not possible"),
    "accepted": ("name invitation", "an invited user accepted"),
    "called-off": ("invitation why by", "an invitation ended without a chat"),
    "chat-started": ("chat members", "a chat session was established"),
    "status": ("name status", "a user became busy or available"),
    "line": ("chat sender text", "a member of a chat said a line"),
    "chat-left": ("chat name why", "a user left a chat"),
    "chat-ended": ("chat by", "a chat session ended: this user left it"),
    "room-made": ("name room", "a user made a room, and keeps it"),
    "joined": ("name room", "a user became a member of a room"),
    "left-room": ("name room", "a user is a member of a room no longer"),
    "topic": ("name room text", "a user set the topic of a room"),
    "room-for": ("name room who", "a room is open to everybody, or for these users or this group"),
    "room-closed": ("name room", "a room was closed"),
    "disk-full": ("reason", "the disk is full: the daemon refuses new messages"),
    "disk-free": ("", "the disk has room again"),
    "gathered": ("login what lines",
                 "so many more lines of this kind were not written, in the last 10 s: this login "
                 "is over its rate (--log-each)"),
    "refusals": ("login what reason times",
                 "USR1 came: how often this was refused to this login since the start"),
    "log-lost": ("lines", "lines were dropped: the reader of this log is too slow"),
}
# Events that an operator should look at, with their levels (sd-daemon(3)); all others are 6, info.
LEVELS = {"disk-full": 3, "slow-key": 4, "untold": 4, "unprotected": 4, "slow-login": 4,
          "not-reloaded": 4, "not-upgraded": 4, "certificate-expires": 4, "socket-lost": 4,
          "socket-gone": 4, "shut-directory": 4, "no-descriptors": 4, "relayed-proof": 4,
          "log-lost": 4, "violation": 5, "wrong-proof": 5, "operator": 5, "operation": 5,
          "no-operator": 5, "upgraded": 5}
INFO = 6
BODIES = frozenset({"text"})        # the fields that hold the body of a message or a line


# ---- pure: lines ----

def note_line(event: str, fields: dict[str, object], with_text: bool) -> str:
    """One event as one line, without its time.  Foreign text is made harmless."""
    shown = [f"{key}={_value(value)}" for key, value in fields.items()
             if with_text or key not in BODIES]
    return " ".join([event, *shown])


def _value(value: object) -> str:
    text = display(str(value)[:LINE_MAX])       # more can't be seen
    if re.fullmatch(r"[^\s\"=]+", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def cut(line: str) -> str:
    """The line, cut if it would be longer than LINE_MAX bytes.

    A cut inside a quoted value closes the quotes, so that no text can pass for a field."""
    if len(line) < LINE_MAX // 4:               # as bytes it fits, whatever the characters
        return line
    data = line.encode(errors="backslashreplace")
    if len(data) < LINE_MAX:
        return line
    text = data[:LINE_MAX - 5].decode(errors="ignore")
    plain = re.sub(r"\\.", "", text) # escaped quotes do not count
    return text[:len(text) - plain.endswith("\\")] + ('..."' if plain.count('"') % 2 else "...")


def stamped(stamp: str, event: str, fields: dict[str, object], with_text: bool) -> str:
    """One event as a line of the log, noted at this time."""
    return cut(f"{stamp} {note_line(event, fields, with_text)}")


def for_journal(stamp: str, event: str, fields: dict[str, object], with_text: bool) -> str:
    """The same for the journal of systemd."""
    return cut(f"<{LEVELS.get(event, INFO)}>{note_line(event, fields, with_text)}")


def as_json(stamp: str, event: str, fields: dict[str, object], with_text: bool) -> str:
    """The same as a JSON document, in ASCII; long values are cut, so that it is whole."""
    kept = {key: value if isinstance(value, int) else display(str(value))
            for key, value in fields.items() if with_text or key not in BODIES}
    line = json.dumps({"time": stamp.replace(" ", "T"), "event": event, **kept})
    if len(line) < LINE_MAX:
        return line
    most = LINE_MAX // (ESCAPED * len(kept))    # of each value
    return json.dumps({"time": stamp.replace(" ", "T"), "event": event, **{
        key: value[:most] + "..." if isinstance(value, str) and len(value) > most else value
        for key, value in kept.items()}})


Form = Callable[[str, str, dict[str, object], bool], str]
FORMS: dict[str, Form] = {"text": stamped, "json": as_json}


def form_of(name: str, fd: int, journal: str) -> Form:
    """How lines are written to a descriptor.  `journal`: $JOURNAL_STREAM, by which systemd says
    that it is the journal's."""
    try:
        found = os.fstat(fd)
    except OSError:
        return FORMS[name]
    is_journal = name == "text" and journal == f"{found.st_dev}:{found.st_ino}"
    return for_journal if is_journal else FORMS[name]


# ---- output that never waits ----

class NoTerminal(OSError):
    """Standard output is a terminal that this user may not open."""


def open_terminal(fd: int) -> int:
    """Open a terminal anew, non-blocking.  Raises NoTerminal.

    By its name; if it has none in this /dev, as in a container, by the descriptor; and if it
    belongs to another login, as after su, as the process's own controlling terminal."""
    for name in (os.ttyname, "/dev/fd/{}".format, _controlling):
        with contextlib.suppress(OSError):
            return os.open(name(fd), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    raise NoTerminal("standard output is a terminal that this user may not open")


def _controlling(fd: int) -> str:
    """The name of the controlling terminal, if `fd` is that terminal.  Raises OSError."""
    os.tcgetpgrp(fd)
    return "/dev/tty"


def terminal_size(fd: int) -> tuple[int, int]:
    """Columns and rows of a terminal; 80 and 24 where they are unknown."""
    try:
        columns, rows = os.get_terminal_size(fd)
    except OSError:
        columns, rows = 80, 24
    return columns or 80, rows or 24


class Outlet:
    """A descriptor that is written without waiting, and without O_NONBLOCK for other processes.

    O_NONBLOCK belongs to the open file and would reach the parent shell.  So a terminal is opened
    anew; a pipe is polled and given no more than it surely takes; a socket is asked not to wait."""

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
        """How many bytes were taken: 0 if there is no room now, all if the reader is gone."""
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

    def hung_up(self) -> bool:
        """Whether this was a terminal, and the terminal is gone."""
        if not self.is_terminal:
            return False
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))


class LogStream:
    """Lines on their way out: kept while the reader is slow, dropped when it is too slow."""

    def __init__(self, outlet: Outlet, with_text: bool, form: Form = stamped) -> None:
        self.outlet = outlet
        self.form = form
        self.with_text = with_text              # False: the bodies are left out
        self.lost = 0                          # lines dropped since the reader was last told
        self._pending = bytearray()

    def add(self, stamp: str, event: str, fields: dict[str, object]) -> int:
        """Queue one event, noted at this time.  Returns the length of its line."""
        if self.lost and len(self._pending) < PENDING_MAX // 2:
            lost, self.lost = self.lost, 0
            self._add(self.form(stamp, "log-lost", {"lines": lost}, True))
        line = self.form(stamp, event, fields, self.with_text)
        self._add(line)
        return len(line)

    def _add(self, line: str) -> None:
        if len(self._pending) > PENDING_MAX:
            self.lost += 1
            return
        is_terminal, fd = self.outlet.is_terminal, self.outlet.fd
        rows = fold(line, terminal_size(fd)[0]) if is_terminal else [display(line)]
        self._pending += "\n".join(rows).encode(errors="backslashreplace") + b"\n"

    def flush(self) -> None:
        """Write what the reader takes."""
        if self._pending:
            del self._pending[:self.outlet.write(bytes(self._pending))]

    @property
    def waits(self) -> bool:
        """Whether lines wait for a slow reader."""
        return bool(self._pending)


def open_log(path: str, form: Form = stamped) -> LogStream:
    """The file that the event log is appended to, without bodies.  Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
                 | os.O_NONBLOCK, 0o600)        # a FIFO that nobody reads is an error, not a wait
    try:
        _check_owner(fd)
    except OSError:
        os.close(fd)
        raise
    return LogStream(Outlet(fd), with_text=False, form=form)


def _check_owner(fd: int) -> None:
    """Refuse a log that others can write or own: it proves nothing.  Raises PermissionError."""
    found = os.fstat(fd)
    if found.st_uid not in (0, os.geteuid()):
        raise PermissionError(errno.EPERM, "it belongs to another user")
    if found.st_mode & stat.S_IWOTH and not stat.S_ISCHR(found.st_mode):    # /dev/null may be
        raise PermissionError(errno.EPERM, "everybody can write to it: chmod o-w")
