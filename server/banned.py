"""banned: the bans of an operator, in a file beside the store (kept.py).

    KIND TAB WHOM TAB SHOWN TAB SINCE TAB REASON        one ban a line (rules/bans.py)
"""
from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from rules.bans import BANS_MAX, HOST, KINDS, Ban, network_of
from server import kept
from server.kept import BadFile

NAME = "bans"


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


@contextlib.contextmanager
def changing(directory: str) -> Iterator[Callable[[list[Ban]], None]]:
    """Whoever holds this is alone in changing the bans; gives a function that replaces them,
    durably.  It raises BadFile and OSError."""
    with kept.changing(os.path.join(directory, NAME)) as write:
        def replace(bans: list[Ban]) -> None:
            if len(bans) > BANS_MAX:
                raise BadFile(f"there are {BANS_MAX} bans already, and no more may be: `parleyd "
                              "unban` one, or ban a network")
            write(bans)
        yield replace
