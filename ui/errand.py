"""errand: what every one-shot command does: connect beside the user's session, ask, and leave.

At a terminal the user is asked for the passphrase of a name that takes one.  Every failure is one
line on stderr; failures.py has the exit codes.
"""
from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import wire
from client.events import Locked, Offline, Online, OtherStore, Over, Remark
from client.link import Link
from client.waiter import ANSWER_SECONDS, LEAVE_SECONDS, Waiter
from terminal.display import display
from ui.failures import Failure, login_failure
from ui.names import Here
from ui.output import complain, print_line

NO_ANSWER = "the daemon did not answer in time"
OWN = "this is your own daemon; the host has another: parley --connect host"
FOR_EVER = 1e6          # seconds: poll(2) takes no number for it
FEATURES = wire.Feature.HOLD | wire.Feature.ERRAND
NAMES = FEATURES | wire.Feature.ROSTER | wire.Feature.STATUS    # of those that need the log


def turns(waiter: Waiter, until: float | None = None) -> Iterator[list[Any]]:
    """The link's events as they come, turn by turn, for as long as the caller asks.

    Raises Failure when no daemon lets the client in, and when nothing comes for ANSWER_SECONDS.
    Or, `until` then (monotonic): the daemon may be away, and nothing need come; Failure if it is
    away in the end."""
    link, away = waiter.link, ""
    ends = time.monotonic() + ANSWER_SECONDS if until is None else until
    while (left := ends - time.monotonic()) > 0:
        waiter.wait(left if left < FOR_EVER else None)
        heard = list(waiter.events())
        for event in heard:
            check_login(link, event, is_patient=until is not None)
            if isinstance(event, Offline | Online):
                away = event.reason if isinstance(event, Offline) else ""
        if heard:
            ends = time.monotonic() + ANSWER_SECONDS if until is None else until
            yield heard
    if until is None:
        raise Failure(os.EX_TEMPFAIL, NO_ANSWER)
    if away:
        raise Failure(os.EX_UNAVAILABLE, display(away))


def check_login(link: Link, event: Any, is_patient: bool = False) -> None:
    """Raise Failure if this event says that the client does not get in, or, unless `is_patient`,
    not now."""
    if isinstance(event, Locked) and _unlock(link, event):
        return
    if failure := login_failure(link.name, event):
        raise failure
    if isinstance(event, Remark):
        complain(event.text)
    if isinstance(event, OtherStore):
        raise Failure(os.EX_UNAVAILABLE, f"{display(event.reason)}: nothing was sent to it")
    if isinstance(event, Over) or (isinstance(event, Offline) and not is_patient):
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


def connect(waiter: Waiter, until: float | None = None) -> None:
    """Connect, without the log of names.  Raises Failure."""
    waiter.link.connect()
    for heard in turns(waiter, until):
        if any(isinstance(event, Online) for event in heard):
            return
    raise Failure(os.EX_TEMPFAIL, NO_ANSWER)


def log_in(waiter: Waiter, until: float | None = None) -> Here:
    """Connect and wait for the whole log of names.  Raises Failure."""
    link, away = waiter.link, {}        # type: Link, dict[str, str]
    link.connect()
    for heard in turns(waiter, until):
        hear_statuses(heard, away)
        if any(isinstance(event, wire.Roster) and event.last and not event.request
               for event in heard):
            return Here(link.roster, link.name, knows=link.ask.knows, away=away)
    raise Failure(os.EX_TEMPFAIL, NO_ANSWER)


def nothing(link: Link, text: str) -> None:
    """Print that there is nothing.  A user who forgot a daemon of their own may mean the host's."""
    print_line(text)
    if link.hides_host:
        complain(OWN)


def hear_statuses(heard: Sequence[Any], away: dict[str, str]) -> None:
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
