"""findings: what --salvage can read of a damaged store, and what it reports about the rest."""

from __future__ import annotations

from store.journal import Record
from store.mail import Mail


class Findings:
    """Everything that was read, and the lines of the report."""

    def __init__(self) -> None:
        # records of users from the segments (seq 0), then the records of the journals
        self.entries: list[Record] = []
        self.mails: dict[int, dict[int, Mail]] = {}  # of the segments: by user, by id
        self.lines: list[str] = []
        self.losses = 0

    def say(self, line: str) -> None:
        """Report damage that cost nothing."""
        self.lines.append(line)

    def lost(self, line: str) -> None:
        """Report that something may be missing now."""
        self.lines.append(line)
        self.losses += 1
