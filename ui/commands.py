"""commands: what a line that begins with / or @ means, in every mode.

COMMANDS is the table: for each word how it is used, what it does, and the function that does it.
The numbered items and some keys call the same functions, without the words behind a command.
run() and every function give back a fault, one line for the user, or "" when it is done; after a
fault the line stays as it was typed.  `@bob hi` is `/send bob hi`; `//` begins an ordinary text
with a slash, `@@` one with an @.  Pure.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from terminal.display import display
from ui import joining
from ui.dates import span
from ui.desk import Desk, Mode, Search
from ui.help import KEYS, MARKS, MORE
from ui.names import ONE_WORD, addressees, counted, nearest, only_names, recipients
from ui.notices import BELL, KINDS, OFF
from ui.picker import FEW, TO_CHAT, TO_GROUP, TO_SOME, TO_TALK
from ui.words import BAD_NAME, OFFLINE
from wire import ROOM_SIGN, SendFlag, is_name, is_room

OFFERS_MAX = 10_000     # names that Tab looks through
EVERYONE = "all"        # a reserved word, so nobody's name
LITERAL = ("//", "@@")  # a text that begins with the second character of one of these
LINES = "lines"         # of --plain (several.py)
HISTORY = 20            # messages that /history shows by itself
HISTORY_MAX = 1000      # and at most: what a user may still scroll through
WHOM = "for the chat, leave out @all; for everybody in the log, type /all TEXT"     # @all in a chat
ELSEWHERE = {           # what other programs call the same
    "msg": "/send", "query": "/with", "tell": "/send", "write": "/send", "wall": "/all",
    "names": "/who", "list": "/who", "users": "/who", "invite": "/chat",
    "part": "/leave", "channels": "/rooms", "q": "/quit", "search": "/find", "lastlog": "/find",
    "grep": "/find", "backlog": "/history", "bye": "/exit", "inbox": "/check",
    "mail": "/check", "block": "/ignore", "register": "/claim"}


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
    """Whom `@bob,erin TEXT` is for; nobody for any other line, or for names without a text."""
    if not (text.startswith("@") and is_command(text)):
        return []
    names, rest = addressees(text[1:])
    return names if rest is not None else []


def is_all(names: list[str]) -> bool:
    """Whether these are `all`."""
    return [name.lower() for name in names] == [EVERYONE]


# ---- a line ----

def run(desk: Desk, text: str) -> str:
    """Do what a line asks; after a fault the line stays as it was typed."""
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
    typed = word.lower()
    begun = [other for other in COMMANDS if typed and other.startswith(typed)]
    near = [f"/{other}" for other in begun or nearest(typed, COMMANDS, 1)]
    near = [ELSEWHERE[typed], *near[:len(begun)]] if typed in ELSEWHERE else near
    meant = f" (did you mean {' or '.join(dict.fromkeys(near))}?)" if near else ""
    return (f"/{display(word)} is not a command{meant}; /help lists the commands; "
            "// begins a text with a slash")


# ---- messages ----

def send_to(desk: Desk, rest: str, flags: int = 0) -> str:
    """/send.  No prompt says before Enter whom it is for, as one does for `@bob, carol hi`: so a
    comma at the blank is refused, as --send refuses it."""
    word, *text = rest.split(None, 1)[:2] or [""]
    return ONE_WORD if text and word.endswith(",") else send(desk, rest, flags)


def send(desk: Desk, rest: str, flags: int = 0) -> str:
    """To names: the text that follows them, or one that is asked for."""
    names, text = addressees(rest)
    text = text or ""
    if not names:
        return "a message needs names: /send bob,erin TEXT"
    if text.lstrip().startswith(","):
        return ONE_WORD
    if is_all(names):
        return send_all(desk, text, flags)
    to, fault = desk.talk.people.resolve(names)
    return fault or _send_or_compose(desk, to, text, flags)


def send_all(desk: Desk, text: str = "", flags: int = 0) -> str:
    """To every name in the log but the user's own."""
    return _send_or_compose(desk, (), text, flags | SendFlag.EVERYONE)


def _send_or_compose(desk: Desk, to: tuple[str, ...], text: str, flags: int) -> str:
    if not text.strip():
        return desk.compose(to, flags)
    fault = deliver(desk, to, text, flags)
    if not fault and desk.mode is Mode.MENU:
        stay(desk, to)
    return fault


