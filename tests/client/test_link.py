"""The client's end of the wire, against a daemon that does as it is told: by the script, or by
chance."""
import random
import unittest
from collections.abc import Callable
from selectors import EVENT_READ
from typing import Any, get_type_hints
from unittest import mock

import wire
from client import link, outbox, validity
from client.events import Found, NameRefused, Offline, Online, OtherStore, Over, Repeated
from client.outbox import Busy
from tests.client.linked import ALL, ALWAYS, FIRST, HERE, OTHER, Linked, entry, mail, welcome
from tests.harness.process import effort
from wire import Feature, Outcome, Presence, SendFlag, Why


class TestLogin(Linked):
    def test_login(self) -> None:
        self.login(welcome("Alice", waiting=3))
        self.assertEqual(self.hello,
                         wire.Hello(wire.VERSION, ALL | ALWAYS, bytes(16), "alice"))
        self.assertTrue(self.link.online)
        self.assertEqual((self.link.name, self.link.house, self.link.waiting), ("Alice", "lab", 3))
        self.assertEqual(self.link.address, HERE)
        self.assertEqual(self.link.mask, EVENT_READ)

    def test_a_session_is_taken_at_one_login(self) -> None:
        """Two clients that took it whenever they come back would end each other for ever."""
        self.link.connect(take=True)
        self.login()
        self.assertEqual(self.hello.features, ALL | ALWAYS | Feature.TAKE)
        self.cut()
        self.back()
        self.assertEqual(self.hello.features, ALL | ALWAYS)

    def test_a_session_that_was_moved_does_not_come_back(self) -> None:
        self.login()
        self.assertEqual(self.given(wire.Moved(7, "pts/5")), [Over("moved to pts/5", 7)])
        self.assertEqual((self.link.sock, self.link.timeout()), (None, None))

    def test_a_name_in_use_by_oneself(self) -> None:
        """It is asked for again only by a client that had it before."""
        self.link.connect()
        self.pump()
        self.house.hear()
        self.assertEqual(self.given(wire.Rejected(Why.YOURS, "in use, by you")),
                         [NameRefused(Why.YOURS, "in use, by you")])
        self.login()
        self.cut()
        self.now = self.link.retry_at or 0.0
        self.pump()
        self.house.hear()
        (offline,) = self.given(wire.Rejected(Why.YOURS, "in use, by you"))
        self.assertEqual(offline.reason, "in use, by you: /take moves it here")

    def test_nothing_is_said_before_connect(self) -> None:
        self.assertIsNone(self.link.sock)
        self.assertIsNone(self.link.timeout())
        self.assertEqual(self.link.tick(), [])

    def test_a_look_says_nothing_and_goes_on_until_a_daemon_is_there(self) -> None:
        self.link = self.make(name="")
        self.house.closed[HERE] = "nobody"
        self.link.look()
        self.assertEqual([type(event) for event in self.pump()], [Offline])
        self.house.closed.clear()
        self.assertEqual(self.wait(self.link.timeout() or 0), [Found()])
        self.assertEqual((self.link.sock, self.link.timeout(), self.house.hear()), (None, None, []))
        self.link.rename("alice")
        self.login()
        self.assertEqual(self.hello.name, "alice")

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

    def test_another_name_while_the_daemon_has_the_first(self) -> None:
        """The daemon takes its time, and the user does not wait: the first name is not let in."""
        self.link.connect()
        self.pump()
        self.link.rename("ann")
        self.link.connect()
        self.pump()
        (hello,) = self.house.hear()
        self.assertEqual(hello.name, "ann")
        self.given(welcome("ann"))
        self.assertEqual((self.link.online, self.link.name), (True, "ann"))
        self.assertEqual(self.house.dialled, [HERE, HERE])

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
        expected = {Why.TAKEN: NameRefused, Why.BAD_NAME: NameRefused, Why.DENIED: NameRefused,
                    Why.FULL: Offline, Why.VERSION: Over, Why.OTHER: Over}
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

    def test_another_store_gets_nothing(self) -> None:
        self.login()
        number, = self.link.send(["bob"], "for the daemon before")
        self.house.hear()
        self.cut()
        self.now = self.link.retry_at or 0
        self.pump()
        self.house.hear()
        *_, event = self.given(welcome(store=OTHER), mail(1))
        self.assertRegex(event.reason, f"the daemon at {HERE} is not the one before")
        self.assertIsInstance(event, OtherStore)
        self.assertEqual((self.house.hear(), list(self.link.pending)), ([], [number]))
        self.assertEqual((self.link.sock, self.link.timeout()), (None, None))
        # not accepted: perhaps it is the one before again
        self.link.connect()
        self.pump()
        self.house.hear()
        self.assertEqual(self.given(welcome()), [Online(welcome(), True)])
        self.assertEqual([said.id for said in self.house.hear()], [number])

    def test_another_store_that_was_accepted_is_not_asked_about_again(self) -> None:
        self.login()
        self.link.send(["bob"], "for whoever it is")
        self.cut()
        self.assertEqual(len(self.back_elsewhere(welcome(store=OTHER, token=b"o" * 16))), 1)
        self.cut()
        self.back(welcome(store=OTHER))
        self.cut()
        self.back_elsewhere(welcome(store=b"third" + bytes(11)))

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
        self.assertEqual([said.id for said in self.link.tick() if isinstance(said, wire.Refused)],
                         [number])
        self.assertEqual(dict(self.link.pending), {})

    def test_online_again(self) -> None:
        self.link.connect()
        self.pump()
        self.assertEqual(self.given(welcome()), [Online(welcome(), False)])
        self.cut()
        self.now = self.link.retry_at or 0
        self.pump()
        self.assertEqual(self.given(welcome()), [Online(welcome(), True)])


