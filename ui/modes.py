"""modes: what there is to choose at each step, and what each key does: the tables of the menu.

A Mode is what the user is doing.  MODES says for each what the prompt, the bar and the hint read and what Enter and Esc
do; ITEMS and its like are the numbered menus, the Picks the lists of names, and the tables of keys give what a key does
beyond editing the line.  Every action gives back a fault, one line for the user, or "".  No state is kept here.
"""
from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from ui.names import Here
from ui.picker import Choice, available, everybody, groups
from wire import SendFlag

if TYPE_CHECKING:
    from ui.menu import Menu


class Mode(Enum):
    """What the user is doing."""
    LOGIN = "login"
    MENU = "menu"
    HOW = "how"
    PICK = "pick"
    WRITE = "write"
    CHAT = "chat"
    PASTE = "paste"
    PASSPHRASE = "passphrase"
    CLAIM = "claim"
    AGAIN = "again"
    OTHER = "other"


SECRET = frozenset({Mode.PASSPHRASE, Mode.CLAIM, Mode.AGAIN})       # what is typed there is not shown, nor remembered
KEPT = frozenset({Mode.WRITE, Mode.CHAT})       # their unfinished texts come back
ADDRESSING = frozenset({Mode.MENU, Mode.WRITE, Mode.CHAT})      # a line may say itself whom it is for


class Item(NamedTuple):
    """One item of a menu: its number, and its name at full length and shorter and shorter."""
    number: int
    name: str
    short: str
    letter: str
    take: Callable[[Menu], str]

    @property
    def label(self) -> str:
        return f"{self.number}. {self.name}"


class Pick(NamedTuple):
    """What a list is for."""
    title: str
    prompt: str
    verb: str                           # what Enter does with the names
    where: str                          # for the bar
    choices: Callable[[Here, str], list[Choice]]
    outside: str                        # what a refused name is not
    least: int                          # how many names to mark; 0: one, without marks
    then: Callable[[Menu, tuple[str, ...]], str]


class Ways(NamedTuple):
    """One mode: words for the screen, and what Enter and Esc do."""
    prompt: Callable[[Menu], str]
    where: Callable[[Menu], str]
    hint: Callable[[Menu], str]
    enter: Callable[[Menu], str]        # a fault or ""
    back: Callable[[Menu], str]


# ---- the lists of names ----

def _write(menu: Menu, names: tuple[str, ...]) -> str:
    return menu.write(names)


def _invite(menu: Menu, names: tuple[str, ...]) -> str:
    return menu.invite(names)


LOG = "in the log"
TO_ONE = Pick("send to one: who gets it", "to>", "writes to it", "send", everybody, LOG, 0, _write)
TO_SEVERAL = Pick("send to several: mark who gets it", "who>", "writes to the marked", "send", everybody, LOG, 1,
                  _write)
TO_CHAT = Pick("chat: the users who are available", "chat with>", "invites", "chat", available, "available", 0, _invite)
TO_GROUP = Pick("group chat: the groups there can be", "group>", "invites them", "group chat", groups,
                "one of these groups", 0, _invite)
TO_SOME = Pick("group chat: mark whom to invite", "who>", "invites the marked", "group chat", available, "available", 2,
               _invite)


# ---- the numbered menus ----

ITEMS = (
    Item(1, "List users", "List", "L", lambda menu: menu.talk.list_users()),
    Item(2, "Send", "Send", "S", lambda menu: menu.ask_how()),
    Item(3, "Check for messages", "Check", "M", lambda menu: menu.talk.check()),
    Item(4, "Chat", "Chat", "C", lambda menu: menu.pick_chat()),
    Item(5, "Group chat", "Group", "G", lambda menu: menu.pick_group()),
    Item(6, "Exit", "Exit", "X", lambda menu: menu.exit()),
)
HOW_ITEMS = (
    Item(1, "One user", "One", "O", lambda menu: menu.pick(TO_ONE)),
    Item(2, "Several users", "Several", "S", lambda menu: menu.pick(TO_SEVERAL)),
    Item(3, "All users", "All", "A", lambda menu: menu.write((), SendFlag.EVERYONE)),
)
ANSWERS = (
    Item(7, "Accept", "Accept", "Y", lambda menu: menu.talk.answer(True)),
    Item(8, "Deny", "Deny", "N", lambda menu: menu.talk.answer(False)),
)
WITHDRAW = (Item(9, "Withdraw", "Withdraw", "W", lambda menu: menu.talk.withdraw()),)


# ---- the modes ----

def _menu_hint(menu: Menu) -> str:
    if not menu.link.online:
        return "Enter tries to connect at once; what you send now goes out then"
    if menu.talk.chat:
        return f"Enter takes the marked item; Esc back to {menu.partners}; /help; Quit is said in the chat"
    return f"Enter takes the marked item; 1-{len(menu.items)} or arrows mark; /help; \"@bob hi\" sends at once"


