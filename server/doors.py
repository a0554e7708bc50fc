"""doors: where connections come in.

`Doors` holds the listening sockets.  The daemon (`Hall`) says how many connections may come in,
before it reads a byte of them: so many in a turn, and no more than --clients in all.
While there are so many, a listener rests for a moment, and its callers wait in the kernel's queue.

When descriptors run out, accept() fails and the listener stays readable: a loop that just tries
again spins.  The daemon keeps a spare descriptor for this.  It gives it up to take one caller and
turn it away; then all listeners rest for a moment.

Over TLS a connection is wrapped as it comes in (net/tls.py), and adopted when its handshake is over
(handshakes.py); the loop does not know the difference.

At a Unix socket the kernel tells who calls (net/logins.py).  The daemon looks at the socket's file
(sockets.py) every LOOK_SECONDS, and at SIGHUP: some systems clean /tmp, and /run/user/UID goes with
its user's last session.  If the file is gone, the daemon binds the socket again, at the same place
or, for a default one, at the next (net/places.py); clients that are connected stay.  The file of
another daemon that took the place stays too, and the log says so.
"""
from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from net import places, scram
from net.address import Address
from net.logins import Logins, can_tell, peer_pid, peer_uid
from net.tls import Secured, Server
from rules.buckets import Buckets
from rules.state import Caller, Now
from server.handover import Inherited
from server.handshakes import Handshakes
from server.options import Limits
from server.sockets import File, file_at, open_listener, remove, set_mode, shut_directory

ACCEPTS = 64                # connections accepted in a turn at each listener, if nobody asks
ACCEPTS_CALLED = 4          # the same while somebody asks: to turn one away takes up to 150 us
ACCEPT_RATE = 1000          # a second, after the first ACCEPTS, while somebody asks: a tenth of the
                            # processor for a storm at one listener
PAUSE_SECONDS = 0.25        # not accepting, when there is no descriptor left or no place
NOTE_SECONDS = 5.0          # between two lines about a lack of descriptors: it may last for hours
LOOK_SECONDS = 30.0         # between two looks at the sockets' files: no client is kept out longer
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Hall(Protocol):
    """The daemon, as the doors know it."""

    def is_quiet(self) -> bool:
        """Whether no client asks for anything."""

    def has_room(self) -> bool:
        """Whether one more may come in."""

    def adopt(self, sock: socket.socket | Secured, place: str, caller: Caller) -> None:
        """Serve a connected socket that came in at this listener, from this caller."""


class UnixDoor:
    """A Unix socket that the daemon listens at."""

    def __init__(self, where: Address, mode: int, listener: socket.socket, file: File | None
                 ) -> None:
        self.where = where
        self.mode = mode
        self.listener = listener
        self.file = file
        self.trouble = ""           # why clients can't find it, as it was last noted


