"""presence: the log of names as clients see it: pages, changes, those who do not read, LIST."""
import math
import socket
import unittest

import wire
from rules.pages import PAUSE_AT
from rules.publication import PAGE, PUBLISH_COST
from rules.state import NO_CHATS, NO_COPY, LogCopy
from tests.harness.service import Service
from wire import Presence, Why


class House(Service):
    """A daemon with a log of names that are not connected."""

    def __init__(self, names=0):
        super().__init__()
        for number in range(names):
            self.mailbox.register(f"n{number:04}", 5)
        self.run()

    def watch(self, name, **more):
        """A user whose ROSTER messages are kept as they come; with a small buffer in between."""
        client = self.connect()
        client.name = name
        client.rosters = []
        take = client._take
        client._take = lambda said: (client.rosters.append(said) if isinstance(said, wire.Roster)
                                     else None, take(said))
        features = more.get("features", wire.Feature.ROSTER)
        client.say(wire.Hello(wire.VERSION, features, bytes(16), name))
        client.welcome = client.hears(wire.Welcome)
        return client

    def inside(self, client):
        return self.daemon.board.roster.clients[self.mailbox.find(client.name).number]


def take_rosters(client):
    client.listen()
    rosters, client.rosters = client.rosters, []
    return rosters


def rows(rosters):
    return [entry for said in rosters for entry in said.entries]


class AtLogin(unittest.TestCase):
    def test_pages(self):
        """2,500 names and one's own."""
        with House(2500) as house:
            said = take_rosters(house.watch("ann"))
            self.assertEqual([(page.request, page.last, len(page.entries)) for page in said],
                             [(0, 0, PAGE), (0, 0, PAGE), (0, 1, 501)])
            self.assertEqual([entry.name for entry in rows(said)],
                             [f"n{n:04}" for n in range(2500)] + ["ann"])
            self.assertEqual({entry[1:] for entry in rows(said)[:-1]}, {(Presence.AWAY, 0, 5, 0)})

    def test_at_the_limit_of_a_page(self):
        for names, pages in ((PAGE - 2, 1), (PAGE - 1, 1), (PAGE, 2)):
            with House(names) as house:
                self.assertEqual(len(take_rosters(house.watch("ann"))), pages, names)

    def test_a_page_of_the_longest_names_fits_a_frame(self):
        entries = (wire.Entry("n" * wire.NAME_MAX, 2, 1, 2**64 - 1, 2**32 - 1),) * PAGE
        self.assertLess(len(wire.encode(wire.Roster(1, 1, entries))), wire.FRAME_MAX)

    def test_not_for_those_who_did_not_ask(self):
        with House(10) as house:
            ann = house.watch("ann", features=0)
            house.user("bob")
            house.forward(1)
            self.assertEqual(take_rosters(ann), [])
            self.assertEqual(ann.welcome.features, 0)

    def test_known_again_after_a_restart(self):
        with House(3) as house:
            house.user("bob")
            house.restart()
            said = rows(take_rosters(house.watch("ann")))
            self.assertEqual([entry.name for entry in said],
                             ["n0000", "n0001", "n0002", "bob", "ann"])

    def test_page_after_page_as_it_reads(self):
        """A newcomer that does not read at first: no more than PAUSE_AT and a page is held for
        it."""
        with House(9000) as house:
            ann = house.connect()
            small(house, ann)
            ann.sock.sendall(wire.encode(wire.Hello(wire.VERSION, 1, bytes(16), "ann")))
            house.run()
            ann.name = "ann"
            self.assertLess(house.inside(ann).backlog, PAUSE_AT + wire.FRAME_MAX)
            ann.hears(wire.Welcome)
            self.assertEqual(len(ann.roster), 9001)


def small(house, client):
    """A small buffer between the daemon and this client."""
    connection = list(house.daemon.connections.values())[-1]
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


