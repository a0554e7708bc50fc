"""Every program in every poor place: it works, or one line says what to do; and what a script is
told.

The table is tests/programs/poor_places.py.  A cell is a program in a row.  Works means that the
program did what it is for: a message is on the daemon's disk, a screen was painted and left, a
daemon took a message and stopped.  Else there is one line, from this program, and the exit code
that the row names.  Never a traceback, never silence, and nothing is left behind in other people's
directories.
"""
import contextlib
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import termios
import unittest
from collections.abc import Callable, Iterator
from unittest import mock

import wire
from server import startup
from store.disk import Disk
from tests.harness.process import FULL, DaemonProcess, Speaker, effort
from tests.harness.terminals import Terminal, until
from tests.programs.poor_places import CLIENT, DAEMON, HERE, ROOT, ROWS, STRANGER, Place, Row, lack

SECONDS = 20.0              # for any program: a loaded machine is slow, not wrong
PYTHON_SAYS = ("Traceback", "Exception ignored", "Warning", "Fatal Python error")
F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", 1031)

place: Place


def setUpModule() -> None:
    global place
    place = Place()
    unittest.addModuleCleanup(place.close)


class Outcome:
    """What a program did."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


def run(row: Row, *options: str, stdin: str = "") -> Outcome:
    """A client without a terminal."""
    return started(row, place.client(row, *options), stdin)


def started(row: Row, command: list[str], stdin: str = "") -> Outcome:
    done = subprocess.run(command, env=place.environment(row), cwd=place.path("cwd"),
                          input=stdin.encode(), capture_output=True, timeout=SECONDS)
    return Outcome(done.returncode, done.stdout.decode(errors="replace"),
                   done.stderr.decode(errors="replace"))


SAMPLE = 2              # every so many of the rows, in `make test`
PARTS = effort(6, 2)    # classes that the rows are dealt to; each has a house of its own


class Cells(unittest.TestCase):
    """One test for each row; a subtest for each program."""

    def cell(self, row: Row, program: str, done: Outcome) -> bool:
        """Whether it worked; if it did not, that it said so."""
        code = row.codes.get(program, 0)
        text = done.out + done.err
        for words in PYTHON_SAYS:
            self.assertNotIn(words, text)
        self.assertEqual(done.code, code, text[-2000:])
        if code:
            ours = [line for line in done.err.splitlines()
                    if not line.startswith("parley: no terminal")]
            self.assertEqual(len(ours), 1, done.err)
            self.assertRegex(ours[0], r"\Aparleyd?: ")
            self.assertIn(row.says, ours[0].replace("    | ", ""))      # a terminal's rows
        return not code

    def who(self, row: Row) -> None:
        done = run(row, "--name", place.name(), "--who")
        if self.cell(row, "who", done):
            self.assertGreater(done.out.count("\n"), 100)

    def send(self, row: Row) -> None:
        bob = place.name()
        place.daemon.client(bob).close()
        done = run(row, "--name", place.name(), "--send", bob, "grüße")
        self.cell(row, "send", done)
        with place.daemon.client(bob) as reader:
            reader.say(wire.Check(1))
            self.assertEqual(reader.hear(wire.Mail).text, "grüße")

    def check(self, row: Row) -> None:
        me = place.name()
        place.daemon.client(me).close()
        with place.daemon.client(place.name()) as sender:
            sender.say(wire.Send(1 << 32 | 1, 0, (me,), "for you"))
            sender.hear(wire.Stored)
        done = run(row, "--name", me, "--check")
        works = self.cell(row, "check", done)
        self.assertEqual("for you" in run(ROWS[0], "--name", me, "--check").out, not works,
                         "shown and kept, or left")

    def plain(self, row: Row) -> None:
        bob = place.name()
        place.daemon.client(bob).close()
        done = run(row, "--name", place.name(), "--plain", stdin=f"@{bob} hello\n")
        if self.cell(row, "plain", done):
            self.assertIn("stored", done.out)

    def help(self, row: Row) -> None:
        for program in (CLIENT, DAEMON):
            for option in ("--help", "--version"):
                done = started(row, place.command(row, program, option))
                self.cell(row, "help", done)
                self.assertIn("parley", done.out)

    def inspect(self, row: Row) -> None:
        store = place.room(row) + "/store"
        with DaemonProcess(store=store, bare=True) as daemon:
            daemon.client("bob").close()
            daemon.end(signal.SIGTERM)
        if row.user and ROOT:
            subprocess.run(["chown", "-R", str(STRANGER), store], check=True)
        done = started(row, place.command(row, DAEMON, "--check-store", "--state", store))
        self.cell(row, "inspect", done)
        self.assertIn("bob", done.out + "bob" * ("name" in done.out))

    def screen(self, row: Row) -> None:
        terminal = Terminal(place.client(row, "--name", place.name()), place.environment(row),
                            cwd=place.path("cwd"))
        self.addCleanup(terminal.close)
        if not row.codes.get("screen"):
            terminal.until(lambda screen: "connected to" in screen.text(), SECONDS)
            if ("plain lines" not in terminal.screen.text()
                    or terminal.initial_termios == terminal.termios()):
                terminal.type("/exit\r")
        code = terminal.wait(SECONDS)
        text = " ".join(terminal.screen.text().split("\n"))
        self.cell(row, "screen", Outcome(code, "", text if code else ""))
        for words in PYTHON_SAYS:
            self.assertNotIn(words, terminal.screen.text())
        self.assertEqual(terminal.termios(), terminal.initial_termios)

    def serves(self, row: Row, path: str, is_over: Callable[[], object]) -> bool:
        """Whether a daemon comes to its socket, and takes a message."""
        def answers() -> object:
            with socket.socket(socket.AF_UNIX) as probe:
                return is_over() or probe.connect_ex(path) == 0
        until(answers, SECONDS, "a daemon that listens, or ends")
        if is_over():
            return False
        with contextlib.closing(Speaker(path, "bob", 0)) as bob:
            self.assertTrue(bob.welcome.house.isascii() and bob.welcome.house.isprintable()
                            and bob.welcome.house)
            bob.say(wire.Send(1 << 32 | 1, 0, ("bob",), "to myself"))
            bob.hear(wire.Stored)
        return True

    def daemon(self, row: Row) -> None:
        """At its default store."""
        path = place.room(row) + "/sock"
        process = subprocess.Popen(place.command(row, DAEMON, "--listen", "unix:" + path),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=place.environment(row),
                                   cwd=place.path("cwd"))
        self.addCleanup(self.put_down, process)
        serves = self.serves(row, path, lambda: process.poll() is not None)
        if serves:
            process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=SECONDS)
        worked = self.cell(row, "daemon", Outcome(process.returncode, out.decode(), err.decode()))
        self.assertEqual(serves, worked)
        self.assertFalse(os.path.exists(path))

    def table(self, row: Row) -> None:
        """On a terminal, at a store that was named."""
        room = place.room(row)
        command = place.command(row, DAEMON, "--listen", f"unix:{room}/sock",
                                "--state", room + "/store")
        terminal = Terminal(command, place.environment(row), cwd=place.path("cwd"))
        self.addCleanup(terminal.close)

        def is_over() -> bool:
            terminal.drain()
            return terminal.process.poll() is not None
        if self.serves(row, room + "/sock", is_over):
            terminal.until("bob", SECONDS)
            terminal.signal(signal.SIGTERM)
        code = terminal.wait(SECONDS)
        text = " ".join(terminal.screen.text().split("\n"))
        self.cell(row, "table", Outcome(code, "", text if code else ""))
        for words in PYTHON_SAYS:
            self.assertNotIn(words, terminal.screen.text())

    def put_down(self, process: "subprocess.Popen[bytes]") -> None:
        if process.poll() is None:
            process.kill()
            process.communicate()


PROGRAMS = ("who", "send", "check", "plain", "screen", "daemon", "table")
ALL = (*PROGRAMS, "help", "inspect")


def sample() -> Iterator[tuple[Row, list[str]]]:
    """Every SAMPLE-th row with one program, the one that had the fewest rows so far: of those that
    can't work there, if it names some."""
    had = dict.fromkeys(reversed(ALL), 0)
    for row in ROWS[::SAMPLE]:
        can_not = [program for program in all_of(row) if row.codes.get(program)]
        program = min(can_not or all_of(row), key=lambda each: (had[each], list(had).index(each)))
        had[program] += 1
        yield row, [program]


