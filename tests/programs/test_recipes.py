"""The recipes of parley.1, EXAMPLES: each is taken from the manual as it stands there, and run by a
shell, cron or sshd, with the real programs.

Only places are others: the directories of this test in place of /home/ann and /run/parley."""
import getpass
import os
import re
import shlex
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import wire
from tests.harness.process import HERE, DaemonProcess, effort
from tests.harness.terminals import environment, find_program, needs
from tests.programs.test_ssh import Sshd, has_login

SECONDS = 60.0
LONG = unittest.skipUnless(effort(1, 0), "`make test-all` has it: a recipe")


def recipes() -> dict[str, str]:
    """The examples, by their titles; one behind another has a number, as in `From cron 2`."""
    text = Path(HERE, "man/parley.1").read_text()
    text = text[text.index(".Sh EXAMPLES"):text.index(".Sh ACCESSIBILITY")]
    found: dict[str, str] = {}
    for title, part in re.findall(r"(?s)\.Ss ([^\n]+)\n(.*?)(?=\.Ss |\Z)", text):
        for number, block in enumerate(re.findall(r"(?s)\.Bd [^\n]*\n(.*?)\.Ed", part), 1):
            found[title if number == 1 else f"{title} {number}"] = block.replace(r"\e", "\\")
    return found


RECIPES = recipes()


class Recipes(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.daemon = cls.enterClassContext(DaemonProcess(bare=True))    # one user sends to another
        for name in ("ann", "bob", "erin", "dora", "robot"):
            cls.daemon.client(name).close()
        cls.home = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="parley-recipes-"))
        parley = Path(cls.home, "parley")
        parley.write_text(f'#!/bin/sh\nexec {sys.executable} {HERE}/curses_client.py "$@"\n')
        parley.chmod(0o755)
        patient = Path(cls.home, "timeout")     # a busy machine takes more than two seconds
        patient.write_text(f'#!/bin/sh\nshift\nexec {find_program("timeout")} 60 "$@"\n')
        patient.chmod(0o755)
        cls.path = f"{cls.home}:{os.environ['PATH']}"
        cls.env = environment(HOME=cls.home, PARLEY_NAME="dora", PATH=cls.path,
                              PARLEY_SERVER="unix:" + cls.daemon.path)

    def sh(self, script: str, code: int = 0) -> str:
        """What a script prints, on both outputs."""
        done = subprocess.run(["sh", "-c", script], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.env,
                              timeout=SECONDS, cwd=self.home)
        self.assertEqual(done.returncode, code, (script, done.stdout))
        return done.stdout

    def waits(self, name: str) -> list[tuple[str, str]]:
        """Senders and texts of what waits, taken out of the mailbox."""
        with self.daemon.client(name, wire.Feature.HOLD) as client:
            return [(mail.sender, mail.text) for mail in client.check()]

    def tearDown(self) -> None:
        for name in ("ann", "bob", "erin", "dora"):
            self.waits(name)


class InAShell(Recipes):
    def test_at_login(self) -> None:
        """Silent without mail, and without a daemon; and a profile goes on."""
        profile = RECIPES["Waiting mail, at login"]
        self.assertEqual(self.sh(profile + "echo on", 0), "on\n")
        self.sh("parley send -q dora hello")
        self.assertEqual(self.sh(profile), "parley: 1 waiting\n")
        self.assertEqual(self.sh("PARLEY_SERVER=unix:/nonexistent/sock\n" + profile, 69), "")

    @LONG
    def test_a_command_has_ended(self) -> None:
        Path(self.home, "Makefile").write_text("all:\n\t@echo made $(CODE)\n\t@exit $(CODE)\n")
        first, second = RECIPES["When a command has ended"].splitlines()
        self.sh("export CODE=0\n" + first)
        self.sh("export CODE=0\n" + second)
        self.assertEqual(self.waits("ann"), [("dora", "the build is done"), ("dora", "made 0")])
        self.sh("export CODE=1\n" + first, 2)
        self.assertEqual(self.waits("ann"), [])

    @LONG
    def test_if_nobody_sees_it(self) -> None:
        recipe = RECIPES["If nobody sees it"]
        self.assertIn("-W 600", recipe)
        self.sh(recipe.replace("-W 600", "-W 1"))
        self.assertEqual([len(self.waits(name)) for name in ("ann", "bob", "erin")], [1, 1, 1])

    @LONG
    def test_waiting_for_an_answer(self) -> None:
        waiting = subprocess.Popen(["sh", "-c", RECIPES["Waiting for an answer"]], text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=self.env)
        self.addCleanup(waiting.kill)
        with self.daemon.client("ann") as ann:
            ann.say(wire.Check(1))
            while ann.hear(wire.Mail, wire.Checked) == wire.Checked(1, 0):
                ann.say(wire.Check(1))
            ann.say(wire.Send(3 << 32 | 1, 0, ("dora",), "yes"))
            ann.hear(wire.Stored)
        self.assertEqual(waiting.communicate(timeout=SECONDS)[0], "ann says yes\n")

    def test_every_recipe_has_its_test(self) -> None:
        text = Path(__file__).read_text()
        self.assertEqual([title for title in RECIPES if f'RECIPES["{title}"]' not in text], [])


