"""Real terminals for tests: a program on a pty read by a Screen, and a program in a private tmux.

Promises: no blind sleep; every wait has a deadline and, when it passes, raises AssertionError that
shows the screen.  A program is killed by its own process id, a tmux server by its own socket.

    with Terminal(["python3", "parley.py"], environment("linux"), rows=24, cols=80) as terminal:
        terminal.until("menu>")         # send no key before the first paint
        terminal.type("hi\\r")
        terminal.until(lambda screen: screen.bells == 1)
        assert terminal.wait() == 0     # goes on reading: a full pty would block the program

Traps: claim an absence only after a fence (type a letter, wait for it, then look).  The program
leads its own session, and its process group is orphaned, so the kernel drops its SIGTSTP: test ^Z
under a shell.  A pty is not a terminal that answers: queries get no reply.

Sizes are (rows, cols), times are seconds.
"""

import contextlib
import errno
import fcntl
import os
import select
import shutil
import struct
import subprocess
import tempfile
import termios
import time
import unittest
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.harness.screen_reader import Screen
from tests.harness.warm import take_terminal

TIMEOUT = 5.0  # a loaded two-core machine starts a curses program in under 1 s
READ_SIZE = 65536
TRANSCRIPT_LIMIT = 1 << 20  # bytes kept of what the program wrote: the last ones
# after the program's end, for the end of file, which a child that holds the tty would keep away
LINGER = 0.5
EXIT_POLL = 0.05
TMUX_POLL = 0.02

# tmux 3.3a at times forgets the code of a program that ends at once, so a shell above it writes
# that down.
_KEEP_CODE = 'trap : INT QUIT TERM; "$@"; echo $? >"$0.new"; mv "$0.new" "$0"'

Expected = str | Callable[[Screen], object]
Text = str | Callable[[str], object]
T = TypeVar("T")
C = TypeVar("C", bound=Callable[..., Any])


def until(predicate: Callable[[], T], timeout: float = TIMEOUT, what: object = "") -> T:
    """The first true value of `predicate`, asked every few milliseconds; AssertionError after
    `timeout`."""
    deadline, pause = time.monotonic() + timeout, 0.001
    while not (value := predicate()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout:g} s: {what or predicate}; last {value!r}")
        time.sleep(pause)
        pause = min(pause * 2, TMUX_POLL)
    return value


def find_program(program: str) -> str | None:
    """Its path, /usr/sbin and /sbin included: they are not in everyone's PATH."""
    return shutil.which(program) or shutil.which(program, path="/usr/local/sbin:/usr/sbin:/sbin")


def needs(*programs: str) -> Callable[[C], C]:
    """Skip a test or a test class, saying why, unless all `programs` are here."""
    missing = [program for program in programs if find_program(program) is None]
    return unittest.skipIf(bool(missing), f"needs {', '.join(missing)}")


def environment(term: str = "xterm-256color", **more: str) -> dict[str, str]:
    """A whole environment for a program on a terminal: UTF-8, and no LINES or COLUMNS."""
    path = os.environ.get("PATH", os.defpath)
    return {"PATH": path, "HOME": tempfile.gettempdir(), "LC_ALL": "C.UTF-8", "TERM": term} | more


def framed(text: str, caption: str) -> str:
    """A screen between rules, for a failure's message."""
    return f"{caption}\n{'-' * 80}\n{text}\n{'-' * 80}"


