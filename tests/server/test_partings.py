"""A client that shuts down its direction gets the answers that it is owed, and costs nothing
then."""
import contextlib
import socket
import ssl
import unittest
from unittest import mock

import wire
from rules import delivery, pages, promises
from rules.door import BRIEF
from rules.state import Caller
from server.heartbeat import LEAVE_SECONDS, PAUSE_SECONDS
from server.partings import FEW
from tests.client.correspondence import House as SlowHouse
from tests.harness.service import Service
from tests.server.test_handshakes import Dialler
from tests.server.test_handshakes import House as TlsHouse
from wire import Outcome, Why

MESSAGES = 300


def encoded(*messages):
    return b"".join(map(wire.encode, messages))


def sends(first, number):
    return [wire.Send(first + n, 0, ("bob",), f"message {n}") for n in range(number)]


def stored(client):
    return sum(said.last - said.first + 1 for said in client.hears_all(wire.Stored))


class Many(unittest.TestCase):
    """What a thousand scripts do at a full minute is no long turn."""

    def test_who_leave_in_a_turn(self):
        for leave in (lambda client: client.sock.shutdown(socket.SHUT_WR),
                      lambda client: client.sock.sendall(encoded(wire.Exit()))):
            with Service() as service:
                clients = service.users(*[f"n{number}" for number in range(FEW + 20)])
                for client in clients:
                    leave(client)
                with mock.patch.object(service.daemon.pace, "steps", lambda *_: ()):
                    service.daemon.turn(0)
                self.assertEqual(len(service.daemon.connection_of), 20)
                self.assertTrue(all(client.is_disconnected() for client in clients))

    def test_who_check_in_a_turn(self):
        with Service() as service, mock.patch.object(delivery, "MANY", 5):
            clients = [service.user(f"n{number}", features=BRIEF) for number in range(8)]
            for client in clients:
                client.sock.sendall(encoded(wire.Check(1)))
            with mock.patch.object(service.daemon.pace, "steps", lambda *_: ()):
                service.daemon.turn(0)
            self.assertEqual(sum(each.window.checking is not None
                                 for each in service.daemon.connection_of), 3)
            for client in clients:
                client.hears(wire.Checked, total=0)


