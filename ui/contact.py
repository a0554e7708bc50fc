"""contact: whether the daemon is there, and what the user hears about it.

The link reports connections that opened, were lost or were refused.  Contact puts that into words,
once for each reason, and keeps what the bar and the menu show of it.  A daemon that stops and comes
back is one row: what it said last is the reason for the loss, and becomes the word that it is back.
Whatever else it said, as why it disconnected this user, stays.  Pure; nothing raises.
"""
from __future__ import annotations

from math import inf

import wire
from client.events import (
    Found,
    Locked,
    NameRefused,
    Offline,
    Online,
    OtherStore,
    Over,
    Remark,
    Unnoted,
)
from client.link import Link
from client.login import TAKE
from terminal.display import display
from ui.entries import Note, clock
from ui.feed import Feed, Hears
from ui.names import counted
from ui.people import People
from wire import Why

PARTING = 10_000_000        # microseconds from a daemon's last word to the loss that it explains


class Contact:
    """The state of the connection, as the user knows it."""

    def __init__(self, link: Link, people: People, feed: Feed) -> None:
        self.link, self.people, self.feed = link, people, feed
        self.over = ""                          # why the link has ended for good
        self.refused = ""                       # why the daemon refused the name
        self.turned_away = ""                   # why the daemon itself hung up, in short
        self.stays_out = False                  # the operator put the user out: nobody dials again
        self._lost = ""                         # the reason last shown for being offline
        self._parting: Note | None = None       # what the daemon said last, or that it is lost
        self._stays = False                     # it is a word to the user, and stays
        self._was_online = False
        self._greeting: str | None = None       # waits for the whole roster
        self._is_open = False                   # say that the name is anybody's
        self._is_cut = False                    # the user knows that the log is not whole
        self.hears: Hears = {
            Online: self.on_online, Found: self.on_found, Offline: self.on_offline,
            OtherStore: self.on_other_store, NameRefused: self.on_name_refused,
            Locked: self.on_locked, Remark: self.on_remark, Unnoted: self.on_remark,
            Over: self.on_over, wire.Roster: self.on_roster, wire.Notice: self.on_notice,
        }

    @property
    def offline(self) -> bool:
        """Whether the last try to reach the daemon failed."""
        return bool(self._lost) and not self.link.online

    def on_online(self, event: Online) -> None:
        self._was_online, self._lost, self.stays_out = True, "", False
        again = " again" if event.again else ""
        run_by = f", run by {display(event.run_by)}," if event.run_by else ""
        whose = ", your own daemon," if self.link.hides_host else run_by
        house, name = display(event.welcome.house), display(event.welcome.name)
        self._greeting = f"connected{again} to {house}{whose} as {name}"
        self._is_open = event.is_open and not event.again
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
        other = "; the host has another: parley --connect host" if self.link.hides_host else ""
        said = f"{self._greeting}: {self.people.here.summary}, {waiting} waiting{other}"
        parting, self._parting, self._greeting = self._parting, None, None
        if (parting is None or self._stays or not self._is_last(parting)
                or not self.feed.revise(parting, said)):
            self.feed.note(said)
        if self._is_open:
            self._is_open = False
            self.feed.note(f"over TCP anybody can be {display(self.link.name)} here until you "
                           "/claim that name", "alert")

    def _is_last(self, note: Note) -> bool:
        return self.feed.pane.after(-1)[0][-1:] == [note]

    def on_found(self, _: Found) -> None:
        """Before the user has a name."""
        if self._lost:
            self.feed.note("a daemon is there now: choose a name")
        self._lost = ""

    def on_offline(self, event: Offline) -> None:
        reason = display(event.reason)
        if self._was_online:
            self.feed.alert("lost", text=reason)
            self._part(reason)
        elif self._parting and event.is_absent:
            self._still_absent(self._parting, reason)
        elif reason != self._lost:
            self._parting = None
            self.feed.note(f"not connected: {reason}", "alert")
        self._lost, self._was_online = reason, False
        self.stays_out = event.retry_in == inf
        self.turned_away = reason.partition(": ")[0] if event.answered else ""

    def _part(self, reason: str) -> None:
        """The connection is lost; if the daemon has just said why, in the same row."""
        said = self._parting
        if (not said or self.feed.now - said.time > PARTING or not self._is_last(said)
                or not self.feed.revise(said, f"connection lost: {said.text}")):
            self._parting = self.feed.note(f"connection lost: {reason}", "alert")
            self._stays = False

    def _still_absent(self, parting: Note, reason: str) -> None:
        """Nobody is there.  That is news, once, if the daemon did not say that it stops."""
        if parting.style == "alert":
            self.feed.revise(parting, f"{parting.text}; not connected: {reason}")

    def on_other_store(self, event: OtherStore) -> None:
        """Another daemon answers, or one with a new store; the menu asks the user what to do."""
        waiting = len(self.link.pending)
        would = (f"; {counted(waiting, 'message')} of yours had no answer and would go to it"
                 if waiting else "")
        self.feed.alert("lost", text=event.reason)
        self.feed.note(f"{display(event.reason)}{would}", "alert")
        self._was_online, self._lost = False, ""

    def on_name_refused(self, event: NameRefused) -> None:
        self.refused, self._lost = display(event.reason), ""     # nobody tries again
        if event.why == Why.YOURS:
            self.refused += f": {TAKE}"

    def on_locked(self, event: Locked) -> None:
        self.refused, self._lost = display(event.reason), ""
        if event.advice:
            self.feed.note(display(event.advice), "alert")

    def on_remark(self, event: Remark | Unnoted) -> None:
        self.feed.note(display(event.text), "alert")

    def on_over(self, event: Over) -> None:
        self.over = display(event.reason)
        if event.at:
            unanswered = len(self.link.pending)
            lost = f"; {counted(unanswered, 'message')} had no answer" if unanswered else ""
            kept = ", and the next session offers them" if lost and self.link.unsent.keeps else ""
            self.over += f" at {clock(event.at)}{lost}{kept}"

    def on_notice(self, event: wire.Notice) -> None:
        house = display(self.link.house or "the daemon")
        self._parting = self.feed.note(f"{house}: {display(event.text)}")
        self._stays = event.text != wire.STOPPING
