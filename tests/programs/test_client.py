"""The client on a real terminal: what a person sees, and the terminal as it was, however one
leaves."""
import os
import shlex
import signal
import subprocess
import sys
import unittest
from typing import Any

import wire
from tests.harness.process import HERE
from tests.harness.screen_reader import Colour
from tests.harness.shared_house import WithDaemon
from tests.harness.terminals import Terminal, environment, needs, until

SECONDS = 20.0              # for anything to appear: a busy machine paints late


class OnScreen(WithDaemon):
    def command(self, *options: str) -> list[str]:
        return [sys.executable, HERE + "/curses_client.py", "--connect", "unix:" + self.daemon.path,
                *options]

    def environment(self, term: str = "xterm-256color", **more: str) -> dict[str, str]:
        return environment(term, XDG_STATE_HOME=self.daemon.directory + "/state") | more

    def terminal(self, *options: str, rows: int = 24, cols: int = 80, **more: str) -> Terminal:
        terminal = Terminal(self.command(*options), self.environment(**more), rows=rows, cols=cols)
        self.addCleanup(terminal.close)
        return terminal

    def person(self, name: str, *options: str, **more: Any) -> Terminal:
        """A client that is connected and painted."""
        terminal = self.terminal("--name", name, *options, **more)
        self.sees(terminal, f"as {name}", "menu>")      # half a picture may have been read
        return terminal

    def sees(self, terminal: Terminal, *texts: str) -> None:
        for text in texts:
            terminal.until(text, SECONDS)


class Leaving(OnScreen):
    """In every way, and the terminal is as it was."""

    def leaves(self, terminal: Terminal, code: int, *shown: str) -> None:
        self.assertEqual(terminal.wait(SECONDS), code, terminal.report("exit code"))
        self.assertEqual(terminal.termios(), terminal.initial_termios)
        self.assertTrue(terminal.transcript.rstrip().rfind(b"\x1b[?2004l")
                        > terminal.transcript.rfind(b"\x1b[?2004h"))
        self.assertTrue(terminal.transcript.rfind(b"\x1b[?1004l")
                        > terminal.transcript.rfind(b"\x1b[?1004h"))
        self.assertNotIn(b"Traceback", terminal.transcript)
        for text in shown:
            self.assertIn(text, terminal.screen.text())

    def test_by_the_menu(self) -> None:
        ann = self.person("ann")
        ann.type("6")
        ann.until("menu> 6. Exit")
        ann.type("\r")
        self.leaves(ann, 0)

    def test_by_the_command(self) -> None:
        ann = self.person("ann")
        ann.type("/exit\r")
        self.leaves(ann, 0)

    def test_by_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            ann = self.person("ann")
            ann.signal(number)
            self.leaves(ann, 128 + number)

    def test_by_control_c_also_at_the_login_prompt(self) -> None:
        ann = self.person("ann")
        ann.type("half-typed")
        self.sees(ann, "menu> half-typed")
        ann.press(b"\x03")
        ann.until(lambda screen: screen.row(23) == "menu>", SECONDS)
        ann.press(b"\x1b[A")
        self.sees(ann, "menu> half-typed")
        ann.press(b"\x03\x03")
        self.sees(ann, "Ctrl-C again leaves parley")
        ann.press(b"x\x03\x03")                   # another key in between: it asks again
        self.sees(ann, "Ctrl-C again leaves parley")
        ann.press(b"\x03")
        self.leaves(ann, 130)
        ann = self.terminal()
        ann.until("username>")
        ann.press(b"\x03")
        self.leaves(ann, 130)

    def test_when_the_terminal_goes(self) -> None:
        ann = self.person("ann")
        ann.hang_up()
        self.assertEqual(ann.process.wait(SECONDS), 128 + signal.SIGHUP)

    def test_when_no_signal_tells_that_the_terminal_went(self) -> None:
        command = ["sh", "-c", f"trap '' HUP; exec {shlex.join(self.command('--name', 'ann'))}"]
        ann = Terminal(command, self.environment())
        self.addCleanup(ann.close)
        self.sees(ann, "as ann")
        ann.hang_up()
        self.assertEqual(ann.process.wait(SECONDS), 128 + signal.SIGHUP)

    def test_when_the_daemon_is_gone(self) -> None:
        ann = self.person("ann")
        self.daemon.end()
        self.sees(ann, "offline: retry in")
        ann.type("/exit\r")
        self.leaves(ann, 0)

    def test_when_the_program_has_a_fault(self) -> None:
        fault = ("import sys, curses_client; sys.argv[0] = 'parley'\n"
                 "def bad(*_):\n"
                 "    print('a word on stderr', file=sys.stderr)\n"
                 "    raise ZeroDivisionError('ours')\n"
                 "curses_client.frame = bad\nsys.exit(curses_client.main())")
        ann = Terminal([sys.executable, "-c", fault, *self.command("--name", "ann")[2:]],
                       self.environment(), rows=60, cwd=HERE)   # Python 3.13 says more
        self.addCleanup(ann.close)
        self.assertEqual(ann.wait(SECONDS), 1)
        self.assertEqual(ann.termios(), ann.initial_termios)
        self.assertIn("ZeroDivisionError: ours", ann.screen.text())
        self.assertIn("a word on stderr", ann.screen.text())

    def test_control_z_and_back(self) -> None:
        shell = Terminal(["bash", "--norc", "--noprofile", "-i"],
                         self.environment(PS1="$ ", PATH=os.environ["PATH"]))
        self.addCleanup(shell.close)
        shell.until("$")
        shell.type(shlex.join(self.command("--name", "ann")) + "\r")
        self.sees(shell, "as ann")
        shell.type("half")
        shell.until("menu> half")
        shell.press(b"\x1a")
        shell.until("Stopped", SECONDS)
        shell.type("echo back$((1 + 1)) $(stty -a | tr ';' '\\n' | grep -o ' -*icanon')\r")
        shell.until("back2 icanon", SECONDS)
        shell.type("fg\r")
        shell.until("menu> half", SECONDS)
        shell.type("-typed")
        shell.until("menu> half-typed", SECONDS)
        shell.press(b"\x15/exit\r")
        shell.until("$", SECONDS)
        shell.type("echo code $?\r")
        shell.until("code 0", SECONDS)

    def test_messages_without_an_answer_are_told(self) -> None:
        self.daemon.client("bob").close()
        ann = self.person("ann")
        self.daemon.end()
        self.sees(ann, "offline: retry in")
        ann.type("@bob hello\r")
        self.sees(ann, "you > bob         . hello")
        ann.type("/exit\r")
        self.sees(ann, "offered at the next start")
        ann.type("\r")
        self.leaves(ann, os.EX_TEMPFAIL, "1 message had no answer from the daemon")


