"""The client's end of the wire, against a daemon that does as it is told: by the script, by a model, or by chance."""
import contextlib
import random
import select
import socket
import tempfile
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any, get_type_hints
from unittest import mock

import dial
import line
import link
import outbox
import wire
from address import Address, default_addresses, default_port, default_socket
from archive import Archive, ArchiveError
from link import Busy, Link, NameRefused, Offline, Online, Over, Repeated
from wire import Direction, Feature, Outcome, Presence, SendFlag, Why

STORE, OTHER = b"s" * 16, b"o" * 16
HERE = Address("/nowhere/parley.sock", "", 0)
THERE = Address("", "127.0.0.1", 6464)
INSTANCE = 7
FIRST = INSTANCE << 32 | 1
ALL = Feature.ROSTER | Feature.RECEIPTS


def welcome(name: str = "alice", store: bytes = STORE, features: int = ALL, waiting: int = 0,
            version: int = wire.VERSION, token: bytes = b"t" * 16) -> wire.Welcome:
    return wire.Welcome(version, features, token, store, 0, waiting, name, "lab")


def mail(number: int, origin: int = 0, flags: int = 0, sender: str = "bob", text: str = "hi") -> wire.Mail:
    return wire.Mail(number, 1000 + number, origin or 1000 + number, flags, 1, sender, text)


def entry(name: str, state: int = Presence.AWAY) -> wire.Entry:
    return wire.Entry(name, state, 0, 0, 0)


class House:
    """A daemon's end of whatever is dialled."""

    def __init__(self) -> None:
        self.dialled: list[Address] = []
        self.closed: dict[Address, str] = {}        # addresses that refuse, and why
        self.end, other = socket.socketpair()
        other.close()
        self.decoder = wire.Decoder(wire.FRAME_MAX)

    def dial(self, address: Address) -> socket.socket:
        self.dialled.append(address)
        if address in self.closed:
            raise OSError(111, self.closed[address])
        self.close()
        ours, self.end = socket.socketpair()
        self.decoder = wire.Decoder(wire.FRAME_MAX)
        for sock in (ours, self.end):
            sock.setblocking(False)
        return ours

    def close(self) -> None:
        self.end.close()

    def hear(self, most: int = 1 << 30) -> list[Any]:
        """What the client said; no more than so many bytes of it are read."""
        heard = []
        while most:
            try:
                data = self.end.recv(min(most, 65536))
            except (BlockingIOError, ConnectionResetError):
                break
            if not data:
                break
            most -= len(data)
            heard += [wire.decode(frame, Direction.CLIENT) for frame in self.decoder.feed(data)]
        return heard

    def say(self, *said: Any) -> None:
        self.end.sendall(b"".join(map(wire.encode, said)))


class Base(unittest.TestCase):
    features = ALL
    addresses: tuple[Address, ...] = (HERE,)

    def setUp(self) -> None:
        self.now, self.jitter = 50.0, 0.5
        self.house = House()
        self.link = self.make()

    def make(self, archive: Archive | None = None, name: str = "alice", instance: int = INSTANCE,
             features: int | None = None) -> Link:
        made = Link(self.addresses, name, archive, features=self.features if features is None else features,
                    monotonic=lambda: self.now, instance=instance, jitter=lambda: self.jitter, dial=self.house.dial)
        self.addCleanup(made.close)
        self.addCleanup(self.house.close)
        return made

    def pump(self) -> list[Any]:
        """Let the link do what it can without waiting."""
        events = self.link.tick() if self.link.timeout() == 0.0 else []
        while (sock := self.link.sock) is not None:
            writing = [sock] if self.link.mask & EVENT_WRITE else []
            readable, writable, _ = select.select([sock] if self.link.mask & EVENT_READ else [], writing, [], 0)
            if not readable and not writable:
                break
            events += self.link.ready((EVENT_READ if readable else 0) | (EVENT_WRITE if writable else 0))
        return events

    def login(self, said: wire.Welcome | None = None, *more: Any) -> list[Any]:
        """Connect and be let in; what came of it after Online.  HELLO is heard."""
        self.link.connect()
        self.pump()
        (self.hello,) = self.house.hear()
        self.house.say(said or welcome(), *more)
        events = self.pump()
        self.assertIsInstance(events[0], Online)
        return events[1:]

    def given(self, *said: Any) -> list[Any]:
        self.house.say(*said)
        return self.pump()

    def cut(self) -> list[Any]:
        self.house.end.close()
        return self.pump()

    def wait(self, seconds: float) -> list[Any]:
        self.now += seconds
        return self.link.tick() + self.pump()

    def back(self, said: wire.Welcome | None = None) -> list[Any]:
        """Offline: wait for the retry, and be let in; what is said after HELLO."""
        assert self.link.retry_at is not None
        self.now = self.link.retry_at
        self.pump()
        (self.hello,) = self.house.hear()
        self.assertIsInstance(self.given(said or welcome())[0], Online)
        return self.house.hear()

    def offline(self, events: list[Any], reason: str) -> None:
        """The line was ended for this reason, and nothing else is amiss."""
        self.assertIsInstance(events[-1], Offline)
        self.assertRegex(events[-1].reason, reason)
        self.assertFalse(self.link.online)
        self.assertIsNone(self.link.sock)


