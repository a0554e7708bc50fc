"""heartbeat: whether the client of a connection is still there.

A client that has been silent for long is sent a PING.  If nothing comes within ANSWER_SECONDS, its
connection is closed.  Whatever a client says shows that it is there, not only PONG.

A session may be dead without the daemon's knowing.  When its owner comes back and the session is in
the way, it is asked at once, and has GHOST_SECONDS.
"""
from __future__ import annotations

import wire
from rules.slices import Crowd, Slices
from rules.state import Doubtful, Now
from server.connection import Connection
from server.timers import Timers

ANSWER_SECONDS = 20         # for the PONG
GHOST_SECONDS = 5           # for the PONG, while the owner of the name waits for it: less than a
                            # client's patience (10 s)
ALIVE_SECONDS = 1           # a session that was heard so lately is not asked
PAUSE_SECONDS = 1.0         # between two looks at a connection that the daemon does not read, or
                            # that waits for the disk before it is closed
LEAVE_SECONDS = 10          # for a client that left, was put out, or says no more, to take what it
                            # is still told


class Heartbeat:
    """Asks silent clients whether they are there, and closes those that do not answer."""

    def __init__(self, silence_seconds: float, slices: Slices) -> None:
        self.silence_seconds = silence_seconds
        self.timers: Timers[Connection] = Timers()
        self._due = Crowd(slices, self._serve)      # thousands may have been silent equally long
        self._now = Now(0, 0.0)

    def begin(self, connection: Connection) -> None:
        """This connection has a client now."""
        self.timers.put(connection, connection.heard + self.silence_seconds)

    def leave(self, connection: Connection, now: Now) -> None:
        """Its client has left, or says no more: it has little time to take what it is still told.
        """
        connection.heard = now.monotonic
        self.timers.put(connection, connection.heard + LEAVE_SECONDS)

    def end(self, connection: Connection) -> None:
        """It has no client, or is closed."""
        self.timers.drop(connection)
        self._due.drop(connection)

    def look(self, now: Now) -> None:
        """Ask those that have been silent, and close those that did not answer."""
        self._now = now
        self._due.add(self.timers.take(now.monotonic))

    def _serve(self, connection: Connection) -> int:
        self.check(connection, self._now)
        return 1

    def check(self, connection: Connection, now: Now) -> None:
        """One connection: ask once, then close."""
        client, monotonic = connection.client, now.monotonic
        has_left = client is not None and client.has_left
        if connection.closing if has_left else connection.ended:
            reason = connection.closing or "the line was closed"
            until = connection.heard + LEAVE_SECONDS
        elif has_left or connection.paused:
            # its last answers wait for the disk; or what it answers would not be read
            reason, until = "", monotonic + PAUSE_SECONDS
        elif connection.pinged:
            reason, until = "no answer to PING", connection.pinged + ANSWER_SECONDS
        else:
            reason, until = "", connection.heard + self.silence_seconds
            if monotonic >= until:
                until = monotonic + ANSWER_SECONDS
                self._ping(connection, now)
        if monotonic >= until:
            connection.close(reason)
        elif connection.is_open:
            self.timers.put(connection, until)

    def is_alive(self, connection: Connection, now: Now) -> bool:
        """Whether a session that is in its owner's way answers; if not, it is closed.  Raises
        Doubtful while it has time to answer."""
        if now.monotonic - connection.heard < ALIVE_SECONDS or connection.frames:
            return True
        if not connection.pinged:
            self._ping(connection, now)
        if connection.is_open and now.monotonic - connection.pinged < GHOST_SECONDS:
            raise Doubtful
        connection.close("no answer to PING")
        return False

    @staticmethod
    def _ping(connection: Connection, now: Now) -> None:
        connection.pinged = now.monotonic
        connection.send(wire.encode(wire.Ping(now.wall)))
