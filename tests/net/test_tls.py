"""TLS: any stream through any socket, and a daemon that speaks it.

And peers that stall, that send garbage, or that have another certificate.
"""
import contextlib
import os
import random
import select
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from selectors import EVENT_READ, EVENT_WRITE

import wire
from client.dial import dial
from client.events import NameRefused, Offline, Online, Over, Remark
from client.keyring import Keyring
from client.link import Link
from net import tls
from net.address import parse
from net.tls import BadCertificate, Secured, Server, client_context
from server.doors import open_listener
from tests.harness.process import HERE
from tests.harness.service import Client, Service
from tests.net.certificates import ONE, OTHER


class Files(unittest.TestCase):
    def setUp(self):
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.home = Path(home.name)

    def file(self, name, text):
        path = self.home / name
        path.write_text(text)
        return str(path)

    def server(self, text=ONE):
        path = self.file(f"{hash(text)}.pem", text)
        return Server(path, path)


class Certificate(Files):
    def wrong(self, code, certificate, key):
        with self.assertRaises(BadCertificate) as caught:
            Server(certificate, key)
        self.assertEqual(caught.exception.code, code)
        self.assertNotIn("\n", str(caught.exception))
        return str(caught.exception)

    def test_one_file_or_two(self):
        certificate, key = ONE.split("-----BEGIN PRIVATE")
        two = Server(self.file("cert", "a comment\n" + certificate),
                     self.file("key", "-----BEGIN PRIVATE" + key))
        self.assertEqual(two.fingerprint, self.server().fingerprint)
        self.assertRegex(two.fingerprint, r"^([0-9A-F]{2}:){31}[0-9A-F]{2}$")
        self.assertNotEqual(two.fingerprint, self.server(OTHER).fingerprint)

    def test_files_that_are_not_what_they_should_be(self):
        good, other = self.file("good", ONE), self.file("other", OTHER)
        self.assertIn("No such file", self.wrong(os.EX_NOINPUT, str(self.home / "none"), good))
        self.assertIn("No such file", self.wrong(os.EX_NOINPUT, good, str(self.home / "none")))
        self.assertIn("directory", self.wrong(os.EX_NOINPUT, good, str(self.home)))
        certificate = self.file("cert", ONE.split("-----BEGIN PRIVATE")[0])
        for bad in ((certificate, other), (certificate, certificate),
                    (self.file("empty", ""), good), (self.file("words", "hello"), good)):
            self.assertIn("no certificate and its key", self.wrong(os.EX_CONFIG, *bad))

    def test_the_daemon_says_so_in_one_line(self):
        good = self.file("good", ONE)
        for code, options in ((66, ["--tls-cert", "/nowhere"]),
                              (78, ["--tls-cert", self.file("bad", "x")]),
                              (64, ["--tls-key", good]), (64, ["--listen", "tls:127.0.0.1:0"]),
                              (64, ["--listen", "0.0.0.0:0"])):
            done = subprocess.run([sys.executable, HERE + "/daemon.py", "--state",
                                   str(self.home / "store"), *options],
                                  capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stderr.count("\n"), done.stdout), (code, 1, ""),
                             done.stderr)
        self.assertFalse((self.home / "store").exists())


class Choke:
    """One end of a socket that takes and gives as little as chance will have it."""
    family = socket.AF_INET

    def __init__(self, chance):
        self.chance = chance
        self.inbox = bytearray()
        self.peer = None
        self.taken = self.refused = 0

    def send(self, data):
        room = self.chance.choice((0, 1, 7, 1000, 20_000))
        room = min(room, len(data), 50_000 - len(self.peer.inbox))
        if room <= 0:
            self.refused += 1
            raise BlockingIOError
        self.taken += room
        self.peer.inbox += data[:room]
        return room

    def recv(self, size):
        if not self.inbox:
            raise BlockingIOError
        size = min(size, self.chance.choice((1, 5, 900, 70_000)))
        data = bytes(self.inbox[:size])
        del self.inbox[:size]
        return data

    def close(self):
        pass


