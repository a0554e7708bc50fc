"""desk: what the user is doing.

A Desk is in one mode.  It has the line that is typed, the list of names that is open, and for whom a message is being
written.  The line belongs to the mode: go() keeps a half-written message or chat line, and gives it back when the user
returns; other texts go into the history.  A passphrase is typed into a line of its own, which has no history.  A long
paste lies over the mode until the user has said whether it goes in.  Nothing that was typed is lost but by the user's
own keys.

Only go() and end_chat() change the mode.  What can fail gives back a fault, one line for the user, or "".  Pure: no
curses, no socket, no clock.
"""
from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple, TypeAlias

from client.link import Link
from terminal.lineedit import InputLine
from ui.picker import TO_ONE, TO_SEVERAL, Pick, Picker
from ui.talk import Talk
from ui.words import ALONE, NO_ROOM
from wire import SendFlag

SECRET_MAX = 256        # bytes of a passphrase: a long sentence
PASTE_LINES = 5         # a paste of more lines is asked about first


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
KEPT = frozenset({Mode.WRITE, Mode.CHAT})                           # their unfinished texts come back


class Letter(NamedTuple):
    """For whom a message is being written."""
    to: tuple[str, ...] = ()            # empty with EVERYONE
    flags: int = 0                      # of SEND

    @property
    def is_to_all(self) -> bool:
        return bool(self.flags & SendFlag.EVERYONE)


class Search(NamedTuple):
    """What /find looked for last, and in which entry of the pane it was."""
    text: str = ""
    found: int | None = None


class Desk:
    """The mode, the line, and what belongs to them."""

    def __init__(self, link: Link, talk: Talk, mode: Mode, strict: bool = False) -> None:
        """`strict`: names must be typed whole, for users who do not see the cursor of a list."""
        self.link = link
        self.talk = talk
        self.pane = talk.feed.pane
        self.strict = strict
        self.line = InputLine()
        self.marked = 0                         # the number of the item that is marked and echoed in the line
        self.picker: Picker | None = None       # the list of names that is open
        self.letter = Letter()
        self.search = Search()
        self.paste = ""                         # a long one that is asked about
        self.passphrase = ""                    # a new one that was typed once
        self.leaving = False                    # the user has taken leave
        self._mode = mode                       # below a paste
        self._kept: dict[Mode, str] = {}
        self._aside = self.line                 # the line, while a passphrase is typed into another
        self._warned = False                    # that something would be lost by leaving

    # ---- the mode ----

    @property
    def mode(self) -> Mode:
        return Mode.PASTE if self.paste else self._mode

    @property
    def is_secret(self) -> bool:
        """Whether the line must not be shown."""
        return self._mode in SECRET

    @property
    def is_at_login(self) -> bool:
        """Whether the line is a name, or its passphrase."""
        return self._mode in (Mode.LOGIN, Mode.PASSPHRASE)

    @property
    def is_at_items(self) -> bool:
        """Whether the line takes one of the numbered items."""
        return self.mode in (Mode.MENU, Mode.HOW)

    def go(self, mode: Mode) -> str:
        """Change the mode; the text of the one is kept, that of the other comes back."""
        self._leave_mode()
        self._mode, self.marked, self.paste = mode, 0, ""
        self.line.set(self._kept.pop(mode, "") if mode in KEPT else "")
        if mode is not Mode.PICK:
            self.picker = None
        if mode is not Mode.AGAIN:
            self.passphrase = ""
        if self.is_secret:
            self._aside, self.line = self.line, InputLine(SECRET_MAX)
        return ""

    def _leave_mode(self) -> None:
        if self.is_secret:
            self.line = self._aside
            return
        if self.paste:
            self.line.remember(self.paste)
        if self._mode in KEPT and self.text.strip():
            self._kept[self._mode] = self.text
        elif self._mode is not Mode.LOGIN:
            self.line.remember(self.text)

    def home(self) -> str:
        """To the chat, or else to the menu."""
        return self.go(Mode.CHAT if self.talk.chatting.chat else Mode.MENU)

    def back(self) -> str:
        """One step back, as Esc does."""
        return BACK[self.mode](self)

    def ask_name(self) -> str:
        """To the login, with the name as it is."""
        self.go(Mode.LOGIN)
        self.line.set(self.link.name)
        return ""

    def compose(self, to: tuple[str, ...], flags: int = 0) -> str:
        """Ask for the text of a message to these."""
        letter = Letter(to, flags)
        if letter.is_to_all and self.talk.people.here.is_alone:
            return ALONE
        self.letter = letter
        return self.go(Mode.WRITE)

    def open(self, pick: Pick) -> str:
        """Open a list of names."""
        picker = Picker(pick, lambda: self.talk.people.here)
        if not picker.all:
            return "not connected yet: the log of names is not here"
        self.go(Mode.PICK)
        self.picker = picker
        return ""

    def end_chat(self) -> None:
        """The chat is over: its kept text goes into the history, one in the line stays in the line."""
        self.remember(self._kept.pop(Mode.CHAT, ""))
        if self._mode is Mode.CHAT:
            self._mode = Mode.MENU

    # ---- the line ----

    @property
    def text(self) -> str:
        """What the user typed; the echo of an item is not typed."""
        return "" if self.marked else self.line.text

    def take(self) -> str:
        """Take the text out of the line: it is in the history from now on."""
        self.marked = 0
        return self.line.take()

    def remember(self, text: str) -> None:
        """Into the history, never that of a passphrase."""
        (self._aside if self.is_secret else self.line).remember(text)

    def mark(self, number: int, label: str) -> None:
        """Mark an item, and echo it in the line."""
        self.line.set(label)
        self.marked = number

    def unmark(self) -> None:
        """Take an echo out of the line."""
        if self.marked:
            self.marked = 0
            self.line.set("")

    def insert(self, text: str) -> str:
        """Put a paste into the line, or ask about it first."""
        text = text.rstrip("\n")
        self.unmark()
        if self.is_secret and "\n" in text:
            return "a passphrase is one line: nothing was put in"
        if text.count("\n") >= PASTE_LINES:
            self.paste = text
            return ""
        return NO_ROOM if text and not self.line.insert(text) else ""

    def insert_paste(self) -> str:
        """The answer about a paste is yes."""
        text, self.paste = self.paste, ""
        return "" if self.line.insert(text) else NO_ROOM

    # ---- leaving ----

    def exit(self) -> str:
        """Take leave; asked again when that would lose something."""
        unsent = len(self.link.pending)
        if unsent and not self.link.online and not self._warned:
            self._warned = True
            what = "1 message" if unsent == 1 else f"{unsent} messages"
            return f"{what} not stored yet (.) would be lost: Exit once more leaves all the same"
        return self.leave()

    def leave(self) -> str:
        """Take leave, whatever that loses."""
        self.leaving = True
        self.link.exit()
        return ""


