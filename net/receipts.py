"""receipts: the messages about who was shown what (Feature.RECEIPTS)."""
from typing import NamedTuple

from net.codec import CLIENT, DAEMON, message
from net.fields import U32, U64, Word, Words

__all__ = ["Delivered", "Trace", "Traced"]


@message(37, DAEMON)
class Delivered(NamedTuple):
    """This recipient was shown all your messages with these ids; ids of another instance belong to
    another program."""
    first: U64
    last: U64
    by: Word


@message(120, CLIENT, "TRACED")
class Trace(NamedTuple):
    """For which of these names does one of my messages with these ids still wait?  Of errands
    (Feature.ERRAND), for the receipts that a lost connection took along."""
    request: U32
    first: U64
    last: U64
    to: Words


@message(121, DAEMON)
class Traced(NamedTuple):
    """For these, or the daemon can't tell.  What was stored for the others and was told no OUTCOMES
    ABSENT or FULL, they were shown."""
    request: U32
    to: Words
