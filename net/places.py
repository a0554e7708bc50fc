"""places: the default places of sockets, and the listeners that a client believes there.

Both programs get their default places here, in this order, even if no variable is set:

    $XDG_RUNTIME_DIR/parley/parley.sock   if that directory is the user's own: su and sudo may leave
                                          the variable of another user behind
    /run/user/UID/parley/parley.sock      if that directory exists and is the user's own: cron does
                                          not set the variable
    /tmp/parley-UID/parley.sock           always: a container may have neither
    /run/parley/parley.sock               the daemon of the host, which serves all logins

The user's own places come first.  A user starts a daemon of their own on purpose, and means it; the
host's daemon is for users who did not.  A daemon listens at the first of its user's own places that
it can open.  If only $XDG_RUNTIME_DIR leads to that place, the daemon also listens at the first
place after it, where a client without the variable looks.  The owner of /run/parley, as a rule a
system user, serves the host and listens there alone.

A client believes a listener at a default place only if the listener runs as the user, as root, or
as the owner of /run/parley, a directory that only root can have made.  For each connection the
kernel says as which user the listener runs (dial.py).  Anybody may make /tmp/parley-UID before the
user with that UID does.  So both programs skip a place whose directory belongs to another user, and
say so in a line.

A client that serves its user from a place of the user's own may do so only because the user forgot
that daemon: host_listens() says that the host has one too.  `own` and `host`, in the place of an
address, name the one or the other (WORDS).

This module looks at directories and at the kernel's list of sockets, and opens no socket.  If a
look fails, the place counts as "not there".
"""
from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re
import stat
from collections.abc import Sequence

from net.address import SOCKET_PATH_MAX, Address, parents
from net.uids import untold_uid

SYSTEM_SOCKET = "/run/parley/parley.sock"
SOCKETS = "/proc/net/unix"          # Linux: the sockets of this network namespace
SOCKETS_MAX = 4 << 20               # bytes of that file that we read: 40,000 sockets
LISTENING = "00010000"              # in a row's field Flags: listen() was called (__SO_ACCEPTCON)
NEARBY_MAX = 3                      # daemons of other users that one line names at most
UNITS = ("/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
         "/lib/systemd/system")     # where systemd looks for parleyd.service
SYSTEMD = "/run/systemd/system"     # there if systemd runs: sd_booted(3)
SCRIPT = "/etc/init.d/parleyd"      # where it does not
OTHERS = re.compile(r"(/run/user/(\d+)/parley|/tmp/parley-(\d+))/parley\.sock")


