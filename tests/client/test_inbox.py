"""What arrives, until it is confirmed: by itself, under a Link, and against a model of the
daemon."""
import random
import tempfile
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import wire
from client.archive import Archive, ArchiveError, Memory
from client.events import Repeated
from client.inbox import CHECK, Inbox
from client.link import Link
from tests.client.linked import INSTANCE, OTHER, STORE, Linked, mail, welcome
from tests.harness.process import effort
from wire import Feature, SendFlag, Why


class Alone(unittest.TestCase):
    def setUp(self) -> None:
        self.memory = Memory()
        self.inbox = Inbox(self.memory)     # type: ignore[arg-type]
        self.inbox.open(STORE, "alice")

    def show(self, *mails: wire.Mail) -> list[tuple[int, int]]:
        for one in mails:
            self.assertEqual(self.inbox.take(one), [one])
        return list(self.inbox.confirm(self.inbox.shown(mails)))

    def test_a_message_on_its_way(self) -> None:
        self.assertEqual(self.show(mail(5), mail(6), mail(9)), [(5, 9)])
        self.assertEqual(self.inbox.take(mail(6)), [Repeated(mail(6))])
        self.assertEqual(list(self.inbox.confirm(self.inbox.repeated())), [(6, 6)])
        self.assertEqual(self.inbox.repeated(), [])
        self.inbox.confirmed(5, 9)
        self.assertEqual(self.memory.unconfirmed, {})
        self.assertEqual(list(self.inbox.confirm_again()), [])

    def test_two_texts_of_one_origin_that_wait_at_once(self) -> None:
        """Two programs of one name with one instance: the second text is neither shown nor
        confirmed."""
        one, other, last = mail(5), mail(6)._replace(origin=mail(5).origin, text="another"), mail(7)
        self.assertEqual([self.inbox.take(each) for each in (one, other, last)],
                         [[one], [], [last]])
        self.assertEqual(list(self.inbox.confirm(self.inbox.shown([one, last]))), [(5, 5), (7, 7)])
        # it comes again, when the first is in the archive
        self.inbox.open(STORE, "alice")
        self.assertEqual(self.show(other), [(6, 6)])

    def test_ranges_that_come_back_joined(self) -> None:
        ranges = self.show(mail(5), mail(6))
        self.inbox.cut(CHECK)
        ranges += self.show(mail(8, flags=SendFlag.CHECK), mail(9, flags=SendFlag.CHECK))
        self.assertEqual(ranges, [(5, 6), (8, 9)])
        self.inbox.confirmed(5, 8)
        self.assertEqual(list(self.inbox.confirm_again()), [(8, 9)])
        self.inbox.confirmed(1, 100)
        self.assertEqual(self.memory.unconfirmed, {})

    def test_what_was_not_said_is_not_taken_for_confirmed(self) -> None:
        self.inbox.take(mail(5))
        self.assertEqual([key for key, _ in self.inbox.shown([mail(5)])], [("bob", 1005)])
        self.inbox.confirmed(0, 2**64 - 1)
        self.assertEqual(self.memory.unconfirmed, {("bob", 1005): 5})

    def test_another_line_expects_nothing_of_the_one_before(self) -> None:
        self.assertEqual(self.show(mail(5)), [(5, 5)])
        self.inbox.take(mail(5))
        self.inbox.open(STORE, "alice")
        self.assertEqual(self.inbox.repeated(), [])
        self.inbox.confirmed(5, 5)
        self.assertEqual(list(self.inbox.confirm_again()), [(5, 5)])

    def test_what_has_no_answer_is_not_asked_again_for_ever(self) -> None:
        """A power cut took it: the daemon answers for what came later, and says nothing of that."""
        self.show(mail(5), mail(6))
        self.inbox.cut(CHECK)
        self.show(mail(9))
        self.inbox.open(STORE, "alice")
        self.assertEqual(list(self.inbox.confirm_again()), [(5, 6), (9, 9)])
        self.assertEqual(self.show(mail(20)), [(20, 20)])
        self.inbox.confirmed(5, 6)
        self.assertEqual(sorted(self.memory.unconfirmed.values()), [9, 20])
        self.inbox.confirmed(20, 20)
        self.assertEqual(self.memory.unconfirmed, {})
        self.assertEqual(self.inbox.take(mail(30, 1009)), [Repeated(mail(30, 1009))])

    def test_confirmed_is_not_forgotten(self) -> None:
        self.show(mail(5))
        self.inbox.confirmed(5, 5)
        self.assertEqual(self.inbox.take(mail(7, 1005)), [Repeated(mail(7, 1005))])
        self.assertEqual(self.inbox.take(mail(8, 1005, text="else")), [mail(8, 1005, text="else")])


