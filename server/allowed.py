"""allowed: the quotas of an operator, in a file beside the store (kept.py), and who is near one.

    KIND TAB WHOM TAB SHOWN TAB SINCE TAB SIZE      one quota a line (rules/allowances.py)
"""
from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from rules.allowances import ALL, ALLOWANCES_MAX, KINDS, LOGIN, Allowance
from rules.switchboard import Switchboard
from server import kept
from server.kept import BadFile
from server.overview import Order, Unable
from store.census import NO_LIMIT

FILE = "quotas"


def read(directory: str) -> list[Allowance]:
    """The quotas of the store in this directory.  Raises BadFile."""
    path = os.path.join(directory, FILE)
    return [_parse(path, number, fields) for number, fields in kept.rows(path)]


def _parse(path: str, number: int, fields: list[str]) -> Allowance:
    if len(fields) != len(Allowance._fields) or fields[0] not in KINDS or not (
            fields[-1].isascii() and fields[-1].isdigit()):
        raise BadFile(f"{path}, line {number}: not a quota: write name or login, three more "
                      "fields, and the bytes, with tabs between them")
    return Allowance(*fields)


def changing(directory: str) -> AbstractContextManager[Callable[[list[Allowance]], None]]:
    """The quotas, to be changed: see kept.changing()."""
    return kept.changing(os.path.join(directory, FILE), ALLOWANCES_MAX,
                         "quotas already, and no more may be: set one to default")


def limited(share: int) -> int:
    """Bytes that may wait, as reports have them; 0: there is no limit."""
    return share if share < NO_LIMIT else 0


class Allowed:
    """The orders about quotas."""

    def __init__(self, board: Switchboard, directory: str) -> None:
        self.board, self.directory = board, directory

    def reload(self) -> None:
        """Read the file again.  Raises BadFile."""
        self.board.allowances.load(read(self.directory))

    def quotas(self, *_: str) -> Order:
        """The file was changed, as these words say to the log: read it again."""
        yield
        try:
            self.reload()
        except BadFile as error:
            raise Unable(os.EX_CONFIG, str(error)) from None
        return {"quotas": len(self.board.allowances.all)}

    def quota(self, kind: str = "", whom: str = "", shown: str = "") -> Order:
        """The quotas in force, or that of a single login or name, and what waits."""
        yield
        allowances, own = self.board.allowances, self.board.allowances.all
        if kind:
            found = [each for each in own if each[:2] == (kind, whom)]
            own = found or [Allowance(kind, whom, shown, "", str(allowances.default(kind)[0]))]
        waiting = {row["login"]: row["waiting"] for row in self.board.usages.rows()}
        census = self.board.mailbox.census
        report: dict[str, Any] = {"quotas": [self._row(each, waiting) for each in own]}
        if not kind:
            report["defaults"] = [dict(zip(("kind", "size", "by_option"), (
                each, *allowances.default(each)), strict=True)) for each in KINDS]
        for row in (*report["quotas"], *report.get("defaults", ())):
            if row["kind"] == LOGIN:        # no quota lets a login have more than the disk does
                row["in_force"] = limited(census.share_of(row["size"] or NO_LIMIT))
        return report

    def _row(self, each: Allowance, waiting: dict[object, object]) -> dict[str, object]:
        row: dict[str, object] = {**each._asdict(), "size": int(each.size), "waiting": 0}
        if each.whom == ALL:
            return row
        if each.kind == LOGIN:
            return row | {"waiting": waiting.get(f"uid {each.whom}", 0)}
        user = self.board.mailbox.find(each.whom)
        if user is None:
            raise Unable(os.EX_NOUSER, f"no user named {each.shown} is in the log")
        return row | {"waiting": user.waiting}


