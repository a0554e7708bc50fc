"""Some seconds of end_to_end.py: kill -9 of the daemon and of its clients, under load."""
import unittest

from tests.harness.process import effort, say_figures
from tests.torture.end_to_end import end_to_end

# The later ones, where a busy machine did nothing in the first.
SECONDS = effort(3.0, 1.0), 20.0, 60.0
SEED = 11


class EndToEndTest(unittest.TestCase):
    def test_nothing_acknowledged_is_lost_and_nothing_is_shown_twice(self) -> None:
        for seconds in SECONDS:
            report, rate, faults = end_to_end(seconds, SEED)
            say_figures(report)
            self.assertEqual(faults, [])
            if rate:
                return
        self.fail("nothing was acknowledged")


if __name__ == "__main__":
    unittest.main()
