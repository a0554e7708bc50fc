"""A host of its own, with several logins: real programs under real uids.  Needs root, and Linux.

A Host is a mount and a network namespace, held by a process that sleeps: /run and /tmp are empty
there, /etc/passwd has LOGINS, port 6464 is free, and the tree lies at TREE, for all to read, with
what Python compiled of it here: the logins may not write there, and would compile it at each start.
run() and start() run a program in it under a login; path() is a file of it as the test sees it.
When the process ends, all of it is gone.

A daemon has the store of a house where people have lived (lived_in.py), each login another one,
unless it is told where its store is.
"""
from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.harness.lived_in import furnish
from tests.harness.process import HERE
from tests.harness.terminals import find_program, until
from tests.harness.warm import Login

LOGINS = {"root": 0, "alice": 61001, "bob": 61002, "mallory": 61003, "parley": 61004}
TREE = "/mnt/parley"
PATIENCE = 30.0             # for a program to come so far, on a machine that others use too

SETUP = r"""
set -e
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir -p $1 /mnt/home
(cd "$0" && cp -Rp *.py net store rules server client ui terminal Makefile packaging man $1 &&
    { [ ! -d __pycache__ ] || cp -Rp __pycache__ $1; })
chmod -R a+rX /mnt
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
cp /etc/passwd /mnt/passwd
(umask 077; cat /etc/shadow >/mnt/shadow 2>/dev/null || :)
shift
for login; do
    name=${login%:*} uid=${login#*:}
    mkdir -p -m 700 /mnt/home/$name
    chown $uid:$uid /mnt/home/$name
    [ $name = root ] && continue
    sed -i "/^$name:/d" /mnt/passwd /mnt/shadow     # parley may be a login of this host already
    echo "$name:x:$uid:$uid::/mnt/home/$name:/bin/sh" >>/mnt/passwd
    echo "$name:*:19000:0:99999:7:::" >>/mnt/shadow
done
chmod 644 /mnt/passwd
mount --bind /mnt/passwd /etc/passwd
[ ! -e /etc/shadow ] || mount --bind /mnt/shadow /etc/shadow
ip link set lo up
echo ready
exec sleep infinity
"""

# Listens at each address, lets everybody in, and prints a JSON line for what it hears.
IMPOSTOR = r"""
import json, os, selectors, socket, sys
selector = selectors.DefaultSelector()
for where in sys.argv[1:]:
    if where.startswith("unix:"):
        path = where.removeprefix("unix:")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.chmod(os.path.dirname(path), 0o755)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        os.chmod(path, 0o666)
    else:
        host, _, port = where.rpartition(":")
        listener = socket.create_server((host, int(port)))
    listener.listen()
    selector.register(listener, selectors.EVENT_READ, where)
print(json.dumps(["listening"]), flush=True)
while True:
    for key, _ in selector.select():
        if key.data:
            selector.register(key.fileobj.accept()[0], selectors.EVENT_READ, None)
            print(json.dumps(["met", key.data]), flush=True)
        else:
            data = key.fileobj.recv(65536)
            if not data:
                selector.unregister(key.fileobj)
            print(json.dumps(["heard", len(data)]), flush=True)
"""


def reason_not_to() -> str:
    """Why there can be no such host here; "" if there can."""
    if os.geteuid() != 0 or sys.platform != "linux":
        return "needs root, on Linux"
    missing = [program for program in ("unshare", "nsenter", "setpriv",
                                       "ip") if find_program(program) is None]
    if missing:
        return f"needs {', '.join(missing)}"
    tried = subprocess.run(["unshare", "-m", "-n", "setpriv", "--reuid", "61001", "--clear-groups",
                            "env", sys.executable, "-c", "import wsgiref"],
                           capture_output=True, text=True, cwd="/", check=False)
    return (f"no namespaces, or Python is not for other logins: {tried.stderr.strip()}"
            if tried.returncode else "")


