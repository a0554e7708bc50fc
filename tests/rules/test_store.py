"""The rules on a store that is not the mailbox: all that they know of it is rules/store.py."""
import random
import unittest

import wire
from mailbox import Mailbox
from net.bodies import count_of
from rules.hosts import Hosts
from rules.quota import Accounts, Broadcasts, Quotas
from rules.state import Caller, Now
from rules.store import Store
from rules.switchboard import Switchboard
from store.census import Census
from store.fanout import Fanout
from store.mail import Mail, between, limited, messages
from store.shelf import Shelf
from store.user import User
from wire import Feature, SendFlag

EVER = 2**64 - 1


class InMemory:
    """A store without a disk: everything is settled at once."""
    store = b"kept in memory.."
    refusal = None

    def __init__(self):
        self.users = []
        self.last = 0
        self.census = Census(self.users, Shelf())
        self.fanout = Fanout()          # nothing is ever on its way

    def find(self, name):
        return next((user for user in self.users if user.name.lower() == name.lower()), None)

    def register(self, name, now):
        self.last += 1
        self.users.append(User(len(self.users), name, now))
        return self.users[-1]

    def seen(self, user, now):
        user.last_seen = now

    def set(self, user, kind, value):
        self.last += 1
        user.set(kind, self.last, value)

    def known(self, sender, origin):
        return sender.next_marked(origin) if origin else (1, 1)

    def put_run(self, sender, first, now, recipients, flags, body, spread=False,
                heading=b""):
        number = count_of(body)
        mail = Mail(self.last + 1, self.last + number, now, sender.number, first, flags,
                    len(recipients), body)
        if heading:
            mail = mail.headed(heading)
        self.last += number
        sender.mark(first, first + number - 1)
        for user in recipients:
            user.queue(mail)
            user.waiting += number
            self.census.put([mail])
        return mail

    def unread(self, user, after, upto, most, size):
        return limited(between(user.tail, after + 1, upto), upto, most, size)

    def unreadable(self, user):
        return 0

    def read(self, user, first, last):
        taken = between(user.tail, first, last)
        if taken:
            user.tail = between(user.tail, 0, first - 1) + between(user.tail, last + 1, EVER)
            user.waiting -= messages(taken)
            self.census.take(taken)
        return taken

    def kept(self, first, last):
        return [(first, last)]


class Person:
    """A user, as far as its program knows."""

    def __init__(self, name):
        self.name = name
        self.inside = None          # the Client; None: not connected
        self.told = []
        self.origin = 1 << 32       # of the message sent last
        self.mail = {}              # by id: the texts that were pushed
        self.shown = set()          # the ids of those that it has not confirmed yet
        self.holding = False

    def hear(self):
        """Decode what the rules have said since."""
        frames, self.inside.out = b"".join(self.inside.out), ()
        decoder = wire.Decoder()
        decoder.widen(wire.FRAME_MAX)
        for frame in decoder.split(frames):
            for said in wire.each(wire.decode(frame, wire.DAEMON)):
                self.told.append(said)
                if isinstance(said, wire.Mail):
                    self.mail[said.id] = said.text
                    self.shown.add(said.id)

    def take(self, kind):
        """What was said of this kind; it is forgotten."""
        found = [said for said in self.told if type(said) is kind]
        self.told = [said for said in self.told if type(said) is not kind]
        return found


class House:
    """The rules on a store in memory, and the turn as the daemon makes it."""

    def __init__(self, *names):
        self.store: Store = InMemory()
        self.board = Switchboard(self.store, lambda event, **fields: None, house="memory",
                                 token=lambda: bytes(16), patience=60, accounts=Accounts(Quotas()),
                                 broadcasts=Broadcasts("everyone", 0), hosts=Hosts(0, 0, 1000))
        self.now = Now(1, 1.0)
        self.people = {name: Person(name) for name in names}
        for name in names:
            self.enter(self.people[name])

    def enter(self, person):
        features = Feature.RECEIPTS | (Feature.HOLD if person.holding else 0)
        hello = wire.Hello(wire.VERSION, features, bytes(16), person.name)
        person.inside = self.board.door.enter(hello, Caller("test:1"), self.now)
        self.turn()

    def leave(self, person):
        self.board.door.leave(person.inside, "test", self.now)
        self.turn()
        person.inside = None

    def say(self, person, said):
        self.board.receive(person.inside, said, self.now)

    def send(self, person, text, *to, flags=0):
        person.origin += 1
        self.say(person, wire.Sends(person.origin, flags, to, (text,)))
        return person.origin

    def turn(self):
        self.now = Now(self.now.wall + 1, self.now.monotonic + 1)
        self.board.written()
        self.board.push()
        self.board.settle(self.store.last)
        self.board.tick(self.now)
        self.board.roster.speaking.clear()
        for person in self.people.values():
            if person.inside:
                person.hear()


