"""mail: runs of messages, as a queue holds them, and what can be asked of a list of them.

Messages that arrived together, from one sender to the same recipients, are one `Mail` as long as
nobody needs them apart: one object in the queue of each recipient, with the sender's own bytes.  A
reader that takes a part of a run splits it.  The functions here take lists of Mail in the order of
their ids, without overlap; the ids of all messages inside a run belong to the run.
"""
from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple

from net.bodies import COUNT, LENGTH, body_of, lengths_of, part_of, texts_of
from store.headings import Headed

SHARED_AT = 8  # recipients from which a segment holds a body once
EACH = 64  # bytes of an entry in a mailbox, and of its part of an index, besides the text
OWN = EACH - LENGTH  # the same without the length in the body
ENTRY_SIZE = 45  # bytes of an entry of a page in a segment (segment.py), besides the body
NO_TEXT = COUNT.size  # bytes of a body besides lengths and texts
WHOLE = -1  # in place of a number of texts to skip
HEADED = -2  # the same, and the source is Headed


class Mail(NamedTuple):
    """A run of messages, often of one: ids and origins are consecutive, all else is the same.

    `recipients` is how many names each message went to; `time` is microseconds since 1970.
    `source` is a body that holds the texts and nothing else; if the run was split off from a longer
    one, they stand behind `skip` others: to read a part of a run copies nothing.  A source that is
    Headed says to whom the messages were addressed."""

    id: int  # of the first
    last: int
    time: int
    sender: int
    origin: int  # of the first
    flags: int
    recipients: int
    source: bytes
    skip: int = WHOLE

    @property
    def messages(self) -> int:
        """How many messages the run has."""
        return self.last - self.id + 1

    @property
    def amount(self) -> tuple[int, int]:
        """How many messages the run has, and how many bytes of text."""
        messages = self.last - self.id + 1
        if self.skip < 0:
            return messages, len(self.source) - COUNT.size - LENGTH * messages
        return messages, sum(lengths_of(self.source, self.skip, self.skip + messages))

    @property
    def body(self) -> bytes:
        """The texts of the run, and no others."""
        if self.skip < 0:
            return self.source
        return part_of(self.source, self.skip, self.skip + self.messages)

    @property
    def heading(self) -> bytes:
        """To whom the messages were addressed (headings.py); b"": that is not known."""
        return self.source.heading if isinstance(self.source, Headed) else b""

    def headed(self, heading: bytes) -> Mail:
        """A whole run, with this heading."""
        return self._replace(source=Headed.of(self.source, heading), skip=HEADED)

    @property
    def texts(self) -> list[bytes]:
        return texts_of(self.body)

    def part(self, first: int, last: int) -> Mail:
        """The messages with first <= id <= last, which must be in the run."""
        if first == self.id and last == self.last:
            return self
        start = first - self.id
        return self._replace(id=first, last=last, origin=self.origin and self.origin + start,
                             skip=max(self.skip, 0) + start)


BY_ID = itemgetter(Mail._fields.index("id"))


def singles(mail: Mail) -> list[Mail]:
    """The messages of a run, each as a run of one."""
    each = [mail._replace(id=mail.id + n, last=mail.id + n, origin=mail.origin and mail.origin + n,
                          source=body_of([text]), skip=WHOLE) for n, text in enumerate(mail.texts)]
    heading = mail.heading
    return [one.headed(heading) for one in each] if heading else each


def messages(mails: Iterable[Mail]) -> int:
    """How many messages these runs have."""
    return sum([mail.last - mail.id + 1 for mail in mails])


def amount(mails: Sequence[Mail]) -> tuple[int, int]:
    """How many messages these runs have, and how many bytes of text."""
    if len(mails) == 1:
        return mails[0].amount
    each = [mail.amount for mail in mails]
    return sum([number for number, _ in each]), sum([size for _, size in each])


def measure(mails: Iterable[Mail]) -> tuple[int, int, int]:
    """How many messages these runs have, about how many bytes of a page in a segment they take, and
    how many bytes of text in bodies that it shares with others."""
    number = own = shared = 0
    for mail in mails:
        id, last, _, _, _, _, recipients, source, skip = mail
        number += last - id + 1
        size = len(source) if skip == WHOLE else mail.amount[1] + len(mail.heading)
        if recipients < SHARED_AT:
            own += ENTRY_SIZE + size
        else:
            own += ENTRY_SIZE
            shared += size
    return number, own, shared


def weight(mail: Mail) -> float:
    """About how many bytes of the disk a run takes for one of its recipients.  It takes as much
    however it is split."""
    messages, size = mail.amount
    if type(mail.source) is Headed:  # no call: most have none
        size += len(mail.source.heading) * messages
    if mail.recipients < SHARED_AT:
        return EACH * messages + size
    return EACH * messages + size / mail.recipients


def place_of(mails: Sequence[Mail], id: int) -> int:
    """The index of the first run that has messages with this id or a higher one."""
    place = bisect_left(mails, id, key=BY_ID)
    return place - 1 if place and mails[place - 1].last >= id else place


def between(mails: Sequence[Mail], first: int, last: int) -> list[Mail]:
    """The messages with first <= id <= last.  A range that ends before it begins, which a client
    may well confirm, has none."""
    if first > last:
        return []
    found = list(mails[place_of(mails, first):bisect_right(mails, last, key=BY_ID)])
    if found and found[-1].last > last:
        found[-1] = found[-1].part(found[-1].id, last)
    if found and found[0].id < first:
        found[0] = found[0].part(first, found[0].last)
    return found


def limited(mails: Iterable[Mail], upto: int, most: int, size: int) -> list[Mail]:
    """The first of these messages, with ids up to `upto`: `most` messages and `size` bytes of text
    at most, but one message whatever its size."""
    found: list[Mail] = []
    for mail in mails:
        if mail.id > upto or most <= 0 or size <= 0:
            break
        number, bytes_ = mail.amount
        if mail.last <= upto and number <= most and bytes_ <= size:
            found.append(mail)
            most -= number
            size -= bytes_
            continue
        fitting = 0
        skip = max(mail.skip, 0)
        last = skip + min(number, most, upto - mail.id + 1)
        for length in lengths_of(mail.source, skip, last):
            if length > size and (found or fitting):
                break
            size -= length
            fitting += 1
        if fitting:
            found.append(mail.part(mail.id, mail.id + fitting - 1))
        break
    return found