def all_of(row: Row) -> list[str]:
    return list(ALL if row.all else row.programs.split() or PROGRAMS)


def _test_of(row: Row, programs: list[str]) -> Callable[[Cells], None]:
    def test(self: Cells) -> None:
        if why := lack(row):
            self.skipTest(why)
        for program in programs:
            with self.subTest(program):
                getattr(self, program)(row)
        self.assertEqual(place.left_behind(), [])
    test.__doc__ = row.name
    return test


def _classes() -> Iterator[type[Cells]]:
    """All rows with all programs, or the sample, dealt to PARTS classes: they run side by side."""
    rows = [(row, all_of(row)) for row in ROWS] if FULL else list(sample())
    for part in range(PARTS):
        tests = {"test_" + re.sub(r"[\W_]", "_", row.name): _test_of(row, programs)
                 for row, programs in rows[part::PARTS]}
        yield type(f"Cells{part}", (Cells,), {"__module__": __name__, **tests})


globals().update({_class.__name__: _class for _class in _classes()})


class Sample(unittest.TestCase):
    def test_each_program_and_each_kind_of_place_is_in_it(self) -> None:
        rows = [row for row, _ in sample()]
        self.assertEqual({program for _, programs in sample() for program in programs}, set(ALL))
        for field, default in Row._field_defaults.items():
            self.assertTrue(any(getattr(row, field) != default for row in rows), field)
        self.assertTrue(any(row.codes.get(program) for row, (program,) in sample()))
        self.assertGreaterEqual({row.namespaces for row in rows},
                                {row.namespaces for row in ROWS})


