"""doors: where connections come in.

A `Doors` holds the listening sockets and decides who may come in at all, before a byte is read.  Strangers, those who
have not given a name yet, are counted for each listener and, there, for each host (hosts.py): a flood at one door does
not shut the others, and one host can't keep the rest out.  Nor can a few who connect and say nothing: where there are
as many strangers as may be, the oldest who has said nothing is closed (daemon.py), for whoever means it says HELLO in
the same breath.  Only if all of them are at their proofs is a newcomer told so, if they are of its own host; else the
listener rests, and its callers wait in the kernel's queue.  So they do while the daemon has its number of clients.

When descriptors run out, accept() fails and the listener stays readable: a loop that just tries again spins.  A spare
descriptor, kept for this, is given up to take one caller and turn it away; then all listeners rest for a moment.

Over TLS a connection is wrapped as it comes in (secure.py); the loop does not know the difference.

A Unix socket's file is made 0600 in a 0700 directory, or with --socket-mode open to a group or to everybody; then the
kernel tells who calls (logins.py).  A file left by a daemon that was killed is removed, when
nobody answers there.
"""
import contextlib
import errno
import os
import selectors
import socket
import stat
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

from address import Address
from logins import Logins, caller_uid
from presence import Caller
from secure import Secured, Server

PAUSE_SECONDS = 0.25        # not accepting, when there is no descriptor left or no place
NOTE_SECONDS = 5.0          # between two lines that say that there is no descriptor: it may last for hours
BACKLOG = 4096              # callers in the kernel's queue; it has a limit of its own (somaxconn)
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

Adopt = Callable[[socket.socket | Secured, str, Caller], None]      # a connected socket, its listener, who calls


class Doors:
    """The listeners, and how many strangers stand in each."""

    def __init__(self, selector: selectors.BaseSelector, adopt: Adopt, is_full: Callable[[], bool],
                 idle: Callable[[str], object], note: Callable[..., None], strangers: int, each: int,
                 accepts: Callable[[], int]) -> None:
        self.selector = selector
        self.adopt = adopt                                  # what becomes of a connection
        self.is_full = is_full                              # no more clients, for now
        self.idle = idle                                    # a stranger of this listener who can make room, or None
        self.note = note
        self.accepts = accepts                              # how many may come in at each listener in this turn
        self.strangers = strangers                          # allowed, a listener
        self.each = each                                    # and a host there
        self.logins = Logins()
        self.listeners: dict[socket.socket, str] = {}       # and the address of each
        self._servers: dict[socket.socket, Server] = {}     # the certificate of those that speak TLS
        self._resting: dict[socket.socket, float] = {}      # until when, on the monotonic clock
        self._tired: dict[socket.socket, None] = {}         # they rest as soon as the time is known
        self._counts: dict[str, int] = {}                   # strangers, by listener, and by listener and host
        self._lack = ""                                     # why nobody can come in, until it is noted
        self._noted_at = -NOTE_SECONDS
        self._spare: int | None = None
        self._keep_spare()

    def listen(self, listener: socket.socket, name: str, server: Server | None = None) -> None:
        """Take connections from this listening socket, with a certificate over TLS."""
        listener.setblocking(False)
        if server:
            self._servers[listener] = server
        self.listeners[listener] = name
        self.selector.register(listener, selectors.EVENT_READ, self._on_accept)
        self.note("listening", address=name)

    def stranger(self, place: str, host: str, step: int) -> None:
        """One stranger more (1) or less (-1) here."""
        for key in (place, f"{place} {host}"):
            self._counts[key] = self._counts.get(key, 0) + step
            if not self._counts[key]:
                del self._counts[key]

    def is_over(self, place: str, host: str = "") -> bool:
        """Whether there are more strangers here than may be, or more of that host."""
        most = self.each if host else self.strangers
        return self._counts.get(f"{place} {host}" if host else place, 0) > most

    def tick(self, monotonic: float) -> None:
        """Let those rest that need it, and open those that have rested."""
        if not (self._resting or self._tired or self._lack) and self._spare is not None:
            return
        for listener in [listener for listener, until in self._resting.items() if monotonic >= until]:
            del self._resting[listener]
            self.selector.register(listener, selectors.EVENT_READ, self._on_accept)
        for listener in self._tired:
            self.selector.unregister(listener)
            self._resting[listener] = monotonic + PAUSE_SECONDS
        self._tired.clear()
        if self._lack and monotonic - self._noted_at >= NOTE_SECONDS:
            self.note("no-descriptors", reason=self._lack)
            self._lack, self._noted_at = "", monotonic
        if self._spare is None:
            self._keep_spare()

    @property
    def open_at(self) -> float:
        """When the next listener opens again, on the monotonic clock; inf: all are open."""
        return min(self._resting.values(), default=inf)

    def close(self) -> None:
        """Shut for good; the files of Unix sockets go too."""
        for listener, name in self.listeners.items():
            if listener not in self._resting:
                self.selector.unregister(listener)
            listener.close()
            if name.startswith("unix:"):
                Path(name.removeprefix("unix:")).unlink(missing_ok=True)
        self.listeners.clear()
        self._resting.clear()
        self._tired.clear()
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None

    def _on_accept(self, listener: socket.socket, mask: int) -> None:
        place = self.listeners[listener]
        for _ in range(self.accepts()):
            if self.is_full() or (self._counts.get(place, 0) >= self.strangers and self.idle(place) is None):
                self._tired[listener] = None
                return
            try:
                sock, peer = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self._turn_away(listener, error)
                return
            self._adopt(listener, sock, peer)

    def _adopt(self, listener: socket.socket, sock: socket.socket, peer: Any) -> None:
        server, uid = self._servers.get(listener), None
        if isinstance(peer, tuple):             # of the internet: a host and a port
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            where = f"{peer[0]}:{peer[1]}"
        else:
            uid = caller_uid(sock)
            where = "unix" if uid is None else f"unix:{self.logins.name(uid)}"
        self.adopt(server.wrap(sock) if server else sock, self.listeners[listener],
                   Caller(where, uid, server.binding if server else b""))

    def _turn_away(self, listener: socket.socket, error: OSError) -> None:
        """No descriptor is left: take one caller with the spare one, and close it."""
        if error.errno not in NO_ROOM:
            return                              # the caller gave up, or a firewall spoke: nobody else is concerned
        self._lack = error.strerror or "no descriptor"
        if self._spare is not None:
            os.close(self._spare)
        with contextlib.suppress(OSError):
            listener.accept()[0].close()
        self._keep_spare()
        self._tired.update(dict.fromkeys(self.listeners))

    def _keep_spare(self) -> None:
        """Hold a descriptor for the day on which there is none; without one, try again later."""
        self._spare = None
        with contextlib.suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


