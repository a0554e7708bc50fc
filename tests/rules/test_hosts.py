"""What counts as one host, and what one host may have: clients and new names, each at n-1, n,
n+1."""
import contextlib
import io
import os
import unittest

import wire
from rules.buckets import BUCKETS_MAX, Buckets
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
                self.assertEqual(reason, "3 clients are connected from your address, "
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
            service.user("u0", caller=tcp("127.0.0.1"))
            service.user("other", caller=tcp("198.51.100.1"))
            service.user("login", caller=Caller("unix:eve", 1003))
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

    def test_options(self):
        found = limits(parse([*LISTEN, "--new-names", "7", "--names", "2K"]), 100)
        self.assertEqual((found.new_names, found.names), (7, 2048))
        found = limits(parse([*LISTEN, "--new-names", "none", "--names", "none"]), 100)
        self.assertEqual((found.new_names, found.names), (0, wire.LOG_MAX))
        with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit) as refused:
            parse([*LISTEN, "--names", str(wire.LOG_MAX + 1)])          # no client could come in
        self.assertEqual(refused.exception.code, os.EX_USAGE)


if __name__ == "__main__":
    unittest.main()
