"""once: the one-shot commands: connect, do one thing, and exit.

    --send NAMES [TEXT...]      send one message; without TEXT, the text is read from stdin
    --check                     print the messages that wait
    --who [#ROOM]               print the users who are connected, or who is in a room

They are errands: the user's session, if there is one, goes on beside them.  They never take live
messages; only --check reads the mailbox.  It prints what arrives together, keeps it in the archive,
and then confirms it.  At a terminal they ask for the passphrase of a name that takes one.  Every
failure is one line on stderr; failures.py has the exit codes.
"""
from __future__ import annotations

import argparse
import contextlib
import os
import select
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import wire
from client.events import Locked, Offline, Over, Remark
from client.link import Link
from client.waiter import ANSWER_SECONDS, LEAVE_SECONDS, Waiter
from terminal.display import display
from ui.entries import clock
from ui.failures import NOT_DELIVERED, Failure, code_of, login_failure
from ui.names import ONE_WORD, Here, log_of, only_names, unknown
from ui.options import EVERYBODY, make_link, own_name
from ui.output import complain, print_line
from ui.past import said
from ui.words import TOO_LONG, outcome_of
from wire import Outcome, SendFlag, Why

FEATURES = wire.Feature.ROSTER | wire.Feature.HOLD | wire.Feature.ERRAND | wire.Feature.STATUS
NO_MESSAGES = "No messages available"
PIPE = 1 << 16          # bytes read from standard input at once


def run(options: argparse.Namespace) -> int:
    """Do what --send, --check or --who asks.  The exit code.  Raises Failure, ArchiveError."""
    options.name = own_name(options)
    names = names_of(options.send) if options.send else []
    text = message([*options.send[1:], *options.text]) if options.send else ""
    link = make_link(options, FEATURES)
    waiter = Waiter(link)
    try:
        if options.send:
            return send_to(waiter, names, [text])
        if options.check:
            return check(waiter)
        return who(waiter) if options.who == EVERYBODY else members(waiter, options.who)
    finally:
        link.close()


# ---- the connection ----

def turns(waiter: Waiter) -> Iterator[list[Any]]:
    """The link's events as they come, turn by turn, for as long as the caller asks.

    Raises Failure when no daemon lets the client in, and when nothing comes for ANSWER_SECONDS."""
    link, until = waiter.link, time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < until:
        waiter.wait(until - time.monotonic())
        heard = list(waiter.events())
        for event in heard:
            check_login(link, event)
        if heard:
            until = time.monotonic() + ANSWER_SECONDS
            yield heard
    raise Failure(os.EX_TEMPFAIL, "the daemon did not answer in time")


def check_login(link: Link, event: Any) -> None:
    """Raise Failure if this event says that the client does not get in."""
    if isinstance(event, Locked) and _unlock(link, event):
        return
    if failure := login_failure(link.name, event):
        raise failure
    if isinstance(event, Remark):
        complain(event.text)
    if isinstance(event, Offline | Over):
        raise Failure(os.EX_UNAVAILABLE, display(event.reason))


def _unlock(link: Link, event: Locked) -> bool:
    """Ask the user for the passphrase, if there is one at a terminal, and connect with it.  False:
    there is nobody, or no more of a passphrase.  Raises Failure."""
    if not (os.isatty(0) and os.isatty(2)):
        return False
    import getpass  # most of these commands are typed by nobody
    if event.again:
        complain(display(event.reason))
    try:
        passphrase = getpass.getpass(f"passphrase of {link.name}: ")
    except EOFError:
        return False
    if not passphrase:
        return False
    try:
        link.unlock(passphrase)
    except ValueError as fault:
        raise Failure(os.EX_DATAERR, str(fault)) from None
    link.connect()
    return True


def log_in(waiter: Waiter) -> Here:
    """Connect and wait for the whole log of names.  Raises Failure."""
    link, away = waiter.link, {}        # type: Link, dict[str, str]
    link.connect()
    for heard in turns(waiter):
        _hear_statuses(heard, away)
        if any(isinstance(event, wire.Roster) and event.last and not event.request
               for event in heard):
            break
    return Here(link.roster, link.name, knows=link.ask.knows, away=away)


