"""urls: the web addresses in a text, made of characters that no terminal obeys.

find() gives each address whole, however the screen breaks it, as printable ASCII without a blank, a
double quote or a backslash: letters of other scripts are percent-encoded (RFC 3987).  So it can be
printed, be sent to a terminal inside of a sequence, and be given to a program.  An address ends
before the first character that cannot be in one, such as a control or a bidi character, and before
punctuation that ends a sentence or closes a bracket opened before it.  One that is longer than
URL_MAX is left out: a part of it would be another address.

Nothing raises, for any text, and the time grows with its length.  Bad at: words right behind an
address in a script that has no blanks (they count as its own), and addresses without `https://`.
"""
from __future__ import annotations

import re
from unicodedata import category

URL_MAX = 8192          # characters: servers and browsers take some 8,000
FOUND_MAX = 100         # in one text
# Only the scheme in any case: the range beyond ASCII would take 4 ms to compile.
_RUN = (r"(?<![A-Za-z0-9+.-])(?i:https?|ftp|gemini|gopher)://"
        r"([A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%\u00aa-\U0010ffff]+)")
_END = frozenset(".,:;!?'*_~")      # not at the end of an address, unless more follows
_OPENING = {")": "(", "]": "["}


def find(text: str) -> list[str]:
    """The addresses in a text, in order; no more than FOUND_MAX."""
    found: list[str] = []
    for run in re.finditer(_RUN, text):
        raw = _without_end(_letters(run[0]))
        if len(raw) <= len(run[0]) - len(run[1]):
            continue
        url = raw if raw.isascii() else "".join(map(_encoded, raw))
        if len(url) <= URL_MAX:
            found.append(url)
            if len(found) == FOUND_MAX:
                break
    return found


def _letters(raw: str) -> str:
    """Up to the first character outside of ASCII that is no letter, mark or digit."""
    if not raw.isascii():
        for at, char in enumerate(raw):
            if char > "~" and category(char)[0] not in "LMN":
                return raw[:at]
    return raw


def _without_end(raw: str) -> str:
    counts = {bracket: raw.count(bracket) for bracket in "()[]"}
    end = len(raw)
    while end:
        last = raw[end - 1]
        if last in _OPENING and counts[last] > counts[_OPENING[last]]:
            counts[last] -= 1
        elif last not in _END:
            break
        end -= 1
    return raw[:end]


def _encoded(char: str) -> str:
    return char if char < "\x80" else "".join(f"%{byte:02X}" for byte in char.encode())