class Streams(Files):
    def pair(self, seed):
        chance = random.Random(seed)
        ends = Choke(chance), Choke(chance)
        ends[0].peer, ends[1].peer = ends[1], ends[0]
        server = self.server()
        return chance, Secured(ends[0], client_context()), server.wrap(ends[1]), ends

    def test_any_stream_through_any_socket(self):
        refused = 0
        for seed in range(20):
            chance, ours, theirs, ends = self.pair(seed)
            waits = set()
            while wait := ours.shake():
                waits.update({wait, theirs.shake()})
            self.assertLessEqual(waits, {EVENT_READ, EVENT_WRITE, 0})
            self.assertEqual(ours.binding, theirs.binding)
            while theirs.shake():
                pass
            for sender, receiver, end in ((ours, theirs, ends[1]), (theirs, ours, ends[0])):
                said = chance.randbytes(chance.choice((1, 16384, 300_000)))
                left, got = said, bytearray()
                while len(got) < len(said):
                    if left:
                        with contextlib.suppress(BlockingIOError):
                            left = left[sender.send(left):]
                    while end.inbox:
                        with contextlib.suppress(BlockingIOError):
                            got += receiver.recv(65536)
                    # nothing that the selector would not tell
                    self.assertEqual(receiver._tls.pending(), 0)
                self.assertEqual(bytes(got), said)
            refused += ends[0].refused + ends[1].refused
        self.assertGreater(refused, 100)

    def test_nothing_is_said_before_the_handshake(self):
        _, _, theirs, _ = self.pair(1)
        self.assertRaises(OSError, theirs.send, b"too early")

    def test_other_bytes_than_those_that_did_not_leave(self):
        _, ours, theirs, ends = self.pair(2)
        while ours.shake():
            theirs.shake()
        ends[0].send = lambda data: (_ for _ in ()).throw(BlockingIOError())
        self.assertRaises(BlockingIOError, ours.send, b"first")
        self.assertRaises(AssertionError, ours.send, b"other")
        del ends[0].send
        self.assertEqual(ours.send(b"first and more") in (5, 14), True)


class Line(Client):
    """A client over TLS."""

    def __init__(self, service, where):
        secured = Secured(socket.create_connection(where), client_context())
        secured.setblocking(False)
        secured.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(service, secured)
        service.clients.append(self)
        self.until(lambda: not secured.shake())

    def until(self, done):
        """Wait until this is true: TCP takes its moment, even on loopback."""
        deadline = time.monotonic() + 20
        while not done():
            assert time.monotonic() < deadline, f"{self.name} waits in vain"
            self.service.run()
            select.select([self.sock.sock], [], [], 0.001)

    def await_(self, kind, **fields):
        self.until(lambda: self.listen() or self.heard)
        return self.hears(kind, **fields)


class House(Service):
    """A service with a TLS listener."""

    def __init__(self, server, **more):
        super().__init__(**more)
        listener = open_listener(parse("127.0.0.1:0"))
        self.where = listener.getsockname()
        self.address = parse(f"tls:127.0.0.1:{self.where[1]}")
        self.daemon.doors.listen(listener, str(self.address), server)

    def __exit__(self, *_):
        self.daemon.doors.close()
        super().__exit__()

    def line(self, name):
        client = Line(self, self.where)
        client.name = name
        client.say(wire.Hello(wire.VERSION, 0, bytes(16), name))
        client.await_(wire.Welcome)
        return client

    def raw(self, data=b""):
        sock = socket.create_connection(self.where)
        sock.sendall(data)
        self.run()
        return sock


class Served(Files):
    def test_the_longest_messages_and_full_windows(self):
        with House(self.server()) as house:
            ann, bob = house.user("ann"), house.line("bob")
            # so that little leaves at once
            for connection in house.daemon.connections.values():
                connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
            texts = [chr(0x61 + n % 26) * wire.TEXT_MAX for n in range(60)] + ["short"] * 3000
            ann.say(*[wire.Send(ann.id(), 0, ("bob",), text) for text in texts])
            got = []
            while len(got) < len(texts):
                bob.until(lambda: bob.listen()
                          or any(isinstance(said, wire.Mail) for said in bob.heard))
                mails = bob.hears_all(wire.Mail)
                got += [mail.text for mail in mails]
                bob.confirm(*mails)
                bob.hears_all(wire.Confirmed)
            self.assertEqual(got, texts)
            bob.say(*[wire.Send(bob.id(), 0, ("ann",), text) for text in texts[:70]])
            came = []
            while len(came) < 70:
                bob.until(lambda: ann.listen() or ann.heard)
                mails = ann.hears_all(wire.Mail)
                came += [mail.text for mail in mails]
                ann.confirm(*mails)
                ann.heard.clear()
            self.assertEqual(came, texts[:70])

    def test_a_stalled_handshake_costs_nobody_anything(self):
        with House(self.server()) as house:
            hello = ssl.MemoryBIO()
            tls = client_context().wrap_bio(ssl.MemoryBIO(), hello)
            self.assertRaises(ssl.SSLWantReadError, tls.do_handshake)
            greeting = hello.read()
            stalled = [house.raw(greeting[:size]) for size in (0, 1, 5, 100, len(greeting))]
            ann, bob = house.line("ann"), house.line("bob")
            ann.send("bob", "we go on")
            self.assertEqual(bob.await_(wire.Mail).text, "we go on")
            ann.until(lambda: len(house.daemon.doors.handshakes) == 5)
            house.forward(11)
            self.assertEqual(len(house.daemon.doors.handshakes), 0)
            self.assertEqual(len(house.daemon.connections), 2)
            for sock in stalled:
                sock.close()

    def test_garbage_and_plain_words(self):
        with House(self.server()) as house:
            chance = random.Random(3)
            plain = wire.encode(wire.Hello(wire.VERSION, 0, bytes(16), "eve"))
            for data in [plain, b"GET / HTTP/1.0\r\n\r\n",
                         *(chance.randbytes(100) for _ in range(20))]:
                with house.raw(data) as sock:
                    house.run()
                    sock.settimeout(5)
                    heard = sock.recv(200)
                    self.assertEqual(b"this address speaks TLS: write tls: before it" in heard,
                                     data is plain, data)
                    house.run()
            self.assertEqual(house.mailbox.users, [])
            house.forward(11)
            self.assertEqual(house.daemon.connections, {})
            house.line("ann")

    def test_one_who_goes_without_goodbye(self):
        with House(self.server()) as house:
            ann = house.line("ann")
            ann.sock.sock.close()
            bob = house.line("bob")
            bob.until(lambda: house.notes.events("disconnected"))
            self.assertEqual(house.notes.events("disconnected")[-1]["name"], "ann")
            bob.hang_up()
            cy = house.line("cy")
            cy.until(lambda: len(house.notes.events("disconnected")) == 2)
            self.assertEqual(house.notes.events("disconnected")[-1]["reason"],
                             "the line was closed")


