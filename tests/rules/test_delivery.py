"""Messages on their way: clients at random beside a model (delivery_walk.py), and what that has
found."""
import tempfile
import unittest
from collections import Counter
from unittest.mock import patch

import wire
from mailbox import Mailbox
from net.bodies import body_of
from rules import delivery
from rules.state import Caller
from store.mail import singles
from tests.client.correspondence import House as SlowHouse
from tests.harness.process import effort, say_figures
from tests.rules.delivery_walk import walk
from tests.rules.test_store import House
from wire import Feature

EVER = 2**64 - 1
WALKS, STEPS = effort(100, 5), effort(400, 150)
FIRST = 2                       # a seed: the five from here see all that a walk can
# Of what a walk of the sample must have seen, each at least so often.
SEEN = {"live": 500, "checked": 1000, "checks": 50, "quiet moments": 20, "kills": 1,
        "refused batches": 10, "manifests": 20, "full mailboxes": 20, "slices": 20, "resumed": 50,
        "errands": 50, "taken": 3, "statuses": 10, "new": 5, "rooms made": 5, "rooms closed": 1,
        "joined": 50, "left": 10, "lines": 100, "past": 100, "recalls": 20, "lists of rooms": 10,
        "not admitted any more": 1, "in the group no more": 1, "upgrades": 5}


class Walks(unittest.TestCase):
    def test_clients_at_random(self):
        """At every quiet moment WAITING is what a check brings, every message is on its way or
        waits, nothing was shown twice, in disorder, or not at all, and each client knows the rooms
        of its user and who is away."""
        total = Counter[str]()
        for seed in range(FIRST, FIRST + WALKS):
            total.update(walk(seed, STEPS))
        say_figures(f"delivery: {WALKS} walks agree with the model; {dict(total)}")
        self.assertEqual([what for what, least in SEEN.items() if total[what] < least], [])


class TheCount(unittest.TestCase):
    """The number that WELCOME and WAITING tell, and the check after it."""

    def holding(self):
        house = House("ann", "bob")
        ann, bob = house.people.values()
        house.say(bob, wire.Hold(1, 1))
        house.turn()
        bob.told.clear()
        return house, ann, bob

    def numbers(self, person):
        """What a user was told of the number, and of a check, in order."""
        return [(type(said).__name__, getattr(said, "total", None)) for said in person.told
                if isinstance(said, wire.Waiting | wire.Mail | wire.Checked)]

    def test_what_came_before_the_check_in_one_turn(self):
        house, ann, bob = self.holding()
        house.send(ann, "one", "bob")
        house.say(bob, wire.Check(2))
        house.turn()
        self.assertEqual(self.numbers(bob), [("Waiting", 1), ("Mail", None), ("Checked", 1)])

    def test_what_came_behind_it_in_one_turn(self):
        house, ann, bob = self.holding()
        house.say(bob, wire.Check(2))
        house.send(ann, "one", "bob")
        house.turn()
        self.assertEqual(self.numbers(bob), [("Waiting", 1), ("Mail", None), ("Checked", 1)])

    def test_what_was_confirmed_before_it_in_one_turn(self):
        house, ann, bob = self.holding()
        for text in "one", "two":
            house.send(ann, text, "bob")
        house.say(bob, wire.Check(2))
        house.turn()
        bob.told.clear()
        house.say(bob, wire.Confirm(min(bob.mail), min(bob.mail)))
        house.say(bob, wire.Check(3))
        house.turn()
        self.assertEqual(self.numbers(bob), [("Waiting", 1), ("Mail", None), ("Checked", 1)])

    def test_a_check_while_the_window_is_full(self):
        """It begins when there is room, and brings what waits then."""
        with patch.object(delivery, "WINDOW", 2):
            house, ann, bob = self.holding()
            house.say(bob, wire.Hold(2, 0))
            house.turn()
            for text in "one", "two":                       # live, and not confirmed
                house.send(ann, text, "bob")
            house.say(bob, wire.Hold(3, 1))
            house.turn()
            house.say(bob, wire.Hold(3, 0))
            for text in "three", "four":
                house.send(ann, text, "bob")
            house.turn()
            bob.told.clear()
            house.say(bob, wire.Hold(4, 1))
            house.say(bob, wire.Check(5))
            house.turn()
            self.assertEqual(self.numbers(bob), [("Waiting", 4)])
            house.send(ann, "five", "bob")
            house.turn()
            house.say(bob, wire.Confirm(min(bob.mail), max(bob.mail)))
            house.turn()
            self.assertEqual(self.numbers(bob), [
                ("Waiting", 4), ("Waiting", 5), ("Waiting", 3), ("Mail", None), ("Mail", None)])

    def test_while_welcome_waits_for_the_disk(self):
        with SlowHouse(1) as house:
            ann = house.user("ann")
            house.user("bob").hang_up()
            house.slow()
            ann.send("ann", "what the disk has to do")
            bob = house.client("bob", features=Feature.HOLD)
            for text in "one", "two":
                ann.send("bob", text)
            bob.hears_nothing()
            house.quick()
            bob.hears(wire.Welcome, waiting=2)
            bob.say(wire.Check(1))
            self.assertEqual(len(bob.hears_all(wire.Mail)), 2)
            bob.hears(wire.Checked, total=2)