def own() -> list[Address]:
    """The places where this user's own daemon may listen, the preferred one first."""
    return _own(os.environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{os.geteuid()}")


def _own(*runtime: str) -> list[Address]:
    """The user's own places: in these runtime directories, if they are the user's, and in /tmp."""
    directories = [os.path.join(where, "parley") for where in runtime if _is_own(where)]
    directories.append(f"/tmp/parley-{os.geteuid()}")
    paths = dict.fromkeys(os.path.normpath(f"{each}/parley.sock") for each in directories)
    return [_default(path) for path in paths if len(os.fsencode(path)) <= SOCKET_PATH_MAX]


def _default(path: str) -> Address:
    return Address(path, "", 0, default=True)


def for_client() -> list[Address]:
    """The places where a client looks for its daemon, in this order."""
    return [*own(), _default(SYSTEM_SOCKET)]


def _of_host() -> list[Address]:
    return [_default(SYSTEM_SOCKET)]


WORDS = {"own": own, "host": _of_host}      # in the place of an address


def for_daemon() -> list[list[Address]]:
    """A daemon listens at one place of each of these lists: the first that it can open."""
    if host_owner() == os.geteuid():
        return [[_default(SYSTEM_SOCKET)]]
    choices, without_variable = own(), _own(f"/run/user/{os.geteuid()}")
    return [choices] if choices[0] in without_variable else [choices, without_variable]


def _is_own(directory: str) -> bool:
    try:
        found = os.stat(directory)
    except (OSError, ValueError):
        return False
    return os.path.isabs(directory) and stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


# ---- which listeners to believe ----

def host_owner() -> int | None:
    """The uid whose daemon serves this host: the owner of /run/parley.  None if there is no such
    directory, or if another user than root can have made it."""
    directory = os.path.dirname(SYSTEM_SOCKET)
    try:
        above, found = os.stat(os.path.dirname(directory)), os.lstat(directory)
    except OSError:
        return None
    made_by_root = above.st_uid == 0 and not above.st_mode & 0o022
    return found.st_uid if made_by_root and stat.S_ISDIR(found.st_mode) else None


def not_of_host() -> str:
    """Why a daemon of this user is not the host's, and how it would be."""
    directory, own, owner = os.path.dirname(SYSTEM_SOCKET), login(os.geteuid()), host_owner()
    why = f"belongs to {login(owner)}" if owner is not None else "is no directory of root's making"
    if not os.path.lexists(directory):
        why = "is missing"
    return (f"{directory} {why}, so other logins do not find this daemon; "
            f"`install -d -o {own} {directory}`, by root before the start, mends that")


def believed() -> set[int]:
    """The uids whose daemons a client believes at a default place.

    In a user namespace the uid of all that are outside is nobody's word, even if it is our own."""
    return {uid for uid in (os.geteuid(), 0, host_owner()) if uid is not None} - {untold_uid()}


def foreign(where: Address) -> str:
    """Says that the directory of a default place belongs to another user; "" if it does not."""
    directory = os.path.dirname(where.path)
    if not where.default or where.path == SYSTEM_SOCKET:
        return ""
    owners = set()
    for look in (os.lstat, os.stat):
        with contextlib.suppress(OSError):      # of a link, while protected_symlinks is on
            owners.add(look(directory).st_uid)
    owners -= {os.geteuid(), 0}
    return f"{directory} belongs to {login(owners.pop())}" if owners else ""


def file_owner(path: str) -> int | None:
    """The uid that owns a socket file, for kernels that do not say which user listens.  None if the
    directory belongs neither to that uid nor to root, or if others may write in it."""
    try:
        file, directory = os.lstat(path), os.stat(os.path.dirname(path) or ".")
    except OSError:
        return None
    made_by_owner = directory.st_uid in (file.st_uid, 0) and not directory.st_mode & 0o022
    return file.st_uid if made_by_owner else None


def login(uid: int) -> str:
    """The login name of a uid."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OSError):
        return f"uid {uid}"


# ---- words for a client that found nothing ----

def nobody(looked: Sequence[Address]) -> str:
    """Says that no daemon listens at these default places, which others run, and what to do."""
    of_host = [where.path == SYSTEM_SOCKET for where in looked]
    what = "no daemon runs here"
    if len(set(of_host)) == 1:
        what = f"{'the daemon of this host' if of_host[0] else 'your own daemon'} does not run"
    start = [] if all(of_host) else [f"`{_start()}` starts one for you"]
    if any(of_host):
        start.append(f"root starts the host's: {_start_of_host()}")
    return f"{what}{''.join(_nearby())}; {'; '.join(start)}"


def _start() -> str:
    """What starts a daemon for this user: in a clone, or installed."""
    tree = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    is_clone = os.path.exists(os.path.join(tree, "Makefile"))
    return "make run" if is_clone else "parleyd --console none &"


def _start_of_host() -> str:
    """What starts the daemon of the host, if it is installed."""
    has_unit = any(os.path.exists(f"{where}/parleyd.service") for where in UNITS)
    if has_unit and os.path.isdir(SYSTEMD):
        return "systemctl start parleyd"
    return f"{SCRIPT} start" if os.path.exists(SCRIPT) else "see parleyd(8)"


def host_listens() -> bool:
    """Whether the daemon of the host listens, and this user may connect there."""
    return os.access(SYSTEM_SOCKET, os.W_OK) and _listens(SYSTEM_SOCKET)


def closed(path: str) -> str:
    """Says which users the daemon at this socket serves, to a user who may not use it."""
    uid, group = _keeper(path)
    owner = login(uid)
    to = f"{owner} and the group {group}" if group else owner
    opens = f"{owner} can open it to all logins with --socket-mode 666"
    if not _listens(path):
        return f"only {to} can get there"
    return f"this daemon serves {to} only: {opens}"


def _keeper(path: str) -> tuple[int, str]:
    """The owner of a socket, or of the nearest directory above it that this user may look at.  And
    the group that may use the socket, "" if no group may."""
    for place in (path, *parents(path)):
        try:
            found = os.lstat(place)
        except OSError:
            continue
        is_open = stat.S_ISSOCK(found.st_mode) and found.st_mode & stat.S_IWGRP
        return found.st_uid, _group(found.st_gid) if is_open else ""
    return 0, ""


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except (KeyError, OSError):
        return str(gid)


def _nearby() -> list[str]:
    """Says which daemons other users run, if the kernel's list of sockets shows them."""
    said = []
    for path in sorted(_listening()):
        match = OTHERS.fullmatch(path)
        uid = int(match[2] or match[3]) if match else os.geteuid()
        if uid != os.geteuid() and _keeper(path)[0] == uid:
            name, is_open = login(uid), os.access(path, os.W_OK)
            said.append(f"; {name} runs a daemon " + (f"(--connect unix:{path})" if is_open else
                                                      f"for {name} alone (unix:{path})"))
    return said[:NEARBY_MAX]


def _listens(path: str) -> bool:
    return os.path.abspath(path) in _listening()


def _listening() -> set[str]:
    """The paths of all Unix sockets that listen; none if the kernel has no such list."""
    try:
        with open(SOCKETS, encoding="utf-8", errors="replace") as file:
            rows = [row.split(maxsplit=7) for row in file.read(SOCKETS_MAX).splitlines()]
    except OSError:
        return set()
    return {row[7] for row in rows if len(row) == 8 and row[3] == LISTENING}
