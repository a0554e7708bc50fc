"""known: the log of names, as far as the daemon has told it.

The log comes in pages after login; then the daemon sends each name that changes.
"""
from __future__ import annotations

import wire
from wire import ProtocolError


class Known(dict[str, wire.Entry]):
    """The entries, by name as first registered.  `is_whole`: the last page has come."""

    def __init__(self) -> None:
        super().__init__()
        self.is_whole = False

    def hear(self, said: wire.Roster) -> None:
        """A page or a change.  Raises ProtocolError for a log that is too large."""
        self.update({entry.name: entry for entry in said.entries})
        if len(self) > wire.LOG_MAX:
            raise ProtocolError(f"a log of more than {wire.LOG_MAX} names")
        if said.last and not said.request:
            self.is_whole = True

    def forget(self) -> None:
        """Another store has another log."""
        self.clear()
        self.is_whole = False
