"""TLS handshakes: whose turn it is, by the time that they took."""
import contextlib
import socket
import ssl
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import wire
from net.tls import Server, client_context
from rules.state import Caller
from server import startup
from server.fairness import CALM
from server.handshakes import BURST, REFILL, REST, TOO_MANY
from server.options import LOGIN_SECONDS, Limits
from tests.harness.service import Notes, Service
from tests.net.certificates import ONE

STEP = 0.005                # seconds, as at RSA-4096
GREETING = b"\x16\x03\x01"  # the beginning of one


class Dialler:
    """A client whose handshake one can follow; by a pair of sockets, from any host."""

    def __init__(self, house, host):
        self.house = house
        self.sock, theirs = socket.socketpair()
        self.sock.setblocking(False)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = client_context().wrap_bio(self.incoming, self.outgoing)
        self.go_on()
        house.handshakes.begin(house.server.wrap(theirs), "tls", Caller(f"{host}:5"))

    def go_on(self, last=b""):
        """Say what is to be said; whether it is over."""
        is_over = False
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
            is_over = True
            if last:
                self.tls.write(last)
        self.sock.sendall(self.outgoing.read())
        return is_over

    @property
    def is_answered(self):
        """Whether the daemon has worked for it."""
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return False
        self.incoming.write(data)
        return bool(data)

    @property
    def is_closed(self):
        try:
            while self.sock.recv(65536):
                pass
        except BlockingIOError:
            return False
        except ConnectionResetError:            # with some bytes of it unread
            pass
        return True


class House(Service):
    def __init__(self, limits=None):
        super().__init__(limits)
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "pem"
            path.write_text(ONE)
            self.server = Server(str(path), str(path))
        self.handshakes = self.daemon.doors.handshakes
        self.spent = 0.0
        self.handshakes.processor = self.processor
        self.diallers = []

    def processor(self):
        """A step, between two looks, takes STEP."""
        self.spent += STEP
        return self.spent

    def dials(self, *hosts):
        dialled = [Dialler(self, host) for host in hosts]
        self.diallers += dialled
        return dialled if len(dialled) > 1 else dialled[0]

    def asks(self):
        """From now on somebody asks for a little."""
        ann = self.user("ann")
        ann.say(wire.Ping(1))
        return ann

    def __exit__(self, *_):
        for dialler in self.diallers:
            dialler.sock.close()
        super().__exit__()


class Turns(unittest.TestCase):
    def test_one_step_in_a_turn(self):
        with House() as house:
            diallers = house.dials(*["192.0.2.1"] * 4)
            for count in range(1, 5):
                house.daemon.turn(0)
                self.assertEqual(sum(each.is_answered for each in diallers), 1, count)
            house.daemon.turn(0)
            self.assertFalse(any(each.is_answered for each in diallers))

    def test_a_part_of_the_time_while_others_ask(self):
        """After a step the next waits REST times as long; when nobody asks any more, it does
        not."""
        with House() as house:
            house.asks()
            diallers = house.dials(*["192.0.2.1"] * 4)

            def answered():
                for _ in range(3):
                    house.daemon.turn(0)
                return sum(each.is_answered for each in diallers)
            self.assertEqual(answered(), 1)
            self.assertEqual(answered(), 0)
            self.assertAlmostEqual(house.daemon._timeout(None), REST * STEP, places=6)
            house.clock.forward(REST * STEP - 0.001)
            self.assertEqual(answered(), 0)
            house.clock.forward(0.002)
            self.assertEqual(answered(), 1)
            house.clock.forward(CALM)
            self.assertEqual(answered(), 2)

    def test_a_host_has_its_share(self):
        """BURST at once, and the rest in the long run; another host does not wait for it."""
        with House() as house:
            ann = house.asks()
            house.dials(*["192.0.2.1"] * 64)
            answered = 0
            for _ in range(200):
                ann.sock.send(wire.encode(wire.Ping(1)))
                house.clock.forward(REST * STEP + 0.001)
                for _ in range(3):
                    house.daemon.turn(0)
                answered += sum(each.is_answered for each in house.diallers)
            seconds = 200 * (REST * STEP + 0.001)
            allowed = (BURST + seconds / REFILL) / (STEP * 1000)
            self.assertLessEqual(abs(answered - allowed), 1.5)
            other = house.dials("192.0.2.2")
            house.clock.forward(REST * STEP + 0.001)
            ann.sock.send(wire.encode(wire.Ping(1)))
            for _ in range(3):
                house.daemon.turn(0)
            self.assertTrue(other.is_answered)

    def test_one_that_has_begun_goes_before_one_that_has_not(self):
        """In a crowd whose host has used up its time, all would have begun and none ended."""
        with House() as house:
            first, _, third = house.dials(*["192.0.2.1"] * 3)
            house.daemon.turn(0)
            self.assertTrue(first.is_answered)
            self.assertTrue(first.go_on())
            house.daemon.turn(0)                # the second was chosen before
            house.daemon.turn(0)
            self.assertEqual(len(house.handshakes), 2)
            self.assertFalse(third.is_answered)

    def test_what_comes_with_the_end_of_the_handshake(self):
        """HELLO in one packet with it."""
        with House() as house:
            dialler = house.dials("192.0.2.1")
            house.run()
            self.assertTrue(dialler.is_answered)
            self.assertTrue(dialler.go_on(wire.encode(wire.Hello(1, 0, bytes(16), "ann"))))
            house.run()
            self.assertIsNotNone(house.mailbox.find("ann"))
            self.assertEqual(len(house.handshakes), 0)


