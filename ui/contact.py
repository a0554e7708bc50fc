"""contact: whether the daemon is there, and what the user hears about it.

The link reports connections that opened, were lost or were refused.  Contact puts that into words,
once for each reason, and keeps what the bar and the menu show of it.  Pure; nothing raises.
"""
from __future__ import annotations

import wire
from client.events import Locked, NameRefused, Offline, Online, OtherStore, Over, Remark, Unnoted
from client.link import Link
from terminal.display import display
from ui.feed import Feed, Hears
from ui.names import counted
from ui.people import People


class Contact:
    """The state of the connection, as the user knows it."""

    def __init__(self, link: Link, people: People, feed: Feed) -> None:
        self.link, self.people, self.feed = link, people, feed
        self.over = ""                          # why the link has ended for good
        self.refused = ""                       # why the daemon refused the name
        self.turned_away = ""                   # why the daemon itself hung up, in short
        self._lost = ""                         # the reason last shown for being offline
        self._was_online = False
        self._greeting: str | None = None       # waits for the whole roster
        self._is_cut = False                    # the user knows that the log is not whole
        self.hears: Hears = {
            Online: self.on_online, Offline: self.on_offline, OtherStore: self.on_other_store,
            NameRefused: self.on_name_refused, Locked: self.on_locked, Remark: self.on_remark,
            Unnoted: self.on_remark, Over: self.on_over, wire.Roster: self.on_roster,
            wire.Notice: self.on_notice,
        }

    @property
    def offline(self) -> bool:
        """Whether the last try to reach the daemon failed."""
        return bool(self._lost) and not self.link.online

    def on_online(self, event: Online) -> None:
        self._was_online, self._lost = True, ""
        again = " again" if event.again else ""
        run_by = f", run by {display(event.run_by)}," if event.run_by else ""
        house, name = display(event.welcome.house), display(event.welcome.name)
        self._greeting = f"connected{again} to {house}{run_by} as {name}"
        if not event.welcome.features & wire.Feature.ROSTER:
            self._greet()

    def on_roster(self, event: wire.Roster) -> None:
        if self._greeting and event.last and not event.request:
            self._greet()
        if self.link.roster.is_cut and not self._is_cut:
            self._is_cut = True
            self.feed.note(f"the log has more than the {len(self.link.roster)} names that are kept "
                           "here: the others are not listed; messages reach them all the same")

    def _greet(self) -> None:
        waiting = counted(self.link.waiting, "message")
        self.feed.note(f"{self._greeting}: {self.people.here.summary}, {waiting} waiting")
        self._greeting = None

    def on_offline(self, event: Offline) -> None:
        reason = display(event.reason)
        if self._was_online:
            self.feed.alert("lost", text=reason)
            self.feed.note(f"connection lost: {reason}", "alert")
        elif reason != self._lost:
            self.feed.note(f"not connected: {reason}", "alert")
        self._lost, self._was_online = reason, False
        self.turned_away = reason.partition(":")[0] if event.answered else ""

    def on_other_store(self, event: OtherStore) -> None:
        """Another daemon answers, or one with a new store; the menu asks the user what to do."""
        waiting = len(self.link.pending)
        would = (f"; {counted(waiting, 'message')} of yours had no answer and would go to it"
                 if waiting else "")
        self.feed.alert("lost", text=event.reason)
        self.feed.note(f"{display(event.reason)}{would}", "alert")
        self._was_online, self._lost = False, ""

    def on_name_refused(self, event: NameRefused) -> None:
        self.refused = display(event.reason)

    def on_locked(self, event: Locked) -> None:
        self.refused = display(event.reason)
        if event.advice:
            self.feed.note(display(event.advice), "alert")

    def on_remark(self, event: Remark | Unnoted) -> None:
        self.feed.note(display(event.text), "alert")

    def on_over(self, event: Over) -> None:
        self.over = display(event.reason)

    def on_notice(self, event: wire.Notice) -> None:
        self.feed.note(f"{display(self.link.house or 'the daemon')}: {display(event.text)}")
