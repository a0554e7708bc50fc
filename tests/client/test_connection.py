"""One connection to a daemon, and the way to the next: by itself, and under a Link."""
import contextlib
import math
import select
import socket
import tempfile
import unittest
from collections.abc import Iterator
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any
from unittest import mock

import wire
from client import connection, dial, silence
from client.connection import Connection, Lost
from client.events import Offline, Online
from client.link import Link
from client.lookup import Lookup
from net.address import Address
from tests.client.linked import HERE, THERE, Linked, welcome

ELSEWHERE = Address("", "127.0.0.1", 6465)


class Pipe:
    """A socket that takes so many bytes, or fails, and gives what it was given."""

    def __init__(self) -> None:
        self.room, self.taken = 0, b""
        self.fault: OSError | None = None
        self.coming: list[bytes] = []
        self.closed = False

    def getsockopt(self, level: int, option: int) -> int:
        return 0

    def send(self, data: bytes) -> int:
        if self.fault:
            raise self.fault
        if not self.room:
            raise BlockingIOError
        size = min(self.room, len(data))
        self.room, self.taken = self.room - size, self.taken + data[:size]
        return size

    def recv(self, size: int) -> bytes:
        if not self.coming:
            raise BlockingIOError
        return self.coming.pop(0)

    def close(self) -> None:
        self.closed = True


