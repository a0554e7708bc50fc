"""wishes: what the loop is to do for the user, for it has the terminal and may start programs.

The Menu is pure: a command, or something that came, leaves a wish behind, and granting.py takes it
at the end of the turn.
"""
from __future__ import annotations

from typing import NamedTuple, TypeAlias


class Copy(NamedTuple):
    """Put a web address into the clipboard."""
    url: str


class Bare(NamedTuple):
    """Show a web address unbroken, without the screen around it."""
    url: str


class Open(NamedTuple):
    """Give a web address to the user's program."""
    url: str


class Notify(NamedTuple):
    """Something happened that a user who is elsewhere may want to know at once."""
    event: str          # message, invitation, here, lost
    who: str = ""       # the user it is about
    text: str = ""      # what they wrote
    times: int = 1      # how many things, of which this is the last


Wish: TypeAlias = Copy | Bare | Open | Notify
