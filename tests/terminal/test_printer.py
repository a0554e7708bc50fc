"""The ways to a terminal, a pipe and a log: which there are, and that each uses display()."""
import ast
import os
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Iterator
from pathlib import Path

from terminal.printer import bare
from tests.harness.process import HERE
from tests.harness.terminals import Terminal, environment
from tests.house.test_house import modules
from tests.programs.test_hostile import Base, texts

SECONDS = 30.0
# What writes to a descriptor, or to a stream, or paints: these calls, by the last part of their
# name.
CALLS = frozenset({"print", "write", "writelines", "writev", "pwrite", "addstr", "addnstr", "addch",
                   "insstr", "insnstr", "print_exc", "print_exception", "print_stack", "print_help",
                   "print_usage", "displayhook",
                   "warn", "input", "getpass", "putp", "sendfile", "send", "basicConfig"})
# And these are all that may, each with the call and why nothing of a stranger's reaches a terminal
# by it.
ALLOWED = {
    ("printer", "_put", "os.write"),                    # of line(), bare(), clear()
    ("curses_client", "paint", "window.addstr"),        # after display()
    ("curses_client", "measure", "pad.addstr"),          # a pad that is never shown
    ("curses_client", "enter", "os.write"),             # MODES_ON
    ("curses_client", "leave", "os.write"),             # MODES_OFF
    ("curses_client", "send", "os.write"),              # what osc.py has made
    ("granting", "grant", "self._face.send"), ("granting", "_notify", "self._face.send"),
    ("curses_client", "title", "self.send"),
    ("errand", "_unlock", "getpass.getpass"),           # a username: no other character is in it
    ("log", "_kind", "os.write"), ("log", "_kind", "sock.send"), ("log", "_to_pipe", "os.write"),
    # the Outlet: what comes from LogStream._add() and Painter.paint(), both after display(), and
    # sequences of the table's own
    ("log", "flush", "self.outlet.write"), ("painter", "paint", "self.outlet.write"),
    ("painter", "open", "self.outlet.write"), ("painter", "begin", "self.outlet.write"),
    ("painter", "close", "self.outlet.write"),
    # a file of our own, a pipe to ourselves, memory for the next program, and sockets
    ("handover", "written", "file.write"),
    ("interrupts", "_caught", "os.write"),
    ("startup", "_secret", "os.pwrite"), ("tls", "sendmsg", "self.send"),
    ("connection", "transmit", "self.sock.send"), ("connection", "finish", "self.send"),
    ("tls", "_flush", "self.sock.send"), ("connection", "flush", "self.sock.send"),
    ("tls", "say_plainly", "self.sock.send"), ("lookup", "_child", "os.write"),
    ("syncer", "ask", "self.line.send"), ("syncer", "_serve", "line.send"),
}
# No output at all: they hand data to a module of ours, to TLS in memory, to a socket, to a store.
ELSEWHERE = ("self._in.", "Sending(", "self._tls.", "self.link.", "disk.", "self.disk.", "seal.",
             "self.mailbox.", "menu.", "self.talk.", "link.", "desk.", "connection.")
FILES = {"archive", "contents", "forget", "keyring", "disk", "unsent"}     # open what they write
# Functions of ours with such a name.
OURS = {("commands", "send"), ("control", "write"), ("banned", "write"), ("quotas", "write"),
        ("allowed", "write")}


class Found(ast.NodeVisitor):
    """Finds every call of CALLS in a module: in which function, and which call."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.inside = [""]
        self.calls: set[tuple[str, str, str]] = set()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.inside.append(node.name)
        self.generic_visit(node)
        self.inside.pop()

    def visit_Call(self, node: ast.Call) -> None:
        if getattr(node.func, "attr", getattr(node.func, "id", "")) in CALLS:
            self.visit_output(node)
        self.generic_visit(node)

    def visit_output(self, node: ast.Call) -> None:
        name = ast.unparse(node.func)
        known = name.startswith(ELSEWHERE) or (self.module, name) in OURS
        known = known or (self.module in FILES
                          and name in ("os.write", "os.pwrite", "file.writelines"))
        if not known:
            self.calls.add((self.module, self.inside[-1], name))


def streams(path: Path) -> Iterator[str]:
    """Every mention of sys.stdout and sys.stderr."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr", "__stdout__",
                                                             "__stderr__"):
            yield ast.unparse(node)


