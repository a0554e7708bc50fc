"""Warm starts: the two programs, forked from a process that has imported their modules already.

A test that runs daemon.py or curses_client.py waits for Python to start and for its imports: 40 to
50 ms of a processor, 500 times.  In `make test` the runner's workers call install().  Then a
subprocess.Popen of exactly `python daemon.py ...` or `python curses_client.py ...` asks a nursery,
a process that did these imports and nothing else.  The nursery forks, the child takes the
arguments, environment, directory, descriptors, umask, signal mask and limits that it would have
had, and calls main().  The child is a child of the worker, as after fork and exec: its parent dies,
and the worker is a subreaper for that moment (prctl(2)).

A Login is the same for a program under another login, in a host of its own (neighbours.py): its
nursery has imported the modules of the tree there, and its child enters the host and becomes that
login as nsenter(1) and setpriv(1) would have made it.

Another Python or other options of it, a command around the program, a preexec_fn, locale or PYTHON
variables that are met for the first time: those are real starts, as are all in `make test-all`.  CI
runs that on the distribution's Python, and `make test`, with warm starts, on the others.  A test
whose subject is the start itself says so by `-X` or a command around it.
"""
from __future__ import annotations

import ctypes
import inspect
import marshal
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

HERE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NURSERY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "nursery.py")
PROGRAMS = {f"{HERE}/{name}.py": name for name in ("daemon", "curses_client")}
INHERITED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD,
             signal.SIGTSTP)            # a program may find them ignored
LIMITS = (resource.RLIMIT_NOFILE, resource.RLIMIT_AS, resource.RLIMIT_CORE, resource.RLIMIT_FSIZE,
          resource.RLIMIT_NPROC, resource.RLIMIT_STACK)
PR_SET_CHILD_SUBREAPER = 36
ENOUGH = 2                              # starts for which a nursery pays
COLD = subprocess.Popen                 # as it was
GIVEN = list(inspect.signature(COLD._execute_child).parameters)[1:]     # type: ignore[attr-defined]
PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
# What of it may be asked of a nursery, by what a caller of Popen left out; the rest: see _wanted().
PLAIN: dict[str, Any] = {"executable": None, "close_fds": True, "pass_fds": (), "shell": False,
                         "restore_signals": True, "gid": None, "gids": None, "uid": None,
                         "umask": -1, "process_group": -1}

# A tree, a program, and what its Python starts with.
Start = tuple[str, str, tuple[tuple[str, str], ...]]


class Login(list[str]):
    """The command that runs `words` on a host under a login, with this environment alone.

    `host` is a process in its namespaces."""

    def __init__(self, host: int, uid: int, cwd: str, environment: Mapping[str, str],
                 words: Sequence[str]) -> None:
        super().__init__([*into(host), "setpriv", "--reuid", str(uid), "--regid", str(uid),
                          "--clear-groups", "env", "-i", "-C", cwd,
                          *(f"{name}={value}" for name, value in environment.items()), *words])
        if tuple(words[:2]) == ("env", "-i"):
            environment, words = {}, words[2:]
        self.host, self.uid, self.cwd = host, uid, cwd
        self.environment, self.words = environment, words


def into(host: int) -> tuple[str, ...]:
    """What runs the command behind it on a host."""
    return "nsenter", "-t", str(host), "-m", "-n"


def take_terminal() -> None:
    """A preexec_fn: standard input becomes the controlling terminal of a new session."""
    import fcntl
    import termios
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Nursery:
    """One process that forks one program, for this process alone."""

    def __init__(self, start: Start, host: int = 0) -> None:
        tree, program, variables = start
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.parent, self.signals = os.getpid(), inherited()
        self._lock = threading.Lock()
        code = os.open(NURSERY, os.O_RDONLY)        # the host may not have that file
        self._process = COLD([*(into(host) if host else ()), sys.executable, f"/dev/fd/{code}",
                              program, tree, str(host and os.getpid())],
                             stdin=theirs, cwd="/", pass_fds=[code],
                             env={"PATH": os.environ.get("PATH", os.defpath), **dict(variables)})
        os.close(code)
        theirs.close()

    def fork(self, wanted: dict[str, Any], descriptors: list[int]) -> int:
        """The pid of a child of this process.  Raises OSError."""
        with self._lock:
            _be_subreaper(True)
            try:
                socket.send_fds(self._channel, [marshal.dumps(wanted)], descriptors)
                pid = int(self._channel.recv(64) or b"0")
                if not (pid and self._channel.recv(64)):    # the second: its first parent is dead
                    raise OSError(f"the nursery ended: {self._process.wait()}")
                return pid
            finally:
                _be_subreaper(False)

    def close(self) -> None:
        """Let it end."""
        self._channel.close()
        self._process.wait()

    def can_serve(self) -> bool:
        """Whether this is the process that it works for, and its signals are as they were."""
        return self.parent == os.getpid() and self.signals == inherited()


