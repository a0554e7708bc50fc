"""handover: what the rules know of the connected clients, for the program that takes over.

A daemon that is upgraded (server/upgrade.py) says here what a start would have lost, and the next
program goes on with it.  What is said is JSON: numbers, strings, lists and dicts, by the names that
stand here and in saved() of each module; the version of all of it is server/handover.py's.

It is said when nothing is under way (is_quiet): no answer waits for the disk, no work is in slices
but long answers, and every line was passed on.  So most of the state of the rules is not needed:
it is in the mailbox, or empty.  Rates and counts (buckets, quotas, usages) begin anew, as at any
start.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rules.errands import Errands
from rules.state import Caller, Client, Errand
from rules.switchboard import Switchboard
from rules.window import EVER, Window


def is_quiet(board: Switchboard) -> bool:
    """Whether nothing is under way.  Where something is, the turns go on with it.  Long answers are
    sent a page at a time, for as long as their readers like: the next program goes on with them."""
    return not (board.promises.owes or not board.promises.turn.is_empty
                or len(board.slices.works) > board.slices.paging or board.publication.is_publishing
                or board.roster.speaking or board.roster.changes or board.sessions.spoken
                or board.delivery.stirred or board.delivery.counted)


def chats_saved(board: Switchboard) -> dict[str, Any]:
    """The chats and invitations."""
    return {"sessions": board.sessions.saved(), "invitations": board.invitations.saved()}


def client_saved(board: Switchboard, client: Client) -> dict[str, Any]:
    """One client."""
    return {"name": client.name, "is_errand": isinstance(client, Errand),
            "features": client.features, "token": client.token.hex(),
            "brought": client.presented_token.hex(), "since": client.since,
            "holding": client.holding, "checkable": client.checkable,
            "told_waiting": client.told_waiting, "window": client.window.saved(),
            "log": board.publication.saved(client), "looking": board.looking.saved(client),
            "outcomes": board.promises.saved(client),
            "trace": board.receipts.saved(client), "statuses": board.statuses.saved(client)}


def read_client(saved: Mapping[str, Any]) -> None:
    """Read one client, to see whether it can be read."""
    Window.resumed(saved["window"])
    for each in ("token", "brought"):
        bytes.fromhex(saved[each])
    for each in ("name", "is_errand", "features", "since", "holding", "checkable", "told_waiting",
                 "log", "looking", "outcomes", "trace", "statuses"):
        saved[each]


class Resumption:
    """The clients of the program before, as they come in."""

    def __init__(self, board: Switchboard) -> None:
        self.board = board
        # and whose statuses each is to be told yet
        self._clients: dict[Client, Sequence[str]] = {}

    def enter(self, saved: Mapping[str, Any], caller: Caller, monotonic: float) -> Client | None:
        """A client that was here before; None: its name is in the log no more."""
        board = self.board
        user = board.mailbox.find(saved["name"])
        if user is None:
            return None
        client = (Errand if saved["is_errand"] else Client)(
            user, caller, caller.host, saved["features"], bytes.fromhex(saved["token"]),
            bytes.fromhex(saved["brought"]), saved["since"])
        client.is_operator = caller.uid in board.claims.identity.operators
        client.holding, client.checkable = saved["holding"], saved["checkable"]
        client.told_waiting, client.welcomed = saved["told_waiting"], True
        client.window = Window.resumed(saved["window"])
        board.door.hosts.enter(client.host)
        board.usages.enter(client, caller)
        if isinstance(client, Errand):
            board.errands.enter(client)
        else:
            board.roster.enter(client)
            board.rooms.count(client, 1)
        board.publication.resume(client, saved["log"])
        if saved["looking"]:
            board.looking.resume(client, saved["looking"])
        if saved["trace"]:
            board.receipts.resume(client, saved["trace"])
        if saved["outcomes"]:
            board.promises.resume(client, saved["outcomes"])
        _look_again(board.errands, client, monotonic)
        board.delivery.stirred[client] = None
        self._clients[client] = saved["statuses"]
        return client

    def end(self, chats: Mapping[str, Any]) -> None:
        """All have come in: go on with their chats.  Nobody is told that anybody came."""
        board = self.board
        here = {client.name: client for client in board.roster.clients.values()}
        board.sessions.resume(chats["sessions"], here.get)
        board.invitations.resume(chats["invitations"], here.get)
        board.statuses.resume(self._clients)
        board.roster.changes.clear()


def _look_again(errands: Errands, client: Client, monotonic: float) -> None:
    """A CHECK that waits for another client of the user waits on."""
    check = client.window.checking
    if check is not None and check.upto == EVER:
        errands.check(client, monotonic)
