"""What counts as one host, and what one host may have: clients and new names, each at n-1, n,
n+1."""
import contextlib
import io
import os
import unittest
from unittest import mock

import wire
from net import scram
from rules.buckets import BUCKETS_MAX, Buckets
from rules.claims import Identity
from rules.hosts import LOOPBACK, NEW_NAME_SECONDS, host_of
from rules.state import Caller
from server.options import Limits, limits, parse
from tests.harness.service import Service
from wire import Why

LISTEN = ["--listen", "127.0.0.1:1"]


def house(**more):
    return Service(Limits(1000, strangers=1000, strangers_each=1000, **{"new_names": 0, **more}))


def tcp(host):
    return Caller(f"{host}:5")


class Host(unittest.TestCase):
    def test_addresses(self):
        for one_host in (
                ["127.0.0.1:1", "127.0.0.1:65535", "127.255.3.4:1", "::1:7", "[::1]:7",
                 "::ffff:127.8.8.8:9"],
                ["192.0.2.1:1", "192.0.2.1:2", "::ffff:192.0.2.1:3", "::ffff:c000:201:3"],
                ["2001:db8::1:1", "2001:db8::2:2", "2001:db8:0:0:ffff:ffff:ffff:ffff:3"],
                ["fe80::1%eth0:1", "fe80::2:2"],
                ["unix"]):
            self.assertEqual(len({host_of(where) for where in one_host}), 1, one_host)
        different = ["127.0.0.1:1", "192.0.2.1:1", "192.0.2.2:1", "128.0.0.1:1", "::2:1",
                     "2001:db8::1:1", "2001:db8:0:1::1:1", "fe80::1:1", "unix", "12.7.0.1:1"]
        self.assertEqual(len({host_of(where) for where in different}), len(different))
        self.assertEqual(host_of("127.0.0.9:1"), LOOPBACK)

    def test_a_login_is_a_host(self):
        """By its uid, whatever it is called; a login can't be called like the host of others."""
        self.assertEqual(Caller("unix:ann", 7).host, Caller("unix:bob", 7).host)
        self.assertEqual(len({Caller("unix:ann", 7).host, Caller("unix:ann", 8).host,
                              Caller("unix").host}), 3)


class BucketsOfMany(unittest.TestCase):
    def test_a_burst_and_one_more_in_time(self):
        buckets = Buckets(3, 10)
        for expected in (3, 2, 1, 0):
            self.assertEqual(buckets.level("a", 100.0), expected)
            buckets.take("a", 100.0)
        self.assertEqual((buckets.wait("a", 100.0), buckets.level("b", 100.0)), (20, 3))
        buckets = Buckets(1, 10)
        buckets.take("a", 0.0)
        self.assertEqual([buckets.wait("a", now) for now in (0.0, 9.0, 9.5)], [10, 1, 1])
        self.assertEqual((buckets.level("a", 10.0), buckets.level("a", 1000.0)), (1, 1))

    def test_no_limit(self):
        buckets = Buckets(2, 0)
        for _ in range(5):
            buckets.take("a", 1.0)
        self.assertEqual((buckets.level("a", 1.0), len(buckets)), (2, 0))

    def test_what_is_remembered_is_bounded(self):
        # the buckets are full again meanwhile, or never
        for step, most in ((1.0, 1100), (0.0, 2 * BUCKETS_MAX)):
            buckets = Buckets(2, 10)
            for number in range(50_000):
                buckets.take(number, number * step)
            self.assertLessEqual(len(buckets), most)
            self.assertEqual(buckets.level(49_999, 49_999 * step), 1)


