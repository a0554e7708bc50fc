"""commands: what a line that begins with / or @ means, in every mode.

COMMANDS is the table: a word, how it is used, what it does, and the function that does it.  run() gives back a fault,
one line for the user, or "" when it is done; with a fault the line stays as it was typed.  `@bob hi` is `/send bob hi`;
`//` begins an ordinary text with a slash, `@@` one with an @.  Pure.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from terminal.display import display
from ui.names import ONE_WORD, addressees, only_names
from ui.pane import Table
from wire import SendFlag

if TYPE_CHECKING:
    from ui.menu import Menu

OFFERS_MAX = 10_000     # names that Tab goes through
EVERYONE = "all"        # a reserved word, so nobody's name
WHOM = "in a chat a line goes to the chat as it is; /all TEXT goes to everybody in the log"     # for @all there
LITERAL = ("//", "@@")  # a text that begins with the second of them
HISTORY, HISTORY_MAX = 20, 1000     # messages shown, and shown at most
ELSEWHERE = {           # what the same is called in other programs
    "msg": "/send", "query": "/send", "tell": "/send", "write": "/send", "wall": "/all", "names": "/who",
    "list": "/who", "users": "/who", "join": "/chat", "invite": "/chat", "part": "/quit", "leave": "/quit",
    "q": "/quit", "search": "/find", "lastlog": "/find", "grep": "/find", "backlog": "/history", "bye": "/exit",
    "away": "/hold", "inbox": "/check", "mail": "/check", "block": "/ignore", "register": "/claim"}


class Command(NamedTuple):
    """One row of the table."""
    usage: str
    about: str
    run: Callable[[Menu, str], str]
    named: bool = False         # whether names may follow


def is_command(text: str) -> bool:
    """Whether a line is for run() and not a text."""
    return text.startswith(("@", "/")) and not text.startswith(LITERAL)


def literal(text: str) -> str:
    """The text that a line stands for."""
    return text[1:] if text.startswith(LITERAL) else text


def addressed(text: str) -> list[str]:
    """Whom `@bob,erin TEXT` is for; nobody for any other line, also for names without a text."""
    names, rest = addressees(text[1:]) if text.startswith("@") and is_command(text) else ([], None)
    return names if rest is not None else []


def is_all(names: list[str]) -> bool:
    """Whether these are `all`."""
    return [name.lower() for name in names] == [EVERYONE]


def run(menu: Menu, text: str) -> str:
    """Do what the line asks."""
    if text.startswith("@"):
        in_chat = menu.talk.chat and is_all(addressees(text[1:])[0])
        return WHOM if in_chat else send(menu, text[1:])
    word, _, rest = text[1:].partition(" ")
    command = COMMANDS.get(word.lower())
    if command is None:
        near = [f"/{other}" for other in COMMANDS if word and other.startswith(word[0].lower())]
        near = [ELSEWHERE[word.lower()]] if word.lower() in ELSEWHERE else near
        also = f": did you mean {' or '.join(near)}?" if near else ""
        return f"/{display(word)} is no command{also}; /help lists them; // begins a text with a slash"
    return command.run(menu, rest)


def send(menu: Menu, rest: str, flags: int = 0) -> str:
    """To names, with a text at once, without one after asking for it."""
    names, text = addressees(rest)
    text = text or ""
    if not names:
        return "to whom? /send bob,erin TEXT"
    if text.startswith(","):
        return ONE_WORD
    if is_all(names):
        return send_all(menu, text, flags)
    to, fault = menu.talk.resolve(names)
    if fault:
        return fault
    return menu.talk.send(to, text, flags) if text.strip() else menu.write(to, flags)


def send_all(menu: Menu, text: str, flags: int = 0) -> str:
    """To every name in the log but one's own."""
    flags |= SendFlag.EVERYONE
    return menu.talk.send((), text, flags) if text.strip() else menu.write((), flags)


def send_now(menu: Menu, rest: str) -> str:
    """Now or never."""
    return send(menu, rest, SendFlag.NOW)


def chat(menu: Menu, rest: str) -> str:
    """With one user, typed or picked."""
    names, fault = only_names(rest)
    if len(names) > 1:
        return "a chat is with one user: /group bob,erin invites several"
    return fault or (menu.invite(names) if names else menu.pick_chat())


def group(menu: Menu, rest: str) -> str:
    """With several users, typed or picked."""
    names, fault = only_names(rest)
    if len(names) == 1:
        return "a group chat is with two or more: /group bob,erin"
    return fault or (menu.invite(names) if names else menu.pick_group())


def hold(menu: Menu, rest: str) -> str:
    """On or off."""
    wanted = {"on": True, "off": False}.get(rest.strip().lower())
    if wanted is None:
        state = "on" if menu.link.holding else "off"
        return f"holding is {state}; /hold on: new messages wait for a check; /hold off: they are shown"
    return menu.talk.hold(wanted)


def ignore(menu: Menu, rest: str) -> str:
    """Put a name on the list; without one, the list."""
    names, fault = only_names(rest)
    if fault or len(names) > 1:
        return "one name at a time: /ignore bob"
    return menu.talk.ignore(names[0], True) if names else menu.talk.list_ignored()