class Ghosts(unittest.TestCase):
    def test_one_that_was_taken_over_before_its_welcome(self):
        """It is sent nothing of what comes to the one after it."""
        house = House("ann")
        board, hello = house.board, wire.Hello(wire.VERSION, Feature.RECEIPTS, b"t" * 16, "bob")
        first = board.door.enter(hello, Caller("test:1"), house.now)
        board.written()
        named = house.store.last
        second = board.door.enter(hello, Caller("test:1"), house.now)
        house.send(house.people["ann"], "hi", "bob")
        board.written()
        board.settle(named)                     # of what was said so far the disk has this
        board.push()
        board.settle(house.store.last)
        board.push()
        self.assertEqual([kinds(first), kinds(second)],
                         [[wire.Welcome, wire.Notice], [wire.Welcome, wire.Mails]])


class Resumed(unittest.TestCase):
    """Somebody who was there all the time, and whose line was cut."""

    def come(self, house, bob, hello):
        if bob.inside:
            house.board.door.leave(bob.inside, "cut", house.now)
        bob.told.clear()
        bob.inside = house.board.door.enter(hello, Caller("test:1"), house.now)
        house.turn()
        (welcome,) = bob.take(wire.Welcome)
        return welcome.waiting

    def hello(self, features=Feature.RESUME, above=None):
        if above is None:
            return wire.Hello(wire.VERSION, features, bytes(16), "bob")
        return wire.Resume(wire.VERSION, features, bytes(16), above, "bob")

    def texts(self, bob):
        return [mail.text for mail in bob.take(wire.Mail)]

    def begin(self):
        """Bob is there, and one message waits since before."""
        house = House("ann", "bob")
        ann, bob = house.people.values()
        house.board.door.leave(bob.inside, "away", house.now)
        house.send(ann, "old", "bob")
        house.turn()
        self.assertEqual(self.come(house, bob, self.hello()), 1)
        (live,) = bob.take(wire.Live)
        return house, ann, bob, live.above

    def test_what_came_meanwhile_is_live_and_what_waited_waits(self):
        house, ann, bob, above = self.begin()
        house.send(ann, "shown, and not confirmed", "bob")
        house.turn()
        house.board.door.leave(bob.inside, "cut", house.now)
        house.send(ann, "meanwhile", "bob")
        house.turn()
        self.assertEqual(self.come(house, bob, self.hello(above=above)), 1)
        house.turn()
        self.assertEqual(self.texts(bob), ["shown, and not confirmed", "meanwhile"])
        self.assertEqual([live.above for live in bob.take(wire.Live)], [above])
        house.say(bob, wire.Check(1))
        house.turn()
        self.assertEqual(self.texts(bob), ["old"])
        self.assertEqual(self.come(house, bob, self.hello()), 3, "by HELLO all of it waits")

    def test_who_holds_gets_nothing_before_the_check(self):
        house, ann, bob, above = self.begin()
        house.say(bob, wire.Hold(1, 1))
        house.send(ann, "held", "bob")
        house.turn()
        holding = Feature.RESUME | Feature.HOLD
        self.assertEqual(self.come(house, bob, self.hello(holding, above)), 2)
        house.say(bob, wire.Hold(2, 0))
        house.turn()
        self.assertEqual(self.texts(bob), [])
        (live,) = bob.take(wire.Live)
        self.assertGreater(live.above, above)
        house.send(ann, "live again", "bob")
        house.turn()
        self.assertEqual(self.texts(bob), ["live again"])

    def test_an_id_that_was_never_given(self):
        house, ann, bob, _ = self.begin()
        self.assertEqual(self.come(house, bob, self.hello(above=2**64 - 1)), 1)
        self.assertEqual([live.above for live in bob.take(wire.Live)], [house.store.last])
        house.send(ann, "live", "bob")
        house.turn()
        self.assertEqual(self.texts(bob), ["live"])


class WaitingAbove(unittest.TestCase):
    def test_in_pages_and_in_the_journals(self):
        """Of each id, as many as one can count; some were read."""
        with tempfile.TemporaryDirectory() as place:
            mailbox = Mailbox(place + "/store", seal_at=2000, small=1000)
            self.addCleanup(mailbox.close)
            ann, bob = (mailbox.register(name, 1) for name in ("ann", "bob"))
            for number in range(60):
                body = body_of([bytes([65 + number % 26]) * 90] * (1 + number % 3))
                mailbox.put_run(ann, (1 << 32) + 10 * number + 1, 1, [bob], 0, body)
                mailbox.write()
                mailbox.sync(wait=True)
                while number == 40 and mailbox.work(1):
                    pass
            ids = [mail.id for run in mailbox.unread(bob, 0, EVER, EVER, EVER)
                   for mail in singles(run)]
            self.assertTrue(bob.pages and bob.tail)
            mailbox.read(bob, ids[10], ids[20])
            mailbox.read(bob, ids[-5], ids[-4])
            unread = ids[:10] + ids[21:-5] + ids[-3:]
            for above in (0, *ids, EVER):
                self.assertEqual(bob.waiting_above(above, mailbox.unread),
                                 len([id for id in unread if id > above]), above)


def kinds(client):
    """What the daemon has said to a client so far."""
    decoder = wire.Decoder()
    decoder.widen(wire.FRAME_MAX)
    return [type(wire.decode(frame, wire.DAEMON)) for frame in decoder.split(b"".join(client.out))]


if __name__ == "__main__":
    unittest.main()
