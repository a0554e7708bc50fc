"""runs: the hot path of the wire: many messages at once.

Nearly all that a busy daemon reads are SENDS, and nearly all that it says are MAILS.  These two layouts are read and
written by hand here; a test holds them to the table in wire.py, which is what the protocol is.  Frames that follow one
upon the other, to the same names, are put together, and their texts are passed on as they came (bodies.py).  What is
not plainly a run, such as a line break in a text, or a violation, takes the common way: wire.decode().
"""
from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from operator import itemgetter
from typing import NamedTuple

import wire
from net.bodies import BODY_MAX, COUNT, LENGTH, count_of, joined, lengths_of
from net.fields import READERS
from net.frames import HEAD
from wire import CODECS, TEXT_MAX, ProtocolError, SendFlag

SEND_HEAD = struct.Struct("!BQ")                # kind, id; then come the flags and the recipients
MAIL_HEAD = struct.Struct("!IBQQQBIB")          # length and kind, the fixed fields, the length of the sender
SEND_TO = SEND_HEAD.size + 1                    # where the recipients begin
assert (SEND_HEAD.size, MAIL_HEAD.size) == (9, 35)
RUN_MAX = 256                                   # frames: longer runs gain nothing, and each looks at so many
COUNTER = 0xFFFFFFFF                            # the part of an id that counts
SPACE = b" "
SPACES = 8                                      # to look for more of them at once takes longer, where there are many
CONTROLS = bytes((*range(0x20), 0x7F))
READ_WORDS = READERS["words"]
SEND_KIND, MAIL_KIND = CODECS[wire.Sends].kind, CODECS[wire.Mails].kind


class Run(NamedTuple):
    """Messages whose ids follow one upon the other, with the same flags and recipients.  The texts in the body may be
    sent, see wire.flaw()."""
    first: int
    flags: int
    to: tuple[str, ...]
    count: int          # type: ignore[assignment]  # hides the count() of tuples, which nobody needs
    body: bytes


def run_of_sends(frames: Sequence[bytes], start: int, most: int, users: int) -> tuple[Run, int] | None:
    """The run of messages from here on, and in how many frames it came.

    Of several frames `most` copies of messages at most; `users`: how many get one that is to everyone.  It stops
    before any other frame, also before one that breaks the protocol or holds more than plainly printable text: those
    take the common way."""
    frame, count, size, pack = frames[start], 0, 0, SEND_HEAD.pack
    bodies: list[bytes] = []
    try:
        _, first = SEND_HEAD.unpack_from(frame)
        to, end = READ_WORDS(frame, SEND_TO)
        same = frame[SEND_HEAD.size:end]
        most = max(1, min(most // (users if same[0] & SendFlag.EVERYONE else len(to) or 1), wire.COPIES_MAX))
        for frame in frames[start:start + min(most, RUN_MAX)]:
            if frame[:end] != pack(SEND_KIND, first + count) + same:
                break
            body = frame[end:]
            more = plainly(body)
            if more != 1 and (not more or flaw_of(first + count, same[0], to, more, len(body))):
                break
            if bodies and (count + more > most or size + len(body) > BODY_MAX or (first + count) & COUNTER == 0):
                break
            bodies.append(body)
            count += more
            size += len(body)
    except (struct.error, IndexError, ProtocolError, UnicodeDecodeError):
        pass
    return (Run(first, same[0], to, count, joined(bodies)), len(bodies)) if bodies else None


def plainly(body: bytes) -> int:
    """How many texts these are; 0 when it can't be seen quickly that all of them may be sent."""
    count = count_of(body)
    said = body[COUNT.size + LENGTH * count:]
    if count == 1:
        return int(body[2] << 8 | body[3] == len(said) and 0 < len(said) <= TEXT_MAX and _is_plain(said))
    if count > wire.COPIES_MAX:
        return 0
    lengths = lengths_of(body)
    if not lengths or not 0 < min(lengths) <= max(lengths) <= TEXT_MAX or sum(lengths) != len(said):
        return 0
    if SPACE * min(*lengths, SPACES) in said and SPACE[0] in itemgetter(*accumulate(lengths[:-1], initial=0))(said):
        return 0                            # one of them may be of spaces alone: it begins with one, and has so many
    return count if said.isascii() and _is_plain(said) else 0


def _is_plain(said: bytes) -> bool:
    if said.isascii():          # bytes are looked through in a quarter of the time that letters take
        return len(said.translate(None, CONTROLS)) == len(said) and not said.isspace()
    letters = said.decode()
    return letters.isprintable() and not letters.isspace()


def flaw_of(first: int, flags: int, to: Sequence[str], count: int, size: int) -> str:
    """What is wrong with a SENDS of so many texts, whose body has this size; "" for nothing."""
    if count > 1 and flags & SendFlag.EVERYONE:
        return "several texts to everyone in one SENDS"
    if count > 1 and (count * (len(to) or 1) > wire.COPIES_MAX or size > BODY_MAX):
        return f"a SENDS of {count} texts, {size} bytes, to {len(to)}: more than may be in one"
    if (first & COUNTER) + count - 1 > COUNTER:
        return "a SENDS whose ids are of two instances"
    return ""


def mail_frames(mails: Iterable[tuple[int, int, int, int, int, int, int, bytes]], flag: int,
                name_of: Callable[[int], bytes]) -> list[bytes]:
    """The frames of MAILS with a further flag, from what the mailbox keeps of each run; `name_of` a sender, by
    number."""
    frames, pack, fixed = [], MAIL_HEAD.pack, MAIL_HEAD.size - HEAD.size
    for id, _, time, sender, origin, flags, copies, body in mails:
        name = name_of(sender)
        frames.append(pack(fixed + len(name) + len(body), MAIL_KIND, id, time, origin, flags | flag, copies,
                           len(name)) + name + body)
    return frames
