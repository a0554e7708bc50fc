"""runs: the hot path of the wire: many messages at once.

Nearly all that a busy daemon reads are SENDs, and nearly all that it says are MAILs.  These two layouts are read and
written by hand here, a run at a time; a test holds them to the table in wire.py, which is what the protocol is.  What
is not plainly a run, such as a message to other recipients, a line break in a text, or a violation, takes the common
way: wire.decode().

Paired, 50 senders with 32 messages each to 50 readers, the daemon's processor a message: 14 us by the table alone, 7.3
with these layouts a message at a time, 5.2 by runs.
"""
from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import wire
from wire import CODECS, LENGTH, TEXT_MAX, ProtocolError

SEND_HEAD = struct.Struct("!BQ")                # kind, id; then come the flags and the recipients
MAIL_HEAD = struct.Struct("!IBQQQBIB")          # length and kind, the fixed fields, the length of the sender
SEND_TO = SEND_HEAD.size + 1                    # where the recipients begin
assert (SEND_HEAD.size, MAIL_HEAD.size) == (9, 35)
RUN_MAX = 256                                   # longer ones gain nothing, and each looks at so many frames
READ_WORDS = wire.READERS["words"]
SEND_KIND, MAIL_KIND = CODECS[wire.Send].kind, CODECS[wire.Mail].kind


class Run(NamedTuple):
    """SENDs whose ids follow one upon the other, with the same flags and recipients.  The texts are UTF-8 that may be
    sent, see wire.flaw()."""
    first: int
    flags: int
    to: tuple[str, ...]
    texts: list[bytes]


def run_of_sends(frames: Sequence[bytes], start: int, most: int) -> Run | None:
    """The SENDs that are a run from here on, `most` and RUN_MAX at most.

    It stops before any other frame, also before one that breaks the protocol or holds more than plainly printable
    text: those take the common way."""
    frame, texts, pack = frames[start], [], SEND_HEAD.pack
    if frame[0] != SEND_KIND:
        return None
    try:
        _, first = SEND_HEAD.unpack_from(frame)
        to, end = READ_WORDS(frame, SEND_TO)
        same = frame[SEND_HEAD.size:end]
        for number, frame in enumerate(frames[start:start + min(most, RUN_MAX)], first):
            if frame[:end] != pack(SEND_KIND, number) + same:
                break
            text = frame[end:]
            said = text.decode()
            if not said.isprintable() or said.isspace() or not 0 < len(text) <= TEXT_MAX:
                break
            texts.append(text)
    except (struct.error, IndexError, ProtocolError, UnicodeDecodeError):
        pass
    return Run(first, same[0], to, texts) if texts else None


def mail_frames(mails: Iterable[tuple[int, int, int, int, int, int, bytes]], flag: int, name_of: Callable[[int], bytes]
                ) -> list[bytes]:
    """The frames of MAILs with a further flag, from what the mailbox keeps of each; `name_of` a sender, by number."""
    frames, pack, fixed, known, name = [], MAIL_HEAD.pack, MAIL_HEAD.size - LENGTH.size, -1, b""
    for number, time, sender, origin, flags, copies, text in mails:
        if sender != known:
            known, name = sender, name_of(sender)
        frames.append(pack(fixed + len(name) + len(text), MAIL_KIND, number, time, origin, flags | flag, copies,
                           len(name)) + name + text)
    return frames
