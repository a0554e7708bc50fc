"""commands: what a line that begins with / or @ means, in every mode.

COMMANDS is the table: a word, how it is used, what it does, and the function that does it.  run() gives back a fault,
one line for the user, or "" when it is done; with a fault the line stays as it was typed.  `@bob hi` is `/send bob hi`;
`//` begins an ordinary text with a slash, `@@` one with an @.  Pure.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from terminal.display import display
from ui.desk import Desk, Mode, Search
from ui.names import ONE_WORD, addressees, only_names
from ui.picker import FEW, TO_CHAT, TO_GROUP, TO_SOME
from ui.words import OFFLINE
from wire import SendFlag

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
    run: Callable[[Desk, str], str]


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


# ---- a line ----

def run(desk: Desk, text: str) -> str:
    """Do what the line asks; with a fault it stays as it was typed."""
    desk.line.set("")
    fault = _obey(desk, text)
    if fault:
        desk.line.set(text)
    else:
        desk.remember(text)
    return fault


def _obey(desk: Desk, text: str) -> str:
    if text.startswith("@"):
        in_chat = desk.talk.chatting.chat and is_all(addressees(text[1:])[0])
        return WHOM if in_chat else send(desk, text[1:])
    word, _, rest = text[1:].partition(" ")
    command = COMMANDS.get(word.lower())
    return command.run(desk, rest) if command else _unknown(word)


def _unknown(word: str) -> str:
    near = [f"/{other}" for other in COMMANDS if word and other.startswith(word[0].lower())]
    near = [ELSEWHERE[word.lower()]] if word.lower() in ELSEWHERE else near
    also = f": did you mean {' or '.join(near)}?" if near else ""
    return f"/{display(word)} is no command{also}; /help lists them; // begins a text with a slash"


# ---- messages ----

def send(desk: Desk, rest: str, flags: int = 0) -> str:
    """To names, with a text at once, without one after asking for it."""
    names, text = addressees(rest)
    text = text or ""
    if not names:
        return "to whom? /send bob,erin TEXT"
    if text.startswith(","):
        return ONE_WORD
    if is_all(names):
        return send_all(desk, text, flags)
    to, fault = desk.talk.people.resolve(names)
    return fault or _send_or_compose(desk, to, text, flags)


def send_all(desk: Desk, text: str = "", flags: int = 0) -> str:
    """To every name in the log but the user's own."""
    return _send_or_compose(desk, (), text, flags | SendFlag.EVERYONE)


def _send_or_compose(desk: Desk, to: tuple[str, ...], text: str, flags: int) -> str:
    return desk.talk.messages.send(to, text, flags) if text.strip() else desk.compose(to, flags)


def send_now(desk: Desk, rest: str) -> str:
    """Now or never."""
    return send(desk, rest, SendFlag.NOW)


def check(desk: Desk, _: str = "") -> str:
    return desk.talk.requests.check()


def history(desk: Desk, rest: str) -> str:
    """So many of the messages that were read, in this run or before."""
    number = rest.strip() or str(HISTORY)
    if not (number.isascii() and number.isdigit() and len(number) < 6 and 1 <= int(number) <= HISTORY_MAX):
        return f"how many? /history {HISTORY}, {HISTORY_MAX} at most"
    return desk.talk.messages.history(int(number))


def find(desk: Desk, rest: str) -> str:
    """Upwards from the newest; the same again goes on."""
    last = desk.search
    text = rest.strip() or last.text
    if not text:
        return "what? /find drawer"
    above = last.found if text.casefold() == last.text.casefold() else None
    desk.search = Search(text, desk.pane.find(text, above))
    return "" if desk.search.found is not None else f"nothing above holds {display(text)!r}; again begins at the newest"


def hold(desk: Desk, rest: str) -> str:
    """On or off."""
    wanted = {"on": True, "off": False}.get(rest.strip().lower())
    if wanted is None:
        state = "on" if desk.link.ask.holding else "off"
        return f"holding is {state}; /hold on: new messages wait for a check; /hold off: they are shown"
    return desk.talk.requests.hold(wanted)


# ---- people ----

def who(desk: Desk, _: str = "") -> str:
    return desk.talk.requests.list_users()


def log(desk: Desk, _: str = "") -> str:
    return desk.talk.requests.list_log()


def ignore(desk: Desk, rest: str) -> str:
    """Put a name on the list; without one, the list."""
    names, fault = only_names(rest)
    if fault or len(names) > 1:
        return "one name at a time: /ignore bob"
    return desk.talk.requests.ignore(names[0], True) if names else desk.talk.requests.list_ignored()


def unignore(desk: Desk, rest: str) -> str:
    """Take a name off it."""
    names, _ = only_names(rest)
    return desk.talk.requests.ignore(names[0], False) if len(names) == 1 else "whom? /unignore bob"


def ignored(desk: Desk, _: str = "") -> str:
    return desk.talk.requests.list_ignored()


def claim(desk: Desk, _: str = "") -> str:
    """Ask for a passphrase."""
    return desk.go(Mode.CLAIM) if desk.link.online else OFFLINE


def unclaim(desk: Desk, _: str = "") -> str:
    return desk.talk.requests.unclaim()


# ---- chats ----

def chat(desk: Desk, rest: str = "") -> str:
    """With one user, typed or picked."""
    names, fault = only_names(rest)
    if len(names) > 1:
        return "a chat is with one user: /group bob,erin invites several"
    return fault or (invite(desk, names) if names else _pick_one(desk))


