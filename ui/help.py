"""help: what /help tells besides the commands: the keys, and the marks.

Tables of (what, about), in the order in which they are shown.
"""
from __future__ import annotations

from ui.entries import DELIVERED, REFUSED, SENT, STORED

KEYS = [
    ("F1 ?", "this help; ? at the menu"),
    ("Enter", "do what the prompt says"),
    ("M-Enter", "another row of the text; M-x: Alt and x"),
    ("Esc", "one step back; a text that was begun is kept"),
    ("Tab", "complete a name or a command, the last heard first"),
    ("PageUp PageDown", "scroll, as the wheel does; M-< oldest, M-> newest"),
    ("Up Down", "the lines you typed before; also C-p C-n"),
    ("M-a M-r", "to what is new elsewhere; answer all who got a message"),
    ("M-7 M-8 M-9", "accept, deny, withdraw an invitation; a text stays"),
    ("C-a C-e M-b M-f", "to the beginning, the end; a word back, forward"),
    ("C-k C-u C-w M-d", "delete to the end, the beginning; a word back, on"),
    ("C-y C-t", "insert what was deleted; exchange two characters"),
    ("C-c", "clear the line; in an empty one, twice: leave"),
    ("C-l C-z", "paint again; to the shell, where fg comes back"),
]
WIDER = [
    ("", "nobody can be added to a chat, or to a group chat, that has begun"),
    ("", "to have more people in it: /quit, then /group bob,erin,dan invites all of them"),
    ("", "a room is open to who comes later: /join #ops, and the others do the same")]
MORE = {"chat": WIDER, "group": WIDER}      # what /help WORD adds to the row of a command
MARKS = [
    (SENT, "sent: the daemon has not answered yet"),
    (STORED, "stored on the daemon's disk"),
    (DELIVERED, "shown to all its recipients"),
    (REFUSED, "refused: the reason is below it"),
    ("|", "goes on with the row above"),
]
