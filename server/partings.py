"""partings: connections whose client has left, or says no more, until they are closed.

    EXIT, or put out        the client has left.  Its connection is closed when it was told
                            everything, also what waits for the disk
    the end of its stream   the client has shut down its direction of the connection, and still
                            listens.  It leaves as soon as its CHECK, LIST and OUTCOMES are sent,
                            as far as they can be without a word from it; then the same
    a socket that takes     its peer is gone.  That is mostly seen in what came from it; but others
    nothing more            may tell it something first, and thousands may be gone at once: these
                            are closed in slices (rules/slices.py)
    a connection closed     there is nobody to tell anything (connection.py)

So a script may say all that it has to say, shut down its direction, and read the answers.  What
that costs is bounded: a client that does not take what it is told within LEAVE_SECONDS is closed
(heartbeat.py), and so is one with more than UNSENT_MAX unsent (connection.py).
"""
from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TypeVar

from rules.slices import Crowd
from rules.state import Client, Now
from rules.switchboard import Switchboard
from server.connection import Connection
from server.heartbeat import Heartbeat

T = TypeVar("T")

CLOSING = 4     # units of work that it is to close a connection and to tell others of it
LEAVING = 2     # and to let a client leave
FEW = 32        # that leave in one turn at once; the others in slices: a thousand scripts may end


class Partings:
    """The connections that end without haste.  `connection_of`: those of all clients."""

    def __init__(self, board: Switchboard, heartbeat: Heartbeat,
                 connection_of: Mapping[Client, Connection]) -> None:
        self.board = board
        self.heartbeat = heartbeat
        self.connection_of = connection_of
        self._lost = Crowd(board.slices, self._close)
        self._gone = Crowd(board.slices, self._finish)  # they left, and were told everything
        self._leaving = Crowd(board.slices, self._leave)    # they say no more, and were answered
        self._now = Now(0, 0.0)
        self._ended: dict[Connection, None] = {}    # their clients say no more, and have not left

    def ended(self, connection: Connection, now: Now) -> None:
        """The stream of a client has ended."""
        self._ended[connection] = None
        self.heartbeat.leave(connection, now)

    def lost(self, connection: Connection) -> None:
        """Its socket takes nothing more."""
        self._lost.put(connection)

    @staticmethod
    def _close(connection: Connection) -> int:
        connection.close(connection.closing)
        return CLOSING

    def leave(self, now: Now) -> None:
        """Let those leave that say no more and have been answered, before the turn's frames go out:
        others are told of it."""
        for connection in list(self._ended) if self._ended else ():
            client = connection.client
            if client is None or client.has_left or not self.board.is_answering(client):
                del self._ended[connection]
                if client is not None and not client.has_left:
                    self._leaving.waiting[client] = None
        if self._leaving.waiting:
            self._serve(self._leaving, now)

    def _leave(self, client: Client) -> int:
        self.board.door.leave(client, "the line was closed", self._now)
        return LEAVING

    def part(self, now: Now) -> None:
        """Close the connections of those that left and were told everything, once that has gone."""
        for client in self.board.door.gone():
            if connection := self.connection_of.get(client):
                self._gone.waiting[connection] = None
        if self._gone.waiting:
            self._serve(self._gone, now)

    def _finish(self, connection: Connection) -> int:
        self.heartbeat.leave(connection, self._now)
        connection.finish("left")
        return CLOSING

    def _serve(self, crowd: Crowd[T], now: Now) -> None:
        """Serve a few of a crowd now, and the others in slices."""
        self._now = now
        for one in list(islice(crowd.waiting, FEW)):
            if crowd.drop(one):
                crowd.serve(one)
        crowd.add(())
