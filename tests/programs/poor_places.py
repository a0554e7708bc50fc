"""Poor places: a table of environments, and the programs run in each of them.

A Row says how a place differs from a good one: variables, a line of sh before the program, an
ordinary user, namespaces of its own, another clock.  A Place is a directory with what the rows
speak of (homes, somebody else's directory), a daemon in a good environment for the clients to call,
and the commands.  tests/programs/test_poor_places.py runs every program through every row.

Rows that need root, as those with mounts, are skipped where it is missing.  As root, a row for an
ordinary user is run by a uid that no host has; without root, by the user who runs the tests.
"""
from __future__ import annotations

import contextlib
import functools
import itertools
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import NamedTuple

from tests.harness.process import HERE, DaemonProcess

STRANGER, ALICE = 54321, 54322      # uids that no host has
ROOT = os.geteuid() == 0
# `env`: only what it runs is looked for without root's rights.
AS_STRANGER = ("setpriv", "--reuid", str(STRANGER), "--regid", str(STRANGER), "--clear-groups",
               "env")
CLIENT, DAEMON = HERE + "/curses_client.py", HERE + "/daemon.py"

# /tmp is another file system, of 64 KiB, in which what the test itself needs of the old one is
# there again. What the tests themselves have in /var/tmp must stay.
NO_VAR_TMP = ("" if tempfile.gettempdir().startswith("/var/tmp")
              else "mount -t tmpfs -o ro tmpfs /var/tmp && ")
OTHER_TMP = ("exec 3<{place} 4<{house} && mount -t tmpfs -o size=64k,mode=1777 tmpfs /tmp && "
             "mkdir -p {place} {house} && %s && mount -c --bind /proc/self/fd/3 {place} && "
             "mount -c --bind /proc/self/fd/4 {house} && "
             "exec 3<&- 4<&- && cd {place}/cwd && ")
HOSTNAME = ("{python} -c 'import socket, sys; socket.sethostname(bytes.fromhex(sys.argv[1]))' "
            "'%s' && ")
