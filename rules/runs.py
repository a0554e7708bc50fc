"""runs: the hot path of the wire: many messages at once.

Nearly all that a busy daemon reads are SENDS, and nearly all that it says are MAILS.  This module
reads and writes these two layouts by hand; a test holds it to the table in wire.py, which is what
the protocol is.  Frames with consecutive ids and the same recipients are joined into a run, and
their texts are passed on as they came (net/bodies.py).  Whatever is not plainly a run, such as a
text with a line break, or a violation, takes the common way: wire.decode().
"""
from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from operator import itemgetter
from typing import NamedTuple

import wire
from net.bodies import BODY_MAX, COUNT, LENGTH, body_of, count_of, joined, lengths_of
from net.fields import READERS
from net.frames import HEAD
from rules.window import NAMED
from store.headings import is_room
from store.mail import WHOLE, Mail, singles
from wire import CODECS, TEXT_MAX, ProtocolError, SendFlag

SEND_HEAD = struct.Struct("!BQ")        # kind, id; then come the flags and the recipients
MAIL_HEAD = struct.Struct("!IBQQQBIB")  # length and kind, the fixed fields, length of the sender
SEND_TO = SEND_HEAD.size + 1            # where the recipients begin
assert (SEND_HEAD.size, MAIL_HEAD.size) == (9, 35)
RUN_MAX = 256                           # frames: longer runs gain nothing, and each is looked at
SPREAD = 5000                           # names up to which a message to all is put at once: 5 ms
COUNTER = 0xFFFFFFFF                    # the part of an id that counts
SPACE = b" "
SPACES = 8                              # to look for more in a row takes longer, if there are many
CONTROLS = bytes((*range(0x20), 0x7F))
READ_WORDS = READERS["words"]
SEND_KIND, MAIL_KIND = CODECS[wire.Sends].kind, CODECS[wire.Mails].kind
NAMED_KIND = CODECS[wire.MailsTo].kind
MAIL_FIXED = MAIL_HEAD.size - HEAD.size # what the length of a MAILS counts besides name and texts
OF_STREAMS = SendFlag.CHECK | SendFlag.COPY     # flags of a stream that its messages carry


class Run(NamedTuple):
    """Messages with consecutive ids and the same flags and recipients.  The texts in the body may
    be sent: see wire.flaw()."""
    first: int
    flags: int
    to: tuple[str, ...]
    messages: int
    body: bytes