Deed: TypeAlias = Callable[[Desk], str]         # what a user does at a desk; gives back a fault, or ""


# ---- one step back ----

def _nowhere(_: Desk) -> str:
    return ""


def _back_at_menu(desk: Desk) -> str:
    """An echo goes, a text stays; in a chat, back to it."""
    if desk.marked:
        desk.unmark()
    elif desk.talk.chatting.chat:
        desk.home()
    return ""


def _back_from_list(desk: Desk) -> str:
    asked_how = desk.picker is not None and desk.picker.pick in (TO_ONE, TO_SEVERAL)
    return desk.go(Mode.HOW if asked_how else Mode.MENU)


def _back_from_text(desk: Desk) -> str:
    kept = "the text is kept: it is here again when you come back" if desk.text.strip() else ""
    if desk.mode is Mode.WRITE:
        desk.home()
    else:
        desk.go(Mode.MENU)
    return kept


def _back_from_paste(desk: Desk) -> str:
    desk.paste = ""
    return "the paste was left out"


def redial(desk: Desk) -> str:
    """Not with the other daemon: perhaps the one before is there again."""
    desk.line.set("")
    desk.home()
    desk.link.connect()
    return ""


BACK: dict[Mode, Deed] = {
    Mode.LOGIN: _nowhere,
    Mode.MENU: _back_at_menu,
    Mode.HOW: Desk.home,
    Mode.PICK: _back_from_list,
    Mode.WRITE: _back_from_text,
    Mode.CHAT: _back_from_text,
    Mode.PASTE: _back_from_paste,
    Mode.PASSPHRASE: Desk.ask_name,
    Mode.CLAIM: Desk.home,
    Mode.AGAIN: Desk.home,
    Mode.OTHER: redial,
}
