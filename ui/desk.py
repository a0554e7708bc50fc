"""desk: what the user is doing.

A Desk is in one mode.  It holds the line that the user types, the list of names that is open, and
the recipients of the message that is being written.  The line belongs to the mode: go() keeps a
half-written message or chat line, and gives it back when the user returns; other texts go into the
history.  The user types a passphrase into a line of its own, which has no history.  While the user
is asked about a long paste, the mode is PASTE, and the mode below it is kept.  Only the user's own
keys can lose what the user typed.

Only go() and end_chat() change the mode.  Every method that is a step of the user's returns a
fault, which is one line for the user, or "".  Pure: no curses, no socket, no clock.
"""
from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple, TypeAlias

from client.link import Link
from terminal.lineedit import InputLine
from ui.names import counted
from ui.picker import TO_ONE, TO_SEVERAL, Pick, Picker
from ui.talk import Talk
from ui.words import ALONE, NO_ROOM, NOT_YET
from wire import SendFlag

SECRET_MAX = 256        # bytes of a passphrase: a long sentence
PASTE_LINES = 5         # the user is asked about a paste of more lines


class Mode(Enum):
    """What the user is doing."""
    LOGIN = "login"             # typing a name
    MENU = "menu"
    HOW = "how"                 # choosing: send to one, several or all
    PICK = "pick"               # picking names from a list
    WRITE = "write"             # writing a message
    TALK = "talk"               # in a conversation: each line is a message there
    CHAT = "chat"
    PASTE = "paste"             # saying whether to insert a long paste
    PASSPHRASE = "passphrase"   # typing the passphrase of the name, to log in
    CLAIM = "claim"             # typing a new passphrase for the name
    AGAIN = "again"             # typing the new passphrase once more
    OTHER = "other"             # saying whether another daemon, or another store, will do


SECRET = frozenset({Mode.PASSPHRASE, Mode.CLAIM, Mode.AGAIN})   # their text is not shown or kept
KEPT = frozenset({Mode.WRITE, Mode.CHAT})                       # their unfinished text comes back


class Draft(NamedTuple):
    """The recipients of a message that is being written."""
    to: tuple[str, ...] = ()            # empty with EVERYONE
    flags: int = 0                      # wire.SendFlag

    @property
    def is_to_all(self) -> bool:
        return bool(self.flags & SendFlag.EVERYONE)


class Search(NamedTuple):
    """What /find last looked for, and where it found that."""
    text: str = ""
    found: int | None = None            # the serial number of the entry in the pane, or
    place: int | None = None            # the place in the archive


