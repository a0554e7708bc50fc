"""startup: from the operator's options to the parts of a daemon.

Each function makes one part, or ends the process with one line that says what to do and an exit
code of sysexits(3).  daemon.main() calls them in order.
"""
from __future__ import annotations

import argparse
import contextlib
import errno
import os
import resource
import selectors
import socket
import termios
import time
from collections.abc import Callable, Sequence
from socket import AF_UNIX

from mailbox import Mailbox, StoreError
from net import address, uids
from net.address import Address
from net.logins import Logins, can_tell, first_person
from net.places import SYSTEM_SOCKET, not_of_host
from net.tls import BadCertificate, Server
from rules.claims import TRUSTING, Identity
from rules.groups import Groups
from rules.hosts import Hosts
from rules.quota import Accounts, Broadcasts
from rules.state import Client
from rules.switchboard import Switchboard
from server import allowed, banned
from server.browser import Browser
from server.console import Console
from server.doors import Doors
from server.handover import TRIED, BadHandover, Handover, Inherited, take
from server.kept import BadFile
from server.keyboard import Keyboard
from server.log import NoTerminal, open_log
from server.operations import Operations
from server.options import PROGRAM, Limits, exposed, may_listen
from server.seats import seat_of
from server.supervisor import address_of, handed_over
from server.upgrade import READY
from server.views import Here
from store.backends import choose
from store.disk import Disk
from store.syncer import BackgroundDisk
from terminal import printer
from terminal.usage import die, say

SPARE_DESCRIPTORS = 32      # of the file limit, for the store, the log and what we forgot
SLOW_KEY = 0.002            # seconds of a TLS handshake, above which the operator is warned
ROOM_LEAST = 4              # connections: with room for fewer, strangers alone could fill a daemon
SECRET_SIZE = 32            # bytes
QUICK_KEY = ("a key of P-256 takes a tenth of RSA: openssl req -x509 -newkey ec -pkeyopt "
             "ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=NAME -keyout KEY -out CERT; "
             "clients must then forget the old certificate")
PR_SET_NAME = 15            # what ps(1) and top(1) call a process; its children have their own
PR_SET_DUMPABLE = 4         # <sys/prctl.h> of Linux


def file_limit() -> int:
    """Raise the limit of open files as far as allowed.  Returns the connections it has room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    except (OSError, ValueError):
        pass
    least = SPARE_DESCRIPTORS + ROOM_LEAST
    if soft < least:
        die(PROGRAM, os.EX_OSERR, f"only {soft} files may be open at once, and the daemon needs at "
                                  f"least {least}: raise the limit, see ulimit -n")
    return soft - SPARE_DESCRIPTORS


def hide_memory() -> None:
    """Leave no core dump, and let no other process of the same login read the memory: the mail of
    all users is in it.  And be called parleyd, as the children of the store have names, too."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ImportError, OSError, AttributeError):     # there is no prctl(2)
        import ctypes  # 1.3 ms
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        libc.prctl(PR_SET_NAME, b"parleyd", 0, 0, 0)


def open_disk() -> tuple[Disk, str]:
    """The disk; and if the daemon has to sync in its loop, a line that says why.

    A host that refuses one more process must not keep its users from their mail: everybody waits
    while the disk works, and nothing is lost."""
    try:
        return BackgroundDisk(), ""
    except OSError as error:
        return Disk(), (f"no process can be made that syncs ({error.strerror}): everybody waits "
                        "while the disk works")


def certificate(options: argparse.Namespace) -> Server:
    """The certificate that the daemon speaks TLS with.  Raises BadCertificate."""
    return Server(options.tls_cert, options.tls_key or options.tls_cert)


def first_certificate(options: argparse.Namespace) -> Server | None:
    """The same at the start; None: the daemon speaks no TLS."""
    try:
        return certificate(options) if options.tls_cert else None
    except BadCertificate as error:
        die(PROGRAM, error.code, str(error))


def inherited(options: argparse.Namespace) -> list[socket.socket]:
    """The sockets that a service manager hands over; TCP has the conditions of --listen."""
    try:
        listeners = handed_over(os.environ)
        for listener in listeners:
            where = address.parse(address_of(listener)) if listener.family != AF_UNIX else None
            if where and not may_listen(where, options):
                raise ValueError(exposed(where))
        return listeners
    except ValueError as error:
        die(PROGRAM, os.EX_USAGE, str(error))


def handover(options: argparse.Namespace) -> Handover | None:
    """What another program has left to this one, if it takes its place, or is tried for that."""
    try:
        return take(os.environ, TRIED if options.check_config else str(os.getpid()))
    except BadHandover as error:
        die(PROGRAM, os.EX_UNAVAILABLE, str(error))


