"""Limits on what one user may do to others: quotas, fairness, the rate, messages to all; each at
n-1, n, n+1."""
import argparse
import random
import selectors
import socket
import unittest
from functools import partial
from unittest import mock

import wire
from rules import quota
from rules.quota import Account, Quotas
from rules.state import Caller
from server.chores import SLICE, WORK_SECONDS
from server.connection import READ_PAUSE_AT, READ_SIZE, UNSENT_MAX
from server.doors import ACCEPT_RATE, ACCEPTS, ACCEPTS_CALLED
from server.fairness import (
    BUDGET,
    BURST,
    CALM,
    FLOOD,
    LEAST,
    REST,
    TICK,
    Fairness,
    Share,
)
from server.options import Limits, amount
from tests.harness.service import Service
from tests.harness.waiting import singles, texts
from wire import Outcome, SendFlag, Why

NONE = Quotas(0, 0, 0, 0)


def house(quotas=NONE, **more):
    return Service(Limits(1000, strangers=1000, strangers_each=1000, quotas=quotas,
                          **{"everyone_seconds": 0, "new_names": 0, **more}))


def away(service, *names):
    for name in names:
        service.mailbox.register(name, 1)


class MailboxQuota(unittest.TestCase):
    def sent(self, client, to, text="x"):
        """Send one; "" when it was stored, else the reason."""
        number = client.send(to, text)
        client.listen()
        answers = [said for said in client.heard
                   if (isinstance(said, wire.Stored) and said.last == number)
                   or (isinstance(said, wire.Refused) and said.id == number)]
        client.heard.clear()
        self.assertEqual(len(answers), 1)
        return getattr(answers[0], "reason", "")

    def test_messages(self):
        """n - 1 wait, the n-th fits, the next does not; what was read makes room."""
        for count in (1, 2, 7):
            with self.subTest(count), house(NONE._replace(messages=count)) as service:
                away(service, "bob")
                ann, eve = service.users("ann", "eve")
                self.assertEqual([self.sent(ann, "bob") for _ in range(count)], [""] * count)
                for sender in (ann, eve):
                    self.assertEqual(self.sent(sender, "bob"),
                                     "the mailbox of bob is full: not delivered")
                self.assertEqual(self.sent(ann, "eve"), "")
                self.assertEqual(service.mailbox.find("bob").waiting, count)
                bob = service.user("bob")
                bob.say(wire.Check(1))
                bob.confirm(bob.hears_all(wire.Mail)[0])
                self.assertEqual([bool(self.sent(eve, "bob")) for _ in range(2)], [False, True])

    def test_bytes(self):
        """An exact fit, one byte less, one byte more; half a mailbox of long texts leaves room for
        short ones."""
        for size in (1, 100, 16384, 16385, 50_000):
            with self.subTest(size), house(NONE._replace(size=size)) as service:
                away(service, "bob")
                ann = service.user("ann")
                left = size - 1
                while left > 0:
                    self.assertEqual(self.sent(ann, "bob", "x" * min(left, wire.TEXT_MAX)), "")
                    left -= min(left, wire.TEXT_MAX)
                self.assertIn("full", self.sent(ann, "bob", "é"))
                self.assertEqual([self.sent(ann, "bob")], [""])
                self.assertIn("full", self.sent(ann, "bob"))

    def test_one_sender(self):
        """His share is full; another's is not, nor is the mailbox."""
        for count in (1, 2, 7):
            with self.subTest(count), house(NONE._replace(sender_messages=count)) as service:
                away(service, "bob", "cat")
                ann, eve = service.users("ann", "eve")
                self.assertEqual([bool(self.sent(ann, "bob")) for _ in range(count + 1)],
                                 [False] * count + [True])
                self.assertEqual([bool(self.sent(eve, "bob")) for _ in range(count + 1)],
                                 [False] * count + [True])
                self.assertEqual(self.sent(ann, "cat"), "")

    def test_bytes_of_one_sender(self):
        with house(NONE._replace(sender_size=20_000)) as service:
            away(service, "bob")
            ann, eve = service.users("ann", "eve")
            self.assertEqual([bool(self.sent(ann, "bob", "x" * n))
                              for n in (10_000, 9_999, 2, 1, 1)],
                             [False, False, True, False, True])
            self.assertEqual(self.sent(eve, "bob", "x" * 16_000), "")

    def test_several_recipients(self):
        """Those with room get it; the others are an outcome; nobody with room is a refusal."""
        with house(NONE._replace(messages=1)) as service:
            away(service, "bob", "cat", "dan")
            ann = service.user("ann")
            self.assertEqual(self.sent(ann, "bob"), "")
            number = ann.send("bob,cat", "x")
            ann.hears(wire.Stored, first=number)
            self.assertEqual({(said.outcome, said.to) for said in ann.hears_all(wire.Outcomes)},
                             {(Outcome.AWAY, ("cat",)), (Outcome.FULL, ("bob",))})
            self.assertEqual(self.sent(ann, "bob,cat"), "their mailboxes are full: not delivered")
            number = ann.send("", "to all", SendFlag.EVERYONE)
            ann.hears(wire.Stored, first=number)
            self.assertEqual({said.outcome: said.to for said in ann.hears_all(wire.Outcomes)},
                             {Outcome.AWAY: ("dan",), Outcome.FULL: ("bob", "cat")})
            self.assertEqual([user.waiting for user in service.mailbox.users], [1, 1, 1, 0])

    def test_now_or_never(self):
        """One is not there, the other has no room: two outcomes are the answer."""
        with house(NONE._replace(messages=1)) as service:
            away(service, "cat")
            ann, _ = service.users("ann", "bob")
            self.assertEqual(self.sent(ann, "bob"), "")
            number = ann.send("bob,cat", "x", SendFlag.NOW)
            self.assertEqual({(said.first, said.outcome, said.to)
                              for said in ann.hears_all(wire.Outcomes)},
                             {(number, Outcome.ABSENT, ("cat",)), (number, Outcome.FULL, ("bob",))})
            ann.hears_nothing()

    def test_sent_again_later(self):
        """What was refused is not known, so it can be tried again, and is then stored."""
        with house(NONE._replace(messages=1)) as service:
            ann, bob = service.users("ann", "bob")
            ann.send("bob", "one")
            said = wire.Send(ann.id(), 0, ("bob",), "two")
            ann.say(said)
            ann.hears(wire.Stored)
            ann.hears(wire.Refused, why=Why.FULL)
            bob.confirm(bob.hears(wire.Mail, text="one"))
            ann.say(said)
            bob.hears_all(wire.Confirmed)
            bob.hears(wire.Mail, text="two")

    def test_after_a_restart(self):
        with house(NONE._replace(messages=3, sender_messages=2)) as service:
            away(service, "bob")
            ann, eve = service.users("ann", "eve")
            self.assertEqual([self.sent(ann, "bob"), self.sent(ann, "bob"), self.sent(eve, "bob")],
                             ["", "", ""])
            service.restart()
            for name in ("ann", "eve"):
                client = service.user(name)
                client._ids += 100
                self.assertIn("full", self.sent(client, "bob"))

    def test_a_refused_batch_is_not_counted(self):
        """Accounts are counted anew from what is there."""
        with house(NONE._replace(sender_messages=2)) as service:
            away(service, "bob")
            ann = service.user("ann")
            self.sent(ann, "bob")
            self.sent(ann, "bob")
            service.daemon.board.post.accounts.forget()
            self.assertIn("full", self.sent(ann, "bob"))

    def test_a_walk(self):
        """Against a model that counts everything: 3 senders, 3 readers, random texts, checks,
        confirms, seals."""
        chance = random.Random(5)
        quotas = Quotas(20, 3000, 9, 1500)
        with house(quotas) as service:
            service.mailbox.upkeep.budget.seal_at = 4000
            names = ("ann", "bob", "cat")
            clients = dict(zip(names, service.users(*names), strict=True))
            for client in clients.values():
                client.say(wire.Hold(1, 1))
            for _ in range(1500):
                sender, to = chance.choice(names), chance.choice(names)
                if chance.random() < 0.7:
                    self.one_send(service, quotas, clients[sender], to,
                                  "x" * chance.choice((1, 50, 400)))
                else:
                    waiting = unread(service, to)
                    if waiting:
                        first = chance.choice(waiting)
                        last = waiting[-1] if chance.random() < 0.5 else first
                        clients[to].say(wire.Confirm(first.id, last.id))
                service.forward(WORK_SECONDS)
            self.assertGreater(len(service.mailbox._shelf.segments), 0)

    def one_send(self, service, quotas, client, to, text):
        waiting = unread(service, to)
        mine = [mail for mail in waiting if mail.sender == service.mailbox.find(client.name).number]
        exact = (len(waiting) >= quotas.messages or len(mine) >= quotas.sender_messages
                 or sum(mail.amount[1] for mail in waiting) + len(text) > quotas.size
                 or sum(mail.amount[1] for mail in mine) + len(text) > quotas.sender_size)
        client.heard.clear()
        client.send(to, text)
        refused = bool(client.hears_all(wire.Refused))
        account = service.daemon.board.post.accounts._open.get(service.mailbox.find(to).number)
        if account and not account.start:       # all of it was counted: exact
            self.assertEqual(refused, exact)
        elif len(waiting) >= quotas.messages:
            self.assertTrue(refused)


