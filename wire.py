"""wire: the protocol between client and daemon, and its messages (their bytes: net/codec.py).

The protocol on one page
------------------------
Both sides send frames over any stream (Unix socket, TCP, one end of a socketpair):

     0               4       5
    +---------------+-------+----------------------------+
    |  length u32   | kind  |  fields, `length` - 1 bytes |
    +---------------+-------+----------------------------+

All integers are big-endian.  `length` counts the kind and the fields; it is at least 1, at most
64 KiB, and at most 1 KiB until the daemon has sent WELCOME.  A `word` is a byte of length and that
many bytes of UTF-8.  `words` are a u16 count and that many words.  `text` is the rest of the frame,
in UTF-8.  `texts` are a u16 count, the length of each text as a u16, then the texts themselves
(net/bodies.py).  `text` and `texts` are always the last field.

    client                                 daemon
    HELLO name, features, token -->
                                <-- BINDING name, data         if the name is kept for its owner
                                <-- CHALLENGE salt, nonce
    PROOF nonce, proof          -->
                                <-- VERIFIED signature
                                <-- WELCOME token, store, waiting   or REJECTED why, and it hangs up
                                <-- LIVE above                 what comes without a CHECK
    RESUME name, token, above   -->                            HELLO after a cut: what came since is
                                                               live, as it would have been
    SENDS first, to, texts      -->                            messages first, first + 1...
                                <-- STORED first..last         on disk: survives kill -9, power cuts
                                <-- OUTCOMES first..last, outcome, names   they are not reading now
                                <-- DELIVERED first..last, by  this recipient has been shown them
                                    or REFUSED id, why         nothing was stored
    TRACE request, range, names -->                            for whom of these does it wait?
                                <-- TRACED request, names
                                <-- MAILS first, sender, texts live, or the answer to CHECK;
                                    or MAILS_TO                if it had several recipients
    CONFIRM first..last         -->                            shown and kept: you may forget them
                                <-- CONFIRMED first..last      durably forgotten: never come again
    CHECK request               -->
                                <-- MAILS ... CHECKED request, total
    HOLD request, on            -->                            new messages wait for CHECK; DONE
    IGNORE request, on, name    -->                            show me nothing of this user's; DONE
    LIST_IGNORED request        -->
                                <-- IGNORED names
    SET_STATUS request, text    -->                            tell this to who writes to me; DONE
                                <-- STATUS name, text          what a user says of being away
                                <-- WAITING total              CHECK would bring another number now
    LIST request                -->
                                <-- ROSTER rows                the log of names; also at login, and
                                                               when it changes
    INVITE request, names       -->
                                <-- INVITING request, invitation     the others get INVITATION
    ANSWER, WITHDRAW invitation -->
                                <-- ANSWERED, then STARTED chat or CALLED_OFF why
    SAY request, chat, text     -->                            the others get LINE; "Quit" leaves
                                <-- LEFT, ENDED
    JOIN, LEAVE request, room   -->                            a room is sent to like a user; DONE
    TOPIC, ADMIT, CLOSE request, room                          what a room is; DONE
    RECALL request, room        -->
                                <-- PAST texts ... DONE        what was said there last
    LIST_ROOMS request          -->
                                <-- ROOMS rows                 also at login, and when mine change
    LIST_MEMBERS request, room  -->
                                <-- ADMITTED names, MEMBERS names
    CLAIM request, verifier     -->                            my name needs a passphrase now; DONE
    UNCLAIM request             -->                            it needs none any more; DONE
    OPERATE words               -->                            in place of HELLO, from an operator
                                <-- REPORT last, code, text    and it hangs up
    EXIT                        -->                            the daemon answers what it was sent
                                                               before, and hangs up; also if the
                                                               client shuts down its direction
    PING, answered by PONG, NOTICE, a line for the user, and MOVED may come at any time

Ids.  The sender gives each message an id: 32 random bits, the number of this instance of its
program, above a counter of 32 bits that only grows.  Sending the same id again is harmless, also on
another connection and after a restart of the daemon: the daemon answers STORED and stores nothing
twice.  To its reader the message carries the daemon's id, which only grows, and the sender's id as
`origin`.  A frame with several messages carries the id of the first; the ids of the others count up
from it.  A client that has several messages for the same names may put them into one SENDS, with at
most COPIES_MAX texts times names; a message to everyone is always alone.  The client numbers its
requests as it likes, and the answer (the message that MESSAGES names, or FAILED) repeats the
number.  STORED, OUTCOMES, DELIVERED, CONFIRM and CONFIRMED carry ranges of ids: one frame settles
many messages.  STORED comes before the OUTCOMES of the same message.

A range in CONFIRM means: every message to me from `first` to `last` was shown.  Live messages
arrive in the order of their ids, and so do the messages of one CHECK; the flag CHECK tells the two
apart.  A client confirms a range of live messages, or of one CHECK, but never a range that spans
both, nor one that spans a HOLD: messages that came while the client held wait for CHECK.

Ghosts.  The daemon may read a client's HELLO after the client hung up.  When the client calls
again, its own dead session holds the name.  So a client that has no token yet puts 16 random bytes
into HELLO as its token, the same bytes in each try.  The daemon ends the session that holds the
name if the new HELLO shows a token of that session: the one in its WELCOME, or the one in its
HELLO.  Before that, the new client must meet the conditions of the name.

Versions.  HELLO and WELCOME carry a version.  A daemon that does not speak the client's version
sends REJECTED and names its own.  A side leaves 0 the bits of features that it does not know.  A
kind that is not in MESSAGES ends the connection.

Failure.  Every violation raises ProtocolError with one line of reason.  A declared length allocates
nothing: buffers grow only by the bytes that arrived (net/frames.py).
"""
from typing import Any, NamedTuple

