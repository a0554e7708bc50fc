"""Messages to all names, where the names are many: gathered, put and spread in slices."""
import contextlib
import unittest
from random import Random
from typing import Any
from unittest import mock

import wire
from rules import everyone, post, runs
from rules.state import Caller
from server import pace
from store import fanout
from store.user import User
from tests.harness.process import effort
from tests.harness.service import Service
from tests.rules.test_slices import NAMES, Script, sliced, timeless
from wire import SendFlag

EVERYONE = SendFlag.EVERYONE


@contextlib.contextmanager
def many(above: int = 1, chunk: int = 1) -> Any:
    """More names than this are many; a step looks at so many."""
    with contextlib.ExitStack() as stack:
        for module in (everyone, post, runs):
            stack.enter_context(mock.patch.object(module, "SPREAD", above))
        for module, name, value in ((everyone, "CHUNK", chunk), (fanout, "CHUNK", chunk),
                                    (pace, "SLICE", 0)):
            stack.enter_context(mock.patch.object(module, name, value))
        yield


class TheSame(unittest.TestCase):
    """Over random scripts: each gets the same messages, from each sender in the same order, and
    each sender the same answers."""
    ACTS = (Script.go, Script.vanish, Script.hold, *[Script.send] * 12, Script.check,
            *[Script.confirm] * 2, Script.ignore, Script.list, Script.wait)
    SCRIPTS, STEPS = effort(100, 6), 60

    def view(self, heard: list[Any]) -> Any:
        mails = [said for said in heard if isinstance(said, wire.Mail)]
        return ([[mail for mail in mails if mail.sender == name] for name in NAMES],
                sorted(answer for said in heard for answer in self.answers(said)))

    @staticmethod
    def answers(said: Any) -> list[str]:
        """One by one: what is of one turn is said together."""
        match said:
            case wire.Outcomes():
                return [f"{said.outcome} {origin} {sorted(said.to)}"
                        for origin in range(said.first, said.last + 1)]
            case wire.Stored() | wire.Delivered():
                return [f"{type(said).__name__} {origin} {said[2:]}"
                        for origin in range(said.first, said.last + 1)]
            case wire.Refused() | wire.Checked():
                return [repr(said)]
        return []

    def test_scripts(self) -> None:
        mails = 0
        for seed in range(self.SCRIPTS):
            expected = Script(seed, self.ACTS).play(self.STEPS)
            with sliced(many=1, delivered=1), many():
                found = Script(seed, self.ACTS).play(self.STEPS)
            for name in NAMES:
                mails += sum(isinstance(said, wire.Mail) for said in found[name])
                self.assertEqual(self.view(timeless(found[name])),
                                 self.view(timeless(expected[name])), (seed, name))
        self.assertGreater(mails, 5 * self.SCRIPTS)


class Queues(unittest.TestCase):
    """A message that is on its way, and whatever else happens to the queues meanwhile."""

    def life(self, seed: int, spread: bool) -> list[tuple[int, list[int]]]:
        """How many messages wait for each at the end, and their ids."""
        chance = Random(seed)
        with Service() as service:
            box = service.mailbox
            users = [box.register(f"u{number}", 1) for number in range(9)]
            for _ in range(60):
                step = chance.randrange(6)
                user = chance.choice(users)
                others = [other for other in users if other is not user]
                if step == 0 and box.fanout.mail is None:
                    box.put_run(user, 0, 1, others, EVERYONE, b"\0\1\0\1x", spread)
                elif step == 0:
                    box.put(user, 0, 1, others, EVERYONE, b"x")
                elif step == 1:
                    box.put(user, 0, 1, chance.sample(others, 3), 0, b"y")
                elif step == 2:
                    found = box.unread(user, 0, box.last, 2, 1000)
                    box.read(user, 1, found[-1].last if found else 5)
                elif step == 3:
                    box.write()
                elif step == 4:
                    box.fanout.step()
                else:
                    box.fanout.reach(user)
            box.fanout.finish()
            box.write()
            waiting = [(user.waiting, [mail.id for mail in user.tail]) for user in users]
            box.sync(wait=True)
            service.restart()
            for user, (number, ids) in zip(service.mailbox.users, waiting, strict=True):
                assert (user.waiting, [mail.id for mail in user.tail]) == (number, ids), user
            return waiting

    def test_any_order(self) -> None:
        with mock.patch.object(fanout, "CHUNK", 2):
            for seed in range(effort(300, 10)):
                self.assertEqual(self.life(seed, spread=True), self.life(seed, spread=False), seed)

    def test_a_user_is_reached_once(self) -> None:
        with Service() as service:
            box = service.mailbox
            users: list[User] = [box.register(f"u{number}", 1) for number in range(6)]
            box.put_run(users[0], 0, 1, users[1:], EVERYONE, b"\0\1\0\1x", True)
            self.assertEqual([user.waiting for user in users], [0] * 6)
            self.assertEqual([box.fanout.reach(user) for user in (*users, *users)],
                             [False] + [True] * 5 + [False] * 6)
            box.fanout.finish()
            self.assertEqual([user.waiting for user in users], [0] + [1] * 5)


