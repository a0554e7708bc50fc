"""The Makefile: what is installed starts, and goes again; a distribution is named by the
release."""
import marshal
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from importlib.util import cache_from_source
from pathlib import Path

from terminal.usage import RELEASE
from tests.harness.process import HERE
from tests.harness.terminals import needs


@needs("make")
class Makefile(unittest.TestCase):
    def setUp(self) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="parley-make-"))
        self.addCleanup(shutil.rmtree, self.place)

    def make(self, *arguments: str) -> None:
        done = subprocess.run(["make", "-s", "-C", HERE, f"PYTHON={sys.executable}", *arguments],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def choice(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What packaging/python.sh chooses where the python3 of PATH is in a directory of one
        user's own."""
        private = self.place / "private"
        if not private.exists():
            private.mkdir(mode=0o700)
            (private / "python3").symlink_to(sys.executable)
        return subprocess.run(["sh", HERE + "/packaging/python.sh", *arguments],
                              capture_output=True, text=True,
                              env={**os.environ, "PATH": f"{private}:{os.environ['PATH']}"})

    @unittest.skipIf(os.geteuid(), "needs root: what others install is their own")
    def test_root_installs_no_program_that_only_root_can_run(self) -> None:
        own = f"{self.place}/private/python3"
        refused = self.choice("/nonexistent")
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))
        self.assertEqual(refused.stderr.count("\n"), 1)
        self.assertIn(f"{own} can be run by root alone, and /nonexistent does not run",
                      refused.stderr)
        self.assertIn("PYTHON=PATH", refused.stderr)
        named = self.choice("/nonexistent", own)
        self.assertEqual((named.returncode, named.stdout), (0, own + "\n"))
        self.assertIn("other logins cannot use the programs", named.stderr)

    @unittest.skipUnless(os.access("/usr/bin/python3", os.X_OK), "needs /usr/bin/python3")
    def test_where_the_own_python_is_private_the_systems_is_installed(self) -> None:
        chosen = self.choice("/usr/bin/python3")
        if os.geteuid():
            self.assertEqual(chosen.stdout, f"{self.place}/private/python3\n")
        elif chosen.returncode:
            self.assertIn("/usr/bin/python3 is older than 3.11", chosen.stderr)
        else:
            self.assertEqual(chosen.stdout, "/usr/bin/python3\n")
            self.assertIn("the programs start /usr/bin/python3", chosen.stderr)

    def test_install_and_uninstall(self) -> None:
        prefix = self.place / "usr"
        self.make("install", f"PREFIX={prefix}")
        for program in ("parleyd", "parley"):
            said = subprocess.run([prefix / "bin" / program, "--version"], capture_output=True,
                                  text=True, cwd="/")
            self.assertEqual((said.returncode, said.stdout), (0, f"{program} {RELEASE}\n"),
                             said.stderr)
        for page in Path(HERE, "man").glob("*.[1578]"):
            self.assertTrue((prefix / f"share/man/man{page.suffix[1:]}" / page.name).is_file())
        unit = (prefix / "lib/systemd/system/parleyd.service").read_text()
        started = [row for row in unit.splitlines() if row.startswith("ExecStart=")]
        self.assertEqual([row.split()[0] for row in started], [f"ExecStart={prefix}/bin/parleyd"])
        self.make("uninstall", f"PREFIX={prefix}")
        left = [path for path in prefix.rglob("*") if path.is_file()]
        self.assertEqual(left, [])

    def test_destdir_is_no_part_of_what_is_written(self) -> None:
        self.addCleanup(os.umask, os.umask(0o077))
        self.make("install", f"DESTDIR={self.place}", "PREFIX=/usr")
        launcher = (self.place / "usr/bin/parley").read_text()
        self.assertIn("/usr/lib/parley/curses_client.py", launcher)
        self.assertNotIn(str(self.place), launcher)
        self.assertEqual((self.place / "usr/lib/parley/__pycache__").stat().st_mode & 0o777, 0o755)
        compiled = cache_from_source(self.place / "usr/lib/parley/daemon.py")
        self.assertEqual(marshal.loads(Path(compiled).read_bytes()[16:]).co_filename,
                         "/usr/lib/parley/daemon.py")

    @needs("git")
    def test_dist(self) -> None:
        if not os.path.exists(HERE + "/.git"):
            self.skipTest("needs a git checkout")
        name = f"{HERE}/parley-{RELEASE}.tar.gz"
        self.addCleanup(lambda: os.path.exists(name) and os.unlink(name))
        self.make("dist")
        listed = subprocess.run(["tar", "tzf", name], capture_output=True, text=True,
                                check=True).stdout
        self.assertIn(f"parley-{RELEASE}/daemon.py", listed.split())


if __name__ == "__main__":
    unittest.main()
