"""talk: what passes between the user and the daemon, and the words for it.

A Talk does what a user asks (send, check, invite, say ...) through a link, and turns each event of the link into
entries of the pane and into state that the menu reads: the invitations that are open, the chat, who is here.  It knows
no keys and no modes.  HEARD has a row for each event that means something to a user; an event without one is for the
link alone.

A deed gives back a fault, one line for the user, or "" when it is done or on its way.  Every message of one's own is
shown at once, and its mark is changed by the daemon's answers alone.  Foreign names and reasons pass display() before
they become part of a sentence; texts pass it in the pane.  Times are given: microseconds since 1970.  Pure.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import wire
from terminal.display import display
from ui.names import NAMED, Here, counted, listed, recipients, unknown
from ui.pane import DELIVERED, REFUSED, SENT, STORED, Entry, Notice, Pane, Said, Spoken, Table, clock, name_style
from wire import Outcome, SendFlag, Why

if TYPE_CHECKING:
    from client.link import Link

OWN_MAX = 10_000        # own messages whose marks may still change: as many as the pane holds
HEARD_MAX = 200         # names remembered for completion


@dataclass
class Own:
    """A message of one's own that is on its way."""
    entry: Said
    unstored: set[int]                                  # its ids that are not on disk yet
    to: set[str]                                        # who has not seen it yet, in small letters
    absent: bool = False                                # somebody was not there for a message of now or never


@dataclass
class Open:
    """An invitation that is neither accepted by all nor over."""
    number: int
    inviter: str
    members: tuple[str, ...]
    accepted: set[str] = field(default_factory=set)
    mine: bool = False                                  # I invited, or have accepted: I may withdraw


@dataclass
class Chat:
    """The chat session that one is in."""
    number: int
    others: list[str]


