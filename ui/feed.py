"""feed: how things reach the user: into the pane, at a time, with a notice.

Every room of Talk (contact, requests, messages, chatting, invitations) writes through the one Feed.
Before each key and each event the Menu sets `now`, and says in `seen` whether the user is looking.
Pure; nothing raises.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from ui.entries import DAY, Entry, Listing, Note, Settled, clock
from ui.pane import Pane
from ui.wishes import Notify, Wish

Hears: TypeAlias = dict[type, Callable[[Any], None]]    # by the type of an event: what a room does

# Changes that --plain has yet to print: two of each message in the pane.  A screen takes none.
SETTLED_MAX = 20_000
PART = 100              # rows of a table that are wrapped at once: 10 ms


class Feed:
    """The pane, as the rooms that write into it see it."""

    def __init__(self, pane: Pane) -> None:
        self.pane = pane
        self.now = 0                # microseconds since 1970, of this key or event
        self.place = ""             # the conversation that is open
        self.seen = True            # whether the user is looking at the end of the pane
        self.wishes: list[Wish] = []        # what the loop is to do
        self.alerts: list[Notify] = []      # of this event: for a user who is not looking
        self.settled: deque[Settled] = deque(maxlen=SETTLED_MAX)    # every change, in order

    def note(self, text: str, style: str = "notice") -> Note:
        """A line to the user from the client or the daemon."""
        note = Note(self.now, text, style)
        self._add(note)
        return note

    def revise(self, note: Note, text: str) -> bool:
        """The line says this now, and nothing else; whether it could: not on another day."""
        if clock(note.time, DAY) != clock(self.now, DAY):
            return False
        note.time, note.text, note.style = self.now, text, "notice"
        self.settle(Settled(note, "", text))
        return True

    def _add(self, note: Note) -> None:
        """A word of the client is shown in the conversation where it is said."""
        note.place = self.place
        self.pane.add(note)

    def add(self, entry: Entry, checked: bool = False) -> None:
        """What another user said; what a check brings is new even while the user is looking."""
        self.pane.add(entry, self.seen and not checked)

    def alert(self, event: str, who: str = "", text: str = "") -> None:
        """Something that a user who is elsewhere may want to know."""
        self.alerts.append(Notify(event, who, text))

    def wake(self, watched: bool) -> None:
        """Make a wish of the alerts; of many in a turn, the last one counts them."""
        alerts, self.alerts = self.alerts, []
        if alerts and not watched:
            times = len(alerts)
            if self.wishes and isinstance(last := self.wishes[-1], Notify):
                times += last.times
                del self.wishes[-1]
            self.wishes.append(alerts[-1]._replace(times=times))

    def take_wishes(self) -> list[Wish]:
        """The wishes since the last call."""
        wishes, self.wishes = self.wishes, []
        return wishes

    def add_own(self, entry: Entry) -> None:
        """What the user said; the pane goes to its end.  It is also shown where it was typed."""
        entry.place = self.place or None
        self.pane.add(entry)
        self.pane.to_end()

    def settle(self, change: Settled) -> None:
        """What the user said has another mark, or did not arrive; or a line says something else."""
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
        """Several, from the first row of the first one on.  A long one is in parts, for a part has
        rows only when it comes into view."""
        parts = [(head * (at == 0), items[at:at + PART], items)
                 for head, items in tables for at in range(0, len(items) or 1, PART)]
        for head, items, whole in parts:
            self._add(Listing(self.now, head, items, beside, whole))
        self.pane.to_last(len(parts))
