"""words: the sentences for what the daemon answers.

Tables by what happened, and the few functions that put names into them.  Names are made safe here.  Pure.
"""
from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import wire
from ui.names import NAMED, listed
from wire import Outcome, Why

OFFLINE = "offline: this needs the daemon"
TOO_LONG = f"a message has at most {wire.TEXT_MAX} bytes: send it in parts"
NO_ROOM = f"the paste does not fit: a message has at most {wire.TEXT_MAX} bytes; nothing was put in"
ALONE = "there is nobody else in the log yet"
LOST = "the connection was lost"


class Wish(Enum):
    """What can be asked of the daemon by a request."""
    CHECK = "check"
    USERS = "users"
    LOG = "log"
    HOLD = "hold"
    UNHOLD = "unhold"
    IGNORE = "ignore"
    UNIGNORE = "unignore"
    IGNORED = "ignored"
    CLAIM = "claim"
    UNCLAIM = "unclaim"
    INVITE = "invite"


class Asked(NamedTuple):
    """A request that waits for its answer."""
    wish: Wish
    name: str = ""          # whom it is about


DONE: dict[Wish, str] = {
    Wish.HOLD: "holding: new messages wait until you check",
    Wish.UNHOLD: "not holding: new messages are shown as they come",
    Wish.IGNORE: "{name} is ignored: messages and invitations of theirs are kept from you; /unignore {name} ends it",
    Wish.UNIGNORE: "{name} is not ignored any more: what is sent from now on reaches you",
    Wish.CLAIM: "claimed: who uses this name over the network needs the passphrase; this machine remembers its key",
    Wish.UNCLAIM: "claimed no more: no passphrase is asked for this name",
}

FAILED: dict[Wish, str] = {
    Wish.CHECK: "no check was done",
    Wish.USERS: "no list of users",
    Wish.LOG: "no list of names",
    Wish.HOLD: "not holding",
    Wish.UNHOLD: "still holding",
    Wish.IGNORE: "nobody more is ignored",
    Wish.UNIGNORE: "still ignored",
    Wish.IGNORED: "no list of whom you ignore",
    Wish.CLAIM: "not claimed",
    Wish.UNCLAIM: "nothing was changed",
    Wish.INVITE: "no invitation was sent",
}

OUTCOMES: dict[int, tuple[str, str]] = {        # for one recipient, for several
    Outcome.HOLDING: ("holding: waits in the mailbox until checked",
                      "holding: waits in their mailboxes until checked"),
    Outcome.AWAY: ("not connected: kept in the mailbox", "not connected: kept in their mailboxes"),
    Outcome.FULL: ("out of room: the mailbox is full, not delivered",
                   "out of room: their mailboxes are full, not delivered to them"),
    Outcome.ABSENT: ("not connected: not delivered", "not connected: not delivered to them"),
}

CALLED_OFF: dict[int, str] = {
    Why.DENIED: "{by} denied {it}",
    Why.EXPIRED: "{by} did not answer {it} in time",
    Why.GONE: "{by} disconnected: {it} is off",
    Why.WITHDRAWN: "{by} withdrew: {it} is off",
    Why.BUSY: "{by} accepted another: {it} is off",
    Why.UNKNOWN: "{it} is over already",
    Why.OTHER: "{it} is off because of {by}",
}

PARTED: dict[int, str] = {
    Why.QUIT: "said Quit",
    Why.GONE: "disconnected",
    Why.SLOW: "did not read for too long",
    Why.OTHER: "is out",
}


def are(names: Sequence[str]) -> str:
    """`bob is`, `bob, carol are`."""
    return f"{listed(names, NAMED)} {'is' if len(names) == 1 else 'are'}"


def outcome_of(names: Sequence[str], outcome: int) -> str:
    """What became of a message for these."""
    return f"{are(names)} {OUTCOMES[outcome][len(names) > 1]}"


def called_off(why: int, by: str, invitation: str) -> str:
    """Why an invitation is over."""
    return CALLED_OFF.get(why, CALLED_OFF[Why.OTHER]).format(by=by, it=invitation)


def parting(why: int) -> str:
    """How somebody got out of a chat."""
    return PARTED.get(why, PARTED[Why.OTHER])
