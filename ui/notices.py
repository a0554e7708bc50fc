"""notices: how a user who is elsewhere hears that something happened, and whom they wait for.

The notice of a message says who wrote, never what: others may see the screen.  Pure; nothing
raises.
"""
from __future__ import annotations

import re

import wire
from client.link import Link
from terminal.display import display
from ui.feed import Feed, Hears
from ui.people import People
from ui.wishes import Notify
from ui.words import BAD_NAME
from wire import Presence

BELL, OFF = "bell", "off"
KINDS = (BELL, "osc9", "osc777", OFF)
HOUSE_MAX = 64          # characters of a house in a title: as long as a host's name may be
WAITED_MAX = 100        # names that the user waits for
WORDS = {"message": "a message from {who}", "invitation": "{who} invites you to a chat",
         "here": "{who} is here", "lost": "the connection was lost"}


def login(link: Link) -> str:
    """`alice@lab`; without the house if that is no name of a host: it stands where no bar is."""
    house = link.house
    plain = len(house) <= HOUSE_MAX and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", house)
    return f"{link.name}@{house}" if plain else link.name


class Notices:
    """The kind of notices, and the names that are waited for."""

    def __init__(self, link: Link, people: People, feed: Feed) -> None:
        self.link, self.people, self.feed = link, people, feed
        self.kind = BELL
        self._waited: dict[str, None] = {}      # in lower case
        self.hears: Hears = {wire.Roster: self.on_roster}

    def words(self, notice: Notify) -> tuple[str, str]:
        """The two lines of a notice."""
        text = WORDS[notice.event].format(who=display(notice.who))
        also = f", and {notice.times - 1} more" if notice.times > 1 else ""
        return login(self.link), text + also

    def tell_me(self, name: str) -> str:
        """Say when this user comes, once; a fault, or ""."""
        if not wire.is_name(name):
            return BAD_NAME
        if self._is_here(name):
            self.feed.note(f"{self.people.called(name)} is here already")
        elif len(self._waited) >= WAITED_MAX:
            return f"you wait for {WAITED_MAX} users: /tell-me lists them"
        else:
            self._waited[name.lower()] = None
            known = "" if self.people.here.spelled(name) else " (a name that never came so far)"
            self.feed.note(f"you will hear when {display(name)} comes{known}")
        return ""

    def waits_for(self, key: str) -> bool:
        """Whether the user is told, loudly, when this name in small letters comes."""
        return key in self._waited

    def list(self) -> str:
        """Whom the user waits for."""
        names = ", ".join(sorted(map(display, self._waited)))
        self.feed.note(f"you will hear when these come: {names}" if names
                       else "you wait for nobody; /tell-me bob says when bob comes")
        return ""

    def _is_here(self, name: str) -> bool:
        entry = self.link.roster.present.get(name.lower())
        return entry is not None and entry.state != Presence.AWAY

    def on_roster(self, event: wire.Roster) -> None:
        for entry in event.entries if self._waited else ():
            if entry.name.lower() in self._waited and entry.state != Presence.AWAY:
                del self._waited[entry.name.lower()]
                self.feed.note(f"{display(entry.name)} is here", "alert")
                self.feed.alert("here", entry.name)
