"""daemon: the door, deadlines, limits, fairness, back-pressure, the end of a connection; then the
process itself."""
import contextlib
import math
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

import wire
from daemon import SWEEP_SECONDS
from net.address import parse
from rules.claims import Identity
from rules.guesses import WRONG_SECONDS
from rules.state import Caller
from server.connection import READ_PAUSE_AT, READ_SIZE, UNSENT_MAX
from server.fairness import BUDGET, CALM
from server.heartbeat import ALIVE_SECONDS, ANSWER_SECONDS, GHOST_SECONDS, LEAVE_SECONDS
from server.options import LOGIN_SECONDS, SILENCE_SECONDS, Limits
from server.sockets import open_listener
from server.strangers import TOO_MANY
from store.disk import WAIT, Disk
from tests.harness.service import Clock, Service
from tests.harness.waiting import texts
from wire import Feature, SendFlag, Why

TREE = Path(__file__).resolve().parents[2]
DEADLINE = 20.0


def hello(name, features=Feature.ROSTER | Feature.RECEIPTS, token=bytes(16)):
    return wire.Hello(wire.VERSION, features, token, name)


class Door(unittest.TestCase):
    def rejected(self, said, why, reason):
        with Service() as service:
            client = service.connect()
            client.say_bytes(said)
            self.assertRegex(client.hears(wire.Rejected, why=why).reason, reason)
            client.hears_nothing()
            self.assertTrue(client.is_disconnected())
            self.assertEqual(service.mailbox.users, [])
            self.assertEqual(service.daemon.connections, {})
            return service

    def test_the_first_message_is_hello(self):
        for codec in wire.MESSAGES.values():
            if (codec.direction & wire.CLIENT
                    and codec.cls not in (wire.Hello, wire.Resume, wire.Operate)):
                empty = {"B": 0, "H": 0, "I": 0, "Q": 0, "16s": bytes(16), "32s": bytes(32),
                         "word": "", "words": (), "text": "hi", "texts": ("hi",)}
                said = codec.cls(*(empty[how] for _, how in codec.fields))
                service = self.rejected(wire.encode(said), Why.OTHER,
                                        f"{wire.label(codec)} before HELLO")
                self.assertEqual(len(service.notes.events("violation")), 1)

    def test_what_a_daemon_says(self):
        self.rejected(wire.encode(wire.Notice("hi")), Why.OTHER, "kind 53")

    def test_noise(self):
        self.rejected(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", Why.OTHER,
                      "a frame of 1195725856 bytes")

    def test_too_long_a_frame(self):
        for length in (wire.HELLO_MAX + 1, wire.FRAME_MAX, 2**32 - 1):
            self.rejected(length.to_bytes(4, "big"), Why.OTHER, f"{length} bytes")

    def test_a_frame_of_1024_bytes_is_a_frame(self):
        self.rejected(wire.HELLO_MAX.to_bytes(4, "big") + b"\x01" + bytes(1023), Why.OTHER,
                      "too many")

    def test_names(self):
        for name, good in (("n" * 32, True), ("n" * 33, False), ("", False), ("a b", False),
                           ("é", False),
                           ("a\n", False), (".a", False), ("All", False), ("ROOT", False),
                           ("quit", False)):
            with self.subTest(ascii(name)), Service() as service:
                client = service.client(name)
                if good:
                    client.hears(wire.Welcome, name=name)
                else:
                    client.hears(wire.Rejected, why=Why.BAD_NAME)
                    self.assertTrue(client.is_disconnected())

    def test_versions(self):
        for version in (0, 2, 65535):
            self.rejected(wire.encode(wire.Hello(version, 0, bytes(16), "ann")), Why.VERSION,
                          "version 1")

    def test_unknown_features_are_not_granted(self):
        with Service() as service:
            self.assertEqual(service.user("ann", features=2**32 - 1).welcome.features,
                             71 | 8 | 128 | 256 | 1024 | 2048 | 4096 | 16384)

    def test_as_first_registered(self):
        with Service() as service:
            service.user("Ann").hang_up()
            self.assertEqual(service.user("aNN").welcome.name, "Ann")

    def test_a_second_hello(self):
        with Service() as service:
            ann = service.user("ann")
            ann.say(hello("bob"))
            self.assertIn("second HELLO", ann.hears(wire.Notice).text)
            self.assertTrue(ann.is_disconnected())
            self.assertEqual([user.name for user in service.mailbox.users], ["ann"])

    def test_an_order_on_the_connection_of_a_client(self):
        with Service() as service:
            ann = service.user("ann")
            ann.say(wire.Operate(("status",)))
            self.assertIn("an OPERATE", ann.hears(wire.Notice).text)
            self.assertTrue(ann.is_disconnected())

    def test_a_violation_after_login(self):
        """Told once, disconnected; what was said before it is answered."""
        with Service() as service:
            ann = service.user("ann")
            ann.say_bytes(wire.encode(wire.Ping(1)) + b"\0\0\0\1\xff" + wire.encode(wire.Ping(2)))
            ann.hears(wire.Pong, stamp=1)
            self.assertIn("kind 255", ann.hears(wire.Notice).text)
            ann.hears_nothing()
            self.assertTrue(ann.is_disconnected())
            self.assertEqual(service.notes.events("violation")[0]["name"], "ann")

    def test_of_two_in_one_turn_one_gets_the_name(self):
        with Service() as service:
            first, second = service.connect(), service.connect()
            for client in (first, second):
                client.sock.sendall(wire.encode(hello("ann")))
            first.listen()
            second.listen()
            self.assertEqual(sorted(type(client.heard[0]).__name__
                                    for client in (first, second)), ["Rejected", "Welcome"])


