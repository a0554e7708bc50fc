"""Work in slices: each client hears the same, in the same order, as if all were done at once; and
no step is long."""
import contextlib
import unittest
from collections.abc import Sequence
from random import Random
from typing import Any
from unittest import mock

import daemon
import wire
from rules import delivery, roster, sessions, slices
from rules.sessions import without
from rules.slices import Crowd, Slices
from rules.state import Client
from server import pace
from server.partings import CLOSING
from tests.harness.process import effort
from tests.harness.service import Service

NAMES = ("ann", "bob", "cat", "dan", "eve", "fay", "gus")
RECEIPTS, ROSTER = wire.Feature.RECEIPTS, wire.Feature.ROSTER
CHATTING = (wire.Inviting, wire.Invitation, wire.Answered, wire.CalledOff, wire.Started, wire.Line,
            wire.Left, wire.Ended)


class Script:
    """Users who do random things, some of them in the same turn; a seed always makes the same
    requests.  What they heard is kept by user."""

    def __init__(self, seed: int, acts: Sequence[Any] = ()) -> None:
        self.chance, self.acts = Random(seed), acts or ACTS
        self.service = Service()
        self.people: dict[str, Any] = {}
        self.heard: dict[str, list[Any]] = {name: [] for name in NAMES}
        self.request = 0

    def play(self, steps: int) -> dict[str, list[Any]]:
        with self.service:
            for name in NAMES:
                self.come(name)
            for _ in range(steps):
                name = self.chance.choice(NAMES)
                act = self.chance.choice(self.acts)
                if name in self.people:
                    act(self, name)
                elif self.chance.random() < 0.5:
                    self.come(name)
                if self.chance.random() < 0.5:
                    self.service.daemon.turn(0)
            self.rest()
            return self.heard

    def inside(self, name: str) -> Client:
        return self.service.daemon.board.roster.clients[
            self.service.mailbox.find(name).number]                     # type: ignore[union-attr]

    def say(self, name: str, said: wire.Message) -> None:
        """It is read in the next turn; those of others may come in the same."""
        self.people[name].sock.sendall(wire.encode(said))

    def alone(self, name: str, said: wire.Message) -> None:
        """It depends on the turn who is pushed what is sent beside this: nothing is."""
        self.rest()
        self.say(name, said)
        self.service.run()

    def rest(self) -> None:
        """Until nothing is under way; what all have heard is put down."""
        self.service.run()
        for name in list(self.people):
            self.put_down(name)

    def put_down(self, name: str) -> None:
        client = self.people[name]
        client.listen()
        self.heard[name] += client.heard
        client.heard = []

    def next(self) -> int:
        self.request += 1
        return self.request

    def others(self, name: str) -> tuple[str, ...]:
        some = self.chance.sample(NAMES, self.chance.randrange(1, len(NAMES)))
        return tuple(other for other in some if other != name) or ("ann",)

    # ---- what they do ----

    def come(self, name: str) -> None:
        self.service.run()
        self.people[name] = self.service.user(name, features=RECEIPTS | ROSTER)

    def go(self, name: str) -> None:
        self.rest()
        self.say(name, wire.Exit())
        self.service.run()
        self.put_down(name)
        del self.people[name]

    def vanish(self, name: str) -> None:
        self.rest()
        self.people.pop(name).hang_up()

    def invite(self, name: str) -> None:
        self.say(name, wire.Invite(self.next(), self.others(name)))

    def answer(self, name: str) -> None:
        self.service.daemon.turn(0)
        if open_ := list(self.inside(name).chats.invitations):
            accept = self.chance.random() < 0.9
            self.say(name, wire.Answer(self.chance.choice(open_), accept))

    def withdraw(self, name: str) -> None:
        self.service.daemon.turn(0)
        if invitation := self.inside(name).chats.inviting:
            self.say(name, wire.Withdraw(invitation.number))

    def talk(self, name: str) -> None:
        self.service.daemon.turn(0)
        session = self.inside(name).chats.session
        text = "quit" if self.chance.random() < 0.1 else f"line {self.next()}"
        self.say(name, wire.Say(self.next(), session.number if session else 1, text))

    def hold(self, name: str) -> None:
        self.alone(name, wire.Hold(self.next(), self.chance.randrange(2)))

    def send(self, name: str) -> None:
        flags, to = self.chance.choice(((0, self.others(name)), (wire.SendFlag.EVERYONE, ()),
                                        (wire.SendFlag.NOW, self.others(name))))
        self.say(name, wire.Send((5 << 32) + self.next(), flags, to, "hi"))

    def check(self, name: str) -> None:
        self.alone(name, wire.Check(self.next()))

    def confirm(self, name: str) -> None:
        """All that it has heard."""
        self.rest()
        shown = [said.id for said in self.heard[name] if isinstance(said, wire.Mail)]
        if shown:
            self.alone(name, wire.Confirm(min(shown), max(shown)))

    def ignore(self, name: str) -> None:
        self.alone(name, wire.Ignore(self.next(), self.chance.randrange(2), self.others(name)[0]))

    def list(self, name: str) -> None:
        self.rest()
        self.say(name, wire.List(self.next()))

    def wait(self, name: str) -> None:
        self.service.clock.forward(self.chance.choice((0.01, 1, 61)))
        for other in self.people:
            self.say(other, wire.Pong(0))       # they are not thrown out for their silence


