"""Several logins on one host, with real programs on both ends: who finds whom, and who is never
believed."""
import os
import re
import shutil
import signal
import sys
import unittest
from pathlib import Path
from typing import Any

import wire
from client.keyring import Keyring
from net import scram
from tests.harness.neighbours import LOGINS, PATIENCE, TREE, Host, Program, reason_not_to
from tests.harness.process import FULL, HERE, Speaker
from tests.harness.terminals import Terminal, needs, until

ALICE, BOB = LOGINS["alice"], LOGINS["bob"]
HOSTS = "unix:/run/parley/parley.sock"
WHY_NOT = reason_not_to()


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Neighbours(unittest.TestCase):
    def setUp(self) -> None:
        self.host = Host()
        self.addCleanup(self.host.close)

    # ---- what people do ----

    def serve_the_host(self, *options: str) -> Program:
        """As README, Start, says for a system user."""
        if not self.host.path("/run/parley").exists():
            self.root("install", "-d", "-o", "parley", "/run/parley")
        return self.host.daemon("parley", *options)

    def root(self, *words: str) -> None:
        self.assertEqual(self.host.run("root", *words).returncode, 0)

    def directory(self, path: str, login: str) -> str:
        self.root("install", "-d", "-m", "700", "-o", login, path)
        return path

    def come(self, login: str, *options: str, **more: str) -> Program:
        """A client that stays, line by line; it is let in."""
        client = self.host.start(login, sys.executable, f"{TREE}/curses_client.py", "--plain",
                                 "--name", login, *options, **more)
        client.says(f" as {login}: ")
        return client

    def finds(self, login: str, *options: str, **more: str) -> str:
        """A client comes in; what it says of it on stderr."""
        found = self.host.parley(login, "--name", login, "--who", *options, **more)
        self.assertEqual(found.returncode, os.EX_OK, found.stderr)
        return found.stderr

    def fails(self, login: str, *options: str, code: int = os.EX_UNAVAILABLE, **more: str) -> str:
        """A client does not come in; what it says, one line."""
        found = self.host.parley(login, *(() if "--name" in options else ("--name", login)),
                                 "--who", *options, **more)
        self.assertEqual((found.returncode, found.stdout, found.stderr.count("\n")), (code, "", 1),
                         found.stderr)
        return found.stderr

    def ends(self, login: str, *options: str, **more: str) -> tuple[int, str]:
        """A daemon that can't serve: its exit code, and the last line that it said."""
        program = self.host.daemon(login, *options, listens=False, **more)
        code = program.process.wait(PATIENCE)
        return code, program.output.splitlines()[-1]

    def heard(self, impostor: Program) -> list[Any]:
        """What an impostor met and heard."""
        return impostor.lines[1:]


