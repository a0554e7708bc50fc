"""Who may be whom: owners, logins, operators, claims and old sessions; a thousand attempts to be
somebody else."""
import contextlib
import itertools
import os
import random
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import wire
from net import scram
from net.logins import (
    FAILED_SECONDS,
    LOOK_SECONDS,
    REMEMBER_MAX,
    REMEMBER_SECONDS,
    SLOW_SECONDS,
    Logins,
    _version,
    can_tell,
    lists_all,
    peer_uid,
)
from net.scram import Binding
from net.texts import RESERVED
from rules.bans import Ban
from rules.claims import Identity
from rules.guesses import HOST_TRIES, NAME_TRIES, WRONG_MEMORY, WRONG_SECONDS
from rules.state import Caller, Refusal
from rules.store import Setting
from server.chores import RETRY_SECONDS
from tests.harness.process import HERE, DaemonProcess
from tests.harness.service import Service
from wire import Why

PROVE = int(wire.Feature.PROVE)
UNBOUND = Binding()
ITERATIONS = 4096           # so few that a test has the time
ROOT, SELF, ANN, BOB, EVE = 0, 900, 1001, 1002, 1003
LOGINS = {"ann": ANN, "bob": BOB, "daemon": 1}
IDENTITY = Identity(False, b"secret" * 6, LOGINS.get, frozenset({ROOT, SELF}))


def unix(uid):
    return Caller(f"unix:{uid}", uid)


def tcp(host="192.0.2.1", port=5):
    return Caller(f"{host}:{port}")


def verifier(passphrase, salt=b"s" * 16):
    return scram.verifier(scram.derive(passphrase, salt, ITERATIONS), salt, ITERATIONS)


class TcpNames(unittest.TestCase):
    """--tcp-names claimed: whoever has not claimed a name comes in at the Unix socket first."""

    def test_only_claimed_names(self):
        with House(IDENTITY._replace(tcp_claimed=True)) as house:
            for name in ("new", "known"):
                house.mailbox.register("known", 1)
                reason = house.refused(name, tcp())
                self.assertIn(f"ssh -t HOST parley --name {name}), type /claim there", reason)
            self.assertIsNone(house.mailbox.find("new"), "a name that is refused is not registered")
            for name, caller in (("new", unix(4711)), ("other", Caller("unix"))):
                client = house.enters(name, caller)
                house.claims(client, f"pass of {name}")
                house.away(client)
                client, challenge = house.challenged(name, tcp())
                house.answers(client, challenge, f"pass of {name}")
                client.hears(wire.Verified)
                client.hears(wire.Welcome)


class WhileItProves(unittest.TestCase):
    """What the operator says between CHALLENGE and PROOF holds."""

    def test_banned_or_retired(self):
        with House() as house:
            house.claims(house.enters("ann", unix(ANN)), "secret")
            board = house.daemon.board
            for forbid, reason in (
                    (lambda: board.bans.load([Ban("name", "ann", "ann", "", "")]), "banned"),
                    (lambda: board.retirement.set(house.mailbox.find("ann"), True, house.clock()),
                     "retired")):
                client, challenge = house.challenged("ann", tcp())
                forbid()
                house.answers(client, challenge, "secret")
                self.assertIn(reason, client.hears(wire.Rejected, why=Why.DENIED).reason)
                board.bans.load([])


def setUpModule():
    unittest.enterModuleContext(mock.patch("net.scram.ITERATIONS", ITERATIONS))


class House(Service):
    """A service with names that are kept."""

    def __init__(self, identity=IDENTITY):
        super().__init__(identity=identity)

    def caller(self, name, caller, features=PROVE, **more):
        return self.client(name, features, caller=caller, **more)

    def enters(self, name, caller, **more):
        client = self.caller(name, caller, **more)
        client.welcome = client.hears(wire.Welcome)
        return client

    def refused(self, name, caller, why=Why.DENIED, **more):
        client = self.caller(name, caller, **more)
        said = client.hears(wire.Rejected, why=why)
        assert client.is_disconnected()
        return said.reason

    def challenged(self, name, caller, **more):
        """Such a client, and its challenge."""
        client = self.caller(name, caller, **more)
        return client, client.hears(wire.Challenge)

    def answers(self, client, challenge, passphrase, name=None, binding=UNBOUND,
                nonce=b"\x11" * 16):
        """Prove by this passphrase; what was said, and what is expected of the daemon."""
        key = scram.derive(passphrase, challenge.salt, ITERATIONS)
        talk = scram.conversation(name or client.name, nonce.hex(), challenge.nonce.hex(),
                                  challenge.salt, challenge.iterations, binding)
        proof = wire.Proof(nonce, scram.prove(key, talk))
        client.say(proof)
        return proof, scram.sign(scram.verifier(key, challenge.salt, ITERATIONS), talk)

    def claims(self, client, passphrase, request=1, **more):
        client.say(wire.Claim(request, *verifier(passphrase, **more)))
        client.hears(wire.Done, request=request)

    def away(self, *clients):
        for client in clients:
            client.hang_up()

    def owner(self, name):
        return self.mailbox.find(name).settings.get(Setting.OWNER)


