"""frames: from a stream of bytes, however it is cut, to whole frames.

     0               4
    +---------------+---------------------------+
    |  length u32   |  `length` bytes           |
    +---------------+---------------------------+

Both sides of a connection have a Decoder for what the other side sends.  A decoder allocates
nothing by a declared length: its buffer grows only by the bytes that arrived.
"""
from __future__ import annotations

import struct
from collections.abc import Iterator

FRAME_MAX = 65536       # room for the longest text and some 1,400 of the longest names beside it
HELLO_MAX = 1024        # before login: a stranger may make us hold this much and no more

HEAD = struct.Struct("!I")       # the length
assert HEAD.size == 4


class ProtocolError(Exception):
    """The peer broke the protocol: we tell it why, once, and close the connection."""


class Decoder:
    """Splits a stream of bytes into frames.  `fault`: a length broke the limit; no frame follows.

    A frame is checked against the limit that holds when it is split off.  From a frame that breaks
    the limit on, all bytes are kept, so widen() also applies to bytes that have arrived already:
    split(b"") returns their frames."""
    __slots__ = ("_need", "_rest", "fault", "limit")

    def __init__(self, limit: int = HELLO_MAX) -> None:
        self.limit = limit              # the longest frame accepted; FRAME_MAX after login
        self.fault = ""
        self._rest: bytes | bytearray = b""     # the bytes that arrived of an unfinished frame
        self._need = 4                  # how long _rest must be before it is worth looking at

    def split(self, data: bytes) -> list[bytes]:
        """The whole frames that these bytes complete, without their lengths; none from a length
        over the limit on."""
        if not self._rest and 4 < len(data) == HEAD.unpack_from(data)[0] + 4 <= self.limit:
            return [data[4:]]           # one whole frame, as people send them
        if self._rest:
            self._rest += data          # a bytearray: no copy
            if len(self._rest) < self._need:
                return []
            data, self._rest = bytes(self._rest), b""
        frames: list[bytes] = []
        at, end, limit, unpack = 0, len(data), self.limit, HEAD.unpack_from
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
            has_length = end - at >= 4 and not self.fault
            self._need = 4 + HEAD.unpack_from(data, at)[0] if has_length else 4
        return frames

    def widen(self, limit: int) -> None:
        """Allow longer frames, also among the bytes that have arrived and are not split off yet."""
        self.limit, self.fault = limit, ""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The same frames one by one.  The caller may widen the limit between two of them.

        Raises ProtocolError, after the last whole frame, for a length over the limit."""
        frames = self.split(data)
        while frames:
            yield from frames
            frames = self.split(b"")
        if self.fault:
            raise ProtocolError(self.fault)

    @property
    def rest(self) -> bytes:
        """The bytes that arrived, and of which no frame was made yet."""
        return bytes(self._rest)

    @property
    def held(self) -> int:
        """How many bytes of an unfinished frame are held."""
        return len(self._rest)