class Places(Neighbours):
    def test_daemon_and_client_meet_whatever_the_environment_lacks(self) -> None:
        """XDG_RUNTIME_DIR: not set (cron), the user's own, one of another user's (su), another
        place of the user's; /run/user/UID there, or not (a container)."""
        own = self.directory("/tmp/own", "alice")
        foreign = self.directory("/run/user/61002", "bob")
        for logged_in in (False, True):
            if logged_in:
                self.directory(f"/run/user/{ALICE}", "alice")
            settings = ({}, {"XDG_RUNTIME_DIR": f"/run/user/{ALICE}"}, {"XDG_RUNTIME_DIR": foreign},
                        {"XDG_RUNTIME_DIR": own}, {"XDG_RUNTIME_DIR": "relative"})
            for number, theirs in enumerate(settings):
                if not FULL and (number + logged_in) % 2:
                    continue
                daemon = self.host.daemon("alice", **theirs)
                chosen = (number + 2 * logged_in) % len(settings)
                for mine in settings if FULL else settings[chosen:chosen + 1]:
                    with self.subTest(logged_in=logged_in, daemon=theirs, client=mine):
                        self.assertEqual(self.finds("alice", **mine), "")
                self.assertEqual(daemon.end(), 0)
        self.assertEqual(list(self.host.path("/tmp").rglob("*.sock")), [],
                         "at its end a daemon takes its files away")

    def test_a_place_of_ones_own_comes_before_that_of_the_host(self) -> None:
        self.serve_the_host("--name", "hosts")
        self.host.daemon("alice", "--name", "alices")
        self.come("bob").says("connected to hosts as bob: 1 online, no messages waiting\n")
        alice = self.come("alice")
        alice.says("connected to alices, your own daemon, as alice: ")
        alice.says("; the host has another: parley --connect host\n")
        alice.end()
        for word, house in (("own", "alices"), ("host", "hosts")):
            self.come("alice", "--connect", word).says(f"connected to {house} as alice: ")
        for words in ("who",), ("check",), ("--check",):
            found = self.host.parley("alice", "--name", "alice", *words)
            self.assertEqual(found.stderr, "parley: this is your own daemon; the host has another: "
                                           "parley --connect host\n", words)
        for words in ("check", "-q"), ("check", "--json"), ("who", "--connect", "host"):
            self.assertEqual(self.host.parley("alice", "--name", "alice", *words).stderr, "", words)
        found = self.host.parley("alice", "--name", "al2", "--send", "bob", "hi")
        self.assertEqual(found.returncode, os.EX_NOUSER)
        self.assertIn("bob is not in the log of your own daemon (parley --connect host asks the "
                      "host's)", found.stderr)

    def test_whoever_has_no_name_yet_hears_first_that_no_daemon_runs(self) -> None:
        """At a terminal: nobody types a name in vain."""
        asks = self.host.start("alice", "script", "-qec",
                               f"{sys.executable} {TREE}/curses_client.py --plain", "/dev/null")
        asks.says("not connected: no daemon runs here; `make run` starts one for you; root starts")
        self.assertNotIn("menu>", asks.output)
        daemon = self.host.daemon("alice")
        asks.says("a daemon is there now: choose a name")
        asks.type("alice")
        asks.says(" as alice: ")
        self.assertEqual(daemon.output.count("connected name=alice"), 1)
        self.assertNotIn(" closed ", daemon.output, "a look is nothing that an operator reads")

    def test_no_tcp_without_being_told(self) -> None:
        daemon = self.host.daemon("alice")
        rows = self.host.run("root", "cat", "/proc/net/tcp", "/proc/net/tcp6").stdout.splitlines()
        self.assertEqual([row for row in rows if " 0A " in row], [])
        daemon.end()
        self.host.daemon("alice", "--listen", "127.0.0.1:6464")
        self.assertNotIn("6464", self.fails("bob"))
        self.assertEqual(self.finds("bob", "--connect", "127.0.0.1:6464"), "")
        self.assertEqual(self.finds("bob", PARLEY_SERVER="127.0.0.1:6464"), "")

    def test_a_directory_of_somebody_else_is_passed_over(self) -> None:
        self.directory(f"/tmp/parley-{ALICE}", "mallory")
        code, line = self.ends("alice")
        self.assertEqual(code, os.EX_NOPERM)
        self.assertIn(f"/tmp/parley-{ALICE} belongs to mallory", line)
        self.assertIn("--listen", line)
        self.assertIn(f"/tmp/parley-{ALICE} belongs to mallory, not to you: passed over",
                      self.fails("alice"))
        self.serve_the_host()
        self.assertEqual(self.finds("alice"),
                         f"parley: /tmp/parley-{ALICE} belongs to mallory, not to you: "
                         "passed over; root can remove it\n")
        own = self.directory("/tmp/own", "alice")
        daemon = self.host.daemon("alice", XDG_RUNTIME_DIR=own)
        daemon.says("passed-over")
        self.assertIn("this is your own daemon", self.finds("alice", XDG_RUNTIME_DIR=own))

    def test_a_link_to_a_directory_of_ones_own_is_somebody_elses(self) -> None:
        own = self.directory("/tmp/own", "alice")
        self.assertEqual(self.host.run("mallory", "ln", "-s", own,
                                       f"/tmp/parley-{ALICE}").returncode, 0)
        self.assertIn("belongs to mallory", self.fails("alice"))
        self.assertIn("belongs to mallory", self.ends("alice")[1])

    def test_a_socket_that_was_cleaned_away(self) -> None:
        daemon = self.host.daemon("alice")
        client = self.come("alice")
        shutil.rmtree(self.host.path(f"/tmp/parley-{ALICE}"))
        self.assertIn("no daemon runs here", self.fails("alice"))
        self.assertIn("your own daemon does not run; `make run` starts one for you\n",
                      self.fails("alice", "--connect", "own"))
        self.assertIn("the daemon of this host does not run; root starts the host's: ",
                      self.fails("alice", "--connect", "host"))
        daemon.process.send_signal(signal.SIGHUP)
        daemon.says("socket-gone address=unix:/tmp/parley-")
        daemon.says(" listening ", 2)
        self.finds("alice", "--name", "other")
        client.type("/all still here")
        client.says("still here")

    def test_a_runtime_directory_that_goes_with_the_last_session(self) -> None:
        """The daemon goes to the next place; and it comes back to no file of another."""
        place = self.directory(f"/run/user/{ALICE}", "alice")
        daemon = self.host.daemon("alice", XDG_RUNTIME_DIR=place)
        shutil.rmtree(self.host.path(place))
        daemon.process.send_signal(signal.SIGHUP)
        daemon.says(f"listening address=unix:/tmp/parley-{ALICE}/")
        self.assertEqual(self.finds("alice", XDG_RUNTIME_DIR=place), "")
        self.assertEqual(self.finds("alice"), "")

    def test_a_second_daemon_takes_nothing_from_the_first(self) -> None:
        first = self.host.daemon("alice", "--name", "first")
        code, line = self.ends("alice", "--state", "/mnt/home/alice/two")
        self.assertEqual(code, os.EX_UNAVAILABLE)
        self.assertIn("in use", line)
        self.come("alice").says("connected to first")
        self.host.path(f"/tmp/parley-{ALICE}/parley.sock").unlink()
        self.host.daemon("alice", "--name", "second", "--state", "/mnt/home/alice/two")
        first.process.send_signal(signal.SIGHUP)
        first.says("socket-lost")
        self.assertEqual(first.end(), 0)
        client = self.host.start("alice", sys.executable, f"{TREE}/curses_client.py", "--plain",
                                 "--name", "al")
        client.says("connected to second")


