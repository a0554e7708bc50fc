"""delivery: pushes messages to their readers, and takes the readers' confirmations.

The mailbox is the buffer.  At most WINDOW messages (and WINDOW_BYTES) are in flight to a reader:
pushed, and not confirmed yet.  The rest stays in the queue, on disk, and follows as confirmations
arrive.  So a slow or stopped reader costs its window and nothing else, and loses nothing.

Live and checked messages are two streams through the same queue (window.py).  Messages that stood
in the queue when the client came, or when it stopped holding, wait for CHECK; messages with ids
above `live.start` are pushed as they come.  A client that lost its connection comes back with that
id (RESUME), and goes on with the stream in which it was.  In each stream the ids ascend.

If several readers get the same messages in the same turn, as with a message to everyone, the
messages are encoded once.

Several clients may read one queue: a session and errands (errands.py).  Each has a window of its
own; what one of them confirms leaves the windows of all.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import wire
from rules.errands import Errands
from rules.promises import Promises
from rules.quota import Accounts
from rules.receipts import Receipts
from rules.roster import Roster
from rules.runs import mail_frames
from rules.slices import MANY, Crowd
from rules.state import Client, Doubtful, Greeting, Now
from rules.store import Store
from rules.usage import LOGIN_UNSENT
from rules.window import EVER, WINDOW, WINDOW_BYTES, Stream, Window
from store.mail import Mail, amount, messages
from wire import Why

PUSH_BYTES = 16 << 20   # of text, in one push(): the others are pushed theirs in the next
# Messages, and bytes of their text, that one CONFIRM takes out of a queue in a turn: 5 ms.  A
# window has fewer, but nothing says that a client confirms only what it was pushed.
CONFIRM_MOST, CONFIRM_BYTES = 4096, 4 << 20
PAST_MAX = 16       # ended streams in a window, before it drops those with nothing in flight
UNREADABLE = ("{} of your messages cannot be read from the daemon's disk; it keeps them, and has "
              "told its operator")


class Delivery:
    """The rules of pushing, checking, holding and confirming."""

    def __init__(self, mailbox: Store, roster: Roster, note: Callable[..., None],
                 promises: Promises, accounts: Accounts, errands: Errands,
                 receipts: Receipts, is_silent: bool = False) -> None:
        self.mailbox = mailbox
        self.roster = roster
        self.note = note
        self.promises = promises
        self.accounts = accounts
        self.errands = errands
        self.receipts = receipts
        self.is_silent = is_silent              # nobody reads the notes (post.py)
        self.stirred: dict[Client, None] = {}   # readers to look at in the next push()
        self.crowd = Crowd(roster.slices, self._serve)      # the same, if they are many
        self.clogged: dict[Client, None] = {}   # readers to look at when their sockets took all
        self.counted: dict[Client, None] = {}   # readers whose count of waiting messages may be new
        self._pushed = 0                        # bytes of text in this push()
        # messages that several readers may get in this turn, with their frames; by the first id and
        # the flags of the stream
        self._pushes: dict[tuple[int, int], tuple[list[Mail], bytes]] = {}

    # ---- coming and going ----

    def enter(self, client: Client, hello: Greeting) -> None:
        """A client came: messages in its queue wait for CHECK, later ones are pushed.  One that was
        here before has named the last message that waited then."""
        start = self.mailbox.last
        if isinstance(hello, wire.Resume) and not client.holding:
            start = min(start, hello.above)
            client.checkable -= client.user.waiting_above(start, self.mailbox.unread)
        client.window = Window(start, client.features)
        self.errands.meet(client.user)

    def welcomed(self, client: Client) -> None:
        """A client was told WELCOME: it may be pushed what is live."""
        self._tell_start(client)
        self.stirred[client] = None

    def _tell_start(self, client: Client) -> None:
        """Tell a client where its live mail begins, for the next time that it comes."""
        if client.features & wire.Feature.RESUME and not client.holding:
            self.roster.tell(client, wire.Live(client.window.live.start))

    def leave(self, client: Client) -> None:
        """A client went: messages that it did not confirm are still in the queue."""
        self.stirred |= dict.fromkeys(self.errands.leave(client))
        self.receipts.leave(client)
        self.stirred.pop(client, None)
        self.crowd.drop(client)
        self.clogged.pop(client, None)
        self.counted.pop(client, None)

    # ---- requests ----

    def on_check(self, client: Client, said: wire.Check, now: Now) -> None:
        self._reach(client)
        window = client.window
        if window.checking is not None:
            reason = "a check is already under way"
            self.roster.tell(client, wire.Failed(said.request, Why.BUSY, reason))
            return
        window.checking = window.check(said.request)
        self.errands.check(client, now.monotonic)
        client.work += window.messages          # those in flight are pushed again
        self.stirred[client] = None

    def on_hold(self, client: Client, said: wire.Hold, now: Now) -> None:
        """Start or stop holding.  Messages that came while the client held wait for CHECK."""
        self._reach(client)
        if client.holding and not said.on:
            self._end(client, client.window.live)
            client.window.live = client.window.after(self.mailbox.last)
            client.checkable = client.user.waiting
        client.holding = bool(said.on)
        self.roster.changed(client)
        self.counted[client] = self.stirred[client] = None
        self.roster.tell(client, wire.Done(said.request))
        self._tell_start(client)
        self.note("holding" if said.on else "receiving", name=client.name)

    def _reach(self, client: Client) -> None:
        """A message to all may be on its way into this client's queue: it is there now."""
        if self.mailbox.fanout.reach(client.user):
            self.counted[client] = self.stirred[client] = None

    def on_confirm(self, client: Client, said: wire.Confirm, now: Now) -> None:
        last = said.last
        if last - said.first >= WINDOW and client.user.waiting > WINDOW:
            last = self._confirmable(client, said)
        mails = self.mailbox.read(client.user, said.first, last)
        if mails:
            self._confirmed(client, mails)
            if self.errands.of:
                others = dict.fromkeys(self.errands.beside(client))
                self.stirred |= others
                self.counted |= others
                client.work += len(others)
        self.stirred[client] = self.counted[client] = None
        if last < said.last:
            raise Doubtful                      # the rest, when it is looked at again
        parts, replies = self.mailbox.kept(said.first, said.last), self.promises.turn.replies
        for part in parts:
            replies.append((client, wire.Confirmed(*part)))
        client.work += len(parts) - bool(parts)     # the request itself pays for one answer

    def _confirmable(self, client: Client, said: wire.Confirm) -> int:
        """Up to which id a long confirmation is taken at once: up to its end, if that is few."""
        mails = self.mailbox.unread(client.user, said.first - 1, said.last, CONFIRM_MOST,
                                    CONFIRM_BYTES)
        number, size = amount(mails)
        if number < CONFIRM_MOST and size <= CONFIRM_BYTES - wire.TEXT_MAX:
            return said.last                    # that is all
        return mails[-1].last

    def _confirmed(self, client: Client, mails: list[Mail]) -> None:
        """These messages have left the queue of this client: note it, and tell their senders."""
        number, size = amount(mails)
        if not self.accounts.is_empty:
            self.accounts.read(client.user, mails)
        for reader in (client, *self.errands.beside(client)) if self.errands.of else (client,):
            reader.window.confirmed(mails, number, size)
            start = reader.window.live.start
            if mails[0].id <= start:
                reader.checkable -= messages([mail for mail in mails if mail.id <= start])
        self.receipts.confirmed(client, mails)
        if not self.is_silent:
            self.note("delivered", name=client.name, messages=number, first=mails[0].id,
                      last=mails[-1].last)

    def _end(self, client: Client, stream: Stream) -> None:
        """End a stream.  If the window keeps many ended streams, drop those with nothing in flight
        any more."""
        window = client.window
        window.end(stream)
        if len(window.past) > PAST_MAX:
            client.work += len(window.past)
            window.past = [old for old in window.past
                           if self.mailbox.unread(client.user, old.start, old.at, 1, 1)]

    # ---- the turn ----

    def recount(self, refused: Sequence[Mail]) -> None:
        """The disk refused these messages: count again what waits for clients that came, or stopped
        holding, in this turn."""
        for client in self.errands.everybody():
            if refused and client.window.live.start >= refused[0].id:
                client.checkable = client.user.waiting
                self.counted[client] = None

    def stir(self, readers: dict[Client, None]) -> None:
        """Look at these readers in the next push(); if they are many, in slices."""
        if len(readers) <= MANY:
            self.stirred |= readers
        else:
            self.crowd.add(readers)

    def count(self, readers: dict[Client, None]) -> None:
        """Tell these how many messages wait; if they are many, in slices."""
        if len(readers) <= MANY:
            self.counted |= readers
        else:
            self.crowd.add(readers)

    def push(self) -> None:
        """Send each reader what its window has room for.  Before that, tell clients how many
        messages wait: the number that is told last before a check's first message is how many the
        check brings."""
        fanout = self.mailbox.fanout
        if fanout.mail is not None:
            for client in (*self.stirred, *self.counted):
                fanout.reach(client.user)
        for client in self.counted:             # where the number has changed
            if client.waiting != client.told_waiting and client.welcomed:
                self._tell_number(client)
        self.counted.clear()
        stirred, self.stirred = self.stirred, {}
        if len(stirred) > MANY:
            self._defer_checks(stirred)
        if self.clogged:
            for client in [each for each in self.clogged if not each.backlog]:
                del self.clogged[client]
                stirred[client] = None
        self._pushed = 0
        for client in stirred:
            if self._pushed >= PUSH_BYTES:
                self.stirred[client] = None     # in the next turn
            elif client.welcomed:
                self._fill(client)
        self._pushes.clear()

    def _defer_checks(self, stirred: dict[Client, None]) -> None:
        """Of many that check at once, as scripts do at a full minute, most are served in slices."""
        checking = [client for client in stirred if client.window.checking is not None]
        for client in checking[MANY:]:
            del stirred[client]
        self.crowd.add(checking[MANY:])

    def tick(self, now: Now) -> None:
        """Let the CHECKs begin that have waited long enough for another client of their user."""
        self.stirred |= dict.fromkeys(self.errands.due(now.monotonic))

    @property
    def is_due(self) -> bool:
        """Whether push() has something to do for a socket that has taken all."""
        return any(not client.backlog for client in self.clogged)

    def _serve(self, client: Client) -> int:
        """One of a crowd.  What they share is encoded anew after each push()."""
        self.mailbox.fanout.reach(client.user)
        if client.welcomed:
            self._tell_number(client)
            self._fill(client)
        return 1

    def _fill(self, client: Client) -> None:
        check = client.window.checking
        if check is not None:
            self._check(client, check)
        if not client.holding:
            self._push(client, client.window.live)

    def _check(self, client: Client, check: Stream) -> None:
        if check.upto == EVER:                  # it begins, and a crowd may wait before it
            if client in self.errands.checks and self.errands.has_to_wait(client):
                return
            self._tell_number(client)
        if self._push(client, check):
            self.errands.begins(client)
            client.window.checking = None
            self._end(client, check)
            if self.errands.of:
                self.stirred |= dict.fromkeys(self.errands.beside(client))
            self.roster.tell(client, wire.Checked(check.request, check.total))
            self.note("checked", name=client.name, messages=check.total)
            if unreadable := self.mailbox.unreadable(client.user):
                self.roster.tell(client, wire.Notice(UNREADABLE.format(unreadable)))

    def _push(self, client: Client, stream: Stream) -> bool:
        """Push the messages of this stream that fit into the client's window.  Returns whether no
        message is left in the stream for now."""
        user, window, upto, in_flight = client.user, client.window, stream.upto, False
        is_check = stream is window.checking
        while user.newest > stream.at:
            room, space = WINDOW - window.messages, WINDOW_BYTES - window.size
            if room <= 0 or space <= 0:
                return False
            if is_clogged := client.usage.unsent >= LOGIN_UNSENT:
                self.clogged[client] = None
                if client.backlog:
                    return False
                room = 1                        # and the next when its socket has taken that
            if is_check:
                if upto == EVER:                # it begins
                    self.errands.begins(client)
                    stream.upto = self.errands.end_of_check(client)
                upto, in_flight = window.overlap(stream)
                if in_flight and not is_clogged:    # these cost no window space again
                    room, space = WINDOW, WINDOW_BYTES
            mails = self.mailbox.unread(user, stream.at, upto, room, space)
            if not mails:
                if upto == stream.upto:
                    return True
                stream.at = upto
                continue
            number, size = amount(mails)
            stream.total += number
            self._pushed += size
            if not in_flight:
                window.messages += number
                window.size += size
            self.roster.hand(client, self._frames(mails, stream.flags))
            stream.at = mails[-1].last
            if is_clogged:
                return False
        return True

    def _frames(self, mails: list[Mail], flags: int) -> bytes:
        """The frames of these messages; if they have several recipients, encoded once a turn."""
        shared = self._pushes.get((mails[0].id, flags))
        if shared and shared[0] == mails:
            return shared[1]
        users = self.mailbox.users
        frames = b"".join(mail_frames(mails, flags, lambda sender: users[sender].name.encode()))
        if mails[0].recipients > 1:
            self._pushes[mails[0].id, flags] = mails, frames
        return frames

    def _tell_number(self, client: Client) -> None:
        """Tell a client how many messages a CHECK would bring, if that has changed."""
        if client.waiting != client.told_waiting:
            client.told_waiting = client.waiting
            self.roster.tell(client, wire.Waiting(client.told_waiting))
