"""bodies: the texts of several messages in one string of bytes.

A body is the same on the wire, in the journal and in a segment.

     0        2                     2 + 2 count
    +--------+---------------------+---------------------------+
    | count  | count * length u16  | the texts, one by one     |
    +--------+---------------------+---------------------------+

A run is a series of messages with consecutive ids that have all else in common.  It has one body,
which is made where the messages come in.  From there on nobody takes it apart until somebody reads
a single text: a queue, a record of the journal, a page of a segment and the frame for a reader all
hold the sender's own bytes.
"""
from __future__ import annotations

import struct
from collections.abc import Sequence

COUNT = struct.Struct("!H")
ONE = struct.Struct("!HH")      # the head of a body of one text
LENGTH = 2                      # bytes of each length
BODY_MAX = 60 << 10             # bytes: leaves room for all else in a frame, a record or a page


def body_of(texts: Sequence[bytes]) -> bytes:
    """The body of these texts, of which there is at least one."""
    if len(texts) == 1:
        return ONE.pack(1, len(texts[0])) + texts[0]
    return struct.pack(f"!{len(texts) + 1}H", len(texts), *map(len, texts)) + b"".join(texts)


def count_of(body: bytes) -> int:
    """How many texts a body holds."""
    return body[0] << 8 | body[1]


def lengths_of(body: bytes, start: int = 0, stop: int = -1) -> tuple[int, ...]:
    """The lengths in bytes of the texts, or of those from number `start` up to and without `stop`.

    Raises struct.error for a body that is cut short."""
    count = (count_of(body) if stop < 0 else stop) - start
    return struct.unpack_from(f"!{count}H", body, COUNT.size + LENGTH * start)


def size_of(body: bytes) -> int:
    """How many bytes the texts have together."""
    return len(body) - COUNT.size - LENGTH * count_of(body)


def end_of(data: bytes) -> int:
    """Where the body ends that these bytes begin with.  Raises struct.error, IndexError."""
    return COUNT.size + LENGTH * count_of(data) + sum(lengths_of(data))


def is_whole(body: bytes) -> bool:
    """Whether the body holds at least one text, and exactly what its head says."""
    try:
        if body[:COUNT.size] == b"\0\1":
            return body[2] << 8 | body[3] == len(body) - ONE.size
        return count_of(body) > 0 and size_of(body) == sum(lengths_of(body))
    except (struct.error, IndexError):
        return False


def texts_of(body: bytes) -> list[bytes]:
    """The texts, one by one."""
    if body[:COUNT.size] == b"\0\1":
        return [body[ONE.size:]]
    texts, at = [], COUNT.size + LENGTH * count_of(body)
    for length in lengths_of(body):
        texts.append(body[at:at + length])
        at += length
    return texts


def part_of(body: bytes, start: int, stop: int) -> bytes:
    """The body of the texts from number `start` up to and without `stop`, counted from 0."""
    count = count_of(body)
    at = COUNT.size + LENGTH * count + sum(lengths_of(body, 0, start))
    end = len(body) if stop == count else at + sum(lengths_of(body, start, stop))
    lengths = body[COUNT.size + LENGTH * start:COUNT.size + LENGTH * stop]
    return COUNT.pack(stop - start) + lengths + body[at:end]


def joined(bodies: Sequence[bytes]) -> bytes:
    """One body of the texts of several bodies."""
    if len(bodies) == 1:
        return bodies[0]
    heads = [COUNT.size + LENGTH * count_of(body) for body in bodies]
    lengths = [body[COUNT.size:head] for body, head in zip(bodies, heads, strict=True)]
    texts = [body[head:] for body, head in zip(bodies, heads, strict=True)]
    return COUNT.pack(sum(map(count_of, bodies))) + b"".join(lengths + texts)
