"""banned: the bans of an operator, in a file beside the store (kept.py).

    KIND TAB WHOM TAB SHOWN TAB SINCE TAB REASON        one ban a line (rules/bans.py)
"""
from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager

from rules.bans import BANS_MAX, HOST, KINDS, Ban, network_of, words
from rules.state import Now
from rules.switchboard import Switchboard
from server import kept
from server.kept import BadFile

NAME = "bans"
LOOKS = 64              # clients that are compared with the bans in a step, each 4 us
PUTTING_OUT = 16        # to put one out is as much work as so many looks


def read(directory: str) -> list[Ban]:
    """The bans of the store in this directory.  Raises BadFile."""
    return list(parsed(directory))


def parsed(directory: str) -> Iterator[Ban]:
    """The same, one by one: each takes 7 us."""
    path = os.path.join(directory, NAME)
    return (_parse(path, number, fields) for number, fields in kept.rows(path))


def _parse(path: str, number: int, fields: list[str]) -> Ban:
    try:
        ban = Ban(*fields)
        if ban.kind == HOST:
            network_of(ban.whom)
    except (TypeError, ValueError):
        raise BadFile(f"{path}, line {number}: not a ban: write name, login or host, and four more "
                      "fields, with tabs between them") from None
    if ban.kind not in KINDS:
        raise BadFile(f"{path}, line {number}: no ban is of the kind {ban.kind!r}")
    return ban


def changing(directory: str) -> AbstractContextManager[Callable[[list[Ban]], None]]:
    """The bans, to be changed: see kept.changing()."""
    return kept.changing(os.path.join(directory, NAME), BANS_MAX,
                         "bans already, and no more may be: `parleyd unban` one, or ban a network")


class Banned:
    """The bans of a running daemon."""

    def __init__(self, board: Switchboard, directory: str) -> None:
        self.board, self.directory = board, directory
        self._loading = False                   # the file is read

    def load(self) -> None:
        """Read the bans, at the start.  Raises BadFile."""
        self.board.bans.load(read(self.directory))

    def reload(self, now: Callable[[], Now]) -> Generator[None, None, int]:
        """Read the bans again, and put out whom they keep out; how many those are.  A thousand bans
        and ten thousand clients are too much for one turn.  Raises BadFile."""
        while self._loading:                    # one after the other: the file may change again
            yield
        self._loading = True
        try:
            yield from self.board.bans.loading(parsed(self.directory))
        finally:
            self._loading = False
        return (yield from self.put_out(now))

    def put_out(self, now: Callable[[], Now]) -> Generator[None, None, int]:
        """Put out whom the bans keep out; how many those are."""
        out = spent = 0
        for client in self.board.errands.everybody():
            spent += 1
            if not client.has_left and (ban := self.board.bans.of(client)):
                self.board.door.put_out(client, words(ban), now())
                out, spent = out + 1, spent + PUTTING_OUT
            if spent >= LOOKS:
                spent = 0
                yield
        return out
