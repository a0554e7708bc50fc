"""people: the names in the log, as this user says and hears them.

People keeps Here (names.py) in step with the link's roster, knows which name is the user's own,
turns what the user typed into registered names, and remembers which users were heard last, for
completion.  Pure; nothing raises.
"""
from __future__ import annotations

from collections.abc import Sequence

import wire
from client.events import Online
from client.link import Link
from terminal.display import display
from ui.feed import Hears
from ui.names import Here, addressed, log_of, unknown
from ui.words import NOT_YET

HEARD_MAX = 200         # names remembered for completion


class People:
    """The log of names, from the seat of one user."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.heard: dict[str, None] = {}        # names, the most recent last
        self.news: dict[str, int] = {}          # new messages, by conversation (conversations.py)
        self.away: dict[str, str] = {}          # what users say of being away (away.py)
        self._here: Here | None = None
        self.hears: Hears = {Online: self.on_online, wire.Roster: self.on_roster}

    @property
    def here(self) -> Here:
        """The users in the log, and what they are doing."""
        if self._here is None:
            self._here = Here(self.link.roster, self.link.name, self.news, self.heard, self.away,
                              self.link.rooms, self.link.ask.knows)
        return self._here

    def is_me(self, name: str) -> bool:
        """Whether this is the user's own name."""
        return name.lower() == self.link.name.lower()

    def others(self, names: Sequence[str]) -> list[str]:
        """These names without the user's own."""
        return [name for name in names if not self.is_me(name)]

    def called(self, name: str) -> str:
        """A name as it stands in a sentence: `you` for the user's own."""
        return "you" if self.is_me(name) else display(name) or "somebody"

    def beside(self, names: Sequence[str]) -> str:
        """The recipients of a message, as they stand beside it."""
        return addressed([self.called(name) for name in names])

    def resolve(self, names: Sequence[str]) -> tuple[tuple[str, ...], str]:
        """(names as registered, or one room; "") or ((), a fault)."""
        if any(name.startswith(wire.ROOM_SIGN) for name in names):
            return self._resolve_room(names)
        missing = [display(name) for name in names if not self.here.spelled(name)]
        log = self.link.roster
        if missing and not log.is_whole and not len(self.here):
            return (), NOT_YET
        if log.is_cut or not log.is_whole:              # the daemon knows more names
            missing = [name for name in missing if not wire.is_name(name)]
        missing = [name for name in missing if not self.here.knows(name)]
        if missing:
            return (), unknown(missing, self.here.names, log_of(self.link.hides_host),
                               [*map(self.here.spelled, self.here.near)])
        return tuple(dict.fromkeys(self.here.spelled(name) or name for name in names)), ""

    def _resolve_room(self, names: Sequence[str]) -> tuple[tuple[str, ...], str]:
        room = self.link.rooms.own.get(names[0].lower())
        if len(names) > 1:
            return (), "a message to a room has no other recipient: @#ops TEXT"
        if room is None:
            return (), (f"you are not in {display(names[0])}: /join {display(names[0])} if it "
                        "is for you")
        return (room.name,), ""

    def hear(self, name: str) -> None:
        """This user spoke, or was spoken to: completion offers the name first."""
        if not self.is_me(name):
            self.heard.pop(name, None)
            self.heard[name] = None
            if len(self.heard) > HEARD_MAX:
                del self.heard[next(iter(self.heard))]

    def talks_to(self, name: str) -> bool:
        """Whether this user spoke, or was spoken to, lately."""
        return any(name.lower() == other.lower() for other in self.heard)

    def on_online(self, _: Online) -> None:
        """A new connection brings a new log."""
        self._here = None

    def on_roster(self, _: wire.Roster) -> None:
        """Lines of the log are new, or changed."""
        if self._here is not None:
            self._here.update()
