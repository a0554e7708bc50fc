"""post: messages, from the sender's SEND to the queues.

One rule serves everybody: a message goes into each recipient's queue and is on disk before its sender hears STORED.
What differs is when the queue is emptied.  A client that receives live is pushed each message at once; one that holds,
or was away, finds it by CHECK.  Either way the message leaves the queue when the client confirms that it was shown
(delivery.py).

The turn (daemon.py) is: receive, write, sync, push, settle.  What promises durability waits in `answers` until the
mailbox has settled it.  Pushes need not wait for the sync, but they wait for the write: when the disk refuses the
batch, `refuse` takes it all back and nobody has seen it.

Nothing is dropped silently: each SEND gets REFUSED, or STORED with OUTCOMES for those recipients who are not reading,
or OUTCOMES alone when nothing had to be stored.

Who writes to the same names again in one turn has the same Audience: whom that is, who of them reads, and whether their
mailboxes have room is found out once.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import wire
from answers import Others, Promises
from delivery import Delivery
from presence import Client, Now, Roster
from wire import Outcome, SendFlag, Why

if TYPE_CHECKING:
    from ignore import Ignores
    from mailbox import Full, Mail, Mailbox, Put, User
    from quota import Accounts, Everyone

Refusal = tuple[Why, str]


class Audience:
    """For whom a client's messages to the same names are put, as long as the turn lasts and nobody comes or goes."""
    __slots__ = ("flags", "others", "until", "users")

    def __init__(self, users: list[User], flags: int, others: Others | None, until: int) -> None:
        self.users = users
        self.flags = flags              # of what is put
        self.others = others            # those who are not reading now
        self.until = until              # of all puts: before that many no mailbox of theirs can be full


