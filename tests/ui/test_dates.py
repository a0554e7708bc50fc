"""What users write for days: which microseconds that is, by the local clock."""
import unittest
from datetime import datetime

from tests.client.fake_link import NOON, Play
from ui.dates import Span, span

NOW = datetime(2026, 11, 26, 15, 30)        # a Thursday


def at(*when: int) -> int:
    return int(datetime(*when).timestamp()) * 1_000_000


class Dates(unittest.TestCase):
    def test_days_and_weeks(self) -> None:
        for text, begin, end in (
                ("today", (2026, 11, 26), (2026, 11, 27)),
                ("Yesterday", (2026, 11, 25), (2026, 11, 26)),
                ("wednesday", (2026, 11, 25), (2026, 11, 26)),
                ("thu", (2026, 11, 19), (2026, 11, 20)),        # not today
                ("Fri", (2026, 11, 20), (2026, 11, 21)),
                ("this week", (2026, 11, 23), (2026, 11, 30)),
                ("last-week", (2026, 11, 16), (2026, 11, 23)),
                ("last  week", (2026, 11, 16), (2026, 11, 23)),
                ("2026-11-21", (2026, 11, 21), (2026, 11, 22)),
                ("20261121", (2026, 11, 21), (2026, 11, 22))):
            self.assertEqual(span(text, NOW), Span(at(*begin), at(*end)), text)

    def test_times(self) -> None:
        for text, time in (("2026-11-21T14:02", at(2026, 11, 21, 14, 2)),
                           ("2026-11-21 14:02", at(2026, 11, 21, 14, 2)),
                           ("30d", at(2026, 10, 27, 15, 30)),
                           ("10m", at(2026, 11, 26, 15, 20)), ("1h", at(2026, 11, 26, 14, 30)),
                           ("2 hours ago", at(2026, 11, 26, 13, 30)),
                           ("2w", at(2026, 11, 12, 15, 30)), ("1y", at(2025, 11, 26, 15, 30)),
                           ("14:02", at(2026, 11, 26, 14, 2)),
                           ("16:00", at(2026, 11, 25, 16, 0)),      # not in half an hour
                           ("today 16:00", at(2026, 11, 26, 16, 0)),
                           ("Yesterday 9:05", at(2026, 11, 25, 9, 5)),
                           ("mon 14:00", at(2026, 11, 23, 14, 0)),
                           ("1970-01-01T00:00:01Z", 1_000_000)):
            self.assertEqual(span(text, NOW), Span(time, time), text)

    def test_no_dates(self) -> None:
        for text in ("", "soon", "week", "last", "frid", "999999d", "2026-13-01",
                     "0000-01-01", "20", "d", "25:00", "9:60", "soon 9:00", "99999y", "1x", "h",
                     "1h30"):
            self.assertIsNone(span(text, NOW), text)

    def test_history_of_a_day(self) -> None:
        """/history bob yesterday; a number is a number, and a name a name."""
        play = Play().online("bob")
        asked: list[tuple[object, ...]] = []
        play.link.between = lambda *given: asked.append(given) or []      # type: ignore
        for line, name in (("/history bob yesterday", "bob"), ("/history last week", ""),
                           ("/history bob 2026-11-20", "bob"), ("/history monday", ""),
                           ("/history bob 30d", "bob"), ("/history bob 8w", "bob"),
                           ("/history 1y", "")):
            play.enter(line)
            self.assertIn("there are no messages", play.error)
            begin, end, _, with_whom = asked.pop()
            self.assertEqual(with_whom, name, line)
            self.assertLess(begin, end)             # type: ignore[operator]
            play.press("<C-u>")
        self.assertLessEqual(end, NOON + 1)         # type: ignore[operator]
        for line in ("/history bob 5", "/history 20", "/history bob"):
            play.enter(line)
            play.press("<C-u>")
        self.assertEqual(asked, [])


if __name__ == "__main__":
    unittest.main()