@needs("sshd", "ssh", "ssh-keygen")
@unittest.skipUnless(has_login(), "needs a login of one's own in the host's list of users, for ssh")
@LONG
class OverSsh(Recipes):
    def setUp(self) -> None:
        self.sshd = Sshd(               # what an installed parley would find
            f"SetEnv PATH={self.path} PARLEY_NAME=dora HOME={self.home} "
            f"PARLEY_SERVER=unix:{self.daemon.path}\n")
        self.addCleanup(self.sshd.close)
        keys = self.sshd.home
        (keys / "client").write_text(
            f"Host host\nHostName 127.0.0.1\nPort {self.sshd.port}\nUser {getpass.getuser()}\n"
            f"IdentityFile {keys}/user\nIdentitiesOnly yes\nStrictHostKeyChecking no\n"
            f"UserKnownHostsFile {keys}/known\nLogLevel ERROR\n")
        self.ssh = Path(self.home, "ssh")
        self.ssh.write_text(f'#!/bin/sh\nexec {find_program("ssh")} -F {keys}/client "$@"\n')
        self.ssh.chmod(0o755)
        self.addCleanup(self.ssh.unlink)

    def test_from_another_host(self) -> None:
        send, check = RECIPES["From another host"].splitlines()
        self.sh(send)
        self.assertEqual(self.waits("ann"), [("dora", "door 3 is open")])
        self.sh("parley send -q dora hello")
        self.assertIn("hello", self.sh(check))

    def test_a_key_that_can_only_leave_mail(self) -> None:
        key = self.sshd.home / "sensor"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        line = RECIPES["A key that can only leave mail"].replace(
            "KEY", key.with_suffix(".pub").read_text().strip())
        with open(self.sshd.home / "authorized", "a") as authorized:
            authorized.write(line)
        recipe = RECIPES["A key that can only leave mail 2"].replace("-i KEY", f"-i {key} -o "
                                                                     "IdentityFile=none")
        self.sh(recipe)
        self.assertEqual(self.waits("ann"), [("robot", "42 degrees in bay 3")])
        for other in (f"touch {self.home}/x", "parley send -q bob hello", "sh -c 'id; exit 3'"):
            self.sh(f"echo text | {recipe.partition('|')[2].strip()} {shlex.quote(other)}")
        self.assertEqual((self.waits("ann"), self.waits("bob")), ([("robot", "text")] * 3, []))
        self.assertFalse(Path(self.home, "x").exists())
        lent = f"ssh -i {key} -o IdentityFile=none -o ExitOnForwardFailure=yes"
        self.sh(f"{lent} -N -R {self.home}/x.sock:{self.daemon.path} host", 255)

    def test_a_forwarded_socket(self) -> None:
        """Both ways; the forwarding ends with the connection."""
        for title, text in (("A forwarded socket", "hello from afar"),
                            ("A forwarded socket 2", "hello back")):
            with self.subTest(title):
                recipe = {"A forwarded socket": RECIPES["A forwarded socket"],
                          "A forwarded socket 2": RECIPES["A forwarded socket 2"]}[title]
                recipe = recipe.replace("/run/parley/parley.sock", self.daemon.path).replace(
                    "/home/ann", self.home)
                try:
                    self.sh(recipe.replace("ssh -f", "ssh -f -o ExitOnForwardFailure=yes")
                            .replace("host\n", "host >log 2>&1 || cat log\n", 1))
                    self.assertEqual(self.waits("ann"), [("dora", text)])
                finally:
                    self.sshd.cut()
                    Path(self.home, "lab.sock").unlink(missing_ok=True)


# cron in a place of its own: no job of this host's, and no PAM, whose loginuid a container refuses.
# $1: the crontab of the user.
CRON = r"""
mount -t tmpfs none /run && mount -t tmpfs none /var/spool/cron
mkdir -p /var/spool/cron/crontabs /run/empty
mount --bind /run/empty /etc/cron.d && mount --bind /dev/null /etc/crontab
install -m 600 "$1" /var/spool/cron/crontabs/root
for what in auth account session; do echo "$what required pam_permit.so"; done >/run/pam
[ ! -e /etc/pam.d/cron ] || mount --bind /run/pam /etc/pam.d/cron
exec cron -f -L 0
"""


@needs("cron", "unshare", "mount", "install")
@unittest.skipIf(os.geteuid(), "needs root, for a cron of its own")
@LONG
class ByCron(Recipes):
    def test_from_cron(self) -> None:
        """The lines of the manual; what is daily runs as cron starts, and tells nobody else."""
        recipe = RECIPES["From cron"]
        self.assertEqual(recipe.count("0 7 * * *"), 1)
        table = Path(self.home, "crontab")
        table.write_text(
            f"HOME={self.home}\nPARLEY_SERVER=unix:{self.daemon.path}\nPARLEY_NAME=dora\n"
            + recipe.replace(
                "0 7 * * *", "@reboot").replace("@weekly", "@reboot").replace(
                    "PATH=", f"PATH={self.home}:"))
        cron = subprocess.Popen(["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh",
                                 "-euc", CRON, "sh", str(table)], stdin=subprocess.DEVNULL)
        self.addCleanup(cron.wait)
        self.addCleanup(cron.kill)
        with self.daemon.client("ann") as ann:
            mail = ann.hear(wire.Mail)
            ann.say(wire.Confirm(mail.id, mail.id))
            ann.hear(wire.Confirmed)
        self.assertEqual(mail.sender, "dora")
        self.assertIn("Filesystem", mail.text)


if __name__ == "__main__":
    unittest.main()
