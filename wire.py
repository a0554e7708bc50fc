"""wire: bytes and messages.

The protocol on one page
------------------------
Both sides send frames over any stream (Unix socket, TCP, one end of a socketpair):

     0               4       5
    +---------------+-------+----------------------------+
    |  length u32   | kind  |  fields, `length` - 1 bytes |
    +---------------+-------+----------------------------+

All integers are big-endian.  `length` counts the kind and the fields; it is 1 at least and 64 KiB at most, and 1 KiB
at most until the daemon has said WELCOME.  A `word` is a byte of length and that many bytes of UTF-8; `words` are a
u16 of how many and so many words; `text` is the rest of the frame, UTF-8, and always the last field; so are `texts`,
the u16 of how many there are, so many u16 of their lengths, and then the texts themselves (bodies.py).

    client                                        daemon
    HELLO name, features, token  -->
                                 <--  CHALLENGE salt, nonce             only when the name is kept for somebody
    PROOF nonce, proof           -->
                                 <--  VERIFIED signature
                                 <--  WELCOME token, store, waiting     or REJECTED why, and the line is closed
    SENDS first, to, texts       -->                                    messages to the same names: first, first + 1...
                                 <--  STORED first..last                on disk: survives kill -9 and a power cut
                                 <--  OUTCOMES first..last, outcome, names      those of them who are not reading now
                                 <--  DELIVERED first..last, by         their client confirmed that it was shown
                                      or REFUSED id, why                nothing was stored
                                 <--  MAILS first, sender, texts        live, or the answer to CHECK
    CONFIRM first..last          -->                                    shown, and kept: the daemon may forget it
                                 <--  CONFIRMED first..last             durably forgotten: it never comes again
    CHECK request                -->
                                 <--  MAILS ... CHECKED request, total
    HOLD request, on             -->                                    new messages wait for CHECK: DONE
    IGNORE request, on, name     -->                                    keep this user's messages from me: DONE
    LIST_IGNORED request         -->
                                 <--  IGNORED names
                                 <--  WAITING total                     whenever it changes: what a CHECK would bring
    LIST request                 -->                                    ROSTER, the log of names, also at login
                                 <--  ROSTER rows                       and what changes in it
    INVITE request, names        -->
                                 <--  INVITING request, invitation      the others get INVITATION and ANSWER it
                                 <--  ANSWERED, then STARTED chat or CALLED_OFF why     WITHDRAW takes it back
    SAY request, chat, text      -->                                    the others get LINE; the text "Quit" leaves
                                 <--  LEFT, ENDED
    CLAIM request, verifier      -->                                    from now on the name takes a passphrase: DONE
    UNCLAIM request              -->                                    no more: DONE
    EXIT                         -->                                    all is answered, then the line is closed
    PING, answered by PONG, and NOTICE, a word to the user, may come from the daemon at any time

Ids.  A message carries its sender's own id, an instance number of 32 random bits above a counter of 32 bits that only
grows.  Sending the same id again is harmless, also on another connection and after a restart of the daemon: the
answer is STORED and nothing is stored twice.  For its reader it carries the daemon's id, which only grows, and the
sender's as `origin`.  Of several messages in one frame the first id is told, and the others follow one upon the other:
whoever has several for the same names may put them into one SENDS, texts times names COPIES_MAX at most, and one alone
to everyone.  What is asked with a `request` number is answered with the same number, by the answer named in
MESSAGES or by FAILED.  STORED, OUTCOMES, DELIVERED, CONFIRM and CONFIRMED speak of ranges: one frame settles many.

A range in CONFIRM means: every message of mine from `first` to `last` was shown.  Live messages arrive in the order
of their ids, and so do those of one CHECK (a flag tells them apart); a client confirms runs of either, never a range
that spans both, nor one that spans a HOLD: what came while it held waits for CHECK.  STORED comes before the OUTCOMES
of the same message.

Ghosts.  What a client said may be heard after it hung up: then a session of its own has the name that it asks for
again.  So before it was given a token it puts 16 random bytes of its own into HELLO, the same in each try.  A session
ends for the client that brings the token which was given to it, or which it brought itself; the name's own conditions
come first.

Text is UTF-8 without control characters but newline and tab, 16 KiB at most.  The receiver still treats it as hostile
(display.py): the wire keeps out what has no meaning, the screen what has too much.

Versions.  HELLO and WELCOME carry a version; a daemon that does not speak it says REJECTED and names its own.  A
feature that one side does not know is a bit that it leaves 0.  A kind that is not in MESSAGES ends the connection.

Failure.  Every violation raises ProtocolError with one line of reason.  Nothing is allocated by a declared length:
buffers grow only by what arrived, and the limit is checked here and nowhere else.
"""
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import Annotated, Any, NamedTuple, TypeVar, get_type_hints