ACTS = (Script.go, Script.vanish, *[Script.invite] * 3, *[Script.answer] * 12, Script.withdraw,
        *[Script.talk] * 8, Script.hold, *[Script.send] * 3, Script.check, Script.confirm,
        Script.ignore, Script.list, Script.wait)


@contextlib.contextmanager
def sliced(many: int, delivered: int = slices.MANY) -> Any:
    """Whatever concerns more than `many` is done in slices, of which a turn has one step of one
    unit."""
    with contextlib.ExitStack() as stack:
        for module, name, value in ((roster, "MANY", many), (sessions, "MANY", many),
                                    (delivery, "MANY", delivered), (slices, "STEP", 1),
                                    (pace, "SLICE", 0)):
            stack.enter_context(mock.patch.object(module, name, value))
        yield


def timeless(heard: list[Any]) -> list[Any]:
    """The same at whatever time, with ids as they come: the clock of a test counts the turns."""
    def alike(said: Any) -> Any:
        match said:
            case wire.Mail():
                return said._replace(id=0, time=0)
            case wire.Line():
                return said._replace(time=0)
            case wire.Roster():
                return [(entry.name, entry.state, entry.chat) for entry in said.entries]
            case wire.Confirmed():
                return wire.Confirmed
        return said
    return [alike(said) for said in heard if not isinstance(said, wire.Ping)]


class TheSame(unittest.TestCase):
    """Slices against all at once, over random scripts."""
    SCRIPTS, STEPS = effort(200, 5), 60

    def compare(self, view: Any, **how: int) -> None:
        lines = 0
        for seed in range(self.SCRIPTS):
            expected = Script(seed).play(self.STEPS)
            with sliced(**how):
                found = Script(seed).play(self.STEPS)
            for name in NAMES:
                lines += len(expected[name])
                self.assertEqual(view(timeless(found[name])), view(timeless(expected[name])),
                                 (seed, name))
        self.assertGreater(lines, 20 * self.SCRIPTS)

    def test_telling(self) -> None:
        """What is said to many: every client hears exactly the same."""
        def view(heard: list[Any]) -> Any:
            return [[said for said in heard if isinstance(said, list) is pages]
                    for pages in (False, True)]
        self.compare(view, many=1)

    def test_delivery(self) -> None:
        """Readers of a message are served one by one: mail, and all else, keep their orders."""
        def view(heard: list[Any]) -> Any:
            return ([said for said in heard if isinstance(said, wire.Mail)],
                    [said for said in heard if isinstance(said, CHATTING)])
        self.compare(view, many=1, delivered=1)


