"""What an operator asks a daemon to do: who may ask, what is answered when, and what it changes for
the users."""
import argparse
import errno
import json
import os
import socket
import ssl
import subprocess
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

import daemon as program
import wire
from net.tls import Server
from rules.allowances import ALLOWANCES_MAX, Allowance
from rules.bans import HOST, LOGIN, NAME, Ban
from rules.claims import Identity
from rules.door import BRIEF
from rules.quota import LOGIN_BYTES, MAILBOX_BYTES
from rules.state import Caller
from server import allowed, banned, options, reports, startup
from server.banned import changing, read
from server.control import SUBCOMMANDS
from server.cuts import CUTS_MAX, Cuts
from server.kept import BadFile
from server.orders import Refused, ask
from server.top import Top
from store.user import User
from tests.harness.process import DaemonProcess
from tests.harness.service import Client, Service
from tests.harness.terminals import needs
from tests.net.certificates import ONE, OTHER
from wire import Outcome, SendFlag, Why

OPERATOR = Caller("unix:root", 0)
ANN, EVE = Caller("unix:ann", 1001), Caller("unix:eve", 1002)
FAR = Caller("192.0.2.7:4711")


def house() -> Service:
    return Service(identity=Identity(secret=bytes(32), operators=frozenset({0})))


class Asked(unittest.TestCase):
    def setUp(self) -> None:
        self.service = self.enterContext(house())

    def ask(self, *words: str, caller: Caller = OPERATOR) -> Any:
        """What is reported; an exit code and a reason if it was not done."""
        asking = self.service.connect(caller)
        asking.say(wire.Operate(words))
        self.service.forward(1)
        asking.listen()
        parts = [said for said in asking.heard if isinstance(said, wire.Report)]
        self.assertEqual([part.last for part in parts], [0] * (len(parts) - 1) + [1])
        self.assertTrue(asking.is_disconnected())
        text = "".join(part.text for part in parts)
        return (parts[-1].code, text) if parts[-1].code else json.loads(text)

    def bans(self, *bans: tuple[str, str]) -> Any:
        with changing(self.service.mailbox.directory) as write:
            write([Ban(kind, whom, whom, "2026-11-27T12:00:00Z", "spam") for kind, whom in bans])
        return self.ask("bans")

    def is_refused(self, name: str, caller: Caller, reason: str) -> None:
        self.assertRegex(self.service.client(name, caller=caller).hears(wire.Rejected).reason,
                         reason)


class WhoMayAsk(Asked):
    def test_nobody_else(self) -> None:
        ann = self.service.user("ann", caller=ANN)
        for caller in (ANN, FAR):
            code, reason = self.ask("kick", "ann", caller=caller)
            self.assertEqual(code, os.EX_NOPERM, reason)
        self.assertFalse(ann.is_disconnected())
        self.assertEqual([(each["address"], each["order"]) for each in self.service.notes.events(
            "no-operator")], [("unix:ann", "kick"), ("192.0.2.7:4711", "kick")])

    def test_what_is_wrong(self) -> None:
        self.assertEqual(self.ask("dance")[0], os.EX_PROTOCOL)
        self.assertEqual(self.ask("kick")[0], os.EX_USAGE)
        self.assertEqual(self.ask("kick", "nobody")[0], os.EX_NOUSER)
        self.assertEqual(self.ask("announce", "a\x1b[2J")[0], os.EX_DATAERR)
        self.assertEqual(self.ask("drain", "²")[0], os.EX_USAGE)
        self.service.user("eve").hang_up()
        self.ask("retire", "eve")
        self.assertEqual(self.ask("waiting", "eve", "first")[0], os.EX_USAGE)

    def test_no_client(self) -> None:
        """It has no name, is no stranger when it is answered, and its end is no line of the log."""
        self.ask("status")
        self.assertEqual(self.service.mailbox.users, [])
        self.assertEqual(len(self.service.daemon.strangers), 0)
        self.assertEqual(self.service.notes.told, [])
        self.ask("undrain")
        self.assertEqual([event for event, _ in self.service.notes.told], ["operation"])


