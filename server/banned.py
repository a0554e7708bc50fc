"""banned: the bans of an operator, in a file beside the store.

    KIND TAB WHOM TAB SHOWN TAB SINCE TAB REASON        one ban a line (rules/bans.py)

`parleyd ban` writes the file, whole and durably, and the daemon only reads it: at its start, at
HUP, and when `parleyd ban` asks for it.  So nothing in the loop waits for the disk, and a ban that
was said to be set holds after a power cut.  A file that can't be read leaves what is in force.
"""
from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator

from rules.bans import BANS_MAX, HOST, KINDS, Ban, network_of
from store.disk import Disk

NAME = "bans"
FIELD_MAX = 200         # characters of a field


class BadBans(Exception):
    """The file can't be read: one line that says why."""


def read(directory: str) -> list[Ban]:
    """The bans of the store in this directory.  Raises BadBans."""
    path = os.path.join(directory, NAME)
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise BadBans(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    return [_parse(path, number, line) for number, line in enumerate(lines, 1)
            if line and not line.startswith("#")]


def _parse(path: str, number: int, line: str) -> Ban:
    fields = line.split("\t")
    try:
        ban = Ban(*fields)
        if ban.kind == HOST:
            network_of(ban.whom)
    except (TypeError, ValueError):
        raise BadBans(f"{path}, line {number}: not a ban: write name, login or host, and four more "
                      "fields, with tabs between them") from None
    if ban.kind not in KINDS:
        raise BadBans(f"{path}, line {number}: no ban is of the kind {ban.kind!r}")
    return ban


@contextlib.contextmanager
def changing(directory: str) -> Iterator[Callable[[list[Ban]], None]]:
    """Whoever holds this is alone in changing the file; gives a function that replaces it, durably.
    It raises BadBans and OSError."""
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lambda bans: _write(directory, bans)
    finally:
        os.close(lock)


def _write(directory: str, bans: list[Ban]) -> None:
    if len(bans) > BANS_MAX:
        raise BadBans(f"there are {BANS_MAX} bans already, and no more may be: `parleyd unban` "
                      "one, or ban a network")
    disk, path, owner = Disk(), os.path.join(directory, NAME), os.stat(directory)
    rows = ["\t".join(" ".join(field.split())[:FIELD_MAX] for field in ban) for ban in bans]
    with contextlib.suppress(FileNotFoundError):        # left by one that was killed
        disk.unlink(path + ".tmp")
    fd = disk.create(path + ".tmp")
    try:
        data, done = "".join(f"{row}\n" for row in rows).encode(), 0
        while done < len(data):
            done += disk.write(fd, data[done:], done)
        if os.geteuid() == 0:                           # it is the daemon's, as the store is
            os.fchown(fd, owner.st_uid, owner.st_gid)
        disk.sync(fd)
    finally:
        disk.close(fd)
    disk.rename(path + ".tmp", path)
    disk.sync_directory(directory)