class Steps(unittest.TestCase):
    """A crowd is served in order, STEP units at a time, each once."""

    def setUp(self) -> None:
        self.slices = Slices()
        self.served: list[int] = []

    def crowd(self, units: int) -> Crowd[int]:
        def serve(one: int) -> int:
            self.served.append(one)
            return units
        return Crowd(self.slices, serve)

    def test_units(self) -> None:
        for units, each in ((1, slices.STEP), (slices.STEP // 2, 2), (10 * slices.STEP, 1)):
            self.served.clear()
            self.crowd(units).add(range(100))
            sizes = []
            while self.slices:
                before = len(self.served)
                self.slices.step()
                sizes.append(len(self.served) - before)
            self.assertEqual(self.served, list(range(100)))
            self.assertEqual(max(sizes), each)

    def test_each_once(self) -> None:
        crowd = self.crowd(slices.STEP)
        crowd.add((1, 2, 3))
        self.slices.step()
        crowd.add((3, 4))
        self.assertTrue(crowd.drop(2))
        self.assertFalse(crowd.drop(1))
        while self.slices.step():
            pass
        self.assertEqual(self.served, [1, 3, 4])

    def test_works_take_turns(self) -> None:
        first, second = self.crowd(slices.STEP), self.crowd(slices.STEP)
        first.add(range(4))
        second.add(range(10, 14))
        while self.slices.step():
            pass
        self.assertEqual(self.served, [0, 10, 1, 11, 2, 12, 3, 13])


class Turns(unittest.TestCase):
    """What one turn does for many."""

    def setUp(self) -> None:
        self.service = Service()
        self.addCleanup(self.service.__exit__)

    def sent(self) -> int:
        """To how many connections something is sent in one turn of one step."""
        before = [each.unsent for each in self.service.daemon.connections.values()]
        self.assertFalse(any(before))
        with mock.patch.object(pace, "SLICE", 0), \
                mock.patch.object(daemon.Connection, "send", autospec=True,
                                  side_effect=daemon.Connection.send) as send:
            self.service.daemon.turn(0)
        return int(send.call_count)

    def group(self, count: int) -> tuple[list[Any], int]:
        """A chat of so many."""
        members = [self.service.user(f"m{number}", features=0) for number in range(count)]
        members[0].say(wire.Invite(1, tuple(each.name for each in members[1:])))
        number = members[0].hears(wire.Inviting).invitation
        for each in members[1:-1]:
            each.sock.sendall(wire.encode(wire.Answer(number, 1)))
        self.service.run()
        members[-1].sock.sendall(wire.encode(wire.Answer(number, 1)))
        return members, number

    def test_a_chat_that_starts_and_ends(self) -> None:
        """More than MANY are sent to in no turn; and one that asks meanwhile is answered at
        once, behind what it was told before."""
        count = slices.MANY + 2 * slices.STEP
        members, _ = self.group(count)
        self.assertEqual(self.sent(), slices.STEP)
        self.service.clock.forward(5)           # all have worked off their answers (fairness.py)
        last = members[-1]
        last.sock.sendall(wire.encode(wire.Ping(7)))
        self.assertEqual(self.sent(), slices.STEP + 1)
        told = [wire.decode(frame, wire.DAEMON) for frame in last._decoder.feed(
            last.sock.recv(1 << 20))]
        self.assertEqual([type(said) for said in told[-2:]], [wire.Started, wire.Pong])
        turns = 0
        while self.service.daemon.board.slices:
            self.assertLessEqual(self.sent(), slices.STEP)
            turns += 1
        self.assertGreater(turns, slices.MANY // slices.STEP - 2)
        chat = next(iter(self.service.daemon.board.sessions.active))
        members[1].sock.sendall(wire.encode(wire.Say(1, chat, "quit")))
        self.assertLessEqual(self.sent(), slices.STEP + 1)
        self.service.run()
        for each in members[2:]:
            self.assertEqual([type(said) for said in each.hears_all(wire.Left)], [wire.Left])

    def test_what_comes_in_waits_its_turn(self) -> None:
        """After READ_SECONDS the rest waits for the next turn, and comes first there."""
        people = [self.service.user(f"u{number}", features=0) for number in range(24)]
        answered: list[int] = []
        with mock.patch.object(pace, "READ_SECONDS", 0):
            for each in people:
                each.sock.sendall(wire.encode(wire.Ping(1)))
            for _ in range(3 * len(people)):
                self.service.daemon.turn(0)
                for number, each in enumerate(people):
                    with contextlib.suppress(BlockingIOError):
                        each.sock.recv(100)
                        answered.append(number)
                        each.sock.sendall(wire.encode(wire.Ping(2)))
        rounds = [answered[at:at + len(people)] for at in (0, len(people))]
        for each in rounds:
            self.assertEqual(sorted(each), list(range(len(people))))

    def test_those_that_are_gone_at_once(self) -> None:
        """They are closed in slices, though the others would tell them something first."""
        members, _ = self.group(48)
        self.service.run()
        closed: list[int] = []
        for each in members[1:]:
            each.sock.close()
        with (mock.patch.object(pace, "READ_SECONDS", 0), mock.patch.object(pace, "SLICE", 0),
              mock.patch.object(pace, "SLICE_MAX", 0)):
            while len(connections := self.service.daemon.connections) > 1:
                self.service.daemon.turn(0)
                closed.append(len(connections) - len(self.service.daemon.connections))
        self.assertLessEqual(max(closed), pace.LOOK_EACH + slices.STEP // CLOSING)
        left = [said.by for said in members[0].hears_all(wire.Left)]
        self.assertEqual(len(set(left)), len(members) - 2)
        self.assertEqual(len(members[0].hears_all(wire.Ended)), 1)

    def test_all_members_of_a_chat_say_something_at_once(self) -> None:
        """What is copied for them has a bound, and nobody hears their own line."""
        members, _ = self.group(24)
        self.service.run()
        chat = next(iter(self.service.daemon.board.sessions.active))
        lines = [f"line {number}" for number in range(len(members))]
        sizes: list[int] = []

        def copied(lines: bytes, spans: Sequence[tuple[int, int]]) -> bytes:
            sizes.append(len(lines))
            return without(lines, spans)
        for each in members:
            each.listen()
        for each, line in zip(members, lines, strict=True):
            each.sock.sendall(wire.encode(wire.Say(1, chat, line)))
        with (mock.patch.object(sessions, "COPIED", 1000),
              mock.patch.object(sessions, "without", copied)):
            self.service.daemon.turn(0)
        self.assertLess(0, sum(sizes))
        self.assertLess(sum(sizes), 24 * 24 * 28 // 3)      # each line has 28 bytes
        self.service.run()
        for each, line in zip(members, lines, strict=True):
            heard = [said.text for said in each.hears_all(wire.Line)]
            self.assertEqual(heard, [other for other in lines if other != line])

    def test_a_long_queue_that_is_confirmed_at_once(self) -> None:
        """A turn takes CONFIRM_MOST of it; it is answered when all are taken."""
        ann, bob = self.service.users("ann", "bob")
        bob.say(wire.Hold(1, 1))
        box, most = self.service.mailbox, delivery.CONFIRM_MOST
        users = box.find("ann"), box.find("bob")
        for number in range(2 * most + 10):
            box.put(users[0], (9 << 32) + number + 1, 1, [users[1]], 0, b"x")
        self.service.run()
        bob.hears_all(wire.Done)
        bob.sock.sendall(wire.encode(wire.Confirm(1, 1 << 50)))
        waiting = []
        for _ in range(6):
            self.service.daemon.turn(0)
            self.service.clock.forward(0.2)
            waiting.append(users[1].waiting)
        self.assertEqual(sorted(set(waiting), reverse=True)[:3], [most + 10, 10, 0])
        self.service.run()
        bob.hears(wire.Confirmed, first=1, last=1 << 50)
        bob.hears_nothing()
        delivered = ann.hears_all(wire.Delivered)
        self.assertEqual((delivered[0].first, delivered[-1].last),
                         ((9 << 32) + 1, (9 << 32) + 2 * most + 10))

    def test_one_that_leaves_is_told_all_before(self) -> None:
        """Its frames were queued, and it goes before its turn has come."""
        members, _ = self.group(slices.MANY + 2)
        with mock.patch.object(pace, "SLICE", 0):
            self.service.daemon.turn(0)
            self.service.clock.forward(5)
            members[-1].sock.sendall(wire.encode(wire.Exit()))
            self.service.daemon.turn(0)
        heard = [wire.decode(frame, wire.DAEMON) for frame in members[-1]._decoder.feed(
            members[-1].sock.recv(1 << 20))]
        self.assertEqual([type(said) for said in heard[-2:]], [wire.Started, wire.Ended])


if __name__ == "__main__":
    unittest.main()