class Post:
    """The rules of sending."""

    def __init__(self, mailbox: Mailbox, roster: Roster, note: Callable[..., None], promises: Promises,
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
        self._version = 0                                       # of the roster when they were found out

    def on_send(self, client: Client, said: wire.Send, now: Now) -> None:
        """One message of a client."""
        self.on_sends(client, [said], now, 1)

    def on_sends(self, client: Client, sends: Sequence[wire.Send], now: Now, budget: int) -> int:
        """Messages of a client, one after the other, until the budget of work is spent; how many they were.

        New messages whose ids follow one upon the other are a run: it is put into the mailbox together."""
        if self._version != self.roster.version:
            self._forget()
        run: list[Put] = []
        taken = following = until = spent = 0
        audiences, flaw, refusing = self._audiences, wire.flaw, self.mailbox.refusing
        for number, flags, to, text in sends:
            taken += 1
            if number != following or number >= until:
                run, following = self._put_run(client, run, now), -1
                until = self.mailbox.new_until(client.user, number)
                if number == until:
                    self.note("repeated", name=client.name, origin=number)
                    self.promises.turn.add_stored(client, number, number)
                    continue
            audience = audiences.get((client, flags, to))
            if (audience is None or audience.until <= self._puts or flags & SendFlag.EVERYONE or refusing
                    or flaw(text) or not number):
                run, following = self._put_run(client, run, now), -1
                audience = self._admitted(client, sends[taken - 1], now)
            if audience:
                following = number + 1
                self._puts += 1
                spent += len(audience.users)
                if audience.users:
                    run.append((number, audience.users, audience.flags, text.encode()))
                if audience.others:
                    self.promises.turn.add_outcomes(client, number, audience.others)
            if spent >= budget:
                break
        self._put_run(client, run, now)
        client.spent += spent
        return taken

    def _put_run(self, client: Client, run: list[Put], now: Now) -> list[Put]:
        """Put these, if there are any; the next run, which is empty."""
        if run:
            mails = self.mailbox.put_run(client.user, now.wall, run)
            self.promises.turn.add_stored(client, run[0][0], run[-1][0])
            if not self.accounts.is_empty:
                self.accounts.put(client.user, run)
            if self.ignores.by:
                self._keep_away(client.user, mails, run)
            if not self.is_silent:
                for mail, (_, users, _, text) in zip(mails, run, strict=True):
                    self.note("message", sender=client.name, to=_names(users), id=mail.id, text=text.decode())
        return []

    def _keep_away(self, sender: User, mails: Sequence[Mail], run: Sequence[Put]) -> None:
        """Who ignores the sender has read it, as far as the mailbox goes; the sender is told nothing of it."""
        for mail, (_, users, _, _) in zip(mails, run, strict=True):
            kept = [user for user in users if self.ignores.holds(user, sender)]
            for user in kept:
                self.mailbox.read(user, mail.id, mail.id)
                self.accounts.read(user, (mail,))
            if kept:
                self.note("kept-away", sender=sender.name, to=_names(kept), id=mail.id)

    # ---- who gets it ----

    def _admitted(self, client: Client, said: wire.Send, now: Now) -> Audience | None:
        """Whom a message is put for, by all the rules.  None: it was refused.  An audience of others alone: all of
        them are told of as its outcome, and nothing is stored."""
        audience, refusal = self._audience(client, said)
        if said.flags & SendFlag.EVERYONE and not refusal:
            refusal = self.everyone.refusal(client.user.number, client.operator, now.monotonic)
        if audience and not refusal and audience.until <= self._puts:
            audience, refusal = self._with_room(client, said, audience)
        if refusal:
            self._refuse(client, said.id, *refusal)
            return None
        if audience and not audience.users:
            self.note("not-delivered", sender=client.name, to=",".join(said.to), origin=said.id)
        return audience

    def _audience(self, client: Client, said: wire.Send) -> tuple[Audience | None, Refusal | None]:
        """Whom a message is for, or why it is refused, room in their mailboxes apart."""
        refusal = wire.flaw(said.text) if said.id else (Why.OTHER, "the id of a message is not 0")
        if self.mailbox.refusing and not refusal:
            refusal = Why.FULL, self.mailbox.refusing
        key = client, said.flags, said.to
        if refusal or key in self._audiences:
            return self._audiences.get(key), refusal
        users, refusal = self._recipients(client, said)
        if refusal:
            return None, refusal
        others = None
        if said.flags & SendFlag.NOW:
            away = [user.name for user in users if user.number not in self.roster.clients]
            if away:
                others = Others(Outcome.ABSENT, away)
                users = [user for user in users if user.number in self.roster.clients]
        audience = self._audiences[key] = self._gathered(client, said.flags, users, others)
        return audience, None

    def _gathered(self, client: Client, flags: int, users: list[User], others: Others | None) -> Audience:
        """The audience that these are.  Whoever reads is pushed something after this."""
        readers = self.roster.clients
        away, holding = [], []
        for user in users:
            reader = readers.get(user.number)
            if reader is None:
                away.append(user.name)
            elif reader.holding:
                holding.append(user.name)
                self.delivery.counted[reader] = None
            else:
                self.delivery.stirred[reader] = None
        for outcome, names in (Outcome.AWAY, away), (Outcome.HOLDING, holding):
            if names:
                others = Others(outcome, names, others)
        flags &= SendFlag.NOW | SendFlag.EVERYONE
        if len(users) < len(self.mailbox.users) - 1:
            flags &= ~SendFlag.EVERYONE          # to everyone who is here, or has room: a list, as any other
        return Audience(users, flags, others, self._puts + self.accounts.room(users, client.user))

    def _recipients(self, client: Client, said: wire.Send) -> tuple[list[User], Refusal | None]:
        """The users that a message names."""
        if said.flags & SendFlag.EVERYONE:
            everyone = [user for user in self.mailbox.users if user is not client.user]
            return everyone, None if everyone else (Why.EMPTY, "there is no other name in the log yet")
        found: dict[int, User] = {}
        for name in said.to:
            user = self.mailbox.find(name)
            if user is None:
                return [], (Why.UNKNOWN, f"no user named {name[:64]} is in the log")
            found[user.number] = user
        return list(found.values()), None if found else (Why.EMPTY, "a message needs a recipient")

    def _with_room(self, client: Client, said: wire.Send, audience: Audience) -> tuple[Audience, Refusal | None]:
        """Those of an audience whose mailbox has room.  The others are an outcome; when they are all, a refusal."""
        audience.until = self._puts + self.accounts.room(audience.users, client.user)
        if audience.until > self._puts:
            return audience, None
        full = self.accounts.full(audience.users, client.user, len(said.text.encode()))
        if not full:
            return audience, None
        self.note("mailbox-full", sender=client.name, to=_names(full), origin=said.id)
        numbers = {user.number for user in full}
        users = [user for user in audience.users if user.number not in numbers]
        absent = Others(Outcome.ABSENT, [name for outcome, names in (audience.others.pages if audience.others else ())
                                         if outcome is Outcome.ABSENT for name in names])
        if not users and not absent.pages:
            whose = f"the mailbox of {full[0].name} is" if len(full) == 1 else "their mailboxes are"
            return audience, (Why.FULL, f"{whose} full: not delivered")
        others = Others(Outcome.FULL, [user.name for user in full], absent)
        return self._gathered(client, said.flags, users, others), None

    def _refuse(self, client: Client, origin: int, why: Why, reason: str) -> None:
        self.note("refused", name=client.name, origin=origin, reason=reason)
        self.roster.tell(client, wire.Refused(origin, why, reason))

    def _forget(self) -> None:
        """Audiences are not what they were: the turn is over, or somebody came, went or holds."""
        self._audiences.clear()
        self._version = self.roster.version

    # ---- settings ----

    def on_ignore(self, client: Client, said: wire.Ignore, now: Now) -> None:
        refusal = self.ignores.change(client, said)
        if refusal:
            self.roster.tell(client, wire.Failed(said.request, *refusal))
        else:
            self.promises.turn.settings.append((client, said.request))

    # ---- the turn ----

    def written(self) -> None:
        """The batch is written: its answers wait for the disk."""
        self._forget()
        self.promises.written(self.mailbox.last)

    def refuse(self, full: Full) -> list[Client]:
        """The disk refused the batch: take its promises back.  Returns the newcomers whose names could not be kept."""
        self.accounts.forget()
        self._forget()
        refused = {(mail.sender, mail.origin) for mail in full.mails}
        answers = self.promises.turn
        stored, answers.stored = answers.stored, {}
        for client, ranges in stored.items():
            for number in _each(ranges):
                if (client.user.number, number) in refused:
                    self._refuse(client, number, Why.FULL, full.reason)
                else:
                    answers.add_stored(client, number, number)
        outcomes, answers.outcomes = answers.outcomes, {}
        for (client, others), ranges in outcomes.items():
            for number in _each(ranges):
                if (client.user.number, number) not in refused:
                    answers.add_outcomes(client, number, others)
        for client, request in answers.settings:
            self.roster.tell(client, wire.Failed(request, Why.FULL, full.reason))
        answers.settings = []
        self._recount(full)
        strangers = {user.number for user in full.users}
        welcomes = answers.welcomes
        answers.welcomes = [(client, welcome._replace(waiting=client.user.waiting))
                            for client, welcome in welcomes if client.user.number not in strangers]
        return [client for client, _ in welcomes if client.user.number in strangers]

    def _recount(self, full: Full) -> None:
        """Those who came, or stopped holding, in this turn had counted what is refused now."""
        for client in self.roster.clients.values():
            if full.mails and client.live.start >= full.mails[0].id:
                client.mail = client.user.waiting
                self.delivery.counted[client] = None


def _each(ranges: Iterable[Sequence[int]]) -> list[int]:
    """The numbers of some ranges."""
    return [number for first, last in ranges for number in range(first, last + 1)]


def _names(users: Iterable[User]) -> str:
    """Recipients for the log: their names, or how many when there are many."""
    names = [user.name for user in users]
    return ",".join(names) if len(names) <= 8 else f"{','.join(names[:7])} and {len(names) - 7} more"