class WhatThereIs(Asked):
    def test_status(self) -> None:
        ann, _ = self.service.users("ann", "bob")
        self.service.user("carol").hang_up()
        ann.send("carol", "are you there?")
        told = self.ask("status")
        self.assertEqual((told["clients"], told["names"], told["waiting"], told["mailboxes"]),
                         (2, 3, 1, 1))
        self.assertTrue(told["takes_mail"])
        self.assertEqual(told["store"], self.service.mailbox.directory)
        self.assertEqual(told["on_disk"], told["given"])
        lines = list(reports.status_lines(told))
        self.assertIn("2 connected", lines[2])
        figures = dict(line.split() for line in reports.prometheus(told) if line[0] != "#")
        self.assertEqual(figures["parley_names"], "3")
        self.assertEqual(len(figures), len(reports.FIGURES))

    def test_a_disk_that_is_nearly_full(self) -> None:
        """Monitoring warns, and the operator reads what is in force beside what was set."""
        census = self.service.mailbox.census
        census.look(10_000, 490_000, 1)
        with mock.patch.object(census, "look"):
            told, quota = self.ask("status"), self.ask("quota")
        self.assertTrue(told["disk_tight"])
        self.assertEqual(told["login_share"], 3125)
        self.assertIn("free: THE DISK IS NEARLY FULL, only 3.1 kB of one login may wait",
                      "\n".join(reports.status_lines(told)))
        with mock.patch("server.control.ask", return_value=told):
            code, said = run("check")
        self.assertEqual(code, 1)
        self.assertIn(f"parley WARNING: the disk of {told['store']} is nearly full, ", said)
        self.assertEqual(quota["defaults"][0]["in_force"], 3125)
        with mock.patch("server.quotas.ask", return_value=quota):
            self.assertIn("1.1 GB, by --login-bytes; 3.1 kB now", run("quota")[1])

    def test_a_file_that_goes_while_it_is_counted(self) -> None:
        """Such as bans.tmp, under `parleyd ban`."""
        scandir = os.scandir
        with mock.patch("server.operations.os.scandir") as looked:
            with scandir(self.service.mailbox.directory) as found:
                entries = list(found)
            gone = mock.Mock()
            gone.stat.side_effect = FileNotFoundError
            looked.return_value.__enter__.return_value = [gone, *entries]
            self.assertGreater(self.ask("status")["store_bytes"], 0)

    def test_names(self) -> None:
        self.service.users("ann", "bob")
        self.assertEqual([row["name"] for row in self.ask("names")["names"]], ["ann", "bob"])
        self.assertEqual([row["name"] for row in self.ask("names", "NN")["names"]], ["ann"])
        self.assertEqual(self.ask("names", "x"), {"names": [], "more": 0})

    def test_where_messages_wait(self) -> None:
        """The most first, and no others: names that never came too."""
        ann, _ = self.service.users("ann", "bob")
        for name, number in (("carol", 2), ("dave", 5), ("erin", 0)):
            self.service.user(name).hang_up()
            for _ in range(number):
                ann.send(name, "hi")
        told = self.ask("names", "", "waiting")["names"]
        self.assertEqual([(row["name"], row["waiting"]) for row in told],
                         [("dave", 5), ("carol", 2)])

    def test_refused_names_keep_their_digits(self) -> None:
        self.service.notes.refusals.count("x", "refused", {"reason": "t2-bob: wait 7 s on pts/3"})
        self.assertEqual(self.ask("logins")["refused"][0]["reason"], "t2-bob: wait N s on pts/N")

    def test_more_than_a_report_takes(self) -> None:
        for number in range(400):
            self.service.mailbox.register(f"somebody-with-a-long-name-{number}", 1)
        self.assertEqual(len(self.ask("names", "somebody")["names"]), 400)

    def test_logins(self) -> None:
        eve = self.service.user("eve", caller=EVE)
        self.service.user("ann", caller=ANN).hang_up()
        eve.send("ann", "x" * 1000)
        row = self.ask("logins")["logins"][0]
        self.assertEqual((row["login"], row["clients"]), ("uid 1002", 1))
        self.assertGreater(row["waiting"], 1000)


