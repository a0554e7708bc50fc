"""requests: what the user asks the daemon, and the words for its answers.

A request has a number; an Asked remembers for each what it was, until the answer comes: DONE, FAILED or one of its own.
Every method that asks gives back a fault, one line for the user, or "" when the request is on its way.  Pure.
"""
from __future__ import annotations

from collections.abc import Callable

import wire
from client.events import Offline, OtherStore, Repeated
from client.link import Link
from client.outbox import Busy
from terminal.display import display
from ui.feed import Feed, Hears
from ui.names import Here, counted, listed
from ui.people import People
from ui.words import DONE, FAILED, OFFLINE, Asked, Wish

REFUSALS = (ValueError, Busy)       # what the link raises, in one line, for what it does not take


class Requests:
    """The questions that wait for an answer."""

    def __init__(self, link: Link, people: People, feed: Feed) -> None:
        self.link, self.people, self.feed = link, people, feed
        self._asked: dict[int, Asked] = {}              # by request
        self._listing: list[wire.Entry] = []            # the answer to LIST as far as it came
        self._repeated = 0                              # of a check: messages that had been shown before
        self.hears: Hears = {
            wire.Roster: self.on_roster, wire.Checked: self.on_checked, Repeated: self.on_repeated,
            wire.Ignored: self.on_ignored, wire.Inviting: self.on_inviting, wire.Done: self.on_done,
            wire.Failed: self.on_failed, Offline: self.on_lost, OtherStore: self.on_lost,
        }

    @property
    def are_open(self) -> bool:
        """Whether answers are awaited."""
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

    def check(self) -> str:
        """Ask for the messages that wait."""
        return self.ask(Asked(Wish.CHECK), self.link.ask.check)

    def list_users(self) -> str:
        """Ask who is connected."""
        return self.ask(Asked(Wish.USERS), self.link.ask.list)

    def list_log(self) -> str:
        """Ask for every name ever used."""
        return self.ask(Asked(Wish.LOG), self.link.ask.list)

    def hold(self, on: bool) -> str:
        """Let new messages wait, or not; offline too: the link then says so itself."""
        self._asked[self.link.ask.hold(on)] = Asked(Wish.HOLD if on else Wish.UNHOLD)
        return ""

    def ignore(self, name: str, on: bool) -> str:
        """Do not hear a user any more, or again."""
        to, fault = self.people.resolve([name])
        if fault:
            return fault
        asked = Asked(Wish.IGNORE if on else Wish.UNIGNORE, to[0])
        return self._can_ignore() or self.ask(asked, lambda: self.link.ask.ignore(to[0], on))

    def list_ignored(self) -> str:
        """Ask whom the user ignores."""
        return self._can_ignore() or self.ask(Asked(Wish.IGNORED), self.link.ask.list_ignored)

    def _can_ignore(self) -> str:
        known = not self.link.online or self.link.ask.granted & wire.Feature.IGNORE
        return "" if known else "this daemon keeps no list of whom one ignores"

    def claim(self, passphrase: str) -> str:
        """Have the user's name kept by a passphrase."""
        return self.ask(Asked(Wish.CLAIM), lambda: self.link.ask.claim(passphrase))

    def unclaim(self) -> str:
        """Let the name go without a passphrase again."""
        return self.ask(Asked(Wish.UNCLAIM), self.link.ask.unclaim)

    # ---- the answers ----

    def on_roster(self, event: wire.Roster) -> None:
        """A page of the log; one that was asked for is shown when the last has come."""
        asked = self._asked.get(event.request)
        if asked:
            self._listing += event.entries
            if event.last:
                del self._asked[event.request]
                self._show(Here(self._listing, self.link.name), asked.wish is Wish.LOG)
                self._listing = []

    def _show(self, here: Here, whole: bool) -> None:
        entries = here.entries if whole else here.current
        if not whole and not self.people.others([entry.name for entry in entries]):
            self.feed.note("No other client.")
            return
        items = [(display(entry.name), here.status(entry)) for entry in entries]
        head = f"{counted(len(items), 'name')} in the log:" if whole else f"{counted(len(items), 'current user')}:"
        self.feed.show(head, items)

    def on_repeated(self, _: Repeated) -> None:
        self._repeated += 1

    def on_checked(self, event: wire.Checked) -> None:
        """The end of a check: the messages have come already."""
        self._asked.pop(event.request, None)
        old = f"; {self._repeated} of them had been shown before" if self._repeated else ""
        self._repeated = 0
        self.feed.note(f"{counted(event.total, 'message')}{old}: nothing more waits" if event.total
                       else "No messages available")
        if event.total:
            self.feed.pane.to_new()

    def on_ignored(self, event: wire.Ignored) -> None:
        self._asked.pop(event.request, None)
        self.feed.note(f"you ignore {listed(event.to)}" if event.to else "you ignore nobody")

    def on_inviting(self, event: wire.Inviting) -> None:
        """The invitation is on its way; invitations.py says so."""
        self._asked.pop(event.request, None)

    def on_done(self, event: wire.Done) -> None:
        asked = self._asked.pop(event.request, None)
        if asked and asked.wish in DONE:
            self.feed.note(DONE[asked.wish].format(name=display(asked.name)))

    def on_failed(self, event: wire.Failed) -> None:
        asked = self._asked.pop(event.request, None)
        if asked:
            self.feed.note(f"{FAILED[asked.wish]}: {display(event.reason)}", "alert")

    def on_lost(self, _: Offline | OtherStore) -> None:
        """What came of an answer is void; the link answers every open request itself: FAILED."""
        self._listing, self._repeated = [], 0
