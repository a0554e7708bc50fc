"""usage: what each login takes of the store.

A login is whoever a limit counts as one: the owner of the name, where the store knows one; else the
login at the Unix socket, or the host (hosts.py).  All clients of a login share one `Usage`.

Journals.  What was put and is not sealed yet is memory.  While the journals are long
(store/budget.py), the daemon does not read from the clients of a login that has put more than PART
of them since the last seal but one: those fill the journals, and wait until they are sealed.  All
others go on.
"""
from __future__ import annotations

from rules.state import Caller, Client, Usage

PART = 16           # a login may put this part of long journals before its clients have to wait
GONE_MAX = 1000     # logins without a client, remembered for what they put: 300 KB


class Usages:
    """What each login takes."""

    def __init__(self) -> None:
        self._usages: dict[str, Usage] = {}     # by login: those with clients
        self._gone: dict[str, Usage] = {}       # and those without, that put something
        self._seals = 0                         # how often was sealed, at the last look

    def enter(self, caller: Caller) -> Usage:
        """A client of this login comes in."""
        login = caller.host
        usage = self._usages.get(login)
        if usage is None:
            usage = self._gone.pop(login) if login in self._gone else Usage()
            self._usages[login] = usage
        usage.clients += 1
        return usage

    def leave(self, client: Client) -> None:
        usage = client.usage
        usage.clients -= 1
        if usage.clients:
            return
        del self._usages[client.host]
        if usage.put or usage.put_before:
            self._gone[client.host] = usage
            if len(self._gone) > GONE_MAX:
                del self._gone[next(iter(self._gone))]

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
        self._gone = {login: usage for login, usage in self._gone.items() if usage.put_before}
