"""frames: what the live table looks like, as pure functions."""
from __future__ import annotations

import time
from collections.abc import Sequence

from rules.table import Row
from terminal.display import clip, display, pad, width

STATE_MAX = 46              # columns that the state may take from the address: "chatting with" and
                            # the longest name
MARK = "> "                 # before the row that is chosen


def clock_of(micros: int, now: int) -> str:
    """A time as a person at the console reads it: the hour today, else the day."""
    then, today = time.localtime(micros / 1e6), time.localtime(now / 1e6)
    if then[:3] == today[:3]:
        return time.strftime("%H:%M:%S", then)
    return time.strftime("%d %b" if then[0] == today[0] else "%b %Y", then)


def status_lines(rows: Sequence[Row], more: int, columns: int, now: int, chosen: int = -1
                 ) -> list[str]:
    """The live table, clipped to the columns: a heading, one row per name, and how many names are
    not shown (`more`).  `chosen`: the row with the mark; -1: there are no marks."""
    names = max([8, *(width(row.name) for row in rows)])
    states = min(STATE_MAX, max([20, *(width(row.state) for row in rows)]))

    def line(name: str, since: str, waiting: object, state: str, address: str) -> str:
        state += " " * (states - width(state))      # a longer state is whole, the address pays
        return f"{pad(name, names)}  {since:8}  {waiting:>7}  {state}  {address}"

    lines = [line("username", "since", "waiting", "state", "address")]
    for row in rows:
        since = clock_of(row.since, now) if row.since else "never"
        lines.append(line(display(row.name), since, row.waiting, display(row.state),
                          display(row.address)))
    if chosen >= 0:
        lines = [(MARK if number == chosen + 1 else " " * len(MARK)) + line
                 for number, line in enumerate(lines)]
    if more:
        lines.append(f"and {more} more")
    return [clip(line.rstrip(), columns) for line in lines]


def counts_of(refused: int, cut: int) -> str:
    """What the title says of what went wrong."""
    return f", {refused} refused" * bool(refused) + f", {cut} put out" * bool(cut)


def frame(title: str, table: list[str], log: Sequence[str], size: tuple[int, int]) -> list[str]:
    """A whole screen: the title, the table, a rule, and the newest lines of the log below it."""
    columns, rows = size
    top = [title, *table][:rows]
    room = rows - len(top) - 1
    lines = [clip(line, columns) for line in list(log)[-room:]] if room > 0 else []
    rule = ["-" * columns] if room >= 0 else []
    return [clip(line, columns) for line in top] + rule + lines + [""] * (room - len(lines))


def table_rows(rows: int) -> int:
    """How many names fit: half of the screen, less title, heading and the line "and N more"."""
    return max(1, rows // 2 - 3)
