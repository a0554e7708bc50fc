"""post: messages sent, from SENDS to the queues of their recipients.

One rule serves everybody: a message goes into the queue of each recipient, and is on disk before
its sender hears STORED.  What differs is when the queue is emptied.  A client that receives live is
pushed each message at once; one that holds, or was away, finds it by CHECK.  Either way the message
leaves the queue when the client confirms that it was shown (delivery.py).

The turn (daemon.py) is: receive, write, push, settle, sync.  Answers that promise something durable
wait in promises.py until the mailbox has settled it.  A push need not wait for the sync, but it
waits for the write: if the disk refuses the batch, `refuse` takes all of it back, and nobody has
seen it.

Nothing is dropped silently.  Each message gets REFUSED; or STORED, with OUTCOMES for those
recipients that are not reading; or OUTCOMES alone, if nothing had to be stored.

A run is a series of messages from one client to the same recipients with consecutive ids.  They are
checked once and stored as one entry.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import wire
from net.bodies import body_of, lengths_of, part_of
from rules.audience import Audience, Audiences, Unfit
from rules.delivery import Delivery
from rules.everyone import Everyone
from rules.ignore import Ignores
from rules.newcomers import Newcomers
from rules.promises import Promises
from rules.quota import Accounts, Broadcasts
from rules.rooms import Rooms
from rules.roster import Roster
from rules.runs import SPREAD, Run, flaw_of
from rules.state import Client, Now
from rules.statuses import Statuses
from rules.store import RefusedBatch, Store
from rules.usage import Usages
from store.mail import EACH, Mail
from store.user import User
from wire import SendFlag, Why

VAGUE = "sent again after too long: it is not known any more whether it was stored"
ALONE = 8       # units of work more for a message that is refused or looked at by itself
LONG_SHIFT = 8  # 256 bytes of text are a unit of work, beyond one for each message
NAMES_READ = 2  # names that are as much work to read and look up as one message to one name is


class Post:
    """The rules of sending."""

    def __init__(self, mailbox: Store, roster: Roster, note: Callable[..., None],
                 promises: Promises, delivery: Delivery, accounts: Accounts, broadcasts: Broadcasts,
                 ignores: Ignores, usages: Usages, rooms: Rooms, statuses: Statuses,
                 newcomers: Newcomers,
                 is_silent: bool = False) -> None:
        self.mailbox = mailbox
        self.roster = roster
        self.note = note
        self.promises = promises
        self.delivery = delivery
        self.accounts = accounts
        self.broadcasts = broadcasts
        self.ignores = ignores
        self.usages, self.census = usages, mailbox.census
        self.rooms = rooms
        self.newcomers = newcomers
        self.is_silent = is_silent      # nobody reads the notes: make none for each message
        self.audiences = Audiences(mailbox, roster, note, accounts, rooms, statuses,
                                   delivery.errands)
        self.everyone = Everyone(mailbox, roster, note, promises, self.audiences)

    # ---- requests ----

    def on_send(self, client: Client, said: wire.Sends, now: Now) -> None:
        """Messages of a client, whatever their texts are."""
        body = body_of([text.encode() for text in said.texts])
        if flaw := flaw_of(said.first, said.flags, said.to, len(said.texts), len(body)):
            raise wire.ProtocolError(flaw)
        flaws = [wire.flaw(text) for text in said.texts]
        if not any(flaws):
            self.on_run(client, Run(said.first, said.flags, said.to, len(said.texts), body), now)
            return
        for origin, (text, refusal) in enumerate(zip(said.texts, flaws, strict=True), said.first):
            if refusal:
                client.work += 1
                if self.mailbox.known(client.user, origin)[0] == origin:    # whatever it says now
                    self._repeated(client, origin, origin)
                else:
                    self._refuse(client, origin, *refusal)
            else:
                run = Run(origin, said.flags, said.to, 1, body_of([text.encode()]))
                self.on_run(client, run, now)

    def on_run(self, client: Client, run: Run, now: Now) -> None:
        """Messages of a client, whose texts may be sent.  Raises Doubtful before anything is
        done."""
        first, flags, to, messages, body = run
        client.work += messages + len(to) // NAMES_READ
        if len(body) >> LONG_SHIFT > messages and not self.usages.is_free(
                client.usage, len(body), now.monotonic):
            client.work += (len(body) >> LONG_SHIFT) - messages
        to_many = (flags & SendFlag.EVERYONE and self.everyone.are_many
                   and self._may_try(client, run, now))
        if to_many:
            flags &= SendFlag.NOW | SendFlag.EVERYONE
            self.everyone.find(client, flags, first, lengths_of(body)[0])
        done = 0
        while done < messages:
            done += self._take(client, run, done, now)
        if to_many:
            self.everyone.forget(client, flags)

    def _may_try(self, client: Client, run: Run, now: Now) -> bool:
        """Whether a message to all is worth a look at all mailboxes: it is not if it is refused, or
        known, whatever they hold."""
        if self.mailbox.refusal or self.mailbox.known(client.user, run.first)[0] == run.first:
            return False
        return self.broadcasts.admit(client.user.number, client.is_operator, now.monotonic, 0,
                                     client.host)[1] is None

    def _take(self, client: Client, run: Run, done: int, now: Now) -> int:
        """Take the next message of a run, behind those that are done, and with it those after it to
        which the same happens.  Returns how many."""
        first, remaining = run.first + done, run.messages - done
        known, last = self.mailbox.known(client.user, first)
        if known == first:
            return self._repeated(client, first, min(last, first + remaining - 1))
        try:
            audience, messages = self._allowed(client, run, done, min(remaining, known - first),
                                               now)
        except Unfit as unfit:
            self._refuse(client, first, unfit.why, unfit.reason)
            return 1
        body = run.body
        if messages != run.messages:
            body = part_of(body, done, done + messages)
        self._put(client, first, audience, messages, body, now)
        return messages

    def _repeated(self, client: Client, first: int, last: int) -> int:
        """Messages that were put already are sent again: they are stored, and not put again."""
        if client.user.is_vague(first):
            self._refuse(client, first, Why.OTHER, VAGUE)
            return 1
        self.note("repeated", name=client.name, first=first, last=last)
        self.promises.turn.add_stored(client, first, last)
        return last + 1 - first

    # ---- which messages, for whom ----

    def _allowed(self, client: Client, run: Run, done: int, most: int, now: Now
                 ) -> tuple[Audience, int]:
        """The audience of the next message of a run, and how many, `most` at most, may be put for
        it: as many as the mailboxes surely have room for.  Raises Unfit for the first."""
        first, flags, to = run.first + done, run.flags & (SendFlag.NOW | SendFlag.EVERYONE), run.to
        if not first:
            raise Unfit(Why.OTHER, "the id of a message can't be 0")
        if self.mailbox.refusal:
            raise Unfit(Why.FULL, self.mailbox.refusal)
        if client.usage.waiting > self.census.ask_above and self.usages.is_over(
                client, now.monotonic):
            raise Unfit(Why.FULL, self.usages.over())
        audiences, to_all = self.audiences, flags & SendFlag.EVERYONE
        if to_all:
            to = ()
        if audiences.version != self.roster.version:
            audiences.forget()
        audience = audiences.known.get((client, flags, to))
        if to_all:              # asked before anything is done for so many recipients
            most = self._within_rate(client, audience, most, now)
        if audience is None:
            self.newcomers.register(client, flags, to, now)
            audience = audiences.find(client, flags, to)
        sure = audience.until - audiences.puts
        if sure < most:         # others have put so many since it was looked at
            sure = audiences.look(client, audience)
        if sure > 0:
            return audience, min(most, sure)
        client.work += ALONE
        size = lengths_of(run.body)[done]
        return audiences.with_room(client, first, flags, audience, size), 1

    def _within_rate(self, client: Client, audience: Audience | None, most: int, now: Now) -> int:
        """How many messages to all, `most` at most, the rate of this client lets through.  They are
        counted against it; so no more are asked for than can be put.  Raises Unfit if none."""
        sure = audience.until - self.audiences.puts if audience else 1
        messages, refusal = self.broadcasts.admit(
            client.user.number, client.is_operator, now.monotonic, min(most, max(1, sure)),
            client.host)
        if refusal:
            raise Unfit(*refusal)
        return messages

    # ---- putting ----

    def _put(self, client: Client, first: int, audience: Audience, messages: int, body: bytes,
             now: Now) -> None:
        """Put these messages for their audience.  Readers are pushed them after the write."""
        users, last, turn = audience.users, first + messages - 1, self.promises.turn
        if users:
            if audience.is_plain:
                mail = self.mailbox.put_run(client.user, first, now.wall, users, audience.flags,
                                            body)
            else:
                mail = self._put_to_many(client.user, first, audience, body, now)
            turn.add_stored(client, first, last)
            if not self.accounts.is_empty:
                self.accounts.put(mail, users)
            if self.ignores.by:
                self._keep_away(client.user, mail, users)
            if not self.is_silent:
                self._note_messages(client, mail, [audience.room] if audience.room else users)
            if audience.room:
                self.rooms.lines.said(audience.room)
            if audience.reading:
                self.delivery.stir(audience.reading)
            if audience.holding:
                self.delivery.count(audience.holding)
        else:
            names = wire.some([name for _, page in audience.outcomes.pages for name in page])
            for origin in range(first, last + 1):
                self.note("not-delivered", sender=client.name, to=names, origin=origin)
        if audience.outcomes.pages:
            turn.add_outcomes(client, first, last, audience.outcomes)
        self.audiences.puts += messages
        client.work += messages * len(users)
        usage, size = client.usage, len(body) + EACH * messages
        usage.put += size
        usage.waiting += size * len(users)

    def _put_to_many(self, sender: User, first: int, audience: Audience, body: bytes, now: Now
                     ) -> Mail:
        """The same for messages to everyone, and for those that say to whom they went."""
        spread = (len(audience.users) > SPREAD and bool(audience.flags & SendFlag.EVERYONE)
                  and self.mailbox.fanout.mail is None)
        mail = self.mailbox.put_run(sender, first, now.wall, audience.users, audience.flags, body,
                                    spread, audience.heading)
        if spread:
            self.everyone.spread()
        return mail

    def _note_messages(self, client: Client, mail: Mail, users: Sequence[User]) -> None:
        names = wire.some([user.name for user in users[:wire.NAMED]], of=len(users))
        for id, text in enumerate(mail.texts, mail.id):
            self.note("message", sender=client.name, to=names, id=id, text=text.decode())

    def _keep_away(self, sender: User, mail: Mail, users: Sequence[User]) -> None:
        """For users that ignore the sender, the mailbox marks the messages as read at once.  The
        sender is told nothing of it."""
        if mail.flags & SendFlag.EVERYONE:      # all, but for some whose mailboxes are full
            everyone = self.mailbox.users
            users = [everyone[number] for number in self.ignores.by]
        for user in users:
            if (self.ignores.holds(user, sender)
                    and (mails := self.mailbox.read(user, mail.id, mail.last))):
                self.accounts.read(user, mails)
                self.note("kept-away", sender=sender.name, to=user.name, first=mail.id,
                          last=mail.last)

    # ---- refusing ----

    def _refuse(self, client: Client, origin: int, why: Why, reason: str) -> None:
        client.work += ALONE
        self.note("refused", name=client.name, origin=origin, reason=reason)
        self.roster.tell(client, wire.Refused(origin, why, reason))

    def refuse(self, batch: RefusedBatch) -> None:
        """The disk refused the messages of this turn: tell their senders."""
        self.accounts.forget()
        self.audiences.forget()
        refused = {(mail.sender, mail.origin + n)
                   for mail in batch.mails for n in range(mail.messages)}
        for client, origin in self.promises.turn.without(refused):
            self._refuse(client, origin, Why.FULL, batch.reason)
