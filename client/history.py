"""history: the lines of an archive besides received messages, and back.

    2026-11-21T14:02:05.000017Z sent=9001 to=bob,carol flags=0 became=stored reason="" text="bay 3"
    2026-11-21T14:02:09.000017Z delivered=9001-9004 to=bob,carol
    2026-11-21T14:09:00.000017Z chat=bob from=alice text="which drawer was it?"
    forgotten id=17 origin=4294967301 from=bob check=1f2a

These are what the user sent, and what became of it;
that all recipients were shown the messages with these ids; a line of a chat with these others; and
what is left of a received message that the user had forgotten (forget.py): enough to know a copy of
it.  The check is 16 bits of a checksum of the text.  More would let somebody who reads the file try
out what the text was; fewer would let a message pass for a copy that is none.

A program of release 0.1 takes these lines for no messages and passes over them.  So they stand
among the received messages, in one file, in the order in which things happened.  A program passes
over every line that it does not know.

Failure: parse() takes a line that line() does not write for none.
"""
from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias
from zlib import crc32

from client import letters
from client.letters import NUMBER, QUOTED, TIME, U64_MAX, escape, moment, stamp, unescape
from wire import Mail, SendFlag

VERSION = b"-- parley archive 2\n"      # the first line of a file that this program begins

UNANSWERED, STORED, DELIVERED, REFUSED = "unanswered", "stored", "delivered", "refused"
ALL = "all"                             # a reserved word, so nobody's name

NAME = r"#?[A-Za-z0-9._-]+"
NAMES = rf"({NAME}(?:,{NAME})*)"
# Compiled when they are first met: most starts of a one-shot command never do, and save 2 ms.
SENT = (rf"{TIME} sent={NUMBER} to={NAMES} flags={NUMBER} "
        rf"became=({UNANSWERED}|{STORED}|{DELIVERED}|{REFUSED}) reason={QUOTED} text={QUOTED}")
CHAT = rf"{TIME} chat={NAMES} from=({NAME}) text={QUOTED}"
SHOWN = rf"{TIME} delivered={NUMBER}-{NUMBER} to={NAMES}"
GONE = rf"forgotten id={NUMBER} origin={NUMBER} from=(?:({NAME})|{QUOTED}) check=([0-9a-f]{{4}})"


class Sent(NamedTuple):
    """A message of the user's own."""
    time: int               # when it was sent, microseconds since 1970
    id: int                 # the user's own number of it: `origin` to its recipients
    flags: int              # wire.SendFlag
    to: tuple[str, ...]     # empty with EVERYONE
    became: str             # one of the four words
    reason: str             # why it was refused
    text: str


class Chat(NamedTuple):
    """A line of a chat, the user's own or another member's."""
    time: int
    others: tuple[str, ...]     # the members besides the user
    sender: str
    text: str


class Shown(NamedTuple):
    """The user's messages with these ids, to these recipients, were shown to all of them."""
    time: int
    first: int
    last: int
    to: tuple[str, ...]


class Gone(NamedTuple):
    """What is left of a received message that was forgotten."""
    id: int
    origin: int
    sender: str
    check: int

    def is_of(self, mail: Mail) -> bool:
        """Whether this message is a copy of the forgotten one."""
        return (self.sender, self.origin, self.check) == (mail.sender, mail.origin,
                                                          check_of(mail.text))


Own: TypeAlias = Sent | Chat | Shown
Record: TypeAlias = Mail | Sent | Chat      # what the user reads again


def check_of(text: str) -> int:
    """16 bits by which a copy is known."""
    return crc32(text.encode(errors="surrogatepass")) & 0xffff


def gone(mail: Mail) -> Gone:
    """What is left of a message when it is forgotten."""
    return Gone(mail.id, mail.origin, mail.sender, check_of(mail.text))


def line(record: Own | Gone) -> str:
    """A record as its line, without the newline."""
    if isinstance(record, Gone):
        return (f"forgotten id={record.id} origin={record.origin} "
                f"from={letters.name(record.sender)} check={record.check:04x}")
    if isinstance(record, Sent):
        to = ",".join(record.to) or ALL
        return (f"{stamp(record.time)} sent={record.id} to={to} flags={record.flags} "
                f'became={record.became} reason="{escape(record.reason)}" '
                f'text="{escape(record.text)}"')
    if isinstance(record, Chat):
        return (f"{stamp(record.time)} chat={','.join(record.others)} from={record.sender} "
                f'text="{escape(record.text)}"')
    return (f"{stamp(record.time)} delivered={record.first}-{record.last} "
            f"to={','.join(record.to)}")


def parse(raw: bytes) -> Mail | Own | Gone | None:
    """Whatever the line is; None for a mark, and for a line that no program writes."""
    kind = raw.partition(b" ")[2][:2]
    try:
        return PARSERS[kind](raw) if kind in PARSERS else None
    except (ValueError, OverflowError):
        return None


def parse_kept(raw: bytes) -> Mail | Gone | None:
    """A received message, or what is left of it."""
    if not raw.startswith(b"forgotten "):
        return letters.parse(raw)
    found = parse(raw)
    return found if isinstance(found, Gone) else None


def _fields(form: str, raw: bytes) -> tuple[str, ...]:
    found = re.fullmatch(form, raw.decode(), re.ASCII)
    if found is None:
        raise ValueError("no such line")
    return found.groups()


def _number(text: str) -> int:
    if (number := int(text)) > U64_MAX:
        raise ValueError("too high")
    return number


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _sent(raw: bytes) -> Sent:
    iso, number, ident, to, flags, became, reason, text = _fields(SENT, raw)
    names = () if int(flags) & SendFlag.EVERYONE else _names(to)
    return Sent(moment(iso, number), _number(ident), _number(flags), names, became,
                unescape(reason), unescape(text))


def _chat(raw: bytes) -> Chat:
    iso, number, others, sender, text = _fields(CHAT, raw)
    return Chat(moment(iso, number), _names(others), sender, unescape(text))


def _shown(raw: bytes) -> Shown:
    iso, number, first, last, to = _fields(SHOWN, raw)
    return Shown(moment(iso, number), _number(first), _number(last), _names(to))


def _gone(raw: bytes) -> Gone | None:
    ident, origin, plain, quoted, check = _fields(GONE, raw)
    sender = plain if plain is not None else unescape(quoted)
    return Gone(_number(ident), _number(origin), sender, int(check, 16))


def _received(raw: bytes) -> Mail | Gone | None:
    return _gone(raw) if raw.startswith(b"forgotten ") else letters.parse(raw)


PARSERS = {b"id": _received, b"se": _sent, b"ch": _chat, b"de": _shown}     # by the second word
