"""modes: what each mode of the desk shows, and what Enter and events do there.

MODES has a row for each mode: what the prompt, the bar and the hint read, and what Enter does.  A
word in braces stands for one of FIELDS, which is filled in when the row is shown.  What Esc does is
in desk.py, what other keys do in keymap.py.  AFTER says what an event of the link does to the mode.
Every step gives back a fault, one line for the user, or "".  No state is kept here.
"""
from __future__ import annotations

from typing import Any, NamedTuple

import wire
from client.events import Left, Locked, NameRefused, Online, OtherStore
from terminal.display import display
from ui import commands, items
from ui.desk import Action, Desk, Mode, redial
from ui.names import recipients
from ui.words import BAD_NAME

# where a line may name its own recipients
ADDRESSING = frozenset({Mode.MENU, Mode.WRITE, Mode.TALK, Mode.CHAT})


# ---- Enter in each mode ----

def login(desk: Desk) -> str:
    name = desk.line.text.strip()
    if name.casefold() == "/take":
        return commands.take(desk)
    if not wire.is_name(name):
        return BAD_NAME
    if name != desk.link.name:
        desk.link.rename(name)
    desk.link.connect()
    return ""


def unlock(desk: Desk) -> str:
    """Connect with the passphrase in the line."""
    passphrase = desk.line.text
    desk.line.set("")
    if not passphrase:
        return "type the passphrase; Esc for another name"
    try:
        desk.link.unlock(passphrase)
    except ValueError as fault:
        return str(fault)
    desk.link.connect()
    return ""


def accept_store(desk: Desk) -> str:
    """Go on with the other daemon.  That takes a word: a stray Enter must not do it."""
    text = desk.line.text.strip()
    if commands.is_command(text):
        return commands.run(desk, text)
    if text.casefold() not in ("yes", "y"):
        return "type yes to go on with this daemon; Esc tries for the old one; /exit leaves"
    desk.take()
    desk.link.accept()
    return redial(desk)


def claim_again(desk: Desk) -> str:
    """The new passphrase was typed once; ask for it again."""
    passphrase = desk.line.text
    if not passphrase:
        return "type a passphrase; Esc goes back"
    desk.go(Mode.AGAIN)
    desk.passphrase = passphrase
    return ""


def claim(desk: Desk) -> str:
    """The new passphrase was typed twice."""
    if desk.line.text != desk.passphrase:
        desk.go(Mode.CLAIM)
        return "the two passphrases were not the same: type a new one"
    fault = desk.talk.requests.claim(desk.passphrase)
    if fault:
        desk.go(Mode.CLAIM)
        return fault
    return desk.home()


def choose(desk: Desk) -> str:
    """Run a command, or the item that is selected or typed."""
    text = desk.line.text.strip()
    if not text:
        return _choose_nothing(desk)
    if not desk.selected and commands.is_command(text):
        return commands.run(desk, text)
    if text == "?":
        desk.line.set("")
        return commands.show_help(desk)
    item = items.choice(desk, desk.selected) or items.named(desk, text)
    if item is not None:
        desk.selected = 0
        desk.line.set("")
        return item.run(desk)
    if text.casefold() == "quit":
        return commands.quit_chat(desk) or _taken(desk)
    if not desk.link.online:                    # as the hint says, whatever stands in the line
        desk.link.connect()
        return f"{display(text)!r} is not an item, and stays here; connecting"
    last = len(items.items(desk))
    return (f"{display(text)!r} is not an item; 1-{last} select one; /help; "
            "\"@bob hi\" sends at once")


def _choose_nothing(desk: Desk) -> str:
    if not desk.link.online:
        desk.link.connect()
        return ""
    last = len(items.items(desk))
    return f"nothing is selected; 1-{last} or arrows select an item; Enter runs it"


def _taken(desk: Desk) -> str:
    desk.take()
    return ""


def take_names(desk: Desk) -> str:
    """Go on with the names that are marked or typed."""
    if commands.is_command(desk.line.text):
        return commands.run(desk, desk.line.text)
    assert desk.picker is not None
    taken = desk.picker.taken(desk.strict)
    if taken.fault:
        return taken.fault
    desk.line.set("")
    if not taken.names:
        return ""
    if desk.picker.pick.invites:
        return commands.invite(desk, taken.names)
    if desk.picker.pick.enters:
        return desk.converse(taken.names[0], alone=True)
    return desk.compose(taken.names)


def send(desk: Desk) -> str:
    """Send the message in the line."""
    text = desk.line.text
    if commands.is_command(text):
        return commands.run(desk, text)
    fault = commands.deliver(desk, desk.draft.to, commands.literal(text), desk.draft.flags)
    if fault:
        return fault
    desk.take()
    commands.stay(desk, desk.draft.to)
    return desk.home() if desk.mode is Mode.WRITE else ""


