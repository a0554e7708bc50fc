"""Every byte of a store changed, and what --salvage then brings out: test_salvage.py, which leaves
many out.

    python -m tests.torture.every_flip          or `make torture`
"""
import sys
import unittest
from unittest import mock

from tests.store import test_salvage


def main(arguments: list[str]) -> int:
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(test_salvage.EveryFlip)
    with mock.patch.dict(test_salvage.STEPS, {"manifest": 1, "journal.": 1, "segment.": 1}):
        result = unittest.TextTestRunner(stream=sys.stdout).run(suite)
    print(f"every flip: {test_salvage.CARVED}: "
          f"{'nothing is wrong' if result.wasSuccessful() else 'FAILED'}")
    return int(not result.wasSuccessful())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
