"""What a request, or a start, costs: counted, not timed.  Twice as much of it is twice the work and
not four times, and what is much work is not one unit of a turn (fairness.py)."""
import unittest
from bisect import bisect_left, bisect_right
from itertools import islice, pairwise
from random import Random
from unittest import mock

import wire
from net.bodies import body_of
from rules import invitations
from rules.publication import PAGE, ROWS_MAX
from rules.slices import STEP
from server import pace
from server.fairness import BURST, FLOOD, TICK
from store import records, user
from store.mail import Mail
from store.records import READ_HEAD, Replay, name_record, read_record, split, user_records
from store.shelf import Shelf
from store.user import User, united
from tests.harness.service import Service


class Counted(list):
    """A list that counts how many of its items were looked at."""
    looks = 0

    def __getitem__(self, key):
        self.looks += len(range(*key.indices(len(self)))) if isinstance(key, slice) else 1
        return super().__getitem__(key)

    def __iter__(self):
        self.looks += len(self)
        return super().__iter__()


def gaps(count):
    """Every other of so many messages, as ranges."""
    return [(id, id) for id in range(2, 2 * count + 2, 2)]


class Starting(unittest.TestCase):
    """What was read in gaps, a record for each, as a client does that confirms every other
    message."""

    def united(self, ranges):
        """How many ranges were united to replay these, and what the user has read then."""
        replay, counts = Replay(), []

        def counting(ranges):
            counts.append(len(ranges))
            return united(ranges)
        ann = User(0, "ann", 1)
        with mock.patch.object(user, "united", counting):
            replay.apply(split(name_record(ann)
                               + b"".join(read_record(ann, [each]) for each in ranges)), "journal")
            replay.finish()
        return sum(counts), replay.users[0]

    def test_each_range_is_united_once(self):
        for count in (100, 200, 1000):
            for ranges in (gaps(count), gaps(count)[::-1], Random(1).sample(gaps(count), count)):
                work, ann = self.united(ranges)
                self.assertEqual(work, count)
                self.assertEqual(ann.ranges, gaps(count))

    def test_a_range_that_grows_is_kept_once(self):
        """Live mail is read while older mail waits: each record has the one range as it then is."""
        work, ann = self.united([(10, last) for last in range(10, 1000)])
        self.assertEqual((work, ann.ranges), (1, [(10, 999)]))

    def test_any_order_is_the_same(self):
        """Watermarks and ranges, in any order, twice: the same numbers are read."""
        for seed in range(200):
            chance = Random(seed)
            said = [(chance.randrange(12), [(first, first + chance.randrange(4))])
                    for first in (chance.randrange(1, 40) for _ in range(8))]
            read = {id for watermark, ((first, last),) in said
                    for id in (*range(1, watermark + 1), *range(first, last + 1))}
            for order in (said, chance.sample(said, len(said)), said + said):
                replay, ann = Replay(), User(0, "ann", 1)
                replay.apply(split(name_record(ann)), "journal")
                for watermark, ranges in order:
                    payload = READ_HEAD.pack(0, watermark, 1) + records.RANGE.pack(*ranges[0])
                    replay.apply([(0, records.READ, payload)], "journal")
                replay.finish()
                found = replay.users[0]
                self.assertEqual({id for id in range(1, 60) if found.is_read(id)}, read)
                self.assertEqual(found.ranges, united(found.ranges))
                self.assertTrue(all(first > found.watermark + 1 for first, _ in found.ranges))