class Places(unittest.TestCase):
    def test_so_many(self):
        """n - 1, n, n + 1: the oldest goes, of those that have not begun; those that wait for their
        turn count too."""
        with House(Limits(1000, handshakes_each=3)) as house:
            diallers = house.dials(*["192.0.2.1"] * 3)
            house.daemon.turn(0)
            begun = next(each for each in diallers if each.is_answered)
            others = [each for each in diallers if each is not begun]
            self.assertFalse(any(each.is_closed for each in diallers))
            last = house.dials("192.0.2.1")
            self.assertEqual([each.is_closed for each in (begun, *others, last)],
                             [False, True, False, False])
            self.assertEqual(house.notes.events("closed"),
                             [{"address": "192.0.2.1:5", "reason": TOO_MANY}])
            house.run()
            self.assertEqual(len(house.handshakes), 3)

    def test_one_that_goes_in_the_turn_in_which_it_is_ready(self):
        with House(Limits(1000, handshakes_each=1)) as house, socket.create_server(
                ("127.0.0.1", 0)) as listener:
            house.daemon.doors.listen(listener, "tls", house.server)
            socks = []
            for _ in range(3):
                socks.append(socket.create_connection(listener.getsockname()))
                socks[-1].sendall(GREETING)
                ready = house.daemon.selector.select
                both = [*ready(1), *([] if len(socks) == 1 else ready(1))]
                # whichever the kernel names first: the listener is before the one that is ready
                both.sort(key=lambda event: event[0].fileobj is not listener)
                with mock.patch.object(house.daemon.selector, "select", return_value=both):
                    house.daemon.turn(0)
                self.assertEqual(len(house.handshakes), 1)
            for sock in socks:
                sock.close()

    def test_they_count_as_connections(self):
        with House(Limits(3)) as house:
            house.dials("192.0.2.1", "192.0.2.2")
            self.assertTrue(house.daemon.has_room())
            house.user("ann")
            self.assertFalse(house.daemon.has_room())

    def test_a_time_for_all_of_it(self):
        """Also for those that wait for their turn."""
        with House() as house:
            house.asks()
            house.dials("192.0.2.1", "192.0.2.1", "192.0.2.2")
            house.daemon.turn(0)
            house.clock.forward(LOGIN_SECONDS + 1)
            for _ in range(2):
                house.daemon.turn(0)
            self.assertEqual(len(house.handshakes), 0)
            self.assertEqual({note["reason"] for note in house.notes.events("closed")},
                             {"no TLS in time"})

    def test_a_stop(self):
        with House() as house:
            diallers = house.dials("192.0.2.1", "192.0.2.2")
            house.daemon.turn(0)
            house.daemon.doors.close()
            self.assertTrue(all(each.is_closed for each in diallers))


class Keys(unittest.TestCase):
    def test_a_slow_one_is_warned_of(self):
        for seconds, lines in ((startup.SLOW_KEY, 0), (startup.SLOW_KEY * 1.1, 1)):
            notes = Notes()
            server = SimpleNamespace(handshake_seconds=lambda seconds=seconds: seconds)
            startup.judge_key(server, notes)
            self.assertEqual(len(notes.events("slow-key")), lines)
        self.assertIn("ec_paramgen_curve:P-256", notes.events("slow-key")[0]["advice"])

    def test_the_time_is_that_of_this_key(self):
        with House() as house:
            self.assertTrue(0 < house.server.handshake_seconds() < 1)


if __name__ == "__main__":
    unittest.main()
