"""What the client sends a terminal besides its picture: title, bell, notifications, the clipboard;
a web address shown bare; and the user's own programs."""
import base64
import os
import shlex
import subprocess
import unittest

import wire
from tests.harness.terminals import needs, until
from tests.programs.test_client import SECONDS, OnScreen

STALLED = 3.0           # seconds without an answer: the client waits for its terminal
LONG = "https://example.org/" + "abc/" * 40 + "end?x=1;y=2"


class Notice(OnScreen):
    def test_the_title_counts_what_nobody_has_seen(self) -> None:
        with self.daemon.client("bob") as bob:
            ann = self.person("ann")
            ann.until(lambda screen: screen.title.startswith("ann@"), SECONDS)
            ann.press(b"\x1b[O")
            for number in (1, 2):
                bob.say(wire.Send(self.ids | number, 0, ("ann",), "hi"))
            ann.until(lambda screen: screen.title.startswith("(2) ann@"), SECONDS)
            ann.press(b"\x1b[I")
            ann.until(lambda screen: screen.title.startswith("ann@"), SECONDS)
            ann.press(b"/exit\r")
            self.assertEqual(ann.wait(SECONDS), 0)
            self.assertEqual(ann.screen.title, "")

    def test_a_terminal_without_titles_gets_none(self) -> None:
        for term in ("linux", "vt100"):
            ann = self.person("ann", TERM=term)
            ann.press(b"/exit\r")
            self.assertEqual(ann.wait(SECONDS), 0)
            self.assertNotIn(b"\x1b]2;", ann.transcript)

    def test_notifications_only_while_the_user_is_elsewhere(self) -> None:
        with self.daemon.client("bob") as bob:
            ann = self.person("ann", "--notify", "osc777")
            ann.screen.permits = {777}
            ann.press(b"\x1b[I")
            bob.say(wire.Send(self.ids | 1, 0, ("ann",), "one"))
            self.sees(ann, "one")
            ann.press(b"\x1b[O")
            bob.say(wire.Send(self.ids | 2, 0, ("ann",), "two"))
            ann.until(lambda screen: screen.said, SECONDS)
            house = ann.screen.title.partition("@")[2].split(" ")[0]
            self.assertEqual(ann.screen.said, [(777, f"notify;ann@{house};a message from bob")])
            self.assertEqual(ann.screen.bells, 0)

    def test_a_terminal_that_nobody_reads_confirms_nothing(self) -> None:
        """Its line stalls while a message is painted, and then it is gone, as over ssh."""
        ann = self.person("ann", rows=100, cols=300)
        with self.daemon.client("bob") as bob:
            for number in range(1, 200):
                said = f"{number:03}" * 5000
                bob.say(wire.Send(self.ids | number, 0, ("ann",), said))
                bob.hear(wire.Stored)
                bob.sock.settimeout(STALLED)
                try:
                    bob.hear(wire.Delivered)
                except TimeoutError:
                    break
            else:
                self.fail("the terminal takes everything")
            ann.hang_up()
            self.assertNotEqual(ann.process.wait(SECONDS), 0)
        done = subprocess.run(self.command("--name", "ann", "--check"), capture_output=True,
                              env=self.environment(), timeout=SECONDS, check=False)
        self.assertIn(said[:60].encode(), done.stdout)

    def test_tell_me(self) -> None:
        ann = self.person("ann")
        ann.press(b"/tell-me zoe\r")
        self.sees(ann, "you will hear when zoe comes")
        with self.daemon.client("zoe"):
            self.sees(ann, "* zoe is here")
            ann.until(lambda screen: screen.bells == 1, SECONDS)

    def test_a_hook(self) -> None:
        path = self.daemon.directory + "/noticed"
        script = ('echo "$PARLEY_EVENT $PARLEY_FROM $PARLEY_TEXT $#" '
                  f"> {path}.new; mv {path}.new {path}")
        with self.daemon.client("bob") as bob:
            ann = self.person("ann", "--notify-command", f"sh -c {shlex.quote(script)}")
            bob.say(wire.Send(self.ids | 1, 0, ("ann",), "$(id)"))
            until(lambda: os.path.exists(path), SECONDS)
            with open(path) as file:
                self.assertEqual(file.read(), "message bob $(id) 0\n")
            ann.press(b"x")
            self.sees(ann, "menu> x")


class Urls(OnScreen):
    def test_copied_whole_over_wrapped_rows(self) -> None:
        with self.daemon.client("bob") as bob:
            ann = self.person("ann")
            bob.say(wire.Send(self.ids | 1, 0, ("ann",), f"look: {LONG}, please"))
            self.sees(ann, "please")
            ann.screen.permits = {52}                       # until now it would have raised
            ann.press(b"/url 1\r")
            ann.until(lambda screen: screen.said, SECONDS)
            number, payload = ann.screen.said[0]
            where, _, data = payload.partition(";")
            self.assertEqual((number, where), (52, "c"))
            self.assertEqual(base64.b64decode(data).decode(), LONG)

    def test_shown_bare_and_back_again(self) -> None:
        for rows, cols, back in ((24, 80, b"\r"), (10, 40, b"\x03"), (24, 80, b"\x04")):
            name = f"ann{rows}{back.hex()}"
            with self.daemon.client("bob") as bob:
                ann = self.person(name, rows=rows, cols=cols)
                bob.say(wire.Send(self.ids | int(back.hex(), 16), 0, (name,), f"look: {LONG}"))
                ann.until(lambda screen: "y=2" in screen.text(), SECONDS)
                ann.press(b"/url 1 show\r")
                self.sees(ann, "Enter goes back to parley")
                shown = [ann.screen.row(at) for at in range(rows)]
                begin = next(at for at, row in enumerate(shown) if row.startswith("https://"))
                self.assertEqual("".join(shown[begin:]).partition("Enter")[0], LONG)
                bob.say(wire.Send(self.ids | 100 + back[0], 0, (name,), "meanwhile"))
                ann.press(back)
                self.sees(ann, "meanwhile", "menu>")
                ann.press(b"x")
                self.sees(ann, "menu> x")
                ann.press(b"\x15/exit\r")
                self.assertEqual(ann.wait(SECONDS), 0)
                self.assertEqual(ann.termios(), ann.initial_termios)

    def test_in_plain_lines(self) -> None:
        with self.daemon.client("bob") as bob:
            ann = self.terminal("--name", "ann", "--plain", cols=40)
            self.sees(ann, "online")
            bob.say(wire.Send(self.ids | 1, 0, ("ann",), LONG))
            self.sees(ann, "y=2")
            ann.type("/url 1\r")
            ann.until(lambda screen: LONG in screen.text().replace("\n", ""), SECONDS)


@needs("tmux")
class InTmux(OnScreen):
    def test_the_clipboard_and_the_title(self) -> None:
        from tests.harness.terminals import Tmux
        with Tmux() as tmux, self.daemon.client("bob") as bob:
            tmux.new(self.command("--name", "ann"), self.environment("tmux-256color"))
            tmux.until("menu>", SECONDS)
            tmux._run("set-option", "-s", "set-clipboard", "on")
            bob.say(wire.Send(self.ids | 1, 0, ("ann",), f"look: {LONG}"))
            tmux.until("y=2", SECONDS)
            tmux.type("/url 1")
            tmux.send("Enter")
            until(lambda: tmux._run("list-buffers"), SECONDS)
            self.assertEqual(tmux._run("show-buffer").strip(), LONG)
            until(lambda: tmux._run("display-message", "-p", "#{pane_title}").startswith(
                ("ann@", "(1) ann@")), SECONDS)


if __name__ == "__main__":
    unittest.main()
