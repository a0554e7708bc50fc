"""Names and rooms at a Tab: parley names, and the completion files in real shells."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.harness.process import HERE, DaemonProcess, effort
from tests.harness.terminals import Terminal, environment

FILES = HERE + "/packaging/completions"
SECONDS = 20.0
# How each shell is started, and told of the files.  It says when it is ready: what is typed before
# may be lost.
SHELLS: Mapping[str, tuple[Sequence[str], str]] = {
    "bash": (("bash", "--norc", "-i"), f"source {FILES}/parley.bash"),
    "zsh": (("zsh", "-f", "-i"), f"fpath=({FILES} $fpath); autoload -Uz compinit; "
                                 "compinit -u -d $HOME/zc"),
    "fish": (("fish", "-N", "-i"), f"source {FILES}/parley.fish"),
}
# The program, but a busy machine may take its time.
PATIENT = """#!{python}
import sys
sys.path.insert(0, "{here}")
import curses_client
from ui import completion
completion.QUICK_SECONDS = 20
sys.exit(curses_client.main())
"""
TYPED = {"parley send er\t": "parley send erin", "parley send ann,er\t": "parley send ann,erin",
         "parley send '#o\t": "parley send '#ops'", "parley chat -": "parley chat -",
         "parley join o\t": "parley join ops", "parley log --with er\t": "parley log --with erin"}


class Completion(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.daemon = cls.enterClassContext(DaemonProcess(bare=True))    # the log has few names
        for name in ("ann", "bob", "bobby", "erin"):
            cls.daemon.client(name).close()
        cls.home = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="parley-completion-"))
        parley = Path(cls.home, "parley")
        parley.write_text(PATIENT.format(python=sys.executable, here=HERE))
        parley.chmod(0o755)
        cls.env = environment("xterm", HOME=cls.home, PARLEY_NAME="ann",
                              PARLEY_SERVER="unix:" + cls.daemon.path, PS1="$ ",
                              PATH=f"{cls.home}:{os.environ['PATH']}")
        cls.parley("join", "ops", stdin="hi\n")

    @classmethod
    def parley(cls, *words: str, stdin: str = "") -> list[str]:
        done = subprocess.run([cls.home + "/parley", *words], input=stdin, capture_output=True,
                              text=True, env=cls.env, timeout=60, check=True)
        return done.stdout.splitlines()

    def bash(self, *lines: str) -> list[list[str]]:
        """What bash is told for each line, up to the cursor."""
        script = (f'source {FILES}/parley.bash; for COMP_LINE; do COMP_POINT=${{#COMP_LINE}}; '
                  'COMPREPLY=(); _parley parley; printf "%s " "${COMPREPLY[@]}"; echo; done')
        done = subprocess.run(["bash", "-c", script, "bash", *lines], capture_output=True,
                              text=True, env=self.env, timeout=60, check=True)
        self.assertEqual(done.stderr, "")
        return [line.split() for line in done.stdout.splitlines()]

    def test_names(self) -> None:
        self.assertEqual(self.parley("names"), ["ann", "bob", "bobby", "erin"])
        self.assertEqual(self.parley("names", "BO"), ["bob", "bobby"])
        self.assertEqual(self.parley("names", "-q", "#"), ["#ops"])

    @unittest.skipUnless(shutil.which("bash"), "needs bash")
    def test_bash(self) -> None:
        expected = {
            "parley send bo": ["bob", "bobby"], "parley send -q -W 3 er,bo": ["er,bob", "er,bobby"],
            "parley send bob tex": [], "parley send --require d": ["delivered"],
            "parley --name ann join o": ["ops"], r"parley send \#o": [r"\#ops"],
            "parley se": ["send"], "parley who --j": ["--json"],
            "parley --connect unix:/nonexistent/sock send b": []}
        self.assertEqual(dict(zip(expected, self.bash(*expected), strict=True)), expected)

    def test_nothing_is_said_and_nobody_waits(self) -> None:
        """Of a daemon that does not answer, of none, and of a name that is none."""
        assert self.daemon.process
        self.daemon.process.send_signal(signal.SIGSTOP)
        self.addCleanup(self.daemon.process.send_signal, signal.SIGCONT)
        for words in ((), ("--connect", "unix:/nonexistent/sock"), ("--name", "no name")):
            done = subprocess.run([sys.executable, HERE + "/curses_client.py", *words, "names",
                                   "-q", "b"], timeout=60, stdin=subprocess.DEVNULL,
                                  capture_output=True, env=self.env)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))

    def test_typed_into_real_shells(self) -> None:
        """With their own quotes: # begins a comment."""
        if not effort(1, 0):
            self.skipTest("`make test-all` has it: three shells in terminals")
        for shell, (command, load) in SHELLS.items():
            with self.subTest(shell):
                if not shutil.which(shell):
                    self.skipTest(f"needs {shell}")
                terminal = Terminal(command, self.env, cols=120)
                self.addCleanup(terminal.close)
                terminal.type(f"{load}; echo rea''dy\r")
                terminal.until("\nready", SECONDS)
                for typed, seen in TYPED.items():
                    terminal.type(typed)
                    terminal.until(seen, SECONDS)
                    terminal.type("\x15")       # C-u: an empty line again
                    terminal.until(lambda screen, seen=seen: seen not in screen.text(), SECONDS)


if __name__ == "__main__":
    unittest.main()
