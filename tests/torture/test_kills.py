"""A sample of kills.py: SIGKILL at some of the system calls of a daemon's life, and of a
recovery."""
import os
import signal
import tempfile
import unittest

from tests.harness.process import say_figures
from tests.harness.terminals import needs
from tests.torture.kills import Life, count_life, count_recovery, kill_in_life, kill_in_recovery
from tests.torture.strace import calls, inject

POINTS, STARTS = 5, 3       # of a life, and of a recovery; all of them: `make torture`


@needs("strace")
class Kills(unittest.TestCase):
    def test_some_of_the_calls_of_a_life_and_of_a_recovery(self) -> None:
        points, events = count_life()
        say_figures(f"a life has {len(points)} calls, in it {events}")
        # a life on a busy machine makes fewer calls of a kind than another
        most = dict(sorted(points))
        points = [point for point in points if point.number <= 0.7 * most[point.call] + 1]
        some = points[::len(points) // POINTS]
        with tempfile.TemporaryDirectory(prefix="parley-kills-") as directory:
            middle = some[len(some) // 2]
            deaths = [kill_in_life(point) for point in some if point != middle]
            deaths.append(kill_in_life(middle, directory + "/base"))
            starts = count_recovery(directory + "/base")
            deaths += [kill_in_recovery(point, directory + "/base")
                       for point in starts[::len(starts) // STARTS]]
        self.assertEqual([fault for death in deaths for fault in death.faults], [])
        self.assertGreaterEqual(sum(death.reached for death in deaths), (POINTS + STARTS) * 3 // 4)

    def test_a_life_that_is_killed_is_known_to_be(self) -> None:
        """The tool bites: what is injected happens, at its place and nowhere before."""
        with Life([inject("fdatasync", 3, "signal=SIGKILL")]) as life:
            # EX_SOFTWARE: the process that syncs is gone
            self.assertIn(life.live(), (-signal.SIGKILL, os.EX_SOFTWARE))
            self.assertTrue(life.was_killed())
            done = [call for call in calls(life.log) if call.name == "fdatasync"]
            self.assertEqual(len(done), 3)
            self.assertIn("?", done[-1].text)       # it has no result


if __name__ == "__main__":
    unittest.main()
