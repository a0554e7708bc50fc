"""Two people at a host of several logins, each over a real ssh, in a real tmux on this side: what a
daily user does in a day, with each Python that is here.

PARLEY_PYTHONS, paths with colons between them, names other Pythons for the clients.
"""
import glob
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from tests.harness.neighbours import TREE, Host, reason_not_to
from tests.harness.process import FULL
from tests.harness.terminals import Tmux, environment, find_program, needs, until

WHY_NOT = reason_not_to() if FULL else "only in make test-all"
PATIENCE = 20.0
KEYS = "/mnt/keys"          # of the sshd, on the host
PORT = "22"                 # of the host's own network
CLIENT = f"{TREE}/curses_client.py"


def pythons() -> list[str]:
    """The Python that runs this, and of each other version from 3.11 on one that is here."""
    named = [each for each in os.environ.get("PARLEY_PYTHONS", "").split(":") if each]
    if named:
        return named
    found = {f"3.{sys.version_info.minor}": sys.executable}
    for path in sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/3.1[1-9].*/bin/python3"))):
        found.setdefault(".".join(Path(path).parts[-3].split(".")[:2]), path)
    return [os.path.realpath(path) for path in found.values()]


@needs("tmux", "sshd", "ssh", "ssh-keygen")
@unittest.skipIf(WHY_NOT, WHY_NOT)
class ADay(unittest.TestCase):
    """Alice has 80x24 and bob 40x10.  Each scene begins where the one before it left them."""

    def setUp(self) -> None:
        self.host = Host()
        self.addCleanup(self.host.close)
        self.keys = self.enterContext(tempfile.TemporaryDirectory(prefix="parley-keys-"))
        self.host.run("root", "install", "-d", "-o", "parley", "/run/parley")
        self.daemon = self.host.daemon("parley")
        self.serve()

    def serve(self) -> None:
        """A sshd of the host, that lets alice and bob in."""
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                            f"{self.keys}/{key}"], check=True)
        place = self.host.path(KEYS)
        place.mkdir()
        place.chmod(0o755)
        for name in ("host", "user.pub"):
            target = place / name
            target.write_bytes(Path(self.keys, name).read_bytes())
            target.chmod(0o600 if name == "host" else 0o644)
        self.host.run("root", "mkdir", "-p", "/run/sshd")
        config = place / "config"
        config.write_text(f"ListenAddress 127.0.0.1\nPort {PORT}\nHostKey {KEYS}/host\n"
                          f"PidFile none\nAuthorizedKeysFile {KEYS}/user.pub\n"
                          "StrictModes no\nUsePAM no\n")
        self.sshd = self.host.start("root", str(find_program("sshd")), "-D", "-e", "-f",
                                    f"{KEYS}/config")
        self.sshd.says("Server listening")

    def ssh(self, login: str, *words: str) -> list[str]:
        """ssh into the host's network, with a terminal if it has one here."""
        return ["nsenter", f"--net=/proc/{self.host.holder.pid}/ns/net", "ssh", "-F", "none", "-i",
                f"{self.keys}/user", "-p", PORT, "-o", "LogLevel=ERROR", "-o",
                "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={self.keys}/known",
                f"{login}@127.0.0.1", *map(shlex.quote, words)]

    def comes(self, login: str, *options: str, name: str = "", rows: int = 24, cols: int = 80
              ) -> None:
        """A client at the other end, without a word of who it is; the login's name is offered."""
        command = self.ssh(login, *self.python, CLIENT, *options)
        command[command.index("ssh"):command.index("ssh") + 1] = ["ssh", "-tt"]
        self.tmux.new(command, environment("xterm-256color"), rows=rows, cols=cols,
                      name=name or login)
        self.sees(name or login, f"username> {login}")
        self.tmux.send("Enter", name=name or login)

    def once(self, login: str, *words: str, code: int = 0, given: str = "") -> str:
        """A command over ssh, without a terminal."""
        done = subprocess.run(self.ssh(login, *self.python, CLIENT, *words),
                              input=given, capture_output=True, text=True, timeout=PATIENCE,
                              check=False)
        self.assertEqual(done.returncode, code, (words, done.stdout, done.stderr))
        return done.stdout + done.stderr

    def types(self, name: str, text: str) -> None:
        """A line; what is typed ahead of it would be a paste."""
        self.tmux.type(text, name=name)
        self.tmux.until(text[-8:], PATIENCE, name=name)
        self.tmux.send("Enter", name=name)
        self.tmux.until(lambda screen: text[-8:] not in screen.rstrip().split("\n")[-1], PATIENCE,
                        name=name)

    def sees(self, name: str, *texts: str) -> None:
        """All of these, whatever row breaks them."""
        def shows(screen: str) -> bool:
            flat = " ".join(screen.replace("|", " ").split())
            return all(text in flat for text in texts)
        self.tmux.until(shows, PATIENCE, name=name)

    def goes_back(self, name: str) -> None:
        """What is typed directly behind Esc would be one key with it."""
        self.tmux.send("Escape", name=name)
        self.sees(name, "menu>")

    def asks_tmux(self, name: str, form: str) -> str:
        return self.tmux._run("display-message", "-p", "-t", f"={name}:", form).strip()

    def test_a_day(self) -> None:
        for number, python in enumerate(pythons()):
            with self.subTest(python), Tmux() as self.tmux:
                self.tmux._run("set", "-s", "set-clipboard", "on")
                self.python, self.room = self.for_all(python), f"#ops{number}"
                self.never = "mallory"
                self.morning(number)
                self.conversations(number)
                self.in_a_room()
                self.elsewhere()
                self.a_cut()
                self.evening()

    def configure(self, text: str) -> None:
        """The configuration file of bob."""
        directory = "/mnt/home/bob/.config/parley"
        self.host.run("bob", "mkdir", "-p", directory)
        done = self.host.run("bob", "sh", "-c", f'printf %s "$0" >{directory}/config', text)
        self.assertEqual(done.returncode, 0, done.stderr)

    def for_all(self, python: str) -> list[str]:
        """How every login runs this Python: some are in a home that is shut."""
        environment, place = ["env", "LC_ALL=C.UTF-8"], Path(python).parent.parent
        if self.host.run("alice", python, "-c", "import curses").returncode == 0:
            return [*environment, python]
        mounted = f"/mnt/pythons/{place.name}"
        self.host.run("root", "install", "-d", "-m", "755", "/mnt/pythons", mounted)
        self.host.run("root", "mount", "--bind", str(place), mounted)
        environment.append(f"LD_LIBRARY_PATH={mounted}/lib")
        return [*environment, f"{mounted}/bin/{Path(python).name}"]

    # ---- the scenes ----

    def morning(self, number: int) -> None:
        """A login is a person; a line of the configuration file, right and wrong."""
        self.configure("[parley]\nnotify = bell\nnonsense = 1\n")
        self.assertIn("config:3:", self.once("bob", "--who", code=78))
        self.configure("[parley]\nnotify = bell\n")
        self.comes("alice")
        self.comes("bob", rows=10, cols=40)
        for name in "alice", "bob":
            self.sees(name, "menu>")
            until(lambda name=name: f"{name}@" in self.asks_tmux(name, "#{pane_title}"), PATIENCE)

    def conversations(self, number: int) -> None:
        """Rows, an address, all recipients, mail to who never came."""
        self.tmux.type("@bob see http://a.example/x", name="alice")
        self.tmux.send("M-Enter", name="alice")
        self.types("alice", "  and the second row")
        self.sees("alice", "to bob>")
        self.sees("bob", "and the second row")
        self.types("bob", "/url 1")
        until(lambda: "http://a.example/x" in self.tmux._run("list-buffers"), PATIENCE)
        self.types("alice", f"@bob,{self.never} the two of you")
        if not number:
            self.sees("alice", f"{self.never} has not been here yet: kept until they come")
        self.sees("bob", f"alice > you, {self.never}")
        self.tmux.send("M-r", name="bob")
        self.sees("bob", f"to alice, {self.never}>")
        self.types("bob", "so we are")
        self.sees("alice", f"bob > you, {self.never} so we are")
        self.goes_back("bob")
        self.goes_back("alice")

    def in_a_room(self) -> None:
        """And what is new in another place."""
        self.types("alice", f"/join {self.room}")
        self.sees("alice", f"you are in {self.room}")
        self.types("bob", f"/join {self.room}")
        self.sees("bob", f"you are in {self.room}")
        self.types("bob", "/with alice")
        self.types("alice", f"@{self.room} which drawer?")
        self.sees("bob", f"{self.room} 1")
        self.tmux.send("M-a", name="bob")
        self.sees("bob", "which drawer?")
        self.types("bob", "the second")
        self.sees("alice", f"bob > {self.room} the second")
        self.goes_back("bob")

    def elsewhere(self) -> None:
        """Notices, /away, errands, /take."""
        self.types("bob", "/away at lunch")
        self.tmux.type("\x1b[O", name="bob")            # he looks at another window
        self.assertIn("bob", self.once("alice", "send", "bob", "from a script"))
        until(lambda: "(1)" in self.asks_tmux("bob", "#{pane_title}"), PATIENCE)
        self.tmux.type("\x1b[I", name="bob")
        self.sees("bob", "from a script")
        self.comes("alice", name="second")
        self.sees("second", "in use, by you", "/take")
        self.types("second", "/take")
        self.sees("second", "menu>")
        self.sees("alice", "moved to")

    def a_cut(self) -> None:
        """The seconds to the next try; and what came meanwhile to somebody who was there."""
        pid = self.client_of("alice")
        os.kill(pid, signal.SIGSTOP)
        self.daemon.end(signal.SIGKILL)
        seconds: set[str] = set()
        self.tmux.until(lambda screen: seconds.update(re.findall(r"retry in (\d+) s", screen))
                        or len(seconds) > 1, PATIENCE, name="bob")
        self.daemon = self.host.daemon("parley")
        self.tmux.send("Enter", name="bob")
        self.sees("bob", "menu>")
        self.types("bob", "@alice while you were cut off")
        self.sees("bob", "= while you were cut off")    # kept: she is not connected
        os.kill(pid, signal.SIGCONT)
        self.sees("second", "bob > you while you were cut off")

    def client_of(self, login: str) -> int:
        """The pid of the client of this login that has a terminal."""
        uid = str(self.host.path(f"/mnt/home/{login}").stat().st_uid)
        found = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline")
                 if CLIENT.encode() in path.read_bytes()
                 and uid in Path(path.parent, "status").read_text().split("Uid:")[1].split("\n")[0]
                 and b"sh\0-c" not in path.read_bytes()]
        return max(found)

    def evening(self) -> None:
        """What was said before; the same line by line."""
        for name in "second", "bob":
            self.types(name, "/exit")
            self.assertEqual(self.tmux.exit_code(PATIENCE, name=name), 0)
        self.comes("alice", name="third")
        self.sees("third", "while you were cut off", "menu>")
        self.types("third", "/history bob 3")
        self.sees("third", "from a script")
        self.types("third", "/exit")
        self.assertEqual(self.tmux.exit_code(PATIENCE, name="third"), 0)
        self.assertIn("which drawer?", self.once("alice", "log", "--with", self.room))
        said = self.once("bob", "--plain", "--name", "bob",
                         given=f"@{self.room} line by line\n/rooms\n/exit\n")
        self.assertIn(self.room, said)


if __name__ == "__main__":
    unittest.main()
