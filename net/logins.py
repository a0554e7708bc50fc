"""logins: what the kernel and the host's list of users say about who calls.

peer_uid() is the kernel's word on the other end of a Unix socket, for either program: SO_PEERCRED on Linux,
LOCAL_PEERCRED on macOS and FreeBSD.  Elsewhere it is None, and names at the Unix socket are as little protected as over
TCP; the daemon says so at its start.

Logins asks for names and uids through pwd(3), thus through whatever the host has: files, LDAP, SSSD.  That can wait,
and while it does the whole daemon waits.  So it is asked when somebody logs in and at no other time, and answers, a
"no" too, are remembered for REMEMBER_SECONDS.  A host whose list is far away should have nscd or sssd, which answer at
once; a look-up that took longer than SLOW_SECONDS is told, so that the operator learns of it.

A look-up that fails is not a "no".  What was known before goes on counting, and where nothing was, OSError says so
(claims.py).  But mostly a list that is away can't be told from one without that login: pwd raises KeyError for both.

A login is looked up as the name is written, as it was registered, and in small letters.  One with capitals is found in
other spellings too where the host lists all its logins.  They are asked for at the start, and again once in a while,
but not if that took longer than SLOW_SECONDS.

Mostly the list is whole: it has every login that would be found by name (lists_all).  Then nobody is asked for by name,
which takes longer than all the rest of a login, and a new user is known within LOOK_SECONDS, when the files say that
they are others.  Where a directory is asked, or systemd for users that it does not list, a name that is not listed may
still be somebody's.
"""
from __future__ import annotations

import os
import pwd
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import TypeVar

REMEMBER_SECONDS = 300      # a new login, or one that is gone, is known after so long
FAILED_SECONDS = 5          # until a look-up that failed is tried again: each may have to wait
REMEMBER_MAX = 10_000       # names; a stranger can make us ask for as many as he can send
SLOW_SECONDS = 0.25
LOOK_SECONDS = 1.0          # between two looks whether a whole list is another by now: two microseconds a file
SOURCES = "/etc/nsswitch.conf"              # of glibc: where logins are looked for
SERVICES = "/run/systemd/userdb"            # and where systemd does
LISTING = {"files", "systemd"}              # sources that list what they find
LISTING_SERVICES = {f"io.systemd.{name}" for name in (      # not those for containers: Machine, NamespaceResource
    "DropIn", "DynamicUser", "Home", "Multiplexer", "NameServiceSwitch")}
MADE_UP = {"root", "nobody"}                # systemd finds them by name when they are in no list
WATCHED = ("/etc/passwd", SOURCES, SERVICES)
SOL_LOCAL, LOCAL_PEERCRED = 0, 1            # <sys/un.h> of macOS and FreeBSD; Python does not name the first
UCRED, XUCRED = struct.Struct("3i"), struct.Struct("2I")        # pid, uid, gid; version, uid and more

T = TypeVar("T")


def can_tell() -> bool:
    """Whether the kernel says who is at the other end of a Unix socket, in a way that is known here."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        return peer_uid(ours) is not None


def peer_uid(sock: socket.socket) -> int | None:
    """The uid that connected to this Unix socket, or that listens where it is connected to."""
    if sock.family != socket.AF_UNIX:
        return None
    try:
        if sys.platform == "linux":
            return int(UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size))[1])
        if sys.platform == "darwin" or sys.platform.startswith("freebsd"):
            return int(XUCRED.unpack_from(sock.getsockopt(SOL_LOCAL, LOCAL_PEERCRED, 128))[1])
    except (OSError, struct.error):
        pass
    return None


def _login(name: str) -> int | None:
    return pwd.getpwnam(name).pw_uid


def _listed() -> dict[str, int]:
    return {entry.pw_name: entry.pw_uid for entry in reversed(pwd.getpwall())}      # by name the first is found


def lists_all() -> bool:
    """Whether this host lists every login that it finds by name, as far as that is known of its sources."""
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
        with open(SOURCES) as file:
            rows = [row.split() for line in file if (row := line.partition("#")[0].strip()).startswith("passwd")]
        services = set(os.listdir(SERVICES)) if os.path.lexists(SERVICES) else set()
    except (OSError, ValueError):       # another libc, whose ways are not known here; or a file that can't be read
        return False
    (title, *sources), *others = rows or [[""]]
    return (libc.startswith("glibc") and title == "passwd:" and not others and "files" in sources
            and LISTING.issuperset(sources) and services <= LISTING_SERVICES)


def _version(path: str) -> tuple[int, ...]:
    """What is different when a file is another."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


