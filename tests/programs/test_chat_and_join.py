"""parley chat NAME and parley join ROOM: on a screen, and in a pipe."""
import subprocess
import unittest

import wire
from tests.harness.process import HERE
from tests.programs import test_client
from tests.programs.test_client import SECONDS


class Begins(test_client.OnScreen):
    def setUp(self) -> None:
        super().setUp()
        self.env = self.environment()

    def piped(self, *options: str, lines: str = "") -> tuple[int, str]:
        """The exit code, and what it complains of besides the missing terminal."""
        done = subprocess.run(self.command("--name", "ann", "--plain", *options), timeout=60,
                              input=lines.encode(), capture_output=True, env=self.env)
        return done.returncode, done.stderr.decode()

    def test_straight_into_a_chat_and_a_room(self) -> None:
        with self.daemon.client("bob", wire.Feature.RECEIPTS) as bob:
            ann = self.terminal("--name", "ann", "chat", "bob")
            self.sees(ann, "to bob>", "waiting for bob to answer")
            invitation = bob.hear(wire.Invitation)
            ann.type("are you there?\r")
            self.assertEqual(bob.hear(wire.Mail).text, "are you there?")
            bob.say(wire.Answer(invitation.invitation, 1))
            self.sees(ann, "chat with bob")
            ann.type("now it is a chat\r")
            self.assertEqual(bob.hear(wire.Line).text, "now it is a chat")
            ann.type("Quit\r")
            self.sees(ann, "the chat", "menu>")
            ann.type("/exit\r")
            ann.wait(SECONDS)
        ann = self.terminal("--name", "ann", "join", "ops")
        self.sees(ann, "to #ops>", "you are in #ops")

    def test_lines_wait_for_the_answer(self) -> None:
        """And then they are lines of the chat."""
        with self.daemon.client("bob", wire.Feature.RECEIPTS) as bob:
            ann = subprocess.Popen(self.command("--name", "ann", "chat", "bob"),
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=self.env)
            self.addCleanup(ann.kill)
            assert ann.stdin
            ann.stdin.write(b"3\n\nand this\n")
            ann.stdin.close()
            bob.say(wire.Answer(bob.hear(wire.Invitation).invitation, 1))
            self.assertEqual([bob.hear(wire.Line).text for _ in range(2)], ["3", "and this"])
            self.assertEqual(ann.wait(SECONDS), 0)
            for pipe in ann.stdout, ann.stderr:
                pipe.close()

    def test_nobody_of_that_name(self) -> None:
        self.daemon.client("bob").close()
        code, err = self.piped("chat", "bobb", lines="hello\n/all no\n")
        self.assertEqual((code, err.count("\n")), (67, 1), err)
        self.assertIn("did you mean bob", err)

    def test_no_line_is_done_before_that(self) -> None:
        """Nor is the end of the input, though the program hears one event at a time."""
        slow = ("import sys; sys.path.insert(0, sys.argv.pop(1)); import curses_client; "
                "from client import waiter; waiter.HEAR_SECONDS = 0; "
                "sys.exit(curses_client.main())")
        command = self.command("--name", "ann", "join", "ops")
        command[1:2] = ["-c", slow, HERE]
        for lines in "2\n/exit\n", "1\n", "3":
            done = subprocess.run(command, input=lines.encode(), capture_output=True, env=self.env,
                                  timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(b"stored: " + lines[:1].encode(), done.stdout)

    def test_a_room(self) -> None:
        for word, code in (("ops", 0), ("#ops", 0), ("#", 64), ("a b", 64)):
            with self.subTest(word):
                found, err = self.piped("join", word, lines="hi\n")
                self.assertEqual(found, code, err)


if __name__ == "__main__":
    unittest.main()
