"""A proof that somebody else passes on is worth nothing: real daemons at a Unix socket, at a plain
TCP port and at one with TLS, the real link and program of a client that has the key of a name, and
between them a relay, another login's program (tests/harness/relay.py)."""
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import wire
from client.events import Locked, Online, Over, Remark
from client.keyring import Keyring
from client.link import Link
from client.waiter import Waiter
from net import scram
from net.address import parse
from tests.harness import relay
from tests.harness.process import HERE, DaemonProcess, effort, reserved_port, say_figures
from tests.harness.terminals import needs, until
from tests.net.certificates import ONE, OTHER
from tests.programs.test_ssh import Sshd, has_login

KEY, SALT = bytes(range(32)), b"s" * 16         # of no passphrase: to derive it would take its time
EVIL = 4711                                     # the login of the relay
SECONDS = 30
TRIES = effort(50, 1)                           # at each route
DOORS = ("unix", "tcp", "tls")
# A relay that errs would have to wait two seconds for its next try.
DAEMON = ("-c", f"import sys; sys.path.insert(0, {HERE!r}); import daemon, rules.guesses as of; "
                "of.WRONG_SECONDS = 0; of.NAME_TRIES = 10**6; daemon.main()")


class Relays:
    """A running relay with these routes: of each its door, the daemon's, and the way."""

    def __init__(self, home, doors, routes):
        directory = Path(tempfile.mkdtemp(dir=home))
        if os.geteuid() == 0:
            os.chown(directory, EVIL, EVIL)
        os.chmod(directory, 0o755)
        self.routes, self.addresses, rows = routes, [], []
        for number, (door, to, way) in enumerate(routes):
            where = f"unix:{directory}/{number}"
            if door != "unix":
                where = "tls:" * (door == "tls") + f"127.0.0.1:{reserved_port()}"
            self.addresses.append(parse(where))
            rows.append((where, str(doors[to]), way))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.harness.relay", str(EVIL), str(home / "other")],
            cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdin.write(json.dumps(rows) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "listening\n"

    def end(self):
        """Of each route: how many proofs it got, and how often it was let in."""
        said = self.process.communicate(timeout=SECONDS)[0]
        return dict(zip(self.routes, map(tuple, json.loads(said)), strict=True))

    def close(self):
        self.process.kill()
        self.process.communicate()


class Between(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """Two daemons: with a certificate all TCP addresses of a daemon are TLS.  They are bare: a
        relay sees a name, its claim, and nothing of the house."""
        home = tempfile.TemporaryDirectory(prefix="parley-relay-", dir="/tmp")
        cls.addClassCleanup(home.cleanup)
        cls.home = Path(home.name)
        os.chmod(cls.home, 0o755)
        for name, text in (("one", ONE), ("other", OTHER)):
            (cls.home / name).write_text(text)
        one, plain, secure = str(cls.home / "one"), reserved_port(), reserved_port()
        cls.daemons = [cls.enterClassContext(DaemonProcess(
            "--listen", address, "--socket-mode", "666", *more, program=DAEMON, bare=True))
            for address, *more in ((f"127.0.0.1:{plain}",), (
                f"tls:127.0.0.1:{secure}", "--tls-cert", one, "--tls-key", one))]
        cls.doors = {"unix": parse("unix:" + cls.daemons[0].path),
                     "tcp": parse(f"127.0.0.1:{plain}"), "tls": parse(f"tls:127.0.0.1:{secure}")}
        for daemon in cls.daemons:
            os.chmod(daemon.directory, 0o755)
            with daemon.client("sam", wire.Feature.PROVE) as sam:
                sam.say(wire.Claim(1, *scram.verifier(KEY, SALT, scram.ITERATIONS)))
                sam.hear(wire.Done)

    def relays(self, *routes):
        relays = Relays(self.home, self.doors, routes)
        self.addCleanup(relays.close)
        return relays

    def state(self):
        """A state directory with the key, as typed in at another address of the daemon."""
        state = tempfile.mkdtemp(dir=self.home)
        Keyring(Path(state)).keep("192.0.2.1:6464", "sam", SALT, scram.ITERATIONS, KEY)
        return state

    def meet(self, where, features=wire.Feature.PROVE):
        """What comes of connecting there with the link of a client."""
        link = Link([where], "sam", None, features=features, monotonic=time.monotonic, instance=1,
                    jitter=random.random, ring=Keyring(Path(self.state())))
        waiter, deadline, events = Waiter(link), time.monotonic() + SECONDS, []
        link.connect()
        while not events and time.monotonic() < deadline:
            waiter.wait(1)
            events = [event for event in waiter.events() if not isinstance(event, Remark)]
        waiter.close()
        link.close()
        return events[0]

    def program(self, where):
        """What the program says there, and its exit code."""
        done = subprocess.run(
            [sys.executable, HERE + "/curses_client.py", "--connect", str(where), "--name", "sam",
             "--no-archive", "--who"], capture_output=True, text=True, timeout=SECONDS,
            env={**os.environ, "XDG_STATE_HOME": self.state(), "LC_ALL": "C.UTF-8"})
        return done.returncode, done.stdout + done.stderr

    def test_nobody_gets_in_by_a_proof_that_is_passed_on(self):
        """From every kind of door to every other one, and to one of the same kind with another
        certificate or login."""
        doors = DOORS if os.geteuid() == 0 else DOORS[1:]       # else the relay is the same login
        routes = [route for route in itertools.product(doors, doors, relay.WAYS)
                  if route[:2] != ("tcp", "tcp")]
        relays, heard = self.relays(*routes), {}
        for _ in range(TRIES):
            for route, where in zip(routes, relays.addresses, strict=True):
                heard[route] = self.meet(where)
        counted = relays.end()
        say_figures(f"relays: {sum(entered for _, entered in counted.values())} of "
                    f"{TRIES * len(routes)} got in, with "
                    f"{sum(proofs for proofs, _ in counted.values())} proofs")
        self.assertEqual({route: entered for route, (_, entered) in counted.items() if entered}, {})
        for route, event in heard.items():
            honest = route[2] == "honest"
            self.assertIsInstance(event, Over if honest else Locked, (route, event))
            # a relay that passes everything on gets no proof at all
            self.assertEqual(counted[route][0], 0 if honest else TRIES, route)

    def test_the_user_is_told_in_one_line(self):
        relays = self.relays(("unix", "tcp", "honest"), ("tls", "tls", "honest"))
        for where, door in zip(relays.addresses, ("a Unix socket of the uid ", "a certificate "),
                               strict=True):
            code, said = self.program(where)
            last = said.splitlines()[-1]
            self.assertEqual(code, os.EX_UNAVAILABLE, said)
            self.assertRegex(last, f"the connection to {where} is passed on: it leads to {door}")
        self.assertEqual(set(relays.end().values()), {(0, 0)})

    def test_what_is_honest(self):
        """The daemon's own doors; and a plain TCP port that leads to one, as ssh -L makes it: of
        that nobody can tell."""
        relays = self.relays(("tcp", "tcp", "honest"))
        for where in (*self.doors.values(), *relays.addresses):
            self.assertIsInstance(self.meet(where), Online, where)
        self.assertEqual(list(relays.end().values()), [(1, 1)])

    @needs("sshd", "ssh", "ssh-keygen")
    @unittest.skipUnless(has_login(), "needs a login of one's own in the host's list of users")
    def test_through_ssh(self):
        """A port that leads to a port works, with TLS and without; a socket that leads to a port
        does not, and says what does."""
        sshd = Sshd()
        self.addCleanup(sshd.close)
        socket_, plain, secure = f"{self.home}/forwarded", reserved_port(), reserved_port()
        tcp, tls = (f"127.0.0.1:{self.doors[door].port}" for door in ("tcp", "tls"))
        forwards = ((f"127.0.0.1:{plain}", tcp), (f"127.0.0.1:{secure}", tls), (socket_, tcp))
        ssh, *options = sshd.command()
        options.remove("-tt")
        process = subprocess.Popen([ssh, "-N", *(f"-L{here}:{there}" for here, there in forwards),
                                    *options], stdin=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        until(lambda: os.path.exists(socket_), SECONDS, "ssh to forward")
        for where, kind in ((f"127.0.0.1:{plain}", Online), (f"tls:127.0.0.1:{secure}", Online),
                            (f"unix:{socket_}", Over)):
            event = self.meet(parse(where))
            self.assertIsInstance(event, kind, event)
        self.assertIn("forward a TCP port to a TCP port, best one with tls:", event.reason)


if __name__ == "__main__":
    unittest.main()
