"""delivery: messages received: what a reader is sent, and what it confirms.

The mailbox is the buffer.  Each reader has at most WINDOW messages (and WINDOW_BYTES) pushed and
not yet confirmed; the rest stays in the queue, on disk, and follows as confirmations arrive.  So a
slow or stopped reader costs its window and nothing else, and loses nothing.

Live and checked messages are two streams through the same queue (window.py).  What stood in it when
a client came, or stopped holding, is for CHECK; every id above that, from `live.start` on, is
pushed.  In each stream the ids ascend.

Readers that are sent the same messages in the same turn, as with a message to everyone, are sent
the same bytes.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

import wire
from rules.promises import Promises, Ranges, add_range
from rules.quota import Accounts
from rules.roster import Roster
from rules.runs import mail_frames
from rules.state import Client, Now
from rules.store import Store
from rules.window import EVER, WINDOW, WINDOW_BYTES, Stream, Window
from store.mail import Mail, amount, messages
from wire import SendFlag, Why

# Readers pushed in a turn, if a message is for more: 2 ms, and as many confirmations come.
CROWD = 256
PAST_MAX = 16       # streams that a window keeps after their end, before they are looked through
UNREADABLE = ("{} of your messages cannot be read from the daemon's disk; it keeps them, and has "
              "told its operator")


class Delivery:
    """The rules of pushing, checking, holding and confirming."""

    def __init__(self, mailbox: Store, roster: Roster, note: Callable[..., None],
                 promises: Promises, accounts: Accounts) -> None:
        self.mailbox = mailbox
        self.roster = roster
        self.note = note
        self.promises = promises
        self.accounts = accounts
        self.stirred: dict[Client, None] = {}   # readers that may be pushed something
        self.crowd: dict[Client, None] = {}     # the same, some of them in each turn
        self.counted: dict[Client, None] = {}   # readers whose waiting messages may have changed
        # what several readers may be pushed in this turn, by the first id and the flag
        self._pushes: dict[tuple[int, int], tuple[list[Mail], bytes]] = {}

    # ---- coming and going ----

    def enter(self, client: Client) -> None:
        """A user came: what waits stays for CHECK, what comes from now on is pushed."""
        client.window = Window(self.mailbox.last)

    def leave(self, client: Client) -> None:
        """A user went: what was not confirmed is still in the queue."""
        self.stirred.pop(client, None)
        self.crowd.pop(client, None)
        self.counted.pop(client, None)

    # ---- requests ----

    def on_check(self, client: Client, said: wire.Check, now: Now) -> None:
        window = client.window
        if window.checking is not None:
            reason = "a check is already under way"
            self.roster.tell(client, wire.Failed(said.request, Why.BUSY, reason))
            return
        upto = self.mailbox.last if client.holding else window.live.start
        window.checking = Stream(0, upto, said.request)
        client.work += window.messages          # they are pushed again
        self.stirred[client] = None

    def on_hold(self, client: Client, said: wire.Hold, now: Now) -> None:
        """Hold, or receive live again: what came meanwhile stays for CHECK."""
        if client.holding and not said.on:
            self._end(client, client.window.live)
            client.window.live = Stream(self.mailbox.last, EVER)
            client.checkable = client.user.waiting
        client.holding = bool(said.on)
        self.roster.changed(client)
        self.counted[client] = self.stirred[client] = None
        self.roster.tell(client, wire.Done(said.request))
        self.note("holding" if said.on else "receiving", name=client.name)

    def on_confirm(self, client: Client, said: wire.Confirm, now: Now) -> None:
        mails = self.mailbox.read(client.user, said.first, said.last)
        if mails:
            self._confirmed(client, mails)
        parts = list(self.mailbox.kept(said.first, said.last))
        self.promises.turn.replies += [(client, wire.Confirmed(*part)) for part in parts]
        client.work += len(parts) - bool(parts)
        self.stirred[client] = self.counted[client] = None

    def _confirmed(self, client: Client, mails: list[Mail]) -> None:
        """These messages have left the queue of this client."""
        number, size = amount(mails)
        if not self.accounts.is_empty:
            self.accounts.read(client.user, mails)
        client.window.confirmed(mails, number, size)
        start = client.window.live.start
        if mails[0].id <= start:
            client.checkable -= messages([mail for mail in mails if mail.id <= start])
        self._receipts(client, mails)
        self.note("delivered", name=client.name, messages=number, first=mails[0].id,
                  last=mails[-1].last)

    def _receipts(self, reader: Client, mails: list[Mail]) -> None:
        """Tell the senders that are here which of their messages were shown."""
        shown: dict[Client, Ranges] = {}
        for mail in mails:
            sender = self.roster.clients.get(mail.sender)
            if sender and sender.features & wire.Feature.RECEIPTS:
                ranges = shown.setdefault(sender, [])
                add_range(ranges, mail.origin, mail.origin + mail.messages - 1)
        for sender, ranges in shown.items():
            self.promises.turn.replies += [(sender, wire.Delivered(first, last, reader.name))
                                           for first, last in ranges]

    def _end(self, client: Client, stream: Stream) -> None:
        """A stream has ended.  If the window keeps many ended streams, it forgets those of which
        nothing is in flight any more."""
        window = client.window
        window.end(stream)
        if len(window.past) > PAST_MAX:
            client.work += len(window.past)
            window.past = [old for old in window.past
                           if self.mailbox.unread(client.user, old.start, old.at, 1, 1)]

    # ---- the turn ----

    def recount(self, refused: Sequence[Mail]) -> None:
        """The disk refused these messages.  Clients that came, or stopped holding, in this turn had
        counted them."""
        for client in self.roster.clients.values():
            if refused and client.window.live.start >= refused[0].id:
                client.checkable = client.user.waiting
                self.counted[client] = None

    def stir(self, readers: dict[Client, None]) -> None:
        """These readers may be pushed something.  A crowd is served over several turns, so that
        others need not wait."""
        if len(readers) <= CROWD:
            self.stirred |= readers
        else:
            self.crowd |= readers

    def push(self) -> None:
        """Send each reader what its window has room for."""
        stirred, self.stirred = self.stirred, {}
        for client in list(islice(self.crowd, CROWD)):
            del self.crowd[client]
            stirred[client] = None
        for client in stirred:
            if client.welcomed:
                self._fill(client)
        self._pushes.clear()

    def _fill(self, client: Client) -> None:
        check = client.window.checking
        if check is not None and self._push(client, check):
            client.window.checking = None
            self._end(client, check)
            self.roster.tell(client, wire.Checked(check.request, check.total))
            self.note("checked", name=client.name, messages=check.total)
            if unreadable := self.mailbox.unreadable(client.user):
                self.roster.tell(client, wire.Notice(UNREADABLE.format(unreadable)))
        if not client.holding:
            self._push(client, client.window.live)

    def _push(self, client: Client, stream: Stream) -> bool:
        """Push what fits into the window of this stream.  Returns whether the stream has come to
        its end, for now."""
        user, window, upto, again = client.user, client.window, stream.upto, False
        is_check = stream is window.checking
        while user.newest > stream.at:
            room, space = WINDOW - window.messages, WINDOW_BYTES - window.size
            if room <= 0 or space <= 0:
                return False
            if is_check:
                upto, again = window.overlap(stream)
                if again:                       # in flight already: costs nothing
                    room, space = WINDOW, WINDOW_BYTES
            mails = self.mailbox.unread(user, stream.at, upto, room, space)
            if not mails:
                if upto == stream.upto:
                    return True
                stream.at = upto
                continue
            number, size = amount(mails)
            stream.total += number
            if not again:
                window.messages += number
                window.size += size
            self.roster.hand(client, self._frames(mails, SendFlag.CHECK if is_check else 0))
            stream.at = mails[-1].last
        return True

    def _frames(self, mails: list[Mail], flag: int) -> bytes:
        """The frames of these messages.  Those to several recipients are encoded once a turn."""
        found = self._pushes.get((mails[0].id, flag))
        if found and found[0] == mails:
            return found[1]
        users = self.mailbox.users
        frames = b"".join(mail_frames(mails, flag, lambda sender: users[sender].name.encode()))
        if mails[0].recipients > 1:
            self._pushes[mails[0].id, flag] = mails, frames
        return frames

    def tell_waiting(self) -> None:
        """Tell clients how many messages a CHECK would bring, where that has changed."""
        for client in self.counted:
            if client.waiting != client.told_waiting and client.welcomed:
                client.told_waiting = client.waiting
                self.roster.tell(client, wire.Waiting(client.told_waiting))
        self.counted.clear()