class Desk:
    """The mode, the line, and what belongs to them."""

    def __init__(self, link: Link, talk: Talk, mode: Mode, strict: bool = False,
                 stays: bool = True, opening: Action | None = None) -> None:
        """`strict`: the user cannot see the cursor of a list, and must type its names in full.
        `stays`: after a message to one user the prompt stays with that user.  `opening`: to be done
        once the log of names is there."""
        self.link = link
        self.talk = talk
        self.pane = talk.feed.pane
        self.strict, self.stays, self.opening = strict, stays, opening
        self.line = InputLine()
        self.selected = 0                       # the item that the line echoes; 0: none
        self.picker: Picker | None = None       # the list of names that is open
        self.draft = Draft()
        self.search = Search()
        self.paste = ""                         # a long paste that the user is asked about
        self.passphrase = ""                    # a new passphrase, typed once so far
        self.leaving = False                    # the user has said goodbye
        self.interrupted = False                # and did so by Ctrl-C
        self.asked = False                      # the next Ctrl-C leaves
        self.refused = False                    # typing replaces the line, which was refused
        self.typing_in = mode                   # the mode, also below a long paste
        self.kept: dict[Mode, str] = {}         # unfinished texts
        self._aside = self.line                 # the usual line, while `line` is a passphrase's
        self._warned = False                    # the user knows that leaving would lose messages

    # ---- the mode ----

    @property
    def mode(self) -> Mode:
        return Mode.PASTE if self.paste else self.typing_in

    @property
    def is_secret(self) -> bool:
        """Whether the line is a passphrase, and must not be shown."""
        return self.typing_in in SECRET

    @property
    def is_at_login(self) -> bool:
        """Whether the line is a name, or its passphrase."""
        return self.typing_in in (Mode.LOGIN, Mode.PASSPHRASE)

    @property
    def is_at_items(self) -> bool:
        """Whether the line takes one of the numbered items, and no text."""
        return self.mode in (Mode.MENU, Mode.HOW)

    def go(self, mode: Mode) -> str:
        """Change the mode: keep the text of the old one, bring back the text of the new one."""
        self._leave_mode()
        if mode in (Mode.MENU, Mode.CHAT):
            self.talk.conversations.leave()
        self.typing_in, self.selected, self.paste = mode, 0, ""
        self.line.set(self.kept.pop(mode, "") if mode in KEPT else "")
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
        if self.typing_in is Mode.TALK:
            self.talk.conversations.keep(self.text)
        elif self.typing_in in KEPT and self.text.strip():
            self.kept[self.typing_in] = self.text
        elif self.typing_in is not Mode.LOGIN:
            self.line.remember(self.text)

    def home(self) -> str:
        """Go to the conversation that is open, else to the chat, else to the menu."""
        if self.talk.conversations.open:
            return self.converse(self.talk.conversations.open)
        return self.go(Mode.CHAT if self.talk.chatting.chat else Mode.MENU)

    def converse(self, name: str, alone: bool = False) -> str:
        """Open the conversation with this user, or in this room; `alone`: show nothing else."""
        self.go(Mode.TALK)
        self.line.set(self.talk.conversations.enter(name, alone))
        return ""

    def back(self) -> str:
        """Go one step back, as Esc does."""
        return BACK[self.mode](self)

    def ask_name(self, offered: str = "") -> str:
        """Go to the login, with this name or the present one in the line; typing replaces it."""
        self.go(Mode.LOGIN)
        self.line.set(offered or self.link.name)
        self.refused = True
        return ""

    def compose(self, to: tuple[str, ...], flags: int = 0) -> str:
        """Ask for the text of a message to these recipients."""
        draft = Draft(to, flags)
        if draft.is_to_all and self.talk.people.here.is_alone:
            return ALONE
        self.draft = draft
        return self.go(Mode.WRITE)

    def open(self, pick: Pick) -> str:
        """Open a list of names."""
        picker = Picker(pick, lambda: self.talk.people.here)
        if not picker.all:
            return NOT_YET
        self.go(Mode.PICK)
        self.picker = picker
        if self.talk.people.here.rooms:
            self.talk.rooms.refresh()
        return ""

    def end_chat(self) -> None:
        """The chat is over.  A text kept for it goes into the history; one in the line stays."""
        self.remember(self.kept.pop(Mode.CHAT, ""))
        if self.typing_in is Mode.CHAT:
            self.typing_in = Mode.MENU

    # ---- the line ----

    @property
    def text(self) -> str:
        """What the user typed; "" if the line is the echo of an item."""
        return "" if self.selected else self.line.text

    def take(self) -> str:
        """Take the text out of the line, and put it into the history."""
        self.selected = 0
        return self.line.take()

    def remember(self, text: str) -> None:
        """Put a text into the history; the line of a passphrase has none."""
        (self._aside if self.is_secret else self.line).remember(text)

    def select(self, number: int, label: str) -> None:
        """Select an item, and echo it in the line."""
        self.line.set(label)
        self.selected = number

    def deselect(self) -> None:
        """Remove the echo of an item from the line."""
        if self.selected:
            self.selected = 0
            self.line.set("")

    def clear(self) -> None:
        """Empty the line; a text that the user typed goes into the history."""
        if self.text and not (self.is_secret or self.is_at_login):
            self.remember(self.text)
        self.selected = 0
        self.line.set("")

    def insert(self, text: str) -> str:
        """Insert a paste into the line, or ask about it first if it is long."""
        text = text.rstrip("\n")
        self.deselect()
        if self.is_secret and "\n" in text:
            return "a passphrase is one line: nothing was inserted"
        if text.count("\n") >= PASTE_LINES:
            self.paste = text
            return ""
        return NO_ROOM if text and not self.line.insert(text) else ""

    def insert_paste(self) -> str:
        """Insert the long paste: the user said yes."""
        text, self.paste = self.paste, ""
        return "" if self.line.insert(text) else NO_ROOM

    # ---- leaving ----

    def exit(self) -> str:
        """Say goodbye.  If messages are not stored yet, the first call only warns."""
        if self.link.pending and not self.link.online and not self._warned:
            self._warned = True
            return f"{_unsent(self.link)}: Exit again leaves"
        return self.leave()

    def interrupt(self) -> str:
        """Drop what the user has begun, as Ctrl-C does.  With nothing begun, ask; then leave."""
        if self.is_at_login or self.asked:
            self.interrupted = True
            return self.leave()
        if self.paste:
            return self.back()
        if self.line.text:
            self.clear()
            return ""
        self.asked = True
        return f"Ctrl-C again leaves parley{f'; {_unsent(self.link)}' if self.link.pending else ''}"

    def leave(self) -> str:
        """Say goodbye, whatever that loses."""
        self.leaving = True
        self.link.exit()
        return ""


