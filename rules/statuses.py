"""statuses: what a user says of being away, and who is told.

The daemon keeps the text with the user's name, until the user clears it: over restarts, and while
the user's program does not run, for that is when it is needed most.  It keeps no messages back;
/hold does that.

    connected users     are told each other's texts when they come in, and when one changes
    a sender            is told the text of a reader that is not connected, once for each text in a
                        session of the sender's, before the OUTCOMES of the first message
    the user            is told their own text when they come in

A change is work for each client that is told (server/fairness.py).  What is told to those who are
here leaves in slices, a page at a time (pages.py), and a text that changes meanwhile is told once:
thousands who come in at once, each with a text, make no long turn and fill no memory.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import wire
from rules.pages import Pages
from rules.promises import Promises
from rules.roster import Roster
from rules.state import Client, Errand, Now
from rules.store import Setting, Store
from store.user import User
from wire import Feature, Why

PAGE = 100              # texts told at once: 24 KB of the longest
Copy = tuple[int, int]  # shared by those who were told the same
TOLD_MAX = 1000         # texts of which one sender is known to have been told


class Statuses:
    """The texts of all users."""

    def __init__(self, mailbox: Store, roster: Roster, promises: Promises,
                 note: Callable[..., None]) -> None:
        self.mailbox = mailbox
        self.roster = roster
        self.promises = promises
        self.note = note
        # whose text is to be told, in the order in which it changed or they came; a user may stand
        # there again, and _place says where last, by number
        self._news: list[User] = []
        self._place: dict[int, int] = {}
        # of those who are told: up to which place they were, and, until they have come so far, how
        # many there were as they came
        self._copies: dict[Client, Copy] = {}
        # pages, by their places, and the copy of those who have had them
        self._encoded: dict[tuple[int, int, bool], tuple[bytes, Copy]] = {}
        self._pages = Pages(roster.slices, self._send_page)
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
        """The text of a user is another one, or was refused by the disk, or the user came: tell
        those who are here."""
        self.roster.version += 1                # senders are told at their next message
        self._place[user.number] = len(self._news)
        self._news.append(user)
        if len(self._news) > 2 * len(self._place) + PAGE:
            self._compact()
        self._encoded.clear()
        self._pages.add(self._copies)

    def _compact(self) -> None:
        """Forget the places of texts that were told anew behind them, and of those that nobody has
        to be told: of users who went, or say nothing any more."""
        self._forget_leavers()
        least = min([at for at, _ in self._copies.values()], default=len(self._news))
        old, news, before = self._news, list[User](), list[int]()
        for place, user in enumerate(old):
            before.append(len(news))
            if self._place[user.number] != place:
                continue
            if place >= least or self._is_here(user):
                self._place[user.number] = len(news)
                news.append(user)
            else:
                del self._place[user.number]
        before.append(len(news))
        self._news = news
        moved = {(at, came): (before[at], before[came]) for at, came in self._copies.values()}
        self._copies = {client: moved[copy] for client, copy in self._copies.items()}

    def _forget_leavers(self) -> None:
        self._copies = {each: copy for each, copy in self._copies.items() if not each.has_left}

    def _is_here(self, user: User) -> bool:
        """Whether who comes in has to be told the text of this user."""
        return user.number in self.roster.clients and Setting.STATUS in user.settings

    def welcomed(self, client: Client) -> None:
        """A client came in: tell it of the others, and them of it."""
        knows, user = client.features & Feature.STATUS, client.user
        if len(self._copies) > 2 * len(self.roster.clients) + PAGE:
            self._forget_leavers()
        if knows:
            self._copies[client] = 0, len(self._news)
            self._pages.put(client)
        if Setting.STATUS in user.settings:
            if not isinstance(client, Errand):  # that one comes and goes is no news for the others
                self.publish(user)
            elif knows and user.number not in self.roster.clients:
                self.roster.tell(client, _status(user))

    def saved(self, client: Client) -> list[str]:
        """The users whose texts a client is to be told yet, for resume()."""
        at, came = self._copies.get(client, (len(self._news), 0))
        return [user.name for place, user in enumerate(self._news[at:], at)
                if self._place[user.number] == place and (place >= came or self._is_here(user))]

    def resume(self, clients: Mapping[Client, Sequence[str]]) -> None:
        """These clients are here, and are to be told the texts of these users yet (handover.py);
        also those that were cleared.  One that is behind is told all, some of them again."""
        news = [client.user for client in clients if not isinstance(client, Errand)
                and Setting.STATUS in client.user.settings]
        behind = dict.fromkeys(name for names in clients.values() for name in names)
        news += [user for name in behind if (user := self.mailbox.find(name))]
        self._news = list(dict.fromkeys(news))
        self._place = {user.number: place for place, user in enumerate(self._news)}
        for client, names in clients.items():
            if client.features & Feature.STATUS:
                self._copies[client] = 0 if names else len(self._news), 0
                if names:
                    self._pages.put(client)

    def _send_page(self, client: Client) -> int:
        """Tell a client the next texts that it was not told; those that are told the same get the
        same bytes."""
        if client.has_left:
            self._copies.pop(client, None)
            return 1
        at, came = self._copies[client]
        is_old = at < came
        stop = min(at + PAGE, came if is_old else len(self._news))
        page = self._encoded.get((at, stop, is_old))
        if page is None:
            page = self._encoded[at, stop, is_old] = self._page(at, stop, is_old), (stop, 0)
        frames, end = page
        self._copies[client] = (stop, came) if stop < came else end
        if frames:
            self.roster.hand(client, frames)
        if stop < len(self._news):
            self._pages.put(client)
        return 1 + (stop - at) // 8

    def _page(self, at: int, stop: int, is_old: bool) -> bytes:
        """The texts from one place to another; for those who have just come, as they are now."""
        return b"".join([
            wire.encode(_status(user)) for place, user in enumerate(self._news[at:stop], at)
            if self._place[user.number] == place and (not is_old or self._is_here(user))])

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