def _pick_hint(menu: Menu) -> str:
    mark = "Space marks" if menu.pick_for.least else "arrows move"
    return f"type to filter; {mark}; Enter {menu.pick_for.verb}; Esc back"


MODES: dict[Mode, Ways] = {
    Mode.LOGIN: Ways(
        lambda menu: "username>", lambda menu: "choose a name",
        lambda menu: "Enter connects under this name; Ctrl-C leaves",
        lambda menu: menu.login(), lambda menu: ""),
    Mode.MENU: Ways(
        lambda menu: "menu>" if menu.link.online else "offline>",
        lambda menu: f"menu = chat with {menu.partners}" if menu.talk.chat else "menu",
        _menu_hint, lambda menu: menu.choose(), lambda menu: menu.unmark()),
    Mode.HOW: Ways(
        lambda menu: "send>", lambda menu: "send",
        lambda menu: "Enter takes the marked item; 1-3 or arrows mark; Esc back",
        lambda menu: menu.choose(), lambda menu: menu.home()),
    Mode.PICK: Ways(
        lambda menu: menu.pick_for.prompt, lambda menu: menu.picking, _pick_hint,
        lambda menu: menu.take_picked(), lambda menu: menu.unpick()),
    Mode.WRITE: Ways(
        lambda menu: f"to {menu.readers}>", lambda menu: f"send to {menu.readers}",
        lambda menu: f"Enter sends to {menu.readers}; Esc back, the text is kept",
        lambda menu: menu.finish(), lambda menu: menu.unwrite()),
    Mode.CHAT: Ways(
        lambda menu: f"{menu.partners}>", lambda menu: f"chat with {menu.partners}",
        lambda menu: f"Enter says it to {menu.partners}; Quit leaves the chat; Esc to the menu",
        lambda menu: menu.speak(), lambda menu: menu.unwrite()),
    Mode.PASTE: Ways(
        lambda menu: f"paste {menu.paste_lines} lines?>", lambda menu: "paste",
        lambda menu: f"Enter puts all {menu.paste_lines} lines into one message; Esc leaves them out",
        lambda menu: menu.pasted(), lambda menu: menu.unpasted()),
    Mode.PASSPHRASE: Ways(
        lambda menu: f"passphrase of {menu.link.name}>", lambda menu: "passphrase",
        lambda menu: "type the passphrase, it is not shown; Enter connects; Esc for another name",
        lambda menu: menu.unlock(), lambda menu: menu.unlocked_not()),
    Mode.CLAIM: Ways(
        lambda menu: "new passphrase>", lambda menu: "claim",
        lambda menu: f"who is {menu.link.name} over the network will need it; it is not shown; Esc back",
        lambda menu: menu.claim_again(), lambda menu: menu.home()),
    Mode.AGAIN: Ways(
        lambda menu: "once more>", lambda menu: "claim",
        lambda menu: "type the same passphrase once more; Esc back",
        lambda menu: menu.claim(), lambda menu: menu.home()),
    Mode.OTHER: Ways(
        lambda menu: "go on with it?>", lambda menu: "another daemon",
        lambda menu: "type yes to go on with the other daemon; Esc dials again, for the one before",
        lambda menu: menu.accept(), lambda menu: menu.redial()),
}


# ---- the keys ----

def _sure(act: Callable[[Menu], object]) -> Callable[[Menu], str]:
    """An action that can't fail."""
    def done(menu: Menu) -> str:
        act(menu)
        return ""
    return done


ARROWS = {"<Left>": -1, "<Up>": -1, "<Right>": 1, "<Down>": 1}      # among the items
OLDER = {"<Up>", "<C-p>"}                                           # where none is marked: the lines typed before
SAME_KEYS = {"<C-p>": "<Up>", "<C-n>": "<Down>"}                    # in the history
EMPTY_KEYS: dict[str, Callable[[Menu], str]] = {                    # while the line is empty
    "<Home>": _sure(lambda menu: menu.pane.to_start()), "<End>": _sure(lambda menu: menu.pane.to_end()),
}
PICK_KEYS: dict[str, Callable[[Menu], str]] = {
    "<Up>": lambda menu: menu.move(-1), "<Down>": lambda menu: menu.move(1),
    "<C-p>": lambda menu: menu.move(-1), "<C-n>": lambda menu: menu.move(1),
    " ": lambda menu: menu.toggle(),
}
KEYS: dict[str, Callable[[Menu], str]] = {
    "<Enter>": lambda menu: MODES[menu.mode].enter(menu),
    "<Esc>": lambda menu: menu.back(),
    "<Tab>": lambda menu: menu.complete(),
    "<PageUp>": _sure(lambda menu: menu.pane.page(-1)), "<PageDown>": _sure(lambda menu: menu.pane.page(1)),
    "<M-<>": _sure(lambda menu: menu.pane.to_start()), "<M->>": _sure(lambda menu: menu.pane.to_end()),
    "<M-7>": lambda menu: menu.take(7), "<M-8>": lambda menu: menu.take(8), "<M-9>": lambda menu: menu.take(9),
}
