"""state: everything that a restart forgets.

A `Client` is a connected user for as long as the connection lasts.  (The name itself, its queue and
when it was last seen are in the mailbox, as a `User`.)  Each module of rules changes the part of a
client that is its own: `log_copy` (publication.py), `window` (delivery.py), `chats` (invitations.py
and sessions.py).

Most clients are idle.  Fields that an idle client never needs start as a shared empty value: (),
NO_INVITATIONS, NO_CHATS or NO_COPY.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import wire
from net.scram import TCP, Binding
from rules.hosts import host_of
from rules.window import Window
from store.user import User

Greeting: TypeAlias = wire.Hello | wire.Resume


class Now(NamedTuple):
    """Both clocks, read once a turn."""
    wall: int           # microseconds since 1970: what users are shown
    monotonic: float    # seconds: what timers go by


class Caller(NamedTuple):
    """The other end of a connection, as far as it is known before it says anything."""
    address: str                # what users are shown
    uid: int | None = None      # as the kernel says; None: not known
    binding: Binding = TCP      # what the client has to bind a proof to
    login: int | None = None    # the uid that limits count the uid for; None: itself
    pid: int | None = None      # of the program that connected, as the kernel says; None: not known

    @property
    def host(self) -> str:
        """The host that limits count this caller for; at a Unix socket its login."""
        if self.uid is None:
            return host_of(self.address)
        return f"uid {self.uid if self.login is None else self.login}"


class Refusal(Exception):
    """A client is not let in."""

    def __init__(self, why: wire.Why, reason: str) -> None:
        super().__init__(reason)
        self.message = wire.Rejected(why, reason)


class Doubtful(Exception):
    """It takes a moment to find out whether a client can be let in, or who gets its message, or to
    take all that it confirms: look at its HELLO, PROOF, SENDS or CONFIRM again."""


class Invitation:
    """A question to some users.  It lives until all have accepted, or one event calls it off."""
    __slots__ = ("accepted", "expires", "invited", "inviter", "number")

    def __init__(self, number: int, inviter: Client, invited: list[Client], expires: float
                 ) -> None:
        self.number = number
        self.inviter = inviter
        self.invited = invited
        self.accepted: set[Client] = set()
        self.expires = expires                  # on the monotonic clock

    @property
    def members(self) -> list[Client]:
        return [self.inviter, *self.invited]

    @property
    def told(self) -> list[Client]:
        """The members that know of it: those that ignore the inviter do not."""
        return [member for member in self.members if self.number not in member.chats.withheld]


class Session:
    """An established chat session."""
    __slots__ = ("is_group", "lines", "members", "number", "spans")

    def __init__(self, number: int, members: Sequence[Client]) -> None:
        self.number = number
        self.is_group = len(members) > 2        # and stays one when some have left
        self.members = dict.fromkeys(members)
        self.lines = bytearray()                # frames that are not passed on yet
        # where each member's own lines are among them: begin and end
        self.spans: dict[Client, list[tuple[int, int]]] = {}


NO_INVITATIONS: dict[int, Invitation] = {}      # nobody adds to it


class ChatState:
    """What one client has to do with invitations and chat sessions."""
    __slots__ = ("invitations", "inviting", "pledged", "session", "withheld")

    def __init__(self) -> None:
        self.invitations = NO_INVITATIONS           # received, to be answered; by number
        self.withheld = NO_INVITATIONS              # received, from users that this one ignores
        self.inviting: Invitation | None = None     # its own, pending
        self.pledged: Invitation | None = None      # accepted, waiting for the others
        self.session: Session | None = None

    @property
    def open(self) -> list[Invitation]:
        """All invitations that the client has part in."""
        own = [each for each in (self.inviting, self.pledged) if each is not None]
        return [*own, *self.invitations.values(), *self.withheld.values()]


class LogCopy:
    """What one client has of the log of names, and what it is being sent of it."""
    __slots__ = ("list_request", "listed_upto", "point", "sent_upto")

    def __init__(self) -> None:
        self.sent_upto = 0              # the log was sent up to this user number
        self.point = 0                  # and is current to this point (publication.py)
        self.list_request = 0           # the LIST that is being answered; 0: none
        self.listed_upto = 0            # and the user number that the answer has come to


NO_CHATS, NO_COPY = ChatState(), LogCopy()      # nobody changes them

FREE = 8 << 20      # bytes of long texts by one login at once: a file that somebody pastes
NEVER = float("-inf")


class Usage:
    """What one login takes of the store (usage.py)."""
    __slots__ = ("clients", "free", "free_at", "login", "put", "put_before", "unsent", "waiting")

    def __init__(self, login: str, waiting: int) -> None:
        self.login = login
        self.clients = 0        # connected
        self.free: float = FREE     # bytes of long texts that are no more work than short ones
        self.free_at = NEVER        # when they were counted, on the monotonic clock
        self.put = 0            # bytes put into the journals since they were sealed last
        self.put_before = 0     # and from the seal before to that one
        self.unsent = 0         # bytes said to all its clients, that their sockets did not take yet
        self.waiting = waiting  # bytes of its messages in all mailboxes, or more


class Client:
    """A connected user: the session of a name."""
    __slots__ = ("address", "backlog", "caller", "chats", "checkable", "features", "greeting",
                 "has_left", "holding", "host", "is_operator", "log_copy", "out",
                 "presented_token", "since", "token", "told_waiting", "uid", "usage", "user",
                 "welcomed", "window", "work")

    def __init__(self, user: User, caller: Caller, host: str, features: int, token: bytes,
                 presented_token: bytes, now: int) -> None:
        self.user = user
        self.caller = caller
        self.address = caller.address
        self.host = host                        # Caller.host
        self.uid = caller.uid                   # as the kernel says; None: not known
        self.is_operator = False                # root's login, or the daemon's own (claims.py)
        self.features = features                # granted
        self.token = token                      # given in WELCOME
        self.presented_token = presented_token  # brought in HELLO
        self.since = now                        # microseconds since 1970: when its state began
        self.welcomed = False                   # WELCOME was said; nothing is said before it
        self.has_left = False                   # not among the users; its connection is closing
        self.greeting = b""                     # a frame that goes before WELCOME
        self.out: list[bytes] | tuple[()] = ()  # frames for the connection to send
        self.backlog = 0                        # bytes said, that the socket did not take yet
        self.work = 0                           # units of its last request (server/fairness.py)
        # everything waits for a CHECK, nothing is pushed
        self.holding = bool(features & wire.Feature.HOLD)
        self.checkable = user.waiting           # messages that wait for a CHECK while not holding
        self.told_waiting = user.waiting        # the number last said in WELCOME or WAITING
        self.window: Window                     # made when it has come in (delivery.py)
        self.usage: Usage                       # its login's, found when it has come in (usage.py)
        self.log_copy, self.chats = NO_COPY, NO_CHATS       # to be read; see own_copy, own_chats

    @property
    def name(self) -> str:
        """As first registered."""
        return self.user.name

    @property
    def waiting(self) -> int:
        """How many messages a CHECK would bring."""
        return self.user.waiting if self.holding else self.checkable

    def own_copy(self) -> LogCopy:
        """Its log_copy, for whoever changes it first."""
        if self.log_copy is NO_COPY:
            self.log_copy = LogCopy()
        return self.log_copy

    def own_chats(self) -> ChatState:
        """Its chats, for whoever changes them first."""
        if self.chats is NO_CHATS:
            self.chats = ChatState()
        return self.chats


class Errand(Client):
    """A client beside the session of its user (errands.py).  It does not stop or begin to hold."""
    __slots__ = ("session_of",)
    session_of: Callable[[User], Client | None]     # set when it has come in

    @property
    def waiting(self) -> int:
        """How many messages a CHECK would bring: those that neither the session was pushed live nor
        this one."""
        session, own = self.session_of(self.user), super().waiting
        return min(session.waiting, own) if session else own
