"""post: messages, from the sender's SENDS to the queues.

One rule serves everybody: a message goes into each recipient's queue and is on disk before its sender hears STORED.
What differs is when the queue is emptied.  A client that receives live is pushed each message at once; one that holds,
or was away, finds it by CHECK.  Either way the message leaves the queue when the client confirms that it was shown
(delivery.py).

The turn (daemon.py) is: receive, write, sync, push, settle.  What promises durability waits in `answers` until the
mailbox has settled it.  Pushes need not wait for the sync, but they wait for the write: when the disk refuses the
batch, `refuse` takes it all back and nobody has seen it.

Nothing is dropped silently: each message gets REFUSED, or STORED with OUTCOMES for those recipients who are not
reading, or OUTCOMES alone when nothing had to be stored.

Messages of one client whose ids follow one upon the other, to the same names, are a run: what is true of one is true of
all, so it is found out once, and they are put together.  And who writes to the same names again has the same Audience:
whom that is, who of them reads, and for how many messages their mailboxes surely have room.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import wire
from net.bodies import body_of, lengths_of, part_of
from rules.delivery import Delivery
from rules.ignore import Ignores
from rules.promises import Others, Promises
from rules.quota import Accounts, Everyone
from rules.roster import Roster
from rules.runs import Run, flaw_of
from rules.state import Client, Now
from rules.store import RefusedBatch, Store
from store.mail import Mail
from store.user import User
from wire import Outcome, SendFlag, Why

AUDIENCES_MAX = 500_000         # names and users in the audiences that are remembered: some megabytes
VAGUE = "sent again after too long: it is not known any more whether it was stored"
ALONE = 8                       # units of work more (fairness.py) for one that is refused or looked at by itself
NAMES_READ = 2                  # names that are as much work to read and to look up as a message to one is to put


class Unfit(Exception):
    """A message is refused."""

    def __init__(self, why: Why, reason: str) -> None:
        super().__init__(reason)
        self.why = why
        self.reason = reason


class Audience:
    """For whom a client's messages to the same names are put, as long as nobody comes, goes or holds."""
    __slots__ = ("flags", "holding", "others", "reading", "until", "users")

    def __init__(self, users: list[User], flags: int, reading: dict[Client, None], holding: dict[Client, None],
                 others: Others, until: int) -> None:
        self.users = users
        self.flags = flags              # of what is put
        self.reading = reading          # those who are pushed it
        self.holding = holding          # those who are told how many wait
        self.others = others            # those who are not reading now, and what becomes of it for them
        self.until = until              # of all puts: before that many no mailbox of theirs can be full