class Clients(unittest.TestCase):
    def test_as_many_as_a_host_may_have(self):
        """n - 1, n, n + 1; others come in meanwhile; who goes makes room."""
        for callers in ([tcp(f"127.0.0.{n}") for n in range(4)],
                        [tcp(f"2001:db8::{n}") for n in range(4)], [Caller("unix:eve", 1003)] * 4):
            with house(clients_each=3) as service:
                users = [service.user(f"u{n}", caller=caller)
                         for n, caller in enumerate(callers[:3])]
                over = service.client("u3", caller=callers[3])
                reason = over.hears(wire.Rejected, why=Why.FULL).reason
                whose = "login" if callers[0].uid else "address"
                self.assertEqual(reason, f"3 clients are connected from your {whose}, "
                                         "and no more may be")
                self.assertIsNone(service.mailbox.find("u3"))
                service.user("other", caller=tcp("198.51.100.1"))
                users[1].hang_up()
                service.user("u3", caller=callers[3])
                service.client("u1", caller=callers[1]).hears(wire.Rejected, why=Why.FULL)

    def test_ones_own_ghost_is_no_second_client(self):
        with house(clients_each=2) as service:
            ann, bob = service.users("ann", "bob")
            service.client("ann").hears(wire.Rejected, why=Why.TAKEN)
            ann = service.user("ann", token=ann.welcome.token)
            service.client("cat").hears(wire.Rejected, why=Why.FULL)
            service.client("ann", token=ann.welcome.token,
                           caller=tcp("198.51.100.1")).hears(wire.Welcome)
            service.user("cat")
            bob.say(wire.Exit())
            service.user("dan")
            service.client("eve").hears(wire.Rejected, why=Why.FULL)
            self.assertEqual(service.daemon.board.door.hosts._clients,
                             {"test": 2, "198.51.100.1": 1})

    def test_who_cannot_be_kept_is_not_counted(self):
        def full(*_):
            raise OSError(28, "No space left on device")
        with house(clients_each=2) as service:
            service.mailbox.disk.write = full
            service.client("ann").hears(wire.Rejected, why=Why.FULL)
            self.assertEqual(service.daemon.board.door.hosts._clients, {})

    def test_the_default_is_a_quarter(self):
        for arguments, each in (([], 1000), (["--clients", "100"], 25), (["--clients", "20"], 8),
                                (["--clients-each", "3"], 3), (["--clients-each", "none"], 0)):
            self.assertEqual(limits(parse([*LISTEN, *arguments]), 4000).clients_each, each)


class NewNames(unittest.TestCase):
    def test_so_many_at_once_and_one_more_in_time(self):
        with house(new_names=3) as service:
            for number in range(3):
                service.user(f"u{number}", caller=tcp(f"127.0.0.{number}")).hang_up()
            over = service.client("u3", caller=tcp("::1"))
            reason = over.hears(wire.Rejected, why=Why.FULL).reason
            self.assertEqual(reason, "too many new names from your address: "
                                     f"wait {NEW_NAME_SECONDS} s, or use a known name")
            self.assertIsNone(service.mailbox.find("u3"))
            for number in range(3):
                service.user(f"eve{number}", caller=Caller("unix:eve", 1003)).hang_up()
            over = service.client("eve3", caller=Caller("unix:eve", 1003))
            self.assertIn("too many new names from your login: ",
                          over.hears(wire.Rejected, why=Why.FULL).reason)
            service.user("u0", caller=tcp("127.0.0.1"))
            service.user("other", caller=tcp("198.51.100.1"))
            service.user("login", caller=Caller("unix:ann", 1004))
            service.forward(NEW_NAME_SECONDS - 1)
            service.client("u3", caller=tcp("127.0.0.1")).hears(wire.Rejected, why=Why.FULL)
            service.forward(1)
            service.user("u3", caller=tcp("127.0.0.1"))
            service.client("u4", caller=tcp("127.0.0.1")).hears(wire.Rejected, why=Why.FULL)

    def test_names_in_all(self):
        """n - 1, n, n + 1, by whomever; those that are known stay usable."""
        with house(names=3) as service:
            for number in range(3):
                service.user(f"u{number}", caller=tcp(f"198.51.100.{number}"))
            reason = service.client("u3", caller=tcp("192.0.2.1")).hears(wire.Rejected,
                                                                         why=Why.FULL).reason
            self.assertEqual(reason, "no new names: the log holds 3, its limit; use a known name")
            service.restart()
            service.user("u0")
            service.client("u3").hears(wire.Rejected, why=Why.FULL)

