"""post: messages, from the sender's SEND to the reader's CONFIRM.

One rule serves everybody: a message goes into each recipient's queue and is on disk before its sender hears STORED.
What differs is when the queue is emptied.  A client that receives live is pushed each message at once; one that holds,
or was away, finds it by CHECK.  Either way the message leaves the queue when the client confirms that it was shown.

The mailbox is the buffer.  Each reader has at most WINDOW messages (and WINDOW_BYTES) pushed and not yet confirmed;
the rest stays in the queue, on disk, and follows as confirmations arrive.  So a slow or stopped reader costs its window
and nothing else, and loses nothing.

Live and checked mail are two streams through the same queue.  What stood in it when a client came (or stopped holding)
is for CHECK; every id above that, from `live.start` on, is pushed.  In each stream ids ascend.

When answers leave.  Everything that promises durability (STORED, OUTCOMES, DELIVERED, CONFIRMED, a newcomer's WELCOME)
is kept in `Answers` until the mailbox has settled the turn's last seq; the turn (daemon.py) is: receive, write, push,
sync, settle.  Pushes need not wait for the sync, but they wait for the write: when the disk refuses the batch,
`refuse` takes it all back and nobody has seen it.

Nothing is dropped silently: each SEND gets REFUSED, or STORED with OUTCOMES for those recipients who are not reading,
or OUTCOMES alone when nothing had to be stored.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import wire
from presence import Client, Now, Roster
from wire import Why

if TYPE_CHECKING:
    from ignore import Ignores
    from mailbox import Full, Mail, Mailbox, User
    from quota import Accounts, Everyone

WINDOW = 1000               # messages in flight to a reader: fills a turn at any speed a terminal can read
WINDOW_BYTES = 192 * 1024   # of text: what a stopped reader may cost in memory, with the frames around it, is 256 KiB
OUTCOME_NAMES = 1000        # names in one OUTCOMES: 33 KB of the longest, under the frame limit
EVER = 2**64 - 1            # the end of the live stream


class Stream:
    """How far one reader was pushed through its queue."""
    __slots__ = ("at", "request", "start", "total", "upto")

    def __init__(self, start: int, upto: int, request: int = 0) -> None:
        self.start = start      # ids above this belong to the stream
        self.at = start         # the last id pushed
        self.upto = upto        # the last that belongs to this stream
        self.request = request  # of the CHECK that is answered
        self.total = 0          # pushed so far


class Answers:
    """What one turn's requests are answered once they are on disk."""

    def __init__(self) -> None:
        self.stored: dict[Client, list[list[int]]] = {}         # ranges of ids, first and last
        self.outcomes: list[tuple[Client, wire.Outcomes]] = []
        self.others: list[tuple[Client, wire.Message]] = []
        self.settings: list[tuple[Client, int]] = []            # requests that changed a setting: DONE, or FAILED
        self.welcomes: list[tuple[Client, wire.Welcome]] = []

    @property
    def is_empty(self) -> bool:
        return not (self.stored or self.outcomes or self.others or self.settings or self.welcomes)

    def add_stored(self, client: Client, number: int) -> None:
        ranges = self.stored.setdefault(client, [])
        if ranges and ranges[-1][1] + 1 == number:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])


