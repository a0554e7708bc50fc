"""Packages: each is built from the tree, installed in an empty place, and started there."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import zipfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from server import control
from terminal.usage import RELEASE
from tests.harness.process import HERE, effort
from tests.harness.terminals import needs
from ui import shell

FRONT = {"wire", "mailbox", "daemon", "curses_client"}
SETUPTOOLS = (77, 0)        # the first that reads pyproject.toml as it is written
WHEELS = os.environ.get("PARLEY_WHEELS", "")    # a directory: wheels of pip and setuptools


def run(*command: str, cwd: str = "/", **more: str) -> str:
    """What a command prints; a failure is the test's."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", **more}
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment,
                          timeout=120)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def can_build() -> bool:
    """Whether this Python has a setuptools that can make a wheel."""
    if find_spec("setuptools") is None or find_spec("pip") is None:
        return False
    return tuple(int(part) for part in version("setuptools").split(".")[:2]) >= SETUPTOOLS


class Packages(unittest.TestCase):
    def setUp(self) -> None:
        place = tempfile.TemporaryDirectory(prefix="parley-package-")
        self.addCleanup(place.cleanup)
        self.place = Path(place.name)

    def tree(self) -> str:
        """A copy of what git knows: building leaves files in the tree."""
        names = subprocess.run(["git", "-C", HERE, "ls-files", "-co", "--exclude-standard"],
                               capture_output=True,
                               text=True)
        if names.returncode:
            self.skipTest("needs git and a checkout")
        for name in names.stdout.splitlines():
            if Path(HERE, name).exists():
                (self.place / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(Path(HERE, name), self.place / "tree" / name)
        return str(self.place / "tree")


class Wheel(Packages):
    @unittest.skipUnless(can_build(), f"needs pip and setuptools {SETUPTOOLS[0]} of this Python")
    def test_site_packages_gets_parley_and_nothing_else(self) -> None:
        run(sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-index",
            "--no-deps",
            "-w", str(self.place), self.tree(), TMPDIR=str(self.place), HOME=str(self.place))
        wheel, = self.place.glob("*.whl")
        self.assertEqual(wheel.name, f"parley-{RELEASE}-py3-none-any.whl")
        tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
        self.assertEqual({top for top in tops
                          if not re.match(r"parley-[\w.]+\.(dist-info|data)$", top)}, {"parley"})
        run(sys.executable, "-m", "venv", "--without-pip", str(self.place / "env"))
        run(sys.executable, "-m", "pip", "--python", str(self.place / "env/bin/python"), "install",
            "-q", "--no-index",
            "--no-deps", str(wheel), TMPDIR=str(self.place), HOME=str(self.place))
        there = str(self.place / "env/bin/")
        self.assertEqual(run(there + "/parley", "--version"), f"parley {RELEASE}\n")
        self.assertEqual(run(there + "/parleyd", "--version"), f"parleyd {RELEASE}\n")
        for flags in ("-I", "-P", "-IP"):
            self.assertEqual(run(there + "/python", flags, "-m", "parley.daemon", "--version"),
                             f"parleyd {RELEASE}\n")
            self.assertEqual(run(there + "/python", flags, "-m", "parley.curses_client",
                                 "--version"),
                             f"parley {RELEASE}\n")
        theirs = run(there + "/python", "-c", "import mailbox; print(mailbox.__file__)")
        self.assertNotIn("parley", Path(theirs).name)
        self.assertNotIn("site-packages", theirs)       # the standard library's stays itself
        self.assertTrue((self.place / "env/share/man/man1/parley.1").is_file())


@needs("pipx")
@unittest.skipUnless(WHEELS, "pipx install . is NOT tested: set PARLEY_WHEELS to a directory with "
                             "wheels of pip and setuptools")
class Pipx(Packages):
    def test_installed_and_uninstalled(self) -> None:
        """`pipx install .` with nothing but the wheels; then the two programs run, and go again."""
        places = {f"PIPX_{what}": str(self.place / what.lower())
                  for what in ("HOME", "BIN_DIR", "MAN_DIR")}
        settings = {**places, "HOME": str(self.place), "TMPDIR": str(self.place),
                    "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": WHEELS, "PIP_CONFIG_FILE": os.devnull}
        run("pipx", "install", "--python", sys.executable, ".", cwd=self.tree(), **settings)
        programs = self.place / "bin_dir"
        self.assertEqual(sorted(os.listdir(programs)), ["parley", "parleyd"])
        for program in ("parley", "parleyd"):
            self.assertEqual(run(str(programs / program), "--version"), f"{program} {RELEASE}\n")
        self.assertIn("List the commands", (self.place / "man_dir/man1/parley.1").read_text())
        run("pipx", "uninstall", "parley", **settings)
        self.assertEqual(os.listdir(programs), [])


@needs("make")
class OneFile(Packages):
    def test_both_programs(self) -> None:
        tree = self.tree()
        run("make", "-s", "pyz", f"PYTHON={sys.executable}", cwd=tree)
        file = str(shutil.move(f"{tree}/dist/parley.pyz", self.place / "parley.pyz"))
        shutil.rmtree(tree)
        starts = [(flags, *program) for flags in ((), ("-I",), ("-P",))
                  for program in (("parley",), ("parleyd", "daemon"))]
        for flags, name, *words in effort(starts, starts[1:5:3]):
            self.assertEqual(run(sys.executable, *flags, file, *words, "--version"),
                             f"{name} {RELEASE}\n")
        os.symlink(file, self.place / "parleyd")
        self.assertEqual(run(sys.executable, str(self.place / "parleyd"), "--version"),
                         f"parleyd {RELEASE}\n")


@needs("make", "dpkg-deb", "dpkg", "unshare", "mount")
@unittest.skipIf(os.geteuid(), "needs root, to install a package in a place of its own")
class Debian(Packages):
    def test_installed_started_and_purged(self) -> None:
        """In a copy of this system that nobody else sees: an overlay over its root, in a mount
        namespace."""
        tree = self.tree()
        run("make", "-s", "deb", cwd=tree, DPKG_DEB_COMPRESSOR_LEVEL="0")
        package, = Path(tree, "dist").glob("*.deb")
        copy = f"/var/tmp/parley-package-{os.getpid()}.deb"      # the new root has no /tmp
        shutil.copy(package, copy)
        self.addCleanup(os.unlink, copy)
        told = run("unshare", "--mount", "--fork", "--pid", "--kill-child", "sh", "-euc", SCRIPT,
                   "sh", str(self.place), copy)
        self.assertEqual(told.splitlines()[-6:], [
            f"parley {RELEASE}", "alice: kept", "hello", "purged: no user", "purged: no files",
            "done"], told)


# What is done with the package, which is $2; $1 is an empty directory.
SCRIPT = r"""
umask 022                       # the new root is for all
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o lowerdir=/,upperdir="$1/upper",workdir="$1/work" none "$1/root"
mount --rbind /dev "$1/root/dev"
mount -t proc none "$1/root/proc"
mount -t tmpfs -o mode=755 none "$1/root/run"
cat >"$1/root/inside" <<'EOF'
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
rm -f /var/lib/man-db/auto-update     # or dpkg would index all manuals of this host, twice
dpkg -i --force-depends "$1" >/dev/null
as() {          # UID OPTIONS: the client, run by a user
    uid=$1; shift
    setpriv --reuid "$uid" --clear-groups env -i PATH="$PATH" parley --no-archive "$@"
}
/usr/bin/parley --version
install -d -o parley /run/parley
setpriv --reuid parley --regid parley --clear-groups \
    parleyd --console none --state /var/lib/parley/store &
for try in $(seq 100); do [ -S /run/parley/parley.sock ] && break; sleep 0.1; done
as 60001 --name alice --check >/dev/null
as 60002 --name bob --send alice hello |
    sed 's/.*kept in .*/alice: kept/'
as 60001 --name alice --check | grep -o hello
kill $!; wait
dpkg --purge parley >/dev/null 2>&1
getent passwd parley >/dev/null || echo "purged: no user"
[ -e /usr/lib/parley ] || [ -e /var/lib/parley ] || echo "purged: no files"
echo done
EOF
chroot "$1/root" /bin/bash /inside "$2"
"""


@needs("make", "git", "dpkg-deb", "sha256sum")
@unittest.skipUnless(can_build() and find_spec("build"), "needs the module build of this Python")
class Release(Packages):
    def test_the_same_bytes_each_time(self) -> None:
        """Of one commit, in two places and at two times; and not of what is no release."""
        sums = []
        for place in "one", "two":
            tree = shutil.copytree(self.tree(), self.place / place / "tree")
            git = ("git", "-C", str(tree), "-c", "user.name=parley",
                   "-c", "user.email=parley@localhost")
            run("git", "-C", str(tree), "init", "-q")
            run(*git, "add", "-A")
            when = "2026-11-27T12:00:00Z"
            run(*git, "commit", "-qm", "a release", GIT_AUTHOR_DATE=when, GIT_COMMITTER_DATE=when)
            settings = {"HOME": str(self.place), "TMPDIR": str(self.place),
                        "BUILD_OPTIONS": "--no-isolation"}
            with self.assertRaisesRegex(AssertionError, "is no release"):
                run("make", "-s", "release", f"PYTHON={sys.executable}", cwd=str(tree), **settings)
            run("make", "-s", "release", f"PYTHON={sys.executable}", cwd=str(tree), ANYWAY="1",
                **settings)
            sums.append(Path(tree, "dist/SHA256SUMS").read_text())
            time.sleep(1)
        self.assertEqual(sums[0], sums[1])
        self.assertEqual([row.split()[1].rpartition(".")[2] for row in sums[0].splitlines()],
                         ["whl", "gz", "pyz", "deb"])


class Unit(unittest.TestCase):
    """The unit of systemd, as `make install` writes it."""

    @unittest.skipUnless(shutil.which("systemd-analyze"), "needs systemd-analyze")
    def test_what_the_daemon_does_not_need_it_can_not_do(self) -> None:
        """systemd's own measure is under 2; and no setting hides who the users are."""
        file = Path(HERE, "packaging/systemd/parleyd.service")
        text = file.read_text().replace("@PREFIX@", "/usr")
        with tempfile.TemporaryDirectory(prefix="parley-unit-") as place:
            unit = Path(place, "parleyd.service")
            unit.write_text(text)
            run("systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit))
        self.assertNotRegex(text, "(?m)^(PrivateUsers|PrivateNetwork)=")


@unittest.skipIf(os.geteuid(), "needs root")
@needs("su")
class RcScript(unittest.TestCase):
    """For a host without systemd; test_systemd.py starts and stops a daemon by it."""

    def test_why_the_daemon_does_not_start(self) -> None:
        with tempfile.TemporaryDirectory(prefix="parley-rc-") as place:
            config = Path(place, "config")
            config.write_text("mailbox-byts = 1\n")
            Path(place, "parleyd").write_text(
                f'#!/bin/sh\nexec {sys.executable} {HERE}/daemon.py "$@"\n')
            Path(place, "parleyd").chmod(0o755)
            script = Path(HERE, "packaging/rc/parleyd").read_text()
            for name, value in (("PARLEYD", f"{place}/parleyd"), ("PARLEY_USER", "root"),
                                ("PARLEY_RUN", f"{place}/run"), ("PARLEY_STATE", f"{place}/state"),
                                ("PARLEY_OPTIONS", f'"--config {config}"')):
                script = re.sub(f"(?m)^{name}=.*", f"{name}={value}", script)
            done = subprocess.run(["sh", "-c", script, "parleyd", "start"], text=True,
                                  capture_output=True)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertIn(f"parleyd did not start: see {place}/state/log\n", done.stderr)
        self.assertIn(f"parleyd: {config}:1: a section comes first", done.stderr)


class Completions(unittest.TestCase):
    """The completion files know every option, and no other."""

    def options(self, program: str) -> set[str]:
        """Those of its subcommands too."""
        words = ("", *shell.SUBCOMMANDS) if program == "curses_client.py" else ("",)
        more = [] if program == "curses_client.py" else [
            control.parser(word).format_help() for word in control.SUBCOMMANDS]
        told = [run(sys.executable, f"{HERE}/{program}", *word.split(), "--help", COLUMNS="200")
                for word in words]
        return set(re.findall(r"(?m)^  (?:-\w(?: [A-Z]+)?, )?(--[\w-]+)", "\n".join(told + more)))

    def test_bash_and_zsh(self) -> None:
        for file in ("parley.bash", "_parley"):
            text = Path(HERE, "packaging/completions", file).read_text()
            for name, program in (("parleyd", "daemon.py"), ("parley", "curses_client.py")):
                with self.subTest(file=file, program=name):
                    begin = f"_{name}() {{" if file == "parley.bash" else f"    {name})"
                    part = text.partition(begin + "\n")[2].partition("\n}" if file == "parley.bash"
                                                                     else ";;")[0]
                    self.assertEqual(set(re.findall(r"--[a-z][\w-]+", part)), self.options(program))

    def test_fish(self) -> None:
        text = Path(HERE, "packaging/completions/parley.fish").read_text().replace("\\\n", " ")
        ours = {f"--{name}" for name in re.findall(r"(?m)^complete -c parley .*-l ([\w-]+)", text)}
        self.assertEqual(ours, self.options("curses_client.py"))
        theirs = re.findall(r"(?m)^complete -c parleyd .*-l ([a-z][\w-]+)", text)
        for listed in re.findall(r"(?m)^for \w+ in (.*)$", text):
            theirs += listed.split()
        self.assertEqual({f"--{name}" for name in theirs}, self.options("daemon.py"))


@needs("make", "tmux")
class Demo(unittest.TestCase):
    def test_beside_a_running_daemon_and_twice(self) -> None:
        """Two demos at once show three clients each, and leave nothing."""
        with tempfile.TemporaryDirectory(prefix="parley-demo-test-") as place:
            environment = {**os.environ, "PYTHON": sys.executable, "TMPDIR": place,
                           "LC_ALL": "C.UTF-8"}
            demos = [subprocess.Popen(["sh", f"{HERE}/packaging/demo.sh", "--detached"],
                                      env=environment, text=True,
                                      stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
                     for _ in range(2)]
            for demo in demos:
                shown = demo.communicate(timeout=60)[0]
                self.assertEqual((demo.returncode, shown.count("menu>")), (0, 3), shown)
            self.assertEqual(os.listdir(place), [])


if __name__ == "__main__":
    unittest.main()
