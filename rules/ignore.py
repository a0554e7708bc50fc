"""ignore: whom a user does not want to hear.

The daemon keeps the list, with the user's name, so that it holds on every host, across restarts, and while its owner is
away.  From then on nothing of an ignored user reaches the one who ignores him:

    messages        are stored and are read in the same batch, so that they are never shown and never wait.  The sender
                    is told what he would be told otherwise, at the same time, by way of the same disk; a DELIVERED
                    never comes, as from anybody who does not look
    invitations     are not shown.  To the inviter they stay open until they expire, or until something else ends them
    a group chat    to which both were invited by others: the invitation names its members, and whoever accepts it
                    is in; but the lines of those whom he ignores are not shown to him.  The others see everything
    a chat of two   has no such rule.  One is in it by one's own doing; Quit ends it

So the sender can't tell.  What waited before stays.  One can write to whom one ignores.

What it costs.  A setting is written whole, so one name more on a list of a thousand writes 4 KB to the journal.  It
counts for as much of a turn as there are names on the list (fairness.py).  What changes nothing writes nothing.
"""
from __future__ import annotations

import struct
from collections.abc import Callable

import wire
from rules.promises import Promises
from rules.roster import Roster
from rules.state import Client, Now
from rules.store import Setting, Store
from store.user import User
from wire import Why

IGNORED_MAX = 1000          # names on one list: they fit a setting, 4 bytes each, and the frame that tells them


class Ignores:
    """The lists of all users."""

    def __init__(self, mailbox: Store, roster: Roster, promises: Promises, note: Callable[..., None]) -> None:
        self.mailbox = mailbox
        self.roster = roster
        self.promises = promises
        self.note = note
        self.by: dict[int, dict[int, None]] = {}        # number of a user: numbers of those he ignores, none empty
        for user in mailbox.users:
            self.load(user)

    def load(self, user: User) -> None:
        """Take a user's list as the store has it."""
        ignored = {number: None for (number,) in struct.iter_unpack("!I", user.settings.get(Setting.IGNORED, b""))}
        if ignored:
            self.by[user.number] = ignored
        else:
            self.by.pop(user.number, None)

    def holds(self, user: User, sender: User) -> bool:
        """Whether this user ignores that one."""
        return sender.number in self.by.get(user.number, ())

    def of(self, user: User) -> list[User]:
        """Whom a user ignores, in the order in which it was said."""
        return [self.mailbox.users[number] for number in self.by.get(user.number, ())]

    def _change(self, client: Client, said: wire.Ignore) -> tuple[Why, str] | None:
        """Put a name on the list or take it off; why not, if that is not possible."""
        other, ignored = self.mailbox.find(said.name), dict(self.by.get(client.user.number, {}))
        if other is None:
            return Why.UNKNOWN, f"no user named {said.name[:64]} is in the log"
        if other is client.user:
            return Why.OTHER, "one can't ignore oneself"
        if self.mailbox.refusal:
            return Why.FULL, self.mailbox.refusal
        client.work += len(ignored)
        if bool(said.on) == (other.number in ignored):
            return None
        if not said.on:
            del ignored[other.number]
        elif len(ignored) >= IGNORED_MAX:
            return Why.FULL, f"{IGNORED_MAX} names are ignored already: /unignore one first"
        else:
            ignored[other.number] = None
        self.mailbox.set(client.user, Setting.IGNORED, struct.pack(f"!{len(ignored)}I", *ignored))
        self.load(client.user)
        self.note("ignoring" if said.on else "not-ignoring", name=client.name, who=other.name)
        return None

    def on_ignore(self, client: Client, said: wire.Ignore, now: Now) -> None:
        refusal = self._change(client, said)
        if refusal:
            self.roster.tell(client, wire.Failed(said.request, *refusal))
        else:
            self.promises.turn.settings.append((client, said.request))

    def on_ignored(self, client: Client, said: wire.ListIgnored, now: Now) -> None:
        names = tuple(user.name for user in self.of(client.user))
        client.work += len(names)
        self.roster.tell(client, wire.Ignored(said.request, names))