def unignore(menu: Menu, rest: str) -> str:
    """Take a name off it."""
    names, _ = only_names(rest)
    return menu.talk.ignore(names[0], False) if len(names) == 1 else "whom? /unignore bob"


def quit_chat(menu: Menu, rest: str) -> str:
    """The same as Quit in a chat."""
    return menu.talk.say("Quit") if menu.talk.chat else "you are in no chat: 6 or /exit leaves parley"


def history(menu: Menu, rest: str) -> str:
    """So many of the messages that were read, in this run or before."""
    number = rest.strip() or str(HISTORY)
    if not (number.isascii() and number.isdigit() and len(number) < 6 and 1 <= int(number) <= HISTORY_MAX):
        return f"how many? /history {HISTORY}, {HISTORY_MAX} at most"
    fault = menu.talk.history(int(number))
    if not fault:
        menu.pane.to_last()
    return fault


def find(menu: Menu, rest: str) -> str:
    """Upwards from the newest; the same again goes on."""
    text = rest.strip() or menu.sought
    if not text:
        return "what? /find drawer"
    above = menu.found if text.casefold() == menu.sought.casefold() else None
    menu.sought, menu.found = text, menu.pane.find(text, above)
    return "" if menu.found is not None else f"nothing above holds {display(text)!r}; again begins at the newest"


def show_help(menu: Menu, rest: str) -> str:
    """Every command, and the keys."""
    items = [(command.usage, command.about) for command in COMMANDS.values()]
    menu.pane.add(Table(menu.now, "commands, wherever you type:", items=items + KEYS))
    menu.pane.to_last()
    return ""


def offers(menu: Menu) -> list[str]:
    """What Tab may put in place of the word before the cursor."""
    word = menu.line.word()
    first = menu.line.cursor == len(word)
    if first and word.startswith("/"):
        return [f"/{name} " for name in COMMANDS if name.startswith(word[1:].lower())]
    if menu.picker:
        return [choice.name for choice in menu.picker.shown if choice.name.lower().startswith(word.lower())]
    return _names(menu, word, " " if first and word.startswith("@") else "")


def _names(menu: Menu, word: str, end: str) -> list[str]:
    """Names that go on where the word ends: the most recently heard first, then who is here, then the others."""
    at = max(word.rfind(","), word.rfind("@")) + 1
    head, begin = word[:at], word[at:].lower()
    here = menu.talk.here
    known = [name for name in map(here.spelled, reversed(menu.talk.heard)) if name]
    known += [entry.name for entry in here.current if entry.name.lower() != here.me] if begin or head else []
    known += [name for name in here.beginning(begin, OFFERS_MAX) if name.lower() != here.me] if begin else []
    return [head + name + end for name in dict.fromkeys(known) if name.lower().startswith(begin)]


COMMANDS: dict[str, Command] = {
    "help": Command("/help", "this", show_help),
    "who": Command("/who", "list users: who is here, available or chatting", lambda menu, _: menu.talk.list_users()),
    "log": Command("/log", "every name ever used", lambda menu, _: menu.talk.list_users(whole=True)),
    "send": Command("/send bob,erin TEXT", "send; @bob TEXT is the same", send, True),
    "all": Command("/all TEXT", "send to every name in the log", send_all),
    "now": Command("/now bob TEXT", "send now or never: not kept for who is not here", send_now, True),
    "check": Command("/check", "show the messages that wait", lambda menu, _: menu.talk.check()),
    "chat": Command("/chat bob", "invite to a chat", chat, True),
    "group": Command("/group bob,erin", "invite to a group chat", group, True),
    "accept": Command("/accept", "accept an invitation (M-7); /accept bob his",
                      lambda menu, rest: menu.talk.answer(True, rest.strip()), True),
    "deny": Command("/deny", "deny it (M-8)", lambda menu, rest: menu.talk.answer(False, rest.strip()), True),
    "withdraw": Command("/withdraw", "take your invitation back (M-9)", lambda menu, _: menu.talk.withdraw()),
    "quit": Command("/quit", "leave the chat, as Quit does", quit_chat),
    "find": Command("/find TEXT", "the last thing shown that holds TEXT; /find: the one before it", find),
    "history": Command("/history N", "the last N messages that you have read, from your archive", history),
    "hold": Command("/hold on|off", "let new messages wait until you check, or not", hold),
    "ignore": Command("/ignore bob", "keep bob's messages and invitations away; without a name: whom you ignore",
                      ignore, True),
    "unignore": Command("/unignore bob", "let them come again", unignore, True),
    "ignored": Command("/ignored", "whom you ignore", lambda menu, _: menu.talk.list_ignored()),
    "claim": Command("/claim", "keep this name for yourself by a passphrase, or change it",
                     lambda menu, _: menu.ask_claim()),
    "unclaim": Command("/unclaim", "no passphrase for this name any more", lambda menu, _: menu.talk.unclaim()),
    "back": Command("/back", "one step back, as Esc", lambda menu, _: menu.back()),
    "exit": Command("/exit", "leave parley", lambda menu, _: menu.exit()),
}

KEYS = [
    ("Tab", "completes names and commands, the last heard first"),
    ("PageUp PageDown", "scroll; M-> to the newest"),
    ("Up Down", "lines typed before"),
]