class InTheMidst(unittest.TestCase):
    """What happens while a message is on its way."""

    def setUp(self) -> None:
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        stack.enter_context(many())
        self.service = stack.enter_context(Service())
        self.ann, self.bob, self.zoe = self.service.users("ann", "bob", "zoe")

    def send(self, *more: wire.Message) -> int:
        """To all, and what ann says then; not a turn passes."""
        number = self.ann.id()
        self.ann.sock.sendall(b"".join(map(wire.encode, (
            wire.Send(number, EVERYONE, (), "hi"), *more))))
        return int(number)

    def until_put(self) -> None:
        for _ in range(50):
            if self.service.mailbox.fanout.mail is not None:
                return
            self.service.daemon.turn(0)
        self.fail("it is never put")

    def test_its_sender_waits_and_nobody_else(self) -> None:
        self.send(wire.Ping(1))
        self.service.daemon.turn(0)
        self.bob.sock.sendall(wire.encode(wire.Ping(2)))
        self.service.daemon.turn(0)
        self.assertEqual(self.service.mailbox.last,
                         max(user.newest for user in self.service.mailbox.users) or
                         self.service.mailbox.last)
        self.assertIn(b"\0\0\0\0\0\0\0\x02", self.bob.sock.recv(1000))
        self.ann.hears(wire.Pong, stamp=1)      # behind the put
        self.ann.hears(wire.Stored)
        for each in (self.bob, self.zoe):
            each.hears(wire.Mail, text="hi", copies=2)

    def test_a_reader_that_comes(self) -> None:
        """What is on its way to it waits for it, and a check brings it."""
        self.zoe.hang_up()
        self.send()
        self.until_put()
        with mock.patch.object(pace, "SLICE", -1), \
                mock.patch.object(fanout.Fanout, "step", lambda self: True):
            zoe = self.service.connect()
            zoe.name = "zoe"
            zoe.sock.sendall(wire.encode(wire.Hello(wire.VERSION, 0, bytes(16), "zoe")))
            for _ in range(4):
                self.service.daemon.turn(0)
        self.assertEqual(zoe.hears(wire.Welcome).waiting, 1)
        zoe.say(wire.Check(1))
        zoe.hears(wire.Mail, text="hi")
        zoe.hears(wire.Checked, total=1)
        self.ann.hears(wire.Stored)
        self.ann.hears(wire.Outcomes, to=("zoe",))

    def test_those_who_came_and_went_since_they_were_looked_at(self) -> None:
        """The outcomes are of the moment in which it is put."""
        board, find = self.service.daemon.board, everyone.Everyone.find
        self.zoe.hang_up()

        def late(this: Any, client: Any, *more: Any) -> None:
            if client in this._gathered:
                now = self.service.daemon.now
                board.door.leave(board.roster.clients[1], "test", now)
                board.door.enter(wire.Hello(wire.VERSION, 0, bytes(16), "zoe"), Caller("test:9"),
                                 now)
            find(this, client, *more)
        with mock.patch.object(everyone.Everyone, "find", late):
            number = self.send()
            self.service.run()
        self.ann.hears(wire.Stored, first=number)
        self.ann.hears(wire.Outcomes, outcome=wire.Outcome.AWAY, to=("bob",))
        self.ann.hears_nothing()
        zoe = board.roster.clients[2]
        self.assertEqual((zoe.window.messages, zoe.waiting), (1, 0))    # it was pushed

    def test_a_reader_that_ignores_the_sender(self) -> None:
        self.zoe.say(wire.Ignore(1, 1, "ann"))
        self.zoe.hears(wire.Done)
        self.send()
        self.ann.hears(wire.Stored)
        self.zoe.hears_nothing()
        self.bob.hears(wire.Mail)
        self.assertEqual(self.service.mailbox.find("zoe").waiting, 0)

    def test_a_sender_that_is_gone_before_it_is_put(self) -> None:
        self.send()
        self.service.daemon.turn(0)
        self.service.daemon.board.door.put_out(
            self.service.daemon.board.roster.clients[0], "test", self.service.daemon.now)
        self.service.run()
        self.bob.hears_nothing()
        self.assertEqual((self.service.daemon.board.promises.awaiting,
                          bool(self.service.daemon.board.slices)), ({}, False))

    def test_two_senders(self) -> None:
        """One after the other, and each in the order of its ids."""
        first = self.send()
        self.bob.sock.sendall(b"".join(wire.encode(wire.Send(self.bob.id(), EVERYONE, (), text))
                                       for text in "123"))
        self.service.run()
        self.ann.hears(wire.Stored, first=first)
        said = self.zoe.hears_all(wire.Mail)
        self.assertEqual([mail.text for mail in said if mail.sender == "bob"], list("123"))
        self.assertEqual([mail.id for mail in said], sorted(mail.id for mail in said))
        self.assertEqual(len(said), 4)

    def test_the_rate_is_asked_first(self) -> None:
        """What is refused whoever gets it is not gathered for."""
        self.service.daemon.board.post.broadcasts.who = "nobody"
        with mock.patch.object(everyone.Everyone, "find", side_effect=AssertionError):
            self.send()
            self.ann.hears(wire.Refused)

    def test_a_full_mailbox(self) -> None:
        with mock.patch.object(self.service.daemon.board.delivery.accounts, "full",
                               lambda users, sender, size: [u for u in users if u.name == "zoe"]), \
                mock.patch.object(self.service.daemon.board.delivery.accounts, "room",
                                  lambda users, sender: 0 if "zoe" in [u.name for u in users]
                                  else 100):
            self.send()
            self.service.run()
        self.ann.hears(wire.Stored)
        self.ann.hears(wire.Outcomes, outcome=wire.Outcome.FULL, to=("zoe",))
        self.zoe.hears_nothing()
        self.bob.hears(wire.Mail, copies=1)

    def test_the_disk_refuses_it(self) -> None:
        """Nobody has seen it, and its sender is told."""
        self.send()
        box = self.service.mailbox
        with mock.patch.object(type(box._journals), "append",
                               side_effect=OSError(28, "No space left on device")):
            self.service.run()
        self.ann.hears(wire.Refused)
        for each in (self.bob, self.zoe):
            each.hears_nothing()
        self.assertEqual([user.waiting for user in box.users], [0, 0, 0])
        self.assertIsNone(box.fanout.mail)


class Pages(unittest.TestCase):
    """OUTCOMES of many names are sent a page at a time, as the sender reads them."""

    def test_pages(self) -> None:
        with Service() as service, mock.patch.object(pace, "SLICE", 0):
            ann = service.user("ann", features=0)
            for number in range(12_000):
                service.mailbox.register(f"n{number}", 1)
            ann.sock.sendall(wire.encode(wire.Send(ann.id(), EVERYONE, (), "hi")) +
                             wire.encode(wire.Ping(1)))
            most = 0
            for _ in range(60):
                before = len(ann.heard)
                service.daemon.turn(0)
                with contextlib.suppress(BlockingIOError):
                    ann.heard += [wire.decode(frame, wire.DAEMON)
                                  for frame in ann._decoder.feed(ann.sock.recv(1 << 20))]
                most = max(most, sum(isinstance(said, wire.Outcomes)
                                     for said in ann.heard[before:]))
            self.assertEqual(most, 1)
            names = [name for said in ann.hears_all(wire.Outcomes) for name in said.to]
            self.assertEqual(names, [f"n{number}" for number in range(12_000)])
            self.assertEqual(service.daemon.board.promises._long, {})


if __name__ == "__main__":
    unittest.main()