def _hear_statuses(heard: Sequence[Any], away: dict[str, str]) -> None:
    """What users say of being away, by name in small letters."""
    away.update((event.name.lower(), event.text) for event in heard
                if isinstance(event, wire.Status))


def leave(waiter: Waiter, hear: Callable[[Any], object] = lambda event: None) -> None:
    """Say goodbye; `hear` gets the events that still come."""
    waiter.link.exit()
    until = time.monotonic() + LEAVE_SECONDS
    while time.monotonic() < until:
        waiter.wait(until - time.monotonic())
        for event in waiter.events():
            if isinstance(event, Over):
                return
            hear(event)


# ---- --send ----

def names_of(words: Sequence[str]) -> list[str]:
    """The recipients of --send: the first of its words.  Raises Failure.

    At a prompt `bob, zed` is a text for bob, because the prompt says so before Enter.  A shell says
    nothing, so here a comma at the blank is refused."""
    names, fault = only_names(words[0])
    if words[0].endswith(","):
        fault = f'"{display(words[0])}" ends with a comma; {ONE_WORD}'
    elif len(words) > 1 and words[1].startswith(","):
        fault = f"the text begins with a comma; {ONE_WORD}; put -- before such a text"
    if fault:
        raise Failure(os.EX_USAGE, f"--send: {fault}")
    return names


def message(words: Sequence[str]) -> str:
    """The text of --send: the words after the names, or else stdin.  Raises Failure."""
    raw = b"" if words else read_text(0, wire.TEXT_MAX + 3)
    if len(raw.rstrip(b"\r\n")) > wire.TEXT_MAX:
        raise Failure(os.EX_DATAERR, TOO_LONG)
    try:
        text = _joined(words) or raw.decode()
    except UnicodeDecodeError:
        raise Failure(os.EX_DATAERR, "the text on stdin is not UTF-8") from None
    text = text.replace("\r\n", "\n").rstrip("\n")
    flaw = wire.flaw(text)
    if flaw:
        raise Failure(os.EX_DATAERR, flaw[1])
    return text


def read_text(fd: int, most: int) -> bytes:
    """At most so many bytes, up to the end of the input; the descriptor may be non-blocking.

    Raises Failure."""
    data, readable = b"", select.poll()
    readable.register(fd, select.POLLIN)
    try:
        while len(data) < most:
            readable.poll()
            with contextlib.suppress(BlockingIOError):
                part = os.read(fd, min(most - len(data), PIPE))
                if not part:
                    break
                data += part
    except OSError as fault:
        raise Failure(os.EX_IOERR, f"stdin can't be read: {fault.strerror}") from None
    return data


def _joined(words: Sequence[str]) -> str:
    """The words of the command line as one text.

    In a locale without letters for them Python leaves them undecoded; then they are read as UTF-8,
    as stdin is."""
    text = " ".join(words)
    try:
        text.encode()
    except UnicodeEncodeError:
        with contextlib.suppress(UnicodeDecodeError):
            text = os.fsencode(text).decode()
    return text


def send_to(waiter: Waiter, typed: Sequence[str], texts: Sequence[str], flags: int = 0,
            quiet: bool = False) -> int:
    """--send.  The exit code.  Raises Failure.

    `flags`: SendFlag.NOW or none; `quiet`: do not say what waits for whom."""
    link, everyone = waiter.link, [name.lower() for name in typed] == ["all"]
    here = log_in(waiter)
    to = () if everyone else _recipients(here, typed, link)
    flags |= SendFlag.EVERYONE if everyone else 0
    unstored = {number for text in texts for number in link.send(to, text, flags)}
    missed, told = False, set()         # type: bool, set[tuple[Any, ...]]
    for heard in turns(waiter):
        _hear_statuses(heard, here.away)
        for event in heard:
            if isinstance(event, wire.Refused):
                code = os.EX_NOUSER if event.why == Why.UNKNOWN else code_of(event)
                raise Failure(code, display(event.reason))
            missed |= _tell_outcome(event, link.name, told, quiet)
            unstored -= _settled(event, unstored)
        if not unstored:
            break
    leave(waiter, lambda event: _tell_outcome(event, link.name, told, quiet))
    for name in () if quiet else to:
        if text := here.away.get(name.lower()):
            print_line(f"{display(name)} is away: {display(text)}")
    return os.EX_TEMPFAIL if missed else os.EX_OK


