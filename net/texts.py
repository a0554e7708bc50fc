"""texts: what may be a username or the name of a room, and what may be the text of a message.

A text is UTF-8 without control characters but newline and tab.  The daemon refuses everything else,
and so does a client, before it sends anything.  A receiver still treats a text as hostile
(terminal/display.py): the wire keeps out what has no meaning, the screen what has too much.
"""
from __future__ import annotations

import re

from net.values import Why

TEXT_MAX = 16384        # bytes of UTF-8: a long page; more is a file, and parley moves none
NAME_MAX = 32           # characters; fits a column of the table
STATUS_MAX = 200        # bytes of what a user says of being away: two rows of a screen
ADDRESSED_MAX = 32      # names that a message says it went to: more than a screen has room for

STOPPING = "the daemon is stopping"     # its last NOTICE; what else it says is about the user
PUT_OUT = "you were disconnected: "     # begins the last NOTICE to a user whom it disconnects
BY_OPERATOR = "by the operator"         # goes on after it: that client does not dial again
TOPIC_MAX = 255         # bytes of the topic of a room: a line; it has to fit a word
ROOM_SIGN = "#"         # begins the name of a room, and no username

NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{NAME_MAX - 1}}}")
# Words that would read as the system, as everybody or as a command.  Some were reserved after the
# first release: who has such a name keeps it.
RESERVED = frozenset({
    "all", "you", "everyone", "server", "system", "parley", "root", "admin", "quit",
    "operator", "daemon", "exit", "me"})
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def is_name(text: str) -> bool:
    """Whether a text may be a username.  Names are ASCII because other letters look alike."""
    return NAME.fullmatch(text) is not None


def is_room(text: str) -> bool:
    """Whether a text may be the name of a room: # and what may be a username."""
    return text[:1] == ROOM_SIGN and is_name(text[1:])


def is_reserved(name: str) -> bool:
    """Whether a name is nobody's."""
    return name.lower() in RESERVED


def flaw(text: str) -> tuple[Why, str] | None:
    """Why a text may not be sent, or None."""
    if len(text) <= TEXT_MAX // 4 and text.isprintable() and not text.isspace() and text:
        return None                     # nearly every text there is
    if not text or text.isspace():
        return Why.EMPTY, "an empty message is not sent: type a text first"
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return Why.BAD_TEXT, "the message holds half a character that can't be sent"
    if size > TEXT_MAX:
        return Why.BAD_TEXT, f"a message has at most {TEXT_MAX} bytes: send it in parts"
    if not text.isprintable() and CONTROL.search(text):
        return Why.BAD_TEXT, "a message may hold no control characters but newline and tab"
    return None