def talk(desk: Desk) -> str:
    """Send the line to the conversation that is open; run the item that is selected."""
    text = desk.line.text
    number = text.strip()
    if desk.selected or (desk.stays and len(number) == 1 and items.named(desk, number)):
        return choose(desk)             # in a script every line is a message
    if commands.is_command(text):
        return commands.run(desk, text)
    if not text.strip():
        if not desk.link.online:
            desk.link.connect()
        return ""
    to, fault = desk.talk.people.resolve([desk.talk.conversations.open])
    return fault or commands.deliver(desk, to, commands.literal(text)) or _taken(desk)


def say(desk: Desk) -> str:
    """Say the line in the chat."""
    text = desk.line.text
    if commands.is_command(text):
        return commands.run(desk, text)
    return desk.talk.chatting.say(commands.literal(text)) or _taken(desk)


# ---- the modes ----

class Row(NamedTuple):
    """One mode: words for the screen, and what Enter does."""
    prompt: str
    where: str          # for the bar
    hint: str
    enter: Action


MODES: dict[Mode, Row] = {
    Mode.LOGIN: Row(
        "username>", "choose a name",
        "Enter connects under this name; Ctrl-C leaves",
        login),
    Mode.MENU: Row(
        "menu>", "menu",
        "1-6 or arrows select an item; Enter runs it; /help; \"@bob hi\" sends at once",
        choose),
    Mode.HOW: Row(
        "send>", "send",
        "1-3 or arrows select an item; Enter runs it; Esc back",
        choose),
    Mode.PICK: Row(
        "{pick_prompt}", "{picking}",
        "type to filter; {mark}; Enter {verb}; Esc back",
        take_names),
    Mode.WRITE: Row(
        "to {readers}>", "send to {readers}",
        "Enter sends to {readers}; Esc back, the text is kept",
        send),
    Mode.TALK: Row(
        "to {other}>", "with {other}",
        "Enter sends to {other}; 1-6 items; Esc back; M-a what is new; M-r answers all",
        talk),
    Mode.CHAT: Row(
        "{partners}>", "chat with {partners}",
        "Enter says it to {partners}; Quit leaves the chat; Esc to the menu",
        say),
    Mode.PASTE: Row(
        "paste {lines} lines?>", "paste",
        "Enter inserts all {lines} lines as one message; Esc drops them",
        Desk.insert_paste),
    Mode.PASSPHRASE: Row(
        "passphrase of {name}>", "passphrase",
        "type the passphrase, it is not shown; Enter connects; Esc for another name",
        unlock),
    Mode.CLAIM: Row(
        "new passphrase>", "claim",
        "over the network {name} will need it; it is not shown; Esc back",
        claim_again),
    Mode.AGAIN: Row(
        "once more>", "claim",
        "type the same passphrase once more; Esc back",
        claim),
    Mode.OTHER: Row(
        "go on with it?>", "another daemon",
        "type yes to go on with the other daemon; Esc tries for the old one",
        accept_store),
}
MENU_OFFLINE = MODES[Mode.MENU]._replace(
    prompt="offline>",
    hint="Enter tries to connect now; messages go out once you are connected")
MENU_BEFORE = MENU_OFFLINE._replace(        # no log of names yet: nobody can be written to
    hint="Enter tries to connect now; you can write once you are connected")
MENU_IN_CHAT = MODES[Mode.MENU]._replace(
    where="menu = chat with {partners}",
    hint="Enter runs the selected item; Esc back to {partners}; /help; Quit leaves the chat")


ITEM_IN_TALK = MODES[Mode.TALK]._replace(
    prompt="menu>", hint="Enter runs it; another key makes a text of it; Esc back to {other}")


def _row(desk: Desk) -> Row:
    if desk.mode is Mode.TALK and desk.selected:
        return ITEM_IN_TALK
    if desk.mode is Mode.MENU and not desk.link.online:
        return MENU_OFFLINE if len(desk.talk.people.here) else MENU_BEFORE
    return MENU_IN_CHAT if desk.mode is Mode.MENU and desk.talk.chatting.chat else MODES[desk.mode]


# ---- what the rows read ----

def _readers(desk: Desk) -> str:
    return "all" if desk.draft.is_to_all else display(recipients(desk.draft.to))


def _partners(desk: Desk) -> str:
    chat = desk.talk.chatting.chat
    return display(recipients(chat.others)) if chat else "nobody"


def _picking(desk: Desk) -> str:
    """The names that the user has marked so far."""
    assert desk.picker is not None
    names, pick = list(desk.picker.marked), desk.picker.pick
    if not names:
        return pick.where
    return f"{pick.where} {'with' if pick.invites else 'to'} {display(recipients(names))}"


def _mark(desk: Desk) -> str:
    return "Space marks" if desk.picker and desk.picker.pick.several else "arrows move"


FIELDS: dict[str, Action] = {
    "readers": _readers,
    "other": lambda desk: display(desk.talk.conversations.open),
    "partners": _partners,
    "picking": _picking,
    "mark": _mark,
    "pick_prompt": lambda desk: desk.picker.pick.prompt if desk.picker else "",
    "verb": lambda desk: desk.picker.pick.verb if desk.picker else "",
    "name": lambda desk: desk.link.name,
    "lines": lambda desk: str(desk.paste.count("\n") + 1),
}