from net import fields, receipts, rooms, statuses
from net.codec import (
    BOTH,
    CLIENT,
    CODECS,
    DAEMON,
    MESSAGES,
    SEVERAL,
    Codec,
    Message,
    decode,
    describe,
    encode,
    label,
    message,
    name_of,
)
from net.fields import (
    U8,
    U16,
    U32,
    U64,
    Entries,
    Entry,
    Key16,
    Key32,
    RoomEntry,
    Text,
    Texts,
    Word,
    Words,
)
from net.frames import FRAME_MAX, HELLO_MAX, Decoder, ProtocolError
from net.receipts import *  # noqa: F403    its __all__ is passed on
from net.rooms import *  # noqa: F403
from net.statuses import *  # noqa: F403
from net.texts import (
    ADDRESSED_MAX,
    NAME_MAX,
    ROOM_SIGN,
    STATUS_MAX,
    STOPPING,
    TEXT_MAX,
    TOPIC_MAX,
    flaw,
    is_name,
    is_room,
)
from net.values import Admission, Direction, Feature, Outcome, Part, Presence, SendFlag, Why

# Passed on, so that `import wire` gives the whole protocol.
__all__ = ["ADDRESSED_MAX", "BOTH", "CLIENT", "CODECS", "DAEMON", "FRAME_MAX", "HELLO_MAX",
           "MESSAGES", "NAME_MAX", "ROOM_SIGN", "STATUS_MAX", "STOPPING", "TEXT_MAX", "TOPIC_MAX",
           "Admission", "Codec", "Decoder", "Direction", "Entry", "Feature", "Message", "Outcome",
           "Part", "Presence", "ProtocolError", "RoomEntry", "SendFlag", "Why", "decode",
           "describe", "encode", "flaw", "is_name", "is_room", "label", "name_of"]
__all__ += receipts.__all__ + rooms.__all__ + statuses.__all__

VERSION = 1

