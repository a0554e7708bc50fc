"""console: the table and the log as they are printed, and output that never waits."""
import ast
import contextlib
import errno
import fcntl
import json
import math
import os
import pty
import re
import signal
import socket
import tempfile
import termios
import time
import unittest
from pathlib import Path
from unittest import mock

import wire
from daemon import Daemon
from mailbox import Mailbox
from rules.table import Row
from server.console import FRAME_SECONDS, Console
from server.frames import frame, status_lines, table_rows
from server.log import (
    BODIES,
    LEVELS,
    LINE_MAX,
    NOTES,
    PENDING_MAX,
    as_json,
    cut,
    note_line,
)
from terminal.display import width
from tests.harness.service import Service
from tests.rules.specification import Scene

TREE = Path(__file__).resolve().parents[2]
WALL = 1_800_000_000_000_000
HOSTILE = ("\x1b[31mred\x1b[2J", "a\r\nb\n", "\x00\x07\x08\x7f\x9b", "\u202egnp.exe",
           "\u200b\u2060",
           "e" + "\u0301" * 40, "漢字かな" * 5, "\U0001f527" * 9, "\ud800", "\u2028\u2029",
           'quo"te\\ x=y', " ", "")


def rows_of(count, state="available"):
    return [Row(f"user{number}", state, WALL - number * 1_000_000, number, f"127.0.0.1:{number}")
            for number in range(count)]


@contextlib.contextmanager
def deadline(seconds=10):
    """What waits for ever fails."""
    def late(*_):
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Table(unittest.TestCase):
    def assert_screen(self, screen, columns, rows):
        self.assertEqual(len(screen), rows)
        for line in screen:
            self.assertLessEqual(width(line), columns, line)
            self.assertTrue(line.isprintable(), ascii(line))

    def test_three_names(self):
        lines = status_lines(rows_of(3), 0, 80, WALL)
        self.assertEqual([line.split()[0] for line in lines],
                         ["username", "user0", "user1", "user2"])
        self.assertEqual(lines[0].split(), ["username", "since", "waiting", "state", "address"])
        self.assertEqual(lines[3].split()[2:], ["2", "available", "127.0.0.1:2"])

    def test_three_thousand_names(self):
        """At 80 x 24: as many rows as fit, the connected first, and a count of the rest."""
        with Scene() as scene:
            for number in range(2998):
                scene.mailbox.register(f"n{number}", number)
            scene.run()
            scene.restart()
            scene.enter("zoe", "yan")
            rows, more = scene.daemon.board.table.rows(table_rows(24))
            self.assertEqual((len(rows), len(rows) + more), (table_rows(24), 3000))
            self.assertEqual([row.name for row in rows][:4], ["yan", "zoe", "n2997", "n2996"])
            lines = status_lines(rows, more, 80, WALL)
            self.assertEqual(lines[-1], f"and {more} more")
            screen = frame("parleyd", lines, ["log"] * 200, (80, 24))
            self.assert_screen(screen, 80, 24)
            self.assertIn(f"and {more} more", screen)
            self.assertGreaterEqual(screen.count("log"), 8)

    def test_every_size(self):
        """Whatever the terminal's size, a frame has that size."""
        for columns in (1, 2, 10, 79, 80, 81, 300):
            for rows in (1, 2, 3, 5, 23, 24, 25, 100):
                lines = status_lines(rows_of(min(5, table_rows(rows))), 7, columns, WALL)
                for log in ([], ["x" * 500] * 3, ["漢" * 300] * 300):
                    self.assert_screen(frame("title " * 40, lines, log, (columns, rows)), columns,
                                       rows)

    def test_the_newest_lines_of_the_log(self):
        screen = frame("t", status_lines(rows_of(3), 0, 80, WALL),
                       [str(number) for number in range(99)], (80, 24))
        self.assertEqual(screen[-1], "98")
        self.assertEqual(screen[5:7], ["-" * 80, "81"])

    def test_columns_stand_below_each_other(self):
        for name in (*HOSTILE, "a", "n" * 32):
            rows = [Row("ann", "available", WALL, 1, "here"),
                    Row(name, "available", WALL, 1, "here")]
            heading, first, second = status_lines(rows, 0, 200, WALL)
            at = heading.index("waiting")
            for line in (first, second):
                self.assertEqual(cells(line, at + 6), "1", ascii(line))
                self.assertTrue(line.endswith("here"), line)

    def test_hostile_rows(self):
        for text in HOSTILE:
            for line in status_lines([Row(text, text, WALL, 1, text)], 0, 80, WALL):
                self.assertTrue(line.isprintable(), ascii(line))
                self.assertLessEqual(width(line), 80)

    def test_who_chats_with_whom_at_80_columns(self):
        """The partner's name is there whole."""
        with Scene("alexandra", "bartholomew") as scene:
            scene.chat("alexandra", "bartholomew")
            lines = status_lines(*scene.daemon.board.table.rows(9), 80, WALL)
            self.assertIn("chatting with bartholomew", lines[1])
            self.assertIn("chatting with alexandra", lines[2])

    def test_states(self):
        with Scene("ann", "bob", "cat", "dan") as scene:
            scene.chat("ann", "bob")
            scene.play("dan: exit")
            rows, _ = scene.daemon.board.table.rows(9)
            self.assertEqual([(row.name, row.state) for row in rows],
                             [("ann", "chatting with bob"), ("bob", "chatting with ann"),
                              ("cat", "available"), ("dan", "not connected")])

    def test_one_who_was_never_seen(self):
        rows = [Row("ann", "not connected", 0, 0, "")]
        self.assertIn("never", status_lines(rows, 0, 80, WALL)[1])


