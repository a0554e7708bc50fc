"""uids: which uids are one user, and which the kernel can't tell apart.

subuid(5): the host gives each login a range of uids, 65,536 by default, for its containers.  The
login can run programs under any of them, so limits count them for the login.  They do not get its
names: containers are there to keep programs away from what the login has.  A range whose login the
host does not know counts as its first uid.  Ranges that the host keeps elsewhere than in
/etc/subuid (`subid` in nsswitch.conf) are not known here.

user_namespaces(7): a daemon in a user namespace sees every uid from outside as one and the same,
the overflow uid, mostly 65534.  Nobody can say who that is (untold_uid).
"""
from __future__ import annotations

import os
import time
from bisect import bisect_right
from collections.abc import Callable
from typing import NamedTuple

SUBUID = "/etc/subuid"
SOURCES = "/etc/nsswitch.conf"
UID_MAP = "/proc/self/uid_map"
OVERFLOW = "/proc/sys/kernel/overflowuid"
ALL_UIDS = 2**32 - 1        # what the uid_map of the first namespace counts
LOOK_SECONDS = 1.0          # between two looks whether the file has changed
FILE_MAX = 1 << 20          # bytes of it: 30,000 logins


class Range(NamedTuple):
    """The subordinate uids of one login."""
    first: int
    beyond: int
    login: int              # the uid of the login


def untold_uid() -> int | None:
    """The uid that stands for all outside of this user namespace; None: there are none outside."""
    try:
        with open(UID_MAP) as file:
            maps = [[int(word) for word in line.split()] for line in file]
        with open(OVERFLOW) as file:
            overflow = int(file.read())
    except (OSError, ValueError):       # not Linux, or without /proc
        return None
    return None if sum(count for _, _, count in maps) >= ALL_UIDS else overflow


def other_source() -> str:
    """Where the host keeps subordinate uids besides the file, in the words of nsswitch.conf."""
    try:
        with open(SOURCES) as file:
            rows = [line.partition("#")[0].partition(":") for line in file]
    except (OSError, ValueError):
        return ""
    found = [source for title, _, sources in rows if title.strip() == "subid"
             for source in sources.split()]
    return " ".join(source for source in found if source != "files")


class Subuids:
    """The ranges, read again when the file changes."""

    def __init__(self, uid_of: Callable[[str], int | None],
                 clock: Callable[[], float] = time.monotonic) -> None:
        """`uid_of`: the uid of a login; it may raise OSError."""
        self._uid_of = uid_of
        self._clock = clock
        self._ranges: list[Range] = []
        self._version: tuple[int, int, int] | None = None       # of the file
        self._look_at = 0.0

    def login(self, uid: int) -> int:
        """The login that a uid counts for, mostly itself."""
        now = self._clock()
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            self._look()
        place = bisect_right(self._ranges, uid, key=lambda each: each.first)
        if place and uid < self._ranges[place - 1].beyond:
            return self._ranges[place - 1].login
        return uid

    def _look(self) -> None:
        try:
            found = os.stat(SUBUID)
            version = found.st_ino, found.st_size, found.st_mtime_ns
            if version != self._version:
                with open(SUBUID, errors="replace") as file:
                    rows = file.read(FILE_MAX).split()
                self._ranges = sorted(filter(None, map(self._range, rows)))
        except OSError:
            version, self._ranges = None, []
        self._version = version

    def _range(self, row: str) -> Range | None:
        """`ann:100000:65536`; None: it is none."""
        try:
            login, first, count = row.split(":")
            begin, beyond = int(first), int(first) + int(count)
        except ValueError:
            return None
        try:
            uid = int(login) if login.isdigit() else self._uid_of(login)
        except OSError:
            uid = None
        return Range(begin, beyond, begin if uid is None else uid)