class TheTable(Asked):
    """The pages of `parleyd top`."""

    def test_as_the_daemon_shows_it(self) -> None:
        self.service.users("ann", "bob", "cyd")[0].send("bob,cyd", "hi")
        self.service.client("bob").listen()
        told = self.ask("table", "", "", "0", "2")
        self.assertEqual([row[0] for row in told["rows"]], ["ann", "bob"])
        self.assertEqual((told["more"], told["end"]), (1, 3))
        self.assertIn("3 connected", told["title"])
        told = self.ask("table", "", "", "2", "2")
        self.assertEqual(([row[0] for row in told["rows"]], told["more"]), (["cyd"], 0))

    def test_orders_parts_and_all_about_one(self) -> None:
        ann, bob, _ = self.service.users("ann", "bob", "bea")
        bob.say(wire.Hold(1, 1))
        ann.send("bob", "hi")
        told = self.ask("table", "waiting", "B", "0", "9")
        self.assertEqual([row[0] for row in told["rows"]], ["bob", "bea"])
        number = told["rows"][0][-1]
        about = dict(self.ask("table", "", "", "0", "9", str(number))["about"])
        self.assertEqual((about["name"], about["waiting"]), ("bob", "1 message"))
        self.assertEqual(self.ask("table", "", "", "0", "9", "99")["about"], [])
        for words in (("by colour", "", "0", "9"), ("", "", "x", "9"), ("", "", "0", "-1")):
            self.assertEqual(self.ask("table", *words)[0], os.EX_USAGE, words)

    def test_through_the_browser(self) -> None:
        """Keys, and an answer of the daemon for each picture."""
        self.service.users(*[f"n{number:02}" for number in range(30)])
        with mock.patch("server.top.ask", lambda _, *words, quiet: self.ask(*words)):
            top = Top(argparse.Namespace(connect=""))
            self.assertIn("30 connected", top.picture((80, 24))[0])
            top.press("<End>")
            rows = top.picture((80, 24))
            self.assertIn("> n29", "\n".join(rows))
            for key in ("/", "2", "<Enter>", "<Down>"):
                top.press(key)
            self.assertIn("> n12", "\n".join(top.picture((80, 24))))
            top.press("<Enter>")
            self.assertIn("name       n12", top.picture((80, 24)))
            self.ask("kick", "n12", "too loud")
            self.assertRegex("\n".join(top.picture((80, 40))),
                             r"1 put out(.|\n)*n12 \(test\) was put out: by the operator: too loud")
            top.press("?")
            self.assertIn("Ctrl-C ends this view", top.picture((80, 24)))
            top.press("q")
            self.assertTrue(top.is_over)


class HowMuch(Asked):
    """The quotas that the operator has set."""

    def set(self, *quotas: tuple[str, str, int]) -> None:
        with allowed.changing(self.service.mailbox.directory) as write:
            write([Allowance(kind, whom, whom, "2026-11-27T12:00:00Z", str(size))
                   for kind, whom, size in quotas])
        self.ask("quotas")

    def outcome(self, sender: Client, to: str, text: str) -> str:
        """Whether a message was stored: "", or why not."""
        sender.send(to, text)
        sender.listen()
        heard, sender.heard = sender.heard, []
        return next((said.reason for said in heard if isinstance(said, wire.Refused)),
                    "full" if any(isinstance(said, wire.Outcomes) and said.outcome == Outcome.FULL
                                  for said in heard) else "")

    def test_a_name(self) -> None:
        """So much waits for bob, and for nobody else less; also after a restart."""
        ann = self.service.user("ann", caller=ANN)
        for name in ("bob", "cyd"):
            self.service.client(name).hang_up()
        self.set(("name", "bob", 40_000))
        for number in range(4):
            self.assertEqual(self.outcome(ann, "bob", "x" * 12_000) == "", number < 3, number)
            self.assertEqual(self.outcome(ann, "cyd", "x" * 12_000), "")
        self.assertEqual(self.ask("quota")["quotas"][0]["waiting"], 3)
        self.service.stop()
        self.service.start()
        startup.load_kept(self.service.daemon.operations)
        ann = self.service.user("ann", caller=ANN)
        ann._ids += 100                                 # no repetition of what was sent before
        self.assertNotEqual(self.outcome(ann, "bob", "x" * 12_000), "")
        self.set(("name", "bob", 0))                    # no limit
        self.assertEqual(self.outcome(ann, "bob", "x" * 12_000), "")
        self.set(("name", "all", 30_000))
        self.assertEqual([self.outcome(ann, "cyd", "x" * 12_000) == ""], [False])
        self.set()
        self.assertEqual(self.outcome(ann, "cyd", "x" * 12_000), "")

    def test_a_login(self) -> None:
        """Under all its names, in all mailboxes."""
        ann, other = self.service.user("ann", caller=ANN), self.service.user("a2", caller=ANN)
        eve = self.service.user("eve", caller=EVE)
        for name in ("bob", "cyd"):
            self.service.client(name).hang_up()
        self.set(("login", "1001", 30_000))
        self.assertEqual(self.outcome(ann, "bob", "x" * 16_000), "")
        self.assertEqual(self.outcome(other, "cyd", "x" * 16_000), "")
        self.service.forward(2)
        self.assertIn("of your login", self.outcome(ann, "bob", "x"))
        self.assertIn("of your login", self.outcome(other, "cyd", "x"))
        self.assertEqual(self.outcome(eve, "bob", "x" * 16_000), "")
        row = self.ask("quota", "login", "1001", "ann")["quotas"][0]
        self.assertEqual(row["size"], 30_000)
        self.assertGreater(row["waiting"], 30_000)
        self.set(("login", "1001", 100_000))
        self.service.forward(2)
        self.assertEqual(self.outcome(ann, "bob", "x"), "")
        self.set(("login", "all", 10_000))
        self.service.forward(2)
        self.assertIn("of your login", self.outcome(eve, "bob", "x"))

    def test_what_is_told(self) -> None:
        self.service.client("bob").hang_up()
        census = self.service.mailbox.census
        census.look(100 << 30, 0, 1)
        with mock.patch.object(census, "look"):
            told = self.ask("quota")
        self.assertEqual(told["defaults"], [
            {"kind": "login", "size": LOGIN_BYTES, "by_option": True, "in_force": LOGIN_BYTES},
            {"kind": "name", "size": MAILBOX_BYTES, "by_option": True}])
        self.set(("name", "all", 0))
        self.assertEqual(self.ask("quota")["defaults"][1],
                         {"kind": "name", "size": 0, "by_option": False})
        self.assertEqual(self.ask("quota", "name", "bob", "bob")["quotas"][0]["size"], 0)
        self.assertEqual(self.ask("quota", "name", "dan", "dan"),
                         (os.EX_NOUSER, "no user named dan is in the log"))

    def test_a_file_that_can_not_be_read(self) -> None:
        """Leaves what is in force."""
        self.set(("name", "all", 30_000))
        path = Path(self.service.mailbox.directory, allowed.FILE)
        for line in ("name\tbob\tbob\t\tmuch", "host\tx\tx\t\t1", "name\tbob"):
            path.write_text(line + "\n")
            code, reason = self.ask("quotas")
            self.assertEqual(code, os.EX_CONFIG)
            self.assertIn("line 1: not a quota", reason)
        self.assertEqual(self.ask("quota")["defaults"][1]["size"], 30_000)

    def test_too_many(self) -> None:
        with self.assertRaisesRegex(BadFile, "1000 quotas already"):
            self.set(*[("name", f"n{number}", 1) for number in range(ALLOWANCES_MAX + 1)])


