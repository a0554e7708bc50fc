"""The client's side of who is who: keys that are kept, passphrases that are asked for, daemons that
are not theirs."""
import contextlib
import os
import pty
import re
import select
import stat
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

import wire
from client.events import Locked, NameRefused, Offline, Online, Over, Remark
from client.keyring import KEYS, Keyring, RingError
from client.link import Link
from client.login import KEPT
from client.proofs import Impostor, Proofs
from net import scram
from net.address import Address
from rules.claims import Identity
from rules.guesses import WRONG_SECONDS
from rules.state import Caller
from tests.client.fake_link import Play
from tests.harness.process import HERE, DaemonProcess
from tests.harness.service import Service
from ui.desk import Mode
from ui.screen import frame

TCP = Address("", "192.0.2.7", 6464)
UNIX = Address("/run/here.sock", "", 0)
IDENTITY = Identity(False, b"secret" * 6, {"games": 1}.get, frozenset())


class Met(unittest.TestCase):
    """A link and a daemon, both real, with nothing but a socketpair between them."""

    def setUp(self):
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.home = Path(home.name, "state")
        self.service = self.enterContext(Service(identity=IDENTITY))
        quick = mock.patch("net.scram.ITERATIONS", 4096)
        quick.start()
        self.addCleanup(quick.stop)

    def link(self, name="sam", address=TCP, ring=None):
        def dial(_):
            client = self.service.connect(Caller("unix:7", 7) if address.path
                                          else Caller("192.0.2.1:7"))
            return client.sock
        link = Link([address], name, None, features=wire.Feature.PROVE, monotonic=lambda: 50.0,
                    instance=1, jitter=lambda: 0.5, dial=dial,
                    ring=ring if ring is not None else Keyring(self.home))
        self.addCleanup(link.close)
        return link

    def events(self, link):
        found = []
        for _ in range(20):
            found += link.tick()
            self.service.run()
            while link.sock and (mask := link.mask) and any(select.select(
                    [link.sock] if mask & 1 else [], [link.sock] if mask & 2 else [], [], 0)[:2]):
                found += link.ready(mask)
                self.service.run()
        return found

    def connect(self, link, *kinds):
        link.connect()
        events = self.events(link)
        self.assertEqual([type(event) for event in events], list(kinds))
        return events

    def claimed(self, passphrase="right", ring=None):
        """Somebody claims sam over the network and goes."""
        link = self.link(ring=ring if ring is not None else Keyring(None))
        self.connect(link, Online)
        request = link.ask.claim(passphrase)
        self.assertEqual(self.events(link), [wire.Done(request)])
        link.close()
        self.service.run()


