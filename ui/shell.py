"""shell: the subcommands that go on an errand to the daemon, for scripts and people at a prompt.

    parley send NAMES [TEXT...]     send a message; without TEXT, or with -, from standard input
    parley check                    print the messages that wait
    parley recv                     wait for messages, and print them as they come
    parley who [ROOM]               print who is connected, or who is in a room

--send, --check and --who are the first, second and fourth without their options (once.py).  As
grep(1) does, check and recv end with 0 if there was something, 1 if there was nothing, and with a
code of sysexits(3) if something went wrong.
"""
from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from math import inf
from typing import Any

import wire
from client.events import Online
from client.waiter import ANSWER_SECONDS, Waiter
from terminal.display import display
from terminal.usage import positive
from ui import cleaned, completion, log, once, opening
from ui.entries import clock
from ui.errand import FEATURES, NAMES, connect, leave, log_in, nothing, turns
from ui.failures import Failure
from ui.options import EVERYBODY, Subcommand, make_link, own_name
from ui.output import complain, print_line
from ui.past import said
from ui.sending import DELIVERED, STORED, Requirement, Sending, message, names_of, read_text
from wire import Feature, SendFlag

NOTHING = 1             # the exit code where there was no message
PRINTED_MAX = 10_000    # messages that recv remembers: what it prints comes again after a lost
                        # connection, if a window of the user's has not confirmed it
STDIN_MAX = 1 << 20     # bytes read from standard input: 64 messages; --truncate takes any number
AS_A_SESSION = ("this daemon takes recv for your session: others see you connected, and no window "
                "of yours can connect meanwhile")
FIELDS = ("id", "time", "from", "to", "text")       # that --format knows


def _errand(options: argparse.Namespace, features: int = FEATURES) -> Waiter:
    options.name = own_name(options)
    return Waiter(make_link(options, features))


# ---- send ----

def send(options: argparse.Namespace) -> int:
    """The exit code.  Raises Failure."""
    names = names_of([options.names, *options.text], "send")
    what = options.require or (STORED if options.wait else "")
    required = Requirement(what, options.wait or ANSWER_SECONDS)
    if names:
        required.check(names)
    texts = _texts(options)
    waiter = _errand(options, NAMES | (Feature.RECEIPTS if what == DELIVERED else 0))
    try:
        flags = SendFlag.NOW if options.now else 0
        return Sending(waiter, required, options.quiet).send(names, texts, flags)
    finally:
        waiter.link.close()


def _texts(options: argparse.Namespace) -> list[str]:
    """What to send: the words, or standard input, cleaned.  Raises Failure."""
    if options.text and options.text != ["-"]:
        return [message(options.text)]
    raw = read_text(0, (1 << 60) if options.truncate else STDIN_MAX + 1)
    text, remark = cleaned.decoded(raw)
    if remark:
        complain(remark)
    text = cleaned.cleaned(text)
    if options.truncate:
        text = cleaned.truncated(text)
    elif len(raw) > STDIN_MAX:
        raise Failure(os.EX_DATAERR, f"standard input has more than {STDIN_MAX >> 20} MiB: nothing "
                                     "was sent; --truncate sends the beginning, scp takes files")
    texts = list(cleaned.pieces(text))
    if not texts:
        raise Failure(os.EX_DATAERR, "standard input has no text: nothing was sent")
    return texts


