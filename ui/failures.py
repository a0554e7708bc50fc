"""failures: what --plain and the one-shot commands could not do, in one line, and its exit code.

Exit codes (sysexits(3)):

    0   done: stored, printed
    64  wrong use
    65  the text cannot be sent, or the name is not a valid one
    67  a recipient is not in the log of names
    69  no daemon answers, or the daemon turned the client away
    74  stdin or stdout broke
    75  trying later may help: the name is in use, the mailbox is full, no answer came in time
    77  the name takes a passphrase
    78  a fault in the configuration file
"""
from __future__ import annotations

import os
from math import inf
from typing import Any

import wire
from client.events import Locked, NameRefused, Offline
from terminal.display import display
from ui.words import outcome_of
from wire import Outcome, Why

PROGRAM = "parley"

NOT_DELIVERED = frozenset({Outcome.ABSENT, Outcome.FULL})
LATER = frozenset({Why.FULL, Why.BUSY, Why.GONE, Why.SLOW, Why.TAKEN})      # time may heal these


class Failure(Exception):
    """The end of the program: one line, or none, and an exit code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def login_failure(name: str, event: Any) -> Failure | None:
    """The failure, if this event says that the daemon does not take the name, that its operator has
    put the user out, or that the name takes a passphrase where nobody can be asked for it."""
    if isinstance(event, Offline) and event.retry_in == inf:
        return Failure(os.EX_UNAVAILABLE, display(event.reason))
    if isinstance(event, NameRefused) and event.why == Why.TAKEN:
        return Failure(os.EX_TEMPFAIL, f"{name} is already in use: a client is connected under it; "
                                       "use that one, or give another name with --name")
    if isinstance(event, NameRefused) and event.why == Why.YOURS:
        return Failure(os.EX_TEMPFAIL, f"{display(event.reason)}: --take moves it here")
    if isinstance(event, NameRefused):
        code = os.EX_UNAVAILABLE if event.why == Why.DENIED else os.EX_DATAERR
        return Failure(code, display(event.reason))
    if isinstance(event, Locked):
        advice = f".  {display(event.advice)}" if event.advice else ""
        there = f"--connect {event.place} " if event.place else ""
        command = f"parley {there}--name {name}"
        return Failure(os.EX_NOPERM, f"{display(event.reason)}: give its passphrase once in "
                                     f"`{command}` on a terminal here; the key is kept, and "
                                     f"scripts use it then{advice}")
    return None


def code_of(event: wire.Refused | wire.Failed) -> int:
    """The exit code for something that the daemon did not take."""
    return os.EX_TEMPFAIL if event.why in LATER else os.EX_DATAERR


def fault_of(event: Any) -> tuple[str, int] | None:
    """If this event says that a line of a script could not be done: the complaint and the exit
    code."""
    if isinstance(event, wire.Refused | wire.Failed):
        return display(event.reason), code_of(event)
    if isinstance(event, wire.Outcomes) and event.outcome in NOT_DELIVERED:
        return outcome_of(event.to, event.outcome), os.EX_TEMPFAIL
    return None
