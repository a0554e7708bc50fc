"""picker: the list in which a user marks names.

A Picker shows choices, each a name and a word about it, filters them by what is typed, and knows which one the cursor
is on.  It is anchored by name: others may come and go while somebody picks, and the cursor stays on who it was on.
Marks stay on names that the filter hides.  taken() decides what Enter means; a text that is neither a choice nor the
beginning of one is refused with the nearest names.  Pure; it never raises.
"""
from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

import wire
from terminal.display import display
from ui.names import Here, listed, split_names, unknown
from wire import Presence

LISTED_MAX = 10_000     # names of a long log listed at once, of those that begin with what is typed: 15 ms a key
FEW = 4                 # available users whose groups are all listed: 11 groups, half a small screen


class Choice(NamedTuple):
    """One row of the list."""
    name: str           # what is typed to choose it
    label: str          # what the list shows
    note: str           # a word about it
    gives: tuple[str, ...]      # the names it stands for


class Taken(NamedTuple):
    """What Enter means now: these names, or a complaint; neither: the list goes on."""
    names: tuple[str, ...] = ()
    fault: str = ""


class Pick(NamedTuple):
    """What a list is for."""
    title: str
    prompt: str
    verb: str           # what Enter does with the names
    where: str          # for the bar
    choices: Callable[[Here, str], list[Choice]]    # of a long list, those that begin with a text
    outside: str        # what a refused name is not
    least: int = 1      # how many names it takes
    several: bool = False       # names are marked
    invites: bool = True        # the names are invited to a chat; else a message is written to them


class Picker:
    """The list, its filter, its cursor and its marks."""

    def __init__(self, pick: Pick, here: Callable[[], Here]) -> None:
        self.pick = pick
        self.filter = ""
        self.marked: dict[str, None] = {}
        self.cursor = ""                # the name it is on
        self._here = here
        self.renew()

    def _choices(self, wanted: str) -> list[Choice]:
        return self.pick.choices(self._here(), wanted)

    def renew(self) -> None:
        """The roster changed: look again."""
        self.all = self._choices(self._wanted)
        self.marked = {name: None for name in self.marked if self._find(name)}
        self._sift()

    @property
    def _wanted(self) -> str:
        """What the name begins with that is being typed."""
        return (split_names(self.filter)[-1:] or [""])[0].lower()

    @property
    def total(self) -> str:
        """How many there are to choose from, `10000+` where only so many are listed."""
        return f"{len(self.all)}{'+' * (len(self.all) >= LISTED_MAX)}"

    def _find(self, name: str) -> Choice | None:
        """The choice of this name."""
        return next((choice for choice in self._choices(name) if choice.name.lower() == name.lower()), None)

    def narrow(self, text: str) -> None:
        """Filter by a text; the cursor goes to what fits best."""
        if text != self.filter:
            before = self._wanted
            self.filter, self.cursor = text, self.cursor if not text else ""
            if len(self.all) >= LISTED_MAX or not self._wanted.startswith(before):
                self.all = self._choices(self._wanted)
            self._sift()

    def _sift(self) -> None:
        self.shown = _filtered(self.all, self._wanted)
        names = [choice.name for choice in self.shown]
        if self.cursor not in names:
            self.cursor = names[0] if names else ""

    def move(self, rows: int) -> None:
        names = [choice.name for choice in self.shown]
        if names:
            self.cursor = names[min(len(names) - 1, max(0, names.index(self.cursor) + rows))]

    def toggle(self) -> None:
        """Mark what the cursor is on, or unmark it."""
        if self.cursor in self.marked:
            del self.marked[self.cursor]
        elif self.cursor:
            self.marked[self.cursor] = None

    def taken(self, strict: bool = False) -> Taken:
        """What Enter means; when strict, only a whole name counts, for one who can't see the cursor."""
        typed = split_names(self.filter)
        known = {name.lower(): choice for name in (*self.marked, *typed) if (choice := self._find(name))}
        missing = [name for name in typed if name.lower() not in known]
        if exact := self._named(typed):
            return self._enough([exact])
        if missing and (strict or not self.shown or len(typed) > 1):
            return Taken(fault=unknown(missing, [choice.name for choice in self.all], self.pick.outside))
        if missing and self.pick.several:
            self.marked[self.cursor] = None     # a beginning of a name: mark it, and go on asking
            return Taken()
        chosen = [known[name.lower()] for name in (*self.marked, *typed) if name not in missing]
        if missing or not (chosen or self.pick.several or strict):
            chosen = [choice for choice in self.shown if choice.name == self.cursor]
        return self._enough(chosen)

    def _named(self, typed: list[str]) -> Choice | None:
        """The choice that stands for just these names, where choices stand for several."""
        wanted = sorted({name.lower() for name in typed})
        return next((choice for choice in self.all if len(choice.gives) > 1
                     and sorted(name.lower() for name in choice.gives) == wanted), None)

    def _enough(self, chosen: list[Choice]) -> Taken:
        names = tuple(dict.fromkeys(name for choice in chosen for name in choice.gives))
        if len(chosen) > 1 and not self.pick.several:
            return Taken(fault="one at a time: type one name of the list")
        if len(names) < self.pick.least:
            need = "nobody is marked yet" if not names else f"mark {self.pick.least} at least"
            return Taken(fault=f"{need}: Space marks the one at >" if self.pick.several else "type a name of the list")
        return Taken(names)


