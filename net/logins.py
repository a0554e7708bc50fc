"""logins: what the kernel and the host's list of users say about who connects.

peer_uid() is the kernel's word on the other end of a Unix socket, for either program: SO_PEERCRED
on Linux, LOCAL_PEERCRED on macOS and FreeBSD.  Elsewhere it returns None, and names at the Unix
socket are as little protected as over TCP; the daemon says so at its start.

Logins looks up names and uids through pwd(3), and so in whatever the host has: files, LDAP, SSSD.
A look-up can take long, and the whole daemon waits meanwhile.  So Logins looks up a name only when
somebody logs in, and remembers the answer, a "no" too, for REMEMBER_SECONDS.  A host whose list is
far away should have nscd or sssd, which answer at once.  Logins reports a look-up that took longer
than SLOW_SECONDS, so that the operator learns of it.

A look-up that fails is not a "no".  What was known before goes on counting; where nothing was
known, uid() raises OSError (claims.py).  But mostly a list that is away can't be told from a list
without that login: pwd raises KeyError for both.

Logins looks up a login as the name is written, as it was registered, and in small letters.  It
finds a login with capitals under other spellings too, if the host lists all its logins.  Logins
reads that list at the start and again every REMEMBER_SECONDS, but not if reading it took longer
than SLOW_SECONDS.

Mostly the list is whole: it has every login that would be found by name (lists_all).  Then Logins
looks up nobody by name, which takes longer than all the rest of a login, and it knows a new user
within LOOK_SECONDS, when the files have changed.  Where a directory may know more logins than it
lists, or systemd may, a name that is not listed may still be somebody's.
"""
from __future__ import annotations

import contextlib
import grp
import os
import pwd
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from net.uids import Subuids

REMEMBER_SECONDS = 300      # after so long a new login, or one that is gone, is known
FAILED_SECONDS = 5          # until a failed look-up is tried again: each may have to wait
REMEMBER_MAX = 10_000       # names; a stranger can make us look up as many as they can send
SLOW_SECONDS = 0.25
LOOK_SECONDS = 1.0          # between two looks for changes of a whole list: 2 us for each file
SOURCES = "/etc/nsswitch.conf"              # where glibc looks for logins
SERVICES = "/run/systemd/userdb"            # where systemd looks for them
LISTING = {"files", "systemd"}              # sources that list what they find
# of systemd; not those for containers: Machine, NamespaceResource
LISTING_SERVICES = {f"io.systemd.{name}" for name in (
    "DropIn", "DynamicUser", "Home", "Multiplexer", "NameServiceSwitch")}
MADE_UP = {"root", "nobody"}                # systemd finds these by name even if no list has them
DEFINITIONS, SHELLS = "/etc/login.defs", "/etc/shells"
UID_MIN = 1000              # if the first of them does not say
WATCHED = ("/etc/passwd", SOURCES, SERVICES, DEFINITIONS, SHELLS)
SOL_LOCAL, LOCAL_PEERCRED = 0, 1            # <sys/un.h> of macOS and FreeBSD; Python lacks one
UCRED, XUCRED = struct.Struct("3i"), struct.Struct("2I")    # pid, uid, gid; version, uid and more

T = TypeVar("T")