class Owners(unittest.TestCase):
    def test_a_login_of_this_host_is_its_own(self):
        for name in ("ann", "ANN", "aNn"):
            with House() as house:
                for uid in (BOB, EVE):
                    self.assertIn("another login", house.refused(name, unix(uid)))
                house.away(house.enters(name, unix(ANN)))
                self.assertIn("another login", house.refused("Ann", unix(BOB)))

    def test_any_other_name_is_its_first_uids(self):
        with House() as house:
            house.away(house.enters("torque", unix(EVE)))
            for name in ("torque", "Torque", "TORQUE"):
                self.assertIn("choose another name", house.refused(name, unix(ANN)))
            house.restart()
            house.refused("torque", unix(ANN))
            house.away(house.enters("torque", unix(EVE)))
            self.assertEqual(house.owner("torque"), EVE.to_bytes(4, "big"))

    def test_a_login_that_came_later_wins(self):
        logins = {}
        with House(IDENTITY._replace(logins=logins.get)) as house:
            house.away(house.enters("ann", unix(EVE)))
            logins["ann"] = ANN
            house.refused("ann", unix(EVE))
            house.enters("ann", unix(ANN))

    def test_a_login_that_came_in_keeps_its_name_while_the_list_is_away(self):
        """Away is mostly what a list without that login is like; and it is after a restart of the
        daemon too."""
        def fails(name):
            raise OSError
        for away in ({}.get, fails):
            logins = {"ann": ANN}
            def look(name, logins=logins):
                return logins[""](name) if "" in logins else logins.get(name)
            with House(IDENTITY._replace(logins=look)) as house:
                house.away(house.enters("ann", unix(ANN)))
                self.assertEqual(house.owner("ann"), ANN.to_bytes(4, "big"))
                logins[""] = away
                house.restart()
                house.refused("ann", unix(EVE))
                house.refused("ANN", unix(BOB))
                client, challenge = house.challenged("ann", tcp())
                house.answers(client, challenge, "guess")
                client.hears(wire.Rejected, why=Why.DENIED)
                house.away(house.enters("ann", unix(ANN)))

    def test_a_login_takes_its_name_from_its_owner_of_former_times_for_good(self):
        logins = {}
        with House(IDENTITY._replace(logins=logins.get)) as house:
            house.away(house.enters("ann", unix(EVE)))
            logins["ann"] = ANN
            house.away(house.enters("ann", unix(ANN)))
            del logins["ann"]
            house.refused("ann", unix(EVE))
            house.enters("ann", unix(ANN))

    def test_a_look_up_that_fails_makes_no_name_free(self):
        """One that the store knows nothing of is nobody's until the list answers; a passphrase is
        one all the same."""
        def fails(name):
            raise OSError
        lists = [LOGINS.get]
        with House(IDENTITY._replace(logins=lambda name: lists[0](name))) as house:
            house.away(house.enters("torque", unix(EVE)))
            house.claims(sam := house.enters("sam", tcp()), "right")
            house.away(sam)
            lists[0] = fails
            for name, caller in itertools.product(("bob", "new"), (unix(EVE), unix(BOB), tcp())):
                self.assertIn("does not answer: try again", house.refused(name, caller, Why.FULL))
            house.away(house.enters("torque", unix(EVE)))
            house.refused("torque", unix(BOB))
            for caller in (unix(BOB), tcp()):
                client, challenge = house.challenged("sam", caller)
                house.answers(client, challenge, "right")
                client.hears(wire.Verified)
                client.hears(wire.Welcome)
                house.away(client)
            self.assertIsNone(house.owner("sam"))
            house.away(house.enters("bob", unix(ROOT)))
            self.assertIsNone(house.owner("bob"))
            lists[0] = LOGINS.get
            house.refused("bob", unix(EVE))
            house.enters("bob", unix(BOB))

    def test_a_name_of_the_network_is_taken_by_the_first_login_with_what_waits(self):
        with House() as house:
            house.away(*[house.enters(name, tcp()) for name in ("torque", "sam")])
            sam = house.enters("sam", tcp())
            sam.send("torque", "for whoever is torque")
            house.away(sam)
            self.assertEqual(house.enters("torque", unix(EVE)).welcome.waiting, 1)
            house.challenged("torque", tcp())

    def test_one_that_was_claimed_over_the_network_is_not(self):
        with House() as house:
            eve = house.enters("torque", tcp())
            house.claims(eve, "right")
            house.away(eve)
            client, challenge = house.challenged("torque", unix(BOB))
            house.answers(client, challenge, "wrong")
            client.hears(wire.Rejected, why=Why.DENIED)
            self.assertIsNone(house.owner("torque"))
            house.forward(WRONG_SECONDS)
            client, challenge = house.challenged("torque", unix(EVE))
            house.answers(client, challenge, "right")
            client.hears(wire.Verified)
            client.hears(wire.Welcome)
            house.away(client)
            house.enters("torque", unix(EVE))           # proved once, it is this login's

    def test_operators_come_in_and_own_nothing_by_it(self):
        for uid in (ROOT, SELF):
            with House() as house:
                house.away(house.enters("torque", unix(EVE)), house.enters("net", tcp()))
                net = house.enters("net", tcp())
                house.claims(net, "right")
                house.away(net)
                house.away(*[house.enters(name, unix(uid)) for name in ("torque", "ann", "net")])
                self.assertEqual([note["name"] for note in house.notes.events("operator")],
                                 ["torque", "ann", "net"])
                self.assertEqual((house.owner("ann"), house.owner("net")), (None, None))
                house.enters("torque", unix(EVE))
                own = house.enters("own", unix(uid))
                house.away(own)
                house.refused("own", unix(EVE))

    def test_trust(self):
        with House(Identity(trusting=True)) as house:
            for caller in (unix(EVE), tcp(), unix(ANN)):
                house.away(house.enters("bob", caller))
            bob = house.enters("bob", tcp())
            bob.say(wire.Claim(1, *verifier("x")))
            self.assertIn("on trust", bob.hears(wire.Failed, request=1).reason)
            self.assertIsNone(house.owner("bob"))

    def test_who_is_an_operator(self):
        """By the uid and by nothing else, with names on trust and without."""
        for identity in (IDENTITY, Identity(trusting=True, operators=IDENTITY.operators)):
            with House(identity) as house:
                callers = {"r": unix(ROOT), "s": unix(SELF), "e": unix(EVE), "t": tcp(),
                           "l": tcp("127.0.0.1")}
                for name, caller in callers.items():
                    house.enters(name, caller)
                found = {client.name for client in house.daemon.board.roster.clients.values()
                         if client.is_operator}
                self.assertEqual(found, {"r", "s"})

    def test_reserved_names(self):
        with House() as house:
            for name, caller in itertools.product(("root", "ROOT", "all", "Server", "admin"),
                                                  (unix(ROOT), unix(EVE), tcp())):
                house.refused(name, caller, Why.BAD_NAME)

    def test_the_refusal_of_a_reserved_name_lists_all_of_them_in_a_row(self):
        with House() as house:
            for name in (*RESERVED, "Root"):
                why, _, names = house.refused(name, unix(EVE), Why.BAD_NAME).partition("; ")
                words = set(names.lower().replace(",", "").split())
                self.assertEqual(words, RESERVED - {name.lower()} | {"so", "would"})
                self.assertIn("is reserved: it would read as", why)

    def test_who_had_such_a_name_before_it_was_reserved_keeps_it(self):
        with House() as house:
            house.mailbox.register("operator", 1)
            house.enters("operator", unix(ANN))
            house.refused("daemon", unix(ANN), Why.BAD_NAME)

    def test_a_name_that_the_disk_refused_is_nobodys(self):
        with House() as house:
            house.mailbox.disk.write = self.full
            house.refused("torque", unix(EVE), Why.FULL)
            del house.mailbox.disk.write
            house.mailbox.upkeep.regain_at = 0.0
            house.forward(RETRY_SECONDS)
            house.enters("torque", unix(BOB))
            self.assertEqual(house.owner("torque"), BOB.to_bytes(4, "big"))

    def full(self, *_):
        raise OSError(28, "No space left on device")