class Together(Neighbours):
    def test_two_logins_meet_as_readme_says(self) -> None:
        self.serve_the_host()
        self.assertEqual(self.host.path("/run/parley/parley.sock").stat().st_mode & 0o777, 0o666)
        bob = self.come("bob")
        sent = self.host.parley("alice", "--name", "alice", "--send", "bob", "meet me at bay 3")
        self.assertEqual((sent.returncode, sent.stderr), (0, ""))
        bob.says("alice > you: meet me at bay 3")
        bob.type("@alice on my way")
        bob.says("alice is not connected: kept")
        self.assertIn("on my way", self.host.parley("alice", "--name", "alice", "--check").stdout)
        denied = self.host.parley("mallory", "--name", "bob", "--check")
        self.assertEqual(denied.returncode, os.EX_UNAVAILABLE)
        self.assertIn("belongs to another login", denied.stderr)

    def test_a_passphrase_at_the_socket_of_another_login(self) -> None:
        """The proof is bound to the login that the kernel names to both ends."""
        self.serve_the_host()
        path = self.host.path("/run/parley/parley.sock")
        with Speaker(str(path), "torque", wire.Feature.PROVE) as root:
            root.say(wire.Claim(1, *scram.verifier(bytes(32), bytes(16), scram.ITERATIONS)))
            root.hear(wire.Done)
        state = "/mnt/home/alice/state"
        ring = Keyring(self.host.path(f"{state}/parley"))
        ring.keep(HOSTS, "torque", bytes(16), scram.ITERATIONS, bytes(32))
        self.root("chown", "-R", "alice", state)
        self.finds("alice", "--name", "torque", XDG_STATE_HOME=state)
        denied = self.host.parley("bob", "--name", "torque", "--who")
        self.assertEqual(denied.returncode, os.EX_NOPERM, denied.stderr)

    @needs("make", "su")
    def test_the_very_lines_of_readme(self) -> None:
        """Its lines for a host without systemd; here the programs and the user's home lie
        elsewhere."""
        self.root("make", "-s", "install", "PREFIX=/mnt/usr", f"PYTHON={sys.executable}")
        self.root("chmod", "-R", "a+rX", "/mnt/usr")
        lines = re.findall(r"^    ((?:install -d|su -s) .*)$", Path(HERE, "README.md").read_text(),
                           re.MULTILINE)
        self.assertEqual(len(lines), 2)
        home = "/mnt/home/parley"
        for line in lines:
            line = line.replace("'parleyd",
                                "'/mnt/usr/bin/parleyd").replace("/var/lib/parley", home)
            self.assertEqual(self.host.run("root", "sh", "-c",
                                           f"{line} >/dev/null 2>&1").returncode, 0, line)
        lock, log = self.host.path(f"{home}/store/lock"), self.host.path(f"{home}/log")
        until(lambda: log.exists() and f"listening address={HOSTS}" in log.read_text(), PATIENCE,
              "the daemon")
        self.addCleanup(lambda: os.kill(int(lock.read_text()), signal.SIGKILL))
        sent = self.host.run("alice", "/mnt/usr/bin/parley", "--name", "alice", "--send", "alice",
                             "to myself")
        self.assertEqual((sent.returncode, sent.stderr), (0, ""))
        bob = self.come("bob")
        self.host.run("alice", "/mnt/usr/bin/parley", "--name", "alice", "--send", "bob", "bay 3")
        bob.says("alice > you: bay 3")

    def test_the_host_s_socket_by_root(self) -> None:
        """Root names the place once; from then on /run/parley is root's, and so is the service."""
        self.host.daemon("root", "--listen", HOSTS).end()
        self.host.daemon("root")
        for login in ("root", "alice", "bob"):
            self.assertEqual(self.finds(login, "--name", f"{login}2"), "")

    def test_make_run_of_root_is_for_root_alone(self) -> None:
        daemon = self.host.start("root", "make", "-s", "run", f"PYTHON={sys.executable}",
                                 "ARGS=--console log")
        daemon.says("listening address=unix:/tmp/parley-0/parley.sock")
        self.addCleanup(daemon.kill)
        self.assertEqual(self.finds("root", "--name", "ruth"), "")
        self.assertIn("root runs a daemon for root alone (unix:/tmp/parley-0/parley.sock)",
                      self.fails("bob"))

    def test_a_guest_hears_whose_daemon_it_is(self) -> None:
        self.host.daemon("alice")
        said = self.fails("bob")
        self.assertIn("no daemon runs here; alice runs a daemon for alice alone "
                      f"(unix:/tmp/parley-{ALICE}/parley.sock); `make run`", said)
        self.assertIn("this daemon serves alice only",
                      self.fails("bob", "--connect", f"unix:/tmp/parley-{ALICE}/parley.sock"))
        self.directory("/tmp/empty", "alice")
        self.assertIn("only alice can get there",
                      self.fails("bob", "--connect", "unix:/tmp/empty/parley.sock"))

    def test_a_daemon_each_and_one_that_is_open(self) -> None:
        self.host.daemon("alice", "--name", "alices", "--socket-mode", "666")
        self.host.daemon("bob", "--name", "bobs")
        self.come("alice").says("connected to alices as alice")
        bob = self.come("bob")
        bob.says("connected to bobs as bob")
        bob.end()
        guest = self.come("bob", "--connect", f"unix:/tmp/parley-{ALICE}/parley.sock")
        guest.says("connected to alices, run by alice, as bob")

    def test_a_name_that_is_kept_over_tcp(self) -> None:
        """Nobody has set a passphrase; the words are true, and the same as if somebody had."""
        self.serve_the_host("--listen", HOSTS, "--listen", "127.0.0.1:6464")
        found = self.fails("alice", "--connect", "127.0.0.1:6464", "--name", "bob",
                           code=os.EX_NOPERM)
        self.assertIn("bob is kept for its owner there", found)
        self.assertIn("`parley --connect 127.0.0.1:6464 --name bob` on a terminal here", found)
        self.assertIn(".  At the Unix socket of the daemon's host a login of that host needs no "
                      "passphrase for its names.  /claim, typed there, sets the one", found)
        self.assertNotIn("takes a passphrase", found)