def deliver(desk: Desk, to: Sequence[str], text: str, flags: int = 0) -> str:
    """Send a text; the user hears which of the readers say that they are away."""
    fault = desk.talk.messages.send(to, text, flags)
    if not fault:
        desk.talk.away.wrote(list(to))
    return fault


def stay(desk: Desk, to: Sequence[str]) -> None:
    """A message was sent: the prompt stays with its reader, if it is one.  Who chats goes back to
    the chat."""
    if desk.stays and len(to) == 1 and not (desk.talk.chatting.chat
                                            or desk.talk.people.is_me(to[0])):
        desk.converse(to[0])


def talk_with(desk: Desk, rest: str) -> str:
    """Open the conversation with a user, who is typed or picked."""
    names, fault = only_names(rest)
    if fault or len(names) > 1:
        return "a conversation is with one: /with bob"
    if not names:
        return desk.open(TO_TALK)
    to, fault = desk.talk.people.resolve(names)
    return fault or desk.converse(to[0], alone=True)


def next_news(desk: Desk, _: str = "") -> str:
    """Go to the conversation in which something is new."""
    name = desk.talk.conversations.next
    if desk.is_secret or desk.is_at_login:
        return ""
    if not name:
        return "nothing is new in another conversation"
    return desk.converse(name, alone=True)


def reply_all(desk: Desk, _: str = "") -> str:
    """Write to all who have part in the last message of another user, as far as that tells them.
    In the conversation that is shown alone: in the last one there that had several recipients."""
    received = desk.talk.messages.last_received
    last = (desk.talk.conversations.alone and received(several=True)) or received()
    if desk.is_secret or desk.is_at_login:
        return ""
    if last is None:
        return "there is no message to answer"
    if last.is_vague:
        return f"it does not say who else got it; @{display(last.others[0])} answers its sender"
    if len(last.others) == 1:
        if not is_room(other := last.others[0]):
            desk.talk.feed.note(f"answers {display(other)} alone: no other user got the message")
        return desk.converse(other)
    to, fault = desk.talk.people.resolve(last.others)
    return fault or desk.compose(to)


def send_now(desk: Desk, rest: str) -> str:
    """Now or never."""
    return send_to(desk, rest, SendFlag.NOW)


def lines(desk: Desk, _: str = "") -> str:
    """In --plain a text of several lines."""
    return "on the screen, M-Enter begins another row of a text; /lines is for --plain"


def check(desk: Desk, _: str = "") -> str:
    return desk.talk.requests.check()


def history(desk: Desk, rest: str) -> str:
    """The last so many messages, with one user or with anybody, of this run or an earlier one; or
    those of some days.

    A lone number is no name, and so is a day."""
    if said := _days(desk, rest.split()):
        return said[0]
    *names, number = rest.split() or [str(HISTORY)]
    if not names and (is_name(number) or is_room(number)) and not number.isdigit():
        names, number = [number], str(HISTORY)
    is_number = number.isascii() and number.isdigit() and len(number) < 6
    if not is_number or not 1 <= int(number) <= HISTORY_MAX:
        return f"/history needs a number from 1 to {HISTORY_MAX}: /history bob {HISTORY}"
    if len(names) > 1 or not all(is_name(name) or is_room(name) for name in names):
        return f"/history takes one name: /history bob {HISTORY}"
    return desk.talk.past.show(int(number), "".join(names))


def _days(desk: Desk, words: list[str]) -> tuple[str] | None:
    """/history of a day, or of a week, with one user or with anybody; None: no such words."""
    for names in ([], words[:1]):
        when = " ".join(words[len(names):])
        days = None if when.isdigit() else span(when)
        if days and all(is_name(name) or is_room(name) for name in names):
            if days.begin == days.end:          # 30d: since then
                days = days._replace(end=desk.talk.feed.now + 1)
            return (desk.talk.past.show(HISTORY_MAX, "".join(names), days, when),)
    return None


def find(desk: Desk, rest: str) -> str:
    """Search upwards from the newest, in the pane and then in the archive; the same text again, or
    none, goes on from there.  Without a screen nobody sees where the pane stands."""
    last = desk.search
    text = rest.strip() or last.text
    if not text:
        return "/find needs a text: /find drawer"
    if text.casefold() != last.text.casefold():
        last = Search(text)
    found = None
    if last.place is None and not desk.strict:
        found = desk.pane.find(text, last.found)
    desk.search = Search(text, found, last.place)
    if found is not None:
        return ""
    return desk.talk.past.find(text, last.place, lambda place: _found(desk, text, place))