class PutOut(Asked):
    def test_who_and_why(self) -> None:
        """By the daemon: not who leaves, hangs up or moves."""
        ann, bob, cyd, *_ = self.service.users("ann", "bob", "cyd", "dan", "eve")
        ann.say(wire.Exit())
        bob.hang_up()
        cyd.say_bytes(b"\0\0\0\1\xff")
        self.ask("kick", "dan")
        self.service.forward(1000)
        self.service.forward(1000)
        told = self.ask("logins")["cuts"]
        self.assertEqual([(cut["name"], cut["reason"]) for cut in told], [
            ("cyd", "no message of kind 255 is known here"), ("dan", "by the operator"),
            ("eve", "no answer to PING")])
        self.assertEqual(self.ask("status")["cut"], 3)

    def test_as_many_as_are_kept(self) -> None:
        cuts = Cuts()
        for number in range(CUTS_MAX + 5):
            cuts.gone(number, "uid 1", {"name": f"n{number}", "reason": "by the operator"})
        self.assertEqual((cuts.total, len(cuts.last), cuts.last[0].name),
                         (CUTS_MAX + 5, CUTS_MAX, "n5"))


class WhoMayBeHere(Asked):
    def test_kick(self) -> None:
        ann = self.service.user("ann")
        self.assertEqual(self.ask("kick", "ANN", "go and eat"), {"kicked": "ann"})
        self.assertIn("by the operator: go and eat", ann.hears(wire.Notice).text)
        self.assertTrue(ann.is_disconnected())
        self.assertEqual(self.ask("kick", "ann")[0], os.EX_UNAVAILABLE)
        self.service.user("ann")                # may come back

    def test_bans(self) -> None:
        """Of a name, a login and a network: who is here goes, and does not come back; others
        may."""
        for ban, name, caller in (((NAME, "Ann"), "ann", ANN), ((LOGIN, "1002"), "eve", EVE),
                                  ((HOST, "192.0.2.0/24"), "far", FAR)):
            with self.subTest(ban=ban):
                banned_one, other = (self.service.user(each, caller=where) for each, where in (
                    (name, caller), ("other", Caller("198.51.100.1:80"))))
                self.assertEqual(self.bans(ban), {"put_out": 1, "bans": 1})
                self.assertRegex(banned_one.hears(wire.Notice).text, "banned .*: spam")
                self.is_refused(name, caller, "banned by the operator of this daemon: spam")
                if ban[0] == NAME:
                    self.service.user(name, caller=OPERATOR).hang_up()  # an operator never is
                self.assertFalse(other.is_disconnected())
                other.hang_up()
                self.assertEqual(self.bans(), {"put_out": 0, "bans": 0})
                self.service.user(name, caller=caller).hang_up()

    def test_other_names_of_a_banned_login(self) -> None:
        self.bans((LOGIN, "1002"))
        self.is_refused("innocent", EVE, "your login is banned")
        self.is_refused("far", Caller("unix:eve/100000", 100000, login=1002), "your login")

    def test_an_address_as_a_name(self) -> None:
        """Nobody takes a neighbour's address for a name, and has the neighbour banned with it."""
        self.bans((NAME, "192.0.2.7"))
        self.is_refused("192.0.2.7", ANN, "the name 192.0.2.7 is banned")
        self.service.user("far", caller=FAR)

    def test_nets_of_all_sizes(self) -> None:
        self.bans((HOST, "0.0.0.0/1"), (HOST, "192.0.2.0/24"), (HOST, "192.0.2.128/32"))
        self.is_refused("far", FAR, "your address is banned")
        self.is_refused("far", Caller("192.0.2.128:1"), "your address is banned")
        self.is_refused("far", Caller("127.0.0.1:1"), "your address is banned")
        self.service.user("far", caller=Caller("192.0.3.7:1"))

    def test_ipv6(self) -> None:
        self.bans((HOST, "2001:db8::/32"), (HOST, "192.0.2.7/32"))
        for where in ("[2001:db8::1]:80", "[::ffff:192.0.2.7]:80", "192.0.2.7:80"):
            self.is_refused("x", Caller(where), "your address is banned")
        self.service.user("x", caller=Caller("[2001:db9::1]:80"))

    def test_they_hold_after_a_restart(self) -> None:
        self.bans((NAME, "ann"))
        self.service.restart()
        startup.load_kept(self.service.daemon.operations)
        self.is_refused("ann", FAR, "the name ann is banned")

    def test_a_file_that_can_not_be_read(self) -> None:
        """What is in force stays; a daemon does not start without its bans."""
        self.bans((NAME, "ann"))
        path = Path(self.service.mailbox.directory, banned.NAME)
        for text in ("name ann\n", "host\tx.y\tx.y\tnow\t\n", "dog\tann\tann\tnow\t\n"):
            path.write_text(text)
            code, reason = self.ask("bans")
            self.assertEqual(code, os.EX_CONFIG)
            self.assertIn(f"{path}, line 1: ", reason)
            self.service.daemon.operations.reload()
            self.service.run()
            self.assertEqual(len(self.service.notes.events("not-reloaded")), 1)
            self.service.notes.told.clear()
            self.is_refused("ann", FAR, "banned")
        with self.assertRaises(BadFile):
            self.service.daemon.operations.banned.load()

    def test_many_bans_and_many_clients(self) -> None:
        """In steps; all bans are in force at once; one reading waits for the other."""
        clients = self.service.users(*[f"n{number}" for number in range(20)])
        self.bans()
        operations, board = self.service.daemon.operations, self.service.daemon.board
        with changing(self.service.mailbox.directory) as write:
            write([Ban(HOST, f"10.{n}.0.0/16", "x", "", "") for n in range(100)]
                  + [Ban(NAME, f"n{n}", "x", "", "") for n in range(10)])
        first, second = (operations.banned.reload(self.service.clock) for _ in range(2))
        steps = 0
        while not board.bans.all:
            next(first)
            next(second)
            steps += 1
        self.assertEqual((steps, len(board.bans.all)), (110 // 32 + 1, 110))
        out = [0, 0]
        for which, reading in enumerate((first, second)):
            try:
                while True:
                    next(reading)
                    steps += 1
            except StopIteration as over:
                out[which] = over.value
        self.assertEqual(out, [10, 0])
        self.assertGreater(steps, 6)
        self.assertEqual([client.is_disconnected() for client in clients],
                         [number < 10 for number in range(20)])

    def test_a_write_that_fails(self) -> None:
        self.bans((NAME, "ann"))
        directory = self.service.mailbox.directory
        with mock.patch("server.kept.Disk.sync", side_effect=OSError(28, "No space left")), \
                self.assertRaises(OSError), changing(directory) as write:
            write([])
        self.assertEqual([ban.whom for ban in read(directory)], ["ann"])
        self.bans()                             # what the other left is no obstacle

    def test_announce(self) -> None:
        ann, bob = self.service.users("ann", "bob")
        self.assertEqual(self.ask("announce", "the disk is changed at 5"), {"told": 2})
        for user in (ann, bob):
            self.assertEqual(user.hears(wire.Notice).text,
                             "the operator announces: the disk is changed at 5")

    def test_drain(self) -> None:
        """Nobody comes in; when the last has left the daemon ends."""
        ann = self.service.user("ann")
        self.ask("drain")
        self.is_refused("bob", FAR, "about to stop")
        chatting = self.service.client("cron", features=wire.Feature.ERRAND)    # parley chat
        self.assertIn("about to stop", chatting.hears(wire.Rejected).reason)
        self.service.user("cron", features=BRIEF).hang_up()
        self.ask("undrain")
        self.assertIn("about to stop", ann.hears(wire.Notice).text)
        self.assertIn("may come in again", ann.hears(wire.Notice).text)
        self.ask("undrain")
        ann.hears_nothing()
        self.service.user("bob").hang_up()
        self.ask("drain")
        self.assertEqual(self.service.daemon.signal, 0)
        ann.hang_up()
        self.service.forward(1)
        self.assertEqual(self.service.daemon.signal, 15)

    def test_drain_for_so_long(self) -> None:
        self.service.user("ann")
        self.ask("drain", "60")
        self.service.forward(50)
        self.assertEqual(self.service.daemon.signal, 0)
        self.service.forward(11)
        self.assertEqual(self.service.daemon.signal, 15)


class Certificate(Asked):
    """Read anew at HUP; its end is told 30 days before."""

    def setUp(self) -> None:
        super().setUp()
        self.operations = self.service.daemon.operations
        self.path = Path(self.service.directory, "cert.pem")

    def use(self, text: str) -> None:
        self.path.write_text(text)
        self.operations.certificate = lambda: Server(str(self.path), str(self.path))
        self.operations.reload()

    def test_at_hup(self) -> None:
        self.use(ONE)
        listener = self.enterContext(socket.create_server(("127.0.0.1", 0)))
        self.service.daemon.doors.listen(listener, "tls:here", self.operations.certificate())
        self.use(OTHER)
        fingerprints = [told["fingerprint"] for told in self.service.notes.events("certificate")]
        self.assertEqual(fingerprints, [Server(str(self.path), str(self.path)).fingerprint
                                        if text is OTHER else mock.ANY for text in (ONE, OTHER)])
        server, = self.service.daemon.doors._servers.values()
        self.assertEqual(server.fingerprint, fingerprints[1])
        self.use("no certificate")
        self.assertEqual(len(self.service.notes.events("not-reloaded")), 1)
        self.assertIs(*self.service.daemon.doors._servers.values(), server)

    def test_when_it_ends(self) -> None:
        """What the certificate says, which is years away; then as if it were days."""
        self.use(ONE)
        self.assertGreater(self.operations.expires, 4_000_000_000)
        self.assertEqual(self.service.notes.events("certificate-expires"), [])
        self.operations.expires = self.service.clock.wall / 1e6 + 31.5 * 86400
        for _ in range(40):
            self.service.forward(86400)
        told = [each["days"] for each in self.service.notes.events("certificate-expires")]
        self.assertEqual(told[:3], [29, 28, 27])        # 30.5 days was no news
        self.assertEqual(told[-2:], [0, 0])
        self.assertEqual(self.ask("status")["certificate_until"], self.operations.expires)

    @needs("openssl")
    def test_one_that_has_ended(self) -> None:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=x",
                        "-keyout", str(self.path), "-out", str(self.path) + ".cert"],
                       check=True, capture_output=True)
        self.use(self.path.read_text() + Path(str(self.path) + ".cert").read_text())
        self.assertLess(abs(self.operations.expires - time.time() - 86400), 60)
        with mock.patch("ssl.SSLObject.do_handshake", side_effect=expired()):
            self.assertEqual(self.operations.certificate().expires(), 0.0)