class Keys(Met):
    def test_who_claimed_types_nothing_here_and_once_elsewhere(self):
        self.claimed(ring=Keyring(self.home))
        link = self.link()
        self.connect(link, Online)
        link.close()
        self.service.run()
        elsewhere = Keyring(self.home.with_name("elsewhere"))
        link = self.link(ring=elsewhere)
        locked, = self.connect(link, Locked)
        expected = Locked("sam is kept for its owner there", False, KEPT, str(TCP))
        self.assertEqual((locked, link.sock, link.retry_at), (expected, None, None))
        link.unlock("wrong")
        locked, = self.connect(link, Locked)
        self.assertTrue(locked.again)
        self.service.forward(WRONG_SECONDS)
        link.unlock("right")
        self.connect(link, Online)
        link.close()
        self.service.run()
        self.connect(self.link(ring=elsewhere), Online)

    def test_the_file_holds_no_passphrase_and_is_private(self):
        self.claimed("correct horse", ring=Keyring(self.home))
        file = self.home / KEYS
        self.assertEqual((stat.S_IMODE(file.stat().st_mode),
                          stat.S_IMODE(self.home.stat().st_mode)), (0o600, 0o700))
        self.assertNotIn("horse", file.read_text())
        self.assertRegex(file.read_text(),
                         r"^192\.0\.2\.7:6464 sam [0-9a-f]{32} 4096 [0-9a-f]{64}\n$")

    def test_the_key_serves_at_every_address_of_the_daemon(self):
        self.claimed(ring=Keyring(self.home))
        self.connect(self.link(address=Address("", "192.0.2.8", 1)), Online)

    def test_unclaimed(self):
        ring = Keyring(self.home)
        self.claimed(ring=ring)
        self.assertTrue(ring.expected(str(TCP), "SAM"))
        link = self.link(ring=ring)
        self.connect(link, Online)
        self.assertEqual(self.events(link), [])
        request = link.ask.unclaim()
        self.assertEqual(self.events(link), [wire.Done(request)])
        self.assertFalse(ring.expected(str(TCP), "sam"))
        link.close()
        self.service.run()
        self.connect(self.link(ring=ring), Online)

    def test_files_that_cannot_be_used(self):
        self.claimed()
        self.home.mkdir(mode=0o700)
        (self.home / KEYS).symlink_to(self.home / "other")
        over, = self.connect(self.link(), Over)
        self.assertIn("can't be used", over.reason)
        (self.home / KEYS).unlink()
        link = self.link()
        self.connect(link, Locked)
        link.unlock("right")
        (self.home / KEYS).mkdir()
        # what was typed serves, and can't be kept
        remark, _ = self.connect(link, Remark, Online)
        self.assertIn("asked for again", remark.text)
        link.close()
        self.service.run()
        (self.home / KEYS).rmdir()
        (self.home / KEYS).write_bytes(
            b"\xff\xfe\nnonsense\n192.0.2.7:6464 sam zz 4096 zz\nlast line is torn")
        link = self.link()
        self.connect(link, Locked)
        link.unlock("right")
        self.connect(link, Online)
        link.close()
        self.service.run()
        self.connect(self.link(), Online)

    def test_reconnecting_asks_nothing(self):
        self.claimed()
        link = self.link(ring=Keyring(None))
        self.connect(link, Locked)
        link.unlock("right")
        self.connect(link, Online)
        for connection in list(self.service.daemon.connections.values()):
            connection.close("cut")
        self.assertIsInstance(self.events(link)[0], Offline)
        self.connect(link, Online)

    def test_a_daemon_that_knows_no_claims(self):
        with mock.patch("rules.door.FEATURES", 7):
            link = self.link()
            self.connect(link, Online)
            self.assertRaisesRegex(ValueError, "can't do that", link.ask.claim, "x")
        for bad in ("", "bell\a"):
            self.assertRaises(ValueError, Proofs(Keyring(None)).claim, bad)

    def test_a_login_of_the_host_is_locked_like_a_claimed_name(self):
        link = self.link(name="games")
        self.connect(link, Locked)
        link.unlock("guess")
        self.assertTrue(self.connect(link, Locked)[0].again)

    def test_at_the_socket_a_refusal_asks_for_another_name(self):
        self.connect(self.link(name="games", address=UNIX), NameRefused)