class TestLogin(Base):
    def test_login(self) -> None:
        self.login(welcome("Alice", waiting=3))
        self.assertEqual(self.hello, wire.Hello(wire.VERSION, ALL | Feature.IGNORE, bytes(16), "alice"))
        self.assertTrue(self.link.online)
        self.assertEqual((self.link.name, self.link.house, self.link.waiting), ("Alice", "lab", 3))
        self.assertEqual(self.link.address, HERE)
        self.assertEqual(self.link.mask, EVENT_READ)

    def test_nothing_is_said_before_connect(self) -> None:
        self.assertIsNone(self.link.sock)
        self.assertIsNone(self.link.timeout())
        self.assertEqual(self.link.tick(), [])

    def test_a_refused_name_and_another(self) -> None:
        self.link.connect()
        self.pump()
        self.house.hear()
        self.assertEqual(self.given(wire.Rejected(Why.TAKEN, "alice is in use")),
                         [NameRefused(Why.TAKEN, "alice is in use")])
        self.assertIsNone(self.link.timeout())
        self.assertIsNone(self.link.sock)
        self.link.rename("ann")
        self.login(welcome("ann"))
        self.assertEqual(self.hello.name, "ann")

    def test_a_name_that_is_none_is_not_sent(self) -> None:
        self.link = self.make(name="two words")
        self.link.connect()
        self.assertEqual([type(event) for event in self.pump()], [NameRefused])
        self.assertEqual(self.house.dialled, [])
        with self.assertRaises(ValueError):
            self.link.rename("")
        self.link.rename("alice")
        self.login()
        with self.assertRaises(ValueError):
            self.link.rename("bob")

    def test_what_each_rejection_means(self) -> None:
        expected = {Why.TAKEN: NameRefused, Why.BAD_NAME: NameRefused, Why.DENIED: NameRefused, Why.FULL: Offline,
                    Why.VERSION: Over, Why.OTHER: Over}
        for why, event in expected.items():
            with self.subTest(why):
                self.link = self.make()
                self.link.connect()
                self.pump()
                (found,) = self.given(wire.Rejected(why, "no"))
                self.assertIsInstance(found, event)
                self.assertEqual(found.reason, "no")
                self.assertEqual(self.link.retry_at is not None, event is Offline)

    def test_another_version_is_the_end(self) -> None:
        self.link.connect()
        self.pump()
        self.assertEqual([type(event) for event in self.given(welcome(version=2))], [Over])
        self.link.connect()
        self.assertIsNone(self.link.sock)

    def test_each_address_in_order(self) -> None:
        self.addresses = (HERE, THERE)
        self.link = self.make()
        self.house.closed[HERE] = "Connection refused"
        self.login()
        self.assertEqual(self.house.dialled, [HERE, THERE])
        self.assertEqual(self.link.address, THERE)

    def test_no_address_answers(self) -> None:
        self.addresses = (HERE, THERE)
        self.link = self.make()
        self.house.closed = {HERE: "No such file", THERE: "Connection refused"}
        self.link.connect()
        self.assertEqual(self.link.timeout(), 0.0)
        self.offline(self.pump(), f"^{HERE}: No such file; {THERE}: Connection refused$")

    def test_the_next_address_when_the_login_gets_no_answer(self) -> None:
        self.addresses = (HERE, THERE)
        self.link = self.make()
        self.link.connect()
        self.pump()
        self.assertEqual(self.link.timeout(), line.LOGIN_SECONDS)
        self.assertEqual(self.wait(line.LOGIN_SECONDS), [])
        self.assertEqual(self.house.dialled, [HERE, THERE])
        self.offline(self.wait(line.LOGIN_SECONDS), "did not answer in time; .*did not answer in time")

    def test_defaults(self) -> None:
        system = Address("/run/parley/parley.sock", "", 0)
        self.assertEqual(default_addresses(), [default_socket(), system, default_port()])

    def test_dial_for_real(self) -> None:
        with tempfile.TemporaryDirectory() as place, socket.socket(socket.AF_UNIX) as unix, \
                socket.create_server(("127.0.0.1", 0)) as tcp:
            unix.bind(place + "/sock")
            unix.listen()
            for address in (Address(place + "/sock", "", 0), Address("", "127.0.0.1", tcp.getsockname()[1])):
                with dial.dial(address) as sock:
                    self.assertEqual(select.select([], [sock], [], 5)[1], [sock])
                    self.assertEqual(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0)
            with self.assertRaises(OSError):
                dial.dial(Address(place + "/none", "", 0))
        self.assertIn(Address("", "127.0.0.1", 7), dial.numeric(Address("", "127.0.0.1", 7)))
        self.assertEqual(dial.numeric(HERE), [HERE])
        odd = Address("", "." * 300, 1)
        self.assertEqual(dial.numeric(odd), [odd])

    def test_a_unix_socket_that_accepts_nobody(self) -> None:
        with tempfile.TemporaryDirectory() as place, socket.socket(socket.AF_UNIX) as unix:
            unix.bind(place + "/sock")
            unix.listen(0)
            with self.assertRaises(OSError):        # once its backlog is full
                for _ in range(10):
                    self.addCleanup(dial.dial(Address(place + "/sock", "", 0)).close)

    def test_refused_after_dialling(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as tcp:
            address = Address("", "127.0.0.1", tcp.getsockname()[1])
        self.link = Link([address], "alice", None, features=0, monotonic=lambda: self.now, instance=1,
                         jitter=lambda: 0.5)
        self.link.connect()
        if self.link.sock:
            select.select([], [self.link.sock], [], 5)
        self.offline(self.pump(), "refused")


class TestRetries(Base):
    def test_the_schedule(self) -> None:
        self.login()
        waits = [self.cut()[-1].retry_in]
        for _ in range(6):
            assert self.link.retry_at is not None
            self.assertAlmostEqual(self.link.timeout() or 0, waits[-1])
            self.house.closed[HERE] = "No such file"
            (event,) = self.wait(waits[-1])
            waits.append(event.retry_in)
        self.assertEqual(waits, [1, 2, 4, 8, 15, 30, 30])
        self.house.closed.clear()
        self.back()
        self.assertEqual(self.cut()[-1].retry_in, 1)

    def test_jitter(self) -> None:
        for jitter, delay in ((0.0, 0.75), (1.0, 1.25)):
            self.jitter = jitter
            self.login()
            self.assertEqual(self.cut()[-1].retry_in, delay)

    def test_enter_retries_now(self) -> None:
        self.login()
        self.cut()
        self.link.connect()
        self.assertIsNone(self.link.retry_at)
        self.pump()
        self.assertEqual(self.house.hear()[0].name, "alice")

    def test_connect_changes_nothing_when_there_is_a_line(self) -> None:
        self.link.connect()
        self.link.connect()
        self.pump()
        self.link.connect()
        self.house.say(welcome())
        self.pump()
        self.link.connect()
        self.assertEqual(self.house.dialled, [HERE])

    def test_the_ghost_is_taken_over_by_its_token(self) -> None:
        self.login(welcome(token=b"x" * 16))
        self.cut()
        self.back(welcome(token=b"y" * 16))
        self.assertEqual(self.hello.token, b"x" * 16)
        self.cut()
        self.link.rename("ann")
        self.back(welcome("ann"))
        self.assertEqual(self.hello.token, bytes(16))

    def test_under_another_name_nothing_is_sent_again(self) -> None:
        self.login()
        number, = self.link.send(["bob"], "mine, and nobody else's")
        self.cut()
        self.link.rename("somebody")
        self.assertEqual([said.id for said in self.link.tick() if isinstance(said, wire.Refused)], [number])
        self.assertEqual(dict(self.link.pending), {})

    def test_online_again(self) -> None:
        self.link.connect()
        self.pump()
        self.assertEqual(self.given(welcome()), [Online(welcome(), False)])
        self.cut()
        self.now = self.link.retry_at or 0
        self.pump()
        self.assertEqual(self.given(welcome()), [Online(welcome(), True)])

    def test_silence(self) -> None:
        self.login()
        self.assertEqual(self.link.timeout(), line.SILENCE_SECONDS)
        self.assertEqual(self.wait(line.SILENCE_SECONDS), [])
        (ping,) = self.house.hear()
        self.assertIsInstance(ping, wire.Ping)
        self.assertEqual(self.link.timeout(), line.PING_SECONDS)
        self.assertEqual(self.given(wire.Pong(ping.stamp)), [])
        self.assertEqual(self.link.timeout(), line.SILENCE_SECONDS)
        self.wait(line.SILENCE_SECONDS)
        self.offline(self.wait(line.PING_SECONDS), "silent")

    def test_a_sleep_of_hours_is_no_silence_of_the_daemon(self) -> None:
        self.login()
        self.assertEqual(self.wait(36000), [])
        self.assertIsInstance(self.house.hear()[0], wire.Ping)
        self.assertTrue(self.link.online)

    def test_a_ping_is_answered(self) -> None:
        self.login()
        self.assertEqual(self.given(wire.Ping(9)), [])
        self.assertEqual(self.house.hear(), [wire.Pong(9)])

    def test_the_last_words_before_the_line_is_closed(self) -> None:
        self.login()
        self.house.say(wire.Notice("the daemon stops"))
        self.house.end.close()
        events = self.link.tick()
        self.link.send(["bob"], "into a closed line")
        events += self.pump()
        self.assertEqual(events[0], wire.Notice("the daemon stops"))
        self.offline(events, "closed the line|reset")
        self.assertEqual(len(self.link.pending), 1)


class TestRoster(Base):
    def test_pages_then_changes(self) -> None:
        self.login()
        self.given(wire.Roster(0, 0, (entry("alice"), entry("Bob"))))
        self.assertFalse(self.link.roster_whole)
        self.given(wire.Roster(0, 1, (entry("carol"),)))
        self.assertTrue(self.link.roster_whole)
        self.assertEqual(list(self.link.roster), ["alice", "Bob", "carol"])
        changed = wire.Roster(0, 1, (entry("Bob", Presence.BUSY), entry("dave")))
        self.assertEqual(self.given(changed), [changed])
        self.assertEqual(self.link.roster["Bob"].state, Presence.BUSY)
        self.assertEqual(len(self.link.roster), 4)

    def test_kept_over_a_cut_but_not_for_another_store(self) -> None:
        self.login(None, wire.Roster(0, 1, (entry("bob"),)))
        self.cut()
        self.back()
        self.assertTrue(self.link.roster_whole)
        self.cut()
        self.back(welcome(store=OTHER))
        self.assertEqual((self.link.roster, self.link.roster_whole), ({}, False))

    def test_a_list_is_no_login_log(self) -> None:
        self.login()
        request = self.link.list()
        self.assertEqual(self.house.hear(), [wire.List(request)])
        self.given(wire.Roster(request, 1, (entry("bob"),)))
        self.assertFalse(self.link.roster_whole)
        self.assertEqual(list(self.link.roster), ["bob"])

    def test_bounded(self) -> None:
        self.login()
        with mock.patch("link.ROSTER_MAX", 2):
            self.offline(self.given(wire.Roster(0, 1, (entry("a"), entry("b"), entry("c")))), "more than 2 names")


class TestSending(Base):
    def test_stored(self) -> None:
        self.login()
        ids = [self.link.send(["bob"], text)[0] for text in ("one", "two", "three")]
        self.assertEqual(ids, [FIRST, FIRST + 1, FIRST + 2])
        self.assertEqual(self.house.hear(), [wire.Send(n, 0, ("bob",), t)
                                             for n, t in zip(ids, ("one", "two", "three"), strict=True)])
        stored = wire.Stored(FIRST, FIRST + 1)
        self.assertEqual(self.given(stored), [stored])
        self.assertEqual(list(self.link.pending), ids[2:])
        self.given(wire.Delivered(FIRST, FIRST + 2, "bob"))
        self.assertEqual(list(self.link.pending), ids[2:])
        refused = wire.Refused(ids[2], Why.FULL, "mailbox full")
        self.assertEqual(self.given(refused), [refused])
        self.assertEqual(self.link.pending, {})

    def test_outcomes_do_not_answer_unless_all_are_absent(self) -> None:
        self.login()
        (number,) = self.link.send(["Bob", "carol"], "now", SendFlag.NOW)
        self.given(wire.Outcomes(number, number, Outcome.HOLDING, ("Bob",)),
                   wire.Outcomes(number, number, Outcome.AWAY, ("carol",)))
        self.given(wire.Outcomes(number, number, Outcome.ABSENT, ("bob",)))
        self.assertIn(number, self.link.pending)
        self.given(wire.Outcomes(number, number, Outcome.ABSENT, ("carol",)))
        self.assertEqual(self.link.pending, {})

    def test_everyone(self) -> None:
        self.login()
        (number,) = self.link.send([], "drill", SendFlag.EVERYONE | SendFlag.NOW)
        self.assertEqual(self.house.hear(), [wire.Send(number, 3, (), "drill")])
        self.given(wire.Outcomes(number, number, Outcome.ABSENT, ("bob",)))
        self.assertEqual(self.link.pending, {})

    def test_many_recipients_are_split(self) -> None:
        self.login()
        names = [f"u{n}" + "x" * 26 for n in range(2 * wire.NAMES_MAX + 1)]
        ids = self.link.send(names, "y" * wire.TEXT_MAX)
        self.assertEqual(len(ids), 3)
        self.pump()
        heard: list[Any] = []
        while len(heard) < 3:
            heard += self.house.hear()
            self.pump()
        self.assertEqual([name for said in heard for name in said.to], names)

    def test_what_no_daemon_would_take(self) -> None:
        for to, text, flags in ((["bob"], "", 0), (["bob"], " \n", 0), (["bob"], "a\x1b", 0), (["bob"], "\ud800", 0),
                                (["bob"], "x" * 20000, 0), ([], "hi", 0), (["b b"], "hi", 0), (["x" * 300], "hi", 0),
                                (["bob"], "hi", SendFlag.EVERYONE)):
            with self.assertRaises(ValueError):
                self.link.send(to, text, flags)
        with self.assertRaises(ValueError):
            self.link.say(1, "")
        with self.assertRaises(ValueError):
            self.link.invite(["b b"])
        self.assertEqual(self.link.pending, {})

    def test_kept_while_offline(self) -> None:
        ids = [self.link.send(["bob"], f"{n}")[0] for n in range(3)]
        self.login()
        self.assertEqual([said.id for said in self.house.hear()], ids)

    def test_resent_in_order_with_the_same_ids(self) -> None:
        self.login()
        ids = [self.link.send(["bob"], f"{n}")[0] for n in range(5)]
        self.given(wire.Stored(ids[1], ids[2]))
        self.cut()
        ids += self.link.send(["bob"], "later")
        sent = self.back(welcome(store=OTHER))
        self.assertEqual([said.id for said in sent], [ids[0], *ids[3:]])
        self.assertEqual(sent[-1].text, "later")

    def test_resent_in_order_and_once_whatever_else_there_is_to_say(self) -> None:
        self.login()
        ids = self.link.send(["bob"], "before")
        self.link.shown(self.given(mail(5)))
        self.cut()
        ids += self.link.send(["bob"], "while offline")
        sent = self.back()
        self.assertEqual([said.id for said in sent if isinstance(said, wire.Send)], ids)
        self.assertIn(wire.Confirm(5, 5), sent)

    def test_an_answer_for_what_was_not_sent_is_let_pass(self) -> None:
        self.login()
        (number,) = self.link.send(["bob"], "hi")
        self.given(wire.Stored(1, 5), wire.Refused(9, Why.OTHER, "?"), wire.Outcomes(9, 9, Outcome.ABSENT, ("bob",)),
                   wire.Stored(number + 1, 2**64 - 1), wire.Stored(0, number - 1))
        self.assertEqual(list(self.link.pending), [number])
        self.given(wire.Stored(0, 2**64 - 1))
        self.assertEqual(self.link.pending, {})

    def test_busy_by_number(self) -> None:
        for n in range(outbox.PENDING_MAX):
            self.link.send(["bob"], f"{n}")
        with self.assertRaises(Busy):
            self.link.send(["bob"], "one too many")
        self.assertEqual(len(self.link.pending), outbox.PENDING_MAX)
        self.login()
        heard: list[Any] = []
        while len(heard) < outbox.PENDING_MAX:
            heard += self.house.hear()
            self.pump()
        self.assertEqual([said.text for said in heard], [f"{n}" for n in range(outbox.PENDING_MAX)])
        self.given(wire.Stored(FIRST, FIRST))
        self.link.send(["bob"], "room again")

    def test_busy_by_size(self) -> None:
        with self.assertRaises(Busy):
            for _ in range(outbox.PENDING_MAX):
                self.link.send(["bob"], "x" * wire.TEXT_MAX)
        self.assertGreater(len(self.link.pending), 1000)
        self.login()
        self.given(wire.Stored(0, 2**64 - 1))
        self.link.send(["bob"], "x" * wire.TEXT_MAX)

    def test_a_daemon_that_stores_and_is_cut_at_every_byte(self) -> None:
        """Whatever the daemon has read, and the client has heard, before the cut: all is stored once, in order."""
        length = len(b"".join(wire.encode(wire.Send(FIRST + n, 0, ("bob",), f"text {n}")) for n in range(4)))
        answers = b"".join(map(wire.encode, (welcome(), wire.Stored(FIRST, FIRST), wire.Stored(FIRST + 1, FIRST + 3))))
        for heard, said in [(n, 0) for n in range(length + 1)] + [(length, n) for n in range(len(answers) + 1)]:
            with self.subTest(heard=heard, said=said):
                self.link = self.make()
                self.link.connect()
                self.pump()
                self.house.hear()
                self.house.end.sendall(answers[:said or len(wire.encode(welcome()))])
                self.pump()
                for n in range(4):
                    self.link.send(["bob"], f"text {n}")
                stored = {send.id: send.text for send in self.house.hear(heard)}
                self.assertIsInstance(self.cut()[-1], Offline)
                for send in self.back():
                    self.assertEqual(stored.setdefault(send.id, send.text), send.text)
                    self.house.say(wire.Stored(send.id, send.id))
                self.pump()
                self.assertEqual(self.link.pending, {})
                self.assertEqual(stored, {FIRST + n: f"text {n}" for n in range(4)})


class TestRequests(Base):
    def test_each_is_said_with_its_number(self) -> None:
        self.login()
        numbers = [self.link.check(), self.link.hold(True), self.link.list(), self.link.invite(["bob", "carol"]),
                   self.link.say(4, "quit")]
        self.link.answer(8, True)
        self.link.withdraw(9)
        self.assertEqual(self.house.hear(), [
            wire.Check(numbers[0]), wire.Hold(numbers[1], 1), wire.List(numbers[2]),
            wire.Invite(numbers[3], ("bob", "carol")), wire.Say(numbers[4], 4, "quit"), wire.Answer(8, 1),
            wire.Withdraw(9)])
        self.assertEqual(len(set(numbers)), 5)

    def test_answers_are_events(self) -> None:
        self.login()
        said = [wire.Checked(self.link.check(), 0), wire.Inviting(self.link.invite(["bob"]), 1, 60, ("alice", "bob")),
                wire.Failed(self.link.say(1, "x"), Why.UNKNOWN, "no such chat"), wire.Answered(1, "bob"),
                wire.CalledOff(1, Why.DENIED, "bob"), wire.Started(2, 1, ("alice", "bob")),
                wire.Line(2, 5, "bob", "hello"), wire.Left(2, Why.QUIT, "bob"), wire.Ended(2, Why.QUIT, "bob"),
                wire.Invitation(3, 60, "bob", ("bob", "alice")), wire.Waiting(12), wire.Notice("hear"),
                wire.Delivered(1, 2, "bob")]
        self.assertEqual(self.given(*said), said)
        self.assertEqual(self.link.waiting, 12)
        self.assertEqual([type(event) for event in self.cut()], [Offline])      # nothing was left to be answered

    def test_offline_they_fail(self) -> None:
        for ask in (self.link.check, self.link.list, lambda: self.link.invite(["bob"]), lambda: self.link.say(1, "x")):
            request = ask()
            (event,) = self.pump()
            self.assertEqual((event.request, event.why), (request, Why.GONE))
        self.link.answer(1, True)
        self.link.withdraw(1)
        self.assertEqual(self.pump(), [])

    def test_a_cut_fails_them(self) -> None:
        self.login()
        requests = [self.link.check(), self.link.list()]
        events = self.cut()
        self.assertEqual([event.request for event in events[:-1]], requests)
        self.assertTrue(all(isinstance(event, wire.Failed) for event in events[:-1]))
        self.offline(events, "closed|reset")

    def test_holding(self) -> None:
        self.login()
        request = self.link.hold(True)
        self.assertFalse(self.link.holding)
        self.given(wire.Done(request))
        self.assertTrue(self.link.holding)
        self.cut()
        self.back(welcome(features=ALL | Feature.HOLD))
        self.assertEqual(self.hello.features, ALL | Feature.HOLD | Feature.IGNORE)
        self.cut()
        self.assertEqual([self.link.hold(False)], [event.request for event in self.pump()])
        self.back()
        self.assertEqual(self.hello.features, ALL | Feature.IGNORE)
        self.assertFalse(self.link.holding)

    def test_a_failed_hold_changes_nothing(self) -> None:
        self.login()
        self.given(wire.Failed(self.link.hold(True), Why.OTHER, "no"))
        self.assertFalse(self.link.holding)

    def test_busy_when_the_daemon_does_not_read(self) -> None:
        self.login()
        with self.assertRaises(Busy):
            for _ in range(1000):
                self.link.say(1, "x" * wire.TEXT_MAX)
        self.assertTrue(self.link.online)


class TestEnding(Base):
    def test_exit(self) -> None:
        self.login()
        self.link.send(["bob"], "last words")
        self.link.exit()
        self.link.exit()
        self.assertEqual([type(said) for said in self.house.hear()], [wire.Send, wire.Exit])
        events = self.given(wire.Stored(FIRST, FIRST)) + self.cut()
        self.assertEqual(events, [wire.Stored(FIRST, FIRST), Over("goodbye")])
        self.link.connect()
        self.assertIsNone(self.link.sock)
        self.assertIsNone(self.link.timeout())
        with self.assertRaises(Busy):
            self.link.send(["bob"], "too late")

    def test_exit_waits_for_what_was_not_sent_but_not_for_ever(self) -> None:
        self.login()
        for _ in range(200):
            self.link.send(["bob"], "x" * wire.TEXT_MAX)
        self.link.exit()
        self.assertEqual(self.link.timeout(), link.GOODBYE_SECONDS)
        heard: list[Any] = []
        while not heard or not isinstance(heard[-1], wire.Exit):
            heard += self.house.hear()
            self.pump()
        self.assertEqual(len(heard), 201)
        self.assertEqual(self.link.timeout(), link.EXIT_SECONDS)
        (event,) = self.wait(link.EXIT_SECONDS)
        self.assertRegex(event.reason, "200 messages had no answer")

    def test_exit_from_a_mute_daemon(self) -> None:
        self.login()
        for _ in range(200):
            self.link.send(["bob"], "x" * wire.TEXT_MAX)
        self.link.exit()
        self.assertEqual([type(event) for event in self.wait(link.GOODBYE_SECONDS)], [Over])

    def test_exit_before_login_and_while_waiting(self) -> None:
        for dialled, logging_in in ((False, False), (True, False), (True, True)):
            self.link = self.make()
            if dialled:
                self.link.connect()
            if logging_in:
                self.pump()
            self.link.exit()
            self.assertEqual(self.pump(), [Over("goodbye")])
            self.assertIsNone(self.link.sock)

    def test_close(self) -> None:
        self.login()
        self.link.close()
        self.link.close()
        self.assertEqual((self.link.sock, self.link.timeout(), self.link.tick()), (None, None, []))
        self.assertEqual(self.house.end.recv(1), b"")


class TestMail(Base):
    """What is confirmed, and what is not."""

    def confirmed(self) -> list[tuple[int, int]]:
        return [(said.first, said.last) for said in self.house.hear() if isinstance(said, wire.Confirm)]

    def show(self, events: list[Any]) -> list[tuple[int, int]]:
        self.link.shown([event for event in events if isinstance(event, wire.Mail)])
        return self.confirmed()

    def test_a_run(self) -> None:
        self.login()
        events = self.given(mail(5), mail(9), mail(12))
        self.assertEqual(events, [mail(5), mail(9), mail(12)])
        self.assertEqual(self.confirmed(), [])
        self.assertEqual(self.show(events), [(5, 12)])
        self.assertEqual(self.show(events), [])

    def test_only_what_was_shown(self) -> None:
        self.login()
        events = self.given(*(mail(n) for n in range(1, 10)))
        self.assertEqual(self.show([events[1], events[0], events[4], events[8]]), [(1, 2), (5, 5), (9, 9)])
        self.assertEqual(self.show(events), [(3, 4), (6, 8)])

    def test_two_streams_are_never_in_one_range(self) -> None:
        self.login()
        self.link.check()
        check = SendFlag.CHECK
        events = self.given(mail(10), mail(1, flags=check), mail(11), mail(3, flags=check), mail(12))
        self.assertEqual(self.show(events), [(10, 12), (1, 3)])

    def test_holding_breaks_a_run(self) -> None:
        self.login()
        events = self.given(mail(5))
        events += self.given(wire.Done(self.link.hold(True)))
        events += self.given(wire.Done(self.link.hold(False)), mail(8))
        self.assertEqual(self.show(events), [(5, 5), (8, 8)])

    def test_holding_breaks_a_run_wherever_the_answer_comes(self) -> None:
        self.login()
        on, off = self.link.hold(True), self.link.hold(False)
        events = self.given(mail(5), wire.Done(on), wire.Done(off), mail(8))
        self.assertEqual(self.show(events), [(5, 5), (8, 8)])

    def test_two_checks_are_two_streams(self) -> None:
        self.login()
        first, flags = self.link.check(), SendFlag.CHECK
        events = self.given(mail(1, flags=flags), wire.Checked(first, 1))
        events += self.given(mail(7, flags=flags), wire.Checked(self.link.check(), 1))
        self.assertEqual(self.show(events), [(1, 1), (7, 7)])

    def test_two_checks_asked_at_once_are_two_streams(self) -> None:
        self.login()
        first, second, flags = self.link.check(), self.link.check(), SendFlag.CHECK
        events = self.given(mail(1, flags=flags), wire.Checked(first, 1), mail(7, flags=flags), wire.Checked(second, 1))
        self.assertEqual(self.show(events), [(1, 1), (7, 7)])

    def test_unshown_mail_of_the_other_stream_is_never_covered(self) -> None:
        self.login()
        events = self.given(mail(4), mail(2, flags=SendFlag.CHECK), mail(6, flags=SendFlag.CHECK))
        self.assertEqual(self.show(events[1:]), [(2, 2), (6, 6)])
        self.assertEqual(self.show(events), [(4, 4)])

    def test_ids_that_do_not_ascend(self) -> None:
        self.login()
        self.assertEqual(self.show(self.given(mail(5), mail(3), mail(4))), [(5, 5), (3, 4)])

    def test_a_copy_of_what_waits_to_be_shown_is_no_event(self) -> None:
        self.login()
        events = self.given(mail(5), mail(6))
        self.assertEqual(self.given(mail(5, flags=SendFlag.CHECK), mail(6, flags=SendFlag.CHECK)), [])
        self.assertEqual(self.show(events), [(5, 6)])

    def test_a_copy_of_what_was_shown_is_confirmed_at_once(self) -> None:
        self.login()
        self.show(self.given(mail(5), mail(6)))
        copies = [mail(n, flags=SendFlag.CHECK) for n in (5, 6)]
        self.assertEqual(self.given(*copies), [Repeated(copies[0]), Repeated(copies[1])])
        self.assertEqual(self.confirmed(), [(5, 6)])

    def test_a_copy_under_another_id(self) -> None:
        self.login()
        self.show(self.given(mail(5)))
        self.given(mail(8, 1005))
        self.assertEqual(self.confirmed(), [(8, 8)])
        self.cut()
        self.assertEqual(self.back(), [wire.Confirm(8, 8)])

    def test_a_copy_as_the_last_word_of_one_store_is_nothing_to_another(self) -> None:
        self.login()
        self.show(self.given(mail(5), mail(6)))
        self.house.say(mail(5), mail(6))
        self.offline(self.given(wire.Stored(2, 1)), "ends before")
        self.assertEqual(self.back(welcome(store=OTHER)), [])
        self.given(wire.Notice("welcome"))
        self.assertEqual(self.house.hear(), [])

    def test_the_longest(self) -> None:
        self.login()
        longest = mail(1, text="x" * wire.TEXT_MAX)
        self.assertEqual(self.given(longest), [longest])

    def test_confirmed_again_after_a_cut(self) -> None:
        self.login()
        self.show(self.given(mail(5), mail(6), mail(9)))
        self.cut()
        self.assertEqual([said for said in self.back() if isinstance(said, wire.Confirm)],
                         [wire.Confirm(5, 6), wire.Confirm(9, 9)])
        self.given(wire.Confirmed(5, 6))
        self.cut()
        self.assertEqual(self.back(), [wire.Confirm(9, 9)])
        self.given(wire.Confirmed(0, 2**64 - 1))
        self.cut()
        self.assertEqual(self.back(), [])

    def test_shown_while_offline(self) -> None:
        self.login()
        events = self.given(mail(5))
        self.cut()
        self.assertEqual(self.link.retry_at, self.now + 1)
        self.link.shown(events)
        self.assertEqual(self.back(), [wire.Confirm(5, 5)])

    def test_another_store_has_other_ids(self) -> None:
        self.login()
        events = self.given(mail(5), mail(6))
        self.link.shown(events[:1])
        self.cut()
        self.assertEqual(self.back(welcome(store=OTHER)), [])
        self.assertEqual(self.show(events), [])
        self.assertEqual(self.given(mail(5)), [mail(5)])

    def test_what_was_never_received_is_passed_over(self) -> None:
        self.login()
        self.link.shown([mail(5)])
        self.link.shown([])
        self.assertEqual(self.house.hear(), [])

    def test_bounded(self) -> None:
        self.login()
        with mock.patch("inbox.UNSHOWN_MAX", 3):
            self.offline(self.given(*(mail(n) for n in range(1, 5))), "not shown yet")


class TestArchived(TestMail):
    """The same with a file; and what the file adds."""

    def setUp(self) -> None:
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.directory = Path(place.name, "archive")
        super().setUp()

    def make(self, archive: Archive | None = None, name: str = "alice", instance: int = INSTANCE,
             features: int | None = None) -> Link:
        self.file = archive or Archive(self.directory)
        return super().make(self.file, name, instance, features)

    def test_kept_before_confirmed(self) -> None:
        self.login()
        said_before: list[Any] = []
        with mock.patch.object(self.file, "_fsync", lambda fd: said_before.append(self.house.hear())):
            self.given(mail(5))
            self.link.shown([mail(5)])
        self.assertEqual((said_before, self.house.hear()), ([[]], [wire.Confirm(5, 5)]))
        self.assertEqual([tuple(found) for found in self.file.last(9)], [tuple(mail(5))])

    def test_repeated_in_another_process(self) -> None:
        self.login()
        self.show(self.given(mail(5), mail(7)))
        self.link = self.make()
        self.link.connect()
        self.pump()
        self.house.hear()
        self.given(welcome(waiting=2))
        self.assertEqual(self.house.hear(), [wire.Confirm(5, 5), wire.Confirm(7, 7)])
        copy = mail(5, flags=SendFlag.CHECK)
        self.assertEqual(self.given(copy), [Repeated(copy)])
        self.assertEqual(self.house.hear(), [wire.Confirm(5, 5)])
        self.given(wire.Confirmed(5, 5), wire.Confirmed(7, 7))
        self.link.close()
        again = Archive(self.directory)
        again.open(STORE, "alice")
        self.assertEqual(again.unconfirmed, {})
        again.close()

    def test_not_kept_is_not_confirmed_and_tried_again(self) -> None:
        self.login()
        events = self.given(mail(5), mail(6))
        with mock.patch.object(self.file, "_fsync", side_effect=OSError(28, "No space left on device")), \
                self.assertRaisesRegex(ArchiveError, "No space left on device; they stay in the mailbox"):
            self.link.shown(events[:1])
        self.assertEqual(self.house.hear(), [])
        self.assertEqual(self.given(mail(5, flags=SendFlag.CHECK)), [])
        self.assertEqual(self.show(events[1:]), [(6, 6), (5, 5)])

    def test_kept_at_last_after_a_cut(self) -> None:
        self.login()
        events = self.given(mail(5))
        with mock.patch.object(self.file, "_fsync", side_effect=OSError(28, "No space left on device")), \
                self.assertRaises(ArchiveError):
            self.link.shown(events)
        self.cut()
        self.assertEqual(self.back(), [])
        self.link.shown([])
        self.assertEqual(self.confirmed(), [(5, 5)])

    def test_never_kept_in_the_file_of_another_store(self) -> None:
        self.login()
        events = self.given(mail(5))
        with mock.patch.object(self.file, "_fsync", side_effect=OSError(28, "No space left on device")), \
                self.assertRaises(ArchiveError):
            self.link.shown(events)
        self.cut()
        self.back(welcome(store=OTHER))
        self.link.shown([])
        self.assertEqual((self.file.last(9), self.house.hear()), ([], []))

    def test_an_archive_that_cant_be_opened_does_not_keep_one_out(self) -> None:
        self.directory.write_text("in its way")
        self.login()
        events = self.given(mail(5))
        with self.assertRaises(ArchiveError):
            self.link.shown(events)
        self.assertTrue(self.link.online)
        self.directory.unlink()
        self.link.shown([])
        self.assertEqual(self.confirmed(), [(5, 5)])


class Mailbox:
    """A model of the daemon's rules for one reader, after post.py; it accuses whoever deletes what was not shown."""
    WINDOW = 6

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.last = 100
        self.waiting: dict[int, wire.Mail] = {}
        self.everything: dict[int, wire.Mail] = {}
        self.shown: set[int] = set()
        self.enter(False)

    def enter(self, holding: bool) -> None:
        self.holding, self.flight = holding, set[int]()
        self.start = self.live = self.last          # live mail is above this; and how far it was pushed
        self.checking: list[int] | None = None      # request, at, upto, total

    def put(self) -> None:
        self.last += self.chance.choice((1, 1, 1, 2, 5))
        self.waiting[self.last] = self.everything[self.last] = mail(self.last, sender=self.chance.choice("bc"))

    def on_hold(self, said: wire.Hold) -> Iterator[Any]:
        if self.holding and not said.on:
            self.start = self.live = self.last
        self.holding = bool(said.on)
        yield wire.Done(said.request)

    def on_check(self, said: wire.Check) -> Iterator[Any]:
        if self.checking:
            yield wire.Failed(said.request, Why.BUSY, "under way")
        else:
            self.checking = [said.request, 0, self.last if self.holding else self.start, 0]

    def on_confirm(self, said: wire.Confirm) -> Iterator[Any]:
        covered = [n for n in self.waiting if said.first <= n <= said.last]
        wrong = [n for n in covered if n not in self.shown]
        assert not wrong, f"{said} deletes {wrong}, which nobody saw"
        for number in covered:
            del self.waiting[number]
            self.flight.discard(number)
        yield wire.Confirmed(said.first, said.last)

    def push(self) -> Iterator[Any]:
        if self.checking:
            request, at, upto, total = self.checking
            for number in sorted(n for n in self.waiting if at < n <= upto):
                if len(self.flight) >= self.WINDOW:
                    self.checking = [request, at, upto, total]
                    break
                at, total = number, total + 1
                self.flight.add(number)
                yield self.waiting[number]._replace(flags=SendFlag.CHECK)
            else:
                self.checking = None
                yield wire.Checked(request, total)
        if not self.holding:
            for number in sorted(n for n in self.waiting if n > self.live):
                if len(self.flight) >= self.WINDOW:
                    break
                self.live = number
                self.flight.add(number)
                yield self.waiting[number]


class TestModel(Base):
    """Random walks: no range ever covers what was not shown; everything is shown once, and then forgotten."""

    def setUp(self) -> None:
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.directory = Path(place.name, "archive")
        super().setUp()

    def walk(self, seed: int, archived: bool) -> None:
        self.chance = random.Random(seed)
        self.archived = archived
        self.place = self.directory / str(seed)
        self.box = Mailbox(self.chance)
        self.seen: dict[int, int] = {}              # how often each was given to be shown
        self.fresh: list[wire.Mail] = []            # given, and not shown yet
        self.start()
        steps: list[Callable[[], None]] = [
            self.box.put, self.box.put, self.box.put, self.serve, self.serve, self.serve, self.show, self.show,
            self.hold, self.check, self.lose, self.ill, self.restart]
        weights = [6, 6, 6, 10, 10, 10, 8, 8, 2, 3, 1, 1, 1]
        for _ in range(150):
            self.chance.choices(steps, weights)[0]()
        self.finish()

    def start(self) -> None:
        self.kept = Archive(self.place, fsync=lambda fd: None) if self.archived else None
        self.link = self.make(self.kept)
        self.fresh = []
        self.unkept: list[wire.Mail] = []           # seen, but the archive did not take them
        self.link.connect()
        self.come()

    def come(self) -> None:
        self.pump()
        hello = self.house.hear()[0]
        self.box.enter(bool(hello.features & Feature.HOLD))
        self.house.say(welcome(features=hello.features, waiting=len(self.box.waiting)))
        self.take(self.pump())

    def take(self, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, wire.Mail):
                self.assertNotIn(event.id, self.box.shown)
                self.fresh.append(event)
            if isinstance(event, Repeated):
                self.assertIn(event.mail.id, self.box.shown)

    def serve(self) -> None:
        """One turn of the daemon, of which the client hears all, or some, or nothing yet."""
        handlers: dict[type, Callable[[Any], Iterator[Any]]] = {
            wire.Hold: self.box.on_hold, wire.Check: self.box.on_check, wire.Confirm: self.box.on_confirm}
        said: list[Any] = []
        for request in self.house.hear(self.chance.choice((20, 1 << 20))):
            said += handlers[type(request)](request)
        said += self.box.push()
        self.house.say(*said)
        if self.chance.random() < 0.7:
            self.take(self.pump())

    def show(self) -> None:
        how = self.chance.random()
        some = self.fresh[:] if how < 0.5 else self.chance.sample(self.fresh, self.chance.randint(0, len(self.fresh)))
        if how > 0.9:
            some += self.chance.sample(sorted(self.box.everything.values()), min(2, len(self.box.everything)))
            some = list(dict.fromkeys(one for one in some if one in self.fresh or one.id in self.box.shown))
        self.fresh = [one for one in self.fresh if one not in some]
        self.count(some)
        self.unkept = []

    def count(self, some: list[wire.Mail]) -> None:
        """The user sees these."""
        for one in some:
            self.seen[one.id] = self.seen.get(one.id, 0) + (one.id not in self.box.shown)
        self.box.shown.update(one.id for one in some)
        self.link.shown(some)

    def ill(self) -> None:
        """The archive can't keep what is shown; it will be tried again."""
        if self.archived and self.fresh:
            with mock.patch.object(self.kept, "_append", side_effect=OSError(28, "full")), \
                    self.assertRaises(ArchiveError):
                self.count(self.fresh)
            self.unkept += self.fresh
            self.fresh = []

    def hold(self) -> None:
        self.link.hold(self.chance.random() < 0.5)

    def check(self) -> None:
        self.link.check()

    def lose(self) -> None:
        self.house.end.close()
        self.take(self.pump())
        if self.chance.random() < 0.3:
            self.show()
        self.link.connect()
        self.come()

    def restart(self) -> None:
        if self.archived:
            self.link.close()
            for one in self.unkept:         # nobody remembers those: they are shown again
                self.box.shown.discard(one.id)
                self.seen[one.id] -= 1
            self.start()

    def finish(self) -> None:
        """Fetch everything there is, and show it."""
        for _ in range(200):
            if not self.box.waiting and not self.fresh:
                break
            if not self.box.checking:
                self.link.check()
            self.serve()
            self.take(self.pump())
            self.count(self.fresh)
            self.fresh = []
            self.serve()
        self.assertEqual(self.box.waiting, {})
        self.assertEqual(self.seen, dict.fromkeys(self.box.everything, 1))
        self.link.close()

    def test_with_an_archive(self) -> None:
        for seed in range(150):
            with self.subTest(seed):
                self.walk(seed, True)

    def test_without(self) -> None:
        for seed in range(150):
            with self.subTest(seed):
                self.walk(seed, False)


class TestHostile(Base):
    def test_what_cant_be(self) -> None:
        bad_name = "no name"
        for said, reason in (
                (welcome(), "WELCOME after WELCOME"),
                (wire.Rejected(Why.TAKEN, "?"), "REJECTED after WELCOME"),
                (wire.Stored(2, 1), "ends before"), (wire.Delivered(2, 1, "bob"), "ends before"),
                (wire.Confirmed(2, 1), "ends before"), (mail(1, sender=bad_name), "name that is none"),
                (mail(1, sender=""), "name that is none"), (wire.Roster(0, 1, (entry("x" * 33),)), "name that is none"),
                (wire.Line(1, 1, "\x1b[2J", "x"), "name that is none"),
                (wire.Invitation(1, 1, "bob", (bad_name,)), "name that is none")):
            with self.subTest(said):
                self.link = self.make()
                self.login()
                self.offline(self.given(said), reason)

    def test_before_welcome(self) -> None:
        for raw, reason in ((wire.encode(mail(1)), "before WELCOME"), (wire.encode(welcome("bob")), "somebody else"),
                            (b"\0\0\4\1" + b"x" * 2000, "1025 bytes"), (b"\0\0\0\0", "0 bytes"),
                            (b"\0\0\0\1\0", "kind 0"), (wire.encode(wire.Exit()), "kind 11"),
                            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "frame of"), (b"\0\0\0\2\x20x", "cut short")):
            with self.subTest(raw):
                self.link = self.make()
                self.link.connect()
                self.pump()
                self.house.end.sendall(raw)
                self.offline(self.pump(), reason)

    def test_a_huge_length_allocates_nothing(self) -> None:
        self.login()
        self.house.end.sendall(b"\x7f\xff\xff\xff")
        self.offline(self.pump(), "2147483647 bytes")

    def test_a_flood_of_garbage_does_not_touch_the_next_line(self) -> None:
        self.addresses = (HERE, THERE)
        self.link = self.make()
        self.link.connect()
        self.pump()
        self.house.end.sendall(b"x" * 2 * line.READ_SIZE)
        self.assertEqual(self.pump(), [])
        self.assertEqual(self.link.address, THERE)
        self.assertIsInstance(self.given(welcome())[0], Online)

    def test_what_follows_a_violation_is_not_heard(self) -> None:
        self.login()
        self.offline(self.given(wire.Notice("a"), wire.Stored(2, 1), wire.Notice("b")), "ends before")

    def test_pings_that_are_not_read(self) -> None:
        self.login()
        raw = wire.encode(wire.Ping(1)) * 1000
        events = list[Any]()
        for _ in range(2000):
            with contextlib.suppress(BlockingIOError, BrokenPipeError):
                self.house.end.sendall(raw)
            events += self.pump()
            if events:
                break
        self.offline(events, "does not read")

    def test_byte_by_byte(self) -> None:
        self.link.connect()
        self.pump()
        events = []
        for byte in b"".join(map(wire.encode, (welcome(), mail(1), wire.Notice("héllo"), mail(2)))):
            self.house.end.sendall(bytes((byte,)))
            events += self.pump()
        self.assertEqual(events[1:], [mail(1), wire.Notice("héllo"), mail(2)])

    def test_garbage(self) -> None:
        """Frames of every kind, whole, damaged or invented: no exception, and the line works again after."""
        chance = random.Random(1)
        known = (wire.Mail, wire.Failed, Repeated, Offline, NameRefused, Over, Online)
        for _ in range(3000):
            self.link = self.make()
            if chance.random() < 0.9:
                self.login()
                self.link.send(["bob"], "hi")
                self.link.check()
            else:
                self.link.connect()
                self.pump()
            raw = b"".join(self.damaged(chance, self.invented(chance)) for _ in range(chance.randint(1, 6)))
            self.house.end.sendall(raw)
            for event in self.pump():
                self.assertTrue(isinstance(event, known) or type(event) in wire.CODECS)
                if isinstance(event, wire.Mail) and chance.random() < 0.5:
                    self.link.shown([event])
            if self.link.sock is None and self.link.retry_at is not None:
                self.assertIsInstance(self.back(), list)
            self.link.close()

    @staticmethod
    def invented(chance: random.Random) -> bytes:
        """A frame with fields of its kind's types and any values."""
        codec = chance.choice(list(wire.MESSAGES.values()))
        number = {"B": 8, "H": 16, "I": 32, "Q": 64}

        def word() -> str:
            return chance.choice(("bob", "alice", "", "x" * 255, "é", "a b", "\x1b"))

        make: dict[str, Callable[[], Any]] = {
            "word": word, "text": word, "words": lambda: tuple(word() for _ in range(chance.randrange(4))),
            "16s": lambda: chance.randbytes(16),
            "32s": lambda: chance.randbytes(32),
            "entries": lambda: tuple(wire.Entry(word(), chance.randrange(256), 0, 1, 2) for _ in range(3))}
        hows = [hint.__metadata__[0] for hint in get_type_hints(codec.cls, include_extras=True).values()]
        bits = {how: (lambda size=size: chance.choice((0, 1, 5, 1 << size - 1, (1 << size) - 1)))
                for how, size in number.items()}
        return wire.encode(codec.cls(*({**make, **bits}[how]() for how in hows)))

    @staticmethod
    def damaged(chance: random.Random, raw: bytes) -> bytes:
        how = chance.random()
        if how < 0.6:
            return raw
        at = chance.randrange(len(raw))
        if how < 0.8:
            return raw[:at] + bytes((chance.randrange(256),)) + raw[at + 1:]
        return raw[:at] if how < 0.9 else raw[:at] + chance.randbytes(chance.randrange(40)) + raw[at:]


if __name__ == "__main__":
    unittest.main()
