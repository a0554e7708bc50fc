"""chats: invitations and chat sessions.

A user invites one other to a chat, or several to a group chat.  The session starts when everyone invited has accepted;
one who denies, disconnects, or does not answer in time calls it off for all, and all are told who and why.  In a
session each line goes to the others.  Quit by one of a pair ends it; a group goes on while two remain.

The theory: a connected user is in one of four states,

    AVAILABLE   at the menu
    INVITING    has an invitation out; may be invited, and may accept: that takes back the own invitation
    PLEDGED     has accepted a group's invitation and waits for the others; cannot be invited
    BUSY        in a chat; cannot be invited

and may hold, in the first two, up to INVITATIONS_MAX invitations of others.  What a user may do in which state stands
in RULES, a row for each event and a column for each state; a cell is None, or the reason for saying no.  Three
things happen to a user without being asked for, in any state: an invitation is called off, a chat ends, the connection
is lost.  Nobody is ever stuck: every invitation has an end in time, and every end goes through `_call_off`, `_start` or
`_leave`, which put back everything that the invitation or the chat had set.

Only AVAILABLE and BUSY are shown to others.

Whoever invites and takes it back, over and over, meets a rate: INVITING_BURST invitations at once, and then one each
INVITING_SECONDS, whoever is invited, and for operators too.
"""
from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from math import inf

import wire
from rules.hosts import Buckets
from rules.ignore import Ignores
from rules.roster import Roster
from rules.state import ChatState, Client, Invitation, Now, Session
from rules.store import Store
from wire import Why

INVITING_BURST = 10         # invitations by one user at once: nobody is in earnest that often
INVITING_SECONDS = 5        # and then one more each: to be asked by the same one again and again is no chat
PATIENCE = 60               # seconds until an invitation expires: time to see it, to finish a line and to answer
INVITATIONS_MAX = 3         # that one user may have to answer: a menu row, not a flood
INVITED_MAX = 1000          # users invited at once: their names fit a frame
LINES_MAX = 256 * 1024      # bytes a member of a chat may leave unread before being put out of it
TOGETHER = 64 * 1024        # bytes of lines that are passed on together: who was silent shares them with the others


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


def without(lines: bytes, spans: list[tuple[int, int]]) -> bytes:
    """These bytes without these parts of them."""
    kept, at = [], 0
    for begin, end in spans:
        kept.append(lines[at:begin])
        at = end
    return b"".join([*kept, lines[at:]])


def state_of(client: Client) -> State:
    """The state a user is in, read off what it holds."""
    chats: ChatState = client.chats
    if chats.session is not None:
        return State.BUSY
    if chats.pledged is not None:
        return State.PLEDGED
    return State.INVITING if chats.inviting is not None else State.AVAILABLE


