"""invitations: invitations to a chat, the user's own and those of others.

An invitation is open until all its members have accepted it, or one of them has called it off.
Until then it is unanswered if the user has yet to answer it, and awaited if the user sent or
accepted it and others have yet to answer.  What the user does gives back a fault, one line for
them, or "".  Pure.
"""
from __future__ import annotations

from collections.abc import Sequence

import wire
from client.events import Offline, OtherStore
from client.link import Link
from terminal.display import display
from ui.chatting import Chatting
from ui.feed import Feed, Hears
from ui.names import NAMED, listed
from ui.people import People
from ui.requests import REFUSALS, Requests
from ui.words import LOST, OFFLINE, Asked, Request, are, called_off

OPEN_MAX = 30           # invitations at once: ten times as many as a daemon lets one user have
MEMBERS_MAX = 30_000    # and in them, 3 MB


class OpenInvitation:
    """An invitation that is neither accepted by all nor over."""

    def __init__(self, number: int, inviter: str, members: tuple[str, ...],
                 mine: bool = False) -> None:
        self.number = number
        self.inviter = inviter
        self.members = members              # the inviter first
        self.accepted: set[str] = set()
        self.mine = mine                    # the user sent or accepted it, and may withdraw

    @property
    def kind(self) -> str:
        """`a chat` or `a group chat`."""
        return "a group chat" if len(self.members) > 2 else "a chat"


