"""picker: the lists from which a user picks names.

A Picker shows choices, each a name and a word about it, filters them by what the user types, and
knows which choice the cursor is on.  Cursor and marks belong to names: other users may come and go
while the user picks, and the cursor stays on its name; marks also stay on names that the filter
hides.  taken() decides what Enter means; it refuses a text that is neither a choice nor the
beginning of one, and offers the nearest names.  A Pick says what a list is for; the lists that
there are stand at the end.  Pure; nothing raises.
"""
from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

import wire
from terminal.display import display
from ui.names import Here, about, listed, split_names, unknown
from wire import Presence

LISTED_MAX = 10_000     # names listed at once; of a longer log those that fit the text: 15 ms a key
FEW = 4                 # so many available users make 11 groups, half a small screen: all listed


class Choice(NamedTuple):
    """One row of the list."""
    name: str           # what the user types to choose it
    label: str          # what the list shows
    note: str           # a word about it
    gives: tuple[str, ...]      # the names it stands for
    is_near: bool = False       # heard of late, or connected


class Taken(NamedTuple):
    """What Enter means now: these names, or a fault; with neither, the list stays open."""
    names: tuple[str, ...] = ()
    fault: str = ""


class Pick(NamedTuple):
    """What a list is for."""
    title: str
    prompt: str
    verb: str           # what Enter does with the names
    where: str          # for the bar
    choices: Callable[[Here, str], list[Choice]]    # of a long list those that begin with a text
    outside: str        # what a name that is refused is not
    least: int = 1      # so many names, or more
    several: bool = False       # the user marks names
    invites: bool = True        # to a chat; False: the user writes a message to the names
    enters: bool = False        # the conversation with the name


class Picker:
    """The list, its filter, its cursor and its marks."""

    def __init__(self, pick: Pick, here: Callable[[], Here]) -> None:
        self.pick = pick
        self.filter = ""
        self.marked: dict[str, None] = {}
        self.cursor = ""                # a name
        self._here = here
        self.renew()

    def _choices(self, wanted: str) -> list[Choice]:
        return self.pick.choices(self._here(), wanted)

    def renew(self) -> None:
        """The roster has changed: make the list again."""
        self.all = self._choices(self._wanted)
        self.marked = {name: None for name in self.marked if self._find(name)}
        self._sift()

    @property
    def _wanted(self) -> str:
        """The beginning of the name that is being typed, in lower case."""
        return (split_names(self.filter)[-1:] or [""])[0].lower()

    @property
    def total(self) -> str:
        """How many choices there are; `10000+` where no more are listed."""
        return f"{len(self.all)}{'+' * (len(self.all) >= LISTED_MAX)}"

    def _find(self, name: str) -> Choice | None:
        """The choice of this name."""
        found = next((choice for choice in self._choices(name)
                      if choice.name.lower() == name.lower()), None)
        if not found and not self.pick.invites and self._here().knows(name):
            return Choice(name, name, "has not been here yet", (name,))
        return found

    def narrow(self, text: str) -> None:
        """Filter by a text; the cursor goes to the choice that fits best."""
        if text != self.filter:
            before = self._wanted
            self.filter, self.cursor = text, self.cursor if not text else ""
            if len(self.all) >= LISTED_MAX or not self._wanted.startswith(before):
                self.all = self._choices(self._wanted)
            self._sift()

    def _sift(self) -> None:
        self.shown = _filtered(self.all, self._wanted)
        if not self.shown and (newcomer := self._find(self._wanted)):
            self.shown = [newcomer]
        names = [choice.name for choice in self.shown]
        if self.cursor not in names:
            self.cursor = names[0] if names else ""

    def move(self, rows: int) -> None:
        names = [choice.name for choice in self.shown]
        if names:
            self.cursor = names[min(len(names) - 1, max(0, names.index(self.cursor) + rows))]

    def toggle(self) -> None:
        """Mark the choice at the cursor, or unmark it."""
        if self.cursor in self.marked:
            del self.marked[self.cursor]
        elif self.cursor:
            self.marked[self.cursor] = None

    def taken(self, strict: bool = False) -> Taken:
        """What Enter means.  `strict`: only whole names count; the user cannot see the cursor."""
        typed = split_names(self.filter)
        known = {name.lower(): choice for name in (*self.marked, *typed)
                 if (choice := self._find(name))}
        missing = [name for name in typed if name.lower() not in known]
        if exact := self._named(typed):
            return self._enough([exact], strict)
        if missing and (strict or not self.shown or len(typed) > 1):
            known_names = [choice.name for choice in self.all]
            return Taken(fault=unknown(missing, known_names, self.pick.outside))
        if missing and self.pick.several:
            self.marked[self.cursor] = None     # the beginning of a name: mark it, and go on
            return Taken()
        chosen = [known[name.lower()] for name in (*self.marked, *typed) if name not in missing]
        if missing or not (chosen or self.pick.several or strict):
            chosen = [choice for choice in self.shown if choice.name == self.cursor]
        return self._enough(chosen, strict)

    def _named(self, typed: list[str]) -> Choice | None:
        """The group of exactly these names, in a list of groups."""
        wanted = sorted({name.lower() for name in typed})
        return next((choice for choice in self.all if len(choice.gives) > 1
                     and sorted(name.lower() for name in choice.gives) == wanted), None)

    def _enough(self, chosen: list[Choice], strict: bool) -> Taken:
        names = tuple(dict.fromkeys(name for choice in chosen for name in choice.gives))
        if len(chosen) > 1 and not self.pick.several:
            return Taken(fault="one name only: type one from the list")
        if len(names) < self.pick.least:
            if not self.pick.several:
                return Taken(fault="type a name from the list")
            if strict:
                return Taken(fault=f"type at least {self.pick.least}, as in bob,erin")
            need = f"mark at least {self.pick.least}" if names else "nobody is marked yet"
            return Taken(fault=f"{need}: Space marks the name at >")
        return Taken(names)


