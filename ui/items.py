"""items: the numbered menus.

The user runs an item by its number, by its words, or by selecting it with a key and Enter.  Which
items there are depends on the desk: an invitation adds the answers to it.  No state is kept here.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ui import commands
from ui.desk import Action, Desk, Mode
from ui.picker import TO_ONE, TO_SEVERAL


class Item(NamedTuple):
    """One item of a menu: its number, and its name at three lengths."""
    number: int
    name: str
    short: str
    letter: str
    run: Action

    @property
    def label(self) -> str:
        return f"{self.number}. {self.name}"


def ask_how(desk: Desk) -> str:
    """To one, several or all?"""
    return desk.go(Mode.HOW)


def pick_one(desk: Desk) -> str:
    return desk.open(TO_ONE)


def pick_several(desk: Desk) -> str:
    return desk.open(TO_SEVERAL)


ITEMS = (
    Item(1, "List users", "List", "L", commands.who),
    Item(2, "Send", "Send", "S", ask_how),
    Item(3, "Check for messages", "Check", "M", commands.check),
    Item(4, "Chat", "Chat", "C", commands.chat),
    Item(5, "Group chat", "Group", "G", commands.group),
    Item(6, "Exit", "Exit", "X", Desk.exit),
)
HOW_ITEMS = (
    Item(1, "One user", "One", "O", pick_one),
    Item(2, "Several users", "Several", "S", pick_several),
    Item(3, "All users", "All", "A", commands.send_all),
)
ANSWERS = (
    Item(7, "Accept", "Accept", "Y", commands.accept),
    Item(8, "Deny", "Deny", "N", commands.deny),
)
WITHDRAW = (Item(9, "Withdraw", "Withdraw", "W", commands.withdraw),)


def items(desk: Desk) -> Sequence[Item]:
    """The numbered items in view."""
    return HOW_ITEMS if desk.mode is Mode.HOW else ITEMS


def choices(desk: Desk) -> list[Item]:
    """The items in view, and those that an invitation adds."""
    invitations = desk.talk.invitations
    answers = ANSWERS if invitations.unanswered else ()
    return [*items(desk), *answers, *(WITHDRAW if invitations.awaited else ())]


def choice(desk: Desk, number: int) -> Item | None:
    """The item with this number, if there is one now."""
    return next((item for item in choices(desk) if item.number == number), None)


def named(desk: Desk, text: str) -> Item | None:
    """The item that a line names by its number or its words."""
    number, words = text.partition(".")[0].strip(), text.casefold()
    for item in choices(desk):
        known = [name.casefold() for name in (item.label, item.name, item.short)]
        if number == str(item.number) or words in known:
            return item
    return None