class Mail(Linked):
    """What is confirmed, and what is not."""

    def confirmed(self) -> list[tuple[int, int]]:
        return [(said.first, said.last)
                for said in self.house.hear() if isinstance(said, wire.Confirm)]

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
        self.assertEqual(self.show([events[1], events[0], events[4], events[8]]),
                         [(1, 2), (5, 5), (9, 9)])
        self.assertEqual(self.show(events), [(3, 4), (6, 8)])

    def test_two_streams_are_never_in_one_range(self) -> None:
        self.login()
        self.link.ask.check()
        check = SendFlag.CHECK
        events = self.given(mail(10), mail(1, flags=check), mail(11), mail(3, flags=check),
                            mail(12))
        self.assertEqual(self.show(events), [(10, 12), (1, 3)])

    def test_holding_breaks_a_run(self) -> None:
        self.login()
        events = self.given(mail(5))
        events += self.given(wire.Done(self.link.ask.hold(True)))
        events += self.given(wire.Done(self.link.ask.hold(False)), mail(8))
        self.assertEqual(self.show(events), [(5, 5), (8, 8)])

    def test_holding_breaks_a_run_wherever_the_answer_comes(self) -> None:
        self.login()
        on, off = self.link.ask.hold(True), self.link.ask.hold(False)
        events = self.given(mail(5), wire.Done(on), wire.Done(off), mail(8))
        self.assertEqual(self.show(events), [(5, 5), (8, 8)])

    def test_two_checks_are_two_streams(self) -> None:
        self.login()
        first, flags = self.link.ask.check(), SendFlag.CHECK
        events = self.given(mail(1, flags=flags), wire.Checked(first, 1))
        events += self.given(mail(7, flags=flags), wire.Checked(self.link.ask.check(), 1))
        self.assertEqual(self.show(events), [(1, 1), (7, 7)])

    def test_two_checks_asked_at_once_are_two_streams(self) -> None:
        self.login()
        first, second, flags = self.link.ask.check(), self.link.ask.check(), SendFlag.CHECK
        events = self.given(mail(1, flags=flags), wire.Checked(first, 1), mail(7, flags=flags),
                            wire.Checked(second, 1))
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
        self.assertEqual(self.given(mail(5, flags=SendFlag.CHECK), mail(6, flags=SendFlag.CHECK)),
                         [])
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
        self.assertEqual(self.back_elsewhere(welcome(store=OTHER)), [])
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
        self.assertEqual(self.back_elsewhere(welcome(store=OTHER)), [])
        self.assertEqual(self.show(events), [])
        self.assertEqual(self.given(mail(5)), [mail(5)])

    def test_what_was_never_received_is_passed_over(self) -> None:
        self.login()
        self.link.shown([mail(5)])
        self.link.shown([])
        self.assertEqual(self.house.hear(), [])

    def test_bounded(self) -> None:
        self.login()
        with mock.patch("client.inbox.UNSHOWN_MAX", 3):
            self.offline(self.given(*(mail(n) for n in range(1, 5))), "not shown yet")