class TestRoster(Linked):
    def test_pages_then_changes(self) -> None:
        self.login()
        self.given(wire.Roster(0, 0, (entry("alice"), entry("Bob"))))
        self.assertFalse(self.link.roster.is_whole)
        self.given(wire.Roster(0, 1, (entry("carol"),)))
        self.assertTrue(self.link.roster.is_whole)
        self.assertEqual(self.known(), ["alice", "Bob", "carol"])
        changed = wire.Roster(0, 1, (entry("Bob", Presence.BUSY), entry("dave")))
        self.assertEqual(self.given(changed), [changed])
        self.assertEqual(self.link.roster.entry("bob"), entry("Bob", Presence.BUSY))
        self.assertEqual(self.known(), ["alice", "Bob", "carol", "dave"])

    def known(self) -> list[str]:
        return [self.link.roster.spelled(name) for name in self.link.roster.order]

    def test_kept_over_a_cut_but_not_for_another_store(self) -> None:
        self.login(None, wire.Roster(0, 1, (entry("bob"),)))
        self.cut()
        self.back()
        self.assertTrue(self.link.roster.is_whole)
        self.cut()
        self.back_elsewhere(welcome(store=OTHER, token=b"o" * 16))
        self.assertEqual((self.known(), self.link.roster.is_whole), ([], False))

    # as much as one frame holds
    LOG = tuple(entry(f"{'n' * 24}{number}") for number in range(1300))

    def logs_in_by(self, pieces: list[bytes]) -> None:
        """The login's bytes come in these pieces, each of them one read."""
        self.link = self.make()
        self.link.connect()
        self.pump()
        events = []
        for piece in pieces:
            self.house.end.sendall(piece)
            events += self.pump()
        kinds = [type(event) for event in events]
        self.assertEqual((kinds, len(self.link.roster)), ([Online, wire.Roster, wire.Roster], 1345))
        self.assertTrue(self.link.roster.is_whole)

    def test_a_log_in_the_same_read_as_welcome(self) -> None:
        """A frame longer than a stranger may send stands behind the WELCOME that allows it, however
        they are cut."""
        # just too long for a stranger
        some = tuple(entry(f"{'m' * 24}{number}") for number in range(45))
        data = b"".join(map(wire.encode,
                            (welcome(), wire.Roster(0, 0, some), wire.Roster(0, 1, self.LOG))))
        greeting = len(wire.encode(welcome()))
        cuts = {*range(greeting + 30), *range(greeting, len(data), 1009), len(data)}
        for pieces in ([data[:cut], data[cut:]] for cut in sorted(cuts)):
            self.logs_in_by(pieces)
        self.logs_in_by([data[at:at + 1] for at in range(4000)] + [data[4000:]])

    def test_a_stranger_of_a_daemon_is_held_to_the_short_limit(self) -> None:
        """Without a WELCOME before it the same frame is refused."""
        self.link.connect()
        self.pump()
        self.offline(self.given(wire.Roster(0, 1, self.LOG)), "1 to 1024 are allowed")

    def test_a_list_is_no_login_log(self) -> None:
        self.login()
        request = self.link.ask.list()
        self.assertEqual(self.house.hear(), [wire.List(request)])
        self.given(wire.Roster(request, 1, (entry("bob"),)))
        self.assertFalse(self.link.roster.is_whole)
        self.assertEqual(self.known(), ["bob"])