class Impostors(Met):
    def test_a_daemon_that_does_not_ask_any_more(self):
        ring = Keyring(self.home)
        self.claimed(ring=ring)
        self.service.mailbox.set(self.service.mailbox.find("sam"), 2, b"")
        over, = self.connect(self.link(ring=ring), Over)
        self.assertRegex(over.reason,
                         "let sam in without the passphrase.*delete the lines of sam in "
                         f"{self.home}/keys")
        self.service.run()
        self.connect(self.link(ring=ring, address=UNIX), Online)        # at the socket nobody asks

    def test_a_daemon_that_cannot_prove_itself(self):
        ring = Keyring(None)
        key = scram.derive("right", b"s" * 16, 4096)
        ring.keep(str(TCP), "sam", b"s" * 16, 4096, key)
        challenge = wire.Challenge(4096, b"s" * 16, b"n" * 16)
        for wrong in (wire.Verified(bytes(32)), wire.Verified(b"\xff" * 32)):
            proofs = Proofs(ring)
            proofs.begin("sam", TCP)
            self.assertIsInstance(proofs.answer(challenge), wire.Proof)
            self.assertRaisesRegex(wire.ProtocolError, "another daemon", proofs.verify, wrong)
            self.assertRaisesRegex(wire.ProtocolError, "before VERIFIED", proofs.welcome)
        proofs = Proofs(ring)
        proofs.begin("sam", TCP)
        unasked = wire.Verified(bytes(32))
        self.assertRaises(wire.ProtocolError, proofs.verify, unasked)
        self.assertRaises(Impostor, proofs.welcome)
        proofs.answer(challenge)
        self.assertRaises(wire.ProtocolError, proofs.answer, challenge)

    def test_a_connection_that_is_passed_on(self):
        """The daemon knows something else of it than we: no proof, and one line."""
        ring = Keyring(None)
        ring.keep(str(TCP), "sam", b"s" * 16, 4096, bytes(32))
        secured = scram.Binding(scram.TLS, b"\xab" * 32)
        for ours, theirs, here, there in (
                (scram.TCP, scram.unix(0), "leads to a plain TCP port",
                 "at a Unix socket of the uid 0"),
                (scram.unix(None), scram.TCP, "to a Unix socket,", "at a plain TCP port"),
                (scram.unix(7), scram.unix(9), "the uid 7,", "the uid 9;"),
                (scram.TCP, secured, "a plain TCP port", "the SHA-256 AB:AB:"),
                (scram.TCP, scram.Binding("new\n", b"x"), "a plain TCP port", "something unknown")):
            proofs = Proofs(ring)
            proofs.begin("sam", TCP, ours)
            with self.assertRaises(Impostor) as caught:
                proofs.bind(wire.Binding(theirs.name, theirs.data.hex()))
            words = str(caught.exception)
            self.assertRegex(words, f"{here}.*{there}.*forward a TCP port to a TCP port")
            self.assertNotIn("\n", words)
        for name in (scram.TLS, scram.UNIX):
            proofs.begin("sam", TCP)
            self.assertRaises(Impostor, proofs.bind, wire.Binding(name, "no digits"))

    def test_a_daemon_that_does_not_ask_to_bind(self):
        """It gets a proof as of 0.1, which says by its nonce that we could have bound it."""
        ring, key = Keyring(None), bytes(32)
        ring.keep(str(TCP), "sam", b"s" * 16, 4096, key)
        challenge = wire.Challenge(4096, b"s" * 16, b"n" * 16)
        kept = scram.verifier(key, b"s" * 16, 4096)
        for binding in (scram.TCP, scram.unix(7)):
            for asks in (False, True):
                proofs = Proofs(ring)
                proofs.begin("sam", TCP, binding)
                if asks:
                    asked = wire.Binding(binding.name, binding.data.hex())
                    proofs.bind(asked)
                    self.assertRaisesRegex(wire.ProtocolError, "too late", proofs.bind, asked)
                said = proofs.answer(challenge)
                self.assertRaisesRegex(wire.ProtocolError, "too late", proofs.bind,
                                       wire.Binding(binding.name, binding.data.hex()))
                talk = scram.conversation("sam", said.nonce.hex(), challenge.nonce.hex(),
                                          b"s" * 16, 4096, binding if asks else scram.Binding())
                self.assertTrue(scram.accepts(kept, talk, said.proof))
                self.assertEqual(said.nonce.startswith(scram.STRIPPED), not asks)

    def test_no_daemon_makes_a_client_work_for_hours(self):
        for iterations in (10_000_001, 2**32 - 1):
            proofs = Proofs(Keyring(None))
            proofs.begin("sam", TCP)
            with self.assertRaises(Impostor) as caught:
                proofs.answer(wire.Challenge(iterations, bytes(16), bytes(16)))
            self.assertRegex(str(caught.exception), f"{TCP} asks .* more than .* /claim at")

    def test_no_daemon_makes_guessing_cheap(self):
        """Fewer iterations than usual are taken where a key had as few before, and nowhere else."""
        weak, right = 4095, scram.ITERATIONS
        other = Address("", "192.0.2.8", 6464)
        for kept, address, name, asked, is_taken in (
                (None, TCP, "sam", right, True), (None, TCP, "sam", scram.ITERATIONS_MAX, True),
                (None, TCP, "sam", right - 1, False), (None, TCP, "sam", 0, False),
                (weak, TCP, "SAM", weak, True), (weak, TCP, "sam", weak - 1, False),
                (weak, TCP, "sam", right, True), (weak, other, "sam", weak, False),
                (weak, TCP, "bob", weak, False), (right * 2, TCP, "sam", right, True),
                (right * 2, TCP, "sam", right - 1, False)):
            ring = Keyring(self.home.with_name(f"{kept}"))
            if kept and not ring.iterations(str(TCP), "sam"):
                ring.keep(str(TCP), "sam", b"k" * 16, kept, bytes(32))
            proofs = Proofs(ring)
            proofs.begin(name, address)
            challenge = wire.Challenge(asked, b"s" * 16, bytes(16))
            if is_taken:
                self.assertIsNone(proofs.answer(challenge))
            else:
                with self.assertRaisesRegex(Impostor, "guessing cheap; no passphrase"):
                    proofs.answer(challenge)
        proofs.begin("sam", TCP)                # the key itself, wherever it came from
        ring.keep(str(other), "sam", b"w" * 16, weak, bytes(32))
        self.assertIsInstance(proofs.answer(wire.Challenge(weak, b"w" * 16, bytes(16))), wire.Proof)

    def test_the_user_hears_of_it_and_the_link_rests(self):
        self.claimed()
        with mock.patch("net.scram.ITERATIONS", scram.ITERATIONS + 1):
            link = self.link()
            over, = self.connect(link, Over)
        self.assertIn("asks for a key of sam with 4096 iterations, fewer than 4097", over.reason)
        self.assertEqual((link.sock, link.retry_at), (None, None))