class Pinned(Files):
    def meet(self, house, ring=None, address=None):
        """A link of its own, and what comes of connecting."""
        link = Link([address or house.address], "ann", None, features=0, monotonic=lambda: 50.0,
                    instance=1, jitter=lambda: 0.5, dial=dial, ring=ring)
        self.addCleanup(link.close)
        link.connect()
        events = []
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            house.run()
            if link.sock:
                reading, writing = ([link.sock.sock] * bool(link.mask & mask)
                                    for mask in (EVENT_READ, EVENT_WRITE))
                readable, writable, _ = select.select(reading, writing, [], 0.01)
                mask = EVENT_READ * bool(readable) | EVENT_WRITE * bool(writable)
                events += link.ready(mask) if mask else []
            events += link.tick() if link.timeout() == 0 else []
            if any(isinstance(event, Online | Over | Offline | NameRefused) for event in events):
                break
        link.close()
        house.run()
        return events

    def test_the_first_is_remembered_and_another_stops_the_client(self):
        ring = Keyring(self.home / "state")
        server = self.server()
        with House(server) as house:
            remark, online = self.meet(house, ring)
            self.assertIsInstance(remark, Remark)
            self.assertIn(server.fingerprint, remark.text)
            self.assertIsInstance(online, Online)
            self.assertEqual(len(self.meet(house, Keyring(self.home / "state"))), 1)
            address = house.address
        known = self.home / "state" / "known-daemons"
        self.assertEqual(known.read_text(), f"{address} {server.fingerprint}\n")
        self.assertEqual((known.stat().st_mode & 0o777, known.parent.stat().st_mode & 0o777),
                         (0o600, 0o700))
        with House(self.server(OTHER)) as house:
            known.write_text(f"{house.address} {server.fingerprint}\n")
            over, = self.meet(house, Keyring(self.home / "state"))
            self.assertIsInstance(over, Over)
            self.assertRegex(over.reason,
                             "another certificate .* "
                             f"delete the line of {house.address} in {known}")
            self.assertEqual(house.notes.events("connected"), [])
            self.assertEqual(known.read_text(), f"{house.address} {server.fingerprint}\n")

    def test_who_cannot_look_does_not_trust(self):
        (self.home / "state").mkdir()
        (self.home / "state" / "known-daemons").symlink_to("/dev/null")
        with House(self.server()) as house:
            over, = self.meet(house, Keyring(self.home / "state"))
            self.assertIn("can't be used", over.reason)
            self.assertEqual(house.notes.events("connected"), [])

    def test_a_daemon_without_tls(self):
        with House(None) as house:
            reason = self.meet(house)[-1].reason
            self.assertIn(str(house.address), reason)
            self.assertRegex(reason, r": no TLS is spoken there: leave tls: out if ")


class Shown(unittest.TestCase):
    def test_as_openssl_prints_it(self):
        der = ssl.PEM_cert_to_DER_cert(ONE[:ONE.index(tls.END) + len(tls.END)] + "\n")
        try:
            done = subprocess.run(["openssl", "x509", "-noout", "-fingerprint", "-sha256"],
                                  input=ONE, text=True, capture_output=True, check=True)
        except FileNotFoundError:
            self.skipTest("openssl is not installed")
        self.assertEqual(done.stdout.strip().partition("=")[2], tls.shown(tls.digest(der)))


if __name__ == "__main__":
    unittest.main()
