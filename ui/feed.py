"""feed: how things reach the user: into the pane, at a time, with the bell.

Every room of Talk (contact, requests, messages, chatting, invitations) writes through the one Feed.
Before each key and each event the Menu sets `now`, and says in `seen` whether the user is looking.
Pure; nothing raises.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from ui.entries import Entry, Listing, Note, Settled
from ui.pane import Pane

Hears: TypeAlias = dict[type, Callable[[Any], None]]    # by the type of an event: what a room does

# Changes that --plain has yet to print: two of each message in the pane.  A screen takes none.
SETTLED_MAX = 20_000


class Feed:
    """The pane, as the rooms that write into it see it."""

    def __init__(self, pane: Pane) -> None:
        self.pane = pane
        self.now = 0                # microseconds since 1970, of this key or event
        self.seen = True            # whether the user is looking at the end of the pane
        self.ring = False           # whether the bell should sound
        self.settled: deque[Settled] = deque(maxlen=SETTLED_MAX)    # every change, in order

    def note(self, text: str, style: str = "notice") -> None:
        """A line to the user from the client or the daemon."""
        self.pane.add(Note(self.now, text, style))

    def add(self, entry: Entry, checked: bool = False) -> None:
        """What another user said; what a check brings is new even while the user is looking."""
        self.pane.add(entry, self.seen and not checked)

    def add_own(self, entry: Entry) -> None:
        """What the user said; the pane goes to its end."""
        self.pane.add(entry)
        self.pane.to_end()

    def settle(self, change: Settled) -> None:
        """What the user said has another mark, or did not arrive."""
        self.pane.changed(change.entry)
        self.settled.append(change)

    def take_settled(self) -> list[Settled]:
        """The changes since the last call."""
        settled = list(self.settled)
        self.settled.clear()
        return settled

    def show(self, head: str, items: list[tuple[str, str]], beside: bool = True) -> None:
        """A table that the user asked for, from its first row on.

        `beside`: rows may stand side by side."""
        self.show_tables([(head, items)], beside)

    def show_tables(self, tables: Sequence[tuple[str, list[tuple[str, str]]]],
                    beside: bool = True) -> None:
        """Several, from the first row of the first one on."""
        for head, items in tables:
            self.pane.add(Listing(self.now, head, items=items, beside=beside))
        self.pane.to_last(len(tables))
