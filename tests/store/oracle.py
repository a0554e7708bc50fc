"""The oracle: what was promised, and whether a store kept it.

The clients of a test tell it what they did and what they heard.  It keeps that outside the store:

    tried           a SEND left
    acknowledged    its STORED came
    refused         its REFUSED came
    asked           the reader's CONFIRM left
    confirmed       its CONFIRMED came

`judge` is then given all messages that wait for one reader, after whatever was done to the daemon
or its disk.  It answers with a line for each fault:

    lost            acknowledged, and its reader never confirmed it, yet it does not wait
    came back       confirmed, yet it waits
    invented        nobody tried to send this to this reader, or it had another text, or its sender
                    was told REFUSED
    doubled         it waits twice
    id reused       the same id was another message before
    disorder        ids do not ascend, or two messages of one sender are not in the order in which
                    they were sent

A message that was tried and not acknowledged, or asked and not confirmed, may be there or not:
nothing was promised.
"""
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mailbox import Mailbox
from tests.harness.waiting import singles

Key = tuple[str, int]           # sender and origin: the same for every copy of a message


class Found(NamedTuple):
    """A message as it was found: in a client's hand, or in a store."""
    id: int
    sender: str
    origin: int
    text: str


class Tried(NamedTuple):
    """A message as it was sent; `place` counts them all."""
    place: int
    readers: tuple[str, ...]
    text: str


class Oracle:
    def __init__(self) -> None:
        self.tried: dict[Key, Tried] = {}
        self.acknowledged: set[Key] = set()
        self.refused: set[Key] = set()
        self.asked: dict[str, set[Key]] = {}            # by reader
        self.confirmed: dict[str, set[Key]] = {}
        # by reader: acknowledged and not asked: must be there
        self.due: dict[str, dict[Key, None]] = {}
        self._ids: dict[int, Key] = {}                  # what each id meant, for ever

    # ---- what the clients tell ----

    def trying(self, sender: str, origin: int, readers: Sequence[str], text: str) -> None:
        """A SEND is about to leave.  Telling this again changes nothing."""
        self.tried.setdefault((sender, origin), Tried(len(self.tried), tuple(readers), text))

    def acknowledge(self, sender: str, first: int, last: int) -> None:
        for origin in range(first, last + 1):
            key = sender, origin
            self.acknowledged.add(key)
            self.refused.discard(key)
            for reader in self.tried[key].readers:
                if key not in self.asked.get(reader, ()):
                    self.due.setdefault(reader, {})[key] = None

    def refuse(self, sender: str, origin: int) -> None:
        self.refused.add((sender, origin))

    def ask(self, reader: str, keys: Iterable[Key]) -> None:
        """The reader is about to confirm these messages."""
        asked, due = self.asked.setdefault(reader, set()), self.due.setdefault(reader, {})
        for key in keys:
            asked.add(key)
            due.pop(key, None)

    def confirm(self, reader: str, keys: Iterable[Key]) -> None:
        """CONFIRMED came for these messages."""
        self.confirmed.setdefault(reader, set()).update(keys)

    # ---- what must be true ----

    def judge(self, reader: str, waiting: Sequence[Found]) -> list[str]:
        """Everything that is wrong with the messages that wait for this reader."""
        there = {(found.sender, found.origin) for found in waiting}
        faults = [f"lost: {key} for {reader}"
                  for key in self.due.get(reader, ()) if key not in there]
        faults += [f"came back: {key} for {reader}"
                   for key in there & self.confirmed.get(reader, set())]
        if len(there) != len(waiting):
            faults.append(f"doubled: {len(waiting) - len(there)} for {reader}")
        return faults + self.look_at(reader, waiting)

    def look_at(self, reader: str, came: Sequence[Found]) -> list[str]:
        """What is wrong with messages in a client's hand, be they all or not."""
        faults: list[str] = []
        # the id, and of each sender the message, that came before
        last, before = 0, dict[str, Found]()
        for found in came:
            key = found.sender, found.origin
            tried = self.tried.get(key)
            if (tried is None or reader not in tried.readers or tried.text != found.text
                    or key in self.refused):
                faults.append(f"invented: {found} for {reader}, where {tried} was tried")
                continue
            if self._ids.setdefault(found.id, key) != key:
                faults.append(f"id reused: {found.id} was {self._ids[found.id]} and is {key}")
            earlier = before.get(found.sender, found)
            if found.id <= last or tried.place < self.tried[earlier.sender, earlier.origin].place:
                faults.append(f"disorder: {found} for {reader} after id {last} and {earlier}")
            last, before[found.sender] = found.id, found
        return faults

    def judge_store(self, store: str) -> list[str]:
        """Everything that is wrong with a store that no daemon has open.

        The store is recovered twice, as by two starts of which the first is killed.  The second
        must find what the first found."""
        once, twice = recover(store), recover(store)
        faults = []
        if once != twice:
            faults = [f"changed: what is recovered by a second start: {once} and {twice}"]
        for reader in {*once, *self.due, *self.confirmed}:
            faults += self.judge(reader, once.get(reader, []))
        return faults

    def count(self) -> str:
        """The sizes of the logs, for a report."""
        confirmed, asked = (sum(map(len, log.values())) for log in (self.confirmed, self.asked))
        return (f"{len(self.tried)} messages tried, {len(self.acknowledged)} acknowledged, "
                f"{len(self.refused)} refused; {asked} deletions asked, {confirmed} confirmed")


def recover(store: str) -> dict[str, list[Found]]:
    """All that waits in a store, by reader, as a start finds it; then the starter dies."""
    mailbox = Mailbox(store)
    users, last, most = mailbox.users, mailbox.last, 1 << 32
    try:
        return {user.name: [Found(mail.id, users[mail.sender].name, mail.origin,
                                  mail.texts[0].decode())
                            for mail in singles(mailbox.unread(user, 0, last, most, most))]
                for user in users}
    finally:
        mailbox._shelf.close()
        mailbox._journals.current.close()
        mailbox.disk.close(mailbox._lock)       # as the kernel does for the dead
