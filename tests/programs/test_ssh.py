"""The client over a real ssh: a sshd of our own on loopback, with its own keys and port, `ssh -tt`
into a terminal of 80x24; under several terminals' names and locales; and with the connection cut in
the middle of a sentence."""
import getpass
import os
import pwd
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import ClassVar

import wire
from tests.harness.process import HERE, reserved_port
from tests.harness.shared_house import WithDaemon
from tests.harness.terminals import Terminal, environment, find_program, needs, until

LOGIN_SECONDS = 20


class Sshd:
    """A sshd that lets its own user in, with a key made for it; `settings`: lines of its
    configuration."""

    def __init__(self, settings: str = "") -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="parley-ssh-")
        self.home = Path(self._directory.name)
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.home / key],
                           check=True)
        (self.home / "authorized").write_bytes((self.home / "user.pub").read_bytes())
        (self.home / "authorized").chmod(0o600)
        self.port = reserved_port()
        (self.home / "config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self.home}/host\nPidFile "
            f"{self.home}/pid\n"
            f"AuthorizedKeysFile {self.home}/authorized\nStrictModes no\nUsePAM "
            "no\nPermitRootLogin yes\n"
            f"PasswordAuthentication no\n{settings}")
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        program = find_program("sshd")
        assert program is not None
        with open(self.home / "log", "wb") as log:
            self.process = subprocess.Popen([program, "-D", "-e", "-f", self.home / "config"],
                                            stdout=log, stderr=log)
        until(self._answers, LOGIN_SECONDS, "sshd to listen")

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def command(self, *remote: str) -> list[str]:
        """ssh -tt to it, running this there."""
        return ["ssh", "-tt", "-F", "none", "-i", str(self.home / "user"), "-p", str(self.port),
                "-o", "LogLevel=ERROR",
                "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={self.home}/known",
                f"{getpass.getuser()}@127.0.0.1", *remote]

    def cut(self) -> None:
        """End the server's end of every connection, as when a cable is pulled."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for pid in children.read_text().split():
            os.kill(int(pid), signal.SIGKILL)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        self._directory.cleanup()


def has_login() -> bool:
    """Whether the host knows a login for this uid; ssh refuses to work without one."""
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        return False
    return True


@needs("sshd", "ssh", "ssh-keygen")
@unittest.skipUnless(has_login(), "needs a login of one's own in the host's list of users, for ssh")
class OverSsh(WithDaemon):
    sshd: ClassVar[Sshd]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.sshd = Sshd()
        cls.addClassCleanup(cls.sshd.close)

    def terminal(self, name: str, term: str, *variables: str) -> Terminal:
        """A client at the other end of ssh, in a terminal of 80x24."""
        remote = ["env", f"TERM={term}", f"XDG_STATE_HOME={self.daemon.directory}/state",
                  *variables, sys.executable,
                  HERE + "/curses_client.py", "--connect", "unix:" + self.daemon.path, "--name",
                  name]
        terminal = Terminal(self.sshd.command(*remote), rows=24, cols=80, env=environment())
        self.addCleanup(terminal.close)
        return terminal

    def sends_and_receives(self, term: str, *variables: str, text: str = "hello over ssh") -> None:
        with self.daemon.client("bob") as bob:
            ann = self.terminal("ann", term, *variables)
            ann.until("menu>", LOGIN_SECONDS)
            ann.type(f"@bob {text}")
            ann.press(b"\r")
            mail = bob.hear(wire.Mail)
            self.assertEqual((mail.sender, mail.text), ("ann", text))
            bob.say(wire.Confirm(mail.id, mail.id),
                    wire.Send(self.ids | 1, 0, ("ann",), f"{text}, too"))
            ann.until(f"{text}, too", LOGIN_SECONDS)
            ann.type("/exit")
            ann.press(b"\r")
            self.assertEqual(ann.wait(LOGIN_SECONDS), 0)

    def test_xterm(self) -> None:
        self.sends_and_receives("xterm-256color", text="hello, сосед, 你好")

    def test_linux_console(self) -> None:
        self.sends_and_receives("linux")

    def test_unknown_terminal(self) -> None:
        self.sends_and_receives("no-such-terminal")

    def test_locale_c(self) -> None:
        self.sends_and_receives("xterm-256color", "LC_ALL=C", "LANG=C", text="сосед")

    def test_rows_keys_and_an_address(self) -> None:
        """M-Enter, keys in CSI u, the wheel, Ctrl-C and the clipboard, through ssh and two ttys."""
        with self.daemon.client("bob") as bob:
            ann = self.terminal("ann", "xterm-256color")
            ann.until("menu>", LOGIN_SECONDS)
            ann.screen.permits = {52}
            ann.press(b"@bob http://a.example/x\x1b\r  two\x1b[27;2;33~\r")
            self.assertEqual(bob.hear(wire.Mail).text, "http://a.example/x\n  two!")
            ann.press(b"/url 1\r")
            ann.until(lambda screen: screen.said == [(52, "c;aHR0cDovL2EuZXhhbXBsZS94")],
                      LOGIN_SECONDS)
            ann.press(b"/help\r\x1b>")
            ann.until("refused: the reason", LOGIN_SECONDS)
            ann.press(b"\x1bOA\x1bOA\x1bOA")
            ann.until("more rows below", LOGIN_SECONDS)
            ann.press(b"half\x03\x03")
            ann.until("Ctrl-C again leaves parley", LOGIN_SECONDS)
            ann.press(b"\x03")
            self.assertEqual(ann.wait(LOGIN_SECONDS), 130)

    def test_a_cut_in_the_middle_of_a_sentence_loses_nothing_acknowledged(self) -> None:
        self.daemon.client("bob").close()
        ann = self.terminal("ann", "xterm-256color")
        ann.until("menu>", LOGIN_SECONDS)
        for number in range(3):
            ann.type(f"@bob message {number}")
            ann.press(b"\r")
            ann.until(lambda screen, n=number: any("=" in row and f"message {n}" in row
                                                   for row in screen.text().split("\n")),
                      LOGIN_SECONDS)
        ann.type("@bob and then the line was")
        ann.until("line was", LOGIN_SECONDS)
        self.sshd.cut()
        ann.wait(LOGIN_SECONDS)
        with self.daemon.client("bob") as bob:
            bob.say(wire.Check(1))
            texts = [said.text for said in (bob.hear(wire.Mail) for _ in range(3))]
            self.assertEqual(texts, ["message 0", "message 1", "message 2"])
            self.assertEqual(bob.hear(wire.Checked).total, 3)
        self.daemon.client("ann").close()       # her name is free again: the client left


if __name__ == "__main__":
    unittest.main()
