"""What parley send says in the end, for all that a daemon may say before it."""
import os
import unittest
from math import inf
from types import SimpleNamespace
from unittest import mock

import wire
from client.events import NameRefused, Offline, Online
from ui import sending
from ui.errand import check_login
from ui.failures import Failure
from ui.sending import DELIVERED, STORED, Requirement, Sending
from wire import Outcome, Why

LOST, BACK = Offline("the daemon closed the connection", 0.1), Online(None, again=True)
KEPT = wire.Stored(1, 1)
TRACE = 7               # the number of each request


def away(name, outcome=Outcome.AWAY):
    return wire.Outcomes(1, 1, outcome, (name,))


def seen(name, first=1, last=1):
    return wire.Delivered(first, last, name)


def traced(*names):
    return wire.Traced(TRACE, names)


class Link:
    """What a sender needs of one."""
    name = "ann"

    def __init__(self, is_errand=True):
        self.ask, self.pending, self.traces = self, {}, []
        self.is_errand = is_errand

    def send(self, to, text, flags):
        number = len(self.pending) + 1
        self.pending[number] = SimpleNamespace(to=to)
        return [number]

    def trace(self, first, last, names):
        if not self.is_errand:
            raise ValueError("this daemon can't do that")
        self.traces.append((first, last, names))
        return TRACE


def outcome(what, to, *heard, texts=("hi",), is_errand=True, ends=None):
    """The exit code and what was printed; `heard`: the events, turn by turn.  `ends`: the failure
    of the connection when the time is over."""
    printed, link = [], Link(is_errand)
    links.append(link)

    def turns(waiter, until):
        assert (until is None) == (not what)
        yield from ([event] for event in heard)
        if ends or until is None:
            raise ends or AssertionError("it waits for more")

    with mock.patch.multiple(sending, log_in=lambda waiter, until: SimpleNamespace(away={}),
                             leave=lambda waiter, hear: None, turns=turns,
                             _recipients=lambda here, typed, link: tuple(typed),
                             print_line=printed.append, complain=printed.append):
        try:
            code = Sending(SimpleNamespace(link=link), Requirement(what, 5), quiet=False).send(
                to.split(), texts)
        except Failure as failure:
            code = failure.code
            printed.append(str(failure))
    return code, "; ".join(printed)


links: list[Link] = []