def check_config(options: argparse.Namespace, handed: Handover | None) -> None:
    """Look whether a daemon would start, as far as that can be seen while another runs."""
    first_certificate(options)
    try:
        banned.read(options.state)
        allowed.read(options.state)
    except BadFile as error:
        die(PROGRAM, os.EX_CONFIG, f"{error}; or remove the file")
    if handed:
        _check_places(options, handed)
    say(PROGRAM, READY if handed else "the options, and the configuration file, are right")


def _check_places(options: argparse.Namespace, handed: Handover) -> None:
    """Whether this program has the store of the one before, and can write it and its log: what
    fails later drops all clients."""
    if os.path.realpath(options.state) != handed.state:
        die(PROGRAM, os.EX_CONFIG, f"the daemon serves {handed.state}, and the options name "
                                   f"{options.state}: that takes a stop and a start")
    if options.console == "table" and not handed.is_terminal:
        die(PROGRAM, os.EX_CONFIG, "--console table needs a terminal: use --console log")
    try:
        choose(options.backend)
        if options.log:
            os.close(open_log(options.log).outlet.fd)
    except StoreError as error:
        die(PROGRAM, error.code, str(error))
    except OSError as error:
        die(PROGRAM, os.EX_CANTCREAT,
            f"the log {options.log} could not be opened: {error.strerror}")


def judge_key(server: Server, console: Console) -> None:
    """Warn of a key that takes long: the loop waits for it at each handshake (handshakes.py)."""
    seconds = server.handshake_seconds()
    if seconds > SLOW_KEY:
        console.note("slow-key", milliseconds=f"{seconds * 1000:.1f}", advice=QUICK_KEY)


def open_store(options: argparse.Namespace, disk: Disk) -> Mailbox:
    """The store, recovered."""
    try:
        above = os.path.dirname(options.state.rstrip("/"))
        os.makedirs(above or ".", 0o700, exist_ok=True)
        return Mailbox(options.state, disk, backend=options.backend)
    except StoreError as error:
        die(PROGRAM, error.code, str(error))
    except OSError as error:
        code = os.EX_NOPERM if isinstance(error, PermissionError) else os.EX_CANTCREAT
        die(PROGRAM, code, f"{options.state}: {error.strerror}: choose another place with --state")


def open_console(options: argparse.Namespace) -> Console:
    """The table or the log, as the operator asked."""
    mode = options.console
    if mode == "auto":
        is_terminal = os.isatty(1) and os.environ.get("TERM", "dumb") != "dumb"
        mode = "table" if is_terminal else "log"
    if mode == "table" and not os.isatty(1):
        die(PROGRAM, os.EX_USAGE, "--console table needs a terminal: use --console log")
    try:
        return Console(mode, 1, lambda: time.time_ns() // 1000, with_text=not options.no_text,
                       log=options.log, rate=options.log_each, form=options.log_format,
                       journal=os.environ.get("JOURNAL_STREAM", ""))
    except NoTerminal as error:
        die(PROGRAM, os.EX_NOPERM, f"{error}: append `| cat`, or say --console none")
    except OSError as error:
        die(PROGRAM, os.EX_CANTCREAT,
            f"the log {options.log} could not be opened: {error.strerror}")


def identity(options: argparse.Namespace, console: Console, logins: Logins) -> Identity:
    """Who may be whom.  The daemon can keep names for logins only if it listens at a Unix socket,
    and the kernel tells who calls there."""
    untold = uids.untold_uid()
    operators = frozenset({0, os.geteuid()} - {untold})
    groups = Groups(logins.gid, logins.gids)
    if options.trust_names:
        console.note("unprotected", reason="every name is free for everybody, by --trust-names")
        return TRUSTING._replace(operators=operators, groups=groups, seat_of=seat_of)
    telling = any(where.path for choices in options.places for where in choices) and can_tell()
    if not telling:
        console.note("unprotected", reason="no Unix socket whose kernel tells who calls: only "
                                           "claimed names are kept")
    try:
        secret = _secret(os.path.join(options.state, "secret"))
    except OSError as error:
        die(PROGRAM, os.EX_CANTCREAT, f"{options.state}/secret: {error.strerror}")
    if telling:
        logins.list_all()           # now, and not while a client waits
        _say_untold(untold, console)
    return Identity(False, secret, logins.uid if telling else Identity().logins, operators, untold,
                    logins.counts_for, groups, options.tcp_names == "claimed",
                    *((logins.person, lambda: logins.are_listed)
                      if telling and _serves_others(options) else
                      (Identity().person_of, Identity().lists_people)), seat_of)


def _serves_others(options: argparse.Namespace) -> bool:
    """Whether other logins may come in at a Unix socket; else mail to them would wait for ever."""
    modes = [int(options.socket_mode, 8) if options.socket_mode else default_mode(where)
             for choices in options.places for where in choices if where.path]
    return any(mode & 0o066 for mode in modes)


