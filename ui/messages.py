"""messages: what the user sends, with its marks, and what others send.

Every message of the user's own is shown at once; only the daemon's answers change its mark.  A
message to many recipients has many answers, each for a range of ids.  A message of another user
stays in `unshown` until the loop has painted or printed it, and confirms it then.  The pane makes
texts safe.  Pure.
"""
from __future__ import annotations

import re
from collections.abc import Sequence

import wire
from client.history import Sent
from client.link import Link
from terminal.display import display
from ui.entries import DELIVERED, REFUSED, SENT, STORED, Said, Settled, name_style
from ui.feed import Feed, Hears
from ui.past import said
from ui.people import People
from ui.requests import REFUSALS
from ui.words import ALONE, OUTCOMES, outcome_of
from wire import Outcome, SendFlag

EVERYONE_MAX = 1000     # recipients of a message to everyone that are counted off: 64 KB a message
OWN_MAX = 10_000        # own messages whose marks may still change: as many as the pane holds


class OwnMessage:
    """A message of the user's own whose mark may still change."""

    def __init__(self, entry: Said, unstored: set[int], to: set[str]) -> None:
        self.entry = entry
        self.unstored = unstored    # its ids that are not on the daemon's disk yet
        self.to = to                # the recipients who have not seen it yet, in lower case


class Messages:
    """Messages in both directions."""

    def __init__(self, link: Link, people: People, feed: Feed) -> None:
        self.link, self.people, self.feed = link, people, feed
        self.unshown: list[wire.Mail] = []      # in the pane, and not painted yet
        self._own: dict[int, OwnMessage] = {}          # by id
        self.hears: Hears = {
            wire.Stored: self.on_stored, wire.Outcomes: self.on_outcomes,
            wire.Delivered: self.on_delivered, wire.Refused: self.on_refused,
            wire.Mail: self.on_mail,
        }

    def take_unshown(self) -> list[wire.Mail]:
        """The messages to confirm once they are painted."""
        mails, self.unshown = self.unshown, []
        return mails

    # ---- the user's own ----

    def send(self, to: Sequence[str], text: str, flags: int = 0) -> str:
        """Send to these names, or with EVERYONE to all; a fault, or ""."""
        flaw = wire.flaw(text)
        if flaw:
            return flaw[1]
        everyone = bool(flags & SendFlag.EVERYONE)
        here = self.people.here
        names = list(to)
        if here.is_alone if everyone else not names:
            return ALONE
        shown = "all" if everyone else self.people.beside(names)
        style = name_style(names[0]) if len(names) == 1 else ""
        try:
            ids = self.link.send(() if everyone else tuple(to), text, flags)
        except REFUSALS as fault:
            return str(fault)
        entry = Said(self.feed.now, text, "you", shown, SENT, style=style, others=tuple(names))
        self.feed.add_own(entry)
        unseen = self._everyone() if everyone else {name.lower() for name in names}
        self._remember(ids, OwnMessage(entry, set(ids), unseen))
        for name in reversed(names):
            self.people.hear(name)
        return ""

    def on_the_way(self, send: Sent) -> None:
        """A message of an earlier session leaves again."""
        entry = said(send._replace(time=self.feed.now), self.link.name)
        self.feed.add_own(entry)
        unseen = {name.lower() for name in send.to} if send.to else self._everyone()
        self._remember([send.id], OwnMessage(entry, {send.id}, unseen))

    def _everyone(self) -> set[str]:
        """Those who are to see a message to everyone; of a long log all will never have seen it."""
        here = self.people.here
        return set(here.order) - {here.me} if len(here) <= EVERYONE_MAX else {""}

    def _remember(self, ids: Sequence[int], own: OwnMessage) -> None:
        self._own.update((number, own) for number in ids)
        while len(self._own) > OWN_MAX:
            del self._own[next(iter(self._own))]

    def on_stored(self, event: wire.Stored) -> None:
        for number, own in self._between(event.first, event.last):
            own.unstored.discard(number)
            self._settle(own)

    def on_outcomes(self, event: wire.Outcomes) -> None:
        """What became of a message for the recipients who are not reading now."""
        if event.outcome not in OUTCOMES:
            return
        told = outcome_of(event.to, event.outcome)
        lost = False
        for number, own in self._between(event.first, event.last):
            if event.outcome in (Outcome.ABSENT, Outcome.FULL):
                own.to -= {name.lower() for name in event.to}
                own.unstored.discard(number)
                lost = not own.to
                if lost:
                    self._mark(own.entry, REFUSED, told)
                else:
                    self._settle(own)
        if not lost:
            self.feed.note(told)

    def on_delivered(self, event: wire.Delivered) -> None:
        for _, own in self._between(event.first, event.last):
            if event.by.lower() in own.to:
                own.to.discard(event.by.lower())
                self._settle(own)

    def on_refused(self, event: wire.Refused) -> None:
        own = self._own.pop(event.id, None)
        if own:
            self._mark(own.entry, REFUSED, display(event.reason))

    def _between(self, first: int, last: int) -> list[tuple[int, OwnMessage]]:
        if last - first < len(self._own):
            return [(number, self._own[number]) for number in range(first, last + 1)
                    if number in self._own]
        return [(number, own) for number, own in self._own.items() if first <= number <= last]

    def _settle(self, own: OwnMessage) -> None:
        if not own.unstored:
            self._mark(own.entry, STORED if own.to else DELIVERED)

    def _mark(self, entry: Said, mark: str, reason: str = "") -> None:
        if entry.mark not in (mark, DELIVERED, REFUSED):
            if mark == DELIVERED and entry.mark == SENT:
                self.feed.settle(Settled(entry, STORED))    # it is, but the reader was faster
            entry.mark, entry.reason = mark, reason
            self.feed.settle(Settled(entry, mark, reason))

    # ---- of others ----

    def last_received(self, several: bool = False) -> Said | None:
        """The last message of another user that is in view, or above; `several`: that had several
        recipients."""
        found = self.feed.pane.newest(
            lambda entry: isinstance(entry, Said) and bool(entry.others) and entry.sender != "you"
            and (not several or len(entry.others) > 1 or entry.is_vague))
        return found if isinstance(found, Said) else None

    def on_mail(self, event: wire.Mail) -> None:
        everyone, checked = event.flags & SendFlag.EVERYONE, event.flags & SendFlag.CHECK
        self.feed.add(said(event, self.link.name), bool(checked))
        self.unshown.append(event)
        self.people.hear(event.sender)
        if event.to and wire.is_room(event.to[0]):
            self.people.hear(event.to[0])
        if not everyone and not checked and self._is_for_me(event):
            self.feed.alert("message", event.sender, event.text)

    def _is_for_me(self, mail: wire.Mail) -> bool:
        """Whether a message is to the user: a line in a room is, if it names the user."""
        if not mail.to or not wire.is_room(mail.to[0]):
            return True
        name = re.escape(self.link.name)
        return re.search(rf"(?<![\w.-]){name}(?![\w-])", mail.text, re.IGNORECASE) is not None
