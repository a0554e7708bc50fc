"""everyone: messages to all names, where the names are many.

To look at a hundred thousand mailboxes, and to put a message into each, takes a tenth of a second.
So both are done in slices (slices.py):

    gather      who they are, who reads now, whose mailbox is full.  Nothing is changed.  The
                daemon looks at the request again when this is done (state.Doubtful)
    put         as any other message, in the turn that looks at it again: with its id, its record,
                its answers, and for the recipients that there are at this moment
    spread      into the queues, in memory (store/fanout.py).  Readers are served as a crowd

A quota may be exceeded by what others put into a mailbox between its look and the put.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import wire
from rules.audience import Audience, Audiences
from rules.promises import OutcomePages, Promises
from rules.retirement import is_retired
from rules.roster import Roster
from rules.runs import SPREAD
from rules.state import Client, Doubtful
from rules.store import Store, is_room
from store.user import User
from wire import Outcome, SendFlag

CHUNK = 1024        # names in a step: half a millisecond


class Gathered:
    """What was found out so far about the recipients of a message; each by number."""

    def __init__(self, sender: User, flags: int, origin: int, size: int) -> None:
        self.sender = sender
        self.request = self.flags, self.origin = flags, origin
        self.seen = 0                           # names that were looked at
        self.size = size                        # bytes of the text
        self.users: list[User] = []             # that get it, in the order of their numbers
        self.here: dict[int, User] = {}         # those of them that were connected
        self.away: dict[int, str] = {}          # and those that were not
        self.absent: dict[int, User] = {}       # not connected, for a message that is now or never
        self.full: list[str] = []               # names whose mailboxes have no room
        self.until = 1 << 62                    # see Audience

    def meet(self, clients: dict[int, Client]) -> None:
        """Those have come or gone since: make it true for the clients that there are now."""
        gone = {number: user for number, user in self.here.items() if number not in clients}
        if self.flags & SendFlag.NOW:
            self.absent |= gone
            came = [user for number in clients if (user := self.absent.pop(number, None))]
            if gone or came:
                here = [user for user in self.users if user.number in clients]
                self.users = sorted([*here, *came], key=lambda user: user.number)
            return
        self.away |= {number: user.name for number, user in gone.items()}
        for number in clients:
            self.away.pop(number, None)


class Everyone:
    """The messages to all that are under way."""

    def __init__(self, mailbox: Store, roster: Roster, note: Callable[..., None],
                 promises: Promises, audiences: Audiences) -> None:
        self.mailbox = mailbox
        self.roster = roster
        self.note = note
        self.promises = promises
        self.audiences = audiences
        self._gathered: dict[Client, Gathered] = {}     # for requests that are looked at again

    @property
    def are_many(self) -> bool:
        return len(self.mailbox.users) > SPREAD

    def find(self, client: Client, flags: int, origin: int, size: int) -> None:
        """Let `audiences` know the audience of a message to all of this size, if there is one.
        Raises Doubtful: ask again when the client awaits nothing."""
        gathered = self._gathered.pop(client, None)
        if gathered is None or gathered.request != (flags, origin):
            self._gathered = {other: each for other, each in self._gathered.items()
                              if not other.has_left}
            self.promises.awaiting[client] = None
            gathered = Gathered(client.user, flags, origin, size)
            self.roster.slices.begin(self._gather_all(client, gathered))
            raise Doubtful
        if audience := self._audience(client, gathered):
            self.audiences.remember((client, flags, ()), audience)

    def forget(self, client: Client, flags: int) -> None:
        """The message was put: what is remembered of its audience is not kept for another."""
        self.audiences.known.pop((client, flags, ()), None)

    def spread(self) -> None:
        """A message was put: bring it into the queues."""
        self.roster.slices.begin(self._spread())

    def _spread(self) -> Iterator[None]:
        while self.mailbox.fanout.step():
            yield

    def _gather_all(self, client: Client, gathered: Gathered) -> Iterator[None]:
        """When it is done, no other message is on its way."""
        users, fanout, at = self.mailbox.users, self.mailbox.fanout, 0
        while at < len(users) or fanout.mail is not None:
            self._gather(gathered, users[at:at + CHUNK])
            at = min(at + CHUNK, len(users))
            yield
        gathered.seen = at
        if not client.has_left:
            self._gathered[client] = gathered
        del self.promises.awaiting[client]

    def _gather(self, gathered: Gathered, some: Sequence[User]) -> None:
        accounts, clients = self.audiences.accounts, self.roster.clients
        users = [user for user in some if user is not gathered.sender
                 and not is_retired(user) and not is_room(user)]
        if gathered.flags & SendFlag.NOW:
            gathered.absent |= {user.number: user for user in users if user.number not in clients}
            users = [user for user in users if user.number in clients]
        room = accounts.room(users, gathered.sender)
        if not room:
            full = dict.fromkeys(accounts.full(users, gathered.sender, gathered.size))
            gathered.full += [user.name for user in full]
            users, room = [user for user in users if user not in full], 1
        gathered.until = min(gathered.until, self.audiences.puts + room)
        gathered.users += users
        gathered.here |= {user.number: user for user in users if user.number in clients}
        gathered.away |= {user.number: user.name for user in users if user.number not in clients}

    def _audience(self, client: Client, gathered: Gathered) -> Audience | None:
        """The audience as it is now; None: nobody has room, or nobody is there."""
        clients = self.roster.clients
        self._gather(gathered, self.mailbox.users[gathered.seen:])      # those that are new
        gathered.meet(clients)
        if not gathered.users and not gathered.absent:
            return None
        outcomes, full = OutcomePages(), set(gathered.full)
        if full:
            self.note("mailbox-full", sender=client.name, to=wire.some(gathered.full),
                      origin=gathered.origin)
        readers = [each for each in clients.values()
                   if each is not client and each.name not in full]
        holding = {each: None for each in readers if each.holding}
        reading = self.audiences.listening(gathered.users) | {
            each: None for each in readers if not each.holding}
        for outcome, names in ((Outcome.ABSENT, [user.name for user in gathered.absent.values()]),
                               (Outcome.FULL, gathered.full),
                               (Outcome.AWAY, list(gathered.away.values())),
                               (Outcome.HOLDING, [each.name for each in holding])):
            if names:
                outcomes = outcomes.with_names(outcome, names)
        return Audience(gathered.users, gathered.flags, reading, holding, outcomes,
                        gathered.until)
