"""The configuration file, by the program itself."""
import itertools
import os
import subprocess
import sys
import tempfile
import unittest

from tests.harness.process import HERE
from tests.harness.terminals import environment
from ui import options
from ui.failures import Failure


class ConfigurationFile(unittest.TestCase):
    def setUp(self) -> None:
        place = tempfile.TemporaryDirectory(prefix="parley-config-")
        self.addCleanup(place.cleanup)
        os.mkdir(place.name + "/parley")
        self.path = place.name + "/parley/config"
        self.env = environment(XDG_CONFIG_HOME=place.name, XDG_STATE_HOME=place.name)

    def write(self, text: str, mode: int = 0o600) -> None:
        with open(self.path, "wb") as file:
            file.write(text.encode("latin-1"))
        os.chmod(self.path, mode)

    def parley(self, *options: str, **more: str) -> tuple[int, str, str]:
        done = subprocess.run([sys.executable, HERE + "/curses_client.py", *options],
                              env=self.env | more, capture_output=True, text=True, timeout=30,
                              stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout, done.stderr

    def shown(self, *options: str, **more: str) -> dict[str, str]:
        """The options that are not defaults, with the comment above each."""
        code, out, err = self.parley("--show-config", *options, **more)
        self.assertEqual((code, err), (0, ""))
        rows = out.splitlines()
        return {row: above.removeprefix("# from ") for above, row in itertools.pairwise(rows)
                if row[:1].islower()}

    def test_the_command_line_the_environment_and_the_file(self) -> None:
        self.assertEqual(self.shown(), {})
        self.write("[parley]\nname = ann\n# a comment\nopen = sh -c 'a=b; c'\nno-color = yes\n")
        self.assertEqual(self.shown("--plain", PARLEY_NAME="", PARLEY_OPEN="x"), {
            "name = ann": self.path + ":2", "open = x": "$PARLEY_OPEN",
            "no-color = yes": self.path + ":5", "plain = yes": "the command line"})
        self.assertEqual(self.shown("--name=bob", PARLEY_NAME="carol")["name = bob"],
                         "the command line")
        self.assertEqual(self.shown(PARLEY_NAME="carol")["name = carol"], "$PARLEY_NAME")
        self.assertEqual(self.shown("--config", "none"), {})

    def test_what_is_shown_is_a_file(self) -> None:
        self.write("[parley]\nname = ann\nopen = sh -c 'a=b; c'\nplain = yes\nno-archive = no\n")
        before = self.shown()
        _, out, _ = self.parley("--show-config")
        self.write(out)
        self.assertEqual(list(self.shown()), list(before))
        self.write("\n".join(row.removeprefix("#") if "=" in row and row[1:2].islower() else row
                             for row in out.splitlines() if "connect =" not in row))
        self.assertEqual(len(self.shown()), 7)          # the defaults, too, can be said

    def test_it_is_used(self) -> None:
        self.write("[parley]\nname = ann\nconnect = unix:/nowhere/of-the-file\n")
        for words in (["--who"], ["--config", self.path, "--who"], ["--plain"]):
            code, _, err = self.parley(*words)
            self.assertEqual(code, 69, err)
            self.assertIn("/nowhere/of-the-file", err)
        self.assertEqual(self.parley("log")[0], 66, "ann's archive")

    def test_faults_name_the_file_and_the_line(self) -> None:
        for text, line, words in (
                ("name = ann\n", 1, "a section comes first: [parley]"),
                ("[parley]\nnmae = ann\n", 2, "no option nmae"),
                ("[parley]\nplain = yes\n\nname\n", 4, "option = value"),
                ("[parley]\nname = ann\nname = bob\n", 3, "twice"),
                ("[parley]\nname = ann\n[parley]\n", 3, "twice"),
                ("[parley]\n[hooks]\nname = ann\n", 2, "no section [hooks]"),
                ("[DEFAULT]\nname = ann\n", 1, "no section [DEFAULT]"),
                ("[parley]\nname = a b\n", 2, "a username has"),
                ("[parley]\nname = ann\n bob\n", 2, "next line"),
                ("[parley]\n#\nconnect = nonsense\n", 3, "is not an address"),
                ("[parley]\nnotify = loud\n", 2, "one of bell"),
                ("[parley]\nopen = 'a\n", 2, "No closing quotation"),
                ("[parley]\nplain = maybe\n", 2, "neither yes nor no"),
                ("[parley]\nname = \xff\n", 2, "not UTF-8")):
            self.write(text)
            with self.assertRaises(Failure) as raised:
                options.parse(["--config", self.path], {})
            said = str(raised.exception)
            self.assertEqual((raised.exception.code, said.count("\n")), (78, 0), said)
            self.assertTrue(said.startswith(f"{self.path}:{line}: "), said)
            self.assertIn(words, said)
        code, _, err = self.parley("--who")
        self.assertEqual((code, err), (78, f"parley: {said}\n"))

    def test_files_that_do_not_count(self) -> None:
        self.write("[parley]\nname = ann\n", 0o622)
        code, _, err = self.parley("--who")
        self.assertEqual(code, 64)
        self.assertIn("may be written by others: chmod go-w", err)
        self.assertIn("passed over", err)
        self.assertEqual(self.parley("--config", self.path, "--who")[0], 78)
        for path, words in ((self.path + ".no", "no such file"), ("/", "can't be read"),
                            ("/dev/null", "is no file")):
            code, _, err = self.parley("--config", path, "--who")
            self.assertEqual((code, err.count("\n")), (78, 1), err)
            self.assertIn(words, err)
        os.unlink(self.path)
        os.mkfifo(self.path)
        self.assertIn("is no file", self.parley("--who")[2])

    @unittest.skipIf(os.geteuid(), "root alone can give a file away")
    def test_a_file_of_another_user(self) -> None:
        """As for root after sudo -E: it could name any program."""
        self.write("[parley]\nname = ann\n")
        os.chown(self.path, 1, 1)
        code, _, err = self.parley("--who")
        self.assertEqual(code, 64)
        self.assertIn("belongs to another user; it is passed over", err)


if __name__ == "__main__":
    unittest.main()
