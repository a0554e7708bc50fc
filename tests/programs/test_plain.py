"""The client without a screen: lines in, lines out, and the one-shot commands with their exit
codes."""
import glob
import os
import signal
import subprocess
import sys
import unittest
from pathlib import Path

import wire
from tests.harness import lived_in
from tests.harness.process import HERE
from tests.harness.shared_house import WithDaemon
from tests.harness.terminals import Terminal, environment

SECONDS = 30.0
MENU = "1. List users 2. Send 3. Check for messages 4. Chat 5. Group chat 6. Exit"


class Lines(WithDaemon):
    def setUp(self) -> None:
        super().setUp()
        self.env = environment(XDG_STATE_HOME=self.daemon.directory + "/state", TZ="UTC")

    def command(self, *options: str) -> list[str]:
        return [sys.executable, HERE + "/curses_client.py", "--connect", "unix:" + self.daemon.path,
                *options]

    def parley(self, *options: str, stdin: str | bytes = "") -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(self.command(*options), input=data, capture_output=True, env=self.env,
                              timeout=SECONDS)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def known(self, *names: str) -> None:
        for name in names:
            self.daemon.client(name).close()

    def fails(self, code: int, words: str, *options: str, stdin: str | bytes = "") -> None:
        found, _, err = self.parley(*options, stdin=stdin)
        self.assertEqual((found, err.count("\n")), (code, 1), err)
        self.assertTrue(err.startswith("parley: "), err)
        self.assertIn(words, err)


class Stray(Lines):
    """What no user means to do, and some shell does."""

    def test_a_line_that_is_too_long_sends_nothing_else(self) -> None:
        self.known("bob")
        _, out, err = self.parley("--plain", "--name", "ann",
                                  stdin=f"@carol an old text\n@bob {'z' * 20_000}\n")
        self.assertIn("send it in parts", out + err)
        self.assertIn("No messages available", self.parley("--name", "bob", "--check")[1])

    def test_a_text_on_stdin_that_is_too_long(self) -> None:
        self.known("bob")
        self.fails(65, "at most 16384 bytes", "--name", "ann", "--send", "bob",
                   stdin="x" + "é" * 9000)

    def test_a_byte_that_is_no_text(self) -> None:
        self.fails(65, "half a character", "--name", "ann", "--send", "bob", os.fsdecode(b"\x80"))

    def test_closed_descriptors(self) -> None:
        self.known("bob")
        line = '"$0" "$@" >&-'
        done = subprocess.run(["sh", "-c", line, *self.command("--name", "bob", "--who")],
                              env=self.env,
                              capture_output=True, timeout=SECONDS)
        self.assertEqual((done.returncode, done.stderr.count(b"\n")), (74, 1), done.stderr)
        line = '"$0" "$@" <&-'
        done = subprocess.run(["sh", "-c", line, *self.command("--name", "bob", "--plain")],
                              env=self.env,
                              capture_output=True, timeout=SECONDS)
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_a_python_that_does_not_look_beside_the_script(self) -> None:
        for flag in ("-P", "-I"):
            done = subprocess.run([sys.executable, flag, HERE + "/curses_client.py", "--version"],
                                  cwd="/",
                                  capture_output=True, timeout=SECONDS)
            self.assertEqual((done.returncode, done.stderr), (0, b""))