def cells(line, column):
    """The character that is painted in this column."""
    at = 0
    for char in line:
        if at == column:
            return char
        at += width(char)
    return ""


class Lines(unittest.TestCase):
    def test_hostile_values(self):
        for event, (fields, _) in NOTES.items():
            for text in HOSTILE:
                line = note_line(event, dict.fromkeys(fields.split(), text), True)
                self.assertTrue(line.isprintable(), ascii(line))
                self.assertEqual(self.parsed(line), [event, *fields.split()])

    def parsed(self, line):
        """The event and the keys of a line: no text can pretend to be another field."""
        plain = re.sub(r'"(\\.|[^"\\])*"', "", line)
        return [plain.split()[0], *re.findall(r"(\S+)=", plain)]

    def test_bodies_may_be_left_out(self):
        fields = {"sender": "ann", "to": "bob", "id": 1, "text": "secret"}
        self.assertIn("secret", note_line("message", fields, True))
        self.assertEqual(note_line("message", fields, False), "message sender=ann to=bob id=1")

    def test_names_are_cut(self):
        """Of many names some are said, wherever users name them: a request costs a line and not a
        page."""
        names = [f"user{number}" for number in range(20)]
        with Scene(*names) as scene:
            everybody = ",".join(names[1:])
            scene.play("user0: invite " + "nobody," * 9000, f"user0: invite {everybody}", *(
                f"{name}: accept user0" for name in names[1:]))
            scene.people["user0"].send(everybody, "x")
            lines = [note_line(event, fields, True) for event, fields in scene.notes.told]
            self.assertLess(max(map(len, lines)), 300)
            seven = ",".join(names[1:8])
            for words in (f'invited name=user0 to="{seven} and 12 more"',
                          f'members="user0,{seven[:-6]} and 13 more"',
                          f'request="INVITE request=1 to={seven} and 12 more"',
                          'to="nobody,nobody,'):
                self.assertTrue(any(words in line for line in lines), words)
            (state,) = {len(row.state)
                        for row in scene.daemon.board.table.rows(100)[0] if row.name == "user19"}
            self.assertLess(state, 100)

    def test_a_line_has_an_end(self):
        """n - 1, n, n + 1 bytes, of any characters; what is quoted stays quoted."""
        for text in ("x", "é", "字", "🔧"):
            size = len(text.encode())
            for more in range(-2 * size, 2 * size + 1):
                line = "x" * (-LINE_MAX % size + 5) + text * ((LINE_MAX + more) // size)
                short = cut(line)
                self.assertLess(len(short.encode()), LINE_MAX)
                self.assertEqual(short, line if len(line.encode()) < LINE_MAX else short[:-3]
                                 + "...")
                self.assertTrue(line.startswith(short.removesuffix("...")))
        for text in ("a b=c ", 'a" b=c ', "\\ ", 'é"\\'):
            for more in range(8):
                fields = {"chat": 1, "sender": "ann", "text": "y" * more + text * 4000}
                short = cut(note_line("line", fields, True))
                self.assertEqual(self.parsed(short), ["line", "chat", "sender", "text"],
                                 short[-20:])
                self.assertTrue(short.endswith('..."'))

    def test_every_line_that_is_written_is_cut(self):
        path = Path(tempfile.mkdtemp(prefix="parley-test-"), "log")
        self.addCleanup(lambda: [path.unlink(), path.parent.rmdir()])
        reader, writer = os.pipe()
        log = Console("log", writer, lambda: WALL, log=str(path))
        log.note("line", chat=1, sender="ann", text="\x1b" * 16384)
        log.note("closed", address="x", reason="y" * 100_000)
        shown = b""
        with deadline():
            while log._stream.waits:
                log.draw(1.0, str, lambda _: ([], 0))
                shown += os.read(reader, 1 << 16)
        for fd in (reader, writer, log._file.outlet.fd):
            os.close(fd)
        self.assertLessEqual(max(map(len, shown.splitlines(keepends=True))), LINE_MAX)
        self.assertLessEqual(max(map(len, path.read_bytes().splitlines(keepends=True))), LINE_MAX)

    def test_the_whole_service_with_hostile_texts(self):
        """What users say reaches the log harmless."""
        with Scene("ann", "bob") as scene:
            for text in HOSTILE:
                if text != "\ud800":
                    scene.people["ann"].send("bob", text)
                    scene.client(text[:20])
            for event, fields in scene.notes.told:
                self.assertTrue(note_line(event, fields, True).isprintable())


def sources(name, known=None):
    """The modules that this one needs, itself among them: name -> its tree."""
    known = {} if known is None else known
    path = TREE / f"{name.replace('.', '/')}.py"
    if name not in known and path.exists():
        known[name] = ast.parse(path.read_text())
        for node in ast.walk(known[name]):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    sources(alias.name, known)
            elif isinstance(node, ast.ImportFrom):
                sources(node.module, known)
                for alias in node.names:            # from room import module
                    sources(f"{node.module}.{alias.name}", known)
    return known


class Forms(unittest.TestCase):
    """The lines as JSON, and for the journal of systemd."""

    def test_json(self):
        """Each line is one document, whatever stands in it, and however long it is."""
        for value in (*HOSTILE, "x" * 5000, "\x1b" * 5000, "\U0001f527" * 5000, 7):
            fields = {"sender": "ann", "to": "bob", "id": 17, "text": value}
            line = as_json("2026-11-21 14:02:05+01:00", "message", fields, True)
            self.assertLess(len(line), LINE_MAX)
            self.assertTrue(line.isascii() and line.isprintable(), line)
            told = json.loads(line)
            self.assertEqual([told[key] for key in ("time", "event", "sender", "id")],
                             ["2026-11-21T14:02:05+01:00", "message", "ann", 17])
        bare = json.loads(as_json("2026-11-21 14:02:05+01:00", "message", fields, False))
        self.assertNotIn("text", bare)

    def test_in_a_pipe_and_in_a_file(self):
        with tempfile.TemporaryDirectory() as home:
            out, end = os.pipe()
            console = Console("log", end, lambda: WALL, log=home + "/log", form="json")
            console.note("new-name", name="ann", address="unix:ann")
            console.draw(0.0, str, None)
            console.close()
            lines = os.read(out, 4096), Path(home, "log").read_bytes()
            for line in lines:
                self.assertEqual(json.loads(line)["name"], "ann")
            for fd in (out, end):
                os.close(fd)

    def test_journal(self):
        out, end = os.pipe()
        found = os.fstat(end)
        console = Console("log", end, lambda: WALL, journal=f"{found.st_dev}:{found.st_ino}")
        console.note("new-name", name="ann", address="unix:ann")
        console.note("disk-full", reason="no space")
        console.draw(0.0, str, None)
        self.assertEqual(os.read(out, 4096).decode(), "<6>new-name name=ann address=unix:ann\n"
                                                      '<3>disk-full reason="no space"\n')
        for fd in (out, end):
            os.close(fd)

    def test_levels_are_of_events(self):
        self.assertEqual(set(LEVELS) - set(NOTES), set())

    def test_the_time_has_its_zone(self):
        for zone, offset in (("UTC", "+00:00"), ("XYZ-5:30", "+05:30"), ("ABC3", "-03:00")):
            with mock.patch.dict(os.environ, TZ=zone):
                time.tzset()
                self.addCleanup(time.tzset)
                console = Console("none", -1, lambda: WALL)
                self.assertRegex(console._stamp(), rf"^2027-01-15 \d\d:\d\d:00\{offset}$")


class TableOfNotes(unittest.TestCase):
    """NOTES lists every event that the sources note, with its fields, and no other."""

    def noted(self):
        """(event, fields) of each call of note("...") or Console._log("...") in the daemon."""
        for name, tree in sources("daemon").items():
            for node in ast.walk(tree):
                if (isinstance(node, ast.Call) and node.args[self.name(node.func) == "form":]
                        and self.name(node.func) in ("note", "form", "_log")):
                    events = self.events(node.args[self.name(node.func) == "form"])
                    self.assertTrue(events or name in ("server.log", "server.console"),
                                    "an event is named where it is noted")
                    yield from ((event, self.fields(node)) for event in events)

    def events(self, node):
        """What the first argument may be: one name, or one of two."""
        if isinstance(node, ast.IfExp):
            return self.events(node.body) + self.events(node.orelse)
        return [node.value] if isinstance(node, ast.Constant) else []

    def name(self, function):
        return getattr(function, "attr", getattr(function, "id", ""))

    def fields(self, call):
        if self.name(call.func) == "form":
            fields = call.args[2]
            return {key.value for key in fields.keys} if isinstance(fields, ast.Dict) else set()
        return {keyword.arg for keyword in call.keywords}

    def test_every_event_is_listed(self):
        noted = dict(self.noted())
        self.assertGreater(len(noted), 25)
        self.assertEqual(set(noted) - set(NOTES), set())

    def test_every_row_is_noted_somewhere(self):
        self.assertEqual(set(NOTES) - {event for event, _ in self.noted()}, set())

    def test_fields(self):
        for event, fields in self.noted():
            self.assertEqual(fields, set(NOTES[event][0].split()), event)

    def test_each_says_when(self):
        for event, (_, when) in NOTES.items():
            self.assertTrue(when and when.isprintable(), event)


class Pipe(unittest.TestCase):
    def setUp(self):
        self.reader, self.writer = os.pipe()
        self.addCleanup(os.close, self.writer)
        self.addCleanup(lambda: self.reader is None or os.close(self.reader))

    def drain(self):
        os.set_blocking(self.reader, False)
        data = b""
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self.reader, 1 << 16):
                data += part
        return data.decode()

    def test_lines_at_once(self):
        log = Console("log", self.writer, lambda: WALL)
        log.note("new-name", name="ann")
        log.draw(1.0, str, lambda _: ([], 0))
        self.assertRegex(self.drain(), r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d "
                                       r"new-name name=ann\n$")

    def test_a_full_one_never_blocks_and_counts(self):
        """Nobody reads: lines are kept up to PENDING_MAX, then counted; the next that gets through
        says how many."""
        log = Console("log", self.writer, lambda: WALL)
        with deadline():
            for number in range(20_000):
                log.note("new-name", name=f"name{number}")
                if not number % 100:
                    log.draw(number * 1.0, str, lambda _: ([], 0))
        self.assertLess(len(log._stream._pending), PENDING_MAX + 200)
        text = self.flushed(log)
        for _ in range(2):
            log.note("reloaded")
            text += self.flushed(log)
        lines = text.splitlines()
        (lost,) = [int(line.rpartition("=")[2]) for line in lines if " log-lost " in line]
        kept = [line.rpartition("=")[2] for line in lines if " new-name " in line]
        self.assertEqual(kept, [f"name{number}" for number in range(len(kept))])
        self.assertEqual(len(kept) + lost, 20_000)
        self.assertTrue(lines[-1].endswith("reloaded"))

    def flushed(self, log):
        text = ""
        while log._stream.waits:
            log.draw(1e9, str, lambda _: ([], 0))
            text += self.drain()
        return text

    def test_it_does_not_spin(self):
        """While nobody reads, it is tried again after a moment, not at once."""
        log = Console("log", self.writer, lambda: WALL)
        for number in range(5000):
            log.note("new-name", name=f"name{number}")
        for monotonic in (5.0, 5.1, 7.0):
            log.draw(monotonic, str, lambda _: ([], 0))
            self.assertGreater(log.next_draw(), monotonic)

    def test_a_reader_that_is_gone(self):
        before = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGPIPE, before)
        log = Console("log", self.writer, lambda: WALL)
        os.close(self.reader)
        self.reader = None
        for _ in range(100):
            log.note("reloaded")
            log.draw(1.0, str, lambda _: ([], 0))
        self.assertFalse(log._stream.waits)

    def test_the_descriptor_is_left_as_it_was(self):
        """O_NONBLOCK would reach whoever shares it."""
        flags = fcntl.fcntl(self.writer, fcntl.F_GETFL)
        Console("log", self.writer, lambda: WALL).draw(1.0, str, lambda _: ([], 0))
        self.assertEqual(fcntl.fcntl(self.writer, fcntl.F_GETFL), flags)

    def test_the_service_goes_on(self):
        """A daemon whose log is not read serves as before."""
        class Logged(Service):
            def start(service):
                service.notes = Console("log", self.writer, service.clock_wall)
                service.mailbox = Mailbox(service.store)
                service.daemon = Daemon(service.mailbox, service.notes, service.limits,
                                        house="test", clock=service.clock)

            def clock_wall(service):
                return service.clock.wall

        with deadline(30), Logged() as service:
            ann, bob = service.users("ann", "bob")
            for number in range(400):
                ann.send("bob", f"{number} {'x' * 1000}")
                bob.confirm(bob.hears(wire.Mail))
                bob.hears(wire.Confirmed)
            self.assertTrue(service.notes._stream.lost)


