"""Refused by one's own ghost: a HELLO that was given up, or a session that died, must not keep its
own user out.

Real programs: the daemon is stopped for longer than a client waits; a line loses one direction.
"""
import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest
from collections.abc import Iterator, Sequence

from client import connection
from server.heartbeat import ALIVE_SECONDS, GHOST_SECONDS
from tests.harness.process import HERE, DaemonProcess
from tests.harness.terminals import Terminal, environment, until

SECONDS = 60.0              # for anything to appear
# The client as it is, but it waits a tenth of the time for an answer, so that the test need not.
HASTY = ("import sys; from client import connection, route, silence; sys.argv[0] = 'parley'; "
         "connection.LOGIN_SECONDS = {login}; "
         "silence.SILENCE_SECONDS, silence.PING_SECONDS = 2, 1; "
         "route.RETRIES = (0.3, 0.6, 1, 2); "
         "import curses_client; sys.exit(curses_client.main())")
# The client as it is, but it tries again soon.  On a busy machine an answer may take longer than a
# hasty client waits.
PATIENT = ("import sys; from client import route; sys.argv[0] = 'parley'; "
           "route.RETRIES = (0.3, 0.6, 1, 2); import curses_client; sys.exit(curses_client.main())")
# The daemon as it is, but a session has 60 seconds and not GHOST_SECONDS to answer its PING.
PATIENT_DAEMON = (f"import sys; sys.path.insert(0, {HERE!r}); import daemon; "
                  "from server import heartbeat; "
                  f"heartbeat.GHOST_SECONDS = {12 * GHOST_SECONDS}; sys.exit(daemon.main())")


class Relay:
    """Between a client and the daemon, both at Unix sockets; `deaf`: what the daemon says is lost
    on the way."""

    def __init__(self, path: str, daemon: str) -> None:
        self.path, self.daemon, self.deaf, self.hellos = path, daemon, False, 0
        self.shut = False
        self._ends: dict[socket.socket, socket.socket] = {}
        self._of_clients: set[socket.socket] = set()
        self._all: list[socket.socket] = []
        self._lost: set[socket.socket] = set()
        self._silent: set[socket.socket] = set()        # clients that have said nothing yet
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        self._wake, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def lose_a_direction(self) -> None:
        """From now on the clients that are connected hear nothing more, nor that their line has
        ended."""
        self._lost |= self._of_clients

    def cut(self) -> None:
        """All lines end, and new ones too, while it is `shut`."""
        self.shut = True
        self._waker.send(b"!")

    def _cut(self) -> None:
        for sock in list(self._ends):
            sock.close()
        self._ends.clear()
        if select.select([self._listener], [], [], 0.01)[0]:
            self._listener.accept()[0].close()

    def close(self) -> None:
        self.shut = False
        self._waker.close()
        self._thread.join()
        for sock in (self._listener, self._wake, *self._all):
            sock.close()

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([self._listener, self._wake, *self._ends], [], [])
            if self._wake in ready and not self._wake.recv(1):
                return
            if self.shut:
                self._cut()
                continue
            for sock in ready:
                if sock is self._listener:
                    self._accept()
                elif sock in self._ends:
                    self._pass_on(sock)

    def _accept(self) -> None:
        client, daemon = self._listener.accept()[0], socket.socket(socket.AF_UNIX)
        daemon.connect(self.daemon)
        self._silent.add(client)
        self._all += client, daemon
        self._ends |= {client: daemon, daemon: client}
        self._of_clients.add(client)
        if self.deaf:
            self._lost.add(client)

    def _pass_on(self, sock: socket.socket) -> None:
        """A lost direction swallows what comes; the end of the client's line is not told to the
        daemon either: the network between them forgets, as it does when a host is gone."""
        other = self._ends[sock]
        try:
            data = sock.recv(65536)
        except OSError:
            data = b""
        if not data:
            del self._ends[sock]
            if other in self._lost or sock in self._lost:
                return
            self._ends.pop(other, None)
            sock.close()
            other.close()
        elif other not in self._lost:
            with contextlib.suppress(OSError):
                other.sendall(data)
            self.hellos += sock in self._silent
            self._silent.discard(sock)


class Ghost(unittest.TestCase):
    program: Sequence[str] = (HERE + "/daemon.py",)

    def setUp(self) -> None:
        self.daemon = DaemonProcess(console="log", program=self.program)
        self.addCleanup(self.daemon.close)
        self.path = self.daemon.path
        self.terminals: list[Terminal] = []
        self.relays = 0

    def command(self, *options: str, login: float = connection.LOGIN_SECONDS / 10) -> list[str]:
        return [sys.executable, "-c", HASTY.format(login=login), "--connect", "unix:" + self.path,
                *options]

    def environment(self) -> dict[str, str]:
        return environment(XDG_STATE_HOME=self.daemon.directory + "/state", PYTHONPATH=HERE)

    def patient(self, *options: str) -> list[str]:
        return [sys.executable, "-c", PATIENT, "--connect", "unix:" + self.path, *options]

    def person(self, name: str, *options: str, patient: bool = False) -> Terminal:
        command = (self.patient if patient else self.command)("--name", name, *options)
        terminal = Terminal(command, self.environment())
        self.addCleanup(terminal.close)
        self.terminals.append(terminal)
        return terminal

    def relay(self) -> Relay:
        self.relays += 1
        relay = Relay(f"{self.daemon.directory}/relay{self.relays}", self.daemon.path)
        self.addCleanup(relay.close)
        self.path = relay.path
        return relay

    def notes(self, pattern: str) -> list[str]:
        return re.findall(pattern, self.daemon.output())

    @contextlib.contextmanager
    def stopped(self, relay: Relay) -> Iterator[None]:
        """The daemon stands still until it has three HELLOs more to read: two were given up."""
        assert self.daemon.process
        self.daemon.process.send_signal(signal.SIGSTOP)
        before = relay.hellos
        try:
            yield
            until(lambda: any(client.drain() for client in self.terminals)
                  or relay.hellos >= before + 3, SECONDS)
        finally:
            self.daemon.process.send_signal(signal.SIGCONT)


