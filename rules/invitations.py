"""invitations: questions to users, until all have accepted or one event calls them off.

A user that invites and withdraws, over and over, meets a rate: INVITING_BURST invitations at once,
and then one each INVITING_SECONDS, whoever is invited, and for operators too.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

import wire
from rules.buckets import Buckets
from rules.chats import Event, State, refusal_of, state_of
from rules.ignore import Ignores
from rules.roster import Roster
from rules.sessions import LINES_MAX, Sessions
from rules.state import Client, Invitation, Now
from rules.store import Store
from wire import Why

INVITING_BURST = 10     # invitations by one user at once: nobody is in earnest that often
INVITING_SECONDS = 5    # and then one more each: to be asked again and again by one user is no chat
PATIENCE = 60           # seconds until one expires: time to see it, finish a line, and answer
INVITATIONS_MAX = 3     # that one user may have to answer: a menu row, not a flood
INVITED_MAX = 1000      # users invited at once: their names fit a frame


class Invitations:
    """All invitations that are open."""

    def __init__(self, mailbox: Store, roster: Roster, note: Callable[..., None],
                 ignores: Ignores, sessions: Sessions, patience: int = PATIENCE) -> None:
        self.mailbox = mailbox
        self.roster = roster
        self.note = note
        self.ignores = ignores
        self.sessions = sessions
        self.patience = patience                        # seconds until an invitation expires
        self.pending: dict[int, Invitation] = {}        # by number; they expire in this order
        self._rate = Buckets(INVITING_BURST, INVITING_SECONDS)

    # ---- what users ask for ----

    def on_invite(self, client: Client, said: wire.Invite, now: Now) -> None:
        client.work += len(said.to)
        invited, fault = self._invitable(client, said.to)
        refusal = refusal_of(Event.INVITE, client) or fault or self._too_often(client, now)
        if refusal:
            self.note("not-invited", name=client.name, to=wire.some(said.to), reason=refusal[1])
            self.roster.tell(client, wire.Failed(said.request, *refusal))
        else:
            self._invite(client, said.request, invited, now)

    def on_answer(self, client: Client, said: wire.Answer, now: Now) -> None:
        invitation = client.chats.invitations.get(said.invitation)
        refusal = refusal_of(Event.ACCEPT if said.accept else Event.DENY, client)
        if invitation is None or refusal:
            why = refusal[0] if invitation and refusal else Why.UNKNOWN
            self.roster.tell(client, wire.CalledOff(said.invitation, why, client.name))
        elif said.accept:
            self._accept(client, invitation, now)
        else:
            self._call_off(invitation, Why.DENIED, client)

    def on_withdraw(self, client: Client, said: wire.Withdraw, now: Now) -> None:
        invitation = client.chats.inviting or client.chats.pledged
        refusal = refusal_of(Event.WITHDRAW, client)
        if refusal or invitation is None or invitation.number != said.invitation:
            self.roster.tell(client, wire.CalledOff(said.invitation, Why.UNKNOWN, client.name))
        else:
            self._call_off(invitation, Why.WITHDRAWN, client)

    # ---- what happens to them ----

    def leave(self, client: Client) -> None:
        """The connection of this client is gone, and so is every invitation it has part in."""
        for invitation in client.chats.open:
            if invitation.number in self.pending:
                self._call_off(invitation, Why.GONE, client)

    def expire(self, monotonic: float) -> None:
        """Call off every invitation whose time is over."""
        for invitation in list(self.pending.values()):
            if invitation.expires > monotonic:
                return
            silent = next(other for other in invitation.invited
                          if other not in invitation.accepted)
            self._call_off(invitation, Why.EXPIRED, silent)

    def next_expiry(self) -> float:
        """When the next invitation expires, on the monotonic clock; inf: none is open."""
        return next(iter(self.pending.values())).expires if self.pending else inf

    def withhold(self, client: Client) -> None:
        """This client ignores somebody more.  To it, open invitations from that user are over; to
        everybody else they are not."""
        for number, invitation in list(client.chats.invitations.items()):
            if self.ignores.holds(client.user, invitation.inviter.user):
                withheld = client.chats.invitations.pop(number)
                client.chats.withheld = _with(client.chats.withheld, withheld)
                called_off = wire.CalledOff(number, Why.OTHER, invitation.inviter.name)
                self.roster.tell(client, called_off)

    def saved(self) -> list[dict[str, Any]]:
        """The open invitations, for resume()."""
        return [{"number": each.number, "inviter": each.inviter.name,
                 "invited": [other.name for other in each.invited],
                 "accepted": [other.name for other in each.accepted],
                 "withheld": [other.name for other in each.invited if other not in each.told],
                 "expires": each.expires} for each in self.pending.values()]

    def resume(self, saved: Sequence[Mapping[str, Any]], find: Callable[[str], Client | None]
               ) -> None:
        """These are open; `find` knows the clients by name (handover.py)."""
        for each in saved:
            inviter, invited = find(each["inviter"]), [find(name) for name in each["invited"]]
            if inviter is None or None in invited:
                continue                        # cannot be: who leaves calls them off
            others = [other for other in invited if other]
            invitation = Invitation(each["number"], inviter, others, each["expires"])
            self.pending[invitation.number] = inviter.own_chats().inviting = invitation
            for other in others:
                chats = other.own_chats()
                if other.name in each["accepted"]:
                    invitation.accepted.add(other)
                    chats.pledged = invitation
                elif other.name in each["withheld"]:
                    chats.withheld = _with(chats.withheld, invitation)
                else:
                    chats.invitations = _with(chats.invitations, invitation)

    # ---- asking ----

    def _invitable(self, client: Client, names: tuple[str, ...]
                   ) -> tuple[list[Client], tuple[Why, str] | None]:
        """The clients of these names; and why one of them can't be invited."""
        invited: dict[Client, None] = {}
        if not 1 <= len(names) <= INVITED_MAX:
            return [], (Why.EMPTY, f"invite 1 to {INVITED_MAX} users")
        for name in names:
            user = self.mailbox.find(name)
            other = self.roster.clients.get(user.number) if user else None
            if other is None:
                return [], (Why.UNKNOWN, f"no user named {name[:64]} is connected")
            if other is client:
                return [], (Why.UNKNOWN, "you can't invite yourself")
            if fault := _occupied(other):
                return [], fault
            invited[other] = None
        return list(invited), None

    def _too_often(self, client: Client, now: Now) -> tuple[Why, str] | None:
        """Why this client has to wait before it invites again.  If it has not, it is counted."""
        number = client.user.number
        if self._rate.level(number, now.monotonic) < 1:
            seconds = self._rate.wait(number, now.monotonic)
            return Why.BUSY, f"too many invitations: wait {seconds} s"
        self._rate.take(number, now.monotonic)
        return None

    def _invite(self, client: Client, request: int, invited: list[Client], now: Now) -> None:
        invitation = Invitation(self.sessions.new_number(), client, invited,
                                now.monotonic + self.patience)
        number, names = invitation.number, tuple(member.name for member in invitation.members)
        self.pending[number] = client.own_chats().inviting = invitation
        for other in invited:
            chats = other.own_chats()
            if self.ignores.holds(other.user, client.user):
                chats.withheld = _with(chats.withheld, invitation)
            else:
                chats.invitations = _with(chats.invitations, invitation)
        self.roster.tell(client, wire.Inviting(request, number, self.patience, names))
        said = wire.Invitation(number, self.patience, client.name, names)
        self.roster.tell_all([m for m in invitation.told if m is not client], said)
        self.note("invited", name=client.name, to=wire.some(names[1:]), invitation=number)

    # ---- their ends ----

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
            self.roster.tell_all([m for m in invitation.told if m is not client],
                                 wire.Answered(invitation.number, client.name))

    def _start(self, invitation: Invitation, now: Now) -> None:
        """All have accepted."""
        self._clear(invitation.inviter, invitation)
        self._forget(invitation)
        self.sessions.start(invitation.members, invitation.number, now)

    def _clear(self, client: Client, chosen: Invitation) -> None:
        """Call off all invitations that this user sent or received, except the chosen one."""
        for invitation in client.chats.open:
            if invitation is not chosen and invitation.number in self.pending:
                is_own = invitation.inviter is client
                self._call_off(invitation, Why.WITHDRAWN if is_own else Why.BUSY, client)

    def _call_off(self, invitation: Invitation, why: Why, by: Client) -> None:
        told = invitation.told
        by.work += len(told)
        self._forget(invitation)
        self.roster.tell_all(told, wire.CalledOff(invitation.number, why, by.name))
        self.note("called-off", invitation=invitation.number, why=why.name.lower(), by=by.name)

    def _forget(self, invitation: Invitation) -> None:
        """Undo what the invitation had set."""
        del self.pending[invitation.number]
        invitation.inviter.chats.inviting = None
        for other in invitation.invited:
            other.chats.invitations.pop(invitation.number, None)
            other.chats.withheld.pop(invitation.number, None)
            if other.chats.pledged is invitation:
                other.chats.pledged = None


def _occupied(other: Client) -> tuple[Why, str] | None:
    """Why this user can't be invited by anybody now."""
    if state_of(other) in (State.PLEDGED, State.BUSY):
        return Why.BUSY, f"{other.name} is not available now"
    if other.backlog > LINES_MAX // 2:
        return Why.SLOW, f"{other.name} is not reading what it is sent"
    if len(other.chats.invitations) >= INVITATIONS_MAX:
        return Why.BUSY, f"{other.name} has {INVITATIONS_MAX} invitations to answer already"
    return None


def _with(received: dict[int, Invitation], invitation: Invitation) -> dict[int, Invitation]:
    """Add an invitation to these: in place, unless they are the empty dictionary that all share."""
    if not received:
        return {invitation.number: invitation}
    received[invitation.number] = invitation
    return received