class OnScreen(unittest.TestCase):
    def painted(self, play):
        return "\n".join("".join(text for text, _ in row) for row in frame(play.menu, 24, 80).rows)

    def play(self):
        play = Play().online("bob")
        play.link.ask.claim = lambda passphrase: play.link._ask("claim", passphrase)
        play.link.ask.unclaim = lambda: play.link._ask("unclaim")
        return play

    def test_a_claim_is_typed_twice_and_never_shown(self):
        play = self.play()
        play.enter("/claim")
        self.assertEqual(play.prompt, "new passphrase>")
        play.type("/exit now")
        self.assertNotIn("exit", self.painted(play))
        play.press("<Enter>")
        play.enter("/exit then")
        self.assertEqual((play.prompt, play.asked), ("new passphrase>", []))
        self.assertIn("not the same", play.error)
        play.enter("/exit now")
        play.enter("/exit now")
        self.assertEqual(play.asked, [("claim", "/exit now")])
        play.hear(wire.Done(1))
        self.assertIn("claimed", play.last)
        self.assertIs(play.mode, Mode.MENU)
        for keys in (["<Up>"] * 5, ["<C-y>"], ["<Tab>"], ["<C-n>"] * 5):
            play.press("x", *keys)
            self.assertNotIn("now", self.painted(play).replace("Enter now", "").splitlines()[-1])

    def test_what_was_typed_is_nowhere_afterwards(self):
        play = self.play()
        play.enter("/claim")
        play.type("s3cret", "<C-u>", "s3cret", "<Tab>", "<Esc>")
        play.press("<C-y>")
        self.assertEqual(play.text, "")
        play.type("x", "<C-u>", "<C-y>")
        self.assertEqual(play.text, "x")
        play.press("<C-u>", "<Up>", "<Up>", "<Up>")
        desk = play.menu.desk
        self.assertNotIn("s3cret", self.painted(play)
                         + repr((vars(play.menu), vars(desk), desk.line._history)))

    def test_esc_and_the_draft(self):
        play = self.play()
        play.enter("/send bob")
        play.type("half a mess")
        play.press("<C-a>", *"/claim ")
        play.press("<Esc>")
        play.enter("/claim")
        play.enter("one")
        play.press("<Esc>")
        self.assertEqual((play.mode, play.asked), (Mode.MENU, []))

    def test_a_locked_name(self):
        play = self.play()
        play.link.online = False
        unlocked = []
        play.link.unlock = unlocked.append
        play.hear(Locked("alice is kept for its owner there", False))
        self.assertEqual(play.prompt, "passphrase of alice>")
        play.press("<Enter>")
        self.assertIn("type the passphrase", play.error)
        play.enter("right")
        self.assertEqual((unlocked, play.asked), (["right"], [("connect",)]))
        play.hear(Locked("that is not the passphrase", True))
        self.assertIn("not the passphrase", self.painted(play))
        play.press("<Esc>")
        self.assertEqual((play.prompt, play.text), ("username>", "alice"))
        play.hear(Locked("alice is kept for its owner there", False))
        play.online("bob")
        self.assertIs(play.mode, Mode.MENU)

    def test_a_remark_is_shown(self):
        play = self.play()
        play.hear(Remark("first contact \x1b[2J"))
        self.assertIn("first contact ^[[2J", play.last)