class Logins:
    """The host's users, asked for once in a while."""

    def __init__(self, slow: Callable[[str, float], None] = lambda what, seconds: None,
                 clock: Callable[[], float] = time.monotonic, lists_all: Callable[[], bool] = lists_all) -> None:
        self.slow = slow                                            # is told of a look-up that took long
        self.clock = clock
        self.lists_all = lists_all
        self._uids: dict[str, tuple[float, int | None]] = {}        # until when, and the answer
        self._names: dict[int, tuple[float, str]] = {}
        self._failed: dict[str, float] = {}                         # look-ups: until when they are not tried again
        self._listed: dict[str, int] = {}                           # all logins that are listed
        self._folded: dict[str, int] = {}                           # the same in small letters
        self._list_at: float | None = 0.0                           # when they are asked for next; None: never
        self._is_whole = False                                      # there are no others
        self._versions: list[tuple[int, ...]] = []                  # of the files, when a whole list was read
        self._look_at = 0.0                                         # when they are looked at next

    def uid(self, name: str) -> int | None:
        """The uid of the login of that name; None if there is none.  Raises OSError when that can't be told."""
        now = self.clock()
        if now >= self._look_at:
            self._look(now)
        uid = self._listed.get(name) if self._is_whole else self._by_name(name)
        return self._folded.get(name.lower()) if uid is None else uid

    def _by_name(self, name: str) -> int | None:
        """What the host says of this very name."""
        known = self._uids.get(name)
        if known is None or self.clock() >= known[0]:
            answer = self._ask(name, lambda: _login(name), None)
            if answer is None:
                if known is None:
                    raise OSError(f"the host's list of users does not say who {name} is")
                answer = known
            known = self._uids[name] = answer
            if len(self._uids) > REMEMBER_MAX:
                del self._uids[next(iter(self._uids))]
        return known[1]

    def _look(self, now: float) -> None:
        """Ask for all logins again if it is time, or a whole list is another by now."""
        self._look_at = now + LOOK_SECONDS
        if self._list_at is not None and (
                now >= self._list_at or (self._is_whole and self._versions != list(map(_version, WATCHED)))):
            self.list_all()

    def list_all(self) -> None:
        """Ask for all logins.  A list that is far away is long, or has not all of them, and is not asked for again."""
        started = self.clock()
        none: dict[str, int] = {}
        self._versions = list(map(_version, WATCHED))       # what changes while the list is read is seen the next time
        answer = self._ask("all logins", _listed, none)
        if answer:
            self._listed = answer[1]
            self._folded = {name.lower(): uid for name, uid in self._listed.items()}
        ended = self.clock()
        self._list_at = None if ended - started > SLOW_SECONDS else ended + REMEMBER_SECONDS
        self._is_whole = bool(answer) and self._list_at is not None and self._listed.keys() >= MADE_UP and (
            self.lists_all())

    def name(self, uid: int) -> str:
        """The login of that uid; its number if it has none."""
        known = self._names.get(uid)
        if known is None or self.clock() >= known[0]:
            answer = self._ask(f"uid {uid}", lambda: pwd.getpwuid(uid).pw_name, str(uid))
            known = self._names[uid] = answer or known or (self.clock() + FAILED_SECONDS, str(uid))
        return known[1]

    def _ask(self, what: str, look: Callable[[], T], none: T) -> tuple[float, T] | None:
        """Until when this is remembered, and the answer; None if the look-up failed, now or a moment ago."""
        started = self.clock()
        if started < self._failed.get(what, 0.0):
            return None
        found, failed = none, False
        try:
            found = look()
        except KeyError:
            pass
        except Exception:           # whatever went wrong, in the host's modules too: it is no answer
            failed = True
        ended = self.clock()
        if ended - started > SLOW_SECONDS:
            self.slow(what, ended - started)
        if not failed:
            return ended + REMEMBER_SECONDS, found
        if len(self._failed) >= REMEMBER_MAX:
            self._failed.clear()
        self._failed[what] = ended + FAILED_SECONDS
        return None
