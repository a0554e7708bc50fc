"""/url, /notify, /tell-me: what the Menu wishes for; and how that is granted."""
import math
import os
import time
import unittest

import wire
from tests.client.fake_link import AWAY, FREE, Offline, Play
from tests.harness.terminals import until
from ui import hooks, options
from ui.failures import Failure
from ui.granting import FIELD_MAX, NOTICE_SECONDS, Granting
from ui.wishes import Bare, Copy, Notify, Open


class Face:
    """A terminal that writes down what it is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.shown: list[str] = []
        self.bells = 0

    def send(self, sequence: bytes) -> None:
        self.sent.append(sequence)

    def bell(self) -> None:
        self.bells += 1

    def bare(self, url: str) -> None:
        self.shown.append(url)


class Links(unittest.TestCase):
    def setUp(self) -> None:
        self.play = Play().online("bob")
        self.play.asked.clear()
        self.play.mail(1, "bob", "old: https://old.example/ and https://two.example/x")
        self.play.mail(2, "bob", "new: https://new.example/" + "y" * 200)
        self.play.menu.take_wishes()
        self.new = "https://new.example/" + "y" * 200

    def test_the_newest_is_number_one(self) -> None:
        self.play.enter("/url")
        for url in (self.new, "https://two.example/x", "https://old.example/"):
            self.assertIn(url, self.play.last.replace("\n    | ", ""))
        self.play.enter("/url 1")
        self.play.enter("/url 3 show")
        self.assertEqual(self.play.menu.take_wishes(),
                         [Copy(self.new), Bare("https://old.example/")])

    def test_numbers_stay_while_the_list_is_read(self) -> None:
        self.play.enter("/url")
        self.play.mail(3, "bob", "https://newest.example/")
        self.play.menu.take_wishes()
        self.play.enter("/url 1")
        self.play.now += 121_000_000
        self.play.enter("/url 1")
        self.assertEqual(self.play.menu.take_wishes(),
                         [Copy(self.new), Copy("https://newest.example/")])

    def test_open_needs_a_program(self) -> None:
        self.play.enter("/url 2 open")
        self.assertIn("--open", self.play.error)
        self.play.menu.talk.links.can_open = True
        self.play.press("<Enter>")
        self.assertEqual(self.play.menu.take_wishes(), [Open("https://two.example/x")])

    def test_faults(self) -> None:
        for line, fault in (("/url 4", "there are 3"), ("/url 0", "there are 3"),
                            ("/url x", "/url lists them"), ("/url 1 burn", "/url lists them")):
            self.play.enter(line)
            self.assertIn(fault, self.play.error, line)
            self.play.press("<C-c>")
        play = Play().online("bob")
        for line in ("/url", "/url 1"):
            play.enter(line)
            self.assertIn("no web address", play.error)
            play.press("<C-c>")


class Alerts(unittest.TestCase):
    def setUp(self) -> None:
        self.play = Play().online("bob", away=("carol",))

    def test_of_many_the_last_one_counts_all(self) -> None:
        for number in range(3):
            self.play.mail(number, "bob", f"text {number}")
        self.assertEqual(self.play.menu.take_wishes(), [Notify("message", "bob", "text 2", 3)])

    def test_none_while_the_user_looks(self) -> None:
        self.play.press("<FocusIn>")
        self.play.mail(1, "bob", "hi")
        self.assertEqual((self.play.menu.take_wishes(), self.play.menu.title),
                         ([], "alice@lab - parley"))
        self.play.press("<FocusOut>")
        self.play.mail(2, "bob", "hi")
        self.assertEqual(self.play.menu.title, "(1) alice@lab - parley")
        self.play.press("<FocusIn>")
        self.assertEqual(self.play.menu.title, "alice@lab - parley")

    def test_a_house_that_is_no_name_of_a_host_is_in_no_title(self) -> None:
        for house, title in (("lab-1.example", "alice@lab-1.example - parley"),
                             ("lab root@prod", "alice - parley"), ("\u202e", "alice - parley"),
                             ("x" * 65, "alice - parley"), ("", "alice - parley")):
            self.play.link.house = house
            self.assertEqual(self.play.menu.title, title)

    def test_tell_me(self) -> None:
        self.play.enter("/tell-me bob")
        self.assertIn("bob is here already", self.play.last)
        self.play.enter("/tell-me Carol")
        self.play.enter("/tell-me newcomer")
        self.play.enter("/tell-me")
        self.assertIn("carol, newcomer", self.play.last)
        self.play.roster(carol=AWAY)
        self.assertEqual(self.play.menu.take_wishes(), [])
        self.play.roster(carol=FREE, newcomer=FREE)
        self.assertEqual([wish.who for wish in self.play.menu.take_wishes()
                          if isinstance(wish, Notify)], ["newcomer"])
        self.assertIn("newcomer is here", self.play.last)
        self.play.roster(carol=AWAY)
        self.play.roster(carol=FREE)
        self.assertEqual(self.play.menu.take_wishes(), [])
        for line in ("/tell-me b\u00f6b", "/tell-me bob carol"):
            self.play.enter(line)
            self.assertNotEqual(self.play.error, "")
            self.play.press("<C-c>")

    def test_who_is_waited_for_has_a_bound(self) -> None:
        for number in range(101):
            self.play.enter(f"/tell-me name{number}")
        self.assertIn("you wait for 100", self.play.error)


class Granted(unittest.TestCase):
    def setUp(self) -> None:
        self.play, self.face = Play().online("bob"), Face()
        self.play.press("<FocusOut>")

    def granting(self, *given: str) -> Granting:
        return Granting(self.play.menu, self.face, options.parser({}).parse_args(given))

    def test_once_a_second_at_most(self) -> None:
        granting = self.granting()
        for at in (10.0, 10.2, 10.4):
            self.play.mail(int(at * 10), "bob", "hi")
            granting.grant(at)
        self.assertEqual((self.face.bells, granting.due()), (1, 10.0 + NOTICE_SECONDS))
        granting.tick(11.0)
        granting.tick(12.5)
        self.assertEqual(self.face.bells, 2)

    def test_not_once_the_user_is_back(self) -> None:
        granting = self.granting()
        for at in (10.0, 10.2):
            self.play.mail(int(at * 10), "bob", "hi")
            granting.grant(at)
        self.play.press("<FocusIn>")
        granting.tick(11.0)
        self.assertEqual(self.face.bells, 1)

    def test_the_kinds(self) -> None:
        granting = self.granting("--notify", "osc777")
        self.play.mail(1, "bob", "secret")
        granting.grant(10.0)
        self.assertEqual(self.face.sent,
                         [b"\x1b]777;notify;alice@lab;a message from bob\x1b\\"])
        self.play.enter("/notify osc9")
        self.play.hear(wire.Invitation(1, 60, "bob", ("bob", "alice")))
        granting.grant(12.0)
        self.assertEqual(self.face.sent[1:], [b"\x1b]9;alice@lab: bob invites you to a chat\x1b\\"])
        self.play.enter("/notify off")
        self.play.hear(Offline("gone", 1.0))
        granting.grant(14.0)
        self.assertEqual((len(self.face.sent), self.face.bells), (2, 0))
        self.play.enter("/notify by pigeon")
        self.assertIn("notices are off", self.play.error)
        self.play.press("<C-u>")
        self.play.enter("/notify")
        self.assertEqual(self.play.error, "")
        self.assertIn("notices are off; /notify takes one of bell", self.play.last)

    def test_bad_options_are_one_line(self) -> None:
        for given in (("--notify", "pigeon"), ("--open", "it's"), ("--notify-command", "'")):
            with self.assertRaises(Failure):
                self.granting(*given)


class Hooks(unittest.TestCase):
    """Real processes."""

    def setUp(self) -> None:
        read, write = os.pipe()
        os.set_inheritable(write, True)
        self.addCleanup(os.close, read)
        self.addCleanup(os.close, write)
        os.set_blocking(read, False)
        self.read, self.path = read, f"/proc/{os.getpid()}/fd/{write}"

    def said(self) -> str:
        try:
            return os.read(self.read, 65536).decode()
        except BlockingIOError:
            return ""

    def test_fields_are_in_the_environment_and_no_shell_reads_them(self) -> None:
        play, face = Play().online("bob"), Face()
        command = f"sh -c 'echo \"$# $PARLEY_EVENT $PARLEY_FROM $PARLEY_TEXT\" > {self.path}'"
        granting = Granting(play.menu, face, options.parser({}).parse_args(
            ["--notify-command", command]))
        play.mail(1, "bob", "$(id) `id`; \x1b]0;x\x07 \u202e" + "x" * 16000)
        granting.grant(10.0)
        said = until(self.said, 20)
        self.assertEqual(said[:48], "0 message bob $(id) `id`; ^[]0;x^G <U+202E>xxxxxx"[:48])
        self.assertLess(len(said), FIELD_MAX + 50)
        until(lambda: [granting.tick(11.0), granting.due()][1] > 1e9, 20)

    def test_an_address_is_opened(self) -> None:
        play, face = Play().online("bob"), Face()
        granting = Granting(play.menu, face, options.parser({}).parse_args(
            ["--open", f"sh -c 'echo $PARLEY_URL > {self.path}'"]))
        play.mail(1, "bob", "https://a.example/$(id)")
        play.menu.take_wishes()
        play.enter("/url 1 open")
        granting.grant(10.0)
        self.assertEqual(until(self.said, 20), "https://a.example/$(id)\n")

    def test_they_have_a_bound_in_number_and_time(self) -> None:
        hook = hooks.Hook(["sleep", "1000"], 5.0)
        began = time.monotonic()
        started = [hook.run({}, 10.0) for _ in range(10)]
        self.assertLess(time.monotonic() - began, 1.0)      # nobody waits for them
        self.assertEqual(started.count(True), hooks.RUNNING_MAX)
        hook.tick(10.5)
        self.assertEqual(hook.due(), 15.0)
        pids = [*hook._running]
        hook.tick(15.0)
        until(lambda: [hook.tick(15.0), not hook._running][1], 20)
        for pid in pids:
            with self.assertRaises(ProcessLookupError):
                os.kill(pid, 0)
        self.assertTrue(hook.run({}, 16.0))
        hook.tick(30.0)
        until(lambda: [hook.tick(30.0), not hook._running][1], 20)

    def test_a_program_that_is_not_there(self) -> None:
        hook = hooks.Hook(["/nonexistent/program"], 5.0)
        self.assertTrue(hook.run({}, 10.0))
        self.assertEqual(hook.due(), 10.0 + hooks.LOOK)
        self.assertIn("/nonexistent/program cannot be run", until(lambda: hook.tick(11.0), 20))
        self.assertEqual(hook.due(), math.inf)

    def test_the_user_hears_of_that(self) -> None:
        play = Play().online("bob")
        granting = Granting(play.menu, Face(), options.parser({}).parse_args(
            ["--open", "/nonexistent/program", "--notify-command", "/nonexistent/other"]))
        play.mail(1, "bob", "https://a.example/")
        play.enter("/url 1 open")
        granting.grant(10.0)

        def said() -> str:
            granting.tick(10.5)
            return "\n".join(line for entry in play.menu.pane.entries for line in entry.lines())
        until(lambda: "--open: /nonexistent/program" in said(), 20)
        until(lambda: "--notify-command: /nonexistent/other" in said(), 20)


if __name__ == "__main__":
    unittest.main()
