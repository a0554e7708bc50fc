"""letters: a message as a line of text, and back; and the lines of a file that grows at its end.

    2026-11-21T14:02:03.000017Z id=17 origin=4294967301 from=bob flags=0 copies=1 text="hi \\"B\\""

Before the text may stand `to=alice,carol`, or `to=#ops`: to whom the message was addressed.

The time is the daemon's, UTC, to the microsecond.  A character that a terminal might take for a
command, a newline, a quote and a backslash in the text are escaped as in Python; all others stand
as they are.  So grep finds them, cat is safe in a UTF-8 terminal, and parse() returns exactly what
line() was given.

Failure: parse() takes a line that line() does not write for no message; a last line without its
newline is no line.  OSError.
"""
from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import cache

from wire import Mail

BLOCK = 64 * 1024           # bytes in one read
PIECE = 1 << 20             # bytes in one read where all is read
SHORT_LINE = 512            # bytes of most lines
U64_MAX = 2**64 - 1

EPOCH = datetime(1970, 1, 1)    # UTC, like every time here
MICROSECOND = timedelta(microseconds=1)
LAST_TIME = (datetime.max - EPOCH) // MICROSECOND

QUOTED = r'"((?:[^"\\]|\\.)*)"'
NUMBER = r"(\d{1,20})"
TIME = rf"(?:(\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{6}})Z|@{NUMBER})"
# Compiled when they are first met, as those of history.py.
_form: Callable[[str], re.Pattern[str]] = cache(re.compile)
LINE = (
    rf"(?a){TIME} id={NUMBER} origin={NUMBER} "
    rf"from=(?:([A-Za-z0-9._-]+)|{QUOTED}) flags={NUMBER} copies={NUMBER} "
    rf"(?:to=([#A-Za-z0-9._,-]+) )?text={QUOTED}")
HEAD = (rb"(?m)^\S+ id=\d{1,20} origin=(\d{1,20}) "
        rb'from=([A-Za-z0-9._-]+|"(?:[^"\\\n]|\\.)*") (?:flags|check)=')
ESCAPE = r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))"
SHORT = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
LONG = {escape[1]: char for char, escape in SHORT.items()}
SHORTER = str.maketrans(SHORT)


# ---- one line ----

def line(mail: Mail) -> str:
    """A message as its line, without the newline."""
    to = f"to={','.join(mail.to)} " if mail.to else ""
    return (f"{stamp(mail.time)} id={mail.id} origin={mail.origin} from={name(mail.sender)} "
            f'flags={mail.flags} copies={mail.copies} {to}text="{escape(mail.text)}"')


def parse(raw: bytes) -> Mail | None:
    """The message of a line; None for a mark, and for anything else that line() does not write."""
    try:
        found = _form(LINE).fullmatch(raw.decode())
        if found is None:
            return None
        iso, number, ident, origin, plain, quoted, flags, copies, to, text = found.groups()
        time = moment(iso, number)
        sender = plain if plain is not None else unescape(quoted)
        mail = Mail(int(ident), time, int(origin), int(flags), int(copies), sender, unescape(text),
                    tuple(to.split(",")) if to else ())
    except (ValueError, OverflowError):
        return None
    return mail if max(mail[:5]) <= U64_MAX else None


