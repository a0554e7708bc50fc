"""answers: what the connection of an operator's program is told: one report, in parts, and the end.
"""
from __future__ import annotations

import wire
from server.connection import Connection

PART = 12_000           # characters of JSON in one REPORT: less than TEXT_MAX, as it is ASCII
TOLD = "an operator was answered"      # why such a connection is closed: not worth a line


def answer(connection: Connection, code: int, text: str) -> None:
    """Tell the report, in parts, and close.  `code`: of sysexits(3); 0: the text is JSON, else a
    line that says why not."""
    if not connection.is_open:
        return
    parts = [text[at:at + PART] for at in range(0, len(text), PART)] or [""]
    connection.finish(TOLD, b"".join(
        wire.encode(wire.Report(part is parts[-1], code, part)) for part in parts))