def _settled(event: Any, unstored: set[int]) -> set[int]:
    """Those of these messages that an event settles; one that is now or never may be stored for
    nobody."""
    if not isinstance(event, wire.Stored | wire.Outcomes):
        return set()
    if isinstance(event, wire.Outcomes) and event.outcome not in NOT_DELIVERED:
        return set()
    return {number for number in unstored if event.first <= number <= event.last}


def _recipients(here: Here, typed: Sequence[str], link: Link) -> tuple[str, ...]:
    """The names as the log spells them.  Raises Failure."""
    if not typed:
        raise Failure(os.EX_NOUSER, "--send needs names: --send bob,erin TEXT")
    if wire.is_room(typed[0]) and len(typed) == 1:
        return tuple(typed)             # the daemon knows whether the user is in it
    missing = [display(name) for name in typed
               if not here.spelled(name) and not here.knows(name)
               and not (link.roster.is_cut and wire.is_name(name))]
    if missing:
        raise Failure(os.EX_NOUSER, unknown(missing, here.names,
                                               log_of(link.hides_host)))
    return tuple(here.spelled(name) or name for name in typed)


def _tell_outcome(event: Any, me: str, told: set[tuple[Any, ...]], quiet: bool) -> bool:
    """Print what became of a message for recipients who are not reading now: the sender, too, if
    the message is for themselves, because --send does not read.

    For recipients who do not get the message the line goes to stderr, and the result is True.
    What `told` has was said of another part of the text."""
    if not isinstance(event, wire.Outcomes) or event.outcome not in set(Outcome):
        return False
    is_told = event[2:] in told
    told.add(event[2:])
    if is_told or (quiet and event.outcome not in NOT_DELIVERED):
        return event.outcome in NOT_DELIVERED
    if event.outcome in NOT_DELIVERED:
        complain(outcome_of(event.to, event.outcome))
        return True
    others = [name for name in event.to if name.lower() != me.lower()]
    if others:
        print_line(outcome_of(others, event.outcome))
    if len(others) < len(event.to):
        print_line("kept in your own mailbox until checked")
    return False


# ---- --check and --who ----

def check(waiter: Waiter) -> int:
    """--check.  The exit code.  Raises Failure, ArchiveError."""
    link, found = waiter.link, 0
    log_in(waiter)
    request = link.ask.check()
    for heard in turns(waiter):
        mails = [event for event in heard if isinstance(event, wire.Mail)]
        for mail in mails:
            for line in said(mail, link.name).lines():
                print_line(f"{clock(mail.time, '%Y-%m-%d')} {line}")
        if mails:
            link.shown(mails)
        found += len(mails)
        if is_checked(heard, request):
            break
    if not found:
        print_line(NO_MESSAGES)
    leave(waiter)
    return os.EX_OK


def is_checked(heard: list[Any], request: int) -> bool:
    """Whether these events end the answer to a check.  Raises Failure."""
    for event in heard:
        if isinstance(event, wire.Failed) and event.request == request:
            raise Failure(os.EX_TEMPFAIL, display(event.reason))
    return any(isinstance(event, wire.Checked) for event in heard)


def who(waiter: Waiter) -> int:
    """--who.  The exit code.  Raises Failure."""
    here = log_in(waiter)
    others = [entry for entry in here.current if entry.name.lower() != here.me]
    for entry in others:
        print_line(f"{entry.name:8} {here.status(entry)}")
    if not others:
        print_line("No other client.")
    leave(waiter)
    return os.EX_OK


def members(waiter: Waiter, room: str) -> int:
    """--who of a room.  The exit code.  Raises Failure."""
    here, link = log_in(waiter), waiter.link
    try:
        request = link.ask.rooms.members(room)
    except ValueError as fault:
        raise Failure(os.EX_USAGE, str(fault)) from None
    for heard in turns(waiter):
        for event in heard:
            if isinstance(event, wire.Failed) and event.request == request:
                raise Failure(os.EX_NOUSER, display(event.reason))
            if isinstance(event, wire.Members) and event.request == request:
                for name in event.members:
                    known = name in link.roster
                    print_line(f"{name:8} {here.status(here.entry(name)) if known else ''}")
                leave(waiter)
                return os.EX_OK
    return os.EX_TEMPFAIL