class Impostors(Neighbours):
    def test_while_the_host_s_daemon_restarts(self) -> None:
        options = ("--listen", HOSTS, "--socket-mode", "666")
        daemon = self.serve_the_host(*options)
        bob = self.come("bob")
        impostor = self.host.impostor("mallory", "127.0.0.1:6464",
                                      f"unix:/tmp/parley-{BOB}/parley.sock")
        daemon.end(signal.SIGKILL)
        bob.says("connection lost")
        bob.type("@bob for nobody else")
        until(lambda: "not connected: " in bob.output or self.heard(impostor), PATIENCE, bob.output)
        self.assertEqual(self.heard(impostor), [])
        self.assertNotIn("make run", bob.output)
        self.serve_the_host(*options)
        bob.says("connected again to ")
        bob.says("+ you > you: delivered")
        self.assertEqual(self.heard(impostor), [])

    def test_before_there_is_a_daemon(self) -> None:
        """The places at which anybody may listen first."""
        open_to_all = self.directory("/tmp/open", "alice")
        self.root("chmod", "777", open_to_all)
        impostor = self.host.impostor("mallory", "127.0.0.1:6464",
                                      f"unix:/tmp/parley-{ALICE}/parley.sock",
                                      f"unix:{open_to_all}/parley/parley.sock")
        said = self.fails("alice", XDG_RUNTIME_DIR=open_to_all)
        self.assertIn(f"{open_to_all}/parley belongs to mallory", said)
        self.assertEqual(self.heard(impostor), [])

    def test_a_listener_in_ones_own_directory(self) -> None:
        """However it came there: the kernel says who listens."""
        place = self.directory(f"/tmp/parley-{ALICE}", "alice")
        self.root("chmod", "777", place)
        script = (f"import os, socket; path = {place!r} + '/parley.sock'; "
                  "s = socket.socket(1); s.bind(path); s.listen(); os.chmod(path, 0o666); "
                  "print('listening', flush=True); "
                  "[print(s.accept()[0].recv(999), flush=True) for _ in range(9)]")
        impostor = self.host.start("mallory", sys.executable, "-c", script)
        impostor.says("listening")
        self.assertIn(f"mallory listens at unix:{place}/parley.sock", self.fails("alice"))
        self.serve_the_host()
        self.assertIn("mallory listens at", self.finds("alice"))
        until(lambda: impostor.output.count("b''") == 2, PATIENCE, impostor.output)
        self.assertNotIn("alice", impostor.output)

    def test_a_socket_that_was_named_changes_hands(self) -> None:
        daemon = self.host.daemon("alice", "--listen", "unix:/tmp/lab.sock", "--socket-mode", "666")
        bob = self.come("bob", "--connect", "unix:/tmp/lab.sock")
        bob.says("run by alice")
        daemon.end()
        bob.says("connection lost")
        script = ("import os, socket; path = '/tmp/lab.sock'; "
                  "s = socket.socket(1); s.bind(path); os.chmod(path, 0o666); s.listen(); "
                  "print('listening', flush=True); "
                  "[print(s.accept()[0].recv(999), flush=True) for _ in range(9)]")
        impostor = self.host.start("mallory", sys.executable, "-c", script)
        impostor.says("listening")
        bob.says("mallory listens at unix:/tmp/lab.sock now, before it was alice: not believed")
        impostor.says("b''")
        self.assertNotIn("bob", impostor.output)

    def test_another_store_and_a_script(self) -> None:
        daemon = self.serve_the_host()
        bob = self.come("bob")
        daemon.process.send_signal(signal.SIGSTOP)
        bob.type("@bob for the daemon before")
        bob.says("for the daemon before")
        daemon.end(signal.SIGKILL)
        bob.says("connection lost")
        daemon = self.serve_the_host("--state", "/mnt/home/parley/other")
        self.assertEqual(bob.process.wait(PATIENCE), os.EX_UNAVAILABLE)
        self.assertIn("is not the one before: it has another store", bob.output.splitlines()[-1])
        self.assertNotIn(" message ", daemon.output)

    def test_another_store_and_a_user(self) -> None:
        """On the screen it is a question, in words; a stray Enter is no answer."""
        daemon = self.serve_the_host()
        command = self.host.command("bob", sys.executable, f"{TREE}/curses_client.py", "--name",
                                    "bob")
        with Terminal(command, rows=24, cols=140) as screen:
            screen.until("as bob:", PATIENCE)
            daemon.process.send_signal(signal.SIGSTOP)
            screen.type("@bob for the daemon before\r")
            screen.until(". for the daemon before", PATIENCE)
            screen.type("half a line")
            daemon.end(signal.SIGKILL)
            screen.until("connection lost", PATIENCE)
            daemon = self.serve_the_host("--state", "/mnt/home/parley/other")
            screen.until("go on with it?>", PATIENCE)
            screen.until("1 message of yours had no answer", PATIENCE)
            screen.type("\r")
            screen.until("type yes to go on with this daemon", PATIENCE)
            self.assertNotIn(" message ", daemon.output)
            daemon.end()
            daemon = self.serve_the_host()
            screen.type("\x1b")
            screen.until("connected again to", PATIENCE)
            screen.until("+ for the daemon before", PATIENCE)
            daemon.end(signal.SIGKILL)
            daemon = self.serve_the_host("--state", "/mnt/home/parley/other")
            screen.until("go on with it?>", PATIENCE)
            screen.type("yes\r")
            screen.until(lambda shown: shown.text().count("connected again to") == 2, PATIENCE)
            screen.type("@bob for this one\r")
            screen.until("for this one", PATIENCE)
            daemon.says("for this one")
            self.assertNotIn("for the daemon before", daemon.output)