class Chats:
    """All invitations and sessions."""

    def __init__(self, mailbox: Store, roster: Roster, note: Callable[..., None], ignores: Ignores,
                 patience: int = PATIENCE) -> None:
        self.mailbox = mailbox
        self.ignores = ignores
        self.roster = roster
        self.note = note
        self.patience = patience                        # seconds until an invitation expires
        self.pending: dict[int, Invitation] = {}        # by number; they expire in this order
        self.sessions: dict[int, Session] = {}             # the record of active sessions, by number
        self._spoken: dict[Session, None] = {}             # those with lines to pass on
        self._rate = Buckets(INVITING_BURST, INVITING_SECONDS)
        self._numbers = 0                               # of invitations and chats alike; only grows

    # ---- what users ask for: through the table ----

    def on_invite(self, client: Client, said: wire.Invite, now: Now) -> None:
        client.work += len(said.to)
        invited, fault = self._invitable(client, said.to)
        refusal = RULES[Event.INVITE][state_of(client)] or fault or self._too_often(client, now)
        if refusal:
            self.note("not-invited", name=client.name, to=wire.some(said.to), reason=refusal[1])
            self.roster.tell(client, wire.Failed(said.request, *refusal))
        else:
            self._invite(client, said.request, invited, now)

    def on_answer(self, client: Client, said: wire.Answer, now: Now) -> None:
        invitation = client.chats.invitations.get(said.invitation)
        refusal = RULES[Event.ACCEPT if said.accept else Event.DENY][state_of(client)]
        if invitation is None or refusal:
            why = refusal[0] if invitation and refusal else Why.UNKNOWN
            self.roster.tell(client, wire.CalledOff(said.invitation, why, client.name))
        elif said.accept:
            self._accept(client, invitation, now)
        else:
            self._call_off(invitation, Why.DENIED, client)

    def on_withdraw(self, client: Client, said: wire.Withdraw, now: Now) -> None:
        invitation = client.chats.inviting or client.chats.pledged
        refusal = RULES[Event.WITHDRAW][state_of(client)]
        if refusal or invitation is None or invitation.number != said.invitation:
            self.roster.tell(client, wire.CalledOff(said.invitation, Why.UNKNOWN, client.name))
        else:
            self._call_off(invitation, Why.WITHDRAWN, client)

    def on_say(self, client: Client, said: wire.Say, now: Now) -> None:
        refusal = RULES[Event.SAY][state_of(client)] or wire.flaw(said.text)
        if client.chats.session and said.chat != client.chats.session.number:
            refusal = Why.UNKNOWN, "that chat session has ended"
        if refusal:
            self.roster.tell(client, wire.Failed(said.request, *refusal))
        elif said.text.strip().casefold() == "quit":
            self._leave(client, Why.QUIT, now)
        else:
            self._spread(client, said.text, now)

    # ---- what happens to users ----

    def leave(self, client: Client, now: Now) -> None:
        """The connection is gone, and with it everything the user was part of."""
        if client.chats.session is not None:
            self._leave(client, Why.GONE, now)
        for invitation in client.chats.open:
            if invitation.number in self.pending:
                self._call_off(invitation, Why.GONE, client)

    def expire(self, monotonic: float) -> None:
        """Call off every invitation whose time is over."""
        for invitation in list(self.pending.values()):
            if invitation.expires > monotonic:
                return
            silent = next(client for client in invitation.invited if client not in invitation.accepted)
            self._call_off(invitation, Why.EXPIRED, silent)

    def next_expiry(self) -> float:
        """When the next invitation expires, on the monotonic clock; inf: none is out."""
        return next(iter(self.pending.values())).expires if self.pending else inf

    # ---- invitations ----

    def _invitable(self, client: Client, names: tuple[str, ...]) -> tuple[list[Client], tuple[Why, str] | None]:
        """The users of these names; and why one of them can't be invited."""
        invited: dict[Client, None] = {}
        if not 1 <= len(names) <= INVITED_MAX:
            return [], (Why.EMPTY, f"invite 1 to {INVITED_MAX} users")
        for name in names:
            user = self.mailbox.find(name)
            other = self.roster.clients.get(user.number) if user else None
            if other is None:
                return [], (Why.UNKNOWN, f"no user named {name[:64]} is connected")
            if other is client:
                return [], (Why.UNKNOWN, "one can't invite oneself")
            if state_of(other) in (State.PLEDGED, State.BUSY):
                return [], (Why.BUSY, f"{other.name} is not available now")
            if other.backlog > LINES_MAX // 2:
                return [], (Why.SLOW, f"{other.name} does not read what it is sent now")
            if len(other.chats.invitations) >= INVITATIONS_MAX:
                return [], (Why.BUSY, f"{other.name} has {INVITATIONS_MAX} invitations to answer already")
            invited[other] = None
        return list(invited), None

    def _too_often(self, client: Client, now: Now) -> tuple[Why, str] | None:
        """Why this one has to wait before it invites again; else it is counted."""
        number = client.user.number
        if self._rate.left(number, now.monotonic) < 1:
            return Why.BUSY, f"too many invitations: wait {self._rate.wait(number, now.monotonic)} s"
        self._rate.take(number, now.monotonic)
        return None

    def _invite(self, client: Client, request: int, invited: list[Client], now: Now) -> None:
        invitation = Invitation(self._number(), client, invited, now.monotonic + self.patience)
        self.pending[invitation.number] = client.chats.inviting = invitation
        names = tuple(member.name for member in invitation.members)
        for other in invited:
            if self.ignores.holds(other.user, client.user):
                other.chats.withheld = _with(other.chats.withheld, invitation)
            else:
                other.chats.invitations = _with(other.chats.invitations, invitation)
        self.roster.tell(client, wire.Inviting(request, invitation.number, self.patience, names))
        said = wire.Invitation(invitation.number, self.patience, client.name, names)
        self.roster.tell_all([member for member in invitation.told if member is not client], said)
        self.note("invited", name=client.name, to=wire.some(names[1:]), invitation=invitation.number)

    def withhold(self, client: Client) -> None:
        """This one ignores somebody more: open invitations by him are over, for this one alone."""
        for number, invitation in list(client.chats.invitations.items()):
            if self.ignores.holds(client.user, invitation.inviter.user):
                client.chats.withheld = _with(client.chats.withheld, client.chats.invitations.pop(number))
                self.roster.tell(client, wire.CalledOff(number, Why.OTHER, invitation.inviter.name))

    def _accept(self, client: Client, invitation: Invitation, now: Now) -> None:
        self.note("accepted", name=client.name, invitation=invitation.number)
        client.work += len(invitation.members)
        self._clear(client, invitation)
        del client.chats.invitations[invitation.number]
        invitation.accepted.add(client)
        client.chats.pledged = invitation
        if len(invitation.accepted) == len(invitation.invited):
            self._start(invitation, now)
        else:
            self.roster.tell_all((m for m in invitation.told if m is not client),
                                 wire.Answered(invitation.number, client.name))

    def _clear(self, client: Client, chosen: Invitation) -> None:
        """Call off all invitations that this user sent or received but the one."""
        for invitation in client.chats.open:
            if invitation is not chosen and invitation.number in self.pending:
                self._call_off(invitation, Why.WITHDRAWN if invitation.inviter is client else Why.BUSY, client)

    def _forget(self, invitation: Invitation) -> None:
        """Undo what the invitation had set."""
        del self.pending[invitation.number]
        invitation.inviter.chats.inviting = None
        for other in invitation.invited:
            other.chats.invitations.pop(invitation.number, None)
            other.chats.withheld.pop(invitation.number, None)
            if other.chats.pledged is invitation:
                other.chats.pledged = None

    def _call_off(self, invitation: Invitation, why: Why, by: Client) -> None:
        told = invitation.told
        by.work += len(told)
        self._forget(invitation)
        self.roster.tell_all(told, wire.CalledOff(invitation.number, why, by.name))
        self.note("called-off", invitation=invitation.number, why=why.name.lower(), by=by.name)

    # ---- sessions ----

    def _start(self, invitation: Invitation, now: Now) -> None:
        self._clear(invitation.inviter, invitation)
        self._forget(invitation)
        chat = Session(self._number(), invitation.members)
        self.sessions[chat.number] = chat
        names = tuple(member.name for member in chat.members)
        for member in chat.members:
            member.chats.session = chat
            self._changed(member, now)
        self.roster.tell_all(chat.members, wire.Started(chat.number, invitation.number, names))
        self.note("chat-started", chat=chat.number, members=wire.some(names))
        for member in chat.members if chat.is_group and self.ignores.by else ():
            silent = [other.name for other in chat.members if self.ignores.holds(member.user, other.user)]
            if silent:
                self.roster.tell(member, wire.Notice(f"lines of {', '.join(silent)} are not shown to you: /ignored"))

    def _spread(self, client: Client, text: str, now: Now) -> None:
        """A line for the others: it is passed on with all that is said in this turn."""
        chat = client.chats.session
        assert chat is not None
        client.work += len(chat.members) - 1
        self.note("line", chat=chat.number, sender=client.name, text=text)
        begin = len(chat.lines)
        chat.lines += wire.encode(wire.Line(chat.number, now.wall, client.name, text))
        chat.spans.setdefault(client, []).append((begin, len(chat.lines)))
        self._spoken[chat] = None
        if len(chat.lines) > TOGETHER:
            self._pass_on(chat, now)

    def pass_on(self, now: Now) -> None:
        """What was said goes to those who hear it."""
        for chat in list(self._spoken):
            self._pass_on(chat, now)

    def _pass_on(self, chat: Session, now: Now) -> None:
        """To each member but one's own lines, and in a group those of whom he ignores."""
        if chat not in self._spoken:
            return
        del self._spoken[chat]
        lines, spans, chat.lines, chat.spans = bytes(chat.lines), chat.spans, bytearray(), {}
        for member in chat.members:
            unheard = spans.get(member, [])
            if chat.is_group and self.ignores.by:
                unheard = sorted(span for speaker, own in spans.items() for span in own
                                 if speaker is member or self.ignores.holds(member.user, speaker.user))
            heard = without(lines, unheard) if unheard else lines
            if heard:
                self.roster.hand(member, heard)
        for member in list(chat.members):
            if member.backlog > LINES_MAX:
                self._leave(member, Why.SLOW, now)

    def _leave(self, client: Client, why: Why, now: Now) -> None:
        chat = client.chats.session
        if chat is None:
            return
        self._pass_on(chat, now)                # before it is said that somebody left
        if client.chats.session is None:
            return                              # too slow for that
        client.work += len(chat.members)
        self._free(client, now)
        self.note("chat-left", chat=chat.number, name=client.name, why=why.name.lower())
        if len(chat.members) >= 2:
            self.roster.tell_all(chat.members, wire.Left(chat.number, why, client.name))
            self.roster.tell(client, wire.Ended(chat.number, why, client.name))
            return
        last = list(chat.members)
        for member in last:
            self._free(member, now)
        del self.sessions[chat.number]
        self.roster.tell_all([client, *last], wire.Ended(chat.number, why, client.name))
        self.note("chat-ended", chat=chat.number)

    def _free(self, client: Client, now: Now) -> None:
        """Out of the chat, and available again."""
        assert client.chats.session is not None
        del client.chats.session.members[client]
        client.chats.session = None
        self._changed(client, now)

    def _changed(self, client: Client, now: Now) -> None:
        client.since = now.wall
        self.roster.changed(client)
        self.note("status", name=client.name, status="busy" if client.chats.session else "available")

    def _number(self) -> int:
        self._numbers = self._numbers % (2**32 - 1) + 1         # a u32, never 0
        return self._numbers


_ONE = (Why.BUSY, "one invitation at a time: withdraw yours first")
_WAIT = (Why.BUSY, "you have accepted an invitation and wait for the others: withdraw first")
_CHATTING = (Why.BUSY, "you are in a chat: Quit ends it")
_NO_CHAT = (Why.UNKNOWN, "you are in no chat session")
_NONE = (Why.UNKNOWN, "no invitation of yours is open")

RULES: dict[Event, tuple[tuple[Why, str] | None, ...]] = {
    #                AVAILABLE  INVITING  PLEDGED   BUSY            None: it is done
    Event.INVITE:   (None,      _ONE,     _WAIT,    _CHATTING),
    Event.ACCEPT:   (None,      None,     _WAIT,    _CHATTING),
    Event.DENY:     (None,      None,     None,     _CHATTING),
    Event.WITHDRAW: (_NONE,     None,     None,     _CHATTING),
    Event.SAY:      (_NO_CHAT,  _NO_CHAT, _NO_CHAT, None),
}


def _with(received: dict[int, Invitation], invitation: Invitation) -> dict[int, Invitation]:
    """These and that one: in place, but for the first, for those who have none share an empty dictionary."""
    if not received:
        return {invitation.number: invitation}
    received[invitation.number] = invitation
    return received