def _filtered(choices: list[Choice], wanted: str) -> list[Choice]:
    """Those that begin with the text, then those that hold it."""
    if not wanted:
        return choices
    begin = [choice for choice in choices if choice.name.lower().startswith(wanted)]
    return begin + [choice for choice in choices
                    if wanted in choice.label.lower() and not choice.name.lower().startswith(wanted)]


# ---- the lists there are ----

def everybody(here: Here, wanted: str = "") -> list[Choice]:
    """All names of the log, or of a long one some that begin with a text; oneself last: a note to oneself."""
    names = here.order if len(here) <= LISTED_MAX else here.beginning(wanted, LISTED_MAX)
    rows = [Choice(entry.name, display(entry.name), _becomes(entry, here), (entry.name,))
            for entry in map(here.entry, names) if entry.name.lower() != here.me]
    me = here.spelled(here.me)
    return [*rows, Choice(me, display(me), "yourself: a note", (me,))] if me else rows


def _becomes(entry: wire.Entry, here: Here) -> str:
    """What becomes of a message to this one."""
    if entry.state == Presence.AWAY:
        return "not connected: kept in the mailbox"
    if entry.holding:
        return "holding: waits in the mailbox until checked"
    return f"chatting with {here.partners(entry)}" if entry.state == Presence.BUSY else "available"


def available(here: Here, wanted: str = "") -> list[Choice]:
    """Whom one may invite."""
    return [Choice(name, display(name), "available", (name,)) for name in here.available]


def groups(here: Here, wanted: str = "") -> list[Choice]:
    """Every group of two or more of the available, smaller ones first, numbered."""
    names = here.available[:FEW]
    sets = [group for size in range(2, len(names) + 1) for group in combinations(names, size)]
    return [Choice(str(number), f"{number}. {listed(group)}", "", group) for number, group in enumerate(sets, 1)]


LOG = "in the log"
TO_ONE = Pick("send to one: who gets it", "to>", "writes to it", "send", everybody, LOG, invites=False)
TO_SEVERAL = Pick("send to several: mark who gets it", "who>", "writes to the marked", "send", everybody, LOG,
                  several=True, invites=False)
TO_CHAT = Pick("chat: the users who are available", "chat with>", "invites", "chat", available, "available")
TO_GROUP = Pick("group chat: the groups there can be", "group>", "invites them", "group chat", groups,
                "one of these groups")
TO_SOME = Pick("group chat: mark whom to invite", "who>", "invites the marked", "group chat", available, "available",
               least=2, several=True)