from net.bodies import body_of, count_of, is_whole, texts_of

VERSION = 1

# Limits, each with its reason.
FRAME_MAX = 65536       # room for the longest text and some 1,400 of the longest names beside it
HELLO_MAX = 1024        # a stranger may make us hold this much and no more
TEXT_MAX = 16384        # bytes of UTF-8: a long page; more is a file, and parley moves none
NAME_MAX = 32           # characters; fits a column of the table
NAMED = 8               # names in a line for the log: of more, one fewer and how many others
NAMES_MAX = 1400        # recipients named in one SENDS: the longest names still fit a frame beside the longest text
LOG_MAX = 1_000_000     # names in the log, for both programs: 300 MB and a start of some seconds in the daemon, 360 MB
                        # and a login of 8 s in a client
COPIES_MAX = NAMES_MAX  # texts times recipients of one SENDS: one frame is not more work than another.  And texts of
                        # any frame: an empty one takes two bytes there, and a hundred in memory

LENGTH = struct.Struct("!I")
assert LENGTH.size == 4

NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{NAME_MAX - 1}}}")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class ProtocolError(Exception):
    """The peer broke the protocol: it is told why, once, and the connection is closed."""


class Direction(IntEnum):
    """Who says it."""
    CLIENT = 1
    DAEMON = 2
    BOTH = 3


class Feature:                  # plain numbers: to look at a bit of an IntFlag takes a microsecond
    """Bits.  What a client asks for in HELLO; the daemon answers with those it grants."""
    ROSTER = 1          # the log of names at login, and its changes from then on
    RECEIPTS = 2        # DELIVERED
    HOLD = 4            # start holding: new messages wait for CHECK
    PROVE = 8           # CHALLENGE is understood; CLAIM and UNCLAIM may be said
    IGNORE = 64         # IGNORE and LIST_IGNORED are known


class SendFlag:
    """Bits.  In SENDS, what the sender asks for; in MAILS, what he asked for, and why it comes now."""
    NOW = 1             # now or never: nothing is stored for those who are not connected
    EVERYONE = 2        # to every name in the log but one's own; `to` is empty
    CHECK = 4           # in MAILS alone: it answers a CHECK; without it, it came live


class Presence(IntEnum):
    """The state of a name in the roster."""
    AWAY = 0            # not connected
    AVAILABLE = 1
    BUSY = 2            # in the chat whose number stands beside it


class Outcome(IntEnum):
    """What became of a message for the recipients who are not reading now."""
    HOLDING = 1         # connected, but holds: waits in the mailbox until checked
    AWAY = 2            # not connected: kept in the mailbox until checked
    ABSENT = 3          # not connected, and it was now or never: not delivered, nothing stored
    FULL = 4            # the mailbox is full: not delivered, nothing stored


class Why(IntEnum):
    """Why something was rejected, refused, called off or ended."""
    OTHER = 0
    TAKEN = 1           # the name is in use
    BAD_NAME = 2
    VERSION = 3
    FULL = 4            # no room: on the disk, among the clients, in a mailbox
    UNKNOWN = 5         # no such name, invitation or chat
    EMPTY = 6           # an empty text, no recipients
    BAD_TEXT = 7        # control characters, or longer than TEXT_MAX
    BUSY = 8            # they, or you, are chatting or about to
    DENIED = 9          # an invited user said no
    WITHDRAWN = 10      # the inviter, or a user who had accepted, took it back
    EXPIRED = 11
    GONE = 12           # disconnected
    QUIT = 13           # said Quit
    SLOW = 14           # did not read for so long that chat lines had to be dropped