def _say_untold(untold: int | None, console: Console) -> None:
    """Say which users nobody can tell apart here."""
    if untold is not None:
        console.note("untold", reason="this daemon runs in a user namespace: each login outside of "
                                      f"it has uid {untold} here, and is refused at the Unix "
                                      "socket")
    if source := uids.other_source():
        console.note("untold", reason=f"subordinate uids from {source} (subid in nsswitch.conf) "
                                      "count as logins of their own")


def _secret(path: str) -> bytes:
    """Bytes that only this store has.  They are made anew if they are missing or not whole."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, 0o600), "r+b", buffering=0) as file:
        found = file.read(SECRET_SIZE + 1)
        if len(found) != SECRET_SIZE:
            found = os.urandom(SECRET_SIZE)
            os.ftruncate(file.fileno(), 0)
            os.pwrite(file.fileno(), found, 0)
    return found


def switchboard(mailbox: Mailbox, console: Console, limits: Limits, house: str, identity: Identity,
                is_alive: Callable[[Client], bool]) -> Switchboard:
    """The rules of the house, with the limits that the operator chose."""
    board = Switchboard(mailbox, console.note, house=house, token=lambda: os.urandom(16),
                        patience=limits.patience, accounts=Accounts(limits.quotas),
                        broadcasts=Broadcasts(limits.everyone, limits.everyone_seconds),
                        hosts=Hosts(limits.clients_each, limits.new_names, limits.names,
                                    limits.names_each),
                        identity=identity, room_lines=limits.room_lines, is_alive=is_alive,
                        is_silent=console.is_silent)
    console.address_of = board.address_of
    return board


def browse(console: Console, board: Switchboard, selector: selectors.BaseSelector) -> None:
    """Let the operator look around in the live table, if there is a keyboard."""
    if console.mode != "table":
        return
    console.browser = Browser(Here(board.table, board.slices, time.monotonic))
    with contextlib.suppress(OSError, termios.error):
        console.keyboard = Keyboard(0, selector, console.press)
    if console.keyboard is None:
        console.browser = None


def load_kept(operations: Operations) -> None:
    """Whom the operator keeps out, and the quotas that the operator has set."""
    try:
        operations.banned.load()
        operations.allowed.reload()
    except BadFile as error:
        die(PROGRAM, os.EX_CONFIG, f"{error}; or remove the file")


def listen(doors: Doors, console: Console, wanted: Sequence[Sequence[Address]], mode: int | None,
           server: Server | None, inherited: Sequence[socket.socket] = (),
           kept: Sequence[Inherited] = ()) -> None:
    """Listen at the first place of each list that can be opened.  Without --listen one place is
    enough, and none is needed beside the sockets that a service manager handed over.  `kept`: the
    listeners of the program before, whose places are taken up; with one of them a place that can't
    be opened is passed over."""
    inherited = [*inherited, *(each.sock for each in kept if not each.is_own)]
    doors.kept = [each for each in kept if each.is_own]
    for listener in inherited:
        is_tcp = listener.family != AF_UNIX
        doors.listen(listener, address_of(listener), server if is_tcp else None)
    if not inherited:
        _say_unfound(console, wanted[0][0])
    for choices in wanted if not inherited or not wanted[0][0].default else ():
        try:
            doors.open(choices, default_mode(choices[0]) if mode is None else mode, server)
        except OSError as error:
            if kept or (doors.listeners and choices[0].default):
                console.note("passed-over", address=error.filename,
                             reason=error.strerror or str(error))
                continue
            console.close()
            doors.close()
            die(PROGRAM, *_cannot_listen(error, choices[0].default))
    doors.give_up()


def _say_unfound(console: Console, where: Address) -> None:
    """Say so if a user of the system's, who as a rule has the host's daemon, starts one of its own:
    /run is empty after a boot."""
    if where.default and where.path != SYSTEM_SOCKET and 0 < os.geteuid() < first_person():
        reason = not_of_host()
        console.note("passed-over", address=f"unix:{SYSTEM_SOCKET}", reason=reason)
        printer.complain(PROGRAM, reason)


def _cannot_listen(error: OSError, is_default: bool) -> tuple[int, str]:
    """The exit code and the words for a place that can't be opened."""
    if error.errno == errno.EADDRINUSE:
        return os.EX_UNAVAILABLE, (f"{error.filename}: {os.strerror(errno.EADDRINUSE)}, by another "
                                   "daemon? choose a place with --listen")
    code = os.EX_NOPERM if isinstance(error, PermissionError) else os.EX_UNAVAILABLE
    other = "; --listen unix:PATH names another place" if is_default else ""
    return code, f"{error.filename}: {error.strerror or error}{other}"


def default_mode(where: Address) -> int:
    """The mode of a Unix socket without --socket-mode: the host's daemon serves all logins."""
    return 0o666 if where.path == SYSTEM_SOCKET else 0o600