def _found(desk: Desk, text: str, place: int | None) -> str:
    """The search in the archive is over."""
    desk.search = Search(text, None, place)
    if place is None:
        return f"nothing above contains {display(text)!r}; /find again starts at the newest"
    return ""


def hold(desk: Desk, rest: str) -> str:
    """On or off."""
    wanted = {"on": True, "off": False}.get(rest.strip().lower())
    if wanted is None:
        state = "on" if desk.link.ask.holding else "off"
        return _told(desk, rest, f"holding is {state}; /hold on: new messages wait for a check; "
                                 "/hold off: they are shown")
    return desk.talk.requests.hold(wanted)


def _told(desk: Desk, given: str, text: str) -> str:
    """How something is: as a line for a user who only asked, as a fault for one who asked wrong."""
    if given.strip():
        return text
    desk.talk.feed.note(text)
    return ""


# ---- what else is on the screen ----

def url(desk: Desk, rest: str) -> str:
    """List the web addresses; copy, show or open one."""
    number, _, how = rest.strip().partition(" ")
    if not number:
        return desk.talk.links.list()
    is_number = number.isascii() and number.isdigit() and len(number) < 6
    if not is_number or how.strip() not in ("", "show", "open"):
        return "/url 1 copies the newest, /url 1 show and /url 1 open do that; /url lists them"
    return desk.talk.links.use(int(number), how.strip(), to_read=desk.strict)


def notify(desk: Desk, rest: str) -> str:
    """How the user hears of what happens while they are elsewhere."""
    notices, kind = desk.talk.notices, rest.strip().lower()
    if kind not in KINDS:
        return _told(desk, kind, f"notices are {notices.kind}; /notify takes one of "
                                 f"{' '.join(KINDS)}")
    if desk.strict and kind not in (BELL, OFF):
        return "--plain shows no notifications; /notify off also stops --notify-command"
    notices.kind = kind
    if desk.strict and kind == BELL:
        desk.talk.feed.note("notices by --notify-command alone: --plain rings no bell")
        return ""
    how = ("no notices" if kind == OFF else
           f"notices by {kind}, while the terminal has not said that you look")
    desk.talk.feed.note(f"{how}; `notify = {kind}` in the configuration file keeps it so")
    return ""


def tell_me(desk: Desk, rest: str) -> str:
    """Say when a user comes; without a name, list whom the user waits for."""
    names, fault = only_names(rest)
    if fault or len(names) > 1:
        return "/tell-me takes one name: /tell-me bob"
    return desk.talk.notices.tell_me(names[0]) if names else desk.talk.notices.list()


def status(desk: Desk, _: str = "") -> str:
    """What the bar says, in a line."""
    link, talk = desk.link, desk.talk
    if not link.online:
        talk.feed.note(f"not connected; {counted(len(link.pending), 'message')} of yours not "
                       "stored yet")
        return ""
    chat = talk.chatting.chat
    parts = [f"{display(link.name)} at {display(link.house)}", talk.people.here.summary,
             f"{counted(link.waiting, 'message')} waiting",
             "away" if talk.away.own else "",
             "holding new ones" if link.ask.holding else "",
             f"in a chat with {display(recipients(chat.others))}" if chat else ""]
    talk.feed.note(", ".join(filter(None, parts)))
    return ""


# ---- people ----

def who(desk: Desk, rest: str = "") -> str:
    """Who is connected, with this in the name; with a room: who is in it."""
    what = rest.strip()
    return desk.talk.rooms.members(what) if is_room(what) else desk.talk.requests.list_users(what)


def log(desk: Desk, rest: str = "") -> str:
    return desk.talk.requests.list_log(rest.strip())


def ignore(desk: Desk, rest: str) -> str:
    """Ignore a user; without a name, list the users who are ignored."""
    names, fault = only_names(rest)
    if fault or len(names) > 1:
        return "/ignore takes one name: /ignore bob"
    return desk.talk.requests.ignore(names[0], True) if names else ignored(desk)


def away(desk: Desk, rest: str) -> str:
    """Tell who writes that the user is away; without a text, tell that no longer."""
    return desk.talk.away.say(rest.strip())


