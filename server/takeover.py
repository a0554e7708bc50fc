"""takeover: goes on with the listeners and connections of the program before (upgrade.py).

The first turn works off what clients had sent before, and sends what they did not take yet.  What
can't be taken over is closed, and its client comes again: that is no more than a restart.
"""
from __future__ import annotations

import selectors
from collections.abc import Mapping
from typing import Any, Protocol

from net.frames import FRAME_MAX
from rules.handover import Resumption
from rules.state import Client, Now
from rules.switchboard import Switchboard
from server.connection import Connection, Owner
from server.handover import ASKED, Handover, bytes_of, caller_of, question_of, taken
from server.heartbeat import Heartbeat
from server.options import Limits
from server.partings import Partings
from server.strangers import Strangers
from server.unfinished import Unfinished


class House(Owner, Protocol):
    """The daemon, as a takeover knows it."""
    board: Switchboard
    strangers: Strangers
    heartbeat: Heartbeat
    partings: Partings
    unfinished: Unfinished
    connection_of: dict[Client, Connection]
    selector: selectors.BaseSelector
    limits: Limits
    now: Now


def take_over(house: House, handed: Handover) -> Connection | None:
    """Go on with all of it.  Returns the connection that asked for the upgrade."""
    resumption, asker = Resumption(house.board), None
    for saved in handed.connections:
        connection = _connection(house, saved)
        if saved["client"]:
            client = resumption.enter(saved["client"], connection.caller, house.now.monotonic)
            if client is None:
                connection.close("its name is in the log no more")
                continue
            _resume(house, connection, client)
        elif saved["question"]:
            connection.question = question_of(saved["question"], connection.caller)
        if saved["closing"]:
            _part(house, connection, saved["closing"])
        else:
            _go_on(house, connection, saved)
        connection.unsent = bytes_of(saved["unsent"])
        connection.watch()
        if saved[ASKED]:
            asker = connection
    resumption.end(handed.chats)
    house.board.door.draining = handed.draining
    return asker


def _connection(house: House, saved: Mapping[str, Any]) -> Connection:
    made = Connection(taken(saved["fd"]), saved["place"], caller_of(saved["caller"]),
                      house.now.monotonic, house.limits.rate, house.selector, house)
    made.opened, made.heard, made.pinged = saved["opened"], saved["heard"], saved["pinged"]
    return made


def _resume(house: House, connection: Connection, client: Client) -> None:
    """This connection has this client."""
    connection.client, house.connection_of[client] = client, connection
    connection.decoder.widen(FRAME_MAX)
    house.heartbeat.begin(connection)


def _part(house: House, connection: Connection, reason: str) -> None:
    """Close it when it has taken what it is still told; it has as long for that as a stranger."""
    connection.opened, connection.closing = house.now.monotonic, reason
    house.strangers.keep_waiting(connection)


def _go_on(house: House, connection: Connection, saved: Mapping[str, Any]) -> None:
    """Work off what is unread."""
    connection.frames = connection.decoder.split(bytes_of(saved["unread"]))
    if connection.frames or connection.decoder.fault:
        house.unfinished.next_turn[connection] = None
    if connection.client is None:
        house.strangers.keep_waiting(connection)
    elif saved["ended"]:
        connection.ended = True
        house.partings.ended(connection, house.now)
