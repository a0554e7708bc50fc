"""startup: from what the operator said to what a daemon is made of.

Each part is made here or the process ends, with one line that says what to do and a code of sysexits(3).  The order is
daemon.main()'s.
"""
from __future__ import annotations

import argparse
import errno
import os
import resource
import time
from collections.abc import Sequence
from pathlib import Path

from mailbox import Mailbox, StoreError
from net.address import Address
from net.logins import Logins, can_tell
from net.places import SYSTEM_SOCKET
from net.tls import BadCertificate, Server
from rules.claims import TRUSTING, Identity
from server.console import Console
from server.doors import Doors
from server.log import NoTerminal
from server.options import PROGRAM
from store.disk import Disk
from store.syncer import BackgroundDisk
from terminal.usage import die

SPARE_DESCRIPTORS = 32      # of the file limit, for the store, the log and what we forgot
ROOM_LEAST = 4              # connections; with room for fewer nobody is served, and strangers keep the users out
SECRET_SIZE = 32            # bytes


def file_limit() -> int:
    """Raise the limit of open files to what is allowed; how many connections that leaves."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    except (OSError, ValueError):
        pass
    if soft < SPARE_DESCRIPTORS + ROOM_LEAST:
        die(PROGRAM, os.EX_OSERR, f"only {soft} files may be open at once, and the daemon needs at least "
                                  f"{SPARE_DESCRIPTORS + ROOM_LEAST}: raise the limit, see ulimit -n")
    return soft - SPARE_DESCRIPTORS


def open_disk() -> tuple[Disk, str]:
    """The disk, and why its syncs are made in the loop, if they are: then all wait while it works, and nothing is lost.

    A host that refuses one more process must not keep its users from their mail."""
    try:
        return BackgroundDisk(), ""
    except OSError as error:
        return Disk(), f"no process can be made that syncs ({error.strerror}): everybody waits while the disk works"


def certificate(options: argparse.Namespace) -> Server | None:
    """What TLS is spoken with."""
    try:
        return Server(options.tls_cert, options.tls_key or options.tls_cert) if options.tls_cert else None
    except BadCertificate as error:
        die(PROGRAM, error.code, str(error))


def open_store(options: argparse.Namespace, disk: Disk) -> Mailbox:
    """The store, recovered."""
    try:
        Path(options.state).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Mailbox(options.state, disk, backend=options.backend)
    except StoreError as error:
        die(PROGRAM, error.code, str(error))
    except OSError as error:
        code = os.EX_NOPERM if isinstance(error, PermissionError) else os.EX_CANTCREAT
        die(PROGRAM, code, f"{options.state}: {error.strerror}: choose another place with --state")


def open_console(options: argparse.Namespace) -> Console:
    """The table or the log, as was asked for."""
    mode = options.console
    if mode == "auto":
        mode = "table" if os.isatty(1) and os.environ.get("TERM", "dumb") != "dumb" else "log"
    if mode == "table" and not os.isatty(1):
        die(PROGRAM, os.EX_USAGE, "--console table needs a terminal: use --console log")
    try:
        return Console(mode, 1, lambda: time.time_ns() // 1000, with_text=not options.no_text, log=options.log)
    except NoTerminal as error:
        die(PROGRAM, os.EX_NOPERM, f"{error}: append `| cat`, or say --console none")
    except OSError as error:
        die(PROGRAM, os.EX_CANTCREAT, f"the log {options.log} could not be opened: {error.strerror}")


def identity(options: argparse.Namespace, console: Console, logins: Logins) -> Identity:
    """Who may be whom.  Where no Unix socket lets logins show who they are, their names are as free as others."""
    operators = frozenset({0, os.geteuid()})
    if options.trust_names:
        console.note("unprotected", reason="every name is free for everybody, by --trust-names")
        return TRUSTING._replace(operators=operators)
    telling = any(where.path for choices in options.places for where in choices) and can_tell()
    if not telling:
        console.note("unprotected", reason="no Unix socket whose kernel tells who calls: only claimed names are kept")
    try:
        secret = _secret(os.path.join(options.state, "secret"))
    except OSError as error:
        die(PROGRAM, os.EX_CANTCREAT, f"{options.state}/secret: {error.strerror}")
    if telling:
        logins.list_all()           # now, and not while somebody waits
    return Identity(False, secret, logins.uid if telling else Identity().logins, operators)


def _secret(path: str) -> bytes:
    """Bytes that only this store has; made anew if they are not there, or not whole."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, 0o600), "r+b", buffering=0) as file:
        found = file.read(SECRET_SIZE + 1)
        if len(found) != SECRET_SIZE:
            found = os.urandom(SECRET_SIZE)
            os.ftruncate(file.fileno(), 0)
            os.pwrite(file.fileno(), found, 0)
    return found


def listen(doors: Doors, console: Console, wanted: Sequence[Sequence[Address]], mode: int | None,
           server: Server | None) -> None:
    """Listen at the first place of each list that can be opened.  Without --listen one place is enough."""
    for choices in wanted:
        try:
            doors.open(choices, default_mode(choices[0]) if mode is None else mode, server)
        except OSError as error:
            if doors.listeners and choices[0].default:
                console.note("passed-over", address=error.filename, reason=error.strerror or str(error))
                continue
            code = os.EX_NOPERM if isinstance(error, PermissionError) else os.EX_UNAVAILABLE
            in_use = ", by another daemon? choose a place with --listen" if error.errno == errno.EADDRINUSE else ""
            reason = os.strerror(errno.EADDRINUSE) if in_use else error.strerror or str(error)
            other = "; --listen unix:PATH names another place" if choices[0].default and not in_use else ""
            console.close()
            doors.close()
            die(PROGRAM, code, f"{error.filename}: {reason}{in_use}{other}")


def default_mode(where: Address) -> int:
    """Who may use a Unix socket if --socket-mode does not say: that of the host is for all logins."""
    return 0o666 if where.path == SYSTEM_SOCKET else 0o600
