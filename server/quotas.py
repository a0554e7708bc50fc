"""quotas: `parleyd quota`, which tells how much may wait of a login or for a name, and sets it."""
from __future__ import annotations

import argparse
import json
import os
from datetime import UTC, datetime
from typing import Any

from rules.allowances import ALL, LOGIN, NAME, Allowance
from server import allowed
from server.options import PROGRAM, amount
from server.orders import Refused, ask
from server.reports import counted, size
from server.whom import whom
from terminal.usage import say

OPTION = {LOGIN: "login-bytes", NAME: "mailbox-bytes"}      # of the daemon


def run(options: argparse.Namespace) -> int:
    """Tell the quotas, or set one."""
    kind, shown = options.kind, options.whom
    if kind is None:
        return _tell(options, ask(options, "quota"))
    if shown is None:
        raise Refused(os.EX_USAGE, f"of which {kind}?  parleyd quota {kind} WHOM, or all")
    who = shown if shown == ALL else whom(kind, shown)
    if options.size is not None:
        _set(options, who)
    return _tell(options, ask(options, "quota", kind, who, shown))


def _set(options: argparse.Namespace, who: str) -> None:
    kind, shown = options.kind, options.whom
    ask(options, "quota", kind, who, shown)             # is there such a name?
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    new = [] if options.size < 0 else [Allowance(kind, who, shown, now, str(options.size))]
    directory = ask(options, "status")["store"]
    with allowed.changing(directory) as write:
        write([*[old for old in allowed.read(directory) if old[:2] != (kind, who)], *new])
    ask(options, "quotas", kind, shown, "default" if options.size < 0 else str(options.size))


def _tell(options: argparse.Namespace, told: dict[str, Any]) -> int:
    if options.json:
        say(PROGRAM, json.dumps(told))
        return os.EX_OK
    for row in told.get("defaults", ()):
        where = f"--{OPTION[row['kind']]}" if row["by_option"] else f"quota {row['kind']} all"
        say(PROGRAM, f"{row['kind']:5} {'each other':20} {_shown(row['size']):>10}, by {where}"
            + _now(row))
    for row in told["quotas"]:
        if row["whom"] == ALL and "defaults" in told:
            continue
        waits = size(row["waiting"]) if row["kind"] == LOGIN else counted(row["waiting"], "message")
        say(PROGRAM, f"{row['kind']:5} {row['shown']:20} {_shown(row['size']):>10}"
            + f", {waits} wait" * (row["whom"] != ALL) + _now(row))
    return os.EX_OK


def _shown(number: int) -> str:
    return size(number) if number else "no limit"


def _now(row: dict[str, Any]) -> str:
    """The limit in force, where the disk allows less than the quota."""
    now = row.get("in_force", row["size"])
    return f"; {size(now)} now: the disk has no room for more" if now != row["size"] else ""


def _bytes(text: str) -> int:
    """A quota; below 0: none of its own.  For argparse."""
    return -1 if text == "default" else amount(text)


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("kind", metavar="KIND", nargs="?", choices=(LOGIN, NAME),
                        help="login (what may wait of it, in all mailboxes) or name (what may wait "
                             "in its mailbox)")
    parser.add_argument("whom", metavar="WHOM", nargs="?",
                        help="the login or name, or all: those without a quota of their own")
    parser.add_argument("size", metavar="SIZE", nargs="?", type=_bytes,
                        help="bytes (64K, 512M, 2G), none or default")
