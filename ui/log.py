"""log: the subcommands that need no daemon: `parley log` and `parley forget`.

Both take the archives of one name, those of all stores where it was used.  `log` prints what was
sent and received, the oldest first; with several archives by time, as far as each is in order.  It
ends as grep(1) does: 0 if something was printed, 1 if nothing matched.  `forget` asks nothing.
"""
from __future__ import annotations

import argparse
import binascii
import heapq
import os
import re
import signal
from collections.abc import Iterator
from typing import Any

from client.archive import files
from client.forget import forget
from client.history import Chat, Record, Sent
from client.letters import EPOCH, LAST_TIME, MICROSECOND, stamp
from client.past import NEVER, Wanted, select
from net import address
from terminal.display import display
from ui.dates import WRITTEN, Span, span
from ui.entries import clock
from ui.failures import Failure
from ui.names import counted
from ui.options import Subcommand, own_name
from ui.output import print_line
from ui.past import said
from wire import SendFlag

NOTHING = 1             # the exit code of log where no entry matches, as grep's
SUBJECT = 60            # characters of a text that stand in the subject, in an mbox
WORD = 45               # bytes in one encoded word of a header (RFC 2047: 75 with its frame)


# ---- which archives ----

def _archives(options: argparse.Namespace) -> tuple[str, str, list[str]]:
    """The name, the directory, and its files there.  Raises Failure."""
    name = own_name(options)
    try:
        directory = address.state_directory()
        found = files(directory, name)
    except FileNotFoundError:
        found = []
    except OSError as fault:
        raise Failure(os.EX_IOERR, f"the archive can't be read: {fault.strerror}") from None
    if not found:
        raise Failure(os.EX_NOINPUT, f"{name} has no archive here; --name NAME or $PARLEY_NAME "
                                     "says whose to take")
    return name, directory, found


def _span(text: str) -> Span:
    """What a user writes for a time."""
    if (found := span(text)) is None:
        raise argparse.ArgumentTypeError(f"{display(text)!r} is no date: {WRITTEN}")
    return found


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as fault:
        raise argparse.ArgumentTypeError(f"{display(text)!r}: {fault}") from None


# ---- parley log ----

def _add_log(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--with", metavar="NAME", dest="whom", default="", help="only what this user wrote or got")
    add("--grep", metavar="RE", type=_pattern,
        help="only texts with this regular expression, as Python writes it; (?i) ignores case")
    add("--since", metavar="DATE", type=_span, help=f"only from this time on: {WRITTEN}")
    add("--until", metavar="DATE", type=_span, help="only up to this time, and all of such a day")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_const", dest="form", const=as_json,
                      help="one JSON document a line")
    form.add_argument("--mbox", action="store_const", dest="form", const=_mbox,
                      help="a mailbox that mail readers open")


def log(options: argparse.Namespace) -> int:
    """Print what was said.  The exit code.  Raises Failure."""
    name, directory, found = _archives(options)
    since = stamp(options.since.begin).encode() if options.since else b""
    until = stamp(options.until.end).encode() if options.until else NEVER
    wanted = Wanted(options.whom, options.grep, since, until)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)       # `parley log | head` is no failure
    form = options.form or _text
    code = NOTHING
    for record in _merged([_records(directory, file, wanted) for file in found]):
        code = os.EX_OK
        for line in form(record, name):
            print_line(line)
    return code


