"""statuses: what a user says of being away, and who is told.

The daemon keeps the text with the user's name, until the user clears it: over restarts, and while
the user's program does not run, for that is when it is needed most.  It keeps no messages back;
/hold does that.

    connected users     are told each other's texts when they come in, and when one changes
    a sender            is told the text of a reader that is not connected, once for each text in a
                        session of the sender's, before the OUTCOMES of the first message
    the user            is told their own text when they come in

A change is work for each client that is told (server/fairness.py).
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import wire
from rules.promises import Promises
from rules.roster import Roster
from rules.state import Client, Errand, Now
from rules.store import Setting, Store
from store.user import User
from wire import Feature, Why

TOLD_MAX = 1000         # texts of which one sender is known to have been told


class Statuses:
    """The texts of all users."""

    def __init__(self, mailbox: Store, roster: Roster, promises: Promises,
                 note: Callable[..., None]) -> None:
        self.mailbox = mailbox
        self.roster = roster
        self.promises = promises
        self.note = note
        self._here: dict[int, User] = {}        # users with a text that came in, by number
        # by sender: the seqs at which the texts were set that it was told, by number of the user
        self._told: dict[Client, dict[int, int]] = {}

    def on_status(self, client: Client, said: wire.SetStatus, now: Now) -> None:
        """Keep the text of a user; an empty one clears it."""
        if refusal := self._flaw(said.text):
            self.roster.tell(client, wire.Failed(said.request, *refusal))
            return
        client.work += len(self.roster.clients)
        text = said.text.encode()
        if client.user.settings.get(Setting.STATUS, b"") != text:
            self.mailbox.set(client.user, Setting.STATUS, text)
            self.publish(client.user)
            self.note("away", name=client.name, text=said.text)
        self.promises.turn.settings.append((client, said.request))

    def _flaw(self, text: str) -> tuple[Why, str] | None:
        if text and (flaw := wire.flaw(text)):
            return flaw
        if "\n" in text or len(text.encode()) > wire.STATUS_MAX:
            return Why.BAD_TEXT, f"a status is one line of at most {wire.STATUS_MAX} bytes"
        return (Why.FULL, self.mailbox.refusal) if self.mailbox.refusal else None

    def publish(self, user: User) -> None:
        """The text of a user is another one, or was refused by the disk: tell those who are
        here."""
        self._keep(user)
        self.roster.version += 1                # senders are told at their next message
        self.roster.tell_all([each for each in self.roster.clients.values()
                              if each.features & Feature.STATUS], _status(user))

    def _keep(self, user: User) -> None:
        if Setting.STATUS in user.settings:
            self._here[user.number] = user
        else:
            self._here.pop(user.number, None)

    def welcomed(self, client: Client) -> None:
        """A client came in: tell it of the others, and them of it."""
        if Setting.STATUS in client.user.settings:
            if isinstance(client, Errand):      # ten a second cost the others nothing
                self.roster.tell_all([client] if client.features & Feature.STATUS else [],
                                     _status(client.user))
            else:
                self.publish(client.user)
        if client.features & Feature.STATUS:
            for user in list(self._here.values()):
                if user.number not in self.roster.clients:
                    del self._here[user.number]
                elif user is not client.user:
                    self.roster.tell(client, _status(user))

    def tell(self, client: Client, users: Sequence[User]) -> None:
        """A client writes to these: tell it the texts of those that are not here."""
        away = [user for user in users if Setting.STATUS in user.settings
                and user.number not in self.roster.clients]
        if not away or not client.features & Feature.STATUS:
            return
        if len(self._told) > len(self.roster.clients):
            self._told = {each: told for each, told in self._told.items() if not each.has_left}
        told = self._told.setdefault(client, {})
        for user in away:
            seq = user.set_at[Setting.STATUS]
            if told.get(user.number) != seq and len(told) < TOLD_MAX:
                told[user.number] = seq
                self.roster.tell(client, _status(user))


def status_of(user: User) -> str:
    """The text of a user; "": there is none."""
    return user.settings.get(Setting.STATUS, b"").decode(errors="replace")


def _status(user: User) -> wire.Status:
    return wire.Status(user.name, status_of(user))