class Streams(unittest.TestCase):
    """Standard input and output as others have left them."""

    def slowly(self, command: list[str], stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        """Run with a stdout that holds 4 KiB, does not wait, and is read when it is full."""
        ours, theirs = os.pipe()
        fcntl.fcntl(theirs, F_SETPIPE_SZ, 4096)
        os.set_blocking(theirs, False)
        with open(ours, "rb") as out, subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=theirs, stderr=subprocess.PIPE,
                env=place.environment(ROWS[0])) as process:
            os.close(theirs)
            assert process.stdin and process.stderr
            process.stdin.write(stdin)
            process.stdin.close()
            said = out.read()
            return process.wait(SECONDS), said, process.stderr.read()

    def test_a_pipe_that_does_not_wait_gets_everything(self) -> None:
        names = {f"{place.name()}.{'x' * 9}" for _ in range(50)}
        for name in names:
            place.daemon.client(name).close()
        code, out, err = self.slowly(place.client(ROWS[0], "--name", place.name(), "--plain"),
                                     b"/log\n")
        self.assertEqual((code, err), (0, b""))
        self.assertGreater(out.count(b"\n"), 5000)
        self.assertEqual({name for name in names if name.encode() not in out}, set())
        code, out, err = self.slowly(place.client(ROWS[0], "--name", place.name(), "--who"))
        self.assertEqual((code, err), (0, b""))
        self.assertGreater(len(out), 4096)

    def test_a_stdin_that_does_not_wait_is_waited_for(self) -> None:
        bob = place.name()
        place.daemon.client(bob).close()
        ours, theirs = os.pipe()
        os.set_blocking(ours, False)
        os.write(theirs, b"late, ")
        process = subprocess.Popen(place.client(ROWS[0], "--name", place.name(), "--send", bob),
                                   stdin=ours, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=place.environment(ROWS[0]))
        until(lambda: fcntl.ioctl(ours, termios.FIONREAD, bytes(4)) == bytes(4), SECONDS,
              "that the first half is read")
        os.close(ours)
        os.write(theirs, b"but whole\n")
        os.close(theirs)
        _, err = process.communicate(timeout=SECONDS)
        self.assertEqual((process.returncode, err), (0, b""))
        self.assertIn("late, but whole", run(ROWS[0], "--name", bob, "--check").out)

    def test_a_pipe_that_is_closed_early(self) -> None:
        store = place.room(ROWS[0]) + "/store"
        with DaemonProcess(store=store, bare=True) as daemon:
            daemon.client("bob").close()
            daemon.end(signal.SIGTERM)
        for command in (place.client(ROWS[0], "--name", place.name(), "--who"),
                        [sys.executable, CLIENT, "--help"], [sys.executable, DAEMON, "--help"],
                        [sys.executable, DAEMON, "--state", store, "--check-store"]):
            ours, theirs = os.pipe()
            os.close(ours)
            done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE,
                                  env=place.environment(ROWS[0]), timeout=SECONDS, check=False)
            os.close(theirs)
            self.assertEqual((done.returncode, done.stderr), (128 + signal.SIGPIPE, b""))

    def test_a_stderr_that_takes_nothing_changes_no_code(self) -> None:
        for command, code in (([sys.executable, CLIENT, "--nonsense"], os.EX_USAGE),
                              ([sys.executable, DAEMON, "--nonsense"], os.EX_USAGE),
                              ([sys.executable, CLIENT, "--name", "ann", "--who",
                                "--connect", "/none/at/all"], os.EX_UNAVAILABLE)):
            with open("/dev/full", "wb") as full:
                done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=full,
                                      env=place.environment(ROWS[0]), timeout=SECONDS, check=False)
            self.assertEqual(done.returncode, code, command)

    @unittest.skipUnless(sys.platform == "linux", "needs /proc")
    def test_a_terminal_that_does_not_wait(self) -> None:
        """It is asked to while the screen is on, and left as it was found."""
        line = f"{sys.executable} -c 'import os; os.set_blocking(1, False)'; \"$@\"; " \
               f"{sys.executable} -c 'import os; print(\"waits:\", os.get_blocking(1))'"
        terminal = Terminal(["sh", "-c", line, "sh",
                             *place.client(ROWS[0], "--name", place.name())],
                            place.environment(ROWS[0]))
        self.addCleanup(terminal.close)
        terminal.until("menu>", SECONDS)
        # the shell's stdout: it is the same open file
        with open(f"/proc/{terminal.pid}/fdinfo/1") as found:
            flags = next(int(line.split()[1], 8) for line in found if line.startswith("flags:"))
        self.assertFalse(flags & os.O_NONBLOCK)
        terminal.type("/exit\r")
        terminal.until("waits: False", SECONDS)
        self.assertEqual(terminal.wait(SECONDS), 0)