class Cost(unittest.TestCase):
    def test_whoever_is_in_is_not_asked_again(self):
        """Nothing of all this runs for a message: sent, delivered, confirmed."""
        with House() as house:
            ann, sam = house.enters("ann", unix(ANN)), house.enters("sam", tcp())
            house.claims(sam, "right")
            called = set()
            sys.setprofile(lambda frame, event, _: called.add(Path(frame.f_code.co_filename).name))
            try:
                for number in range(3):
                    ann.send("sam", f"message {number}")
                    mail = sam.hears(wire.Mail)
                    sam.confirm(mail)
                    sam.hears(wire.Confirmed)
                sam.say(wire.Check(7), wire.List(8), wire.Ping(9))
            finally:
                sys.setprofile(None)
            self.assertLessEqual({"post.py", "delivery.py", "daemon.py", "mailbox.py"}, called)
            self.assertEqual(called & {"claims.py", "logins.py", "scram.py", "tls.py", "pwd.py",
                                       "hmac.py"}, set())


class Claimed(unittest.TestCase):
    def test_a_claim_and_what_it_takes(self):
        with House() as house:
            sam = house.enters("sam", tcp())
            house.claims(sam, "right")
            house.away(sam)
            house.restart()
            client, challenge = house.challenged("SAM", tcp())
            _, signature = house.answers(client, challenge, "right")
            self.assertEqual(client.hears(wire.Verified).signature, signature)
            self.assertEqual(client.hears(wire.Welcome).name, "sam")
            house.claims(client, "other", salt=b"t" * 16)
            house.away(client)
            client, challenge = house.challenged("sam", tcp())
            house.answers(client, challenge, "right")
            client.hears(wire.Rejected, why=Why.DENIED)
            self.assertEqual(house.notes.events("wrong-proof"),
                             [{"name": "sam", "address": "192.0.2.1:5"}])
            house.forward(WRONG_SECONDS)
            client, challenge = house.challenged("sam", tcp())
            house.answers(client, challenge, "other")
            client.hears(wire.Verified)
            client.hears(wire.Welcome)
            client.say(wire.Unclaim(9))
            client.hears(wire.Done, request=9)
            client.say(wire.Unclaim(10))
            client.hears(wire.Failed, request=10)
            house.away(client)
            house.enters("sam", tcp())

    def test_an_owner_needs_no_passphrase_at_home_and_one_elsewhere(self):
        with House() as house:
            ann = house.enters("ann", unix(ANN))
            house.claims(ann, "right")
            house.away(ann)
            house.away(house.enters("ann", unix(ANN)))
            client, challenge = house.challenged("ann", tcp())
            house.answers(client, challenge, "right")
            client.hears(wire.Verified)
            client.hears(wire.Welcome)

    def test_a_program_of_the_time_before(self):
        with House() as house:
            self.assertIn("can't give one", house.refused("ann", tcp(), features=0))
            house.enters("free", tcp(), features=0)

    def test_a_line_is_bound_to_its_certificate(self):
        with House() as house:
            sam = house.enters("sam", tcp())
            house.claims(sam, "right")
            house.away(sam)
            ours, other = (Binding(scram.TLS, letter * 32) for letter in (b"c", b"m"))
            for mine, theirs, is_right in ((ours, ours, True), (other, ours, False),
                                           (Binding(), ours, False)):
                client, challenge = house.challenged("sam", Caller("192.0.2.1:5", None, theirs))
                house.answers(client, challenge, "right", binding=mine)
                client.hears(wire.Verified if is_right else wire.Rejected)
                house.away(client)
                house.forward(WRONG_SECONDS)

    def test_a_proof_is_bound_to_the_door(self):
        """A client that can bind is told to what, and nothing else is taken from it; one of 0.1
        comes in as it did."""
        secured = Binding(scram.TLS, b"c" * 32)
        doors = {scram.TCP: "tcp ", scram.unix(SELF): f"unix-listener {SELF:08x}",
                 scram.unix(None): "unix-listener ",
                 secured: "tls-server-end-point " + "63" * 32}
        with House() as house:
            house.claims(sam := house.enters("sam", tcp()), "right")
            house.away(sam)
            for door, words in doors.items():
                caller = Caller("192.0.2.1:5", None, door)
                for mine in (*doors, Binding()):
                    for features in (PROVE, PROVE | wire.Feature.BIND):
                        client = house.caller("sam", caller, features)
                        if features & wire.Feature.BIND:
                            self.assertEqual(" ".join(client.hears(wire.Binding)), words)
                        house.answers(client, client.hears(wire.Challenge), "right", binding=mine)
                        expected = door if features & wire.Feature.BIND else door.before
                        client.hears(wire.Verified if mine == expected else wire.Rejected)
                        house.away(client)
                        house.forward(WRONG_SECONDS)

    def test_a_client_from_which_the_question_was_kept(self):
        """It could bind its proof and was not asked to: its nonce says so."""
        with House() as house:
            house.claims(sam := house.enters("sam", tcp()), "right")
            house.away(sam)
            for nonce, kind in ((scram.STRIPPED + bytes(10), wire.Rejected),
                                (b"x" + scram.STRIPPED + bytes(9), wire.Verified)):
                client, challenge = house.challenged("sam", tcp())
                house.answers(client, challenge, "right", nonce=nonce)
                client.hears(kind)
                house.away(client)
                house.forward(WRONG_SECONDS)
            for event in "wrong-proof", "relayed-proof":
                self.assertEqual(house.notes.events(event),
                                 [{"name": "sam", "address": "192.0.2.1:5"}])

    def test_who_was_never_claimed_cannot_be_told_from_who_was(self):
        """A name that is kept, and one that is claimed: the same salt each time, the same words,
        the same log."""
        with House() as house:
            house.claims(house.enters("sam", tcp()), "right")
            house.enters("torque", unix(EVE))
            said = {}
            for name in ("sam", "torque", "ann"):
                salts, words = set(), set()
                for _ in range(2):
                    client, challenge = house.challenged(name, tcp())
                    salts.add((challenge.salt, len(challenge.nonce)))
                    house.answers(client, challenge, "guess")
                    words.add(client.hears(wire.Rejected,
                                           why=Why.DENIED).reason.replace(name, "NAME"))
                    house.forward(WRONG_SECONDS)
                    house.restart()
                self.assertEqual((len(salts), len(words)), (1, 1))
                said[name] = words
            self.assertEqual(len(set(map(frozenset, said.values()))), 1)
            # the last start has none
            self.assertEqual(len(house.notes.events("wrong-proof")), 0)
            _, one = house.challenged("ann", tcp())
            with House(IDENTITY._replace(secret=b"another")) as other:
                self.assertNotEqual(one.salt, other.challenged("ann", tcp())[1].salt)

    def test_the_same_work_for_every_name_that_is_kept(self):
        """The same calls, one after the other, so that the time tells nothing; but for those that
        take some 50 ns.  (tests/torture/proof_times.py takes the times of a real daemon.)"""
        with House() as house:
            for name, caller, is_claimed in (("sam", tcp(), True), ("rita", unix(EVE), True),
                                             ("torque", unix(EVE), False), ("sue", tcp(), True),
                                             ("tim", unix(EVE), False), ("bob", unix(BOB), False)):
                client = house.enters(name, caller)
                if is_claimed:
                    house.claims(client, "right")
                if name not in ("sue", "tim"):
                    house.away(client)
            claims, traces, calls = house.daemon.board.claims, {}, []

            def note(frame, event, what):
                if event in ("call", "c_call"):
                    name = frame.f_code.co_qualname if event == "call" else what.__qualname__
                    calls.extend([name] * (name not in ("dict.get", "str.lower", "Struct.unpack")))
            for number, name in enumerate(("sam", "rita", "torque", "bob", "ann", "sue", "tim")):
                hello, calls[:] = wire.Hello(wire.VERSION, PROVE, bytes(16), name), []
                caller = tcp(f"198.51.100.{number}")
                sys.setprofile(note)
                try:
                    question = claims.question(hello, caller, house.clock())
                    with contextlib.suppress(Refusal):
                        claims.verified(question, wire.Proof(bytes(16), bytes(32)), caller,
                                        house.clock())
                finally:
                    sys.setprofile(None)
                traces[name] = list(calls)
            self.assertGreater(len(traces["sam"]), 50)
            for name, trace in traces.items():
                self.assertEqual(trace, traces["sam"], name)

    def test_guessing_is_slow_also_for_who_hangs_up(self):
        with House() as house:
            sam = house.enters("sam", tcp("192.0.2.9"))
            house.claims(sam, "right")
            client, challenge = house.challenged("sam", tcp())
            house.answers(client, challenge, "guess")
            client.hears(wire.Rejected)
            for port in range(3):
                late = house.caller("sam", tcp(port=port))
                late.hears_nothing()
                house.away(late)
            # another host does not wait
            house.away(house.challenged("sam", tcp("192.0.2.2"))[0])
            late = house.caller("sam", tcp())
            late.hears_nothing()
            house.forward(WRONG_SECONDS / 2)
            late.hears_nothing()
            house.forward(WRONG_SECONDS / 2 + 1)
            sam.say(wire.Ping(1))
            house.answers(late, late.hears(wire.Challenge), "right")
            late.hears(wire.Rejected, why=Why.TAKEN)         # right, but sam is here

    def guesses(self, house, hosts, seconds, name="sam"):
        """All of these hosts guess at a name as fast as they can; how often they were told that
        they are wrong."""
        told, lines = 0, []
        for _ in range(int(seconds * 10)):
            lines += [house.caller(name, tcp(host)) for host in hosts[len(lines):]]
            for place, client in enumerate(lines):
                client.listen()
                if client.heard:
                    house.answers(client, client.hears(wire.Challenge), "guess")
                    told += client.hears(wire.Rejected).why == Why.DENIED
                    lines[place] = house.caller(name, tcp(hosts[place]))
                elif client.closed:
                    lines[place] = house.caller(name, tcp(hosts[place]))
            house.forward(0.1)
        house.away(*lines)
        return told

    def test_many_addresses_of_one_host_guess_as_slowly_as_one(self):
        for hosts in ([f"127.0.{n}.1" for n in range(20)], [f"2001:db8::{n}" for n in range(20)]):
            with House() as house:
                house.claims(sam := house.enters("sam", tcp("192.0.2.9")), "right")
                house.away(sam)
                self.assertLessEqual(self.guesses(house, hosts, 10), len(hosts) + NAME_TRIES * 10)
                other = "127.3.3.3" if "127" in hosts[0] else "2001:db8::ffff"
                late = house.caller("sam", tcp(other))
                late.hears_nothing()

    def test_a_host_with_many_connections_guesses_as_slowly_as_with_few(self):
        """At many names, and with all proofs asked for before the first is wrong.  Of more than it
        may give, not even the right one is told."""
        with House() as house:
            house.claims(sam := house.enters("sam", tcp("192.0.2.9")), "right")
            house.away(sam)
            lines = [house.challenged(name, tcp()) for name in ("ann", "bob") * 10]
            right = house.challenged("sam", tcp())
            whys = []
            for client, challenge in lines:
                house.answers(client, challenge, "guess")
                whys.append(client.hears(wire.Rejected).why)
            self.assertEqual(whys, [Why.DENIED] * HOST_TRIES + [Why.FULL] * (20 - HOST_TRIES))
            house.answers(*right, "right")
            self.assertIn("wait 1 s", right[0].hears(wire.Rejected, why=Why.FULL).reason)
            house.forward(WRONG_SECONDS)
            client, challenge = house.challenged("sam", tcp())
            house.answers(client, challenge, "right")
            client.hears(wire.Verified)

    def test_many_hosts_share_the_tries_at_one_name(self):
        """The first of each, and then a few a second for all; an owner elsewhere, or who erred
        once, comes in."""
        with House() as house:
            house.claims(sam := house.enters("sam", tcp("192.0.2.9")), "right")
            house.claims(rita := house.enters("rita", tcp("192.0.2.9")), "hers")
            house.away(sam, rita)
            hosts = [f"198.51.100.{n}" for n in range(40)]
            self.assertEqual(self.guesses(house, hosts, 1), len(hosts))
            told = self.guesses(house, hosts, 20)
            self.assertLessEqual(told, NAME_TRIES * 21)
            self.assertGreater(told, NAME_TRIES * 10)
            client, challenge = house.challenged("sam", tcp("203.0.113.1"))
            house.answers(client, challenge, "right")
            client.hears(wire.Verified)
            house.away(client)
            house.forward(WRONG_SECONDS)
            house.challenged("rita", tcp(hosts[0]))             # another name has tries of its own
            client, challenge = house.challenged("sam", tcp("203.0.113.2"))
            house.answers(client, challenge, "wrogn")
            client.hears(wire.Rejected, why=Why.DENIED)
            house.forward(WRONG_SECONDS)
            waiting = [house.caller("sam", tcp(host)) for host in hosts[:20]]
            client = house.caller("sam", tcp("203.0.113.2"))
            for _ in range(8):
                house.forward(1)
            house.answers(client, client.hears(wire.Challenge), "right")
            client.hears(wire.Verified)
            house.away(*waiting)

    def test_who_calls_again_does_not_get_past_who_waits(self):
        """While a name's tries are being used, hosts that erred are asked in their order, once a
        second."""
        with House() as house:
            house.claims(sam := house.enters("sam", tcp("192.0.2.9")), "right")
            house.away(sam)
            hosts = [f"198.51.100.{n}" for n in range(9)]
            self.assertEqual(self.guesses(house, hosts, 0.1), 9)
            house.forward(WRONG_SECONDS)
            house.challenged("sam", tcp(hosts[0]))
            house.forward(0.1)
            waiting = [house.caller("sam", tcp(host)) for host in hosts[1:]]
            for client in waiting:
                client.hears_nothing()
            house.forward(1)
            for client in waiting[:NAME_TRIES]:
                client.hears(wire.Challenge)
            for client in waiting[NAME_TRIES:]:
                client.hears_nothing()
            house.forward(1)
            for client in waiting[NAME_TRIES:]:
                client.hears(wire.Challenge)

    def test_a_host_is_forgiven_and_what_is_remembered_is_bounded(self):
        with House() as house, mock.patch("rules.guesses.HOSTS_MAX", 5):
            house.claims(sam := house.enters("sam", tcp("192.0.2.9")), "right")
            house.away(sam)
            kept = house.daemon.board.claims.guesses
            hosts = [f"198.51.100.{n}" for n in range(9)]
            self.assertEqual(self.guesses(house, hosts[:5], 0.1), 5)
            now = house.clock.monotonic
            self.assertEqual(kept.earliest("203.0.113.1", now), now)       # as if it had
            self.guesses(house, hosts, 5)
            self.assertEqual(set(kept._wrong), set(hosts[:5]))
            house.forward(WRONG_MEMORY + 1)
            self.assertEqual(kept.earliest(hosts[0], house.clock.monotonic), 0.0)
            self.guesses(house, hosts[8:], 0.1)
            self.assertEqual(set(kept._wrong), {hosts[8]})
            self.assertEqual(kept.earliest(hosts[0], house.clock.monotonic), 0.0)

    def test_one_try_a_connection_and_no_proof_unasked(self):
        with House() as house:
            sam = house.enters("sam", tcp())
            house.claims(sam, "right")
            sam.say(wire.Proof(bytes(16), bytes(32)))
            self.assertIn("nobody asked", sam.hears(wire.Notice).text)
            client, challenge = house.challenged("sam", tcp())
            client.say(wire.Hello(wire.VERSION, PROVE, bytes(16), "other"))
            client.hears(wire.Rejected, why=Why.OTHER)
            client, challenge = house.challenged("sam", tcp())
            house.answers(client, challenge, "wrong")
            client.hears(wire.Rejected, why=Why.DENIED)
            self.assertTrue(client.is_disconnected())
            early = house.caller("sam", tcp())
            early.say(wire.Proof(bytes(16), bytes(32)))
            self.assertIn("before CHALLENGE", early.hears(wire.Rejected).reason)

    def test_who_does_not_answer_is_closed(self):
        with House() as house:
            client, _ = house.challenged("ann", tcp())
            house.forward(11)
            self.assertTrue(client.is_disconnected())
            self.assertEqual(house.notes.events("closed")[-1]["reason"], "no PROOF in time")
            self.assertEqual(len(house.daemon.strangers), 0)

    def test_the_iterations_of_a_claim(self):
        with House() as house:
            sam = house.enters("sam", tcp())
            for wrong in (0, scram.ITERATIONS - 1, scram.ITERATIONS_MAX + 1, 2**32 - 1):
                sam.say(wire.Claim(1, wrong, bytes(16), bytes(32), bytes(32)))
                self.assertIn("iterations", sam.hears(wire.Failed, request=1).reason)
            for right in (scram.ITERATIONS, scram.ITERATIONS_MAX):
                sam.say(wire.Claim(1, right, bytes(16), bytes(32), bytes(32)))
                sam.hears(wire.Done, request=1)

    def test_a_claim_that_the_disk_refuses(self):
        with House() as house:
            sam = house.enters("sam", tcp())
            house.mailbox.disk.write = Owners.full.__get__(self)
            sam.say(wire.Claim(1, *verifier("right")))
            self.assertIn("No space", sam.hears(wire.Failed, request=1, why=Why.FULL).reason)
            sam.say(wire.Claim(2, *verifier("right")))
            sam.hears(wire.Failed, request=2, why=Why.FULL)
            del house.mailbox.disk.write
            self.assertEqual(sam.heard, [])
            self.assertEqual(house.mailbox.find("sam").settings, {})

    def test_a_claim_is_on_disk_before_it_is_answered(self):
        with House() as house:
            sam = house.enters("sam", tcp())
            house.mailbox.sync, sync = lambda: 0, house.mailbox.sync
            sam.say(wire.Claim(1, *verifier("right")))
            sam.hears_nothing()
            house.mailbox.sync = sync
            sam.hears(wire.Done, request=1)

    def test_of_a_hundred_claims_of_one_name_at_once_one_wins(self):
        """All of them HELLO and CLAIM in one breath, in one turn of the loop, and then each tries
        its passphrase."""
        with House() as house:
            lines = [house.connect(tcp(f"192.0.2.{n}")) for n in range(100)]
            for n, line in enumerate(lines):
                line.name = f"{n}"
                line.sock.send(wire.encode(wire.Hello(wire.VERSION, PROVE, bytes(16),
                                                      random.choice(("sam", "SAM"))))
                               + wire.encode(wire.Claim(1, *verifier(f"pass{n}")))
                               + wire.encode(wire.Exit()) * (n % 2))
            house.run()
            winners = []
            for line in lines:
                line.listen()
                winners += [line] * any(isinstance(said, wire.Done) for said in line.heard)
            self.assertEqual(len(winners), 1)
            house.away(*winners)
            passed = []
            for n in range(100):
                client, challenge = house.challenged("sam", tcp(f"198.51.100.{n}"))
                house.answers(client, challenge, f"pass{n}")
                client.listen()
                passed += [n] * isinstance(client.heard[0], wire.Verified)
            self.assertEqual(passed, [int(winners[0].name)])