class Alone(unittest.TestCase):
    """A connection, and nobody who knows what is said on it."""

    def setUp(self) -> None:
        self.now = 50.0
        self.pipes: list[Pipe] = []
        self.more: list[bytes] = []
        self.connection = Connection([HERE, THERE], monotonic=lambda: self.now, jitter=lambda: 0.5,
                               dial=self.dial, more=self.ask)
        self.assertEqual(self.connection.connect(), [])
        self.assertTrue(self.connection.open())
        self.pipe = self.pipes[0]

    def dial(self, address: Address) -> Any:
        self.pipes.append(Pipe())
        return self.pipes[-1]

    def ask(self) -> Iterator[bytes]:
        while self.more:
            yield self.more.pop(0)

    def test_what_is_said_goes_before_more_and_more_waits_for_room(self) -> None:
        frame, ping = bytes(1000), wire.Ping(7)
        self.more = [frame] * 1000
        self.connection.say(ping)
        asked = 1000 - len(self.more)
        self.assertIn(asked * 1000, range(connection.OUT_LOW - 1000, connection.OUT_LOW + 1000))
        self.assertEqual(self.connection.mask, EVENT_READ | EVENT_WRITE)
        self.pipe.room = 1 << 30
        self.assertEqual(list(self.connection.hear(EVENT_WRITE)), [])
        self.assertEqual(self.pipe.taken, wire.encode(ping) + frame * 1000)
        self.assertEqual(self.connection.mask, EVENT_READ)

    def test_a_daemon_that_reads_nothing_is_lost(self) -> None:
        said = wire.Say(1, 1, "x" * 1000)
        size, count = len(wire.encode(said)), 0
        with self.assertRaisesRegex(Lost, "does not read"):
            while True:
                self.assertEqual(self.connection.is_full, count * size > connection.OUT_MAX)
                self.connection.say(said)
                count += 1
        self.assertEqual(count, connection.OUT_MAX // size + 1)

    def test_pings_that_are_answered_into_a_full_line(self) -> None:
        self.pipe.coming = [wire.encode(wire.Ping(1)) * 1000] * 1000
        with self.assertRaisesRegex(Lost, "does not read"):
            while self.pipe.coming:
                self.assertEqual(list(self.connection.hear(EVENT_READ)), [])
        self.pipe.room = 1 << 30
        self.connection.flush()
        self.assertIn(len(self.pipe.taken),
                      range(connection.OUT_MAX, connection.OUT_MAX + wire.FRAME_MAX))

    def test_a_flood_is_read_a_few_blocks_at_a_time(self) -> None:
        notice = wire.encode(wire.Notice("x" * 1000))
        self.connection.let_in()
        self.pipe.coming = [notice * (connection.READ_SIZE // len(notice) + 1)] * 10
        self.assertGreater(len(list(self.connection.hear(EVENT_READ))), connection.READS)
        self.assertEqual(len(self.pipe.coming), 10 - connection.READS)

    def test_nothing_is_heard_after_it_was_closed(self) -> None:
        self.pipe.coming = [wire.encode(wire.Notice("one")) + wire.encode(wire.Notice("two"))]
        heard = []
        for said in self.connection.hear(EVENT_READ):
            heard.append(said)
            self.connection.close()
        self.assertEqual((heard, self.pipe.closed), ([wire.Notice("one")], True))

    def test_a_line_that_cannot_be_written_to_is_read_to_its_end(self) -> None:
        self.pipe.fault = BrokenPipeError(32, "Broken pipe")
        self.connection.say(wire.Ping(1))
        self.more = [b"never"]
        self.pipe.coming = [wire.encode(wire.Notice("the daemon stops")), b""]
        self.assertEqual(list(self.connection.hear(EVENT_READ | EVENT_WRITE)),
                         [wire.Notice("the daemon stops")])
        with self.assertRaisesRegex(Lost, "closed the connection"):
            list(self.connection.hear(EVENT_READ))
        self.assertEqual(self.more, [b"never"])

    def test_where_the_next_line_leads(self) -> None:
        self.assertEqual((self.connection.lost("first"), self.connection.route.address),
                         ([], THERE))
        self.assertTrue(self.pipe.closed)
        self.assertEqual(self.connection.lost("second"),
                         [Offline(f"{HERE}: first; {THERE}: second", 1)])
        self.assertEqual((self.connection.sock, self.connection.route.address), (None, None))
        self.assertEqual(self.connection.timeout(), 1)
        self.now += 1
        self.assertEqual((self.connection.tick(), self.connection.route.address), ([], HERE))
        self.assertTrue(self.connection.opening)
        self.assertTrue(self.connection.open())
        self.connection.let_in()
        self.assertEqual(self.connection.lost("cut"), [Offline("cut", 1)])
        self.assertEqual(self.connection.later("full"), [Offline("full", 2)])
        self.connection.close()
        self.assertEqual((self.connection.timeout(), self.connection.tick()), (None, []))


class Dialling(Linked):
    def test_each_address_in_order(self) -> None:
        self.addresses = (HERE, THERE)
        self.link = self.make()
        self.house.closed[HERE] = "Connection refused"
        self.login()
        self.assertEqual(self.house.dialled, [HERE, THERE])
        self.assertEqual(self.link.address, THERE)

    def test_a_daemon_at_a_default_place_is_the_one_that_was_meant(self) -> None:
        """The user's own, which stands still: its mail is not for the daemon of the host."""
        absent, own, hosts = (Address(f"/nowhere/{name}", "", 0, default=True)
                              for name in ("absent", "own", "hosts"))
        self.addresses = (absent, own, hosts)
        self.house.closed[absent] = "Connection refused"
        self.link = self.make()
        self.link.connect()
        self.pump()
        self.offline(self.wait(connection.LOGIN_SECONDS),
                     f"^{own}: the daemon did not answer in time$")
        self.wait(1)
        self.house.hear()
        self.house.end.close()
        self.offline(self.pump(), f"^{own}: the daemon closed the connection$")
        self.assertEqual(self.house.dialled, [absent, own] * 2)

    def test_once_let_in_that_address_alone(self) -> None:
        self.addresses = (HERE, THERE, ELSEWHERE)
        self.link = self.make()
        self.house.closed[HERE] = "Connection refused"
        self.login()
        self.cut()
        self.house.closed = {THERE: "Connection refused"}
        self.house.dialled.clear()
        for _ in range(3):
            self.offline(self.wait(40), f"^{THERE}: Connection refused: is the daemon running\\?$")
        self.house.closed.clear()
        self.back()
        self.assertEqual(set(self.house.dialled), {THERE})

    def test_the_address_of_a_name_is_not_looked_up_again(self) -> None:
        """A name may have several, and anybody may listen at the others."""
        self.addresses = (Address("", "localhost", 6464),)
        first, second = (Address("", host, 6464, known_as="localhost:6464")
                         for host in ("127.0.0.7", "::7"))
        with mock.patch.object(Lookup, "result", lambda asked: [first, second]):
            self.link = self.make()
            self.link.connect()
            select.select([self.link.sock], [], [], 30)
            self.login()
            self.cut()
            self.house.closed[first] = "Connection refused"
            self.wait(40)
        self.assertEqual(self.house.dialled, [first, first])

    def test_no_address_answers(self) -> None:
        self.addresses = (HERE, THERE)
        self.link = self.make()
        self.house.closed = {HERE: "No such file", THERE: "Connection refused"}
        self.link.connect()
        self.assertEqual(self.link.timeout(), 0.0)
        self.offline(self.pump(),
                     f"^{HERE}: No such file; {THERE}: Connection refused: is the daemon "
                     "running\\?$")

    def test_the_next_address_when_the_login_gets_no_answer(self) -> None:
        self.addresses = (HERE, THERE)
        self.link = self.make()
        self.link.connect()
        self.pump()
        self.assertEqual(self.link.timeout(), connection.LOGIN_SECONDS)
        self.assertEqual(self.wait(connection.LOGIN_SECONDS), [])
        self.assertEqual(self.house.dialled, [HERE, THERE])
        self.offline(self.wait(connection.LOGIN_SECONDS),
                     "did not answer in time; .*did not answer in time")

    def test_dial_for_real(self) -> None:
        with tempfile.TemporaryDirectory() as place, socket.socket(socket.AF_UNIX) as unix, \
                socket.create_server(("127.0.0.1", 0)) as tcp:
            unix.bind(place + "/sock")
            unix.listen()
            for address in (Address(place + "/sock", "", 0),
                            Address("", "127.0.0.1", tcp.getsockname()[1])):
                with dial.dial(address) as sock:
                    self.assertEqual(select.select([], [sock], [], 5)[1], [sock])
                    self.assertEqual(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0)
            with self.assertRaises(OSError):
                dial.dial(Address(place + "/none", "", 0))

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
        self.link = Link([address], "alice", None, features=0, monotonic=lambda: self.now,
                         instance=1, jitter=lambda: 0.5)
        self.link.connect()
        if self.link.sock:
            select.select([], [self.link.sock], [], 5)
        self.offline(self.pump(), "refused")


class Retries(Linked):
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

    def test_who_is_put_out_by_the_operator_stays_out(self) -> None:
        """As long as the user does not say otherwise; whatever else the daemon says, it comes
        back, and so after an announcement that reads like it."""
        for said, waits in (("by the operator: go home", math.inf), ("by the operator", math.inf),
                            ("too slow", 1)):
            self.login()
            said = f"you were disconnected: {said}"
            self.given(wire.Notice(said))
            event = self.cut()[-1]
            self.assertEqual((event.retry_in, event.answered), (waits, waits == math.inf))
            if waits == math.inf:
                self.assertEqual((event.reason, self.link.retry_at), (said, None))
                self.assertEqual(self.wait(100), [])
                self.link.connect()
                self.assertTrue(self.link.sock)
                self.link.close()
                self.setUp()
        for said in wire.STOPPING, "the operator announces: you were disconnected: by the operator":
            self.setUp()
            self.login()
            self.given(wire.Notice(said))
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

    def test_silence(self) -> None:
        self.login()
        self.assertEqual(self.link.timeout(), silence.SILENCE_SECONDS)
        self.assertEqual(self.wait(silence.SILENCE_SECONDS), [])
        (ping,) = self.house.hear()
        self.assertIsInstance(ping, wire.Ping)
        self.assertEqual(self.link.timeout(), silence.PING_SECONDS)
        self.assertEqual(self.given(wire.Pong(ping.stamp)), [])
        self.assertEqual(self.link.timeout(), silence.SILENCE_SECONDS)
        self.wait(silence.SILENCE_SECONDS)
        self.offline(self.wait(silence.PING_SECONDS), "silent")

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
        self.offline(events, "closed the connection|reset")
        self.assertEqual(len(self.link.pending), 1)

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

    def test_a_flood_of_garbage_does_not_touch_the_next_line(self) -> None:
        self.addresses = (HERE, THERE)
        self.link = self.make()
        self.link.connect()
        self.pump()
        self.house.end.sendall(b"x" * 2 * connection.READ_SIZE)
        self.assertEqual(self.pump(), [])
        self.assertEqual(self.link.address, THERE)
        self.assertIsInstance(self.given(welcome())[0], Online)


if __name__ == "__main__":
    unittest.main()
