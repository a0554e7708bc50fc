"""operations: what an operator asks the running daemon to do (`parleyd status`, `parleyd kick`).

An operator is root or the daemon's own login, at the Unix socket, where the kernel says who calls.
The connection says one OPERATE in place of HELLO, is told the REPORT, and is closed.  It is no
client: it has no name, and takes no place among the users.

Each order is a generator: it yields between the steps of what is too much for one turn
(rules/slices.py), and returns its report, which goes out as JSON.  A report that promises something
on the disk goes out when it is there.
"""
from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Generator, Sequence, Sized
from contextlib import suppress
from math import inf
from typing import NamedTuple, Protocol

import wire
from mailbox import Full
from net.texts import BY_OPERATOR
from net.tls import BadCertificate, Server
from rules.retirement import is_retired
from rules.state import Now
from rules.store import is_room
from server import upgrade
from server.allowed import Allowed, limited
from server.answers import answer
from server.banned import Banned
from server.connection import Connection
from server.kept import BadFile
from server.options import Limits
from server.overview import Order, Overview, Unable, number_of
from server.supervisor import Supervisor
from server.upgrade import Upgrade
from store.user import User
from terminal.usage import RELEASE

STEP = 10_000           # names looked at in a step: a millisecond
ORDER_SECONDS = 60      # that the connection of an order has beyond --login-seconds: no client
                        # waits longer
ROWS_MAX = 2000         # of the table that one order is told: 300 KB
# nor are these orders
READ_ONLY = frozenset({"status", "names", "logins", "waiting", "table", "quota"})
DAY = 86400.0           # seconds
EXPIRY_DAYS = 30        # before a certificate ends, the operator is told
DRAINING = "the operator is about to stop this daemon: nobody comes in any more"

class Kept(NamedTuple):
    """A report of what was stored, and whether it still is when the disk has answered."""
    report: object
    is_kept: Callable[[], bool]


class House(upgrade.House, Protocol):
    """The daemon, as the orders know it."""
    limits: Limits

    @property
    def strangers(self) -> Sized: ...


