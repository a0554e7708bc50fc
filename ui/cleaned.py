"""cleaned: the output of a program, as texts that can be sent.

A job's output has colours, progress bars, overstruck letters, and now and then bytes that are no
UTF-8; often that is the very output that somebody must read.  So what comes from a pipe is cleaned,
and what is too long for a message becomes several, cut between lines where that is possible.
"""
from __future__ import annotations

import re
from collections.abc import Iterator

import wire

# ESC [ ... letter; ESC ] ... BEL or ESC \; and the others (ECMA-48).  None goes on beyond the next
# ESC or the end of the line.
SEQUENCE = (r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\n\x07\x1b]*(?:\x07|\x1b\\)"
            r"|[ -/]*[0-~])")
LEFT = r"[\x00-\x08\x0b-\x1f\x7f-\x9f]"
NOT_UTF_8 = "the text is not UTF-8: it was read as Latin-1"
CUT = "\n[cut here: {} bytes more]"


def decoded(raw: bytes) -> tuple[str, str]:
    """The text, and a remark or ""."""
    try:
        return raw.decode(), ""
    except UnicodeDecodeError:
        return raw.decode("latin-1"), NOT_UTF_8


def cleaned(text: str) -> str:
    """The text without what only a terminal understands."""
    text = re.sub(SEQUENCE, "", text.replace("\r\n", "\n"))
    if "\r" in text or "\b" in text:
        text = "\n".join([_shown(line) for line in text.split("\n")])
    return re.sub(LEFT, "", text).rstrip("\n")


def _shown(line: str) -> str:
    """What is left of a line to see: a progress bar is overwritten from its beginning, and man(1)
    strikes bold letters twice."""
    line = line.rstrip("\r").rpartition("\r")[2]
    if "\b" not in line:
        return line
    letters: list[str] = []
    for letter in line:
        if letter != "\b":
            letters.append(letter)
        elif letters:
            letters.pop()
    return "".join(letters)


def pieces(text: str) -> Iterator[str]:
    """The text in parts, each of which fits a message; between lines, if a line fits one."""
    raw, at = text.encode(errors="replace"), 0
    while at < len(raw):
        end = at + wire.TEXT_MAX
        if end < len(raw):
            line = raw.rfind(b"\n", at, end)
            while raw[end] & 0xC0 == 0x80:              # within a character
                end -= 1
            end = line if line > at else end
        piece = raw[at:end].decode().strip("\n")
        at = end
        if piece and not piece.isspace():
            yield piece


def truncated(text: str) -> str:
    """The beginning of the text, as far as it fits a message, and how much there was."""
    raw = text.encode(errors="replace")
    if len(raw) <= wire.TEXT_MAX:
        return text
    room = wire.TEXT_MAX - len(CUT.format(len(raw)))
    kept = raw[:room].decode(errors="ignore")
    return kept + CUT.format(len(raw) - len(kept.encode()))