class OnePerson(Neighbours):
    """A login is a person: beside their window, and at two terminals."""

    def cron(self, *options: str) -> tuple[int, str, str]:
        """The client of alice, without any environment."""
        done = self.host.run("alice", "env", "-i", sys.executable, f"{TREE}/curses_client.py",
                             *options)
        return done.returncode, done.stdout, done.stderr

    def window(self, *options: str, **more: str) -> Terminal:
        command = self.host.command("alice", sys.executable, f"{TREE}/curses_client.py", *options,
                                    **more)
        screen = Terminal(command, rows=24, cols=140)
        self.addCleanup(screen.close)
        return screen

    def test_cron_jobs_beside_a_window(self) -> None:
        """None has a name, a home or a login in its environment, and ten run at once."""
        self.serve_the_host()
        bob = self.come("bob")
        window = self.window(USER="mallory", LOGNAME="mallory")
        window.until("username> alice", PATIENCE)
        window.type("\r")
        window.until("as alice:", PATIENCE)
        jobs = [self.host.start("alice", "env", "-i", sys.executable, f"{TREE}/curses_client.py",
                                "--send", "bob", f"job {number}.") for number in range(10)]
        for number, job in enumerate(jobs):
            self.assertEqual((job.process.wait(PATIENCE), job.output), (0, ""))
            bob.says(f"alice > you: job {number}.")
        window.type("/hold on\r")
        window.until("holding", PATIENCE)
        bob.type("@alice waits for a check")
        window.until("1 waiting", PATIENCE)
        code, out, err = self.cron("--check")
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out, r"bob > you: waits for a check\n$")
        window.until(lambda shown: "1 waiting" not in shown.text(), PATIENCE)
        self.assertEqual(self.cron("--check"), (0, "No messages available\n", ""))
        code, out, err = self.cron("--who")
        self.assertEqual((code, err), (0, ""))
        self.assertIn("bob      Available", out)
        self.assertNotIn("in use", window.screen.text())

    def test_plain_offers_the_login_s_name(self) -> None:
        self.serve_the_host()
        plain = self.window("--plain")
        plain.until("an empty line is alice", PATIENCE)
        plain.until("username>", PATIENCE)
        plain.type("\r")
        plain.until("as alice:", PATIENCE)

    def test_a_session_that_moves(self) -> None:
        self.serve_the_host()
        first = self.window("--name", "alice")
        first.until("as alice:", PATIENCE)
        second = self.window()
        second.until("username> alice", PATIENCE)
        second.type("\r")
        second.until("alice is in use, by you, since ", PATIENCE)
        second.until(": /take moves it here", PATIENCE)
        self.assertRegex(second.screen.text(), r"since \d\d:\d\d on pts/\d+: /take")
        script = self.host.parley("alice", "--name", "alice", "--plain")
        self.assertEqual(script.returncode, os.EX_TEMPFAIL)
        self.assertRegex(script.stderr, r"since \d\d:\d\d on pts/\d+: --take moves it here\n$")
        second.type("/take\r")
        second.until("as alice:", PATIENCE)
        first.until("parley: moved to pts/", PATIENCE)
        self.assertEqual(first.wait(PATIENCE), os.EX_UNAVAILABLE)
        script = self.host.parley("alice", "--name", "alice", "--plain", "--take")
        self.assertEqual((script.returncode, script.stderr), (0, ""))
        second.until("parley: moved to another client of yours at ", PATIENCE)

    def test_mail_to_a_login_that_never_came(self) -> None:
        """From cron, from the list of names and by a command; it waits until they come."""
        daemon = self.serve_the_host()
        self.assertEqual(self.cron("--send", "Mallory", "welcome"),
                         (0, "mallory has not been here yet: kept until they come\n", ""))
        for name in "mallorie", "daemon":
            code, out, err = self.cron("--send", name, "hi")
            self.assertEqual((code, out), (os.EX_NOUSER, ""))
            self.assertIn(f"nobody named {name} has ever been here", err)
        window = self.window("--name", "alice")
        window.until("as alice:", PATIENCE)
        window.type("2\r")
        window.until("send>", PATIENCE)
        window.type("1\r")
        window.until("to>", PATIENCE)
        window.type("bo")
        window.until("to> bo", PATIENCE)
        window.type("b")
        window.until("> bob      has not been here yet", PATIENCE)
        window.type("\r")
        window.until("to bob>", PATIENCE)
        window.type("from the list\r")
        window.until("bob has not been here yet: kept until they come", PATIENCE)
        daemon.end()
        self.serve_the_host()
        for login, text in ("mallory", "welcome"), ("bob", "from the list"):
            self.assertIn(f"alice > you: {text}\n", self.host.parley(login, "--check").stdout)

    def test_a_login_that_can_be_nobody(self) -> None:
        self.serve_the_host()
        done = self.host.parley("root", "--who")
        self.assertEqual(done.returncode, os.EX_USAGE)
        self.assertEqual(done.stderr,
                         "parley: your login root is a reserved word, and no username: "
                         "say who you are with --name NAME or $PARLEY_NAME\n")
        command = self.host.command("root", sys.executable, f"{TREE}/curses_client.py")
        with Terminal(command, rows=24, cols=100) as screen:
            screen.until("your login root is a reserved word, and no username: choose another",
                         PATIENCE)
            self.assertNotIn("1970", screen.screen.text())
            screen.type("admiral\r")
            screen.until("as admiral:", PATIENCE)


if __name__ == "__main__":
    unittest.main()