class OldSessions(unittest.TestCase):
    def test_a_token_takes_over_ones_own_ghost_and_nobody_elses(self):
        with House() as house:
            house.claims(house.enters("sam", tcp()), "right")
            torque = house.enters("torque", unix(EVE))
            free = house.enters("free", tcp())
            for token in (torque.welcome.token, free.welcome.token):
                house.refused("ann", unix(EVE), token=token)
                house.challenged("sam", tcp(), token=token)
                # stolen: it needs the login as well
                house.refused("torque", unix(BOB), token=token)
            house.refused("free", tcp(), Why.TAKEN, token=torque.welcome.token)
            house.refused("torque", unix(EVE), Why.TAKEN, token=free.welcome.token)
            # not even one's own, without the token
            house.refused("torque", unix(EVE), Why.TAKEN)
            house.enters("torque", unix(EVE), token=torque.welcome.token)
            self.assertTrue(torque.is_disconnected())

    def test_a_claimed_one_needs_its_passphrase_as_well(self):
        with House() as house:
            sam = house.enters("sam", tcp())
            house.claims(sam, "right")
            client, challenge = house.challenged("sam", tcp(), token=sam.welcome.token)
            house.answers(client, challenge, "right")
            client.hears(wire.Verified)
            client.hears(wire.Welcome)
            self.assertTrue(sam.is_disconnected())


