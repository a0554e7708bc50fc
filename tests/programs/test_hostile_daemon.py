"""The real clients and a daemon that means harm: nothing that it says is obeyed by a terminal, or
forges a row."""
import re
import subprocess
import sys
import unittest
from typing import Any

import wire
from terminal.display import GUTTER
from tests.harness.hostile_daemon import EVIL, SHOWN, HostileDaemon, fields, hostile_names
from tests.harness.process import HERE
from tests.harness.screen_reader import Screen
from tests.harness.terminals import Terminal, environment
from tests.programs.test_hostile import Base

SECONDS = 30.0
COMMANDS = (
    "/who", "/log", "@bob hi", "@bob hi again", "@bob,carol and again", "/now bob hi", "/all hi",
    "/check", "/hold on",
    "/ignore bob", "/ignored", "/unclaim", "/chat bob", "/group bob,carol", "/history 200",
    "/find in-", "/help",
    "/deny nobody", "/accept bob", "/check", "a line of the chat", "/withdraw", "Quit", "/quit",
    "/nonsense", "/back")


EFFECTS = {             # of some of them, without blanks: what shows that they were done
    "/who": "4currentusers", "/log": "4namesin", "@bob hi": "in-refused", "/check": "in-checked",
    "/hold on": "in-hold", "/ignore bob": "in-ignore", "/ignored": "in-ignored",
    "/unclaim": "in-unclaim", "/chat bob": "in-invite",
    "/history 200": "messages:", "/help": "whereveryoutype", "/deny nobody": "noinvitationfrom",
    "/accept bob": "in-line", "Quit": "Chatsessionended", "/nonsense": "isnotacommand"}


class WithHostile(Base):
    def setUp(self) -> None:
        self.daemon = self.hostile()

    def hostile(self, only: Any = None) -> HostileDaemon:
        daemon = HostileDaemon(only)
        self.addCleanup(daemon.close)
        return daemon

    def command(self, daemon: HostileDaemon, *options: str) -> list[str]:
        client = [sys.executable, HERE + "/curses_client.py", "--connect", "unix:" + daemon.path]
        return [*client, "--name", "ann", *options]

    def env(self, daemon: HostileDaemon) -> dict[str, str]:
        return environment(XDG_STATE_HOME=daemon.directory + "/state", TZ="UTC")

    def runs(self, daemon: HostileDaemon, *options: str, stdin: str = "") -> str:
        """What a client says on both streams; none of it is anything but printable lines."""
        done = subprocess.run(self.command(daemon, *options), input=stdin.encode(),
                              capture_output=True, env=self.env(daemon), timeout=SECONDS)
        said = done.stdout.decode() + done.stderr.decode()
        self.lines_are_harmless(said)
        self.assertNotIn("Traceback", said)
        return said

    def lines_are_harmless(self, said: str) -> None:
        self.assertEqual(said[-1:], said and "\n")
        for line in said.removesuffix("\n").split("\n"):
            self.harmless(line)
            self.assertFalse(line.lstrip().startswith("14:06"), line)
            self.assertLessEqual(max(map(len, line.split("\u0301"))), 5000)
            self.assertNotIn("\u0301" * 5, line)