class Invitations:
    """The invitations that are open."""

    def __init__(self, link: Link, people: People, feed: Feed, requests: Requests,
                 chatting: Chatting) -> None:
        self.link, self.people, self.feed = link, people, feed
        self.requests, self.chatting = requests, chatting
        self._open: dict[int, OpenInvitation] = {}
        self._is_full = False                   # the user knows that invitations were passed over
        self.hears: Hears = {
            wire.Invitation: self.on_invitation, wire.Inviting: self.on_inviting,
            wire.Answered: self.on_answered, wire.CalledOff: self.on_called_off,
            wire.Started: self.on_started, Offline: self.on_lost, OtherStore: self.on_lost,
        }

    @property
    def awaited(self) -> OpenInvitation | None:
        """The invitation that the user sent or accepted, and that waits for others."""
        return next((each for each in self._open.values() if each.mine), None)

    @property
    def unanswered(self) -> list[OpenInvitation]:
        """The invitations that the user has not answered, the oldest first."""
        return [each for each in self._open.values() if not each.mine]

    # ---- the row above the line ----

    @property
    def row(self) -> tuple[str, ...]:
        """The row about an invitation, from its longest form to its shortest; () for none."""
        if unanswered := self.unanswered:
            return self._row_unanswered(unanswered[0], len(unanswered) - 1)
        return self._row_awaited(self.awaited) if self.awaited else ()

    def _row_unanswered(self, first: OpenInvitation, more: int) -> tuple[str, ...]:
        sender = display(first.inviter)
        others = [name for name in self.people.others(first.members)
                  if name.lower() != first.inviter.lower()]
        what = f"a group chat with {listed(others, NAMED)}" if others else "a chat"
        also = f" ({more} more)" if more else ""
        return (f"* {sender} invites you to {what}{also}:  7. Accept  8. Deny   (/accept, /deny)",
                f"* {sender} invites you to {what}{also}: 7 or /accept, 8 or /deny",
                f"* {sender} invites you to {what}{also}: 7. Accept 8. Deny",
                f"* {sender} invites you: 7 Accept 8 Deny",
                f"{sender}? 7 Accept 8 Deny",
                "7 yes 8 no")

    def _row_awaited(self, invitation: OpenInvitation) -> tuple[str, ...]:
        accepted = {name.lower() for name in (*invitation.accepted, invitation.inviter)}
        invited = invitation.members[1:]
        ready = [name for name in invited if name.lower() in accepted]
        silent = [name for name in invited if name.lower() not in accepted]
        if not silent:
            return ()                       # the chat is about to begin
        said = (f"; {listed([self.people.called(name) for name in ready], NAMED)} accepted"
                if ready else "")
        return (f"* waiting for {listed(silent, NAMED)} to answer{said}:"
                "  9. Withdraw   (/withdraw)",
                f"* waiting for {listed(silent, 1)}: 9. Withdraw",
                "9. Withdraw",
                "9 off")

    # ---- what the user does ----

    def hindrance(self) -> str:
        """Why the user cannot invite anybody now, or ""."""
        if not self.link.online:
            return OFFLINE
        if self.chatting.chat:
            others = listed(self.chatting.chat.others, NAMED)
            return f"you are chatting with {others}: Quit ends it"
        if self.awaited:
            return "one invitation at a time: 9 or /withdraw takes yours back"
        return ""

    def invite(self, names: Sequence[str]) -> str:
        """Invite to a chat."""
        asked = Asked(Request.INVITE)
        return self.hindrance() or self.requests.ask(asked, lambda: self.link.ask.invite(names))

    def answer(self, accept: bool, inviter: str = "") -> str:
        """Answer the oldest unanswered invitation, or the oldest of one inviter."""
        unanswered = [each for each in self.unanswered
                      if not inviter or each.inviter.lower() == inviter.lower()]
        if not unanswered:
            return f"no invitation{f' from {display(inviter)}' if inviter else ''} is open"
        first = unanswered[0]
        try:
            self.link.ask.answer(first.number, accept)
        except REFUSALS as fault:
            return str(fault)
        if accept and len(first.members) > 2:
            first.mine = True
            first.accepted.add(self.link.name)
        elif accept:
            del self._open[first.number]
        return ""

    def withdraw(self) -> str:
        """Take back the user's invitation, or their acceptance of another's."""
        if not self.awaited:
            return "you have no invitation to withdraw"
        try:
            self.link.ask.withdraw(self.awaited.number)
        except REFUSALS as fault:
            return str(fault)
        return ""

    # ---- what the daemon says ----

    def _whose(self, invitation: OpenInvitation) -> str:
        inviter = invitation.inviter
        whose = "your" if self.people.is_me(inviter) else f"{display(inviter)}'s"
        return f"{whose} invitation to {invitation.kind}"

    def on_invitation(self, event: wire.Invitation) -> None:
        if self._add(OpenInvitation(event.invitation, event.sender, event.members)):
            self.people.hear(event.sender)
            self.feed.alert("invitation", event.sender)

    def _add(self, invitation: OpenInvitation) -> bool:
        """Whether there is room for it: a hostile daemon invites without end."""
        members = sum(len(each.members) for each in self._open.values()) + len(invitation.members)
        if len(self._open) < OPEN_MAX and members <= MEMBERS_MAX:
            self._open[invitation.number] = invitation
            return True
        if not self._is_full:
            self.feed.note(f"{len(self._open)} invitations are open: more are passed over", "alert")
        self._is_full = True
        return False

    def on_inviting(self, event: wire.Inviting) -> None:
        invitation = OpenInvitation(event.invitation, self.link.name, event.members, mine=True)
        self._add(invitation)
        invited = self.people.others(event.members)
        self.feed.note(f"{are(invited)} invited to {invitation.kind}: "
                       f"{event.seconds} s to answer")

    def on_answered(self, event: wire.Answered) -> None:
        invitation = self._open.get(event.invitation)
        if invitation and event.by in invitation.members:
            invitation.accepted.add(event.by)
            by = self.people.called(event.by)
            self.feed.note(f"{by} accepted {self._whose(invitation)}")

    def on_called_off(self, event: wire.CalledOff) -> None:
        invitation = self._open.pop(event.invitation, None)
        which = self._whose(invitation) if invitation else "that invitation"
        self.feed.note(called_off(event.why, self.people.called(event.by), which))

    def on_started(self, event: wire.Started) -> None:
        self._open.pop(event.invitation, None)

    def on_lost(self, _: Offline | OtherStore) -> None:
        """With the connection, the daemon forgets the invitations."""
        for invitation in self._open.values():
            self.feed.note(f"{self._whose(invitation)} is off: {LOST}")
        self._open.clear()
        self._is_full = False