def escape(text: str) -> str:
    """A text on one line, without anything that a terminal obeys."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text
    text = text.translate(SHORTER)          # at once, for a page of newlines
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() else _code(char) for char in text])


def unescape(text: str) -> str:
    """The reverse.  Raises ValueError for an escape that escape() does not write."""
    def char(found: re.Match[str]) -> str:
        short = found[4]
        if short is None:
            return chr(int(found[1] or found[2] or found[3], 16))
        if short not in LONG:
            raise ValueError(f"no escape: {found[0]!r}")
        return LONG[short]
    return _form(ESCAPE).sub(char, text) if "\\" in text else text


def _code(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def stamp(time: int) -> str:
    """Microseconds since 1970 as text; those that no calendar has are a bare number."""
    if time > LAST_TIME:
        return f"@{time}"
    return (EPOCH + time * MICROSECOND).isoformat(timespec="microseconds") + "Z"


def moment(iso: str | None, number: str | None) -> int:
    """The reverse, of the two forms that TIME finds.  Raises ValueError."""
    time = int(number or "") if iso is None else (
        (datetime.fromisoformat(iso) - EPOCH) // MICROSECOND)
    if not 0 <= time <= U64_MAX:
        raise ValueError("no time of ours")
    return time


def name(sender: str) -> str:
    """A name as it stands in a line: in quotes if it is no username."""
    return sender if re.fullmatch(r"[A-Za-z0-9._-]+", sender) else f'"{escape(sender)}"'


def _unquoted(sender: str) -> str:
    return unescape(sender[1:-1]) if sender.startswith('"') else sender


# ---- many lines ----

def heads(data: bytes) -> Iterator[tuple[str, int, int]]:
    """The sender and the origin of each received message in some lines, also of those that were
    forgotten (history.py), and the offset of its line.

    The rest of a line is not checked: that would take three times as long."""
    names: dict[bytes, str] = {}
    for found in re.finditer(HEAD, data):
        origin, sender = found.groups()
        name = names.get(sender)
        if name is None:
            try:
                name = names[sender] = _unquoted(sender.decode())
            except ValueError:
                continue
        if int(origin) <= U64_MAX:
            yield name, int(origin), found.start()


def lines(fd: int, at: int) -> Iterator[bytes]:
    """The whole lines from an offset on."""
    rest = b""
    while block := os.pread(fd, BLOCK, at):
        at += len(block)
        *whole, rest = (rest + block).split(b"\n")
        yield from whole


def pieces(fd: int, at: int) -> Iterator[tuple[int, bytes]]:
    """The whole lines from an offset on, many in each piece, and the offset of each piece."""
    want = PIECE
    while block := os.pread(fd, want, at):
        end = block.rfind(b"\n") + 1
        if end:
            yield at, block[:end]
            at, want = at + end, PIECE
        elif len(block) < want:
            return
        else:
            want *= 2                   # a line that is longer than the block


def line_at(fd: int, at: int) -> bytes:
    """The line that begins there, without its newline."""
    found = b""
    while block := os.pread(fd, BLOCK if found else SHORT_LINE, at + len(found)):
        found += block
        if b"\n" in block:
            break
    return found.partition(b"\n")[0]


def lines_backwards(fd: int, torn: bool = True) -> Iterator[bytes]:
    """The whole lines, the last one first.  `torn`: no line stands behind the last newline."""
    at, rest = os.fstat(fd).st_size, b""
    while at:
        begin = max(0, at - BLOCK)
        rest, *whole = (os.pread(fd, at - begin, begin) + rest).split(b"\n")
        at = begin
        if whole and torn:
            whole.pop()
            torn = False
        yield from reversed(whole)
    if not torn:
        yield rest


def lines_above(fd: int, end: int, wanted: str = "", pauses: bool = False
                ) -> Iterator[tuple[int, bytes]]:
    """The whole lines above an offset, the last one first, and the offset of each.

    `wanted`: only the lines that may hold this text, in any case; the caller looks closer.
    `pauses`: an empty line after each block, so that the caller can do something else."""
    at, rest = end, b""
    while at:
        begin = max(0, at - BLOCK)
        data = os.pread(fd, at - begin, begin) + rest
        cut = data.find(b"\n") + 1 if begin else 0
        if begin and not cut:
            rest, at = data, begin
            continue
        whole, rest, at = data[cut:data.rfind(b"\n") + 1], data[:cut], begin
        if wanted:
            yield from _holding(whole, begin + cut, wanted)
        else:
            yield from _upwards(whole, begin + cut)
        if pauses:
            yield begin, b""


def _upwards(whole: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    at += len(whole)
    for line in reversed(whole.split(b"\n")[:-1]):
        at -= len(line) + 1
        yield at, line


def _holding(whole: bytes, at: int, wanted: str) -> Iterator[tuple[int, bytes]]:
    """Those of some lines that may hold a text.  Lines of ASCII take a tenth of the time."""
    needle = escape(wanted).casefold()
    if not whole.isascii():
        if needle in whole.decode(errors="replace").casefold():
            yield from ((place, line) for place, line in _upwards(whole, at)
                        if needle in line.decode(errors="replace").casefold())
        return
    lower, key, end = whole.lower(), needle.encode(errors="replace"), len(whole)
    while (hit := lower.rfind(key, 0, end)) >= 0:
        begin = lower.rfind(b"\n", 0, hit) + 1
        yield at + begin, whole[begin:lower.index(b"\n", hit)]
        end = begin


def below(fd: int, mark: bytes, most: int) -> int:
    """The offset below the last line that is this mark, at most `most` bytes above the end."""
    at, rest = os.fstat(fd).st_size, b""
    least = max(0, at - most)
    while at > least:
        begin = max(least, at - BLOCK)
        block = os.pread(fd, at - begin, begin) + rest
        place = block.rfind(b"\n" + mark)
        if place >= 0:
            return begin + place + 1 + len(mark)
        at, rest = begin, block[:len(mark)]
    return least
