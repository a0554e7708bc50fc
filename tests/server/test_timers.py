"""Timers: each is looked at in its second and at no other time, and who is gone stands nowhere."""
import random
import unittest

import wire
from server.timers import NEVER, Timers
from tests.harness.service import Service


class One:
    def __init__(self):
        self.due = NEVER


class TestRounds(unittest.TestCase):
    def setUp(self):
        self.timers = Timers()
        self.ann, self.bob, self.eve = One(), One(), One()

    def test_in_their_seconds(self):
        self.timers.put(self.ann, 7.9)
        self.timers.put(self.bob, 8.0)
        self.timers.put(self.eve, 7.1)
        self.assertEqual([self.timers.take(now) for now in (0.0, 6.99)], [[], []])
        self.assertEqual(self.timers.take(7.0), [self.ann, self.eve])
        self.assertEqual([self.timers.take(now) for now in (7.5, 100.0, 101.0)],
                         [[], [self.bob], []])

    def test_the_last_word_counts(self):
        self.timers.put(self.ann, 5)
        self.timers.put(self.ann, 9)
        self.assertEqual(self.timers.take(5), [])
        self.timers.put(self.ann, 3)
        self.assertEqual([self.timers.take(5), self.timers.take(9)], [[self.ann], []])

    def test_who_was_dropped(self):
        self.timers.drop(self.ann)
        for one in (self.ann, self.bob):
            self.timers.put(one, 5)
        self.timers.drop(self.ann)
        self.assertEqual(self.timers.take(9), [self.bob])
        self.timers.drop(self.bob)
        self.timers.put(self.ann, 9)
        self.assertEqual(self.timers.take(9), [self.ann])
        self.assertEqual(NEVER, {})

    def test_against_a_list(self):
        chance, expected, now = random.Random(7), {}, 0
        crowd = [One() for _ in range(50)]
        for _ in range(2000):
            one, at = chance.choice(crowd), now + chance.uniform(-2, 30)
            what = chance.randrange(4)
            if what == 0:
                self.timers.drop(one)
                expected.pop(one, None)
            elif what == 1:
                now += chance.random()
                due = {one for one, at in expected.items() if int(at) <= now}
                taken = self.timers.take(now)
                self.assertEqual((set(taken), len(taken)), (due, len(due)))
                for one in due:
                    del expected[one]
            else:
                self.timers.put(one, at)
                expected[one] = at


class InTheDaemon(unittest.TestCase):
    def test_nobody_is_looked_at_before_his_time(self):
        """A sweep over many who are silent for a moment looks at none of them; each is asked once,
        and then gone."""
        with Service() as service:
            clients = [service.user(f"u{number}") for number in range(20)]
            looks, look = [], service.daemon.heartbeat.check
            service.daemon.heartbeat.check = (lambda connection, now:
                                              looks.append(connection) or look(connection, now))
            for _ in range(int(service.limits.silence_seconds) - 2):
                service.forward(1)
            self.assertEqual(looks, [])
            clients[0].say(wire.Ping(1))
            for _ in range(3):
                service.forward(1)
            clients[0].hears(wire.Pong)
            self.assertEqual([len(client.hears_all(wire.Ping)) for client in clients],
                             [0] + [1] * 19)
            self.assertLessEqual(len(looks), 2 * 20)

    def test_who_is_gone_stands_nowhere(self):
        with Service() as service:
            for number in range(20):
                service.user(f"u{number}").sock.close()
                service.run()
            self.assertEqual((service.daemon.connections, len(service.daemon.strangers)), ({}, 0))
            service.forward(1)
            self.assertEqual(service.daemon.heartbeat.timers._seconds, {})


if __name__ == "__main__":
    unittest.main()