def group(desk: Desk, rest: str = "") -> str:
    """With several users, typed or picked."""
    names, fault = only_names(rest)
    if len(names) == 1:
        return "a group chat is with two or more: /group bob,erin"
    return fault or (invite(desk, names) if names else _pick_group(desk))


def _pick_one(desk: Desk) -> str:
    hindrance = desk.talk.invitations.hindrance()
    if hindrance or not desk.talk.people.here.available:
        return hindrance or _nobody(desk, "No clients to chat")
    return desk.open(TO_CHAT)


def _pick_group(desk: Desk) -> str:
    """From every group there can be, if these are few; else by marks."""
    hindrance, available = desk.talk.invitations.hindrance(), desk.talk.people.here.available
    if hindrance or len(available) < 2:
        only = f": a group takes two others, and only {display(available[0])} is available" if available else ""
        return hindrance or _nobody(desk, "No clients to chat" + only)
    return desk.open(TO_GROUP if len(available) <= FEW else TO_SOME)


def _nobody(desk: Desk, word: str) -> str:
    desk.talk.feed.note(word)
    return desk.home()


def invite(desk: Desk, names: Sequence[str]) -> str:
    """To a chat, or to a group chat."""
    to, fault = desk.talk.people.resolve(names)
    return fault or desk.talk.invitations.invite(to) or desk.go(Mode.MENU)


def accept(desk: Desk, rest: str = "") -> str:
    return desk.talk.invitations.answer(True, rest.strip())


def deny(desk: Desk, rest: str = "") -> str:
    return desk.talk.invitations.answer(False, rest.strip())


def withdraw(desk: Desk, _: str = "") -> str:
    return desk.talk.invitations.withdraw()


def quit_chat(desk: Desk, _: str = "") -> str:
    """The same as Quit in a chat."""
    chatting = desk.talk.chatting
    return chatting.say("Quit") if chatting.chat else "you are in no chat: 6 or /exit leaves parley"


# ---- the program ----

def show_help(desk: Desk, _: str = "") -> str:
    """Every command, and the keys."""
    items = [(command.usage, command.about) for command in COMMANDS.values()]
    desk.talk.feed.show("commands, wherever you type:", items + KEYS)
    return ""


def back(desk: Desk, _: str = "") -> str:
    return desk.back()


def leave(desk: Desk, _: str = "") -> str:
    return desk.exit()


# ---- Tab ----

def offers(desk: Desk) -> list[str]:
    """What Tab may put in place of the word before the cursor."""
    word = desk.line.word()
    first = desk.line.cursor == len(word)
    if first and word.startswith("/"):
        return [f"/{name} " for name in COMMANDS if name.startswith(word[1:].lower())]
    if desk.picker:
        return [choice.name for choice in desk.picker.shown if choice.name.lower().startswith(word.lower())]
    return _names(desk, word, " " if first and word.startswith("@") else "")


def _names(desk: Desk, word: str, end: str) -> list[str]:
    """Names that go on where the word ends: the most recently heard first, then who is here, then the others."""
    at = max(word.rfind(","), word.rfind("@")) + 1
    head, begin = word[:at], word[at:].lower()
    people = desk.talk.people
    here = people.here
    known = [name for name in map(here.spelled, reversed(people.heard)) if name]
    known += people.others([entry.name for entry in here.current]) if begin or head else []
    known += people.others(here.beginning(begin, OFFERS_MAX)) if begin else []
    return [head + name + end for name in dict.fromkeys(known) if name.lower().startswith(begin)]


COMMANDS: dict[str, Command] = {
    "help": Command("/help", "this", show_help),
    "who": Command("/who", "list users: who is here, available or chatting", who),
    "log": Command("/log", "every name ever used", log),
    "send": Command("/send bob,erin TEXT", "send; @bob TEXT is the same", send),
    "all": Command("/all TEXT", "send to every name in the log", send_all),
    "now": Command("/now bob TEXT", "send now or never: not kept for who is not here", send_now),
    "check": Command("/check", "show the messages that wait", check),
    "chat": Command("/chat bob", "invite to a chat", chat),
    "group": Command("/group bob,erin", "invite to a group chat", group),
    "accept": Command("/accept", "accept an invitation (M-7); /accept bob his", accept),
    "deny": Command("/deny", "deny it (M-8)", deny),
    "withdraw": Command("/withdraw", "take your invitation back (M-9)", withdraw),
    "quit": Command("/quit", "leave the chat, as Quit does", quit_chat),
    "find": Command("/find TEXT", "the last thing shown that holds TEXT; /find: the one before it", find),
    "history": Command("/history N", "the last N messages that you have read, from your archive", history),
    "hold": Command("/hold on|off", "let new messages wait until you check, or not", hold),
    "ignore": Command("/ignore bob", "keep bob's messages and invitations away; without a name: whom you ignore",
                      ignore),
    "unignore": Command("/unignore bob", "let them come again", unignore),
    "ignored": Command("/ignored", "whom you ignore", ignored),
    "claim": Command("/claim", "keep this name for yourself by a passphrase, or change it", claim),
    "unclaim": Command("/unclaim", "no passphrase for this name any more", unclaim),
    "back": Command("/back", "one step back, as Esc", back),
    "exit": Command("/exit", "leave parley", leave),
}

KEYS = [
    ("Tab", "completes names and commands, the last heard first"),
    ("PageUp PageDown", "scroll; M-> to the newest"),
    ("Up Down", "lines typed before"),
]