class Stopped(Ghost):
    def test_the_first_login_on_a_screen(self) -> None:
        with self.stopped(self.relay()):
            ann = self.person("ann")
        ann.until("as ann", SECONDS)
        self.assertNotIn("already in use", self.daemon.output())

    def test_a_session_on_a_screen_comes_back(self) -> None:
        """The daemon stands still for so long that the client gives its session up, and some tries
        besides."""
        relay = self.relay()
        ann = self.person("ann")
        ann.until("as ann", SECONDS)
        with self.stopped(relay):
            ann.until("connection lost", SECONDS)
        ann.until("connected again", SECONDS)
        self.assertNotIn("username>", ann.screen.text())
        self.assertNotIn("already in use", self.daemon.output())

    def test_plain_at_a_terminal(self) -> None:
        with self.stopped(self.relay()):
            ann = self.person("ann", "--plain")
        ann.until("as ann", SECONDS)
        self.assertNotIn("already in use", self.daemon.output())

    def test_a_robot_and_a_one_shot(self) -> None:
        """Two runs gave up and left their HELLOs behind; the third waits when the daemon goes on,
        and comes in."""
        for options in (("--plain",), ("--who",)):
            with self.subTest(options):
                runs = []
                with self.stopped(self.relay()):
                    for command in self.command, self.command, self.patient:
                        runs += [subprocess.Popen(command("--name", "bob", *options),
                                                  env=self.environment(), stdin=subprocess.DEVNULL,
                                                  stdout=subprocess.DEVNULL,
                                                  stderr=subprocess.PIPE)]
                        if len(runs) < 3:
                            self.assertEqual(runs[-1].wait(SECONDS), os.EX_UNAVAILABLE)
                said = [run.communicate(timeout=SECONDS)[1] for run in runs]
                self.assertEqual((runs[-1].returncode, said[-1].count(b"in use")), (0, 0), said)


class OneDirection(Ghost):
    def test_the_welcome_is_lost(self) -> None:
        """HELLO reaches the daemon, nothing comes back: one try after the other gets the name."""
        relay = self.relay()
        relay.deaf = True
        ann = self.person("ann")
        until(lambda: ann.drain() or len(self.notes("connected name=ann")) >= 2, SECONDS)
        relay.deaf = False
        ann.until("as ann", SECONDS)
        self.assertIn("taken over by its owner", self.daemon.output())
        self.assertNotIn("already in use", self.daemon.output())

    def test_a_session_goes_deaf(self) -> None:
        relay = self.relay()
        ann = self.person("ann")
        ann.until("as ann", SECONDS)
        relay.lose_a_direction()
        ann.until("connected again", SECONDS)
        self.assertNotIn("already in use", self.daemon.output())

    def test_another_program_of_the_same_login(self) -> None:
        """The first was killed behind a line that does not tell: the next has another token, and
        waits some seconds."""
        relay = self.relay()
        relay.deaf = True
        ann = self.person("ann")
        until(lambda: ann.drain() or self.notes("connected name=ann"), SECONDS)
        ann.close()
        relay.deaf, heard = False, time.monotonic()
        # a session that was heard just now is not asked
        until(lambda: time.monotonic() - heard > ALIVE_SECONDS)
        done = subprocess.run(self.command("--name", "ann", "--plain",
                                           login=connection.LOGIN_SECONDS),
                              env=self.environment(), stdin=subprocess.DEVNULL,
                              capture_output=True, encoding="utf-8", timeout=SECONDS)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("no answer to PING", self.daemon.output())


class Living(Ghost):
    """Everybody has time to answer, so that no session passes for dead because the machine is
    busy."""
    program = ("-c", PATIENT_DAEMON)

    def test_another_session_is_refused_at_once(self) -> None:
        """A resident is alive, and answers."""
        done = subprocess.run(self.patient("--name", "v-0", "--plain"), env=self.environment(),
                              input="", capture_output=True, encoding="utf-8", timeout=SECONDS)
        self.assertEqual((done.returncode, done.stderr.count("\n")), (os.EX_TEMPFAIL, 1))
        self.assertIn("v-0 is in use, by you, since ", done.stderr)
        self.assertNotIn("no answer to PING", self.daemon.output())

    def test_a_client_that_comes_back_to_a_name_in_use_tries_again(self) -> None:
        """Its owner is at another terminal meanwhile: the bar says so, and the client is in when
        that one leaves."""
        relay = self.relay()
        ann = self.person("ann", patient=True)
        ann.until("as ann", SECONDS)
        relay.cut()
        ann.until("retry in", SECONDS)
        self.path = self.daemon.path
        other = self.person("ann", "--plain", patient=True)
        other.until("as ann", SECONDS)
        relay.shut = False
        ann.until("ann is in use, by you, since", SECONDS)
        ann.until(": retry in", SECONDS)
        ann.type("a draft")
        other.type("/exit\r")
        self.assertEqual(other.wait(SECONDS), 0)
        ann.until("connected again", SECONDS)
        ann.until("a draft")


if __name__ == "__main__":
    unittest.main()