# How each kind of field is written: NAME = Annotated[python type, how].  "B H I Q 16s 32s" are struct codes.
FIXED = {"B", "H", "I", "Q", "16s", "32s"}
KEYS = {"16s", "32s"}           # what is left out of the log
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
    since: int          # microseconds since 1970: of this state, or last seen
    chat: int           # the chat's number, 0 for none: names with the same number are chatting with each other


Entries = Annotated[tuple[Entry, ...], "entries"]
ENTRY = struct.Struct("!BBQI")
assert ENTRY.size == 14


Message = tuple[Any, ...]               # any of the NamedTuples below
M = TypeVar("M")


class Codec(NamedTuple):
    """One row of the table of messages: a message's number, direction and layout."""
    kind: int
    direction: Direction
    answer: str                         # the message that answers it, for the manual
    cls: type[Any]
    fields: tuple[tuple[str, str], ...] # the name of each, and how it is written
    head: struct.Struct                 # the fields of fixed size; they come first
    whole: struct.Struct                # length, kind and those: all of a frame that has no others
    length: int                         # of such a frame: the kind and those
    fixed: int                          # how many
    rest: tuple[str, ...]               # the kinds of the others, in order


MESSAGES: dict[int, Codec] = {}         # by number
CODECS: dict[type, Codec] = {}          # by class


def message(kind: int, direction: Direction, answer: str = "") -> Callable[[type[M]], type[M]]:
    """Enter a NamedTuple into the table of messages."""
    def enter(cls: type[M]) -> type[M]:
        hints = get_type_hints(cls, include_extras=True)
        fields = tuple((name, hint.__metadata__[0]) for name, hint in hints.items())
        hows = [how for _, how in fields]
        fixed = [how for how in hows if how in FIXED]
        assert hows[:len(fixed)] == fixed and kind not in MESSAGES
        head, rest = struct.Struct("!" + "".join(fixed)), tuple(hows[len(fixed):])
        codec = Codec(kind, direction, answer, cls, fields, head, struct.Struct("!IB" + head.format[1:]),
                      1 + head.size, len(fixed), rest)
        MESSAGES[kind] = CODECS[cls] = codec
        return cls
    return enter


CLIENT, DAEMON, BOTH = Direction


# ---- the table of messages ----

@message(1, CLIENT, "WELCOME")
class Hello(NamedTuple):
    """The first message: who I am.  The token takes over one's own dead session."""
    version: U16
    features: U32       # Feature
    token: Key16        # of the last WELCOME; before one, 16 random bytes, the same in each try; 16 zeros: none
    name: Word


@message(2, CLIENT, "STORED")
class Sends(NamedTuple):
    """Put these texts into the queue of each recipient."""
    first: U64          # instance << 32 | counter
    flags: U8           # SendFlag
    to: Words
    texts: Texts


@message(3, CLIENT, "CONFIRMED")
class Confirm(NamedTuple):
    """All messages to me with these ids were shown, and kept where the user wants them kept."""
    first: U64
    last: U64


@message(4, CLIENT, "CHECKED")
class Check(NamedTuple):
    """Send me what waits in my queue, oldest first."""
    request: U32


@message(5, CLIENT, "DONE")
class Hold(NamedTuple):
    """1: let new messages wait until I check; 0: show them as they come."""
    request: U32
    on: U8


@message(6, CLIENT, "ROSTER")
class List(NamedTuple):
    """Send me the log of names as it is now."""
    request: U32


@message(7, CLIENT, "INVITING")
class Invite(NamedTuple):
    """Invite one user to a chat, or several to a group chat."""
    request: U32
    to: Words


@message(8, CLIENT, "STARTED")
class Answer(NamedTuple):
    """Accept (1) or deny (0) an invitation."""
    invitation: U32
    accept: U8


