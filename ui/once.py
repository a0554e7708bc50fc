"""once: the one-shot commands: connect, do one thing, and exit.

    --send NAMES [TEXT...]      send one message; without TEXT, the text is read from stdin
    --check                     print the messages that wait
    --who [#ROOM]               print the users who are connected, or who is in a room

They are errands (errand.py): the user's session, if there is one, goes on beside them.  They never
take live messages; only --check reads the mailbox.  It prints what arrives together, keeps it in
the archive, and then confirms it.
"""
from __future__ import annotations

import argparse
import os
from typing import Any

import wire
from client.waiter import Waiter
from terminal.display import display
from ui.entries import clock
from ui.errand import FEATURES, NAMES, connect, leave, log_in, nothing, turns
from ui.failures import Failure
from ui.options import EVERYBODY, make_link, own_name
from ui.output import print_line
from ui.past import said
from ui.sending import Requirement, Sending, message, names_of

NO_MESSAGES = "No messages available"


def run(options: argparse.Namespace) -> int:
    """Do what --send, --check or --who asks.  The exit code.  Raises Failure, ArchiveError."""
    options.name = own_name(options)
    names = names_of(options.send) if options.send else []
    text = message([*options.send[1:], *options.text]) if options.send else ""
    link = make_link(options, FEATURES if options.check else NAMES)
    waiter = Waiter(link)
    try:
        if options.send:
            return Sending(waiter, Requirement(), quiet=False).send(names, [text])
        if options.check:
            return check(waiter)
        return who(waiter) if options.who == EVERYBODY else members(waiter, options.who)
    finally:
        link.close()


def check(waiter: Waiter) -> int:
    """--check.  The exit code.  Raises Failure, ArchiveError."""
    link, found = waiter.link, 0
    connect(waiter)
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
        nothing(link, NO_MESSAGES)
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
        nothing(waiter.link, "No other client.")
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
