"""chats: what a user may do about invitations and chat sessions, as a table of states and events.

A user invites one other to a chat, or several to a group chat.  The session starts when everyone
who was invited has accepted.  A user who denies, disconnects, or does not answer in time calls it
off for all, and all are told who and why (invitations.py).  In a session each line goes to the
others.  When one of a pair quits, the session ends; a group goes on while two remain (sessions.py).

The theory: a connected user is in one of four states,

    AVAILABLE   at the menu
    INVITING    has an invitation out; may be invited, and may accept: that takes back its own
    PLEDGED     has accepted a group's invitation and waits for the others; cannot be invited
    BUSY        in a chat; cannot be invited

and in the first two may hold up to INVITATIONS_MAX invitations of others.  RULES says what a user
may do in which state: a row for each event, a column for each state; a cell is None, or the reason
for saying no.  Three things happen to users without their asking, in any state: an invitation is
called off, a chat ends, the connection is lost.  Nobody is ever stuck: every invitation expires,
and every end goes through `Invitations._call_off`, `Invitations._start` or `Sessions.leave`, which
put back everything that the invitation or the session had set.

Only AVAILABLE and BUSY are shown to others.
"""
from __future__ import annotations

from enum import IntEnum

from rules.state import Client
from wire import Why


class State(IntEnum):
    """What a connected user is doing."""
    AVAILABLE = 0
    INVITING = 1
    PLEDGED = 2
    BUSY = 3


class Event(IntEnum):
    """What a user may ask for here."""
    INVITE = 0
    ACCEPT = 1
    DENY = 2
    WITHDRAW = 3
    SAY = 4


_ONE = (Why.BUSY, "one invitation at a time: withdraw yours first")
_WAIT = (Why.BUSY, "you accepted an invitation and are waiting for the others: withdraw first")
_CHATTING = (Why.BUSY, "you are in a chat: Quit ends it")
_NO_CHAT = (Why.UNKNOWN, "you are not in a chat session")
_NONE = (Why.UNKNOWN, "you have no open invitation")

RULES: dict[Event, tuple[tuple[Why, str] | None, ...]] = {
    #                AVAILABLE  INVITING  PLEDGED   BUSY            None: it is done
    Event.INVITE:   (None,      _ONE,     _WAIT,    _CHATTING),
    Event.ACCEPT:   (None,      None,     _WAIT,    _CHATTING),
    Event.DENY:     (None,      None,     None,     _CHATTING),
    Event.WITHDRAW: (_NONE,     None,     None,     _CHATTING),
    Event.SAY:      (_NO_CHAT,  _NO_CHAT, _NO_CHAT, None),
}


def state_of(client: Client) -> State:
    """The state that a user is in, as its invitations and session say."""
    chats = client.chats
    if chats.session is not None:
        return State.BUSY
    if chats.pledged is not None:
        return State.PLEDGED
    return State.INVITING if chats.inviting is not None else State.AVAILABLE


def refusal_of(event: Event, client: Client) -> tuple[Why, str] | None:
    """Why this user may not ask for this now; None: it may."""
    return RULES[event][state_of(client)]