@message(9, CLIENT, "CALLED_OFF")
class Withdraw(NamedTuple):
    """Take back my invitation, or my acceptance of one that has not started."""
    invitation: U32


@message(10, CLIENT, "LINE")
class Say(NamedTuple):
    """A line to the others in my chat; the text "Quit", in any case, leaves it."""
    request: U32
    chat: U32
    text: Text


@message(11, CLIENT)
class Exit(NamedTuple):
    """Goodbye: remove me from the users; the daemon closes the line."""


@message(12, BOTH, "PONG")
class Ping(NamedTuple):
    """Are you there?"""
    stamp: U64


@message(13, BOTH)
class Pong(NamedTuple):
    """I am."""
    stamp: U64


@message(20, CLIENT, "DONE")
class Ignore(NamedTuple):
    """1: keep away from me what this user sends, from now on; 0: no longer."""
    request: U32
    on: U8
    name: Word


@message(21, CLIENT, "IGNORED")
class ListIgnored(NamedTuple):
    """Tell me whom I ignore."""
    request: U32


@message(22, CLIENT, "WELCOME")
class Proof(NamedTuple):
    """The answer to CHALLENGE: I know the passphrase (SCRAM-SHA-256)."""
    nonce: Key16
    proof: Key32


@message(23, CLIENT, "DONE")
class Claim(NamedTuple):
    """From now on who wants to be me, elsewhere than at my own login, has to know a passphrase."""
    request: U32
    iterations: U32
    salt: Key16
    stored: Key32       # StoredKey and ServerKey of RFC 5802
    server: Key32


@message(24, CLIENT, "DONE")
class Unclaim(NamedTuple):
    """No more."""
    request: U32


@message(32, DAEMON)
class Welcome(NamedTuple):
    """You are connected and registered; the name is durable."""
    version: U16
    features: U32
    token: Key16
    store: Key16        # the store's own number: ids of another store mean nothing here
    time: U64           # microseconds since 1970, the daemon's
    waiting: U32        # messages that a CHECK would bring
    name: Word          # as first registered
    house: Word         # what the daemon calls itself


@message(33, DAEMON)
class Rejected(NamedTuple):
    """You are not connected, and why; the daemon closes the line."""
    why: U8
    reason: Text


@message(34, DAEMON)
class Stored(NamedTuple):
    """These of your messages are on disk, and on their way to recipients that no OUTCOMES names.  A copy of one that
    was stored before is answered by this alone."""
    first: U64
    last: U64


@message(35, DAEMON)
class Outcomes(NamedTuple):
    """What became of your messages with these ids for these recipients."""
    first: U64
    last: U64
    outcome: U8         # Outcome
    to: Words


@message(36, DAEMON)
class Refused(NamedTuple):
    """Your message was not stored for anybody."""
    id: U64
    why: U8
    reason: Text


@message(37, DAEMON)
class Delivered(NamedTuple):
    """All your messages to this recipient with these ids were shown; ids of another instance are another program's."""
    first: U64
    last: U64
    by: Word


@message(38, DAEMON)
class Mails(NamedTuple):
    """Messages for you."""
    first: U64
    time: U64           # of their reception by the daemon, microseconds since 1970
    origin: U64         # the sender's id: with the sender's name the same for each copy that ever comes
    flags: U8           # SendFlag
    copies: U32         # how many recipients each has
    sender: Word
    texts: Texts


@message(39, DAEMON)
class Confirmed(NamedTuple):
    """The daemon has durably forgotten these: they never come again."""
    first: U64
    last: U64


@message(40, DAEMON)
class Checked(NamedTuple):
    """The end of a check; a total of 0 says: no messages available."""
    request: U32
    total: U32


@message(41, DAEMON)
class Waiting(NamedTuple):
    """So many messages would a CHECK bring now."""
    total: U32


@message(42, DAEMON)
class Roster(NamedTuple):
    """Names of the log.  Request 0: changes, or the log at login; `last` 0 says that more follow."""
    request: U32
    last: U8
    entries: Entries