def can_tell() -> bool:
    """Whether this kernel says which user is at the other end of a Unix socket."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        return peer_uid(ours) is not None


def peer_uid(sock: socket.socket) -> int | None:
    """The uid at the other end of this Unix socket: the one that connected, or that listens.

    None if the kernel does not say, or for a socket that is no Unix socket."""
    if sock.family != socket.AF_UNIX:
        return None
    try:
        if sys.platform == "linux":
            found = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size)
            return int(UCRED.unpack(found)[1])
        if sys.platform == "darwin" or sys.platform.startswith("freebsd"):
            return int(XUCRED.unpack_from(sock.getsockopt(SOL_LOCAL, LOCAL_PEERCRED, 128))[1])
    except (OSError, struct.error):
        pass
    return None


def peer_pid(sock: socket.socket) -> int | None:
    """The process that connected to this Unix socket; None if the kernel does not say."""
    if sock.family != socket.AF_UNIX or sys.platform != "linux":
        return None
    try:
        found = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size)
    except OSError:
        return None
    return int(UCRED.unpack(found)[0]) or None      # 0: it has no number here


def is_person(name: str) -> bool:
    """Whether this host has a login of a person of that name, as a client sees it; the daemon looks
    again."""
    for spelled in (name, name.lower()):
        with contextlib.suppress(Exception):    # whatever it is, that is no login (Logins._ask)
            found = pwd.getpwnam(spelled)
            return found.pw_uid >= first_person() and found.pw_shell in _shells()
    return False


def _login(name: str) -> int | None:
    return pwd.getpwnam(name).pw_uid


def _groups(uid: int) -> list[int]:
    login = pwd.getpwuid(uid)
    return os.getgrouplist(login.pw_name, login.pw_gid)


def _listed() -> list[tuple[str, int, str]]:
    # Reversed, because a look-up by name finds the first entry of that name.
    return [(entry.pw_name, entry.pw_uid, entry.pw_shell) for entry in reversed(pwd.getpwall())]


def first_person() -> int:
    """The lowest uid of a person, as useradd(8) gives them."""
    with contextlib.suppress(OSError, ValueError), open(DEFINITIONS, errors="replace") as file:
        for words in map(str.split, file):
            if len(words) > 1 and words[0] == "UID_MIN":
                return int(words[1], 0)
    return UID_MIN


def _shells() -> set[str]:
    """The shells that people log in with (shells(5))."""
    with contextlib.suppress(OSError), open(SHELLS, errors="replace") as file:
        return {"", *(line.strip() for line in file if line.startswith("/"))}
    return {"", "/bin/sh", "/bin/csh"}          # as getusershell(3)


def lists_all() -> bool:
    """Whether this host lists every login that it finds by name; False for unknown sources."""
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
        with open(SOURCES) as file:
            lines = [line.partition("#")[0].strip() for line in file]
            rows = [line.split() for line in lines if line.startswith("passwd")]
        services = set(os.listdir(SERVICES)) if os.path.lexists(SERVICES) else set()
    except (OSError, ValueError):   # another libc, or a file that can't be read
        return False
    (title, *sources), *others = rows or [[""]]
    return (libc.startswith("glibc") and title == "passwd:" and not others
            and "files" in sources and LISTING.issuperset(sources)
            and services <= LISTING_SERVICES)


def _version(path: str) -> tuple[int, ...]:
    """What changes when a file does; () if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


class Listing(NamedTuple):
    """The host's list of logins, as it was when we read it."""
    uids: dict[str, int]
    folded: dict[str, int]              # the same, by names in small letters
    is_whole: bool                      # there are no logins but these
    versions: list[tuple[int, ...]]     # of the WATCHED files
    again: float | None                 # when the list is read again; None: never
    people: dict[str, tuple[str, int]]  # of a whole list, by names in small letters