class Host:
    """The namespaces, and what runs in them."""

    def __init__(self) -> None:
        logins = [f"{name}:{uid}" for name, uid in LOGINS.items()]
        self.holder = subprocess.Popen(["unshare", "--mount", "--net", "--propagation", "private",
                                        "sh", "-c", SETUP, HERE, TREE, *logins],
                                       stdout=subprocess.PIPE, cwd="/", umask=0o022)
        assert self.holder.stdout is not None
        self._programs: list[Program] = []
        self._directory = tempfile.mkdtemp(prefix="parley-host-")
        if self.holder.stdout.readline() != b"ready\n":
            self.close()
            raise unittest.SkipTest("the namespaces could not be set up")

    def command(self, login: str, *words: str, **more: str) -> list[str]:
        """What runs this under a login, with this environment and no other."""
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8",
                       "HOME": f"/mnt/home/{login}", "USER": login, "TERM": "xterm-256color"} | more
        return Login(self.holder.pid, LOGINS[login], TREE, environment, words)

    def run(self, login: str, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        return subprocess.run(self.command(login, *words, **more), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=PATIENCE * 2, check=False)

    def parley(self, login: str, *options: str, **more: str) -> subprocess.CompletedProcess[str]:
        """The client, to its end."""
        return self.run(login, sys.executable, f"{TREE}/curses_client.py", *options, **more)

    def start(self, login: str, *words: str, **more: str) -> Program:
        """Start a program that goes on."""
        program = Program(self.command(login, *words, **more),
                          Path(self._directory, str(len(self._programs))))
        self._programs.append(program)
        return program

    def daemon(self, login: str, *options: str, listens: bool = True, **more: str) -> Program:
        """A daemon that takes connections."""
        self._furnish(login)
        started = self.start(login, sys.executable, f"{TREE}/daemon.py", "--console", "log",
                             *options, **more)
        if listens:
            started.says(" listening ")
        return started

    def _furnish(self, login: str) -> None:
        """Give a login's daemon its store, once."""
        home = self.path(f"/mnt/home/{login}")
        store = self.path(f"/mnt/home/{login}/.local/state/parley/store")
        if not store.exists():
            store.parent.mkdir(mode=0o700, parents=True)
            furnish(store, house=list(LOGINS).index(login))
            for path in (home, *home.rglob("*")):
                os.chown(path, LOGINS[login], LOGINS[login])

    def impostor(self, login: str, *places: str) -> Program:
        """Somebody who listens where a daemon might."""
        started = self.start(login, sys.executable, "-c", IMPOSTOR, *places)
        started.says("listening")
        return started

    def path(self, path: str) -> Path:
        """A file of this host, for the test to look at."""
        return Path(f"/proc/{self.holder.pid}/root{path}")

    def close(self) -> None:
        for program in self._programs:
            program.kill()
        self.holder.kill()
        self.holder.wait()
        assert self.holder.stdout is not None
        self.holder.stdout.close()
        shutil.rmtree(self._directory, ignore_errors=True)


class Program:
    """A program that runs, and what it prints."""

    def __init__(self, command: Sequence[str], output: Path) -> None:
        self._path = output
        with output.open("wb") as file:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=file,
                                            stderr=file, start_new_session=True)

    @property
    def output(self) -> str:
        return self._path.read_text(errors="replace")

    @property
    def lines(self) -> list[Any]:
        """Of an impostor: what it said."""
        return [json.loads(line) for line in self.output.splitlines()]

    def says(self, text: str, times: int = 1) -> None:
        """Wait until it has said this so often."""
        until(lambda: self.output.count(text) >= times or self.process.poll() is not None, PATIENCE,
              f"{text!r} in {self.output}")
        if self.output.count(text) < times:
            raise AssertionError(f"it ended without {text!r}: {self.output}")

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal; its exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """Kill it, and what it started: `make run` waits for a daemon."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        assert self.process.stdin is not None
        self.process.stdin.close()