def _filtered(choices: list[Choice], wanted: str) -> list[Choice]:
    """The choices that hold the text: that name itself, then users heard of late or connected, then
    the others; of each, first those that begin with it."""
    if not wanted:
        return choices
    found = [choice for choice in choices if wanted in choice.label.lower()]
    return sorted(found, key=lambda choice: (
        choice.name.lower() != wanted, not choice.is_near,
        not choice.name.lower().startswith(wanted)))


# ---- the lists there are ----

def everybody(here: Here, wanted: str = "") -> list[Choice]:
    """All names in the log, or of a long log those that begin with a text: first the senders of
    what is new, then users heard of late, then the connected; the user's own last."""
    near, names = here.near, here.order
    if len(here) > LISTED_MAX:
        near = [name for name in near if wanted in name]
        names = [*map(str.lower, here.beginning(wanted, LISTED_MAX))]
    ahead = {name for name in near if name not in here.news}
    rows = [Choice(entry.name, display(entry.name), _becomes(entry, here), (entry.name,),
                   entry.name.lower() in ahead or entry.name.lower() in here.news)
            for entry in map(here.entry, dict.fromkeys([*near, *names]))
            if entry.name.lower() != here.me]
    if here.news:
        rows.sort(key=lambda row: row.name.lower() not in here.news)
    me = here.spelled(here.me)
    return [*rows, Choice(me, display(me), "yourself: a note", (me,))] if me else rows


def everywhere(here: Here, wanted: str = "") -> list[Choice]:
    """The same with the user's rooms: first where something is new, then where the user wrote or
    heard somebody last, then the other rooms and users."""
    lately = {name.lower(): number for number, name in enumerate(reversed(here.heard))}
    rooms = [Choice(room.name, display(room.name), _new(room.name, here) + about(room),
                    (room.name,), room.name.lower() in {*lately, *here.news})
             for room in here.rooms]
    return sorted(rooms + everybody(here, wanted), key=lambda choice: (
        choice.name.lower() not in here.news, lately.get(choice.name.lower(), len(lately))))


def _new(name: str, here: Here) -> str:
    """`2 new; `, if there is something new."""
    new = here.news.get(name.lower(), 0)
    return f"{new} new; " if new else ""


def _becomes(entry: wire.Entry, here: Here) -> str:
    """What is new from this user, and what becomes of a message to them."""
    return _new(entry.name, here) + _state(entry, here) + here.says(entry.name)


def _state(entry: wire.Entry, here: Here) -> str:
    if entry.state == Presence.AWAY:
        return "not connected: kept in the mailbox"
    if entry.holding:
        return "holding messages: kept in the mailbox"
    return f"chatting with {here.partners(entry)}" if entry.state == Presence.BUSY else "available"


def available(here: Here, wanted: str = "") -> list[Choice]:
    """The users who can be invited."""
    return [Choice(name, display(name), "available" + here.says(name), (name,))
            for name in here.available]


def groups(here: Here, wanted: str = "") -> list[Choice]:
    """All groups of two or more available users, smaller ones first, numbered."""
    names = here.available[:FEW]
    sets = [group for size in range(2, len(names) + 1) for group in combinations(names, size)]
    return [Choice(str(number), f"{number}. {listed(group)}", "", group)
            for number, group in enumerate(sets, 1)]


LOG = ""                # what unknown() takes for the log
TO_ONE = Pick(
    "send to one: who gets it", "to>", "writes to it", "send", everywhere, LOG, invites=False)
TO_SEVERAL = Pick(
    "send to several: mark who gets it", "who>", "writes to the marked", "send", everybody, LOG,
    several=True, invites=False)
TO_TALK = Pick(
    "with: whom to talk with", "with>", "opens the conversation", "with", everywhere, LOG,
    invites=False, enters=True)
TO_CHAT = Pick(
    "chat: the users who are available", "chat with>", "invites", "chat", available, "available")
TO_GROUP = Pick(
    "group chat: all possible groups; names do too: bob,erin", "group>", "invites them",
    "group chat", groups, "one of these groups")
TO_SOME = Pick(
    "group chat: mark whom to invite", "who>", "invites the marked", "group chat", available,
    "available", least=2, several=True)
