"""A host of its own with a real systemd: namespaces, this machine's files below an overlay, and
/lib/systemd/systemd as process 1 in them.  Nothing that happens there changes this machine.

Needs root, overlayfs and cgroup2: machine() says what is missing."""
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from tests.harness.process import HERE

SYSTEMD = "/lib/systemd/systemd"
START_SECONDS = 90
# $1 is a directory for the new root; the tree of parley is seen read-only at its own place.
BOOT = r"""
set -e
umask 022                       # the new root is for all, whatever the caller has
mount --make-rprivate /
mount -t tmpfs -o size=400m tmpfs "$1"
mkdir "$1/up" "$1/work" "$1/new"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" "$1/new"
cd "$1/new"
mount -t proc proc proc
mount --rbind /dev dev
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
for place in tmp var/tmp usr/local; do mount -t tmpfs tmpfs $place; done
mkdir tmp/tree
mount --bind "$2" tmp/tree
rm -f etc/machine-id etc/systemd/system/*.wants/* usr/lib/systemd/system/*.wants/*getty*
: >etc/machine-id
exec chroot . /usr/bin/env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    """ + SYSTEMD + r""" --system --log-target=null --show-status=0 --unit=basic.target
"""
UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--ipc", "--uts", "--cgroup")


def missing() -> str:
    """Why no such host can be made here; "" if one can."""
    if os.geteuid() != 0:
        return "a host with systemd needs root"
    if not os.path.exists(SYSTEMD) or not shutil.which("unshare") or not shutil.which("nsenter"):
        return "a host with systemd needs systemd, unshare and nsenter"
    with tempfile.TemporaryDirectory() as place:
        script = ('mount -t tmpfs tmpfs "$1" && mkdir "$1/u" "$1/w" "$1/n" "$1/c" && mount -t '
                  'overlay o -o "lowerdir=/,upperdir=$1/u,workdir=$1/w" "$1/n" && '
                  'mount -t cgroup2 cgroup2 "$1/c" && test -e "$1/n/usr"')
        done = subprocess.run([*UNSHARE, "sh", "-c", script, "sh", place], capture_output=True,
                              text=True)
    return done.stderr.strip() and f"no overlay or no cgroup2 here: {done.stderr.strip()}"


class Machine:
    """The running host."""

    def __init__(self) -> None:
        self._place = tempfile.mkdtemp(prefix="parley-systemd-")
        self._process = subprocess.Popen([*UNSHARE, "sh", "-c", BOOT, "sh", self._place, HERE],
                                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.PIPE, text=True)
        self.first = self._child()
        deadline = time.monotonic() + START_SECONDS
        while (state := self.run("systemctl", "is-active", "basic.target", check=False).strip()
               ) != "active":
            if time.monotonic() > deadline:
                raise AssertionError(f"systemd did not start: {state}")
            time.sleep(0.1)

    def _child(self) -> int:
        """The process that is 1 in there, as soon as it is systemd."""
        deadline, own = time.monotonic() + START_SECONDS, self._process.pid
        while time.monotonic() < deadline:
            children = Path(f"/proc/{own}/task/{own}/children")
            if self._process.poll() is not None:
                raise AssertionError(self._process.stderr and self._process.stderr.read())
            for child in children.read_text().split():
                if "systemd" in Path(f"/proc/{child}/comm").read_text():
                    return int(child)
            time.sleep(0.02)
        raise AssertionError("systemd did not start")

    def run(self, *command: str, check: bool = True) -> str:
        """What a command prints in there; both outputs."""
        done = subprocess.run(
            ["nsenter", f"--target={self.first}", "--mount", "--pid", "--uts", "--ipc", "--cgroup",
             "--root", "--wd", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
             *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=START_SECONDS)
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.returncode}: {done.stdout}\n"
                                 + self.run("journalctl", "-n", "15", "--no-pager", check=False))
        return done.stdout

    def shows(self, unit: str, field: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", unit, "-P", field).strip()

    def until(self, unit: str, field: str, wanted: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while (found := self.shows(unit, field)) != wanted:
            if time.monotonic() > deadline:
                raise AssertionError(f"{unit}: {field} is {found}, not {wanted}\n"
                                     + self.run("journalctl", "-n", "30", check=False))
            time.sleep(0.05)

    def until_logged(self, unit: str, wanted: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while wanted not in (told := self.run("journalctl", "-u", unit, "-o", "cat")):
            if time.monotonic() > deadline:
                raise AssertionError(f"{unit} did not log {wanted!r}: {told}")
            time.sleep(0.05)

    def close(self) -> None:
        self._process.send_signal(signal.SIGKILL)       # and with it all processes in there
        self._process.communicate()
        os.rmdir(self._place)

    def __enter__(self) -> "Machine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