class HalfClosed(unittest.TestCase):
    def test_all_answers_come(self):
        with Service() as service:
            ann, _ = service.users("ann", "bob")
            ann.sock.sendall(encoded(*sends(7 << 32 | 1, MESSAGES)))
            ann.sock.shutdown(socket.SHUT_WR)
            self.assertEqual(stored(ann), MESSAGES)
            self.assertTrue(ann.is_disconnected())

    def test_outcomes_of_many_names(self):
        """They leave as it takes them."""
        with Service() as service, mock.patch.object(promises, "OUTCOME_NAMES", 1), \
                mock.patch.object(promises, "PAGES_AT_ONCE", 1):
            for n in range(5):
                service.mailbox.register(f"n{n}", 1)
            ann = service.user("ann")
            with mock.patch.object(pages, "PAUSE_AT", 0):
                ann.sock.sendall(encoded(wire.Send(7 << 32 | 1, wire.SendFlag.EVERYONE, (), "hi")))
                service.daemon.turn(0)
                ann.sock.shutdown(socket.SHUT_WR)
                service.run()
            service.run()
            self.assertEqual(len(ann.hears_all(wire.Outcomes)), 5)
            self.assertTrue(ann.is_disconnected())

    def test_over_tcp(self):
        with Service() as service, socket.create_server(("127.0.0.1", 0)) as listener:
            service.user("bob")
            with socket.create_connection(listener.getsockname()) as sock:
                sock.sendall(encoded(wire.Hello(1, 0, bytes(16), "ann"),
                                     *sends(7 << 32 | 1, MESSAGES)))
                sock.shutdown(socket.SHUT_WR)
                service.daemon.adopt(listener.accept()[0], "tcp", Caller("127.0.0.1:9"))
                service.run()
                decoder, heard = wire.Decoder(wire.FRAME_MAX), []
                while data := sock.recv(1 << 16):
                    heard += [wire.decode(frame, wire.DAEMON) for frame in decoder.feed(data)]
            self.assertEqual(sum(said.last - said.first + 1 for said in heard
                                 if isinstance(said, wire.Stored)), MESSAGES)

    def test_over_tls(self):
        """With or without TLS's own goodbye before the end of the stream."""
        for says_goodbye in True, False:
            with self.subTest(says_goodbye), TlsHouse() as house:
                house.user("bob")
                ann = Dialler(house, "10.0.0.1")
                for _ in range(2):
                    house.run()
                    self.assertTrue(ann.is_answered)
                    if ann.go_on(encoded(wire.Hello(1, 0, bytes(16), "ann"),
                                         *sends(7 << 32 | 1, MESSAGES))):
                        break
                if says_goodbye:
                    with contextlib.suppress(ssl.SSLWantReadError):
                        ann.tls.unwrap()
                    ann.sock.sendall(ann.outgoing.read())
                ann.sock.shutdown(socket.SHUT_WR)
                house.run()
                while ann.is_answered:
                    house.run()
                heard, plain = wire.Decoder(wire.FRAME_MAX), b""
                with contextlib.suppress(ssl.SSLZeroReturnError, ssl.SSLWantReadError):
                    while part := ann.tls.read(1 << 16):
                        plain += part
                ann.sock.close()
                self.assertEqual(sum(said.last - said.first + 1 for said in
                                     [wire.decode(frame, wire.DAEMON)
                                      for frame in heard.feed(plain)]
                                     if isinstance(said, wire.Stored)), MESSAGES)

    def test_answers_that_wait_for_the_disk(self):
        """Until they come it is not among the users any more."""
        with SlowHouse(1) as service:
            ann, bob = service.users("ann", "bob")
            service.slow()
            ann.sock.sendall(encoded(*sends(7 << 32 | 1, MESSAGES)))
            ann.sock.shutdown(socket.SHUT_WR)
            self.assertEqual(len(bob.hears_all(wire.Mail)), MESSAGES)
            self.assertEqual(bob.state("ann"), "not connected")
            ann.hears_nothing()
            service.forward(2 * LEAVE_SECONDS)
            service.quick()
            self.assertEqual(stored(ann), MESSAGES)
            self.assertTrue(ann.is_disconnected())

    def test_a_check_and_a_list(self):
        """They are answered before it leaves.  What came waits: it was not confirmed."""
        with Service() as service:
            ann, bob = service.users("ann", "bob")
            bob.hang_up()
            ann.send("bob", "hi")
            script = service.connect()
            script.sock.send(encoded(wire.Hello(1, 0, bytes(16), "bob"), wire.Check(1),
                                     wire.List(2)))
            script.sock.shutdown(socket.SHUT_WR)
            script.hears(wire.Welcome, waiting=1)
            script.hears(wire.Roster, request=2, last=1)
            script.hears(wire.Mail, text="hi")
            script.hears(wire.Checked, total=1)
            self.assertTrue(script.is_disconnected())
            self.assertEqual(service.user("bob").welcome.waiting, 1)

    def test_a_list_of_many_pages(self):
        with Service() as service:
            for number in range(5000):
                service.mailbox.register(f"n{number}", 1)
            ann = service.user("ann", features=0)
            ann.sock.send(encoded(wire.List(1)))
            ann.sock.shutdown(socket.SHUT_WR)
            self.assertTrue(ann.is_disconnected())
            self.assertEqual(len(ann.roster), 5001)

    def test_a_check_that_would_need_a_confirm(self):
        """It brings what may be sent ahead, and then there is nothing to wait for."""
        with Service() as service:
            ann, bob = service.users("ann", "bob")
            bob.hang_up()
            ann.say(*sends(7 << 32 | 1, delivery.WINDOW + 1))
            script = service.user("bob")
            script.sock.send(encoded(wire.Check(1)))
            script.sock.shutdown(socket.SHUT_WR)
            self.assertEqual(len(script.hears_all(wire.Mail)), delivery.WINDOW)
            script.hears_nothing()
            self.assertTrue(script.is_disconnected())

    def test_others_see_it_go(self):
        with Service() as service:
            ann, bob = service.users("ann", "bob")
            ann.say(wire.Invite(1, ("bob",)))
            bob.say(wire.Answer(bob.hears(wire.Invitation).invitation, 1))
            bob.hears(wire.Started)
            ann.sock.shutdown(socket.SHUT_WR)
            bob.hears(wire.Ended, why=Why.GONE, by="ann")
            number = bob.send("ann", "are you there?")
            bob.hears(wire.Stored)
            bob.hears(wire.Outcomes, first=number, outcome=Outcome.AWAY)

    def test_one_that_does_not_read(self):
        """It has LEAVE_SECONDS, and then it is closed, though answers wait for it."""
        with Service() as service:
            for number in range(50_000):
                service.mailbox.register(f"n{number}", 1)
            bob, ann = service.user("bob"), service.user("ann", features=0)
            ann.sock.send(encoded(wire.List(1)))
            ann.sock.shutdown(socket.SHUT_WR)
            service.run()
            service.forward(LEAVE_SECONDS - 1)
            self.assertEqual(len(service.daemon.connections), 2)
            service.forward(1 + PAUSE_SECONDS)
            self.assertEqual(len(service.daemon.connections), 1)
            self.assertEqual(bob.state("ann"), "not connected")

    def test_a_close_over_tcp_is_not_waited_for(self):
        with Service() as service, socket.create_server(("127.0.0.1", 0)) as listener:
            with socket.create_connection(listener.getsockname()) as sock:
                service.daemon.adopt(listener.accept()[0], "tcp", Caller("127.0.0.1:9"))
                sock.sendall(encoded(wire.Hello(1, 0, bytes(16), "ann")))
                service.run()
                self.assertEqual(len(service.daemon.connections), 1)
            service.run()
            self.assertEqual(service.daemon.connections, {})


if __name__ == "__main__":
    unittest.main()
