"""ignore: the users that a user does not want to hear.

The daemon keeps the list, with the user's name, so that it holds on every host, across restarts,
and while the user is away.

A user has as many names as its login likes to use.  So whoever ignores a name ignores the login
that owns it, with all its names, and is not told which these are.  The list has the names that were
given, and the owners are looked up: a name that nobody owns, as over TCP, counts alone until a
login takes it, and so does another name of the user's own login.  A name that was taken off the
list may still be ignored for the sake of another one.

From then on nothing of an ignored user reaches the one that ignores:

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
from rules.owners import Owners
from rules.promises import Promises
from rules.roster import Roster
from rules.state import Client, Now
from rules.store import Setting, Store, is_room
from store.user import User
from wire import Why

IGNORED_MAX = 1000      # names on one list: they fit a setting, 4 bytes each, and one frame


class Ignores:
    """The lists of all users."""

    def __init__(self, mailbox: Store, roster: Roster, promises: Promises,
                 note: Callable[..., None], owners: Owners) -> None:
        self.mailbox = mailbox
        self.roster = roster
        self.promises = promises
        self.note = note
        self.owners = owners
        # by number of a user: the numbers of those that it ignores; no list is empty
        self.by: dict[int, dict[int, None]] = {}
        self._logins: dict[int, frozenset[int]] = {}    # that own those, as far as it was asked
        self._owned = owners.changes                    # when it was
        for user in mailbox.users:
            self.load(user)

    def load(self, user: User) -> None:
        """Take a user's list as the store has it."""
        setting = user.settings.get(Setting.IGNORED, b"")
        self._logins.pop(user.number, None)
        ignored = {number: None for (number,) in struct.iter_unpack("!I", setting)}
        if ignored:
            self.by[user.number] = ignored
        else:
            self.by.pop(user.number, None)

    def holds(self, user: User, sender: User) -> bool:
        """Whether this user ignores that sender: the name, or the login that owns it."""
        ignored = self.by.get(user.number)
        if ignored is None:
            return False
        return sender.number in ignored or self.owners.login(sender) in self.logins(user)

    def logins(self, user: User) -> frozenset[int]:
        """The logins that this user ignores."""
        if self._owned != self.owners.changes:
            self._logins.clear()
            self._owned = self.owners.changes
        if (found := self._logins.get(user.number)) is None:
            users, login = self.mailbox.users, self.owners.login
            owned = {login(users[number]) for number in self.by.get(user.number, ())}
            found = frozenset(uid for uid in owned if uid is not None and uid != login(user))
            self._logins[user.number] = found
        return found

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
        if is_room(other):
            return Why.OTHER, f"a room can't be ignored: /leave {other.name}"
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