def _unsent(link: Link) -> str:
    """What leaving means for the messages that have no answer."""
    what = counted(len(link.pending), "message")
    return (f"{what} not stored yet (.), offered at the next start" if link.unsent.keeps
            else f"{what} not stored yet (.) would be lost")


Action: TypeAlias = Callable[[Desk], str]         # a step of the user's; returns a fault, or ""


# ---- one step back ----

def _nowhere(_: Desk) -> str:
    return ""


def _back_at_menu(desk: Desk) -> str:
    """Remove the echo of an item.  Without an echo, go back to the chat; without a chat, a text
    stays."""
    if desk.selected:
        desk.deselect()
    elif desk.talk.chatting.chat:
        desk.home()
    return ""


def _back_from_list(desk: Desk) -> str:
    asked_how = desk.picker is not None and desk.picker.pick in (TO_ONE, TO_SEVERAL)
    return desk.go(Mode.HOW) if asked_how else desk.home()


def _back_from_talk(desk: Desk) -> str:
    """Remove the echo of an item; without one, leave the conversation."""
    if desk.selected:
        desk.deselect()
        return ""
    kept = "your text is kept: it is here again when you come back" if desk.text.strip() else ""
    desk.go(Mode.CHAT if desk.talk.chatting.chat else Mode.MENU)
    return kept


def _back_from_text(desk: Desk) -> str:
    kept = "your text is kept: it is here again when you come back" if desk.text.strip() else ""
    if desk.mode is Mode.WRITE:
        desk.home()
    else:
        desk.go(Mode.MENU)
    return kept


def _back_from_paste(desk: Desk) -> str:
    desk.paste = ""
    return "the paste was not inserted"


def redial(desk: Desk) -> str:
    """Dial again: perhaps the daemon of before is back."""
    desk.line.set("")
    desk.home()
    desk.link.connect()
    return ""


BACK: dict[Mode, Action] = {
    Mode.LOGIN: _nowhere,
    Mode.MENU: _back_at_menu,
    Mode.HOW: Desk.home,
    Mode.PICK: _back_from_list,
    Mode.WRITE: _back_from_text,
    Mode.TALK: _back_from_talk,
    Mode.CHAT: _back_from_text,
    Mode.PASTE: _back_from_paste,
    Mode.PASSPHRASE: Desk.ask_name,
    Mode.CLAIM: Desk.home,
    Mode.AGAIN: Desk.home,
    Mode.OTHER: redial,
}
