"""usage: what each login takes of the store.

A login is whoever a limit counts as one: the owner of the name, where the store knows one; else the
login at the Unix socket, or the host, that used the name last (hosts.py).  All clients of a login
share one `Usage`.

Journals.  What was put and is not sealed yet is memory.  While the journals are long
(store/budget.py), the daemon does not read from the clients of a login that has put more than PART
of them since the last seal but one: those fill the journals, and wait until they are sealed.  All
others go on.

Mail that waits.  A login's messages that wait in all mailboxes, under all its names, have a limit
in bytes (store/census.py).  `Usage.waiting` is never less than what waits: whatever the login puts
is added, and nothing is subtracted.  When that comes to the limit, what really waits is added up,
for all logins at once, and at most once a second: 3 ms for 100,000 names.  A message beyond the
limit is refused.

Unsent.  A client that does not read costs a window, and a login may have thousands of clients.
When LOGIN_UNSENT bytes wait for the sockets of a login, a client of it is pushed no messages, and
not read (server/connection.py), until its socket has taken all.

What it does not know.  Which login used a name is forgotten at a restart, if the name has no owner:
what such a name has sent counts for nobody until it comes in again.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from rules.owners import Owners
from rules.roster import Roster
from rules.state import FREE, Caller, Client, Usage
from rules.store import Store
from store.census import NO_LIMIT
from store.user import User

PART = 16               # a login may put this part of long journals before its clients have to wait
FREE_RATE = 1 << 20     # bytes of long texts that become free in a second, up to FREE
GONE_MAX = 1000         # logins without a client that are remembered: 300 KB
ADD_UP_SECONDS = 1.0    # between two times that what waits is added up
LOGIN_UNSENT = 8 << 20  # bytes unsent to all clients of a login: 32 windows (window.py)
ROWS_MAX = 500          # logins that an operator is told
OVER = "too many messages of your login wait to be read: not delivered"
TIGHT = ("the daemon's disk is nearly full, and messages of your login wait to be read: not "
         "delivered")


class Usages:
    """What each login takes."""

    def __init__(self, mailbox: Store, roster: Roster, most: int,
                 login_of: Callable[[int], int]) -> None:
        self.mailbox, self.roster, self.census = mailbox, roster, mailbox.census
        self.login_of = login_of                # the login that a uid counts for
        self._usages: dict[str, Usage] = {}     # by login: those with clients
        self._gone: dict[str, Usage] = {}       # and those without, that put something
        # by number of a user that is away, and whose messages wait: who used the name
        self._hosts: dict[int, str] = {}
        self._waiting = Counter[str]()          # by login, when it was last added up
        self._added_at = float("-inf")          # on the monotonic clock
        self._seals = 0                         # how often was sealed, at the last look
        self.allow(most, {})

    def allow(self, most: int, own: Mapping[str, int]) -> None:
        """So many bytes of a login may wait; `own`: of these logins.  0: no limit."""
        self._own = {login: size or NO_LIMIT for login, size in own.items()}
        self.census.allow(most, min(self._own.values(), default=NO_LIMIT))

    # ---- coming and going ----

    def enter(self, client: Client, caller: Caller) -> None:
        """A client came in."""
        login = self._login(client.user, caller.host)
        usage = self._usages.get(login)
        if usage is None:
            usage = self._gone.pop(login, None) or Usage(login, self._waiting[login])
            self._usages[login] = usage
        usage.clients += 1
        client.usage = usage

    def leave(self, client: Client) -> None:
        """A client went."""
        usage, user = client.usage, client.user
        if user.sent >= 1:
            self._hosts[user.number] = client.host
        else:
            self._hosts.pop(user.number, None)
        usage.clients -= 1
        if usage.clients:
            return
        del self._usages[usage.login]
        if usage.put or usage.put_before:
            self._gone[usage.login] = usage
        if len(self._gone) > GONE_MAX:
            self._forget()

    def _login(self, user: User, host: str = "") -> str:
        """Whom this user counts for; it is used from this host now, if one is given."""
        owner = Owners.of(user)
        if owner is not None:
            return f"uid {self.login_of(owner)}"
        client = self.roster.clients.get(user.number)
        host = host or (client.host if client else self._hosts.get(user.number, ""))
        return host or f"name {user.name}"

    @staticmethod
    def is_free(usage: Usage, size: int, now: float) -> bool:
        """Whether a long text of so many bytes is no more work than a short one: some of a login's
        are.  `now`: the monotonic clock."""
        usage.free = min(FREE, usage.free + (now - usage.free_at) * FREE_RATE)
        usage.free_at = now
        if usage.free < size:
            return False
        usage.free -= size
        return True

    # ---- journals ----

    def fills(self, client: Client, seals: int, long_at: int) -> bool:
        """Whether this client's login fills the journals, which were sealed so often, and are long
        above so many bytes."""
        if seals != self._seals:
            self._sealed(seals - self._seals)
            self._seals = seals
        usage = client.usage
        return usage.put + usage.put_before > long_at // PART

    def _sealed(self, times: int) -> None:
        """What was put before the last seal began is in the journals no more; when that was, is
        known as well as this is called."""
        for usage in (*self._usages.values(), *self._gone.values()):
            usage.put_before, usage.put = usage.put if times == 1 else 0, 0

    # ---- mail that waits ----

    def is_over(self, client: Client, now: float) -> bool:
        """Whether too much of this client's login waits already; asked only if that may be.  `now`:
        the monotonic clock."""
        self.census.begin()
        if now - self._added_at >= ADD_UP_SECONDS or self.census.is_news:
            self._added_at = now
            self._add_up()
        usage = client.usage
        return usage.waiting > self.census.share_of(self._own.get(usage.login))

    def over(self) -> str:
        """Why a login is over its share."""
        return TIGHT if self.census.is_tight else OVER

    def _add_up(self) -> None:
        """What waits of each login."""
        self._waiting = waiting = Counter[str]()
        for user in self.mailbox.users:
            if user.sent >= 1:
                waiting[self._login(user)] += int(user.sent)
        for usage in (*self._usages.values(), *self._gone.values()):
            usage.waiting = waiting[usage.login]
        self.census.added_up()

    def rows(self) -> list[dict[str, object]]:
        """What each login takes, for the operator; those with the most that waits first."""
        self.census.begin()
        self._add_up()
        clients = {usage.login: usage for usage in self._usages.values()}
        found = sorted({**clients, **self._waiting}, key=lambda login: -self._waiting[login])
        return [{"login": login, "clients": clients[login].clients if login in clients else 0,
                 "waiting": self._waiting[login],
                 "share": self.census.share_of(self._own.get(login)),
                 "unsent": clients[login].unsent if login in clients else 0}
                for login in found[:ROWS_MAX]]

    def _forget(self) -> None:
        """Forget the older half of those that are gone, and the hosts of names that nobody uses."""
        self._add_up()
        for login in list(self._gone)[:GONE_MAX // 2]:
            del self._gone[login]
        users = self.mailbox.users
        self._hosts = {number: host for number, host in self._hosts.items()
                       if number < len(users) and users[number].sent >= 1}
