"""keys: from the bytes of a terminal to keys, and a guess at pastes that the terminal does not
mark.

The decoder gives the same keys however the bytes were cut into reads.  A key is a str: a character
that was typed is that character; anything else is a name of more than one character, such as
<Enter>, <C-a>, <M-b>, <PageUp>.  A bracketed paste is one Paste.  The decoder drops as a whole what
it does not know: other function keys, replies to queries, mouse reports, C1 characters.

Keys reads one byte at a time, by the method for the current state, so chunks cannot matter.  It
reads no clock: after feed() the caller waits at most timeout() seconds for more bytes and then
calls expire().  Nothing raises, for any bytes; bad UTF-8 gives U+FFFD; all that is held has a
bound.  Bad at: Alt-[, Alt-], Alt-O and the like.  They begin sequences, and are dropped when
nothing follows.

Reads is the guess, for terminals without bracketed paste (GNU screen, serial consoles): there a
paste looks like typing, and each of its newlines like Enter.  The rule:

  - A newline with text behind it, in one read or within GAP seconds, is no Enter: nobody types that
    fast.  Everything around it is one Paste.  Keys cannot be told from text in it, so no other key
    in it counts.  The Paste ends after PASTE_GAP seconds of silence, however many reads it took.
  - A newline with nothing behind it is Enter, GAP seconds later.  So `y` and Enter in one read of a
    slow line are what they were.
  - BURST characters in one read wait for GAP seconds too: a long paste comes in pieces, and the
    newline may be at the beginning of the next piece.

Limits:

  - A paste of one line that ends in a newline is that line and Enter: a quick typist on a slow line
    sends the same.
  - A paste without a newline is keys, its control characters too.
  - If a paste stands still for longer than the gap right after its first newline, its first line
    counts as typed.
  - Several lines that a user types ahead on a connection that stands still count as a paste: they
    stay in the input line, and nothing of them is done.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from terminal.sequences import csi, ss3, typed, with_alt

# seconds: after a person's ESC nothing comes for longer; after a terminal's comes its next byte
ESC_WAIT = 0.05
SEQUENCE_WAIT = 0.5  # seconds: a slow line may cut a sequence in two
# seconds of silence in a paste: a lost end mark must not swallow the keyboard for ever
PASTE_WAIT = 10.0
SEQUENCE_MAX = 64  # bytes in ESC [ or ESC O: twice the longest reply seen
STRING_MAX = 4096  # bytes in an OSC or DCS reply
# seconds: ten bytes at 9600 baud; a tenth of a quick typist's time from Enter to the next key
GAP = 0.01
PASTE_GAP = 0.05  # seconds, in a paste or a burst: its next piece may be held up for a moment
BURST = 32  # characters in one read: three seconds of typing
# bytes kept of a paste: many times the longest message, so that the user can be told of the excess
PASTE_MAX = 256 * 1024


class Paste(NamedTuple):
    """Pasted text with newlines for its line ends; `cut` if its end was dropped or never came."""

    text: str
    cut: bool = False


Key: TypeAlias = str | Paste

_PASTE_END = b"\x1b[201~"


class Keys:
    """The decoder: feed() it what was read, and expire() it after timeout() seconds of silence."""

    def __init__(self) -> None:
        self._keys: list[Key] = []
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = bytearray()  # of the sequence or paste being read
        self._dropped = False  # whether bytes of the paste being read were dropped
        self._skip = 0  # bytes still to ignore
        self._length = 0  # of the string being read
        self._state: Callable[[int], None] = self._ground
        self._wait: float | None = None

    def feed(self, data: bytes) -> list[Key]:
        """The keys that these bytes complete."""
        for byte in data:
            self._state(byte)
        return self._take()

    def timeout(self) -> float | None:
        """Seconds of silence after which expire() is due; None when nothing is undecided."""
        return self._wait

    def expire(self) -> list[Key]:
        """Decide what is undecided: ESC alone is a key, a paste ends, the rest is dropped."""
        if self._state == self._escape:
            self._keys.append("<Esc>")
        elif self._state == self._paste:
            self._pasted(bytes(self._held), cut=True)
        self._turn(self._ground)
        return self._take()

    def _take(self) -> list[Key]:
        keys, self._keys = self._keys, []
        return keys

    def _turn(self, state: Callable[[int], None], wait: float | None = None) -> None:
        self._state, self._wait = state, wait
        self._held.clear()
        self._length = 0

    def _ground(self, byte: int) -> None:
        for char in self._text.decode(bytes((byte,))):
            if char == "\x1b":
                self._turn(self._escape, ESC_WAIT)
            elif name := typed(char):
                self._keys.append(name)

    def _again(self, byte: int) -> None:
        """Give up the sequence, to which this byte cannot belong, and read the byte afresh."""
        self._turn(self._ground)
        self._ground(byte)

    def _escape(self, byte: int) -> None:
        if opened := {0x5B: self._csi, 0x4F: self._ss3}.get(byte):
            self._turn(opened, SEQUENCE_WAIT)
        elif byte in b"]P_^X":
            self._turn(self._string, SEQUENCE_WAIT)
        elif byte == 0x1B or byte >= 0x80:
            self._keys.append("<Esc>")
            self._again(byte)
        else:
            self._keys.append(with_alt(chr(byte)))
            self._turn(self._ground)

    def _csi(self, byte: int) -> None:
        if not 0x20 <= byte <= 0x7E or len(self._held) >= SEQUENCE_MAX:
            self._again(byte)
            return
        self._held.append(byte)
        # ESC [ 3 $ is rxvt's, against the rules.
        if byte >= 0x40 or (byte == 0x24 and self._held[:-1].isdigit()):
            text = self._held.decode("ascii")
            self._turn(self._ground)
            self._csi_final(text)

    def _csi_final(self, text: str) -> None:
        if text == "200~":
            self._dropped = False
            self._turn(self._paste, PASTE_WAIT)
        # The Linux console's F1 to F5, and mouse reports: these go on after their final.
        elif text == "[":
            self._turn(self._console, SEQUENCE_WAIT)
        elif text == "M":
            self._skip = 3
            self._turn(self._ignore, SEQUENCE_WAIT)
        elif name := csi(text):
            self._keys.append(name)

    def _console(self, byte: int) -> None:
        if byte == 0x41:
            self._keys.append("<F1>")
        self._turn(self._ground)

    def _ignore(self, byte: int) -> None:
        self._skip -= 1
        if self._skip == 0:
            self._turn(self._ground)

    def _ss3(self, byte: int) -> None:
        if not 0x30 <= byte <= 0x7E or len(self._held) >= SEQUENCE_MAX:
            self._again(byte)
        elif byte < 0x40:
            self._held.append(byte)
        else:
            name = ss3(self._held.decode("ascii") + chr(byte))
            self._turn(self._ground)
            if name:
                self._keys.append(name)

    def _string(self, byte: int) -> None:
        self._length += 1
        if byte == 0x1B:
            self._turn(self._string_end, SEQUENCE_WAIT)
        elif byte == 0x07:
            self._turn(self._ground)
        elif byte < 0x20 or self._length > STRING_MAX:
            self._again(byte)

    def _string_end(self, byte: int) -> None:
        if byte == 0x5C:
            self._turn(self._ground)
        else:
            self._turn(self._escape, ESC_WAIT)
            self._escape(byte)

    def _paste(self, byte: int) -> None:
        held = self._held
        held.append(byte)
        if byte == 0x7E and held.endswith(_PASTE_END):
            self._pasted(bytes(held[: -len(_PASTE_END)]), self._dropped)
            self._turn(self._ground)
        elif len(held) > PASTE_MAX + len(_PASTE_END):
            del held[PASTE_MAX]  # the few bytes after it stay: they may be the end mark
            self._dropped = True

    def _pasted(self, data: bytes, cut: bool) -> None:
        cut = cut or len(data) > PASTE_MAX
        # Not final when cut: half a character at the cut is left out and not replaced.
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(data[:PASTE_MAX], final=not cut)
        self._keys.append(Paste(text.replace("\r\n", "\n").replace("\r", "\n"), cut))


class Reads:
    """From the reads of a terminal to keys: a paste that was not marked is one Paste too."""

    def __init__(self) -> None:
        self._decoder = Keys()
        self._held: list[Key] = []  # keys that may be a paste, or the beginning of one
        self._entered = False  # a newline is among them
        self._pasting = False  # and text behind it: it is a paste
        self._dropped = False  # whether keys of it were dropped

    def feed(self, data: bytes) -> list[Key]:
        """The keys that are decided now, after one read."""
        keys = self._decoder.feed(data)
        if not self._held and "<Enter>" not in keys and len(keys) < BURST:
            return keys
        for key in keys:
            self._pasting = self._pasting or (self._entered and len(key) == 1)
            self._entered = self._entered or key == "<Enter>"
        room = PASTE_MAX - len(self._held)
        self._dropped = self._dropped or len(keys) > room
        self._held += keys[:room]
        return []

    def timeout(self) -> float | None:
        """Seconds of silence after which expire() is due; None when nothing is undecided."""
        if self._held:
            return PASTE_GAP if self._pasting or len(self._held) >= BURST else GAP
        return self._decoder.timeout()

    def expire(self) -> list[Key]:
        """Decide whether the held keys are a paste; if there are none, expire the decoder."""
        if not self._held:
            return self._decoder.expire()
        held, pasting, dropped = self._held, self._pasting or self._dropped, self._dropped
        self._held, self._entered, self._pasting, self._dropped = [], False, False, False
        if not pasting:
            return held
        focus = [key for key in held if key in ("<FocusIn>", "<FocusOut>")]
        return [Paste("".join(map(_pasted, held)), dropped), *focus]


def _pasted(key: Key) -> str:
    """The text that a key stands for in a paste."""
    if isinstance(key, Paste):
        return key.text
    return key if len(key) == 1 else {"<Enter>": "\n", "<Tab>": "\t"}.get(key, "")
