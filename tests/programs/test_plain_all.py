"""--plain can do what the screen can, and says nothing twice: with real programs in the house where
people live."""
import contextlib
import os
import signal
import threading
import unittest

import wire
from tests.harness.process import Speaker
from tests.harness.terminals import Terminal, until
from tests.programs.test_plain import MENU, SECONDS, Lines


class AtATerminal(Lines):
    def person(self, *options: str) -> Terminal:
        terminal = Terminal(self.command("--plain", *options), self.env, rows=100, cols=160)
        self.addCleanup(terminal.close)
        return terminal

    def ann(self) -> Terminal:
        ann = self.person("--name", "ann")
        ann.until("menu>", SECONDS)
        return ann

    def does(self, person: Terminal, line: str, *shown: str, end: str = "\r") -> None:
        """Types a line; this is shown, and a prompt behind it."""
        before = len(person.transcript)

        def is_done(_: object) -> bool:
            new = person.transcript[before:].decode(errors="replace")
            return "\n" in new and new.endswith("> ") and all(text in new for text in shown)
        person.type(line + end)
        person.until(is_done, SECONDS)

    def rows(self, person: Terminal) -> list[str]:
        return [row.rstrip() for row in person.transcript.decode().split("\n")]

    def send(self, bob: Speaker, text: str) -> None:
        self.ids += 1
        bob.say(wire.Send(self.ids, 0, ("ann",), text))
        bob.hear(wire.Stored)

    def test_a_text_of_several_lines(self) -> None:
        with self.daemon.client("bob") as bob:
            ann = self.ann()
            self.does(ann, "/lines", "? /lines @bob: the lines that follow")
            self.does(ann, "/lines hello", "? /lines @bob")
            for line in ("/lines @bob what we need:", "  a wrench", "", "..", "/help"):
                self.does(ann, line, "and>")
            self.does(ann, ".", "you > bob", "to bob>")
            self.assertEqual(bob.hear(wire.Mail).text, "what we need:\n  a wrench\n\n.\n/help")
            for line in ("/lines", "one", "two"):
                self.does(ann, line, "and>")
            self.does(ann, ".", "two")
            self.assertEqual(bob.hear(wire.Mail).text, "one\ntwo")
            self.does(ann, "", "menu>")
            for line in ("/lines @nobody", "x"):
                self.does(ann, line, "and>")
            self.does(ann, ".", "? nobody named nobody has ever been here", "is kept")
            self.does(ann, "/drop", "? the text was dropped", "menu>")
            self.does(ann, "/send bob", "to bob>")
            for line in ("/lines", "one", "two"):
                self.does(ann, line, "and>")
            self.does(ann, ".", "two")
            self.assertEqual(bob.hear(wire.Mail).text, "one\ntwo")

    def test_nothing_is_said_twice(self) -> None:
        ann = self.ann()
        self.does(ann, "/status", "* ann at ", "no messages waiting")
        self.does(ann, "/nonsense", "? /nonsense is not a command")
        self.does(ann, "/tell-me zed", "you will hear")
        self.does(ann, "1", "current users")
        rows = self.rows(ann)
        self.assertEqual(rows.count(MENU), 1)
        self.assertEqual(rows.count("menu>"), 1, rows)
        self.does(ann, "", MENU)
        self.assertEqual(self.rows(ann).count(MENU), 2)

    def test_a_list_of_names(self) -> None:
        """Of a long one, the names like what was typed."""
        self.known("bob")
        ann = self.ann()
        self.does(ann, "/chat", "more: type a name", "chat with>")
        before = len(self.rows(ann))
        self.does(ann, "zed", "? zed is not available", "available: 1", "chat with>")
        self.assertLess(len(self.rows(ann)) - before, 5)
        self.does(ann, "v-19", "  v-192  available", "  v-198  available")
        self.assertEqual(len([row for row in self.rows(ann) if row.startswith("  v-54 ")]), 1)
        self.does(ann, "/hold off", "not holding")
        self.does(ann, "/back", "menu>")
        self.does(ann, "2", "send>")
        self.does(ann, "2", "who>")
        self.does(ann, "bo", "  bob  not connected")
        self.does(ann, "bob,v-19", "v-192")
        self.does(ann, "bob,v-192", "to bob, v-192>")
        self.does(ann, "hi", "you > bob, v-192")
        self.does(ann, "/log v-19", "in the log", "  v-192 ")

    def test_the_beginning_of_a_name_and_control_c(self) -> None:
        ann = self.ann()
        self.does(ann, "@bo hi", "? nobody named bo has ever", "? an empty line is @bob hi",
                  "menu>")
        self.does(ann, "", "you > bob", ": hi")
        self.does(ann, "", "menu>")
        self.does(ann, "@bo hi", "? an empty line is @bob hi")
        ann.type("/stat")
        ann.until("menu> /stat", SECONDS)
        self.does(ann, "\x03", "? Ctrl-C again leaves parley", end="")
        self.does(ann, "/status", "ann at ")
        self.assertNotIn("/stat/status", ann.screen.text(), "the half-typed line is gone")
        for line in ("/lines @bob one", "two"):
            self.does(ann, line, "and>")
        self.does(ann, "\x03", "? the text was dropped", "menu>", end="")
        self.does(ann, "\x03", "? Ctrl-C again leaves parley", end="")
        ann.press(b"\x03")
        self.assertEqual(ann.wait(), 130)

    def test_what_waits_is_told_once(self) -> None:
        ann = self.ann()
        with self.daemon.client("bob") as bob:
            self.does(ann, "/hold on", "holding")
            self.send(bob, "one")
            ann.until("1 message waiting: /check", SECONDS)
            self.send(bob, "two")
            self.does(ann, "/status", "2 messages waiting, holding new ones")
            self.assertNotIn("2 messages waiting: /check", ann.screen.text())
            self.send(bob, "three")
            ann.until("3 messages waiting: /check", SECONDS)
            self.does(ann, "/check", "3 messages: no more")

    def test_an_empty_line_connects(self) -> None:
        ann = self.ann()
        self.daemon.end()
        ann.until("an empty line at the menu tries to connect", SECONDS)
        ann.until("offline>", SECONDS)
        self.does(ann, "/status", "* not connected; no messages of yours")
        self.daemon.start()
        self.does(ann, "", "connected again", "menu>")

    def test_what_was_typed_ahead_is_no_name(self) -> None:
        """The daemon takes its time with a name that is taken."""
        with self.daemon.client("ann") as ann:
            threading.Thread(target=self.stay, args=(ann,), daemon=True).start()
            terminal = self.person()
            terminal.until("username>", SECONDS)
            assert self.daemon.process
            before = self.sockets(terminal)
            self.daemon.process.send_signal(signal.SIGSTOP)
            try:
                terminal.type("ann\r")
                until(lambda: self.sockets(terminal) > before, SECONDS)     # it asks the daemon
                terminal.type("hello\r")
                terminal.until("hello", SECONDS)
            finally:
                self.daemon.process.send_signal(signal.SIGCONT)
            terminal.until("in use", SECONDS)
            terminal.until(lambda screen: screen.text().rstrip().endswith("username>"), SECONDS)
            terminal.type("carol\r")
            terminal.until("as carol", SECONDS)
            self.assertNotIn("as hello", terminal.screen.text())

    @staticmethod
    def stay(client: Speaker) -> None:
        """Tell the daemon that the client is alive, however slow this machine is."""
        with contextlib.suppress(OSError):
            for said in client.messages():
                if type(said) is wire.Ping:
                    client.say(wire.Pong(said.stamp))

    @staticmethod
    def sockets(terminal: Terminal) -> int:
        place = f"/proc/{terminal.pid}/fd"
        return len([fd for fd in os.listdir(place)
                    if os.readlink(f"{place}/{fd}").startswith("socket:")])

    def test_notices(self) -> None:
        ann = self.ann()
        self.does(ann, "/notify osc9", "? --plain shows no notifications")
        self.does(ann, "/notify bell", "rings no bell")
        self.does(ann, "/notify off", "no notices")


class InAPipe(Lines):
    def test_a_text_of_several_lines(self) -> None:
        self.known("bob")
        script = "/lines @bob one\n\n two\n.\n@bob three\n"
        self.assertEqual(self.parley("--plain", "--name", "ann", stdin=script)[0], 0)
        out = self.parley("--name", "bob", "--check")[1]
        self.assertEqual([row.rpartition("> you: ")[2] for row in out.splitlines()],
                         ["one", "    | ", "    |  two", "three"])

    def test_one_that_does_not_end(self) -> None:
        self.known("bob")
        self.fails(65, 'the input ended at "and>"', "--plain", "--name", "ann",
                   stdin="/lines @bob one\ntwo\n")


if __name__ == "__main__":
    unittest.main()
