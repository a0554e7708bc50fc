"""connection: one peer's socket, and the bytes that pass through it.

A connection is read once a turn, READ_SIZE bytes at most, or less if very many are ready; and what
it has sent waits in `frames` until the daemon has worked it off.  What its socket does not take
waits in `unsent`.  A peer that does not read what it is sent is not read either, once READ_PAUSE_AT
bytes wait for it, so that its requests can't make the daemon hold more.  When LOGIN_UNSENT bytes
wait for all clients of a login (rules/usage.py), its peers are not read while a byte waits for
them.  Above UNSENT_MAX, whatever the bytes are, the connection is closed.  A message that a reader
must get waits in its queue on disk, not here (rules/post.py).

watch() alone tells the selector what a connection is waited for.  close() alone closes it, and
tells its owner.
"""
from __future__ import annotations

import select
import selectors
import socket
from collections.abc import Callable, Sequence
from typing import Protocol

import wire
from net.tls import Secured
from rules.claims import Question
from rules.state import Caller, Client
from rules.usage import LOGIN_UNSENT
from server.fairness import Share
from server.timers import NEVER

READ_SIZE = 65536           # bytes read from a connection in a turn; more costs time in allocation
                            # and gains nothing
READ_PAUSE_AT = 256 * 1024  # bytes unsent at which a connection is not read: a window of messages,
                            # and then some
TURN_READ = 4 << 20         # bytes read from all connections in a turn, and of those that rest: at
                            # READ_SIZE from each, a login with a thousand of them would fill 64 MB
LEAST_READ = 4096           # but so many from each
UNSENT_MAX = 2 << 20        # bytes unsent above which it is closed: more than windows, lists and
                            # chats can leave unread by their own limits
LEFT = "the line was closed"        # why, if the peer did it


