"""events: what a link tells its client, besides the messages that the daemon sends.

Link.ready() and Link.tick() return each event once, in its order among the messages.
"""
from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import wire
from client.history import Sent
from client.unsent import Draft

Event: TypeAlias = Any              # a wire message, or one of these


class Online(NamedTuple):
    """Logged in."""
    welcome: wire.Welcome
    again: bool             # after a lost connection
    run_by: str = ""        # the login that runs the daemon, unless it is the user, root, or the
                            # host's own
    is_open: bool = False   # over TCP, and the daemon asked for no passphrase: anybody could


class Offline(NamedTuple):
    """The connection was lost, or could not be opened; the link will dial again by itself."""
    reason: str
    retry_in: float         # seconds; inf: not before connect(), for the operator put the user out
    answered: bool = False  # the daemon said so itself: it runs
    is_absent: bool = False     # nobody listens at any place


class Silent(NamedTuple):
    """The user has waited so long for a word of the daemon; the connection goes on."""
    seconds: int


class Found(NamedTuple):
    """A daemon is there: what look() asked for."""


class NameRefused(NamedTuple):
    """The daemon rejected the name.  The link does not try again: rename(), then connect()."""
    why: int                # a wire.Why
    reason: str


class OtherStore(NamedTuple):
    """The daemon that answers has another store than the one before.  The link said nothing but
    HELLO to it, and does not try again: accept(), or not, then connect()."""
    reason: str


class Locked(NamedTuple):
    """The name takes a passphrase.  The link does not try again: unlock(), or rename(), then
    connect()."""
    reason: str
    again: bool             # the passphrase that was given is wrong
    advice: str = ""        # what else there is to know
    place: str = ""         # the address, if the user named it


class Remark(NamedTuple):
    """A line about the connection that the user should read."""
    text: str


class Unnoted(NamedTuple):
    """What the user said can't be noted in the archive; no concern of a one-shot command."""
    text: str


class Left(NamedTuple):
    """What earlier sessions did not bring to the daemon (leftovers.py)."""
    sends: list[Sent]
    drafts: list[Draft]


class Over(NamedTuple):
    """Ended for good: after exit(), moved to another client, or rejected for a reason that trying
    again can't mend."""
    reason: str
    at: int = 0             # when it was moved, microseconds since 1970


class Repeated(NamedTuple):
    """A copy of a message that was shown before: not to be shown again; it is confirmed already."""
    mail: wire.Mail


class Events(list[Event]):
    """What has happened since the client last took them."""

    def take(self) -> list[Event]:
        taken = list(self)
        self.clear()
        return taken