class Logins:
    """The host's users, and what was found out about them lately."""

    def __init__(self, slow: Callable[[str, float], None] = lambda what, seconds: None,
                 clock: Callable[[], float] = time.monotonic,
                 lists_all: Callable[[], bool] = lists_all) -> None:
        """`slow` is called for a look-up that took long, with what was looked up, and seconds."""
        self.slow = slow
        self.clock = clock
        self.lists_all = lists_all
        # Each answer has the time until which it is remembered.
        self._uids: dict[str, tuple[float, int | None]] = {}
        self._names: dict[int, tuple[float, str]] = {}
        self._gids: dict[int, tuple[float, list[int]]] = {}
        self._failed: dict[str, float] = {}     # look-ups: until when they are not tried again
        self._subuids = Subuids(self.uid, clock)
        self._list = Listing({}, {}, False, [], 0.0, {})
        self._look_at = 0.0                     # when the files are looked at again

    def uid(self, name: str) -> int | None:
        """The uid of the login of that name, or None if there is none.

        Raises OSError when that can't be told."""
        self._look_again()
        uid = self._list.uids.get(name) if self._list.is_whole else self._by_name(name)
        folded = self._list.folded.get(name.lower())        # for each name: it takes its time
        return folded if uid is None else uid

    @property
    def are_listed(self) -> bool:
        """Whether there are no logins but those of the list."""
        self._look_again()
        return self._list.is_whole

    def person(self, name: str) -> tuple[str, int] | None:
        """The login of this name, as it is spelled, and its uid, if it is a person's: not one of
        the system's (UID_MIN), and with a shell (shells(5)).  Only the list is asked, which is
        there, and only if it is whole: nobody waits for this."""
        self._look_again()
        return self._list.people.get(name.lower())

    def _look_again(self) -> None:
        now = self.clock()
        if now >= self._look_at:
            self._look(now)

    def _by_name(self, name: str) -> int | None:
        """What the host says about exactly this name."""
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
        """Read the list of logins again if it is time for that, or if a whole list has changed."""
        self._look_at = now + LOOK_SECONDS
        _, _, is_whole, versions, again, _ = self._list
        if again is not None and (
                now >= again or (is_whole and versions != list(map(_version, WATCHED)))):
            self.list_all()

    def list_all(self) -> None:
        """Read the list of logins.

        A list that took long is far away; it is long or incomplete, and is not read again."""
        started = self.clock()
        none: list[tuple[str, int, str]] = []
        # Before the reading: what changes while the list is read shows at the next look.
        versions = list(map(_version, WATCHED))
        answer = self._ask("all logins", _listed, none)
        uids = {name: uid for name, uid, _ in answer[1]} if answer else self._list.uids
        ended = self.clock()
        again = None if ended - started > SLOW_SECONDS else ended + REMEMBER_SECONDS
        is_whole = (answer is not None and again is not None and uids.keys() >= MADE_UP
                    and self.lists_all())
        folded = {name.lower(): uid for name, uid in uids.items()}
        first, shells = first_person(), _shells()
        people = {name.lower(): (name, uid) for name, uid, shell in (answer or (0.0, none))[1]
                  if uid >= first and shell in shells} if is_whole else {}
        self._list = Listing(uids, folded, is_whole, versions, again, people)

    def name(self, uid: int) -> str:
        """The login of that uid, or its number if it has none."""
        known = self._names.get(uid)
        if known is None or self.clock() >= known[0]:
            answer = self._ask(f"uid {uid}", lambda: pwd.getpwuid(uid).pw_name, str(uid))
            known = answer or known or (self.clock() + FAILED_SECONDS, str(uid))
            self._names[uid] = known
            if len(self._names) > REMEMBER_MAX:
                del self._names[next(iter(self._names))]
        return known[1]

    def gid(self, group: str) -> int | None:
        """The number of a group, or None if there is none.  Raises OSError when that can't be
        told."""
        answer = self._ask(f"group {group}", lambda: grp.getgrnam(group).gr_gid, None)
        if answer is None:
            raise OSError(f"the host's list of groups does not say what {group} is")
        return answer[1]

    def gids(self, uid: int) -> Sequence[int]:
        """The groups of the login of that uid; none if there is no such login.  Raises OSError when
        that can't be told."""
        known = self._gids.get(uid)
        if known is None or self.clock() >= known[0]:
            none: list[int] = []
            answer = self._ask(f"the groups of uid {uid}", lambda: _groups(uid), none)
            if answer is None and known is None:
                raise OSError(f"the host's list of groups does not say in which uid {uid} is")
            known = self._gids[uid] = answer or known or (0.0, none)
            if len(self._gids) > REMEMBER_MAX:
                del self._gids[next(iter(self._gids))]
        return known[1]

    def counts_for(self, uid: int) -> int:
        """The uid of the login that limits count this one for (uids.py).

        A login of its own counts as itself: a directory may have given it a uid in such a range."""
        login = self._subuids.login(uid)
        return uid if login != uid and self.name(uid) != str(uid) else login

    def shown(self, uid: int) -> str:
        """A uid as the operator reads it: ann, or ann/100005 for a subordinate uid of hers."""
        login = self.counts_for(uid)
        return self.name(uid) if login == uid else f"{self.name(login)}/{uid}"

    def _ask(self, what: str, look: Callable[[], T], none: T) -> tuple[float, T] | None:
        """The answer of a look-up, after the time until which it is remembered.

        `none` is the answer for a KeyError.  None if the look-up failed, now or a moment ago."""
        started = self.clock()
        if started < self._failed.get(what, 0.0):
            return None
        found, failed = none, False
        try:
            found = look()
        except KeyError:
            pass
        except Exception:           # whatever went wrong, in the host's modules too, is no answer
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
