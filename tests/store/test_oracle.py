"""The oracle sees each fault that it names, and no other."""
import unittest

from tests.store.oracle import Found, Oracle


class Sees(unittest.TestCase):
    def setUp(self) -> None:
        """ann sent 1 to 4 to bob: 1 and 2 are acknowledged, 3 has no answer, 4 is refused; bob
        deleted 1."""
        self.oracle = Oracle()
        for origin in range(1, 5):
            self.oracle.trying("ann", origin, ["bob"], f"text {origin}")
        self.oracle.acknowledge("ann", 1, 2)
        self.oracle.refuse("ann", 4)
        self.oracle.ask("bob", [("ann", 1)])

    def sees(self, *origins: int, first: int = 10, reader: str = "bob") -> list[str]:
        """The kinds of the faults when these wait."""
        waiting = [Found(first + at, "ann", origin, f"text {origin}")
                   for at, origin in enumerate(origins)]
        return [fault.split(":")[0] for fault in self.oracle.judge(reader, waiting)]

    def test_nothing_wrong(self) -> None:
        # 3 may be there, and 1 as long as it is not confirmed
        for origins in ((2,), (2, 3), (1, 2), (1, 2, 3)):
            self.setUp()
            self.assertEqual(self.sees(*origins), [])

    def test_lost(self) -> None:
        self.assertEqual(self.sees(), ["lost"])
        self.assertEqual(self.sees(3), ["lost"])

    def test_came_back(self) -> None:
        self.oracle.confirm("bob", [("ann", 1)])
        self.assertEqual(self.sees(2), [])
        self.assertEqual(self.sees(1, 2, first=20), ["came back"])

    def test_invented(self) -> None:
        self.assertEqual(self.sees(2, 9), ["invented"])
        self.assertEqual(self.sees(2, 4), ["invented"])
        self.assertEqual(self.sees(2, reader="carol"), ["invented"])
        self.assertEqual(self.oracle.judge("bob", [Found(10, "ann", 2,
                                                         "another")])[0].split(":")[0], "invented")

    def test_doubled(self) -> None:
        self.assertEqual(self.sees(2, 2), ["doubled"])

    def test_disorder(self) -> None:
        self.assertEqual(self.sees(3, 2), ["disorder"])
        backwards = [Found(11, "ann", 2, "text 2"), Found(10, "ann", 3, "text 3")]
        self.assertEqual(self.oracle.judge("bob", backwards)[0].split(":")[0], "disorder")

    def test_id_reused(self) -> None:
        self.assertEqual(self.sees(2, first=10), [])
        # a copy, stored once more after a power cut
        self.assertEqual(self.sees(2, first=20), [])
        self.assertEqual(self.sees(2, 3, first=9), ["id reused"])

    def test_refused_and_sent_again(self) -> None:
        self.oracle.acknowledge("ann", 4, 4)
        self.assertEqual(self.sees(2, 3, 4), [])


if __name__ == "__main__":
    unittest.main()