class Operations:
    """The orders, and the answers that wait for the disk."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.note = house.console.note
        self.board, self.mailbox = house.board, house.mailbox
        self.supervisor = Supervisor()          # nobody, until main() knows one
        self.certificate: Callable[[], Server] | None = None    # reads it anew
        self.expires: float | None = None       # the certificate, in seconds since 1970
        self.allowed = Allowed(house.board, house.mailbox.directory)
        self.banned = Banned(house.board, house.mailbox.directory)
        self._said_at = -inf                    # when it was last said, on the monotonic clock
        self.drained_at = 0.0                   # by when the daemon ends; 0: it does not
        self.upgrade = Upgrade(house, self)
        # answers, each with the seq that the disk must have
        self._promised: list[tuple[int, Connection, object]] = []
        self._orders: dict[str, Callable[..., Order]] = {
            "status": self._status, "names": self._names, "logins": self._logins,
            "kick": self._kick, "bans": self._bans, "announce": self._announce,
            "retire": self._retire, "reinstate": self._reinstate, "waiting": self._waiting,
            "purge": self._purge, "drain": self._drain, "undrain": self._undrain,
            "table": Overview(self.board.table, house.console).page,
            "quota": self.allowed.quota, "quotas": self.allowed.quotas}

    # ---- requests ----

    def take(self, connection: Connection, said: wire.Operate) -> None:
        """An OPERATE came.  Raises ProtocolError."""
        if connection.caller.uid not in self.board.claims.identity.operators:
            self.note("no-operator", address=connection.caller.address, order=said.words[0])
            answer(connection, os.EX_NOPERM, "only root and the login of the daemon may do that, "
                                              "at its Unix socket")
            return
        word, *arguments = said.words
        connection.opened = connection.heard = connection.opened + ORDER_SECONDS
        if word not in READ_ONLY:
            self.note("operation", address=connection.caller.address, order=word,
                      arguments=" ".join(filter(None, arguments)))
        if word == "upgrade" and not arguments:
            self.upgrade.begin(connection)
            return
        order = self._orders.get(word)
        if order is None:
            answer(connection, os.EX_PROTOCOL, f"this daemon, parley {RELEASE}, does not know the "
                                                f"order {word}")
            return
        self.board.slices.begin(self._carry_out(connection, order, arguments))

    def _carry_out(self, connection: Connection, order: Callable[..., Order],
                   arguments: Sequence[str]) -> Generator[None, None, None]:
        try:
            work = order(*arguments)            # nothing of it is done yet
        except TypeError:
            answer(connection, os.EX_USAGE, f"wrong arguments: {' '.join(arguments)}")
            return
        try:
            report = yield from work
        except Unable as unable:
            answer(connection, unable.code, str(unable))
        except Full as full:
            answer(connection, os.EX_TEMPFAIL, full.reason)
        else:
            self._promised.append((self.mailbox.last, connection, report))
            self.look(self.house.now)

    def look(self, now: Now) -> None:
        """Once a second: send the answers that the disk has come up to, end a daemon that is
        drained, and tell the service manager that the loop turns."""
        self.supervisor.look(now.monotonic, self.board.table.title())
        self.upgrade.look(now.monotonic)
        if now.monotonic - self._said_at >= DAY:
            self._say_expiry(now)
        if self._promised:
            settled, waiting = self.mailbox.settled(), self._promised
            self._promised = [each for each in waiting if each[0] > settled]
            for seq, connection, report in waiting:
                if seq <= settled:
                    _report(connection, report)
        if self.drained_at and (now.monotonic >= self.drained_at
                                 or not self.board.errands.everybody()):
            self.drained_at = 0.0
            self.house.signal = signal.SIGTERM

    def _user(self, name: str) -> User:
        """Raises Unable."""
        user = self.mailbox.find(name)
        if user is None:
            raise Unable(os.EX_NOUSER, f"no user named {name} is in the log")
        if is_room(user):
            raise Unable(os.EX_NOUSER, f"{name} is a room: its keeper, or you as a member, can "
                                       "/room close it")
        return user

    # ---- what there is ----

    def _status(self) -> Order:
        """The daemon in numbers."""
        board, mailbox, house = self.board, self.mailbox, self.house
        waiting, mailboxes, retired, users = 0, 0, 0, mailbox.users
        for first in range(0, len(users), STEP):
            some = [user.waiting for user in users[first:first + STEP] if not is_room(user)]
            waiting, mailboxes = waiting + sum(some), mailboxes + sum(map(bool, some))
            retired += sum(map(is_retired, users[first:first + STEP]))
            yield
        disk = os.statvfs(mailbox.directory)
        return {
            "house": board.table.house, "release": RELEASE, "pid": os.getpid(),
            "uptime": round(_uptime()), "listening": list(house.doors.listeners.values()),
            "clients": len(board.roster.clients), "clients_max": house.limits.clients,
            "strangers": len(house.strangers) - 1, "chats": len(board.sessions.active),
            "names": len(users) - len(board.rooms.numbers), "rooms": len(board.rooms.all),
            "names_max": house.limits.names,
            "retired": retired, "bans": len(board.bans.all),
            "waiting": waiting, "mailboxes": mailboxes, "takes_mail": mailbox.refusal is None,
            "refusal": mailbox.refusal or "", "draining": bool(board.door.draining),
            "store": mailbox.directory, "store_bytes": _size(mailbox.directory),
            "disk_free": disk.f_bavail * disk.f_frsize,
            "disk_tight": mailbox.census.is_tight,
            "login_share": limited(mailbox.census.share), "memory": _memory(),
            "certificate_until": self.expires, "given": mailbox.last, "on_disk": mailbox.settled(),
            "refused": house.console.refusals.total, "cut": house.console.cuts.total}

    def _names(self, pattern: str = "", order: str = "") -> Order:
        """Rows of the live table: the connected first; of names with this in them; with the order
        "waiting" those for which messages wait, the most first."""
        table, wanted, is_waiting = self.board.table, pattern.lower(), order == "waiting"
        rows, more = table.rows(ROWS_MAX)
        if wanted or is_waiting:
            found, more = list[User](), 0
            for first in range(0, len(self.mailbox.users), STEP):
                some = [user for user in self.mailbox.users[first:first + STEP]
                        if wanted in user.name.lower() and not is_room(user)
                        and (user.waiting or not is_waiting)]
                more += len(some)
                found += some
                if is_waiting:
                    found.sort(key=lambda user: -user.waiting)
                del found[ROWS_MAX:]
                yield
            rows, more = [table.row(user) for user in found], more - len(found)
            yield
        told = [dict(zip(row._fields[:-1], row[:-1], strict=True)) for row in rows]
        return {"names": told, "more": more}

    def _logins(self) -> Order:
        """What each login takes, and what was refused to it."""
        yield
        return {"logins": self.board.usages.rows(),
                "refused": [dict(zip(("login", "event", "reason", "times"), row, strict=True))
                            for row in self.house.console.refusals.rows()],
                "cuts": [cut._asdict() for cut in self.house.console.cuts.last]}

    # ---- who may be here ----

    def on_signal(self, number: int) -> None:
        """HUP and USR2 are orders, too; all others are the console's."""
        if number == signal.SIGHUP:
            self.reload()
        elif number == signal.SIGUSR2:
            self.upgrade.begin()
        else:
            self.house.console.on_signal(number)

    def reload(self) -> None:
        """HUP came: open the log again, look for the sockets' files, read the bans, the quotas and
        the certificate."""
        self.supervisor.reloading()
        self.house.console.reload()
        self.house.doors.look(self.house.now.monotonic, now=True)
        try:
            self.allowed.reload()
        except BadFile as error:
            self.note("not-reloaded", reason=str(error))
        try:
            if self.certificate:
                self.use(self.certificate())
        except BadCertificate as error:
            self.note("not-reloaded", reason=str(error))
        self.board.slices.begin(self._reload())

    def _reload(self) -> Generator[None, None, None]:
        try:
            yield from self.banned.reload(lambda: self.house.now)
        except BadFile as error:
            self.note("not-reloaded", reason=str(error))
        self.note("reloaded")
        self.supervisor.ready()

    def use(self, server: Server) -> None:
        """Show this certificate at the doors."""
        self.house.doors.use(server)
        self.expires = server.expires()
        self.note("certificate", fingerprint=server.fingerprint)
        self._say_expiry(self.house.now)

    def _say_expiry(self, now: Now) -> None:
        """Once a day, if the certificate ends soon."""
        self._said_at = now.monotonic
        days = inf if self.expires is None else (self.expires - now.wall / 1e6) / DAY
        if days < EXPIRY_DAYS:
            self.note("certificate-expires", days=max(0, int(days)))

    def stopping(self, signal_name: str) -> None:
        self.note("stopping", signal=signal_name)
        self.supervisor.tell("STOPPING=1")

    def _kick(self, name: str, reason: str = "") -> Order:
        """Disconnect a client."""
        yield
        user = self._user(name)
        clients = self.board.errands.clients(user)
        if not clients:
            raise Unable(os.EX_UNAVAILABLE, f"{name} is not connected")
        for client in clients:
            self.board.door.put_out(client, BY_OPERATOR + f": {reason}" * bool(reason),
                                    self.house.now)
        return {"kicked": user.name}

    def _bans(self, *_: str) -> Order:
        """The file was changed, as these words say to the log: read it again."""
        yield
        try:
            put_out = yield from self.banned.reload(lambda: self.house.now)
            return {"put_out": put_out, "bans": len(self.board.bans.all)}
        except BadFile as error:
            raise Unable(os.EX_CONFIG, str(error)) from None

    def _announce(self, text: str) -> Order:
        """Tell all that are connected."""
        yield
        if flaw := wire.flaw(text):
            raise Unable(os.EX_DATAERR, flaw[1])
        told = len(self.board.roster.clients)
        self.board.tell_everybody(wire.Notice(f"the operator announces: {text}"))
        return {"told": told}

    def _drain(self, seconds: str = "") -> Order:
        """Let nobody in any more, and end when all have left, or after so long."""
        yield
        wait = number_of(seconds) if seconds else inf
        self.board.door.draining = DRAINING
        self.drained_at = self.house.now.monotonic + wait
        self.board.tell_everybody(wire.Notice(DRAINING + (f"; it stops in {wait:.0f} s"
                                                          if seconds else "")))
        return {"clients": len(self.board.roster.clients)}

    def _undrain(self) -> Order:
        yield
        if self.board.door.draining:
            self.board.tell_everybody(wire.Notice("users may come in again: this daemon goes on"))
        self.board.door.draining, self.drained_at = "", 0.0
        return {"clients": len(self.board.roster.clients)}

    # ---- names that go ----

    def _retire(self, name: str) -> Order:
        """Nobody uses this name any more."""
        yield
        user = self._user(name)
        if not is_retired(user):
            self.board.retirement.set(user, True, self.house.now)
        for client in self.board.errands.clients(user):
            self.board.door.put_out(client, f"{user.name} was retired by the operator",
                                    self.house.now)
        return Kept({"retired": user.name, "waiting": user.waiting}, lambda: is_retired(user))

    def _reinstate(self, name: str) -> Order:
        yield
        user = self._user(name)
        if not is_retired(user):
            raise Unable(os.EX_UNAVAILABLE, f"{user.name} is not retired")
        self.board.retirement.set(user, False, self.house.now)
        return Kept({"reinstated": user.name}, lambda: not is_retired(user))

    def _waiting(self, name: str, after: str) -> Order:
        """The next messages that wait for a retired name, to be exported."""
        yield
        users = self.mailbox.users
        mails = self.board.retirement.waiting(self._retired(name), number_of(after))
        return {"after": mails[-1].last if mails else 0, "messages": [
            {"id": mail.id + n, "time": mail.time, "from": users[mail.sender].name,
             "text": text.decode()} for mail in mails for n, text in enumerate(mail.texts)]}

    def _purge(self, name: str) -> Order:
        """Take all that waits for a retired name away."""
        user = self._retired(name)
        waiting = user.waiting
        yield from self.board.retirement.purge(user)
        return {"purged": waiting - user.waiting}

    def _retired(self, name: str) -> User:
        """Raises Unable."""
        user = self._user(name)
        if not is_retired(user):
            raise Unable(os.EX_USAGE, f"{user.name} is not retired")
        return user


def _report(connection: Connection, report: object) -> None:
    """The disk has settled what this report promises: it has it, or has refused it."""
    if not isinstance(report, Kept):
        answer(connection, os.EX_OK, json.dumps(report))
    elif report.is_kept():
        answer(connection, os.EX_OK, json.dumps(report.report))
    else:
        answer(connection, os.EX_TEMPFAIL, "the disk is full: nothing was changed")


def _uptime() -> float:
    """Seconds since this process began."""
    return time.monotonic() - STARTED


def _memory() -> int:
    """Bytes of memory that this process takes; 0: the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _size(directory: str) -> int:
    """Bytes of the disk that the files in a directory take, but for one that goes meanwhile."""
    size = 0
    with os.scandir(directory) as found:
        for each in found:
            with suppress(FileNotFoundError):
                size += each.stat(follow_symlinks=False).st_blocks * 512
    return size


STARTED = time.monotonic()
