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
        subprocess.run(["make", "-s", "-C", HERE, f"PYTHON={sys.executable}", *arguments],
                       check=True)

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