class Gaps(unittest.TestCase):
    """A user who has read in gaps."""

    def user(self, count):
        ann = User(0, "ann", 1)
        ann.ranges = Counted(gaps(count))
        return ann

    def test_a_page_is_looked_up(self):
        """Pages of a long queue are compared with some of the ranges and not with all."""
        ann = self.user(4096)
        found = [ann.is_covered(first, first + 1) for first in range(4000, 5000, 2)]
        self.assertEqual(found, [None] * 500)
        self.assertLess(ann.ranges.looks, 500 * 20)

    def test_covered(self):
        ann = User(0, "ann", 1)
        for ranges in ([], [(6, 8)], [(6, 8), (10, 10), (13, 20)]):
            ann.watermark, ann.ranges = 3, ranges
            for first in range(1, 24):
                for last in range(first, 24):
                    read = {ann.is_read(id) for id in range(first, last + 1)}
                    self.assertEqual(ann.is_covered(first, last),
                                     None if len(read) > 1 else read.pop(), (first, last))

    def test_a_confirm_looks_at_its_neighbours(self):
        ann = self.user(4096)
        ann.tail = [Mail(id, id, 0, 0, 0, 0, 1, body_of([b""])) for id in range(1, 9000, 2)]
        place = next(place for place, mail in enumerate(ann.tail) if mail.id == 5001)
        del ann.tail[place]
        self.assertEqual(ann.mark_read(5001, 5001, lambda user, page: []), (5000, 5002))
        self.assertEqual(len(ann.ranges), 4095)
        self.assertLess(ann.ranges.looks, 40)

    def test_a_record_has_what_was_just_read(self):
        """Not all ranges there are: a confirm writes as much after a thousand gaps as after one."""
        with Service() as service:
            mailbox = service.mailbox
            ann = mailbox.register("ann", 1)
            mails = [mailbox.put(ann, 0, 1, [ann], 0, b"x") for _ in range(2000)]
            mailbox.write()
            sizes = []
            for mail in mails[1::2]:
                before = mailbox._journals.current.offset
                mailbox.read(ann, mail.id, mail.id)
                mailbox.write()
                sizes.append(mailbox._journals.current.offset - before)
            self.assertEqual((len(ann.ranges), len(set(sizes))), (1000, 1))

    def test_what_it_is_in_a_segment(self):
        """Record by record, each small, and whole though the user reads on meanwhile."""
        ann = User(0, "ann", 1)
        ann.ranges = gaps(5 * records.RANGES)
        ann.tail = [Mail(id, id, 0, 0, 0, 0, 1, body_of([b""])) for id in range(3001, 12_000, 2)]
        parts = []
        for part in user_records(ann):
            self.assertLess(len(part), 32768)
            parts.append(part)
            if len(parts) == 2:
                self.assertIsNone(ann.mark_read(1, 1, lambda user, page: []))
                self.assertEqual(ann.watermark, 3000)
        replay = Replay()
        replay.apply(split(b"".join(parts)), "segment")
        replay.finish()
        self.assertTrue(all(replay.users[0].is_read(id) for id, _ in gaps(5 * records.RANGES)))