class Together(unittest.TestCase):
    """HELLO and what follows it in one piece: WELCOME is said before anything else."""

    def test_hello_and_requests(self):
        requests = (wire.Ping(1), wire.Hold(2, 1), wire.Check(3), wire.List(4),
                    wire.Say(5, 1, "hi"), wire.Withdraw(6),
                    wire.Send(7, 0, ("nobody",), "hi"), wire.Send(8, 0, ("ann",), "hi"),
                    wire.Invite(9, ("ann",)))
        for said in (*requests, requests):
            with self.subTest(said), Service() as service:
                client = service.connect()
                client.say(hello("ann"), *(said if isinstance(said[0], tuple) else (said,)))
                client.hears(wire.Welcome)
                self.assertTrue(client.heard)

    def test_hello_and_a_long_message(self):
        """The limit is raised with the login, between two frames."""
        with Service() as service:
            client = service.connect()
            client.say(hello("ann"), wire.Send(1, 0, ("ann",), "x" * wire.TEXT_MAX))
            client.hears(wire.Welcome)
            self.assertEqual(len(client.hears_all(wire.Mail)), 1)

    def test_an_invitation_in_the_same_turn(self):
        with Service() as service:
            ann, bob = service.user("ann"), service.connect()
            bob.sock.sendall(wire.encode(hello("bob")))
            ann.sock.sendall(wire.encode(wire.Invite(1, ("bob",))))
            bob.hears(wire.Welcome)
            if isinstance(ann.listen() or ann.heard[0], wire.Inviting):
                bob.hears(wire.Invitation, sender="ann")

    def test_a_message_in_the_same_turn(self):
        """It is pushed, or it waits and is counted: nothing in between."""
        for first in (0, 1):
            with Service() as service:
                ann = service.user("ann")
                service.user("bob").hang_up()
                bob = service.connect()
                turns = [(bob, hello("bob")), (ann, wire.Send(1, 0, ("bob",), "hi"))]
                for client, said in (turns, turns[::-1])[first]:
                    client.sock.sendall(wire.encode(said))
                waiting = bob.hears(wire.Welcome).waiting
                self.assertEqual(waiting + len(bob.hears_all(wire.Mail)), 1)

    def test_hello_and_exit(self):
        """Nothing is left of one who came and went in one turn."""
        for more in (wire.encode(wire.Exit()), b"\0\0\0\1\xff"):
            with Service() as service:
                for _ in range(3):
                    client = service.connect()
                    client.say_bytes(wire.encode(hello("ann")) + more)
                    client.hears(wire.Welcome)
                    self.assertTrue(client.is_disconnected())
                board = service.daemon.board
                published = board.publication
                self.assertEqual((board.roster.clients, published._subscribers,
                                  published._behind.waiting), ({}, {}, {}))
                self.assertEqual((service.daemon.connections, board.delivery.stirred), ({}, {}))

    def test_hello_and_the_end_of_the_line(self):
        with Service() as service:
            client = service.connect()
            client.sock.sendall(wire.encode(hello("ann")))
            client.hang_up()
            self.assertEqual(service.daemon.board.publication._subscribers, {})
            self.assertEqual(service.daemon.connections, {})


class Looks(unittest.TestCase):
    def test_a_login_that_looks_is_not_noted(self):
        """Over TCP it is: that may be somebody who tries all ports."""
        for uid, notes in ((1003, 0), (None, 1)):
            with Service() as service:
                service.connect(Caller("unix:eve" if uid else "192.0.2.1:5", uid)).hang_up()
                self.assertEqual(len(service.notes.events("closed")), notes)


class Deadlines(unittest.TestCase):
    def test_login(self):
        with Service() as service:
            client = service.connect()
            service.forward(LOGIN_SECONDS - 1)
            self.assertFalse(client.is_disconnected())
            service.forward(1)
            self.assertTrue(client.is_disconnected())
            self.assertEqual(service.notes.events("closed")[0]["reason"], "no HELLO in time")

    def test_drops_do_not_count(self):
        """A byte now and then gives no more time."""
        with Service() as service:
            client = service.connect()
            for byte in wire.encode(hello("ann"))[:LOGIN_SECONDS]:
                client.say_bytes(bytes((byte,)))
                service.forward(1.01)
            self.assertTrue(client.is_disconnected())

    def test_a_user_has_no_login_deadline(self):
        with Service() as service:
            ann = service.user("ann")
            service.forward(LOGIN_SECONDS + 1)
            self.assertFalse(ann.is_disconnected())

    def test_ping_after_silence(self):
        with Service() as service:
            ann = service.user("ann")
            service.forward(SILENCE_SECONDS - 1)
            ann.hears_nothing()
            service.forward(1.01)
            ann.hears(wire.Ping)
            service.forward(ANSWER_SECONDS - 1)
            self.assertFalse(ann.is_disconnected())
            service.forward(1.01)
            self.assertTrue(ann.is_disconnected())
            self.assertEqual(service.notes.events("disconnected")[0]["reason"], "no answer to PING")
            service.user("ann")

    def test_any_word_is_an_answer(self):
        for said in (wire.Pong(1), wire.Check(1)):
            with Service() as service:
                ann = service.user("ann")
                service.forward(SILENCE_SECONDS + 1)
                ann.say(said)
                service.forward(ANSWER_SECONDS + 5)
                self.assertFalse(ann.is_disconnected())

    def test_one_ping_only(self):
        with Service() as service:
            ann = service.user("ann")
            for _ in range(15):
                service.forward(SILENCE_SECONDS / 10)
            self.assertEqual(len(ann.hears_all(wire.Ping)), 1)