class Table(unittest.TestCase):
    def check(self, expected, *given, **more):
        code, told = outcome(*given, **more)
        self.assertRegex(f"{code} {told}", "^" + expected + "$")

    def test_without_a_requirement(self) -> None:
        self.check("0 ", "", "bob", KEPT)
        self.check("0 bob is not connected: kept.*", "", "bob", away("bob"), KEPT)
        self.check("75 bob is not connected: not delivered.*", "", "bob",
                   away("bob", Outcome.ABSENT))
        self.check("67 no user", "", "bob", wire.Refused(1, Why.UNKNOWN, "no user"))

    def test_whom_the_daemon_turns_away(self) -> None:
        """Whoever waits for a daemon that is away does not wait for the operator's mind."""
        for event, code in ((Offline("put out", inf, True), os.EX_UNAVAILABLE),
                            (NameRefused(Why.DENIED, "banned"), os.EX_UNAVAILABLE),
                            (NameRefused(Why.BAD_NAME, "reserved"), os.EX_DATAERR),
                            (NameRefused(Why.TAKEN, "in use"), os.EX_TEMPFAIL)):
            with self.assertRaises(Failure) as caught:
                check_login(Link(), event, is_patient=True)
            self.assertEqual(caught.exception.code, code, event)
        check_login(Link(), LOST, is_patient=True)

    def test_stored(self) -> None:
        self.check("0 ", STORED, "bob", KEPT)
        self.check("75 .*mailbox.*full.*", STORED, "bob erin", away("bob", Outcome.FULL), KEPT)
        self.check("75 not known to be stored: the daemon did not answer within 5 s", STORED, "bob")
        self.check("69 not known to be stored: gone", STORED, "bob", LOST,
                   ends=Failure(os.EX_UNAVAILABLE, "gone"))
        self.check("65 bad", STORED, "bob", ends=Failure(os.EX_DATAERR, "bad"))

    def test_stored_after_a_lost_connection(self) -> None:
        """One who had no room would have been refused; of several the answer may be lost."""
        self.check("0 ", STORED, "bob", LOST, BACK, KEPT)
        self.check("0 bob is.*", STORED, "bob erin", LOST, BACK, KEPT, away("bob"), traced("erin"))
        self.check("75 not known to be stored for erin; the connection was lost meanwhile", STORED,
                   "bob erin", LOST, BACK, KEPT, traced("bob"))
        self.check("75 not known to be stored for all; .*", STORED, "all", LOST, BACK, KEPT,
                   traced())
        self.check("75 not known to be stored for bob, erin; .*", STORED, "bob erin", LOST, BACK,
                   KEPT, is_errand=False)
        self.check("0 ", STORED, "bob erin", KEPT, LOST)

    def test_delivered(self) -> None:
        self.check("0 delivered to bob", DELIVERED, "bob", KEPT, seen("BOB"))
        self.check("0 delivered to bob, erin", DELIVERED, "bob erin", KEPT, seen("erin"),
                   seen("bob"))
        late = "75 .*stored, but not known to be delivered to {} within 5 s"
        self.check(late.format("erin"), DELIVERED, "bob erin", KEPT, away("erin"), seen("bob"))
        self.check(late.format("bob"), DELIVERED, "bob", KEPT, seen("bob", 2, 9))
        self.check(late.format("bob"), DELIVERED, "bob", wire.Stored(1, 2), seen("bob", 2, 2),
                   texts=("one", "two"))
        self.check("0 delivered to bob", DELIVERED, "bob", wire.Stored(1, 2), seen("bob", 2, 2),
                   seen("bob", 1, 1), texts=("one", "two"))

    def test_who_can_not_get_it_is_not_waited_for(self) -> None:
        self.check("75 bob is not connected: not delivered.*", DELIVERED, "bob",
                   away("bob", Outcome.ABSENT), ends=AssertionError("it waits"))

    def test_delivered_after_a_lost_connection(self) -> None:
        """A receipt that was lost is asked for."""
        lost = ".* within 5 s; the connection was lost meanwhile"
        self.check("0 delivered to bob", DELIVERED, "bob", KEPT, LOST, BACK, traced())
        self.check("75 .*to bob" + lost, DELIVERED, "bob", KEPT, LOST, BACK, traced("bob"))
        self.check("0 delivered to bob, erin", DELIVERED, "bob erin", KEPT, LOST, BACK,
                   traced("bob"), seen("bob"))
        self.check("75 .*to bob" + lost, DELIVERED, "bob", KEPT, LOST, BACK, is_errand=False)
        self.check("75 .*to bob" + lost, DELIVERED, "bob", KEPT, LOST,
                   ends=Failure(os.EX_UNAVAILABLE, "gone"))
        self.check("75 .*to bob" + lost, DELIVERED, "bob", KEPT, LOST, BACK,
                   wire.Failed(TRACE, Why.GONE, "lost"))
        self.check("0 delivered to bob", DELIVERED, "bob", KEPT, LOST, BACK, LOST, BACK, traced())

    def test_the_answer_was_lost(self) -> None:
        """What does not wait for one of several was shown, or there was no room."""
        self.check("0 delivered to bob", DELIVERED, "bob", LOST, BACK, KEPT, traced())
        self.check("75 .*to bob, erin.*", DELIVERED, "bob erin", LOST, BACK, KEPT, traced("bob"))
        self.check("0 delivered to bob, erin", DELIVERED, "bob erin", LOST, BACK, KEPT,
                   traced("bob", "erin"), seen("bob"), seen("erin"))

    def test_what_is_asked(self) -> None:
        links.clear()
        self.check("0 .*", DELIVERED, "bob erin", wire.Stored(1, 2), seen("bob", 1, 2), LOST, BACK,
                   traced(), texts=("one", "two"))
        self.assertEqual(links[0].traces, [(1, 2, ["erin"])])
        self.check("0 .*", DELIVERED, "bob", KEPT, seen("bob"))
        self.assertEqual(links[1].traces, [])

    def test_nobody_could_tell(self) -> None:
        for to in "#ops", "all", "ALL":
            with self.assertRaisesRegex(Failure, "needs names"):
                Requirement(DELIVERED).check([to])
            Requirement(STORED).check([to])


if __name__ == "__main__":
    unittest.main()