def _add_send(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-q", "--quiet", action="store_true", help="print nothing about what was stored")
    add("--now", action="store_true", help="only to those who are connected now")
    add("-t", "--truncate", action="store_true",
        help="of a text that is too long for one message send the beginning; else it is sent in "
             "parts")
    add("--require", metavar="WHAT", choices=(STORED, DELIVERED), default="",
        help="stored or delivered: end with 0 only if each recipient has it, on the daemon's disk "
             "or shown to them; while the time lasts, a daemon that is away is waited for")
    add("-W", "--wait", metavar="SECONDS", type=positive, default=0,
        help=f"for how long; without it, {ANSWER_SECONDS:.0f} seconds")
    add("names", metavar="NAMES", help="bob, bob,erin, #ops or all")
    add("text", metavar="TEXT", nargs="*", help="the message; - or nothing: standard input")


# ---- check and recv ----

Printer = Callable[[wire.Mail, str], Iterator[str]]


def _as_text(mail: wire.Mail, me: str) -> Iterator[str]:
    return (f"{clock(mail.time, '%Y-%m-%d')} {line}" for line in said(mail, me).lines())


def _as_json(mail: wire.Mail, me: str) -> Iterator[str]:
    return log.as_json(mail, me)


def _formatted(form: str) -> Printer:
    """By --format: {from} and the like, and {time:%H:%M}.  Raises Failure."""
    def value(mail: wire.Mail, me: str, name: str, spec: str) -> str:
        if name == "time":
            return datetime.fromtimestamp(mail.time / 1e6).strftime(spec or "%Y-%m-%d %H:%M:%S")
        to = mail.to or (("all",) if mail.flags & SendFlag.EVERYONE else (me,))
        fields = {"id": str(mail.id), "from": mail.sender, "to": ",".join(to), "text": mail.text}
        return fields[name]

    known = re.compile(r"\{(" + "|".join(FIELDS) + r")(?::([^{}]*))?\}")
    if bad := re.search(r"\{[^{}]*\}?|\}", known.sub("", form)):
        raise Failure(os.EX_USAGE, f"--format: {display(bad[0])} is no field: "
                                   f"{', '.join(FIELDS)}; {{time:%H:%M}} takes strftime(3)")

    def lines(mail: wire.Mail, me: str) -> Iterator[str]:
        text = known.sub(lambda found: value(mail, me, found[1], found[2] or ""), form)
        return iter(text.replace("\\n", "\n").replace("\\t", "\t").split("\n"))
    return lines


def _printer(options: argparse.Namespace) -> Printer:
    """How messages are printed.  Raises Failure."""
    if options.format is not None:
        return _formatted(options.format)
    return _as_json if options.json else _as_text


def check(options: argparse.Namespace) -> int:
    """The exit code.  Raises Failure, ArchiveError."""
    printer = _printer(options)
    waiter = _errand(options)
    try:
        connect(waiter)
        if options.count:
            number = waiter.link.waiting
            if number or not options.quiet:
                print_line(str(number))
            leave(waiter)
            return os.EX_OK if number else NOTHING
        found = _check(waiter, printer, peek=options.peek)
        if not found and not options.quiet and printer is _as_text:
            nothing(waiter.link, once.NO_MESSAGES)
        leave(waiter)
        return os.EX_OK if found else NOTHING
    finally:
        waiter.link.close()


def _check(waiter: Waiter, printer: Printer, peek: bool) -> int:
    """Print what waits, and confirm it unless `peek`.  How many messages.  Raises Failure."""
    link, found = waiter.link, 0
    request = link.ask.check()
    for heard in turns(waiter):
        mails = [event for event in heard if isinstance(event, wire.Mail)]
        _print(mails, printer, link.name)
        found += len(mails)
        if mails and not peek:
            link.shown(mails)
        if once.is_checked(heard, request):
            break
    return found


def _print(mails: Sequence[wire.Mail], printer: Printer, me: str) -> None:
    for mail in mails:
        for line in printer(mail, me):
            print_line(line)


# ---- recv ----

def recv(options: argparse.Namespace) -> int:
    """Wait for messages.  The exit code.  Raises Failure, ArchiveError."""
    printer, waiter = _printer(options), _errand(options, Feature.ERRAND)
    try:
        connect(waiter)
        if not waiter.link.ask.granted & Feature.ERRAND:
            complain(AS_A_SESSION)
        elif waiter.link.ask.holding:       # a daemon from before this release
            raise Failure(os.EX_UNAVAILABLE, "this daemon tells recv nothing: restart it with the "
                                             "release of this program")
        found = _Receiving(waiter, printer).run(
            inf if options.follow else options.number,
            time.monotonic() + options.wait if options.wait else inf)
        leave(waiter)
        return os.EX_OK if found else NOTHING
    finally:
        waiter.link.close()


class _Receiving:
    """What waits, and then what comes, each once."""

    def __init__(self, waiter: Waiter, printer: Printer) -> None:
        self.waiter, self.link, self.printer = waiter, waiter.link, printer
        self._request = 0                               # the check under way; 0: none
        self._printed: dict[tuple[str, int], None] = {} # the last PRINTED_MAX, by their origin

    def run(self, number: float, until: float) -> int:
        """Until so many came, or that time (monotonic).  How many.  Raises Failure."""
        found, self._request = 0, self.link.ask.check()
        for heard in turns(self.waiter, until):
            found += self._take([event for event in heard if isinstance(event, wire.Mail)])
            for event in heard:
                self._hear(event)
            if found >= number and not self._request:
                break
        return found

    def _take(self, mails: list[wire.Mail]) -> int:
        """Print these, and confirm those that are no copies."""
        new = [mail for mail in mails if (mail.sender, mail.origin) not in self._printed]
        _print(new, self.printer, self.link.name)
        self._printed.update(((mail.sender, mail.origin), None) for mail in new)
        while len(self._printed) > PRINTED_MAX:
            del self._printed[next(iter(self._printed))]
        if mails:
            self.link.shown(mails)
        return len(new)

    def _hear(self, event: Any) -> None:
        """Raises Failure."""
        if isinstance(event, wire.Checked):
            self._request = 0
        elif isinstance(event, Online):                 # again
            self._request = self.link.ask.check()
        elif (isinstance(event, wire.Failed) and event.request == self._request
                and event.why != wire.Why.GONE):
            raise Failure(os.EX_TEMPFAIL, display(event.reason))


def _add_printing(parser: argparse.ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON document a line")
    form.add_argument("--format", metavar="FORM",
                      help="for each message this, with {from}, {to}, {text}, {id} and "
                           "{time:%%H:%%M}; \\n is a newline")


def _add_check(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-q", "--quiet", action="store_true", help="print nothing if there are no messages")
    add("-c", "--count", action="store_true",
        help="print only how many wait, or with -q nothing if none does; none is confirmed")
    add("-p", "--peek", action="store_true", help="print them, and leave them in the mailbox")
    _add_printing(parser)


def _add_recv(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-n", "--number", metavar="COUNT", type=positive, default=1,
        help="end after so many messages, and those that came with them; without it, after one")
    add("-W", "--wait", metavar="SECONDS", type=positive, default=0,
        help="end then, however many came")
    add("-f", "--follow", action="store_true", help="do not end")
    _add_printing(parser)


# ---- who ----

def who(options: argparse.Namespace) -> int:
    """The exit code.  Raises Failure."""
    waiter = _errand(options, NAMES)
    try:
        if options.json:
            return _who_as_json(waiter)
        room = options.room or EVERYBODY
        if room == EVERYBODY:
            return once.who(waiter)
        return once.members(waiter, room if wire.is_room(room) else wire.ROOM_SIGN + room)
    finally:
        waiter.link.close()


def _who_as_json(waiter: Waiter) -> int:
    from json import dumps  # not at the start, of which it would be 2 ms
    here = log_in(waiter)
    for entry in here.current:
        print_line(dumps({"name": entry.name, "status": here.status(entry),
                          "since": clock(entry.since, "%Y-%m-%dT%H:%M:%S"),
                          "me": entry.name.lower() == here.me}))
    leave(waiter)
    return os.EX_OK


def _add_who(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true",
                        help="one JSON document a line, for the connected users")
    parser.add_argument("room", metavar="ROOM", nargs="?", default="",
                        help="who is in this room: '#ops', or ops")


SHELL: Mapping[str, Subcommand] = {
    "send": Subcommand("send a message, from the words or from a pipe", _add_send, send),
    "check": Subcommand("print the messages that wait", _add_check, check),
    "recv": Subcommand("wait for messages, and print them", _add_recv, recv),
    "who": Subcommand("print who is connected, or in a room", _add_who, who),
}
SUBCOMMANDS: Mapping[str, Subcommand] = {**SHELL, **opening.SUBCOMMANDS, **completion.SUBCOMMANDS,
                                        **log.SUBCOMMANDS}