class Doors:
    """The listeners."""

    def __init__(self, selector: selectors.BaseSelector, hall: Hall, note: Callable[..., None],
                 logins: Logins, limits: Limits, clock: Callable[[], Now]) -> None:
        self.selector = selector
        self.handshakes = Handshakes(selector, hall, note, limits, clock)
        self.hall = hall
        self.note = note
        self.logins = logins
        self.clock = clock
        self.listeners: dict[socket.socket, str] = {}       # and the address of each
        self._own: set[socket.socket] = set()               # those that the daemon bound
        self._servers: dict[socket.socket, Server] = {}     # certificates of those that speak TLS
        # what clients at a Unix socket see: one object for all of them
        self._unix = scram.unix(os.geteuid() if can_tell() else None)
        self._doors: list[UnixDoor] = []                        # the Unix sockets among them
        self.kept: list[Inherited] = []     # of the program before, not taken up yet (upgrade.py)
        self._look_at = 0.0                                 # the next look at their files
        self._resting: dict[socket.socket, float] = {}      # until when, monotonic
        # how long they must rest, as soon as the time is known
        self._tired: dict[socket.socket, float] = {}
        self._callers = Buckets(ACCEPTS, 1 / ACCEPT_RATE)   # by listener, while somebody asks
        self._lack = ""                                     # why nobody comes in, until noted
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

    def use(self, server: Server) -> None:
        """From now on show this certificate; connections under way keep theirs."""
        self._servers = dict.fromkeys(self._servers, server)

    def open(self, choices: Sequence[Address], mode: int, server: Server | None = None) -> None:
        """Listen at the first of these places that can be opened.  Raises OSError; its `filename`
        is the place.

        A place that another daemon has is not passed over: it may be a second daemon by mistake."""
        for where in choices:
            if kept := self._take_up(where):
                set_mode(where.path, kept.file, mode)
                self._opened(where, mode, kept.sock, server, kept.file)
                return
        for where in choices:
            if str(where) in self.listeners.values():
                return
            try:
                listener = open_listener(where, mode)
            except OSError as error:
                if error.errno == errno.EADDRINUSE or where == choices[-1]:
                    error.filename = str(where)
                    raise
                self.note("passed-over", address=str(where), reason=error.strerror or str(error))
                continue
            self._opened(where, mode, listener, server)
            return

    def saved(self) -> list[dict[str, Any]]:
        """The listeners, for a program that takes over (handover.py)."""
        files = {door.listener: door.file for door in self._doors}
        return [{"fd": each.fileno(), "name": name, "is_own": each in self._own,
                 "file": files.get(each)} for each, name in self.listeners.items()]

    def _take_up(self, where: Address) -> Inherited | None:
        """The listener at this place of the program before, if it had one."""
        wanted = str(where._replace(tls=False))
        for each in self.kept:
            name = each.name.removeprefix("tls:")
            if name == wanted or (wanted.endswith(":0")
                                  and name.rpartition(":")[0] == wanted.rpartition(":")[0]):
                self.kept.remove(each)
                return each
        return None

    def give_up(self) -> None:
        """What nobody listens at any more: shut it, and remove the files."""
        kept, self.kept = self.kept, []
        for each in kept:
            remove(each.name.removeprefix("unix:"), each.file)
            each.sock.close()

    def _opened(self, where: Address, mode: int, listener: socket.socket,
                server: Server | None = None, file: File | None = None) -> None:
        if not where.path:                      # port 0 was the kernel's to choose
            where = where._replace(port=listener.getsockname()[1])
        self._own.add(listener)
        self.listen(listener, str(where), server if where.tls else None)
        if where.path:
            self._doors.append(UnixDoor(where, mode, listener, file or file_at(where.path)))
            if directory := shut_directory(where, mode):
                self.note("shut-directory", address=str(where), directory=directory)

    def look(self, monotonic: float, *, now: bool = False) -> None:
        """Close handshakes that take too long.  If it is time, see whether clients still find the
        Unix sockets; bind those again whose files are gone."""
        self.handshakes.look(monotonic)
        if not now and monotonic < self._look_at:
            return
        self._look_at = monotonic + LOOK_SECONDS
        for door in list(self._doors):
            found = file_at(door.where.path)
            if found is None:
                self._open_again(door)
            elif found != door.file:
                self._say(door, "another file is in its place: clients do not come here")
            else:
                self._say(door, "")

    def _open_again(self, door: UnixDoor) -> None:
        """The file is gone: bind anew, and give up the old socket once its callers are taken in."""
        choices = places.for_daemon()[0] if door.where.default else [door.where]
        reason = "its file is gone"
        for where in choices:
            if where != door.where and str(where) in self.listeners.values():
                continue
            try:
                listener = open_listener(where, door.mode, patience=0)
            except OSError as error:
                why = error.strerror or error
                reason = f"its file is gone, and it could not be bound again: {why}"
                continue
            self.note("socket-gone", address=str(door.where))
            self._give_up(door)
            self._opened(where, door.mode, listener)
            return
        self._say(door, reason)

    def _give_up(self, door: UnixDoor) -> None:
        if door.listener not in self._resting:
            self._on_accept(door.listener, selectors.EVENT_READ)
            self.selector.unregister(door.listener)
        for table in (self.listeners, self._resting, self._tired):
            table.pop(door.listener, None)
        door.listener.close()
        self._own.discard(door.listener)
        self._doors.remove(door)

    def _say(self, door: UnixDoor, trouble: str) -> None:
        """Note why clients can't find a socket, once."""
        if trouble and trouble != door.trouble:
            self.note("socket-lost", address=str(door.where), reason=trouble)
        door.trouble = trouble

    def tick(self, monotonic: float) -> None:
        """Let those listeners rest that need it, and open those that have rested."""
        if self.handshakes.is_busy:
            self.handshakes.tick()
        if not (self._resting or self._tired or self._lack) and self._spare is not None:
            return
        for listener in [each for each, until in self._resting.items() if monotonic >= until]:
            del self._resting[listener]
            self.selector.register(listener, selectors.EVENT_READ, self._on_accept)
        for listener, seconds in self._tired.items():
            self.selector.unregister(listener)
            self._resting[listener] = monotonic + seconds
        self._tired.clear()
        if self._lack and monotonic - self._noted_at >= NOTE_SECONDS:
            self.note("no-descriptors", reason=self._lack)
            self._lack, self._noted_at = "", monotonic
        if self._spare is None:
            self._keep_spare()

    @property
    def open_at(self) -> float:
        """When the next listener opens again, or a handshake goes on, on the monotonic clock; inf:
        none waits for a time."""
        return min((self.handshakes.due_at, *self._resting.values()))

    def close(self) -> None:
        """Shut for good, and remove the files of the daemon's own Unix sockets."""
        self.handshakes.close()
        for door in self._doors:
            remove(door.where.path, door.file)
        for listener in self.listeners:
            if listener not in self._resting:
                self.selector.unregister(listener)
            listener.close()
        self._doors.clear()
        self.listeners.clear()
        self._resting.clear()
        self._tired.clear()
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None

    def _on_accept(self, listener: socket.socket, mask: int) -> None:
        place, now, accepts = self.listeners[listener], self.clock().monotonic, ACCEPTS
        is_quiet = self.hall.is_quiet()
        if not is_quiet:
            accepts = min(ACCEPTS_CALLED, int(self._callers.level(place, now)))
        if not accepts:
            self._tired[listener] = ACCEPTS_CALLED / ACCEPT_RATE
        for _ in range(accepts):
            if not self.hall.has_room():
                self._tired[listener] = PAUSE_SECONDS
                return
            try:
                sock, peer = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self._turn_away(listener, error)
                return
            if not is_quiet:
                self._callers.take(place, now)
            self._adopt(listener, sock, peer)

    def _adopt(self, listener: socket.socket, sock: socket.socket, peer: Any) -> None:
        server, uid = self._servers.get(listener), None
        if isinstance(peer, tuple):             # over TCP: a host and a port
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            where = f"{peer[0]}:{peer[1]}"
            binding = scram.Binding(scram.TLS, server.binding) if server else scram.TCP
        else:
            uid = peer_uid(sock)
            where = "unix" if uid is None else f"unix:{self.logins.shown(uid)}"
            binding = self._unix
        login = None if uid is None else self.logins.counts_for(uid)
        pid, place = None if uid is None else peer_pid(sock), self.listeners[listener]
        caller = Caller(where, uid, binding, login, pid)
        if server:
            self.handshakes.begin(server.wrap(sock), place, caller)
        else:
            self.hall.adopt(sock, place, caller)

    def _turn_away(self, listener: socket.socket, error: OSError) -> None:
        """No descriptor is left: take one caller with the spare one, and close the connection."""
        if error.errno not in NO_ROOM:
            return                  # the caller gave up, or a firewall spoke: no other is concerned
        self._lack = error.strerror or "no descriptor"
        if self._spare is not None:
            os.close(self._spare)
        with contextlib.suppress(OSError):
            listener.accept()[0].close()
        self._keep_spare()
        self._tired.update(dict.fromkeys(self.listeners, PAUSE_SECONDS))

    def _keep_spare(self) -> None:
        """Hold a descriptor for the day on which there is none; without one, try again later."""
        self._spare = None
        with contextlib.suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