class Strangers(unittest.TestCase):
    def test_of_one_host(self):
        """n - 1, n, n + 1: the oldest that said nothing makes room; who gives a name, or goes, is
        no stranger."""
        with Service(Limits(1000, strangers_each=3)) as service:
            clients = [service.connect(Caller(f"127.0.0.{n}:5")) for n in range(3)]
            clients[0].say_bytes(wire.encode(hello("late"))[:-1])
            self.assertFalse(any(client.is_disconnected() for client in clients))
            clients.append(service.connect(Caller("[::1]:5")))
            clients[0].hears(wire.Rejected, why=Why.FULL, reason=TOO_MANY)
            self.assertEqual([client.is_disconnected() for client in clients],
                             [True, False, False, False])
            clients[1].say(hello("ann"))
            clients[1].hears(wire.Welcome)
            clients += [service.connect(Caller("127.0.0.1:5")),
                        service.connect(Caller("192.0.2.1:5"))]
            clients[2].hang_up()
            clients.append(service.connect(Caller("127.0.0.1:5")))
            for client in clients[3:]:
                client.hears_nothing()
                self.assertFalse(client.closed)

    def test_a_newcomer_that_is_gone_when_the_disk_refuses_its_name(self):
        """Held, read with its EOF in one turn, and refused at the end of that turn: nobody is left
        to be told."""
        with Service() as service:
            service.user("ann")
            ((inside, connection),) = service.daemon.connection_of.items()
            connection.close("the line was closed")
            service.daemon._reject(inside, "no new names now")
            self.assertEqual((service.daemon.connection_of, len(service.daemon.strangers)), ({}, 0))

    def test_idle_ones_do_not_shut_out_who_means_it(self):
        """Eight times as many idle ones as may be, of the same host and at the same listener; each
        caller comes in."""
        for limits in (Limits(1000, strangers_each=8),
                       Limits(1000, strangers=8, strangers_each=1000)):
            with Service(limits) as service:
                path = self.listener(service)
                for number in range(8):
                    self.call(path, 8)
                    service.run()
                    (caller,) = self.call(path, 1)
                    service.run()                           # its HELLO comes later than itself
                    caller.sendall(wire.encode(hello(f"u{number}")))
                    service.run()
                    self.assertIsNotNone(service.mailbox.find(f"u{number}"))
                # the last made room for who has a name now
                self.assertEqual(len(service.daemon.strangers), 7)

    def test_who_is_at_the_proof_has_a_place_of_its_own(self):
        """n - 1, n, n + 1, of one host and at one listener: the one that was asked first goes, and
        neither the silent nor another host is concerned."""
        identity = Identity(False, b"secret", {"ann": 1001}.get)
        other = Caller("192.0.2.1:5")
        for limits in (Limits(1000, strangers_each=2, handshakes_each=3),
                       Limits(1000, strangers_each=2, handshakes=4)):
            with Service(limits, identity=identity) as service:
                def asked(service=service, **more):
                    client = service.client("ann", wire.Feature.PROVE, **more)
                    client.hears(wire.Challenge)
                    return client
                elsewhere, silent = asked(caller=other), service.connect()
                clients = [asked() for _ in range(3)]
                self.assertFalse(any(each.is_disconnected() for each in clients))
                for number in range(3):
                    clients.append(asked())
                    clients[number].hears(wire.Rejected, why=Why.FULL, reason=TOO_MANY)
                    self.assertTrue(clients[number].is_disconnected())
                for client in elsewhere, silent, *clients[3:]:
                    client.hears_nothing()
                    self.assertFalse(client.closed)

    def test_a_wait_for_the_challenge_does_not_count(self):
        """A host erred, so CHALLENGE comes later; the time at the proof begins with it."""
        identity = Identity(False, b"secret", {"ann": 1001}.get)
        with Service(Limits(1000, handshakes_each=2), identity=identity) as service:
            client = service.client("ann", wire.Feature.PROVE)
            client.hears(wire.Challenge)
            late = service.client("bob")                    # of the same host, and let in
            client.say(wire.Proof(bytes(16), bytes(32)))
            client.hears(wire.Rejected, why=Why.DENIED)
            late.hang_up()
            waiting = [service.client("ann", wire.Feature.PROVE) for _ in range(2)]
            waiting[0].hears_nothing()
            service.forward(WRONG_SECONDS)
            for each in waiting:
                each.hears(wire.Challenge)
            newcomer = service.client("ann", wire.Feature.PROVE)
            self.assertEqual([each.is_disconnected() for each in (*waiting, newcomer)],
                             [True, False, False])

    def test_the_rejected_are_not_counted_for_ever(self):
        with Service(Limits(1000, strangers_each=2)) as service:
            for _ in range(5):
                service.user(f"u{_}")
                service.client(f"u{_}").hears(wire.Rejected)
            self.assertEqual(len(service.daemon.strangers), 0)

    def listener(self, service):
        path = f"{service.directory}/{len(service.daemon.doors.listeners)}.sock"
        service.daemon.doors.listen(open_listener(parse(f"unix:{path}")), f"unix:{path}")
        self.addCleanup(service.daemon.doors.close)
        return path

    def call(self, path, count):
        callers = []
        for _ in range(count):
            sock = socket.socket(socket.AF_UNIX)
            self.addCleanup(sock.close)
            sock.connect(path)
            callers.append(sock)
        return callers

    def test_a_line_over_tcp_waits_for_no_acknowledgement(self):
        """What is small leaves at once: Nagle's algorithm is off."""
        with Service() as service, socket.create_server(("127.0.0.1", 0)) as listener:
            service.daemon.doors.listen(listener, "tcp")
            with socket.create_connection(listener.getsockname()) as caller:
                service.run()
                (connection,) = service.daemon.connections.values()
                self.assertTrue(connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
                self.assertEqual(connection.caller.address,
                                 "{}:{}".format(*caller.getsockname()))
            self.addCleanup(service.daemon.doors.close)

    def test_another_listener_stays_open(self):
        with Service(Limits(1000, strangers=3)) as service:
            full, other = self.listener(service), self.listener(service)
            self.call(full, 9)
            for _ in range(3):
                service.forward(0.3)
            (caller,) = self.call(other, 1)
            caller.sendall(wire.encode(hello("ann")))
            service.forward(0.3)
            self.assertEqual(set(service.daemon.board.roster.clients), {0})

    def test_clients(self):
        """As many connections as may be: the next waits, and comes in when one has gone."""
        with Service(Limits(3)) as service:
            path = self.listener(service)
            callers = self.call(path, 4)
            for number, caller in enumerate(callers):
                caller.sendall(wire.encode(hello(f"u{number}")))
            service.forward(0.3)
            self.assertEqual(len(service.daemon.board.roster.clients), 3)
            callers[0].close()
            service.forward(0.3)
            self.assertEqual(len(service.daemon.board.roster.clients), 3)
            self.assertIsNotNone(service.mailbox.find("u3"))

    def test_a_full_house_does_not_spin(self):
        """A listener that stays readable is not looked at until the pause is over."""
        with Service(Limits(1)) as service:
            self.call(self.listener(service), 3)
            service.run()
            self.assertGreater(service.daemon._timeout(None), 0.1)


class Fairness(unittest.TestCase):
    def test_many_frames_in_one_write(self):
        """5,000 frames of one client; the other's PING is answered in the turn in which it came."""
        with Service() as service:
            flood, other = service.user("flood"), service.user("other")
            flood.sock.sendall(b"".join(wire.encode(wire.Ping(number)) for number in range(5000)))
            other.sock.sendall(wire.encode(wire.Ping(7)))
            service.daemon.turn(0)
            self.assertTrue(is_readable(other.sock))
            self.assertEqual([said.stamp for said in flood.hears_all(wire.Pong)], list(range(5000)))

    def test_much_work_in_one_write(self):
        """Each message goes to 1,000: a turn takes as many as the budget allows, and the others
        have theirs."""
        recipients, frames = 1000, 200
        with Service() as service:
            for number in range(recipients):
                service.mailbox.register(f"n{number}", 1)
            flood, other = service.user("flood", features=0), service.user("other", features=0)
            ids = [flood.id() for _ in range(frames)]
            flood.sock.sendall(b"".join(wire.encode(wire.Send(n, SendFlag.EVERYONE, (), "x"))
                                        for n in ids))
            spent = []
            service.clock.forward(CALM)
            for turn in range(5):
                other.sock.sendall(wire.encode(wire.Pong(turn)))
                before = service.mailbox.find("n0").waiting
                service.daemon.turn(0)
                spent.append((service.mailbox.find("n0").waiting - before) * recipients)
            self.assertLessEqual(max(spent), BUDGET + recipients)
            self.assertGreater(min(spent), BUDGET / 2)
            self.assertEqual(sum(s.last - s.first + 1 for s in flood.hears_all(wire.Stored)),
                             frames)

    def test_order_within_a_connection(self):
        """What the budget left over comes before what is read later."""
        with Service() as service:
            for number in range(1000):
                service.mailbox.register(f"n{number}", 1)
            ann = service.user("ann", features=0)
            ids = [ann.id() for _ in range(60)]
            ann.say(*(wire.Send(number, SendFlag.EVERYONE, (), str(number))
                      for number in ids), wire.Exit())
            self.assertEqual(list(map(int, texts(service.mailbox.find("n0").tail))), ids)
            self.assertEqual(ann.hears_all(wire.Stored)[-1].last, ids[-1])
            self.assertTrue(ann.is_disconnected())

    def test_a_hang_up_while_it_rests(self):
        """The selector does not tell of it until the rest is over; then all that came counts."""
        with Service(Limits(10, rate=5, everyone_seconds=0, new_names=0)) as service:
            ann, bob = service.users("ann", "bob")
            many = wire.Sends(ann.id(), 0, ("bob",), ("x",) * 1000)
            ann.sock.sendall(wire.encode(many) + wire.encode(wire.Send(7, 0, ("bob",), "y")))
            service.daemon.turn(0)
            ann.sock.close()
            service.daemon.turn(0)
            self.assertEqual(service.daemon.selector.select(0), [])
            self.assertEqual(len(service.daemon.connections), 2)
            service.forward(300)
            self.assertEqual(service.mailbox.find("bob").waiting, 1001)
            self.assertEqual(len(service.daemon.connections), 1)
            bob.listen()


class NotReading(unittest.TestCase):
    """What is answered at length is not answered faster than it is read."""

    def test_answers_that_name_thousands(self):
        """Now or never to 3,000 absent, 1,000 times in one write: the work is counted, and what
        waits is bounded."""
        with Service() as service:
            for number in range(3000):
                service.mailbox.register(f"n{number}", 1)
            flood, other = service.user("flood", features=0), service.user("other", features=0)
            flags = SendFlag.NOW | SendFlag.EVERYONE
            flood.sock.sendall(b"".join(wire.encode(wire.Send(flood.id(), flags, (), "x"))
                                        for _ in range(1000)))
            most = 0
            for turn in range(60):
                other.sock.sendall(wire.encode(wire.Ping(turn)))
                service.daemon.turn(0)
                self.assertTrue(is_readable(other.sock))
                other.sock.recv(1000)
                most = max(most, *(len(each.unsent)
                                   for each in service.daemon.connections.values()))
            self.assertLess(most, READ_PAUSE_AT + 10 * 40_000)        # the answers of one turn more
            absent = sum(len(said.to) * (said.last - said.first + 1)
                         for said in flood.hears_all(wire.Outcomes))
            # in the end all are told: n0..n2999, for each
            self.assertEqual(absent, 1000 * 3001 - 1000)

    def test_invitations(self):
        """Invited again and again, one who does not read holds little, and is not disconnected for
        it."""
        with Service() as service:
            eve, *others = service.users("eve", *(f"stopped{n}" for n in range(60)))
            # no limit: as of many who invite
            service.daemon.board.invitations._rate.seconds = 0
            for other in others:
                other.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            names = tuple(other.name for other in others)
            for number in range(1, 1500):
                eve.say(wire.Invite(number, names))
                for said in eve.hears_all(wire.Inviting):
                    eve.say(wire.Withdraw(said.invitation))
            self.assertLess(max(len(each.unsent) for each in service.daemon.connections.values()),
                            READ_PAUSE_AT)
            self.assertFalse(any(other.closed for other in others))
            refused = eve.hears_all(wire.Failed)
            self.assertTrue(not refused or refused[-1].why == wire.Why.SLOW)

    def test_there_is_an_end_to_what_is_kept(self):
        with Service() as service:
            service.user("ann")
            connection = next(iter(service.daemon.connections.values()))
            connection.send(b"x" * UNSENT_MAX)
            for _ in range(3):
                connection.send(b"x" * (UNSENT_MAX // 2))
            self.assertEqual(service.daemon.connections, {})


class Doors(unittest.TestCase):
    def test_the_log_says_which_port_the_kernel_chose(self):
        with Service() as service:
            for _ in range(2):
                service.daemon.doors.open([parse("127.0.0.1:0")], 0o600)
            told = [parse(note["address"]) for note in service.notes.events("listening")]
            self.assertEqual(len({where.port for where in told} - {0}), 2)
            for where in told:
                socket.create_connection((where.host, where.port)).close()

    def test_a_full_door_does_not_shut_the_other(self):
        """Strangers fill one listener; the other accepts in the same turn, and the next."""
        with Service(Limits(100, strangers=2, strangers_each=100)) as service:
            listeners = []
            for name in ("one", "two"):
                listener = socket.socket(socket.AF_UNIX)
                self.addCleanup(listener.close)
                listener.bind(f"{service.directory}/{name}")
                listener.listen(50)
                service.daemon.doors.listen(listener, name)
                listeners.append(listener)

            def call(name):
                sock = socket.socket(socket.AF_UNIX)
                self.addCleanup(sock.close)
                sock.connect(f"{service.directory}/{name}")
                return sock
            for _ in range(5):
                call("one")
            service.run()
            self.assertEqual(len(service.daemon.connections), 2)
            for number in range(3):
                hello = wire.Hello(wire.VERSION, 0, bytes(16), f"ann{number}")
                call("two").sendall(wire.encode(hello))
                service.run()
                self.assertIn(f"ann{number}",
                              {each.name for each in service.daemon.board.roster.clients.values()})


def is_readable(sock):
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        return bool(selector.select(0))


class BackPressure(unittest.TestCase):
    def stuff(self, service, client, data, most=64 << 20):
        """Send without reading until nothing more is taken; how many bytes were."""
        sent = 0
        while sent < most:
            try:
                sent += client.sock.send(data[sent % len(data):])
            except BlockingIOError:
                service.run()
                try:
                    sent += client.sock.send(data[sent % len(data):])
                except BlockingIOError:
                    return sent
        raise AssertionError("everything is read, though nothing of the answers is")

    def test_who_does_not_read_is_not_read(self):
        for said in (wire.Ping(1), wire.List(1), wire.Invite(1, ("nobody",)),
                     wire.Sends(1, 0, ("nobody",), ("hi",))):
            with self.subTest(wire.name_of(said)), Service() as service:
                for number in range(1500):
                    service.mailbox.register(f"n{number}", 1)
                ann, bob = service.users("ann", "bob")
                inside = service.daemon.board.roster.clients[ann_number(service)]
                frame = wire.encode(said)
                self.stuff(service, ann, frame * (READ_SIZE // len(frame)))
                self.assertGreaterEqual(inside.backlog, READ_PAUSE_AT)
                self.assertLess(inside.backlog, READ_PAUSE_AT + 20 * READ_SIZE)
                self.assertFalse(service.daemon.connection_of[inside].mask & selectors.EVENT_READ)
                bob.say(wire.Ping(2))
                bob.hears(wire.Pong)

    def test_and_is_read_again_when_it_reads(self):
        with Service() as service:
            ann = service.user("ann")
            frame = wire.encode(wire.Ping(3))
            sent = self.stuff(service, ann, frame * 1000)
            self.assertEqual(len(ann.hears_all(wire.Pong)), sent // len(frame))


def ann_number(service):
    return service.mailbox.find("ann").number


class Ending(unittest.TestCase):
    def test_exit_answers_what_was_sent_before_it(self):
        """In one piece: STORED comes before the close."""
        with Service() as service:
            ann, bob = service.users("ann", "bob")
            number = ann.id()
            ann.say(wire.Send(number, 0, ("bob",), "hi"), wire.Exit(),
                    wire.Send(number + 1, 0, ("bob",), "too late"))
            ann.hears(wire.Stored, first=number, last=number)
            ann.hears_nothing()
            self.assertTrue(ann.is_disconnected())
            bob.hears(wire.Mail, text="hi")
            bob.hears_nothing()

    def test_exit_confirms_too(self):
        with Service() as service:
            ann, bob = service.users("ann", "bob")
            ann.send("bob", "hi")
            mail = bob.hears(wire.Mail)
            bob.say(wire.Confirm(mail.id, mail.id), wire.Exit())
            bob.hears(wire.Confirmed)
            self.assertTrue(bob.is_disconnected())
            self.assertEqual(service.user("bob").welcome.waiting, 0)

    def test_a_cut_line_keeps_what_came_whole(self):
        """The line is cut in the middle of the second message."""
        with Service() as service:
            ann, bob = service.users("ann", "bob")
            ann.sock.sendall(wire.encode(wire.Send(1, 0, ("bob",), "whole"))
                             + wire.encode(wire.Send(2, 0, ("bob",), "half"))[:-1])
            ann.hang_up()
            self.assertEqual([mail.text for mail in bob.hears_all(wire.Mail)], ["whole"])
            self.assertEqual(bob.state("ann"), "not connected")

    def test_reset(self):
        """A client that dies with unread bytes resets the line."""
        with Service() as service:
            ann, bob = service.users("ann", "bob")
            for _ in range(3):
                bob.send("ann", "hi")
            ann.hang_up()
            self.assertEqual(bob.state("ann"), "not connected")

    def test_told_once(self):
        with Service() as service:
            ann = service.user("ann")
            ann.hang_up()
            service.forward(300)
            self.assertEqual(len(service.notes.events("disconnected")), 1)

    def test_stop_tells_the_clients(self):
        with Service() as service:
            clients = service.users("ann", "bob")
            clients[0].sock.sendall(wire.encode(wire.Send(1, 0, ("bob",), "the last word")))
            service.stop()
            for client in clients:
                data = client.sock.recv(1 << 20)
                self.assertIn(b"the daemon is stopping", data)
                self.assertEqual(client.sock.recv(1), b"")
            service.start()
            self.assertEqual(service.user("bob").welcome.waiting, 1)

    def test_who_left_waits_for_the_disk_as_long_as_it_takes(self):
        disk = StalledDisk()
        with Service(Limits(10, silence_seconds=5), disk=disk) as service:
            ann, bob = service.users("ann", "bob")
            disk.is_stalled = True
            ann.say(wire.Send(ann.id(), 0, ("bob",), "hi"), wire.Exit())
            bob.hears(wire.Mail)
            for _ in range(10):
                service.forward(5)
                bob.say(wire.Pong(0))
            disk.is_stalled = False
            service.run()
            ann.hears(wire.Stored)
            self.assertTrue(ann.is_disconnected())

    def test_stop_while_a_flood_rests(self):
        """Its rest ends while the last seal waits for the disk, and its connection is closed."""
        with Service(disk=SlowSeal()) as service:
            ann, bob = service.users("ann", "bob")
            bob.hang_up()
            ann.send("bob", "hi")
            (connection,) = service.daemon.connections.values()
            service.daemon.unfinished.rest(connection, service.clock.monotonic + CALM)
            service.disk.clock = service.clock
            service.stop()
            self.assertGreater(service.clock.monotonic, connection.heard + CALM)
            service.start()
            self.assertEqual(service.user("bob").welcome.waiting, 1)


class StalledDisk(Disk):
    """A disk whose syncs end when it is not stalled any more."""
    is_stalled = False

    def begin_datasync(self, key, fd):
        return not self.is_stalled

    def datasync_ended(self, wait=False):
        return wait or not self.is_stalled


class SlowSeal(Disk):
    """A disk that takes a while for each sync of a seal."""
    clock = Clock()

    def syncing(self, fd):
        self.sync(fd)
        self.clock.forward(CALM)
        yield WAIT


class TakeOver(unittest.TestCase):
    def test_by_token(self):
        with Service() as service:
            ann, bob = service.users("ann", "bob")
            bob.send("ann", "to the dead session")
            ann.hears(wire.Mail)
            again = service.user("Ann", token=ann.welcome.token)
            self.assertIn("taken over", ann.hears(wire.Notice).text)
            self.assertTrue(ann.is_disconnected())
            self.assertEqual(again.welcome.waiting, 1)
            self.assertNotEqual(again.welcome.token, ann.welcome.token)
            bob.send("ann", "to the living")
            again.hears(wire.Mail, text="to the living")
            self.assertEqual(bob.state("ann"), "available")

    def test_not_without_it(self):
        with Service() as service:
            ann, bob = service.users("ann", "bob")
            for token in (bytes(16), b"\xff" * 16, bob.welcome.token, ann.welcome.token[::-1]):
                service.client("ann", token=token).hears(wire.Rejected, why=Why.TAKEN)
            ann.say(wire.Ping(1))
            ann.hears(wire.Pong)

    def test_an_old_token_is_worth_nothing(self):
        with Service() as service:
            first = service.user("ann")
            second = service.user("ann", token=first.welcome.token)
            third = service.user("ann", token=second.welcome.token)
            for token in (first.welcome.token, bytes(16)):
                service.client("ann", token=token).hears(wire.Rejected, why=Why.TAKEN)
            self.assertFalse(third.is_disconnected())

    def test_by_what_the_session_itself_brought(self):
        """HELLO 1 and 2 were given up before their WELCOME came, and got the name: HELLO 3 is the
        same program's."""
        for given in (False, True):
            with self.subTest(given=given), Service() as service:
                token = service.user("ann").welcome.token if given else b"\x17" * 16
                ghosts = [service.user("ann", token=token) for _ in range(3)]
                living = service.user("ann", token=token)
                self.assertEqual([ghost.is_disconnected() for ghost in ghosts], [True] * 3)
                again = service.user("ann", token=living.welcome.token)
                self.assertTrue(living.is_disconnected())
                service.client("ann", token=token).hears(wire.Rejected, why=Why.TAKEN)
                self.assertFalse(again.is_disconnected())

    def test_two_copies_of_one_program_do_not_push_each_other_out_for_ever(self):
        with Service() as service:
            token, turns = [b"\x17" * 16] * 2, 0
            while turns < 10:
                client = service.client("ann", token=token[turns % 2])
                client.listen()
                if isinstance(client.heard[0], wire.Rejected):
                    break
                token[turns % 2], turns = client.heard[0].token, turns + 1
            self.assertEqual(turns, 2)


class Ghosts(unittest.TestCase):
    """A session that stands in the way of its own owner is asked whether it is alive."""

    def waiting(self, service, **more):
        """A second client of a name, while the first is asked: both."""
        first = service.user("ann", **more)
        service.forward(ALIVE_SECONDS)
        second = service.connect(**more)
        second.sock.send(wire.encode(wire.Hello(1, 0, bytes(16), "ann")))
        service.daemon.turn(0)
        return first, second

    def test_the_dead_makes_room(self):
        with Service() as service:
            first, second = self.waiting(service)
            second.hears(wire.Welcome)          # Service.run() lets the time pass that one rests
            first.hears(wire.Ping)
            self.assertTrue(first.is_disconnected())
            (said,) = [note["reason"] for note in service.notes.events("disconnected")]
            self.assertEqual(said, "no answer to PING")
            self.assertLess(service.clock.monotonic - 1000, 2 + GHOST_SECONDS)

    def test_the_living_stays(self):
        with Service() as service:
            first, second = self.waiting(service)
            first.sock.send(wire.encode(wire.Pong(1)))
            service.daemon.turn(0)
            second.hears(wire.Rejected, why=Why.TAKEN)
            self.assertFalse(first.is_disconnected())
            self.assertLess(service.clock.monotonic - 1000, 2)

    def test_a_stranger_s_hello_asks_nobody(self):
        """Nor a HELLO from another host, at a name that anybody may have."""
        with Service() as service:
            first = service.user("ann")
            service.forward(60 / 2)
            service.client("ann", caller=Caller("192.0.2.7:1")).hears(wire.Rejected, why=Why.TAKEN)
            first.hears_nothing()

    def test_who_waits_is_not_silent(self):
        """Its place is not taken for a newcomer; nor does its waiting keep others out."""
        with Service(Limits(1000, strangers_each=2, handshakes_each=2)) as service:
            _, second = self.waiting(service)
            newcomer, *others = (service.connect() for _ in range(3))
            for other in others:
                other.sock.send(wire.encode(wire.Hello(1, 0, bytes(16), "ann")))
                service.daemon.turn(0)
            second.hears(wire.Rejected, why=Why.FULL)
            others[0].hears(wire.Welcome)
            self.assertTrue(newcomer.is_disconnected(), "one silent connection too many")

    def test_who_waits_and_hangs_up_has_changed_nothing(self):
        with Service() as service:
            first, second = self.waiting(service)
            second.sock.close()
            service.daemon.turn(0)
            first.sock.send(wire.encode(wire.Pong(1)))
            second.closed = True
            service.run()
            self.assertFalse(first.is_disconnected())
            self.assertEqual(len(service.notes.events("connected")), 1)


class HalfClosed(unittest.TestCase):
    """Who has shut down one direction may still be told something; who has closed may not have a
    name."""

    def test_a_hello_and_a_close(self):
        with Service() as service:
            service.mailbox.register("ann", 1)
            for said in ((), (wire.Check(1),)):
                ghost = service.connect()
                ghost.sock.send(b"".join(map(wire.encode,
                                             (wire.Hello(1, 0, bytes(16), "ann"), *said))))
                ghost.hang_up()
            self.assertEqual(service.notes.events("connected"), [])
            service.user("ann")

    def test_everything_at_once_and_a_shutdown(self):
        with Service() as service:
            service.user("bob")
            script = service.connect()
            script.sock.send(b"".join(map(wire.encode, (
                wire.Hello(1, 0, bytes(16), "ann"), wire.Send(1 << 32, 0, ("bob",), "hi"),
                wire.Exit()))))
            script.sock.shutdown(socket.SHUT_WR)
            script.hears(wire.Welcome)
            script.hears(wire.Stored)
            self.assertTrue(script.is_disconnected())

    def test_a_hello_alone_and_a_shutdown(self):
        """It could never confirm anything."""
        with Service() as service:
            script = service.connect()
            script.sock.send(wire.encode(wire.Hello(1, 0, bytes(16), "ann")))
            script.sock.shutdown(socket.SHUT_WR)
            self.assertTrue(script.is_disconnected())
            self.assertEqual(service.notes.events("connected"), [])

    def test_over_tcp(self):
        """There a close can't be told from a shutdown; behind HELLO alone both are one."""
        with Service() as service, socket.create_server(("127.0.0.1", 0)) as listener:
            for said, comes_in in (((), 0), ((wire.Exit(),), 1)):
                with socket.create_connection(listener.getsockname()) as sock:
                    sock.sendall(b"".join(map(wire.encode,
                                              (wire.Hello(1, 0, bytes(16), "ann"), *said))))
                    sock.shutdown(socket.SHUT_WR)
                    service.daemon.adopt(listener.accept()[0], "tcp", Caller("127.0.0.1:9"))
                    service.run()
                    self.assertEqual(len(service.notes.events("connected")), comes_in)

    def test_tokens_differ(self):
        with Service() as service:
            tokens = {client.welcome.token for client in service.users("ann", "bob", "cat")}
            self.assertEqual(len(tokens), 3)

    def test_of_one_who_does_not_read(self):
        """A stopped session has LEAVE_SECONDS to take its goodbye, and holds nothing up."""
        with Service() as service:
            ann, bob = service.users("ann", "bob")
            for _ in range(30):
                bob.send("ann", "x" * 16000)
            again = service.user("ann", token=ann.welcome.token)
            service.forward(1.1)
            self.assertEqual(len(service.daemon.connections), 3)
            service.forward(LEAVE_SECONDS)
            self.assertEqual(len(service.daemon.connections), 2)
            self.assertEqual(again.welcome.waiting, 30)


# ---- the process ----

class Process:
    """A daemon of its own, in a directory that goes with it; its log is its standard output."""

    def __init__(self, *more, python=()):
        self.directory = tempfile.mkdtemp(prefix="parley-test-")
        self.path = f"{self.directory}/s"
        self.process = subprocess.Popen(
            [sys.executable, *python, str(TREE / "daemon.py"), "--listen", f"unix:{self.path}",
             "--console", "log", "--state", f"{self.directory}/store", *more],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        self.printed = b""

    def __enter__(self):
        self.says("listening")
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()
        shutil.rmtree(self.directory)

    def says(self, event):
        """Wait for a line of the log."""
        deadline = time.monotonic() + DEADLINE
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while f" {event}".encode() not in self.printed:
                if not selector.select(deadline - time.monotonic()):
                    raise AssertionError(f"the daemon did not say {event} but {self.printed!r}")
                data = os.read(self.process.stdout.fileno(), 65536)
                if not data:
                    raise AssertionError(f"the daemon ended: {self.process.stderr.read()!r}")
                self.printed += data

    def connect(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(DEADLINE)
        sock.connect(self.path)
        return sock

    def ends(self):
        """The exit code, and what was on standard error."""
        return self.process.wait(DEADLINE), self.process.stderr.read().decode()


class Signals(unittest.TestCase):
    def test_term_and_int(self):
        """Clients are told, the socket's file goes, exit 0."""
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number), Process() as process, process.connect() as sock:
                sock.sendall(wire.encode(hello("ann")))
                process.says("connected")
                process.process.send_signal(number)
                heard = b""
                while data := sock.recv(65536):
                    heard += data
                self.assertIn(b"the daemon is stopping", heard)
                self.assertEqual(process.ends(), (0, ""))
                self.assertFalse(os.path.exists(process.path))

    def test_a_second_one_ends_it_at_once(self):
        with Process() as process, process.connect() as sock:
            sock.sendall(wire.encode(hello("ann")))
            process.says("connected")
            self.never_read(sock)
            process.process.send_signal(signal.SIGTERM)
            process.says("stopping")
            process.process.send_signal(signal.SIGTERM)
            self.assertEqual(process.ends(), (-signal.SIGTERM, ""))

    def never_read(self, sock):
        """Ask until the daemon reads no more: its goodbye has to wait."""
        sock.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            while True:
                sock.sendall(wire.encode(wire.Ping(1)) * 1000)

    def test_hup_opens_the_log_again(self):
        directory = tempfile.mkdtemp(prefix="parley-test-")
        self.addCleanup(shutil.rmtree, directory)
        log = f"{directory}/log"
        with Process("--log", log) as process, process.connect() as sock:
            os.rename(log, f"{log}.1")
            process.process.send_signal(signal.SIGHUP)
            process.says("reloaded")
            sock.sendall(wire.encode(hello("ann")))
            process.says("connected")
            self.assertIn("listening", Path(f"{log}.1").read_text())
            self.assertEqual(os.stat(log).st_mode & 0o777, 0o600)
            process.process.send_signal(signal.SIGTERM)
            self.assertEqual(process.ends(), (0, ""))
            self.assertIn("connected name=ann", Path(log).read_text())
            self.assertNotIn("connected", Path(f"{log}.1").read_text())

    def test_hup_keeps_the_clients(self):
        with Process() as process, process.connect() as sock:
            sock.sendall(wire.encode(hello("ann")))
            process.says("connected")
            process.process.send_signal(signal.SIGHUP)
            process.says("reloaded")
            sock.sendall(wire.encode(wire.Ping(77)))
            heard = b""
            while wire.encode(wire.Pong(77)) not in heard:
                heard += sock.recv(65536)


class ExitCodes(unittest.TestCase):
    """Wrong use, and what keeps the daemon from serving: one line on stderr, a code of sysexits, no
    traceback."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="parley-test-")
        self.addCleanup(shutil.rmtree, self.directory)

    def ends(self, *arguments, python=(), **more):
        found = subprocess.run([sys.executable, *python, str(TREE / "daemon.py"), *arguments],
                               capture_output=True, timeout=DEADLINE, text=True, check=False,
                               **more)
        self.assertEqual(len(found.stderr.splitlines()), 1, found.stderr)
        self.assertTrue(found.stderr.startswith("parleyd: "), found.stderr)
        return found.returncode, found.stderr

    def served(self, path="s", store="store"):
        """Arguments for a daemon in this test's directory."""
        return ("--console", "log", "--listen", f"unix:{self.directory}/{path}", "--state",
                f"{self.directory}/{store}")

    def test_usage(self):
        for wrong in (["--nonsense"], ["extra"], ["--listen", "nowhere"],
                      ["--listen", "host:99999"], ["--listen", "unix:"], ["--listen", "0.0.0.0:0"],
                      ["--listen", "unix:/" + "x" * 108],
                      ["--clients", "0"], ["--name", "x" * 65], ["--name", "a\nb"],
                      ["--patience", "soon"], ["--console", "loud"], ["--console", "table"]):
            with self.subTest(wrong):
                code, line = self.ends(*wrong, "--state", f"{self.directory}/store")
                self.assertEqual(code, os.EX_USAGE, line)

    def test_address_in_use(self):
        for where in (f"unix:{self.directory}/live", None):
            with open_listener(parse(where or "127.0.0.1:0")) as listener:
                if where is None:
                    where = "127.0.0.1:{1}".format(*listener.getsockname())
                code, line = self.ends("--console", "log", "--listen", where, "--state",
                                       f"{self.directory}/store")
                self.assertEqual(code, os.EX_UNAVAILABLE)
                self.assertIn(where, line)

    def test_a_store_that_is_damaged(self):
        """It names the file and the offset, and changes nothing."""
        with Process() as process:
            process.process.kill()
            process.process.wait()
            journal, = Path(process.directory, "store").glob("journal.0*")
            data = bytearray(journal.read_bytes())
            data[3] ^= 1
            journal.write_bytes(data)
            for more in ((), ("--check-store",)):
                code, line = self.ends("--console", "log", "--listen", f"unix:{process.path}2",
                                       "--state", f"{process.directory}/store", *more)
                self.assertEqual(code, os.EX_DATAERR)
                self.assertIn(f"{journal}, offset 0", line)
            self.assertEqual(journal.read_bytes(), bytes(data))

    def test_a_log_that_nobody_reads(self):
        """A FIFO without a reader: an error and not a wait."""
        os.mkfifo(f"{self.directory}/fifo")
        code, line = self.ends(*self.served(), "--log", f"{self.directory}/fifo")
        self.assertEqual(code, os.EX_CANTCREAT, line)

    def test_a_log_that_others_can_write(self):
        Path(self.directory, "log").touch()
        os.chmod(f"{self.directory}/log", 0o666)
        code, line = self.ends(*self.served(), "--log", f"{self.directory}/log")
        self.assertEqual(code, os.EX_CANTCREAT, line)
        self.assertRegex(line, "log could not be opened: everybody can write to it: chmod o-w")

    def test_a_second_daemon_on_the_store(self):
        with Process() as process:
            code, line = self.ends("--console", "log", "--listen", f"unix:{self.directory}/s",
                                   "--state", f"{process.directory}/store")
            self.assertEqual(code, os.EX_TEMPFAIL, line)

    def test_the_module_mailbox_is_ours_however_python_looks_for_it(self):
        for python in (["-P"], ["-I"]):
            told = subprocess.run([sys.executable, *python, str(TREE / "daemon.py"), "--version"],
                                  cwd="/", capture_output=True, text=True, check=True)
            self.assertRegex(told.stdout, r"^parleyd \d[\w.]*\n$")
            code, line = self.ends(*self.served(), "--backend", "nonsense", python=python)
            self.assertNotEqual(code, os.EX_CONFIG, line)

    def test_a_store_that_others_can_open(self):
        os.mkdir(f"{self.directory}/store")
        os.chmod(f"{self.directory}/store", 0o755)
        code, line = self.ends(*self.served())
        self.assertEqual(code, os.EX_NOPERM, line)

    @unittest.skipUnless(os.geteuid(), "root may do anything")
    def test_a_directory_that_is_not_ours(self):
        os.mkdir(f"{self.directory}/closed", 0o500)
        code, line = self.ends(*self.served(path="closed/s"))
        self.assertEqual(code, os.EX_NOPERM, line)

    @unittest.skipIf(os.geteuid(), "only root may become nobody")
    def test_a_directory_that_is_not_nobodys(self):
        nobody, own = 65534, f"{self.directory}/own"
        os.chmod(self.directory, 0o755)
        os.mkdir(own, 0o700)
        os.chown(own, nobody, nobody)
        try:
            probe = f"import os; os.mkdir({own + '/probe'!r}); open({str(TREE / 'daemon.py')!r})"
            subprocess.run([sys.executable, "-c", probe], user=nobody, capture_output=True,
                           check=True)
        except (OSError, subprocess.CalledProcessError):
            self.skipTest("nobody may not run this Python, or not enter the temporary directory")
        code, line = self.ends(*self.served(store="own/store"), user=nobody)
        self.assertEqual(code, os.EX_NOPERM, line)

    def test_a_place_that_cannot_be(self):
        Path(self.directory, "file").write_text("")
        code, line = self.ends(*self.served(store="file/store"))
        self.assertEqual(code, os.EX_CANTCREAT, line)
        code, line = self.ends(*self.served(path="file/s"))
        self.assertEqual(code, os.EX_UNAVAILABLE, line)
        code, line = self.ends(*self.served(), "--log", f"{self.directory}/none/log")
        self.assertEqual(code, os.EX_CANTCREAT, line)


class LostTerminal(unittest.TestCase):
    """A HUP does not reach a daemon that make or a shell runs: the table is nothing without its
    terminal."""

    def test_it_is_noticed_without_a_hup(self):
        for mode, ends in (("table", signal.SIGHUP), ("log", 0)):
            with self.subTest(mode=mode), Service() as service:
                service.run()
                with mock.patch.multiple(service.notes, mode=mode, hung_up=lambda: True,
                                         draw=lambda *_: None, next_draw=lambda: math.inf):
                    service.forward(SWEEP_SECONDS)
                self.assertEqual(service.daemon.signal, ends)


if __name__ == "__main__":
    unittest.main()