class Changes(unittest.TestCase):
    def test_each_is_told(self):
        with House() as house:
            ann = house.watch("ann")
            bob = house.user("bob")
            for say, shown in ((wire.Hold(1, 1), (Presence.AVAILABLE, 1)),
                               (wire.Hold(2, 0), (Presence.AVAILABLE, 0)),
                               (wire.Exit(), (Presence.AWAY, 0))):
                bob.say(say)
                house.forward(0.1)
                ann.listen()
                self.assertEqual(ann.roster["bob"][1:3], shown)

    def test_a_chat_has_a_number(self):
        with House() as house:
            ann = house.watch("ann")
            bob, cat = house.users("bob", "cat")
            bob.say(wire.Invite(1, ("cat",)))
            cat.say(wire.Answer(bob.hears(wire.Inviting).invitation, 1))
            house.forward(0.1)
            ann.listen()
            number = cat.hears_all(wire.Started)[0].chat
            for name in ("bob", "cat"):
                self.assertEqual((ann.roster[name].state, ann.roster[name].chat),
                                 (Presence.BUSY, number))

    def test_the_time_of_the_state(self):
        with House() as house:
            ann = house.watch("ann")
            bob = house.user("bob")
            came = house.clock.wall
            house.forward(3600)
            bob.hang_up()
            house.forward(1)
            ann.listen()
            self.assertAlmostEqual(ann.roster["bob"].since - came, 3600e6, delta=1e6)

    def test_of_one_turn_in_one_message(self):
        """200 come in one turn: the others hear it once."""
        with House() as house:
            ann = house.watch("ann")
            take_rosters(ann)
            for number in range(200):
                client = house.connect()
                hello = wire.Hello(wire.VERSION, 0, bytes(16), f"u{number}")
                client.sock.sendall(wire.encode(hello))
            house.forward(0.1)
            said = take_rosters(ann)
            self.assertLessEqual(len(said), 2)
            self.assertEqual(sorted(entry.name for entry in rows(said)),
                             sorted(f"u{number}" for number in range(200)))

    def test_of_one_row_in_one_turn(self):
        """There and back again: the latest state alone."""
        with House() as house:
            ann = house.watch("ann")
            bob = house.user("bob")
            house.forward(1)
            take_rosters(ann)
            bob.say(*(wire.Hold(n, n % 2) for n in range(1, 100)))
            house.forward(0.1)
            self.assertEqual([entry[:3] for entry in rows(take_rosters(ann))],
                             [("bob", Presence.AVAILABLE, 1)])

    def test_less_often_with_many_subscribers(self):
        """No more than one publication in PUBLISH_COST for each subscriber."""
        with House() as house:
            watchers = [house.watch(f"w{number}") for number in range(40)]
            bob = house.user("bob")
            house.forward(1)
            take_rosters(watchers[0])
            pause = PUBLISH_COST * len(watchers)
            for number in range(50):
                bob.say(wire.Hold(number, number % 2))
                house.forward(pause / 5)
            heard = take_rosters(watchers[0])
            self.assertTrue(8 <= len(heard) <= 12, len(heard))
            house.forward(pause)
            self.assertEqual(rows(heard + take_rosters(watchers[0]))[-1].holding, 1)

    def test_without_a_subscriber(self):
        """Changes are kept for nobody; a subscriber that comes then has the latest state, and is
        told what changes from there on."""
        with House(10) as house:
            publication, bob = house.daemon.board.publication, house.user("bob", features=0)
            for number in range(50):
                bob.say(wire.Hold(number, number % 2))
            house.forward(1)
            self.assertEqual((publication._changed, house.daemon.board.roster.changes), ({}, {}))
            ann = house.watch("ann")
            said = {entry.name: entry.holding for entry in rows(take_rosters(ann))}
            self.assertEqual((len(said), said["bob"], "ann" in said), (12, 1, True))
            house.forward(1)
            take_rosters(ann)
            bob.say(wire.Hold(51, 0))
            house.forward(1)
            self.assertEqual([(entry.name, entry.holding) for entry in rows(take_rosters(ann))],
                             [("bob", 0)])

    def test_after_the_last_subscriber(self):
        """The same for one that comes when the last has gone, and changes were dropped since."""
        with House() as house:
            ann, bob = house.watch("ann"), house.user("bob", features=0)
            house.forward(1)
            bob.say(wire.Hold(1, 1))
            house.forward(1)
            ann.say(wire.Exit())
            house.forward(1)
            bob.say(wire.Hold(2, 0))
            house.forward(1)
            cat = house.watch("cat")
            house.forward(1)
            self.assertEqual([entry.holding for entry in rows(take_rosters(cat))
                              if entry.name == "bob"][-1], 0)
            bob.say(wire.Hold(3, 1))
            house.forward(1)
            self.assertEqual([(entry.name, entry.holding) for entry in rows(take_rosters(cat))],
                             [("bob", 1)])

    def test_an_idle_client_has_no_copy(self):
        """Nor a state in chats: all that have none share one, until they ask or are told."""
        with House() as house:
            idle = house.inside(house.user("idle", features=0))
            ann, bob = house.watch("ann"), house.user("bob", features=0)
            bob.say(wire.List(7))
            bob.say(wire.Invite(8, ("ann",)))
            house.forward(1)
            inside = [house.inside(each) for each in (ann, bob)]
            own = [*(each.log_copy for each in inside), *(each.chats for each in inside)]
            self.assertEqual(len({*map(id, own), id(NO_COPY), id(NO_CHATS)}), 6)
            self.assertIs(idle.log_copy, NO_COPY)
            self.assertIs(idle.chats, NO_CHATS)
            self.assertEqual([getattr(NO_COPY, field) for field in LogCopy.__slots__], [0] * 4)
            self.assertEqual((NO_CHATS.open, NO_CHATS.session), ([], None))

    def test_quiet_when_nothing_changes(self):
        with House(10) as house:
            ann = house.watch("ann")
            house.forward(1)
            take_rosters(ann)
            ann.say(wire.Check(1))
            house.forward(5)
            self.assertEqual(take_rosters(ann), [])
            self.assertEqual(house.daemon.board.publication.next_publish(), math.inf)


