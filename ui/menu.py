"""menu: keys and events in, a picture and requests out.

The loop of the curses client, or of the plain one, drives a Menu: it gives it keys by press(),
whole lines by enter() and the link's events by hear(), each with the time, and shows what the
properties say.  The Menu has a Desk (what the user is doing) and a Talk (everything between user
and daemon); modes.py, items.py and keymap.py say what keys and lines do.  The Menu itself knows
whether the user is looking.  Loops read desk and talk, and do not write to them.

When something cannot be done, `error` says why until the next key, and the line stays as it is.
Typing then replaces a command that was refused; any other key leaves it there to be edited.
Nothing that arrives changes what Enter will do to a text that the user has begun.  Pure: no curses,
no socket, no clock.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import wire
from client.link import Link
from terminal.display import UNICODE, Ruler
from terminal.keys import Key, Paste
from ui import items, keymap, modes
from ui.desk import Action, Desk, Mode
from ui.entries import Settled
from ui.items import ANSWERS, Item
from ui.notices import login
from ui.pane import Pane
from ui.talk import Talk
from ui.wishes import Wish
from ui.words import TOO_LONG

IDLE = 120_000_000      # microseconds without a key: nobody is looking, if the terminal cannot tell


class Menu:
    """The user's side of the screen."""

    def __init__(self, link: Link, *, name: str = "", offered: str = "", strict: bool = False,
                 ruler: Ruler = UNICODE, again: int = 0, stays: bool = True,
                 opening: Action | None = None) -> None:
        """`name`: to log in with; without it the menu asks, and `offered` stands in the line.
        `strict`: the names of a list must be typed whole; the user cannot see its cursor.
        `again`: entries of earlier sessions to begin with.  `stays`, `opening`: see Desk."""
        self.link = link
        self.pane = Pane(ruler)
        self.talk = Talk(link, self.pane, again)
        self.talk.conversations.filters = not strict
        self.desk = Desk(link, self.talk, Mode.MENU if name else Mode.LOGIN, strict, stays,
                         opening)
        self.error = ""                 # until the next key
        self._retry_in = 0              # seconds until the link dials again
        self._silent_for = 0            # seconds without an answer, if they are too many
        self._focused: bool | None = None           # None: the terminal cannot tell
        self._pressed = 0               # the time of the last key
        if not name:
            self.desk.ask_name(offered)

    # ---- what is shown ----

    @property
    def prompt(self) -> str:
        """What Enter will do; stands before the line."""
        return modes.prompt(self.desk, self.desk.line.text)

    def prompt_of(self, text: str) -> str:
        """The prompt that the line would have with this text."""
        return modes.prompt(self.desk, text)

    @property
    def where(self) -> str:
        """The mode, for the bar."""
        return modes.where(self.desk, self._retry_in, self._silent_for)

    @property
    def hint(self) -> str:
        """The keys that matter here."""
        if self.talk.past.is_searching:
            return "searching the archive; Esc stops"
        if self._silent_for:
            return "what you type and send is kept; it goes out when the daemon answers"
        if not self.pane.at_end:
            return "reading back: PageUp, PageDown; M-> to the newest"
        return modes.hint(self.desk)

    @property
    def items(self) -> Sequence[Item]:
        """The numbered items in view."""
        return items.items(self.desk)

    @property
    def question(self) -> tuple[str, ...]:
        """The row about an invitation, from its longest form to its shortest; () for none."""
        return self.talk.invitations.row

    @property
    def title(self) -> str:
        """The title of the window: who is logged in, and how many messages nobody has seen."""
        unseen = f"({self.pane.unseen}) " if self.pane.unseen else ""
        return f"{unseen}{login(self.link)} - parley".strip()

    @property
    def is_watched(self) -> bool:
        """Whether the terminal says that the user looks at the newest row."""
        return bool(self._focused) and self.pane.at_end

    @property
    def is_joining(self) -> bool:
        """Whether the user has entered a name and the daemon has yet to answer."""
        return self.desk.is_at_login and self.link.sock is not None

    # ---- between the menu and the loop ----

    def waits(self, retry_in: int, silent_for: int = 0) -> None:
        """The link dials again in so many seconds; the user has waited so many for an answer."""
        self._retry_in, self._silent_for = retry_in, silent_for

    def note(self, text: str, style: str = "notice", now: int = 0) -> None:
        """Show a line in the pane; `now`: the time, if nothing was heard or pressed yet."""
        self.talk.feed.now = now or self.talk.feed.now
        self.talk.feed.note(text, style)

    def leave(self) -> None:
        """Say goodbye, whatever that loses."""
        self.desk.leave()

    def work(self) -> bool:
        """Go on with a search in the archive for some milliseconds; whether there is more."""
        past = self.talk.past
        if past.is_searching:
            self.error = past.work() or self.error
        return past.is_searching

    def take_error(self) -> str:
        """The error; afterwards there is none."""
        error, self.error = self.error, ""
        return error

    def take_wishes(self) -> list[Wish]:
        """What the loop is to do for the user."""
        return self.talk.feed.take_wishes()

    def take_unshown(self) -> list[wire.Mail]:
        """The messages to confirm once they are painted."""
        return self.talk.messages.take_unshown()

    def take_settled(self) -> list[Settled]:
        """What became of what the user said, since the last call and in order."""
        return self.talk.feed.take_settled()

    # ---- events ----

    def hear(self, event: Any, now: int) -> None:
        """Take in an event of the link."""
        feed, chatting = self.talk.feed, self.talk.chatting
        feed.now = now
        self._pressed = self._pressed or now
        feed.seen = self._is_looking()
        chat, invitation = chatting.chat, self._answering()
        self.talk.hear(event)
        self.error = modes.after(self.desk, event) or self.error
        if chatting.chat is not chat:
            self.error = modes.after_chat(self.desk) or self.error
        if invitation and self.desk.selected and self._answering() is not invitation:
            self.desk.deselect()
            self.error = "that invitation is over; nothing is selected"
        feed.wake(self.is_watched)

    def _answering(self) -> object:
        """The invitation that the selected item would answer."""
        if all(self.desk.selected != item.number for item in ANSWERS):
            return None
        return next(iter(self.talk.invitations.unanswered), None)

    def _is_looking(self) -> bool:
        if self._focused is not None:
            return self._focused and self.pane.at_end
        return self.pane.at_end and self.talk.feed.now - self._pressed < IDLE

    # ---- keys ----

    def press(self, key: Key, now: int) -> None:
        """Do what a key asks."""
        self.talk.feed.now = now
        if key in ("<FocusIn>", "<FocusOut>"):
            self._focused = key == "<FocusIn>"
            if self.is_watched:
                self.pane.looked()
                self.talk.conversations.looked()
            return
        self._pressed = now
        if self.pane.at_end:
            self.pane.looked()
        if key == "<Enter>" and self.desk.line.text:
            self.pane.to_end()
        self.desk.asked &= key == "<C-c>"
        if self.desk.refused and keymap.begins_anew(key):
            self.desk.clear()
        self.error = self._obey(key)
        if self.pane.at_end:
            self.talk.conversations.looked()
        self.desk.refused = bool(self.error) and key == "<Enter>" and modes.is_order(self.desk)
        if self.desk.picker and self.desk.mode is Mode.PICK:
            self.desk.picker.narrow(self.desk.line.text)

    def enter(self, text: str, now: int) -> None:
        """Type a whole line and Enter, in place of the line as it is."""
        desk = self.desk
        desk.selected = 0
        desk.line.set("")
        if not desk.line.set(text):
            self.error = TOO_LONG
            return
        if desk.picker:
            desk.picker.narrow(text)
        self.press("<Enter>", now)

    def _obey(self, key: Key) -> str:
        """Do what a key asks; a fault, or ""."""
        if isinstance(key, Paste):
            fault = self.desk.insert(key.text)
            return "the paste was too long and was cut" if key.cut else fault
        if key == "<Esc>" and self.talk.past.stop():
            return "the search was stopped"
        if action := keymap.action(self.desk, key):
            return action(self.desk)
        return self._edit(key)

    def _edit(self, key: str) -> str:
        desk = self.desk
        if desk.mode is Mode.PASTE or keymap.selects(desk, key):
            return ""
        before = desk.line.text
        changed = desk.line.press(keymap.SAME_KEYS.get(key, key))
        if desk.line.text != before:
            desk.selected = 0
        elif not changed and len(key) == 1:
            return TOO_LONG
        return ""