# Limits, each with its reason; the limits of frames, texts and names are in net/.
NAMES_MAX = 1400        # recipients of one SENDS: the longest names fit beside the longest text
COPIES_MAX = NAMES_MAX  # texts times recipients of one SENDS: no frame is more work than another
LOG_MAX = 1_000_000     # names in the log: 300 MB and a start of some seconds in the daemon; a
                        # client reads all, and keeps the first (client/known.py)
assert COPIES_MAX <= fields.TEXTS_MAX
some, NAMED = fields.some, fields.NAMED


# ---- the table of messages ----

@message(1, CLIENT, "WELCOME")
class Hello(NamedTuple):
    """The first message: who I am.  With the token I take over my own dead session."""
    version: U16
    features: U32       # Feature
    token: Key16        # that of the last WELCOME; before the first WELCOME 16 random bytes, the
                        # same in each try; 16 zeros: none
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
    """1: let new messages wait until I check; 0: send them to me as they come."""
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
    """A line to the others in my chat; with the text "Quit", in any case, I leave the chat."""
    request: U32
    chat: U32
    text: Text


@message(11, CLIENT)
class Exit(NamedTuple):
    """Goodbye: I am no longer connected; the daemon closes the connection."""


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
    """1: from now on show me nothing that this user sends; 0: from now on show it."""
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
    """From now on a client that asks for my name must know a passphrase, except at my own login."""
    request: U32
    iterations: U32
    salt: Key16
    stored: Key32       # StoredKey and ServerKey of RFC 5802
    server: Key32


@message(24, CLIENT, "DONE")
class Unclaim(NamedTuple):
    """My name needs no passphrase any more."""
    request: U32


@message(84, CLIENT, "WELCOME")
class Resume(NamedTuple):
    """HELLO of a client that was connected before and lost its connection: what came since is live,
    as it would have been then."""
    version: U16
    features: U32
    token: Key16
    above: U64          # that of the last LIVE: messages with higher ids do not wait for CHECK
    name: Word


@message(100, CLIENT, "REPORT")
class Operate(NamedTuple):
    """In place of HELLO, from an operator at the Unix socket: do this."""
    words: Texts        # the order, and what it needs


@message(32, DAEMON)
class Welcome(NamedTuple):
    """You are connected and registered; the name is durable."""
    version: U16
    features: U32
    token: Key16
    store: Key16        # the number of this store: ids of another store mean nothing here
    time: U64           # the daemon's clock, microseconds since 1970
    waiting: U32        # messages that a CHECK would bring
    name: Word          # as first registered
    house: Word         # what the daemon calls itself


@message(33, DAEMON)
class Rejected(NamedTuple):
    """You are not connected, and why; the daemon closes the connection."""
    why: U8
    reason: Text


@message(34, DAEMON)
class Stored(NamedTuple):
    """These messages of yours are on disk, and on their way to all recipients that no OUTCOMES
    names.  The daemon answers the repetition of a stored message with STORED alone."""
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


@message(38, DAEMON)
class Mails(NamedTuple):
    """Messages for you."""
    first: U64
    time: U64           # when the daemon received them, microseconds since 1970
    origin: U64         # the sender's id of the first; sender and origin are the same in every copy
    flags: U8           # SendFlag
    copies: U32         # the number of recipients of each message
    sender: Word
    texts: Texts


@message(39, DAEMON)
class Confirmed(NamedTuple):
    """The daemon has durably forgotten these: they never come again."""
    first: U64
    last: U64


@message(40, DAEMON)
class Checked(NamedTuple):
    """The CHECK is over: it brought `total` messages; 0: no messages available."""
    request: U32
    total: U32


@message(41, DAEMON)
class Waiting(NamedTuple):
    """A CHECK would bring this many messages now."""
    total: U32


@message(42, DAEMON)
class Roster(NamedTuple):
    """A page of the log of names."""
    request: U32        # 0: no LIST asked for it; the log at login, or its changes
    last: U8            # 0: more pages follow
    entries: Entries