def unignore(desk: Desk, rest: str) -> str:
    """Ignore a user no longer."""
    names, _ = only_names(rest)
    if len(names) != 1:
        return "/unignore needs one name: /unignore bob"
    return desk.talk.requests.ignore(names[0], False)


def ignored(desk: Desk, _: str = "") -> str:
    return desk.talk.requests.list_ignored()


def claim(desk: Desk, _: str = "") -> str:
    """Ask for a new passphrase."""
    return desk.go(Mode.CLAIM) if desk.link.online else OFFLINE


def unclaim(desk: Desk, _: str = "") -> str:
    return desk.talk.requests.unclaim()


# ---- chats ----

def chat(desk: Desk, rest: str = "") -> str:
    """With one user, whose name is typed or picked."""
    names, fault = only_names(rest)
    if len(names) > 1:
        return "a chat is with one user: /group bob,erin invites several"
    return fault or (invite(desk, names) if names else _pick_one(desk))


def group(desk: Desk, rest: str = "") -> str:
    """With several users, whose names are typed or picked."""
    names, fault = only_names(rest)
    if len(names) == 1:
        return "a group chat is with two or more others: /group bob,erin"
    return fault or (invite(desk, names) if names else _pick_group(desk))


def _pick_one(desk: Desk) -> str:
    if hindrance := desk.talk.invitations.hindrance():
        return hindrance
    if not desk.talk.people.here.available:
        return _nobody(desk, "No clients to chat")
    return desk.open(TO_CHAT)


def _pick_group(desk: Desk) -> str:
    """From a list of all possible groups if these are few, else by marking names."""
    if hindrance := desk.talk.invitations.hindrance():
        return hindrance
    available = [display(name) for name in desk.talk.people.here.available]
    if not available:
        return _nobody(desk, "No clients to chat")
    if len(available) == 1:
        return _nobody(desk, "No clients to chat: a group takes two others, and only "
                             f"{available[0]} is available")
    return desk.open(TO_GROUP if len(available) <= FEW else TO_SOME)


def _nobody(desk: Desk, words: str) -> str:
    desk.talk.feed.note(words)
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
    if not chatting.chat:
        return "you are not in a chat: 6 or /exit leaves parley"
    return chatting.say("Quit")


# ---- the program ----

def take(desk: Desk, _: str = "") -> str:
    """Move the user's session here."""
    if desk.link.online:
        return "your session is here"
    if not is_name(desk.link.name):
        return BAD_NAME
    desk.link.connect(take=True)
    return ""


def show_help(desk: Desk, rest: str = "") -> str:
    """Every command, the keys and the marks; or one command, or one of these tables."""
    rows = [(command.usage, command.about) for command in COMMANDS.values()]
    tables = {"commands": ("commands, wherever you type (keys, marks: PageDown):", rows),
              "keys": ("keys:", KEYS), "marks": ("marks before your messages:", MARKS)}
    word = rest.strip().lower().removeprefix("/")
    if command := COMMANDS.get(word):
        desk.talk.feed.show("the command:", [(command.usage, command.about), *MORE.get(word, [])])
    elif word and word not in tables:
        return _unknown(word)
    elif not word and desk.pane.is_small:
        desk.talk.feed.note(f"commands: {' '.join(f'/{name}' for name in COMMANDS)}")
        desk.talk.feed.note("/help send, or another word: how it is used; /help commands: all of "
                            "them; /help keys; /help marks")
        desk.pane.to_last(2)
    else:
        desk.talk.feed.show_tables([tables[word]] if word else [*tables.values()])
    return ""


def back(desk: Desk, _: str = "") -> str:
    return desk.back()


def leave(desk: Desk, _: str = "") -> str:
    return desk.exit()


# ---- Tab ----

def offers(desk: Desk) -> list[str]:
    """What Tab may put in the place of the word before the cursor."""
    word = desk.line.word()
    first = desk.line.cursor == len(word)
    if first and word.startswith("/"):
        return [f"/{name} " for name in COMMANDS if name.startswith(word[1:].lower())]
    if desk.picker:
        return [choice.name for choice in desk.picker.shown
                if choice.name.lower().startswith(word.lower())]
    return _names(desk, word, " " if first and word.startswith("@") else "")