class OneShot(Lines):
    def test_send_and_check(self) -> None:
        self.known("bob", "carol")
        self.assertEqual(self.parley("--name", "ann", "--send", "bob,carol", "hello", "there"),
                         (0, "bob, carol are not connected: kept in their mailboxes\n", ""))
        self.assertEqual(self.parley("--name", "ann", "--send", "BOB",
                                     stdin="from stdin\nin two lines\n")[0], 0)
        code, out, _ = self.parley("--name", "bob", "--check")
        self.assertEqual(code, 0)
        self.assertRegex(out, r"\A\d{4}-\d\d-\d\d \d\d:\d\d ann > you, carol: hello there\n"
                              r"\d{4}-\d\d-\d\d \d\d:\d\d ann > you: from stdin\n    \| in two "
                              r"lines\n\Z")
        self.assertEqual(self.parley("--name", "bob", "--check"),
                         (0, "No messages available\n", ""))

    def test_send_is_noted_where_that_can_be(self) -> None:
        """And where it can't, a script hears nothing of it."""
        self.known("carol")
        self.assertEqual(self.parley("--name", "ann", "--send", "carol", "for the log")[0], 0)
        found = self.parley("log", "--name", "ann", "--grep", "for the log")
        self.assertRegex(found[1], "you > carol =: for the log\n$")
        self.env["XDG_STATE_HOME"] = "/dev/null/nowhere"
        self.assertEqual(self.parley("--name", "ann", "--send", "carol", "x")[::2], (0, ""))
        told = self.parley("--name", "ann", "--plain", stdin="@carol x\n")
        self.assertEqual((told[0], told[1].count("can't note what you say")), (0, 1), told)

    def test_send_to_all(self) -> None:
        self.known("bob", "carol", "ann")
        self.assertEqual(self.parley("--name", "ann", "--send", "all", "hi")[0], 0)
        for name in ("bob", "carol"):
            self.assertIn("ann > all: hi", self.parley("--name", name, "--check")[1])
        self.assertEqual(self.parley("--name", "ann", "--check")[1], "No messages available\n")

    def test_send_takes_no_mail(self) -> None:
        with self.daemon.client("bob") as bob:
            self.known("ann")
            bob.say(wire.Send(self.ids | 1, 0, ("ann",), "waits"))
            bob.hear(wire.Stored)
            self.assertEqual(self.parley("--name", "ann", "--send", "bob", "hi"), (0, "", ""))
            self.assertEqual(bob.hear(wire.Mail).text, "hi")
        self.assertIn("waits", self.parley("--name", "ann", "--check")[1])

    def test_check_without_archive(self) -> None:
        self.known("bob")
        self.parley("--name", "ann", "--send", "bob", "hi")
        (archive,) = Path(self.daemon.directory, "state/parley").glob("bob.*")
        before = archive.read_bytes()
        self.assertIn("hi", self.parley("--name", "bob", "--check", "--no-archive")[1])
        self.assertEqual(archive.read_bytes(), before)
        self.assertEqual(self.parley("--name", "bob", "--check")[1], "No messages available\n")

    def test_what_was_not_printed_is_not_lost(self) -> None:
        self.known("bob")
        self.parley("--name", "ann", "--send", "bob", "hi")
        with open("/dev/full", "wb") as full:
            done = subprocess.run(self.command("--name", "bob", "--check"), stdout=full,
                                  stderr=subprocess.PIPE,
                                  env=self.env, timeout=SECONDS)
        self.assertEqual(done.returncode, os.EX_IOERR, done.stderr)
        self.assertIn("hi", self.parley("--name", "bob", "--check")[1])

    def test_many_messages(self) -> None:
        self.known("bob")
        with self.daemon.client("ann") as ann:
            ann.say(*(wire.Send(self.ids | number, 0, ("bob",), f"text {number}")
                      for number in range(1, 2501)))
            while ann.hear(wire.Stored).last != (self.ids | 2500):
                pass
        code, out, err = self.parley("--name", "bob", "--check")
        self.assertEqual((code, err), (0, ""))
        self.assertEqual([line.split(": ")[1] for line in out.split("\n")[:-1]],
                         [f"text {number}" for number in range(1, 2501)])

    def test_a_note_to_oneself(self) -> None:
        self.known("bob")
        self.assertEqual(self.parley("--name", "ann", "--send", "ann", "buy milk"),
                         (0, "kept in your own mailbox until checked\n", ""))
        self.assertEqual(self.parley("--name", "ann", "--send", "ann,bob", "buy milk")[1],
                         "bob is not connected: kept in the mailbox\nkept in your own mailbox "
                         "until checked\n")
        self.assertEqual(self.parley("--name", "ann", "--check")[1].count("buy milk"), 2)

    def test_who(self) -> None:
        with self.daemon.client("bob"):
            code, out, err = self.parley("--name", "ann", "--who")
        rows = out.splitlines()
        self.assertEqual((code, rows[0], len(rows), err),
                         (0, "bob      Available", lived_in.CONNECTED + 1, ""))
        self.assertIn("v-0      Chatting with Vera.1", rows)

    def test_failures(self) -> None:
        self.known("bob")
        ann = ("--name", "ann")
        self.fails(os.EX_USAGE, "username", "--name", "no name", "--check")
        self.fails(os.EX_USAGE, "--bogus", "--bogus")
        self.fails(os.EX_USAGE, "not allowed with", *ann, "--check", "--who")
        self.fails(os.EX_USAGE, "unix:PATH", *ann, "--check", "--connect", "nonsense")
        self.fails(os.EX_NOUSER, "nobody named bobb has ever been here: did you mean bob?", *ann,
                   "--send", "bobb", "hi")
        self.fails(os.EX_DATAERR, "empty", *ann, "--send", "bob", "")
        self.fails(os.EX_DATAERR, "empty", *ann, "--send", "bob")
        self.fails(os.EX_DATAERR, "16384", *ann, "--send", "bob", stdin="x" * 20000)
        self.fails(os.EX_DATAERR, "UTF-8", *ann, "--send", "bob", stdin=b"\xff")
        self.fails(os.EX_DATAERR, "reserved", "--name", "all", "--check")
        self.fails(os.EX_UNAVAILABLE, "is the daemon running?", *ann, "--check", "--connect",
                   "unix:/no/such.sock")
        self.fails(os.EX_USAGE, "--take moves a session", *ann, "--take", "--who")

    def test_beside_a_session_of_one_s_own(self) -> None:
        """v-0 is a resident, in a chat."""
        self.known("bob")
        for one_shot in (("--check",), ("--who",), ("--send", "bob", "hi")):
            code, _, err = self.parley("--name", "v-0", *one_shot)
            self.assertEqual((code, err), (0, ""))

    def test_version_and_help(self) -> None:
        self.assertRegex(self.parley("--version")[1], r"\Aparley \d")
        self.assertIn("--plain", self.parley("--help")[1])