class Sealing(unittest.TestCase):
    """A user with many messages, read in gaps, reads on while they are moved into a segment."""
    COUNT = 4000

    def setUp(self):
        self.service = Service()
        self.addCleanup(self.service.__exit__)
        self.mailbox = self.service.mailbox
        self.ann = self.mailbox.register("ann", 1)
        self.mails = [self.mailbox.put(self.ann, 0, 1, [self.ann], 0, b"x" * 200)
                      for _ in range(self.COUNT)]
        self.read(self.mails[::2])

    def read(self, mails):
        for mail in mails:
            self.mailbox.read(self.ann, mail.id, mail.id)
        self.mailbox.write()
        self.mailbox.sync()

    def steps(self, between):
        """Seal, step by step, and do something after each; how many pages were read in each
        step."""
        self.mailbox.upkeep.must_seal, loads = True, []
        with mock.patch.object(Shelf, "mails", autospec=True, side_effect=Shelf.mails) as mails:
            while self.mailbox.upkeep.must_seal or self.mailbox.upkeep.is_working:
                before = mails.call_count
                self.mailbox.work(0)
                loads.append(mails.call_count - before)
                between()
                self.mailbox.sync(wait=True)
        self.assertGreater(len(self.ann.pages), 5)
        return loads

    def check(self):
        """What waits is known exactly, as a start would count it."""
        unread = [mail.id for mail in self.mails if not self.ann.is_read(mail.id)]
        found = self.mailbox.unread(self.ann, 0, 1 << 62, 1 << 30, 1 << 40)
        self.assertEqual([mail.id for mail in found], unread)
        self.assertEqual(self.ann.waiting, len(unread))
        for page in self.ann.pages:
            self.assertEqual(page.unread,
                             bisect_right(unread, page.last) - bisect_left(unread, page.first))

    def test_one_that_was_read_costs_its_page(self):
        done = []

        def between():
            if not done and self.mailbox.upkeep.seal and self.mailbox.upkeep.seal.writer.pages:
                done.append(self.mails[self.COUNT // 3 * 2 + 1])
                self.read(done)
        self.assertLessEqual(sum(self.steps(between)), 2)
        self.assertTrue(done)
        self.check()

    def test_pages_are_counted_one_by_one(self):
        """All over the mailbox: a page or two in a step, and not all of them at the switch."""
        left = iter(self.mails[1::2])

        def between():
            if self.mailbox.upkeep.seal:
                self.read(list(islice(left, 40))[::8])
        self.assertLessEqual(max(self.steps(between)), 3)
        self.check()

    def test_all_is_read_meanwhile(self):
        """The pages that nothing is left in go; it is right at whatever step the reads come."""
        for seed in range(4):
            chance = Random(seed)
            left = [mail for mail in self.mails[1::2] if not self.ann.is_read(mail.id)]
            chance.shuffle(left)

            def between(chance=chance, left=left):
                if chance.random() < 0.5:
                    count = chance.choice((1, 5, 50))
                    self.read(left[:count])
                    del left[:count]
            self.steps(between)
            self.check()
            self.service.restart()
            self.mailbox = self.service.mailbox
            self.ann = self.mailbox.users[0]
            self.check()
            self.mails += [self.mailbox.put(self.ann, 0, 1, [self.ann], 0, b"y" * 200)
                           for _ in range(self.COUNT)]
            self.mailbox.write()


class Charged(unittest.TestCase):
    """What is much work counts as much in a turn, done or refused."""

    def setUp(self):
        self.service = Service()
        self.addCleanup(self.service.__exit__)

    def spent(self, client, said):
        """What a request counted for."""
        client.say(said)
        number = self.service.mailbox.find(client.name).number
        return self.service.daemon.board.roster.clients[number].work

    def looked_up(self, client, said):
        """The names that were looked up for a request."""
        with mock.patch.object(self.service.mailbox, "find",
                               wraps=self.service.mailbox.find) as find:
            client.say(said)
        return find.call_count

    def test_names_invited(self):
        ann, b = self.service.users("ann", "b")
        for to, answer in ((("nobody",) * 500, wire.Failed), (("b",) * 32_000, wire.Failed),
                           (tuple(map(str, range(12_000))), wire.Failed),
                           (("b",) * 700, wire.Inviting)):
            self.assertEqual(self.spent(ann, wire.Invite(1, to)), 1 + len(to))
            ann.hears(answer)
        self.assertEqual([type(said) for said in b.heard], [])

    def test_too_many_are_not_looked_up(self):
        ann, _ = self.service.users("ann", "b")
        limit = invitations.INVITED_MAX
        for count, most in ((limit, limit), (limit + 1, 0), (32_000, 0)):
            self.assertEqual(self.looked_up(ann, wire.Invite(1, ("b",) * count)), most, count)
            for said in ann.hears_all(wire.Inviting):
                ann.say(wire.Withdraw(said.invitation))

    def test_a_flood_of_them_waits(self):
        """While somebody else asks, one such INVITE is all that a flooder has in so many ticks as
        it was worth."""
        ann, bob = self.service.users("ann", "bob")
        bob.say(wire.Ping(1))
        ann.sock.sendall(wire.encode(wire.Invite(1, ("n",) * 900)) * 30)
        told: list[int] = []
        for tick in range(4 * 900 // FLOOD):
            self.service.daemon.turn(0)
            self.service.clock.forward(TICK)
            told += [tick] * (len(self.service.notes.events("not-invited")) - len(told))
        self.assertGreater(len(told), 2)
        for one, next_ in pairwise(told):
            self.assertGreaterEqual(next_ - one, (900 - BURST) // FLOOD)

    def test_what_a_group_is_told(self):
        names = [f"m{number}" for number in range(20)]
        first, *others = self.service.users(*names)
        self.service.user("last")
        self.assertEqual(self.spent(first, wire.Invite(1, tuple(names[1:]))), 20)
        number = first.hears(wire.Inviting).invitation
        for other in others:
            self.assertEqual(self.spent(other, wire.Answer(number, 1)), 21)
        chat = first.hears_all(wire.Started)[0].chat
        self.assertEqual(self.spent(first, wire.Say(1, chat, "quit")), 21)
        self.assertEqual(self.spent(others[0], wire.Invite(1, ("m0",))), 2)
        self.assertEqual(self.spent(first, wire.Invite(2, ("last",))), 2)
        invitation = first.hears_all(wire.Inviting)[0].invitation
        self.assertEqual(self.spent(first, wire.Withdraw(invitation)), 3)

    def test_whom_one_ignores(self):
        """The list is written whole: as much as it is long.  What changes nothing is not
        written."""
        ann, _ = self.service.users("ann", "bob")
        for number in range(800):
            self.service.mailbox.register(f"n{number}", 1)
        self.service.daemon.board.ignores.by[0] = dict.fromkeys(range(2, 802))
        self.assertEqual(self.spent(ann, wire.Ignore(1, 1, "bob")), 801)
        self.assertEqual(self.spent(ann, wire.ListIgnored(2)), 802)
        before = self.service.mailbox._journals.current.offset
        self.assertEqual(self.spent(ann, wire.Ignore(3, 1, "bob")), 802)
        self.assertEqual(self.service.mailbox._journals.current.offset, before)
        self.assertEqual(self.spent(ann, wire.Ignore(4, 0, "bob")), 802)
        self.assertGreater(self.service.mailbox._journals.current.offset, before + 3200)
        before = self.service.mailbox._journals.current.offset
        self.assertEqual(self.spent(ann, wire.Ignore(5, 0, "bob")), 801)
        self.assertEqual(self.service.mailbox._journals.current.offset, before)
        self.assertEqual([said.request for said in ann.hears_all(wire.Done)], [1, 3, 4, 5])


class Lists(unittest.TestCase):
    """The log of names for many at once: so many rows a turn, whoever asks."""
    NAMES = 2 * PAGE + PAGE // 2

    def setUp(self):
        self.service = Service()
        self.addCleanup(self.service.__exit__)
        in_steps = mock.patch.object(pace, "SLICE", 0)        # a turn has one step
        in_steps.start()
        self.addCleanup(in_steps.stop)
        for number in range(self.NAMES):
            self.service.mailbox.register(f"n{number}", 1)

    def rows(self):
        """The rows made in one turn of one step."""
        published = self.service.daemon.board.publication
        with mock.patch.object(published, "row", wraps=published.row) as row:
            self.service.daemon.turn(0)
        return row.call_count

    def test_a_turn_has_so_many(self):
        storm = [self.service.user(f"storm{number}", features=0) for number in range(30)]
        for client in storm:
            client.sock.sendall(wire.encode(wire.List(1)))
        made = []
        while (rows := self.rows()):
            made.append(rows)
            self.assertEqual(self.service.daemon._timeout(None) == 0,
                             bool(self.service.daemon.board.slices))
        self.assertEqual(sum(made), 30 * (self.NAMES + 30))
        self.assertLess(max(made), ROWS_MAX + PAGE)
        for client in storm:
            pages = client.hears_all(wire.Roster)
            self.assertEqual([(page.request, page.last) for page in pages],
                             [(1, 0), (1, 0), (1, 1)])

    def test_they_take_turns(self):
        """Each has its first page before anybody has the second, also who came last."""
        storm = [self.service.user(f"storm{number}", features=0) for number in range(5)]
        for client in storm:
            client.sock.sendall(wire.encode(wire.List(1)))
        for _ in storm:
            self.service.daemon.turn(0)
        inside = self.service.daemon.board.roster.clients.values()
        self.assertEqual([client.log_copy.listed_upto for client in inside], [PAGE] * 5)

    def test_short_logs_are_for_many_in_a_turn(self):
        """A small log is sent to as many in a step as its rows allow; each frame counts too."""
        with Service() as service:
            storm = [service.user(f"u{number:02}", features=0) for number in range(60)]
            published = service.daemon.board.publication
            for client in storm:
                client.sock.sendall(wire.encode(wire.List(1)))
            service.daemon.turn(0)
            served = -(-STEP // (1 + 60 * STEP // ROWS_MAX))
            self.assertEqual(len(published._behind.waiting), 60 - served)
            self.assertGreater(served, 5)
            service.run()
            self.assertEqual(len(published._behind.waiting), 0)

    def test_others_do_not_wait(self):
        storm = [self.service.user(f"storm{number}", features=0) for number in range(30)]
        ann = self.service.user("ann", features=0)
        for client in storm:
            client.sock.sendall(wire.encode(wire.List(1)))
        for _ in range(10):
            ann.sock.sendall(wire.encode(wire.Ping(1)))
            self.assertLess(self.rows(), ROWS_MAX + PAGE)
            (answer,) = ann._decoder.feed(ann.sock.recv(100))
            self.assertEqual(wire.decode(answer, wire.DAEMON), wire.Pong(1))


if __name__ == "__main__":
    unittest.main()