def _records(directory: str, file: str, wanted: Wanted) -> Iterator[Record]:
    """The entries of an archive.  Raises Failure."""
    try:
        fd = os.open(os.path.join(directory, file), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            yield from select(fd, wanted)
        finally:
            os.close(fd)
    except OSError as fault:
        raise Failure(os.EX_IOERR, f"{file} can't be read: {fault.strerror}") from None


def _merged(archives: list[Iterator[Record]]) -> Iterator[Record]:
    if len(archives) == 1:
        return archives[0]
    return heapq.merge(*archives, key=lambda record: record.time)


def _text(record: Record, name: str) -> Iterator[str]:
    """As --check prints it."""
    day = clock(record.time, "%Y-%m-%d")
    return (f"{day} {line}" for line in said(record, name).lines())


def _fields(record: Record, name: str) -> dict[str, Any]:
    """A record as the manual has it for --json."""
    time = stamp(record.time)
    if isinstance(record, Sent):
        return {"time": time, "kind": "sent", "from": name, "to": list(record.to),
                "everyone": not record.to, "text": record.text, "origin": record.id,
                "became": record.became, "reason": record.reason}
    if isinstance(record, Chat):
        to = [each for each in (name, *record.others) if each.lower() != record.sender.lower()]
        return {"time": time, "kind": "chat", "from": record.sender, "to": to, "everyone": False,
                "text": record.text}
    return {"time": time, "kind": "received", "from": record.sender,
            "to": list(record.to) or [name], "everyone": bool(record.flags & SendFlag.EVERYONE),
            "text": record.text, "origin": record.origin, "id": record.id, "copies": record.copies}


def as_json(record: Record, name: str) -> Iterator[str]:
    from json import dumps  # not at the start, of which it would be 2 ms
    yield dumps(_fields(record, name)).replace("\x7f", "\\u007f")


def _mbox(record: Record, name: str) -> Iterator[str]:
    """A message as RFC 4155 and RFC 5322 have it; `From ` at the beginning of a line is quoted by
    `>`, as `>From ` is."""
    time = EPOCH + (record.time if record.time <= LAST_TIME else 0) * MICROSECOND
    fields = _fields(record, name)
    yield f"From {display(fields['from'])} {time:%a %b %d %H:%M:%S %Y}"
    yield f"From: {display(fields['from'])}"
    yield f"To: {', '.join(map(display, fields['to'])) or 'all'}"
    yield f"Date: {time:%a, %d %b %Y %H:%M:%S} +0000"
    yield f"Subject: {_encoded(display(record.text.partition(chr(10))[0]))}"
    if "origin" in fields:
        yield f"Message-ID: <{fields['origin']:x}.{display(fields['from'])}@parley>"
    yield f"X-Parley: {fields.get('became', fields['kind'])}"
    yield "Status: RO"
    yield "MIME-Version: 1.0"
    yield "Content-Type: text/plain; charset=utf-8"
    yield "Content-Transfer-Encoding: 8bit"
    yield ""
    for row in record.text.split("\n"):
        yield f">{row}" if re.match(">*From ", row) else row
    yield ""


def _encoded(text: str) -> str:
    """The beginning of a text in a header: one word of RFC 2047 where it is not ASCII."""
    if text.isascii():
        return text[:SUBJECT]
    whole = text.encode(errors="replace")[:WORD].decode(errors="ignore").encode()
    return f"=?utf-8?b?{binascii.b2a_base64(whole, newline=False).decode()}?="


# ---- parley forget ----

def _add_forget(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--before", metavar="DATE", type=_span, required=True,
                        help=f"forget what is older: {WRITTEN}")


def forget_old(options: argparse.Namespace) -> int:
    """Let go of what is older, and say what that was.  The exit code.  Raises Failure."""
    name, directory, found = _archives(options)
    received = sent = lines = 0
    for file in found:
        try:
            done = forget(directory, file, options.before.begin)
        except OSError as fault:
            raise Failure(os.EX_IOERR, f"{file}: {fault.strerror}: it is as it was") from None
        received, sent, lines = received + done.received, sent + done.sent, lines + done.lines
    before = clock(options.before.begin, "%Y-%m-%d %H:%M")
    print_line(f"{name}: forgot what was said before {before}: "
               f"{counted(received, 'received message')}, {counted(sent, 'sent message')}, "
               f"{counted(lines, 'line')} of chats")
    return os.EX_OK


SUBCOMMANDS = {
    "log": Subcommand("print what was sent and received, from the archive", _add_log, log),
    "forget": Subcommand("remove old entries from the archive", _add_forget, forget_old),
}