class Post:
    """The rules of sending, pushing, checking and confirming."""

    def __init__(self, mailbox: Mailbox, roster: Roster, note: Callable[..., None], accounts: Accounts,
                 everyone: Everyone, ignores: Ignores) -> None:
        self.mailbox = mailbox
        self.roster = roster
        self.note = note
        self.accounts = accounts
        self.everyone = everyone
        self.ignores = ignores
        self._low = accounts.low                                # messages in a mailbox, before accounts are asked
        self.answers = Answers()                                # of this turn
        self._unsettled: list[tuple[int, Answers]] = []         # of turns written and not known to be on disk
        self._stirred: dict[Client, None] = {}                  # readers that may be pushed something
        self._counted: dict[Client, None] = {}                  # those whose waiting messages may have changed
        self._frames: dict[tuple[int, int], bytes] = {}         # encoded in this push, by id and flag

    # ---- coming and going ----

    def enter(self, client: Client, welcome: wire.Welcome) -> None:
        """A user came: what waits stays for CHECK, what comes from now on is pushed."""
        client.live = Stream(self.mailbox.last, EVER)
        client.mail = client.told = client.user.waiting
        self.answers.welcomes.append((client, welcome))

    def leave(self, client: Client) -> None:
        """A user went: what was not confirmed is still in the queue."""
        self._stirred.pop(client, None)
        self._counted.pop(client, None)

    # ---- sending ----

    def on_send(self, client: Client, said: wire.Send, now: Now) -> None:
        if self.mailbox.is_repeat(client.user, said.id):
            self.note("repeated", name=client.name, origin=said.id)
            self.answers.add_stored(client, said.id)
            return
        recipients, refusal = self._recipients(client, said)
        if said.flags & wire.SendFlag.EVERYONE and not refusal:
            refusal = self.everyone.refusal(client.user.number, client.operator, now.monotonic)
        if refusal:
            self._refuse(client, said.id, *refusal)
            return
        client.spent += len(recipients)
        absent: list[User] = []
        if said.flags & wire.SendFlag.NOW:
            absent = [user for user in recipients if user.number not in self.roster.clients]
            recipients = [user for user in recipients if user.number in self.roster.clients]
            self._outcomes(client, said.id, wire.Outcome.ABSENT, absent)
        for user in recipients:
            if len(user.tail) + user.sealed >= self._low:
                recipients = self._with_room(client, said, recipients, bool(absent))
                break
        if recipients:
            self._put(client, said, recipients, now)
        elif absent:
            self.note("not-delivered", sender=client.name, to=_names(absent), origin=said.id)

    def _recipients(self, client: Client, said: wire.Send) -> tuple[list[User], tuple[Why, str] | None]:
        """Whom a SEND is for, or why it is refused."""
        fault = wire.flaw(said.text) if said.id else (Why.OTHER, "the id of a message is not 0")
        if fault:
            return [], fault
        if self.mailbox.refusing:
            return [], (Why.FULL, self.mailbox.refusing)
        if said.flags & wire.SendFlag.EVERYONE:
            everyone = [user for user in self.mailbox.users if user is not client.user]
            return everyone, None if everyone else (Why.EMPTY, "there is no other name in the log yet")
        if len(said.to) == 1 and (user := self.mailbox.find(said.to[0])):
            return [user], None
        found: dict[int, User] = {}
        for name in said.to:
            user = self.mailbox.find(name)
            if user is None:
                return [], (Why.UNKNOWN, f"no user named {name[:64]} is in the log")
            found[user.number] = user
        return list(found.values()), None if found else (Why.EMPTY, "a message needs a recipient")

    def _with_room(self, client: Client, said: wire.Send, recipients: list[User], answered: bool) -> list[User]:
        """Those whose mailbox has room.  The others are an outcome; when there are no others, that is the answer."""
        size = len(said.text.encode())
        full = self.accounts.full(recipients, client.user, size)
        if full:
            self.note("mailbox-full", sender=client.name, to=_names(full), origin=said.id)
            numbers = {user.number for user in full}
            recipients = [user for user in recipients if user.number not in numbers]
            if recipients or answered:
                self._outcomes(client, said.id, wire.Outcome.FULL, full)
            else:
                whose = f"the mailbox of {full[0].name} is" if len(full) == 1 else "their mailboxes are"
                self._refuse(client, said.id, Why.FULL, f"{whose} full: not delivered")
        self.accounts.put(recipients, client.user, size)
        return recipients

    def _put(self, client: Client, said: wire.Send, recipients: Sequence[User], now: Now) -> None:
        flags = said.flags & (wire.SendFlag.NOW | wire.SendFlag.EVERYONE)
        if len(recipients) < len(self.mailbox.users) - 1:
            flags &= ~wire.SendFlag.EVERYONE         # to everyone who is here: a list, as for any other subset
        mail = self.mailbox.put(client.user, said.id, now.wall, recipients, flags, said.text.encode())
        away, holding = [], []
        clients = self.roster.clients
        for user in recipients:
            reader = clients.get(user.number)
            if reader is None:
                away.append(user)
            elif reader.holding:
                holding.append(user)
                self._counted[reader] = None
            else:
                self._stirred[reader] = None
        self.answers.add_stored(client, said.id)
        self._outcomes(client, said.id, wire.Outcome.AWAY, away)
        self._outcomes(client, said.id, wire.Outcome.HOLDING, holding)
        self.note("message", sender=client.name, to=_names(recipients), id=mail.id, text=said.text)
        if self.ignores.by:
            self._keep_away(client.user, recipients, mail)

    def _keep_away(self, sender: User, recipients: Sequence[User], mail: Mail) -> None:
        """Who ignores the sender has read it, as far as the mailbox goes; the sender is told nothing of it."""
        kept = [user for user in recipients if self.ignores.holds(user, sender)]
        for user in kept:
            self.mailbox.read(user, mail.id, mail.id)
            self.accounts.read(user, (mail,))
        if kept:
            self.note("kept-away", sender=sender.name, to=_names(kept), id=mail.id)

    def on_ignore(self, client: Client, said: wire.Ignore, now: Now) -> None:
        refusal = self.ignores.change(client, said)
        if refusal:
            self.roster.tell(client, wire.Failed(said.request, *refusal))
        else:
            self.answers.settings.append((client, said.request))

    def _outcomes(self, client: Client, origin: int, outcome: wire.Outcome, users: Sequence[User]) -> None:
        for at in range(0, len(users), OUTCOME_NAMES):
            names = tuple(user.name for user in users[at:at + OUTCOME_NAMES])
            self.answers.outcomes.append((client, wire.Outcomes(origin, outcome, names)))

    def _refuse(self, client: Client, origin: int, why: Why, reason: str) -> None:
        self.note("refused", name=client.name, origin=origin, reason=reason)
        self.roster.tell(client, wire.Refused(origin, why, reason))

    # ---- reading ----

    def on_check(self, client: Client, said: wire.Check, now: Now) -> None:
        if client.checking is not None:
            self.roster.tell(client, wire.Failed(said.request, Why.BUSY, "a check is already under way"))
            return
        upto = self.mailbox.last if client.holding else client.live.start
        client.checking = Stream(0, upto, said.request)
        self._stirred[client] = None

    def on_hold(self, client: Client, said: wire.Hold, now: Now) -> None:
        """Start holding, or receive live again: what came meanwhile stays for CHECK."""
        if client.holding and not said.on:
            client.live = Stream(self.mailbox.last, EVER)
            client.mail = client.user.waiting
        client.holding = bool(said.on)
        self.roster.changed(client)
        self._counted[client] = self._stirred[client] = None
        self.roster.tell(client, wire.Done(said.request))
        self.note("holding" if said.on else "receiving", name=client.name)

    def on_confirm(self, client: Client, said: wire.Confirm, now: Now) -> None:
        mails = self.mailbox.read(client.user, said.first, said.last)
        if not self.accounts.is_empty:
            self.accounts.read(client.user, mails)
        spans: dict[int, list[list[int]]] = {}
        for mail in mails:
            client.size -= client.in_flight.pop(mail.id, 0)
            shown = spans.setdefault(mail.sender, [])
            if shown and shown[-1][1] + 1 == mail.origin:
                shown[-1][1] = mail.origin
            else:
                shown.append([mail.origin, mail.origin])
            if mail.id <= client.live.start:
                client.mail -= 1
        self._receipts(client, spans)
        self.answers.others.append((client, wire.Confirmed(said.first, said.last)))
        self._stirred[client] = self._counted[client] = None
        if mails:
            self.note("delivered", name=client.name, messages=len(mails), first=mails[0].id, last=mails[-1].id)

    def _receipts(self, reader: Client, spans: dict[int, list[list[int]]]) -> None:
        """Tell the senders who are here that these of theirs were shown, and no others."""
        for number, shown in spans.items():
            sender = self.roster.clients.get(number)
            if sender and sender.features & wire.Feature.RECEIPTS:
                self.answers.others += [(sender, wire.Delivered(first, last, reader.name)) for first, last in shown]

    # ---- the turn, after all requests were received: write, push, sync, settle ----

    def written(self) -> None:
        """The batch is written: its answers wait for the disk."""
        if self.answers.is_empty:
            return
        self._unsettled.append((self.mailbox.last, self.answers))
        self.answers = Answers()

    def refuse(self, full: Full) -> list[Client]:
        """The disk refused the batch: take its promises back.  Returns the newcomers whose names could not be kept."""
        self.accounts.forget()
        refused = {(mail.sender, mail.origin) for mail in full.mails}
        answers, self.answers = self.answers, Answers()
        for client, ranges in answers.stored.items():
            for number in (n for first, last in ranges for n in range(first, last + 1)):
                if (client.user.number, number) in refused:
                    self._refuse(client, number, Why.FULL, full.reason)
                else:
                    self.answers.add_stored(client, number)
        self.answers.outcomes = [(client, said) for client, said in answers.outcomes
                                 if (client.user.number, said.id) not in refused]
        self.answers.others = answers.others
        for client, request in answers.settings:
            self.roster.tell(client, wire.Failed(request, Why.FULL, full.reason))
        strangers = {user.number for user in full.users}
        self._recount(full)
        self.answers.welcomes = [(client, welcome._replace(waiting=client.user.waiting))
                                 for client, welcome in answers.welcomes if client.user.number not in strangers]
        return [client for client, _ in answers.welcomes if client.user.number in strangers]

    def _recount(self, full: Full) -> None:
        """Those who came, or stopped holding, in this turn had counted what is refused now."""
        for client in self.roster.clients.values():
            if full.mails and client.live.start >= full.mails[0].id:
                client.mail = client.user.waiting
                self._counted[client] = None

    def push(self) -> None:
        """Send each reader what its window has room for."""
        stirred, self._stirred = self._stirred, {}
        for client in stirred:
            if client.welcomed:
                self._fill(client)
        self._frames.clear()

    def settle(self, seq: int) -> None:
        """Everything up to this seq is on disk: the answers that promised it may leave."""
        while self._unsettled and self._unsettled[0][0] <= seq:
            _, answers = self._unsettled.pop(0)
            for client, welcome in answers.welcomes:
                self.roster.welcome(client, welcome)
                self._stirred[client] = None
            for client, ranges in answers.stored.items():
                for first, last in ranges:
                    self.roster.tell(client, wire.Stored(first, last))
            for client, said in (*answers.outcomes, *answers.others):
                self.roster.tell(client, said)
            for client, request in answers.settings:
                self.roster.tell(client, wire.Done(request))
        self._tell_waiting()

    @property
    def owes(self) -> bool:
        """Whether an answer waits for the disk."""
        return bool(self._unsettled)

    @property
    def idle(self) -> bool:
        """Whether no reader waits for a push."""
        return not self._stirred

    def _fill(self, client: Client) -> None:
        if client.checking is not None:
            check = client.checking
            if self._pushed(client, check, wire.SendFlag.CHECK):
                client.checking = None
                self.roster.tell(client, wire.Checked(check.request, check.total))
                self.note("checked", name=client.name, messages=check.total)
        if not client.holding:
            self._pushed(client, client.live, 0)

    def _pushed(self, client: Client, stream: Stream, flag: int) -> bool:
        """Push of this stream what fits into the window; True when the stream is at its end for now."""
        while (room := WINDOW - len(client.in_flight)) > 0 and (space := WINDOW_BYTES - client.size) > 0:
            mails = self.mailbox.unread(client.user, stream.at, stream.upto, room, space)
            if not mails:
                return True
            in_flight, size = client.in_flight, client.size
            for mail in mails:
                size += len(mail.text) - in_flight.get(mail.id, 0)      # checked twice, it counts once
                in_flight[mail.id] = len(mail.text)
            client.size = size
            self.roster.hand(client, b"".join([self._frame(mail, flag) for mail in mails]))
            stream.at = mails[-1].id
            stream.total += len(mails)
        return False

    def _frame(self, mail: Mail, flag: int) -> bytes:
        """The frame of a message; of one to many, encoded once for all its readers in this push."""
        number, time, sender, origin, flags, count, text = mail
        frame = self._frames.get((number, flag)) if count > 1 else None
        if frame is None:
            name = self.mailbox.users[sender].name.encode()
            frame = wire.mail_frame(number, time, origin, flags | flag, count, name, text)
            if count > 1:
                self._frames[number, flag] = frame
        return frame

    def _tell_waiting(self) -> None:
        for client in self._counted:
            if client.waiting != client.told and client.welcomed:
                client.told = client.waiting
                self.roster.tell(client, wire.Waiting(client.told))
        self._counted.clear()


def _names(users: Iterable[User]) -> str:
    """Recipients for the log: their names, or how many when there are many."""
    names = [user.name for user in users]
    return ",".join(names) if len(names) <= 8 else f"{','.join(names[:7])} and {len(names) - 7} more"
