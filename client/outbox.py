"""outbox: sends, from the user's Enter to the daemon's answer.

Every send keeps its id from the beginning, and stays until it is answered.  After a lost connection
all leave again, in order, and the daemon knows a copy by its id (wire.py).  What no daemon would
take is refused here with ValueError; what is too much to keep, with Busy.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

import wire

PENDING_MAX = 10_000                # sends without an answer: a long day offline
PENDING_BYTES = 16 * 1024 * 1024    # of text and recipients in them
TEXTS_MAX = wire.TEXT_MAX           # bytes of texts in one frame: beside the longest names too


class Busy(Exception):
    """Too much waits already; nothing was queued."""


@dataclass(slots=True)
class Pending:
    """A send without an answer."""
    to: tuple[str, ...]
    text: str
    flags: int
    size: int                                           # bytes, against PENDING_BYTES
    absent: set[str] = field(default_factory=set)       # lower case: recipients who were not there


class Outbox(dict[int, Pending]):
    """The sends without an answer, in order of their ids, and which of them have not left on this
    connection."""

    def __init__(self, instance: int) -> None:
        super().__init__()
        self._ids = count((instance << 32) + 1)
        self._size = 0
        self._unsent: deque[int] = deque()

    def add(self, sends: Sequence[Pending]) -> list[int]:
        """Take these in, all or none.  Raises Busy."""
        size = sum(send.size for send in sends)
        if len(self) + len(sends) > PENDING_MAX or self._size + size > PENDING_BYTES:
            raise Busy(f"{len(self)} messages wait for the daemon: no more can be sent before it "
                       "answers")
        ids = [next(self._ids) for _ in sends]
        self.update(zip(ids, sends, strict=True))
        self._size += size
        self._unsent.extend(ids)
        return ids

    def again(self) -> None:
        """Another connection: all of them leave once more."""
        self._unsent = deque(self)

    def frames(self) -> Iterable[bytes]:
        """What has not left, encoded when it is asked for.  Sends with consecutive ids to the same
        names share a frame."""
        while self._unsent:
            first = self._unsent.popleft()
            if send := self.get(first):
                texts = (send.text, *self._texts_with(first, send))
                yield wire.encode(wire.Sends(first, send.flags, send.to, texts))

    def _texts_with(self, first: int, send: Pending) -> Iterator[str]:
        """The texts of the next sends that may share the frame of this one; they leave with it."""
        number, size = first + 1, len(send.text.encode())
        while self._unsent and self._unsent[0] == number and (more := self.get(number)):
            size += len(more.text.encode())
            if ((more.flags, more.to) != (send.flags, send.to)
                    or send.flags & wire.SendFlag.EVERYONE
                    or (number + 1 - first) * len(send.to) > wire.COPIES_MAX or size > TEXTS_MAX):
                return
            self._unsent.popleft()
            number += 1
            yield more.text

    def answered(self, first: int, last: int) -> None:
        """The sends with these ids have their answer."""
        for number in self._between(first, last):
            self._size -= self.pop(number).size

    def absent(self, first: int, last: int, names: Iterable[str]) -> None:
        """These recipients were not there.  If none was, nothing was stored: that is the answer.

        A message to everyone names nobody.  But STORED comes before OUTCOMES: if anybody had been
        there, the message would not be pending any more."""
        gone = {name.lower() for name in names}
        for number in self._between(first, last):
            send = self[number]
            send.absent.update(gone)
            if send.absent.issuperset(name.lower() for name in send.to):
                self.answered(number, number)

    def _between(self, first: int, last: int) -> list[int]:
        """The pending sends of a range; mostly the first ones, so the walk is short."""
        found = []
        for number in self:
            if number > last:
                break
            if number >= first:
                found.append(number)
        return found


def check_text(text: str) -> None:
    """Raises ValueError for a text that no daemon takes."""
    found = wire.flaw(text)
    if found:
        raise ValueError(found[1])


def check_names(names: Sequence[str], everyone: bool = False) -> None:
    """Raises ValueError for recipients that no daemon takes."""
    if everyone and names:
        raise ValueError("a message to everyone names nobody")
    if not everyone and not names:
        raise ValueError("a message needs a recipient")
    for name in names:
        if not wire.is_name(name):
            raise ValueError(f"{name[:64]!r} is no username")