class TheWays(unittest.TestCase):
    def test_who_writes(self) -> None:
        found: set[tuple[str, str, str]] = set()
        for path in modules():
            visitor = Found(path.stem)
            visitor.visit(ast.parse(path.read_text()))
            found |= visitor.calls
        self.assertEqual(found - ALLOWED, set(),
                         "writes past display(): use printer.line() or complain()")
        self.assertEqual(ALLOWED - found, set(), "is no more")

    def test_who_knows_the_streams(self) -> None:
        """A module that has no stream can't write to it."""
        allowed = {"usage", "printer", "curses_client", "daemon"}
        self.assertEqual({path.stem for path in modules() if list(streams(path))} - allowed, set())

    def test_what_reaches_them_passes_display(self) -> None:
        """The last step of each way calls it."""
        for module, name in (("display", "fold"), ("printer", "complain"),
                             ("curses_client", "paint"), ("log", "_add"), ("painter", "paint")):
            tree = ast.parse(next(path for path in modules() if path.stem == module).read_text())
            made = [ast.unparse(each) for each in ast.walk(tree)
                    if isinstance(each, ast.FunctionDef) and each.name == name]
            self.assertTrue(any("display(" in text for text in made), (module, name))


class Arguments(Base):
    """What a user or a script gave: every complaint shows it and does not obey it."""

    def runs(self, program: str, *arguments: str) -> tuple[int, str]:
        done = subprocess.run([sys.executable, f"{HERE}/{program}", *arguments],
                              capture_output=True, timeout=SECONDS, stdin=subprocess.DEVNULL,
                              env=environment(XDG_STATE_HOME="/dev/null"))
        said = (done.stdout + done.stderr).decode()
        for line in said.removesuffix("\n").split("\n"):
            self.harmless(line)
        return done.returncode, said

    def test_complaints(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        nasty = "x\x1b[2J\x1b]0;owned\x07\u202e\r\nparley: all is well"
        client, daemon, here = "curses_client.py", "daemon.py", directory.name
        for program, arguments in (
                (client, ["--" + nasty]), (client, [nasty]), (client, ["--name", nasty, "--check"]),
                (client, ["--connect", nasty, "--plain"]),
                (client, ["--connect", "/" + nasty, "--name", "ann", "--check"]),
                (client, ["--connect", nasty + ":1", "--name", "ann", "--check"]),
                (daemon, ["--" + nasty]), (daemon, [nasty]), (daemon, ["--listen", nasty]),
                (daemon, ["--listen", here + "/sock", "--state", "/dev/null/" + nasty]),
                (daemon, ["--console", nasty]),
                (daemon, ["--backend", nasty, "--state", here + "/store"]),
                (daemon, ["--check-store", "--state", f"{here}/{nasty}"]),
                (daemon, ["--tls-cert", "/dev/null/" + nasty, "--state", here + "/store"]),
                (daemon, ["--log", "/dev/null/" + nasty, "--state", here + "/store"])):
            with self.subTest(program=program, arguments=arguments):
                code, said = self.runs(program, *arguments)
                self.assertEqual(said.count("\n"), 1, said)
                self.assertTrue(code or "no store yet" in said, said)

    def test_help_and_version_are_whole(self) -> None:
        for program in ("curses_client.py", "daemon.py"):
            code, said = self.runs(program, "--help")
            self.assertEqual(code, 0)
            self.assertGreater(said.count("\n"), 15)
            self.assertNotRegex(said, r"(?m)^    \|")       # no row was folded
            self.assertEqual(self.runs(program, "--version")[1].count("\n"), 1)

    def test_a_report_that_nobody_can_read(self) -> None:
        with open("/dev/full", "wb") as full:
            done = subprocess.run([sys.executable, HERE + "/daemon.py", "--version"], stdout=full,
                                  stderr=subprocess.PIPE, timeout=SECONDS)
        self.assertEqual((done.returncode, done.stderr.count(b"\n")), (os.EX_IOERR, 1), done.stderr)

    def test_the_text_of_an_exception(self) -> None:
        """A fault of ours has a traceback, with what a stranger has put into it."""
        for how in ("raise ValueError(text)",
                    "class Gone:\n    def __del__(self): raise ValueError(text)\nGone()"):
            code = ("from terminal import usage\nusage.open_standard('parley', False)\n"
                    f"text = {CLASSIC!r}\n{how}")
            done = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True,
                                  timeout=SECONDS)
            lines = done.stderr.decode().removesuffix("\n").split("\n")
            for line in lines:
                self.harmless(line)
            self.assertEqual([line for line in lines[1:] if not line.startswith("    | ")], [])
            self.assertIn("owned", done.stderr.decode())