def open_listener(where: Address, mode: int = 0o600) -> socket.socket:
    """A listening socket; a Unix socket with this mode.  Raises OSError."""
    if not where.path:
        family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
        return socket.create_server((where.host, where.port), family=family, backlog=BACKLOG)
    _own_directory(Path(where.path).parent, 0o700 | _entering(mode))
    _remove_stale(where.path)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(where.path)
        os.chmod(where.path, mode)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _entering(mode: int) -> int:
    """What those who may use a socket of this mode need of its directory."""
    return (mode & 0o066) >> 1 & 0o011


def shut_directory(where: Address, mode: int) -> str:
    """The directory that keeps those out who may use this socket; "" when none does.  It was there before."""
    directory = Path(where.path).parent
    return str(directory) if where.path and _entering(mode) & ~directory.stat().st_mode else ""


def _own_directory(directory: Path, mode: int) -> None:
    """Make it; one that is there must not be another user's, nor one in which others may replace our socket."""
    if not directory.exists():
        directory.mkdir(mode=0o700, parents=True)
        directory.chmod(mode)
    for status in (directory.lstat(), directory.stat()):
        if status.st_uid not in (os.geteuid(), 0):
            raise PermissionError(errno.EPERM, f"{directory} belongs to another user")
    if status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX:
        raise PermissionError(errno.EPERM, f"others may write in {directory}: chmod go-w it")


def _remove_stale(path: str) -> None:
    """Unlink a socket that nobody listens at any more; one that answers is in use, and no other file is touched."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise FileExistsError(errno.EEXIST, "a file that is no socket is there")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except FileNotFoundError:
            pass
        else:
            raise OSError(errno.EADDRINUSE, "Address already in use")