class AThousandAttempts(unittest.TestCase):
    """To be ann (a login), torque (owned), sam (claimed over the network) or rita (owned and
    claimed)."""

    def test_none_succeeds(self):
        chance = random.Random(5)
        with House() as house:
            rita = house.enters("rita", unix(EVE))
            sam = house.enters("sam", tcp("192.0.2.9"))
            house.claims(rita, "rita's")
            house.claims(sam, "sam's")
            torque = house.enters("torque", unix(EVE))
            house.away(rita, sam, torque)
            heard = []                          # proofs that were right once
            for name, passphrase in (("rita", "rita's"), ("sam", "sam's")):
                client, challenge = house.challenged(name, tcp("192.0.2.9"))
                heard.append(house.answers(client, challenge, passphrase)[0])
                client.hears(wire.Verified)
                house.away(client)
            tokens = [bytes(16), rita.welcome.token, sam.welcome.token, torque.welcome.token,
                      bytes(range(16))]
            came, outcomes = 0, set()
            for number in range(1000):
                name = chance.choice(("ann", "torque", "sam", "rita", "root", "admin"))
                name = "".join(chance.choice((c.lower(), c.upper())) for c in name)
                caller = chance.choice((unix(BOB), unix(2**32 - 1), unix(65534),
                                        tcp(f"203.0.113.{number % 250}"),
                                        tcp("::1"), Caller("unix")))
                client = house.caller(name, caller, token=chance.choice(tokens),
                                      features=chance.choice((PROVE, 0)))
                client.listen()
                if client.heard and isinstance(client.heard[0], wire.Challenge):
                    challenge = client.heard.pop(0)
                    way = chance.choice(("guess", "replay", "server key", "empty"))
                    if way == "guess":
                        house.answers(client, challenge,
                                      chance.choice(("", "rita", "sam's ", "Rita's", "password"))
                                      or "x")
                    elif way == "replay":
                        client.say(chance.choice(heard))
                    else:
                        proof = challenge.salt * 2 if way == "server key" else bytes(32)
                        client.say(wire.Proof(b"\x11" * 16, proof))
                    client.listen()
                came += any(isinstance(said, wire.Welcome | wire.Verified) for said in client.heard)
                outcomes |= {Why(said.why)
                             for said in client.heard if isinstance(said, wire.Rejected)}
                house.away(client)
                house.forward(WRONG_SECONDS + 1)
            self.assertEqual((came, outcomes), (0, {Why.DENIED, Why.BAD_NAME}))
            house.enters("torque", unix(EVE))
            self.assertEqual(house.mailbox.find("sam").settings.keys(), {Setting.CLAIM})