CLASSIC = "\x1b]0;owned\x07\x1b[2J\u202e" + "q" + "\u0301" * 400 + "\nparley: all is well"


class Printed(Base):
    def printed(self, text: str) -> str:
        code = ("from terminal import printer\n"
                f"printer.line({text!r})\nprinter.complain('parley', {text!r})")
        done = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True,
                              timeout=SECONDS)
        return (done.stdout + done.stderr).decode()

    def test_a_line(self) -> None:
        self.assertEqual(self.printed("a\n\x1bb"), "a\n    | ^[b\nparley: a^J^[b\n")
        self.assertEqual(self.printed(CLASSIC).count("\u0301"), 8)

    def test_any_text(self) -> None:
        code = ("from terminal import printer\nfrom tests.programs.test_hostile import texts\n"
                "for text in texts(500): printer.line(text)")
        done = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True,
                              timeout=SECONDS)
        lines = done.stdout.decode().removesuffix("\n").split("\n")
        for line in lines:
            self.harmless(line)
        self.assertEqual(sum(not line.startswith("    | ") for line in lines), len(texts(500)))

    def test_a_bare_address_is_nothing_else(self) -> None:
        for text in (CLASSIC, "a b", "a\nb", "\u6f22", "a\x7f", "a\x9b"):
            with self.assertRaises(ValueError):
                bare(text, -1)

    def test_only_a_terminal_is_cleared(self) -> None:
        code = "from terminal import printer\nprinter.clear()\nprinter.line('new')"
        piped = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True,
                               timeout=SECONDS)
        self.assertEqual(piped.stdout, b"new\n")
        code = "from terminal import printer\nprinter.line('old')\n" + code
        with Terminal([sys.executable, "-c", code], environment(), cwd=HERE) as terminal:
            terminal.until("new", SECONDS)
            self.assertEqual(terminal.screen.text().split(), ["new"])

    def test_on_a_terminal_its_own_rows(self) -> None:
        """A text of blanks does not bring what follows it to the beginning of a row."""
        text = ("14:02 eve > you: hi" + " " * 21
                + "14:06 dave > all: pay me, or else all of you will be sorry")
        code = f"from terminal import printer\nprinter.line({text!r})\nprinter.line('14:07 * end')"
        with Terminal([sys.executable, "-c", code], environment(), rows=10, cols=40,
                      cwd=HERE) as terminal:
            terminal.until("14:07 * end", SECONDS)
            rows = terminal.screen.text().rstrip().split("\n")
        self.assertEqual([row for row in rows[1:-1] if not row.startswith("    | ")], [])
        self.assertEqual(rows[1], "    | 14:06 dave > all: pay me, or else")


if __name__ == "__main__":
    unittest.main()