class Programs(unittest.TestCase):
    """The real ones, at a TCP address, where a name is claimed."""

    def setUp(self):
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.home = home.name
        self.daemon = self.enterContext(DaemonProcess("--listen", "127.0.0.1:0", console="log"))
        self.port = re.search(r"listening address=127.0.0.1:(\d+)$", self.daemon.output(), re.M)[1]

    def command(self, *options, connect=None):
        return [sys.executable, HERE + "/curses_client.py", "--connect",
                connect or f"127.0.0.1:{self.port}", "--name", "sam", *options]

    def environment(self, state):
        return {**os.environ, "XDG_STATE_HOME": f"{self.home}/{state}", "LC_ALL": "C.UTF-8"}

    def run_(self, *options, state="here", text="", **more):
        done = subprocess.run(self.command(*options, **more), env=self.environment(state),
                              input=text, text=True, capture_output=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def on_terminal(self, state, *steps, option="--plain"):
        """The client on a terminal: (what to wait for, what to type); all that the terminal
        showed."""
        pid, fd = pty.fork()
        if not pid:
            os.execve(sys.executable, self.command(option), self.environment(state))
        seen, at = "", 0
        try:
            for wanted, typed in steps:
                deadline = time.monotonic() + 30
                while wanted not in seen[at:]:
                    self.assertTrue(select.select([fd], [], [], deadline - time.monotonic())[0],
                                    (wanted, seen))
                    seen += os.read(fd, 4096).decode(errors="replace")
                at = len(seen)
                os.write(fd, typed.encode())
            with contextlib.suppress(OSError):
                while data := os.read(fd, 4096):
                    seen += data.decode(errors="replace")
        finally:
            os.close(fd)
            self.status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return seen

    def test_a_claim_from_lines_and_a_script_elsewhere(self):
        seen = self.on_terminal("here", ("menu> ", "/claim\r"),
                                ("new passphrase> ", "torque wrench\r"),
                                ("once more> ", "torque wrench\r"), ("claimed: ", "/exit\r"))
        self.assertNotIn("torque", seen)
        self.assertEqual(self.status, 0)
        self.assertEqual(self.run_("--send", "sam", "a note")[0], 0)
        code, out, err = self.run_("--send", "sam", "a note", state="elsewhere")
        self.assertEqual((code, out, err.count("\n")), (77, "", 1))
        self.assertIn(" --name sam` on a terminal here", err)
        self.assertEqual(self.run_("--plain", state="elsewhere", text="torque wrench\n")[0], 77)
        seen = self.on_terminal("elsewhere", ("passphrase of sam> ", "wrong\r"),
                                ("not the passphrase", "torque wrench\r"), ("menu> ", "/exit\r"))
        self.assertNotIn("wrench", seen)
        self.assertEqual(self.run_("--check", state="elsewhere")[:2][0], 0)
        seen = self.on_terminal("third", ("passphrase of sam: ", "wrong\r"),
                                ("passphrase of sam: ", "torque wrench\r"), option="--who")
        self.assertRegex(seen, "(?s)not the passphrase of sam.*(No other client|Available)")
        self.assertNotIn("wrench", seen)
        self.assertEqual(self.status, 0)
        self.on_terminal("fourth", ("passphrase of sam: ", "\r"), option="--check")
        self.assertEqual(self.status, 77)
        self.assertIn("wrong-proof name=sam", self.daemon.output())


class Rings(unittest.TestCase):
    def test_other_files(self):
        with tempfile.TemporaryDirectory() as home:
            ring = Keyring(Path(home, "state"))
            self.assertIsNone(ring.fingerprint("x"))
            self.assertFalse(Path(home, "state").exists())
            ring.pin("x", "AB")
            os.chmod(Path(home, "state", "known-daemons"), 0o644)
            ring.pin("x", "CD")
            self.assertEqual((ring.fingerprint("x"), ring.fingerprint("y")), ("CD", None))
            self.assertEqual(Path(home, "state", "known-daemons").stat().st_mode & 0o777, 0o600)
            os.link(Path(home, "state", "known-daemons"), Path(home, "other"))
            self.assertRaises(RingError, ring.pin, "x", "EF")


if __name__ == "__main__":
    unittest.main()
