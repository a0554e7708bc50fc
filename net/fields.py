"""fields: how each kind of field of a message is read, written and shown in a log.

wire.py declares a field as NAME: TYPE, with one of the types below.  Each is an Annotated python
type whose second part says how the field is written: a struct code for a field of fixed size, or a
key of READERS and WRITERS.

A reader takes a frame and an offset, and returns the value and the offset behind it.  It may raise
IndexError, struct.error or UnicodeDecodeError, which wire.decode() turns into ProtocolError.
"""
from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Annotated, Any, NamedTuple

from net.bodies import body_of, count_of, is_whole, texts_of
from net.frames import ProtocolError

TEXTS_MAX = 1400        # in one frame: an empty text takes 2 bytes there and 100 in memory
LENGTH_BYTES = [bytes((length,)) for length in range(256)]
NAMED = 8               # names in a log line: of more, the first seven and how many others

FIXED = {"B", "H", "I", "Q", "16s", "32s"}      # the struct codes
KEYS = {"16s", "32s"}                           # tokens and keys, which no log shows
U8 = Annotated[int, "B"]
U16 = Annotated[int, "H"]
U32 = Annotated[int, "I"]
U64 = Annotated[int, "Q"]
Key16 = Annotated[bytes, "16s"]
Key32 = Annotated[bytes, "32s"]
Word = Annotated[str, "word"]
Words = Annotated[tuple[str, ...], "words"]
Text = Annotated[str, "text"]
Texts = Annotated[tuple[str, ...], "texts"]


class Entry(NamedTuple):
    """One name of the log, as a client sees it."""
    name: str
    state: int          # a Presence
    holding: int        # 1: new messages wait for CHECK
    since: int          # microseconds since 1970: start of this state; for AWAY, when last seen
    chat: int           # the chat's number, 0 for none: names with the same number chat together


Entries = Annotated[tuple[Entry, ...], "entries"]
ENTRY = struct.Struct("!BBQI")
assert ENTRY.size == 14


class RoomEntry(NamedTuple):
    """One room, as a client sees it."""
    name: str
    admission: int      # an Admission
    part: int           # a Part: what the client's user is there
    members: int
    here: int           # of them, connected
    topic: str          # in one line; may be empty


RoomEntries = Annotated[tuple[RoomEntry, ...], "rooms"]
ROOM_ENTRY = struct.Struct("!BBII")
assert ROOM_ENTRY.size == 10


# ---- reading ----

def _read_word(frame: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + frame[at]
    if end > len(frame):
        raise ProtocolError("a word runs past its frame")
    return frame[at + 1:end].decode(), end


def _read_words(frame: bytes, at: int) -> tuple[tuple[str, ...], int]:
    (size,) = struct.unpack_from("!H", frame, at)
    at += 2
    words = []
    for _ in range(size):
        word, at = _read_word(frame, at)
        words.append(word)
    return tuple(words), at


def _read_text(frame: bytes, at: int) -> tuple[str, int]:
    return frame[at:].decode(), len(frame)


def _read_texts(frame: bytes, at: int) -> tuple[tuple[str, ...], int]:
    body = frame[at:]
    if len(body) > 1 and count_of(body) > TEXTS_MAX:        # before anything is made of them
        raise ProtocolError(f"{count_of(body)} texts in one frame; {TEXTS_MAX} are allowed")
    if not is_whole(body):
        raise ProtocolError("texts that are not as long as their head says")
    return tuple([text.decode() for text in texts_of(body)]), len(frame)


def _read_entries(frame: bytes, at: int) -> tuple[tuple[Entry, ...], int]:
    (size,) = struct.unpack_from("!H", frame, at)
    at += 2
    entries = []
    for _ in range(size):
        name, at = _read_word(frame, at)
        entries.append(Entry(name, *ENTRY.unpack_from(frame, at)))
        at += ENTRY.size
    return tuple(entries), at


def _read_rooms(frame: bytes, at: int) -> tuple[tuple[RoomEntry, ...], int]:
    (size,) = struct.unpack_from("!H", frame, at)
    at += 2
    rooms = []
    for _ in range(size):
        name, at = _read_word(frame, at)
        admission, part, members, here = ROOM_ENTRY.unpack_from(frame, at)
        topic, at = _read_word(frame, at + ROOM_ENTRY.size)
        rooms.append(RoomEntry(name, admission, part, members, here, topic))
    return tuple(rooms), at


READERS: dict[str, Callable[[bytes, int], tuple[Any, int]]] = {
    "word": _read_word, "words": _read_words, "text": _read_text, "texts": _read_texts,
    "entries": _read_entries, "rooms": _read_rooms}


# ---- writing ----

def _write_word(word: str) -> bytes:
    raw = word.encode()
    return bytes((len(raw),)) + raw


def _write_words(words: Sequence[str]) -> bytes:
    raws = [word.encode() for word in words]        # by thousands: half the time of _write_word
    lengths = map(LENGTH_BYTES.__getitem__, bytes(map(len, raws)))
    return struct.pack("!H", len(words)) + b"".join(
        chain.from_iterable(zip(lengths, raws, strict=True)))


def _write_texts(texts: Sequence[str]) -> bytes:
    return body_of([text.encode() for text in texts])


def _write_entries(entries: Sequence[Entry]) -> bytes:
    rows = [_write_word(entry.name) + ENTRY.pack(*entry[1:]) for entry in entries]
    return struct.pack("!H", len(entries)) + b"".join(rows)


def _write_rooms(rooms: Sequence[RoomEntry]) -> bytes:
    rows = [_write_word(room.name) + ROOM_ENTRY.pack(*room[1:5]) + _write_word(room.topic)
            for room in rooms]
    return struct.pack("!H", len(rooms)) + b"".join(rows)


WRITERS: dict[str, Callable[[Any], bytes]] = {
    "word": _write_word, "words": _write_words, "text": str.encode, "texts": _write_texts,
    "entries": _write_entries, "rooms": _write_rooms}


# ---- showing ----

def shown(how: str, value: Any, with_text: bool) -> str:
    """A field's value in a log line: ASCII, without spaces outside of quotes.

    `with_text`: without it only the size of a text is shown."""
    if how == "text":
        return quote(value) if with_text else f"{len(value.encode())}b"
    if how == "texts":
        return some(value, quoted=quote) if with_text else str(len(value))
    if how == "words":
        return some(value, quoted=quote)
    if how in ("entries", "rooms"):
        return str(len(value))
    return quote(value) if how == "word" else str(value)


def some(names: Sequence[str], between: str = ",", quoted: Callable[[str], str] = str,
         of: int = 0) -> str:
    """Names for a line that people read: a few in full; of many, the first and how many others.
    `of`: how many there are, if these are only the first, NAMED at least."""
    of = of or len(names)
    if of <= NAMED:
        return between.join(map(quoted, names))
    first = between.join(map(quoted, names[:NAMED - 1]))
    return f"{first} and {of - NAMED + 1} more"


def quote(text: str) -> str:
    """A value for key=value, in ASCII: bare where that is clear, else quoted and escaped."""
    if re.fullmatch(r"[A-Za-z0-9._:/@+-]+", text):
        return text
    return '"' + text.encode("unicode_escape").decode().replace('"', '\\"') + '"'
