"""codec: the table of messages, and the frames of messages and back.

wire.py declares the messages; the table is filled there, one row for each.  What a field is, and
how it is written, is in fields.py.
"""
from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from net import fields
from net.frames import FRAME_MAX, ProtocolError
from net.values import Direction

READERS, WRITERS = fields.READERS, fields.WRITERS       # one look-up less for each message

CLIENT, DAEMON, BOTH = Direction

Message = tuple[Any, ...]               # any of the NamedTuples in wire.py
M = TypeVar("M")


class Codec(NamedTuple):
    """One row of the table of messages: a message's number, direction and layout."""
    kind: int
    direction: Direction
    answer: str                         # the message that answers it, for the manual
    cls: type[Any]
    fields: tuple[tuple[str, str], ...] # the name and the format of each field (net/fields.py)
    head: struct.Struct                 # the fields of fixed size; they come first
    whole: struct.Struct                # length, kind and head: the whole frame if rest is empty
    length: int                         # bytes of the kind and the head
    fixed: int                          # the number of fields of fixed size
    rest: tuple[str, ...]               # the formats of the other fields, in order


MESSAGES: dict[int, Codec] = {}         # by number
CODECS: dict[type, Codec] = {}          # by class
# by class of a single message of a run: makes of it the message that holds several
SEVERAL: dict[type, Callable[..., Any]] = {}


def message(kind: int, direction: Direction, answer: str = "") -> Callable[[type[M]], type[M]]:
    """Enters a NamedTuple into the table of messages; fields of fixed size come first."""
    def enter(cls: type[M]) -> type[M]:
        named = tuple((name, hint.__metadata__[0]) for name, hint in cls.__annotations__.items())
        formats = [form for _, form in named]
        fixed = [form for form in formats if form in fields.FIXED]
        assert formats[:len(fixed)] == fixed and kind not in MESSAGES
        head, whole = (struct.Struct(begin + "".join(fixed)) for begin in ("!", "!IB"))
        MESSAGES[kind] = CODECS[cls] = Codec(kind, direction, answer, cls, named, head, whole,
                                             1 + head.size, len(fixed),
                                             tuple(formats[len(fixed):]))
        return cls
    return enter


# ---- messages and frames ----

def encode(said: Message) -> bytes:
    """The frame of a message, its length included.  Raises ValueError if it is too long."""
    codec = CODECS.get(type(said))
    if codec is None:
        return encode(SEVERAL[type(said)](said))
    if not codec.rest:
        return codec.whole.pack(codec.length, codec.kind, *said)
    rest = b"".join([WRITERS[form](value)
                     for form, value in zip(codec.rest, said[codec.fixed:])])   # noqa: B905 hot
    length = codec.length + len(rest)
    if length > FRAME_MAX:
        raise ValueError(f"a {name_of(said)} of {length} bytes is longer than a frame")
    return codec.whole.pack(length, codec.kind, *said[:codec.fixed]) + rest


def decode(frame: bytes, speaker: Direction) -> Any:
    """The message in a frame (without its length) that `speaker` sent.

    Raises ProtocolError for a kind that is unknown or that `speaker` may not send, and for fields
    that do not fill the frame exactly."""
    codec = MESSAGES.get(frame[0])
    if codec is None or not codec.direction & speaker:
        raise ProtocolError(f"no message of kind {frame[0]} is known here")
    try:
        values: tuple[Any, ...] = codec.head.unpack_from(frame, 1)
        at = codec.length
        for form in codec.rest:
            value, at = READERS[form](frame, at)
            values += value,
    except (struct.error, IndexError):
        raise ProtocolError(f"a {label(codec)} is cut short") from None
    except UnicodeDecodeError:
        raise ProtocolError(f"a {label(codec)} is not UTF-8") from None
    if at != len(frame):
        raise ProtocolError(f"a {label(codec)} has {len(frame) - at} bytes too many")
    return tuple.__new__(codec.cls, values)         # half the time of cls(*values)


# ---- for people ----

def label(codec: Codec) -> str:
    """The name of a kind of message in the manual: CALLED_OFF for CalledOff."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", codec.cls.__name__).upper()


def name_of(said: Message) -> str:
    """The name of a message's kind in the manual."""
    return label(CODECS[type(said)])


def describe(said: Message, with_text: bool = True) -> str:
    """A message as one line for the log: SAY request=7 chat=3 text="hi".

    Texts are quoted, tokens and keys left out, control characters escaped."""
    values = zip(CODECS[type(said)].fields, said, strict=True)
    shown = [f"{name}={fields.shown(form, value, with_text)}"
             for (name, form), value in values if form not in fields.KEYS]
    return " ".join([name_of(said), *shown])
