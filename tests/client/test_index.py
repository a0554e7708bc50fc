"""The index of an archive: it finds what was added, in memory or in its file; a damaged one is
found out.
"""
import contextlib
import os
import random
import tempfile
import unittest
from unittest import mock

from client import index
from client.index import Index, Unusable
from tests.harness.process import effort


class Files(unittest.TestCase):
    def setUp(self) -> None:
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.path = os.path.join(place.name, "index")

    def folded(self, found: Index, upto: int = 0) -> Index:
        """The same from a file."""
        data = b"".join(found.folded(upto, (1, 2)))
        found.close()
        return self.loaded(data)

    def loaded(self, data: bytes) -> Index:
        with open(self.path, "wb") as file:
            file.write(data)
        fd = os.open(self.path, os.O_RDONLY)
        try:
            loaded = Index.load(fd)
        except BaseException:
            os.close(fd)
            raise
        self.addCleanup(loaded.close)
        return loaded

    def test_against_a_dictionary(self) -> None:
        """Senders, instances with holes, copies at two places, folded again and again."""
        chance = random.Random(3)
        found, model = Index(), dict[index.Key, set[int]]()
        for place in range(6000):
            sender = chance.choice(("ann", "bob", "Z.-", "\u6c34", ""))
            instance = chance.choice((0, 1, 7, 2**32 - 1))
            origin = instance << 32 | chance.choice((place, chance.randrange(6000)))
            found.add(sender, origin, place)
            model.setdefault((sender, origin), set()).add(place)
            if not place % 1100:
                found = self.folded(found, place)
                self.assertEqual((found.upto, found.sign, found.recent), (place, (1, 2), 0))
            if not place % 50:
                self.compare(found, model, chance)
        self.compare(found, model, chance)
        for key, places in model.items():
            self.assertEqual(set(found.places(*key)), places)

    def compare(self, found: Index, model: dict[index.Key, set[int]],
                chance: random.Random) -> None:
        known = chance.sample(sorted(model), min(len(model), 20))
        strangers = [(sender, origin + chance.choice((-1, 1, 2**32))) for sender, origin in known]
        for key in (*known, *((s, o) for s, o in strangers if 0 <= o < 2**64), ("carol", 5)):
            self.assertEqual(set(found.places(*key)), model.get(key, set()), key)

    def test_the_ends_of_blocks(self) -> None:
        for count in (1, index.ROWS - 1, index.ROWS, index.ROWS + 1, 3 * index.ROWS):
            found = Index()
            for n in range(count):
                found.add("ann", n << 32, n)
            found = self.folded(found)
            self.assertEqual([list(found.places("ann", n << 32)) for n in range(count)],
                             [[n] for n in range(count)])
            self.assertEqual(list(found.places("ann", count << 32)), [])

    def test_what_is_new_is_told_without_a_look_at_the_file(self) -> None:
        found = Index()
        for n in range(1000):
            found.add("ann", 5 << 32 | n, n)
        found = self.folded(found)
        self.assertTrue(found.is_new("ann", 5 << 32 | 1000))
        with mock.patch("os.pread", side_effect=AssertionError("it was read")):
            for n in range(1001, 2000):
                self.assertTrue(found.is_new("ann", 5 << 32 | n))
        self.assertFalse(found.is_new("ann", 5 << 32 | 999))

    def test_every_byte_counts(self) -> None:
        found, keys = Index(), [("ann", n << 32 | 1) for n in range(index.ROWS + 50)]
        for place, key in enumerate(keys):
            found.add(*key, place)
        data = b"".join(found.folded(1, (1, 2)))
        used = 50 * index.SIZE + index.CRC.size
        # the unused part of the last block
        idle = range(index.START + index.BLOCK + used, index.START + 2 * index.BLOCK)
        for at in range(0, len(data), effort(7, 29)):
            broken = bytearray(data)
            broken[at] ^= 1
            try:
                loaded = self.loaded(broken)
                with contextlib.closing(loaded):
                    self.assertEqual([list(loaded.places(*key)) for key in keys],
                                     [[n] for n in range(len(keys))])
                self.assertIn(at, idle)
            except Unusable:
                self.assertNotIn(at, idle)

    def test_cut_short(self) -> None:
        found = Index()
        for n in range(300):
            found.add("ann", n << 32, n)
        data = b"".join(found.folded(1, (1, 2)))
        for size in range(0, len(data), 97):
            with self.assertRaises(Unusable):
                self.loaded(data[:size])


if __name__ == "__main__":
    unittest.main()