def unread(service, name):
    return singles(service.mailbox.unread(service.mailbox.find(name), 0, 1 << 62, 1 << 30, 1 << 40))


class Accounts(unittest.TestCase):
    def test_bytes_of_segments_are_known(self):
        """What is sealed is counted by its bytes: exactly by who sealed it; after a restart from
        the index."""
        with house() as service:
            away(service, "bob", "cat")
            ann = service.user("ann")
            sizes = {"bob": 0, "cat": 0}
            for number in range(300):
                to = ("bob", "cat")[number % 2]
                ann.send(to, "x" * (number * 11 % 4000 + 1))
                sizes[to] += number * 11 % 4000 + 1
            service.mailbox.upkeep.must_seal = True
            while service.mailbox.work(1) or service.mailbox.find("bob").tail:
                pass
            self.assertGreater(len(service.mailbox.find("bob").pages), 2)
            for name, size in sizes.items():
                self.assertEqual(Account(service.mailbox.find(name)).size, size)
            service.restart()
            for name, size in sizes.items():
                self.assertTrue(size <= Account(service.mailbox.find(name)).size <= size + 65536)

    def test_free(self):
        """Below it no limit can be reached, whatever the texts."""
        self.assertEqual(Quotas(10, 0, 0, 0).free, 10)
        self.assertEqual(Quotas(0, 0, 7, 0).free, 7)
        self.assertEqual(Quotas(0, 3 * wire.TEXT_MAX, 0, 0).free, 3)
        self.assertEqual(Quotas(0, 0, 0, wire.TEXT_MAX - 1).free, 0)
        self.assertGreater(NONE.free, 1 << 60)
        self.assertEqual(Quotas().free, 4096)

    def test_a_run_stays_whole_whatever_others_have_put(self):
        """Room is looked for again when others may have used it up, not message by message."""
        with house(Quotas(messages=10)) as service:
            ann, _ = service.users("ann", "cy")
            away(service, "bob", "dan")
            bob, puts = service.mailbox.find("bob"), service.daemon.board.post.audiences.puts
            ann.say(wire.Sends(1, 0, ("bob",), ("a", "b")), wire.Sends(3, 0, ("dan",), ("x",) * 7),
                    wire.Sends(10, 0, ("bob",), ("c", "d", "e", "f")))
            service.run()
            self.assertEqual(service.daemon.board.post.audiences.puts, puts + 13)
            self.assertEqual([mail.messages for mail in bob.tail], [2, 4])

    def test_accounts_are_closed_again(self):
        """An account is kept until half has been read: a mailbox at the edge is not counted again
        and again."""
        with house(NONE._replace(messages=10)) as service:
            away(service, "bob")
            ann = service.user("ann")
            for _ in range(11):
                ann.send("bob", "x")
            accounts = service.daemon.board.post.accounts
            bob = service.user("bob")
            bob.say(wire.Check(1))
            mails = bob.hears_all(wire.Mail)
            for mail in mails[:5]:
                self.assertFalse(accounts.is_empty)
                bob.confirm(mail)
            self.assertFalse(accounts.is_empty)
            bob.confirm(mails[5])
            self.assertTrue(accounts.is_empty)


