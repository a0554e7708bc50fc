"""outbox: sends, from the user's Enter to the daemon's answer.

A send is one message of the user's own.  It gets its id when it is added, and stays until the
daemon has answered it.  On a new connection all sends leave again, in order, and the daemon knows a
copy by its id (wire.py).  check_text() and check_names() raise ValueError for a send that no daemon
would take; add() raises Busy if too much waits already.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import TypeAlias

import wire

PENDING_MAX = 10_000                # sends without an answer: a long day offline
PENDING_BYTES = 16 * 1024 * 1024    # of text and recipients in them
TEXTS_MAX = wire.TEXT_MAX           # bytes of texts in one frame: fits beside the longest names


class Busy(Exception):
    """Too much waits already; nothing was queued."""


class Pending:
    """A send without an answer."""
    __slots__ = ("absent", "flags", "size", "text", "time", "to")

    def __init__(self, to: tuple[str, ...], text: str, flags: int, size: int,
                 time: int = 0) -> None:
        """`size`: the bytes that count against PENDING_BYTES; `time`: when the user sent it,
        microseconds since 1970."""
        self.to, self.text, self.flags, self.size, self.time = to, text, flags, size, time
        self.absent: set[str] = set()       # recipients who were away, in lower case


Answered: TypeAlias = list[tuple[int, Pending]]     # sends with their ids


class Outbox(dict[int, Pending]):
    """The sends without an answer, in the order in which they leave.  An Outbox also knows which of
    them have not left on this connection."""

    def __init__(self, instance: int, counter: int = 0) -> None:
        """`counter`: the first id is the one behind it."""
        super().__init__()
        self._ids = count((instance << 32) + counter + 1)
        self._size = 0
        self._unsent: deque[int] = deque()

    def add(self, sends: Sequence[Pending]) -> list[int]:
        """Add these sends, all or none.  Returns their ids.  Raises Busy."""
        self._make_room(sends)
        ids = [next(self._ids) for _ in sends]
        self.update(zip(ids, sends, strict=True))
        self._unsent.extend(ids)
        return ids

    def restore(self, sends: Answered) -> None:
        """Add these, which have ids of an earlier session, all or none.  Raises Busy."""
        self._make_room([send for _, send in sends])
        self.update(sends)
        self._unsent.extend([number for number, _ in sends])

    def _make_room(self, sends: Sequence[Pending]) -> None:
        size = sum(send.size for send in sends)
        if len(self) + len(sends) > PENDING_MAX or self._size + size > PENDING_BYTES:
            raise Busy(f"{len(self)} messages wait for the daemon: no more can be sent before it "
                       "answers")
        self._size += size

    def again(self) -> None:
        """Another connection: all sends leave once more."""
        self._unsent = deque(self)

    def frames(self) -> Iterable[bytes]:
        """The frames of the sends that have not left, each encoded when the caller takes it.  Sends
        with consecutive ids to the same names share a frame."""
        while self._unsent:
            first = self._unsent.popleft()
            if send := self.get(first):
                texts = (send.text, *self._texts_with(first, send))
                yield wire.encode(wire.Sends(first, send.flags, send.to, texts))

    def _texts_with(self, first: int, send: Pending) -> Iterator[str]:
        """The texts of the next sends that may share the frame of this one, and leave with it."""
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

    def answered(self, first: int, last: int) -> Answered:
        """The daemon has answered the sends with these ids.  Returns them."""
        sends = [(number, self.pop(number)) for number in self._between(first, last)]
        self._size -= sum(send.size for _, send in sends)
        return sends

    def absent(self, first: int, last: int, names: Iterable[str]) -> Answered:
        """These recipients were not there.  If no recipient of a send was, the daemon stored
        nothing, and this is its answer.  Returns the sends that are answered.

        A message to everyone names nobody, so this always answers it.  That is right: STORED comes
        before OUTCOMES, so if anybody had been there, the send would not be pending any more."""
        gone, sends = {name.lower() for name in names}, Answered()
        for number in self._between(first, last):
            send = self[number]
            to = {name.lower() for name in send.to}
            send.absent |= gone & to
            if send.absent == to:
                sends += self.answered(number, number)
        return sends

    def _between(self, first: int, last: int) -> list[int]:
        """The ids of the pending sends in a range, which is mostly one of few."""
        if last - first < len(self):
            return [number for number in range(first, last + 1) if number in self]
        return [number for number in self if first <= number <= last]


def check_text(text: str) -> None:
    """Raises ValueError for a text that no daemon takes."""
    found = wire.flaw(text)
    if found:
        raise ValueError(found[1])


def check_recipients(names: Sequence[str], everyone: bool) -> None:
    """Raises ValueError for recipients that no daemon takes: names, or one room."""
    if everyone or len(names) != 1 or not wire.is_room(names[0]):
        check_names(names, everyone)


def check_names(names: Sequence[str], everyone: bool = False) -> None:
    """Raises ValueError for names that no daemon takes."""
    if everyone and names:
        raise ValueError("a message to everyone names nobody")
    if not everyone and not names:
        raise ValueError("a message needs a recipient")
    for name in names:
        if not wire.is_name(name):
            raise ValueError(f"{name[:64]!r} is no username")
