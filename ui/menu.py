"""menu: what the user can do.

A Menu is in one mode: login, at the menu, choosing how to send, picking names, writing, chatting, or asked about a
paste.  The table of modes (modes.py) has a row for each: what the prompt says, what the bar says, the hint, and what
Enter and Esc do.  The line that is typed belongs to the mode: a half-written message or chat line is kept when one
leaves, and is there again when one comes back; other texts go into the history.  Nothing that was typed is lost but by
the user's own keys.

The menu is given keys and events with the time, and a Link; what it shows is read by screen.frame or plain.  Whatever
can't be done is said in `error` until the next key, and the line stays as it is.  Nothing that arrives changes what
Enter will do to a text that was begun.  Pure: no curses, no socket, no clock.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import wire
from terminal.display import UNICODE, Ruler, display
from terminal.keys import Key, Paste
from terminal.lineedit import InputLine
from ui import commands, modes
from ui.modes import Item, Mode, Pick
from ui.names import recipients
from ui.pane import Pane
from ui.picker import FEW, Picker
from ui.talk import Talk
from wire import SendFlag

if TYPE_CHECKING:
    from client.link import Link

SECRET_MAX = 256        # bytes of a passphrase: a long sentence
PASTE_LINES = 5         # a paste of more lines is asked about first
IDLE = 120_000_000      # microseconds without a key after which nobody seems to look, where the terminal does not tell
TOO_LONG = f"a message has at most {wire.TEXT_MAX} bytes: send it in parts"


class Menu:
    """The user's side of the screen."""
    link: Link
    pane: Pane
    talk: Talk
    line: InputLine
    mode: Mode
    picker: Picker | None               # the list of names that is open
    pick_for: Pick                      # and what for

    def __init__(self, link: Link, *, name: str = "", offered: str = "", ruler: Ruler = UNICODE,
                 refusals: tuple[type[Exception], ...] = (ValueError,)) -> None:
        self.link = link
        self.pane = Pane(ruler)
        self.talk = Talk(link, self.pane, refusals)
        self.line = InputLine()
        self.mode = Mode.MENU if name else Mode.LOGIN
        self.error = ""                 # until the next key
        self.chosen = 0                 # the number of the item that is marked and echoed in the line
        self.picker = None
        self.to: tuple[str, ...] = ()   # for whom one writes; empty: for everyone
        self.flags = 0
        self.now = 0                    # microseconds since 1970
        self.retry_in = 0               # seconds until the link dials again, for the bar
        self.strict = False             # names must be typed whole: for who can't see the cursor of a list
        self.ring = False               # the bell should sound
        self.leaving = False            # the user has taken leave
        self.sought = ""                # what /find looked for last
        self.found: int | None = None   # and where it was, in the pane
        self.pick_for = modes.TO_ONE
        self._kept: dict[Mode, str] = {}
        self._aside = self.line         # the line, while a passphrase is typed into another
        self._secret = ""               # typed once
        self._paste = Paste("")
        self._before = Mode.MENU        # the mode that a paste came in
        self._focused: bool | None = None           # None: the terminal does not say
        self._pressed = 0               # when the last key was
        self._warned = False            # that something would be lost by leaving
        if not name:
            self.line.set(offered)

    # ---- what is shown ----

    @property
    def prompt(self) -> str:
        """What Enter will do, before the line."""
        to = self.addressed
        if to and self._all_in_chat:
            return "@all?>"
        return f"to {to}>" if to else modes.MODES[self.mode].prompt(self)

    @property
    def addressed(self) -> str:
        """Whom the line goes to by its own first words, wherever it is typed: `@bob hi`."""
        return display(", ".join(self._addressees))

    @property
    def _addressees(self) -> list[str]:
        return commands.addressed(self.line.text) if self.mode in modes.ADDRESSING else []

    @property
    def _all_in_chat(self) -> bool:
        """Whether `@all` is typed where it might mean the chat: it is asked about, and goes to nobody."""
        return self.talk.chat is not None and commands.is_all(self._addressees)

    @property
    def where(self) -> str:
        """The same, for the bar."""
        if self.link.online or self.mode is Mode.OTHER:
            return modes.MODES[self.mode].where(self)
        if not self.talk.offline:
            return "connecting" if not self.at_login or self.joining else modes.MODES[self.mode].where(self)
        enter = ", Enter now" if self.mode in (Mode.MENU, Mode.LOGIN) else ""
        return f"{self.talk.turned_away or 'offline'}: retry in {self.retry_in} s{enter}"

    @property
    def joining(self) -> bool:
        """Whether a name was entered and the daemon has not answered."""
        return self.at_login and self.link.sock is not None

    @property
    def hint(self) -> str:
        """The keys that matter here."""
        if not self.pane.at_end:
            return "reading back: PageUp, PageDown; M-> to the newest"
        if self._all_in_chat:
            return commands.WHOM
        if to := self.addressed:
            return f"Enter sends to {to}; @@ begins a text with an @"
        return modes.MODES[self.mode].hint(self)

    @property
    def at_login(self) -> bool:
        """Whether the line is a name, or its passphrase."""
        return self.mode in (Mode.LOGIN, Mode.PASSPHRASE)

    @property
    def secret(self) -> bool:
        """Whether the line must not be shown."""
        return self.mode in modes.SECRET

    @property
    def at_menu(self) -> bool:
        """Whether the line is the menu's."""
        return self.mode is Mode.MENU

    @property
    def at_items(self) -> bool:
        """Whether the line takes one of the numbered items."""
        return self.mode in (Mode.MENU, Mode.HOW)

    @property
    def at_chat(self) -> bool:
        """Whether the line goes to a chat."""
        return self.mode is Mode.CHAT

    @property
    def items(self) -> Sequence[Item]:
        """The numbered items in view."""
        return modes.HOW_ITEMS if self.mode is Mode.HOW else modes.ITEMS

    @property
    def choices(self) -> list[Item]:
        """Those, and what an invitation adds."""
        answers = modes.ANSWERS if self.talk.questions else ()
        return [*self.items, *answers, *(modes.WITHDRAW if self.talk.pledge else ())]

    @property
    def question(self) -> tuple[str, ...]:
        """The row about an invitation, from long to short; none: ()."""
        return self.talk.question

    def take_unshown(self) -> list[wire.Mail]:
        """The messages to be confirmed once they are painted."""
        mails, self.talk.unshown = self.talk.unshown, []
        return mails

    # ---- events ----

    def hear(self, event: Any, now: int) -> None:
        """Take in an event of the link."""
        self.now = self.talk.now = now
        self._pressed = self._pressed or now
        self.talk.seen = self._looks()
        chatting, marked = self.talk.chat, self._marked
        self.talk.hear(event)
        after = {"Online": self._on_online, "NameRefused": self._on_name_refused, "Locked": self._on_locked,
                 "OtherStore": self._on_other_store,
                 "Roster": self._on_roster}.get(type(event).__name__)
        if after:
            after()
        if self.talk.chat is not chatting:
            self._chat_changed()
        if marked and self._marked is not marked:
            self._clear_echo()
            self.error = "that invitation is over; nothing is marked"
        if self.talk.ring:
            self.ring |= not (self._focused and self.pane.at_end)
            self.talk.ring = False

    @property
    def _marked(self) -> object:
        """The invitation that the marked answer is for."""
        is_answer = self.chosen and any(self.chosen == item.number for item in modes.ANSWERS)
        return self.talk.questions[0] if is_answer and self.talk.questions else None

    def _looks(self) -> bool:
        if self._focused is not None:
            return self._focused and self.pane.at_end
        return self.pane.at_end and self.now - self._pressed < IDLE

    def _on_online(self) -> None:
        if self.at_login:
            self.line.set("")
            self._go(Mode.MENU)

    def _on_locked(self) -> None:
        self.error = self.talk.refused
        self._go(Mode.PASSPHRASE)

    def _on_other_store(self) -> None:
        self._go(Mode.OTHER)
        self.error = "another daemon answers, or its store was made anew; type yes to go on with it; Esc dials again"

    def _on_name_refused(self) -> None:
        self.error = self.talk.refused
        if self.mode is not Mode.LOGIN:
            self._go(Mode.LOGIN)
            self.line.set(self.link.name)

    def _on_roster(self) -> None:
        if self.picker:
            self.picker.renew()

    def _chat_changed(self) -> None:
        """A chat began or ended; a text that was begun keeps its meaning."""
        text = "" if self.chosen else self.line.text
        if self.talk.chat is None:
            (self._aside if self.secret else self.line).remember(self._kept.pop(Mode.CHAT, ""))
            if self.mode is Mode.CHAT:
                self._go(Mode.MENU, keep=False)
                self.line.set(text)
        elif self.mode is Mode.HOW or (self.mode in (Mode.MENU, Mode.PICK) and self._idle(text)):
            self._go(Mode.CHAT)
            if commands.is_command(text):
                self.line.set(text)
        elif self.mode is not Mode.LOGIN:
            self.error = "the chat has begun; your text is as it was: Enter or Esc, then you are in the chat"

    def _idle(self, text: str) -> bool:
        return (not text or commands.is_command(text)) and not (self.picker and self.picker.marked)

    # ---- keys ----

    def press(self, key: Key, now: int) -> None:
        """Do what a key asks."""
        self.now = self.talk.now = now
        if key in ("<FocusIn>", "<FocusOut>"):
            self._focused = key == "<FocusIn>"
            return
        self._pressed, self.error = now, ""
        if self.pane.at_end:
            self.pane.looked()
        if key == "<Enter>" and self.line.text:
            self.pane.to_end()
        if isinstance(key, Paste):
            self._on_paste(key)
        elif action := self._action(key):
            self.error = action(self) or self.error
        else:
            self._edit(key)
        if self.picker and self.mode is Mode.PICK:
            self.picker.narrow(self.line.text)

    def enter(self, text: str, now: int) -> None:
        """A whole line at once, for who types lines."""
        self.line.set("")
        self.chosen = 0
        if not self.line.set(text):
            self.error = TOO_LONG
            return
        if self.picker:
            self.picker.narrow(text)
        self.press("<Enter>", now)

    def _action(self, key: str) -> Callable[[Menu], str] | None:
        if not self.line.text and key in modes.EMPTY_KEYS:
            return modes.EMPTY_KEYS[key]
        return (modes.PICK_KEYS.get(key) if self.mode is Mode.PICK else None) or modes.KEYS.get(key)

    def _edit(self, key: str) -> None:
        if self.mode is Mode.PASTE:
            return
        if self.at_items and (not self.line.text or self.chosen):
            if self._mark(key):
                return
            if len(key) == 1 or key == "<Backspace>":      # typed over the echo
                self.chosen = 0
                self.line.set("")
        before = self.line.text
        changed = self.line.press(modes.SAME_KEYS.get(key, key))
        if self.line.text != before:
            self.chosen = 0
        elif not changed and len(key) == 1:
            self.error = TOO_LONG

    def _mark(self, key: str) -> bool:
        """A digit or an arrow marks an item and echoes it in the line."""
        numbers = [item.number for item in self.choices]
        if key in modes.ARROWS:
            if self.chosen not in numbers and key in modes.OLDER:
                return False
            at = numbers.index(self.chosen) if self.chosen in numbers else -1 if modes.ARROWS[key] > 0 else 0
            self._echo(numbers[(at + modes.ARROWS[key]) % len(numbers)])
        elif len(key) == 1 and key in "0123456789" and int(key) in numbers:
            self._echo(int(key))
        else:
            return False
        return True

    def _echo(self, number: int) -> None:
        self.line.set(next(item.label for item in self.choices if item.number == number))
        self.chosen = number

    def _on_paste(self, paste: Paste) -> None:
        text = paste.text.rstrip("\n")
        if self.chosen:
            self.line.set("")
            self.chosen = 0
        if self.secret and "\n" in text:
            self.error = "a passphrase is one line: nothing was put in"
        elif text.count("\n") >= PASTE_LINES:
            self._paste, self._before = Paste(text), self.mode if self.mode is not Mode.PASTE else self._before
            self.mode = Mode.PASTE
        elif text and not self.line.insert(text):
            self.error = f"the paste does not fit: a message has at most {wire.TEXT_MAX} bytes; nothing was put in"
        if paste.cut:
            self.error = "the paste was too long and was cut"

    # ---- modes ----

    def _go(self, mode: Mode, keep: bool = True) -> None:
        """Change the mode; the text of the one is kept, that of the other comes back."""
        if self.secret:
            self.line = self._aside
        text = "" if self.chosen or self.secret else self.line.text
        if keep and self.mode in modes.KEPT and text.strip():
            self._kept[self.mode] = text
        elif keep and self.mode is not Mode.LOGIN and not self.secret:
            self.line.remember(text)
        self.mode, self.chosen = mode, 0
        self.line.set(self._kept.pop(mode, "") if mode in modes.KEPT else "")
        if mode is not Mode.PICK:
            self.picker = None
        if mode is not Mode.AGAIN:
            self._secret = ""
        if self.secret:
            self._aside, self.line = self.line, InputLine(SECRET_MAX)

    def home(self) -> str:
        """To the chat, or else to the menu."""
        self._go(Mode.CHAT if self.talk.chat else Mode.MENU)
        return ""

    def back(self) -> str:
        """One step back, as Esc does."""
        return modes.MODES[self.mode].back(self)

    def ask_how(self) -> str:
        """`2. Send`: to one, several or all?"""
        self._go(Mode.HOW)
        return ""

    def write(self, to: tuple[str, ...], flags: int = 0) -> str:
        """Ask for the text of a message to these."""
        if flags & SendFlag.EVERYONE and self.talk.here.is_alone:
            return "there is nobody else in the log yet"
        self.to, self.flags = to, flags
        self._go(Mode.WRITE)
        return ""

    def _clear(self) -> str:
        """Take the line: it is in the history from now on."""
        self.chosen = 0
        return self.line.take()

    # ---- Enter and Esc in each mode ----

    def login(self) -> str:
        name = self.line.text.strip()
        if not wire.is_name(name):
            return f"a username has 1 to {wire.NAME_MAX} of A-Z a-z 0-9 . _ - and begins with a letter or digit"
        if name != self.link.name:
            self.link.rename(name)
        self.link.connect()
        return ""

    def unlock(self) -> str:
        """Enter after a passphrase: connect with it."""
        passphrase = self.line.text
        self.line.set("")
        if not passphrase:
            return "type the passphrase; Esc for another name"
        try:
            self.link.unlock(passphrase)
        except ValueError as fault:
            return str(fault)
        self.link.connect()
        return ""

    def unlocked_not(self) -> str:
        """Esc instead of a passphrase: another name."""
        self._go(Mode.LOGIN)
        self.line.set(self.link.name)
        return ""

    def accept(self) -> str:
        """Enter after `yes`: go on with the other daemon.  A word, for a stray Enter must not do it."""
        text = self.line.text.strip()
        if commands.is_command(text):
            return self.command(text)
        if text.casefold() not in ("yes", "y"):
            return "type yes to go on with this daemon; Esc dials again, for the one before; /exit leaves"
        self._clear()
        self.link.accept()
        return self.redial()

    def redial(self) -> str:
        """Esc instead: perhaps the daemon that it was is there again."""
        self.line.set("")
        self.home()
        self.link.connect()
        return ""

    def ask_claim(self) -> str:
        """`/claim`."""
        if not self.link.online:
            return "offline: this needs the daemon"
        self._go(Mode.CLAIM)
        return ""

    def claim_again(self) -> str:
        """Enter after a new passphrase: once more."""
        passphrase = self.line.text
        if not passphrase:
            return "type a passphrase; Esc back"
        self._go(Mode.AGAIN)
        self._secret = passphrase
        return ""

    def claim(self) -> str:
        """Enter after it was typed twice."""
        if self.line.text != self._secret:
            self._go(Mode.CLAIM)
            return "the two were not the same: type a new passphrase"
        fault = self.talk.claim(self._secret)
        self._go(Mode.CLAIM if fault else Mode.CHAT if self.talk.chat else Mode.MENU)
        return fault

    def choose(self) -> str:
        """Enter at the menu: a command, or the item that is marked or typed."""
        text = self.line.text.strip()
        if not text:
            return self._choose_nothing()
        if not self.chosen and commands.is_command(text):
            return self.command(text)
        item = next((item for item in self.choices if item.number == self.chosen), None) or self._typed(text)
        if item is None and text.casefold() == "quit":
            fault = commands.quit_chat(self, "")
            if not fault:
                self._clear()
            return fault
        if item is None:
            return f"{display(text)!r} is no item: 1-{len(self.items)} mark one; /help; \"@bob hi\" sends at once"
        self.chosen = 0
        self.line.set("")
        return item.take(self)

    def _choose_nothing(self) -> str:
        if not self.link.online:
            self.link.connect()
            return ""
        return f"nothing is marked; 1-{len(self.items)} or arrows mark; then Enter"

    def _typed(self, text: str) -> Item | None:
        """The item that a line names by its number or its words."""
        number, words = text.partition(".")[0].strip(), text.casefold()
        for item in self.choices:
            if number == str(item.number) or words in (item.label.casefold(), item.name.casefold(),
                                                       item.short.casefold()):
                return item
        return None

    def command(self, text: str) -> str:
        """Run a command; with a fault the line stays."""
        self.line.set("")
        fault = commands.run(self, text)
        if fault:
            self.line.set(text)
        else:
            (self._aside if self.secret else self.line).remember(text)
        return fault

    def finish(self) -> str:
        """Enter while writing."""
        text = self.line.text
        if commands.is_command(text):
            return self.command(text)
        fault = self.talk.send(self.to, commands.literal(text), self.flags)
        if not fault:
            self._clear()
            self.home()
        return fault

    def speak(self) -> str:
        """Enter while chatting."""
        text = self.line.text
        if commands.is_command(text):
            return self.command(text)
        fault = self.talk.say(commands.literal(text))
        if not fault:
            self._clear()
        return fault

    def pasted(self) -> str:
        """Enter at the question: the paste goes into the line."""
        self.mode = self._before
        if not self.line.insert(self._paste.text):
            return f"the paste does not fit: a message has at most {wire.TEXT_MAX} bytes; nothing was put in"
        return ""

    def unpasted(self) -> str:
        self.mode = self._before
        return "the paste was left out"

    def unmark(self) -> str:
        """Esc at the menu: an echo goes, a text stays; in a chat, back to it."""
        if self.chosen:
            self.chosen = 0
            self.line.set("")
        elif self.talk.chat:
            self.home()
        return ""

    def unwrite(self) -> str:
        """Esc while writing or chatting: to the menu, the text is kept."""
        kept = "the text is kept: it is here again when you come back" if self.line.text.strip() else ""
        self._go(Mode.CHAT if self.talk.chat and self.mode is Mode.WRITE else Mode.MENU)
        return kept

    def unpick(self) -> str:
        """Esc in a list."""
        self._go(Mode.HOW if self.pick_for in (modes.TO_ONE, modes.TO_SEVERAL) else Mode.MENU)
        return ""

    # ---- picking ----

    def pick_chat(self) -> str:
        """`4. Chat`."""
        hindered = self.talk.hindered()
        if hindered or not self.talk.here.available:
            return hindered or self._nobody("No clients to chat")
        return self.pick(modes.TO_CHAT)

    def pick_group(self) -> str:
        """`5. Group chat`: every group, if they are few, else marks."""
        hindered, available = self.talk.hindered(), self.talk.here.available
        if hindered or len(available) < 2:
            only = f": a group takes two others, and only {display(available[0])} is available" if available else ""
            return hindered or self._nobody("No clients to chat" + only)
        return self.pick(modes.TO_GROUP if len(available) <= FEW else modes.TO_SOME)

    def _nobody(self, word: str) -> str:
        self.talk.note(word)
        self.home()
        return ""

    def pick(self, pick: Pick) -> str:
        """Open a list of names."""
        picker = Picker(pick.title, lambda wanted: pick.choices(self.talk.here, wanted), several=pick.least > 0,
                        least=max(1, pick.least), where=pick.outside)
        if not picker.all:
            return "not connected yet: the log of names is not here"
        self._go(Mode.PICK)
        self.pick_for, self.picker = pick, picker
        return ""

    def take_picked(self) -> str:
        """Enter in a list."""
        if commands.is_command(self.line.text):
            return self.command(self.line.text)
        assert self.picker is not None
        taken = self.picker.taken(self.strict)
        if taken.names:
            pick = self.pick_for
            self.line.set("")
            return pick.then(self, taken.names)
        if not taken.fault:
            self.line.set("")
        return taken.fault

    def invite(self, names: Sequence[str]) -> str:
        """To a chat, or to a group chat."""
        to, fault = self.talk.resolve(names)
        fault = fault or self.talk.invite(to)
        if not fault:
            self._go(Mode.MENU)
        return fault

    # ---- leaving ----

    def exit(self) -> str:
        """Take leave; asked again when that would lose something."""
        unsent = len(self.link.pending)
        if unsent and not self.link.online and not self._warned:
            self._warned = True
            what = "1 message" if unsent == 1 else f"{unsent} messages"
            return f"{what} not stored yet (.) would be lost: Exit once more leaves all the same"
        self.leaving = True
        self.link.exit()
        return ""

    # ---- words ----

    @property
    def readers(self) -> str:
        """For whom one writes."""
        return "all" if self.flags & SendFlag.EVERYONE else display(recipients(self.to))

    @property
    def partners(self) -> str:
        """With whom one chats."""
        return display(recipients(self.talk.chat.others)) if self.talk.chat else "nobody"

    @property
    def picking(self) -> str:
        """For whom one has picked so far."""
        marked = list(self.picker.marked) if self.picker else []
        where = self.pick_for.where
        return f"{where} {'to' if where == 'send' else 'with'} {display(recipients(marked))}" if marked else where

    @property
    def paste_lines(self) -> int:
        return self._paste.text.count("\n") + 1

    # ---- what keys do ----

    def complete(self) -> str:
        """Tab."""
        if self.secret:
            return ""
        if self.chosen:
            self._clear_echo()
        if self.at_menu and not self.line.text:
            self.line.insert("@")               # nothing typed: to whom did we last listen?
        self.line.complete(commands.offers(self))
        return ""

    def take(self, number: int) -> str:
        """Take an item whatever is being typed, if it is there."""
        item = next((item for item in self.choices if item.number == number), None)
        return item.take(self) if item else "no invitation is open"

    def move(self, rows: int) -> str:
        """The cursor of the list."""
        if self.picker:
            self.picker.move(rows)
        return ""

    def toggle(self) -> str:
        """Space in a list."""
        if self.picker and self.picker.several:
            self.picker.toggle()
            self.line.set("")
        return ""

    def _clear_echo(self) -> None:
        self.chosen = 0
        self.line.set("")
