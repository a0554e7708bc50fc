"""events: what a link tells its client, besides the messages that the daemon sends.

Each of them is told once, in its order among the messages: Link.ready() and Link.tick() return both.
"""
from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import wire

Event: TypeAlias = Any              # a wire message, or one of these


class Online(NamedTuple):
    """Logged in."""
    welcome: wire.Welcome
    again: bool             # after a lost line
    run_by: str = ""        # the login that runs the daemon, if it is neither one's own, nor root, nor the host's


class Offline(NamedTuple):
    """The line was lost, or could not be opened; it is retried by itself."""
    reason: str
    retry_in: float         # seconds
    answered: bool = False  # the daemon said so itself: it runs


class NameRefused(NamedTuple):
    """Rejected for its name; nothing is retried: rename(), then connect()."""
    why: int                # a wire.Why
    reason: str


class OtherStore(NamedTuple):
    """The daemon that answers has not the store of the one before; nothing was said to it but HELLO, and nothing is
    retried: accept(), or not, then connect()."""
    reason: str


class Locked(NamedTuple):
    """The name takes a passphrase; nothing is retried: unlock(), or rename(), then connect()."""
    reason: str
    again: bool             # the one that was given is wrong
    advice: str = ""        # what else there is to know


class Remark(NamedTuple):
    """A word about the line that the user should read."""
    text: str


class Over(NamedTuple):
    """Ended for good: after exit(), or rejected for what retrying can't mend."""
    reason: str


class Repeated(NamedTuple):
    """A copy of a message that was shown before: not to be shown again; it is confirmed already."""
    mail: wire.Mail