def _names(desk: Desk, word: str, end: str) -> list[str]:
    """Names that go on where the word ends: those heard last, the connected, then all others."""
    at = max(word.rfind(","), word.rfind("@")) + 1
    head, begin = word[:at], word[at:].lower()
    people = desk.talk.people
    here = people.here
    if begin.startswith(ROOM_SIGN):
        all_rooms = (*desk.link.rooms.own.values(), *desk.link.rooms.listed.values())
        names = dict.fromkeys([each.name for each in all_rooms])
        return [head + name + end for name in names if name.lower().startswith(begin)]
    known = [name for name in map(here.spelled, reversed(people.heard)) if name]
    known += people.others([entry.name for entry in here.current]) if begin or head else []
    known += people.others(here.beginning(begin, OFFERS_MAX)) if begin else []
    return [head + name + end for name in dict.fromkeys(known) if name.lower().startswith(begin)]


COMMANDS: dict[str, Command] = {
    "help": Command("/help", "show this list; /help keys, /help find: a part of it", show_help),
    "who": Command("/who", "list users: who is here; /who bo: some; /who #ops: in a room", who),
    "log": Command("/log", "list every name ever used; /log bo: those with bo in them", log),
    "send": Command("/send bob,erin TEXT", "send a message; @bob TEXT is the same", send_to),
    "with": Command("/with bob", "talk with bob: lines go to bob, until Esc; M-a: what is new",
                    talk_with),
    "reply": Command("/reply", "answer all who got the last message (M-r)", reply_all),
    "all": Command("/all TEXT", "send to every name in the log", send_all),
    "now": Command("/now bob TEXT", "send now or never: not kept for users who are away", send_now),
    LINES: Command("/lines @bob", "--plain: the lines up to a . alone are one text for bob",
                   lines),
    "send-again": Command("/send-again", "send what had no answer in an earlier session",
                          lambda desk, _: desk.talk.earlier.again()),
    "drop": Command("/drop", "do not send that", lambda desk, _: desk.talk.earlier.drop()),
    "check": Command("/check", "show the messages that wait for you", check),
    "join": Command("/join #ops", "be in a room: @#ops TEXT says something to all in it",
                    joining.join),
    "leave": Command("/leave #ops", "be in a room no longer", joining.leave),
    "rooms": Command("/rooms", "list the rooms that you may join", joining.rooms),
    "topic": Command("/topic #ops TEXT", "set the topic of a room; without TEXT: show it",
                     joining.topic),
    "room": Command("/room #ops open", "who may join: names bob,erin, add, drop, group; close",
                    joining.room),
    "chat": Command("/chat bob", "invite to a chat", chat),
    "group": Command("/group bob,erin", "invite to a group chat", group),
    "accept": Command("/accept", "accept an invitation (M-7); /accept bob: bob's", accept),
    "deny": Command("/deny", "deny an invitation (M-8)", deny),
    "withdraw": Command("/withdraw", "take your invitation back (M-9)", withdraw),
    "quit": Command("/quit", "leave the chat, as Quit does", quit_chat),
    "find": Command("/find TEXT", "go to the last TEXT above; /find: the one before it", find),
    "history": Command("/history bob N", "show the last N with bob; /history bob yesterday: that "
                       "day's", history),
    "hold": Command("/hold on|off", "let new messages wait until you check, or not", hold),
    "url": Command("/url N", "copy web address N, 1 is the newest; /url: list them", url),
    "notify": Command("/notify bell|off", "notices while you are elsewhere; also osc9, osc777",
                      notify),
    "tell-me": Command("/tell-me bob", "say when bob comes; /tell-me: whom you wait for", tell_me),
    "away": Command("/away TEXT", "tell TEXT to who writes to you; /away: no longer", away),
    "status": Command("/status", "say what the bar shows: who is here, what waits", status),
    "ignore": Command("/ignore bob", "hear nothing from bob; /ignore: whom you ignore", ignore),
    "unignore": Command("/unignore bob", "hear from bob again", unignore),
    "ignored": Command("/ignored", "list the users you ignore", ignored),
    "claim": Command("/claim", "protect your name by a passphrase, or change that", claim),
    "unclaim": Command("/unclaim", "remove the passphrase of your name", unclaim),
    "take": Command("/take", "move your session here from where it is in use", take),
    "back": Command("/back", "go one step back, as Esc does", back),
    "exit": Command("/exit", "leave parley", leave),
}
