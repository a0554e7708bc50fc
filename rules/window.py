"""window: what one reader was pushed and has not confirmed yet.

A message is in flight if it is unread and lies in a part of the queue that a stream has passed.  So
nothing is kept for each message, and a message that was checked twice counts once.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from store.mail import Mail, amount
from wire import Feature, SendFlag

# Messages in flight to a reader: they fill a turn at any speed that a terminal can read.
WINDOW = 1000
# Bytes of their text: with the frames around it, a stopped reader costs 256 KiB of memory at most.
WINDOW_BYTES = 192 * 1024
EVER = 2**64 - 1            # the end of the live stream
Saved = list[int]           # of a stream: see Stream.saved
NAMED = 256                 # beside the flags of a stream: its frames say to whom messages went


class Stream:
    """How far one reader was pushed through its queue."""
    __slots__ = ("at", "flags", "request", "start", "total", "upto")

    def __init__(self, start: int, upto: int, flags: int, request: int = 0) -> None:
        self.start = start      # ids above this belong to the stream
        self.at = start         # the last id pushed
        self.upto = upto        # the last that belongs to this stream
        self.flags = flags      # a SendFlag, and NAMED
        self.request = request  # of the CHECK that is answered
        self.total = 0          # pushed so far

    def saved(self) -> Saved:
        """All of it, for resumed()."""
        return [self.start, self.at, self.upto, self.flags, self.request, self.total]

    @classmethod
    def resumed(cls, saved: Saved) -> Stream:
        """The stream that was saved, in this or another process (handover.py)."""
        start, at, upto, flags, request, total = saved
        stream = cls(start, upto, flags, request)
        stream.at, stream.total = at, total
        return stream


class Window:
    """The streams of one reader, and how much of them is in flight."""
    __slots__ = ("checking", "flags", "live", "messages", "past", "size")

    def __init__(self, last: int, features: int) -> None:
        self.flags = NAMED if features & Feature.ADDRESSED else 0       # of all its streams
        self.live = self.after(last)
        self.checking: Stream | None = None         # the CHECK under way
        self.past: Sequence[Stream] = ()            # ended streams whose messages may be in flight
        self.messages = 0                           # in flight
        self.size = 0                               # bytes of text in flight

    def after(self, last: int) -> Stream:
        """A live stream of messages above this id."""
        return Stream(last, EVER, self.flags)

    def check(self, request: int) -> Stream:
        """A check that has not begun."""
        return Stream(0, EVER, self.flags | SendFlag.CHECK, request)

    def overlap(self, check: Stream) -> tuple[int, bool]:
        """Find how far the next part of a check overlaps other streams.  Returns (upto, again): if
        `again`, everything up to `upto` is in flight already and costs no window space; if not,
        nothing up to `upto` is."""
        ahead = [other for other in (self.live, *self.past)
                 if other.at > max(other.start, check.at)]
        over = [other.at for other in ahead if other.start <= check.at]
        if over:
            return min(check.upto, max(over)), True
        return min([check.upto, *(other.start for other in ahead)]), False

    def confirmed(self, mails: Sequence[Mail], messages: int, size: int) -> None:
        """The reader confirmed these, so many messages and bytes of text: those that were pushed
        are no longer in flight."""
        first, last = mails[0].id, mails[-1].last
        for stream in (self.live, self.checking, *self.past):
            if stream is not None and stream.start < first and last <= stream.at:
                break               # all of them: nearly always
        else:
            messages, size = amount(self._pushed(mails))
        self.messages -= messages
        self.size -= size
        if not self.messages:
            self.past = ()

    def _pushed(self, mails: Sequence[Mail]) -> list[Mail]:
        """The parts of these that some stream has passed."""
        streams = (self.live, self.checking, *self.past)
        spans, found = sorted([(each.start + 1, each.at) for each in streams if each]), []
        for mail in mails:
            first = mail.id
            for low, high in spans:
                low, high = max(low, first), min(high, mail.last)
                if low <= high:
                    found.append(mail.part(low, high))
                    first = high + 1
        return found

    def end(self, stream: Stream) -> None:
        """A stream has ended; what it has pushed may still be in flight."""
        if self.messages and stream.at > stream.start:
            self.past = [*(old for old in self.past
                           if old.start < stream.start or old.at > stream.at), stream]

    def saved(self) -> dict[str, Any]:
        """All of it, for resumed()."""
        return {"flags": self.flags, "live": self.live.saved(),
                "checking": self.checking and self.checking.saved(),
                "past": [each.saved() for each in self.past], "messages": self.messages,
                "size": self.size}

    @classmethod
    def resumed(cls, saved: Mapping[str, Any]) -> Window:
        """The window that was saved, in this or another process (handover.py)."""
        window = cls(0, 0)
        window.flags, window.live = saved["flags"], Stream.resumed(saved["live"])
        window.checking = Stream.resumed(saved["checking"]) if saved["checking"] else None
        window.past = [Stream.resumed(each) for each in saved["past"]]
        window.messages, window.size = saved["messages"], saved["size"]
        return window