# The real program under another wall clock; {at} is in seconds since 1970.
CLOCK = """
import os, runpy, sys, time
at, begin = {at} * 10**9, time.monotonic_ns()
time.time_ns = lambda: at + time.monotonic_ns() - begin
time.time = lambda: time.time_ns() / 1e9
sys.argv = sys.argv[1:]
sys.path[0] = os.path.dirname(sys.argv[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Row(NamedTuple):
    """One environment; {place}, {home}, {alice}, {house}, {python} stand for what they say."""
    name: str
    env: Mapping[str, str | None] = {}      # variables that differ; None: not set
    shell: str = ""                         # the beginning of a line of sh
    # exit codes, by program, where it can't work; "*": of all
    codes: Mapping[str, int] = {}
    says: str = ""                          # in the line of each program that can't
    user: bool = False                      # run by an ordinary user
    under: tuple[str, ...] = ()             # what runs the program, as that user
    namespaces: str = ""                    # for unshare
    clock: int | None = None
    bare: bool = False                      # nothing is set but `env`
    programs: str = ""                      # of the columns, those that this row is about
    # also those that look at nothing: --help, --version, --check-store
    all: bool = False


NO_ARCHIVE = {"check": os.EX_IOERR, "daemon": os.EX_CONFIG}
DENIED = {"check": os.EX_IOERR, "daemon": os.EX_NOPERM}
CANNOT = {"check": os.EX_IOERR, "daemon": os.EX_CANTCREAT}
FEW = {"daemon": os.EX_OSERR, "table": os.EX_OSERR, "inspect": 0}
NO_OUTPUT = dict.fromkeys(("who", "send", "check", "plain", "screen"), os.EX_IOERR)
OWN = "a directory of your own"

ROWS = (
    Row("a good one", all=True),
    Row("no passwd entry and no home", {"HOME": None}, codes=NO_ARCHIVE, says="set HOME", user=True,
        under=("nobody-knows-me",)),
    Row("an ordinary user", user=True, all=True),
    # ---- the home ----
    Row("no HOME but a login", {"HOME": None, "XDG_STATE_HOME": "{home}/state"}),
    Row("a HOME that is missing", {"HOME": "{place}/none"}, codes=NO_ARCHIVE, says=OWN),
    Row("a HOME that is missing, for a user", {"HOME": "/nonexistent"}, codes=NO_ARCHIVE, says=OWN,
        user=True),
    Row("a HOME that cannot be written", {"HOME": "/"}, codes=DENIED, user=True),
    Row("a HOME that is a file", {"HOME": "{place}/file"}, codes=NO_ARCHIVE, says=OWN),
    Row("an empty HOME", {"HOME": "", "XDG_STATE_HOME": "{home}"}),
    Row("an empty HOME of nobody", {"HOME": ""}, codes=NO_ARCHIVE, says=OWN, user=True,
        under=("nobody-knows-me",)),
    Row("a relative HOME of nobody", {"HOME": "here"}, codes=NO_ARCHIVE, says=OWN, user=True,
        under=("nobody-knows-me",)),
    Row("the HOME of another user", {"HOME": "{alice}"}, codes=NO_ARCHIVE,
        says="belongs to another user"),
    Row("the HOME of another user, for a user", {"HOME": "{alice}"}, codes=NO_ARCHIVE, user=True,
        says="belongs to another user"),
    Row("a missing HOME in the home of another",
        {"HOME": "{home}", "XDG_STATE_HOME": "{alice}/a/b"}, codes=NO_ARCHIVE,
        says="belongs to another user"),
    Row("relative XDG directories", {"XDG_STATE_HOME": "rel", "XDG_RUNTIME_DIR": "rel"}),
    Row("empty XDG directories", {"XDG_STATE_HOME": "", "XDG_RUNTIME_DIR": ""}),
    Row("unwritable XDG directories", {"XDG_STATE_HOME": "/proc", "XDG_RUNTIME_DIR": "/proc"},
        codes=CANNOT),
    Row("XDG directories that are files",
        {"XDG_STATE_HOME": "{place}/file", "XDG_RUNTIME_DIR": "{place}/file"}, codes=CANNOT),
    # ---- the temporary directory ----
    Row("a full /tmp", shell=OTHER_TMP % "(cat /dev/zero >/tmp/fill 2>/dev/null || true)",
        namespaces="-m"),
    Row("a read-only /tmp", shell=OTHER_TMP % "true" + "mount -o remount,ro,bind /tmp && "
        + NO_VAR_TMP + "cd /proc && ", namespaces="-m"),
    Row("an odd TMPDIR", {"TMPDIR": "/nonexistent"}),
    # ---- limits ----
    Row("no process more", user=True, under=("prlimit", "--nproc=1"), all=True),
    Row("64 descriptors", shell="ulimit -n 64 && "),
    Row("32 descriptors", shell="ulimit -n 32 && ", codes=FEW, says="only 32 files may be open"),
    Row("16 descriptors", shell="ulimit -n 16 && ", codes=FEW, says="only 16 files may be open"),
    Row("8 descriptors", shell="ulimit -n 8 && ", codes=FEW),
    Row("6 descriptors", shell="ulimit -n 6 && ", codes=FEW | {"screen": os.EX_OSERR}),
    Row("files of no size", shell="ulimit -f 0 && ",
        codes={"check": os.EX_IOERR, "daemon": os.EX_IOERR,
               "table": os.EX_IOERR}, says="File too large"),
    # ---- standard descriptors ----
    Row("no stdin", shell="exec <&- && ", codes={"screen": os.EX_OK},
        programs="who send check help screen daemon"),
    Row("no stdout", shell="exec >&- && ", codes=NO_OUTPUT, programs="who check plain daemon"),
    Row("no stderr", shell="exec 2>&- && ", all=True),
    Row("no descriptor at all", shell="exec <&- >&- 2>&- && ", programs="daemon"),
    Row("a full stdout", shell="exec >/dev/full && ", codes=NO_OUTPUT,
        programs="who send check plain daemon"),
    Row("a full stderr", shell="exec 2>/dev/full && ", all=True),
    # ---- signals ----
    Row("INT is ignored", shell="trap '' INT && "),
    Row("PIPE is ignored", shell="trap '' PIPE && "),
    Row("under nohup", shell="trap '' HUP && "),
    Row("CHLD is ignored", under=("env", "--ignore-signal=CHLD"), all=True),
    Row("TERM is ignored", shell="trap '' TERM && "),
    Row("signals are blocked", under=("env", "--block-signal=INT,TERM,HUP,CHLD,WINCH,TSTP")),
    # ---- the host ----
    Row("a host called büro-pc", shell=HOSTNAME % "büro-pc".encode().hex(), namespaces="-u"),
    Row("a host whose name is no UTF-8", shell=HOSTNAME % b"b\xfcro".hex(), namespaces="-u"),
    Row("a host in Japan", shell=HOSTNAME % "東京".encode().hex(), namespaces="-u"),
    Row("a host without a name", shell=HOSTNAME % "", namespaces="-u"),
    Row("a host whose name begins with a dot", shell=HOSTNAME % b".lab".hex(), namespaces="-u"),
    Row("a host whose name is as long as can be", shell=HOSTNAME % (b"a" * 64).hex(),
        namespaces="-u"),
    Row("a host with a control character", shell=HOSTNAME % b"a\x1bb".hex(), namespaces="-u"),
    # ---- the language ----
    Row("the C locale", {"LC_ALL": "C"}, all=True),
    Row("the POSIX locale", {"LC_ALL": "POSIX"}),
    Row("a missing locale", {"LC_ALL": "xx_YY.UTF-8"}),
    Row("a Latin 1 locale", {"LC_ALL": None, "LANG": "de_DE.ISO-8859-1"}),
    Row("no locale", {"LC_ALL": None}),
    Row("ASCII alone", {"PYTHONIOENCODING": "ascii:strict"}, all=True),
    Row("stdout in Latin 1", {"PYTHONIOENCODING": "latin-1"}),
    Row("no UTF-8 anywhere", {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
        all=True),
    # ---- the terminal ----
    Row("no TERM", {"TERM": None}),
    Row("an unknown TERM", {"TERM": "nonsense"}),
    Row("a dumb TERM", {"TERM": "dumb"}),
    Row("no terminfo", {"TERMINFO": "/nonexistent", "TERMINFO_DIRS": "/nonexistent"}),
    Row("odd LINES and COLUMNS", {"LINES": "-3", "COLUMNS": "abc"}),
    Row("huge LINES and COLUMNS", {"LINES": "0", "COLUMNS": "1000000000"}),
    Row("another /dev/pts", shell="mount -t devpts -o newinstance devpts /dev/pts && ",
        namespaces="-m", programs="screen table plain"),
    # ---- Python and its tree ----
    Row("a tree that is read-only and not compiled",
        shell="cp -r {house}/*.py {house}/[a-z]*/ {place}/copy && "
        "mount --bind {place}/copy {house} && mount -o remount,ro,bind {house} && ",
        namespaces="-m"),
    Row("a foreign mailbox in PYTHONPATH", {"PYTHONPATH": "{place}/foreign"}, all=True),
    Row("python -O", {"PYTHONOPTIMIZE": "1"}, all=True),
    Row("python -W error", {"PYTHONWARNINGS": "error"}, all=True),
    Row("python -X dev", {"PYTHONDEVMODE": "1"}, all=True),
    # ---- the rest ----
    Row("a directory that was deleted",
        shell="mkdir {place}/gone$$ && cd {place}/gone$$ && rmdir {place}/gone$$ && ", all=True),
    Row("umask 0", shell="umask 0 && "),
    Row("umask 777", shell="umask 777 && ", user=True),
    Row("cron", {"HOME": "{home}", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin", "LOGNAME": "root"},
        bare=True, programs="who send check plain help daemon inspect"),
    Row("nothing but PATH", {"PATH": "/usr/bin:/bin", "XDG_STATE_HOME": "{home}"}, bare=True),
    Row("an odd TZ", {"TZ": "Nowhere/Nothing"}),
    Row("1970", clock=1, all=True),
    Row("2100", clock=4_102_444_800),
)


class Place:
    """Homes, a daemon to call, and commands that run in a row."""

    def __init__(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="parley-poor-")
        os.chmod(self.directory, 0o755)
        for name in ("home", "alice", "stranger", "cwd", "foreign", "copy"):
            os.mkdir(self.path(name))
            os.chmod(self.path(name), 0o755)        # whatever the umask
        if ROOT:
            os.chown(self.path("alice"), ALICE, ALICE)
            os.chown(self.path("stranger"), STRANGER, STRANGER)
        with open(self.path("file"), "w") as file:
            file.write("a file")
        with open(self.path("foreign/mailbox.py"), "w") as file:
            file.write("raise SystemExit('this is not our mailbox')\n")
        self.daemon = DaemonProcess("--socket-mode", "666", "--trust-names")
        os.chmod(self.daemon.directory, 0o755)
        self._numbers = itertools.count(1)

    def path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def name(self) -> str:
        """A username that nobody has used, not even in the house."""
        return f"poor.{os.getpid()}.{next(self._numbers)}"

    def room(self, row: Row) -> str:
        """A new directory, of whoever runs the row's programs."""
        path = self.path(f"room{next(self._numbers)}")
        os.mkdir(path, 0o755)
        if row.user and ROOT:
            os.chown(path, STRANGER, STRANGER)
        return path

    def command(self, row: Row, program: str, *options: str) -> list[str]:
        python = [sys.executable] if row.clock is None else [sys.executable, "-c",
                                                             CLOCK.format(at=row.clock)]
        if row is ROWS[0]:
            return [*python, program, *options]     # nothing before it: may start warm
        under = [] if row.under == ("nobody-knows-me",) else row.under
        user = AS_STRANGER if row.user and ROOT else ()
        # Mounts and names of hosts are root's; the program is the user's.
        line, place, daemon = f'{row.shell}exec "$@"', self.directory, self.daemon.directory
        for old, new in (("{place}", place), ("{house}", HERE), ("{python}", sys.executable),
                         (f"3<{place}", f"5<{daemon} 3<{place}"),
                         (f"mkdir -p {place}", f"mkdir -p {daemon} {place}"),
                         ("exec 3<&-",
                          f"mount -c --bind /proc/self/fd/5 {daemon} && exec 5<&- 3<&-")):
            line = line.replace(old, new)
        shell = ["sh", "-c", line, "sh", *user, *under, *python, program, *options]
        return ["unshare", row.namespaces, *shell] if row.namespaces else shell

    def client(self, row: Row, *options: str) -> list[str]:
        return self.command(row, CLIENT, "--connect", "unix:" + self.daemon.path, *options)

    def environment(self, row: Row) -> dict[str, str]:
        home = self.path("stranger" if row.user and ROOT else "home")
        env = {} if row.bare else {"PATH": os.environ.get("PATH", os.defpath), "HOME": home,
                                   "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        for name, value in row.env.items():
            env.pop(name, None)
            if value is not None:
                env[name] = value.format(place=self.directory, home=home, alice=self.path("alice"))
        return env

    def left_behind(self) -> list[str]:
        """What lies where nothing of ours belongs."""
        return sorted(os.path.join(place, name) for place in (self.path("alice"), self.path("cwd"))
                      for name in os.listdir(place)) + [path for path in ("/.local", "/parley")
                                                        if os.path.exists(path)]

    def close(self) -> None:
        self.daemon.close()
        shutil.rmtree(self.directory)


def lack(row: Row) -> str:
    """Why a row can't be run here; "" when it can."""
    if not ROOT and any("{alice}" in (value or "") for value in row.env.values()):
        return "needs root, for a directory that is another user's"
    return _lack(row.user, "nobody-knows-me" in row.under, row.namespaces)


@functools.cache
def _lack(row_user: bool, needs_stranger: bool, namespaces: str) -> str:
    if needs_stranger and not ROOT:
        with contextlib.suppress(KeyError):
            return f"{pwd.getpwuid(os.geteuid()).pw_name} has a passwd entry"
    if namespaces and (not ROOT or subprocess.run(["unshare", namespaces, "true"],
                                                  capture_output=True).returncode):
        return "needs root and namespaces"
    if row_user and ROOT:
        probe = [*AS_STRANGER, sys.executable, "-B", "-I", "-c",
                 f"import encodings; open({DAEMON!r})"]
        found = subprocess.run(probe, capture_output=True, cwd="/")
        if found.returncode:
            return ("another user can't run this Python and this tree: "
                    f"{found.stderr.decode()[-80:]}")
    return ""
