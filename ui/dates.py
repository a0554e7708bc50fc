"""dates: what a user writes for a day or a time, by the local clock.

A Span is from its first microsecond to the one behind its last: a day from midnight to midnight, a
week from Monday to Monday.  A time alone is an empty span.  So `--since` takes the begin of a span,
and `--until` the end: both days that a user names belong to what is shown.
"""
from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from client.letters import EPOCH, MICROSECOND

WRITTEN = ("2026-11-21, '2026-11-21 14:02', 14:02, today, yesterday, monday, last-week, or how "
           "long ago: 10m, 1h, 30d, 2w, 1y")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAY = r"\d{4}-?\d\d-?\d\d"
AGO = r"(\d{1,5}) ?(m|min|minutes?|h|hours?|d|days?|w|weeks?|y|years?)(?: ago)?"
CLOCK = r"(?:(.+) )?(\d\d?):(\d\d)"
SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}


class Span(NamedTuple):
    """Microseconds since 1970."""
    begin: int
    end: int                # not of it any more


def span(text: str, now: datetime | None = None) -> Span | None:
    """What these words stand for; None: no date.  A weekday is the last one before today, and a
    time alone the last such time."""
    now = now or datetime.now()
    words = re.sub(r"[-\s]+", " ", text.strip().lower())
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        if days := _named(words, today):
            return Span(_moment(days[0]), _moment(days[1]))
        if ago := re.fullmatch(AGO, words):
            return _at(now - timedelta(seconds=int(ago[1]) * SECONDS[ago[2][0]]))
        if (time := re.fullmatch(CLOCK, words)) and (on := _named(time[1] or "today", today)):
            begin = on[0].replace(hour=int(time[2]), minute=int(time[3]))
            return _at(begin - timedelta(not time[1] and begin > now))
        begin = datetime.fromisoformat(text.strip())
        if re.fullmatch(DAY, text.strip()):
            return Span(_moment(begin), _moment(begin + timedelta(1)))
        return _at(begin)
    except (ValueError, OverflowError):
        return None


def _named(words: str, today: datetime) -> tuple[datetime, datetime] | None:
    """The midnights between which these days are, if the words name days."""
    day, monday = timedelta(1), today - timedelta(today.weekday())
    days = {"today": (today, today + day), "yesterday": (today - day, today),
            "this week": (monday, monday + 7 * day), "last week": (monday - 7 * day, monday)}
    for number, weekday in enumerate(WEEKDAYS):
        if words in (weekday, weekday[:3]):
            begin = today - day * ((today.weekday() - number - 1) % 7 + 1)
            return begin, begin + day
    return days.get(words)


def _at(time: datetime) -> Span:
    return Span(_moment(time), _moment(time))


def _moment(time: datetime) -> int:
    return max(0, (time.astimezone(UTC).replace(tzinfo=None) - EPOCH) // MICROSECOND)
