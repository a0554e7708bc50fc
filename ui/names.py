"""names: the log of names as a user sees it, and the names that a user types.

Here is the roster as it is now: which users are connected, who may be invited, who chats with whom,
in the words of the specifications.  The functions put names into sentences, and find the name that
a mistyped one was meant to be.  Names are made safe where they become part of a sentence.  Pure; it
never raises, except Here.entry().
"""
from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property

import wire
from client.known import Known
from client.rooms import Rooms
from terminal.display import display
from ui.entries import clock
from wire import Presence

NAMED = 5               # names in a sentence; more are counted
HEAD_NAMES = 24         # characters of recipients in a prompt; more are counted
NEAREST_OF = 2_000      # names compared in full: difflib takes 20 ms; a log may have a million


class Here:
    """The users in the log, and what they do.

    update() is called after each change of the log."""

    def __init__(self, log: Known, me: str, news: Mapping[str, int] | None = None,
                 heard: dict[str, None] | None = None,
                 away: dict[str, str] | None = None,
                 rooms: Rooms | None = None,
                 knows: Callable[[str], bool] = lambda name: False) -> None:
        """By name in small letters, `news`: how many messages are new, and `away`: what the user
        says of being away.  `heard`: to whom the user wrote, or whom they heard, the most recent
        last.  `knows`: whether a name that is not in the log may be written to."""
        self.heard = {} if heard is None else heard
        self.me = me.lower()
        self._rooms = rooms or Rooms()
        self.knows = knows
        self.news = {} if news is None else news
        self.away = {} if away is None else away
        self._log = log
        self.entry, self.beginning = log.entry, log.beginning

    def update(self) -> None:
        """The log has changed."""
        for cached in ("current", "busy", "_chats"):
            vars(self).pop(cached, None)

    def spelled(self, name: str) -> str:
        """The name, or room, as it was first written; "" if it is not known."""
        return self._log.spelled(name) or self._rooms.spelled(name)

    @property
    def rooms(self) -> list[wire.RoomEntry]:
        """The user's rooms, as they were told last."""
        listed = self._rooms.listed
        return [listed.get(key, room) for key, room in sorted(self._rooms.own.items())]

    # ---- the log ----

    def __len__(self) -> int:
        """How many names are in the log."""
        return len(self._log)

    @property
    def order(self) -> list[str]:
        """All names in lower case, sorted."""
        return self._log.order

    @property
    def is_alone(self) -> bool:
        """Whether the log has no other name than the user's."""
        return len(self._log) <= (self.me in self._log)

    @property
    def names(self) -> list[str]:
        """All names; slow for a long log."""
        return [self.spelled(name) for name in self.order]

    # ---- connected users ----

    @cached_property
    def current(self) -> list[wire.Entry]:
        """The connected users, this one among them."""
        present = self._log.present
        return [present[name] for name in sorted(present)]

    @property
    def near(self) -> list[str]:
        """The names, in small letters, that the user means most likely: those heard last, then the
        others that are connected.  No rooms: the user may have written to one."""
        heard = [name for name in map(str.lower, reversed(self.heard)) if name in self._log]
        return [name for name in dict.fromkeys([*heard, *sorted(self._log.present)])
                if name != self.me]

    @property
    def available(self) -> list[str]:
        """The users who may be invited."""
        return [entry.name for entry in self.current
                if entry.state == Presence.AVAILABLE and entry.name.lower() != self.me]

    @cached_property
    def busy(self) -> int:
        """How many connected users are in a chat."""
        return sum(entry.state == Presence.BUSY for entry in self._log.present.values())

    @property
    def summary(self) -> str:
        """`4 online, 1 busy`."""
        return f"{len(self._log.present)} online" + (f", {self.busy} busy" if self.busy else "")

    @cached_property
    def _chats(self) -> dict[int, list[str]]:
        chats: dict[int, list[str]] = {}
        for entry in self.current:
            chats.setdefault(entry.chat, []).append(entry.name)
        return chats

    def partners(self, entry: wire.Entry) -> str:
        """The other users in the same chat."""
        names = self._chats.get(entry.chat, []) if entry.chat else []
        return listed([name for name in names if name != entry.name]) or "somebody"

    def status(self, entry: wire.Entry) -> str:
        """`Available`, `Chatting with NAME[, NAME]`, or since when the user is not connected."""
        away = self.says(entry.name)
        if entry.state == Presence.AWAY:
            if not entry.since:
                return "has not been here yet"
            return f"not connected since {clock(entry.since, '%-d %b %Y %H:%M')}{away}"
        said = "Available"
        if entry.state == Presence.BUSY:
            said = f"Chatting with {self.partners(entry)}"
        holding = ", holding" if entry.holding else ""
        return said + holding + (" (you)" if entry.name.lower() == self.me else "") + away

    def says(self, name: str) -> str:
        """`; away: TEXT`, if this user says so."""
        text = self.away.get(name.lower(), "")
        return f"; away: {text}" if text else ""