@message(43, DAEMON)
class Invitation(NamedTuple):
    """You are invited to a chat with these."""
    invitation: U32
    seconds: U16        # until it expires
    sender: Word
    members: Words      # all of them, inviter and you included


@message(44, DAEMON)
class Inviting(NamedTuple):
    """Your invitation is out."""
    request: U32
    invitation: U32
    seconds: U16
    members: Words


@message(45, DAEMON)
class Answered(NamedTuple):
    """One of the invited has accepted; the others are still asked."""
    invitation: U32
    by: Word


@message(46, DAEMON)
class CalledOff(NamedTuple):
    """An invitation is over without a chat, because of whom and why."""
    invitation: U32
    why: U8
    by: Word


@message(47, DAEMON)
class Started(NamedTuple):
    """A chat session is established; Quit ends it."""
    chat: U32
    invitation: U32
    members: Words


@message(48, DAEMON)
class Left(NamedTuple):
    """One left a group chat that goes on."""
    chat: U32
    why: U8
    by: Word


@message(49, DAEMON)
class Ended(NamedTuple):
    """The chat session ended."""
    chat: U32
    why: U8
    by: Word


@message(50, DAEMON)
class Line(NamedTuple):
    """A line of a chat."""
    chat: U32
    time: U64
    sender: Word
    text: Text


@message(51, DAEMON)
class Done(NamedTuple):
    """What you asked for is done."""
    request: U32


@message(52, DAEMON)
class Failed(NamedTuple):
    """What you asked for can't be done."""
    request: U32
    why: U8
    reason: Text


@message(53, DAEMON)
class Notice(NamedTuple):
    """A word from the daemon to its users."""
    text: Text


@message(60, DAEMON)
class Ignored(NamedTuple):
    """These you ignore."""
    request: U32
    to: Words


@message(61, DAEMON)
class Challenge(NamedTuple):
    """That name is kept for somebody: prove that it is you."""
    iterations: U32
    salt: Key16
    nonce: Key16


@message(62, DAEMON)
class Verified(NamedTuple):
    """The proof is right, and this is mine; WELCOME or REJECTED follows."""
    signature: Key32


# ---- single messages ----

class Send(NamedTuple):
    """One message of a SENDS."""
    id: int
    flags: int
    to: tuple[str, ...]
    text: str


class Mail(NamedTuple):
    """One message of a MAILS."""
    id: int
    time: int
    origin: int
    flags: int
    copies: int
    sender: str
    text: str


SEVERAL: dict[type, Callable[..., Any]] = {Send: Sends, Mail: Mails}


def each(said: Any) -> list[Any]:
    """The single messages of a SENDS or MAILS; any other is one."""
    if type(said) is Mails:
        return [Mail(said.first + n, said.time, said.origin + n, *said[3:6], text) for n, text in enumerate(said.texts)]
    if type(said) is Sends:
        return [Send(said.first + n, said.flags, said.to, text) for n, text in enumerate(said.texts)]
    return [said]


# ---- fields ----