class Talk:
    """The user's side of everything said."""

    def __init__(self, link: Link, pane: Pane, refusals: tuple[type[Exception], ...] = (ValueError,)) -> None:
        self.link = link
        self.pane = pane
        self.refusals = refusals                        # what the link raises, in one line, for what it does not take
        self.now = 0                                    # microseconds since 1970, of this key or event
        self.seen = True                                # whether somebody looks at the end of the pane
        self.ring = False                               # whether the bell should sound
        self.over = ""                                  # why the link has ended for good
        self.refused = ""                               # why the name was refused
        self.unshown: list[wire.Mail] = []              # in the pane, and not painted yet
        self.settled: list[Said] = []                   # own messages whose mark has changed; who wants to, takes them
        self.invitations: dict[int, Open] = {}
        self.chat: Chat | None = None
        self.heard: dict[str, None] = {}                # names, the most recent last
        self._greeting: str | None = None               # to be said when the whole roster is here
        self._lost = ""                                 # the reason last told for being offline
        self.turned_away = ""                           # the same, in short, if the daemon itself said it
        self._was_online = False
        self._here: Here | None = None
        self._asked: dict[int, str] = {}                # what was asked, by request
        self._lines: dict[int, Spoken] = {}             # own lines of the chat, by request
        self._heard_at = 0                              # when the daemon said anything last
        self._own: dict[int, Own] = {}
        self._listing: list[wire.Entry] = []            # the answer to LIST as far as it came
        self._repeated = 0                              # of a check: messages that had been shown before

    # ---- who is here ----

    @property
    def here(self) -> Here:
        if self._here is None:
            self._here = Here(self.link.roster.values(), self.link.name)
        return self._here

    @property
    def busy(self) -> bool:
        """Whether answers are awaited, so that a script should wait."""
        return bool(self._asked) or any(invitation.mine for invitation in self.invitations.values())

    @property
    def pledge(self) -> Open | None:
        """The invitation that waits for others: my own, or one I have accepted."""
        return next((invitation for invitation in self.invitations.values() if invitation.mine), None)

    @property
    def questions(self) -> list[Open]:
        """Invitations that I have not answered, the oldest first."""
        return [invitation for invitation in self.invitations.values() if not invitation.mine]

    @property
    def question(self) -> tuple[str, ...]:
        """The row about an invitation, from long to short; none: ()."""
        return self._asked_by(self.questions) if self.questions else self._awaited(self.pledge)

    def _asked_by(self, questions: list[Open]) -> tuple[str, ...]:
        first, sender = questions[0], display(questions[0].inviter)
        others = [name for name in first.members if name.lower() not in (first.inviter.lower(), self.link.name.lower())]
        what = f"a group chat with {listed(others, NAMED)}" if others else "a chat"
        more = f" ({len(questions) - 1} more)" if len(questions) > 1 else ""
        return (f"* {sender} invites you to {what}{more}:  7. Accept  8. Deny   (/deny)",
                f"* {sender} invites you to {what}{more}: 7. Accept 8. Deny",
                f"* {sender} invites you: 7 Accept 8 Deny", f"{sender}? 7 Accept 8 Deny", "7 yes 8 no")

    def _awaited(self, pledge: Open | None) -> tuple[str, ...]:
        if pledge is None:
            return ()
        accepted = {name.lower() for name in (*pledge.accepted, pledge.inviter)}
        ready = [name for name in pledge.members[1:] if name.lower() in accepted]
        silent = [name for name in pledge.members[1:] if name.lower() not in accepted]
        said = f"; {listed([self._me(name) for name in ready], NAMED)} accepted" if ready else ""
        return (f"* waiting for {listed(silent, NAMED)} to answer{said}:  9. Withdraw   (/withdraw)",
                f"* waiting for {listed(silent, 1)}: 9. Withdraw", "9. Withdraw", "9 off")

    @property
    def offline(self) -> bool:
        """Whether the daemon could not be reached at the last try."""
        return bool(self._lost) and not self.link.online

    def resolve(self, names: Sequence[str]) -> tuple[tuple[str, ...], str]:
        """The names as registered, each once; or why not."""
        missing = [display(name) for name in names if not self.here.spelled(name)]
        if missing and not self.link.roster_whole and not len(self.here):
            return (), "not connected yet: the log of names is not here"
        if missing:
            return (), unknown(missing, self.here.names, "in the log")
        return tuple(dict.fromkeys(map(self.here.spelled, names))), ""

    # ---- deeds ----

    def note(self, text: str, style: str = "notice") -> None:
        """A word to the user, in the pane."""
        self.pane.add(Notice(self.now, text, style))

    def send(self, to: Sequence[str], text: str, flags: int = 0) -> str:
        """Send to these names, or with EVERYONE to all."""
        flaw = wire.flaw(text)
        if flaw:
            return flaw[1]
        everyone = bool(flags & SendFlag.EVERYONE)
        names = [entry.name for entry in self.here.others] if everyone else list(to)
        if not names:
            return "there is nobody else in the log yet"
        shown = "all" if everyone else recipients([self._me(name) for name in names])
        style = "" if everyone or len(names) > 1 else name_style(names[0])
        entry = Said(self.now, text, "you", shown, SENT, style=style)
        try:
            ids = self.link.send(() if everyone else tuple(to), text, flags)
        except self.refusals as fault:
            return str(fault)
        self.pane.add(entry)
        self.pane.to_end()
        own = Own(entry, set(ids), set(self.here.order) - {self.here.me} if everyone
                  else {name.lower() for name in names})
        self._own.update((number, own) for number in ids)
        while len(self._own) > OWN_MAX:
            del self._own[next(iter(self._own))]
        for name in () if everyone else reversed(names):
            self._hear(name)
        return ""

    def check(self) -> str:
        """Ask for what waits."""
        return self._ask("check", self.link.check)

    def list_users(self, whole: bool = False) -> str:
        """Ask who is here, or for the whole log."""
        return self._ask("log" if whole else "users", self.link.list)

    def hold(self, on: bool) -> str:
        """Let new messages wait, or not."""
        self._asked[self.link.hold(on)] = "hold on" if on else "hold off"
        return ""

    def ignore(self, name: str, on: bool) -> str:
        """Do not hear a user any more, or again."""
        to, fault = self.resolve([name])
        if fault:
            return fault
        return self._can_ignore() or self._ask(f"{'ignore' if on else 'unignore'} {to[0]}",
                                               lambda: self.link.ignore(to[0], on))

    def list_ignored(self) -> str:
        """Ask whom one ignores."""
        return self._can_ignore() or self._ask("ignored", self.link.list_ignored)

    def _can_ignore(self) -> str:
        known = not self.link.online or self.link.granted & wire.Feature.IGNORE
        return "" if known else "this daemon keeps no list of whom one ignores"

    def claim(self, passphrase: str) -> str:
        """Have one's name kept by a passphrase."""
        return self._ask("claim", lambda: self.link.claim(passphrase))

    def unclaim(self) -> str:
        """No more."""
        return self._ask("unclaim", self.link.unclaim)

    def invite(self, names: Sequence[str]) -> str:
        """Invite to a chat."""
        return self.hindered() or self._ask("invite", lambda: self.link.invite(tuple(names)))

    def hindered(self) -> str:
        """Why one can't invite now."""
        if not self.link.online:
            return "offline: this needs the daemon"
        if self.chat:
            return f"you are chatting with {listed(self.chat.others, NAMED)}: Quit ends it"
        if self.pledge:
            return "one invitation at a time: 9 or /withdraw takes it back"
        return ""

    def answer(self, accept: bool, sender: str = "") -> str:
        """Answer the oldest invitation, or that of one sender."""
        open_ = [each for each in self.questions if not sender or each.inviter.lower() == sender.lower()]
        if not open_:
            return f"no invitation from {display(sender)} is open" if sender else "no invitation is open"
        try:
            self.link.answer(open_[0].number, accept)
        except self.refusals as fault:
            return str(fault)
        if accept and len(open_[0].members) > 2:
            open_[0].mine = True
            open_[0].accepted.add(self.link.name)
        elif accept:
            del self.invitations[open_[0].number]
        return ""

    def withdraw(self) -> str:
        """Take back one's own invitation, or one's acceptance."""
        if not self.pledge:
            return "you have no invitation to withdraw"
        try:
            self.link.withdraw(self.pledge.number)
        except self.refusals as fault:
            return str(fault)
        return ""

    def say(self, text: str) -> str:
        """Say a line in the chat; Quit leaves it."""
        flaw = wire.flaw(text)
        if flaw or not self.chat:
            return flaw[1] if flaw else "you are in no chat session"
        try:
            request = self.link.say(self.chat.number, text)
        except self.refusals as fault:
            return str(fault)
        if text.strip().casefold() != "quit":
            line = self._lines[request] = Spoken(self.now, text, self.link.name)
            self.pane.add(line)
            self.pane.to_end()
            if len(self._lines) > OWN_MAX:
                del self._lines[next(iter(self._lines))]
        return ""

    def history(self, number: int) -> str:
        """The last messages that were read, in a table."""
        try:
            records = self.link.last(number)
        except self.refusals as fault:
            return str(fault)
        if not records:
            return "no message is in your archive"
        what = "message" if len(records) == 1 else f"{len(records)} messages"
        items = [(f"{clock(record.time, '%-d %b %H:%M')} {display(record.sender)}", record.text) for record in records]
        self.pane.add(Table(self.now, f"the last {what} that you have read:", items=items, beside=False))
        return ""

    def _ask(self, what: str, ask: Callable[[], int]) -> str:
        if not self.link.online:
            return "offline: this needs the daemon"
        try:
            self._asked[ask()] = what
        except self.refusals as fault:
            return str(fault)
        return ""

    def _me(self, name: str) -> str:
        return "you" if name.lower() == self.link.name.lower() else display(name) or "somebody"

    def _hear(self, name: str) -> None:
        if name.lower() != self.link.name.lower():
            self.heard.pop(name, None)
            self.heard[name] = None
            if len(self.heard) > HEARD_MAX:
                del self.heard[next(iter(self.heard))]

    # ---- the connection ----

    def hear(self, event: Any) -> None:
        """Take in one event of the link."""
        handler = HEARD.get(type(event).__name__)
        if handler is not Talk.on_offline:
            self._heard_at = self.now
        if handler:
            handler(self, event)

    def on_online(self, event: Any) -> None:
        self._was_online, self._lost, self._here = True, "", None
        again = " again" if event.again else ""
        run_by = f", run by {display(event.run_by)}," if event.run_by else ""
        self._greeting = f"connected{again} to {display(event.welcome.house)}{run_by} as {display(event.welcome.name)}"
        if not event.welcome.features & wire.Feature.ROSTER:
            self._greet()

    def _greet(self) -> None:
        self.note(f"{self._greeting}: {self.here.summary}, {counted(self.link.waiting, 'message')} waiting")
        self._greeting = None

    def on_offline(self, event: Any) -> None:
        reason = display(event.reason)
        if self._was_online:
            self.ring = True
            self.note(f"connection lost: {reason}", "alert")
            self._forget("the connection was lost")
        elif reason != self._lost:
            self.note(f"not connected: {reason}", "alert")
        self._lost, self._was_online = reason, False
        self.turned_away = reason.partition(":")[0] if event.answered else ""

    def _forget(self, reason: str) -> None:
        """The daemon has forgotten chats, invitations and questions with the connection."""
        if self.chat:
            self.chat = None
            self.note(f"Chat session ended: {reason}")
            for line in self._lines.values():
                if line.time >= self._heard_at:
                    line.reason = "perhaps not heard: the connection was lost"
                    self.pane.changed(line)
        for invitation in self.invitations.values():
            self.note(f"{self._whose(invitation)} is off: {reason}")
        self.invitations.clear()
        self._listing, self._repeated = [], 0       # what was asked is answered by the link: FAILED

    def on_name_refused(self, event: Any) -> None:
        self.refused = display(event.reason)

    def on_locked(self, event: Any) -> None:
        self.refused = display(event.reason)
        if event.advice:
            self.note(display(event.advice), "alert")

    def on_other_store(self, event: Any) -> None:
        """Who answers is another daemon, or one whose store was made anew; the menu asks."""
        waiting = len(self.link.pending)
        would = f"; {counted(waiting, 'message')} of yours had no answer and would go to it" if waiting else ""
        self.ring = True
        self.note(f"{display(event.reason)}{would}", "alert")
        if self._was_online:
            self._forget("the connection was lost")
        self._was_online, self._lost = False, ""

    def on_remark(self, event: Any) -> None:
        self.note(display(event.text), "alert")

    def on_over(self, event: Any) -> None:
        self.over = display(event.reason)

    def on_notice(self, event: wire.Notice) -> None:
        self.note(f"{display(self.link.house or 'the daemon')}: {display(event.text)}")

    # ---- one's own messages ----

    def on_stored(self, event: wire.Stored) -> None:
        for number, own in self._between(event.first, event.last):
            own.unstored.discard(number)
            self._settle(own)

    def on_outcomes(self, event: wire.Outcomes) -> None:
        words = OUTCOMES.get(event.outcome)
        if not words:
            return
        said = f"{self._are(event.to)} {words[len(event.to) > 1]}"
        lost = False
        for number, own in self._between(event.first, event.last):
            if event.outcome in (Outcome.ABSENT, Outcome.FULL):
                own.to -= {name.lower() for name in event.to}
                own.absent = True
                own.unstored.discard(number)
                lost = not own.to
                if lost:
                    self._mark(own.entry, REFUSED, said)
                else:
                    self._settle(own)
        if not lost:
            self.note(said)

    def _are(self, names: Sequence[str]) -> str:
        return f"{listed(names, NAMED)} {'are' if len(names) > 1 else 'is'}"

    def on_delivered(self, event: wire.Delivered) -> None:
        for _, own in self._between(event.first, event.last):
            if event.by.lower() in own.to:
                own.to.discard(event.by.lower())
                self._settle(own)

    def on_refused(self, event: wire.Refused) -> None:
        own = self._own.pop(event.id, None)
        if own:
            self._mark(own.entry, REFUSED, display(event.reason))

    def _between(self, first: int, last: int) -> list[tuple[int, Own]]:
        if last - first < len(self._own):
            return [(number, self._own[number]) for number in range(first, last + 1) if number in self._own]
        return [(number, own) for number, own in self._own.items() if first <= number <= last]

    def _settle(self, own: Own) -> None:
        if not own.unstored:
            self._mark(own.entry, STORED if own.to else DELIVERED)

    def _mark(self, entry: Said, mark: str, reason: str = "") -> None:
        if entry.mark not in (mark, DELIVERED, REFUSED):
            entry.mark, entry.reason = mark, reason
            self.pane.changed(entry)
            self.settled.append(entry)

    # ---- messages for me ----

    def on_mail(self, event: wire.Mail) -> None:
        everyone, checked = event.flags & SendFlag.EVERYONE, event.flags & SendFlag.CHECK
        to = "all" if everyone else "you" if event.copies < 2 else f"you +{event.copies - 1}"
        sender = self._me(event.sender)
        self._add(Said(event.time, event.text, sender, to, style=name_style(event.sender)), bool(checked))
        self.unshown.append(event)
        self._hear(event.sender)
        self.ring |= not everyone and not checked

    def _add(self, entry: Entry, checked: bool = False) -> None:
        self.pane.add(entry, self.seen and not checked)

    def on_repeated(self, event: Any) -> None:
        self._repeated += 1

    def on_checked(self, event: wire.Checked) -> None:
        self._asked.pop(event.request, None)
        old = f"; {self._repeated} of them had been shown before" if self._repeated else ""
        self._repeated = 0
        self.note(f"{counted(event.total, 'message')}{old}: nothing more waits" if event.total
                  else "No messages available")
        if event.total:
            self.pane.to_new()

    # ---- who is here ----

    def on_roster(self, event: wire.Roster) -> None:
        if self._here is not None:
            self._here.update(event.entries)
        what = self._asked.get(event.request, "")
        if what:
            self._listing += event.entries
            if event.last:
                del self._asked[event.request]
                self._show(Here(self._listing, self.link.name), what == "log")
                self._listing = []
        if self._greeting and event.last and not event.request:
            self._greet()

    def _show(self, here: Here, whole: bool) -> None:
        entries = here.entries if whole else here.current
        if not whole and all(entry.name.lower() == here.me for entry in entries):
            self.note("No other client.")
            return
        items = [(display(entry.name), here.status(entry)) for entry in entries]
        head = f"{counted(len(items), 'name')} in the log:" if whole else f"{counted(len(items), 'current user')}:"
        self.pane.add(Table(self.now, head, items=items))
        self.pane.to_last()

    def on_done(self, event: wire.Done) -> None:
        what = self._asked.pop(event.request, "")
        words = DONE.get(what) or DONE.get(what.partition(" ")[0], "")
        if words:
            self.note(words.format(name=display(what.partition(" ")[2])))

    def on_ignored(self, event: wire.Ignored) -> None:
        self._asked.pop(event.request, None)
        self.note(f"you ignore {listed(event.to)}" if event.to else "you ignore nobody")

    def on_failed(self, event: wire.Failed) -> None:
        line, what = self._lines.pop(event.request, None), self._asked.pop(event.request, "")
        if line:
            line.reason = display(event.reason)
            self.pane.changed(line)
        elif what:
            self.note(f"{FAILED.get(what.partition(' ')[0], what)}: {display(event.reason)}", "alert")

    # ---- invitations and chats ----

    def _whose(self, invitation: Open) -> str:
        mine = invitation.inviter.lower() == self.link.name.lower()
        group = "a group chat" if len(invitation.members) > 2 else "a chat"
        return f"{'your' if mine else display(invitation.inviter) + chr(39) + 's'} invitation to {group}"

    def on_invitation(self, event: wire.Invitation) -> None:
        self.invitations[event.invitation] = Open(event.invitation, event.sender, event.members)
        self._hear(event.sender)
        self.ring = True

    def on_inviting(self, event: wire.Inviting) -> None:
        self._asked.pop(event.request, None)
        invitation = Open(event.invitation, self.link.name, event.members, mine=True)
        self.invitations[event.invitation] = invitation
        invited = [name for name in event.members if name.lower() != self.link.name.lower()]
        group = "a group chat" if len(invited) > 1 else "a chat"
        self.note(f"{listed(invited, NAMED)} {'are' if len(invited) > 1 else 'is'} invited to {group}: "
                  f"{event.seconds} s to answer")

    def on_answered(self, event: wire.Answered) -> None:
        invitation = self.invitations.get(event.invitation)
        if invitation:
            invitation.accepted.add(event.by)
            self.note(f"{self._me(event.by)} accepted {self._whose(invitation)}")

    def on_called_off(self, event: wire.CalledOff) -> None:
        invitation = self.invitations.pop(event.invitation, None)
        who = self._me(event.by)
        words = CALLED_OFF.get(event.why, CALLED_OFF[Why.OTHER])
        what = self._whose(invitation) if invitation else "that invitation"
        self.note(words.format(who=who, it=what))

    def on_started(self, event: wire.Started) -> None:
        self.invitations.pop(event.invitation, None)
        others = [name for name in event.members if name.lower() != self.link.name.lower()]
        self.chat = Chat(event.chat, others)
        what, who, ends = ("chat", "both of you", "ends") if len(others) == 1 else ("group chat", "all", "leaves")
        self.note(f"{what} with {listed(others, NAMED)}: {who} are busy to others; Quit {ends} it")

    def on_line(self, event: wire.Line) -> None:
        if self.chat and event.chat == self.chat.number:
            self._add(Spoken(event.time, event.text, event.sender))
            self._hear(event.sender)

    def on_left(self, event: wire.Left) -> None:
        if self.chat and event.chat == self.chat.number:
            self.chat.others = [name for name in self.chat.others if name.lower() != event.by.lower()]
            self.note(f"{self._me(event.by)} left the chat: {LEFT.get(event.why, LEFT[Why.OTHER])}")

    def on_ended(self, event: wire.Ended) -> None:
        if self.chat and event.chat == self.chat.number:
            self.chat = None
            self.note(f"Chat session ended: {self._me(event.by)} {LEFT.get(event.why, LEFT[Why.OTHER])}")