class Terminals(unittest.TestCase):
    """Terminals of other people, and Ctrl-C where INT was ignored."""

    @unittest.skipUnless(ROOT, "needs root")
    def test_the_table_on_a_terminal_that_cannot_be_opened(self) -> None:
        """It belongs to root, and is nobody's controlling terminal."""
        row = Row("", user=True, under=("setsid", "-w"))
        if why := lack(row):
            self.skipTest(why)
        room = place.room(row)
        command = place.command(row, DAEMON, "--listen", f"unix:{room}/sock",
                                "--state", room + "/store")
        terminal = Terminal(command, place.environment(row))
        self.addCleanup(terminal.close)
        self.assertEqual(terminal.wait(SECONDS), os.EX_NOPERM)
        said = " ".join(terminal.screen.text().split())
        self.assertRegex(said, r"\Aparleyd: standard output is a terminal "
                               "that this user may not open: append")

    def test_ctrl_c_at_a_terminal_leaves_though_int_was_ignored(self) -> None:
        row = Row("", shell="trap '' INT && ")
        for options in (("--plain",), ()):
            terminal = Terminal(place.client(row, "--name", place.name(), *options),
                                place.environment(row))
            self.addCleanup(terminal.close)
            terminal.until("menu>", SECONDS)
            terminal.press(b"\x03")
            terminal.until("Ctrl-C again leaves parley", SECONDS)
            terminal.press(b"\x03")
            self.assertEqual(terminal.wait(SECONDS), 130)

    def test_an_ignored_int_is_not_for_the_daemon(self) -> None:
        """A script that started it in the background, and whose user presses Ctrl-C."""
        under = "sh", "-c", "trap '' INT; exec \"$@\"", "sh"
        with DaemonProcess(bare=True, under=under) as daemon:
            assert daemon.process
            daemon.process.send_signal(signal.SIGINT)
            # a daemon that stops takes no more after the first
            for name in ("bob", "carol", "dave"):
                daemon.client(name).close()
            self.assertEqual(daemon.end(signal.SIGTERM), 0)


class NoProcess(unittest.TestCase):
    def test_the_daemon_says_that_it_syncs_in_its_loop(self) -> None:
        row = next(row for row in ROWS if row.name == "no process more")
        if why := lack(row):
            self.skipTest(why)
        room = place.room(row)
        process = subprocess.Popen(place.command(row, DAEMON, "--listen", f"unix:{room}/sock",
                                                 "--state", room + "/store"),
                                   stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                   env=place.environment(row))
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        assert process.stdout
        self.assertIn(b"store says=\"no process can be made that syncs", process.stdout.readline())

    def test_a_second_child_that_is_refused_ends_the_first(self) -> None:
        fork = os.fork
        pids = []

        def once() -> int:
            if pids:
                raise BlockingIOError(11, "Resource temporarily unavailable")
            pids.append(fork())
            return pids[0]
        with mock.patch("os.fork", once):
            disk, slow = startup.open_disk()
        self.assertIs(type(disk), Disk)
        self.assertIn("Resource temporarily unavailable", slow)
        with self.assertRaises(ChildProcessError):      # it was waited for
            os.waitpid(pids[0], os.WNOHANG)