@message(43, DAEMON)
class Invitation(NamedTuple):
    """`sender` invites you to a chat with these members."""
    invitation: U32
    seconds: U16        # until it expires
    sender: Word
    members: Words      # all members, the sender and you included


@message(44, DAEMON)
class Inviting(NamedTuple):
    """The daemon has sent your invitation to the others."""
    request: U32
    invitation: U32
    seconds: U16
    members: Words


@message(45, DAEMON)
class Answered(NamedTuple):
    """`by` has accepted the invitation; others have yet to answer."""
    invitation: U32
    by: Word


@message(46, DAEMON)
class CalledOff(NamedTuple):
    """An invitation is over without a chat: why, and because of whom."""
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
    """One member left a group chat that goes on."""
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
    """A line from the daemon to its users."""
    text: Text


@message(60, DAEMON)
class Ignored(NamedTuple):
    """The users whom you ignore."""
    request: U32
    to: Words


@message(61, DAEMON)
class Challenge(NamedTuple):
    """That name is kept for its owner: prove that you are the owner."""
    iterations: U32
    salt: Key16
    nonce: Key16


@message(62, DAEMON)
class Verified(NamedTuple):
    """Your proof is right, and here is the daemon's own proof; WELCOME or REJECTED follows."""
    signature: Key32


@message(63, DAEMON)
class Binding(NamedTuple):
    """Before CHALLENGE: what this end knows of the connection.  Your proof must be bound to it."""
    name: Word          # of a channel binding (RFC 5056), see net/scram.py
    data: Word          # in small hexadecimal digits


@message(80, DAEMON)
class Moved(NamedTuple):
    """Your session is over: its user has moved it to another client."""
    time: U64
    place: Word         # where that one sits: a terminal, or a host; "" if the daemon can't tell


@message(85, DAEMON)
class Live(NamedTuple):
    """From here on you are sent all messages with higher ids as they come, without CHECK."""
    above: U64


@message(90, DAEMON)
class MailsTo(NamedTuple):
    """A MAILS that also says to whom its messages were addressed."""
    first: U64
    time: U64
    origin: U64
    flags: U8           # SendFlag
    copies: U32
    sender: Word
    to: Words           # all recipients, you too, ADDRESSED_MAX at most; or one room: #NAME
    texts: Texts


@message(101, DAEMON)
class Report(NamedTuple):
    """What came of an OPERATE; the daemon closes the connection after the last."""
    last: U8            # 0: more parts follow
    code: U8            # 0: it was done; else an exit code of sysexits(3)
    text: Text          # a part of a JSON document; or, if it was not done, a line that says why


# ---- single messages ----

class Send(NamedTuple):
    """One message of a SENDS."""
    id: int
    flags: int
    to: tuple[str, ...]
    text: str


class Mail(NamedTuple):
    """One message of a MAILS or MAILS_TO."""
    id: int
    time: int
    origin: int
    flags: int
    copies: int
    sender: str
    text: str
    to: tuple[str, ...] = ()        # MailsTo.to


def _one_mail(said: Mail) -> Mails | MailsTo:
    head, texts = said[:5], (said.text,)
    return MailsTo(*head, said.sender, said.to, texts) if said.to else Mails(*head, said.sender,
                                                                            texts)


SEVERAL.update({Send: lambda said: Sends(said.id, said.flags, said.to, (said.text,)),
                Mail: _one_mail})


def each(said: Any) -> list[Any]:
    """The single messages of a SENDS, MAILS or MAILS_TO; any other message as it is."""
    if type(said) is Mails or type(said) is MailsTo:
        to = said.to if type(said) is MailsTo else ()
        return [Mail(said.first + n, said.time, said.origin + n, *said[3:6], text, to)
                for n, text in enumerate(said.texts)]
    if type(said) is Sends:
        return [Send(said.first + n, said.flags, said.to, text)
                for n, text in enumerate(said.texts)]
    return [said]