def run_of_sends(frames: Sequence[bytes], start: int, most: int, users: int
                 ) -> tuple[Run, int] | None:
    """The run of messages that begins with this frame, and how many frames it takes.

    If it takes several frames, then at most `most` copies of messages; `users`: how many copies a
    message to everyone is.  The run ends before any frame that must take the common way; None: it
    is the first."""
    frame, messages, size, pack = frames[start], 0, 0, SEND_HEAD.pack
    bodies: list[bytes] = []
    try:
        _, first = SEND_HEAD.unpack_from(frame)
        to, end = READ_WORDS(frame, SEND_TO)
        same = frame[SEND_HEAD.size:end]
        copies = users if same[0] & SendFlag.EVERYONE else len(to) or 1
        most = max(1, min(most // copies, wire.COPIES_MAX)) if copies <= SPREAD else 1
        for frame in frames[start:start + min(most, RUN_MAX)]:
            if frame[:end] != pack(SEND_KIND, first + messages) + same:
                break
            body = frame[end:]
            more = plainly(body)
            if more != 1 and (not more
                              or flaw_of(first + messages, same[0], to, more, len(body))):
                break
            if bodies and (messages + more > most or size + len(body) > BODY_MAX
                           or (first + messages) & COUNTER == 0):
                break
            bodies.append(body)
            messages += more
            size += len(body)
    except (struct.error, IndexError, ProtocolError, UnicodeDecodeError):
        pass
    if not bodies:
        return None
    return Run(first, same[0], to, messages, joined(bodies)), len(bodies)


def plainly(body: bytes) -> int:
    """How many texts a body holds, if it can be seen quickly that all of them may be sent; else 0.

     0       2             8
    +-------+-------------+-----------------------+
    | count | the lengths | the texts, end to end |
    |   3   |  5   2   4  | h e l l o h i a l s o |
    +-------+-------------+-----------------------+
                  starts:   0         5   7

    Quickly: all texts are searched at once, as one string of bytes.  What would show only in each
    text by itself is ruled out in other ways:

      - An empty or overlong text shows in the lengths.
      - A text of spaces alone begins with a space, and is at least as many spaces in a row as the
        shortest text is long.  If both occur anywhere, one of them may be such a text.
      - A character that is cut in two by the end of a text: several texts have to be ASCII."""
    count = count_of(body)
    said = body[COUNT.size + LENGTH * count:]
    if count == 1:
        size = body[2] << 8 | body[3]
        return int(size == len(said) and 0 < size <= TEXT_MAX and _is_plain(said))
    if count > wire.COPIES_MAX:
        return 0
    lengths = lengths_of(body)
    if not lengths or not 0 < min(lengths) <= max(lengths) <= TEXT_MAX or sum(lengths) != len(said):
        return 0
    if SPACE * min(*lengths, SPACES) in said:
        starts = accumulate(lengths[:-1], initial=0)
        if SPACE[0] in itemgetter(*starts)(said):
            return 0
    return count if said.isascii() and _is_plain(said) else 0


def _is_plain(said: bytes) -> bool:
    """Whether these texts are printable, and not all spaces."""
    if said.isascii():          # bytes are searched in a quarter of the time that letters take
        return len(said.translate(None, CONTROLS)) == len(said) and not said.isspace()
    letters = said.decode()
    return letters.isprintable() and not letters.isspace()


def flaw_of(first: int, flags: int, to: Sequence[str], messages: int, size: int) -> str:
    """What is wrong with a SENDS of so many messages, whose body has this size in bytes; "" if
    nothing is."""
    if messages > 1 and flags & SendFlag.EVERYONE:
        return "several texts to everyone in one SENDS"
    if messages > 1 and (messages * (len(to) or 1) > wire.COPIES_MAX or size > BODY_MAX):
        return f"a SENDS of {messages} texts, {size} bytes, to {len(to)}: more than may be in one"
    if (first & COUNTER) + messages - 1 > COUNTER:
        return "a SENDS whose ids are of two instances"
    return ""


def _labelled(mail: Mail) -> Mail:
    """A line in a room for a reader that knows no rooms: `[#ops] text`, if it is not too long."""
    text, (room,) = mail.texts[0], READ_WORDS(mail.heading, 0)[0]
    text = b"[" + room.encode() + b"] " + text
    body = body_of([text]) if len(text) <= TEXT_MAX else body_of(mail.texts)
    return mail._replace(source=body, skip=WHOLE)


def mail_frames(mails: Iterable[Mail], flags: int, name_of: Callable[[int], bytes]) -> list[bytes]:
    """The frames of MAILS, or of MAILS_TO, that carry these runs to a stream with these flags;
    `name_of` a sender, by number."""
    frames, pack, fixed, flag = [], MAIL_HEAD.pack, MAIL_FIXED, flags & OF_STREAMS
    for mail in mails:
        id, _, time, sender, origin, asked, recipients, body, skip = mail
        name = name_of(sender)
        if skip != WHOLE:
            body = mail.body
            if not flags & NAMED and is_room(mail.heading):
                frames += mail_frames(map(_labelled, singles(mail)), flags, name_of)
                continue
            if flags & NAMED and mail.heading:
                body = mail.heading + body
                frames.append(pack(fixed + len(name) + len(body), NAMED_KIND, id, time, origin,
                                   asked | flag, recipients, len(name)) + name + body)
                continue
        frames.append(pack(fixed + len(name) + len(body), MAIL_KIND, id, time, origin, asked | flag,
                           recipients, len(name)) + name + body)
    return frames
