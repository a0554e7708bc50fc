"""control: the subcommands of parleyd, for the operator of a daemon that runs.

    status top names logins check           what there is
    kick ban unban bans announce drain      who may be here
    quota                                   how much may wait (quotas.py)
    upgrade                                 a newer program in its place
    retire reinstate                        names that go
    backup                                  a copy of the store

Each asks the daemon at its Unix socket (orders.py), and prints the report.  `ban` writes the
file of bans itself (banned.py), `quota` that of quotas, and `backup` copies the store without the
daemon.  Every failure is one line on stderr and an exit code of sysexits(3).
"""
from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

from rules.bans import HOST, LOGIN, NAME, Ban
from server import quotas, top
from server.banned import changing, read
from server.kept import BadFile
from server.options import PROGRAM
from server.orders import Refused, ask
from server.reports import counted, login_shown, prometheus, size, status_lines
from server.whom import whom
from store.backup import backup
from store.disk import Disk, StoreError
from terminal.usage import Help, Parser, die, positive, say

LOOK_SECONDS = 1.0      # between two looks of `drain --follow`
CHECK_SECONDS = 8       # for `check`: monitoring gives up after ten
WATCH_SECONDS = 2
UPGRADE_SECONDS = 60    # for `upgrade`: a seal may be under way
WARNING, CRITICAL = 1, 2    # exit codes of `check`, as monitoring has them
CLOSE_TO = 0.9          # of its limit: `check` warns


class Subcommand(NamedTuple):
    """What a word of the command line stands for."""
    about: str
    add: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def run(arguments: Sequence[str]) -> int:
    """Carry out a subcommand, which is the first word.  The exit code."""
    word = arguments[0]
    options = parser(word).parse_args(arguments[1:])
    try:
        return SUBCOMMANDS[word].run(options)
    except (Refused, StoreError) as refused:
        die(PROGRAM, refused.code, str(refused))
    except BadFile as bad:
        die(PROGRAM, os.EX_CONFIG, str(bad))
    except KeyboardInterrupt:
        return 128 + 2


def parser(word: str) -> argparse.ArgumentParser:
    """The options of a subcommand."""
    row = SUBCOMMANDS[word]
    made = Parser(prog=f"{PROGRAM} {word}", formatter_class=Help, description=row.about)
    made.add_argument("--connect", metavar="ADDRESS", default="",
                      help="unix:PATH; without it, your own daemon, then that of the host")
    row.add(made)
    return made


# ---- what there is ----

def _print(lines: Iterator[str] | Sequence[str], fresh: bool = False) -> None:
    for number, line in enumerate(lines):
        say(PROGRAM, line, fresh and number == 0)


def status(options: argparse.Namespace) -> int:
    form = (prometheus if options.prometheus else _json if options.json else status_lines)
    while True:
        told = ask(options, "status")
        _print(form(told), fresh=options.watch > 0)
        if not options.watch:
            return os.EX_OK
        time.sleep(options.watch)


