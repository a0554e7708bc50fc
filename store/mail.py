"""mail: runs of messages, as a queue holds them, and what can be asked of some of them.

Messages that came together, of one sender to the same names, are one Mail as long as nobody needs them apart: one
object in the queue of each recipient, with the sender's own bytes.  Who reads a part of them splits it.  The functions
here take lists of Mail in the order of ids, without overlap; ids of messages inside a run count as those of the run.
"""
from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple

from net.bodies import COUNT, LENGTH, body_of, lengths_of, part_of, texts_of

WHOLE = -1  # in place of a number to skip


class Mail(NamedTuple):
    """A run of messages, often of one: the ids follow one upon the other, so do the origins, and all else they have in
    common.  `count` is how many each went to; `time` is microseconds since 1970.

    `source` is a body that holds their texts, and nothing else, or, if they were split off from a longer run, behind
    `skip` others: who reads a part of a run copies nothing."""

    id: int  # of the first
    last: int
    time: int
    sender: int
    origin: int  # of the first
    flags: int
    count: int  # type: ignore[assignment]  # hides the count() of tuples, which nobody needs
    source: bytes
    skip: int = WHOLE

    @property
    def messages(self) -> int:
        """How many they are."""
        return self.last - self.id + 1

    @property
    def amount(self) -> tuple[int, int]:
        """How many they are, and how many bytes of text."""
        count = self.last - self.id + 1
        if self.skip == WHOLE:
            return count, len(self.source) - COUNT.size - LENGTH * count
        return count, sum(lengths_of(self.source, self.skip, self.skip + count))

    @property
    def body(self) -> bytes:
        """Their texts, and no others."""
        if self.skip == WHOLE:
            return self.source
        return part_of(self.source, self.skip, self.skip + self.messages)

    @property
    def texts(self) -> list[bytes]:
        return texts_of(self.body)

    def part(self, first: int, last: int) -> Mail:
        """Those with these ids, which are some of them."""
        if first == self.id and last == self.last:
            return self
        start = first - self.id
        return self._replace(id=first, last=last, origin=self.origin and self.origin + start,
                             skip=start if self.skip == WHOLE else self.skip + start)


BY_ID = itemgetter(Mail._fields.index("id"))


def singles(mail: Mail) -> list[Mail]:
    """The messages of a run, each by itself."""
    return [mail._replace(id=mail.id + n, last=mail.id + n, origin=mail.origin and mail.origin + n,
                          source=body_of([text]), skip=WHOLE) for n, text in enumerate(mail.texts)]


def messages(mails: Iterable[Mail]) -> int:
    """How many messages these are."""
    return sum([mail.last - mail.id + 1 for mail in mails])


def amount(mails: Sequence[Mail]) -> tuple[int, int]:
    """How many messages these are, and how many bytes of text."""
    if len(mails) == 1:
        return mails[0].amount
    each = [mail.amount for mail in mails]
    return sum([count for count, _ in each]), sum([size for _, size in each])


def place_of(mails: Sequence[Mail], id: int) -> int:
    """Where the first stands that has messages with this id or a higher one."""
    place = bisect_left(mails, id, key=BY_ID)
    return place - 1 if place and mails[place - 1].last >= id else place


def between(mails: Sequence[Mail], first: int, last: int) -> list[Mail]:
    """Those with first <= id <= last; none if it ends before it begins, as whoever confirms may say."""
    if first > last:
        return []
    found = list(mails[place_of(mails, first):bisect_right(mails, last, key=BY_ID)])
    if found and found[-1].last > last:
        found[-1] = found[-1].part(found[-1].id, last)
    if found and found[0].id < first:
        found[0] = found[0].part(first, found[0].last)
    return found


def limited(mails: Iterable[Mail], upto: int, count: int, size: int) -> list[Mail]:
    """Of these, from the first on, up to that id, so many messages and bytes at most, but one message if there is
    any."""
    found: list[Mail] = []
    for mail in mails:
        if mail.id > upto or count <= 0 or size <= 0:
            break
        number, bytes_ = mail.amount
        if mail.last <= upto and number <= count and bytes_ <= size:
            found.append(mail)
            count -= number
            size -= bytes_
            continue
        fitting = 0
        skip = 0 if mail.skip == WHOLE else mail.skip
        for length in lengths_of(mail.source, skip, skip + min(number, count, upto - mail.id + 1)):
            if length > size and (found or fitting):
                break
            size -= length
            fitting += 1
        if fitting:
            found.append(mail.part(mail.id, mail.id + fitting - 1))
        break
    return found
