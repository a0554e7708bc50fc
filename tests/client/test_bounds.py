"""What a hostile daemon can make a client hold, and for how long it can keep it from its user.

tests/torture/hostile_floods.py shows the same of the real programs at full speed."""
import os
import tempfile
import tracemalloc
import unittest
from collections.abc import Callable
from selectors import EVENT_READ
from typing import Any
from unittest import mock

import wire
from client import archive, connection, inbox, index, known, waiter
from client.archive import Archive, Memory
from client.index import Index
from client.known import Known
from client.outbox import Outbox, Pending
from curses_client import Loop
from terminal.display import Ruler
from tests.client.fake_link import Play
from tests.client.linked import FIRST, Linked, entry, mail
from tests.torture import hostile_floods
from ui import entries, invitations, messages, pane, requests, scrollback
from ui.entries import Listing, Note, Said
from ui.granting import Granting
from ui.menu import Menu
from ui.options import parser
from ui.pane import Pane
from ui.screen import Frame
from wire import Presence

LONGEST = wire.TEXT_MAX


def grown(make: Callable[[], object]) -> int:
    """The bytes that the result of this takes."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        made = make()
        grown = tracemalloc.get_traced_memory()[0] - before
        del made
        return grown
    finally:
        tracemalloc.stop()


def page(start: int, count: int, state: int = Presence.AWAY, last: int = 1,
         request: int = 0) -> wire.Roster:
    return wire.Roster(request, last, tuple(
        wire.Entry(f"{start + n:032d}", state, 0, 10**15 + n, 0) for n in range(count)))


class TheLog(Linked):
    def test_its_cost(self) -> None:
        """What a name is counted for is what it takes."""
        log = Known()

        def fill(form: str, state: int) -> Known:
            for start in range(0, 20_000, 1000):
                log.hear(wire.Roster(0, 1, tuple(wire.Entry(form.format(start + n), state, 0,
                                                            10**15 + start + n, 0)
                                                 for n in range(1000))))
            self.assertEqual(len(log.order), len(log))
            return log
        self.assertLess(grown(lambda: fill("{:032d}", Presence.AWAY)), log._size * 1.1)
        log.forget()
        self.assertLess(grown(lambda: fill("X{:031d}", Presence.AWAY)), log._size * 1.1)
        present = grown(lambda: fill("X{:031d}", Presence.AVAILABLE)) / 20_000
        self.assertLess(present * known.PRESENT_MAX, 6 << 20)

    def test_beyond_its_bound(self) -> None:
        """The first names are kept, and all who are connected; the user hears of it once."""
        play = Play().online("bob")
        with mock.patch("client.known.NAMES_BYTES", 10 * (known.NAME_COST + 32)):
            for said in (page(0, 100), page(100, 50, Presence.AVAILABLE), page(200, 5)):
                play.link.roster.hear(said)
                play.hear(said)
        self.assertLessEqual(len(play.link.roster), 13)
        self.assertEqual(len(play.menu.talk.people.here.current), 52)
        self.assertEqual([line for line in play.lines if "names that are kept" in line],
                         ["* the log has more than the 11 names that are kept here: the others are "
                          "not listed; messages reach them all the same"])
        self.assertEqual(play.link.roster.spelled(f"{149:032d}"), f"{149:032d}")
        play.enter(f"@nobody-here,{149:032d} hi")
        self.assertIn(("send", ("nobody-here", f"{149:032d}"), "hi", 0), play.asked)
        play.enter("@no?name hi")
        self.assertIn("nobody named no?name has ever been here", play.error)

    def test_of_connected_users(self) -> None:
        log = Known()
        with mock.patch("client.known.PRESENT_MAX", 3):
            log.hear(page(0, 5, Presence.AVAILABLE))
            self.assertEqual((len(log), len(log.present), log.is_cut), (5, 3, True))
            log.hear(page(0, 1, Presence.AWAY))
            log.hear(page(3, 1, Presence.BUSY))
        self.assertIn(f"{3:032d}", log.present)

    def test_pages_that_never_end(self) -> None:
        """Names that come again and again, and none at all, count too."""
        for request in (0, 1):
            for names in (2, 0):
                self.link = self.make()
                self.login()
                with mock.patch("client.known.PAGED_MAX", 8):
                    for _ in range(2):
                        self.assertTrue(self.link.online)
                        self.given(page(0, names, last=0, request=request))
                    self.offline(self.given(*[page(0, names, last=0, request=request)] * 10),
                                 "a log of more than 1000000 names")

    def test_a_list_is_cut(self) -> None:
        play = Play().online(*(f"user{n}" for n in range(30)))
        with mock.patch("ui.requests.LISTED_MAX", 5):
            play.menu.talk.requests.list_log()
            play.listed(1)
        self.assertEqual(play.last.split("\n")[0], "* 31 names in the log; the first 5:")
        self.assertEqual(play.last.count("user"), 4)
        rows = [("n" * 32, "not connected since 21 Nov 2026 12:00")] * 10
        self.assertLess(Listing(0, "", items=rows).measure() / 10 * requests.LISTED_MAX, 5 << 20)

    def test_a_message_to_everyone(self) -> None:
        play = Play().online("bob", "carol")
        with mock.patch("ui.messages.EVERYONE_MAX", 2):
            play.enter("/all hi")
        self.assertEqual([own.to for own in play.menu.talk.messages._own.values()], [{""}])
        self.assertGreaterEqual(messages.EVERYONE_MAX, 1000)


class Mail(Linked):
    def test_bytes_that_are_not_shown(self) -> None:
        long = "\u4e00" * (LONGEST // 3)
        self.login()
        count = inbox.UNSHOWN_BYTES // len(long.encode())
        for n in range(1, count + 1):
            self.given(mail(n, text=long))
        self.assertTrue(self.link.online)
        self.link.shown([mail(n, text=long) for n in range(1, count)])
        self.given(mail(count + 1, text=long))
        self.assertTrue(self.link.online)           # those that were kept do not count
        for n in range(count + 2, 2 * count):
            self.given(mail(n, text=long))
        self.assertTrue(self.link.online)
        self.offline(self.given(mail(2 * count, text=long)), "not shown yet")

    def test_names_of_recipients(self) -> None:
        """Beyond a bound the client forgets them, and keeps the message."""
        self.login()
        to = tuple(f"{n:032}" for n in range(wire.ADDRESSED_MAX))
        count = inbox.NAMED_BYTES // (wire.ADDRESSED_MAX * (32 + inbox.NAME_SIZE)) + 9
        heard = [each for n in range(1, count)
                 for each in self.given(mail(n)._replace(to=to, copies=32))]
        self.assertEqual({each.to for each in heard[:-9]}, {to})
        self.assertEqual((heard[-1].to, heard[-1].copies), ((), 32))
        self.assertTrue(self.link.online)
        self.link.shown(heard)
        self.assertEqual(self.given(mail(count)._replace(to=to))[0].to, to)
        long = (*to, "x")
        self.offline(self.given(mail(count + 1)._replace(to=long)), "went to 33 names")

    def test_never_confirmed(self) -> None:
        """The ranges and the messages that wait for CONFIRMED are the last ones; they count as
        shown all the same."""
        self.login()
        with (mock.patch("client.inbox.CONFIRMING_MAX", 5),     # messages
              mock.patch("client.archive.UNCONFIRMED_MAX", 7)):
            for n in range(1, 40, 2):               # each a range of its own
                (said,) = self.given(mail(n))
                self.link.shown([said])
        held = self.link._inbox
        self.assertEqual([first for first, _ in held._confirming], [31, 33, 35, 37, 39])
        self.assertEqual(list(held._archive.unconfirmed.values()), list(range(27, 40, 2)))
        self.given(wire.Confirmed(1, 1), wire.Confirmed(3, 39))
        self.assertEqual((held._confirming, list(held._archive.unconfirmed.values())),
                         ({}, [27, 29]))
        self.assertEqual([type(event).__name__ for event in self.given(mail(1))], ["Repeated"])
        self.assertGreaterEqual(inbox.CONFIRMING_MAX, 1000)         # a window of the daemon's
        self.assertGreaterEqual(archive.UNCONFIRMED_MAX, 1000)

    def test_the_memory_without_an_archive(self) -> None:
        def fill() -> Memory:
            memory = Memory()
            for n in range(0, 20_000, 100):
                memory.keep([mail(n + i, sender="x" * 32) for i in range(100)])
                memory.settle(list(memory.unconfirmed))
            return memory
        self.assertLess(grown(fill) / 20_000 * archive.SHOWN_MAX, 11 << 20)

    def test_the_memory_of_an_archive(self) -> None:
        """Each message of an instance of its own: the index is written before it is large."""
        def fill() -> Index:
            filled, n = Index(), 0
            while filled.recent < index.FOLD:
                filled.add(f"{n:032d}", n << 32 | 1, n)
                n += 1
            return filled
        self.assertLess(grown(fill), 6 << 20)

    def test_texts_of_one_id(self) -> None:
        """Another text under an id that is known: each is shown, and none costs more than the last
        one did."""
        with tempfile.TemporaryDirectory() as place:
            self.link = self.make(Archive(place))
            self.login()
            for n in range(20):
                self.link.shown(self.given(mail(n + 1, origin=7, text=str(n))))
            with mock.patch("client.contents.line_at", return_value=b"") as looks:
                self.assertEqual(len(self.given(mail(99, origin=7, text="other"))), 1)
            self.assertLessEqual(looks.call_count, index.PLACES_MAX)

    def test_answers_with_names_of_others(self) -> None:
        outbox = Outbox(7)
        outbox.add([Pending(("Bob", "carol"), "hi", 0, 2)])
        for n in range(100):
            outbox.absent(FIRST, FIRST, [f"n{n}", "bob"])
        self.assertEqual(outbox[FIRST].absent, {"bob"})
        outbox.absent(FIRST, FIRST, ["CAROL"])
        self.assertFalse(outbox)

    def test_texts_that_are_too_long(self) -> None:
        for said in (wire.Notice("x" * (LONGEST + 1)), wire.Failed(1, 0, "x" * (LONGEST + 1)),
                     wire.Line(1, 0, "bob", "\u4e00" * (LONGEST // 3 + 1)),
                     wire.Refused(1, 0, "x" * (LONGEST + 1))):
            self.link = self.make()
            self.login()
            self.offline(self.given(said), "a text that is too long")
        self.link = self.make()
        self.login()
        self.assertEqual(len(self.given(wire.Notice("x" * LONGEST))), 1)


class ThePane(unittest.TestCase):
    def invited(self, number: int, *members: str) -> wire.Invitation:
        return wire.Invitation(number, 60, "bob", members or ("bob", "alice"))

    def test_invitations(self) -> None:
        play = Play().online("bob")
        play.hear(*(self.invited(n) for n in range(1000)))
        held = play.menu.talk.invitations
        self.assertEqual(len(held.unanswered), invitations.OPEN_MAX)
        self.assertEqual(play.last, f"* {invitations.OPEN_MAX} invitations are open: more are "
                                    "passed over")
        self.assertLess(len(play.lines), 5)
        for _ in range(invitations.OPEN_MAX):
            play.enter("/accept")
        self.assertEqual(len([what for what in play.asked if what[0] == "answer"]),
                         invitations.OPEN_MAX)
        play.hear(self.invited(7))
        self.assertEqual([each.number for each in held.unanswered], [7])

    def test_members_of_invitations(self) -> None:
        play = Play().online("bob")
        for n in range(20):
            play.hear(self.invited(n, *(f"{i:x}" for i in range(8000))))
        held = play.menu.talk.invitations.unanswered
        self.assertEqual(len(held), invitations.MEMBERS_MAX // 8000)
        play.hear(*(wire.Answered(0, f"n{n}") for n in range(1000)), wire.Answered(0, "f"))
        self.assertEqual(held[0].accepted, {"f"})

    def test_bytes(self) -> None:
        """The longest texts, of the widest characters, and tables."""
        def fill() -> Pane:
            shown = Pane()
            for n in range(1000):
                shown.add(Note(0, chr(0x1f600 + n % 9) * (LONGEST // 4)))
                shown.add(Listing(0, "", items=[(f"{n}", f"{n}" * 20)] * 10))
            return shown
        self.assertLess(grown(fill), scrollback.BYTES_MAX * 1.1)

    def test_short_entries(self) -> None:
        def fill() -> Pane:
            shown = Pane()
            for n in range(scrollback.ENTRIES_MAX):
                shown.add(Said(10**15 + n, f"text{n}", f"sender{n}", f"you +{n}", style=f"n{n}"))
            self.assertEqual(len(shown), scrollback.ENTRIES_MAX)
            return shown
        self.assertLess(grown(fill), scrollback.BYTES_MAX)

    def test_rows(self) -> None:
        """The rows that were made for one view after the other."""
        shown, made = Pane(), 0
        for _ in range(40):
            shown.add(Note(0, "\n" * LONGEST))
            shown.view(80, 24)
            made = max(made, sum(map(len, shown._rows._made.values())))
        self.assertLessEqual(made, pane.ROWS_MAX + entries.LINES_MAX + 2)

    def test_lines_of_a_text(self) -> None:
        for lines, more in ((entries.LINES_MAX, 0), (entries.LINES_MAX + 1, 2), (LONGEST, 12289)):
            rows = Note(0, "\n".join(["x"] * (lines + 1))[:-1]).rows(80, Ruler())
            last = "".join(text for text, _ in rows[-1])
            self.assertIn(len(rows), (entries.LINES_MAX, entries.LINES_MAX + 1))
            self.assertEqual("more lines" in last, bool(more), last)


class Slices(Linked):
    """What arrives at once is heard in slices of time."""

    def test_of_the_link(self) -> None:
        self.login()
        said = [wire.Notice(str(n)) for n in range(100)]
        self.house.say(*said[:50], wire.Ping(1), *[mail(n + 1, text=str(n)) for n in range(50)],
                       *said[50:])
        heard = self.sliced(connection.HEAR_SECONDS / 3)
        self.assertEqual([event.text for slice in heard for event in slice],
                         [*map(str, range(50)), *map(str, range(50)), *map(str, range(50, 100))])
        self.assertEqual({len(slice) for slice in heard} - {0, 1, 2, 3, 4}, set())

    def sliced(self, step: float) -> list[list[Any]]:
        """The events of each call, where each look at the clock takes so long."""
        def clock() -> float:
            self.now += step
            return self.now
        self.link._connection.now = clock
        heard = [self.link.ready(EVENT_READ)]
        while self.link.timeout() == 0.0:
            heard.append(self.link.tick())
        return heard

    def test_nothing_is_read_while_something_is_unheard(self) -> None:
        self.login()
        self.house.say(*[wire.Notice("one")] * 9)
        self.link._connection.now = iter(range(1000)).__next__
        self.link.ready(EVENT_READ)
        self.house.say(wire.Notice("two"))
        self.assertTrue(self.link._connection.is_behind)
        with mock.patch.object(self.link._connection, "_read") as read:
            self.link.ready(EVENT_READ)
        read.assert_not_called()

    def test_what_is_unheard_goes_with_its_connection(self) -> None:
        self.login()
        self.house.say(*[wire.Notice("one")] * 9)
        self.link._connection.now = iter(range(1000)).__next__
        self.link.ready(EVENT_READ)
        self.link.close()
        self.assertEqual((self.link.timeout(), self.link.tick()), (None, []))

    def test_a_deadline_comes_in_a_flood(self) -> None:
        """A daemon that talks on instead of WELCOME does not keep the client waiting."""
        self.link.connect()
        self.pump()
        self.house.say(*[wire.Notice("wait")] * 99)
        self.link._connection.now = iter(range(60, 100000, 1)).__next__
        self.link.ready(EVENT_READ)
        self.assertTrue(self.link._connection.is_behind)
        heard: list[Any] = []
        while self.link.sock:
            heard += self.link.tick()
        self.assertLess(len(heard), 20)
        self.offline(heard, "did not answer in time")


class TheFloods(unittest.TestCase):
    def test_they_have_every_message(self) -> None:
        """The torture leaves out none that a client keeps anything for."""
        hostile_floods.LISTED[:] = [1]
        self.addCleanup(hostile_floods.LISTED.clear)
        said: set[type] = set()
        for name, flood in hostile_floods.FLOODS.items():
            if name not in ("half", "together"):
                for number in range(2):
                    frames = wire.Decoder(wire.FRAME_MAX).feed(flood(number, "ann"))
                    said |= {type(wire.decode(frame, wire.DAEMON)) for frame in frames}
        all_there_are = {codec.cls for codec in wire.MESSAGES.values()
                         if codec.direction != wire.CLIENT}
        self.assertEqual({each.__name__ for each in all_there_are - said},
                         {"Welcome", "Rejected", "Binding", "Challenge", "Verified", "Moved"})


class FakeTerminal:
    """It is painted, and says how often."""
    size, is_there = (24, 80), True

    def __init__(self) -> None:
        self.painted, self.away = 0, False

    def paint(self, picture: Frame, ruler: Ruler) -> None:
        self.painted += 1

    def title(self, text: str) -> None:
        pass


class TheLoop(Linked):
    def test_a_key_among_events(self) -> None:
        """While the menu is slow to hear what came, keys are taken and pictures painted."""
        self.login(None, wire.Roster(0, 1, (entry("alice"),)))
        menu, terminal = Menu(self.link, name="alice"), FakeTerminal()
        granting = Granting(menu, terminal, parser({}).parse_args([]))    # type: ignore[arg-type]
        loop = Loop(self.link, menu, terminal, granting)                # type: ignore[arg-type]
        self.addCleanup(loop.close)
        keyboard, hand = os.pipe()
        self.addCleanup(os.close, keyboard)
        self.addCleanup(os.close, hand)
        heard, clock = 0, [0.0]

        def slow(event: Any, now: int) -> None:
            nonlocal heard
            heard += 1
            clock[0] += waiter.HEAR_SECONDS / 2
        read = os.read
        with (mock.patch.object(menu, "hear", slow),
              mock.patch("time.monotonic", lambda: clock[0]),
              mock.patch("os.read", lambda fd, size: read(fd or keyboard, size))):
            loop._waiter.ignore(0)
            loop._waiter.listen(keyboard)
            loop._reads[keyboard] = loop._read
            self.house.say(*[wire.Notice("x")] * 30)
            loop.turn()
            self.assertLessEqual(heard, 3)
            painted = terminal.painted
            os.write(hand, b"h")
            loop.turn()
            self.assertEqual((menu.desk.line.text, terminal.painted), ("h", painted + 1))
            self.assertLessEqual(heard, 6)
            for _ in range(20):
                loop.turn()
        self.assertEqual(heard, 30)


if __name__ == "__main__":
    unittest.main()