def _add_status(parser: argparse.ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON document")
    form.add_argument("--prometheus", action="store_true",
                      help="the text format of Prometheus, for a collector of text files")
    parser.add_argument("--watch", metavar="SECONDS", nargs="?", type=positive, default=0,
                        const=WATCH_SECONDS, help="again and again, until Ctrl-C")


def _json(told: dict[str, Any]) -> Iterator[str]:
    yield json.dumps(told)


def names(options: argparse.Namespace) -> int:
    order = ["waiting"] if options.waiting else []
    told = ask(options, "names", " ".join(options.pattern), *order)
    if options.json:
        _print([json.dumps(row) for row in told["names"]])
        return os.EX_OK
    for row in told["names"]:
        since = _minute(row["since"]) if row["since"] else "never           "
        say(PROGRAM, f"{row['name']:16} {since} {row['waiting']:>7} {row['state']:20} "
                     f"{row['address']}".rstrip())
    if told["more"]:
        say(PROGRAM, f"and {told['more']:,} more: parleyd names PART shows those with PART in them")
    return os.EX_OK


def _add_names(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document a line")
    parser.add_argument("-w", "--waiting", action="store_true",
                        help="only names for which messages wait, the most first")
    parser.add_argument("pattern", metavar="PART", nargs="*", help="only names with this in them")


def logins(options: argparse.Namespace) -> int:
    told = ask(options, "logins")
    if options.json:
        say(PROGRAM, json.dumps(told))
        return os.EX_OK
    say(PROGRAM, f"{'login':20} {'clients':>7} {'wait':>10} {'unsent':>10}")
    for row in told["logins"]:
        say(PROGRAM, f"{login_shown(row['login']):20} {row['clients']:>7} "
                     f"{size(row['waiting']):>10} {size(row['unsent']):>10}")
    if told["logins"]:
        share = told["logins"][0]["share"]
        say(PROGRAM, f"{size(share)} of one login may wait" if share < 1 << 60 else
                     "what may wait of one login has no limit")
    for row in told["refused"]:
        say(PROGRAM, f"refused to {row['login']}: {row['times']:,} times {row['event']}, "
                     f"{row['reason'] or 'without a reason'}")
    for row in told["cuts"]:
        say(PROGRAM, f"put out at {_minute(row['time'])}: {row['name']} ({row['login']}), "
                     f"{row['reason'] or 'without a reason'}")
    return os.EX_OK


def _minute(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1e6).strftime("%Y-%m-%d %H:%M")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document")


def check(options: argparse.Namespace) -> int:
    """One line, and an exit code, for monitoring."""
    began = time.monotonic()
    try:
        told = ask(options, "status", seconds=CHECK_SECONDS, quiet=True)
    except Refused as refused:
        say(PROGRAM, f"parley CRITICAL: {refused}")
        return CRITICAL
    took = (time.monotonic() - began) * 1000
    rest = f"answered in {took:.0f} ms, {told['clients']} connected, {told['waiting']} wait"
    if not told["takes_mail"]:
        say(PROGRAM, f"parley CRITICAL: no mail is taken: {told['refusal']}; {rest}")
        return CRITICAL
    tight = [f"{told[key]} of {told[key + '_max']} {key}" for key in ("clients", "names")
             if told[key] > CLOSE_TO * told[key + "_max"]]
    if told["draining"]:
        tight.append("draining")
    if told.get("disk_tight"):
        tight.append(f"the disk of {told['store']} is nearly full, {size(told['disk_free'])} free")
    say(PROGRAM, f"parley {'WARNING' if tight else 'OK'}: {', '.join([*tight, rest])}")
    return WARNING if tight else os.EX_OK


# ---- who may be here ----

def kick(options: argparse.Namespace) -> int:
    told = ask(options, "kick", options.name, " ".join(options.reason))
    say(PROGRAM, f"{told['kicked']} was disconnected")
    return os.EX_OK


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")


def _add_kick(parser: argparse.ArgumentParser) -> None:
    _add_name(parser)
    parser.add_argument("reason", metavar="REASON", nargs="*", default=[], help="told to the user")


def ban(options: argparse.Namespace) -> int:
    """Set a ban, and put out whom it keeps out."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    new = Ban(options.kind, whom(options.kind, options.whom), options.whom, now,
              " ".join(options.reason))
    directory = ask(options, "status")["store"]
    with changing(directory) as write:
        write([*[old for old in read(directory) if old[:2] != new[:2]], new])
    told = ask(options, "bans", "ban", new.kind, new.shown, new.reason)
    say(PROGRAM, f"the {new.kind} {new.shown} is banned; "
                 f"{counted(told['put_out'], 'client')} disconnected")
    return os.EX_OK


def unban(options: argparse.Namespace) -> int:
    directory, who = ask(options, "status")["store"], whom(options.kind, options.whom)
    with changing(directory) as write:
        before = read(directory)
        after = [old for old in before if old[:2] != (options.kind, who)]
        if len(after) == len(before):
            raise Refused(os.EX_UNAVAILABLE, f"the {options.kind} {options.whom} is not banned; "
                                             "parleyd bans lists who is")
        write(after)
    ask(options, "bans", "unban", options.kind, options.whom)
    say(PROGRAM, f"the {options.kind} {options.whom} is banned no more")
    return os.EX_OK


def _add_whom(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", metavar="KIND", choices=(NAME, LOGIN, HOST),
                        help="name, login (of this host) or host (an address or a network)")
    parser.add_argument("whom", metavar="WHOM")


def _add_ban(parser: argparse.ArgumentParser) -> None:
    _add_whom(parser)
    parser.add_argument("reason", metavar="REASON", nargs="*", default=[],
                        help="told to who is kept out")


def bans(options: argparse.Namespace) -> int:
    for old in read(ask(options, "status")["store"]):
        say(PROGRAM, json.dumps(old._asdict()) if options.json else
            f"{old.kind:5} {old.shown:20} {_local(old.since)} {old.reason}".rstrip())
    return os.EX_OK


def _local(since: str) -> str:
    """The time in a file that people may edit, as all other reports have it."""
    with suppress(ValueError, OverflowError):
        return datetime.fromisoformat(since).astimezone().strftime("%Y-%m-%d %H:%M")
    return since


def announce(options: argparse.Namespace) -> int:
    told = ask(options, "announce", " ".join(options.text))
    say(PROGRAM, f"{counted(told['told'], 'user')} told")
    return os.EX_OK


def _add_announce(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", metavar="TEXT", nargs="+")


def drain(options: argparse.Namespace) -> int:
    if options.undo:
        ask(options, "undrain")
        say(PROGRAM, "users may come in again")
        return os.EX_OK
    wait = str(options.wait) if options.wait else ""
    told = ask(options, "drain", *([wait] if wait else []))
    have = "has" if told["clients"] == 1 else "have"
    say(PROGRAM, "nobody comes in any more; the daemon ends when "
                 f"{counted(told['clients'], 'user')} {have} left"
                 + f", or in {wait} s" * bool(wait))
    while options.follow:
        time.sleep(LOOK_SECONDS)
        try:
            ask(options, "status")
        except Refused:
            say(PROGRAM, "the daemon has ended")
            break
    return os.EX_OK


def _add_drain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--wait", metavar="SECONDS", type=positive, default=0,
                        help="then end, whoever is still here")
    parser.add_argument("-f", "--follow", action="store_true", help="wait until it has ended")
    parser.add_argument("--undo", action="store_true", help="let users in again")


def upgrade(options: argparse.Namespace) -> int:
    """Another program takes the daemon's place."""
    told = ask(options, "upgrade", seconds=UPGRADE_SECONDS, quiet=True)
    again = f", {counted(told['told'], 'client')} over TLS had to come again" * bool(told["told"])
    say(PROGRAM, f"parley {told['before']} is now {told['release']}: "
                 f"{counted(told['clients'], 'client')} went on{again}; nobody was served for "
                 f"{told['milliseconds']} ms")
    return os.EX_OK


# ---- names that go ----

def retire(options: argparse.Namespace) -> int:
    """Retire a name; what waits is exported, and then purged."""
    told = ask(options, "retire", options.name)
    name, waiting = told["retired"], told["waiting"]
    if options.keep:
        say(PROGRAM, f"{name} is retired; {counted(waiting, 'message')} stay")
        return os.EX_OK
    if options.export:
        exported = _export(options, name)
        say(PROGRAM, f"{counted(exported, 'message')} of {name} exported to {options.export}")
    told = ask(options, "purge", name)
    say(PROGRAM, f"{name} is retired; {counted(told['purged'], 'message')} purged")
    return os.EX_OK


def _export(options: argparse.Namespace, name: str) -> int:
    """Write what waits for a name to a new file, durably.  Returns how many messages."""
    disk, path, offset, number, after = Disk(), os.path.abspath(options.export), 0, 0, 0
    try:
        fd = disk.create(path)
    except OSError as error:
        raise Refused(os.EX_CANTCREAT, f"{path}: {error.strerror}; {name} is retired, and its "
                                       "messages are kept") from None
    try:
        while (told := ask(options, "waiting", name, str(after)))["messages"]:
            after = told["after"]
            data = b"".join([json.dumps(each).encode() + b"\n" for each in told["messages"]])
            number += len(told["messages"])
            while data:
                taken = disk.write(fd, data, offset)
                data, offset = data[taken:], offset + taken
        disk.sync(fd)
        disk.sync_directory(os.path.dirname(path))
    except OSError as error:
        raise Refused(os.EX_IOERR, f"{path}: {error.strerror}; {name} is retired, and its messages "
                                   "are kept") from None
    finally:
        disk.close(fd)
    return number


def _add_retire(parser: argparse.ArgumentParser) -> None:
    _add_name(parser)
    mail = parser.add_mutually_exclusive_group()
    mail.add_argument("--export", metavar="FILE",
                      help="write the messages that wait to this new file, one JSON document a "
                           "line, before they are purged")
    mail.add_argument("--keep", action="store_true", help="leave them where they are")


def reinstate(options: argparse.Namespace) -> int:
    told = ask(options, "reinstate", options.name)
    say(PROGRAM, f"{told['reinstated']} may be used again")
    return os.EX_OK


# ---- the store ----

def back_up(options: argparse.Namespace) -> int:
    directory = options.state or ask(options, "status")["store"]
    disk = Disk()
    try:
        _print(backup(directory, options.target, disk))
    finally:
        disk.end()
    return os.EX_OK


def _add_backup(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", metavar="DIR", default="",
                        help="the store to copy; without it, that of the running daemon")
    parser.add_argument("target", metavar="DIR", help="the copy, a directory that is not there yet")


def _nothing(parser: argparse.ArgumentParser) -> None:
    pass


SUBCOMMANDS = {
    "status": Subcommand("tell how the running daemon is", _add_status, status),
    "top": Subcommand("show the live table, with its keys", _nothing, top.run),
    "names": Subcommand("list names: the connected, then the last to leave", _add_names, names),
    "logins": Subcommand("list what each login takes, and what was refused to it", _add_json,
                         logins),
    "check": Subcommand("one line for monitoring; exit 0, 1 (warning) or 2 (critical)", _nothing,
                        check),
    "kick": Subcommand("disconnect a user", _add_kick, kick),
    "ban": Subcommand("keep a name, a login or a host out", _add_ban, ban),
    "unban": Subcommand("let it in again", _add_whom, unban),
    "bans": Subcommand("list whom bans keep out", _add_json, bans),
    "announce": Subcommand("tell all that are connected", _add_announce, announce),
    "drain": Subcommand("let nobody in any more, and end when all have left", _add_drain, drain),
    "quota": Subcommand("tell how much may wait of a login or for a name, or set it", quotas.add,
                        quotas.run),
    "upgrade": Subcommand("start the program anew, as it is now, without dropping anyone", _nothing,
                          upgrade),
    "retire": Subcommand("let nobody use a name any more", _add_retire, retire),
    "reinstate": Subcommand("let a retired name be used again", _add_name, reinstate),
    "backup": Subcommand("copy the store of a running daemon", _add_backup, back_up),
}