class Amounts(unittest.TestCase):
    def test_what_an_operator_may_write(self):
        for text, number in (("none", 0), ("1", 1), ("10", 10), ("1K", 1024), ("512M", 512 << 20),
                             ("2G", 2 << 30)):
            self.assertEqual(amount(text), number)
        for text in ("0", "-1", "", "K", "1k", "1.5M", "١", "9" * 30, "0K", " 1"):
            with self.assertRaises(argparse.ArgumentTypeError):
                amount(text)


class Shares(unittest.TestCase):
    """fairness.py alone."""

    def begun(self, *, asked=True):
        """One who asks for much, one who asks for a little, and when: at the beginning of a
        tick."""
        fairness, flood, other = Fairness(), Share(10.0, 0), Share(10.0, 0)
        if asked:
            fairness.finished(other, 0, 2, 10.0)
        return fairness, flood, other, 10.0 + TICK / 2

    def test_alone(self):
        fairness, flood, _, now = self.begun(asked=False)
        for turn in range(100):
            self.assertEqual(fairness.allowance(flood, 0, now + turn * TICK / 10), BUDGET)
            fairness.interrupted(flood, BUDGET)
        self.assertTrue(fairness.askers.is_alone(flood, now))
        self.assertEqual(flood.units, -BUDGET)                   # and no more: others may come

    def test_while_others_ask(self):
        fairness, flood, other, now = self.begun()
        self.assertEqual(fairness.allowance(flood, 0, now), BURST)
        fairness.interrupted(flood, BURST)
        self.assertEqual(fairness.allowance(flood, 0, now), 0)
        ticks = (0, FLOOD), (3, FLOOD // 4), (10_000, LEAST), (0, FLOOD)
        for tick, (floods, units) in enumerate(ticks, 1):
            self.assertEqual(fairness.allowance(flood, floods, now + tick * TICK), units)
            fairness.interrupted(flood, units)
        # a flooder saves nothing up
        self.assertEqual(fairness.allowance(flood, 0, now + 9 * TICK), FLOOD)
        self.assertFalse(fairness.askers.is_alone(flood, now))
        self.assertEqual(fairness.allowance(other, 0, now), BUDGET)
        self.assertEqual(fairness.allowance(flood, 0, now + CALM), BUDGET)

    def test_what_is_little(self):
        """FLOOD units in each tick, for ever; one more is too much after a while, alone or not,
        however it comes."""
        for asked in (False, True):
            for units, each, floods in ((FLOOD - 1, 1, False), (FLOOD, 1, False),
                                        (FLOOD + 1, 1, True),
                                        (BURST - 1, 2, False), (BURST, 2, False),
                                        (BURST + 1, 2, True)):
                with self.subTest(asked=asked, units=units, each=each):
                    fairness, flood, _, now = self.begun(asked=asked)
                    for tick in range(0, 400, each):
                        at = now + tick * TICK
                        self.assertGreaterEqual(fairness.allowance(flood, 0, at), 0)
                        fairness.finished(flood, units, 2, at)
                    self.assertEqual(now - flood.flooded < CALM, floods)
                    self.assertEqual(fairness.askers.is_alone(Share(at, 0), at),
                                     floods and not asked)

    def test_one_who_asks_and_then_floods(self):
        """From then on he does not count as one who asks for a little: another flood is alone."""
        fairness, flood, _, now = self.begun(asked=False)
        fairness.finished(flood, 0, 2, now)
        self.assertFalse(fairness.askers.is_alone(Share(now, 0), now))
        self.assertEqual(fairness.wants_more(flood, 0, 0, now), 0.0)
        self.assertTrue(fairness.askers.is_alone(Share(now, 0), now))

    def test_what_was_too_much_is_waited_off(self):
        for more, ticks in ((0, 1), (FLOOD - 1, 1), (FLOOD, 2), (FLOOD + 1, 2), (10 * FLOOD, 11)):
            with self.subTest(more):
                fairness, flood, _, now = self.begun()
                allowed = fairness.allowance(flood, 0, now)
                rest = fairness.wants_more(flood, allowed + more, 0, now)
                self.assertEqual(rest, now - TICK / 2 + ticks * TICK)
                for tick in range(1, ticks):
                    self.assertEqual(fairness.allowance(flood, 0, now + tick * TICK), 0)
                self.assertGreater(fairness.allowance(flood, 0, rest), 0)

    def test_a_rest_has_an_end(self):
        """Then those who asked may be gone."""
        fairness, flood, _, now = self.begun()
        self.assertEqual(fairness.wants_more(flood, 1_000_000, 0, now), now + CALM)
        self.assertEqual(flood.units, BURST - 1_000_000)

    def test_many_rest_one_after_the_other(self):
        """In no tick there are more than can have LEAST of what all have."""
        fairness, _, _, now = self.begun()
        rests = []
        for resting in range(400):
            share = Share(now, 0)
            share.units = 0
            rests.append((fairness.wants_more(share, 0, resting, now) - now + TICK / 2) / TICK)
        ticks = 400 * LEAST // FLOOD
        self.assertEqual([rests.count(tick) for tick in range(1, ticks + 1)],
                         [FLOOD // LEAST] * ticks)

    def test_readers_and_flooders_do_not_count(self):
        fairness = Fairness()
        flood, reader, other = (Share(0.0, 0) for _ in range(3))
        fairness.finished(reader, 0, wire.CODECS[wire.Confirm].kind, 10.0)
        flood.flooded = 9.5
        fairness.finished(flood, 0, 2, 10.0)
        self.assertTrue(fairness.askers.is_alone(other, 10.0))

    def test_at_the_doors(self):
        """A storm of newcomers is let in slowly while somebody asks; that they say HELLO is not
        asking."""
        fairness, share = Fairness(), Share(0.0, 0)
        fairness.finished(share, 0, wire.CODECS[wire.Hello].kind, 10.0)
        self.assertTrue(fairness.is_quiet(10.0))
        fairness.finished(share, 0, wire.CODECS[wire.Ping].kind, 10.0)
        self.assertFalse(fairness.is_quiet(10.0 + CALM - 0.01))
        self.assertTrue(fairness.is_quiet(10.0 + CALM))

    def test_two_who_ask(self):
        """Each of them counts as somebody else for the other."""
        fairness = Fairness()
        one, two = Share(0.0, 0), Share(0.0, 0)
        fairness.finished(one, 0, 2, 10.0)
        fairness.finished(two, 0, 2, 10.1)
        fairness.finished(two, 0, 2, 10.2)
        self.assertEqual([fairness.askers.is_alone(each, 10.3) for each in (one, two)],
                         [False, False])
        fairness.finished(two, 0, 2, 10.1 + CALM)
        self.assertEqual([fairness.askers.is_alone(each, 10.1 + CALM) for each in (one, two)],
                         [False, True])


class Turns(unittest.TestCase):
    def flood(self, service, client, count):
        frames = [wire.encode(wire.Ping(number)) for number in range(count)]
        client.sock.sendall(b"".join(frames))

    def answered(self, service, client):
        """How many PONGs have come."""
        decoder, count = wire.Decoder(wire.FRAME_MAX), 0
        while is_readable(client.sock):
            count += sum(1 for _ in decoder.feed(client.sock.recv(1 << 20)))
        return count

    def test_a_flood_is_slowed_while_another_asks_and_only_then(self):
        with house() as service:
            flood, other = service.user("flood", features=0), service.user("other", features=0)
            service.clock.forward(CALM)
            self.flood(service, flood, 3000)
            service.daemon.turn(0)
            self.assertEqual(self.answered(service, flood), 3000)           # alone
            service.clock.forward(CALM)
            other.say(wire.Ping(1))
            other.hears(wire.Pong)
            self.flood(service, flood, 3000)
            got = 0
            for tick in range(10):
                for again in range(3):
                    other.sock.sendall(wire.encode(wire.Ping(2)))
                    service.daemon.turn(0)
                    self.assertEqual(self.answered(service, other), 1)      # in the very next turn
                    self.assertEqual(self.answered(service, flood),
                                     (FLOOD if tick else BURST) if not again else 0)
                got += FLOOD if tick else BURST
                service.clock.forward(TICK)
            service.clock.forward(CALM)
            service.daemon.turn(0)
            self.assertEqual(self.answered(service, flood), 3000 - got)

    def test_the_daemon_sleeps_meanwhile(self):
        """Who has had his share is out of the selector until the next tick, though his socket is
        full."""
        with house() as service:
            flood, other = service.user("flood", features=0), service.user("other", features=0)
            service.clock.forward(CALM)
            other.say(wire.Ping(1))
            self.flood(service, flood, 3000)
            service.daemon.turn(0)
            for _ in range(20):
                service.daemon.turn(0)
                self.assertEqual(service.daemon.selector.select(0), [])
                self.assertTrue(0 < service.daemon._timeout(None) <= TICK)
                service.clock.forward(service.daemon._timeout(None) + 1e-6)
                service.daemon.turn(0)
            self.assertEqual(self.answered(service, flood), BURST + 20 * FLOOD)

    def test_sealing_takes_no_longer_than_the_rest_of_a_turn(self):
        """SLICE at most: who waits because of it waits twice as long as without it, or for one
        step."""
        with house() as service:
            daemon = service.daemon
            for took, slice in ((0.0, 0.0), (SLICE / 4, SLICE / 4), (SLICE, SLICE),
                                (SLICE * 4, SLICE)):
                flush = partial(service.clock.forward, took)
                with (self.subTest(took), mock.patch.object(daemon, "_flush", flush),
                      mock.patch.object(service.mailbox, "work", return_value=False) as work):
                    service.clock.forward(WORK_SECONDS)
                    daemon.turn(0)
                    self.assertAlmostEqual(work.call_args.args[0], slice)

    def test_many_who_ask_for_a_little_are_left_alone(self):
        """32 messages on the way each, and what comes back is confirmed: each turn all that they
        ask for."""
        with house() as service:
            clients = [service.user(f"u{n}", features=0) for n in range(20)]
            for _ in range(5):
                for client, to in zip(clients, clients[1:] + clients[:1], strict=True):
                    said = [wire.Send(client.id(), 0, (to.name,), "x") for _ in range(32)]
                    said += [wire.Confirm(1, service.mailbox.last)] * 32
                    client.sock.sendall(b"".join(map(wire.encode, said)))
                before = service.mailbox.last
                service.daemon.turn(0)
                self.assertGreaterEqual(service.mailbox.last, before + 32 * len(clients))
                unfinished = service.daemon.unfinished
                self.assertEqual((unfinished.resting, unfinished.next_turn), ({}, {}))
                for client in clients:
                    client.sock.recv(1 << 20)
                service.clock.forward(2 * TICK)

    def test_many_floods_share(self):
        for count in (2, 10, 40):
            with self.subTest(count), house() as service:
                floods = [service.user(f"flood{n}", features=0) for n in range(count)]
                other = service.user("other", features=0)
                other.say(wire.Ping(1))
                other.hears(wire.Pong)
                for flood in floods:
                    self.flood(service, flood, 200 * FLOOD // count + BURST)
                counts, ticks = [0] * count, 0
                while ticks < 120:
                    other.sock.sendall(wire.encode(wire.Ping(1)))
                    service.daemon.turn(0)
                    self.assertEqual(self.answered(service, other), 1)
                    now = [self.answered(service, flood) for flood in floods]
                    if ticks >= 20:             # the first was a burst
                        self.assertLessEqual(sum(now), FLOOD)
                        counts = [one + more for one, more in zip(counts, now, strict=True)]
                    ticks += 1
                    service.clock.forward(TICK)
                self.assertGreater(sum(counts), 100 * FLOOD * 0.8)
                self.assertLessEqual(max(counts) - min(counts), 2 * FLOOD // count + LEAST)

    def test_nothing_is_lost_by_it(self):
        with house() as service:
            flood, other, bob = (service.user(name, features=0)
                                 for name in ("flood", "other", "bob"))
            ids = [flood.id() for _ in range(1000)]
            flood.sock.sendall(b"".join(wire.encode(wire.Send(n, 0, ("bob",), str(n)))
                                        for n in ids))
            for _ in range(20):
                other.say(wire.Ping(1))
            self.assertEqual(list(map(int, texts(service.mailbox.find("bob").tail))), ids)
            bob.listen()

    def test_lines_to_many_are_much_work(self):
        """A line to a group is as much as its members."""
        with house() as service:
            clients = service.users(*(f"m{n}" for n in range(30)))
            clients[0].say(wire.Invite(1, tuple(client.name for client in clients[1:])))
            for client in clients[1:]:
                client.say(wire.Answer(client.hears_all(wire.Invitation)[0].invitation, 1))
            chat = clients[0].hears_all(wire.Started)[0].chat
            clients[1].hears_all(wire.Started)
            clients[0].sock.sendall(b"".join(wire.encode(wire.Say(n, chat, "x"))
                                             for n in range(1, 101)))
            service.daemon.turn(0)
            inside = service.daemon.board.roster.clients[service.mailbox.find("m0").number]
            self.assertEqual(inside.work, 30)
            self.assertLessEqual(self.answered(service, clients[1]), BURST // 30 + 1)


def is_readable(sock):
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        return bool(selector.select(0))


class ManyNames(unittest.TestCase):
    """A message is as much work as it holds names, whatever becomes of it."""

    def test_whose_messages_hold_many_waits_many_ticks(self):
        with house() as service:
            flood, other = service.user("flood", features=0), service.user("other", features=0)
            other.sock.sendall(wire.encode(wire.Ping(1)))
            service.daemon.turn(0)
            to = ("nobody",) * 4000
            flood.sock.sendall(b"".join(wire.encode(wire.Send(7 << 32 | n, 0, to, "x"))
                                        for n in (1, 2)))
            refused = []
            for turn in range(40):
                service.daemon.turn(0)
                service.clock.forward(TICK)
                refused += [turn for _ in range(len(service.notes.events("refused"))
                                                - len(refused))]
            self.assertEqual(len(refused), 2)
            self.assertGreaterEqual(refused[1] - refused[0], (2000 - BURST) // FLOOD)

    def test_to_all_is_not_worked_out_for_who_may_not(self):
        """Nor remembered: what a client writes into `to` tells two of them not apart."""
        with house(everyone="nobody") as service:
            client = service.user("ann", features=0)
            service.user("bob")
            post = service.daemon.board.post
            with mock.patch.object(post.audiences, "_recipients",
                                   wraps=post.audiences._recipients) as recipients:
                for n in range(50):
                    client.say(wire.Send(7 << 32 | n + 1, SendFlag.EVERYONE, (str(n),), "x"))
                self.assertEqual(len(service.notes.events("refused")), 50)
                post.broadcasts.who = "everyone"
                for n in range(50, 60):
                    client.say(wire.Send(7 << 32 | n + 1, SendFlag.EVERYONE, (str(n),), "x"))
                self.assertEqual(recipients.call_count, 1)
            self.assertEqual(len(post.audiences.known), 1)

    def test_what_is_remembered_of_recipients_has_a_bound_in_names(self):
        with house() as service, mock.patch("rules.audience.AUDIENCES_MAX", 100):
            client = service.user("ann", features=0)
            service.user("bob")
            post = service.daemon.board.post
            for n in range(60):
                client.say(wire.Send(7 << 32 | n + 1, 0, ("bob", *["BOB"] * (n % 30)), "x"))
                self.assertLess(sum(len(key[2]) for key in post.audiences.known), 200)


class Unsent(unittest.TestCase):
    """What one who does not read can make the daemon hold: n - 1, n, n + 1 bytes."""

    def setUp(self):
        self.service = house()
        self.addCleanup(self.service.__exit__)
        self.service.user("ann")
        (self.connection,) = self.service.daemon.connections.values()

    def test_not_read(self):
        for size, is_read in ((READ_PAUSE_AT - 1, True), (READ_PAUSE_AT, False),
                              (READ_PAUSE_AT + 1, False)):
            self.connection.unsent = b"x" * size
            self.connection.watch()
            self.assertEqual(bool(self.connection.mask & selectors.EVENT_READ), is_read)

    def test_closed(self):
        for size, is_open in ((UNSENT_MAX - 1, True), (UNSENT_MAX, True), (UNSENT_MAX + 1, False)):
            self.connection.unsent = b"x" * (size - 10)
            self.connection.send(b"x" * 10)
            self.assertEqual(bool(self.service.daemon.connections), is_open)


class Accepts(unittest.TestCase):
    def test_in_a_turn(self):
        """ACCEPTS callers in a turn, and fewer while somebody asks; the others in the next
        turns."""
        with house() as service:
            listener = socket.socket(socket.AF_UNIX)
            self.addCleanup(listener.close)
            listener.bind(service.directory + "/door")
            listener.listen(300)
            service.daemon.doors.listen(listener, "door")
            for _ in range(ACCEPTS + 1):
                caller = socket.socket(socket.AF_UNIX)
                self.addCleanup(caller.close)
                caller.connect(service.directory + "/door")
            for expected in (ACCEPTS, ACCEPTS + 1):
                service.daemon.turn(0)
                self.assertEqual(len(service.daemon.connections), expected)
            service.user("ann").say(wire.Ping(1))
            for _ in range(ACCEPTS_CALLED + 1):
                caller = socket.socket(socket.AF_UNIX)
                self.addCleanup(caller.close)
                caller.connect(service.directory + "/door")
            for more in (ACCEPTS_CALLED, ACCEPTS_CALLED + 1):
                service.daemon.turn(0)
                self.assertEqual(len(service.daemon.connections), ACCEPTS + 2 + more)


class AcceptRate(unittest.TestCase):
    def test_a_storm_while_somebody_asks(self):
        """ACCEPTS at once, and then ACCEPT_RATE a second at this listener; at another one callers
        come in meanwhile."""
        with house() as service:
            ann = service.user("ann")
            places = [service.directory + name for name in ("/door", "/other")]
            for path in places:
                listener = socket.socket(socket.AF_UNIX)
                self.addCleanup(listener.close)
                listener.bind(path)
                listener.listen(400)
                service.daemon.doors.listen(listener, path)

            def call(path, count):
                for _ in range(count):
                    caller = socket.socket(socket.AF_UNIX)
                    self.addCleanup(caller.close)
                    caller.connect(path)

            def came(turns):
                for _ in range(turns):
                    ann.sock.send(wire.encode(wire.Ping(1)))
                    service.clock.forward(1e-6)
                    service.daemon.turn(0)
                return len(service.daemon.connections) - 1
            came(1)
            call(places[0], 300)
            self.assertEqual(came(100), ACCEPTS)
            call(places[1], 1)
            self.assertEqual(came(3), ACCEPTS + 1)
            for number in range(1, 50):
                service.clock.forward(1 / ACCEPT_RATE)
                self.assertLessEqual(abs(came(5) - ACCEPTS - 1 - number), ACCEPTS_CALLED)
            service.clock.forward(CALM)
            for _ in range(10):
                service.daemon.turn(0)
            self.assertEqual(len(service.daemon.connections) - 1, 301)


class Rate(unittest.TestCase):
    RATE = 50

    def test_n(self):
        """A second's worth at once; the next waits, and comes; nobody is disconnected."""
        for count, late in ((self.RATE - 1, 0), (self.RATE, 0), (self.RATE + 1, 1)):
            with self.subTest(count), house(rate=self.RATE) as service:
                ann = service.user("ann")
                service.forward(1)
                ann.say(*(wire.Ping(number) for number in range(count)))
                self.assertEqual(len(ann.hears_all(wire.Pong)), count - late)
                service.forward(REST)
                self.assertEqual(len(ann.hears_all(wire.Pong)), late)

    def test_each_message_counts(self):
        """Several in one frame are several."""
        with house(rate=self.RATE) as service:
            ann, bob = service.users("ann", "bob")
            service.forward(1)
            ann.say(wire.Sends(99, 0, ("bob",), ("hi",) * 2 * self.RATE), wire.Ping(1))
            # the frame was read; now it is paid
            self.assertEqual(len(bob.hears_all(wire.Mail)), 2 * self.RATE)
            for _ in range(9):
                service.forward(1.1 / 10)
                self.assertEqual(ann.hears_all(wire.Pong), [])
            service.forward(0.2)
            self.assertEqual(ann.hears_all(wire.Pong), [wire.Pong(1)])

    def test_it_is_not_read(self):
        """Out of the selector: a socket full of requests costs nothing, and the daemon sleeps."""
        with house(rate=self.RATE) as service:
            ann, bob = service.users("ann", "bob")
            ann.sock.sendall(wire.encode(wire.Ping(1)) * 5000)
            service.run()
            inside = service.daemon.board.roster.clients[service.mailbox.find("ann").number]
            self.assertFalse(service.daemon.connection_of[inside].mask & selectors.EVENT_READ)
            service.forward(0.1)
            service.run()
            self.assertGreater(min(service.daemon.unfinished.resting.values())
                               - service.clock.monotonic, REST / 2)
            bob.say(wire.Ping(2))
            bob.hears(wire.Pong)

    def test_in_the_long_run(self):
        """So many a second, however much was sent, and all of it in the end; PING is not asked
        meanwhile."""
        with house(rate=self.RATE, silence_seconds=2) as service:
            ann = service.user("ann")
            ann.sock.sendall(wire.encode(wire.Ping(1)) * 1000)
            heard = 0
            for _ in range(100):
                service.forward(0.1)
                heard += len(ann.hears_all(wire.Pong))
            self.assertAlmostEqual(heard, self.RATE * 11, delta=10)
            ann.hears_nothing()
            for _ in range(120):
                service.forward(0.1)
            self.assertEqual(heard + len(ann.hears_all(wire.Pong)), 1000)

    def test_confirming_is_free(self):
        with house(rate=5) as service:
            ann, bob = service.users("ann", "bob")
            for n in range(100):
                service.forward(1)
                ann.send("bob", str(n))
            bob.confirm(*bob.hears_all(wire.Mail))
            self.assertEqual(len(bob.hears_all(wire.Confirmed)), 100)
            self.assertEqual(service.daemon.unfinished.resting, {})

    def test_who_leaves_while_resting(self):
        with house(rate=5) as service:
            ann = service.user("ann")
            ann.sock.sendall(wire.encode(wire.Ping(1)) * 100)
            service.run()
            next(iter(service.daemon.connections.values())).close("gone")
            self.assertEqual(service.daemon.unfinished.resting, {})
            service.forward(10)

    def test_not_reading_and_resting(self):
        """Both at once: it is read again when both are over."""
        with house(rate=100) as service:
            ann = service.user("ann")
            inside = service.daemon.board.roster.clients[service.mailbox.find("ann").number]
            ann.sock.sendall(wire.encode(wire.Ping(1)) * (READ_SIZE // 20))
            service.run()
            self.assertIn(service.daemon.connection_of[inside], service.daemon.unfinished.resting)
            while inside.backlog < READ_PAUSE_AT:
                service.daemon.connection_of[inside].send(wire.encode(wire.Notice("x" * 60_000)))
            service.forward(100)
            self.assertEqual(service.daemon.unfinished.resting, {})
            self.assertFalse(service.daemon.connection_of[inside].mask & selectors.EVENT_READ)
            heard = 0
            for _ in range(400):
                service.forward(0.1)
                heard += len(ann.hears_all(wire.Pong))
            self.assertEqual(heard, READ_SIZE // 20)


class ToAll(unittest.TestCase):
    def test_who_may(self):
        for who, operator, may in (("everyone", False, True), ("operators", False, False),
                                   ("operators", True, True),
                                   ("nobody", False, False), ("nobody", True, False)):
            with self.subTest(who=who, operator=operator), house(everyone=who) as service:
                ann, bob = service.users("ann", "bob")
                service.daemon.board.roster.clients[0].is_operator = operator
                for flags in (SendFlag.EVERYONE, SendFlag.EVERYONE | SendFlag.NOW):
                    ann.send("", "hear ye", flags)
                self.assertEqual(len(bob.hears_all(wire.Mail)), 2 * may)
                refused = ann.hears_all(wire.Refused)
                self.assertEqual(len(refused), 2 * (not may))
                if refused:
                    self.assertRegex(refused[0].reason, "may send to all here: choose the names")
                ann.send("bob", "to one")
                bob.hears_all(wire.Mail)
                self.assertEqual(ann.hears_all(wire.Refused), [])

    def test_how_often(self):
        """A burst of n, not n + 1; one more after the time, not before; by name, not by
        connection."""
        with house(everyone_seconds=30) as service:
            ann, bob = service.user("ann"), service.user("bob", caller=Caller("192.0.2.7:1"))

            def stored(client):
                client.send("", "again", SendFlag.EVERYONE)
                refused = client.hears_all(wire.Refused)
                if refused:
                    self.assertEqual((refused[0].why, len(refused)), (Why.BUSY, 1))
                    self.assertRegex(refused[0].reason, r"too many messages to all: wait \d+ s")
                return not refused
            self.assertEqual([stored(ann) for _ in range(quota.ALL_BURST + 1)],
                             [True] * quota.ALL_BURST + [False])
            self.assertTrue(stored(bob))
            ann.hang_up()
            last = ann._ids
            ann = service.user("ann", caller=Caller("198.51.100.1:1"))
            ann._ids = last
            self.assertFalse(stored(ann))
            service.forward(29.9)
            self.assertFalse(stored(ann))
            service.forward(0.1)
            self.assertEqual([stored(ann), stored(ann)], [True, False])

    def test_thirty_names_of_one_host_have_no_more_than_one(self):
        """Nor have they from addresses that are one host, nor at the Unix socket from one login."""
        for callers in ([Caller(f"127.9.9.{n}:5") for n in range(30)],
                        [Caller("unix:eve", 1003)] * 30,
                        [Caller(f"2001:db8::{n:x}:5") for n in range(30)]):
            with house(everyone_seconds=30) as service:
                many = [service.user(f"m{n}", caller=caller) for n, caller in enumerate(callers)]
                other = service.user("other", caller=Caller("192.0.2.7:1"))
                for client in many:
                    client.send("", "hear me", SendFlag.EVERYONE)
                self.assertEqual(len(other.hears_all(wire.Mail)), quota.ALL_BURST)
                for client in many[quota.ALL_BURST:]:
                    self.assertRegex(client.hears_all(wire.Refused)[0].reason,
                                     "too many messages to all: wait 30 s")
                other.send("", "and me", SendFlag.EVERYONE)
                self.assertEqual(other.hears_all(wire.Refused), [])

    def test_a_copy_is_no_second_one(self):
        """Sent again after a cut line: it is known, and not counted."""
        with house(everyone_seconds=30) as service:
            ann = service.users("ann", "bob")[0]
            said = wire.Send(ann.id(), SendFlag.EVERYONE, (), "once")
            for _ in range(quota.ALL_BURST + 5):
                ann.say(said)
            self.assertEqual(ann.hears_all(wire.Refused), [])

    def test_several_at_once_cost_no_more_when_a_mailbox_is_full(self):
        """Room is looked for one by one then: each is counted once."""
        with house(NONE._replace(messages=quota.ALL_BURST + 2), everyone_seconds=30) as service:
            ann, bob, _ = service.users("ann", "bob", "cat")
            for _ in range(quota.ALL_BURST + 2):
                bob.send("cat", "x")
            service.forward(CALM)
            ann.say(*[wire.Send(ann.id(), SendFlag.EVERYONE, (), "x")
                      for _ in range(quota.ALL_BURST + 1)])
            self.assertEqual(sum(said.last - said.first + 1 for said in ann.hears_all(wire.Stored)),
                             quota.ALL_BURST)

    def test_what_is_remembered_is_bounded(self):
        everyone = quota.Broadcasts("everyone", 10)
        for number in range(5000):
            everyone.admit(number, False, float(number), 1)
        self.assertLess(len(everyone._buckets._levels), 1100)


if __name__ == "__main__":
    unittest.main()