class TheHost(unittest.TestCase):
    def test_the_kernels_word(self):
        self.assertTrue(can_tell())
        with tempfile.TemporaryDirectory() as home, socket.socket(socket.AF_UNIX) as listener, \
                socket.socket(socket.AF_UNIX) as caller:
            listener.bind(home + "/sock")
            listener.listen()
            caller.connect(home + "/sock")
            with listener.accept()[0] as met:
                self.assertEqual(peer_uid(met), os.getuid())
        with socket.socket() as other:
            self.assertIsNone(peer_uid(other))

    def test_logins_are_remembered_for_a_while(self):
        now = [0.0]
        logins = Logins(clock=lambda: now[0], lists_all=lambda: False)
        asked = []
        logins._ask = (lambda what, look, none, ask=logins._ask:
                       asked.append(what) or ask(what, look, none))
        for _ in range(3):
            self.assertEqual((logins.uid("root"), logins.uid("no-such-login"), logins.name(0)),
                             (0, None, "root"))
        self.assertEqual(asked, ["all logins", "root", "no-such-login", "uid 0"])
        now[0] += REMEMBER_SECONDS
        logins.uid("root")
        self.assertEqual(asked[4:], ["all logins", "root"])
        for number in range(REMEMBER_MAX + 5):
            logins._uids[f"x{number}"] = (1e9, None)
            if number == REMEMBER_MAX - 1:
                logins.uid("one-more")
        self.assertEqual(logins.name(4_000_000_000), "4000000000")

    def test_a_look_up_that_failed_is_no_answer(self):
        """What was known goes on counting; what was not is not remembered as a no, nor asked for in
        every moment."""
        now, asked = [0.0], []

        def ask(name):
            asked.append(name)
            raise OSError(5, "Input/output error")
        logins = Logins(clock=lambda: now[0], lists_all=lambda: False)
        self.assertEqual((logins.uid("root"), logins.uid("no-such-login")), (0, None))
        for failure in (ask, mock.Mock(side_effect=MemoryError)):
            with mock.patch("pwd.getpwnam", failure), mock.patch("pwd.getpwuid", ask):
                now[0] += REMEMBER_SECONDS
                self.assertEqual((logins.uid("root"), logins.uid("no-such-login")), (0, None))
                for _ in range(3):
                    self.assertRaises(OSError, logins.uid, "new")
                self.assertEqual(logins.name(0), "0")
        self.assertEqual([name for name in asked if name != 0], ["root", "no-such-login", "new"])
        now[0] += FAILED_SECONDS
        self.assertIsNone(logins.uid("new"))
        self.assertEqual(logins.name(0), "root")

    def test_a_login_with_capitals(self):
        """Whatever the spelling, where the host lists its logins; a list that is slow is not asked
        for again."""
        entries = [mock.Mock(pw_name="Carol", pw_uid=77)]
        now, slow, lists = [0.0], [0.0], []

        def listed():
            now[0] += slow[0]
            lists.append(now[0])
            return entries

        def look(name):
            for entry in entries:
                if entry.pw_name == name:
                    return entry
            raise KeyError
        logins = Logins(clock=lambda: now[0], lists_all=lambda: False)
        with mock.patch("pwd.getpwall", listed), mock.patch("pwd.getpwnam", look):
            self.assertEqual([logins.uid(name) for name in ("Carol", "carol", "CAROL", "carole")],
                             [77, 77, 77, None])
            self.assertEqual(len(lists), 1)
            now[0] += REMEMBER_SECONDS
            entries, slow[0] = [mock.Mock(pw_name="Dan", pw_uid=78)], 2 * SLOW_SECONDS
            self.assertEqual([logins.uid(name) for name in ("carol", "dan")], [None, 78])
            now[0] += 10 * REMEMBER_SECONDS
            entries = []
            self.assertEqual([logins.uid(name) for name in ("carol", "DAN")], [None, 78])
            self.assertEqual(len(lists), 2)
            with House(IDENTITY._replace(logins=logins.uid)) as house:
                house.refused("DAN", unix(EVE))
                house.challenged("DAN", tcp())
                house.enters("dAN", unix(78))

    def test_a_whole_list_is_asked_once(self):
        """And again when it may be another; by name nobody is looked for."""
        entries, now, version = [], [0.0], [1]

        def lists(*logins):
            entries[:] = [mock.Mock(pw_name=name, pw_uid=uid) for name, uid in logins]
        by_name = mock.Mock(side_effect=KeyError)
        listed = mock.Mock(side_effect=lambda: list(entries))
        whole = mock.Mock(return_value=True)
        logins = Logins(clock=lambda: now[0], lists_all=whole)
        with mock.patch("pwd.getpwall", listed), mock.patch("pwd.getpwnam", by_name), \
                mock.patch("net.logins._version", lambda path: (version[0],)):
            everywhere = ("root", 0), ("nobody", 65534)
            lists(*everywhere, ("Carol", 77), ("carol", 78), ("root", 1))
            self.assertEqual([logins.uid(name)
                              for name in ("root", "Carol", "carol", "CAROL", "dan")],
                             [0, 77, 78, 77, None])
            lists(*everywhere, ("dan", 79))
            now[0] += LOOK_SECONDS
            self.assertEqual((logins.uid("dan"), listed.call_count), (None, 1))
            version[0] += 1
            self.assertEqual((logins.uid("dan"), listed.call_count), (None, 1))
            now[0] += LOOK_SECONDS
            self.assertEqual((logins.uid("dan"), logins.uid("carol"), listed.call_count),
                             (79, None, 2))
            lists(*everywhere, ("erin", 80))
            now[0] += REMEMBER_SECONDS
            self.assertEqual((logins.uid("erin"), listed.call_count, by_name.call_count),
                             (80, 3, 0))
            # no list that can be believed to be whole
            for missing in (everywhere[:1], everywhere[1:]):
                lists(*missing)
                now[0] += REMEMBER_SECONDS
                before = by_name.call_count
                self.assertEqual((logins.uid("erin"), by_name.call_count), (None, before + 1))
            lists(*everywhere)
            whole.return_value = False
            now[0] += REMEMBER_SECONDS
            self.assertEqual((logins.uid("frank"), by_name.call_count), (None, before + 2))

    def test_which_lists_are_whole(self):
        with tempfile.TemporaryDirectory() as home, mock.patch("net.logins.SOURCES",
                                                               home + "/nsswitch.conf"), \
                mock.patch("net.logins.SERVICES", home + "/userdb"), \
                mock.patch("os.confstr", lambda name: {"CS_GNU_LIBC_VERSION": "glibc 2.36"}[name]):
            self.assertFalse(lists_all())
            for text, expected in (
                    ("passwd: files", True), ("passwd:\t files systemd  # both", True),
                    ("group: sss\n passwd: files", True),
                    ("", False), ("passwd:", False), ("passwd: systemd", False),
                    ("passwd:files", False),
                    ("# passwd: files", False), ("passwd: files\npasswd: sss", False),
                    ("passwd: files sss", False), ("passwd: compat", False),
                    ("passwd: files ldap systemd", False),
                    ("passwd: files [NOTFOUND=return] systemd", False),
                    ("passwd: files winbind", False)):
                Path(home, "nsswitch.conf").write_text(f"{text}\nshadow: files\n")
                self.assertEqual(lists_all(), expected, text)
            Path(home, "nsswitch.conf").write_text("passwd: files systemd\n")
            Path(home, "userdb").mkdir()
            for service, expected in (("io.systemd.DynamicUser", True),
                                      ("io.systemd.Multiplexer", True),
                                      ("io.systemd.Machine", False)):
                Path(home, "userdb", service).touch()
                self.assertEqual(lists_all(), expected, service)
            Path(home, "userdb", "io.systemd.Machine").unlink()
            self.assertTrue(lists_all())
            for answer in ({"side_effect": ValueError}, {"side_effect": OSError},
                           {"return_value": None}):
                with mock.patch("os.confstr", mock.Mock(**answer)):
                    self.assertFalse(lists_all())
            Path(home, "nsswitch.conf").write_bytes(b"passwd: files \xff\n")
            self.assertFalse(lists_all())

    def test_a_file_that_is_another_has_another_version(self):
        with tempfile.TemporaryDirectory() as home:
            path = Path(home, "passwd")
            versions = [_version(str(path))]
            path.write_text("a")
            versions.append(_version(str(path)))
            path.write_text("ab")
            versions.append(_version(str(path)))
            os.utime(path, ns=(1, 1))
            versions.append(_version(str(path)))
            self.assertEqual(len(set(versions)), 4)
            self.assertEqual(_version(str(path)), versions[-1])

    def test_a_slow_list_of_users_is_told(self):
        now, took, told = [0.0], [SLOW_SECONDS], []

        def look(_):
            now[0] += took[0]
            raise KeyError
        logins = Logins(lambda what, seconds: told.append((what, seconds)), lambda: now[0],
                        lambda: False)
        with mock.patch("pwd.getpwnam", look):
            logins.uid("fast")
            self.assertEqual(told, [])
            took[0] = 0.5
            logins.uid("slow")
        self.assertEqual(told, [("slow", 0.5)])