class Using(OnScreen):
    def test_asked_for_the_name_until_it_is_free(self) -> None:
        self.person("bob")
        ann = self.terminal()
        ann.until("username>")
        ann.type("\x15bob\r")
        self.sees(ann, "bob is in use, by you, since ", "/take moves it here", "username> bob")
        ann.type("bobby\r")             # typing replaces the name that was refused
        self.sees(ann, "as bobby", "menu>")

    def test_send_to_one_and_the_marks(self) -> None:
        self.daemon.client("carol").close()
        ann, bob = self.person("ann"), self.person("bob")
        ann.type("2\r")
        self.sees(ann, "send>")
        ann.type("1\r")
        self.sees(ann, "to>")
        ann.type("carol")
        self.sees(ann, "carol    not connected: kept in the mailbox")
        ann.type("\x15bob\r")
        self.sees(ann, "to bob>")
        ann.type("hello\r")
        self.sees(bob, "ann > you           hello")
        self.sees(ann, "you > bob         + hello")
        ann.type("@carol for later\r")
        self.sees(ann, "you > carol       = for later",
                  "carol is not connected: kept in the mailbox")

    def test_check(self) -> None:
        with self.daemon.client("ann") as ann:
            self.daemon.client("bob").close()
            ann.say(*(wire.Send(self.ids | number, 0, ("bob",), f"text {number}")
                      for number in (1, 2)))
            until(lambda: ann.hear(wire.Stored).last == self.ids | 2)
            bob = self.person("bob")
            self.sees(bob, "2 messages waiting", "2 waiting")
            bob.type("3\r")
            self.sees(bob, "ann > you           text 1", "ann > you           text 2",
                      "2 messages: no more are waiting")
            ann.hear(wire.Delivered)
            bob.type("3\r")
            self.sees(bob, "No messages available")

    def test_a_chat(self) -> None:
        ann, bob = self.person("ann"), self.person("bob")
        ann.type("4\r")
        self.sees(ann, "chat with>")
        ann.type("bob")
        self.sees(ann, "bob      available")
        ann.type("\r")
        self.sees(bob, "ann invites you to a chat:  7. Accept  8. Deny")
        bob.type("7\r")
        for person, other in ((ann, "bob"), (bob, "ann")):
            self.sees(person, f"chat with {other}: others now see you both as busy; Quit ends it",
                      f"{other}>")
        ann.type("found it\r")
        self.sees(bob, "ann: found it")
        bob.type("Quit\r")
        for person in (ann, bob):
            self.sees(person, "Chat session ended", "menu>")

    def test_the_connection_is_lost_and_comes_back(self) -> None:
        self.daemon.client("bob").close()
        ann = self.person("ann")
        ann.type("a draft")
        self.daemon.end()
        self.sees(ann, "offline: retry in", "connection lost", "a draft")
        ann.press(b"\x15@bob kept until then\r")
        self.sees(ann, "you > bob         . kept until then")
        self.daemon.start()
        ann.press(b"\r")
        self.sees(ann, "connected again", "you > bob         = kept until then")
        with self.daemon.client("bob") as bob:
            bob.say(wire.Check(1))
            self.assertEqual(bob.hear(wire.Mail).text, "kept until then")
            self.assertEqual(bob.hear(wire.Checked).total, 1)

    def test_a_paste_is_one_message(self) -> None:
        with self.daemon.client("bob") as bob:
            ann = self.person("ann")
            ann.press(b"@bob \x1b[200~1\r2\r3\r4\r5\r6\r7\x1b[201~")
            self.sees(ann, "paste 7 lines?>")
            ann.press(b"\r")
            self.sees(ann, "to bob> @bob 1^J2^J3^J4^J5^J6^J7")
            ann.press(b"\r")
            self.assertEqual(bob.hear(wire.Mail).text, "1\n2\n3\n4\n5\n6\n7")

    def test_the_bell(self) -> None:
        with self.daemon.client("bob") as bob:
            ann = self.person("ann")
            bob.say(wire.Send(self.ids | 1, 0, ("ann",), "one"))
            ann.until(lambda screen: "one" in screen.text() and screen.bells == 1, SECONDS)
            ann.press(b"\x1b[I")
            for number in range(2, 20):
                bob.say(wire.Send(self.ids | number, 0, ("ann",), f"text {number}"))
            self.sees(ann, "text 19")
            ann.type("x")                               # a fence: a bell would have come before it
            self.sees(ann, "menu> x")
            self.assertEqual(ann.screen.bells, 1)       # focused and at the end

    def test_hostile_text(self) -> None:
        with self.daemon.client("bob") as bob:
            ann = self.person("ann")
            for number, text in enumerate(("‮right to left", "zero\u200bwidth", "e" + "\u0301" * 40,
                                           "你好 wide"), 1):
                bob.say(wire.Send(self.ids | number, 0, ("ann",), text))
            self.sees(ann, "<U+202E>right to left", "zero<U+200B>width", "你好 wide")
            ann.type("x")
            self.sees(ann, "menu> x")

    def test_what_was_painted_is_kept_and_confirmed(self) -> None:
        with self.daemon.client("bob") as bob:
            ann = self.person("ann")
            bob.say(wire.Send(self.ids | 1, 0, ("ann",), "for the archive"))
            bob.hear(wire.Delivered)
            archives = [name for name in os.listdir(self.daemon.directory + "/state/parley")
                        if name.startswith("ann")]
            with open(f"{self.daemon.directory}/state/parley/{archives[0]}") as archive:
                self.assertIn("for the archive", archive.read())
            ann.type("/exit\r")
            self.assertEqual(ann.wait(SECONDS), 0)

    def test_what_was_said_is_there_again_tomorrow(self) -> None:
        """Both sides and the chat, above a rule; /find and parley log have it too."""
        with self.daemon.client("bob") as bob:
            ann = self.person("ann")
            bob.say(wire.Send(self.ids | 1, 0, ("ann",), "the wrench?"))
            self.sees(ann, "the wrench?")
            ann.type("@bob bay three\r")
            bob.hear(wire.Mail)
            self.sees(ann, "= bay three")
            bob.say(wire.Invite(1, ("ann",)))
            self.sees(ann, "7. Accept")
            ann.type("\x1b7")
            self.sees(ann, "chat with bob")
            ann.type("second drawer\r")
            bob.hear(wire.Line)
            ann.type("/exit\r")
            self.assertEqual(ann.wait(SECONDS), 0)
        again = self.person("ann")
        text = again.screen.text()
        places = [text.index(each) for each in (
            "bob > you           the wrench?", "you > bob         = bay three",
            "you > bob (chat)    second drawer", ", now ---", "as ann")]
        self.assertEqual(places, sorted(places), text)
        again.type("/history bob 1\r")
        self.sees(again, "the last message with bob:")


