"""conversations: what is said with one person or in one room, and what is new in each.

A conversation is a place where the user can be: the lines that they type go there, and with /with
the screen shows nothing else.  Its key is a name, or a room's, in small letters.  At most one is
open.  Messages that are not on the screen are counted by their senders, or by room; so are all that
come while nobody looks.  Of people that the user talks to, coming and going is told, in their
conversations and where everything is shown, without a notice.

A message to several is in the conversation of each of them.  Lines of chats, and what the client
itself says, are no conversation's: they are shown wherever the user is.  Pure; nothing raises.
"""
from __future__ import annotations

from collections.abc import Callable

import wire
from client.events import Online
from client.link import Link
from terminal.display import display
from ui.entries import Entry, Note, Said
from ui.feed import Feed, Hears
from ui.notices import Notices
from ui.people import People
from wire import Presence

NAMED = 3               # conversations with something new that the bar names
NEWS_MAX = 10_000       # and that are counted at all: as many as the pane has entries
DRAFTS_MAX = 100        # conversations whose unfinished texts are kept


class Conversations:
    """Which one is open, and how much is new in the others."""

    def __init__(self, link: Link, people: People, feed: Feed, notices: Notices) -> None:
        self.link, self.people, self.feed, self.notices = link, people, feed, notices
        self.open = ""                          # the name, or the room; "": none
        self.alone = ""                         # its key, if the screen shows nothing else
        self.filters = True                     # the screen can do so
        self.left: Callable[[], None] = lambda: None    # what to do when one is left
        self.news = people.news                 # how many are new, by key, the oldest first
        self.drafts: dict[str, str] = {}        # unfinished texts, by key
        self._present: set[str] | None = None   # who is connected; None: not known yet
        self.hears: Hears = {
            Online: self.on_online, wire.Mail: self.on_mail, wire.Roster: self.on_roster}

    # ---- coming and going of the user ----

    def enter(self, name: str, alone: bool = False) -> str:
        """Open the conversation with this user, or in this room; `alone`: and show nothing else.
        The text that was begun there."""
        key = name.lower()
        if key != self.open.lower():
            self.leave()
        self.open = name
        if alone and self.filters and not self.alone:
            self.alone = self.feed.place = key
            self.feed.pane.only(lambda entry: belongs(entry, key))
        self.news.pop(key, None)
        return self.drafts.pop(key, "")

    def keep(self, draft: str) -> None:
        """Keep the text that the user has begun in the open one."""
        self.begun(self.open, draft)

    def begun(self, name: str, draft: str) -> None:
        """Keep a text that the user has begun in this one."""
        if draft.strip():
            self.drafts[name.lower()] = draft
            if len(self.drafts) > DRAFTS_MAX:
                del self.drafts[next(iter(self.drafts))]

    def leave(self) -> None:
        """Close it."""
        self.open = ""
        if self.alone:
            self.alone = self.feed.place = ""
            self.left()
            self.feed.pane.only(None)

    # ---- what is new ----

    def looked(self) -> None:
        """The user looks at the end of what is shown."""
        if self.alone:
            self.news.pop(self.alone, None)
        else:
            self.news.clear()

    @property
    def next(self) -> str:
        """The conversation, other than the open one, in which something is new for longest."""
        key = next((key for key in self.news if key != self.open.lower()), "")
        return self.people.here.spelled(key) or key

    @property
    def summary(self) -> str:
        """`carol 2, #ops 5`, for the bar."""
        keys = [key for key in self.news if key != self.open.lower()]
        more = f" +{len(keys) - NAMED}" if len(keys) > NAMED else ""
        return ", ".join(f"{display(self.people.here.spelled(key) or key)} {self.news[key]}"
                         for key in keys[:NAMED]) + more

    def on_mail(self, event: wire.Mail) -> None:
        """A message that is not on the screen, or at which nobody looks, is new."""
        in_room = bool(event.to) and wire.is_room(event.to[0])
        key = (event.to[0] if in_room else event.sender).lower()
        names = {key, *map(str.lower, event.to)}
        hidden = self.alone and self.alone not in names
        if key == self.link.name.lower() or not (hidden or not self.feed.seen):
            return
        if key in self.news or len(self.news) < NEWS_MAX:
            self.news[key] = self.news.get(key, 0) + 1

    # ---- coming and going of others ----

    def on_online(self, _: Online) -> None:
        """A new connection: who is there now was not seen to come."""
        self._present = None

    def on_roster(self, event: wire.Roster) -> None:
        if self._present is None:
            if event.last and not event.request:
                self._present = set(self.link.roster.present)
            return
        for entry in event.entries:
            key, is_here = entry.name.lower(), entry.state != Presence.AWAY
            if is_here == (key in self._present):
                continue
            (self._present.add if is_here else self._present.discard)(key)
            if self.people.talks_to(entry.name) and not self.notices.waits_for(key):
                self._tell(entry.name, "is here" if is_here else "has gone")

    def _tell(self, name: str, what: str) -> None:
        note = Note(self.feed.now, f"{display(name)} {what}", "hint")
        note.place = name.lower()
        self.feed.pane.add(note)


def belongs(entry: Entry, key: str) -> bool:
    """Whether an entry is shown while this conversation is open."""
    if isinstance(entry, Said):
        return entry.place == key or any(name.lower() == key for name in entry.others)
    return entry.place is None or entry.place == key