def expired() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError("certificate has expired")
    error.verify_code = 10
    return error


class NamesThatGo(Asked):
    def setUp(self) -> None:
        super().setUp()
        self.ann = self.service.user("ann", caller=ANN)
        self.eve = self.service.user("eve", caller=EVE)

    def test_retired(self) -> None:
        """Nobody is it, nobody writes to it, and messages to all leave it out."""
        self.assertEqual(self.ask("retire", "eve")["retired"], "eve")
        self.assertIn("was retired", self.eve.hears(wire.Notice).text)
        self.is_refused("eve", EVE, "eve was retired by the operator")
        number = self.ann.send("eve", "hi")
        refused = self.ann.hears(wire.Refused, id=number)
        self.assertEqual((refused.why, refused.reason),
                         (Why.UNKNOWN, "eve was retired: nobody reads it any more"))
        self.service.user("bob")
        number = self.ann.send("", "to all", SendFlag.EVERYONE)
        self.ann.hears(wire.Stored, first=number)
        self.assertEqual(self.service.mailbox.find("eve").waiting, 0)
        self.assertEqual(self.ask("names", "eve")["names"][0]["state"], "retired")

    def test_who_wrote_to_it_before(self) -> None:
        """An audience that was found before is not remembered."""
        self.ann.hears(wire.Stored, first=self.ann.send("eve", "one"))
        self.ask("retire", "eve")
        self.ann.hears(wire.Refused, id=self.ann.send("eve", "two"))

    def test_after_a_restart(self) -> None:
        self.ask("retire", "eve")
        self.service.restart()
        self.is_refused("eve", EVE, "retired")
        self.ask("reinstate", "eve")
        self.service.restart()
        self.service.user("eve", caller=EVE)
        self.assertEqual(self.ask("reinstate", "eve")[0], os.EX_UNAVAILABLE)

    def test_what_waits(self) -> None:
        """It is exported page by page, and purged; a name that is in use loses nothing."""
        self.eve.hang_up()
        for number in range(1200):
            self.ann.send("eve", f"message {number}")
        self.assertEqual(self.ask("purge", "eve")[0], os.EX_USAGE)
        self.assertEqual(self.ask("retire", "eve")["waiting"], 1200)
        texts, after = [], 0
        while (told := self.ask("waiting", "eve", str(after)))["messages"]:
            texts += [each["text"] for each in told["messages"]]
            after = told["after"]
        self.assertEqual(texts, [f"message {number}" for number in range(1200)])
        self.assertEqual(self.ask("purge", "eve"), {"purged": 1200})
        self.service.restart()
        self.assertEqual(self.service.mailbox.find("eve").waiting, 0)

    def test_on_the_disk_before_it_is_said(self) -> None:
        asking = self.service.connect(OPERATOR)
        with mock.patch.object(self.service.mailbox, "settled", lambda wait=False: 0):
            asking.say(wire.Operate(("retire", "eve")))
            self.service.forward(5)
            asking.listen()
            self.assertEqual(asking.heard, [])
        self.service.forward(1)
        asking.hears(wire.Report, code=0)

    def test_a_disk_that_refuses(self) -> None:
        """Who is told that a name is retired, or is one again, is told what is true."""
        box = self.service.mailbox
        for order in ("retire", "reinstate"):
            with mock.patch.object(box._journals, "append",
                                   side_effect=OSError(errno.ENOSPC, "No space left")):
                self.assertEqual(self.ask(order, "eve")[0], os.EX_TEMPFAIL)
            box.upkeep.regain_at = 0.0
            self.service.forward(1)
            self.ask(order, "eve")

    def test_reinstated_while_it_is_purged(self) -> None:
        """What comes for the user then is not purged."""
        self.eve.hang_up()
        for number in range(600):
            self.ann.send("eve", f"message {number}")
        self.ask("retire", "eve")
        retirement, eve = self.service.daemon.board.retirement, box_of(self.service, "eve")
        purge = retirement.purge(eve)
        next(purge)
        retirement.set(eve, False, self.service.clock())
        self.ann.send("eve", "welcome back")
        self.assertEqual(list(purge), [])
        self.assertEqual(eve.waiting, 101)