class Archived(Mail):
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
        with mock.patch.object(self.file, "_fsync",
                               lambda fd: said_before.append(self.house.hear())):
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
        with mock.patch.object(self.file, "_fsync",
                               side_effect=OSError(28, "No space left on device")), \
                self.assertRaisesRegex(ArchiveError,
                                       "No space left on device; they stay in the mailbox"):
            self.link.shown(events[:1])
        self.assertEqual(self.house.hear(), [])
        self.assertEqual(self.given(mail(5, flags=SendFlag.CHECK)), [])
        self.assertEqual(self.show(events[1:]), [(6, 6), (5, 5)])

    def test_kept_at_last_after_a_cut(self) -> None:
        self.login()
        events = self.given(mail(5))
        with mock.patch.object(self.file, "_fsync",
                               side_effect=OSError(28, "No space left on device")), \
                self.assertRaises(ArchiveError):
            self.link.shown(events)
        self.cut()
        self.assertEqual(self.back(), [])
        self.link.shown([])
        self.assertEqual(self.confirmed(), [(5, 5)])

    def test_never_kept_in_the_file_of_another_store(self) -> None:
        self.login()
        events = self.given(mail(5))
        with mock.patch.object(self.file, "_fsync",
                               side_effect=OSError(28, "No space left on device")), \
                self.assertRaises(ArchiveError):
            self.link.shown(events)
        self.cut()
        self.back_elsewhere(welcome(store=OTHER))
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
    """A model of the daemon's rules for one reader, after post.py; it accuses whoever deletes what
    was not shown."""
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
        # live mail is above this; and how far it was pushed
        self.start = self.live = self.last
        self.checking: list[int] | None = None      # request, at, upto, total

    def put(self) -> None:
        self.last += self.chance.choice((1, 1, 1, 2, 5))
        one = mail(self.last, sender=self.chance.choice("bc"))
        self.waiting[self.last] = self.everything[self.last] = one

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


class Model(Linked):
    """Random walks: no range ever covers what was not shown; everything is shown once, and then
    forgotten."""

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
            self.box.put, self.box.put, self.box.put, self.serve, self.serve, self.serve, self.show,
            self.show, self.hold, self.check, self.lose, self.ill, self.restart]
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
            wire.Hold: self.box.on_hold, wire.Check: self.box.on_check,
            wire.Confirm: self.box.on_confirm}
        said: list[Any] = []
        for request in self.house.hear(self.chance.choice((20, 1 << 20))):
            said += handlers[type(request)](request)
        said += self.box.push()
        self.house.say(*said)
        if self.chance.random() < 0.7:
            self.take(self.pump())

    def show(self) -> None:
        how = self.chance.random()
        some = self.fresh[:]
        if how >= 0.5:
            some = self.chance.sample(self.fresh, self.chance.randint(0, len(self.fresh)))
        if how > 0.9:
            some += self.chance.sample(sorted(self.box.everything.values()),
                                       min(2, len(self.box.everything)))
            some = list(dict.fromkeys(one for one in some if one in self.fresh
                                      or one.id in self.box.shown))
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
        self.link.ask.hold(self.chance.random() < 0.5)

    def check(self) -> None:
        self.link.ask.check()

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
                self.link.ask.check()
            self.serve()
            self.take(self.pump())
            self.count(self.fresh)
            self.fresh = []
            self.serve()
        self.assertEqual(self.box.waiting, {})
        self.assertEqual(self.seen, dict.fromkeys(self.box.everything, 1))
        self.link.close()

    def test_with_an_archive(self) -> None:
        for seed in range(effort(150, 50)):
            with self.subTest(seed):
                self.walk(seed, True)

    def test_without(self) -> None:
        for seed in range(effort(150, 50)):
            with self.subTest(seed):
                self.walk(seed, False)


class Copies(Linked):
    """What a session has, and an errand is told."""

    def test_it_is_told_and_not_kept(self) -> None:
        self.login(welcome(features=Feature.ERRAND))
        copy = mail(5, flags=SendFlag.COPY)
        for _ in range(3):              # nothing piles up, either
            self.house.say(wire.Mails(*copy[:5], copy.sender, (copy.text,)))
            self.assertEqual(self.pump(), [copy])
            self.link.shown([copy])
        self.assertEqual(self.house.hear(), [])
        self.assertFalse(self.link.archive.has(copy))

    def test_to_a_session_it_is_a_message(self) -> None:
        self.login()
        mails = [mail(number, flags=SendFlag.COPY) for number in (5, 6)]
        for each in mails:
            self.house.say(wire.Mails(*each[:5], each.sender, (each.text,)))
        self.assertEqual(self.pump(), mails)
        self.link.shown(mails)
        self.assertEqual(self.house.hear(), [wire.Confirm(5, 6)])


if __name__ == "__main__":
    unittest.main()
