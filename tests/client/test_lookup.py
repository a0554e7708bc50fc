"""Names of hosts: a name server may be silent, and nobody waits for it but a child."""
import os
import select
import signal
import socket
import time
import unittest
from collections.abc import Callable
from typing import Any
from unittest import mock

from client import connection, lookup
from client.lookup import Lookup, Unknown
from net.address import Address
from tests.client.linked import HERE, Linked

LAB = Address("", "lab.example", 6464)
FIRST = LAB._replace(host="127.0.0.7", known_as="lab.example:6464")
SECOND = FIRST._replace(host="::7")
SECONDS = 30.0


def answering(answer: Callable[[], Any]) -> Any:
    """A name server.  The child is a fork, so it asks this one too."""
    def getaddrinfo(host: str, port: object, *, type: int = 0, flags: int = 0) -> Any:
        if flags & socket.AI_NUMERICHOST:
            if host[0].isdigit():
                return []
            raise socket.gaierror(socket.EAI_NONAME, "no number")
        return [(socket.AF_INET, 1, 6, "", (found, port)) for found in answer()]
    return mock.patch.object(lookup.socket, "getaddrinfo", getaddrinfo)


def unknown() -> Any:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def silent() -> Any:
    time.sleep(3600)


def crashing() -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


class OneHost(unittest.TestCase):
    def result(self, answer: Callable[[], Any]) -> list[Address]:
        with answering(answer):
            asked = Lookup(LAB)
        self.addCleanup(asked.close)
        while (found := self.next(asked)) is None:
            pass
        return found

    def next(self, asked: Lookup) -> list[Address] | None:
        self.assertEqual(select.select([asked], [], [], SECONDS)[0], [asked])
        return asked.result()

    def test_found(self) -> None:
        self.assertEqual(self.result(lambda: ["127.0.0.7", "::7"]), [FIRST, SECOND])
        self.assertEqual(len(self.result(lambda: ["127.0.0.7"] * 1000)), 1000)

    def test_not_found(self) -> None:
        for answer, reason in ((unknown, "not known"), (crashing, "ended without an answer"),
                               (lambda: ["127.0.0.7"] * 10_000, "too many addresses")):
            with self.assertRaisesRegex(Unknown, reason):
                self.result(answer)

    def test_the_child_holds_nothing_that_somebody_waits_for(self) -> None:
        """Whoever reads the output of the program hears of its end at once."""
        reader, writer = os.pipe()
        os.set_inheritable(writer, True)
        try:
            held = {found.host for found in self.result(lambda: [
                os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                if os.path.lexists(f"/proc/self/fd/{fd}")])}
        finally:
            os.close(reader)
            os.close(writer)
        self.assertEqual(len(held), 2, held)            # /dev/null and the pipe of its answer
        self.assertIn("/dev/null", held)

    def test_the_child_runs_no_handler_of_ours(self) -> None:
        def handlers() -> list[str]:
            return [str(int(signal.getsignal(number)))      # type: ignore[arg-type]
                    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
        self.assertEqual([found.host for found in self.result(handlers)],
                         [str(int(signal.SIG_IGN)), *[str(int(signal.SIG_DFL))] * 2])

    def test_a_ctrl_c_that_the_client_outlives(self) -> None:
        """The terminal sends it to both."""
        def interrupted() -> list[str]:
            os.kill(os.getpid(), signal.SIGINT)
            return ["127.0.0.7"]
        self.assertEqual(self.result(interrupted), [FIRST])

    def test_a_ctrl_c_that_ends_the_client_ends_the_child(self) -> None:
        forked: list[int] = []

        def fork() -> int:
            child = real()
            if child:
                forked.append(child)
                os.kill(os.getpid(), signal.SIGINT)     # blocked, until the child is known
            return child
        real, before = os.fork, signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with answering(silent), mock.patch.object(lookup.os, "fork", fork), \
                    self.assertRaises(KeyboardInterrupt):
                Lookup(LAB)
        finally:
            signal.signal(signal.SIGINT, before)
        with self.assertRaises(ProcessLookupError):
            os.kill(forked[0], 0)

    def test_numbers_need_no_name_server(self) -> None:
        for address in (HERE, FIRST, Address("", "127.0.0.1", 7), Address("", "::1", 7)):
            self.assertFalse(lookup.is_named(address))
        for address in (LAB, Address("", "." * 300, 1)):
            self.assertTrue(lookup.is_named(address))
        with self.assertRaises(Unknown):
            lookup.resolve(Address("", "." * 300, 1))


class UnderALink(Linked):
    addresses = (LAB,)

    def asks(self, answer: Callable[[], Any]) -> None:
        with answering(answer):
            self.link.connect()
        self.addCleanup(self.link.close)

    def waits(self) -> list[Any]:
        """Until the lookup has ended, and what came of it."""
        while isinstance(self.link.sock, Lookup):
            self.assertTrue(select.select([self.link.sock], [], [], SECONDS)[0])
            with answering(unknown):
                events = self.pump()
        return events

    def test_its_addresses_are_tried_in_order(self) -> None:
        self.house.closed[FIRST] = "Connection refused"
        self.asks(lambda: ["127.0.0.7", "::7"])
        self.assertEqual(self.house.dialled, [])
        self.waits()
        self.assertEqual((self.house.dialled, self.link.address), ([FIRST, SECOND], SECOND))

    def test_a_name_that_nobody_knows(self) -> None:
        self.asks(unknown)
        self.offline(self.waits(), "^lab.example:6464: Name or service not known$")

    def test_a_silent_name_server(self) -> None:
        self.asks(silent)
        asked = self.link.sock
        assert isinstance(asked, Lookup)
        self.assertEqual(self.pump(), [])
        self.assertEqual(self.link.timeout(), connection.LOOKUP_SECONDS)
        child = asked._child
        self.offline(self.wait(connection.LOOKUP_SECONDS), "the name server did not answer in time")
        with self.assertRaises(ProcessLookupError):
            os.kill(child, 0)

    def test_the_program_ends_meanwhile(self) -> None:
        self.asks(silent)
        asked = self.link.sock
        assert isinstance(asked, Lookup)
        child = asked._child
        self.link.exit()
        self.assertEqual(asked.fileno(), -1)
        with self.assertRaises(ProcessLookupError):
            os.kill(child, 0)

    def test_where_no_process_can_be_made(self) -> None:
        with answering(lambda: ["127.0.0.7"]), \
                mock.patch.object(lookup.os, "fork", side_effect=BlockingIOError):
            self.link.connect()
        self.assertEqual(self.house.dialled, [FIRST])


if __name__ == "__main__":
    unittest.main()