class NotReading(unittest.TestCase):
    """A subscriber that does not read gets the latest state later, and not every state between."""

    def stopped(self, house):
        """A subscriber whose backlog is over the limit."""
        bob = house.watch("bob")
        small(house, bob)
        take_rosters(bob)
        sender = house.user("sender", features=0)
        for _ in range(8):
            sender.send("bob", "x" * 16000)
        self.assertGreaterEqual(house.inside(bob).backlog, PAUSE_AT)
        house.forward(1)
        return bob

    def test_the_latest_state_alone(self):
        with House() as house:
            cat = house.user("cat")
            bob = self.stopped(house)
            for number in range(101):
                cat.say(wire.Hold(number, 1 - number % 2))
                house.forward(0.1)
            self.assertLess(len(house.daemon.board.publication._changed), 4)
            said = [entry for entry in rows(take_rosters(bob)) if entry.name == "cat"]
            self.assertEqual([entry.holding for entry in said], [1])

    def test_nothing_is_queued_meanwhile(self):
        with House() as house:
            cat = house.user("cat")
            bob = self.stopped(house)
            before = house.inside(bob).backlog
            for number in range(50):
                cat.say(wire.Hold(number, number % 2))
                house.forward(0.1)
            self.assertEqual(house.inside(bob).backlog, before)
            self.assertEqual(len(house.inside(bob).out), 0)

    def test_newcomers_too(self):
        with House() as house:
            bob = self.stopped(house)
            house.users(*(f"u{number}" for number in range(30)))
            house.forward(1)
            take_rosters(bob)
            self.assertEqual({name for name in bob.roster if name[0] == "u"},
                             {f"u{number}" for number in range(30)})

    def test_more_rows_than_a_page(self):
        with House(2500) as house:
            bob = self.stopped(house)
            house.daemon.board.roster.changes.update(dict.fromkeys(range(2400)))
            house.forward(1)
            lacks = house.daemon.board.publication._point - house.inside(bob).log_copy.point
            self.assertEqual(lacks, 2400)
            said = take_rosters(bob)
            self.assertEqual([len(page.entries) for page in said if len(page.entries) > 1],
                             [PAGE, PAGE, 400])
            self.assertEqual(said[-1].last, 1)
            self.assertEqual(len({entry.name for entry in rows(said)}), 2401)

    def test_then_as_before(self):
        with House() as house:
            cat = house.user("cat")
            bob = self.stopped(house)
            cat.say(wire.Hold(1, 1))
            house.forward(1)
            take_rosters(bob)
            cat.say(wire.Hold(2, 0))
            house.forward(1)
            self.assertEqual([entry[:3] for entry in rows(take_rosters(bob))],
                             [("cat", Presence.AVAILABLE, 0)])

    def test_it_does_not_spin(self):
        """There is nothing to do for one who does not read."""
        with House() as house:
            cat = house.user("cat")
            self.stopped(house)
            cat.say(wire.Hold(1, 1))
            house.forward(1)
            self.assertGreater(house.daemon._timeout(None), 0.1)