OUTCOMES: dict[int, tuple[str, str]] = {       # by outcome: for one, for several
    Outcome.HOLDING: ("holding: waits in the mailbox until checked", "holding: waits in their mailboxes until checked"),
    Outcome.AWAY: ("not connected: kept in the mailbox", "not connected: kept in their mailboxes"),
    Outcome.FULL: ("out of room: the mailbox is full, not delivered",
                   "out of room: their mailboxes are full, not delivered to them"),
    Outcome.ABSENT: ("not connected: not delivered", "not connected: not delivered to them"),
}

CALLED_OFF: dict[int, str] = {
    Why.DENIED: "{who} denied {it}",
    Why.EXPIRED: "{who} did not answer {it} in time",
    Why.GONE: "{who} disconnected: {it} is off",
    Why.WITHDRAWN: "{who} withdrew: {it} is off",
    Why.BUSY: "{who} accepted another: {it} is off",
    Why.UNKNOWN: "{it} is over already",
    Why.OTHER: "{it} is off because of {who}",
}

LEFT: dict[int, str] = {
    Why.QUIT: "said Quit",
    Why.GONE: "disconnected",
    Why.SLOW: "did not read for too long",
    Why.OTHER: "is out",
}

DONE: dict[str, str] = {
    "hold on": "holding: new messages wait until you check",
    "ignore": "{name} is ignored: messages and invitations of theirs are kept from you; /unignore {name} ends it",
    "unignore": "{name} is not ignored any more: what is sent from now on reaches you",
    "hold off": "not holding: new messages are shown as they come",
    "claim": "claimed: who uses this name over the network needs the passphrase; this machine remembers its key",
    "unclaim": "claimed no more: no passphrase is asked for this name",
}

