"""headings: to whom messages were addressed, in words, beside their texts.

A heading is `words` as on the wire: the names of all recipients, the reader's own among them, or
one word that begins with `#`, a room.  A message to one name has none, nor has one to everyone, nor
one to more than ADDRESSED_MAX names: for those the number of recipients is enough.

A body with a heading is Headed.  Names need no record of their own: a PUT has the numbers of the
recipients, and Replay makes the heading again.  A segment, and the record of a message to a room,
have the heading behind the body, as the only text of a body of its own (bodies.py), so that each of
the two still tells its length.
"""
from __future__ import annotations

import struct
from collections.abc import Sequence

from net.bodies import BODY_MAX, COUNT, ONE, end_of, is_whole
from net.fields import WRITERS
from net.texts import ADDRESSED_MAX

LONGEST = BODY_MAX + (2 << 10)  # bytes of both: a heading of names takes half of that
ONE_WORD = COUNT.pack(1)  # how the heading of a message to a room begins


class Headed(bytes):
    """The body of a run, and its heading."""

    heading: bytes

    def __eq__(self, other: object) -> bool:
        return (isinstance(other, Headed) and bytes.__eq__(self, other)
                and self.heading == other.heading)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = bytes.__hash__

    @classmethod
    def of(cls, body: bytes, heading: bytes) -> Headed:
        """Raises ValueError if they are longer than a page of a segment can hold."""
        if len(body) + len(heading) > LONGEST:
            raise ValueError(f"texts of {len(body)} bytes, with a heading of {len(heading)}")
        made = cls(body)
        made.heading = heading
        return made


def heading_of(words: Sequence[str]) -> bytes:
    """The heading of messages that were addressed with these words."""
    return WRITERS["words"](words)


def heading_of_names(names: Sequence[str]) -> bytes:
    """The heading of messages to these names; b"": they have none."""
    return heading_of(names) if 1 < len(names) <= ADDRESSED_MAX else b""


def is_room(heading: bytes) -> bool:
    """Whether this is the heading of messages to a room."""
    return heading.startswith(ONE_WORD)


def at_rest(body: bytes, heading: bytes) -> bytes:
    """Both in one string of bytes."""
    return body + ONE.pack(1, len(heading)) + heading


def from_rest(data: bytes) -> Headed:
    """The reverse.  Raises ValueError."""
    try:
        end = end_of(data)
    except (struct.error, IndexError):
        end = 0
    body, heading = data[:end], data[end:]
    if not is_whole(body) or not is_whole(heading) or not heading.startswith(ONE_WORD):
        raise ValueError("texts and a heading that are not as long as their heads say")
    return Headed.of(body, heading[ONE.size:])