class Alone(Lines):
    """What is said to who is alone takes a house where nobody lives."""

    bare = True

    def test_who(self) -> None:
        self.assertEqual(self.parley("--name", "ann", "--who"), (0, "No other client.\n", ""))
        with self.daemon.client("bob"):
            self.assertEqual(self.parley("--name", "ann", "--who"), (0, "bob      Available\n", ""))

    def test_a_script(self) -> None:
        out = self.parley("--plain", "--name", "ann", stdin="1\n2\n/log\n")[1]
        for line in ("* No other client.", "* 1 name in the log:"):
            self.assertIn(line, out)

    def test_no_archive_is_made(self) -> None:
        self.known("bob")
        self.parley("--name", "ann", "--send", "bob", "hi")
        self.assertIn("hi", self.parley("--name", "bob", "--check", "--no-archive")[1])
        self.assertEqual(glob.glob(self.daemon.directory + "/state/parley/bob*"), [])


class Piped(Lines):
    def test_a_script(self) -> None:
        self.known("bob")
        code, out, err = self.parley("--plain", "--name", "ann",
                                     stdin="1\n2\n1\nbob\nhello "
                                           "bob\n3\n/log\n/nonsense\nzed\n6\nnever read\n")
        self.assertEqual((code, err.splitlines()[1:]), (os.EX_DATAERR, [
            "parley: 'zed' is not an item; 1-6 select one; /help; \"@bob hi\" sends at once"]))
        self.assertTrue(err.startswith("parley: /nonsense is not a command"), err)
        words = [line[6:] if line[2:3] == ":" else line for line in out.split("\n")]
        self.assertLess(out.index("* connected to"), out.index(MENU))
        for line in ("* connected to", MENU, "* 201 current users:",
                     "  v-0      Chatting with Vera.1",
                     "1. One user 2. Several users 3. All users",
                     "  v-102  available", "you > bob .: hello bob",
                     "= you > bob: stored: hello bob",
                     "* bob is not connected: kept in the mailbox", "* No messages available",
                     f"* {lived_in.NAMES + len(lived_in.PEOPLE)} names in the log:"):
            self.assertTrue(any(word.startswith(line) for word in words), (line, out))

    def test_the_end_of_the_input_waits_until_all_is_stored(self) -> None:
        self.known("bob")
        lines = "".join(f"@bob message {number}\n"
                        for number in range(200)) + "@bob the last, without a newline"
        self.assertEqual(self.parley("--plain", "--name", "ann", stdin=lines)[0], 0)
        out = self.parley("--name", "bob", "--check")[1]
        self.assertEqual(out.count("message "), 200)
        self.assertIn("the last, without a newline", out)

    def test_a_script_whose_name_is_refused_ends_there(self) -> None:
        """The lines below it were to be sent: none of them is taken for another name."""
        self.known("bob")
        self.fails(os.EX_TEMPFAIL, "v-0 is in use, by you, since ", "--plain",
                   stdin="v-0\nzorro\n@bob hi\n")
        for name, said in (("bad name", "a username has 1 to 32"), ("", "a username has 1 to 32"),
                           ("all", "reserved")):
            self.fails(os.EX_DATAERR, said, "--plain", stdin=f"{name}\nzorro\n@bob hi\n")
        self.fails(os.EX_USAGE, "the input ended before a username", "--plain")
        self.assertEqual(self.parley("--name", "ann", "--plain", stdin="/log\n")[1].count("zorro"),
                         0)
        self.assertIn("No messages available", self.parley("--name", "bob", "--check")[1])

    def test_a_name_that_was_given_is_the_name_or_the_end(self) -> None:
        """What was to be sent is not taken for another name.

        v-0 is a resident, who answers the daemon's PING."""
        self.fails(os.EX_TEMPFAIL, "v-0 is in use, by you, since ", "--plain", "--name", "v-0",
                   stdin="zorro\n@bob hi\n")
        self.fails(os.EX_DATAERR, "reserved", "--plain", "--name", "all", stdin="zorro\n")
        self.assertEqual(self.parley("--name", "ann", "--plain", stdin="/log\n")[1].count("zorro"),
                         0)

    def test_what_could_not_be_done_is_the_exit_code(self) -> None:
        self.known("bob")
        for line, said in (("@nobody hi", "nobody named nobody has ever been here"),
                           ("/nonsense", "is not a command"),
                           ("Quit", "you are not in a chat")):
            code, out, err = self.parley("--plain", "--name", "ann",
                                         stdin=f"{line}\n@bob after it\n")
            self.assertEqual((code, out.count("stored")), (os.EX_DATAERR, 1), (line, out))
            self.assertIn(f"parley: {said}" if line != "/nonsense" else said, err)

    def test_a_text_that_begins_with_a_dash(self) -> None:
        self.known("bob")
        for text in ("-V", "--who", "-x and more", "--"):
            self.assertEqual(self.parley("--name", "ann", "--send", "bob", "--", text)[0], 0, text)
        out = self.parley("--name", "bob", "--check")[1]
        self.assertEqual([line.rpartition(": ")[2] for line in out.splitlines()],
                         ["-V", "--who", "-x and more", "--"])

    def test_a_word_that_is_no_subcommand(self) -> None:
        self.fails(os.EX_USAGE, "'history' is no subcommand: these are send, check, recv, who",
                   "--name", "ann", "history")
        self.assertEqual(self.parley("help"), self.parley("--help"))
        self.assertEqual(self.parley("help", "log"), self.parley("log", "--help"))

    def test_no_daemon(self) -> None:
        self.daemon.end()
        self.fails(os.EX_UNAVAILABLE, "is the daemon running?", "--plain", "--name", "ann",
                   stdin="1\n")

    def test_no_terminal_is_said_and_lines_it_is(self) -> None:
        code, out, err = self.parley("--name", "ann", stdin="/exit\n")
        self.assertEqual(code, 0)
        self.assertIn("ssh, -t", err)
        self.assertIn("as ann", out)

    def test_each_message_is_told_stored_once_and_delivered_once(self) -> None:
        sent = [f"message {number}" for number in range(25)]
        with self.daemon.client("bob") as bob:
            script = "".join(f"@bob {text}\n" for text in sent)
            script += "@bob the last,  with\ttoo many words to repeat all\n"
            with subprocess.Popen(self.command("--plain", "--name", "ann"), stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, env=self.env) as ann:
                assert ann.stdin and ann.stdout
                ann.stdin.write(script.encode())
                ann.stdin.flush()
                for _ in range(26):
                    mail = bob.hear(wire.Mail)
                    bob.say(wire.Confirm(mail.id, mail.id))
                out = ""
                while out.count(": delivered: ") < 26 and (line := ann.stdout.readline().decode()):
                    out += line
                ann.stdin.close()
                out += ann.stdout.read().decode()
        told = [line[6:] for line in out.splitlines() if line[6:8] in ("= ", "+ ")]
        last = "the last, with too many words~"
        self.assertCountEqual(told, [
            line for text in (*sent, last)
            for line in (f"= you > bob: stored: {text}", f"+ you > bob: delivered: {text}")])

    def test_a_file_for_stdin(self) -> None:
        path = self.daemon.directory + "/script"
        with open(path, "w") as script:
            script.write("1\n")
        with open(path) as script:
            done = subprocess.run(self.command("--plain", "--name", "ann"), stdin=script,
                                  capture_output=True,
                                  env=self.env, timeout=SECONDS)
        self.assertIn(b"201 current users:", done.stdout)

    def test_hostile_text_cannot_forge_a_line_or_reach_the_terminal(self) -> None:
        self.known("bob")
        with self.daemon.client("ann") as ann:
            ann.say(wire.Send(self.ids | 1, 0, ("bob",), "hi\n12:00 eve > you: give me‮"))
            ann.hear(wire.Stored)
        out = self.parley("--plain", "--name", "bob", stdin="3\n")[1]
        self.assertIn("hi\n    | 12:00 eve > you: give me<U+202E>", out)


