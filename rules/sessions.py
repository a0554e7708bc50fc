"""sessions: established chats, and the lines that are said in them.

Lines are passed on together at the end of a turn: members that said nothing share the same bytes.
A member that does not read is put out once LINES_MAX bytes wait for it.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import wire
from rules.chats import Event, refusal_of
from rules.ignore import Ignores
from rules.roster import Roster
from rules.slices import MANY
from rules.state import Client, Now, Session
from wire import Why

LINES_MAX = 256 * 1024      # bytes that a member may leave unread before it is put out
TOGETHER = 64 * 1024        # bytes of lines that are passed on together
COPIED = 2 << 20            # bytes copied for it: who spoke gets lines of the others alone; 0.3 ms


class Sessions:
    """All active chat sessions."""

    def __init__(self, roster: Roster, note: Callable[..., None], ignores: Ignores) -> None:
        self.roster = roster
        self.note = note
        self.ignores = ignores
        self.active: dict[int, Session] = {}        # the record of active sessions, by number
        self.spoken: dict[Session, None] = {}      # those with lines to pass on
        self._numbers = 0                           # the last that was given

    def new_number(self) -> int:
        """A number for a session or an invitation; it only grows, and is a u32, never 0."""
        self._numbers = self._numbers % (2**32 - 1) + 1
        return self._numbers

    # ---- beginning ----

    def start(self, members: Sequence[Client], invitation: int, now: Now) -> None:
        """All have accepted this invitation: they are in a chat."""
        session = Session(self.new_number(), members)
        self.active[session.number] = session
        names = tuple(member.name for member in members)
        for member in members:
            member.own_chats().session = session
            self._changed(member, now)
        self.roster.tell_all(members, wire.Started(session.number, invitation, names))
        self.note("chat-started", chat=session.number, members=wire.some(names))
        if session.is_group and self.ignores.by:
            self._tell_unheard(members)

    def _tell_unheard(self, members: Sequence[Client]) -> None:
        """Tell each member of a group whose lines it will not be shown."""
        name_of = {member.user.number: member.name for member in members}
        logins = {self.ignores.owners.login(member.user) for member in members}
        for member in members:
            ignored = self.ignores.by.get(member.user.number)
            if not ignored:
                continue
            silent = [] if ignored.keys().isdisjoint(name_of.keys()) else [
                name for number, name in name_of.items() if number in ignored]
            if not silent and not self.ignores.logins(member.user).isdisjoint(logins):
                silent = ["some members"]       # which names a login has is no user's business
            if silent:
                self.roster.tell(member, wire.Notice(
                    f"lines of {', '.join(silent)} are not shown to you: /ignored"))

    def saved(self) -> dict[str, Any]:
        """The chats, for resume().  No line waits to be passed on."""
        return {"numbers": self._numbers, "active": [
            {"number": each.number, "is_group": each.is_group,
             "members": [member.name for member in each.members]}
            for each in self.active.values()]}

    def resume(self, saved: Mapping[str, Any], find: Callable[[str], Client | None]) -> None:
        """These chats are under way; `find` knows the clients by name (handover.py)."""
        self._numbers = saved["numbers"]
        for each in saved["active"]:
            session = Session(each["number"], [m for name in each["members"] if (m := find(name))])
            session.is_group = each["is_group"]
            self.active[session.number] = session
            for member in session.members:
                member.own_chats().session = session

    # ---- talking ----

    def on_say(self, client: Client, said: wire.Say, now: Now) -> None:
        session = client.chats.session
        refusal = refusal_of(Event.SAY, client) or wire.flaw(said.text)
        if session and said.chat != session.number:
            refusal = Why.UNKNOWN, "that chat session has ended"
        if refusal:
            self.roster.tell(client, wire.Failed(said.request, *refusal))
        elif said.text.strip().casefold() == "quit":
            self.leave(client, Why.QUIT, now)
        else:
            self._say(client, said.text, now)

    def _say(self, client: Client, text: str, now: Now) -> None:
        """A line for the others: it is passed on with all that is said in this turn."""
        session = client.chats.session
        assert session is not None              # RULES
        client.work += len(session.members) - 1
        self.note("line", chat=session.number, sender=client.name, text=text)
        begin = len(session.lines)
        session.lines += wire.encode(wire.Line(session.number, now.wall, client.name, text))
        session.spans.setdefault(client, []).append((begin, len(session.lines)))
        self.spoken[session] = None
        size = len(session.lines)
        if size > TOGETHER or size * len(session.spans) > COPIED:
            self._pass_on(session, now)

    def pass_on(self, now: Now) -> None:
        """Send what was said to those that hear it."""
        for session in list(self.spoken):
            self._pass_on(session, now)

    def _pass_on(self, session: Session, now: Now) -> None:
        """Send each member the lines of the others; in a group, not of users that it ignores."""
        if session not in self.spoken:
            return
        del self.spoken[session]
        lines, session.lines = bytes(session.lines), bytearray()
        spans, session.spans = session.spans, {}
        ignoring = self.ignores.by if session.is_group else {}
        hand = self.roster.hand if len(session.members) <= MANY else self.roster.defer
        for member in session.members:
            unheard: Sequence[tuple[int, int]] = spans.get(member, ())
            if ignoring and member.user.number in ignoring:
                unheard = self._unheard(member, spans)
            heard = without(lines, unheard) if unheard else lines
            if heard:
                hand(member, heard)
        for member in list(session.members):
            if member.backlog > LINES_MAX:
                self.leave(member, Why.SLOW, now)

    def _unheard(self, member: Client, spans: Mapping[Client, list[tuple[int, int]]]
                 ) -> list[tuple[int, int]]:
        """Which of these lines are not for a member that ignores somebody: its own, and theirs."""
        holds = self.ignores.holds
        return sorted([span for speaker, own in spans.items()
                       if speaker is member or holds(member.user, speaker.user) for span in own])

    # ---- leaving ----

    def leave(self, client: Client, why: Why, now: Now) -> None:
        """A user leaves its session, if it is in one; of two, both do."""
        session = client.chats.session
        if session is None:
            return
        self._pass_on(session, now)             # before anybody is told that a member has left
        if client.chats.session is None:
            return                              # too slow for that
        client.work += len(session.members)
        self._free(client, session, now)
        self.note("chat-left", chat=session.number, name=client.name, why=why.name.lower())
        ended = wire.Ended(session.number, why, client.name)
        if len(session.members) >= 2:
            self.roster.tell_all(session.members, wire.Left(session.number, why, client.name))
            self.roster.tell(client, ended)
            return
        last = list(session.members)
        for member in last:
            self._free(member, session, now)
        del self.active[session.number]
        self.roster.tell_all([client, *last], ended)
        self.note("chat-ended", chat=session.number, by=client.name)

    def _free(self, client: Client, session: Session, now: Now) -> None:
        """A user is out of the session, and available again."""
        del session.members[client]
        client.chats.session = None
        self._changed(client, now)

    def _changed(self, client: Client, now: Now) -> None:
        client.since = now.wall
        self.roster.changed(client)
        status = "busy" if client.chats.session else "available"
        self.note("status", name=client.name, status=status)


def without(lines: bytes, spans: Sequence[tuple[int, int]]) -> bytes:
    """These bytes without these parts of them."""
    kept, at = [], 0
    for begin, end in spans:
        kept.append(lines[at:begin])
        at = end
    return b"".join([*kept, lines[at:]])