def box_of(service: Service, name: str) -> User:
    user = service.mailbox.find(name)
    assert user is not None
    return user


def run(*words: str) -> tuple[int, str]:
    """The exit code of the program parleyd, and what it says."""
    said: list[str] = []
    with mock.patch("terminal.printer.line", said.append), \
            mock.patch("terminal.printer.complain", lambda who, text: said.append(text)):
        try:
            code = program.main(words)
        except SystemExit as end:
            code = int(end.code or 0)
    return code, "".join(f"{line}\n" for line in said)


class Programs(unittest.TestCase):
    """The program that runs, and the one that asks it."""

    def test_in_a_house_where_people_live(self) -> None:
        service = self.enterContext(DaemonProcess())
        home = self.enterContext(tempfile.TemporaryDirectory())

        def ask(word: str, *words: str, code: int = 0) -> str:
            done, said = run(word, "--connect", "unix:" + service.path, *words)
            self.assertEqual(done, code, (word, words, said))
            return said

        self.assertIn("200 connected", ask("status"))
        self.assertEqual(json.loads(ask("status", "--json"))["clients"], 200)
        self.assertIn("parley_clients 200\n", ask("status", "--prometheus"))
        self.assertIn("parley OK: answered in ", ask("check"))
        name = json.loads(ask("names", "--json").splitlines()[0])["name"]
        self.assertIn(f"{name} was disconnected", ask("kick", name, "lunch"))
        self.assertIn("is banned; 0 clients", ask("ban", "name", name, "until", "monday"))
        self.assertIn("until monday", ask("bans"))
        self.assertIn("is banned no more", ask("unban", "name", name))
        self.assertIn("is not banned", ask("unban", "name", name, code=os.EX_UNAVAILABLE))
        self.assertIn("199 users told", ask("announce", "dinner", "is", "ready"))
        away = next(user for user in map(json.loads, ask("names", "--json", "a").splitlines())
                    if user["waiting"])
        export = f"{home}/export"
        said = ask("retire", away["name"], "--export", export)
        self.assertIn(f"; {away['waiting']} message", said)
        self.assertEqual(len(Path(export).read_text().splitlines()), away["waiting"])
        self.assertIn("used again", ask("reinstate", away["name"]))
        self.assertIn("the copy is whole", ask("backup", f"{home}/copy"))
        self.assertIn("is there already", ask("backup", f"{home}/copy", code=os.EX_CANTCREAT))
        with DaemonProcess(store=f"{home}/copy") as copy, copy.client("newcomer") as client:
            self.assertGreater(client.welcome.time, 0)
        self.assertIn("is no Unix socket", ask("status", "--connect", "127.0.0.1:1",
                                               code=os.EX_USAGE))
        self.assertIn("no daemon listens", ask("status", "--connect", f"unix:{home}/none",
                                               code=os.EX_UNAVAILABLE))
        self.assertIn("the daemon ends when", ask("drain", "--wait", "1"))
        self.assertEqual(service.process.wait(20), 0)

    def test_bans_are_told_in_local_time(self) -> None:
        self.addCleanup(time.tzset)
        with mock.patch.dict(os.environ, TZ="UTC-1"):
            time.tzset()
            for since, shown in (("2026-11-27T23:59:00Z", "2026-11-28 00:59"), ("ever", "ever")):
                ban = Ban(NAME, "eve", "eve", since, "spam")
                with mock.patch("server.control.ask", return_value={"store": "/"}), \
                        mock.patch("server.control.read", return_value=[ban]):
                    self.assertIn(f" {shown} spam", run("bans")[1])
                    self.assertIn(f'"{since}"', run("bans", "--json")[1])

    def test_a_daemon_that_is_stopped(self) -> None:
        """Whoever waits hears of it; monitoring and the live table have their own words."""
        with tempfile.TemporaryDirectory() as place, socket.socket(socket.AF_UNIX) as listener, \
                mock.patch("server.orders.SILENT_SECONDS", 0.01):
            listener.bind(f"{place}/s")
            listener.listen()
            wanted = argparse.Namespace(connect=f"unix:{place}/s")
            for quiet in False, True:
                with mock.patch("terminal.printer.complain") as complained, \
                        self.assertRaisesRegex(Refused, "did not answer: not within 0.02 s"):
                    ask(wanted, "status", seconds=0.02, quiet=quiet)
                self.assertEqual(["does not answer yet" in call.args[1]
                                  for call in complained.call_args_list], [True] * (not quiet))

    def test_wrong_words(self) -> None:
        """An order that there is not; REASON may be left out."""
        code, said = run("statsu")
        self.assertEqual(code, os.EX_USAGE)
        self.assertIn("'statsu' is no subcommand: these are status, top, ", said)
        self.assertIn("required: NAME; see", run("kick")[1])

    def test_each_has_a_help(self) -> None:
        self.assertEqual(tuple(SUBCOMMANDS), options.SUBCOMMANDS)
        for word, row in SUBCOMMANDS.items():
            code, said = run(word, "--help")
            self.assertEqual(code, 0)
            self.assertIn(row.about, " ".join(said.split()))


if __name__ == "__main__":
    unittest.main()