class Socket(unittest.TestCase):
    def test_a_full_one_never_blocks(self):
        """As under a supervisor that gives a socket for standard output."""
        ours, theirs = socket.socketpair()
        with ours, theirs, deadline():
            log = Console("log", ours.fileno(), lambda: WALL)
            for _ in range(50_000):
                log.note("reloaded")
                if log._stream.lost:
                    break
                log.draw(1.0, str, lambda _: ([], 0))
            self.assertTrue(log._stream.lost)
            self.assertTrue(ours.getblocking())
            log._outlet._send.__closure__[0].cell_contents.close()


class LogFile(unittest.TestCase):
    def setUp(self):
        self.path = Path(tempfile.mkdtemp(prefix="parley-test-"), "log")
        self.addCleanup(lambda: [self.path.unlink(missing_ok=True), self.path.parent.rmdir()])

    def close(self, log):
        log.close()
        os.close(log._file.outlet.fd)

    def test_never_has_bodies(self):
        log = Console("none", -1, lambda: WALL, log=str(self.path))
        log.note("line", chat=1, sender="ann", text="secret")
        log.draw(1.0, str, lambda _: ([], 0))
        self.close(log)
        self.assertIn("line chat=1 sender=ann", self.path.read_text())
        self.assertNotIn("secret", self.path.read_text())

    def test_a_full_disk_loses_lines_and_says_how_many(self):
        log = Console("none", -1, lambda: WALL, log=str(self.path))
        with mock.patch.object(log._file.outlet, "_send",
                               side_effect=OSError(errno.ENOSPC, "full")):
            for _ in range(PENDING_MAX // 20):
                log.note("reloaded")
            log.draw(1.0, str, lambda _: ([], 0))
            lost = log._file.lost
        self.assertTrue(lost)
        log.draw(1.0, str, lambda _: ([], 0))
        log.note("stopping", signal="TERM")
        self.close(log)
        lines = self.path.read_text().splitlines()
        self.assertEqual([line[26:] for line in lines[-2:]],
                         [f"log-lost lines={lost}", "stopping signal=TERM"])
        self.assertEqual(len(lines) - 2 + lost, PENDING_MAX // 20)

    def test_is_private_and_appended(self):
        for _ in range(2):
            log = Console("none", -1, lambda: WALL, log=str(self.path))
            log.note("reloaded")
            self.close(log)
        self.assertEqual(len(self.path.read_text().splitlines()), 2)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def refused(self, change, words):
        """What is wrong with a log that was there and is changed so."""
        Path(self.path).touch()
        change()
        before = len(os.listdir("/proc/self/fd"))
        with self.assertRaisesRegex(PermissionError, words):
            Console("none", -1, lambda: WALL, log=str(self.path))
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_not_one_that_everybody_can_write(self):
        self.refused(lambda: self.path.chmod(0o602), "everybody can write to it: chmod o-w")
        for mode in (0o600, 0o660, 0o644):
            self.path.chmod(mode)
            self.close(Console("none", -1, lambda: WALL, log=str(self.path)))

    def test_not_a_pipe_that_everybody_can_write(self):
        os.mkfifo(self.path)
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        self.refused(lambda: self.path.chmod(0o622), "everybody can write")

    def test_not_another_users(self):
        me = os.geteuid()
        self.path.touch()
        if me == 0:
            os.chown(self.path, 65534, 65534)
            self.refused(lambda: None, "it belongs to another user")
            os.chown(self.path, 0, 0)
        with mock.patch("os.geteuid", return_value=me + 1):
            if me:
                self.refused(lambda: None, "it belongs to another user")
            else:
                # root's is fine
                self.close(Console("none", -1, lambda: WALL, log=str(self.path)))

    def test_a_device_is_everybodys(self):
        self.close(Console("none", -1, lambda: WALL, log="/dev/null"))

    def test_the_old_one_goes_on_when_the_new_is_refused(self):
        log = Console("none", -1, lambda: WALL, log=str(self.path))
        moved = self.path.with_name("moved")
        self.path.rename(moved)
        self.addCleanup(moved.unlink)
        self.path.touch()
        self.path.chmod(0o666)
        self.assertRaises(PermissionError, log.reopen)
        log.note("reloaded")
        self.close(log)
        self.assertEqual(self.path.read_text(), "")
        self.assertIn("reloaded", moved.read_text())

    def test_never_through_a_link(self):
        self.path.symlink_to("/dev/null")
        with self.assertRaises(OSError):
            Console("none", -1, lambda: WALL, log=str(self.path))


class Terminal(unittest.TestCase):
    """The table on a pseudo-terminal that is read, or is not."""

    def setUp(self):
        self.master, self.slave = pty.openpty()
        self.addCleanup(os.close, self.master)
        self.addCleanup(os.close, self.slave)
        termios.tcsetwinsize(self.slave, (24, 80))
        os.set_blocking(self.master, False)
        self.table = Console("table", self.slave, lambda: WALL)
        self.addCleanup(lambda: os.close(self.table._outlet.fd))
        self.now = 100.0
        self.names = 3

    def read(self):
        data = b""
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self.master, 1 << 16):
                data += part
        return data.decode()

    def draw(self, seconds=FRAME_SECONDS):
        self.now += seconds
        self.table.draw(self.now, lambda: f"parleyd at {self.now:.1f}",
                        lambda limit: (rows_of(self.names)[:limit], 0))

    def stop(self):
        """Draw different frames until the terminal takes no more."""
        with deadline():
            for number in range(10_000):
                self.names = number % 5
                self.table.note("new-name", name="n" * (number % 32 + 1))
                self.draw()
                if self.table._painter.unsent:
                    return
        raise AssertionError("the terminal takes everything")

    def test_a_frame(self):
        self.draw()
        text = self.read()
        self.assertTrue(text.startswith("\x1b[?1049h"))
        for part in ("parleyd at", "username", "user0", "user2", "-" * 80):
            self.assertIn(part, text)

    def test_only_what_changed(self):
        self.draw()
        self.read()
        self.table.note("new-name", name="ann")
        self.draw()
        text = self.read()
        self.assertIn("new-name name=ann", text)
        self.assertNotIn("user0", text)

    def test_five_frames_a_second_at_most(self):
        painted = 0
        for _ in range(100):
            self.table.note("reloaded")
            self.draw(0.01)
            painted += bool(self.read())
        self.assertLessEqual(painted, 6)

    def test_nothing_when_nothing_changed(self):
        self.draw()
        self.draw()
        self.read()
        for _ in range(5):
            self.draw()
        self.assertEqual(self.read(), "")
        self.assertEqual(self.table.next_draw(), math.inf)

    def test_a_stopped_one_never_blocks(self):
        self.stop()
        with deadline():
            for number in range(500):
                self.table.note("new-name", name=f"name{number}")
                self.draw()
        self.assertLess(len(self.table._painter.unsent), 80 * 24 * 8)

    def test_a_stopped_one_does_not_spin(self):
        """The loop is told a time in the future, also when nothing happens any more."""
        self.stop()
        for _ in range(5):
            self.draw()
            self.assertGreater(self.table.next_draw(), self.now)

    def test_the_rest_of_a_frame_arrives(self):
        """Read again, the terminal gets what was left, and then the latest state, though nothing
        new happens."""
        self.stop()
        self.table.note("new-name", name="the-latest")
        text = ""
        for _ in range(10):
            text += self.read()
            self.draw()
        self.assertEqual(self.table._painter.unsent, b"")
        self.assertIn("the-latest", text)

    def test_a_rest_alone_arrives(self):
        """A frame was begun, nothing changes after it: it is finished all the same."""
        self.stop()
        self.read()
        for _ in range(5):
            self.draw()
            self.read()
        self.assertEqual(self.table._painter.unsent, b"")

    def test_left_as_it_was_found(self):
        flags = fcntl.fcntl(self.slave, fcntl.F_GETFL)
        self.draw()
        self.table.close()
        self.assertTrue(self.read().endswith("\x1b[?25h\x1b[?1049l"))
        self.assertEqual(fcntl.fcntl(self.slave, fcntl.F_GETFL), flags)
        self.assertFalse(flags & os.O_NONBLOCK)

    def test_resized(self):
        self.draw()
        self.read()
        termios.tcsetwinsize(self.slave, (10, 40))
        self.table.changed = True
        self.draw()
        self.assertIn("\x1b[2J", text := self.read())
        self.assertIn("-" * 40, text)
        self.assertNotIn("-" * 41, text)

    def test_hostile_names_send_no_control_character(self):
        for text in HOSTILE:
            self.table.note("line", chat=1, sender="ann", text=text)
            self.table.draw(self.now, lambda: "t",
                            lambda _, text=text: ([Row(text, text, WALL, 1, text)], 0))
            self.now += 1
        ours = re.compile(r"\x1b\[(\?1049h|\?25l|2J|\d+;1H|K|[017]?m)")
        self.assertTrue(ours.sub("", self.read()).isprintable())


class Constants(unittest.TestCase):
    def test_bodies_are_fields(self):
        self.assertLessEqual(BODIES, {field
                                      for fields, _ in NOTES.values() for field in fields.split()})


if __name__ == "__main__":
    unittest.main()