class _Filled:
    """The FIELDS of one desk, each computed when a row asks for it."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def __getitem__(self, field: str) -> str:
        return FIELDS[field](self.desk)


def addressees(desk: Desk, text: str) -> list[str]:
    """The recipients that a line itself names: `@bob hi`."""
    return commands.addressed(text) if desk.mode in ADDRESSING else []


def _may_mean_chat(desk: Desk, names: list[str]) -> bool:
    """Whether this is `@all` in a chat, where it might mean the chat: it goes to nobody."""
    return desk.talk.chatting.chat is not None and commands.is_all(names)


def is_order(desk: Desk) -> bool:
    """Whether the line is a command or names an item, and no text."""
    return desk.is_at_items or (desk.mode in ADDRESSING and commands.is_command(desk.line.text))


def prompt(desk: Desk, text: str) -> str:
    """What Enter will do with this text."""
    names = addressees(desk, text)
    if names and _may_mean_chat(desk, names):
        return "@all?>"
    if names:
        return f"to {display(', '.join(names))}>"
    return _row(desk).prompt.format_map(_Filled(desk))


def where(desk: Desk, retry_in: int, silent_for: int = 0) -> str:
    """The mode, for the bar; `retry_in`: seconds until the link dials again; `silent_for`: seconds
    without an answer, if the user is to know."""
    contact = desk.talk.contact
    if desk.link.online and silent_for:
        return f"no answer from the daemon for {silent_for} s"
    asks_name = desk.is_at_login and desk.link.sock is None
    if desk.link.online or desk.mode is Mode.OTHER or (asks_name and not contact.offline):
        return _row(desk).where.format_map(_Filled(desk))
    if not contact.offline or desk.link.sock is not None:
        return "connecting"
    is_free = desk.mode in (Mode.MENU, Mode.LOGIN, Mode.TALK)
    if contact.stays_out:
        return "put out" + ": Enter connects again" * is_free
    enter = ", Enter now" if is_free else ""
    return f"{contact.turned_away or 'offline'}: retry in {retry_in} s{enter}"


def hint(desk: Desk) -> str:
    """The keys that matter here."""
    names = addressees(desk, desk.line.text)
    if names and _may_mean_chat(desk, names):
        return commands.WHOM
    if names:
        return f"Enter sends to {display(', '.join(names))}; @@ begins a text with an @"
    return _row(desk).hint.format_map(_Filled(desk))


# ---- events ----

def _after_online(desk: Desk) -> str:
    if desk.is_at_login:
        desk.line.set("")
        desk.go(Mode.MENU)
    return ""


def _after_locked(desk: Desk) -> str:
    desk.go(Mode.PASSPHRASE)
    return desk.talk.contact.refused


def _after_name_refused(desk: Desk) -> str:
    desk.ask_name()
    return desk.talk.contact.refused


def _after_other_store(desk: Desk) -> str:
    desk.go(Mode.OTHER)
    return "another daemon, or a new store; type yes to use it; Esc tries for the old one"


def _after_left(desk: Desk) -> str:
    """What earlier sessions had begun to type."""
    for text in reversed(desk.talk.earlier.take_texts()):
        desk.remember(text)
    return ""


def _after_roster(desk: Desk) -> str:
    if desk.picker:
        desk.picker.renew()
    opening = desk.opening
    if opening and desk.link.online and desk.link.roster.is_whole:
        desk.opening = None
        return _after_left(desk) or opening(desk)
    return _after_left(desk)


AFTER: dict[type, Action] = {
    Online: _after_online, Locked: _after_locked, NameRefused: _after_name_refused,
    OtherStore: _after_other_store, wire.Roster: _after_roster, wire.Rooms: _after_roster,
    Left: _after_left,
}


def after(desk: Desk, event: Any) -> str:
    """Change the mode as an event asks; a line about it for the user, or ""."""
    action = AFTER.get(type(event))
    return action(desk) if action else ""


def after_chat(desk: Desk) -> str:
    """A chat began or ended.  A text that the user has begun keeps its meaning."""
    if desk.talk.chatting.chat is None:
        desk.end_chat()
        return ""
    waits = desk.mode in (Mode.MENU, Mode.PICK, Mode.TALK)
    if desk.mode is Mode.HOW or (waits and _is_idle(desk)):
        text = desk.text
        desk.go(Mode.CHAT)
        if commands.is_command(text):
            desk.line.set(text)
        return ""
    if desk.mode is Mode.LOGIN:
        return ""
    if desk.talk.conversations.open:
        return f"the chat has begun; Esc from {display(desk.talk.conversations.open)} goes there"
    return "the chat has begun; your text stays: after Enter or Esc you are in the chat"


def _is_idle(desk: Desk) -> bool:
    """Whether the user has begun no text and marked no names.  A command is no text here: it means
    the same in a chat."""
    begun = desk.text and not commands.is_command(desk.text)
    return not begun and not (desk.picker and desk.picker.marked)