class Post:
    """The rules of sending."""

    def __init__(self, mailbox: Store, roster: Roster, note: Callable[..., None], promises: Promises,
                 delivery: Delivery, accounts: Accounts, everyone: Everyone, ignores: Ignores,
                 is_silent: bool = False) -> None:
        self.mailbox = mailbox
        self.roster = roster
        self.note = note
        self.promises = promises
        self.delivery = delivery
        self.accounts = accounts
        self.everyone = everyone
        self.ignores = ignores
        self.is_silent = is_silent                              # nobody reads the notes: none for each message
        self._puts = 0                                          # messages put so far
        self._audiences: dict[tuple[Client, int, tuple[str, ...]], Audience] = {}
        self._remembered = 0                                    # names and users in them
        self._version = 0                                       # of the roster when they were found out

    def on_send(self, client: Client, said: wire.Sends, now: Now) -> None:
        """Messages of a client, with whatever texts."""
        body = body_of([text.encode() for text in said.texts])
        if flaw := flaw_of(said.first, said.flags, said.to, len(said.texts), len(body)):
            raise wire.ProtocolError(flaw)
        flaws = [wire.flaw(text) for text in said.texts]
        if not any(flaws):
            self.on_run(client, Run(said.first, said.flags, said.to, len(said.texts), body), now)
            return
        for number, (text, refusal) in enumerate(zip(said.texts, flaws, strict=True), said.first):
            if refusal:
                client.work += 1
                self._refuse(client, number, *refusal)
            else:
                self.on_run(client, Run(number, said.flags, said.to, 1, body_of([text.encode()])), now)

    def on_run(self, client: Client, run: Run, now: Now) -> None:
        """Messages of a client, whose texts may be sent."""
        client.work += run.messages + len(run.to) // NAMES_READ
        done = 0
        while done < run.messages:
            done += self._take(client, run, done, now)

    def _take(self, client: Client, run: Run, done: int, now: Now) -> int:
        """The next of a run, behind those that are done, and those after it of which the same is true; how many they
        are."""
        first, left = run.first + done, run.messages - done
        known, last = self.mailbox.known(client.user, first)
        if known == first:
            if client.user.is_vague(first):
                self._refuse(client, first, Why.OTHER, VAGUE)
                return 1
            last = min(last, first + left - 1)
            self.note("repeated", name=client.name, first=first, last=last)
            self.promises.turn.add_stored(client, first, last)
            return last + 1 - first
        try:
            audience, count = self._admitted(client, run, done, min(left, known - first), now)
        except Unfit as unfit:
            self._refuse(client, first, unfit.why, unfit.reason)
            return 1
        body = run.body if count == run.messages else part_of(run.body, done, done + count)
        self._put(client, first, audience, count, body, now)
        return count

    def _put(self, client: Client, first: int, audience: Audience, count: int, body: bytes, now: Now) -> None:
        """Put these messages for their audience.  Whoever reads is pushed something after this."""
        users, last, turn = audience.users, first + count - 1, self.promises.turn
        if users:
            mail = self.mailbox.put_run(client.user, first, now.wall, users, audience.flags, body)
            turn.add_stored(client, first, last)
            if not self.accounts.is_empty:
                self.accounts.put(mail, users)
            if self.ignores.by:
                self._keep_away(client.user, mail, users)
            if not self.is_silent:
                names = wire.some([user.name for user in users])
                for id, text in enumerate(mail.texts, mail.id):
                    self.note("message", sender=client.name, to=names, id=id, text=text.decode())
            self.delivery.stir(audience.reading)
            self.delivery.counted |= audience.holding
        else:
            names = wire.some([name for _, page in audience.others.pages for name in page])
            for origin in range(first, last + 1):
                self.note("not-delivered", sender=client.name, to=names, origin=origin)
        if audience.others.pages:
            turn.add_outcomes(client, first, last, audience.others)
        self._puts += count
        client.work += count * len(users)

    def _keep_away(self, sender: User, mail: Mail, users: Sequence[User]) -> None:
        """Who ignores the sender has read it, as far as the mailbox goes; the sender is told nothing of it."""
        for user in users:
            if self.ignores.holds(user, sender):
                self.accounts.read(user, self.mailbox.read(user, mail.id, mail.last))
                self.note("kept-away", sender=sender.name, to=user.name, first=mail.id, last=mail.last)

    # ---- who gets it ----

    def _admitted(self, client: Client, run: Run, done: int, count: int, now: Now) -> tuple[Audience, int]:
        """Whom the next messages of a run, so many at most, are put for, by all the rules, and how many of them.  An
        audience without users: nothing is stored, all of them are told of as its outcome.  Raises Unfit for the
        first."""
        first, flags, to = run.first + done, run.flags, run.to
        if not first:
            raise Unfit(Why.OTHER, "the id of a message is not 0")
        if self.mailbox.refusal:
            raise Unfit(Why.FULL, self.mailbox.refusal)
        if self._version != self.roster.version or self._remembered > AUDIENCES_MAX:
            self._forget()
        flags &= SendFlag.NOW | SendFlag.EVERYONE
        if flags & SendFlag.EVERYONE:
            to = ()
        audience = self._audiences.get((client, flags, to))
        if flags & SendFlag.EVERYONE:                           # before anything is done for so many
            count = min(count, max(1, audience.until - self._puts)) if audience else 1      # what is taken is counted
            count, refusal = self.everyone.admit(client.user.number, client.is_operator, now.monotonic, count,
                                                  client.host)
            if refusal:
                raise Unfit(*refusal)
        audience = audience or self._audience(client, flags, to)
        sure = audience.until - self._puts
        if sure <= 0:
            client.work += ALONE
            return self._with_room(client, first, flags, audience, lengths_of(run.body)[done]), 1
        return audience, min(count, sure)

    def _audience(self, client: Client, flags: int, to: tuple[str, ...]) -> Audience:
        """Whom a message is for, room in their mailboxes apart.  Raises Unfit."""
        users, others = self._recipients(client, flags, to), Others()
        self._remembered += len(users) + len(to)
        if flags & SendFlag.NOW:
            away = [user.name for user in users if user.number not in self.roster.clients]
            if away:
                others = others.with_names(Outcome.ABSENT, away)
                users = [user for user in users if user.number in self.roster.clients]
        audience = self._audiences[client, flags, to] = self._gathered(client, flags, users, others)
        return audience

    def _gathered(self, client: Client, flags: int, users: list[User], others: Others) -> Audience:
        """The audience that these are."""
        readers, away = self.roster.clients, []
        reading: dict[Client, None] = {}
        holding: dict[Client, None] = {}
        for user in users:
            reader = readers.get(user.number)
            if reader is None:
                away.append(user.name)
            elif reader.holding:
                holding[reader] = None
            else:
                reading[reader] = None
        for outcome, names in (Outcome.AWAY, away), (Outcome.HOLDING, [reader.name for reader in holding]):
            if names:
                others = others.with_names(outcome, names)
        if len(users) < len(self.mailbox.users) - 1:
            flags &= ~SendFlag.EVERYONE          # to everyone who is here, or has room: a list, as any other
        return Audience(users, flags, reading, holding, others, self._puts + self.accounts.room(users, client.user))

    def _recipients(self, client: Client, flags: int, to: tuple[str, ...]) -> list[User]:
        """The users that a message names.  Raises Unfit."""
        if flags & SendFlag.EVERYONE:
            everyone = [user for user in self.mailbox.users if user is not client.user]
            if not everyone:
                raise Unfit(Why.EMPTY, "there is no other name in the log yet")
            return everyone
        found: dict[int, User] = {}
        for name in to:
            user = self.mailbox.find(name)
            if user is None:
                raise Unfit(Why.UNKNOWN, f"no user named {name[:64]} is in the log")
            found[user.number] = user
        if not found:
            raise Unfit(Why.EMPTY, "a message needs a recipient")
        return list(found.values())

    def _with_room(self, client: Client, origin: int, flags: int, audience: Audience, size: int) -> Audience:
        """Those of an audience whose mailbox has room for one message of this size.  The others are an outcome.  Raises
        Unfit when they are all."""
        audience.until = self._puts + self.accounts.room(audience.users, client.user)
        full = [] if audience.until > self._puts else self.accounts.full(audience.users, client.user, size)
        if not full:
            return audience
        self.note("mailbox-full", sender=client.name, to=wire.some([user.name for user in full]), origin=origin)
        numbers = {user.number for user in full}
        users = [user for user in audience.users if user.number not in numbers]
        absent = Others([page for page in audience.others.pages if page[0] is Outcome.ABSENT])
        if not users and not absent.pages:
            whose = f"the mailbox of {full[0].name} is" if len(full) == 1 else "their mailboxes are"
            raise Unfit(Why.FULL, f"{whose} full: not delivered")
        return self._gathered(client, flags, users, absent.with_names(Outcome.FULL, [user.name for user in full]))

    def _refuse(self, client: Client, origin: int, why: Why, reason: str) -> None:
        client.work += ALONE
        self.note("refused", name=client.name, origin=origin, reason=reason)
        self.roster.tell(client, wire.Refused(origin, why, reason))

    def _forget(self) -> None:
        """Audiences are not what they were: somebody came, went or holds, or something was taken back."""
        self._audiences.clear()
        self._remembered = 0
        self._version = self.roster.version

    # ---- the turn ----

    def refuse(self, batch: RefusedBatch) -> list[Client]:
        """The disk refused the batch: take its promises back.  Returns the newcomers whose names could not be kept."""
        self.accounts.forget()
        self._forget()
        refused = {(mail.sender, mail.origin + n) for mail in batch.mails for n in range(mail.messages)}
        answers = self.promises.turn
        stored, answers.stored = answers.stored, {}
        for client, ranges in stored.items():
            for number in _each(ranges):
                if (client.user.number, number) in refused:
                    self._refuse(client, number, Why.FULL, batch.reason)
                else:
                    answers.add_stored(client, number, number)
        outcomes, answers.outcomes = answers.outcomes, {}
        for (client, others), ranges in outcomes.items():
            for number in _each(ranges):
                if (client.user.number, number) not in refused:
                    answers.add_outcomes(client, number, number, others)
        for client, request in answers.settings:
            self.roster.tell(client, wire.Failed(request, Why.FULL, batch.reason))
        answers.settings = []
        self._recount(batch)
        strangers = {user.number for user in batch.users}
        welcomes = answers.welcomes
        answers.welcomes = [(client, welcome._replace(waiting=client.user.waiting))
                            for client, welcome in welcomes if client.user.number not in strangers]
        return [client for client, _ in welcomes if client.user.number in strangers]

    def _recount(self, batch: RefusedBatch) -> None:
        """Those who came, or stopped holding, in this turn had counted what is refused now."""
        for client in self.roster.clients.values():
            if batch.mails and client.window.live.start >= batch.mails[0].id:
                client.checkable = client.user.waiting
                self.delivery.counted[client] = None


def _each(ranges: Iterable[Sequence[int]]) -> list[int]:
    """The numbers of some ranges."""
    return [number for first, last in ranges for number in range(first, last + 1)]
