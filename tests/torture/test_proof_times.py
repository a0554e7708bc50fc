"""A sample of proof_times.py: what the time of an answer tells of a name."""
import unittest

from tests.harness.process import effort, say_figures
from tests.torture.proof_times import proof_times

TRIES = effort(2_000, 150)      # 150 tell what is 31 % apart; without the mending 44 % were


class ProofTimesTest(unittest.TestCase):
    def test_a_claimed_name_is_answered_as_a_kept_one(self) -> None:
        told, can_be_told = proof_times(TRIES)
        say_figures("\n".join(told))
        self.assertFalse(can_be_told, told)


if __name__ == "__main__":
    unittest.main()
