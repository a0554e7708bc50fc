"""requests: what the user asks the daemon, and what the daemon answers.

The link numbers each request.  Requests remembers by number what was asked, until the answer comes:
DONE, FAILED, or a message of the request's own.  Every method that asks gives back a fault, one
line for the user, or "" when the request is on its way.  Pure.
"""
from __future__ import annotations

from collections.abc import Callable

import wire
from client.events import Offline, OtherStore, Repeated
from client.link import Link
from client.outbox import Busy
from terminal.display import display
from ui.feed import Feed, Hears
from ui.names import counted, listed
from ui.people import People
from ui.words import DONE, FAILED, OFFLINE, Asked, Request

LISTED_MAX = 10_000                 # rows of one table in the pane, 4 MB: nobody reads more
REFUSALS = (ValueError, Busy)       # what the link raises for what it does not take, in one line


class Requests:
    """The requests that wait for an answer."""

    def __init__(self, link: Link, people: People, feed: Feed) -> None:
        self.link, self.people, self.feed = link, people, feed
        self._asked: dict[int, Asked] = {}          # by number
        self._repeated = 0                          # messages of this check that were shown before
        self.hears: Hears = {
            wire.Roster: self.on_roster, wire.Checked: self.on_checked, Repeated: self.on_repeated,
            wire.Ignored: self.on_ignored, wire.Inviting: self.on_inviting, wire.Done: self.on_done,
            wire.Failed: self.on_failed, Offline: self.on_lost, OtherStore: self.on_lost,
        }

    @property
    def are_open(self) -> bool:
        """Whether a request waits for its answer."""
        return bool(self._asked)

    # ---- to ask ----

    def ask(self, asked: Asked, ask: Callable[[], int]) -> str:
        """Ask through the link; `ask` gives the number of the request."""
        if not self.link.online:
            return OFFLINE
        try:
            self._asked[ask()] = asked
        except REFUSALS as fault:
            return str(fault)
        return ""

    def take(self, request: int) -> Asked | None:
        """What was asked by this number: the answer has come."""
        return self._asked.pop(request, None)

    def check(self) -> str:
        """Ask for the messages that wait."""
        return self.ask(Asked(Request.CHECK), self.link.ask.check)

    def list_users(self, part: str = "") -> str:
        """Ask who is connected; `part`: of those with this in their names."""
        return self.ask(Asked(Request.USERS, part), self.link.ask.list)

    def list_log(self, part: str = "") -> str:
        """Ask for every name ever used, or for those with this in them."""
        return self.ask(Asked(Request.LOG, part), self.link.ask.list)

    def hold(self, on: bool) -> str:
        """Let new messages wait, or not.  Offline too: the link then answers by itself."""
        self._asked[self.link.ask.hold(on)] = Asked(Request.HOLD if on else Request.UNHOLD)
        return ""

    def ignore(self, name: str, on: bool) -> str:
        """Hear nothing from a user, or hear from them again."""
        to, fault = self.people.resolve([name])
        if fault:
            return fault
        asked = Asked(Request.IGNORE if on else Request.UNIGNORE, to[0])
        return self._can_ignore() or self.ask(asked, lambda: self.link.ask.ignore(to[0], on))

    def list_ignored(self) -> str:
        """Ask whom the user ignores."""
        return self._can_ignore() or self.ask(Asked(Request.IGNORED), self.link.ask.list_ignored)

    def _can_ignore(self) -> str:
        known = not self.link.online or self.link.ask.granted & wire.Feature.IGNORE
        return "" if known else "this daemon does not support /ignore"

    def claim(self, passphrase: str) -> str:
        """Have the user's name kept by a passphrase."""
        return self.ask(Asked(Request.CLAIM), lambda: self.link.ask.claim(passphrase))

    def unclaim(self) -> str:
        """Remove the passphrase of the name."""
        return self.ask(Asked(Request.UNCLAIM), self.link.ask.unclaim)

    # ---- the answers ----

    def on_roster(self, event: wire.Roster) -> None:
        """A page of the log, which is up to date after the last page of an answer."""
        asked = self._asked.get(event.request)
        if asked and event.last:
            del self._asked[event.request]
            self._show(asked.request is Request.LOG, asked.name)

    def _show(self, whole: bool, part: str) -> None:
        here = self.people.here
        names = here.order if whole else [entry.name for entry in here.current]
        if part:
            names = [name for name in names if part.lower() in name.lower()]
            if not names:
                where = "in the log" if whole else "of a current user"
                self.feed.note(f"no name {where} has {display(part)!r} in it")
                return
        elif not whole and not self.people.others(names):
            self.feed.note("No other client.")
            return
        head = counted(len(names), "name" if whole else "current user")
        head += f" with {display(part)!r} in it" if part and len(names) == 1 else ""
        head += f" with {display(part)!r} in them" if part and len(names) > 1 else ""
        head += (" in the log" if whole else "") + ("+" if self.link.roster.is_cut else "")
        some = f"; the first {LISTED_MAX}" if len(names) > LISTED_MAX else ""
        self.feed.show(f"{head}{some}:", [
            (display(entry.name), here.status(entry))
            for entry in map(here.entry, names[:LISTED_MAX])])

    def on_repeated(self, event: Repeated) -> None:
        self._repeated += bool(event.mail.flags & wire.SendFlag.CHECK)

    def on_checked(self, event: wire.Checked) -> None:
        """The end of a check: the messages have arrived already."""
        self._asked.pop(event.request, None)
        old = f"; {self._repeated} of them were shown before" if self._repeated else ""
        self._repeated = 0
        self.feed.note(f"{counted(event.total, 'message')}{old}: no more are waiting" if event.total
                       else "No messages available")
        if event.total:
            self.feed.pane.to_new()

    def on_ignored(self, event: wire.Ignored) -> None:
        self._asked.pop(event.request, None)
        self.feed.note(f"you ignore {listed(event.to)}" if event.to else "you ignore nobody")

    def on_inviting(self, event: wire.Inviting) -> None:
        """The invitation is on its way; invitations.py tells the user."""
        self._asked.pop(event.request, None)

    def on_done(self, event: wire.Done) -> None:
        asked = self._asked.pop(event.request, None)
        if asked and asked.request in DONE:
            waiting = self._waiting() if asked.request is Request.UNHOLD else ""
            self.feed.note(DONE[asked.request].format(name=display(asked.name)) + waiting)

    def _waiting(self) -> str:
        """How to get the messages that came while the user was holding: the next ones overtake
        them."""
        waiting = self.link.waiting if self.link.online else 0
        if not waiting:
            return ""
        return ("; 1 still waits: /check shows it" if waiting == 1 else
                f"; {waiting} still wait: /check shows them")

    def on_failed(self, event: wire.Failed) -> None:
        asked = self._asked.pop(event.request, None)
        if asked:
            words = FAILED[asked.request].format(name=display(asked.name))
            self.feed.note(f"{words}: {display(event.reason)}", "alert")

    def on_lost(self, _: Offline | OtherStore) -> None:
        """The link answers every open request by itself: FAILED."""
        self._repeated = 0
