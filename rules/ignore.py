"""ignore: the users that a user does not want to hear.

The daemon keeps the list, with the user's name, so that it holds on every host, across restarts,
and while the user is away.  From then on nothing of an ignored user reaches the one that ignores:

    messages        are stored, and marked as read in the same batch, so they are never shown and
                    never wait.  The sender is told what it would be told otherwise, at the same
                    time, by way of the same disk; a DELIVERED never comes, as from any user that
                    does not look
    invitations     are not shown.  To the inviter they stay open until they expire, or until
                    something else ends them
    a group chat    to which others invited both: the invitation names its members, and a user that
                    accepts it is in; but it is not shown the lines of users that it ignores.  The
                    others see everything
    a chat of two   has no such rule.  A user is in it by choice; Quit ends it

So the sender can't tell.  What waited before stays.  A user may write to users that it ignores.

What it costs.  A setting is written whole, so one more name on a list of a thousand writes 4 KB to
the journal.  It is as many units of work as there are names on the list (server/fairness.py).  A
request that changes nothing writes nothing.
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

IGNORED_MAX = 1000      # names on one list: they fit a setting, 4 bytes each, and one frame


class Ignores:
    """The lists of all users."""

    def __init__(self, mailbox: Store, roster: Roster, promises: Promises,
                 note: Callable[..., None]) -> None:
        self.mailbox = mailbox
        self.roster = roster
        self.promises = promises
        self.note = note
        # by number of a user: the numbers of those that it ignores; no list is empty
        self.by: dict[int, dict[int, None]] = {}
        for user in mailbox.users:
            self.load(user)

    def load(self, user: User) -> None:
        """Take a user's list as the store has it."""
        setting = user.settings.get(Setting.IGNORED, b"")
        ignored = {number: None for (number,) in struct.iter_unpack("!I", setting)}
        if ignored:
            self.by[user.number] = ignored
        else:
            self.by.pop(user.number, None)

    def holds(self, user: User, sender: User) -> bool:
        """Whether this user ignores that sender."""
        return sender.number in self.by.get(user.number, ())

    # ---- requests ----

    def on_ignore(self, client: Client, said: wire.Ignore, now: Now) -> None:
        """Put a name on the client's list, or take it off."""
        refusal = self._change(client, said)
        if refusal:
            self.roster.tell(client, wire.Failed(said.request, *refusal))
        else:
            self.promises.turn.settings.append((client, said.request))

    def on_ignored(self, client: Client, said: wire.ListIgnored, now: Now) -> None:
        """Tell a client its list, in the order in which names were put on it."""
        users, numbers = self.mailbox.users, self.by.get(client.user.number, ())
        client.work += len(numbers)
        names = tuple(users[number].name for number in numbers)
        self.roster.tell(client, wire.Ignored(said.request, names))

    def _change(self, client: Client, said: wire.Ignore) -> tuple[Why, str] | None:
        """Make the change; or say why it is not possible."""
        other, ignored = self.mailbox.find(said.name), dict(self.by.get(client.user.number, {}))
        if other is None:
            return Why.UNKNOWN, f"no user named {said.name[:64]} is in the log"
        if other is client.user:
            return Why.OTHER, "you can't ignore yourself"
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
        setting = struct.pack(f"!{len(ignored)}I", *ignored)
        self.mailbox.set(client.user, Setting.IGNORED, setting)
        client.usage.put += len(setting)
        self.load(client.user)
        self.note("ignoring" if said.on else "not-ignoring", name=client.name, who=other.name)
        return None