def read_size(connections: int) -> int:
    """The bytes to read from each of so many connections that are ready, or have frames left."""
    if connections <= TURN_READ // READ_SIZE:
        return READ_SIZE
    return max(LEAST_READ, TURN_READ // connections)


class Owner(Protocol):
    """The daemon, as a connection knows it."""

    def closed(self, connection: Connection, reason: str) -> None:
        """This connection was closed, from whichever end."""

    @property
    def lost(self) -> Callable[[Connection], None]:
        """For a connection that takes nothing more, and is to be closed in a moment."""


class Connection:
    """A connected stream socket (one of a socketpair will do), and the peer at its other end."""
    __slots__ = ("_is_watched", "_owner", "_selector", "caller", "client", "closing", "decoder",
                 "due", "ended", "frames", "heard", "mask", "next", "opened", "paused", "pinged",
                 "place", "question", "share", "sock", "unsent")

    def __init__(self, sock: socket.socket | Secured, place: str, caller: Caller, now: float,
                 rate: int, selector: selectors.BaseSelector, owner: Owner) -> None:
        self.sock = sock
        self.share = Share(now, rate)           # of the daemon's turns
        self.place = place                      # the address of its listener
        self.caller = caller                    # the peer, before it says anything
        self.client: Client | None = None       # None: a stranger
        self.question: Question | None = None   # what a stranger has to prove
        self.decoder = wire.Decoder()
        self.frames: Sequence[bytes] = ()       # that arrived; those from `next` on still wait
        self.next = 0
        self.unsent = b""                       # what the socket did not take yet
        self.mask = selectors.EVENT_READ        # what the selector waits for
        self.opened = self.heard = now          # monotonic
        self.pinged = 0.0                       # when, since it was last heard; 0: it was not
        self.due = NEVER                        # its place in the heartbeat's timers
        self.paused = False                     # not read for a while (unfinished.py)
        self.ended = False                      # the peer will say no more, and still listens
        self.closing = ""                       # why it is closed as soon as everything was sent
        self._selector = selector
        self._owner = owner
        self._is_watched = True                 # it stands in the selector
        sock.setblocking(False)
        selector.register(sock, self.mask, self)

    @property
    def is_open(self) -> bool:
        """Its socket was not closed."""
        return self.sock.fileno() >= 0

    @property
    def may_go_on(self) -> bool:
        """Frames of its last read wait, and nothing keeps the daemon from working them off."""
        return bool(self.frames) and bool(self.mask & selectors.EVENT_READ)

    # ---- reading ----

    def receive(self, now: float, size: int = READ_SIZE) -> bool:
        """Read what has come, `size` bytes at most, into `frames`.  False: nothing came, or the
        line has ended."""
        try:
            data = self.sock.recv(size)
        except BlockingIOError:
            return False
        except OSError as error:
            self.close(error.strerror or str(error))
            return False
        if not data:
            self._on_end()
            return False
        self.heard, self.pinged = now, 0.0
        self.frames, self.next = self.decoder.split(data), 0
        return True

    def _on_end(self) -> None:
        """The peer will say no more.  A client that only shut down that direction still gets the
        answers that it is owed (partings.py)."""
        if self.client is None or self.is_gone(said_all=False):
            self.close(LEFT)
        else:
            self.ended = True
            self.watch()

    def is_gone(self, said_all: bool) -> bool:
        """Whether nobody is left at the other end to hear an answer.  `said_all`: all that came
        from there was read.

        A Unix socket tells a close from a shutdown of one direction (POLLHUP); TCP does so only
        when a reset came.  There a peer whose line has ended may still listen; but not a client
        that has said nothing after HELLO, for it can never confirm or answer anything."""
        poll = select.poll()
        poll.register(self.sock.fileno(), 0)    # the kernel tells POLLHUP and POLLERR all the same
        if poll.poll(0):
            return True
        try:
            return (said_all and isinstance(self.sock, socket.socket)
                    and not self.sock.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False
        except OSError:
            return True

    def widen(self) -> None:
        """The peer has a client now: its frames may be longer than a stranger's, those behind its
        HELLO too."""
        self.decoder.widen(wire.FRAME_MAX)
        if more := self.decoder.split(b""):
            self.frames = [*self.frames, *more]

    # ---- writing ----

    def send(self, data: bytes) -> None:
        """Send now what the socket takes, and the rest when it takes more."""
        if not self.unsent:
            self.transmit(data)
        elif len(self.unsent) + len(data) > UNSENT_MAX:
            self.close("it does not read what it is sent")
        else:
            self.unsent += data
            self.watch()

    def transmit(self, data: bytes) -> None:
        """Send what the socket takes of `data`, which is all that is unsent."""
        taken = 0
        if data:
            try:
                taken = self.sock.send(data)
            except BlockingIOError:
                pass
            except OSError as error:        # thousands may be gone at once
                self.unsent, self.closing = b"", self.closing or error.strerror or str(error)
                self._owner.lost(self)
                return
        if taken < len(data) or self.unsent or self.closing:
            self.unsent = data[taken:]
            self.watch()

    def watch(self) -> None:
        """Tell the selector what this connection is waited for; close it when nothing is left."""
        backlog = len(self.unsent)
        self._count(backlog)
        if self.closing and not backlog:
            self.close(self.closing)
            return
        mask = selectors.EVENT_WRITE if backlog else 0
        if not self.is_clogged and not (self.closing or self.ended or self.paused):
            mask |= selectors.EVENT_READ
        if mask != self.mask:
            self.mask = mask
            if self._is_watched:
                self._selector.modify(self.sock, mask, self)
            else:
                self._selector.register(self.sock, mask, self)
                self._is_watched = True

    def _count(self, backlog: int) -> None:
        """So many bytes wait for the peer: let its client and login know."""
        client = self.client
        if client and backlog != client.backlog:
            client.usage.unsent += backlog - client.backlog
            client.backlog = backlog

    @property
    def is_clogged(self) -> bool:
        """Whether so much waits for the peer, or for its login, that the peer is not read."""
        backlog, client = len(self.unsent), self.client
        return backlog >= READ_PAUSE_AT or (backlog > 0 and client is not None
                                            and client.usage.unsent >= LOGIN_UNSENT)

    # ---- ending ----

    def hung_up(self) -> None:
        """The peer is gone.  A stranger is closed.  What a client has sent is still worked off; but
        while nothing is waited for, the selector would say so again and again."""
        if self.client is None:
            self.close(LEFT)
        elif self.is_open and not self.mask:
            self._selector.unregister(self.sock)
            self._is_watched = False

    def finish(self, reason: str, last: bytes = b"") -> None:
        """Send these last bytes, and close the connection as soon as everything was sent."""
        self.closing = self.closing or reason
        self.send(last)

    def was_look(self, reason: str) -> bool:
        """Whether a login only looked whether a daemon is here: clients do, before they have a
        name.  `reason`: why the connection is closed."""
        return reason is LEFT and self.heard == self.opened and self.caller.uid is not None

    def close(self, reason: str) -> None:
        """Close it now, and tell its owner.  Harmless when it is closed."""
        if not self.is_open:
            return
        self.drop()
        self.frames, self.closing = (), self.closing or reason
        self._count(0)
        self._owner.closed(self, reason)

    def drop(self) -> None:
        """Close the socket without a word to anybody."""
        if self._is_watched:
            self._selector.unregister(self.sock)
        self.sock.close()