def _read_word(frame: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + frame[at]
    if end > len(frame):
        raise ProtocolError("a word runs past its frame")
    return frame[at + 1:end].decode(), end


def _read_words(frame: bytes, at: int) -> tuple[tuple[str, ...], int]:
    (count,) = struct.unpack_from("!H", frame, at)
    at += 2
    words = []
    for _ in range(count):
        word, at = _read_word(frame, at)
        words.append(word)
    return tuple(words), at


def _read_text(frame: bytes, at: int) -> tuple[str, int]:
    return frame[at:].decode(), len(frame)


def _read_texts(frame: bytes, at: int) -> tuple[tuple[str, ...], int]:
    body = frame[at:]
    if len(body) > 1 and count_of(body) > COPIES_MAX:       # before anything is made of them
        raise ProtocolError(f"{count_of(body)} texts in one frame; {COPIES_MAX} are allowed")
    if not is_whole(body):
        raise ProtocolError("texts that are not as long as their head says")
    return tuple([text.decode() for text in texts_of(body)]), len(frame)


def _read_entries(frame: bytes, at: int) -> tuple[tuple[Entry, ...], int]:
    (count,) = struct.unpack_from("!H", frame, at)
    at += 2
    entries = []
    for _ in range(count):
        name, at = _read_word(frame, at)
        entries.append(Entry(name, *ENTRY.unpack_from(frame, at)))
        at += ENTRY.size
    return tuple(entries), at


def _write_word(word: str) -> bytes:
    raw = word.encode()
    return bytes((len(raw),)) + raw


def _write_words(words: Sequence[str]) -> bytes:
    return struct.pack("!H", len(words)) + b"".join(map(_write_word, words))


def _write_texts(texts: Sequence[str]) -> bytes:
    return body_of([text.encode() for text in texts])


def _write_entries(entries: Sequence[Entry]) -> bytes:
    return struct.pack("!H", len(entries)) + b"".join(_write_word(e.name) + ENTRY.pack(*e[1:]) for e in entries)


READERS: dict[str, Callable[[bytes, int], tuple[Any, int]]] = {
    "word": _read_word, "words": _read_words, "text": _read_text, "texts": _read_texts,
    "entries": _read_entries}
WRITERS: dict[str, Callable[[Any], bytes]] = {
    "word": _write_word, "words": _write_words, "text": str.encode, "texts": _write_texts,
    "entries": _write_entries}


# ---- messages and frames ----

def encode(said: Message) -> bytes:
    """The whole frame of a message.  A message too long for a frame is the caller's fault: ValueError."""
    codec = CODECS.get(type(said))
    if codec is None:
        return encode(SEVERAL[type(said)](*said[:-1], said[-1:]))
    if not codec.rest:
        return codec.whole.pack(codec.length, codec.kind, *said)
    more = b"".join([WRITERS[how](value) for how, value in zip(codec.rest, said[codec.fixed:])])  # noqa: B905 hot
    length = codec.length + len(more)
    if length > FRAME_MAX:
        raise ValueError(f"a {name_of(said)} of {length} bytes is longer than a frame")
    return codec.whole.pack(length, codec.kind, *said[:codec.fixed]) + more


def decode(frame: bytes, speaker: Direction) -> Any:
    """The message in a frame (without its length) that this side may say.

    Raises ProtocolError for an unknown kind, one of the other side's, or fields that do not fit."""
    codec = MESSAGES.get(frame[0])
    if codec is None or not codec.direction & speaker:
        raise ProtocolError(f"no message of kind {frame[0]} is known here")
    try:
        values: tuple[Any, ...] = codec.head.unpack_from(frame, 1)
        at = codec.length
        for how in codec.rest:
            value, at = READERS[how](frame, at)
            values += value,
    except (struct.error, IndexError):
        raise ProtocolError(f"a {label(codec)} is cut short") from None
    except UnicodeDecodeError:
        raise ProtocolError(f"a {label(codec)} is not UTF-8") from None
    if at != len(frame):
        raise ProtocolError(f"a {label(codec)} has {len(frame) - at} bytes too many")
    return tuple.__new__(codec.cls, values)         # half the time of cls(*values)


class Decoder:
    """Turns a stream of bytes, however cut, into frames.  `fault`: a length broke the limit, it can't go on.

    The limit that counts is the one at the moment a frame is split off.  What stands behind a frame that breaks it is
    kept, so widen() holds for the bytes that came already: split(b"") has their frames."""
    __slots__ = ("_need", "_rest", "fault", "limit")

    def __init__(self, limit: int = HELLO_MAX) -> None:
        self.limit = limit              # longest frame accepted; widen() raises it to FRAME_MAX at login
        self.fault = ""
        self._rest: bytes | bytearray = b""     # what arrived of a frame that is not whole yet
        self._need = 4                  # how many bytes it takes to go on

    def split(self, data: bytes) -> list[bytes]:
        """The whole frames (without their lengths) that these bytes complete, up to a length that breaks the limit."""
        if not self._rest and 4 < len(data) == LENGTH.unpack_from(data)[0] + 4 <= self.limit:
            return [data[4:]]           # one whole frame, as people send them
        if self._rest:
            self._rest += data          # a bytearray: no copy
            if len(self._rest) < self._need:
                return []
            data, self._rest = bytes(self._rest), b""
        frames: list[bytes] = []
        at, end, limit, unpack = 0, len(data), self.limit, LENGTH.unpack_from
        while end - at >= 4:
            (length,) = unpack(data, at)
            if not 1 <= length <= limit:
                self.fault = f"a frame of {length} bytes; 1 to {limit} are allowed"
                break
            stop = at + 4 + length
            if stop > end:
                break
            frames.append(data[at + 4:stop])
            at = stop
        if at < end:
            self._rest = bytearray(data[at:])
            self._need = 4 + LENGTH.unpack_from(data, at)[0] if end - at >= 4 and not self.fault else 4
        return frames

    def widen(self, limit: int) -> None:
        """From here on frames may be longer, those too that came already and are not split off."""
        self.limit, self.fault = limit, ""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The same one by one, also when one of them widens the limit for those behind it; raises ProtocolError after
        the last when a length breaks the limit."""
        frames = self.split(data)
        while frames:
            yield from frames
            frames = self.split(b"")
        if self.fault:
            raise ProtocolError(self.fault)

    @property
    def held(self) -> int:
        """How many bytes of an unfinished frame are held."""
        return len(self._rest)


# ---- for people ----

def label(codec: Codec) -> str:
    """A message's name in the manual: CALLED_OFF for CalledOff."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", codec.cls.__name__).upper()


def name_of(said: Message) -> str:
    """The same, of a message."""
    return label(CODECS[type(said)])


def describe(said: Message, with_text: bool = True) -> str:
    """A message as one line for the log: SAY request=7 chat=3 text="hi".

    Text is quoted, a token or store number is left out, control characters are escaped."""
    def shown(field: str, how: str, value: Any) -> str:
        if how == "text":
            return f"{field}={quote(value)}" if with_text else f"{field}={len(value.encode())}b"
        if how == "texts":
            return f"{field}={some(value, quoted=quote) if with_text else len(value)}"
        if how == "words":
            return f"{field}={some(value, quoted=quote)}"
        if how == "entries":
            return f"{field}={len(value)}"
        return f"{field}={quote(value) if how == 'word' else value}"

    fields = zip(CODECS[type(said)].fields, said, strict=True)
    return " ".join([name_of(said), *(shown(*field, value) for field, value in fields if field[1] not in KEYS)])


def some(names: Sequence[str], between: str = ",", quoted: Callable[[str], str] = str) -> str:
    """Names for a line that somebody reads: all of a few, of more the first and how many others there are."""
    if len(names) <= NAMED:
        return between.join(map(quoted, names))
    return f"{between.join(map(quoted, names[:NAMED - 1]))} and {len(names) - NAMED + 1} more"


def quote(text: str) -> str:
    """A value for key=value: as it is where that is clear, else in double quotes with escapes, ASCII alone."""
    if re.fullmatch(r"[A-Za-z0-9._:/@+-]+", text):
        return text
    return '"' + text.encode("unicode_escape").decode().replace('"', '\\"') + '"'


def is_name(text: str) -> bool:
    """Whether a text may be a username; look-alike letters are why names are ASCII."""
    return NAME.fullmatch(text) is not None


def flaw(text: str) -> tuple[Why, str] | None:
    """Why a text may not be sent, or None."""
    if len(text) <= TEXT_MAX // 4 and text.isprintable() and not text.isspace() and text:
        return None                     # nearly every text there is
    if not text or text.isspace():
        return Why.EMPTY, "an empty message is not sent: type a text first"
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return Why.BAD_TEXT, "the message holds half a character that can't be sent"
    if size > TEXT_MAX:
        return Why.BAD_TEXT, f"a message has at most {TEXT_MAX} bytes: send it in parts"
    if not text.isprintable() and CONTROL.search(text):
        return Why.BAD_TEXT, "a message may hold no control characters but newline and tab"
    return None