class Terminal:
    """`command` on a pty of its own, which is its controlling terminal; `env` is the whole
    environment."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        *,
        rows: int = 24,
        cols: int = 80,
        cwd: str | os.PathLike[str] | None = None,
    ) -> None:
        self.screen = Screen(rows, cols)
        self.ended = False
        """The terminal's last reader and writer is gone (EIO on Linux)."""
        self._transcript = bytearray()
        self._master, slave = os.openpty()
        try:
            self._set_size(rows, cols)
            self.initial_termios = self.termios()
            self.process = self._start(command, env, cwd, slave)
        except BaseException:
            os.close(self._master)
            raise
        finally:
            os.close(slave)
        os.set_blocking(self._master, False)

    @staticmethod
    def _start(command: Sequence[str], env: Any, cwd: Any, slave: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment() if env is None else env,
            cwd=cwd,
            start_new_session=True,
            preexec_fn=take_terminal,  # one ioctl, safe beside threads
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None,
                 at: TracebackType | None) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def transcript(self) -> bytes:
        """What the program wrote, as it came through the tty (NL is CR NL): the last
        TRANSCRIPT_LIMIT bytes."""
        return bytes(self._transcript)

    def termios(self) -> list[Any]:
        """The slave's attributes as tcgetattr has them, also after the program's end."""
        return termios.tcgetattr(self._master)

    # Reading

    def until(self, expected: Expected, timeout: float = TIMEOUT) -> None:
        """Read until the screen holds a text or a predicate of it is true."""
        deadline = time.monotonic() + timeout
        while not self._holds(expected):
            left = deadline - time.monotonic()
            if not self._read(left) and (self.ended or left <= 0):
                raise AssertionError(self.report(f"not within {timeout:g} s: {expected!r}"))

    def wait(self, timeout: float = TIMEOUT) -> int:
        """The exit code (minus the signal's number), read to the end on the way."""
        deadline = time.monotonic() + timeout
        while self.process.poll() is None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(self.report(f"still running after {timeout:g} s"))
            if not self._read(min(left, EXIT_POLL)) and self.ended:
                self._await_exit(left)
        while self._read(LINGER):
            pass
        return self.process.returncode

    def drain(self) -> None:
        """Read what is there now, without waiting."""
        while self._read(0):
            pass

    def report(self, why: str) -> str:
        """`why`, the state of the program, its screen and its last bytes."""
        if self.ended:
            self._await_exit(LINGER)  # its descriptors close before it is a zombie
        code = self.process.poll()
        state = "running" if code is None else f"exit code {code}"
        caption = f"{why}\n{state}, cursor {self.screen.cursor}, title {self.screen.title!r}"
        return framed(self.screen.text(),
                      caption) + f"\nlast bytes: {bytes(self._transcript[-200:])!r}"

    def _await_exit(self, timeout: float) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout)

    def _holds(self, expected: Expected) -> object:
        if isinstance(expected, str):
            return expected in self.screen.text()
        return expected(self.screen)

    def _ready(self, events: int, timeout: float) -> int:
        poll = select.poll()
        poll.register(self._master, events)
        return next((found for _, found in poll.poll(max(0.0, timeout) * 1000)), 0)

    def _read(self, timeout: float) -> bool:
        """One read within `timeout`: whether there was anything."""
        if self.ended or not self._ready(select.POLLIN, timeout):
            return False
        try:
            data = os.read(self._master, READ_SIZE)
        except BlockingIOError:
            return False
        except OSError as fault:
            if fault.errno != errno.EIO:
                raise
            data = b""
        self.ended = not data
        self._transcript += data
        del self._transcript[:-TRANSCRIPT_LIMIT]
        self.screen.feed(data)
        return bool(data)

    # Acting

    def type(self, text: str) -> None:
        """Send `text` as UTF-8."""
        self.press(text.encode())

    def press(self, data: bytes, timeout: float = TIMEOUT) -> None:
        """Send bytes, reading on while the program is slow to take them."""
        deadline = time.monotonic() + timeout
        while data:
            found = self._ready(select.POLLIN | select.POLLOUT, deadline - time.monotonic())
            if self.ended or not found:
                raise AssertionError(self.report(f"did not take {data[:80]!r}"))
            if found & (select.POLLIN | select.POLLHUP):
                self._read(0)
            elif found & select.POLLOUT:
                data = data[self._write(data) :]

    def _write(self, data: bytes) -> int:
        try:
            return os.write(self._master, data)
        except BlockingIOError:
            return 0

    def resize(self, rows: int, cols: int) -> None:
        """Change the size; the kernel sends SIGWINCH to the foreground process group."""
        self.drain()
        self.screen.resize(rows, cols)
        self._set_size(rows, cols)

    def _set_size(self, rows: int, cols: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def signal(self, signum: int) -> None:
        self.process.send_signal(signum)

    def hang_up(self) -> None:
        """Close the terminal's end, as a lost ssh does: the program gets SIGHUP, then end of
        file."""
        if self._master >= 0:
            os.close(self._master)
        self._master, self.ended = -1, True

    def close(self) -> None:
        """Kill the program if it still runs, and free the pty; may be called twice."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.hang_up()


class Tmux:
    """A tmux server of its own, without configuration; each program has a session, by name, of its
    own size."""

    def __init__(self) -> None:
        self._directory = tempfile.mkdtemp(prefix="tmux-")
        self._program = find_program("tmux") or "tmux"
        self._env = environment() | {"TMUX_TMPDIR": self._directory}
        settings = "set -g status off ; set -g remain-on-exit on ; set -g exit-empty off"
        self._run("start-server", ";", *settings.split(), ";", "set", "-gq",
                  "remain-on-exit-format", "")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None,
                 at: TracebackType | None) -> None:
        self.close()

    def new(
        self,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        *,
        rows: int = 24,
        cols: int = 80,
        name: str = "main",
    ) -> None:
        """Run `command` in a new session; `env` is its whole environment (TERM: tmux-256color or
        screen's)."""
        pairs = [f"{key}={value}"
                 for key, value in (environment("tmux-256color") if env is None else env).items()]
        size = ("-x", str(cols), "-y", str(rows))
        watch = ("/bin/sh", "-c", _KEEP_CODE, os.path.join(self._directory, name))
        self._run("new-session", "-d", "-s", name, *size, "--", *watch, "/usr/bin/env", "-i",
                  *pairs, *command)

    def send(self, *keys: str, name: str = "main") -> None:
        """Press keys by tmux's names: Enter, Up, C-c, M-b, F1; what is no name is typed."""
        self._run("send-keys", "-t", f"={name}:", "--", *keys)

    def type(self, text: str, *, name: str = "main") -> None:
        """Type `text` as it stands."""
        self._run("send-keys", "-l", "-t", f"={name}:", "--", text)

    def paste(self, text: str, *, name: str = "main") -> None:
        """Paste `text`, bracketed where the program asked for that; newlines go as CR."""
        self._run("set-buffer", "--", text, ";", "paste-buffer", "-p", "-t", f"={name}:")

    def capture(self, *, name: str = "main", styles: bool = False) -> str:
        """All rows, right-stripped; with `styles`, each with its SGR sequences and blanks."""
        text = self._run("capture-pane", "-p", *(["-e", "-N"] if styles else []), "-t", f"={name}:")
        rows = text.removesuffix("\n").split("\n")
        return "\n".join(rows if styles else (row.rstrip(" ") for row in rows))

    def cursor(self, *, name: str = "main") -> tuple[int, int]:
        row, col = self._run("display-message", "-p", "-t", f"={name}:",
                             "#{cursor_y} #{cursor_x}").split()
        return int(row), int(col)

    def until(self, expected: Text, timeout: float = TIMEOUT, *, name: str = "main") -> str:
        """The captured screen, once it holds a text or a predicate of it is true."""
        deadline = time.monotonic() + timeout
        text = self.capture(name=name)
        while not (expected in text if isinstance(expected, str) else expected(text)):
            if time.monotonic() >= deadline:
                raise AssertionError(framed(text, f"not within {timeout:g} s: {expected!r}"))
            time.sleep(TMUX_POLL)
            text = self.capture(name=name)
        return text

    def resize(self, rows: int, cols: int, *, name: str = "main") -> None:
        self._run("resize-window", "-x", str(cols), "-y", str(rows), "-t", f"={name}:")

    def exit_code(self, timeout: float = TIMEOUT, *, name: str = "main") -> int:
        """The exit code (128 and the signal's number, as sh has it) of the program, once it has
        ended."""
        return int(until(lambda: self._code(name), timeout, f"the end of {name}"))

    def kill(self, *, name: str = "main") -> None:
        """End one session: the program gets SIGHUP."""
        self._run("kill-session", "-t", f"={name}")

    def _code(self, name: str) -> str:
        with (contextlib.suppress(FileNotFoundError),
              open(os.path.join(self._directory, name)) as file):
            return file.read()
        return ""

    def close(self) -> None:
        """End the server and all in it; may be called twice."""
        if os.path.isdir(self._directory):
            self._run("kill-server", check=False)
            shutil.rmtree(self._directory, ignore_errors=True)

    def _run(self, *arguments: str, check: bool = True) -> str:
        command = [self._program, "-u", "-L", "parley", "-f", "/dev/null", *arguments]
        done = subprocess.run(command, check=False, env=self._env, capture_output=True,
                              encoding="utf-8", timeout=30)
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.stderr.strip()}")
        return done.stdout