class ByLines(WithHostile):
    def test_a_script(self) -> None:
        """Every command, each answered by something hostile; the second run has an archive of
        it."""
        for _ in range(2):
            said = self.runs(self.daemon, "--plain", stdin="\n".join(COMMANDS) + "\n")
        for marker in SHOWN:
            self.assertIn(marker, said)
        self.assertIn("^[]0;owned", said)
        self.assertRegex(said, r"the last \d+ messages:")

    def test_one_shot(self) -> None:
        for options, marker in (("--check", "in-checked"), ("--who", "bob"),
                                ("--send bob hi", "in-refused"),
                                ("--send bob hi", "not connected"), ("--send all hi", "")):
            self.assertIn(marker, self.runs(self.daemon, *options.split()))

    def test_names_that_are_none(self) -> None:
        """They end the line, and are not said; so is whatever comes at a wrong moment, or in place
        of WELCOME."""
        filled: set[tuple[str, str]] = set()
        for codec in wire.MESSAGES.values():
            if (codec.direction != wire.CLIENT
                    and any(how in ("word", "words", "text", "texts", "entries", "rooms")
                            for _, how in codec.fields)):
                daemon = self.hostile(hostile_names(codec))
                self.runs(daemon, "--who")
                filled |= daemon.filled
        self.assertEqual(filled, fields())

    def test_at_a_terminal(self) -> None:
        with Terminal([*self.command(self.daemon), "--plain"], self.env(self.daemon), rows=50,
                      cols=40) as ann:
            ann.until("menu>", SECONDS)
            # each after what the last one did: together they are a paste
            for command, effect in EFFECTS.items():
                before = len(ann.transcript)
                ann.type(command + "\r")
                ann.until(lambda _, before=before, effect=effect:
                          effect in self.flat(ann.transcript[before:])
                          and ann.transcript.endswith(b"> "), SECONDS)
            ann.type("/exit\r")
            ann.wait(SECONDS)
            said = ann.transcript.decode()
        self.assertEqual({char for char in said if not char.isprintable()}, {"\r", "\n"})
        self.assertNotIn("14:06", {line[:5] for line in said.replace("\r", "").split("\n")})
        self.assertIn("in-live", self.flat(ann.transcript))

    def flat(self, said: bytes) -> str:
        """What was said without the ends of rows, the gutters and blanks."""
        rows = said.decode(errors="replace").replace("\r", "").split("\n")
        return "".join("".join(row.lstrip(" ").removeprefix(GUTTER) for row in rows).split())


def foot(screen: Screen) -> list[str]:
    """The row of hints and errors, and the input line."""
    return screen.text().split("\n")[-2:]


TITLE = rb"\x1b\]2;(\(\d+\) )?ann - parley\x1b\\"         # the client's own


class OnTheScreen(WithHostile):
    def test_every_command(self) -> None:
        """The screen reader raises on a sequence that curses does not send; nothing of the
        daemon's is in the title, no mode changed."""
        for rows, cols in ((24, 80), (10, 40), (60, 20)):
            with Terminal(self.command(self.daemon), self.env(self.daemon), rows=rows,
                          cols=cols) as ann:
                ann.until("menu>", SECONDS)
                modes = set(ann.screen.modes)
                for number, command in enumerate(COMMANDS):
                    self.enter(ann, command)
                    ann.type(f"seen-{number}")
                    ann.until(f"seen-{number}", SECONDS)
                    self.looks_harmless(ann, modes)
                    ann.press(b"\x15\x1b[5~")
                    ann.until(lambda screen, seen=f"seen-{number}": seen not in foot(screen)[1],
                              SECONDS)
                ann.press(b"\x1b")
                ann.type("/exit\r")
                ann.wait(SECONDS)
                self.assertNotIn(b"\x1b]", re.sub(TITLE, b"", ann.transcript))
                self.assertNotIn(b"\x1bP", ann.transcript)

    def enter(self, ann: Terminal, command: str) -> None:
        """Type a command, and Enter alone: with more text behind it, it would be a paste.  Wait
        until the client has run the command, which empties the line, or refused it with words."""
        ann.type(command)
        ann.until(lambda screen: foot(screen)[1].endswith(command[-5:]), SECONDS)
        before = foot(ann.screen)
        ann.type("\r")
        ann.until(lambda screen: foot(screen) != before, SECONDS)

    def looks_harmless(self, ann: Terminal, modes: set[int]) -> None:
        self.assertRegex(ann.screen.title, r"\A(\(\d+\) )?ann - parley\Z")
        self.assertEqual(set(ann.screen.modes), modes)
        for row in ann.screen.text().split("\n"):
            self.harmless(row)
            self.assertFalse(row.lstrip().startswith("14:06 dave"), row)


class TheDaemonIsHostile(unittest.TestCase):
    def test_it_has_what_a_terminal_obeys(self) -> None:
        self.assertLessEqual({"\x1b", "\x07", "\r", "\n", "\x9b", "\u202e", "\x00"}, set(EVIL))
        self.assertLessEqual(len(EVIL.encode()), 255)


if __name__ == "__main__":
    unittest.main()