class OnAnotherStore(unittest.TestCase):
    def test_the_names_are_those_of_the_mailbox(self):
        """Nothing here that the mailbox does not have: mypy compares the rest."""
        for name in vars(Store):
            if not name.startswith("_") and name not in ("store", "users", "last",
                                                               "fanout"):
                self.assertTrue(hasattr(Mailbox, name), name)
        self.assertLessEqual({name for name in vars(InMemory) if not name.startswith("_")},
                             set(vars(Store)))

    def test_send_and_receive(self):
        house = House("ann", "bob")
        ann, bob = house.people.values()
        origin = house.send(ann, "hi", "bob")
        house.turn()
        self.assertEqual(ann.take(wire.Stored), [wire.Stored(origin, origin)])
        (mail,) = bob.take(wire.Mail)
        self.assertEqual((mail.sender, mail.text, mail.origin), ("ann", "hi", origin))
        house.say(bob, wire.Confirm(mail.id, mail.id))
        house.turn()
        self.assertEqual(bob.take(wire.Confirmed), [wire.Confirmed(mail.id, mail.id)])
        self.assertEqual(ann.take(wire.Delivered), [wire.Delivered(origin, origin, "bob")])
        self.assertEqual(house.store.find("bob").waiting, 0)

    def test_who_is_away_checks(self):
        house = House("ann", "bob")
        ann, bob = house.people.values()
        house.leave(bob)
        for text in ("one", "two"):
            house.send(ann, text, "BOB")
        house.turn()
        house.enter(bob)
        self.assertEqual((bob.take(wire.Welcome)[-1].waiting, bob.mail), (2, {}))
        house.say(bob, wire.Check(7))
        house.turn()
        self.assertEqual(list(bob.mail.values()), ["one", "two"])
        self.assertEqual(bob.take(wire.Checked), [wire.Checked(7, 2)])

    def test_a_walk(self):
        """Send, hold, check, confirm, come and go as chance has it: each message arrives once, in
        order."""
        for seed in range(20):
            with self.subTest(seed=seed):
                self.walk(random.Random(seed))

    def walk(self, chance):
        house = House("ann", "bob", "cat", "dan")
        people = list(house.people.values())
        expected = {person.name: [] for person in people}
        for step in range(300):
            person = chance.choice(people)
            what = chance.choice(["send"] * 6 + ["check", "confirm", "confirm", "hold",
                                                 "come or go", "turn", "turn"])
            if what == "come or go":
                self.leave_or_enter(house, person)
            elif person.inside is None:
                continue
            elif what == "send":
                self.send(house, person, f"{step}", expected, chance)
            elif what == "check":
                house.say(person, wire.Check(step + 1))
            elif what == "confirm":
                self.confirm(house, person, chance.randint(1, 9))
            elif what == "hold":
                person.holding = not person.holding
                house.say(person, wire.Hold(step + 1, person.holding))
            elif what == "turn":
                house.turn()
        self.drain(house)
        for person in people:
            self.assertEqual([person.mail[id] for id in sorted(person.mail)], expected[person.name],
                             person.name)
            self.assertEqual(house.store.find(person.name).waiting, 0)

    def leave_or_enter(self, house, person):
        if person.inside is None:
            house.enter(person)
        else:
            house.turn()
            house.leave(person)

    def send(self, house, person, text, expected, chance):
        others = [name for name in house.people if name != person.name]
        to_all = not chance.randrange(5)
        to = () if to_all else tuple(chance.sample(others, chance.randint(1, 3)))
        house.send(person, text, *to, flags=SendFlag.EVERYONE if to_all else 0)
        for name in to or others:
            expected[name].append(text)

    def drain(self, house):
        """Everybody comes, checks, and confirms."""
        for person in house.people.values():
            if person.inside is None:
                house.enter(person)
            house.turn()
            house.say(person, wire.Check(9999))
            house.turn()
            self.confirm(house, person, len(person.shown))
            house.turn()

    def confirm(self, house, person, most):
        for id in sorted(person.shown)[:most]:
            house.say(person, wire.Confirm(id, id))
            person.shown.discard(id)


if __name__ == "__main__":
    unittest.main()
