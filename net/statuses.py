"""statuses: the messages about being away (Feature.STATUS)."""
from typing import NamedTuple

from net.codec import CLIENT, DAEMON, message
from net.fields import U32, Text, Word

__all__ = ["SetStatus", "Status"]


@message(91, CLIENT, "DONE")
class SetStatus(NamedTuple):
    """Tell this to who writes to me, until I say something else; "": nothing any more."""
    request: U32
    text: Text          # one line of at most STATUS_MAX bytes


@message(92, DAEMON)
class Status(NamedTuple):
    """What this user says of being away; "": nothing."""
    name: Word
    text: Text
