"""A few rounds of random_clients.py: real sockets, kill -9, TERM, SIGSTOP."""
import unittest

from tests.harness.process import say_figures
from tests.torture.random_clients import over_sockets

USERS, MESSAGES = 10, 1500      # 120 and 60,000: `make torture`
SEED = 4


class RandomClients(unittest.TestCase):
    def test_what_waits_is_what_they_know(self) -> None:
        report, faults = over_sockets(SEED, USERS, MESSAGES)
        say_figures(report)
        self.assertEqual(faults, [])


if __name__ == "__main__":
    unittest.main()