TRY = """
import os, socket, struct, sys
sys.path.insert(0, sys.argv[1])
import wire
uid, path = int(sys.argv[2]), sys.argv[3]
os.setgroups([]); os.setgid(uid); os.setuid(uid)
for name in sys.argv[4:]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        try:
            sock.connect(path)
        except OSError as error:
            print(name, error.strerror)
            continue
        sock.sendall(wire.encode(wire.Hello(wire.VERSION, wire.Feature.PROVE, bytes(16), name)))
        decoder, said = wire.Decoder(), None
        while said is None:
            for frame in decoder.feed(sock.recv(4096)):
                said = said or wire.decode(frame, wire.DAEMON)
        print(name, wire.name_of(said))
"""


@unittest.skipUnless(os.getuid() == 0, "needs root, to be several logins")
class SeveralLogins(unittest.TestCase):
    """A real daemon, and callers that are really others."""

    def setUp(self):
        """In a directory that they may enter."""
        for place in (tempfile.gettempdir(), "/var/tmp"):
            if all(path.stat().st_mode & 0o001 for path in (Path(place), *Path(place).parents)):
                mocked = mock.patch("tempfile.tempdir", place)
                mocked.start()
                self.addCleanup(mocked.stop)
                return
        self.skipTest("needs a temporary directory that others may enter")

    def become(self, daemon, uid, *names):
        done = subprocess.run([sys.executable, "-c", TRY, HERE, str(uid), daemon.path, *names],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.stderr, "")
        return dict(line.split(" ", 1) for line in done.stdout.splitlines())

    def test_others_cannot_connect_to_a_closed_socket(self):
        with DaemonProcess() as daemon:
            os.chmod(daemon.directory, 0o711)
            self.assertEqual(self.become(daemon, 4711, "x"), {"x": "Permission denied"})

    def test_names_over_an_open_one(self):
        with DaemonProcess("--socket-mode", "666") as daemon:
            os.chmod(daemon.directory, 0o711)
            self.assertEqual(os.stat(daemon.path).st_mode & 0o777, 0o666)
            self.assertEqual(os.stat(daemon.store + "/secret").st_mode & 0o777, 0o600)
            nobody = 65534
            self.assertEqual(self.become(daemon, nobody, "nobody", "torque", "daemon", "root"),
                             {"nobody": "WELCOME", "torque": "WELCOME", "daemon": "REJECTED",
                              "root": "REJECTED"})
            self.assertEqual(self.become(daemon, 4711, "nobody", "NOBODY", "torque", "Torque",
                                         "mine"),
                             dict.fromkeys(("nobody", "NOBODY", "torque", "Torque"),
                                           "REJECTED") | {"mine": "WELCOME"})
            secret = Path(daemon.store, "secret").read_bytes()
            daemon.end()
            daemon.start()
            self.assertEqual(self.become(daemon, 4711, "torque", "mine"),
                             {"torque": "REJECTED", "mine": "WELCOME"})
            self.assertEqual(self.become(daemon, nobody, "torque"), {"torque": "WELCOME"})
            self.assertEqual(Path(daemon.store, "secret").read_bytes(), secret)

    def test_trust_names(self):
        with DaemonProcess("--socket-mode", "666", "--trust-names", console="log") as daemon:
            os.chmod(daemon.directory, 0o711)
            self.assertEqual(self.become(daemon, 4711, "nobody", "games"),
                             {"nobody": "WELCOME", "games": "WELCOME"})
            self.assertIn("unprotected", daemon.output())


if __name__ == "__main__":
    unittest.main()