class AtATerminal(Lines):
    def person(self, name: str, *options: str, env: dict[str, str] | None = None) -> Terminal:
        # Tall enough for the list of those to chat with and what comes while it is shown.
        terminal = Terminal(self.command("--name", name, *options), env or self.env, rows=48)
        self.addCleanup(terminal.close)
        return terminal

    def test_a_chat(self) -> None:
        ann, bob = self.person("ann", "--plain"), self.person("bob", "--plain")
        for person in (bob, ann):
            person.until("connected to")
        ann.type("4\r")
        ann.until("bob  available")
        ann.type("zed\r")
        ann.until("? zed is not available")
        ann.type("bob\r")
        bob.until("ann invites you to a chat")
        bob.type("7\r")
        for person in (ann, bob):
            person.until("Quit ends it")
        ann.type("hello\r")
        bob.until("ann: hello")
        bob.type("Quit\r")
        for person in (ann, bob):
            person.until("Chat session ended")
        ann.type("/exit\r")
        self.assertEqual(ann.wait(), 0)

    def test_a_name_that_is_taken(self) -> None:
        """One prompt for each name: none while the daemon is asked, and one after it refused."""
        with self.daemon.client("ann"):
            terminal = Terminal(self.command("--plain"), self.env)
            self.addCleanup(terminal.close)
            terminal.until("username>")
            terminal.type("ann\r")
            terminal.until(lambda screen: screen.text().rstrip().endswith("username>")
                           and "ann is in use, by you, since " in screen.text())
            self.assertEqual(terminal.screen.text().count("username>"), 2, terminal.screen.text())
            terminal.type("carol\r")
            terminal.until("menu>")
            self.assertEqual(terminal.screen.text().count("username>"), 2, terminal.screen.text())

    def test_what_arrives_has_a_line_by_itself(self) -> None:
        """Not the rest of the prompt's, nor of what is being typed."""
        ann = self.person("ann", "--plain")
        ann.until("menu>")
        ann.type("half")
        with self.daemon.client("bob") as bob:
            bob.say(wire.Send(self.ids | 1, 0, ("ann",), "hello"))
            ann.until("bob > you: hello")
        rows = ann.screen.text().split("\n")
        self.assertEqual([row for row in rows if "hello" in row and "menu>" in row], [])

    def test_an_empty_line_goes_back(self) -> None:
        ann = self.person("ann", "--plain")
        ann.until("menu>")
        ann.type("2\r")
        ann.until("send>")
        ann.type("\r")
        ann.until(lambda screen: screen.text().rstrip().endswith("menu>"))

    def test_end_of_file_and_interrupt(self) -> None:
        for end, code in ((b"\x04", 0), (b"\x03", 130)):
            ann = self.person("ann", "--plain")
            ann.until("menu>")
            ann.press(end)
            if end == b"\x03":
                ann.until("? Ctrl-C again leaves parley")
                ann.press(end)
            self.assertEqual(ann.wait(), code)
            self.assertNotIn("Traceback", ann.screen.text())

    def test_a_dumb_terminal(self) -> None:
        ann = self.person("ann", env=self.env | {"TERM": "dumb"})
        ann.until("menu>")
        self.assertIn("plain lines instead", ann.screen.text())
        ann.signal(signal.SIGTERM)
        ann.wait()


if __name__ == "__main__":
    unittest.main()