class Listing(unittest.TestCase):
    def listed(self, client):
        return [said for said in take_rosters(client) if said.request]

    def test_while_subscribed_and_while_not(self):
        for features in (0, wire.Feature.ROSTER):
            with House(2500) as house:
                ann = house.watch("ann", features=features)
                take_rosters(ann)
                ann.say(wire.List(9))
                said = self.listed(ann)
                self.assertEqual([(page.request, page.last, len(page.entries)) for page in said],
                                 [(9, 0, PAGE), (9, 0, PAGE), (9, 1, 501)])
                house.user("bob")
                house.forward(1)
                self.assertEqual([entry.name for entry in rows(take_rosters(ann))],
                                 ["bob"] if features else [])

    def test_in_the_same_piece_as_hello(self):
        """The log at login and a LIST at once: both arrive whole."""
        with House(2500) as house:
            ann = house.connect()
            ann.rosters = []
            take = ann._take
            ann._take = lambda said: (ann.rosters.append(said) if isinstance(said, wire.Roster)
                                      else 0, take(said))
            ann.say(wire.Hello(wire.VERSION, 1, bytes(16), "ann"), wire.List(4))
            said = take_rosters(ann)
            for request in (0, 4):
                names = [entry.name
                         for entry in rows(page for page in said if page.request == request)]
                self.assertEqual(sorted(set(names)),
                                 sorted([*(f"n{n:04}" for n in range(2500)), "ann"]), request)

    def test_two_at_once(self):
        with House(2500) as house:
            ann = house.watch("ann")
            take_rosters(ann)
            ann.say(wire.List(1), wire.List(2))
            self.assertEqual([said.request for said in ann.hears_all(wire.Failed)], [2])
            self.assertEqual({said.request for said in self.listed(ann)}, {1})
            ann.say(wire.List(3))
            self.assertEqual(len(self.listed(ann)), 3)

    def test_number_0(self):
        """It would be taken for changes."""
        with House() as house:
            ann = house.watch("ann", features=0)
            ann.say(wire.List(0))
            ann.hears(wire.Failed, request=0, why=Why.BUSY)
            self.assertEqual(take_rosters(ann), [])

    def test_changes_that_come_while_it_is_sent(self):
        """A slow reader of a long list: what changed meanwhile is known at its end."""
        with House(9000) as house:
            cat = house.user("cat")
            ann = house.watch("ann")
            small(house, ann)
            take_rosters(ann)
            ann.sock.sendall(wire.encode(wire.List(1)))
            house.run()
            self.assertTrue(house.inside(ann).log_copy.list_request)
            cat.say(wire.Hold(1, 1))
            house.forward(1)
            dan = house.user("dan")
            house.forward(1)
            said = self.listed(ann)
            self.assertEqual(said[-1].last, 1)
            self.assertEqual((ann.roster["cat"].holding, ann.roster["dan"].state),
                             (1, Presence.AVAILABLE))
            dan.hears_nothing()


class Idle(unittest.TestCase):
    def test_a_refused_stranger_changes_nothing(self):
        with House() as house:
            ann = house.watch("ann")
            house.forward(1)
            take_rosters(ann)
            ann.say(wire.Ping(1))                   # or it would be asked whether it is there
            house.client("ann").hears(wire.Rejected)
            house.client("a b").hears(wire.Rejected)
            house.forward(1)
            self.assertEqual(take_rosters(ann), [])


if __name__ == "__main__":
    unittest.main()
