"""newcomers: logins of this host that get mail, or are let into a room, before they come.

A message to a name that is not in the log, but is the login of a person at this host, registers the
name: their queue begins with the message.  To let such a name into a room (ADMIT) registers it too.
The name is that login's from the start, and counts as a new name of the client's host (hosts.py);
nobody can fill the log with what is no login.  Until its user comes, `last_seen` is 0.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import wire
from net.texts import is_reserved
from rules.audience import Unfit, check_reader
from rules.claims import Identity
from rules.hosts import Hosts
from rules.owners import Owners
from rules.roster import Roster
from rules.state import Client, Now
from rules.store import Store
from wire import Feature, SendFlag, Why

NEVER = 0       # last_seen of a user who has not been here yet


class Newcomers:
    """Registers them."""

    def __init__(self, mailbox: Store, roster: Roster, note: Callable[..., None], hosts: Hosts,
                 owners: Owners, identity: Identity) -> None:
        self.mailbox = mailbox
        self.roster = roster
        self.note = note
        self.hosts = hosts
        self.owners = owners
        self.person_of = identity.person_of

    def register(self, client: Client, flags: int, to: Sequence[str], now: Now) -> None:
        """Register those of these names that are logins and not in the log, if this client may ask
        for them.  Raises Unfit; if that is for one of the names, none was registered."""
        if (not client.features & Feature.LOGINS or flags & (SendFlag.NOW | SendFlag.EVERYONE)
                or (len(to) == 1 and wire.is_room(to[0]))):
            return
        found = {}
        for name in to:
            if user := self.mailbox.find(name):
                check_reader(user)
            else:
                person = None if is_reserved(name) else self.person_of(name)
                if person is None:
                    raise Unfit(Why.UNKNOWN, f"no user named {name[:64]} is in the log, and no "
                                             "login of this host is")
                found[person[0]] = person[1]
        for name, uid in found.items():
            known = len(self.mailbox.users)
            if refusal := self.hosts.admit_name(client.host, known, now.monotonic):
                raise Unfit(*refusal)
            user = self.mailbox.register(name, NEVER)
            self.owners.give(user, uid)
            self.roster.add_absent(user)
            self.note("new-name", name=name, address=client.address)
