"""words: the sentences that the client shows for the daemon's answers.

Most stand in tables, by what happened; a few functions put names into them and make those safe.  A
row of the screen has 80 columns, so a sentence in `error` is short, or has its best part first and
the rest behind a semicolon, where screen.py may cut it.  Pure.
"""
from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import wire
from ui.names import NAMED, listed
from wire import Outcome, Why

OFFLINE = "offline: this needs the daemon"
NOT_YET = "not connected yet: the log of names has not arrived"
ALONE = "there is nobody else in the log yet"
LOST = "the connection was lost"
BAD_NAME = (f"a username has 1 to {wire.NAME_MAX} of A-Z a-z 0-9 . _ -; "
            "the first is a letter or digit")
TOO_LONG = f"a message has at most {wire.TEXT_MAX} bytes: send it in parts"
NO_ROOM = (f"the paste does not fit; a message has at most {wire.TEXT_MAX} bytes; "
           "nothing was inserted")


class Request(Enum):
    """What the user can ask of the daemon."""
    CHECK = "check"
    USERS = "users"
    LOG = "log"
    HOLD = "hold"
    UNHOLD = "unhold"
    IGNORE = "ignore"
    UNIGNORE = "unignore"
    IGNORED = "ignored"
    AWAY = "away"
    HERE = "here"
    CLAIM = "claim"
    UNCLAIM = "unclaim"
    INVITE = "invite"
    JOIN = "join"
    LEAVE = "leave"
    TOPIC = "topic"
    ROOM = "room"
    CLOSE = "close"
    ROOMS = "rooms"
    MEMBERS = "members"


class Asked(NamedTuple):
    """A request that waits for its answer."""
    request: Request
    name: str = ""          # the user or room it is about


DONE: dict[Request, str] = {
    Request.HOLD: "holding: new messages wait until you check for them",
    Request.UNHOLD: "not holding: messages are shown on arrival",
    Request.IGNORE: "you now ignore {name}, and every other name of the same login: what they send "
                    "meanwhile is gone for good; /unignore {name} ends that",
    Request.UNIGNORE: "you no longer ignore {name}: what they send from now on reaches you, unless "
                      "you ignore another name of the same login",
    Request.AWAY: "who writes to you is told that you are away, also after you leave; /away alone "
                  "ends that",
    Request.HERE: "nobody is told any more that you are away",
    Request.CLAIM: "claimed: over the network this name now needs the passphrase; this machine "
                   "remembers its key",
    Request.UNCLAIM: "no longer claimed: the passphrase of this name is gone",
    Request.LEAVE: "you are not in {name} any more",
    Request.ROOM: "you changed who may join {name}",
    Request.CLOSE: "{name} is closed",
}

FAILED: dict[Request, str] = {
    Request.CHECK: "the check failed",
    Request.USERS: "no list of users",
    Request.LOG: "no list of names",
    Request.HOLD: "not holding",
    Request.UNHOLD: "still holding",
    Request.IGNORE: "{name} is not ignored",
    Request.UNIGNORE: "{name} is still ignored",
    Request.IGNORED: "no list of the users you ignore",
    Request.AWAY: "nobody is told that you are away",
    Request.HERE: "who writes to you is still told that you are away",
    Request.CLAIM: "no passphrase was set",
    Request.UNCLAIM: "no passphrase was removed",
    Request.INVITE: "no invitation was sent",
    Request.JOIN: "you did not join {name}",
    Request.LEAVE: "you did not leave {name}",
    Request.TOPIC: "the topic of {name} was not set",
    Request.ROOM: "{name} is what it was",
    Request.CLOSE: "{name} is not closed",
    Request.ROOMS: "no list of rooms",
    Request.MEMBERS: "no list of members",
}

OUTCOMES: dict[int, tuple[str, str]] = {        # for one recipient, for several
    Outcome.HOLDING: ("is holding messages: kept in the mailbox",
                      "are holding messages: kept in their mailboxes"),
    Outcome.AWAY: ("is not connected: kept in the mailbox",
                   "are not connected: kept in their mailboxes"),
    Outcome.NEW: ("has not been here yet: kept until they come",
                  "have not been here yet: kept until they come"),
    Outcome.FULL: ("is out of room: the mailbox is full, not delivered",
                   "are out of room: their mailboxes are full, not delivered to them"),
    Outcome.ABSENT: ("is not connected: not delivered",
                     "are not connected: not delivered to them"),
}

CALLED_OFF: dict[int, str] = {
    Why.DENIED: "{by} denied {it}",
    Why.EXPIRED: "{by} did not answer {it} in time",
    Why.GONE: "{by} disconnected: {it} is off",
    Why.WITHDRAWN: "{by} withdrew: {it} is off",
    Why.BUSY: "{by} accepted another invitation: {it} is off",
    Why.UNKNOWN: "{it} is over already",
    Why.OTHER: "{it} is off because of {by}",
}

PARTED: dict[int, str] = {
    Why.QUIT: "left",
    Why.GONE: "disconnected",
    Why.SLOW: "did not read for too long",
    Why.OTHER: "is gone",
}


def are(names: Sequence[str]) -> str:
    """`bob is`, `bob, carol are`."""
    return f"{listed(names, NAMED)} {'is' if len(names) == 1 else 'are'}"


def outcome_of(names: Sequence[str], outcome: int) -> str:
    """What became of a message to these recipients.  Raises KeyError for an unknown outcome."""
    return f"{listed(names, NAMED)} {OUTCOMES[outcome][len(names) > 1]}"


def called_off(why: int, by: str, invitation: str) -> str:
    """Why an invitation is over; `why`: a wire.Why."""
    return CALLED_OFF.get(why, CALLED_OFF[Why.OTHER]).format(by=by, it=invitation)


def parting(why: int) -> str:
    """How a user left a chat; `why`: a wire.Why."""
    return PARTED.get(why, PARTED[Why.OTHER])


def left_behind(by: str, why: int) -> str:
    """`bob left the chat`, or why bob is no longer in it; `why`: a wire.Why."""
    reason = "" if why == Why.QUIT else f": {parting(why)}"
    return f"{by} left the chat{reason}"
