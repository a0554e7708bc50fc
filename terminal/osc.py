"""osc: sequences to a terminal that paint nothing: its title, its clipboard, its notifications.

They are made here and nowhere else, of printable ASCII: display() names what else a text may have,
and what is left outside of ASCII becomes `?`.  So no text can end a sequence that it is in.  A text
that stands in a field has no `;`, which would begin the next field.

In tmux, notify() and copy() send the sequence to the terminal around it, which tmux permits with
`allow-passthrough on`.
"""
from __future__ import annotations

import binascii

from terminal.display import display

TEXT_MAX = 200          # characters of a title or a notification
COPY_MAX = 64 * 1024    # bytes: xterm and tmux take more, others may not
ESC, ST = "\x1b", "\x1b\\"
KEEP_TITLE, OLD_TITLE = b"\x1b[22;2t", b"\x1b[23;2t"    # on the terminal's stack of titles


def plain(text: str) -> str:
    """A text as it may stand in a sequence."""
    shown = display(text[:TEXT_MAX])[:TEXT_MAX].replace(";", ",")
    return "".join(char if " " <= char <= "~" else "?" for char in shown)


def title(text: str) -> bytes:
    """Give the window this title."""
    return f"{ESC}]2;{plain(text)}{ST}".encode("ascii")


def copy(text: str, in_tmux: bool) -> bytes:
    """Put a text into the clipboard (OSC 52): only when the user asks for it."""
    data = binascii.b2a_base64(text.encode()[:COPY_MAX], newline=False).decode("ascii")
    return _sent(f"{ESC}]52;c;{data}{ST}", in_tmux, also_plain=True)


def notify(kind: str, head: str, text: str, in_tmux: bool) -> bytes:
    """Show a notification: `kind` is osc9 (iTerm2, kitty, WezTerm, Windows Terminal) or osc777
    (rxvt, foot, Ghostty, VTE of Fedora)."""
    if kind == "osc9":
        # ConEmu and others take a number and a `;` here for a command; plain() has no `;`
        return _sent(f"{ESC}]9;{plain(head)}: {plain(text)}{ST}", in_tmux)
    return _sent(f"{ESC}]777;notify;{plain(head)};{plain(text)}{ST}", in_tmux)


def _sent(sequence: str, in_tmux: bool, also_plain: bool = False) -> bytes:
    if not in_tmux:
        return sequence.encode("ascii")
    passed = f"{ESC}Ptmux;{sequence.replace(ESC, ESC + ESC)}{ST}"
    return ((sequence if also_plain else "") + passed).encode("ascii")