class Scripts(unittest.TestCase):
    """What could not be done is said on stderr, and is the exit code of --plain."""

    def script(self, stdin: bytes, *options: str) -> Outcome:
        done = subprocess.run(place.client(ROWS[0], "--plain", "--name", place.name(), *options),
                              input=stdin, capture_output=True, env=place.environment(ROWS[0]),
                              timeout=SECONDS)
        return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())

    def fails(self, stdin: bytes, code: int, said: str) -> None:
        done = self.script(stdin)
        self.assertEqual((done.code, done.err.count("\n")), (code, 1), done.err)
        self.assertIn(said, done.err)

    def test_an_input_that_ends_in_the_middle(self) -> None:
        bob = place.name()
        place.daemon.client(bob).close()
        for lines in ("2\n", f"2\n1\n{bob}\n", f"/send {bob}\n", "4\n", "/claim\n"):
            self.fails(lines.encode(), os.EX_DATAERR, "the input ended at")
        self.assertIn("No messages available", run(ROWS[0], "--name", bob, "--check").out)

    def test_a_line_that_is_no_utf_8(self) -> None:
        bob = place.name()
        place.daemon.client(bob).close()
        self.fails(f"@{bob} grüße\n@{bob} in UTF-8\n".encode("latin-1"), os.EX_DATAERR,
                   "is not UTF-8")
        shown = run(ROWS[0], "--name", bob, "--check").out
        self.assertIn("in UTF-8", shown)
        self.assertNotIn("gr", shown)

    def test_now_or_never_to_nobody(self) -> None:
        bob = place.name()
        place.daemon.client(bob).close()
        self.fails(f"/now {bob} hi\n".encode(), os.EX_TEMPFAIL, "not delivered")

    def test_a_stdin_that_cannot_be_read(self) -> None:
        for options in (("--plain",), ("--send", "bob")):
            with open("/dev/null", "wb") as null:
                done = subprocess.run(place.client(ROWS[0], "--name", place.name(), *options),
                                      stdin=null, capture_output=True,
                                      env=place.environment(ROWS[0]), timeout=SECONDS)
            self.assertEqual((done.returncode, done.stderr.count(b"\n")), (os.EX_IOERR, 1),
                             done.stderr)
            self.assertIn(b"stdin can't be read", done.stderr)

    def test_lines_that_no_daemon_was_there_for(self) -> None:
        """It goes in the middle and does not come back: the script ends, and says what was left."""
        with DaemonProcess(bare=True) as daemon:
            daemon.client("bob").close()
            short = ("import sys; from ui import plain; plain.ANSWER_SECONDS = 1.0; "
                     "sys.argv.pop(0); import curses_client; sys.exit(curses_client.main())")
            process = subprocess.Popen([sys.executable, "-c", short, "parley", "--connect",
                                        daemon.path, "--plain", "--name", "ann"],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, cwd=HERE,
                                       env=place.environment(ROWS[0]))
            assert process.stdin and process.stdout
            process.stdin.write(b"@bob one\n")
            process.stdin.flush()
            while b"stored" not in (line := process.stdout.readline()):
                self.assertTrue(line, "the client ended")
            daemon.end()
            _, err = process.communicate(b"@bob two\n@bob three\n", timeout=SECONDS)
            self.assertEqual(process.returncode, os.EX_TEMPFAIL, err)
            self.assertIn("nothing was done for the last 2 lines", err.decode().splitlines()[-1])

    def test_a_full_mailbox_among_others(self) -> None:
        """One recipient has it, the other does not: that is no success."""
        with DaemonProcess("--mailbox-messages", "1", bare=True) as daemon:
            for name in ("bob", "carol"):
                daemon.client(name).close()
            command = [sys.executable, CLIENT, "--connect", daemon.path, "--name", "ann"]
            env = place.environment(ROWS[0])
            send = subprocess.run([*command, "--send", "bob", "one"], env=env, capture_output=True)
            self.assertEqual(send.returncode, 0)
            send = subprocess.run([*command, "--send", "bob,carol", "two"], env=env,
                                  capture_output=True)
            self.assertEqual(send.returncode, os.EX_TEMPFAIL)
            self.assertIn(b"bob is out of room", send.stderr)
            line = subprocess.run([*command, "--plain"], input=b"@bob,carol three\n", env=env,
                                  capture_output=True)
            self.assertEqual(line.returncode, os.EX_TEMPFAIL)
            self.assertEqual(line.stderr.count(b"\n"), 1, line.stderr)


if __name__ == "__main__":
    unittest.main()
