"""delivery: what a reader is sent, and what he confirms.

The mailbox is the buffer.  Each reader has at most WINDOW messages (and WINDOW_BYTES) pushed and not yet confirmed;
the rest stays in the queue, on disk, and follows as confirmations arrive.  So a slow or stopped reader costs its window
and nothing else, and loses nothing.

Live and checked mail are two streams through the same queue.  What stood in it when a client came (or stopped holding)
is for CHECK; every id above that, from `live.start` on, is pushed.  In each stream ids ascend.

What is in flight is what is unread and lies in a part of the queue that a stream has passed: so nothing is kept for
each message, and one that was checked twice counts once.

Readers who are sent the same messages in the same turn, as with a message to everyone, are sent the same bytes.
"""
from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import wire
from rules.promises import Promises, Ranges, add
from rules.quota import Accounts
from rules.roster import Roster
from rules.runs import mail_frames
from rules.state import Client, Now
from rules.store import Store
from rules.window import EVER, WINDOW, WINDOW_BYTES, Stream, Window
from store.mail import Mail, amount, messages
from wire import Why

CROWD = 256                 # readers pushed in a turn, when a message is for more: 2 ms, and as many confirmations come
PAST_MAX = 16               # streams that have ended, remembered for what is in flight, before they are looked through
UNREADABLE = "{} of your messages cannot be read from the daemon's disk; they are kept, and its operator was told"


class Delivery:
    """The rules of pushing, checking, holding and confirming."""

    def __init__(self, mailbox: Store, roster: Roster, note: Callable[..., None], promises: Promises,
                 accounts: Accounts) -> None:
        self.mailbox = mailbox
        self.roster = roster
        self.note = note
        self.promises = promises
        self.accounts = accounts
        self.stirred: dict[Client, None] = {}                   # readers that may be pushed something
        self.crowd: dict[Client, None] = {}                     # the same, some of them in each turn
        self.counted: dict[Client, None] = {}                   # those whose waiting messages may have changed
        self._pushes: dict[tuple[int, int], tuple[list[Mail], bytes]] = {}  # to several readers, in this turn

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
        if client.window.checking is not None:
            self.roster.tell(client, wire.Failed(said.request, Why.BUSY, "a check is already under way"))
            return
        upto = self.mailbox.last if client.holding else client.window.live.start
        client.window.checking = Stream(0, upto, said.request)
        client.work += client.window.messages        # they are pushed again
        self.stirred[client] = None

    def on_hold(self, client: Client, said: wire.Hold, now: Now) -> None:
        """Start holding, or receive live again: what came meanwhile stays for CHECK."""
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
            count, size = amount(mails)
            if not self.accounts.is_empty:
                self.accounts.read(client.user, mails)
            client.window.confirmed(mails, count, size)
            start = client.window.live.start
            if mails[0].id <= start:
                client.checkable -= messages([mail for mail in mails if mail.id <= start])
            self._receipts(client, mails)
            self.note("delivered", name=client.name, messages=count, first=mails[0].id, last=mails[-1].last)
        parts = list(self.mailbox.kept(said.first, said.last))
        self.promises.turn.others += [(client, wire.Confirmed(*part)) for part in parts]
        client.work += len(parts) - bool(parts)
        self.stirred[client] = self.counted[client] = None

    def _receipts(self, reader: Client, mails: list[Mail]) -> None:
        """Tell the senders who are here that these of theirs were shown, and no others."""
        spans: dict[Client, Ranges] = {}
        for mail in mails:
            sender = self.roster.clients.get(mail.sender)
            if sender and sender.features & wire.Feature.RECEIPTS:
                add(spans.setdefault(sender, []), mail.origin, mail.origin + mail.messages - 1)
        for sender, shown in spans.items():
            self.promises.turn.others += [(sender, wire.Delivered(first, last, reader.name)) for first, last in shown]

    # ---- what is in flight ----

    def _end(self, client: Client, stream: Stream) -> None:
        """A stream has ended.  Streams of which nothing is in flight any more are forgotten, when there are many."""
        window = client.window
        window.end(stream)
        if len(window.past) > PAST_MAX:
            client.work += len(window.past)
            window.past = [old for old in window.past if self.mailbox.unread(client.user, old.start, old.at, 1, 1)]

    # ---- the turn ----

    def stir(self, readers: dict[Client, None]) -> None:
        """These may be pushed something.  A crowd of them is served over some turns, so that others need not wait."""
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
        if check is not None and self._pushed(client, check, wire.SendFlag.CHECK):
            client.window.checking = None
            self._end(client, check)
            self.roster.tell(client, wire.Checked(check.request, check.total))
            self.note("checked", name=client.name, messages=check.total)
            if lacking := self.mailbox.unreadable(client.user):
                self.roster.tell(client, wire.Notice(UNREADABLE.format(lacking)))
        if not client.holding:
            self._pushed(client, client.window.live, 0)

    def _pushed(self, client: Client, stream: Stream, flag: int) -> bool:
        """Push of this stream what fits into the window; True when the stream is at its end for now."""
        user, window, upto, again = client.user, client.window, stream.upto, False
        while user.newest > stream.at:
            room, space = WINDOW - window.messages, WINDOW_BYTES - window.size
            if room <= 0 or space <= 0:
                return False
            if flag:
                upto, again = window.overlap(stream)
            mails = self.mailbox.unread(user, stream.at, upto, *((WINDOW, WINDOW_BYTES) if again else (room, space)))
            if not mails and upto < stream.upto:
                stream.at = upto
                continue
            if not mails:
                return True
            count, size = amount(mails)
            stream.total += count
            if not again:
                window.messages += count
                window.size += size
            self.roster.hand(client, self._frames(mails, flag))
            stream.at = mails[-1].last
        return True

    def _frames(self, mails: list[Mail], flag: int) -> bytes:
        """The frames of these messages; those to many are encoded once in a turn."""
        found = self._pushes.get((mails[0].id, flag))
        if found and found[0] == mails:
            return found[1]
        users = self.mailbox.users
        whole = b"".join(mail_frames(mails, flag, lambda sender: users[sender].name.encode()))
        if mails[0].recipients > 1:
            self._pushes[mails[0].id, flag] = mails, whole
        return whole

    def tell_waiting(self) -> None:
        """Say how many messages a CHECK would bring, where that has changed."""
        for client in self.counted:
            if client.waiting != client.told_waiting and client.welcomed:
                client.told_waiting = client.waiting
                self.roster.tell(client, wire.Waiting(client.told_waiting))
        self.counted.clear()
