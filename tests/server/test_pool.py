"""Pools alone: who has to go, by listener and host."""
import random
import unittest
from collections import Counter
from typing import NamedTuple

from rules.state import Caller
from server.pool import Pool


class One(NamedTuple):
    place: str
    caller: Caller
    number: int


def one(number, host="a", place="p"):
    return One(place, Caller(f"{host}:1"), number)


class Pools(unittest.TestCase):
    def put(self, pool, member):
        """As its users do: the one that has to go, goes."""
        if other := pool.add(member):
            pool.remove(other)
        return other

    def test_of_one_host(self):
        pool = Pool(100, 3)
        first = [one(n) for n in range(3)]
        self.assertEqual([self.put(pool, each) for each in first], [None] * 3)
        self.assertIsNone(self.put(pool, one(9, "b")))
        self.assertIsNone(self.put(pool, one(9, "a", "q")))
        self.assertEqual([self.put(pool, one(n)) for n in range(3, 6)], first)

    def test_of_one_listener(self):
        """The host that has most gives a place, and not the newcomer's."""
        pool = Pool(4, 3)
        members = [one(1, "a"), one(2, "b"), one(3, "b"), one(4, "c")]
        self.assertEqual([self.put(pool, each) for each in members], [None] * 4)
        self.assertIsNone(self.put(pool, one(5, "a", "q")))
        self.assertEqual(self.put(pool, one(6, "d")), members[1])

    def test_again(self):
        """One that comes again is the last."""
        pool = Pool(9, 2)
        first, second, third = (one(n) for n in range(3))
        for each in first, second, first:
            self.assertIsNone(self.put(pool, each))
        self.assertEqual(self.put(pool, third), second)

    def test_a_walk(self):
        """Against a list: never more than may be, and whoever goes was the first of its host."""
        chance, pool, model = random.Random(7), Pool(12, 4), []
        for number in range(3000):
            if model and chance.random() < 0.3:
                gone = chance.choice(model)
                pool.remove(gone)
                model.remove(gone)
                continue
            new = one(number, chance.choice("abcdefgh"), chance.choice("pq"))
            gone = self.put(pool, new)
            model.append(new)
            if gone:
                self.assertEqual(gone, next(each for each in model if each.place == new.place
                                            and each.caller == gone.caller))
                model.remove(gone)
            self.assertEqual(list(pool), model)
            by_host = Counter((each.place, each.caller) for each in model)
            self.assertLessEqual(max(by_host.values()), 4)
            self.assertLessEqual(max(Counter(each.place for each in model).values()), 12)
        for each in model:
            pool.remove(each)
        self.assertEqual((pool._hosts, pool._places), ({}, {}))


if __name__ == "__main__":
    unittest.main()