class TestSending(Linked):
    def test_stored(self) -> None:
        self.login()
        ids = [self.link.send(["bob"], text)[0] for text in ("one", "two", "three")]
        self.assertEqual(ids, [FIRST, FIRST + 1, FIRST + 2])
        self.assertEqual(self.house.hear(),
                         [wire.Send(n, 0, ("bob",), t)
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
        for to, text, flags in ((["bob"], "", 0), (["bob"], " \n", 0), (["bob"], "a\x1b", 0),
                                (["bob"], "\ud800", 0),
                                (["bob"], "x" * 20000, 0), ([], "hi", 0), (["b b"], "hi", 0),
                                (["x" * 300], "hi", 0), (["bob"], "hi", SendFlag.EVERYONE)):
            with self.assertRaises(ValueError):
                self.link.send(to, text, flags)
        with self.assertRaises(ValueError):
            self.link.ask.say(1, "")
        with self.assertRaises(ValueError):
            self.link.ask.invite(["b b"])
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
        sent = self.back_elsewhere(welcome(store=OTHER, token=b"o" * 16))
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
        self.given(wire.Stored(1, 5), wire.Refused(9, Why.OTHER, "?"),
                   wire.Outcomes(9, 9, Outcome.ABSENT, ("bob",)),
                   wire.Stored(number + 1, 2**64 - 1), wire.Stored(0, number - 1))
        self.assertEqual(list(self.link.pending), [number])
        self.given(wire.Stored(0, 2**64 - 1))
        self.assertEqual(self.link.pending, {})

    def test_what_waits_for_the_same_names_leaves_together(self) -> None:
        """As far as one frame may hold; one to everyone is always alone."""
        for n in range(3):
            self.link.send(["bob"], f"{n}")
        self.link.send(["bob", "cy"], "both")
        self.link.send([], "all", SendFlag.EVERYONE)
        self.link.send([], "all again", SendFlag.EVERYONE)
        for n in range(wire.COPIES_MAX // 2 + 1):
            self.link.send(["cy", "bob"], f"{n}")
        for _ in range(3):
            self.link.send(["bob"], "x" * (wire.TEXT_MAX // 2))
        frames: list[Any] = []
        with mock.patch("wire.each", lambda said: [said]):
            self.login()
            while (not frames
                   or frames[-1].first + len(frames[-1].texts) < FIRST + len(self.link.pending)):
                frames += self.house.hear()
                self.pump()
        self.assertEqual([said.first - FIRST for said in frames], [0, 3, 4, 5, 6, 706, 707, 709])
        self.assertEqual([len(said.texts) for said in frames], [3, 1, 1, 1, 700, 1, 2, 1])
        self.assertEqual(frames[0], wire.Sends(FIRST, 0, ("bob",), ("0", "1", "2")))
        self.given(wire.Stored(FIRST, FIRST + 800))
        self.assertEqual(self.link.pending, {})

    def test_ids_that_are_too_high(self) -> None:
        for first, origin in ((2**64 - 1, 5), (5, 2**64 - 1)):
            with self.subTest(first=first):
                self.setUp()
                self.login()
                self.given(wire.Mails(first, 1, origin, 0, 1, "bob", ("one", "two")))
                self.assertFalse(self.link.online)

    def test_texts_that_nobody_can_have_sent(self) -> None:
        for text, good in (("x", True), ("", False), ("x" * wire.TEXT_MAX, True),
                           ("x" * (wire.TEXT_MAX + 1), False), ("é" * (wire.TEXT_MAX // 2), True),
                           ("é" * (wire.TEXT_MAX // 2) + "x", False)):
            with self.subTest(length=len(text)):
                self.setUp()
                self.login()
                self.given(wire.Mails(5, 1, 7, 0, 1, "bob", ("one", text)))
                self.assertEqual(self.link.online, good)

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
        """Whatever the daemon has read, and the client has heard, before the cut: all is stored
        once, in order."""
        length = len(b"".join(wire.encode(wire.Send(FIRST + n, 0, ("bob",), f"text {n}"))
                              for n in range(4)))
        answers = b"".join(map(wire.encode,
                               (welcome(), wire.Stored(FIRST, FIRST),
                                wire.Stored(FIRST + 1, FIRST + 3))))
        for heard, said in [(n, 0) for n in range(length + 1)] + [(length, n)
                                                                  for n in range(len(answers) + 1)]:
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


class TestRequests(Linked):
    def test_each_is_said_with_its_number(self) -> None:
        self.login()
        ask = self.link.ask
        numbers = [ask.check(), ask.hold(True), ask.list(), ask.invite(["bob", "carol"]),
                   ask.say(4, "quit")]
        ask.answer(8, True)
        ask.withdraw(9)
        self.assertEqual(self.house.hear(), [
            wire.Check(numbers[0]), wire.Hold(numbers[1], 1), wire.List(numbers[2]),
            wire.Invite(numbers[3], ("bob", "carol")), wire.Say(numbers[4], 4, "quit"),
            wire.Answer(8, 1), wire.Withdraw(9)])
        self.assertEqual(len(set(numbers)), 5)

    def test_answers_are_events(self) -> None:
        self.login()
        ask = self.link.ask
        said = [wire.Checked(ask.check(), 0),
                wire.Inviting(ask.invite(["bob"]), 1, 60, ("alice", "bob")),
                wire.Failed(ask.say(1, "x"), Why.UNKNOWN, "no such chat"), wire.Answered(1, "bob"),
                wire.CalledOff(1, Why.DENIED, "bob"), wire.Started(2, 1, ("alice", "bob")),
                wire.Line(2, 5, "bob", "hello"), wire.Left(2, Why.QUIT, "bob"),
                wire.Ended(2, Why.QUIT, "bob"),
                wire.Invitation(3, 60, "bob", ("bob", "alice")), wire.Waiting(12),
                wire.Notice("hear"), wire.Delivered(1, 2, "bob")]
        self.assertEqual(self.given(*said), said)
        self.assertEqual(self.link.waiting, 12)
        # nothing was left to be answered
        self.assertEqual([type(event) for event in self.cut()], [Offline])

    def test_offline_they_fail(self) -> None:
        asking = self.link.ask
        for ask in (asking.check, asking.list, lambda: asking.invite(["bob"]),
                    lambda: asking.say(1, "x")):
            request = ask()
            (event,) = self.pump()
            self.assertEqual((event.request, event.why), (request, Why.GONE))
        self.link.ask.answer(1, True)
        self.link.ask.withdraw(1)
        self.assertEqual(self.pump(), [])

    def test_a_cut_fails_them(self) -> None:
        self.login()
        requests = [self.link.ask.check(), self.link.ask.list()]
        events = self.cut()
        self.assertEqual([event.request for event in events[:-1]], requests)
        self.assertTrue(all(isinstance(event, wire.Failed) for event in events[:-1]))
        self.offline(events, "closed|reset")

    def test_holding(self) -> None:
        self.login()
        request = self.link.ask.hold(True)
        self.assertFalse(self.link.ask.holding)
        self.given(wire.Done(request))
        self.assertTrue(self.link.ask.holding)
        self.cut()
        self.back(welcome(features=ALL | Feature.HOLD))
        self.assertEqual(self.hello.features, ALL | Feature.HOLD | ALWAYS)
        self.cut()
        self.assertEqual([self.link.ask.hold(False)], [event.request for event in self.pump()])
        self.back()
        self.assertEqual(self.hello.features, ALL | ALWAYS)
        self.assertFalse(self.link.ask.holding)

    def test_a_failed_hold_changes_nothing(self) -> None:
        self.login()
        self.given(wire.Failed(self.link.ask.hold(True), Why.OTHER, "no"))
        self.assertFalse(self.link.ask.holding)

    def test_busy_when_the_daemon_does_not_read(self) -> None:
        self.login()
        with self.assertRaises(Busy):
            for _ in range(1000):
                self.link.ask.say(1, "x" * wire.TEXT_MAX)
        self.assertTrue(self.link.online)


class TestEnding(Linked):
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


class TestValidity(unittest.TestCase):
    def test_no_name_and_no_range_is_overlooked(self) -> None:
        for codec in wire.MESSAGES.values():
            # WELCOME has one's own name, BINDING that of a channel binding, MOVED a terminal's
            if (codec.direction == wire.Direction.DAEMON
                    and codec.cls not in (wire.Welcome, wire.Binding, wire.Moved)):
                fields = get_type_hints(codec.cls, include_extras=True)
                named = any(hint.__metadata__[0] in ("word", "words", "entries", "rooms")
                            for hint in fields.values())
                self.assertEqual((codec.cls in validity.NAMES, codec.cls in validity.RANGES),
                                 (named, {"first", "last"} <= set(fields)), codec.cls)


class TestHostile(Linked):
    def test_what_cant_be(self) -> None:
        bad_name = "no name"
        for said, reason in (
                (welcome(), "WELCOME after WELCOME"),
                (wire.Rejected(Why.TAKEN, "?"), "REJECTED after WELCOME"),
                (wire.Stored(2, 1), "ends before"), (wire.Delivered(2, 1, "bob"), "ends before"),
                (wire.Confirmed(2, 1), "ends before"),
                (mail(1, sender=bad_name), "name that is none"),
                (mail(1, sender=""), "name that is none"),
                (wire.Roster(0, 1, (entry("x" * 33),)), "name that is none"),
                (wire.Line(1, 1, "\x1b[2J", "x"), "name that is none"),
                (wire.Invitation(1, 1, "bob", (bad_name,)), "name that is none")):
            with self.subTest(said):
                self.link = self.make()
                self.login()
                self.offline(self.given(said), reason)

    def test_before_welcome(self) -> None:
        for raw, reason in ((wire.encode(mail(1)), "before WELCOME"),
                            (wire.encode(welcome("bob")), "somebody else"),
                            (b"\0\0\4\1" + b"x" * 2000, "1025 bytes"), (b"\0\0\0\0", "0 bytes"),
                            (b"\0\0\0\1\0", "kind 0"), (wire.encode(wire.Exit()), "kind 11"),
                            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "frame of"),
                            (b"\0\0\0\2\x20x", "cut short")):
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

    def test_what_follows_a_violation_is_not_heard(self) -> None:
        self.login()
        self.offline(self.given(wire.Notice("a"), wire.Stored(2, 1), wire.Notice("b")),
                     "ends before")

    def test_byte_by_byte(self) -> None:
        self.link.connect()
        self.pump()
        events = []
        for byte in b"".join(map(wire.encode, (welcome(), mail(1), wire.Notice("héllo"), mail(2)))):
            self.house.end.sendall(bytes((byte,)))
            events += self.pump()
        self.assertEqual(events[1:], [mail(1), wire.Notice("héllo"), mail(2)])

    def test_garbage(self) -> None:
        """Frames of every kind, whole, damaged or invented: no exception, and the line works again
        after."""
        chance = random.Random(1)
        known = (wire.Mail, wire.Failed, Repeated, Offline, NameRefused, Over, Online)
        for _ in range(effort(3000, 800)):
            self.link = self.make()
            if chance.random() < 0.9:
                self.login()
                self.link.send(["bob"], "hi")
                self.link.ask.check()
            else:
                self.link.connect()
                self.pump()
            raw = b"".join(self.damaged(chance, self.invented(chance))
                           for _ in range(chance.randint(1, 6)))
            self.house.end.sendall(raw)
            heard = self.pump()
            for event in heard:
                self.assertTrue(isinstance(event, known) or type(event) in wire.CODECS)
                if isinstance(event, wire.Mail) and chance.random() < 0.5:
                    self.link.shown([event])
            was_let_in = any(isinstance(event, Online) for event in heard)     # by another store
            if self.link.sock is None and self.link.retry_at is not None and not was_let_in:
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
            "word": word, "text": word,
            "words": lambda: tuple(word() for _ in range(chance.randrange(4))),
            "texts": lambda: tuple(word() for _ in range(chance.randrange(1, 4))),
            "16s": lambda: chance.randbytes(16),
            "32s": lambda: chance.randbytes(32),
            "entries": lambda: tuple(wire.Entry(word(), chance.randrange(256), 0, 1, 2)
                                     for _ in range(3)),
            "rooms": lambda: tuple(wire.RoomEntry(word(), chance.randrange(256), 1, 2, 3, word())
                                   for _ in range(3))}
        hows = [hint.__metadata__[0]
                for hint in get_type_hints(codec.cls, include_extras=True).values()]
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
        if how < 0.9:
            return raw[:at]
        return raw[:at] + chance.randbytes(chance.randrange(40)) + raw[at:]


class Resume(Linked):
    """A line that was cut: the daemon hears since when mail is live."""

    def begin(self) -> None:
        self.login(welcome(), wire.Live(40))
        self.cut()

    def test_it_goes_on_where_it_was(self) -> None:
        self.begin()
        self.back()
        self.assertEqual(self.hello,
                         wire.Resume(wire.VERSION, ALL | ALWAYS, b"t" * 16, 40, "alice"))
        self.given(wire.Live(40), mail(50))
        self.cut()
        self.back()
        self.assertEqual(self.hello.above, 40)

    def test_a_connection_that_was_lost_at_once(self) -> None:
        self.begin()
        for _ in range(3):
            self.assertIsNotNone(self.link.retry_at)
            self.now = self.link.retry_at or 0.0
            self.pump()
            self.assertIsInstance(self.house.hear()[0], wire.Resume)
            self.cut()

    def test_a_daemon_that_is_older_than_the_one_before(self) -> None:
        self.begin()
        self.now = self.link.retry_at or 0.0
        self.pump()
        self.house.hear()
        said = wire.Rejected(Why.OTHER, "no message of kind 84 is known here")
        self.offline(self.given(said), "^the daemon is older than before$")
        self.back(welcome(features=ALL))
        self.assertIsInstance(self.hello, wire.Hello)
        self.cut()
        self.back()
        self.assertIsInstance(self.hello, wire.Hello)
        self.cut()
        self.now = self.link.retry_at or 0.0
        self.pump()
        self.assertIsInstance(self.given(wire.Rejected(Why.OTHER, "no"))[-1], Over)

    def test_who_held_does_not(self) -> None:
        for while_online in (True, False):
            self.link = self.make()
            self.login(welcome(), wire.Live(40))
            if while_online:
                self.link.ask.hold(True)
                self.cut()
            else:
                self.cut()
                self.link.ask.hold(True)
                self.link.ask.hold(False)
            self.back()
            self.assertIsInstance(self.hello, wire.Hello)

    def test_who_held_and_does_no_more(self) -> None:
        self.login(welcome(), wire.Live(40))
        self.link.ask.hold(True)
        request = self.link.ask.hold(False)
        self.given(wire.Done(request), wire.Live(60))
        self.cut()
        self.back()
        self.assertEqual(self.hello.above, 60)

    def test_in_another_store_ids_mean_something_else(self) -> None:
        self.begin()
        self.back_elsewhere(welcome(store=OTHER))
        self.assertIsInstance(self.hello, wire.Hello)

    def test_another_name_begins_anew(self) -> None:
        self.begin()
        self.link.rename("ann")
        self.back(welcome("ann"))
        self.assertIsInstance(self.hello, wire.Hello)


if __name__ == "__main__":
    unittest.main()
