"""Text in every script that Unicode has: made from the character database of the running Python, so
that nothing has to be shipped, and no letter is forgotten.

A script is told by the first word of a character's name (CYRILLIC SMALL LETTER A).  For each there
are short words, a long line without spaces, and lines with spaces; all assigned characters that may
be sent occur, marks and formats too.
"""
import functools
import random
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterator

import wire

WORD, LINE = 7, 180


@functools.cache
def by_script() -> dict[str, list[str]]:
    """All assigned characters but controls, surrogates and private use, by the first word of their
    names."""
    scripts: defaultdict[str, list[str]] = defaultdict(list)
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        if unicodedata.category(char) not in ("Cc", "Cs", "Co", "Cn"):
            scripts[unicodedata.name(char, "UNNAMED").split()[0].split("-")[0]].append(char)
    return dict(scripts)


def words(chars: list[str]) -> str:
    """These characters in order, in words."""
    return " ".join("".join(chars[at:at + WORD]) for at in range(0, len(chars), WORD))


def texts() -> Iterator[str]:
    """Every text of the corpus: none is too long to be sent, and the longest are just short
    enough."""
    for script, chars in sorted(by_script().items()):
        sample = chars[:LINE]
        yield f"{script}: {words(sample)}"
        yield "".join(sample) + "\n\t" + words(sample[::-1])
    everything = [char for chars in by_script().values() for char in chars]
    random.Random(6464).shuffle(everything)
    text, size = "", 0
    for char in everything:
        size += len(char.encode())
        if size > wire.TEXT_MAX:
            yield text
            text, size = "", len(char.encode())
        text += char
    yield text


def sendable(text: str) -> bool:
    """Not the few that are nothing but space."""
    return wire.flaw(text) is None