NURSERIES: dict[Start, Nursery] = {}
ASKED: Counter[Start] = Counter()


def _be_subreaper(on: bool) -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0)


def inherited() -> list[Any]:
    """What a child would find, of signals."""
    return [signal.getsignal(number) for number in INHERITED]


def _nursery(tree: str, program: str, env: Mapping[str, str], host: int) -> Nursery | None:
    """The nursery for such a start; None for the first one, which would not pay for it."""
    start = tree, program, tuple(sorted((name, value) for name, value in env.items()
                                        if name.startswith(("PYTHON", "LC_", "LANG"))))
    ASKED[start] += 1
    if start not in NURSERIES and ASKED[start] >= ENOUGH:
        NURSERIES[start] = Nursery(start, host)
    found = NURSERIES.get(start)
    return found if found and found.can_serve() else None


class Popen(COLD[Any]):
    """subprocess.Popen, with warm starts."""

    def _execute_child(self, *arguments: Any) -> None:
        given = dict(zip(GIVEN, arguments, strict=True))
        nursery = _nursery_for(given)
        if nursery is None:
            super()._execute_child(*arguments)                  # type: ignore[misc]
            return
        ends = given["p2cread"], given["c2pwrite"], given["errwrite"]
        standard = [number if end == -1 else end for number, end in enumerate(ends)]
        try:
            self.pid = nursery.fork(_wanted(given), standard)
            self._child_created = True
        finally:
            self._close_pipe_fds(*map(given.get, PIPES))        # type: ignore[attr-defined]


def _nursery_for(given: Mapping[str, Any]) -> Nursery | None:
    """The nursery that can start what was given to Popen."""
    command = given["args"]
    if (isinstance(command, (str, bytes, os.PathLike))
            or given["preexec_fn"] not in (None, take_terminal)
            or any(given[name] != value for name, value in PLAIN.items())):
        return None
    tree, host = (command.cwd, command.host) if isinstance(command, Login) else (HERE, 0)
    words, environment, _ = _start(given)
    program = PROGRAMS.get(str(words[1]).replace(tree, HERE, 1)) if len(words) > 1 else None
    if words[0] != sys.executable or not program:
        return None
    return _nursery(tree, program, environment, host)


def _start(given: Mapping[str, Any]) -> tuple[Sequence[str], Mapping[str, str], str]:
    """Words, environment and directory of a program."""
    command = given["args"]
    if isinstance(command, Login):
        return command.words, command.environment, command.cwd
    return (command, os.environ if given["env"] is None else given["env"],
            os.fspath(given["cwd"] or os.getcwd()))


def _wanted(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the child takes (nursery.py), in types that marshal knows."""
    words, environment, cwd = _start(given)
    command = given["args"]
    return {"argv": [str(word) for word in words[1:]], "env": dict(environment),
            "cwd": cwd, "umask": _umask(),
            "login": (command.host, command.uid) if isinstance(command, Login) else None,
            "mask": [int(each) for each in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
            "limits": [(limit, *resource.getrlimit(limit)) for limit in LIMITS],
            "session": given["start_new_session"], "terminal": bool(given["preexec_fn"])}


def _umask() -> int:
    """That of this process."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def install() -> None:
    """From now on this process starts the programs warm, where that can be done."""
    if sys.platform == "linux" and {"args", "env", "cwd", *PLAIN, *PIPES} <= set(GIVEN):
        subprocess.Popen = Popen        # type: ignore[misc]