def rgb(colour: Colour) -> tuple[int, int, int]:
    """What xterm paints for a colour that it is given."""
    if isinstance(colour, tuple):
        return colour
    assert colour is not None
    if colour < 16:
        return {1: (205, 0, 0), 5: (205, 0, 205)}[colour]
    steps = 0, 95, 135, 175, 215, 255
    return steps[(colour - 16) // 36], steps[(colour - 16) // 6 % 6], steps[(colour - 16) % 6]


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    """As WCAG has it: 21 for black on white."""
    light, dark = sorted((sum(weight * (part / 255) ** 2.2 for weight, part in
                              zip((0.2126, 0.7152, 0.0722), each, strict=True))
                          for each in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


TERMS_AND_LOCALES = ({"term": "linux"}, {"term": "vt100"}, {"term": "no-such-terminal"},
                     {"term": "screen"},
                     {"LC_ALL": "C", "LANG": "C"}, {"LC_ALL": "no_SUCH.locale"}, {"NO_COLOR": "1"})


class Terminals(OnScreen):
    def test_sizes(self) -> None:
        ann = self.person("ann")
        for rows, cols in ((1, 1), (2, 7), (3, 17), (4, 40), (10, 40), (60, 200), (24, 80)):
            ann.resize(rows, cols)
            ann.press(b"x")
            if cols > 1:
                ann.until(lambda screen: screen.row(screen.rows - 1).strip() != "", SECONDS)
            ann.press(b"\x15")
        self.sees(ann, "1. List users 2. Send 3. Check for messages 4. Chat 5. Group chat 6. Exit",
                  "menu>")

    def test_lines_and_columns_do_not_lie(self) -> None:
        ann = self.person("ann", LINES="50", COLUMNS="200")
        self.assertIn("menu>", ann.screen.row(23))

    def test_terms_and_locales(self) -> None:
        for number, more in enumerate(TERMS_AND_LOCALES):
            with self.subTest(more), self.daemon.client(f"bob{number}") as bob:
                ann = self.person(f"ann{number}", **more)
                bob.say(wire.Send(self.ids | 1, 0, (f"ann{number}",), "сосед, 你好"))
                self.sees(ann, "сосед, 你好")
                ann.type("é")
                self.sees(ann, "menu> é")
                ann.press(b"\x15/exit\r")
                self.assertEqual(ann.wait(SECONDS), 0)

    def test_colours_are_for_names_and_can_be_off(self) -> None:
        for number, (options, coloured) in enumerate((((), True), (("--no-color",), False)), 1):
            with self.daemon.client("bob") as bob:
                ann = self.person("ann", *options)
                # the same id again is a repeat
                bob.say(wire.Send(self.ids | number, 0, ("ann",), "hi"))
                self.sees(ann, "bob > you")
                row = next(at for at in range(24) if "bob > you" in ann.screen.row(at))
                self.assertEqual(ann.screen.style(row, 6).foreground is not None, coloured)
                ann.press(b"\x03\x03")
                ann.wait(SECONDS)

    @needs("tic")
    def test_colours_are_legible_whatever_the_terminal_calls_them(self) -> None:
        """Of 256, of 8, and by red, green and blue, on black and on white."""
        there = self.daemon.directory + "/terminfo"
        sets = ("=\\E[%?%p1%{{8}}%<%t{0}%p1%d%e{0}8;2;%p1%{{65536}}%/%d;%p1%{{256}}%/%{{255}}%&%d;"
                "%p1%{{255}}%&%d%;m,\n")
        entry = ("parley-direct|colours by red green and blue,\n use=xterm-256color, RGB, "
                 f"colors#0x1000000, pairs#0x10000,\n setaf{sets.format(3)} setab{sets.format(4)} "
                 "initc@, oc@, op=\\E[39;49m,\n")
        subprocess.run(["tic", "-x", "-o", there, "-"], input=entry.encode(), check=True,
                       capture_output=True)
        for term in ("xterm-256color", "xterm", "parley-direct"):
            seen = set()
            names = ("bob", "carol", "dave", "erin", "frank", "zoe")
            ann = self.person("ann", TERM=term, TERMINFO_DIRS=f"{there}:", rows=30)
            for number, name in enumerate(names):
                with self.daemon.client(name) as other:
                    # each terminal another id: a repeated one would be a copy
                    other.say(wire.Send(self.ids | len(term) << 4 | number, 0, ("ann",), "hi"))
                    self.sees(ann, f"{name} > you")
                row = next(at for at in range(30) if f"{name} > you" in ann.screen.row(at))
                colour = ann.screen.style(row, 6).foreground
                seen.add(colour)
                for ground in ((0, 0, 0), (255, 255, 255)):
                    if colour is not None:
                        self.assertGreaterEqual(contrast(rgb(colour), ground), 3.5, (term, colour))
            self.assertGreater(len(seen), 1, term)
            ann.press(b"/exit\r")
            ann.wait(SECONDS)

    def test_escape_alone_and_keys_in_pieces(self) -> None:
        ann = self.person("ann")
        ann.press(b"2")
        self.sees(ann, "menu> 2. Send")
        ann.press(b"\x1b")
        ann.until(lambda screen: screen.row(23).rstrip() == "menu>", SECONDS)
        for byte in "é".encode() + b"\x1b[D" + b"x":
            ann.press(bytes((byte,)))
            ann.drain()
        self.sees(ann, "menu> xé")

    def test_a_flood_is_painted_now_and_then_and_keys_at_once(self) -> None:
        with self.daemon.client("bob") as bob:
            ann = self.person("ann")
            bob.say(*(wire.Send(self.ids | number, 0, ("ann",), f"flood {number}")
                      for number in range(1, 5001)))
            ann.type("typed")
            self.sees(ann, "menu> typed", "flood 5000")
        self.assertLess(len(ann.transcript), 600_000)       # painting each message would be 7 MB


@needs("tmux")
class InTmux(OnScreen):
    def test_the_reader_is_right(self) -> None:
        from tests.harness.terminals import Tmux
        with Tmux() as tmux:
            tmux.new(self.command("--name", "ann"), self.environment("tmux-256color"))
            tmux.until("menu>", SECONDS)
            ann = self.person("ann2")
            tmux.type("@ann2 你好, out there")
            tmux.send("Enter")
            self.sees(ann, "ann > you           你好, out there")
            tmux.until("you > ann2        + 你好, out there", SECONDS)
            tmux.resize(10, 40)
            tmux.until("1List 2Send 3Check 4Chat 5Group 6Exit", SECONDS)


class Wrong(OnScreen):
    def test_one_line_that_says_what_to_do(self) -> None:
        for options, code in ((("--bogus",), os.EX_USAGE), (("--name", "a b"), os.EX_USAGE),
                              (("--connect", "x"), os.EX_USAGE)):
            ann = self.terminal(*options)
            self.assertEqual(ann.wait(SECONDS), code)
            self.assertTrue(ann.screen.row(0).startswith("parley: "), ann.screen.text())
            self.assertEqual(ann.termios()[:6], ann.initial_termios[:6])

    def test_no_daemon_is_told_and_tried_again(self) -> None:
        self.daemon.end()
        os.unlink(self.daemon.path)
        ann = self.terminal("--name", "ann")
        self.sees(ann, "is the daemon running?", "offline: retry in")
        self.daemon.start()
        ann.press(b"\r")
        self.sees(ann, "as ann", "menu>")


class Conversing(OnScreen):
    """With several people at once, on two sizes of screen."""

    def test_a_conversation_is_a_place(self) -> None:
        for rows, cols in (24, 80), (10, 40):
            with self.subTest(rows=rows), self.daemon.client("bob") as bob, \
                    self.daemon.client("cat") as cat:
                ann = self.person("ann", rows=rows, cols=cols)
                bob.say(wire.Send(self.ids | rows, 0, ("ann", "cat"), f"lunch? {rows}"))
                self.sees(ann, "bob > you, cat")
                ann.type("@bob hi\r")
                self.assertEqual(bob.hear(wire.Mail).text, "hi")
                self.sees(ann, "to bob>", "= with bob =")
                ann.type("2 of us\r")
                self.assertEqual(bob.hear(wire.Mail).text, "2 of us")
                ann.type("/with bob\r")
                ann.until(lambda screen: "as ann" not in screen.text(), SECONDS)
                cat.say(wire.Send(self.ids | rows, 0, ("ann",), f"minutes {rows}"))
                self.sees(ann, "= cat 1 ")
                self.assertNotIn("minutes", ann.screen.text())
                ann.press(b"\x1ba")
                self.sees(ann, "to cat>", f"minutes {rows}")
                ann.press(b"\x1b")
                self.sees(ann, "menu>", "2 of us")
                ann.type("/reply\r")            # to the last message of another user
                self.sees(ann, "to cat>")
                ann.press(b"3\r")
                self.sees(ann, "No messages available")
                ann.type("/exit\r")
                self.assertEqual(ann.wait(SECONDS), 0)


if __name__ == "__main__":
    unittest.main()