class NamesEach(unittest.TestCase):
    """A login owns so many names, and no more in all its life."""
    EVE, ANN = 1003, 1001

    def house(self, each=3):
        return Service(Limits(1000, new_names=0, names_each=each), identity=Identity(
            False, b"secret" * 6, {"eve": self.EVE, "ann": self.ANN}.get,
            login_of=lambda uid: self.EVE if uid >= 100_000 else uid))

    def eve(self, service, name, why=None, uid=EVE):
        client = service.client(name, wire.Feature.PROVE, caller=Caller("unix:eve", uid))
        if why is None:
            client.hears(wire.Welcome)
            client.hang_up()
        else:
            self.assertIn("owns 3 names", client.hears(wire.Rejected, why=why).reason)

    def test_so_many(self):
        """n - 1, n, n + 1; over years and starts; its own name and those that it has stay its."""
        with self.house() as service:
            for name in ("one", "two", "three"):
                self.eve(service, name)
                service.forward(365 * 86400)
            for _ in range(2):
                self.eve(service, "four", Why.DENIED)
                self.assertIsNone(service.mailbox.find("four"))
                self.eve(service, "two")
                service.restart()
            self.eve(service, "eve")
            service.user("four", caller=Caller("unix:ann", self.ANN))
            service.user("five", caller=tcp("192.0.2.1"))

    def test_an_operator_may_own_any_number(self):
        """Also in yesterday's store, where a login has more than it may have today."""
        with self.house() as service:
            claims = service.daemon.board.claims
            claims.identity = claims.identity._replace(operators=frozenset({self.EVE}))
            for number in range(5):
                self.eve(service, f"n{number}")
            self.assertEqual(claims.owners.names_of(self.EVE), 5)
            service.restart()
            client = service.client("more", caller=Caller("unix:eve", self.EVE))
            self.assertIn("owns 5 names", client.hears(wire.Rejected, why=Why.DENIED).reason)

    def test_subordinate_uids(self):
        with self.house() as service:
            for number, name in enumerate(("one", "two", "three")):
                self.eve(service, name, uid=100_000 + number)
            for uid in (self.EVE, 100_000, 165_535):
                self.eve(service, "four", Why.DENIED, uid)
            service.restart()
            self.eve(service, "four", Why.DENIED)

    def test_names_that_were_nobodys(self):
        """Taking one counts."""
        with self.house() as service:
            service.user("free", caller=tcp("192.0.2.1")).hang_up()
            for name in ("one", "two", "free"):
                self.eve(service, name)
            service.mailbox.register("late", 1)
            self.eve(service, "late", Why.DENIED)
            owners = service.daemon.board.claims.owners
            self.assertEqual(owners._names, {self.EVE: 3})
            owners.count()
            self.assertEqual(owners._names, {self.EVE: 3})

    def test_a_claimed_name(self):
        """Whoever knows its passphrase comes in; it is no login's then."""
        salt = bytes(16)
        key = scram.derive("right", salt, 4096)
        verifier = scram.verifier(key, salt, 4096)
        with mock.patch("net.scram.ITERATIONS", 4096), self.house() as service:
            sam = service.user("sam", features=wire.Feature.PROVE, caller=tcp("192.0.2.1"))
            sam.say(wire.Claim(1, *verifier))
            sam.hang_up()
            for name in ("one", "two", "three"):
                self.eve(service, name)
            client = service.client("sam", wire.Feature.PROVE, caller=Caller("unix:eve", self.EVE))
            said = client.hears(wire.Challenge)
            talk = scram.conversation("sam", "11" * 16, said.nonce.hex(), salt, 4096,
                                      scram.Binding())
            client.say(wire.Proof(b"\x11" * 16, scram.prove(key, talk)))
            client.hears(wire.Verified)
            client.hears(wire.Welcome)
            self.assertIsNone(service.daemon.board.claims.owners.of(service.mailbox.find("sam")))

    def test_a_login_takes_its_name_from_a_former_owner(self):
        with self.house() as service:
            service.mailbox.register("ann", 1)
            owners = service.daemon.board.claims.owners
            owners.give(service.mailbox.find("ann"), self.EVE)
            service.user("ann", caller=Caller("unix:ann", self.ANN))
            self.assertEqual(+owners._names, {self.ANN: 1})

    def test_names_that_the_disk_refuses(self):
        def full(*_):
            raise OSError(28, "No space left on device")
        with self.house() as service:
            service.mailbox.disk.write = full
            caller = Caller("unix:eve", self.EVE)
            service.client("one", caller=caller).hears(wire.Rejected, why=Why.FULL)
            self.assertEqual(service.daemon.board.claims.owners._names, {})

    def test_none(self):
        with self.house(0) as service:
            for number in range(30):
                self.eve(service, f"n{number}")


class Options(unittest.TestCase):
    def test_options(self):
        found = limits(parse([*LISTEN, "--new-names", "7", "--names", "2K"]), 100)
        self.assertEqual((found.new_names, found.names, found.names_each), (7, 2048, 10_000))
        found = limits(parse([*LISTEN, "--new-names", "none", "--names", "none",
                              "--names-each", "none"]), 100)
        self.assertEqual((found.new_names, found.names, found.names_each), (0, wire.LOG_MAX, 0))
        with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit) as refused:
            parse([*LISTEN, "--names", str(wire.LOG_MAX + 1)])          # no client could come in
        self.assertEqual(refused.exception.code, os.EX_USAGE)


if __name__ == "__main__":
    unittest.main()