def about(room: wire.RoomEntry) -> str:
    """`3 of 5 here: bay 3`."""
    topic = f": {display(room.topic)}" if room.topic else ""
    return f"{room.here} of {room.members} here{topic}"


def listed(names: Sequence[str], most: int = 1000) -> str:
    """`bob, carol and 3 others`."""
    if len(names) <= most:
        return ", ".join(map(display, names))
    return f"{', '.join(map(display, names[:most]))} and {len(names) - most} others"


def counted(number: int, what: str, none: str = "no") -> str:
    """`1 message`, `2 messages`, `no messages`."""
    return f"{number or none} {what}{'' if number == 1 else 's'}"


def recipients(names: Sequence[str]) -> str:
    """Recipients in a prompt: their names, or the first of them and how many more."""
    shown = ""
    for at, name in enumerate(names):
        if at and len(shown) + len(name) > HEAD_NAMES:
            return f"{shown} +{len(names) - at}"
        shown += f", {name}" if at else name
    return shown


def addressed(names: Sequence[str]) -> str:
    """All recipients of a message, or many of them; the entry cuts them where there is no room."""
    more = f" +{len(names) - wire.ADDRESSED_MAX}" if len(names) > wire.ADDRESSED_MAX else ""
    return ", ".join(names[:wire.ADDRESSED_MAX]) + more


def nearest(name: str, names: Iterable[str], most: int = 3, first: Sequence[str] = ()) -> list[str]:
    """The names most like this one, the best first; case does not matter.  `first`: names that are
    meant more likely; one of them, the most like it, comes before all others."""
    import difflib  # half a millisecond of a start, and mostly no name is mistyped

    wanted = name.lower()
    if first:
        holding = [other for other in first if wanted and wanted in other.lower()]
        likely = difflib.get_close_matches(name, holding, 1, 0) or nearest(name, first, 1)
        return [*dict.fromkeys([*likely, *nearest(name, names, most)])][:most]
    known = {other.lower(): other for other in names}
    near = [other for other in known
            if wanted and (other.startswith(wanted) or wanted.startswith(other))]
    close = difflib.get_close_matches(wanted, near or _likely(wanted, known), most, 0.5)
    return [known[other] for other in close]


def _likely(wanted: str, known: Iterable[str]) -> list[str]:
    """At most NEAREST_OF names; those with the same first letter come first."""
    return sorted(known, key=lambda other: other[:1] != wanted[:1])[:NEAREST_OF]


def unknown(names: Sequence[str], known: Iterable[str], where: str, first: Sequence[str] = ()
            ) -> str:
    """The complaint about names that are not among the known ones; `where` they are not, or "": in
    the log.  `first`: see nearest()."""
    near = list(dict.fromkeys(other for name in names
                              for other in nearest(name, known, first=first)))
    ask = f": did you mean {' or '.join(near)}?" if near else ""
    if not where:
        return f"nobody named {' or '.join(names)} has ever been here{ask}"
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} not {where}{ask}"


def log_of(hides_host: bool) -> str:
    """Where a name is not, for unknown(); `hides_host`: the user may think of the log of another
    daemon."""
    return ("in the log of your own daemon (parley --connect host asks the host's)" if hides_host
            else "")


ONE_WORD = "names are one word, with commas and no blanks between them: bob,erin"


def addressees(text: str) -> tuple[list[str], str | None]:
    """The names at the beginning of `bob,erin TEXT`, and TEXT; None if not even a blank follows.

    This is the rule wherever names are typed before a text or behind a command: the names are one
    word, with commas between them, and the first blank ends them.  So `bob, carol is leaving us` is
    a text for bob alone.  Further blanks are dropped, except before several lines: a paste keeps
    its indent.  A comma too many (`bob,` `bob,,erin`) names nobody."""
    found = re.fullmatch(r"\s*(\S*)(?:\s(.*))?", text, re.DOTALL)
    assert found is not None            # the pattern matches every string
    rest = found[2]
    if rest is not None and "\n" not in rest:
        rest = rest.lstrip()
    return [name for name in found[1].split(",") if name], rest


def only_names(text: str) -> tuple[list[str], str]:
    """The names behind a command that takes no text; or the fault, if more than names follows."""
    names, rest = addressees(text)
    return ([], ONE_WORD) if rest and rest.strip() else (names, "")


def split_names(text: str) -> list[str]:
    """The names typed into a list of names: nothing but names can stand there, so blanks separate
    them too."""
    return text.replace(",", " ").split()