FAILED: dict[str, str] = {
    "invite": "no invitation was sent",
    "users": "no list of users",
    "log": "no list of names",
    "check": "no check was done",
    "claim": "not claimed",
    "unclaim": "nothing was changed",
    "ignore": "nobody more is ignored",
    "unignore": "still ignored",
    "ignored": "no list of whom you ignore",
}

HEARD: dict[str, Callable[[Talk, Any], None]] = {
    "Online": Talk.on_online, "Offline": Talk.on_offline, "NameRefused": Talk.on_name_refused, "Over": Talk.on_over,
    "Locked": Talk.on_locked, "OtherStore": Talk.on_other_store, "Remark": Talk.on_remark,
    "Repeated": Talk.on_repeated, "Notice": Talk.on_notice,
    "Stored": Talk.on_stored, "Outcomes": Talk.on_outcomes, "Delivered": Talk.on_delivered,
    "Refused": Talk.on_refused, "Mail": Talk.on_mail, "Checked": Talk.on_checked, "Roster": Talk.on_roster,
    "Done": Talk.on_done, "Ignored": Talk.on_ignored, "Failed": Talk.on_failed, "Invitation": Talk.on_invitation,
    "Inviting": Talk.on_inviting, "Answered": Talk.on_answered, "CalledOff": Talk.on_called_off,
    "Started": Talk.on_started, "Left": Talk.on_left, "Ended": Talk.on_ended, "Line": Talk.on_line,
}
