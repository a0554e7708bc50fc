"""values: what the numbers in the fields of messages mean.

A receiver treats a number that it does not know as OTHER, or as a bit that is not set.
"""
from __future__ import annotations

from enum import IntEnum


class Direction(IntEnum):
    """Which side sends a message."""
    CLIENT = 1
    DAEMON = 2
    BOTH = 3


class Feature:                  # plain numbers: testing a bit of an IntFlag takes a microsecond
    """Bits.  A client asks for features in HELLO; the daemon answers with those that it grants."""
    ROSTER = 1          # the log of names at login, and its changes from then on
    RECEIPTS = 2        # DELIVERED
    HOLD = 4            # start holding: new messages wait for CHECK
    PROVE = 8           # CHALLENGE is understood; CLAIM and UNCLAIM may be sent
    IGNORE = 64         # IGNORE and LIST_IGNORED are known
    BIND = 128          # BINDING is understood, and a proof is bound to what it says
    PERSON = 256        # YOURS and MOVED are understood
    LOGINS = 512        # mail to a login of the host that has not been here yet
    ADDRESSED = 1024    # MAILS_TO: a message says to whom it was addressed
    ROOMS = 2048        # rooms are known: JOIN and the like may be sent, ROOMS is understood
    STATUS = 4096       # STATUS is understood, and SET_STATUS may be said
    RESUME = 16384      # LIVE is told, and RESUME may be said in place of HELLO
    # What a client asks of this login alone; both only of a daemon that is sure to know the user.
    ERRAND = 1 << 30    # a login beside the session of the same user, without a place in the log
    TAKE = 1 << 31      # the session of the same user ends, wherever it is; never granted


ERRANDS = 0xFF000000    # the instances of errands begin here (store/user.py)


class SendFlag:
    """Bits.  In SENDS, what the sender asks for; in MAILS, what the sender asked for, and how the
    message comes."""
    NOW = 1             # now or never: nothing is stored for users who are not connected
    EVERYONE = 2        # to every name in the log but the sender's own; `to` is empty
    CHECK = 4           # in MAILS alone: the message answers a CHECK; without it, it is live
    COPY = 8            # in MAILS alone, to an errand: the session has it, and confirms it


class Presence(IntEnum):
    """The state of a name in the roster."""
    AWAY = 0            # not connected
    AVAILABLE = 1
    BUSY = 2            # in the chat whose number stands beside it


class Admission(IntEnum):
    """Who may join a room."""
    OPEN = 0            # everybody
    NAMES = 1           # some users, by name
    GROUP = 2           # the logins of a Unix group, at the Unix socket
    ADD = 3             # in ADMIT alone: of a room for some users, these too
    DROP = 4            # and these no longer


class Part:
    """Bits.  What a user is in a room."""
    MEMBER = 1
    KEEPER = 2          # may change who may join, and close the room


class Outcome(IntEnum):
    """What became of a message for the recipients who are not reading now."""
    HOLDING = 1         # connected, but holds: the message waits in the mailbox for CHECK
    AWAY = 2            # not connected: the message waits in the mailbox for CHECK
    ABSENT = 3          # not connected, and it was now or never: not delivered, nothing stored
    FULL = 4            # the mailbox is full: not delivered, nothing stored
    NEW = 5             # not here yet, ever: the message waits until they come


class Why(IntEnum):
    """Why the daemon rejected, refused, called off or ended something."""
    OTHER = 0
    TAKEN = 1           # the name is in use
    BAD_NAME = 2
    VERSION = 3
    FULL = 4            # no room: on the disk, among the clients, in a mailbox
    UNKNOWN = 5         # no such name, invitation or chat
    EMPTY = 6           # an empty text, no recipients
    BAD_TEXT = 7        # control characters, or longer than TEXT_MAX
    BUSY = 8            # they, or you, are chatting or about to
    DENIED = 9          # an invited user said no
    WITHDRAWN = 10      # the inviter, or a user who had accepted, took it back
    EXPIRED = 11
    GONE = 12           # disconnected
    QUIT = 13           # said Quit
    SLOW = 14           # did not read for so long that the daemon had to drop chat lines
    YOURS = 20          # the name is in use, by a client of the same user
